//! Answers as JSON: what a learner's function gave, for a judge in another process.
//!
//! Who grades must not believe what the process says of itself that runs the learner's code: code in it can print anything.
//! So a check writes down the *answers*, where `GLASSLAB_CHECK_ANSWERS` names a folder for them, and the grader compares
//! them outside of that process ([`judge_kept`](super::judge_kept)). The inputs are those of a seed, `GLASSLAB_CHECK_SEED`,
//! that is drawn anew for each grading: answers that somebody has noted of others don't fit.

use crate::error::{Error, Result};
use crate::file::file_error;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// Names the seed of a check's inputs; 0 without it.
const SEED: &str = "GLASSLAB_CHECK_SEED";
/// Names the folder in which a check keeps the answers.
const FOLDER: &str = "GLASSLAB_CHECK_ANSWERS";

/// What a function gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptAnswers {
    /// The exercise's name.
    pub exercise: String,
    /// An answer for each input, up to the one where it stopped.
    pub answers: Vec<Value>,
    /// What it said when it stopped; `None` if it never did.
    pub stopped: Option<String>,
}

/// The seed of the inputs.
pub(super) fn seed() -> u64 {
    std::env::var(SEED).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Keeps answers in a file of the exercise's name, if somebody asked for them. A check is no less a check without it.
pub(super) fn keep(made: impl FnOnce() -> KeptAnswers) {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let kept = made();
    let (path, part) = (folder.join(format!("{}.json", kept.exercise)), folder.join(format!("{}.part", kept.exercise)));
    let _ = serde_json::to_vec(&kept)
        .map_err(std::io::Error::from)
        .and_then(|text| std::fs::write(&part, text))
        .and_then(|()| std::fs::rename(&part, path));
}

impl KeptAnswers {
    /// Reads the file of a check.
    ///
    /// # Errors
    /// If it can't be read, or holds no answers.
    pub fn open(path: &Path) -> Result<KeptAnswers> {
        let text = std::fs::read(path).map_err(file_error(path))?;
        serde_json::from_slice(&text)
            .map_err(|error| Error::Data(format!("{} holds no answers of a check: {error}", path.display())))
    }
}

/// An answer that can be written down and read again.
pub trait Kept: Sized {
    /// As JSON.
    fn kept(&self) -> Value;
    /// From JSON; `None` if it is something else.
    fn read(value: &Value) -> Option<Self>;
}

macro_rules! as_serde_does {
    ($($kind:ty),*) => { $(
        impl Kept for $kind {
            fn kept(&self) -> Value {
                json!(self)
            }

            fn read(value: &Value) -> Option<Self> {
                Self::deserialize(value).ok()
            }
        }
    )* };
}

as_serde_does!(String, bool, i32, i64, u64, u8, usize, Vec<i32>, Vec<i64>, Vec<u64>, Vec<u8>, Vec<usize>);

/// JSON has no word for what is infinite, or no number.
impl Kept for f64 {
    fn kept(&self) -> Value {
        if self.is_finite() { json!(self) } else { json!(self.to_string()) }
    }

    fn read(value: &Value) -> Option<f64> {
        value.as_f64().or_else(|| value.as_str()?.parse().ok())
    }
}

/// Its shape, whether its numbers are whole, and its numbers, one row after the other.
impl Kept for Tensor {
    fn kept(&self) -> Value {
        let flat = self.detach().to_device(tch::Device::Cpu).to_kind(Kind::Double).contiguous().view([-1]);
        let numbers: Vec<f64> = Vec::try_from(&flat).unwrap_or_default();
        let numbers: Vec<Value> = numbers.iter().map(Kept::kept).collect();
        json!({ "shape": self.size(), "whole": !self.is_floating_point(), "numbers": numbers })
    }

    fn read(value: &Value) -> Option<Tensor> {
        let shape: Vec<i64> = Kept::read(value.get("shape")?)?;
        let numbers: Option<Vec<f64>> = value.get("numbers")?.as_array()?.iter().map(f64::read).collect();
        let numbers = numbers?;
        let count = shape.iter().try_fold(1_i64, |count, &size| count.checked_mul(size).filter(|_| size >= 0))?;
        if usize::try_from(count).ok()? != numbers.len() {
            return None;
        }
        let kind = if value.get("whole")?.as_bool()? { Kind::Int64 } else { Kind::Double };
        Tensor::from_slice(&numbers).to_kind(kind).f_view(&shape[..]).ok()
    }
}

/// Several answers, one after the other.
macro_rules! several {
    ($($names:ident)*) => {
        impl<$($names: Kept),*> Kept for ($($names,)*) {
            #[allow(non_snake_case)]
            fn kept(&self) -> Value {
                let ($($names,)*) = self;
                Value::Array(vec![$($names.kept()),*])
            }

            #[allow(non_snake_case)]
            fn read(value: &Value) -> Option<Self> {
                let mut values = value.as_array()?.iter();
                $(let $names = $names::read(values.next()?)?;)*
                values.next().is_none().then_some(($($names,)*))
            }
        }
    };
}

several!(A B);
several!(A B C);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{self, EXERCISES, Verdict, answer::Answer, judge_kept};

    #[test]
    fn an_answer_that_was_kept_is_the_same_answer() {
        let back = |text: &str| Tensor::read(&serde_json::from_str(text).unwrap());
        for tensor in [
            Tensor::from_slice(&[1.5_f32, f32::NEG_INFINITY, f32::NAN, -0.1, 3.0, 1e-30]).view([2, 3]).tr(),
            Tensor::from_slice(&[1_i64, 2, 3]),
            Tensor::from_slice(&[0.25]).view([1]).squeeze(),
            Tensor::zeros([0, 4], (Kind::Float, tch::Device::Cpu)),
        ] {
            let again = back(&tensor.kept().to_string()).unwrap();
            assert!(again.difference(&tensor).is_none() && tensor.difference(&again).is_none());
            assert_eq!(again.is_floating_point(), tensor.is_floating_point());
        }
        let pair = (vec![1_i64, 2], "a\"b".to_owned(), f64::INFINITY);
        assert_eq!(<(Vec<i64>, String, f64)>::read(&pair.kept()), Some(pair));
    }

    #[test]
    fn what_is_no_answer_is_none_and_never_a_panic() {
        for text in [
            r#"{"shape":[2,3],"whole":false,"numbers":[1]}"#,
            r#"{"shape":[-1,-1],"whole":false,"numbers":[1]}"#,
            r#"{"shape":[9223372036854775807,9223372036854775807],"whole":false,"numbers":[]}"#,
            r#"{"shape":[1],"whole":false,"numbers":[{}]}"#,
            r#"{"shape":[1],"numbers":[1]}"#,
            "[]",
            "7",
        ] {
            assert!(Tensor::read(&serde_json::from_str(text).unwrap()).is_none(), "{text}");
        }
        assert!(<(i64, i64)>::read(&json!([1, 2, 3])).is_none() && <(i64, i64)>::read(&json!([1])).is_none());
    }

    fn judged(text: &str, seed: u64) -> Result<Verdict> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers.json");
        std::fs::write(&path, text).unwrap();
        judge_kept(&path, seed)
    }

    #[test]
    fn kept_answers_get_the_verdict_that_the_function_gets_and_those_of_another_seed_are_wrong() {
        type Targets<'a> = &'a dyn Fn(&[i64]) -> (Vec<i64>, Vec<i64>);
        let answers = |seed: u64, f: Targets<'_>| check::tokenization::TARGETS.kept(seed, &|ids| f(ids));
        let text = |kept: &KeptAnswers| serde_json::to_string(kept).unwrap();
        let right = text(&answers(5, &check::reference::targets));
        assert!(judged(&right, 5).unwrap().is_right());
        for seed in [0, 1, 4, 6, u64::MAX] {
            assert!(!judged(&right, seed).unwrap().is_right(), "answers by rote");
        }
        let wrong = judged(&text(&answers(5, &|ids| (ids.to_vec(), ids.to_vec()))), 5).unwrap();
        assert!(wrong.to_string().contains("its own input"), "{wrong}");
        let unwritten = judged(&text(&answers(5, &|_| todo!())), 5).unwrap();
        assert!(unwritten.to_string().contains("not written yet"), "{unwritten}");
        let stopped = judged(&text(&answers(5, &|ids| (vec![ids[99]], vec![]))), 5).unwrap();
        assert!(stopped.to_string().contains("index out of bounds"), "{stopped}");
    }

    #[test]
    fn a_file_that_says_less_more_or_something_else_is_not_right() {
        for (text, expected) in [
            ("", "holds no answers"),
            ("{}", "holds no answers"),
            (r#"{"exercise":"nothing","answers":[],"stopped":null}"#, "there is no exercise"),
        ] {
            assert!(judged(text, 1).unwrap_err().to_string().contains(expected), "{text}");
        }
        let answers = |count| vec![json!(7); count];
        for count in [0, 1, 5, 6, 7, 1000] {
            for exercise in EXERCISES {
                let kept = KeptAnswers { exercise: exercise.name.to_owned(), answers: answers(count), stopped: None };
                let verdict = judged(&serde_json::to_string(&kept).unwrap(), 1).unwrap();
                assert!(!verdict.is_right(), "{count} {verdict}");
            }
        }
    }
}
