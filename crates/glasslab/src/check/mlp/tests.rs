//! Every mistake of the exercises on the MLP, written as a learner would.

use super::*;
use crate::check::judge::named;

fn embedded(model: &MlpLm, ids: &Tensor) -> Tensor {
    Tensor::embedding(&model.embedding, ids, -1, false, false)
}

fn hidden(model: &MlpLm, ids: &Tensor) -> Tensor {
    embedded(model, ids).linear(&model.hidden_weight, Some(&model.hidden_bias))
}

fn output(model: &MlpLm, x: &Tensor) -> Tensor {
    x.linear(&model.output_weight, Some(&model.output_bias))
}

fn head(model: &MlpLm, x: &Tensor) -> Tensor {
    x.matmul(&model.embedding.tr())
}

fn loss(log: &Tensor, targets: &Tensor) -> Tensor {
    log.gather(1, &targets.unsqueeze(1), false)
}

#[test]
fn the_right_ones_are_right() {
    for verdict in [
        mlp_parameters(|v, c, h| v * c + c * h + h + h * c + c),
        relu(|x| x.clamp_min(0.0)),
        mlp_forward(|model, ids| head(model, &output(model, &hidden(model, ids).relu()))),
        cross_entropy(|logits, targets| -loss(&logits.log_softmax(-1, Kind::Double), targets).mean(Kind::Double)),
        cross_entropy(|logits, targets| {
            let p = logits.softmax(-1, Kind::Float);
            let mut sum = 0.0;
            for place in 0..targets.size()[0] {
                sum -= p.double_value(&[place, targets.int64_value(&[place])]).ln();
            }
            Tensor::from(sum / targets.size()[0] as f64)
        }),
        temperature(|logits, temperature| (logits / temperature).softmax(-1, Kind::Double)),
    ] {
        assert!(verdict.is_right(), "{verdict}");
    }
}

#[test]
fn each_mistake_of_mlp_parameters_is_named() {
    named(mlp_parameters(|v, c, h| v * c + c * h + h + h * c + c + v * c), "head twice");
    named(mlp_parameters(|v, c, h| v * c + c * h + h * c), "forgot the biases");
    named(mlp_parameters(|_, c, h| c * h + h + h * c + c), "forgot the embedding");
    named(mlp_parameters(|v, c, h| v * c + (c + 1) * h), "only the first");
    named(mlp_parameters(|v, c, h| v * c + c * h + h + h * c + h), "n_hidden biases");
}

#[test]
fn each_mistake_of_relu_is_named() {
    named(relu(Tensor::abs), "absolute value");
    named(relu(|x| x.clamp_max(0)), "cut off the positive");
    named(relu(|x| x.gt(0.0).to_kind(Kind::Float)), "gave 1");
    named(relu(|x| x + 0.0), "changed nothing");
}

#[test]
fn each_mistake_of_mlp_forward_is_named() {
    named(mlp_forward(|model, ids| head(model, &output(model, &hidden(model, ids)))), "left out the ReLU");
    named(mlp_forward(|model, ids| head(model, &output(model, &hidden(model, ids)).relu())), "ReLU after");
    named(mlp_forward(|model, ids| head(model, &output(model, &hidden(model, ids).relu()).relu())), "second ReLU");
    let right = |model: &MlpLm, ids: &Tensor| head(model, &output(model, &hidden(model, ids).relu()));
    named(mlp_forward(|model, ids| right(model, ids).softmax(-1, Kind::Float)), "gave probabilities");
    named(mlp_forward(|model, ids| output(model, &hidden(model, ids).relu())), "left out the head");
    let no_bias = |model: &MlpLm, ids: &Tensor| {
        let hidden = embedded(model, ids).matmul(&model.hidden_weight.tr()).relu();
        head(model, &hidden.matmul(&model.output_weight.tr()))
    };
    named(mlp_forward(no_bias), "left out the biases");
}

#[test]
fn each_mistake_of_cross_entropy_is_named() {
    let log = |logits: &Tensor| logits.log_softmax(-1, Kind::Double);
    let mean = |x: Tensor| x.mean(Kind::Double);
    named(cross_entropy(|x, t| -mean(loss(&x.softmax(-1, Kind::Double).log2(), t))), "base 2");
    named(cross_entropy(|x, t| mean(loss(&log(x), t))), "forgot the minus");
    named(cross_entropy(|x, t| -loss(&log(x), t).sum(Kind::Double)), "sum instead of the mean");
    named(cross_entropy(|x, t| -mean(loss(&x.log_softmax(0, Kind::Double), t))), "wrong axis");
    named(cross_entropy(|x, t| -mean(loss(x, t))), "left out softmax");
    named(cross_entropy(|x, t| -mean(loss(&x.softmax(-1, Kind::Double), t)).log()), "mean of the probabilities");
    let without_mean = cross_entropy(|x, t| -loss(&log(x), t)).to_string();
    assert!(without_mean.contains("take the mean"), "{without_mean}");
}

#[test]
fn each_mistake_of_temperature_is_named() {
    named(temperature(|x, t| (x * t).softmax(-1, Kind::Float)), "multiplied");
    named(temperature(|x, t| x.softmax(-1, Kind::Float) / t), "after softmax");
    named(temperature(|x, t| (x.softmax(-1, Kind::Float) / t).softmax(-1, Kind::Float)), "softmax twice");
    named(temperature(|x, _| x.softmax(-1, Kind::Float)), "did not use");
    named(temperature(|x, t| x / t), "left out softmax");
}

#[test]
fn unwritten_and_misshapen_ones_get_a_verdict() {
    for verdict in [
        mlp_parameters(|_, _, _| todo!()),
        mlp_forward(|_, _| todo!()),
        cross_entropy(|_, _| todo!()),
        temperature(|_, _| todo!()),
    ] {
        assert!(verdict.to_string().contains("not written yet"), "{verdict}");
    }
    let said = mlp_forward(|model, ids| head(model, &embedded(model, ids)).squeeze_dim(0).unsqueeze(-1)).to_string();
    assert!(said.contains("expected: shape (1, 3, 11)") && said.contains("got:      shape (3, 11, 1)"), "{said}");
    assert!(mlp_forward(|model, ids| model.embedding.matmul(ids)).to_string().contains("stopped with"));
}
