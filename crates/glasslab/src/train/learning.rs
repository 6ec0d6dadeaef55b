//! A training watched from within: how long gradients and steps are, which units are dead, what the model expects.
//!
//! ```
//! # use glasslab::prelude::*;
//! # fn main() -> Result<()> {
//! # let tokens = Tokens::encode(&Dataset::embedded()?.held_out, &CharTokenizer::default())?;
//! let mut model = MlpLm::new(MlpConfig::original(), Device::Cpu)?;
//! let config = TrainConfig { length: Length::Steps(6), reports: 1, ..TrainConfig::default() };
//! let mut learning = Learning::new("Once upon a time").every(2);
//! learning.train(&mut model, &tokens, &tokens, &config)?;
//! println!("{learning}");
//! learning.gradients()?.draw()?; // and updates(), dead_units(), film()
//! # Ok(())
//! # }
//! ```

use super::norms::Lengths;
use super::step::TrainStep;
use super::step_by_step::check_size;
use super::training::{Look, Moment};
use super::{History, TrainConfig, train_seen, train_seen_with};
use crate::data::Tokens;
use crate::error::{Error, Result};
use crate::model::Trainable;
use crate::numbers::numbers;
use crate::tokenizer::AnyTokenizer;
use crate::trace::Traceable;
use std::fmt;
use std::ops::ControlFlow;
use tch::{Kind, Tensor};

/// The moments of a training, to be drawn: see [`gradients`](Self::gradients), [`updates`](Self::updates),
/// [`dead_units`](Self::dead_units) and [`film`](Self::film).
#[derive(Debug)]
pub struct Learning {
    /// The text that the model is given at each moment.
    pub text: String,
    /// What was seen, in order.
    pub glances: Vec<Glance>,
    every: usize,
}

/// What a look into one step has seen.
#[derive(Debug)]
pub struct Glance {
    /// The steps before this one: 0 for the first.
    pub done: usize,
    /// The loss of the step's batch in nats per character.
    pub loss: f64,
    /// The lengths of each parameter, its gradient, and its step.
    pub lengths: Vec<Lengths>,
    /// For each step of the forward pass named `activated` the share of its units that are 0 at every place of the text.
    pub dead: Vec<(String, f64)>,
    /// The probabilities of what comes after the text (V).
    pub next: Vec<f64>,
    /// What the ids of these stand for.
    pub(crate) tokenizer: AnyTokenizer,
    /// The parameter named `embedding` (V, C), if there is one.
    pub embedding: Option<Tensor>,
}

impl Learning {
    /// Watches what a training makes of a text: the longer it is, the surer it is that a unit that is silent on it is dead.
    pub fn new(text: &str) -> Learning {
        Learning { text: text.to_owned(), glances: Vec::new(), every: 10 }
    }

    /// Looks at the first step and then at every so manyth; at first, at every tenth.
    pub fn every(mut self, steps: usize) -> Learning {
        self.every = steps.max(1);
        self
    }

    /// Trains a model as [`train`](super::train) does, and watches.
    ///
    /// # Errors
    /// As [`train`](super::train), if the model can't take the text, or is too large for its steps to be kept.
    pub fn train(
        &mut self,
        model: &mut (impl Trainable + Traceable),
        data: &Tokens,
        held_out: &Tokens,
        config: &TrainConfig,
    ) -> Result<History> {
        check_size(model)?;
        train_seen(model, data, held_out, config, &mut Watching(self, None))
    }

    /// As [`train`](Self::train), and calls `watch` after each step as [`train_with`](super::train_with) does.
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
        check_size(model)?;
        train_seen_with(model, data, held_out, config, &mut Watching(self, None), watch)
    }

    /// Notes a step that was taken with [`StepByStep`](super::StepByStep); `model` is as the step has left it.
    ///
    /// # Errors
    /// If the model can't take the text.
    pub fn note(&mut self, model: &(impl Trainable + Traceable), step: &TrainStep) -> Result<()> {
        let mut glance = Glance::of(model, &self.text, step.step - 1)?;
        glance.add(step)?;
        self.glances.push(glance);
        Ok(())
    }

    /// The glances; there is at least one.
    pub(crate) fn some(&self) -> Result<&[Glance]> {
        match self.glances.is_empty() {
            false => Ok(&self.glances),
            true => Err(Error::Drawing("nothing was watched yet: learning.train(&mut model, …)?".to_owned())),
        }
    }
}

impl Glance {
    /// What the model does with the text.
    fn of(model: &(impl Trainable + Traceable), text: &str, done: usize) -> Result<Glance> {
        let trace = model.trace(text)?;
        let mut dead = Vec::new();
        for step in trace.steps.iter().filter(|step| step.name.rsplit('.').next() == Some("activated")) {
            let [_, _, units] = step.tensor.size()[..] else { continue };
            let alive = step.tensor.f_get(0)?.f_ne(0.0)?.f_any_dim(0, false)?.f_sum(Kind::Int64)?; // of (T, H)
            dead.push((step.name.clone(), 1.0 - alive.f_int64_value(&[])? as f64 / units as f64));
        }
        let last = trace.labels.len() as i64 - 1;
        let next = numbers(&trace.step("probabilities")?.tensor.f_get(0)?.f_get(last)?)?;
        let parameters = model.parameters();
        let embedding = parameters.iter().find(|one| one.name == "embedding" && one.tensor.dim() == 2);
        let embedding = embedding.map(|one| one.tensor.detach().copy());
        Ok(Glance {
            done,
            loss: f64::NAN,
            lengths: Vec::new(),
            dead,
            next,
            tokenizer: trace.tokenizer.clone(),
            embedding,
        })
    }

