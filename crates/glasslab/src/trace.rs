//! A forward pass, step by step: what a model does with a text, with every number on the way.
//!
//! ```text
//! text → ids → embedded → … scores → masked → weights … → logits → probabilities → loss
//! ```
//! A trace is what a [`Recording`] saw while the model's own `forward` ran, so it can't tell anything else than the
//! model does. It checks that itself: the recorded logits are compared with those of a second pass without a probe,
//! and the largest difference stands at the table's foot.
//!
//! ```
//! # use glasslab::prelude::*;
//! # fn main() -> Result<()> {
//! let model = TransformerLm::new(TransformerConfig::original(), Device::Cpu)?;
//! let trace = model.trace("Once")?;
//! assert_eq!(trace.step("block.0.attn.scores")?.shape(), "(1, 1, 4, 4)");
//! assert_eq!(trace.max_abs_error, 0.0);
//! println!("{}", trace.by_hand("block.0.attn.scores", &[0, 0, 2, 1])?);
//! # Ok(())
//! # }
//! ```

mod arithmetic;
mod backward;
mod blame;
mod blame_weights;
mod by_hand;
mod by_weights;
mod describe;
mod hook_points;
mod learnt;
mod step;
mod table;

pub use backward::Nudge;
pub use by_hand::ByHand;
pub use step::TraceStep;

pub(crate) use arithmetic::tiny;
pub(crate) use hook_points::step_named;
pub(crate) use table::Row;

use crate::error::{Error, Result};
use crate::model::attention::{Head, UNSEEN_FROM};
use crate::model::cache::Cache;
use crate::model::checked;
use crate::model::{
    AnyModel, LanguageModel, MlpLm, Model, ModelConfig, NoProbe, Parameter, Probe, Recording, Step, TransformerConfig,
    TransformerLm,
};
use crate::numbers::numbers;
use crate::tokenizer::{AnyTokenizer, CharTokenizer, Pieces, visible};
use learnt::Learnt;
use tch::{Device, Kind, Tensor};

/// By how much logits may differ that were computed in another order.
const ROUNDING: f64 = 1e-3;
/// By which share of the largest those may that were computed in bfloat16.
const ROUNDING_BFLOAT16: f64 = 0.05;

/// A model whose forward pass a probe can see and change.
pub trait Traceable: LanguageModel {
    /// The model's own forward pass, with a probe.
    ///
    /// # Shapes
    /// `ids`: (B, T) → logits (B, T, V)
    ///
    /// # Errors
    /// As the model's `forward`.
    fn forward_with(&self, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor>;

    /// As [`read`](LanguageModel::read), with a probe; `None` for a model that can't be read so.
    ///
    /// # Shapes
    /// `ids`: (B, T), the new characters → (B, V)
    ///
    /// # Errors
    /// As the model's `read`.
    fn read_with(&self, _ids: &Tensor, _cache: &mut Cache, _probe: &mut impl Probe) -> Option<Result<Tensor>> {
        None
    }

    /// Whether [`read_with`](Self::read_with) can.
    fn can_read_with(&self) -> bool {
        false
    }

    /// Its kind and sizes, for the formulas of its steps; `None` for a model that the library does not know.
    fn model_config(&self) -> Option<ModelConfig> {
        None
    }

    /// Its parameters, for the gradients of a backward pass; none for a model that has none.
    fn learnt(&self) -> Vec<Parameter> {
        Vec::new()
    }

    /// What the model does with a text, step by step.
    ///
    /// Characters that it doesn't know are left out, and what is beyond its context is cut off; the trace says so.
    ///
    /// # Errors
    /// If nothing of the text is left.
    fn trace(&self, text: &str) -> Result<Trace>
    where
        Self: Sized,
    {
        Trace::of(self, text)
    }

    /// The same with the way back: each step, and each parameter, also has its gradient, ∂loss/∂number in nats per unit,
    /// where the loss is the mean of the text's predictions.
    ///
    /// # Errors
    /// If less than two characters of the text are left, or nothing of the model is to be learnt.
    fn backward(&self, text: &str) -> Result<Trace>
    where
        Self: Sized,
    {
        Trace::backward_of(self, text)
    }

    /// Moves one number of a step or a parameter by `by`, and tells what becomes of the loss, and what the gradient promised.
    /// The model stays as it is. A parameter that has a step's name is `parameter:NAME`.
    ///
    /// # Errors
    /// As [`backward`](Self::backward), and if there is no such number.
    fn nudge(&self, text: &str, name: &str, place: &[i64], by: f64) -> Result<Nudge>
    where
        Self: Sized,
    {
        Nudge::of(self, text, name, place, by)
    }
}

impl Traceable for MlpLm {
    fn forward_with(&self, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
        self.forward(ids, probe)
    }

