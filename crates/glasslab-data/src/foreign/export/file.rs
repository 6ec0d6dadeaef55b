//! Files that are whole or not there, and the numbers in them.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use tch::{Device, Kind, TchError, Tensor};

/// Writes a file that is whole or not there.
pub(super) fn write_whole(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(name);
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(Error::file(folder))?;
    }
    let written = File::create(&part).and_then(|file| {
        let mut file = BufWriter::new(file);
        write(&mut file)?;
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&part, path)
    });
    written.map_err(|source| {
        let _ = std::fs::remove_file(&part);
        Error::file(path)(source)
    })
}

/// The numbers of a tensor as they lie in a file, 4 bytes each.
pub(super) fn write_numbers(tensor: &Tensor, file: &mut impl Write) -> std::io::Result<()> {
    let numbers = || -> std::result::Result<Vec<f32>, TchError> {
        Vec::try_from(tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?.f_view([-1])?)
    };
    for number in numbers().map_err(std::io::Error::other)? {
        file.write_all(&number.to_le_bytes())?;
    }
    Ok(())
}
