//! A training under way: all that decides how it goes on, so that it can be kept and taken up again.

use super::config::{TrainConfig, longest};
use super::history::{History, Point};
use super::optimiser::{Optimiser, SlowMotion};
use super::step_by_step::TrainStep;
use crate::checkpoint::{read_tensors, write_tensors};
use crate::data::{Batches, Tokens};
use crate::error::{Error, Result};
use crate::evaluate::evaluate_some;
use crate::memory::keep_freed;
use crate::model::Trainable;
use crate::waiting::Waiting;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;
use tch::{Kind, Tensor};

/// How many held-out characters are measured on the way; [`evaluate`](crate::evaluate::evaluate) measures all.
const HELD_OUT_SAMPLE: usize = 20_000;
/// How many points of the training loss a history has, about.
const POINTS: usize = 200;

/// What a training tells after each step.
#[derive(Debug)]
pub struct Moment<'a> {
    /// How much is done, from 0 to 1.
    pub progress: f64,
    /// Steps so far.
    pub step: usize,
    /// Characters learnt from so far.
    pub chars: usize,
    /// Seconds of training so far.
    pub seconds: f64,
    /// The losses so far.
    pub history: &'a History,
    /// Whether this step has measured the held-out loss: time for a line.
    pub report: bool,
    /// What the learning rates of the next steps are multiplied by, beside the schedule; 1 unless it is changed here.
    pub lr_scale: &'a mut f64,
}

impl Moment<'_> {
    /// The last losses, the speed and the time left, as a line of text.
    pub fn line(&self) -> String {
        self.history.line(self.progress)
    }
}

/// Looks into a training while it runs.
pub(crate) trait Look<M> {
    /// Before each step: the model as so many steps have made it. Whether the step is to be seen from within.
    ///
    /// # Errors
    /// What ends the training.
    fn before(&mut self, model: &M, done: usize) -> Result<bool>;

    /// After a step that was to be seen.
    ///
    /// # Errors
    /// What ends the training.
    fn after(&mut self, _step: &TrainStep) -> Result<()> {
        Ok(())
    }
}

/// Nobody looks.
impl<M> Look<M> for () {
    fn before(&mut self, _model: &M, _done: usize) -> Result<bool> {
        Ok(false)
    }
}

/// The numbers of a [`Training`] that are no tensors.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    config: TrainConfig,
    /// How much text it learns from: to notice another one.
    data: (usize, usize),
    rng: u64,
    step: usize,
    seconds: f64,
    /// The steps whose losses are in `sum`, since the last point of the history.
    summed: u32,
    history: History,
}

/// A training under way.
#[derive(Debug)]
pub(super) struct Training {
    state: State,
    sum: Tensor,
    optimiser: Optimiser,
    /// The parameters of the report with the lowest held-out loss, and this loss; at first those of the start.
    best: (Vec<Tensor>, f64),
    /// Seconds that it does not exceed.
    pub(super) longest: f64,
}

impl Training {
    pub(super) fn new(model: &mut impl Trainable, data: &Tokens, config: &TrainConfig) -> Result<Training> {
        config.check()?;
        let state = State {
            config: config.clone(),
            data: extent(data),
            rng: config.seed,
            step: 0,
            seconds: 0.0,
            summed: 0,
            history: History::default(),
        };
        let sum = Tensor::f_zeros([], (Kind::Float, model.device()))?;
        let best = (copies(model), f64::INFINITY);
        Ok(Training { state, sum, optimiser: Optimiser::new(model, config)?, best, longest: longest() })
    }

    /// How it goes.
    pub(super) fn config(&self) -> &TrainConfig {
        &self.state.config
    }

    /// Steps so far.
    pub(super) fn done(&self) -> usize {
        self.state.step
    }

    /// How much is done, from 0 to 1 and above.
    pub(super) fn progress(&self) -> f64 {
        self.state.config.length.progress(self.state.step, self.state.seconds, self.longest)
    }

    /// Adds a step that took so long to the history.
    pub(super) fn note(&mut self, loss: f64, seconds: f64) {
        let State { config, step, seconds: all, history, .. } = &mut self.state;
        *all += seconds;
        let chars = *step * config.batch_size * config.context_len;
        history.points.push(Point { step: *step, chars, seconds: *all, train: loss, held_out: None });
    }

