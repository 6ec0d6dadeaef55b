//! What one step did to one number, written out: from its gradient to its new value.
//!
//! The last number is computed in the optimiser's own order and precision, so it is the model's to the bit (see
//! [`Arithmetic`]); the lines show the formulas as the papers have them.

use super::optimiser::{self, Memory, Moved};
use super::step::TrainStep;
use crate::error::{Error, Result};
use crate::numbers::{digits, shape, superscript};
use crate::slices::is_walkable;
use std::fmt;
use tch::{Kind, Tensor};

/// A line of arithmetic.
#[derive(Debug, Clone, PartialEq)]
pub struct HandLine {
    /// What is computed, e.g. `momentum`.
    pub what: &'static str,
    /// How, e.g. `m = 0.9 · m + 0.1 · g`.
    pub formula: String,
    /// The same with numbers; empty for a number that is given.
    pub numbers: String,
    /// What it comes to.
    pub value: f64,
}

/// What one step did to one number of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct StepByHand {
    /// The parameter.
    pub name: String,
    /// The place of the number.
    pub place: Vec<i64>,
    /// The step.
    pub step: usize,
    /// What moved it: `AdamW`, `Muon`, `momentum` or `SGD`.
    pub optimiser: &'static str,
    /// The way from the gradient to the new value.
    pub lines: Vec<HandLine>,
    /// The new value, computed by hand.
    pub result: f64,
    /// The number that the model has.
    pub in_model: f64,
}

impl StepByHand {
    /// How far the two are apart.
    pub fn difference(&self) -> f64 {
        match self.result == self.in_model || self.result.is_nan() && self.in_model.is_nan() {
            true => 0.0,
            false => (self.result - self.in_model).abs(),
        }
    }
}

impl fmt::Display for StepByHand {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StepByHand { name, place, step, optimiser, lines, result, in_model } = self;
        writeln!(out, "{name}[{}], step {step}, moved by {optimiser}", joined(place))?;
        let width =
            |part: fn(&HandLine) -> &str| lines.iter().map(|line| part(line).chars().count()).max().unwrap_or(0);
        let (wide, formulas) = (width(|line| line.what), width(|line| &line.formula).min(46));
        for HandLine { what, formula, numbers, value } in lines {
            let numbers = if numbers.is_empty() { String::new() } else { format!("{numbers} = ") };
            writeln!(out, "  {what:<wide$}  {formula:<formulas$} = {numbers}{}", digits(*value, 6))?;
        }
        let difference = if self.difference() == 0.0 { "0".to_owned() } else { digits(self.difference(), 1) };
        let (result, in_model) = (digits(*result, 9), digits(*in_model, 9));
        write!(out, "by hand {result}, in the model {in_model}: difference {difference}")
    }
}

impl TrainStep {
    /// What this step did to one number of a parameter: gradient, clipped gradient, what the optimiser remembers of the steps
    /// before, learning rate, weight decay, new value; each with its formula and its numbers.
    ///
    /// # Errors
    /// If there is no such parameter or place.
    pub fn by_hand(&self, name: &str, place: &[i64]) -> Result<StepByHand> {
        let parameter = self.parameter(name)?;
        let size = parameter.before.size();
        if place.len() != size.len() || place.iter().zip(&size).any(|(place, size)| !(0..*size).contains(place)) {
            return Err(Error::Shape {
                expected: format!("one place on each axis of {name} {}", shape(&parameter.before)),
                got: format!("{place:?}"),
                hint: "places count from 0: of (4, 3) the last is &[3, 2]".to_owned(),
            });
        }
        let hand = Hand { step: self, parameter, place, exact: Arithmetic::of(&parameter.before), lines: Vec::new() };
        hand.write()
    }
}

/// Arithmetic as libtorch does it on the parameter: each operation rounded to its precision. (Of single numbers in double
/// precision, rounded once more: for + − · / that is the same.)
#[derive(Debug, Clone, Copy)]
struct Arithmetic {
    single: bool,
    /// Whether Adam's step is the library's own loop, which rounds after each operation.
    own: bool,
}

impl Arithmetic {
    fn of(tensor: &Tensor) -> Arithmetic {
        Arithmetic { single: tensor.kind() == Kind::Float, own: is_walkable(tensor) }
    }

    fn round(self, number: f64) -> f64 {
        if self.single { f64::from(number as f32) } else { number }
    }

    fn times(self, a: f64, b: f64) -> f64 {
        self.round(self.round(a) * self.round(b))
    }

    fn plus(self, a: f64, b: f64) -> f64 {
        self.round(self.round(a) + self.round(b))
    }

