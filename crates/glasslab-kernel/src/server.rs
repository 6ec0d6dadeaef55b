//! The sockets of a Jupyter kernel, and who answers what.
//!
//! ```text
//! heartbeat  echoed
//! control    kernel_info · interrupt · shutdown        answered at once, whatever runs
//! shell      kernel_info · is_complete · history · comms   answered at once
//!            execute · complete · inspect              in their order, by the engine's thread
//! stdin      the answers to a cell's questions
//! iopub      all that is shown; every request is framed by `busy` and `idle`
//! ```
//! A message with a wrong signature or of no known form is dropped and counted.

use crate::cell::whole;
use crate::history;
use crate::job::Job;
use crate::notebook::{Notebook, content};
use crate::panics::lock;
use crate::quick::work::Session;
use crate::shared::Shared;
use anyhow::{Context, Result};
use jupyter_protocol::{
    CommClose, ConnectionInfo, Header, InterruptReply, JupyterMessage, JupyterMessageContent, ShutdownReply, Status,
};
use jupyter_zmq_client::{RawMessage, RouterRecvConnection, RouterSendConnection, RuntimeError};
use serde_json::{Map, Value, json};
use std::os::unix::process::parent_id;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use zeromq::{SocketRecv as _, SocketSend as _};

/// How long a cell waits before it says that it waits.
const PATIENCE: Duration = Duration::from_millis(400);