    fn model_config(&self) -> Option<ModelConfig> {
        Some(ModelConfig::Mlp(self.config))
    }

    fn learnt(&self) -> Vec<Parameter> {
        self.parameters()
    }
}

impl Traceable for TransformerLm {
    fn forward_with(&self, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
        self.forward(ids, probe)
    }

    fn model_config(&self) -> Option<ModelConfig> {
        Some(ModelConfig::Transformer(self.config))
    }

    fn read_with(&self, ids: &Tensor, cache: &mut Cache, probe: &mut impl Probe) -> Option<Result<Tensor>> {
        Some(self.read_seen(ids, cache, probe))
    }

    fn can_read_with(&self) -> bool {
        true
    }

    fn learnt(&self) -> Vec<Parameter> {
        self.parameters()
    }
}

impl Traceable for AnyModel {
    fn forward_with(&self, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
        match self {
            AnyModel::Mlp(model) => model.forward(ids, probe),
            AnyModel::Transformer(model) => model.forward(ids, probe),
        }
    }

    fn model_config(&self) -> Option<ModelConfig> {
        Some(self.config())
    }

    fn read_with(&self, ids: &Tensor, cache: &mut Cache, probe: &mut impl Probe) -> Option<Result<Tensor>> {
        match self {
            AnyModel::Mlp(_) => None,
            AnyModel::Transformer(model) => model.read_with(ids, cache, probe),
        }
    }

    fn can_read_with(&self) -> bool {
        matches!(self, AnyModel::Transformer(_))
    }

    fn learnt(&self) -> Vec<Parameter> {
        self.parameters()
    }
}

impl<M: Model> Traceable for M {
    fn forward_with(&self, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
        checked(self, ids, probe)
    }

    fn learnt(&self) -> Vec<Parameter> {
        Model::parameters(self)
    }
}

impl Head {
    /// What the head does with the numbers of some characters, step by step.
    ///
    /// # Shapes
    /// `x`: (1, T, C), for the T characters of `text`
    ///
    /// # Errors
    /// If `x` is not of that shape.
    pub fn trace(&self, x: &Tensor, text: &str) -> Result<Trace> {
        let labels: Vec<String> = text.chars().map(visible).collect();
        match x.size()[..] {
            [1, time, _] if time > 0 && time as usize == labels.len() => {}
            _ => {
                return Err(Error::Shape {
                    expected: format!("x of shape (1, {}, C), one row for each character of {text:?}", labels.len()),
                    got: format!("{:?}", x.size()),
                    hint: "x is what the characters are for the model, e.g. its embeddings".to_owned(),
                });
            }
        }
        let _guard = tch::no_grad_guard();
        let mut recording = Recording::default();
        let _ = recording.at("x", x.shallow_clone());
        let output = self.forward(x, &mut recording)?.output;
        let max_abs_error = largest_difference(&output, &self.forward(x, &mut NoProbe)?.output)?;
        let mut trace = Trace {
            text: text.to_owned(),
            labels,
            steps: Vec::new(),
            parameters: Vec::new(),
            max_abs_error,
            ids: Vec::new(),
            learnt: Learnt::default(),
            choices: TransformerConfig::default(),
            tokenizer: CharTokenizer::default().into(),
            checked: "output",
            bfloat16: false,
            notes: Vec::new(),
        };
        trace.take(recording.steps, None)?;
        Ok(trace)
    }
}

/// Whether a step is the stream, to which each part of a block only adds.
pub(crate) fn is_stream(name: &str) -> bool {
    hook_points::INTO.contains(&name) || name.ends_with(".after_attn") || name.ends_with(".after_mlp")
}

/// The name of the attention whose weights this step is: a model's own are known by the step's name and shape.
pub(crate) fn attention_of<'a>(step: &'a str, tensor: &Tensor) -> Option<&'a str> {
    let layer = step.strip_suffix(".weights")?;
    match tensor.size()[..] {
        [1, rows, columns] | [1, _, rows, columns] if rows == columns => Some(layer),
        _ => None,
    }
}

