//! The exercises on the MLP: the language model, its loss, and the temperature.

use super::exercise::Exercise;
use super::judge::{Given, Judge, Mistake};
use super::{inputs, reference, verdict::Verdict};
use crate::error::Result;
use crate::model::{self, LanguageModel, MlpConfig, MlpLm, Probe};
use tch::{Kind, Tensor};

pub(super) const MLP_PARAMETERS: Exercise = Exercise {
    name: "mlp_parameters",
    task: "Write a function of n_vocab, emb_dim and n_hidden (whole numbers) that gives the number of parameters of the MLP \
           language model.",
    hints: [
        "Three things hold numbers: the embedding table, and two linear layers with a bias each.",
        "A linear layer from a numbers to b has a·b weights and b biases. The output head is the embedding table again: \
         it adds none.",
        "n_vocab * emb_dim + (emb_dim * n_hidden + n_hidden) + (…): the second layer goes back from n_hidden to emb_dim.",
    ],
    reference: "mlp_parameters(n_vocab, emb_dim, n_hidden)",
};

/// Checks `mlp_parameters`: n_vocab, emb_dim, n_hidden → the number of parameters.
pub fn mlp_parameters(f: impl Fn(i64, i64, i64) -> i64) -> Verdict {
    fn judged(f: Given<'_, (i64, i64, i64), i64>) -> Verdict {
        let judge = Judge {
            exercise: MLP_PARAMETERS,
            input: |number, rng| match number {
                0 => (256, 32, 128),
                _ => (inputs::between(rng, 20, 60), inputs::between(rng, 3, 9), inputs::between(rng, 10, 18)),
            },
            reference: |&(n_vocab, emb_dim, n_hidden)| Ok(reference::mlp_parameters(n_vocab, emb_dim, n_hidden)),
            mistakes: vec![
                Mistake {
                    named: "you counted the output head twice: it is the embedding table itself (weight tying)",
                    done: |&(v, c, h)| Ok(2 * v * c + c * h + h + h * c + c),
                },
                Mistake {
                    named: "you forgot the biases: each linear layer has one for each number that it gives",
                    done: |&(v, c, h)| Ok(v * c + 2 * c * h),
                },
                Mistake {
                    named: "you forgot the embedding table: a row of emb_dim numbers for each of n_vocab characters",
                    done: |&(_, c, h)| Ok(2 * c * h + h + c),
                },
                Mistake {
                    named: "you counted only the first of the two linear layers",
                    done: |&(v, c, h)| Ok(v * c + c * h + h),
                },
                Mistake {
                    named: "you gave both linear layers n_hidden biases: the second one gives emb_dim numbers",
                    done: |&(v, c, h)| Ok(v * c + 2 * (c * h + h)),
                },
            ],
        };
        judge.judge(f)
    }
    judged(&|&(n_vocab, emb_dim, n_hidden)| f(n_vocab, emb_dim, n_hidden))
}

pub(super) const RELU: Exercise = Exercise {
    name: "relu",
    task: "Write ReLU: every negative number of a tensor becomes 0, all others stay. Any shape → the same shape. \
           x.clamp_min(limit) raises whatever is below a limit.",
    hints: [
        "ReLU of a number is the larger one of two: itself and 0. clamp_min makes all that is below a limit as large as the limit.",
        "Which limit leaves the positive numbers as they are, and makes 0 of the negative ones?",
        "x.clamp_min(…) with the number that nothing may be below.",
    ],
    reference: "relu(x)",
};

/// Checks `relu`: any shape → the same.
pub fn relu(f: impl Fn(&Tensor) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, Tensor, Tensor>) -> Verdict {
        let judge = Judge {
            exercise: RELU,
            input: |number, rng| inputs::tensor(rng, &[2 + number as i64, 3], 1.0),
            reference: |x| Ok(reference::relu(x)),
            mistakes: vec![
                Mistake {
                    named: "you took the absolute value: a negative number should become 0, not positive",
                    done: |x| Ok(x.f_abs()?),
                },
                Mistake {
                    named: "you kept the negative numbers and cut off the positive ones",
                    done: |x| Ok(x.f_clamp_max(0.0)?),
                },
                Mistake {
                    named: "you gave 1 for what is positive: it should stay as it is",
                    done: |x| Ok(x.f_gt(0.0)?.f_to_kind(Kind::Float)?),
                },
                Mistake { named: "you changed nothing", done: |x| Ok(x.shallow_clone()) },
            ],
        };
        judge.judge(f)
    }
    judged(&f)
}

