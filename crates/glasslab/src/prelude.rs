//! What a notebook cell sees: `use glasslab::prelude::*;` stands before every one.

pub use crate::best_device;
pub use crate::checkpoint::{AnyModel, ModelConfig};
pub use crate::data::{Batch, Batches, Dataset, Stories, Tokens};
pub use crate::display::{Picture, ShowValue};
pub use crate::error::{Error, Result};
pub use crate::evaluate::{Evaluation, evaluate};
pub use crate::generate::{Sampling, generate};
pub use crate::interact::Interact;
pub use crate::live::{LiveFigure, Progress, ask, clear_output, setting, should_stop};
pub use crate::model::{
    LanguageModel, MlpConfig, MlpLm, NGram, NoProbe, Parameter, Probe, Recording, Trainable, TransformerConfig,
    TransformerLm, count_parameters, cross_entropy,
};
pub use crate::rng::Rng;
pub use crate::tokenizer::{CharTokenizer, Encoded, visible};
pub use crate::train::{History, Length, TrainConfig, train};
pub use crate::view::{Heatmap, LossCurve};
pub use tch::{Device, Kind, Tensor};
