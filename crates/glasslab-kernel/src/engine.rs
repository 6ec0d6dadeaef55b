//! The thread that evaluates.
//!
//! evcxr loads behind the open sockets; then cells, completions and look-ups are done one after the other. After a
//! cell that failed or was stopped, the cells that were already waiting are not run (Jupyter's `stop_on_error`).

use crate::cell::commands::{self, Command, commands};
use crate::cell::declared::Macros;
use crate::cell::impls::Impls;
use crate::cell::versions::Versions;
use crate::cell::{code, whole};
use crate::completion;
use crate::interrupt::{Cause, GRACE};
use crate::job::Job;
use crate::notebook::content;
use crate::output::{CellResult, Output};
use crate::panics::{caught, lock};
use crate::quick::paths::Paths;
use crate::quick::prepare::PRELUDE;
use crate::quick::shortcut;
use crate::report::{self, Report};
use crate::shared::Shared;
use evcxr::{CommandContext, EvalCallbacks, EvalOutputs};
use jupyter_protocol::{
    ClearOutput, ErrorOutput, ExecuteInput, ExecuteReply, ExecuteRequest, ExecutionCount, JupyterMessage, ReplyError,
    ReplyStatus,
};
use serde_json::{Map, Value, json};
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Instant;

/// Where it is set, the kernel tells how long its parts take.
const TRACE: &str = "GLASSLAB_TRACE";

/// The evaluating thread's own.
pub struct Engine {
    shared: Arc<Shared>,
    output: Output,
    jobs: mpsc::Receiver<Job>,
    waiting: VecDeque<Job>,
    /// evcxr, or why it could not be loaded.
    context: Result<CommandContext, String>,
    /// Where evcxr puts the generated source.
    source: PathBuf,
    /// Whether rust-analyzer knows the types of tensors.
    warm: bool,
    count: usize,
    saved: Option<String>,
    /// Which versions of functions and types are in use.
    versions: Versions,
    impls: Impls,
    macros: Macros,
    paths: Paths,
    /// Whether `:clear` could not bring the library back, because it was stopped.
    lacks_prelude: bool,
}

impl Engine {
    /// Loads evcxr and does jobs until the kernel ends. It must stay one thread: the cells' process ends with it.
    pub fn run(shared: Arc<Shared>, output: Output, jobs: mpsc::Receiver<Job>, session: PathBuf) {
        shared.loading.begin();
        let context = load(&shared).map_err(|error| format!("The kernel could not start: {error}"));
        shared.loading.finish();
        Engine::new(shared, output, jobs, session.join("src/lib.rs"), context).serve();
    }

    /// With evcxr, or why it is not there.
    pub fn new(
        shared: Arc<Shared>,
        output: Output,
        jobs: mpsc::Receiver<Job>,
        source: PathBuf,
        context: Result<CommandContext, String>,
    ) -> Engine {
        Engine {
            shared,
            output,
            jobs,
            waiting: VecDeque::new(),
            context,
            source,
            warm: false,
            count: 0,
            saved: None,
            versions: Versions::default(),
            impls: Impls::default(),
            macros: Macros::default(),
            paths: Paths::default(),
            lacks_prelude: false,
        }
    }

    /// Does jobs until nobody sends any more.
    pub fn serve(&mut self) {
        while let Some(job) = self.next() {
            self.shared.interrupt.begin();
            let request = job.request().clone();
            *lock(&self.shared.running) = Some(request.clone());
            if caught(|| self.perform(job)).is_none() {
                self.answer_as_stumbled(&request);
            }
            if self.shared.interrupt.end() {
                self.abort_waiting();
            }
        }
    }

    fn next(&mut self) -> Option<Job> {
        let waiting = self.waiting.pop_front().or_else(|| self.jobs.try_recv().ok());
        waiting.or_else(|| {
            self.warm_up();
            self.jobs.recv().ok()
        })
    }

    /// What rust-analyzer has to find out once, it finds out as soon as nobody waits: the types behind a tensor's methods.
    fn warm_up(&mut self) {
        let sample = "let sample = Tensor::from_slice(&[1.0]).matmul(&Tensor::from_slice(&[1.0])); sample.";
        if let Ok(context) = &mut self.context
            && !std::mem::replace(&mut self.warm, true)
        {
            let begun = Instant::now();
            let _ = caught(|| context.completions(sample, sample.len()));
            if std::env::var_os(TRACE).is_some() {
                eprintln!("warm-up: {:.1?}", begun.elapsed());
            }
        }
    }

