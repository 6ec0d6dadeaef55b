//! What the library and the kernel of glasslab say to each other.
//!
//! A cell runs in a child process of the kernel, and its standard output is the wire. On plain
//! evcxr_jupyter it carries text and blocks between two marker lines, which are evcxr's
//! ([`write_content`]). glasslab's own kernel also understands messages ([`FromCell`]):
//!
//! ```text
//! \0MARK LENGTH\nJSON      MARK is the session's, LENGTH counts the bytes of JSON
//! ```
//! They stand in the stream where they happened, so that pictures and text keep their order. The
//! other way, [`ToCell`] messages come as datagrams on a socket of their own.
//!
//! Each learner's first cell loads this crate and all below it: so it depends on serde alone, and what a crate for system
//! calls would do, it does by the standard library.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

/// The environment variable that the kernel sets for the process that runs the cells.
pub const IN_NOTEBOOK: &str = "GLASSLAB_NOTEBOOK";
/// Names the mark of this session's messages; set by glasslab's own kernel only.
pub const MARK: &str = "GLASSLAB_MARK";
/// Names the socket on which the kernel's messages come (see [`control`]).
pub const CONTROL: &str = "GLASSLAB_CONTROL";
/// Names a file; while it exists, the person wants the running cell to stop.
pub const STOP: &str = "GLASSLAB_STOP";
/// The name of a file beside that one: while the cell touches it at least every second, it has heard, and is stopping.
pub const STOPPING: &str = "stopping";

const BEGIN: &str = "EVCXR_BEGIN_CONTENT ";
const END: &str = "EVCXR_END_CONTENT";
/// The kernel keeps its messages below this.
const LARGEST: usize = 1 << 16;

/// One content in several forms, by MIME type.
pub type Bundle = Map<String, Value>;

/// What a cell tells the kernel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FromCell {
    /// Show this; under `id` it can be replaced later.
    Display {
        /// What to show.
        data: Bundle,
        /// The name for later updates.
        id: Option<String>,
    },
    /// Show this in the place of what was shown under `id`.
    Update {
        /// What to show.
        data: Bundle,
        /// The name it was shown under.
        id: String,
    },
    /// The value of the cell.
    Value {
        /// What to show.
        data: Bundle,
    },
    /// Take away what the cell has shown.
    Clear {
        /// Only when something new comes.
        wait: bool,
    },
    /// Open a line to the front-end (Jupyter's comm).
    CommOpen {
        /// The line's name.
        id: String,
        /// Who is called.
        target: String,
        /// Jupyter's metadata, such as the version of the widget protocol.
        metadata: Value,
        /// What is said.
        data: Map<String, Value>,
    },
    /// Say something on an open line.
    CommMessage {
        /// The line's name.
        id: String,
        /// What is said.
        data: Map<String, Value>,
    },
    /// The front-end's message number `number` has been dealt with.
    Handled {
        /// The kernel's number.
        number: u64,
    },
    /// A panic, and where in the cell's code it was met.
    Panic {
        /// Its sentence.
        message: String,
        /// The line of the cell's generated source.
        line: Option<u32>,
        /// `file:line` of the place that panicked.
        place: String,
    },
    /// An error that `?` passed on, and where in the cell's code.
    Failed {
        /// The line of the cell's generated source.
        line: Option<u32>,
    },
    /// A training has kept its model.
    Saved {
        /// Where.
        path: String,
    },
    /// The cell asks for a line of text.
    Input {
        /// What is asked.
        prompt: String,
        /// Whether the answer should be hidden.
        password: bool,
    },
    /// A cell begins to run.
    Begun,
    /// The cell has run, and all that it wrote stands before this.
    Ended {
        /// The cell's number.
        number: u64,
    },
}

/// What the kernel tells the process that runs the cells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ToCell {
    /// All of the cell's output has been read; these of evcxr's own lines were in it.
    Settled {
        /// The cell's number.
        number: u64,
        /// The lines that evcxr must see.
        lines: Vec<String>,
    },
    /// The front-end says something on a line.
    Comm {
        /// The kernel's number of this message.
        number: u64,
        /// The line's name.
        id: String,
        /// What is said.
        data: Map<String, Value>,
    },
}

/// Whether glasslab's own kernel listens.
pub fn is_connected() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Sends a message through standard output; `false` if nobody understands it there.
pub fn send(message: &FromCell) -> bool {
    let Ok(mark) = std::env::var(MARK) else { return false };
    // A closed wire means that the kernel is gone, and this process with it.
    let mut out = io::stdout().lock();
    out.write_all(&frame(&mark, message)).and_then(|()| out.flush()).is_ok()
}

