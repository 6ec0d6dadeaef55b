//! The exercises on training and writing: the batch, one step downhill, and the loop that draws a text.

use super::answer::{Answer, InWords, Place, shape};
use super::kept::Kept;
use super::table::exercise;
use super::{inputs, inputs::plain, reference, verdict::Verdict};
use crate::model::{LanguageModel, MlpConfig, TransformerConfig};
use crate::rng::Rng;
use serde_json::{Value, json};
use tch::{Kind, Tensor};

exercise! {
    BATCH: Input => (Tensor, Tensor) = batch(ids, starts, context_len),
    task: "Write the batch: the ids of a text, B starts, and context_len (T) → inputs (B, T) and targets (B, T), whole numbers. \
           Row b of the inputs are the T ids from start b on; the targets are the same places, one further on.",
    hints: [
        "For one start it is two slices of ids, both T long: ids[start..start + context_len], and the same moved by one.",
        "Tensor::from_slice(&ids[…]) makes a row of a slice. Collect the rows of all starts in a Vec<Tensor>, once for the inputs \
         and once for the targets; Tensor::stack(&rows, 0) puts them one below the other.",
        "let inputs: Vec<Tensor> = starts.iter().map(|&s| Tensor::from_slice(&ids[s..s + context_len])).collect(); the targets \
         with s + 1..s + 1 + context_len; and then (Tensor::stack(&inputs, 0), …)",
    ],
    input: |number, rng| -> Input {
        // Each start leaves room before and after it, and no two of a batch are alike.
        let starts = (0..2 + number % 3).map(|row| 2 + 7 * row + rng.below(5)).collect();
        (inputs::ids(rng, 40, 256), starts, 3 + number)
    },
    given: input @ (ids, starts, context_len),
    reference: reference::batch(ids, starts, *context_len),
    mistakes: {
        SAME => (pieces(input, 0, input.2), pieces(input, 0, input.2)),
        "the targets are the characters before, not after: + 1, not − 1"
            => (pieces(input, 0, input.2), pieces(input, -1, input.2)),
        "the targets are two places on: off by one" => (pieces(input, 0, input.2), pieces(input, 2, input.2)),
        "inputs and targets are exchanged" => (pieces(input, 1, input.2), pieces(input, 0, input.2)),
        LESS => (pieces(input, 0, input.2 - 1), pieces(input, 1, input.2 - 1)),
        "your targets are one shorter than the inputs: each input has a target, the last one as well"
            => (pieces(input, 0, input.2), pieces(input, 1, input.2 - 1)),
        "you used the first start only: one row for each start, please"
            => {
                let first = (input.0.clone(), input.1[..1].to_vec(), input.2);
                (pieces(&first, 0, input.2), pieces(&first, 1, input.2))
            },
        "every row begins at the first start: one row for each start, please"
            => {
                let first = (input.0.clone(), vec![input.1[0]; input.1.len()], input.2);
                (pieces(&first, 0, input.2), pieces(&first, 1, input.2))
            },
        "your tables are turned around, (T, B): one row for each start (Tensor::stack(&rows, 0))"
            => (pieces(input, 0, input.2).tr(), pieces(input, 1, input.2).tr()),
    },
}

type Input = (Vec<i64>, Vec<usize>, usize);
/// Pieces of a length that begin so far from each start.
fn pieces((ids, starts, _): &Input, from: i64, length: usize) -> Tensor {
    let begin = |start: &usize| (*start as i64 + from) as usize;
    let piece = |start: &usize| Tensor::from_slice(&ids[begin(start)..begin(start) + length]);
    Tensor::stack(&starts.iter().map(piece).collect::<Vec<Tensor>>(), 0)
}

const SAME: &str =
    "the targets are the inputs themselves: a model would learn to repeat what it sees, with a loss of 0";
const LESS: &str =
    "your pieces have T − 1 characters: a piece of T needs T + 1 ids, since its last one has a target, too";

/// Checks `batch`: ids of a text, B starts and T → inputs (B, T), targets (B, T).
pub fn batch(f: impl Fn(&[i64], &[usize], usize) -> (Tensor, Tensor)) -> Verdict {
    BATCH.judge(&|(ids, starts, context_len)| f(ids, starts, *context_len))
}

