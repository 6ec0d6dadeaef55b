//! What the optimisers have in common.

use crate::error::Result;
use tch::Tensor;

/// What an optimiser remembers of a parameter.
#[derive(Debug)]
pub(crate) enum Memory {
    /// SGD: nothing.
    Nothing,
    /// Momentum's v.
    Velocity(Tensor),
    /// Adam's m and v, and the steps that made them.
    Adam { mean: Tensor, square: Tensor, steps: i32 },
    /// Muon's m of all matrices of this shape (N, R, K), which of them this is, and which parameters they are.
    Muon { momentum: Tensor, row: i64, together: Vec<usize> },
}

/// Takes a share off each number: weight decay.
pub(super) fn decay(parameters: &mut Tensor, share: f64) -> Result<()> {
    if share > 0.0 {
        let _ = parameters.f_mul_scalar_(1.0 - share)?;
    }
    Ok(())
}
