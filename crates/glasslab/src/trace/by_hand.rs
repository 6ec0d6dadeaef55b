//! The arithmetic behind one number of a trace, written out with its numbers.

use super::Trace;
use super::arithmetic::{activate, brackets, dot, pick, products, shared, show, softmax, split, tiny, vector};
use super::describe::{block, is_norm, part};
use super::hook_points::INTO;
use crate::error::{Error, Result};
use std::fmt;
use tch::Tensor;

/// One number of a step, computed again by hand.
#[derive(Debug, Clone, PartialEq)]
pub struct ByHand {
    /// The line of arithmetic, with its numbers.
    pub arithmetic: String,
    /// What the arithmetic comes to.
    pub result: f64,
    /// The number in the trace.
    pub traced: f64,
}

impl ByHand {
    /// How far the two are apart: single precision rounds each step of a sum.
    pub fn difference(&self) -> f64 {
        match self.result == self.traced || self.result.is_nan() && self.traced.is_nan() {
            true => 0.0,
            false => (self.result - self.traced).abs(),
        }
    }
}

impl fmt::Display for ByHand {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.arithmetic)?;
        let (result, traced) = (show(self.result), show(self.traced));
        write!(out, "by hand {result}, in the trace {traced}: difference {}", tiny(self.difference(), 0))
    }
}

impl Trace {
    /// Computes one number of a step again from the steps before, and writes the arithmetic out.
    ///
    /// `place` is a place on each axis of the step, from 0: `[0, 1, 4, 2]` of scores is how well, in head 1, the
    /// character at 2 fits what the character at 4 wants to know.
    ///
    /// # Errors
    /// If there is no such step or place, the step is none that the library knows how to make, or the model, too large for a
    /// copy of its weights, has learnt since.
    pub fn by_hand(&self, step: &str, place: &[i64]) -> Result<ByHand> {
        let step = &self.step(step)?.name;
        if is_made_with_weights(part(step), &self.step(step)?.formula) {
            self.learnt.check_unchanged()?;
        }
        self.computed(step, place)
    }

