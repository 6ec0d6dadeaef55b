//! Stories as ids, ready for batches, and where each story begins.

use super::ids::{Collected, MOST_IDS};
use super::{IdSlice, Ids, Stories, TokenFile};
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
    pub ids: Ids,
    /// Where each story begins in `ids`.
    pub starts: Starts,
    /// How many characters were outside the vocabulary.
    pub dropped: usize,
    /// How many characters the text has, without those.
    pub chars: usize,
    /// What each id stands for: how many characters begin in it, and how many bytes it has.
    sizes: Arc<Vec<(u32, u32)>>,
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
    /// If the tokenizer has more than 2,097,152 ids, or more than half of the text is outside its vocabulary: a model
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
    /// If the tokenizer has more than 2,097,152 ids, nothing of the text is in its vocabulary, or the stop button is
    /// pressed.
    pub fn encode_lossy(stories: &Stories, tokenizer: &impl Tokenizer) -> Result<Tokens> {
        if tokenizer.n_vocab() > MOST_IDS {
            return Err(Error::Config(format!(
                "n_vocab can be {MOST_IDS} at most, got {}: give a tokenizer of fewer ids",
                tokenizer.n_vocab()
            )));
        }
        let sizes = Arc::new((0..tokenizer.n_vocab()).map(|id| size_of(tokenizer, id)).collect());
        if let Some((file, range)) = stories.mapped().filter(|_| tokenizer.as_chars() == Some(CharTokenizer::default()))
        {
            let ids = file.ids().part(file.start(range.start)..file.start(range.end));
            let (chars, dropped) = (ids.len(), stories.chars() - ids.len());
            let starts = Starts(Places::Mapped { file: Arc::clone(file), range });
            return Tokens { ids: Ids::Narrow(ids), starts, dropped, chars, sizes }.checked(stories, tokenizer);
        }
        let (mut ids, mut starts, mut dropped) = (Collected::below(tokenizer.n_vocab()), vec![0], 0);
        let mut listening = Listening::new("a text was encoded: encode it again");
        for story in stories.iter() {
            listening.go_on()?;
            dropped += tokenizer.encode_into(story, &mut |id| ids.push(id));
            starts.push(ids.len());
        }
        let (ids, starts) = (Ids::from(ids), Starts(Places::Memory(Arc::new(starts))));
        let chars = stories.chars() - dropped;
        Tokens { ids, starts, dropped, chars, sizes }.checked(stories, tokenizer)
    }

    fn checked(self, stories: &Stories, tokenizer: &impl Tokenizer) -> Result<Tokens> {
        match self.is_empty() {
            true => Err(Error::Data(Lost::of(stories, tokenizer, self.dropped).to_string())),
            false => Ok(self),
        }
    }

    /// The ids of each story.
    pub fn stories(&self) -> impl Iterator<Item = IdSlice<'_>> {
        (0..self.starts.stories()).map(|story| self.ids.all().part(self.starts.range(story)))
    }

    /// The number of tokens: of characters, with a [`CharTokenizer`].
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Never true: there is at least one token.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// How many characters a token stands for, on average: 1, where tokens are characters.
    pub fn chars_per_token(&self) -> f64 {
        self.chars as f64 / self.len() as f64
    }

    /// How many characters begin in an id's piece, and how many bytes it has.
    pub(crate) fn size_of(&self, id: i64) -> (u32, u32) {
        usize::try_from(id).ok().and_then(|id| self.sizes.get(id)).copied().unwrap_or_default()
    }
}

/// Nothing for an id that stands for no character, as some code points do.
fn size_of(tokenizer: &impl Tokenizer, id: i64) -> (u32, u32) {
    let bytes = tokenizer.piece(id).map_or(0, |piece| piece.len() as u32);
    (tokenizer.width(id).map_or(0, |chars| chars as u32), bytes)
}

