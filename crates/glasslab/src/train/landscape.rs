//! A slice of the loss: what it would be if the parameters were a little different.
//!
//! All parameters together are a point in a space of thousands of directions; the loss is a height over it. Of that, one can
//! see what lies along two of them: two random ones (Li et al. 2018), or those in which a training has moved most.
//!
//! ```
//! # use glasslab::prelude::*;
//! # fn main() -> Result<()> {
//! # let tokens = Tokens::encode(&Dataset::embedded()?.held_out, &CharTokenizer::default())?;
//! let mut model = MlpLm::new(MlpConfig::original(), Device::Cpu)?;
//! let config = TrainConfig { length: Length::Steps(8), reports: 1, ..TrainConfig::default() };
//! let mut course = Course::every(2);
//! course.train(&mut model, &tokens, &tokens, &config)?;
//! let slice = LandscapeConfig { points: 5, chars: 500, ..LandscapeConfig::default() };
//! println!("{}", Landscape::of_course(&model, &course, &tokens, &slice)?);
//! Landscape::around(&model, &tokens, &slice)?.draw()?;
//! # Ok(())
//! # }
//! ```
//! Source: Li, Xu, Taylor, Studer and Goldstein, "Visualizing the loss landscape of neural nets", 2018.

use super::course::{Course, Kept};
use crate::data::{Batch, Batches, IdSlice, Tokens};
use crate::error::{Error, Result};
use crate::live::Progress;
use crate::memory::keep_freed;
use crate::model::{Trainable, random_tensor};
use crate::numbers::numbers;
use crate::rng::Rng;
use crate::stopping::Listening;
use crate::tokenizer::Unit;
use crate::waiting::Waiting;
use std::fmt;
use tch::{Kind, Tensor};

/// The characters of a piece of text that is measured, at most.
const PIECE: usize = 64;

/// Which slice is measured, and how finely.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LandscapeConfig {
    /// Points along each direction; each is one measurement of the model.
    pub points: usize,
    /// How far to go to each side: along random directions, in lengths of the parameters themselves; around a course, what it
    /// leaves free at each side, as a share of its extent.
    pub span: f64,
    /// Characters that each point is measured on, about: pieces of the text, drawn at random as a training does.
    pub chars: usize,
    /// One seed gives two random directions, and the pieces.
    pub seed: u64,
}

impl Default for LandscapeConfig {
    /// 21 × 21 points on 2,000 characters, one length to each side.
    fn default() -> LandscapeConfig {
        LandscapeConfig { points: 21, span: 1.0, chars: 2_000, seed: 0 }
    }
}

/// The loss along two directions.
#[derive(Debug, Clone, PartialEq)]
pub struct Landscape {
    /// The places along the first direction.
    pub across: Vec<f64>,
    /// The places along the second.
    pub up: Vec<f64>,
    /// The loss in nats per character, or token, at each: `losses[row][column]` at `up[row]` and `across[column]`. NaN where the numbers went
    /// out of range.
    pub losses: Vec<Vec<f64>>,
    /// The course of a training: the step, its place along both directions, and the loss there.
    pub course: Vec<(usize, [f64; 2], f64)>,
    /// How much of the course's movement is along these two directions, from 0 to 1.
    pub share: Option<f64>,
    /// The loss of the model itself, which is at (0, 0).
    pub loss: f64,
    /// Characters, or tokens, that each point was measured on.
    pub chars: usize,
    pub(crate) unit: Unit,
}

impl Landscape {
    /// The slice through a model along two random directions. Each row of a matrix, and each other parameter as a whole, is
    /// changed by up to `span` times its own length, as the paper has it: so slices of different models can be compared.
    /// The model stays as it is.
    ///
    /// # Errors
    /// If a setting is out of range, no story has two characters, or the stop button is pressed.
    pub fn around(model: &impl Trainable, tokens: &Tokens, config: &LandscapeConfig) -> Result<Landscape> {
        config.check()?;
        let mut rng = Rng::new(config.seed);
        let mut direction = || -> Result<Vec<Tensor>> {
            let parameters = model.parameters();
            parameters.iter().map(|parameter| alike(&mut rng, &parameter.tensor)).collect()
        };
        let directions = [direction()?, direction()?];
        let side = |at: usize| config.span * (2.0 * at as f64 / (config.points - 1) as f64 - 1.0);
        let places: Vec<f64> = (0..config.points).map(side).collect();
        let mut landscape = Landscape { across: places.clone(), up: places, ..Landscape::empty(model) };
        landscape.measure(model, &directions, &pieces(model, tokens, config)?)?;
        Ok(landscape)
    }