exercise! {
    SGD_STEP: Step => Stepped = sgd_step(parameters, loss, lr),
    task: "Write one step of training: parameters (a list of tensors that require gradients), a loss that hangs on them, and the \
           learning rate lr. Each parameter changes in place, by −lr times its gradient; the function returns nothing.",
    hints: [
        "Three things in this order: forget the gradients of the step before, let the loss go backward, and then subtract.",
        "p.zero_grad() sets a gradient to zero, loss.backward() adds the new one, p.grad() is it. The change itself must not be \
         recorded: tch::no_grad(|| { … }).",
        "for p in parameters.iter_mut() { p.zero_grad(); } loss.backward(); and then, in tch::no_grad(|| { … }), for each p: let \
         gradient = p.grad(); *p -= gradient * …;",
    ],
    input: Step::random,
    given: step,
    reference: step.taken(reference::sgd_step),
    mistakes: {
        "the gradients were not zeroed: backward adds to what is there, so the last step's gradient still counts"
            => step.taken(|parameters, loss, lr| {
                loss.backward();
                let _guard = tch::no_grad_guard();
                for parameter in parameters {
                    *parameter -= parameter.grad() * lr;
                }
            }),
        "you went uphill: the gradient points to where the loss grows, so it is subtracted"
            => step.by(|gradient, lr| gradient * lr),
        "you forgot the learning rate: the whole gradient is far too long a step" => step.by(|gradient, _| -gradient),
        "you put new tensors into the list: the model keeps the old ones. Change them in place, *p -= …"
            => Stepped { replaced: true, ..step.by(|gradient, _| gradient * 0.0) },
        "no parameter has changed: the step comes after backward, and is taken from each of them"
            => step.by(|gradient, _| gradient * 0.0),
        "you divided by the learning rate" => step.by(|gradient, lr| -gradient / lr),
        "you made each gradient one unit long: how steep it is says how far to go"
            => step.by(|gradient, lr| -gradient * lr / gradient.norm()),
        "you took the sign of each gradient: how steep it is says how far to go"
            => step.by(|gradient, lr| -gradient.sign() * lr),
        "only the first parameter has changed: each of them takes a step"
            => step.taken(|parameters, loss, lr| reference::sgd_step(&mut parameters[..1], loss, lr)),
    },
}

/// What a step is given.
pub(super) struct Step {
    parameters: Vec<Tensor>,
    loss: Tensor,
    lr: f64,
}

/// What a step leaves behind.
pub(super) struct Stepped {
    /// The tensors that were given, after it.
    parameters: Vec<Tensor>,
    /// Whether other tensors have taken their place in the list.
    replaced: bool,
}

impl InWords for Step {
    fn shown(&self) -> String {
        let sizes: Vec<String> = self.parameters.iter().map(shape).collect();
        format!("parameters of shape {}, a loss of {}, lr {}", sizes.join(" and "), self.loss.shown(), self.lr)
    }
}

impl InWords for Stepped {
    fn shown(&self) -> String {
        self.parameters.iter().map(Tensor::shown).collect::<Vec<String>>().join(" and ")
    }
}

impl Answer for Stepped {
    fn difference(&self, expected: &Stepped) -> Option<Place> {
        if self.replaced != expected.replaced {
            let said = |replaced| if replaced { "other tensors in their place" } else { "the same tensors, changed" };
            return Some(Place::whole(said(expected.replaced).to_owned(), said(self.replaced).to_owned()));
        }
        let counts = [self, expected].map(|stepped| stepped.parameters.len());
        if counts[0] != counts[1] {
            return Some(Place::whole(format!("{} parameters", counts[1]), format!("{} parameters", counts[0])));
        }
        let both = self.parameters.iter().zip(&expected.parameters).enumerate();
        both.into_iter().find_map(|(number, (got, expected))| {
            got.difference(expected).map(|place| place.within(&format!("parameter {number}")))
        })
    }

    fn is_finite(&self) -> bool {
        self.parameters.iter().all(Answer::is_finite)
    }
}

impl Kept for Stepped {
    fn kept(&self) -> Value {
        json!({ "parameters": self.parameters.iter().map(Tensor::kept).collect::<Value>(), "replaced": self.replaced })
    }

    fn read(value: &Value) -> Option<Stepped> {
        let parameters = value.get("parameters")?.as_array()?.iter().map(Tensor::read).collect::<Option<_>>()?;
        Some(Stepped { parameters, replaced: value.get("replaced")?.as_bool()? })
    }
}

