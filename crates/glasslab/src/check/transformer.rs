//! The exercises on the transformer's smaller parts: norms, positions, and choosing among the likeliest. A block and the whole
//! model have files of their own.

use super::exercise::Exercise;
use super::judge::{Given, Judge, Mistake};
use super::{inputs, reference, verdict::Verdict};
use crate::error::Result;
use crate::rng::Rng;
use tch::{Kind, Tensor};

/// What a norm on another axis than the last is.
const AXIS: &str =
    "you normalised over the wrong axis: each character's C numbers by themselves, so it is the last one, −1";

/// Rows of one text, and of several: (T, C), then (B, T, C).
fn rows(number: usize, rng: &mut Rng) -> Tensor {
    let size = [&[4, 6][..], &[5, 6], &[2, 3, 6], &[7, 6], &[4, 3, 6], &[3, 5, 5]][number];
    inputs::tensor(rng, size, 1.5)
}

/// The same, with a last input whose first row is `flat`: there a norm divides by zero, if nothing is added under the root.
fn rows_one_flat(number: usize, rng: &mut Rng, flat: f64) -> Tensor {
    let rows = rows(number, rng) + 0.7;
    if number == 5 {
        let _ = rows.narrow(-2, 0, 1).fill_(flat);
    }
    rows
}

/// What a norm without ε is.
const NO_EPSILON: &str = "you divided by zero where nothing is left to divide by (a row of equal numbers, or of zeros): add ε = 1e-5 under \
                          the root";

fn mean(x: &Tensor, axis: i64) -> Result<Tensor> {
    Ok(x.f_mean_dim(axis, true, Kind::Float)?)
}

pub(super) const LAYER_NORM: Exercise = Exercise {
    name: "layer_norm",
    task: "Write layer norm without its learnt scale and shift: x (…, C), that is (T, C) or (B, T, C) → the same shape, each row with \
           mean 0 and variance 1.",
    hints: [
        "Two steps for each row: subtract its mean, then divide by its standard deviation, the root of the variance.",
        "x.mean_dim(-1, true, Kind::Float) is the mean of each row; the variance is the mean of the squares of what is left \
         after subtracting it: divide by C, not by C − 1.",
        "let centred = x - x.mean_dim(-1, true, Kind::Float); then \
         &centred / (centred.square().mean_dim(-1, true, Kind::Float) + 1e-5).…()",
    ],
    reference: "layer_norm(x)",
};

