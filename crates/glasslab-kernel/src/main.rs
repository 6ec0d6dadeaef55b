//! The Jupyter kernel of glasslab, on evcxr.
//!
//! It answers Jupyter at once while evcxr loads behind, in a folder of the session's own in which the library is built
//! already: so a notebook needs no `:dep` line, finds `use glasslab::prelude::*` done, and shows its first tensor in
//! seconds instead of minutes. Cells run in a process of their own, whose output comes as it happens.
//!
//! ```text
//! glasslab-kernel --control_file FILE    started by Jupyter
//! glasslab-kernel --prepare LIBRARY      builds LIBRARY once, for all later sessions
//! ```
//! The folder is named by the environment variable `GLASSLAB_WORK`. Where many share it (`scripts/lab install`), what a person's
//! kernels write is in a folder of that person's, which `GLASSLAB_OWN` may name.
//!
//! The map: who stands lower knows nothing of who stands higher (`tests/arrows.rs`).
//!
//! ```text
//! server                       the sockets: who answers what
//! engine  completion           the thread that has evcxr · what may stand at the cursor
//! output                       what cells write, on its way to the notebook
//! shared  job                  what all know · what the engine is asked to do
//! comms  interrupt  history    widgets · stopping · the cells that ran
//! notebook                     what is said to the front-ends
//! report/                      errors that a learner can read
//! quick/                       what makes evcxr quick: begin at its first page
//! cell/                        a cell's text, before anything compiles it
//! child                        the process that runs the cells
//! link  stream  pace           its sockets · taking apart what comes · how much of it is shown
//! platform  panics             the system · what a panic must not do
//! ```

mod cell;
mod child;
mod comms;
mod completion;
mod engine;
#[cfg(test)]
mod fake;
mod history;
mod interrupt;
mod job;
mod link;
mod notebook;
mod output;
mod pace;
mod panics;
mod platform;
mod quick;
#[cfg(test)]
mod random;
mod report;
mod server;
mod shared;
mod stream;

use anyhow::{Context, Result, bail};
use engine::Engine;
use link::Link;
use output::Output;
use quick::work::Work;
use quick::{prepare, stand_in, tools};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Names the folder that `scripts/lab setup` prepared.
const WORK: &str = "GLASSLAB_WORK";

fn main() -> ExitCode {
    if let Some(status) = stand_in::stand_in() {
        std::process::exit(status);
    }
    // The process that runs the cells is this program too: evcxr starts it anew.
    if !child::is_wanted() {
        evcxr::runtime_hook();
    }
    let result = if child::is_wanted() { child::run() } else { tools::pin_rust().and_then(|()| run()) };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("glasslab-kernel: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--control_file", file] => serve(file.as_ref()),
        ["--prepare", library] => prepare::prepare(&Work::new(work()?)?, library.as_ref()),
        ["--version"] => {
            println!("glasslab-kernel {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        _ => bail!(
            "expected --control_file FILE, --prepare LIBRARY or --version, got {args:?}. \
             To open the lab, run scripts/lab"
        ),
    }
}

fn work() -> Result<PathBuf> {
    let folder = std::env::var_os(WORK)
        .with_context(|| format!("{WORK} is not set; scripts/lab sets it, start the lab with that"))?;
    Ok(PathBuf::from(folder))
}

/// Serves a notebook in a session folder of its own, removed at the end.
fn serve(connection_file: &Path) -> Result<()> {
    let work = Work::of_person(work()?, std::env::var_os(tools::OWN).map(PathBuf::from))?;
    work.sweep();
    let session = work.start_session()?;
    work.configure(session.folder())?;
    let folder = session.folder().to_path_buf();
    let stop_file = folder.join("stop");
    let link = Link::open(&stop_file, work.library(&folder)?.as_deref())?;
    server::serve(connection_file, session, |shared, jobs| {
        shared.interrupt.set_stop_file(stop_file);
        let output = Output::start(link, shared.clone());
        std::thread::spawn(move || match output {
            // Without its engine a kernel would take cells and never answer: Jupyter sees that it has ended, and starts it anew.
            Ok(output) => {
                if panics::caught(|| Engine::run(shared.clone(), output, jobs, folder)).is_none() {
                    eprintln!("glasslab-kernel: the part that runs cells has failed; the kernel ends");
                    shared.exit();
                }
            }
            Err(error) => {
                eprintln!("glasslab-kernel: {error:#}");
                shared.exit();
            }
        });
    })
}
