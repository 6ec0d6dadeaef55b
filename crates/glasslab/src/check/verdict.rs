//! What a check answers, in words and as a box in the notebook.

use super::answer::Difference;
use super::exercise::Exercise;
use crate::display::escape;
use crate::error::{Error, Result};
use crate::view::Html;
use std::fmt;

/// What a check found.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The same answers as the library's, on so many inputs.
    Right {
        /// How many inputs were tried.
        inputs: usize,
    },
    /// The function is still `todo!()`.
    NotWritten,
    /// Its answers are those of a well-known mistake.
    Mistake {
        /// What it looks as if you did, and why that is not it.
        named: &'static str,
        /// Where it shows first.
        difference: Difference,
    },
    /// Its answers are others.
    Different {
        /// Where it shows first.
        difference: Difference,
    },
    /// It panicked.
    Panicked {
        /// The input.
        input: String,
        /// What it said.
        message: String,
        /// What it looks as if you did, if its answers before, or where it stopped, tell it.
        named: Option<&'static str>,
    },
    /// A model whose parameters are not those that were asked for.
    Unfit {
        /// Which ones they should be.
        message: String,
    },
}

/// A check's answer. As the last expression of a cell it is shown as a box.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "show it: as the last expression of a cell, with println!, or with .require()?"]
pub struct Verdict {
    /// The exercise.
    pub exercise: Exercise,
    /// What was found.
    pub outcome: Outcome,
    /// Where to look for it, if the check can tell.
    pub note: Option<String>,
}

impl Verdict {
    /// Whether all answers were right.
    pub fn is_right(&self) -> bool {
        matches!(self.outcome, Outcome::Right { .. })
    }

    /// Shows the verdict, and is an error if it is not right: for cells that are graded.
    ///
    /// # Errors
    /// If the exercise is not right.
    pub fn require(&self) -> Result<()> {
        self.show();
        let what = match self.outcome {
            Outcome::Right { .. } => return Ok(()),
            Outcome::NotWritten => "not written yet",
            _ => "not right yet; the box above says why",
        };
        Err(Error::Exercise { name: self.exercise.name, what, without: self.without() })
    }

    /// How to go on without it.
    fn without(&self) -> String {
        format!("To go on without it, write `check::reference::{}` in its body.", self.exercise.reference)
    }

    /// Shows it in the notebook; elsewhere prints it.
    pub fn show(&self) {
        self.block().show();
    }

    /// Called by the kernel on the value of a cell.
    pub fn evcxr_display(&self) {
        self.block().evcxr_display();
    }

    /// The sign and the word that it begins with: never the colour alone.
    fn headline(&self) -> (&'static str, &'static str, &'static str) {
        match self.outcome {
            Outcome::Right { .. } => ("✓", "right", "#0072b2"),
            Outcome::NotWritten => ("…", "not written yet", "#808080"),
            _ => ("✗", "not yet", "#d55e00"),
        }
    }

    /// Each paragraph of its text.
    fn paragraphs(&self) -> Vec<String> {
        let name = self.exercise.name;
        let help = format!("A hint: check::hint({name:?}, 1)");
        let mut said = match &self.outcome {
            Outcome::Right { inputs } => {
                return vec![format!(
                    "Your function gives the library's answers on all {inputs} inputs that were tried."
                )];
            }
            Outcome::NotWritten => {
                let task = [self.exercise.task, "Put your code in the place of todo!(…)."].map(str::to_owned);
                return [task.as_slice(), &[help, self.without()]].concat();
            }
            Outcome::Mistake { named, difference } => vec![looks_as_if(named), difference.to_string()],
            Outcome::Different { difference } => vec![difference.to_string()],
            Outcome::Panicked { input, message, named } => {
                let stopped = format!("Your function stopped with: {message}\nfor the input: {input}");
                let meaning = named.map(looks_as_if).or_else(|| explained(message).map(str::to_owned));
                [stopped].into_iter().chain(meaning).collect()
            }
            Outcome::Unfit { message } => vec![message.clone()],
        };
        said.extend(self.note.clone());
        said.push(help);
        said
    }

