//! The library's errors: each says what was given, what was expected, and what to do.

use std::fmt;
use std::path::PathBuf;
use tch::TchError;

/// What can go wrong in the library.
///
/// `{:?}` prints the same sentence as `{}`, because a notebook shows a failed `?` with it.
#[derive(thiserror::Error)]
pub enum Error {
    /// A tensor of a shape or kind that a function can't take.
    #[error("expected {expected}, got {got}: {hint}")]
    Shape {
        /// The shape in words, e.g. `ids of shape (B, T)`.
        expected: String,
        /// What came.
        got: String,
        /// What to do.
        hint: String,
    },
    /// A setting outside its range.
    #[error("{0}")]
    Config(String),
    /// Text that can't be used: empty, too short, not UTF-8.
    #[error("{0}")]
    Data(String),
    /// A file that can't be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The stop button ended it before there was a result.
    #[error("stopped {0}")]
    Stopped(String),
    /// The loss is no number any more.
    #[error(
        "the loss became {loss} within the last steps before step {step}: the numbers grew out of range. \
         The model has the best parameters it had before. Train again with a smaller learning rate (it was {lr}){kept}"
    )]
    NonFinite {
        /// The step at which it was noticed.
        step: usize,
        /// The loss.
        loss: f64,
        /// The learning rate.
        lr: f64,
        /// Where the state of the training is kept, if it is.
        kept: String,
    },
    /// What libtorch says.
    #[error("libtorch: {0}")]
    Torch(String),
    /// An exercise that a graded notebook requires.
    #[error("exercise {name}: {what}. {without}")]
    Exercise {
        /// The exercise.
        name: &'static str,
        /// What it lacks.
        what: &'static str,
        /// How to go on without it.
        without: String,
    },
    /// A picture that could not be drawn.
    #[error("could not draw: {0}")]
    Drawing(String),
}

impl fmt::Debug for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In a notebook this is what `?` prints at the end of a failed cell.
        fmt::Display::fmt(self, out)
    }
}

impl From<TchError> for Error {
    /// Keeps libtorch's sentence and leaves out its C++ call stack.
    fn from(error: TchError) -> Error {
        let text = match error {
            TchError::Torch(text) => text,
            other => other.to_string(),
        };
        Error::Torch(Error::shorten(&text))
    }
}

impl Error {
    /// A message of libtorch's without its C++ call stack.
    pub(crate) fn shorten(text: &str) -> String {
        let end =
            ["\nException raised from", "\\nException raised from"].iter().filter_map(|sign| text.find(sign)).min();
        text[..end.unwrap_or(text.len())].trim().to_owned()
    }
}

/// The library's result. It stands in for the standard one in a notebook, so it takes another error too.
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Kind, Tensor};

    #[test]
    fn a_torch_error_has_its_sentence_and_no_call_stack() {
        let two = Tensor::zeros([2, 3], (Kind::Float, tch::Device::Cpu));
        let error = Error::from(two.f_matmul(&two).unwrap_err());
        let text = format!("{error:?}");
        assert!(text.contains("2x3"), "{text}");
        assert!(!text.contains("frame #"), "{text}");
    }
}
