//! How a training is shown: live in a notebook, as lines elsewhere.

use super::autosave::AUTOSAVE;
use super::history::History;
use super::training::Moment;
use crate::display::Picture;
use crate::error::Result;
use crate::live::{LiveFigure, Progress, note_saved, setting};
use glasslab_wire::is_connected;
use std::ops::ControlFlow;

/// The name of the slider that multiplies the learning rates of a running training.
pub const LR_SLIDER: &str = "learning rate ×";

/// The curve of the losses. Without the feature `plotters` there is none.
fn curve(history: &History) -> Result<Picture> {
    #[cfg(feature = "plotters")]
    return history.curve().draw();
    #[cfg(not(feature = "plotters"))]
    Err(crate::Error::Config(format!(
        "no picture of {} losses: glasslab was built without plotters",
        history.points.len()
    )))
}

/// What is on show.
pub(super) struct OnShow {
    live: Option<(Progress, LiveFigure)>,
    /// Why the state could not be kept, so far as it is told.
    trouble: Option<String>,
}

impl OnShow {
    pub(super) fn new() -> OnShow {
        OnShow { live: is_connected().then(|| (Progress::new("training"), LiveFigure::new())), trouble: None }
    }

    /// Shows a step.
    pub(super) fn watch(&mut self, moment: Moment<'_>) -> ControlFlow<()> {
        match &mut self.live {
            Some((progress, figure)) => {
                progress.update(moment.progress, || moment.history.state());
                // A picture that can't be drawn yet is none; the training goes on.
                let _ = figure.update(|| curve(moment.history));
                moment.kept.map(note_saved);
            }
            None if moment.report => println!("{}", moment.line()),
            None => {}
        }
        if let Some(scale) = setting(LR_SLIDER).filter(|scale| scale.is_finite() && *scale >= 0.0) {
            *moment.lr_scale = scale;
        }
        if let Some(why) = moment.trouble.filter(|why| self.trouble.as_deref() != Some(why)) {
            println!("the state of the training can't be kept; it goes on without: {why}");
            self.trouble = Some(why.to_owned());
        }
        ControlFlow::Continue(())
    }

    /// The last picture, and what to know of the end. A notebook's state of a training that is over is needed no more.
    pub(super) fn finish(self, history: &History) {
        if let Some((progress, mut figure)) = self.live {
            progress.finish(&history.line(1.0));
            if let Ok(picture) = curve(history) {
                figure.show(picture);
            }
            figure.finish();
        }
        if let Some(ending) = history.ending() {
            println!("{ending}");
        }
        match &history.autosave {
            Some(path) if history.stopped => {
                println!("to go on: resume(&mut model, &train_tokens, &held_out, {path:?})?");
            }
            Some(path) if path.starts_with(AUTOSAVE) => drop(std::fs::remove_file(path)),
            _ => {}
        }
    }
}
