//! What is said to the notebook, on the sockets where its front-ends listen.

use glasslab_wire::Bundle;
use jupyter_protocol::{
    InputRequest, JupyterMessage, JupyterMessageContent, Status, Stdio, StreamContent, UnknownMessage,
};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

/// The ways to the notebook. Sending fails only when the kernel is ending.
#[derive(Clone)]
pub struct Notebook {
    iopub: UnboundedSender<JupyterMessage>,
    shell: UnboundedSender<JupyterMessage>,
    stdin: UnboundedSender<JupyterMessage>,
}

impl Notebook {
    /// By the ways to iopub, shell and stdin.
    pub fn new([iopub, shell, stdin]: [UnboundedSender<JupyterMessage>; 3]) -> Notebook {
        Notebook { iopub, shell, stdin }
    }

    /// Publishes a message about a request.
    pub fn publish(&self, content: impl Into<JupyterMessageContent>, parent: Option<&JupyterMessage>) {
        self.publish_with(content, json!({}), parent);
    }

    /// The same, with Jupyter's metadata.
    pub fn publish_with(
        &self,
        content: impl Into<JupyterMessageContent>,
        metadata: Value,
        parent: Option<&JupyterMessage>,
    ) {
        let message = JupyterMessage::new(content, parent).with_zmq_identities(Vec::new());
        let _ = self.iopub.send(message.with_metadata(metadata));
    }

    /// The kernel begins to work on a request.
    pub fn busy(&self, request: &JupyterMessage) {
        self.publish(Status::busy(), Some(request));
    }

    /// It has worked on it.
    pub fn idle(&self, request: &JupyterMessage) {
        self.publish(Status::idle(), Some(request));
    }

    /// Shows text of a stream: `stdout` or `stderr`.
    pub fn print(&self, name: &str, text: impl Into<String>, parent: Option<&JupyterMessage>) {
        let name = if name == "stderr" { Stdio::Stderr } else { Stdio::Stdout };
        self.publish(StreamContent { name, text: text.into() }, parent);
    }

    /// Shows what is more than text; under its name it can be replaced later.
    pub fn show(&self, data: Bundle, id: Option<String>, parent: Option<&JupyterMessage>) {
        let transient = id.map_or(json!({}), |id| json!({ "display_id": id }));
        let shown = json!({ "data": data, "metadata": {}, "transient": transient });
        self.publish(content("display_data", shown), parent);
    }

    /// Answers a request that came on the shell socket.
    pub fn reply(&self, request: &JupyterMessage, content: impl Into<JupyterMessageContent>) {
        let _ = self.shell.send(JupyterMessage::new(content, Some(request)));
    }

    /// Asks the person who sent `request` for a line of text.
    pub fn ask(&self, request: &JupyterMessage, prompt: &str, password: bool) {
        let question = InputRequest { prompt: prompt.to_owned(), password };
        let _ = self.stdin.send(JupyterMessage::new(question, Some(request)));
    }
}

/// A message's content from its JSON, where the crate's type is longer, or knows less than Jupyter's protocol allows.
pub fn content(kind: &str, content: Value) -> JupyterMessageContent {
    JupyterMessageContent::from_type_and_content(kind, content.clone()).unwrap_or_else(|_| {
        JupyterMessageContent::UnknownMessage(UnknownMessage { msg_type: kind.to_owned(), content })
    })
}
