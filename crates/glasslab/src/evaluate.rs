//! How well a model predicts text that it has never seen.
//!
//! The loss is −ln of the probability that the model gave to the character that really came,
//! averaged: nats per character. Guessing among 256 characters costs ln 256 = 5.545; knowing the
//! text by heart costs 0. Every token of a story but its first is measured, for every model
//! the same ones.
//!
//! Where tokens are longer than characters, a loss per token says little: a longer one is harder to guess. So a loss is
//! always divided by the characters that begin in the tokens measured, and can be by their bytes: in these units all
//! tokenizers compare.

mod ladder;

pub use ladder::{Ladder, Rung};

use crate::data::Tokens;
use crate::error::{Error, Result};
use crate::memory::keep_freed;
use crate::model::LanguageModel;
use crate::stopping::Listening;
use crate::waiting::Waiting;
use std::fmt;
use tch::{Kind, Tensor};

/// Tokens in one row of a batch, if the model can take so many.
const ROW: usize = 256;
/// Rows in one batch, more if they are shorter.
const ROWS: usize = 16;
/// The most scores in one batch, unless a single row has more: 16 MB. With 256 ids, 16 rows of 256 have a quarter of it.
const SCORES: usize = 1 << 22;

/// A measured loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// −ln of the probability of what came, in nats per character.
    pub nats_per_char: f64,
    /// How many characters were predicted: those that begin in the tokens that were.
    pub chars: usize,
    /// How many tokens were predicted: as many, if they are characters.
    pub tokens: usize,
    /// How many bytes of text these tokens are.
    pub bytes: usize,
}

impl Evaluation {
    /// The loss in bits: what a perfect compressor with this model would need for a character.
    pub fn bits_per_char(&self) -> f64 {
        self.nats_per_char / std::f64::consts::LN_2
    }

    /// The loss over characters of one byte that are tokens themselves.
    pub(crate) fn of_chars(nats_per_char: f64, chars: usize) -> Evaluation {
        Evaluation { nats_per_char, chars, tokens: chars, bytes: chars }
    }

    /// The loss per token: what training makes smaller. It can be compared only where the tokens are the same.
    pub fn nats_per_token(&self) -> f64 {
        self.nats_per_char * (self.chars as f64 / self.tokens as f64)
    }

    /// The loss per byte of text, in UTF-8.
    pub fn nats_per_byte(&self) -> f64 {
        self.nats_per_char * (self.chars as f64 / self.bytes as f64)
    }

    /// Whether guessing among `n_vocab` ids would predict the text better.
    pub fn is_worse_than_guessing(&self, n_vocab: i64) -> bool {
        is_worse_than_guessing(self.nats_per_token(), (n_vocab as f64).ln())
    }

    /// Among how many equally likely characters the model in effect hesitates.
    pub fn perplexity(&self) -> f64 {
        self.nats_per_char.exp()
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nats, bits, perplexity) = (self.nats_per_char, self.bits_per_char(), self.perplexity());
        let Evaluation { chars, tokens, bytes, .. } = *self;
        write!(out, "{nats:.4} nats/char = {bits:.4} bits/char (perplexity {perplexity:.2}) over {chars} characters")?;
        if bytes != chars {
            write!(out, "; {:.4} nats/byte over {bytes} bytes", self.nats_per_byte())?;
        }
        if tokens != chars {
            write!(out, "; {:.4} nats/token over {tokens} tokens", self.nats_per_token())?;
        }
        Ok(())
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

/// Measures a model on about the first `count` tokens of a text.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_some(model: &(impl LanguageModel + ?Sized), tokens: &Tokens, count: usize) -> Result<Evaluation> {
    let mut listening = Listening::new("a model was measured: there is no loss yet");
    let evaluation = measure(model, tokens, count, || listening.go_on())?;
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
    most: usize,
    mut go_on: impl FnMut() -> Result<()>,
) -> Result<Evaluation> {
    let _guard = tch::no_grad_guard();
    keep_freed();
    let _waiting = Waiting::by_load();
    let length = model.max_len().map_or(ROW, |length| ROW.min(length as usize));
    let rows_of_a_batch = (SCORES / (length * model.n_vocab() as usize)).clamp(1, ROWS * ROW / length);
    let (mut nats, mut count, mut chars, mut bytes) = (0.0, 0, 0, 0);
    // Each row but a story's first begins with tokens that its first new prediction may depend on: all of them for a short
    // context, half a row for a long one.
    let overlap = (model.context_len() as usize - 1).min(length / 2);
    let mut waiting = [0, overlap].map(|known| Rows::new(length, known));
    for story in tokens.stories() {
        let mut done = 0; // how many of the story's predictions are in a row
        while done + 1 < story.len() && count < most {
            go_on()?;
            let first = done.saturating_sub(overlap);
            let piece = story.part(first..story.len().min(first + length + 1)).to_vec();
            let rows = &mut waiting[usize::from(done > 0)];
            rows.push(&piece);
            for &id in &piece[done - first + 1..] {
                let size = tokens.size_of(id);
                (count, chars, bytes) = (count + 1, chars + size.0 as usize, bytes + size.1 as usize);
            }
            done = first + piece.len() - 1;
            if rows.len == rows_of_a_batch {
                nats += rows.nats(model)?;
                *rows = Rows::new(length, rows.known);
            }
        }
    }
    for rows in waiting.iter().filter(|rows| rows.len > 0) {
        nats += rows.nats(model)?;
    }
    if chars == 0 {
        return Err(Error::Data("no story has two characters, so there is nothing to predict".to_owned()));
    }
    Ok(Evaluation { nats_per_char: nats / chars as f64, chars, tokens: count, bytes })
}

