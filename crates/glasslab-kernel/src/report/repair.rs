//! rustc's own help, whole: the learner's line as it should be, and of long lists what a learner has met.

use crate::cell::code;
use crate::report::advice::{list, without_paths};
use serde_json::Value;
use std::collections::BTreeMap;

/// At most so many alternatives, and so many lines of one, and of a list, are shown.
const MOST: usize = 3;
/// Types of which a list may speak.
const MET: [&str; 22] = [
    "f32", "f64", "i64", "i32", "u8", "usize", "bool", "char", "str", "String", "Tensor", "Kind", "Device", "Scalar",
    "Vec", "Option", "Result", "Box", "mut", "T", "Rhs", "Self",
];
/// Helps that say nothing which the error hasn't said, or nothing without what follows them.
const EMPTY: [&str; 3] =
    ["items from traits can only be used", "you might be missing a crate named", "the nightly-only"];

/// One help of rustc's.
#[derive(Debug, PartialEq)]
pub struct Help {
    /// What it says.
    pub text: String,
    /// The lines as they should be: their numbers in the cell, if they are there already.
    pub lines: Vec<(Option<usize>, String)>,
    /// Whether it is a list of types, of use to who has nothing better.
    pub is_list: bool,
}

/// What rustc's JSON of an error offers for a cell's code. `place`: the cell's line with the error.
pub fn helps(error: &Value, cell: &str, place: Option<usize>) -> Vec<Help> {
    let helps = list(&error["children"]).iter().filter(|child| child["level"] == "help");
    let generated = primary_line(error);
    let mut found: Vec<Help> = helps.filter_map(|child| help(child, cell, place, generated)).collect();
    if found.iter().any(|help| !help.lines.is_empty()) {
        found.retain(|help| !help.is_list);
    }
    found
}

fn help(child: &Value, cell: &str, place: Option<usize>, generated: Option<i64>) -> Option<Help> {
    let message = without_paths(child["message"].as_str()?.trim_end());
    let says_nothing = message.starts_with("the trait `") && message.contains("` is not implemented for `");
    if says_nothing || EMPTY.iter().any(|sign| message.starts_with(sign)) {
        return None;
    }
    let edits: Vec<Edit> = list(&child["spans"]).iter().filter_map(Edit::new).collect();
    if edits.is_empty() {
        let is_list = message.contains("types implement trait");
        let text = if is_list { list_of_types(&message)? } else { message };
        return Some(Help { text, lines: Vec::new(), is_list });
    }
    let alternatives = alternatives(edits);
    let shown: Vec<_> =
        alternatives.iter().filter_map(|edits| repaired(edits, cell, place, generated)).take(MOST).collect();
    // What belongs to code that the learner doesn't see, or to a crate that a cell can't name, helps nobody.
    (!shown.is_empty()).then(|| Help { text: message, lines: shown.into_iter().flatten().collect(), is_list: false })
}

/// What is to stand in the place of some text, in generated lines and columns from 1.
#[derive(Debug, Clone)]
struct Edit {
    begin: (i64, usize),
    end: (i64, usize),
    instead: String,
    /// The generated lines it lies in.
    lines: Vec<String>,
}

impl Edit {
    fn new(span: &Value) -> Option<Edit> {
        let number = |name: &str| span[name].as_i64();
        let is_the_cells = span["file_name"].as_str()?.ends_with("lib.rs");
        let instead = span["suggested_replacement"].as_str()?;
        let is_import = instead.starts_with("use ");
        let lines = list(&span["text"]).iter().filter_map(|line| line["text"].as_str().map(str::to_owned)).collect();
        is_the_cells.then_some(Edit {
            begin: (number("line_start")?, number("column_start")? as usize),
            end: (number("line_end")?, number("column_end")? as usize),
            instead: if is_import { instead.replace("glasslab::prelude::", "") } else { without_paths(instead) },
            lines,
        })
    }
}

/// rustc's JSON tells the edits of all alternatives in one list: one begins anew where a place comes again.
fn alternatives(edits: Vec<Edit>) -> Vec<Vec<Edit>> {
    let mut all: Vec<Vec<Edit>> = Vec::new();
    for edit in edits {
        match all.last_mut() {
            Some(last) if last.iter().all(|other| (other.begin, other.end) != (edit.begin, edit.end)) => {
                last.push(edit)
            }
            _ => all.push(vec![edit]),
        }
    }
    all
}

/// The learner's lines after some edits.
fn repaired(
    edits: &[Edit],
    cell: &str,
    place: Option<usize>,
    generated: Option<i64>,
) -> Option<Vec<(Option<usize>, String)>> {
    // A line that is to be added above the cell.
    if let [edit] = edits
        && edit.instead.ends_with('\n')
        && edit.begin == edit.end
    {
        let path = edit.instead.trim().strip_prefix("use ")?;
        return ["std::", "tch::"]
            .iter()
            .any(|root| path.starts_with(root))
            .then(|| vec![(None, format!("use {path}"))]);
    }
    let mut lines: BTreeMap<i64, String> = BTreeMap::new();
    for edit in edits {
        lines.extend(edit.lines.iter().enumerate().map(|(at, line)| (edit.begin.0 + at as i64, line.clone())));
    }
    let before = lines.clone();
    let mut edits = edits.to_vec();
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.begin));
    for edit in &edits {
        let head: String = lines.get(&edit.begin.0)?.chars().take(edit.begin.1 - 1).collect();
        let tail: String = lines.get(&edit.end.0)?.chars().skip(edit.end.1 - 1).collect();
        lines.insert(edit.begin.0, head + &edit.instead + &tail);
        (edit.begin.0 + 1..=edit.end.0).for_each(|gone| _ = lines.remove(&gone));
    }
    let source: Vec<&str> = cell.lines().collect();
    let mut shown = Vec::new();
    for (number, line) in &lines {
        let old = before[number].trim();
        let near = place.zip(generated).map(|(place, generated)| place as i64 + number - generated);
        let at = code::line_with(&source, old, near)?;
        let new = source[at].replacen(old, line.trim(), 1);
        shown.extend(
            new.lines().filter(|line| !line.trim().is_empty()).take(MOST).map(|line| (Some(at + 1), line.to_owned())),
        );
    }
    Some(shown)
}

/// "The following other types implement …", with those that a learner has met; nothing if there are none.
fn list_of_types(message: &str) -> Option<String> {
    let (title, rest) = message.split_once('\n')?;
    let is_met = |line: &&str| {
        let (one, other) = line.split_once(" implements ").unwrap_or((line, ""));
        // Of `Add<&f64>` the trait's own name is no type.
        let types = other.split_once('<').map_or("", |(_, types)| types);
        let words =
            one.split(|c: char| !c.is_alphanumeric() && c != '_').chain(types.split(|c: char| !c.is_alphanumeric()));
        let all_met = words.filter(|word| word.starts_with(char::is_alphabetic)).all(|word| MET.contains(&word));
        all_met && !line.contains("::") && !line.trim_start_matches([' ', '`']).starts_with('&')
    };
    let shown: Vec<&str> = rest.lines().filter(|line| !line.starts_with("and ")).filter(is_met).take(MOST).collect();
    (!shown.is_empty())
        .then(|| format!("{}\n{}", title.replace("the following other types", "other types"), shown.join("\n")))
}

fn primary_line(error: &Value) -> Option<i64> {
    list(&error["spans"]).iter().find(|span| span["is_primary"] == true)?["line_start"].as_i64()
}
