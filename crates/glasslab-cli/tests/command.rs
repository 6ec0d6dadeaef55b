//! The command as a person calls it: train, measure, write, and what it says when something is wrong.

use glasslab::train::SavedTraining;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn glasslab(folder: &Path, arguments: &[&str]) -> Output {
    run(folder, arguments)
}

fn run(folder: &Path, arguments: &[impl AsRef<std::ffi::OsStr>]) -> Output {
    command(folder).args(arguments).output().unwrap()
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glasslab"));
    // Several tests at once, each with as many threads as there are cores, would wait for each other.
    command.current_dir(folder).env("OMP_NUM_THREADS", "1");
    command
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
    for (model, preset) in
        [("mlp", "original"), ("transformer", "original"), ("transformer", "small"), ("transformer", "quick")]
    {
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
        assert_eq!((&measured["chars"], &measured["dropped"]), (&json!(text.trim().len() - 1), &json!(0)));
        std::fs::write(folder.join("dash.txt"), format!("{text}\u{2014}")).unwrap();
        let measured: Value =
            serde_json::from_str(&succeeds(folder, &["evaluate", "m.safetensors", "--data", "dash.txt", "--json"]))
                .unwrap();
        assert_eq!(measured["dropped"], 1);
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
    let ladder: Value =
        serde_json::from_str(&succeeds(folder.path(), &["compare", "--json", "--svg", "ladder.svg"])).unwrap();
    assert!(std::fs::read_to_string(folder.path().join("ladder.svg")).unwrap().contains("bigram (counted)"));
    let rows = ladder.as_array().unwrap();
    assert_eq!(rows[0]["model"], "uniform");
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
    std::fs::write(folder.join("bytes.txt"), [0xff, b'a']).unwrap();
    std::fs::write(folder.join("short.txt"), "word ".repeat(30)).unwrap();
    assert!(fails(folder, &["evaluate", "nowhere.safetensors"]).contains("nowhere.safetensors"));
    assert!(fails(folder, &["train", "--data", "nowhere.txt"]).contains("nowhere.txt"));
    assert!(fails(folder, &["train", "--data", "empty.txt"]).contains("no text"));
    assert!(fails(folder, &["train", "--data", "bytes.txt"]).contains("UTF-8"));
    assert!(fails(folder, &["train", "--data", "short.txt", "--seconds", "-1"]).contains("more than 0 seconds"));
    assert!(fails(folder, &["train", "--data", "short.txt", "--out", "model.pt"]).contains(".safetensors"));
    assert!(fails(folder, &["train", "--model", "mlp", "--preset", "small"]).contains("leave --preset out"));
    assert!(fails(folder, &["train", "--data", "short.txt", "--resume"]).contains("nothing to resume"));
    assert!(fails(folder, &["train", "--config", "nowhere.toml"]).contains("nowhere.toml"));
    assert!(fails(folder, &["train", "--data", "short.txt", "--n-heads", "0"]).contains("from 1 to"));
    let long = fails(folder, &["train", "--data", "short.txt", "--context-len", "500"]);
    assert!(long.contains("lower context_len"), "{long}");
}

#[test]
fn the_exit_code_tells_an_error_from_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(glasslab(folder.path(), &["evaluate", "nowhere.safetensors"]).status.code(), Some(1));
    assert_eq!(glasslab(folder.path(), &["dance"]).status.code(), Some(2));
    assert_eq!(glasslab(folder.path(), &["--help"]).status.code(), Some(0));
}

/// Trains the course's transformer, which takes a second, on a text of its own.
const SHORT_TRAINING: [&str; 9] =
    ["train", "--preset", "original", "--data", "mine.txt", "--steps", "40", "--batch-size", "8"];

fn folder_with_text() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = "Once upon a time, there was a cat. The cat sat on the mat and saw a rat. ".repeat(20);
    std::fs::write(folder.path().join("mine.txt"), text).unwrap();
    folder
}

