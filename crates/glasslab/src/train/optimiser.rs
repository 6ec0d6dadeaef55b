//! Moving the parameters: AdamW for tables, biases and scales, Muon for the matrices between hidden layers.
//!
//! AdamW (Kingma and Ba 2015; Loshchilov and Hutter 2019): a step down the gradient, scaled for each parameter by how large its gradients
//! have been.
//! ```text
//! m ← β₁ m + (1 − β₁) g          the gradient, smoothed
//! v ← β₂ v + (1 − β₂) g²         its square, smoothed
//! θ ← θ − lr · (m̂ / (√v̂ + ε) + wd · θ)      m̂, v̂: m and v without their start at zero
//! ```
//! Muon (Jordan 2024): a matrix's step is made orthogonal first, so that it changes all directions of its input
//! alike and not only the few that the gradient prefers.
//! ```text
//! m ← μ m + g
//! W ← W − lr · √max(1, rows/columns) · orthogonal(g + μ m)
//! ```

use super::config::{OptimiserKind, TrainConfig};
use crate::error::{Error, Result};
use crate::model::{Parameter, Trainable};
use tch::{Kind, Tensor};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;
const MOMENTUM: f64 = 0.95;

/// Both optimisers' memory.
#[derive(Debug)]
pub struct Optimiser {
    kind: OptimiserKind,
    weight_decay: f64,
    clip: Option<f64>,
    adam: Adam,
    muon: Muon,
}

impl Optimiser {
    /// Prepares a model to be trained. From then on its tables, biases and scales are views of one long vector, and
    /// Muon's matrices of one shape of one stack: so a step is the same few operations for five tensors and for fifty.
    ///
    /// # Errors
    /// If the device has no memory for it.
    pub fn new(model: &mut impl Trainable, config: &TrainConfig) -> Result<Optimiser> {
        let TrainConfig { optimiser: kind, weight_decay, clip, .. } = *config;
        let _guard = tch::no_grad_guard();
        let (mut matrices, mut others): (Vec<_>, Vec<_>) =
            model.parameters().into_iter().partition(|parameter| is_muons(kind, parameter));
        let muon = Muon::new(&mut matrices)?;
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
        Ok(Optimiser { kind, weight_decay, clip, adam, muon })
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
        if let Some(clip) = self.clip {
            shorten(&gradients, clip)?;
        }
        let mut others = Vec::new();
        let mut matrices = Vec::new();
        for (parameter, gradient) in parameters.iter().zip(gradients) {
            match is_muons(self.kind, parameter) {
                true => matrices.push(gradient),
                false => others.push(gradient.flatten(0, -1)),
            }
        }
        self.adam.step(&Tensor::f_cat(&others, 0)?, lr, self.weight_decay)?;
        self.muon.step(&matrices, matrix_lr, self.weight_decay)
    }

    /// Its memory by names, to be kept with a training's state.
    pub(super) fn memory(&self) -> Vec<(String, Tensor)> {
        let mut all = vec![
            ("adam.steps".to_owned(), Tensor::from_slice(&[self.adam.steps])),
            ("adam.mean".to_owned(), self.adam.mean.shallow_clone()),
            ("adam.square".to_owned(), self.adam.square.shallow_clone()),
        ];
        let stacks = self.muon.stacks.iter().enumerate();
        all.extend(stacks.map(|(place, stack)| (format!("muon.{place}"), stack.momentum.shallow_clone())));
        all
    }

    /// Takes back what [`memory`](Self::memory) gave.
    pub(super) fn remember(&mut self, kept: &[(String, Tensor)]) -> Result<()> {
        let mut own = self.memory();
        for (name, tensor) in &mut own {
            let Some((_, values)) = kept.iter().find(|(other, values)| other == name && values.size() == tensor.size())
            else {
                return Err(Error::Data(format!("the training's state has no {name} that fits this model")));
            };
            tensor.f_copy_(values)?;
        }
        self.adam.steps = own[0].1.f_int64_value(&[0])? as i32;
        Ok(())
    }
}

fn is_muons(kind: OptimiserKind, parameter: &Parameter) -> bool {
    kind == OptimiserKind::Muon && parameter.hidden_matrix
}

