//! Functions of a few numbers and of rows of them, there and back.
//!
//! Their loops are no closures, which a function of the standard library, compiled for any processor, could not take in.

use crate::model::transformer::Activation;
use crate::slices::dot;

/// x / √(mean(x²) + ε); gives by what x was multiplied.
#[target_feature(enable = "avx2,fma")]
pub(super) fn bring_to_size(x: &mut [f32], epsilon: f64) -> f32 {
    let by = (f64::from(dot(x, x)) / x.len() as f64 + epsilon).sqrt().recip() as f32;
    scale_and_shift(x, by, 0.0);
    by
}

/// Its way back.
#[target_feature(enable = "avx2,fma")]
pub(super) fn back_to_size(dy: &mut [f32], sized: &[f32], by: f32) {
    let (width, along) = (dy.len(), dot(dy, sized) / dy.len() as f32);
    let sized = &sized[..width];
    for place in 0..width {
        dy[place] = by * (dy[place] - sized[place] * along);
    }
}

/// Pairs turned by the angles of a place; with `way` −1 back.
#[target_feature(enable = "avx2,fma")]
pub(super) fn turn(numbers: &mut [f32], turns: &[f32], way: f32) {
    let (pairs, turns) = (numbers.as_chunks_mut::<2>().0, turns.as_chunks::<2>().0);
    let turns = &turns[..pairs.len()];
    for place in 0..pairs.len() {
        let ([a, b], [cos, sin]) = (pairs[place], [turns[place][0], turns[place][1] * way]);
        pairs[place] = [a * cos - b * sin, a * sin + b * cos];
    }
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn scale_and_shift(x: &mut [f32], scale: f32, shift: f32) {
    for x in x {
        *x = *x * scale + shift;
    }
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn times(x: &mut [f32], by: &[f32]) {
    let by = &by[..x.len()];
    for place in 0..x.len() {
        x[place] *= by[place];
    }
}

/// In eight sums that don't wait for each other.
#[target_feature(enable = "avx2,fma")]
pub(super) fn sum(numbers: &[f32]) -> f32 {
    let (eights, rest) = numbers.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        for lane in 0..8 {
            sums[lane] += eight[lane];
        }
    }
    sums.iter().chain(rest).sum()
}

/// The highest number; what is no number is passed over.
#[target_feature(enable = "avx2,fma")]
pub(super) fn highest(numbers: &[f32]) -> f32 {
    let (eights, rest) = numbers.as_chunks::<8>();
    let mut highest = [f32::NEG_INFINITY; 8];
    for eight in eights {
        for lane in 0..8 {
            highest[lane] = if eight[lane] > highest[lane] { eight[lane] } else { highest[lane] };
        }
    }
    highest.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// e to the power of each number times `scale` less the highest; gives their sum.
#[target_feature(enable = "avx2,fma")]
pub(super) fn powers(numbers: &mut [f32], scale: f32) -> f32 {
    let highest = highest(numbers);
    let mut sums = [0.0; 8];
    let (eights, rest) = numbers.as_chunks_mut::<8>();
    for eight in eights {
        for lane in 0..8 {
            eight[lane] = exp((eight[lane] - highest) * scale);
            sums[lane] += eight[lane];
        }
    }
    let mut sum: f32 = sums.iter().sum();
    for number in rest {
        *number = exp((*number - highest) * scale);
        sum += *number;
    }
    sum
}

#[target_feature(enable = "avx2,fma")]
pub(super) fn softmax(scores: &mut [f32], scale: f32) {
    let share = powers(scores, scale).recip();
    scale_and_shift(scores, share, 0.0);
}

/// Makes the gradient of the mean of `all` losses of logits; gives the sum of those that are here.
#[target_feature(enable = "avx2,fma")]
pub(super) fn cross_entropy(logits: &mut [f32], targets: &[i64], all: usize) -> f64 {
    let (vocab, mut loss) = (logits.len() / targets.len(), 0.0);
    for (row, &target) in logits.chunks_exact_mut(vocab).zip(targets) {
        let (target, own) = (target as usize, row[target as usize] - highest(row));
        let sum = powers(row, 1.0);
        loss += f64::from(sum.ln() - own);
        let share = (sum * all as f32).recip();
        scale_and_shift(row, share, 0.0);
        row[target] -= (all as f32).recip();
    }
    loss
}

/// eˣ to a few units in the last place: 2 to a whole number, times a polynomial for what is left of x. What is no number stays none.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const WHOLE: f32 = 12_582_912.0; // 1.5 · 2²³: what is added to it is rounded to whole numbers
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, WHOLE);
    let whole = shifted - WHOLE;
    // ln 2 in two parts, so that the product with the first is exact.
    let rest = whole.mul_add(-1.428_606_8e-6, whole.mul_add(-0.693_145_75, x));
    let series = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let power = series.into_iter().fold(0.0, |sum: f32, factor: f32| sum.mul_add(rest, factor));
    power * f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23))
}

/// Φ(x), the share of a normal distribution below x, and its density φ(x). Source: Abramowitz and Stegun 1964, 7.1.26 (to 1.5e-7).
#[inline(always)]
pub(super) fn normal(x: f32) -> (f32, f32) {
    let t = (x.abs() * std::f32::consts::FRAC_1_SQRT_2).mul_add(0.327_591_1, 1.0).recip();
    let series = [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6, 0.0];
    let bell = exp(-0.5 * x * x);
    let above = 0.5 * bell * series.into_iter().fold(0.0, |sum: f32, factor: f32| sum.mul_add(t, factor));
    (if x < 0.0 { above } else { 1.0 - above }, bell * 0.398_942_3)
}

/// tanh(√(2/π) · (x + 0.044715 x³)) as ½ + ½ tanh, GPT-2's Φ, and its slope.
#[inline(always)]
pub(super) fn nearly_normal(x: f32) -> (f32, f32) {
    const SCALE: f32 = 0.797_884_6; // √(2/π)
    let share = sigmoid(2.0 * SCALE * x * (0.044_715 * x).mul_add(x, 1.0));
    (share, 2.0 * SCALE * share * (1.0 - share) * (3.0 * 0.044_715 * x).mul_add(x, 1.0))
}

#[inline(always)]
pub(super) fn sigmoid(x: f32) -> f32 {
    (1.0 + exp(-x)).recip()
}

/// Puts the activation of x into `out`, and makes its slope of x, for the way back.
#[target_feature(enable = "avx2,fma")]
pub(super) fn activate(activation: Activation, x: &mut [f32], out: &mut [f32]) {
    #[inline(always)]
    fn each(x: &mut [f32], out: &mut [f32], of: impl Fn(f32) -> (f32, f32)) {
        let out = &mut out[..x.len()];
        for place in 0..x.len() {
            (out[place], x[place]) = of(x[place]);
        }
    }
    match activation {
        // What is no number stays none.
        Activation::Relu => each(x, out, |x| (if x < 0.0 { 0.0 } else { x }, if x <= 0.0 { 0.0 } else { 1.0 })),
        Activation::ReluSquared => each(x, out, |x| if x < 0.0 { (0.0, 0.0) } else { (x * x, 2.0 * x) }),
        Activation::Gelu => each(x, out, |x| {
            let (share, density) = normal(x);
            (x * share, density.mul_add(x, share))
        }),
        Activation::GeluTanh => each(x, out, |x| {
            let (share, slope) = nearly_normal(x);
            (x * share, slope.mul_add(x, share))
        }),
        Activation::Silu => each(x, out, |x| {
            let share = sigmoid(x);
            (x * share, share * (1.0 - share).mul_add(x, 1.0))
        }),
    }
}
