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

use super::arithmetic::show;
use super::learnt::Learnt;
use super::{Input, Trace, TraceStep, Traceable, largest_difference, losses, several};
use crate::error::{Error, Result};
use crate::model::{NoProbe, Parameter, Probe, Step};
use crate::numbers::Quantity;
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

/// What a parameter's name begins with where a step has the same.
const PARAMETER: &str = "parameter:";

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
        // Copies, also of a large model: the gradients are those at these numbers.
        let mut trace = Trace::empty(model, input, max_abs_error, Learnt::copies(model.learnt())?);
        let steps = kept.names.into_iter().zip(kept.steps).map(|(name, tensor)| Step { name, tensor: tensor.detach() });
        trace.take(steps, model.model_config().as_ref())?;
        for step in &mut trace.steps {
            step.keep(gradients.next().flatten())?;
        }
        let of_step = |name: &str| trace.steps.iter().any(|step| step.name == name);
        for (name, tensor) in trace.learnt.iter() {
            let shown = if of_step(name) { format!("{PARAMETER}{name}") } else { name.clone() };
            let mut parameter = TraceStep::new(Step { name: shown, tensor: tensor.shallow_clone() }, None, -1)?;
            (parameter.meaning, parameter.quantity) = ("a learnt number".to_owned(), Quantity::Numbers);
            parameter.axes = match parameter.axes.len() {
                2 => vec!["row".to_owned(), "column".to_owned()],
                _ => parameter.axes,
            };
            parameter.keep(gradients.next().flatten())?;
            trace.parameters.push(parameter);
        }
        trace.note_what_has_no_gradient();
        Ok(trace)
    }

    fn note_what_has_no_gradient(&mut self) {
        let fixed: Vec<&str> =
            self.parameters.iter().filter(|one| one.gradient.is_none()).map(|one| one.name.as_str()).collect();
        if !fixed.is_empty() {
            self.notes.push(format!(
                "{} of {} parameters are not to be learnt (requires_grad is false), so they, and steps that depend on no \
                 other, have no gradient: {}",
                fixed.len(),
                self.parameters.len(),
                several(&fixed)
            ));
        }
        let nan = |step: &&TraceStep| step.gradient.as_ref().is_some_and(|gradient| gradient.has_nan);
        // From the loss back: the first is where it comes from.
        let numbers_are_fine = !self.steps.iter().any(|step| step.has_nan);
        if let Some(step) = self.steps.iter().rev().find(nan).filter(|_| numbers_are_fine) {
            self.notes.push(format!(
                "from {} back the gradients are NaN, though its numbers are fine: a slope without end, as that of a root at 0",
                step.name
            ));
        }
    }

    /// A parameter by its name, with its numbers and their gradient, in a trace of a backward pass.
    ///
    /// # Errors
    /// If there is none of that name; the message lists those that are.
    pub fn parameter(&self, name: &str) -> Result<&TraceStep> {
        let bare = |name: &str| name.strip_prefix(PARAMETER).unwrap_or(name).to_owned();
        self.parameters.iter().find(|parameter| bare(&parameter.name) == bare(name)).ok_or_else(|| {
            let names: Vec<&str> = self.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
            Error::Config(match names.is_empty() {
                true => {
                    format!("this trace has no parameter {name:?}: `model.backward(text)` keeps them, a forward trace does not")
                }
                false => format!("this trace has no parameter {name:?}; it has {}", names.join(", ")),
            })
        })
    }

    /// A step by its name, or else a parameter, and then its own name. Where both have the name it is the step;
    /// `parameter:NAME` is always the parameter.
    pub(crate) fn step_or_parameter<'a>(&'a self, name: &'a str) -> Result<(&'a TraceStep, Option<&'a str>)> {
        let bare = name.strip_prefix(PARAMETER);
        if bare.is_none()
            && let Ok(step) = self.step(name)
        {
            return Ok((step, None));
        }
        match (self.parameter(name), self.parameters.is_empty(), bare) {
            (Ok(parameter), ..) => Ok((parameter, Some(bare.unwrap_or(name)))),
            (Err(error), _, Some(_)) => Err(error),
            (_, true, _) => self.step(name).map(|step| (step, None)),
            (Err(error), false, None) => Err(Error::Config(format!(
                "{}. No parameter has that name either: {error}; where a step and a parameter have one name, it is the \
                 step's, and the parameter is {PARAMETER}NAME",
                self.step(name).err().map_or(String::new(), |error| error.to_string())
            ))),
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
        let (step, parameter) = trace.step_or_parameter(name)?;
        let gradient = step.gradient()?.number(place)?;
        let before = trace.loss().unwrap_or(f64::NAN);
        if before.is_nan() {
            let why = trace.notes.join("; ");
            return Err(Error::Config(format!("the loss is NaN, not a number, before anything is moved: {why}")));
        }
        let ids = &Tensor::f_from_slice(&trace.ids)?.f_unsqueeze(0)?.f_to_device(model.device())?; // (1, T)
        let _guard = tch::no_grad_guard();
        let after = match parameter {
            None => {
                let mut moving = Moving { name: &step.name, place, by };
                losses(&model.forward_with(ids, &mut moving)?, ids, &mut moving)?
            }
            Some(parameter) => {
                let mut all = model.learnt().into_iter();
                let Some(Parameter { mut tensor, .. }) = all.find(|other| other.name == parameter) else {
                    return Err(Error::Config(format!("the model has no parameter {parameter:?} any more")));
                };
                let kept = tensor.copy();
                move_number(&tensor, place, by)?;
                let after = model.logits(ids).and_then(|logits| losses(&logits, ids, &mut NoProbe));
                tensor.f_copy_(&kept)?;
                after?
            }
        };
        let after = after.f_mean(Kind::Double)?.f_double_value(&[])?;
        Ok(Nudge { name: name.to_owned(), place: place.to_vec(), by, before, after, gradient })
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
    use super::super::tests::{awake, in_float64, largest_place, variants};
    use super::*;
    use crate::checkpoint::AnyModel;
    use crate::model::{LanguageModel, MlpConfig, MlpLm, Model, TransformerConfig, cross_entropy, wake};
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

    /// Goes on with a leaf in the place of a step: what came before is forgotten.
    struct Leaf<'a> {
        name: &'a str,
        leaf: Option<Tensor>,
    }

    impl Probe for Leaf<'_> {
        fn at(&mut self, name: impl Display, tensor: Tensor) -> Tensor {
            match name.to_string() == self.name {
                true => self.leaf.insert(tensor.detach().set_requires_grad(true)).shallow_clone(),
                false => tensor,
            }
        }
    }

    #[test]
    fn every_steps_gradient_is_autograds_where_the_step_is_a_leaf() {
        for model in models() {
            let trace = model.backward(TEXT).unwrap();
            let ids = &trace.step("ids").unwrap().tensor;
            for step in &trace.steps[1..] {
                let mut probe = Leaf { name: &step.name, leaf: None };
                let logits = model.forward_with(ids, &mut probe).unwrap();
                let loss = match step.name.as_str() {
                    "probabilities" | "loss" => losses(&logits, ids, &mut probe).unwrap().mean(Kind::Double),
                    // libtorch's own, not the one that the trace tells.
                    _ => cross_entropy(&logits.narrow(1, 0, 8).to_kind(Kind::Double), &ids.narrow(1, 1, 8)).unwrap(),
                };
                let leaf = probe.leaf.unwrap();
                let expected = &Tensor::run_backward(&[loss], &[leaf], false, false)[0];
                let off = norm(&(&step.gradient().unwrap().tensor - expected));
                assert!(off <= 1e-6 * norm(expected), "{}: {off} of {}", step.name, norm(expected));
            }
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

    /// Moves a number of each row of a batch: up, and in the next row down.
    struct Spread<'a> {
        name: &'a str,
        moved: &'a [(Vec<i64>, f64)],
    }

    impl Probe for Spread<'_> {
        fn at(&mut self, name: impl Display, tensor: Tensor) -> Tensor {
            if name.to_string() != self.name {
                return tensor;
            }
            let spread = tensor.copy();
            for (row, (place, by)) in self.moved.iter().enumerate() {
                for (way, by) in [*by, -by].into_iter().enumerate() {
                    let place = [&[(2 * row + way) as i64], &place[1..]].concat();
                    move_number(&spread, &place, by).unwrap();
                }
            }
            spread
        }
    }

    /// Where the gradient is largest and where it is not, and how far to move: nearer, double precision would not show it,
    /// farther, a ReLU might bend.
    fn moves(step: &TraceStep) -> Vec<(Vec<i64>, f64)> {
        let gradient = &step.gradient().unwrap().tensor;
        let middle = gradient.size().iter().map(|size| size / 2).collect();
        let by = |place: &[i64]| match step.name.as_str() {
            "probabilities" => 1e-4 * step.number(place).unwrap(), // −ln p is steep where p is small
            _ => 1e-6,
        };
        [largest_place(gradient), middle].into_iter().map(|place| (place.clone(), by(&place))).collect()
    }

    fn assert_is_slope(step: &TraceStep, (place, by): &(Vec<i64>, f64), up: f64, down: f64) {
        let gradient = step.gradient().unwrap().number(place).unwrap();
        let slope = (up - down) / (2.0 * by);
        // At last, what two losses that differ in their last digits can tell.
        let close = (slope - gradient).abs() <= 1e-4 * gradient.abs() + 2e-15 / by;
        assert!(close, "{}{place:?}: {gradient} beside {slope}", step.name);
    }

    #[test]
    fn every_gradient_is_the_slope_between_two_near_losses_in_float64() {
        for model in models().into_iter().map(in_float64) {
            let trace = model.backward(TEXT).unwrap();
            let ids = &trace.step("ids").unwrap().tensor;
            let _guard = tch::no_grad_guard();
            for step in &trace.steps[1..] {
                assert_eq!(step.tensor.kind(), Kind::Double, "{}", step.name);
                let moves = moves(step);
                let ids = ids.repeat([2 * moves.len() as i64, 1]);
                let mut probe = Spread { name: &step.name, moved: &moves };
                let logits = model.forward_with(&ids, &mut probe).unwrap();
                let losses = losses(&logits, &ids, &mut probe).unwrap();
                let loss = |row: usize| losses.get(row as i64).mean(Kind::Double).double_value(&[]);
                for (row, moved) in moves.iter().enumerate() {
                    assert_is_slope(step, moved, loss(2 * row), loss(2 * row + 1));
                }
            }
            for (parameter, Parameter { mut tensor, .. }) in trace.parameters.iter().zip(model.parameters()) {
                for moved in moves(parameter) {
                    let kept = tensor.copy();
                    let mut loss = |by: f64| {
                        move_number(&tensor, &moved.0, by).unwrap();
                        let losses = losses(&model.logits(ids).unwrap(), ids, &mut NoProbe).unwrap();
                        tensor.copy_(&kept);
                        losses.mean(Kind::Double).double_value(&[])
                    };
                    assert_is_slope(parameter, &moved, loss(moved.1), loss(-moved.1));
                }
            }
        }
    }

    #[test]
    fn a_number_moved_moves_the_loss_as_its_gradient_promised() {
        for model in models() {
            let before: Vec<Tensor> = model.parameters().iter().map(|parameter| parameter.tensor.copy()).collect();
            let trace = model.backward(TEXT).unwrap();
            let some = trace.steps[1..].iter().step_by(7).chain(&trace.steps[trace.steps.len() - 3..]);
            for step in some.chain(trace.parameters.iter().step_by(3)) {
                // Where the gradient is largest, so that single precision shows it.
                let gradient = &step.gradient().unwrap().tensor;
                let place = largest_place(gradient);
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
        let guard = tch::no_grad_guard();
        let (one, two) = (model.backward(TEXT).unwrap(), model.backward(TEXT).unwrap());
        drop(guard);
        assert_eq!(one.parameters[0].gradient().unwrap().tensor, two.parameters[0].gradient().unwrap().tensor);
        assert!(!model.embedding.grad().defined() && one.notes.is_empty(), "nothing is left behind");
        assert!(
            one.open("embedding").unwrap().alt.contains("Its gradient") && one.open("block.0.attn.weights").is_ok()
        );
        let message = model.nudge(TEXT, "logits", &[0, 0, 256], 0.1).unwrap_err().to_string();
        assert!(message.contains("n_vocab 256"), "{message}");
        assert!(model.nudge(TEXT, "logits", &[0, 0, 1], 0.0).is_err());
        let message = model.nudge(TEXT, "scores", &[0], 0.1).unwrap_err().to_string();
        assert!(message.contains("block.0.attn.scores") && message.contains("block.0.attn.qkv.weight"), "{message}");
        let message = model.trace(TEXT).unwrap().open("embedding").unwrap_err().to_string();
        assert!(message.contains("no step \"embedding\""), "{message}");
    }

    #[test]
    fn what_is_not_to_be_learnt_is_told() {
        let model = awake(TransformerConfig::original());
        for parameter in model.parameters() {
            let _ = parameter.tensor.set_requires_grad(false);
        }
        assert!(model.backward(TEXT).unwrap_err().to_string().contains("requires_grad"));
        let _ = model.blocks[0].mlp.hidden_weight.set_requires_grad(true);
        let some = model.backward(TEXT).unwrap();
        assert!(some.notes[0].contains("11 of 12 parameters are not to be learnt"), "{:?}", some.notes);
        assert!(some.notes[0].contains("embedding, position") && some.notes[0].contains("more"), "{:?}", some.notes);
        let has_gradient = |step: &str| some.step(step).unwrap().gradient.is_some();
        assert!(has_gradient("block.0.mlp.hidden") && !has_gradient("block.0.norm2"));
        assert!(some.parameter("embedding").unwrap().gradient.is_none());
        let message = model.nudge(TEXT, "embedding", &[0, 0], 0.1).unwrap_err().to_string();
        assert!(message.contains("embedding has no gradient here"), "{message}");
        assert!(some.to_string().contains("note: 11 of 12") && some.html().is_ok());
    }

    #[test]
    fn a_weight_that_is_no_number_is_named() {
        let model = awake(TransformerConfig::original());
        let guard = tch::no_grad_guard();
        let _ = model.blocks[0].mlp.hidden_weight.get(3).fill_(f64::NAN);
        drop(guard);
        for trace in [model.trace(TEXT).unwrap(), model.backward(TEXT).unwrap()] {
            let note = &trace.notes[0];
            assert!(
                note.contains("from block.0.mlp.hidden on") && note.contains("block.0.mlp.hidden.weight holds"),
                "{note}"
            );
            assert!(trace.to_string().contains(note) && trace.html().unwrap().html.contains("learning rate"));
        }
        let trace = model.backward(TEXT).unwrap();
        assert!(trace.step("logits").unwrap().gradient().unwrap().min.is_nan());
        let message = model.nudge(TEXT, "embedded", &[0, 0, 0], 0.1).unwrap_err().to_string();
        assert!(message.contains("the loss is NaN") && message.contains("block.0.mlp.hidden.weight"), "{message}");
    }

    /// A model whose parameter has a step's name, and which does not show its ids.
    struct Own {
        hidden: Tensor,
        root: bool,
    }

    impl Own {
        fn new(root: bool) -> Own {
            let hidden = Tensor::arange(256 * 256, (Kind::Double, Device::Cpu)).view([256, 256]).sin();
            Own { hidden: if root { hidden.zeros_like() } else { hidden }.set_requires_grad(true), root }
        }
    }

    impl Model for Own {
        fn forward(&self, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
            let hidden = probe.at("hidden", Tensor::f_embedding(&self.hidden, ids, -1, false, false)?);
            let hidden = if self.root { probe.at("root", hidden.f_sqrt()?) } else { hidden };
            Ok(probe.at("logits", hidden * 2))
        }

        fn parameters(&self) -> Vec<Parameter> {
            vec![Parameter::new("hidden", &self.hidden)]
        }
    }

    #[test]
    fn where_a_step_and_a_parameter_have_one_name_it_is_the_steps() {
        let own = Own::new(false);
        let trace = own.backward(TEXT).unwrap();
        assert_eq!(trace.parameters[0].name, "parameter:hidden");
        assert!(trace.open("hidden").unwrap().alt.contains("time 9"));
        assert!(trace.open("parameter:hidden").unwrap().alt.contains("row 256"));
        assert_eq!(trace.parameter("hidden").unwrap().shape(), "(256, 256)");
        // The step has a place in the text, the parameter a character of the vocabulary.
        let step = own.nudge(TEXT, "hidden", &[0, 8, 3], 0.1).unwrap();
        let parameter = own.nudge(TEXT, "parameter:hidden", &[i64::from(b'n'), 3], 0.1).unwrap();
        assert!(step.gradient == 0.0 && parameter.gradient != 0.0 && parameter.moved() != 0.0);
        assert!(step.to_string().contains("promised 0.0000"), "{step}");
        let message = own.nudge(TEXT, "parameter:hiden", &[0, 3], 0.1).unwrap_err().to_string();
        assert!(message.contains("parameter:hidden"), "{message}");
    }

    #[test]
    fn a_slope_without_end_is_told() {
        let trace = Own::new(true).backward(TEXT).unwrap();
        assert!(trace.parameters[0].gradient().unwrap().not_finite > 0);
        assert!(trace.notes[0].contains("from hidden back the gradients are NaN"), "{:?}", trace.notes);
    }
}
