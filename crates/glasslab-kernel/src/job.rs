//! What the engine is asked to do, from the sockets' side: a job, and whether it has to wait until evcxr has loaded.

use crate::panics::lock;
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
        lock(&self.0).done
    }

    /// Tells a request that it waits, if it does.
    pub fn note(&self, request: &JupyterMessage, tell: impl FnOnce(String)) {
        let mut state = lock(&self.0);
        if !state.done {
            let seconds = state.begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64());
            tell(format!("The kernel is loading since {seconds:.0} s; this cell runs as soon as it is ready."));
            state.told.push(request.header.msg_id.clone());
        }
    }

    /// The kernel begins to load.
    pub fn begin(&self) {
        lock(&self.0).begun = Some(Instant::now());
    }

    /// It has loaded.
    pub fn finish(&self) {
        lock(&self.0).done = true;
    }

    /// Whether a request has been told that it waits.
    pub fn was_told(&self, request: &JupyterMessage) -> bool {
        lock(&self.0).told.contains(&request.header.msg_id)
    }
}
