//! The hook points of TransformerLens, and which step each of them is here: whoever knows its names may use them wherever
//! a step is asked for.
//!
//! | TransformerLens | here |
//! |---|---|
//! | `hook_embed` | `embedded`, or `scaled` where the embedding is |
//! | `blocks.3.hook_resid_pre` | `block.2.after_mlp`; of block 0 `with_ngrams`, `positioned`, or what stands for a character else |
//! | `blocks.3.hook_resid_mid` · `hook_resid_post` | `block.3.after_attn` · `after_mlp` |
//! | `blocks.3.ln1.hook_normalized` · `ln2.…` | `block.3.norm1` · `norm2` |
//! | `ln_final.hook_normalized` | `final_norm` |
//! | `blocks.3.attn.hook_q` · `hook_k` · `hook_v` | `block.3.attn.queries` · `keys` · `values` |
//! | `blocks.3.attn.hook_rot_q` · `hook_rot_k` | the same `queries` · `keys`, where positions are rotary |
//! | `blocks.3.attn.hook_attn_scores` | `block.3.attn.masked`: it comes behind the mask |
//! | `blocks.3.attn.hook_pattern` · `hook_z` | `block.3.attn.weights` · `heads` |
//! | `blocks.3.hook_attn_out` · `hook_mlp_out` | `block.3.attn.output` · `mlp.output`, or behind their norm `attn_norm` · `mlp_norm` |
//! | `blocks.3.mlp.hook_pre` · `hook_post` | `block.3.mlp.gate`, or `hidden` where none is · `activated` |
//! | `blocks.3.mlp.hook_pre_linear` | `block.3.mlp.hidden` |
//!
//! Heads stand before the characters here, (B, H, T, D), and behind them there. Source: Nanda and Bloom,
//! "TransformerLens", 2022.

use crate::error::{Error, Result};
use std::borrow::Cow;

/// Those of a block: the point, and our steps for it, of which a model has at least one; the first it has is meant.
const OF_A_BLOCK: [(&str, &[&str]); 18] = [
    ("hook_resid_mid", &["after_attn"]),
    ("hook_resid_post", &["after_mlp"]),
    ("ln1.hook_normalized", &["norm1"]),
    ("ln2.hook_normalized", &["norm2"]),
    ("ln1_post.hook_normalized", &["attn_norm"]),
    ("ln2_post.hook_normalized", &["mlp_norm"]),
    ("attn.hook_q", &["attn.queries"]),
    ("attn.hook_k", &["attn.keys"]),
    ("attn.hook_rot_q", &["attn.queries"]),
    ("attn.hook_rot_k", &["attn.keys"]),
    ("attn.hook_v", &["attn.values"]),
    ("attn.hook_attn_scores", &["attn.masked"]),
    ("attn.hook_pattern", &["attn.weights"]),
    ("attn.hook_z", &["attn.heads"]),
    ("hook_attn_out", &["attn_norm", "attn.output"]),
    ("hook_mlp_out", &["mlp_norm", "mlp.output"]),
    ("mlp.hook_pre", &["mlp.gate", "mlp.hidden"]),
    ("mlp.hook_post", &["mlp.activated"]),
];
const LINEAR: &str = "mlp.hook_pre_linear";

/// What enters the first block.
pub(super) const INTO: [&str; 4] = ["with_ngrams", "positioned", "scaled", "embedded"];

