//! Stories: where they come from, and the part that is never trained on.

mod batch;
mod tokens;

pub use batch::{Batch, Batches};
pub use tokens::Tokens;

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// The line that stands after each story of a file.
pub const END_OF_STORY: &str = "<|endoftext|>";

/// The environment variable that names a person's own text file.
pub const DATA_VARIABLE: &str = "GLASSLAB_DATA";
/// The environment variable that names the held-out text that belongs to it.
pub const HELD_OUT_VARIABLE: &str = "GLASSLAB_HELD_OUT";

/// A collection of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stories {
    texts: Vec<String>,
}

impl Stories {
    /// Splits a text at its `<|endoftext|>` lines; a text without any is one story.
    ///
    /// # Errors
    /// If there is no story in it.
    pub fn parse(text: &str) -> Result<Stories> {
        let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
        let texts: Vec<String> =
            text.split(END_OF_STORY).map(str::trim).filter(|story| !story.is_empty()).map(str::to_owned).collect();
        if texts.is_empty() {
            return Err(Error::Data("there is no text in it: give a text with at least one story".to_owned()));
        }
        Ok(Stories { texts })
    }

    /// Reads a UTF-8 text file, or all `.txt` and `.md` files of a folder in the order of their names.
    ///
    /// # Errors
    /// If one can't be read or is not UTF-8, or there is no story.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Stories> {
        let path = path.as_ref();
        if !path.is_dir() {
            return Stories::from_file(path);
        }
        let entries = std::fs::read_dir(path).map_err(|source| Error::File { path: path.to_path_buf(), source })?;
        let is_text = |file: &PathBuf| file.extension().is_some_and(|name| name == "txt" || name == "md");
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_text).collect();
        files.sort();
        let mut texts = Vec::new();
        for file in &files {
            texts.extend(Stories::from_file(file)?.texts);
        }
        match texts.is_empty() {
            true => Err(Error::Data(format!("{} holds no .txt or .md file", path.display()))),
            false => Ok(Stories { texts }),
        }
    }

    /// Reads a UTF-8 text file.
    ///
    /// # Errors
    /// If it can't be read, is not UTF-8, or holds no story.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Stories> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::File { path: path.to_path_buf(), source })?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Error::Data(format!("{}: byte {at} is not UTF-8; save the file as UTF-8 text", path.display()))
        })?;
        Stories::parse(&text).map_err(|error| Error::Data(format!("{}: {error}", path.display())))
    }

    /// The number of stories.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Never true: a collection has at least one story.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The number of characters in all of them.
    pub fn chars(&self) -> usize {
        self.texts.iter().map(|text| text.chars().count()).sum()
    }

    /// The story at a place, from 0; `None` past the end.
    pub fn get(&self, index: usize) -> Option<&str> {
        self.texts.get(index).map(String::as_str)
    }

    /// The stories, one after the other.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }
}

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
            train: Stories::parse(include_str!("../../../data/stories-train.txt"))?,
            held_out: Stories::parse(include_str!("../../../data/stories-valid.txt"))?,
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
                Dataset::from_path(path, held_out.as_deref())
            }
            None => Dataset::embedded(),
        }
    }

    /// A person's own text, a file or a folder. Held out is the one that is named, else `NAME-valid.txt` beside
    /// a `NAME-train.txt`, else the last tenth.
    ///
    /// # Errors
    /// If a file can't be read, is not UTF-8, or holds too little text to split.
    pub fn from_path(path: impl AsRef<Path>, held_out: Option<&Path>) -> Result<Dataset> {
        let path = path.as_ref();
        let stories = Stories::from_path(path)?;
        match held_out.map(Path::to_path_buf).or_else(|| validation_sibling(path)) {
            Some(other) => Ok(Dataset {
                train: stories,
                held_out: Stories::from_path(&other)?,
                source: format!("{}, held out: {}", path.display(), other.display()),
            }),
            None => {
                let (train, held_out) = split(stories).ok_or_else(|| {
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

fn validation_sibling(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let sibling = path.with_file_name(name.replace("-train", "-valid"));
    (sibling != path && sibling.is_file()).then_some(sibling)
}

/// The last tenth of the stories; of a single one, the last tenth of its characters.
fn split(stories: Stories) -> Option<(Stories, Stories)> {
    let mut texts = stories.texts;
    if texts.len() >= 10 {
        let held_out = texts.split_off(texts.len() - texts.len() / 10);
        return Some((Stories { texts }, Stories { texts: held_out }));
    }
    let text = texts.join("\n");
    let chars = text.chars().count();
    if chars < 100 {
        return None;
    }
    let (cut, _) = text.char_indices().nth(chars - chars / 10)?;
    let parts = [&text[..cut], &text[cut..]].map(|part| Stories::parse(part).ok());
    let [Some(train), Some(held_out)] = parts else { return None };
    Some((train, held_out))
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
    fn stories_stand_between_their_end_lines() {
        let stories = Stories::parse("\u{feff}one\r\ntwo\n<|endoftext|>\n\n<|endoftext|>\nthree\n").unwrap();
        assert_eq!(stories.iter().collect::<Vec<_>>(), ["one\ntwo", "three"]);
        assert_eq!(stories.chars(), 12);
    }

    #[test]
    fn a_file_without_text_says_so() {
        for bytes in [&b""[..], b" \n\n", b"<|endoftext|>\n"] {
            let (_folder, path) = file("empty.txt", bytes);
            let message = Stories::from_file(&path).unwrap_err().to_string();
            assert!(message.contains("empty.txt") && message.contains("no text"), "{message}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf8_are_named() {
        let (_folder, path) = file("latin1.txt", b"caf\xe9");
        let message = Stories::from_file(&path).unwrap_err().to_string();
        assert!(message.contains("byte 3"), "{message}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let message = Stories::from_file("/nowhere/stories.txt").unwrap_err().to_string();
        assert!(message.contains("/nowhere/stories.txt"), "{message}");
    }

    #[test]
    fn a_folder_is_read_in_the_order_of_its_names() {
        let (folder, _) = file("b.txt", b"second");
        std::fs::write(folder.path().join("a.md"), "first").unwrap();
        std::fs::write(folder.path().join("c.png"), [0xff]).unwrap();
        let stories = Stories::from_path(folder.path()).unwrap();
        assert_eq!(stories.iter().collect::<Vec<_>>(), ["first", "second"]);
        let empty = tempfile::tempdir().unwrap();
        assert!(Stories::from_path(empty.path()).unwrap_err().to_string().contains("no .txt"));
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
        let card = include_str!("../../../data/README.md");
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
