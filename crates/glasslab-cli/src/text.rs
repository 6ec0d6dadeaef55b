//! The text that a command works on.

use glasslab::data::{Dataset, Stories, Tokens};
use glasslab::tokenizer::CharTokenizer;
use glasslab::{Error, Result};
use std::path::Path;

/// The text of `--data` with its held-out part; without it, what the lab would use.
pub fn dataset(data: Option<&Path>, held_out: Option<&Path>) -> Result<Dataset> {
    match (data, held_out) {
        (Some(path), _) => Dataset::from_path(path, held_out),
        (None, None) => Dataset::load(),
        (None, Some(_)) => Err(Error::Config("--held-out belongs to a text: give --data as well".to_owned())),
    }
}

/// Encodes stories, and says what had to be left out.
pub fn encode(stories: &Stories, tokenizer: &CharTokenizer) -> Result<Tokens> {
    let tokens = Tokens::encode(stories, tokenizer)?;
    if tokens.dropped > 0 {
        eprintln!("glasslab: {} characters are outside the vocabulary and were left out", tokens.dropped);
    }
    Ok(tokens)
}
