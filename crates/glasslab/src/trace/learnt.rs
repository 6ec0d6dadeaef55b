//! The weights behind a trace, as they were: what is learnt later must not change its arithmetic.

use crate::error::{Error, Result};
use crate::model::Parameter;
use tch::{Kind, Tensor};

/// A model of so many numbers is copied, which takes about a hundredth of a trace's time; of a larger one a trace keeps
/// handles, and knows by the sums of their bits whether the model has learnt since.
const COPIED: usize = 4_000_000;

/// A model's parameters when a text was traced.
#[derive(Debug, Default)]
pub(super) struct Learnt {
    all: Vec<(String, Tensor)>,
    /// The sums of their bits, if these are handles to the model's own numbers.
    sums: Option<Vec<i64>>,
}

impl Learnt {
    /// Copies of a small model's parameters, handles to those of a large one.
    pub(super) fn new(parameters: Vec<Parameter>) -> Result<Learnt> {
        let count: usize = parameters.iter().map(|parameter| parameter.tensor.numel()).sum();
        if count <= COPIED { Learnt::copies(parameters) } else { Learnt::handles(parameters) }
    }

    pub(super) fn copies(parameters: Vec<Parameter>) -> Result<Learnt> {
        let copy = |Parameter { name, tensor, .. }| Ok((name, tensor.f_detach_copy()?));
        Ok(Learnt { all: parameters.into_iter().map(copy).collect::<Result<_>>()?, sums: None })
    }

    pub(super) fn handles(parameters: Vec<Parameter>) -> Result<Learnt> {
        let handle = |Parameter { name, tensor, .. }| (name, tensor.detach());
        let mut learnt = Learnt { all: parameters.into_iter().map(handle).collect(), sums: None };
        learnt.sums = Some(learnt.sums_now()?);
        Ok(learnt)
    }

    /// Sums of whole numbers: the same in whatever order they are added.
    fn sums_now(&self) -> Result<Vec<i64>> {
        let sum = |tensor: &Tensor| -> Result<i64> {
            let bits = match tensor.kind() {
                Kind::Double => Kind::Int64,
                Kind::Half | Kind::BFloat16 => Kind::Int16,
                _ => Kind::Int,
            };
            Ok(tensor.f_view_dtype(bits)?.f_sum(Kind::Int64)?.f_int64_value(&[])?)
        };
        self.all.iter().map(|(_, tensor)| sum(tensor)).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(String, Tensor)> {
        self.all.iter()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Tensor> {
        self.all.iter().find(|(other, _)| other == name).map(|(_, tensor)| tensor)
    }

    /// The names of those that hold something that is no finite number.
    pub(super) fn not_finite(&self) -> Result<Vec<&str>> {
        let mut names = Vec::new();
        for (name, tensor) in &self.all {
            if tensor.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
                names.push(name.as_str());
            }
        }
        Ok(names)
    }

    /// # Errors
    /// If the model has learnt since the text was traced, and no copy was made.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        let Some(sums) = &self.sums else { return Ok(()) };
        let now = self.sums_now()?;
        match sums.iter().zip(&now).position(|(then, now)| then != now) {
            None => Ok(()),
            Some(place) => Err(Error::Config(format!(
                "the model has learnt since this text was traced ({} has changed), and is too large for a trace to keep its \
                 weights: trace the text again",
                self.all[place].0
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Traceable;
    use super::super::tests::awake;
    use super::*;
    use crate::model::TransformerConfig;

    #[test]
    fn a_trace_of_a_small_model_keeps_its_weights_and_one_of_a_large_model_says_that_it_could_not() {
        let model = awake(TransformerConfig::original());
        let (kept, mut linked) = (model.trace("Once").unwrap(), model.trace("Once").unwrap());
        linked.learnt = Learnt::handles(model.learnt()).unwrap();
        let by_hand = || (kept.by_hand("logits", &[0, 1, 2]), linked.by_hand("logits", &[0, 1, 2]));
        let (before, same) = by_hand();
        assert_eq!(before.as_ref().unwrap(), same.as_ref().unwrap());
        // A parameter moved and put back is no change.
        let _ = model.nudge("Once", "embedding", &[2, 3], 0.5).unwrap();
        assert!(linked.by_hand("logits", &[0, 1, 2]).is_ok());
        let guard = tch::no_grad_guard();
        let _ = model.blocks[0].mlp.hidden_weight.get(3).f_add_scalar_(0.25).unwrap();
        drop(guard);
        let (after, refused) = by_hand();
        assert_eq!(before.unwrap(), after.unwrap());
        let message = refused.unwrap_err().to_string();
        assert!(message.contains("block.0.mlp.hidden.weight") && message.contains("trace the text again"), "{message}");
        assert!(linked.by_hand("block.0.attn.scores", &[0, 0, 2, 1]).is_ok(), "no weights in it");
    }
}
