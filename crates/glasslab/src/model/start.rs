//! With what the parameters of a model begin: random numbers, zeros and ones, from which it learns; or nothing yet, where its
//! numbers lie in a file.

use super::random_tensor;
use crate::error::Result;
use crate::rng::Rng;
use tch::{Device, Kind, Tensor};

/// What gives a model its parameters while it is built.
pub(crate) struct Start<'a> {
    /// `None`: a parameter has its shape, and its numbers are still to come.
    rng: Option<&'a mut Rng>,
    device: Device,
}

impl Start<'_> {
    /// The numbers that a training begins with.
    pub(crate) fn drawn(rng: &mut Rng, device: Device) -> Start<'_> {
        Start { rng: Some(rng), device }
    }

    /// Parameters that take no memory, however large, until [`Parameter::fill`](super::Parameter::fill) gives them their
    /// numbers.
    pub(crate) fn unfilled(device: Device) -> Start<'static> {
        Start { rng: None, device }
    }

    /// Random numbers around 0 with a standard deviation, to be learnt.
    pub(crate) fn random(&mut self, size: &[i64], deviation: f64) -> Result<Tensor> {
        match &mut self.rng {
            Some(rng) => Ok(random_tensor(rng, size, deviation)?.f_to_device(self.device)?.set_requires_grad(true)),
            None => self.shaped(size),
        }
    }

    /// A random (rows, columns) matrix with variance 1 / `fan_in`, to be learnt.
    pub(crate) fn weight(&mut self, size: [i64; 2], fan_in: i64) -> Result<Tensor> {
        self.random(&size, 1.0 / (fan_in as f64).sqrt())
    }

    /// One number everywhere, to be learnt.
    pub(crate) fn full(&self, size: &[i64], value: f64) -> Result<Tensor> {
        match self.rng {
            Some(_) => Ok(Tensor::f_full(size, value, (Kind::Float, self.device))?.set_requires_grad(true)),
            None => self.shaped(size),
        }
    }

    pub(crate) fn zeros(&self, size: &[i64]) -> Result<Tensor> {
        self.full(size, 0.0)
    }

    /// A single 0 that stands in all places.
    fn shaped(&self, size: &[i64]) -> Result<Tensor> {
        let one = Tensor::f_zeros([] as [i64; 0], (Kind::Float, self.device))?;
        Ok(one.f_expand(size, false)?.f_data()?.set_requires_grad(true))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Parameter;
    use super::*;

    #[test]
    fn what_is_unfilled_takes_no_memory_and_gets_its_numbers_later() {
        let mut start = Start::unfilled(Device::Cpu);
        let huge = start.weight([1 << 40, 1 << 20], 7).unwrap();
        assert_eq!((huge.size(), huge.requires_grad()), (vec![1 << 40, 1 << 20], true));
        assert!(start.zeros(&[1 << 40, 1 << 40]).is_err(), "so many can't be counted");
        let weight = start.weight([2, 3], 3).unwrap();
        let mut parameter = Parameter::new("weight", &weight);
        let numbers = Tensor::arange(6, (Kind::Double, Device::Cpu)).view([3, 2]).transpose(0, 1);
        let message = parameter.fill(&numbers.transpose(0, 1)).unwrap_err().to_string();
        assert!(message.contains("weight") && message.contains("[2, 3]") && message.contains("[3, 2]"), "{message}");
        parameter.fill(&numbers).unwrap();
        assert_eq!((weight.kind(), weight.requires_grad(), weight.is_contiguous()), (Kind::Float, true, true));
        assert_eq!(weight.to_kind(Kind::Double), numbers);
        weight.square().sum(Kind::Float).backward();
        assert_eq!(weight.grad(), weight.detach() * 2);
    }

    #[test]
    fn what_is_drawn_can_be_learnt() {
        let mut rng = Rng::new(1);
        let mut start = Start::drawn(&mut rng, Device::Cpu);
        let [weight, ones] = [start.weight([2, 3], 3).unwrap(), start.full(&[4], 1.0).unwrap()];
        assert!(weight.requires_grad() && ones.requires_grad());
        assert_eq!(ones.sum(Kind::Float).double_value(&[]), 4.0);
    }
}
