//! The exercises on self-attention: from one score to many heads. Softmax and the mask have a file of their own.

use super::exercise::Exercise;
use super::judge::{Given, Judge, Mistake};
use super::{inputs, reference, verdict::Verdict};
use crate::error::Result;
use crate::model::NoProbe;
use crate::model::attention::{self, Head, mask_future};
use crate::rng::Rng;
use tch::{Kind, Tensor};

/// D of the inputs: no other size is like it, so that an exchanged one shows.
const HEAD_DIM: i64 = 4;

/// Rows as the notebook has them: of a batch, of one text alone, of a batch with heads: (…, T, D).
fn rows(number: usize, rng: &mut Rng) -> Tensor {
    let size = [&[1, 6][..], &[2, 3], &[3], &[5], &[2, 3, 5], &[1, 2, 7]][number];
    inputs::tensor(rng, &[size, &[HEAD_DIM]].concat(), 1.0)
}

/// queries · keysᵀ, not scaled.
fn product(queries: &Tensor, keys: &Tensor) -> Result<Tensor> {
    Ok(queries.f_matmul(&keys.f_transpose(-2, -1)?)?)
}

/// The scores divided by the root of one of the queries' sizes.
fn scaled_by(queries: &Tensor, keys: &Tensor, axis: usize) -> Result<Tensor> {
    Ok(product(queries, keys)? / (queries.size()[axis] as f64).sqrt())
}

pub(super) const ONE_SCORE: Exercise = Exercise {
    name: "one_score",
    task: "Write one attention score: a query (D) and a key (D) → one number, their dot product divided by √D.",
    hints: [
        "The dot product multiplies number by number and adds up: query.dot(key) does it.",
        "D is the length of the query, query.size()[0]; .double_value(&[]) makes a plain number of a tensor.",
        "query.dot(key).double_value(&[]) / (query.size()[0] as f64).…()",
    ],
    reference: "one_score(query, key)",
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
            reference: |(query, key)| Ok(reference::one_score(query, key)),
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
    task: "Write all scores at once: queries and keys, (…, T, D) each, that is (T, D), (B, T, D) or (B, H, T, D) → (…, T, T), row = \
           who asks, column = who is asked, divided by √D.",
    hints: [
        "Row t, column s is the dot product of query t and key s. All of them together are one product of two matrices.",
        "Turn the keys on their side, from (…, T, D) to (…, D, T): keys.transpose(-2, -1). Then queries.matmul(&…) gives (…, T, T). \
         And the scale? D is the last axis, whatever stands before it: queries.size()[queries.dim() - 1].",
        "queries.matmul(&keys.transpose(-2, -1)) / (queries.size()[queries.dim() - 1] as f64).…()",
    ],
    reference: "scores(queries, keys)",
};

