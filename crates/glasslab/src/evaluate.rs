//! How well a model predicts text that it has never seen.
//!
//! The loss is −ln of the probability that the model gave to the character that really came,
//! averaged: nats per character. Guessing among 256 characters costs ln 256 = 5.545; knowing the
//! text by heart costs 0. Every character of a story but its first is measured, for every model
//! the same ones.

mod ladder;

pub use ladder::{Ladder, Rung};

use crate::data::Tokens;
use crate::error::{Error, Result};
use crate::memory::keep_freed;
use crate::model::LanguageModel;
use crate::stopping::Listening;
use crate::waiting::Waiting;
use tch::{Kind, Tensor};

/// Characters in one row of a batch, if the model can take so many.
const ROW: usize = 256;
/// Rows in one batch, more if they are shorter: 16 × 256 characters of 256 scores are 4 MB.
const ROWS: usize = 16;

/// A measured loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// −ln of the probability of what came, averaged.
    pub nats_per_char: f64,
    /// How many characters were predicted.
    pub chars: usize,
}

impl Evaluation {
    /// The loss in bits: what a perfect compressor with this model would need for a character.
    pub fn bits_per_char(&self) -> f64 {
        self.nats_per_char / std::f64::consts::LN_2
    }

    /// The same loss over so many characters, where what was predicted were tokens of several: the characters that
    /// [`Tokens::predicted_chars`] counts, when all of a text was measured. Only so can tokenizers be compared.
    pub fn per_char(&self, chars: usize) -> Evaluation {
        Evaluation { nats_per_char: self.nats_per_char * self.chars as f64 / chars as f64, chars }
    }

    /// Whether guessing among `n_vocab` ids would predict the text better.
    pub fn is_worse_than_guessing(&self, n_vocab: i64) -> bool {
        is_worse_than_guessing(self.nats_per_char, (n_vocab as f64).ln())
    }

    /// Among how many equally likely characters the model in effect hesitates.
    pub fn perplexity(&self) -> f64 {
        self.nats_per_char.exp()
    }
}

/// Whether a loss is worse than that of guessing among all ids, ln V; both in nats.
pub(crate) fn is_worse_than_guessing(loss: f64, guessing: f64) -> bool {
    // A model that has hardly begun guesses, with a little noise.
    loss > guessing + 0.005
}

/// Measures a model on all of a text.
///
/// # Errors
/// If no story has two characters, the model can't take the ids, its scores are NaN, or the stop button is pressed.
pub fn evaluate(model: &(impl LanguageModel + ?Sized), tokens: &Tokens) -> Result<Evaluation> {
    evaluate_some(model, tokens, usize::MAX)
}

/// Measures a model on about the first `chars` characters of a text.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_some(model: &(impl LanguageModel + ?Sized), tokens: &Tokens, chars: usize) -> Result<Evaluation> {
    let mut listening = Listening::new("a model was measured: there is no loss yet");
    let evaluation = measure(model, tokens, chars, || listening.go_on())?;
    match evaluation.nats_per_char.is_nan() {
        true => Err(Error::Data(
            "the model's scores are NaN: it is not a trained model any more; train it again".to_owned(),
        )),
        false => Ok(evaluation),
    }
}

/// As [`evaluate_some`], asking `go_on` before each row; NaN where the scores are.
pub(crate) fn measure(
    model: &(impl LanguageModel + ?Sized),
    tokens: &Tokens,
    chars: usize,
    mut go_on: impl FnMut() -> Result<()>,
) -> Result<Evaluation> {
    let _guard = tch::no_grad_guard();
    keep_freed();
    let _waiting = Waiting::by_load();
    let length = model.max_len().map_or(ROW, |length| ROW.min(length as usize));
    let mut rows = Rows::new(length);
    let (mut nats, mut count) = (0.0, 0);
    // Each row begins with characters that its first new prediction may depend on: all of them for a short
    // context, half a row for a long one.
    let overlap = (model.context_len() as usize - 1).min(length / 2);
    for story in tokens.stories() {
        let mut done = 0; // how many of the story's predictions are in a row
        while done + 1 < story.len() && count + rows.chars < chars {
            go_on()?;
            let first = done.saturating_sub(overlap);
            let piece = &story[first..story.len().min(first + length + 1)];
            rows.push(piece, done - first);
            done = first + piece.len() - 1;
            if rows.len == ROWS * ROW / length {
                (nats, count) = (nats + rows.nats(model)?, count + rows.chars);
                rows = Rows::new(length);
            }
        }
    }
    if rows.len > 0 {
        (nats, count) = (nats + rows.nats(model)?, count + rows.chars);
    }
    if count == 0 {
        return Err(Error::Data("no story has two characters, so there is nothing to predict".to_owned()));
    }
    Ok(Evaluation { nats_per_char: nats / count as f64, chars: count })
}

/// Fails where [`evaluate`] would have nothing to measure, or could not: told before hours of training, not after.
pub(crate) fn check_held_out(model: &(impl LanguageModel + ?Sized), tokens: &Tokens) -> Result<()> {
    if !tokens.stories().any(|story| story.len() > 1) {
        return Err(Error::Data(
            "no held-out story has two characters, so there is nothing to measure: give a longer held-out text"
                .to_owned(),
        ));
    }
    match tokens.ids.iter().max() {
        Some(&id) if i64::from(id) >= model.n_vocab() => Err(Error::Data(format!(
            "the held-out text has the id {id}, but the model's n_vocab is {}: was it encoded with the model's tokenizer?",
            model.n_vocab()
        ))),
        _ => Ok(()),
    }
}

