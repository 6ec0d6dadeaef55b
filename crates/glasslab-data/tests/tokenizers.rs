//! Tokenizers of other models beside the libraries that those are used with: the same ids for any text.
//!
//! The libraries' results are in a golden file, made by `tests/golden/tokenizing.py`, which makes larger ones too:
//! `GLASSLAB_TOKENIZERS` names one.

use glasslab::tokenizer::{AnyTokenizer, Tokenizer};
use glasslab_data::foreign::Foreign;
use serde_json::{Value, json};
use std::path::Path;

fn golden() -> Value {
    let usual = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/tokenizing.json");
    let path = std::env::var("GLASSLAB_TOKENIZERS").unwrap_or_else(|_| usual.to_owned());
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The smallest folder of a model.
fn with_json(folder: &Path, tokenizer: &Value) -> Foreign {
    let header = json!({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).to_string();
    let weights = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 4]].concat();
    std::fs::write(folder.join("config.json"), r#"{"model_type": "llama"}"#).unwrap();
    std::fs::write(folder.join("model.safetensors"), weights).unwrap();
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
    Foreign::open(folder).unwrap()
}

/// The smallest model of llama2.c for so many ids, with a tokenizer beside it.
fn with_bin(folder: &Path, pieces: i32, tokenizer: &str) -> Foreign {
    let header = [2, 1, 1, 1, 1, pieces, 1].map(i32::to_le_bytes).concat();
    // Embeddings, three norms, four matrices of attention, three behind it, and the rotary tables.
    let numbers = 2 * pieces as usize + 3 * 2 + 4 * 4 + 3 * 2 + 2;
    std::fs::write(folder.join("model.bin"), [header, vec![0; 4 * numbers]].concat()).unwrap();
    let byte = |place: usize| u8::from_str_radix(&tokenizer[place..place + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..tokenizer.len()).step_by(2).map(byte).collect();
    std::fs::write(folder.join(format!("tok{pieces}.bin")), bytes).unwrap();
    Foreign::open(&folder.join("model.bin")).unwrap()
}

fn ids(tokenizer: &AnyTokenizer, text: &str) -> Vec<i64> {
    let mut ids = Vec::new();
    let dropped = tokenizer.encode_into(text, &mut |id| ids.push(id));
    assert_eq!(dropped, text.chars().filter(|character| !tokenizer.knows(*character)).count(), "{text:?}");
    ids
}

#[test]
fn any_text_is_cut_as_the_libraries_cut_it() {
    let golden = golden();
    let texts: Vec<&str> = golden["texts"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let mut different = Vec::new();
    for (family, said) in golden["families"].as_object().unwrap() {
        let folder = tempfile::tempdir().unwrap();
        let foreign = match said.get("file") {
            Some(file) => with_bin(folder.path(), said["pieces"].as_i64().unwrap() as i32, file.as_str().unwrap()),
            None => with_json(folder.path(), &said["tokenizer"]),
        };
        let n_vocab = foreign.vocabulary.as_ref().unwrap().pieces.len();
        let tokenizer = foreign.tokenizer(n_vocab).unwrap();
        let kept: AnyTokenizer = serde_json::from_str(&serde_json::to_string(&tokenizer).unwrap()).unwrap();
        let mut wrong = Vec::new();
        for (text, theirs) in texts.iter().zip(said["ids"].as_array().unwrap()) {
            let begin = said["begin"].as_i64().filter(|begin| theirs[0] != *begin);
            let theirs: Vec<i64> =
                begin.into_iter().chain(theirs.as_array().unwrap().iter().flat_map(Value::as_i64)).collect();
            let ours = ids(&tokenizer, text);
            if ours != theirs {
                let shown =
                    |ids: &[i64]| ids.iter().map(|&id| tokenizer.label(id).unwrap()).collect::<Vec<_>>().join(" ");
                wrong.push(format!("{text:?}\n  ours   {}\n  theirs {}", shown(&ours), shown(&theirs)));
            }
            assert_eq!(ids(&kept, text), ours, "{family}: what a file keeps is another tokenizer");
            let bytes = |id: &i64| tokenizer.piece(*id).unwrap().into_owned();
            let whole = String::from_utf8(ours.iter().flat_map(bytes).collect()).unwrap();
            assert_eq!(tokenizer.decode(&ours).unwrap().trim_start(), whole.trim_start(), "{family}");
        }
        println!("{family}: {} of {} texts", texts.len() - wrong.len(), texts.len());
        different.extend(wrong.into_iter().take(20).map(|wrong| format!("{family}: {wrong}")));
    }
    assert!(different.is_empty(), "cut in another way:\n{}", different.join("\n"));
}

#[test]
fn a_tokenizer_that_is_only_nearly_known_is_refused_by_what_it_says() {
    let golden = golden();
    let gpt2 = &golden["families"]["gpt2"]["tokenizer"];
    let changed = |place: &str, value: Value| {
        let mut changed = gpt2.clone();
        *changed.pointer_mut(place).unwrap() = value;
        changed
    };
    let digits = json!({"type": "Digits", "individual_digits": true});
    for (tokenizer, why) in [
        (changed("/model/type", json!("Unigram")), "model glasslab does not know (\"Unigram\")"),
        (changed("/pre_tokenizer", digits), "pre-tokenizer glasslab does not know ({\"individual_digits\":true"),
        (changed("/pre_tokenizer/add_prefix_space", json!(true)), "pre-tokenizer glasslab does not know"),
        (
            changed("/normalizer", json!({"type": "Lowercase"})),
            "normalizer glasslab does not know ({\"type\":\"Lowercase\"})",
        ),
        (changed("/added_tokens/0/lstrip", json!(true)), "token <s> is looked for with `lstrip`"),
        (changed("/model/merges/0", json!(["a", "unheard"])), "the merge [\"a\",\"unheard\"], which joins no two"),
        (changed("/added_tokens/0/id", json!(1_000_000_000)), "the id 1000000000 among"),
        (changed("/model/vocab", json!({"a": -1})), "ids that are none"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let foreign = with_json(folder.path(), &tokenizer);
        let message = foreign.tokenizer(500).unwrap_err().to_string();
        assert!(message.contains(why) && message.contains(&folder.path().display().to_string()), "{message}");
    }
}
