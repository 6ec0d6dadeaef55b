//! A collection of texts: in memory, or in a token file that is mapped.

use super::form::{Form, Kind};
use super::read::{COLUMN, each_story, story_of};
use super::{END_OF_STORY, Sources, TokenFile, command};
use crate::display::say;
use crate::error::{Error, Result};
use crate::file::file_error;
use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// A collection of texts.
#[derive(Clone)]
pub struct Stories {
    texts: Texts,
}

#[derive(Clone)]
enum Texts {
    Memory(Vec<String>),
    Mapped { file: Arc<TokenFile>, range: Range<usize> },
}

impl Stories {
    /// Splits a text at its `<|endoftext|>` lines; a text without any is one story. A new line is `\n`, however it is
    /// written.
    ///
    /// # Errors
    /// If there is no story in it.
    pub fn parse(text: &str) -> Result<Stories> {
        let text = text.trim_start_matches('\u{feff}');
        let texts = text.split(END_OF_STORY).filter_map(story_of).map(Cow::into_owned);
        Stories::from_texts(texts.collect())
            .ok_or_else(|| Error::Data("there is no text in it: give a text with at least one story".to_owned()))
    }

    /// Reads a person's own text:
    ///
    /// | what | how it is read |
    /// |---|---|
    /// | a folder | the files of these forms in it and its subfolders, in the order of their names (of text: `.txt` and `.md`); where they are of several forms, those of most bytes; what is left out is told, but for hidden files |
    /// | `.jsonl`, `.ndjson` | a story a line: a JSON object with a `text` |
    /// | `.json` | a list of such objects, or of strings |
    /// | `.csv`, `.tsv` | a story a row: the column `text` |
    /// | `.parquet` | a story a row: the column `text` |
    /// | `.tokens` | what `glasslab prepare` made: opened at once, whatever its size |
    /// | any other file | text, stories between `<\|endoftext\|>` lines |
    ///
    /// `.gz` or `.zst` may stand behind the ending. Text is UTF-8, or UTF-16 with its mark at the beginning. Tables,
    /// parquet and what is packed, the command `glasslab` prepares once. What is known to be no text (web pages,
    /// notebooks, documents) is refused with the way out.
    ///
    /// # Errors
    /// If a file can't be read or is not of its kind, or there is no story.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Stories> {
        Stories::from_column(path, COLUMN)
    }

    /// As [`from_path`](Self::from_path), of a table or of objects whose stories are in another column than `text`.
    ///
    /// # Errors
    /// As [`from_path`](Self::from_path), and if there is no such column.
    pub fn from_column(path: impl AsRef<Path>, column: &str) -> Result<Stories> {
        let path = path.as_ref();
        let sources = Sources::of(path)?;
        if let [(file, Kind { form: Form::Tokens, .. })] = &sources.files[..] {
            return Stories::from_token_file(file);
        }
        if !sources.files.iter().all(|(_, kind)| kind.is_light()) {
            return Stories::from_token_file(command::prepare(path, column)?);
        }
        sources.told().iter().for_each(|told| say(&format!("glasslab: {told}")));
        let mut texts = Vec::new();
        for (file, kind) in &sources.files {
            let input = BufReader::new(File::open(file).map_err(file_error(file))?);
            each_story(file, kind.form, column, input, &mut |story| {
                texts.push(story.to_owned());
                Ok(())
            })?;
        }
        Stories::from_texts(texts)
            .ok_or_else(|| Error::Data(format!("{}: there is no text in it: give at least one story", path.display())))
    }

    /// As [`from_path`](Self::from_path): a file is read as what it is, whatever it is called by.
    ///
    /// # Errors
    /// As [`from_path`](Self::from_path).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Stories> {
        Stories::from_path(path)
    }

    /// Opens a token file; it stays on the disk, and what is read of it comes into memory.
    ///
    /// # Errors
    /// If it is none, or damaged.
    pub fn from_token_file(path: impl AsRef<Path>) -> Result<Stories> {
        let file = Arc::new(TokenFile::open(path)?);
        Ok(Stories { texts: Texts::Mapped { range: 0..file.len(), file } })
    }

    fn from_texts(texts: Vec<String>) -> Option<Stories> {
        (!texts.is_empty()).then_some(Stories { texts: Texts::Memory(texts) })
    }

    /// The number of stories.
    pub fn len(&self) -> usize {
        match &self.texts {
            Texts::Memory(texts) => texts.len(),
            Texts::Mapped { range, .. } => range.len(),
        }
    }

    /// Never true: a collection has at least one story.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of characters in all of them.
    pub fn chars(&self) -> usize {
        match &self.texts {
            Texts::Memory(texts) => texts.iter().map(|text| text.chars().count()).sum(),
            Texts::Mapped { file, range } => file.chars(range.clone()),
        }
    }

    /// The story at a place, from 0; `None` past the end.
    pub fn get(&self, index: usize) -> Option<&str> {
        match &self.texts {
            Texts::Memory(texts) => texts.get(index).map(String::as_str),
            Texts::Mapped { file, range } => (index < range.len()).then(|| file.text(range.start + index)),
        }
    }

    /// The stories, one after the other.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// The first so many stories, at least one: few enough can be learnt by heart.
    pub fn first(&self, count: usize) -> Stories {
        let count = count.clamp(1, self.len());
        let texts = match &self.texts {
            Texts::Memory(texts) => Texts::Memory(texts[..count].to_vec()),
            Texts::Mapped { file, range } => {
                Texts::Mapped { file: Arc::clone(file), range: range.start..range.start + count }
            }
        };
        Stories { texts }
    }

    /// The token file behind the stories, and which of its stories they are; `None` for stories in memory.
    pub(super) fn mapped(&self) -> Option<(&Arc<TokenFile>, Range<usize>)> {
        match &self.texts {
            Texts::Memory(_) => None,
            Texts::Mapped { file, range } => Some((file, range.clone())),
        }
    }

    /// The stories but for their last tenth, and the last tenth; of a few stories, the last tenth of their
    /// characters. `None` if there is too little text.
    pub(super) fn split(self) -> Option<(Stories, Stories)> {
        let cut = self.len() - self.len() / 10;
        match self.texts {
            Texts::Mapped { file, range } if cut < range.len() => {
                let cut = range.start + cut;
                let part = |range| Stories { texts: Texts::Mapped { file: Arc::clone(&file), range } };
                Some((part(range.start..cut), part(cut..range.end)))
            }
            Texts::Memory(mut texts) if cut < texts.len() => {
                let held_out = texts.split_off(cut);
                Some((Stories { texts: Texts::Memory(texts) }, Stories { texts: Texts::Memory(held_out) }))
            }
            texts => split_text(&Stories { texts }.iter().collect::<Vec<_>>().join("\n")),
        }
    }
}