/// Checks `layer_norm`: (…, C) → (…, C).
pub fn layer_norm(f: impl Fn(&Tensor) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, Tensor, Tensor>) -> Verdict {
        fn centred(x: &Tensor, axis: i64) -> Result<Tensor> {
            Ok(x.f_sub(&mean(x, axis)?)?)
        }
        /// Divides by the root of the mean square.
        fn sized(x: &Tensor, by: &Tensor, axis: i64) -> Result<Tensor> {
            Ok(x.f_div(&mean(&by.f_square()?, axis)?.f_add_scalar(1e-5)?.f_sqrt()?)?)
        }
        let judge = Judge {
            exercise: LAYER_NORM,
            input: |number, rng| rows_one_flat(number, rng, 0.75),
            reference: |x| Ok(reference::layer_norm(x)),
            mistakes: vec![
                Mistake {
                    named: NO_EPSILON,
                    done: |x| {
                        let left = centred(x, -1)?;
                        Ok(left.f_div(&mean(&left.f_square()?, -1)?.f_sqrt()?)?)
                    },
                },
                Mistake { named: AXIS, done: |x| sized(&centred(x, 0)?, &centred(x, 0)?, 0) },
                Mistake { named: AXIS, done: |x| sized(&centred(x, -2)?, &centred(x, -2)?, -2) },
                Mistake { named: AXIS, done: |x| sized(&centred(x, 1)?, &centred(x, 1)?, 1) },
                Mistake {
                    named: "you divided by n − 1 in the variance: here all C numbers are there, so it is n",
                    done: |x| {
                        let variance = x.f_var_dim(-1, true, true)?;
                        Ok(centred(x, -1)?.f_div(&variance.f_add_scalar(1e-5)?.f_sqrt()?)?)
                    },
                },
                Mistake {
                    named: "you did not subtract the mean, and divided by the root of the mean square (that is RMS norm)",
                    done: |x| sized(x, x, -1),
                },
                Mistake {
                    named: "you divided by the standard deviation, but did not subtract the mean",
                    done: |x| sized(x, &centred(x, -1)?, -1),
                },
                Mistake {
                    named: "you subtracted the mean, but did not divide by the standard deviation",
                    done: |x| centred(x, -1),
                },
                Mistake {
                    named: "you divided by the variance: take its root first",
                    done: |x| {
                        let left = centred(x, -1)?;
                        Ok(left.f_div(&mean(&left.f_square()?, -1)?.f_add_scalar(1e-5)?)?)
                    },
                },
                Mistake {
                    named: "you normalised all numbers together: each character must stay by itself",
                    done: |x| {
                        let left = x.f_sub(&x.f_mean(Kind::Float)?)?;
                        Ok(left.f_div(&left.f_square()?.f_mean(Kind::Float)?.f_add_scalar(1e-5)?.f_sqrt()?)?)
                    },
                },
            ],
        };
        judge.judge(f)
    }
    judged(&f)
}

pub(super) const RMS_NORM: Exercise = Exercise {
    name: "rms_norm",
    task: "Write RMS norm: x (…, C), that is (T, C) or (B, T, C) → the same shape, each row divided by the root of the mean of its squares: \
           x / √(mean of x² + 1e-5). Nothing is subtracted, nothing learnt.",
    hints: [
        "Layer norm without its first step: the row keeps its mean. Square, mean of the row, root, divide.",
        "x.square().mean_dim(-1, true, Kind::Float) is the mean of the squares of each row, (…, 1).",
        "x / (x.square().mean_dim(-1, true, Kind::Float) + 1e-5).…()",
    ],
    reference: "rms_norm(x)",
};

/// Checks `rms_norm`: (…, C) → (…, C).
pub fn rms_norm(f: impl Fn(&Tensor) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, Tensor, Tensor>) -> Verdict {
        /// The root of the mean square along an axis.
        fn root(x: &Tensor, axis: i64) -> Result<Tensor> {
            Ok(mean(&x.f_square()?, axis)?.f_add_scalar(1e-5)?.f_sqrt()?)
        }
        let judge = Judge {
            exercise: RMS_NORM,
            input: |number, rng| rows_one_flat(number, rng, 0.0),
            reference: |x| Ok(reference::rms_norm(x)),
            mistakes: vec![
                Mistake { named: NO_EPSILON, done: |x| Ok(x / mean(&x.f_square()?, -1)?.f_sqrt()?) },
                Mistake { named: AXIS, done: |x| Ok(x / root(x, 0)?) },
                Mistake { named: AXIS, done: |x| Ok(x / root(x, -2)?) },
                Mistake { named: AXIS, done: |x| Ok(x / root(x, 1)?) },
                Mistake {
                    named: "you subtracted the mean first (that is layer norm): RMS norm leaves it where it is",
                    done: |x| {
                        let left = x - mean(x, -1)?;
                        Ok(&left / root(&left, -1)?)
                    },
                },
                Mistake {
                    named: "you divided by the standard deviation, which is measured from the mean: here it is the mean of x² itself",
                    done: |x| Ok(x / root(&(x - mean(x, -1)?), -1)?),
                },
                Mistake {
                    named: "you divided by the standard deviation (with C − 1): here it is the mean of x² itself",
                    done: |x| Ok(x / x.f_std_dim(-1, true, true)?),
                },
                Mistake {
                    named: "you took the sum of the squares instead of their mean: then a wider row would get smaller numbers",
                    done: |x| Ok(x / x.square().sum_dim_intlist(-1, true, Kind::Float).f_add_scalar(1e-5)?.f_sqrt()?),
                },
                Mistake {
                    named: "you forgot the root: divide by √(mean of x²), which has the size of x",
                    done: |x| Ok(x / mean(&x.square(), -1)?.f_add_scalar(1e-5)?),
                },
                Mistake {
                    named: "you normalised all numbers together: each row by itself",
                    done: |x| Ok(x / x.square().mean(Kind::Float).f_add_scalar(1e-5)?.f_sqrt()?),
                },
            ],
        };
        judge.judge(f)
    }
    judged(&f)
}

