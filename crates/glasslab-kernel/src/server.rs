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

use crate::comms::Comms;
use crate::engine::{Job, Loading};
use crate::interrupt::Interrupt;
use crate::whole;
use crate::work::Session;
use anyhow::{Context, Result};
use jupyter_protocol::{ConnectionInfo, Header, JupyterMessage, JupyterMessageContent, UnknownMessage};
use jupyter_zmq_client::{RawMessage, RouterRecvConnection, RouterSendConnection, RuntimeError};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use zeromq::{SocketRecv as _, SocketSend as _};

/// How long a cell waits before it says that it waits.
const PATIENCE: Duration = Duration::from_millis(400);

/// What every part of the kernel may use.
pub struct Shared {
    iopub: UnboundedSender<JupyterMessage>,
    shell: UnboundedSender<JupyterMessage>,
    stdin: UnboundedSender<JupyterMessage>,
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
    dropped: AtomicU64,
}

/// A message's content from its JSON.
pub fn content(kind: &str, content: Value) -> JupyterMessageContent {
    JupyterMessageContent::from_type_and_content(kind, content.clone()).unwrap_or_else(|_| {
        JupyterMessageContent::UnknownMessage(UnknownMessage { msg_type: kind.to_owned(), content })
    })
}

impl Shared {
    /// With the ways to iopub, shell and stdin.
    pub fn new([iopub, shell, stdin]: [UnboundedSender<JupyterMessage>; 3], session: Option<Session>) -> Arc<Shared> {
        Arc::new(Shared {
            iopub,
            shell,
            stdin,
            comms: Comms::default(),
            interrupt: Interrupt::default(),
            loading: Loading::default(),
            history: Mutex::default(),
            running: Mutex::default(),
            answer: Mutex::default(),
            session: Mutex::new(session),
            dropped: AtomicU64::new(0),
        })
    }

    /// Publishes a message about a request.
    pub fn publish(&self, kind: &str, json: Value, parent: Option<&JupyterMessage>) {
        self.publish_with(kind, json, json!({}), parent);
    }

    /// The same, with Jupyter's metadata.
    pub fn publish_with(&self, kind: &str, json: Value, metadata: Value, parent: Option<&JupyterMessage>) {
        // Fails only when the kernel is ending.
        let message = JupyterMessage::new(content(kind, json), parent).with_zmq_identities(Vec::new());
        let _ = self.iopub.send(message.with_metadata(metadata));
    }

    /// Says whether the kernel works on a request.
    pub fn status(&self, state: &str, parent: &JupyterMessage) {
        self.publish("status", json!({ "execution_state": state }), Some(parent));
    }

    /// Answers a request that came on the shell socket.
    pub fn reply(&self, request: &JupyterMessage, kind: &str, json: Value) {
        let _ = self.shell.send(JupyterMessage::new(content(kind, json), Some(request)));
    }

    /// Asks the person who sent `request` for a line of text.
    pub fn ask(&self, request: &JupyterMessage, prompt: &str, password: bool) {
        let question = content("input_request", json!({ "prompt": prompt, "password": password }));
        let _ = self.stdin.send(JupyterMessage::new(question, Some(request)));
    }

    /// The person wants what runs to stop.
    pub fn stop(self: &Arc<Self>) {
        let shared = self.clone();
        self.interrupt.stop(move || {
            let text = "Stopping: the cell has heard, and finishes what it is at. Who presses again ends it at once.\n";
            let request = shared.running.lock().ok().and_then(|running| running.clone());
            shared.publish("stream", json!({ "name": "stderr", "text": text }), request.as_ref());
        });
    }

