//! NFC, the composed form of Unicode: `e` and a combining acute become `é`, as Qwen's tokenizer reads a text.
//!
//! A text is taken apart, the marks of each letter are put in order, and what can be composed is composed. What a character
//! is taken apart into stands in `nfc/table.txt`, made by `nfc/make.py`; Korean syllables follow a rule of their own.
//! The table is Unicode 14's; the `tokenizers` library's is Unicode 9's, so marks that are younger may be in another order there.
//!
//! Source: Unicode Standard Annex #15, "Unicode Normalization Forms"; chapter 3.12 of the standard for Hangul.

use std::borrow::Cow;
use std::collections::HashMap;

/// The numbers of Hangul's syllables, first consonants, vowels and last consonants; the first of the last ones is none.
const SYLLABLES: u32 = 0xac00;
const FIRSTS: u32 = 0x1100;
const VOWELS: u32 = 0x1161;
const LASTS: u32 = 0x11a7;
/// How many first consonants, vowels and last consonants there are.
const N_FIRSTS: u32 = 19;
const N_VOWELS: u32 = 21;
const N_LASTS: u32 = 28;

/// What Unicode says of composed characters.
pub(super) struct Nfc {
    /// What a character is taken apart into, once.
    parts: HashMap<char, (char, Option<char>)>,
    /// What two characters are composed to.
    composed: HashMap<(char, char), char>,
    /// The order of marks; of others it is 0.
    classes: HashMap<char, u8>,
}

impl Nfc {
    pub(super) fn new() -> Nfc {
        let mut nfc = Nfc { parts: HashMap::new(), composed: HashMap::new(), classes: HashMap::new() };
        for line in include_str!("nfc/table.txt").lines().filter(|line| !line.starts_with('#')) {
            let numbers = line.trim_start_matches(['!', '=']).split(' ');
            let numbers: Vec<u32> = numbers.filter_map(|number| u32::from_str_radix(number, 16).ok()).collect();
            if let (true, [first, last, class]) = (line.starts_with('='), &numbers[..]) {
                nfc.classes.extend((*first..=*last).filter_map(char::from_u32).map(|mark| (mark, *class as u8)));
                continue;
            }
            let characters: Vec<char> = numbers.into_iter().filter_map(char::from_u32).collect();
            if let [whole, first, others @ ..] = &characters[..] {
                nfc.parts.insert(*whole, (*first, others.first().copied()));
                if let (false, Some(second)) = (line.starts_with('!'), others.first()) {
                    nfc.composed.insert((*first, *second), *whole);
                }
            }
        }
        nfc
    }

    /// A text in its composed form.
    pub(super) fn compose<'a>(&self, text: &'a str) -> Cow<'a, str> {
        // Below the first combining mark, every character is composed.
        if text.chars().all(|character| character < '\u{300}') {
            return Cow::Borrowed(text);
        }
        let mut apart = Vec::new();
        text.chars().for_each(|character| self.take_apart(character, &mut apart));
        for marks in apart.chunk_by_mut(|_, (_, class)| *class != 0) {
            // The first one is a letter, or what the text begins with.
            marks.sort_by_key(|(_, class)| *class);
        }
        let mut whole: Vec<char> = Vec::with_capacity(apart.len());
        // Where the last letter is, and the class of the last mark behind it that was not composed with it.
        let (mut letter, mut before): (Option<usize>, Option<u8>) = (None, None);
        for (character, class) in apart {
            let is_free = before.is_none_or(|before| before < class);
            let with = letter.filter(|_| is_free).and_then(|place| Some((place, self.pair(whole[place], character)?)));
            if let Some((place, composed)) = with {
                whole[place] = composed;
                continue;
            }
            whole.push(character);
            if class == 0 {
                letter = Some(whole.len() - 1);
            }
            before = (class != 0).then_some(class);
        }
        Cow::Owned(whole.into_iter().collect())
    }

    fn take_apart(&self, character: char, apart: &mut Vec<(char, u8)>) {
        let syllable = u32::from(character).wrapping_sub(SYLLABLES);
        if syllable < N_FIRSTS * N_VOWELS * N_LASTS {
            let (vowel, last) = (syllable / N_LASTS % N_VOWELS, syllable % N_LASTS);
            let numbers = [FIRSTS + syllable / N_LASTS / N_VOWELS, VOWELS + vowel, LASTS + last];
            let parts = if last == 0 { &numbers[..2] } else { &numbers };
            return apart.extend(parts.iter().filter_map(|&part| char::from_u32(part)).map(|part| (part, 0)));
        }
        match self.parts.get(&character) {
            Some((first, second)) => {
                self.take_apart(*first, apart);
                second.iter().for_each(|second| self.take_apart(*second, apart));
            }
            None => apart.push((character, self.classes.get(&character).copied().unwrap_or(0))),
        }
    }

    /// What two characters are composed to.
    fn pair(&self, first: char, second: char) -> Option<char> {
        let (one, two) = (u32::from(first), u32::from(second));
        let (syllable, vowel, last) = (one.wrapping_sub(SYLLABLES), two.wrapping_sub(VOWELS), two.wrapping_sub(LASTS));
        if one.wrapping_sub(FIRSTS) < N_FIRSTS && vowel < N_VOWELS {
            return char::from_u32(SYLLABLES + ((one - FIRSTS) * N_VOWELS + vowel) * N_LASTS);
        }
        if syllable < N_FIRSTS * N_VOWELS * N_LASTS && syllable % N_LASTS == 0 && (1..N_LASTS).contains(&last) {
            return char::from_u32(one + last);
        }
        self.composed.get(&(first, second)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_marks_are_composed_and_put_in_order() {
        let nfc = Nfc::new();
        for (text, composed) in [
            ("plain", "plain"),
            ("e\u{301}te\u{301}", "été"),
            ("a\u{301}\u{323}", "ạ\u{301}"),
            ("a\u{323}\u{302}", "ậ"),
            ("\u{1e69}s\u{323}\u{307}s\u{307}\u{323}", "ṩṩṩ"),
            ("\u{212b}\u{2126}\u{f900}", "ÅΩ豈"),
            ("\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}하\u{11ab}", "한글한"),
            ("\u{915}\u{93c}\u{958}", "\u{915}\u{93c}\u{915}\u{93c}"),
            ("a\u{302}\u{301}e\u{20dd}\u{301}", "ấe\u{20dd}\u{301}"),
            ("\u{301}e\u{334}\u{301}", "\u{301}é\u{334}"),
            ("\u{9c7}\u{9be}a\u{200d}\u{301}", "\u{9cb}a\u{200d}\u{301}"),
        ] {
            assert_eq!(nfc.compose(text), composed, "{text:?}");
        }
    }

    #[test]
    fn what_is_composed_is_composed_already() {
        let nfc = Nfc::new();
        let mut rng = crate::rng::Rng::new(1);
        let mut few: Vec<char> =
            nfc.classes.keys().chain(nfc.parts.keys()).copied().chain("aesॐ가\u{1161}".chars()).collect();
        few.sort_unstable();
        for _ in 0..5000 {
            let text: String = (0..rng.below(8)).map(|_| few[rng.below(few.len())]).collect();
            let once = nfc.compose(&text).into_owned();
            assert_eq!(nfc.compose(&once), once, "{text:?}");
        }
    }
}
