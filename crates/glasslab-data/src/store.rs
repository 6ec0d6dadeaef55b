//! The cache of fetched and prepared data, and how TinyStories get there.
//!
//! ```text
//! DATASETS/lock                        held while something is fetched or prepared
//! DATASETS/downloads/NAME.parquet      a pinned file
//! DATASETS/downloads/TAG/NAME.parquet  a file of a mirror's own; TAG tells the mirrors apart
//! DATASETS/tinystories-valid.tokens    prepared
//! DATASETS/tinystories-train.tokens
//! ```

use crate::download::{Downloader, Patience, Wanted, recorded, sha256_of};
use crate::error::{Error, Result};
use crate::hub::{Hub, pinned};
use crate::prepare::{Source, prepare_parquet, recipe};
use crate::progress::Meter;
use glasslab::data::{Checksum, Header, SourceFile, Split, TokenFile, cache_folder};
use std::fs::File;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// A mirror's own files are looked for in up to so many shards.
const MOST_SHARDS: usize = 8;

/// The cache, and where it is filled from.
#[derive(Debug)]
pub struct Store {
    /// The folder `DATASETS`.
    pub folder: PathBuf,
    /// The hub.
    pub hub: Hub,
    /// How patient to be with it.
    pub patience: Patience,
}

/// A prepared split.
#[derive(Debug)]
pub struct Fetched {
    /// The token file.
    pub path: PathBuf,
    /// What is in it.
    pub header: Header,
    /// Whether it was prepared now; else it was there.
    pub is_new: bool,
}

/// A file that a split is made of.
#[derive(Debug, Clone)]
struct Shard {
    name: String,
    path: PathBuf,
    wanted: Wanted,
    /// Whether its checksum, if it has one, is the first download's and not a pinned one.
    is_recorded: bool,
}

/// The lock of a store; released when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "holds the lock")] File);

impl Lock {
    /// Waits until nobody else fetches or prepares in a folder.
    ///
    /// # Errors
    /// If the folder can't be written.
    pub fn of(folder: &Path, progress: &mut Meter) -> Result<Lock> {
        std::fs::create_dir_all(folder).map_err(Error::file(folder))?;
        let path = folder.join("lock");
        let file = File::options().create(true).append(true).open(&path).map_err(Error::file(&path))?;
        if file.try_lock().is_err() {
            progress.note("another glasslab is fetching or preparing: waiting for it");
            file.lock().map_err(Error::file(&path))?;
        }
        Ok(Lock(file))
    }
}

impl Store {
    /// The cache folder and the hub that the environment names.
    ///
    /// # Errors
    /// If there is no cache folder, or the hub's address is none.
    pub fn from_environment() -> Result<Store> {
        Ok(Store { folder: cache_folder()?, hub: Hub::from_environment()?, patience: Patience::default() })
    }

    /// Waits until nobody else fetches or prepares here.
    ///
    /// # Errors
    /// If the folder can't be written.
    pub fn lock(&self, progress: &mut Meter) -> Result<Lock> {
        Lock::of(&self.folder, progress)
    }

    /// Makes a split ready: what is missing is fetched, and prepared if the token file is not there, damaged, or of other
    /// files or another clean-up. `shards` are numbered from 1; without them, those that are prepared or here, else the first.
    ///
    /// # Errors
    /// If the hub can't be reached, a file is not the known one, or the disk is full.
    pub fn fetch(
        &self,
        split: Split,
        shards: Option<RangeInclusive<usize>>,
        cleans: bool,
        progress: &mut Meter,
    ) -> Result<Fetched> {
        let _lock = self.lock(progress)?;
        let target = self.folder.join(split.file_name());
        let choose = |files: Vec<Shard>| choose(split, shards.clone(), files, &target, &self.hub);
        let mut files = choose(match self.known_plain(split) {
            Some(count) => self.plain(split, count),
            None => self.pinned(split),
        })?;
        if let Some(header) = fresh(&target, &files, cleans, progress) {
            return Ok(Fetched { path: target, header, is_new: false });
        }
        let downloader = Downloader::new(self.patience)?;
        let mut sources = Vec::new();
        let mut place = 0;
        while let Some(file) = files.get(place) {
            match obtain(&downloader, file, progress) {
                Ok(source) => sources.push(source),
                Err(Error::Missing { .. }) if self.hub.is_mirror && place == 0 && self.known_plain(split).is_none() => {
                    let count = self.find_plain(&downloader, split, progress)?;
                    files = choose(self.plain(split, count))?;
                    continue;
                }
                Err(error) => return Err(error),
            }
            place += 1;
        }
        let label = format!("TinyStories, {}", split.name());
        let header = prepare_parquet(&label, &sources, &target, cleans, progress).inspect_err(|error| {
            // What can't be read and is of no known checksum must not be taken for the right one for ever.
            for file in files.iter().filter(|file| matches!(error, Error::Wrong(_)) && file.is_recorded) {
                forget(&file.path);
            }
        })?;
        Ok(Fetched { path: target, header, is_new: true })
    }

    fn downloads(&self) -> PathBuf {
        self.folder.join("downloads")
    }

    fn pinned(&self, split: Split) -> Vec<Shard> {
        let shard = |file: &crate::hub::HubFile| {
            let name = file.path.rsplit('/').next().unwrap_or(file.path).to_owned();
            let path = self.downloads().join(&name);
            let known = file.sha256.map(str::to_owned);
            Shard {
                wanted: Wanted {
                    address: self.hub.address_of(file),
                    bytes: Some(file.bytes),
                    sha256: known.clone().or_else(|| recorded(&path)),
                },
                is_recorded: known.is_none(),
                name,
                path,
            }
        };
        pinned(split).iter().map(shard).collect()
    }

