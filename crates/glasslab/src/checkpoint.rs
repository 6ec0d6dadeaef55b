//! Keeping a trained model: its tensors in a safetensors file, its kind and sizes in a JSON file beside it.
//!
//! `model.safetensors` holds the parameters by their names (`block.0.mlp.hidden.weight`, …), which PyTorch reads
//! as they are; `model.json` says what they are the parameters of. Both are written under another name first,
//! so that half a file never has a checkpoint's name.

use crate::error::{Error, Result};
use crate::model::cache::Cache;
use crate::model::{LanguageModel, MlpConfig, MlpLm, Parameter, Trainable, TransformerConfig, TransformerLm};
use serde::{Deserialize, Serialize};
use std::path::Path;
use tch::{Device, Tensor};

/// Goes up when older checkpoints can't be read any more.
const VERSION: u32 = 2;

/// What the JSON file says.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "lowercase")]
pub enum ModelConfig {
    /// An [`MlpLm`].
    Mlp(MlpConfig),
    /// A [`TransformerLm`].
    Transformer(TransformerConfig),
}

#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    #[serde(flatten)]
    config: ModelConfig,
}

/// A model of either kind, as a checkpoint gives it.
#[derive(Debug)]
pub enum AnyModel {
    /// The MLP language model.
    Mlp(MlpLm),
    /// The transformer language model.
    Transformer(TransformerLm),
}

impl AnyModel {
    /// A new model with random weights.
    ///
    /// # Errors
    /// If the config is out of range.
    pub fn new(config: ModelConfig, device: Device) -> Result<AnyModel> {
        Ok(match config {
            ModelConfig::Mlp(config) => AnyModel::Mlp(MlpLm::new(config, device)?),
            ModelConfig::Transformer(config) => AnyModel::Transformer(TransformerLm::new(config, device)?),
        })
    }

    /// Its kind and sizes.
    pub fn config(&self) -> ModelConfig {
        match self {
            AnyModel::Mlp(model) => ModelConfig::Mlp(model.config),
            AnyModel::Transformer(model) => ModelConfig::Transformer(model.config),
        }
    }

    /// Writes a checkpoint: `path` (`.safetensors`) and the JSON file beside it.
    ///
    /// # Errors
    /// If a file can't be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let header = Header { version: VERSION, config: self.config() };
        let text = serde_json::to_string_pretty(&header).map_err(|error| Error::Data(error.to_string()))? + "\n";
        write_parameters(path, self.parameters())?;
        let header_path = path.with_extension("json");
        write_whole(&header_path, |part| std::fs::write(part, text).map_err(file_error(part)))
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// If a file is missing, damaged, of another version, or the two don't belong together.
    pub fn load(path: impl AsRef<Path>, device: Device) -> Result<AnyModel> {
        let path = path.as_ref();
        let header_path = path.with_extension("json");
        let text = std::fs::read_to_string(&header_path).map_err(file_error(&header_path))?;
        let header: Header = serde_json::from_str(&text).map_err(|error| {
            Error::Data(format!("{} does not describe a model ({error}): train again", header_path.display()))
        })?;
        if header.version != VERSION {
            return Err(Error::Data(format!(
                "{} is of version {}, this glasslab reads version {VERSION}: use the glasslab that wrote it, or train again",
                header_path.display(),
                header.version
            )));
        }
        let model = AnyModel::new(header.config, device)?;
        read_parameters(path, model.parameters(), &header_path.display().to_string())?;
        Ok(model)
    }
}

