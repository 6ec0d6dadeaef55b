//! Dependencies that lie in a folder (`:dep mine = { path = "mine" }`), in which a learner goes on writing.
//!
//! evcxr would build such a crate once. So each cell looks whether its files have changed; then its `:dep` line is told to
//! evcxr anew, with one blank more at its end. With that the manifest is another one: rust-analyzer reads the crate again,
//! and cargo builds it (see `shortcut`), under an identity of its own, so that no value of an old type is taken for one of
//! the new.

use crate::cell::commands::commands;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The newest file of a folder, and how many there are.
type Stamp = (Option<SystemTime>, usize);

struct Crate {
    line: String,
    folder: PathBuf,
    stamp: Stamp,
    generation: usize,
}

/// The crates in folders that cells have asked for.
#[derive(Default)]
pub struct Paths(BTreeMap<String, Crate>);

impl Paths {
    /// Remembers what a cell that has run asks for; `begun`: when it began to.
    pub fn take(&mut self, code: &str, stamps: Vec<(String, Stamp)>) {
        for (name, line, folder) in asked(code) {
            let stamp = stamps.iter().find(|(other, _)| *other == name).map_or((None, 0), |(_, stamp)| *stamp);
            let generation = self.0.get(&name).map_or(0, |known| known.generation);
            self.0.insert(name, Crate { line, folder, stamp, generation });
        }
    }

    /// How the folders are that a cell asks for.
    pub fn stamps(code: &str) -> Vec<(String, Stamp)> {
        asked(code).into_iter().map(|(name, _, folder)| (name, stamp(&folder))).collect()
    }

    /// Everything is forgotten, but not which identities were in use.
    pub fn clear(&mut self) {
        self.0.values_mut().for_each(|known| known.line.clear());
    }

    /// The `:dep` lines of crates that have changed; none of them is told twice.
    pub fn changed(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        for known in self.0.values_mut().filter(|known| !known.line.is_empty()) {
            let now = stamp(&known.folder);
            if std::mem::replace(&mut known.stamp, now) != now {
                known.generation += 1;
                lines.push(format!("{}{}", known.line, " ".repeat(known.generation)));
            }
        }
        lines
    }

    /// What has changed did not build: it is tried again by the next cell.
    pub fn retry(&mut self) {
        self.0.values_mut().for_each(|known| known.stamp = (None, 0));
    }

    /// A cell with its `:dep` lines as evcxr knows them by now.
    pub fn current(&self, code: &str) -> String {
        let mut current = code.to_owned();
        for command in commands(code).into_iter().rev().filter(|command| command.name == ":dep") {
            let (name, _) = command.rest.split_once('=').unwrap_or((command.rest, ""));
            if let Some(known) = self.0.get(name.trim()) {
                current.insert_str(command.place.end, &" ".repeat(known.generation));
            }
        }
        current
    }
}

/// The crates in folders that a cell asks for: name, line, folder.
fn asked(code: &str) -> Vec<(String, String, PathBuf)> {
    let lines = commands(code).into_iter().filter(|command| command.name == ":dep").filter_map(|command| {
        let (name, config) = command.rest.split_once('=')?;
        let folder = PathBuf::from(folder_of(config)?);
        Some((name.trim().to_owned(), format!(":dep {}", command.rest), folder))
    });
    lines.collect()
}

/// The folder in `{ path = "…" }`.
pub fn folder_of(config: &str) -> Option<&str> {
    let rest = config.split_once("path")?.1.trim_start().strip_prefix('=')?.trim_start().strip_prefix('"')?;
    Some(rest.split_once('"')?.0)
}

/// The sources of a crate, and of those beside it that it names.
fn stamp(folder: &Path) -> Stamp {
    let (mut stamp, mut seen, mut open) = ((None, 0), Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        if seen.contains(&folder) {
            continue;
        }
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
        open.extend(
            manifest.lines().filter_map(folder_of).map(|other| folder.join(other)).filter(|other| other.is_dir()),
        );
        look(&folder, &mut stamp);
        seen.push(folder);
    }
    stamp
}

fn look(folder: &Path, stamp: &mut Stamp) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(data) = entry.metadata() else { continue };
        if data.is_dir() && name != "target" && !name.starts_with('.') {
            look(&entry.path(), stamp);
        } else if name.ends_with(".rs") || name == "Cargo.toml" {
            *stamp = (stamp.0.max(data.modified().ok()), stamp.1 + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::time::Duration;

    #[test]
    fn a_crate_is_told_anew_after_each_change_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("src/inner.rs");
        fs::create_dir_all(source.parent().unwrap()).unwrap();
        fs::write(folder.path().join("Cargo.toml"), "").unwrap();
        fs::write(&source, "").unwrap();
        let line = format!(":dep mine = {{ path = {:?} }}", folder.path());
        let cell = format!("{line}\nmine::f()");
        let mut paths = Paths::default();
        assert_eq!(paths.current(&cell), cell);
        paths.take(&cell, Paths::stamps(&cell));
        assert!(paths.changed().is_empty());
        let touch = |seconds| {
            let time = SystemTime::now() + Duration::from_secs(seconds);
            fs::File::options().write(true).open(&source).unwrap().set_modified(time).unwrap();
        };
        touch(5);
        assert_eq!(paths.changed(), [format!("{line} ")]);
        assert!(paths.changed().is_empty());
        assert_eq!(paths.current(&cell), format!("{line} \nmine::f()"));
        paths.retry();
        assert_eq!(paths.changed(), [format!("{line}  ")]);
        paths.clear();
        touch(9);
        assert!(paths.changed().is_empty());
        assert_eq!(paths.current(&cell), format!("{line}  \nmine::f()"), "an identity is never used for two versions");
    }

    #[test]
    fn folders_are_found_in_what_cells_and_manifests_say() {
        assert_eq!(folder_of("{ path = \"a b\", features = [] }"), Some("a b"));
        assert_eq!(folder_of("{path=\"a\"}"), Some("a"));
        assert_eq!(folder_of("\"1.0\""), None);
        assert!(asked(":dep a = \"1\"\n:dep b\n1").is_empty());
    }
}
