//! Writing: predict the next character, draw one, append it, and again.

use crate::error::{Error, Result};
use crate::model::LanguageModel;
use crate::rng::Rng;
use crate::tokenizer::CharTokenizer;
use tch::{Kind, Tensor};

/// How to write.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// How many characters to write.
    pub chars: usize,
    /// The scores are divided by it: below 1 the likely gets likelier, above 1 all get more alike,
    /// and 0 always takes the likeliest.
    pub temperature: f64,
    /// One seed gives one text.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Sampling {
        Sampling { chars: 100, temperature: 0.5, seed: 0 }
    }
}

/// Continues a prompt; returns the prompt and what was written.
///
/// Characters of the prompt that the model doesn't know are left out. Without any left, the model
/// is given a newline.
///
/// # Errors
/// If the temperature is negative or no number, or the model's scores are none.
pub fn generate(
    model: &impl LanguageModel,
    tokenizer: &CharTokenizer,
    prompt: &str,
    sampling: &Sampling,
) -> Result<String> {
    let _guard = tch::no_grad_guard();
    let Sampling { chars, temperature, seed } = *sampling;
    if !(temperature.is_finite() && temperature >= 0.0) {
        return Err(Error::Config(format!("temperature must be 0 or above, got {temperature}")));
    }
    let mut rng = Rng::new(seed);
    let mut ids = tokenizer.encode(prompt);
    let hidden_start = ids.is_empty();
    if hidden_start {
        ids.push(i64::from(u32::from('\n')));
    }
    for _ in 0..chars {
        let window = &ids[ids.len().saturating_sub(model.context_len() as usize)..];
        let input = Tensor::f_from_slice(window)?.f_unsqueeze(0)?.f_to_device(model.device())?; // (1, T)
        let last = model.logits(&input)?.f_select(1, -1)?.f_squeeze_dim(0)?; // (V)
        ids.push(draw(&Vec::<f64>::try_from(last.f_to_kind(Kind::Double)?)?, temperature, &mut rng)?);
    }
    tokenizer.decode(&ids[usize::from(hidden_start)..])
}

/// Draws an id with the probabilities softmax(`logits` / `temperature`).
fn draw(logits: &[f64], temperature: f64, rng: &mut Rng) -> Result<i64> {
    let Some((best, &highest)) = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)) else {
        return Err(Error::Config("the model has an empty vocabulary".to_owned()));
    };
    if !highest.is_finite() {
        return Err(Error::Config(format!(
            "the model's highest score is {highest}: it is not a trained model any more; train it again"
        )));
    }
    if temperature == 0.0 {
        return Ok(best as i64);
    }
    // Relative to the highest, no exponential can overflow.
    let weights: Vec<f64> = logits.iter().map(|logit| ((logit - highest) / temperature).exp()).collect();
    let mut left = rng.unit() * weights.iter().sum::<f64>();
    for (id, weight) in weights.iter().enumerate() {
        left -= weight;
        if left < 0.0 {
            return Ok(id as i64);
        }
    }
    Ok(best as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Stories, Tokens};
    use crate::model::NGram;

    fn model() -> NGram {
        let tokens = Tokens::encode(&Stories::parse(&"abcabd".repeat(50)).unwrap(), &CharTokenizer::default()).unwrap();
        NGram::count(&tokens, 3, 256).unwrap()
    }

    fn text(prompt: &str, sampling: Sampling) -> String {
        generate(&model(), &CharTokenizer::default(), prompt, &sampling).unwrap()
    }

    #[test]
    fn one_seed_gives_one_text() {
        let with = |seed| text("a", Sampling { chars: 60, temperature: 1.0, seed });
        assert_eq!(with(1), with(1));
        assert_ne!(with(1), with(2));
    }

    #[test]
    fn temperature_zero_takes_the_likeliest() {
        assert_eq!(text("ab", Sampling { chars: 0, ..Sampling::default() }), "ab");
        assert!(text("a", Sampling { chars: 1, temperature: 0.0, seed: 9 }).ends_with('b'));
    }

    #[test]
    fn draws_follow_the_probabilities() {
        let logits = [0.1_f64.ln(), 0.2_f64.ln(), 0.7_f64.ln()];
        let mut rng = Rng::new(5);
        let mut counts = [0.0_f64; 3];
        for _ in 0..20_000 {
            counts[draw(&logits, 1.0, &mut rng).unwrap() as usize] += 1.0 / 20_000.0;
        }
        for (count, expected) in counts.iter().zip([0.1, 0.2, 0.7]) {
            assert!((count - expected).abs() < 0.02, "{counts:?}");
        }
    }

    #[test]
    fn any_prompt_is_taken() {
        for prompt in ["", "🦀", "a🦀b", "abcabdabcabdabc"] {
            let known: String = prompt.chars().filter(|character| CharTokenizer::default().knows(*character)).collect();
            let written = text(prompt, Sampling { chars: 5, ..Sampling::default() });
            assert!(written.starts_with(&known), "{written}");
            assert_eq!(written.chars().count(), known.chars().count() + 5);
        }
    }

    #[test]
    fn a_temperature_out_of_range_is_an_error() {
        for temperature in [-1.0, f64::NAN, f64::INFINITY] {
            let sampling = Sampling { temperature, ..Sampling::default() };
            assert!(generate(&model(), &CharTokenizer::default(), "a", &sampling).is_err());
        }
        assert!(draw(&[f64::NAN, 1.0], 1.0, &mut Rng::new(0)).is_err());
        assert!(draw(&[], 1.0, &mut Rng::new(0)).is_err());
    }
}
