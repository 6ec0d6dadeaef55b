//! Where the real TinyStories lie, pinned: revision, sizes and checksums; and mirrors of it.
//!
//! Source: Eldan and Li, "TinyStories: How Small Can Language Models Be and Still Speak Coherent
//! English?", 2023; dataset `roneneldan/TinyStories`, licence CDLA-Sharing-1.0.

use crate::error::{Error, Result};
use glasslab::data::Split;

/// The dataset's name on the Hugging Face hub.
pub const TINY_STORIES: &str = "roneneldan/TinyStories";

/// The revision whose files are pinned here.
pub const REVISION: &str = "f54c09fd23315a6f9c86f9dc80f725de7d8f9c64";

/// The environment variable that names a mirror.
pub const HUB_VARIABLE: &str = "GLASSLAB_HUB";

const HUB: &str = "https://huggingface.co";

/// One file of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubFile {
    /// Its path inside the dataset.
    pub path: &'static str,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal, where it is known.
    pub sha256: Option<&'static str>,
}

impl HubFile {
    /// The file's path below a hub's (or a mirror's) address.
    pub fn resolve_path(&self) -> String {
        format!("datasets/{TINY_STORIES}/resolve/{REVISION}/{}", self.path)
    }
}

/// The 21,990 stories that are held out.
pub const VALIDATION: HubFile = HubFile {
    path: "data/validation-00000-of-00001-869c898b519ad725.parquet",
    bytes: 9_989_127,
    sha256: Some("33406a6206554cfc279c29c11f4df51528af487aa1a602b075566fc83c49dcab"),
};

/// The 2,119,719 stories to train on, in four shards.
pub const TRAIN: [HubFile; 4] = [
    HubFile {
        path: "data/train-00000-of-00004-2d5a1467fff1081b.parquet",
        bytes: 248_731_111,
        sha256: Some("77cf780cebe52b6e83e3a2ac84bc56d8059363113e41d17a023f1d8b2ed0fc0b"),
    },
    HubFile { path: "data/train-00001-of-00004-5852b56a2bd28fd9.parquet", bytes: 248_171_980, sha256: None },
    HubFile { path: "data/train-00002-of-00004-a26307300439e943.parquet", bytes: 245_894_874, sha256: None },
    HubFile { path: "data/train-00003-of-00004-d243063613e5a057.parquet", bytes: 247_988_350, sha256: None },
];

/// The pinned files of a split.
pub fn pinned(split: Split) -> &'static [HubFile] {
    match split {
        Split::Train => &TRAIN,
        Split::Validation => std::slice::from_ref(&VALIDATION),
    }
}

/// The hub, or a mirror of it.
///
/// A mirror offers the pinned files at the hub's paths, or, where it has none of them, files of its own in the plain
/// form `data/SPLIT-0000K-of-0000N.parquet`. What those hold is not known beforehand: the checksum of the first
/// download is kept, and later ones must equal it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hub {
    /// Its address, without a slash at the end.
    pub address: String,
    /// Whether it may have files of its own.
    pub is_mirror: bool,
}

impl Hub {
    /// The mirror that `GLASSLAB_HUB` names, else the hub.
    ///
    /// # Errors
    /// If the variable is no http address.
    pub fn from_environment() -> Result<Hub> {
        match std::env::var(HUB_VARIABLE).ok().filter(|address| !address.trim().is_empty()) {
            Some(address) => Hub::mirror(address.trim()),
            None => Ok(Hub { address: HUB.to_owned(), is_mirror: false }),
        }
    }

    /// A mirror.
    ///
    /// # Errors
    /// If it is no http address.
    pub fn mirror(address: &str) -> Result<Hub> {
        let address = address.trim_end_matches('/');
        match address.strip_prefix("http://").or_else(|| address.strip_prefix("https://")) {
            Some(rest) if !rest.is_empty() => Ok(Hub { address: address.to_owned(), is_mirror: address != HUB }),
            _ => Err(Error::Wrong(format!(
                "{HUB_VARIABLE} must be the address of a mirror, such as http://mirror.example, got {address:?}"
            ))),
        }
    }

    /// The address of a pinned file.
    pub fn address_of(&self, file: &HubFile) -> String {
        format!("{}/{}", self.address, file.resolve_path())
    }

    /// The name of a mirror's own file.
    pub fn plain_name(split: Split, shard: usize, shards: usize) -> String {
        format!("{}-{:05}-of-{shards:05}.parquet", split.name(), shard - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_place_and_every_known_hash_its_form() {
        for file in TRAIN.iter().chain([&VALIDATION]) {
            assert!(file.resolve_path().ends_with(".parquet") && file.resolve_path().contains(REVISION));
            assert!(
                file.sha256.is_none_or(|hash| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
            );
        }
    }

    #[test]
    fn a_mirror_is_an_http_address() {
        assert_eq!(Hub::mirror("http://127.0.0.1:8000//").unwrap().address, "http://127.0.0.1:8000");
        assert!(!Hub::mirror(&format!("{HUB}/")).unwrap().is_mirror);
        for address in ["mirror.example", "ftp://mirror.example", "http://", "/a/folder"] {
            assert!(Hub::mirror(address).unwrap_err().to_string().contains(HUB_VARIABLE), "{address}");
        }
        assert_eq!(Hub::plain_name(Split::Validation, 1, 1), "validation-00000-of-00001.parquet");
    }
}
