//! Compiling a cell: the first by cargo, which says how, the later ones with the same dependencies by rustc alone.
//!
//! On the way, evcxr's code around a cell is made to tell more and to be compiled sooner, and of what rustc says evcxr
//! hears what it understands.

use crate::quick::tools::{FOLDER, REAL, local, portable, real_command};
use crate::quick::{library, paths, work};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How the last cell was built, in a session's folder.
pub const RECIPE: &str = "recipe.json";
/// How far a cell's own code is optimised, where a learner has said so.
pub const OPT_LEVEL: &str = "opt-level";

/// How evcxr hears that cargo was not asked; a sentence follows.
pub const REFUSED: &str = "glasslab: ";

/// What a cell is compiled for.
#[derive(Clone, Copy, PartialEq)]
enum Aim {
    /// To run it.
    Run,
    /// To see its errors.
    Errors,
}

/// Builds a cell.
pub fn build(args: &[OsString]) -> i32 {
    let folder = folder();
    match recipe(&folder) {
        Some(words) => compile(&folder, &words, Aim::Run),
        // The kernel has ended meanwhile; cargo would begin with the library anew, or find the project above.
        None if work::is_abandoned(&folder) => 1,
        None => build_by_cargo(&folder, args),
    }
}

/// Tells a cell's errors. cargo would look at the library and all below it for that, which takes seconds; `None` where
/// only cargo knows how.
pub fn check() -> Option<i32> {
    let folder = folder();
    Some(compile(&folder, &recipe(&folder)?, Aim::Errors))
}

fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os(FOLDER).unwrap_or_default())
}

fn manifest(folder: &Path) -> String {
    fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default()
}

/// The call of rustc that has built a cell with the same dependencies.
fn recipe(folder: &Path) -> Option<Vec<String>> {
    if std::env::var_os("RUSTC_WRAPPER").is_some() {
        return None;
    }
    let text = fs::read_to_string(folder.join(RECIPE)).ok()?;
    let known: Value = serde_json::from_str(&local(&text.replace("\\u0001", "\u{1}"))).ok()?;
    let words = known["words"].as_array().filter(|_| known["manifest"] == manifest(folder).as_str())?;
    words.iter().map(|word| word.as_str().map(str::to_owned)).collect()
}

fn build_by_cargo(folder: &Path, args: &[OsString]) -> i32 {
    let before = fs::read_to_string(folder.join(RECIPE)).ok();
    let before = before.and_then(|text| serde_json::from_str::<Value>(&text.replace("\\u0001", " ")).ok());
    if let Some(before) = before
        && let Some(why) = library::change(folder, &before["library"])
    {
        eprintln!("{REFUSED}{why}");
        return 101;
    }
    let mut cargo = real_command("cargo", args);
    keep_within(folder, &mut cargo);
    for (name, generation) in generations(&manifest(folder)) {
        // Of two versions of a crate one has another count of units, and with it other types.
        cargo.args(["--config", &format!("profile.dev.package.{name}.codegen-units={}", 16 + generation)]);
    }
    let Ok(mut cargo) = cargo.arg("-v").stderr(Stdio::piped()).spawn() else { return 127 };
    let mut words = None;
    if let Some(errors) = cargo.stderr.take() {
        for line in BufReader::new(errors).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&line);
            match text.trim().strip_prefix("Running `") {
                Some(call) if call.contains("--crate-name ctx ") => words = shlex::split(call.trim_end_matches('`')),
                _ => eprintln!("{text}"),
            }
        }
    }
    let status = cargo.wait().ok().and_then(|status| status.code()).unwrap_or(1);
    if status == 0
        && let Some(words) = words
    {
        let recipe = folder.join(RECIPE);
        let part = recipe.with_extension("part");
        let recipe_now = json!({ "manifest": manifest(folder), "words": words, "library": library::crates(folder) });
        let text = portable(&recipe_now.to_string());
        let text = text.replace('\u{1}', "\\u0001");
        // Without it the next cell goes by cargo too.
        let _ = fs::write(&part, text).and_then(|()| fs::rename(&part, &recipe));
    }
    status
}

