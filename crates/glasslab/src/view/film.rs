//! Attention over training: the same text through the same model, at several moments of its training.

use super::explorer::Frame;
use super::{Explorer, Html};
use crate::data::Tokens;
use crate::error::{Error, Result};
use crate::model::{LanguageModel, Parameter, Trainable};
use crate::trace::{Trace, Traceable};
use crate::train::{History, Moment, TrainConfig, train, train_with};
use std::cell::RefCell;
use std::ops::ControlFlow;
use tch::{Device, Tensor};

/// Snapshots of a prompt's attention and predictions, to be played with a slider.
///
/// ```
/// # use glasslab::prelude::*;
/// # fn main() -> Result<()> {
/// # let tokenizer = CharTokenizer::default();
/// # let data = Dataset::embedded()?;
/// # let (train_tokens, held_out) = (Tokens::encode(&data.train, &tokenizer)?, Tokens::encode(&data.held_out, &tokenizer)?);
/// let mut model = TransformerLm::new(TransformerConfig::original(), Device::Cpu)?;
/// let config = TrainConfig { length: Length::Steps(4), reports: 1, ..TrainConfig::default() };
/// let mut film = Film::new("Once upon a time").at_steps(&[0, 1, 2]);
/// let history = film.train(&mut model, &train_tokens, &held_out, &config)?;
/// assert_eq!(film.snapshots().len(), 4); // and one at the end
/// film.show()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Film {
    prompt: String,
    steps: Vec<usize>,
    every: Option<usize>,
    snapshots: Vec<Snapshot>,
}

/// What a model did with the prompt at one step of its training.
#[derive(Debug)]
pub struct Snapshot {
    /// The step, 0 before the first.
    pub step: usize,
    /// The forward pass.
    pub trace: Trace,
}

impl Film {
    /// A film of what a model does with a prompt.
    pub fn new(prompt: &str) -> Film {
        Film { prompt: prompt.to_owned(), steps: Vec::new(), every: None, snapshots: Vec::new() }
    }

    /// Takes snapshots after so many steps of training; 0 is before the first.
    pub fn at_steps(mut self, steps: &[usize]) -> Film {
        self.steps.extend_from_slice(steps);
        self
    }

    /// Takes a snapshot every so many steps of training.
    pub fn every(mut self, steps: usize) -> Film {
        self.every = Some(steps.max(1));
        self
    }

    /// Trains a model as [`train`] does, with snapshots at the chosen steps and one at the end.
    ///
    /// # Errors
    /// As [`train`], and if the model has no attention or can't take the prompt.
    pub fn train(
        &mut self,
        model: &mut (impl Trainable + Traceable),
        data: &Tokens,
        held_out: &Tokens,
        config: &TrainConfig,
    ) -> Result<History> {
        self.filmed(model, |filmed| train(filmed, data, held_out, config))
    }