    /// √a, where libtorch takes it by libtorch itself: its root may be the neighbour of the nearest number.
    fn root(self, a: f64) -> Result<f64> {
        match self.single {
            true if self.own => Ok(f64::from((a as f32).sqrt())),
            true => Ok(Tensor::f_from_slice(&[a as f32])?.f_sqrt()?.f_double_value(&[0])?),
            false => Ok(a.sqrt()),
        }
    }

    /// a + share · (b − a); by libtorch multiplied and added in one go, as processors can.
    fn towards(self, a: f64, b: f64, share: f64) -> f64 {
        let way = self.plus(b, -a);
        match self.single {
            true if self.own => self.plus(a, self.times(share, way)),
            true => f64::from((share as f32).mul_add(way as f32, a as f32)),
            false => share.mul_add(way, a),
        }
    }
}

/// The writing of one number's lines.
struct Hand<'a> {
    step: &'a TrainStep,
    parameter: &'a Moved,
    place: &'a [i64],
    exact: Arithmetic,
    lines: Vec<HandLine>,
}

impl Hand<'_> {
    fn line(&mut self, what: &'static str, formula: impl Into<String>, numbers: String, value: f64) {
        self.lines.push(HandLine { what, formula: formula.into(), numbers, value });
    }

    fn at(&self, tensor: &Tensor) -> Result<f64> {
        Ok(tensor.f_double_value(self.place)?)
    }

    fn write(mut self) -> Result<StepByHand> {
        let (exact, parameter) = (self.exact, self.parameter);
        let raw = self.at(&parameter.gradient)?;
        self.line("gradient", "g, ∂loss/∂θ on the batch", String::new(), raw);
        let g = self.clipped(raw);
        // The direction in which the number moves, for a learning rate of 1, and how the last line calls it.
        let before = self.at(&parameter.before)?;
        let (optimiser, formula, step) = match &parameter.memory {
            Memory::Nothing => ("SGD", "g", Step::Times(g)),
            Memory::Velocity(velocity) => ("momentum", "v", Step::Times(self.velocity(self.at(velocity)?, g))),
            Memory::Adam { mean, square, steps } => {
                let (mean, square) = (self.at(mean)?, self.at(square)?);
                ("AdamW", "m̂ / (√v̂ + ε)", self.adam(g, mean, square, *steps + 1))
            }
            Memory::Muon { momentum, row, together } => ("Muon", "s · o", self.muon(g, momentum, *row, together)?),
        };
        let rate = self.rate();
        let theta = self.decayed(before, rate);
        let result = match step {
            Step::Times(change) => exact.plus(theta, -exact.times(change, rate)),
            Step::Scaled(change, size) => exact.plus(theta, -exact.times(change, rate * size)),
            Step::Divided { mean, square, steps, .. } => {
                let (shift, factor) = optimiser::scale(steps, rate);
                let scale = exact.times(exact.plus(exact.root(square)?, shift), factor);
                exact.plus(theta, exact.round(mean / scale))
            }
        };
        let numbers = match step {
            Step::Times(change) => format!("{} − {} · {}", digits(theta, 6), digits(rate, 6), brackets(change)),
            Step::Scaled(change, size) => {
                format!("{} − {} · {} · {}", digits(theta, 6), digits(rate, 6), digits(size, 6), brackets(change))
            }
            Step::Divided { mean_hat, square_hat, .. } => format!(
                "{} − {} · {} / ({} + 10⁻⁸)",
                digits(theta, 6),
                digits(rate, 6),
                brackets(mean_hat),
                digits(square_hat.sqrt(), 6)
            ),
        };
        self.line("new value", format!("θ − rate · {formula}"), numbers, result);
        let (name, place, step) = (parameter.name.clone(), self.place.to_vec(), self.step.step);
        let in_model = self.at(&parameter.after)?;
        Ok(StepByHand { name, place, step, optimiser, lines: self.lines, result, in_model })
    }

    fn clipped(&mut self, g: f64) -> f64 {
        let (Some(clip), Some(scale)) = (self.step.config.clip, self.step.shortened) else { return g };
        let clipped = self.exact.times(g, scale);
        match scale < 1.0 {
            true => {
                let numbers = format!("{} · {clip} / {}", digits(g, 6), digits(self.step.gradient, 6));
                self.line("clipped", "g ← g · clip / length of the whole", numbers, clipped);
            }
            false => {
                self.line("not clipped", format!("g: the whole is not longer than {clip}"), String::new(), clipped)
            }
        }
        clipped
    }

    fn velocity(&mut self, velocity: f64, g: f64) -> f64 {
        let v = self.exact.plus(self.exact.times(velocity, optimiser::FRICTION), g);
        self.line("velocity", "v ← 0.9 · v + g", format!("0.9 · {} + {}", brackets(velocity), brackets(g)), v);
        v
    }

    fn adam(&mut self, g: f64, mean: f64, square: f64, steps: i32) -> Step {
        let exact = self.exact;
        let m = exact.towards(mean, g, 1.0 - optimiser::BETA1);
        let v = exact.towards(square, exact.times(g, g), 1.0 - optimiser::BETA2);
        let of_m = format!("0.9 · {} + 0.1 · {}", brackets(mean), brackets(g));
        self.line("momentum", "m ← 0.9 · m + 0.1 · g", of_m, m);
        let of_v = format!("0.999 · {} + 0.001 · ({})²", digits(square, 6), digits(g, 6));
        self.line("second moment", "v ← 0.999 · v + 0.001 · g²", of_v, v);
        let (bias1, bias2) = (1.0 - optimiser::BETA1.powi(steps), 1.0 - optimiser::BETA2.powi(steps));
        let (mean_hat, square_hat) = (m / bias1, v / bias2);
        let power = superscript(steps);
        let corrected = |of: f64, bias: f64| format!("{} / {}", digits(of, 6), digits(bias, 6));
        self.line("its start corrected", format!("m̂ = m / (1 − 0.9{power})"), corrected(m, bias1), mean_hat);
        self.line("its start corrected", format!("v̂ = v / (1 − 0.999{power})"), corrected(v, bias2), square_hat);
        Step::Divided { mean: m, square: v, steps, mean_hat, square_hat }
    }

    fn muon(&mut self, g: f64, momentum: &Tensor, row: i64, together: &[usize]) -> Result<Step> {
        let (exact, friction) = (self.exact, optimiser::MOMENTUM);
        let before = self.at(&momentum.f_get(row)?)?;
        let m = exact.plus(exact.times(before, friction), g);
        self.line("momentum", "m ← 0.95 · m + g", format!("0.95 · {} + {}", brackets(before), brackets(g)), m);
        let ahead = exact.plus(g, exact.times(m, friction));
        self.line("look ahead", "u = g + 0.95 · m", format!("{} + 0.95 · {}", digits(g, 6), brackets(m)), ahead);
        let change = self.step.orthogonalised(momentum, together)?.f_get(row)?;
        let o = self.at(&change)?;
        let (rows, columns) = change.size2()?;
        let whole = format!("o: orthogonal(U), all {rows} × {columns} together");
        self.line("orthogonalised", whole, String::new(), o);
        let size = optimiser::size(rows, columns);
        self.line("scale", "s = √max(1, rows / columns)", format!("√max(1, {rows} / {columns})"), size);
        Ok(Step::Scaled(o, size))
    }

    fn rate(&mut self) -> f64 {
        let (lr, schedule) = (self.step.lr(self.parameter), self.step.schedule);
        let name = if matches!(self.parameter.memory, Memory::Muon { .. }) { "matrix_lr" } else { "lr" };
        let numbers = format!("{} · {}", digits(lr, 6), digits(schedule, 6));
        self.line("learning rate", format!("rate = {name} · schedule"), numbers, lr * schedule);
        lr * schedule
    }

    fn decayed(&mut self, theta: f64, rate: f64) -> f64 {
        let decay = self.step.config.weight_decay;
        self.line("value before", "θ", String::new(), theta);
        if decay <= 0.0 {
            return theta;
        }
        let left = self.exact.times(theta, 1.0 - rate * decay);
        let numbers = format!("{} · (1 − {} · {})", digits(theta, 6), digits(rate, 6), digits(decay, 6));
        self.line("weight decay", "θ ← θ · (1 − rate · weight_decay)", numbers, left);
        left
    }
}

