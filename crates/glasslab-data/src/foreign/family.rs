//! Which family a model of others is of, and its choices: from the keys of its file to a [`TransformerConfig`].

use super::file::wrong;
use super::names::{Keys, Layout, Names, architecture, keys, layout, names};
use super::{Foreign, Form};
use crate::error::Result;
use glasslab::model::rotary::{Slowed, Speeds};
use glasslab::model::{Activation, Every, Family, Positions, TransformerConfig, Window};
use serde_json::Value;

/// More characters a model whose positions are rotary is not made for, whatever its file says: a cache of keys and values for
/// them has room in the memory of a laptop.
const LONGEST: i64 = 8192;

/// A model's choices, and how its weights lie in the file.
pub(super) struct Plan {
    pub(super) family: Family,
    pub(super) config: TransformerConfig,
    pub(super) names: &'static Names,
    pub(super) layout: Layout,
    /// By what queries are multiplied, so that a score divided by √D is the family's.
    pub(super) query_scale: f64,
}

impl Foreign {
    /// How a model of ours is made of it.
    pub(super) fn plan(&self) -> Result<Plan> {
        let family = self.known_family()?;
        let names = names(self.form, family, |name| self.weights.iter().any(|weight| weight.name == name));
        let sizes = Sizes::of(self, family)?;
        let embedding = &self.weight(&format!("{}.weight", names.embedding))?.shape;
        let n_vocab = embedding.first().copied().unwrap_or(0);
        let has = |name: &str| self.weights.iter().any(|weight| weight.name == name);
        let in_block = |part: &str| has(&names.in_block(0, part));
        let choices = family.config();
        let says_tied = self.config.flag("tie_word_embeddings")?.unwrap_or(false);
        let context_len = match choices.positions {
            Positions::Rotary => sizes.context_len.min(LONGEST),
            _ => sizes.context_len,
        };
        let window = self.window(family, sizes.n_layers)?.filter(|window| window.len < context_len);
        let config = TransformerConfig {
            n_vocab,
            context_len,
            emb_dim: sizes.emb_dim,
            n_layers: sizes.n_layers,
            n_heads: sizes.n_heads,
            n_kv_heads: sizes.n_kv_heads,
            head_dim: sizes.head_dim,
            n_hidden: sizes.n_hidden,
            epsilon: sizes.epsilon,
            activation: self.activation()?.unwrap_or(choices.activation),
            qkv_bias: in_block(&format!("{}.bias", names.qkv[0])),
            attention_bias: in_block(&format!("{}.bias", names.output)),
            tied: says_tied || !has(&format!("{}.weight", names.head)),
            speeds: self.speeds(family)?,
            window,
            window_speeds: match (choices.window_speeds, window) {
                (Some(_), Some(_)) => Some(self.window_speeds()?),
                _ => None,
            },
            ..choices
        };
        for key in ["scale_attn_by_inverse_layer_idx", "mlp_bias", "use_bidirectional_attention"] {
            if self.config.flag(key)? == Some(true) {
                return Err(self.unknown(&format!("`{key}`")));
            }
        }
        for key in ["attn_logit_softcapping", "final_logit_softcapping"] {
            if self.config.get(key).is_some() {
                return Err(self.unknown(&format!("`{key}`")));
            }
        }
        let turned = self.config.whole(&format!("{}.rope.dimension_count", self.family))?;
        if turned.is_some_and(|turned| turned != config.head_dim)
            || self
                .first_number(&["partial_rotary_factor", "rope_parameters.partial_rotary_factor"])?
                .is_some_and(|part| part != 1.0)
        {
            return Err(self.unknown("rotary positions for a part of each head"));
        }
        let root = (config.head_dim as f64).sqrt();
        Ok(Plan {
            family,
            config,
            names,
            layout: layout(self.form, family),
            query_scale: match family {
                Family::GptNeo => root,
                Family::Gemma3 => {
                    let scalar = self.config.number("query_pre_attn_scalar")?.unwrap_or(config.head_dim as f64);
                    if !(1e-6..1e9).contains(&scalar) {
                        return Err(self.unknown(&format!("`query_pre_attn_scalar` = {scalar}")));
                    }
                    root / scalar.sqrt()
                }
                Family::Gpt2 if self.config.flag("scale_attn_weights")? == Some(false) => root,
                _ => 1.0,
            },
        })
    }

