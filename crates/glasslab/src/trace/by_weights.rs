//! The arithmetic of the steps that are made with learnt numbers: `weights · inputs`, written out.

use super::Trace;
use super::by_hand::{brackets, show, split, vector};
use super::describe::part;
use crate::error::{Error, Result};
use tch::Tensor;

/// The terms of a long sum that are written out, the largest; the rest is told as one number.
const LARGEST: usize = 6;
pub(super) const EPSILON: f64 = 1e-5;

impl Trace {
    /// A number of a step as a line of arithmetic and what it comes to; `None` for a step without weights.
    ///
    /// # Errors
    /// If the trace has not the weights that such a step has in the library's models.
    pub(super) fn by_weights(&self, step: &str, place: &[i64]) -> Result<Option<(String, f64)>> {
        let weight = |name: &str| self.weight(&self.sibling(step, name));
        let rows = |name: &str| -> Result<Vec<f64>> {
            let (lead, [row, _]) = split(place)?;
            vector(&self.step(name)?.tensor, lead, row)
        };
        // A row of the step before times a row of a weight.
        let linear = |input: &str, of_weight: &str, bias: Option<&str>| -> Result<(String, f64)> {
            let (_, [_, column]) = split(place)?;
            let (x, w) = (rows(input)?, vector(weight(of_weight)?, &[], column)?);
            let (sum, result) = sum_of_products(&x, &w);
            let bias = bias.map(weight).and_then(Result::ok);
            match bias {
                Some(bias) => {
                    let bias = bias.f_double_value(&[column])?;
                    Ok((format!("{input} · {of_weight}[{column}] + bias = {sum} + {}", brackets(bias)), result + bias))
                }
                None => Ok((format!("{input} · {of_weight}[{column}] = {sum}"), result)),
            }
        };
        Ok(Some(match part(step) {
            "embedded" => {
                let (_, [row, column]) = split(place)?;
                let id = self.step("ids")?.number(&[place[0], row])? as i64;
                let number = self.weight("embedding")?.f_double_value(&[id, column])?;
                (format!("embedding[{id} (“{}”), {column}] = {}", self.labels[row as usize], show(number)), number)
            }
            "positioned" => {
                let (_, [row, column]) = split(place)?;
                let embedded = self.step("embedded")?.number(place)?;
                let position = self.weight("position")?.f_double_value(&[row, column])?;
                (
                    format!("embedded + position[{row}, {column}] = {} + {}", show(embedded), brackets(position)),
                    embedded + position,
                )
            }
            name @ ("norm1" | "norm2" | "final_norm") => {
                let scale = format!("{name}.weight");
                let shift = format!("{name}.bias");
                let (_, [_, column]) = split(place)?;
                let before = self.before(step)?;
                let x = rows(&before)?;
                let (mean, here) = (x.iter().sum::<f64>() / x.len() as f64, x[column as usize]);
                let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
                let (scale, shift) =
                    (weight(&scale)?.f_double_value(&[column])?, weight(&shift)?.f_double_value(&[column])?);
                let result = (here - mean) / (variance + EPSILON).sqrt() * scale + shift;
                let numbers = format!(
                    "({} − {}) / √({} + 0.00001) · {} + {}",
                    show(here),
                    brackets(mean),
                    show(variance),
                    brackets(scale),
                    brackets(shift)
                );
                (format!("({before} − mean) / √(variance + ε) · scale + shift = {numbers}"), result)
            }
            "attn.queries" | "attn.keys" if self.step(step)?.formula.contains("turn(") => self.turned(step, place)?,
            "attn.unturned" | "attn.queries" | "attn.keys" | "attn.values" => self.projected(step, place)?,
            "attn.output" => {
                let (lead, [row, column]) = split(place)?;
                let heads = &self.step(&self.sibling(step, "attn.heads"))?.tensor;
                let mut joined = Vec::new();
                for head in 0..heads.size4()?.1 {
                    joined.extend(vector(heads, &[lead[0], head], row)?);
                }
                let (sum, result) = sum_of_products(&joined, &vector(weight("attn.output.weight")?, &[], column)?);
                (format!("all heads of {row}, joined · attn.output.weight[{column}] = {sum}"), result)
            }
            "mlp.hidden" => linear(&self.sibling(step, "norm2"), "mlp.hidden.weight", Some("mlp.hidden.bias"))?,
            "mlp.output" => linear(&self.sibling(step, "mlp.activated"), "mlp.output.weight", Some("mlp.output.bias"))?,
            "hidden" => linear("embedded", "hidden.weight", Some("hidden.bias"))?,
            "output" => linear("activated", "output.weight", Some("output.bias"))?,
            "logits" => {
                let stream = match self.step("final_norm").or_else(|_| self.step("output")) {
                    Ok(step) => step.name.clone(),
                    Err(_) => self.before("logits")?,
                };
                linear(&stream, if self.weight("head").is_ok() { "head" } else { "embedding" }, None)?
            }
            "mlp.activated" if self.step(step)?.formula.contains('Φ') => {
                let hidden = self.step(&self.sibling(step, "mlp.hidden"))?.number(place)?;
                let share = 0.5 * (1.0 + Tensor::from(hidden / 2.0_f64.sqrt()).f_erf()?.f_double_value(&[])?);
                (format!("hidden · Φ(hidden) = {} · {}", show(hidden), show(share)), hidden * share)
            }
            _ => return Ok(None),
        }))
    }