#[test]
fn a_toml_file_says_what_flags_would() {
    let folder = folder_with_text();
    let settings =
        "preset = \"original\"\ndata = \"mine.txt\"\nsteps = 40\nbatch_size = 8\nout = \"toml.safetensors\"\n";
    std::fs::write(folder.path().join("lab.toml"), settings).unwrap();
    let by_file: Value =
        serde_json::from_str(&succeeds(folder.path(), &["train", "--config", "lab.toml", "--json"])).unwrap();
    let flags = [&SHORT_TRAINING[..], &["--json"]].concat();
    let by_flags: Value = serde_json::from_str(&succeeds(folder.path(), &flags)).unwrap();
    assert_eq!(by_file["nats_per_char"], by_flags["nats_per_char"]);
    assert!(folder.path().join("toml.safetensors").exists());
}

#[test]
fn a_stopped_training_keeps_what_was_learnt_and_goes_on_as_if_it_had_not_been() {
    let folder = folder_with_text();
    let training = |out: &str, more: &[&str]| -> Vec<String> {
        let long = ["train", "--preset", "original", "--data", "mine.txt", "--steps", "400", "--json", "--out"];
        [&long[..], &[out], more].concat().into_iter().map(str::to_owned).collect()
    };
    let whole: Value = serde_json::from_slice(&run(folder.path(), &training("whole.safetensors", &[])).stdout).unwrap();
    let mut command = command(folder.path());
    command.args(training("part.safetensors", &[]));
    let mut child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // After the first line of progress, Ctrl-C.
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.by_ref().any(|line| line.unwrap().starts_with("step ")));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let said: String = lines.map(|line| line.unwrap() + "\n").collect();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("--resume"), "{said}");
    let stopped: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(stopped["stopped"] == true && stopped["steps"].as_u64().unwrap() < 400, "{stopped}");
    succeeds(folder.path(), &["evaluate", "part.safetensors", "--data", "mine.txt"]);
    let again = run(folder.path(), &training("part.safetensors", &[]));
    assert!(String::from_utf8_lossy(&again.stderr).contains("add --resume"), "a stopped training is not overwritten");
    let resumed = run(folder.path(), &training("part.safetensors", &["--resume"]));
    assert!(resumed.status.success(), "{}", String::from_utf8_lossy(&resumed.stderr));
    let resumed: Value = serde_json::from_slice(&resumed.stdout).unwrap();
    assert_eq!(resumed["nats_per_char"], whole["nats_per_char"]);
    assert_eq!(resumed["steps"], 400);
    assert!(!folder.path().join("part.training").exists(), "a finished training leaves no state");
}

/// A training that was stopped after its first line of progress, in part.training.
fn stopped_training(folder: &Path, more: &[&str]) {
    let long =
        ["train", "--preset", "original", "--data", "mine.txt", "--steps", "100000000", "--out", "part.safetensors"];
    let mut command = command(folder);
    command.args([&long[..], more].concat());
    std::fs::write(folder.join("brief.toml"), "[train_config]\nreports = 100000000\n").unwrap();
    let mut child =
        command.args(["--config", "brief.toml"]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.by_ref().any(|line| line.unwrap().starts_with("step ")));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let said: String = lines.map(|line| line.unwrap() + "\n").collect();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
}

