//! A text of your own: what it is made of, how well counting predicts it, and what an MLP makes of it in some seconds.
//!
//! `cargo run --release -p glasslab --example your_own_data -- MY.txt [SECONDS]`

use glasslab::prelude::*;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(file) = arguments.next() else {
        eprintln!("Which text? cargo run --release -p glasslab --example your_own_data -- MY.txt");
        std::process::exit(2);
    };
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10.0);
    let tokenizer = CharTokenizer::default();
    let data = Dataset::from_path(file, None)?; // the last tenth is held out
    println!("{} stories, {} characters to train on", data.train.len(), data.train.chars());
    let (train_tokens, held_out) =
        (Tokens::encode(&data.train, &tokenizer)?, Tokens::encode(&data.held_out, &tokenizer)?);

    let mut model = MlpLm::new(MlpConfig::original(), best_device())?;
    let config = TrainConfig { length: Length::Seconds(seconds), ..TrainConfig::default() };
    train(&mut model, &train_tokens, &held_out, &config)?;
    let mut ladder = Ladder::counted(&train_tokens, &held_out, tokenizer.n_vocab())?;
    ladder.add("MLP", &model, &held_out)?;
    println!("{}", ladder.table());
    Ok(())
}
