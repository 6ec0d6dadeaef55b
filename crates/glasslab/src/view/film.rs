//! Attention over training: the same text through the same model, at several moments of its training.

use super::explorer::Frame;
use super::{Explorer, Html};
use crate::error::{Error, Result};
use crate::trace::{Trace, Traceable};

/// Snapshots of a prompt's attention and predictions, to be played with a slider.
///
/// ```
/// # use glasslab::prelude::*;
/// # fn main() -> Result<()> {
/// # let model = TransformerLm::new(TransformerConfig::original(), Device::Cpu)?;
/// let mut film = Film::new("Once upon a time");
/// film.take(&model, 0)?;
/// // … train some steps …
/// film.take(&model, 100)?;
/// film.show()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Film {
    prompt: String,
    snapshots: Vec<Snapshot>,
}

/// What a model did with the prompt at one step of its training.
#[derive(Debug)]
pub struct Snapshot {
    /// The step, 0 before the first.
    pub step: usize,
    /// The forward pass.
    pub trace: Trace,
}

impl Film {
    /// A film of what a model does with a prompt.
    pub fn new(prompt: &str) -> Film {
        Film { prompt: prompt.to_owned(), snapshots: Vec::new() }
    }

    /// Takes a snapshot of the model at a step of its training.
    ///
    /// # Errors
    /// If the model has no attention, or can't take the prompt.
    pub fn take(&mut self, model: &impl Traceable, step: usize) -> Result<()> {
        let trace = model.trace(&self.prompt)?;
        trace.attention()?;
        self.snapshots.push(Snapshot { step, trace });
        Ok(())
    }

    /// The snapshots so far.
    pub fn snapshots(&self) -> &[Snapshot] {
        &self.snapshots
    }

    /// The film as one block with a slider.
    ///
    /// # Errors
    /// If there is no snapshot yet.
    pub fn html(&self) -> Result<Html> {
        if self.snapshots.is_empty() {
            return Err(Error::Drawing("the film is empty: take a snapshot first, film.take(&model, 0)?".to_owned()));
        }
        let frames = self.snapshots.iter().map(|Snapshot { step, trace }| {
            let loss = trace.loss().map_or(String::new(), |loss| format!(" · {loss:.2} nats/char on this text"));
            Frame::new(format!("step {step}{loss}"), trace)
        });
        let title = format!("Attention on “{}” over training", self.snapshots[0].trace.visible_text());
        Explorer::of(frames.collect::<Result<_>>()?, title)?.html()
    }

    /// Shows it in the notebook; elsewhere prints it in words.
    ///
    /// # Errors
    /// If there is no snapshot yet.
    pub fn show(&self) -> Result<()> {
        self.html()?.show();
        Ok(())
    }

    /// Called by the kernel on the value of a cell.
    pub fn evcxr_display(&self) {
        match self.html() {
            Ok(html) => html.evcxr_display(),
            Err(error) => println!("{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TransformerConfig;
    use crate::trace::tests::awake;

    #[test]
    fn each_snapshot_is_a_frame_with_its_step_and_loss() {
        let mut film = Film::new("Once upon");
        assert!(film.html().unwrap_err().to_string().contains("take a snapshot"));
        for step in [0, 10, 100] {
            film.take(&awake(TransformerConfig::original()), step).unwrap();
        }
        let html = film.html().unwrap().html;
        assert_eq!(html.matches("nats/char on this text").count(), 3);
        assert!(html.contains("step 100 · "));
    }
}