/// The step that is meant by a name: one of ours, or of TransformerLens. A name that is neither is given back as it is.
///
/// `has` tells whether the model has a step of ours.
///
/// # Errors
/// If it is one of theirs for which there is no step here.
pub(crate) fn step_named(name: &str, has: impl Fn(&str) -> bool) -> Result<Cow<'_, str>> {
    if !name.contains("hook_") || has(name) {
        return Ok(Cow::Borrowed(name));
    }
    let none = |why: &str| Err(Error::Config(format!("{name}, a name of TransformerLens, has no step here: {why}")));
    let of_block = name.strip_prefix("blocks.").and_then(|rest| rest.split_once('.'));
    let Some((block, point)) = of_block.and_then(|(block, point)| Some((block.parse::<usize>().ok()?, point))) else {
        return match name {
            "hook_embed" => Ok(first(&["scaled", "embedded"], "", has)),
            "ln_final.hook_normalized" => Ok(Cow::Borrowed("final_norm")),
            "hook_pos_embed" => none("the places are added at once; `positioned` minus `embedded` is what they add"),
            _ if name.ends_with("hook_scale") => none("a norm is one step, what comes out of it"),
            _ => Ok(Cow::Borrowed(name)),
        };
    };
    let within = format!("block.{block}.");
    match point {
        "hook_resid_pre" if block == 0 => return Ok(first(&INTO, "", has)),
        "hook_resid_pre" => return Ok(Cow::Owned(format!("block.{}.after_mlp", block - 1))),
        LINEAR if !has(&format!("{within}mlp.gate")) => return none("its MLP has no gate; it is `mlp.hidden`"),
        LINEAR => return Ok(Cow::Owned(format!("{within}mlp.hidden"))),
        "attn.hook_q" | "attn.hook_k" if has(&format!("{within}attn.unturned")) => {
            return none(&format!(
                "queries and keys before they are turned are one step, {within}attn.unturned, the queries' heads first; \
                 as they are turned, they are {within}attn.queries and {within}attn.keys, there hook_rot_q and hook_rot_k"
            ));
        }
        "attn.hook_rot_q" | "attn.hook_rot_k" if !has(&format!("{within}attn.unturned")) => {
            return none("this model turns no queries and keys; take hook_q and hook_k");
        }
        "attn.hook_result" => return none("what each head adds is summed at once; `attn.heads` is what it has mixed"),
        _ if point.ends_with("hook_scale") => return none("a norm is one step, what comes out of it"),
        _ => {}
    }
    let ours = OF_A_BLOCK.iter().find(|(theirs, _)| *theirs == point);
    Ok(ours.map_or(Cow::Borrowed(name), |(_, steps)| first(steps, &within, has)))
}