#[test]
fn a_stopped_training_goes_on_with_what_may_change_and_names_what_may_not() {
    let folder = folder_with_text();
    let folder = folder.path();
    stopped_training(folder, &["--lr", "0.002", "--batch-size", "8"]);
    let resume = ["train", "--out", "part.safetensors", "--data", "mine.txt", "--resume"];
    // As long, but for one letter the same.
    let other = std::fs::read_to_string(folder.join("mine.txt")).unwrap().replacen('O', "A", 1);
    std::fs::write(folder.join("other.txt"), other).unwrap();
    for (flags, named) in [
        (&["--context-len", "50"][..], "context_len is 100 and not 50"),
        (&["--model", "mlp"], "model is \"transformer\" and not \"mlp\""),
        (&["--preset", "small"], "emb_dim is 32 and not 96"),
        (&["--optimiser", "sgd"], "optimiser is \"sgd\" and was \"muon\""),
        (&["--batch-size", "9"], "batch_size is 9 and was 8"),
        (&["--seed", "5"], "seed is 5 and was 0"),
        (&["--data", "other.txt"], "another text"),
    ] {
        // The last --data counts.
        let arguments = match flags[0] {
            "--data" => vec!["train", "--out", "part.safetensors", "--resume", flags[0], flags[1]],
            _ => [&resume[..], flags].concat(),
        };
        let said = fails(folder, &arguments);
        assert!(said.contains(named), "{flags:?}: {said}");
    }
    let before = std::fs::read(folder.join("part.training")).unwrap();
    let steps = (SavedTraining::read(folder.join("part.training")).unwrap().step() + 10).to_string();
    // Without a word about it, it has the model and the learning rate that it had; with one, another.
    let ends = |flags: &[&str]| -> f64 {
        std::fs::write(folder.join("part.training"), &before).unwrap();
        let arguments = [&resume[..], &["--steps", &steps, "--json"], flags].concat();
        let output = run(folder, &arguments);
        let ended: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            panic!("{}", String::from_utf8_lossy(&output.stderr));
        });
        assert!(!folder.join("part.training").exists());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said.contains("lr is 0.0001 and was 0.002"), flags.contains(&"0.0001"), "{said}");
        ended["nats_per_char"].as_f64().unwrap()
    };
    let (same, other) = (ends(&["--preset", "original", "--lr", "0.002"]), ends(&["--lr", "0.0001"]));
    assert_eq!(same, ends(&[]));
    assert_eq!(same, ends(&["--from", "no-longer-there.safetensors"]), "what it began with");
    assert_ne!(same, other);
    // Also where the file of options says what it began with.
    std::fs::write(folder.join("part.training"), &before).unwrap();
    std::fs::write(folder.join("more.toml"), "from = \"no-longer-there.safetensors\"\ndata = \"mine.txt\"\n").unwrap();
    let more = ["train", "--config", "more.toml", "--out", "part.safetensors", "--resume", "--steps", &steps, "--json"];
    let resumed: Value = serde_json::from_str(&succeeds(folder, &more)).unwrap();
    assert_eq!(resumed["nats_per_char"].as_f64(), Some(same));
}

#[test]
fn the_same_command_goes_on_also_with_byte_pairs() {
    let folder = folder_with_text();
    let folder = folder.path();
    stopped_training(folder, &["--byte-pairs", "280"]);
    let steps = (SavedTraining::read(folder.join("part.training")).unwrap().step() + 10).to_string();
    let again =
        ["train", "--preset", "original", "--data", "mine.txt", "--out", "part.safetensors", "--byte-pairs", "280"];
    succeeds(folder, &[&again[..], &["--resume", "--steps", &steps]].concat());
}

#[test]
fn pressed_twice_it_ends_at_once_and_in_order() {
    let folder = folder_with_text();
    let long = ["train", "--preset", "small", "--data", "mine.txt", "--steps", "100000", "--config", "brief.toml"];
    std::fs::write(folder.path().join("brief.toml"), "[train_config]\nreports = 100000\n").unwrap();
    for pause in [5, 5, 200] {
        let mut command = command(folder.path());
        let mut child = command.args(long).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.by_ref().any(|line| line.unwrap().starts_with("step ")));
        for _ in 0..2 {
            // SAFETY: a signal to a process that is waited for below.
            unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
            std::thread::sleep(std::time::Duration::from_millis(pause));
        }
        let said: String = lines.map(|line| line.unwrap() + "\n").collect();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{said}");
        assert!(!said.contains("ASSERT"), "{said}");
        let _ = std::fs::remove_file(folder.path().join("model.training"));
    }
}

