//! The arithmetic of the steps that are made with learnt numbers: `weights · inputs`, written out.

use super::Trace;
use super::arithmetic::{EPSILON, Share, bell, brackets, pick, show, split, sum_of_products, turn, vector};
use super::describe::part;
use crate::error::{Error, Result};
use tch::Tensor;

impl Trace {
    /// A number of a step as a line of arithmetic and what it comes to; `None` for a step without weights.
    ///
    /// # Errors
    /// If the trace has not the weights that such a step has in the library's models.
    pub(super) fn by_weights(&self, step: &str, place: &[i64]) -> Result<Option<Share>> {
        let weight = |name: &str| self.weight(&self.sibling(step, name));
        let rows = |name: &str| -> Result<Vec<f64>> {
            let (lead, [row, _]) = split(place)?;
            vector(&self.step(name)?.tensor, lead, row)
        };
        // A row of the step before times a row of a weight.
        let linear = |input: &str, of_weight: &str, bias: Option<&str>| -> Result<Share> {
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
                let id = pick(&self.ids, row)?;
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
                let (mean, here) = (x.iter().sum::<f64>() / x.len() as f64, pick(&x, column)?);
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
                    joined.extend(vector(heads, &[pick(lead, 0)?, head], row)?);
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
                let (share, _) = bell(hidden)?;
                (format!("hidden · Φ(hidden) = {} · {}", show(hidden), show(share)), hidden * share)
            }
            _ => return Ok(None),
        }))
    }

    /// A parameter's numbers, as they were when the text was traced.
    pub(super) fn weight(&self, name: &str) -> Result<&Tensor> {
        self.learnt.get(name).ok_or_else(|| Error::Config(format!("this trace has no weight {name:?}")))
    }

    /// A query, key or value: a row of the normed stream times a row of their common matrix.
    fn projected(&self, step: &str, place: &[i64]) -> Result<Share> {
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
        let line = |at: i64| -> Result<Share> { Ok(sum_of_products(&x, &vector(matrix, &[], first + at)?)) };
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
    fn turned(&self, step: &str, place: &[i64]) -> Result<Share> {
        let (lead, [row, column]) = split(place)?;
        let [text, head] = lead[..] else { return Err(Error::Config(format!("{step} is not of a model's heads"))) };
        let queries = self.step(&self.sibling(step, "attn.queries"))?.tensor.size4()?.1;
        let both = &self.step(&self.sibling(step, "attn.unturned"))?.tensor;
        let head = if part(step) == "attn.keys" { queries + head } else { head };
        let x = vector(both, &[text, head], row)?;
        turn(&x, row, column, false)
    }
}
