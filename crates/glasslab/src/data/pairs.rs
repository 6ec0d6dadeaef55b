//! Byte pairs learnt from stories.

use super::Stories;
use crate::error::Result;
use crate::stopping::Listening;
use crate::tokenizer::{BytePair, words};
use std::collections::HashMap;

/// So many bytes of the training text are counted: what comes often shows long before.
const COUNTED: usize = 20_000_000;

impl BytePair {
    /// Learns a vocabulary of `n_vocab` ids from stories: the 256 bytes, and merges until no pair comes twice.
    ///
    /// # Errors
    /// If `n_vocab` is not in 257..=65536, or the stop button is pressed.
    pub fn train(stories: &Stories, n_vocab: usize) -> Result<BytePair> {
        let mut listening = Listening::new("byte pairs were learnt: learn them again");
        let counts = count_words(stories, &mut listening)?;
        BytePair::from_words(&counts, n_vocab, &mut listening)
    }
}

/// The words with their counts, in a fixed order.
fn count_words(stories: &Stories, listening: &mut Listening) -> Result<Vec<(String, u64)>> {
    let mut counts: HashMap<&str, u64> = HashMap::new();
    let mut seen = 0;
    for story in stories.iter() {
        if seen >= COUNTED {
            break;
        }
        for (number, word) in words(story).enumerate() {
            if number.is_multiple_of(256) {
                listening.go_on()?;
            }
            *counts.entry(word).or_default() += 1;
        }
        seen += story.len();
    }
    let mut counts: Vec<(String, u64)> = counts.into_iter().map(|(word, count)| (word.to_owned(), count)).collect();
    counts.sort_unstable();
    Ok(counts)
}
