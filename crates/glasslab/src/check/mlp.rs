//! The exercises on the MLP: the language model, its loss, and the temperature.

use super::table::exercise;
use super::{inputs, inputs::plain, reference, verdict::Verdict};
use crate::model::{self, LanguageModel, MlpConfig, MlpLm, Probe};
use tch::{Kind, Tensor};

exercise! {
    MLP_PARAMETERS: (i64, i64, i64) => i64 = mlp_parameters(n_vocab, emb_dim, n_hidden),
    task: "Write a function of n_vocab, emb_dim and n_hidden (whole numbers) that gives the number of parameters of the MLP \
           language model.",
    hints: [
        "Three things hold numbers: the embedding table, and two linear layers with a bias each.",
        "A linear layer from a numbers to b has a·b weights and b biases. The output head is the embedding table again: \
         it adds none.",
        "n_vocab * emb_dim + (emb_dim * n_hidden + n_hidden) + (…): the second layer goes back from n_hidden to emb_dim.",
    ],
    input: |number, rng| match number {
        0 => (256, 32, 128),
        _ => (inputs::between(rng, 20, 60), inputs::between(rng, 3, 9), inputs::between(rng, 10, 18)),
    },
    given: &(v, c, h),
    reference: reference::mlp_parameters(v, c, h),
    mistakes: {
        "you counted the output head twice: it is the embedding table itself (weight tying)"
            => 2 * v * c + c * h + h + h * c + c,
        "you forgot the biases: each linear layer has one for each number that it gives" => v * c + 2 * c * h,
        "you forgot the embedding table: a row of emb_dim numbers for each of n_vocab characters" => 2 * c * h + h + c,
        "you counted only the first of the two linear layers" => v * c + c * h + h,
        "you gave both linear layers n_hidden biases: the second one gives emb_dim numbers" => v * c + 2 * (c * h + h),
    },
}

/// Checks `mlp_parameters`: n_vocab, emb_dim, n_hidden → the number of parameters.
pub fn mlp_parameters(f: impl Fn(i64, i64, i64) -> i64) -> Verdict {
    MLP_PARAMETERS.judge(&|&(n_vocab, emb_dim, n_hidden)| f(n_vocab, emb_dim, n_hidden))
}

exercise! {
    RELU: Tensor => Tensor = relu(x),
    task: "Write ReLU: every negative number of a tensor becomes 0, all others stay. Any shape → the same shape. \
           x.clamp_min(limit) raises whatever is below a limit.",
    hints: [
        "ReLU of a number is the larger one of two: itself and 0. clamp_min makes all that is below a limit as large as the limit.",
        "Which limit leaves the positive numbers as they are, and makes 0 of the negative ones?",
        "x.clamp_min(…) with the number that nothing may be below.",
    ],
    input: |number, rng| inputs::tensor(rng, &[2 + number as i64, 3], 1.0),
    given: x,
    reference: reference::relu(x),
    mistakes: {
        "you took the absolute value: a negative number should become 0, not positive" => x.abs(),
        "you kept the negative numbers and cut off the positive ones" => x.clamp_max(0.0),
        "you gave 1 for what is positive: it should stay as it is" => x.gt(0.0).to_kind(Kind::Float),
        "you changed nothing" => x.shallow_clone(),
    },
}

/// Checks `relu`: any shape → the same.
pub fn relu(f: impl Fn(&Tensor) -> Tensor) -> Verdict {
    RELU.judge(&f)
}

