//! llama2.c's `.bin` of version 0, and its tokenizer beside it: what [`llama2c`](super::super::llama2c) reads, written.

use super::file::{write_numbers, write_whole};
use super::plan::Plan;
use super::vocabulary::{scores, stand_ins};
use super::weights::{by_name, in_order};
use crate::error::{Error, Result};
use glasslab::model::TransformerConfig;
use glasslab::tokenizer::{Alphabet, Prefix, Split, Vocabulary};
use std::io::Write;
use std::path::Path;
use tch::Tensor;

pub(super) fn write(path: &Path, plan: &Plan, vocabulary: &Vocabulary, weights: &[(String, Tensor)]) -> Result<()> {
    let TransformerConfig { n_vocab, context_len, emb_dim, n_layers, n_heads, n_kv_heads, head_dim, n_hidden, .. } =
        plan.config;
    check(vocabulary).map_err(Error::Wrong)?;
    write_whole(&path.with_file_name(format!("tok{n_vocab}.bin")), |file| write_tokenizer(file, vocabulary))?;
    let own_head = by_name(weights, plan.names.head);
    let sizes = [
        emb_dim,
        n_hidden,
        n_layers,
        n_heads,
        n_kv_heads,
        if own_head.is_some() { -n_vocab } else { n_vocab },
        context_len,
    ];
    write_whole(path, |file| {
        for size in sizes {
            file.write_all(&(size as i32).to_le_bytes())?;
        }
        let mut put = |name: &str| by_name(weights, name).map_or(Ok(()), |tensor| write_numbers(tensor, file));
        put(plan.names.embedding)?;
        for part in in_order(plan.names) {
            for layer in 0..n_layers {
                put(&plan.names.in_block(layer, part))?;
            }
        }
        put(plan.names.final_norm)?;
        // The angles, which newer versions of run.c compute.
        for part in [f64::cos, f64::sin] {
            for place in 0..context_len {
                for pair in 0..head_dim / 2 {
                    let angle = place as f64 * plan.config.speeds.of_pair(pair, head_dim);
                    file.write_all(&(part(angle) as f32).to_le_bytes())?;
                }
            }
        }
        own_head.map_or(Ok(()), |head| write_numbers(head, file))
    })
}

/// llama2.c knows some ids by their numbers: 0 unknown, 1 before every text, 2 its end, then the 256 bytes.
fn check(vocabulary: &Vocabulary) -> std::result::Result<(), String> {
    let wrong = |what: &str| {
        Err(format!(
            "llama2.c has nothing for a tokenizer {what}: its own are SentencePiece's, with <s> before every text and a piece for \
             each byte; write the model as hf or gguf"
        ))
    };
    match &vocabulary.alphabet {
        Alphabet::Bytes => wrong("that merges bytes"),
        Alphabet::Characters { bytes } if bytes.is_empty() => wrong("of characters alone"),
        Alphabet::Characters { bytes } if !bytes.iter().copied().eq(3..259) => {
            wrong("whose bytes have other ids than 3 to 258")
        }
        _ if vocabulary.begin != Some(1) => wrong("that does not put the id 1 before every text"),
        _ if !matches!(vocabulary.prefix, Some(Prefix { unless_there: false, .. })) => {
            wrong("that puts no space before a text")
        }
        _ if vocabulary.split != Split::Whole => wrong("that cuts texts"),
        _ => Ok(()),
    }
}

fn write_tokenizer(file: &mut impl Write, vocabulary: &Vocabulary) -> std::io::Result<()> {
    let stand_ins = stand_ins(vocabulary);
    let piece = |id: u32| match (id, stand_ins.get(&id)) {
        (1, _) => b"\n<s>\n".to_vec(),
        (2, _) => b"\n</s>\n".to_vec(),
        (_, Some(byte)) => format!("<0x{byte:02X}>").into_bytes(),
        _ => vocabulary.pieces[id as usize].0.clone(),
    };
    let pieces: Vec<Vec<u8>> = (0..vocabulary.pieces.len() as u32).map(piece).collect();
    let longest = pieces.iter().map(Vec::len).max().unwrap_or(0);
    file.write_all(&(longest as u32).to_le_bytes())?;
    for (piece, score) in pieces.iter().zip(scores(vocabulary)) {
        file.write_all(&score.to_le_bytes())?;
        file.write_all(&(piece.len() as u32).to_le_bytes())?;
        file.write_all(piece)?;
    }
    Ok(())
}
