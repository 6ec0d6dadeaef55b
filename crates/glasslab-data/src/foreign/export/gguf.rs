//! GGUF: what [`gguf`](super::super::gguf) reads, written; the tokenizer too.

use super::super::chat_template;
use super::super::gguf::MAGIC;
use super::super::names::keys;
use super::super::pieces::SeenBytes;
use super::file::{write_numbers, write_whole};
use super::plan::Plan;
use super::vocabulary::{pairs, scores, signed, stand_ins};
use crate::error::{Error, Result};
use glasslab::model::Positions;
use glasslab::model::rotary::{Slowed, Speeds};
use glasslab::tokenizer::{Alphabet, Prefix, Split, Vocabulary};
use std::io::Write;
use std::path::Path;
use tch::Tensor;

/// Where each tensor begins.
const ALIGNMENT: u64 = 32;

pub(super) fn write(path: &Path, plan: &Plan, vocabulary: &Vocabulary, weights: &[(String, Tensor)]) -> Result<()> {
    let mut values = Values::default();
    settings(&mut values, plan);
    tokenizer(&mut values, vocabulary).map_err(Error::Wrong)?;
    let factors = factors(plan.config.speeds, plan.config.head_dim);
    let factors = factors.map(|factors| ("rope_freqs.weight".to_owned(), Tensor::from_slice(&factors)));
    let weights: Vec<&(String, Tensor)> = weights.iter().chain(&factors).collect();
    write_whole(path, |file| {
        let (mut places, mut place) = (Vec::new(), 0_u64);
        for (name, tensor) in &weights {
            places.extend(text(name));
            places.extend((tensor.dim() as u32).to_le_bytes());
            // The sizes in the opposite order of PyTorch's; kind 0 is float32.
            tensor.size().iter().rev().for_each(|size| places.extend(size.to_le_bytes()));
            places.extend(0_u32.to_le_bytes());
            places.extend(place.to_le_bytes());
            place = (place + 4 * tensor.numel() as u64).next_multiple_of(ALIGNMENT);
        }
        let counts = [(weights.len() as u64).to_le_bytes(), values.count.to_le_bytes()].concat();
        let head = [MAGIC, &3_u32.to_le_bytes(), &counts, &values.bytes, &places].concat();
        file.write_all(&head)?;
        fill(file, head.len() as u64)?;
        for (_, tensor) in &weights {
            write_numbers(tensor, file)?;
            fill(file, 4 * tensor.numel() as u64)?;
        }
        Ok(())
    })
}

fn fill(file: &mut impl Write, length: u64) -> std::io::Result<()> {
    file.write_all(&vec![0; (length.next_multiple_of(ALIGNMENT) - length) as usize])
}

/// Key-values as they lie in the file.
#[derive(Default)]
struct Values {
    bytes: Vec<u8>,
    count: u64,
}

impl Values {
    fn put(&mut self, key: &str, kind: u32, value: &[u8]) {
        self.bytes.extend(text(key));
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend(value);
        self.count += 1;
    }

    fn whole(&mut self, key: &str, value: i64) {
        self.put(key, 4, &(value as u32).to_le_bytes());
    }

    fn number(&mut self, key: &str, value: f64) {
        self.put(key, 6, &(value as f32).to_le_bytes());
    }

    fn flag(&mut self, key: &str, value: bool) {
        self.put(key, 7, &[u8::from(value)]);
    }

    fn text(&mut self, key: &str, value: &str) {
        self.put(key, 8, &text(value));
    }

    fn list<T>(&mut self, key: &str, kind: u32, values: &[T], bytes: impl Fn(&T) -> Vec<u8>) {
        let head = [&kind.to_le_bytes()[..], &(values.len() as u64).to_le_bytes()].concat();
        let values: Vec<u8> = values.iter().flat_map(bytes).collect();
        self.put(key, 9, &[head, values].concat());
    }
}

/// A text as it lies in the file.
fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

fn settings(values: &mut Values, plan: &Plan) {
    let Plan { config, architecture, .. } = plan;
    let keys = keys(plan.form, plan.family);
    let key = |key: &str| key.replace('*', architecture);
    values.text("general.architecture", architecture);
    values.whole("general.file_type", 0);
    values.whole(&key("*.vocab_size"), config.n_vocab);
    values.whole(&key(keys.context_len), config.context_len);
    values.whole(&key(keys.emb_dim), config.emb_dim);
    values.whole(&key(keys.n_layers), config.n_layers);
    values.whole(&key(keys.n_heads), config.n_heads);
    values.whole(&key(keys.n_kv_heads), config.n_kv_heads);
    values.whole(&key(keys.head_dim), config.head_dim);
    values.whole(&key("*.attention.value_length"), config.head_dim);
    values.whole(&key(keys.n_hidden), config.n_hidden);
    values.number(&key(keys.epsilon), config.epsilon);
    if config.positions == Positions::Rotary {
        values.whole(&key("*.rope.dimension_count"), config.head_dim);
        values.number(&key("*.rope.freq_base"), config.speeds.base);
        if let Some(Slowed::Evenly { factor }) = config.speeds.slowed {
            values.text(&key("*.rope.scaling.type"), "linear");
            values.number(&key("*.rope.scaling.factor"), factor);
        }
    }
    if let Some(window) = config.window {
        values.whole(&key("*.attention.sliding_window"), window.len);
    }
}