exercise! {
    MLP_FORWARD: (MlpLm, Tensor) => Tensor = mlp_forward(model, ids),
    task: "Write the forward pass of the MLP language model: ids (B, T) → logits (B, T, V), with the model's own tensors.",
    hints: [
        "Five steps: the rows of the embedding, the hidden layer, ReLU, the output layer, and the head, which is the embedding \
         table again. Write them one below the other, with the shape behind each.",
        "Tensor::embedding(&model.embedding, ids, -1, false, false) looks the rows up; \
         x.linear(&weight, Some(&bias)) is x · weightᵀ + bias.",
        "x.linear(&model.hidden_weight, Some(&model.hidden_bias)), then .relu(), then .linear(…) with the output's, and in \
         the end .linear(&model.embedding, None::<&Tensor>).",
    ],
    input: |number, rng| {
        let config = MlpConfig { n_vocab: 11, emb_dim: 6, n_hidden: 9, seed: 0 };
        let (batch, time) = (1 + number as i64 % 2, 3);
        let ids = Tensor::from_slice(&inputs::ids(rng, batch * time, 11)).view([batch, time]);
        (inputs::mlp(rng, config), ids)
    },
    given: (model, ids),
    reference: reference::mlp_forward(model, ids),
    mistakes: {
        "you left out the ReLU: two linear layers without it are no more than one"
            => altered(model, ids, &["activated"], |hidden, _| hidden.shallow_clone()),
        "you put the ReLU after the output layer: it belongs between the two, on the hidden numbers"
            => altered(model, ids, &["activated", "output"], |before, name| match name {
                "output" => before.relu(),
                _ => before.shallow_clone(),
            }),
        "you put a second ReLU after the output layer: the one on the hidden numbers is enough"
            => altered(model, ids, &["output"], |output, _| output.relu()),
        "you gave probabilities: logits are the scores before softmax" => plain(model.logits(ids)).softmax(-1, Kind::Float),
        "you left out the head: the last step compares the output with the row of every character"
            => {
                let mut recording = model::Recording::default();
                let logits = plain(model.forward(ids, &mut recording));
                recording.get("output").map_or(logits, Tensor::shallow_clone)
            },
        "you left out the biases"
            => {
                let without = MlpLm {
                    config: model.config,
                    tokenizer: model.tokenizer(),
                    trained: None,
                    embedding: model.embedding.shallow_clone(),
                    hidden_weight: model.hidden_weight.shallow_clone(),
                    hidden_bias: model.hidden_bias.zeros_like(),
                    output_weight: model.output_weight.shallow_clone(),
                    output_bias: model.output_bias.zeros_like(),
                };
                plain(without.logits(ids))
            },
    },
}

/// Checks `mlp_forward`: a model and ids (B, T) → logits (B, T, V).
pub fn mlp_forward(f: impl Fn(&MlpLm, &Tensor) -> Tensor) -> Verdict {
    MLP_FORWARD.judge(&|(model, ids)| f(model, ids))
}

/// The model's own forward pass, with some steps done otherwise. `change` is given what comes into the step: for
/// `activated` the numbers before the ReLU, for any other step its own.
fn altered(model: &MlpLm, ids: &Tensor, steps: &[&str], change: fn(&Tensor, &str) -> Tensor) -> Tensor {
    struct Alter<'a> {
        steps: &'a [&'a str],
        change: fn(&Tensor, &str) -> Tensor,
        hidden: Option<Tensor>,
    }
    impl Probe for Alter<'_> {
        fn at(&mut self, name: impl std::fmt::Display, tensor: Tensor) -> Tensor {
            let name = name.to_string();
            if name == "hidden" {
                self.hidden = Some(tensor.shallow_clone());
            }
            let before = self.hidden.as_ref().filter(|_| name == "activated").unwrap_or(&tensor);
            match self.steps.contains(&name.as_str()) {
                true => (self.change)(before, &name),
                false => tensor,
            }
        }
    }
    plain(model.forward(ids, &mut Alter { steps, change, hidden: None }))
}

