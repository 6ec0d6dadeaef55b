//! A training taken step by step, every number of it to be looked at.
//!
//! ```
//! # use glasslab::prelude::*;
//! # fn main() -> Result<()> {
//! # let tokens = Tokens::encode(&Dataset::embedded()?.held_out, &CharTokenizer::default())?;
//! let mut model = MlpLm::new(MlpConfig::original(), Device::Cpu)?;
//! let mut steps = StepByStep::new(&mut model, &tokens, &TrainConfig::default())?;
//! let step = steps.next(&mut model)?;
//! println!("{step}");
//! println!("{}", step.by_hand("output.weight", &[4, 5])?);
//! steps.skip(&mut model, 3)?;
//! println!("{}", steps.next(&mut model)?.norms()?);
//! # Ok(())
//! # }
//! ```

use super::config::TrainConfig;
use super::history::History;
use super::optimiser::SlowMotion;
use super::step::{TrainStep, of};
use super::training::Training;
use crate::data::{Batches, Tokens};
use crate::error::{Error, Result};
use crate::model::{Trainable, count_parameters};
use crate::stopping::{Listening, should_stop};
use std::fmt;
use std::time::Instant;
use tch::Tensor;

/// A step keeps five numbers for each parameter: more of them than this would fill the memory of a small machine.
const MOST_NUMBERS: i64 = 20_000_000;

/// A training that goes on when it is told to: the batches, the schedule and the optimiser of [`train`](super::train), so
/// that as many steps end at the same parameters, to the bit. (With `keep_best`, `train` may go back to earlier ones in the
/// end.) Nothing is measured on held-out text, and nothing is printed or saved.
#[derive(Debug)]
pub struct StepByStep {
    training: Training,
    tokens: Tokens,
    /// Where the numbers of each parameter lie.
    places: Vec<usize>,
}

impl StepByStep {
    /// The beginning of a training.
    ///
    /// # Errors
    /// If a setting is out of range, or no story is long enough.
    pub fn new(model: &mut impl Trainable, tokens: &Tokens, config: &TrainConfig) -> Result<StepByStep> {
        let mut training = Training::new(model, tokens, config)?;
        training.longest = f64::INFINITY; // a person takes these steps, and in a hurry takes fewer
        training.batches(tokens)?;
        Ok(StepByStep { training, tokens: tokens.clone(), places: places(model) })
    }

    /// Takes one step, and keeps all that moved in it.
    ///
    /// # Errors
    /// If the training is over, the model is another one or too large to keep, or as [`train`](super::train).
    pub fn next(&mut self, model: &mut impl Trainable) -> Result<TrainStep> {
        check_size(model)?;
        let tokens = self.tokens.clone();
        let mut batches = self.training.batches(&tokens)?;
        let rate = self.rate(model)?;
        let seen = self.advance(model, &mut batches, rate, true)?;
        let (loss, Some(seen)) = seen else { return Err(Error::Config("the step was not seen".to_owned())) };
        TrainStep::new(self.training.config(), self.training.done(), rate, &loss, seen, self.training.unit())
    }

    /// Takes so many steps, as quickly as [`train`](super::train) does, or fewer if the training is over before or the stop
    /// button is pressed. Gives the mean of their losses in nats per character; NaN of none.
    ///
    /// # Errors
    /// As [`next`](Self::next), but for the model's size.
    pub fn skip(&mut self, model: &mut impl Trainable, steps: usize) -> Result<f64> {
        let tokens = self.tokens.clone();
        let mut batches = self.training.batches(&tokens)?;
        let _listening = Listening::new("steps were taken");
        let before = self.training.history().points.len();
        for _ in 0..steps {
            if self.is_over() || should_stop() {
                break;
            }
            let rate = self.rate(model)?;
            let _ = self.advance(model, &mut batches, rate, false)?;
        }
        let taken = &self.training.history().points[before..];
        Ok(taken.iter().map(|point| point.train).sum::<f64>() / taken.len() as f64)
    }

