//! Models of others: what their files hold comes out of them, and a damaged one is a sentence.
//!
//! The random inputs are seeded; `GLASSLAB_INPUTS` asks for more of them, as a nightly run does (`damage`).

mod damage;

use damage::{damaged, folder, inputs};
use glasslab::rng::Rng;
use glasslab::tokenizer::{Split, Tokenizer};
use glasslab_data::Result;
use glasslab_data::foreign::{Foreign, Form, Stored};
use serde_json::{Value, json};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// Remembers the largest piece of memory that this thread has asked for.
struct Watched;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes on to the system's allocator as it came.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(layout.size())));
        // SAFETY: what the caller has promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: what the caller has promised.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static MEMORY: Watched = Watched;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// A GGUF file as it is written: key-values, then tensors.
#[derive(Default)]
struct Gguf {
    values: Vec<u8>,
    n_values: u64,
    tensors: Vec<u8>,
    n_tensors: u64,
    data: Vec<u8>,
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

impl Gguf {
    fn value(mut self, key: &str, kind: u32, bytes: &[u8]) -> Gguf {
        self.values.extend([&text(key)[..], &kind.to_le_bytes(), bytes].concat());
        self.n_values += 1;
        self
    }

    fn text(self, key: &str, value: &str) -> Gguf {
        self.value(key, 8, &text(value))
    }

    fn list<T>(self, key: &str, kind: u32, values: &[T], bytes: impl Fn(&T) -> Vec<u8>) -> Gguf {
        let head = [&kind.to_le_bytes()[..], &(values.len() as u64).to_le_bytes()].concat();
        let values: Vec<u8> = values.iter().flat_map(bytes).collect();
        self.value(key, 9, &[head, values].concat())
    }

    /// A tensor; the sizes in the file's order.
    fn tensor(mut self, name: &str, sizes: &[u64], kind: u32, bytes: &[u8]) -> Gguf {
        self.data.resize(self.data.len().next_multiple_of(32), 0);
        self.tensors.extend(text(name));
        self.tensors.extend((sizes.len() as u32).to_le_bytes());
        self.tensors.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
        self.tensors.extend(kind.to_le_bytes());
        self.tensors.extend((self.data.len() as u64).to_le_bytes());
        self.data.extend(bytes);
        self.n_tensors += 1;
        self
    }

    fn bytes(self) -> Vec<u8> {
        let counts = [self.n_tensors.to_le_bytes(), self.n_values.to_le_bytes()].concat();
        let mut head = [b"GGUF".as_slice(), &3_u32.to_le_bytes(), &counts, &self.values, &self.tensors].concat();
        head.resize(head.len().next_multiple_of(32), 0);
        [head, self.data].concat()
    }
}

/// 256 bytes and a few pieces, as SentencePiece has them.
fn spaced() -> Vec<String> {
    let bytes = (0..256).map(|byte| format!("<0x{byte:02X}>"));
    let pieces = ["▁", "a", "b", "▁a", "ab", "▁ab"].map(str::to_owned);
    ["<unk>", "<s>", "</s>"].map(str::to_owned).into_iter().chain(bytes).chain(pieces).collect()
}

fn gguf() -> Vec<u8> {
    let tokens = spaced();
    let types: Vec<i32> =
        (0..tokens.len()).map(|id| [2, 3, 3].get(id).copied().unwrap_or(if id < 259 { 6 } else { 1 })).collect();
    let scores: Vec<f32> = (0..tokens.len()).map(|id| -(id as f32)).collect();
    Gguf::default()
        .text("general.architecture", "llama")
        .value("llama.block_count", 4, &2_u32.to_le_bytes())
        .text("tokenizer.ggml.model", "llama")
        .value("tokenizer.ggml.bos_token_id", 4, &1_u32.to_le_bytes())
        .list("tokenizer.ggml.tokens", 8, &tokens, |token| text(token))
        .list("tokenizer.ggml.token_type", 5, &types, |kind| kind.to_le_bytes().to_vec())
        .list("tokenizer.ggml.scores", 6, &scores, |score| score.to_le_bytes().to_vec())
        .tensor("norm", &[2], 0, &[0; 8])
        .tensor("eights", &[32, 2], 8, &[1; 68])
        .tensor("fours", &[256], 12, &[1; 144])
        .tensor("halves", &[3, 2], 1, &[1; 12])
        .bytes()
}

fn gguf_of_bytes(model: &str, pre: &str) -> Vec<u8> {
    let seen = (b'!'..=b'~').map(|byte| char::from(byte).to_string());
    let tokens: Vec<String> = seen.chain(["Ġ", "ab", "Ġab", "<|end|>"].map(str::to_owned)).collect();
    let types: Vec<i32> = (0..tokens.len()).map(|id| if id + 1 == tokens.len() { 3 } else { 1 }).collect();
    Gguf::default()
        .text("general.architecture", "llama")
        .text("tokenizer.ggml.model", model)
        .text("tokenizer.ggml.pre", pre)
        .list("tokenizer.ggml.tokens", 8, &tokens, |token| text(token))
        .list("tokenizer.ggml.token_type", 5, &types, |kind| kind.to_le_bytes().to_vec())
        .list("tokenizer.ggml.merges", 8, &["a b", "Ġ ab"], |merge| text(merge))
        .value("tokenizer.ggml.bos_token_id", 4, &97_u32.to_le_bytes())
        .value("tokenizer.ggml.eos_token_id", 4, &97_u32.to_le_bytes())
        .text("tokenizer.chat_template", "{{ messages }}")
        .tensor("norm", &[1], 0, &[0; 4])
        .bytes()
}

/// Tensors of safetensors, all of the kind F32.
fn safetensors(tensors: &[(&str, &[usize])]) -> Vec<u8> {
    let (mut header, mut place) = (serde_json::Map::new(), 0);
    for (name, shape) in tensors {
        let end = place + 4 * shape.iter().product::<usize>();
        header.insert(name.to_string(), json!({"dtype": "F32", "shape": shape, "data_offsets": [place, end]}));
        place = end;
    }
    let header = Value::from(header).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; place]].concat()
}

