//! Keeping a trained model: one file that says what it is.
//!
//! `model.safetensors` holds the parameters by their names (`block.0.mlp.hidden.weight`, …), which PyTorch reads as they
//! are. What they are the parameters of stands in the file's own metadata, as JSON under the name `glasslab`: kind and
//! sizes, the tokenizer, and what the model has learnt from. It is written under another name first, so that half a file
//! never has a checkpoint's name. Of version 2, the metadata was a file of its own, `model.json`; those are read as well.

use crate::error::{Error, Result};
use crate::model::cache::Cache;
use crate::model::{LanguageModel, MlpConfig, MlpLm, Parameter, Trainable, Trained, TransformerConfig, TransformerLm};
use crate::tokenizer::AnyTokenizer;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

/// Goes up when a file says something else than before.
const VERSION: u32 = 3;
/// The name of what a file says of itself.
const METADATA: &str = "glasslab";
/// The ending of a model's file.
const ENDING: &str = "safetensors";
/// So long is the beginning of a safetensors file at most that tells what is in it.
const LONGEST_HEADER: u64 = 100_000_000;

/// A model's kind and sizes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "model", rename_all = "lowercase")]
pub enum ModelConfig {
    /// An [`MlpLm`].
    Mlp(MlpConfig),
    /// A [`TransformerLm`].
    Transformer(TransformerConfig),
}

impl ModelConfig {
    /// V: the number of different ids.
    pub fn n_vocab(&self) -> i64 {
        match self {
            ModelConfig::Mlp(config) => config.n_vocab,
            ModelConfig::Transformer(config) => config.n_vocab,
        }
    }
}

/// What a file says of its model.
#[derive(Serialize, Deserialize)]
struct Header {
    version: u32,
    #[serde(flatten)]
    config: ModelConfig,
    /// Characters, if nothing is said.
    #[serde(default)]
    tokenizer: Option<AnyTokenizer>,
    #[serde(default)]
    trained: Option<Trained>,
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

    /// The model, with another tokenizer than that of characters.
    ///
    /// # Errors
    /// If the tokenizer has not `n_vocab` ids.
    pub fn with_tokenizer(self, tokenizer: impl Into<AnyTokenizer>) -> Result<AnyModel> {
        Ok(match self {
            AnyModel::Mlp(model) => AnyModel::Mlp(model.with_tokenizer(tokenizer)?),
            AnyModel::Transformer(model) => AnyModel::Transformer(model.with_tokenizer(tokenizer)?),
        })
    }

    /// Its kind and sizes.
    pub fn config(&self) -> ModelConfig {
        match self {
            AnyModel::Mlp(model) => ModelConfig::Mlp(model.config),
            AnyModel::Transformer(model) => ModelConfig::Transformer(model.config),
        }
    }

    /// What it has learnt from, if that is known.
    pub fn trained(&self) -> Option<&Trained> {
        match self {
            AnyModel::Mlp(model) => model.trained.as_ref(),
            AnyModel::Transformer(model) => model.trained.as_ref(),
        }
    }

    /// Writes the model into a file that ends in `.safetensors`.
    ///
    /// # Errors
    /// If the file has another ending or can't be written; one that was there before is left as it was.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        if path.extension().is_none_or(|ending| ending != ENDING) {
            return Err(Error::Config(format!(
                "a model is kept in a file that ends in .{ENDING}, got {}: name it {}",
                path.display(),
                path.with_extension(ENDING).display()
            )));
        }
        let (tokenizer, trained) = (Some(self.tokenizer()), self.trained().cloned());
        let header = Header { version: VERSION, config: self.config(), tokenizer, trained };
        let text = serde_json::to_string(&header).map_err(|error| Error::Data(error.to_string()))?;
        write_tensors(path, named(self.parameters())?, Some(text))
    }

    /// Reads a model and its tokenizer.
    ///
    /// # Errors
    /// If the file is missing, damaged, of another version, or no model that `save` has written.
    pub fn load(path: impl AsRef<Path>, device: Device) -> Result<AnyModel> {
        let path = path.as_ref();
        let (said, text) = description(path)?;
        let header: Header = serde_json::from_str(&text).map_err(|error| {
            Error::Data(format!("{} does not describe a model ({error}): train again", said.display()))
        })?;
        if !(2..=VERSION).contains(&header.version) {
            return Err(Error::Data(format!(
                "{} is of version {}, this glasslab reads versions 2 to {VERSION}: use the glasslab that wrote it, or train \
                 again",
                said.display(),
                header.version
            )));
        }
        let mut model = AnyModel::new(header.config, device)?;
        if let Some(tokenizer) = header.tokenizer {
            model = model.with_tokenizer(tokenizer)?;
        }
        if let Some(trained) = header.trained {
            model.learnt_from(trained);
        }
        read_parameters(path, model.parameters(), &said.display().to_string())?;
        Ok(model)
    }
}

