//! Adam (Kingma and Ba 2015): a step down the gradient, scaled for each parameter by how large
//! its gradients have been.
//!
//! ```text
//! m ← β₁ m + (1 − β₁) g          the gradient, smoothed
//! v ← β₂ v + (1 − β₂) g²         its square, smoothed
//! θ ← θ − lr · m̂ / (√v̂ + ε)      m̂, v̂: m and v without their start at zero
//! ```
//! All parameters lie in one long vector, of which the model's tensors are views: so a step is
//! the same few operations for a model of five tensors and of fifty.

use crate::error::Result;
use crate::model::Trainable;
use tch::Tensor;

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// The optimiser's memory.
#[derive(Debug)]
pub struct Adam {
    parameters: Tensor,
    mean: Tensor,
    square: Tensor,
    steps: i32,
}

impl Adam {
    /// Moves the model's parameters into one vector, which the model then shares.
    ///
    /// # Errors
    /// If the device has no memory for it.
    pub fn new(model: &mut impl Trainable) -> Result<Adam> {
        let _guard = tch::no_grad_guard();
        let mut tensors = model.parameters();
        let flat: Vec<Tensor> = tensors.iter().map(|(_, tensor)| tensor.detach().flatten(0, -1)).collect();
        let parameters = Tensor::f_cat(&flat, 0)?; // (P)
        let mut start = 0;
        for (_, tensor) in &mut tensors {
            let length = tensor.numel() as i64;
            let view = parameters.f_narrow(0, start, length)?.f_view(&tensor.size()[..])?;
            tensor.f_set_data(&view)?;
            start += length;
        }
        Ok(Adam { mean: parameters.zeros_like(), square: parameters.zeros_like(), parameters, steps: 0 })
    }

    /// One step down the gradient of `loss`.
    ///
    /// # Errors
    /// What libtorch fails with.
    pub fn step(&mut self, model: &mut impl Trainable, loss: &Tensor, lr: f64) -> Result<()> {
        let tensors: Vec<Tensor> = model.parameters().iter().map(|(_, tensor)| tensor.shallow_clone()).collect();
        let gradients = Tensor::f_run_backward(&[loss], &tensors, false, false)?;
        let _guard = tch::no_grad_guard();
        let flat: Vec<Tensor> = gradients.iter().map(|gradient| gradient.flatten(0, -1)).collect();
        let gradient = Tensor::f_cat(&flat, 0)?; // (P)
        self.steps += 1;
        let _ = self.mean.f_lerp_(&gradient, 1.0 - BETA1)?;
        let _ = self.square.f_lerp_(&gradient.f_square()?, 1.0 - BETA2)?;
        let (bias1, bias2) = (1.0 - BETA1.powi(self.steps), 1.0 - BETA2.powi(self.steps));
        let scale = (self.square.f_div_scalar(bias2)?.f_sqrt()?).f_add_scalar(EPSILON)?;
        let change = self.mean.f_div(&scale)?.f_mul_scalar(lr / bias1)?;
        let _ = self.parameters.f_sub_(&change)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LanguageModel;
    use tch::{Device, Kind};

    /// A "model" with two parameters, whose loss the test chooses.
    struct Two(Tensor, Tensor);

    impl LanguageModel for Two {
        fn logits(&self, ids: &Tensor) -> Result<Tensor> {
            Ok(ids.shallow_clone())
        }
        fn n_vocab(&self) -> i64 {
            1
        }
        fn context_len(&self) -> i64 {
            1
        }
        fn device(&self) -> Device {
            Device::Cpu
        }
    }

    impl Trainable for Two {
        fn parameters(&mut self) -> Vec<(&'static str, &mut Tensor)> {
            vec![("a", &mut self.0), ("b", &mut self.1)]
        }
    }

    /// Five steps on (a − 3)² + Σ b⁴ from a = 1, b = (1, −2); `tests/golden/make.py` does the same.
    #[test]
    fn five_steps_are_pytorchs() {
        let golden = include_str!("../../tests/golden/adam.json");
        let golden: serde_json::Value = serde_json::from_str(golden).unwrap();
        let leaf = |numbers: &[f64]| Tensor::from_slice(numbers).set_requires_grad(true);
        let mut model = Two(leaf(&[1.0]), leaf(&[1.0, -2.0]));
        let mut adam = Adam::new(&mut model).unwrap();
        for _ in 0..5 {
            let loss = (&model.0 - 3.0).square().sum(Kind::Double) + model.1.pow_tensor_scalar(4).sum(Kind::Double);
            adam.step(&mut model, &loss, 0.1).unwrap();
        }
        let got = Vec::<f64>::try_from(Tensor::cat(&[&model.0, &model.1], 0).detach()).unwrap();
        for (place, got) in got.iter().enumerate() {
            let expected = golden["parameters"][place].as_f64().unwrap();
            assert!((got - expected).abs() < 1e-9, "{got} is not {expected}");
        }
    }
}