/// A few pieces in the pipeline of Gemma.
fn tokenizer_json() -> Value {
    let tokens = ["<unk>", "<s>", "</s>", "<end>", "▁", "a", "b", "▁a", "ab"];
    let ids: serde_json::Map<String, Value> =
        tokens.iter().zip(0..).map(|(token, id)| (token.to_string(), json!(id))).collect();
    json!({
        "added_tokens": [{"id": 1, "content": "<s>", "lstrip": false}, {"id": 9, "content": "<more>"}],
        "normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": false},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "model": {"type": "BPE", "byte_fallback": true, "ignore_merges": false, "vocab": ids, "merges": [["▁", "a"], "a b"]},
    })
}

/// The files of a folder, in two shards.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let index = json!({"weight_map": {"a": "one.safetensors", "b": "one.safetensors", "c": "two.safetensors"}});
    vec![
        (
            "config.json",
            json!({"model_type": "gemma3_text", "eos_token_id": [1, 2], "rope_scaling": {"factor": 8.0}})
                .to_string()
                .into(),
        ),
        ("one.safetensors", safetensors(&[("a", &[2, 3]), ("b", &[4])])),
        ("two.safetensors", safetensors(&[("c", &[])])),
        ("model.safetensors.index.json", index.to_string().into()),
        ("tokenizer.json", tokenizer_json().to_string().into()),
        ("tokenizer_config.json", json!({"eos_token": "</s>", "chat_template": "{{ messages }}"}).to_string().into()),
        ("generation_config.json", json!({"eos_token_id": 3}).to_string().into()),
    ]
}

fn write_all(folder: &Path, files: &[(&str, Vec<u8>)]) {
    files.iter().for_each(|(name, bytes)| std::fs::write(folder.join(name), bytes).unwrap());
}

/// A model of llama2.c: dim 4, hidden 3, 1 layer, 2 heads, 1 of keys, 5 ids, context 2.
fn llama2c(own_output: bool) -> Vec<u8> {
    let header = [4, 3, 1, 2, 1, if own_output { -5 } else { 5 }, 2].map(i32::to_le_bytes).concat();
    let numbers = 20 + 4 + 16 + 8 + 8 + 16 + 4 + 12 + 12 + 12 + 4 + 2 + 2 + if own_output { 20 } else { 0 };
    let numbers = (0..numbers).flat_map(|number| (number as f32).to_le_bytes());
    header.into_iter().chain(numbers).collect()
}

fn tokenizer_bin() -> Vec<u8> {
    let piece = |(id, piece): (usize, &str)| {
        [&(-(id as f32)).to_le_bytes()[..], &(piece.len() as u32).to_le_bytes(), piece.as_bytes()].concat()
    };
    let pieces = ["<unk>", "\n<s>\n", "\n</s>\n", " ", "a"].into_iter().enumerate().map(piece);
    [5_u32.to_le_bytes().to_vec()].into_iter().chain(pieces).flatten().collect()
}

