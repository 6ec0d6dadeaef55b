//! The exercise on the whole transformer: the learner's own model, compared with the library's on the same weights.
//!
//! The model is the learner's; so the check puts weights of its own into the model's parameters, by their names, and puts the
//! old ones back afterwards. Where the logits differ, both forward passes are recorded, and the first step is named at which
//! they part.

use super::answer::{Answer, InWords};
use super::judge::quietly;
use super::kept::{self, KeptAnswers};
use super::table::exercise;
use super::verdict::{Outcome, Verdict};
use super::{inputs, inputs::plain};
use crate::error::{Error, Result};
use crate::model::attention::{AttentionExtras, MultiHeadAttention};
use crate::model::norm::Norm;
use crate::model::transformer::{Block, BlockMlp};
use crate::model::{LanguageModel, Model, Parameter, Probe, Recording, TransformerConfig, TransformerLm};
use crate::numbers::shape;
use crate::rng::Rng;
use crate::tokenizer::CharTokenizer;
use crate::trace::Traceable;
use std::fmt::Display;
use tch::{Device, Kind, Tensor};

/// As in `original()`: head_dim.
const D: f64 = 16.0;

exercise! {
    TRANSFORMER: Weighted => Tensor = transformer(self, ids, probe),
    task: "Write the forward pass of a transformer as large as TransformerConfig::original(): ids (B, T) → logits (B, T, V). Embedding plus \
           positions; one block, that is layer norm, attention with one head, residual, layer norm, an MLP with ReLU, residual; \
           and the embedding table as the output head. No norm at the end.",
    hints: [
        "From top to bottom: embedded = the rows of the table, (B, T, C); x = embedded + the first T positions; x = x + attention(norm1(x)); \
         x = x + mlp(norm2(x)); logits = x · embeddingᵀ. A norm here is layer norm, times its weight, plus its bias.",
        "The matrix block.0.attn.qkv.weight makes queries, keys and values at once, (B, T, 3·D): \
         normed.matmul(&self.get(\"block.0.attn.qkv.weight\").tr()).chunk(3, -1) gives the three, each (B, T, D). The output's weight brings \
         (B, T, D) back to (B, T, C). Only the MLP has biases.",
        "Name each step as the library does, let x = keep(\"positioned\", …);, then this check names the first one that is not right. \
         The last line is Ok(keep(\"logits\", x.matmul(&self.get(\"embedding\").tr()))).",
    ],
    input: Weighted::random,
    given: it,
    reference: plain(it.library.logits(&it.ids)),
    mistakes: {
        "there is no mask: the future leaks into the past"
            => it.instead("block.0.attn.masked", "block.0.attn.scores", Tensor::shallow_clone),
        "you masked after softmax: the rest of a row no longer sums to 1"
            => it.altered(|name, tensor, before| match name {
                "block.0.attn.masked" => before.get("block.0.attn.scores").map(Tensor::shallow_clone),
                "block.0.attn.weights" => Some(tensor.tril(0)),
                _ => None,
            }),
        "time runs backwards: you hid the past and kept the future, it is the other triangle of the mask"
            => it.instead("block.0.attn.masked", "block.0.attn.scores", |scores| {
                let past = scores.ones_like().tril(-1).to_kind(Kind::Bool);
                scores.masked_fill(&past, f64::NEG_INFINITY)
            }),
        "time runs backwards: the positions are in the wrong order, row 0 belongs to the first character"
            => it.instead("positioned", "embedded", |embedded| {
                let table = it.library.position.as_ref().unwrap_or(&it.library.embedding);
                embedded + table.narrow(0, 0, embedded.size()[1]).flip([0])
            }),
        "the scores are not divided by √head_dim" => it.scaled(D.sqrt()),
        "the scores are divided by √emb_dim: it is head_dim, the length of a query, that counts"
            => it.scaled((D / 32.0).sqrt()),
        "the scores are divided by √T: it is head_dim, the length of a query, that counts"
            => it.scaled((D / it.ids.size()[1] as f64).sqrt()),
        "the scores are divided by head_dim instead of its root" => it.scaled(1.0 / D.sqrt()),
        "queries and keys are exchanged: the first third of qkv are the queries, and the rows are those who ask"
            => it.altered(|name, scores, _| (name == "block.0.attn.scores").then(|| scores.transpose(-2, -1))),
        "the positions are forgotten: then the model can't tell the order of the characters"
            => it.instead("positioned", "embedded", Tensor::shallow_clone),
        "the same position was added to every character: row t of the table belongs to place t"
            => it.instead("positioned", "embedded", |embedded| {
                let table = it.library.position.as_ref().unwrap_or(&it.library.embedding);
                embedded + table.narrow(0, 0, 1)
            }),
        "the norm before the attention is forgotten"
            => it.instead("block.0.norm1", "positioned", Tensor::shallow_clone),
        "the norm before the MLP is forgotten"
            => it.instead("block.0.norm2", "block.0.after_attn", Tensor::shallow_clone),
        "both norms are forgotten"
            => it.altered(|name, _, before| match name {
                "block.0.norm1" => before.get("positioned").map(Tensor::shallow_clone),
                "block.0.norm2" => before.get("block.0.after_attn").map(Tensor::shallow_clone),
                _ => None,
            }),
        "the norms have no scale and shift: what is normalised is multiplied with the norm's weight, and its bias is added"
            => {
                let bare = |x: &Tensor| x.layer_norm([32], None::<&Tensor>, None::<&Tensor>, 1e-5, false);
                it.altered(|name, _, before| match name {
                    "block.0.norm1" => before.get("positioned").map(bare),
                    "block.0.norm2" => before.get("block.0.after_attn").map(bare),
                    _ => None,
                })
            },
        "the residual around the attention is forgotten: x = x + attention(…)"
            => it.instead("block.0.after_attn", "block.0.attn.output", Tensor::shallow_clone),
        "the residual around the MLP is forgotten: x = x + mlp(…)"
            => it.instead("block.0.after_mlp", "block.0.mlp.output", Tensor::shallow_clone),
        "both residuals are forgotten: each part is added to x"
            => it.altered(|name, _, before| match name {
                "block.0.after_attn" => before.get("block.0.attn.output").map(Tensor::shallow_clone),
                "block.0.after_mlp" => before.get("block.0.mlp.output").map(Tensor::shallow_clone),
                _ => None,
            }),
        "the ReLU is forgotten: without it, the MLP's two layers are no more than one"
            => it.instead("block.0.mlp.activated", "block.0.mlp.hidden", Tensor::shallow_clone),
        "the biases of the MLP are forgotten"
            => {
                let mlp = &it.library.blocks[0].mlp;
                it.altered(|name, _, before| match name {
                    "block.0.mlp.hidden" => before.get("block.0.norm2").map(|x| x.matmul(&mlp.hidden_weight.tr())),
                    "block.0.mlp.output" => {
                        before.get("block.0.mlp.activated").map(|x| x.matmul(&mlp.output_weight.tr()))
                    }
                    _ => None,
                })
            },
        "you gave probabilities: logits are the scores before softmax"
            => plain(it.library.logits(&it.ids)).softmax(-1, Kind::Float),
        "you gave log-probabilities: logits are the scores before softmax"
            => plain(it.library.logits(&it.ids)).log_softmax(-1, Kind::Float),
    },
}

