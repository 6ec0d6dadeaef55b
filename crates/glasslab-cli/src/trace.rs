//! Looking into a model from the command line.

use clap::Args;
use glasslab::checkpoint::AnyModel;
use glasslab::trace::{Trace, TraceStep, Traceable};
use glasslab::{Error, Result};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Look {
    /// The model: one that `glasslab train` kept, a GGUF file, a Hugging Face folder, or a fetched one by its name.
    model: PathBuf,
    /// The text to follow through the model.
    #[arg(long, default_value = "Once upon")]
    text: String,
    /// One step in full, e.g. block.0.attn.scores: every number with --json.
    #[arg(long)]
    step: Option<String>,
    /// The arithmetic behind one number of --step: its place on each axis, e.g. 0,0,2,1.
    #[arg(long, requires = "step", value_delimiter = ',')]
    by_hand: Option<Vec<i64>>,
    /// Every step of every block: by default, a block like the one before is told in a line.
    #[arg(long)]
    whole: bool,
    /// Also writes the table with its pictures (or the one step) as a page.
    #[arg(long)]
    html: Option<PathBuf>,
}

impl Look {
    pub fn run(&self, as_json: bool) -> Result<()> {
        let model = AnyModel::open(&self.model)?;
        let trace = model.trace(&self.text)?;
        trace.notes.iter().for_each(|note| eprintln!("glasslab: {note}"));
        if let Some(path) = &self.html {
            let block = self.step.as_deref().map_or_else(|| trace.html(), |step| trace.open(step))?;
            let page = format!("<!DOCTYPE html><meta charset=\"utf-8\"><title>trace</title>{}\n", block.html);
            std::fs::write(path, page).map_err(|source| Error::File { path: path.clone(), source })?;
        }
        match (&self.step, &self.by_hand) {
            (Some(step), Some(place)) => {
                let by_hand = trace.by_hand(step, place)?;
                match as_json {
                    true => println!(
                        "{}",
                        json!({ "arithmetic": by_hand.arithmetic, "result": by_hand.result, "traced": by_hand.traced })
                    ),
                    false => println!("{by_hand}"),
                }
            }
            (Some(step), None) => {
                let found = trace.step(step)?;
                match as_json {
                    true => println!("{}", with_numbers(found)?),
                    false => println!("{}", trace.open(step)?.alt),
                }
            }
            (None, _) if as_json => println!("{}", all(&trace)),
            (None, _) if self.whole => print!("{trace:#}"),
            (None, _) => print!("{trace}"),
        }
        Ok(())
    }
}

fn all(trace: &Trace) -> Value {
    json!({
        "text": trace.text, "characters": trace.labels, "notes": trace.notes,
        "steps": trace.steps.iter().map(described).collect::<Vec<_>>(),
        "nats_per_char": trace.loss(), "max_abs_error": trace.max_abs_error,
    })
}

fn described(step: &TraceStep) -> Value {
    json!({
        "name": step.name, "shape": step.tensor.size(), "axes": step.axes, "formula": step.formula,
        "meaning": step.meaning, "min": step.min, "mean": step.mean, "max": step.max, "not_finite": step.not_finite,
    })
}

fn with_numbers(step: &TraceStep) -> Result<Value> {
    let mut value = described(step);
    // JSON has no infinity: what is not finite is written as null.
    value["numbers"] = json!(Vec::<f64>::try_from(step.tensor.to_kind(tch::Kind::Double).reshape([-1]))?);
    Ok(value)
}
