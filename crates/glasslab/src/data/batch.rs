//! Random pieces of stories, for training.

use super::Tokens;
use crate::error::{Error, Result};
use crate::rng::Rng;
use tch::{Device, Tensor};

/// One batch: at each place, the character to read and the one to predict.
#[derive(Debug)]
pub struct Batch {
    /// (B, T) ids
    pub inputs: Tensor,
    /// (B, T) ids: the inputs, one character further on
    pub targets: Tensor,
}

impl Batch {
    /// Copies pieces of `context_len` + 1 ids, each given by its place: all that is ever copied of a mapped file.
    ///
    /// # Shapes
    /// B places → `inputs`, `targets`: (B, T)
    pub(super) fn of(tokens: &Tokens, places: &[usize], context_len: usize, device: Device) -> Result<Batch> {
        let (rows, columns) = (places.len() as i64, context_len as i64);
        let all = tokens.ids.all();
        let mut ids = Vec::with_capacity(places.len() * (context_len + 1));
        places.iter().for_each(|&place| all.part(place..place + context_len + 1).copy_into(&mut ids));
        let ids = Tensor::f_from_slice(&ids)?.f_view([rows, columns + 1])?.f_to_device(device)?; // (B, T+1)
        Ok(Batch { inputs: ids.f_narrow(1, 0, columns)?, targets: ids.f_narrow(1, 1, columns)? })
    }
}

/// An endless, seeded stream of batches.
#[derive(Debug)]
pub struct Batches<'a> {
    tokens: &'a Tokens,
    batch_size: usize,
    context_len: usize,
    pub(crate) rng: Rng,
}

/// Checks the sizes of batches, and that a story is long enough for them.
pub(super) fn check(tokens: &Tokens, batch_size: usize, context_len: usize) -> Result<()> {
    if batch_size == 0 || context_len == 0 {
        return Err(Error::Config(format!(
            "batch_size and context_len must be at least 1, got {batch_size} and {context_len}"
        )));
    }
    match tokens.stories().any(|story| story.len() > context_len) {
        true => Ok(()),
        false => Err(Error::Data(format!(
            "no story is longer than context_len = {context_len} tokens: lower context_len, or give longer texts"
        ))),
    }
}

impl<'a> Batches<'a> {
    /// Batches of `batch_size` pieces of `context_len` characters each.
    ///
    /// # Errors
    /// If a size is 0, or no story has `context_len` + 1 characters.
    pub fn new(tokens: &'a Tokens, batch_size: usize, context_len: usize, seed: u64) -> Result<Batches<'a>> {
        check(tokens, batch_size, context_len)?;
        Ok(Batches { tokens, batch_size, context_len, rng: Rng::new(seed) })
    }

    /// The next batch. Every character of a story is about equally often in one, its first and
    /// last included, and no piece spans two stories.
    ///
    /// # Shapes
    /// → `inputs`, `targets`: (B, T)
    ///
    /// # Errors
    /// What libtorch fails with, e.g. no memory on the device.
    pub fn next_batch(&mut self, device: Device) -> Result<Batch> {
        let places: Vec<usize> = (0..self.batch_size).map(|_| self.draw()).collect();
        Batch::of(self.tokens, &places, self.context_len, device)
    }

    /// Where a piece begins, drawn at random.
    fn draw(&mut self) -> usize {
        let length = self.context_len + 1;
        loop {
            let place = self.rng.below(self.tokens.len());
            let story = self.tokens.starts.range(self.tokens.starts.story_at(place));
            // A story that is too short is drawn over: no list of the long ones has to be kept.
            if story.len() >= length {
                // A piece around the place: near a story's edge, it is pushed inside.
                let first = place.saturating_sub(self.rng.below(length)).max(story.start);
                return first.min(story.end - length);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stories;
    use crate::tokenizer::CharTokenizer;

    fn tokens() -> Tokens {
        let stories = Stories::parse("abcdefghij<|endoftext|>0123456789<|endoftext|>xy").unwrap();
        Tokens::encode(&stories, &CharTokenizer::default()).unwrap()
    }

    #[test]
    fn targets_are_the_inputs_one_character_on_within_one_story() {
        let tokens = tokens();
        let mut batches = Batches::new(&tokens, 8, 4, 1).unwrap();
        for _ in 0..50 {
            let batch = batches.next_batch(Device::Cpu).unwrap();
            assert_eq!((batch.inputs.size(), batch.targets.size()), (vec![8, 4], vec![8, 4]));
            // In these stories, the next character is always the next code point.
            assert_eq!(batch.inputs + 1, batch.targets);
        }
    }

    #[test]
    fn ids_of_two_bytes_come_as_they_are() {
        let stories = Stories::parse("日本語の話を読む").unwrap();
        let tokens = Tokens::encode(&stories, &CharTokenizer { n_vocab: 1 << 16 }).unwrap();
        let batch = Batches::new(&tokens, 3, 7, 1).unwrap().next_batch(Device::Cpu).unwrap();
        let expected: Vec<i64> = "日本語の話を読".chars().map(|character| character as i64).collect();
        assert_eq!(Vec::<i64>::try_from(batch.inputs.get(2)).unwrap(), expected);
    }

    #[test]
    fn every_character_comes_about_equally_often() {
        let tokens = tokens();
        let mut batches = Batches::new(&tokens, 16, 4, 1).unwrap();
        let mut seen = std::collections::HashMap::new();
        for _ in 0..500 {
            let targets = Vec::<i64>::try_from(batches.next_batch(Device::Cpu).unwrap().targets.flatten(0, 1)).unwrap();
            targets.into_iter().for_each(|id| *seen.entry(id).or_insert(0) += 1);
        }
        assert_eq!(seen.len(), 18, "each character but the two first ones is a target; xy is too short");
        let (least, most) = (seen.values().min().unwrap(), seen.values().max().unwrap());
        assert!(most < &(3 * least), "{seen:?}");
    }

    #[test]
    fn one_seed_gives_one_stream() {
        let tokens = tokens();
        let stream = |seed| {
            let mut batches = Batches::new(&tokens, 2, 4, seed).unwrap();
            (0..5)
                .flat_map(|_| {
                    Vec::<i64>::try_from(batches.next_batch(Device::Cpu).unwrap().inputs.flatten(0, 1)).unwrap()
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(stream(7), stream(7));
        assert_ne!(stream(7), stream(8));
    }

    #[test]
    fn long_stories_are_found_among_very_many_short_ones() {
        let text = "a<|endoftext|>".repeat(3000) + "0123456789";
        let tokens = Tokens::encode(&Stories::parse(&text).unwrap(), &CharTokenizer::default()).unwrap();
        let batch = Batches::new(&tokens, 4, 9, 1).unwrap().next_batch(Device::Cpu).unwrap();
        assert_eq!(Vec::<i64>::try_from(batch.inputs.get(3)).unwrap(), (48..57).collect::<Vec<i64>>());
    }

    #[test]
    fn a_context_longer_than_every_story_is_an_error_that_says_what_to_do() {
        let tokens = tokens();
        let message = Batches::new(&tokens, 2, 10, 1).unwrap_err().to_string();
        assert!(message.contains("lower context_len"), "{message}");
        assert!(Batches::new(&tokens, 0, 4, 1).is_err());
    }
}
