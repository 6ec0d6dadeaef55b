//! The exercises of notebook 4: self-attention, from one score to many heads.

use super::Exercise;
use super::judge::{Given, Judge, Mistake};
use super::{inputs, verdict::Verdict};
use crate::error::Result;
use crate::model::attention::{self, Head, Weighting, mask_future};
use crate::model::{NoProbe, Recording};
use crate::rng::Rng;
use tch::{Kind, Tensor};

/// D and T of the inputs: no two sizes are alike, so that an exchanged one shows.
const HEAD_DIM: i64 = 4;

fn rows(number: usize, rng: &mut Rng) -> Tensor {
    inputs::tensor(rng, &[3 + number as i64, HEAD_DIM], 1.0)
}

/// queries · keysᵀ, not scaled.
fn product(queries: &Tensor, keys: &Tensor) -> Result<Tensor> {
    Ok(queries.f_matmul(&keys.f_transpose(-2, -1)?)?)
}

/// The library's own scores.
fn library_scores(queries: &Tensor, keys: &Tensor) -> Result<Tensor> {
    let mut recording = Recording::default();
    let weights = attention::weigh(queries, keys, Weighting::Softmax, "head", &mut recording)?;
    Ok(recording.get("head.scores").map_or(weights, Tensor::shallow_clone))
}

pub(super) const ONE_SCORE: Exercise = Exercise {
    name: "one_score",
    task: "Write one attention score: a query (D) and a key (D) → one number, their dot product divided by √D.",
    hints: [
        "The dot product multiplies number by number and adds up: query.dot(key) does it.",
        "D is the length of the query, query.size()[0]; .double_value(&[]) makes a plain number of a tensor.",
        "query.dot(key).double_value(&[]) / (query.size()[0] as f64).…()",
    ],
};

/// Checks `one_score`: a query (D) and a key (D) → one number.
pub fn one_score(f: impl Fn(&Tensor, &Tensor) -> f64) -> Verdict {
    fn judged(f: Given<'_, (Tensor, Tensor), f64>) -> Verdict {
        fn dot(query: &Tensor, key: &Tensor) -> Result<f64> {
            Ok(query.f_dot(key)?.f_double_value(&[])?)
        }
        let judge = Judge {
            exercise: ONE_SCORE,
            input: |number, rng| {
                let size = [4, 9, 16, 2, 7, 5][number];
                (inputs::tensor(rng, &[size], 1.0), inputs::tensor(rng, &[size], 1.0))
            },
            reference: |(query, key)| {
                Ok(library_scores(&query.f_unsqueeze(0)?, &key.f_unsqueeze(0)?)?.f_double_value(&[0, 0])?)
            },
            mistakes: vec![
                Mistake {
                    named: "you did not scale: divide by √D, else long vectors get large scores",
                    done: |(query, key)| dot(query, key),
                },
                Mistake {
                    named: "you divided by D instead of √D",
                    done: |(query, key)| Ok(dot(query, key)? / query.size()[0] as f64),
                },
                Mistake {
                    named: "you multiplied by √D instead of dividing",
                    done: |(query, key)| Ok(dot(query, key)? * (query.size()[0] as f64).sqrt()),
                },
                Mistake {
                    named: "you divided by the lengths of the two vectors (that is their cosine); here it is √D",
                    done: |(query, key)| Ok(dot(query, key)? / (dot(query, query)? * dot(key, key)?).sqrt()),
                },
            ],
        };
        judge.judge(f)
    }
    judged(&|(query, key)| f(query, key))
}

pub(super) const SCORES: Exercise = Exercise {
    name: "scores",
    task: "Write all scores at once: queries (T, D) and keys (T, D) → (T, T), row = who asks, column = who is asked, divided by √D.",
    hints: [
        "Row t, column s is the dot product of query t and key s. All of them together are one product of two matrices.",
        "Transpose the keys to (D, T), then (T, D) times (D, T) gives (T, T): queries.matmul(&keys.tr()). And the scale?",
        "queries.matmul(&keys.tr()) / (queries.size()[1] as f64).…()",
    ],
};

