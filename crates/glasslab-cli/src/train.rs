//! `glasslab train`: trains a model and keeps it.

mod settings;

use crate::evaluate::as_value;
use crate::stop::{STOPPED, listen};
use glasslab::checkpoint::AnyModel;
use glasslab::evaluate::evaluate;
use glasslab::experiment::{Setup, Text};
use glasslab::model::{LanguageModel, Trainable, Trained, count_parameters};
use glasslab::tokenizer::{AnyTokenizer, BytePair, CharTokenizer, Tokenizer};
use glasslab::train::{History, Moment, train_with};
use glasslab::view::{Film, PROMPT};
use glasslab::{Error, Result, best_device};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use settings::Begin;
pub use settings::{Settings, Train};
use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The exit code of a training whose model predicts worse than guessing would.
pub const WORSE_THAN_GUESSING: u8 = 4;

impl Train {
    pub fn run(&self, as_json: bool) -> Result<ExitCode> {
        end_with_parent();
        let Settings { out, model: config, training, data, held_out, reading, byte_pairs, film, begin } =
            Settings::of(self)?;
        let name = data.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
        let data = reading.dataset(data.as_deref(), held_out.as_deref())?;
        let characters = AnyTokenizer::from(CharTokenizer { n_vocab: config.n_vocab() });
        let tokenizer = match (&begin, byte_pairs) {
            (Begin::Anew, Some(n_vocab)) => BytePair::train(&data.train, n_vocab)?.into(),
            (Begin::From(model), _) => model.tokenizer(),
            (Begin::Stopped(saved), _) => saved.tokenizer().cloned().unwrap_or(characters),
            (Begin::Anew, None) => characters,
        };
        let (train_tokens, held_out) =
            (reading.encode(&data.train, &tokenizer)?, reading.encode(&data.held_out, &tokenizer)?);
        let config = if byte_pairs.is_some() { config.with_n_vocab(tokenizer.n_vocab()) } else { config };
        let new = || AnyModel::new(config, best_device())?.with_tokenizer(tokenizer.clone());
        let (mut model, stopped) = match begin {
            Begin::Anew => (new()?, None),
            Begin::From(model) => (*model, None),
            Begin::Stopped(saved) => (new()?, Some(saved)),
        };
        for path in std::iter::once(&out).chain(&film) {
            check_place(path)?;
        }
        let (parameters, tokens) = (count_parameters(&model), train_tokens.len());
        let chars = (tokens as f64 * train_tokens.chars_per_token()).round() as usize;
        let in_tokens = if chars == tokens { String::new() } else { format!(" in {tokens} tokens") };
        eprintln!(
            "{}: {chars} characters{in_tokens} to learn from; {parameters} parameters on {:?}",
            data.source,
            model.device()
        );
        let progress = ProgressLine::new()?;
        let watch = |moment: Moment<'_>| progress.show(&moment);
        let mut filmed = film.as_ref().map(|_| Film::new(PROMPT).at_steps(&moments()));
        let history = match (stopped, &mut filmed) {
            (Some(saved), _) => saved.resume_with(&mut model, &train_tokens, &held_out, watch)?,
            (None, None) => train_with(&mut model, &train_tokens, &held_out, &training, watch)?,
            (None, Some(film)) => film.train_with(&mut model, &train_tokens, &held_out, &training, watch)?,
        };
        progress.bar.finish_and_clear();
        if let Some(ending) = history.ending() {
            eprintln!("{ending}");
        }
        if held_out.len() > LONG {
            eprintln!("measuring it on {} held-out tokens", held_out.len());
        }
        let loss = evaluate(&model, &held_out)?;
        // A model that is worth nothing takes the place of no other.
        let is_bad = loss.is_worse_than_guessing(model.n_vocab());
        let is_kept = !(is_bad && out.exists());
        if is_kept {
            if let Some(trained) = model.trained().cloned() {
                // Its name alone: where it lay is nobody's business who gets the model.
                model.learnt_from(Trained { text: name.or(Some(data.source)), ..trained });
            }
            model.save(&out)?;
        }
        if let (Some(film), Some(file)) = (&filmed, &film) {
            film.reel(&history)?.save(file)?;
        }
        let last = history.points.last().map_or((0, 0.0), |point| (point.step, point.seconds));
        if as_json {
            let mut result = as_value(&loss);
            result["steps"] = json!(last.0);
            result["seconds"] = json!(last.1);
            result["chars_per_s"] = json!(speed(&history));
            result["parameters"] = json!(parameters);
            result["history"] =
                history.points.iter().filter(|point| point.held_out.is_some()).map(|point| json!(point)).collect();
            let texts = [&train_tokens, &held_out].map(Text::of);
            let mut setup = Setup::new(&model, &training, vec![training.seed as i64], texts);
            setup.chars = history.points.last().map_or(0, |point| point.chars);
            result["setup"] = json!(setup);
            result["stopped"] = json!(history.stopped);
            result["worse_than_guessing"] = json!(is_bad);
            result["out"] = json!(is_kept.then_some(&out));
            println!("{result}");
        } else {
            println!("{:.4} nats/char over {} held-out characters", loss.nats_per_char, loss.chars);
            if is_kept {
                println!("kept in {}; try: glasslab generate {0} --prompt Once", out.display());
            }
        }
        if !is_kept {
            eprintln!(
                "glasslab: this model is worse than guessing, so it is not kept: {} is as it was (for this model, give \
                 another --out)",
                out.display()
            );
        }
        if history.stopped {
            if let Some(state) = &history.autosave {
                let state = state.display();
                let without = if film.is_some() { " and without --film" } else { "" };
                eprintln!(
                    "to go on: the same command with --resume{without} (the state of the training is in {state})"
                );
            }
            return Ok(ExitCode::from(STOPPED));
        }
        if let Some(state) = &training.autosave {
            let _ = std::fs::remove_file(state);
        }
        Ok(if is_bad { ExitCode::from(WORSE_THAN_GUESSING) } else { ExitCode::SUCCESS })
    }
}

