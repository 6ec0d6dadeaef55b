//! The exercises on what makes weights of scores: softmax, the mask of the future, and the way back through both.

use super::table::exercise;
use super::{inputs, reference, verdict::Verdict};
use tch::{Kind, Tensor};

exercise! {
    SOFTMAX_ROWS: Tensor => Tensor = softmax_rows(scores),
    task: "Write softmax without the library's: (…, R, K), that is a table (R, K) or several of them → the same shape, each number e to \
           its power, divided by the sum of its row. It must also work for scores of 1000.",
    hints: [
        "First x.exp(), then divide by the sum of each row, as in normalise_rows. Which axis is that?",
        "e to the power of 1000 is too large for a float. Softmax does not change if a row is moved: subtract its largest \
         number first, x.amax(-1, true).",
        "let e = (x - x.amax(-1, true)).exp(); and then &e / e.sum_dim_intlist(-1, true, …)",
    ],
    // Ordinary scores, then huge ones; square, so that the wrong axis gives numbers, too.
    input: |number, rng| {
        let size = [&[3, 3][..], &[4, 4], &[2, 5, 5], &[6, 6], &[7, 7], &[2, 3, 3]][number];
        let scores = inputs::tensor(rng, size, 1.5);
        if number < 4 { scores } else { scores + 1000.0 }
    },
    given: x,
    reference: reference::softmax_rows(x),
    mistakes: {
        "your exponentials overflow: e¹⁰⁰⁰ is more than a float can hold. Subtract each row's largest number first"
            => naive(x, -1, true),
        AXIS => x.softmax(-2, Kind::Float),
        AXIS => x.softmax(0, Kind::Float),
        AXIS => x.softmax(1, Kind::Float),
        AXIS => naive(x, -2, true),
        AXIS => naive(x, 0, true),
        AXIS => naive(x, 1, true),
        "the sums lost their axis (keepdim = false), so that each column was divided by the sum of a row"
            => naive(x, -1, false),
        "you divided by the sum of all numbers: each row must sum to 1"
            => x.view([-1]).softmax(0, Kind::Float).view_as(x),
        "you forgot to divide by the sum of the row" => x.exp(),
        "you left out the exponential: scores can be negative, probabilities can't"
            => x / x.sum_dim_intlist(-1, true, Kind::Float),
    },
}

/// Softmax as it stands in the book.
fn naive(x: &Tensor, axis: i64, keep: bool) -> Tensor {
    let powers = x.exp();
    &powers / powers.sum_dim_intlist(axis, keep, Kind::Float)
}

const AXIS: &str = "you took softmax over the wrong axis: each row must sum to 1, so it is the last one, −1";

/// Checks `softmax_rows`: (…, R, K) → (…, R, K).
pub fn softmax_rows(f: impl Fn(&Tensor) -> Tensor) -> Verdict {
    SOFTMAX_ROWS.judge(&f)
}

exercise! {
    CAUSAL_MASK: Tensor => Tensor = causal_mask(scores),
    task: "Write the causal mask: scores (…, T, T), that is (T, T), (B, T, T) or (B, H, T, T) → the same with −∞ wherever the column \
           (who is asked) comes after the row (who asks).",
    hints: [
        "Draw the table for T = 3. Which of its nine cells are the future: above the diagonal, below it, or on it?",
        "triu(1) keeps what is above the diagonal: let future = Tensor::ones([t, t], (Kind::Bool, scores.device())).triu(1); T is the \
         last axis, whatever stands before it: let t = scores.size()[scores.dim() - 1];",
        "scores.masked_fill(&future, f64::…): one table (T, T) serves all texts and heads.",
    ],
    input: |number, rng| {
        let size = [&[1, 5, 5][..], &[3, 3], &[4, 4], &[2, 3, 3], &[2, 3, 5, 5], &[1, 2, 6, 6]][number];
        inputs::tensor(rng, size, 1.0)
    },
    given: scores,
    reference: reference::causal_mask(scores).clamp_min(-1e9),
    mistakes: {
        "you took size()[0] for T: that is T for a table (T, T), and B with a batch before it. T is the last one, \
            scores.size()[scores.dim() - 1]"
            => sized_by(scores, 0),
        "you took size()[1] for T: that is H with heads, (B, H, T, T). T is the last one, \
            scores.size()[scores.dim() - 1]"
            => sized_by(scores, 1),
        "each character also hides itself, and the first one is left with nothing to look at"
            => filled(scores, Some(0), None, NONE).clamp_min(-1e9),
        "you hid the past and kept the future: it is the other triangle"
            => filled(scores, None, Some(-1), NONE).clamp_min(-1e9),
        "you put zeros instead of −∞: e⁰ is 1, so softmax would still give the future a weight"
            => filled(scores, Some(1), None, 0.0),
        "you let each character see one place ahead: the mask begins right above the diagonal"
            => filled(scores, Some(2), None, NONE).clamp_min(-1e9),
        "you put +∞ instead of −∞: softmax would look at nothing but the future"
            => filled(scores, Some(1), None, f64::INFINITY),
        "you hid nothing" => scores.shallow_clone(),
    },
}

