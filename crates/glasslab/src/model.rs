//! Language models: each gives, for every character of a text, a score for what comes next.

mod mlp;
mod ngram;
mod probe;

pub use mlp::{MlpConfig, MlpLm};
pub use ngram::NGram;
pub use probe::{NoProbe, Probe, Recording, Step};

use crate::error::{Error, Result};
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

    /// V: the number of different ids.
    fn n_vocab(&self) -> i64;

    /// How many characters, the current one included, a prediction can depend on.
    fn context_len(&self) -> i64;

    /// Where its tensors are.
    fn device(&self) -> Device;
}

/// A model whose numbers are learnt.
pub trait Trainable: LanguageModel {
    /// The parameters with their names, always in the same order.
    fn parameters(&mut self) -> Vec<(&'static str, &mut Tensor)>;
}

/// The number of learnt numbers in a model.
pub fn count_parameters(model: &mut impl Trainable) -> i64 {
    model.parameters().iter().map(|(_, tensor)| tensor.numel() as i64).sum()
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

/// The mean cross-entropy of the targets: −ln of the probability that the model gave to each.
///
/// # Shapes
/// `logits`: (B, T, V) · `targets`: (B, T) → one number, nats per character
///
/// # Errors
/// If the shapes don't belong together.
pub fn cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let n_vocab = logits.size().last().copied().unwrap_or(0);
    let (logits, targets) = (logits.f_reshape([-1, n_vocab])?, targets.f_reshape([-1])?); // (B·T, V), (B·T)
    Ok(logits.f_cross_entropy_loss(&targets, None::<Tensor>, tch::Reduction::Mean, -100, 0.0)?)
}
