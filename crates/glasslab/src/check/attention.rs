//! The exercises on self-attention: from one score to many heads. Softmax and the mask have a file of their own.

use super::table::exercise;
use super::{inputs, inputs::plain, reference, verdict::Verdict};
use crate::model::NoProbe;
use crate::model::attention::{self, Head};
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
fn product(queries: &Tensor, keys: &Tensor) -> Tensor {
    queries.matmul(&keys.transpose(-2, -1))
}

/// The scores divided by the root of one of the queries' sizes.
fn scaled_by(queries: &Tensor, keys: &Tensor, axis: usize) -> Tensor {
    product(queries, keys) / (queries.size()[axis] as f64).sqrt()
}

exercise! {
    ONE_SCORE: (Tensor, Tensor) => f64 = one_score(query, key),
    task: "Write one attention score: a query (D) and a key (D) → one number, their dot product divided by √D.",
    hints: [
        "The dot product multiplies number by number and adds up: query.dot(key) does it.",
        "D is the length of the query, query.size()[0]; .double_value(&[]) makes a plain number of a tensor.",
        "query.dot(key).double_value(&[]) / (query.size()[0] as f64).…()",
    ],
    input: |number, rng| {
        let size = [4, 9, 16, 2, 7, 5][number];
        (inputs::tensor(rng, &[size], 1.0), inputs::tensor(rng, &[size], 1.0))
    },
    given: (query, key),
    reference: reference::one_score(query, key),
    mistakes: {
        "you did not scale: divide by √D, else long vectors get large scores" => dot(query, key),
        "you divided by D instead of √D" => dot(query, key) / query.size()[0] as f64,
        "you multiplied by √D instead of dividing" => dot(query, key) * (query.size()[0] as f64).sqrt(),
        "you divided by the lengths of the two vectors (that is their cosine); here it is √D"
            => dot(query, key) / (dot(query, query) * dot(key, key)).sqrt(),
    },
}

fn dot(query: &Tensor, key: &Tensor) -> f64 {
    query.dot(key).double_value(&[])
}

/// Checks `one_score`: a query (D) and a key (D) → one number.
pub fn one_score(f: impl Fn(&Tensor, &Tensor) -> f64) -> Verdict {
    ONE_SCORE.judge(&|(query, key)| f(query, key))
}

exercise! {
    SCORES: (Tensor, Tensor) => Tensor = scores(queries, keys),
    task: "Write all scores at once: queries and keys, (…, T, D) each, that is (T, D), (B, T, D) or (B, H, T, D) → (…, T, T), row = \
           who asks, column = who is asked, divided by √D.",
    hints: [
        "Row t, column s is the dot product of query t and key s. All of them together are one product of two matrices.",
        "Turn the keys on their side, from (…, T, D) to (…, D, T): keys.transpose(-2, -1). Then queries.matmul(&…) gives (…, T, T). \
         And the scale? D is the last axis, whatever stands before it: queries.size()[queries.dim() - 1].",
        "queries.matmul(&keys.transpose(-2, -1)) / (queries.size()[queries.dim() - 1] as f64).…()",
    ],
    input: |number, rng| (rows(number, rng), rows(number, rng)),
    given: (queries, keys),
    reference: reference::scores(queries, keys),
    mistakes: {
        "you did not scale: divide by √D, else softmax gets so sharp that it hardly learns" => product(queries, keys),
        "you scaled by D instead of √D" => product(queries, keys) / HEAD_DIM as f64,
        "you multiplied keys by queries: it is transposed, the rows must be those who ask (queries)"
            => reference::scores(keys, queries),
        "you multiplied keys by queries, and did not scale" => product(keys, queries),
        "you scaled by √T: it is the number of dimensions D that counts, not of characters"
            => scaled_by(queries, keys, queries.dim() - 2),
        "you scaled by the root of size()[0], which is T for a table (T, D), and B with a batch before it: it is D \
            that counts, the last one, queries.size()[queries.dim() - 1]"
            => scaled_by(queries, keys, 0),
        "you divided by √T: size()[1] is D for a table (T, D), but T with a batch before it, (B, T, D), and H with \
            heads. D is the last one, queries.size()[queries.dim() - 1]"
            => scaled_by(queries, keys, 1),
        "you took size()[2] for D: a table (T, D) has no third axis, and with heads, (B, H, T, D), it is T. D is \
            the last one, queries.size()[queries.dim() - 1]"
            => scaled_by(queries, keys, 2),
        "you multiplied by √D instead of dividing" => product(queries, keys) * (HEAD_DIM as f64).sqrt(),
    },
}