/// Fills the part above (or below) a diagonal.
fn filled(scores: &Tensor, above: Option<i64>, below: Option<i64>, value: f64) -> Tensor {
    let ones = scores.ones_like();
    let hidden = match (above, below) {
        (Some(diagonal), _) => ones.triu(diagonal),
        (None, below) => ones.tril(below.unwrap_or(0)),
    };
    scores.masked_fill(&hidden.to_kind(Kind::Bool), value)
}

/// Fills the future of as many characters as one of the sizes says.
fn sized_by(scores: &Tensor, axis: usize) -> Tensor {
    let time = scores.size()[axis];
    let future = Tensor::ones([time, time], (Kind::Bool, scores.device())).triu(1);
    scores.masked_fill(&future, NONE).clamp_min(-1e9)
}

const NONE: f64 = f64::NEG_INFINITY;

/// Checks `causal_mask`: (…, T, T) → (…, T, T).
pub fn causal_mask(f: impl Fn(&Tensor) -> Tensor) -> Verdict {
    // A score of −10⁹ is as good as −∞: softmax makes 0 of both.
    CAUSAL_MASK.judge(&|scores| f(scores).clamp_min(-1e9))
}

exercise! {
    SOFTMAX_GRADIENT: (Tensor, Tensor) => Tensor = softmax_gradient(weights, gradient),
    task: "Carry a gradient back through a masked softmax: the weights (T, T) that it gave (0 for the future) and their gradient (T, T) → \
           the gradient of the scores (T, T): weight · (gradient − Σ of weight · gradient over the row).",
    hints: [
        "The weights of a row share one unit: what one wins, the others lose. So what counts is by how much its gradient is above the \
         mean of the row, weighed by the weights.",
        "That mean is (weights * gradient).sum_dim_intlist(-1, true, Kind::Float), one number for each row, (T, 1). And a masked place, \
         whose weight is 0, gets 0.",
        "weights * (gradient - (weights * gradient).sum_dim_intlist(…, true, Kind::Float))",
    ],
    input: |number, rng| {
        let size = [4 + number as i64, 4 + number as i64];
        let masked = reference::causal_mask(&inputs::tensor(rng, &size, 1.0));
        (masked.softmax(-1, Kind::Float), inputs::tensor(rng, &size, 1.0))
    },
    given: (w, g),
    reference: reference::softmax_gradient(w, g),
    mistakes: {
        "you forgot the sum: what a place wins, the others of its row lose, so their mean gradient is subtracted first"
            => w * g,
        "you summed over the column: it is the places of a row that share one unit of attention"
            => w * (g - sum(w * g, 0)),
        "you looked at each place by itself, w · (1 − w) · gradient: a score also moves all other weights of its row"
            => w * (1.0 - w) * g,
        "you passed the gradient on unchanged: softmax is a step of its own" => g.shallow_clone(),
        "the mask is ignored in the backward pass: the factor w is missing, so a place behind the mask, whose weight is \
            0, gets a gradient"
            => g - sum(w * g, -1),
        "the mask is ignored in the backward pass: you subtracted the row's plain mean, in which the places behind the \
            mask count. Weigh it: Σ weight · gradient"
            => w * (g - g.mean_dim(-1, true, Kind::Float)),
        "the mask is ignored in the backward pass: you subtracted the row's plain sum, in which the places behind the \
            mask count. Weigh it: Σ weight · gradient"
            => w * (g - sum(g.shallow_clone(), -1)),
        "you added the mean of the row: it is subtracted" => w * (g + sum(w * g, -1)),
    },
}

fn sum(x: Tensor, axis: i64) -> Tensor {
    x.sum_dim_intlist(axis, true, Kind::Float)
}

/// Checks `softmax_gradient`: weights (T, T) and their gradient (T, T) → the gradient of the scores (T, T).
pub fn softmax_gradient(f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Verdict {
    SOFTMAX_GRADIENT.judge(&|(weights, gradient)| f(weights, gradient))
}

#[cfg(test)]
mod tests;
