//! A model of others, as it is read.

use super::chat_template::{self, Tokens};
use super::file::wrong;
use super::{Config, Weight};
use crate::error::Result;
use glasslab::tokenizer::{AnyTokenizer, ChatFormat, Subwords, Vocabulary};
use std::fmt;
use std::path::PathBuf;

/// A model as its file has it.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// The file, or the folder.
    pub path: PathBuf,
    /// What kind of file it is.
    pub form: Form,
    /// What the file calls its architecture: `llama`, `gpt2`, `qwen2`, `gemma3`, `gemma3_text`, …
    pub family: String,
    /// What it says of itself, by the file's own keys (`llama.block_count`, `num_hidden_layers`, `n_layers`).
    pub config: Config,
    /// Its tensors, in the file's order and by the file's names.
    pub weights: Vec<Weight>,
    /// Its tokenizer, or why there is none that glasslab can use.
    pub vocabulary: Result<Vocabulary, String>,
    /// How a conversation is written as one text: a Jinja template.
    pub chat_template: Option<String>,
    /// The tokens that a template names.
    pub(super) tokens: Tokens,
}

/// The kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// llama.cpp's: names as `blk.0.attn_q.weight`, rotary positions of Llama by neighbouring pairs.
    Gguf,
    /// A Hugging Face folder: names as `model.layers.0.self_attn.q_proj.weight`, rotary positions by halves.
    HuggingFace,
    /// karpathy's llama2.c: names as `layers.0.attention.wq.weight`, rotary positions by neighbouring pairs.
    Llama2c,
}

impl fmt::Display for Form {
    /// As what a model is written: `as a GGUF file`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Form::Gguf => "as a GGUF file",
            Form::HuggingFace => "as a Hugging Face folder",
            Form::Llama2c => "as a model of llama2.c",
        })
    }
}

impl Foreign {
    /// A weight by its name.
    ///
    /// # Errors
    /// If there is none of that name: the sentence tells what is there.
    pub fn weight(&self, name: &str) -> Result<&Weight> {
        self.weights.iter().find(|weight| weight.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.weights.iter().take(5).map(|weight| &weight.name[..]).collect();
            wrong(&self.path, &format!("has no weight {name}; it has {}: {}, …", self.weights.len(), names.join(", ")))
        })
    }

    /// Its tokenizer, with as many ids as the model's table of embeddings has rows.
    ///
    /// # Errors
    /// If it has none, or one that glasslab can't use.
    pub fn tokenizer(&self, n_vocab: usize) -> Result<AnyTokenizer> {
        let mut vocabulary = self.vocabulary.clone().map_err(|why| wrong(&self.path, &why))?;
        // Tables have a few rows more than there are ids; a number out of a damaged file would be anything.
        if n_vocab > 2 * vocabulary.pieces.len() + 1024 {
            let pieces = vocabulary.pieces.len();
            return Err(wrong(
                &self.path,
                &format!("has embeddings for {n_vocab} ids and a tokenizer of {pieces}: the two don't belong together"),
            ));
        }
        vocabulary.chat = self.chat_format().and_then(Result::ok);
        vocabulary.resize(n_vocab);
        let tokenizer =
            Subwords::new(vocabulary).map_err(|error| wrong(&self.path, &format!("has a tokenizer: {error}")))?;
        Ok(tokenizer.into())
    }

    /// What its chat template writes between the messages of a conversation, if it has one; or why glasslab can't use it.
    pub fn chat_format(&self) -> Option<Result<ChatFormat, String>> {
        Some(chat_template::format(self.chat_template.as_ref()?, &self.tokens))
    }
}
