//! Tests of output, comms and engine with a fake process of the cells at the other end of the real sockets.

use crate::engine::Engine;
use crate::job::Job;
use crate::link::Link;
use crate::notebook::{Notebook, content};
use crate::output::Output;
use crate::shared::Shared;
use glasslab_wire::{FromCell, ToCell, frame};
use jupyter_protocol::{CommMsg, ExecuteRequest, JupyterMessage, JupyterMessageContent};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// The cells' ends, and all that the kernel says to the notebook.
struct Fake {
    shared: Arc<Shared>,
    output: Output,
    mark: String,
    out: UnixStream,
    errors: UnixStream,
    input: UnixStream,
    control: UnixDatagram,
    /// iopub, shell, stdin.
    said: [UnboundedReceiver<JupyterMessage>; 3],
}

impl Fake {
    fn new() -> Fake {
        let (iopub, heard) = unbounded_channel();
        let (shell, replied) = unbounded_channel();
        let (stdin, asked) = unbounded_channel();
        let shared = Shared::new(Notebook::new([iopub, shell, stdin]), None);
        let link = Link::join().unwrap();
        let mut ends = link.theirs.iter().map(|end| end.try_clone().unwrap());
        let mut next = || ends.next().unwrap();
        let (out, errors, input) = (UnixStream::from(next()), UnixStream::from(next()), UnixStream::from(next()));
        let control = UnixDatagram::from(next());
        input.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        control.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mark = link.mark.clone();
        let output = Output::start(link, shared.clone()).unwrap();
        Fake { shared, output, mark, out, errors, input, control, said: [heard, replied, asked] }
    }

    /// A cell begins.
    fn begin(&mut self) -> JupyterMessage {
        let request = execute("1", true);
        self.output.begin(&request, false);
        self.say(&FromCell::Begun);
        request
    }

    fn say(&mut self, message: &FromCell) {
        self.out.write_all(&frame(&self.mark, message)).unwrap();
    }

    /// A cell ends; the lines that evcxr gets.
    fn end(&mut self, number: u64) -> Vec<String> {
        let ended = frame(&self.mark, &FromCell::Ended { number });
        self.errors.write_all(&ended).unwrap();
        self.out.write_all(&ended).unwrap();
        loop {
            if let ToCell::Settled { number: settled, lines } = self.told() {
                assert_eq!(settled, number);
                return lines;
            }
        }
    }

    /// What the kernel tells the cells next.
    fn told(&self) -> ToCell {
        let mut buffer = vec![0; 1 << 16];
        let length = self.control.recv(&mut buffer).unwrap();
        serde_json::from_slice(&buffer[..length]).unwrap()
    }

    /// A line that the kernel types.
    fn typed(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let mut byte = [0];
            self.input.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    }

