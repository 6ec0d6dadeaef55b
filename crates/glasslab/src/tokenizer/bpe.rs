//! Byte-pair encoding: the pairs of tokens that come most often become tokens themselves.
//!
//! It begins with the 256 bytes, so every text can be encoded, whatever its language. Then, again and again, the most
//! frequent pair of neighbours is merged into a new token, until the vocabulary is full: first `he`, soon ` the`, later whole
//! words. A text is encoded by the same merges in the same order. No token crosses from a word into the next; a space
//! belongs to the word after it.
//!
//! It is the tokenizer of GPT-2 and of most models since: what is learnt here, and how a text is cut, equals what the
//! `tokenizers` library of Hugging Face gives (`tests/byte_pairs.rs`).
//!
//! A token stands for several characters, so the same context reaches further. Losses per token can't be compared, since a
//! longer token is harder to guess; per character and per byte they can, and that is what an
//! [`Evaluation`](crate::evaluate::Evaluation) says.
//!
//! Source: Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword Units", 2016; on bytes:
//! Radford et al., "Language Models are Unsupervised Multitask Learners", 2019.

mod learn;

use super::Tokenizer;
use super::merge::{Merger, Part};
use super::words::words;
use crate::error::{Error, Result};
use crate::file::{file_error, write_whole};
use crate::stopping::Listening;
use learn::{Learnt, Pair};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

/// The ids of single bytes.
const BYTES: usize = 256;
/// The most ids: each takes two bytes.
const MOST: usize = 1 << 16;

/// A byte-pair tokenizer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Saved", into = "Saved")]
pub struct BytePair {
    /// What each id stands for: first the 256 bytes, then what was merged. A piece may end inside a character.
    pub pieces: Vec<Vec<u8>>,
    /// The pairs in the order in which they were merged. Each made the next id, unless its bytes had one already.
    pub merges: Vec<Pair>,
    /// For each pair: which merge it was, and the id that it makes.
    merged: HashMap<Pair, (usize, u16)>,
}

/// What a file keeps of it: all else follows.
#[derive(Serialize, Deserialize)]
struct Saved {
    merges: Vec<Pair>,
    /// Only in files of older versions, whose ids were characters.
    #[serde(default, skip_serializing)]
    alphabet: Option<String>,
}

impl BytePair {
    /// Learns a vocabulary from words with their counts.
    pub(crate) fn from_words(words: &[(String, u64)], n_vocab: usize, listening: &mut Listening) -> Result<BytePair> {
        if !(BYTES + 1..=MOST).contains(&n_vocab) {
            return Err(Error::Config(format!(
                "n_vocab must be in 257..=65536 for byte pairs, got {n_vocab}: the first 256 ids are the bytes, and a token \
                 takes two bytes at most"
            )));
        }
        Ok(learn::learn(words, n_vocab, listening)?.into())
    }

    /// The words that a text is cut into before its bytes are merged, each with the space before it.
    pub fn words(text: &str) -> Vec<&str> {
        words(text).collect()
    }

    /// The ids of a text.
    ///
    /// # Shapes
    /// a text of N bytes → at most N ids
    pub fn encode(&self, text: &str) -> Vec<i64> {
        let mut ids = Vec::new();
        self.encode_into(text, &mut |id| ids.push(id));
        ids
    }

    /// The pieces that a text is cut into, as a plot shows them: `␣the`, and `\xf0` for a byte that is no character alone.
    pub fn cut(&self, text: &str) -> Vec<String> {
        self.encode(text).into_iter().filter_map(|id| self.label(id).ok()).collect()
    }

    /// Keeps the tokenizer as a JSON file: its merges.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let text = serde_json::to_string(self).map_err(|error| Error::Data(error.to_string()))?;
        write_whole(path.as_ref(), |part| std::fs::write(part, text + "\n").map_err(file_error(part)))
    }

    /// Reads what [`save`](Self::save) kept.
    ///
    /// # Errors
    /// If it can't be read or describes no tokenizer.
    pub fn load(path: impl AsRef<Path>) -> Result<BytePair> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(file_error(path))?;
        serde_json::from_str(&text).map_err(|error| {
            Error::Data(format!("{} is no byte-pair tokenizer ({error}): train it again", path.display()))
        })
    }
}

impl TryFrom<Saved> for BytePair {
    type Error = String;

    fn try_from(saved: Saved) -> Result<BytePair, String> {
        if saved.alphabet.is_some() {
            return Err("it has an alphabet: an older glasslab merged characters, this one merges bytes".to_owned());
        }
        let mut learnt = Learnt::new();
        for pair in saved.merges {
            let known = learnt.pieces.len();
            if usize::from(pair.0) >= known || usize::from(pair.1) >= known {
                return Err(format!("the merge {pair:?} joins ids that are not made yet"));
            }
            if known >= MOST {
                return Err(format!("it has more than {MOST} ids"));
            }
            learnt.merge(pair);
        }
        Ok(learnt.into())
    }
}

impl From<BytePair> for Saved {
    fn from(tokenizer: BytePair) -> Saved {
        Saved { merges: tokenizer.merges, alphabet: None }
    }
}

impl From<Learnt> for BytePair {
    fn from(learnt: Learnt) -> BytePair {
        BytePair { pieces: learnt.pieces, merges: learnt.merges, merged: learnt.merged }
    }
}

impl Tokenizer for BytePair {
    fn n_vocab(&self) -> i64 {
        self.pieces.len() as i64
    }