/// What is said of a model's file, and in which file it is said.
fn description(path: &Path) -> Result<(PathBuf, String)> {
    if let Some(text) = read_metadata(path)? {
        return Ok((path.to_path_buf(), text));
    }
    let beside = path.with_extension("json");
    match std::fs::read_to_string(&beside) {
        Ok(text) => Ok((beside, text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::Data(format!(
            "{} holds numbers and does not say of which model, and there is no {} beside it: a model of your own is read \
             by its own `load`",
            path.display(),
            beside.display()
        ))),
        Err(error) => Err(file_error(&beside)(error)),
    }
}

/// What a safetensors file says of itself. Only its beginning is read.
fn read_metadata(path: &Path) -> Result<Option<String>> {
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
fn named(parameters: Vec<Parameter>) -> Result<Vec<(String, Tensor)>> {
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

/// Lets `write` make a file under another name, and gives it its own name when it is whole.
fn write_whole(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
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

impl LanguageModel for AnyModel {
    fn tokenizer(&self) -> AnyTokenizer {
        match self {
            AnyModel::Mlp(model) => model.tokenizer(),
            AnyModel::Transformer(model) => model.tokenizer(),
        }
    }

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

    fn learnt_from(&mut self, trained: Trained) {
        match self {
            AnyModel::Mlp(model) => model.learnt_from(trained),
            AnyModel::Transformer(model) => model.learnt_from(trained),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Stories, Tokens};
    use crate::model::wake;
    use crate::tokenizer::{BytePair, Tokenizer};
    use crate::train::{Length, TrainConfig, train};

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

    /// Writes a file that says this of itself.
    fn say(path: &Path, model: &AnyModel, text: Option<String>) {
        write_tensors(path, named(model.parameters()).unwrap(), text).unwrap();
    }

    #[test]
    fn a_loaded_model_is_the_saved_one_and_a_single_file() {
        for config in configs() {
            let (folder, path, model) = saved(config);
            let loaded = AnyModel::load(&path, Device::Cpu).unwrap();
            let ids = Tensor::randint(256, [2, 20], (Kind::Int64, Device::Cpu));
            assert_eq!((loaded.config(), loaded.tokenizer()), (config, model.tokenizer()));
            assert_eq!(loaded.logits(&ids).unwrap(), model.logits(&ids).unwrap());
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no part is left");
        }
    }

    #[test]
    fn the_file_says_with_which_tokenizer_and_from_what_the_model_has_learnt() {
        let stories = Stories::parse(&"The cat sat. The dog ran. ".repeat(20)).unwrap();
        let pairs = BytePair::train(&stories, 262).unwrap();
        let tokens = Tokens::encode(&stories, &pairs).unwrap();
        let config = TransformerConfig { n_vocab: pairs.n_vocab(), context_len: 4, ..TransformerConfig::original() };
        let mut model = AnyModel::new(ModelConfig::Transformer(config), Device::Cpu).unwrap();
        let wrong = TransformerLm::new(TransformerConfig::original(), Device::Cpu).unwrap().with_tokenizer(&pairs);
        assert!(wrong.unwrap_err().to_string().contains("n_vocab = 262"));
        model = model.with_tokenizer(&pairs).unwrap();
        let training =
            TrainConfig { length: Length::Steps(3), context_len: 4, batch_size: 2, ..TrainConfig::default() };
        train(&mut model, &tokens, &tokens, &training).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        model.save(&path).unwrap();
        let loaded = AnyModel::load(&path, Device::Cpu).unwrap();
        assert_eq!(loaded.tokenizer(), AnyTokenizer::from(pairs));
        let trained = loaded.trained().unwrap();
        assert_eq!((trained.steps, trained.stories, trained.tokens), (3, 1, tokens.len()));
        assert!(trained.nats_per_char.is_some() && loaded.trained() == model.trained());
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
    fn a_damaged_beginning_is_an_error_and_never_a_panic() {
        let (_folder, path, _) = saved(configs()[0]);
        let whole = std::fs::read(&path).unwrap();
        let mut rng = crate::rng::Rng::new(3);
        for _ in 0..500 {
            let mut bytes = whole.clone();
            for _ in 0..=rng.below(3) {
                let place = rng.below(1500);
                bytes[place] = rng.bits() as u8;
            }
            std::fs::write(&path, &bytes).unwrap();
            let _ = AnyModel::load(&path, Device::Cpu);
        }
        std::fs::write(&path, [&u64::MAX.to_le_bytes()[..], b"{}"].concat()).unwrap();
        assert!(AnyModel::load(&path, Device::Cpu).unwrap_err().to_string().contains("names no length"));
    }

    #[test]
    fn files_of_version_2_are_read_with_the_json_beside_them() {
        let (_one, path, model) = saved(configs()[1]);
        say(&path, &model, None);
        let message = AnyModel::load(&path, Device::Cpu).unwrap_err().to_string();
        assert!(message.contains("does not say of which model") && message.contains("model.json"), "{message}");
        let mut old = serde_json::to_value(model.config()).unwrap();
        old["version"] = 2.into();
        std::fs::write(path.with_extension("json"), old.to_string()).unwrap();
        let ids = Tensor::randint(256, [2, 20], (Kind::Int64, Device::Cpu));
        let loaded = AnyModel::load(&path, Device::Cpu).unwrap();
        assert_eq!(loaded.logits(&ids).unwrap(), model.logits(&ids).unwrap());
        let (_two, other, _) = saved(configs()[2]);
        let foreign = read_metadata(&other).unwrap().unwrap();
        std::fs::write(path.with_extension("json"), foreign).unwrap();
        let message = AnyModel::load(&path, Device::Cpu).unwrap_err().to_string();
        assert!(message.contains("belong together"), "{message}");
    }

    #[test]
    fn other_versions_missing_and_foreign_files_are_told() {
        let (_folder, path, model) = saved(configs()[0]);
        let text = read_metadata(&path).unwrap().unwrap();
        for (changed, expected) in [
            (text.replace("\"version\":3", "\"version\":9"), "version 9"),
            (text.replace("mlp", "cnn"), "does not describe a model"),
            (String::from("{"), "does not describe a model"),
            (text.replace("\"n_vocab\":256}", "\"n_vocab\":99}"), "the tokenizer has 99 ids"),
        ] {
            assert_ne!(changed, text);
            say(&path, &model, Some(changed));
            let message = AnyModel::load(&path, Device::Cpu).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(AnyModel::load(&path, Device::Cpu).unwrap_err().to_string().contains("model.safetensors"));
    }

    #[test]
    fn what_can_t_be_written_is_told_and_what_was_there_stays() {
        let (folder, path, model) = saved(configs()[0]);
        let before = std::fs::read(&path).unwrap();
        for name in ["model.json", "model"] {
            let message = model.save(folder.path().join(name)).unwrap_err().to_string();
            assert!(message.contains("name it") && message.contains("model.safetensors"), "{message}");
        }
        // A file where a folder should be, which no right can help.
        let message = model.save(path.join("model.safetensors")).unwrap_err().to_string();
        assert!(message.contains("model.safetensors"), "{message}");
        // The name is taken by a folder: the part can be written, and not be given the name.
        let taken = folder.path().join("taken.safetensors");
        std::fs::create_dir_all(taken.join("within")).unwrap();
        assert!(model.save(&taken).is_err() && taken.join("within").exists());
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no part is left");
    }
}
