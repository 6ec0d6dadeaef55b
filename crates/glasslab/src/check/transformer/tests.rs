//! Every mistake of the exercises on the transformer's smaller parts, written as a learner would.

use super::*;
use crate::check::judge::named;

fn mean(x: &Tensor) -> Tensor {
    x.mean_dim(-1, true, Kind::Float)
}

fn centred(x: &Tensor) -> Tensor {
    x - mean(x)
}

fn place(x: &Tensor, table: &Tensor, first: i64) -> Tensor {
    table.narrow(0, first, x.size()[x.dim() - 2])
}

fn highest(logits: &Tensor, k: usize) -> Tensor {
    logits.topk(k as i64, -1, true, true).0
}

fn soft(x: &Tensor) -> Tensor {
    x.softmax(-1, Kind::Float)
}

const NONE: f64 = f64::NEG_INFINITY;

#[test]
fn the_right_ones_are_right() {
    for verdict in [
        layer_norm(|x| centred(x) / (mean(&centred(x).square()) + 1e-5).sqrt()),
        layer_norm(|x| centred(x) / (x.var_dim(-1, false, true) + 1e-5).sqrt()),
        add_positions(|x, table| x + place(x, table, 0)),
        rms_norm(|x| x / (mean(&x.square()) + 1e-5).sqrt()),
        rms_norm(|x| x / ((x * x).mean_dim(-1, true, Kind::Float) + 1e-5).sqrt()),
        top_k(|x, k| soft(&x.masked_fill(&x.lt_tensor(&highest(x, k).min()), NONE))),
    ] {
        assert!(verdict.is_right(), "{verdict}");
    }
}

#[test]
fn each_mistake_of_layer_norm_is_named() {
    let over = |x: &Tensor, axis: i64| {
        let left = x - x.mean_dim(axis, true, Kind::Float);
        &left / (left.square().mean_dim(axis, true, Kind::Float) + 1e-5).sqrt()
    };
    for axis in [0, 1, -2] {
        named(layer_norm(|x| over(x, axis)), "wrong axis");
    }
    named(layer_norm(|x| centred(x) / x.std_dim(-1, true, true)), "n − 1");
    named(layer_norm(|x| x / mean(&x.square()).sqrt()), "RMS norm");
    named(layer_norm(|x| x / x.var_dim(-1, false, true).sqrt()), "did not subtract the mean");
    named(layer_norm(centred), "did not divide");
    named(layer_norm(|x| centred(x) / (mean(&centred(x).square()) + 1e-5)), "by the variance");
    let all = |x: &Tensor| {
        let left = x - x.mean(Kind::Float);
        &left / left.square().mean(Kind::Float).sqrt()
    };
    named(layer_norm(all), "all numbers together");
    named(layer_norm(|x| centred(x) / x.var_dim(-1, false, true).sqrt()), "add ε");
}

#[test]
fn each_mistake_of_rms_norm_is_named() {
    for axis in [0, 1, -2] {
        named(rms_norm(|x| x / (x.square().mean_dim(axis, true, Kind::Float) + 1e-5).sqrt()), "wrong axis");
    }
    named(rms_norm(|x| centred(x) / mean(&centred(x).square()).sqrt()), "layer norm");
    named(rms_norm(|x| x / x.std_dim(-1, false, true)), "measured from the mean");
    named(rms_norm(|x| x / x.std_dim(-1, true, true)), "with C − 1");
    named(rms_norm(|x| x / x.square().sum_dim_intlist(-1, true, Kind::Float).sqrt()), "sum of the squares");
    named(rms_norm(|x| x / mean(&x.square())), "forgot the root");
    named(rms_norm(|x| x / x.square().mean(Kind::Float).sqrt()), "all numbers together");
    named(rms_norm(|x| x / mean(&x.square()).sqrt()), "add ε");
}

#[test]
fn each_mistake_of_add_positions_is_named() {
    named(add_positions(|x, table| x + place(x, table, 1)), "one place off");
    named(add_positions(|x, table| x + place(x, table, table.size()[0] - x.size()[x.dim() - 2])), "last rows");
    named(add_positions(|x, table| x + table.narrow(0, 0, x.size()[0])), "number of texts for their length");
    named(add_positions(|x, table| x + table.get(0)), "same row");
    named(add_positions(|x, table| x * place(x, table, 0)), "multiplied");
    named(add_positions(|x, table| place(x, table, 0)), "positions alone");
    named(add_positions(|x, _| x.copy()), "changed nothing");
}

#[test]
fn each_mistake_of_top_k_is_named() {
    let others = |x: &Tensor, k: usize| x.lt_tensor(&highest(x, k).min());
    named(top_k(|x, k| x.masked_fill(&others(x, k), NONE)), "gave scores, with −∞");
    named(top_k(|x, k| x.masked_fill(&others(x, k), 0.0)), "gave scores, with 0");
    named(top_k(|x, k| soft(&x.masked_fill(&others(x, k + 1), NONE))), "one too many");
    named(top_k(|x, k| soft(x).masked_fill(&others(x, k), 0.0)), "softmax first");
    named(top_k(|x, k| soft(&x.masked_fill(&others(x, k), 0.0))), "score 0 instead");
    named(top_k(|x, k| soft(&x.masked_fill(&x.gt_tensor(&(-highest(&-x, k)).max()), NONE))), "k lowest");
    named(top_k(|x, k| soft(&x.masked_fill(&x.le_tensor(&highest(x, k).min()), NONE))), "one too few");
    named(top_k(|x, k| soft(&highest(x, k))), "gave k probabilities");
    named(top_k(|x, _| soft(x)), "did not use k");
}

#[test]
fn unwritten_and_misshapen_ones_get_a_verdict() {
    for verdict in
        [layer_norm(|_| todo!()), rms_norm(|_| todo!()), add_positions(|_, _| todo!()), top_k(|_, _| todo!())]
    {
        assert!(verdict.to_string().contains("not written yet"), "{verdict}");
    }
    for verdict in [
        layer_norm(|x| x - x.mean_dim(-1, false, Kind::Float)),
        add_positions(|x, table| x + table),
        top_k(|x, k| x.topk(k as i64 + 9, -1, true, true).0),
    ] {
        assert!(verdict.to_string().contains("stopped with"), "{verdict}");
    }
    let said = layer_norm(mean).to_string();
    assert!(said.contains("expected: shape (4, 6)") && said.contains("got:      shape (4, 1)"), "{said}");
}
