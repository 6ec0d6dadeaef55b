//! The descriptors that join the kernel with the process that runs the cells.
//!
//! evcxr starts that process and talks to it over pipes of its own, by lines. The cells' output goes past
//! evcxr, over sockets that the kernel opens before and every such process inherits:
//!
//! ```text
//! output, errors   cells → kernel   bytes
//! input            kernel → cells   lines that a person typed
//! control          kernel → cells   one datagram for each message
//! ```

use crate::platform;
use anyhow::{Context, Result};
use rustix::io::{FdFlags, fcntl_setfd};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;

/// Names the cells' ends of output, errors and input, separated by commas.
pub const DESCRIPTORS: &str = "GLASSLAB_DESCRIPTORS";
/// Names the library that the cells' process loads before the first cell.
pub const PRELOAD: &str = "GLASSLAB_PRELOAD";

/// The kernel's ends.
pub struct Link {
    /// What begins each of the library's messages.
    pub mark: String,
    /// What cells print.
    pub output: UnixStream,
    /// What cells print to standard error.
    pub errors: UnixStream,
    /// What cells read from standard input.
    pub input: UnixStream,
    /// Messages to the library.
    pub control: UnixDatagram,
    /// The cells' ends, kept open for the next process, should one end.
    pub theirs: Vec<OwnedFd>,
}

impl Link {
    /// Opens the sockets and names them in the environment.
    pub fn open(stop_file: &Path, preload: Option<&Path>) -> Result<Link> {
        let link = Link::join()?;
        for end in &link.theirs {
            // Lives on in a started program.
            fcntl_setfd(end, FdFlags::empty())?;
        }
        let names: Option<Vec<String>> = link.theirs.iter().map(glasslab_wire::name_of).collect();
        let names = names.context("the system does not tell one socket from another")?;
        // SAFETY: called at the start of `main`, when this process has one thread.
        unsafe {
            std::env::set_var(DESCRIPTORS, names[..3].join(","));
            std::env::set_var(glasslab_wire::MARK, &link.mark);
            std::env::set_var(glasslab_wire::CONTROL, &names[3]);
            std::env::set_var(glasslab_wire::STOP, stop_file);
            if let Some(preload) = preload {
                std::env::set_var(PRELOAD, preload);
            }
        }
        Ok(link)
    }

    /// Opens the sockets.
    pub fn join() -> Result<Link> {
        let sockets = "could not open a pair of sockets";
        let (output, their_output) = UnixStream::pair().context(sockets)?;
        let (errors, their_errors) = UnixStream::pair().context(sockets)?;
        let (input, their_input) = UnixStream::pair().context(sockets)?;
        let (control, their_control) = UnixDatagram::pair().context(sockets)?;
        platform::make_room(&control, &their_control).context("could not make room for messages")?;
        let theirs = vec![their_output.into(), their_errors.into(), their_input.into(), their_control.into()];
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |age| age.as_nanos());
        let mark = format!("glasslab-{:x}-{time:x}", std::process::id());
        Ok(Link { mark, output, errors, input, control, theirs })
    }
}
