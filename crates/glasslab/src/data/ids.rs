//! Ids in a row: one byte each where the vocabulary has 256 ids at most, else two.

use super::{Bytes, Checksum};
use std::ops::Range;
use std::sync::Arc;

/// The most ids that a vocabulary can have: each takes two bytes at most.
pub(super) const MOST_IDS: i64 = 1 << 16;

/// The ids of a text; a clone shares them.
#[derive(Debug, Clone)]
pub enum Ids {
    /// One byte each, perhaps in a mapped file.
    Narrow(Bytes),
    /// Two bytes each.
    Wide(Arc<Vec<u16>>),
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
}

impl<'a> IdSlice<'a> {
    /// The number of ids.
    pub fn len(self) -> usize {
        match self {
            IdSlice::Narrow(ids) => ids.len(),
            IdSlice::Wide(ids) => ids.len(),
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
        }
    }

    /// The ids, one after the other.
    pub fn iter(self) -> impl Iterator<Item = i64> + 'a {
        // One of the two is empty.
        let (narrow, wide): (&[u8], &[u16]) = match self {
            IdSlice::Narrow(ids) => (ids, &[]),
            IdSlice::Wide(ids) => (&[], ids),
        };
        narrow.iter().map(|&id| i64::from(id)).chain(wide.iter().map(|&id| i64::from(id)))
    }

    /// A list of the ids.
    pub fn to_vec(self) -> Vec<i64> {
        self.iter().collect()
    }

    pub(crate) fn copy_into(self, list: &mut Vec<i64>) {
        match self {
            IdSlice::Narrow(ids) => list.extend(ids.iter().map(|&id| i64::from(id))),
            IdSlice::Wide(ids) => list.extend(ids.iter().map(|&id| i64::from(id))),
        }
    }

    pub(crate) fn add_to(self, checksum: &mut Checksum) {
        match self {
            IdSlice::Narrow(ids) => checksum.add(ids),
            IdSlice::Wide(ids) => ids.iter().for_each(|id| checksum.add(&id.to_le_bytes())),
        }
    }
}

/// Ids while they are collected.
pub(super) enum Collected {
    Narrow(Vec<u8>),
    Wide(Vec<u16>),
}

impl Collected {
    /// For ids below `n_vocab`.
    pub(super) fn below(n_vocab: i64) -> Collected {
        if n_vocab <= 256 { Collected::Narrow(Vec::new()) } else { Collected::Wide(Vec::new()) }
    }

    pub(super) fn push(&mut self, id: i64) {
        match self {
            Collected::Narrow(ids) => ids.push(id as u8),
            Collected::Wide(ids) => ids.push(id as u16),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Collected::Narrow(ids) => ids.len(),
            Collected::Wide(ids) => ids.len(),
        }
    }
}

impl From<Collected> for Ids {
    fn from(collected: Collected) -> Ids {
        match collected {
            Collected::Narrow(ids) => Ids::Narrow(Bytes::from(ids)),
            Collected::Wide(ids) => Ids::Wide(Arc::new(ids)),
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
    fn both_widths_read_the_same() {
        let given: Vec<i64> = (0..20).map(|id| id * 12).collect();
        let (narrow, wide) = (ids(256, &given), ids(257, &given));
        assert!(matches!((&narrow, &wide), (Ids::Narrow(_), Ids::Wide(_))));
        for range in [0..20, 3..7, 5..5, 10..21, 30..40] {
            let expected = given.get(range.clone()).unwrap_or_default();
            for part in [narrow.all().part(range.clone()), wide.all().part(range.clone())] {
                let mut copied = vec![7];
                part.copy_into(&mut copied);
                assert_eq!((part.to_vec(), &copied[1..], part.len()), (expected.to_vec(), expected, expected.len()));
            }
        }
    }

    #[test]
    fn the_largest_ids_stay_what_they_are() {
        let given = [0, 255, 256, 65_535];
        let wide = ids(MOST_IDS, &given);
        assert_eq!(wide.all().to_vec(), given);
        let sum = |ids: &Ids| {
            let mut sum = Checksum::default();
            ids.all().add_to(&mut sum);
            sum.value()
        };
        assert_ne!(sum(&wide), sum(&ids(MOST_IDS, &[0, 255, 256, 65_534])));
    }
}