/// A text as a model takes it.
struct Input {
    ids: Vec<i64>,
    text: String,
    labels: Vec<String>,
    notes: Vec<String>,
    tokenizer: AnyTokenizer,
}

impl Input {
    fn new(model: &impl LanguageModel, text: &str) -> Result<Input> {
        let tokenizer = model.tokenizer();
        let mut pieces = tokenizer.cut(text)?;
        let mut notes: Vec<String> = pieces.lost().into_iter().collect();
        let longest = model.max_len().map_or(usize::MAX, |length| length as usize);
        if pieces.ids.len() > longest {
            notes.push(format!(
                "these are the first {longest} of {} {}: the model's context ends there",
                pieces.ids.len(),
                tokenizer.unit().many
            ));
            pieces = tokenizer.pieces(pieces.ids[..longest].to_vec())?;
        }
        if pieces.ids.is_empty() {
            return Err(Error::Data(format!(
                "a trace needs a text of at least one character that the model knows, got {text:?}"
            )));
        }
        let Pieces { ids, labels, text, .. } = pieces;
        Ok(Input { ids, text, labels, notes, tokenizer })
    }

    /// A text in which there is something to predict.
    fn for_loss(model: &impl LanguageModel, text: &str) -> Result<Input> {
        let input = Input::new(model, text)?;
        match input.ids.len() {
            1 => Err(Error::Data(format!(
                "a backward pass begins at a loss, and a single character ({text:?}) has none: give at least two that the \
                 model knows and has room for"
            ))),
            _ => Ok(input),
        }
    }

    /// # Shapes
    /// (1, T)
    fn tensor(&self, device: Device) -> Result<Tensor> {
        Ok(Tensor::f_from_slice(&self.ids)?.f_unsqueeze(0)?.f_to_device(device)?)
    }
}

/// What a model did with a text.
#[derive(Debug)]
pub struct Trace {
    /// The text that the model saw.
    pub text: String,
    /// Each of its characters, or tokens, as a plot shows it.
    pub labels: Vec<String>,
    /// The steps, in order.
    pub steps: Vec<TraceStep>,
    /// The model's parameters with their gradients, in a trace of a backward pass.
    pub parameters: Vec<TraceStep>,
    /// The largest difference between the recorded result and that of a pass without a probe.
    pub max_abs_error: f64,
    /// What was left out of the text, and what else is to be known of the numbers.
    pub notes: Vec<String>,
    /// Their ids.
    ids: Vec<i64>,
    /// The model's parameters as they were, for the arithmetic.
    learnt: Learnt,
    /// What else the arithmetic needs: the model's choices, or the usual ones.
    choices: TransformerConfig,
    /// What the ids stand for.
    pub(crate) tokenizer: AnyTokenizer,
    checked: &'static str,
    /// Whether the pass without a probe was computed in bfloat16; a trace never is.
    bfloat16: bool,
}

