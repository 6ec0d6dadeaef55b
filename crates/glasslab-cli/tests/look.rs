//! Looking into a model from the command line: the trace and the page of pictures.

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

fn train(folder: &Path, model: &str, out: &str) {
    succeeds(
        folder,
        &["train", "--model", model, "--preset", "original", "--steps", "3", "--batch-size", "2", "--out", out],
    );
}

#[test]
fn a_trace_has_every_step_with_its_shape_and_equals_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for model in ["transformer", "mlp"] {
        train(folder, model, "m.safetensors");
        let json = succeeds(folder, &["trace", "m.safetensors", "--text", "Once upon", "--json"]);
        let trace: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(trace["max_abs_error"], 0.0);
        let steps = trace["steps"].as_array().unwrap();
        let shape = |name: &str| steps.iter().find(|step| step["name"] == name).map(|step| step["shape"].clone());
        assert_eq!(shape("logits").unwrap(), serde_json::json!([1, 9, 256]));
        assert_eq!(shape("block.0.attn.scores"), (model == "transformer").then(|| serde_json::json!([1, 1, 9, 9])));
        assert!(
            steps.iter().all(|step| step["shape"].as_array().unwrap().len() == step["axes"].as_array().unwrap().len())
        );
        assert!(succeeds(folder, &["trace", "m.safetensors"]).contains("max_abs_error 0"));
    }
    succeeds(folder, &["train", "--preset", "small", "--steps", "1", "--batch-size", "2", "--out", "m.safetensors"]);
    let (folded, whole) =
        (succeeds(folder, &["trace", "m.safetensors"]), succeeds(folder, &["trace", "m.safetensors", "--whole"]));
    assert!(
        folded.contains("block.2 (16 steps like block.0's)") && !folded.contains("block.2.attn.scores"),
        "{folded}"
    );
    assert!(whole.contains("block.2.attn.scores") && !whole.contains("block.2 ("), "{whole}");
}

#[test]
fn one_step_its_arithmetic_and_its_page_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder, "transformer", "m.safetensors");
    let look = |more: &[&str]| succeeds(folder, &[&["trace", "m.safetensors", "--text", "Once"], more].concat());
    let step: Value = serde_json::from_str(&look(&["--step", "block.0.attn.masked", "--json"])).unwrap();
    assert_eq!(step["numbers"].as_array().unwrap().iter().filter(|number| number.is_null()).count(), 6, "−∞ is null");
    let by_hand: Value =
        serde_json::from_str(&look(&["--step", "block.0.attn.scores", "--by-hand", "0,0,2,1", "--json"])).unwrap();
    let number = |key: &str| by_hand[key].as_f64().unwrap();
    assert!((number("result") - number("traced")).abs() < 1e-5, "{by_hand}");
    look(&["--html", "page.html"]);
    assert!(std::fs::read_to_string(folder.join("page.html")).unwrap().contains("data:image/png"));
    assert!(fails(folder, &["trace", "m.safetensors", "--text", ""]).contains("at least one character"));
    assert!(fails(folder, &["trace", "m.safetensors", "--step", "dance"]).contains("block.0.attn.scores"));
}

#[test]
fn the_gallery_is_one_page_that_needs_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder, "transformer", "m.safetensors");
    let made = succeeds(folder, &["gallery", "m.safetensors", "--text", "A <b> story", "--film-steps", "2", "--json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    assert!(made["pictures"].as_u64().unwrap() >= 25, "{made}");
    let page = std::fs::read_to_string(folder.join("gallery.html")).unwrap();
    let page = page.replace("http://www.w3.org/2000/svg", ""); // a name, not an address
    assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("<b> story"));
    train(folder, "mlp", "mlp.safetensors");
    assert!(fails(folder, &["gallery", "mlp.safetensors"]).contains("give a transformer"));
}
