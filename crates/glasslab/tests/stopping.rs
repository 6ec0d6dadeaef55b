//! The stop button: every long computation of the library hears it, says so, and ends soon.
//!
//! A test here runs itself again in a process of its own, as glasslab's kernel runs cells, and presses the button there.
#![cfg(unix)]

use glasslab::data::command;

use glasslab::model::Trainable;
use glasslab::prelude::*;
use glasslab::train::{AUTOSAVE, SavedTraining, train_with};
use std::cell::Cell;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Set in the process that is to be stopped.
const INNER: &str = "GLASSLAB_TEST_INNER";

/// Calls `cell` in a process like that of a notebook's cells.
fn in_a_notebook(test: &str, cell: impl FnOnce()) {
    if std::env::var_os(INNER).is_some() {
        return cell();
    }
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .envs([(INNER, "1"), (glasslab_wire::MARK, "mark"), ("OMP_NUM_THREADS", "1")])
        .env(glasslab_wire::STOP, folder.path().join("stop"))
        .env(command::COMMAND_VARIABLE, folder.path().join("command"))
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn stop_file() -> PathBuf {
    std::env::var_os(glasslab_wire::STOP).unwrap().into()
}

/// The person presses the button.
fn press() {
    std::fs::write(stop_file(), "").unwrap();
}

/// What the kernel does before the next cell.
fn next_cell() {
    let _ = std::fs::remove_file(stop_file());
    let _ = std::fs::remove_file(heard());
}

/// The file that says that the button was heard.
fn heard() -> PathBuf {
    stop_file().with_file_name(glasslab_wire::STOPPING)
}

/// Waits for a file; a test that fails here would wait for ever.
fn wait_for(file: &Path) {
    let soon = (0..6000).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        file.exists()
    });
    assert!(soon, "no {}", file.display());
}

/// Presses the button, and then `call` must say that it was stopped.
fn stops<T>(what: &str, call: impl FnOnce() -> Result<T>) {
    next_cell();
    press();
    match call() {
        Err(Error::Stopped(_)) => {}
        Err(other) => panic!("{what}: {other}"),
        Ok(_) => panic!("{what} did not hear the button"),
    }
    assert!(heard().exists(), "{what} did not tell the kernel");
    next_cell();
}

/// A model that presses the button during one of its passes, and then has so many more that they would take hours.
struct Pressing<M> {
    model: M,
    passes: Cell<usize>,
    at: usize,
}

impl<M> Pressing<M> {
    fn new(model: M, at: usize) -> Pressing<M> {
        next_cell();
        Pressing { model, passes: Cell::new(0), at }
    }