#[test]
fn where_nothing_can_be_written_is_told_before_the_first_step() {
    let folder = folder_with_text();
    std::fs::create_dir(folder.path().join("there.safetensors")).unwrap();
    for more in [
        &["--out", "there.safetensors"][..],
        &["--out", "mine.txt/model.safetensors"],
        &["--film", "mine.txt/film.json"],
        &["--film", "model.safetensors"],
        &["--film", "model.training"],
        &["--batch-size", "1000000000000"],
    ] {
        let said = fails(folder.path(), &[&SHORT_TRAINING[..], more].concat());
        assert!(!said.contains("step ") && !said.contains("memory"), "{more:?}: {said}");
        assert!(!folder.path().join("model.safetensors").exists(), "{more:?}");
    }
}

#[test]
fn a_training_that_has_ended_goes_on_from_its_model() {
    let folder = folder_with_text();
    let folder = folder.path();
    succeeds(folder, &SHORT_TRAINING);
    let more =
        ["train", "--from", "model.safetensors", "--data", "mine.txt", "--steps", "40", "--batch-size", "8", "--json"];
    let loss = |arguments: &[&str]| -> f64 {
        let result: Value = serde_json::from_str(&succeeds(folder, arguments)).unwrap();
        result["nats_per_char"].as_f64().unwrap()
    };
    let first = loss(&["evaluate", "model.safetensors", "--data", "mine.txt", "--json"]);
    assert!(loss(&[&more[..], &["--out", "more.safetensors", "--lr", "0.002"]].concat()) < first - 0.1);
    // The file tells how long it has learnt in all.
    let trained = |model| -> Value {
        serde_json::from_str(&succeeds(folder, &["evaluate", model, "--data", "mine.txt", "--json"])).unwrap()
    };
    let [before, after] = ["model.safetensors", "more.safetensors"].map(|model| trained(model)["trained"].clone());
    assert_eq!((&before["earlier_seconds"], &after["earlier_seconds"]), (&json!(0.0), &before["seconds"]));
    assert_eq!(after["steps"], 40);
    let said = fails(folder, &[&more[..], &["--n-layers", "2"]].concat());
    assert!(said.contains("n_layers is 1 and not 2"), "{said}");
    assert!(fails(folder, &["train", "--from", "nowhere.safetensors"]).contains("nowhere.safetensors"));
}

#[test]
fn a_model_worse_than_guessing_is_told_and_takes_the_place_of_no_other() {
    let folder = folder_with_text();
    let folder = folder.path();
    let bad = ["train", "--model", "mlp", "--data", "mine.txt", "--steps", "40", "--lr", "10000", "--json"];
    let first = run(folder, &bad);
    let said = String::from_utf8_lossy(&first.stderr);
    assert_eq!(first.status.code(), Some(4), "{said}");
    assert!(said.contains("worse than guessing") && said.contains("smaller learning rate"), "{said}");
    let result: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert!(result["worse_than_guessing"] == true && result["out"] == "model.safetensors", "{result}");
    succeeds(folder, &SHORT_TRAINING);
    let file = folder.join("model.safetensors");
    let before = std::fs::read(&file).unwrap();
    let second = run(folder, &bad);
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(second.status.code() == Some(4) && said.contains("model.safetensors is as it was"), "{said}");
    let result: Value = serde_json::from_slice(&second.stdout).unwrap();
    assert!(result["out"].is_null() && std::fs::read(file).unwrap() == before, "{result}");
    assert!(!folder.join("model.training").exists());
}

#[test]
fn a_model_of_byte_pairs_keeps_its_tokenizer_in_its_file() {
    let folder = folder_with_text();
    let folder = folder.path();
    let pairs = ["--byte-pairs", "262"];
    succeeds(folder, &[&SHORT_TRAINING[..], &pairs].concat());
    let loss: Value =
        serde_json::from_str(&succeeds(folder, &["evaluate", "model.safetensors", "--data", "mine.txt", "--json"]))
            .unwrap();
    assert!(loss["nats_per_char"].as_f64().unwrap() > 0.0 && loss["nats_per_byte"].is_number(), "{loss}");
    let writing = ["generate", "model.safetensors", "--prompt", "日🦀", "--chars", "9", "--json"];
    let written: Value = serde_json::from_str(&succeeds(folder, &writing)).unwrap();
    let text = written["texts"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("日🦀") && text.chars().count() == 11, "{text}");
    assert_eq!(written["texts"][0]["dropped"], serde_json::json!([]), "every text is made of bytes");
    let more = ["train", "--from", "model.safetensors", "--data", "mine.txt", "--steps", "2"];
    succeeds(folder, &more);
    assert!(fails(folder, &[&more[..], &pairs].concat()).contains("has its tokenizer already"));
    assert!(fails(folder, &[&SHORT_TRAINING[..], &["--byte-pairs", "9"]].concat()).contains("257..=65536"));
}