    /// The next message on one of the ways.
    fn next(&mut self, way: usize) -> (String, Value) {
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            if let Ok(message) = self.said[way].try_recv() {
                return described(&message);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("nothing came");
    }

    /// All that was said to the notebook so far, in short.
    fn shown(&mut self) -> String {
        let mut shown = String::new();
        while let Ok(message) = self.said[0].try_recv() {
            let (kind, content) = described(&message);
            shown += &match kind.as_str() {
                "stream" => content["text"].as_str().unwrap().to_owned(),
                "display_data" => format!("[{}]", content["data"]["text/plain"].as_str().unwrap()),
                "status" => format!("<{}>", content["execution_state"].as_str().unwrap()),
                other => format!("<{other}>"),
            };
        }
        shown
    }
}

fn described(message: &JupyterMessage) -> (String, Value) {
    (message.header.msg_type.clone(), serde_json::to_value(&message.content).unwrap())
}

fn execute(code: &str, allow_stdin: bool) -> JupyterMessage {
    let asked = json!({
        "code": code, "silent": false, "store_history": true, "user_expressions": {}, "allow_stdin": allow_stdin, "stop_on_error": true,
    });
    JupyterMessage::new(content("execute_request", asked), None)
}

fn picture(name: &str) -> FromCell {
    let data = json!({ "text/plain": name }).as_object().unwrap().clone();
    FromCell::Display { data, id: None }
}

#[test]
fn text_and_pictures_keep_their_order_and_evcxr_hears_what_is_its_own() {
    let mut fake = Fake::new();
    fake.begin();
    for name in ["a", "b"] {
        fake.out.write_all(format!("before {name}").as_bytes()).unwrap();
        fake.say(&picture(name));
    }
    fake.out.write_all(b"after\nEVCXR_VARIABLE_CHANGED_TYPE:x\n").unwrap();
    assert_eq!(fake.end(1), ["EVCXR_VARIABLE_CHANGED_TYPE:x"]);
    // evcxr runs the cell anew without that variable: it must not hear of it again, or it would do so for ever.
    fake.say(&FromCell::Begun);
    assert_eq!(fake.end(2), Vec::<String>::new());
    fake.output.take();
    assert_eq!(fake.shown(), "before a[a]before b[b]after\n");
}

#[test]
fn of_a_process_that_died_nothing_reaches_the_next_cell() {
    let mut fake = Fake::new();
    fake.begin();
    let half = frame(&fake.mark, &picture("half"));
    fake.out.write_all(&[b"text ", &half[..half.len() / 2]].concat()).unwrap();
    fake.errors.write_all(b"last words").unwrap();
    fake.output.drain();
    let last_words = fake.output.take().last_words;
    assert_eq!((fake.shown().as_str(), last_words.as_str()), ("text last words", "last words"));
    fake.begin();
    fake.out.write_all(b"next").unwrap();
    fake.end(2);
    fake.output.take();
    assert_eq!(fake.shown(), "next");
}

#[test]
fn a_thread_that_panics_after_its_cell_is_heard_at_once() {
    let mut fake = Fake::new();
    fake.begin();
    fake.end(1);
    fake.output.take();
    fake.say(&FromCell::Panic { message: "late".into(), line: None, place: "a.rs:1".into() });
    let (kind, said) = fake.next(0);
    assert_eq!((kind.as_str(), said["text"].as_str()), ("stream", Some("panicked at a.rs:1: late\n")));
}

#[test]
fn errors_that_never_pause_are_shown_before_their_cell_ends() {
    let mut fake = Fake::new();
    fake.begin();
    let (mut errors, begun) = (fake.errors.try_clone().unwrap(), Instant::now());
    let writes = std::thread::spawn(move || {
        while begun.elapsed() < Duration::from_millis(600) {
            errors.write_all(b"line\n").unwrap();
            std::thread::sleep(Duration::from_millis(15));
        }
    });
    let (_, said) = fake.next(0);
    assert_eq!(said["name"], "stderr");
    assert!(!writes.is_finished(), "it was shown while more came");
    writes.join().unwrap();
    // What a failed `?` prints is not shown on its way.
    std::thread::sleep(Duration::from_millis(100));
    fake.shown();
    fake.errors.write_all(b"the error\n").unwrap();
    fake.out.write_all(b"EVCXR_ERROR_OCCURRED\n").unwrap();
    fake.end(1);
    assert_eq!(fake.output.take().failure.unwrap().0, "the error\n");
    assert_eq!(fake.shown(), "");
}

#[test]
fn a_question_that_was_stopped_leaves_the_next_one_askable() {
    let mut fake = Fake::new();
    fake.shared.interrupt.queued();
    fake.shared.interrupt.begin();
    fake.begin();
    fake.say(&FromCell::Input { prompt: "name?".into(), password: false });
    assert_eq!(fake.next(2).1["prompt"], "name?");
    fake.shared.interrupt.stop(|| {});
    assert_eq!(fake.typed(), "\n");
    assert!(fake.shared.answer.lock().unwrap().is_none());
    // A cell that goes on asking is not answered by a person who wants it to stop.
    fake.say(&FromCell::Input { prompt: "again?".into(), password: false });
    assert_eq!(fake.typed(), "\n");
    fake.end(1);
    fake.shared.interrupt.end();
    fake.begin();
    fake.say(&FromCell::Input { prompt: "next?".into(), password: false });
    assert_eq!(fake.next(2).1["prompt"], "next?");
    fake.shared.answer.lock().unwrap().take().unwrap().send("Ada".into()).unwrap();
    assert_eq!(fake.typed(), "Ada\n");
}

#[test]
fn nobody_answers_what_a_dead_process_has_asked() {
    let mut fake = Fake::new();
    fake.begin();
    fake.say(&FromCell::Input { prompt: "name?".into(), password: false });
    fake.next(2);
    fake.output.drain();
    assert!(fake.shared.answer.lock().unwrap().is_none());
    fake.begin();
    fake.say(&FromCell::Input { prompt: "next?".into(), password: false });
    fake.next(2);
    fake.shared.answer.lock().unwrap().take().unwrap().send("Ada".into()).unwrap();
    assert_eq!(fake.typed(), "Ada\n", "and no line of the first question's");
}

#[test]
fn a_widget_that_is_moved_reaches_the_cells_and_is_in_work_until_they_have_dealt_with_it() {
    let mut fake = Fake::new();
    fake.begin();
    let state = |value: f64| json!({ "state": { "value": value } }).as_object().unwrap().clone();
    let (id, metadata) = ("w".to_owned(), json!({}));
    fake.say(&FromCell::CommOpen { id: id.clone(), target: "jupyter.widget".into(), metadata, data: state(1.0) });
    assert_eq!(fake.next(0).0, "comm_open");
    let moved = json!({ "comm_id": "w", "data": { "method": "update", "state": { "value": 2.0 } } });
    let request = JupyterMessage::new(content("comm_msg", moved), None);
    let JupyterMessageContent::CommMsg(message) = &request.content else { panic!("{request:?}") };
    let message: &CommMsg = message;
    assert!(fake.shared.comms.take_from_front_end(&request, message));
    let ToCell::Comm { number, .. } = fake.told() else { panic!("no message to the cells") };
    assert_eq!(fake.shown(), "");
    fake.say(&FromCell::Handled { number });
    assert_eq!(fake.next(0).1["execution_state"], "idle");
    fake.shared.comms.close_all();
    assert_eq!(fake.shown(), "<comm_close>");
}

#[test]
fn each_cell_is_answered_once_also_where_there_is_no_evcxr() {
    let fake = Fake::new();
    let (jobs, received) = mpsc::channel();
    let mut requests = Vec::new();
    for code in ["1 + 1", ":opt 9", "", "2 + 2"] {
        let request = execute(code, false);
        let JupyterMessageContent::ExecuteRequest(asked) = &request.content else { panic!("{request:?}") };
        let asked: ExecuteRequest = asked.clone();
        fake.shared.interrupt.queued();
        jobs.send(Job::Execute(Box::new(request.clone()), asked)).unwrap();
        requests.push(request.header.msg_id);
    }
    drop(jobs);
    let context = Err("there is none".to_owned());
    Engine::new(fake.shared.clone(), fake.output.clone(), received, "src/lib.rs".into(), context).serve();
    let [mut heard, mut replied, _] = fake.said;
    let mut states = Vec::new();
    while let Ok(message) = heard.try_recv() {
        let (kind, content) = described(&message);
        if kind == "status" {
            states
                .push((message.parent_header.unwrap().msg_id, content["execution_state"].as_str().unwrap().to_owned()));
        }
    }
    let expected = requests.iter().flat_map(|id| ["busy", "idle"].map(|state| (id.clone(), state.to_owned())));
    assert_eq!(states, expected.collect::<Vec<_>>());
    let mut statuses = Vec::new();
    while let Ok(message) = replied.try_recv() {
        statuses.push(described(&message).1["status"].as_str().unwrap().to_owned());
    }
    // What already waited when one failed is not run.
    assert_eq!(statuses, ["error", "aborted", "aborted", "aborted"]);
}
