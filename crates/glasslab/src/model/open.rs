//! Opening any model in one call: one of ours, one of others, one that is fetched by its name.
//!
//! ```text
//! model.safetensors (ours)                     → loaded
//! model.gguf · a folder · model.bin            → `glasslab import`, once, into CACHE/imported → loaded
//! stories260K                                  → looked for in CACHE/models (or GLASSLAB_MODELS) → one of the above
//! ```
//! Files of others are read by the command `glasslab`, so that no cell is built with their readers.

use super::file::read_metadata;
use super::{AnyModel, LanguageModel, TransformerLm};
use crate::best_device;
use crate::data::command::{Ended, run};
use crate::data::{Checksum, cache_folder};
use crate::display::say;
use crate::error::{Error, Result};
use crate::file::file_error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The environment variable that names the folder of fetched models.
pub const MODELS_VARIABLE: &str = "GLASSLAB_MODELS";
/// What `export` writes.
const FORMS: [&str; 3] = ["hf", "gguf", "llama2c"];
/// Goes up when an import gives another file than before.
const IMPORT: u8 = 2;

impl AnyModel {
    /// Opens a model, on the [`best_device`]: a file of ours as it is; a GGUF file, a Hugging Face folder or a model of
    /// llama2.c by importing it first, once, which is told; or a fetched one by its name, `"stories260K"`.
    ///
    /// # Errors
    /// If there is nothing of that name (the sentence says how to fetch it), or it can't be read.
    pub fn open(path_or_name: impl AsRef<Path>) -> Result<AnyModel> {
        let asked = path_or_name.as_ref();
        let path = place(asked)?;
        if is_ours(&path) {
            return AnyModel::load(&path, best_device());
        }
        AnyModel::load(imported(&path)?, best_device())
    }

    /// Fetches a model by its name, if it is not there yet, and opens it; `glasslab fetch model --list` says which there are.
    ///
    /// # Errors
    /// If the name is unknown (the sentence lists those that there are), or the hub can't be reached.
    pub fn fetch(name: &str) -> Result<AnyModel> {
        let path = answered(&["--json", "fetch", "model", "--", name].map(OsStr::new), "path")?;
        AnyModel::open(path)
    }

    /// Writes the model for others: `form` is `"hf"` (a folder that `transformers` opens), `"gguf"` (a file for llama.cpp) or
    /// `"llama2c"` (a `.bin` for llama2.c, and its tokenizer beside it).
    ///
    /// # Errors
    /// If that form has nothing for one of the model's choices, which the sentence names, or it can't be written.
    pub fn export(&self, path: impl AsRef<Path>, form: &str) -> Result<()> {
        if !FORMS.contains(&form) {
            return Err(Error::Config(format!("a model is written as {}, got {form:?}", FORMS.join(", "))));
        }
        let own = beside_the_data("exported")?.join(format!("{}.safetensors", std::process::id()));
        let said = self.save(&own).and_then(|()| {
            // In one word: a path that begins with a hyphen is no flag.
            let mut out = OsStr::new("--out=").to_owned();
            out.push(path.as_ref());
            let words = ["--json", "export", "--as", form].map(OsStr::new);
            answered(&[&words[..], &[&out, OsStr::new("--"), own.as_os_str()]].concat(), "path")
        });
        let _ = std::fs::remove_file(&own);
        say(&format!("written: {}", said?));
        Ok(())
    }

    /// The transformer, for what only a transformer has: its blocks, its trace, its heads.
    ///
    /// # Errors
    /// If it is an MLP.
    pub fn transformer(self) -> Result<TransformerLm> {
        match self {
            AnyModel::Transformer(model) => Ok(model),
            AnyModel::Mlp(model) => Err(Error::Config(format!(
                "this model is an MLP with {} characters of context, which has no blocks and no attention: open a transformer, \
                 or take it as it is with `match`",
                model.context_len()
            ))),
        }
    }
}

/// A folder beside that of the data.
fn beside_the_data(name: &str) -> Result<PathBuf> {
    Ok(cache_folder()?.with_file_name(name))
}

