//! How the loss falls with the size of a model and with the text it has seen: a law fitted to many trainings.
//!
//! ```text
//! L(N, D) = E + A / N^α + B / D^β                      [`Law::fit`]
//! L(N, D) = E + A / N^α + B / D^β + C / (N^α · D^β)    [`Law::fit_jointly`]
//! ```
//! N: parameters; D: characters learnt from. E is what no size and no text would bring down, the two next terms are what is lost
//! by too few parameters and by too little text (Hoffmann et al. 2022, eq. 2, "Chinchilla"; Kaplan et al. 2020 found the power laws).
//! The last term is our own: what is lost where both are short at once, as in trainings of a few hundred steps.
//!
//! The fit: for given exponents α and β the law is a sum of known columns, so that E, A, B and C come from a least-squares
//! problem. What is left is a search for the best two exponents, on a grid that is made finer and finer. Errors are
//! relative ones, (L̂ − L) / L, since seeds scatter a high loss more than a low one. How sure all that is, a bootstrap says (Efron
//! 1979): the runs are drawn anew with replacement, and the law is fitted to each drawing.

use super::Sweep;
use crate::error::{Error, Result};
use crate::rng::Rng;
use std::fmt;

/// One training: how large, how long, how good.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scaled {
    /// N: the parameters of the model.
    pub parameters: f64,
    /// D: the characters that it has learnt from.
    pub chars: f64,
    /// The held-out loss, in nats per character.
    pub loss: f64,
}

/// The law, fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Law {
    /// What no size and no text brings down, in nats per character.
    pub floor: f64,
    /// A.
    pub a: f64,
    /// α.
    pub alpha: f64,
    /// B.
    pub b: f64,
    /// β.
    pub beta: f64,
    /// C; 0 in the law without it.
    pub c: f64,
    /// The runs that it was fitted to.
    pub runs: Vec<Scaled>,
    /// The same law fitted to drawings of the runs.
    pub drawings: Vec<[f64; 6]>,
}

/// Exponents that are tried at first: from this, to this, so many.
const EXPONENTS: (f64, f64, usize) = (0.05, 1.5, 16);
/// Around the best ones a finer grid is laid, so often, each a third as wide.
const FINER: usize = 9;
/// Drawings of the bootstrap.
const DRAWINGS: usize = 200;
/// A law of six numbers needs more runs than that.
const FEWEST: usize = 7;

impl Sweep {
    /// Each run of each variant with its size, its text and its loss.
    pub fn scaled(&self) -> Vec<Scaled> {
        let of = |variant: &super::Variant| {
            let (parameters, chars) = (variant.parameters as f64, variant.setup.chars as f64);
            variant.losses.iter().map(move |&loss| Scaled { parameters, chars, loss }).collect::<Vec<Scaled>>()
        };
        self.variants.iter().flat_map(of).collect()
    }
}

impl Law {
    /// Fits the law of Hoffmann et al. to runs of several sizes and several lengths.
    ///
    /// # Errors
    /// If there are too few of them, or a number is not above 0.
    pub fn fit(runs: &[Scaled]) -> Result<Law> {
        Law::with(runs, false)
    }

    /// Fits the law with a term for what is lost where parameters and text are short at once.
    ///
    /// # Errors
    /// As [`Law::fit`].
    pub fn fit_jointly(runs: &[Scaled]) -> Result<Law> {
        Law::with(runs, true)
    }

    fn with(runs: &[Scaled], jointly: bool) -> Result<Law> {
        let different = |number: fn(&Scaled) -> f64| {
            let mut all: Vec<f64> = runs.iter().map(number).collect();
            all.sort_by(f64::total_cmp);
            all.dedup();
            all.len()
        };
        let (sizes, texts) = (different(|run| run.parameters), different(|run| run.chars));
        if runs.len() < FEWEST || sizes < 3 || texts < 3 {
            return Err(Error::Config(format!(
                "such a law needs {FEWEST} runs or more, of three sizes and three lengths of text at least; got {} runs of \
                 {sizes} sizes and {texts} lengths",
                runs.len()
            )));
        }
        if let Some(odd) =
            runs.iter().find(|run| ![run.parameters, run.chars, run.loss].iter().all(|x| x.is_finite() && *x > 0.0))
        {
            return Err(Error::Config(format!(
                "parameters, characters and losses must be numbers above 0, got {odd:?}"
            )));
        }
        let [floor, a, alpha, b, beta, c] = fitted(runs, jointly);
        let mut rng = Rng::new(0);
        let drawing = |_| {
            let drawn: Vec<Scaled> = (0..runs.len()).map(|_| runs[rng.below(runs.len())]).collect();
            fitted(&drawn, jointly)
        };
        let drawings = (0..DRAWINGS).map(drawing).filter(|law| law.iter().all(|number| number.is_finite())).collect();
        Ok(Law { floor, a, alpha, b, beta, c, runs: runs.to_vec(), drawings })
    }

