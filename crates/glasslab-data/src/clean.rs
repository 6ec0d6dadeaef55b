//! The clean-up of a story: what is known to be wrong in TinyStories, mended or left out, and counted.
//!
//! | fault | what is done |
//! |---|---|
//! | mojibake: UTF-8 that was read as Windows-1252 (`â€™` for `’`) | read back, where no right text would look so |
//! | control characters, byte-order marks, zero-width characters | removed (newlines and tabs stay, `\r\n` is a newline) |
//! | typographic marks (`“ ” ‘ ’ – — …`, wide blanks) | the plain ones: they are beyond the 256 characters of the lab |
//! | the first row of the validation split, which begins in mid-sentence | left out |
//! | rows without text, or of fewer than [`SHORT`] characters | left out |
//! | exact duplicates of a story before | left out |
//!
//! A clean story stays as it is: cleaning it again changes nothing.

use glasslab::data::Checksum;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

/// A row of fewer characters is no story (the shortest that is kept says "The End.").
pub const SHORT: usize = 8;

/// What was read, mended and left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Rows that were read.
    pub rows: u64,
    /// Stories that are kept.
    pub stories: u64,
    /// Rows left out because there is nothing in them.
    pub empty: u64,
    /// Rows left out because they are too short for a story.
    pub short: u64,
    /// Rows left out because they begin in mid-sentence.
    pub mid_sentence: u64,
    /// Rows left out because the same story came before.
    pub duplicates: u64,
    /// Stories in which mojibake was read back.
    pub mojibake: u64,
    /// Control and invisible characters removed.
    pub controls: u64,
    /// Typographic marks replaced by plain ones.
    pub typographic: u64,
}

impl Report {
    /// The counts with their names.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let counts = [
            ("rows", self.rows),
            ("stories", self.stories),
            ("empty", self.empty),
            ("short", self.short),
            ("mid_sentence", self.mid_sentence),
            ("duplicates", self.duplicates),
            ("mojibake", self.mojibake),
            ("controls", self.controls),
            ("typographic", self.typographic),
        ];
        counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
    }

    /// The counts in a sentence.
    pub fn sentence(counts: &BTreeMap<String, u64>) -> String {
        let count = |name: &str| counts.get(name).copied().unwrap_or(0);
        format!(
            "left out: {} empty, {} too short, {} begun in mid-sentence, {} duplicates; mended: mojibake in {} stories, \
             {} control characters removed, {} typographic marks made plain",
            count("empty"),
            count("short"),
            count("mid_sentence"),
            count("duplicates"),
            count("mojibake"),
            count("controls"),
            count("typographic"),
        )
    }
}

/// Cleans stories one after the other.
#[derive(Debug)]
pub struct Cleaner {
    /// Whether faults are mended; if not, only rows without any text are left out, which can't be stories.
    mends: bool,
    /// 128 bits of each story's checksums: two stories of 2 million are taken for one with a chance below 10⁻²⁵.
    seen: HashSet<[u64; 2]>,
    /// What was done.
    pub report: Report,
}

impl Cleaner {
    /// A cleaner that has seen no story.
    pub fn new(mends: bool) -> Cleaner {
        Cleaner { mends, seen: HashSet::new(), report: Report::default() }
    }

