//! How the tokenizers of other models cut a text before they merge its bytes: no token crosses from one word into the next.
//!
//! | cut | a word takes | numbers | blanks | used by |
//! |---|---|---|---|---|
//! | `Whole` | everything | – | – | Llama 2, Mistral, Gemma, llama2.c |
//! | `Gpt2` | the one space before it | whole, with that space | by themselves | GPT-2, GPT-Neo |
//! | `SmolLm` | as GPT-2 | digit by digit, without a space | by themselves | SmolLM2 |
//! | `Llama3` | the one sign or blank before it | by threes | end with a line break | Llama 3 |
//! | `Qwen2` | the one sign or blank before it | digit by digit | end with a line break | Qwen 2, Qwen 3 |
//!
//! Llama 3's as a regular expression; Qwen's has `\p{N}` in the place of `\p{N}{1,3}`:
//!
//! ```text
//! (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
//! ```
//! They are read by hand, as GPT-2's is in [`words`](super::words).
//!
//! Sources: the files `tokenizer.json` of those models.

use super::words::{CONTRACTIONS, Kind, blanks, cut_by, length, words};
use serde::{Deserialize, Serialize};

/// How a text is cut before its bytes are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Not at all.
    #[default]
    Whole,
    /// Words with the space before them.
    Gpt2,
    /// As GPT-2's, and each digit by itself.
    SmolLm,
    /// Words with the sign before them, up to three digits, blanks up to their last line break.
    Llama3,
    /// As Llama 3's, and each digit by itself.
    Qwen2,
}

impl Split {
    /// A text's words; together they are the text.
    pub fn words(self, text: &str) -> Vec<&str> {
        match self {
            Split::Whole => cut_by(text, str::len).collect(),
            Split::Gpt2 => words(text).collect(),
            Split::SmolLm => cut_by(text, digit_or_others).flat_map(words).collect(),
            Split::Llama3 => cut_by(text, |rest| first_word(rest, 3)).collect(),
            Split::Qwen2 => cut_by(text, |rest| first_word(rest, 1)).collect(),
        }
    }
}

/// Where the first digit ends, or what stands before it.
fn digit_or_others(text: &str) -> usize {
    match text.find(|character| Kind::of(character) == Kind::Number) {
        Some(0) => text.chars().next().map_or(0, char::len_utf8),
        Some(digit) => digit,
        None => text.len(),
    }
}

/// Where the first word of a text ends, in the cut of Llama 3; a number has at most so many digits.
fn first_word(text: &str, most_digits: usize) -> usize {
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return 0 };
    if let Some(length) = contraction(text) {
        return length;
    }
    let kind = Kind::of(first);
    let rest = characters.as_str();
    let takes_letters = kind == Kind::Letter || kind != Kind::Number && !is_break(first);
    let letters = if takes_letters { length(rest, Kind::Letter) } else { 0 };
    if kind == Kind::Letter || letters > 0 {
        return first.len_utf8() + letters;
    }
    if kind == Kind::Number {
        let digits = text.char_indices().take(most_digits).take_while(|(_, digit)| Kind::of(*digit) == Kind::Number);
        return digits.last().map_or(0, |(place, digit)| place + digit.len_utf8());
    }
    // Signs, with the space before them and the line breaks behind them.
    let space = usize::from(first == ' ');
    let signs = space + length(&text[space..], Kind::Sign);
    if signs > space {
        return signs + text[signs..].len() - text[signs..].trim_start_matches(is_break).len();
    }
    match text[..length(text, Kind::Blank)].rfind(is_break) {
        Some(last) => last + 1,
        None => blanks(text),
    }
}

/// How long the ending of a contraction is that a text begins with, in large letters or small ones.
fn contraction(text: &str) -> Option<usize> {
    // ſ, a long s, is an s where the size of letters does not count.
    let small = |letter: char| if letter == 'ſ' { 's' } else { letter.to_ascii_lowercase() };
    CONTRACTIONS.iter().find_map(|ending| {
        let mut rest = text.chars();
        let is_there = ending.chars().all(|letter| rest.next().is_some_and(|other| small(other) == letter));
        is_there.then(|| text.len() - rest.as_str().len())
    })
}

fn is_break(character: char) -> bool {
    matches!(character, '\r' | '\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cut_is_its_models() {
        let text = "I'LL see 12345 (été)!\n\n  x";
        assert_eq!(Split::Whole.words(text), [text]);
        assert_eq!(Split::Gpt2.words(text), ["I", "'", "LL", " see", " 12345", " (", "été", ")!", "\n\n ", " x"]);
        let digits = ["1", "2", "3", "4", "5"];
        let smol = [&["I", "'", "LL", " see", " "][..], &digits, &[" (", "été", ")!", "\n\n ", " x"]].concat();
        assert_eq!(Split::SmolLm.words(text), smol);
        let llama = ["I", "'LL", " see", " ", "123", "45", " (", "été", ")!\n\n", " ", " x"];
        assert_eq!(Split::Llama3.words(text), llama);
        let qwen = [&["I", "'LL", " see", " "][..], &digits, &[" (", "été", ")!\n\n", " ", " x"]].concat();
        assert_eq!(Split::Qwen2.words(text), qwen);
    }

    #[test]
    fn blanks_end_with_their_last_line_break_and_signs_take_those_behind_them() {
        assert_eq!(Split::Llama3.words("a \n\t\n  b"), ["a", " \n\t\n", " ", " b"]);
        assert_eq!(Split::Llama3.words("!\r\n \n\u{a0}c\n\nd"), ["!\r\n", " \n", "\u{a0}c", "\n\n", "d"]);
        assert_eq!(Split::Llama3.words(" 'ſo 'RE -x  "), [" '", "ſo", " '", "RE", " -", "x", "  "]);
        assert_eq!(Split::Llama3.words("'ſ"), ["'ſ"]);
    }

    #[test]
    fn together_the_words_are_the_text() {
        let mut rng = crate::rng::Rng::new(1);
        let few: Vec<char> = " \n\r\ta1é'slſre.!\u{a0}\u{301}日🦀²".chars().collect();
        for split in [Split::Whole, Split::Gpt2, Split::SmolLm, Split::Llama3, Split::Qwen2] {
            for _ in 0..2000 {
                let text: String = (0..rng.below(12)).map(|_| few[rng.below(few.len())]).collect();
                assert_eq!(split.words(&text).concat(), text);
                assert!(split.words(&text).iter().all(|word| !word.is_empty()));
            }
        }
    }
}
