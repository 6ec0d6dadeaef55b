//! What may stand at the cursor, and what stands there.
//!
//! Completions are offered in an order: what the lab uses first, what only libtorch's authors need last. A tensor has more than four thousand methods. Front-ends show them in the order of the reply.

use crate::cell::impls::ALIAS;
use crate::cell::{code, commands};
use crate::panics::caught;
use evcxr::{CommandContext, Completions};
use jupyter_protocol::{CompleteReply, CompleteRequest, InspectReply, InspectRequest, MediaType};
use serde_json::{Map, json};

/// The methods that the notebooks and the exercises' hints use, the most frequent first.
#[rustfmt::skip]
const METHODS: [&str; 50] = [
    "size", "get", "matmul", "double_value", "softmax", "unsqueeze", "tr", "transpose", "view", "narrow", "sum",
    "mean", "relu", "clamp_min", "max", "exp", "log", "sqrt", "abs", "square", "sum_dim_intlist", "mean_dim",
    "var_dim", "amax", "argmax", "log_softmax", "gather", "index_select", "linear", "masked_fill", "triu", "tril",
    "topk", "eq", "lt_tensor", "reshape", "squeeze_dim", "int64_value", "print", "numel", "kind", "to_kind",
    "to_device", "copy", "shallow_clone", "detach", "backward", "grad", "zero_grad", "set_requires_grad",
];
/// What makes a tensor.
const MAKERS: [&str; 10] = ["from_slice", "from", "zeros", "ones", "arange", "randn", "rand", "eye", "cat", "stack"];

/// Offers what may stand at the cursor, as Jupyter's reply has it.
pub fn complete(context: Option<&mut CommandContext>, asked: &CompleteRequest) -> CompleteReply {
    let cursor = code::byte_position(&asked.code, asked.cursor_pos);
    let looked_at = commands::looked_at(&asked.code, cursor);
    let found = context.and_then(|context| caught(|| context.completions(&looked_at, cursor).ok()).flatten());
    let none = Completions { start_offset: cursor, end_offset: cursor, ..Completions::default() };
    let mut found = found.unwrap_or(none);
    let before = asked.code.get(..found.start_offset).unwrap_or_default();
    found.completions.retain(|completion| !completion.code.starts_with(ALIAS));
    sort(&mut found, before);
    let cursor_start = code::character_position(&asked.code, found.start_offset);
    let cursor_end = code::character_position(&asked.code, found.end_offset);
    let types = found.completions.iter().map(
        |found| json!({ "text": found.code, "type": kind_of(&found.label), "start": cursor_start, "end": cursor_end }),
    );
    let metadata = Map::from_iter([("_jupyter_types_experimental".to_owned(), types.collect())]);
    let matches = found.completions.into_iter().map(|completion| completion.code).collect();
    CompleteReply { matches, cursor_start, cursor_end, metadata, ..CompleteReply::default() }
}

/// Says what stands at the cursor, as Jupyter's reply has it.
pub fn inspect(context: Option<&mut CommandContext>, asked: &InspectRequest) -> InspectReply {
    let cursor = code::name_position(&asked.code, code::byte_position(&asked.code, asked.cursor_pos));
    let looked_at = commands::without(&asked.code, |_| true);
    let found = context.and_then(|context| caught(|| context.hover_at(&looked_at, cursor).ok()).flatten());
    match found.filter(|(plain, _)| plain != "No documentation found") {
        Some((plain, html)) => {
            let data = vec![MediaType::Plain(plain), MediaType::Html(html)].into();
            InspectReply { found: true, data, ..InspectReply::default() }
        }
        None => InspectReply::default(),
    }
}

/// A rough kind for the icon beside a completion.
fn kind_of(label: &str) -> &'static str {
    if label.contains('(') || label.ends_with('!') { "function" } else { "instance" }
}

/// Puts completions into their order; those of a kind stay as they are among themselves. `before`: the code before them.
fn sort(found: &mut Completions, before: &str) {
    let first: &[&str] = match before {
        before if before.ends_with('.') => &METHODS,
        before if before.ends_with("::") => &MAKERS,
        _ => return,
    };
    found.completions.sort_by_key(|completion| place(&completion.code, first));
}

/// The rank of a name, and its place among those of this rank.
fn place(code: &str, first: &[&str]) -> (u8, usize) {
    let name = code.split(['(', '<', ':', '!', ' ']).next().unwrap_or(code);
    if let Some(at) = first.iter().position(|first| *first == name) {
        return (0, at);
    }
    let bare = name.strip_prefix("f_").unwrap_or(name);
    let rank = if bare.starts_with("internal_") || bare.starts_with('_') {
        4
    } else if bare.len() < name.len() {
        3
    } else if name.ends_with('_') || name.ends_with("_out") || name.starts_with("g_") {
        2
    } else {
        1
    };
    (rank, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_lab_uses_stands_before_the_others_and_twins_and_inner_methods_last() {
        let mut names = [
            "f_internal_copy_from(dst)",
            "internal_copy_from(dst)",
            "f_matmul(other)",
            "softmax_out(out)",
            "relu_()",
            "g_add(s)",
            "abs_max()",
            "zeros_like()",
            "matmul(other)",
            "size()",
            "softmax(dim, dtype)",
            "grad()",
        ];
        names.sort_by_key(|name| place(name, &METHODS));
        assert_eq!(
            names,
            [
                "size()",
                "matmul(other)",
                "softmax(dim, dtype)",
                "grad()",
                "abs_max()",
                "zeros_like()",
                "softmax_out(out)",
                "relu_()",
                "g_add(s)",
                "f_matmul(other)",
                "f_internal_copy_from(dst)",
                "internal_copy_from(dst)",
            ]
        );
    }
}
