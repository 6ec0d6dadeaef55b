//! What is done to a step's numbers: others are put in their place, something is added to them, or they are scaled.
//!
//! ```text
//! put:   x → tensor
//! add:   x → x + tensor            a direction in which the model is steered (Turner et al. 2023)
//! scale: x → x · factor            0 takes it out, 2 doubles it, −1 turns it round
//! ```

use crate::error::{Error, Result};
use crate::model::Recording;
use crate::numbers::shape;
use crate::trace::{Trace, Traceable, step_named};
use std::fmt::{self, Display};
use tch::Tensor;

/// What is done to a step.
#[derive(Debug)]
pub enum How {
    /// This is put in; where it is smaller than the step's tensor, it fills the first places of each axis.
    Put(Tensor),
    /// This is added: (C), for every place, or a tensor of the step's axes, for the first places of each.
    Add(Tensor),
    /// Each number is multiplied by this.
    Scale(f64),
}

/// A change of a step, on all later steps' way.
#[derive(Debug)]
pub struct Patch {
    /// The step, e.g. `block.0.after_attn`.
    pub step: String,
    /// What is done to it.
    pub how: How,
    /// At this place of this axis only; everywhere if `None`.
    pub place: Option<(i64, i64)>,
}

impl Patch {
    /// Another tensor in the place of a step's.
    pub fn put(step: impl Into<String>, tensor: Tensor) -> Patch {
        Patch { step: step.into(), how: How::Put(tensor), place: None }
    }

    /// A tensor to be added to a step's.
    ///
    /// # Shapes
    /// (C), added at every place, also of what is written later; or as the step's, for the places of one text
    pub fn add(step: impl Into<String>, tensor: Tensor) -> Patch {
        Patch { step: step.into(), how: How::Add(tensor), place: None }
    }

    /// A factor for all numbers of a step.
    pub fn scale(step: impl Into<String>, factor: f64) -> Patch {
        Patch { step: step.into(), how: How::Scale(factor), place: None }
    }

    /// The same at one place of an axis only: axis 1 of a stream, (B, T, C), counts the characters.
    pub fn at(self, axis: i64, place: i64) -> Patch {
        Patch { place: Some((axis, place)), ..self }
    }

    /// The direction that leads from one text to another, to be added everywhere: what the last character, or token, of
    /// `to` has at a step, minus what that of `from` has, times a dose. A dose of 1 is the difference itself, a negative one
    /// leads the other way. Source: Turner et al., "Activation addition", 2023.
    ///
    /// # Errors
    /// If the model has no such step or it is no stream, (1, T, C), or the model knows nothing of a text.
    pub fn direction(model: &impl Traceable, step: &str, from: &str, to: &str, dose: f64) -> Result<Patch> {
        let (from, to) = (last_of(model, step, from)?, last_of(model, step, to)?);
        Ok(Patch::add(step, to.f_sub(&from)?.f_mul_scalar(dose)?))
    }

    /// A step of a trace, to be put into another forward pass: all of it, or one character's.
    ///
    /// # Errors
    /// If the trace has no such step or place.
    pub fn from_trace(trace: &Trace, step: &str, character: Option<usize>) -> Result<Patch> {
        let found = trace.step(step)?;
        let patch = Patch::put(&found.name, found.tensor.copy());
        let Some(place) = character else { return Ok(patch) };
        let axis = found.axes.iter().position(|axis| axis.starts_with("time"));
        let axis = axis.ok_or_else(|| Error::Config(format!("{step} has no axis of time")))?;
        if place as i64 >= found.tensor.size()[axis] {
            return Err(Error::Config(format!(
                "{step} {} has no {} at {place}: places count from 0",
                found.shape(),
                trace.tokenizer.unit().one
            )));
        }
        Ok(patch.at(axis as i64, place as i64))
    }

    /// Whether it is the same wherever a text begins.
    pub(super) fn is_of_any_place(&self) -> bool {
        let any = match &self.how {
            How::Put(_) => false,
            How::Add(tensor) => tensor.size().iter().rev().skip(1).all(|&size| size == 1),
            How::Scale(_) => true,
        };
        any && self.place.is_none()
    }