exercise! {
    CROSS_ENTROPY: (Tensor, Tensor) => f64 = cross_entropy(logits, targets),
    task: "Write the loss: logits (T, V) and targets (T) → a tensor of one number, the mean of −ln p over all places, where p is \
           the probability that softmax gives to the target. x.mean(Kind::Double) is the mean of a tensor.",
    hints: [
        "Three steps: probabilities from logits, the one of the target at each place, the mean of −ln of them.",
        "logits.log_softmax(-1, Kind::Double) gives ln p for all characters, (T, V); \
         .gather(1, &targets.unsqueeze(1), false) picks the targets' ones, (T, 1).",
        "-logits.log_softmax(…).gather(…).mean(Kind::Double)",
    ],
    input: |number, rng| {
        let (time, n_vocab) = (3 + number as i64, 7);
        let targets = Tensor::from_slice(&inputs::ids(rng, time, n_vocab));
        (inputs::tensor(rng, &[time, n_vocab], 2.0), targets)
    },
    given: (logits, targets),
    reference: reference::cross_entropy(logits, targets).double_value(&[]),
    mistakes: {
        "you took the logarithm to the base 2: that is the loss in bits, ours is in nats (ln)"
            => -mean(&picked(logits, targets, -1)) / std::f64::consts::LN_2,
        "you forgot the minus: ln of a probability is negative, a loss is not" => mean(&picked(logits, targets, -1)),
        "you took the sum instead of the mean: a longer text would have a larger loss"
            => -picked(logits, targets, -1).sum(Kind::Double).double_value(&[]),
        "you took softmax over the wrong axis: the V scores of each place compete, not the places"
            => -mean(&picked(logits, targets, 0)),
        "you left out softmax: a score is no probability"
            => {
                let scores = logits.to_kind(Kind::Double).gather(1, &targets.unsqueeze(1), false);
                -mean(&scores)
            },
        "you took the mean of the probabilities, and then the logarithm: first the logarithm of each"
            => -mean(&picked(logits, targets, -1).exp()).ln(),
    },
}

/// Called by the judge, who catches what it panics with.
fn number(loss: &Tensor) -> f64 {
    let size = loss.size();
    assert!(loss.numel() == 1, "the loss is one number, and this tensor has the shape {size:?}: take the mean of it");
    loss.sum(Kind::Double).double_value(&[])
}

/// ln p of the targets, with probabilities along an axis.
fn picked(logits: &Tensor, targets: &Tensor, axis: i64) -> Tensor {
    logits.log_softmax(axis, Kind::Double).gather(1, &targets.unsqueeze(1), false)
}

fn mean(x: &Tensor) -> f64 {
    x.mean(Kind::Double).double_value(&[])
}

/// Checks `cross_entropy`: logits (T, V), targets (T) → nats per character, a tensor of one number, so that a gradient can
/// be taken of it.
pub fn cross_entropy(f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Verdict {
    CROSS_ENTROPY.judge(&|(logits, targets)| number(&f(logits, targets)))
}

exercise! {
    TEMPERATURE: (Tensor, f64) => Tensor = temperature(logits, temperature),
    task: "Write a function that makes probabilities of logits (V) at a temperature: divide by it, then softmax → (V).",
    hints: [
        "A temperature below 1 should make the likely likelier. What happens to the differences between the scores?",
        "The division comes before softmax, so that the result still sums to 1.",
        "(logits / temperature).softmax(-1, …)",
    ],
    input: |number, rng| (inputs::tensor(rng, &[6], 2.0), [0.5, 2.0, 1.0, 0.7, 1.5, 0.3][number]),
    given: (logits, temperature),
    reference: reference::temperature(logits, *temperature),
    mistakes: {
        "you multiplied by the temperature: then a low one would make the model reckless"
            => (logits * *temperature).softmax(-1, Kind::Float),
        "you divided the probabilities after softmax: they no longer sum to 1"
            => logits.softmax(-1, Kind::Float) / *temperature,
        "you took softmax twice: once before the division, once after it"
            => {
                let probabilities = logits.softmax(-1, Kind::Float);
                (probabilities / *temperature).softmax(-1, Kind::Float)
            },
        "you did not use the temperature" => logits.softmax(-1, Kind::Float),
        "you left out softmax: scores are no probabilities yet" => logits / *temperature,
    },
}

/// Checks `temperature`: logits (V) and a temperature → probabilities (V).
pub fn temperature(f: impl Fn(&Tensor, f64) -> Tensor) -> Verdict {
    TEMPERATURE.judge(&|(logits, temperature)| f(logits, *temperature))
}

#[cfg(test)]
mod tests;