    fn pass(&self) {
        self.passes.set(self.passes.get() + 1);
        if self.passes.get() == self.at {
            press();
        }
        if self.passes.get() >= self.at {
            // A look at the button may be as old as this.
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl<M: LanguageModel> LanguageModel for Pressing<M> {
    fn logits(&self, ids: &Tensor) -> Result<Tensor> {
        self.pass();
        self.model.logits(ids)
    }
    fn n_vocab(&self) -> i64 {
        self.model.n_vocab()
    }
    fn context_len(&self) -> i64 {
        self.model.context_len()
    }
    fn device(&self) -> Device {
        self.model.device()
    }
}

impl Trainable for Pressing<MlpLm> {
    fn parameters(&self) -> Vec<Parameter> {
        self.model.parameters()
    }
}

fn stories(text: &str) -> Stories {
    Stories::parse(text).unwrap()
}

fn encoded(text: &str) -> Tokens {
    Tokens::encode(&stories(text), &CharTokenizer::default()).unwrap()
}

fn mlp() -> MlpLm {
    MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap()
}

fn transformer() -> TransformerLm {
    TransformerLm::new(TransformerConfig::original(), Device::Cpu).unwrap()
}

/// A training of hours.
fn long() -> TrainConfig {
    TrainConfig {
        length: Length::Steps(1_000_000_000),
        batch_size: 2,
        context_len: 8,
        reports: 1,
        ..TrainConfig::default()
    }
}

fn short(steps: usize) -> TrainConfig {
    TrainConfig { length: Length::Steps(steps), reports: 2, ..long() }
}

const TEXT: &str = "the cat sat on the mat and the dog sat on the log. ";

#[test]
fn measuring_stops_after_few_passes() {
    in_a_notebook("measuring_stops_after_few_passes", || {
        let text = encoded(&TEXT.repeat(4000));
        let model = Pressing::new(mlp(), 3);
        assert!(matches!(evaluate(&model, &text), Err(Error::Stopped(_))));
        assert!(model.passes.get() < 8 && heard().exists(), "{} passes", model.passes.get());
        let model = Pressing::new(mlp(), 3);
        assert!(matches!(Surprise::new(&model, &TEXT.repeat(4000)), Err(Error::Stopped(_))));
        assert!(model.passes.get() < 8 && heard().exists(), "{} passes", model.passes.get());
        let tokenizer = CharTokenizer::default();
        stops("proofs", || proofs::other_futures(&mlp(), &tokenizer, TEXT));
        stops("Ladder::add", || Ladder::default().add("mlp", &mlp(), &text));
    });
}

#[test]
fn reading_stops() {
    in_a_notebook("reading_stops", || {
        let utf16: Vec<u8> = "\u{feff}A word.".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (file, content) in [
            ("mine.txt", b"A word.".as_slice()),
            ("wide.txt", &utf16),
            ("mine.jsonl", b"{\"text\": \"A word.\"}"),
            ("mine.json", b"[\"A word.\"]"),
        ] {
            std::fs::write(file, content).unwrap();
            stops(file, || Stories::from_path(file));
            assert_eq!(Stories::from_path(file).unwrap().get(0), Some("A word."));
        }
    });
}

#[test]
fn counting_and_encoding_stop() {
    in_a_notebook("counting_and_encoding_stop", || {
        let (text, all) = (encoded(TEXT), stories(TEXT));
        stops("NGram::count", || NGram::count(&text, 3, 256));
        stops("Ladder::counted", || Ladder::counted(&text, &text, 256));
        stops("BytePair::train", || BytePair::train(&all, 300));
        stops("Tokens::encode", || Tokens::encode(&all, &CharTokenizer::default()));
    });
}

#[test]
fn looking_into_a_model_stops() {
    in_a_notebook("looking_into_a_model_stops", || {
        let (text, model) = (encoded(&TEXT.repeat(4)), transformer());
        stops("HeadPatterns", || HeadPatterns::find(&model, TEXT));
        stops("Lens", || Lens::new(&model, TEXT));
        stops("patching", || model.patching("the cat", "the dog", "a", "o"));
        stops("Downhill", || Downhill::from(&model, &text, &short(1)));
        let slice = LandscapeConfig { points: 3, ..LandscapeConfig::default() };
        stops("Landscape::around", || Landscape::around(&model, &text, &slice));
        let mut course = Course::every(1);
        let mut trained = mlp();
        course.train(&mut trained, &text, &text, &short(4)).unwrap();
        stops("Landscape::of_course", || Landscape::of_course(&trained, &course, &text, &slice));
    });
}

#[test]
fn a_training_of_hours_stops_at_its_step_and_tells_that_it_heard() {
    in_a_notebook("a_training_of_hours_stops_at_its_step_and_tells_that_it_heard", || {
        let text = encoded(&TEXT.repeat(4));
        let pressed_at = |step: usize| {
            move |moment: glasslab::train::Moment<'_>| {
                if moment.step == step {
                    press();
                }
                ControlFlow::Continue(())
            }
        };
        let history = train_with(&mut mlp(), &text, &text, &long(), pressed_at(3)).unwrap();
        assert!(history.stopped && history.points.last().unwrap().step == 3 && heard().exists());
        next_cell();
        let mut learning = Learning::new("the").every(1);
        let history = learning.train_with(&mut mlp(), &text, &text, &long(), pressed_at(3)).unwrap();
        assert!(history.stopped && learning.glances.len() == 3);
        // Those that show themselves; the button is pressed in their third step.
        type Trained = fn(&mut Pressing<MlpLm>, &Tokens) -> Result<bool>;
        let all: [(&str, Trained); 4] = [
            ("train", |model, text| Ok(train(model, text, text, &long())?.stopped)),
            ("Course", |model, text| Ok(Course::every(9).train(model, text, text, &long())?.stopped)),
            ("Race", |model, text| Ok(Race::new().run("mlp", model, text, text, &long()).is_err_and(is_stopped))),
            ("StepByStep", |model, text| {
                let mut steps = StepByStep::new(model, text, &long())?;
                steps.skip(model, 1_000_000)?;
                Ok(!steps.is_over())
            }),
        ];
        for (what, trained) in all {
            let mut model = Pressing::new(mlp(), 3);
            assert!(trained(&mut model, &text).unwrap(), "{what}");
            assert!(model.passes.get() < 10 && heard().exists(), "{what}: {} passes", model.passes.get());
        }
        stops("Sweep", || Sweep::new("seeds").measure("mlp", 0..2, &text, &text, |_| Ok((mlp(), long()))));
        press();
        let mut film = Film::new("the cat");
        assert!(film.train(&mut transformer(), &text, &text, &long()).unwrap().stopped);
        press();
        let sampling = Sampling { chars: 1_000_000_000, ..Sampling::default() };
        let written = generate(&mlp(), &CharTokenizer::default(), "the", &sampling).unwrap();
        assert!(written.len() < 10, "{written}");
    });
}

fn is_stopped(error: Error) -> bool {
    matches!(error, Error::Stopped(_))
}

/// A model with a step that the person has no patience for.
struct Slow(MlpLm);

impl LanguageModel for Slow {
    fn logits(&self, ids: &Tensor) -> Result<Tensor> {
        press();
        wait_for(&heard());
        // As the kernel asks for a sign of life again and again.
        std::fs::remove_file(heard()).unwrap();
        wait_for(&heard());
        self.0.logits(ids)
    }
    fn n_vocab(&self) -> i64 {
        256
    }
    fn context_len(&self) -> i64 {
        1
    }
    fn device(&self) -> Device {
        Device::Cpu
    }
}

impl Trainable for Slow {
    fn parameters(&self) -> Vec<Parameter> {
        self.0.parameters()
    }
}

#[test]
fn that_the_button_was_heard_is_told_again_and_again_while_a_step_lasts() {
    in_a_notebook("that_the_button_was_heard_is_told_again_and_again_while_a_step_lasts", || {
        let text = encoded(&TEXT.repeat(4));
        assert!(evaluate(&Slow(mlp()), &text).is_ok(), "there is but one pass, and it has ended");
        next_cell();
        assert!(train(&mut Slow(mlp()), &text, &text, &long()).unwrap().stopped);
        next_cell();
        std::thread::sleep(Duration::from_millis(500));
        assert!(!heard().exists(), "nobody tells it when all is over");
    });
}

#[test]
fn a_training_that_is_stopped_while_it_measures_keeps_its_model() {
    in_a_notebook("a_training_that_is_stopped_while_it_measures_keeps_its_model", || {
        let (text, held_out) = (encoded(&TEXT.repeat(4)), encoded(&TEXT.repeat(400)));
        // One pass is a step; the next one measures, at the report after the first step.
        let mut model = Pressing::new(mlp(), 2);
        let config = TrainConfig { reports: 1_000_000_000, ..long() };
        let history = train(&mut model, &text, &held_out, &config).unwrap();
        assert!(history.stopped && history.points.len() == 1 && history.held_out().is_some(), "{history:?}");
    });
}

#[test]
fn each_stopped_training_has_a_state_of_its_own_to_go_on_from() {
    in_a_notebook("each_stopped_training_has_a_state_of_its_own_to_go_on_from", || {
        let text = encoded(&TEXT.repeat(4));
        for (place, at) in [2, 4].into_iter().enumerate() {
            let mut model = Pressing::new(mlp(), at);
            let history = train(&mut model, &text, &text, &TrainConfig { reports: 1, ..short(60) }).unwrap();
            let file = Path::new(AUTOSAVE).join(format!("{}.training", place + 1));
            assert!(history.stopped && history.autosave.as_deref() == Some(&*file), "{history:?}");
            assert_eq!(SavedTraining::read(&file).unwrap().step(), at);
            // The next one must be newer, however coarse the file system's clock is.
            std::thread::sleep(Duration::from_millis(20));
        }
        next_cell();
        // Another one that ends leaves nothing, and takes nothing away.
        assert!(!train(&mut mlp(), &text, &text, &short(3)).unwrap().stopped);
        let files = || std::fs::read_dir(AUTOSAVE).unwrap().count();
        assert_eq!(files(), 2);
        assert_eq!(SavedTraining::read(AUTOSAVE).unwrap().step(), 4, "the newest one");
        let first = Path::new(AUTOSAVE).join("1.training");
        assert_eq!(resume(&mut mlp(), &text, &text, &first).unwrap().points.last().unwrap().step, 60);
        assert!(!first.exists() && files() == 1);
        // Where there is no place for a state, a training goes on without.
        std::fs::remove_dir_all("models").unwrap();
        std::fs::write("models", "a file").unwrap();
        let history = train(&mut mlp(), &text, &text, &short(3)).unwrap();
        assert!(!history.stopped && history.unsaved.is_some(), "{history:?}");
    });
}

#[test]
fn fetching_stops_and_so_does_the_command() {
    in_a_notebook("fetching_stops_and_so_does_the_command", || {
        use std::os::unix::fs::PermissionsExt;
        let script = "#!/bin/sh\necho $$ > pid.part\nmv pid.part pid\nexec sleep 100000\n";
        std::fs::write("command", script).unwrap();
        std::fs::set_permissions("command", std::fs::Permissions::from_mode(0o755)).unwrap();
        let person = std::thread::spawn(|| {
            wait_for(Path::new("pid"));
            press();
        });
        assert!(command::run(&["fetch"], |_| ()).is_err_and(is_stopped) && heard().exists());
        person.join().unwrap();
        let pid = std::fs::read_to_string("pid").unwrap();
        let alive = Command::new("sh").args(["-c", &format!("kill -0 {pid}")]).status().unwrap();
        assert!(!alive.success(), "the command still runs");
    });
}
