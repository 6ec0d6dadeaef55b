//! What trains the runs of a sweep: processes of this machine, or the workers of a Dask scheduler.
//!
//! Either way a run is one process `glasslab train --json` with its own threads and its own seed; how many run at a time, and
//! where, does not change what comes of it.

use super::file::{Plan, Run};
use crate::train::END_WITH_PARENT;
use glasslab::{Error, Result};
use serde::Deserialize;
use serde_json::json;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Names the program that speaks with Dask; without it, the one of this name on the PATH.
const DASK: (&str, &str) = ("GLASSLAB_DASK", "glasslab-dask");
/// What would make a run another one than its settings say: a hurry, and a text.
const NOT_INHERITED: [&str; 4] = ["GLASSLAB_TRAINING_SECONDS", "GLASSLAB_DATA", "GLASSLAB_HELD_OUT", "GLASSLAB_COLUMN"];
/// Between two looks for a wish to stop.
const PAUSE: Duration = Duration::from_millis(50);

/// Who trains.
#[derive(Debug, Clone, PartialEq)]
pub enum Engine {
    /// This machine.
    Local,
    /// The workers of the scheduler at this address.
    Dask(String),
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Engine, String> {
        let port = |address: &str| {
            address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        match text {
            "local" => Ok(Engine::Local),
            address if ["tcp://", "tls://"].iter().any(|kind| address.strip_prefix(kind).is_some_and(port)) => {
                Ok(Engine::Dask(address.to_owned()))
            }
            other => {
                Err(format!("an engine is `local` or the address of a Dask scheduler, tcp://HOST:PORT; got {other:?}"))
            }
        }
    }
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Its process has ended by itself.
    Ended(Ended),
    /// It could not be run; another time it may.
    Unable(String),
}

/// A process that has ended.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Ended {
    pub status: i32,
    pub stdout: String,
    /// Its last words.
    pub stderr: String,
    /// Where it was.
    #[serde(default)]
    pub host: String,
}

/// Takes what came of a run.
type Take<'a> = &'a mut dyn FnMut(&Run, Outcome) -> Result<()>;

impl Engine {
    /// Trains the runs, and gives away what came of each as soon as it has come. A wish to stop ends what is under way.
    ///
    /// # Errors
    /// If the engine can't be had, or what `take` fails with.
    pub fn train(&self, plan: &Plan, runs: &[&Run], jobs: usize, stop: &AtomicBool, take: Take<'_>) -> Result<()> {
        match self {
            Engine::Local => local(plan, runs, jobs, stop, take),
            Engine::Dask(address) => dask(address, plan, runs, stop, take),
        }
    }
}

