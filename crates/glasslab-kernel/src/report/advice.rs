//! What to write instead, for who comes from Python: one sentence for an error, from one table.

mod table;

use crate::cell::code;
use regex::{Captures, Regex};
use serde_json::Value;

/// The rows with their sentences, which are data.
use table::{BESIDE, EVCXRS, INSTEAD, LIBTORCHS, OTHERWISE, Row};

/// An error of rustc's, as far as the table looks at it.
pub struct Fault {
    code: String,
    /// Its message, labels, helps and notes, and the lines that these name, a line each.
    said: String,
    /// The learner's line, with the place of the error in ⟦ ⟧.
    line: String,
    it: String,
    owner: String,
    args: String,
}

/// A sentence about an error.
#[derive(Debug, PartialEq)]
pub struct Advice {
    /// What to write.
    pub sentence: String,
    /// Whether rustc's own help should not be shown.
    pub alone: bool,
}

impl Fault {
    /// From rustc's JSON about a cell, and the cell's line that it is about.
    pub fn new(error: &Value, cell: &str, line: Option<usize>) -> Fault {
        let mut said = vec![text(&error["message"]).to_owned()];
        for part in std::iter::once(error).chain(list(&error["children"])) {
            said.push(text(&part["message"]).to_owned());
            for span in list(&part["spans"]) {
                said.extend([&span["label"], &span["suggested_replacement"]].map(|value| text(value).to_owned()));
                said.extend(list(&span["text"]).iter().map(|line| text(&line["text"]).to_owned()));
            }
        }
        let place = list(&error["spans"]).iter().find(|span| span["is_primary"] == true);
        let (before, it, after) = place.map(|place| marked(place, cell, line)).unwrap_or_default();
        Fault {
            code: text(&error["code"]["code"]).to_owned(),
            said: without_paths(&said.join("\n")),
            line: format!("{before}⟦{it}⟧{after}"),
            owner: owner(&before),
            args: bracketed(&after).to_owned(),
            it,
        }
    }

    /// What to write, if the table knows it. `is_helped`: rustc's own help has something to show.
    pub fn advice(&self, is_helped: bool) -> Option<Advice> {
        let instead = INSTEAD.iter().map(|row| (row, true));
        let otherwise = OTHERWISE.iter().filter(|_| !is_helped).map(|row| (row, false));
        let mut rows = instead.chain(otherwise).chain(BESIDE.iter().map(|row| (row, false)));
        rows.find_map(|(row, alone)| Some(Advice { sentence: self.sentence(row)?, alone }))
    }

    fn sentence(&self, Row(codes, said, line, says): &Row) -> Option<String> {
        let is_code =
            if codes.is_empty() { self.code.is_empty() } else { codes.split(' ').any(|code| code == self.code) };
        if !is_code {
            return None;
        }
        let (said, line) = (pattern(said), pattern(line));
        let caught = [said.captures(&self.said)?, line.captures(&self.line)?];
        Some(fill(says, |name| match name {
            "it" => self.it.clone(),
            "one" => one_piece(&self.it),
            "x" if self.owner.is_empty() => "x".to_owned(),
            "x" => self.owner.clone(),
            "args" => self.args.clone(),
            name => caught.iter().find_map(|caught| by_name(caught, name)).unwrap_or_default(),
        }))
    }
}

/// A sentence in the place of one of evcxr's own.
pub fn instead_of_evcxrs(message: &str) -> Option<String> {
    EVCXRS.iter().find_map(|(said, says)| {
        let said = pattern(said);
        let caught = said.captures(message)?;
        Some(fill(says, |name| by_name(&caught, name).unwrap_or_default()))
    })
}

/// What to do about an error of libtorch's while a cell runs.
pub fn of_libtorch(message: &str) -> Option<&'static str> {
    LIBTORCHS.iter().find(|(sign, _)| message.contains(sign)).map(|(_, says)| *says)
}

/// Types of the library by their plain names, as a cell writes them.
pub fn without_paths(text: &str) -> String {
    pattern(r"\b(glasslab|tch|torch_sys|std::string)::([a-z_]\w*::)*").replace_all(text, "").into_owned()
}

fn by_name(caught: &Captures, name: &str) -> Option<String> {
    caught.name(name).map(|part| part.as_str().to_owned())
}

/// A sentence with what its `$names` and `${names}` stand for.
fn fill(says: &str, value: impl Fn(&str) -> String) -> String {
    let names = pattern(r"\$(?:\{(\w+)\}|(\w+))");
    names
        .replace_all(says, |caught: &Captures| value(caught.get(1).or(caught.get(2)).map_or("", |name| name.as_str())))
        .into_owned()
}

