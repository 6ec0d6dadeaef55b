//! Controlled experiments: one thing is varied, all else stays, and each variant is trained from several seeds.
//!
//! Two trainings of the same model from two seeds never end at the same loss. So a difference between two variants
//! means something only if it is larger than the difference between two seeds: each variant gets a mean and its
//! standard error, s / √n with s² = Σ(x − mean)² / (n − 1).

use crate::data::Tokens;
use crate::error::{Error, Result};
use crate::evaluate::evaluate;
use crate::live::should_stop;
use crate::model::{Trainable, count_parameters};
use crate::train::{TrainConfig, train_with};
use std::ops::{ControlFlow, Range};

/// One variant, measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Its name, e.g. `4 heads`.
    pub name: String,
    /// The held-out loss of each seed, in nats per character.
    pub losses: Vec<f64>,
    /// The number of learnt numbers.
    pub parameters: i64,
    /// Characters learnt from in a second, the mean of all seeds.
    pub chars_per_second: f64,
}

impl Variant {
    /// The mean loss.
    pub fn mean(&self) -> f64 {
        self.losses.iter().sum::<f64>() / self.losses.len() as f64
    }

    /// The standard error of the mean; `None` for a single seed, which says nothing about others.
    pub fn standard_error(&self) -> Option<f64> {
        let (n, mean) = (self.losses.len() as f64, self.mean());
        let squares: f64 = self.losses.iter().map(|loss| (loss - mean).powi(2)).sum();
        (self.losses.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt())
    }
}

/// An experiment with its results so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// What is varied, e.g. `heads`.
    pub what: String,
    /// The variants in the order in which they were measured.
    pub variants: Vec<Variant>,
}

impl Sweep {
    /// An experiment without a result yet; `what` names the thing that is varied.
    pub fn new(what: &str) -> Sweep {
        Sweep { what: what.to_owned(), variants: Vec::new() }
    }

    /// Trains a variant from each seed and measures it on all held-out characters; prints a line. A variant that was
    /// measured before is replaced.
    ///
    /// `make` gives the model and its training for a seed: both should use it.
    ///
    /// # Errors
    /// If there is no seed, or a training fails.
    pub fn measure<M: Trainable>(
        &mut self,
        name: impl ToString,
        seeds: Range<i64>,
        train: &Tokens,
        held_out: &Tokens,
        make: impl Fn(i64) -> Result<(M, TrainConfig)>,
    ) -> Result<()> {
        let mut variant = Variant { name: name.to_string(), losses: Vec::new(), parameters: 0, chars_per_second: 0.0 };
        let count = seeds.clone().count();
        for seed in seeds {
            let (mut model, config) = make(seed)?;
            variant.parameters = count_parameters(&model);
            let history = train_with(&mut model, train, held_out, &config, |_| match should_stop() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })?;
            if history.stopped {
                return Err(Error::Config(format!("stopped in {}; the variants before it are kept", variant.name)));
            }
            let speed = history.points.last().map_or(0.0, |last| last.chars as f64 / last.seconds.max(1e-9));
            variant.chars_per_second += speed / count as f64;
            variant.losses.push(evaluate(&model, held_out)?.nats_per_char);
        }
        if variant.losses.is_empty() {
            return Err(Error::Config("give at least one seed, e.g. 0..2".to_owned()));
        }
        println!("{}", line(&variant));
        match self.variants.iter_mut().find(|known| known.name == variant.name) {
            Some(known) => *known = variant,
            None => self.variants.push(variant),
        }
        Ok(())
    }

    /// The results as text.
    pub fn table(&self) -> String {
        let lines = self.variants.iter().map(|variant| line(variant) + "\n");
        format!("{}: held-out loss in nats/char, mean ± standard error\n{}", self.what, lines.collect::<String>())
    }
}

fn line(variant: &Variant) -> String {
    let Variant { name, losses, parameters, chars_per_second } = variant;
    let error = variant.standard_error().map_or("(one seed)".to_owned(), |error| format!("± {error:.3}"));
    let (mean, seeds, speed) = (variant.mean(), losses.len(), chars_per_second / 1e3);
    format!("{name:<20} {mean:.3} {error:<10} {seeds} seeds  {parameters:>9} parameters  {speed:>5.0}k chars/s")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stories;
    use crate::model::{MlpConfig, MlpLm};
    use crate::tokenizer::CharTokenizer;
    use crate::train::Length;
    use tch::Device;

    fn variant(losses: &[f64]) -> Variant {
        Variant { name: "v".to_owned(), losses: losses.to_vec(), parameters: 1, chars_per_second: 1.0 }
    }

    #[test]
    fn the_error_is_the_deviation_over_the_root_of_n() {
        // Deviation of 1, 2, 3, 4: √(5/3); over √4.
        let error = variant(&[1.0, 2.0, 3.0, 4.0]).standard_error().unwrap();
        assert!((error - (5.0_f64 / 3.0).sqrt() / 2.0).abs() < 1e-12);
        assert_eq!(variant(&[1.0]).standard_error(), None);
        assert_eq!(variant(&[1.0, 3.0]).mean(), 2.0);
    }

    #[test]
    fn longer_training_is_measured_as_better_and_drawn() {
        let tokens = Tokens::encode(&Stories::parse(&"abcabd".repeat(20)).unwrap(), &CharTokenizer::default()).unwrap();
        let mut sweep = Sweep::new("steps");
        for steps in [1, 4, 16] {
            sweep
                .measure(steps, 0..2, &tokens, &tokens, |seed| {
                    let training = TrainConfig {
                        length: Length::Steps(steps),
                        batch_size: 4,
                        context_len: 8,
                        seed: seed as u64,
                        ..TrainConfig::default()
                    };
                    Ok((MlpLm::new(MlpConfig { seed, ..MlpConfig::original() }, Device::Cpu)?, training))
                })
                .unwrap();
        }
        assert!(sweep.variants.is_sorted_by(|a, b| a.mean() > b.mean()), "{}", sweep.table());
        assert!(sweep.variants.iter().all(|variant| variant.losses[0] != variant.losses[1]), "seeds differ");
        let before = sweep.clone();
        let one = |_| {
            let config =
                TrainConfig { length: Length::Steps(1), batch_size: 4, context_len: 8, ..TrainConfig::default() };
            Ok((MlpLm::new(MlpConfig::original(), Device::Cpu)?, config))
        };
        sweep.measure(4, 0..1, &tokens, &tokens, one).unwrap();
        assert_eq!(sweep.variants.iter().map(|variant| variant.losses.len()).collect::<Vec<_>>(), [2, 1, 2]);
        assert_eq!((&sweep.variants[0], &sweep.variants[2]), (&before.variants[0], &before.variants[2]));
        let picture = sweep.draw().unwrap();
        assert!(picture.svg.contains("steps") && picture.alt.contains("16"), "{}", picture.alt);
        assert!(Sweep::new("nothing").draw().is_err());
        let none = sweep.measure("none", 0..0, &tokens, &tokens, |_| {
            Ok((MlpLm::new(MlpConfig::original(), Device::Cpu)?, TrainConfig::default()))
        });
        assert!(none.unwrap_err().to_string().contains("at least one seed"));
    }
}
