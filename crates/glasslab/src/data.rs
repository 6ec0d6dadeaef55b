//! Stories: where they come from, and the part that is never trained on.

mod batch;
mod bytes;
mod checksum;
pub mod command;
mod epoch;
mod form;
mod ids;
mod pairs;
mod read;
mod sources;
mod stories;
mod text;
mod tiny_stories;
mod token_file;
mod tokens;

pub use batch::{Batch, Batches};
pub use bytes::Bytes;
pub use checksum::Checksum;
pub use epoch::Epoch;
pub use form::{Form, Kind, Packing};
pub use ids::{IdSlice, Ids};
pub use read::{COLUMN, as_utf8, each_story, others, story_of};
pub use sources::Sources;
pub use stories::Stories;
pub use text::Text;
pub use tiny_stories::{Split, TINY_STORIES, cache_folder};
pub use token_file::{Header, Origin, SourceFile, TokenFile, TokenWriter, VERSION};
pub use tokens::{Starts, Tokens};

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// The line that stands after each story of a file.
pub const END_OF_STORY: &str = "<|endoftext|>";

/// The environment variable that names a person's own text file.
pub const DATA_VARIABLE: &str = "GLASSLAB_DATA";
/// The environment variable that names the held-out text that belongs to it.
pub const HELD_OUT_VARIABLE: &str = "GLASSLAB_HELD_OUT";

/// The environment variable that names the column, or the field, that the stories of that text are in.
pub const COLUMN_VARIABLE: &str = "GLASSLAB_COLUMN";

/// Stories to learn from, and others, held out, to see what was learnt.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// What a model is trained on.
    pub train: Stories,
    /// What it is measured on and never sees in training.
    pub held_out: Stories,
    /// Where both come from, in words.
    pub source: String,
}

impl Dataset {
    /// The stories that come with the project (`data/README.md` is their card).
    ///
    /// # Errors
    /// None in practice: the stories are part of the library.
    pub fn embedded() -> Result<Dataset> {
        Ok(Dataset {
            train: Stories::parse(include_str!("../data/stories-train.txt"))?,
            held_out: Stories::parse(include_str!("../data/stories-valid.txt"))?,
            source: "the stories that come with glasslab".to_owned(),
        })
    }

    /// The file that `GLASSLAB_DATA` names, else the embedded stories.
    ///
    /// # Errors
    /// If a file is named and can't be used.
    pub fn load() -> Result<Dataset> {
        match std::env::var_os(DATA_VARIABLE).filter(|path| !path.is_empty()) {
            Some(path) => {
                let held_out = std::env::var_os(HELD_OUT_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
                let column = std::env::var(COLUMN_VARIABLE).ok().filter(|column| !column.is_empty());
                Dataset::from_column(path, column.as_deref().unwrap_or(COLUMN), held_out.as_deref())
            }
            None => Dataset::embedded(),
        }
    }

    /// A person's own text, a file or a folder ([`Stories::from_path`] says which forms), or the word `tinystories` for
    /// [`Dataset::tiny_stories`]. Held out is the one that is named, else `NAME-valid.txt` beside
    /// a `NAME-train.txt`, else the last tenth.
    ///
    /// # Errors
    /// If a file can't be read, is of no form that is read, or holds too little text to split.
    pub fn from_path(path: impl AsRef<Path>, held_out: Option<&Path>) -> Result<Dataset> {
        Dataset::from_column(path, COLUMN, held_out)
    }

    /// As [`from_path`](Self::from_path), of a table or of objects whose stories are in another column than `text`.
    ///
    /// # Errors
    /// As [`from_path`](Self::from_path), and if there is no such column.
    pub fn from_column(path: impl AsRef<Path>, column: &str, held_out: Option<&Path>) -> Result<Dataset> {
        let path = path.as_ref();
        if path.as_os_str() == TINY_STORIES && held_out.is_none() && !path.exists() {
            return Dataset::tiny_stories();
        }
        let stories = Stories::from_column(path, column)?;
        match held_out.map(Path::to_path_buf).or_else(|| held_out_beside(path)) {
            Some(other) => Ok(Dataset {
                train: stories,
                held_out: Stories::from_column(&other, column)?,
                source: format!("{}, held out: {}", path.display(), other.display()),
            }),
            None => {
                let (train, held_out) = stories.split().ok_or_else(|| {
                    Error::Data(format!(
                        "{}: too short to hold a part out; give at least 100 characters",
                        path.display()
                    ))
                })?;
                Ok(Dataset { train, held_out, source: format!("{}, held out: its last tenth", path.display()) })
            }
        }
    }
}

/// `NAME-valid.txt` beside a `NAME-train.txt`, if it is there: what is held out unless another text is named.
pub fn held_out_beside(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let sibling = path.with_file_name(name.replace("-train", "-valid"));
    (sibling != path && sibling.exists()).then_some(sibling)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    #[test]
    fn any_text_is_split_without_overlap() {
        let (_folder, path) = file("mine.txt", "añb ".repeat(100).as_bytes());
        let data = Dataset::from_path(&path, None).unwrap();
        assert_eq!(data.held_out.len(), 1);
        assert!(data.train.chars() >= 9 * data.held_out.chars() - 9);
        let (_folder, path) = file("short.txt", b"too short");
        assert!(Dataset::from_path(&path, None).unwrap_err().to_string().contains("100 characters"));
    }

    #[test]
    fn the_embedded_stories_are_many_and_held_out_ones_are_not_among_them() {
        let data = Dataset::embedded().unwrap();
        assert!(data.train.len() + data.held_out.len() >= 300);
        assert!(data.train.chars() + data.held_out.chars() >= 200_000);
        let card = include_str!("../data/README.md");
        for stories in [&data.train, &data.held_out] {
            let count = format!("| {} | {},{:03} |", stories.len(), stories.chars() / 1000, stories.chars() % 1000);
            assert!(card.contains(&count), "data/README.md does not say {count}");
        }
        let openings: std::collections::HashSet<&str> = data.train.iter().map(|story| &story[..60]).collect();
        assert_eq!(openings.len(), data.train.len(), "two stories begin with the same 60 characters");
        assert!(data.held_out.iter().all(|story| !openings.contains(&story[..60])));
        let tokenizer = crate::tokenizer::CharTokenizer::default();
        assert!(data.train.iter().all(|story| tokenizer.encode_all(story).dropped.is_empty()));
    }
}
