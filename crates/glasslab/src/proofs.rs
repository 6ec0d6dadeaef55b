//! What a model can and cannot know, shown by trying to refute it.
//!
//! A model that sees one character gives the same scores after "Once" and after "zzze": [`other_prefixes`] tries
//! hundreds of texts with the same last character. A causal model can't know what comes: [`other_futures`]
//! replaces all that follows a place, and looks whether anything before changed.

use crate::error::{Error, Result};
use crate::model::LanguageModel;
use crate::rng::Rng;
use crate::stopping::Listening;
use crate::tokenizer::{CharTokenizer, visible};
use crate::trace::tiny;
use std::fmt;
use tch::{Kind, Tensor};

/// Texts that go through the model at once.
const BATCH: usize = 64;

/// How much a model's scores changed when a part of its text was replaced.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What was tried, in words.
    pub tried: String,
    /// The largest change of any score.
    pub largest: f64,
    /// The largest score, to compare with.
    pub scale: f64,
}

impl Change {
    /// Whether nothing changed, but for the last digit of what a float can hold.
    pub fn is_none(&self) -> bool {
        self.largest <= 1e-5 * self.scale.max(1.0)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { tried, largest, scale } = self;
        match self.is_none() {
            true => {
                write!(out, "{tried}: no score changed (at most by {}; scores go up to {scale:.1})", tiny(*largest, 0))
            }
            false => write!(out, "{tried}: scores changed by up to {largest:.2} (they go up to {scale:.1})"),
        }
    }
}

/// Replaces everything before a text's last character by random ones, once with each character of the vocabulary
/// right before it, and compares the scores after the last character.
///
/// # Errors
/// If the text has fewer than two known characters or more than the model can take, or the stop button is pressed.
pub fn other_prefixes(model: &impl LanguageModel, tokenizer: &CharTokenizer, text: &str) -> Result<Change> {
    let ids = two_or_more(tokenizer, text)?;
    let last = ids.len() - 1;
    let mut rng = Rng::new(0);
    let n_vocab = model.n_vocab();
    let other = |before: i64| {
        let mut other: Vec<i64> = (0..last).map(|_| rng.below(n_vocab as usize) as i64).collect();
        other[last - 1] = before;
        other.push(ids[last]);
        other
    };
    let others: Vec<Vec<i64>> = (0..n_vocab).map(other).collect();
    let tried = format!("{n_vocab} other texts before the same {}", visible(tokenizer.character(ids[last])?));
    compare(model, &ids, others.iter().map(|other| (other, last..last + 1)), tried)
}

/// For each place of a text, replaces everything after it by random characters, and compares the scores up to it.
///
/// # Errors
/// If the text has fewer than two known characters or more than the model can take, or the stop button is pressed.
pub fn other_futures(model: &impl LanguageModel, tokenizer: &CharTokenizer, text: &str) -> Result<Change> {
    let ids = two_or_more(tokenizer, text)?;
    let mut rng = Rng::new(0);
    let n_vocab = model.n_vocab() as usize;
    let other = |place: usize| {
        let random = (place + 1..ids.len()).map(|_| rng.below(n_vocab) as i64);
        [&ids[..=place], &random.collect::<Vec<_>>()].concat()
    };
    let others: Vec<Vec<i64>> = (0..ids.len() - 1).map(other).collect();
    let tried = format!("another future after each of {} characters", others.len());
    compare(model, &ids, others.iter().enumerate().map(|(place, other)| (other, 0..place + 1)), tried)
}

fn two_or_more(tokenizer: &CharTokenizer, text: &str) -> Result<Vec<i64>> {
    let ids = tokenizer.encode(text);
    match ids.len() {
        0 | 1 => Err(Error::Config(format!("give a text of at least two known characters, got {text:?}"))),
        _ => Ok(ids),
    }
}