/// The library's model of the course's sizes, made of these parameters themselves: what changes one changes the other.
pub(super) fn with_parameters(parameters: &[Parameter]) -> Result<TransformerLm> {
    if let Some(message) = unfit(parameters) {
        return Err(Error::Config(message));
    }
    let get = |name: &str| -> Result<Tensor> {
        let found = parameters.iter().find(|parameter| parameter.name == name);
        found
            .map(|parameter| parameter.tensor.shallow_clone())
            .ok_or_else(|| Error::Config(format!("there is no {name}")))
    };
    let config = TransformerConfig::original();
    let norm = |name: &str| -> Result<Norm> {
        let [scale, shift] = ["weight", "bias"].map(|end| get(&format!("{name}.{end}")));
        Ok(Norm { scale: Some(scale?), shift: Some(shift?), epsilon: config.epsilon })
    };
    let block = |number: i64| -> Result<Block> {
        let name = format!("block.{number}");
        Ok(Block {
            norm1: norm(&format!("{name}.norm1"))?,
            attention: MultiHeadAttention {
                config: config.attention(number),
                qkv_weight: get(&format!("{name}.attn.qkv.weight"))?,
                output_weight: get(&format!("{name}.attn.output.weight"))?,
                extras: AttentionExtras::default(),
            },
            attention_norm: None,
            norm2: norm(&format!("{name}.norm2"))?,
            mlp: BlockMlp {
                hidden_weight: get(&format!("{name}.mlp.hidden.weight"))?,
                output_weight: get(&format!("{name}.mlp.output.weight"))?,
                biases: Some((get(&format!("{name}.mlp.hidden.bias"))?, get(&format!("{name}.mlp.output.bias"))?)),
                gate_weight: None,
            },
            mlp_norm: None,
        })
    };
    Ok(TransformerLm {
        config,
        tokenizer: CharTokenizer { n_vocab: config.n_vocab }.into(),
        trained: None,
        embedding: get("embedding")?,
        position: Some(get("position")?),
        ngrams: None,
        rotary: None,
        window_rotary: None,
        blocks: (0..config.n_layers).map(block).collect::<Result<_>>()?,
        final_norm: None,
        head: None,
        precision: Kind::Float,
    })
}

