//! Files: what the system says of one, and how one is written whole or not at all.
//!
//! By hand, since `tempfile` would bring three more crates into every cell.

use crate::error::{Error, Result};
use std::path::Path;

/// Lets `write` make a file under another name, and gives it its own name when it is whole.
///
/// # Errors
/// If it can't be written; what was there before stays as it was.
pub fn write_whole(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // Another notebook may be writing the same.
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(file_error(folder))?;
    }
    let written = write(&part)
        // On the disk before it has the name: a power cut must not leave an empty file under it.
        .and_then(|()| std::fs::File::open(&part).and_then(|file| file.sync_all()).map_err(file_error(&part)))
        .and_then(|()| std::fs::rename(&part, path).map_err(file_error(path)));
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written
}

/// What the system says of a file.
pub(crate) fn file_error(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::File { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_old_one_until_the_new_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/kept.json");
        write_whole(&path, |part| std::fs::write(part, "old").map_err(file_error(part))).unwrap();
        let fails = write_whole(&path, |part| {
            std::fs::write(part, "half of").map_err(file_error(part))?;
            Err(Error::Data("the disk is full".to_owned()))
        });
        assert!(fails.is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(std::fs::read_dir(folder.path().join("new")).unwrap().count(), 1, "nothing else is left");
    }
}
