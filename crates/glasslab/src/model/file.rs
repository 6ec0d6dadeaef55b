//! Tensors in a safetensors file: their names, their numbers, and what the file says of itself.

use super::Parameter;
use crate::data::Bytes;
use crate::error::{Error, Result};
use crate::file::{file_error, write_whole};
use safetensors::tensor::{Dtype, TensorView, View};
use safetensors::{SafeTensorError, SafeTensors};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use tch::{Device, Kind, TchError, Tensor};

/// The name of what a file says of itself.
const METADATA: &str = "glasslab";
/// So long is the beginning of a safetensors file at most that tells what is in it.
const LONGEST_HEADER: u64 = 100_000_000;

/// What a safetensors file says of itself. Only its beginning is read.
pub(crate) fn read_metadata(path: &Path) -> Result<Option<String>> {
    let file = File::open(path).map_err(file_error(path))?;
    let mut head = Vec::new();
    (&file).take(8).read_to_end(&mut head).map_err(file_error(path))?;
    let length = <[u8; 8]>::try_from(&head[..]).map_or(u64::MAX, u64::from_le_bytes);
    if length > LONGEST_HEADER {
        return Err(not_whole(path, "its beginning names no length"));
    }
    (&file).take(length).read_to_end(&mut head).map_err(file_error(path))?;
    let text = head.get(8..).filter(|text| text.len() as u64 == length);
    let value: serde_json::Value = text
        .and_then(|text| serde_json::from_slice(text).ok())
        .ok_or_else(|| not_whole(path, "its beginning is no JSON"))?;
    Ok(value["__metadata__"][METADATA].as_str().map(str::to_owned))
}

fn not_whole(path: &Path, why: &str) -> Error {
    Error::Data(format!("{} is no whole safetensors file ({why}): was its writing or copying cut off?", path.display()))
}

/// Writes parameters by their names, as a safetensors file.
pub(crate) fn write_parameters(path: &Path, parameters: Vec<Parameter>) -> Result<()> {
    write_tensors(path, named(parameters)?, None)
}

/// Parameters by their names, each of which there is once.
pub(crate) fn named(parameters: Vec<Parameter>) -> Result<Vec<(String, Tensor)>> {
    let names: Vec<&String> = parameters.iter().map(|parameter| &parameter.name).collect();
    if let Some(twice) = names.iter().enumerate().find(|(place, name)| names[..*place].contains(name)) {
        return Err(Error::Config(format!("two parameters are named {}: give each a name of its own", twice.1)));
    }
    Ok(parameters.into_iter().map(|Parameter { name, tensor, .. }| (name, tensor.detach())).collect())
}

/// Reads the parameters of a model of one's own by their names, all or none. `owner` asks for them.
pub(crate) fn read_parameters(path: &Path, parameters: Vec<Parameter>, owner: &str) -> Result<()> {
    let numbers = numbers_of(&parameters, read_tensors(path)?, path, owner)?;
    let _guard = tch::no_grad_guard();
    for (Parameter { mut tensor, .. }, numbers) in parameters.into_iter().zip(numbers) {
        tensor.f_copy_(&numbers)?; // which may be a part of another tensor
    }
    Ok(())
}

/// Gives unfilled parameters the numbers of a file's tensors, all or none. `owner` asks for them: the file that describes them.
///
/// Float32 stays in the mapped file, from where the system reads it when it is used.
pub(crate) fn fill_parameters(
    parameters: Vec<Parameter>,
    tensors: Vec<(String, Tensor)>,
    path: &Path,
    owner: &str,
) -> Result<()> {
    let numbers = numbers_of(&parameters, tensors, path, owner)?;
    // One number that stays would keep the whole file in memory.
    let all_stay = numbers.iter().all(|numbers| numbers.kind() == Kind::Float);
    for (mut parameter, numbers) in parameters.into_iter().zip(numbers) {
        parameter.fill(&numbers.f_to_dtype(Kind::Float, false, !all_stay)?)?;
    }
    Ok(())
}

