//! The real cargo and rustc, this program under their names, and what texts have to say in the place of a session's folders.
//!
//! evcxr and rust-analyzer find their tools at the front of `PATH`, where [`install`] puts this program ([`stand_in`]
//! says what it does there); the real ones are named by variables of the environment.
//!
//! [`stand_in`]: mod@crate::quick::stand_in

use crate::quick::outline;
use anyhow::{Context, Result, bail};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Names the real tools: `GLASSLAB_REAL_CARGO`, `GLASSLAB_REAL_RUSTC`.
pub const REAL: &str = "GLASSLAB_REAL_";
/// Names the folder of Rust to use, whatever else is on the `PATH`: an installed lab is compiled by one Rust, and goes with it.
pub const RUST: &str = "GLASSLAB_RUST";
/// Names the folder of what one person's kernels write: the working folder, or one of their own where that is shared.
pub const OWN: &str = "GLASSLAB_OWN";
/// Names the folder of known answers.
pub const ANSWERS: &str = "GLASSLAB_ANSWERS";
/// evcxr's folder, by its own variable.
pub const FOLDER: &str = "EVCXR_TMPDIR";
/// Names the folder of the project, above the library.
const PROJECT: &str = "GLASSLAB_PROJECT";

/// The folders of this session and of this machine, and what stands for them in what is kept, so that it serves another
/// session, and another machine (`scripts/lab pack`). The inner ones come first.
fn places() -> Vec<(&'static str, String)> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let places = [
        ("\u{1}HERE\u{1}", variable(FOLDER)),
        ("\u{1}WORK\u{1}", variable(ANSWERS).and_then(|answers| Some(answers.parent()?.to_owned()))),
        ("\u{1}PROJECT\u{1}", variable(PROJECT)),
        (
            "\u{1}RUST\u{1}",
            variable(&format!("{REAL}RUSTC")).and_then(|rustc| Some(rustc.parent()?.parent()?.to_owned())),
        ),
    ];
    let named = places.into_iter().filter_map(|(name, path)| Some((name, path?.to_str()?.to_owned())));
    named.filter(|(_, path)| path.len() > 1).collect()
}

/// A text with names in the place of this session's folders.
pub fn portable(text: &str) -> String {
    places().iter().fold(text.to_owned(), |text, (name, path)| text.replace(path, name))
}

/// A portable text, with the folders of this session.
pub fn local(text: &str) -> String {
    places().iter().fold(text.to_owned(), |text, (name, path)| text.replace(name, path))
}

/// The folder of what this person's kernels write.
pub fn own() -> PathBuf {
    PathBuf::from(std::env::var_os(OWN).unwrap_or_default())
}

/// Where cargo's own home is, as evcxr and rust-analyzer see it: the stand-ins are in its folder `bin`.
pub fn home(own: &Path) -> PathBuf {
    own.join("home")
}

/// Puts the Rust that [`RUST`] names before all others.
pub fn pin_rust() -> Result<()> {
    let Some(rust) = std::env::var_os(RUST).map(PathBuf::from) else { return Ok(()) };
    if !rust.join("bin").join("rustc").is_file() {
        bail!("{RUST} names {}, where no bin/rustc is: install the lab anew, or unset it", rust.display());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::env::join_paths(std::iter::once(rust.join("bin")).chain(std::env::split_paths(&path)))?;
    // SAFETY: called at the start of `main`, when this process has one thread.
    unsafe { std::env::set_var("PATH", paths) };
    Ok(())
}

/// Makes the folder of stand-ins, in a person's own, and puts it and the known answers into the environment.
pub fn install(work: &Path, own: &Path) -> Result<()> {
    // rust-analyzer looks for cargo in cargo's own home first.
    let (home, answers) = (home(own), work.join("answers"));
    let bin = home.join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("could not make {}", bin.display()))?;
    fs::create_dir_all(own.join("answers"))?;
    let this = std::env::current_exe()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    for name in ["cargo", "rustc", "rustup"] {
        let link = bin.join(name);
        if fs::read_link(&link).ok().as_ref() != Some(&this) {
            let part = bin.join(format!("{name}.{}", std::process::id()));
            std::os::unix::fs::symlink(&this, &part)?;
            fs::rename(&part, &link)?;
        }
    }
    for name in ["cargo", "rustc"] {
        let real = real(name, &path)?;
        // SAFETY: called at the start of `main`, when this process has one thread.
        unsafe { std::env::set_var(format!("{REAL}{}", name.to_uppercase()), real) };
    }
    let paths = std::iter::once(bin).chain(std::env::split_paths(&path));
    // SAFETY: as above.
    unsafe {
        std::env::set_var(ANSWERS, answers);
        std::env::set_var(OWN, own);
        std::env::set_var("PATH", std::env::join_paths(paths)?);
        std::env::set_var(format!("{REAL}HOME"), std::env::var_os("CARGO_HOME").unwrap_or_default());
        std::env::set_var("CARGO_HOME", home);
        // Where rust-analyzer finds the standard library.
        std::env::set_var("RUST_SRC_PATH", outline::std_folder(work));
        std::env::remove_var("CARGO");
        std::env::remove_var("RUSTC");
    }
    Ok(())
}

/// The tool itself, past rustup's own stand-in, which takes 30 ms more for each call.
fn real(name: &str, path: &OsStr) -> Result<PathBuf> {
    if std::env::var_os(RUST).is_none()
        && let Ok(output) = Command::new("rustup").args(["which", name]).stderr(Stdio::null()).output()
        && output.status.success()
    {
        return Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    let found = std::env::split_paths(path).map(|folder| folder.join(name)).find(|file| file.is_file());
    found.with_context(|| format!("{name} is not on the PATH: install Rust"))
}

/// A call of the real tool.
pub fn real_command(name: &str, args: &[OsString]) -> Command {
    let mut command = Command::new(std::env::var_os(format!("{REAL}{}", name.to_uppercase())).unwrap_or(name.into()));
    command.args(args);
    match std::env::var_os(format!("{REAL}HOME")) {
        Some(home) if !home.is_empty() => command.env("CARGO_HOME", home),
        _ => command.env_remove("CARGO_HOME"),
    };
    // Where a tool starts another one, that is the real one too.
    if name == "cargo"
        && let Some(rustc) = std::env::var_os(format!("{REAL}RUSTC"))
    {
        command.env("RUSTC", rustc);
    }
    command
}
