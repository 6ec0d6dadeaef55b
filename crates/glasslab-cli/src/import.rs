//! `glasslab import`: a model of others becomes one of ours.

use crate::fetch::end;
use clap::Args;
use glasslab::model::count_parameters;
use glasslab_data::foreign::Foreign;
use glasslab_data::{Error, Result};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;
use tch::Device;

#[derive(Debug, Args)]
pub struct Import {
    /// A GGUF file, a Hugging Face folder, or a model of llama2.c with its tokenizer beside it.
    from: PathBuf,
    /// Where the model is kept: a file that ends in .safetensors.
    #[arg(long, default_value = "model.safetensors")]
    out: PathBuf,
}

impl Import {
    pub fn run(&self, as_json: bool) -> ExitCode {
        end(self.import(as_json))
    }

    /// Reads, converts and keeps the model, in the kind of its numbers.
    fn import(&self, as_json: bool) -> Result<()> {
        let started = Instant::now();
        check_out(&self.from, &self.out)?;
        let foreign = Foreign::open(&self.from)?;
        let model = foreign.model(Device::Cpu)?;
        model.save_as(&self.out, foreign.kind())?;
        let chat = foreign.chat_format();
        if let Some(Err(why)) = &chat {
            eprintln!("glasslab: its chat template {why}, so this model only continues texts");
        }
        let (parameters, seconds) = (count_parameters(&model), started.elapsed().as_secs_f64());
        match as_json {
            true => println!(
                "{}",
                json!({
                    "model": self.out, "family": foreign.family, "parameters": parameters, "seconds": seconds,
                    "config": model.config(), "answers": matches!(chat, Some(Ok(_))),
                })
            ),
            false => {
                let (out, family, from) = (self.out.display(), &foreign.family, self.from.display());
                println!("{out}: {parameters} numbers of the family {family} from {from}, in {seconds:.1} s");
                if let Some(Ok(_)) = chat {
                    println!("  it has learnt to answer; in a notebook: Chat::new(&Lm::open({:?})?)?", out.to_string());
                }
            }
        }
        Ok(())
    }
}

/// What is read must stay what it is: a Hugging Face folder's file has the name that is usual for a model of ours, too.
pub fn check_out(from: &Path, out: &Path) -> Result<()> {
    let whole = |path: &Path| path.canonicalize().ok();
    let folder = match out.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let Some(from) = whole(from) else { return Ok(()) };
    let is_source = |place: &Path| whole(place).is_some_and(|place| place == from);
    match is_source(out) || is_source(folder) || whole(out).as_deref() == from.parent() {
        true => {
            let (out, from) = (out.display(), from.display());
            Err(Error::Wrong(format!("{out} might take the place of {from}, which is read: give --out another place")))
        }
        false => Ok(()),
    }
}