#[test]
fn a_model_becomes_a_page_with_another_beside_it_and_the_film_of_its_training() {
    let folder = folder_with_text();
    let folder = folder.path();
    let train = ["train", "--data", "mine.txt", "--steps", "12"];
    let tiny = ["--preset", "original", "--film", "film.json", "--out", "tiny.safetensors"];
    succeeds(folder, &[&train[..], &tiny[..]].concat());
    succeeds(folder, &[&train[..], &["--model", "mlp", "--out", "mlp.safetensors"]].concat());
    let page = ["page", "tiny.safetensors", "--beside", "mlp.safetensors", "--film", "film.json", "--json"];
    let told: Value = serde_json::from_str(&succeeds(folder, &page)).unwrap();
    assert_eq!((&told["out"], &told["computes"]), (&"mine.html".into(), &true.into()));
    let html = std::fs::read_to_string(folder.join("mine.html")).unwrap();
    assert_eq!(told["bytes"], html.len());
    let begin = html.find("id=\"glasslab-data\">").unwrap() + "id=\"glasslab-data\">".len();
    let data: Value = serde_json::from_str(&html[begin..begin + html[begin..].find("</script>").unwrap()]).unwrap();
    let names: Vec<&Value> = data["models"].as_array().unwrap().iter().map(|model| &model["name"]).collect();
    assert_eq!(names, ["transformer", "MLP"]);
    let frames = data["film"]["frames"].as_array().unwrap();
    assert_eq!(frames.iter().map(|frame| frame["step"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 10, 12]);
    let mlp = fails(folder, &["train", "--model", "mlp", "--data", "mine.txt", "--film", "film.json"]);
    assert!(mlp.contains("leave it out"), "{mlp}");
    std::fs::write(folder.join("film.json"), "[]").unwrap();
    let damaged = fails(folder, &["page", "tiny.safetensors", "--film", "film.json"]);
    assert!(damaged.contains("film a training again"), "{damaged}");
    let ending = fails(folder, &["page", "tiny.safetensors", "--out", "mine.htm"]);
    assert!(ending.contains("mine.html"), "{ending}");
}

#[test]
fn a_training_that_runs_away_says_what_to_do() {
    let folder = folder_with_text();
    let said = fails(folder.path(), &[&SHORT_TRAINING[..], &["--lr", "1e30"]].concat());
    assert!(said.contains("smaller learning rate"), "{said}");
}

#[test]
fn a_full_disk_leaves_the_model_that_was_there() {
    let folder = folder_with_text();
    succeeds(folder.path(), &SHORT_TRAINING);
    let before = std::fs::read(folder.path().join("model.safetensors")).unwrap();
    // No file of this process may grow beyond 8 KiB: as on a full disk, writing fails half-way.
    let mut shell = Command::new("sh");
    let script = "ulimit -f 16; trap '' XFSZ; exec \"$0\" \"$@\"";
    shell.args(["-c", script, env!("CARGO_BIN_EXE_glasslab")]).args(SHORT_TRAINING).current_dir(folder.path());
    shell.env("OMP_NUM_THREADS", "1");
    let output = shell.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("File too large") && !said.contains("panicked"), "{said}");
    assert_eq!(std::fs::read(folder.path().join("model.safetensors")).unwrap(), before);
    let left = std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().ends_with(".part")));
}

