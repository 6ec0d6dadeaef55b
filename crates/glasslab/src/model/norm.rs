//! Normalisation: bringing the numbers of each character to one size, so that layers can be stacked.

use super::Parameter;
use super::start::Start;
use crate::error::Result;
use crate::rng::Rng;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

/// What keeps a norm from dividing by 0, if nothing else is said.
pub const EPSILON: f64 = 1e-5;

/// Which normalisation a model uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// Mean 0 and variance 1, then a learnt scale and shift (Ba et al. 2016).
    Layer,
    /// Root mean square 1, nothing learnt (Zhang and Sennrich 2019).
    Rms,
    /// Root mean square 1, then a learnt scale: what Llama, Qwen and Gemma have.
    ScaledRms,
}

/// A normalisation.
#[derive(Debug)]
pub struct Norm {
    /// The learnt scale, (C).
    pub scale: Option<Tensor>,
    /// The learnt shift of a layer norm, (C).
    pub shift: Option<Tensor>,
    /// What keeps it from dividing by 0: it is added to the mean of squares.
    pub epsilon: f64,
}

impl Norm {
    /// A normalisation that does not scale or shift yet.
    ///
    /// # Errors
    /// If the device has no memory for it.
    pub fn new(kind: NormKind, emb_dim: i64, device: Device) -> Result<Norm> {
        Norm::with(kind, emb_dim, EPSILON, &Start::drawn(&mut Rng::new(0), device)) // of which it draws nothing
    }

    pub(super) fn with(kind: NormKind, emb_dim: i64, epsilon: f64, start: &Start<'_>) -> Result<Norm> {
        let (ones, zeros) = (|| start.full(&[emb_dim], 1.0), || start.zeros(&[emb_dim]));
        let (scale, shift) = match kind {
            NormKind::Rms => (None, None),
            NormKind::ScaledRms => (Some(ones()?), None),
            NormKind::Layer => (Some(ones()?), Some(zeros()?)),
        };
        Ok(Norm { scale, shift, epsilon })
    }

    /// Normalises each character's numbers.
    ///
    /// # Shapes
    /// (…, C) → (…, C)
    ///
    /// # Errors
    /// If C is another one than at its making.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match (&self.scale, &self.shift) {
            (Some(scale), Some(_)) => {
                Ok(x.f_layer_norm(scale.size(), Some(scale), self.shift.as_ref(), self.epsilon, false)?)
            }
            (Some(scale), None) => Ok(rms_norm_with(x, self.epsilon)?.f_mul(scale)?),
            (None, _) => rms_norm_with(x, self.epsilon),
        }
    }

    pub(super) fn parameters(&self, name: &str) -> Vec<Parameter> {
        let parameter = |end: &str, tensor: &Tensor| Parameter::new(format!("{name}.{end}"), tensor);
        let scale = self.scale.as_ref().map(|scale| parameter("weight", scale));
        scale.into_iter().chain(self.shift.as_ref().map(|shift| parameter("bias", shift))).collect()
    }
}

/// x / √(mean(x²) + ε) over the last axis.
///
/// The root is that of two squares, (‖x‖ / √C)² and (√ε)²: as a hypotenuse it takes half the calls of libtorch that its own
/// `rms_norm` makes, and a text is written a fifth faster.
///
/// # Shapes
/// (…, C) → (…, C)
///
/// # Errors
/// What libtorch fails with.
pub fn rms_norm(x: &Tensor) -> Result<Tensor> {
    rms_norm_with(x, EPSILON)
}

/// [`rms_norm`] with another ε.
///
/// # Shapes
/// (…, C) → (…, C)
///
/// # Errors
/// What libtorch fails with.
pub fn rms_norm_with(x: &Tensor, epsilon: f64) -> Result<Tensor> {
    let dim = x.size().last().copied().unwrap_or(1) as f64;
    let length = x.f_norm_scalaropt_dim(2, [-1].as_slice(), true)?; // (…, 1)
    let epsilon = Tensor::f_full([], epsilon.sqrt(), (x.kind(), x.device()))?;
    Ok(x.f_mul(&length.f_mul_scalar(dim.powf(-0.5))?.f_hypot(&epsilon)?.f_reciprocal()?)?)
}

#[cfg(test)]
mod tests {
    use super::super::random_tensor;
    use super::*;
    use tch::Kind;

    #[test]
    fn rms_norm_and_its_gradient_are_libtorchs_also_for_zeros_and_tiny_numbers() {
        for size in [1.0, 1e-3, 0.0] {
            let x = random_tensor(&mut Rng::new(1), &[3, 4, 6], size).unwrap();
            let [own, theirs] = [true, false].map(|own| {
                let x = x.copy().set_requires_grad(true);
                let y = if own { rms_norm(&x).unwrap() } else { x.rms_norm(6, None::<&Tensor>, EPSILON) };
                (&y * random_tensor(&mut Rng::new(2), &[3, 4, 6], 1.0).unwrap()).sum(Kind::Float).backward();
                (y.detach(), x.grad())
            });
            assert!((own.0 - theirs.0).abs().max().double_value(&[]) < 1e-6, "{size}");
            let most = theirs.1.abs().max().double_value(&[]);
            assert!((own.1 - theirs.1).abs().max().double_value(&[]) < 1e-5 * most, "{size}");
        }
    }
}
