//! A training under way: all that decides how it goes on, so that it can be kept and taken up again.

use super::autosave::Autosave;
use super::config::{TrainConfig, longest};
use super::history::{History, Point};
use super::optimiser::{Optimiser, SlowMotion};
use super::state::{State, extent};
use super::step::TrainStep;
use crate::data::{Batches, Text, Tokens};
use crate::error::{Error, Result};
use crate::evaluate::{check_held_out, measure};
use crate::memory::keep_freed;
use crate::model::{LanguageModel, Trainable, Trained};
use crate::stopping::{Listening, should_stop};
use crate::tokenizer::Unit;
use crate::waiting::Waiting;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tch::{Kind, Tensor};

/// How many held-out tokens are measured at the end; [`evaluate`](crate::evaluate::evaluate) measures all.
const HELD_OUT_SAMPLE: usize = 20_000;
/// How many are measured on the way at least.
const SHORTEST_SAMPLE: usize = 2_000;
/// How many tokens are learnt from for each that is measured on the way. A token is measured with at most as many before it, and
/// reading two takes about two thirds of the time of learning from one: so measuring takes at most a twentieth of a training that is
/// not of seconds.
const LEARNT_FOR_EACH: f64 = 14.0;
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
    /// With a report: the file that holds the state of the training, if one does.
    pub kept: Option<&'a Path>,
    /// With a report: why the state could not be kept. The training goes on without.
    pub trouble: Option<&'a str>,
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

/// A training under way.
#[derive(Debug)]
pub(super) struct Training {
    pub(super) state: State,
    pub(super) sum: Tensor,
    pub(super) optimiser: Optimiser,
    /// The parameters of the report with the lowest held-out loss, and this loss; at first those of the start.
    pub(super) best: (Vec<Tensor>, f64),
    pub(super) autosave: Autosave,
    /// Seconds that it does not exceed.
    pub(super) longest: f64,
}

impl Training {
    pub(super) fn new(model: &mut impl Trainable, data: &Tokens, config: &TrainConfig) -> Result<Training> {
        config.check()?;
        let chars_per_token = data.chars_per_token();
        let guessing = (model.n_vocab() as f64).ln() / chars_per_token;
        let history = History { guessing: Some(guessing), chars_per_token, ..History::default() };
        let state = State {
            config: config.clone(),
            data: extent(data),
            texts: (None, None),
            model: model.settings(),
            tokenizer: Some(model.tokenizer()),
            rng: config.seed,
            step: 0,
            seconds: 0.0,
            summed: 0,
            history,
            sample: None,
            chars_per_token,
            earlier_seconds: model.trained().map_or(0.0, |before| before.earlier_seconds + before.seconds),
        };
        Training::of(model, state, Autosave::in_file(config.autosave.clone()))
    }

    /// What was kept in a file; the tensors are still those of a beginning.
    pub(super) fn taken_up(model: &mut impl Trainable, mut state: State, file: PathBuf) -> Result<Training> {
        state.history.stopped = false;
        // Older versions measured as many at every report.
        let measured = state.history.points.iter().any(|point| point.held_out.is_some());
        state.sample = state.sample.or(measured.then_some(HELD_OUT_SAMPLE));
        state.history.chars_per_token = state.chars_per_token;
        state.config.autosave = Some(file.clone());
        Training::of(model, state, Autosave::kept_in(file))
    }

    fn of(model: &mut impl Trainable, state: State, autosave: Autosave) -> Result<Training> {
        let sum = Tensor::f_zeros([], (Kind::Float, model.device()))?;
        let best = (copies(model), f64::INFINITY);
        let optimiser = Optimiser::new(model, &state.config)?;
        Ok(Training { state, sum, optimiser, best, autosave, longest: longest() })
    }

    /// Whether it can learn from this text and be measured on that one: to be known before the first step.
    pub(super) fn check(&self, model: &impl LanguageModel, data: &Tokens, held_out: &Tokens) -> Result<()> {
        self.batches(data)?;
        check_held_out(model, held_out)
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
        self.state.seconds += seconds;
        let State { step, seconds, chars_per_token, .. } = self.state;
        let (chars, train) = (self.chars(), loss / chars_per_token);
        self.state.history.points.push(Point { step, chars, seconds, train, held_out: None });
    }

