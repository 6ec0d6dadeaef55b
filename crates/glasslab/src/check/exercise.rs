//! What an exercise tells who works on it.

/// An exercise: what is asked, and hints that lead to it step by step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exercise {
    /// Its name: `check::NAME` checks it.
    pub name: &'static str,
    /// The task in a sentence, with the shapes.
    pub task: &'static str,
    /// From a nudge to nearly the answer.
    pub hints: [&'static str; 3],
    /// How the library's answer is called in the function's body, behind `check::reference::`.
    pub reference: &'static str,
}
