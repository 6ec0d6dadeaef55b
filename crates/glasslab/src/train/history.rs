//! What happened in training.

use crate::evaluate::is_worse_than_guessing;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The losses at one step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The step, from 1.
    pub step: usize,
    /// Characters learnt from so far.
    pub chars: usize,
    /// Seconds since the start.
    pub seconds: f64,
    /// The training loss in nats per character: the mean since the point before.
    pub train: f64,
    /// The held-out loss in nats per character, where it was measured.
    pub held_out: Option<f64>,
}

/// The course of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// About 200 points of the training loss, some with a held-out loss.
    pub points: Vec<Point>,
    /// Whether it was stopped before its end.
    pub stopped: bool,
    /// The step whose parameters the model has, if those were better than the last ones.
    pub kept_step: Option<usize>,
    /// What guessing among all ids costs, in nats: the logarithm of their number.
    #[serde(default)]
    pub guessing: Option<f64>,
    /// The held-out loss of the model as the training left it, where that was measured on more text than on the way: after a
    /// short training.
    #[serde(default)]
    pub at_end: Option<f64>,
    /// How many characters a token of its text stands for: 1, if they are characters.
    #[serde(default = "one")]
    pub chars_per_token: f64,
    /// The file that holds the last state of the training that could be kept, if one does.
    #[serde(skip)]
    pub autosave: Option<PathBuf>,
    /// Why the state of the training could not be kept at its end.
    #[serde(skip)]
    pub unsaved: Option<String>,
}

fn one() -> f64 {
    1.0
}

impl Default for History {
    /// Of characters, before the first step.
    fn default() -> History {
        let (points, chars_per_token) = (Vec::new(), one());
        let (stopped, kept_step, guessing, at_end, autosave, unsaved) = (false, None, None, None, None, None);
        History { points, stopped, kept_step, guessing, at_end, chars_per_token, autosave, unsaved }
    }
}

impl History {
    /// The held-out loss of the model as the training left it, in nats per character.
    pub fn held_out(&self) -> Option<f64> {
        let measured = |point: &Point| self.kept_step.is_none_or(|step| point.step == step);
        let on_the_way = || self.points.iter().rev().filter(|point| measured(point)).find_map(|point| point.held_out);
        self.at_end.or_else(on_the_way)
    }

    /// The held-out loss of the last step, where that was measured on more text than on the way.
    pub(crate) fn last_at_end(&self) -> Option<f64> {
        self.at_end.filter(|_| self.kept_step.is_none())
    }

    /// The point with the lowest held-out loss.
    pub fn lowest_held_out(&self) -> Option<Point> {
        let measured = self.points.iter().filter(|point| point.held_out.is_some());
        measured.min_by(|a, b| a.held_out.unwrap_or(f64::NAN).total_cmp(&b.held_out.unwrap_or(f64::NAN))).copied()
    }

    /// The step at which the training loss was infinite or NaN: where the training broke off.
    pub fn diverged(&self) -> Option<usize> {
        self.points.last().filter(|last| !last.train.is_finite()).map(|last| last.step)
    }

    /// Notes the step with the lowest held-out loss, if it is not the last; whether that is so.
    pub(super) fn keep_best(&mut self) -> bool {
        let best = self.lowest_held_out().map(|point| point.step);
        self.kept_step = best.filter(|&step| self.points.last().is_some_and(|last| last.step != step));
        self.kept_step.is_some()
    }

    /// The last losses and the speed, in a few words.
    pub fn state(&self) -> String {
        let Some(Point { step, chars, seconds, train, .. }) = self.points.last().copied() else {
            return "not trained yet".to_owned();
        };
        let held_out = self.points.iter().rev().find_map(|point| point.held_out);
        let held_out = self.last_at_end().or(held_out).map_or(String::new(), |loss| format!(" · held out {loss:.3}"));
        format!(
            "step {step} · loss {train:.3}{held_out} nats/char · {:.0}k chars/s",
            chars as f64 / seconds.max(1e-9) / 1e3
        )
    }

    /// The last point as a line of text, with the time left when `progress` of the training, 0 to 1, is done.
    pub fn line(&self, progress: f64) -> String {
        let Some(Point { step, chars, seconds, train, held_out }) = self.points.last().copied() else {
            return "not trained yet".to_owned();
        };
        let held_out = self.last_at_end().or(held_out).map_or(String::new(), |loss| format!("  held-out {loss:.3}"));
        let speed = chars as f64 / seconds.max(1e-9);
        let left = match progress {
            0.0..1.0 => format!("{:.0} s left", seconds / progress.max(1e-6) * (1.0 - progress)),
            _ => format!("done in {seconds:.1} s"),
        };
        format!("step {step:>5}  train {train:.3}{held_out} nats/char  {:>4.0}k chars/s  {left}", speed / 1e3)
    }

    /// Whether the model predicts the held-out text worse than one that guesses among all ids.
    pub fn is_worse_than_guessing(&self) -> bool {
        self.held_out().zip(self.guessing).is_some_and(|(loss, guessing)| is_worse_than_guessing(loss, guessing))
    }

    /// What to know of the end: whether it was stopped, which parameters the model has, and what went wrong.
    pub fn ending(&self) -> Option<String> {
        let mut lines = Vec::new();
        let kept = self.kept_step.zip(self.held_out());
        let best = kept.map(|(step, loss)| format!("of step {step}, the best on held-out text ({loss:.3} nats/char)"));
        match (self.stopped, best) {
            (true, Some(best)) => lines.push(format!("stopped before the end: the model is that {best}")),
            (true, None) => lines.push("stopped before the end: the model is as far as it came".to_owned()),
            (false, Some(best)) => lines.push(format!("kept the model {best}; after that it learnt by heart")),
            (false, None) => {}
        }
        if self.is_worse_than_guessing()
            && let (Some(loss), Some(guessing)) = (self.held_out(), self.guessing)
        {
            let learnt = self.points.last().is_some_and(|last| !is_worse_than_guessing(last.train, guessing));
            let advice = match learnt {
                true => "it learnt its own text, which is not like the held-out one",
                false => "its steps were too large: train again with a smaller learning rate",
            };
            lines.push(format!(
                "worse than guessing: {loss:.3} nats/char held out, and guessing costs {guessing:.3}; {advice}"
            ));
        }
        if let Some(why) = &self.unsaved {
            lines.push(format!("the state of the training could not be kept, so it can't be gone on with: {why}"));
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}