    /// Characters learnt from so far.
    fn chars(&self) -> usize {
        let State { config, step, chars_per_token, .. } = &self.state;
        ((step * config.batch_size * config.context_len) as f64 * chars_per_token).round() as usize
    }

    /// What the model's ids are called.
    pub(super) fn unit(&self) -> Unit {
        self.state.tokenizer.clone().unwrap_or_default().unit()
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
        let (loss, gradients) = model.loss_and_gradients(&batch.inputs, &batch.targets)?;
        let (lr, matrix_lr) = (state.config.lr * rate, state.config.matrix_lr * rate);
        let seen = match look {
            true => Some(optimiser.step_in_slow_motion(model, gradients, lr, matrix_lr)?),
            false => {
                optimiser.step_along(model, gradients, lr, matrix_lr)?;
                None
            }
        };
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
        self.check(model, data, held_out)?;
        if self.autosave.is_asked() {
            self.state.texts = (Some(Text::of(data)), Some(Text::of(held_out)));
        }
        keep_freed();
        let _waiting = Waiting::by_load();
        // A step, the state's writing and a measurement may each take seconds.
        let _listening = Listening::new("a model was trained");
        let config = self.state.config.clone();
        let mut batches = self.batches(data)?;
        let (started, before_start) = (Instant::now(), self.state.seconds);
        let mut progress = self.progress();
        let mut lr_scale = 1.0;
        self.state.history.at_end = None;
        if progress >= 1.0 {
            let last = self.last_loss(model, held_out)?; // taken up after its end
            self.choose(model, held_out, last)?;
        }
        while progress < 1.0 {
            let is_seen = look.before(model, self.state.step)?;
            let rate = config.schedule(progress) * lr_scale;
            let (loss, seen) = self.step(model, &mut batches, rate, is_seen)?;
            if let Some(seen) = seen {
                look.after(&TrainStep::new(&config, self.state.step, rate, &loss, seen, self.unit())?)?;
            }
            self.state.seconds = before_start + started.elapsed().as_secs_f64();
            let before = std::mem::replace(&mut progress, self.progress());
            let passed = |parts: usize| (before * parts as f64).floor() < (progress * parts as f64).floor();
            let report = passed(config.reports.max(1)) || progress >= 1.0;
            if report || passed(POINTS) || self.state.step == 1 {
                self.add_point(model, held_out, report)?;
            }
            if progress >= 1.0 {
                let last = self.last_loss(model, held_out)?;
                self.keep(model);
                self.choose(model, held_out, last)?;
            } else if report && self.autosave.is_due(started.elapsed().as_secs_f64()) {
                self.keep(model);
            }
            let (state, autosave, chars) = (&self.state, &self.autosave, self.chars());
            let moment = Moment {
                progress,
                step: state.step,
                chars,
                seconds: state.seconds,
                history: &state.history,
                report,
                kept: autosave.kept().filter(|_| report),
                trouble: autosave.trouble.as_deref().filter(|_| report),
                lr_scale: &mut lr_scale,
            };
            if watch(moment).is_break() | should_stop() && progress < 1.0 {
                self.keep(model);
                if self.state.summed > 0 {
                    self.add_point(model, held_out, true)?;
                } else if self.state.history.points.last().is_some_and(|point| point.held_out.is_none()) {
                    let loss = self.reported(model, held_out)?;
                    self.state.history.points.last_mut().expect("there is one").held_out = Some(loss);
                }
                self.state.history.stopped = true;
                let last = self.last_loss(model, held_out)?;
                self.choose(model, held_out, last)?;
                break;
            }
        }
        let history = &mut self.state.history;
        (history.autosave, history.unsaved) =
            (self.autosave.kept().map(Path::to_path_buf), self.autosave.trouble.clone());
        let (stories, tokens) = extent(data);
        let State { step: steps, seconds, earlier_seconds, .. } = self.state;
        let (text, nats_per_char) = (None, history.held_out());
        model.learnt_from(Trained { text, stories, tokens, steps, seconds, earlier_seconds, nats_per_char });
        Ok(())
    }

    /// Keeps the state, if that is asked for; if it can't be kept, the training goes on.
    fn keep(&mut self, model: &mut impl Trainable) {
        let mut autosave = std::mem::take(&mut self.autosave);
        autosave.keep(|path| self.save(model, path));
        self.autosave = autosave;
    }