    /// The slice along the two directions in which a training has moved most, through the end of its course. The model may be
    /// at any point of it, and stays as it is.
    ///
    /// # Errors
    /// If the course has fewer than three moments or is of another model, and as [`around`](Self::around).
    pub fn of_course(
        model: &impl Trainable,
        course: &Course,
        tokens: &Tokens,
        config: &LandscapeConfig,
    ) -> Result<Landscape> {
        config.check()?;
        let _guard = tch::no_grad_guard();
        let sizes = |tensors: &[Tensor]| tensors.iter().map(Tensor::size).collect::<Vec<_>>();
        let own: Vec<Tensor> = model.parameters().into_iter().map(|parameter| parameter.tensor).collect();
        let [.., (_, last)] = &course.moments[..] else {
            return Err(Error::Config("the course is empty: course.train(&mut model, …) keeps one".to_owned()));
        };
        if course.moments.iter().any(|moment| sizes(&moment.1) != sizes(&own)) {
            return Err(Error::Config("this course is that of a model with other parameters".to_owned()));
        }
        let flat = |tensors: &[Tensor]| -> Result<Tensor> {
            Ok(Tensor::f_cat(&tensors.iter().map(|tensor| tensor.flatten(0, -1)).collect::<Vec<_>>(), 0)?)
        };
        let end = flat(last)?; // (P)
        let away = course.moments.iter().map(|moment| Ok(flat(&moment.1)?.f_sub(&end)?));
        let away = Tensor::f_stack(&away.collect::<Result<Vec<_>>>()?, 0)?; // (S, P)
        // Of S × P numbers the S × S products are enough: D Dᵀ = U Λ Uᵀ, and the directions are Dᵀ U / √Λ.
        let products = away.f_matmul(&away.f_transpose(0, 1)?)?.f_to_kind(Kind::Double)?; // (S, S)
        let (squares, vectors) = products.f_linalg_eigh("L")?; // (S), the smallest first; (S, S)
        let variances = numbers(&squares)?;
        let count = variances.len();
        let enough = count > 2 && variances[count - 2] > 1e-9 * variances[count - 1];
        if !enough || !variances[count - 1].is_finite() {
            return Err(Error::Config(
                "this course has no two directions: keep at least three moments, of a training whose numbers are finite"
                    .to_owned(),
            ));
        }
        let mut directions = Vec::new();
        let mut places = Vec::new();
        for axis in [count - 1, count - 2] {
            let (length, vector) = (variances[axis].sqrt(), vectors.f_select(1, axis as i64)?); // (S)
            let direction = vector.f_div_scalar(length)?.f_to_kind(away.kind())?.f_matmul(&away)?; // (P)
            places.push(numbers(&vector.f_mul_scalar(length)?)?);
            directions.push(parts(&direction, last)?);
        }
        let kept: f64 = variances[count - 2..].iter().sum();
        let all: f64 = variances.iter().map(|variance| variance.max(0.0)).sum();
        let axis = |places: &[f64]| -> Vec<f64> {
            let (low, high) = (places.iter().copied().fold(0.0, f64::min), places.iter().copied().fold(0.0, f64::max));
            // A quarter of the course's extent at each side, for a span of 1.
            let margin = 0.25 * config.span * (high - low);
            let place = |at: usize| low - margin + (high - low + 2.0 * margin) * at as f64 / (config.points - 1) as f64;
            (0..config.points).map(place).collect()
        };
        let mut landscape = Landscape {
            across: axis(&places[0]),
            up: axis(&places[1]),
            share: Some(kept / all),
            ..Landscape::empty(model)
        };
        let (here, pieces) = (Kept::of(model), pieces(model, tokens, config)?);
        let at_moment = |values: &[Tensor]| -> Result<f64> {
            for (mut parameter, values) in model.parameters().into_iter().zip(values) {
                parameter.tensor.f_copy_(values)?;
            }
            height(model, &pieces)
        };
        let mut listening = listening();
        for (moment, (step, values)) in course.moments.iter().enumerate() {
            listening.go_on()?;
            let loss = at_moment(values)?;
            landscape.course.push((*step, [places[0][moment], places[1][moment]], loss));
        }
        at_moment(last)?;
        landscape.measure(model, &[directions.remove(0), directions.remove(0)], &pieces)?;
        drop(here);
        Ok(landscape)
    }

    fn empty(model: &impl Trainable) -> Landscape {
        let (across, up, losses, course) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let unit = model.tokenizer().unit();
        Landscape { across, up, losses, course, share: None, loss: f64::NAN, chars: 0, unit }
    }