/// A regular expression of the table's. Words of ASCII are all that rustc's messages need, and a tenth of the work.
fn pattern(text: &str) -> Regex {
    let ascii = text
        .replace(r"\w", "[0-9A-Za-z_]")
        .replace(r"\d", "[0-9]")
        .replace(r"\s", r"[ \t]")
        .replace(r"\b", r"(?-u:\b)");
    Regex::new(&ascii).expect("the table's, each of which a test compiles")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What a JSON list holds; nothing if it is none.
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The learner's line with a place's first line, taken apart: before the place, itself, behind it.
fn marked(span: &Value, cell: &str, number: Option<usize>) -> (String, String, String) {
    let Some(line) = list(&span["text"]).first() else { return Default::default() };
    let generated = text(&line["text"]);
    let byte =
        |name: &str| code::byte_position(generated, (line[name].as_u64().unwrap_or(1) as usize).saturating_sub(1));
    let (begin, end) = (byte("highlight_start"), byte("highlight_end"));
    let part = |from: usize, to: usize| generated.get(from..to).unwrap_or_default();
    let source: Vec<&str> = cell.lines().collect();
    let found = code::line_with(&source, generated.trim(), number.map(|number| number as i64)).map(|at| source[at]);
    let (before, after) = found.and_then(|line| line.split_once(generated.trim())).unwrap_or_default();
    let indent = generated.len() - generated.trim_start().len();
    let last = generated.trim_end().len();
    (before.to_owned() + part(indent, begin), part(begin, end).to_owned(), part(end, last).to_owned() + after)
}

/// What a place belongs to: in `y = x.size()[` it is `x.size()`, in `x.get(` it is `x`.
fn owner(before: &str) -> String {
    let mut text = before.trim_end();
    if let Some(call) = text.strip_suffix('(') {
        let name = call.trim_end_matches(|character: char| character.is_alphanumeric() || character == '_');
        text = name.strip_suffix('.').unwrap_or_default();
    }
    let text = text.strip_suffix(['.', '[']).unwrap_or(text).trim_end_matches(['*', ' ', '^', '<', '>', '=']);
    let characters: Vec<char> = text.chars().collect();
    let mut begin = characters.len();
    while let Some(last) = begin.checked_sub(1) {
        match characters[last] {
            ')' | ']' => match opening(&characters, last) {
                Some(at) => begin = at,
                None => break,
            },
            character if character.is_alphanumeric() || matches!(character, '_' | '.' | ':') => begin = last,
            _ => break,
        }
    }
    characters[begin..].iter().collect::<String>().trim_start_matches(['.', ':']).to_owned()
}

/// Where the bracket opens that closes at a place.
fn opening(characters: &[char], closing: usize) -> Option<usize> {
    let mut depth = 0;
    for at in (0..=closing).rev() {
        match characters[at] {
            ')' | ']' => depth += 1,
            '(' | '[' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// What stands in the brackets with which a text begins.
fn bracketed(text: &str) -> &str {
    let mut depth = 0;
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        match depth {
            0 if at == 0 => return "",
            0 => return text[1..at].trim(),
            _ => {}
        }
    }
    ""
}

/// An expression that can stand before `as` or a dot.
fn one_piece(text: &str) -> String {
    let is_piece = owner(text) == text;
    if is_piece { text.to_owned() } else { format!("({text})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(mistake: &Value) -> Fault {
        Fault::new(&mistake["rustc"], text(&mistake["cell"]), Some(1))
    }

    #[test]
    fn every_row_has_a_mistake_that_it_answers() {
        let mistakes: Vec<Value> = serde_json::from_str(include_str!("../../tests/mistakes.json")).unwrap();
        let faults: Vec<Fault> = mistakes.iter().map(fault).collect();
        let said: Vec<String> = faults.iter().filter_map(|fault| Some(fault.advice(false)?.sentence)).collect();
        let rows = INSTEAD.iter().chain(OTHERWISE).chain(BESIDE);
        let idle =
            rows.filter(|row| !faults.iter().any(|fault| fault.sentence(row).is_some_and(|one| said.contains(&one))));
        let idle: Vec<&str> = idle.map(|row| row.3).collect();
        assert!(idle.is_empty(), "{}", idle.join("\n"));
    }

    #[test]
    fn what_a_place_belongs_to_is_found_over_brackets() {
        for (before, expected) in [
            ("let y = x.", "x"),
            ("f(&p.tensor.", "p.tensor"),
            ("let y = x.size()[", "x.size()"),
            ("(a + b).exp().", "(a + b).exp()"),
            ("Tensor::from_slice(&v).", "Tensor::from_slice(&v)"),
            ("let y = t", "t"),
            ("let y = x.get(", "x"),
            ("let y = x *", "x"),
            ("for i in ", "in"),
            ("", ""),
        ] {
            assert_eq!(owner(before), expected, "{before}");
        }
        assert_eq!(bracketed("(a, (b)) + (c)"), "a, (b)");
        assert_eq!(one_piece("x.size()[0]") + &one_piece("a + b"), "x.size()[0](a + b)");
    }

    #[test]
    fn evcxrs_and_libtorchs_words_are_answered() {
        assert!(
            instead_of_evcxrs("The variable `f` is a closure, which cannot be persisted.")
                .unwrap()
                .contains("fn f(n: f64)")
        );
        assert_eq!(instead_of_evcxrs("something else"), None);
        assert!(of_libtorch("mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)").unwrap().contains(".tr()"));
    }
}
