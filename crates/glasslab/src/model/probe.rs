//! Looking into a forward pass, or changing it on the way.
//!
//! A model is written once, against a [`Probe`]: `let hidden = probe.at("mlp.hidden", hidden);`.
//! With [`NoProbe`] the call is nothing. [`Recording`] keeps every tensor: that is a trace, and it
//! can't differ from the model, because it *is* the model. A probe that gives another tensor back
//! changes the computation from there on.

use std::fmt::Display;
use tch::Tensor;

/// Sees each step of a forward pass, and may replace its tensor.
pub trait Probe {
    /// Called with the name and the tensor of a step; the model goes on with what it returns.
    fn at(&mut self, name: impl Display, tensor: Tensor) -> Tensor;

    /// Whether it does anything with a step. If not, a model may leave out a step that is only there to be seen.
    fn looks(&self) -> bool {
        true
    }
}

/// Sees nothing and costs nothing: for training and generation.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProbe;

impl Probe for NoProbe {
    #[inline(always)]
    fn at(&mut self, _name: impl Display, tensor: Tensor) -> Tensor {
        tensor
    }

    #[inline(always)]
    fn looks(&self) -> bool {
        false
    }
}

/// One step of a recorded forward pass.
#[derive(Debug)]
pub struct Step {
    /// The step's name, e.g. `mlp.hidden`.
    pub name: String,
    /// Its tensor.
    pub tensor: Tensor,
}

/// Keeps every step.
#[derive(Debug, Default)]
pub struct Recording {
    /// The steps, in order.
    pub steps: Vec<Step>,
}

impl Recording {
    /// The tensor of a step.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.steps.iter().find(|step| step.name == name).map(|step| &step.tensor)
    }

    /// A table of the steps: name, shape, smallest, mean and largest number.
    pub fn table(&self) -> String {
        let mut table = format!("{:<14} {:<14} {:>9} {:>9} {:>9}\n", "step", "shape", "min", "mean", "max");
        for Step { name, tensor } in &self.steps {
            let numbers = tensor.to_kind(tch::Kind::Double);
            let [min, mean, max] = match tensor.numel() {
                0 => [f64::NAN; 3],
                _ => [numbers.min(), numbers.mean(None), numbers.max()].map(|number| number.double_value(&[])),
            };
            let shape = format!("{:?}", tensor.size()).replace('[', "(").replace(']', ")");
            table.push_str(&format!("{name:<14} {shape:<14} {min:>9.3} {mean:>9.3} {max:>9.3}\n"));
        }
        table
    }
}

impl Probe for Recording {
    fn at(&mut self, name: impl Display, tensor: Tensor) -> Tensor {
        self.steps.push(Step { name: name.to_string(), tensor: tensor.detach() });
        tensor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt;

    #[test]
    fn the_empty_probe_makes_no_tensor_and_no_name() {
        struct Unwritten;
        impl Display for Unwritten {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("nobody asks for the name")
            }
        }
        let tensor = Tensor::from_slice(&[1_f32, 2.0]);
        let (handle, numbers) = (tensor.as_ptr(), tensor.data_ptr());
        let same = NoProbe.at(Unwritten, tensor);
        assert_eq!((same.as_ptr(), same.data_ptr()), (handle, numbers));
        assert_eq!((size_of::<NoProbe>(), NoProbe.looks()), (0, false));
    }
}
