//! The tokenizer of a Hugging Face folder: `tokenizer.json`.
//!
//! It tells a pipeline: a normalizer, a pre-tokenizer, a model, a post-processor. What the models that glasslab knows say there is
//! recognised as a whole; anything else is refused by what it says, because a tokenizer that is nearly right gives wrong answers.
//!
//! Source: the `tokenizers` library, version 0.22.

use super::file::damaged;
use super::pieces::{SeenBytes, byte_ids, byte_of, spaced};
use glasslab::tokenizer::{Alphabet, Merging, Piece, Prefix, Special, Split, Vocabulary};
use serde_json::Value;
use std::collections::HashMap;

pub(super) const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
pub(super) const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Reads a tokenizer, or says why it can't be used, as the end of a sentence that begins with the folder.
pub(super) fn vocabulary(text: &str) -> Result<Vocabulary, String> {
    let said: Value = serde_json::from_str(text)
        .map_err(|error| format!("has a tokenizer.json that {}", damaged(&error.to_string())))?;
    let model = &said["model"];
    if model.get("type").is_some_and(|kind| kind != "BPE") {
        return Err(unknown("model", &model["type"]));
    }
    for setting in ["continuing_subword_prefix", "end_of_word_suffix"] {
        if model[setting].as_str().is_some_and(|text| !text.is_empty()) {
            return Err(unknown(setting, &model[setting]));
        }
    }
    let ids = model["vocab"].as_object().ok_or_else(|| wrong("no vocab"))?;
    let ids: HashMap<&str, u32> = ids
        .iter()
        .map(|(token, id)| Some((&token[..], whole(id)?)))
        .collect::<Option<_>>()
        .ok_or_else(|| wrong("ids that are none"))?;
    let added = said["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
    let added = added.iter().map(Added::read).collect::<Result<Vec<Added<'_>>, String>>()?;

    let steps = Steps::read(&said["normalizer"], &said["pre_tokenizer"])?;
    let is_spaced = !steps.of_bytes;
    let has_bytes = model["byte_fallback"] == true;
    let n_vocab = ids.values().chain(added.iter().map(|added| &added.id)).max().map_or(0, |id| *id as usize + 1);
    // Some numbers are left out of a vocabulary; a damaged one would be anything.
    if n_vocab > 2 * (ids.len() + added.len()) + 1024 {
        return Err(wrong(&format!("the id {} among {} tokens", n_vocab - 1, ids.len())));
    }
    let seen = SeenBytes::new();
    let mut pieces = vec![Piece::default(); n_vocab];
    let mut of_bytes = HashMap::new();
    for (token, &id) in &ids {
        pieces[id as usize] = match byte_of(token).filter(|_| is_spaced && has_bytes) {
            Some(byte) => {
                of_bytes.insert(byte, id);
                Piece(vec![byte])
            }
            None if is_spaced => spaced(token),
            None => seen.piece(token),
        };
    }
    for Added { id, text } in &added {
        pieces[*id as usize] = if is_spaced { spaced(text) } else { Piece::from(*text) };
    }
    let alphabet = if is_spaced { Alphabet::Characters { bytes: byte_ids(&of_bytes) } } else { Alphabet::Bytes };
    Ok(Vocabulary {
        pieces,
        alphabet,
        merging: Merging::Pairs(pairs(&model["merges"], &ids)?),
        split: steps.split,
        nfc: steps.nfc,
        whole_words: model["ignore_merges"] == true,
        prefix: steps.prefix,
        special: added.into_iter().map(|Added { id, text }| Special { id, text: text.to_owned() }).collect(),
        begin: begin(&said["post_processor"]).filter(|&id| (id as usize) < n_vocab),
        ends: Vec::new(),
        chat: None,
    })
}

fn wrong(what: &str) -> String {
    format!("has a tokenizer.json with {what}: fetch it again")
}

fn unknown(what: &str, value: &Value) -> String {
    let value: String = value.to_string().chars().take(300).collect();
    format!("has a tokenizer whose {what} glasslab does not know ({value}): take another model")
}

fn whole(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}

/// A token that is looked for before a text is cut.
struct Added<'a> {
    id: u32,
    text: &'a str,
}