/// Fails where [`evaluate`] would have nothing to measure, or could not: told before hours of training, not after.
pub(crate) fn check_held_out(model: &(impl LanguageModel + ?Sized), tokens: &Tokens) -> Result<()> {
    if !tokens.stories().any(|story| story.len() > 1) {
        return Err(Error::Data(
            "no held-out story has two characters, so there is nothing to measure: give a longer held-out text"
                .to_owned(),
        ));
    }
    match tokens.ids.all().iter().max() {
        Some(id) if id >= model.n_vocab() => Err(Error::Data(format!(
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
    /// The first `known` predictions of each were measured before.
    known: usize,
    /// (B, T)
    inputs: Vec<i64>,
    /// (B, T − known)
    targets: Vec<i64>,
    /// Whether a target is padding: (B, T − known)
    outside: Vec<bool>,
    len: usize,
    /// How many places the longest piece has.
    longest: usize,
}

impl Rows {
    fn new(length: usize, known: usize) -> Rows {
        Rows { length, known, inputs: Vec::new(), targets: Vec::new(), outside: Vec::new(), len: 0, longest: 0 }
    }

    fn push(&mut self, piece: &[i64]) {
        for place in 0..self.length {
            let inside = place + 1 < piece.len();
            self.inputs.push(if inside { piece[place] } else { 0 });
            if place >= self.known {
                self.targets.push(if inside { piece[place + 1] } else { 0 });
                self.outside.push(!inside);
            }
        }
        self.len += 1;
        self.longest = self.longest.max(piece.len() - 1);
    }

    fn nats(&self, model: &(impl LanguageModel + ?Sized)) -> Result<f64> {
        // No further than the longest piece: stories may be short.
        let (known, longest) = (self.known as i64, self.longest as i64);
        let part = |all: Tensor, places: i64| -> Result<Tensor> {
            Ok(all.f_view([self.len as i64, -1])?.f_narrow(1, 0, places)?.f_to_device(model.device())?)
        };
        let inputs = part(Tensor::f_from_slice(&self.inputs)?, longest)?; // (B, T)
        let log_probs = model.logits_from(&inputs, known)?.f_log_softmax(-1, Kind::Float)?; // (B, T − known, V)
        let targets = part(Tensor::f_from_slice(&self.targets)?, longest - known)?.f_to_device(log_probs.device())?;
        let chosen = log_probs.f_gather(-1, &targets.f_unsqueeze(-1)?, false)?.f_squeeze_dim(-1)?; // (B, T − known)
        let outside = part(Tensor::f_from_slice(&self.outside)?, longest - known)?.f_to_device(chosen.device())?;
        // Filled and not multiplied: ln 0 times 0 is NaN, and a model may give the padding's id no probability.
        Ok(-chosen.f_masked_fill(&outside, 0.0)?.f_sum(Kind::Double)?.f_double_value(&[])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, IdSlice, Stories};
    use crate::model::NGram;
    use crate::tokenizer::{BytePair, CharTokenizer, Tokenizer};

    fn tokens(text: &str) -> Tokens {
        Tokens::encode(&Stories::parse(text).unwrap(), &CharTokenizer::default()).unwrap()
    }

    #[test]
    fn the_loss_is_the_mean_of_minus_ln_p_whatever_the_rows() {
        let text = "the cat sat on the mat and the dog sat on the log. ".repeat(30) + "<|endoftext|>ab<|endoftext|>x";
        let tokens = tokens(&text);
        let model = NGram::count(&tokens, 4, 256).unwrap();
        let (mut nats, mut count) = (0.0, 0);
        for story in tokens.stories().map(IdSlice::to_vec) {
            for place in 1..story.len() {
                let after = model.probabilities(&story[place.saturating_sub(3)..place]).unwrap();
                nats -= after[story[place] as usize].ln();
                count += 1;
            }
        }
        let evaluation = evaluate(&model, &tokens).unwrap();
        assert_eq!(evaluation.chars, count);
        assert!((evaluation.nats_per_char - nats / f64::from(count as u32)).abs() < 1e-5, "{evaluation:?}");
    }

    #[test]
    fn what_was_measured_before_is_not_computed_again_where_a_model_can_leave_it_out() {
        /// Counts the places that are asked for.
        struct Counting(std::cell::Cell<i64>);
        impl LanguageModel for Counting {
            fn logits(&self, ids: &Tensor) -> Result<Tensor> {
                self.logits_from(ids, 0)
            }
            fn logits_from(&self, ids: &Tensor, first: i64) -> Result<Tensor> {
                let (batch, time) = ids.size2()?;
                self.0.set(self.0.get() + batch * (time - first));
                Ok(Tensor::zeros([batch, time - first, 256], (Kind::Float, tch::Device::Cpu)))
            }
            fn n_vocab(&self) -> i64 {
                256
            }
            fn context_len(&self) -> i64 {
                64
            }
            fn max_len(&self) -> Option<i64> {
                Some(64)
            }
            fn device(&self) -> tch::Device {
                tch::Device::Cpu
            }
        }
        let (model, tokens) = (Counting(Default::default()), tokens(&"a".repeat(64 + 5 * 32 + 1)));
        let evaluation = evaluate(&model, &tokens).unwrap();
        assert_eq!((evaluation.chars, model.0.get()), (64 + 5 * 32, 64 + 5 * 32), "each place once");
        assert!((evaluation.nats_per_char - 256_f64.ln()).abs() < 1e-6);
        model.0.set(0);
        let short = evaluate(&model, &self::tokens("abcdef<|endoftext|>abc")).unwrap();
        assert_eq!((short.chars, model.0.get()), (5 + 2, 2 * 5), "no further than the longest piece");
    }

    #[test]
    fn units_belong_together() {
        let evaluation = Evaluation::of_chars(256_f64.ln(), 1);
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

    /// Gives every one of so many ids the same probability.
    struct Uniform(i64);

    impl LanguageModel for Uniform {
        fn logits(&self, ids: &Tensor) -> Result<Tensor> {
            let (batch, time) = ids.size2()?;
            Ok(Tensor::zeros([batch, time, self.0], (Kind::Float, tch::Device::Cpu)))
        }
        fn n_vocab(&self) -> i64 {
            self.0
        }
        fn context_len(&self) -> i64 {
            1
        }
        fn device(&self) -> tch::Device {
            tch::Device::Cpu
        }
    }

    #[test]
    fn a_loss_per_character_and_per_byte_counts_what_the_tokens_stand_for() {
        let stories = Stories::parse("été été été 🦀<|endoftext|>un été").unwrap();
        let tokenizer = BytePair::train(&stories, 300).unwrap();
        let tokens = Tokens::encode(&stories, &tokenizer).unwrap();
        let (mut count, mut text) = (0, String::new());
        for story in tokens.stories().map(IdSlice::to_vec) {
            count += story.len() - 1;
            text += &tokenizer.decode(&story[1..]).unwrap();
        }
        let loss = evaluate(&Uniform(tokenizer.n_vocab()), &tokens).unwrap();
        assert_eq!((loss.tokens, loss.chars, loss.bytes), (count, text.chars().count(), text.len()));
        let guessing = (tokenizer.n_vocab() as f64).ln();
        assert!((loss.nats_per_token() - guessing).abs() < 1e-6, "{loss}");
        assert!((loss.nats_per_char * loss.chars as f64 - guessing * count as f64).abs() < 1e-4);
        assert!((loss.nats_per_byte() * loss.bytes as f64 - guessing * count as f64).abs() < 1e-4);
        assert!(!loss.is_worse_than_guessing(tokenizer.n_vocab()));
        let said = loss.to_string();
        assert!(said.contains("nats/char") && said.contains("nats/byte") && said.contains("nats/token"), "{said}");
        let said = Evaluation::of_chars(1.0, 9).to_string();
        assert!(!said.contains("nats/byte") && !said.contains("nats/token"), "{said}");
    }

    #[test]
    fn a_large_vocabulary_is_measured_in_small_batches_with_the_same_result() {
        let text = "the cat sat on the mat and the dog sat on the log. ".repeat(30);
        let tokens = tokens(&text);
        let (narrow, wide) = (evaluate(&Uniform(256), &tokens).unwrap(), evaluate(&Uniform(30_000), &tokens).unwrap());
        assert_eq!((narrow.chars, narrow.tokens), (wide.chars, text.trim().len() - 1));
        assert!((wide.nats_per_char - 30_000_f64.ln()).abs() < 1e-4, "{wide}");
    }

    #[test]
    fn counted_pairs_of_tokens_know_more_than_counted_pairs_of_characters() {
        let data = Dataset::embedded().unwrap();
        let loss = |tokenizer: &dyn Fn(&Stories) -> Tokens, n_vocab: i64| {
            let (train, held_out) = (tokenizer(&data.train), tokenizer(&data.held_out));
            evaluate(&NGram::count(&train, 2, n_vocab).unwrap(), &held_out).unwrap().nats_per_char
        };
        let pairs = BytePair::train(&data.train, 512).unwrap();
        let with_pairs = loss(&|stories| Tokens::encode(stories, &pairs).unwrap(), 512);
        let characters = CharTokenizer::default();
        let with_characters = loss(&|stories| Tokens::encode(stories, &characters).unwrap(), 256);
        assert!(with_pairs < 0.8 * with_characters, "{with_pairs} {with_characters}");
    }

    #[test]
    fn a_text_without_pairs_is_an_error() {
        let tokens = tokens("a<|endoftext|>b");
        let model = NGram::count(&tokens, 1, 256).unwrap();
        assert!(evaluate(&model, &tokens).is_err());
    }
}
