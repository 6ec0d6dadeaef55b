//! The sizes and choices of a transformer, and the presets.

use crate::error::{Error, Result};
use crate::model::attention::{AttentionConfig, Weighting};
use crate::model::norm::{self, NormKind};
use crate::model::rotary::Speeds;
use crate::model::transformer::Ngrams;
use serde::{Deserialize, Serialize};

/// How a transformer knows the order of characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// A learnt row for each place, added to the embedding.
    Learned,
    /// Queries and keys turned by their place ([`Rotary`](crate::model::rotary::Rotary)).
    Rotary,
    /// Not at all, but for what the causal mask gives away.
    None,
}

/// What stands between the two linear layers of a block's MLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// max(0, x)
    Relu,
    /// x · Φ(x) (Hendrycks and Gimpel 2016)
    Gelu,
    /// max(0, x)² (So et al. 2021)
    ReluSquared,
    /// x · Φ(x), with a tanh for Φ that was quicker once: of GPT-2 and Gemma
    GeluTanh,
    /// x · σ(x) (Elfwing et al. 2017), of Llama and Qwen
    Silu,
}

/// Which blocks see the last characters only (Beltagy et al. 2020; Mistral, GPT-Neo, Gemma).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// How many characters these see, the current one included.
    pub len: i64,
    /// Which ones see all; none, if nothing is said.
    pub except: Option<Every>,
}

/// Blocks at equal distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Every {
    /// One in so many.
    pub step: i64,
    /// The first of them, from 0.
    pub first: i64,
}

impl Window {
    /// How many characters block `block` sees; `None`: all.
    pub fn of_block(self, block: i64) -> Option<i64> {
        let sees_all = self.except.is_some_and(|every| block % every.step == every.first);
        if sees_all { None } else { Some(self.len) }
    }
}

/// The sizes and choices of a [`TransformerLm`](super::TransformerLm).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransformerConfig {
    /// V: the number of different ids.
    pub n_vocab: i64,
    /// T: how many characters it can look at.
    pub context_len: i64,
    /// C: how many numbers stand for a character.
    pub emb_dim: i64,
    /// How many blocks.
    pub n_layers: i64,
    /// H: how many heads in each.
    pub n_heads: i64,
    /// K: how many different keys and values they share; H is the usual, 1 is multi-query attention.
    pub n_kv_heads: i64,
    /// D: the width of a head.
    pub head_dim: i64,
    /// The width of a block's MLP.
    pub n_hidden: i64,
    /// How it knows the order.
    pub positions: Positions,
    /// How scores become weights.
    pub weighting: Weighting,
    /// Whether the first head of the first block is not learnt, but always looks at the character before.
    pub previous_head: bool,
    /// The normalisation before each part.
    pub norm: NormKind,
    /// Whether there is one more before the output head.
    pub final_norm: bool,
    /// Whether queries and keys are brought to one length.
    pub qk_norm: bool,
    /// Between a block's two linear layers.
    pub activation: Activation,
    /// Whether the linear layers of the MLP have a bias.
    pub bias: bool,
    /// Whether the output head is the embedding table.
    pub tied: bool,
    /// Whether a GPU computes in bfloat16, whose numbers have 8 bits instead of 24 and take half the memory (Kalamkar et
    /// al. 2019); a processor never does.
    #[serde(default)]
    pub bfloat16: bool,
    /// What keeps a norm from dividing by 0.
    #[serde(default = "epsilon")]
    pub epsilon: f64,
    /// How fast the pairs of rotary positions turn.
    #[serde(default)]
    pub speeds: Speeds,
    /// Which blocks see the last characters only.
    #[serde(default)]
    pub window: Option<Window>,
    /// How fast the pairs turn in those blocks, where it is another speed than in the rest.
    #[serde(default)]
    pub window_speeds: Option<Speeds>,
    /// Whether queries, keys and values have a bias.
    #[serde(default)]
    pub qkv_bias: bool,
    /// Whether the attention's output has a bias.
    #[serde(default)]
    pub attention_bias: bool,
    /// Whether queries and keys, brought to one length, have a learnt scale.
    #[serde(default)]
    pub qk_scale: bool,
    /// Whether the hidden units of a block's MLP are multiplied by those of a second matrix, which alone pass the activation:
    /// with [`Activation::Silu`] this is SwiGLU, with [`Activation::GeluTanh`] GeGLU (Shazeer 2020).
    #[serde(default)]
    pub gated: bool,
    /// Whether what each part adds to the stream is normalised as well.
    #[serde(default)]
    pub norms_after: bool,
    /// Whether the embedding is multiplied by √C.
    #[serde(default)]
    pub scaled_embedding: bool,
    /// Whether a character has rows of a table for itself with those before it, and how many.
    #[serde(default)]
    pub ngrams: Option<Ngrams>,
    /// One seed gives one model.
    pub seed: i64,
}

/// The largest size: of any three of them, products can still be counted.
const LARGEST: i64 = 1 << 20;
/// The most that `context_len` · `head_dim` can be with rotary positions, whose angles take 1 GiB then.
const MOST_TURNS: i64 = 1 << 28;

fn epsilon() -> f64 {
    norm::EPSILON
}

impl Default for TransformerConfig {
    fn default() -> TransformerConfig {
        TransformerConfig::small()
    }
}

impl TransformerConfig {
    /// The course's model: one block with one head, 21,920 parameters.
    pub fn original() -> TransformerConfig {
        TransformerConfig {
            n_vocab: 256,
            context_len: 100,
            emb_dim: 32,
            n_layers: 1,
            n_heads: 1,
            n_kv_heads: 1,
            head_dim: 16,
            n_hidden: 128,
            positions: Positions::Learned,
            norm: NormKind::Layer,
            final_norm: false,
            qk_norm: false,
            activation: Activation::Relu,
            bias: true,
            tied: true,
            ..TransformerConfig::small()
        }
    }

