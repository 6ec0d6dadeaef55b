//! Tensors in a safetensors file: their names, their numbers, and what the file says of itself.

use super::Parameter;
use crate::error::{Error, Result};
use crate::file::{file_error, write_whole};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// The name of what a file says of itself.
const METADATA: &str = "glasslab";
/// So long is the beginning of a safetensors file at most that tells what is in it.
const LONGEST_HEADER: u64 = 100_000_000;

/// What a safetensors file says of itself. Only its beginning is read.
pub(crate) fn read_metadata(path: &Path) -> Result<Option<String>> {
    let file = std::fs::File::open(path).map_err(file_error(path))?;
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

/// Reads parameters by their names, all or none. `owner` asks for them: a model, or the file that describes it.
pub(crate) fn read_parameters(path: &Path, parameters: Vec<Parameter>, owner: &str) -> Result<()> {
    let mut tensors = read_tensors(path)?;
    let mut values = Vec::new();
    for Parameter { name, tensor, .. } in &parameters {
        let place = tensors.iter().position(|(other, values)| other == name && values.size() == tensor.size());
        let Some(place) = place else {
            return Err(Error::Data(format!(
                "{} has no {name} of shape {:?}, which {owner} asks for: the two don't belong together",
                path.display(),
                tensor.size(),
            )));
        };
        let value = tensors.swap_remove(place).1;
        if !value.f_isfinite()?.f_all()?.f_is_nonzero()? {
            return Err(Error::Data(format!(
                "{}: {name} holds numbers that are NaN or infinite, so it is no trained model any more: train again",
                path.display()
            )));
        }
        values.push(value);
    }
    if let Some((name, _)) = tensors.first() {
        return Err(Error::Data(format!(
            "{} holds {name}, which {owner} does not ask for: the two don't belong together",
            path.display(),
        )));
    }
    let _guard = tch::no_grad_guard();
    for (Parameter { mut tensor, .. }, value) in parameters.into_iter().zip(values) {
        tensor.f_copy_(&value)?;
    }
    Ok(())
}

/// Writes tensors as a safetensors file, which is whole or not there, and what it says of itself.
pub(crate) fn write_tensors(path: &Path, tensors: Vec<(String, Tensor)>, said: Option<String>) -> Result<()> {
    let bytes: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = tensors
        .into_iter()
        .map(|(name, tensor)| {
            let tensor = tensor.f_to_device(Device::Cpu)?.f_contiguous()?;
            let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
            tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
            Ok((
                name,
                Dtype::try_from(tensor.kind())?,
                tensor.size().iter().map(|&size| size as usize).collect(),
                bytes,
            ))
        })
        .collect::<Result<_>>()?;
    let wrong = |error: safetensors::SafeTensorError| Error::File {
        path: path.to_path_buf(),
        source: std::io::Error::other(error.to_string()),
    };
    let views = bytes
        .iter()
        .map(|(name, dtype, shape, bytes)| Ok((name, TensorView::new(*dtype, shape.clone(), bytes).map_err(wrong)?)));
    let views = views.collect::<Result<Vec<_>>>()?;
    let metadata = said.map(|said| HashMap::from([(METADATA.to_owned(), said)]));
    write_whole(path, |part| match safetensors::serialize_to_file(views, &metadata, part) {
        Err(safetensors::SafeTensorError::IoError(source)) => Err(Error::File { path: path.to_path_buf(), source }),
        written => written.map_err(wrong),
    })
}

/// Reads the tensors of a safetensors file with their names.
pub(crate) fn read_tensors(path: &Path) -> Result<Vec<(String, Tensor)>> {
    let bytes = std::fs::read(path).map_err(file_error(path))?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|error| not_whole(path, &error.to_string()))?;
    let read = |(name, view): (String, TensorView<'_>)| {
        let size: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        Ok((name, Tensor::f_from_data_size(view.data(), &size, Kind::try_from(view.dtype())?)?))
    };
    tensors.tensors().into_iter().map(read).collect()
}
