//! The backward pass, step by step: how much the loss would change with each number on the way, and with each parameter.
//!
//! One forward pass goes through a probe that keeps every step in libtorch's graph; one backward pass from the mean loss of
//! the text's predictions then gives ∂loss/∂number for all of them at once, in nats per unit. Read from the last row up,
//! it tells who is to blame. That a gradient tells the truth is seen by moving a number a little: [`Nudge`].
//!
//! ```
//! # use glasslab::prelude::*;
//! # fn main() -> Result<()> {
//! let model = MlpLm::new(MlpConfig::original(), Device::Cpu)?;
//! let trace = model.backward("Once upon a time")?;
//! println!("{}", trace.step("hidden")?.gradient()?.number(&[0, 3, 7])?);
//! println!("{}", model.nudge("Once upon a time", "hidden", &[0, 3, 7], 0.01)?);
//! # Ok(())
//! # }
//! ```
//! Source: Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", 1986.

use super::by_hand::show;
use super::{Input, Trace, TraceStep, Traceable, largest_difference};
use crate::error::{Error, Result};
use crate::model::{NoProbe, Parameter, Probe, Step};
use crate::view::Quantity;
use std::fmt::{self, Display};
use tch::{Kind, Tensor};

/// Keeps every step, and what libtorch needs to go back to it.
#[derive(Default)]
struct Kept {
    steps: Vec<Tensor>,
    names: Vec<String>,
}

impl Probe for Kept {
    fn at(&mut self, name: impl Display, tensor: Tensor) -> Tensor {
        self.names.push(name.to_string());
        self.steps.push(tensor.shallow_clone());
        tensor
    }
}

/// The loss of each prediction, computed as it is told: −ln of the probability of the character that came.
///
/// # Shapes
/// `logits`: (1, T, V) · `ids`: (1, T) → (1, T − 1), in double precision, in which no probability becomes 0
fn losses(logits: &Tensor, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
    let last = ids.size()[1] - 1;
    let probabilities = probe.at("probabilities", logits.f_softmax(-1, Kind::Double)?); // (1, T, V)
    let next = ids.f_narrow(1, 1, last)?.f_unsqueeze(-1)?; // (1, T − 1, 1)
    let chosen = probabilities.f_narrow(1, 0, last)?.f_gather(-1, &next, false)?;
    Ok(probe.at("loss", chosen.f_squeeze_dim(-1)?.f_log()?.f_neg()?))
}

impl Trace {
    /// What a model does with a text, and what each number of it does to the loss; the same as `model.backward(text)`.
    ///
    /// # Errors
    /// See [`Traceable::backward`].
    pub fn backward_of(model: &impl Traceable, text: &str) -> Result<Trace> {
        let input = Input::for_loss(model, text)?;
        let ids = input.tensor(model.device())?; // (1, T)
        let parameters = model.learnt();
        let (logits, kept, mean) = tch::with_grad(|| -> Result<_> {
            let mut kept = Kept::default();
            let logits = model.forward_with(&ids, &mut kept)?; // (1, T, V)
            let mean = losses(&logits, &ids, &mut kept)?.f_mean(Kind::Double)?;
            Ok((logits.detach(), kept, mean))
        })?;
        if !mean.requires_grad() {
            return Err(Error::Config(
                "no parameter of this model is to be learnt (requires_grad is false for all), so nothing has a gradient: \
                 `set_requires_grad(true)` on those that are"
                    .to_owned(),
            ));
        }
        let all = kept.steps.iter().chain(parameters.iter().map(|parameter| &parameter.tensor));
        let asked: Vec<bool> = all.clone().map(Tensor::requires_grad).collect();
        let wanted: Vec<&Tensor> = all.zip(&asked).filter_map(|(tensor, asked)| asked.then_some(tensor)).collect();
        let mut found = Tensor::f_run_backward(&[mean], &wanted, false, false)?.into_iter();
        // What the loss does not depend on has a gradient of 0, and what is not to be learnt has none.
        let mut gradients = asked.iter().map(|asked| asked.then(|| found.next().filter(Tensor::defined)));

        let _guard = tch::no_grad_guard();
        let max_abs_error = largest_difference(&logits, &model.logits(&ids)?)?;
        let mut trace = Trace::empty(model, input, max_abs_error);
        let steps = kept.names.into_iter().zip(kept.steps).map(|(name, tensor)| Step { name, tensor: tensor.detach() });
        trace.take(steps, model.model_config().as_ref())?;
        for step in &mut trace.steps {
            step.keep(gradients.next().flatten())?;
        }
        for (name, tensor) in &trace.learnt {
            let step = Step { name: name.clone(), tensor: tensor.shallow_clone() };
            let mut parameter = TraceStep::new(step, None, -1)?;
            (parameter.meaning, parameter.quantity) = ("a learnt number".to_owned(), Quantity::Numbers);
            parameter.axes = match parameter.axes.len() {
                2 => vec!["row".to_owned(), "column".to_owned()],
                _ => parameter.axes,
            };
            parameter.keep(gradients.next().flatten())?;
            trace.parameters.push(parameter);
        }
        Ok(trace)
    }

