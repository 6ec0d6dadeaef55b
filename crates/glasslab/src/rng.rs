//! A small random number generator, the same on every machine: SplitMix64.
//!
//! Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.

use tch::Tensor;

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
    fn normal_numbers_have_mean_0_and_variance_1() {
        let mut rng = Rng::new(1);
        let numbers: Vec<f64> = (0..20_000).map(|_| rng.normal()).collect();
        let mean = numbers.iter().sum::<f64>() / 20_000.0;
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
