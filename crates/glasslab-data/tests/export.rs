//! What glasslab writes for others comes back as the same model, whatever its choices, or is refused by the name of one.
//!
//! That `transformers` and llama.cpp compute the same, a script shows where they are: it needs the Python that
//! `GLASSLAB_TRANSFORMERS_PYTHON` names, and is ignored else.

use glasslab::data::Stories;
use glasslab::model::rotary::{Slowed, Speeds};
use glasslab::model::{
    Activation, AnyModel, Every, Family, LanguageModel, MlpConfig, ModelConfig, Positions, TransformerConfig, Window,
};
use glasslab::rng::Rng;
use glasslab::tokenizer::{
    Alphabet, AnyTokenizer, BytePair, CharTokenizer, ChatFormat, Merging, Piece, Prefix, Subwords, Tokenizer,
    Vocabulary,
};
use glasslab_data::foreign::{Foreign, Form, export};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use tch::{Device, Kind, Tensor};

const TEXT: &str = "Once upon a time, there was a little cat.";

/// A model with noise on every number: ones and zeros would hide what becomes of them.
fn model(config: TransformerConfig, tokenizer: impl Into<AnyTokenizer>) -> AnyModel {
    let tokenizer = tokenizer.into();
    let config = TransformerConfig { n_vocab: tokenizer.n_vocab(), ..config };
    let model = AnyModel::new(ModelConfig::Transformer(config), Device::Cpu).unwrap();
    let mut rng = Rng::new(5);
    let _guard = tch::no_grad_guard();
    for mut parameter in model.parameters() {
        let noise = rng.normal_tensor(&parameter.tensor.size(), 0.2);
        let _ = parameter.tensor.f_add_(&noise).unwrap();
    }
    model.with_tokenizer(tokenizer).unwrap()
}

fn of(family: Family) -> TransformerConfig {
    let config = family.config();
    let window = config.window.map(|window| Window { len: 5, ..window });
    TransformerConfig { emb_dim: 24, n_heads: 2, head_dim: 12, n_hidden: 40, n_layers: 3, window, ..config }
        .with_fewer_keys()
}

/// Fewer keys than queries, where the family has that.
trait FewerKeys {
    fn with_fewer_keys(self) -> Self;
}

impl FewerKeys for TransformerConfig {
    fn with_fewer_keys(self) -> TransformerConfig {
        let n_kv_heads = if self.positions == Positions::Rotary { 1 } else { self.n_heads };
        TransformerConfig { n_kv_heads, ..self }
    }
}

/// 3 ids, the 256 bytes, letters, and words: as SentencePiece has them.
fn spaced() -> Subwords {
    let mut pieces: Vec<Piece> = ["<unk>", "<s>", "</s>"].map(Piece::from).into();
    pieces.extend((0..=255).map(|byte| Piece(vec![byte])));
    pieces.extend(" Oncetupmi,hrwasl.é".chars().map(|letter| Piece::from(&letter.to_string()[..])));
    let scores = vec![0.0; pieces.len()];
    let words = ["th", "he", " t", " th", "the", " the", "er", " a", "ti", "me", "time", " time", "ca", "at", "cat"];
    pieces.extend(words.map(Piece::from));
    let scores = scores.into_iter().chain((0..words.len()).map(|place| -(place as f32))).collect();
    Subwords::new(Vocabulary {
        alphabet: Alphabet::Characters { bytes: (3..259).collect() },
        merging: Merging::Scores(scores),
        prefix: Some(Prefix { every: false, unless_there: false }),
        begin: Some(1),
        ends: vec![1, 2],
        chat: Some(ChatFormat { system: None, trims: true, ..ChatFormat::chat_ml() }),
        pieces,
        ..Vocabulary::default()
    })
    .unwrap()
}

fn pairs() -> BytePair {
    BytePair::train(&Stories::parse(&"Once upon a time there was a cat, é. ".repeat(20)).unwrap(), 290).unwrap()
}

