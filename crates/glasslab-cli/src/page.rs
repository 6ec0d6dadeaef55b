//! `glasslab page`: a model in one file that computes in a browser.

use clap::Args;
use glasslab::Result;
use glasslab::model::AnyModel;
use glasslab::view::{Page, Reel};
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct OnePage {
    /// The model: one that `glasslab train` kept, a GGUF file, a Hugging Face folder, or a fetched one by its name.
    model: PathBuf,
    /// Another one beside it: an MLP beside a transformer shows what a context is good for.
    #[arg(long, value_name = "MODEL")]
    beside: Option<PathBuf>,
    /// Moments of the training, as `glasslab train --film` keeps them.
    #[arg(long, value_name = "FILE")]
    film: Option<PathBuf>,
    /// What stands above it [default: the name of the page].
    #[arg(long)]
    title: Option<String>,
    /// What the models are shown at first.
    #[arg(long)]
    prompt: Option<String>,
    /// The page.
    #[arg(long, default_value = "mine.html")]
    out: PathBuf,
}

impl OnePage {
    pub fn run(&self, as_json: bool) -> Result<()> {
        let mut page = Page::new(&AnyModel::open(&self.model)?)?;
        if let Some(beside) = &self.beside {
            page = page.beside(&AnyModel::open(beside)?)?;
        }
        if let Some(film) = &self.film {
            page = page.film(Reel::load(film)?);
        }
        if let Some(title) = &self.title {
            page = page.title(title);
        }
        if let Some(prompt) = &self.prompt {
            page = page.prompt(prompt);
        }
        let written = page.write(&self.out)?;
        match as_json {
            true => println!(
                "{}",
                json!({
                    "out": written.path, "bytes": written.bytes, "numbers": written.numbers, "computes": written.computes, "bits": written.bits,
                    "loss_change": written.loss_change,
                })
            ),
            false => println!("{written}"),
        }
        Ok(())
    }
}
