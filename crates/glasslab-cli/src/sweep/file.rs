//! The file of a sweep: what all runs have in common, what is varied, and what they learn from.
//!
//! ```toml
//! data = "mine-train.txt"               # from where this file lies; without it, the stories of the lab
//! held_out = "mine-valid.txt"
//! seeds = [0, 1, 2]
//!
//! [settings]                            # of every run: options of `glasslab train` by their names, and `chars`
//! chars = 500_000
//!
//! [grid]                                # lists; every combination is a run
//! emb_dim = [16, 32]
//!
//! [[runs]]                              # and this once for each of these (they may have seeds of their own, and what they
//! n_layers = 1                          # set themselves is not varied)
//! ```

use crate::train::Settings;
use glasslab::checkpoint::AnyModel;
use glasslab::model::count_parameters;
use glasslab::{Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tch::Device;
use toml::{Table, Value};

/// What a file says.
#[derive(Debug)]
pub struct Plan {
    /// What is varied, in the words of the file.
    pub what: String,
    /// Threads of a run.
    pub threads: usize,
    /// What is learnt from and measured on; none: the stories of the lab.
    pub texts: Vec<Text>,
    /// Where the results go.
    pub out: PathBuf,
    /// The trainings.
    pub runs: Vec<Run>,
}

/// A file that every run reads.
#[derive(Debug, PartialEq)]
pub struct Text {
    /// The option of `glasslab train` that it is given by.
    pub option: &'static str,
    /// Where it lies here.
    pub path: PathBuf,
    /// Its SHA-256.
    pub sha256: String,
}

/// One training.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The name of its file of results, without the ending: readable, and another one for every other run.
    pub file: String,
    /// Its settings as they were given; those of a table by names with a point, `train_config.cool_down`.
    pub settings: Map<String, Json>,
    /// Its seed.
    pub seed: u32,
    /// What `glasslab train --config` is given.
    pub config: String,
    /// The numbers that its model learns.
    pub parameters: i64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sweep {
    what: Option<String>,
    data: Option<PathBuf>,
    held_out: Option<PathBuf>,
    out: Option<PathBuf>,
    seeds: Option<Vec<u32>>,
    threads: Option<usize>,
    #[serde(default)]
    settings: Table,
    #[serde(default)]
    grid: Table,
    #[serde(default)]
    runs: Vec<Table>,
}

/// Options of `glasslab train` that a sweep decides itself, and how.
const NOT_HERE: [(&str, &str); 7] = [
    ("seed", "`seeds = [0, 1]` at the top of the file has them"),
    ("data", "it stands at the top of the file: results on different texts can't be compared"),
    ("held_out", "it stands at the top of the file: results on different texts can't be compared"),
    ("out", "models of a sweep are measured and not kept; at the top of the file it names the folder of results"),
    ("film", "a run of a sweep is not filmed"),
    ("from", "each run begins anew"),
    ("config", "write its settings here"),
];
/// More than this is a slip of the pen.
const MOST_RUNS: usize = 10_000;

impl Plan {
    /// Reads a file, and checks every run before any is trained. The texts (to learn from, to measure on) may be others than
    /// those that it names.
    ///
    /// # Errors
    /// If a setting is not known or out of its range, if nothing is left to run, or if a text can't be read.
    pub fn read(path: &Path, texts: [&Option<PathBuf>; 2]) -> Result<Plan> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_path_buf(), source })?;
        let wrong = |said: String| Error::Config(format!("{}: {said}", path.display()));
        let sweep: Sweep = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let threads = sweep.threads.unwrap_or(1);
        if threads == 0 {
            return Err(wrong("threads must be 1 or more, got 0".to_owned()));
        }
        let from_here = |path: &PathBuf| folder.join(path);
        let named = match texts {
            [None, None] => [&sweep.data, &sweep.held_out].map(|path| path.as_ref().map(from_here)),
            given => given.map(Clone::clone),
        };
        let runs = runs(&sweep).map_err(|error| wrong(error.to_string()))?;
        Ok(Plan {
            what: sweep.what.clone().unwrap_or_else(|| varied(&sweep)),
            threads,
            texts: texts_of(named)?,
            out: folder
                .join(sweep.out.unwrap_or_else(|| path.with_extension("").file_name().unwrap_or_default().into())),
            runs,
        })
    }

    /// The same as it is kept among the results.
    pub fn as_json(&self) -> Json {
        let text = |text: &Text| {
            let name = text.path.file_name().unwrap_or_default().to_string_lossy();
            json!({ "option": text.option, "name": name, "sha256": text.sha256 })
        };
        let run = |run: &Run| json!({ "file": run.file, "settings": run.settings, "seed": run.seed });
        json!({
            "what": self.what, "threads": self.threads,
            "texts": self.texts.iter().map(text).collect::<Vec<Json>>(),
            "runs": self.runs.iter().map(run).collect::<Vec<Json>>(),
        })
    }
}

