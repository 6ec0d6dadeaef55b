//! Where a training keeps its state on its way. That it can't be kept is told, and never ends a training.

use crate::error::Result;
use crate::file::file_error;
use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

/// The folder in which a notebook's trainings keep their states if their configs name no file, each in a file of its
/// own; [`resume`](super::resume) takes the newest one of it.
pub const AUTOSAVE: &str = "models/autosaves";
/// The ending of a state's file.
const ENDING: &str = "training";
/// The share of a training's time that keeping its state takes at most, but for its first state and its last.
const SHARE: f64 = 0.05;
/// So many states are in the folder at most: those of the last trainings that were stopped.
const KEPT: usize = 5;

/// The place of a training's state.
#[derive(Debug, Default)]
pub(super) struct Autosave {
    folder: Option<PathBuf>,
    file: Option<PathBuf>,
    /// Whether this training's state is in the file.
    is_kept: bool,
    /// Why it could not be kept the last time.
    pub(super) trouble: Option<String>,
    /// Seconds that keeping the state has taken so far, and the last time.
    spent: (f64, f64),
}

impl Autosave {
    /// Nowhere, or in a file that a person has named.
    pub(super) fn in_file(file: Option<PathBuf>) -> Autosave {
        Autosave { file, ..Autosave::default() }
    }

    /// In a file of its own in this folder.
    pub(super) fn in_folder(folder: impl Into<PathBuf>) -> Autosave {
        Autosave { folder: Some(folder.into()), ..Autosave::default() }
    }

    /// In the file that it was read from.
    pub(super) fn kept_in(file: PathBuf) -> Autosave {
        Autosave { is_kept: true, ..Autosave::in_file(Some(file)) }
    }

    /// Whether the state is to be kept.
    pub(super) fn is_asked(&self) -> bool {
        self.file.is_some() || self.folder.is_some()
    }

    /// The file that holds the last state that could be kept.
    pub(super) fn kept(&self) -> Option<&Path> {
        self.file.as_deref().filter(|_| self.is_kept)
    }

    /// Whether the state is to be kept again after so many seconds of training.
    pub(super) fn is_due(&self, seconds: f64) -> bool {
        self.spent.0 + self.spent.1 <= SHARE * seconds
    }

    /// Lets `write` keep the state, if it is to be kept.
    pub(super) fn keep(&mut self, write: impl FnOnce(&Path) -> Result<()>) {
        let mut new = None;
        if self.file.is_none()
            && let Some(folder) = &self.folder
        {
            match new_file(folder) {
                Ok(file) => new = Some(file),
                Err(error) => return self.trouble = Some(error.to_string()),
            }
        }
        let Some(file) = new.as_ref().or(self.file.as_ref()) else { return };
        let started = Instant::now();
        let written = write(file);
        let seconds = started.elapsed().as_secs_f64();
        self.spent = (self.spent.0 + seconds, seconds);
        match written {
            Ok(()) => {
                self.trouble = None;
                self.is_kept = true;
                self.file = new.or(self.file.take());
            }
            Err(error) => {
                self.trouble = Some(error.to_string());
                // The name was only taken.
                new.map(fs::remove_file);
            }
        }
    }
}

/// A new file in the folder; the oldest ones go if there are too many.
fn new_file(folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder).map_err(file_error(folder))?;
    let mut states = states(folder);
    let number = |path: &Path| path.file_stem()?.to_str()?.parse::<u64>().ok();
    let last = states.iter().filter_map(|(_, path)| number(path)).max().unwrap_or(0);
    // Another notebook may take the same number at the same time.
    let made = (last + 1..).map(|number| folder.join(format!("{number}.{ENDING}"))).find_map(|path| {
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(_) => Some(Ok(path)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => None,
            Err(error) => Some(Err(file_error(&path)(error))),
        }
    });
    let made = made.unwrap_or_else(|| Err(file_error(folder)(ErrorKind::AlreadyExists.into())))?;
    let many = (states.len() + 1).saturating_sub(KEPT);
    for (_, old) in states.drain(..many) {
        // It may be another person's; then there is one more.
        if number(&old).is_some() {
            let _ = fs::remove_file(old);
        }
    }
    Ok(made)
}

/// The states in a folder with their times, the oldest first.
fn states(folder: &Path) -> Vec<(SystemTime, PathBuf)> {
    let mut states: Vec<(SystemTime, PathBuf)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|ending| ending == ENDING))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    states.sort();
    states
}

/// The file itself; of a folder, its newest state.
pub(super) fn newest(path: &Path) -> PathBuf {
    match path.is_dir() {
        true => states(path).pop().map_or(path.join(format!("1.{ENDING}")), |(_, newest)| newest),
        false => path.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn each_training_has_a_file_of_its_own_and_only_the_last_ones_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("models/autosaves");
        let mut files = Vec::new();
        for number in 0..KEPT + 3 {
            let mut autosave = Autosave::in_folder(&place);
            for part in 0..2 {
                autosave.keep(|path| fs::write(path, format!("{number} {part}")).map_err(file_error(path)));
            }
            assert!(autosave.trouble.is_none());
            files.push(autosave.kept().unwrap().to_path_buf());
            // Their times must differ, however coarse the file system's clock is.
            let age = std::time::Duration::from_secs(100 - number as u64);
            fs::File::options()
                .write(true)
                .open(&files[number])
                .unwrap()
                .set_modified(SystemTime::now() - age)
                .unwrap();
        }
        assert_eq!(files.iter().filter(|file| file.exists()).count(), KEPT);
        assert_eq!(newest(&place), files[KEPT + 2]);
        assert_eq!(fs::read_to_string(&files[KEPT + 2]).unwrap(), format!("{} 1", KEPT + 2));
    }

    #[test]
    fn keeping_takes_a_small_part_of_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut autosave = Autosave::in_folder(folder.path());
        assert!(autosave.is_due(0.0), "the first state is kept as soon as there is one");
        autosave.keep(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            Ok(())
        });
        let taken = autosave.spent.1;
        assert!(taken >= 0.02 && !autosave.is_due(30.0 * taken) && autosave.is_due(50.0 * taken), "{taken}");
        autosave.keep(|_| Ok(()));
        assert!(!autosave.is_due(19.0 * taken), "the first time counts still");
    }

    #[test]
    fn what_can_t_be_kept_is_told_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut autosave = Autosave::in_folder(folder.path());
        autosave.keep(|_| Err(Error::Data("no space".to_owned())));
        assert!(autosave.kept().is_none() && autosave.trouble.as_deref() == Some("no space"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        // A file where the folder should be.
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let mut autosave = Autosave::in_folder(file.join("autosaves"));
        autosave.keep(|_| panic!("there is nowhere to write to"));
        assert!(autosave.kept().is_none() && autosave.trouble.is_some());
        let mut nowhere = Autosave::in_file(None);
        nowhere.keep(|_| panic!("it is not to be kept"));
        assert!(nowhere.kept().is_none() && nowhere.trouble.is_none());
    }
}