/// The crates in folders that a manifest names, and which version of each it is, told by blanks (see `paths`).
fn generations(manifest: &str) -> Vec<(String, usize)> {
    let dependencies = manifest.split_once("\n[dependencies]\n").map_or("", |(_, after)| after);
    let crates = dependencies.lines().filter_map(|line| {
        let folder = paths::folder_of(line.split_once('=')?.1)?;
        let generation = line.len() - line.trim_end_matches(' ').len();
        let own = fs::read_to_string(Path::new(folder).join("Cargo.toml")).ok()?;
        let name = own.lines().find_map(|line| line.trim().strip_prefix("name")?.trim_start().strip_prefix('='))?;
        Some((name.trim().trim_matches('"').to_owned(), generation))
    });
    crates.filter(|(_, generation)| *generation > 0).collect()
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

/// The first and the last line of evcxr's store of variables. The library's is laid out as evcxr's (a test tries both).
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
fn compile(folder: &Path, words: &[String], aim: Aim) -> i32 {
    let mut command = Command::new(std::env::var_os(format!("{REAL}RUSTC")).unwrap_or("rustc".into()));
    keep_within(folder, &mut command);
    command.current_dir(folder);
    let source = folder.join("src/lib.rs");
    if aim == Aim::Run {
        adapt(&source);
    }
    let mut words = words.iter().map(String::as_str).peekable();
    let (mut out, mut kept) = (PathBuf::new(), None);
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
            Some(("--emit", _)) if aim == Aim::Errors => {
                command.arg("--emit=metadata");
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
        if let Some(place) = word.strip_prefix("incremental=").filter(|_| aim == Aim::Run) {
            kept = Some(folder.join(place));
        }
        // What is known of the last cell's code serves the next one's, and not what only tells errors.
        let own: &[&str] = match aim {
            Aim::Run => &["strip=", "opt-level=", "debuginfo="],
            Aim::Errors => &["strip=", "opt-level=", "debuginfo=", "incremental="],
        };
        if word == "-C" && words.peek().is_some_and(|next| own.iter().any(|name| next.starts_with(name))) {
            words.next();
            continue;
        }
        command.arg(word);
    }
    if aim == Aim::Run {
        let level = opt_level(&folder.join(OPT_LEVEL));
        command.args(["-C", "debuginfo=line-tables-only", "-C", &format!("opt-level={level}")]);
    }
    let shown = shown_lines(&fs::read_to_string(&source).unwrap_or_default());
    let (status, lines) = compiled(&mut command, kept.as_deref());
    lines.into_iter().filter_map(|line| heard(line, &shown)).for_each(|line| eprintln!("{line}"));
    if status == 0 && aim == Aim::Run {
        let artifact = json!({
            "reason": "compiler-artifact", "target": { "name": "ctx" }, "filenames": [out.join(libloading::library_filename("ctx"))],
        });
        let mut answer = std::io::stdout().lock();
        // evcxr is gone, or reads this.
        let _ = writeln!(answer, "{artifact}");
    }
    status
}

/// Calls the compiler: its status, and what it said. What it keeps of the last cell's machine code may lack a piece that the
/// new cell takes for known, or may be cut off in the middle (each seen once in a thousand cells of which many were stopped
/// half-way: rustc links what it keeps into the new cell's folder, and writes over it). Then nothing is taken for known.
fn compiled(command: &mut Command, kept: Option<&Path>) -> (i32, Vec<String>) {
    // A compiler that fails like this writes a file about it into the folder that it runs in.
    let (status, lines) = called(command.env("RUSTC_ICE", "0"));
    let is_of_kept = |line: &String| {
        let lacks_piece = line.contains("linking with") && line.contains("undefined ");
        lacks_piece || line.contains("the compiler unexpectedly panicked")
    };
    match kept.filter(|_| status == CRASHED || status != 0 && lines.iter().any(is_of_kept)) {
        Some(kept) if fs::remove_dir_all(kept).is_ok() => called(command),
        _ => (status, lines),
    }
}

/// What a compiler and its linker leave that are ended on their way goes with the session's folder.
fn keep_within(folder: &Path, command: &mut Command) {
    let temporary = folder.join("tmp");
    if fs::create_dir_all(&temporary).is_ok() {
        command.env("TMPDIR", temporary);
    }
}

/// The status of a compiler that did not end by itself, or did not begin.
const CRASHED: i32 = 127;

fn called(command: &mut Command) -> (i32, Vec<String>) {
    let Ok(mut rustc) = command.stderr(Stdio::piped()).spawn() else { return (CRASHED, Vec::new()) };
    let messages = rustc.stderr.take();
    let lines =
        messages.into_iter().flat_map(|messages| BufReader::new(messages).lines().map_while(Result::ok)).collect();
    (rustc.wait().ok().and_then(|status| status.code()).unwrap_or(CRASHED), lines)
}

/// How far cells are optimised, by the file that says it.
pub fn opt_level(file: &Path) -> String {
    fs::read_to_string(file).map_or("1".to_owned(), |level| level.trim().to_owned())
}

/// Where a cell's last expression stands, in lines from 1, if evcxr tries whether its value shows itself.
fn shown_lines(source: &str) -> Range<u64> {
    let lines: Vec<&str> = source.lines().collect();
    let end = lines.iter().rposition(|line| line.starts_with(").evcxr_display();"));
    let found = end.and_then(|end| Some((lines[..end].iter().rposition(|line| *line == "(")?, end)));
    found.map_or(0..0, |(begin, end)| begin as u64 + 1..end as u64 + 2)
}

/// What evcxr hears of a line of rustc's.
///
/// It takes warnings, also those about earlier cells, for errors. And where an error has nothing to do with the cell's own
/// lines but some of its helps and notes have, it takes one of these for the error. It takes the cell's last expression
/// for its own as long as it tries whether the value shows itself: then it should hear of no others.
fn heard(line: String, shown: &Range<u64>) -> Option<String> {
    let Ok(mut message) = serde_json::from_str::<Value>(&line) else { return Some(line) };
    if message["level"].as_str().is_some_and(|level| level != "error") {
        return None;
    }
    if without_the_move(&mut message) {
        return Some(message.to_string());
    }
    let spans = message["spans"].as_array().map_or(&[][..], Vec::as_slice);
    let is_in = |span: &Value| {
        span["is_primary"] == true && span["line_start"].as_u64().is_some_and(|line| shown.contains(&line))
    };
    if spans.iter().any(is_in) {
        message["children"] = json!([]);
        return Some(message.to_string());
    }
    Some(line)
}

/// A variable that a cell gives away can't be kept for later cells; evcxr learns that from rustc's error, which names
/// two places: where evcxr's code keeps it, and where the cell gave it away. If the latter is the cell's last
/// expression, evcxr blames that as well, and shows its value without a picture. So it hears of the first place only.
fn without_the_move(message: &mut Value) -> bool {
    let is_keeping = |span: &Value| {
        let code = span["text"][0]["text"].as_str().unwrap_or_default();
        span["is_primary"] == true && code.contains("evcxr_variable_store.put_variable")
    };
    let is_moved = message["code"]["code"] == "E0382";
    let Some(spans) = message["spans"].as_array_mut().filter(|spans| is_moved && spans.iter().any(is_keeping)) else {
        return false;
    };
    spans.retain(is_keeping);
    message["children"] = json!([]);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_kept_machine_code_lacks_a_piece_all_is_made_anew_once() {
        let folder = tempfile::tempdir().unwrap();
        let (kept, count) = (folder.path().join("incremental"), folder.path().join("count"));
        let script = "echo x >>\"$0\"; if [ -d \"$1\" ] || [ -n \"$3\" ]; then echo \"$2\" >&2; case \"$2\" in kill*) kill -SEGV $$;; esac; exit 1; fi; echo '{}' >&2";
        let lacks =
            r#"{"message":"linking with `cc` failed","children":[{"message":"undefined hidden symbol: drop"}]}"#;
        let run = |said: &str, always: &str| {
            fs::create_dir_all(kept.join("ctx-1")).unwrap();
            let _ = fs::remove_file(&count);
            let mut command = Command::new("sh");
            command.args(["-c", script]).arg(&count).arg(&kept).args([said, always]);
            let (status, lines) = compiled(&mut command, Some(&kept));
            (status, lines.concat(), fs::read_to_string(&count).unwrap().lines().count())
        };
        assert_eq!(run(lacks, ""), (0, "{}".to_owned(), 2));
        let panicked = "error: the compiler unexpectedly panicked. This is a bug";
        assert_eq!(run(panicked, ""), (0, "{}".to_owned(), 2));
        assert_eq!(run(panicked, "always"), (1, panicked.to_owned(), 2));
        assert_eq!(run("kill -SEGV $$", ""), (0, "{}".to_owned(), 2));
        assert_eq!(run(lacks, "always"), (1, lacks.to_owned(), 2), "a symbol that is nowhere is told");
        let other = "{\"message\":\"mismatched types\"}";
        assert_eq!(run(other, ""), (1, other.to_owned(), 1));
    }

    #[test]
    fn what_a_compiler_leaves_is_in_the_sessions_folder() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        keep_within(folder.path(), &mut command);
        let output = command.args(["-c", "mktemp"]).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stdout).starts_with(&format!("{}/tmp/", folder.path().display())));
    }

    #[test]
    fn a_printed_command_is_taken_apart_as_a_shell_would() {
        let words = shlex::split("A='b c' rustc --cfg 'feature=\"x\"' -C a=b ''").unwrap();
        assert_eq!(words, ["A=b c", "rustc", "--cfg", "feature=\"x\"", "-C", "a=b", ""]);
    }

    #[test]
    fn the_version_of_a_crate_in_a_folder_is_told_by_blanks() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Cargo.toml"), "[package]\nname = \"mine\"\n").unwrap();
        let manifest = |end: &str| {
            format!(
                "[lib]\npath = \"src/lib.rs\"\n[dependencies]\na = \"1\"\nx = {{ path = {:?} }}{end}\n",
                folder.path()
            )
        };
        assert_eq!(generations(&manifest("")), []);
        assert_eq!(generations(&manifest("  ")), [("mine".to_owned(), 2)]);
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

    /// evcxr's own code of the store, as it puts it around a cell.
    fn store_of_evcxr() -> PathBuf {
        let args = ["metadata", "--format-version", "1", "--offline", "--locked"];
        let output = Command::new(env!("CARGO")).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        let data: Value = serde_json::from_slice(&output.stdout).unwrap();
        let package = data["packages"].as_array().unwrap().iter().find(|package| package["name"] == "evcxr").unwrap();
        Path::new(package["manifest_path"].as_str().unwrap()).with_file_name("src").join("evcxr_internal_runtime.rs")
    }

    #[test]
    fn one_store_serves_a_cell_with_evcxrs_code_and_one_with_the_librarys() {
        let evcxrs = store_of_evcxr();
        let text = fs::read_to_string(&evcxrs).unwrap();
        let around = format!("use a;{}{text}}}\nfn cell() {{}}", STORE[0]);
        assert!(
            with_compiled_store(&around).contains("glasslab::hooks::variables"),
            "evcxr's code is another one: see STORE"
        );
        // Each kind of cell takes the pointer from the other.
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../glasslab/src/hooks/variables.rs");
        let both = format!(
            "#[path = {evcxrs:?}] mod evcxrs;\n#[path = {ours:?}] mod ours;\n\
             use std::mem::{{align_of, size_of}};\n\
             type Stores = (evcxrs::VariableStore, ours::VariableStore);\n\
             const _: () = assert!(size_of::<Stores>() == 2 * size_of::<evcxrs::VariableStore>());\n\
             const _: () = assert!(align_of::<ours::VariableStore>() == align_of::<evcxrs::VariableStore>());\n\
             fn main() {{ unsafe {{\n\
                 let theirs = evcxrs::create_variable_store();\n\
                 (*theirs).put_variable(\"a\", String::from(\"evcxr's\"));\n\
                 let ours = theirs.cast::<ours::VariableStore>();\n\
                 assert!((*ours).check_variable::<String>(\"a\") && !(*ours).check_variable::<i32>(\"a\"));\n\
                 assert_eq!((*ours).take_variable::<String>(\"a\"), \"evcxr's\");\n\
                 (*ours).put_variable(\"b\", vec![1, 2]);\n\
                 assert_eq!((*theirs).take_variable::<Vec<i32>>(\"b\"), [1, 2]);\n\
                 assert_eq!(*(*theirs).lazy_arc(\"c\", || 3), *(*ours).lazy_arc(\"c\", || 4));\n\
             }} }}\n"
        );
        let folder = tempfile::tempdir().unwrap();
        let (source, program) = (folder.path().join("both.rs"), folder.path().join("both"));
        fs::write(&source, both).unwrap();
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()));
        let compiled = rustc.args(["--edition=2024", "-Awarnings", "-o"]).args([&program, &source]).output().unwrap();
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        assert!(Command::new(&program).status().unwrap().success());
    }

    #[test]
    fn of_a_variable_given_away_only_the_place_of_keeping_is_told() {
        let span = |primary: bool, code: &str| json!({ "is_primary": primary, "text": [{ "text": code }] });
        let message = |spans: Vec<Value>| json!({ "level": "error", "code": { "code": "E0382" }, "spans": spans, "children": [1] });
        let keeping = span(true, "evcxr_variable_store.put_variable::<String>(stringify!(a), a);");
        let told = heard(message(vec![keeping.clone(), span(false, "show(a)")]).to_string(), &(0..0)).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["spans"], json!([keeping]));
        // An error of the cell's own keeps both its places.
        let own = message(vec![span(true, "b(a)"), span(false, "c(a)")]).to_string();
        assert_eq!(heard(own.clone(), &(0..0)), Some(own));
    }

    #[test]
    fn warnings_are_not_heard_and_of_a_shown_expression_only_the_error_itself() {
        assert_eq!(heard(json!({ "level": "warning", "message": "unused" }).to_string(), &(0..0)), None);
        assert_eq!(heard("    Compiling x".into(), &(0..0)).unwrap(), "    Compiling x");
        let shown = shown_lines("use a;\nlet x = 1;\n(\nzip(x)\n).evcxr_display();\nOk(())");
        assert_eq!(shown, 3..6);
        let error = |line: u64| json!({ "level": "error", "spans": [{ "is_primary": true, "line_start": line }], "children": [1] });
        assert!(heard(error(4).to_string(), &shown).unwrap().contains("\"children\":[]"));
        assert!(heard(error(2).to_string(), &shown).unwrap().contains("\"children\":[1]"));
        assert_eq!(shown_lines("let x = 1;"), 0..0);
    }
}