impl Added<'_> {
    fn read(said: &Value) -> Result<Added<'_>, String> {
        let (Some(id), Some(text)) = (whole(&said["id"]), said["content"].as_str()) else {
            return Err(wrong("an added token without id or content"));
        };
        match ["single_word", "lstrip", "rstrip"].into_iter().find(|setting| said[*setting] == true) {
            Some(setting) => Err(unknown(&format!("token {text} is looked for with `{setting}`, which"), said)),
            None => Ok(Added { id, text }),
        }
    }
}

/// What is done with a text before it is merged.
#[derive(Default)]
struct Steps {
    of_bytes: bool,
    split: Split,
    nfc: bool,
    prefix: Option<Prefix>,
}

impl Steps {
    fn read(normalizer: &Value, pre_tokenizer: &Value) -> Result<Steps, String> {
        let mut steps = Steps::default();
        for step in flat(normalizer, "normalizers") {
            match step["type"].as_str() {
                Some("NFC") => steps.nfc = true,
                Some("Prepend") if step["prepend"] == "▁" => {
                    steps.prefix = Some(Prefix { every: true, unless_there: false })
                }
                Some("Replace") if step["pattern"]["String"] == " " && step["content"] == "▁" => {}
                _ => return Err(unknown("normalizer", normalizer)),
            }
        }
        let cuts = flat(pre_tokenizer, "pretokenizers");
        let is_cut = |step: &Value, regex: &str| {
            step["pattern"]["Regex"] == regex && step["behavior"] == "Isolated" && step["invert"] != true
        };
        let bytes =
            |step: &Value, with_regex: bool| step["type"] == "ByteLevel" && (step["use_regex"] != false) == with_regex;
        steps.split = match &cuts[..] {
            [] => Split::Whole,
            // There are no spaces any more.
            [spaces] if spaces["type"] == "Split" && spaces["pattern"]["String"] == " " => Split::Whole,
            [spaces] if spaces["type"] == "Metaspace" && spaces["split"] == false && spaces["replacement"] == "▁" => {
                let every = match spaces["prepend_scheme"].as_str() {
                    Some("always") => Some(true),
                    Some("first") => Some(false),
                    Some("never") => None,
                    _ => return Err(unknown("pre-tokenizer", pre_tokenizer)),
                };
                steps.prefix = every.map(|every| Prefix { every, unless_there: true }).or(steps.prefix);
                Split::Whole
            }
            [words] if bytes(words, true) => Split::Gpt2,
            [digits, words]
                if digits["type"] == "Digits" && digits["individual_digits"] == true && bytes(words, true) =>
            {
                Split::SmolLm
            }
            [split, words] if is_cut(split, LLAMA3) && bytes(words, false) => Split::Llama3,
            [split, words] if is_cut(split, QWEN2) && bytes(words, false) => Split::Qwen2,
            _ => return Err(unknown("pre-tokenizer", pre_tokenizer)),
        };
        if let Some(last) = cuts.last().filter(|last| last["type"] == "ByteLevel") {
            steps.of_bytes = true;
            if last["add_prefix_space"] == true {
                return Err(unknown("pre-tokenizer", pre_tokenizer));
            }
        }
        Ok(steps)
    }
}

/// The steps of a sequence, or the one step that there is.
fn flat<'a>(value: &'a Value, name: &str) -> Vec<&'a Value> {
    match value {
        Value::Null => Vec::new(),
        value if value["type"] == "Sequence" => {
            value[name].as_array().into_iter().flatten().flat_map(|step| flat(step, name)).collect()
        }
        value => vec![value],
    }
}

/// Pairs as ids: written as `Ġ t`, or as two texts.
fn pairs(merges: &Value, ids: &HashMap<&str, u32>) -> Result<Vec<[u32; 2]>, String> {
    let pair = |merge: &Value| {
        let (first, second) = match merge {
            Value::String(both) => both.split_once(' ')?,
            both => (both[0].as_str()?, both[1].as_str()?),
        };
        Some([*ids.get(first)?, *ids.get(second)?])
    };
    let known =
        |merge| pair(merge).ok_or_else(|| wrong(&format!("the merge {merge}, which joins no two of its tokens")));
    merges.as_array().ok_or_else(|| wrong("no merges"))?.iter().map(known).collect()
}

/// The id that is put before every text.
fn begin(post_processor: &Value) -> Option<u32> {
    flat(post_processor, "processors").into_iter().find_map(|step| {
        let token = step["single"].get(0)?["SpecialToken"]["id"].as_str()?;
        whole(&step["special_tokens"][token]["ids"][0])
    })
}
