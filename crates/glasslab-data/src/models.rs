//! Models of others that are fetched by their names: where they lie, pinned, and how they get into the cache.
//!
//! ```text
//! MODELS/lock                     held while something is fetched
//! MODELS/NAME/config.json …       a Hugging Face folder; the file that makes it whole comes last
//! MODELS/NAME/NAME.bin            a model of llama2.c, its tokenizer beside it
//! ```
//! A revision is a commit, so what a name stands for never changes; where a file's SHA-256 is not known here, that of the first
//! download is kept beside it, and later ones must equal it.
//!
//! Sources: the hub's pages of these models; revisions, sizes and checksums as public projects that pin the same files have them.

use crate::download::{Downloader, Patience, Wanted, recorded, sha256_of};
use crate::error::{Error, Result};
use crate::hub::Hub;
use crate::progress::Meter;
use crate::store::Lock;
use glasslab::model::open::models_folder;
use std::path::{Path, PathBuf};

/// What the token of a person's account on the hub is looked for in.
const TOKEN_VARIABLE: &str = "HF_TOKEN";
/// Where the source of llama2.c lies, whose tokenizer is no file of the hub.
const SOURCES: &str = "https://raw.githubusercontent.com";

/// A model that is fetched by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubModel {
    /// What one asks for.
    pub name: &'static str,
    /// Its name on the hub.
    pub repository: &'static str,
    /// The commit.
    pub revision: &'static str,
    /// Its licence, and its condition, if it has one.
    pub licence: &'static str,
    /// Whether the hub asks for an account that has agreed to the licence.
    pub is_gated: bool,
    /// Its files; the last one makes it whole.
    pub files: &'static [ModelFile],
}

/// A file of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelFile {
    /// Its path in the repository.
    pub path: &'static str,
    /// Its size, where it is known.
    pub bytes: Option<u64>,
    /// Its SHA-256, where it is known.
    pub sha256: Option<&'static str>,
    /// A repository and a commit of GitHub's, where it lies there.
    pub github: Option<&'static str>,
}

const fn known(path: &'static str, bytes: u64, sha256: &'static str) -> ModelFile {
    ModelFile { path, bytes: Some(bytes), sha256: Some(sha256), github: None }
}

/// Of no known size.
const fn hashed(path: &'static str, sha256: &'static str) -> ModelFile {
    ModelFile { path, bytes: None, sha256: Some(sha256), github: None }
}

const fn unknown(path: &'static str) -> ModelFile {
    ModelFile { path, bytes: None, sha256: None, github: None }
}

const TINY_LLAMAS: HubModel = HubModel {
    name: "stories260K",
    repository: "karpathy/tinyllamas",
    revision: "0bd21da7698eaf29a0d7de3992de8a46ef624add",
    licence: "MIT",
    is_gated: false,
    files: &[
        known("stories260K/tok512.bin", 6_227, "037cb335abb25d1fa9e8ecae30ed2a3a8ace9302862ebcdc05d51a6bbb10c312"),
        known(
            "stories260K/stories260K.bin",
            1_056_540,
            "b0a507e7ad0f626624f17112325e66691f9076d622e1d3274d103d00299f2696",
        ),
    ],
};

const SMOLLM2_TOKENIZER: ModelFile =
    known("tokenizer.json", 2_104_556, "9ca9acddb6525a194ec8ac7a87f24fbba7232a9a15ffa1af0c1224fcd888e47c");