    /// A model that writes readable stories after a minute on two cores.
    pub fn small() -> TransformerConfig {
        TransformerConfig {
            n_vocab: 256,
            context_len: 64,
            emb_dim: 96,
            n_layers: 3,
            n_heads: 4,
            n_kv_heads: 4,
            head_dim: 24,
            n_hidden: 384,
            positions: Positions::Rotary,
            weighting: Weighting::Softmax,
            previous_head: false,
            norm: NormKind::Rms,
            final_norm: true,
            qk_norm: true,
            activation: Activation::ReluSquared,
            bias: false,
            tied: false,
            bfloat16: false,
            epsilon: norm::EPSILON,
            speeds: Speeds::default(),
            window: None,
            window_speeds: None,
            qkv_bias: false,
            attention_bias: false,
            qk_scale: false,
            gated: false,
            norms_after: false,
            scaled_embedding: false,
            ngrams: None,
            seed: 0,
        }
    }

    /// [`small`](Self::small) that learns groups of up to five characters by heart ([`Ngrams`]), and so needs a block less: as good in
    /// less than half of the time.
    pub fn quick() -> TransformerConfig {
        let ngrams = Some(Ngrams { longest: 5, rows: 16_384 });
        TransformerConfig { n_layers: 2, ngrams, ..TransformerConfig::small() }
    }

    /// A model for a GPU: the choices of [`small`](Self::small) at the sizes of a small GPT, 25 million parameters.
    pub fn large() -> TransformerConfig {
        TransformerConfig {
            context_len: 256,
            emb_dim: 512,
            n_layers: 8,
            n_heads: 8,
            n_kv_heads: 8,
            head_dim: 64,
            n_hidden: 2048,
            bfloat16: true,
            ..TransformerConfig::small()
        }
    }

    /// The part that concerns the attention of block `block`.
    pub(crate) fn attention(&self, block: i64) -> AttentionConfig {
        AttentionConfig {
            emb_dim: self.emb_dim,
            n_heads: self.n_heads,
            n_kv_heads: self.n_kv_heads,
            head_dim: self.head_dim,
            qk_norm: self.qk_norm,
            weighting: self.weighting,
            previous_head: self.previous_head && block == 0,
            qk_scale: self.qk_scale,
            epsilon: self.epsilon,
            qkv_bias: self.qkv_bias,
            output_bias: self.attention_bias,
            window: self.window.and_then(|window| window.of_block(block)),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let TransformerConfig { n_vocab, context_len, emb_dim, n_layers, n_heads, head_dim, n_hidden, .. } = *self;
        let sizes = [
            ("n_vocab", n_vocab),
            ("context_len", context_len),
            ("emb_dim", emb_dim),
            ("n_heads", n_heads),
            ("head_dim", head_dim),
            ("n_hidden", n_hidden),
            ("n_layers", n_layers),
        ];
        let is_right = |name: &str, size: i64| (i64::from(name != "n_layers")..=LARGEST).contains(&size);
        if let Some((name, size)) = sizes.into_iter().find(|&(name, size)| !is_right(name, size)) {
            return Err(Error::Config(format!(
                "every size must be from 1 to {LARGEST} (n_layers from 0), and {name} is {size}"
            )));
        }
        let wrong = |what: &str| Err(Error::Config(what.to_owned()));
        if self.positions == Positions::Rotary && context_len * head_dim > MOST_TURNS {
            return wrong(
                "rotary positions are kept for each character and each pair of a head: context_len · head_dim can be \
                 268,435,456 at most, take a shorter context_len",
            );
        }
        if let Some(Window { len, except }) = self.window {
            let is_every = except.is_none_or(|Every { step, first }| step >= 1 && (0..step).contains(&first));
            if len < 1 || !is_every {
                return wrong("a window sees at least 1 character (len), and its exceptions are 0 ≤ first < step");
            }
            if self.weighting == Weighting::Sigmoid {
                return wrong("weights by themselves (sigmoid) know no window: take softmax, or no window");
            }
        }
        let speeds = [Some(self.speeds), self.window_speeds].into_iter().flatten();
        if !(self.epsilon > 0.0 && self.epsilon <= 1.0 && speeds.clone().all(|speeds| speeds.is_right())) {
            return wrong(
                "epsilon must be above 0, at most 1, and the speeds' base and the factors by which they are slowed above 0 and finite",
            );
        }
        if let Some(Ngrams { longest, rows }) = self.ngrams
            && !((2..=16).contains(&longest) && (1..=LARGEST).contains(&rows))
        {
            return Err(Error::Config(format!(
                "ngrams need a longest group of 2 to 16 and 1 to {LARGEST} rows, got {longest} and {rows}"
            )));
        }
        if self.gated && self.bias {
            return wrong("a gated MLP has no biases: set bias or gated to false");
        }
        if self.qk_scale && !self.qk_norm {
            return wrong(
                "queries and keys have a scale (qk_scale) once they are brought to one length: set qk_norm to true",
            );
        }
        Ok(())
    }

    /// How fast the pairs of queries and keys turn in block `block`.
    pub(crate) fn speeds_of_block(&self, block: i64) -> Speeds {
        let is_near = self.window.is_some_and(|window| window.of_block(block).is_some());
        self.window_speeds.filter(|_| is_near).unwrap_or(self.speeds)
    }
}
