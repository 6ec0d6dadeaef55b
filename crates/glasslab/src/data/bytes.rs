//! Bytes in memory, or in a file that is mapped into it: read the same way, and shared instead of copied.

use crate::error::Result;
use crate::file::file_error;
use memmap2::Mmap;
use std::fmt;
use std::fs::File;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

#[derive(Clone)]
enum Place {
    Memory(Arc<Vec<u8>>),
    Map(Arc<Mmap>),
}

/// Read-only bytes; a clone or a part shares them.
#[derive(Clone)]
pub struct Bytes {
    place: Place,
    range: Range<usize>,
}

impl Bytes {
    /// Maps a file: nothing is read before it is used, and what is read, the system may drop again.
    ///
    /// # Errors
    /// If the system can't map it.
    pub fn map(file: &File, path: &Path) -> Result<Bytes> {
        // SAFETY: the mapped bytes would change, or vanish, only if somebody wrote into this very file. glasslab
        // never does: it writes another file and gives that one the name, and this one lives until it is unmapped.
        // For others it is read-only; who cuts it nevertheless ends the process (SIGBUS), and the kernel says why.
        let map = unsafe { Mmap::map(file) }.map_err(file_error(path))?;
        Ok(Bytes { range: 0..map.len(), place: Place::Map(Arc::new(map)) })
    }

    /// A part of these bytes, which it shares; cut to what there is.
    pub fn part(&self, range: Range<usize>) -> Bytes {
        let end = self.range.end.min(self.range.start.saturating_add(range.end));
        let start = end.min(self.range.start.saturating_add(range.start));
        Bytes { place: self.place.clone(), range: start..end }
    }

    /// Whether they lie in a mapped file.
    pub fn is_mapped(&self) -> bool {
        matches!(self.place, Place::Map(_))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let all: &[u8] = match &self.place {
            Place::Memory(bytes) => bytes,
            Place::Map(map) => map,
        };
        &all[self.range.clone()]
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes { range: 0..bytes.len(), place: Place::Memory(Arc::new(bytes)) }
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} bytes {}", self.len(), if self.is_mapped() { "of a mapped file" } else { "in memory" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_file_reads_as_the_same_bytes_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bytes");
        std::fs::write(&path, b"0123456789").unwrap();
        let mapped = Bytes::map(&File::open(&path).unwrap(), &path).unwrap();
        let owned = Bytes::from(b"0123456789".to_vec());
        std::fs::remove_file(&path).unwrap();
        for range in [0..10, 3..5, 0..0, 8..99, 20..30] {
            assert_eq!(*mapped.part(range.clone()), *owned.part(range));
        }
        assert_eq!(&*mapped.part(2..8).part(1..3), b"34");
        assert!(mapped.is_mapped() && !owned.is_mapped());
    }
}