impl Trace {
    /// What a model does with a text; the same as `model.trace(text)`.
    ///
    /// # Errors
    /// If nothing of the text is left, see [`Traceable::trace`].
    pub fn of(model: &impl Traceable, text: &str) -> Result<Trace> {
        let input = Input::new(model, text)?;
        let _guard = tch::no_grad_guard();
        let ids = input.tensor(model.device())?; // (1, T)
        let mut recording = Recording::default();
        let logits = model.forward_with(&ids, &mut recording)?; // (1, T, V)
        let max_abs_error = largest_difference(&logits, &model.logits(&ids)?)?;
        let _ = losses(&logits, &ids, &mut recording)?;
        let mut trace = Trace::empty(model, input, max_abs_error, Learnt::new(model.learnt())?);
        trace.take(recording.steps, model.model_config().as_ref())?;
        Ok(trace)
    }

    /// Of a model's pass whose steps are still to come.
    fn empty(model: &impl Traceable, input: Input, max_abs_error: f64, learnt: Learnt) -> Trace {
        let Input { ids, text, labels, notes, tokenizer } = input;
        let bfloat16 = matches!(model.model_config(), Some(ModelConfig::Transformer(config)) if config.bfloat16 && model.device().is_cuda());
        let (steps, parameters) = (Vec::new(), Vec::new());
        let choices = match model.model_config() {
            Some(ModelConfig::Transformer(config)) => config,
            _ => TransformerConfig::default(),
        };
        Trace {
            text,
            labels,
            steps,
            parameters,
            max_abs_error,
            notes,
            ids,
            learnt,
            choices,
            tokenizer,
            checked: "logits",
            bfloat16,
        }
    }

    fn take(&mut self, steps: impl IntoIterator<Item = Step>, config: Option<&ModelConfig>) -> Result<()> {
        let time = self.labels.len() as i64;
        self.steps = steps.into_iter().map(|step| TraceStep::new(step, config, time)).collect::<Result<_>>()?;
        let one = self.tokenizer.unit().one;
        for text in self.steps.iter_mut().flat_map(|step| [&mut step.formula, &mut step.meaning]) {
            *text = text.replace("character", one);
        }
        if config.is_none() && self.checked == "logits" {
            self.keep_true_formulas();
        }
        self.note_nan()
    }

    /// Where numbers stop to be numbers, and which parameter they come from.
    fn note_nan(&mut self) -> Result<()> {
        let Some(first) = self.steps.iter().find(|step| step.has_nan) else { return Ok(()) };
        let broken = self.learnt.not_finite()?;
        let whence = match broken.is_empty() {
            true => {
                "its own arithmetic gives it (0 / 0, ∞ − ∞, the root of a negative number), every parameter is a number"
                    .to_owned()
            }
            false => format!(
                "{} holds it. Steps of a training that are too large do that: take the model as it was before, or train it \
                 anew with a smaller learning rate",
                several(&broken)
            ),
        };
        self.notes.push(format!("from {} on there is NaN, not a number: {whence}", first.name));
        Ok(())
    }

    /// Of a model that the library does not know, a step has the formula that its name stands for only if its numbers obey
    /// it at its first and last place.
    fn keep_true_formulas(&mut self) {
        for at in 0..self.steps.len() {
            let TraceStep { name, tensor, .. } = &self.steps[at];
            let is_plain = matches!(name.as_str(), "ids" | "probabilities" | "loss");
            let places = [vec![0; tensor.dim()], tensor.size().iter().map(|size| size - 1).collect()];
            let obeys = |place: &Vec<i64>| {
                self.computed(name, place)
                    .is_ok_and(|by_hand| by_hand.difference() <= 1e-4 * by_hand.traced.abs().clamp(1.0, 1e300))
            };
            if !is_plain && !places.iter().all(obeys) {
                self.steps[at].formula.clear();
            }
        }
    }

