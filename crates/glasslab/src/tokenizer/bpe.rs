//! Byte-pair encoding: the pairs of tokens that come most often become tokens themselves.
//!
//! It begins with the characters of the training text. Then, again and again, the most frequent pair of neighbours is
//! merged into a new token, until the vocabulary is full: first `he`, soon ` the`, later whole words. A text is encoded
//! by the same merges in the same order. No token crosses from a word into the next; a space belongs to the word after it.
//!
//! With as many ids as the characters have (256), a model has the same size with either tokenizer, and what differs is
//! what a token stands for: about two characters. So the same context reaches twice as far. Losses per token can't be
//! compared, since a longer token is harder to guess; per character they can
//! ([`Evaluation::per_char`](crate::evaluate::Evaluation::per_char)).
//!
//! Source: Sennrich, Haddow and Birch, "Neural Machine Translation of Rare Words with Subword Units", 2016.

use super::Tokenizer;
use crate::data::Stories;
use crate::error::{Error, Result};
use crate::stopping::Listening;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::Path;

/// So many characters of the training text are counted: what comes often shows long before.
const COUNTED: usize = 20_000_000;

type Pair = (u16, u16);

/// A byte-pair tokenizer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Saved", into = "Saved")]
pub struct BytePair {
    /// The text of each id: first the characters, then what was merged.
    pub pieces: Vec<String>,
    /// The pairs in the order in which they were merged; each one made the next id.
    pub merges: Vec<Pair>,
    characters: HashMap<char, u16>,
    merged: HashMap<Pair, u16>,
    /// The words of the training text, encoded: most words of another text are among them.
    words: HashMap<String, Vec<u16>>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    alphabet: String,
    merges: Vec<Pair>,
}

impl TryFrom<Saved> for BytePair {
    type Error = Error;
    fn try_from(s: Saved) -> Result<BytePair> {
        BytePair::from_parts(&s.alphabet, &s.merges)
    }
}
impl From<BytePair> for Saved {
    fn from(b: BytePair) -> Saved {
        Saved { alphabet: b.pieces[..b.pieces.len() - b.merges.len()].concat(), merges: b.merges }
    }
}
impl BytePair {
    /// Learns a vocabulary of at most `n_vocab` ids from stories. At most half of it is for single characters, the
    /// most frequent ones; others have no id.
    ///
    /// # Errors
    /// If `n_vocab` is not in 4..=65536, or the stop button is pressed.
    pub fn train(stories: &Stories, n_vocab: usize) -> Result<BytePair> {
        if !(4..=1 << 16).contains(&n_vocab) {
            return Err(Error::Config(format!("n_vocab must be in 4..=65536, got {n_vocab}")));
        }
        let mut listening = Listening::new("byte pairs were learnt: learn them again");
        let counts = count_words(stories, &mut listening)?;
        let mut tokenizer = BytePair::from_parts(&alphabet(&counts, n_vocab / 2), &[])?;
        let mut words: Vec<(Vec<u16>, u64)> =
            counts.iter().map(|(word, count)| (tokenizer.characters_of(word), *count)).collect();
        while tokenizer.pieces.len() < n_vocab {
            listening.go_on()?;
            let mut pairs: HashMap<Pair, u64> = HashMap::new();
            for (word, count) in &words {
                word.windows(2).for_each(|pair| *pairs.entry((pair[0], pair[1])).or_default() += count);
            }
            // Among equally frequent pairs the first ids win: one text gives one vocabulary.
            let best = pairs.into_iter().max_by_key(|&(pair, count)| (count, Reverse(pair)));
            let Some((pair, _)) = best.filter(|&(_, count)| count > 1) else { break };
            let id = tokenizer.add(pair);
            words.iter_mut().for_each(|(word, _)| merge(word, pair, id));
        }
        tokenizer.words =
            counts.iter().map(|(word, _)| word.clone()).zip(words.into_iter().map(|(word, _)| word)).collect();
        Ok(tokenizer)
    }

