//! The exercises on tracing the transformer: measuring what a head does, and how surprised a model is.

use super::exercise::Exercise;
use super::judge::{Given, Judge, Mistake};
use super::{inputs, reference, verdict::Verdict};
use crate::error::Result;
use tch::{Kind, Tensor};

pub(super) const PREVIOUS_SCORE: Exercise = Exercise {
    name: "previous_score",
    task: "Write a measure of how much a head looks at the character before: weights (T, T) → the mean weight in column t − 1 of \
           row t, over the rows 1, 2, … (row 0 has no character before it).",
    hints: [
        "Which cells of the table are these? They stand in a line right below the diagonal.",
        "weights.diagonal(offset, 0, 1) is such a line: offset 0 the diagonal itself, 1 the one above it, −1 …",
        "weights.diagonal(-1, 0, 1).mean(Kind::…).double_value(&[])",
    ],
    reference: "previous_score(weights)",
};

/// Checks `previous_score`: weights (T, T) → one number from 0 to 1.
pub fn previous_score(f: impl Fn(&Tensor) -> f64) -> Verdict {
    fn judged(f: Given<'_, Tensor, f64>) -> Verdict {
        fn line(weights: &Tensor, offset: i64) -> Result<Tensor> {
            Ok(weights.f_diagonal(offset, 0, 1)?.f_to_kind(Kind::Double)?)
        }
        fn mean(weights: &Tensor, offset: i64) -> Result<f64> {
            Ok(line(weights, offset)?.f_mean(None)?.f_double_value(&[])?)
        }
        let judge = Judge {
            exercise: PREVIOUS_SCORE,
            // Full tables: a mask would hide who reads above the diagonal.
            input: |number, rng| {
                let size = 4 + number as i64;
                inputs::tensor(rng, &[size, size], 1.0).softmax(-1, Kind::Float)
            },
            reference: |weights| Ok(reference::previous_score(weights)),
            mistakes: vec![
                Mistake {
                    named: "you took the weights on the diagonal: there each character looks at itself",
                    done: |weights| mean(weights, 0),
                },
                Mistake {
                    named: "you took the weights above the diagonal: rows are who looks, columns who is looked at",
                    done: |weights| mean(weights, 1),
                },
                Mistake {
                    named: "you took the sum instead of the mean",
                    done: |weights| Ok(line(weights, -1)?.f_sum(None)?.f_double_value(&[])?),
                },
                Mistake {
                    named: "you divided by T: only T − 1 characters have one before them",
                    done: |weights| Ok(line(weights, -1)?.f_sum(None)?.f_double_value(&[])? / weights.size()[0] as f64),
                },
                Mistake { named: "you looked two characters back", done: |weights| mean(weights, -2) },
            ],
        };
        judge.judge(f)
    }
    judged(&f)
}

pub(super) const SURPRISE: Exercise = Exercise {
    name: "surprise",
    task: "Write the surprise: probabilities (V) and the id that really came → −log₂ of its probability, in bits.",
    hints: [
        "What was expected with probability ½ is one bit of surprise, ¼ is two bits, and a certainty is none.",
        "probabilities.double_value(&[id]) is the probability of that id; a number has the methods ln() and log2().",
        "-probabilities.double_value(&[id]).…()",
    ],
    reference: "surprise(probabilities, id)",
};

/// Checks `surprise`: probabilities (V) and an id → bits.
pub fn surprise(f: impl Fn(&Tensor, i64) -> f64) -> Verdict {
    fn judged(f: Given<'_, (Tensor, i64), f64>) -> Verdict {
        type Input = (Tensor, i64);
        fn of((probabilities, id): &Input) -> f64 {
            probabilities.double_value(&[*id])
        }
        let judge = Judge {
            exercise: SURPRISE,
            input: |_, rng| -> Input {
                let probabilities = inputs::tensor(rng, &[8], 2.0).softmax(-1, Kind::Double);
                // Not the first or last: an id that is one off must still be one.
                (probabilities, inputs::between(rng, 1, 6))
            },
            reference: |(probabilities, id)| Ok(reference::surprise(probabilities, *id)),
            mistakes: vec![
                Mistake {
                    named: "you took ln: that is the surprise in nats, bits need log2",
                    done: |input| Ok(-of(input).ln()),
                },
                Mistake {
                    named: "you forgot the minus: the logarithm of a probability is negative, a surprise is not",
                    done: |input| Ok(of(input).log2()),
                },
                Mistake { named: "you gave the probability itself", done: |input| Ok(of(input)) },
                Mistake {
                    named: "you gave 1 minus the probability: then an impossible character would surprise only a little more than a \
                        rare one",
                    done: |input| Ok(1.0 - of(input)),
                },
                Mistake {
                    named: "you measured the likeliest character instead of the one that came",
                    done: |(probabilities, _)| Ok(-probabilities.f_max()?.f_double_value(&[])?.log2()),
                },
                Mistake {
                    named: "you gave the mean surprise over all characters (the entropy): only one of them came",
                    done: |(probabilities, _)| {
                        Ok(-(probabilities * probabilities.f_log2()?).f_sum(Kind::Double)?.f_double_value(&[])?)
                    },
                },
            ],
        };
        judge.judge(f)
    }
    judged(&|(probabilities, id)| f(probabilities, *id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::judge::named;

    fn by_hand(weights: &Tensor, row: i64, column: i64, count: f64) -> f64 {
        let time = weights.size()[0];
        (0..time - row.max(column)).map(|t| weights.double_value(&[t + row, t + column])).sum::<f64>() / count
    }

    #[test]
    fn the_right_ones_are_right() {
        let verdict = previous_score(|w| by_hand(w, 1, 0, w.size()[0] as f64 - 1.0));
        assert!(verdict.is_right(), "{verdict}");
        let verdict = surprise(|p, id| -p.double_value(&[id]).log2());
        assert!(verdict.is_right(), "{verdict}");
    }

    #[test]
    fn each_mistake_of_previous_score_is_named() {
        let time = |w: &Tensor| w.size()[0] as f64;
        named(previous_score(|w| by_hand(w, 0, 0, time(w))), "at itself");
        named(previous_score(|w| by_hand(w, 0, 1, time(w) - 1.0)), "above the diagonal");
        named(previous_score(|w| by_hand(w, 1, 0, 1.0)), "sum instead");
        named(previous_score(|w| by_hand(w, 1, 0, time(w))), "divided by T");
        named(previous_score(|w| by_hand(w, 2, 0, time(w) - 2.0)), "two characters back");
    }

    #[test]
    fn each_mistake_of_surprise_is_named() {
        named(surprise(|p, id| -p.double_value(&[id]).ln()), "took ln");
        named(surprise(|p, id| p.double_value(&[id]).log2()), "forgot the minus");
        named(surprise(|p, id| p.double_value(&[id])), "probability itself");
        named(surprise(|p, id| 1.0 - p.double_value(&[id])), "1 minus");
        named(surprise(|p, _| -p.max().double_value(&[]).log2()), "likeliest");
        named(surprise(|p, _| -(p * p.log2()).sum(Kind::Double).double_value(&[])), "entropy");
    }

    #[test]
    fn unwritten_and_misshapen_ones_get_a_verdict() {
        assert!(previous_score(|_| todo!()).to_string().contains("not written yet"));
        assert!(surprise(|_, _| todo!()).to_string().contains("not written yet"));
        assert!(
            previous_score(|w| w.matmul(&w.get(0).view([1, -1])).double_value(&[])).to_string().contains("stopped")
        );
        assert!(surprise(|p, _| p.double_value(&[99])).to_string().contains("stopped with"));
    }
}
