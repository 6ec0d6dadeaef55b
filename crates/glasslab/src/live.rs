//! What happens while a cell runs: pictures that change, a progress bar, a wish to stop.
//!
//! Everything here works wherever the library runs, and says as much as the place understands:
//!
//! | where | [`LiveFigure`] | [`Progress`] | [`should_stop`] |
//! |---|---|---|---|
//! | glasslab's kernel | one picture that changes | a bar that moves | the stop button |
//! | plain evcxr_jupyter | the last picture | a line at each tenth | never |
//! | a program | nothing | nothing | never |

pub use crate::stopping::should_stop;

use crate::display::{Picture, bundle, escape, unique_id};
use glasslab_wire::{FromCell, IN_NOTEBOOK, is_connected, send};
use std::time::{Duration, Instant};

/// Between two changes of a picture: five a second are as many as a browser draws without haste.
const PAUSE: Duration = Duration::from_millis(200);

/// The value of the slider that is shown under this name (see [`Interact::slider`](crate::interact::Interact::slider)), if there is one:
/// what lets a person change, say, the learning rate of a running training. Fresh after each [`should_stop`].
pub fn setting(name: &str) -> Option<f64> {
    crate::interact::setting(name)
}

/// Tells the kernel where a training has kept its model on its way, so that it can say so should the cell be ended.
pub fn note_saved(path: &std::path::Path) {
    send(&FromCell::Saved { path: path.display().to_string() });
}

/// A picture that is replaced while a cell runs.
///
/// ```
/// use glasslab::live::LiveFigure;
/// use glasslab::prelude::*;
///
/// # fn main() -> Result<()> {
/// let mut figure = LiveFigure::new();
/// for step in 0..3 {
///     figure.update(|| Heatmap::new(&(Tensor::eye(2, (Kind::Float, Device::Cpu)) * step)).and_then(|map| map.draw()))?;
/// }
/// figure.finish();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LiveFigure {
    id: Option<String>,
    last: Option<Instant>,
    unseen: Option<Picture>,
}

impl Default for LiveFigure {
    fn default() -> LiveFigure {
        LiveFigure::new()
    }
}

impl LiveFigure {
    /// Shows nothing yet.
    pub fn new() -> LiveFigure {
        LiveFigure { id: None, last: None, unseen: None }
    }

    /// Draws and shows the picture, unless the last one is less than a fifth of a second old: then `draw` is not called.
    ///
    /// # Errors
    /// What `draw` fails with.
    pub fn update<E>(&mut self, draw: impl FnOnce() -> Result<Picture, E>) -> Result<(), E> {
        let is_due = self.last.is_none_or(|time| time.elapsed() >= PAUSE);
        if is_due && std::env::var_os(IN_NOTEBOOK).is_some() {
            let picture = draw()?;
            self.show(picture);
            // Drawing a large picture takes its time too; the pause begins after it.
            self.last = Some(Instant::now());
        }
        Ok(())
    }

    /// Shows the picture now, whenever the last one came.
    pub fn show(&mut self, picture: Picture) {
        if !is_connected() {
            self.unseen = Some(picture);
            return;
        }
        let data = bundle(&picture);
        let first = self.id.is_none();
        let id = self.id.get_or_insert_with(|| unique_id("figure")).clone();
        send(&if first { FromCell::Display { data, id: Some(id) } } else { FromCell::Update { data, id } });
    }

    /// The last picture stays; where nothing can change, it is shown now.
    pub fn finish(self) {
        if let Some(picture) = self.unseen {
            picture.show();
        }
    }
}

/// A progress bar.
///
/// ```
/// use glasslab::live::Progress;
///
/// let mut progress = Progress::new("training");
/// for step in 0..100 {
///     progress.update((step + 1) as f64 / 100.0, || format!("step {}", step + 1));
/// }
/// progress.finish("100 steps");
/// ```
#[derive(Debug)]
pub struct Progress {
    label: String,
    id: Option<String>,
    begun: Instant,
    last: Option<Instant>,
    tenths: u32,
}

