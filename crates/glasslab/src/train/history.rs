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

    /// The last point as a line of text, with the time left if there are `steps` in all.
    pub fn line(&self, steps: usize) -> String {
        let Some(Point { step, chars, seconds, train, held_out }) = self.points.last().copied() else {
            return "not trained yet".to_owned();
        };
        let held_out = held_out.map_or(String::new(), |loss| format!("  held-out {loss:.3}"));
        let speed = chars as f64 / seconds.max(1e-9);
        let left = seconds / step as f64 * (steps - step.min(steps)) as f64;
        let left = if step < steps { format!("{left:.0} s left") } else { format!("done in {seconds:.1} s") };
        format!(
            "step {step:>5} of {steps}  train {train:.3}{held_out} nats/char  {:>4.0}k chars/s  {left}",
            speed / 1e3
        )
    }
}
