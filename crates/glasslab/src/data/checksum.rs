//! A checksum for files that this library writes and reads itself: 64 bits, a word at a time.
//!
//! ```text
//! state ← rotate((state ⊕ word) · odd constant)
//! ```
//! Each step can be undone, so a change of one word always changes the result. It tells damage by accident, at several
//! gigabytes a second; it is no protection against an attacker, for which downloads have their SHA-256.
//!
//! By hand, since a crate for it would be loaded by every cell, and since the files that there are hold these sums.

const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// A checksum that is added to piece by piece; only the bytes count, not the pieces.
#[derive(Debug, Clone, Default)]
pub struct Checksum {
    state: u64,
    /// Bytes that don't fill a word yet, the first one lowest.
    rest: u64,
    length: u64,
}

impl Checksum {
    /// The checksum of some bytes.
    pub fn of(bytes: &[u8]) -> u64 {
        let mut sum = Checksum::default();
        sum.add(bytes);
        sum.value()
    }

    /// Adds bytes behind those added before.
    pub fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.length.is_multiple_of(8) {
            self.add_byte(bytes[0]);
            bytes = &bytes[1..];
        }
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.state = mix(self.state, u64::from_le_bytes(*word));
        }
        self.length += 8 * words.len() as u64;
        rest.iter().for_each(|&byte| self.add_byte(byte));
    }

    /// The checksum of everything added so far.
    pub fn value(&self) -> u64 {
        mix(mix(self.state, self.rest), self.length)
    }

    fn add_byte(&mut self, byte: u8) {
        self.rest |= u64::from(byte) << (8 * (self.length % 8));
        self.length += 1;
        if self.length.is_multiple_of(8) {
            self.state = mix(self.state, std::mem::take(&mut self.rest));
        }
    }
}

fn mix(state: u64, word: u64) -> u64 {
    (state ^ word).wrapping_mul(FACTOR).rotate_left(29)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn noise(length: usize) -> Vec<u8> {
        let mut rng = Rng::new(3);
        (0..length).map(|_| rng.bits() as u8).collect()
    }

    #[test]
    fn only_the_bytes_count_and_not_the_pieces() {
        let bytes = noise(1000);
        let mut rng = Rng::new(1);
        for _ in 0..200 {
            let (mut sum, mut left) = (Checksum::default(), &bytes[..]);
            while !left.is_empty() {
                let (piece, rest) = left.split_at(1 + rng.below(left.len().min(20)));
                sum.add(piece);
                left = rest;
            }
            assert_eq!(sum.value(), Checksum::of(&bytes));
        }
    }

    #[test]
    fn every_changed_bit_and_every_other_length_shows() {
        let bytes = noise(100);
        let whole = Checksum::of(&bytes);
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[place] ^= 1 << bit;
                assert_ne!(Checksum::of(&changed), whole);
            }
            assert_ne!(Checksum::of(&bytes[..place]), whole);
        }
        assert_ne!(Checksum::of(&[0; 8]), Checksum::of(&[0; 9]), "zeros count");
    }
}