/// How many times slower each pair turns, where slow ones are slowed down.
fn factors(speeds: Speeds, head_dim: i64) -> Option<Vec<f32>> {
    let plain = Speeds { slowed: None, ..speeds };
    let factor = |pair| (plain.of_pair(pair, head_dim) / speeds.of_pair(pair, head_dim)) as f32;
    matches!(speeds.slowed, Some(Slowed::SlowOnes { .. })).then(|| (0..head_dim / 2).map(factor).collect())
}

/// The values named `tokenizer.ggml.…`.
fn tokenizer(values: &mut Values, vocabulary: &Vocabulary) -> std::result::Result<(), String> {
    if let Some(format) = &vocabulary.chat {
        values.text("tokenizer.chat_template", &chat_template::template(format));
    }
    let stand_ins = stand_ins(vocabulary);
    let is_bytes = vocabulary.alphabet == Alphabet::Bytes;
    let seen = SeenBytes::new();
    let special = |id: u32| vocabulary.special.iter().find(|special| special.id == id);
    let token = |id: u32| {
        let piece = &vocabulary.pieces[id as usize];
        match special(id) {
            Some(special) => special.text.clone(),
            None if piece.0.is_empty() => format!("[unused {id}]"),
            None if is_bytes => seen.text(&piece.0),
            None => signed(piece, stand_ins.get(&id)),
        }
    };
    let all: Vec<u32> = (0..vocabulary.pieces.len() as u32).collect();
    let tokens: Vec<String> = all.iter().map(|&id| token(id)).collect();
    let is_named = |id: u32| vocabulary.begin == Some(id) || vocabulary.ends.contains(&id);
    // 1 a piece, 2 unknown, 3 special, 5 unused, 6 a byte.
    let kinds: Vec<i32> = all
        .iter()
        .map(|&id| match () {
            () if special(id).is_some() || is_named(id) => 3,
            () if vocabulary.pieces[id as usize].0.is_empty() => 5,
            () if stand_ins.contains_key(&id) => 6,
            () if !is_bytes && tokens[id as usize] == "<unk>" => 2,
            () => 1,
        })
        .collect();
    match vocabulary.split {
        split if is_bytes => {
            values.text("tokenizer.ggml.model", "gpt2");
            let pre =
                match split {
                    Split::Gpt2 => "gpt-2",
                    Split::SmolLm => "smollm",
                    Split::Llama3 => "llama-bpe",
                    Split::Qwen2 => "qwen2",
                    Split::Whole => return Err(
                        "llama.cpp has no tokenizer that merges bytes of a text that is not cut: take another model"
                            .to_owned(),
                    ),
                };
            values.text("tokenizer.ggml.pre", pre);
            let merge = |[first, second]: &[u32; 2]| text(&format!("{} {}", token(*first), token(*second)));
            values.list("tokenizer.ggml.merges", 8, &pairs(vocabulary), merge);
        }
        Split::Whole => {
            values.text("tokenizer.ggml.model", "llama");
            values.list("tokenizer.ggml.scores", 6, &scores(vocabulary), |score| score.to_le_bytes().to_vec());
            values.flag("tokenizer.ggml.add_space_prefix", vocabulary.prefix.is_some());
            if let Some(Prefix { unless_there: true, .. }) = vocabulary.prefix {
                return Err("the tokenizer puts a space before a text only where there is none, which llama.cpp's does not: take another model".to_owned());
            }
        }
        _ => return Err("llama.cpp has no tokenizer of characters that cuts texts: take another model".to_owned()),
    }
    values.list("tokenizer.ggml.tokens", 8, &tokens, |token| text(token));
    values.list("tokenizer.ggml.token_type", 5, &kinds, |kind| kind.to_le_bytes().to_vec());
    values.flag("tokenizer.ggml.add_bos_token", vocabulary.begin.is_some());
    if let Some(begin) = vocabulary.begin {
        values.whole("tokenizer.ggml.bos_token_id", i64::from(begin));
    }
    for (key, &id) in ["eos", "eot", "eom"].iter().zip(vocabulary.ends.iter().rev()) {
        values.whole(&format!("tokenizer.ggml.{key}_token_id"), i64::from(id));
    }
    Ok(())
}
