//! Standing in for cargo, rustc and rustup, for what evcxr and rust-analyzer ask of them.
//!
//! Both start these programs dozens of times with questions whose answers are known since the preparation, and for
//! each cell cargo looks at every dependency anew. This program, found under their names at the front of `PATH`, is
//!
//! - a memory: a question (`metadata`, `--print …`, `-vV`) that was answered before, in a session with the same
//!   dependencies, has the same answer;
//! - a filter: of the crates below the library, rust-analyzer hears only of those that a cell can name, and of their
//!   sources it reads the outline, which saves it seconds and hundreds of megabytes;
//! - a short cut (see [`shortcut`]): once cargo has built a cell, the next one is built by the same call of rustc.
//!
//! Everything else goes to the real tools.

use crate::{outline, shortcut};
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Names the real tools: `GLASSLAB_REAL_CARGO`, `GLASSLAB_REAL_RUSTC`.
pub const REAL: &str = "GLASSLAB_REAL_";
/// Names the folder of known answers.
const ANSWERS: &str = "GLASSLAB_ANSWERS";
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

/// Makes the folder of stand-ins and puts it into the environment.
pub fn install(work: &Path) -> Result<()> {
    // rust-analyzer looks for cargo in cargo's own home first.
    let (home, answers) = (work.join("home"), work.join("answers"));
    let bin = home.join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("could not make {}", bin.display()))?;
    fs::create_dir_all(&answers)?;
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

/// Forgets all answers.
pub fn forget(work: &Path) {
    let _ = fs::remove_dir_all(work.join("answers"));
}