/// The models that are written, by name, with the forms that have something for them.
fn models() -> Vec<(String, AnyModel, Vec<Form>)> {
    let (hf, gguf, llama2c) = (Form::HuggingFace, Form::Gguf, Form::Llama2c);
    let mut all = Vec::new();
    for family in Family::ALL {
        let forms = match family {
            Family::GptNeo | Family::Mistral => vec![hf],
            _ => vec![hf, gguf],
        };
        all.push((format!("{family:?}"), model(of(family), pairs()), forms));
    }
    let llama = of(Family::Llama);
    all.push(("llama_spaced".to_owned(), model(llama, spaced()), vec![hf, gguf, llama2c]));
    let tied = TransformerConfig { tied: true, ..llama };
    all.push(("llama_tied".to_owned(), model(tied, spaced()), vec![hf, gguf, llama2c]));
    all.push(("llama_characters".to_owned(), model(llama, CharTokenizer::default()), vec![hf, gguf]));
    let slow = |slowed| TransformerConfig { speeds: Speeds { slowed: Some(slowed), ..llama.speeds }, ..llama };
    all.push(("llama_linear".to_owned(), model(slow(Slowed::Evenly { factor: 4.0 }), pairs()), vec![hf, gguf]));
    let three = Slowed::SlowOnes { factor: 8.0, low: 1.0, high: 4.0, context_len: 8192.0 };
    let three = TransformerConfig { head_dim: 24, attention_bias: true, ..slow(three) };
    all.push(("llama_3".to_owned(), model(three, pairs()), vec![hf, gguf]));
    let small = TransformerConfig::small();
    all.push(("small".to_owned(), model(small, CharTokenizer::default()), vec![hf]));
    all.push(("small_tied".to_owned(), model(TransformerConfig { tied: true, ..small }, pairs()), vec![hf]));
    let learnt = TransformerConfig { final_norm: true, head_dim: 32, ..TransformerConfig::original() };
    all.push(("original_with_norm".to_owned(), model(learnt, CharTokenizer::default()), vec![hf]));
    let every = Some(Window { len: 4, except: Some(Every { step: 2, first: 1 }) });
    all.push(("qwen_windows".to_owned(), model(TransformerConfig { window: every, ..llama }, pairs()), vec![hf]));
    all
}

fn path(folder: &Path, name: &str, form: Form) -> PathBuf {
    match form {
        Form::HuggingFace => folder.join(name),
        Form::Gguf => folder.join(format!("{name}.gguf")),
        Form::Llama2c => folder.join(name).with_extension("bin"),
    }
}

fn logits(model: &AnyModel, ids: &[i64]) -> Tensor {
    model.logits(&Tensor::from_slice(ids).unsqueeze(0)).unwrap().detach()
}

#[test]
fn what_is_written_comes_back_as_the_same_model() {
    for (name, model, forms) in models() {
        let ids = model.tokenizer().cut(TEXT).unwrap().ids;
        for form in [Form::HuggingFace, Form::Gguf, Form::Llama2c] {
            let folder = tempfile::tempdir().unwrap();
            let path = path(folder.path(), &name, form);
            let written = export(&model, form, &path);
            assert_eq!(written.is_ok(), forms.contains(&form), "{name} {form}: {written:?}");
            if let Err(error) = written {
                let why = error.to_string();
                assert!(
                    why.contains("train one with") || why.contains("write the model as hf or gguf"),
                    "{name}: {why}"
                );
                assert!(!path.exists(), "{name} {form}");
                continue;
            }
            let again = Foreign::open(&path).and_then(|foreign| foreign.model(Device::Cpu));
            let again = again.unwrap_or_else(|error| panic!("{name} {form}: {error}"));
            for text in [TEXT, "", " \n the  thé 日 cat"] {
                let (own, theirs) = (model.tokenizer().cut(text).unwrap(), again.tokenizer().cut(text).unwrap());
                assert_eq!(own.ids, theirs.ids, "{name} {form}: {text:?}");
            }
            // llama2.c's files have no place for it.
            if form != Form::Llama2c {
                assert_eq!(model.tokenizer().chat(), again.tokenizer().chat(), "{name} {form}");
            }
            let off = (logits(&model, &ids) - logits(&again, &ids)).abs().max().double_value(&[]);
            assert!(off < 1e-4, "{name} {form}: off by {off}");
        }
    }
}

