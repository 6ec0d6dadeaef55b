//! What can go wrong between the hub and a token file, each in a sentence that says what to do.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The hub, or what is between, does not answer.
    #[error("{address} can't be reached ({why}): check the connection or the proxy and run the same command again")]
    Unreachable {
        /// What was asked for.
        address: String,
        /// What was the matter with the last try.
        why: String,
    },
    /// The hub answers that there is no such file.
    #[error("{address} is not there (HTTP {status}): is the address of the mirror right, and is its copy whole?")]
    Missing {
        /// What was asked for.
        address: String,
        /// The HTTP status.
        status: u16,
    },
    /// Data, or a setting, that can't be used.
    #[error("{0}")]
    Wrong(String),
    /// A file that can't be read or written.
    #[error("{}", explain(path, source))]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

impl Error {
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::File { path, source }
    }
}

impl From<glasslab::Error> for Error {
    fn from(error: glasslab::Error) -> Error {
        match error {
            glasslab::Error::File { path, source } => Error::File { path, source },
            other => Error::Wrong(other.to_string()),
        }
    }
}

/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn explain(path: &Path, source: &std::io::Error) -> String {
    let path = path.display();
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => format!(
            "no room for {path} ({source}): free some space, or set GLASSLAB_CACHE to a folder on a larger disk, then run \
             the same command again; what is fetched is kept"
        ),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            format!("not allowed to write {path}: set GLASSLAB_CACHE to a folder that you may write to")
        }
        _ => format!("{path}: {source}"),
    }
}
