//! What of a training is no tensor.

use super::config::TrainConfig;
use super::history::History;
use crate::data::{Text, Tokens};
use crate::model::ModelConfig;
use crate::tokenizer::AnyTokenizer;
use serde::{Deserialize, Serialize};

/// The numbers of a [`Training`](super::training::Training) that are no tensors.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) config: TrainConfig,
    /// How much text it learns from, in stories and in tokens: all that files of older versions tell of it.
    pub(super) data: (usize, usize),
    /// What it learns from; and what it is measured on, which only a kept training knows.
    #[serde(default)]
    pub(super) texts: (Option<Text>, Option<Text>),
    /// The model's kind and sizes; `None` for a model of one's own, and in files of older versions.
    #[serde(default)]
    pub(super) model: Option<ModelConfig>,
    /// What the model's ids stand for; `None` in files of older versions.
    #[serde(default)]
    pub(super) tokenizer: Option<AnyTokenizer>,
    pub(super) rng: u64,
    pub(super) step: usize,
    pub(super) seconds: f64,
    /// The steps whose losses are in the sum, since the last point of the history.
    pub(super) summed: u32,
    pub(super) history: History,
    /// How many held-out tokens are measured on the way: as the first report finds, so that its losses can be compared; `None`
    /// before, and in files of older versions.
    #[serde(default)]
    pub(super) sample: Option<usize>,
    /// What losses per token are divided by; 1 where tokens are characters, as in files of older versions.
    #[serde(default = "one")]
    pub(super) chars_per_token: f64,
    /// The seconds of trainings before, from whose model this one began; none in files of older versions.
    #[serde(default)]
    pub(super) earlier_seconds: f64,
}

fn one() -> f64 {
    1.0
}

/// How much text these tokens are, in stories and in tokens.
pub(super) fn extent(data: &Tokens) -> (usize, usize) {
    (data.starts.stories(), data.len())
}