/// A step for a learning rate of 1.
#[derive(Clone, Copy)]
enum Step {
    Times(f64),
    /// A number, and the scale of its matrix.
    Scaled(f64, f64),
    Divided {
        mean: f64,
        square: f64,
        steps: i32,
        mean_hat: f64,
        square_hat: f64,
    },
}

impl TrainStep {
    /// What Muon moves the matrices of one shape by, for a learning rate of 1 and without the scale.
    ///
    /// # Shapes
    /// `momentum`: (N, R, K), before the step → (N, R, K)
    pub(super) fn orthogonalised(&self, momentum: &Tensor, together: &[usize]) -> Result<Tensor> {
        let gradients: Vec<Tensor> =
            together.iter().map(|&place| self.clipped(&self.parameters[place].gradient)).collect::<Result<_>>()?;
        let gradient = Tensor::f_stack(&gradients, 0)?; // (N, R, K)
        let momentum = momentum.f_mul_scalar(optimiser::MOMENTUM)?.f_add(&gradient)?;
        optimiser::orthogonalised(&optimiser::look_ahead(&gradient, &momentum)?)
    }

    /// A gradient as the optimiser takes it.
    pub(super) fn clipped(&self, gradient: &Tensor) -> Result<Tensor> {
        match self.shortened {
            Some(scale) => Ok(gradient.f_mul_scalar(scale)?),
            None => Ok(gradient.shallow_clone()),
        }
    }
}

