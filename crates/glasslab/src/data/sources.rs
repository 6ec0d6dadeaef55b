//! The files that a path stands for: itself, or the files of a folder.
//!
//! A folder is read with its subfolders, in the order of the names, and in one form: that of most of its bytes. What is
//! hidden (`._a.txt`, `.git`) is nobody's text; what is left out for another reason is told.

use super::form::{Form, Kind};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

/// The files to read, all of one form.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The files, and how each is packed.
    pub files: Vec<(PathBuf, Kind)>,
    /// What a folder holds beside them.
    left_out: Vec<PathBuf>,
    folder: Option<PathBuf>,
}

impl Sources {
    /// The files that a path stands for.
    ///
    /// # Errors
    /// If there is nothing at the path, or nothing that can be read as stories.
    pub fn of(path: &Path) -> Result<Sources> {
        let data = std::fs::metadata(path).map_err(crate::file::file_error(path))?;
        if !data.is_dir() {
            return Ok(Sources {
                files: vec![(path.to_path_buf(), Kind::of(path)?)],
                left_out: Vec::new(),
                folder: None,
            });
        }
        let (mut found, mut left_out) = (Vec::new(), Vec::new());
        walk(path, &mut HashSet::new(), &mut |file| match Kind::is_story_file(&file) {
            true => found.push(file),
            false => left_out.push(file),
        })?;
        let mut bytes: BTreeMap<Form, u64> = BTreeMap::new();
        let mut files = Vec::new();
        for file in found {
            let (kind, length) = (Kind::of(&file)?, std::fs::metadata(&file).map_or(0, |data| data.len()));
            *bytes.entry(kind.form).or_default() += length + 1;
            files.push((file, kind));
        }
        // Of as many bytes, the first form.
        let Some((&most, _)) = bytes.iter().rev().max_by_key(|(_, bytes)| **bytes) else {
            return Err(Error::Data(format!(
                "{} holds no .txt, .md, .jsonl, .json, .csv, .tsv or .parquet file: put your texts there, or name one file",
                path.display()
            )));
        };
        let (files, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|(_, kind)| kind.form == most);
        left_out.extend(others.into_iter().map(|(file, _)| file));
        left_out.sort();
        Ok(Sources { files, left_out, folder: Some(path.to_path_buf()) })
    }

    /// What of a folder is not read, as a sentence.
    pub fn told(&self) -> Option<String> {
        let folder = self.folder.as_deref().filter(|_| !self.left_out.is_empty())?;
        let name = |file: &PathBuf| file.strip_prefix(folder).unwrap_or(file).display().to_string();
        let names: Vec<String> = self.left_out.iter().take(5).map(name).collect();
        let more = if self.left_out.len() > names.len() { ", …" } else { "" };
        Some(format!(
            "of {}, {} files are read; left out, being of another form: {} ({}{more})",
            folder.display(),
            self.files.len(),
            self.left_out.len(),
            names.join(", ")
        ))
    }
}

/// Gives all files of a folder that are not hidden, in the order of the names, those of subfolders included.
fn walk(folder: &Path, seen: &mut HashSet<PathBuf>, take: &mut dyn FnMut(PathBuf)) -> Result<()> {
    // A link may lead to a folder above.
    if !seen.insert(folder.canonicalize().map_err(crate::file::file_error(folder))?) {
        return Ok(());
    }
    let entries = std::fs::read_dir(folder).map_err(crate::file::file_error(folder))?;
    let hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".") || name == "__MACOSX";
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let entry = entry.map_err(crate::file::file_error(folder))?;
        if !hidden(&entry.file_name()) {
            paths.push(entry.path());
        }
    }
    paths.sort();
    for path in paths {
        match std::fs::metadata(&path) {
            Ok(data) if data.is_dir() => walk(&path, seen, take)?,
            Ok(data) if data.is_file() => take(path),
            // A link to nowhere, a socket.
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, usize)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, vec![b'a'; *bytes]).unwrap();
        }
        folder
    }

    fn names(folder: &tempfile::TempDir, sources: &Sources) -> Vec<String> {
        let name = |(file, _): &(PathBuf, Kind)| file.strip_prefix(folder.path()).unwrap().display().to_string();
        sources.files.iter().map(name).collect()
    }

    #[test]
    fn hidden_files_are_nobody_s_endings_come_in_any_case_and_subfolders_count() {
        let folder = folder(&[
            ("B.TXT", 3),
            ("a.md", 3),
            ("._a.txt", 9),
            (".git/x.txt", 9),
            ("__MACOSX/y.txt", 9),
            ("sub/deep/c.Txt", 3),
            ("c.png", 99),
        ]);
        let sources = Sources::of(folder.path()).unwrap();
        assert_eq!(names(&folder, &sources), ["B.TXT", "a.md", "sub/deep/c.Txt"]);
        let told = sources.told().unwrap();
        assert!(told.contains("3 files are read") && told.contains("1 (c.png)"), "{told}");
    }

    #[test]
    fn a_folder_is_read_in_the_form_of_most_bytes_and_the_rest_is_told() {
        let folder = folder(&[
            ("README.md", 50),
            ("data/0.jsonl.gz", 40),
            ("data/1.jsonl", 40),
            ("info.json", 5),
            ("LICENSE", 500),
        ]);
        let sources = Sources::of(folder.path()).unwrap();
        assert_eq!(names(&folder, &sources), ["data/0.jsonl.gz", "data/1.jsonl"]);
        assert!(sources.told().unwrap().contains("3 (LICENSE, README.md, info.json)"), "{:?}", sources.told());
    }

    #[test]
    fn a_folder_without_text_says_what_would_be_text() {
        let folder = folder(&[("a.png", 5)]);
        assert!(Sources::of(folder.path()).unwrap_err().to_string().contains("no .txt"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_the_folder_above_ends() {
        let folder = folder(&[("a.txt", 5)]);
        std::os::unix::fs::symlink(folder.path(), folder.path().join("again")).unwrap();
        std::os::unix::fs::symlink("/nowhere", folder.path().join("b.txt")).unwrap();
        assert_eq!(names(&folder, &Sources::of(folder.path()).unwrap()), ["a.txt"]);
    }
}