    fn perform(&mut self, job: Job) {
        match job {
            Job::Execute(request, asked) => {
                if !self.shared.loading.was_told(&request) {
                    self.shared.notebook.busy(&request);
                }
                let is_well = self.execute(&request, &asked);
                self.shared.notebook.idle(&request);
                if !is_well && asked.stop_on_error {
                    self.abort_waiting();
                }
            }
            Job::Complete(request, asked) => {
                self.shared.notebook.busy(&request);
                let answer = completion::complete(self.context.as_mut().ok(), &asked);
                self.shared.notebook.reply(&request, answer);
                self.shared.notebook.idle(&request);
            }
            Job::Inspect(request, asked) => {
                self.shared.notebook.busy(&request);
                let answer = completion::inspect(self.context.as_mut().ok(), &asked);
                self.shared.notebook.reply(&request, answer);
                self.shared.notebook.idle(&request);
            }
        }
    }

    /// Answers a request in whose work the kernel itself has failed, so that nobody waits for it.
    fn answer_as_stumbled(&self, request: &JupyterMessage) {
        let report = report::stumbled();
        let kind = request.header.msg_type.replace("_request", "_reply");
        let answer = json!({
            "status": "error", "ename": report.name, "evalue": report.value, "traceback": report.lines,
            "execution_count": self.count,
        });
        self.publish_error(&report, request);
        self.shared.notebook.reply(request, content(&kind, answer));
        self.shared.notebook.idle(request);
    }

    /// The cells that waited when the last one ended are not run; one that is sent after its reply is.
    fn abort_waiting(&mut self) {
        for job in std::mem::take(&mut self.waiting) {
            if let Job::Execute(request, _) = &job {
                self.shared.notebook.busy(request);
                self.clear_note(request);
                self.shared.notebook.reply(request, self.answer(ReplyStatus::Aborted, None));
                self.shared.notebook.idle(request);
                self.shared.interrupt.dropped();
            } else {
                self.waiting.push_back(job);
            }
        }
    }

    fn clear_note(&self, request: &JupyterMessage) {
        if self.shared.loading.was_told(request) {
            self.shared.notebook.publish(ClearOutput { wait: false }, Some(request));
        }
    }

    /// Runs a cell and answers; true if it went well.
    fn execute(&mut self, request: &JupyterMessage, asked: &ExecuteRequest) -> bool {
        let code = asked.code.trim_end();
        self.clear_note(request);
        if !code.trim().is_empty() && !asked.silent && asked.store_history {
            self.count += 1;
        }
        if !asked.silent {
            let execution_count = ExecutionCount(self.count.max(1));
            let input = ExecuteInput { code: asked.code.clone(), execution_count };
            self.shared.notebook.publish(input, Some(request));
        }
        let result = if code.trim().is_empty() {
            Ok(Map::new())
        } else if self.shared.interrupt.is_asked() {
            self.versions.refused(&commands::without(code, |_| true), self.count, "was stopped");
            Err(Report::new("Stopped", "Stopped before it began.", &[]))
        } else {
            self.obey(request, asked.silent, code)
        };
        if asked.store_history && !code.trim().is_empty() {
            lock(&self.shared.history).push((self.count, code.to_owned()));
        }
        let is_well = result.is_ok();
        let answer = match result {
            Ok(data) => {
                if !data.is_empty() && !asked.silent {
                    let value = json!({ "execution_count": self.count, "data": data, "metadata": {}, "transient": {} });
                    self.shared.notebook.publish(content("execute_result", value), Some(request));
                }
                self.answer(ReplyStatus::Ok, None)
            }
            Err(report) => {
                if !asked.silent {
                    self.publish_error(&report, request);
                    if let Some(full) = &report.full {
                        self.shared.notebook.show(report::folded(full), None, Some(request));
                    }
                }
                self.answer(ReplyStatus::Error, Some(report))
            }
        };
        self.waiting.extend(self.jobs.try_iter());
        self.shared.notebook.reply(request, answer);
        is_well
    }

    fn publish_error(&self, report: &Report, request: &JupyterMessage) {
        let Report { name, value, lines, .. } = report.clone();
        self.shared.notebook.publish(ErrorOutput { ename: name, evalue: value, traceback: lines }, Some(request));
    }

