//! The arithmetic behind one gradient of a backward pass: what a number is to blame for, from the gradients of what was
//! made with it.
//!
//! Every rule is the chain rule: the gradient of a number is the sum, over everything that it went into, of that thing's
//! gradient times how much the thing changes with the number.

use super::arithmetic::{
    Activated, Share, activate, brackets, normed, pick, shared, show, split, sum_of_products, turn, vector,
};
use super::describe::{block, part};
use super::hook_points::INTO;
use super::{ByHand, Trace};
use crate::error::{Error, Result};
use crate::numbers::numbers;
use tch::Tensor;

impl Trace {
    /// Computes one gradient of a step or a parameter again from the gradients of the steps after it, and writes the
    /// arithmetic out. Of long sums, the largest terms stand there, and the rest as one number. A parameter that has a
    /// step's name is `parameter:NAME`.
    ///
    /// # Errors
    /// If this is no trace of a backward pass, there is no such number, or the step is none that the library knows.
    pub fn blame(&self, name: &str, place: &[i64]) -> Result<ByHand> {
        let (step, parameter) = self.step_or_parameter(name)?;
        let traced = step.gradient()?.number(place)?;
        let shares = match parameter {
            Some(parameter) => self.shares_of_parameter(parameter, place),
            None => self.shares(&step.name, place),
        };
        let name = &step.name;
        let shares = shares
            .map_err(|error| Error::Config(format!("there is no line of arithmetic for ∂loss/∂{name}: {error}")))?;
        let result = shares.iter().map(|(_, number)| number).sum();
        let at = place.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let arithmetic = shares.into_iter().map(|(text, _)| text).collect::<Vec<_>>().join("\n  + ");
        Ok(ByHand {
            arithmetic: format!("∂loss/∂{name}[{at}] =\n    {arithmetic}\n  = {}", show(result)),
            result,
            traced,
        })
    }

    pub(super) fn slopes(&self, step: &str) -> Result<&Tensor> {
        Ok(&self.step(step)?.gradient()?.tensor)
    }

    /// How many predictions the loss is the mean of.
    fn predictions(&self) -> f64 {
        (self.labels.len() - 1) as f64
    }

    /// ∂out · column of a weight.
    fn through(&self, out: &str, weight: &str, lead: &[i64], row: i64, column: i64) -> Result<Share> {
        let slopes = vector(self.slopes(out)?, lead, row)?;
        let (sum, result) = sum_of_products(&slopes, &numbers(&self.weight(weight)?.f_select(1, column)?)?);
        Ok((format!("∂{out}[{row}] · {weight}[·, {column}] = {sum}"), result))
    }

    pub(super) fn copied(&self, out: &str, place: &[i64]) -> Result<Share> {
        let slope = self.step(out)?.gradient()?.number(place)?;
        Ok((format!("∂{out} = {}, into which it was added as it is", show(slope)), slope))
    }

