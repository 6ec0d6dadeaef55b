//! Jupyter's comms: the lines on which widgets and cells talk.
//!
//! The kernel keeps each widget's state, so that a page that is opened anew is answered also while a cell runs.

use crate::notebook::Notebook;
use crate::panics::lock;
use glasslab_wire::ToCell;
use jupyter_protocol::{CommClose, CommId, CommInfo, CommInfoReply, CommMsg, JupyterMessage};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, mpsc};

struct Comm {
    target: String,
    state: Map<String, Value>,
}

#[derive(Default)]
struct Open {
    comms: HashMap<String, Comm>,
    /// Changes that the cells' process has not dealt with yet.
    in_work: HashMap<u64, JupyterMessage>,
    count: u64,
    to_cell: Option<mpsc::Sender<ToCell>>,
}

/// The lines that are open.
pub struct Comms {
    open: Mutex<Open>,
    notebook: Notebook,
}

impl Comms {
    /// None yet.
    pub fn new(notebook: Notebook) -> Comms {
        Comms { open: Mutex::default(), notebook }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        lock(&self.open)
    }

    /// Where messages for the cells' process go.
    pub fn connect(&self, to_cell: mpsc::Sender<ToCell>) {
        self.open().to_cell = Some(to_cell);
    }

    /// Remembers a line that a cell opens.
    pub fn remember(&self, id: &str, target: &str, data: &Map<String, Value>) {
        let state = data.get("state").and_then(Value::as_object).cloned().unwrap_or_default();
        self.open().comms.insert(id.to_owned(), Comm { target: target.to_owned(), state });
    }

    /// Takes over what a cell says on a line.
    pub fn take_from_cell(&self, id: &str, data: &Map<String, Value>) {
        if let (Some(comm), Some(state)) = (self.open().comms.get_mut(id), data.get("state").and_then(Value::as_object))
        {
            comm.state.extend(state.clone());
        }
    }

    /// Forgets a line that the front-end closes.
    pub fn forget(&self, id: &str) {
        self.open().comms.remove(id);
    }

    /// The open lines, as Jupyter lists them.
    pub fn info(&self, target: Option<&str>) -> CommInfoReply {
        let open = self.open();
        let wanted = open.comms.iter().filter(|(_, comm)| target.is_none_or(|target| target == comm.target));
        let comms = wanted.map(|(id, comm)| (CommId(id.clone()), CommInfo { target_name: comm.target.clone() }));
        CommInfoReply { comms: comms.collect(), ..CommInfoReply::default() }
    }

    /// Deals with a message of the front-end's; true if the cells' process will say when it is done with it.
    pub fn take_from_front_end(&self, request: &JupyterMessage, message: &CommMsg) -> bool {
        let id = &message.comm_id.0;
        let mut open = self.open();
        let Some(comm) = open.comms.get_mut(id) else { return false };
        match message.data.get("method").and_then(Value::as_str) {
            Some("request_state") => {
                let data = json!({ "method": "update", "state": comm.state, "buffer_paths": [] });
                let data = data.as_object().cloned().unwrap_or_default();
                self.notebook.publish(CommMsg { comm_id: message.comm_id.clone(), data }, Some(request));
                false
            }
            Some("update") => {
                comm.state.extend(message.data.get("state").and_then(Value::as_object).cloned().unwrap_or_default());
                open.count += 1;
                let number = open.count;
                let said = ToCell::Comm { number, id: id.clone(), data: message.data.clone() };
                let is_sent = open.to_cell.as_ref().is_some_and(|to_cell| to_cell.send(said).is_ok());
                if is_sent {
                    open.in_work.insert(number, request.clone());
                }
                is_sent
            }
            _ => false,
        }
    }

    /// The cells' process is done with a change.
    pub fn handled(&self, number: u64) {
        let request = self.open().in_work.remove(&number);
        if let Some(request) = request {
            self.notebook.idle(&request);
        }
    }

    /// The process that opened the lines is gone.
    pub fn close_all(&self) {
        let (comms, in_work) = {
            let mut open = self.open();
            (std::mem::take(&mut open.comms), std::mem::take(&mut open.in_work))
        };
        for id in comms.into_keys() {
            self.notebook.publish(CommClose { comm_id: CommId(id), data: Map::new() }, None);
        }
        for request in in_work.values() {
            self.notebook.idle(request);
        }
    }
}