/// What is wrong with a model's parameters, in a sentence that lists the ones that are expected.
fn unfit(parameters: &[Parameter]) -> Option<String> {
    let wanted = match TransformerLm::new(TransformerConfig::original(), Device::Cpu) {
        Ok(model) => model.parameters(),
        Err(error) => return Some(error.to_string()),
    };
    let find = |list: &[Parameter], name: &str| list.iter().position(|parameter| parameter.name == name);
    let wrong = wanted.iter().find_map(|Parameter { name, tensor, .. }| match find(parameters, name) {
        None => Some(format!("`parameters` has no {name} of shape {}", shape(tensor))),
        Some(place) => {
            let (got, expected) = (parameters[place].tensor.size(), tensor.size());
            let turned = expected.iter().rev().eq(&got) && got.len() == 2;
            let turned = if turned {
                ": turned on its side. A weight is (out, in), as x.linear(&weight, …) takes it"
            } else {
                ""
            };
            let shapes = format!("{}, expected {}", shape(&parameters[place].tensor), shape(tensor));
            (got != expected).then(|| format!("{name} is of shape {shapes}{turned}"))
        }
    });
    let foreign = || {
        parameters.iter().enumerate().find_map(|(place, Parameter { name, .. })| {
            let why = match name.as_str() {
                "head" => ": the output head is the embedding table itself (weight tying)",
                name if name.starts_with("final_norm") => ": there is no norm before the output head",
                _ => "",
            };
            match find(&wanted, name) {
                None => Some(format!("`parameters` has {name}, which this model does not have{why}")),
                Some(_) => (find(parameters, name) != Some(place)).then(|| format!("`parameters` has {name} twice")),
            }
        })
    };
    let list = wanted.iter().map(|Parameter { name, tensor, .. }| format!("{name} {}", shape(tensor)));
    let list = || list.collect::<Vec<String>>().join(", ");
    wrong.or_else(foreign).map(|wrong| format!("{wrong}.\nExpected are, by name and shape: {}.", list()))
}

/// Weights, and the ids that a model with them is given.
pub(super) struct Weighted {
    library: TransformerLm,
    ids: Tensor,
}

