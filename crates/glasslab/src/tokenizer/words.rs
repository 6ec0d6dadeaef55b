//! How a text is cut before its bytes are merged: no token crosses from one of these words into the next.
//!
//! The cut is GPT-2's, which most tokenizers since then have kept or varied: a word, a number or a row of signs, with the
//! one space before it; blanks; and the endings of English contractions. As a regular expression:
//!
//! ```text
//! 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
//! ```
//! It is read by hand: a regular expression that looks ahead takes a crate that every learner's first cell would load.
//!
//! Source: Radford et al., "Language Models are Unsupervised Multitask Learners", 2019.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

pub(super) const CONTRACTIONS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];

/// A text's words; together they are the text.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    cut_by(text, first_word)
}

/// Cuts a text by a function that says where the first word of what is left ends.
pub(super) fn cut_by(text: &str, first_word: impl Fn(&str) -> usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (word, others) = rest.split_at(first_word(rest));
        rest = others;
        (!word.is_empty()).then_some(word)
    })
}

/// Where the first word of a text ends.
fn first_word(text: &str) -> usize {
    if let Some(ending) = CONTRACTIONS.iter().find(|ending| text.starts_with(**ending)) {
        return ending.len();
    }
    // A space belongs to the word behind it.
    let word = text.strip_prefix(' ').unwrap_or(text);
    if let Some(kind) = word.chars().next().map(Kind::of).filter(|kind| *kind != Kind::Blank) {
        return text.len() - word.len() + length(word, kind);
    }
    blanks(text)
}

/// How many of the blanks that a text begins with are a word: the last of several is left to the word behind them.
pub(super) fn blanks(text: &str) -> usize {
    let blanks = length(text, Kind::Blank);
    match text[..blanks].char_indices().next_back() {
        Some((last, _)) if last > 0 && blanks < text.len() => last,
        _ => blanks,
    }
}

/// How far a text is of one kind.
pub(super) fn length(text: &str, kind: Kind) -> usize {
    text.find(|character| Kind::of(character) != kind).unwrap_or(text.len())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Letter,
    Number,
    Blank,
    Sign,
}

impl Kind {
    pub(super) fn of(character: char) -> Kind {
        match character {
            'a'..='z' | 'A'..='Z' => Kind::Letter,
            '0'..='9' => Kind::Number,
            // Before the table is asked, what texts are full of.
            ' '..='~' if character != ' ' => Kind::Sign,
            _ if character.is_whitespace() => Kind::Blank,
            // Not `is_alphabetic`, which holds for many marks and signs that are no letters.
            _ => match character.general_category_group() {
                GeneralCategoryGroup::Letter => Kind::Letter,
                GeneralCategoryGroup::Number => Kind::Number,
                _ => Kind::Sign,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        words(text).collect()
    }

    #[test]
    fn a_word_takes_the_one_space_before_it() {
        assert_eq!(cut("Once upon  a\n\n time\n"), ["Once", " upon", " ", " a", "\n\n", " time", "\n"]);
        assert_eq!(cut("in 1847, été!? x2"), ["in", " 1847", ",", " été", "!?", " x", "2"]);
        assert_eq!(cut("a \u{a0}b\t "), ["a", " ", "\u{a0}", "b", "\t "]);
        assert!(cut("").is_empty());
    }

    #[test]
    fn contractions_end_a_word_only_behind_letters() {
        assert_eq!(cut("it's we'll 'tis I'D '"), ["it", "'s", " we", "'ll", " '", "tis", " I", "'", "D", " '"]);
    }

    #[test]
    fn marks_and_circled_letters_are_no_letters() {
        assert_eq!(cut("e\u{301}a Ⓐ ªⅷ"), ["e", "\u{301}", "a", " Ⓐ", " ª", "ⅷ"]);
        assert_eq!(cut("日本語 한국 \u{64e}"), ["日本語", " 한국", " \u{64e}"]);
    }

    #[test]
    fn together_they_are_the_text() {
        let mut rng = crate::rng::Rng::new(1);
        let few: Vec<char> = " \n\ta1é'slre.!\u{a0}\u{301}日🦀".chars().collect();
        for _ in 0..2000 {
            let text: String = (0..rng.below(12)).map(|_| few[rng.below(few.len())]).collect();
            assert_eq!(cut(&text).concat(), text);
        }
    }
}
