//! The cells that ran, as a front-end asks for them.

use jupyter_protocol::HistoryRequest;
use regex::Regex;
use serde_json::{Value, json};

/// The entries that a request asks for, as Jupyter writes them: session, number, text.
pub fn select(history: &[(usize, String)], asked: &HistoryRequest) -> Vec<Value> {
    let entry = |(number, code): &(usize, String), output: bool| {
        if output { json!([0, number, [code, null]]) } else { json!([0, number, code]) }
    };
    match asked {
        HistoryRequest::Tail { n, output, .. } => {
            let from = history.len().saturating_sub((*n).max(0) as usize);
            history[from..].iter().map(|cell| entry(cell, *output)).collect()
        }
        HistoryRequest::Range { start, stop, output, .. } => history
            .iter()
            .filter(|(number, _)| *number as i64 >= i64::from(*start) && (*number as i64) < i64::from(*stop))
            .map(|cell| entry(cell, *output))
            .collect(),
        HistoryRequest::Search { pattern, unique, output, n, .. } => {
            let mut found: Vec<&(usize, String)> = Vec::new();
            let pattern = wildcards(pattern);
            for cell in
                history.iter().filter(|(_, code)| pattern.as_ref().is_some_and(|pattern| pattern.is_match(code)))
            {
                if *unique {
                    found.retain(|known| known.1 != cell.1);
                }
                found.push(cell);
            }
            let from = if *n > 0 { found.len().saturating_sub(*n as usize) } else { 0 };
            found[from..].iter().map(|cell| entry(cell, *output)).collect()
        }
    }
}

/// A pattern with `*` and `?` for a whole text; nothing if it is too long for one.
fn wildcards(pattern: &str) -> Option<Regex> {
    let pattern = regex::escape(pattern).replace(r"\*", ".*").replace(r"\?", ".");
    Regex::new(&format!("(?s)^{pattern}$")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells() -> Vec<(usize, String)> {
        ["let a = 1;", "a + 1", "let b = 2;", "a + 1"]
            .iter()
            .enumerate()
            .map(|(at, code)| (at + 1, (*code).into()))
            .collect()
    }

    #[test]
    fn the_tail_is_the_last_cells_in_their_order() {
        let asked = HistoryRequest::Tail { n: 2, output: false, raw: true };
        assert_eq!(select(&cells(), &asked), [json!([0, 3, "let b = 2;"]), json!([0, 4, "a + 1"])]);
    }

    #[test]
    fn a_range_ends_before_its_stop() {
        let asked = HistoryRequest::Range { session: None, start: 1, stop: 3, output: true, raw: true };
        assert_eq!(select(&cells(), &asked).len(), 2);
    }

    #[test]
    fn a_search_knows_wildcards_and_tells_a_cell_once() {
        let asked = HistoryRequest::Search { pattern: "a*?".into(), unique: true, output: false, raw: true, n: 10 };
        assert_eq!(select(&cells(), &asked), [json!([0, 4, "a + 1"])]);
    }

    #[test]
    fn a_pattern_fits_the_whole_text_over_lines_and_signs_are_themselves() {
        for (pattern, text, fits) in [
            ("a*d", "a\nb (c) d", true),
            ("a?c", "a\nc", true),
            ("a?c", "ac", false),
            ("*[1].ü", "x[1].ü", true),
            ("*[1].", "x1a", false),
            ("b", "abc", false),
            ("", "", true),
        ] {
            assert_eq!(wildcards(pattern).unwrap().is_match(text), fits, "{pattern} {text}");
        }
    }
}