impl Step {
    /// Two layers' worth of parameters, the first with a gradient left from before, and a loss that is no mere sum.
    fn random(number: usize, rng: &mut Rng) -> Step {
        let [weight, bias, x, wanted] = [[3, 4], [1, 3], [2 + number as i64, 4], [2 + number as i64, 3]]
            .map(|size| inputs::tensor(rng, &size, 1.0));
        let parameters = [weight, bias].map(|numbers| numbers.copy().set_requires_grad(true));
        let [weight, bias] = &parameters;
        // The checks run under no_grad, and a loss is nothing without its record.
        let loss = tch::with_grad(|| {
            (weight * inputs::tensor(rng, &[3, 4], 1.0)).sum(Kind::Float).backward();
            (x.matmul(&weight.tr()) + bias - wanted).square().mean(Kind::Float)
        });
        Step { parameters: parameters.into(), loss, lr: [0.5, 0.1, 2.0, 0.3, 0.05, 1.0][number] }
    }

    /// Lets a function do the step.
    fn taken(&self, step: impl Fn(&mut [Tensor], &Tensor, f64)) -> Stepped {
        let mut given: Vec<Tensor> = self.parameters.iter().map(Tensor::shallow_clone).collect();
        tch::with_grad(|| step(&mut given, &self.loss, self.lr));
        let replaced = given.iter().zip(&self.parameters).any(|(one, other)| one.data_ptr() != other.data_ptr());
        Stepped { parameters: self.parameters.iter().map(|p| p.detach().copy()).collect(), replaced }
    }

    /// The step that adds this of each parameter's gradient (and of lr) to it.
    fn by(&self, change: fn(&Tensor, f64) -> Tensor) -> Stepped {
        self.taken(|parameters, loss, lr| {
            parameters.iter_mut().for_each(Tensor::zero_grad);
            loss.backward();
            let _guard = tch::no_grad_guard();
            for parameter in parameters {
                *parameter += change(&parameter.grad(), lr);
            }
        })
    }
}

/// Checks `sgd_step`: parameters, a loss, lr → the parameters, changed in place.
pub fn sgd_step(f: impl Fn(&mut [Tensor], &Tensor, f64)) -> Verdict {
    SGD_STEP.judge(&|step| step.taken(&f))
}

exercise! {
    WRITE: Writing => Vec<i64> = write(model, prompt, chars, temperature, rng),
    task: "Write the loop that writes: a model, the ids of a prompt, how many characters to write, a temperature, and a random \
           generator → the prompt's ids, followed by those that were drawn. Each time: the logits at the last place, divided by \
           the temperature, softmax, one draw (rng.draw(&probabilities)), append, and ask again. The model is given at most the \
           last model.context_len() ids.",
    hints: [
        "let mut ids = prompt.to_vec(); and then a loop that makes it one longer each time: for _ in 0..chars { … ids.push(…); }",
        "model.logits(&Tensor::from_slice(&ids).unsqueeze(0)).unwrap() are scores (1, T, V); .select(1, -1) takes those of the \
         last place, (1, V). Before that, cut: let seen = &ids[ids.len().saturating_sub(model.context_len() as usize)..];",
        "let probabilities = (logits.select(1, -1) / temperature).softmax(-1, Kind::Double); ids.push(rng.draw(…));",
    ],
    input: Writing::random,
    given: it,
    reference: {
        let mut rng = Rng::new(it.seed);
        reference::write(&*it.model, &it.prompt, it.chars, it.temperature, &mut rng)
    },
    mistakes: {
        "you always took the likeliest character: draw, each with its probability (rng.draw)"
            => it.by(all, |_, logits, _| logits.select(1, -1).argmax(-1, false).int64_value(&[0])),
        "you took the logits of the first place: what comes next is told at the last one, select(1, -1)"
            => it.by(all, |it, logits, rng| it.draw(logits.narrow(1, 0, 1), it.temperature, rng)),
        "the prompt is missing from your answer: give its ids first, and then those that you drew"
            => {
                let ids = it.by(all, usual);
                ids[it.prompt.len()..].to_vec()
            },
        "you did not use the temperature" => it.by(all, |it, logits, rng| it.draw(logits, 1.0, rng)),
        "you multiplied by the temperature: then a low one would make the model reckless"
            => it.by(all, |it, logits, rng| it.draw(logits, 1.0 / it.temperature, rng)),
        "you always asked about the prompt: what was drawn must be appended before the model is asked again"
            => it.by(|it, _| it.prompt.clone(), usual),
        "you drew once and repeated it: ask the model again after each character"
            => {
                let ids = it.by(all, usual);
                let first = ids[it.prompt.len()];
                [it.prompt.clone(), vec![first; it.chars]].concat()
            },
        "you drew from the scores: softmax makes probabilities of them"
            => it.by(all, |it, logits, rng| rng.draw(&(logits.select(1, -1) / it.temperature))),
        "you gave the model the last character only: it can look back over model.context_len() of them"
            => it.by(|_, ids| ids[ids.len() - 1..].to_vec(), usual),
    },
}