/// The tool itself, past rustup's own stand-in, which takes 30 ms more for each call.
fn real(name: &str, path: &OsStr) -> Result<PathBuf> {
    if let Ok(output) = Command::new("rustup").args(["which", name]).stderr(Stdio::null()).output()
        && output.status.success()
    {
        return Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    let found = std::env::split_paths(path).map(|folder| folder.join(name)).find(|file| file.is_file());
    found.with_context(|| format!("{name} is not on the PATH: install Rust"))
}

/// If this process was started under a tool's name: the exit status of having stood in for it.
pub fn stand_in() -> Option<i32> {
    let name = PathBuf::from(std::env::args_os().next()?).file_name()?.to_str()?.to_owned();
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    std::env::var_os(ANSWERS)?;
    Some(match name.as_str() {
        "rustup" => rustup(&words),
        "cargo" => {
            let command = words.iter().find(|word| !word.starts_with('-') && !word.starts_with('+')).copied();
            match command {
                Some("build") => shortcut::build(&args),
                Some("check") => shortcut::check().unwrap_or_else(|| become_real("cargo", &args)),
                Some("metadata") => question("cargo", &args),
                _ if words.iter().any(|word| matches!(*word, "--version" | "-V" | "-vV" | "--print")) => {
                    question("cargo", &args)
                }
                _ => become_real("cargo", &args),
            }
        }
        "rustc" if words.iter().any(|word| matches!(*word, "--print" | "-vV" | "-Vv" | "--version" | "-V")) => {
            question("rustc", &args)
        }
        "rustc" => become_real("rustc", &args),
        _ => return None,
    })
}

fn rustup(words: &[&str]) -> i32 {
    match words {
        ["which", tool @ ("cargo" | "rustc")] => {
            let bin = PathBuf::from(std::env::var_os(ANSWERS).unwrap_or_default()).with_file_name("home").join("bin");
            println!("{}", bin.join(tool).display());
            0
        }
        // A toolchain that a learner asks for by name is found past this program.
        _ => 1,
    }
}

fn become_real(name: &str, args: &[OsString]) -> i32 {
    eprintln!("{name}: {}", real_command(name, args).exec());
    127
}

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

/// Answers a question, from memory if it can.
fn question(name: &str, args: &[OsString]) -> i32 {
    let file = PathBuf::from(std::env::var_os(ANSWERS).unwrap_or_default()).join(format!("{:016x}", key(name, args)));
    let here = std::env::var(FOLDER).unwrap_or_default();
    if let Ok(known) = fs::read_to_string(&file) {
        print!("{}", local(&known));
        return 0;
    }
    if std::env::var_os("GLASSLAB_TRACE").is_some() {
        eprintln!("{name} is asked anew: {args:?}");
    }
    // evcxr asks about a new dependency in a package of its own, for which cargo would drop all others from the lock.
    let lock = Path::new(&here).join("Cargo.lock");
    let manifest = fs::read_to_string(Path::new(&here).join("Cargo.toml")).unwrap_or_default();
    let kept = manifest.contains("evcxr_dummy_validate_dep").then(|| fs::read(&lock).ok()).flatten();
    let Ok(output) = real_command(name, args).stderr(Stdio::inherit()).output() else { return 127 };
    if let Some(kept) = kept {
        let _ = fs::write(&lock, kept);
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let text = match args.iter().any(|arg| arg == "metadata") {
        true => pruned(&text).unwrap_or(text),
        false => text,
    };
    if output.status.success() && !here.is_empty() {
        let part = file.with_extension(std::process::id().to_string());
        // A full disk costs the memory, not the answer.
        let _ = fs::write(&part, portable(&text)).and_then(|()| fs::rename(&part, &file));
    }
    print!("{text}");
    output.status.code().unwrap_or(1)
}

/// What an answer depends on.
fn key(name: &str, args: &[OsString]) -> u64 {
    let here = std::env::var(FOLDER).unwrap_or_default();
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let words = args.iter().map(|arg| arg.to_string_lossy().into_owned());
    let folder = std::env::current_dir().map_or(String::new(), |folder| folder.display().to_string());
    for text in words.chain([folder, std::env::var("RUSTFLAGS").unwrap_or_default()]) {
        // rust-analyzer copies lock files into temporary folders of random names.
        let is_temporary = Path::new(&text).starts_with(std::env::temp_dir()) && !Path::new(&text).starts_with(&here);
        if is_temporary { "temporary".hash(&mut hasher) } else { portable(&text).hash(&mut hasher) }
    }
    for file in ["Cargo.toml", "Cargo.lock"] {
        portable(&fs::read_to_string(Path::new(&here).join(file)).unwrap_or_default()).hash(&mut hasher);
    }
    hasher.finish()
}

/// cargo's metadata without what only builds and inner crates need.
fn pruned(text: &str) -> Option<String> {
    let mut data: Value = serde_json::from_str(text).ok()?;
    let nodes = data["resolve"]["nodes"].as_array()?.clone();
    let packages = data["packages"].as_array()?.clone();
    let names: HashMap<&str, &str> =
        packages.iter().filter_map(|package| Some((package["id"].as_str()?, package["name"].as_str()?))).collect();
    let macros: HashSet<&str> =
        packages.iter().filter(|package| is_macro(package)).filter_map(|package| package["id"].as_str()).collect();
    let root = data["resolve"]["root"].as_str()?.to_owned();
    let wanted = |from: &str, dependency: &Value| {
        let Some(id) = dependency["pkg"].as_str() else { return false };
        let is_normal =
            dependency["dep_kinds"].as_array().is_none_or(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()));
        // What a learner adds is theirs to name, with all below it.
        from == root || (is_normal && !macros.contains(id) && (!is_ours(names[from]) || is_ours(names[id])))
    };
    let mut kept: HashSet<String> = HashSet::new();
    let mut open = vec![root.clone()];
    while let Some(id) = open.pop() {
        let node = nodes.iter().find(|node| node["id"] == id.as_str())?;
        if kept.insert(id.clone()) {
            let below = node["deps"].as_array()?.iter().filter(|dependency| wanted(&id, dependency));
            open.extend(below.filter_map(|dependency| dependency["pkg"].as_str().map(str::to_owned)));
        }
    }
    keep(&mut data, &kept, &wanted)?;
    if let Some(answers) = std::env::var_os(ANSWERS) {
        data["packages"].as_array_mut()?.iter_mut().for_each(|package| outlined(package, &PathBuf::from(&answers)));
    }
    Some(data.to_string())
}

/// Points a package to the outline of its sources, but for a folder that a learner may be writing in.
fn outlined(package: &mut Value, answers: &Path) {
    let name = package["name"].as_str().unwrap_or_default().to_owned();
    let Some(manifest) = package["manifest_path"].as_str().map(PathBuf::from) else { return };
    let (Some(source), Some(work)) = (manifest.parent(), answers.parent()) else { return };
    if package["source"].is_null() && !is_ours(&name) {
        return;
    }
    let full_name = format!("{name}-{}", package["version"].as_str().unwrap_or_default());
    // Without an outline the sources themselves serve as well, and take longer.
    let Ok(outline) = outline::of_crate(work, &full_name, source) else { return };
    package["manifest_path"] = outline.join("Cargo.toml").to_string_lossy().into();
    for target in package["targets"].as_array_mut().into_iter().flatten() {
        let path = target["src_path"].as_str().and_then(|path| Path::new(path).strip_prefix(source).ok());
        if let Some(path) = path.map(|path| outline.join(path)) {
            target["src_path"] = path.to_string_lossy().into();
        }
    }
}

/// Removes packages and the edges to them.
fn keep(data: &mut Value, kept: &HashSet<String>, wanted: &dyn Fn(&str, &Value) -> bool) -> Option<()> {
    let is_kept = |value: &Value| value.as_str().is_some_and(|id| kept.contains(id));
    data["workspace_members"].as_array_mut()?.retain(is_kept);
    if let Some(members) = data["workspace_default_members"].as_array_mut() {
        members.retain(is_kept);
    }
    data["packages"].as_array_mut()?.retain(|package| is_kept(&package["id"]));
    let nodes = data["resolve"]["nodes"].as_array_mut()?;
    nodes.retain(|node| is_kept(&node["id"]));
    for node in nodes {
        let id = node["id"].as_str()?.to_owned();
        node["deps"].as_array_mut()?.retain(|dependency| is_kept(&dependency["pkg"]) && wanted(&id, dependency));
        let linked: HashSet<String> = node["deps"]
            .as_array()?
            .iter()
            .filter_map(|dependency| Some(dependency["pkg"].as_str()?.to_owned()))
            .collect();
        node["dependencies"]
            .as_array_mut()?
            .retain(|dependency| dependency.as_str().is_some_and(|id| linked.contains(id)));
    }
    Some(())
}

fn is_macro(package: &Value) -> bool {
    let targets = package["targets"].as_array();
    targets.is_some_and(|targets| {
        targets
            .iter()
            .any(|target| target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "proc-macro")))
    })
}