fn joined(place: &[i64]) -> String {
    place.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}

fn brackets(number: f64) -> String {
    let text = digits(number, 6);
    if text.starts_with('−') { format!("({text})") } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::{Length, OptimiserKind, StepByStep, TrainConfig};
    use super::*;
    use crate::data::{Stories, Tokens};
    use crate::model::{TransformerConfig, TransformerLm};
    use crate::tokenizer::CharTokenizer;
    use tch::Device;

    /// The third step of a small model.
    fn third(optimiser: OptimiserKind, clip: Option<f64>, weight_decay: f64) -> TrainStep {
        let text = "Once upon a time, there was a little girl named Lily. She had a red ball.";
        let tokens = Tokens::encode(&Stories::parse(text).unwrap(), &CharTokenizer::default()).unwrap();
        let sizes = TransformerConfig {
            emb_dim: 16,
            n_layers: 2,
            n_heads: 2,
            n_kv_heads: 2,
            head_dim: 8,
            n_hidden: 40,
            ..TransformerConfig::small()
        };
        let mut model = TransformerLm::new(sizes, Device::Cpu).unwrap();
        let config = TrainConfig {
            length: Length::Steps(12),
            batch_size: 4,
            context_len: 32,
            optimiser,
            clip,
            weight_decay,
            ..TrainConfig::default()
        };
        let mut steps = StepByStep::new(&mut model, &tokens, &config).unwrap();
        steps.skip(&mut model, 2).unwrap();
        steps.next(&mut model).unwrap()
    }

    #[test]
    fn by_hand_is_the_model_to_the_bit_for_every_optimiser() {
        for optimiser in [OptimiserKind::Muon, OptimiserKind::Adamw, OptimiserKind::Momentum, OptimiserKind::Sgd] {
            for (clip, decay) in [(None, 0.0), (Some(0.5), 0.1), (Some(1e6), 0.0)] {
                let step = third(optimiser, clip, decay);
                let (mut tried, mut off) = (0, 0);
                for parameter in &step.parameters {
                    let (rows, columns) = parameter.before.size2().unwrap();
                    for place in 0..40 {
                        let place = [place * 7 % rows, place * 3 % columns];
                        let by_hand = step.by_hand(&parameter.name, &place).unwrap();
                        tried += 1;
                        off += usize::from(by_hand.difference() != 0.0);
                        // Where a vector ends, libtorch may multiply and add in two steps: the last bit.
                        let last_bit = 2e-7 * by_hand.in_model.abs().max(1e-3);
                        assert!(by_hand.difference() <= last_bit, "{by_hand}");
                        assert!(place.len() == 2 && by_hand.lines.last().unwrap().value == by_hand.result);
                    }
                }
                assert!(off * 1000 <= tried, "{off} of {tried} by {optimiser:?} with {clip:?}");
            }
        }
    }

    #[test]
    fn the_lines_go_from_the_gradient_to_the_new_value() {
        let told = |optimiser, name: &str| third(optimiser, Some(0.5), 0.1).by_hand(name, &[4, 5]).unwrap().to_string();
        let adam = told(OptimiserKind::Muon, "embedding");
        for part in
            ["moved by AdamW", "g ← g · clip", "m ← 0.9", "1 − 0.999³", "weight_decay", "θ − rate · m̂", "difference 0"]
        {
            assert!(adam.contains(part), "{part} is not in {adam}");
        }
        let muon = told(OptimiserKind::Muon, "block.1.mlp.hidden.weight");
        for part in ["moved by Muon", "u = g + 0.95", "all 40 × 16 together", "√max(1, 40 / 16)", "matrix_lr", "s · o"]
        {
            assert!(muon.contains(part), "{part} is not in {muon}");
        }
        assert!(told(OptimiserKind::Momentum, "embedding").contains("v ← 0.9 · v + g"));
        assert!(told(OptimiserKind::Sgd, "embedding").contains("θ − rate · g"));
    }

    #[test]
    fn places_and_parameters_that_are_not_there_are_told() {
        let step = third(OptimiserKind::Sgd, None, 0.0);
        assert!(step.by_hand("embedding", &[4]).unwrap_err().to_string().contains("(256, 16)"));
        assert!(step.by_hand("embedding", &[256, 0]).is_err());
        assert!(step.by_hand("wte", &[0, 0]).unwrap_err().to_string().contains("embedding"));
    }

    #[test]
    fn numbers_have_the_digits_that_matter() {
        let texts = [0.0, 1.0, 0.012345678, -2.5, 123456.789, 1.5e-9, -3e12, f64::NAN].map(|number| digits(number, 6));
        assert_eq!(texts, ["0", "1", "0.0123457", "−2.5", "123457", "1.5·10⁻⁹", "−3·10¹²", "NaN"]);
    }
}
