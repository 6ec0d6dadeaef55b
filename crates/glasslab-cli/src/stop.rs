//! Ctrl-C as a wish to stop.

use glasslab::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit code of what Ctrl-C has stopped, as shells have it.
pub const STOPPED: u8 = 130;

/// Becomes true at Ctrl-C; a second one ends the program at once, whatever is under way.
///
/// # Errors
/// If the system does not tell of Ctrl-C.
pub fn listen() -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let pressed = Arc::clone(&stop);
    let handler = move || {
        if pressed.swap(true, Ordering::Relaxed) {
            end_at_once();
        }
    };
    ctrlc::set_handler(handler).map_err(|error| Error::Config(format!("could not listen to Ctrl-C: {error}")))?;
    Ok(stop)
}

/// Ends the program without what is usually done at an end: libtorch would take away what the computation under way still needs.
fn end_at_once() -> ! {
    #[cfg(unix)]
    // SAFETY: the call ends the process, and does nothing else.
    unsafe {
        libc::_exit(STOPPED.into())
    }
    #[cfg(not(unix))]
    std::process::exit(STOPPED.into())
}
