//! Attention over training: the same text through the same model, at several moments of its training.

use super::explorer::Frame;
use super::{Explorer, Html, shown};
use crate::data::Tokens;
use crate::error::{Error, Result};
use crate::generate::{Sampling, generate};
use crate::model::Trainable;
use crate::trace::{Trace, Traceable};
use crate::train::{History, Look, Moment, TrainConfig, train_seen, train_seen_with};
use std::ops::ControlFlow;

/// Snapshots of a prompt's attention and predictions, to be played with a slider. What a model without attention learns is
/// filmed by [`Learning`](crate::train::Learning).
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

/// How many characters a model writes at each moment.
const WRITTEN: usize = 80;

/// What a model did with the prompt at one step of its training.
#[derive(Debug)]
pub struct Snapshot {
    /// The step, 0 before the first.
    pub step: usize,
    /// The forward pass.
    pub trace: Trace,
    /// How it went on from the prompt, taking the likeliest character each time.
    pub text: String,
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

    /// Trains a model as [`train`](crate::train::train) does, with snapshots at the chosen steps and one at the end.
    ///
    /// # Errors
    /// As [`train`](crate::train::train), and if the model has no attention or can't take the prompt.
    pub fn train(
        &mut self,
        model: &mut (impl Trainable + Traceable),
        data: &Tokens,
        held_out: &Tokens,
        config: &TrainConfig,
    ) -> Result<History> {
        model.trace(&self.prompt)?.attention()?;
        let history = train_seen(model, data, held_out, config, self)?;
        self.take_last(model, history)
    }

    /// As [`train`](Self::train), and calls `watch` after each step as [`train_with`](crate::train::train_with) does; nothing is printed.
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
        model.trace(&self.prompt)?.attention()?;
        let history = train_seen_with(model, data, held_out, config, self, watch)?;
        self.take_last(model, history)
    }

    fn take_last(&mut self, model: &impl Traceable, history: History) -> Result<History> {
        self.take(model, history.points.last().map_or(0, |last| last.step))?;
        Ok(history)
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
        let text =
            generate(model, &model.tokenizer(), &self.prompt, &Sampling { chars: WRITTEN, ..Sampling::greedy() })?;
        self.snapshots.push(Snapshot { step, trace, text });
        Ok(())
    }

    /// What the model is shown at each moment.
    pub fn prompt(&self) -> &str {
        &self.prompt
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
        let frames = self.snapshots.iter().map(|Snapshot { step, trace, .. }| {
            let loss = trace
                .loss()
                .map_or(String::new(), |loss| format!(" · {loss:.2} {} on this text", trace.tokenizer.unit().nats));
            Frame::new(format!("step {step}{loss}"), trace)
        });
        let title = format!("Attention on “{}” over training", self.snapshots[0].trace.visible_text());
        Explorer::of(frames.collect::<Result<_>>()?, title)?.html()
    }
}

impl<M: Traceable> Look<M> for Film {
    fn before(&mut self, model: &M, done: usize) -> Result<bool> {
        if self.wants(done) {
            self.take(model, done)?;
        }
        Ok(false)
    }
}

shown!(Film, html?);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stories;
    use crate::model::{TransformerConfig, TransformerLm};
    use crate::tokenizer::CharTokenizer;
    use crate::trace::tests::awake;
    use crate::train::{Length, train};
    use tch::Device;

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
