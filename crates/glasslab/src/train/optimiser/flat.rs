//! What moves tables, biases and scales, and without Muon all: SGD, momentum or AdamW on one long vector.

use super::memory::{Memory, decay};
use crate::error::Result;
use crate::model::Parameter;
use crate::slices::{is_walkable, walk, walk_mut};
use crate::threads::{WORTH, share};
use crate::train::OptimiserKind;
use tch::{Device, Tensor};

pub(crate) const FRICTION: f64 = 0.9;
pub(crate) const BETA1: f64 = 0.9;
pub(crate) const BETA2: f64 = 0.999;
pub(crate) const EPSILON: f64 = 1e-8;

/// The parameters that are moved number by number, as one vector (P).
#[derive(Debug)]
pub(super) struct Flat {
    parameters: Tensor,
    rule: Rule,
    /// How many numbers each of them has.
    lengths: Vec<i64>,
}

#[derive(Debug)]
enum Rule {
    Sgd,
    Momentum { velocity: Tensor },
    Adam { mean: Tensor, square: Tensor, steps: i32 },
}

impl Flat {
    /// From now on the parameters are views of one vector.
    pub(super) fn new(kind: OptimiserKind, own: &mut [Parameter], device: Device) -> Result<Flat> {
        let flat: Vec<Tensor> = own.iter().map(|parameter| parameter.tensor.detach().flatten(0, -1)).collect();
        let parameters = joined(&flat, device)?; // (P)
        let mut start = 0;
        for parameter in own.iter_mut() {
            let length = parameter.tensor.numel() as i64;
            let view = parameters.f_narrow(0, start, length)?.f_view(&parameter.tensor.size()[..])?;
            parameter.tensor.f_set_data(&view)?;
            start += length;
        }
        let rule = match kind {
            OptimiserKind::Sgd => Rule::Sgd,
            OptimiserKind::Momentum => Rule::Momentum { velocity: parameters.zeros_like() },
            OptimiserKind::Adamw | OptimiserKind::Muon => {
                Rule::Adam { mean: parameters.zeros_like(), square: parameters.zeros_like(), steps: 0 }
            }
        };
        Ok(Flat { parameters, rule, lengths: own.iter().map(|one| one.tensor.numel() as i64).collect() })
    }

    /// Moves them along their gradients times `by`.
    pub(super) fn step(&mut self, gradients: &[Tensor], by: f32, lr: f64, weight_decay: f64) -> Result<()> {
        let Flat { parameters, rule, .. } = self;
        if let Rule::Adam { steps, .. } = rule {
            *steps += 1;
        }
        if let Rule::Adam { mean, square, steps } = rule
            && is_walkable(parameters)
            && gradients.iter().all(is_walkable)
        {
            // SAFETY: these numbers are the optimiser's own, and no model computes while it is moved.
            let [mut parameters, mut mean, mut square] =
                unsafe { [walk_mut(parameters), walk_mut(mean), walk_mut(square)] };
            let all = parameters.len();
            let mut parts = Vec::new();
            for gradient in gradients.iter().flat_map(|gradient| walk(gradient).chunks(WORTH)) {
                let one = [&mut parameters, &mut mean, &mut square]
                    .map(|all| all.split_off_mut(..gradient.len()).expect("as many numbers as gradients"));
                parts.push((one, gradient));
            }
            let (scale, kept) = (scale(*steps, lr), 1.0 - lr * weight_decay);
            share(parts, all, |(one, gradient)| adam(one, gradient, by, scale, kept));
            return Ok(());
        }
        let mut gradient = joined(gradients, parameters.device())?; // (P)
        if by != 1.0 {
            let _ = gradient.f_mul_scalar_(f64::from(by))?;
        }
        decay(parameters, lr * weight_decay)?;
        match rule {
            Rule::Sgd => _ = parameters.f_sub_(&gradient.f_mul_scalar(lr)?)?,
            Rule::Momentum { velocity } => {
                let _ = velocity.f_mul_scalar_(FRICTION)?.f_add_(&gradient)?;
                let _ = parameters.f_sub_(&velocity.f_mul_scalar(lr)?)?;
            }
            Rule::Adam { mean, square, steps } => {
                let _ = mean.f_lerp_(&gradient, 1.0 - BETA1)?;
                let _ = square.f_lerp_(&gradient.f_square()?, 1.0 - BETA2)?;
                // θ − lr · m̂ / (√v̂ + ε) in place, with what is the same for all parameters taken out of the fraction.
                let (shift, factor) = scale(*steps, lr);
                let mut scale = square.f_sqrt()?;
                let _ = scale.f_add_scalar_(shift)?.f_mul_scalar_(factor)?;
                let _ = parameters.f_addcdiv_(mean, &scale)?;
            }
        }
        Ok(())
    }

