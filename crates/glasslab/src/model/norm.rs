//! Normalisation: bringing the numbers of each character to one size, so that layers can be stacked.

use super::Parameter;
use crate::error::Result;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

const EPSILON: f64 = 1e-5;

/// Which normalisation a model uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// Mean 0 and variance 1, then a learnt scale and shift (Ba et al. 2016).
    Layer,
    /// Root mean square 1, nothing learnt (Zhang and Sennrich 2019).
    Rms,
}

/// A normalisation.
#[derive(Debug)]
pub struct Norm {
    /// The learnt scale and shift of a layer norm, (C) each.
    pub learnt: Option<(Tensor, Tensor)>,
}

impl Norm {
    /// A normalisation that does not scale or shift yet.
    ///
    /// # Errors
    /// If the device has no memory for it.
    pub fn new(kind: NormKind, emb_dim: i64, device: Device) -> Result<Norm> {
        let options = (Kind::Float, device);
        let learnt = match kind {
            NormKind::Rms => None,
            NormKind::Layer => Some((
                Tensor::f_ones([emb_dim], options)?.set_requires_grad(true),
                Tensor::f_zeros([emb_dim], options)?.set_requires_grad(true),
            )),
        };
        Ok(Norm { learnt })
    }

    /// Normalises each character's numbers.
    ///
    /// # Shapes
    /// (…, C) → (…, C)
    ///
    /// # Errors
    /// If C is another one than at its making.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match &self.learnt {
            Some((scale, shift)) => Ok(x.f_layer_norm(scale.size(), Some(scale), Some(shift), EPSILON, false)?),
            None => rms_norm(x),
        }
    }

    pub(super) fn parameters(&mut self, name: &str) -> Vec<Parameter<'_>> {
        match &mut self.learnt {
            Some((scale, shift)) => {
                vec![Parameter::new(format!("{name}.weight"), scale), Parameter::new(format!("{name}.bias"), shift)]
            }
            None => Vec::new(),
        }
    }
}

/// x / √(mean(x²) + ε) over the last axis.
///
/// # Shapes
/// (…, C) → (…, C)
///
/// # Errors
/// What libtorch fails with.
pub fn rms_norm(x: &Tensor) -> Result<Tensor> {
    let size = x.size();
    Ok(x.f_rms_norm(&size[size.len() - 1..], None::<&Tensor>, EPSILON)?)
}
