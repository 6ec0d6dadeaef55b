//! Errors a learner can read.
//!
//! A compile error is shown at the learner's own line, with rustc's labels; what rustc says in full goes into a
//! fold. A panic and an error that `?` passed on name the cell's line and, where it is about shapes, what to do.

pub mod advice;
pub mod repair;

use crate::cell::impls::Named;
use crate::quick::shortcut::REFUSED;
use advice::Fault;
use evcxr::CompilationError;
use glasslab_wire::Bundle;
use repair::Help;
use serde_json::Value;
use unicode_width::UnicodeWidthStr;

const RED: &str = "\x1b[1;31m";
const BLUE: &str = "\x1b[1;34m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// An error as Jupyter shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Its kind, e.g. `error[E0308]`.
    pub name: String,
    /// One sentence.
    pub value: String,
    /// All lines, coloured.
    pub lines: Vec<String>,
    /// rustc's own words, to be folded away.
    pub full: Option<String>,
}

impl Report {
    /// A sentence in red, and what to do.
    pub fn new(name: &str, value: impl Into<String>, advice: &[String]) -> Report {
        let value = value.into();
        let mut lines: Vec<String> = value.lines().map(|line| format!("{RED}{line}{PLAIN}")).collect();
        lines.extend(advice.iter().map(|line| format!("{BOLD}{line}{PLAIN}")));
        Report { name: name.to_owned(), value, lines, full: None }
    }
}

/// rustc's errors about `code`, of which only the first few are shown in short. `missing` tells of a name that is not
/// found whether it stands in a cell that did not compile.
pub fn compilation(
    errors: &[CompilationError],
    code: &str,
    named: &Named,
    missing: impl Fn(&str) -> Option<String>,
) -> Report {
    const SHOWN: usize = 3;
    // An operator's two kinds of number are told twice: by the wrong one, and by both.
    let is_told = |at: usize| errors[at].code() == Some("E0277") && at > 0 && errors[at - 1].code() == Some("E0308");
    let is_again = |at: usize| is_told(at) && line_of(&errors[at]) == line_of(&errors[at - 1]);
    let errors: Vec<&CompilationError> = (0..errors.len()).filter(|at| !is_again(*at)).map(|at| &errors[at]).collect();
    let first = errors.first();
    let name = first.and_then(|error| error.code()).map_or("error".to_owned(), |code| format!("error[{code}]"));
    let mut lines = Vec::new();
    for error in errors.iter().take(SHOWN) {
        let code_name = error.code().map_or(String::new(), |code| format!("[{code}]"));
        lines.push(format!("{RED}error{code_name}{PLAIN}{BOLD}: {}{PLAIN}", message_of(error)));
        let marked = marked_lines(error, code, named);
        lines.extend(elsewhere(&error.json).filter(|_| marked.is_empty()));
        lines.extend(marked);
        lines.extend(help(&error.json, code, line_of(error)));
        let sought = error.message().split_once('`').and_then(|(_, rest)| missing(rest.split_once('`')?.0));
        lines.extend(sought.map(|sought| format!("{BLUE}note{PLAIN}: {sought}")));
        lines.push(String::new());
    }
    if errors.len() > SHOWN {
        lines.push(format!("… and {} more errors", errors.len() - SHOWN));
    }
    let full: String = errors.iter().map(|error| error.rendered()).collect();
    let value = first.map_or_else(|| "the cell does not compile".to_owned(), |error| message_of(error));
    Report { name, value, lines, full: (!full.trim().is_empty()).then_some(full) }
}

/// What an error says, with types by their plain names.
fn message_of(error: &CompilationError) -> String {
    // An error of a command's is in its own words.
    let plain = || if error.json.is_null() { error.message() } else { advice::without_paths(&error.message()) };
    advice::instead_of_evcxrs(&error.message()).unwrap_or_else(plain)
}

/// The cell's line that an error is about.
fn line_of(error: &CompilationError) -> Option<usize> {
    error.spanned_messages().iter().find(|said| said.is_primary)?.span.map(|span| span.start_line)
}

/// What to do about an error: rustc's own help, and what the lab knows better.
fn help(error: &Value, code: &str, place: Option<usize>) -> Vec<String> {
    let helps = repair::helps(error, code, place);
    let advice = Fault::new(error, code, place).advice(helps.iter().any(|help| !help.lines.is_empty()));
    let mut lines = Vec::new();
    let is_shown = |help: &&Help| advice.as_ref().is_none_or(|advice| !advice.alone && !help.is_list);
    for help in helps.iter().filter(is_shown) {
        let colon = if help.lines.is_empty() { "" } else { ":" };
        lines.push(format!("{BLUE}help{PLAIN}: {}{colon}", help.text));
        for (number, line) in &help.lines {
            let number = number.map_or("       ".to_owned(), |number| format!("line {number:>2}"));
            lines.push(format!("{BLUE}{number} |{PLAIN} {line}"));
        }
    }
    lines.extend(advice.map(|advice| format!("{BLUE}hint{PLAIN}: {}", advice.sentence)));
    lines
}