impl Progress {
    /// A bar that shows nothing yet.
    pub fn new(label: impl Into<String>) -> Progress {
        Progress { label: label.into(), id: None, begun: Instant::now(), last: None, tenths: 0 }
    }

    /// Says how much is done, `fraction` of 1, and a note such as `step 300 · loss 1.234`; the time left is added.
    /// `note` is only called if it will be shown: at most five times a second.
    pub fn update(&mut self, fraction: f64, note: impl FnOnce() -> String) {
        let fraction = if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.0 };
        if is_connected() {
            if self.last.is_none_or(|time| time.elapsed() >= PAUSE) {
                self.last = Some(Instant::now());
                let note = format!("{}{}", note(), self.time_left(fraction));
                self.show(fraction, &note);
            }
        } else if std::env::var_os(IN_NOTEBOOK).is_some() && (fraction * 10.0) as u32 > self.tenths {
            self.tenths = (fraction * 10.0) as u32;
            println!("{}: {:.0} % · {}", self.label, fraction * 100.0, note());
        }
    }

    /// The last word, e.g. `2,000 steps in 12 s`; the bar says how far it came.
    pub fn finish(mut self, note: &str) {
        if is_connected() {
            self.show(1.0, note);
        } else if std::env::var_os(IN_NOTEBOOK).is_some() {
            println!("{}: {note}", self.label);
        }
    }

    fn time_left(&self, fraction: f64) -> String {
        let gone = self.begun.elapsed().as_secs_f64();
        if fraction <= 0.0 || gone < 0.5 {
            return String::new();
        }
        format!(" · {} left", duration(gone * (1.0 - fraction) / fraction))
    }

    fn show(&mut self, fraction: f64, note: &str) {
        let (label, note) = (escape(&self.label), escape(note));
        let html = format!(
            "<div style=\"font-family:monospace\">{label} <progress max=\"1\" value=\"{fraction:.4}\" \
             aria-label=\"{label}\" style=\"width:16em;vertical-align:middle\"></progress> {note}</div>"
        );
        let text = format!("{}: {:.0} % · {note}", self.label, fraction * 100.0);
        let data = crate::display::html_bundle(html, text);
        let first = self.id.is_none();
        let id = self.id.get_or_insert_with(|| unique_id("progress")).clone();
        send(&if first { FromCell::Display { data, id: Some(id) } } else { FromCell::Update { data, id } });
    }
}

/// Seconds as people say them.
fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// Takes away what the cell has shown so far, as soon as something new comes. Elsewhere: nothing.
pub fn clear_output() {
    send(&FromCell::Clear { wait: true });
}

/// Asks the person for a line of text: below the cell in a notebook, on the terminal elsewhere.
///
/// # Errors
/// If there is nobody to answer.
pub fn ask(prompt: &str) -> crate::Result<String> {
    if !send(&FromCell::Input { prompt: prompt.to_owned(), password: false }) {
        println!("{prompt}");
    }
    let mut answer = String::new();
    match std::io::stdin().read_line(&mut answer) {
        Ok(1..) => Ok(answer.trim_end_matches(['\n', '\r']).to_owned()),
        _ => Err(crate::Error::Data(format!("nobody answered the question {prompt:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_a_notebook_nothing_is_drawn_and_nobody_stops() {
        let mut figure = LiveFigure::new();
        figure.update(|| -> Result<Picture, ()> { panic!("drawn for nobody") }).unwrap();
        let mut progress = Progress::new("training");
        progress.update(0.5, || panic!("written for nobody"));
        assert!(!should_stop());
        assert_eq!(setting("temperature"), None);
    }

    #[test]
    fn ids_are_unique() {
        assert_ne!(unique_id("x"), unique_id("x"));
    }

    #[test]
    fn durations_have_a_fitting_unit() {
        assert_eq!(duration(12.4), "12 s");
        assert_eq!(duration(600.0), "10 min");
        assert_eq!(duration(9000.0), "2.5 h");
    }
}
