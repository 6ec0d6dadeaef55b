//! The pieces that are looked for before a text is cut: they stand for themselves, wherever they are.

use super::vocabulary::{SPACE, Special, Vocabulary};
use std::collections::HashMap;

/// Special pieces, by their bytes.
#[derive(Clone)]
pub(super) struct Specials {
    ids: HashMap<Vec<u8>, u32>,
    /// Whether one begins with this byte.
    begins: [bool; 256],
    /// The numbers of bytes that they have, the greatest first.
    lengths: Vec<usize>,
    /// Whether one is written with the sign of a space.
    pub(super) have_sign: bool,
}

impl Specials {
    pub(super) fn of(vocabulary: &Vocabulary) -> Specials {
        let special = vocabulary.special.iter().filter(|special| !special.text.is_empty());
        let ids: HashMap<Vec<u8>, u32> = special.map(|Special { id, text }| (text.as_bytes().to_vec(), *id)).collect();
        let mut begins = [false; 256];
        ids.keys().for_each(|piece| begins[usize::from(piece[0])] = true);
        let mut lengths: Vec<usize> = ids.keys().map(Vec::len).collect();
        lengths.sort_unstable_by(|one, other| other.cmp(one));
        lengths.dedup();
        let have_sign = vocabulary.special.iter().any(|special| special.text.contains(SPACE));
        Specials { ids, begins, lengths, have_sign }
    }

    /// Gives the parts of a text: what stands before each special piece, with the place where it begins, and the piece's id
    /// if there is one behind it. The leftmost comes first, and of several at one place the longest.
    pub(super) fn parts<'a>(&self, text: &'a str, mut take: impl FnMut(usize, &'a str, Option<u32>)) {
        let (mut begin, mut place) = (0, 0);
        while place < text.len() {
            match self.at(&text.as_bytes()[place..]) {
                Some((length, id)) => {
                    take(begin, &text[begin..place], Some(id));
                    place += length;
                    begin = place;
                }
                None => place += 1,
            }
        }
        take(begin, &text[begin..], None);
    }

    /// The special piece that bytes begin with: its length and its id.
    pub(super) fn at(&self, bytes: &[u8]) -> Option<(usize, u32)> {
        bytes.first().filter(|&&byte| self.begins[usize::from(byte)])?;
        self.lengths.iter().find_map(|&length| Some((length, *self.ids.get(bytes.get(..length)?)?)))
    }
}
