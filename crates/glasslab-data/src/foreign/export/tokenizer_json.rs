//! `tokenizer.json`: what [`tokenizer_json`](super::super::tokenizer_json) reads, written.

use super::super::pieces::SeenBytes;
use super::super::tokenizer_json::{LLAMA3, QWEN2};
use super::vocabulary::{pairs, signed, stand_ins};
use glasslab::tokenizer::{Alphabet, Prefix, Split, Vocabulary};
use serde_json::{Map, Value, json};

/// The file, or why there is none.
pub(super) fn tokenizer(vocabulary: &Vocabulary) -> Result<Value, String> {
    let stand_ins = stand_ins(vocabulary);
    let is_bytes = vocabulary.alphabet == Alphabet::Bytes;
    // A space has a sign of its own where one is put before texts, or what is unknown is written in bytes.
    let has_sign = !is_bytes && (vocabulary.prefix.is_some() || !stand_ins.is_empty());
    let seen = SeenBytes::new();
    let special = |id: u32| vocabulary.special.iter().find(|special| special.id == id).map(|special| &special.text[..]);
    let text = |id: u32| {
        let piece = &vocabulary.pieces[id as usize];
        match special(id) {
            Some(text) => text.to_owned(),
            None if is_bytes => seen.text(&piece.0),
            None if has_sign => signed(piece, stand_ins.get(&id)),
            None => String::from_utf8_lossy(&piece.0).into_owned(),
        }
    };
    let mut ids = Map::new();
    for (id, piece) in (0..).zip(&vocabulary.pieces) {
        if !piece.0.is_empty() {
            ids.entry(text(id)).or_insert(json!(id));
        }
    }
    let merges: Vec<Value> =
        pairs(vocabulary).into_iter().map(|[first, second]| json!([text(first), text(second)])).collect();
    let added = vocabulary.special.iter().map(|special| {
        json!({
            "id": special.id, "content": special.text, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        })
    });
    let (normalizer, pre_tokenizer) = steps(vocabulary, has_sign)?;
    let decoder = match (is_bytes, has_sign) {
        (true, _) => {
            json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": false, "use_regex": false })
        }
        (_, false) => json!({ "type": "Fuse" }),
        _ => {
            let mut steps = vec![
                json!({ "type": "Replace", "pattern": { "String": "▁" }, "content": " " }),
                json!({ "type": "ByteFallback" }),
                json!({ "type": "Fuse" }),
            ];
            if vocabulary.prefix.is_some() {
                steps.push(json!({ "type": "Strip", "content": " ", "start": 1, "stop": 0 }));
            }
            json!({ "type": "Sequence", "decoders": steps })
        }
    };
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added.collect::<Vec<Value>>(),
        "normalizer": normalizer, "pre_tokenizer": pre_tokenizer,
        "post_processor": vocabulary.begin.map(|begin| put_before(&text(begin), begin)), "decoder": decoder,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
            "fuse_unk": false, "byte_fallback": !stand_ins.is_empty(), "ignore_merges": vocabulary.whole_words,
            "vocab": ids, "merges": merges,
        },
    }))
}

/// The normalizer and the pre-tokenizer.
fn steps(vocabulary: &Vocabulary, has_sign: bool) -> Result<(Value, Value), String> {
    let bytes = |with_regex: bool| json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": with_regex });
    let cut_by = |regex: &str| {
        let cut = json!({ "type": "Split", "pattern": { "Regex": regex }, "behavior": "Isolated", "invert": false });
        json!({ "type": "Sequence", "pretokenizers": [cut, bytes(false)] })
    };
    let nfc = vocabulary.nfc.then(|| json!({ "type": "NFC" }));
    let signs = json!({ "type": "Replace", "pattern": { "String": " " }, "content": "▁" });
    if vocabulary.alphabet != Alphabet::Bytes {
        let is_plain = vocabulary.split == Split::Whole && !vocabulary.nfc;
        return match vocabulary.prefix.filter(|_| is_plain) {
            None if !is_plain => Err("the tokenizer cuts characters as none of Hugging Face's does: take another model".to_owned()),
            None => Ok((if has_sign { signs } else { Value::Null }, Value::Null)),
            Some(Prefix { every, unless_there: true }) => {
                let scheme = if every { "always" } else { "first" };
                let cut = json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": false });
                Ok((Value::Null, cut))
            }
            // Where nothing special is looked for, every part of a text is its first.
            Some(Prefix { every, .. }) if every || vocabulary.special.is_empty() => {
                let before = json!({ "type": "Prepend", "prepend": "▁" });
                Ok((json!({ "type": "Sequence", "normalizers": [before, signs] }), Value::Null))
            }
            Some(_) => Err(
                "the tokenizer puts a space before the first part of a text whatever it begins with, and looks for special \
                 pieces, which none of Hugging Face's does: take another model"
                    .to_owned(),
            ),
        };
    }
    let pre_tokenizer = match vocabulary.split {
        Split::Gpt2 => bytes(true),
        Split::SmolLm => {
            let digits = json!({ "type": "Digits", "individual_digits": true });
            json!({ "type": "Sequence", "pretokenizers": [digits, bytes(true)] })
        }
        Split::Llama3 => cut_by(LLAMA3),
        Split::Qwen2 => cut_by(QWEN2),
        Split::Whole => bytes(false),
    };
    Ok((nfc.unwrap_or(Value::Null), pre_tokenizer))
}

/// What is put before every text.
fn put_before(token: &str, id: u32) -> Value {
    let before = json!({ "SpecialToken": { "id": token, "type_id": 0 } });
    let text = |name: &str, kind: u8| json!({ "Sequence": { "id": name, "type_id": kind } });
    json!({
        "type": "TemplateProcessing", "single": [before, text("A", 0)], "pair": [before, text("A", 0), before, text("B", 1)],
        "special_tokens": { token: { "id": token, "ids": [id], "tokens": [token] } },
    })
}