pub(super) const ADD_POSITIONS: Exercise = Exercise {
    name: "add_positions",
    task: "Write the positions: x (…, T, C) and a table (L, C) with L ≥ T → (…, T, C), row t of the table added to row t of each \
           text.",
    hints: [
        "The table has a row for each place that a text can have; this text has only T of them.",
        "table.narrow(axis, first, count) takes a part of an axis.",
        "x + table.narrow(0, …, x.size()[x.dim() - 2]): T is the last size but one, whatever stands before it.",
    ],
    reference: "add_positions(embedded, positions)",
};

/// Checks `add_positions`: x (…, T, C), a table (L, C) → (…, T, C).
pub fn add_positions(f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, (Tensor, Tensor), Tensor>) -> Verdict {
        fn time(x: &Tensor) -> i64 {
            x.size()[x.dim() - 2]
        }
        fn added(x: &Tensor, table: &Tensor, first: i64) -> Result<Tensor> {
            Ok(x.f_add(&table.f_narrow(0, first, time(x))?)?)
        }
        let judge = Judge {
            exercise: ADD_POSITIONS,
            input: |number, rng| {
                let size = [&[3, 5][..], &[1, 4, 5], &[6, 5], &[2, 3, 5], &[3, 7, 5], &[1, 2, 5]][number];
                (inputs::tensor(rng, size, 1.0), inputs::tensor(rng, &[9, 5], 1.0))
            },
            reference: |(x, table)| Ok(reference::add_positions(x, table)),
            mistakes: vec![
                Mistake {
                    named: "you are one place off: the first character has place 0",
                    done: |(x, table)| added(x, table, 1),
                },
                Mistake {
                    named: "you took the last rows of the table: the text begins at place 0",
                    done: |(x, table)| added(x, table, table.size()[0] - time(x)),
                },
                Mistake {
                    named: "you added the same row to every character: then the model still can't tell their order",
                    done: |(x, table)| Ok(x.f_add(&table.f_narrow(0, 0, 1)?)?),
                },
                Mistake {
                    named: "you multiplied by the positions: they are added",
                    done: |(x, table)| Ok(x.f_mul(&table.f_narrow(0, 0, time(x))?)?),
                },
                Mistake {
                    named: "you gave the positions alone: add them to x",
                    done: |(x, table)| Ok(table.f_narrow(0, 0, time(x))?),
                },
                Mistake {
                    named: "you took the number of texts for their length: T is the last size but one, x.size()[x.dim() - 2]",
                    done: |(x, table)| Ok(x.f_add(&table.f_narrow(0, 0, x.size()[0])?)?),
                },
                Mistake { named: "you changed nothing", done: |(x, _)| Ok(x.shallow_clone()) },
            ],
        };
        judge.judge(f)
    }
    judged(&|(x, table)| f(x, table))
}