pub(super) const MLP_FORWARD: Exercise = Exercise {
    name: "mlp_forward",
    task: "Write the forward pass of the MLP language model: ids (B, T) → logits (B, T, V), with the model's own tensors.",
    hints: [
        "Five steps: the rows of the embedding, the hidden layer, ReLU, the output layer, and the head, which is the embedding \
         table again. Write them one below the other, with the shape behind each.",
        "Tensor::embedding(&model.embedding, ids, -1, false, false) looks the rows up; \
         x.linear(&weight, Some(&bias)) is x · weightᵀ + bias.",
        "x.linear(&model.hidden_weight, Some(&model.hidden_bias)), then .relu(), then .linear(…) with the output's, and in \
         the end .linear(&model.embedding, None::<&Tensor>).",
    ],
    reference: "mlp_forward(model, ids)",
};

/// Checks `mlp_forward`: a model and ids (B, T) → logits (B, T, V).
pub fn mlp_forward(f: impl Fn(&MlpLm, &Tensor) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, (MlpLm, Tensor), Tensor>) -> Verdict {
        let judge = Judge {
            exercise: MLP_FORWARD,
            input: |number, rng| {
                let config = MlpConfig { n_vocab: 11, emb_dim: 6, n_hidden: 9, seed: 0 };
                let (batch, time) = (1 + number as i64 % 2, 3);
                let ids = Tensor::from_slice(&inputs::ids(rng, batch * time, 11)).view([batch, time]);
                (inputs::mlp(rng, config), ids)
            },
            reference: |(model, ids)| Ok(reference::mlp_forward(model, ids)),
            mistakes: vec![
                Mistake {
                    named: "you left out the ReLU: two linear layers without it are no more than one",
                    done: |(model, ids)| altered(model, ids, &["activated"], |hidden, _| hidden.shallow_clone()),
                },
                Mistake {
                    named: "you put the ReLU after the output layer: it belongs between the two, on the hidden numbers",
                    done: |(model, ids)| {
                        altered(model, ids, &["activated", "output"], |before, name| match name {
                            "output" => before.relu(),
                            _ => before.shallow_clone(),
                        })
                    },
                },
                Mistake {
                    named: "you put a second ReLU after the output layer: the one on the hidden numbers is enough",
                    done: |(model, ids)| altered(model, ids, &["output"], |output, _| output.relu()),
                },
                Mistake {
                    named: "you gave probabilities: logits are the scores before softmax",
                    done: |(model, ids)| Ok(model.logits(ids)?.f_softmax(-1, Kind::Float)?),
                },
                Mistake {
                    named: "you left out the head: the last step compares the output with the row of every character",
                    done: |(model, ids)| {
                        let mut recording = model::Recording::default();
                        let logits = model.forward(ids, &mut recording)?;
                        Ok(recording.get("output").map_or(logits, Tensor::shallow_clone))
                    },
                },
                Mistake {
                    named: "you left out the biases",
                    done: |(model, ids)| {
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
                        without.logits(ids)
                    },
                },
            ],
        };
        judge.judge(f)
    }
    judged(&|(model, ids)| f(model, ids))
}

/// The model's own forward pass, with some steps done otherwise. `change` is given what comes into the step: for
/// `activated` the numbers before the ReLU, for any other step its own.
fn altered(model: &MlpLm, ids: &Tensor, steps: &[&str], change: fn(&Tensor, &str) -> Tensor) -> Result<Tensor> {
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
    model.forward(ids, &mut Alter { steps, change, hidden: None })
}

pub(super) const CROSS_ENTROPY: Exercise = Exercise {
    name: "cross_entropy",
    task: "Write the loss: logits (T, V) and targets (T) → a tensor of one number, the mean of −ln p over all places, where p is \
           the probability that softmax gives to the target. x.mean(Kind::Double) is the mean of a tensor.",
    hints: [
        "Three steps: probabilities from logits, the one of the target at each place, the mean of −ln of them.",
        "logits.log_softmax(-1, Kind::Double) gives ln p for all characters, (T, V); \
         .gather(1, &targets.unsqueeze(1), false) picks the targets' ones, (T, 1).",
        "-logits.log_softmax(…).gather(…).mean(Kind::Double)",
    ],
    reference: "cross_entropy(logits, targets)",
};

