//! Models of others as a person meets them: fetched by their names, opened wherever they are, written for others.

#[path = "../../glasslab-data/tests/server/mod.rs"]
mod server;

use glasslab::model::{AnyModel, Family, ModelConfig, TransformerConfig};
use glasslab_data::foreign::{Form, export};
use glasslab_data::models::HubModel;
use serde_json::Value;
use server::{Answer, Request, Server, names};
use std::path::Path;
use std::process::{Command, Output};
use tch::Device;

/// Its files have no pinned checksums, so any model can stand for it.
const GEMMA: &str = "gemma-3-270m";

fn glasslab(folder: &Path, hub: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glasslab"));
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    for name in ["GLASSLAB_DATA", "GLASSLAB_COMMAND", "GLASSLAB_MODELS"] {
        command.env_remove(name);
    }
    command.env("GLASSLAB_CACHE", folder.join("cache")).env("GLASSLAB_HUB", hub).env("HF_TOKEN", "a secret");
    command.current_dir(folder).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("panicked"), "{said}");
    said
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// An address where nobody listens.
const NOWHERE: &str = "http://127.0.0.1:9";

fn tiny() -> AnyModel {
    let config = TransformerConfig { n_layers: 1, emb_dim: 16, head_dim: 4, n_hidden: 16, ..Family::Gemma3.config() };
    AnyModel::new(ModelConfig::Transformer(config), Device::Cpu).unwrap()
}

/// The files of a tiny model under the paths that the hub has Gemma's at.
fn files() -> Vec<(String, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    export(&tiny(), Form::HuggingFace, folder.path()).unwrap();
    let HubModel { repository, revision, files, .. } = HubModel::named(GEMMA).unwrap();
    let file = |path: &str| std::fs::read(folder.path().join(path)).unwrap();
    files.iter().map(|part| (format!("/{repository}/resolve/{revision}/{}", part.path), file(part.path))).collect()
}

fn writes(folder: &Path, model: &str) -> Output {
    glasslab(folder, NOWHERE, &["generate", model, "--prompt", "Once", "--chars", "5", "--raw"])
}

#[test]
fn a_model_is_fetched_by_its_name_once_and_opened_by_it_without_a_network() {
    let files = files();
    let server = Server::of_files(files.clone());
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let missing = writes(folder, GEMMA);
    assert!(!missing.status.success() && said(&missing).contains("glasslab fetch model gemma-3-270m"), "{missing:?}");

    let fetch = ["fetch", "model", GEMMA, "--json"];
    let first = glasslab(folder, &server.address, &fetch);
    assert!(said(&first).contains("Gemma's terms of use"), "{}", said(&first));
    let told = json(&first);
    assert_eq!((told["name"].as_str(), told["is_new"].as_bool()), (Some(GEMMA), Some(true)));
    let place = folder.join("cache/models").join(GEMMA);
    assert_eq!(Path::new(told["path"].as_str().unwrap()), place);
    assert!(server.requests().iter().all(|request| request.authorization.is_none()), "a mirror is not told who asks");
    let count = server.requests().len();
    assert_eq!(
        (count, json(&glasslab(folder, &server.address, &fetch))["is_new"].as_bool()),
        (files.len(), Some(false))
    );
    assert_eq!(server.requests().len(), count, "what is here is not asked for");

    let written = writes(folder, GEMMA);
    assert!(written.status.success() && said(&written).contains("importing"), "{}", said(&written));
    let again = writes(folder, GEMMA);
    assert_eq!((said(&again).contains("importing"), &again.stdout), (false, &written.stdout));

    std::fs::write(place.join("tokenizer.json"), "{}").unwrap();
    let mended = glasslab(folder, &server.address, &fetch);
    assert!(said(&mended).contains("is damaged: it is fetched again"), "{}", said(&mended));
    assert!(writes(folder, GEMMA).status.success());
}

#[test]
fn what_broke_off_goes_on_where_it_was() {
    let files = files();
    let server = Server::start(move |request: &Request| {
        let Some((path, bytes)) = files.iter().find(|(path, _)| *path == request.path) else {
            return Answer::status(404);
        };
        let answer = Answer::file(request, bytes, Some("\"v1\""));
        if path.ends_with(".safetensors") && request.from.is_none() { answer.cut(5_000) } else { answer }
    });
    let folder = tempfile::tempdir().unwrap();
    assert!(glasslab(folder.path(), &server.address, &["fetch", "model", GEMMA]).status.success());
    assert!(server.requests().iter().any(|request| request.from.is_some()), "{:?}", server.requests());
    assert!(writes(folder.path(), GEMMA).status.success());
}