    /// A step or a parameter by its name.
    pub(crate) fn step_or_parameter(&self, name: &str) -> Result<&TraceStep> {
        match self.parameters.iter().find(|parameter| parameter.name == name) {
            Some(parameter) => Ok(parameter),
            None => self.step(name),
        }
    }

    /// Whether this is a trace of a backward pass, too.
    pub fn has_gradients(&self) -> bool {
        self.steps.iter().any(|step| step.gradient.is_some())
    }
}

impl TraceStep {
    /// `Some(None)`: the loss does not depend on it.
    fn keep(&mut self, gradient: Option<Option<Tensor>>) -> Result<()> {
        let Some(gradient) = gradient else { return Ok(()) };
        let tensor = gradient.unwrap_or_else(|| self.tensor.zeros_like()).detach();
        let mut step = TraceStep::new(Step { name: format!("∂loss/∂{}", self.name), tensor }, None, -1)?;
        step.axes = self.axes.clone();
        step.meaning =
            format!("by how many nats the loss would rise for each unit that this number of {} rises", self.name);
        step.quantity = Quantity::Numbers;
        self.gradient = Some(Box::new(step));
        Ok(())
    }

    /// ∂loss/∂ each of its numbers, in nats per unit.
    ///
    /// # Errors
    /// If this is a trace of a forward pass only, or the step is nothing that a loss could change with (ids).
    pub fn gradient(&self) -> Result<&TraceStep> {
        self.gradient.as_deref().ok_or_else(|| {
            Error::Config(format!(
                "{} has no gradient here: `model.backward(text)` gives one to every step that the loss changes with, ids and \
                 what is not to be learnt excepted",
                self.name
            ))
        })
    }
}

/// Moves one number of a step; its place has been checked.
struct Moving<'a> {
    name: &'a str,
    place: &'a [i64],
    by: f64,
}

impl Probe for Moving<'_> {
    fn at(&mut self, name: impl Display, tensor: Tensor) -> Tensor {
        if name.to_string() != self.name {
            return tensor;
        }
        let moved = tensor.copy();
        match move_number(&moved, self.place, self.by) {
            Ok(()) => moved,
            Err(_) => tensor,
        }
    }
}

fn move_number(tensor: &Tensor, place: &[i64], by: f64) -> Result<()> {
    let mut number = tensor.shallow_clone();
    for &at in place {
        number = number.f_get(at)?;
    }
    let _ = number.f_add_scalar_(by)?;
    Ok(())
}

/// A number moved a little, and what became of the loss.
#[derive(Debug, Clone, PartialEq)]
pub struct Nudge {
    /// The step or the parameter.
    pub name: String,
    /// The place of the number.
    pub place: Vec<i64>,
    /// How far it was moved.
    pub by: f64,
    /// The mean loss of the text before, in nats per character.
    pub before: f64,
    /// The mean loss after.
    pub after: f64,
    /// ∂loss/∂number, before.
    pub gradient: f64,
}

impl Nudge {
    /// How much the loss moved.
    pub fn moved(&self) -> f64 {
        self.after - self.before
    }

    /// How much it should have moved, had its slope stayed the same.
    pub fn promised(&self) -> f64 {
        self.gradient * self.by
    }