/// Scales gradients down so that all of them together are at most `clip` long (Pascanu et al. 2013).
fn shorten(gradients: &[Tensor], clip: f64) -> Result<()> {
    let lengths: Vec<Tensor> = gradients.iter().map(|gradient| gradient.norm()).collect();
    let length = Tensor::f_stack(&lengths, 0)?.f_norm()?;
    // Without asking for the number, so that a GPU need not wait.
    let scale = length.f_add_scalar(1e-6)?.f_reciprocal()?.f_mul_scalar(clip)?.f_clamp_max(1.0)?;
    for gradient in gradients {
        let _ = gradient.shallow_clone().f_mul_(&scale)?;
    }
    Ok(())
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
    fn step(&mut self, gradient: &Tensor, lr: f64, weight_decay: f64) -> Result<()> {
        self.steps += 1;
        let _ = self.mean.f_lerp_(gradient, 1.0 - BETA1)?;
        let _ = self.square.f_lerp_(&gradient.f_square()?, 1.0 - BETA2)?;
        // θ − lr · m̂ / (√v̂ + ε) in place, with what is the same for all parameters taken out of the fraction.
        let (bias1, bias2) = (1.0 - BETA1.powi(self.steps), (1.0 - BETA2.powi(self.steps)).sqrt());
        let mut scale = self.square.f_sqrt()?;
        let _ = scale.f_add_scalar_(EPSILON * bias2)?.f_mul_scalar_(-bias1 / (lr * bias2))?;
        decay(&mut self.parameters, lr * weight_decay)?;
        let _ = self.parameters.f_addcdiv_(&self.mean, &scale)?;
        Ok(())
    }
}

fn decay(parameters: &mut Tensor, share: f64) -> Result<()> {
    if share > 0.0 {
        let _ = parameters.f_mul_scalar_(1.0 - share)?;
    }
    Ok(())
}

/// Muon on the matrices of each shape together.
#[derive(Debug)]
struct Muon {
    stacks: Vec<Stack>,
}

/// Matrices of one shape (R, K), and their gradients, smoothed: (N, R, K) each.
#[derive(Debug)]
struct Stack {
    /// Which of Muon's matrices they are.
    places: Vec<usize>,
    parameters: Tensor,
    momentum: Tensor,
}

impl Muon {
    /// From now on the matrices are views of their stack.
    fn new(matrices: &mut [Parameter]) -> Result<Muon> {
        let mut sizes: Vec<Vec<i64>> = matrices.iter().map(|matrix| matrix.tensor.size()).collect();
        let all = sizes.clone();
        sizes.sort_unstable();
        sizes.dedup();
        let mut stacks = Vec::new();
        for size in sizes {
            let places: Vec<usize> = (0..all.len()).filter(|&place| all[place] == size).collect();
            let tensors: Vec<Tensor> = places.iter().map(|&place| matrices[place].tensor.detach()).collect();
            let parameters = Tensor::f_stack(&tensors, 0)?; // (N, R, K)
            for (row, &place) in places.iter().enumerate() {
                matrices[place].tensor.f_set_data(&parameters.f_get(row as i64)?)?;
            }
            stacks.push(Stack { places, momentum: parameters.zeros_like(), parameters });
        }
        Ok(Muon { stacks })
    }

    fn step(&mut self, gradients: &[Tensor], lr: f64, weight_decay: f64) -> Result<()> {
        for Stack { places, parameters, momentum } in &mut self.stacks {
            let own: Vec<&Tensor> = places.iter().map(|&place| &gradients[place]).collect();
            let gradient = Tensor::f_stack(&own, 0)?; // (N, R, K)
            let _ = momentum.f_mul_scalar_(MOMENTUM)?.f_add_(&gradient)?;
            let ahead = gradient.f_add(&momentum.f_mul_scalar(MOMENTUM)?)?;
            let (_, rows, columns) = parameters.size3()?;
            let size = (rows as f64 / columns as f64).max(1.0).sqrt();
            decay(parameters, lr * weight_decay)?;
            // As Muon's author: on a GPU in bfloat16, which the iteration forgives.
            let precision = if ahead.device().is_cuda() { Kind::BFloat16 } else { ahead.kind() };
            let change = orthogonal(&ahead.f_to_kind(precision)?)?;
            let _ = parameters.f_sub_(&change.f_mul_scalar(lr * size)?)?;
        }
        Ok(())
    }
}

