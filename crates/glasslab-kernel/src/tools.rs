//! Standing in for cargo, rustc and rustup, for what evcxr and rust-analyzer ask of them.
//!
//! Both start these programs dozens of times with questions whose answers are known since the preparation, and for
//! each cell cargo looks at every dependency anew. This program, found under their names at the front of `PATH`, is
//!
//! - a memory: a question (`metadata`, `--print …`, `-vV`) that was answered before, in a session with the same
//!   dependencies, has the same answer;
//! - a filter: of the crates below the library, rust-analyzer hears only of those that a cell can name, and of their
//!   sources it reads the outline, which saves it seconds and hundreds of megabytes;
//! - a short cut: once cargo has built a cell, the next one is built by the same call of rustc.
//!
//! Everything else goes to the real tools.

use crate::outline;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Names the real tools: `GLASSLAB_REAL_CARGO`, `GLASSLAB_REAL_RUSTC`.
const REAL: &str = "GLASSLAB_REAL_";
/// Names the folder of known answers.
const ANSWERS: &str = "GLASSLAB_ANSWERS";
/// evcxr's folder, by its own variable.
const FOLDER: &str = "EVCXR_TMPDIR";
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
fn portable(text: &str) -> String {
    places().iter().fold(text.to_owned(), |text, (name, path)| text.replace(path, name))
}

/// A portable text, with the folders of this session.
fn local(text: &str) -> String {
    places().iter().fold(text.to_owned(), |text, (name, path)| text.replace(name, path))
}

/// How the last cell was built, in a session's folder.
pub const RECIPE: &str = "recipe.json";
/// How far a cell's own code is optimised, where a learner has said so.
pub const OPT_LEVEL: &str = "opt-level";

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
                Some("build") => build(&args),
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

fn real_command(name: &str, args: &[OsString]) -> Command {
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

/// Builds a cell: the first by cargo, which says how, the later ones with the same dependencies by rustc alone.
fn build(args: &[OsString]) -> i32 {
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap_or_default());
    let recipe = folder.join(RECIPE);
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    if std::env::var_os("RUSTC_WRAPPER").is_none()
        && let Ok(text) = fs::read_to_string(&recipe)
        && let Ok(known) = serde_json::from_str::<Value>(&local(&text.replace("\\u0001", "\u{1}")))
        && known["manifest"] == manifest.as_str()
        && let Some(words) = known["words"].as_array()
    {
        return compile(&folder, words.iter().filter_map(Value::as_str));
    }
    let Ok(mut cargo) = real_command("cargo", args).arg("-v").stderr(Stdio::piped()).spawn() else { return 127 };
    let mut words = None;
    if let Some(errors) = cargo.stderr.take() {
        use std::io::BufRead;
        for line in std::io::BufReader::new(errors).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&line);
            match text.trim().strip_prefix("Running `") {
                Some(call) if call.contains("--crate-name ctx ") => words = split(call.trim_end_matches('`')),
                _ => eprintln!("{text}"),
            }
        }
    }
    let status = cargo.wait().ok().and_then(|status| status.code()).unwrap_or(1);
    if status == 0
        && let Some(words) = words
    {
        let part = recipe.with_extension("part");
        let text = portable(&json!({ "manifest": manifest, "words": words }).to_string());
        let text = text.replace('\u{1}', "\\u0001");
        // Without it the next cell goes by cargo too.
        let _ = fs::write(&part, text).and_then(|()| fs::rename(&part, &recipe));
    }
    status
}

/// Where evcxr's code around a cell takes the error that a `?` passes on, and what it says with a call that tells
/// the line of that `?`.
const TAKES_ERROR: &str = "fn from(error: T) -> Self {";
const TELLS_LINE: &str =
    "#[track_caller] fn from(error: T) -> Self { ::glasslab::hooks::failed(std::panic::Location::caller());";

/// Changes evcxr's code around a cell, without adding or removing a line: it tells the line of an error, and takes the
/// store of variables from the library, where it is compiled already.
fn adapt(source: &Path) {
    let Ok(text) = fs::read_to_string(source) else { return };
    // As it was, the cell runs too: it says less, or is compiled more slowly.
    let _ = fs::write(source, with_compiled_store(&with_line_of_errors(text)));
}

/// A cell that allows no `?` has no place for this.
fn with_line_of_errors(text: String) -> String {
    match text.split_once("struct EvcxrUserCodeError {}") {
        Some((before, after)) => {
            format!("{before}struct EvcxrUserCodeError {{}}{}", after.replacen(TAKES_ERROR, TELLS_LINE, 1))
        }
        None => text,
    }
}

/// The first and the last line of evcxr's store of variables.
const STORE: [&str; 2] =
    ["\nmod evcxr_internal_runtime {\n", "    Box::into_raw(Box::new(VariableStore::new()))\n}\n}\n"];

fn with_compiled_store(text: &str) -> String {
    let parts = text.split_once(STORE[0]).and_then(|(before, rest)| Some((before, rest.split_once(STORE[1])?)));
    let Some((before, (store, after))) = parts else { return text.to_owned() };
    let lines = "\n".repeat(store.lines().count() + STORE[1].lines().count() - 1);
    format!("{before}{}pub use ::glasslab::hooks::variables::*;{lines}}}\n{after}", STORE[0])
}