/// Checks `scores`: queries (T, D), keys (T, D) → (T, T).
pub fn scores(f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, (Tensor, Tensor), Tensor>) -> Verdict {
        let judge = Judge {
            exercise: SCORES,
            input: |number, rng| (rows(number, rng), rows(number, rng)),
            reference: |(queries, keys)| library_scores(queries, keys),
            mistakes: vec![
                Mistake {
                    named: "you did not scale: divide by √D, else softmax gets so sharp that it hardly learns",
                    done: |(queries, keys)| product(queries, keys),
                },
                Mistake {
                    named: "you scaled by D instead of √D",
                    done: |(queries, keys)| Ok(product(queries, keys)? / HEAD_DIM as f64),
                },
                Mistake {
                    named: "you multiplied keys by queries: it is transposed, the rows must be those who ask (queries)",
                    done: |(queries, keys)| library_scores(keys, queries),
                },
                Mistake {
                    named: "you multiplied keys by queries, and did not scale",
                    done: |(queries, keys)| product(keys, queries),
                },
                Mistake {
                    named: "you scaled by √T: it is the number of dimensions D that counts, not of characters",
                    done: |(queries, keys)| Ok(product(queries, keys)? / (queries.size()[0] as f64).sqrt()),
                },
                Mistake {
                    named: "you multiplied by √D instead of dividing",
                    done: |(queries, keys)| Ok(product(queries, keys)? * (HEAD_DIM as f64).sqrt()),
                },
            ],
        };
        judge.judge(f)
    }
    judged(&|(queries, keys)| f(queries, keys))
}

pub(super) const HEAD_SCORES: Exercise = Exercise {
    name: "head_scores",
    task: "Write the scores of a head: x (T, C) → (T, T), with the head's own query_weight and key_weight, both (D, C), divided \
           by √D. Don't mask.",
    hints: [
        "First the queries, x · Wqᵀ, and the keys, x · Wkᵀ, (T, D) each; then the scores as you have written them before.",
        "x.matmul(&head.query_weight.tr()) are the queries. D is head.query_weight.size()[0]; x has C columns, which is \
         another number.",
        "queries.matmul(&keys.tr()) / (head.query_weight.size()[0] as f64).…()",
    ],
};

/// Checks `head_scores`: a head and x (T, C) → (T, T).
pub fn head_scores(f: impl Fn(&Head, &Tensor) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, (Head, Tensor), Tensor>) -> Verdict {
        const EMB_DIM: i64 = 9;
        fn unscaled(head: &Head, x: &Tensor) -> Result<Tensor> {
            let of = |weight: &Tensor| x.f_linear(weight, None::<&Tensor>);
            product(&of(&head.query_weight)?, &of(&head.key_weight)?)
        }
        fn library(head: &Head, x: &Tensor) -> Result<Tensor> {
            let mut recording = Recording::default();
            let attended = head.forward(&x.f_unsqueeze(0)?, &mut recording)?;
            Ok(recording.get("head.scores").unwrap_or(&attended.weights).f_squeeze_dim(0)?) // (T, T)
        }
        let judge = Judge {
            exercise: HEAD_SCORES,
            input: |number, rng| {
                let mut weight = || inputs::tensor(rng, &[HEAD_DIM, EMB_DIM], 0.6);
                let head = Head { query_weight: weight(), key_weight: weight(), value_weight: weight() };
                (head, inputs::tensor(rng, &[3 + number as i64, EMB_DIM], 1.0))
            },
            reference: |(head, x)| library(head, x),
            mistakes: vec![
                Mistake {
                    named: "you scaled by √emb_dim: a query has head_dim numbers, and that is what makes its scores large",
                    done: |(head, x)| Ok(unscaled(head, x)? / (EMB_DIM as f64).sqrt()),
                },
                Mistake {
                    named: "keys and queries are exchanged: the rows must be those who ask (queries)",
                    done: |(head, x)| Ok(library(head, x)?.f_tr()?),
                },
                Mistake { named: "you did not scale: divide by √head_dim", done: |(head, x)| unscaled(head, x) },
                Mistake {
                    named: "you scaled by head_dim instead of its root",
                    done: |(head, x)| Ok(unscaled(head, x)? / HEAD_DIM as f64),
                },
                Mistake {
                    named: "you used the same projection for both: keys have a weight of their own",
                    done: |(head, x)| {
                        let queries = x.f_linear(&head.query_weight, None::<&Tensor>)?;
                        library_scores(&queries, &queries)
                    },
                },
                Mistake {
                    named: "you masked the future already: that is the next step",
                    done: |(head, x)| mask_future(&library(head, x)?),
                },
            ],
        };
        judge.judge(f)
    }
    judged(&|(head, x)| f(head, x))
}