#[test]
fn texts_are_written_as_asked() {
    let folder = folder_with_text();
    succeeds(folder.path(), &SHORT_TRAINING);
    let write =
        |more: &[&str]| succeeds(folder.path(), &[&["generate", "model.safetensors", "--chars", "300"], more].concat());
    assert_eq!(write(&["--greedy"]), write(&["--top-k", "1"]));
    assert_eq!(write(&["--greedy"]), write(&["--top-p", "0.000001", "--temperature", "2"]));
    assert_eq!(write(&[]), write(&["--no-cache"]));
    assert_ne!(write(&[]), write(&["--seed", "1"]));
    let stopped = write(&["--stop", " "]);
    assert_eq!(stopped.trim_end_matches('\n').find(' '), Some(stopped.len() - 2), "{stopped:?}");
    let both = write(&["--prompt", "Once", "--prompt", "The 🦀", "--samples", "2", "--json"]);
    let both: Value = serde_json::from_str(&both).unwrap();
    let texts = both["texts"].as_array().unwrap();
    assert_eq!(texts.len(), 4);
    assert!(texts[3]["text"].as_str().unwrap().starts_with("The "));
    assert_eq!(texts[3]["dropped"], serde_json::json!(["🦀"]));
    assert_eq!(texts[0]["text"].as_str().unwrap().to_owned() + "\n", write(&[]));
    for (option, value) in [("--temperature", "-1"), ("--top-k", "0"), ("--top-p", "1.5"), ("--stop", "🦀")] {
        let output = glasslab(folder.path(), &["generate", "model.safetensors", option, value]);
        assert!(!output.status.success() && output.stdout.is_empty(), "{option}: the prompt came before the error");
    }
}

/// What a command writes on a terminal.
#[cfg(unix)]
fn on_a_terminal(folder: &Path, arguments: &[&str]) -> String {
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::FromRawFd;
    let (mut outer, mut inner) = (0, 0);
    let null = std::ptr::null_mut();
    // SAFETY: both places are written; name, settings and size are left to the system.
    assert_eq!(unsafe { libc::openpty(&mut outer, &mut inner, null, null.cast(), null.cast()) }, 0);
    // SAFETY: both are open, and nobody else has them.
    let (mut outer, inner) = unsafe { (File::from_raw_fd(outer), File::from_raw_fd(inner)) };
    let mut command = command(folder);
    let mut child = command.args(arguments).stdout(inner).stderr(Stdio::null()).spawn().unwrap();
    drop(command); // with its end of the terminal
    let mut written = Vec::new();
    // A terminal whose other end is closed is an error, and the end.
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = outer.read(&mut buffer) {
        written.extend(&buffer[..count]);
    }
    assert!(child.wait().unwrap().success());
    String::from_utf8(written).unwrap()
}

#[cfg(unix)]
#[test]
fn what_would_act_on_a_terminal_is_shown_there_and_written_as_it_is_elsewhere() {
    let folder = folder_with_text();
    succeeds(folder.path(), &SHORT_TRAINING);
    let write = ["generate", "model.safetensors", "--chars", "5", "--prompt", "a\u{1b}[31m\u{7}\u{9b}2Jb"];
    let twice = [&write[..], &["--samples", "2"]].concat();
    for arguments in [&write[..], &twice] {
        let shown = on_a_terminal(folder.path(), arguments);
        assert!(shown.contains(r"a\x1b[31m\x07\x9b2Jb"), "{shown:?}");
        assert!(
            succeeds(folder.path(), arguments).contains("a\u{1b}[31m\u{7}\u{9b}2Jb"),
            "a pipe gets what was written"
        );
        let raw = on_a_terminal(folder.path(), &[arguments, &["--raw"]].concat());
        assert!(raw.contains("a\u{1b}[31m\u{7}\u{9b}2Jb"), "{raw:?}");
    }
}

