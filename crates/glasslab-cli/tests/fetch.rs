//! The command's fetching and preparing, as a person meets it: exit statuses, what is said, and what is left on the disk
//! when it is killed, the disk is full, or two run at once.

#[path = "../../glasslab-data/tests/server/mod.rs"]
mod server;

use glasslab::data::{Stories, TokenFile};
use serde_json::Value;
use server::{Answer, Request, Server, names, parquet, stories};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const VALID: &str = "/data/validation-00000-of-00001.parquet";
const TRAIN: &str = "/data/train-00000-of-00001.parquet";

/// The command with its cache in `folder` and a mirror; nothing of the tester's own environment reaches it.
fn glasslab(folder: &Path, hub: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glasslab"));
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.env_remove("GLASSLAB_DATA").env_remove("GLASSLAB_COMMAND");
    command.env("GLASSLAB_CACHE", folder).env("GLASSLAB_HUB", hub).current_dir(folder);
    command
}

fn run(folder: &Path, hub: &str, arguments: &[&str]) -> Output {
    glasslab(folder, hub).args(arguments).output().unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn said(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// An address where nobody listens.
fn nowhere() -> String {
    "http://127.0.0.1:9".to_owned()
}

fn whole(folder: &Path, name: &str) -> Vec<String> {
    let path = folder.join("datasets").join(name);
    TokenFile::open(&path).unwrap().verify().unwrap();
    Stories::from_token_file(&path).unwrap().iter().map(str::to_owned).collect()
}

#[test]
fn both_splits_are_fetched_counted_and_opened_by_name() {
    let all = stories(300);
    let server =
        Server::of_files(vec![(TRAIN.to_owned(), parquet(&all[..250])), (VALID.to_owned(), parquet(&all[250..]))]);
    let folder = tempfile::tempdir().unwrap();
    let fetch = ["fetch", "tinystories", "--split", "all"];
    let report = json(&run(folder.path(), &server.address, &[&fetch[..], &["--json"]].concat()));
    assert_eq!((report[0]["stories"].as_u64(), report[1]["stories"].as_u64()), (Some(250), Some(50)));
    let again = run(folder.path(), &server.address, &fetch);
    let told = String::from_utf8_lossy(&again.stdout);
    assert!(told.contains("train: 250 stories") && told.contains("0 duplicates"), "{told}");
    assert_eq!(said(&again), "", "nothing to fetch, nothing to say");

    let path = report[0]["tokens"].as_str().unwrap();
    let inspected = json(&run(folder.path(), &server.address, &["inspect", path, "--verify", "--json"]));
    assert_eq!((inspected["stories"].as_u64(), inspected["verified"].as_bool()), (Some(250), Some(true)));
    assert!(inspected["opened_ms"].as_f64().unwrap() < 50.0, "{inspected}");
    assert!(inspected["resident_bytes"].as_u64().unwrap() < 30_000_000, "{inspected}");

    let epoch = |seed: &str| {
        json(&run(folder.path(), &server.address, &["inspect", path, "--epoch", seed, "--json"]))["epoch"].clone()
    };
    assert_eq!(epoch("5")["checksum"], epoch("5")["checksum"], "one seed gives one order");
    assert_ne!(epoch("5")["checksum"], epoch("6")["checksum"]);

    let ladder = json(&run(folder.path(), &server.address, &["compare", "--data", "tinystories", "--json"]));
    let predicted: usize = all[250..].iter().map(|story| story.chars().count() - 1).sum();
    assert_eq!(ladder[0]["chars"], predicted, "held out is the validation split");
}

#[test]
fn the_library_runs_the_command_where_nothing_is_prepared() {
    let all = stories(120);
    let server = Server::of_files(vec![(VALID.to_owned(), parquet(&all))]);
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &server.address, &["doctor", "--json"]);
    assert_ne!(json(&output)["stories"], 108);
    let doctor = |hub: &str| {
        let output =
            glasslab(folder.path(), hub).env("GLASSLAB_DATA", "tinystories").args(["doctor"]).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        // What is said on the way is no part of the answer.
        let answer = String::from_utf8(output.stdout.clone()).unwrap();
        assert!(answer.starts_with("libtorch"), "{answer}");
        said(&output) + &answer
    };
    let first = doctor(&server.address);
    assert!(first.contains("no checksum of it was known"), "what the command says is shown: {first}");
    assert!(first.contains("108 stories to learn from, 12 held out"), "{first}");
    assert!(doctor(&nowhere()).contains("108 stories to learn from"), "now it needs no network");

    // Damaged: rebuilt from the download, without a network.
    let tokens = folder.path().join("datasets/tinystories-valid.tokens");
    let half = std::fs::read(&tokens).unwrap()[..4000].to_vec();
    std::fs::remove_file(&tokens).unwrap();
    std::fs::write(&tokens, half).unwrap();
    let rebuilt = doctor(&server.address);
    assert!(rebuilt.contains("is damaged") && rebuilt.contains("108 stories to learn from"), "{rebuilt}");
}

#[test]
fn offline_the_command_ends_with_3_and_the_library_goes_on_with_its_own_stories() {
    let folder = tempfile::tempdir().unwrap();
    let hub = nowhere();
    let started = Instant::now();
    let output = run(folder.path(), &hub, &["fetch"]);
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(output.status.code(), Some(3));
    assert!(said(&output).contains("can't be reached") && said(&output).contains("check the connection"), "{output:?}");
    let output = glasslab(folder.path(), &hub).env("GLASSLAB_DATA", "tinystories").arg("doctor").output().unwrap();
    let told = said(&output);
    let lines = told.lines().filter(|line| line.contains("Going on with the stories that come with glasslab")).count();
    assert!(output.status.success() && lines == 1, "{told}");

    let mut missing = glasslab(folder.path(), &hub);
    missing.env("GLASSLAB_DATA", "tinystories").env("GLASSLAB_COMMAND", "/nowhere/glasslab");
    let told = said(&missing.arg("doctor").output().unwrap());
    assert!(told.contains("/nowhere/glasslab is not there") && told.contains("Going on with"), "{told}");
}

#[test]
fn what_is_wrong_ends_with_1_and_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::of_files(vec![(VALID.to_owned(), b"<html>".to_vec())]);
    for (hub, arguments, expected) in [
        (server.address.as_str(), &["fetch"][..], "no whole parquet file"),
        (&server.address, &["fetch", "--split", "train"], "neither the pinned files"),
        ("mirror", &["fetch"], "GLASSLAB_HUB"),
        (&server.address, &["prepare", "nowhere.parquet"], "nowhere.parquet"),
        (&server.address, &["prepare", "own.txt", "--out", "own.txt"], "name it own.tokens"),
        (&server.address, &["inspect", "nowhere.tokens"], "nowhere.tokens"),
    ] {
        let output = run(folder.path(), hub, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(said(&output).contains(expected), "{arguments:?}: {}", said(&output));
    }
    let output =
        glasslab(folder.path(), &server.address).env("GLASSLAB_DATA", "tinystories").arg("doctor").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "another failure than the network is not passed over");
    assert!(said(&output).contains("no whole parquet file"), "{}", said(&output));
    for shards in ["0", "3..2", "one", "1.."] {
        let output = run(folder.path(), &server.address, &["fetch", "--split", "train", "--shards", shards]);
        assert_eq!(output.status.code(), Some(2), "{shards}");
    }
}

