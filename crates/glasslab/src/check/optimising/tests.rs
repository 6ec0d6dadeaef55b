//! Every mistake of the exercises on an optimiser's step, written as a learner would.

use super::*;
use crate::check::judge::named;
use crate::check::verdict::Outcome;

fn my_adam(p: &Tensor, g: &Tensor, mean: &Tensor, square: &Tensor, t: i32, lr: f64) -> (Tensor, Tensor, Tensor) {
    let mean = mean * 0.9 + g * 0.1;
    let square = square * 0.999 + g * g * 0.001;
    let m = &mean / (1.0 - 0.9_f64.powi(t));
    let s = &square / (1.0 - 0.999_f64.powi(t));
    (p - m / (s.sqrt() + 1e-8) * lr, mean, square)
}

#[test]
fn the_right_ones_are_right() {
    for verdict in [momentum_step(|p, g, v, lr| (p - (v * 0.9 + g) * lr, v * 0.9 + g)), adam_step(my_adam)] {
        assert!(verdict.is_right(), "{verdict}");
    }
}

#[test]
fn each_mistake_of_momentum_step_is_named() {
    let new = |g: &Tensor, v: &Tensor| v * 0.9 + g;
    named(momentum_step(|p, g, v, lr| (p - v * lr, new(g, v))), "old velocity: first");
    named(momentum_step(|p, g, v, lr| (p + new(g, v) * lr, new(g, v))), "uphill");
    named(momentum_step(|p, g, _, lr| (p - g * lr, g.copy())), "not kept");
    named(momentum_step(|p, g, v, lr| (p - g * lr, new(g, v))), "not kept");
    named(momentum_step(|p, g, v, lr| (p - g * lr, v.copy())), "not kept");
    named(momentum_step(|p, g, v, lr| (p - new(g, v) * lr, v.copy())), "old velocity back");
    named(momentum_step(|p, g, v, lr| (p - (v * 0.9 + g * 0.1) * lr, v * 0.9 + g * 0.1)), "(1 − 0.9)");
    named(momentum_step(|p, g, v, lr| (p - (v + g) * lr, v + g)), "never fades");
    named(momentum_step(|p, g, v, lr| (p - (v * 0.9 + g * lr), v * 0.9 + g * lr)), "in the velocity");
}

#[test]
fn each_mistake_of_adam_step_is_named() {
    let means = |g: &Tensor, m: &Tensor, s: &Tensor| (m * 0.9 + g * 0.1, s * 0.999 + g.square() * 0.001);
    let whole = |t: i32| (1.0 - 0.9_f64.powi(t), 1.0 - 0.999_f64.powi(t));
    let uncorrected = |p: &Tensor, g: &Tensor, m: &Tensor, s: &Tensor, _: i32, lr: f64| {
        let (m, s) = means(g, m, s);
        (p - &m / (s.sqrt() + 1e-8) * lr, m, s)
    };
    named(adam_step(uncorrected), "correction is missing");
    let stored = |p: &Tensor, g: &Tensor, m: &Tensor, s: &Tensor, t: i32, lr: f64| {
        let ((m, s), (a, b)) = (means(g, m, s), whole(t));
        let (m, s) = (m / a, s / b);
        (p - &m / (s.sqrt() + 1e-8) * lr, m, s)
    };
    named(adam_step(stored), "corrected mean and square back");
    let no_root = |p: &Tensor, g: &Tensor, m: &Tensor, s: &Tensor, t: i32, lr: f64| {
        let ((m, s), (a, b)) = (means(g, m, s), whole(t));
        (p - &m / a / (&s / b + 1e-8) * lr, m, s)
    };
    named(adam_step(no_root), "square root");
    let exchanged = |p: &Tensor, g: &Tensor, m: &Tensor, s: &Tensor, t: i32, lr: f64| {
        let (m, s) = (m * 0.999 + g * 0.001, s * 0.9 + g.square() * 0.1);
        let (b, a) = whole(t);
        (p - &m / a / ((&s / b).sqrt() + 1e-8) * lr, m, s)
    };
    named(adam_step(exchanged), "exchanged");
    let not_squared = |p: &Tensor, g: &Tensor, m: &Tensor, s: &Tensor, t: i32, lr: f64| {
        let (m, s) = (m * 0.9 + g * 0.1, s * 0.999 + g * 0.001);
        let (a, b) = whole(t);
        (p - &m / a / ((&s / b).sqrt() + 1e-8) * lr, m, s)
    };
    named(adam_step(not_squared), "not squared");
    named(adam_step(|p, g, m, s, t, lr| my_adam(p, g, m, s, t, -lr)), "uphill");
    named(adam_step(|p, g, m, s, t, lr| my_adam(p, g, m, s, t - 1, lr)), "from 0");
    let turned = |p: &Tensor, g: &Tensor, m: &Tensor, s: &Tensor, t: i32, lr: f64| {
        let (m, s) = (m * 0.1 + g * 0.9, s * 0.001 + g.square() * 0.999);
        let (a, b) = whole(t);
        (p - &m / a / ((&s / b).sqrt() + 1e-8) * lr, m, s)
    };
    named(adam_step(turned), "turned around");
    let old = |p: &Tensor, g: &Tensor, m: &Tensor, s: &Tensor, t: i32, lr: f64| {
        (my_adam(p, g, m, s, t, lr).0, m.copy(), s.copy())
    };
    named(adam_step(old), "as they came");
}

#[test]
fn unwritten_and_misshapen_ones_get_a_verdict() {
    assert_eq!(momentum_step(|_, _, _, _| todo!()).outcome, Outcome::NotWritten);
    assert_eq!(adam_step(|_, _, _, _, _, _| todo!()).outcome, Outcome::NotWritten);
    let said = momentum_step(|p, _, v, _| (p.get(0), v.copy())).to_string();
    assert!(said.contains("first of the two") && said.contains("shape (2)"), "{said}");
}
