//! The command as a person calls it: train, measure, write, and what it says when something is wrong.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn glasslab(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_glasslab")).args(arguments).current_dir(folder).output().unwrap()
}

fn succeeds(folder: &Path, arguments: &[&str]) -> String {
    let output = glasslab(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn fails(folder: &Path, arguments: &[&str]) -> String {
    let output = glasslab(folder, arguments);
    assert!(!output.status.success(), "{arguments:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[test]
fn a_model_is_trained_measured_and_writes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let text = "Once upon a time, there was a cat. The cat sat on the mat and saw a rat. ".repeat(20);
    std::fs::write(folder.join("mine.txt"), &text).unwrap();
    for (model, preset) in [("mlp", "original"), ("transformer", "original"), ("transformer", "small")] {
        let trained: Value = serde_json::from_str(&succeeds(
            folder,
            &[
                "train",
                "--model",
                model,
                "--preset",
                preset,
                "--data",
                "mine.txt",
                "--steps",
                "30",
                "--out",
                "m.safetensors",
                "--json",
            ],
        ))
        .unwrap();
        assert!(trained["nats_per_char"].as_f64().unwrap() < 5.0, "{trained}");
        let measured: Value =
            serde_json::from_str(&succeeds(folder, &["evaluate", "m.safetensors", "--data", "mine.txt", "--json"]))
                .unwrap();
        assert_eq!(measured["chars"], text.trim().len() - 1);
        let ratio = measured["bits_per_char"].as_f64().unwrap() / measured["nats_per_char"].as_f64().unwrap();
        assert!((ratio - std::f64::consts::LOG2_E).abs() < 1e-9);
        let write = ["generate", "m.safetensors", "--prompt", "Once", "--chars", "150", "--seed", "1"];
        let written = succeeds(folder, &write);
        assert!(written.starts_with("Once"));
        assert_eq!(written.chars().count(), "Once".len() + 150 + "\n".len());
        assert_eq!(succeeds(folder, &write), written, "one seed gives one text");
    }
}

#[test]
fn the_ladder_is_measured_on_the_same_characters() {
    let folder = tempfile::tempdir().unwrap();
    let ladder: Value = serde_json::from_str(&succeeds(folder.path(), &["compare", "--json"])).unwrap();
    let rows = ladder.as_array().unwrap();
    assert_eq!(rows[0]["model"], "uniform guessing");
    assert_eq!(rows.len(), 7);
    assert!(rows.iter().all(|row| row["chars"] == rows[0]["chars"]));
    let losses: Vec<f64> = rows.iter().map(|row| row["nats_per_char"].as_f64().unwrap()).collect();
    assert!(losses.is_sorted_by(|a, b| a > b), "{ladder}");
}

#[test]
fn what_is_wrong_is_told_in_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("empty.txt"), "").unwrap();
    std::fs::write(folder.join("bytes.txt"), [0xff, 0xfe]).unwrap();
    std::fs::write(folder.join("short.txt"), "word ".repeat(30)).unwrap();
    assert!(fails(folder, &["evaluate", "nowhere.safetensors"]).contains("nowhere.json"));
    assert!(fails(folder, &["train", "--data", "nowhere.txt"]).contains("nowhere.txt"));
    assert!(fails(folder, &["train", "--data", "empty.txt"]).contains("no text"));
    assert!(fails(folder, &["train", "--data", "bytes.txt"]).contains("UTF-8"));
    assert!(fails(folder, &["train", "--data", "short.txt", "--seconds", "-1"]).contains("more than 0 seconds"));
    assert!(fails(folder, &["train", "--data", "short.txt", "--out", "model.pt"]).contains(".safetensors"));
    assert!(fails(folder, &["train", "--model", "mlp", "--preset", "small"]).contains("leave --preset out"));
}

#[test]
fn the_doctor_computes() {
    let folder = tempfile::tempdir().unwrap();
    let report: Value = serde_json::from_str(&succeeds(folder.path(), &["doctor", "--json"])).unwrap();
    assert_eq!(report["computes"], true);
}
