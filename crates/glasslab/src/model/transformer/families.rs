//! The models of others, as choices of ours: one forward pass computes them all.

use super::{Activation, Every, Positions, TransformerConfig, Window};
use crate::model::norm::NormKind;
use crate::model::rotary::Speeds;

/// A family of models that is a [`TransformerConfig`]. What it has beside is in its weights: see `docs/models.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// OpenAI's (Radford et al. 2019).
    Gpt2,
    /// EleutherAI's, of which TinyStories-1M to 33M are (Black et al. 2021).
    GptNeo,
    /// Meta's, and SmolLM2 and the models of llama2.c (Touvron et al. 2023).
    Llama,
    /// Mistral AI's (Jiang et al. 2023).
    Mistral,
    /// Alibaba's (Yang et al. 2024).
    Qwen2,
    /// Alibaba's (Yang et al. 2025).
    Qwen3,
    /// Google's (Gemma Team 2025).
    Gemma3,
}

impl Family {
    /// All of them, the oldest first.
    pub const ALL: [Family; 7] =
        [Family::Gpt2, Family::GptNeo, Family::Llama, Family::Mistral, Family::Qwen2, Family::Qwen3, Family::Gemma3];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Family::Gpt2 => "GPT-2",
            Family::GptNeo => "GPT-Neo",
            Family::Llama => "Llama",
            Family::Mistral => "Mistral",
            Family::Qwen2 => "Qwen 2",
            Family::Qwen3 => "Qwen 3",
            Family::Gemma3 => "Gemma 3",
        }
    }

    /// Its choices, at the sizes of [`TransformerConfig::small`]: a model of it that can be trained at once.
    pub fn config(self) -> TransformerConfig {
        let llama = TransformerConfig {
            norm: NormKind::ScaledRms,
            qk_norm: false,
            activation: Activation::Silu,
            gated: true,
            ..TransformerConfig::small()
        };
        let gpt = TransformerConfig {
            positions: Positions::Learned,
            norm: NormKind::Layer,
            qk_norm: false,
            activation: Activation::GeluTanh,
            bias: true,
            attention_bias: true,
            tied: true,
            ..TransformerConfig::small()
        };
        let half = TransformerConfig::small().context_len / 2;
        match self {
            Family::Gpt2 => TransformerConfig { qkv_bias: true, ..gpt },
            Family::GptNeo => TransformerConfig {
                window: Some(Window { len: half, except: Some(Every { step: 2, first: 0 }) }),
                ..gpt
            },
            Family::Llama => llama,
            Family::Mistral => TransformerConfig { window: Some(Window { len: half, except: None }), ..llama },
            Family::Qwen2 => TransformerConfig { qkv_bias: true, ..llama },
            Family::Qwen3 => TransformerConfig { qk_norm: true, qk_scale: true, ..llama },
            Family::Gemma3 => TransformerConfig {
                qk_norm: true,
                qk_scale: true,
                activation: Activation::GeluTanh,
                norms_after: true,
                scaled_embedding: true,
                tied: true,
                window: Some(Window { len: half, except: Some(Every { step: 6, first: 5 }) }),
                speeds: Speeds { base: 1_000_000.0, ..Speeds::default() },
                window_speeds: Some(Speeds::default()),
                ..llama
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{LanguageModel, cross_entropy};
    use super::super::TransformerLm;
    use super::*;
    use crate::rng::Rng;
    use tch::{Device, Tensor};

    #[test]
    fn every_family_is_a_model_that_learns() {
        let mut rng = Rng::new(3);
        let ids: Vec<i64> = (0..2 * 33).map(|_| rng.below(40) as i64).collect();
        let ids = Tensor::from_slice(&ids).view([2, 33]);
        let (ids, targets) = (ids.narrow(1, 0, 32), ids.narrow(1, 1, 32));
        for family in Family::ALL {
            let config = TransformerConfig {
                n_vocab: 40,
                emb_dim: 24,
                n_layers: 6,
                n_heads: 2,
                n_kv_heads: 1,
                head_dim: 12,
                n_hidden: 48,
                ..family.config()
            };
            let model = TransformerLm::new(config, Device::Cpu).unwrap();
            let loss = || cross_entropy(&model.logits(&ids).unwrap(), &targets).unwrap();
            let first = loss().double_value(&[]);
            for _ in 0..40 {
                let mut parameters = model.parameters();
                parameters.iter_mut().for_each(|parameter| parameter.tensor.zero_grad());
                loss().backward();
                let _guard = tch::no_grad_guard();
                for parameter in &mut parameters {
                    let gradient = parameter.tensor.grad();
                    let _ = parameter.tensor.f_sub_(&(gradient * 0.2)).unwrap();
                }
            }
            let last = loss().double_value(&[]);
            assert!(last < first - 0.5, "{}: {first} → {last}", family.name());
        }
    }
}
