//! Rotary positions: each pair of neighbouring numbers of a query or key is turned by an angle that grows with its
//! position, so that a score depends on how far apart two characters are, not on where they stand.
//!
//! ```text
//! (a, b) at position t  →  (a·cos θt − b·sin θt, a·sin θt + b·cos θt)      θ = 10000^(−2i/D) for pair i
//! ```
//! Read as the complex number a + b·i, a pair is turned by one product with cos θt + i·sin θt.
//! Source: Su et al., "RoFormer", 2021, section 3.2.2.

use super::to_precision;
use crate::error::{Error, Result};
use tch::{Device, Kind, Tensor};

/// The angles of all positions.
#[derive(Debug)]
pub struct Rotary {
    /// (T, D/2), complex: cos θt + i·sin θt
    pub turns: Tensor,
}

impl Rotary {
    /// The angles for `context_len` positions: slow ones and fast ones, from 1 down to 1/10000 a character.
    ///
    /// # Errors
    /// If `head_dim` is odd.
    pub fn new(context_len: i64, head_dim: i64, device: Device) -> Result<Rotary> {
        if head_dim % 2 != 0 {
            return Err(Error::Config(format!(
                "rotary positions turn pairs of numbers, so head_dim must be even, got {head_dim}"
            )));
        }
        let options = (Kind::Float, device);
        let pairs = Tensor::f_arange(head_dim / 2, options)?;
        let speeds = (pairs * (-2.0 / head_dim as f64 * 10_000_f64.ln())).f_exp()?; // (D/2)
        let angles = Tensor::f_arange(context_len, options)?.f_outer(&speeds)?; // (T, D/2)
        Ok(Rotary { turns: Tensor::f_complex(&angles.f_cos()?, &angles.f_sin()?)? })
    }

    /// Turns each vector by its position, the first of them standing at `first`.
    ///
    /// # Shapes
    /// `x`: (…, T, D) → (…, T, D), in the precision of `x`
    ///
    /// # Errors
    /// If `first` + T is larger than the angles' T, or D another.
    pub fn turn(&self, x: &Tensor, first: i64) -> Result<Tensor> {
        let [.., time, dim] = x.size()[..] else {
            return Err(Error::Shape {
                expected: "vectors of shape (…, T, D)".to_owned(),
                got: format!("{:?}", x.size()),
                hint: "one vector a position".to_owned(),
            });
        };
        let turns = self.turns.f_narrow(0, first, time)?; // (T, D/2)
        let wide = if x.kind() == Kind::Double { Kind::Double } else { Kind::Float };
        let pairs = to_precision(x.shallow_clone(), wide)?.f_unflatten(-1, [dim / 2, 2])?.f_view_as_complex()?; // (…, T, D/2)
        to_precision(pairs.f_mul(&turns)?.f_view_as_real()?.f_flatten(-2, -1)?, x.kind())
    }
}

#[cfg(test)]
mod tests {
    use super::super::random_tensor;
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn scores_depend_on_the_distance_only() {
        let mut rng = Rng::new(1);
        let rotary = Rotary::new(16, 8, Device::Cpu).unwrap();
        let mut vector = || random_tensor(&mut rng, &[8], 1.0).unwrap();
        let (query, key) = (vector(), vector());
        let turned = |vector: &Tensor| rotary.turn(&vector.expand([16, 8], false), 0).unwrap();
        let scores = turned(&query).matmul(&turned(&key).transpose(0, 1)); // (16, 16)
        assert!((scores.double_value(&[5, 2]) - scores.double_value(&[12, 9])).abs() < 1e-4);
        assert!((scores.double_value(&[5, 2]) - scores.double_value(&[5, 3])).abs() > 1e-3);
    }

    #[test]
    fn a_later_start_is_the_later_part() {
        let rotary = Rotary::new(16, 8, Device::Cpu).unwrap();
        let x = random_tensor(&mut Rng::new(1), &[10, 8], 1.0).unwrap();
        assert_eq!(rotary.turn(&x, 0).unwrap().narrow(0, 4, 6), rotary.turn(&x.narrow(0, 4, 6), 4).unwrap());
        assert!(rotary.turn(&x, 7).is_err(), "only 16 positions have angles");
    }

    #[test]
    fn an_odd_width_is_an_error() {
        assert!(Rotary::new(16, 7, Device::Cpu).unwrap_err().to_string().contains("must be even"));
    }
}