/// Checks `scores`: queries, keys (…, T, D) → (…, T, T).
pub fn scores(f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Verdict {
    SCORES.judge(&|(queries, keys)| f(queries, keys))
}

exercise! {
    HEAD_SCORES: (Head, Tensor) => Tensor = head_scores(head, x),
    task: "Write the scores of a head: x (B, T, C) → (B, T, T), with the head's own query_weight and key_weight, both (D, C), divided \
           by √D. Don't mask.",
    hints: [
        "First the queries, x · Wqᵀ, and the keys, x · Wkᵀ, (B, T, D) each; then the scores as you have written them before.",
        "x.matmul(&head.query_weight.tr()) are the queries. D is head.query_weight.size()[0]; x has C columns, which is \
         another number.",
        "queries.matmul(&keys.transpose(-2, -1)) / (head.query_weight.size()[0] as f64).…()",
    ],
    input: |number, rng| {
        let mut weight = || inputs::tensor(rng, &[HEAD_DIM, EMB_DIM], 0.6);
        let head = Head { query_weight: weight(), key_weight: weight(), value_weight: weight() };
        let (batch, time) = [(1, 5), (2, 3), (1, 7), (2, 6), (1, 3), (2, 5)][number];
        (head, inputs::tensor(rng, &[batch, time, EMB_DIM], 1.0))
    },
    given: (head, x),
    reference: reference::head_scores(head, x),
    mistakes: {
        "you scaled by √emb_dim: a query has head_dim numbers, and that is what makes its scores large"
            => unscaled(head, x) / (EMB_DIM as f64).sqrt(),
        "you divided by √T: size()[1] of (B, T, D) is the number of characters. head_dim is the last one, or \
            head.query_weight.size()[0]"
            => scaled(head, x, 1),
        "you divided by √B: size()[0] of (B, T, D) is the number of texts. head_dim is the last one, or \
            head.query_weight.size()[0]"
            => scaled(head, x, 0),
        "keys and queries are exchanged: the rows must be those who ask (queries)"
            => reference::head_scores(head, x).transpose(-2, -1),
        "you did not scale: divide by √head_dim" => unscaled(head, x),
        "you scaled by head_dim instead of its root" => unscaled(head, x) / HEAD_DIM as f64,
        "you used the same projection for both: keys have a weight of their own"
            => {
                let (queries, _) = queries_and_keys(head, x);
                reference::scores(&queries, &queries)
            },
        "you masked the future already: that is the next step" => reference::causal_mask(&reference::head_scores(head, x)),
    },
}

const EMB_DIM: i64 = 9;
fn queries_and_keys(head: &Head, x: &Tensor) -> (Tensor, Tensor) {
    let of = |weight: &Tensor| x.linear(weight, None::<&Tensor>); // (B, T, D)
    (of(&head.query_weight), of(&head.key_weight))
}

fn unscaled(head: &Head, x: &Tensor) -> Tensor {
    let (queries, keys) = queries_and_keys(head, x);
    product(&queries, &keys)
}

/// Scaled by the root of one of the queries' sizes.
fn scaled(head: &Head, x: &Tensor, axis: usize) -> Tensor {
    let (queries, keys) = queries_and_keys(head, x);
    scaled_by(&queries, &keys, axis)
}

/// Checks `head_scores`: a head and x (B, T, C) → (B, T, T).
pub fn head_scores(f: impl Fn(&Head, &Tensor) -> Tensor) -> Verdict {
    HEAD_SCORES.judge(&|(head, x)| f(head, x))
}

exercise! {
    ATTEND: (Tensor, Tensor, Tensor) => Tensor = attend(queries, keys, values),
    task: "Write causal attention: queries, keys and values, (…, T, D) each, that is (T, D), (B, T, D) or (B, H, T, D) → (…, T, D). \
           Scores over √D, mask, softmax of each row, then weights · values.",
    hints: [
        "You have all the parts: scores, causal_mask, softmax. In which order, and what comes last?",
        "The mask must come before softmax, so that what is left still sums to 1. The last step is one product, (…, T, T) times \
         (…, T, D).",
        "causal_mask(&scores(queries, keys)).softmax(-1, Kind::Float).matmul(…), with your own two functions",
    ],
    input: |number, rng| -> Three { (rows(number, rng), rows(number, rng), rows(number, rng)) },
    given: input @ (q, k, v),
    reference: reference::attend(q, k, v),
    mistakes: {
        "you masked after softmax: the future's weights became 0, but the rest of a row no longer sums to 1"
            => reference::scores(q, k).softmax(-1, Kind::Float).tril(0).matmul(v),
        "you left out the mask: the future leaks into the past"
            => reference::scores(q, k).softmax(-1, Kind::Float).matmul(v),
        "you did not scale the scores by √D" => reference::causal_mask(&product(q, k)).softmax(-1, Kind::Float).matmul(v),
        "you divided by √T: size()[1] is D for a table (T, D) only. D is the last one, \
            queries.size()[queries.dim() - 1]"
            => reference::causal_mask(&scaled_by(q, k, 1)).softmax(-1, Kind::Float).matmul(v),
        AXIS => along(input, -2),
        AXIS => along(input, 0),
        AXIS => along(input, 1),
        "you put zeros instead of −∞ into the future's scores: e⁰ is 1, so it still gets a weight"
            => reference::scores(q, k).tril(0).softmax(-1, Kind::Float).matmul(v),
        "keys and queries are exchanged: the rows must be those who ask (queries)" => reference::attend(k, q, v),
        "you left out softmax: scores are no weights yet" => reference::scores(q, k).tril(0).matmul(v),
        "you gave the weights (…, T, T): multiply them by the values"
            => plain(attention::attend(q, k, v, "head", &mut NoProbe)).weights,
    },
}

type Three = (Tensor, Tensor, Tensor);
/// Masked scores, with softmax along an axis.
fn along((q, k, v): &Three, axis: i64) -> Tensor {
    reference::causal_mask(&reference::scores(q, k)).softmax(axis, Kind::Float).matmul(v)
}

const AXIS: &str = "you took softmax over the wrong axis: each row of weights must sum to 1, so it is the last one, −1";

/// Checks `attend`: queries, keys, values (…, T, D) → (…, T, D).
pub fn attend(f: impl Fn(&Tensor, &Tensor, &Tensor) -> Tensor) -> Verdict {
    ATTEND.judge(&|(queries, keys, values)| f(queries, keys, values))
}

exercise! {
    SPLIT_HEADS: (Tensor, i64) => Tensor = split_heads(x, n_heads),
    task: "Write the split into heads: x (T, H·D) and H → (H, T, D). Head 0 has the first D columns, head 1 the next D, and so on.",
    hints: [
        "Cutting the columns into H groups gives (T, H, D) first. Which two axes have to change places then?",
        "x.view([t, n_heads, -1]) cuts without moving a number; transpose(0, 1) exchanges the first two axes. Viewing as \
         (H, T, D) at once would mix up characters and heads.",
        "x.view([x.size()[0], n_heads, -1]).transpose(…, …)",
    ],
    input: |number, rng| {
        let (time, heads) = (5 + number as i64, 2 + number as i64 % 3);
        (inputs::tensor(rng, &[time, heads * HEAD_DIM], 1.0), heads)
    },
    given: (x, heads),
    reference: reference::split_heads(x, *heads),
    mistakes: {
        "you viewed it as (H, T, D) without a transpose: each head then has some characters' numbers instead of \
            every character's part"
            => x.reshape([*heads, x.size()[0], HEAD_DIM]),
        "you stopped at (T, H, D): the heads' axis must come first, transpose the two"
            => x.view([x.size()[0], *heads, HEAD_DIM]),
        "you dealt the columns out like cards: a head has D columns side by side"
            => x.view([x.size()[0], HEAD_DIM, *heads]).permute([2, 0, 1]),
        "you transposed one axis too far, (H, D, T): the last axis is D"
            => x.view([x.size()[0], *heads, HEAD_DIM]).permute([1, 2, 0]),
    },
}

/// Checks `split_heads`: (T, H·D) and H → (H, T, D).
pub fn split_heads(f: impl Fn(&Tensor, i64) -> Tensor) -> Verdict {
    SPLIT_HEADS.judge(&|(x, heads)| f(x, *heads))
}

#[cfg(test)]
mod tests;
