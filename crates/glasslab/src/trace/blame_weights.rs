//! The arithmetic behind the gradient of a learnt number: a sum over the characters, or over the places where it was used.

use super::Trace;
use super::arithmetic::{Share, brackets, normed, pick, sum_of_products, vector};
use super::describe::{is_norm, part};
use crate::error::{Error, Result};
use crate::numbers::numbers;
use tch::Tensor;

impl Trace {
    /// A sum over the characters of ∂out · in, each with its character.
    fn over_places(&self, slopes: &[f64], inputs: Option<&[f64]>, what: &str) -> Share {
        let ones = vec![1.0; slopes.len()];
        let (sum, result) = sum_of_products(slopes, inputs.unwrap_or(&ones));
        let terms = slopes.iter().zip(inputs.unwrap_or(&ones)).map(|(a, b)| (a * b).abs()).enumerate();
        let most = terms.max_by(|one, other| one.1.total_cmp(&other.1)).map_or(0, |(place, _)| place);
        let most = self.labels.get(most).map_or(String::new(), |label| format!(", most of it at {most} (“{label}”)"));
        (format!("Σₜ {what} = {sum}{most}"), result)
    }

    /// What a learnt number's gradient is the sum of, and which characters it comes from.
    pub(super) fn shares_of_parameter(&self, name: &str, place: &[i64]) -> Result<Vec<Share>> {
        let column_of = |tensor: &Tensor, column: i64| numbers(&tensor.f_get(0)?.f_select(1, column)?);
        let one = |share: Share| Ok(vec![share]);
        let sum_over = |out: &str, input: &str| -> Result<Vec<Share>> {
            let [row, column] = matrix(place)?;
            let (slopes, inputs) = (column_of(self.slopes(out)?, row)?, column_of(&self.step(input)?.tensor, column)?);
            one(self.over_places(&slopes, Some(&inputs), &format!("∂{out}[t, {row}] · {input}[t, {column}]")))
        };
        let bias = |out: &str| -> Result<Vec<Share>> {
            let place = pick(place, 0)?;
            one(self.over_places(&column_of(self.slopes(out)?, place)?, None, &format!("∂{out}[t, {place}]")))
        };
        let as_head = || -> Result<Vec<Share>> { sum_over("logits", &self.last_stream()?) };
        let block = |part: &str| self.sibling(name, part);
        match part(name) {
            "embedding" => {
                let [id, column] = matrix(place)?;
                let piece = self.tokenizer.unit().one;
                let stands: Vec<usize> = (0..self.ids.len()).filter(|&place| self.ids[place] == id).collect();
                let all = column_of(self.slopes("embedded")?, column)?;
                let slopes: Vec<f64> = stands.iter().map(|&at| pick(&all, at as i64)).collect::<Result<_>>()?;
                let terms: Vec<String> =
                    stands.iter().zip(&slopes).map(|(at, slope)| format!("{} at {at}", brackets(*slope))).collect();
                let mut shares = vec![match terms.is_empty() {
                    true => (format!("0: this {piece} does not stand in the text"), 0.0),
                    false => (
                        format!("∂embedded[t, {column}] where the {piece} stands: {}", terms.join(" + ")),
                        slopes.iter().sum(),
                    ),
                }];
                if self.output_head() == "embedding" {
                    shares.extend(as_head()?);
                }
                Ok(shares)
            }
            "head" => as_head(),
            "position" => {
                let [row, column] = matrix(place)?;
                match row < self.labels.len() as i64 {
                    true => one(self.copied("positioned", &[0, row, column])?),
                    false => one(("0: the text does not reach so far".to_owned(), 0.0)),
                }
            }
            "ngrams" => {
                let [row, column] = matrix(place)?;
                let all = column_of(self.slopes("with_ngrams")?, column)?;
                let uses = (0..self.ids.len()).flat_map(|at| self.groups(at).into_iter().map(move |group| (at, group)));
                let slopes = uses.filter(|(_, (_, other))| *other == row);
                let slopes: Vec<(usize, String, f64)> =
                    slopes.map(|(at, (group, _))| Ok((at, group, pick(&all, at as i64)?))).collect::<Result<_>>()?;
                let terms = slopes.iter().map(|(at, group, slope)| format!("{} at {at} (“{group}”)", brackets(*slope)));
                one(match slopes.is_empty() {
                    true => ("0: no group in the text has this row".to_owned(), 0.0),
                    false => (
                        format!(
                            "∂with_ngrams[t, {column}] where a group of this row ends: {}",
                            terms.collect::<Vec<_>>().join(" + ")
                        ),
                        slopes.iter().map(|(_, _, slope)| slope).sum(),
                    ),
                })
            }
            "hidden.weight" => sum_over("hidden", "embedded"),
            "hidden.bias" => bias("hidden"),
            "output.weight" => sum_over("output", "activated"),
            "output.bias" => bias("output"),
            "mlp.hidden.weight" => sum_over(&block("mlp.hidden"), &block("norm2")),
            "mlp.gate.weight" => sum_over(&block("mlp.gate"), &block("norm2")),
            "attn.output.bias" => bias(&block("attn.output")),
            "mlp.hidden.bias" => bias(&block("mlp.hidden")),
            "mlp.output.weight" => sum_over(&block("mlp.output"), &block("mlp.activated")),
            "mlp.output.bias" => bias(&block("mlp.output")),
            "attn.output.weight" => {
                let [row, column] = matrix(place)?;
                let heads = &self.step(&block("attn.heads"))?.tensor;
                let head_dim = heads.size4()?.3;
                let slopes = column_of(self.slopes(&block("attn.output"))?, row)?;
                let inputs = numbers(&heads.f_get(0)?.f_get(column / head_dim)?.f_select(1, column % head_dim)?)?;
                one(self.over_places(&slopes, Some(&inputs), &format!("∂attn.output[t, {row}] · heads[t, {column}]")))
            }
            "attn.qkv.weight" => {
                let [row, column] = matrix(place)?;
                let slopes = (0..self.labels.len() as i64).map(|at| pick(&self.slopes_of_projections(name, at)?, row));
                let inputs = column_of(&self.step(&block("norm1"))?.tensor, column)?;
                one(self.over_places(
                    &slopes.collect::<Result<Vec<f64>>>()?,
                    Some(&inputs),
                    &format!("∂(queries, keys, values)[t, {row}] · norm1[t, {column}]"),
                ))
            }
            "attn.qkv.bias" => {
                let row = pick(place, 0)?;
                let slopes = (0..self.labels.len() as i64).map(|at| pick(&self.slopes_of_projections(name, at)?, row));
                let slopes = slopes.collect::<Result<Vec<f64>>>()?;
                one(self.over_places(&slopes, None, &format!("∂(queries, keys, values)[t, {row}]")))
            }
            which @ ("attn.queries_norm.weight" | "attn.keys_norm.weight") => {
                let column = pick(place, 0)?;
                let (mut slopes, mut inputs) = (Vec::new(), Vec::new());
                for at in 0..self.labels.len() as i64 {
                    let all = self.projected_at(name, at)?.into_iter();
                    for part in all.filter(|part| part.of_keys == (which == "attn.keys_norm.weight")) {
                        let Some(products) = part.products else { continue };
                        slopes.push(pick(&part.slopes, column)?);
                        inputs.push(pick(&normed(&products, false, self.choices.epsilon).0, column)?);
                    }
                }
                let (sum, result) = sum_of_products(&slopes, &inputs);
                one((format!("Σₜ over all heads: ∂ · what has one length[t, {column}] = {sum}"), result))
            }
            other => {
                let (norm, is_scale) = match other.rsplit_once('.') {
                    Some((norm, end @ ("weight" | "bias"))) if is_norm(norm) => (block(norm), end == "weight"),
                    _ => return Err(Error::Config("it is no parameter of the library's models".to_owned())),
                };
                if !is_scale {
                    return bias(&norm);
                }
                let column = pick(place, 0)?;
                let slopes = column_of(self.slopes(&norm)?, column)?;
                let stream = &self.step(&self.normed_by(&norm)?)?.tensor;
                let (centred, epsilon) = (self.weight(&format!("{norm}.bias")).is_ok(), self.choices.epsilon);
                let row = |at| -> Result<Vec<f64>> { Ok(normed(&vector(stream, &[0], at)?, centred, epsilon).0) };
                let inputs = (0..slopes.len() as i64).map(|at| pick(&row(at)?, column));
                one(self.over_places(
                    &slopes,
                    Some(&inputs.collect::<Result<Vec<f64>>>()?),
                    &format!("∂{norm}[t, {column}] · normed[t, {column}]"),
                ))
            }
        }
    }
}

/// A place in a matrix.
fn matrix(place: &[i64]) -> Result<[i64; 2]> {
    <[i64; 2]>::try_from(place)
        .map_err(|_| Error::Config("it has not a row and a column, as in the library's models".to_owned()))
}