    /// A step by its name, or by that of TransformerLens: `blocks.0.attn.hook_pattern` is `block.0.attn.weights`.
    ///
    /// # Errors
    /// If there is none of that name; the message lists those that are.
    pub fn step(&self, name: &str) -> Result<&TraceStep> {
        let own = step_named(name, |own| self.steps.iter().any(|step| step.name == own))?;
        self.steps.iter().find(|step| step.name == own).ok_or_else(|| {
            let names: Vec<&str> = self.steps.iter().map(|step| step.name.as_str()).collect();
            Error::Config(format!("this trace has no step {name:?}; it has {}", names.join(", ")))
        })
    }

    /// The mean loss of the text's predictions in nats per character, or token; `None` for a single one.
    pub fn loss(&self) -> Option<f64> {
        self.step("loss").ok().map(|step| step.mean)
    }

    /// The largest number of a step, without its sign.
    fn largest(&self, step: &str) -> f64 {
        self.step(step).map_or(0.0, |step| step.max.abs().max(step.min.abs()))
    }

    /// The check that the trace made, as a sentence.
    pub fn check(&self) -> String {
        let Trace { checked, max_abs_error, .. } = self;
        // A long text goes through the fused kernel where nobody looks: the same, but for the last digits.
        let fused = self.labels.len() as i64 >= UNSEEN_FROM;
        let error_in_words = tiny(*max_abs_error, 1);
        match *max_abs_error {
            0.0 => {
                format!("checked: the last {checked} are exactly those of the model without a probe (max_abs_error 0)")
            }
            error if fused && error < ROUNDING => format!(
                "checked: the last {checked} are those of the model without a probe, which takes a long text through a \
                 fused kernel, up to rounding (max_abs_error {error_in_words})"
            ),
            error if self.bfloat16 && error < ROUNDING_BFLOAT16 * self.largest(checked) => format!(
                "checked: the last {checked} are those of the model without a probe, which a GPU computes in bfloat16, \
                 up to its rounding (max_abs_error {error_in_words})"
            ),
            _ => format!(
                "checked: the last {checked} differ from those of the model without a probe by up to {error_in_words} \
                 (max_abs_error): this is not the model's own pass"
            ),
        }
    }
}

/// Names in a row, of many the first.
fn several(names: &[&str]) -> String {
    let (shown, more) = (names.len().min(4), names.len().saturating_sub(4));
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    names[..shown].join(", ") + &more
}

/// The loss of each prediction, computed as it is told: −ln of the probability of the character that came. Of a single
/// character there is none.
///
/// # Shapes
/// `logits`: (1, T, V) · `ids`: (1, T) → (1, T − 1), in double precision, in which no probability becomes 0
fn losses(logits: &Tensor, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
    let last = ids.size()[1] - 1;
    let probabilities = probe.at("probabilities", logits.f_softmax(-1, Kind::Double)?); // (1, T, V)
    let next = ids.f_narrow(1, 1, last)?.f_unsqueeze(-1)?; // (1, T − 1, 1)
    let chosen = probabilities.f_narrow(1, 0, last)?.f_gather(-1, &next, false)?;
    let losses = chosen.f_squeeze_dim(-1)?.f_log()?.f_neg()?;
    Ok(if last > 0 { probe.at("loss", losses) } else { losses })
}

