//! The kernel's working folder.
//!
//! ```text
//! WORK/.cargo/config.toml   where cells find the C++ binding (written by scripts/lab)
//! WORK/config/              what evcxr loads at its start: dependency and prelude
//! WORK/template/            an evcxr folder in which the library is built
//! WORK/sessions/N/          a copy of the template for each running kernel
//! ```
//! A session's copy costs milliseconds, because compiled files, which nobody changes in place,
//! are hard links. Two kernels never share a folder: cargo and evcxr would overwrite each other.

use crate::platform::LIBRARY_PATH;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The file whose lock tells that a session's kernel is alive.
const LOCK: &str = "kernel.lock";

/// The working folder of all kernels.
pub struct Work {
    folder: PathBuf,
}

impl Work {
    /// Takes the folder; its path may hold no space, because evcxr separates paths by spaces.
    pub fn new(folder: PathBuf) -> Result<Work> {
        if folder.to_string_lossy().contains(' ') {
            bail!("the working folder's path holds a space, which evcxr can't handle: {}", folder.display());
        }
        Ok(Work { folder })
    }

    /// Where everything is below.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What evcxr loads at its start.
    pub fn config(&self) -> PathBuf {
        self.folder.join("config")
    }

    /// The folder in which the library is built once.
    pub fn template(&self) -> PathBuf {
        self.folder.join("template")
    }

    /// Tells evcxr, by its environment variables, which folders to use; the library, where it runs; and the
    /// system, where a cell's libraries are.
    ///
    /// The last is needed because evcxr moves a compiled cell up one folder, and then the relative path in it
    /// to Rust's own libraries is wrong wherever both lie below one folder, such as a home.
    pub fn configure(&self, tmpdir: &Path) -> Result<()> {
        let (rust_libraries, host) = toolchain()?;
        let deps = tmpdir.join("target").join(host).join("debug").join("deps");
        // The system's loader never looks again into a folder that was not there when a process began.
        fs::create_dir_all(&deps).with_context(|| format!("could not make {}", deps.display()))?;
        let mut libraries = vec![deps, rust_libraries];
        libraries.extend(std::env::var_os(LIBRARY_PATH).iter().flat_map(std::env::split_paths));
        let libraries = std::env::join_paths(libraries).context("a library folder's path holds a colon")?;
        crate::tools::install(&self.folder)?;
        // SAFETY: called at the start of `main`, when this process has one thread.
        unsafe {
            std::env::set_var("EVCXR_CONFIG_DIR", self.config());
            std::env::set_var("EVCXR_TMPDIR", tmpdir);
            std::env::set_var(LIBRARY_PATH, libraries);
            std::env::set_var(glasslab_wire::IN_NOTEBOOK, "1");
            // For the cells: libtorch puts large tensors into large pages then, which is quicker.
            std::env::set_var("THP_MEM_ALLOC_ENABLE", "1");
        }
        Ok(())
    }

    /// The library as cells load it, in an evcxr folder in which it is built.
    pub fn library(&self, tmpdir: &Path) -> Result<Option<PathBuf>> {
        let name = libloading::library_filename("glasslab");
        let (_, host) = toolchain()?;
        let library = tmpdir.join("target").join(host).join("debug").join("deps").join(name);
        Ok(library.exists().then_some(library))
    }

    /// Makes a session folder from the template.
    pub fn start_session(&self) -> Result<Session> {
        let template = self.template();
        if !template.join("Cargo.lock").exists() {
            bail!("the library is not prepared in {}; run scripts/lab setup", template.display());
        }
        let sessions = self.folder.join("sessions");
        fs::create_dir_all(&sessions).with_context(|| format!("could not make {}", sessions.display()))?;
        let folder = unused_name(&sessions)?;
        let lock = File::create(folder.join(LOCK))?;
        lock.try_lock().context("could not lock the new session folder")?;
        let session = Session { folder, _lock: lock };
        copy_tree(&template, session.folder()).with_context(|| {
            format!("could not copy {} to {}: is the disk full?", template.display(), session.folder.display())
        })?;
        Ok(session)
    }

    /// Removes the folders of sessions whose kernel is gone, however it ended.
    pub fn sweep(&self) {
        let Ok(entries) = fs::read_dir(self.folder.join("sessions")) else { return };
        for folder in entries.flatten().map(|entry| entry.path()) {
            let stale = match File::open(folder.join(LOCK)) {
                Ok(lock) => lock.try_lock().is_ok(),
                // A folder without a lock is one that is just being made, or what a removal left.
                Err(_) => age_seconds(&folder) > 60,
            };
            if stale {
                let _ = fs::remove_dir_all(&folder);
            }
        }
    }
}

