//! A sweep as a person runs it: out of a file, into a folder, gone on with after a stop; and what comes of it is the same as of
//! single trainings.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_glasslab"));
    command.current_dir(folder).env("OMP_NUM_THREADS", "1");
    command
}

fn glasslab(folder: &Path, arguments: &[&str]) -> Output {
    command(folder).args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeeds(folder: &Path, arguments: &[&str]) -> String {
    let output = glasslab(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// A folder with a text and the file of a sweep; a training in it takes a tenth of a second.
fn folder(sweep: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = "Once upon a time, there was a cat. The cat sat on the mat and saw a rat. ".repeat(20);
    std::fs::write(folder.path().join("mine.txt"), text).unwrap();
    std::fs::write(folder.path().join("mine.toml"), sweep).unwrap();
    folder
}

const SWEEP: &str = "data = \"mine.txt\"\nseeds = [0, 1]\n[settings]\nmodel = \"mlp\"\nbatch_size = 4\ncontext_len = 8\n\
                     [grid]\nsteps = [3, 6]\n";

/// The results of a folder by their file's name.
fn results(folder: &Path) -> Vec<(String, Value)> {
    let files = std::fs::read_dir(folder.join("runs")).unwrap();
    let mut all: Vec<(String, Value)> = files
        .map(|file| {
            let path = file.unwrap().path();
            let result = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
            (path.file_name().unwrap().to_string_lossy().into_owned(), result)
        })
        .collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

#[test]
fn a_sweep_gives_what_single_trainings_give_and_is_not_done_twice() {
    let folder = folder(SWEEP);
    let folder = folder.path();
    assert!(succeeds(folder, &["sweep", "mine.toml", "--plan"]).contains("4 runs"));
    assert!(!folder.join("mine").exists(), "a plan is only told");
    let told: Value = serde_json::from_str(&succeeds(folder, &["sweep", "mine.toml", "--json"])).unwrap();
    assert_eq!((&told["done"], &told["planned"]), (&4.into(), &4.into()));
    let all = results(&folder.join("mine"));
    assert_eq!(all.len(), 4);
    for (_, result) in &all {
        let steps = result["settings"]["steps"].to_string();
        let alone = succeeds(
            folder,
            &[
                "train",
                "--json",
                "--model",
                "mlp",
                "--batch-size",
                "4",
                "--context-len",
                "8",
                "--data",
                "mine.txt",
                "--steps",
                &steps,
                "--seed",
                &result["seed"].to_string(),
            ],
        );
        let alone: Value = serde_json::from_str(&alone).unwrap();
        assert_eq!(result["loss"], alone["nats_per_char"], "the same to the bit");
        assert_eq!(result["chars"], 32 * result["steps"].as_i64().unwrap());
        assert!(result["history"].as_array().is_some_and(|points| !points.is_empty()), "{result}");
    }
    let table = std::fs::read_to_string(folder.join("mine/table.csv")).unwrap();
    assert_eq!(table.lines().count(), 5, "{table}");
    assert!(std::fs::read_to_string(folder.join("mine/plot.svg")).unwrap().contains("steps"));
    // What is there stays as it is, also under another number of jobs; what is not is done again.
    let (first, second) = (&all[0].0, &all[1].0);
    std::fs::write(folder.join("mine/runs").join(first), "{\"loss\": 77.0}").unwrap();
    std::fs::remove_file(folder.join("mine/runs").join(second)).unwrap();
    let again = glasslab(folder, &["sweep", "mine.toml", "--jobs", "1"]);
    assert!(said(&again).contains("4 runs, 3 done before"), "{}", said(&again));
    let now = results(&folder.join("mine"));
    assert_eq!(now[0].1["loss"], 77.0);
    assert_eq!((&now[1].0, &now[1].1["loss"]), (second, &all[1].1["loss"]));
}

#[test]
fn a_run_that_fails_is_told_and_the_others_go_on() {
    let folder = folder(
        "data = \"mine.txt\"\nwhat = \"<script>rates</script>\"\n[settings]\nmodel = \"mlp\"\nsteps = 20\nbatch_size = 4\ncontext_len = 8\n\
         optimiser = \"sgd\"\n[grid]\nlr = [0.01, 1e30]\n",
    );
    let told = succeeds(folder.path(), &["sweep", "mine.toml"]);
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines.iter().any(|line| line.starts_with("lr 0.01 ")), "{told}");
    assert!(
        lines.iter().any(|line| line.starts_with("! lr 1e30, seed 0: ") || line.starts_with("! lr 1e+30, seed 0: ")),
        "{told}"
    );
    let plot = std::fs::read_to_string(folder.path().join("mine/plot.svg")).unwrap();
    assert!(!plot.contains("<script>"), "{plot}");
}

#[test]
fn what_is_wrong_is_told_before_anything_is_trained() {
    let folder = folder("[settings]\nsteps = 1\nn_heds = 1");
    let output = glasslab(folder.path(), &["sweep", "mine.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("n_heds") && !folder.path().join("mine").exists(), "{}", said(&output));
    std::fs::write(folder.path().join("mine.toml"), SWEEP).unwrap();
    assert_eq!(glasslab(folder.path(), &["sweep", "mine.toml", "--engine", "spark"]).status.code(), Some(2));
    let mut without = command(folder.path());
    without.args(["sweep", "mine.toml", "--engine", "tcp://127.0.0.1:9"]).env("GLASSLAB_DASK", "no-such-program");
    let output = without.output().unwrap();
    let said = said(&output);
    assert!(
        !output.status.success() && said.contains("no-such-program") && said.contains("scripts/lab dask sweep"),
        "{said}"
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_is_done_ends_what_is_under_way_and_the_same_command_goes_on() {
    let folder = folder(&SWEEP.replace("[3, 6]", "[3, 900_000_000]"));
    let child = command(folder.path())
        .args(["sweep", "mine.toml", "--jobs", "1"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Two runs end; the third never would.
    let runs = folder.path().join("mine/runs");
    while !(runs.exists() && results(&folder.path().join("mine")).len() == 2) {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    // SAFETY: a signal to a process of our own.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(said(&output).contains("goes on with the 2 runs"), "{}", said(&output));
    assert_eq!(results(&folder.path().join("mine")).len(), 2);
    std::fs::write(folder.path().join("mine.toml"), SWEEP).unwrap();
    let told = glasslab(folder.path(), &["sweep", "mine.toml"]);
    assert!(said(&told).contains("4 runs, 2 done before"), "{}", said(&told));
    assert!(String::from_utf8_lossy(&told.stdout).contains("4 of 6 runs are done"), "two are planned still");
}