    /// Steps so far.
    pub fn done(&self) -> usize {
        self.training.done()
    }

    /// Whether all steps of the config are taken.
    pub fn is_over(&self) -> bool {
        self.training.progress() >= 1.0
    }

    /// The loss of each step, on its own batch.
    pub fn history(&self) -> &History {
        self.training.history()
    }

    /// What the next step's learning rates are multiplied by, by the schedule.
    fn rate(&self, model: &impl Trainable) -> Result<f64> {
        if self.is_over() {
            return Err(Error::Config(format!(
                "the training is over after {} steps: begin another one with StepByStep::new, or give it more steps",
                self.done()
            )));
        }
        if places(model) != self.places {
            return Err(Error::Config(
                "these steps were made for another model, or the model was prepared for another training since: make new \
                 ones with StepByStep::new(&mut model, …)"
                    .to_owned(),
            ));
        }
        Ok(self.training.config().schedule(self.training.progress()))
    }

    fn advance(
        &mut self,
        model: &mut impl Trainable,
        batches: &mut Batches<'_>,
        rate: f64,
        look: bool,
    ) -> Result<(Tensor, Option<SlowMotion>)> {
        let started = Instant::now();
        let (loss, seen) = self.training.step(model, batches, rate, look)?;
        let number = loss.f_double_value(&[])?;
        self.training.note(number, started.elapsed().as_secs_f64());
        Ok((loss, seen))
    }
}

impl fmt::Display for StepByStep {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", self.done(), of(self.training.config()))?;
        match self.history().points.last() {
            Some(last) => write!(out, " steps taken; loss of the last batch {:.4} nats/char", last.train),
            None => write!(out, " steps taken"),
        }
    }
}

/// Where the numbers of each parameter lie.
fn places(model: &impl Trainable) -> Vec<usize> {
    model.parameters().iter().map(|parameter| parameter.tensor.data_ptr() as usize).collect()
}

