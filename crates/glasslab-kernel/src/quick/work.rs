//! The kernel's working folder.
//!
//! ```text
//! WORK/.cargo/config.toml   where cells find the C++ binding (written by scripts/lab)
//! WORK/config/              what evcxr loads at its start: dependency and prelude
//! WORK/template/            an evcxr folder in which the library is built
//! WORK/answers/, outline/   what the tools were asked before, what rust-analyzer reads
//! WORK/shared               says that WORK belongs to a machine and is never written to (by scripts/lab install)
//! OWN/sessions/N/           a copy of the template for each running kernel
//! OWN/home/, answers/ …     what else a person's kernels write
//! ```
//! OWN is WORK, but where WORK is shared: then it is a folder of the person's own.
//!
//! A session's copy costs milliseconds, because compiled files, which nobody changes in place, are hard links; or symbolic
//! ones where they are shared, as the system forbids hard links to files of somebody else's. Either way there is one copy of
//! them in memory. Two kernels never share a folder: cargo and evcxr would overwrite each other.

use crate::platform::LIBRARY_PATH;
use crate::quick::tools;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The file whose lock tells that a session's kernel is alive.
const LOCK: &str = "kernel.lock";

/// The folder of all sessions' folders.
const SESSIONS: &str = "sessions";

/// The file that says that the working folder belongs to a machine.
const SHARED: &str = "shared";

/// The working folder of all kernels, and the folder of what one person's kernels write.
pub struct Work {
    folder: PathBuf,
    own: PathBuf,
}

impl Work {
    /// Takes the folder, in which kernels also write; its path may hold no space, because evcxr separates paths by spaces.
    pub fn new(folder: PathBuf) -> Result<Work> {
        let own = folder.clone();
        Work { folder, own }.checked()
    }

    /// Takes the folder, and where this person's kernels write: the place that is named, else one of their own where the
    /// folder is shared.
    pub fn of_person(folder: PathBuf, own: Option<PathBuf>) -> Result<Work> {
        let own = match own.filter(|own| !own.as_os_str().is_empty()) {
            Some(own) => own,
            None if folder.join(SHARED).exists() => own_folder(&folder)?,
            None => folder.clone(),
        };
        Work { folder, own }.checked()
    }

    fn checked(self) -> Result<Work> {
        if let Some(folder) = [&self.folder, &self.own].iter().find(|folder| folder.to_string_lossy().contains(' ')) {
            bail!(
                "the working folder's path holds a space, which evcxr can't handle: {}; {} may name another for what you write",
                folder.display(),
                tools::OWN
            );
        }
        Ok(self)
    }

    /// Whether the folder is shared: then nothing is written there.
    fn is_shared(&self) -> bool {
        self.own != self.folder
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
        tools::install(&self.folder, &self.own)?;
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
        let sessions = self.own.join(SESSIONS);
        fs::create_dir_all(&sessions).with_context(|| format!("could not make {}", sessions.display()))?;
        let folder = unused_name(&sessions)?;
        // Under its own name it is locked already, so that no other kernel takes it for one that was left.
        let unnamed = folder.join("new.lock");
        let lock = File::create(&unnamed)?;
        lock.try_lock().context("could not lock the new session folder")?;
        fs::rename(&unnamed, folder.join(LOCK))?;
        let session = Session { folder, _lock: lock };
        let link = if self.is_shared() { Link::Symbolic } else { Link::Hard };
        copy_tree(&template, session.folder(), link)
            .and_then(|()| if self.is_shared() { self.copy_cargo_configs(session.folder()) } else { Ok(()) })
            .with_context(|| {
                format!("could not copy {} to {}: is the disk full?", template.display(), session.folder.display())
            })?;
        Ok(session)
    }

    /// cargo looks for where the C++ binding is in the folders above a session, and the shared one is not above. What it finds
    /// there is put above this one, each in its order: one less, and to cargo everything would have been built for another.
    fn copy_cargo_configs(&self, session: &Path) -> std::io::Result<()> {
        let config = Path::new(".cargo").join("config.toml");
        let found = self.folder.ancestors().map(|folder| folder.join(&config)).filter(|file| file.is_file());
        for (source, folder) in found.zip([session, &self.own]) {
            let target = folder.join(&config);
            let part = target.with_extension(std::process::id().to_string());
            fs::create_dir_all(folder.join(".cargo"))?;
            copy(&source, &part)?;
            fs::rename(&part, &target)?;
        }
        Ok(())
    }