/// Pieces of stories, padded to one length. A causal model's predictions don't depend on the
/// padding behind them, and those for the padding don't count.
struct Rows {
    length: usize,
    inputs: Vec<i64>,
    targets: Vec<i64>,
    /// Whether a place is none that counts.
    outside: Vec<bool>,
    len: usize,
    chars: usize,
}

impl Rows {
    fn new(length: usize) -> Rows {
        Rows { length, inputs: Vec::new(), targets: Vec::new(), outside: Vec::new(), len: 0, chars: 0 }
    }

    /// A piece of which the first `known` predictions were measured before.
    fn push(&mut self, piece: &[u8], known: usize) {
        for place in 0..self.length {
            let inside = place + 1 < piece.len();
            self.inputs.push(if inside { i64::from(piece[place]) } else { 0 });
            self.targets.push(if inside { i64::from(piece[place + 1]) } else { 0 });
            self.outside.push(!inside || place < known);
        }
        self.len += 1;
        self.chars += piece.len() - 1 - known;
    }

    fn nats(&self, model: &(impl LanguageModel + ?Sized)) -> Result<f64> {
        let shape = [self.len as i64, self.length as i64];
        let inputs = Tensor::f_from_slice(&self.inputs)?.f_view(shape)?.f_to_device(model.device())?;
        let log_probs = model.logits(&inputs)?.f_log_softmax(-1, Kind::Float)?; // (B, T, V)
        let targets = Tensor::f_from_slice(&self.targets)?.f_view(shape)?.f_to_device(log_probs.device())?;
        let chosen = log_probs.f_gather(-1, &targets.f_unsqueeze(-1)?, false)?.f_squeeze_dim(-1)?; // (B, T)
        let outside = Tensor::f_from_slice(&self.outside)?.f_view(shape)?.f_to_device(chosen.device())?;
        // Filled and not multiplied: ln 0 times 0 is NaN, and a model may give the padding's id no probability.
        Ok(-chosen.f_masked_fill(&outside, 0.0)?.f_sum(Kind::Double)?.f_double_value(&[])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stories;
    use crate::model::NGram;
    use crate::tokenizer::CharTokenizer;

    fn tokens(text: &str) -> Tokens {
        Tokens::encode(&Stories::parse(text).unwrap(), &CharTokenizer::default()).unwrap()
    }

    #[test]
    fn the_loss_is_the_mean_of_minus_ln_p_whatever_the_rows() {
        let text = "the cat sat on the mat and the dog sat on the log. ".repeat(30) + "<|endoftext|>ab<|endoftext|>x";
        let tokens = tokens(&text);
        let model = NGram::count(&tokens, 4, 256).unwrap();
        let (mut nats, mut count) = (0.0, 0);
        for story in tokens.stories() {
            for place in 1..story.len() {
                nats -= model.probabilities(&story[place.saturating_sub(3)..place])[story[place] as usize].ln();
                count += 1;
            }
        }
        let evaluation = evaluate(&model, &tokens).unwrap();
        assert_eq!(evaluation.chars, count);
        assert!((evaluation.nats_per_char - nats / f64::from(count as u32)).abs() < 1e-5, "{evaluation:?}");
    }

    #[test]
    fn units_belong_together() {
        let evaluation = Evaluation { nats_per_char: 256_f64.ln(), chars: 1 };
        assert!((evaluation.bits_per_char() - 8.0).abs() < 1e-12);
        assert!((evaluation.perplexity() - 256.0).abs() < 1e-9);
    }

    #[test]
    fn an_id_of_probability_0_spoils_only_its_own_predictions() {
        /// Id 0 never; all others alike.
        struct Never;
        impl LanguageModel for Never {
            fn logits(&self, ids: &Tensor) -> Result<Tensor> {
                let (batch, time) = ids.size2()?;
                let logits = Tensor::zeros([batch, time, 256], (Kind::Float, tch::Device::Cpu));
                let _ = logits.select(-1, 0).fill_(f64::NEG_INFINITY);
                Ok(logits)
            }
            fn n_vocab(&self) -> i64 {
                256
            }
            fn context_len(&self) -> i64 {
                1
            }
            fn device(&self) -> tch::Device {
                tch::Device::Cpu
            }
        }
        let loss = evaluate(&Never, &tokens("abc<|endoftext|>de")).unwrap();
        assert!((loss.nats_per_char - 255_f64.ln()).abs() < 1e-6 && loss.chars == 3, "{loss:?}");
        assert_eq!(evaluate(&Never, &tokens("a\0b")).unwrap().nats_per_char, f64::INFINITY);
    }

    #[test]
    fn a_model_that_is_none_any_more_is_an_error() {
        struct Broken;
        impl LanguageModel for Broken {
            fn logits(&self, ids: &Tensor) -> Result<Tensor> {
                let (batch, time) = ids.size2()?;
                Ok(Tensor::full([batch, time, 256], f64::NAN, (Kind::Float, tch::Device::Cpu)))
            }
            fn n_vocab(&self) -> i64 {
                256
            }
            fn context_len(&self) -> i64 {
                1
            }
            fn device(&self) -> tch::Device {
                tch::Device::Cpu
            }
        }
        assert!(evaluate(&Broken, &tokens("abc")).unwrap_err().to_string().contains("NaN"));
    }

    #[test]
    fn a_text_without_pairs_is_an_error() {
        let tokens = tokens("a<|endoftext|>b");
        let model = NGram::count(&tokens, 1, 256).unwrap();
        assert!(evaluate(&model, &tokens).is_err());
    }
}
