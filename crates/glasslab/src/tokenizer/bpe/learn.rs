//! Which pairs are merged, and in which order.
//!
//! The pairs are counted once. A merge changes only the counts of its neighbours, in the words that hold it; and the most
//! frequent pair is the top of a heap, whose entries may be out of date: one that is comes back with its count of now.

use crate::error::Result;
use crate::stopping::Listening;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// Two neighbours.
pub(super) type Pair = (u16, u16);

/// A vocabulary that grows by merges.
pub(super) struct Learnt {
    pub(super) pieces: Vec<Vec<u8>>,
    pub(super) merges: Vec<Pair>,
    pub(super) merged: HashMap<Pair, (usize, u16)>,
    ids: HashMap<Vec<u8>, u16>,
}

impl Learnt {
    /// The 256 bytes.
    pub(super) fn new() -> Learnt {
        let pieces = (0..=255).map(|byte| vec![byte]).collect();
        Learnt { pieces, merges: Vec::new(), merged: HashMap::new(), ids: HashMap::new() }
    }

    /// Merges a pair; gives the id that it makes. Two pairs may make one: ` a` + `nd` and ` an` + `d`.
    pub(super) fn merge(&mut self, pair: Pair) -> u16 {
        let piece = [&self.pieces[usize::from(pair.0)][..], &self.pieces[usize::from(pair.1)]].concat();
        let id = *self.ids.entry(piece.clone()).or_insert(self.pieces.len() as u16);
        if usize::from(id) == self.pieces.len() {
            self.pieces.push(piece);
        }
        self.merged.insert(pair, (self.merges.len(), id));
        self.merges.push(pair);
        id
    }
}

/// A pair that might be merged. The most frequent one is the greatest; among equals, the one with the lower ids, then the
/// one that was found first: one text gives one vocabulary.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    count: i64,
    pair: Reverse<Pair>,
    born: Reverse<usize>,
    /// The words that may hold it.
    places: Vec<u32>,
}

/// Merges pairs of words with counts until there are `n_vocab` ids, or no pair comes twice.
pub(super) fn learn(words: &[(String, u64)], n_vocab: usize, listening: &mut Listening) -> Result<Learnt> {
    // The order of bytes that decides between equally frequent pairs is that of GPT-2, as everywhere.
    let bytes: Vec<u8> = in_order();
    let mut place_of = [0; 256];
    bytes.iter().zip(0..).for_each(|(&byte, place)| place_of[usize::from(byte)] = place);
    let translated = |id: u16| bytes.get(usize::from(id)).map_or(id, |&byte| u16::from(byte));

    let mut learnt = Learnt::new();
    let mut ids: Vec<Vec<u16>> =
        words.iter().map(|(word, _)| word.bytes().map(|byte| place_of[usize::from(byte)]).collect()).collect();
    let mut counts: HashMap<Pair, i64> = HashMap::new();
    let mut found: HashMap<Pair, Vec<u32>> = HashMap::new();
    for ((word, (_, count)), number) in ids.iter().zip(words).zip(0..) {
        for pair in word.windows(2).map(|pair| (pair[0], pair[1])) {
            *counts.entry(pair).or_default() += *count as i64;
            note(&mut found, pair, number);
        }
    }
    let mut heap = BinaryHeap::new();
    let mut born = 0;
    loop {
        for (pair, places) in found.drain() {
            born += 1;
            heap.push(Candidate { count: counts[&pair], pair: Reverse(pair), born: Reverse(born), places });
        }
        if learnt.pieces.len() >= n_vocab {
            break;
        }
        listening.go_on()?;
        let Some(Candidate { count, pair: Reverse(pair), born, places }) = heap.pop() else { break };
        let now = counts[&pair];
        if count != now {
            heap.push(Candidate { count: now, pair: Reverse(pair), born, places });
            continue;
        }
        if count < 2 {
            break;
        }
        let id = learnt.merge((translated(pair.0), translated(pair.1)));
        for number in places {
            let times = words[number as usize].1 as i64;
            merge(&mut ids[number as usize], pair, id, |other, change| {
                *counts.entry(other).or_default() += change * times;
                if change > 0 {
                    note(&mut found, other, number);
                }
            });
        }
    }
    Ok(learnt)
}

/// The bytes, those first that GPT-2 writes as themselves because they can be seen.
fn in_order() -> Vec<u8> {
    let is_seen = |byte: &u8| matches!(byte, 33..=126 | 161..=172 | 174..);
    let (seen, unseen): (Vec<u8>, Vec<u8>) = (0..=255).partition(is_seen);
    [seen, unseen].concat()
}

fn note(found: &mut HashMap<Pair, Vec<u32>>, pair: Pair, number: u32) {
    let places = found.entry(pair).or_default();
    if places.last() != Some(&number) {
        places.push(number);
    }
}

/// Replaces each occurrence of a pair, from the left, and tells which pairs of neighbours that makes and unmakes.
fn merge(ids: &mut Vec<u16>, pair: Pair, merged: u16, mut changed: impl FnMut(Pair, i64)) {
    let (mut read, mut write) = (0, 0);
    while read < ids.len() {
        let is_found = ids[read] == pair.0 && ids.get(read + 1) == Some(&pair.1);
        if is_found {
            if write > 0 {
                changed((ids[write - 1], pair.0), -1);
                changed((ids[write - 1], merged), 1);
            }
            if let Some(&next) = ids.get(read + 2) {
                changed((pair.1, next), -1);
                changed((merged, next), 1);
            }
        }
        ids[write] = if is_found { merged } else { ids[read] };
        read += if is_found { 2 } else { 1 };
        write += 1;
    }
    ids.truncate(write);
}
