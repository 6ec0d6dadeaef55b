//! Stories as ids, ready for batches: one byte each, and where each story begins.

use super::{Bytes, Stories, TokenFile};
use crate::display::say;
use crate::error::{Error, Result};
use crate::stopping::Listening;
use crate::tokenizer::{CharTokenizer, Tokenizer, visible};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Encoded stories.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// The ids of all stories, one after the other.
    pub ids: Bytes,
    /// Where each story begins in `ids`.
    pub starts: Starts,
    /// How many characters were outside the vocabulary.
    pub dropped: usize,
}

/// Where each story begins: one place more than stories, the last being the end.
#[derive(Debug, Clone)]
pub struct Starts(Places);

#[derive(Debug, Clone)]
enum Places {
    Memory(Arc<Vec<usize>>),
    Mapped { file: Arc<TokenFile>, range: Range<usize> },
}

impl Starts {
    /// The number of stories.
    pub fn stories(&self) -> usize {
        match &self.0 {
            Places::Memory(places) => places.len() - 1,
            Places::Mapped { range, .. } => range.len(),
        }
    }

    /// Where a story begins in the ids; the end of the last one for the number of stories.
    pub fn get(&self, story: usize) -> usize {
        match &self.0 {
            Places::Memory(places) => places[story.min(places.len() - 1)],
            Places::Mapped { file, range } => {
                let place = file.start(range.start.saturating_add(story).min(range.end));
                place.saturating_sub(file.start(range.start))
            }
        }
    }

    /// Where a story's ids lie.
    pub fn range(&self, story: usize) -> Range<usize> {
        self.get(story)..self.get(story + 1)
    }

    /// The story that the id at a place belongs to.
    pub fn story_at(&self, place: usize) -> usize {
        let (mut low, mut high) = (0, self.stories().saturating_sub(1));
        while low < high {
            let middle = (low + high).div_ceil(2);
            if self.get(middle) <= place { low = middle } else { high = middle - 1 }
        }
        low
    }
}

impl Tokens {
    /// Encodes stories. Those of a token file are encoded already: with the same tokenizer, their tokens share its map.
    ///
    /// What is outside the vocabulary is left out, which is told, with the share of the text and examples.
    ///
    /// # Errors
    /// If the tokenizer's ids don't fit into a byte, or more than half of the text is outside its vocabulary: a model
    /// would learn little else than the blanks between.
    pub fn encode(stories: &Stories, tokenizer: &impl Tokenizer) -> Result<Tokens> {
        let tokens = Tokens::encode_lossy(stories, tokenizer)?;
        if tokens.dropped == 0 {
            return Ok(tokens);
        }
        let lost = Lost::of(stories, tokenizer, tokens.dropped);
        if 2 * lost.dropped > lost.chars {
            return Err(Error::Data(format!(
                "{lost}. To go on with what little is left all the same: Tokens::encode_lossy in a notebook, --lossy with \
                 the command"
            )));
        }
        say(&format!("glasslab: {lost}"));
        Ok(tokens)
    }

    /// As [`encode`](Self::encode), also where more than half of the text is outside the vocabulary.
    ///
    /// # Errors
    /// If the tokenizer's ids don't fit into a byte, nothing of the text is in its vocabulary, or the stop button is
    /// pressed.
    pub fn encode_lossy(stories: &Stories, tokenizer: &impl Tokenizer) -> Result<Tokens> {
        if tokenizer.n_vocab() > 256 {
            return Err(Error::Config(format!(
                "a token takes one byte, so n_vocab can be 256 at most, got {}",
                tokenizer.n_vocab()
            )));
        }
        if let Some((file, range)) = stories.mapped().filter(|_| tokenizer.as_chars() == Some(CharTokenizer::default()))
        {
            let ids = file.ids().part(file.start(range.start)..file.start(range.end));
            let dropped = stories.chars() - ids.len();
            let tokens = Tokens { ids, starts: Starts(Places::Mapped { file: Arc::clone(file), range }), dropped };
            return tokens.checked(stories, tokenizer);
        }
        let (mut ids, mut starts, mut dropped) = (Vec::new(), vec![0], 0);
        let mut listening = Listening::new("a text was encoded: encode it again");
        for story in stories.iter() {
            listening.go_on()?;
            dropped += tokenizer.encode_into(story, &mut |id| ids.push(id as u8));
            starts.push(ids.len());
        }
        let tokens = Tokens { ids: Bytes::from(ids), starts: Starts(Places::Memory(Arc::new(starts))), dropped };
        tokens.checked(stories, tokenizer)
    }

