//! Keeping a trained model: one file that says what it is.
//!
//! `model.safetensors` holds the parameters by their names (`block.0.mlp.hidden.weight`, …), which PyTorch reads as they
//! are. What they are the parameters of stands in the file's own metadata, as JSON under the name `glasslab`: kind and
//! sizes, the tokenizer, and what the model has learnt from. It is written under another name first, so that half a file
//! never has a checkpoint's name. Of version 2, the metadata was a file of its own, `model.json`; those are read as well.

use crate::error::{Error, Result};
use crate::file::file_error;
use crate::model::file::{fill_parameters, named, read_metadata, read_tensors, write_tensors};
pub use crate::model::{AnyModel, ModelConfig};
use crate::model::{LanguageModel, MlpLm, Trainable, Trained, TransformerLm};
use crate::tokenizer::AnyTokenizer;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tch::{Device, Kind};

/// Goes up when a file says something else than before.
const VERSION: u32 = 3;
/// The ending of a model's file.
const ENDING: &str = "safetensors";

/// What a file says of its model.
#[derive(Serialize, Deserialize)]
struct About {
    version: u32,
    #[serde(flatten)]
    config: ModelConfig,
    /// Characters, if nothing is said.
    #[serde(default)]
    tokenizer: Option<AnyTokenizer>,
    #[serde(default)]
    trained: Option<Trained>,
}