/// All of them, the smallest first.
pub const MODELS: [HubModel; 6] = [
    TINY_LLAMAS,
    HubModel {
        name: "stories15M",
        files: &[
            ModelFile {
                github: Some("karpathy/llama2.c/350e04fe35433e6d2941dce5a1f53308f87058eb"),
                ..hashed("tokenizer.bin", "50a52ef822ee9e83de5ce9d0be0a025a773d019437f58b5ff9dcafb063ece361")
            },
            known("stories15M.bin", 60_816_028, "cd590644d963867a2b6e5a1107f51fad663c41d79c149fbecbbb1f95fa81f49a"),
        ],
        ..TINY_LLAMAS
    },
    HubModel {
        name: "SmolLM2-135M",
        repository: "HuggingFaceTB/SmolLM2-135M",
        revision: "93efa2f097d58c2a74874c7e644dbc9b0cee75a2",
        licence: "Apache-2.0",
        is_gated: false,
        files: &[
            SMOLLM2_TOKENIZER,
            hashed("tokenizer_config.json", "4bb9af56a342753d39374f4016a16574cab299fe088e896f425ce3c433f61424"),
            known("generation_config.json", 111, "2056c988e990b0d13670f63f2f3b87b3b6d07edaf7a3416998ba27dab2d8a059"),
            known("model.safetensors", 269_060_552, "80521b40281d6ce74e35c9282c22539e75aa0ac8578892b2a59955ef78d55da1"),
            known("config.json", 704, "1d556eab73b69c7f11f64c557a2f9c6f440bd4c6b89bb2584a6b498c92603843"),
        ],
    },
    HubModel {
        name: "SmolLM2-135M-Instruct",
        repository: "HuggingFaceTB/SmolLM2-135M-Instruct",
        revision: "12fd25f77366fa6b3b4b768ec3050bf629380bac",
        licence: "Apache-2.0",
        is_gated: false,
        files: &[
            SMOLLM2_TOKENIZER,
            known("tokenizer_config.json", 3_764, "4ec77d44f62efeb38d7e044a1db318f6a939438425312dfa333b8382dbad98df"),
            known("generation_config.json", 132, "87b916edaaab66b3899b9d0dd0752727dff6666686da0504d89ae0a6e055a013"),
            known("model.safetensors", 269_060_552, "5af571cbf074e6d21a03528d2330792e532ca608f24ac70a143f6b369968ab8c"),
            known("config.json", 861, "8eb740e8bbe4cff95ea7b4588d17a2432deb16e8075bc5828ff7ba9be94d982a"),
        ],
    },
    HubModel {
        name: "gpt2",
        repository: "openai-community/gpt2",
        revision: "607a30d783dfa663caf39e06633721c8d4cfcd7e",
        licence: "MIT",
        is_gated: false,
        files: &[
            hashed("tokenizer.json", "8414cab924d8b9b33013f0d221c5862f365ee9be39c5c2bfae8a5a9e970478a6"),
            known("model.safetensors", 548_105_171, "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707"),
            known("config.json", 665, "0daed7749b4f02b8f76240d5444551d7b08712dab4d0adb8239c56ba823bb7b4"),
        ],
    },
    HubModel {
        name: "gemma-3-270m",
        repository: "google/gemma-3-270m",
        revision: "9b0cfec892e2bc2afd938c98eabe4e4a7b1e0ca1",
        licence: "Gemma's terms of use (ai.google.dev/gemma/terms), to be agreed to on its page",
        is_gated: true,
        files: &[
            unknown("tokenizer.json"),
            unknown("tokenizer_config.json"),
            unknown("generation_config.json"),
            unknown("model.safetensors"),
            unknown("config.json"),
        ],
    },
];

impl HubModel {
    /// The model of a name.
    ///
    /// # Errors
    /// If there is none: the sentence lists those that there are.
    pub fn named(name: &str) -> Result<HubModel> {
        MODELS.into_iter().find(|model| model.name == name || model.repository == name).ok_or_else(|| {
            let names: Vec<&str> = MODELS.iter().map(|model| model.name).collect();
            let which =
                if name.is_empty() { "say which model".to_owned() } else { format!("glasslab knows no model {name}") };
            Error::Wrong(format!(
                "{which}: glasslab fetches {}. Any other model is opened from its own file or folder: a GGUF file, \
                 or a folder with config.json, model.safetensors and tokenizer.json",
                names.join(", ")
            ))
        })
    }

    /// Its size, as far as the sizes of its files are known.
    pub fn bytes(&self) -> u64 {
        self.files.iter().filter_map(|file| file.bytes).sum()
    }

    /// Whether the checksum of each file is known.
    pub fn is_known(&self) -> bool {
        self.files.iter().all(|file| file.sha256.is_some())
    }
}

/// A model that is here.
#[derive(Debug)]
pub struct FetchedModel {
    /// What [`AnyModel::open`](glasslab::model::AnyModel::open) takes: the folder, or the `.bin` of llama2.c.
    pub path: PathBuf,
    /// Whether any of it was fetched now.
    pub is_new: bool,
}

/// The folder of models, and where it is filled from.
#[derive(Debug)]
pub struct Models {
    /// The folder `MODELS`.
    pub folder: PathBuf,
    /// The hub.
    pub hub: Hub,
    /// How patient to be with it.
    pub patience: Patience,
}

impl Models {
    /// The folder and the hub that the environment names.
    ///
    /// # Errors
    /// If there is no cache folder, or the hub's address is none.
    pub fn from_environment() -> Result<Models> {
        Ok(Models { folder: models_folder()?, hub: Hub::from_environment()?, patience: Patience::default() })
    }

