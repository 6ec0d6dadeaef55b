//! Which family computes what a model of ours computes, in the form that is asked for.

use super::super::Form;
use super::super::names::{Layout, Names, architecture, layout, names};
use glasslab::model::attention::Weighting;
use glasslab::model::norm::NormKind;
use glasslab::model::rotary::{Slowed, Speeds};
use glasslab::model::{Activation, Every, Family, Positions, TransformerConfig, Window};

/// The family, and the model's choices as that family has them.
pub(super) struct Plan {
    pub(super) form: Form,
    pub(super) family: Family,
    /// What the form calls it.
    pub(super) architecture: &'static str,
    pub(super) config: TransformerConfig,
    pub(super) names: &'static Names,
    pub(super) layout: Layout,
    /// By what queries are divided: GPT-Neo does not divide scores by √D.
    pub(super) query_scale: f64,
}

/// The family that a model is written as, or why there is none.
pub(super) fn plan(own: &TransformerConfig, form: Form) -> Result<Plan, String> {
    if own.weighting != Weighting::Softmax {
        return Err(none(form, "`weighting: Sigmoid`", "Weighting::Softmax"));
    }
    if own.previous_head {
        return Err(none(form, "`previous_head: true`", "previous_head: false"));
    }
    if own.ngrams.is_some() {
        return Err(none(form, "rows for groups of characters (`ngrams`)", "ngrams: None"));
    }
    if !own.final_norm {
        return Err(none(form, "`final_norm: false`", "final_norm: true"));
    }
    let (family, config) = match own.positions {
        Positions::None => return Err(none(form, "`positions: None`", "Positions::Rotary")),
        Positions::Learned => gpt(*own, form)?,
        Positions::Rotary => llama(*own, form)?,
    };
    let Some(architecture) = architecture(form, family) else {
        return Err(match family {
            Family::GptNeo | Family::Mistral => none(form, &format!("`window` in a {}", family.name()), "window: None"),
            other => none(form, &format!("the family {}", other.name()), "the choices of Family::Llama.config()"),
        });
    };
    match form {
        Form::HuggingFace => {}
        Form::Gguf => check_gguf(&config, family)?,
        Form::Llama2c => check_llama2c(&config)?,
    }
    Ok(Plan {
        form,
        family,
        architecture,
        config,
        names: names(form, family, |_| false),
        layout: layout(form, family),
        query_scale: if family == Family::GptNeo { (config.head_dim as f64).sqrt() } else { 1.0 },
    })
}

fn none(form: Form, choice: &str, instead: &str) -> String {
    format!(
        "a model with {choice} can't be written {form}, which has nothing that computes the same: train one with {instead}"
    )
}

/// Learnt positions and layer norms: GPT-2, and GPT-Neo where there is a window.
fn gpt(own: TransformerConfig, form: Form) -> Result<(Family, TransformerConfig), String> {
    let refuse = |choice: &str, instead: &str| Err(none(form, choice, instead));
    if own.norm != NormKind::Layer {
        return refuse("learnt positions and an RMS norm (`norm`)", "NormKind::Layer, or with Positions::Rotary");
    }
    if own.gated || own.qk_norm || own.norms_after || own.scaled_embedding {
        let choice = "learnt positions and `gated`, `qk_norm`, `norms_after` or `scaled_embedding`";
        return refuse(choice, "Positions::Rotary, or without those");
    }
    if own.n_kv_heads != own.n_heads {
        return refuse("learnt positions and fewer keys than queries (`n_kv_heads`)", "n_kv_heads = n_heads");
    }
    if own.n_heads * own.head_dim != own.emb_dim {
        return refuse("learnt positions and heads that are not as wide as the stream", "n_heads · head_dim = emb_dim");
    }
    let filled = TransformerConfig { bias: true, attention_bias: true, ..own };
    match own.window {
        None => Ok((Family::Gpt2, TransformerConfig { qkv_bias: true, ..filled })),
        Some(_) if own.qkv_bias => refuse("learnt positions, a `window` and `qkv_bias`", "qkv_bias: false"),
        Some(_) => Ok((Family::GptNeo, filled)),
    }
}

