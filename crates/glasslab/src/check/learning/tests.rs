//! Every mistake of the exercises on how a model learns, written as a learner would; and what libtorch says of the right ones.

use super::*;
use crate::check::judge::named;
use crate::check::verdict::Outcome;
use crate::model::cross_entropy;
use crate::rng::Rng;
use tch::Device;

fn soft(logits: &Tensor) -> Tensor {
    logits.softmax(-1, Kind::Float)
}

fn one_hot(logits: &Tensor, targets: &Tensor) -> Tensor {
    targets.one_hot(logits.size()[1])
}

fn places(targets: &Tensor) -> f64 {
    targets.size()[0] as f64
}

fn sum(gradient: &Tensor) -> Tensor {
    gradient.sum_dim_intlist(0, false, Kind::Float)
}

fn my_embedding_gradient(ids: &[i64], n_vocab: i64, gradient: &Tensor) -> Tensor {
    let table = Tensor::zeros([n_vocab, gradient.size()[1]], (Kind::Float, Device::Cpu));
    for (place, &id) in ids.iter().enumerate() {
        let mut row = table.get(id);
        row += gradient.get(place as i64);
    }
    table
}

#[test]
fn the_right_ones_are_right() {
    for verdict in [
        logits_gradient(|x, t| (soft(x) - one_hot(x, t)) / places(t)),
        relu_gradient(|x, g| g.masked_fill(&x.le(0.0), 0.0)),
        linear_gradients(|x, w, g| (g.matmul(w), x.tr().matmul(g).tr(), sum(g))),
        embedding_gradient(my_embedding_gradient),
        embedding_gradient(|ids, v, g| Tensor::from_slice(ids).one_hot(v).to_kind(Kind::Float).tr().matmul(g)),
    ] {
        assert!(verdict.is_right(), "{verdict}");
    }
}

#[test]
fn each_gradient_is_libtorchs() {
    let rng = &mut Rng::new(1);
    let mut learnt = |size: &[i64]| inputs::tensor(rng, size, 1.0).set_requires_grad(true);
    let (table, weight, bias) = (learnt(&[6, 3]), learnt(&[5, 3]), learnt(&[5]));
    let ids = [2_i64, 0, 2, 5];
    let targets = Tensor::from_slice(&[1_i64, 4, 0, 4]);
    // The record ends at each step, so that each has a gradient of its own to begin with.
    let leaf = |x: Tensor| x.detach().set_requires_grad(true);
    let embedded = Tensor::embedding(&table, &Tensor::from_slice(&ids), -1, false, false);
    let x = leaf(embedded.shallow_clone());
    let hidden = x.linear(&weight, Some(&bias));
    let before = leaf(hidden.shallow_clone());
    let logits = leaf(before.relu());
    cross_entropy(&logits, &targets).unwrap().backward();
    let close =
        |one: &Tensor, other: &Tensor| assert!((one - other).abs().max().double_value(&[]) < 1e-6, "{one} {other}");
    close(&reference::logits_gradient(&logits, &targets), &logits.grad());
    let pull = |y: &Tensor, gradient: &Tensor| (y * gradient.detach()).sum(Kind::Float).backward();
    pull(&before.relu(), &logits.grad());
    close(&reference::relu_gradient(&before, &logits.grad()), &before.grad());
    pull(&hidden, &before.grad());
    let (of_x, of_weight, of_bias) = reference::linear_gradients(&x, &weight, &before.grad());
    close(&of_x, &x.grad());
    close(&of_weight, &weight.grad());
    close(&of_bias, &bias.grad());
    pull(&embedded, &x.grad());
    close(&reference::embedding_gradient(&ids, 6, &x.grad()), &table.grad());
}

#[test]
fn each_mistake_of_logits_gradient_is_named() {
    named(logits_gradient(|x, t| soft(x) - one_hot(x, t)), "forgot the mean");
    named(logits_gradient(|x, t| (one_hot(x, t) - soft(x)) / places(t)), "goes uphill");
    named(logits_gradient(|x, t| one_hot(x, t) - soft(x)), "and you forgot the mean");
    named(logits_gradient(|x, t| soft(x) / places(t)), "left out the target");
    let over_places = |x: &Tensor, t: &Tensor| (x.softmax(0, Kind::Float) - one_hot(x, t)) / places(t);
    named(logits_gradient(over_places), "wrong axis");
    named(logits_gradient(|x, t| (soft(x) - 1.0) / places(t)), "1 everywhere");
    named(logits_gradient(|x, t| (x - one_hot(x, t)) / places(t)), "left out softmax");
    named(logits_gradient(|x, t| (soft(x) - one_hot(x, t)) / x.numel() as f64), "T · V");
    named(logits_gradient(|x, t| (soft(x) - one_hot(x, t)) / x.size()[1] as f64), "divided by V");
}

