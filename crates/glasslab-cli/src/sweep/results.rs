//! The folder of a sweep's results: one file for each run, written whole or not at all, so that it can be gone on with.
//!
//! | file | what |
//! |---|---|
//! | `plan.json` | what is varied, the texts by their checksums, every run with its settings and its seed |
//! | `runs/NAME.json` | what came of a run: its loss, or its trouble in words; characters, seconds, history |
//! | `table.csv`, `plot.svg` | the same to look at |

use super::engine::Ended;
use super::file::{Plan, Run};
use crate::{stop, train};
use glasslab::file::write_whole;
use glasslab::{Error, Result};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};

const PLAN: &str = "plan.json";
/// The exit code of a training whose model predicts worse than guessing would; one that was stopped.
const WORSE_THAN_GUESSING: i32 = train::WORSE_THAN_GUESSING as i32;
const STOPPED: i32 = stop::STOPPED as i32;
/// Of the words of a training that failed, so many of the last lines are kept.
const LINES: usize = 5;

/// A folder of results that nobody else writes into.
#[derive(Debug)]
pub struct Folder {
    pub path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder, or goes on with it: its plan is the old one, and what the new one adds.
    ///
    /// # Errors
    /// If it holds something else, or results of other texts or threads, or if another process writes into it.
    pub fn open(path: &Path, plan: &Plan) -> Result<Folder> {
        let kept = path.join(PLAN);
        let holds_others = || path.read_dir().is_ok_and(|mut files| files.next().is_some());
        if !kept.exists() && holds_others() {
            return Err(Error::Config(format!(
                "{} is no folder of a sweep: it holds other files, and no {PLAN}; name another one with --out",
                path.display()
            )));
        }
        let runs = path.join("runs");
        std::fs::create_dir_all(&runs).map_err(|source| Error::File { path: runs, source })?;
        let lock_file = path.join(".lock");
        let lock = File::create(&lock_file).map_err(|source| Error::File { path: lock_file, source })?;
        if lock.try_lock().is_err() {
            let said = "another process writes into it: wait for its end, or end it";
            return Err(Error::Config(format!("{}: {said}", path.display())));
        }
        let folder = Folder { path: path.to_path_buf(), _lock: lock };
        let mut new = plan.as_json();
        if kept.exists() {
            let old: Value = read(&kept)?;
            folder.require_same(&old, &new)?;
            // In the order of the file that is run now.
            let mut all = new["runs"].as_array().cloned().unwrap_or_default();
            for run in old["runs"].as_array().into_iter().flatten() {
                if all.iter().all(|known| known["file"] != run["file"]) {
                    all.push(run.clone());
                }
            }
            new["runs"] = Value::Array(all);
        }
        write(&kept, &lines(&new))?;
        Ok(folder)
    }

    /// Results of other texts are no points of the same picture.
    fn require_same(&self, old: &Value, new: &Value) -> Result<()> {
        let other: Vec<String> = ["texts", "threads"]
            .into_iter()
            .filter(|name| old[name] != new[name])
            .map(|name| format!("{name} {} and not {}", old[name], new[name]))
            .collect();
        match other.is_empty() {
            true => Ok(()),
            false => Err(Error::Config(format!(
                "{} holds the results of another sweep, with {}: name another folder with --out, or remove that one",
                self.path.display(),
                other.join(", ")
            ))),
        }
    }

    fn file(&self, run: &Run) -> PathBuf {
        self.path.join("runs").join(format!("{}.json", run.file))
    }

    /// Whether there is a result of this run; `again`: one with a loss.
    pub fn has(&self, run: &Run, again: bool) -> bool {
        let result = read(&self.file(run));
        result.is_ok_and(|result| !again || result["loss"].is_number())
    }