    fn from_parts(alphabet: &str, merges: &[Pair]) -> Result<BytePair> {
        let mut tokenizer = BytePair {
            pieces: alphabet.chars().map(String::from).collect(),
            merges: Vec::new(),
            characters: alphabet.chars().zip(0..).collect(),
            merged: HashMap::new(),
            words: HashMap::new(),
        };
        for &pair in merges {
            let known = tokenizer.pieces.len();
            if usize::from(pair.0) >= known || usize::from(pair.1) >= known || known >= 1 << 16 {
                return Err(Error::Data(format!("the merge {pair:?} joins ids that are not made yet")));
            }
            tokenizer.add(pair);
        }
        match tokenizer.characters.len() == alphabet.chars().count() && alphabet.chars().count() <= 1 << 16 {
            true => Ok(tokenizer),
            false => Err(Error::Data("a character stands twice in the alphabet".to_owned())),
        }
    }

    fn add(&mut self, pair: Pair) -> u16 {
        let id = self.pieces.len() as u16;
        self.pieces.push(self.pieces[usize::from(pair.0)].clone() + &self.pieces[usize::from(pair.1)]);
        self.merges.push(pair);
        self.merged.insert(pair, id);
        id
    }

    /// The ids of a text; characters without an id are left out.
    ///
    /// # Shapes
    /// a text of N characters → at most N ids
    pub fn encode(&self, text: &str) -> Vec<i64> {
        let mut ids = Vec::new();
        self.encode_into(text, &mut |id| ids.push(id));
        ids
    }

    /// The pieces that a text is cut into.
    pub fn cut(&self, text: &str) -> Vec<&str> {
        let mut pieces = Vec::new();
        self.encode_into(text, &mut |id| pieces.push(self.pieces[id as usize].as_str()));
        pieces
    }

    /// Keeps the tokenizer as a JSON file.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let alphabet = self.pieces[..self.pieces.len() - self.merges.len()].concat();
        let text = serde_json::to_string(&Saved { alphabet, merges: self.merges.clone() })
            .map_err(|error| Error::Data(error.to_string()))?;
        let path = path.as_ref();
        std::fs::write(path, text + "\n").map_err(|source| Error::File { path: path.to_path_buf(), source })
    }

    /// Reads what [`save`](Self::save) kept.
    ///
    /// # Errors
    /// If it can't be read or describes no tokenizer.
    pub fn load(path: impl AsRef<Path>) -> Result<BytePair> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_path_buf(), source })?;
        let wrong =
            |why: String| Error::Data(format!("{} is no byte-pair tokenizer ({why}): train it again", path.display()));
        let saved: Saved = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        BytePair::from_parts(&saved.alphabet, &saved.merges).map_err(|error| wrong(error.to_string()))
    }

    fn characters_of(&self, word: &str) -> Vec<u16> {
        word.chars().filter_map(|character| self.characters.get(&character).copied()).collect()
    }

    /// Merges what was merged first, first.
    fn encode_word(&self, word: &str) -> Vec<u16> {
        let mut ids = self.characters_of(word);
        loop {
            let pairs = ids.windows(2).filter_map(|pair| self.merged.get_key_value(&(pair[0], pair[1])));
            let Some((&pair, &id)) = pairs.min_by_key(|(_, id)| **id) else { return ids };
            merge(&mut ids, pair, id);
        }
    }
}

impl Tokenizer for BytePair {
    fn n_vocab(&self) -> i64 {
        self.pieces.len() as i64
    }

    fn encode_into(&self, text: &str, take: &mut dyn FnMut(i64)) -> usize {
        let mut dropped = 0;
        for word in words(text) {
            match self.words.get(word) {
                Some(ids) => ids.iter().for_each(|&id| take(i64::from(id))),
                None => self.encode_word(word).into_iter().for_each(|id| take(i64::from(id))),
            }
            dropped += word.chars().filter(|character| !self.knows(*character)).count();
        }
        dropped
    }

    fn piece(&self, id: i64) -> Result<Cow<'_, [u8]>> {
        Ok(Cow::Borrowed(self.piece(id)?.as_bytes()))
    }

    fn knows(&self, character: char) -> bool {
        self.characters.contains_key(&character)
    }

    fn width(&self, id: i64) -> Result<usize> {
        Ok(self.piece(id)?.chars().count())
    }
}

impl BytePair {
    fn piece(&self, id: i64) -> Result<&str> {
        usize::try_from(id).ok().and_then(|id| self.pieces.get(id)).map(String::as_str).ok_or_else(|| Error::Shape {
            expected: format!("an id in 0..{}", self.pieces.len()),
            got: id.to_string(),
            hint: "was the text encoded with this tokenizer?".to_owned(),
        })
    }
}

