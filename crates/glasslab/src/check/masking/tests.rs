//! Every mistake of the exercises on softmax and the mask, written as a learner would.

use super::*;
use crate::check::judge::named;
use crate::rng::Rng;

fn masked_with(scores: &Tensor, value: f64) -> Tensor {
    let time = scores.size()[scores.dim() - 1];
    scores.masked_fill(&Tensor::ones([time, time], (Kind::Bool, scores.device())).triu(1), value)
}

/// The sum of each row, or of each column.
fn along(x: &Tensor, axis: i64) -> Tensor {
    x.sum_dim_intlist(axis, true, Kind::Float)
}

#[test]
fn the_right_ones_are_right() {
    for verdict in [
        softmax_rows(|x| {
            let powers = (x - x.amax(-1, true)).exp();
            &powers / along(&powers, -1)
        }),
        softmax_rows(|x| {
            let powers = (x - x.max()).exp();
            &powers / along(&powers, -1)
        }),
        causal_mask(|scores| masked_with(scores, f64::NEG_INFINITY)),
        causal_mask(|scores| masked_with(scores, -1e9)),
        softmax_gradient(|w, g| w * g - w * along(&(w * g), 1)),
    ] {
        assert!(verdict.is_right(), "{verdict}");
    }
}

#[test]
fn the_gradient_is_libtorchs() {
    let rng = &mut Rng::new(1);
    let scores = inputs::tensor(rng, &[5, 5], 1.0).set_requires_grad(true);
    let gradient = inputs::tensor(rng, &[5, 5], 1.0);
    let weights = reference::causal_mask(&scores).softmax(-1, Kind::Float);
    (&weights * &gradient).sum(Kind::Float).backward();
    let difference = reference::softmax_gradient(&weights, &gradient) - scores.grad();
    assert!(difference.abs().max().double_value(&[]) < 1e-6, "{difference}");
}

#[test]
fn each_mistake_of_softmax_rows_is_named() {
    let sum = |x: &Tensor, axis: i64, keep: bool| x.sum_dim_intlist(axis, keep, Kind::Float);
    named(softmax_rows(|x| x.exp() / sum(&x.exp(), -1, true)), "overflow");
    for axis in [0, 1, -2] {
        named(softmax_rows(|x| x.softmax(axis, Kind::Float)), "wrong axis");
        named(softmax_rows(|x| x.exp() / sum(&x.exp(), axis, true)), "wrong axis");
    }
    named(softmax_rows(|x| x.exp() / sum(&x.exp(), -1, false)), "lost their axis");
    named(softmax_rows(|x| x.exp() / x.exp().sum(Kind::Float)), "sum of all numbers");
    named(softmax_rows(Tensor::exp), "forgot to divide");
    named(softmax_rows(|x| x / sum(x, -1, true)), "left out the exponential");
}

#[test]
fn each_mistake_of_causal_mask_is_named() {
    let fill = |x: &Tensor, hidden: Tensor| x.masked_fill(&hidden.to_kind(Kind::Bool), f64::NEG_INFINITY);
    let sized = |x: &Tensor, t: i64| fill(x, Tensor::ones([t, t], (Kind::Float, x.device())).triu(1));
    named(causal_mask(|x| sized(x, x.size()[0])), "size()[0]");
    named(causal_mask(|x| sized(x, x.size()[1])), "size()[1]");
    named(causal_mask(|x| fill(x, x.ones_like().triu(0))), "hides itself");
    named(causal_mask(|x| fill(x, x.ones_like().tril(-1))), "hid the past");
    named(causal_mask(|x| x.tril(0)), "zeros instead");
    named(causal_mask(|x| fill(x, x.ones_like().triu(2))), "one place ahead");
    named(causal_mask(|x| masked_with(x, f64::INFINITY)), "+∞");
    named(causal_mask(Tensor::shallow_clone), "hid nothing");
}

#[test]
fn each_mistake_of_softmax_gradient_is_named() {
    named(softmax_gradient(|w, g| w * g), "forgot the sum");
    named(softmax_gradient(|w, g| w * (g - along(&(w * g), 0))), "over the column");
    named(softmax_gradient(|w, g| w * (w.ones_like() - w) * g), "by itself");
    named(softmax_gradient(|_, g| g.copy()), "unchanged");
    named(softmax_gradient(|w, g| g - along(&(w * g), -1)), "the factor w is missing");
    named(softmax_gradient(|w, g| w * (g - g.mean_dim(-1, true, Kind::Float))), "plain mean");
    named(softmax_gradient(|w, g| w * (g - along(g, -1))), "plain sum");
    named(softmax_gradient(|w, g| w * (g + along(&(w * g), -1))), "added the mean");
}

#[test]
fn unwritten_and_misshapen_ones_get_a_verdict() {
    for verdict in [softmax_rows(|_| todo!()), causal_mask(|_| todo!()), softmax_gradient(|_, _| todo!())] {
        assert!(verdict.to_string().contains("not written yet"), "{verdict}");
    }
    assert!(causal_mask(|x| x.masked_fill(&x.get(0), 0.0)).to_string().contains("stopped with"));
    assert!(softmax_gradient(|w, g| along(&(w * g), -1)).to_string().contains("got:      shape (4, 1)"));
}