pub(super) const TOP_K: Exercise = Exercise {
    name: "top_k",
    task: "Write top-k: it takes logits, the scores of V characters (V), and k, and returns probabilities (V): softmax among the k highest \
           scores, 0 for all others, so that they sum to 1.",
    hints: [
        "As with the causal mask: what must not be drawn gets −∞ before softmax, which makes 0 of it. Softmax comes last.",
        "logits.topk(k as i64, -1, true, true).0 are the k highest scores in order; the last of them is the limit.",
        "let limit = logits.topk(k as i64, -1, true, true).0.min(); then \
         logits.masked_fill(&logits.lt_tensor(&limit), f64::…).softmax(-1, Kind::Float)",
    ],
    reference: "top_k(logits, k)",
};

/// Checks `top_k`: logits (V) and k → probabilities (V).
pub fn top_k(f: impl Fn(&Tensor, usize) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, (Tensor, usize), Tensor>) -> Verdict {
        /// What is not among the k highest (or lowest).
        fn others(logits: &Tensor, k: usize, highest: bool) -> Result<Tensor> {
            let (scores, _) = logits.f_topk(k as i64, -1, highest, true)?;
            Ok(if highest { logits.f_lt_tensor(&scores.f_min()?)? } else { logits.f_gt_tensor(&scores.f_max()?)? })
        }
        let judge = Judge {
            exercise: TOP_K,
            input: |number, rng| (inputs::tensor(rng, &[9], 2.0), [3, 1, 2, 5, 4, 3][number]),
            reference: |(logits, k)| Ok(reference::top_k(logits, *k)),
            mistakes: vec![
                Mistake {
                    named: "you gave scores, with −∞ where they are cut: probabilities are asked for, so softmax comes last",
                    done: |(logits, k)| Ok(logits.f_masked_fill(&others(logits, *k, true)?, f64::NEG_INFINITY)?),
                },
                Mistake {
                    named: "you gave scores, with 0 where they are cut: give −∞ to what is cut, and softmax of that",
                    done: |(logits, k)| Ok(logits.f_masked_fill(&others(logits, *k, true)?, 0.0)?),
                },
                Mistake {
                    named: "you took softmax first and then put zeros: what is left no longer sums to 1",
                    done: |(logits, k)| {
                        Ok(logits.f_softmax(-1, Kind::Float)?.f_masked_fill(&others(logits, *k, true)?, 0.0)?)
                    },
                },
                Mistake {
                    named: "you gave the others the score 0 instead of −∞: e⁰ is 1, so they can still be drawn",
                    done: |(logits, k)| {
                        Ok(logits.f_masked_fill(&others(logits, *k, true)?, 0.0)?.f_softmax(-1, Kind::Float)?)
                    },
                },
                Mistake {
                    named: "you kept the k lowest scores",
                    done: |(logits, k)| {
                        let others = others(logits, *k, false)?;
                        Ok(logits.f_masked_fill(&others, f64::NEG_INFINITY)?.f_softmax(-1, Kind::Float)?)
                    },
                },
                Mistake {
                    named: "you kept one too few: the k-th highest score itself may be drawn, too",
                    done: |(logits, k)| {
                        let limit = logits.f_topk(*k as i64, -1, true, true)?.0.f_min()?;
                        let hidden = logits.f_le_tensor(&limit)?;
                        Ok(logits.f_masked_fill(&hidden, f64::NEG_INFINITY)?.f_softmax(-1, Kind::Float)?)
                    },
                },
                Mistake {
                    named: "you kept one too many: k of them, the k-th highest is the last",
                    done: |(logits, k)| Ok(reference::top_k(logits, k + 1)),
                },
                Mistake {
                    named: "you gave k probabilities: give V of them, with 0 for the others, so that each keeps its place",
                    done: |(logits, k)| Ok(logits.f_topk(*k as i64, -1, true, true)?.0.f_softmax(-1, Kind::Float)?),
                },
                Mistake { named: "you did not use k", done: |(logits, _)| Ok(logits.f_softmax(-1, Kind::Float)?) },
            ],
        };
        judge.judge(f)
    }
    judged(&|(logits, k)| f(logits, *k))
}

#[cfg(test)]
mod tests;