/// Serves the kernel of a connection file until it is shut down.
pub fn serve(
    connection_file: &Path,
    session: Session,
    start: impl FnOnce(Arc<Shared>, mpsc::Receiver<Job>),
) -> Result<()> {
    let text = std::fs::read_to_string(connection_file)
        .with_context(|| format!("could not read the connection file {}", connection_file.display()))?;
    let connection: ConnectionInfo =
        serde_json::from_str(&text).with_context(|| format!("no connection file: {}", connection_file.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(connection, session, start))
}

async fn run(
    connection: ConnectionInfo,
    session: Session,
    start: impl FnOnce(Arc<Shared>, mpsc::Receiver<Job>),
) -> Result<()> {
    let id = format!("glasslab-{}", std::process::id());
    let taken = || format!("could not open the sockets at {}: are the ports in use?", connection.ip);
    let heartbeat = jupyter_zmq_client::create_kernel_heartbeat_connection(&connection).await.with_context(taken)?;
    let shell = jupyter_zmq_client::create_kernel_shell_connection(&connection, &id).await.with_context(taken)?;
    let control = jupyter_zmq_client::create_kernel_control_connection(&connection, &id).await.with_context(taken)?;
    let stdin = jupyter_zmq_client::create_kernel_stdin_connection(&connection, &id).await.with_context(taken)?;
    let mut iopub = jupyter_zmq_client::create_kernel_iopub_connection(&connection, &id).await.with_context(taken)?;

    let (iopub_sender, mut to_iopub) = tokio::sync::mpsc::unbounded_channel::<JupyterMessage>();
    tokio::spawn(async move {
        while let Some(message) = to_iopub.recv().await {
            if let Err(error) = iopub.send(message).await {
                eprintln!("glasslab-kernel: iopub: {error}");
            }
        }
    });
    let (shell_sending, shell) = shell.split();
    let (control_sending, control) = control.split();
    let (stdin_sending, stdin) = stdin.split();
    let (jobs, jobs_receiver) = mpsc::channel();
    let notebook = Notebook::new([iopub_sender, sender(shell_sending), sender(stdin_sending)]);
    let shared = Shared::new(notebook, Some(session));
    shared.notebook.publish(Status::starting(), None);
    start(shared.clone(), jobs_receiver);

    tokio::spawn(beat(heartbeat));
    tokio::spawn(serve_stdin(stdin, shared.clone()));
    tokio::spawn(serve_shell(shell, shared.clone(), jobs));
    tokio::spawn(watch(shared.clone()));
    serve_control(control, sender(control_sending), shared).await
}

/// A task that sends what the channel brings.
fn sender(mut socket: RouterSendConnection) -> UnboundedSender<JupyterMessage> {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel::<JupyterMessage>();
    tokio::spawn(async move {
        while let Some(message) = receiver.recv().await {
            // A client that has gone away is no reason to stop answering the others.
            if let Err(error) = socket.send(message).await {
                eprintln!("glasslab-kernel: could not answer: {error}");
            }
        }
    });
    sender
}

async fn beat(mut heartbeat: jupyter_zmq_client::KernelHeartbeatConnection) {
    loop {
        match heartbeat.socket.recv().await {
            Ok(message) => _ = heartbeat.socket.send(message).await,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// The next message that is well formed and signed.
async fn next(socket: &mut RouterRecvConnection) -> JupyterMessage {
    static DROPPED: AtomicU64 = AtomicU64::new(0);
    loop {
        match read(socket).await {
            Ok(message) => return message,
            Err(RuntimeError::ZmqError(error)) => {
                eprintln!("glasslab-kernel: socket: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => {
                let count = DROPPED.fetch_add(1, Ordering::Relaxed) + 1;
                eprintln!("glasslab-kernel: message dropped, {count} so far: {error}");
            }
        }
    }
}

/// Reads a message. A search of the history may leave fields out, says Jupyter's protocol; the crate insists on them.
async fn read(socket: &mut RouterRecvConnection) -> Result<JupyterMessage, RuntimeError> {
    let raw = RawMessage::from_multipart(socket.socket.recv().await?, &socket.mac)?;
    let header: Header = serde_json::from_slice(&raw.jparts[0])?;
    let mut content: Value = serde_json::from_slice(&raw.jparts[3])?;
    if header.msg_type == "history_request"
        && let Some(asked) = content.as_object_mut()
    {
        for (field, default) in [("unique", json!(false)), ("n", json!(0))] {
            asked.entry(field).or_insert(default);
        }
    }
    let parse_error = |source| RuntimeError::ParseError { msg_type: header.msg_type.clone(), source };
    Ok(JupyterMessage {
        content: JupyterMessageContent::from_type_and_content(&header.msg_type, content).map_err(parse_error)?,
        zmq_identities: raw.zmq_identities,
        // Without a parent it is `{}`, which is no header.
        parent_header: serde_json::from_slice(&raw.jparts[1]).ok(),
        metadata: serde_json::from_slice(&raw.jparts[2])?,
        buffers: raw.jparts[4..].to_vec(),
        header,
        channel: None,
    })
}

/// Ends the kernel when the system asks for it, or when the program that started it is gone.
async fn watch(shared: Arc<Shared>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let parent = parent_id();
    loop {
        tokio::select! {
            _ = terminate.recv() => shared.exit(),
            _ = interrupt.recv() => shared.stop(),
            // An orphan has another parent.
            _ = tick.tick() => if parent != 1 && parent_id() != parent { shared.exit() },
        }
    }
}

async fn serve_stdin(mut socket: RouterRecvConnection, shared: Arc<Shared>) {
    loop {
        if let JupyterMessageContent::InputReply(reply) = next(&mut socket).await.content {
            let waiting = lock(&shared.answer).take();
            // Nobody waits any more after an interrupt.
            _ = waiting.map(|waiting| waiting.send(reply.value));
        }
    }
}

async fn serve_control(
    mut socket: RouterRecvConnection,
    replies: UnboundedSender<JupyterMessage>,
    shared: Arc<Shared>,
) -> Result<()> {
    loop {
        let request = next(&mut socket).await;
        let reply = |content: JupyterMessageContent| _ = replies.send(JupyterMessage::new(content, Some(&request)));
        shared.notebook.busy(&request);
        match &request.content {
            JupyterMessageContent::KernelInfoRequest(_) => reply(kernel_info()),
            JupyterMessageContent::InterruptRequest(_) => {
                shared.stop();
                reply(InterruptReply::new().into());
            }
            JupyterMessageContent::ShutdownRequest(asked) => {
                let answer = ShutdownReply { restart: asked.restart, ..ShutdownReply::default() };
                reply(answer.clone().into());
                shared.notebook.publish(answer, Some(&request));
                shared.notebook.idle(&request);
                // What has been said should be heard.
                tokio::time::sleep(Duration::from_millis(60)).await;
                shared.exit();
            }
            _ => {}
        }
        shared.notebook.idle(&request);
    }
}

async fn serve_shell(mut socket: RouterRecvConnection, shared: Arc<Shared>, jobs: mpsc::Sender<Job>) {
    loop {
        let request = next(&mut socket).await;
        let job = match &request.content {
            JupyterMessageContent::ExecuteRequest(asked) => {
                say_that_it_waits(&shared, &request, asked.silent);
                Job::Execute(Box::new(request.clone()), asked.clone())
            }
            JupyterMessageContent::CompleteRequest(asked) => Job::Complete(Box::new(request.clone()), asked.clone()),
            JupyterMessageContent::InspectRequest(asked) => Job::Inspect(Box::new(request.clone()), asked.clone()),
            _ => {
                answer_at_once(&shared, &request);
                continue;
            }
        };
        shared.interrupt.queued();
        // Fails only if the engine's thread is gone, and then the kernel is ending.
        let _ = jobs.send(job);
    }
}

/// A cell that comes while the kernel still loads tells why nothing happens.
fn say_that_it_waits(shared: &Arc<Shared>, request: &JupyterMessage, silent: bool) {
    if silent || shared.loading.is_done() {
        return;
    }
    let (shared, request) = (shared.clone(), request.clone());
    tokio::spawn(async move {
        tokio::time::sleep(PATIENCE).await;
        shared.loading.note(&request, |text| {
            shared.notebook.busy(&request);
            shared.notebook.show(Map::from_iter([("text/plain".to_owned(), text.into())]), None, Some(&request));
        });
    });
}

fn answer_at_once(shared: &Shared, request: &JupyterMessage) {
    let notebook = &shared.notebook;
    // A change of a widget is in work until the cells' process has dealt with it.
    if let JupyterMessageContent::CommMsg(message) = &request.content {
        notebook.busy(request);
        if !shared.comms.take_from_front_end(request, message) {
            notebook.idle(request);
        }
        return;
    }
    notebook.busy(request);
    match &request.content {
        JupyterMessageContent::KernelInfoRequest(_) => notebook.reply(request, kernel_info()),
        JupyterMessageContent::IsCompleteRequest(asked) => notebook.reply(request, whole::is_complete(&asked.code)),
        JupyterMessageContent::HistoryRequest(asked) => {
            let entries = history::select(&lock(&shared.history), asked);
            notebook.reply(request, content("history_reply", json!({ "status": "ok", "history": entries })));
        }
        JupyterMessageContent::CommInfoRequest(asked) => {
            notebook.reply(request, shared.comms.info(asked.target_name.as_deref()));
        }
        // Every line is opened by the kernel; one that nobody knows is closed again.
        JupyterMessageContent::CommOpen(opened) => {
            let closed = CommClose { comm_id: opened.comm_id.clone(), data: Map::new() };
            notebook.publish(closed, Some(request));
        }
        JupyterMessageContent::CommClose(closed) => shared.comms.forget(&closed.comm_id.0),
        _ => {}
    }
    notebook.idle(request);
}

fn kernel_info() -> JupyterMessageContent {
    let about = json!({
        "status": "ok",
        "protocol_version": "5.3",
        "implementation": "glasslab-kernel",
        "implementation_version": env!("CARGO_PKG_VERSION"),
        "language_info": {
            "name": "rust", "version": env!("CARGO_PKG_RUST_VERSION"), "mimetype": "text/x-rust", "file_extension": ".rs",
            "pygments_lexer": "rust", "codemirror_mode": "rust",
        },
        "banner": format!("glasslab {}: Rust with libtorch, on evcxr", env!("CARGO_PKG_VERSION")),
        "help_links": [
            { "text": "The Rust Book", "url": "https://doc.rust-lang.org/book/" },
            { "text": "Rust's standard library", "url": "https://doc.rust-lang.org/std/" },
        ],
        "debugger": false,
    });
    content("kernel_info_reply", about)
}
