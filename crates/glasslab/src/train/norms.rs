//! How long the gradient and the step of each parameter were, and in which directions a matrix was moved.

use super::optimiser::{self, Memory, Moved};
use super::step::TrainStep;
use crate::error::{Error, Result};
use crate::numbers::digits;
use crate::numbers::{numbers, shape};
use std::fmt;
use tch::{Kind, Tensor};

/// How long a parameter, its gradient and its step are, each as one vector: √Σx².
#[derive(Debug, Clone, PartialEq)]
pub struct Lengths {
    /// The parameter.
    pub name: String,
    /// How many numbers it has.
    pub numbers: usize,
    /// Of the gradient, before it is clipped.
    pub gradient: f64,
    /// Of the parameter, after the step.
    pub parameter: f64,
    /// Of the step.
    pub update: f64,
}

impl Lengths {
    fn of(moved: &Moved) -> Result<Lengths> {
        let length = |tensor: &Tensor| -> Result<f64> { Ok(tensor.f_norm()?.f_double_value(&[])?) };
        Ok(Lengths {
            name: moved.name.clone(),
            numbers: moved.before.numel(),
            gradient: length(&moved.gradient)?,
            parameter: length(&moved.after)?,
            update: length(&moved.after.f_sub(&moved.before)?)?,
        })
    }

    /// The step as a share of the parameter: 0.01 is a step of a hundredth of it. 1 for what was 0 before.
    pub fn ratio(&self) -> f64 {
        if self.update == 0.0 { 0.0 } else { self.update / self.parameter }
    }
}

/// The lengths of all parameters in one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Norms {
    /// The step.
    pub step: usize,
    /// A row for each parameter, in the model's order.
    pub rows: Vec<Lengths>,
}

impl fmt::Display for Norms {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wide = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max(12);
        let step = format!("step {}", self.step);
        write!(
            out,
            "{step:<wide$}  {:>9}  {:>11}  {:>11}  {:>18}",
            "numbers", "gradient", "update", "update / parameter"
        )?;
        for row in &self.rows {
            let Lengths { name, numbers, gradient, update, .. } = row;
            let (gradient, update, ratio) = (digits(*gradient, 3), digits(*update, 3), digits(row.ratio(), 2));
            write!(out, "\n{name:<wide$}  {numbers:>9}  {gradient:>11}  {update:>11}  {ratio:>18}")?;
        }
        Ok(())
    }
}

/// In how many directions a matrix is moved: the singular values of the gradient, as the optimiser has smoothed it, and of the
/// step that it makes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SingularValues {
    /// The parameter.
    pub name: String,
    /// The step.
    pub step: usize,
    /// What moves it.
    pub optimiser: &'static str,
    /// Of the smoothed gradient, the largest first: SGD's g, momentum's v, Adam's m̂, Muon's g + 0.95 m.
    pub before: Vec<f64>,
    /// Of the step for a learning rate of 1: SGD's g, momentum's v, Adam's m̂ / (√v̂ + ε), Muon's orthogonal matrix.
    pub after: Vec<f64>,
}

impl TrainStep {
    /// The lengths of each parameter, its gradient and its step.
    ///
    /// # Errors
    /// What libtorch fails with.
    pub fn norms(&self) -> Result<Norms> {
        Ok(Norms { step: self.step, rows: self.parameters.iter().map(Lengths::of).collect::<Result<_>>()? })
    }

    /// The singular values of a matrix's gradient, as the optimiser has smoothed it, and of the step that it makes of it.
    /// Muon makes all directions alike; Adam some, and SGD none.
    ///
    /// # Errors
    /// If there is no such parameter, or it is no matrix.
    pub fn singular_values(&self, name: &str) -> Result<SingularValues> {
        let parameter = self.parameter(name)?;
        if parameter.before.dim() != 2 {
            return Err(Error::Shape {
                expected: format!("{name} to be a matrix (R, K)"),
                got: shape(&parameter.before),
                hint: "only a matrix has singular values: name one".to_owned(),
            });
        }
        let gradient = self.clipped(&parameter.gradient)?;
        let (optimiser, before, after) = match &parameter.memory {
            Memory::Nothing => ("SGD", gradient.shallow_clone(), gradient),
            Memory::Velocity(velocity) => {
                let velocity = velocity.f_mul_scalar(optimiser::FRICTION)?.f_add(&gradient)?;
                ("momentum", velocity.shallow_clone(), velocity)
            }
            Memory::Adam { mean, square, steps } => {
                let (beta1, beta2) = (optimiser::BETA1, optimiser::BETA2);
                let mean = mean.f_lerp(&gradient, 1.0 - beta1)?.f_div_scalar(1.0 - beta1.powi(steps + 1))?;
                let square = square.f_lerp(&gradient.f_square()?, 1.0 - beta2)?;
                let root = square.f_div_scalar(1.0 - beta2.powi(steps + 1))?.f_sqrt()?;
                let step = mean.f_div(&root.f_add_scalar(optimiser::EPSILON)?)?;
                ("AdamW", mean, step)
            }
            Memory::Muon { momentum, row, together } => {
                let own = momentum.f_get(*row)?.f_mul_scalar(optimiser::MOMENTUM)?.f_add(&gradient)?;
                let ahead = optimiser::look_ahead(&gradient, &own)?;
                ("Muon", ahead, self.orthogonalised(momentum, together)?.f_get(*row)?)
            }
        };
        let values = |matrix: Tensor| numbers(&matrix.f_to_kind(Kind::Double)?.f_svd(true, false)?.1);
        if !numbers(&before)?.iter().all(|number| number.is_finite()) {
            return Err(Error::Data(format!("the gradient of {name} is not finite: there are no directions in it")));
        }
        let (name, step) = (name.to_owned(), self.step);
        Ok(SingularValues { name, step, optimiser, before: values(before)?, after: values(after)? })
    }
}

