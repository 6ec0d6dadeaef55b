//! Whether a cell is whole: what is open wants more, and what ends in the middle is not run.

use crate::code::as_function;
use jupyter_protocol::{IsCompleteReply, IsCompleteReplyStatus};
use ra_ap_syntax::AstNode;
use ra_ap_syntax::ast::{Item, LetStmt};

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
    let mut characters = code.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        let rest = &code[at..];
        let skip_to = match character {
            '(' | '[' | '{' => {
                open.push((at, character));
                continue;
            }
            ')' | ']' | '}' => {
                let opener = [('(', ')'), ('[', ']'), ('{', '}')].iter().find(|pair| pair.1 == character);
                if open.pop().map(|(_, opened)| opened) != opener.map(|pair| pair.0) {
                    return End::Wrong(at, character);
                }
                continue;
            }
            '/' if rest.starts_with("//") => Some(rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => string(rest),
            'r' if !code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_') => {
                match raw_string(rest) {
                    Raw::None => continue,
                    Raw::Open => None,
                    Raw::Ends(length) => Some(length),
                }
            }
            '\'' => Some(character_literal(rest)),
            _ => continue,
        };
        let Some(length) = skip_to else { return End::OpenText(at) };
        while characters.peek().is_some_and(|(next, _)| *next < at + length) {
            characters.next();
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
        lacks_name || names_nothing
    })?;
    let text = unfinished.text().to_string();
    Some(format!("a line ends in the middle of `{}`", text.trim()))
}

/// The length of a comment that may hold others.
fn block_comment(text: &str) -> Option<usize> {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    None
}

/// The length of a string with escapes, quotes included.
fn string(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}

enum Raw {
    None,
    Open,
    Ends(usize),
}

fn raw_string(text: &str) -> Raw {
    let hashes = text[1..].len() - text[1..].trim_start_matches('#').len();
    if !text[1 + hashes..].starts_with('"') {
        return Raw::None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let begin = 2 + hashes;
    text[begin..].find(&end).map_or(Raw::Open, |at| Raw::Ends(begin + at + end.len()))
}

/// The length of `'x'` or `'\n'`; of a lifetime only its quote.
fn character_literal(text: &str) -> usize {
    let mut characters = text.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), _) => {
            text[2..].char_indices().skip(1).find(|(_, c)| *c == '\'').map_or(1, |(at, _)| 2 + at + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
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