    /// The loss that it expects of a model of so many parameters after so many characters.
    pub fn predict(&self, parameters: f64, chars: f64) -> f64 {
        at(&[self.floor, self.a, self.alpha, self.b, self.beta, self.c], parameters, chars)
    }

    /// Between which losses nine of ten drawings expect it.
    pub fn range(&self, parameters: f64, chars: f64) -> (f64, f64) {
        self.spread(|law| at(law, parameters, chars))
    }

    /// How far the law is off from its own runs: the root of the mean squared relative error.
    pub fn misfit(&self) -> f64 {
        let squares = self.runs.iter().map(|run| (self.predict(run.parameters, run.chars) / run.loss - 1.0).powi(2));
        (squares.sum::<f64>() / self.runs.len() as f64).sqrt()
    }

    /// From the fifth to the ninety-fifth of a hundred drawings.
    fn spread(&self, number: impl Fn(&[f64; 6]) -> f64) -> (f64, f64) {
        let mut all: Vec<f64> = self.drawings.iter().map(number).collect();
        all.sort_by(f64::total_cmp);
        let place = |share: f64| all.get((share * all.len().saturating_sub(1) as f64).round() as usize).copied();
        (place(0.05).unwrap_or(f64::NAN), place(0.95).unwrap_or(f64::NAN))
    }
}

impl fmt::Display for Law {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Law { floor, a, alpha, b, beta, c, .. } = self;
        write!(out, "L(N, D) = {floor:.3} + {a:.3} / N^{alpha:.3} + {b:.0} / D^{beta:.3}")?;
        if *c > 0.0 {
            write!(out, " + {c:.0} / (N^{alpha:.3} · D^{beta:.3})")?;
        }
        writeln!(out, "   (nats per character)")?;
        writeln!(out, "fitted to {} runs, off by {:.2} % (root mean square)", self.runs.len(), 100.0 * self.misfit())?;
        for (name, place) in [("E", 0), ("α", 2), ("β", 4)] {
            let (low, high) = self.spread(|law| law[place]);
            writeln!(out, "{name}: nine of ten drawings say {low:.3} to {high:.3}")?;
        }
        Ok(())
    }
}

/// What a law, [E, A, α, B, β, C], says.
fn at(&[floor, a, alpha, b, beta, c]: &[f64; 6], parameters: f64, chars: f64) -> f64 {
    let (size, text) = (parameters.powf(-alpha), chars.powf(-beta));
    floor + a * size + b * text + c * size * text
}

/// The best law: the grid of exponents is laid, then again around its best point, ever finer.
fn fitted(runs: &[Scaled], jointly: bool) -> [f64; 6] {
    let (low, high, count) = EXPONENTS;
    let places = |from: f64, to: f64, count: usize| -> Vec<f64> {
        (0..count).map(|step| from + (to - from) * step as f64 / (count - 1) as f64).collect()
    };
    let best = |alphas: Vec<f64>, betas: Vec<f64>| {
        let pairs = alphas.iter().flat_map(|&alpha| betas.iter().map(move |&beta| (alpha, beta)));
        let tried = pairs.filter_map(|(alpha, beta)| solved(runs, alpha, beta, jointly));
        tried.min_by(|one, other| one.0.total_cmp(&other.0)).map_or([f64::NAN; 6], |(_, law)| law)
    };
    let mut law = best(places(low, high, count), places(low, high, count));
    let mut width = (high - low) / (count - 1) as f64;
    for _ in 0..FINER {
        let around = |centre: f64| places((centre - width).max(0.01), centre + width, 7);
        law = best(around(law[2]), around(law[4]));
        width /= 3.0;
    }
    law
}

/// The best E, A, B, C for given exponents, and the sum of squared relative errors; `None` if they can't be told, or if one is
/// negative: more text or more parameters would then do harm.
fn solved(runs: &[Scaled], alpha: f64, beta: f64, jointly: bool) -> Option<(f64, [f64; 6])> {
    // Each run says E · x₀ + A · x₁ + B · x₂ + C · x₃ = 1; its columns are divided by its loss.
    let rows: Vec<[f64; 4]> = runs
        .iter()
        .map(|run| {
            let (size, text) = (run.parameters.powf(-alpha), run.chars.powf(-beta));
            [1.0, size, text, size * text].map(|column| column / run.loss)
        })
        .collect();
    // The normal equations, (XᵀX) w = Xᵀ1, with columns of length 1: they differ by powers of 10.
    let columns = if jointly { 4 } else { 3 };
    let lengths = [0, 1, 2, 3].map(|column| rows.iter().map(|row| row[column] * row[column]).sum::<f64>().sqrt());
    let mut equations: Vec<Vec<f64>> = (0..columns)
        .map(|one| {
            let product = |other: usize| {
                rows.iter().map(|row| row[one] * row[other]).sum::<f64>() / lengths[one] / lengths[other]
            };
            let right = rows.iter().map(|row| row[one]).sum::<f64>() / lengths[one];
            (0..columns).map(product).chain([right]).collect()
        })
        .collect();
    let weights = eliminated(&mut equations)?;
    let of = |column: usize| weights.get(column).map_or(0.0, |weight| weight / lengths[column]);
    let law = [of(0), of(1), alpha, of(2), beta, of(3)];
    let squares = runs.iter().map(|run| (at(&law, run.parameters, run.chars) / run.loss - 1.0).powi(2)).sum();
    weights.iter().all(|&weight| weight >= 0.0).then_some((squares, law))
}