#[test]
fn what_can_not_be_fetched_is_a_sentence_that_says_what_to_do() {
    let HubModel { repository, revision, files, .. } = HubModel::named("stories260K").unwrap();
    let wrong = format!("/{repository}/resolve/{revision}/{}", files[0].path);
    let corrupt = Server::of_files(vec![(wrong, vec![7; 6_227])]);
    let gate = |status| Server::start(move |_: &Request| Answer::status(status));
    let (locked, forbidden) = (gate(401), gate(403));
    for (hub, arguments, status, sentence) in [
        (NOWHERE, &["fetch", "model", "stories260K"][..], 3, "can't be reached"),
        (&corrupt.address, &["fetch", "model", "stories260K"], 1, "is not the known file"),
        (&corrupt.address, &["fetch", "model", "SmolLM2-135M"], 1, "is not there (HTTP 404)"),
        (&locked.address, &["fetch", "model", GEMMA], 1, "(HTTP 401): is the address of the mirror right"),
        (&forbidden.address, &["fetch", "model", GEMMA], 1, "(HTTP 403): is the address of the mirror right"),
        (NOWHERE, &["fetch", "model", "gpt5"], 1, "knows no model gpt5: glasslab fetches stories260K, stories15M"),
        (NOWHERE, &["fetch", "model"], 1, "say which model"),
        (NOWHERE, &["fetch", "tinystories", "stories260K"], 1, "glasslab fetch model NAME"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let output = glasslab(folder.path(), hub, arguments);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(sentence), "{arguments:?}: {}", said(&output));
        let left = names(&folder.path().join("cache/models/stories260K"));
        assert!(left.iter().all(|name| name.contains(".part")), "{left:?}");
    }
}

#[test]
fn the_list_says_where_each_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let list = glasslab(folder.path(), NOWHERE, &["fetch", "model", "--list"]);
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(
        list.contains("stories260K") && list.contains("SmolLM2-135M-Instruct") && list.contains("Apache-2.0"),
        "{list}"
    );
    let gemma = list.lines().find(|line| line.starts_with(GEMMA)).unwrap();
    assert!(gemma.contains("no checksum is known") && gemma.contains("terms of use"), "{gemma}");
    let told = json(&glasslab(folder.path(), NOWHERE, &["fetch", "model", "--list", "--json"]));
    assert_eq!(told[0]["files"][1]["bytes"], 1_056_540);
}

#[test]
fn a_file_of_others_is_imported_once_and_anew_when_it_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tiny().save(folder.join("own.safetensors")).unwrap();
    for (form, out) in [("hf", "theirs"), ("gguf", "theirs.gguf")] {
        let written = glasslab(folder, NOWHERE, &["export", "own.safetensors", "--as", form, "--out", out, "--json"]);
        assert_eq!(json(&written)["family"], "Gemma 3");
        let first = writes(folder, out);
        assert!(first.status.success() && said(&first).contains("importing"), "{}", said(&first));
        assert_eq!((said(&writes(folder, out)).as_str(), first.stdout), ("", writes(folder, "own.safetensors").stdout));
    }
    let imported = folder.join("cache/imported");
    assert_eq!(names(&imported).len(), 2, "{:?}", names(&imported));
    let text = std::fs::read_to_string(folder.join("theirs/config.json")).unwrap();
    std::fs::write(folder.join("theirs/config.json"), text + "\n").unwrap();
    assert!(said(&writes(folder, "theirs")).contains("importing"), "it has changed");
    assert_eq!(names(&imported).len(), 2, "what was made of the older one is gone: {:?}", names(&imported));
    // Weights by themselves say what is missing.
    let alone = writes(folder, "theirs/model.safetensors");
    assert!(!alone.status.success() && said(&alone).contains("give the folder that it is in"), "{}", said(&alone));
    let refused = glasslab(folder, NOWHERE, &["export", "own.safetensors", "--as", "llama2c", "--out", "own.bin"]);
    assert!(!refused.status.success() && said(&refused).contains("train one with"), "{}", said(&refused));
}