    /// A mirror's own files, as many as it has.
    fn plain(&self, split: Split, count: usize) -> Vec<Shard> {
        let shard = |number| {
            let name = Hub::plain_name(split, number, count);
            let path = self.mirror_folder().join(&name);
            let address = format!("{}/data/{name}", self.hub.address);
            Shard { wanted: Wanted { address, bytes: None, sha256: recorded(&path) }, is_recorded: true, name, path }
        };
        (1..=count).map(shard).collect()
    }

    fn mirror_folder(&self) -> PathBuf {
        self.downloads().join(format!("{:016x}", Checksum::of(self.hub.address.as_bytes())))
    }

    /// How many files of its own this mirror has of a split, if an earlier run has found that out.
    fn known_plain(&self, split: Split) -> Option<usize> {
        let is_known =
            |count: &usize| recorded(&self.mirror_folder().join(Hub::plain_name(split, 1, *count))).is_some();
        (1..=MOST_SHARDS).find(|count| self.hub.is_mirror && is_known(count))
    }

    /// Finds out how many files of its own a mirror has of a split, by fetching the first.
    fn find_plain(&self, downloader: &Downloader, split: Split, progress: &mut Meter) -> Result<usize> {
        for count in 1..=MOST_SHARDS {
            match obtain(downloader, &self.plain(split, count)[0], progress) {
                Ok(_) => return Ok(count),
                Err(Error::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::Wrong(format!(
            "{} has neither the pinned files of TinyStories ({}) nor files of its own (data/{}): is its address right?",
            self.hub.address,
            pinned(split)[0].resolve_path(),
            Hub::plain_name(split, 1, 1)
        )))
    }
}

/// The shards that are asked for; without a wish, those that the token file was made of or that are here, from the
/// first on.
fn choose(
    split: Split,
    shards: Option<RangeInclusive<usize>>,
    files: Vec<Shard>,
    target: &Path,
    hub: &Hub,
) -> Result<Vec<Shard>> {
    let prepared = TokenFile::open(target).map(|there| there.header().origin.files.clone()).unwrap_or_default();
    let place = |made_of: &SourceFile| files.iter().position(|file| file.name == made_of.name);
    let shards = shards.unwrap_or_else(|| {
        let places: Vec<usize> = prepared.iter().filter_map(place).collect();
        let here = files.iter().take_while(|file| file.path.exists()).count().max(1);
        match (places.first(), places.last()) {
            (Some(first), Some(last)) if places.len() == prepared.len() => first + 1..=last + 1,
            _ => 1..=here,
        }
    });
    let (first, last, count) = (*shards.start(), *shards.end(), files.len());
    if first == 0 || first > last || last > count {
        return Err(Error::Wrong(format!(
            "{} has shards 1..{count} of the split {}, got {first}..{last}",
            hub.address,
            split.name()
        )));
    }
    Ok(files[first - 1..last].to_vec())
}

/// The header of a token file that is whole and was made of these files in this way.
fn fresh(target: &Path, files: &[Shard], cleans: bool, progress: &mut Meter) -> Option<Header> {
    if !target.exists() {
        return None;
    }
    let checked = TokenFile::open(target).and_then(|there| there.verify().map(|()| there.header().clone()));
    let header = checked.inspect_err(|error| progress.note(&format!("{error}. It is prepared again"))).ok()?;
    let same = |(made_of, file): (&SourceFile, &Shard)| {
        made_of.name == file.name
            && file.wanted.bytes.is_none_or(|bytes| made_of.bytes == bytes)
            && file.wanted.sha256.as_ref().is_none_or(|sha256| made_of.stamp == *sha256)
    };
    let origin = &header.origin;
    let is_same = origin.recipe == recipe(cleans)
        && origin.files.len() == files.len()
        && origin.files.iter().zip(files).all(same);
    if !is_same {
        progress
            .note(&format!("{} was made of other files, or in another way. It is prepared again", target.display()));
    }
    is_same.then_some(header)
}

/// A file that is here, whole: it was, or it is fetched.
fn obtain(downloader: &Downloader, file: &Shard, progress: &mut Meter) -> Result<Source> {
    let source = |stamp: String| -> Result<Source> {
        let bytes = std::fs::metadata(&file.path).map_err(Error::file(&file.path))?.len();
        Ok(Source { path: file.path.clone(), file: SourceFile { name: file.name.clone(), bytes, stamp } })
    };
    if file.path.exists() {
        let found = sha256_of(&file.path)?;
        if file.wanted.sha256.as_ref() == Some(&found) {
            return source(found);
        }
        progress.note(&format!("{} is damaged: it is fetched again", file.path.display()));
        std::fs::remove_file(&file.path).map_err(Error::file(&file.path))?;
    }
    if let Some(folder) = file.path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::file(folder))?;
    }
    let found = downloader.fetch(&file.wanted, &file.path, progress).map_err(|error| match error {
        Error::Wrong(why) if file.is_recorded && file.wanted.sha256.is_some() => {
            Error::Wrong(format!("{why}. If it is meant to have changed, remove {}.sha256 first", file.path.display()))
        }
        other => other,
    })?;
    if file.wanted.sha256.is_none() {
        progress
            .note(&format!("{}: no checksum of it was known; from now on, it must keep this one: {found}", file.name));
    }
    source(found)
}

fn forget(path: &Path) {
    let _ = std::fs::remove_file(path);
    let mut record = path.as_os_str().to_owned();
    record.push(".sha256");
    let _ = std::fs::remove_file(record);
}
