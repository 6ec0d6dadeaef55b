//! Characters or byte pairs? The same small models, trained for the same time on both, and their losses per character, which
//! is the unit in which they can be compared.
//!
//! ```text
//! cargo run --release -p glasslab --example tokenizers -- [SECONDS [TEXT]]
//! ```

use glasslab::prelude::*;

fn compare(name: &str, tokenizer: &impl Tokenizer, data: &Dataset, seconds: f64) -> Result<()> {
    let train_tokens = Tokens::encode(&data.train, tokenizer)?;
    let held_out = Tokens::encode(&data.held_out, tokenizer)?;
    let n_vocab = tokenizer.n_vocab();
    println!("{name}: {n_vocab} ids, {:.2} characters a token", held_out.chars_per_token());
    println!("  pairs, counted  {}", evaluate(&NGram::count(&train_tokens, 2, n_vocab)?, &held_out)?);
    let config = TrainConfig { length: Length::Seconds(seconds), reports: 1, ..TrainConfig::default() };
    let mut mlp = MlpLm::new(MlpConfig { n_vocab, ..MlpConfig::original() }, best_device())?;
    train(&mut mlp, &train_tokens, &held_out, &config)?;
    println!("  MLP             {}", evaluate(&mlp, &held_out)?);
    let sizes = TransformerConfig { n_vocab, ..TransformerConfig::small() };
    let mut transformer = TransformerLm::new(sizes, best_device())?;
    train(&mut transformer, &train_tokens, &held_out, &TrainConfig { lr: 0.004, ..config })?;
    println!("  transformer     {}", evaluate(&transformer, &held_out)?);
    Ok(())
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10.0);
    let data = arguments.next().map_or_else(Dataset::load, |path| Dataset::from_path(path, None))?;
    println!("{}; {seconds} s of training each", data.source);
    compare("characters", &CharTokenizer::default(), &data, seconds)?;
    for n_vocab in [512, 1024] {
        compare("byte pairs", &BytePair::train(&data.train, n_vocab)?, &data, seconds)?;
    }
    Ok(())
}