    /// Ends everything this kernel has started, and this kernel.
    pub fn exit(&self) -> ! {
        self.interrupt.end_all();
        drop(self.session.lock().map(|mut session| session.take()));
        std::process::exit(0)
    }
}

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
    let shared = Shared::new([iopub_sender, sender(shell_sending), sender(stdin_sending)], Some(session));
    shared.publish("status", json!({ "execution_state": "starting" }), None);
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
async fn next(socket: &mut RouterRecvConnection, shared: &Shared) -> JupyterMessage {
    loop {
        match read(socket).await {
            Ok(message) => return message,
            Err(RuntimeError::ZmqError(error)) => {
                eprintln!("glasslab-kernel: socket: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => {
                let count = shared.dropped.fetch_add(1, Ordering::Relaxed) + 1;
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
    // SAFETY: reads a number.
    let parent = unsafe { libc::getppid() };
    loop {
        tokio::select! {
            _ = terminate.recv() => shared.exit(),
            _ = interrupt.recv() => shared.stop(),
            // SAFETY: reads a number.
            _ = tick.tick() => if parent != 1 && unsafe { libc::getppid() } != parent { shared.exit() },
        }
    }
}

async fn serve_stdin(mut socket: RouterRecvConnection, shared: Arc<Shared>) {
    loop {
        if let JupyterMessageContent::InputReply(reply) = next(&mut socket, &shared).await.content {
            let waiting = shared.answer.lock().ok().and_then(|mut answer| answer.take());
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
        let request = next(&mut socket, &shared).await;
        let reply =
            |kind: &str, json: Value| _ = replies.send(JupyterMessage::new(content(kind, json), Some(&request)));
        shared.status("busy", &request);
        match &request.content {
            JupyterMessageContent::KernelInfoRequest(_) => reply("kernel_info_reply", kernel_info()),
            JupyterMessageContent::InterruptRequest(_) => {
                shared.stop();
                reply("interrupt_reply", json!({ "status": "ok" }));
            }
            JupyterMessageContent::ShutdownRequest(asked) => {
                let answer = json!({ "status": "ok", "restart": asked.restart });
                reply("shutdown_reply", answer.clone());
                shared.publish("shutdown_reply", answer, Some(&request));
                shared.status("idle", &request);
                // What has been said should be heard.
                tokio::time::sleep(Duration::from_millis(60)).await;
                shared.exit();
            }
            _ => {}
        }
        shared.status("idle", &request);
    }
}

async fn serve_shell(mut socket: RouterRecvConnection, shared: Arc<Shared>, jobs: mpsc::Sender<Job>) {
    loop {
        let request = next(&mut socket, &shared).await;
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
            shared.status("busy", &request);
            let data = json!({ "data": { "text/plain": text }, "metadata": {}, "transient": {} });
            shared.publish("display_data", data, Some(&request));
        });
    });
}

fn answer_at_once(shared: &Shared, request: &JupyterMessage) {
    // A change of a widget is in work until the cells' process has dealt with it.
    if let JupyterMessageContent::CommMsg(message) = &request.content {
        shared.status("busy", request);
        if !shared.comms.take_from_front_end(shared, request, message) {
            shared.status("idle", request);
        }
        return;
    }
    shared.status("busy", request);
    match &request.content {
        JupyterMessageContent::KernelInfoRequest(_) => shared.reply(request, "kernel_info_reply", kernel_info()),
        JupyterMessageContent::IsCompleteRequest(asked) => {
            let answer = serde_json::to_value(whole::is_complete(&asked.code)).unwrap_or_default();
            shared.reply(request, "is_complete_reply", answer);
        }
        JupyterMessageContent::HistoryRequest(asked) => {
            let history = shared.history.lock().map(|history| history.clone()).unwrap_or_default();
            let entries = crate::history::select(&history, asked);
            shared.reply(request, "history_reply", json!({ "status": "ok", "history": entries }));
        }
        JupyterMessageContent::CommInfoRequest(asked) => {
            let comms = shared.comms.info(asked.target_name.as_deref());
            shared.reply(request, "comm_info_reply", json!({ "status": "ok", "comms": comms }));
        }
        // Every line is opened by the kernel; one that nobody knows is closed again.
        JupyterMessageContent::CommOpen(opened) => {
            shared.publish("comm_close", json!({ "comm_id": opened.comm_id, "data": {} }), Some(request));
        }
        JupyterMessageContent::CommClose(closed) => shared.comms.forget(&closed.comm_id.0),
        _ => {}
    }
    shared.status("idle", request);
}

fn kernel_info() -> Value {
    json!({
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
    })
}
