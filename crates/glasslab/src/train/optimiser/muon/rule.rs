//! What Muon's step is made of, however it is computed.

pub(crate) const MOMENTUM: f64 = 0.95;

/// Each step of the iteration: x ← a x + b (x xᵀ) x + c (x xᵀ)² x.
pub(super) const STEPS: usize = 5;
pub(super) const A: f64 = 3.4445;
pub(super) const B: f64 = -4.7750;
pub(super) const C: f64 = 2.0315;

/// √max(1, R / K): a matrix with more rows changes its output by as much as a square one.
pub(crate) fn size(rows: i64, columns: i64) -> f64 {
    (rows as f64 / columns as f64).max(1.0).sqrt()
}

/// Whether matrices are so long that they are multiplied once, at the end, by the product of the steps, each of which is computed from
/// x xᵀ alone.
pub(super) fn is_long(rows: i64, columns: i64) -> bool {
    rows.max(columns) >= 2 * rows.min(columns)
}
