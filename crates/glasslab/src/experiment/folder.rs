//! The results of `glasslab sweep`, opened: as an experiment that others have run, or that still runs.
//!
//! Its folder has `plan.json`, which says what is to be run, and a file for each run that is done, `runs/NAME.json`.

use super::{Setup, Sweep, Variant, mean};
use crate::error::{Error, Result};
use crate::file::file_error;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::path::Path;

/// A run that has gone wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The name of its variant.
    pub name: String,
    /// Its seed.
    pub seed: i64,
    /// What happened, in words.
    pub said: String,
}

#[derive(Deserialize)]
struct Plan {
    what: String,
    runs: Vec<Planned>,
}

#[derive(Deserialize)]
struct Planned {
    file: String,
    settings: Map<String, Value>,
    seed: i64,
}

/// What came of a run.
#[derive(Deserialize)]
struct Done {
    loss: Option<f64>,
    trouble: Option<String>,
    parameters: Option<i64>,
    chars_per_s: Option<f64>,
    setup: Option<Setup>,
}

impl Sweep {
    /// The results of a `glasslab sweep`, as far as they are there: runs that differ only in their seed are one variant.
    /// While it runs, opening it again shows more.
    ///
    /// # Errors
    /// If there is no sweep in the folder, or one of its files can't be read.
    pub fn open(folder: impl AsRef<Path>) -> Result<Sweep> {
        let folder = folder.as_ref();
        let path = folder.join("plan.json");
        if !path.exists() {
            return Err(Error::Data(format!(
                "{} holds no sweep, for it has no plan.json: `glasslab sweep FILE.toml` makes such a folder",
                folder.display()
            )));
        }
        let plan: Plan = read(&path)?;
        let names = Varied::of(&plan.runs);
        let mut sweep = Sweep { planned: plan.runs.len(), ..Sweep::new(&plan.what) };
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut variants: Vec<Vec<&Planned>> = Vec::new();
        for run in &plan.runs {
            let place = *places.entry(Value::Object(run.settings.clone()).to_string()).or_insert(variants.len());
            if place == variants.len() {
                variants.push(Vec::new());
            }
            variants[place].push(run);
        }
        for runs in variants {
            let varied = names.values(&runs[0].settings);
            let name = if varied.is_empty() { plan.what.clone() } else { in_words(&varied) };
            let mut results = Vec::new();
            for run in runs {
                if run.file.contains(['/', '\\']) {
                    return Err(Error::Data(format!("{}: {:?} is no name of a run's file", path.display(), run.file)));
                }
                let file = folder.join("runs").join(format!("{}.json", run.file));
                if file.exists() {
                    results.push((run.seed, read::<Done>(&file)?));
                }
            }
            sweep.done += results.len();
            let troubles = results.iter().filter_map(|(seed, done)| Some((*seed, done.trouble.clone()?)));
            sweep.troubles.extend(troubles.map(|(seed, said)| Trouble { name: name.clone(), seed, said }));
            sweep.variants.extend(variant(name, varied, &results));
        }
        Ok(sweep)
    }
}

/// Runs of the same settings; `None` if none of them has a loss.
fn variant(name: String, varied: Map<String, Value>, results: &[(i64, Done)]) -> Option<Variant> {
    let with_loss = || results.iter().filter_map(|(seed, done)| Some((*seed, done.loss?, done)));
    let (_, _, first) = with_loss().next()?;
    let speeds: Vec<f64> = with_loss().filter_map(|(.., done)| done.chars_per_s).collect();
    Some(Variant {
        name,
        varied,
        losses: with_loss().map(|(_, loss, _)| loss).collect(),
        parameters: first.parameters.unwrap_or(0),
        chars_per_second: if speeds.is_empty() { 0.0 } else { mean(&speeds) },
        setup: Setup { seeds: with_loss().map(|(seed, ..)| seed).collect(), ..first.setup.clone().unwrap_or_default() },
    })
}

/// The names of the settings that differ between runs, without those that follow from one of them.
struct Varied(Vec<String>);

