//! What one step down the gradient would do, with every learning rate: too small, right, too large.
//!
//! ```
//! # use glasslab::prelude::*;
//! # fn main() -> Result<()> {
//! # let tokens = Tokens::encode(&Dataset::embedded()?.held_out, &CharTokenizer::default())?;
//! let model = MlpLm::new(MlpConfig::original(), Device::Cpu)?;
//! let downhill = Downhill::from(&model, &tokens, &TrainConfig::default())?;
//! println!("{downhill}");
//! downhill.draw()?;
//! # Ok(())
//! # }
//! ```

use super::config::TrainConfig;
use super::course::Kept;
use crate::data::{Batches, Tokens};
use crate::error::{Error, Result};
use crate::model::Trainable;
use crate::numbers::digits;
use crate::stopping::Listening;
use crate::tokenizer::Unit;
use std::fmt;
use tch::{Kind, Tensor};

/// Learning rates that are tried, evenly spaced in powers of 10.
const RATES: usize = 53;
/// A step that gains less than this share of the best step's is too small.
const SMALL: f64 = 0.25;

/// The loss of one batch after one step of plain gradient descent (SGD), for many learning rates.
#[derive(Debug, Clone, PartialEq)]
pub struct Downhill {
    /// The loss before, in nats per character, or token.
    pub loss: f64,
    /// The length of the gradient.
    pub gradient: f64,
    /// The learning rates, the smallest first.
    pub rates: Vec<f64>,
    /// The loss of the same batch after a step with each; not finite where the numbers went out of range.
    pub losses: Vec<f64>,
    pub(crate) unit: Unit,
}

impl Downhill {
    /// Tries the learning rates from where a model stands, on the first batch that a training of this config would take.
    /// From a promise of a thousandth of a nat to one of thirty times the loss. The model stays as it is.
    ///
    /// # Errors
    /// If no story is long enough, the gradient is zero or not finite, or the stop button is pressed.
    pub fn from(model: &impl Trainable, tokens: &Tokens, config: &TrainConfig) -> Result<Downhill> {
        let TrainConfig { batch_size, context_len, seed, .. } = *config;
        let batch = Batches::new(tokens, batch_size, context_len, seed)?.next_batch(model.device())?;
        let (loss, gradients) = model.loss_and_gradients(&batch.inputs, &batch.targets)?;
        let _guard = tch::no_grad_guard();
        let number = |tensor: &Tensor| -> Result<f64> { Ok(tensor.f_double_value(&[])?) };
        let loss = number(&loss)?;
        let squares = gradients.iter().map(|gradient| number(&gradient.f_square()?.f_sum(Kind::Double)?));
        let square: f64 = squares.sum::<Result<f64>>()?;
        if !(square.is_finite() && square > 0.0 && loss.is_finite()) {
            return Err(Error::Data(format!(
                "there is no way down from here: the loss is {loss} and the gradient {} long. Take another model",
                square.sqrt()
            )));
        }
        let (low, high) = (1e-3 / square, 30.0 * loss.max(1.0) / square);
        let rate = |at: usize| low * (high / low).powf(at as f64 / (RATES - 1) as f64);
        let rates: Vec<f64> = (0..RATES).map(rate).collect();
        let mut kept = Kept::of(model);
        let mut losses = Vec::new();
        let mut listening = Listening::new("steps were tried; the model is as it was");
        for rate in &rates {
            listening.go_on()?;
            kept.move_along(&[(-rate, &gradients)])?;
            losses.push(number(&model.loss(&batch.inputs, &batch.targets)?)?);
        }
        drop(kept);
        Ok(Downhill { loss, gradient: square.sqrt(), rates, losses, unit: model.tokenizer().unit() })
    }

    /// What the gradient promises of a step with this learning rate, were its slope the same all the way: loss − rate · |g|².
    pub fn promised(&self, rate: f64) -> f64 {
        self.loss - rate * self.gradient.powi(2)
    }