    /// The step's tensor, changed.
    pub(super) fn change(&self, tensor: &Tensor) -> Result<Tensor> {
        let wanted = tensor.size();
        if let Some((axis, place)) = self.place
            && !wanted.get(axis as usize).is_some_and(|size| (0..*size).contains(&place))
        {
            return Err(Error::Shape {
                expected: format!("place {place} on axis {axis} of {}", self.step),
                got: shape(tensor),
                hint: "axes and places count from 0".to_owned(),
            });
        }
        let at_place = |x: Tensor| -> Result<Tensor> {
            match self.place {
                Some((axis, place)) => Ok(x.f_narrow(axis, place, 1)?),
                None => Ok(x),
            }
        };
        let changed = tensor.copy();
        match &self.how {
            How::Scale(factor) => {
                let _ = at_place(changed.shallow_clone())?.f_mul_scalar_(*factor)?;
            }
            How::Add(added) if is_for_all(&added.size(), &wanted) => {
                let _ = at_place(changed.shallow_clone())?.f_add_(&self.like(added, tensor)?)?;
            }
            How::Put(other) | How::Add(other) => {
                // What belongs to one text holds for each of several.
                let mut given = other.size();
                let source = match (given.first(), wanted.first()) {
                    (Some(1), Some(&batch)) if batch > 1 && given.len() == wanted.len() => {
                        given[0] = batch;
                        other.f_expand(&given, false)?
                    }
                    _ => other.shallow_clone(),
                };
                if given.len() != wanted.len() || given.iter().zip(&wanted).any(|(given, wanted)| given > wanted) {
                    return Err(Error::Shape {
                        expected: format!("a tensor for {} of shape {} or smaller", self.step, shape(tensor)),
                        got: shape(other),
                        hint: "take it from a text that is not longer, traced by a model of the same sizes".to_owned(),
                    });
                }
                if let Some((axis, place)) = self.place.filter(|&(axis, place)| given[axis as usize] <= place) {
                    return Err(Error::Shape {
                        expected: format!("a tensor for {} with a place {place} on axis {axis}", self.step),
                        got: shape(other),
                        hint: "of the tensor, too, only this place is taken: give it as many as the text has"
                            .to_owned(),
                    });
                }
                let mut part = changed.shallow_clone();
                for (axis, &size) in given.iter().enumerate() {
                    part = part.f_narrow(axis as i64, 0, size)?;
                }
                let (mut part, source) = (at_place(part)?, at_place(self.like(&source, tensor)?)?);
                match self.how {
                    How::Add(_) => drop(part.f_add_(&source)?),
                    _ => part.f_copy_(&source)?,
                }
            }
        }
        Ok(changed)
    }

    /// Where the step's tensor is, in its precision.
    fn like(&self, tensor: &Tensor, step: &Tensor) -> Result<Tensor> {
        Ok(tensor.f_to_device(step.device())?.f_to_kind(step.kind())?)
    }
}

/// Whether a tensor of one size stands for each place of another: its last axes are as long, or 1, and all before the last
/// are 1.
fn is_for_all(given: &[i64], wanted: &[i64]) -> bool {
    let (given, wanted) = (given.iter().rev(), wanted.iter().rev());
    given.len() <= wanted.len()
        && given.zip(wanted).enumerate().all(|(axis, (given, wanted))| *given == 1 || axis == 0 && given == wanted)
}

/// What the last character of a text has at a step.
///
/// # Shapes
/// → (C)
fn last_of(model: &impl Traceable, step: &str, text: &str) -> Result<Tensor> {
    let _guard = tch::no_grad_guard();
    let mut ids = model.tokenizer().cut(text)?.ids;
    if let Some(longest) = model.max_len() {
        ids.drain(..ids.len().saturating_sub(longest as usize));
    }
    if ids.is_empty() {
        return Err(Error::Data(format!(
            "a direction needs two texts of which the model knows something, got {text:?}"
        )));
    }
    let mut recording = Recording::default();
    let ids = Tensor::f_from_slice(&ids)?.f_unsqueeze(0)?.f_to_device(model.device())?; // (1, T)
    let _ = model.forward_with(&ids, &mut recording)?;
    let name = step_named(step, |own| recording.get(own).is_some())?;
    match recording.get(&name) {
        Some(tensor) if tensor.dim() == 3 => Ok(tensor.f_get(0)?.f_get(-1)?.copy()),
        found => {
            let names: Vec<&str> = recording.steps.iter().map(|step| step.name.as_str()).collect();
            let what =
                found.map_or_else(|| "this model does not have".to_owned(), |found| format!("is {}", shape(found)));
            Err(Error::Config(format!(
                "a direction is read at a step of shape (1, T, C), and {step:?} {what}: take one of a stream, such as \
                 block.0.after_mlp; the steps are {}",
                names.join(", ")
            )))
        }
    }
}

