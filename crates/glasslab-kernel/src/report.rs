//! Errors a learner can read.
//!
//! A compile error is shown at the learner's own line, with rustc's labels; what rustc says in full goes into a
//! fold. A panic and an error that `?` passed on name the cell's line and, where it is about shapes, what to do.

use evcxr::CompilationError;

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

/// rustc's errors about `code`, of which only the first few are shown in short.
pub fn compilation(errors: &[CompilationError], code: &str) -> Report {
    const SHOWN: usize = 3;
    let first = errors.first();
    let name = first.and_then(|error| error.code()).map_or("error".to_owned(), |code| format!("error[{code}]"));
    let mut lines = Vec::new();
    for error in errors.iter().take(SHOWN) {
        let code_name = error.code().map_or(String::new(), |code| format!("[{code}]"));
        lines.push(format!("{RED}error{code_name}{PLAIN}{BOLD}: {}{PLAIN}", error.message()));
        lines.extend(marked_lines(error, code));
        for help in error.help() {
            lines.push(format!("{BLUE}help{PLAIN}: {}", help.trim_end().replace("\n\n", ": ")));
        }
        if let Some(hint) = error.evcxr_extra_hint().map(str::to_owned).or_else(|| compile_hint(error)) {
            lines.push(format!("{BLUE}note{PLAIN}: {hint}"));
        }
        lines.push(String::new());
    }
    if errors.len() > SHOWN {
        lines.push(format!("… and {} more errors", errors.len() - SHOWN));
    }
    let full: String = errors.iter().map(|error| error.rendered()).collect();
    let value = first.map_or_else(|| "the cell does not compile".to_owned(), |error| error.message());
    Report { name, value, lines, full: (!full.trim().is_empty()).then_some(full) }
}

/// The learner's lines that an error is about, each with rustc's labels below it.
fn marked_lines(error: &CompilationError, code: &str) -> Vec<String> {
    let source: Vec<&str> = code.lines().collect();
    let mut spans: Vec<_> = error.spanned_messages().iter().filter_map(|said| Some((said.span?, said))).collect();
    spans.sort_by_key(|(span, said)| (span.start_line, !said.is_primary, span.start_column));
    let mut lines = Vec::new();
    let mut last = 0;
    for (span, said) in spans {
        let Some(text) = source.get(span.start_line.wrapping_sub(1)) else { continue };
        if span.start_line != last {
            lines.push(format!("{BLUE}line {:>2} |{PLAIN} {text}", span.start_line));
            last = span.start_line;
        }
        let width = text.chars().count();
        let begin = span.start_column.saturating_sub(1).min(width);
        let end = if span.end_line == span.start_line { span.end_column.saturating_sub(1) } else { width };
        let sign = if said.is_primary { "^" } else { "-" };
        let colour = if said.is_primary { RED } else { BLUE };
        let marks = sign.repeat(end.saturating_sub(begin).max(1));
        lines.push(format!("{BLUE}        |{PLAIN} {}{colour}{marks} {}{PLAIN}", " ".repeat(begin), said.label));
    }
    lines
}

fn compile_hint(error: &CompilationError) -> Option<String> {
    match error.code()? {
        "E0384" | "E0596" => Some("to make a variable of an earlier cell mutable: let mut x = x;".to_owned()),
        "E0382" => Some(
            "a value that was moved is gone, in later cells too; .shallow_clone() gives a second handle of a \
                         tensor, .clone() of most others"
                .to_owned(),
        ),
        _ => None,
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
    let found = |code: &str, nth: usize| {
        let lines: Vec<usize> =
            code.lines().enumerate().filter(|(_, other)| same(other.trim(), text)).map(|(at, _)| at + 1).collect();
        lines.get(nth).or(lines.last()).copied()
    };
    if let Some(at) = found(cell, earlier) {
        return Some(format!("line {at} of this cell: {text}"));
    }
    let (count, at) = history.iter().rev().find_map(|(count, code)| Some((*count, found(code, 0)?)))?;
    Some(format!("line {at} of cell [{count}]: {text}"))
}

/// evcxr separates the statements of one line.
fn same(line: &str, generated: &str) -> bool {
    line == generated || (generated.len() > 8 && line.contains(generated))
}

/// A panic or a failed `?` of a cell.
pub fn failure(message: &str, place: Option<String>, kind: &str) -> Report {
    let message = plain(message);
    let mut advice = Vec::new();
    advice.extend(hint(&message).map(|hint| format!("hint: {hint}")));
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

/// What to do about libtorch's most frequent complaints.
fn hint(message: &str) -> Option<&'static str> {
    let hints: [(&str, &str); 8] = [
        (
            "shapes cannot be multiplied",
            "in (A×B)·(C×D) the inner sizes B and C must be equal: transpose one with .tr(), or check \
          which dimension is which with .size()",
        ),
        (
            "must match the size of tensor b",
            "two tensors are added or multiplied place by place: in each dimension their sizes must be \
          equal, or one of them 1; look at both .size()",
        ),
        (
            "is invalid for input of size",
            "a view keeps all numbers: the product of the new sizes must be the old number of elements",
        ),
        (
            "Expected size for first two dimensions of batch2",
            "in a product of batches (B, n, m)·(B, m, p) both B and both m must be equal",
        ),
        (
            "index out of range",
            "an id is as large as the table has rows, or larger: compare the largest id with n_vocab",
        ),
        (
            "expected scalar type",
            "the two tensors hold different kinds of numbers: convert one with .to_kind(Kind::Float) or Kind::Int64",
        ),
        ("same dtype", "the two tensors hold different kinds of numbers: convert one with .to_kind(…)"),
        ("Dimension out of range", "the tensor has fewer dimensions than that; -1 is the last one; look at .size()"),
    ];
    hints.iter().find(|(sign, _)| message.contains(sign)).map(|(_, hint)| *hint)
}

/// What to say when the process that runs the cells has ended by itself.
pub fn crash(status: &str) -> Report {
    let cause = if status.contains("SIGSEGV") || status.contains("signal: 11") {
        "it reached for memory that is not its own (SIGSEGV), which happens in unsafe code, or after a struct was changed while \
         old values of it lived on"
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
        let report = crash("Subprocess terminated with status: signal: 11 (SIGSEGV) (core dumped)");
        assert!(report.value.contains("SIGSEGV") && report.lines.iter().any(|line| line.contains("variables")));
    }
}
