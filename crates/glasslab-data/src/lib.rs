//! Datasets for glasslab: fetched from the hub, cleaned, and prepared into the token files that a notebook maps.
//!
//! ```text
//! hub → download → rows → clean → prepare → token file          store: all of it, in the cache folder
//! a person's file → read → clean → prepare → token file
//! a model of others → foreign                                models: those that are fetched by name
//! ```
//! HTTP, TLS, parquet and arrow are here, behind the command `glasslab`, so that no cell is built with them.

pub mod clean;
pub mod download;
pub mod error;
pub mod foreign;
pub mod hub;
pub mod models;
pub mod prepare;
pub mod progress;
pub mod read;
pub mod rows;
pub mod store;

pub use error::{Error, Result};
pub use hub::{HubFile, TRAIN, VALIDATION};
pub use models::{HubModel, MODELS, Models};
pub use progress::Meter;
pub use store::{Fetched, Store};