    /// The story of a row, cleaned; `None` if it is left out. `opens_split`: whether it is the first row of all.
    pub fn clean<'a>(&mut self, row: &'a str, opens_split: bool) -> Option<Cow<'a, str>> {
        self.report.rows += 1;
        if !self.mends {
            let kept = (!row.is_empty()).then_some(Cow::Borrowed(row));
            *(if kept.is_some() { &mut self.report.stories } else { &mut self.report.empty }) += 1;
            return kept;
        }
        let story = if is_plain(row) { trimmed(Cow::Borrowed(row)) } else { trimmed(self.mend(row)) };
        let left_out = if story.is_empty() {
            &mut self.report.empty
        } else if story.len() < 4 * SHORT && story.chars().count() < SHORT {
            &mut self.report.short
        } else if opens_split && story.starts_with(char::is_lowercase) {
            &mut self.report.mid_sentence
        } else if !self.seen.insert(fingerprint(&story)) {
            &mut self.report.duplicates
        } else {
            self.report.stories += 1;
            return Some(story);
        };
        *left_out += 1;
        None
    }

    /// Mends until nothing is left to mend: removing one fault can bring another to light.
    fn mend<'a>(&mut self, row: &'a str) -> Cow<'a, str> {
        let mut story = Cow::Borrowed(row);
        let mut had_mojibake = false;
        loop {
            if let Some(read_back) = read_back(&story) {
                (story, had_mojibake) = (Cow::Owned(read_back), true);
            } else if !is_plain(&story)
                && let Some(plain) = self.plain(&story)
            {
                story = Cow::Owned(plain);
            } else {
                self.report.mojibake += u64::from(had_mojibake);
                return story;
            }
        }
    }

    /// The text without control characters and typographic marks; `None` if there are none.
    fn plain(&mut self, text: &str) -> Option<String> {
        let (mut plain, mut changed) = (String::with_capacity(text.len()), false);
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '\n' | '\t' => plain.push(character),
                '\r' => {
                    // A newline as Windows or an old Mac writes it is one.
                    (changed, _) = (true, characters.next_if_eq(&'\n'));
                    plain.push('\n');
                }
                _ if is_invisible(character) => {
                    changed = true;
                    self.report.controls += 1;
                }
                _ => match plain_form(character) {
                    Some(form) => {
                        changed = true;
                        self.report.typographic += 1;
                        plain.push_str(form);
                    }
                    None => plain.push(character),
                },
            }
        }
        changed.then_some(plain)
    }
}

/// Whether there can be nothing to mend: ASCII without control characters but newlines and tabs.
fn is_plain(text: &str) -> bool {
    // Without a way out in the middle, this runs over 32 bytes at a time.
    text.bytes().fold(true, |plain, byte| plain & ((0x20..0x7f).contains(&byte) | (byte == b'\n') | (byte == b'\t')))
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

fn fingerprint(story: &str) -> [u64; 2] {
    let mut salted = Checksum::default();
    salted.add(b"glasslab");
    salted.add(story.as_bytes());
    [Checksum::of(story.as_bytes()), salted.value()]
}

/// What nobody sees and nobody misses; joiners are not among them, which Persian words and emojis need.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}')
        || matches!(character, '\u{feff}' | '\u{fffd}')
}

fn plain_form(character: char) -> Option<&'static str> {
    Some(match character {
        '‘' | '’' | '‚' | '‛' | '′' => "'",
        '“' | '”' | '„' | '‟' | '″' => "\"",
        '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' => "-",
        '…' => "...",
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => " ",
        '\u{2028}' | '\u{2029}' => "\n",
        _ => return None,
    })
}

/// Reads back what was UTF-8 and was taken for Windows-1252; `None` if there is nothing of that kind.
///
/// Such a piece begins with a character that stands for the first byte of a UTF-8 sequence (`Â`, `Ã`, `â`, …) and goes on
/// with as many that stand for continuation bytes. But right text has such neighbours, too: `„Das heiß“`, `« café »`. So
/// only those are read back that no right text has ([`is_sure`]); or all of a text, where every character beyond ASCII
/// is part of such a piece, and there is one sure piece among them, or many different ones.
fn read_back(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let (mut sure, mut all, mut is_whole) =
        (String::with_capacity(text.len()), String::with_capacity(text.len()), true);
    let (mut pieces, mut has_sure) = (Vec::new(), false);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let piece = sequence(rest);
        let length = piece.map_or(first.len_utf8(), |(_, length)| length);
        match piece {
            Some((character, _)) => {
                let is_sure = is_sure(&rest[..length]);
                has_sure |= is_sure;
                if is_sure {
                    sure.push(character)
                } else {
                    sure.push_str(&rest[..length])
                }
                all.push(character);
                pieces.push(character);
            }
            None => {
                is_whole &= first.is_ascii();
                sure.push(first);
                all.push(first);
            }
        }
        rest = &rest[length..];
    }
    let count = pieces.len();
    pieces.sort_unstable();
    pieces.dedup();
    let is_mojibake = count > 0 && (has_sure || (count >= MANY && pieces.len() >= DIFFERENT));
    let read = if is_whole && is_mojibake { all } else { sure };
    (read.len() != text.len()).then_some(read)
}