impl SingularValues {
    /// How much of a matrix lies in its strongest direction: σ₁² / Σσ², from 1 / n to 1.
    pub fn strongest(values: &[f64]) -> f64 {
        let all: f64 = values.iter().map(|value| value.powi(2)).sum();
        if all > 0.0 { values.first().map_or(0.0, |first| first.powi(2) / all) } else { 0.0 }
    }
}

impl fmt::Display for SingularValues {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SingularValues { name, step, optimiser, before, after } = self;
        write!(out, "{name}, step {step}, moved by {optimiser}: {} singular values", before.len())?;
        for (what, values) in [("of the smoothed gradient", before), ("of the step", after)] {
            let (Some(most), Some(least)) = (values.first(), values.last()) else { continue };
            let share = 100.0 * SingularValues::strongest(values);
            let (most, least) = (digits(*most, 3), digits(*least, 3));
            write!(out, "\n  {what:<24}  {most} to {least}; the strongest direction has {share:.0} % of it")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Length, OptimiserKind, StepByStep, TrainConfig};
    use super::*;
    use crate::data::{Stories, Tokens};
    use crate::model::{TransformerConfig, TransformerLm};
    use crate::tokenizer::CharTokenizer;
    use tch::Device;

    fn step(optimiser: OptimiserKind, before: usize) -> TrainStep {
        let text = "Once upon a time, there was a little girl named Lily. She had a red ball.";
        let tokens = Tokens::encode(&Stories::parse(text).unwrap(), &CharTokenizer::default()).unwrap();
        let mut model = TransformerLm::new(TransformerConfig::original(), Device::Cpu).unwrap();
        let config = TrainConfig { length: Length::Steps(9), context_len: 32, optimiser, ..TrainConfig::default() };
        let mut steps = StepByStep::new(&mut model, &tokens, &config).unwrap();
        steps.skip(&mut model, before).unwrap();
        steps.next(&mut model).unwrap()
    }

    #[test]
    fn the_lengths_are_those_of_gradient_and_step() {
        let step = step(OptimiserKind::Sgd, 2);
        let norms = step.norms().unwrap();
        let whole = norms.rows.iter().map(|row| row.gradient.powi(2)).sum::<f64>().sqrt();
        assert!((whole - step.gradient).abs() < 1e-5 * whole, "{whole} is not {}", step.gradient);
        // Plain descent: a step is the learning rate times the gradient.
        let rate = 0.01 * step.schedule;
        for row in norms.rows.iter().filter(|row| row.gradient > 1e-3) {
            assert!((row.update / (rate * row.gradient) - 1.0).abs() < 0.05, "{norms}");
        }
        let told = norms.to_string();
        assert_eq!(told.lines().count(), norms.rows.len() + 1);
        assert!(told.contains("embedding") && told.contains("update / parameter"), "{told}");
    }

    #[test]
    fn muon_makes_all_directions_alike_and_plain_descent_none() {
        let name = "block.0.mlp.hidden.weight";
        let muon = step(OptimiserKind::Muon, 2).singular_values(name).unwrap();
        let ratio = |values: &[f64]| values[0] / values[values.len() / 2];
        assert_eq!((muon.before.len(), muon.after.len()), (32, 32));
        assert!(muon.before.is_sorted_by(|a, b| a >= b) && ratio(&muon.before) > 2.0 * ratio(&muon.after), "{muon}");
        assert!(muon.after[0] < 1.3 && muon.to_string().contains("moved by Muon"), "{muon}");
        let plain = step(OptimiserKind::Sgd, 2).singular_values(name).unwrap();
        assert_eq!(plain.before, plain.after);
        // At the first step, Adam's step is the sign of the gradient.
        let adam = step(OptimiserKind::Adamw, 0).singular_values("embedding").unwrap();
        let length = adam.after.iter().map(|value| value.powi(2)).sum::<f64>().sqrt();
        assert!((length - (256.0_f64 * 32.0).sqrt()).abs() < 1.0, "{length}");
    }

    #[test]
    fn only_matrices_have_singular_values() {
        let message = step(OptimiserKind::Sgd, 0).singular_values("block.0.norm1.weight").unwrap_err().to_string();
        assert!(message.contains("matrix (R, K)"), "{message}");
    }
}
