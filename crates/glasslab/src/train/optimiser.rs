//! Moving the parameters.
//!
//! Gradient descent (SGD, because the gradient is that of a batch drawn by chance), and the same with momentum (Polyak 1964):
//! ```text
//! θ ← θ − lr · g
//! v ← μ v + g;   θ ← θ − lr · v      μ = 0.9: a ball that rolls
//! ```
//! AdamW (Kingma and Ba 2015; Loshchilov and Hutter 2019): a step down the gradient, scaled for each parameter by how large its gradients
//! have been.
//! ```text
//! m ← β₁ m + (1 − β₁) g          the gradient, smoothed
//! v ← β₂ v + (1 − β₂) g²         its square, smoothed
//! θ ← θ − lr · m̂ / (√v̂ + ε)      m̂, v̂: m and v without their start at zero
//! ```
//! Muon (Jordan 2024): a matrix's step is made orthogonal first, so that it changes all directions of its input
//! alike and not only the few that the gradient prefers. Tables, biases and scales are AdamW's beside it.
//! ```text
//! m ← μ m + g                    μ = 0.95
//! W ← W − lr · √max(1, rows/columns) · orthogonal(g + μ m)
//! ```
//! Before each step, all lose the share lr · wd of themselves, and gradients that are too long together are shortened.

mod flat;
mod memory;
mod muon;

pub(super) use flat::{BETA1, BETA2, EPSILON, FRICTION, scale};
pub(super) use muon::{MOMENTUM, look_ahead, orthogonalised, size};

use super::config::{OptimiserKind, TrainConfig};
use crate::error::{Error, Result};
use crate::model::{Parameter, Trainable, gradients};
use crate::slices::{dot, is_walkable, walk};
use flat::Flat;
pub(super) use memory::Memory;
use muon::Muon;
use std::ops::Range;
use tch::Tensor;

/// An optimiser and its memory.
#[derive(Debug)]
pub struct Optimiser {
    kind: OptimiserKind,
    weight_decay: f64,
    clip: Option<f64>,
    flat: Flat,
    muon: Muon,
}

/// A parameter before and after a step, and what moved it; all are copies in the parameter's shape.
#[derive(Debug)]
pub(super) struct Moved {
    pub(super) name: String,
    pub(super) before: Tensor,
    /// As the backward pass gave it.
    pub(super) gradient: Tensor,
    /// Before the step.
    pub(super) memory: Memory,
    pub(super) after: Tensor,
}

