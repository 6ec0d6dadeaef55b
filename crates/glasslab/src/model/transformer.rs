//! The transformer language model: the next character from all characters so far.
//!
//! ```text
//! x = embedding[id] (+ position[t])            C numbers for a character (and its place; and for it with those before it)
//! for each block:
//!     x += attention(norm(x))                  look back, and take what one needs
//!     x += mlp(norm(x))                        think about it
//! logits = norm(x) · headᵀ                     V scores
//! ```
//! GPT-2, Llama, Qwen and Gemma are this with other choices: `docs/models.md` says which has which.
//!
//! The stream `x` is only ever added to: this is the residual stream (He et al. 2016). The norm stands before
//! each part ("pre-norm", Xiong et al. 2020). Source: Vaswani et al. 2017; Radford et al. 2019.

mod config;
mod families;
mod language;
mod loops;
mod ngrams;

pub use config::{Activation, Every, Positions, TransformerConfig, Window};
pub use families::Family;
pub use ngrams::Ngrams;

use super::attention::{MultiHeadAttention, UNSEEN_FROM};
use super::cache::{Cache, KvCache};
use super::norm::Norm;
use super::rotary::{Rotary, Speeds};
use super::start::Start;
use super::{LanguageModel, Parameter, Probe, Trained, fitting, ids_on, linear, places_from, to_precision};
use crate::error::{Error, Result};
use crate::rng::Rng;
use crate::tokenizer::{AnyTokenizer, CharTokenizer};
use std::fmt::Arguments;
use tch::{Device, Kind, Tensor};

/// A block's MLP.
#[derive(Debug)]
pub struct BlockMlp {
    /// (N, C)
    pub hidden_weight: Tensor,
    /// (C, N)
    pub output_weight: Tensor,
    /// (N) and (C)
    pub biases: Option<(Tensor, Tensor)>,
    /// (N, C), if the MLP is gated
    pub gate_weight: Option<Tensor>,
}

/// One block: attention and an MLP, each with its norm.
#[derive(Debug)]
pub struct Block {
    /// Before the attention.
    pub norm1: Norm,
    /// Looks back.
    pub attention: MultiHeadAttention,
    /// Of what the attention adds to the stream, if that is normalised.
    pub attention_norm: Option<Norm>,
    /// Before the MLP.
    pub norm2: Norm,
    /// Thinks about it.
    pub mlp: BlockMlp,
    /// Of what the MLP adds to the stream, if that is normalised.
    pub mlp_norm: Option<Norm>,
}

/// The transformer language model. All its tensors are visible.
#[derive(Debug)]
pub struct TransformerLm {
    /// Its sizes and choices.
    pub config: TransformerConfig,
    /// What its ids stand for.
    pub tokenizer: AnyTokenizer,
    /// What it has learnt from, if anything.
    pub trained: Option<Trained>,
    /// (V, C)
    pub embedding: Tensor,
    /// (T, C), if positions are learnt
    pub position: Option<Tensor>,
    /// (R, C), if groups of characters have rows
    pub ngrams: Option<Tensor>,
    /// The angles, if positions are rotary.
    pub rotary: Option<Rotary>,
    /// Those of the blocks with a window, if these are others.
    pub window_rotary: Option<Rotary>,
    /// The blocks, in order.
    pub blocks: Vec<Block>,
    /// Before the output head, if it has one.
    pub final_norm: Option<Norm>,
    /// (V, C), if the output head is not the embedding table
    pub head: Option<Tensor>,
    /// What the blocks and the head compute in: bfloat16 on a GPU if the config says so, else float32. Parameters, their
    /// gradients, the stream and the logits are float32 always, and so is all that a probe sees; float64, where the parameters
    /// have been brought to that.
    pub precision: Kind,
}

/// How a forward pass is computed.
#[derive(Debug, Clone, Copy)]
struct Pass {
    /// By the fused kernel where it can: sooner, but for the last bits the same.
    fused: bool,
    /// What the blocks and the head compute in.
    precision: Kind,
}

impl TransformerLm {
    /// A model with random weights, such that its first loss is that of guessing, ln V.
    ///
    /// # Errors
    /// If a size is below 1, `n_kv_heads` does not divide `n_heads`, or rotary positions meet an odd `head_dim`.
    pub fn new(config: TransformerConfig, device: Device) -> Result<TransformerLm> {
        TransformerLm::with(config, &mut Start::drawn(&mut Rng::new(config.seed as u64), device), device)
    }

