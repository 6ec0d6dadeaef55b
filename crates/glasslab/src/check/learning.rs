//! The exercises on how a model learns: the gradient of the loss, carried back through each kind of step. What an optimiser does with
//! it has a file of its own.

use super::table::exercise;
use super::{inputs, reference, verdict::Verdict};
use tch::{Kind, Tensor};

exercise! {
    LOGITS_GRADIENT: (Tensor, Tensor) => Tensor = logits_gradient(logits, targets),
    task: "Write the gradient of the loss (the mean cross-entropy of T places) by the logits: logits (T, V) and targets (T) → \
           ∂loss/∂logits (T, V), the softmax of each row, minus 1 at the target, all divided by T.",
    hints: [
        "Which scores should fall, and which one should rise? Each falls by the probability that it got; only the target's has \
         its 1 taken off, so that its gradient is negative.",
        "targets.one_hot(V) is a table (T, V) with a 1 at each target; V is logits.size()[1]. The loss is a mean over T places, so \
         each has only a T-th of the say.",
        "(logits.softmax(-1, Kind::Float) - targets.one_hot(logits.size()[1])) / … as f64",
    ],
    input: |number, rng| {
        let time = [3, 2, 4, 7, 1, 6][number];
        let targets = Tensor::from_slice(&inputs::ids(rng, time, N_VOCAB));
        (inputs::tensor(rng, &[time, N_VOCAB], 1.5), targets)
    },
    given: (logits, targets),
    reference: reference::logits_gradient(logits, targets),
    mistakes: {
        "you forgot the mean: the loss is the mean of T places, so divide by T" => soft(logits, -1) - wanted(targets),
        "the sign is turned, so a step against it goes uphill: the target's score must rise, and a step goes \
            against the gradient, so its gradient is negative"
            => (wanted(targets) - soft(logits, -1)) / time(targets),
        "the sign is turned, and you forgot the mean: softmax − 1 at the target, divided by T"
            => wanted(targets) - soft(logits, -1),
        "you left out the target: its place gets softmax − 1, so that its score rises"
            => soft(logits, -1) / time(targets),
        "you took softmax over the wrong axis: the V scores of each place compete, not the places"
            => (soft(logits, 0) - wanted(targets)) / time(targets),
        "you subtracted 1 everywhere: only at the target" => (soft(logits, -1) - 1.0) / time(targets),
        "you left out softmax: probabilities are compared with the target, not scores"
            => (logits - wanted(targets)) / time(targets),
        "you divided by T · V: the mean is over the T places only"
            => (soft(logits, -1) - wanted(targets)) / (time(targets) * N_VOCAB as f64),
        "you divided by V: the mean is over the T places" => (soft(logits, -1) - wanted(targets)) / N_VOCAB as f64,
    },
}

const N_VOCAB: i64 = 5;
fn soft(logits: &Tensor, axis: i64) -> Tensor {
    logits.softmax(axis, Kind::Float)
}

fn wanted(targets: &Tensor) -> Tensor {
    targets.one_hot(N_VOCAB).to_kind(Kind::Float)
}

fn time(targets: &Tensor) -> f64 {
    targets.size()[0] as f64
}

