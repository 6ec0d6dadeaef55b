//! The Jupyter kernel of glasslab: evcxr, made ready for the lab.
//!
//! Before evcxr_jupyter's server starts, this program gives the session a folder of its own in
//! which the library is built already ([`work`]), so that a notebook needs no `:dep` line, finds
//! `use glasslab::prelude::*` done, and shows its first tensor in seconds instead of minutes.
//!
//! ```text
//! glasslab-kernel --control_file FILE            started by Jupyter
//! glasslab-kernel --prepare LIBRARY              builds LIBRARY once, for all later sessions
//! glasslab-kernel --stock --control_file FILE    plain evcxr_jupyter, for comparison
//! ```
//! The folder is named by the environment variable `GLASSLAB_WORK`.

mod prepare;
mod work;

use anyhow::{Context, Result, bail};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use work::Work;

/// Set by `--stock` on its way to the plain server.
const STOCK: &str = "GLASSLAB_STOCK";
/// Names the folder that `scripts/lab setup` prepared.
const WORK: &str = "GLASSLAB_WORK";

fn main() -> ExitCode {
    // The process that runs the cells is this program too: evcxr starts it anew.
    evcxr::runtime_hook();
    match run() {
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
        ["--control_file", _] if std::env::var_os(STOCK).is_some() => evcxr_jupyter::main(),
        ["--control_file", _] => serve(),
        ["--stock", "--control_file", file] => stock(file),
        ["--prepare", library] => prepare::prepare(&work()?, library.as_ref()),
        ["--version"] => {
            println!("glasslab-kernel {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        _ => bail!(
            "expected --control_file FILE, --stock --control_file FILE, --prepare LIBRARY or --version, \
             got {args:?}. To open the lab, run scripts/lab"
        ),
    }
}

fn work() -> Result<Work> {
    let folder = std::env::var_os(WORK)
        .with_context(|| format!("{WORK} is not set; scripts/lab sets it, start the lab with that"))?;
    Work::new(PathBuf::from(folder))
}

/// Runs evcxr_jupyter's server in a session folder of its own, removed at the end.
fn serve() -> Result<()> {
    let work = work()?;
    work.sweep();
    let session = work.start_session()?;
    work.configure(session.folder())?;
    evcxr_jupyter::main()
}

/// Becomes plain evcxr_jupyter, which takes its own arguments only.
fn stock(file: &str) -> Result<()> {
    let error = Command::new(std::env::current_exe()?).args(["--control_file", file]).env(STOCK, "1").exec();
    Err(error).context("could not start the stock server")
}
