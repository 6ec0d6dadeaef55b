//! `glasslab export`: a model of ours becomes one of others.

use crate::fetch::end;
use crate::import::check_out;
use clap::{Args, ValueEnum};
use glasslab::model::AnyModel;
use glasslab_data::Result;
use glasslab_data::foreign::{Form, export};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum As {
    /// A folder that Python's `transformers` opens.
    Hf,
    /// A file for llama.cpp.
    Gguf,
    /// A .bin for llama2.c, its tokenizer beside it.
    #[value(name = "llama2c")]
    Llama2c,
}

#[derive(Debug, Args)]
pub struct Export {
    /// The model: one that `glasslab train` kept, a GGUF file, a Hugging Face folder, or a fetched one by its name.
    model: PathBuf,
    /// In which form.
    #[arg(long = "as", value_enum, value_name = "FORM")]
    form: As,
    /// Where it goes: a folder for hf, else a file.
    #[arg(long)]
    out: PathBuf,
}

impl Export {
    pub fn run(&self, as_json: bool) -> ExitCode {
        end(self.export(as_json))
    }

    fn export(&self, as_json: bool) -> Result<()> {
        check_out(&self.model, &self.out)?;
        let form = match self.form {
            As::Hf => Form::HuggingFace,
            As::Gguf => Form::Gguf,
            As::Llama2c => Form::Llama2c,
        };
        let family = export(&AnyModel::open(&self.model)?, form, &self.out)?;
        match as_json {
            true => println!("{}", json!({ "path": self.out, "family": family.name() })),
            false => println!("{}: a {} in float32", self.out.display(), family.name()),
        }
        Ok(())
    }
}