/// The largest difference between the scores for `ids` and for other texts, at the places named for each.
fn compare<'a>(
    model: &impl LanguageModel,
    ids: &[i64],
    others: impl Iterator<Item = (&'a Vec<i64>, std::ops::Range<usize>)>,
    tried: String,
) -> Result<Change> {
    let _guard = tch::no_grad_guard();
    let mut change = Change { tried, largest: 0.0, scale: 0.0 };
    let others: Vec<_> = others.collect();
    let mut listening = Listening::new("texts were compared: compare them again, or a shorter one");
    for batch in others.chunks(BATCH) {
        listening.go_on()?;
        // The original goes through in the same batch, so that both are rounded alike.
        let rows: Vec<i64> = batch.iter().fold(ids.to_vec(), |rows, (other, _)| [rows, other.to_vec()].concat());
        let input = Tensor::f_from_slice(&rows)?.f_view([-1, ids.len() as i64])?.f_to_device(model.device())?;
        let logits = model.logits(&input)?; // (1 + B, T, V)
        let original = logits.f_get(0)?; // (T, V)
        change.scale = change.scale.max(original.f_abs()?.f_max()?.f_double_value(&[])?);
        for (row, (_, places)) in batch.iter().enumerate() {
            let part = |rows: &Tensor| rows.f_narrow(0, places.start as i64, places.len() as i64);
            let difference = part(&logits.f_get(row as i64 + 1)?)?.f_sub(&part(&original)?)?;
            let largest = difference.f_abs()?.f_max()?.f_to_kind(Kind::Double)?.f_double_value(&[])?;
            change.largest = if largest.is_nan() { f64::NAN } else { change.largest.max(largest) };
        }
    }
    Ok(change)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MlpConfig, MlpLm, Probe, TransformerConfig, TransformerLm, wake};
    use tch::Device;

    const TEXT: &str = "Once upon a time";

    fn transformer() -> TransformerLm {
        wake(TransformerLm::new(TransformerConfig::original(), Device::Cpu).unwrap(), 0.2)
    }

    #[test]
    fn the_mlp_knows_no_prefix_and_the_transformer_does() {
        let tokenizer = CharTokenizer::default();
        let mlp = MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap();
        let change = other_prefixes(&mlp, &tokenizer, TEXT).unwrap();
        assert!(change.is_none() && change.to_string().contains("no score changed"), "{change}");
        let none = Change { largest: 0.0, ..change };
        assert!(none.to_string().contains("(at most by 0; scores"), "{none}");
        let change = other_prefixes(&transformer(), &tokenizer, TEXT).unwrap();
        assert!(!change.is_none() && change.largest > 0.01, "{change}");
    }

    #[test]
    fn no_model_knows_the_future() {
        let change = other_futures(&transformer(), &CharTokenizer::default(), TEXT).unwrap();
        assert!(change.is_none(), "{change}");
    }

    #[test]
    fn a_model_without_the_mask_is_caught() {
        /// A transformer whose attention sees the future.
        struct Leaky(TransformerLm);
        struct NoMask(Option<Tensor>);
        impl Probe for NoMask {
            fn at(&mut self, name: impl fmt::Display, tensor: Tensor) -> Tensor {
                match name.to_string().rsplit('.').next() {
                    Some("scores") => self.0.insert(tensor).shallow_clone(),
                    Some("masked") => self.0.take().unwrap_or(tensor),
                    _ => tensor,
                }
            }
        }
        impl LanguageModel for Leaky {
            fn logits(&self, ids: &Tensor) -> Result<Tensor> {
                self.0.forward(ids, &mut NoMask(None))
            }
            fn n_vocab(&self) -> i64 {
                self.0.n_vocab()
            }
            fn context_len(&self) -> i64 {
                self.0.context_len()
            }
            fn device(&self) -> Device {
                self.0.device()
            }
        }
        let change = other_futures(&Leaky(transformer()), &CharTokenizer::default(), TEXT).unwrap();
        assert!(!change.is_none(), "{change}");
    }

    #[test]
    fn a_text_too_short_to_have_a_prefix_is_an_error() {
        let (model, tokenizer) = (transformer(), CharTokenizer::default());
        for text in ["", "a", "🦀a"] {
            assert!(other_prefixes(&model, &tokenizer, text).is_err());
            assert!(other_futures(&model, &tokenizer, text).is_err());
        }
        assert!(other_futures(&model, &tokenizer, &"a".repeat(101)).unwrap_err().to_string().contains("T ≤ 100"));
    }
}
