//! The exercises on what makes weights of scores: softmax, the mask of the future, and the way back through both.

use super::exercise::Exercise;
use super::judge::{Given, Judge, Mistake};
use super::{inputs, reference, verdict::Verdict};
use crate::error::Result;
use tch::{Kind, Tensor};

pub(super) const SOFTMAX_ROWS: Exercise = Exercise {
    name: "softmax_rows",
    task: "Write softmax without the library's: (…, R, K), that is a table (R, K) or several of them → the same shape, each number e to \
           its power, divided by the sum of its row. It must also work for scores of 1000.",
    hints: [
        "First x.exp(), then divide by the sum of each row, as in normalise_rows. Which axis is that?",
        "e to the power of 1000 is too large for a float. Softmax does not change if a row is moved: subtract its largest \
         number first, x.amax(-1, true).",
        "let e = (x - x.amax(-1, true)).exp(); and then &e / e.sum_dim_intlist(-1, true, …)",
    ],
    reference: "softmax_rows(scores)",
};

/// Checks `softmax_rows`: (…, R, K) → (…, R, K).
pub fn softmax_rows(f: impl Fn(&Tensor) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, Tensor, Tensor>) -> Verdict {
        /// Softmax as it stands in the book.
        fn naive(x: &Tensor, axis: i64, keep: bool) -> Result<Tensor> {
            let powers = x.f_exp()?;
            Ok(powers.f_div(&powers.f_sum_dim_intlist(axis, keep, Kind::Float)?)?)
        }
        const AXIS: &str = "you took softmax over the wrong axis: each row must sum to 1, so it is the last one, −1";
        let judge = Judge {
            exercise: SOFTMAX_ROWS,
            // Ordinary scores, then huge ones; square, so that the wrong axis gives numbers, too.
            input: |number, rng| {
                let size = [&[3, 3][..], &[4, 4], &[2, 5, 5], &[6, 6], &[7, 7], &[2, 3, 3]][number];
                let scores = inputs::tensor(rng, size, 1.5);
                if number < 4 { scores } else { scores + 1000.0 }
            },
            reference: |x| Ok(reference::softmax_rows(x)),
            mistakes: vec![
                Mistake {
                    named: "your exponentials overflow: e¹⁰⁰⁰ is more than a float can hold. Subtract each row's largest number first",
                    done: |x| naive(x, -1, true),
                },
                Mistake { named: AXIS, done: |x| Ok(x.f_softmax(-2, Kind::Float)?) },
                Mistake { named: AXIS, done: |x| Ok(x.f_softmax(0, Kind::Float)?) },
                Mistake { named: AXIS, done: |x| Ok(x.f_softmax(1, Kind::Float)?) },
                Mistake { named: AXIS, done: |x| naive(x, -2, true) },
                Mistake { named: AXIS, done: |x| naive(x, 0, true) },
                Mistake { named: AXIS, done: |x| naive(x, 1, true) },
                Mistake {
                    named: "the sums lost their axis (keepdim = false), so that each column was divided by the sum of a row",
                    done: |x| naive(x, -1, false),
                },
                Mistake {
                    named: "you divided by the sum of all numbers: each row must sum to 1",
                    done: |x| Ok(x.f_view([-1])?.f_softmax(0, Kind::Float)?.f_view_as(x)?),
                },
                Mistake { named: "you forgot to divide by the sum of the row", done: |x| Ok(x.f_exp()?) },
                Mistake {
                    named: "you left out the exponential: scores can be negative, probabilities can't",
                    done: |x| Ok(x.f_div(&x.f_sum_dim_intlist(-1, true, Kind::Float)?)?),
                },
            ],
        };
        judge.judge(f)
    }
    judged(&f)
}

pub(super) const CAUSAL_MASK: Exercise = Exercise {
    name: "causal_mask",
    task: "Write the causal mask: scores (…, T, T), that is (T, T), (B, T, T) or (B, H, T, T) → the same with −∞ wherever the column \
           (who is asked) comes after the row (who asks).",
    hints: [
        "Draw the table for T = 3. Which of its nine cells are the future: above the diagonal, below it, or on it?",
        "triu(1) keeps what is above the diagonal: let future = Tensor::ones([t, t], (Kind::Bool, scores.device())).triu(1); T is the \
         last axis, whatever stands before it: let t = scores.size()[scores.dim() - 1];",
        "scores.masked_fill(&future, f64::…): one table (T, T) serves all texts and heads.",
    ],
    reference: "causal_mask(scores)",
};

