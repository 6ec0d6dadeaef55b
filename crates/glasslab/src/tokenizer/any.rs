//! The tokenizer that a model travels with, and a text cut into its pieces.

use super::{BytePair, CharTokenizer, ChatFormat, Subwords, Tokenizer};
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// A tokenizer of any kind. It is cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum AnyTokenizer {
    /// Single characters.
    Chars(CharTokenizer),
    /// Byte pairs.
    #[serde(with = "shared")]
    Pairs(Arc<BytePair>),
    /// Those of another model.
    #[serde(with = "shared")]
    Subwords(Arc<Subwords>),
}

/// serde's own way for `Arc` is a feature that every crate would be built with.
mod shared {
    use super::{Arc, Deserialize, Serialize};
    use serde::{Deserializer, Serializer};

    pub fn serialize<T: Serialize, S: Serializer>(tokenizer: &Arc<T>, serializer: S) -> Result<S::Ok, S::Error> {
        tokenizer.as_ref().serialize(serializer)
    }

    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<T>, D::Error> {
        T::deserialize(deserializer).map(Arc::new)
    }
}

impl AnyTokenizer {
    fn inner(&self) -> &dyn Tokenizer {
        match self {
            AnyTokenizer::Chars(tokenizer) => tokenizer,
            AnyTokenizer::Pairs(tokenizer) => tokenizer.as_ref(),
            AnyTokenizer::Subwords(tokenizer) => tokenizer.as_ref(),
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
        Ok(Pieces { dropped, ..self.pieces(ids)? })
    }

    /// The pieces of ids.
    ///
    /// # Errors
    /// If one is not in `0..n_vocab`.
    pub fn pieces(&self, ids: Vec<i64>) -> Result<Pieces> {
        let labels = ids.iter().map(|&id| self.label(id)).collect::<Result<_>>()?;
        Ok(Pieces { labels, text: self.decode(&ids)?, ids, dropped: Vec::new() })
    }

    /// An id as a plot shows it; one that stands for nothing by its number.
    pub(crate) fn named(&self, id: f64) -> String {
        self.label(id as i64).unwrap_or_else(|_| id.to_string())
    }

    /// The ids with which a model ends what it writes, as its file says; none for those of ours.
    pub fn ends(&self) -> &[u32] {
        match self {
            AnyTokenizer::Subwords(tokenizer) => &tokenizer.vocabulary().ends,
            AnyTokenizer::Chars(_) | AnyTokenizer::Pairs(_) => &[],
        }
    }

    /// How a conversation is written as one text, if its model has learnt to answer.
    pub fn chat(&self) -> Option<&ChatFormat> {
        match self {
            AnyTokenizer::Subwords(tokenizer) => tokenizer.vocabulary().chat.as_ref(),
            AnyTokenizer::Chars(_) | AnyTokenizer::Pairs(_) => None,
        }
    }

    /// The special pieces in a text, such as `<|im_end|>`, with their ids.
    pub fn special_in(&self, text: &str) -> Vec<(String, i64)> {
        match self {
            AnyTokenizer::Subwords(tokenizer) => tokenizer.special_in(text),
            AnyTokenizer::Chars(_) | AnyTokenizer::Pairs(_) => Vec::new(),
        }
    }

    /// What one of its ids is called.
    pub fn unit(&self) -> Unit {
        match self {
            AnyTokenizer::Chars(_) => Unit { one: "character", many: "characters", nats: "nats/char" },
            AnyTokenizer::Pairs(_) | AnyTokenizer::Subwords(_) => {
                Unit { one: "token", many: "tokens", nats: "nats/token" }
            }
        }
    }
}

impl Default for AnyTokenizer {
    /// 256 characters.
    fn default() -> AnyTokenizer {
        AnyTokenizer::Chars(CharTokenizer::default())
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

impl From<Subwords> for AnyTokenizer {
    fn from(tokenizer: Subwords) -> AnyTokenizer {
        AnyTokenizer::Subwords(Arc::new(tokenizer))
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

    fn label(&self, id: i64) -> Result<String> {
        self.inner().label(id)
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
    /// What is left out of the text, in words, if anything is.
    pub(crate) fn lost(&self) -> Option<String> {
        let examples: String = self.dropped.iter().take(20).collect();
        let count = self.dropped.len();
        (count > 0).then(|| format!("{count} characters are outside the vocabulary and were left out: {examples:?}"))
    }
}

/// What the ids of a tokenizer are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    /// `character` or `token`.
    pub one: &'static str,
    /// `characters` or `tokens`.
    pub many: &'static str,
    /// What a mean loss is counted in.
    pub nats: &'static str,
}