/// What evcxr itself has to say about a cell, or hands on of what the lab says in the place of cargo.
pub fn refusal(message: &str) -> Report {
    if let Some((_, refused)) = message.split_once(REFUSED) {
        return Report::new("error", refused.lines().next().unwrap_or_default(), &[]);
    }
    Report::new("error", advice::instead_of_evcxrs(message).unwrap_or_else(|| message.to_owned()), &[])
}

/// The learner's lines that an error is about, each with rustc's labels below it.
fn marked_lines(error: &CompilationError, code: &str, named: &Named) -> Vec<String> {
    let source: Vec<&str> = code.lines().collect();
    let mut spans: Vec<_> = error.spanned_messages().iter().filter_map(|said| Some((said.span?, said))).collect();
    spans.sort_by_key(|(span, said)| (span.start_line, !said.is_primary, span.start_column));
    let mut marks: Vec<Mark> = Vec::new();
    for (span, said) in spans {
        let Some(text) = source.get(span.start_line.wrapping_sub(1)) else { continue };
        let width = text.chars().count();
        let column = |line, column| named.column(line, column).saturating_sub(1).min(width);
        let begin = column(span.start_line, span.start_column);
        let end = if span.end_line == span.start_line { column(span.end_line, span.end_column) } else { width };
        // Where rustc has no label, evcxr repeats the error.
        let label = advice::without_paths(said.label.strip_prefix("error: ").map_or(&said.label, |_| ""));
        marks.push(Mark { line: span.start_line, begin, end: end.max(begin), is_primary: said.is_primary, label });
    }
    let mut lines = Vec::new();
    for of_line in marks.chunk_by(|one, other| one.line == other.line) {
        let shown = ShownLine::new(source[of_line[0].line - 1], of_line);
        lines.push(format!("{BLUE}line {:>2} |{PLAIN} {}", of_line[0].line, shown.text));
        for mark in of_line {
            let (indent, width) = shown.place(mark);
            let (sign, colour) = if mark.is_primary { ("^", RED) } else { ("-", BLUE) };
            let (indent, marks) = (" ".repeat(indent), sign.repeat(width));
            lines.push(format!("{BLUE}        |{PLAIN} {indent}{colour}{marks} {}{PLAIN}", mark.label));
        }
    }
    lines
}

/// The place of an error that is in no cell, but in a crate in a folder.
fn elsewhere(error: &Value) -> Option<String> {
    let span = error["spans"].as_array()?.iter().find(|span| span["is_primary"] == true)?;
    let (file, line) = (span["file_name"].as_str()?, span["line_start"].as_u64()?);
    let text = span["text"][0]["text"].as_str().unwrap_or_default();
    file.starts_with('/').then(|| format!("{BLUE}{file}, line {line} |{PLAIN} {}", text.trim()))
}

/// What is said about a part of a line, in characters from 0.
struct Mark {
    line: usize,
    begin: usize,
    end: usize,
    is_primary: bool,
    label: String,
}

/// A learner's line as it is shown: tabs as blanks, and of a very long one what is marked and what stands around that.
struct ShownLine {
    text: String,
    /// The column of each character of the line, and of its end.
    columns: Vec<usize>,
}

/// Lines up to this width are shown whole, of longer ones so much before and behind what is marked.
const WIDE: usize = 160;
const AROUND: usize = 50;
const TAB: &str = "    ";

impl ShownLine {
    fn new(line: &str, marks: &[Mark]) -> ShownLine {
        let count = line.chars().count();
        let is_long = line.width() > WIDE;
        let is_near = |at: usize| {
            let near = |place: usize| place.abs_diff(at) <= AROUND;
            !is_long || marks.iter().any(|mark| near(mark.begin) || near(mark.end))
        };
        let (mut text, mut columns, mut left_out) = (String::new(), Vec::with_capacity(count + 1), false);
        for (at, character) in line.chars().enumerate() {
            columns.push(text.width());
            if is_near(at) {
                if character == '\t' {
                    text.push_str(TAB)
                } else {
                    text.push(character)
                }
                left_out = false;
            } else if !std::mem::replace(&mut left_out, true) {
                text.push('…');
            }
        }
        columns.push(text.width());
        ShownLine { text, columns }
    }

    /// Where a mark begins, and how wide it is.
    fn place(&self, mark: &Mark) -> (usize, usize) {
        (self.columns[mark.begin], self.columns[mark.end].saturating_sub(self.columns[mark.begin]).max(1))
    }
}

