//! The models of others, read as their files have them: what they say of themselves, their numbers, their tokenizer.
//!
//! ```text
//! GGUF file · Hugging Face folder · llama2.c's .bin → Foreign → (a family's names and switches) → a model of ours
//! ```
//! Nothing is renamed or turned here: a [`Foreign`] has the names, shapes and order that its file has. Files are mapped, and a
//! weight is read when it is asked for, one at a time: nothing is twice in memory. What comes from a file is believed only as
//! far as the file goes: a damaged one is an error that names it, never a panic and never a large piece of memory.
//!
//! | in | what |
//! |---|---|
//! | `gguf`, `quant` | llama.cpp's file, and its numbers of 4 to 8 bits |
//! | `huggingface`, `safetensors` | a folder with `config.json`, weights and `tokenizer.json` |
//! | `llama2c` | the file of karpathy's llama2.c |
//! | `gguf_tokenizer`, `tokenizer_json` | what they say of the tokenizer, as the library's `Vocabulary` |
//! | `config`, `weight` | key-values and tensors, wherever they come from |

mod config;
mod gguf;
mod gguf_tokenizer;
mod huggingface;
mod llama2c;
mod pieces;
mod quant;
mod safetensors;
mod tokenizer_json;
mod weight;

pub use config::Config;
pub use weight::{Stored, Weight};

use crate::error::{Error, Result};
use glasslab::data::Bytes;
use glasslab::tokenizer::{AnyTokenizer, Subwords, Vocabulary};
use std::fs::File;
use std::path::{Path, PathBuf};

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

impl Foreign {
    /// Opens a GGUF file, a Hugging Face folder, or a model of llama2.c, whose tokenizer is looked for beside it
    /// (`tok512.bin` for 512 ids, `tokenizer.bin`).
    ///
    /// # Errors
    /// If it can't be read, is damaged, is of another kind (a pickle of PyTorch is refused by name), or keeps its numbers in a way
    /// that glasslab does not read. A tokenizer that it can't use is no error before it is asked for.
    pub fn open(path: &Path) -> Result<Foreign> {
        if path.is_dir() {
            return huggingface::open(path);
        }
        let bytes = map(path)?;
        match () {
            () if bytes.starts_with(gguf::MAGIC) => gguf::open(path, &bytes),
            () if is_pickle(&bytes) => Err(pickle(path)),
            () if bytes.get(8) == Some(&b'{') => Err(wrong(
                path,
                "holds weights only: give the folder that it is in, with config.json and tokenizer.json beside it",
            )),
            () => llama2c::open(path, &bytes),
        }
    }

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
        vocabulary.resize(n_vocab);
        let tokenizer =
            Subwords::new(vocabulary).map_err(|error| wrong(&self.path, &format!("has a tokenizer: {error}")))?;
        Ok(tokenizer.into())
    }
}

/// A sentence that begins with the file.
fn wrong(path: &Path, why: &str) -> Error {
    Error::Wrong(format!("{} {why}", path.display()))
}

/// That a file is not whole, and what to do.
fn damaged(why: &str) -> String {
    format!("is damaged ({why}): was its writing or copying cut off? Fetch it again")
}

/// A file's bytes, which are read when they are looked at.
fn map(path: &Path) -> Result<Bytes> {
    let file = File::open(path).map_err(Error::file(path))?;
    Ok(Bytes::map(&file, path)?)
}

/// How long a small file may be that is read as a whole: the largest tokenizers have 40 MB.
const LONGEST: u64 = 200_000_000;

/// A text file, if it is there.
fn read_text(path: &Path) -> Result<Option<String>> {
    match path.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Ok(about) if about.len() > LONGEST => {
            return Err(wrong(path, "is larger than 200 MB, which no description of a model is"));
        }
        _ => {}
    }
    match std::fs::read(path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(wrong(path, &damaged("it is no UTF-8 text"))),
        },
        Err(source) => Err(Error::file(path)(source)),
    }
}

/// PyTorch's files: a zip archive, or a pickle by itself, of protocol 2 to 5.
fn is_pickle(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || matches!(bytes, [0x80, 2..=5, ..])
}

fn pickle(path: &Path) -> Error {
    wrong(
        path,
        "is a pickle of PyTorch, which may run any program when it is opened, so glasslab opens none: take the model's \
         .safetensors or GGUF file, or write one where you trust it, in Python \
         `AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER, safe_serialization=True)` and \
         `AutoTokenizer.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER)`",
    )
}
