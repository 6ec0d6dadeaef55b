//! A memory of what cargo and rustc were asked, and a filter of what cargo says about dependencies.
//!
//! - A question (`metadata`, `--print …`, `-vV`) that was answered before, in a session with the same dependencies, has
//!   the same answer.
//! - Of the crates below the library, rust-analyzer hears only of those that a cell can name, and of their sources it
//!   reads the outline, which saves it seconds and hundreds of megabytes.

use crate::quick::outline;
use crate::quick::tools::{ANSWERS, FOLDER, local, own, portable, real_command};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Answers a question, from memory if it can.
pub fn question(name: &str, args: &[OsString]) -> i32 {
    let (key, shared) = (format!("{:016x}", key(name, args)), std::env::var_os(ANSWERS).unwrap_or_default());
    let file = own().join("answers").join(&key);
    let here = std::env::var(FOLDER).unwrap_or_default();
    if let Ok(known) = fs::read_to_string(Path::new(&shared).join(&key)).or_else(|_| fs::read_to_string(&file)) {
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

/// Forgets all answers.
pub fn forget(work: &Path) {
    let _ = fs::remove_dir_all(work.join("answers"));
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
    let Ok(outline) = outline::of_crate(work, &own(), &full_name, source) else { return };
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
