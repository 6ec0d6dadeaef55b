//! Random inputs, from the library's own generator: the same ones, whatever has run before.

use crate::model::attention::{AttentionExtras, MultiHeadAttention};
use crate::model::norm::Norm;
use crate::model::transformer::{Block, BlockMlp};
use crate::model::{MlpConfig, MlpLm, TransformerConfig, TransformerLm, random_tensor};
use crate::rng::Rng;
use crate::tokenizer::CharTokenizer;
use tch::{Kind, Tensor};

/// What the library gives; its error becomes a panic.
pub(super) fn plain<A>(result: crate::error::Result<A>) -> A {
    result.unwrap_or_else(|error| panic!("{error}"))
}

/// A whole number from `low` to `high`, both included.
pub fn between(rng: &mut Rng, low: i64, high: i64) -> i64 {
    low + rng.below((high - low + 1) as usize) as i64
}

/// A tensor of numbers around 0 with a standard deviation.
pub fn tensor(rng: &mut Rng, size: &[i64], deviation: f64) -> Tensor {
    random_tensor(rng, size, deviation).expect("a small tensor fits into memory")
}

/// So many ids below `n_vocab`.
pub fn ids(rng: &mut Rng, count: i64, n_vocab: i64) -> Vec<i64> {
    (0..count).map(|_| rng.below(n_vocab as usize) as i64).collect()
}

/// A word that is none.
pub fn letters(rng: &mut Rng, count: usize) -> String {
    (0..count).map(|_| char::from(b'a' + rng.below(26) as u8)).collect()
}

/// A small MLP, every number of it random.
pub fn mlp(rng: &mut Rng, config: MlpConfig) -> MlpLm {
    let MlpConfig { n_vocab, emb_dim, n_hidden, .. } = config;
    MlpLm {
        config,
        tokenizer: CharTokenizer { n_vocab }.into(),
        trained: None,
        embedding: tensor(rng, &[n_vocab, emb_dim], 1.0),
        hidden_weight: tensor(rng, &[n_hidden, emb_dim], 0.6),
        hidden_bias: tensor(rng, &[n_hidden], 0.6),
        output_weight: tensor(rng, &[emb_dim, n_hidden], 0.6),
        output_bias: tensor(rng, &[emb_dim], 0.6),
    }
}

/// A transformer of one block, every number of it random, with layer norms, biases and learnt positions.
pub fn one_block(rng: &mut Rng, config: TransformerConfig) -> TransformerLm {
    let TransformerConfig { n_vocab, context_len, emb_dim, n_heads, n_kv_heads, head_dim, n_hidden, .. } = config;
    let mut random = |size: &[i64]| tensor(rng, size, 0.6);
    let attention = MultiHeadAttention {
        config: config.attention(0),
        qkv_weight: random(&[(n_heads + 2 * n_kv_heads) * head_dim, emb_dim]),
        output_weight: random(&[emb_dim, n_heads * head_dim]),
        extras: AttentionExtras::default(),
    };
    let mut norm =
        || Norm { scale: Some(random(&[emb_dim])), shift: Some(random(&[emb_dim])), epsilon: config.epsilon };
    let (norm1, norm2) = (norm(), norm());
    let block = Block {
        norm1,
        attention,
        attention_norm: None,
        norm2,
        mlp: BlockMlp {
            hidden_weight: random(&[n_hidden, emb_dim]),
            output_weight: random(&[emb_dim, n_hidden]),
            biases: Some((random(&[n_hidden]), random(&[emb_dim]))),
            gate_weight: None,
        },
        mlp_norm: None,
    };
    TransformerLm {
        config,
        tokenizer: CharTokenizer { n_vocab }.into(),
        trained: None,
        embedding: random(&[n_vocab, emb_dim]),
        position: Some(random(&[context_len, emb_dim])),
        ngrams: None,
        rotary: None,
        window_rotary: None,
        blocks: vec![block],
        final_norm: None,
        head: None,
        precision: Kind::Float,
    }
}