    /// The same with the weights as they are.
    pub(super) fn computed(&self, step: &str, place: &[i64]) -> Result<ByHand> {
        let traced = self.step(step)?.number(place)?;
        let at = |part: &str| -> Result<&Tensor> { Ok(&self.step(&self.sibling(step, part))?.tensor) };
        let number = |tensor: &Tensor, place: &[i64]| -> Result<f64> { Ok(tensor.f_double_value(place)?) };
        let (arithmetic, result) = match part(step) {
            _ if is_made_with_weights(part(step), &self.step(step)?.formula) => {
                let made = self.by_weights(step, place).ok().flatten();
                made.ok_or_else(|| nothing_by_hand(step))?
            }
            "attn.scores" => {
                let (lead, [row, column]) = split(place)?;
                let queries = vector(at("attn.queries")?, lead, row)?;
                let all = at("attn.keys")?;
                let keys = vector(all, &shared(lead, &self.step(step)?.tensor, all), column)?;
                let head_dim = queries.len() as f64;
                let result = dot(&queries, &keys) / head_dim.sqrt();
                let names = format!("queries[{row}] · keys[{column}] / √{head_dim}");
                let sum = products(&queries, &keys);
                (format!("{names} = ({sum}) / {}", show(head_dim.sqrt())), result)
            }
            "attn.masked" => {
                let (_, [row, column]) = split(place)?;
                let score = number(at("attn.scores")?, place)?;
                let window = self.choices.attention(block(step)).window;
                match column <= row {
                    true if window.is_some_and(|window| column <= row - window) => (
                        format!(
                            "{column} ≤ {row} − {}: too far back, so {} becomes −∞",
                            window.unwrap_or_default(),
                            show(score)
                        ),
                        f64::NEG_INFINITY,
                    ),
                    true => (format!("{column} ≤ {row}, so the score stays: {}", show(score)), score),
                    false => {
                        (format!("{column} > {row}: the future, so {} becomes −∞", show(score)), f64::NEG_INFINITY)
                    }
                }
            }
            "attn.weights" => {
                let (lead, [row, column]) = split(place)?;
                let scores = vector(at("attn.masked")?, lead, row)?;
                let formula = &self.step(step)?.formula;
                match formula.contains('σ') {
                    _ if formula.contains("head 0") && lead.last() == Some(&0) => {
                        let before = (row - 1).max(0);
                        (
                            format!("{before} is the place before {row}, the only one that this head sees"),
                            f64::from(column == before),
                        )
                    }
                    true => {
                        let score = pick(&scores, column)?;
                        let result = 1.0 / (1.0 + (((row + 1) as f64).ln() - score).exp());
                        (format!("σ({} − ln {})", show(score), row + 1), result)
                    }
                    false => softmax(&scores, column, "masked", row)?,
                }
            }
            "attn.heads" => {
                let (lead, [row, column]) = split(place)?;
                let weights = vector(at("attn.weights")?, lead, row)?;
                let values = at("attn.values")?;
                let of_values = shared(lead, &self.step(step)?.tensor, values);
                let told: Vec<f64> = (0..weights.len() as i64)
                    .map(|other| pick(&vector(values, &of_values, other)?, column))
                    .collect::<Result<_>>()?;
                let sum = products(&weights, &told);
                (format!("Σₛ weights[{row}, s] · values[s, {column}] = {sum}"), dot(&weights, &told))
            }
            "scaled" => {
                let (embedded, root) = (number(at("embedded")?, place)?, (self.choices.emb_dim as f64).sqrt());
                (format!("embedded · √emb_dim = {} · {}", show(embedded), show(root)), embedded * root)
            }
            "after_attn" | "after_mlp" => {
                let [norm, output] = match part(step) {
                    "after_attn" => ["attn_norm", "attn.output"],
                    _ => ["mlp_norm", "mlp.output"],
                };
                let added = if at(norm).is_ok() { norm } else { output };
                let before = self.before(step)?;
                let (x, output) = (number(&self.step(&before)?.tensor, place)?, number(at(added)?, place)?);
                (format!("{before} + {} = {} + {}", self.sibling(step, added), show(x), brackets(output)), x + output)
            }
            name if is_norm(name) && is_unlearnt_norm(&self.step(step)?.formula) => {
                let before = self.normed_by(step)?;
                let (lead, [row, column]) = split(place)?;
                let x = vector(&self.step(&before)?.tensor, lead, row)?;
                let square = dot(&x, &x) / x.len() as f64;
                let here = pick(&x, column)?;
                let epsilon = self.choices.epsilon;
                let (number, result) = (show(here), here / (square + epsilon).sqrt());
                (format!("x / √(mean(x²) + ε) = {number} / √({} + {epsilon})", show(square)), result)
            }
            "mlp.activated" | "activated" => {
                let unit = match part(step) {
                    "activated" => "hidden",
                    _ if self.is_gated(step) => "mlp.gate",
                    _ => "mlp.hidden",
                };
                let activated = activate(&self.step(step)?.formula, number(at(unit)?, place)?)?;
                match unit {
                    "mlp.gate" => {
                        let hidden = number(at("mlp.hidden")?, place)?;
                        (format!("({}) · {}", activated.line, brackets(hidden)), activated.value * hidden)
                    }
                    _ => (activated.line, activated.value),
                }
            }
            "probabilities" => {
                let (lead, [row, column]) = split(place)?;
                softmax(&vector(&self.step("logits")?.tensor, lead, row)?, column, "logits", row)?
            }
            "loss" => {
                let [text, row] = place[..] else { return Err(nothing_by_hand(step)) };
                let id = pick(&self.ids, row + 1)?;
                let p = number(&self.step("probabilities")?.tensor, &[text, row, id])?;
                let came = &self.labels[row as usize + 1];
                (format!("−ln probabilities[{row}, {id} (“{came}”)] = −ln {}", show(p)), -p.ln())
            }
            _ => return Err(nothing_by_hand(step)),
        };
        let at = place.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        Ok(ByHand { arithmetic: format!("{step}[{at}] = {arithmetic} = {}", show(result)), result, traced })
    }

    /// The name of another part of the same block: `scores` of `block.1.attn.weights` is `block.1.attn.scores`.
    pub(super) fn sibling(&self, step: &str, part: &str) -> String {
        match step.strip_prefix("block.").and_then(|rest| rest.split_once('.')) {
            Some((number, _)) => format!("block.{number}.{part}"),
            None if step.starts_with("head.") => part.replacen("attn.", "head.", 1),
            None => part.to_owned(),
        }
    }

    /// The step that a norm normalises.
    pub(super) fn normed_by(&self, norm: &str) -> Result<String> {
        match part(norm) {
            "attn_norm" => Ok(self.sibling(norm, "attn.output")),
            "mlp_norm" => Ok(self.sibling(norm, "mlp.output")),
            _ => self.before(norm),
        }
    }

    /// Whether the MLP that a step is of has a gate.
    pub(super) fn is_gated(&self, step: &str) -> bool {
        self.step(&self.sibling(step, "mlp.gate")).is_ok()
    }

