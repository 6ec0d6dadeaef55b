//! Characters or byte pairs? The same models, of the same size, trained for the same time on both, and their losses per
//! character, which is the unit in which they can be compared.
//!
//! ```text
//! cargo run --release -p glasslab --example tokenizers -- [SECONDS [TEXT]]
//! ```

use glasslab::prelude::*;

fn measured(model: &impl LanguageModel, tokens: &Tokens, tokenizer: &impl Tokenizer) -> Result<(f64, f64)> {
    let per_token = evaluate(model, tokens)?;
    Ok((per_token.nats_per_char, per_token.per_char(tokens.predicted_chars(tokenizer)?).nats_per_char))
}

fn compare(name: &str, tokenizer: &impl Tokenizer, data: &Dataset, seconds: f64) -> Result<()> {
    let train_tokens = Tokens::encode(&data.train, tokenizer)?;
    let held_out = Tokens::encode(&data.held_out, tokenizer)?;
    let chars = held_out.predicted_chars(tokenizer)? as f64 / held_out.len() as f64;
    println!("{name}: {} ids, {chars:.2} characters a token", tokenizer.n_vocab());
    let tell = |model: &str, (token, char): (f64, f64)| {
        println!("  {model:<22} {token:.3} nats/token   {char:.3} nats/char");
    };
    tell("pairs of tokens, counted", measured(&NGram::count(&train_tokens, 2, 256)?, &held_out, tokenizer)?);
    let config = TrainConfig { length: Length::Seconds(seconds), reports: 1, ..TrainConfig::default() };
    let mut mlp = MlpLm::new(MlpConfig::original(), best_device())?;
    train(&mut mlp, &train_tokens, &held_out, &config)?;
    tell("MLP", measured(&mlp, &held_out, tokenizer)?);
    let mut transformer = TransformerLm::new(TransformerConfig::small(), best_device())?;
    train(&mut transformer, &train_tokens, &held_out, &TrainConfig { lr: 0.004, ..config })?;
    tell("transformer", measured(&transformer, &held_out, tokenizer)?);
    Ok(())
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10.0);
    let data = arguments.next().map_or_else(Dataset::load, |path| Dataset::from_path(path, None))?;
    println!("{}; {seconds} s of training each", data.source);
    compare("characters", &CharTokenizer::default(), &data, seconds)?;
    compare("byte pairs", &BytePair::train(&data.train, 256)?, &data, seconds)
}
