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
//! Who is stuck goes on with the library's answer, [`mod@reference`]: `check::reference::relu(x)` in the body of `my_relu`.
//!
//! A file for each topic; each exercise has its task, its hints and its mistakes in one place.

mod answer;
mod attention;
mod block;
mod byte_pairs;
mod comparing;
mod exercise;
mod experiments;
mod inputs;
mod judge;
mod kept;
mod laws;
mod learning;
mod looking;
mod masking;
mod mlp;
mod optimising;
pub mod reference;
mod scaling;
mod table;
mod theirs;
mod tokenization;
mod tracing;
mod training;
mod transformer;
mod verdict;
mod whole;

use crate::error::{Error, Result};
use judge::AnyJudge;
use std::path::Path;

pub use answer::{Difference, Place};
pub use attention::{attend, head_scores, one_score, scores, split_heads};
pub use block::{block, block_gradient};
pub use byte_pairs::{count_pair, decode_pairs, encode_pairs, merge_pair, nats_per_char};
pub use comparing::{best_next, transformer_parameters, windows};
pub use exercise::Exercise;
pub use experiments::{errors_apart, mean_and_error};
pub use kept::KeptAnswers;
pub use laws::{best_within, power_law, seeds_needed};
pub use learning::{embedding_gradient, linear_gradients, logits_gradient, relu_gradient};
pub use looking::{previous_score, surprise};
pub use masking::{causal_mask, softmax_gradient, softmax_rows};
pub use mlp::{cross_entropy, mlp_forward, mlp_parameters, relu, temperature};
pub use optimising::{adam_step, momentum_step};
pub use scaling::{generation_cost, kv_cache_bytes};
pub use theirs::{chat_text, induction_score, key_head, scaled_rms_norm, swiglu, turn_by_halves};
pub use tokenization::{decode, encode, targets};
pub use tracing::{bigram_counts, bits_and_perplexity, embed, normalise_rows};
pub use training::{batch, sgd_step, write};
pub use transformer::{add_positions, layer_norm, rms_norm, top_k};
pub use verdict::{Hint, Outcome, Verdict};
pub use whole::transformer;

/// The exercises by their tables: what they say, and who judges them.
macro_rules! every {
    ($count:literal: $($module:ident::$exercise:ident),* $(,)?) => {
        /// Every exercise, in the order of the notebooks.
        pub const EXERCISES: [Exercise; $count] = [$($module::$exercise.exercise),*];

        /// The judge of each.
        fn judges() -> [&'static dyn AnyJudge; $count] {
            [$(&$module::$exercise),*]
        }
    };
}

every! {
    59:
    tokenization::ENCODE,
    tokenization::DECODE,
    tokenization::TARGETS,
    byte_pairs::COUNT_PAIR,
    byte_pairs::MERGE_PAIR,
    byte_pairs::ENCODE_PAIRS,
    byte_pairs::DECODE_PAIRS,
    byte_pairs::NATS_PER_CHAR,
    mlp::MLP_PARAMETERS,
    mlp::RELU,
    mlp::MLP_FORWARD,
    mlp::CROSS_ENTROPY,
    training::BATCH,
    training::SGD_STEP,
    mlp::TEMPERATURE,
    training::WRITE,
    tracing::EMBED,
    tracing::BITS_AND_PERPLEXITY,
    tracing::BIGRAM_COUNTS,
    tracing::NORMALISE_ROWS,
    learning::LOGITS_GRADIENT,
    learning::LINEAR_GRADIENTS,
    learning::RELU_GRADIENT,
    learning::EMBEDDING_GRADIENT,
    optimising::MOMENTUM_STEP,
    optimising::ADAM_STEP,
    attention::ONE_SCORE,
    attention::SCORES,
    attention::HEAD_SCORES,
    masking::SOFTMAX_ROWS,
    masking::CAUSAL_MASK,
    attention::ATTEND,
    masking::SOFTMAX_GRADIENT,
    attention::SPLIT_HEADS,
    transformer::ADD_POSITIONS,
    transformer::LAYER_NORM,
    block::BLOCK,
    block::BLOCK_GRADIENT,
    whole::TRANSFORMER,
    transformer::RMS_NORM,
    transformer::TOP_K,
    looking::PREVIOUS_SCORE,
    looking::SURPRISE,
    comparing::TRANSFORMER_PARAMETERS,
    comparing::WINDOWS,
    comparing::BEST_NEXT,
    experiments::MEAN_AND_ERROR,
    experiments::ERRORS_APART,
    scaling::GENERATION_COST,
    scaling::KV_CACHE_BYTES,
    theirs::SCALED_RMS_NORM,
    theirs::SWIGLU,
    theirs::KEY_HEAD,
    theirs::TURN_BY_HALVES,
    theirs::CHAT_TEXT,
    theirs::INDUCTION_SCORE,
    laws::POWER_LAW,
    laws::BEST_WITHIN,
    laws::SEEDS_NEEDED,
}