fn local(plan: &Plan, runs: &[&Run], jobs: usize, stop: &AtomicBool, take: Take<'_>) -> Result<()> {
    let program =
        std::env::current_exe().map_err(|error| Error::Config(format!("this program is not to be found: {error}")))?;
    let (next, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    let halt = || stop.load(Ordering::Relaxed) || ended.load(Ordering::Relaxed);
    let (give, came) = channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, runs.len().max(1)) {
            let (give, program, next, halt) = (give.clone(), &program, &next, &halt);
            scope.spawn(move || {
                while !halt() {
                    let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
                    let outcome =
                        one(program, plan, run, halt).unwrap_or_else(|error| Some(Outcome::Unable(error.to_string())));
                    let Some(outcome) = outcome else { return };
                    if give.send((*run, outcome)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(give);
        let mut taken = Ok(());
        for (run, outcome) in came {
            if taken.is_ok() {
                taken = take(run, outcome);
                ended.store(taken.is_err(), Ordering::Relaxed);
            }
        }
        taken
    })
}

/// Trains one run as a process of this machine; `None` if it is to stop.
fn one(program: &Path, plan: &Plan, run: &Run, halt: &dyn Fn() -> bool) -> Result<Option<Outcome>> {
    let folder = tempfile::tempdir().map_err(|source| Error::File { path: std::env::temp_dir(), source })?;
    let file = |name: &str| folder.path().join(name);
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| Error::File { path, source }
    };
    std::fs::write(file("run.toml"), &run.config).map_err(failed(&file("run.toml")))?;
    let mut command = Command::new(program);
    command.args(["train", "--json", "--config", "run.toml", "--out", "model.safetensors"]).current_dir(folder.path());
    plan.texts.iter().for_each(|text| {
        command.arg(text.option).arg(&text.path);
    });
    NOT_INHERITED.iter().for_each(|name| {
        command.env_remove(name);
    });
    command.env("OMP_NUM_THREADS", plan.threads.to_string()).env(END_WITH_PARENT, "1").stdin(Stdio::null());
    // Files and no pipes: nobody reads them meanwhile.
    for (name, is_out) in [("out", true), ("err", false)] {
        let made = File::create(file(name)).map_err(failed(&file(name)))?;
        let _ = if is_out { command.stdout(made) } else { command.stderr(made) };
    }
    let mut process = command.spawn().map_err(failed(program))?;
    let status = loop {
        if let Some(status) = process.try_wait().map_err(failed(program))? {
            break status;
        }
        if halt() {
            end(&mut process);
            return Ok(None);
        }
        std::thread::sleep(PAUSE);
    };
    let read = |name: &str| {
        std::fs::read(file(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    };
    Ok(Some(match status.code() {
        Some(status) => Outcome::Ended(Ended { status, stdout: read("out"), stderr: read("err"), host: String::new() }),
        None => Outcome::Unable(format!("its process was ended from outside ({status})")),
    }))
}

fn end(process: &mut Child) {
    let _ = (process.kill(), process.wait());
}

/// An answer of the program that speaks with Dask.
#[derive(Deserialize)]
struct Answer {
    name: String,
    #[serde(flatten)]
    ended: Option<Ended>,
    unable: Option<String>,
}

fn dask(address: &str, plan: &Plan, runs: &[&Run], stop: &AtomicBool, take: Take<'_>) -> Result<()> {
    let named = std::env::var_os(DASK.0).filter(|name| !name.is_empty());
    let program = PathBuf::from(named.unwrap_or(DASK.1.into()));
    let mut process = Command::new(&program)
        .arg(address)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| no_dask(&program, &error))?;
    let texts: serde_json::Map<String, serde_json::Value> = plan
        .texts
        .iter()
        .map(|text| (text.option.to_owned(), json!({ "path": text.path, "sha256": text.sha256 })))
        .collect();
    let tasks: String = runs
        .iter()
        .map(|run| {
            let task = json!({
                "name": run.file, "config": run.config, "texts": texts, "threads": plan.threads, "not_inherited": NOT_INHERITED,
            });
            format!("{task}\n")
        })
        .collect();
    let (Some(mut input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
        return Err(no_dask(&program, &"it has no standard input or output"));
    };
    let (give, came) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(|line| line.ok()) {
            if give.send(line).is_err() {
                return;
            }
        }
    });
    // If it ends before it has read all of them, its status says more than this does.
    let _ = input.write_all(tasks.as_bytes());
    drop(input);
    let mut left = runs.len();
    let taken = loop {
        match came.recv_timeout(PAUSE) {
            Ok(line) => match take_answer(&line, runs, take) {
                Ok(()) => left -= 1,
                Err(error) => break Err(error),
            },
            Err(RecvTimeoutError::Disconnected) => break Ok(()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if stop.load(Ordering::Relaxed) {
            break Ok(());
        }
    };
    if taken.is_err() || stop.load(Ordering::Relaxed) {
        end(&mut process);
        return taken;
    }
    let status = process.wait().map_err(|error| no_dask(&program, &error))?;
    match left {
        0 => Ok(()),
        left => Err(Error::Config(format!(
            "{} ended with {left} runs still to do ({status}; its words stand above): the same command goes on with them",
            program.display()
        ))),
    }
}

fn take_answer(line: &str, runs: &[&Run], take: Take<'_>) -> Result<()> {
    let unread = |said: String| Error::Data(format!("an answer of Dask's that can't be read, {said}: {line}"));
    let answer: Answer = serde_json::from_str(line).map_err(|error| unread(error.to_string()))?;
    let Some(run) = runs.iter().find(|run| run.file == answer.name) else {
        return Err(unread("of a run that nobody has asked for".to_owned()));
    };
    let outcome = match (answer.ended, answer.unable) {
        (Some(ended), _) => Outcome::Ended(ended),
        (None, unable) => Outcome::Unable(unable.unwrap_or_default()),
    };
    take(run, outcome)
}

fn no_dask(program: &Path, why: &dyn std::fmt::Display) -> Error {
    Error::Config(format!(
        "{} can't be run ({why}): it speaks with Dask, and stands in an environment of its own. `scripts/lab dask sweep FILE.toml \
         --engine tcp://HOST:PORT` makes it on first use, and runs this command with it; {} names it elsewhere",
        program.display(),
        DASK.0
    ))
}

#[cfg(test)]
mod tests;