#[test]
fn what_no_form_has_anything_for_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let original = TransformerConfig::original();
    let small = TransformerConfig::small();
    let gated = of(Family::Llama);
    for (config, form, choice) in [
        (original, Form::HuggingFace, "`final_norm: false`"),
        (TransformerConfig::quick(), Form::Gguf, "ngrams: None"),
        (TransformerConfig { positions: Positions::None, ..small }, Form::HuggingFace, "`positions: None`"),
        (TransformerConfig { previous_head: true, ..small }, Form::HuggingFace, "`previous_head: true`"),
        (TransformerConfig { activation: Activation::Gelu, ..small }, Form::HuggingFace, "`gated: false`"),
        (TransformerConfig { scaled_embedding: true, ..gated }, Form::HuggingFace, "Family::Gemma3.config()"),
        (small, Form::Gguf, "the activation Relu in a Qwen 3"),
        (of(Family::Mistral), Form::Gguf, "`window` in a Mistral"),
        (of(Family::Qwen2), Form::Llama2c, "Family::Llama.config()"),
        (TransformerConfig { epsilon: 1e-6, ..gated }, Form::Llama2c, "`epsilon`"),
        (gated, Form::Llama2c, "of characters alone"),
    ] {
        let path = folder.path().join("out");
        let why = export(&model(config, CharTokenizer::default()), form, &path).unwrap_err().to_string();
        assert!(why.contains(choice), "{why}");
        assert!(!path.exists(), "{why}");
    }
    let mlp = AnyModel::new(ModelConfig::Mlp(MlpConfig::original()), Device::Cpu).unwrap();
    assert!(export(&mlp, Form::Gguf, folder.path()).unwrap_err().to_string().contains("is an MLP"));
}

/// The ids that are no letters by themselves.
fn silent(tokenizer: &AnyTokenizer) -> Vec<i64> {
    let is_seen = |id: i64| {
        let piece = tokenizer.piece(id).unwrap();
        let is_named = tokenizer.ends().iter().any(|&end| i64::from(end) == id) || id == 0;
        !is_named && !piece.is_empty() && piece.iter().all(|byte| (b' '..=b'~').contains(byte))
    };
    (0..tokenizer.n_vocab()).filter(|&id| !is_seen(id)).collect()
}

#[test]
#[ignore = "needs transformers"]
fn transformers_and_llama_cpp_compute_the_same() {
    let python = std::env::var("GLASSLAB_TRANSFORMERS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let folder = tempfile::tempdir().unwrap();
    for (name, model, forms) in models() {
        for form in forms {
            export(&model, form, &path(folder.path(), &name, form)).unwrap();
        }
        let ids = model.tokenizer().cut(TEXT).unwrap().ids;
        let silent = silent(&model.tokenizer());
        let mut all = ids.clone();
        for _ in 0..12 {
            let mut scores = logits(&model, &all).select(1, -1);
            let _ = scores.index_fill_(-1, &Tensor::from_slice(&silent), f64::NEG_INFINITY);
            all.push(scores.argmax(-1, false).int64_value(&[0]));
        }
        let scores: Vec<f64> = logits(&model, &ids).to_kind(Kind::Double).view([-1]).try_into().unwrap();
        let expected =
            json!({ "ids": ids, "text": TEXT, "logits": scores, "written": all[ids.len()..], "silent": silent });
        std::fs::write(folder.path().join(format!("{name}.json")), expected.to_string()).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/exported.py");
    let output = Command::new(&python).arg(script).arg(folder.path()).output().unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