    fn answer(&self, status: ReplyStatus, report: Option<Report>) -> ExecuteReply {
        let error = report
            .map(|report| ReplyError { ename: report.name, evalue: report.value, traceback: report.lines })
            .map(Box::new);
        let (execution_count, user_expressions) = (ExecutionCount(self.count), Some(HashMap::new()));
        ExecuteReply { status, execution_count, user_expressions, error, ..ExecuteReply::default() }
    }

    /// Does the commands above a cell's code that the lab does itself, then runs the rest.
    fn obey(&mut self, request: &JupyterMessage, silent: bool, code: &str) -> Result<Map<String, Value>, Report> {
        let commands = commands(code);
        // A line such as `:type x` is no definition of x.
        let rust = commands::without(code, |_| true);
        if let Some(refusal) = commands.iter().find_map(Command::refusal) {
            self.versions.refused(&rust, self.count, "was not run");
            return Err(Report::new("error", refusal, &[]));
        }
        let mut said = Vec::new();
        for command in &commands {
            match command.name {
                ":opt" => said.push(self.optimise(command.rest)?),
                ":clear" => said.push(self.clear()?),
                ":restart" => said.push(self.restart()?),
                _ => {}
            }
        }
        let rest = commands::without(code, |command| matches!(command.name, ":opt" | ":clear" | ":restart"));
        let said = said.join("\n");
        if !commands.is_empty() && !rest.lines().any(commands::is_code) {
            return Ok(Map::from_iter([("text/plain".to_owned(), said.into())]));
        }
        if !said.is_empty() && !silent {
            self.shared.notebook.print("stdout", said + "\n", Some(request));
        }
        if let Some(lack) = whole::lack(&rust) {
            self.versions.refused(&rust, self.count, "is unfinished");
            return Err(Report::new("error", format!("The cell is unfinished: {lack}."), &[]));
        }
        // evcxr would say so after it has asked rust-analyzer for all types.
        if let Some(name) = code::closure(&rust) {
            self.versions.refused(&rust, self.count, "did not compile");
            return Err(report::refusal(&format!("The variable `{name}` is a closure, which cannot be persisted.")));
        }
        self.evaluate(request, silent, &rest)
    }

    /// Sets how far the cells' own code is optimised from now on; the library always is. Without a level it tells the
    /// present one.
    fn optimise(&self, level: &str) -> Result<String, Report> {
        let file = self.source.with_file_name("..").join(shortcut::OPT_LEVEL);
        if level.is_empty() {
            return Ok(format!(
                "The code of cells is optimised at level {} (the library at 2).",
                shortcut::opt_level(&file)
            ));
        }
        if !matches!(level, "0" | "1" | "2" | "3") {
            return Err(Report::new("error", format!("expected :opt 0, 1, 2 or 3, got :opt {level}"), &[]));
        }
        std::fs::write(file, level).map_err(|error| Report::new("error", error.to_string(), &[]))?;
        Ok(format!("The code of cells is optimised at level {level} from now on (the library at 2)."))
    }

    /// Forgets everything, as at a fresh start.
    fn clear(&mut self) -> Result<String, Report> {
        let context = self.context.as_mut().map_err(|error| Report::new("NotReady", error.clone(), &[]))?;
        context.execute(":clear").map_err(|error| report::refusal(&error.to_string()))?;
        self.lacks_prelude = context.execute(PRELUDE).is_err();
        self.shared.comms.close_all();
        self.versions.clear();
        self.impls.clear();
        self.macros.clear();
        self.paths.clear();
        Ok("All variables, functions and types are gone; the library is there as at the start.".to_owned())
    }

    /// Ends the cells' process and starts a new one. evcxr's own command would go on as if the variables were there.
    fn restart(&mut self) -> Result<String, Report> {
        let context = self.context.as_mut().map_err(|error| Report::new("NotReady", error.clone(), &[]))?;
        self.versions.lost(variables(context), "", self.count, true);
        // One that has ended already is as good.
        let _ = lock(&context.process_handle()).kill();
        // evcxr finds it dead by the next cell, and forgets all that was in it.
        match context.execute("();") {
            Err(evcxr::Error::SubprocessTerminated(_)) => {}
            Err(error) => return Err(report::refusal(&error.to_string())),
            Ok(_) => return Err(Report::new("error", "the cells' process did not end; restart the kernel", &[])),
        }
        self.output.drain();
        self.shared.comms.close_all();
        Ok("The process of the cells is a new one: all variables are gone, functions, types and `use` lines are kept."
            .to_owned())
    }

