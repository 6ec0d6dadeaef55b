//! What the exercises of the notebooks are checked with.
//!
//! `check::scores(my_scores)` calls your function and the library's own on the same random inputs. If all answers
//! agree, it says so. If not, it tries the mistakes that people often make, and where one of them gives exactly
//! your answers, it names it. Else it shows the first place where the two differ.
//!
//! ```
//! use glasslab::prelude::*;
//!
//! fn my_relu(x: &Tensor) -> Tensor {
//!     x.abs()
//! }
//! let verdict = check::relu(my_relu);
//! assert!(!verdict.is_right());
//! println!("{verdict}"); // … it looks as if you took the absolute value: …
//! println!("{}", check::hint("relu", 1));
//! ```
//! A file for each notebook; each exercise has its task, its hints, its reference and its mistakes in one place.

mod answer;
mod attention;
mod comparing;
mod experiments;
mod inputs;
mod judge;
mod looking;
mod mlp;
mod scaling;
mod tokenization;
mod tracing;
mod transformer;
mod verdict;

pub use answer::{Difference, Place};
pub use attention::{attend, causal_mask, head_scores, one_score, scores, softmax_rows, split_heads};
pub use comparing::transformer_parameters;
pub use experiments::mean_and_error;
pub use looking::{previous_score, surprise};
pub use mlp::{cross_entropy, mlp_forward, mlp_parameters, relu, temperature};
pub use scaling::{generation_cost, kv_cache_bytes};
pub use tokenization::{decode, encode, targets};
pub use tracing::{bigram_counts, bits_and_perplexity, embed, normalise_rows};
pub use transformer::{add_positions, block, layer_norm, top_k};
pub use verdict::{Hint, Outcome, Verdict};

/// An exercise: what is asked, and hints that lead to it step by step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exercise {
    /// Its name: `check::NAME` checks it.
    pub name: &'static str,
    /// The task in a sentence, with the shapes.
    pub task: &'static str,
    /// From a nudge to nearly the answer.
    pub hints: [&'static str; 3],
}

/// Every exercise, in the order of the notebooks.
pub const EXERCISES: [Exercise; 29] = [
    tokenization::ENCODE,
    tokenization::DECODE,
    tokenization::TARGETS,
    mlp::MLP_PARAMETERS,
    mlp::RELU,
    mlp::MLP_FORWARD,
    mlp::CROSS_ENTROPY,
    mlp::TEMPERATURE,
    tracing::EMBED,
    tracing::BIGRAM_COUNTS,
    tracing::NORMALISE_ROWS,
    tracing::BITS_AND_PERPLEXITY,
    attention::ONE_SCORE,
    attention::SCORES,
    attention::HEAD_SCORES,
    attention::SOFTMAX_ROWS,
    attention::CAUSAL_MASK,
    attention::ATTEND,
    attention::SPLIT_HEADS,
    transformer::LAYER_NORM,
    transformer::ADD_POSITIONS,
    transformer::BLOCK,
    transformer::TOP_K,
    looking::PREVIOUS_SCORE,
    looking::SURPRISE,
    comparing::TRANSFORMER_PARAMETERS,
    experiments::MEAN_AND_ERROR,
    scaling::KV_CACHE_BYTES,
    scaling::GENERATION_COST,
];

/// A hint for an exercise: `step` 1 is a nudge, 2 says more, 3 nearly gives it away.
pub fn hint(name: &str, step: usize) -> Hint {
    let Some(exercise) = EXERCISES.iter().find(|exercise| exercise.name == name) else {
        let names: Vec<&str> = EXERCISES.iter().map(|exercise| exercise.name).collect();
        return Hint { text: format!("There is no exercise {name:?}. There are: {}.", names.join(", ")) };
    };
    let last = exercise.hints.len();
    let text = match step.checked_sub(1).and_then(|index| exercise.hints.get(index)) {
        Some(hint) if step < last => format!(
            "Hint {step} of {last} for {name}: {hint}\nStill stuck? check::hint({name:?}, {}) says more.",
            step + 1
        ),
        Some(hint) => format!("Hint {step} of {last} for {name}: {hint}"),
        None => {
            format!(
                "{name} has hints 1 to {last}. After the last one, the notebook of the same name in solutions/ helps."
            )
        }
    };
    Hint { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_exercise_has_a_name_of_its_own_and_hints_that_say_something() {
        for (place, exercise) in EXERCISES.iter().enumerate() {
            assert!(EXERCISES[..place].iter().all(|other| other.name != exercise.name), "{}", exercise.name);
            assert!(exercise.task.len() > 20 && exercise.task.ends_with('.'), "{}", exercise.name);
            for (step, text) in exercise.hints.iter().enumerate() {
                assert!(text.len() > 10, "{} {step}", exercise.name);
                let shown = hint(exercise.name, step + 1).to_string();
                assert!(shown.contains(text) && shown.contains(&format!("{} of 3", step + 1)), "{shown}");
            }
        }
    }

    #[test]
    fn a_hint_that_is_not_there_says_which_are() {
        assert!(hint("encoed", 1).to_string().contains("encode, decode"));
        for step in [0, 4, usize::MAX] {
            assert!(hint("encode", step).to_string().contains("hints 1 to 3"));
        }
        assert!(hint("encode", 1).to_string().contains("check::hint(\"encode\", 2)"));
        assert!(!hint("encode", 3).to_string().contains("says more"));
    }
}
