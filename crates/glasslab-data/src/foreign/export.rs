//! A model of ours as others read it: what `convert` does to a model of theirs, the other way round.
//!
//! ```text
//! AnyModel → plan: of which family it is → weights: renamed, turned → a Hugging Face folder · GGUF · llama2.c's .bin
//! ```
//! Numbers are written in float32. What a form has nothing for is refused by the name of the choice.
//!
//! | in | what |
//! |---|---|
//! | `plan` | the family that computes the same, and what it has that the model lacks: a scale of 1, a bias of 0 |
//! | `weights` | the model's numbers by that family's names |
//! | `vocabulary` | its tokenizer, of whatever kind, as one [`Vocabulary`](glasslab::tokenizer::Vocabulary) |
//! | `folder`, `tokenizer_json` | what `transformers` opens |
//! | `gguf` | what llama.cpp opens |
//! | `llama2c` | what llama2.c's `run` opens |

mod folder;
mod gguf;
mod llama2c;
mod plan;
mod tokenizer_json;
mod vocabulary;
mod weights;

use super::Form;
use crate::error::{Error, Result};
use glasslab::model::{AnyModel, Family};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use tch::{Device, Kind, TchError, Tensor};

/// Writes a model of ours as others read it; returns the family that it is there.
///
/// `to` is a folder for [`Form::HuggingFace`], else a file; llama2.c's tokenizer goes beside it, as `tok512.bin` for 512 ids.
///
/// # Errors
/// If the form has nothing for one of the model's choices or for its tokenizer, or it can't be written.
pub fn export(model: &AnyModel, form: Form, to: &Path) -> Result<Family> {
    let AnyModel::Transformer(model) = model else {
        return Err(Error::Wrong(
            "the model is an MLP, which none of these forms has anything for: train with --model transformer"
                .to_owned(),
        ));
    };
    let plan = plan::plan(&model.config, form).map_err(Error::Wrong)?;
    let vocabulary = vocabulary::of(&model.tokenizer);
    let weights = weights::weights(model, &plan)?;
    match form {
        Form::HuggingFace => folder::write(to, &plan, &vocabulary, &weights)?,
        Form::Gguf => gguf::write(to, &plan, &vocabulary, &weights)?,
        Form::Llama2c => llama2c::write(to, &plan, &vocabulary, &weights)?,
    }
    Ok(plan.family)
}

/// Writes a file that is whole or not there.
fn write_whole(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(Error::file(folder))?;
    }
    let written = File::create(&part).and_then(|file| {
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&part, path)
    });
    written.map_err(|source| {
        let _ = std::fs::remove_file(&part);
        Error::file(path)(source)
    })
}

/// The numbers of a tensor as they lie in a file, 4 bytes each.
fn write_numbers(tensor: &Tensor, file: &mut impl Write) -> std::io::Result<()> {
    let numbers = || -> std::result::Result<Vec<f32>, TchError> {
        Vec::try_from(tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?.f_view([-1])?)
    };
    for number in numbers().map_err(std::io::Error::other)? {
        file.write_all(&number.to_le_bytes())?;
    }
    Ok(())
}