/// The folder of fetched models: the one that `GLASSLAB_MODELS` names, else `models` in the cache folder.
///
/// # Errors
/// If there is no cache folder.
pub fn models_folder() -> Result<PathBuf> {
    match std::env::var_os(MODELS_VARIABLE).filter(|folder| !folder.is_empty()) {
        Some(folder) => Ok(PathBuf::from(folder)),
        None => beside_the_data("models"),
    }
}

/// What is there of a name: it is a path, or that of a fetched model.
fn place(asked: &Path) -> Result<PathBuf> {
    let missing = match std::fs::metadata(asked) {
        Ok(_) => return Ok(asked.to_path_buf()),
        Err(error) => error,
    };
    // A path has a folder or an ending.
    let Some(name) = asked.to_str().filter(|name| !name.contains(['/', '\\']) && !is_file_name(asked)) else {
        return Err(file_error(asked)(missing));
    };
    let folder = models_folder()?;
    fetched(&folder, name).ok_or_else(|| {
        Error::Data(format!(
            "there is no file, folder or fetched model {name} (looked for in {}): fetch it with `Lm::fetch({name:?})?`, or in a \
             terminal with `glasslab fetch model {name}`; `glasslab fetch model --list` says which there are",
            folder.display()
        ))
    })
}

/// Whether a name has the ending of a model's file; that of `TinyStories-1.5M` is none.
fn is_file_name(path: &Path) -> bool {
    path.extension()
        .is_some_and(|end| ["safetensors", "gguf", "bin", "json", "pt", "pth"].iter().any(|known| end == *known))
}

/// Where a fetched model is, if all of it is there: what is fetched last says so.
fn fetched(folder: &Path, name: &str) -> Option<PathBuf> {
    let own = folder.join(name);
    if own.join("config.json").is_file() {
        return Some(own);
    }
    let files = [".bin", ".gguf", ".safetensors"].map(|end| format!("{name}{end}"));
    let places = [&own, folder].into_iter().flat_map(|folder| files.iter().map(|file| folder.join(file)));
    places.into_iter().find(|path| path.is_file())
}

/// Whether a file is one that [`AnyModel::save`] has written: only such a file says what it is the weights of.
fn is_ours(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "safetensors")
        && path.is_file()
        && (matches!(read_metadata(path), Ok(Some(_))) || path.with_extension("json").is_file())
}

/// The file of ours that was made of one of others; made now, if it is not there or what it was made of has changed.
fn imported(source: &Path) -> Result<PathBuf> {
    let whole = source.canonicalize().map_err(file_error(source))?;
    let name = whole.file_stem().unwrap_or_default().to_string_lossy();
    let name: String =
        name.chars().map(|letter| if letter.is_alphanumeric() { letter } else { '-' }).take(60).collect();
    let name = format!("{name}-{:016x}-", Checksum::of(whole.as_os_str().as_encoded_bytes()));
    let folder = beside_the_data("imported")?;
    let target = folder.join(format!("{name}{:016x}.safetensors", version(&whole)?));
    if target.is_file() {
        return Ok(target);
    }
    let shown = source.file_name().unwrap_or(source.as_os_str());
    say(&format!("importing {}, once: what it becomes is kept", shown.display()));
    let words = ["--json", "import", "--out"].map(OsStr::new);
    answered(&[&words[..], &[target.as_os_str(), OsStr::new("--"), whole.as_os_str()]].concat(), "model")?;
    // What was made of an older version is of no use any more.
    for old in std::fs::read_dir(&folder).map_err(file_error(&folder))?.flatten() {
        if old.path() != target && old.file_name().to_string_lossy().starts_with(&name) {
            let _ = std::fs::remove_file(old.path());
        }
    }
    Ok(target)
}

/// A number that changes when a file does, one of the folder, or a tokenizer beside it.
fn version(path: &Path) -> Result<u64> {
    let (folder, is_part): (&Path, &dyn Fn(&Path) -> bool) = match path.is_dir() {
        true => (path, &|_| true),
        false => (path.parent().unwrap_or(path), &|other| {
            let tokenizer = other.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"tok"));
            other == path || tokenizer && other.extension().is_some_and(|end| end == "bin")
        }),
    };
    let mut parts: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(file_error(folder))? {
        parts.push(entry.map_err(file_error(folder))?.path());
    }
    parts.retain(|part| part.is_file() && is_part(part));
    parts.sort();
    let mut sum = Checksum::default();
    sum.add(&[IMPORT]);
    for part in parts {
        let about = std::fs::metadata(&part).map_err(file_error(&part))?;
        let changed = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
        sum.add(part.as_os_str().as_encoded_bytes());
        sum.add(&about.len().to_le_bytes());
        sum.add(&changed.as_nanos().to_le_bytes());
    }
    Ok(sum.value())
}

