//! From stories in other forms to a token file, in a stream: what is in memory does not grow with the text, but for
//! 8 bytes a story, and 16 to find duplicates.

use crate::clean::Cleaner;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::rows::Rows;
use glasslab::data::{Header, Origin, SourceFile, Stories, TokenFile, TokenWriter};
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
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
    progress: &mut Progress,
) -> Result<Header> {
    let mut writer = TokenWriter::create(target)?;
    let mut cleaner = Cleaner::new(cleans);
    for (place, source) in sources.iter().enumerate() {
        let mut rows = Rows::open(&source.path)?;
        progress.begin_rows(&source.file.name, rows.count);
        // One thread unpacks while this one cleans and writes; four batches may wait between them.
        let (sender, batches) = sync_channel(4);
        std::thread::scope(|threads| -> Result<()> {
            threads.spawn(move || {
                loop {
                    let batch = rows.next_batch().transpose();
                    let is_last = !matches!(batch, Some(Ok(_)));
                    // Nobody listens any more when writing has failed.
                    if batch.is_some_and(|batch| sender.send(batch).is_err()) || is_last {
                        return;
                    }
                }
            });
            let mut done = 0;
            // The receiver must be gone before the scope waits for the thread, or that would wait for room in it.
            for batch in batches {
                batch?.each(|row| {
                    let story = cleaner.clean(row, place == 0 && done == 0);
                    done += 1;
                    story.map_or(Ok(()), |story| writer.push(&story).map_err(Error::from))
                })?;
                progress.set(done);
            }
            Ok(())
        })?;
        progress.end();
    }
    let origin = Origin {
        source: label.to_owned(),
        files: sources.iter().map(|source| source.file.clone()).collect(),
        recipe: recipe(cleans).to_owned(),
        counts: cleaner.report.counts(),
    };
    Ok(writer.finish(origin)?)
}

/// Prepares a person's own text: a parquet file, or what [`Stories::from_path`] reads. A token file that is there and
/// was made of the same file is kept. Returns its header, and whether it is new.
///
/// # Errors
/// As [`prepare_parquet`], or if the text can't be read.
pub fn prepare_own(path: &Path, target: &Path, cleans: bool, progress: &mut Progress) -> Result<(Header, bool)> {
    let data = std::fs::metadata(path).map_err(Error::file(path))?;
    let changed = data.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let mut name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.truncate(name.floor_char_boundary(200));
    let stamp = format!("changed {}", changed.map_or(0, |time| time.as_nanos()));
    let file = SourceFile { name: name.clone(), bytes: data.len(), stamp };
    if data.is_file()
        && let Ok(there) = TokenFile::open(target)
        && there.header().origin.files == [file.clone()]
        && there.header().origin.recipe == recipe(cleans)
        && there.verify().is_ok()
    {
        return Ok((there.header().clone(), false));
    }
    let source = Source { path: path.to_path_buf(), file };
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet")) {
        return Ok((prepare_parquet(&name, &[source], target, cleans, progress)?, true));
    }
    let stories = Stories::from_path(path)?;
    let (mut writer, mut cleaner) = (TokenWriter::create(target)?, Cleaner::new(cleans));
    for story in stories.iter() {
        cleaner.clean(story, false).map_or(Ok(()), |story| writer.push(&story))?;
    }
    let (recipe, counts) = (recipe(cleans).to_owned(), cleaner.report.counts());
    Ok((writer.finish(Origin { source: name, files: vec![source.file], recipe, counts })?, true))
}
