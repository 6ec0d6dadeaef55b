//! GGUF, llama.cpp's file: key-values, then tensors, in one file.
//!
//! ```text
//! "GGUF" · version (2 or 3) · number of tensors · number of key-values
//! key-values   key, kind, value                   a text is its length in 8 bytes, and UTF-8
//! tensors      name, sizes, kind, offset          the sizes in the opposite order of PyTorch's
//! data         from the next multiple of `general.alignment` (32) on
//! ```
//! Source: ggml's `docs/gguf.md`.

use super::chat_template::Tokens;
use super::file::{check_places, damaged, wrong};
use super::quant::Block;
use super::weight::shared;
use super::{Config, Foreign, Form, Stored, Weight, gguf_tokenizer};
use crate::error::Result;
use glasslab::data::Bytes;
use serde_json::{Map, Number, Value};
use std::collections::HashSet;
use std::path::Path;

/// What the file begins with.
pub(super) const MAGIC: &[u8] = b"GGUF";
/// So many values all lists of a file may have: the largest tokenizers have 1.5 million.
const MOST_VALUES: u64 = 8_000_000;
/// Lists in lists.
const DEEPEST: usize = 4;
/// The most sizes of a tensor.
const MOST_SIZES: u32 = 4;

/// Opens a file.
pub(super) fn open(path: &Path, bytes: &Bytes) -> Result<Foreign> {
    read(path, bytes).map_err(|why| wrong(path, &why))
}

fn read(path: &Path, bytes: &Bytes) -> Result<Foreign, String> {
    let mut file = Reader { bytes, place: MAGIC.len(), values: 0 };
    match file.u32()? {
        2 | 3 => {}
        1 => return Err("is GGUF of version 1, which nothing writes any more: take a newer file".to_owned()),
        swapped if swapped.swap_bytes() < 16 => {
            return Err("is written for machines that keep the highest byte first: take the usual file".to_owned());
        }
        newer => {
            return Err(format!("is GGUF of version {newer}, glasslab reads versions 2 and 3: take an older file"));
        }
    }
    let (n_tensors, n_values) = (file.u64()?, file.u64()?);
    let mut values = Map::new();
    for _ in 0..n_values {
        let key = file.text()?;
        let kind = file.u32()?;
        values.insert(key, file.value(kind, 0)?);
    }
    let weights = weights(path, bytes, &mut file, n_tensors, &values)?;
    let family = values.get("general.architecture").and_then(Value::as_str);
    let family =
        family.ok_or_else(|| "does not say `general.architecture`: is it the file of a language model?".to_owned())?;
    let family = family.to_owned();
    let chat_template = match values.remove("tokenizer.chat_template") {
        Some(Value::String(template)) => Some(template),
        _ => None,
    };
    let id = |name: &str| values.get(&format!("tokenizer.ggml.{name}")).and_then(Value::as_u64).map(|id| id as u32);
    let [begin, end] = ["bos_token_id", "eos_token_id"].map(id);
    let vocabulary = gguf_tokenizer::vocabulary(&mut values);
    let tokens = vocabulary.as_ref().map(|vocabulary| Tokens::of(vocabulary, begin, end)).unwrap_or_default();
    let form = Form::Gguf;
    let config = Config::new(path, values);
    Ok(Foreign { path: path.to_path_buf(), form, family, config, weights, vocabulary, chat_template, tokens })
}

fn weights(
    path: &Path,
    bytes: &Bytes,
    file: &mut Reader<'_>,
    n_tensors: u64,
    values: &Map<String, Value>,
) -> Result<Vec<Weight>, String> {
    let mut told = Vec::new();
    let mut names = HashSet::new();
    for _ in 0..n_tensors {
        let name = file.text()?;
        let n_sizes = file.u32()?;
        if n_sizes > MOST_SIZES {
            return Err(damaged(&format!("{name} has {n_sizes} dimensions")));
        }
        let mut shape = (0..n_sizes).map(|_| file.u64()).collect::<Result<Vec<u64>, String>>()?;
        shape.reverse();
        let stored = stored(file.u32()?).map_err(|why| format!("keeps {name} {why}"))?;
        let length =
            length(&shape, stored).ok_or_else(|| damaged(&format!("{name} can't have the shape {shape:?}")))?;
        let begin = file.u64()?;
        if !names.insert(name.clone()) {
            return Err(damaged(&format!("two tensors are named {name}")));
        }
        told.push((name, shape, stored, begin, length));
    }
    let alignment = values.get("general.alignment").map_or(Some(32), Value::as_u64);
    let alignment = alignment.filter(|alignment| alignment.is_power_of_two() && *alignment <= 1 << 20);
    let alignment = alignment.ok_or_else(|| damaged("`general.alignment` is no power of two"))?;
    let data = (file.place as u64).next_multiple_of(alignment);
    check_places(told.iter().map(|(name, _, _, begin, length)| (*begin, *length, &name[..])).collect())?;
    let path = shared(path);
    let weight = |(name, shape, stored, begin, length): (String, Vec<u64>, _, u64, u64)| {
        let begin = data.checked_add(begin);
        let end = begin.and_then(|begin| begin.checked_add(length)).filter(|&end| end <= bytes.len() as u64);
        let (Some(begin), Some(end)) = (begin, end) else {
            return Err(damaged(&format!("it ends before the numbers of {name}")));
        };
        let shape = shape.into_iter().map(|size| size as i64).collect();
        Weight::new(&path, name, shape, stored, bytes.part(begin as usize..end as usize))
    };
    told.into_iter().map(weight).collect()
}

