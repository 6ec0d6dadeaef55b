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
            std::process::exit(STOPPED.into());
        }
    };
    ctrlc::set_handler(handler).map_err(|error| Error::Config(format!("could not listen to Ctrl-C: {error}")))?;
    Ok(stop)
}