/// A file's tensors in the order of the parameters that have their names: each has its own, and none is left.
fn numbers_of(
    parameters: &[Parameter],
    mut tensors: Vec<(String, Tensor)>,
    path: &Path,
    owner: &str,
) -> Result<Vec<Tensor>> {
    let mut all = Vec::new();
    for Parameter { name, tensor, .. } in parameters {
        let place = tensors.iter().position(|(other, numbers)| other == name && numbers.size() == tensor.size());
        let Some(place) = place else {
            return Err(Error::Data(format!(
                "{} has no {name} of shape {:?}, which {owner} asks for: the two don't belong together",
                path.display(),
                tensor.size(),
            )));
        };
        let numbers = tensors.swap_remove(place).1;
        if !is_finite(&numbers)? {
            return Err(Error::Data(format!(
                "{}: {name} holds numbers that are NaN or infinite, so it is no trained model any more: train again",
                path.display()
            )));
        }
        all.push(numbers);
    }
    match tensors.first() {
        None => Ok(all),
        Some((name, _)) => Err(Error::Data(format!(
            "{} holds {name}, which {owner} does not ask for: the two don't belong together",
            path.display(),
        ))),
    }
}

/// Whether no number is NaN or infinite: the least and the largest tell it, without a list of answers as long as the numbers.
fn is_finite(numbers: &Tensor) -> Result<bool> {
    if numbers.numel() == 0 {
        return Ok(true);
    }
    let (least, most) = numbers.f_aminmax(None, false)?; // NaN, if one is
    Ok(least.f_double_value(&[])?.is_finite() && most.f_double_value(&[])?.is_finite())
}

/// A tensor that is read when its turn to be written has come.
struct Written<'a> {
    tensor: Tensor,
    dtype: Dtype,
    shape: Vec<usize>,
    /// What went wrong meanwhile.
    failed: &'a RefCell<Option<TchError>>,
}

impl Written<'_> {
    fn bytes(&self) -> std::result::Result<Vec<u8>, TchError> {
        let tensor = self.tensor.f_to_device(Device::Cpu)?.f_contiguous()?;
        let mut bytes = vec![0; self.data_len()];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        Ok(bytes)
    }
}

impl View for &Written<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Owned(self.bytes().unwrap_or_else(|error| {
            *self.failed.borrow_mut() = Some(error);
            Vec::new()
        }))
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * self.tensor.kind().elt_size_in_bytes()
    }
}

/// Writes tensors as a safetensors file, which is whole or not there, and what it says of itself.
pub(crate) fn write_tensors(path: &Path, tensors: Vec<(String, Tensor)>, said: Option<String>) -> Result<()> {
    let failed = RefCell::default();
    let written = |(name, tensor): (String, Tensor)| -> Result<(String, Written<'_>)> {
        let (dtype, shape) =
            (Dtype::try_from(tensor.kind())?, tensor.size().iter().map(|&size| size as usize).collect());
        Ok((name, Written { tensor, dtype, shape, failed: &failed }))
    };
    let all = tensors.into_iter().map(written).collect::<Result<Vec<_>>>()?;
    let metadata = said.map(|said| HashMap::from([(METADATA.to_owned(), said)]));
    write_whole(path, |part| {
        let views = all.iter().map(|(name, written)| (name, written));
        let written = safetensors::serialize_to_file(views, &metadata, part);
        if let Some(error) = failed.take() {
            return Err(error.into());
        }
        written.map_err(|error| {
            let source = match error {
                SafeTensorError::IoError(source) => source,
                other => std::io::Error::other(other.to_string()),
            };
            Error::File { path: path.to_path_buf(), source }
        })
    })
}

/// Reads the tensors of a safetensors file with their names.
///
/// They lie in the file, mapped into memory: a page is read when it is used, and one that is written becomes a copy, so that
/// no training changes the file.
pub(crate) fn read_tensors(path: &Path) -> Result<Vec<(String, Tensor)>> {
    let bytes = Bytes::map(&File::open(path).map_err(file_error(path))?, path)?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| not_whole(path, &error.to_string()))?;
    // As a tensor of bytes, whose memory libtorch keeps as long as there are parts of it. It takes a path in UTF-8 only.
    let map = |path: &str| Tensor::f_from_file(path, false, bytes.len() as i64, (Kind::Uint8, Device::Cpu));
    let all = path.to_str().map(map).transpose()?;
    let read = |(name, view): (String, TensorView<'_>)| {
        let size: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        let (data, kind) = (view.data(), Kind::try_from(view.dtype())?);
        let begin = data.as_ptr().addr() - bytes.as_ptr().addr();
        let tensor = match &all {
            Some(all) if begin % kind.elt_size_in_bytes() == 0 && !data.is_empty() => {
                all.f_narrow(0, begin as i64, data.len() as i64)?.f_view_dtype(kind)?.f_view(&size[..])?
            }
            // Another program's file may have its numbers at any byte, where a processor can't use them.
            _ => Tensor::f_from_data_size(data, &size, kind)?,
        };
        Ok((name, tensor))
    };
    tensors.tensors().into_iter().map(read).collect()
}