    /// What it remembers of one of its parameters, as a copy in the parameter's shape.
    pub(super) fn memory_of(&self, place: usize, size: &[i64]) -> Result<Memory> {
        let start: i64 = self.lengths[..place].iter().sum();
        let part = |tensor: &Tensor| -> Result<Tensor> {
            Ok(tensor.f_narrow(0, start, self.lengths[place])?.f_view(size)?.copy())
        };
        Ok(match &self.rule {
            Rule::Sgd => Memory::Nothing,
            Rule::Momentum { velocity } => Memory::Velocity(part(velocity)?),
            Rule::Adam { mean, square, steps } => {
                Memory::Adam { mean: part(mean)?, square: part(square)?, steps: *steps }
            }
        })
    }

    pub(super) fn memory(&self) -> Vec<(String, Tensor)> {
        match &self.rule {
            Rule::Sgd => Vec::new(),
            Rule::Momentum { velocity } => vec![("momentum.velocity".to_owned(), velocity.shallow_clone())],
            Rule::Adam { mean, square, steps } => vec![
                ("adam.steps".to_owned(), Tensor::from_slice(&[*steps])),
                ("adam.mean".to_owned(), mean.shallow_clone()),
                ("adam.square".to_owned(), square.shallow_clone()),
            ],
        }
    }

    pub(super) fn set_steps(&mut self, taken: i32) {
        if let Rule::Adam { steps, .. } = &mut self.rule {
            *steps = taken;
        }
    }
}

/// θ − lr · m̂ / (√v̂ + ε) is θ + m / ((√v + `shift`) · `factor`).
pub(crate) fn scale(steps: i32, lr: f64) -> (f64, f64) {
    let (bias1, bias2) = (1.0 - BETA1.powi(steps), (1.0 - BETA2.powi(steps)).sqrt());
    (EPSILON * bias2, -bias1 / (lr * bias2))
}

/// Adam's step on the numbers of a parameter, its m and its v, in the processor's memory: one pass instead of seven.
fn adam(
    [parameters, mean, square]: [&mut [f32]; 3],
    gradient: &[f32],
    by: f32,
    (shift, factor): (f64, f64),
    kept: f64,
) {
    let [new_mean, new_square, shift, factor, kept] =
        [1.0 - BETA1, 1.0 - BETA2, shift, factor, kept].map(|number| number as f32);
    // By places, which becomes vector instructions in whatever way the crate is compiled; four joined iterators don't.
    let all = gradient.len();
    let (parameters, mean, square) = (&mut parameters[..all], &mut mean[..all], &mut square[..all]);
    for place in 0..all {
        let g = gradient[place] * by;
        let m = mean[place] + new_mean * (g - mean[place]);
        let v = square[place] + new_square * (g * g - square[place]);
        (mean[place], square[place]) = (m, v);
        parameters[place] = kept * parameters[place] + m / ((v.sqrt() + shift) * factor);
    }
}

/// Vectors, one after the other; of none, an empty one.
fn joined(parts: &[Tensor], device: Device) -> Result<Tensor> {
    match parts.is_empty() {
        true => Ok(Tensor::f_zeros([0], (tch::Kind::Float, device))?),
        false => Ok(Tensor::f_cat(parts, 0)?),
    }
}