    fn known_family(&self) -> Result<Family> {
        let is_it = |family: &Family| architecture(self.form, *family) == Some(&self.family);
        Family::ALL.into_iter().find(is_it).ok_or_else(|| {
            let known: Vec<&str> = Family::ALL.iter().map(|family| family.name()).collect();
            wrong(&self.path, &format!("is a model of the family {}; glasslab knows {}", self.family, known.join(", ")))
        })
    }

    fn unknown(&self, what: &str) -> crate::Error {
        wrong(
            &self.path,
            &format!("has {what}, which glasslab's forward pass has not: it would compute something else"),
        )
    }

    fn activation(&self) -> Result<Option<Activation>> {
        for key in ["hidden_activation", "hidden_act", "activation_function"] {
            return Ok(Some(match self.config.text(key)? {
                None => continue,
                Some("silu" | "swish") => Activation::Silu,
                Some("gelu_new" | "gelu_pytorch_tanh" | "gelu_fast") => Activation::GeluTanh,
                Some("gelu") => Activation::Gelu,
                Some("relu") => Activation::Relu,
                Some("relu2") => Activation::ReluSquared,
                Some(other) => return Err(self.unknown(&format!("the activation {other}"))),
            }));
        }
        Ok(None)
    }

    /// The first of some keys that is there.
    fn first_number(&self, keys: &[&str]) -> Result<Option<f64>> {
        for key in keys {
            if let Some(number) = self.config.number(&key.replace('*', &self.family))? {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    fn speeds(&self, family: Family) -> Result<Speeds> {
        let keys = [
            "rope_parameters.full_attention.rope_theta",
            "rope_parameters.rope_theta",
            "rope_theta",
            "*.rope.freq_base",
        ];
        let usual = if self.form == Form::HuggingFace && family == Family::Gemma3 { 1e6 } else { 1e4 };
        let base = self.first_number(&keys)?.unwrap_or(usual);
        let factors = self.weights.iter().find(|weight| weight.name == "rope_freqs.weight");
        if let Some(weight) = factors {
            return self.slowed_as(base, &weight.read()?.to_kind(tch::Kind::Double).try_into().unwrap_or_default());
        }
        let sets = ["rope_parameters.full_attention", "rope_parameters", "rope_scaling", "*.rope.scaling"];
        for set in sets.map(|set| set.replace('*', &self.family)) {
            let kind = match self.config.text(&format!("{set}.rope_type"))? {
                None => self.config.text(&format!("{set}.type"))?,
                there => there,
            };
            let Some(kind) = kind else { continue };
            let number = |key: &str| -> Result<f64> {
                let key = format!("{set}.{key}");
                self.config.must(&key, self.config.number(&key)?)
            };
            let slowed = match kind {
                "default" | "none" => None,
                "linear" => Some(Slowed::Evenly { factor: number("factor")? }),
                "llama3" => Some(Slowed::SlowOnes {
                    factor: number("factor")?,
                    low: number("low_freq_factor")?,
                    high: number("high_freq_factor")?,
                    context_len: number("original_max_position_embeddings")?,
                }),
                other => return Err(self.unknown(&format!("rotary positions of the kind {other}"))),
            };
            return Ok(Speeds { base, slowed });
        }
        Ok(Speeds { base, slowed: None })
    }

    /// A GGUF file of Llama 3.1 and later has a factor for each pair instead of the three numbers that they are made of.
    fn slowed_as(&self, base: f64, factors: &Vec<f64>) -> Result<Speeds> {
        let plain = Speeds { base, slowed: None };
        let factor = factors.iter().copied().fold(1.0, f64::max);
        let slowed = Some(Slowed::SlowOnes { factor, low: 1.0, high: 4.0, context_len: 8192.0 });
        let speeds = Speeds { base, slowed };
        let dim = 2 * factors.len() as i64;
        let is_it = (0..).zip(factors).all(|(pair, factor)| {
            let expected = plain.of_pair(pair, dim) / speeds.of_pair(pair, dim);
            (expected - factor).abs() < 1e-3 * expected
        });
        if is_it { Ok(speeds) } else { Err(self.unknown("rotary positions slowed down in another way than Llama 3's")) }
    }

    fn window_speeds(&self) -> Result<Speeds> {
        let base = self.first_number(&["rope_parameters.sliding_attention.rope_theta", "rope_local_base_freq"])?;
        Ok(Speeds { base: base.unwrap_or(10_000.0), slowed: None })
    }

    /// Which blocks see the last characters only.
    fn window(&self, family: Family, n_layers: i64) -> Result<Option<Window>> {
        let config = &self.config;
        let len = match family {
            Family::GptNeo => config.whole("window_size")?.or(Some(256)),
            Family::Qwen2 | Family::Qwen3 if config.flag("use_sliding_window")? != Some(true) => None,
            Family::Mistral | Family::Qwen2 | Family::Qwen3 => config.whole("sliding_window")?,
            Family::Gemma3 if self.form == Form::Gguf => config.whole("gemma3.attention.sliding_window")?,
            Family::Gemma3 => config.whole("sliding_window")?,
            Family::Gpt2 | Family::Llama => None,
        };
        let Some(len) = len else { return Ok(None) };
        let kinds = match config.list("layer_types")? {
            None => config.list("attention_layers")?,
            there => there,
        };
        let sees_all = match kinds {
            Some(kinds) => kinds.iter().map(|kind| kind == "full_attention" || kind == "global").collect(),
            None => match family {
                Family::GptNeo => self.in_turn()?,
                Family::Gemma3 => {
                    let step = config.whole("sliding_window_pattern")?.unwrap_or(6).max(1);
                    return Ok(Some(Window { len, except: Some(Every { step, first: step - 1 }) }));
                }
                _ => return Ok(Some(Window { len, except: None })),
            },
        };
        pattern(len, &sees_all, n_layers).ok_or_else(|| self.unknown("windows that follow no pattern"))
    }

    /// GPT-Neo's `attention_types`: `[[["global", "local"], 6]]` is these two, 6 times.
    fn in_turn(&self) -> Result<Vec<bool>> {
        let mut sees_all = Vec::new();
        for group in self.config.list("attention_types")?.unwrap_or_default() {
            let (kinds, times) = (group[0].as_array(), group[1].as_u64().unwrap_or(0).min(1000));
            for _ in 0..times {
                sees_all.extend(kinds.into_iter().flatten().map(|kind: &Value| kind == "global"));
            }
        }
        Ok(sees_all)
    }
}

/// The pattern of blocks that see all; `None`: there is none.
fn pattern(len: i64, sees_all: &[bool], n_layers: i64) -> Option<Option<Window>> {
    if sees_all.len() as i64 != n_layers {
        return None;
    }
    if sees_all.iter().all(|&all| all) {
        return Some(None);
    }
    let Some(first) = sees_all.iter().position(|&all| all) else { return Some(Some(Window { len, except: None })) };
    let second = sees_all.iter().skip(first + 1).position(|&all| all);
    let every = Every { step: second.map_or(n_layers, |more| more as i64 + 1), first: first as i64 };
    let window = Window { len, except: Some(every) };
    let fits = (0..).zip(sees_all).all(|(block, &all)| window.of_block(block).is_none() == all);
    (fits && every.first < every.step).then_some(Some(window))
}

/// What a file says of a model's sizes.
struct Sizes {
    context_len: i64,
    emb_dim: i64,
    n_layers: i64,
    n_heads: i64,
    n_kv_heads: i64,
    head_dim: i64,
    n_hidden: i64,
    epsilon: f64,
}

impl Sizes {
    fn of(foreign: &Foreign, family: Family) -> Result<Sizes> {
        let Keys { context_len, emb_dim, n_layers, n_heads, n_kv_heads, head_dim, n_hidden, epsilon } =
            keys(foreign.form, family);
        let config = &foreign.config;
        let size = |key: &str| -> Result<Option<i64>> {
            let key = key.replace('*', &foreign.family);
            match config.whole(&key)? {
                Some(size) if !(1..=1 << 30).contains(&size) => {
                    Err(wrong(&foreign.path, &format!("says `{key}` = {size}: fetch it again")))
                }
                size => Ok(size),
            }
        };
        let must = |key: &str| config.must(&key.replace('*', &foreign.family), size(key)?);
        let (emb_dim, n_heads) = (must(emb_dim)?, must(n_heads)?);
        let epsilon = foreign.first_number(&[epsilon])?;
        Ok(Sizes {
            context_len: must(context_len)?,
            emb_dim,
            n_layers: must(n_layers)?,
            n_heads,
            n_kv_heads: size(n_kv_heads)?.unwrap_or(n_heads),
            head_dim: size(head_dim)?.unwrap_or((emb_dim / n_heads).max(1)),
            n_hidden: size(n_hidden)?.unwrap_or(4 * emb_dim),
            epsilon: match foreign.form {
                Form::Llama2c => 1e-5,
                _ => config.must(keys(foreign.form, family).epsilon, epsilon)?,
            },
        })
    }
}
