//! The exercises on what an optimiser does with a gradient: momentum, and Adam.

use super::table::exercise;
use super::{inputs, reference, verdict::Verdict};
use crate::rng::Rng;
use tch::Tensor;

exercise! {
    MOMENTUM_STEP: (Tensor, Tensor, Tensor, f64) => (Tensor, Tensor) = momentum_step(parameter, gradient, velocity, lr),
    task: "Write a step with momentum: a parameter, its gradient and its velocity (one shape, any), and the learning rate lr → the \
           new parameter and the new velocity. velocity ← 0.9 · velocity + gradient; parameter ← parameter − lr · velocity.",
    hints: [
        "Two lines. Which velocity moves the parameter, the old or the new one?",
        "The new one: first velocity * 0.9 + gradient, and then the parameter. Both are returned, since the next step needs both.",
        "let velocity = velocity * 0.9 + gradient; (parameter - &velocity * …, velocity)",
    ],
    input: |number, rng| {
        let [parameter, gradient, velocity] = several(number, rng, 1.0);
        (parameter, gradient, velocity, [0.5, 0.1, 0.2, 0.3, 0.05, 2.0][number])
    },
    given: (p, g, v, lr),
    reference: reference::momentum_step(p, g, v, *lr),
    mistakes: {
        "you stepped with the old velocity: first the new one, which has this gradient in it"
            => (p - v * *lr, new(g, v)),
        "you went uphill: the velocity is subtracted" => (p + new(g, v) * *lr, new(g, v)),
        PLAIN => (p - g * *lr, g.shallow_clone()),
        PLAIN => (p - g * *lr, new(g, v)),
        PLAIN => (p - g * *lr, v.shallow_clone()),
        "you gave the old velocity back: the next step would begin where this one did"
            => (p - new(g, v) * *lr, v.shallow_clone()),
        "you took (1 − 0.9) of the gradient: that makes a mean of it, as Adam does; here the whole is added"
            => {
                let mean = v * 0.9 + g * 0.1;
                (p - &mean * *lr, mean)
            },
        "the old velocity never fades: 0.9 of it is kept" => (p - (v + g) * *lr, v + g),
        "the learning rate is in the velocity: it belongs into the step, lr · velocity"
            => {
                let velocity = v * 0.9 + g * *lr;
                (p - &velocity, velocity)
            },
    },
}

/// Numbers of a size, one for each of so many tensors.
fn several<const N: usize>(number: usize, rng: &mut Rng, deviation: f64) -> [Tensor; N] {
    [(); N].map(|()| inputs::tensor(rng, &[2, 2 + number as i64], deviation))
}

fn new(gradient: &Tensor, velocity: &Tensor) -> Tensor {
    velocity * 0.9 + gradient
}

const PLAIN: &str = "the velocity is not kept: what moves the parameter is this step's gradient alone (plain SGD)";

/// Checks `momentum_step`: a parameter, gradient, velocity (one shape) and lr → the new parameter and velocity.
pub fn momentum_step(f: impl Fn(&Tensor, &Tensor, &Tensor, f64) -> (Tensor, Tensor)) -> Verdict {
    MOMENTUM_STEP.judge(&|(parameter, gradient, velocity, lr)| f(parameter, gradient, velocity, *lr))
}

