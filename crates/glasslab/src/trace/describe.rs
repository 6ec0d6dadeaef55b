//! What each step of a forward pass is: its formula, its axes, and what one number of it means.

use crate::model::ModelConfig;
use crate::model::attention::Weighting;
use crate::model::norm::NormKind;
use crate::model::{Activation, Positions, TransformerConfig};
use crate::numbers::Quantity;

/// A step in words.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Description {
    pub(super) formula: String,
    pub(super) axes: &'static [&'static str],
    pub(super) meaning: &'static str,
    pub(super) quantity: Quantity,
}

const STREAM: &[&str] = &["batch", "time", "emb_dim"];
const WIDE: &[&str] = &["batch", "time", "n_hidden"];
const HEADS: &[&str] = &["batch", "heads", "time", "head_dim"];
const LOOKS: &[&str] = &["batch", "heads", "time (looks)", "time (is looked at)"];
const ONE_HEAD: &[&str] = &["batch", "time", "head_dim"];
const ONE_LOOKS: &[&str] = &["batch", "time (looks)", "time (is looked at)"];
const SCORES: &[&str] = &["batch", "time", "n_vocab"];

/// The description of a step of a model, or of a single head (`None`).
pub(super) fn describe(name: &str, config: Option<&ModelConfig>) -> Option<Description> {
    let part = part(name);
    let one_head = name.starts_with("head.");
    let transformer = match config {
        Some(ModelConfig::Transformer(config)) => Some(config),
        _ => None,
    };
    let mlp = matches!(config, Some(ModelConfig::Mlp(_)));
    let of_heads = if one_head { ONE_HEAD } else { HEADS };
    let of_looks = if one_head { ONE_LOOKS } else { LOOKS };
    let input = if one_head { "x" } else { "norm1" };
    let turned = transformer.is_some_and(|config| config.positions == Positions::Rotary);
    let one_length = transformer.is_some_and(|config| config.qk_norm);
    let has = |switch: fn(&TransformerConfig) -> bool| transformer.is_some_and(switch);
    let qkv = |letter: &str| match has(|config| config.qkv_bias) {
        true => format!("{input} · W{letter}ᵀ + b{letter}"),
        false => format!("{input} · W{letter}ᵀ"),
    };
    let asked = |letter: &str| match one_length {
        true if has(|config| config.qk_scale) => format!("one_length({}) · scale", qkv(letter)),
        true => format!("one_length({})", qkv(letter)),
        false => qkv(letter),
    };
    let added = |part: &str| {
        if has(|config| config.norms_after) { format!("x = x + {part}_norm") } else { "x = x + output".to_owned() }
    };
    let norm = |name: &str, input: &str| match transformer.map(|config| config.norm) {
        Some(NormKind::Layer) => format!("{name} = ({input} − mean) / √(variance + ε) · scale + shift"),
        Some(NormKind::ScaledRms) => format!("{name} = {input} / √(mean({input}²) + ε) · scale"),
        _ => format!("{name} = {input} / √(mean({input}²) + ε)"),
    };
    let bias =
        |name: &str| if transformer.is_none_or(|config| config.bias) { format!(" + {name}") } else { String::new() };
    let gated = has(|config| config.gated);
    let unit = if gated { "gate" } else { "hidden" };
    let activation = match transformer.map(|config| config.activation) {
        None | Some(Activation::Relu) => format!("max(0, {unit})"),
        Some(Activation::ReluSquared) => format!("max(0, {unit})²"),
        Some(Activation::Gelu) => format!("{unit} · Φ({unit})"),
        Some(Activation::GeluTanh) => {
            format!("{unit} · ½ · (1 + tanh(√(2/π) · ({unit} + 0.044715 · {unit}³)))")
        }
        Some(Activation::Silu) => format!("{unit} · σ({unit})"),
    };
    let activation = if gated { format!("{activation} · hidden") } else { activation };
    let window = transformer.and_then(|config| config.attention(block(name)).window);
    use Quantity::{Numbers, Probabilities, Range, Scores, Weights};
    let (formula, axes, meaning, quantity) = match part {
        "ids" => (
            "ids[t] = the number of character t".to_owned(),
            &["batch", "time"][..],
            "which character stands here, as its place in the vocabulary",
            Range,
        ),
        "x" => ("x, as it was given".to_owned(), STREAM, "one of the numbers that stand for this character", Numbers),
        "embedded" => (
            "embedded[t] = embedding[ids[t]]".to_owned(),
            STREAM,
            "one of the learnt numbers that stand for this character, wherever it stands",
            Numbers,
        ),
        "scaled" => (
            "scaled = embedded · √emb_dim".to_owned(),
            STREAM,
            "the same, as large as the model wants it where the blocks begin to add to it",
            Numbers,
        ),
        "positioned" => (
            format!(
                "positioned[t] = {}[t] + position[t]",
                if has(|config| config.scaled_embedding) { "scaled" } else { "embedded" }
            ),
            STREAM,
            "the same, with a number learnt for this place added: now the same character differs from place to place",
            Numbers,
        ),
        "with_ngrams" => (
            format!(
                "with_ngrams[t] = {}[t] + {}",
                match transformer.map(|config| config.positions) {
                    Some(Positions::Learned) => "positioned",
                    _ if has(|config| config.scaled_embedding) => "scaled",
                    _ => "embedded",
                },
                match transformer.and_then(|config| config.ngrams).map_or(2, |ngrams| ngrams.longest) {
                    2 => "ngrams[row of this character and the one before]".to_owned(),
                    longest => format!("Σₙ ngrams[row of the last n characters], n = 2 to {longest}"),
                }
            ),
            STREAM,
            "the same, with the rows of the groups added that this character ends: what is known by heart of “ce”, “nce”, …",
            Numbers,
        ),
        "norm1" => (
            norm("norm1", "x"),
            STREAM,
            "the stream brought to one size, so that no character drowns the others",
            Numbers,
        ),
        "attn.unturned" => (
            format!("queries = {}, keys = {}", asked("q"), asked("k")),
            &["batch", "heads (queries, then keys)", "time", "head_dim"][..],
            "one number of what this character wants to know, or of what can be found at it, before its place turns it",
            Numbers,
        ),
        "attn.queries" if turned => (
            "queries[t] = turn(queries[t], by the angles of place t)".to_owned(),
            of_heads,
            "one number of what this character wants to know, turned by its place",
            Numbers,
        ),
        "attn.keys" if turned => (
            "keys[s] = turn(keys[s], by the angles of place s)".to_owned(),
            of_heads,
            "one number of what can be found at this character, turned by its place",
            Numbers,
        ),
        "attn.queries" => {
            (format!("queries = {}", asked("q")), of_heads, "one number of what this character wants to know", Numbers)
        }
        "attn.keys" => {
            (format!("keys = {}", asked("k")), of_heads, "one number of what can be found at this character", Numbers)
        }
        "attn.values" => (
            format!("values = {}", qkv("v")),
            of_heads,
            "one number of what this character tells those who look at it",
            Numbers,
        ),
        "attn.scores" => (
            "scores[t, s] = queries[t] · keys[s] / √head_dim".to_owned(),
            of_looks,
            "how well what can be found at s fits what t wants to know",
            Scores,
        ),
        "attn.masked" => (
            match window {
                Some(len) => format!("masked[t, s] = scores[t, s] where t − {len} < s ≤ t, else −∞"),
                None => "masked[t, s] = scores[t, s] where s ≤ t, else −∞".to_owned(),
            },
            of_looks,
            match window {
                Some(_) => "the same, but nobody looks at what comes later, nor at what is too far back",
                None => "the same, but nobody looks at what comes later",
            },
            Scores,
        ),
        "attn.weights" => {
            (weighing(name, transformer), of_looks, "the share of its attention that t gives to s", Weights)
        }
        "attn.heads" => (
            "heads[t] = Σₛ weights[t, s] · values[s]".to_owned(),
            of_heads,
            "one number of the mix that this head has made for this character",
            Numbers,
        ),
        "attn.output" => (
            format!(
                "output = all heads of t, joined · Woᵀ{}",
                if has(|config| config.attention_bias) { " + bo" } else { "" }
            ),
            STREAM,
            "what the heads together want to add to this number of the stream",
            Numbers,
        ),
        "attn_norm" => (
            norm("attn_norm", "output"),
            STREAM,
            "what the heads want to add, brought to one size, so that no block shouts",
            Numbers,
        ),
        "after_attn" => (
            added("attn"),
            STREAM,
            "the stream after the attention: what was there, and what was found by looking back",
            Numbers,
        ),
        "norm2" => (norm("norm2", "x"), STREAM, "the stream brought to one size again", Numbers),
        "mlp.hidden" => (
            format!("hidden = norm2 · W₁ᵀ{}", bias("b₁")),
            WIDE,
            "how strongly this hidden unit is stirred by this character, negative: against",
            Numbers,
        ),
        "mlp.gate" => (
            "gate = norm2 · Wgᵀ".to_owned(),
            WIDE,
            "how far the gate of this hidden unit is open for this character, negative: closed",
            Numbers,
        ),
        "mlp.activated" => (
            format!("activated = {activation}"),
            WIDE,
            match gated {
                true => "what the gate lets through of this hidden unit",
                false => "the same, once what is negative has been set to (about) nothing",
            },
            Numbers,
        ),
        "mlp.output" => (
            format!("output = activated · W₂ᵀ{}", bias("b₂")),
            STREAM,
            "what the MLP wants to add to this number of the stream",
            Numbers,
        ),
        "mlp_norm" => (
            norm("mlp_norm", "output"),
            STREAM,
            "what the MLP wants to add, brought to one size, so that no block shouts",
            Numbers,
        ),
        "after_mlp" => (added("mlp"), STREAM, "the stream after this block", Numbers),
        "hidden" => (
            "hidden = embedded · W₁ᵀ + b₁".to_owned(),
            WIDE,
            "how strongly this hidden unit is stirred by this character, negative: against",
            Numbers,
        ),
        "activated" => (
            "activated = max(0, hidden)".to_owned(),
            WIDE,
            "the same, once what is negative has been set to nothing",
            Numbers,
        ),
        "output" => (
            "output = activated · W₂ᵀ + b₂".to_owned(),
            STREAM,
            "one of the numbers that point to the next character",
            Numbers,
        ),
        "final_norm" => {
            (norm("final_norm", "x"), STREAM, "the stream brought to one size, for the output head", Numbers)
        }
        "logits" => {
            let stream = if mlp {
                "output"
            } else if transformer.is_some_and(|config| config.final_norm) {
                "final_norm"
            } else {
                "x"
            };
            let head = if mlp || transformer.is_some_and(|config| config.tied) { "embedding" } else { "head" };
            (
                format!("logits = {stream} · {head}ᵀ"),
                SCORES,
                "the score of this character of the vocabulary to come next",
                Numbers,
            )
        }
        "probabilities" => (
            "probabilities = exp(logits) / Σ exp(logits)".to_owned(),
            SCORES,
            "the probability of this character of the vocabulary to come next",
            Probabilities,
        ),
        "loss" => (
            "loss[t] = −ln probabilities[t, id of the character that came]".to_owned(),
            &["batch", "time"][..],
            "how much this prediction cost, in nats: 0 if it was sure and right",
            Range,
        ),
        _ => return None,
    };
    Some(Description { formula, axes, meaning, quantity })
}

