//! The arithmetic behind one number of a trace, written out with its numbers.

use super::describe::part;
use super::{Trace, numbers};
use crate::error::{Error, Result};
use crate::view::{Html, paragraph};
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

    /// As a block of HTML.
    pub fn html(&self) -> Html {
        let alt = self.to_string();
        Html { html: format!("<div>{}</div>", alt.lines().map(paragraph).collect::<String>()), alt }
    }

    /// Called by the kernel on the value of a cell.
    pub fn evcxr_display(&self) {
        self.html().evcxr_display();
    }
}

impl fmt::Display for ByHand {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.arithmetic)?;
        let (result, traced) = (show(self.result), show(self.traced));
        let difference = if self.difference() == 0.0 { "0".to_owned() } else { format!("{:.0e}", self.difference()) };
        write!(out, "by hand {result}, in the trace {traced}: difference {}", difference.replace('-', "−"))
    }
}

/// The terms of a sum that are written out; of longer ones, the middle is left out.
const TERMS: usize = 24;

impl Trace {
    /// Computes one number of a step again from the steps before, and writes the arithmetic out.
    ///
    /// `place` is a place on each axis of the step, from 0: `[0, 1, 4, 2]` of scores is how well, in head 1, the
    /// character at 2 fits what the character at 4 wants to know.
    ///
    /// # Errors
    /// If there is no such step or place, or the step is none that the library knows how to make.
    pub fn by_hand(&self, step: &str, place: &[i64]) -> Result<ByHand> {
        let traced = self.step(step)?.number(place)?;
        let at = |part: &str| -> Result<&Tensor> { Ok(&self.step(&self.sibling(step, part))?.tensor) };
        let number = |tensor: &Tensor, place: &[i64]| -> Result<f64> { Ok(tensor.f_double_value(place)?) };
        let time = place.len().checked_sub(2).map_or(0, |axis| place[axis]);
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
                match column <= row {
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
                        let score = scores[column as usize];
                        let result = 1.0 / (1.0 + (((row + 1) as f64).ln() - score).exp());
                        (format!("σ({} − ln {})", show(score), row + 1), result)
                    }
                    false => softmax(&scores, column, "masked", &format!("{row}")),
                }
            }
            "attn.heads" => {
                let (lead, [row, column]) = split(place)?;
                let weights = vector(at("attn.weights")?, lead, row)?;
                let values = at("attn.values")?;
                let of_values = shared(lead, &self.step(step)?.tensor, values);
                let told: Vec<f64> = (0..weights.len() as i64)
                    .map(|other| Ok(vector(values, &of_values, other)?[column as usize]))
                    .collect::<Result<_>>()?;
                let sum = products(&weights, &told);
                (format!("Σₛ weights[{row}, s] · values[s, {column}] = {sum}"), dot(&weights, &told))
            }
            "after_attn" | "after_mlp" => {
                let added = if part(step) == "after_attn" { "attn.output" } else { "mlp.output" };
                let before = self.before(step)?;
                let (x, output) = (number(&self.step(&before)?.tensor, place)?, number(at(added)?, place)?);
                (format!("{before} + {} = {} + {}", self.sibling(step, added), show(x), signed(output)), x + output)
            }
            "norm1" | "norm2" | "final_norm" if self.step(step)?.formula.contains("mean(x²)") => {
                let before = self.before(step)?;
                let [.., column] = place[..] else { return Err(nothing_by_hand(step)) };
                let x = vector(&self.step(&before)?.tensor, &place[..place.len() - 2], time)?;
                let square = dot(&x, &x) / x.len() as f64;
                let result = x[column as usize] / (square + 1e-5).sqrt();
                let number = show(x[column as usize]);
                (format!("x / √(mean(x²) + ε) = {number} / √({} + 0.00001)", show(square)), result)
            }
            "mlp.activated" | "activated" => {
                let hidden = number(at(if part(step) == "activated" { "hidden" } else { "mlp.hidden" })?, place)?;
                let formula = &self.step(step)?.formula;
                let positive = hidden.max(0.0);
                match formula.ends_with('²') {
                    _ if formula.contains('Φ') => return Err(nothing_by_hand(step)),
                    true => (format!("max(0, {})² = {}²", show(hidden), show(positive)), positive * positive),
                    false => (format!("max(0, {})", show(hidden)), positive),
                }
            }
            "probabilities" => {
                let (lead, [row, column]) = split(place)?;
                softmax(&vector(&self.step("logits")?.tensor, lead, row)?, column, "logits", &format!("{row}"))
            }
            "loss" => {
                let [_, row] = place[..] else { return Err(nothing_by_hand(step)) };
                let id = number(&self.step("ids")?.tensor, &[place[0], row + 1])? as i64;
                let p = number(&self.step("probabilities")?.tensor, &[place[0], row, id])?;
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

    /// The stream that a step reads or is added to: the last whole stream before it.
    pub(super) fn before(&self, step: &str) -> Result<String> {
        let place = self.steps.iter().position(|other| other.name == step).unwrap_or(0);
        let stream = |name: &str| matches!(part(name), "embedded" | "positioned" | "after_attn" | "after_mlp");
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
        "embedded" | "positioned" | "attn.unturned" | "attn.queries" | "attn.keys" | "attn.values" | "attn.output"
        | "mlp.hidden" | "mlp.output" | "hidden" | "output" | "logits" => true,
        "norm1" | "norm2" | "final_norm" => !formula.contains("mean(x²)"),
        "mlp.activated" => formula.contains('Φ'),
        _ => false,
    }
}