/// A message as it stands in the stream.
pub fn frame(mark: &str, message: &FromCell) -> Vec<u8> {
    // Maps with string keys and numbers: nothing that JSON can't hold.
    let json = serde_json::to_vec(message).unwrap_or_default();
    let mut bytes = format!("\0{mark} {}\n", json.len()).into_bytes();
    bytes.extend(json);
    bytes
}

/// The socket of the kernel's messages, which lives as long as this process; nothing if [`CONTROL`] names another one, or none.
pub fn control() -> Option<ManuallyDrop<UnixDatagram>> {
    let descriptor = number_of(&std::env::var(CONTROL).ok()?)?;
    // SAFETY: it is open, and the very socket that the kernel has made for the life of this process; it is not closed here.
    Some(ManuallyDrop::new(unsafe { UnixDatagram::from_raw_fd(descriptor) }))
}

/// What a variable of the environment says of a socket that a started program inherits: its number, and which one it is, so
/// that a number alone is never taken for it.
pub fn name_of(socket: &impl AsRawFd) -> Option<String> {
    named(socket.as_raw_fd())
}

/// The number of the socket that has this name; nothing if it is another one by now, or none.
pub fn number_of(name: &str) -> Option<RawFd> {
    let descriptor = name.split(' ').next()?.parse().ok()?;
    (named(descriptor)? == name).then_some(descriptor)
}

fn named(descriptor: RawFd) -> Option<String> {
    let data = std::fs::metadata(format!("/dev/fd/{descriptor}")).ok()?;
    Some(format!("{descriptor} {} {}", data.dev(), data.ino()))
}

/// The kernel's next message, if one is waiting.
pub fn receive() -> Option<ToCell> {
    let mut buffer = [0; LARGEST];
    // The socket does not block: with no message waiting this is an error.
    let length = control()?.recv(&mut buffer).ok()?;
    serde_json::from_slice(&buffer[..length]).ok()
}

/// The file that asks the running cell to stop.
pub fn stop_file() -> Option<PathBuf> {
    std::env::var_os(STOP).map(PathBuf::from)
}

/// Writes one piece of rich content, e.g. `text/html`, and flushes it.
///
/// A line of `content` that equals the end marker would end the block early: it gets a space more.
///
/// # Errors
/// What writing to `out` fails with.
pub fn write_content(mut out: impl Write, mime_type: &str, content: &str) -> io::Result<()> {
    let mut block = format!("{BEGIN}{mime_type}\n");
    for line in content.lines() {
        block.push_str(line);
        block.push_str(if line == END { " \n" } else { "\n" });
    }
    block.push_str(END);
    block.push('\n');
    out.write_all(block.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_cannot_end_its_own_block() {
        let mut out = Vec::new();
        write_content(&mut out, "text/plain", "a\nEVCXR_END_CONTENT\nb").unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().filter(|line| *line == END).count(), 1);
        assert!(text.ends_with("b\nEVCXR_END_CONTENT\n"));
    }

    #[test]
    fn only_the_very_socket_is_taken_for_the_kernels() {
        let (kernel, cells) = UnixDatagram::pair().unwrap();
        cells.set_nonblocking(true).unwrap();
        let is = |name: String| {
            // SAFETY: no other test of this crate reads or writes the environment.
            unsafe { std::env::set_var(CONTROL, name) };
            receive()
        };
        let said = ToCell::Settled { number: 1, lines: Vec::new() };
        kernel.send(&serde_json::to_vec(&said).unwrap()).unwrap();
        let name = name_of(&cells).unwrap();
        let number = cells.as_raw_fd().to_string();
        let other = name_of(&kernel).unwrap().replacen(&kernel.as_raw_fd().to_string(), &number, 1);
        for wrong in ["".to_owned(), number, "0".to_owned(), other, "-1 0 0".to_owned(), "9999 0 0".to_owned()] {
            assert_eq!(is(wrong.clone()), None, "{wrong}");
        }
        assert_eq!(is(name.clone()), Some(said));
        assert_eq!(is(name), None, "it is heard once");
    }

    #[test]
    fn a_frame_counts_its_bytes_and_holds_the_message() {
        let message = FromCell::Panic { message: "ü\n".into(), line: Some(3), place: "a.rs:1".into() };
        let bytes = frame("mark", &message);
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        let header = std::str::from_utf8(&bytes[..end]).unwrap();
        let length: usize = header.strip_prefix("\0mark ").unwrap().parse().unwrap();
        assert_eq!(bytes.len(), end + 1 + length);
        assert_eq!(serde_json::from_slice::<FromCell>(&bytes[end + 1..]).unwrap(), message);
    }
}