/// Everything that a file can be asked for.
fn all_of(path: &Path) -> Result<Foreign> {
    let foreign = Foreign::open(path)?;
    for weight in &foreign.weights {
        if weight.stored != Stored::Other {
            assert_eq!(weight.read()?.size(), weight.shape);
        }
    }
    let n_vocab = foreign.vocabulary.as_ref().map_or(300, |vocabulary| vocabulary.pieces.len());
    let tokenizer = foreign.tokenizer(n_vocab)?;
    tokenizer.cut(" ab <s>é1").unwrap();
    Ok(foreign)
}

fn numbers(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_kind(Kind::Float).view([-1])).unwrap()
}

#[test]
fn blocks_are_unpacked_as_the_gguf_package_does() {
    let golden: Value = serde_json::from_slice(&std::fs::read(golden("quants.json")).unwrap()).unwrap();
    let kinds = [
        ("F16", 1, 1),
        ("BF16", 30, 1),
        ("Q8_0", 8, 32),
        ("Q4_0", 2, 32),
        ("Q4_1", 3, 32),
        ("Q5_0", 6, 32),
        ("Q5_1", 7, 32),
        ("Q4_K", 12, 256),
        ("Q5_K", 13, 256),
        ("Q6_K", 14, 256),
    ];
    assert_eq!(kinds.len(), golden.as_object().unwrap().len());
    for (name, kind, row) in kinds {
        let hex = golden[name]["bytes"].as_str().unwrap();
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap()).collect();
        let theirs: Vec<u32> = golden[name]["bits"]
            .as_array()
            .unwrap()
            .iter()
            .map(|bits| u32::from_str_radix(bits.as_str().unwrap(), 16).unwrap())
            .collect();
        let file = Gguf::default().text("general.architecture", "x").tensor(
            "w",
            &[row, theirs.len() as u64 / row],
            kind,
            &bytes,
        );
        let folder = folder();
        let path = folder.path().join("blocks.gguf");
        std::fs::write(&path, file.bytes()).unwrap();
        let ours = numbers(&Foreign::open(&path).unwrap().weights[0].read().unwrap());
        assert_eq!(ours.iter().map(|number| number.to_bits()).collect::<Vec<_>>(), theirs, "{name}");
    }
}

#[test]
fn a_file_of_the_gguf_package_is_read_whole() {
    let foreign = Foreign::open(&golden("tiny.gguf")).unwrap();
    assert_eq!(
        (foreign.form, &foreign.family[..], foreign.chat_template.as_deref()),
        (Form::Gguf, "llama", Some("{{ messages }}"))
    );
    let config = &foreign.config;
    for (key, value) in [
        ("uint8", 200),
        ("int8", -100),
        ("uint16", 60000),
        ("int16", -30000),
        ("uint32", 4_000_000_000),
        ("int32", -2_000_000_000),
        ("int64", -(1_i64 << 62)),
    ] {
        assert_eq!(config.whole(&format!("a.{key}")).unwrap(), Some(value), "{key}");
    }
    assert_eq!(config.get("a.uint64"), Some(&json!(1_u64 << 63)));
    assert_eq!(
        (config.number("a.float32").unwrap(), config.number("a.float64").unwrap()),
        (Some(f64::from(0.1_f32)), Some(0.1))
    );
    assert_eq!((config.flag("a.bool").unwrap(), config.text("a.string").unwrap()), (Some(true), Some("été 🦀")));
    assert_eq!(config.list("a.numbers").unwrap().unwrap(), [json!(1), json!(2), json!(3)]);
    assert_eq!(
        (config.get("a.texts"), config.get("a.lists")),
        (Some(&json!(["a", "", "ü"])), Some(&json!([[1.5], [2.5]])))
    );
    let message = config.whole("a.string").unwrap_err().to_string();
    assert!(message.contains("`a.string` = \"été 🦀\"") && message.contains("tiny.gguf"), "{message}");
    assert!(config.must("b", config.whole("b").unwrap()).unwrap_err().to_string().contains("does not say `b`"));
    assert!(foreign.tokenizer(9).unwrap_err().to_string().contains("tokenizer"));

    let expected = (Tensor::arange(192, (Kind::Float, tch::Device::Cpu)) / 8.0).view([3, 64]);
    for (name, stored, off) in [
        ("F32", Stored::F32, 0.0),
        ("F16", Stored::F16, 0.0),
        ("BF16", Stored::BF16, 0.06),
        ("Q8_0", foreign.weights[3].stored, 0.1),
        ("Q4_0", foreign.weights[4].stored, 1.6),
        ("Q4_1", foreign.weights[5].stored, 0.2),
        ("Q5_0", foreign.weights[6].stored, 0.8),
        ("Q5_1", foreign.weights[7].stored, 0.1),
    ] {
        let weight = foreign.weight(&format!("{name}.weight")).unwrap();
        let read = weight.read().unwrap();
        assert_eq!((weight.stored, read.kind(), &read.size()[..]), (stored, weight.kind(), &[3, 64][..]), "{name}");
        let most = (read.to_kind(Kind::Float) - &expected).abs().max().double_value(&[]);
        assert!(most <= off, "{name} is off by {most}");
    }
    assert_eq!(numbers(&foreign.weight("vector").unwrap().read().unwrap()), [0.0, 1.0, 2.0, 3.0, 4.0]);
    assert!(foreign.weight("tensor").unwrap_err().to_string().contains("no weight tensor; it has 9: F32.weight"));
}