/// Whether a crate is the library or one whose types a cell meets by it; all others below these it uses inside only.
fn is_ours(name: &str) -> bool {
    name.starts_with("glasslab") || name.starts_with("plotters") || matches!(name, "tch" | "torch-sys")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn inner_and_building_crates_are_left_out_but_what_a_learner_adds_stays() {
        let package = |id: &str| json!({ "id": id, "name": id, "targets": [{ "kind": ["lib"] }] });
        let edge = |id: &str, kind: Value| json!({ "pkg": id, "name": id, "dep_kinds": [{ "kind": kind }] });
        let node = |id: &str, deps: Vec<Value>| {
            let names: Vec<Value> = deps.iter().map(|dependency| dependency["pkg"].clone()).collect();
            json!({ "id": id, "deps": deps, "dependencies": names })
        };
        let packages = ["ctx", "glasslab", "tch", "zip", "rand", "build"].map(package).to_vec();
        let data = json!({
            "workspace_members": ["ctx"], "packages": packages,
            "resolve": { "root": "ctx", "nodes": [
                node("ctx", vec![edge("glasslab", Value::Null), edge("rand", Value::Null)]),
                node("glasslab", vec![edge("tch", Value::Null)]),
                node("tch", vec![edge("zip", Value::Null), edge("rand", Value::Null), edge("build", json!("build"))]),
                node("zip", vec![]), node("rand", vec![]), node("build", vec![]),
            ] },
        });
        let left: Value = serde_json::from_str(&pruned(&data.to_string()).unwrap()).unwrap();
        let names: Vec<&str> =
            left["packages"].as_array().unwrap().iter().map(|package| package["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["ctx", "glasslab", "tch", "rand"]);
        assert_eq!(left["resolve"]["nodes"][2]["dependencies"], json!([]));
    }
}