    /// Runs code; what it shows goes its own way, the value comes back.
    fn evaluate(&mut self, request: &JupyterMessage, silent: bool, code: &str) -> Result<Map<String, Value>, Report> {
        let context = self.context.as_mut().map_err(|error| Report::new("NotReady", error.clone(), &[]))?;
        self.output.begin(request, silent);
        let expanded = self.macros.expanded(code);
        let rust = commands::without(&expanded, |_| true);
        let earlier = self.versions.notes(&rust);
        if !silent && !earlier.is_empty() {
            let text = earlier.join("\n") + "\n";
            self.shared.notebook.print("stderr", text, Some(request));
        }
        let begun = Instant::now();
        let process = self.shared.interrupt.child_id();
        let stamps = Paths::stamps(code);
        let changed = self.paths.changed();
        let named = self.impls.name(&self.paths.current(&expanded));
        let before = variables(context);
        let mut outdated = Vec::new();
        let mut run = |context: &mut CommandContext| {
            caught(|| {
                if self.lacks_prelude {
                    context.execute(PRELUDE)?;
                    self.lacks_prelude = false;
                }
                if !changed.is_empty() {
                    context.execute(&changed.join("\n"))?;
                }
                outdated = let_go_of_outdated(context, &expanded);
                context.execute_with_callbacks(&named.code, &mut EvalCallbacks::default())
            })
        };
        let mut result = run(context);
        // The stop button may end the process just after the cell that it was meant for: that is no fault of this one.
        if matches!(result, Some(Err(evcxr::Error::SubprocessTerminated(_)))) && self.shared.interrupt.is_stray(process)
        {
            self.output.drain();
            self.shared.comms.close_all();
            self.output.begin(request, silent);
            let text = "The stop button has ended the process with all variables; functions and types are kept.\n";
            self.shared.notebook.print("stderr", text, Some(request));
            result = run(context);
        }
        let gone = outdated.iter().filter(|gone| context.variables_and_types().all(|(name, _)| name != **gone));
        let gone: Vec<&str> = gone.map(String::as_str).collect();
        if !gone.is_empty() {
            let text = format!(
                "Gone with the type that this cell defines anew: {}. Run the cell that makes it.\n",
                gone.join(", ")
            );
            self.shared.notebook.print("stderr", text, Some(request));
        }
        let interrupted = self.shared.interrupt.is_asked();
        let died = matches!(result, Some(Err(evcxr::Error::SubprocessTerminated(_))));
        if died {
            self.output.drain();
            self.shared.comms.close_all();
        }
        if std::env::var_os(TRACE).is_some()
            && let Some(Ok(outputs)) = &result
        {
            eprintln!("cell: {:?} in all, {:?}", begun.elapsed(), outputs.phases);
        }
        let outcome = self.output.take();
        self.saved = outcome.saved.clone().or(self.saved.take());
        let after = variables(context);
        let lost = before.into_iter().filter(|name| !after.contains(name)).collect();
        self.versions.lost(lost, &rust, self.count, died);
        if !matches!(result, Some(Ok(_))) && !changed.is_empty() {
            self.paths.retry();
        }
        match &result {
            Some(Ok(_)) => {
                self.versions.took(&rust, self.count);
                self.paths.take(code, stamps);
            }
            Some(Err(evcxr::Error::SubprocessTerminated(_))) => self.versions.refused(&rust, self.count, "was ended"),
            _ if interrupted => self.versions.refused(&rust, self.count, "was stopped"),
            _ => self.versions.refused(&rust, self.count, "did not compile"),
        }
        match result {
            Some(Ok(outputs)) => {
                self.impls.took(named);
                self.macros.took(code);
                self.finish(outcome, outputs, code)
            }
            Some(Err(_)) if interrupted && !died => Err(Report::new(
                "Stopped",
                "Stopped while it was compiled: nothing was run, and every variable is as before.",
                &[],
            )),
            Some(Err(evcxr::Error::SubprocessTerminated(status))) => match self.shared.interrupt.has_ended_child() {
                Some(cause) => Err(self.ended(cause)),
                None => Err(report::crash(&status, &outcome.last_words)),
            },
            Some(Err(evcxr::Error::CompilationErrors(errors))) => {
                Err(report::compilation(&errors, code, &named, |name| self.versions.missing(name)))
            }
            Some(Err(error)) => Err(report::refusal(&error.to_string())),
            None => Err(report::stumbled()),
        }
    }

