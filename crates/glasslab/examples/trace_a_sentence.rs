//! Every step of a forward pass, the attentions of all layers as tensors, and one number by hand.
//!
//! `cargo run --release -p glasslab --example trace_a_sentence -- [SENTENCE [MODEL.safetensors]]`

use glasslab::prelude::*;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let sentence = arguments.next().unwrap_or_else(|| "Once upon a time".to_owned());
    let model = match arguments.next() {
        Some(file) => AnyModel::load(file, best_device())?,
        None => AnyModel::new(ModelConfig::Transformer(TransformerConfig::small()), best_device())?,
    };

    let trace = model.trace(&sentence)?;
    println!("{trace}");
    for step in trace.steps.iter().filter(|step| step.name.ends_with("attn.weights")) {
        println!("{:<24} {:?}", step.name, step.tensor.size()); // (1, heads, T, T): who looks where, and how much
    }
    println!("\n{}", trace.by_hand("logits", &[0, 0, 0])?); // of the first text, at its first character, for id 0
    Ok(())
}
