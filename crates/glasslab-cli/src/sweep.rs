//! `glasslab sweep`: many trainings out of one file, here or on other machines, into a folder of results.

mod engine;
mod file;
mod results;

use crate::stop::{STOPPED, listen};
use clap::Args;
use engine::{Engine, Outcome};
use file::{Plan, Run};
use glasslab::{Error, Result};
use results::Folder;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

#[derive(Debug, Args)]
pub struct Sweep {
    /// What is varied and what is not, in TOML: `data`, `held_out`, `seeds = [0, 1]`, `threads`; `[settings]` of all runs,
    /// options of `glasslab train` by their names, and `chars`, how much text to learn from; `[grid]`, lists of which every
    /// combination is a run; `[[runs]]`, once for each.
    file: PathBuf,
    /// The text to learn from, in the place of the one that the file names.
    #[arg(long)]
    data: Option<PathBuf>,
    /// The text to measure on, in the place of the one that the file names.
    #[arg(long)]
    held_out: Option<PathBuf>,
    /// The folder of results; what is done there is not done again [default: the file's name without .toml, beside it].
    #[arg(long)]
    out: Option<PathBuf>,
    /// `local`: processes of this machine; or `tcp://HOST:PORT`: the workers of a Dask scheduler.
    #[arg(long, default_value = "local")]
    engine: Engine,
    /// How many runs at a time on this machine [default: processors / threads of a run].
    #[arg(long)]
    jobs: Option<usize>,
    /// Does those again that failed.
    #[arg(long)]
    again: bool,
    /// Only says what would be run.
    #[arg(long)]
    plan: bool,
}

impl Sweep {
    pub fn run(&self, as_json: bool) -> Result<ExitCode> {
        let plan = Plan::read(&self.file, [&self.data, &self.held_out])?;
        if self.plan {
            tell(&plan, as_json);
            return Ok(ExitCode::SUCCESS);
        }
        let folder = Folder::open(self.out.as_ref().unwrap_or(&plan.out), &plan)?;
        let left: Vec<&Run> = plan.runs.iter().filter(|run| !folder.has(run, self.again)).collect();
        let all = plan.runs.len();
        eprintln!("{}: {all} runs, {} done before; results in {}", plan.what, all - left.len(), folder.path.display());
        let stop = listen()?;
        let (mut done, mut unable) = (all - left.len(), Vec::new());
        let jobs = self.jobs.unwrap_or_else(|| processors() / plan.threads).max(1);
        let ended = self.engine.train(&plan, &left, jobs, &stop, &mut |run, outcome| {
            match outcome {
                Outcome::Ended(ended) => {
                    if let Some(said) = folder.keep(run, &ended)? {
                        done += 1;
                        eprintln!("{done:>4}/{all}  {}, seed {}: {said}", settings(run, &plan), run.seed);
                    }
                }
                Outcome::Unable(why) => {
                    eprintln!("      not run: {}, seed {}: {why}", settings(run, &plan), run.seed);
                    unable.push(why);
                }
            }
            Ok(())
        });
        let sweep = glasslab::experiment::Sweep::open(&folder.path)?;
        folder.write_views(&sweep)?;
        if as_json {
            println!("{}", json!({ "what": plan.what, "done": done, "planned": all, "runs": folder.rows()? }));
        } else {
            print!("{sweep}");
        }
        ended?;
        if stop.load(Ordering::Relaxed) {
            eprintln!("stopped: the same command goes on with the {} runs that are left", all - done);
            return Ok(ExitCode::from(STOPPED));
        }
        match unable.first() {
            None => Ok(ExitCode::SUCCESS),
            Some(first) => Err(Error::Config(format!(
                "{} of {all} runs could not be run: {first}. The same command tries them again",
                unable.len()
            ))),
        }
    }
}

/// Every run, before any is trained.
fn tell(plan: &Plan, as_json: bool) {
    if as_json {
        println!("{}", plan.as_json());
        return;
    }
    println!("{}: {} runs into {}", plan.what, plan.runs.len(), plan.out.display());
    for run in &plan.runs {
        println!("{}, seed {}: {} parameters", settings(run, plan), run.seed, run.parameters);
    }
}

/// The settings of a run that not all have.
fn settings(run: &Run, plan: &Plan) -> String {
    let is_common = |name: &str, value: &Value| plan.runs.iter().all(|other| other.settings.get(name) == Some(value));
    let own: Map<String, Value> =
        run.settings.clone().into_iter().filter(|(name, value)| !is_common(name, value)).collect();
    match own.is_empty() {
        true => plan.what.clone(),
        false => glasslab::experiment::in_words(&own),
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