fn split_text(text: &str) -> Option<(Stories, Stories)> {
    let chars = text.chars().count();
    if chars < 100 {
        return None;
    }
    let (cut, _) = text.char_indices().nth(chars - chars / 10)?;
    let parts = [&text[..cut], &text[cut..]].map(|part| Stories::parse(part).ok());
    let [Some(train), Some(held_out)] = parts else { return None };
    Some((train, held_out))
}

impl PartialEq for Stories {
    fn eq(&self, other: &Stories) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Stories {}

impl fmt::Debug for Stories {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.mapped().is_some() { "in a mapped file" } else { "in memory" };
        write!(out, "{} stories {place}, the first: {:?}", self.len(), self.get(0).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Origin, TokenWriter};
    use std::path::PathBuf;

    fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    fn message(name: &str, bytes: &[u8]) -> String {
        let (_folder, path) = file(name, bytes);
        let message = Stories::from_path(&path).unwrap_err().to_string();
        assert!(message.contains(name), "{message}");
        message
    }

    #[test]
    fn stories_stand_between_their_end_lines() {
        let stories = Stories::parse("\u{feff}one\r\ntwo\n<|endoftext|>\n\n<|endoftext|>\nthree\n").unwrap();
        assert_eq!(stories.iter().collect::<Vec<_>>(), ["one\ntwo", "three"]);
        assert_eq!(stories.chars(), 12);
    }

    #[test]
    fn the_first_stories_are_taken_from_memory_and_from_a_token_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("three.tokens");
        let mut writer = TokenWriter::create(&path).unwrap();
        ["one", "two", "three"].iter().for_each(|story| writer.push(story).unwrap());
        writer.finish(Origin::default()).unwrap();
        let memory = Stories::parse("one<|endoftext|>two<|endoftext|>three").unwrap();
        for stories in [memory, Stories::from_token_file(&path).unwrap()] {
            for (count, expected) in [(2, &["one", "two"][..]), (0, &["one"]), (9, &["one", "two", "three"])] {
                assert_eq!(stories.first(count).iter().collect::<Vec<_>>(), expected);
            }
        }
    }

