//! Building the library once, in the folder that later sessions copy.
//!
//! The template is made by evcxr itself, with the very calls that a session makes: so its flags,
//! profile and lock file are the session's, and cargo finds all of it fresh.

use crate::quick::work::Work;
use crate::quick::{answers, outline, shortcut};
use anyhow::{Context, Result, bail};
use evcxr::CommandContext;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// What every notebook starts with. The `?` makes evcxr expect one in every later cell: it learns
/// this from a compile error, and would show a first picture with a `?` as its bare fields.
pub const PRELUDE: &str = "use glasslab::prelude::*;\nOk::<(), Error>(())?;";

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
    clear(&building, &[&settings(&library)?, &fs::read_to_string(&lock).unwrap_or_default(), &rust()?])?;
    let pinned = building.join("Cargo.lock");
    fs::copy(&lock, &pinned).with_context(|| format!("could not copy {}", lock.display()))?;
    // How cells were built, and what the tools answered, may have changed.
    let _ = fs::remove_file(building.join(shortcut::RECIPE));
    answers::forget(work.folder());
    outline::forget(work.folder());
    outline::of_std(work.folder())?;

    fs::create_dir_all(work.config())?;
    fs::write(work.config().join("evcxr.toml"), settings(&library)?)?;

    work.configure(&building)?;
    let started = Instant::now();
    // The first time builds, and cuts the lock file down to what is used, whereupon cargo may build the library once more:
    // so its process loads no cell but the prelude. After that the questions are those of a session, and so are the
    // answers that are kept.
    let cells = [PRELUDE, "let prepared = Tensor::from_slice(&[1.0, 2.0]);", "prepared"];
    for cells in [&cells[..1], &cells, &cells] {
        let (mut context, outputs) = CommandContext::new().map_err(anyhow::Error::msg)?;
        std::thread::spawn(move || outputs.stderr.iter().for_each(|line| eprintln!("{line}")));
        for code in cells {
            if let Err(error) = context.execute(code) {
                bail!("the library does not build for cells: {error}");
            }
        }
    }
    if template.exists() {
        fs::remove_dir_all(&template).with_context(|| format!("could not remove {}", template.display()))?;
    }
    fs::rename(&building, &template)?;
    eprintln!("prepared in {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// Leaves of an earlier preparation what this one builds on: the crates below the library if they were built from just
/// this (`sources`), and never what it has built of cells. Each session would copy what nobody removes.
fn clear(building: &Path, sources: &[&str]) -> Result<()> {
    let made_of = building.join("made-of");
    let sources = sources.join("\n");
    if building.exists() && fs::read_to_string(&made_of).ok().as_ref() != Some(&sources) {
        fs::remove_dir_all(building).with_context(|| format!("could not remove {}", building.display()))?;
    }
    fs::create_dir_all(building).with_context(|| format!("could not make {}", building.display()))?;
    remove_cells(building)?;
    fs::write(&made_of, sources).with_context(|| format!("could not write {}", made_of.display()))
}

/// Removes what was compiled of cells, `ctx` for evcxr, below a folder.
fn remove_cells(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))? {
        let (path, is_folder) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?.is_dir())))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match (name.starts_with("ctx-") || name.starts_with("libctx"), is_folder) {
            (true, true) => fs::remove_dir_all(&path)?,
            (true, false) => fs::remove_file(&path)?,
            (false, true) => remove_cells(&path)?,
            (false, false) => {}
        }
    }
    Ok(())
}

/// Which Rust it is.
fn rust() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("could not run rustc")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// evcxr's settings, and the dependency.
///
/// evcxr begins with an empty crate: it would build that, let rust-analyzer load the standard library for it, and do all
/// of it again when a dependency is added. It writes its `opt_level` into Cargo.toml as it is, and so the dependency comes
/// in with it, from the first moment. The keys that evcxr writes after it then belong to a profile that nobody uses.
///
/// The library itself is compiled as the command's is: at `opt-level` 2, or where each sum of two places is checked, its loops
/// over numbers (`products.rs`) don't become vector instructions, and a model learns twenty times as slowly.
fn settings(library: &Path) -> Result<String> {
    let library = library.to_str().context("the library's path is not UTF-8")?;
    let manifest = format!(
        "2\ndebug = false\nstrip = \"debuginfo\"\nrpath = true\ncodegen-units = 16\nincremental = true\n\n\
         [dependencies.glasslab]\npath = {library:?}\n\n\
         [profile.dev.package.glasslab]\nopt-level = 3\ndebug-assertions = false\noverflow-checks = false\n\n\
         [profile.unused]\ninherits = \"dev\"\nopt-level = 2"
    );
    Ok(format!("[evcxr]\nopt_level = {manifest:?}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_learns_in_cells_as_fast_as_in_the_command() {
        let evcxr: toml::Table = settings(Path::new("/library")).unwrap().parse().unwrap();
        // What evcxr makes of it.
        let written = format!("[profile.dev]\nopt-level = {}\n", evcxr["evcxr"]["opt_level"].as_str().unwrap());
        let cells: toml::Table = written.parse().unwrap();
        let command: toml::Table = include_str!("../../../../Cargo.toml").parse().unwrap();
        let profile = &cells["profile"]["dev"]["package"]["glasslab"];
        assert_eq!(profile["opt-level"], command["profile"]["release"]["package"]["glasslab"]["opt-level"]);
        // As in every release profile.
        assert_eq!(profile["overflow-checks"].as_bool(), Some(false));
        assert_eq!(profile["debug-assertions"].as_bool(), Some(false));
        assert!(cells["profile"]["dev"].get("overflow-checks").is_none(), "a cell's own sums are checked");
    }

    #[test]
    fn of_an_earlier_preparation_is_left_what_this_one_builds_on() {
        let folder = tempfile::tempdir().unwrap();
        let building = folder.path().join("building");
        let (library, cell) = (building.join("deps/libtch.rlib"), building.join("incremental/ctx-1"));
        let build = || {
            fs::create_dir_all(library.parent().unwrap()).unwrap();
            fs::create_dir_all(&cell).unwrap();
            fs::write(&library, "compiled").unwrap();
        };
        clear(&building, &["lock 1", "rustc 1"]).unwrap();
        build();
        clear(&building, &["lock 1", "rustc 1"]).unwrap();
        assert!(library.exists() && !cell.exists());
        build();
        clear(&building, &["lock 1", "rustc 2"]).unwrap();
        assert!(!library.exists() && !cell.exists());
    }
}
