//! How to train.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Tokens of a batch that no machine has the memory for: the scores alone, of 256 ids each, are 17 GB.
const LARGEST_BATCH: usize = 1 << 24;

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// How long.
    pub length: Length,
    /// B: pieces of text in a batch.
    pub batch_size: usize,
    /// T: characters in a piece.
    pub context_len: usize,
    /// What moves the parameters.
    pub optimiser: OptimiserKind,
    /// How far a step goes, at its largest.
    pub lr: f64,
    /// The same for the matrices that Muon moves (the MLP language model has none, and no other optimiser asks for it).
    pub matrix_lr: f64,
    /// The share of the training over which the learning rate rises from 0.
    pub warm_up: f64,
    /// The share of the training over which it falls back to 0.
    pub cool_down: f64,
    /// How much of itself a parameter loses with each step, in units of the learning rate (Loshchilov and Hutter 2019).
    pub weight_decay: f64,
    /// The gradient is shortened to this length where it is longer, over all parameters together.
    pub clip: Option<f64>,
    /// One seed gives one order of batches.
    pub seed: u64,
    /// How many times to measure the held-out loss on the way, and to print a line. The shorter the training, the fewer held-out
    /// tokens are measured, so that it takes a twentieth of the time at most; but 2,000 each time, and 20,000 at the end.
    pub reports: usize,
    /// Whether to end with the parameters of the report with the lowest held-out loss, instead of the last ones.
    pub keep_best: bool,
    /// The file in which to keep the state of the training at its reports, as far as that takes a twentieth of its time, and at
    /// its end, so that [`resume`](super::resume) can go on from there after a stop or a crash.
    pub autosave: Option<PathBuf>,
}

/// How long a training lasts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// So many batches: the same result each time.
    Steps(usize),
    /// So many seconds: what a machine can do in the time, so a faster one gets further.
    Seconds(f64),
}

/// What moves the parameters; [`Optimiser`](super::Optimiser) has the formulas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimiserKind {
    /// Muon for the matrices between hidden layers, with `matrix_lr`; AdamW for all else, with `lr`.
    Muon,
    /// AdamW for all.
    Adamw,
    /// Gradient descent with momentum 0.9 for all. Its steps are as long as the gradients: it wants a larger `lr`.
    Momentum,
    /// Plain (stochastic) gradient descent for all; it wants a larger `lr` still.
    Sgd,
}

impl OptimiserKind {
    /// Its name, as people write it.
    pub fn name(self) -> &'static str {
        match self {
            OptimiserKind::Muon => "Muon",
            OptimiserKind::Adamw => "AdamW",
            OptimiserKind::Momentum => "momentum",
            OptimiserKind::Sgd => "SGD",
        }
    }
}

impl Default for TrainConfig {
    fn default() -> TrainConfig {
        TrainConfig {
            length: Length::Steps(2000),
            batch_size: 32,
            context_len: 64,
            optimiser: OptimiserKind::Muon,
            lr: 0.01,
            matrix_lr: 0.02,
            warm_up: 0.02,
            cool_down: 0.5,
            weight_decay: 0.0,
            clip: None,
            seed: 0,
            reports: 10,
            keep_best: true,
            autosave: None,
        }
    }
}

impl TrainConfig {
    /// Whether every setting is in its range; a training asks this first.
    ///
    /// # Errors
    /// The first one that is not, by its name.
    pub fn check(&self) -> Result<()> {
        let above_zero = |number: f64| number.is_finite() && number > 0.0;
        for (name, rate) in [("lr", self.lr), ("matrix_lr", self.matrix_lr), ("clip", self.clip.unwrap_or(1.0))] {
            if !above_zero(rate) {
                return Err(Error::Config(format!("{name} must be above 0, got {rate}")));
            }
        }
        for (name, share) in [("warm_up", self.warm_up), ("cool_down", self.cool_down)] {
            if !(0.0..=1.0).contains(&share) {
                return Err(Error::Config(format!("{name} is a share of the training, from 0 to 1, got {share}")));
            }
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return Err(Error::Config(format!("weight_decay must be 0 or above, got {}", self.weight_decay)));
        }
        if self.batch_size.checked_mul(self.context_len).is_none_or(|tokens| tokens > LARGEST_BATCH) {
            let (batch_size, context_len) = (self.batch_size, self.context_len);
            return Err(Error::Config(format!(
                "batch_size {batch_size} of context_len {context_len} are more than {LARGEST_BATCH} tokens a step: lower batch_size"
            )));
        }
        match self.length {
            Length::Steps(0) => Err(Error::Config("train for at least 1 step".to_owned())),
            Length::Seconds(seconds) if !above_zero(seconds) => {
                Err(Error::Config(format!("train for more than 0 seconds, got {seconds}")))
            }
            _ => Ok(()),
        }
    }