impl Display for Patch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = &self.step;
        match &self.how {
            How::Put(_) => write!(out, "{step} put in")?,
            How::Add(tensor) => {
                let length = tensor.f_norm().and_then(|length| length.f_double_value(&[])).unwrap_or(f64::NAN);
                write!(out, "a direction {length:.3} long added to {step}")?;
            }
            How::Scale(factor) => write!(out, "{step} times {factor}")?,
        }
        match self.place {
            Some((_, place)) => write!(out, ", at place {place}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intervene::{Altered, Changes};
    use crate::model::{LanguageModel, TransformerConfig};
    use crate::trace::tests::awake;
    use tch::{Device, Kind};

    fn numbers(count: i64) -> Tensor {
        Tensor::arange(count, (Kind::Float, Device::Cpu))
    }

    #[test]
    fn what_is_added_and_scaled_is_so_everywhere_or_at_one_place() {
        let x = Tensor::ones([1, 3, 4], (Kind::Float, Device::Cpu));
        let rows = |patch: Patch| -> Vec<f64> {
            let changed = patch.change(&x).unwrap();
            (0..3).map(|place| changed.get(0).get(place).sum(Kind::Double).double_value(&[])).collect()
        };
        assert_eq!(rows(Patch::add("x", numbers(4))), [10.0; 3]);
        assert_eq!(rows(Patch::add("x", numbers(4)).at(1, 1)), [4.0, 10.0, 4.0]);
        assert_eq!(rows(Patch::add("x", numbers(8).view([1, 2, 4]))), [10.0, 26.0, 4.0]);
        assert_eq!(rows(Patch::add("x", numbers(8).view([1, 2, 4])).at(1, 1)), [4.0, 26.0, 4.0]);
        assert_eq!(rows(Patch::scale("x", -2.0)), [-8.0; 3]);
        assert_eq!(rows(Patch::scale("x", 0.0).at(1, 2)), [4.0, 4.0, 0.0]);
        assert_eq!(rows(Patch::put("x", numbers(4).view([1, 1, 4]))), [6.0, 4.0, 4.0]);
        // What belongs to one text holds for each of a batch.
        let both = Patch::put("x", numbers(4).view([1, 1, 4])).change(&x.repeat([2, 1, 1])).unwrap();
        assert_eq!(both.get(0), both.get(1));
        for (patch, said) in [
            (Patch::add("x", numbers(5)), "(1, 3, 4) or smaller"),
            (Patch::scale("x", 1.0).at(1, 3), "place 3 on axis 1 of x"),
            (Patch::put("x", numbers(4)), "(1, 3, 4) or smaller"),
            (Patch::put("x", numbers(4).view([1, 1, 4])).at(1, 2), "with a place 2 on axis 1"),
        ] {
            let message = patch.change(&x).unwrap_err().to_string();
            assert!(message.contains(said), "{message}");
        }
    }

    #[test]
    fn a_whole_dose_of_a_direction_leads_from_one_text_to_the_other() {
        let model = awake(TransformerConfig::small());
        let last = |patch: Option<Patch>| {
            let changes = Changes { cuts: Vec::new(), patches: patch.into_iter().collect() };
            let ids = Tensor::from_slice(&[111_i64, 110, 101]).unsqueeze(0); // "one"
            Altered::new(&model, &changes).logits(&ids).unwrap().get(0).get(-1)
        };
        let off = |one: &Tensor, other: &Tensor| (one - other).abs().max().double_value(&[]);
        let direction = |dose| Patch::direction(&model, "blocks.2.hook_resid_post", "one", "xyz q", dose).unwrap();
        let wanted = model.trace("xyz q").unwrap().step("logits").unwrap().tensor.get(0).get(-1);
        assert!(off(&last(Some(direction(1.0))), &wanted) < 1e-4);
        assert!(off(&last(Some(direction(0.0))), &last(None)) < 1e-6);
        assert!(off(&last(Some(direction(0.5))), &last(None)) > 1e-2);
        let message = Patch::direction(&model, "block.0.attn.weights", "one", "two", 1.0).unwrap_err().to_string();
        assert!(message.contains("(1, 4, 3, 3)") && message.contains("block.0.after_mlp"), "{message}");
        assert!(Patch::direction(&model, "nothing", "one", "two", 1.0).is_err());
        assert!(Patch::direction(&model, "embedded", "", "two", 1.0).is_err());
    }
}
