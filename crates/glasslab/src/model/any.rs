//! A model of either kind.

use super::cache::Cache;
use super::{LanguageModel, MlpLm, ModelConfig, Parameter, Trainable, Trained, TransformerLm};
use crate::error::Result;
use crate::tokenizer::AnyTokenizer;
use tch::{Device, Tensor};

/// A model of either kind, as a checkpoint gives it.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there are one or two of them, and what is large of a model are its tensors"
)]
pub enum AnyModel {
    /// The MLP language model.
    Mlp(MlpLm),
    /// The transformer language model.
    Transformer(TransformerLm),
}

/// A language model: the short name, for a cell.
pub type Lm = AnyModel;

impl AnyModel {
    /// A new model with random weights.
    ///
    /// # Errors
    /// If the config is out of range.
    pub fn new(config: ModelConfig, device: Device) -> Result<AnyModel> {
        Ok(match config {
            ModelConfig::Mlp(config) => AnyModel::Mlp(MlpLm::new(config, device)?),
            ModelConfig::Transformer(config) => AnyModel::Transformer(TransformerLm::new(config, device)?),
        })
    }

    /// The model, with another tokenizer than that of characters.
    ///
    /// # Errors
    /// If the tokenizer has not `n_vocab` ids.
    pub fn with_tokenizer(self, tokenizer: impl Into<AnyTokenizer>) -> Result<AnyModel> {
        Ok(match self {
            AnyModel::Mlp(model) => AnyModel::Mlp(model.with_tokenizer(tokenizer)?),
            AnyModel::Transformer(model) => AnyModel::Transformer(model.with_tokenizer(tokenizer)?),
        })
    }

    /// Its kind and sizes.
    pub fn config(&self) -> ModelConfig {
        match self {
            AnyModel::Mlp(model) => ModelConfig::Mlp(model.config),
            AnyModel::Transformer(model) => ModelConfig::Transformer(model.config),
        }
    }

    /// What it has learnt from, if that is known.
    pub fn trained(&self) -> Option<&Trained> {
        match self {
            AnyModel::Mlp(model) => model.trained.as_ref(),
            AnyModel::Transformer(model) => model.trained.as_ref(),
        }
    }
}

impl LanguageModel for AnyModel {
    fn tokenizer(&self) -> AnyTokenizer {
        match self {
            AnyModel::Mlp(model) => model.tokenizer(),
            AnyModel::Transformer(model) => model.tokenizer(),
        }
    }

    fn logits(&self, ids: &Tensor) -> Result<Tensor> {
        match self {
            AnyModel::Mlp(model) => model.logits(ids),
            AnyModel::Transformer(model) => model.logits(ids),
        }
    }

    fn logits_from(&self, ids: &Tensor, first: i64) -> Result<Tensor> {
        match self {
            AnyModel::Mlp(model) => model.logits_from(ids, first),
            AnyModel::Transformer(model) => model.logits_from(ids, first),
        }
    }

    fn loss(&self, ids: &Tensor, targets: &Tensor) -> Result<Tensor> {
        match self {
            AnyModel::Mlp(model) => model.loss(ids, targets),
            AnyModel::Transformer(model) => model.loss(ids, targets),
        }
    }

    fn new_cache(&self, batch: i64) -> Result<Option<Cache>> {
        match self {
            AnyModel::Mlp(model) => model.new_cache(batch),
            AnyModel::Transformer(model) => model.new_cache(batch),
        }
    }

    fn read(&self, ids: &Tensor, cache: &mut Cache) -> Result<Tensor> {
        match self {
            AnyModel::Mlp(model) => model.read(ids, cache),
            AnyModel::Transformer(model) => model.read(ids, cache),
        }
    }

    fn n_vocab(&self) -> i64 {
        match self {
            AnyModel::Mlp(model) => model.n_vocab(),
            AnyModel::Transformer(model) => model.n_vocab(),
        }
    }

    fn context_len(&self) -> i64 {
        match self {
            AnyModel::Mlp(model) => model.context_len(),
            AnyModel::Transformer(model) => model.context_len(),
        }
    }

    fn max_len(&self) -> Option<i64> {
        match self {
            AnyModel::Mlp(model) => model.max_len(),
            AnyModel::Transformer(model) => model.max_len(),
        }
    }

    fn device(&self) -> Device {
        match self {
            AnyModel::Mlp(model) => model.device(),
            AnyModel::Transformer(model) => model.device(),
        }
    }
}

impl AnyModel {
    /// The parameters with their names, always in the same order.
    pub fn parameters(&self) -> Vec<Parameter> {
        match self {
            AnyModel::Mlp(model) => model.parameters(),
            AnyModel::Transformer(model) => model.parameters(),
        }
    }
}

impl Trainable for AnyModel {
    fn loss_and_gradients(&self, ids: &Tensor, targets: &Tensor) -> Result<(Tensor, Vec<Tensor>)> {
        match self {
            AnyModel::Mlp(model) => model.loss_and_gradients(ids, targets),
            AnyModel::Transformer(model) => model.loss_and_gradients(ids, targets),
        }
    }

    fn parameters(&self) -> Vec<Parameter> {
        AnyModel::parameters(self)
    }

    fn settings(&self) -> Option<ModelConfig> {
        Some(self.config())
    }

    fn learnt_from(&mut self, trained: Trained) {
        match self {
            AnyModel::Mlp(model) => model.learnt_from(trained),
            AnyModel::Transformer(model) => model.learnt_from(trained),
        }
    }

    fn trained(&self) -> Option<&Trained> {
        AnyModel::trained(self)
    }
}
