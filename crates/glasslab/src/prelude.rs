//! What a notebook cell sees: `use glasslab::prelude::*;` stands before every one.

pub use crate::best_device;
pub use crate::chat::Chat;
#[cfg(feature = "plotters")]
pub use crate::check;
pub use crate::checkpoint::{AnyModel, ModelConfig};
pub use crate::data::{Batch, Batches, Dataset, Epoch, Stories, Tokens};
pub use crate::display::{Picture, ShowValue};
pub use crate::error::{Error, Result};
pub use crate::evaluate::{Evaluation, Ladder, evaluate};
pub use crate::experiment::{Design, Law, Scaled, Sweep};
pub use crate::generate::{Sampling, generate, generate_batch, generate_with};
pub use crate::interact::Interact;
pub use crate::intervene::{Altered, Changes, Cut, Effect, How, Intervene, Patch, Patching};
pub use crate::live::{LiveFigure, Progress, ask, clear_output, setting, should_stop};
pub use crate::measure::{HeadPatterns, INDUCTION, Lens, PATTERNS};
pub use crate::model::attention::{AttentionConfig, Head, MultiHeadAttention, Weighting};
pub use crate::model::norm::{Norm, NormKind};
pub use crate::model::transformer::Block;
pub use crate::model::{
    Activation, Family, LanguageModel, Lm, MlpConfig, MlpLm, Model, NGram, Ngrams, NoProbe, Parameter, Positions,
    Probe, Recording, Sizes, TransformerConfig, TransformerLm, count_parameters, cross_entropy,
};
pub use crate::proofs;
pub use crate::rng::Rng;
pub use crate::tokenizer::{
    AnyTokenizer, BytePair, CharTokenizer, ChatFormat, Encoded, Pieces, Tokenizer, printable, visible,
};
pub use crate::trace::{ByHand, Nudge, Trace, TraceStep, Traceable};
pub use crate::train::{
    Course, Downhill, History, Landscape, LandscapeConfig, Learning, Length, OptimiserKind, Race, StepByStep,
    TrainConfig, TrainStep, resume, train,
};
#[cfg(feature = "plotters")]
pub use crate::view::{
    Attention, Bars, Comparison, EmbeddingMap, Explorer, Film, Growth, Heatmap, Html, LossCurve, Page, Quantity,
    Surprise, ToPage,
};
pub use tch::{self, Device, Kind, Tensor};