    /// What happened so far.
    pub(super) fn history(&self) -> &History {
        &self.state.history
    }

    /// The batches from where the training stands.
    pub(super) fn batches<'a>(&self, data: &'a Tokens) -> Result<Batches<'a>> {
        let TrainConfig { batch_size, context_len, seed, .. } = self.state.config;
        let mut batches = Batches::new(data, batch_size, context_len, seed)?;
        batches.rng.state = self.state.rng;
        Ok(batches)
    }

    /// One step: a batch, its loss and gradient, and the parameters moved, with `rate` times the learning rates of the
    /// config. Gives the loss, and with `look` all that moved.
    pub(super) fn step(
        &mut self,
        model: &mut impl Trainable,
        batches: &mut Batches<'_>,
        rate: f64,
        look: bool,
    ) -> Result<(Tensor, Option<SlowMotion>)> {
        let Training { state, optimiser, sum, .. } = self;
        let batch = batches.next_batch(model.device())?;
        let loss = model.loss(&batch.inputs, &batch.targets)?;
        let (lr, matrix_lr) = (state.config.lr * rate, state.config.matrix_lr * rate);
        let seen = match look {
            true => Some(optimiser.step_in_slow_motion(model, &loss, lr, matrix_lr)?),
            false => {
                optimiser.step(model, &loss, lr, matrix_lr)?;
                None
            }
        };
        let loss = loss.detach();
        // Summed where it is: reading a number from a GPU every step would make it wait.
        *sum = sum.f_add(&loss)?;
        state.summed += 1;
        state.step += 1;
        state.rng = batches.rng.state;
        Ok((loss, seen))
    }

    /// Goes on until the end, or until `watch` breaks off. Where it fails, the history tells how far it came.
    pub(super) fn run<M: Trainable>(
        &mut self,
        model: &mut M,
        data: &Tokens,
        held_out: &Tokens,
        look: &mut impl Look<M>,
        mut watch: impl FnMut(Moment<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        keep_freed();
        let _waiting = Waiting::by_load();
        let config = self.state.config.clone();
        let mut batches = self.batches(data)?;
        let (started, before_start) = (Instant::now(), self.state.seconds);
        let mut progress = self.progress();
        let mut lr_scale = 1.0;
        while progress < 1.0 {
            let is_seen = look.before(model, self.state.step)?;
            let rate = config.schedule(progress) * lr_scale;
            let (loss, seen) = self.step(model, &mut batches, rate, is_seen)?;
            if let Some(seen) = seen {
                look.after(&TrainStep::new(&config, self.state.step, rate, &loss, seen)?)?;
            }
            self.state.seconds = before_start + started.elapsed().as_secs_f64();
            let before = std::mem::replace(&mut progress, self.progress());
            let passed = |parts: usize| (before * parts as f64).floor() < (progress * parts as f64).floor();
            let report = passed(config.reports.max(1)) || progress >= 1.0;
            if report || passed(POINTS) || self.state.step == 1 {
                self.add_point(model, held_out, report)?;
            }
            if report && let Some(path) = &config.autosave {
                self.save(model, path)?;
            }
            let state = &self.state;
            let moment = Moment {
                progress,
                step: state.step,
                chars: state.step * config.batch_size * config.context_len,
                seconds: state.seconds,
                history: &state.history,
                report,
                lr_scale: &mut lr_scale,
            };
            if watch(moment).is_break() && progress < 1.0 {
                if let Some(path) = &config.autosave {
                    self.save(model, path)?;
                }
                if self.state.summed > 0 {
                    self.add_point(model, held_out, true)?;
                }
                self.state.history.stopped = true;
                break;
            }
        }
        if config.keep_best && self.state.history.keep_best() {
            put_back(model, &self.best.0)?;
        }
        Ok(())
    }

    /// What happened.
    pub(super) fn into_history(self) -> History {
        self.state.history
    }

    /// Adds a point to the history: the training loss since the last one, and with `report` the held-out loss.
    fn add_point(&mut self, model: &mut impl Trainable, held_out: &Tokens, report: bool) -> Result<()> {
        let State { config, step, seconds, summed, history, .. } = &mut self.state;
        let train = self.sum.f_double_value(&[])? / f64::from(*summed);
        if !train.is_finite() {
            let chars = *step * config.batch_size * config.context_len;
            history.points.push(Point { step: *step, chars, seconds: *seconds, train, held_out: None });
            put_back(model, &self.best.0)?;
            let kept = match &config.autosave {
                Some(path) if path.exists() => {
                    format!("; the last good state of the training is in {}", path.display())
                }
                _ => String::new(),
            };
            return Err(Error::NonFinite { step: *step, loss: train, lr: config.lr, kept });
        }
        (self.sum, *summed) = (self.sum.zeros_like(), 0);
        let held_out = if report { Some(evaluate_some(model, held_out, HELD_OUT_SAMPLE)?.nats_per_char) } else { None };
        let chars = *step * config.batch_size * config.context_len;
        history.points.push(Point { step: *step, chars, seconds: *seconds, train, held_out });
        if held_out.is_some_and(|loss| loss < self.best.1) {
            self.best = (copies(model), held_out.unwrap_or(f64::INFINITY));
        }
        Ok(())
    }

    /// Keeps everything in one file, so that it is whole or not there: the numbers as JSON in a tensor of bytes.
    fn save(&self, model: &mut impl Trainable, path: &Path) -> Result<()> {
        let json = serde_json::to_vec(&self.state).map_err(|error| Error::Data(error.to_string()))?;
        let mut tensors = vec![
            ("state.json".to_owned(), Tensor::from_slice(&json)),
            ("loss.sum".to_owned(), self.sum.shallow_clone()),
            ("loss.best".to_owned(), Tensor::from_slice(&[self.best.1])),
        ];
        let parameters = model.parameters();
        tensors
            .extend(parameters.iter().zip(&self.best.0).map(|(one, best)| (format!("best.{}", one.name), best.copy())));
        tensors.extend(parameters.into_iter().map(|one| (format!("model.{}", one.name), one.tensor.detach())));
        tensors.extend(self.optimiser.memory());
        write_tensors(path, tensors)
    }

    /// Takes up the training that a file holds; `model` gets its parameters.
    pub(super) fn load(path: &Path, model: &mut impl Trainable, data: &Tokens) -> Result<Training> {
        let kept = read_tensors(path)?;
        let wrong = |what: &str| {
            Error::Data(format!("{} is no state of this training: {what}. Start the training anew", path.display()))
        };
        let get = |name: &str| kept.iter().find(|(other, _)| other == name).map(|(_, tensor)| tensor);
        let json = get("state.json").ok_or_else(|| wrong("it holds no state.json"))?;
        let state: State =
            serde_json::from_slice(&Vec::<u8>::try_from(json)?).map_err(|error| wrong(&error.to_string()))?;
        if state.data != extent(data) {
            return Err(wrong("it learnt from another text"));
        }
        let mut training = Training::new(model, data, &state.config)?;
        let _guard = tch::no_grad_guard();
        for (mut parameter, best) in model.parameters().into_iter().zip(&mut training.best.0) {
            for (target, part) in [(&mut parameter.tensor, "model"), (best, "best")] {
                let name = format!("{part}.{}", parameter.name);
                let Some(values) = get(&name).filter(|values| values.size() == target.size()) else {
                    return Err(wrong(&format!("it has no {name} of shape {:?}", target.size())));
                };
                target.f_copy_(values)?;
            }
        }
        training.optimiser.remember(&kept)?;
        training.best.1 = get("loss.best").ok_or_else(|| wrong("it has no loss.best"))?.f_double_value(&[0])?;
        training.sum.f_copy_(get("loss.sum").ok_or_else(|| wrong("it has no loss.sum"))?)?;
        training.state = state;
        Ok(training)
    }
}

fn extent(data: &Tokens) -> (usize, usize) {
    (data.stories().count(), data.len())
}

fn copies(model: &mut impl Trainable) -> Vec<Tensor> {
    model.parameters().into_iter().map(|parameter| parameter.tensor.detach().copy()).collect()
}

fn put_back(model: &mut impl Trainable, values: &[Tensor]) -> Result<()> {
    let _guard = tch::no_grad_guard();
    for (mut parameter, values) in model.parameters().into_iter().zip(values) {
        parameter.tensor.f_copy_(values)?;
    }
    Ok(())
}