/// Writes parameters by their names, as a safetensors file.
pub(crate) fn write_parameters(path: &Path, parameters: Vec<Parameter>) -> Result<()> {
    let names: Vec<&String> = parameters.iter().map(|parameter| &parameter.name).collect();
    if let Some(twice) = names.iter().enumerate().find(|(place, name)| names[..*place].contains(name)) {
        return Err(Error::Config(format!("two parameters are named {}: give each a name of its own", twice.1)));
    }
    let tensors = parameters.into_iter().map(|Parameter { name, tensor, .. }| (name, tensor.detach())).collect();
    write_tensors(path, tensors)
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

/// Writes tensors as a safetensors file, which is whole or not there.
pub(crate) fn write_tensors(path: &Path, tensors: Vec<(String, Tensor)>) -> Result<()> {
    let ready = |(name, tensor): (String, Tensor)| (name, tensor.to_device(Device::Cpu).contiguous());
    let tensors: Vec<(String, Tensor)> = tensors.into_iter().map(ready).collect();
    write_whole(path, |part| {
        Tensor::write_safetensors(&tensors, part)
            .map_err(|error| Error::File { path: path.to_path_buf(), source: std::io::Error::other(error.to_string()) })
    })
}

/// Reads the tensors of a safetensors file with their names.
pub(crate) fn read_tensors(path: &Path) -> Result<Vec<(String, Tensor)>> {
    std::fs::metadata(path).map_err(file_error(path))?;
    Tensor::read_safetensors(path).map_err(|error| {
        Error::Data(format!(
            "{} is no whole safetensors file ({error}): was its writing or copying cut off?",
            path.display()
        ))
    })
}

/// Lets `write` make a file under another name, and gives it its own name when it is whole.
fn write_whole(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
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

impl LanguageModel for AnyModel {
    fn logits(&self, ids: &Tensor) -> Result<Tensor> {
        match self {
            AnyModel::Mlp(model) => model.logits(ids),
            AnyModel::Transformer(model) => model.logits(ids),
        }
    }

    fn loss(&self, ids: &Tensor, targets: &Tensor) -> Result<Tensor> {
        match self {
            AnyModel::Mlp(model) => model.loss(ids, targets),
            AnyModel::Transformer(model) => model.loss(ids, targets),
        }
    }

    fn new_cache(&self, batch: i64) -> Result<Option<Cache>> {
        match self {
            AnyModel::Mlp(model) => model.new_cache(batch),
            AnyModel::Transformer(model) => model.new_cache(batch),
        }
    }

    fn read(&self, ids: &Tensor, cache: &mut Cache) -> Result<Tensor> {
        match self {
            AnyModel::Mlp(model) => model.read(ids, cache),
            AnyModel::Transformer(model) => model.read(ids, cache),
        }
    }

    fn n_vocab(&self) -> i64 {
        match self {
            AnyModel::Mlp(model) => model.n_vocab(),
            AnyModel::Transformer(model) => model.n_vocab(),
        }
    }

    fn context_len(&self) -> i64 {
        match self {
            AnyModel::Mlp(model) => model.context_len(),
            AnyModel::Transformer(model) => model.context_len(),
        }
    }

    fn max_len(&self) -> Option<i64> {
        match self {
            AnyModel::Mlp(model) => model.max_len(),
            AnyModel::Transformer(model) => model.max_len(),
        }
    }

    fn device(&self) -> Device {
        match self {
            AnyModel::Mlp(model) => model.device(),
            AnyModel::Transformer(model) => model.device(),
        }
    }
}

impl AnyModel {
    /// The parameters with their names, always in the same order.
    pub fn parameters(&self) -> Vec<Parameter> {
        match self {
            AnyModel::Mlp(model) => model.parameters(),
            AnyModel::Transformer(model) => model.parameters(),
        }
    }
}

impl Trainable for AnyModel {
    fn parameters(&self) -> Vec<Parameter> {
        AnyModel::parameters(self)
    }

    fn settings(&self) -> Option<ModelConfig> {
        Some(self.config())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::wake;
    use std::path::PathBuf;
    use tch::Kind;

    fn configs() -> [ModelConfig; 3] {
        [
            ModelConfig::Mlp(MlpConfig { seed: 5, ..MlpConfig::original() }),
            ModelConfig::Transformer(TransformerConfig::original()),
            ModelConfig::Transformer(TransformerConfig::small()),
        ]
    }

    fn saved(config: ModelConfig) -> (tempfile::TempDir, PathBuf, AnyModel) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let model = wake(AnyModel::new(config, Device::Cpu).unwrap(), 1.0);
        model.save(&path).unwrap();
        (folder, path, model)
    }

    #[test]
    fn a_loaded_model_is_the_saved_one() {
        for config in configs() {
            let (folder, path, model) = saved(config);
            let loaded = AnyModel::load(&path, Device::Cpu).unwrap();
            let ids = Tensor::randint(256, [2, 20], (Kind::Int64, Device::Cpu));
            assert_eq!(loaded.config(), config);
            assert_eq!(loaded.logits(&ids).unwrap(), model.logits(&ids).unwrap());
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no part is left");
        }
    }

    #[test]
    fn a_loaded_model_can_be_trained_on() {
        let (_folder, path, _) = saved(configs()[1]);
        let model = AnyModel::load(&path, Device::Cpu).unwrap();
        assert!(model.parameters().iter().all(|parameter| parameter.tensor.requires_grad()));
    }

    #[test]
    fn a_checkpoint_cut_off_anywhere_is_refused() {
        let (_folder, path, _) = saved(configs()[1]);
        let whole = std::fs::read(&path).unwrap();
        for length in [0, 5, 8, 100, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            let message = AnyModel::load(&path, Device::Cpu).unwrap_err().to_string();
            assert!(message.contains("no whole safetensors"), "{length}: {message}");
        }
    }

    #[test]
    fn files_that_don_t_belong_together_are_refused() {
        let (_one, path, _) = saved(configs()[1]);
        let (_two, other, _) = saved(configs()[2]);
        std::fs::copy(other.with_extension("json"), path.with_extension("json")).unwrap();
        let message = AnyModel::load(&path, Device::Cpu).unwrap_err().to_string();
        assert!(message.contains("belong together"), "{message}");
    }

    #[test]
    fn other_versions_missing_and_foreign_files_are_told() {
        let (_folder, path, _) = saved(configs()[0]);
        let header = path.with_extension("json");
        let text = std::fs::read_to_string(&header).unwrap();
        for (changed, expected) in [
            (text.replace("\"version\": 2", "\"version\": 9"), "version 9"),
            (text.replace("mlp", "cnn"), "does not describe a model"),
            (String::from("{"), "does not describe a model"),
        ] {
            std::fs::write(&header, changed).unwrap();
            let message = AnyModel::load(&path, Device::Cpu).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        std::fs::remove_file(&header).unwrap();
        assert!(AnyModel::load(&path, Device::Cpu).unwrap_err().to_string().contains("model.json"));
    }
}