/// Solves equations, each with its right side last, by Gauss's elimination with the largest pivot.
fn eliminated(equations: &mut [Vec<f64>]) -> Option<Vec<f64>> {
    let count = equations.len();
    for column in 0..count {
        let pivot = (column..count)
            .max_by(|&one, &other| equations[one][column].abs().total_cmp(&equations[other][column].abs()))?;
        equations.swap(column, pivot);
        let top = equations[column].clone();
        if top[column].abs() < 1e-12 {
            return None;
        }
        for row in (0..count).filter(|row| *row != column) {
            let factor = equations[row][column] / top[column];
            equations[row].iter_mut().zip(&top).for_each(|(number, above)| *number -= factor * above);
        }
    }
    Some((0..count).map(|row| equations[row][count] / equations[row][row]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs that follow a law, with noise.
    fn runs(law: &[f64; 6], noise: f64) -> Vec<Scaled> {
        let mut rng = Rng::new(1);
        let mut made = Vec::new();
        for parameters in [6e3, 25e3, 55e3, 98e3] {
            for chars in [5e5, 1e6, 2e6, 4e6] {
                let loss = at(law, parameters, chars) * (1.0 + noise * rng.normal());
                made.push(Scaled { parameters, chars, loss });
            }
        }
        made
    }

    const LAW: [f64; 6] = [0.7, 40.0, 0.45, 300.0, 0.5, 0.0];
    const JOINT: [f64; 6] = [0.7, 12.0, 0.4, 2000.0, 0.65, 60_000.0];

    #[test]
    fn a_law_without_noise_is_found_again() {
        let law = Law::fit(&runs(&LAW, 0.0)).unwrap();
        for (found, right) in [law.floor, law.a, law.alpha, law.b, law.beta].iter().zip(LAW) {
            assert!((found / right - 1.0).abs() < 0.02, "{law}");
        }
        assert!(law.misfit() < 1e-4 && (law.predict(4e5, 4e6) / at(&LAW, 4e5, 4e6) - 1.0).abs() < 1e-3, "{law}");
        let joint = Law::fit_jointly(&runs(&JOINT, 0.0)).unwrap();
        assert!((joint.predict(4e5, 4e6) / at(&JOINT, 4e5, 4e6) - 1.0).abs() < 1e-3, "{joint}");
        assert!(
            (joint.alpha / 0.4 - 1.0).abs() < 0.02 && joint.c > 0.0 && joint.to_string().contains("· D^"),
            "{joint}"
        );
    }

    #[test]
    fn a_law_without_the_term_that_is_there_is_seen_to_be_off() {
        let runs = runs(&JOINT, 0.002);
        let (without, with) = (Law::fit(&runs).unwrap(), Law::fit_jointly(&runs).unwrap());
        assert!(without.misfit() > 3.0 * with.misfit(), "{without}{with}");
    }

    #[test]
    fn noise_makes_the_law_unsure_and_the_range_says_so() {
        let width = |noise: f64| {
            let law = Law::fit(&runs(&LAW, noise)).unwrap();
            let (low, high) = law.range(4e5, 4e6);
            let expected = law.predict(4e5, 4e6);
            assert!(low <= expected && expected <= high, "{low} {expected} {high}");
            high - low
        };
        let (quiet, loud) = (width(0.002), width(0.02));
        assert!(loud > 3.0 * quiet, "{quiet} {loud}");
        assert_eq!(
            Law::fit(&runs(&LAW, 0.01)).unwrap(),
            Law::fit(&runs(&LAW, 0.01)).unwrap(),
            "the drawings are seeded"
        );
    }

    #[test]
    fn too_few_runs_and_odd_numbers_are_told() {
        let all = runs(&LAW, 0.0);
        assert!(Law::fit(&all[..5]).unwrap_err().to_string().contains("7 runs"));
        assert!(Law::fit(&all[..8]).unwrap_err().to_string().contains("2 sizes"));
        let mut odd = all;
        odd[3].loss = f64::NAN;
        assert!(Law::fit(&odd).unwrap_err().to_string().contains("NaN"));
    }
}
