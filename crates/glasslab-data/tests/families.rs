//! Models of other families compute in glasslab what `transformers` computes: logits, and the stream after every block.
//!
//! The models are tiny and random (`tests/golden/families.py` makes them); `GLASSLAB_FAMILIES` names a folder of more of them.

mod damage;

use damage::{damaged, folder as in_memory, inputs};
use glasslab::model::{AnyModel, LanguageModel, Recording, TransformerLm};
use glasslab::rng::Rng;
use glasslab_data::foreign::Foreign;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

fn families() -> Vec<PathBuf> {
    let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/families");
    let folder = std::env::var_os("GLASSLAB_FAMILIES").map_or_else(own, PathBuf::from);
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    assert!(all.len() >= 11, "{all:?}");
    all
}

fn golden(folder: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join("golden.json")).unwrap()).unwrap()
}

fn ids(golden: &Value) -> Tensor {
    let ids: Vec<i64> = serde_json::from_value(golden["ids"].clone()).unwrap();
    Tensor::from_slice(&ids).unsqueeze(0)
}

/// How far numbers are from the golden ones.
fn off(what: &Tensor, golden: &Value) -> f64 {
    let golden: Vec<f64> = serde_json::from_value(golden.clone()).unwrap();
    (what.to_kind(Kind::Double).view([-1]) - Tensor::from_slice(&golden)).abs().max().double_value(&[])
}

/// The files of a family's model.
fn files(folder: &Path) -> Vec<PathBuf> {
    let gguf = folder.join("model.gguf");
    [folder.to_path_buf()].into_iter().chain(gguf.is_file().then_some(gguf)).collect()
}

fn model(path: &Path) -> TransformerLm {
    Foreign::open(path).unwrap().without_tokenizer(Device::Cpu).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn logits_and_the_stream_after_every_block_are_those_of_transformers() {
    let mut count = 0;
    for folder in families() {
        let golden = golden(&folder);
        for path in files(&folder) {
            let model = model(&path);
            let mut recording = Recording::default();
            let logits = model.forward(&ids(&golden), &mut recording).unwrap();
            let states = golden["hidden_states"].as_array().unwrap();
            let last = states.len() - 1;
            assert_eq!(last as i64, model.config.n_layers);
            for (number, state) in states.iter().enumerate() {
                let step = match number {
                    0 => ["positioned", "scaled", "embedded"]
                        .into_iter()
                        .find(|step| recording.get(step).is_some())
                        .unwrap(),
                    _ if number == last => "final_norm",
                    _ => &format!("block.{}.after_mlp", number - 1),
                };
                let off = off(recording.get(step).unwrap(), state);
                assert!(off < 1e-4, "{}: {step} is off by {off}", path.display());
            }
            let off = off(&logits, &golden["logits"]);
            assert!(off < 1e-4, "{}: logits are off by {off}", path.display());
            count += 1;
        }
    }
    assert!(count >= 17, "{count}");
}

#[test]
fn what_is_read_piece_by_piece_and_what_is_kept_in_our_file_is_the_same() {
    let place = tempfile::tempdir().unwrap();
    for folder in families() {
        let golden = golden(&folder);
        let (model, ids) = (model(&folder), ids(&golden));
        let logits = model.logits(&ids).unwrap();
        let mut cache = model.new_cache(1).unwrap().unwrap();
        for (first, count) in [(0, 6), (6, 1), (7, 1), (8, 4)] {
            let read = model.read(&ids.narrow(1, first, count), &mut cache).unwrap();
            let off = (read - logits.select(1, first + count - 1)).abs().max().double_value(&[]);
            assert!(off < 1e-4, "{}: {off}", folder.display());
        }
        let path = place.path().join("model.safetensors");
        let config = model.config;
        AnyModel::Transformer(model).save(&path).unwrap();
        let AnyModel::Transformer(again) = AnyModel::load(&path, Device::Cpu).unwrap() else { panic!("another kind") };
        assert_eq!((again.config, again.logits(&ids).unwrap()), (config, logits));
    }
}

#[test]
fn what_comes_in_16_bits_is_kept_in_16_bits_and_computes_the_same() {
    let place = tempfile::tempdir().unwrap();
    let (wide, narrow) = (place.path().join("wide"), place.path().join("narrow"));
    let kept = place.path().join("kept.safetensors");
    let mut count = 0;
    for family in families().into_iter().filter(|folder| folder.join("model.safetensors").is_file()) {
        let weights = Tensor::read_safetensors(family.join("model.safetensors")).unwrap();
        for kind in [Kind::BFloat16, Kind::Half] {
            for (folder, kept) in [(&narrow, kind), (&wide, Kind::Float)] {
                std::fs::create_dir_all(folder).unwrap();
                std::fs::copy(family.join("config.json"), folder.join("config.json")).unwrap();
                let rounded = weights.iter().map(|(name, weight)| (name, weight.to_kind(kind).to_kind(kept)));
                Tensor::write_safetensors(&rounded.collect::<Vec<_>>(), folder.join("model.safetensors")).unwrap();
            }
            let [narrow, wide] = [(&narrow, kind), (&wide, Kind::Float)].map(|(folder, kept_in)| {
                let foreign = Foreign::open(folder).unwrap();
                assert_eq!(foreign.kind(), kept_in);
                let model = AnyModel::Transformer(foreign.without_tokenizer(Device::Cpu).unwrap());
                model.save_as(&kept, foreign.kind()).unwrap();
                let tensors = Tensor::read_safetensors(&kept).unwrap();
                let in_kind = tensors.iter().filter(|(_, tensor)| tensor.kind() == kept_in);
                let [some, all] = [in_kind.collect(), tensors.iter().collect::<Vec<_>>()]
                    .map(|tensors| tensors.iter().map(|(_, tensor)| tensor.numel()).sum::<usize>());
                // A norm of Gemma is kept as 1 + w, which takes more bits.
                assert!(some * 10 > all * 9, "{} in {kept_in:?}: {some} of {all}", family.display());
                let ids = ids(&golden(&family));
                let logits = AnyModel::load(&kept, Device::Cpu).unwrap().logits(&ids).unwrap();
                assert_eq!(logits, model.logits(&ids).unwrap());
                logits
            });
            assert_eq!(narrow, wide, "{} in {kind:?}", family.display());
            count += 1;
        }
    }
    assert!(count >= 18, "{count}");
}

/// A folder in which the settings say something else.
fn with_settings(change: impl Fn(&mut Value)) -> (tempfile::TempDir, String) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/families/qwen3");
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(from.join("model.safetensors"), folder.path().join("model.safetensors")).unwrap();
    let mut settings = serde_json::from_str(&std::fs::read_to_string(from.join("config.json")).unwrap()).unwrap();
    change(&mut settings);
    std::fs::write(folder.path().join("config.json"), settings.to_string()).unwrap();
    let error = Foreign::open(folder.path()).unwrap().without_tokenizer(Device::Cpu).map(|model| model.config);
    (folder, error.map_or_else(|error| error.to_string(), |config| format!("{config:?}")))
}

