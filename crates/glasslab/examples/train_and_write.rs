//! The shortest way from stories to a text: train a small transformer for some seconds, let it write, keep it.
//!
//! `cargo run --release -p glasslab --example train_and_write -- [SECONDS [FILE.safetensors]]`

use glasslab::prelude::*;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(20.0);
    let tokenizer = CharTokenizer::default();
    let data = Dataset::embedded()?;
    let (train_tokens, held_out) =
        (Tokens::encode(&data.train, &tokenizer)?, Tokens::encode(&data.held_out, &tokenizer)?);

    let mut model = AnyModel::new(ModelConfig::Transformer(TransformerConfig::small()), best_device())?;
    let config = TrainConfig { length: Length::Seconds(seconds), lr: 0.004, ..TrainConfig::default() };
    train(&mut model, &train_tokens, &held_out, &config)?;

    println!("{:.3} nats per character held out", evaluate(&model, &held_out)?.nats_per_char);
    println!("{}", printable(&generate(&model, &tokenizer, "Once upon a time", &Sampling::default())?));
    if let Some(file) = arguments.next() {
        model.save(&file)?;
        println!("kept in {file}; AnyModel::load(\"{file}\", best_device())? opens it again");
    }
    Ok(())
}