/// Where in the cells a line of the generated source stands.
pub fn place(line: u32, generated: &str, cell: &str, history: &[(usize, String)]) -> Option<String> {
    let text = generated.lines().nth(line.checked_sub(1)? as usize)?.trim();
    if text.is_empty() {
        return None;
    }
    // The same text may stand there twice; then it is as many'th in the cell as in the generated source.
    let earlier = generated.lines().take(line as usize - 1).filter(|other| other.trim() == text).count();
    if let Some(at) = nth_line(cell, text, earlier) {
        return Some(format!("line {at} of this cell: {text}"));
    }
    let (count, at) = history.iter().rev().find_map(|(count, code)| Some((*count, nth_line(code, text, 0)?)))?;
    Some(format!("line {at} of cell [{count}]: {text}"))
}

/// The lines of a cell with a generated one, from 1: of several the `nth`, from 0.
fn nth_line(code: &str, generated: &str, nth: usize) -> Option<usize> {
    let lines = code.lines().enumerate().filter(|(_, line)| same(line.trim(), generated)).map(|(at, _)| at + 1);
    lines.clone().nth(nth).or(lines.last())
}

/// evcxr separates the statements of one line.
fn same(line: &str, generated: &str) -> bool {
    line == generated || (generated.len() > 8 && line.contains(generated))
}

/// A panic or a failed `?` of a cell.
pub fn failure(message: &str, place: Option<String>, kind: &str) -> Report {
    let message = plain(message);
    let mut advice = Vec::new();
    advice.extend(advice::of_libtorch(&message).map(|hint| format!("hint: {hint}")));
    let value = match place {
        Some(place) => format!("{place}\n{message}"),
        None => message,
    };
    Report::new(kind, value, &advice)
}

/// A message without the wrapping of `unwrap` and without libtorch's C++ call stack.
fn plain(message: &str) -> String {
    let message = match message.strip_prefix("called `Result::unwrap()` on an `Err` value: ") {
        Some(inner) => {
            let inner = inner.strip_prefix("Torch(\"").map_or(inner, |text| text.strip_suffix("\")").unwrap_or(text));
            inner.replace("\\n", "\n").replace("\\\"", "\"")
        }
        None => message.to_owned(),
    };
    let end = message.find("\nException raised from").unwrap_or(message.len());
    message[..end].trim().to_owned()
}

/// rustc's own words, to be opened by who wants them.
pub fn folded(full: &str) -> Bundle {
    let text = without_colours(full).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let html = format!("<details><summary>rustc's whole message</summary><pre>{text}</pre></details>");
    let plain = "(rustc's whole message is folded away)";
    Bundle::from_iter([("text/html".to_owned(), html.into()), ("text/plain".to_owned(), plain.into())])
}

/// Text without a terminal's codes.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').map_or(part, |(_, rest)| rest))
}

/// The kernel itself has failed.
pub fn stumbled() -> Report {
    let advice = ["Restart the kernel if the next cell fails too.".to_owned()];
    Report::new("KernelError", "The kernel itself stumbled over this cell.", &advice)
}

