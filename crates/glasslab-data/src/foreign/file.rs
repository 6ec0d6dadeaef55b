//! The files of a model: how they are opened, and what is said where they can't be used.

use crate::error::{Error, Result};
use glasslab::data::Bytes;
use std::fs::File;
use std::path::Path;

/// A sentence that begins with the file.
pub(super) fn wrong(path: &Path, why: &str) -> Error {
    Error::Wrong(format!("{} {why}", path.display()))
}

/// That a file is not whole, and what to do.
pub(super) fn damaged(why: &str) -> String {
    format!("is damaged ({why}): was its writing or copying cut off? Fetch it again")
}

/// No number belongs to two tensors.
pub(super) fn check_places(mut places: Vec<(u64, u64, &str)>) -> Result<(), String> {
    places.sort_unstable();
    for pair in places.windows(2) {
        let ((begin, length, name), (next, _, other)) = (pair[0], pair[1]);
        if begin.checked_add(length).is_none_or(|end| end > next) {
            return Err(damaged(&format!("{name} and {other} lie one on the other")));
        }
    }
    Ok(())
}

/// A file's bytes, which are read when they are looked at.
pub(super) fn map(path: &Path) -> Result<Bytes> {
    let file = File::open(path).map_err(Error::file(path))?;
    Ok(Bytes::map(&file, path)?)
}

/// How long a small file may be that is read as a whole: the largest tokenizers have 40 MB.
const LONGEST: u64 = 200_000_000;

/// A text file, if it is there.
pub(super) fn read_text(path: &Path) -> Result<Option<String>> {
    match path.metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Ok(about) if about.len() > LONGEST => {
            return Err(wrong(path, "is larger than 200 MB, which no description of a model is"));
        }
        _ => {}
    }
    match std::fs::read(path) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(wrong(path, &damaged("it is no UTF-8 text"))),
        },
        Err(source) => Err(Error::file(path)(source)),
    }
}

/// PyTorch's files: a zip archive, or a pickle by itself, of protocol 2 to 5.
pub(super) fn is_pickle(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || matches!(bytes, [0x80, 2..=5, ..])
}

pub(super) fn pickle(path: &Path) -> Error {
    wrong(
        path,
        "is a pickle of PyTorch, which may run any program when it is opened, so glasslab opens none: take the model's \
         .safetensors or GGUF file, or write one where you trust it, in Python \
         `AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER, safe_serialization=True)` and \
         `AutoTokenizer.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER)`",
    )
}
