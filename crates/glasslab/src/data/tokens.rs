//! Stories as ids, ready for batches: one byte a character, and where each story begins.

use super::Stories;
use crate::error::{Error, Result};
use crate::tokenizer::CharTokenizer;

/// Encoded stories.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// The ids of all stories, one after the other.
    pub ids: Vec<u8>,
    /// Where each story begins in `ids`; one entry more than stories, the last being the end.
    pub starts: Vec<usize>,
    /// How many characters were outside the vocabulary.
    pub dropped: usize,
}

impl Tokens {
    /// Encodes stories.
    ///
    /// # Errors
    /// If the tokenizer's ids don't fit into a byte, or nothing of the text is in its vocabulary.
    pub fn encode(stories: &Stories, tokenizer: &CharTokenizer) -> Result<Tokens> {
        if tokenizer.n_vocab > 256 {
            return Err(Error::Config(format!(
                "a token takes one byte, so n_vocab can be 256 at most, got {}",
                tokenizer.n_vocab
            )));
        }
        let mut tokens = Tokens { ids: Vec::new(), starts: vec![0], dropped: 0 };
        for story in stories.iter() {
            for character in story.chars() {
                if tokenizer.knows(character) {
                    tokens.ids.push(u32::from(character) as u8);
                } else {
                    tokens.dropped += 1;
                }
            }
            tokens.starts.push(tokens.ids.len());
        }
        if tokens.ids.is_empty() {
            return Err(Error::Data(format!("none of the text's {} characters is in the vocabulary", tokens.dropped)));
        }
        Ok(tokens)
    }

    /// The ids of each story.
    pub fn stories(&self) -> impl Iterator<Item = &[u8]> {
        self.starts.windows(2).map(|ends| &self.ids[ends[0]..ends[1]])
    }

    /// The number of characters.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Never true: there is at least one character.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_story_keeps_its_place_and_lost_characters_are_counted() {
        let stories = Stories::parse("ab🦀\n<|endoftext|>\ncd").unwrap();
        let tokens = Tokens::encode(&stories, &CharTokenizer::default()).unwrap();
        assert_eq!(tokens.stories().collect::<Vec<_>>(), [b"ab", b"cd"]);
        assert_eq!(tokens.dropped, 1);
    }

    #[test]
    fn text_wholly_outside_the_vocabulary_is_an_error() {
        let stories = Stories::parse("日本語").unwrap();
        let message = Tokens::encode(&stories, &CharTokenizer::default()).unwrap_err().to_string();
        assert!(message.contains("3 characters"), "{message}");
    }
}
