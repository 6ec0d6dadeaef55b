//! The state of a training in a file, and going on with it: exactly as if it had not been stopped, or with other settings
//! where that makes sense.

use super::autosave::newest;
use super::config::TrainConfig;
use super::history::History;
use super::shown::OnShow;
use super::state::{State, extent};
use super::training::{Moment, Training};
use crate::data::{Text, Tokens};
use crate::error::{Error, Result};
use crate::model::ModelConfig;
use crate::model::Trainable;
use crate::model::file::{read_tensors, write_tensors};
use crate::tokenizer::AnyTokenizer;
use serde::Serialize;
use serde_json::Value;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use tch::Tensor;

/// Settings that a training keeps: its memory, or the meaning of its steps, hangs on them.
const FIXED: [&str; 4] = ["batch_size", "context_len", "optimiser", "seed"];

/// A training that was kept in a file.
///
/// ```no_run
/// use glasslab::prelude::*;
/// use glasslab::train::{AUTOSAVE, SavedTraining};
///
/// # fn go_on(train_tokens: Tokens, held_out: Tokens) -> Result<()> {
/// # let mut model = MlpLm::new(MlpConfig::original(), Device::Cpu)?;
/// let saved = SavedTraining::read(AUTOSAVE)?; // the newest of a notebook's
/// println!("{} steps so far", saved.step());
/// let longer = TrainConfig { length: Length::Steps(9000), ..saved.config().clone() };
/// let history = saved.with(&longer)?.resume(&mut model, &train_tokens, &held_out)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SavedTraining {
    path: PathBuf,
    state: State,
    tensors: Vec<(String, Tensor)>,
}

impl SavedTraining {
    /// Reads what a training has kept in a file; of a folder, the newest one.
    ///
    /// # Errors
    /// If the file is missing, damaged, or holds no training.
    pub fn read(path: impl AsRef<Path>) -> Result<SavedTraining> {
        let path = newest(path.as_ref());
        let tensors = read_tensors(&path)?;
        let wrong =
            |why: &str| Error::Data(format!("{} holds no training ({why}): begin the training anew", path.display()));
        let json = tensors.iter().find(|(name, _)| name == "state.json").map(|(_, json)| json);
        let json = Vec::<u8>::try_from(json.ok_or_else(|| wrong("it has no state.json"))?)?;
        let state = serde_json::from_slice(&json).map_err(|error| wrong(&error.to_string()))?;
        Ok(SavedTraining { path, state, tensors })
    }

    /// The kind and sizes of the model that is trained; `None` if it is one of a person's own.
    pub fn model(&self) -> Option<ModelConfig> {
        self.state.model
    }

    /// What the model's ids stand for; `None` in files of older versions.
    pub fn tokenizer(&self) -> Option<&AnyTokenizer> {
        self.state.tokenizer.as_ref()
    }

    /// How it is trained.
    pub fn config(&self) -> &TrainConfig {
        &self.state.config
    }

    /// Steps so far.
    pub fn step(&self) -> usize {
        self.state.step
    }

    /// What these settings change, in words: `lr is 0.001 and was 0.004`; nothing, if nothing.
    pub fn changes(&self, config: &TrainConfig) -> String {
        // Where it is kept is no matter of how it goes on.
        let config = TrainConfig { autosave: self.state.config.autosave.clone(), ..config.clone() };
        said(&differences(&config, &self.state.config))
    }

    /// The same with other settings: all may change but the batches, the seed and the optimiser. A new length counts from
    /// the training's start.
    ///
    /// # Errors
    /// If a setting is out of range, can't change, or the training is over with the new length; the sentence names it.
    pub fn with(mut self, config: &TrainConfig) -> Result<SavedTraining> {
        config.check()?;
        let fixed = |(name, _, _): &(String, Value, Value)| FIXED.contains(&name.as_str());
        let other: Vec<_> = differences(config, &self.state.config).into_iter().filter(fixed).collect();
        if !other.is_empty() {
            return Err(self.refuses(&format!("{}; leave that as it was", said(&other))));
        }
        let State { step, seconds, config: before, .. } = &self.state;
        if config.length != before.length && config.length.progress(*step, *seconds, f64::INFINITY) >= 1.0 {
            return Err(self.refuses(&format!(
                "it has done {step} steps in {seconds:.1} s already; give a larger number, which counts from its start"
            )));
        }
        self.state.config = config.clone();
        Ok(self)
    }

    /// Goes on; see [`resume`](super::resume).
    ///
    /// # Errors
    /// As [`resume`](super::resume).
    pub fn resume(self, model: &mut impl Trainable, data: &Tokens, held_out: &Tokens) -> Result<History> {
        let mut shown = OnShow::new();
        let history = self.resume_with(model, data, held_out, |moment| shown.watch(moment))?;
        shown.finish(&history);
        Ok(history)
    }