    /// As [`train`](Self::train), and calls `watch` after each step as [`train_with`] does; nothing is printed.
    ///
    /// # Errors
    /// As [`train`](Self::train).
    pub fn train_with(
        &mut self,
        model: &mut (impl Trainable + Traceable),
        data: &Tokens,
        held_out: &Tokens,
        config: &TrainConfig,
        watch: impl FnMut(Moment<'_>) -> ControlFlow<()>,
    ) -> Result<History> {
        self.filmed(model, |filmed| train_with(filmed, data, held_out, config, watch))
    }

    fn filmed<M: Trainable + Traceable>(
        &mut self,
        model: &mut M,
        training: impl FnOnce(&mut Filmed<'_, M>) -> Result<History>,
    ) -> Result<History> {
        model.trace(&self.prompt)?.attention()?;
        let mut filmed = Filmed { model, state: RefCell::new((self, 0, None)) };
        let history = training(&mut filmed)?;
        let Filmed { model, state } = filmed;
        let (film, step, error) = state.into_inner();
        match error {
            Some(error) => Err(error),
            None => film.take(model, step).map(|()| history),
        }
    }

    fn wants(&self, step: usize) -> bool {
        self.steps.contains(&step) || self.every.is_some_and(|every| step.is_multiple_of(every))
    }

    /// Takes a snapshot of the model at a step of its training.
    ///
    /// # Errors
    /// If the model has no attention, or can't take the prompt.
    pub fn take(&mut self, model: &impl Traceable, step: usize) -> Result<()> {
        let trace = model.trace(&self.prompt)?;
        trace.attention()?;
        self.snapshots.push(Snapshot { step, trace });
        Ok(())
    }

    /// The snapshots so far.
    pub fn snapshots(&self) -> &[Snapshot] {
        &self.snapshots
    }

    /// The film as one block with a slider.
    ///
    /// # Errors
    /// If there is no snapshot yet.
    pub fn html(&self) -> Result<Html> {
        if self.snapshots.is_empty() {
            return Err(Error::Drawing("the film is empty: take a snapshot first, film.take(&model, 0)?".to_owned()));
        }
        let frames = self.snapshots.iter().map(|Snapshot { step, trace }| {
            let loss = trace.loss().map_or(String::new(), |loss| format!(" · {loss:.2} nats/char on this text"));
            Frame::new(format!("step {step}{loss}"), trace)
        });
        let title = format!("Attention on “{}” over training", self.snapshots[0].trace.visible_text());
        Explorer::of(frames.collect::<Result<_>>()?, title)?.html()
    }

    /// Shows it in the notebook; elsewhere prints it in words.
    ///
    /// # Errors
    /// If there is no snapshot yet.
    pub fn show(&self) -> Result<()> {
        self.html()?.show();
        Ok(())
    }

    /// Called by the kernel on the value of a cell.
    pub fn evcxr_display(&self) {
        match self.html() {
            Ok(html) => html.evcxr_display(),
            Err(error) => println!("{error}"),
        }
    }
}

/// A model that is filmed while it trains: a loss that can be learnt from is a step of training, and before it the model
/// is as the steps so far have made it.
struct Filmed<'a, M> {
    model: &'a mut M,
    /// The film, the steps so far, and what went wrong.
    state: RefCell<(&'a mut Film, usize, Option<Error>)>,
}

impl<M: Trainable + Traceable> LanguageModel for Filmed<'_, M> {
    fn logits(&self, ids: &Tensor) -> Result<Tensor> {
        self.model.logits(ids)
    }

    fn loss(&self, ids: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let loss = self.model.loss(ids, targets)?;
        if loss.requires_grad() {
            let (film, step, error) = &mut *self.state.borrow_mut();
            if film.wants(*step) && error.is_none() {
                *error = film.take(self.model, *step).err();
            }
            *step += 1;
        }
        Ok(loss)
    }

    fn n_vocab(&self) -> i64 {
        self.model.n_vocab()
    }

    fn context_len(&self) -> i64 {
        self.model.context_len()
    }

    fn max_len(&self) -> Option<i64> {
        self.model.max_len()
    }

    fn device(&self) -> Device {
        self.model.device()
    }
}

impl<M: Trainable + Traceable> Trainable for Filmed<'_, M> {
    fn parameters(&self) -> Vec<Parameter> {
        self.model.parameters()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stories;
    use crate::model::{TransformerConfig, TransformerLm};
    use crate::tokenizer::CharTokenizer;
    use crate::trace::tests::awake;
    use crate::train::Length;

    #[test]
    fn a_filmed_training_is_the_training_and_its_snapshots_are_the_model_at_those_steps() {
        let stories = Stories::parse(&"Once upon a time there was a cat. ".repeat(8)).unwrap();
        let tokens = Tokens::encode(&stories, &CharTokenizer::default()).unwrap();
        let config = TrainConfig {
            length: Length::Steps(6),
            batch_size: 2,
            context_len: 16,
            reports: 2,
            ..TrainConfig::default()
        };
        let new = || TransformerLm::new(TransformerConfig::original(), Device::Cpu).unwrap();
        let mut plain = new();
        let history = train(&mut plain, &tokens, &tokens, &config).unwrap();
        let (mut filmed, mut film) = (new(), Film::new("Once upon").at_steps(&[0, 4]).every(3));
        let filmed_history = film.train(&mut filmed, &tokens, &tokens, &config).unwrap();
        let losses = |history: &History| history.points.iter().map(|point| point.train).collect::<Vec<_>>();
        assert_eq!(losses(&history), losses(&filmed_history));
        assert_eq!(film.snapshots().iter().map(|snapshot| snapshot.step).collect::<Vec<_>>(), [0, 3, 4, 6]);
        let logits = |trace: &Trace| trace.step("logits").unwrap().tensor.copy();
        assert_eq!(logits(&film.snapshots()[0].trace), logits(&new().trace("Once upon").unwrap()));
        assert_eq!(logits(&film.snapshots()[3].trace), logits(&plain.trace("Once upon").unwrap()));
        assert_ne!(logits(&film.snapshots()[1].trace), logits(&film.snapshots()[2].trace));
    }

    #[test]
    fn a_model_without_attention_can_t_be_filmed() {
        let stories = Stories::parse(&"abc".repeat(40)).unwrap();
        let tokens = Tokens::encode(&stories, &CharTokenizer::default()).unwrap();
        let mut mlp = crate::model::MlpLm::new(crate::model::MlpConfig::original(), Device::Cpu).unwrap();
        let result = Film::new("abc").train(&mut mlp, &tokens, &tokens, &TrainConfig::default());
        assert!(result.unwrap_err().to_string().contains("no attention"));
    }

    #[test]
    fn each_snapshot_is_a_frame_with_its_step_and_loss() {
        let mut film = Film::new("Once upon");
        assert!(film.html().unwrap_err().to_string().contains("take a snapshot"));
        for step in [0, 10, 100] {
            film.take(&awake(TransformerConfig::original()), step).unwrap();
        }
        let html = film.html().unwrap().html;
        assert_eq!(html.matches("nats/char on this text").count(), 3);
        assert!(html.contains("step 100 · "));
    }
}