/// Checks `scores`: queries, keys (…, T, D) → (…, T, T).
pub fn scores(f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, (Tensor, Tensor), Tensor>) -> Verdict {
        let judge = Judge {
            exercise: SCORES,
            input: |number, rng| (rows(number, rng), rows(number, rng)),
            reference: |(queries, keys)| Ok(reference::scores(queries, keys)),
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
                    done: |(queries, keys)| Ok(reference::scores(keys, queries)),
                },
                Mistake {
                    named: "you multiplied keys by queries, and did not scale",
                    done: |(queries, keys)| product(keys, queries),
                },
                Mistake {
                    named: "you scaled by √T: it is the number of dimensions D that counts, not of characters",
                    done: |(queries, keys)| scaled_by(queries, keys, queries.dim() - 2),
                },
                Mistake {
                    named: "you scaled by the root of size()[0], which is T for a table (T, D), and B with a batch before it: it is D \
                        that counts, the last one, queries.size()[queries.dim() - 1]",
                    done: |(queries, keys)| scaled_by(queries, keys, 0),
                },
                Mistake {
                    named: "you divided by √T: size()[1] is D for a table (T, D), but T with a batch before it, (B, T, D), and H with \
                        heads. D is the last one, queries.size()[queries.dim() - 1]",
                    done: |(queries, keys)| scaled_by(queries, keys, 1),
                },
                Mistake {
                    named: "you took size()[2] for D: a table (T, D) has no third axis, and with heads, (B, H, T, D), it is T. D is \
                        the last one, queries.size()[queries.dim() - 1]",
                    done: |(queries, keys)| scaled_by(queries, keys, 2),
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
    task: "Write the scores of a head: x (B, T, C) → (B, T, T), with the head's own query_weight and key_weight, both (D, C), divided \
           by √D. Don't mask.",
    hints: [
        "First the queries, x · Wqᵀ, and the keys, x · Wkᵀ, (B, T, D) each; then the scores as you have written them before.",
        "x.matmul(&head.query_weight.tr()) are the queries. D is head.query_weight.size()[0]; x has C columns, which is \
         another number.",
        "queries.matmul(&keys.transpose(-2, -1)) / (head.query_weight.size()[0] as f64).…()",
    ],
    reference: "head_scores(head, x)",
};

/// Checks `head_scores`: a head and x (B, T, C) → (B, T, T).
pub fn head_scores(f: impl Fn(&Head, &Tensor) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, (Head, Tensor), Tensor>) -> Verdict {
        const EMB_DIM: i64 = 9;
        fn queries_and_keys(head: &Head, x: &Tensor) -> (Tensor, Tensor) {
            let of = |weight: &Tensor| x.linear(weight, None::<&Tensor>); // (B, T, D)
            (of(&head.query_weight), of(&head.key_weight))
        }
        fn unscaled(head: &Head, x: &Tensor) -> Result<Tensor> {
            let (queries, keys) = queries_and_keys(head, x);
            product(&queries, &keys)
        }
        /// Scaled by the root of one of the queries' sizes.
        fn scaled(head: &Head, x: &Tensor, axis: usize) -> Result<Tensor> {
            let (queries, keys) = queries_and_keys(head, x);
            scaled_by(&queries, &keys, axis)
        }
        let judge = Judge {
            exercise: HEAD_SCORES,
            input: |number, rng| {
                let mut weight = || inputs::tensor(rng, &[HEAD_DIM, EMB_DIM], 0.6);
                let head = Head { query_weight: weight(), key_weight: weight(), value_weight: weight() };
                let (batch, time) = [(1, 5), (2, 3), (1, 7), (2, 6), (1, 3), (2, 5)][number];
                (head, inputs::tensor(rng, &[batch, time, EMB_DIM], 1.0))
            },
            reference: |(head, x)| Ok(reference::head_scores(head, x)),
            mistakes: vec![
                Mistake {
                    named: "you scaled by √emb_dim: a query has head_dim numbers, and that is what makes its scores large",
                    done: |(head, x)| Ok(unscaled(head, x)? / (EMB_DIM as f64).sqrt()),
                },
                Mistake {
                    named: "you divided by √T: size()[1] of (B, T, D) is the number of characters. head_dim is the last one, or \
                        head.query_weight.size()[0]",
                    done: |(head, x)| scaled(head, x, 1),
                },
                Mistake {
                    named: "you divided by √B: size()[0] of (B, T, D) is the number of texts. head_dim is the last one, or \
                        head.query_weight.size()[0]",
                    done: |(head, x)| scaled(head, x, 0),
                },
                Mistake {
                    named: "keys and queries are exchanged: the rows must be those who ask (queries)",
                    done: |(head, x)| Ok(reference::head_scores(head, x).f_transpose(-2, -1)?),
                },
                Mistake { named: "you did not scale: divide by √head_dim", done: |(head, x)| unscaled(head, x) },
                Mistake {
                    named: "you scaled by head_dim instead of its root",
                    done: |(head, x)| Ok(unscaled(head, x)? / HEAD_DIM as f64),
                },
                Mistake {
                    named: "you used the same projection for both: keys have a weight of their own",
                    done: |(head, x)| {
                        let (queries, _) = queries_and_keys(head, x);
                        Ok(reference::scores(&queries, &queries))
                    },
                },
                Mistake {
                    named: "you masked the future already: that is the next step",
                    done: |(head, x)| mask_future(&reference::head_scores(head, x)),
                },
            ],
        };
        judge.judge(f)
    }
    judged(&|(head, x)| f(head, x))
}

