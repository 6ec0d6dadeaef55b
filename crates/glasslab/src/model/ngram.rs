//! Language models by counting: how often did each character follow these n − 1?
//!
//! Longer contexts are surer but rarer, so their counts are mixed with those of the shorter one
//! by Witten and Bell's rule (1991): a context that has been followed by many different characters
//! leaves more room for a new one.
//!
//! ```text
//! p(c | context) = (count(context, c) + kinds(context) · p(c | shorter)) / (count(context) + kinds(context))
//! ```
//! The shortest context is none, mixed with the uniform distribution over the vocabulary.

use super::{LanguageModel, check_ids};
use crate::data::Tokens;
use crate::error::{Error, Result};
use crate::stopping::Listening;
use std::collections::HashMap;
use tch::{Device, Kind, Tensor};

/// What followed one context.
#[derive(Debug, Clone, Default)]
struct Followers {
    total: u32,
    counts: Vec<(u8, u32)>,
}

impl Followers {
    fn add(&mut self, id: u8) {
        self.total += 1;
        match self.counts.iter_mut().find(|(known, _)| *known == id) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((id, 1)),
        }
    }
}

/// An n-gram model: the next character by the n − 1 before it.
#[derive(Debug, Clone)]
pub struct NGram {
    n: usize,
    n_vocab: i64,
    /// For each context length from 0: the followers of each context seen.
    levels: Vec<HashMap<u64, Followers>>,
}

impl NGram {
    /// Counts the n-grams of stories: `n` = 1 counts characters, 2 pairs, 3 triples, …; 0 counts nothing and
    /// gives every character the same probability.
    ///
    /// # Errors
    /// If `n` is not in 0..=8, or the stop button is pressed.
    pub fn count(tokens: &Tokens, n: usize, n_vocab: i64) -> Result<NGram> {
        if !(0..=8).contains(&n) {
            return Err(Error::Config(format!("n must be in 0..=8, got {n}")));
        }
        let mut levels = vec![HashMap::<u64, Followers>::new(); n];
        let mut listening = Listening::new("n-grams were counted: count them again");
        for story in tokens.stories() {
            for (place, &id) in story.iter().enumerate() {
                if place.is_multiple_of(256) {
                    listening.go_on()?;
                }
                for (length, level) in levels.iter_mut().enumerate().take(place + 1) {
                    level.entry(pack(&story[place - length..place])).or_default().add(id);
                }
            }
        }
        Ok(NGram { n, n_vocab, levels })
    }

    /// The probability of each character after a context.
    ///
    /// # Shapes
    /// any number of ids → V probabilities that sum to 1
    pub fn probabilities(&self, context: &[u8]) -> Vec<f64> {
        let mut mixed = vec![1.0 / self.n_vocab as f64; self.n_vocab as usize];
        for length in 0..self.n.min(context.len() + 1) {
            let Some(seen) = self.levels[length].get(&pack(&context[context.len() - length..])) else { break };
            let kinds = seen.counts.len() as f64;
            let room = f64::from(seen.total) + kinds;
            mixed.iter_mut().for_each(|p| *p *= kinds / room);
            for &(id, count) in &seen.counts {
                mixed[id as usize] += f64::from(count) / room;
            }
        }
        mixed
    }
}

/// Up to seven ids as one number.
fn pack(ids: &[u8]) -> u64 {
    ids.iter().fold(0, |packed, &id| packed << 8 | u64::from(id))
}

impl LanguageModel for NGram {
    /// The logarithms of the probabilities: softmax gives them back.
    fn logits(&self, ids: &Tensor) -> Result<Tensor> {
        let (batch, time) = check_ids(ids)?;
        let flat = Vec::<i64>::try_from(ids.f_reshape([-1])?)?;
        if let Some(id) = flat.iter().find(|id| !(0..self.n_vocab).contains(id)) {
            return Err(Error::Shape {
                expected: format!("ids in 0..{}", self.n_vocab),
                got: id.to_string(),
                hint: "encode the text with the tokenizer of this vocabulary".to_owned(),
            });
        }
        let flat: Vec<u8> = flat.into_iter().map(|id| id as u8).collect();
        let mut logits = Vec::with_capacity(flat.len() * self.n_vocab as usize);
        for row in flat.chunks(time.max(1) as usize) {
            for end in 1..=row.len() {
                let context = &row[end.saturating_sub(self.n.saturating_sub(1))..end];
                logits.extend(self.probabilities(context).into_iter().map(|p| p.ln() as f32));
            }
        }
        Ok(Tensor::f_from_slice(&logits)?.f_view([batch, time, self.n_vocab])?)
    }

    fn n_vocab(&self) -> i64 {
        self.n_vocab
    }

    fn context_len(&self) -> i64 {
        (self.n as i64 - 1).max(1)
    }

    fn device(&self) -> Device {
        Device::Cpu
    }
}

impl NGram {
    /// The probability of each character of `columns` after each one of `rows`.
    ///
    /// # Shapes
    /// R and K characters → (R, K)
    pub fn table(&self, rows: &[u8], columns: &[u8]) -> Tensor {
        let mut cells = Vec::with_capacity(rows.len() * columns.len());
        for &row in rows {
            let after = self.probabilities(&[row]);
            cells.extend(columns.iter().map(|&column| after[column as usize] as f32));
        }
        Tensor::from_slice(&cells).view([rows.len() as i64, columns.len() as i64]).to_kind(Kind::Float)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stories;
    use crate::tokenizer::CharTokenizer;

    fn counted(text: &str, n: usize) -> NGram {
        let tokens = Tokens::encode(&Stories::parse(text).unwrap(), &CharTokenizer::default()).unwrap();
        NGram::count(&tokens, n, 256).unwrap()
    }

    #[test]
    fn probabilities_are_witten_and_bells() {
        // "aab": a twice, b once; after a: a once, b once.
        let model = counted("aab", 2);
        let unigram_a = (2.0 + 2.0 / 256.0) / 5.0;
        let after_a = model.probabilities(b"a");
        assert!((after_a[b'a' as usize] - (1.0 + 2.0 * unigram_a) / 4.0).abs() < 1e-12);
        assert!((model.probabilities(b"")[b'a' as usize] - unigram_a).abs() < 1e-12);
    }

    #[test]
    fn counting_nothing_is_guessing() {
        let model = counted("once upon a time", 0);
        let logits = model.logits(&Tensor::from_slice(&[97_i64, 98]).unsqueeze(0)).unwrap();
        assert!((logits + 256_f64.ln()).abs().max().double_value(&[]) < 1e-6);
    }

    #[test]
    fn probabilities_sum_to_one_also_after_what_was_never_seen() {
        let model = counted("once upon a time", 4);
        for context in [&b""[..], b"o", b"on", b"onc", b"zzz", b"\xff", b"upo"] {
            let sum: f64 = model.probabilities(context).iter().sum();
            assert!((sum - 1.0).abs() < 1e-9, "{context:?}: {sum}");
        }
    }

    #[test]
    fn logits_are_the_logarithms_of_the_probabilities_at_each_place() {
        let model = counted("abcabd", 3);
        let logits = model.logits(&Tensor::from_slice(&[97_i64, 98]).unsqueeze(0)).unwrap();
        let expected = model.probabilities(b"ab");
        let got = Vec::<f64>::try_from(logits.get(0).get(1).exp().to_kind(Kind::Double)).unwrap();
        assert!(got.iter().zip(&expected).all(|(got, expected)| (got - expected).abs() < 1e-6));
        assert!(model.logits(&Tensor::from_slice(&[300_i64]).unsqueeze(0)).is_err());
    }
}
