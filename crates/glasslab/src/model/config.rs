//! What tells one model from another: its kind and its sizes.

use super::{MlpConfig, TransformerConfig};
use serde::{Deserialize, Serialize};

/// A model's kind and sizes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "lowercase")]
#[expect(clippy::large_enum_variant, reason = "a model has one, and it is copied like a number")]
pub enum ModelConfig {
    /// An [`MlpLm`](super::MlpLm).
    Mlp(MlpConfig),
    /// A [`TransformerLm`](super::TransformerLm).
    Transformer(TransformerConfig),
}

impl ModelConfig {
    /// V: the number of different ids.
    pub fn n_vocab(&self) -> i64 {
        match self {
            ModelConfig::Mlp(config) => config.n_vocab,
            ModelConfig::Transformer(config) => config.n_vocab,
        }
    }

    /// The same with another vocabulary.
    pub fn with_n_vocab(self, n_vocab: i64) -> ModelConfig {
        match self {
            ModelConfig::Mlp(config) => ModelConfig::Mlp(MlpConfig { n_vocab, ..config }),
            ModelConfig::Transformer(config) => ModelConfig::Transformer(TransformerConfig { n_vocab, ..config }),
        }
    }
}
