//! Muon's step in plain loops, a matrix at a time on each thread: the same numbers as libtorch's but for the order of sums.

use super::rule::{A, B, C, MOMENTUM, STEPS, is_long, size};
use crate::products::{Causal, Panels, View, multiply};
use crate::slices::dot;
use crate::threads::share;
use std::cmp::Reverse;

/// A matrix (R, K) that is to be moved.
pub(super) struct Matrix<'a> {
    pub(super) size: [usize; 2],
    pub(super) parameters: &'a mut [f32],
    pub(super) momentum: &'a mut [f32],
    pub(super) gradient: &'a [f32],
}

/// Moves matrices by `lr` along their gradients times `by`, each less the share `decay` of itself.
///
/// # Safety
/// The processor must have what [`multiply`] needs.
pub(super) unsafe fn step(mut matrices: Vec<Matrix<'_>>, by: f32, lr: f64, decay: f64) {
    // Those that take longest first, so that the threads end together.
    matrices.sort_by_key(|Matrix { size: [rows, columns], .. }| Reverse(rows.min(columns) * rows * columns));
    let numbers = matrices.iter().map(|Matrix { size: [rows, columns], .. }| rows.min(columns) * rows * columns).sum();
    // SAFETY: as above.
    share(matrices, numbers, |matrix| unsafe { one(matrix, by, lr, decay) });
}

#[target_feature(enable = "avx2,fma")]
fn one(Matrix { size: [rows, columns], parameters, momentum, gradient }: Matrix<'_>, by: f32, lr: f64, decay: f64) {
    let kept = MOMENTUM as f32;
    let mut ahead = vec![0.0; gradient.len()];
    let momentum = &mut momentum[..gradient.len()];
    for place in 0..gradient.len() {
        let g = gradient[place] * by;
        momentum[place] = momentum[place] * kept + g;
        ahead[place] = g + momentum[place] * kept;
    }
    let change = orthogonal(&ahead, [rows, columns]);
    let (left, lr) = ((1.0 - decay) as f32, (lr * size(rows as i64, columns as i64)) as f32);
    let parameters = &mut parameters[..change.len()];
    for place in 0..change.len() {
        parameters[place] = parameters[place] * left - change[place] * lr;
    }
}

/// What [`orthogonal`](super::orthogonal) gives of one matrix, in the same steps.
///
/// # Shapes
/// R · K → R · K
#[target_feature(enable = "avx2,fma")]
pub(super) fn orthogonal(matrix: &[f32], [rows, columns]: [usize; 2]) -> Vec<f32> {
    let length = dot(matrix, matrix).sqrt() + 1e-7;
    let view = View::of(matrix, columns, [rows, columns]);
    let (few, many) = (rows.min(columns), rows.max(columns));
    let across = if rows > columns { view.turned() } else { view };
    let mut x: Vec<f32> = across.numbers().collect(); // few · many
    for x in &mut x {
        *x /= length;
    }
    let mut gram = times(&x, &x, many); // few · few
    let mut all: Option<Vec<f32>> = None;
    for step in 1..=STEPS {
        let is_last = step == STEPS;
        let mut mix = times(&gram, &gram, few); // of what is symmetric, rows are columns
        for place in 0..mix.len() {
            mix[place] = B as f32 * gram[place] + C as f32 * mix[place];
        }
        (0..few).for_each(|place| mix[place * few + place] += A as f32);
        if is_long(rows as i64, columns as i64) {
            if !is_last {
                gram = times(&times(&mix, &gram, few), &mix, few);
            }
            all = Some(all.map_or_else(|| mix.clone(), |all| times(&mix, &all, few)));
        } else {
            x = by_columns(&mix, &x, [few, many]);
            if !is_last {
                gram = times(&x, &x, many);
            }
        }
    }
    if let Some(all) = all {
        x = by_columns(&all, &x, [few, many]);
    }
    match rows > columns {
        true => View::of(&x, many, [few, many]).turned().numbers().collect(),
        false => x,
    }
}

/// A · Bᵀ, whose rows have so many numbers.
#[target_feature(enable = "avx2,fma")]
fn times(a: &[f32], b: &[f32], columns: usize) -> Vec<f32> {
    let [a_rows, b_rows] = [a, b].map(|numbers| numbers.len() / columns);
    let (a, b) = (View::of(a, columns, [a_rows, columns]), View::of(b, columns, [b_rows, columns]));
    let mut out = vec![0.0; a_rows * b_rows];
    multiply::<false>(a, &Panels::of(b), Causal::No, &mut out, b_rows);
    out
}

/// A · B for a square A.
#[target_feature(enable = "avx2,fma")]
fn by_columns(a: &[f32], b: &[f32], [rows, columns]: [usize; 2]) -> Vec<f32> {
    let mut out = vec![0.0; rows * columns];
    let b = Panels::of(View::of(b, columns, [rows, columns]).turned());
    multiply::<false>(View::of(a, rows, [rows, rows]), &b, Causal::No, &mut out, columns);
    out
}