/// Calls rustc as cargo did, but for how the cell's own code is compiled: the library is optimised already; what a
/// cell adds should be there soon, and know its lines.
fn compile<'a>(folder: &Path, words: impl Iterator<Item = &'a str>) -> i32 {
    let mut command = Command::new(std::env::var_os(format!("{REAL}RUSTC")).unwrap_or("rustc".into()));
    command.current_dir(folder);
    adapt(&folder.join("src/lib.rs"));
    let mut words = words.peekable();
    let mut out = PathBuf::new();
    while let Some(word) = words.next() {
        // `NAME=value` before the program are cargo's variables; the program is named already.
        match word.split_once('=') {
            Some((name, value))
                if name.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit())
                    && !name.is_empty() =>
            {
                command.env(name, value);
                continue;
            }
            _ if word.ends_with("/rustc") || word == "rustc" => continue,
            _ => {}
        }
        if word == "--out-dir"
            && let Some(place) = words.peek()
        {
            out = folder.join(place);
        }
        let own = ["strip=", "opt-level=", "debuginfo="];
        if word == "-C" && words.peek().is_some_and(|next| own.iter().any(|name| next.starts_with(name))) {
            words.next();
            continue;
        }
        command.arg(word);
    }
    let level = fs::read_to_string(folder.join(OPT_LEVEL)).unwrap_or_else(|_| "1".to_owned());
    command.args(["-C", "debuginfo=line-tables-only", "-C", &format!("opt-level={}", level.trim())]);
    let Ok(mut rustc) = command.stderr(Stdio::piped()).spawn() else { return 127 };
    if let Some(messages) = rustc.stderr.take() {
        use std::io::BufRead;
        for line in std::io::BufReader::new(messages).lines().map_while(Result::ok) {
            eprintln!("{}", without_the_move(&line).unwrap_or(line));
        }
    }
    let status = rustc.wait().ok().and_then(|status| status.code()).unwrap_or(127);
    if status == 0 {
        let artifact = json!({
            "reason": "compiler-artifact", "target": { "name": "ctx" }, "filenames": [out.join(libloading::library_filename("ctx"))],
        });
        let mut answer = std::io::stdout().lock();
        // evcxr is gone, or reads this.
        let _ = writeln!(answer, "{artifact}");
    }
    status
}

/// A variable that a cell gives away can't be kept for later cells; evcxr learns that from rustc's error, which names
/// two places: where evcxr's code keeps it, and where the cell gave it away. If the latter is the cell's last
/// expression, evcxr blames that as well, and shows its value without a picture. So it hears of the first place only.
fn without_the_move(line: &str) -> Option<String> {
    let mut message: Value = serde_json::from_str(line).ok()?;
    let spans = message["spans"].as_array_mut().filter(|spans| spans.len() > 1)?;
    let is_keeping = |span: &Value| {
        let code = span["text"][0]["text"].as_str().unwrap_or_default();
        span["is_primary"] == true && code.contains("evcxr_variable_store.put_variable")
    };
    if !spans.iter().any(is_keeping) {
        return None;
    }
    spans.retain(is_keeping);
    message["children"] = json!([]);
    (message["code"]["code"] == "E0382").then(|| message.to_string())
}

/// The words of a command as cargo prints it: single quotes around what a shell would take apart.
fn split(command: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let (mut word, mut quoted, mut begun) = (String::new(), false, false);
    let mut characters = command.chars();
    while let Some(character) = characters.next() {
        match character {
            '\'' => (quoted, begun) = (!quoted, true),
            '\\' if !quoted => word.push(characters.next()?),
            ' ' if !quoted => {
                if begun || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            other => word.push(other),
        }
    }
    if begun || !word.is_empty() {
        words.push(word);
    }
    (!quoted).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_command_is_taken_apart_as_a_shell_would() {
        let words = split("A='b c' rustc --cfg 'feature=\"x\"' -C a=b ''").unwrap();
        assert_eq!(words, ["A=b c", "rustc", "--cfg", "feature=\"x\"", "-C", "a=b", ""]);
    }

    #[test]
    fn the_store_of_variables_is_the_librarys_and_no_line_moves() {
        let evcxrs = format!("a{}one\n\n\ntwo\n{}last", STORE[0], STORE[1]);
        let ours = with_compiled_store(&evcxrs);
        assert!(ours.contains("glasslab::hooks::variables") && !ours.contains("one") && !ours.contains("into_raw"));
        assert_eq!(ours.lines().count(), evcxrs.lines().count());
        assert!(ours.ends_with("}\nlast"), "{ours}");
        assert_eq!(with_compiled_store("fn f() {}"), "fn f() {}");
    }

    #[test]
    fn of_a_variable_given_away_only_the_place_of_keeping_is_told() {
        let span = |primary: bool, code: &str| json!({ "is_primary": primary, "text": [{ "text": code }] });
        let message = |spans: Vec<Value>| json!({ "code": { "code": "E0382" }, "spans": spans, "children": [1] });
        let keeping = span(true, "evcxr_variable_store.put_variable::<String>(stringify!(a), a);");
        let told = without_the_move(&message(vec![keeping.clone(), span(false, "show(a)")]).to_string()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["spans"], json!([keeping]));
        // An error of the cell's own keeps both its places.
        assert_eq!(without_the_move(&message(vec![span(true, "b(a)"), span(false, "c(a)")]).to_string()), None);
    }

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