#[test]
fn a_gguf_file_tells_its_tokenizer_and_one_that_is_not_known_is_refused_by_name() {
    let folder = folder();
    let path = folder.path().join("mine.gguf");
    let open = |bytes: Vec<u8>| {
        std::fs::write(&path, bytes).unwrap();
        Foreign::open(&path).unwrap()
    };
    let labels = |foreign: &Foreign, text: &str| {
        let n_vocab = foreign.vocabulary.as_ref().unwrap().pieces.len();
        foreign.tokenizer(n_vocab).unwrap().cut(text).unwrap().labels
    };
    let spaced = open(gguf());
    assert_eq!(labels(&spaced, "ab</s>b1"), ["<s>", "␣ab", "</s>", "␣", "b", "1"]);
    assert!(
        spaced.config.values.contains_key("llama.block_count")
            && !spaced.config.values.contains_key("tokenizer.ggml.tokens")
    );
    let of_bytes = open(gguf_of_bytes("gpt2", "smollm"));
    assert_eq!(labels(&of_bytes, " ab<|end|>a"), ["␣ab", "<|end|>", "a"]);
    assert_eq!(of_bytes.tokenizer(98).unwrap().ends(), [97]);
    for (pre, split, is_llama) in [
        ("gpt-2", Split::Gpt2, false),
        ("smollm", Split::SmolLm, false),
        ("llama-bpe", Split::Llama3, true),
        ("qwen2", Split::Qwen2, false),
    ] {
        let vocabulary = open(gguf_of_bytes("gpt2", pre)).vocabulary.unwrap();
        assert_eq!((vocabulary.split, vocabulary.whole_words, vocabulary.begin.is_some()), (split, is_llama, is_llama));
        assert_eq!(vocabulary.nfc, pre == "qwen2");
    }
    for (model, pre, why) in [
        ("gpt2", "tekken", "cuts texts as `tekken`; glasslab knows gpt-2, smollm, llama-bpe and qwen2"),
        ("gpt2", "", "does not say how its tokenizer cuts texts"),
        ("bert", "bert", "has a tokenizer of the kind `bert`; glasslab knows gpt2 and llama"),
        ("llama", "default", "has a tokenizer with no scores"),
    ] {
        let message = open(gguf_of_bytes(model, pre)).tokenizer(98).unwrap_err().to_string();
        assert!(message.contains(why) && message.contains("mine.gguf"), "{message}");
    }
}

