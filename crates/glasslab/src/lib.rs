//! glasslab: a glass-box laboratory for language models.
//!
//! Characters become ids ([`tokenizer`]), a model ([`model`]) scores what comes next, [`train`]
//! makes it better, [`evaluate`] says how good it is, [`generate`] lets it write, [`trace`] keeps every
//! number of a forward pass, and [`view`] draws it. Everything is on libtorch, through `tch`; every tensor is visible.
//!
//! ```
//! use glasslab::prelude::*;
//!
//! # fn main() -> Result<()> {
//! let tokenizer = CharTokenizer::default();
//! let data = Dataset::embedded()?;
//! let train_tokens = Tokens::encode(&data.train, &tokenizer)?;
//! let held_out = Tokens::encode(&data.held_out, &tokenizer)?;
//!
//! let mut model = MlpLm::new(MlpConfig::original(), best_device())?;
//! let config = TrainConfig { length: Length::Steps(20), ..TrainConfig::default() };
//! let history = train(&mut model, &train_tokens, &held_out, &config)?;
//! println!("{:.3} nats per character", evaluate(&model, &held_out)?.nats_per_char);
//! println!("{}", printable(&generate(&model, &tokenizer, "A", &Sampling::default())?));
//! # assert!(history.held_out().is_some_and(|loss| loss < 5.6));
//! # Ok(())
//! # }
//! ```

// What only pictures use stands beside what it measures.
#![cfg_attr(not(feature = "plotters"), allow(dead_code, unused_imports))]

pub mod chat;
#[cfg(feature = "plotters")]
pub mod check;
pub mod checkpoint;
pub mod data;
pub mod display;
pub mod error;
pub mod evaluate;
pub mod experiment;
pub mod file;
pub mod generate;
mod helper;
pub mod hooks;
pub mod interact;
pub mod intervene;
pub mod live;
pub mod measure;
mod memory;
pub mod model;
mod numbers;
pub mod prelude;
mod products;
pub mod proofs;
pub mod rng;
mod slices;
mod stopping;
mod threads;
pub mod tokenizer;
pub mod trace;
pub mod train;
#[cfg(feature = "plotters")]
pub mod view;
mod waiting;

pub use error::{Error, Result};

/// The best device here: the first NVIDIA GPU that libtorch can use, else the CPU.
pub fn best_device() -> tch::Device {
    tch::Device::cuda_if_available()
}