    fn shares(&self, name: &str, place: &[i64]) -> Result<Vec<Share>> {
        let sibling = |part: &str| self.sibling(name, part);
        let value = |part: &str| -> Result<&Tensor> { Ok(&self.step(&sibling(part))?.tensor) };
        let last = self.labels.len() as i64 - 1;
        let count = self.predictions();
        let came = |row: i64| pick(&self.ids, row + 1);
        let one = |share: Share| Ok(vec![share]);
        match part(name) {
            "loss" => one((format!("1 / {count}: the loss is the mean of {count} predictions"), 1.0 / count)),
            "probabilities" | "logits" => {
                let (_, [row, column]) = split(place)?;
                if row == last {
                    return one((
                        format!("0: nobody knows what comes after the last {}", self.tokenizer.unit().one),
                        0.0,
                    ));
                }
                let p = self.step("probabilities")?.number(place)?;
                let hit = f64::from(came(row)? == column);
                let next = &self.labels[row as usize + 1];
                one(match (part(name), hit) {
                    ("logits", _) => (
                        format!("(probability − {hit}) / {count} = ({} − {hit}) / {count}, as “{next}” came", show(p)),
                        (p - hit) / count,
                    ),
                    (_, 1.0) => (
                        format!("−1 / ({count} · {}): the slope of −ln p, for “{next}”, which came", show(p)),
                        -1.0 / (count * p),
                    ),
                    _ => (
                        format!("0: it was the probability of another {} that counted", self.tokenizer.unit().one),
                        0.0,
                    ),
                })
            }
            "output" | "final_norm" => {
                let (lead, [row, column]) = split(place)?;
                one(self.through("logits", self.output_head(), lead, row, column)?)
            }
            "activated" => {
                let (lead, [row, column]) = split(place)?;
                one(self.through("output", "output.weight", lead, row, column)?)
            }
            "hidden" | "mlp.hidden" => {
                let after = if part(name) == "hidden" { "activated".to_owned() } else { sibling("mlp.activated") };
                let (x, slope) = (self.step(name)?.number(place)?, self.step(&after)?.gradient()?.number(place)?);
                let formula = &self.step(&after)?.formula;
                if part(name) == "mlp.hidden" && self.is_gated(name) {
                    let gate = self.step(&sibling("mlp.gate"))?.number(place)?;
                    let Activated { value, .. } = activate(formula, gate)?;
                    return one((
                        format!("∂{after} · what the gate lets through = {} · {}", brackets(slope), show(value)),
                        slope * value,
                    ));
                }
                let Activated { how, slope: inner, .. } = activate(formula, x)?;
                one((
                    format!("∂{after} · slope of the activation ({how}) = {} · {}", brackets(slope), show(inner)),
                    slope * inner,
                ))
            }
            "mlp.gate" => {
                let after = self.step(&sibling("mlp.activated"))?;
                let slope = after.gradient()?.number(place)?;
                let hidden = self.step(&sibling("mlp.hidden"))?.number(place)?;
                let Activated { how, slope: inner, .. } = activate(&after.formula, self.step(name)?.number(place)?)?;
                one((
                    format!(
                        "∂{} · hidden · slope of the activation ({how}) = {} · {} · {}",
                        after.name,
                        brackets(slope),
                        brackets(hidden),
                        show(inner)
                    ),
                    slope * hidden * inner,
                ))
            }
            "mlp.output" => one(self.added_to_stream(name, "mlp_norm", "after_mlp", place)?),
            "attn.output" => one(self.added_to_stream(name, "attn_norm", "after_attn", place)?),
            "mlp_norm" => one(self.copied(&sibling("after_mlp"), place)?),
            "attn_norm" => one(self.copied(&sibling("after_attn"), place)?),
            "mlp.activated" => {
                let (lead, [row, column]) = split(place)?;
                one(self.through(&sibling("mlp.output"), &sibling("mlp.output.weight"), lead, row, column)?)
            }
            "norm2" => {
                let (lead, [row, column]) = split(place)?;
                let units = if self.is_gated(name) { &["mlp.hidden", "mlp.gate"][..] } else { &["mlp.hidden"] };
                let through = |unit: &&str| {
                    let weight = sibling(&format!("{unit}.weight"));
                    self.through(&sibling(unit), &weight, lead, row, column)
                };
                units.iter().map(through).collect()
            }
            "norm1" => {
                let (_, [row, column]) = split(place)?;
                let slopes = self.slopes_of_projections(name, row)?;
                let matrix = self.weight(&sibling("attn.qkv.weight"))?;
                let (sum, result) = sum_of_products(&slopes, &numbers(&matrix.f_select(1, column)?)?);
                one((format!("∂(queries, keys, values)[{row}] · attn.qkv.weight[·, {column}] = {sum}"), result))
            }
            "attn.heads" => {
                let (lead, [row, column]) = split(place)?;
                let head_dim = self.step(name)?.tensor.size4()?.3;
                one(self.through(
                    &sibling("attn.output"),
                    &sibling("attn.output.weight"),
                    &[pick(lead, 0)?],
                    row,
                    pick(lead, 1)? * head_dim + column,
                )?)
            }
            "attn.weights" => {
                let (lead, [row, column]) = split(place)?;
                let values = value("attn.values")?;
                let of_values = shared(lead, &self.step(name)?.tensor, values);
                let (sum, result) = sum_of_products(
                    &vector(self.slopes(&sibling("attn.heads"))?, lead, row)?,
                    &vector(values, &of_values, column)?,
                );
                one((format!("∂heads[{row}] · values[{column}] = {sum}"), result))
            }
            "attn.masked" => {
                let (lead, [row, column]) = split(place)?;
                let weights = vector(value("attn.weights")?, lead, row)?;
                let slopes = vector(self.slopes(&sibling("attn.weights"))?, lead, row)?;
                let (w, slope) = (pick(&weights, column)?, pick(&slopes, column)?);
                let formula = &self.step(&sibling("attn.weights"))?.formula;
                if formula.contains("head 0") && lead.last() == Some(&0) {
                    return one(("0: head 0 is not learnt, and does not ask for scores".to_owned(), 0.0));
                }
                if formula.contains('σ') {
                    return one((
                        format!("w·(1 − w) · ∂w = {0}·(1 − {0}) · {1}", show(w), brackets(slope)),
                        w * (1.0 - w) * slope,
                    ));
                }
                let mean: f64 = weights.iter().zip(&slopes).map(|(w, slope)| w * slope).sum();
                let numbers = format!("{} · ({} − {})", show(w), show(slope), brackets(mean));
                one((format!("w · (∂w − Σₛ w[s]·∂w[s]) = {numbers}: more here is less elsewhere"), w * (slope - mean)))
            }
            "attn.scores" => {
                let (_, [row, column]) = split(place)?;
                match column <= row {
                    true => one(self.copied(&sibling("attn.masked"), place)?),
                    false => one((format!("0: {column} > {row}, the mask lets nothing through"), 0.0)),
                }
            }
            "attn.values" | "attn.keys" => {
                let (lead, [row, column]) = split(place)?;
                let heads = value("attn.weights")?.size4()?.1;
                let groups = self.step(name)?.tensor.size4()?.1;
                let is_values = part(name) == "attn.values";
                let [text, group] = lead[..] else {
                    return Err(Error::Config("it is not of a model's heads".to_owned()));
                };
                let root = (self.step(name)?.tensor.size4()?.3 as f64).sqrt();
                (group * heads / groups..(group + 1) * heads / groups)
                    .map(|head| {
                        let of_head = |tensor: &Tensor, column: i64| -> Result<Vec<f64>> {
                            numbers(&tensor.f_get(text)?.f_get(head)?.f_select(1, column)?)
                        };
                        Ok(if is_values {
                            let (weights, slopes) = (
                                of_head(value("attn.weights")?, row)?,
                                of_head(self.slopes(&sibling("attn.heads"))?, column)?,
                            );
                            let (sum, result) = sum_of_products(&weights, &slopes);
                            (format!("Σₜ weights[t, {row}] · ∂heads[t, {column}], head {head} = {sum}"), result)
                        } else {
                            let (slopes, queries) = (
                                of_head(self.slopes(&sibling("attn.scores"))?, row)?,
                                of_head(value("attn.queries")?, column)?,
                            );
                            let (sum, result) = sum_of_products(&slopes, &queries);
                            (
                                format!(
                                    "Σₜ ∂scores[t, {row}] · queries[t, {column}] / {}, head {head} = ({sum}) / {}",
                                    show(root),
                                    show(root)
                                ),
                                result / root,
                            )
                        })
                    })
                    .collect()
            }
            "attn.queries" => {
                let (lead, [row, column]) = split(place)?;
                let keys = value("attn.keys")?;
                let mut of_keys = keys.shallow_clone();
                for at in shared(lead, &self.step(name)?.tensor, keys) {
                    of_keys = of_keys.f_get(at)?;
                }
                let root = (keys.size4()?.3 as f64).sqrt();
                let slopes = vector(self.slopes(&sibling("attn.scores"))?, lead, row)?;
                let (sum, result) = sum_of_products(&slopes, &numbers(&of_keys.f_select(1, column)?)?);
                one((
                    format!("Σₛ ∂scores[{row}, s] · keys[s, {column}] / {0} = ({sum}) / {0}", show(root)),
                    result / root,
                ))
            }
            "attn.unturned" => {
                let (lead, [row, column]) = split(place)?;
                let queries = value("attn.queries")?.size4()?.1;
                let [text, head] = lead[..] else {
                    return Err(Error::Config("it is not of a model's heads".to_owned()));
                };
                let (of, head) = if head < queries { ("attn.queries", head) } else { ("attn.keys", head - queries) };
                let slopes = vector(self.slopes(&sibling(of))?, &[text, head], row)?;
                one(turn(&slopes, self.choices.speeds_of_block(block(name)), row, column, true)?)
            }
            "embedded" if self.step("hidden").is_ok() => {
                let (lead, [row, column]) = split(place)?;
                one(self.through("hidden", "hidden.weight", lead, row, column)?)
            }
            "embedded" if self.step("scaled").is_ok() => {
                let (slope, root) =
                    (self.step("scaled")?.gradient()?.number(place)?, (self.choices.emb_dim as f64).sqrt());
                one((format!("∂scaled · √emb_dim = {} · {}", brackets(slope), show(root)), slope * root))
            }
            "embedded" | "scaled" if self.step("positioned").is_ok() => one(self.copied("positioned", place)?),
            "embedded" | "scaled" | "positioned" if self.step("with_ngrams").is_ok() => {
                one(self.copied("with_ngrams", place)?)
            }
            "after_attn" | "after_mlp" => self.shares_of_stream(name, place),
            into if INTO.contains(&into) => self.shares_of_stream(name, place),
            _ => Err(Error::Config("it is no step of the library's models".to_owned())),
        }
    }

