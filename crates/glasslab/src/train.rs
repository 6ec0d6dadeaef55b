//! Training: show a model batches, and after each one move its parameters downhill.

mod history;
mod optimiser;

pub use history::{History, Point};
pub use optimiser::Optimiser;

use crate::data::{Batches, Tokens};
use crate::error::{Error, Result};
use crate::evaluate::evaluate_some;
use crate::model::{Trainable, cross_entropy};
use std::time::Instant;
use tch::Tensor;

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainConfig {
    /// How long.
    pub length: Length,
    /// B: pieces of text in a batch.
    pub batch_size: usize,
    /// T: characters in a piece.
    pub context_len: usize,
    /// How far a step goes, at its largest: it rises over the first 2 % of the training and falls to
    /// zero over the last half.
    pub lr: f64,
    /// The same for the matrices between hidden layers, which Muon moves (the MLP language model has none).
    pub matrix_lr: f64,
    /// One seed gives one order of batches.
    pub seed: u64,
    /// How many times to measure the held-out loss on the way, and to print a line.
    pub reports: usize,
}

/// How long a training lasts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    /// So many batches: the same result each time.
    Steps(usize),
    /// So many seconds: what a machine can do in the time, so a faster one gets further.
    Seconds(f64),
}

impl Default for TrainConfig {
    fn default() -> TrainConfig {
        TrainConfig {
            length: Length::Steps(2000),
            batch_size: 32,
            context_len: 64,
            lr: 0.01,
            matrix_lr: 0.02,
            seed: 0,
            reports: 10,
        }
    }
}

/// How many held-out characters are measured on the way; [`evaluate`](crate::evaluate::evaluate) measures all.
const HELD_OUT_SAMPLE: usize = 20_000;
/// How many points of the training loss a history has, about.
const POINTS: usize = 200;

/// Trains a model and tells its losses.
///
/// Prints `config.reports` lines: step, training loss (the mean since the point before), held-out
/// loss, both in nats per character, speed, and time left.
///
/// # Errors
/// If a setting is out of range, no story is long enough, or the loss becomes infinite or NaN.
pub fn train(model: &mut impl Trainable, data: &Tokens, held_out: &Tokens, config: &TrainConfig) -> Result<History> {
    train_with(model, data, held_out, config, |line| println!("{line}"))
}

/// Trains a model, and gives the lines that [`train`] prints to a function of the caller's.
///
/// # Errors
/// As [`train`].
pub fn train_with(
    model: &mut impl Trainable,
    data: &Tokens,
    held_out: &Tokens,
    config: &TrainConfig,
    mut report_line: impl FnMut(&str),
) -> Result<History> {
    config.check()?;
    let mut batches = Batches::new(data, config.batch_size, config.context_len, config.seed)?;
    let device = model.device();
    let mut optimiser = Optimiser::new(model)?;
    let mut history = History::default();
    let started = Instant::now();
    let mut sum = Tensor::f_zeros([], (tch::Kind::Float, device))?;
    let mut summed = 0;
    let mut progress = 0.0;
    let mut step = 0;
    while progress < 1.0 {
        step += 1;
        let batch = batches.next_batch(device)?;
        let loss = cross_entropy(&model.logits(&batch.inputs)?, &batch.targets)?;
        let rate = schedule(progress);
        optimiser.step(model, &loss, config.lr * rate, config.matrix_lr * rate)?;
        // Summed where it is: reading a number from a GPU every step would make it wait.
        sum = sum.f_add(&loss.detach())?;
        summed += 1;
        let before = std::mem::replace(&mut progress, config.length.progress(step, started));
        let passed = |parts: usize| (before * parts as f64).floor() < (progress * parts as f64).floor();
        let report = passed(config.reports.max(1)) || progress >= 1.0;
        if report || passed(POINTS) || step == 1 {
            let train = sum.f_double_value(&[])? / f64::from(summed);
            if !train.is_finite() {
                return Err(Error::NonFinite { step, loss: train, lr: config.lr });
            }
            (sum, summed) = (sum.zeros_like(), 0);
            let held_out =
                if report { Some(evaluate_some(model, held_out, HELD_OUT_SAMPLE)?.nats_per_char) } else { None };
            let chars = step * config.batch_size * config.context_len;
            history.points.push(Point { step, chars, seconds: started.elapsed().as_secs_f64(), train, held_out });
            if report {
                report_line(&history.line(progress));
            }
        }
    }
    Ok(history)
}

