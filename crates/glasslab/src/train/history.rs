//! What happened in training.

/// The losses at one step.
#[derive(Debug, Clone, Copy, PartialEq)]
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
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// About 200 points of the training loss, some with a held-out loss.
    pub points: Vec<Point>,
}

impl History {
    /// The last held-out loss, in nats per character.
    pub fn held_out(&self) -> Option<f64> {
        self.points.iter().rev().find_map(|point| point.held_out)
    }

    /// The last point as a line of text, with the time left when `progress` of the training, 0 to 1, is done.
    pub fn line(&self, progress: f64) -> String {
        let Some(Point { step, chars, seconds, train, held_out }) = self.points.last().copied() else {
            return "not trained yet".to_owned();
        };
        let held_out = held_out.map_or(String::new(), |loss| format!("  held-out {loss:.3}"));
        let speed = chars as f64 / seconds.max(1e-9);
        let left = match progress {
            0.0..1.0 => format!("{:.0} s left", seconds / progress.max(1e-6) * (1.0 - progress)),
            _ => format!("done in {seconds:.1} s"),
        };
        format!("step {step:>5}  train {train:.3}{held_out} nats/char  {:>4.0}k chars/s  {left}", speed / 1e3)
    }
}
