//! Ids in a row: one byte each where the vocabulary has 256 ids at most, two up to 65,536, else four.

use super::{Bytes, Checksum};
use std::ops::Range;
use std::sync::Arc;

/// The most ids that a vocabulary can have: the largest of models have 262,144, all of Unicode is half of this.
pub(super) const MOST_IDS: i64 = 1 << 21;

/// The ids of a text; a clone shares them.
#[derive(Debug, Clone)]
pub enum Ids {
    /// One byte each, perhaps in a mapped file.
    Narrow(Bytes),
    /// Two bytes each.
    Wide(Arc<Vec<u16>>),
    /// Four bytes each.
    Widest(Arc<Vec<u32>>),
}

impl Ids {
    /// The number of ids.
    pub fn len(&self) -> usize {
        self.all().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether they lie in a mapped file.
    pub fn is_mapped(&self) -> bool {
        matches!(self, Ids::Narrow(bytes) if bytes.is_mapped())
    }

    /// All of them.
    pub fn all(&self) -> IdSlice<'_> {
        match self {
            Ids::Narrow(bytes) => IdSlice::Narrow(bytes),
            Ids::Wide(ids) => IdSlice::Wide(ids),
            Ids::Widest(ids) => IdSlice::Widest(ids),
        }
    }
}

/// Some ids that follow one another, as they lie in memory or in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdSlice<'a> {
    /// One byte each.
    Narrow(&'a [u8]),
    /// Two bytes each.
    Wide(&'a [u16]),
    /// Four bytes each.
    Widest(&'a [u32]),
}

impl<'a> IdSlice<'a> {
    /// The number of ids.
    pub fn len(self) -> usize {
        match self {
            IdSlice::Narrow(ids) => ids.len(),
            IdSlice::Wide(ids) => ids.len(),
            IdSlice::Widest(ids) => ids.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The ids of a range; none, if it reaches beyond the end.
    pub fn part(self, range: Range<usize>) -> IdSlice<'a> {
        match self {
            IdSlice::Narrow(ids) => IdSlice::Narrow(ids.get(range).unwrap_or_default()),
            IdSlice::Wide(ids) => IdSlice::Wide(ids.get(range).unwrap_or_default()),
            IdSlice::Widest(ids) => IdSlice::Widest(ids.get(range).unwrap_or_default()),
        }
    }

    /// The ids, one after the other.
    pub fn iter(self) -> impl Iterator<Item = i64> + 'a {
        // All but one of them are empty.
        let (narrow, wide, widest): (&[u8], &[u16], &[u32]) = match self {
            IdSlice::Narrow(ids) => (ids, &[], &[]),
            IdSlice::Wide(ids) => (&[], ids, &[]),
            IdSlice::Widest(ids) => (&[], &[], ids),
        };
        let above = wide.iter().map(|&id| i64::from(id)).chain(widest.iter().map(|&id| i64::from(id)));
        narrow.iter().map(|&id| i64::from(id)).chain(above)
    }

    /// A list of the ids.
    pub fn to_vec(self) -> Vec<i64> {
        self.iter().collect()
    }

    pub(crate) fn copy_into(self, list: &mut Vec<i64>) {
        match self {
            IdSlice::Narrow(ids) => list.extend(ids.iter().map(|&id| i64::from(id))),
            IdSlice::Wide(ids) => list.extend(ids.iter().map(|&id| i64::from(id))),
            IdSlice::Widest(ids) => list.extend(ids.iter().map(|&id| i64::from(id))),
        }
    }

    pub(crate) fn add_to(self, checksum: &mut Checksum) {
        match self {
            IdSlice::Narrow(ids) => checksum.add(ids),
            IdSlice::Wide(ids) => ids.iter().for_each(|id| checksum.add(&id.to_le_bytes())),
            IdSlice::Widest(ids) => ids.iter().for_each(|id| checksum.add(&id.to_le_bytes())),
        }
    }
}

/// Ids while they are collected.
pub(super) enum Collected {
    Narrow(Vec<u8>),
    Wide(Vec<u16>),
    Widest(Vec<u32>),
}

impl Collected {
    /// For ids below `n_vocab`.
    pub(super) fn below(n_vocab: i64) -> Collected {
        match n_vocab {
            ..=0x100 => Collected::Narrow(Vec::new()),
            0x101..=0x1_0000 => Collected::Wide(Vec::new()),
            _ => Collected::Widest(Vec::new()),
        }
    }

    pub(super) fn push(&mut self, id: i64) {
        match self {
            Collected::Narrow(ids) => ids.push(id as u8),
            Collected::Wide(ids) => ids.push(id as u16),
            Collected::Widest(ids) => ids.push(id as u32),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Collected::Narrow(ids) => ids.len(),
            Collected::Wide(ids) => ids.len(),
            Collected::Widest(ids) => ids.len(),
        }
    }
}

impl From<Collected> for Ids {
    fn from(collected: Collected) -> Ids {
        match collected {
            Collected::Narrow(ids) => Ids::Narrow(Bytes::from(ids)),
            Collected::Wide(ids) => Ids::Wide(Arc::new(ids)),
            Collected::Widest(ids) => Ids::Widest(Arc::new(ids)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(n_vocab: i64, given: &[i64]) -> Ids {
        let mut collected = Collected::below(n_vocab);
        given.iter().for_each(|&id| collected.push(id));
        Ids::from(collected)
    }

    #[test]
    fn all_widths_read_the_same() {
        let given: Vec<i64> = (0..20).map(|id| id * 12).collect();
        let [narrow, wide, widest] = [256, 65_536, 65_537].map(|n_vocab| ids(n_vocab, &given));
        assert!(matches!((&narrow, &wide, &widest), (Ids::Narrow(_), Ids::Wide(_), Ids::Widest(_))));
        for range in [0..20, 3..7, 5..5, 10..21, 30..40] {
            let expected = given.get(range.clone()).unwrap_or_default();
            for part in [&narrow, &wide, &widest].map(|ids| ids.all().part(range.clone())) {
                let mut copied = vec![7];
                part.copy_into(&mut copied);
                assert_eq!((part.to_vec(), &copied[1..], part.len()), (expected.to_vec(), expected, expected.len()));
            }
        }
    }

    #[test]
    fn the_largest_ids_stay_what_they_are() {
        let sum = |ids: &Ids| {
            let mut sum = Checksum::default();
            ids.all().add_to(&mut sum);
            sum.value()
        };
        for (n_vocab, last) in [(1 << 16, 65_535), (MOST_IDS, MOST_IDS - 1)] {
            let given = [0, 255, 256, last];
            let all = ids(n_vocab, &given);
            assert_eq!(all.all().to_vec(), given);
            assert_ne!(sum(&all), sum(&ids(n_vocab, &[0, 255, 256, last - 1])));
        }
    }
}
