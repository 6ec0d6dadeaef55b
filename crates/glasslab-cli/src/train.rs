//! `glasslab train`: trains a model and keeps it.

mod settings;

use crate::evaluate::as_value;
use glasslab::checkpoint::AnyModel;
use glasslab::evaluate::evaluate;
use glasslab::model::{LanguageModel, count_parameters};
use glasslab::tokenizer::CharTokenizer;
use glasslab::train::{History, Moment, resume_with, train_with};
use glasslab::{Error, Result, best_device};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use settings::Settings;
pub use settings::Train;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The exit code of a training that Ctrl-C has stopped, as shells have it.
const STOPPED: u8 = 130;

impl Train {
    pub fn run(&self, as_json: bool) -> Result<ExitCode> {
        let settings = Settings::of(self)?;
        let Settings { out, model: config, training, .. } = &settings;
        let state = out.with_extension("training");
        check_state(&state, settings.resume)?;
        let tokenizer = CharTokenizer::default();
        let reading = &settings.reading;
        let data = reading.dataset(settings.data.as_deref(), settings.held_out.as_deref())?;
        let (train_tokens, held_out) =
            (reading.encode(&data.train, &tokenizer)?, reading.encode(&data.held_out, &tokenizer)?);
        let mut model = AnyModel::new(*config, best_device())?;
        let parameters = count_parameters(&model);
        eprintln!(
            "{}: {} characters to learn from; {parameters} parameters on {:?}",
            data.source,
            train_tokens.len(),
            model.device()
        );
        let progress = Progress::new()?;
        let history = match settings.resume {
            true => resume_with(&mut model, &train_tokens, &held_out, &state, |moment| progress.show(&moment)),
            false => {
                let training = glasslab::train::TrainConfig { autosave: Some(state.clone()), ..training.clone() };
                train_with(&mut model, &train_tokens, &held_out, &training, |moment| progress.show(&moment))
            }
        }?;
        progress.bar.finish_and_clear();
        if let Some(ending) = history.ending() {
            eprintln!("{ending}");
        }
        model.save(out)?;
        let loss = evaluate(&model, &held_out)?;
        let last = history.points.last().map_or((0, 0.0), |point| (point.step, point.seconds));
        if as_json {
            let mut result = as_value(&loss);
            result["steps"] = json!(last.0);
            result["seconds"] = json!(last.1);
            result["chars_per_s"] = json!(speed(&history));
            result["parameters"] = json!(parameters);
            result["stopped"] = json!(history.stopped);
            result["out"] = json!(out);
            println!("{result}");
        } else {
            println!("{:.4} nats/char over {} held-out characters", loss.nats_per_char, loss.chars);
            println!("kept in {}; try: glasslab generate {0} --prompt Once", out.display());
        }
        if history.stopped {
            eprintln!("to go on: the same command with --resume (the state of the training is in {})", state.display());
            return Ok(ExitCode::from(STOPPED));
        }
        let _ = std::fs::remove_file(&state);
        Ok(ExitCode::SUCCESS)
    }
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

/// A stopped training is neither forgotten nor mistaken for another one.
fn check_state(state: &Path, resume: bool) -> Result<()> {
    match (state.exists(), resume) {
        (true, false) => Err(Error::Config(format!(
            "{} holds a training that was stopped: add --resume to go on with it, or remove the file to begin anew",
            state.display()
        ))),
        (false, true) => Err(Error::Config(format!(
            "there is nothing to resume: no {}; leave --resume out to begin a training",
            state.display()
        ))),
        _ => Ok(()),
    }
}

/// A bar on a terminal, lines elsewhere; and Ctrl-C, which ends the training at its next step.
struct Progress {
    bar: ProgressBar,
    stop: Arc<AtomicBool>,
    shown: std::cell::Cell<Option<Instant>>,
}

impl Progress {
    fn new() -> Result<Progress> {
        let stop = Arc::new(AtomicBool::new(false));
        let pressed = Arc::clone(&stop);
        let handler = move || {
            if pressed.swap(true, Ordering::Relaxed) {
                // A second time: at once, whatever is under way.
                std::process::exit(STOPPED.into());
            }
        };
        ctrlc::set_handler(handler).map_err(|error| Error::Config(format!("could not listen to Ctrl-C: {error}")))?;
        let style = ProgressStyle::with_template("{bar:16} {percent:>3} % {wide_msg}")
            .map_err(|error| Error::Config(error.to_string()))?;
        Ok(Progress { bar: ProgressBar::new(1000).with_style(style), stop, shown: None.into() })
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
        match self.stop.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}
