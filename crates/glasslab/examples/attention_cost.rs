//! The cost of attention over the length of the context: milliseconds of one causal pass as a model that learns makes it,
//! the best of several.
//!
//! `cargo run --release --example attention_cost -- 64,256,1024` prints one line of JSON; `scripts/bench attention`
//! sets it beside PyTorch's.

use glasslab::Result;
use glasslab::model::attention::attend_unseen;
use glasslab::prelude::{Device, Error, Kind, Tensor};
use std::time::Instant;

fn main() -> Result<()> {
    let lengths = std::env::args().nth(1).unwrap_or_else(|| "64,256,1024".to_owned());
    let _guard = tch::no_grad_guard();
    let mut figures = serde_json::Map::new();
    for length in lengths.split(',') {
        let time: i64 = length.parse().map_err(|_| Error::Config(format!("no length: {length:?}")))?;
        let random = || Tensor::f_randn([1, 4, time, 24], (Kind::Float, Device::Cpu)); // (B, H, T, D)
        let (queries, keys, values) = (random()?, random()?, random()?);
        let mut best = f64::INFINITY;
        for _ in 0..7 {
            let started = Instant::now();
            let _ = attend_unseen(&queries, &keys, &values)?;
            best = best.min(started.elapsed().as_secs_f64());
        }
        figures.insert(length.to_owned(), (best * 1e3).into());
    }
    println!("{}", serde_json::Value::Object(figures));
    Ok(())
}
