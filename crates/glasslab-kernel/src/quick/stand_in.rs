//! Standing in for cargo, rustc and rustup, for what evcxr and rust-analyzer ask of them.
//!
//! Both start these programs dozens of times with questions whose answers are known since the preparation, and for
//! each cell cargo looks at every dependency anew. This program, found under their names, answers what it knows
//! ([`question`]), compiles cells itself ([`shortcut`]), and becomes the real tool for everything else.

use crate::quick::answers::question;
use crate::quick::shortcut;
use crate::quick::tools::{ANSWERS, home, own, real_command};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;

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
            println!("{}", home(&own()).join("bin").join(tool).display());
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
