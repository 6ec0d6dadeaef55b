//! The tokenizer that a model travels with, and a text cut into its pieces.

use super::{BytePair, CharTokenizer, Tokenizer};
use crate::error::Result;
use std::borrow::Cow;
use std::sync::Arc;

/// A tokenizer of either kind. It is cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnyTokenizer {
    /// Single characters.
    Chars(CharTokenizer),
    /// Byte pairs.
    Pairs(Arc<BytePair>),
}

impl AnyTokenizer {
    fn inner(&self) -> &dyn Tokenizer {
        match self {
            AnyTokenizer::Chars(tokenizer) => tokenizer,
            AnyTokenizer::Pairs(tokenizer) => tokenizer.as_ref(),
        }
    }

    /// A text cut into pieces.
    ///
    /// # Errors
    /// Never for text that was encoded just now; what [`Tokenizer::piece`] says otherwise.
    pub fn cut(&self, text: &str) -> Result<Pieces> {
        let mut ids = Vec::new();
        self.encode_into(text, &mut |id| ids.push(id));
        let dropped = text.chars().filter(|&character| !self.knows(character)).collect();
        Pieces::of(self, ids, dropped)
    }
}

impl From<CharTokenizer> for AnyTokenizer {
    fn from(tokenizer: CharTokenizer) -> AnyTokenizer {
        AnyTokenizer::Chars(tokenizer)
    }
}

impl From<BytePair> for AnyTokenizer {
    fn from(tokenizer: BytePair) -> AnyTokenizer {
        AnyTokenizer::Pairs(Arc::new(tokenizer))
    }
}

impl From<&BytePair> for AnyTokenizer {
    fn from(tokenizer: &BytePair) -> AnyTokenizer {
        AnyTokenizer::from(tokenizer.clone())
    }
}

impl Tokenizer for AnyTokenizer {
    fn n_vocab(&self) -> i64 {
        self.inner().n_vocab()
    }

    fn encode_into(&self, text: &str, take: &mut dyn FnMut(i64)) -> usize {
        self.inner().encode_into(text, take)
    }

    fn piece(&self, id: i64) -> Result<Cow<'_, [u8]>> {
        self.inner().piece(id)
    }

    fn knows(&self, character: char) -> bool {
        self.inner().knows(character)
    }

    fn decode(&self, ids: &[i64]) -> Result<String> {
        self.inner().decode(ids)
    }

    fn width(&self, id: i64) -> Result<usize> {
        self.inner().width(id)
    }

    fn as_chars(&self) -> Option<CharTokenizer> {
        self.inner().as_chars()
    }
}

/// A text as a model takes it.
#[derive(Debug, Clone)]
pub struct Pieces {
    /// The ids.
    pub ids: Vec<i64>,
    /// What each stands for, as a plot shows it.
    pub labels: Vec<String>,
    /// The text of the ids.
    pub text: String,
    /// The characters that have no id, in order.
    pub dropped: Vec<char>,
}

impl Pieces {
    fn of(tokenizer: &AnyTokenizer, ids: Vec<i64>, dropped: Vec<char>) -> Result<Pieces> {
        let labels = ids.iter().map(|&id| tokenizer.label(id)).collect::<Result<_>>()?;
        Ok(Pieces { labels, text: tokenizer.decode(&ids)?, ids, dropped })
    }
}