    /// Removes the folders of sessions whose kernel is gone, however it ended.
    pub fn sweep(&self) {
        let Ok(entries) = fs::read_dir(self.own.join(SESSIONS)) else { return };
        for folder in entries.flatten().map(|entry| entry.path()) {
            // Held until the folder is gone.
            let lock = File::open(folder.join(LOCK));
            let stale = match &lock {
                Ok(lock) => lock.try_lock().is_ok() && is_at(lock, &folder.join(LOCK)),
                // A folder without a lock is one that is just being made, or what a removal left.
                Err(_) => age_seconds(&folder) > 60,
            };
            if stale {
                remove(&folder);
            }
        }
    }
}

/// Where a person's kernels write if the working folder is shared: in the system's place for what can be made again, and
/// apart for each working folder, so that two versions of the lab never meet.
fn own_folder(shared: &Path) -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let cache = cache.with_context(|| format!("HOME is not set: set it, or {} to a folder of your own", tools::OWN))?;
    let mut hasher = DefaultHasher::new();
    shared.hash(&mut hasher);
    Ok(cache.join("glasslab").join(format!("kernel-{:016x}", hasher.finish())))
}

/// Whether a session's folder has no kernel any more that is known of.
pub fn is_abandoned(folder: &Path) -> bool {
    folder.parent().is_some_and(|above| above.ends_with(SESSIONS)) && !folder.join(LOCK).exists()
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

/// Removes a session's folder, also while a compiler that was ended in the middle still writes there: under another name
/// nobody finds it any more, and what came into it meanwhile, or under the old name, goes with the next try.
fn remove(folder: &Path) {
    let leaving = folder.with_extension("gone");
    let (mut is_renamed, mut is_quiet) = (false, false);
    for _ in 0..20 {
        // Where an earlier one left its remains under that name, they go first. Once only: then the name is another kernel's.
        is_renamed = is_renamed || fs::rename(folder, &leaving).is_ok();
        let _ = fs::remove_dir_all(&leaving);
        // evcxr makes its folder again where it does not find it; another kernel's has a lock before it has anything else.
        if is_abandoned(folder) && folder.join("src").exists() {
            let _ = fs::remove_dir_all(folder);
            is_quiet = false;
        } else if is_renamed && !leaving.exists() && std::mem::replace(&mut is_quiet, true) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Whether an open file is still the one at a path: two kernels may sweep at once, and a third take the name that the
/// first has freed.
fn is_at(file: &File, path: &Path) -> bool {
    let id = |data: std::io::Result<fs::Metadata>| data.map(|data| (data.dev(), data.ino())).ok();
    id(file.metadata()).is_some_and(|one| id(fs::metadata(path)) == Some(one))
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
        remove(&self.folder);
    }
}

/// How a session has the files that are never changed.
#[derive(Clone, Copy, PartialEq)]
enum Link {
    Hard,
    Symbolic,
}

/// Copies a folder; compiled files, which are replaced and never changed, become links. What only another build of
/// the library would need (a third of all bytes) stays behind, and what a compiler left that was ended on its way.
fn copy_tree(from: &Path, to: &Path, link: Link) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let name = entry.file_name().to_string_lossy().into_owned();
        if from.ends_with("incremental") && name.starts_with("glasslab") || name.ends_with("-working") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy_tree(&source, &target, link)?;
        } else if !(is_compiled(&source) && linked(&source, &target, link)) {
            copy(&source, &target)?;
        }
    }
    Ok(())
}

/// Whether there is a link now. What rustc has of an earlier cell it may write over, and through a symbolic link it would
/// write into the shared file: that is copied.
fn linked(source: &Path, target: &Path, link: Link) -> bool {
    let is_of_cell = source.components().any(|part| part.as_os_str() == "incremental")
        || source.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libctx"));
    match link {
        Link::Hard => fs::hard_link(source, target).is_ok(),
        Link::Symbolic => !is_of_cell && std::os::unix::fs::symlink(source, target).is_ok(),
    }
}

