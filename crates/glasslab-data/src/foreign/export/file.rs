//! Files that are whole or not there, and the numbers in them.

use crate::error::Result;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use tch::{Device, Kind, TchError, Tensor};

/// Writes a file that is whole or not there.
pub(super) fn write_whole(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>) -> Result<()> {
    Ok(glasslab::file::write_whole(path, |part| {
        let written = File::create(part).and_then(|file| {
            let mut file = BufWriter::new(file);
            write(&mut file)?;
            file.flush()
        });
        written.map_err(|source| glasslab::Error::File { path: path.to_path_buf(), source })
    })?)
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