fn weighing(name: &str, config: Option<&TransformerConfig>) -> String {
    let mut formula = match config.map(|config| config.weighting) {
        Some(Weighting::Sigmoid) => "weights[t, s] = σ(masked[t, s] − ln(t + 1))".to_owned(),
        _ => "weights[t, s] = exp(masked[t, s]) / Σ exp(masked[t, ·])".to_owned(),
    };
    if config.is_some_and(|config| config.previous_head) && name.starts_with("block.0.") {
        formula.push_str("; head 0 is not learnt: 1 for the character before");
    }
    formula
}

/// Whether a step is a norm.
pub(super) fn is_norm(part: &str) -> bool {
    matches!(part, "norm1" | "norm2" | "final_norm" | "attn_norm" | "mlp_norm")
}

/// The block that a step is of.
pub(super) fn block(name: &str) -> i64 {
    let number = name.strip_prefix("block.").and_then(|rest| rest.split_once('.'));
    number.and_then(|(number, _)| number.parse().ok()).unwrap_or(0)
}

/// A step's name without the place of its block: `block.2.attn.scores` and `head.scores` are both `attn.scores`.
pub(super) fn part(name: &str) -> &str {
    if let Some(rest) = name.strip_prefix("block.") {
        return rest.split_once('.').map_or(name, |(_, part)| part);
    }
    match name {
        "head.queries" => "attn.queries",
        "head.keys" => "attn.keys",
        "head.values" => "attn.values",
        "head.scores" => "attn.scores",
        "head.masked" => "attn.masked",
        "head.weights" => "attn.weights",
        "head.heads" => "attn.heads",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_known_by_its_part() {
        assert_eq!(part("block.12.attn.scores"), "attn.scores");
        assert_eq!(part("head.weights"), "attn.weights");
        assert_eq!(part("logits"), "logits");
        assert!(describe("block.0.dance", None).is_none());
        assert_eq!(describe("head.scores", None).unwrap().axes.len(), 3);
    }
}