    fn block(&self) -> Html {
        let (sign, word, colour) = self.headline();
        let paragraph =
            |text: &String| format!("<div style=\"margin-top:4px;white-space:pre-wrap\">{}</div>", escape(text));
        let body: String = self.paragraphs().iter().map(paragraph).collect();
        let head = format!("<strong>{sign} {}: {word}</strong>", escape(self.exercise.name));
        Html { html: boxed(colour, &format!("{head}{body}")), alt: self.to_string() }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, word, _) = self.headline();
        write!(out, "{sign} {}: {word}\n{}", self.exercise.name, self.paragraphs().join("\n"))
    }
}

fn looks_as_if(named: &str) -> String {
    format!("It looks as if {named}.")
}

/// A hint. As the last expression of a cell it is shown as a box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The hint.
    pub text: String,
}

impl Hint {
    /// Called by the kernel on the value of a cell.
    pub fn evcxr_display(&self) {
        let body = format!("<div style=\"white-space:pre-wrap\">{}</div>", escape(&self.text));
        Html { html: boxed("#808080", &body), alt: self.text.clone() }.evcxr_display();
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

/// Text keeps the page's own colour, so that it can be read on light and dark pages.
fn boxed(colour: &str, body: &str) -> String {
    format!("<div style=\"border-left:5px solid {colour};padding:4px 12px;max-width:60em\">{body}</div>")
}

/// What a message of libtorch's means here, where a learner can't know it.
pub(super) fn explained(message: &str) -> Option<&'static str> {
    const MEANINGS: [(&str, &str); 6] = [
        (
            "a leaf Variable that requires grad is being used in an in-place operation",
            "libtorch keeps a record of all that is done with a parameter, for its gradient, so it may not be changed in place. \
             A step is not to be recorded: put it into tch::no_grad(|| { … }).",
        ),
        (
            "does not require grad and does not have a grad_fn",
            "The loss does not hang on any parameter: was it made under no_grad, or detached?",
        ),
        ("undefined Tensor", "A parameter has no gradient before backward has run: loss.backward() comes first."),
        ("backward through the graph a second time", "A loss goes backward once: call loss.backward() one time."),
        (
            "t() expects a tensor with <= 2 dimensions",
            "tr() turns a table on its side, and takes nothing else. With a batch before it, x.transpose(-2, -1) does: it exchanges \
             the last two axes of any tensor.",
        ),
        (
            "ids of shape (B, T) with T ≤",
            "The text has grown longer than the model can take: give it the last model.context_len() ids only.",
        ),
    ];
    MEANINGS.iter().find(|(sign, _)| message.contains(sign)).map(|(_, meaning)| *meaning)
}

#[cfg(test)]
mod tests {
    use crate::check;
    use tch::Tensor;

    #[test]
    fn the_box_says_it_in_words_and_text_cannot_become_markup() {
        let wrong = check::decode(|_| "<script>".to_owned());
        let block = wrong.block();
        assert!(!block.html.contains("<script>"));
        assert!(block.html.contains("✗ decode: not yet") && block.html.contains("check::hint"), "{}", block.html);
        assert_eq!(block.alt, wrong.to_string());
        assert!(check::relu(Tensor::relu).block().html.contains("✓ relu: right"));
    }

    #[test]
    fn requiring_lets_the_right_one_pass_and_stops_at_the_others() {
        assert!(check::relu(Tensor::relu).require().is_ok());
        let message = check::relu(|_| todo!()).require().unwrap_err().to_string();
        let without = "To go on without it, write `check::reference::relu(x)` in its body.";
        assert_eq!(message, format!("exercise relu: not written yet. {without}"));
        assert!(check::relu(|_| todo!()).to_string().ends_with(without));
        let message = check::relu(Tensor::neg).require().unwrap_err().to_string();
        assert!(message.contains("not right yet") && message.ends_with(without), "{message}");
    }
}
