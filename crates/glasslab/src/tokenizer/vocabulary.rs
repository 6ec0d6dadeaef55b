//! What is to be known of the tokenizer of another model, as a plain value: readers of its files make one, our model's file
//! keeps one, and [`Subwords`](super::Subwords) cuts texts by it.
//!
//! | family | alphabet | merging | split | before the text |
//! |---|---|---|---|---|
//! | GPT-2, GPT-Neo | bytes | pairs | `gpt2` | – |
//! | SmolLM2 | bytes | pairs | `smollm` | – |
//! | Llama 3 | bytes | pairs, whole words first | `llama3` | its begin |
//! | Qwen 2 and 3 | bytes | pairs, after NFC | `qwen2` | – |
//! | Llama 2, Mistral, llama2.c | characters | scores, or the pairs that follow from them | `whole` | its begin, a space |
//! | Gemma | characters | scores or pairs | `whole` | its begin |

use super::{ChatFormat, Split};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// What SentencePiece writes for a space.
pub(super) const SPACE: char = '▁';

/// The tokenizer of another model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Vocabulary {
    /// What each id stands for; nothing, for one that no text has.
    pub pieces: Vec<Piece>,
    /// What a text is before anything is merged.
    pub alphabet: Alphabet,
    /// What is merged first.
    pub merging: Merging,
    /// How a text is cut before.
    #[serde(default)]
    pub split: Split,
    /// Whether a text is brought into its composed form first.
    #[serde(default)]
    pub nfc: bool,
    /// Whether a word that is a piece as a whole is taken as that piece, whatever the merges say.
    #[serde(default)]
    pub whole_words: bool,
    /// The space that is put before a text.
    #[serde(default)]
    pub prefix: Option<Prefix>,
    /// What is looked for before a text is cut, the longest first: `<|im_start|>`.
    #[serde(default)]
    pub special: Vec<Special>,
    /// The id that is put before every text, if one is.
    #[serde(default)]
    pub begin: Option<u32>,
    /// The ids with which a model ends what it writes.
    #[serde(default)]
    pub ends: Vec<u32>,
    /// How a conversation is written as one text, if the model has learnt to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<ChatFormat>,
}

impl Vocabulary {
    /// Makes it as large as a model's table of embeddings, which may have rows that no text leads to, or lack the last ids.
    pub fn resize(&mut self, n_vocab: usize) {
        self.pieces.resize(n_vocab, Piece::default());
        let is_there = |id: &u32| (*id as usize) < n_vocab;
        self.special.retain(|special| is_there(&special.id));
        self.ends.retain(is_there);
        self.begin = self.begin.filter(is_there);
        match &mut self.merging {
            Merging::Scores(scores) => scores.resize(n_vocab, 0.0),
            Merging::Pairs(pairs) => pairs.retain(|[first, second]| is_there(first) && is_there(second)),
        }
        if let Alphabet::Characters { bytes } = &mut self.alphabet
            && !bytes.iter().all(is_there)
        {
            bytes.clear();
        }
    }
}

/// What a text is before anything is merged.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Alphabet {
    /// Its bytes: each has a piece.
    #[default]
    Bytes,
    /// Its characters; one that has no piece is written byte by byte.
    Characters {
        /// The ids of the 256 bytes, or none: such characters are left out then.
        bytes: Vec<u32>,
    },
}

/// What is merged first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Merging {
    /// Pairs of ids, in their order; each makes the piece that the two are together.
    Pairs(Vec<[u32; 2]>),
    /// The pair that makes the piece with the highest score; there is a score for each id.
    Scores(Vec<f32>),
}

impl Default for Merging {
    fn default() -> Merging {
        Merging::Pairs(Vec::new())
    }
}

/// A piece that stands for itself, wherever it is in a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Special {
    /// Its id.
    pub id: u32,
    /// What is looked for.
    pub text: String,
}

/// The space that is put before a text, so that its first word is a word like the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefix {
    /// Also before what follows a special piece, not only before the first character.
    pub every: bool,
    /// Only where there is no space already.
    pub unless_there: bool,
}

/// The bytes that an id stands for: text as a rule, which a file keeps as such.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Piece(pub Vec<u8>);

impl From<&str> for Piece {
    fn from(text: &str) -> Piece {
        Piece(text.as_bytes().to_vec())
    }
}

impl Serialize for Piece {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => self.0.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Piece {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Piece, D::Error> {
        deserializer.deserialize_any(TextOrBytes)
    }
}

struct TextOrBytes;

impl<'de> Visitor<'de> for TextOrBytes {
    type Value = Piece;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a text, or a list of bytes")
    }

    fn visit_str<E>(self, text: &str) -> Result<Piece, E> {
        Ok(Piece::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut numbers: A) -> Result<Piece, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = numbers.next_element()? {
            bytes.push(byte);
        }
        Ok(Piece(bytes))
    }
}
