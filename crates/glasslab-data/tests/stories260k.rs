//! A real model of llama2.c: karpathy's stories260K, a Llama trained on TinyStories, with its tokenizer of 512 ids.
//!
//! Needs `stories260K.bin` and `tok512.bin` in one folder, which `GLASSLAB_MODELS` names (else `../shared/data/models` beside the
//! project), and is ignored where they are not: `cargo test -p glasslab-data --test stories260k -- --ignored`.

use glasslab::generate::{Sampling, generate};
use glasslab::model::{LanguageModel, count_parameters};
use glasslab::tokenizer::Tokenizer;
use glasslab::view::Page;
use glasslab_data::foreign::{Foreign, Form};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use tch::{Device, Kind, Tensor};

fn stories260k() -> Foreign {
    let beside = || concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/models").into();
    let folder = std::env::var_os("GLASSLAB_MODELS").map_or_else(beside, PathBuf::from);
    Foreign::open(&folder.join("stories260K.bin")).unwrap()
}

/// As llama2.c's doc/stories260K.md has it: 256 tokens, always the likeliest.
const PUBLISHED: &str = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, \
she saw a big, red ball. She wanted to play with it, but it was too high.
Lily's mom said, \"Lily, let's go to the park.\" Lily was sad and didn't know what to do. She said, \"I want to play with your \
ball, but I can't find it.\"
Lily was sad and didn't know what to do. She said, \"I'm sorry, Lily. I didn't know what to do.\"
Lily didn't want to help her mom, so she said, \"I'm sorry, mom. I didn't know what to do.\" Her mom said, \"Don't worry, \
Lily. We can help you.
";

#[test]
#[ignore = "needs stories260K"]
fn it_writes_the_text_that_llama2c_has_published_word_for_word() {
    let model = stories260k().model(Device::Cpu).unwrap();
    assert_eq!(count_parameters(&model), 260_032);
    let mut cache = model.new_cache(1).unwrap().unwrap();
    let mut ids = vec![1]; // the beginning of a text
    while ids.len() <= 256 {
        let last = Tensor::from_slice(&ids[ids.len() - 1..]).unsqueeze(0);
        ids.push(model.read(&last, &mut cache).unwrap().argmax(-1, false).int64_value(&[0]));
    }
    let text = model.tokenizer().decode(&ids[1..]).unwrap();
    assert_eq!(text.trim(), PUBLISHED.trim());
    // Read at once, the first choice at every place is the same.
    let whole = model.logits(&Tensor::from_slice(&ids[..256]).unsqueeze(0)).unwrap();
    let chosen = Vec::<i64>::try_from(whole.get(0).argmax(-1, false)).unwrap();
    assert_eq!(chosen, ids[1..]);
}

#[test]
#[ignore = "needs stories260K"]
fn its_sizes_its_weights_and_its_tokenizer_are_read() {
    let foreign = stories260k();
    let sizes = ["dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "max_seq_len"]
        .map(|key| foreign.config.whole(key).unwrap().unwrap());
    assert_eq!((foreign.form, &foreign.family[..], sizes), (Form::Llama2c, "llama", [64, 172, 5, 8, 4, 512, 512]));
    assert_eq!(foreign.weights.len(), 2 + 5 * 9);
    let parameters: usize = foreign.weights.iter().map(|weight| weight.read().unwrap().numel()).sum();
    assert_eq!(parameters, 260_032);
    // What run.c's `encode` gives.
    let tokenizer = foreign.tokenizer(512).unwrap();
    for (text, ids) in [
        (
            "Once upon a time, there was a little girl named Lily.",
            &[1, 403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426][..],
        ),
        ("été 🦀", &[1, 410, 485, 413, 485, 410, 243, 162, 169, 131]),
    ] {
        let pieces = tokenizer.cut(text).unwrap();
        assert_eq!((&pieces.ids[..], pieces.text.as_str()), (ids, text));
    }
    assert_eq!((tokenizer.label(1).unwrap().as_str(), tokenizer.ends()), ("<s>", &[1, 2][..]));
}

/// The engine of the page (in JavaScript) beside the library, on a model and a tokenizer that somebody else has trained.
#[test]
#[ignore = "needs stories260K and node"]
fn in_a_page_it_cuts_texts_and_writes_as_in_the_library() {
    let model = stories260k().model(Device::Cpu).unwrap();
    // To the 16 bits that a page keeps of a number.
    for mut parameter in model.parameters() {
        let _guard = tch::no_grad_guard();
        parameter.tensor.copy_(&parameter.tensor.to_kind(Kind::Half));
    }
    let page = Page::new(&model).unwrap().data("a page").unwrap()["models"][0].take();
    let texts = [
        "Once upon a time, there was a little girl named Lily.",
        "été 🦀",
        "",
        "  two  spaces\n\n",
        "ZEBRA-zebra 0.5 日本",
    ];
    let encode = texts.map(|text| json!({"ask": "encode", "tokenizer": 0, "text": text}));
    let samplings = [
        ("Once upon a time", Sampling { chars: 200, ..Sampling::greedy() }),
        ("Lily", Sampling { chars: 200, temperature: 1.0, top_p: Some(0.9), seed: 7, ..Sampling::default() }),
    ];
    let write = samplings.iter().map(|(prompt, Sampling { chars, temperature, top_k, top_p, seed, .. })| {
        let seed = seed.to_string();
        let settings = json!({"chars": chars, "temperature": temperature, "topK": top_k, "topP": top_p, "seed": seed});
        json!({"ask": "write", "model": 0, "prompt": prompt, "settings": settings})
    });
    let ids = model.tokenizer().cut(texts[0]).unwrap().ids;
    let logits = std::iter::once(json!({"ask": "logits", "model": 0, "ids": ids}));
    let questions: Vec<Value> = encode.into_iter().chain(write).chain(logits).collect();
    let asked = json!({"models": [page], "tokenizers": [model.tokenizer()], "questions": questions});
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("questions.json");
    std::fs::write(&path, asked.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../glasslab/tests/page_engine.mjs");
    let output = Command::new("node").arg(script).arg(path).output().unwrap_or_else(|error| panic!("node: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    for (text, answer) in texts.iter().zip(&answers) {
        let ids = model.tokenizer().cut(text).unwrap().ids;
        assert_eq!(
            (&answer["ids"], &answer["text"]),
            (&json!(ids), &json!(model.tokenizer().decode(&ids).unwrap())),
            "{text:?}"
        );
    }
    for ((prompt, sampling), answer) in samplings.iter().zip(&answers[texts.len()..]) {
        assert_eq!(answer, &json!(generate(&model, &model.tokenizer(), prompt, sampling).unwrap()));
    }
    let theirs: Vec<f64> = serde_json::from_value(answers[texts.len() + samplings.len()].clone()).unwrap();
    let ours = model.logits(&Tensor::from_slice(&ids).unsqueeze(0)).unwrap().to_kind(Kind::Double);
    let apart = (Tensor::from_slice(&theirs).view_as(&ours) - ours).abs().max().double_value(&[]);
    assert!(apart < 1e-3, "the logits are {apart} apart");
}