    fn encode_into(&self, text: &str, take: &mut dyn FnMut(i64)) -> usize {
        let mut merger = Merger::default();
        let id = |part: &Part| part.id.and_then(|id| u16::try_from(id).ok());
        for word in words(text) {
            let bytes = word.bytes().map(|byte| (Some(u32::from(byte)), 1));
            let parts = merger.merged(bytes, |first, second| {
                let (number, id) = self.merged.get(&(id(first)?, id(second)?))?;
                Some((*number as u32, u32::from(*id)))
            });
            parts.filter_map(|part| part.id).for_each(|id| take(i64::from(id)));
        }
        0
    }

    fn piece(&self, id: i64) -> Result<Cow<'_, [u8]>> {
        let piece = usize::try_from(id).ok().and_then(|id| self.pieces.get(id));
        piece.map(|piece| Cow::Borrowed(&piece[..])).ok_or_else(|| Error::Shape {
            expected: format!("an id in 0..{}", self.pieces.len()),
            got: id.to_string(),
            hint: "was the text encoded with this tokenizer?".to_owned(),
        })
    }

    fn knows(&self, _character: char) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, Stories};
    use crate::rng::Rng;

    fn trained(text: &str, n_vocab: usize) -> BytePair {
        BytePair::train(&Stories::parse(text).unwrap(), n_vocab).unwrap()
    }

    #[test]
    fn the_most_frequent_pair_is_merged_first() {
        // "ab" comes 5 times, then " ab" 4 times, as "abc" does, then " abc" 3 times.
        let tokenizer = trained("abc abc abc abc abd", 300);
        let labels: Vec<String> = (256..tokenizer.n_vocab()).map(|id| tokenizer.label(id).unwrap()).collect();
        assert_eq!(labels, ["ab", "␣ab", "␣abc"]);
        assert_eq!(tokenizer.cut("abc abc abdab"), ["ab", "c", "␣abc", "␣ab", "d", "ab"]);
        assert_eq!(tokenizer, trained("abc abc abc abc abd", 300), "one text gives one vocabulary");
    }

    #[test]
    fn any_text_comes_back_whole() {
        let data = Dataset::embedded().unwrap();
        let tokenizer = BytePair::train(&data.train, 512).unwrap();
        assert_eq!(tokenizer.n_vocab(), 512);
        let mut rng = Rng::new(1);
        let random = (0..500).map(|_| {
            let limit = 1 << (7 + rng.below(14));
            (0..rng.below(40)).filter_map(|_| char::from_u32(rng.below(limit) as u32)).collect::<String>()
        });
        for text in random.chain(data.held_out.iter().map(str::to_owned)) {
            let mut ids = Vec::new();
            assert_eq!(tokenizer.encode_into(&text, &mut |id| ids.push(id)), 0, "nothing is dropped");
            assert_eq!(tokenizer.decode(&ids).unwrap(), text);
            let widths: usize = ids.iter().map(|&id| tokenizer.width(id).unwrap()).sum();
            assert_eq!(widths, text.chars().count());
        }
        let tokens: usize = data.held_out.iter().map(|story| tokenizer.encode(story).len()).sum();
        assert!(data.held_out.chars() > 2 * tokens, "{tokens} tokens");
        assert!(tokenizer.knows('🦀'));
    }

    #[test]
    fn a_part_of_a_character_is_a_piece_of_its_own() {
        let tokenizer = trained("abc abc", 257);
        assert_eq!(tokenizer.cut("a🦀"), ["a", "\\xf0", "\\x9f", "\\xa6", "\\x80"]);
        let crab = tokenizer.encode("🦀");
        assert_eq!(crab.iter().map(|&id| tokenizer.width(id).unwrap()).collect::<Vec<_>>(), [1, 0, 0, 0]);
        assert_eq!(tokenizer.decode(&crab[..2]).unwrap(), "\u{fffd}");
        assert!(tokenizer.decode(&[257]).unwrap_err().to_string().contains("0..257"));
    }

    #[test]
    fn a_very_long_word_is_encoded_in_a_moment() {
        let tokenizer = trained(&"ab ".repeat(9), 300);
        let ids = tokenizer.encode(&"ab".repeat(200_000));
        assert_eq!(ids.len(), 200_000);
    }

    #[test]
    fn sizes_that_can_not_be_are_refused() {
        let stories = Stories::parse("abc abc").unwrap();
        for n_vocab in [0, 256, 65_537] {
            let message = BytePair::train(&stories, n_vocab).unwrap_err().to_string();
            assert!(message.contains("257..=65536") && message.contains(&n_vocab.to_string()), "{message}");
        }
        assert!(BytePair::train(&stories, 65_536).is_ok());
    }

    #[test]
    fn a_loaded_tokenizer_is_the_saved_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.json");
        let tokenizer = trained("abc abc abc abc abd été été", 300);
        tokenizer.save(&path).unwrap();
        let loaded = BytePair::load(&path).unwrap();
        assert_eq!(loaded, tokenizer);
        assert_eq!(loaded.encode("abc été abd"), tokenizer.encode("abc été abd"));
        for (text, why) in [
            ("{", "EOF"),
            ("{\"merges\": [[0, 256]]}", "not made yet"),
            ("{\"alphabet\": \"ab\", \"merges\": [[0, 1]]}", "an older glasslab merged characters"),
        ] {
            std::fs::write(&path, text).unwrap();
            let message = BytePair::load(&path).unwrap_err().to_string();
            assert!(message.contains("train it again") && message.contains(why), "{message}");
        }
    }
}
