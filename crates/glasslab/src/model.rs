//! Language models: each gives, for every character of a text, a score for what comes next.

mod any;
pub mod attention;
pub mod cache;
mod config;
pub(crate) mod file;
mod mlp;
mod ngram;
pub mod norm;
pub mod open;
mod own;
mod probe;
pub mod rotary;
mod start;
pub mod transformer;

pub use any::{AnyModel, Lm};
pub use config::ModelConfig;
pub use mlp::{MlpConfig, MlpLm};
pub use ngram::NGram;
pub(crate) use own::checked;
#[cfg(test)]
pub(crate) use own::mine::Mine;
pub use own::{Model, Sizes};
pub use probe::{NoProbe, Probe, Recording, Step};
pub use transformer::{Activation, Every, Family, Ngrams, Positions, TransformerConfig, TransformerLm, Window};

use crate::error::{Error, Result};
use crate::rng::Rng;
use crate::tokenizer::{AnyTokenizer, CharTokenizer, Tokenizer};
use cache::Cache;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// What every language model can do.
pub trait LanguageModel {
    /// Scores for the next character at every place; softmax makes probabilities of them.
    ///
    /// # Shapes
    /// `ids`: (B, T) → (B, T, V)
    ///
    /// # Errors
    /// If `ids` is not of that shape, or an id is not in `0..n_vocab`.
    fn logits(&self, ids: &Tensor) -> Result<Tensor>;

    /// The last of these scores, from place `first` on. What only those before it need is left out where a model can.
    ///
    /// # Shapes
    /// `ids`: (B, T) → (B, T − `first`, V)
    ///
    /// # Errors
    /// As [`logits`](Self::logits), and if `first` is not in `0..=T`.
    fn logits_from(&self, ids: &Tensor, first: i64) -> Result<Tensor> {
        places_from(&self.logits(ids)?, first)
    }

    /// Room for what the model would otherwise compute anew for each further character of `batch` texts; `None`
    /// if it has nothing to keep.
    ///
    /// # Errors
    /// If the device has no memory for it.
    fn new_cache(&self, _batch: i64) -> Result<Option<Cache>> {
        Ok(None)
    }

    /// The mean cross-entropy of `targets`, the characters after those of `ids`: what training makes small.
    ///
    /// # Shapes
    /// `ids`, `targets`: (B, T) → one number, nats per character
    ///
    /// # Errors
    /// As [`logits`](Self::logits), and if the shapes differ.
    fn loss(&self, ids: &Tensor, targets: &Tensor) -> Result<Tensor> {
        cross_entropy(&self.logits(ids)?, targets)
    }

    /// Scores for what comes after the last of `ids`, which continue the characters that `cache` has seen.
    ///
    /// # Shapes
    /// `ids`: (B, T), the new characters → (B, V)
    ///
    /// # Errors
    /// As [`logits`](Self::logits), and if old and new characters together are more than `context_len`.
    fn read(&self, ids: &Tensor, _cache: &mut Cache) -> Result<Tensor> {
        Ok(self.logits(ids)?.f_select(1, -1)?)
    }

    /// V: the number of different ids.
    fn n_vocab(&self) -> i64;

    /// What its ids stand for: characters, if it does not say otherwise.
    fn tokenizer(&self) -> AnyTokenizer {
        CharTokenizer { n_vocab: self.n_vocab() }.into()
    }

    /// How many characters, the current one included, a prediction can depend on.
    fn context_len(&self) -> i64;

    /// How many characters it can take at once; `None` if any number.
    fn max_len(&self) -> Option<i64> {
        None
    }

    /// Where its tensors are.
    fn device(&self) -> Device;
}

/// A model whose numbers are learnt.
pub trait Trainable: LanguageModel {
    /// The parameters with their names, always in the same order.
    fn parameters(&self) -> Vec<Parameter>;

    /// Its kind and sizes; `None` for a model that the library does not know. Two models with equal ones compute the same
    /// from the same numbers.
    fn settings(&self) -> Option<ModelConfig> {
        None
    }

    /// The loss, and its gradient for each parameter: of [`LanguageModel::loss`], unless a model knows a sooner way to the same
    /// numbers.
    ///
    /// # Shapes
    /// `ids`, `targets`: (B, T) → () and those of the parameters
    ///
    /// # Errors
    /// As [`LanguageModel::loss`], and if it does not depend on one of the parameters.
    fn loss_and_gradients(&self, ids: &Tensor, targets: &Tensor) -> Result<(Tensor, Vec<Tensor>)> {
        let loss = self.loss(ids, targets)?;
        let gradients = gradients(&self.parameters(), &loss)?;
        Ok((loss.detach(), gradients))
    }