/// Rotary positions and RMS norms: Llama and those after it.
fn llama(own: TransformerConfig, form: Form) -> Result<(Family, TransformerConfig), String> {
    let refuse = |choice: &str, instead: &str| Err(none(form, choice, instead));
    if own.norm == NormKind::Layer {
        return refuse("rotary positions and `norm: Layer`", "NormKind::ScaledRms");
    }
    if own.bias {
        return refuse("rotary positions and biases in the MLP (`bias`)", "bias: false");
    }
    // A norm without a scale is one whose scale is 1.
    let mut filled = TransformerConfig { norm: NormKind::ScaledRms, qk_scale: own.qk_norm, ..own };
    match own.activation {
        // relu(x)² is relu(x) · x: a gate that is the hidden matrix itself.
        Activation::ReluSquared if !own.gated => {
            filled = TransformerConfig { gated: true, activation: Activation::Relu, ..filled };
        }
        _ if !own.gated => {
            let choice = format!("rotary positions, `activation: {:?}` and `gated: false`", own.activation);
            return refuse(&choice, "gated: true (Family::Llama.config()), or with Activation::ReluSquared");
        }
        _ => {}
    }
    if own.norms_after || own.scaled_embedding || own.window_speeds.is_some() {
        return match own.norms_after && own.scaled_embedding && own.qk_norm && !own.qkv_bias && !own.attention_bias {
            true => Ok((Family::Gemma3, filled)),
            false => refuse(
                "some of `norms_after`, `scaled_embedding`, `window_speeds` and `qk_norm`, and not all of Gemma's",
                "the choices of Family::Gemma3.config()",
            ),
        };
    }
    let has_bias = own.qkv_bias || own.attention_bias;
    if own.qk_norm {
        let filled = TransformerConfig { qkv_bias: has_bias, attention_bias: has_bias, ..filled };
        return Ok((Family::Qwen3, filled));
    }
    match own.window {
        None if own.attention_bias => Ok((Family::Llama, TransformerConfig { qkv_bias: true, ..filled })),
        None if own.qkv_bias => Ok((Family::Qwen2, filled)),
        None => Ok((Family::Llama, filled)),
        Some(_) if own.attention_bias => refuse("a `window` and `attention_bias`", "attention_bias: false"),
        Some(Window { except: None, .. }) if !own.qkv_bias => Ok((Family::Mistral, filled)),
        Some(_) => Ok((Family::Qwen2, TransformerConfig { qkv_bias: true, ..filled })),
    }
}

/// What llama.cpp has fixed in a family.
fn check_gguf(config: &TransformerConfig, family: Family) -> Result<(), String> {
    let refuse = |choice: &str, instead: &str| Err(none(Form::Gguf, choice, instead));
    let fixed = match family {
        Family::Gpt2 | Family::Gemma3 => Activation::GeluTanh,
        _ => Activation::Silu,
    };
    if config.activation != fixed {
        let choice = format!("the activation {:?} in a {}", config.activation, family.name());
        return refuse(&choice, &format!("Activation::{fixed:?} and the choices of Family::{family:?}.config()"));
    }
    if matches!(config.speeds.slowed, Some(Slowed::SlowOnes { .. })) && family != Family::Llama {
        return refuse("slow pairs that are slowed down (`speeds`) in no Llama", "Speeds { slowed: None, .. }");
    }
    if family == Family::Gemma3 {
        let as_there = Some(Every { step: 6, first: 5 });
        if config.window.is_none_or(|window| window.except != as_there)
            || config.window_speeds != Some(Speeds::default())
        {
            return refuse(
                "a Gemma's `window` of another pattern than 5 in 6, or other `window_speeds`",
                "those of Family::Gemma3.config()",
            );
        }
        if !config.tied {
            return refuse("a Gemma's head of its own (`tied: false`)", "tied: true");
        }
    } else if config.window.is_some() {
        return refuse(&format!("a `window` in a {}", family.name()), "window: None");
    }
    if family == Family::Qwen3 && config.qkv_bias {
        return refuse("`qk_norm` and biases of queries and keys", "qkv_bias: false and attention_bias: false");
    }
    Ok(())
}

/// What llama2.c has fixed: all but the sizes.
fn check_llama2c(config: &TransformerConfig) -> Result<(), String> {
    let fixed = [
        ("biases (`qkv_bias`, `attention_bias`)", !config.qkv_bias && !config.attention_bias, "both false"),
        ("another activation than SiLU", config.activation == Activation::Silu, "Activation::Silu"),
        (
            "heads that are not as wide as the stream",
            config.n_heads * config.head_dim == config.emb_dim,
            "n_heads · head_dim = emb_dim",
        ),
        ("another rotary base than 10,000", config.speeds == Speeds::default(), "Speeds::default()"),
        ("another `epsilon` than 1e-5", (config.epsilon - 1e-5).abs() < 1e-9, "epsilon: 1e-5"),
    ];
    match fixed.into_iter().find(|(_, is_so, _)| !is_so) {
        Some((choice, _, instead)) => Err(none(Form::Llama2c, choice, instead)),
        None => Ok(()),
    }
}