    /// Keeps what came of a run, and says it in a few words; `None` if it was stopped before its end.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn keep(&self, run: &Run, ended: &Ended) -> Result<Option<String>> {
        if ended.status == STOPPED {
            return Ok(None);
        }
        let result = result(run, ended);
        write(&self.file(run), &lines(&result))?;
        let loss = result["loss"].as_f64().map(|loss| format!("{loss:.4} nats/char"));
        let seconds = result["seconds"].as_f64().map(|seconds| format!("{seconds:.1} s"));
        let said = [loss, seconds, result["trouble"].as_str().map(str::to_owned)];
        Ok(Some(said.into_iter().flatten().collect::<Vec<String>>().join(", ")))
    }

    /// Writes the table and the picture of what there is.
    ///
    /// # Errors
    /// If they can't be written.
    pub fn write_views(&self, sweep: &glasslab::experiment::Sweep) -> Result<()> {
        write(&self.path.join("table.csv"), &self.csv()?)?;
        // Of nothing there is no picture.
        if let Ok(picture) = sweep.draw() {
            write(&self.path.join("plot.svg"), &picture.svg)?;
        }
        Ok(())
    }

    /// Every run that was planned, as rows, those without a result included.
    ///
    /// # Errors
    /// If the plan can't be read.
    pub fn rows(&self) -> Result<Vec<Value>> {
        let plan = read(&self.path.join(PLAN))?;
        let runs = plan["runs"].as_array().cloned().unwrap_or_default();
        Ok(runs
            .into_iter()
            .map(|run| {
                let file = self.path.join("runs").join(format!("{}.json", run["file"].as_str().unwrap_or_default()));
                let result = read(&file).unwrap_or_default();
                let mut row = json!({ "settings": run["settings"], "seed": run["seed"] });
                for name in ["loss", "parameters", "chars", "steps", "seconds", "chars_per_s", "trouble", "host"] {
                    row[name] = result[name].clone();
                }
                row
            })
            .collect())
    }

    fn csv(&self) -> Result<String> {
        let rows = self.rows()?;
        let mut names: Vec<&String> = Vec::new();
        for name in rows.iter().filter_map(|row| row["settings"].as_object()).flat_map(Map::keys) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let plain = |value: &Value| match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let rest = ["seed", "loss", "parameters", "chars", "steps", "seconds", "chars_per_s", "trouble", "host"];
        let mut table = csv::Writer::from_writer(Vec::new());
        // `chars` may be a setting as well: how much was to be learnt from, and how much was.
        let title = |name: &'static str| if name == "chars" { "learnt_chars" } else { name };
        let head = names.iter().map(|name| name.as_str()).chain(rest.map(title));
        let written = table.write_record(head).and_then(|()| {
            rows.iter().try_for_each(|row| {
                let settings = names.iter().map(|name| plain(&row["settings"][name.as_str()]));
                table.write_record(settings.chain(rest.iter().map(|name| plain(&row[*name]))))
            })
        });
        written.map_err(|error| Error::Data(format!("the table: {error}")))?;
        let bytes = table.into_inner().map_err(|error| Error::Data(format!("the table: {error}")))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// What came of a run: the answer of `glasslab train --json`, or its last words.
fn result(run: &Run, ended: &Ended) -> Value {
    let answer: Value =
        ended.stdout.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    let mut result = json!({ "settings": run.settings, "seed": run.seed });
    result["loss"] = answer["nats_per_char"].clone();
    for name in ["parameters", "steps", "seconds", "chars_per_s", "history", "setup"] {
        result[name] = answer[name].clone();
    }
    result["chars"] = answer["setup"]["chars"].clone();
    result["held_out_chars"] = answer["chars"].clone();
    if ended.status != 0 || !result["loss"].is_number() {
        result["trouble"] = json!(trouble(ended));
    }
    if !ended.host.is_empty() {
        result["host"] = json!(ended.host);
    }
    result["program"] = json!(concat!("glasslab ", env!("CARGO_PKG_VERSION")));
    result
}

/// The words of a training that went wrong.
fn trouble(ended: &Ended) -> String {
    let lines: Vec<&str> = ended.stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let told = |sign: &str| lines.iter().rev().find_map(|line| line.strip_prefix(sign).map(str::to_owned));
    let said = match ended.status {
        WORSE_THAN_GUESSING => {
            lines.iter().rev().find(|line| line.starts_with("worse than guessing")).map(|line| (*line).to_owned())
        }
        _ => told("glasslab: ").or_else(|| told("error: ")),
    };
    said.unwrap_or_else(|| {
        let last = lines[lines.len().saturating_sub(LINES)..].join(" · ");
        format!("ended with status {}, saying: {}", ended.status, if last.is_empty() { "nothing" } else { &last })
    })
}

fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_path_buf(), source })?;
    serde_json::from_str(&text).map_err(|error| Error::Data(format!("{}: {error}", path.display())))
}

fn write(path: &Path, text: &str) -> Result<()> {
    write_whole(path, |part| {
        std::fs::write(part, text).map_err(|source| Error::File { path: part.to_path_buf(), source })
    })
}

/// An object with a line for each of its fields, and one for each member of a list.
fn lines(value: &Value) -> String {
    let Some(fields) = value.as_object() else { return value.to_string() };
    let field = |(name, value): (&String, &Value)| match value {
        Value::Array(members) if members.iter().any(Value::is_object) => {
            let members: Vec<String> = members.iter().map(|member| format!("  {member}")).collect();
            format!(" {}: [\n{}\n ]", json!(name), members.join(",\n"))
        }
        other => format!(" {}: {other}", json!(name)),
    };
    format!("{{\n{}\n}}\n", fields.iter().map(field).collect::<Vec<String>>().join(",\n"))
}

#[cfg(test)]
mod tests;