impl Run {
    fn new(given: &Table, seed: u32) -> Result<Run> {
        let mut table = given.clone();
        let (checked, chars) = check(&mut table)?;
        if let Some(chars) = chars {
            let batch = checked.training.batch_size * checked.training.context_len;
            table.insert("steps".to_owned(), Value::Integer(chars.div_ceil(batch.max(1)) as i64));
        }
        table.insert("seed".to_owned(), Value::Integer(seed.into()));
        let model = AnyModel::new(checked.model, Device::Cpu)?;
        let settings = flat(given);
        Ok(Run {
            file: name(&settings, seed),
            settings,
            seed,
            config: toml::to_string(&table).map_err(|error| Error::Config(error.to_string()))?,
            parameters: count_parameters(&model),
        })
    }
}

/// The settings of a run, and how many characters it is to learn from, which is no option of `glasslab train`.
fn check(table: &mut Table) -> Result<(Settings, Option<usize>)> {
    for (name, why) in NOT_HERE {
        if table.contains_key(name) {
            return Err(Error::Config(format!("{name} is no setting of a run: {why}")));
        }
    }
    let chars = match table.remove("chars") {
        None => None,
        Some(Value::Integer(chars)) if chars > 0 => Some(chars as usize),
        Some(other) => return Err(Error::Config(format!("chars must be a whole number above 0, got {other}"))),
    };
    let lengths = [chars.is_some(), table.contains_key("steps"), table.contains_key("seconds")];
    if lengths.iter().filter(|given| **given).count() != 1 {
        return Err(Error::Config("give each run one of chars, steps and seconds: how long to train".to_owned()));
    }
    if chars.is_some() && table.contains_key("byte_pairs") {
        return Err(Error::Config(
            "with byte_pairs give steps: how many characters a batch has, no one knows before".to_owned(),
        ));
    }
    let checked = Settings::of_run(table).map_err(|error| match error.to_string() {
        unknown if unknown.starts_with("unknown field") => {
            Error::Config(format!("{unknown}; and `chars`, in the place of `steps`"))
        }
        _ => error,
    })?;
    checked.training.check()?;
    Ok((checked, chars))
}

/// Every combination of the lists of the grid, once for each of the runs.
fn runs(sweep: &Sweep) -> Result<Vec<Run>> {
    let mut lists: Vec<(String, Vec<Value>)> = Vec::new();
    lists_of(&sweep.grid, "", &mut lists)?;
    let (one, seeds) = ([Table::new()], [0]);
    let bases = if sweep.runs.is_empty() { &one[..] } else { &sweep.runs };
    let usual = sweep.seeds.as_deref().unwrap_or(&seeds);
    let mut all: Vec<Run> = Vec::new();
    for base in bases {
        let mut base = base.clone();
        let own: Option<Vec<u32>> = match base.remove("seeds") {
            None => None,
            Some(seeds) => {
                let wrong = |_| Error::Config(format!("seeds must be a list of whole numbers, got {seeds}"));
                Some(seeds.clone().try_into().map_err(wrong)?)
            }
        };
        let seeds = own.as_deref().unwrap_or(usual);
        // What a run says itself is not varied.
        let has = flat(&base);
        let lists: Vec<&(String, Vec<Value>)> = lists.iter().filter(|(name, _)| !has.contains_key(name)).collect();
        let count = lists.iter().fold(1_usize, |count, (_, values)| count.saturating_mul(values.len()));
        if count.saturating_mul(seeds.len()).saturating_add(all.len()) > MOST_RUNS {
            let seeds = seeds.len();
            let said =
                format!("{count} combinations × {seeds} seeds are more than {MOST_RUNS} runs: shorten the lists");
            return Err(Error::Config(said));
        }
        for combination in 0..count {
            let mut table = sweep.settings.clone();
            merge(&mut table, &base);
            let mut rest = combination;
            for (name, values) in lists.iter().rev() {
                put(&mut table, name, values[rest % values.len()].clone());
                rest /= values.len();
            }
            for &seed in seeds {
                let run = Run::new(&table, seed)?;
                // What stands there twice is one run.
                if all.iter().all(|known| known.file != run.file) {
                    all.push(run);
                }
            }
        }
    }
    match all.is_empty() {
        true => Err(Error::Config("there is nothing to run: a list is empty; give `seeds = [0]` at least".to_owned())),
        false => Ok(all),
    }
}