    fn add(&mut self, step: &TrainStep) -> Result<()> {
        self.loss = step.loss;
        self.lengths = step.norms()?.rows;
        Ok(())
    }
}

/// The eyes of a [`Learning`], with the glance that waits for its step.
struct Watching<'a>(&'a mut Learning, Option<Glance>);

impl<M: Trainable + Traceable> Look<M> for Watching<'_> {
    fn before(&mut self, model: &M, done: usize) -> Result<bool> {
        let is_time = done.is_multiple_of(self.0.every);
        if is_time {
            self.1 = Some(Glance::of(model, &self.0.text, done)?);
        }
        Ok(is_time)
    }

    fn after(&mut self, step: &TrainStep) -> Result<()> {
        if let Some(mut glance) = self.1.take() {
            glance.add(step)?;
            self.0.glances.push(glance);
        }
        Ok(())
    }
}

impl fmt::Display for Learning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::numbers::digits;
        let (Some(first), Some(last)) = (self.glances.first(), self.glances.last()) else {
            return write!(out, "nothing was watched yet");
        };
        writeln!(
            out,
            "{} moments of a training, from step {} to step {}: loss {:.3} → {:.3} {}",
            self.glances.len(),
            first.done,
            last.done,
            first.loss,
            last.loss,
            last.tokenizer.unit().nats
        )?;
        let wide = first.lengths.iter().map(|row| row.name.len()).max().unwrap_or(0).max(12);
        write!(out, "{:<wide$}  {:>22}  {:>22}", "", "gradient", "update / parameter")?;
        for (from, to) in first.lengths.iter().zip(&last.lengths) {
            let course = |from: f64, to: f64| format!("{} → {}", digits(from, 2), digits(to, 2));
            let (gradient, ratio) = (course(from.gradient, to.gradient), course(from.ratio(), to.ratio()));
            write!(out, "\n{:<wide$}  {gradient:>22}  {ratio:>22}", from.name)?;
        }
        for ((name, from), (_, to)) in first.dead.iter().zip(&last.dead) {
            write!(
                out,
                "\n{name}: {:.0} % → {:.0} % of its units are 0 at every place of the text",
                from * 100.0,
                to * 100.0
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Length, OptimiserKind, StepByStep, train};
    use super::*;
    use crate::data::Stories;
    use crate::model::{MlpConfig, MlpLm, TransformerConfig, TransformerLm};
    use crate::tokenizer::CharTokenizer;
    use tch::Device;

    fn tokens() -> Tokens {
        let stories = Stories::parse(&"Once upon a time there was a cat. ".repeat(8)).unwrap();
        Tokens::encode(&stories, &CharTokenizer::default()).unwrap()
    }

    fn config() -> TrainConfig {
        TrainConfig { length: Length::Steps(7), batch_size: 2, context_len: 16, reports: 2, ..TrainConfig::default() }
    }

    fn mlp() -> MlpLm {
        MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap()
    }

    #[test]
    fn a_watched_training_is_the_training_and_its_glances_are_the_model_at_those_steps() {
        let tokens = tokens();
        let new = || TransformerLm::new(TransformerConfig::original(), Device::Cpu).unwrap();
        let (mut plain, mut watched) = (new(), new());
        train(&mut plain, &tokens, &tokens, &config()).unwrap();
        let mut learning = Learning::new("Once upon").every(3);
        learning.train(&mut watched, &tokens, &tokens, &config()).unwrap();
        for (one, other) in watched.parameters().iter().zip(plain.parameters()) {
            assert_eq!(one.tensor, other.tensor, "{}", one.name);
        }
        assert_eq!(learning.glances.iter().map(|glance| glance.done).collect::<Vec<_>>(), [0, 3, 6]);
        let first = new().trace("Once upon").unwrap();
        let expected = numbers(&first.step("probabilities").unwrap().tensor.get(0).get(8)).unwrap();
        assert_eq!(learning.glances[0].next, expected);
        assert_eq!(learning.glances[0].embedding.as_ref(), Some(&new().embedding.detach()));
        assert_eq!(learning.glances[2].lengths.len(), plain.parameters().len());
        assert!(learning.glances[2].loss < learning.glances[0].loss && learning.to_string().contains("3 moments"));
    }

    #[test]
    fn units_that_are_silent_on_the_whole_text_are_dead() {
        let (mut model, tokens) = (mlp(), tokens());
        // With a bias far below 0, a ReLU never answers.
        let guard = tch::no_grad_guard();
        let _ = model.hidden_bias.narrow(0, 0, 32).fill_(-100.0);
        drop(guard);
        let mut learning = Learning::new("Once upon a time there was a cat.").every(100);
        learning.train(&mut model, &tokens, &tokens, &config()).unwrap();
        let (name, share) = &learning.glances[0].dead[0];
        assert!(name == "activated" && (0.25..0.5).contains(share), "{share}");
    }

    #[test]
    fn steps_taken_by_oneself_can_be_noted() {
        let (mut model, tokens) = (mlp(), tokens());
        let config = TrainConfig { optimiser: OptimiserKind::Sgd, ..config() };
        let mut steps = StepByStep::new(&mut model, &tokens, &config).unwrap();
        let mut learning = Learning::new("Once");
        assert!(learning.gradients().unwrap_err().to_string().contains("nothing was watched yet"));
        for _ in 0..2 {
            let step = steps.next(&mut model).unwrap();
            learning.note(&model, &step).unwrap();
        }
        assert_eq!(learning.glances.iter().map(|glance| glance.done).collect::<Vec<_>>(), [0, 1]);
        assert!(learning.glances[0].lengths.iter().all(|row| row.update > 0.0), "{learning}");
    }
}