    /// What reads the stream after a step: the norm of the next part, or the output head; and the stream that goes on.
    fn shares_of_stream(&self, name: &str, place: &[i64]) -> Result<Vec<Share>> {
        let (lead, [row, column]) = split(place)?;
        let at = self.steps.iter().position(|step| step.name == name).unwrap_or(0);
        let mut shares = Vec::new();
        for step in &self.steps[at + 1..] {
            match part(&step.name) {
                "norm1" | "norm2" | "final_norm" if shares.is_empty() => {
                    shares.push(self.through_norm(&step.name, name, lead, row, column)?)
                }
                "after_attn" | "after_mlp" => {
                    shares.push(self.copied(&step.name, place)?);
                    return Ok(shares);
                }
                "logits" if shares.is_empty() => {
                    shares.push(self.through("logits", self.output_head(), lead, row, column)?)
                }
                _ => {}
            }
        }
        Ok(shares)
    }

    /// What a part gives, which is added to the stream as it is, or normalised before.
    fn added_to_stream(&self, output: &str, norm: &str, stream: &str, place: &[i64]) -> Result<Share> {
        let norm = self.sibling(output, norm);
        if self.step(&norm).is_err() {
            return self.copied(&self.sibling(output, stream), place);
        }
        let (lead, [row, column]) = split(place)?;
        self.through_norm(&norm, output, lead, row, column)
    }