/// The first of these that there is; if there is none of them, the last, whose absence is then told.
fn first(steps: &[&str], within: &str, has: impl Fn(&str) -> bool) -> Cow<'static, str> {
    let all = steps.iter().map(|step| format!("{within}{step}"));
    let found = all.clone().find(|step| has(step)).or_else(|| all.clone().next_back());
    Cow::Owned(found.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intervene::{Altered, Changes, Patch};
    use crate::model::{LanguageModel, Positions, TransformerConfig, TransformerLm};
    use crate::trace::Traceable;
    use crate::trace::tests::{awake, variants};
    use tch::Tensor;

    fn meant(model: &TransformerLm, name: &str) -> String {
        model.trace("Once").unwrap().step(name).unwrap().name.clone()
    }

    #[test]
    fn a_name_of_transformer_lens_is_the_step_that_it_means() {
        let model = awake(TransformerConfig { gated: true, norms_after: true, ..TransformerConfig::small() });
        for (theirs, ours) in [
            ("hook_embed", "embedded"),
            ("blocks.0.hook_resid_pre", "embedded"),
            ("blocks.1.hook_resid_pre", "block.0.after_mlp"),
            ("blocks.1.hook_resid_mid", "block.1.after_attn"),
            ("blocks.1.hook_resid_post", "block.1.after_mlp"),
            ("blocks.1.ln1.hook_normalized", "block.1.norm1"),
            ("blocks.2.attn.hook_rot_q", "block.2.attn.queries"),
            ("blocks.2.attn.hook_v", "block.2.attn.values"),
            ("blocks.2.attn.hook_z", "block.2.attn.heads"),
            ("blocks.0.attn.hook_pattern", "block.0.attn.weights"),
            ("blocks.0.attn.hook_attn_scores", "block.0.attn.masked"),
            ("blocks.0.hook_attn_out", "block.0.attn_norm"),
            ("blocks.0.hook_mlp_out", "block.0.mlp_norm"),
            ("blocks.0.mlp.hook_pre", "block.0.mlp.gate"),
            ("blocks.0.mlp.hook_pre_linear", "block.0.mlp.hidden"),
            ("blocks.0.mlp.hook_post", "block.0.mlp.activated"),
            ("ln_final.hook_normalized", "final_norm"),
            ("block.0.attn.weights", "block.0.attn.weights"),
        ] {
            assert_eq!(meant(&model, theirs), ours, "{theirs}");
        }
        let plain = awake(TransformerConfig { positions: Positions::Learned, ..TransformerConfig::original() });
        for (theirs, ours) in [
            ("blocks.0.hook_resid_pre", "positioned"),
            ("blocks.0.attn.hook_q", "block.0.attn.queries"),
            ("blocks.0.hook_attn_out", "block.0.attn.output"),
            ("blocks.0.mlp.hook_pre", "block.0.mlp.hidden"),
        ] {
            assert_eq!(meant(&plain, theirs), ours, "{theirs}");
        }
    }

    #[test]
    fn each_of_the_table_is_a_step_of_some_model() {
        let traces: Vec<_> = variants().into_iter().map(|config| awake(config).trace("Once").unwrap()).collect();
        for (point, _) in OF_A_BLOCK {
            let name = format!("blocks.0.{point}");
            assert!(traces.iter().any(|trace| trace.step(&name).is_ok()), "{name}");
        }
    }

    #[test]
    fn what_has_no_equal_is_told_with_what_to_take_instead() {
        let trace = awake(TransformerConfig::small()).trace("Once").unwrap();
        for (name, instead) in [
            ("hook_pos_embed", "`positioned` minus `embedded`"),
            ("blocks.0.attn.hook_q", "block.0.attn.unturned"),
            ("blocks.0.attn.hook_result", "attn.heads"),
            ("blocks.0.ln1.hook_scale", "a norm is one step"),
            ("blocks.0.hook_nothing", "it has ids, embedded"),
        ] {
            let message = trace.step(name).unwrap_err().to_string();
            assert!(message.contains(instead), "{name}: {message}");
        }
    }

    #[test]
    fn patches_nudges_and_arithmetic_take_the_names_too() {
        let model = awake(TransformerConfig::small());
        let ids = Tensor::from_slice(&[79_i64, 110, 99]).unsqueeze(0);
        let doubled = |step: &str| {
            let changes = Changes::from(Patch::scale(step, 2.0));
            Altered::new(&model, &changes).logits(&ids).unwrap()
        };
        assert_eq!(doubled("blocks.0.hook_resid_pre"), doubled("embedded"));
        assert_eq!(doubled("blocks.1.hook_mlp_out"), doubled("block.1.mlp.output"));
        assert_ne!(doubled("blocks.1.hook_mlp_out"), model.logits(&ids).unwrap());
        let nudged = |step: &str| model.nudge("Once", step, &[0, 1, 2], 0.1).unwrap().after;
        assert_eq!(nudged("blocks.0.hook_resid_mid"), nudged("block.0.after_attn"));
        let trace = model.backward("Once").unwrap();
        let by_hand = |step: &str| trace.by_hand(step, &[0, 1, 2, 1]).unwrap().arithmetic;
        assert_eq!(by_hand("blocks.0.attn.hook_pattern"), by_hand("block.0.attn.weights"));
        let blame = |step: &str| trace.blame(step, &[0, 1, 2]).unwrap().arithmetic;
        assert_eq!(blame("blocks.0.hook_resid_post"), blame("block.0.after_mlp"));
        assert!(trace.open("blocks.0.hook_resid_post").unwrap().alt.starts_with("block.0.after_mlp"));
    }
}