/// A step of which everything was kept.
#[derive(Debug)]
pub(super) struct SlowMotion {
    pub(super) parameters: Vec<Moved>,
    /// The length of the whole gradient.
    pub(super) length: f64,
    /// What clipping multiplied every gradient by.
    pub(super) shortened: Option<f64>,
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
        let flat = Flat::new(kind, &mut others, model.device())?;
        Ok(Optimiser { kind, weight_decay, clip, flat, muon })
    }

    /// One step down the gradient of `loss`, with `lr`, and `matrix_lr` for Muon's matrices.
    ///
    /// # Errors
    /// If the loss does not depend on one of the parameters, and what libtorch fails with.
    pub fn step(&mut self, model: &mut impl Trainable, loss: &Tensor, lr: f64, matrix_lr: f64) -> Result<()> {
        let gradients = gradients(&model.parameters(), loss)?;
        self.step_along(model, gradients, lr, matrix_lr)
    }

    /// One step down these gradients, as [`Trainable::loss_and_gradients`] gives them.
    ///
    /// # Errors
    /// If they are not one for each parameter, of its shape and kind, and what libtorch fails with.
    pub fn step_along(
        &mut self,
        model: &mut impl Trainable,
        gradients: Vec<Tensor>,
        lr: f64,
        matrix_lr: f64,
    ) -> Result<()> {
        self.descend(&model.parameters(), gradients, lr, matrix_lr).map(drop)
    }

    /// The same step, of which everything is kept.
    pub(super) fn step_in_slow_motion(
        &mut self,
        model: &mut impl Trainable,
        gradients: Vec<Tensor>,
        lr: f64,
        matrix_lr: f64,
    ) -> Result<SlowMotion> {
        let parameters = model.parameters();
        let copy = |parameter: &Parameter| parameter.tensor.detach().copy();
        let before: Vec<Tensor> = parameters.iter().map(copy).collect();
        let memories = self.memories(&parameters)?;
        let length = length(&gradients)?.f_double_value(&[])?;
        // No step changes a gradient in place, so handles are enough.
        let kept: Vec<Tensor> = gradients.iter().map(Tensor::shallow_clone).collect();
        let shortened = self.descend(&parameters, gradients, lr, matrix_lr)?;
        let shortened = shortened.map(|scale| scale.f_double_value(&[])).transpose()?;
        let parts = parameters.iter().zip(before).zip(kept).zip(memories);
        let parameters = parts.map(|(((parameter, before), gradient), memory)| {
            let (name, after) = (parameter.name.clone(), copy(parameter));
            Moved { name, before, gradient, memory, after }
        });
        Ok(SlowMotion { parameters: parameters.collect(), length, shortened })
    }

    /// Moves the parameters; tells what clipping multiplied the gradients by.
    fn descend(
        &mut self,
        parameters: &[Parameter],
        mut gradients: Vec<Tensor>,
        lr: f64,
        matrix_lr: f64,
    ) -> Result<Option<Tensor>> {
        let _guard = tch::no_grad_guard();
        let fits = |(parameter, gradient): (&Parameter, &Tensor)| {
            parameter.tensor.size() == gradient.size() && parameter.tensor.kind() == gradient.kind()
        };
        if parameters.len() != gradients.len() || !parameters.iter().zip(&gradients).all(fits) {
            return Err(Error::Config(
                "the gradients must be one for each parameter, of its shape and kind: see `loss_and_gradients`"
                    .to_owned(),
            ));
        }
        // What is moved must not be what it is moved along: a model's own way to a gradient may give a parameter itself, or a part of one.
        let own: Vec<_> = parameters.iter().map(|parameter| place_of(&parameter.tensor)).collect();
        for gradient in &mut gradients {
            let place = place_of(gradient);
            if own.iter().any(|own| own.start < place.end && place.start < own.end) {
                *gradient = gradient.copy();
            }
        }
        let (mut scale, mut by) = (None, 1.0);
        if let Some(clip) = self.clip {
            let shorter =
                length(&gradients)?.f_add_scalar(1e-6)?.f_reciprocal()?.f_mul_scalar(clip)?.f_clamp_max(1.0)?;
            if gradients.iter().all(is_walkable) {
                by = shorter.f_double_value(&[])? as f32;
            } else {
                // Without asking for the number, so that a GPU need not wait.
                gradients = gradients.iter().map(|gradient| Ok(gradient.f_mul(&shorter)?)).collect::<Result<_>>()?;
            }
            scale = Some(shorter);
        }
        let mut others = Vec::new();
        let mut matrices = Vec::new();
        for (parameter, gradient) in parameters.iter().zip(gradients) {
            match is_muons(self.kind, parameter) {
                true => matrices.push(gradient),
                false => others.push(gradient.flatten(0, -1)),
            }
        }
        self.flat.step(&others, by, lr, self.weight_decay)?;
        self.muon.step(&matrices, by, matrix_lr, self.weight_decay)?;
        Ok(scale)
    }

    /// What it remembers of each parameter.
    fn memories(&self, parameters: &[Parameter]) -> Result<Vec<Memory>> {
        let all = 0..parameters.len();
        let (matrices, others): (Vec<usize>, Vec<usize>) =
            all.partition(|&place| is_muons(self.kind, &parameters[place]));
        let memory = |(number, parameter): (usize, &Parameter)| {
            let place = |own: &[usize]| own.partition_point(|&other| other < number);
            match is_muons(self.kind, parameter) {
                true => Ok(self.muon.memory_of(place(&matrices), &matrices)),
                false => self.flat.memory_of(place(&others), &parameter.tensor.size()),
            }
        };
        parameters.iter().enumerate().map(memory).collect()
    }

    /// Its memory by names, to be kept with a training's state.
    pub(super) fn memory(&self) -> Vec<(String, Tensor)> {
        self.flat.memory().into_iter().chain(self.muon.memory()).collect()
    }

    /// Takes back what [`memory`](Self::memory) gave, all or nothing.
    pub(super) fn remember(&mut self, kept: &[(String, Tensor)]) -> Result<()> {
        let found = self.memory().into_iter().map(|(name, tensor)| {
            let fits = |(other, values): &&(String, Tensor)| *other == name && values.size() == tensor.size();
            let values = kept.iter().find(fits).map(|(_, values)| values);
            let missing = || Error::Data(format!("the training's state has no {name} that fits this model"));
            values.ok_or_else(missing).map(|values| (name, tensor, values))
        });
        for (name, mut tensor, values) in found.collect::<Result<Vec<_>>>()? {
            match name.as_str() {
                "adam.steps" => self.flat.set_steps(values.f_int64_value(&[0])? as i32),
                _ => tensor.f_copy_(values)?,
            }
        }
        Ok(())
    }
}