/// A text's words: each begins at a blank, or where letters begin or end.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut characters = rest.char_indices();
        let (_, first) = characters.next()?;
        let mut before = first;
        let end = characters.find(|&(_, character)| {
            let turn = character.is_alphabetic() != before.is_alphabetic() && !before.is_whitespace();
            before = character;
            character.is_whitespace() || turn
        });
        let (word, others) = rest.split_at(end.map_or(rest.len(), |(place, _)| place));
        rest = others;
        Some(word)
    })
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

/// The most frequent characters, at most `size`, in the order of their code points.
fn alphabet(words: &[(String, u64)], size: usize) -> String {
    let mut counts: HashMap<char, u64> = HashMap::new();
    for (word, count) in words {
        word.chars().for_each(|character| *counts.entry(character).or_default() += count);
    }
    let mut characters: Vec<(Reverse<u64>, char)> =
        counts.into_iter().map(|(character, count)| (Reverse(count), character)).collect();
    characters.sort_unstable();
    characters.truncate(size);
    let mut characters: Vec<char> = characters.into_iter().map(|(_, character)| character).collect();
    characters.sort_unstable();
    characters.into_iter().collect()
}

/// Replaces each occurrence of a pair, from the left.
fn merge(ids: &mut Vec<u16>, pair: Pair, merged: u16) {
    let (mut read, mut write) = (0, 0);
    while read < ids.len() {
        let found = ids[read] == pair.0 && ids.get(read + 1) == Some(&pair.1);
        ids[write] = if found { merged } else { ids[read] };
        read += if found { 2 } else { 1 };
        write += 1;
    }
    ids.truncate(write);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, Tokens};
    use crate::evaluate::evaluate;
    use crate::model::{LanguageModel, NGram};
    use crate::tokenizer::CharTokenizer;
    use tch::{Device, Tensor};

    fn trained(text: &str, n_vocab: usize) -> BytePair {
        BytePair::train(&Stories::parse(text).unwrap(), n_vocab).unwrap()
    }

    #[test]
    fn the_most_frequent_pair_is_merged_first() {
        // "ab" comes 5 times, then " ab" 4 times, as "abc" does, then " abc" 3 times.
        let tokenizer = trained("abc abc abc abc abd", 10);
        assert_eq!(tokenizer.pieces, [" ", "a", "b", "c", "d", "ab", " ab", " abc"]);
        assert_eq!(tokenizer.cut("abc abc abdab"), ["ab", "c", " abc", " ab", "d", "ab"]);
        assert_eq!(tokenizer, trained("abc abc abc abc abd", 10), "one text gives one vocabulary");
    }

    #[test]
    fn a_word_begins_at_a_blank_and_where_letters_begin_or_end() {
        assert_eq!(
            words("Once upon, \"He said\n\nit's  3 été!").collect::<Vec<_>>(),
            ["Once", " upon", ",", " \"", "He", " said", "\n", "\nit", "'", "s", " ", " 3", " été", "!"]
        );
        assert_eq!(words("").count(), 0);
    }

    #[test]
    fn decoding_gives_back_what_was_encoded() {
        let data = Dataset::embedded().unwrap();
        let tokenizer = BytePair::train(&data.train, 256).unwrap();
        assert_eq!(tokenizer.pieces.len(), 256);
        let (mut tokens, mut chars) = (0, 0);
        for story in data.train.iter().chain(data.held_out.iter()) {
            let ids = tokenizer.encode(story);
            let dropped = story.chars().filter(|character| !tokenizer.characters.contains_key(character)).count();
            if dropped == 0 {
                assert_eq!(tokenizer.decode(&ids).unwrap(), story);
            }
            let widths: usize = ids.iter().map(|&id| tokenizer.width(id).unwrap()).sum();
            assert_eq!(widths, story.chars().count() - dropped);
            (tokens, chars) = (tokens + ids.len(), chars + widths);
        }
        assert!(chars as f64 / tokens as f64 > 1.8, "{chars} characters in {tokens} tokens");
    }

    #[test]
    fn words_of_the_training_text_are_encoded_as_all_others_are() {
        let data = Dataset::embedded().unwrap();
        let tokenizer = BytePair::train(&data.train, 256).unwrap();
        for (word, ids) in tokenizer.words.iter().take(2000) {
            assert_eq!(ids, &tokenizer.encode_word(word), "{word:?}");
        }
    }

    #[test]
    fn rare_characters_have_no_id_and_are_counted() {
        let tokenizer = trained("aaaa bbbb", 4);
        assert_eq!(tokenizer.pieces, ["a", "b", "aa", "bb"]);
        let mut ids = Vec::new();
        assert_eq!(tokenizer.encode_into("ab c🦀", &mut |id| ids.push(id)), 3);
        assert_eq!(ids, [0, 1]);
        assert!(tokenizer.decode(&[4]).unwrap_err().to_string().contains("0..4"));
        assert!(BytePair::train(&Stories::parse("a").unwrap(), 3).is_err());
    }

    #[test]
    fn a_loaded_tokenizer_is_the_saved_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.json");
        let tokenizer = trained("abc abc abc abc abd été été", 20);
        tokenizer.save(&path).unwrap();
        let loaded = BytePair::load(&path).unwrap();
        assert_eq!((&loaded.pieces, &loaded.merges), (&tokenizer.pieces, &tokenizer.merges));
        assert_eq!(loaded.encode("abc été abd"), tokenizer.encode("abc été abd"));
        for text in ["{", "{\"alphabet\": \"aa\", \"merges\": []}", "{\"alphabet\": \"ab\", \"merges\": [[0, 2]]}"] {
            std::fs::write(&path, text).unwrap();
            assert!(BytePair::load(&path).unwrap_err().to_string().contains("train it again"));
        }
    }

    #[test]
    fn a_loss_per_character_does_not_depend_on_how_the_text_is_cut() {
        /// Gives every id the same probability.
        struct Uniform(i64);
        impl LanguageModel for Uniform {
            fn logits(&self, ids: &Tensor) -> Result<Tensor> {
                let size = ids.size();
                Ok(Tensor::zeros([size[0], size[1], self.0], (tch::Kind::Float, Device::Cpu)))
            }
            fn n_vocab(&self) -> i64 {
                self.0
            }
            fn context_len(&self) -> i64 {
                1
            }
            fn device(&self) -> Device {
                Device::Cpu
            }
        }
        let stories = Stories::parse("abab abab<|endoftext|>ab").unwrap();
        let tokenizer = BytePair::train(&stories, 6).unwrap();
        assert_eq!(tokenizer.cut("abab abab"), ["abab", " ", "abab"]);
        let tokens = Tokens::encode(&stories, &tokenizer).unwrap();
        let loss = evaluate(&Uniform(tokenizer.n_vocab()), &tokens).unwrap();
        let per_char = loss.per_char(tokens.predicted_chars(&tokenizer).unwrap());
        let nats = 2.0 * (tokenizer.n_vocab() as f64).ln();
        assert!((per_char.nats_per_char - nats / 5.0).abs() < 1e-6, "{per_char:?}");
        let chars = Tokens::encode(&stories, &CharTokenizer::default()).unwrap();
        assert_eq!(chars.predicted_chars(&CharTokenizer::default()).unwrap(), 8 + 1);
        assert!(chars.predicted_chars(&tokenizer).unwrap_err().to_string().contains("does not have"));
    }

    #[test]
    fn counted_pairs_of_tokens_know_more_than_counted_pairs_of_characters() {
        let data = Dataset::embedded().unwrap();
        let pairs = BytePair::train(&data.train, 256).unwrap();
        let per_char = |tokenizer: &dyn Fn(&Stories) -> Tokens, chars: &dyn Fn(&Tokens) -> usize| {
            let (train, held_out) = (tokenizer(&data.train), tokenizer(&data.held_out));
            let loss = evaluate(&NGram::count(&train, 2, 256).unwrap(), &held_out).unwrap();
            loss.per_char(chars(&held_out)).nats_per_char
        };
        let with_pairs = per_char(&|stories| Tokens::encode(stories, &pairs).unwrap(), &|tokens| {
            tokens.predicted_chars(&pairs).unwrap()
        });
        let characters = CharTokenizer::default();
        let with_characters = per_char(&|stories| Tokens::encode(stories, &characters).unwrap(), &|tokens| {
            tokens.predicted_chars(&characters).unwrap()
        });
        assert!(with_pairs < 0.8 * with_characters, "{with_pairs} {with_characters}");
    }
}
