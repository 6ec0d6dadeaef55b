//! A small random number generator, the same on every machine: SplitMix64.
//!
//! Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.

use tch::{Device, Kind, Tensor};

/// A seeded stream of random numbers.
#[derive(Debug, Clone)]
pub struct Rng {
    pub(crate) state: u64,
}

impl Rng {
    /// One seed gives one stream.
    pub fn new(seed: u64) -> Rng {
        Rng { state: seed }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A whole number in `0..end`; `end` must be at least 1.
    pub fn below(&mut self, end: usize) -> usize {
        // The high half of a 128-bit product: no bias that a lab could notice (below 2⁻⁴⁰).
        ((u128::from(self.bits()) * end as u128) >> 64) as usize
    }

    /// A number around 0 with variance 1 (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let (radius, angle) = ((-2.0 * (1.0 - self.unit()).ln()).sqrt(), std::f64::consts::TAU * self.unit());
        radius * angle.cos()
    }

    /// A tensor of numbers around 0 with this standard deviation, on the processor: what a weight begins with.
    ///
    /// # Shapes
    /// `size`; a negative one counts as 0
    pub fn normal_tensor(&mut self, size: &[i64], deviation: f64) -> Tensor {
        let size: Vec<i64> = size.iter().map(|&length| length.max(0)).collect();
        let numbers: Vec<f32> = (0..size.iter().product()).map(|_: i64| (deviation * self.normal()) as f32).collect();
        Tensor::from_slice(&numbers).view(&size[..])
    }

    /// Draws a place by its probability: as [`generate`](crate::generate::generate) draws the next character.
    ///
    /// The numbers need not sum to 1: each has its share of their sum. One that is no probability (negative, or NaN) has
    /// none; if there is no other, the answer is 0.
    ///
    /// # Shapes
    /// `probabilities`: (V), or (1, V) → a place in `0..V`
    pub fn draw(&mut self, probabilities: &Tensor) -> i64 {
        let flat = probabilities.detach().to_device(Device::Cpu).to_kind(Kind::Double).contiguous().view([-1]); // (V)
        let weights: Vec<f64> = Vec::try_from(&flat).unwrap_or_default();
        let likeliest = || (0..weights.len()).rev().max_by(|&a, &b| weights[a].total_cmp(&weights[b])).unwrap_or(0);
        if !weights.iter().any(|&weight| weight > 0.0) {
            return 0;
        }
        self.draw_weighted(weights.iter().map(|weight| weight.max(0.0))).unwrap_or_else(likeliest) as i64
    }

    /// Draws a place by its weight; `None` if rounding leaves nothing of the last one.
    pub(crate) fn draw_weighted(&mut self, mut weights: impl Iterator<Item = f64> + Clone) -> Option<usize> {
        let mut left = self.unit() * weights.clone().sum::<f64>();
        weights.position(|weight| {
            left -= weight;
            left < 0.0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        let mut rng = Rng::new(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| rng.bits()).collect();
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn a_tensor_of_any_size_has_the_deviation_that_is_asked_for() {
        let tensor = Rng::new(3).normal_tensor(&[100, 50], 0.1);
        assert_eq!(tensor.size(), [100, 50]);
        assert!((tensor.std(true).double_value(&[]) - 0.1).abs() < 0.005);
        assert_eq!(Rng::new(3).normal_tensor(&[-2, 5], 1.0).size(), [0, 5]);
        assert_eq!(Rng::new(3).normal_tensor(&[], 1.0).size(), [0_i64; 0]);
    }

    #[test]
    fn numbers_stay_in_range_and_reach_every_value() {
        let mut rng = Rng::new(1);
        let mut seen = [false; 10];
        for _ in 0..1000 {
            seen[rng.below(10)] = true;
            assert!((0.0..1.0).contains(&rng.unit()));
        }
        assert_eq!(seen, [true; 10]);
    }

    #[test]
    fn places_are_drawn_by_their_probability_and_what_is_no_probability_never() {
        let mut rng = Rng::new(1);
        let mut shares = [0.0_f64; 4];
        let weights = Tensor::from_slice(&[0.2_f32, f32::NAN, -1.0, 0.6]).unsqueeze(0);
        for _ in 0..20_000 {
            shares[rng.draw(&weights) as usize] += 1.0 / 20_000.0;
        }
        assert!((shares[0] - 0.25).abs() < 0.02 && (shares[3] - 0.75).abs() < 0.02, "{shares:?}");
        assert_eq!((shares[1], shares[2]), (0.0, 0.0));
        for nothing in [vec![f64::NAN; 3], vec![-1.0, 0.0], Vec::new()] {
            assert_eq!(rng.draw(&Tensor::from_slice(&nothing)), 0, "{nothing:?}");
        }
        assert_eq!(rng.draw(&Tensor::from_slice(&[0.0, f64::INFINITY])), 1);
    }

    #[test]
    fn normal_numbers_have_mean_0_and_variance_1() {
        let mut rng = Rng::new(1);
        let numbers: Vec<f64> = (0..20_000).map(|_| rng.normal()).collect();
        let mean = numbers.iter().sum::<f64>() / 20_000.0;
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