impl Varied {
    fn of(runs: &[Planned]) -> Varied {
        let mut names: Vec<&String> = runs.iter().flat_map(|run| run.settings.keys()).collect();
        names.sort();
        names.dedup();
        names.retain(|name| runs.iter().any(|run| run.settings.get(*name) != runs[0].settings.get(*name)));
        let mut kept: Vec<&String> = Vec::new();
        for name in names {
            let follows_from = |other: &String| {
                let mut known: HashMap<String, Option<&Value>> = HashMap::new();
                runs.iter().all(|run| {
                    let value = run.settings.get(name);
                    let of = run.settings.get(other).map(Value::to_string).unwrap_or_default();
                    *known.entry(of).or_insert(value) == value
                })
            };
            if !kept.iter().any(|other| follows_from(other)) {
                kept.push(name);
            }
        }
        Varied(kept.into_iter().cloned().collect())
    }

    fn values(&self, settings: &Map<String, Value>) -> Map<String, Value> {
        self.0.iter().filter_map(|name| Some((name.clone(), settings.get(name)?.clone()))).collect()
    }
}

/// Settings in words: `emb_dim 16, optimiser adamw`.
pub fn in_words(settings: &Map<String, Value>) -> String {
    let value = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let said: Vec<String> = settings.iter().map(|(name, one)| format!("{name} {}", value(one))).collect();
    said.join(", ")
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(file_error(path))?;
    serde_json::from_str(&text).map_err(|error| {
        Error::Data(format!("{}: no file of `glasslab sweep`, or not a whole one: {error}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A folder with a plan, and results by their place in it.
    fn folder(runs: &[(Value, i64)], results: &[(usize, Value)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let planned = |(place, (settings, seed)): (usize, &(Value, i64))| json!({ "file": format!("run-{place}"), "settings": settings, "seed": seed });
        let plan = json!({ "what": "sizes", "runs": runs.iter().enumerate().map(planned).collect::<Vec<_>>() });
        std::fs::write(folder.path().join("plan.json"), plan.to_string()).unwrap();
        std::fs::create_dir(folder.path().join("runs")).unwrap();
        for (place, result) in results {
            std::fs::write(folder.path().join(format!("runs/run-{place}.json")), result.to_string()).unwrap();
        }
        folder
    }

    #[test]
    fn runs_that_differ_in_their_seed_are_one_variant_and_what_is_not_there_yet_is_counted() {
        let of = |emb_dim: i64| json!({ "emb_dim": emb_dim, "n_heads": emb_dim / 8, "steps": 5 });
        let runs = [(of(16), 0), (of(16), 1), (of(32), 0), (of(32), 1), (of(64), 0)];
        let result = |loss: f64| json!({ "loss": loss, "parameters": 7, "chars_per_s": 2.0 });
        let failed = json!({ "loss": null, "trouble": "the loss became NaN" });
        let folder = folder(&runs, &[(0, result(1.5)), (1, result(1.7)), (2, failed)]);
        let sweep = Sweep::open(folder.path()).unwrap();
        assert_eq!((sweep.planned, sweep.done, sweep.variants.len()), (5, 3, 1));
        let variant = &sweep.variants[0];
        assert_eq!(
            (variant.name.as_str(), &variant.losses[..], variant.parameters),
            ("emb_dim 16", &[1.5, 1.7][..], 7)
        );
        assert_eq!(variant.setup.seeds, [0, 1]);
        let trouble = Trouble { name: "emb_dim 32".to_owned(), seed: 0, said: "the loss became NaN".to_owned() };
        assert_eq!(sweep.troubles, [trouble]);
        let said = sweep.to_string();
        assert!(said.contains("3 of 5 runs") && said.contains("emb_dim 32, seed 0: the loss became NaN"), "{said}");
    }

    #[test]
    fn what_is_no_sweep_is_told() {
        let empty = tempfile::tempdir().unwrap();
        let said = Sweep::open(empty.path()).unwrap_err().to_string();
        assert!(said.contains("plan.json") && said.contains("glasslab sweep"), "{said}");
        let half = folder(&[(json!({}), 0)], &[]);
        std::fs::write(half.path().join("runs/run-0.json"), "{\"loss\":").unwrap();
        assert!(Sweep::open(half.path()).unwrap_err().to_string().contains("run-0.json"));
        let plan = json!({ "what": "x", "runs": [{ "file": "../../secret", "settings": {}, "seed": 0 }] });
        std::fs::write(half.path().join("plan.json"), plan.to_string()).unwrap();
        assert!(Sweep::open(half.path()).unwrap_err().to_string().contains("no name of a run's file"));
    }
}
