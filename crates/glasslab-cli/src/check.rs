//! `glasslab check`: whether the answers that an exercise's check has kept are right. `scripts/lab grade` asks it.

use clap::Args;
use glasslab::Result;
use glasslab::check::judge_kept;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Check {
    /// Files of answers, as a check writes them into the folder that GLASSLAB_CHECK_ANSWERS names.
    #[arg(required = true)]
    answers: Vec<PathBuf>,
    /// The seed of the inputs, as GLASSLAB_CHECK_SEED named it to the check.
    #[arg(long)]
    seed: u64,
}

impl Check {
    pub fn run(&self, as_json: bool) -> Result<()> {
        let mut all = Vec::new();
        for path in &self.answers {
            // A file that holds none says nothing of the others.
            let (exercise, is_right, said) = match judge_kept(path, self.seed) {
                Ok(verdict) => (json!(verdict.exercise.name), verdict.is_right(), verdict.to_string()),
                Err(error) => (Value::Null, false, error.to_string()),
            };
            if as_json {
                all.push(json!({ "exercise": exercise, "right": is_right, "said": said }));
            } else {
                println!("{said}\n");
            }
        }
        if as_json {
            println!("{}", Value::Array(all));
        }
        Ok(())
    }
}
