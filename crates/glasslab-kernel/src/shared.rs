//! What every part of the kernel may use: the way to the notebook, what is open and running there, and how it ends.

use crate::comms::Comms;
use crate::interrupt::Interrupt;
use crate::job::Loading;
use crate::notebook::Notebook;
use crate::panics::lock;
use crate::quick::work::Session;
use jupyter_protocol::JupyterMessage;
use std::sync::{Arc, Mutex, mpsc};

/// What every part of the kernel may use.
pub struct Shared {
    /// What is said to the notebook.
    pub notebook: Notebook,
    /// The widgets that are open.
    pub comms: Comms,
    /// Stopping what runs.
    pub interrupt: Interrupt,
    /// What the kernel is doing before it is ready.
    pub loading: Loading,
    /// The cells that ran: their number and text.
    pub history: Mutex<Vec<(usize, String)>>,
    /// The request in work.
    pub running: Mutex<Option<JupyterMessage>>,
    /// Where the answer to a question goes.
    pub answer: Mutex<Option<mpsc::Sender<String>>>,
    session: Mutex<Option<Session>>,
}

impl Shared {
    /// Of a session, whose folder goes with the kernel.
    pub fn new(notebook: Notebook, session: Option<Session>) -> Arc<Shared> {
        Arc::new(Shared {
            comms: Comms::new(notebook.clone()),
            notebook,
            interrupt: Interrupt::default(),
            loading: Loading::default(),
            history: Mutex::default(),
            running: Mutex::default(),
            answer: Mutex::default(),
            session: Mutex::new(session),
        })
    }

    /// The person wants what runs to stop.
    pub fn stop(self: &Arc<Self>) {
        let shared = self.clone();
        self.interrupt.stop(move || {
            let text = "Stopping: the cell has heard, and finishes what it is at. Who presses again ends it at once.\n";
            let request = lock(&shared.running).clone();
            shared.notebook.print("stderr", text, request.as_ref());
        });
    }

    /// Ends everything this kernel has started, and this kernel.
    pub fn exit(&self) -> ! {
        self.interrupt.end_all();
        drop(lock(&self.session).take());
        std::process::exit(0)
    }
}