/// Checks `logits_gradient`: logits (T, V), targets (T) → (T, V).
pub fn logits_gradient(f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Verdict {
    LOGITS_GRADIENT.judge(&|(logits, targets)| f(logits, targets))
}

exercise! {
    RELU_GRADIENT: (Tensor, Tensor) => Tensor = relu_gradient(x, gradient),
    task: "Carry a gradient back through ReLU: x (T, H), the numbers before ReLU, and the gradient of what came out of it (T, H) → \
           the gradient of x (T, H).",
    hints: [
        "Where x was positive, ReLU passed it on: a nudge of x is a nudge of the result. Where it was negative, the result is 0 \
         whatever x does. What does that make of the gradient in the two cases?",
        "So the gradient passes where x is positive, and is 0 elsewhere. x.gt(0.0) is true where x is positive, and counts as 1 or 0 in \
         a product.",
        "gradient * x.gt(…)",
    ],
    input: |number, rng| {
        let size = [2 + number as i64, 4];
        (inputs::tensor(rng, &size, 1.0), inputs::tensor(rng, &size, 1.0))
    },
    given: (x, gradient),
    reference: reference::relu_gradient(x, gradient),
    mistakes: {
        "you passed everything on: where x was negative, ReLU gave 0, and no nudge of x could change that"
            => gradient.shallow_clone(),
        "you took the ReLU of the gradient: x's sign decides what passes, not the gradient's own" => gradient.relu(),
        "you multiplied with x: the slope of ReLU is 1 where x is positive, however large it is" => gradient * x,
        "you multiplied with ReLU of x: its slope is 1 where x is positive, however large it is" => gradient * x.relu(),
        "you passed it on where x is negative: it is the other way round" => gradient * x.lt(0.0),
        "you gave the slope of ReLU alone: multiply it with the gradient that came" => x.gt(0.0).to_kind(Kind::Float),
    },
}

/// Checks `relu_gradient`: x (T, H) before ReLU and the gradient after it (T, H) → the gradient before it.
pub fn relu_gradient(f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Verdict {
    RELU_GRADIENT.judge(&|(x, gradient)| f(x, gradient))
}

exercise! {
    LINEAR_GRADIENTS: Three => Three = linear_gradients(x, weight, gradient),
    task: "Carry a gradient back through a linear layer, y = x · weightᵀ + bias: x (T, I), weight (O, I), and the gradient of y \
           (T, O) → the gradients of x (T, I), of weight (O, I) and of bias (O), in this order. What a number did in several \
           places is summed.",
    hints: [
        "Let the shapes lead: which product of (T, O) and (O, I) is (T, I)? Which of (T, O) and (T, I) is (O, I), and sums over T?",
        "gradient.matmul(weight) is (T, I). gradient.tr() is (O, T), so gradient.tr().matmul(…) can be (O, I). The bias was added at \
         each of the T places: its gradient is the sum over them, gradient.sum_dim_intlist(0, false, Kind::Float).",
        "(gradient.matmul(weight), gradient.tr().matmul(…), gradient.sum_dim_intlist(0, …))",
    ],
    // Square weights first, so that what is transposed gives numbers, and can be named.
    input: |number, rng| -> Three {
        let (time, inner, outer) = [(2, 3, 3), (5, 4, 4), (3, 2, 2), (4, 3, 3), (3, 5, 2), (4, 2, 6)][number];
        let mut random = |size: [i64; 2]| inputs::tensor(rng, &size, 1.0);
        (random([time, inner]), random([outer, inner]), random([time, outer]))
    },
    given: it @ (x, weight, gradient),
    reference: right(it),
    mistakes: {
        "the weight's gradient is transposed: it has the weight's own shape, (O, I)"
            => with(it, |dx, dw, db| (dx, dw.tr(), db)),
        "you forgot to sum over the places for the bias: it was added at each of the T places, and has O numbers"
            => with(it, |dx, dw, _| (dx, dw, gradient.shallow_clone())),
        "the bias has the gradient of the last place only: it was added at each of them, so sum over T"
            => with(it, |dx, dw, _| (dx, dw, gradient.get(-1))),
        "you took the mean over the places instead of the sum: the T of the loss is in the gradient already"
            => with(it, |dx, dw, db| (dx, dw / time(x), db / time(x))),
        "you took the mean over the places for the bias: sum them"
            => with(it, |dx, dw, db| (dx, dw, db / time(x))),
        "the weight has the gradient of the last place only: it worked at each of them, so sum over T"
            => with(it, |dx, _, db| (dx, gradient.get(-1).outer(&x.get(-1)), db)),
        "for the gradient of x you transposed the weight: forward it was x · weightᵀ, back it is gradient · weight"
            => with(it, |_, dw, db| (gradient.matmul(&weight.tr()), dw, db)),
        "you summed the bias's gradient over the O outputs: sum over the T places, axis 0"
            => with(it, |dx, dw, _| (dx, dw, gradient.sum_dim_intlist(1, false, Kind::Float))),
    },
}

/// x (T, I), weight (O, I) and the output's gradient (T, O), or the gradients of x, weight and bias.
type Three = (Tensor, Tensor, Tensor);

fn right((x, weight, gradient): &Three) -> Three {
    reference::linear_gradients(x, weight, gradient)
}

/// The right gradients, some of them done otherwise.
fn with(it: &Three, change: impl FnOnce(Tensor, Tensor, Tensor) -> Three) -> Three {
    let (dx, dw, db) = right(it);
    change(dx, dw, db)
}

/// Checks `linear_gradients`: x (T, I), weight (O, I), the output's gradient (T, O) → the gradients of x (T, I), weight (O, I)
/// and bias (O).
pub fn linear_gradients(f: impl Fn(&Tensor, &Tensor, &Tensor) -> (Tensor, Tensor, Tensor)) -> Verdict {
    LINEAR_GRADIENTS.judge(&|(x, weight, gradient)| f(x, weight, gradient))
}

exercise! {
    EMBEDDING_GRADIENT: Looked => Tensor = embedding_gradient(ids, n_vocab, gradient),
    task: "Carry a gradient back through the look-up: T ids, n_vocab (V), and the gradient of the T rows that were looked up (T, C) \
           → the gradient of the whole table (V, C): for each character the sum over the places where it stands, 0 if it stands \
           nowhere.",
    hints: [
        "Row number id of the table was used wherever that character stands. Each of these places has a gradient of its own, and all \
         of them pull at the same row.",
        "Begin with zeros, Tensor::zeros([n_vocab, gradient.size()[1]], (Kind::Float, Device::Cpu)), and add each row of the gradient \
         to the row of its character.",
        "zeros.index_add(0, &Tensor::from_slice(ids), …): it adds row t of the last one to row ids[t].",
    ],
    input: |number, rng| -> Looked {
        // Few characters, so that some come again; two that stand nowhere.
        let ids = [vec![2, 2], inputs::ids(rng, 2 + number as i64, 4)].concat();
        let gradient = inputs::tensor(rng, &[ids.len() as i64, 3], 1.0);
        (ids, 6, gradient)
    },
    given: input @ (ids, _, gradient),
    reference: summed(input),
    mistakes: {
        "the last place of a character has written over the others: add them up" => one_of(input, 0..ids.len()),
        "you kept the first place of each character only: add them all up" => one_of(input, (0..ids.len()).rev()),
        "you took the mean over the places of a character: each of them pulls, so their gradients are summed"
            => {
                let ones = (ids.clone(), input.1, gradient.ones_like());
                summed(input) / summed(&ones).clamp_min(1.0)
            },
        "you divided by T: the T of the loss is in the gradient already" => summed(input) / ids.len() as f64,
        "you gave a row for each place, (T, C): the table has a row for each character, (V, C)"
            => gradient.shallow_clone(),
        "you counted the places of each character: it is their gradients that are summed"
            => summed(&(ids.clone(), input.1, gradient.ones_like())),
    },
}

/// T ids, V, and the gradient of their rows (T, C).
type Looked = (Vec<i64>, i64, Tensor);
fn summed((ids, n_vocab, gradient): &Looked) -> Tensor {
    reference::embedding_gradient(ids, *n_vocab, gradient)
}

/// The row of one of the places of each character.
fn one_of((ids, n_vocab, gradient): &Looked, places: impl Iterator<Item = usize>) -> Tensor {
    let zero = gradient.get(0) * 0.0;
    let mut rows: Vec<Tensor> = (0..*n_vocab).map(|_| zero.shallow_clone()).collect();
    places.for_each(|place| rows[ids[place] as usize] = gradient.get(place as i64));
    Tensor::stack(&rows, 0)
}

/// Checks `embedding_gradient`: T ids, V, the gradient of their rows (T, C) → the gradient of the table (V, C).
pub fn embedding_gradient(f: impl Fn(&[i64], i64, &Tensor) -> Tensor) -> Verdict {
    EMBEDDING_GRADIENT.judge(&|(ids, n_vocab, gradient)| f(ids, *n_vocab, gradient))
}

#[cfg(test)]
mod tests;