    /// A model whose parameters have no numbers yet, and take no memory until [`Parameter::fill`] gives them theirs.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn unfilled(config: TransformerConfig, device: Device) -> Result<TransformerLm> {
        TransformerLm::with(config, &mut Start::unfilled(device), device)
    }

    fn with(config: TransformerConfig, start: &mut Start<'_>, device: Device) -> Result<TransformerLm> {
        config.check()?;
        let TransformerConfig { n_vocab, context_len, emb_dim, n_layers, head_dim, n_hidden, .. } = config;
        // A tied head multiplies by the embedding again: rows of that size give first scores near 0.
        let embedding_scale = if config.tied { emb_dim * emb_dim } else { emb_dim };
        let rotary = |speeds: Option<Speeds>| match speeds {
            Some(speeds) if config.positions == Positions::Rotary => {
                Rotary::with(speeds, context_len, head_dim, device).map(Some)
            }
            _ => Ok(None),
        };
        let norm = |start: &Start<'_>| Norm::with(config.norm, emb_dim, config.epsilon, start);
        let norm_if = |is: bool, start: &Start<'_>| if is { norm(start).map(Some) } else { Ok(None) };
        let block = |number, start: &mut Start<'_>| -> Result<Block> {
            Ok(Block {
                norm1: norm(start)?,
                attention: MultiHeadAttention::with(config.attention(number), start)?,
                attention_norm: norm_if(config.norms_after, start)?,
                norm2: norm(start)?,
                mlp: BlockMlp {
                    hidden_weight: start.weight([n_hidden, emb_dim], emb_dim)?,
                    output_weight: start.zeros(&[emb_dim, n_hidden])?,
                    biases: match config.bias {
                        true => Some((start.zeros(&[n_hidden])?, start.zeros(&[emb_dim])?)),
                        false => None,
                    },
                    gate_weight: match config.gated {
                        true => Some(start.weight([n_hidden, emb_dim], emb_dim)?),
                        false => None,
                    },
                },
                mlp_norm: norm_if(config.norms_after, start)?,
            })
        };
        Ok(TransformerLm {
            config,
            tokenizer: CharTokenizer { n_vocab }.into(),
            trained: None,
            embedding: start.weight([n_vocab, emb_dim], embedding_scale)?,
            position: match config.positions {
                Positions::Learned => Some(start.weight([context_len, emb_dim], embedding_scale)?),
                _ => None,
            },
            ngrams: config.ngrams.map(|ngrams| start.zeros(&[ngrams.rows, emb_dim])).transpose()?,
            rotary: rotary(Some(config.speeds))?,
            window_rotary: rotary(config.window_speeds)?,
            blocks: (0..n_layers).map(|number| block(number, start)).collect::<Result<_>>()?,
            final_norm: norm_if(config.final_norm, start)?,
            head: if config.tied { None } else { Some(start.zeros(&[n_vocab, emb_dim])?) },
            precision: if config.bfloat16 && device.is_cuda() { Kind::BFloat16 } else { Kind::Float },
        })
    }

    /// The model, with another tokenizer than that of characters.
    ///
    /// # Errors
    /// If the tokenizer has not `n_vocab` ids.
    pub fn with_tokenizer(self, tokenizer: impl Into<AnyTokenizer>) -> Result<TransformerLm> {
        Ok(TransformerLm { tokenizer: fitting(self.config.n_vocab, tokenizer.into())?, ..self })
    }

    /// The forward pass, seen by a probe.
    ///
    /// # Shapes
    /// `ids`: (B, T) with T ≤ `context_len` → logits (B, T, V)
    ///
    /// # Errors
    /// If `ids` is not of that shape, too long, or an id is not in `0..n_vocab`.
    pub fn forward(&self, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
        self.run(ids, !probe.looks() && is_long(ids), 0, None, probe)
    }

    /// The scores after the last of `ids`, which continue what the cache has seen, with a probe.
    ///
    /// # Shapes
    /// (B, T) → (B, V)
    pub(crate) fn read_seen(&self, ids: &Tensor, cache: &mut Cache, probe: &mut impl Probe) -> Result<Tensor> {
        let _guard = tch::no_grad_guard(); // the cache is written in place
        let last = ids.size().last().map_or(0, |time| time - 1);
        Ok(self.run(ids, !probe.looks(), last, Some(cache), probe)?.f_select(1, -1)?) // (B, 1, V) → (B, V)
    }

    /// The scores of the new characters from place `from` on, (B, T − `from`, V); what only those before need is not
    /// computed. With `fused`, attention may be computed by the fused kernel.
    fn run(
        &self,
        ids: &Tensor,
        fused: bool,
        from: i64,
        mut cache: Option<&mut Cache>,
        probe: &mut impl Probe,
    ) -> Result<Tensor> {
        let ids = ids_on(self.device(), ids, self.config.n_vocab)?;
        let (batch, time) = ids.size2()?;
        let first = cache.as_ref().map_or(0, |cache| cache.len);
        if first + time > self.config.context_len {
            let past = if first > 0 { format!(" after {first} in the cache") } else { String::new() };
            return Err(Error::Shape {
                expected: format!("ids of shape (B, T) with T ≤ {} (context_len)", self.config.context_len),
                got: format!("({batch}, {time}){past}"),
                hint: "shorten the text or raise context_len".to_owned(),
            });
        }
        let ids = probe.at("ids", ids); // (B, T)
        let mut x = probe.at("embedded", Tensor::f_embedding(&self.embedding, &ids, -1, false, false)?); // (B, T, C)
        if self.config.scaled_embedding {
            x = probe.at("scaled", x.f_mul_scalar((self.config.emb_dim as f64).sqrt())?); // (B, T, C)
        }
        if let Some(position) = &self.position {
            x = probe.at("positioned", x.f_add(&position.f_narrow(0, first, time)?)?); // (B, T, C)
        }
        if let (Some(ngrams), Some(table)) = (self.config.ngrams, &self.ngrams) {
            let known = ngrams.known(&ids, cache.as_ref().and_then(|cache| cache.recent.as_ref()))?;
            if let Some(cache) = &mut cache {
                cache.recent = Some(known.f_narrow(1, time, known.size()[1] - time)?);
            }
            let rows = Tensor::f_embedding(table, &ngrams.rows(&known)?, -1, false, false)?; // (B, T, longest − 1, C)
            x = probe.at("with_ngrams", x.f_add(&rows.f_sum_dim_intlist([2].as_slice(), false, None)?)?); // (B, T, C)
        }
        let pass = Pass { fused, precision: if probe.looks() { self.embedding.kind() } else { self.precision() } };
        for (number, block) in self.blocks.iter().enumerate() {
            let cache = cache.as_deref_mut().map(|cache| &mut cache.blocks[number]);
            x = self.look_back(number, x, pass, cache, format_args!("block.{number}"), probe)?;
            if number + 1 == self.blocks.len() {
                x = places_from(&x, from)?; // those before were read for their keys and values only
            }
            x = self.think(block, x, pass, format_args!("block.{number}"), probe)?;
        }
        if self.blocks.is_empty() {
            x = places_from(&x, from)?;
        }
        if let Some(cache) = cache {
            cache.len += time;
        }
        if let Some(norm) = &self.final_norm {
            x = probe.at("final_norm", norm.forward(&x)?);
        }
        let head = self.head.as_ref().unwrap_or(&self.embedding);
        let logits = to_precision(linear(&to_precision(x, pass.precision)?, head, None)?, self.embedding.kind())?;
        Ok(probe.at("logits", logits)) // (B, T, V)
    }

    /// What the blocks and the head compute in where nobody looks.
    fn precision(&self) -> Kind {
        match self.precision {
            Kind::Float => self.embedding.kind(), // float32, or what the parameters were brought to
            half => half,
        }
    }

    /// A block's first half.
    fn look_back(
        &self,
        number: usize,
        x: Tensor,
        pass: Pass,
        cache: Option<&mut KvCache>,
        name: Arguments<'_>,
        probe: &mut impl Probe,
    ) -> Result<Tensor> {
        let block = &self.blocks[number];
        let normed = probe.at(format_args!("{name}.norm1"), block.norm1.forward(&x)?); // (B, T, C)
        let (normed, rotary) = (to_precision(normed, pass.precision)?, self.rotary_of(block));
        let mut attended = match pass.fused {
            true => block.attention.output_unseen(&normed, rotary, cache)?,
            false => block.attention.forward(&normed, rotary, cache, format_args!("{name}.attn"), probe)?.output,
        };
        if let Some(norm) = &block.attention_norm {
            attended = probe.at(format_args!("{name}.attn_norm"), norm.forward(&attended)?); // (B, T, C)
        }
        Ok(probe.at(format_args!("{name}.after_attn"), x.f_add(&attended)?)) // (B, T, C)
    }

    /// The angles of a block's queries and keys.
    fn rotary_of(&self, block: &Block) -> Option<&Rotary> {
        let near = self.window_rotary.as_ref().filter(|_| block.attention.config.window.is_some());
        near.or(self.rotary.as_ref())
    }

    /// A block's second half.
    fn think(
        &self,
        block: &Block,
        x: Tensor,
        pass: Pass,
        name: Arguments<'_>,
        probe: &mut impl Probe,
    ) -> Result<Tensor> {
        let normed = probe.at(format_args!("{name}.norm2"), block.norm2.forward(&x)?); // (B, T, C)
        let (normed, biases) = (to_precision(normed, pass.precision)?, block.mlp.biases.as_ref());
        let hidden = linear(&normed, &block.mlp.hidden_weight, biases.map(|biases| &biases.0))?;
        let hidden = probe.at(format_args!("{name}.mlp.hidden"), hidden); // (B, T, N)
        let activated = match &block.mlp.gate_weight {
            None => self.config.activation.of(&hidden)?,
            Some(weight) => {
                let gate = probe.at(format_args!("{name}.mlp.gate"), linear(&normed, weight, None)?); // (B, T, N)
                self.config.activation.of(&gate)?.f_mul(&hidden)?
            }
        };
        let activated = probe.at(format_args!("{name}.mlp.activated"), activated); // (B, T, N)
        let output = linear(&activated, &block.mlp.output_weight, biases.map(|biases| &biases.1))?;
        let mut output = probe.at(format_args!("{name}.mlp.output"), output); // (B, T, C)
        if let Some(norm) = &block.mlp_norm {
            output = probe.at(format_args!("{name}.mlp_norm"), norm.forward(&output)?); // (B, T, C)
        }
        Ok(probe.at(format_args!("{name}.after_mlp"), x.f_add(&output)?)) // (B, T, C)
    }
}