/// So many pieces, and so many different ones: of right text, hardly every character beyond ASCII is a letter between
/// closing marks so often.
const MANY: usize = 8;
const DIFFERENT: usize = 4;

/// Whether no right text has this piece: the second of its characters does not come after the first one there.
fn is_sure(piece: &str) -> bool {
    let mut characters = piece.chars();
    let (Some(first), Some(second)) = (characters.next(), characters.next()) else { return false };
    match first {
        // Typographic marks: `â€™`. Emojis: `ðŸ¦€`.
        'â' => matches!(second, '€' | '\u{80}') || piece == "â‚¬" || piece == "â„¢",
        'ð' => matches!(second, 'Ÿ' | '\u{9f}'),
        // Letters and signs of Latin-1: `Ã©`, `Â£`. Not where a word could end so: `Ã»`, `Ã“`, `Ã–`,
        // `î`, or before a blank or a letter.
        'Ã' | 'Â' => {
            matches!(second, '\u{80}'..='\u{9f}' | '¡'..='©' | '¬' | '\u{ad}' | '¯'..='¶' | '¸' | '¼'..='¿')
                || matches!(second, '€' | 'ƒ' | '†' | '‡' | 'ˆ' | '‰' | '˜')
                || (first == 'Ã' && second == 'º')
        }
        _ => false,
    }
}

