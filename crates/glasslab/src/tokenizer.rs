//! Characters ↔ ids: a character's id is its Unicode code point.
//!
//! A model can only count, so text must become numbers. The simplest way: `'A'` is 65, `'a'` is
//! 97, as Unicode numbers them. With `n_vocab` = 256 that covers ASCII and Latin-1; any character
//! beyond is dropped, and the tokenizer says how many were.

mod any;
mod bpe;
mod chat_format;
mod merge;
mod special;
mod split;
mod subwords;
mod vocabulary;
mod words;

pub use any::{AnyTokenizer, Pieces, Unit};
pub use bpe::BytePair;
pub use chat_format::ChatFormat;
pub use split::Split;
pub use subwords::Subwords;
pub use vocabulary::{Alphabet, Merging, Piece, Prefix, Special, Vocabulary};
pub(crate) use words::words;

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What every tokenizer can do, as models and batches need it.
pub trait Tokenizer {
    /// V: the number of ids.
    fn n_vocab(&self) -> i64;

    /// Gives the ids of a text to `take`, one after the other; returns how many characters had none.
    fn encode_into(&self, text: &str, take: &mut dyn FnMut(i64)) -> usize;

    /// The bytes that an id stands for: a character, several, or a part of one.
    ///
    /// # Errors
    /// If the id is not in `0..n_vocab` or stands for nothing.
    fn piece(&self, id: i64) -> Result<Cow<'_, [u8]>>;

    /// Whether a character can be encoded.
    fn knows(&self, character: char) -> bool;

    /// The text of ids; where they end inside a character, `\u{fffd}` stands for what there is of it.
    ///
    /// # Errors
    /// If an id is not in `0..n_vocab`.
    fn decode(&self, ids: &[i64]) -> Result<String> {
        let mut bytes = Vec::new();
        for &id in ids {
            bytes.extend_from_slice(&self.piece(id)?);
        }
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// How many characters begin in the piece of an id: over a whole text, they sum up to its characters.
    ///
    /// # Errors
    /// As [`piece`](Self::piece).
    fn width(&self, id: i64) -> Result<usize> {
        // All bytes of a character but its first begin with the bits 10.
        Ok(self.piece(id)?.iter().filter(|&&byte| byte & 0xc0 != 0x80).count())
    }

    /// The piece of an id as a plot or a table shows it: `␣the`, and `\xf0` for a byte that is no character alone.
    ///
    /// # Errors
    /// As [`piece`](Self::piece).
    fn label(&self, id: i64) -> Result<String> {
        Ok(shown(&self.piece(id)?))
    }

    /// This tokenizer, if its tokens are single characters.
    fn as_chars(&self) -> Option<CharTokenizer> {
        None
    }
}

/// The bytes of a piece as a plot or a table shows them.
fn shown(piece: &[u8]) -> String {
    piece.utf8_chunks().fold(String::new(), |label, part| {
        let label = part.valid().chars().fold(label, |label, character| label + &visible(character));
        part.invalid().iter().fold(label, |label, byte| label + &format!("\\x{byte:02x}"))
    })
}

/// A tokenizer whose tokens are single characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CharTokenizer {
    /// The number of ids: characters whose code point is below it can be encoded.
    pub n_vocab: i64,
}

impl Default for CharTokenizer {
    fn default() -> CharTokenizer {
        CharTokenizer { n_vocab: 256 }
    }
}

/// An encoded text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// An id for each character that is in the vocabulary, each in `0..n_vocab`.
    pub ids: Vec<i64>,
    /// The characters that are not, in order.
    pub dropped: Vec<char>,
}

impl CharTokenizer {
    /// The ids of a text; characters outside the vocabulary are left out.
    ///
    /// # Shapes
    /// a text of N characters → at most N ids
    pub fn encode(&self, text: &str) -> Vec<i64> {
        self.ids(text).collect()
    }

    /// The ids of a text, and what had to be left out.
    pub fn encode_all(&self, text: &str) -> Encoded {
        let dropped = text.chars().filter(|character| !self.knows(*character)).collect();
        Encoded { ids: self.encode(text), dropped }
    }

    /// Whether a character has an id.
    pub fn knows(&self, character: char) -> bool {
        i64::from(u32::from(character)) < self.n_vocab
    }

    /// The text of ids: the inverse of [`encode`](Self::encode).
    ///
    /// # Errors
    /// If an id is not in `0..n_vocab` or is no character.
    pub fn decode(&self, ids: &[i64]) -> Result<String> {
        ids.iter().map(|&id| self.character(id)).collect()
    }

    /// The character of one id.
    ///
    /// # Errors
    /// If the id is not in `0..n_vocab` or is no character.
    pub fn character(&self, id: i64) -> Result<char> {
        let known = (0..self.n_vocab).contains(&id);
        let character = u32::try_from(id).ok().and_then(char::from_u32);
        character.filter(|_| known).ok_or_else(|| Error::Shape {
            expected: format!("an id in 0..{}", self.n_vocab),
            got: id.to_string(),
            hint: "an id is a character's code point; the model's outputs are scores, take their argmax first"
                .to_owned(),
        })
    }

    fn ids(&self, text: &str) -> impl Iterator<Item = i64> {
        text.chars().filter(|character| self.knows(*character)).map(|character| i64::from(u32::from(character)))
    }
}

impl Tokenizer for CharTokenizer {
    fn n_vocab(&self) -> i64 {
        self.n_vocab
    }

    fn encode_into(&self, text: &str, take: &mut dyn FnMut(i64)) -> usize {
        let mut dropped = 0;
        for character in text.chars() {
            match self.knows(character) {
                true => take(i64::from(u32::from(character))),
                false => dropped += 1,
            }
        }
        dropped
    }

