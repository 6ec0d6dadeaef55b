//! What a cell writes, on its way to the notebook.
//!
//! Two threads read the cells' standard output and error and publish what comes, in its order. When the
//! cell has ended on both, evcxr is told. What a failed `?` prints is kept back for the error's report.

use crate::link::Link;
use crate::notebook::content;
use crate::pace::{PACE, Pacer};
use crate::panics::lock;
use crate::platform::{self, reads_input};
use crate::shared::Shared;
use crate::stream::{Piece, Splitter};
use glasslab_wire::{Bundle, FromCell, ToCell};
use jupyter_protocol::{ClearOutput, CommId, CommMsg, CommOpen, JupyterMessage, JupyterMessageContent};
use rustix::io::ioctl_fionread;
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::{Duration, Instant};

/// What evcxr's code prints when a `?` has left the cell.
const FAILED: &str = "EVCXR_ERROR_OCCURRED";
const PANICKED: &str = "EVCXR_PANIC_NOTIFICATION";
/// Standard error is kept back this long, in case it is what a failed `?` prints, and so much of it. What has begun
/// before that is shown as far as its lines are whole, and after `LONG_HOLD` in any case.
const HOLD: Duration = Duration::from_millis(40);
const LONG_HOLD: Duration = Duration::from_millis(200);
const HELD: usize = 1 << 16;
/// Of a dying process's standard error so many bytes are looked at.
const LAST_WORDS: usize = 4096;

/// A panic: its sentence, the line of the generated source, and the place.
#[derive(Debug, Clone)]
pub struct Panic {
    /// Its sentence.
    pub message: String,
    /// The line of the cell's generated source.
    pub line: Option<u32>,
    /// `file:line` of the place that panicked.
    pub place: String,
}

/// The cell whose output comes.
#[derive(Default)]
struct Now {
    request: Option<JupyterMessage>,
    silent: bool,
    for_evcxr: Vec<String>,
    panic: Option<Panic>,
    failed_line: Option<u32>,
    error_text: String,
    /// When the first of it came.
    error_since: Option<Instant>,
    blocks: Bundle,
    value: Option<Bundle>,
    saved: Option<String>,
    output_ended: Option<u64>,
    errors_ended: Option<u64>,
    /// Text on its way to the notebook.
    text: Pacer,
    /// The end of what has come on standard error.
    last_words: String,
}

/// How a cell that has run came out.
#[derive(Default)]
pub struct CellResult {
    /// The value of its last expression.
    pub value: Option<Bundle>,
    /// A panic that ended it.
    pub panic: Option<Panic>,
    /// An error that ended it: what it says, and the line of the generated source.
    pub failure: Option<(String, Option<u32>)>,
    /// Where a training has kept its model on the way.
    pub saved: Option<String>,
    /// The end of what it printed to standard error.
    pub last_words: String,
}

/// The way of a cell's output.
#[derive(Clone)]
pub struct Output {
    now: Arc<Mutex<Now>>,
    shared: Arc<Shared>,
    to_cell: mpsc::Sender<ToCell>,
    input: Arc<Mutex<UnixStream>>,
    errors: Arc<UnixStream>,
    output: Arc<UnixStream>,
    /// What takes standard output and error apart.
    splitters: Arc<[Mutex<Splitter>; 2]>,
}

impl Output {
    /// Starts the threads.
    pub fn start(link: Link, shared: Arc<Shared>) -> anyhow::Result<Output> {
        let (to_cell, messages) = mpsc::channel::<ToCell>();
        let output = Output {
            now: Arc::default(),
            shared: shared.clone(),
            to_cell: to_cell.clone(),
            input: Arc::new(Mutex::new(link.input.try_clone()?)),
            errors: Arc::new(link.errors.try_clone()?),
            output: Arc::new(link.output.try_clone()?),
            splitters: Arc::new([Mutex::new(Splitter::new(&link.mark)), Mutex::new(Splitter::new(&link.mark))]),
        };
        shared.comms.connect(to_cell);
        for is_error in [false, true] {
            let output = output.clone();
            let socket = if is_error { link.errors.try_clone()? } else { link.output.try_clone()? };
            std::thread::spawn(move || output.read(socket, is_error));
        }
        let asking = output.clone();
        std::thread::spawn(move || asking.notice_reading());
        std::thread::spawn(move || {
            // The whole link lives here: the cells' ends must stay open for the processes to come.
            let link = link;
            for message in messages {
                if let Ok(bytes) = serde_json::to_vec(&message) {
                    _ = platform::send(&link.control, &bytes);
                }
            }
        });
        Ok(output)
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        lock(&self.now)
    }

