//! The sizes of the MLP.

use serde::{Deserialize, Serialize};

/// The sizes of an [`MlpLm`](super::MlpLm).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MlpConfig {
    /// V: the number of different ids.
    pub n_vocab: i64,
    /// C: how many numbers stand for a character.
    pub emb_dim: i64,
    /// H: the width of the hidden layer.
    pub n_hidden: i64,
    /// One seed gives one model.
    pub seed: i64,
}

impl Default for MlpConfig {
    fn default() -> MlpConfig {
        MlpConfig::original()
    }
}

impl MlpConfig {
    /// The sizes of the course's model: 16,544 parameters.
    pub fn original() -> MlpConfig {
        MlpConfig { n_vocab: 256, emb_dim: 32, n_hidden: 128, seed: 0 }
    }
}
