//! Where the real TinyStories lie, pinned: revision, sizes and checksums.
//!
//! Source: Eldan and Li, "TinyStories: How Small Can Language Models Be and Still Speak Coherent
//! English?", 2023; dataset `roneneldan/TinyStories`, licence CDLA-Sharing-1.0.

/// The dataset's name on the Hugging Face hub.
pub const TINY_STORIES: &str = "roneneldan/TinyStories";

/// The revision whose files are pinned here.
pub const REVISION: &str = "f54c09fd23315a6f9c86f9dc80f725de7d8f9c64";

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
}