pub(super) const SOFTMAX_ROWS: Exercise = Exercise {
    name: "softmax_rows",
    task: "Write softmax without the library's: (R, K) → (R, K), each number e to its power, divided by the sum of its row. It \
           must also work for scores of 1000.",
    hints: [
        "First x.exp(), then divide by the sum of each row, as in normalise_rows. Which axis is that?",
        "e to the power of 1000 is too large for a float. Softmax does not change if a row is moved: subtract its largest \
         number first, x.amax(-1, true).",
        "let e = (x - x.amax(-1, true)).exp(); and then &e / e.sum_dim_intlist(-1, true, …)",
    ],
};

/// Checks `softmax_rows`: (R, K) → (R, K).
pub fn softmax_rows(f: impl Fn(&Tensor) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, Tensor, Tensor>) -> Verdict {
        /// Softmax as it stands in the book.
        fn naive(x: &Tensor, axis: i64, keep: bool) -> Result<Tensor> {
            let powers = x.f_exp()?;
            Ok(powers.f_div(&powers.f_sum_dim_intlist(axis, keep, Kind::Float)?)?)
        }
        let judge = Judge {
            exercise: SOFTMAX_ROWS,
            // Ordinary scores, then huge ones; square, so that the wrong axis gives numbers, too.
            input: |number, rng| {
                let scores = inputs::tensor(rng, &[3 + number as i64, 3 + number as i64], 1.5);
                if number < 4 { scores } else { scores + 1000.0 }
            },
            reference: |x| Ok(x.f_softmax(-1, Kind::Float)?),
            mistakes: vec![
                Mistake {
                    named: "your exponentials overflow: e¹⁰⁰⁰ is more than a float can hold. Subtract each row's largest number first",
                    done: |x| naive(x, -1, true),
                },
                Mistake {
                    named: "you took softmax over the wrong axis: each row must sum to 1, not each column",
                    done: |x| Ok(x.f_softmax(0, Kind::Float)?),
                },
                Mistake {
                    named: "you took softmax over the wrong axis: each row must sum to 1, not each column",
                    done: |x| naive(x, 0, true),
                },
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
    task: "Write the causal mask: scores (T, T) → the same with −∞ wherever the column (who is asked) comes after the row (who \
           asks).",
    hints: [
        "Draw the table for T = 3. Which of its nine cells are the future: above the diagonal, below it, or on it?",
        "triu(1) keeps what is above the diagonal: let future = Tensor::ones([t, t], (Kind::Bool, scores.device())).triu(1);",
        "scores.masked_fill(&future, f64::…)",
    ],
};

/// Checks `causal_mask`: (T, T) → (T, T).
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
        const NONE: f64 = f64::NEG_INFINITY;
        let judge = Judge {
            exercise: CAUSAL_MASK,
            input: |number, rng| inputs::tensor(rng, &[3 + number as i64, 3 + number as i64], 1.0),
            reference: |scores| Ok(mask_future(scores)?.f_clamp_min(-1e9)?),
            mistakes: vec![
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

pub(super) const ATTEND: Exercise = Exercise {
    name: "attend",
    task: "Write causal attention: queries, keys and values, (T, D) each → (T, D). Scores over √D, mask, softmax of each row, \
           then weights · values.",
    hints: [
        "You have all the parts: scores, causal_mask, softmax. In which order, and what comes last?",
        "The mask must come before softmax, so that what is left still sums to 1. The last step is one product, (T, T) times \
         (T, D).",
        "causal_mask(&scores(queries, keys)).softmax(-1, Kind::Float).matmul(…)",
    ],
};

/// Checks `attend`: queries, keys, values (T, D) → (T, D).
pub fn attend(f: impl Fn(&Tensor, &Tensor, &Tensor) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, (Tensor, Tensor, Tensor), Tensor>) -> Verdict {
        type Three = (Tensor, Tensor, Tensor);
        let judge = Judge {
            exercise: ATTEND,
            input: |number, rng| -> Three { (rows(number, rng), rows(number, rng), rows(number, rng)) },
            reference: |(q, k, v)| Ok(attention::attend(q, k, v, "head", &mut NoProbe)?.output),
            mistakes: vec![
                Mistake {
                    named: "you masked after softmax: the future's weights became 0, but the rest of a row no longer sums to 1",
                    done: |(q, k, v)| Ok(library_scores(q, k)?.f_softmax(-1, Kind::Float)?.f_tril(0)?.f_matmul(v)?),
                },
                Mistake {
                    named: "you left out the mask: the future leaks into the past",
                    done: |(q, k, v)| Ok(library_scores(q, k)?.f_softmax(-1, Kind::Float)?.f_matmul(v)?),
                },
                Mistake {
                    named: "you did not scale the scores by √D",
                    done: |(q, k, v)| Ok(mask_future(&product(q, k)?)?.f_softmax(-1, Kind::Float)?.f_matmul(v)?),
                },
                Mistake {
                    named: "you took softmax over the wrong axis: each row of weights must sum to 1, not each column",
                    done: |(q, k, v)| {
                        Ok(mask_future(&library_scores(q, k)?)?.f_softmax(0, Kind::Float)?.f_matmul(v)?)
                    },
                },
                Mistake {
                    named: "you put zeros instead of −∞ into the future's scores: e⁰ is 1, so it still gets a weight",
                    done: |(q, k, v)| Ok(library_scores(q, k)?.f_tril(0)?.f_softmax(-1, Kind::Float)?.f_matmul(v)?),
                },
                Mistake {
                    named: "keys and queries are exchanged: the rows must be those who ask (queries)",
                    done: |(q, k, v)| Ok(attention::attend(k, q, v, "head", &mut NoProbe)?.output),
                },
                Mistake {
                    named: "you left out softmax: scores are no weights yet",
                    done: |(q, k, v)| Ok(library_scores(q, k)?.f_tril(0)?.f_matmul(v)?),
                },
                Mistake {
                    named: "you gave the weights (T, T): multiply them by the values",
                    done: |(q, k, v)| Ok(attention::attend(q, k, v, "head", &mut NoProbe)?.weights),
                },
            ],
        };
        judge.judge(f)
    }
    judged(&|(queries, keys, values)| f(queries, keys, values))
}

pub(super) const SPLIT_HEADS: Exercise = Exercise {
    name: "split_heads",
    task: "Write the split into heads: x (T, H·D) and H → (H, T, D). Head 0 has the first D columns, head 1 the next D, and so on.",
    hints: [
        "Cutting the columns into H groups gives (T, H, D) first. Which two axes have to change places then?",
        "x.view([t, n_heads, -1]) cuts without moving a number; transpose(0, 1) exchanges the first two axes. Viewing as \
         (H, T, D) at once would mix up characters and heads.",
        "x.view([x.size()[0], n_heads, -1]).transpose(…, …)",
    ],
};

/// Checks `split_heads`: (T, H·D) and H → (H, T, D).
pub fn split_heads(f: impl Fn(&Tensor, i64) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, (Tensor, i64), Tensor>) -> Verdict {
        let judge = Judge {
            exercise: SPLIT_HEADS,
            input: |number, rng| {
                let (time, heads) = (5 + number as i64, 2 + number as i64 % 3);
                (inputs::tensor(rng, &[time, heads * HEAD_DIM], 1.0), heads)
            },
            reference: |(x, heads)| Ok(x.f_view([x.size()[0], *heads, HEAD_DIM])?.f_transpose(0, 1)?),
            mistakes: vec![
                Mistake {
                    named: "you viewed it as (H, T, D) without a transpose: each head then has some characters' numbers instead of \
                        every character's part",
                    done: |(x, heads)| Ok(x.f_reshape([*heads, x.size()[0], HEAD_DIM])?),
                },
                Mistake {
                    named: "you stopped at (T, H, D): the heads' axis must come first, transpose the two",
                    done: |(x, heads)| Ok(x.f_view([x.size()[0], *heads, HEAD_DIM])?),
                },
                Mistake {
                    named: "you dealt the columns out like cards: a head has D columns side by side",
                    done: |(x, heads)| Ok(x.f_view([x.size()[0], HEAD_DIM, *heads])?.f_permute([2, 0, 1])?),
                },
                Mistake {
                    named: "you transposed one axis too far, (H, D, T): the last axis is D",
                    done: |(x, heads)| Ok(x.f_view([x.size()[0], *heads, HEAD_DIM])?.f_permute([1, 2, 0])?),
                },
            ],
        };
        judge.judge(f)
    }
    judged(&|(x, heads)| f(x, *heads))
}

#[cfg(test)]
mod tests;