    fn checked(self, stories: &Stories, tokenizer: &impl Tokenizer) -> Result<Tokens> {
        match self.is_empty() {
            true => Err(Error::Data(Lost::of(stories, tokenizer, self.dropped).to_string())),
            false => Ok(self),
        }
    }

    /// The ids of each story.
    pub fn stories(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.starts.stories()).map(|story| self.ids.get(self.starts.range(story)).unwrap_or_default())
    }

    /// The number of tokens: of characters, with a [`CharTokenizer`].
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Never true: there is at least one token.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// How many characters are predicted when a model is measured on these tokens: all but those of each story's
    /// first token. What a loss per character is divided by.
    ///
    /// # Errors
    /// If the tokens are not this tokenizer's, or the stop button is pressed.
    pub fn predicted_chars(&self, tokenizer: &impl Tokenizer) -> Result<usize> {
        let widths: Vec<usize> = (0..256).map(|id| tokenizer.width(id).unwrap_or(0)).collect();
        let mut chars = 0;
        let mut listening = Listening::new("characters were counted: count them again");
        for story in self.stories() {
            listening.go_on()?;
            for &id in story.iter().skip(1) {
                match widths[usize::from(id)] {
                    0 => {
                        return Err(Error::Data(format!(
                            "the tokens hold the id {id}, which this tokenizer does not have"
                        )));
                    }
                    width => chars += width,
                }
            }
        }
        Ok(chars)
    }
}

/// What of a text has no id.
struct Lost {
    dropped: usize,
    chars: usize,
    n_vocab: i64,
    /// The most frequent ones.
    examples: Vec<char>,
    /// Whether the tokens are single characters.
    is_chars: bool,
}

/// So many stories tell what is lost most often.
const LOOKED_AT: usize = 10_000;

