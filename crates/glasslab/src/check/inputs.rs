//! Random inputs, from the library's own generator: the same ones, whatever has run before.

use crate::model::attention::{AttentionConfig, MultiHeadAttention};
use crate::model::norm::Norm;
use crate::model::transformer::{Block, BlockMlp};
use crate::model::{MlpConfig, MlpLm, TransformerConfig, TransformerLm};
use crate::rng::Rng;
use tch::Tensor;

/// A number around 0 with variance 1 (Box and Muller 1958).
pub fn normal(rng: &mut Rng) -> f64 {
    let (radius, angle) = ((-2.0 * (1.0 - rng.unit()).ln()).sqrt(), std::f64::consts::TAU * rng.unit());
    radius * angle.cos()
}

/// A whole number from `low` to `high`, both included.
pub fn between(rng: &mut Rng, low: i64, high: i64) -> i64 {
    low + rng.below((high - low + 1) as usize) as i64
}

/// A tensor of numbers around 0 with a standard deviation.
pub fn tensor(rng: &mut Rng, size: &[i64], deviation: f64) -> Tensor {
    let numbers: Vec<f32> = (0..size.iter().product::<i64>()).map(|_| (deviation * normal(rng)) as f32).collect();
    Tensor::from_slice(&numbers).view(size)
}

/// So many ids below `n_vocab`.
pub fn ids(rng: &mut Rng, count: i64, n_vocab: i64) -> Vec<i64> {
    (0..count).map(|_| rng.below(n_vocab as usize) as i64).collect()
}

/// A small MLP, every number of it random.
pub fn mlp(rng: &mut Rng, config: MlpConfig) -> MlpLm {
    let MlpConfig { n_vocab, emb_dim, n_hidden, .. } = config;
    MlpLm {
        config,
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
        config: AttentionConfig {
            emb_dim,
            n_heads,
            n_kv_heads,
            head_dim,
            qk_norm: config.qk_norm,
            weighting: config.weighting,
            previous_head: config.previous_head,
        },
        qkv_weight: random(&[(n_heads + 2 * n_kv_heads) * head_dim, emb_dim]),
        output_weight: random(&[emb_dim, n_heads * head_dim]),
    };
    let block = Block {
        norm1: Norm { learnt: Some((random(&[emb_dim]), random(&[emb_dim]))) },
        attention,
        norm2: Norm { learnt: Some((random(&[emb_dim]), random(&[emb_dim]))) },
        mlp: BlockMlp {
            hidden_weight: random(&[n_hidden, emb_dim]),
            output_weight: random(&[emb_dim, n_hidden]),
            biases: Some((random(&[n_hidden]), random(&[emb_dim]))),
        },
    };
    TransformerLm {
        config,
        embedding: random(&[n_vocab, emb_dim]),
        position: Some(random(&[context_len, emb_dim])),
        rotary: None,
        blocks: vec![block],
        final_norm: None,
        head: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_numbers_have_mean_0_and_variance_1() {
        let numbers = tensor(&mut Rng::new(1), &[20_000], 1.0);
        assert!(numbers.mean(None).double_value(&[]).abs() < 0.03);
        assert!((numbers.var(true).double_value(&[]) - 1.0).abs() < 0.05);
    }

    #[test]
    fn inputs_are_the_same_whatever_has_run_before() {
        let one = tensor(&mut Rng::new(1), &[3], 1.0);
        tch::manual_seed(7);
        assert_eq!(one, tensor(&mut Rng::new(1), &[3], 1.0));
    }
}
