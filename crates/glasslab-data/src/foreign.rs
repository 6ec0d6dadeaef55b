//! The models of others, read as their files have them: what they say of themselves, their numbers, their tokenizer.
//!
//! ```text
//! GGUF file · Hugging Face folder · llama2.c's .bin → Foreign → (a family's names and switches) → a model of ours
//! ```
//! Nothing is renamed or turned here: a [`Foreign`] has the names, shapes and order that its file has. Files are mapped, and a
//! weight is read when it is asked for, one at a time: nothing is twice in memory. What comes from a file is believed only as
//! far as the file goes: a damaged one is an error that names it, never a panic and never a large piece of memory.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use glasslab_data::foreign::Foreign;
//! let foreign = Foreign::open("SmolLM2-135M-Instruct.gguf".as_ref())?;
//! let n_layers = foreign.config.whole("llama.block_count")?; // Some(30)
//! let embeddings = foreign.weight("token_embd.weight")?.read()?; // (V, C)
//! let tokenizer = foreign.tokenizer(embeddings.size()[0] as usize)?;
//! # Ok(()) }
//! ```
//!
//! | in | what |
//! |---|---|
//! | `gguf`, `quant` | llama.cpp's file, and its numbers of 4 to 8 bits |
//! | `huggingface`, `safetensors` | a folder with `config.json`, weights and `tokenizer.json` |
//! | `llama2c` | the file of karpathy's llama2.c |
//! | `gguf_tokenizer`, `tokenizer_json` | what they say of the tokenizer, as the library's `Vocabulary` |
//! | `chat_template` | how a conversation is written for it |
//! | `open` | which of them a file is |
//! | `model`, `config`, `weight` | what is read, wherever it comes from |
//! | `family`, `names` | which of the families that glasslab knows it is of, its choices, and what its file calls the parts |
//! | `convert` | its weights as a model of ours |
//! | `export` | a model of ours as one of theirs |

mod chat_template;
mod config;
mod convert;
mod export;
mod family;
mod file;
mod gguf;
mod gguf_tokenizer;
mod huggingface;
mod llama2c;
mod model;
mod names;
mod open;
mod pieces;
mod quant;
mod safetensors;
mod tokenizer_json;
mod weight;

pub use config::Config;
pub use export::export;
pub use model::{Foreign, Form};
pub use quant::Block;
pub use weight::{Stored, Weight};