    /// A cell that was compiled and has run.
    fn finish(&self, outcome: CellResult, outputs: EvalOutputs, code: &str) -> Result<Map<String, Value>, Report> {
        if let Some(panic) = outcome.panic {
            let place = self.place(panic.line, code);
            return Err(report::failure(&panic.message, place, "Panic"));
        }
        if let Some((text, line)) = outcome.failure {
            let place = self.place(line, code);
            return Err(report::failure(&text, place, "Error"));
        }
        let mut data = outcome.value.unwrap_or_default();
        for (mime_type, content) in outputs.content_by_mime_type {
            data.entry(mime_type).or_insert(Value::from(content));
        }
        // A unit is no news.
        if data.len() == 1 && data.get("text/plain").and_then(Value::as_str).is_some_and(|text| text.trim() == "()") {
            data.clear();
        }
        Ok(data)
    }

    fn place(&self, line: Option<u32>, code: &str) -> Option<String> {
        let generated = std::fs::read_to_string(&self.source).ok()?;
        report::place(line?, &generated, code, &lock(&self.shared.history))
    }

    /// A cell that did not stop by itself.
    fn ended(&self, cause: Cause) -> Report {
        let why = match cause {
            Cause::Deaf => format!("The cell did not stop within {} s and was ended.", GRACE.as_secs()),
            Cause::Stuck => "The cell had begun to stop, then was silent, and was ended.".to_owned(),
            Cause::Again => "The stop button was pressed again, and the cell was ended at once.".to_owned(),
        };
        let mut advice = vec![
            "All variables of the notebook are gone with it; functions, types and `use` lines are kept, and the next cell works."
                .to_owned(),
            "A loop of your own stops in time, and loses nothing, if it says: if should_stop() { break; }".to_owned(),
        ];
        advice.push(match &self.saved {
            Some(path) => format!("The last model that a training saved on its way: {path}"),
            None => "No training had saved a model on its way.".to_owned(),
        });
        Report::new("Stopped", why, &advice)
    }
}

/// Lets go of the variables of a type that the code defines anew, and gives their names: they would be of the old one. evcxr
/// tries such a cell for ever.
fn let_go_of_outdated(context: &mut CommandContext, code: &str) -> Vec<String> {
    let types = code::defined_types(code);
    let outdated = variables_of(context, &types);
    for name in &outdated {
        let _ = context.execute(&format!("drop({name});"));
    }
    // What can be copied is still there.
    for name in variables_of(context, &types) {
        let _ = context.execute(&format!("let {name} = ();"));
    }
    outdated
}

/// The names of all variables.
fn variables(context: &CommandContext) -> Vec<String> {
    context.variables_and_types().map(|(name, _)| name.to_owned()).collect()
}

/// The names of the variables whose type is made with one of these.
fn variables_of(context: &CommandContext, types: &[String]) -> Vec<String> {
    let is_of = |type_name: &str| types.iter().any(|name| code::is_made_with(type_name, name));
    context.variables_and_types().filter(|(_, made)| is_of(made)).map(|(name, _)| name.to_owned()).collect()
}

/// Starts evcxr with dependency and prelude.
fn load(shared: &Shared) -> Result<CommandContext, evcxr::Error> {
    let begun = Instant::now();
    let (mut context, outputs) = CommandContext::new()?;
    shared.interrupt.set_child(context.process_handle());
    // The cells' streams go past evcxr; here only what a process says before it has found its way.
    std::thread::spawn(move || outputs.stderr.iter().for_each(|line| eprintln!("{line}")));
    std::thread::spawn(move || outputs.stdout.iter().for_each(|line| eprintln!("{line}")));
    let evcxr = begun.elapsed();
    context.execute(PRELUDE)?;
    let prelude = begun.elapsed() - evcxr;
    if std::env::var_os(TRACE).is_some() {
        eprintln!("loaded: evcxr {evcxr:.1?}, prelude {prelude:.1?}");
    }
    Ok(context)
}
