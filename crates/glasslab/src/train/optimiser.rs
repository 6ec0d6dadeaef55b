//! Moving the parameters: Adam for tables, biases and scales, Muon for the matrices between hidden layers.
//!
//! Adam (Kingma and Ba 2015): a step down the gradient, scaled for each parameter by how large its gradients
//! have been.
//! ```text
//! m ← β₁ m + (1 − β₁) g          the gradient, smoothed
//! v ← β₂ v + (1 − β₂) g²         its square, smoothed
//! θ ← θ − lr · m̂ / (√v̂ + ε)      m̂, v̂: m and v without their start at zero
//! ```
//! Muon (Jordan 2024): a matrix's step is made orthogonal first, so that it changes all directions of its input
//! alike and not only the few that the gradient prefers.
//! ```text
//! m ← μ m + g
//! W ← W − lr · √max(1, rows/columns) · orthogonal(g + μ m)
//! ```

use crate::error::Result;
use crate::model::Trainable;
use tch::{Kind, Tensor};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;
const MOMENTUM: f64 = 0.95;

/// Both optimisers' memory.
#[derive(Debug)]
pub struct Optimiser {
    adam: Adam,
    muon: Muon,
}

impl Optimiser {
    /// Prepares a model to be trained. From then on its tables, biases and scales are views of one long vector,
    /// so that a step of Adam is the same few operations for five tensors and for fifty.
    ///
    /// # Errors
    /// If the device has no memory for it.
    pub fn new(model: &mut impl Trainable) -> Result<Optimiser> {
        let _guard = tch::no_grad_guard();
        let (matrices, mut others): (Vec<_>, Vec<_>) =
            model.parameters().into_iter().partition(|parameter| parameter.hidden_matrix);
        let muon = Muon { momentum: matrices.iter().map(|parameter| parameter.tensor.zeros_like()).collect() };
        let flat: Vec<Tensor> = others.iter().map(|parameter| parameter.tensor.detach().flatten(0, -1)).collect();
        let parameters = Tensor::f_cat(&flat, 0)?; // (P)
        let mut start = 0;
        for parameter in &mut others {
            let length = parameter.tensor.numel() as i64;
            let view = parameters.f_narrow(0, start, length)?.f_view(&parameter.tensor.size()[..])?;
            parameter.tensor.f_set_data(&view)?;
            start += length;
        }
        let adam = Adam { mean: parameters.zeros_like(), square: parameters.zeros_like(), parameters, steps: 0 };
        Ok(Optimiser { adam, muon })
    }

    /// One step down the gradient of `loss`, with `lr` for Adam and `matrix_lr` for Muon.
    ///
    /// # Errors
    /// What libtorch fails with.
    pub fn step(&mut self, model: &mut impl Trainable, loss: &Tensor, lr: f64, matrix_lr: f64) -> Result<()> {
        let parameters = model.parameters();
        let tensors: Vec<Tensor> = parameters.iter().map(|parameter| parameter.tensor.shallow_clone()).collect();
        let gradients = Tensor::f_run_backward(&[loss], &tensors, false, false)?;
        let _guard = tch::no_grad_guard();
        let mut others = Vec::new();
        let mut matrices = Vec::new();
        for ((parameter, gradient), tensor) in parameters.iter().zip(gradients).zip(tensors) {
            match parameter.hidden_matrix {
                true => matrices.push((tensor, gradient)),
                false => others.push(gradient.flatten(0, -1)),
            }
        }
        self.adam.step(&Tensor::f_cat(&others, 0)?, lr)?;
        self.muon.step(&mut matrices, matrix_lr)
    }
}

/// Adam on one long vector.
#[derive(Debug)]
struct Adam {
    parameters: Tensor,
    mean: Tensor,
    square: Tensor,
    steps: i32,
}

impl Adam {
    fn step(&mut self, gradient: &Tensor, lr: f64) -> Result<()> {
        self.steps += 1;
        let _ = self.mean.f_lerp_(gradient, 1.0 - BETA1)?;
        let _ = self.square.f_lerp_(&gradient.f_square()?, 1.0 - BETA2)?;
        let (bias1, bias2) = (1.0 - BETA1.powi(self.steps), 1.0 - BETA2.powi(self.steps));
        let scale = (self.square.f_div_scalar(bias2)?.f_sqrt()?).f_add_scalar(EPSILON)?;
        let change = self.mean.f_div(&scale)?.f_mul_scalar(lr / bias1)?;
        let _ = self.parameters.f_sub_(&change)?;
        Ok(())
    }
}

