//! Building the library once, in the folder that later sessions copy.
//!
//! The template is made by evcxr itself, with the very calls that a session makes: so its flags,
//! profile and lock file are the session's, and cargo finds all of it fresh.

use crate::work::Work;
use anyhow::{Context, Result, bail};
use evcxr::CommandContext;
use std::fs;
use std::path::Path;
use std::time::Instant;

/// What every notebook starts with. The `?` makes evcxr expect one in every later cell: it learns
/// this from a compile error, and would show a first picture with a `?` as its bare fields.
const PRELUDE: &str = "use glasslab::prelude::*;\nOk::<(), Error>(())?;";

/// Builds `library` (the folder of the `glasslab` crate) into the template; an interrupted one is never
/// taken for a whole one, because it has another name until the end.
pub fn prepare(work: &Work, library: &Path) -> Result<()> {
    let library = library.canonicalize().with_context(|| format!("no library at {}", library.display()))?;
    let lock = library.join("../../Cargo.lock");
    let template = work.template();
    let building = template.with_extension("building");
    // What an earlier preparation has built, whole or interrupted, cargo builds on.
    if template.exists() && !building.exists() {
        fs::rename(&template, &building).with_context(|| format!("could not rename {}", template.display()))?;
    }
    fs::create_dir_all(&building).with_context(|| format!("could not make {}", building.display()))?;
    let pinned = building.join("glasslab.lock");
    fs::copy(&lock, &pinned).with_context(|| format!("could not copy {}", lock.display()))?;

    fs::create_dir_all(work.config())?;
    fs::write(work.config().join("evcxr.toml"), "[evcxr]\n")?;
    fs::write(work.config().join("init.evcxr"), init(&library)?)?;

    work.configure(&building)?;
    let started = Instant::now();
    let (mut context, outputs) = CommandContext::new().map_err(anyhow::Error::msg)?;
    std::thread::spawn(move || outputs.stderr.iter().for_each(|line| eprintln!("{line}")));
    for code in [":load_config", "Tensor::from_slice(&[1.0, 2.0])"] {
        if let Err(error) = context.execute(code) {
            bail!("the library does not build for cells: {error}");
        }
    }
    drop(context);
    if template.exists() {
        fs::remove_dir_all(&template).with_context(|| format!("could not remove {}", template.display()))?;
    }
    fs::rename(&building, &template)?;
    eprintln!("prepared in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// The commands that evcxr runs at its start.
///
/// evcxr first compiles an empty crate, for which cargo drops every dependency from Cargo.lock.
/// Putting the pinned file back keeps each session at the versions that the template was built
/// with, also offline. Dependency and prelude are one evaluation: two would compile twice.
fn init(library: &Path) -> Result<String> {
    let library = library.to_str().context("the library's path is not UTF-8")?;
    Ok(format!(
        "!cp \"$EVCXR_TMPDIR/glasslab.lock\" \"$EVCXR_TMPDIR/Cargo.lock\"\n\
         :dep glasslab = {{ path = {library:?} }}\n\
         {PRELUDE}\n"
    ))
}
