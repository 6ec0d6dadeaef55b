//! One pass over all the text, in a seeded order.
//!
//! The stories are cut into pieces of T characters to predict. The pieces come in the order that a keyed permutation
//! of 0..N gives them: a Feistel network of four rounds over the next even number of bits, walked on while its result
//! is not below N (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002). So an order over 30 million
//! pieces takes no memory, and one seed gives the same one each time.

use super::Tokens;
use super::batch::{Batch, check};
use crate::error::Result;
use crate::rng::Rng;
use tch::Device;

/// The batches of one pass over a text.
#[derive(Debug)]
pub struct Epoch<'a> {
    tokens: &'a Tokens,
    /// For each story, the pieces of it and of those before it.
    ends: Vec<u64>,
    order: Order,
    batch_size: usize,
    context_len: usize,
    done: u64,
}

impl<'a> Epoch<'a> {
    /// One pass in batches of `batch_size` pieces of `context_len` characters each; the last batch may be smaller.
    ///
    /// Every character of a story but its first is predicted, at least once: a story's last piece begins earlier,
    /// so that it is a whole one. Stories of fewer than `context_len` + 1 characters don't take part.
    ///
    /// # Errors
    /// If a size is 0, or no story has `context_len` + 1 characters.
    pub fn new(tokens: &'a Tokens, batch_size: usize, context_len: usize, seed: u64) -> Result<Epoch<'a>> {
        check(tokens, batch_size, context_len)?;
        let mut count = 0;
        let pieces = |chars: usize| if chars > context_len { (chars - 1).div_ceil(context_len) as u64 } else { 0 };
        let ends: Vec<u64> = (0..tokens.starts.stories())
            .map(|story| {
                count += pieces(tokens.starts.range(story).len());
                count
            })
            .collect();
        Ok(Epoch { tokens, ends, order: Order::new(count, seed), batch_size, context_len, done: 0 })
    }

    /// The number of batches in a whole pass.
    pub fn batches(&self) -> usize {
        self.order.count.div_ceil(self.batch_size as u64) as usize
    }

    /// The next batch; `None` when the pass is over.
    ///
    /// # Shapes
    /// → `inputs`, `targets`: (B, T)
    ///
    /// # Errors
    /// What libtorch fails with, e.g. no memory on the device.
    pub fn next_batch(&mut self, device: Device) -> Result<Option<Batch>> {
        let end = self.order.count.min(self.done + self.batch_size as u64);
        let places: Vec<usize> = (self.done..end).map(|number| self.place(self.order.at(number))).collect();
        self.done = end;
        match places.is_empty() {
            true => Ok(None),
            false => Batch::of(self.tokens, &places, self.context_len, device).map(Some),
        }
    }

    /// Where a piece begins.
    fn place(&self, piece: u64) -> usize {
        let number = self.ends.partition_point(|&end| end <= piece);
        let before = if number == 0 { 0 } else { self.ends[number - 1] };
        let story = self.tokens.starts.range(number);
        let first = story.start + (piece - before) as usize * self.context_len;
        first.min(story.end - self.context_len - 1)
    }
}

/// A seeded order of 0..count.
#[derive(Debug, Clone)]
struct Order {
    count: u64,
    half_bits: u32,
    keys: [u64; 4],
}

impl Order {
    fn new(count: u64, seed: u64) -> Order {
        let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
        let mut rng = Rng::new(seed);
        Order { count, half_bits: bits.div_ceil(2).max(1), keys: std::array::from_fn(|_| rng.bits()) }
    }

    /// The number at a place, both in 0..count.
    fn at(&self, place: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let mut number = place;
        // At most three of four numbers are out of range, so this ends after few rounds.
        loop {
            let (mut left, mut right) = (number >> self.half_bits, number & mask);
            for key in self.keys {
                (left, right) = (right, left ^ (Rng::new(right ^ key).bits() & mask));
            }
            number = left << self.half_bits | right;
            if number < self.count {
                return number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stories;
    use crate::tokenizer::CharTokenizer;

    fn tokens(text: &str) -> Tokens {
        Tokens::encode(&Stories::parse(text).unwrap(), &CharTokenizer::default()).unwrap()
    }

    fn rows(epoch: &mut Epoch<'_>) -> Vec<Vec<i64>> {
        let mut rows = Vec::new();
        while let Some(batch) = epoch.next_batch(Device::Cpu).unwrap() {
            assert_eq!(batch.inputs.narrow(1, 1, 3), batch.targets.narrow(1, 0, 3));
            rows.extend(Vec::<Vec<i64>>::try_from(batch.targets).unwrap());
        }
        rows
    }

    #[test]
    fn an_order_has_each_number_once() {
        for count in [1, 2, 3, 4, 5, 16, 17, 100, 1000, 4097] {
            for seed in 0..4 {
                let order = Order::new(count, seed);
                let mut numbers: Vec<u64> = (0..count).map(|place| order.at(place)).collect();
                numbers.sort_unstable();
                assert!(numbers.into_iter().eq(0..count), "{count}");
            }
        }
    }

    #[test]
    fn an_order_mixes_well() {
        let order = Order::new(10_000, 1);
        let mean = |part: std::ops::Range<u64>| {
            part.clone().map(|place| order.at(place) as f64).sum::<f64>() / (part.end - part.start) as f64
        };
        for start in (0..10_000).step_by(1000) {
            assert!((mean(start..start + 1000) - 5000.0).abs() < 400.0, "{}", mean(start..start + 1000));
        }
    }

    #[test]
    fn each_character_but_a_story_s_first_is_predicted_and_none_far_oftener() {
        let text = "abcdefghijk<|endoftext|>xy<|endoftext|>0123456789<|endoftext|>ABCDE";
        let tokens = tokens(text);
        let mut epoch = Epoch::new(&tokens, 2, 4, 5).unwrap();
        assert_eq!(epoch.batches(), 4);
        let rows = rows(&mut epoch);
        assert_eq!(rows.len(), 3 + 3 + 1);
        let mut seen: Vec<i64> = rows.concat();
        seen.sort_unstable();
        seen.dedup();
        let expected: Vec<i64> = b"123456789BCDEbcdefghijk".iter().map(|&id| i64::from(id)).collect();
        assert_eq!(seen, expected);
        assert!(epoch.next_batch(Device::Cpu).unwrap().is_none(), "it stays over");
    }

    #[test]
    fn one_seed_gives_one_order() {
        let text = (0..60).map(|number| format!("story number {number} of sixty")).collect::<Vec<_>>();
        let tokens = tokens(&text.join("<|endoftext|>"));
        let order = |seed| rows(&mut Epoch::new(&tokens, 7, 4, seed).unwrap());
        assert_eq!(order(3), order(3));
        assert_ne!(order(3), order(4));
        let sorted = |mut rows: Vec<Vec<i64>>| {
            rows.sort();
            rows
        };
        assert_eq!(sorted(order(3)), sorted(order(4)), "the same pieces");
    }
}