    fn through_norm(&self, norm: &str, stream: &str, lead: &[i64], row: i64, column: i64) -> Result<Share> {
        let (x, mut slopes) = (vector(&self.step(stream)?.tensor, lead, row)?, vector(self.slopes(norm)?, lead, row)?);
        if let Ok(scale) = self.weight(&format!("{norm}.weight")) {
            slopes.iter_mut().zip(numbers(scale)?).for_each(|(slope, scale)| *slope *= scale);
        }
        let centred = self.weight(&format!("{norm}.bias")).is_ok();
        let (normed, size) = normed(&x, centred, self.choices.epsilon);
        let mean = |numbers: &mut dyn Iterator<Item = f64>| numbers.sum::<f64>() / x.len() as f64;
        let shift = if centred { mean(&mut slopes.iter().copied()) } else { 0.0 };
        let along = mean(&mut slopes.iter().zip(&normed).map(|(slope, x)| slope * x));
        let (slope, here) = (pick(&slopes, column)?, pick(&normed, column)?);
        let result = (slope - shift - here * along) / size;
        let less = if centred { format!(" − {}", brackets(shift)) } else { String::new() };
        Ok((
            format!(
                "through {norm}: ({}{less} − {}·{}) / {}: what all numbers of the row have in common is no use to it",
                show(slope),
                brackets(here),
                brackets(along),
                show(size)
            ),
            result,
        ))
    }