impl Lost {
    fn of(stories: &Stories, tokenizer: &impl Tokenizer, dropped: usize) -> Lost {
        let mut counts: HashMap<char, usize> = HashMap::new();
        for story in stories.iter().take(LOOKED_AT).filter(|story| !story.is_ascii()) {
            story.chars().filter(|&one| !tokenizer.knows(one)).for_each(|one| *counts.entry(one).or_default() += 1);
        }
        let mut examples: Vec<char> = counts.keys().copied().collect();
        examples.sort_by_key(|one| (Reverse(counts[one]), *one));
        examples.truncate(8);
        let (n_vocab, is_chars) = (tokenizer.n_vocab(), tokenizer.as_chars().is_some());
        Lost { dropped, chars: stories.chars(), n_vocab, examples, is_chars }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lost { dropped, chars, n_vocab, ref examples, is_chars } = *self;
        let share = 100.0 * dropped as f64 / chars.max(1) as f64;
        let digits = if share < 1.0 { 3 } else { 0 };
        write!(
            out,
            "{share:.digits$} % of the text, {dropped} of {chars} characters, are outside the vocabulary of {n_vocab} and \
             are left out"
        )?;
        if !examples.is_empty() {
            let examples: Vec<String> = examples.iter().map(|&one| visible(one)).collect();
            write!(out, " (most often {})", examples.join(" "))?;
        }
        let is_mark = |one: &char| "‘’“”„–—…".contains(*one);
        write!(out, ". The way out: ")?;
        match is_chars {
            _ if examples.iter().any(is_mark) => write!(out, "`glasslab prepare --clean-up` makes such marks plain"),
            true => write!(out, "a vocabulary of the text's own characters, `BytePair::train(&data.train, 256)?`"),
            false => write!(out, "a larger n_vocab, up to 256, when the tokenizer is trained"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Origin, TokenWriter};
    use crate::tokenizer::BytePair;

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
        assert!(message.contains("3 of 3 characters") && message.contains("BytePair"), "{message}");
        assert!(Tokens::encode_lossy(&stories, &CharTokenizer::default()).is_err(), "nothing is left");
    }

    #[test]
    fn a_text_mostly_outside_the_vocabulary_is_refused_unless_asked_for() {
        let stories = Stories::parse("Жила-была девочка, и было у неё платье.").unwrap();
        let characters = CharTokenizer::default();
        let message = Tokens::encode(&stories, &characters).unwrap_err().to_string();
        for part in ["77 % of the text, 30 of 39", "most often а л ", "BytePair::train", "encode_lossy", "--lossy"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        let tokens = Tokens::encode_lossy(&stories, &characters).unwrap();
        assert_eq!((tokens.len(), tokens.dropped), (9, 30));
        let pairs = BytePair::train(&stories, 256).unwrap();
        assert_eq!(Tokens::encode(&stories, &pairs).unwrap().dropped, 0, "the way out is one");
        let half = Stories::parse("abЖЖ").unwrap();
        assert_eq!(Tokens::encode(&half, &characters).unwrap().dropped, 2, "half of it is told, and taken");
        let lost = |text: &str| Lost::of(&Stories::parse(text).unwrap(), &characters, 1).to_string();
        assert!(lost("it’s a cat").contains("--clean-up"), "{}", lost("it’s a cat"));
    }

    #[test]
    fn tokens_of_a_token_file_are_mapped_and_equal_the_encoded_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.tokens");
        let texts: Vec<String> = (0..30).map(|number| format!("{number} café 🦀").repeat(number % 4)).collect();
        let mut writer = TokenWriter::create(&path).unwrap();
        texts.iter().for_each(|text| writer.push(text).unwrap());
        writer.finish(Origin::default()).unwrap();
        let (train, held_out) = Stories::from_path(&path).unwrap().split().unwrap();
        for stories in [train, held_out] {
            let mapped = Tokens::encode(&stories, &CharTokenizer::default()).unwrap();
            assert!(mapped.ids.is_mapped());
            let (mut ids, mut dropped) = (Vec::new(), 0);
            for (story, tokens) in stories.iter().zip(mapped.stories()) {
                let encoded = CharTokenizer::default().encode_all(story);
                assert_eq!(tokens.iter().map(|&id| i64::from(id)).collect::<Vec<_>>(), encoded.ids);
                ids.extend(encoded.ids);
                dropped += encoded.dropped.len();
            }
            assert_eq!((mapped.len(), mapped.dropped), (ids.len(), dropped));
            for place in 0..mapped.len() {
                assert!(mapped.starts.range(mapped.starts.story_at(place)).contains(&place));
            }
            let narrow = Tokens::encode(&stories, &CharTokenizer { n_vocab: 128 }).unwrap();
            assert!(!narrow.ids.is_mapped() && narrow.dropped > mapped.dropped);
        }
    }

    #[test]
    fn a_story_is_found_by_any_of_its_places() {
        let stories = Stories::parse("a<|endoftext|>bcd<|endoftext|>ef").unwrap();
        let tokens = Tokens::encode(&stories, &CharTokenizer::default()).unwrap();
        let found: Vec<usize> = (0..6).map(|place| tokens.starts.story_at(place)).collect();
        assert_eq!(found, [0, 1, 1, 1, 2, 2]);
    }
}