impl InWords for Weighted {
    fn shown(&self) -> String {
        format!("random weights, and ids {}", self.ids.shown())
    }
}

impl Weighted {
    fn random(number: usize, rng: &mut Rng) -> Weighted {
        let library = inputs::one_block(rng, TransformerConfig::original());
        let (batch, time) = [(1, 5), (2, 3), (1, 9), (2, 7), (3, 2), (1, 12)][number];
        let ids = Tensor::from_slice(&inputs::ids(rng, batch * time, 256)).view([batch, time]);
        Weighted { library, ids }
    }

    /// The library's logits with some steps done otherwise: `change` gets a step's name, its numbers, and the steps before it.
    fn altered(&self, change: impl Fn(&str, &Tensor, &Recording) -> Option<Tensor>) -> Tensor {
        plain(self.library.forward(&self.ids, &mut Altering { change, before: Recording::default() }))
    }

    /// The same for one step: made of another one before it.
    fn instead(&self, step: &str, of: &str, make: impl Fn(&Tensor) -> Tensor) -> Tensor {
        self.altered(|name, _, before| (name == step).then(|| before.get(of).map(&make)).flatten())
    }

    /// With the scores times a number.
    fn scaled(&self, by: f64) -> Tensor {
        self.altered(|name, scores, _| (name == "block.0.attn.scores").then(|| scores * by))
    }
}

/// A probe that does some steps otherwise.
struct Altering<F> {
    change: F,
    before: Recording,
}

impl<F: Fn(&str, &Tensor, &Recording) -> Option<Tensor>> Probe for Altering<F> {
    fn at(&mut self, name: impl Display, tensor: Tensor) -> Tensor {
        let name = name.to_string();
        let tensor = (self.change)(&name, &tensor, &self.before).unwrap_or(tensor);
        self.before.at(name, tensor)
    }
}

/// A learner's model behind functions that know nothing of its type.
struct Learner<'a> {
    parameters: &'a dyn Fn() -> Vec<Parameter>,
    logits: &'a dyn Fn(&Tensor) -> Result<Tensor>,
    record: &'a dyn Fn(&Tensor) -> Result<Recording>,
}

/// Puts weights into parameters of the same names.
fn put(weights: &[(String, Tensor)], parameters: &mut [Parameter]) -> Result<()> {
    let _guard = tch::no_grad_guard();
    for parameter in parameters {
        if let Some((_, values)) = weights.iter().find(|(name, _)| *name == parameter.name) {
            parameter.tensor.f_copy_(values)?;
        }
    }
    Ok(())
}

/// A model's weights; they are put back when this is dropped, whatever has happened.
struct Kept {
    parameters: Vec<Parameter>,
    weights: Vec<(String, Tensor)>,
}

impl Drop for Kept {
    fn drop(&mut self) {
        // What could be copied out can be copied back.
        let _ = put(&self.weights, &mut self.parameters);
    }
}

/// The weights of parameters, by name.
fn weights(parameters: &[Parameter]) -> Vec<(String, Tensor)> {
    parameters.iter().map(|parameter| (parameter.name.clone(), parameter.tensor.detach().copy())).collect()
}

