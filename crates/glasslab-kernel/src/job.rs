//! What the engine is asked to do, from the sockets' side: a job, and whether it has to wait until evcxr has loaded.

use jupyter_protocol::{CompleteRequest, ExecuteRequest, InspectRequest, JupyterMessage};
use std::sync::Mutex;
use std::time::Instant;

/// A request that needs evcxr.
pub enum Job {
    /// Run a cell.
    Execute(Box<JupyterMessage>, ExecuteRequest),
    /// Offer what may stand at the cursor.
    Complete(Box<JupyterMessage>, CompleteRequest),
    /// Say what stands at the cursor.
    Inspect(Box<JupyterMessage>, InspectRequest),
}

impl Job {
    /// The request itself.
    pub fn request(&self) -> &JupyterMessage {
        let (Job::Execute(request, _) | Job::Complete(request, _) | Job::Inspect(request, _)) = self;
        request
    }
}

/// Whether the kernel still loads, and who has been told.
#[derive(Default)]
pub struct Loading(Mutex<LoadingState>);

#[derive(Default)]
struct LoadingState {
    done: bool,
    begun: Option<Instant>,
    told: Vec<String>,
}

impl Loading {
    /// Whether cells run at once.
    pub fn is_done(&self) -> bool {
        self.0.lock().is_ok_and(|state| state.done)
    }

    /// Tells a request that it waits, if it does.
    pub fn note(&self, request: &JupyterMessage, tell: impl FnOnce(String)) {
        if let Ok(mut state) = self.0.lock()
            && !state.done
        {
            let seconds = state.begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64());
            tell(format!("The kernel is loading since {seconds:.0} s; this cell runs as soon as it is ready."));
            state.told.push(request.header.msg_id.clone());
        }
    }

    /// The kernel begins to load.
    pub fn begin(&self) {
        if let Ok(mut state) = self.0.lock() {
            state.begun = Some(Instant::now());
        }
    }

    /// It has loaded.
    pub fn finish(&self) {
        if let Ok(mut state) = self.0.lock() {
            state.done = true;
        }
    }

    /// Whether a request has been told that it waits.
    pub fn was_told(&self, request: &JupyterMessage) -> bool {
        self.0.lock().is_ok_and(|state| state.told.contains(&request.header.msg_id))
    }
}

/// Does work of evcxr's or rust-analyzer's; nothing if it panics, which must not end this thread: all cells would wait for ever.
pub fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_what_is_looked_up_is_no_answer_and_no_end() {
        assert_eq!(caught(|| -> i32 { panic!("as rust-analyzer does") }), None);
        assert_eq!(caught(|| 3), Some(3));
    }
}
