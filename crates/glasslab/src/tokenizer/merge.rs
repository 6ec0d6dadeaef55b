//! Merging the parts of a word: the pair that comes first in its tokenizer's order, first; of equal ones, the one further
//! left. A heap holds the pairs that may be merged, so a word of N parts takes about N log N steps.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

/// A part of a word.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// Its id; `None` for a character that has none of its own.
    pub(super) id: Option<u32>,
    /// Its bytes in the word; none once it belongs to the part before it.
    pub(super) bytes: Range<usize>,
    /// The place of the part before it; for the first one, no place of the word.
    before: usize,
    /// The place of the part behind it, or the number of parts.
    after: usize,
}

/// Which pair comes when, and the id that it makes.
pub(super) type Merge = (u32, u32);

/// Merges words, one after the other, in the same memory.
#[derive(Default)]
pub(super) struct Merger {
    parts: Vec<Part>,
    /// When the pair is merged, the place of its first part, and the id that it makes.
    waiting: BinaryHeap<Reverse<(u32, usize, u32)>>,
}

impl Merger {
    /// Merges a word as far as `merge` says, and gives what is left of its parts.
    ///
    /// # Shapes
    /// `parts`: the id of each part and its number of bytes → at most as many parts
    pub(super) fn merged(
        &mut self,
        parts: impl Iterator<Item = (Option<u32>, usize)>,
        merge: impl Fn(&Part, &Part) -> Option<Merge>,
    ) -> impl Iterator<Item = &Part> {
        self.parts.clear();
        let mut begin = 0;
        self.parts.extend(parts.enumerate().map(|(place, (id, length))| {
            let bytes = begin..begin + length;
            begin = bytes.end;
            Part { id, bytes, before: place.wrapping_sub(1), after: place + 1 }
        }));
        (0..self.parts.len()).for_each(|place| self.look(place, &merge));
        while let Some(Reverse((_, place, id))) = self.waiting.pop() {
            // What was merged since makes another pair, or none.
            if self.pair(place, &merge).is_none_or(|(_, now)| now != id) {
                continue;
            }
            let Part { ref bytes, before, after, .. } = self.parts[place];
            let Part { bytes: ref joined, after: end, .. } = self.parts[after];
            let bytes = bytes.start..joined.end;
            self.parts[after].bytes = bytes.end..bytes.end;
            self.parts[place] = Part { id: Some(id), bytes, before, after: end };
            if let Some(next) = self.parts.get_mut(end) {
                next.before = place;
            }
            self.look(before, &merge);
            self.look(place, &merge);
        }
        self.parts.iter().filter(|part| !part.bytes.is_empty())
    }

    /// The merge of the part at a place with the one behind it, if there is one.
    fn pair(&self, place: usize, merge: &impl Fn(&Part, &Part) -> Option<Merge>) -> Option<Merge> {
        let first = self.parts.get(place).filter(|part| !part.bytes.is_empty())?;
        merge(first, self.parts.get(first.after)?)
    }

    fn look(&mut self, place: usize, merge: &impl Fn(&Part, &Part) -> Option<Merge>) {
        if let Some((order, id)) = self.pair(place, merge) {
            self.waiting.push(Reverse((order, place, id)));
        }
    }
}
