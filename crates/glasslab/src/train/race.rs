//! Trainings beside each other: optimisers, learning rates, whatever is to be compared.
//!
//! ```
//! # use glasslab::prelude::*;
//! # fn main() -> Result<()> {
//! # let tokens = Tokens::encode(&Dataset::embedded()?.held_out, &CharTokenizer::default())?;
//! let training = TrainConfig { length: Length::Steps(20), reports: 1, ..TrainConfig::default() };
//! let mut race = Race::new();
//! for (name, lr) in [("too small", 1e-5), ("right", 0.01), ("too large", 1e30)] {
//!     let mut model = MlpLm::new(MlpConfig::original(), Device::Cpu)?;
//!     race.run(name, &mut model, &tokens, &tokens, &TrainConfig { lr, ..training.clone() })?;
//! }
//! println!("{race}");
//! race.draw()?;
//! # Ok(())
//! # }
//! ```

use super::config::TrainConfig;
use super::history::History;
use super::training::Training;
use crate::data::Tokens;
use crate::error::{Error, Result};
use crate::live::Progress;
use crate::model::Trainable;
use glasslab_wire::is_connected;
use std::fmt;
use std::ops::ControlFlow;

/// One training of a race.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its name.
    pub name: String,
    /// Its losses.
    pub history: History,
}

/// Trainings, to be compared in one picture. A training whose loss goes out of range is one of them, and ends there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Race {
    /// The trainings, in the order of their first run.
    pub runs: Vec<Run>,
}

impl Race {
    /// Nobody has run yet.
    pub fn new() -> Race {
        Race::default()
    }

    /// Trains a model, and prints a line. A training of a name that has run before replaces that one.
    ///
    /// # Errors
    /// As [`train`](super::train), but for a loss out of range; and if it is stopped: then those before are kept.
    pub fn run(
        &mut self,
        name: impl ToString,
        model: &mut impl Trainable,
        data: &Tokens,
        held_out: &Tokens,
        config: &TrainConfig,
    ) -> Result<()> {
        let name = name.to_string();
        let mut training = Training::new(model, data, config)?;
        let mut progress = Progress::new(name.clone());
        let result = training.run(model, data, held_out, &mut (), |moment| {
            progress.update(moment.progress, || moment.history.state());
            ControlFlow::Continue(())
        });
        match result {
            Ok(()) | Err(Error::NonFinite { .. }) => {}
            Err(error) => return Err(error),
        }
        let run = Run { name, history: training.into_history() };
        match is_connected() {
            true => progress.finish(&run.end()),
            false => println!("{:<16} {}", run.name, run.end()),
        }
        if run.history.stopped {
            return Err(Error::Stopped(format!("in {}; those before it are kept", run.name)));
        }
        match self.runs.iter_mut().find(|other| other.name == run.name) {
            Some(other) => *other = run,
            None => self.runs.push(run),
        }
        Ok(())
    }
}

impl Run {
    /// How it ended.
    fn end(&self) -> String {
        match self.history.diverged() {
            Some(step) => format!("out of range before step {step}"),
            None => self.history.state(),
        }
    }
}

impl fmt::Display for Race {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wide = self.runs.iter().map(|run| run.name.chars().count()).max().unwrap_or(0);
        let lines: Vec<String> = self.runs.iter().map(|run| format!("{:<wide$}  {}", run.name, run.end())).collect();
        match lines.is_empty() {
            true => write!(out, "nobody has run yet"),
            false => write!(out, "{}", lines.join("\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Length, OptimiserKind, train};
    use super::*;
    use crate::data::Stories;
    use crate::model::{MlpConfig, MlpLm};
    use crate::tokenizer::CharTokenizer;
    use tch::Device;

    fn tokens() -> Tokens {
        Tokens::encode(&Stories::parse(&"abcabd".repeat(20)).unwrap(), &CharTokenizer::default()).unwrap()
    }

    fn model() -> MlpLm {
        MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap()
    }

    fn config() -> TrainConfig {
        TrainConfig { length: Length::Steps(30), batch_size: 4, context_len: 8, reports: 2, ..TrainConfig::default() }
    }

    #[test]
    fn each_optimiser_runs_as_it_trains() {
        let tokens = tokens();
        let mut race = Race::new();
        for (optimiser, lr) in
            [(OptimiserKind::Sgd, 0.1), (OptimiserKind::Momentum, 0.03), (OptimiserKind::Adamw, 0.01)]
        {
            let config = TrainConfig { optimiser, lr, ..config() };
            race.run(optimiser.name(), &mut model(), &tokens, &tokens, &config).unwrap();
            let alone = train(&mut model(), &tokens, &tokens, &config).unwrap();
            let losses = |history: &History| history.points.iter().map(|point| point.train).collect::<Vec<_>>();
            assert_eq!(losses(&race.runs.last().unwrap().history), losses(&alone));
        }
        race.run("SGD", &mut model(), &tokens, &tokens, &config()).unwrap();
        assert_eq!(race.runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>(), ["SGD", "momentum", "AdamW"]);
        assert_eq!(
            race.runs[0].history.points,
            race.runs[2]
                .history
                .points
                .iter()
                .zip(&race.runs[0].history.points)
                .map(|(adam, own)| super::super::Point { seconds: own.seconds, ..*adam })
                .collect::<Vec<_>>(),
            "replaced"
        );
        assert!(race.to_string().lines().count() == 3 && race.to_string().contains("momentum"), "{race}");
    }

    #[test]
    fn what_goes_out_of_range_keeps_its_course() {
        let (tokens, mut race) = (tokens(), Race::new());
        for lr in [1e30, 0.01] {
            race.run(format!("lr {lr}"), &mut model(), &tokens, &tokens, &TrainConfig { lr, ..config() }).unwrap();
        }
        let (large, right) = (&race.runs[0].history, &race.runs[1].history);
        assert!(large.points[0].train < 6.0 && large.diverged().is_some_and(|step| step < 5), "{large:?}");
        assert_eq!(right.diverged(), None);
        assert!(race.to_string().contains("out of range before step"), "{race}");
        let error = race.run("none", &mut model(), &tokens, &tokens, &TrainConfig { lr: -1.0, ..config() });
        assert!(error.is_err() && race.runs.len() == 2);
    }
}
