//! One step of a trace: its numbers, what they are, and how large.

use super::arithmetic::tiny;
use super::describe;
use crate::checkpoint::ModelConfig;
use crate::error::{Error, Result};
use crate::model::Step;
use crate::view::Quantity;
use tch::{Kind, Tensor};

/// One step of a trace.
#[derive(Debug)]
pub struct TraceStep {
    /// Its name, e.g. `block.0.attn.scores`.
    pub name: String,
    /// How it is computed from the steps before.
    pub formula: String,
    /// What each axis counts.
    pub axes: Vec<String>,
    /// What one number of it means.
    pub meaning: String,
    /// What its numbers are, for their colours.
    pub quantity: Quantity,
    /// Its smallest finite number; NaN if it has none.
    pub min: f64,
    /// The mean of its finite numbers.
    pub mean: f64,
    /// Its largest finite number.
    pub max: f64,
    /// How many of its numbers are infinite or NaN.
    pub not_finite: usize,
    /// Whether one of them is NaN.
    pub(super) has_nan: bool,
    /// The numbers.
    pub tensor: Tensor,
    /// ∂loss/∂ each of them, in a trace of a backward pass; see [`gradient`](Self::gradient).
    pub gradient: Option<Box<TraceStep>>,
}

impl TraceStep {
    pub(super) fn new(step: Step, config: Option<&ModelConfig>, time: i64) -> Result<TraceStep> {
        let Step { name, tensor } = step;
        let Range { min, mean, max, not_finite, has_nan } = Range::of(&tensor)?;
        let size = tensor.size();
        let described = describe::describe(&name, config);
        let axes = match &described {
            Some(described) if described.axes.len() == size.len() => {
                described.axes.iter().map(|&axis| axis.to_owned()).collect()
            }
            _ => (0..size.len())
                .map(|axis| match axis {
                    0 if size[0] == 1 => "batch".to_owned(),
                    1 if size[1] == time => "time".to_owned(),
                    _ => format!("axis {axis}"),
                })
                .collect(),
        };
        let (formula, meaning, quantity) = match described {
            Some(described) => (described.formula, described.meaning.to_owned(), described.quantity),
            None => (String::new(), "a step of the model's own".to_owned(), Quantity::Range),
        };
        Ok(TraceStep {
            name,
            formula,
            axes,
            meaning,
            quantity,
            min,
            mean,
            max,
            not_finite,
            has_nan,
            tensor,
            gradient: None,
        })
    }

    /// Its shape, e.g. `(1, 4, 32)`.
    pub fn shape(&self) -> String {
        shape(&self.tensor)
    }

    /// Its shape with the name of each axis, e.g. `batch 1 × time 4 × emb_dim 32`.
    pub fn axes_and_sizes(&self) -> String {
        let named = self.axes.iter().zip(self.tensor.size()).map(|(axis, size)| format!("{axis} {size}"));
        named.collect::<Vec<_>>().join(" × ")
    }

    /// One number of it.
    ///
    /// # Errors
    /// If there is none at that place.
    pub fn number(&self, place: &[i64]) -> Result<f64> {
        let size = self.tensor.size();
        if place.len() != size.len() || place.iter().zip(&size).any(|(place, size)| !(0..*size).contains(place)) {
            return Err(Error::Shape {
                expected: format!("one place on each axis of {} {}", self.name, self.shape()),
                got: format!("{place:?}"),
                hint: format!("places count from 0: {}", self.axes_and_sizes()),
            });
        }
        Ok(self.tensor.f_double_value(place)?)
    }

    /// How long its rows are, √Σx² over the last axis, on average; of a stream, how large what stands for a character is.
    pub(super) fn row_length(&self) -> Result<f64> {
        let lengths = self.tensor.f_norm_scalaropt_dim(2, [-1].as_slice(), false)?;
        Ok(lengths.f_mean(Kind::Double)?.f_double_value(&[])?)
    }

    /// The length of its gradient, √Σ(∂loss/∂x)²: by how many nats the loss rises at most, for each unit that its numbers
    /// move together.
    pub(crate) fn blame_length(&self) -> Option<f64> {
        let gradient = self.gradient.as_ref()?;
        gradient.tensor.f_norm().and_then(|length| length.f_double_value(&[])).ok()
    }

