//! Running the command `glasslab` from the library: what needs the network or parquet is in there, so that no cell
//! has to be built with it.

use crate::display::say;
use crate::error::{Error, Result};
use crate::stopping::Listening;
use glasslab_wire::{IN_NOTEBOOK, MARK};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// The environment variable that names the command; the lab's kernel sets it.
pub const COMMAND_VARIABLE: &str = "GLASSLAB_COMMAND";
/// The exit status of `glasslab fetch` when the hub can't be reached: go on without, or try again later.
pub const UNREACHABLE: u8 = 3;
/// What the command's own sentences begin with; progress does not.
const SPEAKS: &str = "glasslab: ";

/// How the command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Well; this stood on its standard output.
    Done(String),
    /// The hub can't be reached, or there is no command to reach it with.
    Unreachable(String),
    /// Otherwise; this was its last line.
    Failed(String),
}

impl Ended {
    /// Its output, or in the inner `Err` why the network can't be reached.
    ///
    /// # Errors
    /// If the command failed for another reason.
    pub fn ok_or_unreachable(self) -> Result<std::result::Result<String, String>> {
        match self {
            Ended::Done(output) => Ok(Ok(output)),
            Ended::Unreachable(why) => Ok(Err(why)),
            Ended::Failed(why) => Err(Error::Data(why)),
        }
    }
}

/// Where the command is: the one that `GLASSLAB_COMMAND` names; this program itself; beside this program (the kernel
/// and the command are built into one folder); in a folder above it; else the first on the `PATH`.
pub fn find() -> PathBuf {
    if let Some(path) = std::env::var_os(COMMAND_VARIABLE).filter(|path| !path.is_empty()) {
        return PathBuf::from(path);
    }
    let name = format!("glasslab{}", std::env::consts::EXE_SUFFIX);
    let program = std::env::current_exe().unwrap_or_default();
    if program.file_name() == Some(OsStr::new(&name)) {
        return program;
    }
    let beside = program.ancestors().skip(1).take(2).map(|folder| folder.join(&name)).find(|path| path.is_file());
    beside.unwrap_or_else(|| PathBuf::from(name))
}

/// Runs the command; what it says on the way goes to `tell`, line by line.
///
/// # Errors
/// If the system can't run it, or the stop button is pressed: then it is ended, and what it has fetched is kept.
pub fn run(arguments: &[impl AsRef<OsStr>], tell: impl FnMut(&str)) -> Result<Ended> {
    run_program(&find(), arguments, tell)
}

fn run_program(program: &Path, arguments: &[impl AsRef<OsStr>], mut tell: impl FnMut(&str)) -> Result<Ended> {
    let failed = |source| Error::File { path: program.to_path_buf(), source };
    let child = Command::new(program)
        .args(arguments)
        // It is no cell: what it prints is its answer.
        .env_remove(MARK)
        .env_remove(IN_NOTEBOOK)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(Ended::Unreachable(format!(
                "the command {} is not there (scripts/lab setup builds it; {COMMAND_VARIABLE} names another)",
                program.display()
            )));
        }
        Err(error) => return Err(failed(error)),
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // Both pipes are emptied at once: a full one would make the command wait for ever.
    let output = std::thread::spawn(move || {
        let mut output = Vec::new();
        stdout.map(|mut pipe| pipe.read_to_end(&mut output));
        String::from_utf8_lossy(&output).into_owned()
    });
    let (said, lines) = channel();
    std::thread::spawn(move || {
        let lines =
            stderr.into_iter().flat_map(|pipe| BufReader::new(pipe).split(b'\n')).map_while(std::io::Result::ok);
        lines.map(|line| said.send(line)).take_while(std::result::Result::is_ok).for_each(drop);
    });
    let mut last = String::new();
    let mut listening = Listening::new("a text was fetched or prepared: run the cell again, and it goes on from there");
    loop {
        if let Err(stopped) = listening.go_on() {
            let _ = child.kill().and_then(|()| child.wait());
            return Err(stopped);
        }
        let line = match lines.recv_timeout(Duration::from_millis(50)) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        // Progress is told at once. What begins with the command's name may be its last word, which is the outcome's.
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if line.starts_with(SPEAKS) {
            let before = std::mem::replace(&mut last, line);
            (!before.is_empty()).then(|| tell(&before));
        } else {
            tell(&line);
        }
    }
    let status = child.wait().map_err(failed)?;
    let output = output.join().unwrap_or_default();
    let why = |last: &str| last.trim_start_matches(SPEAKS).to_owned();
    match status.code() {
        Some(0) => {
            if !last.is_empty() {
                tell(&last);
            }
            Ok(Ended::Done(output))
        }
        Some(code) if code == i32::from(UNREACHABLE) => Ok(Ended::Unreachable(why(&last))),
        _ if last.is_empty() => Ok(Ended::Failed(format!("{} ended with {status}", program.display()))),
        _ => Ok(Ended::Failed(why(&last))),
    }
}

