//! How a training is shown: live in a notebook, as lines elsewhere.

use super::history::History;
use super::training::Moment;
use crate::live::{LiveFigure, Progress, note_saved, setting, should_stop};
use glasslab_wire::is_connected;
use std::ops::ControlFlow;
use std::path::Path;

/// Where a notebook's training keeps its state if its config names no file.
pub const AUTOSAVE: &str = "models/autosave.training";
/// The name of the slider that multiplies the learning rates of a running training.
pub const LR_SLIDER: &str = "learning rate ×";

/// What is on show.
pub(super) struct Shown {
    live: Option<(Progress, LiveFigure)>,
}

impl Shown {
    pub(super) fn new() -> Shown {
        Shown { live: is_connected().then(|| (Progress::new("training"), LiveFigure::new())) }
    }

    /// Shows a step, and says whether the person wants to go on.
    pub(super) fn watch(&mut self, moment: Moment<'_>, autosave: Option<&Path>) -> ControlFlow<()> {
        match &mut self.live {
            Some((progress, figure)) => {
                progress.update(moment.progress, || moment.history.state());
                // A picture that can't be drawn yet is none; the training goes on.
                let _ = figure.update(|| moment.history.curve().draw());
                if moment.report
                    && let Some(path) = autosave
                {
                    note_saved(path);
                }
            }
            None if moment.report => println!("{}", moment.line()),
            None => {}
        }
        if let Some(scale) = setting(LR_SLIDER).filter(|scale| scale.is_finite() && *scale >= 0.0) {
            *moment.lr_scale = scale;
        }
        if should_stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// The last picture, and what to know of the end. The state of a training that is over is needed no more.
    pub(super) fn finish(self, history: &History, autosave: Option<&Path>) {
        if let Some((progress, mut figure)) = self.live {
            progress.finish(&history.line(1.0));
            if let Ok(picture) = history.curve().draw() {
                figure.show(picture);
            }
            figure.finish();
        }
        if let Some(ending) = history.ending() {
            println!("{ending}");
        }
        match autosave.filter(|path| path.exists()) {
            Some(path) if history.stopped => {
                println!("to go on: resume(&mut model, &train_tokens, &held_out, {path:?})?");
            }
            Some(path) if is_connected() => drop(std::fs::remove_file(path)),
            _ => {}
        }
    }
}
