//! From stories in other forms to a token file, in a stream: what is in memory does not grow with the text, but for
//! 8 bytes a story, and 16 to find duplicates.

use crate::clean::Cleaner;
use crate::error::{Error, Result};
use crate::progress::Meter;
use crate::read::each_story_of;
use crate::rows::each_row;
use glasslab::data::{COLUMN, Checksum, Header, Origin, SourceFile, Sources, TokenFile, TokenWriter};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// A file to read, and what the token file is to say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub file: SourceFile,
}

/// The name of what is done to the stories.
pub fn recipe(cleans: bool) -> &'static str {
    if cleans { "cleaned" } else { "as it is" }
}

/// Reads parquet files into a token file. `label` is the data's name.
///
/// # Errors
/// If a file is damaged or has no column `text`, no story is left, or the disk is full. What stood there stays then.
pub fn prepare_parquet(
    label: &str,
    sources: &[Source],
    target: &Path,
    cleans: bool,
    progress: &mut Meter,
) -> Result<Header> {
    let mut writer = TokenWriter::create(target)?;
    let mut cleaner = Cleaner::new(cleans);
    for source in sources {
        each_row(&source.path, COLUMN, progress, |row| {
            let story = cleaner.clean(row, cleaner.report.rows == 0);
            story.map_or(Ok(()), |story| writer.push(&story).map_err(Error::from))
        })?;
    }
    let origin = Origin {
        source: label.to_owned(),
        files: sources.iter().map(|source| source.file.clone()).collect(),
        recipe: recipe(cleans).to_owned(),
        counts: cleaner.report.counts(),
    };
    Ok(writer.finish(origin)?)
}

/// Prepares a person's own text, a file or a folder in the forms that `Stories::from_path` of the library names, whose
/// stories are in this column. A token file that is there and was made of the same files is kept. Returns its header,
/// and whether it is new.
///
/// # Errors
/// If a file can't be read or is not of its kind, no story is left, or the disk is full. What stood there stays then.
pub fn prepare_own(
    path: &Path,
    column: &str,
    target: &Path,
    cleans: bool,
    progress: &mut Meter,
) -> Result<(Header, bool)> {
    let sources = Sources::of(path)?;
    sources.told().iter().for_each(|told| progress.note(&format!("glasslab: {told}")));
    let file = stamped(path, &sources)?;
    let source = match column {
        COLUMN => file.name.clone(),
        other => format!("{}, column {}", file.name, shortened(other)),
    };
    if let Ok(there) = TokenFile::open(target)
        && let Origin { source: of, files, recipe: how, .. } = &there.header().origin
        && (of, &files[..], how.as_str()) == (&source, std::slice::from_ref(&file), recipe(cleans))
        && there.verify().is_ok()
    {
        return Ok((there.header().clone(), false));
    }
    let (mut writer, mut cleaner) = (TokenWriter::create(target)?, Cleaner::new(cleans));
    for (file, kind) in &sources.files {
        each_story_of(file, *kind, column, progress, &mut |story| {
            cleaner.clean(story, false).map_or(Ok(()), |story| Ok(writer.push(&story)?))
        })?;
    }
    if writer.stories() == 0 {
        return Err(Error::Wrong(format!("{}: there is no text in it: give at least one story", path.display())));
    }
    let (recipe, counts) = (recipe(cleans).to_owned(), cleaner.report.counts());
    Ok((writer.finish(Origin { source, files: vec![file], recipe, counts })?, true))
}

/// What tells whether a file, or any of a folder, has changed: one line for all, since a header has room for few names.
fn stamped(path: &Path, sources: &Sources) -> Result<SourceFile> {
    let (mut bytes, mut stamps) = (0, Vec::new());
    for (file, _) in &sources.files {
        let data = std::fs::metadata(file).map_err(Error::file(file))?;
        let changed = data.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        bytes += data.len();
        let name = file.strip_prefix(path).unwrap_or(file);
        stamps.push(format!("{} {} {}", name.display(), data.len(), changed.map_or(0, |time| time.as_nanos())));
    }
    let name = shortened(&path.file_name().unwrap_or_default().to_string_lossy());
    Ok(SourceFile { name, bytes, stamp: format!("changed {:016x}", Checksum::of(stamps.join("\n").as_bytes())) })
}

fn shortened(name: &str) -> String {
    name[..name.floor_char_boundary(200)].to_owned()
}
