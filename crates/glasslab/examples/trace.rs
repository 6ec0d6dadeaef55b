//! What a trace costs: the forward pass alone, traced, and traced there and back, of a text of 64 characters. For
//! `scripts/bench trace`.
//!
//! The three take turns, so that all meet the same machine; what is told are medians, and the ratio of each turn.

use glasslab::prelude::*;
use serde_json::json;
use std::time::Instant;

const TEXT: &str = "Once upon a time there was a little cat who liked to play all da";

fn seconds<T>(work: impl FnOnce() -> Result<T>) -> Result<f64> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed().as_secs_f64())
}

fn quartiles(mut numbers: Vec<f64>) -> [f64; 3] {
    numbers.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| numbers[(numbers.len() - 1) * quarter / 4])
}

fn main() -> Result<()> {
    let turns: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100);
    let model = TransformerLm::new(TransformerConfig::small(), Device::Cpu)?;
    {
        let _guard = tch::no_grad_guard();
        // A new model's zeros would make gradients of zero.
        for parameter in model.parameters() {
            let noise = parameter.tensor.f_randn_like()?;
            let _ = parameter.tensor.shallow_clone().f_add_(&(noise * 0.1))?;
        }
    }
    let ids = Tensor::f_from_slice(&CharTokenizer::default().encode(TEXT))?.f_unsqueeze(0)?; // (1, T)
    let (mut passes, mut traces, mut backwards, mut ratios) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for turn in 0..turns.max(4) + 3 {
        let pass = seconds(|| tch::no_grad(|| model.logits(&ids)))?;
        let trace = seconds(|| model.trace(TEXT))?;
        let backward = seconds(|| model.backward(TEXT))?;
        if turn < 3 {
            continue; // warming up
        }
        passes.push(pass);
        traces.push(trace);
        backwards.push(backward);
        ratios.push(backward / trace);
    }
    let (pass, trace, backward, ratio) =
        (quartiles(passes), quartiles(traces), quartiles(backwards), quartiles(ratios));
    println!(
        "{}",
        json!({
            "turns": turns.max(4), "characters": TEXT.len(), "pass_ms": pass[1] * 1e3, "trace_ms": trace[1] * 1e3,
            "backward_ms": backward[1] * 1e3, "ratio": ratio[1], "ratio_quartiles": ratio,
            "trace_ms_quartiles": trace.map(|seconds| seconds * 1e3),
            "backward_ms_quartiles": backward.map(|seconds| seconds * 1e3),
        })
    );
    Ok(())
}