/// What of a text has no id.
struct Lost {
    dropped: usize,
    chars: usize,
    n_vocab: i64,
    /// The most frequent ones.
    examples: Vec<char>,
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
        Lost { dropped, chars: stories.chars(), n_vocab: tokenizer.n_vocab(), examples }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lost { dropped, chars, n_vocab, ref examples } = *self;
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
        match examples.iter().any(is_mark) {
            true => write!(out, "`glasslab prepare --clean-up` makes such marks plain"),
            false => write!(
                out,
                "tokens of bytes, which lose nothing: `BytePair::train(&data.train, 1024)?`, or `glasslab train --byte-pairs 1024`"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Origin, TokenWriter};
    use crate::model::NGram;
    use crate::tokenizer::BytePair;

    #[test]
    fn each_story_keeps_its_place_and_lost_characters_are_counted() {
        let stories = Stories::parse("ab🦀\n<|endoftext|>\ncd").unwrap();
        let tokens = Tokens::encode(&stories, &CharTokenizer::default()).unwrap();
        assert_eq!(tokens.stories().collect::<Vec<_>>(), [IdSlice::Narrow(b"ab"), IdSlice::Narrow(b"cd")]);
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
        let pairs = BytePair::train(&stories, 300).unwrap();
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
                assert_eq!(tokens.to_vec(), encoded.ids);
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
    fn ids_above_255_take_more_bytes_and_their_characters_are_counted() {
        let stories = Stories::parse("été, été, l'été! 日本<|endoftext|>un été").unwrap();
        let pairs = BytePair::train(&stories, 300).unwrap();
        for n_vocab in [0x100, 0x1_0000, 0x11_0000] {
            let characters = CharTokenizer { n_vocab };
            let tokens = Tokens::encode(&stories, &characters).unwrap();
            assert_eq!(matches!(tokens.ids, Ids::Narrow(_)), n_vocab == 0x100);
            assert_eq!(matches!(tokens.ids, Ids::Wide(_)), n_vocab == 0x1_0000);
            assert_eq!((tokens.chars, tokens.chars_per_token()), (tokens.len(), 1.0));
            assert_eq!(tokens.size_of(233), (1, 2));
        }
        let tokens = Tokens::encode(&stories, &pairs).unwrap();
        let texts: Vec<String> = tokens.stories().map(|story| pairs.decode(&story.to_vec()).unwrap()).collect();
        assert!(texts.iter().map(String::as_str).eq(stories.iter()));
        assert_eq!((tokens.chars, tokens.dropped), (stories.chars(), 0));
        let sizes = tokens.ids.all().iter().map(|id| tokens.size_of(id));
        let (chars, bytes) = sizes.fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1));
        let texts = texts.concat();
        assert_eq!((chars as usize, bytes as usize), (texts.chars().count(), texts.len()));
        let message = Tokens::encode(&stories, &CharTokenizer { n_vocab: 1 << 40 }).unwrap_err().to_string();
        assert!(message.contains("2097152 at most"), "{message}");
    }

    #[test]
    fn a_vocabulary_of_all_of_unicode_loses_nothing_and_can_be_counted() {
        let stories = Stories::parse(&"a 🦀 b 🦀 é".repeat(20)).unwrap();
        let tokens = Tokens::encode(&stories, &CharTokenizer { n_vocab: 0x2_0000 }).unwrap();
        assert_eq!(tokens.dropped, 0);
        assert!(tokens.ids.all().iter().any(|id| id == i64::from(u32::from('🦀'))));
        let counted = NGram::count(&tokens, 3, 0x2_0000).unwrap();
        let next = counted.probabilities(&[i64::from(u32::from('🦀')), i64::from(u32::from(' '))]).unwrap();
        let likeliest = next.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0;
        assert!([u32::from('b'), u32::from('é')].contains(&(likeliest as u32)), "{likeliest}");
    }

    #[test]
    fn a_story_is_found_by_any_of_its_places() {
        let stories = Stories::parse("a<|endoftext|>bcd<|endoftext|>ef").unwrap();
        let tokens = Tokens::encode(&stories, &CharTokenizer::default()).unwrap();
        let found: Vec<usize> = (0..6).map(|place| tokens.starts.story_at(place)).collect();
        assert_eq!(found, [0, 1, 1, 1, 2, 2]);
    }
}
