//! Whether a cell is whole: what is open wants more, and what ends in the middle is not run.

use crate::cell::code::{EDITION, as_function};
use jupyter_protocol::{IsCompleteReply, IsCompleteReplyStatus};
use ra_ap_parser::LexedStr;
use ra_ap_syntax::ast::{Item, LetStmt, Path};
use ra_ap_syntax::{AstNode, SyntaxKind};

/// How the brackets, texts and comments of a cell end.
#[derive(Debug, PartialEq)]
enum End {
    /// All are closed.
    Closed,
    /// Brackets that are open, and where, in bytes.
    Open(Vec<(usize, char)>),
    /// A text or a comment that is open, and where.
    OpenText(usize),
    /// A bracket that closes nothing, and where.
    Wrong(usize, char),
}

fn end(code: &str) -> End {
    let mut open: Vec<(usize, char)> = Vec::new();
    // In its first line, a file may have what a cell may not (`#!`).
    let below = format!("\n{code}");
    let tokens = LexedStr::new(EDITION, &below);
    for token in 0..tokens.len() {
        let (kind, at) = (tokens.kind(token), tokens.text_start(token).saturating_sub(1));
        // As the lexer puts it; a wrong escape in a text is rustc's to judge.
        let is_open = |error: &str| error.contains("to terminate") || error == "Invalid raw string literal";
        let is_text =
            matches!(kind, SyntaxKind::COMMENT | SyntaxKind::STRING | SyntaxKind::BYTE_STRING | SyntaxKind::C_STRING);
        if is_text && tokens.error(token).is_some_and(is_open) {
            return End::OpenText(at);
        }
        let (opens, closes) = match kind {
            SyntaxKind::L_PAREN => ('(', ' '),
            SyntaxKind::L_BRACK => ('[', ' '),
            SyntaxKind::L_CURLY => ('{', ' '),
            SyntaxKind::R_PAREN => ('(', ')'),
            SyntaxKind::R_BRACK => ('[', ']'),
            SyntaxKind::R_CURLY => ('{', '}'),
            _ => continue,
        };
        if closes == ' ' {
            open.push((at, opens));
        } else if open.pop().map(|(_, opened)| opened) != Some(opens) {
            return End::Wrong(at, closes);
        }
    }
    if open.is_empty() { End::Closed } else { End::Open(open) }
}

/// Whether a front-end should run this text or offer a further line: brackets, strings and comments that are open
/// want more; a bracket that closes nothing can't be mended by more.
pub fn is_complete(code: &str) -> IsCompleteReply {
    match end(code) {
        End::Closed => IsCompleteReply::complete(),
        End::Open(open) => IsCompleteReply::incomplete("    ".repeat(open.len())),
        End::OpenText(_) => IsCompleteReply::incomplete(String::new()),
        End::Wrong(..) => IsCompleteReply::new(IsCompleteReplyStatus::Invalid, String::new()),
    }
}

/// What a cell lacks. evcxr would leave such a part out without a word, or blame its own code for it.
pub fn lack(code: &str) -> Option<String> {
    let line = |at: usize| code[..at].matches('\n').count() + 1;
    match end(code) {
        End::Open(open) => {
            let (at, bracket) = open.last()?;
            return Some(format!("the bracket {bracket} of line {} is never closed", line(*at)));
        }
        End::OpenText(at) => {
            return Some(format!("what begins in line {} as a text or a comment has no end", line(at)));
        }
        End::Wrong(at, bracket) => return Some(format!("the bracket {bracket} in line {} closes nothing", line(at))),
        End::Closed => {}
    }
    let parsed = as_function(code);
    if parsed.errors().is_empty() {
        return None;
    }
    let unfinished = parsed.syntax_node().descendants().find(|node| {
        let lacks_name = LetStmt::cast(node.clone()).is_some_and(|statement| statement.pat().is_none());
        let names_nothing = match Item::cast(node.clone()) {
            Some(Item::Use(item)) => {
                item.use_tree().is_none_or(|tree| tree.syntax().text().to_string().ends_with("::"))
            }
            _ => false,
        };
        let ends_open = Path::cast(node.clone())
            .is_some_and(|path| path.segment().is_none_or(|last| last.syntax().text().is_empty()));
        lacks_name || names_nothing || ends_open
    })?;
    let text = unfinished.text().to_string();
    Some(format!("a line ends in the middle of `{}`", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: &str) -> IsCompleteReplyStatus {
        is_complete(code).status
    }

    #[test]
    fn what_is_open_wants_more() {
        for code in ["fn f() {", "let s = \"a", "let v = [1,", "/* /* */", "r#\"a\"", "let x = f(\n    1,", "'\"'; \""]
        {
            assert_eq!(status(code), IsCompleteReplyStatus::Incomplete, "{code}");
        }
    }

    #[test]
    fn what_is_closed_can_run() {
        for code in [
            "",
            "1 + 1",
            "let c = '{'; // {",
            "let s = \"{\\\"\";",
            "fn f<'a>(x: &'a str) {}",
            "r##\"\"#\"##",
            "'\\u{41}'",
            "for_r",
            "br\"\\\"",
            "br#\"a\"b\"#",
            "'a: loop { break 'a; }",
        ] {
            assert_eq!(status(code), IsCompleteReplyStatus::Complete, "{code}");
        }
    }

    #[test]
    fn a_bracket_that_closes_nothing_is_invalid() {
        assert_eq!(status("let x = 1);"), IsCompleteReplyStatus::Invalid);
    }

    #[test]
    fn what_is_lacking_is_named() {
        assert_eq!(lack("let x = 1;\nfn f() {\n    g(1);"), Some("the bracket { of line 2 is never closed".into()));
        assert_eq!(lack("1;\n}"), Some("the bracket } in line 2 closes nothing".into()));
        assert_eq!(lack("let s = \"a;"), Some("what begins in line 1 as a text or a comment has no end".into()));
        assert_eq!(lack("use std::"), Some("a line ends in the middle of `use std::`".into()));
        assert_eq!(lack("let"), Some("a line ends in the middle of `let`".into()));
        assert!(lack("use").is_some());
        assert!(lack("let a = std::").unwrap().contains("std::"));
    }

    #[test]
    fn what_rustc_can_judge_is_left_to_it() {
        for code in [
            "",
            "let x = 1",
            "let x =",
            "use std::fmt",
            "use std::{fmt, io}",
            "1 +",
            "fn f(x) {}",
            "let (a, b) = (1, 2);",
            "x.",
            "if let Some(x) = y { x }",
            "let Some(x) = y else { return };",
            "use a::*;",
            "def f(x): return x",
            ":opt 3",
        ] {
            assert_eq!(lack(code), None, "{code}");
        }
    }
}