/// The folder of the libraries of the Rust in use, and the kind of machine it builds for.
fn toolchain() -> Result<(PathBuf, String)> {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--print", "host-tuple"])
        .output()
        .context("could not run rustc: is Rust installed, and on the PATH?")?;
    let text = String::from_utf8_lossy(&output.stdout);
    match text.lines().collect::<Vec<_>>()[..] {
        [libraries, host] => Ok((PathBuf::from(libraries), host.to_owned())),
        _ => bail!("rustc does not say where it lies: {}", String::from_utf8_lossy(&output.stderr).trim()),
    }
}

fn age_seconds(path: &Path) -> u64 {
    let changed = fs::metadata(path).and_then(|data| data.modified()).ok();
    changed.and_then(|time| time.elapsed().ok()).map_or(0, |age| age.as_secs())
}

/// Makes a new folder `1`, `2`, …: the first name that nobody has.
fn unused_name(sessions: &Path) -> Result<PathBuf> {
    for number in 1..10_000 {
        let folder = sessions.join(number.to_string());
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("could not make {}", folder.display())),
        }
    }
    bail!("{} is full of sessions: run scripts/lab clean", sessions.display())
}

/// A kernel's own folder, held by a lock for as long as the kernel lives.
pub struct Session {
    folder: PathBuf,
    _lock: File,
}

impl Session {
    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Copies a folder; compiled libraries, which are replaced and never changed, become hard links.
fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_tree(&source, &target)?;
        } else if !is_compiled(&source) || fs::hard_link(&source, &target).is_err() {
            fs::copy(&source, &target)?;
            keep_time(&source, &target)?;
        }
    }
    Ok(())
}

fn is_compiled(path: &Path) -> bool {
    let extension = path.extension().and_then(|name| name.to_str());
    matches!(extension, Some("rlib" | "rmeta" | "so" | "dylib" | "a" | "o"))
}

/// cargo compares times to see what is fresh.
fn keep_time(source: &Path, target: &Path) -> std::io::Result<()> {
    let time = fs::metadata(source)?.modified()?;
    File::options().write(true).open(target)?.set_modified(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work_with_template() -> (tempfile::TempDir, Work) {
        let folder = tempfile::tempdir().unwrap();
        let work = Work::new(folder.path().to_path_buf()).unwrap();
        fs::create_dir_all(work.template().join("target/deps")).unwrap();
        fs::write(work.template().join("Cargo.lock"), "lock").unwrap();
        fs::write(work.template().join("target/deps/libx.rlib"), "compiled").unwrap();
        (folder, work)
    }

    #[test]
    fn a_session_has_the_templates_files_and_cannot_change_its_small_ones() {
        let (_folder, work) = work_with_template();
        let session = work.start_session().unwrap();
        let copied = session.folder().join("target/deps/libx.rlib");
        assert_eq!(fs::read_to_string(copied).unwrap(), "compiled");
        fs::write(session.folder().join("Cargo.lock"), "changed").unwrap();
        assert_eq!(fs::read_to_string(work.template().join("Cargo.lock")).unwrap(), "lock");
    }

    #[test]
    fn two_sessions_never_share_a_folder() {
        let (_folder, work) = work_with_template();
        let (one, two) = (work.start_session().unwrap(), work.start_session().unwrap());
        assert_ne!(one.folder(), two.folder());
    }

    #[test]
    fn a_session_ends_with_its_folder() {
        let (_folder, work) = work_with_template();
        let session = work.start_session().unwrap();
        let folder = session.folder().to_path_buf();
        drop(session);
        assert!(!folder.exists());
    }

    #[test]
    fn sweeping_removes_what_a_killed_kernel_left_and_nothing_else() {
        let (_folder, work) = work_with_template();
        let alive = work.start_session().unwrap();
        let killed = work.start_session().unwrap();
        let left = killed.folder().to_path_buf();
        // A killed process runs no destructor, but the system releases its locks.
        killed._lock.unlock().unwrap();
        std::mem::forget(killed);
        work.sweep();
        assert!(!left.exists());
        assert!(alive.folder().join("Cargo.lock").exists());
    }

    #[test]
    fn a_path_with_a_space_is_refused() {
        assert!(Work::new(PathBuf::from("/a b")).is_err());
    }

    #[test]
    fn without_a_template_the_message_says_what_to_run() {
        let folder = tempfile::tempdir().unwrap();
        let work = Work::new(folder.path().to_path_buf()).unwrap();
        let message = work.start_session().err().unwrap().to_string();
        assert!(message.contains("scripts/lab setup"), "{message}");
    }
}