    /// Moves one number of a step or of a parameter by `by`; a parameter is put back afterwards.
    pub(super) fn of(model: &impl Traceable, text: &str, name: &str, place: &[i64], by: f64) -> Result<Nudge> {
        if !by.is_finite() || by == 0.0 {
            return Err(Error::Config(format!("nudge a number by a little, e.g. 0.01, got {by}")));
        }
        let trace = model.backward(text)?;
        let step = trace.step_or_parameter(name)?;
        let gradient = step.gradient()?.number(place)?;
        let ids = &trace.step("ids")?.tensor;
        let _guard = tch::no_grad_guard();
        let parameter = model.learnt().into_iter().find(|parameter| parameter.name == name);
        let after = match parameter {
            None => {
                let mut moving = Moving { name, place, by };
                losses(&model.forward_with(ids, &mut moving)?, ids, &mut moving)?
            }
            Some(Parameter { mut tensor, .. }) => {
                let before = tensor.copy();
                move_number(&tensor, place, by)?;
                let after = model.logits(ids).and_then(|logits| losses(&logits, ids, &mut NoProbe));
                tensor.f_copy_(&before)?;
                after?
            }
        };
        let mean = |losses: &Tensor| -> Result<f64> { Ok(losses.f_mean(Kind::Double)?.f_double_value(&[])?) };
        let before = mean(&trace.step("loss")?.tensor)?;
        Ok(Nudge { name: name.to_owned(), place: place.to_vec(), by, before, after: mean(&after)?, gradient })
    }
}

impl Display for Nudge {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let signed = |number: f64| if number > 0.0 { format!("+{}", show(number)) } else { show(number) };
        let Nudge { name, by, before, after, gradient, .. } = self;
        writeln!(out, "{name}[{place}] moved by {}: the loss goes from {before:.6} to {after:.6}", signed(*by))?;
        let (moved, promised) = (signed(self.moved()), signed(self.promised()));
        write!(out, "it moved by {moved}; its gradient, {} nats per unit, promised {promised}", signed(*gradient))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{awake, variants};
    use super::*;
    use crate::checkpoint::AnyModel;
    use crate::model::{LanguageModel, MlpConfig, MlpLm, TransformerConfig, cross_entropy, wake};
    use tch::Device;

    const TEXT: &str = "Once upon";

    fn models() -> Vec<AnyModel> {
        let mlp = wake(MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap(), 0.2);
        let transformers = variants().into_iter().map(|config| AnyModel::Transformer(awake(config)));
        std::iter::once(AnyModel::Mlp(mlp)).chain(transformers).collect()
    }

    fn norm(tensor: &Tensor) -> f64 {
        tensor.to_kind(Kind::Double).norm().double_value(&[])
    }

    #[test]
    fn every_step_but_the_ids_has_its_gradient_and_the_numbers_of_the_forward_trace() {
        for model in models() {
            let (trace, forward) = (model.backward(TEXT).unwrap(), model.trace(TEXT).unwrap());
            assert_eq!(trace.max_abs_error, 0.0);
            assert!((trace.loss().unwrap() - forward.loss().unwrap()).abs() < 1e-5);
            assert_eq!(trace.steps.len(), forward.steps.len());
            for (step, other) in trace.steps.iter().zip(&forward.steps) {
                assert_eq!((&step.name, step.shape(), &step.formula), (&other.name, other.shape(), &other.formula));
                let off = norm(&(&step.tensor - &other.tensor).nan_to_num(0.0, 0.0, 0.0));
                assert!(off <= 1e-5 * norm(&other.tensor.nan_to_num(0.0, 0.0, 0.0)), "{}: {off}", step.name);
                match step.name.as_str() {
                    "ids" => assert!(step.gradient().unwrap_err().to_string().contains("no gradient here")),
                    _ => assert_eq!(step.gradient().unwrap().shape(), step.shape()),
                }
            }
            assert!(trace.table().contains("∂loss from") && trace.html().unwrap().html.contains("∂loss/∂number"));
            assert!(!forward.has_gradients() && forward.parameters.is_empty());
        }
    }

    #[test]
    fn logits_are_blamed_for_what_they_promised_too_much_or_too_little() {
        let trace = models()[1].backward(TEXT).unwrap();
        let ids = trace.step("ids").unwrap().tensor.narrow(1, 1, 8);
        let came = ids.one_hot(256).to_kind(Kind::Double); // (1, 8, V)
        let expected = (&trace.step("probabilities").unwrap().tensor.narrow(1, 0, 8) - came) / 8.0;
        let found = &trace.step("logits").unwrap().gradient().unwrap().tensor;
        assert!(norm(&(found.narrow(1, 0, 8) - &expected)) < 1e-6 * norm(&expected));
        assert_eq!(norm(&found.narrow(1, 8, 1)), 0.0, "nothing is known of what comes after the last character");
    }