#[test]
fn a_proxy_of_the_environment_is_used() {
    let bytes = parquet(&stories(50));
    let proxy = Server::start(move |request: &Request| match request.path.as_str() {
        // A proxy is asked with the whole address.
        "http://mirror.example/data/validation-00000-of-00001.parquet" => Answer::file(request, &bytes, None),
        _ => Answer::status(404),
    });
    let folder = tempfile::tempdir().unwrap();
    let mut command = glasslab(folder.path(), "http://mirror.example");
    let report = json(&command.env("http_proxy", &proxy.address).args(["fetch", "--json"]).output().unwrap());
    assert_eq!(report[0]["stories"], 50);
}

#[test]
fn a_person_s_parquet_trains_a_model_without_a_word_about_parquet() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine.parquet"), parquet(&stories(100))).unwrap();
    for _ in 0..2 {
        let trained = json(&run(
            folder.path(),
            "",
            &["train", "--model", "mlp", "--data", "mine.parquet", "--steps", "20", "--json"],
        ));
        assert!(trained["nats_per_char"].as_f64().unwrap() < 5.5);
    }
    assert_eq!(names(&folder.path().join("datasets/own")).len(), 1);
    let report = json(&run(folder.path(), "", &["prepare", "mine.parquet", "--out", "mine.tokens", "--json"]));
    assert_eq!(report["stories"], 100);
    let evaluated =
        json(&run(folder.path(), "", &["evaluate", "model.safetensors", "--data", "mine.tokens", "--json"]));
    let predicted: usize = stories(100).iter().map(|story| story.len() - 1).sum();
    assert_eq!(evaluated["chars"], predicted);
    std::fs::write(folder.path().join("bad.parquet"), "no parquet").unwrap();
    let output = run(folder.path(), "", &["evaluate", "model.safetensors", "--data", "bad.parquet"]);
    assert!(said(&output).contains("no whole parquet file"), "{}", said(&output));
}

