//! Safetensors: tensors in a file, or in several with an index.
//!
//! ```text
//! length of the header in 8 bytes · header in JSON: name → dtype, shape, where its bytes lie · bytes
//! ```
//! Source: the description of the format in the README of `safetensors`.

use super::file::{check_places, damaged, map, read_text, wrong};
use super::weight::shared;
use super::{Stored, Weight};
use crate::error::Result;
use glasslab::data::Bytes;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::Path;

/// The longest header that the format allows.
const LONGEST: u64 = 100_000_000;

/// The weights of a folder: those of `model.safetensors`, or of all files that `model.safetensors.index.json` names.
/// Nothing, if there is neither.
pub(super) fn of_folder(folder: &Path) -> Result<Option<Vec<Weight>>> {
    let index = folder.join("model.safetensors.index.json");
    let Some(text) = read_text(&index)? else {
        let file = folder.join("model.safetensors");
        return if file.is_file() { read(&file).map(Some) } else { Ok(None) };
    };
    let said: Value = serde_json::from_str(&text).map_err(|error| wrong(&index, &damaged(&error.to_string())))?;
    let places = said["weight_map"].as_object().ok_or_else(|| wrong(&index, &damaged("it has no weight_map")))?;
    let mut files = BTreeSet::new();
    for (name, file) in places {
        // A name, and no way out of the folder.
        let file = file.as_str().filter(|file| !file.contains(['/', '\\']) && file.ends_with(".safetensors"));
        let file = file.ok_or_else(|| wrong(&index, &damaged(&format!("it names no file beside it for {name}"))))?;
        files.insert(file);
    }
    let mut weights = Vec::new();
    for file in files {
        weights.extend(read(&folder.join(file))?);
    }
    let mut there = BTreeSet::new();
    if let Some(twice) = weights.iter().find(|weight| !there.insert(&weight.name[..])) {
        return Err(wrong(&index, &damaged(&format!("{} is in two of its files", twice.name))));
    }
    match places.keys().find(|name| !there.contains(&name[..])) {
        Some(name) => Err(wrong(&index, &damaged(&format!("{name} is in none of its files")))),
        None => Ok(Some(weights)),
    }
}

/// The weights of one file, in their order in it.
fn read(path: &Path) -> Result<Vec<Weight>> {
    weights(path, &map(path)?).map_err(|why| wrong(path, &why))
}

fn weights(path: &Path, bytes: &Bytes) -> Result<Vec<Weight>, String> {
    let length = bytes.get(..8).and_then(|bytes| bytes.try_into().ok()).map_or(u64::MAX, u64::from_le_bytes);
    let header = (length <= LONGEST).then(|| bytes.get(8..8 + length as usize)).flatten();
    let header = header.ok_or_else(|| damaged("it ends before its header does"))?;
    let header: Map<String, Value> = serde_json::from_slice(header).map_err(|error| damaged(&error.to_string()))?;
    let data = bytes.part(8 + length as usize..bytes.len());
    let mut told = Vec::new();
    for (name, said) in header.into_iter().filter(|(name, _)| name != "__metadata__") {
        let sizes: Option<Vec<i64>> =
            said["shape"].as_array().and_then(|sizes| sizes.iter().map(Value::as_i64).collect());
        let place = |at: usize| said["data_offsets"][at].as_u64();
        let (Some(shape), Some(begin), Some(end)) = (sizes, place(0), place(1)) else {
            return Err(damaged(&format!("it does not say where {name} is")));
        };
        if begin > end || end > data.len() as u64 {
            return Err(damaged(&format!("{name} lies outside of it")));
        }
        let stored = stored(said["dtype"].as_str().unwrap_or_default());
        told.push((begin, end, name, shape, stored));
    }
    told.sort_by_key(|(begin, end, ..)| (*begin, *end));
    check_places(told.iter().map(|(begin, end, name, ..)| (*begin, end - begin, &name[..])).collect())?;
    let path = shared(path);
    let weight = |(begin, end, name, shape, stored): (u64, u64, String, Vec<i64>, Stored)| {
        Weight::new(&path, name, shape, stored, data.part(begin as usize..end as usize))
    };
    told.into_iter().map(weight).collect()
}

fn stored(dtype: &str) -> Stored {
    match dtype {
        "F32" => Stored::F32,
        "F16" => Stored::F16,
        "BF16" => Stored::BF16,
        "F64" => Stored::F64,
        _ => Stored::Other,
    }
}