/// Where the numbers of a tensor lie that lie in a row.
fn place_of(tensor: &Tensor) -> Range<usize> {
    let start = tensor.data_ptr() as usize;
    start..start + tensor.numel() * tensor.kind().elt_size_in_bytes()
}

fn is_muons(kind: OptimiserKind, parameter: &Parameter) -> bool {
    kind == OptimiserKind::Muon && parameter.hidden_matrix
}

/// The length of all gradients together, as one vector (Pascanu et al. 2013).
fn length(gradients: &[Tensor]) -> Result<Tensor> {
    if gradients.iter().all(is_walkable) {
        let parts = gradients.iter().flat_map(|gradient| walk(gradient).chunks(1 << 14));
        return Ok(Tensor::from(parts.map(|part| f64::from(dot(part, part))).sum::<f64>().sqrt() as f32));
    }
    let lengths: Vec<Tensor> = gradients.iter().map(|gradient| gradient.norm()).collect();
    Ok(Tensor::f_stack(&lengths, 0)?.f_norm()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LanguageModel, random_tensor};
    use crate::rng::Rng;
    use tch::{Device, Kind};

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

    /// Five steps on (a − 3)² + Σ b⁴ from a = 1, b = (1, −2): in double precision by libtorch, in single by one loop.
    fn after_five_steps(config: &TrainConfig, kind: Kind) -> Vec<f64> {
        // Where a step is as long as the gradient, 0.1 would leap over the valley.
        let lr = if matches!(config.optimiser, OptimiserKind::Sgd | OptimiserKind::Momentum) { 0.01 } else { 0.1 };
        let leaf = |numbers: &[f64]| Tensor::from_slice(numbers).to_kind(kind).set_requires_grad(true);
        let mut model = Two(leaf(&[1.0]), leaf(&[1.0, -2.0]), false);
        let mut optimiser = Optimiser::new(&mut model, config).unwrap();
        for _ in 0..5 {
            let loss = (&model.0 - 3.0).square().sum(kind) + model.1.pow_tensor_scalar(4).sum(kind);
            optimiser.step(&mut model, &loss, lr, 0.0).unwrap();
        }
        Vec::<f64>::try_from(Tensor::cat(&[&model.0, &model.1], 0).detach().to_kind(Kind::Double)).unwrap()
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
            ("clipped", TrainConfig { clip: Some(0.5), ..plain.clone() }),
            ("sgd", TrainConfig { optimiser: OptimiserKind::Sgd, weight_decay: 0.3, ..plain.clone() }),
            ("momentum", TrainConfig { optimiser: OptimiserKind::Momentum, ..plain.clone() }),
            ("momentum_decayed", TrainConfig { optimiser: OptimiserKind::Momentum, weight_decay: 0.3, ..plain }),
        ] {
            for kind in [Kind::Double, Kind::Float] {
                for (place, got) in after_five_steps(&config, kind).iter().enumerate() {
                    let expected = golden[name][place].as_f64().unwrap();
                    assert!((got - expected).abs() < 1e-6, "{name} in {kind:?}: {got} is not {expected}");
                }
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
    fn a_gradient_that_is_the_parameter_itself_moves_it_and_one_of_another_shape_is_refused() {
        let numbers = [1.0_f32, -2.0, 3.0, 4.0, 5.0, 6.0, -7.0];
        let matrix = || Tensor::from_slice(&numbers[..6]).view([2, 3]).set_requires_grad(true);
        let of_another = |model: &Two| model.0.detach().narrow(0, 1, 6).view([2, 3]); // which is moved first
        let own = |model: &Two| model.1.detach();
        let ways: [&dyn Fn(&Two) -> Tensor; 2] = [&own, &of_another];
        for (kind, way) in
            [OptimiserKind::Adamw, OptimiserKind::Muon].into_iter().flat_map(|kind| ways.map(|way| (kind, way)))
        {
            let config = TrainConfig { optimiser: kind, ..TrainConfig::default() };
            let moved = |itself: bool| {
                let mut model = Two(Tensor::from_slice(&numbers).set_requires_grad(true), matrix(), true);
                let mut optimiser = Optimiser::new(&mut model, &config).unwrap();
                let gradients = [model.0.detach().copy(), way(&model)].map(|tensor| match itself {
                    true => tensor,
                    false => tensor.copy(),
                });
                optimiser.step_along(&mut model, gradients.into(), 0.1, 0.1).unwrap();
                let message = optimiser.step_along(&mut model, vec![matrix(), matrix()], 0.1, 0.1).unwrap_err();
                assert!(message.to_string().contains("of its shape and kind"), "{message}");
                model.1.detach()
            };
            assert_eq!(moved(true), moved(false));
        }
    }

    #[test]
    fn clipping_is_the_same_for_every_rule_and_size() {
        let random = |seed, size: &[i64]| random_tensor(&mut Rng::new(seed), size, 1.0).unwrap();
        // Of several parts for threads, and for Muon by libtorch; and one by loops.
        let kinds = [OptimiserKind::Sgd, OptimiserKind::Momentum, OptimiserKind::Adamw, OptimiserKind::Muon];
        for (kind, side) in kinds.into_iter().flat_map(|kind| [(kind, 513), (kind, 40)]) {
            let moved = |clip, gradients: [Tensor; 2]| {
                let matrix = random(1, &[side, side]).set_requires_grad(true);
                let mut model = Two(random(2, &[3]).set_requires_grad(true), matrix, true);
                let config = TrainConfig { optimiser: kind, clip, ..TrainConfig::default() };
                let mut optimiser = Optimiser::new(&mut model, &config).unwrap();
                optimiser.step_along(&mut model, gradients.into(), 0.1, 0.1).unwrap();
                [model.0.detach(), model.1.detach()]
            };
            let gradients = [random(3, &[3]), random(4, &[side, side])];
            let length = gradients.iter().map(|one| one.norm().double_value(&[]).powi(2)).sum::<f64>().sqrt();
            let shorter = gradients.each_ref().map(|gradient| gradient * (0.5 / length));
            let pairs = moved(Some(0.5), gradients.each_ref().map(Tensor::copy)).into_iter().zip(moved(None, shorter));
            for (clipped, shorter) in pairs {
                let off = (clipped - shorter).abs().max().double_value(&[]);
                assert!(off < 1e-5, "{kind:?} of {side}: {off}");
            }
            // A length that is no number makes none of all, with clipping.
            let broken = [random(3, &[3]) * f64::NAN, random(4, &[side, side])];
            assert!(moved(Some(0.5), broken)[1].isnan().any().int64_value(&[]) == 1, "{kind:?} of {side}");
        }
    }

    #[test]
    fn what_can_t_be_learnt_is_named() {
        let frozen = Two(leaf(&[1.0]), Tensor::from_slice(&[1.0]), false);
        let unused = Two(leaf(&[1.0]), leaf(&[1.0]), false);
        for (mut model, expected) in [(frozen, "b is not to be learnt"), (unused, "does not depend on b")] {
            let mut optimiser = Optimiser::new(&mut model, &TrainConfig::default()).unwrap();
            let loss = model.0.square().sum(Kind::Double);
            let message = optimiser.step(&mut model, &loss, 0.1, 0.1).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