/// The character that a text begins with in mojibake, and the bytes that it takes there. In the dataset, the closing
/// quotation mark has lost its last byte, which has no character in Windows-1252: `â€` alone is read as that.
fn sequence(text: &str) -> Option<(char, usize)> {
    let mut characters = text.chars();
    let first = characters.next().filter(|first| !first.is_ascii())?;
    let count = match windows_1252(first)? {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let (mut bytes, mut length) = ([0; 4], 0);
    for (place, character) in text.chars().take(count).enumerate() {
        match windows_1252(character) {
            Some(byte) => bytes[place] = byte,
            None => break,
        }
        length += character.len_utf8();
    }
    match std::str::from_utf8(&bytes[..count]).ok().and_then(|decoded| decoded.chars().next()) {
        Some(character) => Some((character, length)),
        None if text.starts_with("â€") => Some(('”', "â€".len())),
        None => None,
    }
}

/// The byte that Windows-1252, or Latin-1, has for a character.
fn windows_1252(character: char) -> Option<u8> {
    /// The characters of the bytes from 0x80 to 0x9f.
    const MIDDLE: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    match u32::from(character) {
        code @ 0..=0xff => Some(code as u8),
        _ => MIDDLE.iter().position(|&other| other == character).map(|place| 0x80 + place as u8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasslab::rng::Rng;

    fn cleaned(row: &str) -> (String, Report) {
        let mut cleaner = Cleaner::new(true);
        let story = cleaner.clean(row, false).map(Cow::into_owned).unwrap_or_default();
        (story, cleaner.report)
    }

    #[test]
    fn mojibake_is_read_back_and_made_plain() {
        for (wrong, right) in [
            ("Tom didnâ€™t know what to do.", "Tom didn't know what to do."),
            ("â€œHello,â€\u{9d} said the cat to me.", "\"Hello,\" said the cat to me."),
            ("â€œHello,â€ said the cat to me.", "\"Hello,\" said the cat to me."),
            ("He waitedâ€¦ and waited â€“ long.", "He waited... and waited - long."),
            ("The cafÃ© was closed on Monday.", "The café was closed on Monday."),
            ("The cafÃƒÂ© was closed on Monday.", "The café was closed on Monday."),
            ("It cost Â£5, Tomâ\u{80}\u{99}s money.", "It cost £5, Tom's money."),
            ("A crab ðŸ¦€ walked on the beach.", "A crab 🦀 walked on the beach."),
        ] {
            let (story, report) = cleaned(wrong);
            assert_eq!(story, right);
            assert_eq!((report.mojibake, report.stories), (1, 1), "{report:?}");
        }
    }

    #[test]
    fn all_of_a_text_is_read_back_where_all_of_it_is_mojibake() {
        for right in [
            "à la carte, déjà vu, où est la forêt ?",
            "Привет, мир! Это кошка, а это собака.",
            "日本語の物語です。猫の話",
        ] {
            let wrong: String = right.bytes().map(as_character).collect();
            assert_ne!(wrong, right);
            assert_eq!(cleaned(&wrong).0, cleaned(right).0, "{wrong}");
        }
    }

    /// The character that Windows-1252, or Latin-1, has for a byte.
    fn as_character(byte: u8) -> char {
        (0..0x2200).filter_map(char::from_u32).find(|&one| windows_1252(one) == Some(byte)).unwrap()
    }

    /// Words that end in letters beyond ASCII, in the quotation marks and before the dashes of many languages.
    #[test]
    fn right_text_in_any_quotation_marks_is_not_read_back() {
        assert_eq!(read_back("„Das heiß“, sagte er."), None);
        assert_eq!(read_back("« Au\u{a0}café\u{a0}»"), None);
        assert_eq!(read_back("Au café\u{a0}»"), None);
        let words = [
            "heiß",
            "café",
            "à",
            "voilà",
            "où",
            "été",
            "forêt",
            "naïve",
            "MAÇÃ",
            "IRMÃ",
            "ROMÂ",
            "maçã",
            "coração",
            "niño",
            "¿qué",
            "señor",
            "Ñandú",
            "PIÙ",
            "città",
            "perché",
            "borð",
            "það",
            "Það",
            "ÞÚ",
            "blå",
            "sjö",
            "Å",
            "MÚŽ",
            "Škoda",
            "œuvre",
            "cœur",
            "Ÿ",
            "Straße",
            "GROẞ",
            "ÜBÉ",
            "ÎLÊ",
            "smørrebrød",
            "€",
            "£",
            "hôtel",
        ];
        let before = ["", " ", "„", "“", "«\u{a0}", "«", "‹", "‚", "»", "(", "– ", "¡", "¿", "‘", "…"];
        let after = [
            "",
            " ",
            "“",
            "”",
            "\u{a0}»",
            "»",
            "\u{202f}»",
            "›",
            "\u{a0}›",
            "’",
            "‘",
            "…",
            "–",
            "—",
            "\u{a0}–",
            " – ",
            ".",
            ",",
            "\u{a0}!",
            "\u{a0}?",
            "\u{a0}…",
            "«",
            "’s",
            "”…",
            "“\u{a0}–",
            "™”",
            "®",
            "¹",
            "•",
            "·",
            "»\u{a0}–",
            "\u{a0}—\u{a0}",
        ];
        let mut rng = Rng::new(5);
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..1 + rng.below(12) {
                text.push_str(before[rng.below(before.len())]);
                text.push_str(words[rng.below(words.len())]);
                text.push_str(after[rng.below(after.len())]);
                text.push(' ');
            }
            assert_eq!(read_back(&text), None, "{text:?}");
        }
    }

    #[test]
    fn right_text_stays_as_it_is() {
        for text in [
            "Once upon a time, there was a cat.\n\n\"Hello!\" it said.",
            "El niño fue al café con su papá; ¿qué más? «Nada».",
            "Ein Mädchen aß Äpfel in São Paulo, 50 £ à part.",
            "日本語の物語がここにあります。それは猫の話です。🦀",
            "می\u{200c}خواهم یک گربه ببینم 👩\u{200d}🌾",
        ] {
            assert_eq!(cleaned(text), (text.to_owned(), Report { rows: 1, stories: 1, ..Report::default() }));
        }
    }

    #[test]
    fn control_and_invisible_characters_go_and_newlines_stay() {
        let (story, report) = cleaned("\u{feff}One\u{0} two\u{200b} three\r\nfour\rfive\tsix\u{7f} seven\u{85}.\n");
        assert_eq!(story, "One two three\nfour\nfive\tsix seven.");
        assert_eq!(report.controls, 5);
    }

    #[test]
    fn each_row_is_counted_once_and_left_out_for_one_reason() {
        let mut cleaner = Cleaner::new(true);
        let rows = [
            ("so it begins in the middle of a sentence.", true),
            ("once upon a time in lower case, it began.", false),
            ("", false),
            (" \r\n\u{0}", false),
            ("Short.", false),
            ("The cat sat on the mat all day.", false),
            ("The cat sat on the mat all day.\r\n", false),
            ("The cat sat on the mat\u{200b} all day.", false),
        ];
        let kept: Vec<_> = rows.iter().filter_map(|(row, first)| cleaner.clean(row, *first)).collect();
        assert_eq!(kept, ["once upon a time in lower case, it began.", "The cat sat on the mat all day."]);
        let report = cleaner.report;
        assert_eq!((report.rows, report.stories, report.empty, report.short), (8, 2, 2, 1));
        assert_eq!((report.mid_sentence, report.duplicates), (1, 2));
        let sentence = Report::sentence(&report.counts());
        assert!(sentence.contains("2 empty") && sentence.contains("2 duplicates"), "{sentence}");
    }

    #[test]
    fn turned_off_it_changes_nothing_and_leaves_out_only_what_is_no_text() {
        let mut cleaner = Cleaner::new(false);
        for row in ["donâ€™t", " a\r\n", " a\r\n", "\u{0}"] {
            assert_eq!(cleaner.clean(row, true).as_deref(), Some(row));
        }
        assert_eq!(cleaner.clean("", false), None);
        assert_eq!((cleaner.report.rows, cleaner.report.stories, cleaner.report.empty), (5, 4, 1));
    }

    /// Texts of the very characters that the clean-up looks for: no panic, and cleaning again changes nothing.
    #[test]
    fn a_million_texts_are_cleaned_for_good() {
        let pool: Vec<char> =
            "aé â€™œ\u{9d}“”˜ÂÃ©ðŸ¦€\u{80}\u{99}\u{feff}\u{0}\r\n\u{200b}…—😀ÃƒÂ¢â‚¬\u{fffd}Z.日".chars().collect();
        let mut rng = Rng::new(11);
        let (mut mended, mut text) = (0, String::new());
        for _ in 0..600_000 {
            text.clear();
            for _ in 0..rng.below(30) {
                text.push(match rng.below(12) {
                    0 => char::from_u32(rng.below(0x11_0000) as u32).unwrap_or('x'),
                    1 => char::from(rng.bits() as u8),
                    _ => pool[rng.below(pool.len())],
                });
            }
            // A new one each time: it would take a story of the round before for a duplicate.
            let Some(story) = Cleaner::new(true).clean(&text, false).map(Cow::into_owned) else { continue };
            let mut again = Cleaner::new(true);
            let twice = again.clean(&story, false);
            // Trimming may uncover nothing new; only what is short by then is left out.
            assert_eq!(twice.as_deref(), Some(story.as_str()), "{text:?}");
            assert_eq!(again.report, Report { rows: 1, stories: 1, ..Report::default() }, "{text:?}");
            mended += u64::from(story != text);
        }
        assert!(mended > 50_000, "{mended}");
    }
}
