//! A Hugging Face folder: `config.json`, `model.safetensors` or its shards, `tokenizer.json`, and what else tells of them.

use super::chat_template::Tokens;
use super::file::{damaged, pickle, read_text, wrong};
use super::{Config, Foreign, Form, safetensors, tokenizer_json};
use crate::error::Result;
use glasslab::tokenizer::Vocabulary;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Opens a folder.
pub(super) fn open(folder: &Path) -> Result<Foreign> {
    let path = folder.join("config.json");
    let said = object(&path)?.ok_or_else(|| {
        wrong(folder, "has no config.json: give the folder of a model, as `save_pretrained` or the hub makes it")
    })?;
    let Some(weights) = safetensors::of_folder(folder)? else {
        let entries = std::fs::read_dir(folder).map_err(crate::Error::file(folder))?;
        let pickles = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        let mut pickles =
            pickles.filter(|path| path.extension().is_some_and(|end| end == "bin" || end == "pt" || end == "pth"));
        return Err(match pickles.next() {
            Some(file) => pickle(&file),
            None => wrong(folder, "has no model.safetensors: fetch it beside config.json"),
        });
    };
    let family = said.get("model_type").and_then(Value::as_str);
    let family = family.ok_or_else(|| wrong(&path, "does not say `model_type`: fetch it again"))?.to_owned();
    let told = object(&folder.join("tokenizer_config.json"))?.unwrap_or_default();
    let generation = object(&folder.join("generation_config.json"))?.unwrap_or_default();
    let config = Config::new(&path, said);
    let vocabulary = match read_text(&folder.join("tokenizer.json"))? {
        None => of_two_files(folder, &family)?,
        Some(text) => tokenizer_json::vocabulary(&text),
    };
    let vocabulary = vocabulary.map(|mut vocabulary| {
        let n_vocab = vocabulary.pieces.len();
        let by_id = [generation.get("eos_token_id"), config.get("eos_token_id")].into_iter().flatten().flat_map(ids);
        let by_name = text_of(&told, "eos_token");
        let by_name = by_name.and_then(|name| vocabulary.pieces.iter().position(|piece| piece.0 == name.as_bytes()));
        let all = by_id.chain(by_name.map(|id| id as u32)).filter(|&id| (id as usize) < n_vocab);
        let mut ends: Vec<u32> = all.collect();
        ends.sort_unstable();
        ends.dedup();
        vocabulary.ends = ends;
        vocabulary
    });
    let chat_template = match read_text(&folder.join("chat_template.jinja"))? {
        None => template(&told),
        there => there,
    };
    let named = vocabulary.as_ref().map(|vocabulary| Tokens::of(vocabulary, None, None)).unwrap_or_default();
    let tokens = Tokens {
        begin: text_of(&told, "bos_token").map_or(named.begin, str::to_owned),
        end: text_of(&told, "eos_token").map_or(named.end, str::to_owned),
    };
    let form = Form::HuggingFace;
    Ok(Foreign { path: folder.to_path_buf(), form, family, config, weights, vocabulary, chat_template, tokens })
}

/// The tokenizer of an older folder, in two files: `vocab.json` has the ids, `merges.txt` the pairs, a line each. They do not say how
/// a text is cut, so they are those of GPT-2, whose cut is known: TinyStories' models have them.
fn of_two_files(folder: &Path, family: &str) -> Result<std::result::Result<Vocabulary, String>> {
    let (ids, merges) = (object(&folder.join("vocab.json"))?, read_text(&folder.join("merges.txt"))?);
    let (Some(ids), Some(merges)) = (ids, merges) else {
        return Ok(Err("has no tokenizer.json: fetch it beside config.json, or write it in Python with \
                       `AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)`"
            .to_owned()));
    };
    if !matches!(family, "gpt2" | "gpt_neo") {
        return Ok(Err(format!(
            "has vocab.json and merges.txt, which do not say how a {family} cuts texts: write its tokenizer.json in Python with \
             `AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)`"
        )));
    }
    let merges: Vec<&str> = merges.lines().filter(|line| !line.is_empty() && !line.starts_with("#version")).collect();
    let end = "<|endoftext|>";
    let added = ids.get(end).map(|id| json!({ "id": id, "content": end }));
    let said = json!({
        "model": { "type": "BPE", "vocab": ids, "merges": merges }, "added_tokens": added.into_iter().collect::<Vec<Value>>(),
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false },
    });
    Ok(tokenizer_json::vocabulary(&said.to_string()))
}

/// A file of key-values, if it is there.
fn object(path: &Path) -> Result<Option<Map<String, Value>>> {
    let Some(text) = read_text(path)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| wrong(path, &damaged(&error.to_string())))
}

/// One id, or several.
fn ids(value: &Value) -> Vec<u32> {
    let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    values.iter().filter_map(|id| u32::try_from(id.as_u64()?).ok()).collect()
}

/// A token is a text, or has one.
fn text_of<'a>(told: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    let value = told.get(key)?;
    value.as_str().or_else(|| value["content"].as_str())
}

/// The template of `tokenizer_config.json`: one, or the one of several that is called `default`.
fn template(told: &Map<String, Value>) -> Option<String> {
    let value = told.get("chat_template")?;
    let of_name = |template: &&Value| template["name"] == "default";
    let several = value.as_array().and_then(|several| several.iter().find(of_name)).map(|one| &one["template"]);
    several.unwrap_or(value).as_str().map(str::to_owned)
}
