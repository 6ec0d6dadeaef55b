//! A thread that helps a computation while it lasts.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

/// A thread that ends when its helper is dropped: then its line is dead.
#[derive(Debug)]
pub(crate) struct Helper {
    line: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Helper {
    /// Begins the work, which should wait on the line and end when it is dead; `None` if there is no thread to be had.
    pub(crate) fn start(work: impl FnOnce(&Receiver<()>) + Send + 'static) -> Option<Helper> {
        let (line, end) = channel();
        let thread = Builder::new().spawn(move || work(&end)).ok()?;
        Some(Helper { line: Some(line), thread: Some(thread) })
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.line = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