    /// From here on the output is this request's.
    pub fn begin(&self, request: &JupyterMessage, silent: bool) {
        let mut now = self.now();
        self.flush(&mut now);
        *now = Now { request: Some(request.clone()), silent, ..Now::default() };
    }

    /// What is known of the cell, which has ended.
    pub fn take(&self) -> CellResult {
        let mut now = self.now();
        let left_out = now.text.left_out();
        self.stream(&mut now, "stderr", &left_out);
        self.flush(&mut now);
        let is_in = |line: &str| now.for_evcxr.iter().any(|other| other == line);
        let (panicked, failed) = (is_in(PANICKED), is_in(FAILED));
        let text = std::mem::take(&mut now.error_text);
        CellResult {
            value: now.value.take(),
            panic: now.panic.take().filter(|_| panicked),
            failure: failed.then(|| (text, now.failed_line)),
            saved: now.saved.take(),
            last_words: std::mem::take(&mut now.last_words),
        }
    }

    /// Waits until all that a process wrote before it died has been published. What it left unfinished is not continued
    /// by the next, and nobody answers what it asked.
    pub fn drain(&self) {
        for _ in 0..100 {
            std::thread::sleep(Duration::from_millis(5));
            if [&self.output, &self.errors].iter().all(|socket| ioctl_fionread(socket).is_ok_and(|bytes| bytes == 0)) {
                break;
            }
        }
        std::thread::sleep(HOLD + Duration::from_millis(10));
        for is_error in [false, true] {
            let pieces = self.splitter(is_error).finish();
            pieces.into_iter().for_each(|piece| self.take_piece_of(piece, is_error));
        }
        self.publish_errors();
        self.shared.interrupt.set_running(false);
        self.forget_question();
    }