/// Muon on each matrix.
#[derive(Debug)]
struct Muon {
    momentum: Vec<Tensor>,
}

impl Muon {
    fn step(&mut self, matrices: &mut [(Tensor, Tensor)], lr: f64) -> Result<()> {
        for ((matrix, gradient), momentum) in matrices.iter_mut().zip(&mut self.momentum) {
            let _ = momentum.f_mul_scalar_(MOMENTUM)?.f_add_(gradient)?;
            let ahead = gradient.f_add(&momentum.f_mul_scalar(MOMENTUM)?)?;
            let (rows, columns) = matrix.size2()?;
            let size = (rows as f64 / columns as f64).max(1.0).sqrt();
            let _ = matrix.f_sub_(&orthogonal(&ahead)?.f_mul_scalar(lr * size)?)?;
        }
        Ok(())
    }
}

/// Almost the nearest matrix whose rows (or columns) are orthogonal and of length 1, by five steps of a
/// Newton–Schulz iteration, which needs products only.
///
/// # Shapes
/// (R, K) → (R, K), singular values between about 0.7 and 1.2
fn orthogonal(matrix: &Tensor) -> Result<Tensor> {
    let (rows, columns) = matrix.size2()?;
    let tall = rows > columns;
    let mut x = if tall { matrix.f_transpose(0, 1)? } else { matrix.shallow_clone() };
    x = x.f_div(&x.f_norm()?.f_add_scalar(1e-7)?)?;
    for _ in 0..5 {
        let gram = x.f_matmul(&x.f_transpose(0, 1)?)?;
        let mix = gram.f_mul_scalar(-4.7750)?.f_add(&gram.f_matmul(&gram)?.f_mul_scalar(2.0315)?)?;
        x = x.f_mul_scalar(3.4445)?.f_add(&mix.f_matmul(&x)?)?;
    }
    let x = if tall { x.f_transpose(0, 1)? } else { x };
    Ok(x.f_to_kind(Kind::Float)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LanguageModel, Parameter};
    use tch::Device;

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
        fn parameters(&mut self) -> Vec<Parameter<'_>> {
            vec![Parameter::new("a", &mut self.0), Parameter::new("b", &mut self.1)]
        }
    }

    /// Five steps on (a − 3)² + Σ b⁴ from a = 1, b = (1, −2); `tests/golden/make.py` does the same.
    #[test]
    fn five_steps_are_pytorchs() {
        let golden = include_str!("../../tests/golden/adam.json");
        let golden: serde_json::Value = serde_json::from_str(golden).unwrap();
        let leaf = |numbers: &[f64]| Tensor::from_slice(numbers).set_requires_grad(true);
        let mut model = Two(leaf(&[1.0]), leaf(&[1.0, -2.0]));
        let mut adam = Optimiser::new(&mut model).unwrap();
        for _ in 0..5 {
            let loss = (&model.0 - 3.0).square().sum(Kind::Double) + model.1.pow_tensor_scalar(4).sum(Kind::Double);
            adam.step(&mut model, &loss, 0.1, 0.0).unwrap();
        }
        let got = Vec::<f64>::try_from(Tensor::cat(&[&model.0, &model.1], 0).detach()).unwrap();
        for (place, got) in got.iter().enumerate() {
            let expected = golden["parameters"][place].as_f64().unwrap();
            assert!((got - expected).abs() < 1e-9, "{got} is not {expected}");
        }
    }

    #[test]
    fn muons_step_changes_all_directions_alike() {
        tch::manual_seed(0);
        for size in [[8, 20], [20, 8], [8, 8]] {
            let matrix = orthogonal(&Tensor::randn(size, (Kind::Float, Device::Cpu))).unwrap();
            let (_, singular, _) = matrix.svd(true, true);
            let (least, most) = (singular.min().double_value(&[]), singular.max().double_value(&[]));
            assert!(least > 0.5 && most < 1.3, "{size:?}: {least} to {most}");
        }
    }
}