impl TrainConfig {
    fn check(&self) -> Result<()> {
        for (name, rate) in [("lr", self.lr), ("matrix_lr", self.matrix_lr)] {
            if !(rate.is_finite() && rate > 0.0) {
                return Err(Error::Config(format!("{name} must be above 0, got {rate}")));
            }
        }
        match self.length {
            Length::Steps(0) => Err(Error::Config("train for at least 1 step".to_owned())),
            Length::Seconds(seconds) if !(seconds.is_finite() && seconds > 0.0) => {
                Err(Error::Config(format!("train for more than 0 seconds, got {seconds}")))
            }
            _ => Ok(()),
        }
    }
}

impl Length {
    /// How much of the training is done, from 0 to 1.
    fn progress(self, step: usize, started: Instant) -> f64 {
        match self {
            Length::Steps(steps) => step as f64 / steps as f64,
            Length::Seconds(seconds) => started.elapsed().as_secs_f64() / seconds,
        }
    }
}

/// The learning rate's course: up over 2 % of the training, level, and down to zero from the middle.
fn schedule(progress: f64) -> f64 {
    ((progress + 1e-3) / 0.02).min(1.0) * ((1.0 - progress) / 0.5).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stories;
    use crate::model::{MlpConfig, MlpLm, TransformerConfig, TransformerLm};
    use crate::tokenizer::CharTokenizer;
    use tch::Device;

    fn tokens(text: &str) -> Tokens {
        Tokens::encode(&Stories::parse(text).unwrap(), &CharTokenizer::default()).unwrap()
    }

    fn small() -> TrainConfig {
        TrainConfig {
            length: Length::Steps(60),
            batch_size: 4,
            context_len: 8,
            lr: 0.02,
            matrix_lr: 0.02,
            seed: 3,
            reports: 2,
        }
    }

    fn trained(config: &TrainConfig) -> Result<(MlpLm, History)> {
        let tokens = tokens("abcabcabcabcabcabc");
        let mut model = MlpLm::new(MlpConfig::original(), Device::Cpu)?;
        let history = train(&mut model, &tokens, &tokens, config)?;
        Ok((model, history))
    }

    #[test]
    fn a_text_with_one_follower_for_each_character_is_learnt_by_heart() {
        let (_, history) = trained(&small()).unwrap();
        assert!((history.points[0].train - 256_f64.ln()).abs() < 0.2, "{history:?}");
        assert!(history.held_out().unwrap() < 0.05, "{history:?}");
    }

    #[test]
    fn one_seed_gives_one_course() {
        let losses = |config: &TrainConfig| -> Vec<f64> {
            trained(config).unwrap().1.points.iter().map(|point| point.train).collect()
        };
        assert_eq!(losses(&small()), losses(&small()));
        assert_ne!(losses(&small()), losses(&TrainConfig { seed: 4, ..small() }));
    }

    #[test]
    fn a_loss_out_of_range_stops_with_what_to_do() {
        let message = trained(&TrainConfig { lr: 1e30, ..small() }).unwrap_err().to_string();
        assert!(message.contains("smaller learning rate"), "{message}");
    }

    #[test]
    fn settings_out_of_range_are_errors() {
        for config in [
            TrainConfig { length: Length::Steps(0), ..small() },
            TrainConfig { lr: f64::NAN, ..small() },
            TrainConfig { lr: -1.0, ..small() },
        ] {
            assert!(trained(&config).is_err());
        }
    }

    #[test]
    fn the_learning_rate_rises_then_falls_to_nothing() {
        assert!(schedule(0.0) < 0.1);
        assert_eq!(schedule(0.4), 1.0);
        assert!(schedule(0.999) < 0.01);
    }

    #[test]
    fn a_training_by_the_clock_ends_with_it() {
        let (_, history) = trained(&TrainConfig { length: Length::Seconds(0.3), ..small() }).unwrap();
        let last = history.points.last().unwrap();
        assert!(last.seconds >= 0.3 && last.held_out.is_some(), "{last:?}");
        assert!(last.step > 10, "{last:?}");
    }

    #[test]
    fn a_transformer_overfits_one_text() {
        let tokens = tokens("Once upon a time, there was a little girl named Lily. She had a red ball.");
        let config = TransformerConfig {
            emb_dim: 32,
            n_layers: 1,
            n_heads: 2,
            head_dim: 16,
            n_hidden: 64,
            ..TransformerConfig::small()
        };
        let mut model = TransformerLm::new(config, Device::Cpu).unwrap();
        let settings = TrainConfig { length: Length::Steps(150), batch_size: 8, context_len: 32, lr: 0.004, ..small() };
        let history = train(&mut model, &tokens, &tokens, &settings).unwrap();
        assert!(history.points.last().unwrap().train < 0.5, "{:?}", history.points.last());
    }
}