/// Held-out tokens that take so long to measure that it is said.
const LONG: usize = 100_000;

/// Fails where a file could not be written after hours of training.
fn check_place(path: &Path) -> Result<()> {
    let wrong = |source| Error::File { path: path.to_path_buf(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(wrong)?;
    }
    if path.exists() {
        return std::fs::OpenOptions::new().append(true).open(path).map(drop).map_err(wrong);
    }
    std::fs::File::create_new(path).and_then(|_| std::fs::remove_file(path)).map_err(wrong)
}

/// Set for a training that is a run of a sweep: nobody takes its result where the process that has started it is gone.
pub const END_WITH_PARENT: &str = "GLASSLAB_END_WITH_PARENT";

fn end_with_parent() {
    #[cfg(target_os = "linux")]
    if std::env::var_os(END_WITH_PARENT).is_some() {
        // Where it can't be had, the training goes on to its end.
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    }
}

/// Steps of a training that are filmed: ever farther apart, as less and less changes.
fn moments() -> Vec<usize> {
    let later = std::iter::successors(Some(10.0), |step| Some(step * 1.5)).map(|step: f64| step as usize);
    std::iter::once(0).chain(later.take_while(|&step| step < 1_000_000)).collect()
}

/// Characters a second, after the first tenth of the points: until then a machine warms up, a GPU most of all.
fn speed(history: &History) -> f64 {
    let points = &history.points;
    let Some((early, last)) = points.get(points.len() / 10).zip(points.last()) else { return 0.0 };
    let (chars, seconds) = match early.step == last.step {
        true => (last.chars, last.seconds),
        false => (last.chars - early.chars, last.seconds - early.seconds),
    };
    chars as f64 / seconds.max(1e-9)
}

/// A bar on a terminal, lines elsewhere; and Ctrl-C, which ends the training at its next step.
struct ProgressLine {
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
    shown: Cell<Option<Instant>>,
    /// Whether it is told that the state can't be kept.
    is_told: Cell<bool>,
}

impl ProgressLine {
    fn new() -> Result<ProgressLine> {
        let stop = listen()?;
        let style = ProgressStyle::with_template("{bar:16} {percent:>3} % {wide_msg}")
            .map_err(|error| Error::Config(error.to_string()))?;
        Ok(ProgressLine {
            bar: ProgressBar::new(1000).with_style(style),
            stop,
            shown: None.into(),
            is_told: false.into(),
        })
    }

    fn say(&self, line: &str) {
        match self.bar.is_hidden() {
            true => eprintln!("{line}"),
            false => self.bar.println(line),
        }
    }

    fn show(&self, moment: &Moment<'_>) -> ControlFlow<()> {
        if self.bar.is_hidden() {
            if moment.report {
                eprintln!("{}", moment.line());
            }
        } else if moment.report || self.shown.get().is_none_or(|last| last.elapsed() > Duration::from_millis(200)) {
            self.shown.set(Some(Instant::now()));
            self.bar.set_position((moment.progress.min(1.0) * 1000.0) as u64);
            let line = moment.line();
            if moment.report {
                self.bar.println(&line);
            }
            self.bar.set_message(line);
        }
        if let Some(why) = moment.trouble.filter(|_| !self.is_told.replace(true)) {
            self.say(&format!("glasslab: the state of the training can't be kept; it goes on without: {why}"));
        }
        match self.stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}