fn is_compiled(path: &Path) -> bool {
    let extension = path.extension().and_then(|name| name.to_str());
    // The programs of crates' build scripts, below a folder `build`: most of the bytes that have no extension.
    let is_program = || {
        let name = path.file_name().unwrap_or_default().to_string_lossy().replace('_', "-");
        name.starts_with("build-script-build")
            && path.ancestors().nth(2).is_some_and(|folder| folder.ends_with("build"))
    };
    match extension {
        Some(extension) => matches!(extension, "rlib" | "rmeta" | "so" | "dylib" | "a" | "o"),
        None => is_program(),
    }
}

/// Copies a file, with its time, by which cargo sees what is fresh, and so that it can be written whatever its source allows.
fn copy(source: &Path, target: &Path) -> std::io::Result<()> {
    fs::copy(source, target)?;
    let data = fs::metadata(source)?;
    fs::set_permissions(target, fs::Permissions::from_mode(data.permissions().mode() | 0o200))?;
    File::options().write(true).open(target)?.set_modified(data.modified()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files that a session writes anew.
    const SMALL: [&str; 5] = [
        "Cargo.lock",
        "target/deps/ctx-1.d",
        "target/.fingerprint/glasslab-1/hash",
        "target/.fingerprint/x-1/build-script-build-script-build",
        "target/incremental/ctx-1/graph.bin",
    ];

    fn work_with_template() -> (tempfile::TempDir, Work) {
        let folder = tempfile::tempdir().unwrap();
        let work = Work::new(folder.path().to_path_buf()).unwrap();
        fs::create_dir_all(work.template().join("target/deps")).unwrap();
        for small in SMALL {
            fs::create_dir_all(work.template().join(small).parent().unwrap()).unwrap();
            fs::write(work.template().join(small), "small").unwrap();
        }
        fs::write(work.template().join("target/deps/libx.rlib"), "compiled").unwrap();
        for name in ["ctx-1", "glasslab-1", "glasslab_wire-1", "ctx-1/s-2-working"] {
            fs::create_dir_all(work.template().join("target/incremental").join(name)).unwrap();
        }
        (folder, work)
    }

    #[test]
    fn a_session_has_the_templates_files_and_cannot_change_its_small_ones() {
        let (_folder, work) = work_with_template();
        let session = work.start_session().unwrap();
        let incremental = fs::read_dir(session.folder().join("target/incremental")).unwrap();
        assert_eq!(incremental.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>(), ["ctx-1"]);
        assert!(!session.folder().join("target/incremental/ctx-1/s-2-working").exists());
        let copied = session.folder().join("target/deps/libx.rlib");
        assert_eq!(fs::read_to_string(copied).unwrap(), "compiled");
        for small in SMALL {
            fs::write(session.folder().join(small), "changed").unwrap();
            assert_eq!(fs::read_to_string(work.template().join(small)).unwrap(), "small", "{small}");
        }
    }

    /// Everything below a folder: path, and the bytes of files.
    fn contents(folder: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
        let mut found = Vec::new();
        let mut open = vec![folder.to_owned()];
        while let Some(folder) = open.pop() {
            for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                found.push((path.clone(), fs::read(&path).ok()));
                if path.is_dir() {
                    open.push(path);
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn where_the_folder_is_shared_a_session_is_in_the_persons_own_and_nothing_of_the_shared_changes() {
        let (shared, mut work) = work_with_template();
        // As in an installed lab: a project with a config for cargo, and the working folder in it with another.
        let inner = shared.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::rename(work.template(), inner.join("template")).unwrap();
        for (folder, text) in [(shared.path(), "project's"), (&inner, "cells'")] {
            fs::create_dir_all(folder.join(".cargo")).unwrap();
            fs::write(folder.join(".cargo/config.toml"), text).unwrap();
        }
        work.folder = inner;
        fs::write(work.template().join("target/deps/libctx.so"), "a cell").unwrap();
        fs::create_dir_all(work.template().join("target/build/x-1")).unwrap();
        fs::write(work.template().join("target/build/x-1/build_script_build-1"), "program").unwrap();
        fs::write(work.template().join("target/incremental/ctx-1/part.o"), "a cell's part").unwrap();
        for (path, _) in contents(shared.path()).into_iter().filter(|(path, _)| path.is_file()) {
            fs::set_permissions(path, fs::Permissions::from_mode(0o444)).unwrap();
        }
        let before = contents(shared.path());
        let own = tempfile::tempdir().unwrap();
        let work = Work::of_person(work.folder, Some(own.path().to_owned())).unwrap();
        work.sweep();
        let session = work.start_session().unwrap();
        assert!(session.folder().starts_with(own.path()));
        assert_eq!(fs::read_to_string(session.folder().join(".cargo/config.toml")).unwrap(), "cells'");
        assert_eq!(fs::read_to_string(own.path().join(".cargo/config.toml")).unwrap(), "project's");
        // What is compiled is the shared file itself; what a cell may write over, or make anew, is not.
        let library = session.folder().join("target/deps/libx.rlib");
        assert_eq!(fs::read_link(&library).unwrap(), work.template().join("target/deps/libx.rlib"));
        assert!(session.folder().join("target/build/x-1/build_script_build-1").is_symlink());
        let written = ["target/deps/libctx.so", "target/incremental/ctx-1/part.o"];
        for written in SMALL.into_iter().chain(written) {
            fs::write(session.folder().join(written), "changed").unwrap();
        }
        let modified = |path: PathBuf| fs::metadata(path).unwrap().modified().unwrap();
        assert_eq!(modified(library), modified(work.template().join("target/deps/libx.rlib")));
        drop(session);
        assert_eq!(contents(shared.path()), before);
    }

    #[test]
    fn a_person_has_a_folder_of_their_own_only_where_the_folder_is_shared() {
        let folder = tempfile::tempdir().unwrap();
        let own = |given: Option<&str>| {
            Work::of_person(folder.path().to_owned(), given.map(PathBuf::from)).map(|work| work.own)
        };
        assert_eq!(own(None).unwrap(), folder.path());
        assert_eq!(own(Some("")).unwrap(), folder.path());
        assert_eq!(own(Some("/scratch/me")).unwrap(), Path::new("/scratch/me"));
        assert!(own(Some("/scratch/my own")).unwrap_err().to_string().contains("/scratch/my own"));
        fs::write(folder.path().join(SHARED), "").unwrap();
        let of_this = own(None).unwrap();
        assert!(!of_this.starts_with(folder.path()) && of_this != own_folder(Path::new("/another/version")).unwrap());
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
    fn a_folder_goes_also_while_somebody_writes_there() {
        let (_folder, work) = work_with_template();
        let session = work.start_session().unwrap();
        let (folder, leaving) = (session.folder().to_path_buf(), session.folder().with_extension("gone"));
        let writes = std::thread::spawn(move || {
            let begun = std::time::Instant::now();
            for number in 0.. {
                // As a compiler that has opened the folder before it got its other name.
                let _ = fs::write(leaving.join(number.to_string()), "");
                // As evcxr.
                let _ = fs::create_dir_all(folder.join("src"));
                if begun.elapsed() > Duration::from_millis(300) {
                    break;
                }
            }
        });
        std::thread::sleep(Duration::from_millis(20));
        drop(session);
        writes.join().unwrap();
        assert_eq!(fs::read_dir(work.own.join("sessions")).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_goes_also_where_an_earlier_one_has_left_something() {
        let (_folder, work) = work_with_template();
        let session = work.start_session().unwrap();
        let (folder, leaving) = (session.folder().to_path_buf(), session.folder().with_extension("gone"));
        fs::create_dir_all(leaving.join("target")).unwrap();
        drop(session);
        assert!(!folder.exists() && !leaving.exists());
    }

    #[test]
    fn a_name_that_was_freed_and_taken_again_is_not_the_old_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(LOCK);
        let old = File::create(&path).unwrap();
        assert!(is_at(&old, &path));
        fs::remove_file(&path).unwrap();
        assert!(!is_at(&old, &path));
        let _new = File::create(&path).unwrap();
        assert!(!is_at(&old, &path));
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