    /// Fetches what of a model is not here yet, or is not what it was.
    ///
    /// # Errors
    /// If the hub can't be reached, asks for an account, or a file is not the known one.
    pub fn fetch(&self, model: &HubModel, progress: &mut Meter) -> Result<FetchedModel> {
        let folder = self.folder.join(model.name);
        let places: Vec<PathBuf> = model.files.iter().map(|file| folder.join(file_name(file.path))).collect();
        let last = places.last().cloned().unwrap_or_default();
        let path = if last.extension().is_some_and(|end| end == "bin") { last.clone() } else { folder.clone() };
        let _lock = Lock::of(&self.folder, progress)?;
        std::fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
        // Only the hub itself is told who asks, whatever a mirror may want to know.
        let token = std::env::var(TOKEN_VARIABLE).ok().map(|token| token.trim().to_owned());
        let token = token.filter(|token| !self.hub.is_mirror && !token.is_empty());
        let downloader = Downloader::new(self.patience)?.with_token(token.filter(|_| model.is_gated));
        let mut is_new = false;
        for (file, place) in model.files.iter().zip(&places) {
            let known = file.sha256.map(str::to_owned).or_else(|| recorded(place));
            if place.is_file() {
                if known == Some(sha256_of(place)?) {
                    continue;
                }
                progress.note(&format!("{} is damaged: it is fetched again", place.display()));
                std::fs::remove_file(place).map_err(Error::file(place))?;
            }
            let wanted = Wanted { address: self.address(model, file), bytes: file.bytes, sha256: known };
            let found =
                downloader.fetch(&wanted, place, progress).map_err(|error| gate(self.hub.is_mirror, error, model))?;
            if wanted.sha256.is_none() {
                progress.note(&format!(
                    "{}: no checksum of it was known; from now on, it must keep this one: {found}",
                    file.path
                ));
            }
            is_new = true;
        }
        Ok(FetchedModel { path, is_new })
    }

    /// A mirror has all files under its own address.
    fn address(&self, model: &HubModel, file: &ModelFile) -> String {
        let hub = &self.hub.address;
        match file.github {
            Some(github) if self.hub.is_mirror => format!("{hub}/{github}/{}", file.path),
            Some(github) => format!("{SOURCES}/{github}/{}", file.path),
            None => format!("{hub}/{}/resolve/{}/{}", model.repository, model.revision, file.path),
        }
    }
}

fn file_name(path: &str) -> &Path {
    Path::new(path.rsplit('/').next().unwrap_or(path))
}

/// What to do where the hub asks for an account.
fn gate(is_mirror: bool, error: Error, model: &HubModel) -> Error {
    match error {
        Error::Missing { status: 401 | 403, address } if model.is_gated && !is_mirror => Error::Wrong(format!(
            "{address} is not given to everybody: {} is under {}. Agree to that on https://huggingface.co/{} with an account, make a \
             token there (Settings, Access Tokens), set {TOKEN_VARIABLE} to it, and run the same command again; the token is sent to \
             the hub only, never to a mirror",
            model.name, model.licence, model.repository
        )),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_for_an_account_by_the_hub_is_told_what_to_do() {
        let refused = || Error::Missing { status: 401, address: "here".to_owned() };
        let [gated, free] = ["gemma-3-270m", "stories260K"].map(|name| HubModel::named(name).unwrap());
        let told = gate(false, refused(), &gated).to_string();
        assert!(told.contains("Agree to that on https://huggingface.co/google/gemma-3-270m"), "{told}");
        assert!(told.contains("set HF_TOKEN to it"), "{told}");
        // No account helps with a mirror, or with a model that needs none.
        for (is_mirror, model) in [(true, &gated), (false, &free), (true, &free)] {
            assert!(gate(is_mirror, refused(), model).to_string().contains("is not there (HTTP 401)"));
        }
    }

    #[test]
    fn every_model_is_pinned_and_its_last_file_makes_it_whole() {
        for model in MODELS {
            let is_hex = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(is_hex(model.revision, 40), "{}", model.name);
            assert!(
                model.files.iter().all(|file| file.sha256.is_none_or(|sha256| is_hex(sha256, 64))),
                "{}",
                model.name
            );
            let last = file_name(model.files.last().unwrap().path).to_str().unwrap();
            assert!(last == "config.json" || last == format!("{}.bin", model.name), "{}", model.name);
            assert_eq!(HubModel::named(model.name).unwrap(), model);
            assert_eq!(model.is_known(), model.name != "gemma-3-270m", "say it in docs/models.md, too");
        }
        let why = HubModel::named("gpt5").unwrap_err().to_string();
        assert!(why.contains("stories260K, stories15M, SmolLM2-135M") && why.contains("GGUF"), "{why}");
    }
}