exercise! {
    ADAM_STEP: AdamInput => (Tensor, Tensor, Tensor) = adam_step(parameter, gradient, mean, square, t, lr),
    task: "Write a step of Adam: a parameter, its gradient, mean and square (one shape, any; mean and square as they were before \
           this step), the number t of this step (the first is 1), and the learning rate lr → the new parameter, mean and square. \
           mean ← 0.9 · mean + 0.1 · gradient; square ← 0.999 · square + 0.001 · gradient²; parameter ← parameter − lr · m / (√s + \
           1e-8), where m = mean / (1 − 0.9ᵗ) and s = square / (1 − 0.999ᵗ).",
    hints: [
        "Three lines: the new mean, the new square, and the parameter. mean and square begin at 0, so at first they are too small: \
         dividing by 1 − 0.9ᵗ makes up for it. What is returned, the one before that division or after it?",
        "The ones before it: the division is for this step only. 0.9_f64.powi(t) is 0.9ᵗ; gradient.square() and x.sqrt() work on each \
         number.",
        "let mean = mean * 0.9 + gradient * 0.1; let square = …; let m = &mean / (1.0 - 0.9_f64.powi(t)); let s = …; and then \
         (parameter - m / (s.sqrt() + 1e-8) * lr, mean, square)",
    ],
    input: |number, rng| -> AdamInput {
        // Large gradients, so that a thousandth of their squares shows.
        let [parameter, gradient] = several(number, rng, 4.0);
        let [mean, square] = several(number, rng, 1.0);
        let t = [1, 2, 3, 10, 50, 5][number];
        let before = if t == 1 { 0.0 } else { 1.0 };
        let lr = [0.5, 0.1, 0.2, 0.3, 1.0, 2.0][number];
        (parameter, gradient, mean * before, square.square() * before, t, lr)
    },
    given: input @ (parameter, gradient, mean, square, t, lr),
    reference: reference::adam_step(parameter, gradient, mean, square, *t, *lr),
    mistakes: {
        "the bias correction is missing: mean and square begin at 0 and are too small at first, divide by 1 − βᵗ"
            => Adam { corrected: false, ..Adam::RIGHT }.step(input),
        "you gave the corrected mean and square back: the correction is for this step only, what is kept is without it"
            => Adam { stored: true, ..Adam::RIGHT }.step(input),
        "you forgot the square root: the step is divided by √s, which has the size of a gradient"
            => Adam { root: false, ..Adam::RIGHT }.step(input),
        "the two β are exchanged: 0.9 for the mean, 0.999 for the square"
            => Adam { kept: (0.999, 0.9), missing: (0.999, 0.9), ..Adam::RIGHT }.step(input),
        "the gradient is not squared: square remembers how large gradients are, whatever their sign"
            => Adam { squared: false, ..Adam::RIGHT }.step(input),
        "you went uphill: the step is subtracted" => Adam { sign: 1.0, ..Adam::RIGHT }.step(input),
        "you counted the steps from 0: t is 1 at the first one" => Adam { counted: -1, ..Adam::RIGHT }.step(input),
        "the parts are turned around: 0.9 of the old mean stays, and 0.1 of the gradient comes in"
            => Adam { kept: (0.1, 0.001), ..Adam::RIGHT }.step(input),
        "you gave mean and square back as they came: the next step needs the new ones"
            => {
                let (parameter, ..) = Adam::RIGHT.step(input);
                (parameter, input.2.shallow_clone(), input.3.shallow_clone())
            },
    },
}

/// Adam with parts that can be done otherwise.
#[derive(Clone, Copy)]
struct Adam {
    kept: (f64, f64),
    /// The β of the correction.
    missing: (f64, f64),
    squared: bool,
    corrected: bool,
    root: bool,
    counted: i32,
    stored: bool,
    sign: f64,
}

/// What a step of Adam is given.
type AdamInput = (Tensor, Tensor, Tensor, Tensor, i32, f64);

impl Adam {
    const RIGHT: Adam = Adam {
        kept: (0.9, 0.999),
        missing: (0.9, 0.999),
        squared: true,
        corrected: true,
        root: true,
        counted: 0,
        stored: false,
        sign: -1.0,
    };

    fn step(self, (parameter, gradient, mean, square, t, lr): &AdamInput) -> (Tensor, Tensor, Tensor) {
        let (kept, kept_square) = self.kept;
        let power = if self.squared { gradient.square() } else { gradient.shallow_clone() };
        let mean = mean * kept + gradient * (1.0 - kept);
        let square = square * kept_square + power * (1.0 - kept_square);
        let t = t + self.counted;
        let correction = |beta: f64| if self.corrected { 1.0 - beta.powi(t) } else { 1.0 };
        let (m, s) = (&mean / correction(self.missing.0), &square / correction(self.missing.1));
        let size = if self.root { s.sqrt() } else { s.shallow_clone() } + 1e-8;
        let parameter = parameter + &m / size * (self.sign * lr);
        if self.stored { (parameter, m, s) } else { (parameter, mean, square) }
    }
}

/// Checks `adam_step`: a parameter, gradient, mean, square (one shape), t and lr → the new parameter, mean and square.
pub fn adam_step(f: impl Fn(&Tensor, &Tensor, &Tensor, &Tensor, i32, f64) -> (Tensor, Tensor, Tensor)) -> Verdict {
    ADAM_STEP.judge(&|(parameter, gradient, mean, square, t, lr)| f(parameter, gradient, mean, square, *t, *lr))
}

#[cfg(test)]
mod tests;