/// That every number of a step can be kept.
pub(super) fn check_size(model: &impl Trainable) -> Result<()> {
    match count_parameters(model) {
        ..=MOST_NUMBERS => Ok(()),
        many => Err(Error::Config(format!(
            "a step of this model has {many} parameters, and all of them would be kept five times; at most {MOST_NUMBERS} \
             are: look at a smaller model, or take steps with `skip`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stories;
    use crate::model::{Model, Parameter, Probe, TransformerConfig, TransformerLm};
    use crate::tokenizer::CharTokenizer;
    use crate::train::train;
    use crate::train::{Length, OptimiserKind};
    use tch::{Device, Kind};

    /// A model that is only large.
    struct Large(Tensor);

    impl Model for Large {
        fn forward(&self, ids: &Tensor, _probe: &mut impl Probe) -> Result<Tensor> {
            Ok(ids.shallow_clone())
        }

        fn parameters(&self) -> Vec<Parameter> {
            vec![Parameter::new("one", &self.0)]
        }
    }

    const TEXT: &str = "Once upon a time, there was a little girl named Lily. She had a red ball.";

    fn tokens() -> Tokens {
        Tokens::encode(&Stories::parse(TEXT).unwrap(), &CharTokenizer::default()).unwrap()
    }

    fn tiny() -> TransformerLm {
        let config = TransformerConfig {
            emb_dim: 16,
            n_layers: 2,
            n_heads: 2,
            n_kv_heads: 2,
            head_dim: 8,
            n_hidden: 32,
            ..TransformerConfig::small()
        };
        TransformerLm::new(config, Device::Cpu).unwrap()
    }

    fn config(optimiser: OptimiserKind) -> TrainConfig {
        TrainConfig {
            length: Length::Steps(12),
            batch_size: 4,
            context_len: 32,
            optimiser,
            lr: 0.01,
            weight_decay: 0.1,
            clip: Some(0.5),
            keep_best: false,
            ..TrainConfig::default()
        }
    }

    #[test]
    fn so_many_steps_are_the_training_to_the_bit() {
        let tokens = tokens();
        for optimiser in [OptimiserKind::Muon, OptimiserKind::Adamw, OptimiserKind::Momentum, OptimiserKind::Sgd] {
            let config = config(optimiser);
            let (mut trained, mut stepped) = (tiny(), tiny());
            train(&mut trained, &tokens, &tokens, &config).unwrap();
            let mut steps = StepByStep::new(&mut stepped, &tokens, &config).unwrap();
            let first = steps.next(&mut stepped).unwrap();
            let mean = steps.skip(&mut stepped, 9).unwrap();
            assert!(first.step == 1 && mean < first.loss, "{first}");
            let last = steps.next(&mut stepped).unwrap();
            assert_eq!((last.step, steps.done()), (11, 11));
            assert!(!steps.is_over());
            // More than there are.
            steps.skip(&mut stepped, 5).unwrap();
            assert!(steps.is_over() && steps.history().points.len() == 12, "{steps}");
            for (one, other) in stepped.parameters().iter().zip(trained.parameters()) {
                assert_eq!(one.tensor, other.tensor, "{} by {optimiser:?}", one.name);
            }
            let message = steps.next(&mut stepped).unwrap_err().to_string();
            assert!(message.contains("over after 12 steps"), "{message}");
        }
    }

    #[test]
    fn a_step_tells_its_rate_and_whether_its_gradient_was_clipped() {
        let (tokens, mut model) = (tokens(), tiny());
        let mut steps = StepByStep::new(&mut model, &tokens, &config(OptimiserKind::Muon)).unwrap();
        let step = steps.next(&mut model).unwrap();
        let told = step.to_string();
        assert!(told.contains("step 1 of 12: loss 5.5") && told.contains("for Muon's matrices 0.02 · "), "{told}");
        let scale = step.shortened.unwrap();
        assert!((scale * step.gradient - 0.5).abs() < 1e-4 && told.contains("longer than 0.5, so each"), "{told}");
        let lengths = step.parameters.iter().map(|one| one.gradient.norm().double_value(&[]).powi(2)).sum::<f64>();
        assert!((lengths.sqrt() - step.gradient).abs() < 1e-5 * step.gradient);
        assert_eq!(step.gradient_of("embedding").unwrap().size(), [256, 16]);
        assert!(step.update_of("embedding").unwrap().abs().max().double_value(&[]) > 0.0);
        assert!(step.update_of("wte").unwrap_err().to_string().contains("block.0.mlp.hidden.weight"));
        let free = TrainConfig { clip: None, ..config(OptimiserKind::Sgd) };
        let step = StepByStep::new(&mut model, &tokens, &free).unwrap().next(&mut model).unwrap();
        assert!(step.shortened.is_none() && step.to_string().contains("with SGD") && step.to_string().contains("None"));
    }

    #[test]
    fn steps_of_another_model_and_of_one_too_large_are_refused() {
        let tokens = tokens();
        let (mut model, mut other) = (tiny(), tiny());
        let mut steps = StepByStep::new(&mut model, &tokens, &config(OptimiserKind::Adamw)).unwrap();
        assert!(steps.next(&mut other).unwrap_err().to_string().contains("another model"));
        steps.next(&mut model).unwrap();
        // A training moves the parameters to another place, where these steps would not reach them.
        train(&mut model, &tokens, &tokens, &config(OptimiserKind::Adamw)).unwrap();
        assert!(steps.skip(&mut model, 1).unwrap_err().to_string().contains("another training"));
        let large = Large(Tensor::zeros([1], (Kind::Float, Device::Cpu)).expand([MOST_NUMBERS + 1], false));
        let message = check_size(&large).unwrap_err().to_string();
        assert!(message.contains("at most 20000000") && message.contains("skip"), "{message}");
    }
}
