//! The tokenizer in a GGUF file: the values named `tokenizer.ggml.…`.
//!
//! Of `tokens`, each has a `token_type`: 1 is a piece, 2 unknown, 3 special (`<|im_start|>`), 4 special too, but seen in texts,
//! 5 unused, 6 a byte (`<0x0A>`). Byte pairs (`gpt2`) have `merges`; SentencePiece (`llama`) has `scores`. How a text is cut
//! before is known by a name only, `pre`.
//!
//! Source: ggml's `docs/gguf.md`; for the names, llama.cpp's `llama-vocab.cpp`.

use super::pieces::{SeenBytes, byte_ids, byte_of, spaced};
use glasslab::tokenizer::{Alphabet, Merging, Piece, Prefix, Special, Split, Vocabulary};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Takes the tokenizer out of a file's values, or says why there is none.
pub(super) fn vocabulary(values: &mut Map<String, Value>) -> Result<Vocabulary, String> {
    let mut take = |name: &str| values.remove(&format!("tokenizer.ggml.{name}"));
    // These are long, and nobody else's.
    let (tokens, types) = (take("tokens"), take("token_type"));
    let (merges, scores) = (take("merges"), take("scores"));
    let says = |name: &str| values.get(&format!("tokenizer.ggml.{name}"));
    let tokens = texts("tokens", tokens.as_ref())?;
    let types = match types {
        None => vec![1; tokens.len()],
        Some(types) => list("token_type", &types, Value::as_i64)?,
    };
    if types.len() != tokens.len() {
        return Err(wrong(&format!("{} tokens and {} kinds of them", tokens.len(), types.len())));
    }
    let id = |name: &str| says(name).and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
    let is_there = |id: &u32| (*id as usize) < tokens.len();
    let is_special = |(_, kind): &(_, &i64)| matches!(kind, 3 | 4);
    let special = (0..).zip(&tokens).zip(&types).filter(is_special);
    let special = special.map(|((id, text), _)| Special { id, text: text.to_string() }).collect();
    let ends = ["eos_token_id", "eot_token_id", "eom_token_id"].into_iter().filter_map(id).filter(is_there);
    let mut ends: Vec<u32> = ends.collect();
    ends.dedup();
    let read = Vocabulary { special, ends, ..Vocabulary::default() };
    let model = says("model").and_then(Value::as_str).unwrap_or_default();
    let begin = id("bos_token_id").filter(is_there);
    let adds_begin = says("add_bos_token").and_then(Value::as_bool);
    match model {
        "gpt2" => {
            let pre = says("pre").and_then(Value::as_str).unwrap_or_default();
            let split = split(pre)?;
            let is_llama = split == Split::Llama3;
            Ok(Vocabulary {
                merging: Merging::Pairs(pairs(&tokens, &texts("merges", merges.as_ref())?)?),
                pieces: pieces_of_bytes(&tokens, &types),
                split,
                nfc: split == Split::Qwen2,
                whole_words: is_llama,
                begin: begin.filter(|_| adds_begin.unwrap_or(is_llama)),
                ..read
            })
        }
        "llama" => {
            let scores = scores.ok_or_else(|| wrong("no scores"))?;
            let scores = list("scores", &scores, |score| score.as_f64().map(|score| score as f32))?;
            let (pieces, bytes) = pieces_of_characters(&tokens, &types);
            let takes_space = says("add_space_prefix").and_then(Value::as_bool).unwrap_or(true);
            Ok(Vocabulary {
                alphabet: Alphabet::Characters { bytes },
                merging: Merging::Scores(scores),
                prefix: takes_space.then_some(Prefix { every: true, unless_there: false }),
                begin: begin.filter(|_| adds_begin.unwrap_or(true)),
                pieces,
                ..read
            })
        }
        "" => Err("has no tokenizer: take a whole model's file".to_owned()),
        other => {
            Err(format!("has a tokenizer of the kind `{other}`; glasslab knows gpt2 and llama: take another model"))
        }
    }
}

fn wrong(what: &str) -> String {
    format!("has a tokenizer with {what}: fetch the file again")
}

/// How a text is cut, by llama.cpp's name for it.
fn split(pre: &str) -> Result<Split, String> {
    match pre {
        "gpt-2" | "gpt2" => Ok(Split::Gpt2),
        "smollm" => Ok(Split::SmolLm),
        "llama-bpe" | "llama3" | "llama-v3" => Ok(Split::Llama3),
        "qwen2" => Ok(Split::Qwen2),
        "" => Err("does not say how its tokenizer cuts texts (`tokenizer.ggml.pre`): take a newer file".to_owned()),
        other => Err(format!(
            "has a tokenizer that cuts texts as `{other}`; glasslab knows gpt-2, smollm, llama-bpe and qwen2: take another model"
        )),
    }
}

fn pieces_of_bytes(tokens: &[&str], types: &[i64]) -> Vec<Piece> {
    let seen = SeenBytes::new();
    let piece = |(token, kind): (&&str, &i64)| if *kind == 1 { seen.piece(token) } else { Piece::from(*token) };
    tokens.iter().zip(types).map(piece).collect()
}

/// The pieces, and the ids of the 256 bytes.
fn pieces_of_characters(tokens: &[&str], types: &[i64]) -> (Vec<Piece>, Vec<u32>) {
    let mut of_bytes = HashMap::new();
    let piece = |((token, kind), id): ((&&str, &i64), u32)| match byte_of(token).filter(|_| matches!(kind, 1 | 6)) {
        Some(byte) => {
            of_bytes.entry(byte).or_insert(id);
            Piece(vec![byte])
        }
        None => spaced(token),
    };
    let pieces = tokens.iter().zip(types).zip(0..).map(piece).collect();
    (pieces, byte_ids(&of_bytes))
}

/// Pairs written as `Ġ t`, as ids.
fn pairs(tokens: &[&str], merges: &[&str]) -> Result<Vec<[u32; 2]>, String> {
    let ids: HashMap<&str, u32> = tokens.iter().copied().zip(0..).collect();
    let pair = |merge: &&str| {
        let (first, second) = merge.split_once(' ')?;
        Some([*ids.get(first)?, *ids.get(second)?])
    };
    let known =
        |merge| pair(merge).ok_or_else(|| wrong(&format!("the merge {merge:?}, which joins no two of its tokens")));
    merges.iter().map(known).collect()
}

fn texts<'a>(name: &str, value: Option<&'a Value>) -> Result<Vec<&'a str>, String> {
    list(name, value.ok_or_else(|| wrong(&format!("no {name}")))?, Value::as_str)
}

fn list<'a, T>(name: &str, value: &'a Value, read: impl Fn(&'a Value) -> Option<T>) -> Result<Vec<T>, String> {
    let list = value.as_array().and_then(|list| list.iter().map(read).collect());
    list.ok_or_else(|| wrong(&format!("{name} that are something else")))
}
