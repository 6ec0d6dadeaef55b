//! What the empty probe costs: a training step through the model's own `forward`, which calls a probe at every step,
//! beside the same arithmetic written out without one. And how long a large heatmap takes. For `scripts/bench probe`.
//!
//! The two are measured by turns, so that both meet the same machine; what is told is the ratio of each pair.

use glasslab::model::norm::rms_norm;
use glasslab::prelude::*;
use serde_json::json;
use std::time::Instant;

/// The preset `small`, without a probe: the logits must be the model's own.
fn plain(model: &TransformerLm, ids: &Tensor) -> Result<Tensor> {
    let TransformerConfig { n_heads, head_dim, .. } = model.config;
    let (batch, time) = ids.size2()?;
    let none = None::<&Tensor>;
    let mut x = Tensor::f_embedding(&model.embedding, ids, -1, false, false)?; // (B, T, C)
    for block in &model.blocks {
        let qkv = rms_norm(&x)?.f_linear(&block.attention.qkv_weight, none)?; // (B, T, 3·H·D)
        let qkv = qkv.f_view([batch, time, 3 * n_heads, head_dim])?.f_transpose(1, 2)?; // (B, 3·H, T, D)
        let parts = qkv.f_split_with_sizes([2 * n_heads, n_heads], 1)?;
        let (mut both, values) = (rms_norm(&parts[0])?, &parts[1]); // (B, 2·H, T, D), (B, H, T, D)
        if let Some(rotary) = &model.rotary {
            both = rotary.turn(&both, 0)?;
        }
        let parts = both.f_split_with_sizes([n_heads, n_heads], 1)?;
        let queries = parts[0].f_div_scalar((head_dim as f64).sqrt())?;
        let scores = queries.f_matmul(&parts[1].f_transpose(-2, -1)?)?; // (B, H, T, T)
        let everywhere = Tensor::f_full([time, time], f64::NEG_INFINITY, (Kind::Float, scores.device()))?;
        let weights = scores.f_add(&everywhere.f_triu(1)?)?.f_softmax(-1, Kind::Float)?; // (B, H, T, T)
        let mixed = weights.f_matmul(values)?; // (B, H, T, D)
        let joined = mixed.f_transpose(1, 2)?.f_reshape([batch, time, -1])?; // (B, T, H·D)
        x = x.f_add(&joined.f_linear(&block.attention.output_weight, none)?)?;
        let hidden = rms_norm(&x)?.f_linear(&block.mlp.hidden_weight, none)?.f_relu()?;
        x = x.f_add(&hidden.f_mul(&hidden)?.f_linear(&block.mlp.output_weight, none)?)?;
    }
    Ok(rms_norm(&x)?.f_linear(model.head.as_ref().unwrap_or(&model.embedding), none)?)
}

/// The seconds of one training step: forward, loss, gradients.
fn step(model: &TransformerLm, ids: &Tensor, targets: &Tensor, with_probe: bool) -> Result<f64> {
    let started = Instant::now();
    let logits = if with_probe { model.forward(ids, &mut NoProbe)? } else { plain(model, ids)? };
    cross_entropy(&logits, targets)?.f_backward()?;
    Ok(started.elapsed().as_secs_f64())
}

fn quartiles(mut numbers: Vec<f64>) -> [f64; 3] {
    numbers.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| numbers[(numbers.len() - 1) * quarter / 4])
}

fn main() -> Result<()> {
    let pairs: usize = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(200);
    let model = TransformerLm::new(TransformerConfig::small(), Device::Cpu)?;
    let ids = Tensor::f_randint(256, [32, 64], (Kind::Int64, Device::Cpu))?; // (B, T)
    let targets = ids.f_roll([-1], [1])?;
    {
        let _guard = tch::no_grad_guard();
        // The head of a new model is zero, and then any two models agree.
        if let Some(head) = &model.head {
            let _ = head.shallow_clone().f_normal_(0.0, 0.1)?;
        }
        for block in &model.blocks {
            let _ = block.attention.output_weight.shallow_clone().f_normal_(0.0, 0.1)?;
            let _ = block.mlp.output_weight.shallow_clone().f_normal_(0.0, 0.1)?;
        }
    }
    let difference = (model.logits(&ids)? - plain(&model, &ids)?).abs().max().f_double_value(&[])?;
    for _ in 0..5 {
        step(&model, &ids, &targets, true)?;
        step(&model, &ids, &targets, false)?;
    }
    let (mut with, mut without, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..pairs.max(4) {
        // Whoever comes first meets other caches: they take turns.
        let first = step(&model, &ids, &targets, pair % 2 == 0)?;
        let second = step(&model, &ids, &targets, pair % 2 == 1)?;
        let (one, other) = if pair % 2 == 0 { (first, second) } else { (second, first) };
        with.push(one);
        without.push(other);
        ratios.push(one / other);
    }
    let weights = Tensor::f_rand([128, 128], (Kind::Float, Device::Cpu))?;
    let text = "Once upon a time there was a cat".repeat(4);
    let mut drawing = Vec::new();
    let mut bytes = 0;
    for _ in 0..20 {
        let started = Instant::now();
        let heatmap = Heatmap::new(&weights)?.quantity(Quantity::Weights).rows("looks", &text);
        bytes = heatmap.columns("is looked at", &text).draw()?.html().len();
        drawing.push(started.elapsed().as_secs_f64());
    }
    let (with, without, ratio, drawing) = (quartiles(with), quartiles(without), quartiles(ratios), quartiles(drawing));
    println!(
        "{}",
        json!({
            "pairs": pairs.max(4), "max_abs_difference": difference, "step_s": with[1], "step_s_plain": without[1],
            "step_s_quartiles": with, "step_s_plain_quartiles": without, "ratio": ratio[1], "ratio_quartiles": ratio,
            "heatmap_ms": drawing[1] * 1e3, "heatmap_ms_quartiles": drawing.map(|seconds| seconds * 1e3), "heatmap_bytes": bytes,
        })
    );
    Ok(())
}