    fn piece(&self, id: i64) -> Result<Cow<'_, [u8]>> {
        Ok(Cow::Owned(self.character(id)?.to_string().into_bytes()))
    }

    fn knows(&self, character: char) -> bool {
        self.knows(character)
    }

    fn decode(&self, ids: &[i64]) -> Result<String> {
        self.decode(ids)
    }

    fn width(&self, id: i64) -> Result<usize> {
        self.character(id).map(|_| 1)
    }

    fn as_chars(&self) -> Option<CharTokenizer> {
        Some(*self)
    }
}

/// A character as a plot or a table shows it: a space as `␣`, a newline as `⏎`, an accent that joins the letter before it on a
/// circle of its own, and what could not be seen, or not be told from a space, by its number: `\x1b`, `\xa0`, `\u{200b}`.
pub fn visible(character: char) -> String {
    match character {
        ' ' => "␣".to_owned(),
        '\n' => "⏎".to_owned(),
        '\t' => "⇥".to_owned(),
        unseen if unseen.is_control() || unseen.is_whitespace() || is_invisible(unseen) => match u32::from(unseen) {
            code @ 0..=0xff => format!("\\x{code:02x}"),
            code => format!("\\u{{{code:x}}}"),
        },
        mark if stands_on_another(mark) => format!("◌{mark}"),
        other => other.to_string(),
    }
}

/// Whether a character, such as an accent of its own, joins the one before it: of these and of what can't be printed, the
/// standard library shows the code where they stand alone, and of these only there.
fn stands_on_another(character: char) -> bool {
    let after = format!("x{character}");
    !character.is_ascii() && character.escape_debug().len() > 1 && after.escape_debug().eq(after.chars())
}

/// Whether a character has no shape of its own: soft hyphens, what joins or parts, what turns the direction of writing.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
        || matches!(character, '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        || matches!(character, '\u{e0000}'..='\u{e0fff}')
}

/// A text that a model has written, as a page or a terminal may show it: what would act there, and not be seen, as
/// signs (control characters but newlines, soft hyphens, marks that turn the direction of writing); all else as it is.
pub fn printable(text: &str) -> String {
    let shown = |character: char| match character {
        '\n' => "\n".to_owned(),
        // Joiners and the parts of emojis: what they stand between is seen.
        part @ ('\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}') => part.to_string(),
        unseen if unseen.is_control() || is_invisible(unseen) => visible(unseen),
        other => other.to_string(),
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_gives_back_what_was_encoded() {
        let tokenizer = CharTokenizer::default();
        let text: String = (0..256_u32).map(|code| char::from_u32(code).unwrap()).collect();
        assert_eq!(tokenizer.encode(&text), (0..256).collect::<Vec<i64>>());
        assert_eq!(tokenizer.decode(&tokenizer.encode(&text)).unwrap(), text);
    }

    #[test]
    fn a_written_text_is_shown_without_what_would_act_on_a_terminal() {
        assert_eq!(printable("a b\n\"c\" é\u{1b}[31m\u{7}"), "a b\n\"c\" é\\x1b[31m\\x07");
        assert_eq!(printable("\u{9b}2J \u{202e}x\r\u{ad}"), "\\x9b2J \\u{202e}x\\x0d\\xad", "CSI, RLO, CR, SHY");
        assert_eq!(printable("❤\u{fe0f} 👩\u{200d}🌾"), "❤\u{fe0f} 👩\u{200d}🌾");
    }

    #[test]
    fn every_character_of_the_vocabulary_can_be_seen_and_told_from_the_others() {
        let shown: Vec<String> = (0..256).map(|id| visible(char::from_u32(id).unwrap())).collect();
        assert_eq!([&shown[0xa0], &shown[0xad], &shown[0x1b], &shown[0x85]], ["\\xa0", "\\xad", "\\x1b", "\\x85"]);
        for (id, sign) in shown.iter().enumerate() {
            assert!(sign.chars().all(|sign| !sign.is_whitespace() && !sign.is_control()), "{id}: {sign:?}");
            assert_eq!(shown.iter().position(|other| other == sign), Some(id));
        }
        assert_eq!(visible('\u{200b}') + &visible('\u{3000}') + &visible('日'), "\\u{200b}\\u{3000}日");
    }

    #[test]
    fn a_mark_stands_on_a_circle_and_nothing_else_does() {
        for mark in ['\u{301}', '\u{5b8}', '\u{64e}', '\u{94d}', '\u{e31}', '\u{20dd}'] {
            assert_eq!(visible(mark), format!("◌{mark}"));
        }
        for letter in "aé\"'\\ßש日한🦀\u{e000}\u{378}".chars() {
            assert_eq!(visible(letter), letter.to_string());
        }
    }

    #[test]
    fn characters_outside_are_dropped_and_counted() {
        let encoded = CharTokenizer::default().encode_all("a“b”🦀\u{100}é");
        assert_eq!(encoded.ids, [97, 98, 233]);
        assert_eq!(encoded.dropped, ['“', '”', '🦀', '\u{100}']);
    }

    #[test]
    fn an_id_outside_is_an_error_that_names_it() {
        for id in [-1, 256, i64::MAX] {
            let message = CharTokenizer::default().decode(&[65, id]).unwrap_err().to_string();
            assert!(message.contains(&id.to_string()), "{message}");
        }
        assert!(CharTokenizer { n_vocab: 0x11_0000 }.decode(&[0xD800]).is_err());
    }

    #[test]
    fn empty_text_has_no_ids() {
        assert!(CharTokenizer::default().encode("").is_empty());
    }
}