    /// Told at the end of a training, so that a kept model can tell it.
    fn learnt_from(&mut self, _trained: Trained) {}

    /// What it was told of that, if anything.
    fn trained(&self) -> Option<&Trained> {
        None
    }
}

/// What a model has learnt from, and for how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trained {
    /// The text, in words, where somebody has named it.
    pub text: Option<String>,
    /// How many stories it has.
    pub stories: usize,
    /// How many tokens they have.
    pub tokens: usize,
    /// The steps.
    pub steps: usize,
    /// The seconds.
    pub seconds: f64,
    /// The seconds of the trainings before, where it went on from a model that knew them.
    #[serde(default)]
    pub earlier_seconds: f64,
    /// The held-out loss as the training left it, nats per character.
    pub nats_per_char: Option<f64>,
}

/// Checks that a tokenizer has the ids of a model.
pub(crate) fn fitting(n_vocab: i64, tokenizer: AnyTokenizer) -> Result<AnyTokenizer> {
    match tokenizer.n_vocab() == n_vocab {
        true => Ok(tokenizer),
        false => Err(Error::Config(format!(
            "the tokenizer has {} ids and the model {n_vocab}: make the model with n_vocab = {0}",
            tokenizer.n_vocab()
        ))),
    }
}

/// A learnt tensor of a model.
#[derive(Debug)]
pub struct Parameter {
    /// Its name, e.g. `block.0.mlp.hidden.weight`.
    pub name: String,
    /// The tensor: a handle to the model's own numbers, so that what changes them changes the model.
    pub tensor: Tensor,
    /// Whether it is a matrix between two hidden layers, which Muon moves (see [`Optimiser`](crate::train::Optimiser)).
    pub hidden_matrix: bool,
}

impl Parameter {
    /// A parameter that Adam moves: a table, a bias, a scale.
    pub fn new(name: impl Into<String>, tensor: &Tensor) -> Parameter {
        Parameter { name: name.into(), tensor: tensor.shallow_clone(), hidden_matrix: false }
    }

    /// A matrix between two hidden layers.
    pub fn matrix(name: impl Into<String>, tensor: &Tensor) -> Parameter {
        Parameter { name: name.into(), tensor: tensor.shallow_clone(), hidden_matrix: true }
    }

    /// Gives the model's tensor these numbers instead of its own. They are not copied where they are of its kind, on its
    /// device, and in a row: then the two share them.
    ///
    /// # Errors
    /// If they have another shape.
    pub fn fill(&mut self, numbers: &Tensor) -> Result<()> {
        let (size, given) = (self.tensor.size(), numbers.size());
        if given != size {
            return Err(Error::Shape {
                expected: format!("{} of shape {size:?}", self.name),
                got: format!("{given:?}"),
                hint: "give the numbers of a model of the same sizes".to_owned(),
            });
        }
        let numbers = numbers.f_detach()?.f_to_device(self.tensor.device())?.f_to_kind(self.tensor.kind())?;
        Ok(self.tensor.f_set_data(&numbers.f_contiguous()?)?)
    }
}

/// Random numbers around 0 with a standard deviation, from the library's own generator: the same ones on every
/// device, whatever else draws random numbers meanwhile.
pub(crate) fn random_tensor(rng: &mut Rng, size: &[i64], deviation: f64) -> Result<Tensor> {
    match size.iter().all(|&length| length >= 0) {
        true => Ok(rng.normal_tensor(size, deviation)),
        false => Err(Error::Config(format!("no tensor has the size {size:?}"))),
    }
}

/// `x` in this precision.
pub(crate) fn to_precision(x: Tensor, precision: Kind) -> Result<Tensor> {
    // For a single character, each call of libtorch counts.
    if x.kind() == precision { Ok(x) } else { Ok(x.f_to_kind(precision)?) }
}

/// x · weightᵀ + bias, computed in the precision of `x`; the gradient of a parameter has the parameter's own.
///
/// # Shapes
/// `x`: (…, I) · `weight`: (O, I) · `bias`: (O) → (…, O)
pub(crate) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let kind = x.kind();
    if kind == weight.kind() {
        return Ok(x.f_linear(weight, bias)?);
    }
    let bias = bias.map(|bias| bias.f_to_kind(kind)).transpose()?;
    Ok(x.f_linear(&weight.f_to_kind(kind)?, bias)?)
}

