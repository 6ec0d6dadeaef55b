//! One step of a trace: its numbers, what they are, and how large.

use super::arithmetic::tiny;
use super::describe;
use crate::error::{Error, Result};
use crate::model::ModelConfig;
use crate::model::Step;
use crate::numbers::{Quantity, numbers, shape};
use crate::slices::numbers_of;
use tch::{Device, Kind, Tensor};

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
        let tensor = tensor.f_to_device(Device::Cpu)?.f_contiguous()?;
        match tensor.kind() {
            // SAFETY: its numbers lie in a row in the processor's memory, are of this kind, and live as long as `tensor`.
            Kind::Float => Ok(Range::over(unsafe { numbers_of::<f32>(&tensor) })),
            // SAFETY: as above.
            Kind::Double => Ok(Range::over(unsafe { numbers_of::<f64>(&tensor) })),
            _ => Ok(Range::over(&numbers(&tensor)?)),
        }
    }

    fn over<T: Copy + Into<f64>>(numbers: &[T]) -> Range {
        // Eight at a time, none of which waits for another; a NaN stays in a sum, an infinity in an end.
        let (mut min, mut max, mut sum) = ([f64::INFINITY; 8], [f64::NEG_INFINITY; 8], [0.0; 8]);
        let (eights, rest) = numbers.as_chunks::<8>();
        for eight in eights {
            let eight = eight.map(Into::<f64>::into);
            for lane in 0..8 {
                min[lane] = if eight[lane] < min[lane] { eight[lane] } else { min[lane] };
                max[lane] = if eight[lane] > max[lane] { eight[lane] } else { max[lane] };
                sum[lane] += eight[lane];
            }
        }
        for (lane, number) in rest.iter().enumerate() {
            let number = (*number).into();
            (min[lane], max[lane]) = (min[lane].min(number), max[lane].max(number));
            sum[lane] += number;
        }
        let (min, max) =
            (min.into_iter().fold(f64::INFINITY, f64::min), max.into_iter().fold(f64::NEG_INFINITY, f64::max));
        let sum: f64 = sum.iter().sum();
        match min.is_finite() && max.is_finite() && sum.is_finite() {
            true => Range { min, mean: sum / numbers.len() as f64, max, not_finite: 0, has_nan: false },
            false => Range::over_finite(numbers),
        }
    }

    /// The same where some are to be left out.
    fn over_finite<T: Copy + Into<f64>>(numbers: &[T]) -> Range {
        let all = || numbers.iter().map(|&number| number.into());
        let finite = || all().filter(|number: &f64| number.is_finite());
        let count = finite().count();
        Range {
            min: finite().fold(f64::NAN, f64::min),
            mean: finite().sum::<f64>() / count as f64, // of none: 0 / 0, NaN
            max: finite().fold(f64::NAN, f64::max),
            not_finite: numbers.len() - count,
            has_nan: all().any(|number: f64| number.is_nan()),
        }
    }
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
        let many: Vec<f32> = (0..1003).map(|number| number as f32).collect();
        assert_eq!(range(&many), ("0 501 1002".to_owned(), 0, false));
        let turned = Tensor::from_slice(&many[..1000]).view([20, 50]).transpose(0, 1).narrow(0, 3, 2);
        let turned = Range::of(&turned).unwrap();
        assert_eq!((turned.min, turned.mean, turned.max), (3.0, 478.5, 954.0));
        let ids = Range::of(&Tensor::from_slice(&[3_i64, 6])).unwrap();
        assert_eq!((ids.min, ids.mean, ids.max), (3.0, 4.5, 6.0));
    }
}