#[test]
fn a_text_that_can_t_be_learnt_or_measured_is_told_before_the_first_step() {
    let folder = folder_with_text();
    let folder = folder.path();
    std::fs::write(folder.join("one.txt"), "x").unwrap();
    let russian = "Жила-была девочка, и было у неё платье. ".repeat(30);
    std::fs::write(folder.join("russian.txt"), &russian).unwrap();
    let told = |arguments: &[&str], why: &str| {
        let said = fails(folder, arguments);
        assert!(said.contains(why) && !said.contains("step "), "{said}");
        assert!(!folder.join("model.safetensors").exists());
        said
    };
    told(&[&SHORT_TRAINING[..], &["--held-out", "one.txt"]].concat(), "longer held-out text");
    let mut training = SHORT_TRAINING;
    training[4] = "russian.txt";
    let said = told(&training, "% of the text");
    assert!(said.contains("most often а л") && said.contains("BytePair::train") && said.contains("--lossy"), "{said}");
    succeeds(folder, &[&training[..], &["--lossy", "--context-len", "4"]].concat());
}

#[test]
fn a_text_is_the_same_in_every_form_and_what_is_no_text_is_refused() {
    let folder = folder_with_text();
    let folder = folder.path();
    succeeds(folder, &SHORT_TRAINING);
    let (one, two) = ("Once upon a time, there was a \"cat\".\nIt sat.", "The rat, however, saw it.");
    let object = |story: &str| serde_json::json!({ "id": 1, "tale": story }).to_string();
    let quoted = |story: &str| format!("1;\"{}\"\r\n", story.replace('"', "\"\"").replace('\n', "\r\n"));
    let utf16: Vec<u8> =
        ["\u{feff}", one, "<|endoftext|>", two].concat().encode_utf16().flat_map(|unit| unit.to_be_bytes()).collect();
    let files: [(&str, Vec<u8>); 7] = [
        ("plain.txt", format!("{}<|endoftext|>{two}", one.replace('\n', "\r")).into_bytes()),
        ("utf16.txt", utf16),
        ("lines.jsonl", format!("{}\n{}", object(one), object(two)).into_bytes()),
        ("list.json", format!("[{},{}]", object(one), object(two)).into_bytes()),
        ("table.csv", format!("id;tale\r\n{}{}", quoted(one), quoted(two)).into_bytes()),
        ("folder/A.TXT", one.into()),
        ("folder/sub/b.md", two.into()),
    ];
    for (name, bytes) in &files {
        std::fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    std::fs::write(folder.join("folder/._A.TXT"), [0xff]).unwrap();
    std::fs::write(folder.join("folder/c.pdf"), "%PDF").unwrap();
    let measure = |name: &str| {
        let mut command = command(folder);
        let arguments = ["evaluate", "model.safetensors", "--json", "--column", "tale", "--data", name];
        let output = command.env("GLASSLAB_CACHE", folder.join("cache")).args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{name}: {said}");
        (serde_json::from_slice::<Value>(&output.stdout).unwrap(), said)
    };
    let (expected, _) = measure("plain.txt");
    assert_eq!(expected["chars"], one.len() + two.len() - 2);
    for name in ["utf16.txt", "lines.jsonl", "list.json", "table.csv"] {
        assert_eq!(measure(name).0, expected, "{name}");
    }
    let (measured, said) = measure("folder");
    assert_eq!(measured, expected);
    assert!(said.contains("2 files are read") && said.contains("1 (c.pdf)"), "{said}");
    for (name, way) in [("page.html", "a web page"), ("book.ipynb", "nbconvert"), ("folder/c.pdf", "pdftotext")] {
        std::fs::write(folder.join(name), "{}").unwrap();
        assert!(fails(folder, &["train", "--data", name]).contains(way));
    }
    assert!(fails(folder, &["train", "--data", "list.json"]).contains("it has: id, tale"));
}

#[test]
fn the_doctor_computes() {
    let folder = tempfile::tempdir().unwrap();
    let report: Value = serde_json::from_str(&succeeds(folder.path(), &["doctor", "--json"])).unwrap();
    assert_eq!(report["computes"], true);
}