/// Judges the answers that a check has kept in a file, to the inputs of a seed.
///
/// # Errors
/// If the file can't be read, holds no answers, or names an exercise that there is not.
pub fn judge_kept(path: &Path, seed: u64) -> Result<Verdict> {
    let kept = KeptAnswers::open(path)?;
    let judge = judges().into_iter().find(|judge| judge.exercise().name == kept.exercise);
    let judge = judge.ok_or_else(|| Error::Data(format!("there is no exercise {:?}", kept.exercise)))?;
    Ok(judge.judge_kept(seed, &kept))
}

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
            let without =
                format!("`check::reference::{}` in the function's body goes on without it", exercise.reference);
            format!(
                "{name} has hints 1 to {last}. After the last one, {without}; the notebook of the same name in solutions/ \
                 shows how it is done."
            )
        }
    };
    Hint { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Result;
    use crate::model::attention::Head;
    use crate::model::{Model, Parameter, Probe};
    use crate::rng::Rng;
    use tch::{Device, Kind, Tensor};

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

    /// Who is stuck builds a model of them, and it must learn.
    #[test]
    fn gradients_flow_back_through_every_reference_that_a_model_is_built_of() {
        let mut rng = Rng::new(1);
        let mut leaf = |size: &[i64]| rng.normal_tensor(size, 1.0).set_requires_grad(true);
        let (x, y, z) = (leaf(&[2, 5, 8]), leaf(&[2, 5, 8]), leaf(&[2, 5, 8]));
        let (square, table) = (leaf(&[2, 5, 5]), leaf(&[9, 8]));
        let (head, same) = (Head::new(8, 4, &mut Rng::new(2), Device::Cpu).unwrap(), |x: &Tensor| x * 2.0);
        let targets = Tensor::from_slice(&[1_i64, 3, 0, 7, 2]);
        for (name, made, leaves) in [
            ("scores", reference::scores(&x, &y), vec![&x, &y]),
            ("head_scores", reference::head_scores(&head, &x), vec![&x, &head.query_weight, &head.key_weight]),
            ("softmax_rows", reference::softmax_rows(&square), vec![&square]),
            ("causal_mask", reference::causal_mask(&square).clamp_min(-9.0), vec![&square]),
            ("attend", reference::attend(&x, &y, &z), vec![&x, &y, &z]),
            ("split_heads", reference::split_heads(&x.get(0), 2), vec![&x]),
            ("layer_norm", reference::layer_norm(&x), vec![&x]),
            ("rms_norm", reference::rms_norm(&x), vec![&x]),
            ("add_positions", reference::add_positions(&x, &table), vec![&x, &table]),
            ("block", reference::block(&x, &same, &same, &same, &same), vec![&x]),
            ("relu", reference::relu(&x), vec![&x]),
            ("embed", reference::embed(&table, &[1, 1, 2]), vec![&table]),
            ("cross_entropy", reference::cross_entropy(&x.get(0), &targets), vec![&x]),
        ] {
            // Not the sum alone: that of a softmax is 1 whatever goes in.
            let loss = made.square().sum(Kind::Float);
            for (number, gradient) in Tensor::f_run_backward(&[&loss], &leaves, true, false).unwrap().iter().enumerate()
            {
                assert!(gradient.abs().max().double_value(&[]) > 1e-4, "{name}: nothing reaches input {number}");
            }
        }
    }

    #[test]
    fn every_reference_is_right_and_is_called_as_its_exercise_says() {
        /// Goes on with the library's forward pass.
        struct Stuck(crate::model::Mine);
        impl Model for Stuck {
            fn forward(&self, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
                reference::transformer(self, ids, probe)
            }
            fn parameters(&self) -> Vec<Parameter> {
                Model::parameters(&self.0)
            }
        }
        macro_rules! verdicts {
            ($($name:ident),* $(,)?) => { vec![$($name(reference::$name)),*] };
        }
        let mut verdicts = verdicts![
            encode,
            decode,
            targets,
            count_pair,
            merge_pair,
            encode_pairs,
            decode_pairs,
            nats_per_char,
            mlp_parameters,
            relu,
            mlp_forward,
            cross_entropy,
            batch,
            sgd_step,
            temperature,
            write,
            embed,
            bits_and_perplexity,
            bigram_counts,
            normalise_rows,
            logits_gradient,
            linear_gradients,
            relu_gradient,
            embedding_gradient,
            momentum_step,
            adam_step,
            one_score,
            scores,
            head_scores,
            softmax_rows,
            causal_mask,
            attend,
            softmax_gradient,
            split_heads,
            add_positions,
            layer_norm,
            block,
            block_gradient,
            rms_norm,
            top_k,
            previous_score,
            surprise,
            transformer_parameters,
            windows,
            best_next,
            mean_and_error,
            errors_apart,
            generation_cost,
            kv_cache_bytes,
            scaled_rms_norm,
            swiglu,
            key_head,
            turn_by_halves,
            chat_text,
            induction_score,
            power_law,
            best_within,
            seeds_needed,
        ];
        verdicts.push(transformer(&Stuck(crate::model::Mine::new())));
        for verdict in &verdicts {
            assert!(verdict.is_right(), "{verdict}");
        }
        for exercise in EXERCISES {
            assert!(verdicts.iter().any(|verdict| verdict.exercise == exercise), "{}", exercise.name);
            assert!(exercise.reference.starts_with(&format!("{}(", exercise.name)), "{}", exercise.reference);
        }
    }

    /// Who grades draws a seed anew each time: whichever it is, the right answer must pass and no mistake may.
    #[test]
    fn with_every_seed_the_reference_is_right_and_no_mistake_is() {
        let faults = |seed: u64| judges().into_iter().flat_map(move |judge| judge.faults(seed));
        let seeds = std::env::var("GLASSLAB_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(12);
        let faults: Vec<String> = (0..seeds).flat_map(faults).collect();
        assert!(faults.is_empty(), "{}", faults.join("\n"));
    }

    /// What somebody has noted of the usual inputs, or of another seed's, is of no use with a seed that nobody knows.
    #[test]
    fn no_exercise_has_the_same_inputs_with_another_seed() {
        for judge in judges() {
            let told: Vec<_> = (0..4).map(|seed| judge.rote(seed)).collect();
            for (number, answers) in told.iter().enumerate() {
                let others = told.iter().enumerate().filter(|(other, _)| *other != number);
                for (other, _) in others {
                    let verdict = judge.judge_kept(other as u64, answers);
                    assert!(
                        !verdict.is_right(),
                        "{}: the answers of seed {number} pass with {other}",
                        judge.exercise().name
                    );
                }
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