    /// Measures all points, from where the model stands.
    fn measure(&mut self, model: &impl Trainable, directions: &[Vec<Tensor>; 2], pieces: &Batch) -> Result<()> {
        keep_freed();
        let _waiting = Waiting::by_load();
        (self.loss, self.chars) = (height(model, pieces)?, pieces.targets.numel());
        let mut kept = Kept::of(model);
        let mut progress = Progress::new("landscape");
        let mut listening = listening();
        for (row, &up) in self.up.iter().enumerate() {
            let mut losses = Vec::new();
            for &across in &self.across {
                listening.go_on()?;
                kept.move_along(&[(across, &directions[0]), (up, &directions[1])])?;
                losses.push(height(model, pieces)?);
            }
            self.losses.push(losses);
            let done = (row + 1) * self.across.len();
            progress.update((row + 1) as f64 / self.up.len() as f64, || format!("{done} points"));
        }
        progress.finish(&format!(
            "{} points of {} {} each",
            self.up.len() * self.across.len(),
            self.chars,
            self.unit.many
        ));
        Ok(())
    }

    /// The lowest and the highest of the finite losses.
    pub fn range(&self) -> (f64, f64) {
        let finite = || self.losses.iter().flatten().copied().filter(|loss| loss.is_finite());
        (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max))
    }
}

