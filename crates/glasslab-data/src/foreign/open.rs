//! Which kind of file it is: told by what it begins with, not by its name.

use super::file::{is_pickle, map, pickle, wrong};
use super::{Foreign, gguf, huggingface, llama2c};
use crate::error::Result;
use std::path::Path;

impl Foreign {
    /// Opens a GGUF file, a Hugging Face folder, or a model of llama2.c, whose tokenizer is looked for beside it
    /// (`tok512.bin` for 512 ids, `tokenizer.bin`).
    ///
    /// # Errors
    /// If it can't be read, is damaged, is of another kind (a pickle of PyTorch is refused by name), or keeps its numbers in a way
    /// that glasslab does not read. A tokenizer that it can't use is no error before it is asked for.
    pub fn open(path: &Path) -> Result<Foreign> {
        if path.is_dir() {
            return huggingface::open(path);
        }
        let bytes = map(path)?;
        match () {
            () if bytes.starts_with(gguf::MAGIC) => gguf::open(path, &bytes),
            () if is_pickle(&bytes) => Err(pickle(path)),
            // Safetensors: the length of a header, then the header.
            () if matches!(bytes.get(4..9), Some([0, 0, 0, 0, b'{'])) => Err(wrong(
                path,
                "holds weights only: give the folder that it is in, with config.json and tokenizer.json beside it",
            )),
            () => llama2c::open(path, &bytes),
        }
    }
}
