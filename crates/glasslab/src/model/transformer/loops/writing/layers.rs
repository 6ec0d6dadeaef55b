//! What the blocks are made of: products with weights, norms, and functions of a few numbers.
//!
//! What takes the time counts its places instead of joining iterators: so it becomes vector instructions in whatever way the crate is
//! compiled.

use super::super::{Activation, numbers, optional};
use crate::products::{HIGH, WIDE, products};
use crate::slices::{add, dot, walk};
use tch::Tensor;

/// So many values that a head mixes lie near enough to be gone through several times.
const NEAR: usize = 64;

/// A norm's scale and shift, and its ε.
#[derive(Debug)]
pub(super) struct Scaled {
    pub(super) scale: Option<Vec<f32>>,
    pub(super) shift: Option<Vec<f32>>,
    pub(super) epsilon: f64,
}

/// A weight of N rows and K columns: for each [`WIDE`] rows K times their numbers of a column, zeros for rows that are not there.
#[derive(Debug)]
pub(super) struct Linear {
    weight: Vec<[f32; WIDE]>,
    rows: usize,
    columns: usize,
    bias: Option<Vec<f32>>,
}

impl Linear {
    pub(super) fn of(weight: &Tensor, size: [i64; 2], bias: Option<&Tensor>) -> Option<Linear> {
        let (lying, [rows, columns]) = (numbers(weight, &size)?, size.map(|length| length as usize));
        let mut weight = vec![[0.0; WIDE]; rows.div_ceil(WIDE) * columns];
        for (row, numbers) in lying.chunks_exact(columns).enumerate() {
            let wide = &mut weight[row / WIDE * columns..][..columns];
            wide.iter_mut().zip(numbers).for_each(|(wide, number)| wide[row % WIDE] = *number);
        }
        Some(Linear { weight, rows, columns, bias: optional(bias, |bias| numbers(bias, &size[..1]))? })
    }

    /// x · Wᵀ + b
    ///
    /// # Shapes
    /// `x`: B · K → B · N
    #[inline(always)]
    pub(super) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len() / self.columns * self.rows];
        let rows = x.len() / self.columns;
        for row in (0..rows / HIGH * HIGH).step_by(HIGH) {
            self.multiply::<HIGH>(&x[row * self.columns..], &mut out[row * self.rows..]);
        }
        for row in rows / HIGH * HIGH..rows {
            self.multiply::<1>(&x[row * self.columns..], &mut out[row * self.rows..]);
        }
        out
    }

    /// The first `X` rows of x · Wᵀ + b.
    #[inline(always)]
    fn multiply<const X: usize>(&self, x: &[f32], out: &mut [f32]) {
        let mut lying = [&x[..0]; X];
        for (row, lying) in lying.iter_mut().enumerate() {
            *lying = &x[row * self.columns..][..self.columns];
        }
        for (first, weight) in (0..self.rows).step_by(WIDE).zip(self.weight.chunks_exact(self.columns)) {
            let (sums, there) = (products::<X>(lying, weight), WIDE.min(self.rows - first));
            for row in 0..X {
                let out = &mut out[row * self.rows + first..][..there];
                out.copy_from_slice(&sums[row][..there]);
                if let Some(bias) = &self.bias {
                    add(out, &bias[first..]);
                }
            }
        }
    }
}

/// Rows of numbers, weighed: eight sums at a time, which stay in the processor's registers, of so many rows at a time that they are
/// still in its first cache for the next eight.
#[inline(always)]
pub(super) fn mean(weights: &[f32], rows: &[f32], out: &mut [f32]) {
    let width = out.len();
    for from in (0..weights.len()).step_by(NEAR) {
        let to = (from + NEAR).min(weights.len());
        for first in (0..width).step_by(8) {
            let (there, mut sums) = (8.min(width - first), [0.0; 8]);
            sums[..there].copy_from_slice(&out[first..][..there]);
            if there == 8 {
                for place in from..to {
                    let row: &[f32; 8] = rows[place * width + first..].first_chunk().expect("a row is so wide");
                    for lane in 0..8 {
                        sums[lane] += weights[place] * row[lane];
                    }
                }
            } else {
                for place in from..to {
                    for lane in 0..there {
                        sums[lane] += weights[place] * rows[place * width + first + lane];
                    }
                }
            }
            out[first..][..there].copy_from_slice(&sums[..there]);
        }
    }
}

#[inline(always)]
pub(super) fn activate(activation: Activation, x: &mut [f32]) {
    match activation {
        // What is no number stays none, as in libtorch.
        Activation::Relu => x.iter_mut().for_each(|x| *x = if *x < 0.0 { 0.0 } else { *x }),
        Activation::ReluSquared => x.iter_mut().for_each(|x| *x = if *x < 0.0 { 0.0 } else { *x * *x }),
        Activation::Silu => x.iter_mut().for_each(|x| *x /= 1.0 + (-*x).exp()),
        bell => x.copy_from_slice(walk(&bell.of(&Tensor::from_slice(x)).expect("libtorch knows it of any numbers"))),
    }
}

/// Each character's numbers as [`Norm::forward`](crate::model::norm::Norm::forward) has them; as they are, if there is no norm.
#[inline(always)]
pub(super) fn normed(norm: &Option<Scaled>, mut x: Vec<f32>, width: usize) -> Vec<f32> {
    let Some(Scaled { scale, shift, epsilon }) = norm else { return x };
    for x in x.chunks_exact_mut(width) {
        if shift.is_some() {
            let mean = x.iter().sum::<f32>() / width as f32;
            x.iter_mut().for_each(|x| *x -= mean);
        }
        bring_to_size(x, *epsilon);
        scale.iter().for_each(|scale| x.iter_mut().zip(scale).for_each(|(x, scale)| *x *= scale));
        shift.iter().for_each(|shift| add(x, shift));
    }
    x
}

/// x / √(mean(x²) + ε)
#[inline(always)]
pub(super) fn bring_to_size(x: &mut [f32], epsilon: f64) {
    let size = (f64::from(dot(x, x)) / x.len() as f64 + epsilon).sqrt().recip() as f32;
    for x in x {
        *x *= size;
    }
}

#[inline(always)]
pub(super) fn softmax(scores: &mut [f32]) {
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in &mut *scores {
        *score = (*score - highest).exp();
        sum += *score;
    }
    for weight in scores {
        *weight /= sum;
    }
}