    /// Goes on, with `watch` as in [`train_with`](super::train_with).
    ///
    /// # Errors
    /// As [`resume`](super::resume).
    pub fn resume_with(
        self,
        model: &mut impl Trainable,
        data: &Tokens,
        held_out: &Tokens,
        watch: impl FnMut(Moment<'_>) -> ControlFlow<()>,
    ) -> Result<History> {
        let mut training = self.taken_up(model, data, held_out)?;
        training.run(model, data, held_out, &mut (), watch)?;
        Ok(training.into_history())
    }

    /// Gives the model the parameters, once all is known to fit: where it refuses, nothing is changed.
    fn taken_up(self, model: &mut impl Trainable, data: &Tokens, held_out: &Tokens) -> Result<Training> {
        self.check_texts(data, held_out)?;
        if let (Some(kept), Some(given)) = (self.state.model, model.settings()) {
            // From which seed the parameters came that are replaced now, doesn't matter.
            let other: Vec<_> = differences(&given, &kept).into_iter().filter(|(name, _, _)| name != "seed").collect();
            if !other.is_empty() {
                return Err(self.refuses(&format!("{}; give a model of the sizes that it has", said(&other))));
            }
        }
        if self.state.tokenizer.as_ref().is_some_and(|kept| *kept != model.tokenizer()) {
            return Err(self.refuses("its model has another tokenizer; give a model with the tokenizer that it had"));
        }
        let get = |name: &str| self.tensors.iter().find(|(other, _)| other == name).map(|(_, tensor)| tensor);
        let sized = |name: String, size: Vec<i64>| {
            get(&name)
                .filter(|values| values.size() == size)
                .ok_or_else(|| self.refuses(&format!("it has no {name} of shape {size:?}, which the model has")))
        };
        let (mut now, mut best) = (Vec::new(), Vec::new());
        for parameter in model.parameters() {
            now.push(sized(format!("model.{}", parameter.name), parameter.tensor.size())?);
            best.push(sized(format!("best.{}", parameter.name), parameter.tensor.size())?);
        }
        let lowest = sized("loss.best".to_owned(), vec![1])?.f_double_value(&[0])?;
        let sum = sized("loss.sum".to_owned(), vec![])?;
        let mut training = Training::taken_up(model, self.state.clone(), self.path.clone())?;
        training.check(model, data, held_out)?;
        training.optimiser.remember(&self.tensors)?;
        let _guard = tch::no_grad_guard();
        for (mut parameter, values) in model.parameters().into_iter().zip(now) {
            parameter.tensor.f_copy_(values)?;
        }
        for (copy, values) in training.best.0.iter_mut().zip(best) {
            copy.f_copy_(values)?;
        }
        training.best.1 = lowest;
        training.sum.f_copy_(sum)?;
        Ok(training)
    }

    fn check_texts(&self, data: &Tokens, held_out: &Tokens) -> Result<()> {
        let State { data: (stories, chars), texts, .. } = &self.state;
        let is_other = |kept: Option<Text>, given: &Tokens| kept.is_some_and(|kept| kept != Text::of(given));
        if (*stories, *chars) != extent(data) || is_other(texts.0, data) {
            let (other_stories, others) = extent(data);
            return Err(self.refuses(&format!(
                "it learnt from another text (of {chars} characters in {stories} stories; given were {others} in \
                 {other_stories}); give the text that it had"
            )));
        }
        if is_other(texts.1, held_out) {
            return Err(self.refuses("it was measured on another held-out text; give the one that it had"));
        }
        Ok(())
    }

    fn refuses(&self, why: &str) -> Error {
        Error::Data(format!(
            "the training in {} can't go on like this: {why}, or begin a new training",
            self.path.display()
        ))
    }
}

impl Training {
    /// Keeps everything in one file, so that it is whole or not there: the numbers as JSON in a tensor of bytes.
    pub(super) fn save(&self, model: &mut impl Trainable, path: &Path) -> Result<()> {
        let json = serde_json::to_vec(&self.state).map_err(|error| Error::Data(error.to_string()))?;
        let mut tensors = vec![
            ("state.json".to_owned(), Tensor::from_slice(&json)),
            ("loss.sum".to_owned(), self.sum.shallow_clone()),
            ("loss.best".to_owned(), Tensor::from_slice(&[self.best.1])),
        ];
        let parameters = model.parameters();
        tensors
            .extend(parameters.iter().zip(&self.best.0).map(|(one, best)| (format!("best.{}", one.name), best.copy())));
        tensors.extend(parameters.into_iter().map(|one| (format!("model.{}", one.name), one.tensor.detach())));
        tensors.extend(self.optimiser.memory());
        write_tensors(path, tensors, None)
    }
}

/// The settings in which two configs differ: their names, and both values.
fn differences<T: Serialize>(given: &T, kept: &T) -> Vec<(String, Value, Value)> {
    let object = |config: &T| match serde_json::to_value(config) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (given, kept) = (object(given), object(kept));
    let names = kept.keys().chain(given.keys().filter(|name| !kept.contains_key(*name)));
    let both = names.map(|name| (name.clone(), given.get(name).cloned(), kept.get(name).cloned()));
    both.filter(|(_, given, kept)| given != kept)
        .map(|(name, given, kept)| (name, given.unwrap_or_default(), kept.unwrap_or_default()))
        .collect()
}

/// `n_layers is 3 and was 2, optimiser is "adamw" and was "muon"`.
fn said(differences: &[(String, Value, Value)]) -> String {
    let one = |(name, given, kept): &(String, Value, Value)| format!("{name} is {given} and was {kept}");
    differences.iter().map(one).collect::<Vec<String>>().join(", ")
}