/// A parquet file that takes a while to prepare.
fn large() -> (Vec<String>, Vec<u8>) {
    let all: Vec<String> = stories(60_000).iter().map(|story| format!("{story} {}", story.repeat(3))).collect();
    let bytes = parquet(&all);
    (all, bytes)
}

#[test]
fn a_full_disk_is_told_nothing_half_is_taken_for_whole_and_the_next_run_goes_on() {
    let (all, bytes) = large();
    let length = bytes.len();
    let server = Server::of_files(vec![(VALID.to_owned(), bytes)]);
    let folder = tempfile::tempdir().unwrap();
    // A file may have so many KiB: first the download does not fit, then the token file does not.
    for (limit, part) in [(length / 2048, "parquet.part"), (length / 1024 + 1000, "tokens.part")] {
        let script = format!("ulimit -f {limit}; trap '' XFSZ; exec \"$@\"");
        let plain = glasslab(folder.path(), &server.address);
        let mut limited = Command::new("bash");
        limited.args(["-c", &script, "bash"]).arg(plain.get_program()).arg("fetch").current_dir(folder.path());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => limited.env(name, value),
                None => limited.env_remove(name),
            };
        }
        let output = limited.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let told = said(&output);
        assert!(told.contains("no room") && told.contains("free some space") && told.contains(part), "{told}");
        assert!(!folder.path().join("datasets/tinystories-valid.tokens").exists());
    }
    assert!(server.requests().iter().any(|request| request.from.is_some()), "the download went on where it stopped");
    assert!(run(folder.path(), &server.address, &["fetch"]).status.success());
    assert_eq!(whole(folder.path(), "tinystories-valid.tokens"), all);
}

#[test]
fn killed_at_any_moment_the_next_run_makes_it_whole() {
    let (all, bytes) = large();
    let server = Server::of_files(vec![(VALID.to_owned(), bytes)]);
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("datasets/tinystories-valid.tokens");
    let mut preparing = 0;
    for round in 0..12 {
        let mut child = glasslab(folder.path(), &server.address)
            .arg("fetch")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let part = folder.path().join("datasets/tinystories-valid.tokens.part");
        // Half of them while the token file grows, the others at a moment that moves on.
        let started = Instant::now();
        let in_time = || started.elapsed() < Duration::from_secs(20);
        while round % 2 == 0 && !part.exists() && !tokens.exists() && in_time() {
            std::thread::sleep(Duration::from_micros(200));
        }
        std::thread::sleep(Duration::from_millis(if round % 2 == 0 { 5 * round } else { 30 * round }));
        preparing += usize::from(part.exists());
        child.kill().unwrap();
        child.wait().unwrap();
        if tokens.exists() {
            assert_eq!(whole(folder.path(), "tinystories-valid.tokens"), all, "round {round}");
            std::fs::remove_file(&tokens).unwrap();
        }
    }
    assert!(preparing >= 3, "killed {preparing} times while preparing");
    assert!(run(folder.path(), &server.address, &["fetch"]).status.success());
    assert_eq!(whole(folder.path(), "tinystories-valid.tokens"), all);
    let left = names(&folder.path().join("datasets"));
    assert_eq!(left, ["downloads", "lock", "tinystories-valid.tokens"], "no part is left");
}

#[test]
fn two_commands_at_once_both_end_well_and_fetch_once() {
    let bytes = parquet(&stories(500));
    let server = Server::start(move |request: &Request| {
        std::thread::sleep(Duration::from_millis(200));
        if request.path == VALID { Answer::file(request, &bytes, None) } else { Answer::status(404) }
    });
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let mut command = glasslab(folder.path(), &server.address);
        command.args(["fetch", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let reports = [start(), start(), start()].map(|child| json(&child.wait_with_output().unwrap()));
    assert_eq!(reports.iter().filter(|report| report[0]["is_new"] == true).count(), 1);
    assert!(reports.iter().all(|report| report[0]["stories"] == 500));
    assert_eq!(server.requests().iter().filter(|request| request.path == VALID).count(), 1);
}