    /// The table that makes logits.
    pub(super) fn output_head(&self) -> &'static str {
        if self.weight("head").is_ok() { "head" } else { "embedding" }
    }

    /// The step that the output head reads.
    pub(super) fn last_stream(&self) -> Result<String> {
        match self.step("final_norm").or_else(|_| self.step("output")) {
            Ok(step) => Ok(step.name.clone()),
            Err(_) => self.before("logits"),
        }
    }

    /// ∂loss of what a place's queries, keys and values are before they are brought to one length and turned.
    pub(super) fn slopes_of_projections(&self, name: &str, row: i64) -> Result<Vec<f64>> {
        let mut all = Vec::new();
        for part in self.projected_at(name, row)? {
            let Projected { mut slopes, of_keys, products } = part;
            let Some(products) = products else {
                all.extend(slopes);
                continue;
            };
            if let Some(scale) = self.qk_scale(name, of_keys)? {
                slopes.iter_mut().zip(scale).for_each(|(slope, scale)| *slope *= scale);
            }
            let (normed, size) = normed(&products, false, self.choices.epsilon);
            let along = slopes.iter().zip(&normed).map(|(slope, x)| slope * x).sum::<f64>() / normed.len() as f64;
            all.extend(slopes.iter().zip(&normed).map(|(slope, x)| (slope - x * along) / size));
        }
        Ok(all)
    }

    /// A place's queries, then its keys, then its values, head by head.
    pub(super) fn projected_at(&self, name: &str, row: i64) -> Result<Vec<Projected>> {
        let sibling = |part: &str| self.sibling(name, part);
        let unturned = self.step(&sibling("attn.unturned")).is_ok();
        let parts: &[&str] =
            if unturned { &["attn.unturned", "attn.values"] } else { &["attn.queries", "attn.keys", "attn.values"] };
        let x = vector(&self.step(&sibling("norm1"))?.tensor, &[0], row)?;
        let queries = self.step(&sibling("attn.queries"))?.tensor.size4()?.1;
        let (mut all, mut first) = (Vec::new(), 0);
        for &of in parts {
            let step = self.step(&sibling(of))?;
            let (_, heads, _, head_dim) = step.tensor.size4()?;
            for head in 0..heads {
                let is_normed = of != "attn.values" && step.formula.contains("one_length");
                let products = (first..first + head_dim).map(|at| Ok(self.projection(name, &x, at)?.0.1));
                all.push(Projected {
                    slopes: vector(self.slopes(&step.name)?, &[0, head], row)?,
                    of_keys: of == "attn.keys" || of == "attn.unturned" && head >= queries,
                    products: if is_normed { Some(products.collect::<Result<_>>()?) } else { None },
                });
                first += head_dim;
            }
        }
        Ok(all)
    }
}

/// A query, a key or a value at a place.
pub(super) struct Projected {
    /// ∂loss of it once it has been brought to one length, if it is.
    pub(super) slopes: Vec<f64>,
    pub(super) of_keys: bool,
    /// What it is before that, if it is brought to one length.
    pub(super) products: Option<Vec<f64>>,
}

#[cfg(test)]
mod tests {
    use super::super::Traceable;
    use super::super::tests::{awake, largest_place, variants};
    use crate::model::{MlpConfig, MlpLm, wake};
    use crate::trace::Trace;
    use tch::{Device, Kind};

    fn check(trace: &Trace) {
        for step in trace.steps.iter().chain(&trace.parameters).filter(|step| step.name != "ids") {
            let gradient = &step.gradient().unwrap().tensor;
            let size = gradient.size();
            let most = gradient.abs().max().double_value(&[]);
            let places = [
                largest_place(gradient),
                size.iter().map(|size| size / 2).collect(),
                size.iter().map(|size| size - 1).collect(),
                vec![0; size.len()],
            ];
            for place in places {
                let blame = trace.blame(&step.name, &place).unwrap();
                assert!(blame.difference() <= 2e-4 * most.max(1e-6), "{}{place:?}: {blame}", step.name);
            }
        }
    }

    #[test]
    fn every_gradient_of_every_model_is_what_its_arithmetic_comes_to() {
        check(&wake(MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap(), 0.2).backward("Once upon").unwrap());
        for config in variants() {
            check(&awake(config).backward("Once upon").unwrap());
        }
    }

    #[test]
    fn a_gradient_that_is_not_there_is_told() {
        let model = awake(variants()[0]);
        assert!(
            model
                .trace("Once")
                .unwrap()
                .blame("logits", &[0, 0, 0])
                .unwrap_err()
                .to_string()
                .contains("model.backward")
        );
        let trace = model.backward("Once").unwrap();
        assert!(trace.blame("ids", &[0, 0]).is_err() && trace.blame("logits", &[0, 0, 256]).is_err());
        let logits = trace.blame("logits", &[0, 0, 110]).unwrap().to_string();
        assert!(logits.contains("“n” came") && logits.contains("/ 3"), "{logits}");
        assert!(trace.blame("embedding", &[110, 3]).unwrap().arithmetic.contains("at 1"), "where the character stands");
        assert_eq!(trace.steps.iter().filter(|step| step.tensor.kind() == Kind::Int64).count(), 1);
    }
}