/// What is to be written, and by which model.
pub(super) struct Writing {
    model: Box<dyn LanguageModel>,
    prompt: Vec<i64>,
    chars: usize,
    temperature: f64,
    seed: u64,
}

impl InWords for Writing {
    fn shown(&self) -> String {
        let Writing { model, prompt, chars, temperature, seed } = self;
        let context = model.context_len();
        format!(
            "a random model with a context of {context}, the prompt {}, {chars} characters, temperature {temperature}, Rng::new({seed})",
            prompt.shown()
        )
    }
}

impl Writing {
    const N_VOCAB: i64 = 7;

    /// An MLP, which sees one character, or a transformer whose context the text outgrows.
    fn random(number: usize, rng: &mut Rng) -> Writing {
        let n_vocab = Writing::N_VOCAB;
        let model: Box<dyn LanguageModel> = match number % 2 {
            0 => Box::new(inputs::mlp(rng, MlpConfig { n_vocab, emb_dim: 4, n_hidden: 6, seed: 0 })),
            _ => {
                let sizes = TransformerConfig { n_vocab, context_len: 6, emb_dim: 4, ..TransformerConfig::original() };
                Box::new(inputs::one_block(rng, TransformerConfig { head_dim: 3, n_hidden: 6, ..sizes }))
            }
        };
        let prompt = inputs::ids(rng, 3 + (number as i64) % 2, n_vocab);
        let temperature = [1.5, 3.0, 0.5, 2.0, 3.0, 0.7][number];
        Writing { model, prompt, chars: [12, 2, 9, 12, 12, 10][number], temperature, seed: rng.bits() }
    }

    /// Writes by a rule: what the model is given of the prompt and what was drawn, and what is drawn of its logits (1, T, V).
    fn by(&self, seen: fn(&Writing, &[i64]) -> Vec<i64>, draw: fn(&Writing, Tensor, &mut Rng) -> i64) -> Vec<i64> {
        let (mut ids, mut rng) = (self.prompt.clone(), Rng::new(self.seed));
        for _ in 0..self.chars {
            let seen = seen(self, &ids);
            let seen = &seen[seen.len().saturating_sub(self.model.context_len() as usize)..];
            let logits = plain(self.model.logits(&Tensor::from_slice(seen).unsqueeze(0)));
            ids.push(draw(self, logits, &mut rng));
        }
        ids
    }

    /// A draw as it should be, at a temperature.
    fn draw(&self, logits: Tensor, temperature: f64, rng: &mut Rng) -> i64 {
        rng.draw(&(logits.select(1, -1) / temperature).softmax(-1, Kind::Double))
    }
}

/// The model is given all that there is.
fn all(_: &Writing, ids: &[i64]) -> Vec<i64> {
    ids.to_vec()
}

/// As it should be.
fn usual(it: &Writing, logits: Tensor, rng: &mut Rng) -> i64 {
    it.draw(logits, it.temperature, rng)
}

/// Checks `write`: a model, the ids of a prompt, how many characters, the temperature, and a random generator → the prompt's
/// ids and those written.
pub fn write(f: impl Fn(&dyn LanguageModel, &[i64], usize, f64, &mut Rng) -> Vec<i64>) -> Verdict {
    WRITE.judge(&|it| f(&*it.model, &it.prompt, it.chars, it.temperature, &mut Rng::new(it.seed)))
}

#[cfg(test)]
mod tests;
