//! A Hugging Face folder: `config.json` is written last, so that a folder which has one is whole.

use super::super::chat_template;
use super::super::names::keys;
use super::file::{write_numbers, write_whole};
use super::plan::Plan;
use super::tokenizer_json;
use crate::error::{Error, Result};
use glasslab::model::rotary::{Slowed, Speeds};
use glasslab::model::{Activation, Family, TransformerConfig};
use glasslab::tokenizer::Vocabulary;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::Path;
use tch::Tensor;

pub(super) fn write(folder: &Path, plan: &Plan, vocabulary: &Vocabulary, weights: &[(String, Tensor)]) -> Result<()> {
    let tokenizer = tokenizer_json::tokenizer(vocabulary).map_err(Error::Wrong)?;
    std::fs::create_dir_all(folder).map_err(Error::file(folder))?;
    // What would be read as part of the model, and is of one that was there before.
    for old in ["config.json", "model.safetensors.index.json", "chat_template.jinja"] {
        match std::fs::remove_file(folder.join(old)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::file(&folder.join(old))(error));
            }
            _ => {}
        }
    }
    let text = |name: &str, value: &Value| write_whole(&folder.join(name), |file| writeln!(file, "{value:#}"));
    write_whole(&folder.join("model.safetensors"), |file| write_weights(file, weights))?;
    text("tokenizer.json", &tokenizer)?;
    let piece = |id: &u32| String::from_utf8_lossy(&vocabulary.pieces[*id as usize].0).into_owned();
    let mut said = json!({
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": plan.config.context_len,
        "clean_up_tokenization_spaces": false,
    });
    if let Some(begin) = &vocabulary.begin {
        said["bos_token"] = piece(begin).into();
    }
    if let Some(end) = vocabulary.ends.last() {
        said["eos_token"] = piece(end).into();
    }
    if let Some(format) = &vocabulary.chat {
        said["chat_template"] = chat_template::template(format).into();
    }
    text("tokenizer_config.json", &said)?;
    let ids = json!({ "bos_token_id": vocabulary.begin, "eos_token_id": ends(vocabulary), "pad_token_id": null });
    text("generation_config.json", &ids)?;
    let mut settings = settings(plan);
    settings.extend(ids.as_object().cloned().unwrap_or_default());
    text("config.json", &Value::Object(settings))
}

/// One id, or several.
fn ends(vocabulary: &Vocabulary) -> Value {
    match &vocabulary.ends[..] {
        [] => Value::Null,
        [one] => json!(one),
        several => json!(several),
    }
}

/// Safetensors: the length of a header, the header, the numbers.
fn write_weights(file: &mut impl Write, weights: &[(String, Tensor)]) -> std::io::Result<()> {
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut place = 0;
    for (name, tensor) in weights {
        let end = place + 4 * tensor.numel();
        let said = json!({ "dtype": "F32", "shape": tensor.size(), "data_offsets": [place, end] });
        header.insert(name.clone(), said);
        place = end;
    }
    let mut header = Value::Object(header).to_string();
    header += &" ".repeat(header.len().next_multiple_of(8) - header.len());
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    weights.iter().try_for_each(|(_, tensor)| write_numbers(tensor, file))
}

/// What `config.json` says of the model.
fn settings(plan: &Plan) -> Map<String, Value> {
    let Plan { config, family, .. } = plan;
    let TransformerConfig { n_layers, window, .. } = *config;
    let keys = keys(plan.form, *family);
    let mut said = Map::new();
    let mut say = |key: &str, value: Value| {
        said.insert(key.to_owned(), value);
    };
    let class = match family {
        Family::Gpt2 => "GPT2LMHeadModel",
        Family::GptNeo => "GPTNeoForCausalLM",
        Family::Llama => "LlamaForCausalLM",
        Family::Mistral => "MistralForCausalLM",
        Family::Qwen2 => "Qwen2ForCausalLM",
        Family::Qwen3 => "Qwen3ForCausalLM",
        Family::Gemma3 => "Gemma3ForCausalLM",
    };
    say("architectures", json!([class]));
    say("model_type", plan.architecture.into());
    say("dtype", "float32".into());
    say("vocab_size", config.n_vocab.into());
    say(keys.context_len, config.context_len.into());
    say(keys.emb_dim, config.emb_dim.into());
    say(keys.n_layers, n_layers.into());
    say(keys.n_heads, config.n_heads.into());
    say(keys.n_hidden, config.n_hidden.into());
    say(keys.epsilon, config.epsilon.into());
    say("tie_word_embeddings", config.tied.into());
    let activation = match config.activation {
        Activation::Relu => "relu",
        Activation::Gelu => "gelu",
        Activation::ReluSquared => "relu2",
        Activation::GeluTanh => "gelu_pytorch_tanh",
        Activation::Silu => "silu",
    };
    let near = |block: i64| window.is_some_and(|window| window.of_block(block).is_some());
    if matches!(family, Family::Gpt2 | Family::GptNeo) {
        say("activation_function", activation.into());
        for dropout in
            ["resid_pdrop", "embd_pdrop", "attn_pdrop", "resid_dropout", "embed_dropout", "attention_dropout"]
        {
            say(dropout, json!(0.0));
        }
        if let Some(window) = window {
            let kinds = (0..n_layers).map(|block| json!([[if near(block) { "local" } else { "global" }], 1]));
            say("attention_types", kinds.collect());
            say("window_size", window.len.into());
        }
        return said;
    }
    say(keys.n_kv_heads, config.n_kv_heads.into());
    say(keys.head_dim, config.head_dim.into());
    let activation_key = if *family == Family::Gemma3 { "hidden_activation" } else { "hidden_act" };
    say(activation_key, activation.into());
    say("attention_bias", (config.attention_bias && config.qkv_bias).into());
    let is_gemma = *family == Family::Gemma3;
    if is_gemma {
        let near = config.window_speeds.unwrap_or(config.speeds);
        let sets = json!({ "full_attention": turning(config.speeds), "sliding_attention": turning(near) });
        say("rope_parameters", sets);
        say("query_pre_attn_scalar", config.head_dim.into());
    } else {
        say("rope_parameters", turning(config.speeds));
        say("rope_theta", config.speeds.base.into());
    }
    if matches!(family, Family::Qwen2 | Family::Qwen3) {
        say("use_sliding_window", window.is_some().into());
    }
    if matches!(family, Family::Qwen2 | Family::Qwen3 | Family::Gemma3) {
        let kinds = (0..n_layers).map(|block| if near(block) { "sliding_attention" } else { "full_attention" });
        say("layer_types", kinds.collect());
    }
    if is_gemma || window.is_some() || *family == Family::Mistral {
        let len = window.map_or(json!(is_gemma.then_some(config.context_len)), |window| json!(window.len));
        say("sliding_window", len);
    }
    said
}

fn turning(speeds: Speeds) -> Value {
    let base = speeds.base;
    match speeds.slowed {
        None => json!({ "rope_type": "default", "rope_theta": base }),
        Some(Slowed::Evenly { factor }) => json!({ "rope_type": "linear", "rope_theta": base, "factor": factor }),
        Some(Slowed::SlowOnes { factor, low, high, context_len }) => json!({
            "rope_type": "llama3", "rope_theta": base, "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
            "original_max_position_embeddings": context_len as i64,
        }),
    }
}