#[test]
fn settings_that_are_not_those_of_the_weights_or_of_no_family_are_a_sentence() {
    let says = |key: &str, value: Value| with_settings(|settings| settings[key] = value.clone()).1;
    for (key, value, sentence) in [
        ("model_type", Value::from("t5"), "of the family t5; glasslab knows GPT-2"),
        ("hidden_act", Value::from("mish"), "the activation mish"),
        ("num_hidden_layers", Value::from(2), "has a weight model.layers.2."),
        ("num_hidden_layers", Value::from(1_000_000_000), "has no weight model.layers.3."),
        ("hidden_size", Value::from(1_000_000_000), "the two don't belong together"),
        ("num_attention_heads", Value::from(-1), "says `num_attention_heads` = -1"),
        ("num_attention_heads", Value::from(3), "the two don't belong together"),
        ("num_key_value_heads", Value::from(2), "the two don't belong together"),
        ("head_dim", Value::from(3), "the two don't belong together"),
        ("intermediate_size", Value::from(13), "the two don't belong together"),
        ("rms_norm_eps", Value::Null, "does not say `rms_norm_eps`"),
        ("rms_norm_eps", Value::from(-1.0), "epsilon"),
        ("final_logit_softcapping", Value::from(30.0), "`final_logit_softcapping`"),
    ] {
        let told = says(key, value.clone());
        assert!(told.contains(sentence), "{key} = {value}: {told}");
    }
    let long = says("max_position_embeddings", Value::from(1_000_000_000));
    assert!(long.contains("context_len: 8192"), "{long}");
    let yarn = with_settings(|settings| settings["rope_parameters"]["rope_type"] = Value::from("yarn")).1;
    assert!(yarn.contains("rotary positions of the kind yarn"), "{yarn}");
}

#[test]
fn whatever_the_settings_say_is_a_model_or_a_sentence() {
    let mut rng = Rng::new(11);
    for folder in families() {
        let settings: Value =
            serde_json::from_str(&std::fs::read_to_string(folder.join("config.json")).unwrap()).unwrap();
        let place = in_memory();
        std::fs::copy(folder.join("model.safetensors"), place.path().join("model.safetensors")).unwrap();
        let keys: Vec<&String> = settings.as_object().unwrap().keys().collect();
        for number in 0..inputs() / 250 {
            let mut settings = settings.clone();
            for _ in 0..=rng.below(2) {
                let odd = [
                    json!(null),
                    json!(0),
                    json!(-1),
                    json!(1),
                    json!(7),
                    json!(1 << 30),
                    json!(i64::MAX),
                    json!(1e300),
                    json!(0.5),
                    json!(true),
                    json!("x"),
                    json!([]),
                    json!([[["global"], 1_000_000_000]]),
                    json!({ "rope_type": "llama3", "factor": 0, "low_freq_factor": 4, "high_freq_factor": 1 }),
                    json!({ "full_attention": 1, "rope_type": "linear", "factor": -2, "rope_theta": 0 }),
                ];
                settings[keys[rng.below(keys.len())]] = odd[rng.below(odd.len())].clone();
            }
            let mut text = settings.to_string().into_bytes();
            if number % 3 == 0 {
                text = damaged(&mut rng, text);
            }
            std::fs::write(place.path().join("config.json"), text).unwrap();
            let model = Foreign::open(place.path()).and_then(|foreign| foreign.without_tokenizer(Device::Cpu));
            match model {
                Ok(model) => {
                    let time = model.config.context_len.min(3);
                    let logits =
                        model.logits(&Tensor::from_slice(&[1_i64, 2, 3]).narrow(0, 0, time).unsqueeze(0)).unwrap();
                    assert!(logits.isfinite().all().int64_value(&[]) == 1, "{settings}");
                }
                Err(error) => assert!(error.to_string().len() > 20, "{error}: {settings}"),
            }
        }
    }
}