    fn splitter(&self, is_error: bool) -> MutexGuard<'_, Splitter> {
        lock(&self.splitters[usize::from(is_error)])
    }

    fn read(&self, mut socket: UnixStream, is_error: bool) {
        let mut buffer = vec![0; 1 << 16];
        if is_error && socket.set_read_timeout(Some(HOLD)).is_err() {
            return;
        }
        let mut waits = false;
        loop {
            match socket.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => {
                    let pieces = self.splitter(is_error).feed(&buffer[..length]);
                    pieces.into_iter().for_each(|piece| self.take_piece_of(piece, is_error));
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    if is_error {
                        self.publish_errors();
                    }
                    let mut now = self.now();
                    self.flush(&mut now);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
            // Text that waits for its turn does not wait for more to come.
            let waiting = !self.now().text.is_empty();
            if !is_error && std::mem::replace(&mut waits, waiting) != waiting {
                _ = socket.set_read_timeout(waiting.then_some(PACE));
            }
        }
    }

    fn take_piece_of(&self, piece: Piece, is_error: bool) {
        if is_error { self.take_error_piece(piece) } else { self.take_piece(piece) }
    }

    fn take_error_piece(&self, piece: Piece) {
        match piece {
            Piece::Text(text) => {
                let mut now = self.now();
                self.publish_older_errors(&mut now);
                if now.error_text.is_empty() {
                    now.error_since = Some(Instant::now());
                }
                now.error_text.push_str(&text);
                now.last_words = end_of(&(std::mem::take(&mut now.last_words) + &text), LAST_WORDS).to_owned();
                // What pours in is no error that a `?` passes on.
                if now.error_text.len() > HELD {
                    let text = std::mem::take(&mut now.error_text);
                    self.stream(&mut now, "stderr", &text);
                }
            }
            Piece::Message(FromCell::Ended { number }) => {
                self.now().errors_ended = Some(number);
                self.settle();
            }
            _ => {}
        }
    }

    /// What has been kept back for long enough, while more comes.
    fn publish_older_errors(&self, now: &mut Now) {
        let age = now.error_since.map_or(Duration::ZERO, |since| since.elapsed());
        let whole = now.error_text.rfind(['\n', '\r']).map_or(0, |at| at + 1);
        let end = if age >= LONG_HOLD { now.error_text.len() } else { whole };
        if age >= HOLD && end > 0 {
            let text: String = now.error_text.drain(..end).collect();
            now.error_since = Some(Instant::now());
            self.stream(now, "stderr", &text);
        }
    }

    fn publish_errors(&self) {
        let mut now = self.now();
        // If the cell has just ended, `settle` knows whether this is its error.
        if now.errors_ended.is_none() || now.errors_ended == now.output_ended {
            let text = std::mem::take(&mut now.error_text);
            self.stream(&mut now, "stderr", &text);
        }
    }

    fn take_piece(&self, piece: Piece) {
        let mut now = self.now();
        match piece {
            Piece::Text(text) => {
                self.show_held(&mut now);
                self.stream(&mut now, "stdout", &text);
            }
            Piece::ForEvcxr(line) => now.for_evcxr.push(line),
            Piece::Content(mime_type, content) => {
                // Blocks that follow each other are forms of one thing, unless a form comes twice.
                if now.blocks.contains_key(&mime_type) || now.value.is_some() && now.blocks.is_empty() {
                    self.show_held(&mut now);
                }
                let parsed = mime_type.contains("json").then(|| serde_json::from_str(&content).ok()).flatten();
                now.blocks.insert(mime_type, parsed.unwrap_or(Value::from(content)));
            }
            Piece::Message(message) => self.take_message(now, message),
        }
    }

    fn take_message(&self, mut now: MutexGuard<'_, Now>, message: FromCell) {
        self.flush(&mut now);
        let request = now.request.clone();
        let (notebook, parent) = (&self.shared.notebook, request.as_ref());
        match message {
            FromCell::Display { data, id } => {
                self.show_held(&mut now);
                if now.text.takes_picture() {
                    notebook.show(data, id, parent);
                }
            }
            FromCell::Update { data, id } => {
                let shown = json!({ "data": data, "metadata": {}, "transient": { "display_id": id } });
                notebook.publish(content("update_display_data", shown), parent);
            }
            FromCell::Value { data } => {
                self.show_held(&mut now);
                now.value = Some(data);
            }
            FromCell::Clear { wait } => {
                now.value = None;
                notebook.publish(ClearOutput { wait }, parent);
            }
            FromCell::CommOpen { id, target, metadata, data } => {
                self.show_held(&mut now);
                self.shared.comms.remember(&id, &target, &data);
                let opened = CommOpen { comm_id: CommId(id), target_name: target, data, target_module: None };
                notebook.publish_with(opened, metadata, parent);
            }
            FromCell::CommMessage { id, data } => {
                self.shared.comms.take_from_cell(&id, &data);
                notebook.publish(CommMsg { comm_id: CommId(id), data }, parent);
            }
            FromCell::Handled { number } => self.shared.comms.handled(number),
            FromCell::Panic { message, line, place } => {
                // One that was caught, by the cell or at the end of a thread, is only told: at once where no cell runs.
                let earlier = now.panic.replace(Panic { message, line, place });
                self.tell(&mut now, earlier);
                if !self.shared.interrupt.is_running() {
                    let last = now.panic.take();
                    self.tell(&mut now, last);
                    self.flush(&mut now);
                }
            }
            FromCell::Failed { line } => now.failed_line = line,
            FromCell::Saved { path } => now.saved = Some(path),
            FromCell::Input { prompt, password } => {
                drop(now);
                self.ask(&prompt, password);
            }
            FromCell::Begun => {
                // evcxr starts a cell anew after it has dropped a variable of a changed type, which it has heard then.
                now.for_evcxr.clear();
                self.shared.interrupt.set_running(true);
            }
            FromCell::Ended { number } => {
                self.shared.interrupt.set_running(false);
                now.output_ended = Some(number);
                drop(now);
                self.settle();
            }
        }
    }

    /// When both streams have come to the cell's end, evcxr may go on.
    fn settle(&self) {
        let mut now = self.now();
        let (Some(number), true) = (now.output_ended, now.output_ended == now.errors_ended) else { return };
        let blocks = std::mem::take(&mut now.blocks);
        if !blocks.is_empty() {
            now.value = Some(blocks);
        }
        if !now.for_evcxr.iter().any(|line| line == FAILED) {
            let text = std::mem::take(&mut now.error_text);
            self.stream(&mut now, "stderr", &text);
        }
        if !now.for_evcxr.iter().any(|line| line == PANICKED) {
            let panic = now.panic.take();
            self.tell(&mut now, panic);
        }
        let lines = now.for_evcxr.clone();
        _ = self.to_cell.send(ToCell::Settled { number, lines });
    }

    fn tell(&self, now: &mut Now, panic: Option<Panic>) {
        if let Some(panic) = panic {
            self.stream(now, "stderr", &format!("panicked at {}: {}\n", panic.place, panic.message));
        }
    }

    /// What was kept as the cell's value was not the last thing it showed.
    fn show_held(&self, now: &mut Now) {
        let blocks = std::mem::take(&mut now.blocks);
        for data in now.value.take().into_iter().chain((!blocks.is_empty()).then_some(blocks)) {
            self.flush(now);
            if now.text.takes_picture() {
                self.shared.notebook.show(data, None, now.request.as_ref());
            }
        }
    }

    /// Text goes to the notebook, with what has come just before and comes just after it.
    fn stream(&self, now: &mut Now, name: &'static str, text: &str) {
        if !text.is_empty() && !now.silent && now.text.take(name, text) {
            self.flush(now);
        }
    }

    fn flush(&self, now: &mut Now) {
        for (name, text) in now.text.flush() {
            self.shared.notebook.print(name, text, now.request.as_ref());
        }
    }

    /// Asks the person, and gives the answer to the cell as a line of its standard input.
    fn ask(&self, prompt: &str, password: bool) {
        let request = self.now().request.clone();
        let asked = request.filter(|request| match &request.content {
            JupyterMessageContent::ExecuteRequest(asked) => asked.allow_stdin,
            _ => false,
        });
        // Where nobody will answer, an empty line lets the cell go on.
        let Some(request) = asked.filter(|_| !self.shared.interrupt.is_asked()) else { return self.type_line("") };
        let (sender, answer) = mpsc::channel();
        *lock(&self.shared.answer) = Some(sender);
        self.shared.notebook.ask(&request, prompt, password);
        let this = self.clone();
        std::thread::spawn(move || {
            loop {
                match answer.recv_timeout(Duration::from_millis(100)) {
                    Ok(line) => return this.type_line(&line),
                    Err(mpsc::RecvTimeoutError::Timeout) if this.shared.interrupt.is_asked() => {
                        this.forget_question();
                        return this.type_line("");
                    }
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    // The process that asked is gone.
                    Err(mpsc::RecvTimeoutError::Disconnected) => return,
                }
            }
        });
    }

    fn type_line(&self, line: &str) {
        _ = lock(&self.input).write_all(format!("{line}\n").as_bytes());
    }

    fn forget_question(&self) {
        *lock(&self.shared.answer) = None;
    }

    /// A cell that reads standard input without a word asks as well.
    fn notice_reading(&self) {
        let mut before = false;
        loop {
            std::thread::sleep(Duration::from_millis(150));
            let is_reading = self.shared.interrupt.is_running()
                && lock(&self.shared.answer).is_none()
                && self.shared.interrupt.child_id().is_some_and(reads_input);
            // Twice in a row: an answer may be just on its way.
            if is_reading && before {
                self.ask("", false);
            }
            before = is_reading && !before;
        }
    }
}

/// The last bytes of a text, from a whole character on.
fn end_of(text: &str, bytes: usize) -> &str {
    let begin = (text.len().saturating_sub(bytes)..=text.len()).find(|at| text.is_char_boundary(*at));
    &text[begin.unwrap_or(text.len())..]
}
