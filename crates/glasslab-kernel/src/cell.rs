//! A cell as text, before anything compiles it: what it defines, what it lacks, and what evcxr has to be told about it.
//!
//! - [`commands`]: the lines `:name …` above the code.
//! - [`declared`]: the items that stand behind the calls of a cell's own macros.
//! - [`code`]: names, definitions and positions.
//! - [`whole`]: brackets, texts and comments that are open, and lines that end in the middle.
//! - [`impls`]: names for `impl` blocks, so that a cell can be run again.
//! - [`versions`]: in which cell the version of a name stands that is in use.

pub mod code;
pub mod commands;
pub mod declared;
pub mod impls;
pub mod versions;
pub mod whole;
