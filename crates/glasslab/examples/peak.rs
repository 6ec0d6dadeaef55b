//! What the machine does at its best, by which `scripts/bench` measures: a product of matrices of 1,024 × 1,024 numbers, and a
//! copy of 64 MiB, each the best of several.

use glasslab::Result;
use glasslab::prelude::{Device, Kind, Tensor};
use serde_json::json;
use std::time::Instant;

const SIZE: i64 = 1024;
const COPIED: i64 = 1 << 24;

fn best(mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let (mut best, started) = (f64::INFINITY, Instant::now());
    while started.elapsed().as_secs_f64() < 0.5 {
        let begun = Instant::now();
        work()?;
        best = best.min(begun.elapsed().as_secs_f64());
    }
    Ok(best)
}

fn main() -> Result<()> {
    let options = (Kind::Float, Device::Cpu);
    let (a, b) = (Tensor::f_randn([SIZE, SIZE], options)?, Tensor::f_randn([SIZE, SIZE], options)?);
    let mut product = Tensor::f_zeros([SIZE, SIZE], options)?;
    let product = best(|| {
        let _ = product.f_addmm_(&a, &b)?;
        Ok(())
    })?;
    let (from, mut to) = (Tensor::f_ones([COPIED], options)?, Tensor::f_zeros([COPIED], options)?);
    let copy = best(|| {
        to.f_copy_(&from)?;
        Ok(())
    })?;
    let operations = 2.0 * (SIZE as f64).powi(3) / product;
    println!("{}", json!({ "operations_per_s": operations, "bytes_per_s": 2.0 * 4.0 * COPIED as f64 / copy }));
    Ok(())
}