    /// A parameter's numbers, as they were when the text was traced.
    pub(super) fn weight(&self, name: &str) -> Result<&Tensor> {
        let found = self.learnt.iter().find(|(other, _)| other == name);
        found.map(|(_, tensor)| tensor).ok_or_else(|| Error::Config(format!("this trace has no weight {name:?}")))
    }

    /// A query, key or value: a row of the normed stream times a row of their common matrix.
    fn projected(&self, step: &str, place: &[i64]) -> Result<(String, f64)> {
        let (lead, [row, column]) = split(place)?;
        let [text, head] = lead[..] else { return Err(Error::Config(format!("{step} is not of a model's heads"))) };
        let count = |name: &str| -> Result<i64> { Ok(self.step(&self.sibling(step, name))?.tensor.size4()?.1) };
        let (queries, keys, head_dim) =
            (count("attn.queries")?, count("attn.keys")?, self.step(step)?.tensor.size4()?.3);
        // Their matrix has the rows of all queries, then those of the keys, then of the values.
        let before = match part(step) {
            "attn.keys" => queries,
            "attn.values" => queries + keys,
            _ => 0,
        };
        let first = (before + head) * head_dim;
        let input = self.sibling(step, "norm1");
        let x = vector(&self.step(&input)?.tensor, &[text], row)?;
        let matrix = self.weight(&self.sibling(step, "attn.qkv.weight"))?;
        let line = |at: i64| -> Result<(String, f64)> { Ok(sum_of_products(&x, &vector(matrix, &[], first + at)?)) };
        let (sum, product) = line(column)?;
        let arithmetic = format!("{input} · attn.qkv.weight[{}] = {sum}", first + column);
        if part(step) == "attn.values" || !self.step(step)?.formula.contains("one_length") {
            return Ok((arithmetic, product));
        }
        let squares = (0..head_dim).map(|at| Ok(line(at)?.1.powi(2))).sum::<Result<f64>>()? / head_dim as f64;
        let result = product / (squares + EPSILON).sqrt();
        let numbers = format!("{} / √({} + 0.00001)", show(product), show(squares));
        Ok((
            format!("{arithmetic} = {}; brought to one length: x / √(mean(x²) + ε) = {numbers}", show(product)),
            result,
        ))
    }

    /// A query or key turned by its place, with the other number of its pair.
    fn turned(&self, step: &str, place: &[i64]) -> Result<(String, f64)> {
        let (lead, [row, column]) = split(place)?;
        let [text, head] = lead[..] else { return Err(Error::Config(format!("{step} is not of a model's heads"))) };
        let queries = self.step(&self.sibling(step, "attn.queries"))?.tensor.size4()?.1;
        let both = &self.step(&self.sibling(step, "attn.unturned"))?.tensor;
        let head = if part(step) == "attn.keys" { queries + head } else { head };
        let x = vector(both, &[text, head], row)?;
        let pair = column / 2;
        let (a, b) = (x[2 * pair as usize], x[2 * pair as usize + 1]);
        let angle = row as f64 * 10_000_f64.powf(-2.0 * pair as f64 / x.len() as f64);
        let (a_, b_, of_angle) = (show(a), brackets(b), show(angle));
        Ok(match column % 2 {
            0 => (
                format!("a·cos θ − b·sin θ, at angle θ = {of_angle} = {a_} · cos θ − {b_} · sin θ"),
                a * angle.cos() - b * angle.sin(),
            ),
            _ => (
                format!("a·sin θ + b·cos θ, at angle θ = {of_angle} = {a_} · sin θ + {b_} · cos θ"),
                a * angle.sin() + b * angle.cos(),
            ),
        })
    }
}

/// A sum of products, the largest written out, and what it comes to.
pub(super) fn sum_of_products(a: &[f64], b: &[f64]) -> (String, f64) {
    let mut terms: Vec<(f64, f64)> = a.iter().copied().zip(b.iter().copied()).collect();
    let result = terms.iter().map(|(a, b)| a * b).sum();
    terms.sort_by(|one, other| (other.0 * other.1).abs().total_cmp(&(one.0 * one.1).abs()));
    let shown = if terms.len() <= LARGEST + 1 { terms.len() } else { LARGEST };
    let mut written: Vec<String> =
        terms[..shown].iter().map(|&(a, b)| format!("{}·{}", brackets(a), brackets(b))).collect();
    if shown < terms.len() {
        let rest: f64 = terms[shown..].iter().map(|(a, b)| a * b).sum();
        written.push(format!("{} (the {} smaller terms)", brackets(rest), terms.len() - shown));
    }
    (written.join(" + "), result)
}
