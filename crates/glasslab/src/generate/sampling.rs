//! Choosing the next character from a model's scores.

use crate::error::{Error, Result};
use crate::rng::Rng;
use crate::tokenizer::Tokenizer;
use tch::{Kind, Tensor};

/// How to write.
#[derive(Debug, Clone, PartialEq)]
pub struct Sampling {
    /// How many characters to write, at most.
    pub chars: usize,
    /// The scores are divided by it: below 1 the likely gets likelier, above 1 all get more alike,
    /// and 0 always takes the likeliest.
    pub temperature: f64,
    /// Draw among so many of the likeliest characters only (Fan et al. 2018).
    pub top_k: Option<usize>,
    /// Draw among the fewest of the likeliest that together have this probability (Holtzman et al. 2020).
    pub top_p: Option<f64>,
    /// End when this has been written.
    pub stop: Option<String>,
    /// One seed gives one text.
    pub seed: u64,
    /// Whether to keep keys and values instead of computing them anew for each character: the same text, sooner.
    pub cached: bool,
}

impl Default for Sampling {
    fn default() -> Sampling {
        Sampling { chars: 100, temperature: 0.5, top_k: None, top_p: None, stop: None, seed: 0, cached: true }
    }
}

impl Sampling {
    /// Always the likeliest character.
    pub fn greedy() -> Sampling {
        Sampling { temperature: 0.0, ..Sampling::default() }
    }

    /// Checks the settings: [`generate`](crate::generate::generate) does, and who shows a prompt first should before.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn check(&self, tokenizer: &(impl Tokenizer + ?Sized)) -> Result<()> {
        let Sampling { temperature, top_k, top_p, ref stop, .. } = *self;
        if !(temperature.is_finite() && temperature >= 0.0) {
            return Err(Error::Config(format!("temperature must be 0 or above, got {temperature}")));
        }
        if top_k == Some(0) {
            return Err(Error::Config("top_k must be at least 1; None draws among all characters".to_owned()));
        }
        if let Some(p) = top_p.filter(|p| !(*p > 0.0 && *p <= 1.0)) {
            return Err(Error::Config(format!("top_p is a probability above 0, at most 1, got {p}")));
        }
        if let Some(stop) = stop.as_ref().filter(|stop| stop.is_empty() || !stop.chars().all(|c| tokenizer.knows(c))) {
            return Err(Error::Config(format!(
                "the stop text must be one or more characters that the model knows, got {stop:?}"
            )));
        }
        Ok(())
    }

    /// What each character is drawn with: exp(logit / temperature), relative to the likeliest's, so that no exponential
    /// can overflow. At temperature 0 only their order counts.
    ///
    /// # Shapes
    /// `logits`: (B, V) → B · V weights
    ///
    /// # Errors
    /// If there is no score.
    pub(super) fn weigh(&self, logits: &Tensor) -> Result<Vec<f64>> {
        let n_vocab = logits.size().last().map_or(1, |&size| size.max(1) as usize);
        let flat = logits.f_contiguous()?.f_view([-1])?;
        let mut weights = match logits.kind() {
            Kind::Float => Vec::<f32>::try_from(flat)?.into_iter().map(f64::from).collect(),
            _ => Vec::<f64>::try_from(flat.f_to_kind(Kind::Double)?)?,
        };
        if self.temperature > 0.0 {
            for text in weights.chunks_exact_mut(n_vocab) {
                // Which no number is, if one is none.
                let most = text
                    .iter()
                    .copied()
                    .fold(f64::NEG_INFINITY, |most, logit| if logit <= most { most } else { logit });
                text.iter_mut().for_each(|weight| *weight = ((*weight - most) / self.temperature).exp());
            }
        }
        Ok(weights)
    }

    /// Draws an id by its weight, among those that top-k and top-p leave.
    ///
    /// # Shapes
    /// `weights`: V of them → an id in `0..V`
    ///
    /// # Errors
    /// If there is no weight, or the highest is no number.
    pub(super) fn draw(&self, weights: &[f64], rng: &mut Rng) -> Result<i64> {
        let Some((best, highest)) = likeliest(weights) else {
            return Err(Error::Config("the model has an empty vocabulary".to_owned()));
        };
        if !highest.is_finite() {
            return Err(Error::Config(format!(
                "the model's highest score is {highest}: it is not a trained model any more; train it again"
            )));
        }
        if self.temperature == 0.0 {
            return Ok(best as i64);
        }
        let mut weights: Vec<(usize, f64)> = weights.iter().copied().enumerate().collect();
        if self.top_k.is_some() || self.top_p.is_some() {
            self.keep_likeliest(&mut weights);
        }
        let drawn = rng.draw_weighted(weights.iter().map(|(_, weight)| *weight));
        Ok(drawn.map_or(best, |place| weights[place].0) as i64)
    }

    fn keep_likeliest(&self, weights: &mut Vec<(usize, f64)>) {
        // A stable sort: among equals, the smaller id comes first on every machine.
        weights.sort_by(|a, b| b.1.total_cmp(&a.1));
        weights.truncate(self.top_k.unwrap_or(usize::MAX));
        if let Some(p) = self.top_p {
            let enough = p * weights.iter().map(|(_, weight)| weight).sum::<f64>();
            let mut sum = 0.0;
            let kept = weights.iter().take_while(|(_, weight)| {
                let missing = sum < enough;
                sum += weight;
                missing
            });
            let kept = kept.count().max(1);
            weights.truncate(kept);
        }
    }
}