/// The token file of a person's file or folder that the library does not read itself, prepared if it is not yet.
///
/// # Errors
/// If the command is missing, or the text can't be read as stories.
pub(super) fn prepare(path: &Path, column: &str) -> Result<PathBuf> {
    let [json, prepare, flag] = ["--json", "prepare", "--column"].map(OsStr::new);
    // A name that begins with a hyphen is no flag.
    let arguments = [json, prepare, flag, OsStr::new(column), OsStr::new("--"), path.as_os_str()];
    let output = match run(&arguments, say)? {
        Ended::Done(output) => output,
        Ended::Unreachable(why) | Ended::Failed(why) => return Err(Error::Data(why)),
    };
    let report: serde_json::Value = serde_json::from_str(output.trim()).unwrap_or_default();
    let tokens = report.get("tokens").and_then(serde_json::Value::as_str);
    tokens.map(PathBuf::from).ok_or_else(|| {
        Error::Data(format!("{} gave no answer that this glasslab reads: are both of one version?", find().display()))
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn outcome(script: &str) -> (Ended, Vec<String>) {
        let mut told = Vec::new();
        let outcome = run_program(Path::new("/bin/sh"), &["-c", script], |line| told.push(line.to_owned())).unwrap();
        (outcome, told)
    }

    #[test]
    fn what_it_says_is_told_and_what_it_answers_is_kept() {
        let (outcome, told) = outcome("echo '  [##--] half' >&2; echo 'glasslab: a remark' >&2; echo answer");
        assert_eq!(outcome, Ended::Done("answer\n".to_owned()));
        assert_eq!(told, ["  [##--] half", "glasslab: a remark"]);
    }

    #[test]
    fn its_last_sentence_is_the_reason() {
        let (failed, told) = outcome("echo step >&2; echo 'glasslab: no room for it' >&2; exit 1");
        assert_eq!((failed, told), (Ended::Failed("no room for it".to_owned()), vec!["step".to_owned()]));
        let (offline, _) = outcome("echo 'glasslab: the hub is away' >&2; exit 3");
        assert_eq!(offline, Ended::Unreachable("the hub is away".to_owned()));
        let (killed, _) = outcome("kill -9 $$");
        assert!(matches!(&killed, Ended::Failed(why) if why.contains("signal: 9")), "{killed:?}");
    }

    #[test]
    fn more_than_a_pipe_holds_does_not_stop_it() {
        let (outcome, told) = outcome(
            "i=0; while [ $i -lt 3000 ]; do echo line $i of many >&2; echo $i$i$i$i$i$i$i$i$i$i$i$i$i; i=$((i+1)); done",
        );
        assert!(matches!(&outcome, Ended::Done(output) if output.len() > 100_000));
        assert_eq!(told.len(), 3000);
    }

    #[test]
    fn a_command_that_is_not_there_is_as_good_as_no_network() {
        let outcome = run_program(Path::new("/nowhere/glasslab"), &["fetch"], |_| ()).unwrap();
        assert!(matches!(&outcome, Ended::Unreachable(why) if why.contains("scripts/lab setup")), "{outcome:?}");
        assert!(outcome.ok_or_unreachable().unwrap().is_err());
    }
}