    /// The stream that a step reads or is added to: the last whole stream before it.
    pub(super) fn before(&self, step: &str) -> Result<String> {
        let place = self.steps.iter().position(|other| other.name == step).unwrap_or(0);
        let stream = |name: &str| matches!(part(name), "after_attn" | "after_mlp") || INTO.contains(&name);
        let before = self.steps[..place].iter().rev().find(|other| stream(&other.name));
        before.map(|step| step.name.clone()).ok_or_else(|| nothing_by_hand(step))
    }
}

fn nothing_by_hand(step: &str) -> Error {
    Error::Config(format!(
        "there is no line of arithmetic for {step}: it is given, or a step of the model's own, or its weights have other names \
         than in the library's models"
    ))
}

/// Whether a step has learnt numbers in its formula, or what `by_weights` knows of.
fn is_made_with_weights(part: &str, formula: &str) -> bool {
    match part {
        "embedded" | "positioned" | "with_ngrams" | "attn.unturned" | "attn.queries" | "attn.keys" | "attn.values"
        | "attn.output" | "mlp.hidden" | "mlp.gate" | "mlp.output" | "hidden" | "output" | "logits" => true,
        norm => is_norm(norm) && !is_unlearnt_norm(formula),
    }
}

/// Whether a norm has nothing learnt in its formula.
fn is_unlearnt_norm(formula: &str) -> bool {
    formula.contains("√(mean(") && !formula.contains("scale")
}

#[cfg(test)]
mod tests {
    use super::super::Traceable;
    use super::super::tests::{awake, variants};
    use super::*;
    use crate::model::{Model, Ngrams, Parameter, Probe, TransformerConfig};
    use tch::{Device, Kind};

    #[test]
    fn the_arithmetic_comes_to_the_traced_number_at_every_place_tried() {
        for config in variants() {
            let trace = awake(config).trace("Once upon").unwrap();
            let mut tried = 0;
            for step in &trace.steps {
                let last: Vec<i64> = step.tensor.size().iter().map(|size| size - 1).collect();
                let middle: Vec<i64> = step.tensor.size().iter().map(|size| size / 2).collect();
                for place in [middle, last, vec![0; step.tensor.dim()]] {
                    let by_hand = match trace.by_hand(&step.name, &place) {
                        Ok(by_hand) => by_hand,
                        Err(error) => {
                            assert_eq!(step.name, "ids", "{error}");
                            continue;
                        }
                    };
                    tried += 1;
                    let close = by_hand.difference() < 1e-4 * by_hand.traced.abs().clamp(1.0, 1e300);
                    assert!(close, "{}{place:?}: {by_hand}", step.name);
                }
            }
            // All but the ids.
            assert_eq!(tried, 3 * (trace.steps.len() - 1), "{config:?}");
        }
    }

    #[test]
    fn a_score_is_written_as_its_sum() {
        let config = TransformerConfig { head_dim: 2, n_heads: 1, ..TransformerConfig::original() };
        let trace = awake(config).trace("Once").unwrap();
        let by_hand = trace.by_hand("block.0.attn.scores", &[0, 0, 2, 1]).unwrap();
        assert!(by_hand.arithmetic.starts_with("block.0.attn.scores[0, 0, 2, 1] = queries[2] · keys[1] / √2 = ("));
        assert_eq!(by_hand.arithmetic.matches('·').count(), 3, "{by_hand}");
        let future = trace.by_hand("block.0.attn.masked", &[0, 0, 1, 3]).unwrap();
        assert!(future.difference() == 0.0 && future.arithmetic.ends_with("−∞"), "{future}");
    }

    #[test]
    fn groups_say_which_characters_a_beginning_lacks() {
        let ngrams = Some(Ngrams { longest: 3, rows: 100 });
        let trace = awake(TransformerConfig { ngrams, ..TransformerConfig::original() }).trace("Once").unwrap();
        for (place, groups) in [(0, ["(“∅O”)", "(“∅∅O”)"]), (1, ["(“On”)", "(“∅On”)"]), (3, ["(“ce”)", "(“nce”)"])]
        {
            let told = trace.by_hand("with_ngrams", &[0, place, 0]).unwrap().arithmetic;
            assert!(groups.iter().all(|group| told.contains(group)), "{told}");
        }
    }

    #[test]
    fn long_sums_leave_out_their_middle_and_say_how_much() {
        let trace = awake(TransformerConfig::original()).trace("Once").unwrap();
        let by_hand = trace.by_hand("probabilities", &[0, 1, 101]).unwrap();
        assert!(by_hand.arithmetic.contains("… 234 more …"), "{by_hand}");
    }