    #[test]
    fn parameters_have_the_gradients_that_training_uses() {
        for model in models() {
            let trace = model.backward(TEXT).unwrap();
            let ids = &trace.step("ids").unwrap().tensor;
            let logits = model.logits(&ids.narrow(1, 0, 8)).unwrap();
            let loss = cross_entropy(&logits, &ids.narrow(1, 1, 8)).unwrap();
            let parameters = model.parameters();
            let leaves: Vec<&Tensor> = parameters.iter().map(|parameter| &parameter.tensor).collect();
            let expected = Tensor::run_backward(&[loss], &leaves, false, false);
            assert_eq!(trace.parameters.len(), expected.len());
            for (parameter, expected) in trace.parameters.iter().zip(&expected) {
                let off = norm(&(&parameter.gradient().unwrap().tensor - expected));
                assert!(off <= 1e-5 * norm(expected).max(1e-3), "{}: {off}", parameter.name);
            }
        }
    }

    #[test]
    fn a_number_moved_moves_the_loss_as_its_gradient_promised() {
        for model in models() {
            let before: Vec<Tensor> = model.parameters().iter().map(|parameter| parameter.tensor.copy()).collect();
            let trace = model.backward(TEXT).unwrap();
            for step in trace.steps.iter().chain(&trace.parameters).filter(|step| step.gradient.is_some()) {
                // Where the gradient is largest, so that single precision shows it.
                let gradient = &step.gradient().unwrap().tensor;
                let mut at = gradient.abs().argmax(None, false).int64_value(&[]);
                let mut place = Vec::new();
                for size in gradient.size().iter().rev() {
                    place.insert(0, at % size);
                    at /= size;
                }
                // About a thousandth of a nat, or a hundredth of a unit.
                let by = (1e-3 / gradient.abs().max().double_value(&[])).min(0.01);
                let nudge = |by: f64| model.nudge(TEXT, &step.name, &place, by).unwrap();
                let kept =
                    |nudge: &Nudge| (nudge.moved() - nudge.promised()).abs() < 0.05 * nudge.promised().abs() + 5e-6;
                // A ReLU may bend the loss on one side.
                let up = nudge(by);
                assert!(kept(&up) || kept(&nudge(-by)), "{up}");
            }
            let after = model.parameters();
            assert!(before.iter().zip(&after).all(|(before, after)| *before == after.tensor), "put back");
        }
    }

    #[test]
    fn what_has_no_way_back_is_told() {
        let model = awake(TransformerConfig::original());
        assert!(model.backward("O").unwrap_err().to_string().contains("begins at a loss"));
        assert!(model.backward("").is_err());
        let long = model.backward(&"Once ".repeat(30)).unwrap();
        assert!(long.notes[0].contains("first 100 of 150") && long.step("logits").unwrap().gradient().is_ok());
        // Each pass is a new one, also where gradients are switched off around it.
        let _guard = tch::no_grad_guard();
        let (one, two) = (model.backward(TEXT).unwrap(), model.backward(TEXT).unwrap());
        assert_eq!(one.parameters[0].gradient().unwrap().tensor, two.parameters[0].gradient().unwrap().tensor);
        assert!(!model.embedding.grad().defined(), "nothing is left behind");
        assert!(
            one.open("embedding").unwrap().alt.contains("Its gradient") && one.open("block.0.attn.weights").is_ok()
        );
        let message = model.nudge(TEXT, "logits", &[0, 0, 256], 0.1).unwrap_err().to_string();
        assert!(message.contains("n_vocab 256"), "{message}");
        assert!(
            model.nudge(TEXT, "logits", &[0, 0, 1], 0.0).is_err() && model.nudge(TEXT, "scores", &[0], 0.1).is_err()
        );
        for parameter in model.parameters() {
            let _ = parameter.tensor.set_requires_grad(false);
        }
        assert!(model.backward(TEXT).unwrap_err().to_string().contains("requires_grad"));
        let _ = model.embedding.set_requires_grad(true);
        let some = model.backward(TEXT).unwrap();
        assert!(some.parameters[1].gradient.is_none() && some.parameters[0].gradient.is_some());
        let _ = model.embedding.shallow_clone().fill_(f64::NAN);
        assert!(model.backward(TEXT).unwrap().step("logits").unwrap().gradient().unwrap().min.is_nan());
    }
}