/// Runs the command, and gives what its answer says of `key`.
fn answered(arguments: &[&OsStr], key: &str) -> Result<String> {
    let output = match run(arguments, say)? {
        Ended::Done(output) => output,
        Ended::Unreachable(why) | Ended::Failed(why) => return Err(Error::Data(why)),
    };
    let said: serde_json::Value = serde_json::from_str(output.trim()).unwrap_or_default();
    said[key].as_str().map(str::to_owned).ok_or_else(|| {
        Error::Data("the command glasslab gave no answer that this library reads: are both of one version?".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{MlpConfig, ModelConfig, TransformerConfig};
    use tch::Device;

    fn saved(folder: &Path, config: ModelConfig) -> PathBuf {
        let path = folder.join("model.safetensors");
        AnyModel::new(config, Device::Cpu).unwrap().save(&path).unwrap();
        path
    }

    #[test]
    fn a_model_of_ours_is_opened_as_it_is_and_an_mlp_is_no_transformer() {
        let folder = tempfile::tempdir().unwrap();
        let path = saved(folder.path(), ModelConfig::Transformer(TransformerConfig::original()));
        let model = AnyModel::open(&path).unwrap().transformer().unwrap();
        assert_eq!(model.config, TransformerConfig::original());
        let path = saved(folder.path(), ModelConfig::Mlp(MlpConfig::original()));
        let why = AnyModel::open(&path).unwrap().transformer().unwrap_err().to_string();
        assert!(why.contains("is an MLP") && why.contains("open a transformer"), "{why}");
    }

    #[test]
    fn what_is_not_there_says_how_to_fetch_it_and_a_path_is_no_name() {
        let why = AnyModel::open("no-such-model-1.5M").unwrap_err().to_string();
        assert!(why.contains("Lm::fetch(\"no-such-model-1.5M\")?"), "{why}");
        assert!(why.contains("glasslab fetch model no-such-model-1.5M`"), "{why}");
        for path in ["nowhere/model", "nowhere.gguf", "model.bin"] {
            let why = AnyModel::open(path).unwrap_err().to_string();
            assert!(why.starts_with(path) && !why.contains("fetch"), "{why}");
        }
    }

    #[test]
    fn a_fetched_model_is_found_once_its_last_file_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "x").unwrap();
            path
        };
        assert_eq!(fetched(folder.path(), "tiny"), None);
        write("tiny/model.safetensors");
        assert_eq!(fetched(folder.path(), "tiny"), None, "its config is to come");
        write("tiny/config.json");
        assert_eq!(fetched(folder.path(), "tiny"), Some(folder.path().join("tiny")));
        write("stories260K/tok512.bin");
        assert_eq!(fetched(folder.path(), "stories260K"), None);
        let model = write("stories260K/stories260K.bin");
        assert_eq!(fetched(folder.path(), "stories260K"), Some(model));
        let flat = write("other.gguf");
        assert_eq!(fetched(folder.path(), "other"), Some(flat));
    }

    #[test]
    fn a_changed_source_is_another_version() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bin");
        std::fs::write(&path, "one").unwrap();
        let of = |path: &Path| version(path).unwrap();
        let (first, whole) = (of(&path), of(folder.path()));
        assert_eq!(of(&path), first);
        std::fs::write(folder.path().join("notes.txt"), "not a part of it").unwrap();
        assert_eq!(of(&path), first);
        assert_ne!(of(folder.path()), whole, "of a folder, each file is a part");
        std::fs::write(folder.path().join("tok512.bin"), "a tokenizer").unwrap();
        let second = of(&path);
        assert_ne!(second, first);
        std::fs::write(&path, "two!").unwrap();
        assert_ne!(of(&path), second);
    }
}
