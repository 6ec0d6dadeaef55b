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
use std::hash::{Hash, Hasher};
use tch::{Device, Kind, Tensor};

/// What followed one context.
#[derive(Debug, Clone, Default)]
struct Followers {
    total: u32,
    /// The most frequent ones first: with many ids, the search for one would else be long.
    counts: Vec<(u32, u32)>,
}

impl Followers {
    fn add(&mut self, id: u32) {
        self.total += 1;
        match self.counts.iter().position(|(known, _)| *known == id) {
            Some(place) => {
                self.counts[place].1 += 1;
                if place > 0 && self.counts[place - 1].1 < self.counts[place].1 {
                    self.counts.swap(place - 1, place);
                }
            }
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
    levels: Vec<HashMap<Context, Followers>>,
}

impl NGram {
    /// Counts the n-grams of stories: `n` = 1 counts characters, 2 pairs, 3 triples, …; 0 counts nothing and
    /// gives every character the same probability.
    ///
    /// # Errors
    /// If `n` is not in 0..=8, `n_vocab` is more than 262,144, a token is none of those, or the stop button is pressed.
    pub fn count(tokens: &Tokens, n: usize, n_vocab: i64) -> Result<NGram> {
        if !(0..=8).contains(&n) {
            return Err(Error::Config(format!("n must be in 0..=8, got {n}")));
        }
        if n_vocab > MOST_IDS {
            return Err(Error::Config(format!(
                "n-grams are counted of {MOST_IDS} different tokens at most, got n_vocab = {n_vocab}: give a tokenizer of \
                 fewer ids"
            )));
        }
        let mut levels = vec![HashMap::<Context, Followers>::new(); n];
        let mut listening = Listening::new("n-grams were counted: count them again");
        for story in tokens.stories() {
            let story = narrowed(story.iter(), n_vocab)?;
            for (place, &id) in story.iter().enumerate() {
                if place.is_multiple_of(256) {
                    listening.go_on()?;
                }
                for (length, level) in levels.iter_mut().enumerate().take(place + 1) {
                    level.entry(Context::of(&story[place - length..place], n_vocab)).or_default().add(id);
                }
            }
        }
        Ok(NGram { n, n_vocab, levels })
    }

    /// The probability of each character after a context.
    ///
    /// # Shapes
    /// any number of ids → V probabilities that sum to 1
    ///
    /// # Errors
    /// If an id is not in `0..n_vocab`.
    pub fn probabilities(&self, context: &[i64]) -> Result<Vec<f64>> {
        Ok(self.after(&narrowed(context.iter().copied(), self.n_vocab)?))
    }

    fn after(&self, context: &[u32]) -> Vec<f64> {
        let mut mixed = vec![1.0 / self.n_vocab as f64; self.n_vocab as usize];
        for length in 0..self.n.min(context.len() + 1) {
            let context = Context::of(&context[context.len() - length..], self.n_vocab);
            let Some(seen) = self.levels[length].get(&context) else { break };
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

/// Of so many ids, seven fit in [`Context`].
const MOST_IDS: i64 = 1 << 18;

/// Up to seven ids as one number: 8 bits each where that is enough, or 16, else 18.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Context(u128);

impl Context {
    fn of(ids: &[u32], n_vocab: i64) -> Context {
        let bits = match n_vocab {
            ..=0x100 => 8,
            0x101..=0x1_0000 => 16,
            _ => 18,
        };
        Context(ids.iter().fold(0, |packed, &id| packed << bits | u128::from(id)))
    }
}

impl Hash for Context {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Most are short, and a half takes half the time.
        state.write_u64(self.0 as u64);
        let high = (self.0 >> 64) as u64;
        if high != 0 {
            state.write_u64(high);
        }
    }
}

/// Ids below `n_vocab`, four bytes each.
fn narrowed(ids: impl Iterator<Item = i64>, n_vocab: i64) -> Result<Vec<u32>> {
    let narrow = |id: i64| u32::try_from(id).ok().filter(|_| id < n_vocab);
    ids.map(|id| {
        narrow(id).ok_or_else(|| Error::Shape {
            expected: format!("ids in 0..{n_vocab}"),
            got: id.to_string(),
            hint: "encode the text with the tokenizer of this vocabulary".to_owned(),
        })
    })
    .collect()
}

impl LanguageModel for NGram {
    /// The logarithms of the probabilities: softmax gives them back.
    fn logits(&self, ids: &Tensor) -> Result<Tensor> {
        let (batch, time) = check_ids(ids)?;
        let flat = Vec::<i64>::try_from(ids.f_reshape([-1])?)?;
        let flat = narrowed(flat.into_iter(), self.n_vocab)?;
        let mut logits = Vec::with_capacity(flat.len() * self.n_vocab as usize);
        for row in flat.chunks(time.max(1) as usize) {
            for end in 1..=row.len() {
                let context = &row[end.saturating_sub(self.n.saturating_sub(1))..end];
                logits.extend(self.after(context).into_iter().map(|p| p.ln() as f32));
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
    /// R and K ids → (R, K)
    pub fn table(&self, rows: &[u8], columns: &[u8]) -> Tensor {
        let mut cells = Vec::with_capacity(rows.len() * columns.len());
        for &row in rows {
            let after = self.after(&[u32::from(row)]);
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

    fn after(model: &NGram, context: &str) -> Vec<f64> {
        model.probabilities(&CharTokenizer::default().encode(context)).unwrap()
    }

    #[test]
    fn contexts_of_large_ids_are_told_apart() {
        // Alike in their lowest bytes (of the last three: in their lowest two), and in the last four of seven.
        let texts = [
            (2000, "ЀЁЂЃЄЅІx<|endoftext|>ԀЁЂЃЄЅІy<|endoftext|>ЀԁЂЃЄЅІz"),
            (MOST_IDS, "🦀ЁЂЃЄЅІx<|endoftext|>\u{f980}ЁЂЃЄЅІy<|endoftext|>🦀\u{20401}ЂЃЄЅІz"),
        ];
        for (n_vocab, text) in texts {
            let tokenizer = CharTokenizer { n_vocab };
            let tokens = Tokens::encode(&Stories::parse(text).unwrap(), &tokenizer).unwrap();
            let model = NGram::count(&tokens, 8, n_vocab).unwrap();
            for story in text.split("<|endoftext|>") {
                let ids = tokenizer.encode(story);
                let after = model.probabilities(&ids[..7]).unwrap();
                let best = (0..after.len()).max_by(|&a, &b| after[a].total_cmp(&after[b])).unwrap();
                assert_eq!(best as i64, ids[7], "{story}");
            }
            assert!(model.probabilities(&[n_vocab]).unwrap_err().to_string().contains(&format!("0..{n_vocab}")));
            assert!(NGram::count(&tokens, 2, 256).unwrap_err().to_string().contains("0..256"));
            assert!(NGram::count(&tokens, 2, MOST_IDS + 1).unwrap_err().to_string().contains("262144"));
        }
    }

    #[test]
    fn probabilities_are_witten_and_bells() {
        // "aab": a twice, b once; after a: a once, b once.
        let model = counted("aab", 2);
        let unigram_a = (2.0 + 2.0 / 256.0) / 5.0;
        let probabilities = |context: &str| after(&model, context);
        let after_a = probabilities("a");
        assert!((after_a[b'a' as usize] - (1.0 + 2.0 * unigram_a) / 4.0).abs() < 1e-12);
        assert!((probabilities("")[b'a' as usize] - unigram_a).abs() < 1e-12);
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
        for context in ["", "o", "on", "onc", "zzz", "ÿ", "upo"] {
            let sum: f64 = after(&model, context).iter().sum();
            assert!((sum - 1.0).abs() < 1e-9, "{context:?}: {sum}");
        }
    }

    #[test]
    fn logits_are_the_logarithms_of_the_probabilities_at_each_place() {
        let model = counted("abcabd", 3);
        let logits = model.logits(&Tensor::from_slice(&[97_i64, 98]).unsqueeze(0)).unwrap();
        let expected = after(&model, "ab");
        let got = Vec::<f64>::try_from(logits.get(0).get(1).exp().to_kind(Kind::Double)).unwrap();
        assert!(got.iter().zip(&expected).all(|(got, expected)| (got - expected).abs() < 1e-6));
        assert!(model.logits(&Tensor::from_slice(&[300_i64]).unsqueeze(0)).is_err());
    }
}