    /// The learning rate's course: what `lr` is multiplied by when `progress` of the training, 0 to 1, is done.
    pub fn schedule(&self, progress: f64) -> f64 {
        let up = (progress + 1e-3) / self.warm_up.max(1e-3);
        let down = (1.0 - progress) / self.cool_down.max(1e-9);
        up.min(1.0) * down.clamp(0.0, 1.0)
    }
}

/// Names the seconds that no training exceeds: for trying a notebook in a hurry (`scripts/lab run --brief`).
const LONGEST: &str = "GLASSLAB_TRAINING_SECONDS";

/// The most seconds that a person in a hurry gives a training; without end, if nobody is.
pub(super) fn longest() -> f64 {
    seconds(std::env::var(LONGEST).ok().as_deref())
}

fn seconds(text: Option<&str>) -> f64 {
    text.and_then(|text| text.parse().ok()).filter(|seconds| *seconds > 0.0).unwrap_or(f64::INFINITY)
}

impl Length {
    /// How much of the training is done, from 0 to 1 and above.
    pub(super) fn progress(self, step: usize, seconds: f64, longest: f64) -> f64 {
        match self {
            Length::Steps(steps) => (step as f64 / steps as f64).max(seconds / longest),
            Length::Seconds(all) => seconds / all.min(longest),
        }
    }

    /// How many steps it will have, as it looks after so many.
    pub(super) fn steps(self, step: usize, seconds: f64, longest: f64) -> f64 {
        let by_clock = |all: f64| step as f64 * all / seconds;
        match self {
            Length::Steps(steps) => by_clock(longest).min(steps as f64),
            Length::Seconds(all) => by_clock(all.min(longest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_in_a_hurry_shortens_every_training_and_nobody_else_any() {
        assert_eq!(Length::Seconds(60.0).progress(1, 8.0, seconds(Some("8"))), 1.0);
        assert_eq!(Length::Seconds(5.0).progress(1, 5.0, seconds(Some("8"))), 1.0);
        assert_eq!(Length::Steps(60).progress(30, 2.0, seconds(Some("8"))), 0.5);
        assert_eq!(Length::Steps(60).progress(30, 8.0, seconds(Some("8"))), 1.0);
        for nothing in [None, Some(""), Some("soon"), Some("-1"), Some("NaN")] {
            assert_eq!(Length::Steps(60).progress(30, 1e9, seconds(nothing)), 0.5, "{nothing:?}");
        }
    }

    #[test]
    fn how_many_steps_it_will_have_is_known_on_the_way() {
        assert_eq!(Length::Steps(60).steps(7, 0.7, f64::INFINITY), 60.0);
        assert_eq!(Length::Steps(60).steps(10, 2.0, 8.0), 40.0);
        assert_eq!(Length::Seconds(30.0).steps(10, 2.0, f64::INFINITY), 150.0);
        assert_eq!(Length::Seconds(30.0).steps(10, 2.0, 8.0), 40.0);
    }

    #[test]
    fn the_learning_rate_rises_then_falls_to_nothing() {
        let config = TrainConfig::default();
        assert!(config.schedule(0.0) < 0.1);
        assert_eq!(config.schedule(0.4), 1.0);
        assert!((config.schedule(0.75) - 0.5).abs() < 1e-12);
        assert!(config.schedule(0.999) < 0.01);
        let constant = TrainConfig { warm_up: 0.0, cool_down: 0.0, ..config };
        assert!([0.0, 0.5, 0.999].iter().all(|&progress| constant.schedule(progress) == 1.0));
    }

    #[test]
    fn settings_out_of_range_are_errors_that_name_them() {
        let good = TrainConfig::default();
        for (name, config) in [
            ("1 step", TrainConfig { length: Length::Steps(0), ..good.clone() }),
            ("seconds", TrainConfig { length: Length::Seconds(-1.0), ..good.clone() }),
            ("lr", TrainConfig { lr: f64::NAN, ..good.clone() }),
            ("matrix_lr", TrainConfig { matrix_lr: 0.0, ..good.clone() }),
            ("clip", TrainConfig { clip: Some(-1.0), ..good.clone() }),
            ("warm_up", TrainConfig { warm_up: 1.1, ..good.clone() }),
            ("cool_down", TrainConfig { cool_down: f64::NAN, ..good.clone() }),
            ("weight_decay", TrainConfig { weight_decay: -0.1, ..good.clone() }),
        ] {
            let message = config.check().unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
        assert!(good.check().is_ok());
    }
}
