//! One step of a training: all that moved, and why so far.

use super::config::{Length, OptimiserKind, TrainConfig};
use super::optimiser::{Memory, Moved, SlowMotion};
use crate::error::{Error, Result};
use crate::numbers::digits;
use crate::tokenizer::Unit;
use std::fmt;
use tch::Tensor;

/// One step of a training, with everything that moved.
#[derive(Debug)]
pub struct TrainStep {
    /// Which step it is, from 1.
    pub step: usize,
    /// The loss of its batch, before the step, in nats per character, or token.
    pub loss: f64,
    /// What the learning rates are multiplied by at this moment, by the schedule.
    pub schedule: f64,
    /// The length of the whole gradient, as one vector over all parameters.
    pub gradient: f64,
    /// What clipping has multiplied the gradient by: 1 if it was short enough; `None` if nothing is clipped.
    pub shortened: Option<f64>,
    pub(super) config: TrainConfig,
    pub(super) parameters: Vec<Moved>,
    unit: Unit,
}

impl TrainStep {
    pub(super) fn new(
        config: &TrainConfig,
        step: usize,
        schedule: f64,
        loss: &Tensor,
        seen: SlowMotion,
        unit: Unit,
    ) -> Result<TrainStep> {
        let SlowMotion { parameters, length, shortened } = seen;
        let loss = loss.f_double_value(&[])?;
        Ok(TrainStep { step, loss, schedule, gradient: length, shortened, config: config.clone(), parameters, unit })
    }

    /// The learning rate of a parameter's step, before the schedule.
    pub(super) fn lr(&self, parameter: &Moved) -> f64 {
        match parameter.memory {
            Memory::Muon { .. } => self.config.matrix_lr,
            _ => self.config.lr,
        }
    }

    pub(super) fn parameter(&self, name: &str) -> Result<&Moved> {
        self.parameters.iter().find(|parameter| parameter.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
            Error::Config(format!("this model has no parameter {name:?}; it has {}", names.join(", ")))
        })
    }

    /// The gradient of a parameter, as the backward pass gave it.
    ///
    /// # Shapes
    /// Those of the parameter; nats per unit
    ///
    /// # Errors
    /// If there is none of that name; the message lists those that are.
    pub fn gradient_of(&self, name: &str) -> Result<Tensor> {
        Ok(self.parameter(name)?.gradient.shallow_clone())
    }

    /// By how much a parameter moved: its numbers after the step less those before.
    ///
    /// # Shapes
    /// Those of the parameter
    ///
    /// # Errors
    /// As [`gradient_of`](Self::gradient_of).
    pub fn update_of(&self, name: &str) -> Result<Tensor> {
        let Moved { before, after, .. } = self.parameter(name)?;
        Ok(after.f_sub(before)?)
    }
}

impl fmt::Display for TrainStep {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TrainStep { step, loss, schedule, gradient, shortened, config, parameters, unit } = self;
        writeln!(out, "step {step}{}: loss {loss:.4} {} on its batch, before the step", of(config), unit.nats)?;
        let rate = |lr: f64| format!("{} · {} = {}", digits(lr, 6), digits(*schedule, 4), digits(lr * schedule, 4));
        write!(out, "learning rate · schedule: {}", rate(config.lr))?;
        if parameters.iter().any(|parameter| matches!(parameter.memory, Memory::Muon { .. })) {
            write!(out, "; for Muon's matrices {}", rate(config.matrix_lr))?;
        } else if config.optimiser != OptimiserKind::Muon {
            write!(out, ", with {}", config.optimiser.name())?;
        }
        let numbers: usize = parameters.iter().map(|parameter| parameter.before.numel()).sum();
        write!(out, "\nthe gradient, over all {numbers} numbers together, is {} long: ", digits(*gradient, 4))?;
        match (config.clip, shortened) {
            (Some(clip), Some(scale)) if *scale < 1.0 => {
                write!(out, "longer than {clip}, so each of its numbers is clipped to {} of itself", digits(*scale, 4))
            }
            (Some(clip), _) => write!(out, "not longer than {clip}, so it is not clipped"),
            _ => write!(out, "it is not clipped (`clip` in the config is None)"),
        }
    }
}

/// ` of 100`, where the number of steps is known.
pub(super) fn of(config: &TrainConfig) -> String {
    match config.length {
        Length::Steps(steps) => format!(" of {steps}"),
        Length::Seconds(_) => String::new(),
    }
}