/// The lists of a grid, those of tables in it by names with a point.
fn lists_of(grid: &Table, before: &str, lists: &mut Vec<(String, Vec<Value>)>) -> Result<()> {
    for (name, value) in grid {
        let name = format!("{before}{name}");
        match value {
            Value::Array(values) => lists.push((name, values.clone())),
            Value::Table(inner) => lists_of(inner, &format!("{name}."), lists)?,
            one => {
                let said = format!("[grid] has lists: {name} = [{one}], or put {name} = {one} under [settings]");
                return Err(Error::Config(said));
            }
        }
    }
    Ok(())
}

/// Puts a value under a name with points.
fn put(table: &mut Table, name: &str, value: Value) {
    match name.split_once('.') {
        None => {
            table.insert(name.to_owned(), value);
        }
        Some((outer, rest)) => {
            let inner = table.entry(outer).or_insert_with(|| Value::Table(Table::new()));
            match inner {
                Value::Table(inner) => put(inner, rest, value),
                other => *other = value,
            }
        }
    }
}

fn merge(table: &mut Table, other: &Table) {
    for (name, value) in other {
        match (table.get_mut(name), value) {
            (Some(Value::Table(inner)), Value::Table(value)) => merge(inner, value),
            _ => {
                table.insert(name.clone(), value.clone());
            }
        }
    }
}

/// Settings as plain values.
fn flat(table: &Table) -> Map<String, Json> {
    let mut all = Map::new();
    for (name, value) in table {
        match value {
            Value::Table(inner) => {
                all.extend(flat(inner).into_iter().map(|(rest, value)| (format!("{name}.{rest}"), value)))
            }
            other => {
                let value = serde_json::to_value(other).unwrap_or_else(|_| Json::String(other.to_string()));
                all.insert(name.clone(), value);
            }
        }
    }
    all
}

/// A name for a run's file: the beginning of its settings, in letters that every file system takes, and a checksum of all of them.
fn name(settings: &Map<String, Json>, seed: u32) -> String {
    let sum = sha256(json!({ "settings": settings, "seed": seed }).to_string().as_bytes());
    let said: Vec<String> = settings.iter().map(|(name, value)| format!("{name}-{value}")).collect();
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || "-.".contains(letter) { letter } else { '_' };
    let short: String = said.join(",").replace('"', "").chars().take(40).map(plain).collect();
    format!("{}-seed-{seed}-{}", short.trim_matches('.'), &sum[..8])
}

/// The names of what is varied.
fn varied(sweep: &Sweep) -> String {
    let mut names: Vec<&str> = sweep.grid.keys().map(String::as_str).collect();
    for name in sweep.runs.iter().flat_map(Table::keys) {
        if !names.contains(&name.as_str()) && name != "seeds" {
            names.push(name);
        }
    }
    if names.is_empty() { "seeds".to_owned() } else { names.join(", ") }
}

/// The files that the runs read, as they are now.
fn texts_of([data, held_out]: [Option<PathBuf>; 2]) -> Result<Vec<Text>> {
    let data = match (data, &held_out) {
        (None, None) => return Ok(Vec::new()),
        (None, Some(_)) => return Err(Error::Config("held_out belongs to a text: give data as well".to_owned())),
        (Some(data), _) => data,
    };
    let held_out = held_out.or_else(|| glasslab::data::held_out_beside(&data));
    let named = [Some(("--data", data)), held_out.map(|path| ("--held-out", path))];
    named.into_iter().flatten().map(|(option, path)| Text::read(option, &path)).collect()
}

impl Text {
    fn read(option: &'static str, path: &Path) -> Result<Text> {
        let failed = |source| Error::File { path: path.to_path_buf(), source };
        if path.is_dir() {
            return Err(Error::Data(format!(
                "{} is a folder; a sweep takes one file, whose checksum tells that all runs read the same: `glasslab prepare` makes one of it",
                path.display()
            )));
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        Ok(Text { option, path: path.canonicalize().map_err(failed)?, sha256: sha256(&bytes) })
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