    #[test]
    fn what_has_no_line_of_arithmetic_is_told() {
        let trace = awake(TransformerConfig::original()).trace("Once").unwrap();
        assert!(trace.by_hand("ids", &[0, 0]).unwrap_err().to_string().contains("no line of arithmetic for ids"));
        assert!(
            trace.by_hand("block.0.attn.scores", &[0, 0, 4, 0]).unwrap_err().to_string().contains("time (looks) 4")
        );
        assert_eq!(part("block.0.norm1"), "norm1");
    }

    const STEPS: &[&str] = &[
        "embedded",
        "positioned",
        "scaled",
        "norm1",
        "attn.unturned",
        "attn.queries",
        "attn.keys",
        "attn.values",
        "attn.scores",
        "attn.masked",
        "attn.weights",
        "attn.heads",
        "attn.output",
        "attn_norm",
        "after_attn",
        "norm2",
        "mlp.hidden",
        "mlp.gate",
        "mlp.activated",
        "mlp.output",
        "mlp_norm",
        "after_mlp",
        "hidden",
        "activated",
        "output",
        "final_norm",
        "loss",
        "probabilities",
        "logits",
    ];
    const LEARNT: &[&str] = &[
        "embedding",
        "position",
        "norm1.weight",
        "norm1.bias",
        "attn.qkv.weight",
        "attn.qkv.bias",
        "attn.queries_norm.weight",
        "attn.keys_norm.weight",
        "attn.output.weight",
        "attn.output.bias",
        "attn_norm.weight",
        "mlp_norm.weight",
        "mlp.gate.weight",
        "mlp.hidden.weight",
        "mlp.hidden.bias",
        "mlp.output.weight",
        "mlp.output.bias",
        "hidden.weight",
        "hidden.bias",
        "output.weight",
        "output.bias",
        "final_norm.weight",
        "final_norm.bias",
        "head",
    ];
    const SHAPES: &[&[i64]] = &[
        &[1, 9, 8],
        &[1, 2, 9, 9],
        &[1],
        &[1, 2, 9, 4],
        &[1, 12, 3],
        &[],
        &[1, 9],
        &[2, 3],
        &[1, 1, 30, 2],
        &[1, 9, 40],
    ];

    /// A model whose steps and parameters have the names of the library's, and any shape.
    struct Odd {
        shift: usize,
        learnt: Vec<Tensor>,
    }

    impl Model for Odd {
        fn forward(&self, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
            let sum = self.learnt.iter().fold(Tensor::from(0_f32), |sum, tensor| sum + tensor.mean(Kind::Float));
            let mut all = Tensor::f_embedding(&self.learnt[0], ids, -1, false, false)?;
            for (place, part) in STEPS.iter().enumerate() {
                let shape = SHAPES[(place * self.shift + self.shift / 3) % SHAPES.len()];
                let step = Tensor::ones(shape, (Kind::Float, Device::Cpu)) * &sum;
                for name in [part.to_string(), format!("block.0.{part}")] {
                    all += probe.at(name, step.shallow_clone()).f_mean(Kind::Float)?;
                }
            }
            Ok(all)
        }

        fn parameters(&self) -> Vec<Parameter> {
            let named = |(name, tensor)| {
                Parameter::new(format!("{}{name}", if self.shift.is_multiple_of(2) { "block.0." } else { "" }), tensor)
            };
            let rest = LEARNT.iter().zip(&self.learnt[1..]).map(named);
            std::iter::once(Parameter::new("table", &self.learnt[0])).chain(rest).collect()
        }
    }

    #[test]
    fn what_only_has_the_names_of_the_librarys_steps_is_an_error_and_no_panic() {
        for shift in 0..SHAPES.len() {
            let learnt = (0..LEARNT.len()).map(|place| SHAPES[(place * shift + shift) % SHAPES.len()]);
            let sizes = std::iter::once(&[256, 256][..]).chain(learnt);
            let learnt =
                sizes.map(|size| Tensor::ones(size, (Kind::Float, Device::Cpu)).set_requires_grad(true)).collect();
            let trace = Odd { shift, learnt }.backward("Once upon").unwrap();
            assert!(trace.html().is_ok() && trace.table().contains("block.0.attn.weights"));
            for step in trace.steps.iter().chain(&trace.parameters) {
                let size = step.tensor.size();
                for place in [vec![0; size.len()], size.iter().map(|size| size - 1).collect()] {
                    // Whatever they give.
                    let _ = (trace.by_hand(&step.name, &place), trace.blame(&step.name, &place));
                }
                let _ = trace.open(&step.name);
            }
        }
    }
}