#[test]
fn a_folder_is_read_with_all_its_shards_and_what_stands_beside() {
    let folder = folder();
    write_all(folder.path(), &files());
    let foreign = all_of(folder.path()).unwrap();
    let names: Vec<&str> = foreign.weights.iter().map(|weight| &weight.name[..]).collect();
    assert_eq!(
        (foreign.form, &foreign.family[..], &names[..]),
        (Form::HuggingFace, "gemma3_text", &["a", "b", "c"][..])
    );
    assert_eq!((&foreign.weights[0].shape[..], foreign.weights[2].shape.len()), (&[2, 3][..], 0));
    assert_eq!(foreign.config.number("rope_scaling.factor").unwrap(), Some(8.0));
    assert_eq!(foreign.chat_template.as_deref(), Some("{{ messages }}"));
    let vocabulary = foreign.vocabulary.as_ref().unwrap();
    assert_eq!((&vocabulary.ends[..], vocabulary.begin), (&[1, 2, 3][..], Some(1)));
    let pieces = foreign.tokenizer(10).unwrap().cut("ab a<more>").unwrap();
    assert_eq!(pieces.labels, ["<s>", "ab", "␣a", "<more>"]);
    let n_vocab = vocabulary.pieces.len();
    assert_eq!(foreign.tokenizer(n_vocab + 64).unwrap().n_vocab(), n_vocab as i64 + 64);
    assert!(foreign.tokenizer(1 << 30).unwrap_err().to_string().contains("don't belong together"));
    std::fs::write(folder.path().join("chat_template.jinja"), "another").unwrap();
    let nested = json!({"model_type": "gemma3", "text_config": {"hidden_size": 8}}).to_string();
    std::fs::write(folder.path().join("config.json"), nested).unwrap();
    let foreign = Foreign::open(folder.path()).unwrap();
    assert_eq!(
        (foreign.chat_template.as_deref(), foreign.config.whole("hidden_size").unwrap()),
        (Some("another"), Some(8))
    );
}

#[test]
fn a_model_of_llama2c_is_read_in_the_order_of_its_file() {
    let folder = folder();
    let path = folder.path().join("model.bin");
    std::fs::write(&path, llama2c(true)).unwrap();
    let foreign = Foreign::open(&path).unwrap();
    assert_eq!(
        (foreign.form, &foreign.family[..], foreign.config.whole("vocab_size").unwrap()),
        (Form::Llama2c, "llama", Some(5))
    );
    let first = |name: &str| numbers(&foreign.weight(name).unwrap().read().unwrap())[0];
    assert_eq!(
        (
            first("tok_embeddings.weight"),
            first("layers.0.attention_norm.weight"),
            first("layers.0.attention.wk.weight")
        ),
        (0.0, 20.0, 40.0)
    );
    assert_eq!(
        (first("layers.0.feed_forward.w2.weight"), first("norm.weight"), first("output.weight")),
        (88.0, 112.0, 120.0)
    );
    assert_eq!(foreign.weight("layers.0.feed_forward.w2.weight").unwrap().shape, [4, 3]);
    let message = foreign.tokenizer(5).unwrap_err().to_string();
    assert!(message.contains("put tok5.bin or tokenizer.bin there"), "{message}");
    std::fs::write(folder.path().join("tokenizer.bin"), tokenizer_bin()).unwrap();
    std::fs::write(&path, llama2c(false)).unwrap();
    let foreign = all_of(&path).unwrap();
    assert!(foreign.weight("output.weight").is_err());
    let pieces = foreign.tokenizer(5).unwrap().cut("a ab").unwrap();
    assert_eq!((pieces.labels.join(" "), &pieces.dropped[..]), ("<s> ␣ a ␣ a".to_owned(), &['b'][..]));
}