impl Learner<'_> {
    /// Gives it the library's weights.
    fn take(&self, library: &TransformerLm) -> Result<()> {
        put(&weights(&library.parameters()), &mut (self.parameters)())
    }

    /// Where its forward pass and the library's part, in a sentence.
    fn parting(&self, given: &Weighted) -> Result<String> {
        self.take(&given.library)?;
        let here = (self.logits)(&given.ids)?;
        let other = inputs::one_block(&mut Rng::new(99), TransformerConfig::original());
        self.take(&other)?;
        if (self.logits)(&given.ids)?.difference(&here).is_none() {
            return Ok("Your logits stay the same whatever the parameters are: `parameters` must give the model's own tensors, those that \
                       `forward` uses, and no copies of them."
                .to_owned());
        }
        self.take(&given.library)?;
        let mine = (self.record)(&given.ids)?;
        let mut theirs = Recording::default();
        let _ = given.library.forward(&given.ids, &mut theirs)?;
        let (mut last, mut named) = (None, 0);
        for step in &theirs.steps {
            let Some(got) = mine.get(&step.name) else { continue };
            named += 1;
            // An axis of one number (a single head, say) may be left out, and −10⁹ is as good as −∞.
            let settled = |x: &Tensor| x.to_kind(Kind::Double).squeeze().clamp_min(-1e9);
            let Some(place) = settled(got).difference(&settled(&step.tensor)) else {
                last = Some(&step.name);
                continue;
            };
            if step.name == "logits" && named == 1 {
                break;
            }
            let trace = given.library.trace("abc")?;
            let formula = trace.step(&step.name).map_or(String::new(), |step| step.formula.clone());
            let before = last.map_or(String::new(), |name| format!("Up to {name} your numbers are the library's. "));
            let (name, size) = (&step.name, shape(&step.tensor));
            return Ok(format!(
                "{before}The first step that differs is {name}: it should be {formula}, of shape {size}.\n{place}"
            ));
        }
        Ok(match last {
            Some(name) if name == "logits" => {
                "All the steps that you have named are the library's, and so is your step logits: but that is not what `forward` returns."
                    .to_owned()
            }
            Some(name) => format!("Up to {name} your numbers are the library's; what comes after it is not. Name those steps, too."),
            None => "Name your steps as the library does (embedded, positioned, block.0.norm1, block.0.attn.scores, …: `let x = \
                     probe.at(\"positioned\", x);`), and this check can tell at which one the two part."
                .to_owned(),
        })
    }
}

/// Checks `transformer`: a model of one's own of the sizes of [`TransformerConfig::original`], and with the names of its
/// parameters. It has the same numbers afterwards as before.
pub fn transformer(model: &impl Model) -> Verdict {
    fn checked(learner: &Learner<'_>) -> Verdict {
        let _guard = tch::no_grad_guard();
        let unfit =
            |message| Verdict { exercise: TRANSFORMER.exercise, outcome: Outcome::Unfit { message }, note: None };
        let parameters = match quietly(|| (learner.parameters)()) {
            Ok(parameters) => parameters,
            Err(message) => return unfit(format!("`parameters` stopped with: {message}")),
        };
        if let Some(message) = self::unfit(&parameters) {
            return unfit(message);
        }
        let still = parameters.iter().find(|parameter| !parameter.tensor.requires_grad()).map(|one| one.name.clone());
        let _kept = Kept { weights: weights(&parameters), parameters };
        let mut verdict = TRANSFORMER.judge(&|given: &Weighted| {
            plain(learner.take(&given.library));
            plain((learner.logits)(&given.ids))
        });
        if let (Outcome::Right { .. }, Some(name)) = (&verdict.outcome, still) {
            let message = format!(
                "Its logits are right, but {name} can't learn: make it with `.set_requires_grad(true)`, so that libtorch knows that it \
                 wants a gradient."
            );
            kept::keep(|| KeptAnswers {
                exercise: TRANSFORMER.exercise.name.to_owned(),
                answers: Vec::new(),
                stopped: Some(message.clone()),
            });
            return unfit(message);
        }
        if matches!(verdict.outcome, Outcome::Different { .. } | Outcome::Mistake { .. }) {
            let given = Weighted::random(3, &mut Rng::new(3));
            verdict.note = quietly(|| learner.parting(&given)).ok().and_then(Result::ok);
        }
        verdict
    }
    checked(&Learner {
        parameters: &|| model.parameters(),
        logits: &|ids| model.logits(ids),
        record: &|ids| {
            let mut recording = Recording::default();
            let _ = model.forward_with(ids, &mut recording)?;
            Ok(recording)
        },
    })
}

#[cfg(test)]
mod tests;
