//! Stories from files of every form: unpacked, decoded, one after the other.
//!
//! ```text
//! file → .gz, .zst unpacked → UTF-8 → text, JSON lines, JSON (the library reads them) · tables (here) → stories
//! file → parquet → rows
//! ```

use crate::error::{Error, Result};
use crate::progress::Meter;
use crate::rows::each_row;
use csv::{ErrorKind, ReaderBuilder, StringRecord, Trim};
use flate2::bufread::MultiGzDecoder;
use glasslab::data::{Form, Kind, Packing, as_utf8, each_story, others, story_of};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Gives each story of a file to `take`; `column` is the column, or the field, that they are in.
///
/// # Errors
/// If the file can't be read, is not of its kind or is damaged, has no such column, and what `take` fails with.
pub fn each_story_of(
    path: &Path,
    kind: Kind,
    column: &str,
    progress: &mut Meter,
    take: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<()> {
    if kind.form == Form::Parquet {
        return each_row(path, column, progress, |row| story_of(row).map_or(Ok(()), |story| take(&story)));
    }
    let file = File::open(path).map_err(Error::file(path))?;
    let input = BufReader::with_capacity(1 << 16, file);
    let Some(packing) = kind.packing else { return each_of(path, kind.form, column, input, take) };
    let unpacked: Box<dyn Read> = match packing {
        Packing::Gzip => Box::new(MultiGzDecoder::new(input)),
        Packing::Zstandard => Box::new(zstd::Decoder::with_buffer(input).map_err(Error::file(path))?),
    };
    each_of(path, kind.form, column, BufReader::with_capacity(1 << 16, unpacked), take).map_err(|error| match error {
        // What the unpacking says: the system itself fails with a number.
        Error::File { source, .. } if source.raw_os_error().is_none() => Error::Wrong(format!(
            "{} can't be unpacked ({source}): was its writing or copying cut off, or is it another kind of file?",
            path.display()
        )),
        other => other,
    })
}

fn each_of(
    path: &Path,
    form: Form,
    column: &str,
    input: impl BufRead,
    take: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<()> {
    if form == Form::Table {
        return each_record(path, column, input, take);
    }
    // What `take` fails with goes around the library, which has an error of its own.
    let mut failed = None;
    let read = each_story(path, form, column, input, &mut |story| {
        take(story).map_err(|error| {
            let sentence = error.to_string();
            failed = Some(error);
            glasslab::Error::Data(sentence)
        })
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(read?),
    }
}

/// The column of a table, row by row. What parts the columns is what stands most often in the first line.
fn each_record(path: &Path, column: &str, input: impl BufRead, take: &mut dyn FnMut(&str) -> Result<()>) -> Result<()> {
    let mut input = as_utf8(path, input)?;
    let mut first = Vec::new();
    input.read_until(b'\n', &mut first).map_err(Error::file(path))?;
    let count = |sign: u8| first.iter().filter(|&&byte| byte == sign).count();
    let delimiter = [b'\t', b';', b','].into_iter().max_by_key(|&sign| count(sign)).unwrap_or(b',');
    let mut reader = ReaderBuilder::new().delimiter(delimiter).trim(Trim::Headers).from_reader(first.chain(input));
    let headers = reader.headers().map_err(|error| explain(path, error))?;
    let place = headers.iter().position(|name| name == column).ok_or_else(|| {
        Error::Wrong(format!("{} has no column `{column}`{}", path.display(), others(headers.iter())))
    })?;
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(|error| explain(path, error))? {
        if let Some(story) = record.get(place).and_then(story_of) {
            take(&story)?;
        }
    }
    Ok(())
}

fn explain(path: &Path, error: csv::Error) -> Error {
    let line = error.position().map_or(1, csv::Position::line);
    let wrong = |what: &str| Error::Wrong(format!("{}: line {line} {what}", path.display()));
    match error.into_kind() {
        ErrorKind::Io(source) => Error::File { path: path.to_path_buf(), source },
        ErrorKind::Utf8 { .. } => wrong("is not UTF-8; save the file as UTF-8 text"),
        ErrorKind::UnequalLengths { expected_len, len, .. } => wrong(&format!(
            "has {len} columns, the first line {expected_len}: a text with commas or line breaks stands between \
             quotation marks"
        )),
        other => wrong(&format!("can't be read: {other:?}")),
    }
}
