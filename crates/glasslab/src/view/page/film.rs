//! A training as a page has it: some of its moments, and the course of its losses.

use super::super::Film;
use super::super::explorer::packed;
use crate::error::{Error, Result};
use crate::file::{file_error, write_whole};
use crate::model::{AnyModel, LanguageModel, ModelConfig};
use crate::train::History;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// What the attention of all moments may take, in bytes.
const MOST_BYTES: usize = 400_000;
/// Points of the curve.
const POINTS: usize = 240;

/// A film as a page and a file of its own have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reel {
    prompt: String,
    labels: Vec<String>,
    layers: usize,
    heads: i64,
    /// What a label is: a character, or a token.
    unit: String,
    frames: Vec<ReelFrame>,
    /// Steps, training losses, and held-out losses where they were measured, in nats per character.
    curve: Vec<(usize, Option<f64>, Option<f64>)>,
}

impl Reel {
    /// Whether a model has the layers, heads and tokens that the film shows.
    pub(super) fn may_show(&self, model: &AnyModel) -> bool {
        match model.config() {
            ModelConfig::Transformer(config) => {
                (config.n_layers as usize, config.n_heads) == (self.layers, self.heads)
                    && model.tokenizer().unit().one == self.unit
            }
            ModelConfig::Mlp(_) => false,
        }
    }
}

impl fmt::Display for Reel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a film of {} layers of {} heads over each {}", self.layers, self.heads, self.unit)
    }
}

/// One moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ReelFrame {
    step: usize,
    /// On the prompt, in nats for each label.
    loss: Option<f64>,
    /// What the model wrote.
    text: String,
    /// Of all layers and heads, as the explorer packs them in 8 bits.
    weights: String,
}

impl Film {
    /// The film as a page has it: as many of its moments as 400 kB hold, the first and the last among them.
    ///
    /// # Errors
    /// If it has no snapshot.
    pub fn reel(&self, history: &History) -> Result<Reel> {
        let snapshots = self.snapshots();
        let Some(first) = snapshots.first() else {
            return Err(Error::Drawing("the film is empty: take a snapshot first, film.take(&model, 0)?".to_owned()));
        };
        let (labels, attention) = (first.trace.labels.clone(), first.trace.attention()?);
        let (layers, heads, count) = (attention.layers.len(), attention.n_heads(), labels.len());
        let bytes = (count * (count + 1) / 2 * layers * heads as usize * 4).div_ceil(3);
        let fit = (MOST_BYTES / bytes.max(1)).clamp(1, snapshots.len());
        let frames = spread(snapshots.len(), fit).map(|place| {
            let snapshot = &snapshots[place];
            Ok(ReelFrame {
                step: snapshot.step,
                loss: snapshot.trace.loss().filter(|loss| loss.is_finite()),
                text: snapshot.text.clone(),
                weights: packed(&snapshot.trace.attention()?, count, heads, true, true)?,
            })
        });
        Ok(Reel {
            prompt: self.prompt().to_owned(),
            labels,
            layers,
            heads,
            unit: first.trace.tokenizer.unit().one.to_owned(),
            frames: frames.collect::<Result<_>>()?,
            curve: curve(history),
        })
    }
}

impl Reel {
    /// Keeps it in a file, as JSON.
    ///
    /// # Errors
    /// If the file can't be written; one that was there before is left as it was.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let text = serde_json::to_string(self).map_err(|error| Error::Data(error.to_string()))?;
        write_whole(path.as_ref(), |part| std::fs::write(part, &text).map_err(file_error(part)))
    }

    /// Reads one that was kept.
    ///
    /// # Errors
    /// If the file is missing, or no film that `save` has written.
    pub fn load(path: impl AsRef<Path>) -> Result<Reel> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(file_error(path))?;
        serde_json::from_str(&text).map_err(|error| {
            Error::Data(format!(
                "{} is no film that glasslab has kept ({error}): film a training again",
                path.display()
            ))
        })
    }
}

/// So many of `all` places, at equal distances, the first and the last among them; a single one is the last.
fn spread(all: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |number| if count == 1 { all - 1 } else { number * (all - 1) / (count - 1) })
}

fn curve(history: &History) -> Vec<(usize, Option<f64>, Option<f64>)> {
    let points = &history.points;
    let short = |loss: f64| loss.is_finite().then(|| (loss * 1e4).round() / 1e4);
    let is_kept = |place: usize| place.is_multiple_of((points.len() / POINTS).max(1));
    let kept = points.iter().enumerate().filter(|(place, point)| is_kept(*place) || point.held_out.is_some());
    kept.map(|(_, point)| (point.step, short(point.train), point.held_out.and_then(short))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TransformerConfig;
    use crate::trace::tests::awake;
    use crate::train::Point;

    #[test]
    fn moments_are_spread_and_the_first_and_last_are_among_them() {
        assert_eq!(spread(9, 3).collect::<Vec<_>>(), [0, 4, 8]);
        assert_eq!(spread(4, 4).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(spread(7, 1).collect::<Vec<_>>(), [6]);
    }

    #[test]
    fn a_kept_film_comes_back_and_another_file_is_told() {
        let mut film = Film::new("Once upon");
        assert!(film.reel(&History::default()).unwrap_err().to_string().contains("take a snapshot"));
        for step in [0, 10, 100] {
            film.take(&awake(TransformerConfig::original()), step).unwrap();
        }
        let point = |step, train, held_out| Point { step, chars: 1, seconds: 0.0, train, held_out };
        let points = vec![point(1, 5.0, None), point(2, f64::NAN, Some(4.12345))];
        let reel = film.reel(&History { points, ..History::default() }).unwrap();
        assert_eq!(reel.curve, [(1, Some(5.0), None), (2, None, Some(4.1235))]);
        assert_eq!(reel.frames.iter().map(|frame| frame.step).collect::<Vec<_>>(), [0, 10, 100]);
        assert!(reel.frames[0].text.starts_with("Once upon") && reel.frames[0].text.chars().count() > 80);
        // One head of one layer: a byte for each of 45 weights.
        assert_eq!(reel.frames[0].weights.len(), 60);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("film.json");
        reel.save(&path).unwrap();
        assert_eq!(Reel::load(&path).unwrap(), reel);
        std::fs::write(&path, "{\"prompt\": 3}").unwrap();
        assert!(Reel::load(&path).unwrap_err().to_string().contains("film a training again"));
    }

    #[test]
    fn of_a_long_film_as_many_moments_are_kept_as_fit() {
        let config = TransformerConfig { context_len: 128, ..TransformerConfig::small() };
        let (model, mut film) = (awake(config), Film::new(&"Once upon a time".repeat(8)));
        (0..6).for_each(|step| film.take(&model, step).unwrap());
        let reel = film.reel(&History::default()).unwrap();
        assert_eq!(reel.frames.iter().map(|frame| frame.step).collect::<Vec<_>>(), [0, 2, 5]);
        assert!(reel.frames.iter().map(|frame| frame.weights.len()).sum::<usize>() <= MOST_BYTES);
    }
}