/// What to say when the process that runs the cells has ended by itself. `last_words`: what it printed to standard error.
pub fn crash(status: &str, last_words: &str) -> Report {
    let cause = if last_words.contains("has overflowed its stack") {
        "its stack is full (stack overflow): a function calls itself without end, or a very large array stands in a variable; see \
         that the calls end, or put the array into a vec![]"
    } else if last_words.contains("memory allocation of ") {
        "the system refused the memory that it asked for: try a smaller batch, model or list"
    } else if status.contains("SIGSEGV") || status.contains("signal: 11") {
        "it reached for memory that is not its own (SIGSEGV), which happens in unsafe code, or after a struct was changed while \
         old values of it lived on"
    } else if status.contains("SIGBUS") || status.contains("signal: 7") {
        "a file that it was reading was cut off meanwhile, or can't be read (SIGBUS): see that nothing else writes into it, and \
         prepare it anew"
    } else if status.contains("SIGKILL") || status.contains("signal: 9") {
        "the system ended it (SIGKILL), most often because memory ran out: try a smaller batch or model"
    } else if status.contains("SIGABRT") || status.contains("signal: 6") {
        "it called abort (SIGABRT): a C++ exception that nobody caught, or a panic within a panic"
    } else {
        status.lines().last().unwrap_or("it ended")
    };
    let advice = [
        "All variables of the notebook are gone with it; functions, types and `use` lines are kept.".to_owned(),
        "The next cell works: run the notebook's cells from the top, or load the model that you saved last.".to_owned(),
    ];
    Report::new("Crashed", format!("The process that runs the cells ended: {cause}."), &advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_libtorchs_names_both_shapes_and_what_to_do() {
        let message = "called `Result::unwrap()` on an `Err` value: Torch(\"mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)\")";
        let report = failure(message, Some("line 2 of this cell: a.matmul(&a)".into()), "Panic");
        assert_eq!(
            report.value,
            "line 2 of this cell: a.matmul(&a)\nmat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)"
        );
        assert!(report.lines.last().unwrap().contains("inner sizes"), "{report:?}");
    }

    /// Cells with a mistake, what must be said about it, and what rustc says (recorded by `scripts/tests/test_kernel_errors.py`,
    /// which has the real kernel say the same).
    fn mistakes() -> Vec<Value> {
        serde_json::from_str(include_str!("../tests/mistakes.json")).unwrap()
    }

    fn told(mistake: &Value) -> String {
        let lines = help(&mistake["rustc"], mistake["cell"].as_str().unwrap(), Some(1));
        let codes = [RED, BLUE, BOLD, PLAIN];
        codes.iter().fold(lines.join("\n"), |text, code| text.replace(code, ""))
    }

    #[test]
    fn a_mistake_is_told_with_what_to_write_and_no_help_is_cut_off_or_foreign() {
        let foreign = ["deranged", "num_", "ndarray", " others\n", "prelude::", "evcxr"];
        for mistake in mistakes() {
            let (told, says) = (told(&mistake), mistake["says"].as_str().unwrap());
            assert!(told.contains(says), "{}\nshould say {says}\n{told}", mistake["cell"]);
            assert!(!foreign.iter().any(|word| told.contains(word)), "{told}");
            assert!(told.lines().all(|line| !line.ends_with('(')), "{told}");
        }
    }

    #[test]
    fn marks_stand_under_what_they_mark_whatever_its_width() {
        let mark = |line: &str, word: &str| {
            let begin = line[..line.find(word).unwrap()].chars().count();
            Mark { line: 1, begin, end: begin + word.chars().count(), is_primary: true, label: String::new() }
        };
        for (line, word, before, place) in [
            ("let x = y;", "y", "let x = y;", (8, 1)),
            ("\tlet 名前 = wrong;", "wrong", "    let 名前 = wrong;", (15, 5)),
            ("f(\"🦀\", 名前)", "名前", "f(\"🦀\", 名前)", (8, 4)),
            ("a\u{301}b", "b", "a\u{301}b", (1, 1)),
        ] {
            let mark = mark(line, word);
            let shown = ShownLine::new(line, std::slice::from_ref(&mark));
            assert_eq!((shown.text.as_str(), shown.place(&mark)), (before, place));
        }
    }

    #[test]
    fn of_a_very_long_line_the_neighbourhood_of_what_is_marked_is_shown() {
        let line = format!("let a = \"{}\"; let b: i64 = wrong; let c = \"{}\";", "名".repeat(3000), "b".repeat(3000));
        let begin = line.chars().position(|character| character == 'w').unwrap();
        let mark = Mark { line: 1, begin, end: begin + 5, is_primary: true, label: String::new() };
        let shown = ShownLine::new(&line, std::slice::from_ref(&mark));
        assert!(shown.text.width() < 250 && shown.text.starts_with('…') && shown.text.ends_with('…'), "{}", shown.text);
        let (column, width) = shown.place(&mark);
        let at = shown.text.find("wrong").unwrap();
        assert_eq!((column, width), (shown.text[..at].width(), 5));
    }

    #[test]
    fn a_generated_line_is_found_in_the_cell_or_an_earlier_one() {
        let generated = "mod x {\n}\nlet a = 1;\nf(a);\nf(a);\n";
        let history = [(3, "fn g() {\n    let a = 1;\n}".to_owned())];
        assert_eq!(place(5, generated, "\nf(a);\nf(a);", &[]).unwrap(), "line 3 of this cell: f(a);");
        assert_eq!(place(3, generated, "f(a);", &history).unwrap(), "line 2 of cell [3]: let a = 1;");
        assert_eq!(place(1, generated, "f(a);", &history), None);
    }

    #[test]
    fn a_crash_says_what_is_lost_and_what_works() {
        let bus = crash("Subprocess terminated with status: signal: 7 (SIGBUS)", "");
        assert!(bus.value.contains("was cut off meanwhile"));
        let report = crash("Subprocess terminated with status: signal: 11 (SIGSEGV) (core dumped)", "");
        assert!(report.value.contains("SIGSEGV") && report.lines.iter().any(|line| line.contains("variables")));
    }

    #[test]
    fn a_full_stack_and_refused_memory_are_named() {
        let abort = "Subprocess terminated with status: signal: 6 (SIGABRT) (core dumped)";
        let said =
            crash(abort, "thread 'main' (7) has overflowed its stack\nfatal runtime error: stack overflow, aborting\n");
        assert!(said.value.contains("stack overflow"));
        assert!(crash(abort, "memory allocation of 80000000000 bytes failed\n").value.contains("refused the memory"));
        assert!(crash(abort, "").value.contains("SIGABRT"));
    }
}
