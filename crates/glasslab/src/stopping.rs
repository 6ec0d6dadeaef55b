//! The stop button: how a long computation hears of it, and how the kernel learns that it was heard.
//!
//! When the button is pressed, the kernel makes a file appear, the one that [`glasslab_wire::STOP`] names. Whoever has
//! seen it makes the file `stopping` beside it, and touches it at least every second while it still moves (a training
//! takes its step to the end, saves, and measures). While that file stays young the kernel waits; else it ends the process.
//!
//! | a loop that | calls |
//! |---|---|
//! | gives back what it has so far | [`should_stop`], at every step |
//! | has nothing to give before its end | [`Listening::go_on`], at every step |
//!
//! and either holds a [`Listening`] where a step, or what is to be done after the last one, may take seconds.

use crate::error::{Error, Result};
use crate::helper::Helper;
use glasslab_wire::{STOPPING, is_connected, stop_file};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// Between two touches of it.
const TOUCH: Duration = Duration::from_millis(300);
/// Between two looks for the wish to stop.
const LOOK: Duration = Duration::from_millis(20);
/// For how long a computation is taken for moving that gives no sign of its own.
const PATIENCE: Duration = Duration::from_secs(60);

/// What else a long loop listens to: sliders, once there are any.
static LISTENS: OnceLock<fn()> = OnceLock::new();

/// From now on, each [`should_stop`] also calls this.
pub(crate) fn listen_also(listen: fn()) {
    LISTENS.get_or_init(|| listen);
}

/// Whether the person wants the running cell to stop. Poll it at every step of a long loop (it costs about
/// two microseconds), leave the loop, and return what there is.
///
/// Sliders that were moved meanwhile get their new values here too; see [`setting`](crate::live::setting).
pub fn should_stop() -> bool {
    if !is_connected() {
        return false;
    }
    if let Some(listen) = LISTENS.get() {
        listen();
    }
    is_asked()
}

/// Whether the button was pressed; if it was, the kernel is told that it was heard.
fn is_asked() -> bool {
    let Some(file) = stop_file().filter(|file| file.exists()) else { return false };
    acknowledge(&file);
    true
}

fn acknowledge(stop: &Path) {
    let file = stop.with_file_name(STOPPING);
    let touched = std::fs::metadata(&file).and_then(|file| file.modified()).ok();
    let is_young = touched.and_then(|at| at.elapsed().ok()).is_some_and(|age| age < TOUCH);
    if !is_young {
        // Where it can't be written, the kernel ends the process, as it would without it.
        let _ = std::fs::write(file, "the stop button was heard\n");
    }
}

/// A long computation that listens to the stop button. While it lives, the kernel hears of it even where a single step
/// takes long.
#[derive(Debug)]
pub(crate) struct Listening {
    /// What is under way, to end the sentence `stopped while …`.
    what: &'static str,
    looked: Option<Instant>,
    _helper: Option<Helper>,
}

impl Listening {
    /// Begins to listen.
    pub(crate) fn new(what: &'static str) -> Listening {
        let helper = || {
            Helper::start(|end| {
                let mut heard = None;
                while end.recv_timeout(5 * LOOK) == Err(RecvTimeoutError::Timeout) {
                    let asked = heard.is_none_or(|at: Instant| at.elapsed() < PATIENCE) && is_asked();
                    heard = heard.or_else(|| asked.then(Instant::now));
                }
            })
        };
        Listening { what, looked: None, _helper: is_connected().then(helper).flatten() }
    }

    /// To be called at every step, however short.
    ///
    /// # Errors
    /// If the button was pressed.
    pub(crate) fn go_on(&mut self) -> Result<()> {
        if self.looked.is_some_and(|at| at.elapsed() < LOOK) {
            return Ok(());
        }
        let stop = should_stop();
        self.looked = Some(Instant::now());
        match stop {
            true => Err(Error::Stopped(format!("while {}", self.what))),
            false => Ok(()),
        }
    }
}
