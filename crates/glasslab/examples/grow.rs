//! What a model of a given size costs, for `scripts/bench grow`, and the pictures of how it grows.
//!
//! `grow learn n_layers=4 emb_dim=96 context_len=64 texts=32 ms=2000` prints the seconds of a training step, the best of those in so
//! many milliseconds, and what theory counts: operations, and bytes. `grow write …` does the same for one further character after a
//! whole context, `grow nothing` is a process that does neither. `grow draw FIGURES.json OUT.svg` draws, and prints the slopes.

use glasslab::model::{LanguageModel, Trainable};
use glasslab::prelude::*;
use glasslab::train::Optimiser;
use serde_json::{Value, json};
use std::time::Instant;

/// The least time of a run, of all in so many milliseconds.
fn best(ms: i64, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    work()?; // the first one makes room
    let (mut best, started) = (f64::INFINITY, Instant::now());
    while best.is_infinite() || (started.elapsed().as_millis() as i64) < ms {
        let begun = Instant::now();
        work()?;
        best = best.min(begun.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// `small` with other sizes, how many texts it reads at once, and for how many milliseconds.
fn sizes(arguments: &[String]) -> Result<(TransformerConfig, i64, i64)> {
    let (mut config, mut texts, mut ms) = (TransformerConfig::small(), 1, 2000);
    for argument in arguments {
        let wrong = || Error::Config(format!("no size: {argument:?}"));
        let (name, number) = argument.split_once('=').ok_or_else(wrong)?;
        let number: i64 = number.parse().map_err(|_| wrong())?;
        match name {
            "context_len" => config.context_len = number,
            "n_layers" => config.n_layers = number,
            "emb_dim" => {
                let n_heads = (number / 24).max(1);
                config =
                    TransformerConfig { emb_dim: number, n_heads, n_kv_heads: n_heads, n_hidden: 4 * number, ..config };
            }
            "texts" => texts = number,
            "ms" => ms = number,
            _ => return Err(wrong()),
        }
    }
    Ok((config, texts, ms))
}

/// Operations of the products for one character: those with weights, and those of queries with keys and of weights with values.
fn operations(config: &TransformerConfig, seen: f64) -> f64 {
    let TransformerConfig { n_vocab, emb_dim, n_layers, n_heads, head_dim, n_hidden, .. } = config;
    let weights = n_layers * emb_dim * (4 * n_heads * head_dim + 2 * n_hidden) + n_vocab * emb_dim;
    2.0 * weights as f64 + 4.0 * seen * (n_layers * n_heads * head_dim) as f64
}

/// Operations of Muon's step: a matrix of m × n, m ≤ n, is multiplied with itself, and then five times m × m with m × m.
fn of_muon(model: &impl Trainable) -> f64 {
    let matrices = model.parameters().into_iter().filter(|parameter| parameter.hidden_matrix);
    let sides =
        matrices.filter_map(|matrix| matrix.tensor.size2().ok()).map(|(a, b)| (a.min(b) as f64, a.max(b) as f64));
    sides.map(|(m, n)| 4.0 * m * m * n + 5.0 * 3.0 * 2.0 * m.powi(3)).sum()
}

fn learn(config: TransformerConfig, texts: i64, ms: i64) -> Result<Value> {
    let mut model = TransformerLm::new(config, Device::Cpu)?;
    let mut optimiser = Optimiser::new(&mut model, &TrainConfig::default())?;
    let ids = Tensor::f_randint(config.n_vocab, [texts, config.context_len], (Kind::Int64, Device::Cpu))?;
    let seconds = best(ms, || {
        let (_, gradients) = model.loss_and_gradients(&ids, &ids)?;
        optimiser.step_along(&mut model, gradients, 1e-3, 1e-3)
    })?;
    let (chars, numbers) = ((texts * config.context_len) as f64, count_parameters(&model) as f64);
    // The way back is twice the way there. Of a character, a block keeps its stream, norms, queries, keys, values, hidden units.
    let products = 3.0 * chars * operations(&config, config.context_len as f64 / 2.0) + of_muon(&model);
    let kept = config.n_layers * (5 * config.emb_dim + 8 * config.n_heads * config.head_dim + 3 * config.n_hidden);
    let bytes = 4.0 * (4.0 * numbers + chars * (kept + 3 * config.n_vocab) as f64);
    Ok(json!({ "seconds": seconds, "chars": chars, "parameters": numbers, "operations": products, "bytes": bytes }))
}

fn write(config: TransformerConfig) -> Result<Value> {
    let model = TransformerLm::new(config, Device::Cpu)?;
    let (mut cache, mut seconds) = (model.new_cache(1)?.unwrap_or_default(), f64::INFINITY);
    let ids = Tensor::f_randint(config.n_vocab, [1, config.context_len], (Kind::Int64, Device::Cpu))?;
    let last = 16.min(config.context_len / 2);
    let _ = model.read(&ids.f_narrow(1, 0, config.context_len - last)?, &mut cache)?;
    for place in config.context_len - last..config.context_len {
        let begun = Instant::now();
        let _ = model.read(&ids.f_narrow(1, place, 1)?, &mut cache)?;
        seconds = seconds.min(begun.elapsed().as_secs_f64());
    }
    let parameters = count_parameters(&model) as f64;
    Ok(
        json!({ "seconds": seconds, "parameters": parameters, "operations": operations(&config, config.context_len as f64) }),
    )
}

/// Draws courses: `{"across", "up", "courses": [{"name", "sizes", "costs", "theory"}]}`.
fn draw(figures: &str, out: &str) -> Result<Value> {
    let wrong = |error: &dyn std::fmt::Display| Error::Data(format!("{figures}: {error}"));
    let text = std::fs::read_to_string(figures).map_err(|error| wrong(&error))?;
    let figures: Value = serde_json::from_str(&text).map_err(|error| wrong(&error))?;
    let words = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let numbers =
        |value: &Value| -> Vec<f64> { value.as_array().into_iter().flatten().filter_map(Value::as_f64).collect() };
    let mut growth = Growth::new(&words(&figures["across"]), &words(&figures["up"]));
    for course in figures["courses"].as_array().into_iter().flatten() {
        let [sizes, costs, theory] = ["sizes", "costs", "theory"].map(|name| numbers(&course[name]));
        growth = growth.add(&words(&course["name"]), &sizes, &costs, &theory)?;
    }
    std::fs::write(out, growth.draw()?.svg).map_err(|error| Error::Data(format!("{out}: {error}")))?;
    Ok(json!({ "slopes": growth.slopes() }))
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let told = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["learn", ..] => sizes(&arguments[1..]).and_then(|(config, texts, ms)| learn(config, texts, ms))?,
        ["write", ..] => sizes(&arguments[1..]).and_then(|(config, ..)| write(config))?,
        ["nothing"] => json!({}),
        ["draw", figures, out] => draw(figures, out)?,
        _ => {
            return Err(Error::Config("grow learn | write | nothing | draw: see the example's first lines".to_owned()));
        }
    };
    println!("{told}");
    Ok(())
}