impl AnyModel {
    /// Writes the model into a file that ends in `.safetensors`.
    ///
    /// # Errors
    /// If the file has another ending or can't be written; one that was there before is left as it was.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.save_as(path, Kind::Float)
    }

    /// As [`save`](Self::save), each parameter in bfloat16 or float16 if that holds all of its numbers exactly: half as long a
    /// file of a model whose numbers came from such a one. Once loaded, they are float32 again, and `save` keeps them so.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn save_as(&self, path: impl AsRef<Path>, kind: Kind) -> Result<()> {
        let path = path.as_ref();
        if path.extension().is_none_or(|ending| ending != ENDING) {
            return Err(Error::Config(format!(
                "a model is kept in a file that ends in .{ENDING}, got {}: name it {}",
                path.display(),
                path.with_extension(ENDING).display()
            )));
        }
        let text = self.about()?;
        let mut tensors = named(self.parameters())?;
        if kind != Kind::Float {
            for (_, tensor) in &mut tensors {
                let narrow = tensor.f_to_kind(kind)?;
                if narrow.f_to_kind(tensor.kind())?.f_equal(tensor)? {
                    *tensor = narrow;
                }
            }
        }
        write_tensors(path, tensors, Some(text))
    }

    /// What a file says of the model, as JSON: kind and sizes, the tokenizer, and what it has learnt from.
    pub(crate) fn about(&self) -> Result<String> {
        let (tokenizer, trained) = (Some(self.tokenizer()), self.trained().cloned());
        let header = About { version: VERSION, config: self.config(), tokenizer, trained };
        serde_json::to_string(&header).map_err(|error| Error::Data(error.to_string()))
    }

    /// Reads a model and its tokenizer.
    ///
    /// What the file keeps in float32 is not copied on a processor, but mapped into memory: it is there at once, and read when
    /// it is used. Training the model changes no file, and a model that is saved under the file's name leaves this one as it
    /// is. Write into the file by no other way while a model of it is in use.
    ///
    /// # Errors
    /// If the file is missing, damaged, of another version, or no model that `save` has written.
    pub fn load(path: impl AsRef<Path>, device: Device) -> Result<AnyModel> {
        let path = path.as_ref();
        let (said, text) = description(path)?;
        let header: About = serde_json::from_str(&text).map_err(|error| {
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
        let tensors = read_tensors(path)?;
        // Before there is a block for each.
        if let ModelConfig::Transformer(config) = header.config
            && config.n_layers > tensors.len() as i64
        {
            return Err(Error::Data(format!(
                "{} speaks of {} blocks, and {} holds {} tensors: the two don't belong together",
                said.display(),
                config.n_layers,
                path.display(),
                tensors.len()
            )));
        }
        let mut model = unfilled(header.config, device)?;
        if let Some(tokenizer) = header.tokenizer {
            model = model.with_tokenizer(tokenizer)?;
        }
        if let Some(trained) = header.trained {
            model.learnt_from(trained);
        }
        fill_parameters(model.parameters(), tensors, path, &said.display().to_string())?;
        Ok(model)
    }
}

/// A model of these sizes, for which nothing is drawn.
pub(crate) fn unfilled(config: ModelConfig, device: Device) -> Result<AnyModel> {
    Ok(match config {
        ModelConfig::Mlp(config) => AnyModel::Mlp(MlpLm::unfilled(config, device)?),
        ModelConfig::Transformer(config) => AnyModel::Transformer(TransformerLm::unfilled(config, device)?),
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Stories, Tokens};
    use crate::model::wake;
    use crate::model::{MlpConfig, TransformerConfig};
    use crate::tokenizer::{BytePair, Tokenizer};
    use crate::train::{Length, TrainConfig, train};
    use tch::Tensor;

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

    /// How many KiB of a file this process has in its memory; those that it has changed are none of the file's any more.
    #[cfg(target_os = "linux")]
    fn resident(path: &Path) -> u64 {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut lines = maps.lines().skip_while(|line| !line.ends_with(&path.display().to_string()));
        let count = lines.find_map(|line| line.strip_prefix("Rss:"));
        count.map_or(0, |count| count.trim().trim_end_matches(" kB").parse().unwrap())
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_loaded_model_lies_in_its_file() {
        let (_folder, path, _) = saved(configs()[2]);
        assert_eq!(resident(&path), 0);
        let model = AnyModel::load(&path, Device::Cpu).unwrap();
        let all = crate::model::count_parameters(&model) as u64 * 4 / 1024;
        assert!(resident(&path) >= all, "{} of {all} KiB", resident(&path));
        drop(model);
        assert_eq!(resident(&path), 0);
    }

    #[test]
    fn training_a_loaded_model_changes_no_file_and_a_file_that_is_replaced_no_model() {
        let stories = Stories::parse(&"The cat sat. The dog ran. ".repeat(40)).unwrap();
        let tokens = Tokens::encode(&stories, &crate::tokenizer::CharTokenizer::default()).unwrap();
        let training =
            TrainConfig { length: Length::Steps(3), context_len: 16, batch_size: 2, ..TrainConfig::default() };
        let ids = Tensor::randint(256, [2, 20], (Kind::Int64, Device::Cpu));
        for config in configs() {
            let (_folder, path, _) = saved(config);
            let before = std::fs::read(&path).unwrap();
            let [mut loaded, other] = [(), ()].map(|()| AnyModel::load(&path, Device::Cpu).unwrap());
            let logits = other.logits(&ids).unwrap();
            train(&mut loaded, &tokens, &tokens, &training).unwrap();
            let learnt = loaded.logits(&ids).unwrap();
            assert_ne!(learnt, logits);
            assert_eq!(std::fs::read(&path).unwrap(), before);
            assert_eq!(other.logits(&ids).unwrap(), logits, "two models of a file have each their own numbers");
            loaded.save(&path).unwrap();
            for (model, expected) in [(&loaded, &learnt), (&other, &logits)] {
                assert_eq!(&model.logits(&ids).unwrap(), expected);
            }
            assert_eq!(AnyModel::load(&path, Device::Cpu).unwrap().logits(&ids).unwrap(), learnt);
        }
    }

    #[test]
    fn each_parameter_of_a_loaded_model_is_changed_by_itself() {
        let (_folder, path, _) = saved(configs()[2]);
        let parameters = AnyModel::load(&path, Device::Cpu).unwrap().parameters();
        let product = (&parameters[0].tensor * 2.0).square().sum(Kind::Float);
        let _ = tch::no_grad(|| parameters[1].tensor.shallow_clone().fill_(0.5));
        product.backward(); // what it needs of the first is not said to have changed with the second
        assert!(parameters[0].tensor.grad().defined());
    }

    #[test]
    fn what_16_bits_hold_exactly_can_be_kept_in_them_and_nothing_else_is() {
        let ids = Tensor::randint(256, [2, 20], (Kind::Int64, Device::Cpu));
        for (kind, other) in [(Kind::BFloat16, Kind::Half), (Kind::Half, Kind::BFloat16)] {
            let (_folder, path, model) = saved(configs()[2]);
            let parameters = model.parameters();
            let last = parameters.last().unwrap().name.clone();
            for mut parameter in parameters.into_iter().filter(|parameter| parameter.name != last) {
                parameter.fill(&parameter.tensor.to_kind(kind)).unwrap();
            }
            let kinds = || {
                let kinds =
                    read_tensors(&path).unwrap().into_iter().map(|(name, tensor)| (name == last, tensor.kind()));
                kinds.collect::<std::collections::HashSet<_>>()
            };
            let whole = path.metadata().unwrap().len();
            model.save_as(&path, kind).unwrap();
            assert_eq!(kinds(), [(false, kind), (true, Kind::Float)].into());
            assert!(path.metadata().unwrap().len() < whole * 2 / 3);
            let loaded = AnyModel::load(&path, Device::Cpu).unwrap();
            assert_eq!(loaded.logits(&ids).unwrap(), model.logits(&ids).unwrap());
            assert!(
                loaded.parameters().iter().all(|one| one.tensor.kind() == Kind::Float && one.tensor.requires_grad())
            );
            #[cfg(target_os = "linux")]
            assert_eq!(resident(&path), 0, "what is left of the file in memory is of no use");
            for again in [Kind::Float, other] {
                loaded.save_as(&path, again).unwrap();
                let loaded = AnyModel::load(&path, Device::Cpu).unwrap();
                assert_eq!(loaded.logits(&ids).unwrap(), model.logits(&ids).unwrap(), "no number may change");
            }
        }
    }

    #[test]
    fn numbers_at_any_byte_are_read() {
        let (_folder, path, model) = saved(configs()[0]);
        let whole = std::fs::read(&path).unwrap();
        let length = u64::from_le_bytes(whole[..8].try_into().unwrap());
        for shift in 1..4 {
            let header = [&whole[8..8 + length as usize], &vec![b' '; shift]].concat();
            let moved = [&(length + shift as u64).to_le_bytes()[..], &header, &whole[8 + length as usize..]].concat();
            std::fs::write(&path, moved).unwrap();
            let loaded = AnyModel::load(&path, Device::Cpu).unwrap();
            let ids = Tensor::randint(256, [2, 20], (Kind::Int64, Device::Cpu));
            assert_eq!(loaded.logits(&ids).unwrap(), model.logits(&ids).unwrap());
        }
    }

    #[test]
    fn sizes_that_the_file_does_not_have_are_told_before_there_is_memory_for_them() {
        let (_one, mlp, small_mlp) = saved(configs()[0]);
        let (_two, path, small) = saved(configs()[2]);
        for (path, model, sizes) in [
            (&path, &small, &["emb_dim", "n_layers", "n_heads", "head_dim", "n_hidden", "n_vocab", "context_len"][..]),
            (&mlp, &small_mlp, &["n_vocab", "emb_dim", "n_hidden"]),
        ] {
            let about: serde_json::Value = serde_json::from_str(&read_metadata(path).unwrap().unwrap()).unwrap();
            for name in sizes {
                for size in [1_i64 << 19, 1 << 40, i64::MAX] {
                    let mut changed = about.clone();
                    changed[name] = size.into();
                    if *name == "n_vocab" {
                        changed["tokenizer"] = serde_json::Value::Null;
                    }
                    say(path, model, Some(changed.to_string()));
                    let message = match AnyModel::load(path, Device::Cpu) {
                        Err(error) => error.to_string(),
                        Ok(_) if (*name, size) == ("context_len", 1 << 19) => continue, // its angles take 50 MB
                        Ok(_) => panic!("{name} {size}"),
                    };
                    let known = ["belong together", "every size must be", "overflow"];
                    assert!(known.iter().any(|part| message.contains(part)), "{name} {size}: {message}");
                }
            }
        }
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
