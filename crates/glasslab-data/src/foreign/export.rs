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

mod file;
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
use std::path::Path;

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