#[test]
fn what_is_no_model_is_told_with_the_way_out() {
    let folder = folder();
    let path = folder.path().join("pytorch_model.bin");
    let swapped = [b"GGUF".as_slice(), &3_u32.to_be_bytes()].concat();
    let iq = Gguf::default().text("general.architecture", "x").tensor("w", &[32], 20, &[0; 18]).bytes();
    for (bytes, why) in [
        (b"PK\x03\x04 and more".to_vec(), "is a pickle of PyTorch, which may run any program"),
        (b"\x80\x02}q".to_vec(), "safe_serialization=True"),
        (safetensors(&[("a", &[1])]), "holds weights only: give the folder"),
        (b"GGUF\x01\0\0\0".to_vec(), "GGUF of version 1"),
        (b"GGUF\x09\0\0\0".to_vec(), "GGUF of version 9, glasslab reads versions 2 and 3"),
        (swapped, "highest byte first"),
        (iq, "keeps w as IQ4, which glasslab does not read: take a file of F16, Q8_0, Q4_K_M"),
        (Gguf::default().bytes(), "does not say `general.architecture`"),
        (b"24ka\x01\0\0\0".to_vec(), "export it with `--version 0`"),
        (b"Once upon a time, there was a little girl.".to_vec(), "is no model that glasslab knows"),
        (Vec::new(), "is no model that glasslab knows"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let message = Foreign::open(&path).unwrap_err().to_string();
        assert!(message.contains(why) && message.contains("pytorch_model.bin"), "{message}");
    }
    let message = |folder: &Path| Foreign::open(folder).unwrap_err().to_string();
    assert!(message(folder.path()).contains("has no config.json"));
    std::fs::write(folder.path().join("config.json"), r#"{"model_type": "gpt2"}"#).unwrap();
    assert!(message(folder.path()).contains("pytorch_model.bin is a pickle of PyTorch"));
    std::fs::remove_file(&path).unwrap();
    assert!(message(folder.path()).contains("has no model.safetensors: fetch it"));
    assert!(message(&folder.path().join("nothing.gguf")).contains("nothing.gguf"));
    std::fs::write(folder.path().join("model.safetensors"), safetensors(&[("a", &[1])])).unwrap();
    let foreign = Foreign::open(folder.path()).unwrap();
    assert!(foreign.tokenizer(1).unwrap_err().to_string().contains("has no tokenizer.json"));
}

#[test]
fn an_older_folder_has_its_tokenizer_in_two_files() {
    let folder = folder();
    let ids: serde_json::Map<String, Value> = ["a", "b", "Ġ", "ab", "Ġab", "<|endoftext|>"]
        .iter()
        .zip(0..)
        .map(|(token, id)| (token.to_string(), json!(id)))
        .collect();
    write_all(
        folder.path(),
        &[
            ("config.json", json!({"model_type": "gpt_neo", "eos_token_id": 5}).to_string().into()),
            ("model.safetensors", safetensors(&[("a", &[1])])),
            ("vocab.json", Value::Object(ids).to_string().into()),
            ("merges.txt", b"#version: 0.2\na b\n\xc4\xa0 ab\n".to_vec()),
        ],
    );
    let tokenizer = Foreign::open(folder.path()).unwrap().tokenizer(6).unwrap();
    assert_eq!(tokenizer.cut("ab ab<|endoftext|>b").unwrap().ids, [3, 4, 5, 1]);
    assert_eq!(tokenizer.ends(), [5]);
    let why = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        Foreign::open(folder.path()).unwrap().tokenizer(6).unwrap_err().to_string()
    };
    let damaged = why("merges.txt", "a c\n");
    assert!(damaged.contains("which joins no two of its tokens"), "{damaged}");
    let other = why("config.json", r#"{"model_type": "llama"}"#);
    assert!(other.contains("do not say how a llama cuts texts: write its tokenizer.json"), "{other}");
}

#[test]
fn lies_are_noticed_before_they_cost_memory() {
    let x = || Gguf::default().text("general.architecture", "x");
    let huge = u64::MAX / 2;
    let counts = |tensors: u64, values: u64| {
        [b"GGUF".as_slice(), &3_u32.to_le_bytes(), &tensors.to_le_bytes(), &values.to_le_bytes()].concat()
    };
    let list = |count: u64| [&4_u32.to_le_bytes()[..], &count.to_le_bytes()].concat();
    let mut overlap = x().tensor("v", &[16], 0, &[0; 64]).tensor("w", &[16], 0, &[0; 64]);
    let end = overlap.tensors.len();
    overlap.tensors[end - 8..].copy_from_slice(&32_u64.to_le_bytes());
    let cases = [
        (counts(huge, 0), "is damaged (it ends at byte 24"),
        (counts(0, huge), "is damaged (it ends at byte 24"),
        (x().value("a", 8, &huge.to_le_bytes()).bytes(), "is damaged (it ends at byte"),
        (x().value("a", 9, &list(huge)).bytes(), "a list of 9223372036854775807 values"),
        (x().value("a", 9, &list(7_000_000)).bytes(), "is damaged (it ends at byte"),
        (x().value("a", 9, &[9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0].repeat(9)).bytes(), "a list of 1 values"),
        (x().value("a", 99, &[0; 8]).bytes(), "there is no kind 99"),
        (x().value("general.alignment", 4, &3_u32.to_le_bytes()).bytes(), "no power of two"),
        (x().value("general.alignment", 4, &0_u32.to_le_bytes()).bytes(), "no power of two"),
        (x().tensor("w", &[1_000_000_000; 4], 0, &[0; 64]).bytes(), "w can't have the shape [1000000000, 1000000000"),
        (x().tensor("w", &[1_000_000_000], 0, &[0; 64]).bytes(), "it ends before the numbers of w"),
        (x().tensor("w", &[1; 5], 0, &[0; 64]).bytes(), "w has 5 dimensions"),
        (x().tensor("w", &[33], 8, &[0; 64]).bytes(), "w can't have the shape [33]"),
        (x().tensor("w", &[0, 3], 0, &[0; 64]).bytes(), "w can't have the shape [3, 0]"),
        (x().tensor("w", &[1], 0, &[0; 4]).tensor("w", &[1], 0, &[0; 4]).bytes(), "two tensors are named w"),
        (overlap.bytes(), "v and w lie one on the other"),
    ];
    let folder = folder();
    let path = folder.path().join("lies");
    for (bytes, why) in cases {
        std::fs::write(&path, bytes).unwrap();
        LARGEST.set(0);
        let message = Foreign::open(&path).unwrap_err().to_string();
        assert!(message.contains(why) && message.contains("lies"), "{message}");
        assert!(LARGEST.get() < 1 << 20, "{} bytes at once: {message}", LARGEST.get());
    }

    let nan = [&[0, 0x7e][..], &[1; 32]].concat();
    let (infinite, largest) = (f32::INFINITY.to_le_bytes(), f32::MAX.to_le_bytes());
    for (size, kind, bytes, is_number) in [
        (32, 8, &nan[..], false),
        (1, 0, &infinite, false),
        (1, 0, &largest, true),
        (1, 1, &[0, 0x7c], false),
        (1, 1, &[0xff, 0xfb], true),
        (1, 28, &f64::NAN.to_le_bytes(), false),
        (1, 30, &[0xc0, 0xff], false),
        (1, 30, &[0x7f, 0x7f], true),
    ] {
        std::fs::write(&path, x().tensor("w", &[size], kind, bytes).bytes()).unwrap();
        let read = Foreign::open(&path).unwrap().weights[0].read();
        assert_eq!(read.is_ok(), is_number, "{kind} {bytes:?}");
        let is_told =
            |error: glasslab_data::Error| error.to_string().contains("w: it holds numbers that are NaN or infinite");
        assert!(read.err().is_none_or(is_told));
    }

    let whole = files();
    for (file, bytes, why) in [
        ("one.safetensors", [&u64::MAX.to_le_bytes()[..], b"{}"].concat(), "ends before its header does"),
        ("one.safetensors", Vec::new(), "ends before its header does"),
        ("one.safetensors", changed(&whole, "one.safetensors", "[24,40]", "[20,36]"), "a and b lie one on the other"),
        ("one.safetensors", changed(&whole, "one.safetensors", "[24,40]", "[24,99]"), "b lies outside of it"),
        (
            "one.safetensors",
            changed(&whole, "one.safetensors", "[2,3]", "[9,9]"),
            "a of shape [9, 9] can't have 24 bytes",
        ),
        ("one.safetensors", changed(&whole, "one.safetensors", "[2,3]", "[-2,-3]"), "a of shape [-2, -3] can't have"),
        ("two.safetensors", safetensors(&[("a", &[1]), ("c", &[1])]), "a is in two of its files"),
        ("two.safetensors", safetensors(&[("d", &[1])]), "c is in none of its files"),
        (
            "model.safetensors.index.json",
            br#"{"weight_map": {"a": "../one.safetensors"}}"#.to_vec(),
            "names no file beside it for a",
        ),
        ("config.json", b"[]".to_vec(), "config.json is damaged"),
        ("config.json", b"\xff".to_vec(), "it is no UTF-8 text"),
        ("config.json", b"{}".to_vec(), "does not say `model_type`"),
        ("tokenizer.json", b"{".to_vec(), "has a tokenizer.json that is damaged"),
    ] {
        write_all(folder.path(), &whole);
        std::fs::write(folder.path().join(file), bytes).unwrap();
        LARGEST.set(0);
        let message = all_of(folder.path()).unwrap_err().to_string();
        assert!(message.contains(why), "{message}");
        assert!(LARGEST.get() < 1 << 20, "{} bytes at once: {message}", LARGEST.get());
    }

    let header = |numbers: [i32; 7]| numbers.map(i32::to_le_bytes).concat();
    for (bytes, why) in [
        (header([1_000_000_000, 1_000_000_000, 9, 1, 1, 1_000_000_000, 1]), "it ends before tok_embeddings.weight"),
        ([llama2c(false), vec![0]].concat(), "1 bytes follow behind its last weight"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let message = Foreign::open(&path).unwrap_err().to_string();
        assert!(message.contains(why), "{message}");
    }
    std::fs::write(&path, llama2c(false)).unwrap();
    let tokenizer = tokenizer_bin();
    for (bytes, why) in [
        (tokenizer[..tokenizer.len() - 1].to_vec(), "it ends before the piece of the id 4"),
        ([&tokenizer[..], &[0]].concat(), "1 bytes follow behind its last piece"),
        ([&tokenizer[..8], &[255; 4], &tokenizer[12..]].concat(), "it ends before the piece of the id 0"),
        ([&tokenizer[..4], &f32::NAN.to_le_bytes(), &tokenizer[8..]].concat(), "the score of the id 0 is no number"),
    ] {
        std::fs::write(folder.path().join("tokenizer.bin"), bytes).unwrap();
        let message = Foreign::open(&path).unwrap().tokenizer(5).unwrap_err().to_string();
        assert!(message.contains(why), "{message}");
    }
}

/// One file of several, with a text in it put in the place of another of the same length.
fn changed(files: &[(&str, Vec<u8>)], name: &str, from: &str, to: &str) -> Vec<u8> {
    let bytes = &files.iter().find(|(other, _)| *other == name).unwrap().1;
    let place = bytes.windows(from.len()).position(|part| part == from.as_bytes()).unwrap();
    let header = bytes.len() as u64 - 8;
    let mut changed = [&bytes[..place], to.as_bytes(), &bytes[place + from.len()..]].concat();
    let length = u64::from_le_bytes(changed[..8].try_into().unwrap()) + (changed.len() as u64 - 8 - header);
    changed[..8].copy_from_slice(&length.to_le_bytes());
    changed
}

/// Damages one file again and again, sometimes with a number that is far too large, and asks for all that is in it.
fn never_a_panic(seed: u64, name: &str, whole: &[u8], folder: &Path, open: &Path) {
    let mut rng = Rng::new(seed);
    let path = folder.join(name);
    let (mut refused, mut largest) = (0, 0);
    // Most of what decides stands in front.
    let head = whole.len().min(4096);
    for _ in 0..inputs() {
        let bytes = match rng.below(3) {
            0 => damaged(&mut rng, whole.to_vec()),
            1 => [&damaged(&mut rng, whole[..head].to_vec())[..], &whole[head..]].concat(),
            _ => {
                let mut bytes = whole.to_vec();
                let place = rng.below(head.saturating_sub(8).max(1));
                let number = [u64::MAX, 1 << 63, 1 << 40, 1 << 31, 1_000_000_000, 0][rng.below(6)].to_le_bytes();
                let length = [2, 4, 8][rng.below(3)].min(bytes.len() - place);
                bytes[place..place + length].copy_from_slice(&number[..length]);
                bytes
            }
        };
        std::fs::write(&path, bytes).unwrap();
        LARGEST.set(0);
        if let Err(error) = all_of(open) {
            assert!(error.to_string().contains(&folder.display().to_string()), "{error}");
            refused += 1;
        }
        largest = largest.max(LARGEST.get());
    }
    println!("{name}: {refused} of {} refused, at most {largest} bytes at once", inputs());
    assert!(refused > inputs() / 10, "{name}: {refused}");
    assert!(largest < 64 << 20, "{name}: {largest} bytes at once");
}

#[test]
fn a_damaged_gguf_file_is_an_error_that_names_it_and_never_a_panic() {
    let folder = folder();
    let path = folder.path().join("mine.gguf");
    never_a_panic(1, "mine.gguf", &gguf(), folder.path(), &path);
    never_a_panic(2, "mine.gguf", &gguf_of_bytes("gpt2", "smollm"), folder.path(), &path);
}

#[test]
fn a_damaged_folder_is_an_error_that_names_it_and_never_a_panic() {
    let folder = folder();
    let whole = files();
    for (seed, (name, bytes)) in (3..).zip(whole.iter().filter(|(name, _)| *name != "generation_config.json")) {
        write_all(folder.path(), &whole);
        never_a_panic(seed, name, bytes, folder.path(), folder.path());
    }
}

#[test]
fn a_damaged_model_of_llama2c_is_an_error_that_names_it_and_never_a_panic() {
    let folder = folder();
    let path = folder.path().join("mine.bin");
    std::fs::write(folder.path().join("tokenizer.bin"), tokenizer_bin()).unwrap();
    never_a_panic(20, "mine.bin", &llama2c(false), folder.path(), &path);
    std::fs::write(&path, llama2c(false)).unwrap();
    never_a_panic(21, "tokenizer.bin", &tokenizer_bin(), folder.path(), &path);
}
