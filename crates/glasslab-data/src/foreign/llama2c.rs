//! The files of karpathy's llama2.c: `.bin` of version 0, and its tokenizer.
//!
//! ```text
//! model      7 numbers of 4 bytes: dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, max_seq_len
//!            (vocab_size below 0: there is an output.weight of its own), then float32:
//!            tok_embeddings (V, C) · attention_norm (L, C) · wq (L, C, C) · wk, wv (L, KV, C) · wo (L, C, C) · ffn_norm (L, C)
//!            w1 (L, M, C) · w2 (L, C, M) · w3 (L, M, C) · norm (C) · rotary cos and sin (T, D/2 each) · output (V, C)
//! tokenizer  the longest length, then for each id: score (float32), length (4 bytes), bytes
//! ```
//! Weights are named as llama2.c's `model.py` names them. All else is fixed there: rotary base 10,000, 1e-5 in the norms.
//!
//! Source: llama2.c's `export.py` (`legacy_export`), `tokenizer.py` and `run.c`.

use super::chat_template::Tokens;
use super::file::{damaged, map, wrong};
use super::pieces::{byte_ids, byte_of};
use super::weight::shared;
use super::{Config, Foreign, Form, Stored, Weight};
use crate::error::Result;
use glasslab::data::Bytes;
use glasslab::tokenizer::{Alphabet, Merging, Piece, Prefix, Vocabulary};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What the file begins with.
const HEADER: [&str; 7] = ["dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "max_seq_len"];
/// The sign of versions 1 and 2.
const NEWER: &[u8] = b"24ka";

/// Opens a model.
pub(super) fn open(path: &Path, bytes: &Bytes) -> Result<Foreign> {
    if bytes.starts_with(NEWER) {
        return Err(wrong(
            path,
            "is of a newer version of llama2.c, glasslab reads version 0: export it with `--version 0`",
        ));
    }
    let said = header(bytes).ok_or_else(|| {
        wrong(
            path,
            "is no model that glasslab knows: it reads GGUF files, Hugging Face folders (config.json, .safetensors, \
             tokenizer.json) and llama2.c's .bin files of version 0",
        )
    })?;
    let weights = weights(path, bytes, &said).map_err(|why| wrong(path, &why))?;
    let keys = HEADER.iter().zip(said).map(|(key, size)| (key.to_string(), Value::from(size.unsigned_abs())));
    Ok(Foreign {
        path: path.to_path_buf(),
        form: Form::Llama2c,
        family: "llama".to_owned(),
        config: Config::new(path, keys.collect::<Map<String, Value>>()),
        weights,
        vocabulary: vocabulary_beside(path, said[5].unsigned_abs() as usize),
        chat_template: None,
        tokens: Tokens::default(),
    })
}

/// The numbers that the file begins with, if they can be those of a model: a file of this kind has no sign to know it by.
fn header(bytes: &[u8]) -> Option<[i64; 7]> {
    let mut said = [0; 7];
    for (number, bytes) in said.iter_mut().zip(bytes.get(..4 * HEADER.len())?.chunks_exact(4)) {
        *number = i64::from(i32::from_le_bytes(bytes.try_into().ok()?));
    }
    let [dim, _, n_layers, n_heads, n_kv_heads, vocab_size, _] = said;
    let is_right = said.iter().enumerate().all(|(place, &number)| number > 0 || place == 5 && vocab_size != 0);
    let are_heads = is_right && dim % n_heads == 0 && n_heads % n_kv_heads == 0 && (dim / n_heads) % 2 == 0;
    (are_heads && n_layers < 10_000).then_some(said)
}

fn weights(path: &Path, bytes: &Bytes, said: &[i64; 7]) -> Result<Vec<Weight>, String> {
    let [dim, hidden, n_layers, n_heads, n_kv_heads, vocab_size, context] = *said;
    let (kv_dim, head_dim) = (dim / n_heads * n_kv_heads, dim / n_heads);
    let path = shared(path);
    let mut weights = Vec::new();
    let mut place = 4 * HEADER.len();
    let mut take = |name: String, shape: &[i64]| {
        let length = shape.iter().try_fold(4_usize, |length, &size| length.checked_mul(size as usize));
        let end = length.and_then(|length| place.checked_add(length)).filter(|&end| end <= bytes.len());
        let end = end.ok_or_else(|| damaged(&format!("it ends before {name} of shape {shape:?}")))?;
        let part = bytes.part(place..end);
        place = end;
        Weight::new(&path, name, shape.to_vec(), Stored::F32, part)
    };
    weights.push(take("tok_embeddings.weight".to_owned(), &[vocab_size.abs(), dim])?);
    for (name, shape) in [
        ("attention_norm", &[dim][..]),
        ("attention.wq", &[dim, dim]),
        ("attention.wk", &[kv_dim, dim]),
        ("attention.wv", &[kv_dim, dim]),
        ("attention.wo", &[dim, dim]),
        ("ffn_norm", &[dim]),
        ("feed_forward.w1", &[hidden, dim]),
        ("feed_forward.w2", &[dim, hidden]),
        ("feed_forward.w3", &[hidden, dim]),
    ] {
        for layer in 0..n_layers {
            weights.push(take(format!("layers.{layer}.{name}.weight"), shape)?);
        }
    }
    weights.push(take("norm.weight".to_owned(), &[dim])?);
    // What run.c reads instead of computing it.
    for table in ["cos", "sin"] {
        take(format!("the rotary {table}"), &[context, head_dim / 2])?;
    }
    if vocab_size < 0 {
        weights.push(take("output.weight".to_owned(), &[-vocab_size, dim])?);
    }
    match bytes.len() - place {
        0 => Ok(weights),
        more => Err(damaged(&format!("{more} bytes follow behind its last weight"))),
    }
}

/// The tokenizer beside a model, for so many ids.
fn vocabulary_beside(path: &Path, n_vocab: usize) -> Result<Vocabulary, String> {
    let names = [format!("tok{n_vocab}.bin"), "tokenizer.bin".to_owned()];
    let places: Vec<PathBuf> = names.iter().map(|name| path.with_file_name(name)).collect();
    let Some(place) = places.iter().find(|place| place.is_file()) else {
        return Err(format!("has no tokenizer beside it: put {} or {} there", names[0], names[1]));
    };
    let bytes = map(place).map_err(|error| format!("has a tokenizer beside it: {error}"))?;
    vocabulary(&bytes, n_vocab).map_err(|why| format!("has a tokenizer beside it, and {} {why}", place.display()))
}

/// Reads a tokenizer; the number of its ids is the model's.
fn vocabulary(bytes: &[u8], n_vocab: usize) -> Result<Vocabulary, String> {
    // The longest length comes first, which nobody needs here.
    let mut rest = bytes.get(4..).unwrap_or_default();
    let (mut pieces, mut scores, mut of_bytes) = (Vec::new(), Vec::new(), HashMap::new());
    for id in 0..n_vocab as u32 {
        let missing = || damaged(&format!("it ends before the piece of the id {id}, and the model has {n_vocab}"));
        let (score, length) = (rest.get(..4).ok_or_else(missing)?, rest.get(4..8).ok_or_else(missing)?);
        let number = |bytes: &[u8]| bytes.try_into().map(u32::from_le_bytes).unwrap_or_default();
        scores.push(f32::from_bits(number(score)));
        let end = 8_usize.saturating_add(number(length) as usize);
        let piece = rest.get(8..end).ok_or_else(missing)?;
        rest = &rest[end..];
        let byte = std::str::from_utf8(piece).ok().and_then(byte_of);
        of_bytes.extend(byte.map(|byte| (byte, id)));
        pieces.push(byte.map_or_else(|| Piece(piece.to_vec()), |byte| Piece(vec![byte])));
    }
    if !rest.is_empty() {
        return Err(damaged(&format!("{} bytes follow behind its last piece", rest.len())));
    }
    // run.c knows these by their numbers; the file writes the latter two between line breaks.
    for (piece, name) in pieces.iter_mut().zip(["<unk>", "<s>", "</s>"]) {
        *piece = Piece::from(name);
    }
    Ok(Vocabulary {
        alphabet: Alphabet::Characters { bytes: byte_ids(&of_bytes) },
        merging: Merging::Scores(scores),
        prefix: Some(Prefix { every: false, unless_there: false }),
        begin: (n_vocab > 1).then_some(1),
        // A story ends where the next one begins.
        ends: (1..3).filter(|&id| id < n_vocab as u32).collect(),
        pieces,
        ..Vocabulary::default()
    })
}
