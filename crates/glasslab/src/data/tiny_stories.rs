//! The real TinyStories: opened where they are prepared, else fetched, else the embedded stories.

use super::{Dataset, Stories, command};
use crate::display::say;
use crate::error::{Error, Result};
use std::path::PathBuf;

/// The dataset's name for the command, for `--data` and for `GLASSLAB_DATA`.
pub const TINY_STORIES: &str = "tinystories";

/// A part of the dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// What is learnt from.
    Train,
    /// What is held out.
    Validation,
}

impl Split {
    /// Its name on the hub.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
        }
    }

    /// The name of the token file that it is prepared into.
    pub fn file_name(self) -> &'static str {
        match self {
            Split::Train => "tinystories-train.tokens",
            Split::Validation => "tinystories-valid.tokens",
        }
    }

    /// The token file that it is prepared into.
    ///
    /// # Errors
    /// If there is no cache folder.
    pub fn token_file(self) -> Result<PathBuf> {
        Ok(cache_folder()?.join(self.file_name()))
    }
}

/// The folder of fetched and prepared data: `datasets` in the folder that `GLASSLAB_CACHE` names, else in the
/// system's place for what can be fetched again (`~/.cache/glasslab` on Linux, or below `XDG_CACHE_HOME`).
///
/// # Errors
/// If the system tells no such place.
pub fn cache_folder() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = variable("GLASSLAB_CACHE").or_else(|| {
        let home = || variable("HOME");
        let place = match std::env::consts::OS {
            "macos" => home().map(|home| home.join("Library").join("Caches")),
            "windows" => variable("LOCALAPPDATA"),
            // A relative one is to be ignored, says the XDG base directory specification.
            _ => variable("XDG_CACHE_HOME")
                .filter(|folder| folder.is_absolute())
                .or_else(|| home().map(|home| home.join(".cache"))),
        };
        place.map(|place| place.join("glasslab"))
    });
    base.map(|base| base.join("datasets")).ok_or_else(|| {
        Error::Config("there is no cache folder, because HOME is not set: set GLASSLAB_CACHE to a folder".to_owned())
    })
}

impl Dataset {
    /// The real TinyStories, as much of them as `glasslab fetch tinystories` has prepared. If nothing is, it is run,
    /// for the 10 MB of the validation split, and its progress shown; without a network, the embedded stories
    /// come instead, and a line says so.
    ///
    /// Held out is the validation split. Where that one is all there is, nine tenths of it are learnt from.
    ///
    /// # Errors
    /// If fetching fails for another reason than the network: a full disk, or a file that is not the known one.
    pub fn tiny_stories() -> Result<Dataset> {
        // A damaged or older file is as good as none: the command says so, and prepares it again.
        let opens = |split: Split| Ok::<bool, Error>(Stories::from_token_file(split.token_file()?).is_ok());
        let train_is_there = Split::Train.token_file()?.exists();
        for split in [Split::Validation, Split::Train] {
            if opens(split)? || (split == Split::Train && !train_is_there) {
                continue;
            }
            let fetch = ["fetch", TINY_STORIES, "--split", split.name()];
            if let Err(offline) = command::run(&fetch, say)?.ok_or_unreachable()? {
                say(&format!("{offline}. Going on with the stories that come with glasslab"));
                return Dataset::embedded();
            }
        }
        let held_out = Stories::from_token_file(Split::Validation.token_file()?)?;
        if train_is_there {
            let train = Stories::from_token_file(Split::Train.token_file()?)?;
            return Ok(Dataset { train, held_out, source: "TinyStories, held out: their validation split".to_owned() });
        }
        let (train, held_out) = held_out
            .split()
            .ok_or_else(|| Error::Data("the validation split has too little text to hold a part out".to_owned()))?;
        let source = "TinyStories' validation split, held out: its last tenth".to_owned();
        Ok(Dataset { train, held_out, source })
    }
}

impl Stories {
    /// The real TinyStories to learn from: those of [`Dataset::tiny_stories`], which says more.
    ///
    /// # Errors
    /// As [`Dataset::tiny_stories`].
    pub fn tiny_stories() -> Result<Stories> {
        Ok(Dataset::tiny_stories()?.train)
    }
}