/// How many bytes a tensor has: whole blocks in every row.
fn length(shape: &[u64], stored: Stored) -> Option<u64> {
    let (numbers, bytes) = stored.block()?;
    let (numbers, bytes) = (numbers as u64, bytes as u64);
    let count = shape.iter().try_fold(1_u64, |count, &size| count.checked_mul(size))?;
    let is_whole = shape.last().is_none_or(|row| row % numbers == 0);
    (is_whole && count > 0 && count < i64::MAX as u64).then_some(count / numbers)?.checked_mul(bytes)
}

/// How ggml's kinds of numbers are kept.
fn stored(kind: u32) -> Result<Stored, String> {
    let name = match kind {
        0 => return Ok(Stored::F32),
        1 => return Ok(Stored::F16),
        2 => return Ok(Stored::Blocks(Block::Q4_0)),
        3 => return Ok(Stored::Blocks(Block::Q4_1)),
        6 => return Ok(Stored::Blocks(Block::Q5_0)),
        7 => return Ok(Stored::Blocks(Block::Q5_1)),
        8 => return Ok(Stored::Blocks(Block::Q8_0)),
        12 => return Ok(Stored::Blocks(Block::Q4_K)),
        13 => return Ok(Stored::Blocks(Block::Q5_K)),
        14 => return Ok(Stored::Blocks(Block::Q6_K)),
        28 => return Ok(Stored::F64),
        30 => return Ok(Stored::BF16),
        10 => "Q2_K",
        11 => "Q3_K",
        15 => "Q8_K",
        16..=19 | 21..=22 | 29 => "IQ1, IQ2 or IQ3",
        20 | 23 => "IQ4",
        24..=27 => "whole numbers",
        34 | 35 => "TQ1 or TQ2",
        39 => "MXFP4",
        _ => {
            return Err(format!(
                "in a way that glasslab does not know (kind {kind}): take a file of F16, Q8_0 or Q4_K_M"
            ));
        }
    };
    Err(format!("as {name}, which glasslab does not read: take a file of F16, Q8_0, Q4_K_M or another of its kinds"))
}

/// What is left of a file, read from the front.
struct Reader<'a> {
    bytes: &'a [u8],
    place: usize,
    /// How many values lists had so far.
    values: u64,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8], String> {
        let end = usize::try_from(count).ok().and_then(|count| self.place.checked_add(count));
        let taken = end.and_then(|end| self.bytes.get(self.place..end)).ok_or_else(|| {
            damaged(&format!("it ends at byte {}, where {count} more are expected", self.bytes.len()))
        })?;
        self.place += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        Ok(self.take(N as u64)?.try_into().unwrap_or([0; N]))
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<String, String> {
        let length = self.u64()?;
        let place = self.place;
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes).map_err(|_| damaged(&format!("the text at byte {place} is no UTF-8")))?;
        Ok(text.to_owned())
    }

    fn value(&mut self, kind: u32, depth: usize) -> Result<Value, String> {
        // NaN is no number that anybody means.
        let float = |number: f64| Number::from_f64(number).map_or(Value::Null, Value::Number);
        Ok(match kind {
            0 => Value::from(self.array::<1>()?[0]),
            1 => Value::from(i8::from_le_bytes(self.array()?)),
            2 => Value::from(u16::from_le_bytes(self.array()?)),
            3 => Value::from(i16::from_le_bytes(self.array()?)),
            4 => Value::from(self.u32()?),
            5 => Value::from(i32::from_le_bytes(self.array()?)),
            6 => float(f64::from(f32::from_le_bytes(self.array()?))),
            7 => Value::from(self.array::<1>()?[0] != 0),
            8 => Value::from(self.text()?),
            9 => self.list(depth)?,
            10 => Value::from(self.u64()?),
            11 => Value::from(i64::from_le_bytes(self.array()?)),
            12 => float(f64::from_le_bytes(self.array()?)),
            _ => return Err(damaged(&format!("there is no kind {kind} of values"))),
        })
    }

    fn list(&mut self, depth: usize) -> Result<Value, String> {
        let (kind, count) = (self.u32()?, self.u64()?);
        self.values = self.values.saturating_add(count);
        if self.values > MOST_VALUES || depth == DEEPEST {
            return Err(damaged(&format!("it has a list of {count} values")));
        }
        Ok(Value::Array((0..count).map(|_| self.value(kind, depth + 1)).collect::<Result<_, String>>()?))
    }
}
