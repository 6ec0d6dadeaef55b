//! `glasslab evaluate` and `glasslab compare`: how good models are, on text that they have not seen.

use crate::text::Reading;
use clap::Args;
use glasslab::checkpoint::AnyModel;
use glasslab::evaluate::{Evaluation, Ladder, evaluate};
use glasslab::model::{LanguageModel, count_parameters};
use glasslab::tokenizer::CharTokenizer;
use glasslab::{Error, Result};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Evaluate {
    /// The model: one that `glasslab train` kept, a GGUF file, a Hugging Face folder, or a fetched one by its name.
    model: PathBuf,
    /// The text to measure on, a file or a folder [default: the held-out stories of the lab].
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
}

impl Evaluate {
    pub fn run(&self, as_json: bool) -> Result<()> {
        let model = AnyModel::open(&self.model)?;
        let stories = self.reading.measured(self.data.as_ref())?;
        let tokens = self.reading.encode(&stories, &model.tokenizer())?;
        let loss = evaluate(&model, &tokens)?;
        if as_json {
            let mut told = as_value(&loss);
            // Characters that the model's vocabulary has not: nothing is said of them.
            told["dropped"] = json!(tokens.dropped);
            told["parameters"] = json!(count_parameters(&model));
            // What the file says of itself: nobody has looked whether it is so.
            told["trained"] = json!(model.trained());
            println!("{told}");
        } else {
            println!("{loss}");
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
pub struct Compare {
    /// Models that `glasslab train` kept, to stand beside the counted ones.
    models: Vec<PathBuf>,
    /// The text to count on [default: the stories of the lab].
    #[arg(long)]
    data: Option<PathBuf>,
    /// The text to measure on [default: NAME-valid.txt beside a NAME-train.txt, else the last tenth].
    #[arg(long)]
    held_out: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    /// Also draws the ladder into this file, as SVG.
    #[arg(long)]
    svg: Option<PathBuf>,
}

impl Compare {
    pub fn run(&self, as_json: bool) -> Result<()> {
        let tokenizer = CharTokenizer::default();
        let reading = &self.reading;
        let data = reading.dataset(self.data.as_deref(), self.held_out.as_deref())?;
        let (counted, held_out) =
            (reading.encode(&data.train, &tokenizer)?, reading.encode(&data.held_out, &tokenizer)?);
        let mut ladder = Ladder::counted(&counted, &held_out, tokenizer.n_vocab)?;
        for path in &self.models {
            let name = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy();
            let model = AnyModel::open(path)?;
            // Each reads the text with its own tokenizer; per character the losses compare.
            ladder.add(&name, &model, &reading.encode(&data.held_out, &model.tokenizer())?)?;
        }
        if let Some(path) = &self.svg {
            let written = std::fs::write(path, ladder.draw()?.svg);
            written.map_err(|source| Error::File { path: path.clone(), source })?;
        }
        if as_json {
            let rows = ladder.rungs.iter().map(|rung| {
                let mut row = as_value(&rung.loss);
                row["model"] = json!(rung.name);
                row
            });
            println!("{}", rows.collect::<Value>());
        } else {
            print!("{}", ladder.table());
        }
        Ok(())
    }
}

/// A loss as a program reads it.
pub fn as_value(loss: &Evaluation) -> Value {
    json!({
        "nats_per_char": loss.nats_per_char, "bits_per_char": loss.bits_per_char(),
        "perplexity": loss.perplexity(), "chars": loss.chars, "nats_per_byte": loss.nats_per_byte(),
    })
}