/// Checks `causal_mask`: (…, T, T) → (…, T, T).
pub fn causal_mask(f: impl Fn(&Tensor) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, Tensor, Tensor>) -> Verdict {
        /// Fills the part above (or below) a diagonal.
        fn filled(scores: &Tensor, above: Option<i64>, below: Option<i64>, value: f64) -> Result<Tensor> {
            let ones = scores.f_ones_like()?;
            let hidden = match (above, below) {
                (Some(diagonal), _) => ones.f_triu(diagonal)?,
                (None, below) => ones.f_tril(below.unwrap_or(0))?,
            };
            Ok(scores.f_masked_fill(&hidden.f_to_kind(Kind::Bool)?, value)?)
        }
        /// Fills the future of as many characters as one of the sizes says.
        fn sized_by(scores: &Tensor, axis: usize) -> Result<Tensor> {
            let time = scores.size()[axis];
            let future = Tensor::f_ones([time, time], (Kind::Bool, scores.device()))?.f_triu(1)?;
            Ok(scores.f_masked_fill(&future, NONE)?.f_clamp_min(-1e9)?)
        }
        const NONE: f64 = f64::NEG_INFINITY;
        let judge = Judge {
            exercise: CAUSAL_MASK,
            input: |number, rng| {
                let size = [&[1, 5, 5][..], &[3, 3], &[4, 4], &[2, 3, 3], &[2, 3, 5, 5], &[1, 2, 6, 6]][number];
                inputs::tensor(rng, size, 1.0)
            },
            reference: |scores| Ok(reference::causal_mask(scores).f_clamp_min(-1e9)?),
            mistakes: vec![
                Mistake {
                    named: "you took size()[0] for T: that is T for a table (T, T), and B with a batch before it. T is the last one, \
                        scores.size()[scores.dim() - 1]",
                    done: |scores| sized_by(scores, 0),
                },
                Mistake {
                    named: "you took size()[1] for T: that is H with heads, (B, H, T, T). T is the last one, \
                        scores.size()[scores.dim() - 1]",
                    done: |scores| sized_by(scores, 1),
                },
                Mistake {
                    named: "each character also hides itself, and the first one is left with nothing to look at",
                    done: |scores| Ok(filled(scores, Some(0), None, NONE)?.f_clamp_min(-1e9)?),
                },
                Mistake {
                    named: "you hid the past and kept the future: it is the other triangle",
                    done: |scores| Ok(filled(scores, None, Some(-1), NONE)?.f_clamp_min(-1e9)?),
                },
                Mistake {
                    named: "you put zeros instead of −∞: e⁰ is 1, so softmax would still give the future a weight",
                    done: |scores| filled(scores, Some(1), None, 0.0),
                },
                Mistake {
                    named: "you let each character see one place ahead: the mask begins right above the diagonal",
                    done: |scores| Ok(filled(scores, Some(2), None, NONE)?.f_clamp_min(-1e9)?),
                },
                Mistake {
                    named: "you put +∞ instead of −∞: softmax would look at nothing but the future",
                    done: |scores| filled(scores, Some(1), None, f64::INFINITY),
                },
                Mistake { named: "you hid nothing", done: |scores| Ok(scores.shallow_clone()) },
            ],
        };
        judge.judge(f)
    }
    // A score of −10⁹ is as good as −∞: softmax makes 0 of both.
    judged(&|scores| f(scores).clamp_min(-1e9))
}

pub(super) const SOFTMAX_GRADIENT: Exercise = Exercise {
    name: "softmax_gradient",
    task: "Carry a gradient back through a masked softmax: the weights (T, T) that it gave (0 for the future) and their gradient (T, T) → \
           the gradient of the scores (T, T): weight · (gradient − Σ of weight · gradient over the row).",
    hints: [
        "The weights of a row share one unit: what one wins, the others lose. So what counts is by how much its gradient is above the \
         mean of the row, weighed by the weights.",
        "That mean is (weights * gradient).sum_dim_intlist(-1, true, Kind::Float), one number for each row, (T, 1). And a masked place, \
         whose weight is 0, gets 0.",
        "weights * (gradient - (weights * gradient).sum_dim_intlist(…, true, Kind::Float))",
    ],
    reference: "softmax_gradient(weights, gradient)",
};

/// Checks `softmax_gradient`: weights (T, T) and their gradient (T, T) → the gradient of the scores (T, T).
pub fn softmax_gradient(f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, (Tensor, Tensor), Tensor>) -> Verdict {
        fn sum(x: Tensor, axis: i64) -> Tensor {
            x.sum_dim_intlist(axis, true, Kind::Float)
        }
        let judge = Judge {
            exercise: SOFTMAX_GRADIENT,
            input: |number, rng| {
                let size = [4 + number as i64, 4 + number as i64];
                let masked = reference::causal_mask(&inputs::tensor(rng, &size, 1.0));
                (masked.softmax(-1, Kind::Float), inputs::tensor(rng, &size, 1.0))
            },
            reference: |(weights, gradient)| Ok(reference::softmax_gradient(weights, gradient)),
            mistakes: vec![
                Mistake {
                    named: "you forgot the sum: what a place wins, the others of its row lose, so their mean gradient is subtracted first",
                    done: |(w, g)| Ok(w * g),
                },
                Mistake {
                    named: "you summed over the column: it is the places of a row that share one unit of attention",
                    done: |(w, g)| Ok(w * (g - sum(w * g, 0))),
                },
                Mistake {
                    named: "you looked at each place by itself, w · (1 − w) · gradient: a score also moves all other weights of its row",
                    done: |(w, g)| Ok(w * (1.0 - w) * g),
                },
                Mistake {
                    named: "you passed the gradient on unchanged: softmax is a step of its own",
                    done: |(_, g)| Ok(g.shallow_clone()),
                },
                Mistake {
                    named: "the mask is ignored in the backward pass: the factor w is missing, so a place behind the mask, whose weight is \
                        0, gets a gradient",
                    done: |(w, g)| Ok(g - sum(w * g, -1)),
                },
                Mistake {
                    named: "the mask is ignored in the backward pass: you subtracted the row's plain mean, in which the places behind the \
                        mask count. Weigh it: Σ weight · gradient",
                    done: |(w, g)| Ok(w * (g - g.mean_dim(-1, true, Kind::Float))),
                },
                Mistake {
                    named: "the mask is ignored in the backward pass: you subtracted the row's plain sum, in which the places behind the \
                        mask count. Weigh it: Σ weight · gradient",
                    done: |(w, g)| Ok(w * (g - sum(g.shallow_clone(), -1))),
                },
                Mistake {
                    named: "you added the mean of the row: it is subtracted",
                    done: |(w, g)| Ok(w * (g + sum(w * g, -1))),
                },
            ],
        };
        judge.judge(f)
    }
    judged(&|(weights, gradient)| f(weights, gradient))
}

#[cfg(test)]
mod tests;