impl LandscapeConfig {
    fn check(&self) -> Result<()> {
        match self {
            LandscapeConfig { points: ..2, .. } => Err(Error::Config(format!(
                "a landscape has at least 2 points along each direction, got {}",
                self.points
            ))),
            LandscapeConfig { span, .. } if !(span.is_finite() && *span > 0.0) => {
                Err(Error::Config(format!("span must be above 0, got {span}")))
            }
            LandscapeConfig { chars: 0, .. } => {
                Err(Error::Config("measure at least 1 character: chars is 0".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

fn listening() -> Listening {
    Listening::new("a landscape was measured; the model is as it was")
}

/// The pieces of the text that are measured, the same at each point.
fn pieces(model: &impl Trainable, tokens: &Tokens, config: &LandscapeConfig) -> Result<Batch> {
    let most = model.max_len().map_or(PIECE, |length| PIECE.min(length as usize));
    let longest = || tokens.stories().map(IdSlice::len).max().unwrap_or(0);
    let length = if tokens.stories().any(|story| story.len() > most) { most } else { longest().max(2) - 1 };
    Batches::new(tokens, config.chars.div_ceil(length), length, config.seed)?.next_batch(model.device())
}

/// The loss on these pieces; not finite where the numbers went out of range.
fn height(model: &impl Trainable, pieces: &Batch) -> Result<f64> {
    let _guard = tch::no_grad_guard();
    Ok(model.loss(&pieces.inputs, &pieces.targets)?.f_double_value(&[])?)
}

/// A random direction of a parameter, of its shape: each row of a matrix as long as the parameter's own.
fn alike(rng: &mut Rng, parameter: &Tensor) -> Result<Tensor> {
    let own = parameter.f_detach()?;
    let random = random_tensor(rng, &own.size(), 1.0)?.f_to_device(own.device())?.f_to_kind(own.kind())?;
    let axes: Vec<i64> = if own.dim() < 2 { (0..own.dim() as i64).collect() } else { (1..own.dim() as i64).collect() };
    let lengths = |tensor: &Tensor| -> Result<Tensor> {
        Ok(tensor.f_square()?.f_sum_dim_intlist(&axes[..], true, own.kind())?.f_sqrt()?)
    };
    Ok(random.f_mul(&lengths(&own)?)?.f_div(&lengths(&random)?.f_add_scalar(1e-12)?)?)
}

/// A vector of all parameters as pieces in the shapes of the parameters.
fn parts(vector: &Tensor, like: &[Tensor]) -> Result<Vec<Tensor>> {
    let mut start = 0;
    let part = |tensor: &Tensor| {
        let length = tensor.numel() as i64;
        let piece = vector.f_narrow(0, start, length)?.f_view(&tensor.size()[..])?;
        start += length;
        Ok(piece)
    };
    like.iter().map(part).collect()
}

impl fmt::Display for Landscape {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.range();
        write!(
            out,
            "landscape of {} × {} points, each measured on {} {}: from {low:.3} to {high:.3} {}; {:.3} where the model is",
            self.across.len(),
            self.up.len(),
            self.chars,
            self.unit.many,
            self.unit.nats,
            self.loss
        )?;
        if let (Some(share), [(from, _, first), .., (to, _, last)]) = (self.share, &self.course[..]) {
            write!(
                out,
                "\nits training went from {first:.3} at step {from} to {last:.3} at step {to}; {:.0} % of its way lies in these \
                 two directions",
                share * 100.0
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Length, TrainConfig};
    use super::*;
    use crate::data::Stories;
    use crate::model::{MlpConfig, MlpLm, TransformerConfig, TransformerLm};
    use crate::tokenizer::CharTokenizer;
    use tch::Device;

    fn tokens() -> Tokens {
        let stories = Stories::parse(&"Once upon a time there was a cat. ".repeat(8)).unwrap();
        Tokens::encode(&stories, &CharTokenizer::default()).unwrap()
    }

    fn slice() -> LandscapeConfig {
        LandscapeConfig { points: 5, chars: 100, ..LandscapeConfig::default() }
    }

    fn copies(model: &impl Trainable) -> Vec<Tensor> {
        model.parameters().iter().map(|one| one.tensor.detach().copy()).collect()
    }

    fn training() -> TrainConfig {
        TrainConfig {
            length: Length::Steps(12),
            batch_size: 4,
            context_len: 16,
            reports: 1,
            keep_best: false,
            ..TrainConfig::default()
        }
    }

    #[test]
    fn the_model_stays_to_the_bit_and_is_the_middle_of_its_landscape() {
        let (model, tokens) = (TransformerLm::new(TransformerConfig::original(), Device::Cpu).unwrap(), tokens());
        let before = copies(&model);
        let landscape = Landscape::around(&model, &tokens, &slice()).unwrap();
        assert_eq!(copies(&model), before);
        assert_eq!(landscape.losses[2][2], landscape.loss);
        assert!((landscape.loss - 256_f64.ln()).abs() < 0.1 && landscape.chars == 128, "two pieces of 64: {landscape}");
        assert!(landscape.losses[0][0] != landscape.loss && landscape.losses.len() == 5, "{landscape}");
        assert_eq!(landscape, Landscape::around(&model, &tokens, &slice()).unwrap(), "one seed gives one landscape");
        let other = LandscapeConfig { seed: 1, ..slice() };
        assert_ne!(landscape, Landscape::around(&model, &tokens, &other).unwrap());
    }

    #[test]
    fn a_direction_has_rows_as_long_as_the_parameters_own() {
        let mut rng = Rng::new(1);
        let matrix = Tensor::from_slice(&[3.0_f32, 4.0, 0.0, 0.0, 0.6, 0.8]).view([3, 2]);
        let lengths =
            numbers(&alike(&mut rng, &matrix).unwrap().square().sum_dim_intlist(-1, false, Kind::Float)).unwrap();
        assert!(
            lengths.iter().zip([25.0, 0.0, 1.0]).all(|(got, expected)| (got - expected).abs() < 1e-4),
            "{lengths:?}"
        );
        assert!(alike(&mut rng, &Tensor::from(2.0_f32)).unwrap().double_value(&[]).abs() > 1.99);
    }

    #[test]
    fn the_plane_of_a_course_goes_through_its_end_and_has_its_steps() {
        let (mut model, tokens) = (MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap(), tokens());
        let mut course = Course::every(4);
        let history = course.train(&mut model, &tokens, &tokens, &training()).unwrap();
        assert_eq!(course.steps(), [0, 4, 8, 12]);
        let before = copies(&model);
        let landscape = Landscape::of_course(&model, &course, &tokens, &slice()).unwrap();
        assert_eq!(copies(&model), before);
        let (step, place, loss) = landscape.course[3];
        assert!(step == 12 && place.iter().all(|place| place.abs() < 1e-3), "{place:?}");
        assert!((loss - landscape.loss).abs() < 1e-9 && landscape.course[0].2 > loss + 1.0, "{landscape}");
        assert!(landscape.share.is_some_and(|share| share > 0.8 && share <= 1.0 + 1e-9), "{landscape}");
        // Measured from the start, it is the same plane, and the start is put back.
        let start = MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap();
        assert_eq!(Landscape::of_course(&start, &course, &tokens, &slice()).unwrap(), landscape);
        assert_eq!(copies(&start), copies(&MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap()));
        assert!(history.held_out().is_some() && landscape.to_string().contains("of its way"), "{landscape}");
    }

    #[test]
    fn courses_and_slices_that_make_no_sense_are_told() {
        let (mut model, tokens) = (MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap(), tokens());
        let told = |model: &MlpLm, course: &Course, config: &LandscapeConfig| {
            Landscape::of_course(model, course, &tokens, config).unwrap_err().to_string()
        };
        let mut course = Course::every(100);
        assert!(told(&model, &course, &slice()).contains("empty"));
        course.train(&mut model, &tokens, &tokens, &training()).unwrap();
        assert!(told(&model, &course, &slice()).contains("three moments"));
        let other = MlpLm::new(MlpConfig { n_hidden: 3, ..MlpConfig::original() }, Device::Cpu).unwrap();
        assert!(told(&other, &course, &slice()).contains("other parameters"));
        for (config, name) in [
            (LandscapeConfig { points: 1, ..slice() }, "points"),
            (LandscapeConfig { span: f64::NAN, ..slice() }, "span"),
            (LandscapeConfig { chars: 0, ..slice() }, "chars"),
        ] {
            assert!(Landscape::around(&model, &tokens, &config).unwrap_err().to_string().contains(name));
        }
    }
}