/// Whether ids are so many that, where nobody looks, attention is computed without its weights.
fn is_long(ids: &Tensor) -> bool {
    ids.size().last().is_some_and(|&time| time >= UNSEEN_FROM)
}

impl Activation {
    /// # Shapes
    /// (…) → (…), each number by itself
    fn of(self, x: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Activation::Relu => x.f_relu()?,
            Activation::Gelu => x.f_gelu("none")?,
            Activation::ReluSquared => {
                let positive = x.f_relu()?;
                positive.f_mul(&positive)? // half the time of f_square, whose gradient takes a power first
            }
            Activation::GeluTanh => x.f_gelu("tanh")?,
            Activation::Silu => x.f_silu()?,
        })
    }
}

impl TransformerLm {
    /// The parameters with their names, always in the same order.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut all = vec![Parameter::new("embedding", &self.embedding)];
        all.extend(self.position.as_ref().map(|tensor| Parameter::new("position", tensor)));
        all.extend(self.ngrams.as_ref().map(|tensor| Parameter::new("ngrams", tensor)));
        for (number, block) in self.blocks.iter().enumerate() {
            all.extend(block.norm1.parameters(&format!("block.{number}.norm1")));
            all.extend(block.attention.parameters(&format!("block.{number}.attn")));
            let after = |norm: &Option<Norm>, name: &str| {
                norm.as_ref().map_or_else(Vec::new, |norm| norm.parameters(&format!("block.{number}.{name}")))
            };
            all.extend(after(&block.attention_norm, "attn_norm"));
            all.extend(block.norm2.parameters(&format!("block.{number}.norm2")));
            all.push(Parameter::matrix(format!("block.{number}.mlp.hidden.weight"), &block.mlp.hidden_weight));
            let gate = block.mlp.gate_weight.as_ref();
            all.extend(gate.map(|gate| Parameter::matrix(format!("block.{number}.mlp.gate.weight"), gate)));
            all.push(Parameter::matrix(format!("block.{number}.mlp.output.weight"), &block.mlp.output_weight));
            if let Some((hidden, output)) = &block.mlp.biases {
                all.push(Parameter::new(format!("block.{number}.mlp.hidden.bias"), hidden));
                all.push(Parameter::new(format!("block.{number}.mlp.output.bias"), output));
            }
            all.extend(after(&block.mlp_norm, "mlp_norm"));
        }
        all.extend(self.final_norm.iter().flat_map(|norm| norm.parameters("final_norm")));
        all.extend(self.head.as_ref().map(|tensor| Parameter::new("head", tensor)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::attention::Weighting;
    use super::super::norm::NormKind;
    use super::super::rotary::Slowed;
    use super::super::{Recording, count_parameters, cross_entropy, wake};
    use super::*;

    fn variants() -> Vec<TransformerConfig> {
        let original = TransformerConfig::original();
        let small = TransformerConfig::small();
        vec![
            original,
            TransformerConfig { positions: Positions::None, activation: Activation::Gelu, n_layers: 2, ..original },
            small,
            TransformerConfig { tied: true, norm: NormKind::Layer, bias: true, n_kv_heads: 2, ..small },
            TransformerConfig { weighting: Weighting::Sigmoid, n_kv_heads: 1, previous_head: true, ..small },
            TransformerConfig { norm: NormKind::Layer, qkv_bias: true, attention_bias: true, ..original },
            llama(),
            gemma(),
            TransformerConfig { ngrams: Some(Ngrams { longest: 4, rows: 999 }), ..original },
            TransformerConfig::quick(),
        ]
    }

    /// The choices of Llama and Qwen.
    fn llama() -> TransformerConfig {
        let slowed = Some(Slowed::SlowOnes { factor: 4.0, low: 1.0, high: 4.0, context_len: 32.0 });
        TransformerConfig {
            epsilon: 1e-6,
            n_kv_heads: 2,
            speeds: Speeds { base: 500_000.0, slowed },
            qkv_bias: true,
            ..Family::Llama.config()
        }
    }

    /// The choices of Gemma 3, with a window that short texts leave.
    fn gemma() -> TransformerConfig {
        let window = Some(Window { len: 4, except: Some(Every { step: 3, first: 2 }) });
        TransformerConfig { window, n_kv_heads: 2, ..Family::Gemma3.config() }
    }

    fn random_ids(length: i64) -> Tensor {
        let mut rng = Rng::new(1);
        let ids: Vec<i64> = (0..2 * length).map(|_| rng.below(256) as i64).collect();
        Tensor::from_slice(&ids).view([2, length])
    }

    fn awake(config: TransformerConfig) -> TransformerLm {
        wake(TransformerLm::new(config, Device::Cpu).unwrap(), 0.2)
    }

    fn difference(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).abs().max().double_value(&[])
    }

    #[test]
    fn the_original_has_21920_parameters() {
        assert_eq!(count_parameters(&TransformerLm::new(TransformerConfig::original(), Device::Cpu).unwrap()), 21_920);
    }

    #[test]
    fn a_seed_is_one_model_whatever_else_draws_random_numbers_meanwhile() {
        let new = || TransformerLm::new(TransformerConfig::original(), Device::Cpu).unwrap().embedding;
        let expected = new();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    tch::manual_seed(7);
                    let _ = Tensor::randn([100], (Kind::Float, Device::Cpu));
                }
            });
            let all_equal = (0..50).all(|_| new() == expected);
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(all_equal);
        });
    }

    #[test]
    fn first_loss_is_ln_vocab() {
        for config in variants() {
            let ids = random_ids(64);
            let model = TransformerLm::new(config, Device::Cpu).unwrap();
            let loss = cross_entropy(&model.logits(&ids).unwrap(), &ids.roll([1], [1])).unwrap().double_value(&[]);
            assert!((loss - 256_f64.ln()).abs() < 0.05, "{config:?}: {loss}");
        }
    }

    #[test]
    fn a_future_character_never_changes_the_past() {
        for config in variants() {
            let (model, ids) = (awake(config), random_ids(12));
            let changed = ids.copy();
            let _ = changed.narrow(1, 8, 1).fill_(7);
            let (before, after) = (model.logits(&ids).unwrap(), model.logits(&changed).unwrap());
            assert!(difference(&before.narrow(1, 0, 8), &after.narrow(1, 0, 8)) < 1e-5);
            assert!(difference(&before.narrow(1, 8, 4), &after.narrow(1, 8, 4)) > 1e-3);
        }
    }

    #[test]
    fn an_earlier_character_changes_the_prediction() {
        for config in variants() {
            let (model, ids) = (awake(config), random_ids(12));
            let changed = ids.copy();
            let _ = changed.narrow(1, 2, 1).fill_(7);
            assert!(
                difference(
                    &model.logits(&ids).unwrap().get(0).get(-1),
                    &model.logits(&changed).unwrap().get(0).get(-1)
                ) > 1e-4
            );
        }
    }

    #[test]
    fn the_trace_ends_in_the_models_own_logits_and_has_every_blocks_weights() {
        for config in variants() {
            let (model, ids) = (awake(config), random_ids(5));
            let mut recording = Recording::default();
            let logits = model.forward(&ids, &mut recording).unwrap();
            assert_eq!(model.logits(&ids).unwrap(), logits);
            assert_eq!(recording.get("logits").unwrap(), &logits);
            for number in 0..config.n_layers {
                let weights = recording.get(&format!("block.{number}.attn.weights")).unwrap();
                assert_eq!(weights.size(), [2, config.n_heads, 5, 5]);
            }
        }
    }

    #[test]
    fn a_further_character_by_loops_has_the_scores_of_the_forward_pass() {
        for config in variants().into_iter().chain(Family::ALL.map(Family::config)) {
            let model = awake(config);
            let by_loops = config.weighting == Weighting::Softmax && !config.previous_head;
            for batch in [1, 3, 9] {
                let ids = random_ids(10).repeat([5, 1]).narrow(0, 0, batch); // (B, 10)
                let whole = model.logits(&ids).unwrap();
                let mut cache = model.new_cache(batch).unwrap().unwrap();
                let _ = model.read(&ids.narrow(1, 0, 4), &mut cache).unwrap();
                for place in 4..10 {
                    let next = ids.narrow(1, place, 1);
                    let scores = loops::read(&model, &next, &mut cache).unwrap();
                    assert_eq!(scores.is_some(), by_loops, "{config:?}");
                    let scores = scores.unwrap_or_else(|| model.read(&next, &mut cache).unwrap());
                    let expected = whole.select(1, place);
                    let most = expected.abs().max().double_value(&[]).max(1.0);
                    assert!(difference(&scores, &expected) < 1e-5 * most, "{batch} {place} {config:?}");
                }
            }
        }
    }

    #[test]
    fn the_scores_from_a_place_on_are_the_last_of_all() {
        let near = Window { len: 3, except: None };
        let without_blocks = TransformerConfig { n_layers: 0, ..TransformerConfig::small() };
        let more = [without_blocks, TransformerConfig { window: Some(near), ..TransformerConfig::small() }];
        for config in variants().into_iter().chain(more) {
            let (model, ids) = (awake(config), random_ids(9));
            let all = model.logits(&ids).unwrap();
            for first in [0, 1, 8, 9] {
                let some = model.logits_from(&ids, first).unwrap();
                assert_eq!(some.size(), [2, 9 - first, config.n_vocab], "{config:?}");
                assert!(
                    first == 9 || difference(&some, &all.narrow(1, first, 9 - first)) < 1e-5,
                    "{first} of {config:?}"
                );
            }
            assert!(model.logits_from(&ids, 10).is_err() && model.logits_from(&ids, -10).is_err());
            assert!(model.logits_from(&ids, 1).unwrap().requires_grad(), "whoever asks for gradients gets them");
            let _guard = tch::no_grad_guard();
            // More than what goes through the blocks at a time, for each thread.
            let mut rng = Rng::new(3);
            let ids: Vec<i64> = (0..43 * 60).map(|_| rng.below(250) as i64).collect();
            let ids = Tensor::from_slice(&ids).view([43, 60]);
            let all = model.logits(&ids).unwrap();
            for first in [0, 31, 59] {
                let some = model.logits_from(&ids, first).unwrap();
                let expected = all.narrow(1, first, 60 - first);
                let off = (some - &expected).norm().double_value(&[]) / expected.norm().double_value(&[]);
                assert!(off < 1e-5, "{off}: {first} of {config:?}");
            }
            assert_eq!(model.logits_from(&ids, 60).unwrap().size(), [43, 0, config.n_vocab]);
            assert!(model.logits_from(&ids, 61).is_err() && model.logits_from(&ids, -10).is_err());
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn what_is_measured_and_not_learnt_is_scored_by_loops() {
        let (model, ids) = (awake(TransformerConfig::small()), random_ids(9));
        let by_loops = |ids: &Tensor, first| loops::learning::logits_from(&model, ids, first).unwrap().is_some();
        assert!(!by_loops(&ids, 3), "somebody may want its gradient");
        let _guard = tch::no_grad_guard();
        assert_eq!(by_loops(&ids, 3), crate::products::is_here());
        for (what, ids, first) in [
            ("no place", &ids, 9),
            ("before all", &ids, -1),
            ("too long", &random_ids(65), 0),
            ("no ids", &(&ids + 256), 0),
        ] {
            assert!(!by_loops(ids, first), "{what}");
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_gradients_by_loops_are_libtorchs() {
        let small = TransformerConfig::small();
        let layer = TransformerConfig { norm: NormKind::Layer, ..small };
        let more = [
            TransformerConfig { n_layers: 0, ..small },
            TransformerConfig { activation: Activation::Silu, gated: true, norms_after: true, ..small },
            TransformerConfig {
                activation: Activation::GeluTanh,
                scaled_embedding: true,
                n_heads: 1,
                n_kv_heads: 1,
                ..layer
            },
            TransformerConfig {
                activation: Activation::Gelu,
                positions: Positions::Learned,
                qk_norm: false,
                n_vocab: 250,
                ..layer
            },
            TransformerConfig {
                window: Some(Window { len: 3, except: None }),
                emb_dim: 10,
                head_dim: 6,
                n_hidden: 17,
                ..small
            },
        ];
        for config in variants().into_iter().chain(more) {
            let by_loops = crate::products::is_here()
                && config.weighting == Weighting::Softmax
                && !config.previous_head
                && !config.qk_scale;
            let mut model = awake(config);
            for norm in model.blocks.iter_mut().flat_map(|block| [&mut block.norm1, &mut block.norm2]) {
                for learnt in [&mut norm.scale, &mut norm.shift].into_iter().flatten() {
                    let mut rng = Rng::new(7);
                    let random = crate::model::random_tensor(&mut rng, &learnt.size(), 0.5).unwrap();
                    *learnt = random.set_requires_grad(true);
                }
            }
            for (texts, time) in [(1, 1), (5, 19), (9, 60)] {
                let mut rng = Rng::new(1);
                let ids: Vec<i64> = (0..texts * (time + 1)).map(|_| rng.below(250) as i64).collect();
                let ids = Tensor::from_slice(&ids).view([texts, time + 1]);
                let (inputs, targets) = (ids.narrow(1, 0, time), ids.narrow(1, 1, time));
                let found = loops::learning::loss_and_gradients(&model, &inputs, &targets).unwrap();
                assert_eq!(found.is_some(), by_loops, "{config:?}");
                let Some((loss, slopes)) = found else { continue };
                let expected = model.loss(&inputs, &targets).unwrap();
                assert!(difference(&loss, &expected) < 1e-5, "{config:?}");
                let parameters = model.parameters();
                let expected = crate::model::gradients(&parameters, &expected).unwrap();
                let most = length_of(&expected);
                for ((parameter, slopes), expected) in parameters.iter().zip(slopes).zip(expected) {
                    assert_eq!(slopes.size(), expected.size());
                    let off = (&slopes - &expected).norm().double_value(&[]);
                    let own = expected.norm().double_value(&[]);
                    assert!(off <= 1e-5 * own + 1e-7 * most, "{}: {off} of {own}, {config:?}", parameter.name);
                }
            }
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_model_that_somebody_has_changed_learns_what_its_forward_pass_does() {
        type Change = (&'static str, fn(&mut TransformerLm));
        let changes: [Change; 4] = [
            ("one tensor twice", |model| model.head = Some(model.embedding.shallow_clone())),
            ("computed from another", |model| model.head = Some(&model.embedding * 2.0)),
            ("other weights", |model| model.blocks[0].attention.config.weighting = Weighting::Sigmoid),
            ("a shift alone", |model| {
                let shift = Tensor::zeros([96], (Kind::Float, Device::Cpu)).set_requires_grad(true);
                model.blocks[0].norm1.shift = Some(shift);
            }),
        ];
        let ids = random_ids(7);
        for (what, change) in changes {
            let mut model = awake(TransformerConfig::small());
            assert_eq!(
                loops::learning::loss_and_gradients(&model, &ids, &ids).unwrap().is_some(),
                crate::products::is_here()
            );
            change(&mut model);
            assert!(loops::learning::loss_and_gradients(&model, &ids, &ids).unwrap().is_none(), "{what}");
            if what.starts_with("other") || what.starts_with("a shift") {
                let mut cache = model.new_cache(2).unwrap().unwrap();
                assert!(loops::read(&model, &ids, &mut cache).unwrap().is_none(), "{what}, written");
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn length_of(gradients: &[Tensor]) -> f64 {
        gradients.iter().map(|gradient| gradient.norm().double_value(&[]).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn a_cleared_cache_reads_with_the_model_as_it_is_now() {
        let (mut model, ids) = (awake(TransformerConfig::small()), random_ids(3));
        let mut cache = model.new_cache(2).unwrap().unwrap();
        let before = model.read(&ids, &mut cache).unwrap();
        model = wake(model, 0.2);
        cache.clear();
        let after = model.read(&ids, &mut cache).unwrap();
        assert!(difference(&after, &model.logits(&ids).unwrap().select(1, -1)) < 1e-4);
        assert!(difference(&after, &before) > 1e-2);
    }

    #[test]
    fn what_is_not_for_loops_is_said_by_the_forward_pass() {
        let model = awake(TransformerConfig { context_len: 2, ..TransformerConfig::small() });
        let read = |ids: &[i64], cached: &[i64]| {
            let mut cache = model.new_cache(1).unwrap().unwrap();
            let _ = model.read(&Tensor::from_slice(cached).unsqueeze(0), &mut cache).unwrap();
            model.read(&Tensor::from_slice(ids).unsqueeze(0), &mut cache)
        };
        assert!(read(&[1], &[1]).is_ok());
        for (ids, cached, said) in [(256, &[1][..], "0 to 255"), (-1, &[1], "0 to 255"), (1, &[1, 2], "context_len")] {
            let message = read(&[ids], cached).unwrap_err().to_string();
            assert!(message.contains(said), "{message}");
        }
        let mut narrow = awake(TransformerConfig::small());
        narrow.head = Some(Tensor::zeros([256, 95], (Kind::Float, Device::Cpu)));
        let mut cache = narrow.new_cache(1).unwrap().unwrap();
        assert!(narrow.read(&Tensor::from_slice(&[1_i64]).unsqueeze(0), &mut cache).is_err(), "and no panic");
    }

    #[test]
    fn in_bfloat16_logits_and_gradients_stay_near_those_of_float32_and_a_probe_sees_float32() {
        for config in variants() {
            let (mut model, ids) = (awake(config), random_ids(20));
            let both = [Kind::Float, Kind::BFloat16].map(|precision| {
                model.precision = precision;
                let logits = model.logits(&ids).unwrap();
                let mut parameters = model.parameters();
                parameters.iter_mut().for_each(|parameter| parameter.tensor.zero_grad());
                cross_entropy(&logits, &ids.roll([1], [1])).unwrap().backward();
                let gradients: Vec<Tensor> =
                    parameters.iter().map(|parameter| parameter.tensor.grad().flatten(0, -1)).collect();
                [logits.detach(), Tensor::cat(&gradients, 0)]
            });
            for (exact, rough) in both[0].iter().zip(&both[1]) {
                assert_eq!(rough.kind(), Kind::Float);
                let off = (exact - rough).norm().double_value(&[]) / exact.norm().double_value(&[]);
                // Where queries and keys have any length, scores are larger, and so is what rounding does to them.
                assert!(off > 1e-4 && off < 0.1, "{config:?}: {off}");
            }
            // To the bit on x86-64; arm64 rounds the fused attention, which is what trains, in another order.
            let seen = model.forward(&ids, &mut Recording::default()).unwrap();
            let off = (&seen - &both[0][0]).norm().double_value(&[]) / seen.norm().double_value(&[]);
            assert!(off < 1e-5, "{config:?}: {off}");
            let mut cache = model.new_cache(2).unwrap().unwrap();
            for (first, count) in [(0, 7), (7, 1), (8, 12)] {
                let part = model.read(&ids.narrow(1, first, count), &mut cache).unwrap();
                let whole = both[1][0].select(1, first + count - 1);
                let off = (&part - &whole).norm().double_value(&[]) / whole.norm().double_value(&[]);
                assert!(off < 0.05, "{config:?} from {first}: {off}");
            }
        }
    }

    #[test]
    fn a_processor_computes_in_float32_also_what_a_gpu_would_compute_in_bfloat16() {
        let config = TransformerConfig { bfloat16: true, ..TransformerConfig::original() };
        assert_eq!(TransformerLm::new(config, Device::Cpu).unwrap().precision, Kind::Float);
        assert!(TransformerConfig::large().bfloat16);
        let mut json = serde_json::to_value(config).unwrap();
        json.as_object_mut().unwrap().remove("bfloat16");
        let silent: TransformerConfig = serde_json::from_value(json).unwrap();
        assert!(!silent.bfloat16, "a file that says nothing of it means float32");
    }

    #[test]
    fn a_text_read_in_pieces_gets_the_logits_of_the_text_read_at_once() {
        for config in variants() {
            let (model, ids) = (awake(config), random_ids(20));
            let whole = model.logits(&ids).unwrap();
            let mut cache = model.new_cache(2).unwrap().unwrap();
            for (first, count) in [(0, 7), (7, 1), (8, 12)] {
                let part = model.read(&ids.narrow(1, first, count), &mut cache).unwrap();
                assert!(difference(&part, &whole.select(1, first + count - 1)) < 1e-4, "{config:?} from {first}");
            }
            let message = model.read(&random_ids(100), &mut cache).unwrap_err().to_string();
            assert!(message.contains("after 20 in the cache"), "{message}");
        }
    }

    #[test]
    fn the_large_preset_has_25_million_parameters_and_other_presets_fit_their_parts() {
        let TransformerConfig { emb_dim, n_layers, n_heads, head_dim, n_hidden, n_vocab, .. } =
            TransformerConfig::large();
        let block = 4 * emb_dim * n_heads * head_dim + 2 * emb_dim * n_hidden;
        assert_eq!((n_layers * block + 2 * n_vocab * emb_dim) / 1_000_000, 25);
        for config in [TransformerConfig::original(), TransformerConfig::small(), TransformerConfig::large()] {
            assert!(config.check().is_ok() && config.n_heads % config.n_kv_heads == 0);
        }
    }

    #[test]
    fn sizes_that_make_no_model_are_errors() {
        let small = TransformerConfig::small();
        for config in [
            TransformerConfig { emb_dim: 0, ..small },
            TransformerConfig { n_layers: -1, ..small },
            TransformerConfig { head_dim: 3, ..small },
            TransformerConfig { n_kv_heads: 3, ..small },
            TransformerConfig { ngrams: Some(Ngrams { longest: 1, rows: 10 }), ..small },
            TransformerConfig { ngrams: Some(Ngrams { longest: 3, rows: 0 }), ..small },
            TransformerConfig { epsilon: 0.0, ..small },
            TransformerConfig { epsilon: 1e300, ..small },
            TransformerConfig { speeds: Speeds { base: f64::NAN, slowed: None }, ..small },
            TransformerConfig { window: Some(Window { len: 0, except: None }), ..small },
            TransformerConfig { window: Some(Window { len: 4, except: Some(Every { step: 2, first: 2 }) }), ..small },
            TransformerConfig { weighting: Weighting::Sigmoid, ..gemma() },
            TransformerConfig { gated: true, bias: true, ..small },
            TransformerConfig { qk_norm: false, qk_scale: true, ..small },
        ] {
            assert!(TransformerLm::new(config, Device::Cpu).is_err(), "{config:?}");
        }
    }

    #[test]
    fn a_text_longer_than_the_context_is_an_error_that_says_what_to_do() {
        let model = TransformerLm::new(TransformerConfig::original(), Device::Cpu).unwrap();
        let message = model.logits(&random_ids(101)).unwrap_err().to_string();
        assert!(message.contains("T ≤ 100") && message.contains("(2, 101)"), "{message}");
    }
}
