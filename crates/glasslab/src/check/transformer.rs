//! The exercises on the transformer's smaller parts: norms, positions, and choosing among the likeliest. A block and the whole
//! model have files of their own.

use super::table::exercise;
use super::{inputs, reference, verdict::Verdict};
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

fn mean(x: &Tensor, axis: i64) -> Tensor {
    x.mean_dim(axis, true, Kind::Float)
}

exercise! {
    LAYER_NORM: Tensor => Tensor = layer_norm(x),
    task: "Write layer norm without its learnt scale and shift: x (…, C), that is (T, C) or (B, T, C) → the same shape, each row with \
           mean 0 and variance 1.",
    hints: [
        "Two steps for each row: subtract its mean, then divide by its standard deviation, the root of the variance.",
        "x.mean_dim(-1, true, Kind::Float) is the mean of each row; the variance is the mean of the squares of what is left \
         after subtracting it: divide by C, not by C − 1.",
        "let centred = x - x.mean_dim(-1, true, Kind::Float); then \
         &centred / (centred.square().mean_dim(-1, true, Kind::Float) + 1e-5).…()",
    ],
    input: |number, rng| rows_one_flat(number, rng, 0.75),
    given: x,
    reference: reference::layer_norm(x),
    mistakes: {
        NO_EPSILON => {
                let left = centred(x, -1);
                &left / mean(&left.square(), -1).sqrt()
            },
        AXIS => sized(&centred(x, 0), &centred(x, 0), 0),
        AXIS => sized(&centred(x, -2), &centred(x, -2), -2),
        AXIS => sized(&centred(x, 1), &centred(x, 1), 1),
        "you divided by n − 1 in the variance: here all C numbers are there, so it is n"
            => {
                let variance = x.var_dim(-1, true, true);
                centred(x, -1) / (variance + 1e-5).sqrt()
            },
        "you did not subtract the mean, and divided by the root of the mean square (that is RMS norm)"
            => sized(x, x, -1),
        "you divided by the standard deviation, but did not subtract the mean" => sized(x, &centred(x, -1), -1),
        "you subtracted the mean, but did not divide by the standard deviation" => centred(x, -1),
        "you divided by the variance: take its root first"
            => {
                let left = centred(x, -1);
                &left / (mean(&left.square(), -1) + 1e-5)
            },
        "you normalised all numbers together: each character must stay by itself"
            => {
                let left = x - x.mean(Kind::Float);
                &left / (left.square().mean(Kind::Float) + 1e-5).sqrt()
            },
    },
}

fn centred(x: &Tensor, axis: i64) -> Tensor {
    x - mean(x, axis)
}

/// Divides by the root of the mean square.
fn sized(x: &Tensor, by: &Tensor, axis: i64) -> Tensor {
    x / (mean(&by.square(), axis) + 1e-5).sqrt()
}

/// Checks `layer_norm`: (…, C) → (…, C).
pub fn layer_norm(f: impl Fn(&Tensor) -> Tensor) -> Verdict {
    LAYER_NORM.judge(&f)
}

exercise! {
    RMS_NORM: Tensor => Tensor = rms_norm(x),
    task: "Write RMS norm: x (…, C), that is (T, C) or (B, T, C) → the same shape, each row divided by the root of the mean of its squares: \
           x / √(mean of x² + 1e-5). Nothing is subtracted, nothing learnt.",
    hints: [
        "Layer norm without its first step: the row keeps its mean. Square, mean of the row, root, divide.",
        "x.square().mean_dim(-1, true, Kind::Float) is the mean of the squares of each row, (…, 1).",
        "x / (x.square().mean_dim(-1, true, Kind::Float) + 1e-5).…()",
    ],
    input: |number, rng| rows_one_flat(number, rng, 0.0),
    given: x,
    reference: reference::rms_norm(x),
    mistakes: {
        NO_EPSILON => x / mean(&x.square(), -1).sqrt(),
        AXIS => x / root(x, 0),
        AXIS => x / root(x, -2),
        AXIS => x / root(x, 1),
        "you subtracted the mean first (that is layer norm): RMS norm leaves it where it is"
            => {
                let left = x - mean(x, -1);
                &left / root(&left, -1)
            },
        "you divided by the standard deviation, which is measured from the mean: here it is the mean of x² itself"
            => x / root(&(x - mean(x, -1)), -1),
        "you divided by the standard deviation (with C − 1): here it is the mean of x² itself"
            => x / x.std_dim(-1, true, true),
        "you took the sum of the squares instead of their mean: then a wider row would get smaller numbers"
            => x / (x.square().sum_dim_intlist(-1, true, Kind::Float) + 1e-5).sqrt(),
        "you forgot the root: divide by √(mean of x²), which has the size of x"
            => x / (mean(&x.square(), -1) + 1e-5),
        "you normalised all numbers together: each row by itself"
            => x / (x.square().mean(Kind::Float) + 1e-5).sqrt(),
    },
}

/// The root of the mean square along an axis.
fn root(x: &Tensor, axis: i64) -> Tensor {
    (mean(&x.square(), axis) + 1e-5).sqrt()
}

/// Checks `rms_norm`: (…, C) → (…, C).
pub fn rms_norm(f: impl Fn(&Tensor) -> Tensor) -> Verdict {
    RMS_NORM.judge(&f)
}