/// A place as what stands before the last two axes, and these.
pub(super) fn split(place: &[i64]) -> Result<(&[i64], [i64; 2])> {
    match place {
        [lead @ .., row, column] => Ok((lead, [*row, *column])),
        _ => Err(Error::Shape {
            expected: "a place with a row and a column".to_owned(),
            got: format!("{place:?}"),
            hint: "give one place for each axis".to_owned(),
        }),
    }
}

/// The numbers of one row.
pub(super) fn vector(tensor: &Tensor, lead: &[i64], row: i64) -> Result<Vec<f64>> {
    let mut part = tensor.shallow_clone();
    for &place in lead {
        part = part.f_get(place)?;
    }
    numbers(&part.f_get(row)?)
}

/// The place of a head's keys and values, which several heads may share.
pub(super) fn shared(lead: &[i64], heads: &Tensor, keys: &Tensor) -> Vec<i64> {
    match (lead, &heads.size()[..], &keys.size()[..]) {
        ([text, head], [_, heads, ..], [_, keys, ..]) => vec![*text, head * keys / heads],
        _ => lead.to_vec(),
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn softmax(scores: &[f64], column: i64, name: &str, row: &str) -> (String, f64) {
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = scores.iter().map(|score| (score - highest).exp()).collect();
    let result = powers[column as usize] / powers.iter().sum::<f64>();
    let terms: Vec<String> =
        scores.iter().filter(|score| score.is_finite()).map(|&score| format!("e^{}", brackets(score))).collect();
    let masked = match scores.len() - terms.len() {
        0 => String::new(),
        count => format!(" + {count} × e^(−∞)"),
    };
    let (score, sum) = (brackets(scores[column as usize]), joined(terms.into_iter(), " + ") + &masked);
    (format!("exp({name}[{row}, {column}]) / Σ exp({name}[{row}, ·]) = e^{score} / ({sum})"), result)
}

fn products(a: &[f64], b: &[f64]) -> String {
    joined(a.iter().zip(b).map(|(&a, &b)| format!("{}·{}", brackets(a), brackets(b))), " + ")
}

/// The terms of a sum; of a long one the first, how many are left out, and the last.
fn joined(terms: impl ExactSizeIterator<Item = String>, between: &str) -> String {
    let count = terms.len();
    let terms: Vec<String> = terms.collect();
    if count <= TERMS {
        return terms.join(between);
    }
    let (first, last) = (terms[..TERMS - 4].join(between), terms[count - 2..].join(between));
    format!("{first}{between}… {} more …{between}{last}", count - (TERMS - 4) - 2)
}

pub(super) fn show(number: f64) -> String {
    match number {
        f64::NEG_INFINITY => "−∞".to_owned(),
        f64::INFINITY => "∞".to_owned(),
        number if number != 0.0 && number.abs() < 1e-3 => format!("{number:.2e}").replace('-', "−"),
        number => format!("{number:.4}").replace('-', "−"),
    }
}

fn signed(number: f64) -> String {
    brackets(number)
}

pub(super) fn brackets(number: f64) -> String {
    let text = show(number);
    if text.starts_with('−') { format!("({text})") } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::Traceable;
    use super::super::tests::{awake, variants};
    use super::*;
    use crate::model::TransformerConfig;

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
}