/// The highest weight and its place: the first of equals, as when the likeliest are sorted. If one is no number, that one,
/// which has a sign, too: a processor's own is below all numbers.
fn likeliest(weights: &[f64]) -> Option<(usize, f64)> {
    let none = weights.iter().position(|weight| weight.is_nan()).map(|place| (place, f64::NAN));
    let higher = |best: (usize, f64), next: (usize, f64)| if next.1.total_cmp(&best.1).is_gt() { next } else { best };
    none.or_else(|| weights.iter().copied().enumerate().reduce(higher))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::CharTokenizer;

    /// How often each of four ids with probabilities 0.1, 0.2, 0.3, 0.4 is drawn.
    fn shares(sampling: &Sampling) -> Vec<f64> {
        let logits = Tensor::from_slice(&[0.1_f64.ln(), 0.2_f64.ln(), 0.3_f64.ln(), 0.4_f64.ln()]).unsqueeze(0);
        let weights = sampling.weigh(&logits).unwrap();
        let mut rng = Rng::new(5);
        let mut shares = vec![0.0; 4];
        for _ in 0..20_000 {
            shares[sampling.draw(&weights, &mut rng).unwrap() as usize] += 1.0 / 20_000.0;
        }
        shares
    }

    fn assert_shares(sampling: Sampling, expected: [f64; 4]) {
        for (share, expected) in shares(&sampling).iter().zip(expected) {
            assert!((share - expected).abs() < 0.02, "{sampling:?}: {share} is not {expected}");
        }
    }

    fn plain() -> Sampling {
        Sampling { temperature: 1.0, ..Sampling::default() }
    }

    #[test]
    fn draws_follow_the_probabilities() {
        assert_shares(plain(), [0.1, 0.2, 0.3, 0.4]);
    }

    #[test]
    fn temperature_sharpens_and_flattens() {
        let squares = [0.01, 0.04, 0.09, 0.16].map(|square| square / 0.3);
        assert_shares(Sampling { temperature: 0.5, ..plain() }, squares);
        assert_shares(Sampling { temperature: 1e9, ..plain() }, [0.25; 4]);
        assert_shares(Sampling::greedy(), [0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn top_k_draws_among_the_k_likeliest() {
        assert_shares(Sampling { top_k: Some(2), ..plain() }, [0.0, 0.0, 3.0 / 7.0, 4.0 / 7.0]);
        assert_shares(Sampling { top_k: Some(99), ..plain() }, [0.1, 0.2, 0.3, 0.4]);
    }

    #[test]
    fn top_p_draws_among_the_fewest_that_have_the_probability() {
        assert_shares(Sampling { top_p: Some(0.65), ..plain() }, [0.0, 0.0, 3.0 / 7.0, 4.0 / 7.0]);
        assert_shares(Sampling { top_p: Some(0.75), ..plain() }, [0.0, 2.0 / 9.0, 3.0 / 9.0, 4.0 / 9.0]);
        assert_shares(Sampling { top_p: Some(1e-9), ..plain() }, [0.0, 0.0, 0.0, 1.0]);
        assert_shares(Sampling { top_p: Some(1.0), ..plain() }, [0.1, 0.2, 0.3, 0.4]);
    }

    #[test]
    fn of_equally_likely_ones_the_first_is_the_likeliest_whoever_asks() {
        let weights = [0.5, 2.0, 2.0, 1.0, 2.0];
        for sampling in
            [Sampling::greedy(), Sampling { top_k: Some(1), ..plain() }, Sampling { top_p: Some(1e-9), ..plain() }]
        {
            assert_eq!(sampling.draw(&weights, &mut Rng::new(0)).unwrap(), 1, "{sampling:?}");
        }
        for none in [f64::NAN, -f64::NAN] {
            assert!(Sampling::greedy().draw(&[1.0, none, 2.0], &mut Rng::new(0)).is_err());
        }
    }

    #[test]
    fn settings_out_of_range_are_errors() {
        for sampling in [
            Sampling { temperature: -1.0, ..plain() },
            Sampling { temperature: f64::NAN, ..plain() },
            Sampling { temperature: f64::INFINITY, ..plain() },
            Sampling { top_k: Some(0), ..plain() },
            Sampling { top_p: Some(0.0), ..plain() },
            Sampling { top_p: Some(1.5), ..plain() },
            Sampling { top_p: Some(f64::NAN), ..plain() },
        ] {
            assert!(sampling.check(&CharTokenizer::default()).is_err(), "{sampling:?}");
        }
        for none in [f64::NAN, -f64::NAN, f64::INFINITY] {
            let broken = plain().weigh(&Tensor::from_slice(&[none, 1.0]).unsqueeze(0)).unwrap();
            assert!(plain().draw(&broken, &mut Rng::new(0)).is_err(), "{none}");
        }
        assert!(plain().draw(&[], &mut Rng::new(0)).is_err());
    }
}
