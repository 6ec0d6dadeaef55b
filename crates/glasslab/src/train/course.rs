//! The parameters of a model, kept: at moments of its training, and while they are changed for a look around.

use super::training::Look;
use super::{History, TrainConfig, train_seen};
use crate::data::Tokens;
use crate::error::{Error, Result};
use crate::model::{Parameter, Trainable};
use tch::Tensor;

/// The numbers that a course keeps at most: 400 MB.
const MOST_NUMBERS: usize = 100_000_000;

/// The parameters of a model at moments of its training.
#[derive(Debug)]
pub struct Course {
    every: usize,
    /// The steps before each, and the parameters.
    pub(super) moments: Vec<(usize, Vec<Tensor>)>,
}

impl Course {
    /// Keeps the parameters before the first step, then at every so manyth, and at the end.
    pub fn every(steps: usize) -> Course {
        Course { every: steps.max(1), moments: Vec::new() }
    }

    /// Trains a model as [`train`](super::train) does, and keeps its course.
    ///
    /// # Errors
    /// As [`train`](super::train), and if the course becomes too large to keep.
    pub fn train(
        &mut self,
        model: &mut impl Trainable,
        data: &Tokens,
        held_out: &Tokens,
        config: &TrainConfig,
    ) -> Result<History> {
        let history = train_seen(model, data, held_out, config, self)?;
        self.take(model, history.points.last().map_or(0, |last| last.step))?;
        Ok(history)
    }

    /// Keeps the parameters as they are after so many steps, e.g. between those of a [`StepByStep`](super::StepByStep).
    ///
    /// # Errors
    /// If the course becomes too large to keep.
    pub fn take(&mut self, model: &impl Trainable, done: usize) -> Result<()> {
        let values: Vec<Tensor> = model.parameters().iter().map(|one| one.tensor.detach().copy()).collect();
        let kept = self.moments.iter().flat_map(|moment| &moment.1);
        if kept.chain(&values).map(Tensor::numel).sum::<usize>() > MOST_NUMBERS {
            return Err(Error::Config(format!(
                "a course of {} moments of this model is more than the {MOST_NUMBERS} numbers that are kept: take fewer moments, \
                 or a smaller model",
                self.moments.len() + 1
            )));
        }
        self.moments.push((done, values));
        Ok(())
    }

    /// The steps at which the parameters were kept.
    pub fn steps(&self) -> Vec<usize> {
        self.moments.iter().map(|moment| moment.0).collect()
    }
}

impl<M: Trainable> Look<M> for Course {
    fn before(&mut self, model: &M, done: usize) -> Result<bool> {
        if done.is_multiple_of(self.every) {
            self.take(model, done)?;
        }
        Ok(false)
    }
}

/// The parameters of a model, which are put back when this is dropped: whatever happens meanwhile, the model stays as it was.
#[derive(Debug)]
pub(super) struct Kept {
    parameters: Vec<Parameter>,
    values: Vec<Tensor>,
}

impl Kept {
    pub(super) fn of(model: &impl Trainable) -> Kept {
        let parameters = model.parameters();
        let values = parameters.iter().map(|parameter| parameter.tensor.detach().copy()).collect();
        Kept { parameters, values }
    }

    /// Sets the model to its own parameters, and from there so far along each direction.
    pub(super) fn move_along(&mut self, directions: &[(f64, &[Tensor])]) -> Result<()> {
        let _guard = tch::no_grad_guard();
        for (place, parameter) in self.parameters.iter_mut().enumerate() {
            let mut moved = self.values[place].shallow_clone();
            for (far, direction) in directions {
                moved = moved.f_add(&direction[place].f_mul_scalar(*far)?)?;
            }
            parameter.tensor.f_copy_(&moved)?;
        }
        Ok(())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _guard = tch::no_grad_guard();
        for (parameter, values) in self.parameters.iter_mut().zip(&self.values) {
            // What could be copied once can be copied back.
            let _ = parameter.tensor.f_copy_(values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MlpConfig, MlpLm};
    use tch::{Device, Kind};

    #[test]
    fn a_model_is_put_back_also_after_an_error() {
        let model = MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap();
        let copies =
            |model: &MlpLm| model.parameters().iter().map(|one| one.tensor.detach().copy()).collect::<Vec<_>>();
        let before = copies(&model);
        let empty: Vec<Tensor> = before.iter().map(|_| Tensor::zeros([7, 7], (Kind::Float, Device::Cpu))).collect();
        let mut kept = Kept::of(&model);
        kept.move_along(&[(1.0, &before)]).unwrap();
        assert_ne!(copies(&model), before);
        assert!(kept.move_along(&[(1.0, &empty)]).is_err());
        drop(kept);
        assert_eq!(copies(&model), before);
    }

    #[test]
    fn a_course_too_large_to_keep_is_refused() {
        let model = MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap();
        let mut course = Course::every(1);
        // As if a much larger model had been kept before.
        let large = Tensor::zeros([1], (Kind::Float, Device::Cpu)).expand([MOST_NUMBERS as i64], false);
        course.moments.push((0, vec![large]));
        let message = course.take(&model, 1).unwrap_err().to_string();
        assert!(message.contains("fewer moments") && course.steps() == [0], "{message}");
    }
}