exercise! {
    ADD_POSITIONS: (Tensor, Tensor) => Tensor = add_positions(embedded, positions),
    task: "Write the positions: x (…, T, C) and a table (L, C) with L ≥ T → (…, T, C), row t of the table added to row t of each \
           text.",
    hints: [
        "The table has a row for each place that a text can have; this text has only T of them.",
        "table.narrow(axis, first, count) takes a part of an axis.",
        "x + table.narrow(0, …, x.size()[x.dim() - 2]): T is the last size but one, whatever stands before it.",
    ],
    input: |number, rng| {
        let size = [&[3, 5][..], &[1, 4, 5], &[6, 5], &[2, 3, 5], &[3, 7, 5], &[1, 2, 5]][number];
        (inputs::tensor(rng, size, 1.0), inputs::tensor(rng, &[9, 5], 1.0))
    },
    given: (x, table),
    reference: reference::add_positions(x, table),
    mistakes: {
        "you are one place off: the first character has place 0" => added(x, table, 1),
        "you took the last rows of the table: the text begins at place 0" => added(x, table, table.size()[0] - time(x)),
        "you added the same row to every character: then the model still can't tell their order"
            => x + table.narrow(0, 0, 1),
        "you multiplied by the positions: they are added" => x * table.narrow(0, 0, time(x)),
        "you gave the positions alone: add them to x" => table.narrow(0, 0, time(x)),
        "you took the number of texts for their length: T is the last size but one, x.size()[x.dim() - 2]"
            => x + table.narrow(0, 0, x.size()[0]),
        "you changed nothing" => x.shallow_clone(),
    },
}

fn time(x: &Tensor) -> i64 {
    x.size()[x.dim() - 2]
}

fn added(x: &Tensor, table: &Tensor, first: i64) -> Tensor {
    x + table.narrow(0, first, time(x))
}

/// Checks `add_positions`: x (…, T, C), a table (L, C) → (…, T, C).
pub fn add_positions(f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Verdict {
    ADD_POSITIONS.judge(&|(x, table)| f(x, table))
}

exercise! {
    TOP_K: (Tensor, usize) => Tensor = top_k(logits, k),
    task: "Write top-k: it takes logits, the scores of V characters (V), and k, and returns probabilities (V): softmax among the k highest \
           scores, 0 for all others, so that they sum to 1.",
    hints: [
        "As with the causal mask: what must not be drawn gets −∞ before softmax, which makes 0 of it. Softmax comes last.",
        "logits.topk(k as i64, -1, true, true).0 are the k highest scores in order; the last of them is the limit.",
        "let limit = logits.topk(k as i64, -1, true, true).0.min(); then \
         logits.masked_fill(&logits.lt_tensor(&limit), f64::…).softmax(-1, Kind::Float)",
    ],
    input: |number, rng| (inputs::tensor(rng, &[9], 2.0), [3, 1, 2, 5, 4, 3][number]),
    given: (logits, k),
    reference: reference::top_k(logits, *k),
    mistakes: {
        "you gave scores, with −∞ where they are cut: probabilities are asked for, so softmax comes last"
            => logits.masked_fill(&others(logits, *k, true), f64::NEG_INFINITY),
        "you gave scores, with 0 where they are cut: give −∞ to what is cut, and softmax of that"
            => logits.masked_fill(&others(logits, *k, true), 0.0),
        "you took softmax first and then put zeros: what is left no longer sums to 1"
            => logits.softmax(-1, Kind::Float).masked_fill(&others(logits, *k, true), 0.0),
        "you gave the others the score 0 instead of −∞: e⁰ is 1, so they can still be drawn"
            => logits.masked_fill(&others(logits, *k, true), 0.0).softmax(-1, Kind::Float),
        "you kept the k lowest scores"
            => {
                let others = others(logits, *k, false);
                logits.masked_fill(&others, f64::NEG_INFINITY).softmax(-1, Kind::Float)
            },
        "you kept one too few: the k-th highest score itself may be drawn, too"
            => {
                let limit = logits.topk(*k as i64, -1, true, true).0.min();
                let hidden = logits.le_tensor(&limit);
                logits.masked_fill(&hidden, f64::NEG_INFINITY).softmax(-1, Kind::Float)
            },
        "you kept one too many: k of them, the k-th highest is the last" => reference::top_k(logits, k + 1),
        "you gave k probabilities: give V of them, with 0 for the others, so that each keeps its place"
            => logits.topk(*k as i64, -1, true, true).0.softmax(-1, Kind::Float),
        "you did not use k" => logits.softmax(-1, Kind::Float),
    },
}

/// What is not among the k highest (or lowest).
fn others(logits: &Tensor, k: usize, highest: bool) -> Tensor {
    let (scores, _) = logits.topk(k as i64, -1, highest, true);
    if highest { logits.lt_tensor(&scores.min()) } else { logits.gt_tensor(&scores.max()) }
}

/// Checks `top_k`: logits (V) and k → probabilities (V).
pub fn top_k(f: impl Fn(&Tensor, usize) -> Tensor) -> Verdict {
    TOP_K.judge(&|(logits, k)| f(logits, *k))
}

#[cfg(test)]
mod tests;