/// Almost the nearest matrices whose rows (or columns) are orthogonal and of length 1, by five steps of a
/// Newton–Schulz iteration, which needs products only.
///
/// # Shapes
/// (N, R, K) → (N, R, K), singular values between about 0.7 and 1.2
fn orthogonal(matrices: &Tensor) -> Result<Tensor> {
    let (_, rows, columns) = matrices.size3()?;
    let tall = rows > columns;
    let mut x = if tall { matrices.f_transpose(1, 2)? } else { matrices.shallow_clone() };
    let lengths = x.f_square()?.f_sum_dim_intlist([1, 2].as_slice(), true, matrices.kind())?.f_sqrt()?; // (N, 1, 1)
    x = x.f_div(&lengths.f_add_scalar(1e-7)?)?;
    for _ in 0..5 {
        let gram = x.f_bmm(&x.f_transpose(1, 2)?)?; // (N, R, R)
        let mix = gram.f_baddbmm(&gram, &gram, -4.7750, 2.0315)?;
        x = x.f_baddbmm(&mix, &x, 3.4445, 1.0)?;
    }
    Ok(if tall { x.f_transpose(1, 2)? } else { x })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LanguageModel, Parameter, random_tensor};
    use crate::rng::Rng;
    use tch::Device;

    /// A "model" with two parameters, whose loss the test chooses; the second may be a hidden matrix.
    struct Two(Tensor, Tensor, bool);

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
        fn parameters(&self) -> Vec<Parameter> {
            let hidden_matrix = self.2;
            vec![Parameter::new("a", &self.0), Parameter { hidden_matrix, ..Parameter::new("b", &self.1) }]
        }
    }

    fn leaf(numbers: &[f64]) -> Tensor {
        Tensor::from_slice(numbers).set_requires_grad(true)
    }

    /// Five steps on (a − 3)² + Σ b⁴ from a = 1, b = (1, −2).
    fn after_five_steps(config: &TrainConfig) -> Vec<f64> {
        let mut model = Two(leaf(&[1.0]), leaf(&[1.0, -2.0]), false);
        let mut optimiser = Optimiser::new(&mut model, config).unwrap();
        for _ in 0..5 {
            let loss = (&model.0 - 3.0).square().sum(Kind::Double) + model.1.pow_tensor_scalar(4).sum(Kind::Double);
            optimiser.step(&mut model, &loss, 0.1, 0.0).unwrap();
        }
        Vec::<f64>::try_from(Tensor::cat(&[&model.0, &model.1], 0).detach()).unwrap()
    }

    /// `tests/golden/make.py` does the same steps.
    fn golden() -> serde_json::Value {
        serde_json::from_str(include_str!("../../tests/golden/optimisers.json")).unwrap()
    }

    #[test]
    fn five_steps_are_pytorchs_also_with_decay_and_clipping() {
        let golden = golden();
        let plain = TrainConfig::default();
        for (name, config) in [
            ("adam", plain.clone()),
            ("adamw", TrainConfig { weight_decay: 0.3, ..plain.clone() }),
            ("clipped", TrainConfig { clip: Some(0.5), ..plain }),
        ] {
            for (place, got) in after_five_steps(&config).iter().enumerate() {
                let expected = golden[name][place].as_f64().unwrap();
                assert!((got - expected).abs() < 1e-6, "{name}: {got} is not {expected}");
            }
        }
    }

    #[test]
    fn three_steps_of_muon_are_pytorchs() {
        let golden = golden();
        for (name, size) in [("muon_tall", [4, 3]), ("muon_wide", [2, 5])] {
            let get = |part: &str| -> Vec<f64> { serde_json::from_value(golden[name][part].clone()).unwrap() };
            let matrix = |part: &str| Tensor::from_slice(&get(part)).to_kind(Kind::Float).view(size);
            let mut model = Two(leaf(&[0.0]), matrix("start").set_requires_grad(true), true);
            let config = TrainConfig { weight_decay: 0.2, ..TrainConfig::default() };
            let mut optimiser = Optimiser::new(&mut model, &config).unwrap();
            for _ in 0..3 {
                let loss = (&model.1 - matrix("target")).square().sum(Kind::Float) + model.0.sum(Kind::Float);
                optimiser.step(&mut model, &loss, 0.1, 0.1).unwrap();
            }
            let off = (model.1.detach() - matrix("end")).abs().max().double_value(&[]);
            assert!(off < 1e-4, "{name} is off by {off}");
        }
    }

    #[test]
    fn muons_step_changes_all_directions_alike() {
        let mut rng = Rng::new(1);
        for (size, precision) in
            [[8, 20], [20, 8], [8, 8]].iter().flat_map(|size| [(size, Kind::Float), (size, Kind::BFloat16)])
        {
            let matrix = random_tensor(&mut rng, size, 1.0).unwrap().unsqueeze(0);
            let matrix = orthogonal(&matrix.to_kind(precision)).unwrap().squeeze().to_kind(Kind::Float);
            let (_, singular, _) = matrix.svd(true, true);
            let (least, most) = (singular.min().double_value(&[]), singular.max().double_value(&[]));
            assert!(least > 0.5 && most < 1.3, "{size:?}: {least} to {most}");
        }
    }
}