/// Checks `cross_entropy`: logits (T, V), targets (T) → nats per character, a tensor of one number, so that a gradient can
/// be taken of it.
pub fn cross_entropy(f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Verdict {
    /// Called by the judge, who catches what it panics with.
    fn number(loss: &Tensor) -> f64 {
        let size = loss.size();
        assert!(
            loss.numel() == 1,
            "the loss is one number, and this tensor has the shape {size:?}: take the mean of it"
        );
        loss.sum(Kind::Double).double_value(&[])
    }
    fn judged(f: Given<'_, (Tensor, Tensor), f64>) -> Verdict {
        /// ln p of the targets, with probabilities along an axis.
        fn picked(logits: &Tensor, targets: &Tensor, axis: i64) -> Result<Tensor> {
            Ok(logits.f_log_softmax(axis, Kind::Double)?.f_gather(1, &targets.f_unsqueeze(1)?, false)?)
        }
        fn mean(x: &Tensor) -> Result<f64> {
            Ok(x.f_mean(Kind::Double)?.f_double_value(&[])?)
        }
        let judge = Judge {
            exercise: CROSS_ENTROPY,
            input: |number, rng| {
                let (time, n_vocab) = (3 + number as i64, 7);
                let targets = Tensor::from_slice(&inputs::ids(rng, time, n_vocab));
                (inputs::tensor(rng, &[time, n_vocab], 2.0), targets)
            },
            reference: |(logits, targets)| Ok(reference::cross_entropy(logits, targets).f_double_value(&[])?),
            mistakes: vec![
                Mistake {
                    named: "you took the logarithm to the base 2: that is the loss in bits, ours is in nats (ln)",
                    done: |(logits, targets)| Ok(-mean(&picked(logits, targets, -1)?)? / std::f64::consts::LN_2),
                },
                Mistake {
                    named: "you forgot the minus: ln of a probability is negative, a loss is not",
                    done: |(logits, targets)| mean(&picked(logits, targets, -1)?),
                },
                Mistake {
                    named: "you took the sum instead of the mean: a longer text would have a larger loss",
                    done: |(logits, targets)| {
                        Ok(-picked(logits, targets, -1)?.f_sum(Kind::Double)?.f_double_value(&[])?)
                    },
                },
                Mistake {
                    named: "you took softmax over the wrong axis: the V scores of each place compete, not the places",
                    done: |(logits, targets)| Ok(-mean(&picked(logits, targets, 0)?)?),
                },
                Mistake {
                    named: "you left out softmax: a score is no probability",
                    done: |(logits, targets)| {
                        let scores = logits.f_to_kind(Kind::Double)?.f_gather(1, &targets.f_unsqueeze(1)?, false)?;
                        Ok(-mean(&scores)?)
                    },
                },
                Mistake {
                    named: "you took the mean of the probabilities, and then the logarithm: first the logarithm of each",
                    done: |(logits, targets)| Ok(-mean(&picked(logits, targets, -1)?.f_exp()?)?.ln()),
                },
            ],
        };
        judge.judge(f)
    }
    judged(&|(logits, targets)| number(&f(logits, targets)))
}

pub(super) const TEMPERATURE: Exercise = Exercise {
    name: "temperature",
    task: "Write a function that makes probabilities of logits (V) at a temperature: divide by it, then softmax → (V).",
    hints: [
        "A temperature below 1 should make the likely likelier. What happens to the differences between the scores?",
        "The division comes before softmax, so that the result still sums to 1.",
        "(logits / temperature).softmax(-1, …)",
    ],
    reference: "temperature(logits, temperature)",
};

/// Checks `temperature`: logits (V) and a temperature → probabilities (V).
pub fn temperature(f: impl Fn(&Tensor, f64) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, (Tensor, f64), Tensor>) -> Verdict {
        let judge = Judge {
            exercise: TEMPERATURE,
            input: |number, rng| (inputs::tensor(rng, &[6], 2.0), [0.5, 2.0, 1.0, 0.7, 1.5, 0.3][number]),
            reference: |(logits, temperature)| Ok(reference::temperature(logits, *temperature)),
            mistakes: vec![
                Mistake {
                    named: "you multiplied by the temperature: then a low one would make the model reckless",
                    done: |(logits, temperature)| Ok(logits.f_mul_scalar(*temperature)?.f_softmax(-1, Kind::Float)?),
                },
                Mistake {
                    named: "you divided the probabilities after softmax: they no longer sum to 1",
                    done: |(logits, temperature)| Ok(logits.f_softmax(-1, Kind::Float)?.f_div_scalar(*temperature)?),
                },
                Mistake {
                    named: "you took softmax twice: once before the division, once after it",
                    done: |(logits, temperature)| {
                        let probabilities = logits.f_softmax(-1, Kind::Float)?;
                        Ok(probabilities.f_div_scalar(*temperature)?.f_softmax(-1, Kind::Float)?)
                    },
                },
                Mistake {
                    named: "you did not use the temperature",
                    done: |(logits, _)| Ok(logits.f_softmax(-1, Kind::Float)?),
                },
                Mistake {
                    named: "you left out softmax: scores are no probabilities yet",
                    done: |(logits, temperature)| Ok(logits.f_div_scalar(*temperature)?),
                },
            ],
        };
        judge.judge(f)
    }
    judged(&|(logits, temperature)| f(logits, *temperature))
}

#[cfg(test)]
mod tests;