/// A model with noise on every parameter: a new one's zeros would hide what a test is after.
#[cfg(test)]
pub(crate) fn wake<M: Trainable>(model: M, deviation: f64) -> M {
    let mut rng = Rng::new(2);
    let _guard = tch::no_grad_guard();
    for mut parameter in model.parameters() {
        let noise = random_tensor(&mut rng, &parameter.tensor.size(), deviation).unwrap();
        let _ = parameter.tensor.f_add_(&noise.to_device(parameter.tensor.device())).unwrap();
    }
    model
}

/// The number of learnt numbers in a model.
pub fn count_parameters(model: &(impl Trainable + ?Sized)) -> i64 {
    model.parameters().iter().map(|parameter| parameter.tensor.numel() as i64).sum()
}

/// Checks that ids are (B, T) whole numbers.
pub(crate) fn check_ids(ids: &Tensor) -> Result<(i64, i64)> {
    let size = ids.size();
    match size[..] {
        [batch, time] if ids.kind() == Kind::Int64 => Ok((batch, time)),
        _ => Err(Error::Shape {
            expected: "ids of shape (B, T), kind Int64".to_owned(),
            got: format!("shape {size:?}, kind {:?}", ids.kind()),
            hint: "one text is a batch of one: tokenizer.encode(text), Tensor::from_slice(…), then .unsqueeze(0)"
                .to_owned(),
        }),
    }
}

/// Ids, checked, on the device of a model of `n_vocab` characters.
///
/// libtorch refuses an id without a row on a processor; a GPU fails at it, and with it all that comes after.
///
/// # Shapes
/// (B, T) → (B, T)
pub(crate) fn ids_on(device: Device, ids: &Tensor, n_vocab: i64) -> Result<Tensor> {
    check_ids(ids)?;
    if !ids.f_clamp(0, n_vocab - 1)?.f_equal(ids)? {
        let (least, most) = (ids.f_min()?.f_int64_value(&[])?, ids.f_max()?.f_int64_value(&[])?);
        return Err(Error::Shape {
            expected: format!("ids from 0 to {}", n_vocab - 1),
            got: format!("{least} to {most}"),
            hint: "take them from the tokenizer that the model was trained with".to_owned(),
        });
    }
    Ok(ids.f_to_device(device)?)
}

/// What stands at a text's places from `first` on.
///
/// # Shapes
/// (B, T, …) → (B, T − `first`, …)
///
/// # Errors
/// If `first` is not in `0..=T`.
fn places_from(x: &Tensor, first: i64) -> Result<Tensor> {
    match first {
        0 => Ok(x.shallow_clone()), // a part, even the whole, has a gradient that is copied
        _ => Ok(x.f_narrow(1, first, x.size().get(1).copied().unwrap_or(0) - first)?),
    }
}

/// The gradient of the loss for each parameter, in the parameter's shape.
pub(crate) fn gradients(parameters: &[Parameter], loss: &Tensor) -> Result<Vec<Tensor>> {
    if let Some(frozen) = parameters.iter().find(|parameter| !parameter.tensor.requires_grad()) {
        return Err(Error::Config(format!(
            "{} is not to be learnt (requires_grad is false): leave it out of `parameters`, or make it with `set_requires_grad(true)`",
            frozen.name
        )));
    }
    let tensors: Vec<&Tensor> = parameters.iter().map(|parameter| &parameter.tensor).collect();
    let gradients = Tensor::f_run_backward(&[loss], &tensors, false, false)?;
    match gradients.iter().position(|gradient| !gradient.defined()) {
        None => Ok(gradients),
        Some(place) => Err(Error::Config(format!(
            "the loss does not depend on {}: use it in `forward`, or leave it out of `parameters`",
            parameters[place].name
        ))),
    }
}

/// The mean cross-entropy of the targets: −ln of the probability that the model gave to each.
///
/// # Shapes
/// `logits`: (B, T, V) · `targets`: (B, T) → one number, nats per character
///
/// # Errors
/// If the shapes don't belong together.
pub fn cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let n_vocab = logits.size().last().copied().unwrap_or(0);
    let targets = targets.f_to_device(logits.device())?;
    let (logits, targets) = (logits.f_reshape([-1, n_vocab])?, targets.f_reshape([-1])?); // (B·T, V), (B·T)
    Ok(logits.f_cross_entropy_loss(&targets, None::<Tensor>, tch::Reduction::Mean, -100, 0.0)?)
}
