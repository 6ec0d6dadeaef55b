//! The command makes a model of ours from one of others.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn glasslab(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_glasslab")).current_dir(folder).args(arguments).output().unwrap()
}

/// A tiny random Llama as llama2.c writes it, with a tokenizer of the 256 bytes.
fn write_llama2c(folder: &Path) {
    let pieces: Vec<String> = ["<unk>", "<s>", "</s>"]
        .into_iter()
        .map(str::to_owned)
        .chain((0..256).map(|byte| format!("<0x{byte:02X}>")))
        .collect();
    let mut tokenizer = 6_u32.to_le_bytes().to_vec();
    for piece in &pieces {
        tokenizer.extend([&0_f32.to_le_bytes()[..], &(piece.len() as u32).to_le_bytes(), piece.as_bytes()].concat());
    }
    std::fs::write(folder.join("tokenizer.bin"), tokenizer).unwrap();
    let (dim, hidden, layers, heads, kv_heads, context) = (8, 12, 2, 2, 1, 32);
    let header = [dim, hidden, layers, heads, kv_heads, pieces.len(), context].map(|size| size as i32);
    let kv_dim = dim / heads * kv_heads;
    let block = 2 * dim + 2 * dim * dim + 2 * kv_dim * dim + 3 * hidden * dim;
    let count = pieces.len() * dim + layers * block + dim + context * dim / heads;
    let numbers = (0..count).map(|place| ((place * 7919 % 1000) as f32 / 1000.0 - 0.5).to_le_bytes());
    let bytes = header.map(i32::to_le_bytes).into_iter().chain(numbers).flatten().collect::<Vec<u8>>();
    std::fs::write(folder.join("tiny.bin"), bytes).unwrap();
}

#[test]
fn an_imported_model_is_one_of_ours_that_writes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write_llama2c(folder);
    let output = glasslab(folder, &["import", "tiny.bin", "--out", "tiny.safetensors", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let config = &said["config"];
    assert_eq!((&said["family"], &said["parameters"]), (&"llama".into(), &(259 * 8 + 2 * (16 + 192 + 288) + 8).into()));
    assert_eq!((&config["n_kv_heads"], &config["gated"], &config["tied"]), (&1.into(), &true.into(), &true.into()));
    let written = glasslab(folder, &["generate", "tiny.safetensors", "--prompt", "Once", "--chars", "9", "--raw"]);
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    assert!(String::from_utf8_lossy(&written.stdout).starts_with("Once"));
}

#[test]
fn what_is_no_model_is_told_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("notes.txt"), "Once upon a time").unwrap();
    for (from, sentence) in [("notes.txt", "it reads GGUF files"), ("nothing.gguf", "nothing.gguf")] {
        let output = glasslab(folder, &["import", from, "--out", "out.safetensors"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(sentence) && !said.contains("panicked"), "{said}");
    }
    assert!(!folder.join("out.safetensors").exists());
    // A Hugging Face folder's own file has the name that is usual here.
    std::fs::write(folder.join("model.safetensors"), "numbers of others").unwrap();
    for arguments in [
        &["import", "."][..],
        &["import", "model.safetensors"],
        &["import", "notes.txt", "--out", "notes.txt"],
        &["export", "model.safetensors", "--as", "hf", "--out", "."],
        &["export", "model.safetensors", "--as", "gguf", "--out", "model.safetensors"],
    ] {
        let said = String::from_utf8_lossy(&glasslab(folder, arguments).stderr).into_owned();
        assert!(said.contains("give --out another place"), "{arguments:?}: {said}");
    }
    assert_eq!(std::fs::read_to_string(folder.join("model.safetensors")).unwrap(), "numbers of others");
}
