//! The rows of a parquet file: one column of strings, batch by batch.

use crate::error::{Error, Result};
use crate::progress::Meter;
use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use glasslab::data::others;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::Type;
use std::any::Any;
use std::cell::Cell;
use std::fmt::Display;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::mpsc::sync_channel;

/// Rows in a batch: about a megabyte of stories.
const BATCH: usize = 1024;

/// Gives each row of a parquet file to `take`: one thread unpacks while this one takes.
///
/// # Errors
/// If the file can't be read, is damaged or has no such column, and what `take` fails with.
pub fn each_row(
    path: &Path,
    column: &str,
    progress: &mut Meter,
    mut take: impl FnMut(&str) -> Result<()>,
) -> Result<()> {
    let mut rows = Rows::open(path, column)?;
    progress.begin_rows(&path.file_name().unwrap_or_default().to_string_lossy(), rows.count);
    // Four batches may wait.
    let (sender, batches) = sync_channel(4);
    std::thread::scope(|threads| -> Result<()> {
        threads.spawn(move || {
            loop {
                let batch = rows.next_batch().transpose();
                let is_last = !matches!(batch, Some(Ok(_)));
                // Nobody listens any more when taking has failed.
                if batch.is_some_and(|batch| sender.send(batch).is_err()) || is_last {
                    return;
                }
            }
        });
        let mut done = 0;
        // The receiver must be gone before the scope waits for the thread, or that would wait for room in it.
        for batch in batches {
            batch?.each(|row| {
                done += 1;
                take(row)
            })?;
            progress.set(done);
        }
        Ok(())
    })?;
    progress.end();
    Ok(())
}

/// The rows of a parquet file.
pub struct Rows {
    path: PathBuf,
    reader: ParquetRecordBatchReader,
    /// How many there are.
    pub count: u64,
}

impl Rows {
    /// Opens a parquet file.
    ///
    /// # Errors
    /// If it can't be read, is no whole parquet file, or has no such column of strings.
    pub fn open(path: &Path, column: &str) -> Result<Rows> {
        let file = File::open(path).map_err(Error::file(path))?;
        guarded(path, || {
            // Strings come in one form then, whatever the writing program kept them as.
            let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
            let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
                .map_err(|error| unread(path, &error))?;
            let schema = builder.parquet_schema();
            let is_text = |place: &usize| {
                let leaf = schema.column(*place);
                leaf.path().parts() == [column] && leaf.physical_type() == Type::BYTE_ARRAY
            };
            let Some(place) = (0..schema.num_columns()).find(is_text) else {
                let names: Vec<String> = schema.columns().iter().map(|leaf| leaf.path().string()).collect();
                return Err(Error::Wrong(format!(
                    "{} has no column `{column}` with strings{}",
                    path.display(),
                    others(names.iter().map(String::as_str))
                )));
            };
            let count = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
            let mask = ProjectionMask::leaves(schema, [place]);
            let reader =
                builder.with_projection(mask).with_batch_size(BATCH).build().map_err(|error| unread(path, &error))?;
            Ok(Rows { path: path.to_path_buf(), reader, count })
        })
    }

    /// The next rows; `None` at the end.
    ///
    /// # Errors
    /// If the file is damaged there.
    pub fn next_batch(&mut self) -> Result<Option<Texts>> {
        let (path, reader) = (&self.path, &mut self.reader);
        guarded(path, || match reader.next() {
            None => Ok(None),
            Some(Ok(batch)) => Ok(Some(Texts { batch })),
            Some(Err(error)) => Err(unread(path, &error)),
        })
    }
}

/// Some rows.
pub struct Texts {
    batch: RecordBatch,
}

impl Texts {
    /// Gives each row to a function; a row that is null is an empty text.
    ///
    /// # Errors
    /// What the function fails with.
    pub fn each(&self, mut take: impl FnMut(&str) -> Result<()>) -> Result<()> {
        let column = self.batch.column(0);
        if let Some(texts) = column.as_string_opt::<i32>() {
            return texts.iter().try_for_each(|text| take(text.unwrap_or_default()));
        }
        // Written by a program that did not say that its bytes are text.
        let bytes =
            column.as_binary_opt::<i32>().ok_or_else(|| Error::Wrong("the column holds no strings".to_owned()))?;
        bytes.iter().try_for_each(|bytes| take(&String::from_utf8_lossy(bytes.unwrap_or_default())))
    }
}

/// How the reader names what it can't read, though the file is whole.
const UNREAD: [&str; 3] = ["NYI: ", "encrypted", "Disabled feature"];

/// What the reader says: that it can't read this, or that the file is damaged.
fn unread(path: &Path, error: &impl Display) -> Error {
    let why = error.to_string();
    match UNREAD.iter().find_map(|sign| why.find(sign)) {
        Some(place) => Error::Wrong(format!(
            "{} is packed in a way that glasslab does not read ({}): write it again with zstd, in Python \
             `pandas.read_parquet(FILE).to_parquet(FILE, compression=\"zstd\")`",
            path.display(),
            why[place..].trim_start_matches("NYI: ")
        )),
        None => damaged(path, &why),
    }
}

fn damaged(path: &Path, why: &str) -> Error {
    let why = why
        .trim_start_matches("Parquet argument error: ")
        .trim_start_matches("Parquet error: ")
        .trim_start_matches("External: ");
    let why: String = why.chars().take(300).collect();
    Error::Wrong(format!(
        "{} is no whole parquet file ({why}): was its writing or copying cut off? Remove it and fetch it again",
        path.display()
    ))
}

thread_local! {
    /// Whether a panic on this thread is caught, and becomes an error.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// A damaged file must not end the program, even where the reader did not think of the damage and panics; and the
/// panic is not printed, because the error tells it.
fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                usual(panic);
            }
        }));
    });
    let before = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(before);
    result.unwrap_or_else(|panic: Box<dyn Any + Send>| {
        let why = panic.downcast_ref::<String>().cloned();
        let why = why.or_else(|| panic.downcast_ref::<&str>().map(|&why| why.to_owned()));
        Err(damaged(path, &why.unwrap_or_default()))
    })
}
