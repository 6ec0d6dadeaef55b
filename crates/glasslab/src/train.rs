//! Training: show a model batches, and after each one move its parameters downhill.

mod adam;
mod history;

pub use adam::Adam;
pub use history::{History, Point};

use crate::data::{Batches, Tokens};
use crate::error::{Error, Result};
use crate::evaluate::evaluate_some;
use crate::model::{Trainable, cross_entropy};
use std::time::Instant;
use tch::Tensor;

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainConfig {
    /// How many batches to learn from.
    pub steps: usize,
    /// B: pieces of text in a batch.
    pub batch_size: usize,
    /// T: characters in a piece.
    pub context_len: usize,
    /// How far a step goes, at its largest: it rises over the first 5 % of the steps and falls to
    /// zero over the last half.
    pub lr: f64,
    /// One seed gives one order of batches.
    pub seed: u64,
    /// How many times to measure the held-out loss on the way, and to print a line.
    pub reports: usize,
}

impl Default for TrainConfig {
    fn default() -> TrainConfig {
        TrainConfig { steps: 2000, batch_size: 32, context_len: 64, lr: 0.01, seed: 0, reports: 10 }
    }
}

/// How many held-out characters are measured on the way; the whole text is measured at the end
/// of a notebook, by [`evaluate`](crate::evaluate::evaluate).
const HELD_OUT_SAMPLE: usize = 20_000;

/// Trains a model and tells its losses.
///
/// Prints `config.reports` lines: step, training loss (the mean since the line before), held-out
/// loss, both in nats per character, speed, and time left.
///
/// # Errors
/// If a setting is out of range, no story is long enough, or the loss becomes infinite or NaN.
pub fn train(model: &mut impl Trainable, data: &Tokens, held_out: &Tokens, config: &TrainConfig) -> Result<History> {
    let TrainConfig { steps, lr, reports, .. } = *config;
    if steps == 0 || !(lr.is_finite() && lr > 0.0) {
        return Err(Error::Config(format!("steps must be at least 1 and lr above 0, got {steps} and {lr}")));
    }
    let mut batches = Batches::new(data, config.batch_size, config.context_len, config.seed)?;
    let device = model.device();
    let mut optimiser = Adam::new(model)?;
    let mut history = History::default();
    let report_every = steps.div_ceil(reports.max(1));
    let curve_every = steps.div_ceil(200);
    let started = Instant::now();
    let mut sum = Tensor::f_zeros([], (tch::Kind::Float, device))?;
    let mut summed = 0;
    for step in 1..=steps {
        let batch = batches.next_batch(device)?;
        let loss = cross_entropy(&model.logits(&batch.inputs)?, &batch.targets)?;
        optimiser.step(model, &loss, lr * schedule(step, steps))?;
        // Summed where it is: reading a number from a GPU every step would make it wait.
        sum = sum.f_add(&loss.detach())?;
        summed += 1;
        let report = step % report_every == 0 || step == steps;
        if report || step % curve_every == 0 || step == 1 {
            let train = sum.f_double_value(&[])? / f64::from(summed);
            if !train.is_finite() {
                return Err(Error::NonFinite { step, loss: train, lr });
            }
            (sum, summed) = (sum.zeros_like(), 0);
            let held_out =
                if report { Some(evaluate_some(model, held_out, HELD_OUT_SAMPLE)?.nats_per_char) } else { None };
            let chars = step * config.batch_size * config.context_len;
            history.points.push(Point { step, chars, seconds: started.elapsed().as_secs_f64(), train, held_out });
            if report {
                println!("{}", history.line(steps));
            }
        }
    }
    Ok(history)
}

/// The learning rate's course: up over 5 % of the steps, level, and down to zero from the middle.
fn schedule(step: usize, steps: usize) -> f64 {
    let (step, steps) = (step as f64, steps as f64);
    let warm_up = (step / (0.05 * steps).max(1.0)).min(1.0);
    let cool_down = ((steps - step + 1.0) / (0.5 * steps)).min(1.0);
    warm_up * cool_down
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stories;
    use crate::model::{MlpConfig, MlpLm};
    use crate::tokenizer::CharTokenizer;
    use tch::Device;

    fn tokens(text: &str) -> Tokens {
        Tokens::encode(&Stories::parse(text).unwrap(), &CharTokenizer::default()).unwrap()
    }

    fn small() -> TrainConfig {
        TrainConfig { steps: 60, batch_size: 4, context_len: 8, lr: 0.02, seed: 3, reports: 2 }
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
            TrainConfig { steps: 0, ..small() },
            TrainConfig { lr: f64::NAN, ..small() },
            TrainConfig { lr: -1.0, ..small() },
        ] {
            assert!(trained(&config).is_err());
        }
    }

    #[test]
    fn the_learning_rate_rises_then_falls_to_almost_nothing() {
        assert!(schedule(1, 1000) < 0.05);
        assert_eq!(schedule(400, 1000), 1.0);
        assert!(schedule(1000, 1000) < 0.01);
        assert_eq!(schedule(1, 1), 1.0);
    }
}