#[test]
fn each_mistake_of_relu_gradient_is_named() {
    named(relu_gradient(|_, g| g.copy()), "passed everything on");
    named(relu_gradient(|_, g| g.relu()), "ReLU of the gradient");
    named(relu_gradient(|_, g| g * g.gt(0.0)), "gradient's own");
    named(relu_gradient(|x, g| x * g), "multiplied with x");
    named(relu_gradient(|x, g| x.relu() * g), "ReLU of x");
    named(relu_gradient(|x, g| g * x.le(0.0)), "other way round");
    named(relu_gradient(|x, _| x.gt(0.0).to_kind(Kind::Float)), "slope of ReLU alone");
}

#[test]
fn each_mistake_of_linear_gradients_is_named() {
    named(linear_gradients(|x, w, g| (g.matmul(w), x.tr().matmul(g), sum(g))), "weight's gradient is transposed");
    named(linear_gradients(|x, w, g| (g.matmul(w), g.tr().matmul(x), g.copy())), "forgot to sum");
    named(linear_gradients(|x, w, g| (g.matmul(w), g.tr().matmul(x), g.get(g.size()[0] - 1))), "bias has the gradient");
    let means = |x: &Tensor, w: &Tensor, g: &Tensor| {
        let t = x.size()[0] as f64;
        (g.matmul(w), g.tr().matmul(x) / t, sum(g) / t)
    };
    named(linear_gradients(means), "mean over the places instead");
    let mean = |g: &Tensor| g.mean_dim(0, false, Kind::Float);
    named(linear_gradients(|x, w, g| (g.matmul(w), g.tr().matmul(x), mean(g))), "mean over the places for the bias");
    named(linear_gradients(|x, w, g| (g.matmul(w), g.get(-1).outer(&x.get(-1)), sum(g))), "weight has the gradient");
    // A weight that is not square stops it, after four answers that have told what it does.
    named(linear_gradients(|x, w, g| (g.matmul(&w.tr()), g.tr().matmul(x), sum(g))), "transposed the weight");
    let over_outputs = |g: &Tensor| g.sum_dim_intlist(1, false, Kind::Float);
    named(linear_gradients(|x, w, g| (g.matmul(w), g.tr().matmul(x), over_outputs(g))), "over the O outputs");
}

#[test]
fn each_mistake_of_embedding_gradient_is_named() {
    let written_over = |ids: &[i64], v: i64, g: &Tensor| {
        let table = Tensor::zeros([v, g.size()[1]], (Kind::Float, Device::Cpu));
        for (place, &id) in ids.iter().enumerate() {
            table.get(id).copy_(&g.get(place as i64));
        }
        table
    };
    named(embedding_gradient(written_over), "written over");
    let first = |ids: &[i64], v: i64, g: &Tensor| {
        let backwards: Vec<i64> = ids.iter().rev().copied().collect();
        written_over(&backwards, v, &g.flip([0]))
    };
    named(embedding_gradient(first), "first place");
    let mean = |ids: &[i64], v: i64, g: &Tensor| {
        let counts = my_embedding_gradient(ids, v, &g.ones_like());
        my_embedding_gradient(ids, v, g) / counts.clamp_min(1.0)
    };
    named(embedding_gradient(mean), "mean over the places of a character");
    named(embedding_gradient(|ids, v, g| my_embedding_gradient(ids, v, g) / ids.len() as f64), "divided by T");
    named(embedding_gradient(|_, _, g| g.copy()), "row for each place");
    named(embedding_gradient(|ids, v, g| my_embedding_gradient(ids, v, &g.ones_like())), "counted the places");
}

#[test]
fn unwritten_and_misshapen_ones_get_a_verdict() {
    for verdict in [
        logits_gradient(|_, _| todo!()),
        relu_gradient(|_, _| todo!()),
        linear_gradients(|_, _, _| todo!()),
        embedding_gradient(|_, _, _| todo!()),
    ] {
        assert_eq!(verdict.outcome, Outcome::NotWritten);
    }
    let said = linear_gradients(|x, w, g| (g.matmul(w), g.tr().matmul(x), g.sum(Kind::Float))).to_string();
    assert!(said.contains("third of the three") && said.contains("shape (3)"), "{said}");
}
