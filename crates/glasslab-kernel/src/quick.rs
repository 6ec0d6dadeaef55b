//! What makes evcxr quick: a first tensor in seconds instead of minutes, a cell by one call of rustc.
//!
//! Once, at set-up: [`prepare`] has evcxr build the library by the very calls that a session makes, and keeps its
//! folder as the template; [`outline`] writes what rust-analyzer is to read of it.
//!
//! Then a cell's way, from JupyterLab to rustc and back:
//!
//! 1. JupyterLab starts the kernel. [`work`] makes the session's folder, a copy of the template in milliseconds (hard
//!    links of what nobody changes), and [`tools`] puts this program in the place of cargo, rustc and rustup.
//! 2. evcxr starts in that folder and loads rust-analyzer. Both ask the tools dozens of questions: [`stand_in`] takes
//!    them, [`answers`] knows them since the set-up, and of the library's own crates names only those that a cell can.
//! 3. A cell comes. rust-analyzer finds the types of its new variables from the outlines.
//! 4. evcxr writes the cell into `src/lib.rs`, with the code around it, and says `cargo build`. [`stand_in`] gives that
//!    to [`shortcut`].
//! 5. Where no cell was built yet with these dependencies (of the library alone, one was at set-up), cargo builds it, and
//!    its call of rustc is kept as the recipe. A new dependency that would change the library itself is refused
//!    ([`library`]); a crate in a folder whose files have changed becomes another one by a blank in its `:dep` line
//!    ([`paths`]).
//! 6. Every later cell is that one call of rustc, on a source that is adapted before: the store of variables comes from
//!    the library, where it is compiled already, and a failed `?` tells its line.
//! 7. Of what rustc says, evcxr hears the errors that it understands. Where it wants to know more of an error, it says
//!    `cargo check`: the same call again, without machine code.
//! 8. evcxr tells the cells' process to load the library that rustc has made. What the cell then writes goes past
//!    evcxr, to [`output`](mod@crate::output), and so to JupyterLab.

pub mod answers;
pub mod library;
pub mod outline;
pub mod paths;
pub mod prepare;
pub mod shortcut;
pub mod stand_in;
pub mod tools;
pub mod work;