    /// The best of the learning rates, and the loss after it.
    pub fn best(&self) -> (f64, f64) {
        let finite = self.rates.iter().copied().zip(self.losses.iter().copied()).filter(|tried| tried.1.is_finite());
        finite.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0.0, self.loss))
    }

    /// From which learning rate to which a step is right: it gains at least a quarter of what the best one does. `None` if no
    /// step makes the loss smaller.
    pub fn right(&self) -> Option<(f64, f64)> {
        let (best, lowest) = self.best();
        let enough = |at: &usize| self.losses[*at] <= self.loss - SMALL * (self.loss - lowest);
        let place = self.rates.iter().position(|&rate| rate == best).filter(|_| lowest < self.loss)?;
        let first = (0..=place).rev().take_while(enough).last()?;
        let last = (place..self.rates.len()).take_while(enough).last()?;
        Some((self.rates[first], self.rates[last]))
    }
}

impl fmt::Display for Downhill {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Downhill { loss, gradient, unit, .. } = self;
        writeln!(
            out,
            "one step of SGD from a loss of {loss:.3} {}, down a gradient {} long",
            unit.nats,
            digits(*gradient, 3)
        )?;
        let (rate, lowest) = self.best();
        let Some((from, to)) = self.right() else {
            return write!(out, "no learning rate makes the loss of this batch smaller");
        };
        let (rate, promised) = (digits(rate, 2), self.promised(rate));
        writeln!(out, "best with learning rate {rate}: {lowest:.3} (the gradient promised {promised:.3})")?;
        let (from, to) = (digits(from, 2), digits(to, 2));
        write!(
            out,
            "below {from} it is too small: less than a quarter of that is gained; right up to {to}, then too large"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stories;
    use crate::model::{MlpConfig, MlpLm};
    use crate::tokenizer::CharTokenizer;
    use crate::train::{Length, OptimiserKind, StepByStep};
    use tch::Device;

    fn tokens() -> Tokens {
        let stories = Stories::parse(&"Once upon a time there was a cat. ".repeat(8)).unwrap();
        Tokens::encode(&stories, &CharTokenizer::default()).unwrap()
    }

    #[test]
    fn small_steps_keep_the_promise_large_ones_make_it_worse_and_the_model_stays() {
        let model = MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap();
        let before: Vec<Tensor> = model.parameters().iter().map(|one| one.tensor.detach().copy()).collect();
        let downhill =
            Downhill::from(&model, &tokens(), &TrainConfig { context_len: 16, ..TrainConfig::default() }).unwrap();
        for (one, before) in model.parameters().iter().zip(&before) {
            assert_eq!(one.tensor, *before, "{}", one.name);
        }
        let Downhill { loss, rates, losses, .. } = &downhill;
        assert!((losses[0] - downhill.promised(rates[0])).abs() < 1e-4, "{downhill}");
        assert!(losses.last().unwrap() > loss || !losses.last().unwrap().is_finite(), "{downhill}");
        let ((best, lowest), (from, to)) = (downhill.best(), downhill.right().unwrap());
        assert!(lowest < loss - 0.1 && from < best && best <= to, "{downhill}");
        assert!(downhill.to_string().contains("too small"));
    }

    #[test]
    fn its_step_is_that_of_sgd() {
        let (tokens, mut model) = (tokens(), MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap());
        let config = TrainConfig { context_len: 16, ..TrainConfig::default() };
        let downhill = Downhill::from(&model, &tokens, &config).unwrap();
        let place = RATES / 2;
        let constant = TrainConfig {
            optimiser: OptimiserKind::Sgd,
            lr: downhill.rates[place],
            length: Length::Steps(2),
            warm_up: 0.0,
            cool_down: 0.0,
            ..config.clone()
        };
        let step = StepByStep::new(&mut model, &tokens, &constant).unwrap().next(&mut model).unwrap();
        assert!((step.loss - downhill.loss).abs() < 1e-6 && (step.gradient - downhill.gradient).abs() < 1e-5);
        let batch = Batches::new(&tokens, config.batch_size, 16, 0).unwrap().next_batch(Device::Cpu).unwrap();
        let after = crate::model::LanguageModel::loss(&model, &batch.inputs, &batch.targets).unwrap().double_value(&[]);
        assert!((after - downhill.losses[place]).abs() < 1e-5, "{after} is not {}", downhill.losses[place]);
    }
}
