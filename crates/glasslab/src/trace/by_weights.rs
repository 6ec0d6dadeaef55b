//! The arithmetic of the steps that are made with learnt numbers: `weights · inputs`, written out.

use super::Trace;
use super::arithmetic::{Share, brackets, pick, show, split, sum_of_products, turn, vector};
use super::describe::{block, is_norm, part};
use crate::error::{Error, Result};
use crate::numbers::numbers;
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
            let product = sum_of_products(&x, &w);
            let bias = bias.map_or(String::new(), |bias| self.sibling(step, bias));
            let ((sum, result), bias) = self.with_bias(&bias, column, product)?;
            Ok((format!("{input} · {of_weight}[{column}]{bias} = {sum}"), result))
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
                let before = self.before(step)?;
                let embedded = self.step(&before)?.number(place)?;
                let position = self.weight("position")?.f_double_value(&[row, column])?;
                (
                    format!("{before} + position[{row}, {column}] = {} + {}", show(embedded), brackets(position)),
                    embedded + position,
                )
            }
            "with_ngrams" => {
                let (_, [row, column]) = split(place)?;
                let before = self.before(step)?;
                let mut result = self.step(&before)?.number(place)?;
                let (mut names, mut numbers) = (before, show(result));
                for (group, at) in self.groups(row as usize) {
                    let number = self.weight("ngrams")?.f_double_value(&[at, column])?;
                    names.push_str(&format!(" + ngrams[{at} (“{group}”), {column}]"));
                    numbers.push_str(&format!(" + {}", brackets(number)));
                    result += number;
                }
                (format!("{names} = {numbers}"), result)
            }
            name if is_norm(name) => {
                let (_, [_, column]) = split(place)?;
                let before = self.normed_by(step)?;
                let x = rows(&before)?;
                let here = pick(&x, column)?;
                let scale = weight(&format!("{name}.weight"))?.f_double_value(&[column])?;
                let epsilon = self.choices.epsilon;
                match weight(&format!("{name}.bias")) {
                    Ok(shift) => {
                        let mean = x.iter().sum::<f64>() / x.len() as f64;
                        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
                        let shift = shift.f_double_value(&[column])?;
                        let numbers = format!(
                            "({} − {}) / √({} + {epsilon}) · {} + {}",
                            show(here),
                            brackets(mean),
                            show(variance),
                            brackets(scale),
                            brackets(shift)
                        );
                        let result = (here - mean) / (variance + epsilon).sqrt() * scale + shift;
                        (format!("({before} − mean) / √(variance + ε) · scale + shift = {numbers}"), result)
                    }
                    Err(_) => {
                        let square = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
                        let numbers = format!("{} / √({} + {epsilon}) · {}", show(here), show(square), brackets(scale));
                        let result = here / (square + epsilon).sqrt() * scale;
                        (format!("{before} / √(mean of squares + ε) · scale = {numbers}"), result)
                    }
                }
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
                let product = sum_of_products(&joined, &vector(weight("attn.output.weight")?, &[], column)?);
                let ((sum, result), bias) = self.with_bias(&self.sibling(step, "attn.output.bias"), column, product)?;
                (format!("all heads of {row}, joined · attn.output.weight[{column}]{bias} = {sum}"), result)
            }
            "mlp.hidden" => linear(&self.sibling(step, "norm2"), "mlp.hidden.weight", Some("mlp.hidden.bias"))?,
            "mlp.gate" => linear(&self.sibling(step, "norm2"), "mlp.gate.weight", None)?,
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
            _ => return Ok(None),
        }))
    }

    /// A parameter's numbers, as they were when the text was traced.
    pub(super) fn weight(&self, name: &str) -> Result<&Tensor> {
        self.learnt.get(name).ok_or_else(|| Error::Config(format!("this trace has no weight {name:?}")))
    }

    /// The groups of characters that end at a place, the shortest first, and their rows in the table of n-grams; ∅ stands for each
    /// character that a text's beginning lacks.
    pub(super) fn groups(&self, place: usize) -> Vec<(String, i64)> {
        let Some((ngrams, ids)) = self.choices.ngrams.zip(self.ids.get(..=place)) else { return Vec::new() };
        let group = |(before, row)| {
            let there = place.min(before + 1);
            (format!("{}{}", "∅".repeat(before + 1 - there), self.labels[place - there..=place].concat()), row)
        };
        ngrams.rows_of(ids).into_iter().enumerate().map(group).collect()
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
        let line = |at: i64| self.projection(step, &x, first + at);
        let ((sum, product), bias) = line(column)?;
        let arithmetic = format!("{input} · attn.qkv.weight[{}]{bias} = {sum}", first + column);
        if part(step) == "attn.values" || !self.step(step)?.formula.contains("one_length") {
            return Ok((arithmetic, product));
        }
        let squares = (0..head_dim).map(|at| Ok(line(at)?.0.1.powi(2))).sum::<Result<f64>>()? / head_dim as f64;
        let epsilon = self.choices.epsilon;
        let mut result = product / (squares + epsilon).sqrt();
        let mut numbers = format!("{} / √({} + {epsilon})", show(product), show(squares));
        if let Some(scale) = self.qk_scale(step, before + head >= queries)? {
            let scale = pick(&scale, column)?;
            numbers.push_str(&format!(" · {}", brackets(scale)));
            result *= scale;
        }
        Ok((
            format!("{arithmetic} = {}; brought to one length: x / √(mean(x²) + ε) = {numbers}", show(product)),
            result,
        ))
    }

    /// A row of the normed stream times row `at` of the matrix of queries, keys and values, and whether there is a bias.
    pub(super) fn projection(&self, step: &str, x: &[f64], at: i64) -> Result<(Share, &'static str)> {
        let matrix = self.weight(&self.sibling(step, "attn.qkv.weight"))?;
        let product = sum_of_products(x, &vector(matrix, &[], at)?);
        self.with_bias(&self.sibling(step, "attn.qkv.bias"), at, product)
    }

    /// A sum and a bias, if there is one of that name.
    fn with_bias(&self, name: &str, place: i64, (sum, result): Share) -> Result<(Share, &'static str)> {
        let Ok(bias) = self.weight(name) else { return Ok(((sum, result), "")) };
        let bias = bias.f_double_value(&[place])?;
        Ok(((format!("{sum} + {}", brackets(bias)), result + bias), " + bias"))
    }

    /// What the queries, or keys, of a block are multiplied by once they have one length.
    pub(super) fn qk_scale(&self, step: &str, of_keys: bool) -> Result<Option<Vec<f64>>> {
        let name = if of_keys { "attn.keys_norm.weight" } else { "attn.queries_norm.weight" };
        self.weight(&self.sibling(step, name)).ok().map(numbers).transpose()
    }

    /// A query or key turned by its place, with the other number of its pair.
    fn turned(&self, step: &str, place: &[i64]) -> Result<Share> {
        let (lead, [row, column]) = split(place)?;
        let [text, head] = lead[..] else { return Err(Error::Config(format!("{step} is not of a model's heads"))) };
        let queries = self.step(&self.sibling(step, "attn.queries"))?.tensor.size4()?.1;
        let both = &self.step(&self.sibling(step, "attn.unturned"))?.tensor;
        let head = if part(step) == "attn.keys" { queries + head } else { head };
        let x = vector(both, &[text, head], row)?;
        turn(&x, self.choices.speeds_of_block(block(step)), row, column, false)
    }
}
