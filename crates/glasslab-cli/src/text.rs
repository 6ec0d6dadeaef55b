//! The text that a command works on.

use clap::Args;
use glasslab::data::{COLUMN, Dataset, Stories, Tokens};
use glasslab::tokenizer::Tokenizer;
use glasslab::{Error, Result};
use std::path::{Path, PathBuf};

/// How a text is read.
#[derive(Debug, Clone, Default, Args)]
pub struct Reading {
    /// The column of a table, or the field of JSON objects, that the stories are in [default: text].
    #[arg(long)]
    pub column: Option<String>,
    /// Goes on where more than half of the text is outside the vocabulary, with what is left of it.
    #[arg(long)]
    pub lossy: bool,
}

impl Reading {
    /// The text of `--data` with its held-out part; without it, what the lab would use.
    pub fn dataset(&self, data: Option<&Path>, held_out: Option<&Path>) -> Result<Dataset> {
        let needs_data = |flag: &str| Err(Error::Config(format!("{flag} belongs to a text: give --data as well")));
        match (data, held_out, &self.column) {
            (Some(path), ..) => Dataset::from_column(path, self.column(), held_out),
            (None, Some(_), _) => needs_data("--held-out"),
            (None, None, Some(_)) => needs_data("--column"),
            (None, None, None) => Dataset::load(),
        }
    }

    /// The stories of `--data`; without it, the held-out ones of the lab.
    pub fn measured(&self, data: Option<&PathBuf>) -> Result<Stories> {
        match data {
            Some(path) => Stories::from_column(path, self.column()),
            None => Ok(self.dataset(None, None)?.held_out),
        }
    }

    /// Encodes stories; what had to be left out is told.
    pub fn encode(&self, stories: &Stories, tokenizer: &impl Tokenizer) -> Result<Tokens> {
        match self.lossy {
            true => Tokens::encode_lossy(stories, tokenizer),
            false => Tokens::encode(stories, tokenizer),
        }
    }

    fn column(&self) -> &str {
        self.column.as_deref().unwrap_or(COLUMN)
    }
}
