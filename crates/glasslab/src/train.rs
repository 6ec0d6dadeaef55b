//! Training: show a model batches, and after each one move its parameters downhill.

mod autosave;
mod by_hand;
mod config;
mod course;
mod downhill;
mod history;
mod landscape;
mod learning;
mod norms;
mod optimiser;
mod race;
mod saved;
mod shown;
mod state;
mod step;
mod step_by_step;
mod training;

pub use autosave::AUTOSAVE;
pub use by_hand::{HandLine, StepByHand};
pub use config::{Length, OptimiserKind, TrainConfig};
pub use course::Course;
pub use downhill::Downhill;
pub use history::{History, Point};
pub use landscape::{Landscape, LandscapeConfig};
pub use learning::{Glance, Learning};
pub use norms::{Lengths, Norms, SingularValues};
pub use optimiser::Optimiser;
pub use race::{Race, Run};
pub use saved::SavedTraining;
pub use shown::LR_SLIDER;
pub use step::TrainStep;
pub use step_by_step::StepByStep;
pub(crate) use training::Look;
pub use training::Moment;

use crate::data::Tokens;
use crate::error::Result;
use crate::model::Trainable;
use autosave::Autosave;
use glasslab_wire::is_connected;
use shown::OnShow;
use std::ops::ControlFlow;
use std::path::Path;
use training::Training;

/// Trains a model and shows how its losses fall.
///
/// In a notebook: a progress bar, and a loss curve that grows. The stop button ends the training at its next step,
/// and the model is as far as it came. Without an `autosave` in the config, the state is kept in a file of the
/// training's own in the folder [`AUTOSAVE`] until the training is over; of those that were stopped, the last five stay.
/// A slider named [`LR_SLIDER`] multiplies the learning rates while it runs.
///
/// Elsewhere: `config.reports` lines with step, training loss (the mean since the point before), held-out
/// loss, both in nats per character, speed, and time left.
///
/// # Errors
/// If a setting is out of range, no story is long enough, or the loss becomes infinite or NaN: then the model
/// has the best parameters so far. That the state can't be kept is no error: it is told.
pub fn train(model: &mut impl Trainable, data: &Tokens, held_out: &Tokens, config: &TrainConfig) -> Result<History> {
    train_seen(model, data, held_out, config, &mut ())
}

/// As [`train`], with a look into its steps.
pub(crate) fn train_seen<M: Trainable>(
    model: &mut M,
    data: &Tokens,
    held_out: &Tokens,
    config: &TrainConfig,
    look: &mut impl Look<M>,
) -> Result<History> {
    let mut shown = OnShow::new();
    let mut training = Training::new(model, data, config)?;
    if is_connected() && config.autosave.is_none() {
        training.autosave = Autosave::in_folder(AUTOSAVE);
    }
    training.run(model, data, held_out, look, |moment| shown.watch(moment))?;
    let history = training.into_history();
    shown.finish(&history);
    Ok(history)
}

/// Goes on with the training whose state `autosave` has kept in a file, exactly as if it had not been stopped; of a folder
/// ([`AUTOSAVE`]), with the newest. `model` needs the sizes of the one that was trained, and both texts must be the same.
/// With other settings: [`SavedTraining::with`].
///
/// # Errors
/// As [`train`], and if the file is missing, damaged, or of another model or text: then nothing is changed.
pub fn resume(
    model: &mut impl Trainable,
    data: &Tokens,
    held_out: &Tokens,
    autosaved: impl AsRef<Path>,
) -> Result<History> {
    SavedTraining::read(autosaved)?.resume(model, data, held_out)
}

/// As [`train`], asking `watch` after each step whether to go on: it can show what it is told. A training that is
/// broken off, by `watch` or a notebook's stop button, leaves the model as far as it came.
///
/// # Errors
/// As [`train`].
pub fn train_with(
    model: &mut impl Trainable,
    data: &Tokens,
    held_out: &Tokens,
    config: &TrainConfig,
    watch: impl FnMut(Moment<'_>) -> ControlFlow<()>,
) -> Result<History> {
    train_seen_with(model, data, held_out, config, &mut (), watch)
}

/// As [`train_with`], with a look into its steps.
pub(crate) fn train_seen_with<M: Trainable>(
    model: &mut M,
    data: &Tokens,
    held_out: &Tokens,
    config: &TrainConfig,
    look: &mut impl Look<M>,
    watch: impl FnMut(Moment<'_>) -> ControlFlow<()>,
) -> Result<History> {
    let mut training = Training::new(model, data, config)?;
    training.run(model, data, held_out, look, watch)?;
    Ok(training.into_history())
}

/// As [`resume`], with `watch` as in [`train_with`].
///
/// # Errors
/// As [`resume`].
pub fn resume_with(
    model: &mut impl Trainable,
    data: &Tokens,
    held_out: &Tokens,
    autosaved: impl AsRef<Path>,
    watch: impl FnMut(Moment<'_>) -> ControlFlow<()>,
) -> Result<History> {
    SavedTraining::read(autosaved)?.resume_with(model, data, held_out, watch)
}

#[cfg(test)]
mod tests;
