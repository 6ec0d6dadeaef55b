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
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// How fast the pairs turn.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Speeds {
    /// The pairs turn from 1 down to about 1/`base` a character: a larger one tells places apart that are farther away.
    pub base: f64,
    /// How they have been slowed down for longer texts than those that the model had learnt from first.
    pub slowed: Option<Slowed>,
}

impl Default for Speeds {
    fn default() -> Speeds {
        Speeds { base: 10_000.0, slowed: None }
    }
}

impl Speeds {
    /// The angle of one character, in radians, of pair `pair` of a vector of `head_dim` numbers.
    pub fn of_pair(&self, pair: i64, head_dim: i64) -> f64 {
        let speed = self.base.powf(-2.0 * pair as f64 / head_dim as f64);
        self.slowed.map_or(speed, |slowed| slowed.apply(speed))
    }
}

/// How a model's pairs have been slowed down.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Slowed {
    /// All by the same factor (Chen et al. 2023).
    Evenly {
        /// How many times slower.
        factor: f64,
    },
    /// The slow ones by a factor, the fast ones not at all, those between by less (Llama 3.1; Dubey et al. 2024).
    SlowOnes {
        /// How many times slower.
        factor: f64,
        /// A pair that turns less often than so many times in `context_len` characters gets the whole factor.
        low: f64,
        /// One that turns more often than so many times stays as it is.
        high: f64,
        /// The length of the texts that the model had learnt from first.
        context_len: f64,
    },
}

impl Speeds {
    /// Whether angles can be made of them.
    pub(super) fn is_right(&self) -> bool {
        let above_0 = |number: f64| number > 0.0 && number.is_finite();
        above_0(self.base)
            && match self.slowed {
                None => true,
                Some(Slowed::Evenly { factor }) => above_0(factor),
                Some(Slowed::SlowOnes { factor, low, high, context_len }) => {
                    [factor, low, high, context_len].into_iter().all(above_0) && low < high
                }
            }
    }
}

impl Slowed {
    fn apply(self, speed: f64) -> f64 {
        match self {
            Slowed::Evenly { factor } => speed / factor,
            Slowed::SlowOnes { factor, low, high, context_len } => {
                let turns = context_len * speed / (2.0 * std::f64::consts::PI);
                let kept = ((turns - low) / (high - low)).clamp(0.0, 1.0); // 0: slow, 1: fast
                speed * (kept + (1.0 - kept) / factor)
            }
        }
    }
}

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
        Rotary::with(Speeds::default(), context_len, head_dim, device)
    }

    /// The angles of pairs that turn at other speeds.
    ///
    /// # Errors
    /// If `head_dim` is odd.
    pub fn with(speeds: Speeds, context_len: i64, head_dim: i64, device: Device) -> Result<Rotary> {
        if head_dim % 2 != 0 {
            return Err(Error::Config(format!(
                "rotary positions turn pairs of numbers, so head_dim must be even, got {head_dim}"
            )));
        }
        let options = (Kind::Float, device);
        let pairs = Tensor::f_arange(head_dim / 2, options)?;
        let speeds = match speeds.slowed {
            None => (pairs * (-2.0 / head_dim as f64 * speeds.base.ln())).f_exp()?, // (D/2)
            Some(_) => {
                let slow: Vec<f64> = (0..head_dim / 2).map(|pair| speeds.of_pair(pair, head_dim)).collect();
                Tensor::f_from_slice(&slow)?.f_to_kind(Kind::Float)?.f_to_device(device)? // (D/2)
            }
        };
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
    fn slowed_pairs_turn_slower_and_the_fast_ones_as_before() {
        let llama = Slowed::SlowOnes { factor: 8.0, low: 1.0, high: 4.0, context_len: 8192.0 };
        let [plain, slow] = [None, Some(llama)].map(|slowed| Speeds { base: 500_000.0, slowed });
        let ratio = |pair| plain.of_pair(pair, 64) / slow.of_pair(pair, 64);
        assert_eq!((ratio(0), ratio(31)), (1.0, 8.0));
        assert!(
            (1..32).all(|pair| ratio(pair) >= ratio(pair - 1)) && (1.01..7.99).contains(&ratio(16)),
            "{}",
            ratio(16)
        );
        let even = Speeds { slowed: Some(Slowed::Evenly { factor: 4.0 }), ..Speeds::default() };
        let rotary = Rotary::with(even, 9, 8, Device::Cpu).unwrap();
        let x = random_tensor(&mut Rng::new(1), &[1, 8], 1.0).unwrap();
        let plain = Rotary::new(9, 8, Device::Cpu).unwrap();
        assert!((rotary.turn(&x, 8).unwrap() - plain.turn(&x, 2).unwrap()).abs().max().double_value(&[]) < 1e-6);
    }

    #[test]
    fn an_odd_width_is_an_error() {
        assert!(Rotary::new(16, 7, Device::Cpu).unwrap_err().to_string().contains("must be even"));
    }
}