/// The largest difference between two tensors; NaN equals NaN, and ∞ equals ∞.
fn largest_difference(a: &Tensor, b: &Tensor) -> Result<f64> {
    let (a, b) = (numbers(a)?, numbers(b)?);
    let difference = |(a, b): (&f64, &f64)| if a == b || a.is_nan() && b.is_nan() { 0.0 } else { (a - b).abs() };
    let worse = |worst: f64, next: f64| if next.is_nan() { f64::INFINITY } else { worst.max(next) };
    Ok(a.iter().zip(&b).map(difference).fold(0.0, worse))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::attention::Weighting;
    use crate::model::norm::NormKind;
    use crate::model::rotary::{Slowed, Speeds};
    use crate::model::{
        Activation, Every, Family, MlpConfig, Ngrams, Positions, Trainable, Window, random_tensor, wake,
    };
    use crate::rng::Rng;
    use tch::Device;

    pub(crate) fn awake(config: TransformerConfig) -> TransformerLm {
        wake(TransformerLm::new(config, Device::Cpu).unwrap(), 0.2)
    }

    /// The same model, whose parameters have double precision.
    pub(crate) fn in_float64<M: Trainable>(model: M) -> M {
        for mut parameter in model.parameters() {
            parameter.tensor.set_data(&parameter.tensor.to_kind(Kind::Double));
        }
        model
    }

    /// The place of the number that is farthest from 0.
    pub(crate) fn largest_place(tensor: &Tensor) -> Vec<i64> {
        let mut at = tensor.abs().argmax(None, false).int64_value(&[]);
        let mut place = Vec::new();
        for size in tensor.size().iter().rev() {
            place.insert(0, at % size);
            at /= size;
        }
        place
    }

    /// The choices of Llama, and the bias of Qwen 2.
    fn llama() -> TransformerConfig {
        let slowed = Some(Slowed::SlowOnes { factor: 4.0, low: 1.0, high: 4.0, context_len: 32.0 });
        TransformerConfig {
            epsilon: 1e-2,
            n_kv_heads: 2,
            speeds: Speeds { base: 500.0, slowed },
            qkv_bias: true,
            ..Family::Llama.config()
        }
    }

    /// The choices of Gemma 3, and the bias of Qwen 2 with the scale of Qwen 3.
    fn gemma() -> TransformerConfig {
        let window = Some(Window { len: 3, except: Some(Every { step: 3, first: 2 }) });
        let TransformerConfig { epsilon, n_kv_heads, speeds, qkv_bias, .. } = llama();
        TransformerConfig { window, epsilon, n_kv_heads, speeds, qkv_bias, ..Family::Gemma3.config() }
    }

    pub(crate) fn variants() -> Vec<TransformerConfig> {
        let original = TransformerConfig::original();
        let small = TransformerConfig::small();
        vec![
            original,
            TransformerConfig { positions: Positions::None, activation: Activation::Gelu, n_layers: 2, ..original },
            small,
            TransformerConfig { tied: true, norm: NormKind::Layer, bias: true, n_kv_heads: 2, ..small },
            TransformerConfig { weighting: Weighting::Sigmoid, n_kv_heads: 1, ..small },
            TransformerConfig { previous_head: true, positions: Positions::Learned, ..small },
            llama(),
            gemma(),
            TransformerConfig {
                positions: Positions::Learned,
                norm: NormKind::Layer,
                qkv_bias: true,
                attention_bias: true,
                bias: true,
                activation: Activation::GeluTanh,
                scaled_embedding: true,
                window: Some(Window { len: 3, except: Some(Every { step: 2, first: 0 }) }),
                ngrams: Some(Ngrams { longest: 2, rows: 50 }),
                ..small
            },
            TransformerConfig { ngrams: Some(Ngrams { longest: 4, rows: 30 }), ..small },
        ]
    }

    fn check(trace: &Trace, characters: i64) {
        assert_eq!(trace.max_abs_error, 0.0);
        for step in &trace.steps {
            let size = step.tensor.size();
            assert_eq!(step.axes.len(), size.len(), "{}", step.name);
            assert!(!step.formula.is_empty(), "{} has no description", step.name);
            assert!(!step.axes.iter().any(|axis| axis.starts_with("axis ")), "{} {:?}", step.name, step.axes);
            for (axis, &size) in step.axes.iter().zip(&size) {
                if axis.starts_with("time") && step.name != "loss" {
                    assert_eq!(size, characters, "{} {axis}", step.name);
                }
            }
        }
    }

    #[test]
    fn every_step_of_every_model_is_described_and_the_last_equals_the_models_logits() {
        for config in variants() {
            let model = awake(config);
            let trace = model.trace("Once up").unwrap();
            check(&trace, 7);
            let ids = Tensor::from_slice(&CharTokenizer::default().encode("Once up")).unsqueeze(0);
            assert_eq!(trace.step("logits").unwrap().tensor, model.logits(&ids).unwrap());
            assert!(trace.table().contains("max_abs_error 0"), "{}", trace.table());
        }
        let long = "Once upon a time ".repeat(9);
        let trace = awake(TransformerConfig { context_len: 160, ..TransformerConfig::small() }).trace(&long).unwrap();
        assert!(
            trace.check().contains("max_abs_error 0") || trace.check().contains("up to rounding"),
            "{}",
            trace.check()
        );
        let mlp = AnyModel::Mlp(MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap());
        let trace = mlp.trace("Once upon ").unwrap();
        check(&trace, 10);
        assert_eq!(trace.step("hidden").unwrap().axes_and_sizes(), "batch 1 × time 10 × n_hidden 128");
    }

    #[test]
    fn one_head_can_be_traced_alone() {
        let mut rng = Rng::new(3);
        let head = Head::new(8, 4, &mut rng, Device::Cpu).unwrap();
        let x = random_tensor(&mut rng, &[1, 4, 8], 1.0).unwrap();
        let trace = head.trace(&x, "Once").unwrap();
        check(&trace, 4);
        assert_eq!(trace.steps.last().unwrap().tensor, head.forward(&x, &mut NoProbe).unwrap().output);
        assert!(head.trace(&x, "On").unwrap_err().to_string().contains("(1, 2, C)"));
    }

    #[test]
    fn the_loss_is_that_of_the_models_own_logits() {
        let model = awake(TransformerConfig::original());
        let trace = model.trace("Once").unwrap();
        let ids = Tensor::from_slice(&CharTokenizer::default().encode("Once")).unsqueeze(0);
        let logits = model.logits(&ids).unwrap().narrow(1, 0, 3);
        let loss = crate::model::cross_entropy(&logits, &ids.narrow(1, 1, 3)).unwrap().double_value(&[]);
        assert!((trace.loss().unwrap() - loss).abs() < 1e-5);
    }

    #[test]
    fn short_long_and_foreign_texts_are_handled() {
        let model = awake(TransformerConfig::original());
        let message = model.trace("").unwrap_err().to_string();
        assert!(message.contains("at least one character"), "{message}");
        assert!(model.trace("日本").is_err());
        let one = model.trace("O").unwrap();
        assert!(one.loss().is_none() && one.step("block.0.attn.weights").unwrap().shape() == "(1, 1, 1, 1)");
        let long = model.trace(&"ab🦀 ".repeat(100)).unwrap();
        assert_eq!(long.labels.len(), 100);
        assert!(long.notes[0].contains("100 characters are outside") && long.notes[1].contains("first 100 of 300"));
        assert!(long.table().contains("first 100 of 300"));
    }

    #[test]
    fn what_is_not_finite_is_counted_and_kept_out_of_the_mean() {
        let model = awake(TransformerConfig::original());
        let masked = model.trace("Once").unwrap();
        let masked = masked.step("block.0.attn.masked").unwrap();
        assert_eq!(masked.not_finite, 6);
        assert!(masked.mean.is_finite() && masked.min.is_finite());
        let broken = awake(TransformerConfig::original());
        let guard = tch::no_grad_guard();
        let _ = broken.embedding.shallow_clone().fill_(f64::NAN);
        drop(guard);
        let trace = broken.trace("Once").unwrap();
        assert_eq!(trace.max_abs_error, 0.0);
        assert!(trace.step("embedded").unwrap().min.is_nan());
    }

    #[test]
    fn a_step_that_is_not_there_is_an_error_that_lists_those_that_are() {
        let trace = awake(TransformerConfig::original()).trace("Once").unwrap();
        let message = trace.step("scores").unwrap_err().to_string();
        assert!(message.contains("block.0.attn.scores"), "{message}");
        assert!(trace.step("logits").unwrap().number(&[0, 4, 0]).is_err());
        assert!(trace.step("logits").unwrap().number(&[0, 3, 255]).is_ok());
    }
}
