//! The forms that a person's text comes in, told by how a file's name ends; and which forms are none, and why.

use crate::error::{Error, Result};
use std::path::Path;

/// How stories stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// Text: stories between `<|endoftext|>` lines.
    Text,
    /// A JSON object in each line.
    Lines,
    /// JSON: a list of objects or of strings, or objects one after the other.
    Json,
    /// A table as text: CSV, or with tabs.
    Table,
    /// Parquet.
    Parquet,
    /// A token file, as `glasslab prepare` makes them.
    Tokens,
}

/// What a file is packed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Packing {
    /// gzip: `.gz`.
    Gzip,
    /// Zstandard: `.zst`.
    Zstandard,
}

/// The form of a file, and what it is packed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind {
    /// The form.
    pub form: Form,
    /// The packing around it.
    pub packing: Option<Packing>,
}

/// Endings of what is no text, what it is, and the way out.
const REFUSED: [(&str, &str, &str); 9] = [
    ("html htm xhtml mhtml", "a web page", "save it as text: the browser's “save as” has that"),
    ("xml rss svg", "markup", "take the texts out of it"),
    ("ipynb", "a notebook", "save it as Markdown: `jupyter nbconvert --to markdown FILE`"),
    ("pdf ps djvu", "a document of pages", "save its text: `pdftotext FILE`"),
    ("doc docx odt rtf epub mobi pages", "a document of a word processor or a book", "save it as plain text (.txt)"),
    ("xls xlsx ods numbers", "a spreadsheet", "save it as CSV"),
    ("arrow feather orc avro sqlite db pkl npy npz h5 bin pt", "a data file", "save it as .parquet or .jsonl"),
    ("zip tar tgz 7z rar bz2 xz lz4 br", "a packed file", "unpack it, and give the folder or the file in it"),
    ("png jpg jpeg gif webp mp3 mp4 wav mov", "a picture, a sound or a film", "give a text"),
];

/// How the bytes of what is no text begin, what it is, and the way out.
const MAGIC: [(&[u8], &str, &str); 10] = [
    (
        b"<!doctype html",
        "a web page",
        "save it as text; and if a file was meant, look whether the download was refused",
    ),
    (b"<html", "a web page", "save it as text; and if a file was meant, look whether the download was refused"),
    (b"%PDF-", "a PDF", "save its text: `pdftotext FILE`"),
    (b"PK\x03\x04", "a ZIP file (documents of word processors are, too)", "unpack it, or save it as plain text"),
    (b"\x1f\x8b", "a gzip file", "let its name end in .gz, behind the ending of what is in it"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", "let its name end in .zst, behind the ending of what is in it"),
    (b"PAR1", "a parquet file", "let its name end in .parquet"),
    (b"ARROW1", "an Arrow file", "save it as .parquet or .jsonl"),
    (b"glasslab-tokens ", "a token file", "let its name end in .tokens"),
    (b"\x89PNG", "a picture", "give a text"),
];

impl Kind {
    /// What a file's name says of it. A name that says nothing is one of a text.
    ///
    /// # Errors
    /// If it is the name of what can't be read as stories: the sentence names the way out.
    pub fn of(path: &Path) -> Result<Kind> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let (inner, packing) = if let Some(inner) = name.strip_suffix(".gz") {
            (inner, Some(Packing::Gzip))
        } else if let Some(inner) = name.strip_suffix(".zst") {
            (inner, Some(Packing::Zstandard))
        } else {
            (name.as_str(), None)
        };
        let ending = inner.rsplit_once('.').map_or("", |(_, ending)| ending);
        let form = match ending {
            "jsonl" | "ndjson" => Form::Lines,
            "json" => Form::Json,
            "csv" | "tsv" | "tab" => Form::Table,
            "parquet" => Form::Parquet,
            "tokens" => Form::Tokens,
            _ => Form::Text,
        };
        let refused = |what: &str, way: &str| Err(Error::Data(format!("{} is {what}: {way}", path.display())));
        if let Some((_, what, way)) = REFUSED.iter().find(|(endings, ..)| endings.split(' ').any(|one| one == ending)) {
            return refused(what, way);
        }
        match (form, packing) {
            (Form::Parquet | Form::Tokens, Some(_)) => {
                refused("packed around a form that is packed itself", "unpack it")
            }
            _ => Ok(Kind { form, packing }),
        }
    }

    /// Whether a folder's file of this name is one of its texts: of any other ending, it may be anything.
    pub(super) fn is_story_file(path: &Path) -> bool {
        let unpacked = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let unpacked = unpacked.trim_end_matches(".gz").trim_end_matches(".zst");
        match Kind::of(path).map(|kind| kind.form) {
            Ok(Form::Text) => [".txt", ".text", ".md", ".markdown"].iter().any(|ending| unpacked.ends_with(ending)),
            Ok(form) => form != Form::Tokens,
            Err(_) => false,
        }
    }

    /// Whether the library reads it itself; else the command `glasslab` does.
    pub(super) fn is_light(self) -> bool {
        self.packing.is_none() && matches!(self.form, Form::Text | Form::Lines | Form::Json)
    }
}

/// Refuses what begins as no text does, whatever its name.
///
/// # Errors
/// If these first bytes are those of something known.
pub(super) fn check_beginning(path: &Path, bytes: &[u8]) -> Result<()> {
    let text = bytes.trim_ascii_start();
    let begins = |magic: &[u8]| text.get(..magic.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(magic));
    match MAGIC.iter().find(|(magic, ..)| begins(magic)) {
        Some((_, what, way)) => Err(Error::Data(format!("{} is {what}: {way}", path.display()))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_form_in_any_case() {
        for (name, form, packing) in [
            ("a.txt", Form::Text, None),
            ("B.TXT", Form::Text, None),
            ("notes", Form::Text, None),
            ("x.rs", Form::Text, None),
            ("a.JSONL", Form::Lines, None),
            ("a.ndjson.gz", Form::Lines, Some(Packing::Gzip)),
            ("a.json.zst", Form::Json, Some(Packing::Zstandard)),
            ("a.TSV.GZ", Form::Table, Some(Packing::Gzip)),
            ("a.csv", Form::Table, None),
            ("a.parquet", Form::Parquet, None),
            ("a.gz", Form::Text, Some(Packing::Gzip)),
            ("a.tokens", Form::Tokens, None),
        ] {
            assert_eq!(Kind::of(Path::new(name)).unwrap(), Kind { form, packing }, "{name}");
        }
    }

    #[test]
    fn what_is_no_text_is_refused_by_name_with_the_way_out() {
        for (name, way) in [
            ("a.html", "save it as text"),
            ("a.IPYNB", "nbconvert"),
            ("a.pdf", "pdftotext"),
            ("a.docx", ".txt"),
            ("a.tar.gz", "unpack"),
            ("a.zip", "unpack"),
            ("a.arrow", ".parquet"),
            ("a.parquet.gz", "unpack"),
        ] {
            let message = Kind::of(Path::new(name)).unwrap_err().to_string();
            assert!(message.contains(way) && message.contains(name), "{message}");
        }
        for bytes in [&b"\n <!DOCTYPE HTML><p>"[..], b"<HTML>", b"%PDF-1.7", b"PAR1\0", b"\x1f\x8b\x08"] {
            assert!(check_beginning(Path::new("a.txt"), bytes).unwrap_err().to_string().contains("a.txt is a"));
        }
        assert!(check_beginning(Path::new("a.txt"), b"< html is a word").is_ok());
    }
}
