//! evcxr's commands, `:name …` in the lines above a cell's code: what they do here, and that they do it only when a cell
//! is run.

use std::ops::Range;

/// Commands that would change nothing here, or undo what makes cells quick, and why.
const WITHOUT_EFFECT: [(&[&str], &str); 5] = [
    (
        &[":linker", ":toolchain", ":codegen_backend", ":allow_static_linking", ":sccache", ":cache", ":clear_cache"],
        "cells are compiled with what was prepared at set-up, and would be built anew from nothing",
    ),
    (&[":timing", ":time_passes", ":internal_debug"], "it is for who develops evcxr"),
    (
        &[":fmt", ":types"],
        "a value is shown as the lab shows it; println!(\"{x:#?}\") prints it in another form, :vars lists the types",
    ),
    (&[":preserve_vars_on_panic", ":load_config"], "variables outlive a panic, and the library is loaded, in any case"),
    (&[":quit"], "Jupyter ends a kernel: Shut Down in the menu Kernel"),
];

/// A command in the lines above a cell's code.
#[derive(Debug, PartialEq)]
pub struct Command<'a> {
    /// Its name, with the colon; of a line for the shell `!`.
    pub name: &'a str,
    /// What follows.
    pub rest: &'a str,
    /// Where its line stands, in bytes.
    pub place: Range<usize>,
}

impl Command<'_> {
    /// Why it does nothing here, if it does nothing.
    pub fn refusal(&self) -> Option<String> {
        let (_, why) = WITHOUT_EFFECT.iter().find(|(names, _)| names.contains(&self.name))?;
        Some(format!("{} has no effect here: {why}", self.name))
    }
}

/// The commands of a cell. As evcxr has it, they end where code begins.
pub fn commands(code: &str) -> Vec<Command<'_>> {
    let (mut found, mut at) = (Vec::new(), 0);
    for line in code.split_inclusive('\n') {
        let text = line.trim();
        let place = at..at + line.trim_end_matches(['\n', '\r']).len();
        if line.starts_with('!') {
            found.push(Command { name: "!", rest: text[1..].trim(), place });
        } else if text.starts_with(':') {
            let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
            found.push(Command { name, rest: rest.trim(), place });
        } else if !text.is_empty() && !line.starts_with("//") {
            break;
        }
        at += line.len();
    }
    found
}

/// Whether a line is more than a blank or a comment.
pub fn is_code(line: &str) -> bool {
    !line.trim().is_empty() && !line.trim_start().starts_with("//")
}

/// The code with blanks in the place of some commands, so that nothing else moves. In the others, blanks are what
/// separates words: evcxr knows no tabs.
pub fn without(code: &str, is_out: impl Fn(&Command) -> bool) -> String {
    let mut left = code.to_owned();
    for command in commands(code) {
        let place = command.place.clone();
        let instead = if is_out(&command) { " ".repeat(place.len()) } else { code[place.clone()].replace('\t', " ") };
        left.replace_range(place, &instead);
    }
    left
}

/// The code as it may be looked at for completions: without commands, but for one that is just being written.
pub fn looked_at(code: &str, cursor: usize) -> String {
    without(code, |command| command.name == "!" || !(command.place.start..=command.place.end).contains(&cursor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stand_above_the_code_and_nowhere_else() {
        let code = "// first\n\n:opt 3\n  :dep a = \"1\"\n!ls -l\nlet x = 1;\n:clear";
        let found: Vec<(&str, &str)> = commands(code).iter().map(|command| (command.name, command.rest)).collect();
        assert_eq!(found, [(":opt", "3"), (":dep", "a = \"1\""), ("!", "ls -l")]);
        assert_eq!(commands("let x = 1;\n:opt 3"), []);
    }

    #[test]
    fn what_is_left_out_leaves_everything_at_its_place() {
        let code = ":opt 3 // ä\n:vars\r\nlet x = 1;";
        let left = without(code, |command| command.name == ":opt");
        assert_eq!(left, format!("{}\n:vars\r\nlet x = 1;", " ".repeat(12)));
        assert_eq!(without(code, |_| true).find("let"), code.find("let"));
        assert_eq!(without("\t:type\tx\nlet y = '\t';", |_| false), " :type x\nlet y = '\t';");
    }

    #[test]
    fn no_command_is_seen_by_who_only_looks_but_the_one_that_is_written() {
        let code = ":restart\n:de\nx.";
        assert_eq!(looked_at(code, code.len()), "        \n   \nx.");
        assert_eq!(looked_at(code, 12), "        \n:de\nx.");
    }

    #[test]
    fn what_does_nothing_here_says_so() {
        let refusal = |code: &str| commands(code).first().and_then(Command::refusal);
        assert!(refusal(":linker lld").unwrap().starts_with(":linker has no effect here: "));
        assert_eq!(refusal(":vars"), None);
    }
}
