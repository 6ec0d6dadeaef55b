//! Every mistake of the exercises on self-attention, written as a learner would.

use super::*;
use crate::check::judge::named;

fn root(size: i64) -> f64 {
    (size as f64).sqrt()
}

/// The last of the sizes.
fn last(x: &Tensor) -> i64 {
    x.size()[x.dim() - 1]
}

fn raw_scores(queries: &Tensor, keys: &Tensor) -> Tensor {
    queries.matmul(&keys.transpose(-2, -1))
}

fn my_scores(queries: &Tensor, keys: &Tensor) -> Tensor {
    raw_scores(queries, keys) / root(last(queries))
}

fn my_mask(scores: &Tensor) -> Tensor {
    masked_with(scores, f64::NEG_INFINITY)
}

fn soft(x: &Tensor) -> Tensor {
    x.softmax(-1, Kind::Float)
}

fn queries(head: &Head, x: &Tensor) -> Tensor {
    x.matmul(&head.query_weight.tr())
}

fn keys(head: &Head, x: &Tensor) -> Tensor {
    x.matmul(&head.key_weight.tr())
}

fn masked_with(scores: &Tensor, value: f64) -> Tensor {
    let time = last(scores);
    scores.masked_fill(&Tensor::ones([time, time], (Kind::Bool, scores.device())).triu(1), value)
}

#[test]
fn the_right_ones_are_right() {
    for verdict in [
        one_score(|query, key| (query * key).sum(Kind::Double).double_value(&[]) / root(query.size()[0])),
        scores(my_scores),
        head_scores(|head, x| my_scores(&queries(head, x), &keys(head, x))),
        scores(|queries, keys| raw_scores(queries, keys) / root(*queries.size().last().unwrap())),
        attend(|q, k, v| soft(&my_mask(&my_scores(q, k))).matmul(v)),
        split_heads(|x, heads| x.view([x.size()[0], heads, -1]).transpose(0, 1)),
    ] {
        assert!(verdict.is_right(), "{verdict}");
    }
}

#[test]
fn each_mistake_of_one_score_is_named() {
    let dot = |query: &Tensor, key: &Tensor| query.dot(key).double_value(&[]);
    named(one_score(dot), "did not scale");
    named(one_score(|q, k| dot(q, k) / q.size()[0] as f64), "by D instead of √D");
    named(one_score(|q, k| dot(q, k) * root(q.size()[0])), "multiplied by √D");
    let length = |x: &Tensor| x.norm().double_value(&[]);
    named(one_score(|q, k| dot(q, k) / length(q) / length(k)), "cosine");
}

#[test]
fn each_mistake_of_scores_is_named() {
    named(scores(raw_scores), "did not scale: divide by √D");
    named(scores(|q, k| raw_scores(q, k) / last(q) as f64), "by D instead of √D");
    named(scores(|q, k| my_scores(k, q)), "transposed, the rows must be those who ask");
    named(scores(|q, k| raw_scores(k, q)), "and did not scale");
    named(scores(|q, k| raw_scores(q, k) / root(q.size()[q.dim() - 2])), "scaled by √T");
    named(scores(|q, k| raw_scores(q, k) / root(q.size()[0])), "size()[0]");
    named(scores(|q, k| raw_scores(q, k) / root(q.size()[1])), "you divided by √T");
    named(scores(|q, k| raw_scores(q, k) / root(q.size()[2])), "no third axis");
    named(scores(|q, k| raw_scores(q, k) * root(last(q))), "multiplied by √D");
}

#[test]
fn each_mistake_of_head_scores_is_named() {
    let raw = |head: &Head, x: &Tensor| raw_scores(&queries(head, x), &keys(head, x));
    named(head_scores(|head, x| raw(head, x) / root(last(x))), "√emb_dim");
    named(head_scores(|head, x| raw(head, x) / root(queries(head, x).size()[1])), "you divided by √T");
    named(head_scores(|head, x| raw(head, x) / root(queries(head, x).size()[0])), "you divided by √B");
    named(head_scores(|head, x| my_scores(&keys(head, x), &queries(head, x))), "exchanged");
    named(head_scores(raw), "did not scale");
    named(head_scores(|head, x| raw(head, x) / head.key_weight.size()[0] as f64), "instead of its root");
    named(head_scores(|head, x| my_scores(&queries(head, x), &queries(head, x))), "same projection");
    named(head_scores(|head, x| my_mask(&my_scores(&queries(head, x), &keys(head, x)))), "masked the future already");
}

#[test]
fn each_mistake_of_attend_is_named() {
    named(attend(|q, k, v| soft(&my_scores(q, k)).tril(0).matmul(v)), "masked after softmax");
    named(attend(|q, k, v| soft(&my_scores(q, k)).matmul(v)), "left out the mask");
    named(attend(|q, k, v| soft(&my_mask(&raw_scores(q, k))).matmul(v)), "did not scale");
    let by_the_second = |q: &Tensor, k: &Tensor| raw_scores(q, k) / root(q.size()[1]);
    named(attend(|q, k, v| soft(&my_mask(&by_the_second(q, k))).matmul(v)), "you divided by √T");
    for axis in [0, 1, -2] {
        named(attend(|q, k, v| my_mask(&my_scores(q, k)).softmax(axis, Kind::Float).matmul(v)), "wrong axis");
    }
    named(attend(|q, k, v| soft(&masked_with(&my_scores(q, k), 0.0)).matmul(v)), "zeros instead");
    named(attend(|q, k, v| soft(&my_mask(&my_scores(k, q))).matmul(v)), "exchanged");
    named(attend(|q, k, v| my_scores(q, k).tril(0).matmul(v)), "left out softmax");
    named(attend(|q, k, _| soft(&my_mask(&my_scores(q, k)))), "gave the weights");
}

#[test]
fn each_mistake_of_split_heads_is_named() {
    let time = |x: &Tensor| x.size()[0];
    named(split_heads(|x, heads| x.view([heads, time(x), -1])), "without a transpose");
    named(split_heads(|x, heads| x.view([time(x), heads, -1])), "stopped at (T, H, D)");
    named(split_heads(|x, heads| x.view([time(x), -1, heads]).permute([2, 0, 1])), "like cards");
    named(split_heads(|x, heads| x.view([time(x), heads, -1]).permute([1, 2, 0])), "too far");
}

#[test]
fn unwritten_and_misshapen_ones_get_a_verdict() {
    for verdict in [
        one_score(|_, _| todo!()),
        scores(|_, _| todo!()),
        head_scores(|_, _| todo!()),
        attend(|_, _, _| todo!()),
        split_heads(|_, _| todo!()),
    ] {
        assert!(verdict.to_string().contains("not written yet"), "{verdict}");
    }
    for verdict in [
        scores(|q, k| q.matmul(k)),
        head_scores(|head, x| x.matmul(&head.query_weight)),
        attend(|q, k, v| soft(&my_scores(q, k)).matmul(&v.transpose(-2, -1))),
        split_heads(|x, _| x.view([1, 1])),
        one_score(|q, k| q.outer(k).double_value(&[])),
    ] {
        assert!(verdict.to_string().contains("stopped with"), "{verdict}");
    }
    let said = scores(|q, k| q.transpose(-2, -1).matmul(k)).to_string();
    assert!(said.contains("expected: shape (1, 6, 6)") && said.contains("got:      shape (1, 4, 4)"), "{said}");
}