    #[test]
    fn a_file_without_text_says_so() {
        for bytes in [&b""[..], b" \n\n", b"<|endoftext|>\n"] {
            assert!(message("empty.txt", bytes).contains("no text"));
        }
        assert!(message("empty.jsonl", b"\n{\"text\": \" \"}\n").contains("no text"));
    }

    #[test]
    fn bytes_that_are_not_utf8_are_named() {
        assert!(message("latin1.txt", b"caf\xe9").contains("byte 3"));
        assert!(message("latin1.jsonl", b"{\"text\": \"a\"}\n{\"text\": \"\xe9\"}").contains("line 2 is not UTF-8"));
    }

    #[test]
    fn a_missing_file_is_named() {
        for name in ["/nowhere/stories.txt", "/nowhere/stories.jsonl", "/nowhere/stories.tokens"] {
            let message = Stories::from_path(name).unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }

    #[test]
    fn a_file_is_read_as_what_it_is_and_what_is_no_text_is_refused() {
        let (_folder, path) =
            file("mine.json", b"[{\"text\": \"one\", \"story\": \"1\"}, {\"text\": \"two\", \"story\": \"2\"}]");
        assert_eq!(Stories::from_file(&path).unwrap().iter().collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(Stories::from_column(&path, "story").unwrap().iter().collect::<Vec<_>>(), ["1", "2"]);
        let (_folder, path) = file("mine.txt", b"\xff\xfeo\0n\0e\0\r\0");
        assert_eq!(Stories::from_file(&path).unwrap().get(0), Some("one"));
        assert!(message("page.html", b"<p>one</p>").contains("a web page"));
        assert!(message("page.txt", b"<!DOCTYPE html><p>one</p>").contains("a web page"));
        assert!(message("book.ipynb", b"{}").contains("nbconvert"));
    }

    #[test]
    fn a_folder_is_read_in_the_order_of_its_names() {
        let (folder, _) = file("b.txt", b"second");
        std::fs::write(folder.path().join("a.md"), "first").unwrap();
        std::fs::write(folder.path().join("c.png"), [0xff]).unwrap();
        std::fs::write(folder.path().join("._a.md"), [0xff]).unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("sub/C.TXT"), "third").unwrap();
        let stories = Stories::from_path(folder.path()).unwrap();
        assert_eq!(stories.iter().collect::<Vec<_>>(), ["first", "second", "third"]);
        let empty = tempfile::tempdir().unwrap();
        assert!(Stories::from_path(empty.path()).unwrap_err().to_string().contains("no .txt"));
    }

    #[test]
    fn each_line_of_a_jsonl_file_is_a_story() {
        let lines = b"\xef\xbb\xbf{\"text\": \"one\\r\\ntwo\", \"id\": 7}\r\n\n{\"text\": \"  \"}\n{\"text\": \"caf\\u00e9 \\ud83e\\udd80\"}";
        let (_folder, path) = file("mine.jsonl", lines);
        let stories = Stories::from_path(&path).unwrap();
        assert_eq!(stories.iter().collect::<Vec<_>>(), ["one\ntwo", "café 🦀"]);
        assert!(message("list.jsonl", b"{\"text\": \"a\"}\n[1]\n").contains("line 2 has no field `text`"));
        assert!(message("cut.jsonl", b"{\"text\": \"a\"}\n{\"text\": \"b").contains("line 2 is no JSON"));
    }

    #[test]
    fn stories_of_a_token_file_are_those_that_were_put_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.tokens");
        let texts: Vec<String> = (0..25).map(|number| format!("story {number} is naïve 🦀")).collect();
        let mut writer = TokenWriter::create(&path).unwrap();
        texts.iter().for_each(|text| writer.push(text).unwrap());
        writer.finish(Origin::default()).unwrap();
        let (mapped, memory) = (Stories::from_path(&path).unwrap(), Stories::from_texts(texts).unwrap());
        assert_eq!(mapped, memory);
        assert_eq!(mapped.chars(), memory.chars());
        assert_eq!(mapped.get(25), None);
        let ((train, held_out), (other_train, other_held_out)) = (mapped.split().unwrap(), memory.split().unwrap());
        assert_eq!((&train, &held_out), (&other_train, &other_held_out));
        assert_eq!((train.len(), held_out.len()), (23, 2));
        assert_eq!(held_out.chars(), other_held_out.chars());
    }
}
