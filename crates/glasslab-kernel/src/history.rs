//! The cells that ran, as a front-end asks for them.

use jupyter_protocol::HistoryRequest;
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
            for cell in history.iter().filter(|(_, code)| matches(pattern, code)) {
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

/// Whether a pattern with `*` and `?` fits the whole text.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // fits[i]: what has been read of the pattern fits the first i characters.
    let mut fits = vec![false; text.len() + 1];
    fits[0] = true;
    for sign in pattern {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            next[at] = match sign {
                '*' => fits[at] || (at > 0 && next[at - 1]),
                _ => at > 0 && fits[at - 1] && (sign == '?' || sign == text[at - 1]),
            };
        }
        fits = next;
    }
    fits[text.len()]
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
}