pub(super) const ATTEND: Exercise = Exercise {
    name: "attend",
    task: "Write causal attention: queries, keys and values, (…, T, D) each, that is (T, D), (B, T, D) or (B, H, T, D) → (…, T, D). \
           Scores over √D, mask, softmax of each row, then weights · values.",
    hints: [
        "You have all the parts: scores, causal_mask, softmax. In which order, and what comes last?",
        "The mask must come before softmax, so that what is left still sums to 1. The last step is one product, (…, T, T) times \
         (…, T, D).",
        "causal_mask(&scores(queries, keys)).softmax(-1, Kind::Float).matmul(…), with your own two functions",
    ],
    reference: "attend(queries, keys, values)",
};

/// Checks `attend`: queries, keys, values (…, T, D) → (…, T, D).
pub fn attend(f: impl Fn(&Tensor, &Tensor, &Tensor) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, (Tensor, Tensor, Tensor), Tensor>) -> Verdict {
        type Three = (Tensor, Tensor, Tensor);
        /// Masked scores, with softmax along an axis.
        fn along((q, k, v): &Three, axis: i64) -> Result<Tensor> {
            Ok(mask_future(&reference::scores(q, k))?.f_softmax(axis, Kind::Float)?.f_matmul(v)?)
        }
        const AXIS: &str =
            "you took softmax over the wrong axis: each row of weights must sum to 1, so it is the last one, −1";
        let judge = Judge {
            exercise: ATTEND,
            input: |number, rng| -> Three { (rows(number, rng), rows(number, rng), rows(number, rng)) },
            reference: |(q, k, v)| Ok(reference::attend(q, k, v)),
            mistakes: vec![
                Mistake {
                    named: "you masked after softmax: the future's weights became 0, but the rest of a row no longer sums to 1",
                    done: |(q, k, v)| Ok(reference::scores(q, k).f_softmax(-1, Kind::Float)?.f_tril(0)?.f_matmul(v)?),
                },
                Mistake {
                    named: "you left out the mask: the future leaks into the past",
                    done: |(q, k, v)| Ok(reference::scores(q, k).f_softmax(-1, Kind::Float)?.f_matmul(v)?),
                },
                Mistake {
                    named: "you did not scale the scores by √D",
                    done: |(q, k, v)| Ok(mask_future(&product(q, k)?)?.f_softmax(-1, Kind::Float)?.f_matmul(v)?),
                },
                Mistake {
                    named: "you divided by √T: size()[1] is D for a table (T, D) only. D is the last one, \
                        queries.size()[queries.dim() - 1]",
                    done: |(q, k, v)| Ok(mask_future(&scaled_by(q, k, 1)?)?.f_softmax(-1, Kind::Float)?.f_matmul(v)?),
                },
                Mistake { named: AXIS, done: |input| along(input, -2) },
                Mistake { named: AXIS, done: |input| along(input, 0) },
                Mistake { named: AXIS, done: |input| along(input, 1) },
                Mistake {
                    named: "you put zeros instead of −∞ into the future's scores: e⁰ is 1, so it still gets a weight",
                    done: |(q, k, v)| Ok(reference::scores(q, k).f_tril(0)?.f_softmax(-1, Kind::Float)?.f_matmul(v)?),
                },
                Mistake {
                    named: "keys and queries are exchanged: the rows must be those who ask (queries)",
                    done: |(q, k, v)| Ok(reference::attend(k, q, v)),
                },
                Mistake {
                    named: "you left out softmax: scores are no weights yet",
                    done: |(q, k, v)| Ok(reference::scores(q, k).f_tril(0)?.f_matmul(v)?),
                },
                Mistake {
                    named: "you gave the weights (…, T, T): multiply them by the values",
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
    reference: "split_heads(x, n_heads)",
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
            reference: |(x, heads)| Ok(reference::split_heads(x, *heads)),
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
