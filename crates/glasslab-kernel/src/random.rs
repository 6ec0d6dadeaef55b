//! Random texts through all that takes a cell, or what a cell prints, apart: nothing panics, and what is promised of
//! every text holds.
//!
//! `GLASSLAB_TEST_INPUTS=1000000` takes as many instead of 20,000, which is for a night; `GLASSLAB_TEST_SEED` others.

use crate::cell::code::{self, as_function};
use crate::cell::commands::{commands, looked_at, without};
use crate::cell::whole::{is_complete, lack};
use crate::stream::{Piece, Splitter, joined};
use glasslab_wire::{FromCell, frame};
use jupyter_protocol::IsCompleteReplyStatus as Status;
use ra_ap_syntax::AstNode;

/// What texts are made of: what opens and closes something, what only looks so, and what has more than one byte.
#[rustfmt::skip]
const PARTS: [&str; 88] = [
    "let x = 1;", "let mut y", "fn f(a: i64) -> i64 {", "}", "{", "(", ")", "[", "]", "<", ">", ";", ",", ":", "::", "=", "=>", ".", "..=", "&", "*",
    "|", "||", "!", "?", "#", "#!", "@", "$", "\\", "\\\"", "\\'", "\"", "'", "'a", "'a'", "'\\''", "'\"'", "'{'", "b'", "b'x'", "b\"", "c\"", "r\"",
    "r#\"", "\"#", "br\"", "br##\"", "\"##", "cr#\"", "r#fn", "//", "///", "//!", "/*", "*/", "/**", "\n", "\n", "\n", "\r\n", "\r", "\t", " ", " ",
    "\0", "ä", "名前", "🦀", "e\u{301}", "\u{2028}", "\u{a0}", "struct S { x: i64 }", "impl S {}", "macro_rules! m { () => {} }", "use std::",
    "use a::{b, c};", "if a { 1 } else { 2 }", "x.relu()", "1.5e3", "0xff_u8", ":dep a = \"1\"", ":opt 3", ":restart", "!ls", "for", "async", "_",
];

/// Numbers that look like chance (Steele et al. 2014, SplitMix64), the same for each seed.
pub struct Chance(u64);

impl Chance {
    /// Those of a seed.
    pub fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of 0, …, n − 1.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn text(&mut self) -> String {
        (0..self.below(14)).map(|_| PARTS[self.below(PARTS.len())]).collect()
    }
}

/// Tries as many texts as asked for; a test that fails tells which.
fn each(name: &str, holds: impl Fn(&mut Chance, &str)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let mut chance = Chance::new(number("GLASSLAB_TEST_SEED").unwrap_or(1));
    for count in 0..number("GLASSLAB_TEST_INPUTS").unwrap_or(20_000) {
        let text = chance.text();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| holds(&mut chance, &text)));
        assert!(result.is_ok(), "{name}, text {count}: {text:?}");
    }
}

/// Any place in a text, between two characters.
fn place(chance: &mut Chance, text: &str) -> usize {
    let at = chance.below(text.len() + 1);
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[test]
fn whatever_rust_takes_is_whole_and_what_is_open_is_not() {
    each("a cell", |_, text| {
        let parsed = as_function(text);
        let (status, lack) = (is_complete(text).status, lack(text));
        if parsed.errors().is_empty() && parsed.tree().syntax().children().count() == 1 {
            assert_eq!((&status, &lack), (&Status::Complete, &None));
        }
        if status != Status::Complete {
            assert!(lack.is_some(), "what a front-end would not run does not run");
        }
        if status == Status::Complete {
            assert_eq!(is_complete(&format!("{{ {text}")).status, Status::Incomplete);
        }
    });
}

#[test]
fn commands_are_found_where_they_stand_and_leaving_them_out_moves_nothing() {
    each("commands", |chance, text| {
        let found = commands(text);
        for command in &found {
            assert!(text[command.place.clone()].contains(command.name) && !command.name.contains(char::is_whitespace));
        }
        let left = without(text, |_| true);
        assert_eq!((left.len(), left.lines().count()), (text.len(), text.lines().count()));
        assert_eq!(commands(&left), []);
        let kept = text.char_indices().filter(|(at, _)| found.iter().all(|command| !command.place.contains(at)));
        assert!(kept.clone().all(|(at, character)| left[at..].starts_with(character)));
        let cursor = place(chance, text);
        let looked = looked_at(text, cursor);
        assert_eq!(looked.len(), text.len());
        assert!(commands(&looked).iter().all(|command| command.place.contains(&cursor) || command.place.end == cursor));
    });
}

#[test]
fn names_and_places_are_found_in_any_text() {
    each("names", |chance, text| {
        let all = code::names(text);
        assert!(code::defined_types(text).iter().all(|name| all.contains(name)));
        assert!(code::defined_names(text).iter().all(|name| text.contains(name.as_str()) && !name.is_empty()));
        let cursor = place(chance, text);
        assert!(text.is_char_boundary(code::name_position(text, cursor)));
        assert_eq!(code::byte_position(text, code::character_position(text, cursor)), cursor);
        let _ = code::line_with(&text.lines().collect::<Vec<_>>(), text.trim(), Some(1));
    });
}

#[test]
fn what_a_cell_prints_is_taken_apart_alike_in_all_bites() {
    each("a stream", |chance, text| {
        let mut stream = Vec::new();
        for _ in 0..chance.below(6) {
            match chance.below(7) {
                0 => stream.extend_from_slice(text.as_bytes()),
                1 => stream.extend(frame("mk", &FromCell::Value { data: Default::default() })),
                2 => stream.extend_from_slice(b"EVCXR_BEGIN_CONTENT text/html\n"),
                3 => stream.extend_from_slice(b"\nEVCXR_END_CONTENT\n"),
                4 => stream.extend_from_slice(b"EVCXR_PANIC_NOTIFICATION\n"),
                5 => stream.extend_from_slice(
                    [&b"\0m 9\n"[..], b"EVCXR", b"EVCXR_", b"\xf0\x9f", b"\0\0mk", b"\0mk"][chance.below(6)],
                ),
                _ => stream.extend((0..chance.below(9)).map(|_| chance.below(256) as u8)),
            }
        }
        // Whatever it was, the end of its cell is heard: evcxr waits for it.
        stream.extend(frame("mk", &FromCell::Ended { number: 1 }));
        let mut all = |most: usize| {
            let mut splitter = Splitter::new("mk");
            let (mut pieces, mut rest) = (Vec::new(), &stream[..]);
            while !rest.is_empty() {
                let (bite, more) = rest.split_at((1 + chance.below(most)).min(rest.len()));
                pieces.extend(splitter.feed(bite));
                rest = more;
            }
            pieces.extend(splitter.finish());
            joined(pieces)
        };
        let pieces = all(1000);
        assert_eq!(all(3), pieces);
        assert_eq!(pieces.last(), Some(&Piece::Message(FromCell::Ended { number: 1 })));
    });
}