    /// The lengths of its gradient at each character, if it has an axis of them.
    ///
    /// # Shapes
    /// of a step (1, T, C) → T numbers
    pub(crate) fn blame_by_character(&self) -> Result<Option<Vec<f64>>> {
        match (&self.gradient, &self.tensor.size()[..]) {
            (Some(gradient), [1, _, _]) => {
                Ok(Some(numbers(&gradient.tensor.f_norm_scalaropt_dim(2, [-1].as_slice(), false)?)?))
            }
            _ => Ok(None),
        }
    }

    /// Its smallest and largest number in words.
    pub(super) fn range(&self) -> String {
        format!("{} to {}", tiny(self.min, 2), tiny(self.max, 2))
    }
}

/// The sizes of a tensor's numbers.
struct Range {
    min: f64,
    mean: f64,
    max: f64,
    not_finite: usize,
    has_nan: bool,
}

impl Range {
    fn of(tensor: &Tensor) -> Result<Range> {
        let tensor = match tensor.kind() {
            Kind::Float | Kind::Double => tensor.shallow_clone(),
            _ => tensor.f_to_kind(Kind::Double)?,
        };
        if tensor.numel() > 0 {
            // libtorch is many times as quick as a loop, and tells of a NaN, but does not leave out what is infinite.
            let (min, max) = tensor.f_aminmax(None, false)?;
            let (min, max) = (min.f_double_value(&[])?, max.f_double_value(&[])?);
            if min.is_finite() && max.is_finite() {
                let mean = tensor.f_mean(tensor.kind())?.f_double_value(&[])?;
                return Ok(Range { min, mean, max, not_finite: 0, has_nan: false });
            }
        }
        let numbers = numbers(&tensor)?;
        let mut range = Range { min: f64::INFINITY, mean: 0.0, max: f64::NEG_INFINITY, not_finite: 0, has_nan: false };
        for number in &numbers {
            match number.is_finite() {
                true => {
                    (range.min, range.max) = (range.min.min(*number), range.max.max(*number));
                    range.mean += number;
                }
                false => {
                    range.not_finite += 1;
                    range.has_nan |= number.is_nan();
                }
            }
        }
        let finite = numbers.len() - range.not_finite;
        range.mean /= finite as f64; // of none: 0 / 0, NaN
        if finite == 0 {
            (range.min, range.max) = (f64::NAN, f64::NAN);
        }
        Ok(range)
    }
}

/// A tensor's shape as it is written in the docs, e.g. `(1, 4, 32)`.
pub(crate) fn shape(tensor: &Tensor) -> String {
    format!("{:?}", tensor.size()).replace('[', "(").replace(']', ")")
}

/// All numbers of a tensor, row after row.
pub(crate) fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(Vec::<f64>::try_from(tensor.f_detach()?.f_to_kind(Kind::Double)?.f_reshape([-1])?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_a_tensor_is_that_of_its_finite_numbers() {
        let range = |numbers: &[f32]| {
            let Range { min, mean, max, not_finite, has_nan } = Range::of(&Tensor::from_slice(numbers)).unwrap();
            (format!("{min} {mean} {max}"), not_finite, has_nan)
        };
        assert_eq!(range(&[1.0, -2.0, 4.0]), ("-2 1 4".to_owned(), 0, false));
        assert_eq!(range(&[1.0, f32::NEG_INFINITY, 3.0]), ("1 2 3".to_owned(), 1, false));
        assert_eq!(range(&[f32::NAN, f32::INFINITY, 3.0]), ("3 3 3".to_owned(), 2, true));
        assert_eq!(range(&[f32::NAN]), ("NaN NaN NaN".to_owned(), 1, true));
        assert_eq!(range(&[]), ("NaN NaN NaN".to_owned(), 0, false));
        let ids = Range::of(&Tensor::from_slice(&[3_i64, 6])).unwrap();
        assert_eq!((ids.min, ids.mean, ids.max), (3.0, 4.5, 6.0));
    }
}