    /// What happened.
    pub(super) fn into_history(self) -> History {
        self.state.history
    }

    /// Adds a point to the history: the training loss since the last one, and with `report` the held-out loss.
    fn add_point(&mut self, model: &mut impl Trainable, held_out: &Tokens, report: bool) -> Result<()> {
        let State { step, seconds, summed, chars_per_token, .. } = self.state;
        let train = self.sum.f_double_value(&[])? / f64::from(summed) / chars_per_token;
        if !train.is_finite() {
            return Err(self.broken(model, train)?);
        }
        let held_out = report.then(|| self.reported(model, held_out)).transpose()?;
        (self.sum, self.state.summed) = (self.sum.zeros_like(), 0);
        let chars = self.chars();
        self.state.history.points.push(Point { step, chars, seconds, train, held_out });
        Ok(())
    }

    /// The held-out loss on the way; the parameters are kept if it is the lowest so far.
    fn reported(&mut self, model: &mut impl Trainable, held_out: &Tokens) -> Result<f64> {
        let State { config, step, seconds, sample, .. } = &mut self.state;
        let learnt =
            config.length.steps(*step, *seconds, self.longest) * (config.batch_size * config.context_len) as f64;
        let enough = (learnt / LEARNT_FOR_EACH / config.reports.max(1) as f64) as usize; // without end is the largest number
        let sample = *sample.get_or_insert(enough.clamp(SHORTEST_SAMPLE, HELD_OUT_SAMPLE));
        let loss = measured(model, held_out, sample)?;
        if !loss.is_finite() {
            // The last step may have made NaN of the parameters, after a loss that was none yet.
            return Err(self.broken(model, loss)?);
        }
        if loss < self.best.1 {
            self.best = (copies(model), loss);
        }
        Ok(loss)
    }

    /// The loss of the last parameters on as much text as an end is measured on; `None` if the last report has measured as much.
    fn last_loss(&mut self, model: &mut impl Trainable, held_out: &Tokens) -> Result<Option<f64>> {
        if self.state.sample.is_none_or(|sample| sample >= held_out.len().min(HELD_OUT_SAMPLE)) {
            return Ok(None);
        }
        let loss = measured(model, held_out, HELD_OUT_SAMPLE)?;
        if !loss.is_finite() {
            return Err(self.broken(model, loss)?);
        }
        Ok(Some(loss))
    }

    /// Leaves the model with the best parameters, if that is asked for. Those of a report that measured little, so that it was
    /// the lowest perhaps by chance, must be better on more text as well.
    fn choose(&mut self, model: &mut impl Trainable, held_out: &Tokens, last: Option<f64>) -> Result<()> {
        let history = &mut self.state.history;
        history.at_end = last;
        if !self.state.config.keep_best || !history.keep_best() {
            return Ok(());
        }
        let parameters = last.map(|last| (copies(model), last));
        put_back(model, &self.best.0)?;
        if let Some((parameters, last)) = parameters {
            let best = measured(model, held_out, HELD_OUT_SAMPLE)?;
            if best < last {
                history.at_end = Some(best);
            } else {
                put_back(model, &parameters)?;
                history.kept_step = None;
            }
        }
        Ok(())
    }

    /// Gives the model the best parameters so far, and tells why.
    fn broken(&mut self, model: &mut impl Trainable, loss: f64) -> Result<Error> {
        let (chars, State { config, step, seconds, history, .. }) = (self.chars(), &mut self.state);
        history.points.push(Point { step: *step, chars, seconds: *seconds, train: loss, held_out: None });
        put_back(model, &self.best.0)?;
        let kept = self
            .autosave
            .kept()
            .map_or(String::new(), |path| format!("; the last good state of the training is in {}", path.display()));
        Ok(Error::NonFinite { step: *step, loss, lr: config.lr, kept })
    }
}

/// The held-out loss. A training that is being stopped is still measured to the end.
fn measured(model: &impl Trainable, held_out: &Tokens, sample: usize) -> Result<f64> {
    let go_on = || {
        should_stop(); // which tells the kernel that it moves
        Ok(())
    };
    Ok(measure(model, held_out, sample, go_on)?.nats_per_char)
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
