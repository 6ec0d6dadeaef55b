//! The loss over the course of a training, or of several.

use super::lines::{Axis, COLOURS, GREY, Lines, Mark};
use super::short;
use super::shown;
use crate::data::Tokens;
use crate::display::Picture;
use crate::error::{Error, Result};
use crate::evaluate::evaluate;
use crate::model::NGram;
use crate::train::{History, Point, Race};
use plotters::style::RGBColor;

const TRAIN: RGBColor = COLOURS[1];
const HELD_OUT: RGBColor = COLOURS[0];
/// A rise of the held-out loss by less than this, in nats per character, is noise.
const RISE: f64 = 0.01;

/// A loss curve, with horizontal lines to compare with.
#[derive(Debug)]
pub struct LossCurve<'a> {
    /// Each with its name; a single one needs none.
    histories: Vec<(String, &'a History)>,
    levels: Vec<(String, f64)>,
    smoothing: usize,
}

impl<'a> LossCurve<'a> {
    /// The curve of a training: thin the training loss, with dots the held-out loss. Where that was lowest before the end, it
    /// is marked: from there on, the model learnt its text by heart.
    pub fn new(history: &'a History) -> LossCurve<'a> {
        LossCurve { histories: vec![(String::new(), history)], levels: Vec::new(), smoothing: 0 }
    }

    /// The curves of several trainings in one picture: lines are training losses, dots held-out ones, a cross is where a
    /// loss went out of range. What rises far above the first losses is cut off at the top.
    pub fn compare(histories: &[(impl ToString, &'a History)]) -> LossCurve<'a> {
        let histories = histories.iter().map(|(name, history)| (name.to_string(), *history)).collect();
        LossCurve { histories, levels: Vec::new(), smoothing: 0 }
    }

    /// Draws the training loss as the mean over `points` points at each side, the loss itself thin behind it.
    pub fn smooth(mut self, points: usize) -> LossCurve<'a> {
        self.smoothing = points;
        self
    }

    /// Adds the loss of guessing among `n_vocab` characters, ln `n_vocab`; of tokens, that over the characters that one
    /// stands for.
    pub fn uniform(self, n_vocab: i64) -> LossCurve<'a> {
        let chars_per_token = self.histories.first().map_or(1.0, |(_, history)| history.chars_per_token);
        self.level("guessing", (n_vocab as f64).ln() / chars_per_token)
    }

    /// Adds what counting pairs of characters of `train` gives on `held_out`: no model without context does better.
    ///
    /// # Errors
    /// If `held_out` has no pair.
    pub fn bigram(self, train: &Tokens, held_out: &Tokens, n_vocab: i64) -> Result<LossCurve<'a>> {
        let nats = evaluate(&NGram::count(train, 2, n_vocab)?, held_out)?.nats_per_char;
        Ok(self.level("counting pairs", nats))
    }

    /// Adds a horizontal line, e.g. the loss of guessing; `nats` per character.
    pub fn level(mut self, name: &str, nats: f64) -> LossCurve<'a> {
        self.levels.push((name.to_owned(), nats));
        self
    }

    /// Draws it.
    ///
    /// # Errors
    /// If there is no point to draw.
    pub fn draw(&self) -> Result<Picture> {
        let points = || self.histories.iter().flat_map(|(_, history)| &history.points);
        let Some(end) = points().map(|point| point.step).max() else {
            return Err(Error::Drawing("the history is empty: train first".to_owned()));
        };
        let across = Axis { low: Some(0.0), high: Some(end as f64), ..Axis::new("step") };
        let mut lines = Lines::new(across, Axis::new("loss (nats per character)"));
        for (name, nats) in &self.levels {
            lines.add(format!("{name}: {nats:.3}"), vec![(0.0, *nats), (end as f64, *nats)], GREY, Mark::Dashed);
        }
        let told: Vec<String> = match &self.histories[..] {
            [(_, history)] => vec![self.one(history, &mut lines)],
            several => {
                let one = |(place, one)| self.one_of_many(place, one, &mut lines);
                let told = several.iter().enumerate().map(one).collect();
                if points().any(|point| point.held_out.is_some()) {
                    lines.add("held out", Vec::new(), GREY, Mark::Dots);
                }
                told
            }
        };
        let levels: String = self.levels.iter().map(|(name, nats)| format!(", {name} {nats:.3}")).collect();
        lines.draw(format!("Loss curve over {end} steps: {}{levels}", told.join("; ")))
    }

    /// A training alone, training and held-out loss in two colours.
    fn one(&self, history: &History, lines: &mut Lines) -> String {
        let (train, held_out) = (training(history), held_out(history));
        let name = match self.smoothing {
            0 => "training".to_owned(),
            points => format!("training (mean of {})", 2 * points + 1),
        };
        let of_train = |which: Option<&Point>| which.map_or(f64::NAN, |point| point.train);
        let (first, last) = (of_train(history.points.first()), of_train(history.points.last()));
        let mut told = format!("training loss from {first:.2} to {last:.2} nats per character");
        let smooth = smoothed(&train, self.smoothing);
        if self.smoothing > 0 {
            lines.add("", train, TRAIN, Mark::Faint);
        }
        lines.add(name, smooth, TRAIN, Mark::Line);
        if let Some(end) = held_out.last().map(|point| point.1) {
            told.push_str(&format!(", held-out loss {:.3} at the end", history.last_at_end().unwrap_or(end)));
            if let Some(Point { step, held_out: Some(lowest), .. }) = history.lowest_held_out()
                && end > lowest + RISE
                && history.last_at_end().is_none()
            // else more text has told that it was by chance
            {
                told.push_str(&format!(", lowest at step {step} with {lowest:.3}: after that it learnt by heart"));
                let name = format!("lowest held out: {lowest:.3} at step {step}");
                lines.add(name, vec![(step as f64, lowest)], HELD_OUT, Mark::Ring);
            }
            lines.add("held out", held_out, HELD_OUT, Mark::Dotted);
        }
        told
    }

    /// A training beside others, in a colour of its own.
    fn one_of_many(&self, place: usize, (name, history): &(String, &History), lines: &mut Lines) -> String {
        let colour = COLOURS[place % COLOURS.len()];
        let (train, held_out) = (training(history), held_out(history));
        // Where every loss began, or the highest line to compare with, is as high as is worth looking at.
        if let Some(first) = train.first() {
            let top = 1.1 * self.levels.iter().map(|level| level.1).fold(first.1, f64::max);
            lines.up.high = Some(lines.up.high.map_or(top, |high| high.max(top)));
        }
        let (last, end) = (train.last().copied(), history.held_out());
        let how = match (history.diverged(), end, last) {
            (Some(step), _, _) => format!("out of range before step {step}"),
            (_, Some(nats), _) | (_, None, Some((_, nats))) if nats < 1e3 => format!("{nats:.3}"),
            (_, Some(nats), _) | (_, None, Some((_, nats))) => short(nats, 0.0),
            _ => "no number".to_owned(),
        };
        let smooth = smoothed(&train, self.smoothing);
        if self.smoothing > 0 {
            lines.add("", train, colour, Mark::Faint);
        }
        // After six, the colours begin again.
        let mark = if place < COLOURS.len() { Mark::Line } else { Mark::Dashed };
        let named = format!("{name}: {how}");
        lines.add(named.clone(), smooth.clone(), colour, mark);
        lines.add("", held_out, colour, Mark::Dots);
        if history.diverged().is_some() {
            lines.add("", smooth.last().copied().into_iter().collect(), colour, Mark::Cross);
        }
        named
    }
}

/// The training losses that are numbers, by step.
fn training(history: &History) -> Vec<(f64, f64)> {
    let finite = history.points.iter().filter(|point| point.train.is_finite());
    finite.map(|point| (point.step as f64, point.train)).collect()
}

/// The held-out losses, by step.
fn held_out(history: &History) -> Vec<(f64, f64)> {
    history.points.iter().filter_map(|point| Some((point.step as f64, point.held_out?))).collect()
}

/// Each point as the mean over so many at each side, fewer at the ends.
fn smoothed(points: &[(f64, f64)], side: usize) -> Vec<(f64, f64)> {
    let mean = |(place, point): (usize, &(f64, f64))| {
        let side = side.min(place).min(points.len() - 1 - place);
        let around = &points[place - side..=place + side];
        (point.0, around.iter().map(|point| point.1).sum::<f64>() / around.len() as f64)
    };
    points.iter().enumerate().map(mean).collect()
}

impl History {
    /// The loss curve of this training.
    pub fn curve(&self) -> LossCurve<'_> {
        LossCurve::new(self)
    }
}

impl Race {
    /// The loss curves of all, e.g. to be smoothed, or to be given levels to compare with.
    pub fn curve(&self) -> LossCurve<'_> {
        let named: Vec<(&str, &History)> = self.runs.iter().map(|run| (run.name.as_str(), &run.history)).collect();
        LossCurve::compare(&named)
    }

    /// Draws the loss curves of all.
    ///
    /// # Errors
    /// If nobody has run yet.
    pub fn draw(&self) -> Result<Picture> {
        self.curve().draw()
    }
}

shown!(Race, draw? or words);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::Point;

    fn point(step: usize, train: f64, held_out: Option<f64>) -> Point {
        Point { step, chars: step * 10, seconds: step as f64, train, held_out }
    }

    #[test]
    fn the_curve_tells_its_losses_and_levels() {
        let history = History {
            points: vec![point(1, 5.5, None), point(50, 3.0, Some(3.1)), point(100, 2.5, Some(2.6))],
            ..History::default()
        };
        let picture = history.curve().level("guessing", 5.545).draw().unwrap();
        assert!(picture.alt.contains("2.600") && picture.alt.contains("guessing 5.545"), "{}", picture.alt);
        assert!(picture.svg.contains("held out") && picture.svg.contains("guessing: 5.545"));
    }

    #[test]
    fn smoothing_keeps_a_line_and_shrinks_a_zigzag() {
        let line: Vec<(f64, f64)> = (0..20).map(|x| (f64::from(x), 2.0 * f64::from(x))).collect();
        assert!(smoothed(&line, 3).iter().zip(&line).all(|(a, b)| (a.1 - b.1).abs() < 1e-9));
        let zigzag: Vec<(f64, f64)> = (0..20).map(|x| (f64::from(x), f64::from(x % 2))).collect();
        assert!(smoothed(&zigzag, 3)[5..15].iter().all(|point| (point.1 - 0.5).abs() < 0.1));
        assert_eq!(smoothed(&zigzag, 0), zigzag);
        assert!(smoothed(&[], 3).is_empty());
    }

    #[test]
    fn the_lines_to_compare_with_are_counted() {
        let stories = crate::data::Stories::parse("abababab").unwrap();
        let tokens = Tokens::encode(&stories, &crate::tokenizer::CharTokenizer::default()).unwrap();
        let history = History { points: vec![point(1, 5.5, None), point(50, 3.0, Some(3.1))], ..History::default() };
        let picture = history.curve().smooth(2).uniform(256).bigram(&tokens, &tokens, 256).unwrap().draw().unwrap();
        assert!(picture.svg.contains("guessing: 5.545") && picture.svg.contains("counting pairs: "), "{}", picture.alt);
        assert!(picture.svg.contains("training (mean of 5)"));
        // Of tokens that are two characters each, guessing costs half as much a character.
        let of_tokens = History { chars_per_token: 2.0, ..history.clone() };
        let picture = of_tokens.curve().uniform(256).draw().unwrap();
        assert!(picture.svg.contains("guessing: 2.773"), "{}", picture.alt);
    }

    #[test]
    fn several_trainings_are_told_apart_also_one_out_of_range() {
        let history = |ends: &[f64]| History {
            points: ends
                .iter()
                .enumerate()
                .map(|(at, &loss)| point(10 * at, loss, (at == 2).then_some(loss)))
                .collect(),
            ..History::default()
        };
        let all = [history(&[5.5, 3.0, 2.5]), history(&[5.5, 40.0, 4e9]), history(&[5.5, f64::NAN])];
        let named = [("SGD", &all[0]), ("far too large", &all[1]), ("<lost>", &all[2])];
        let picture = LossCurve::compare(&named).level("guessing", 5.545).draw().unwrap();
        for part in ["SGD: 2.500", "out of range before step 10", "guessing 5.545"] {
            assert!(picture.alt.contains(part), "{part} is not in {}", picture.alt);
        }
        for colour in &COLOURS[..3] {
            let colour = format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2);
            assert!(picture.svg.contains(&colour), "{colour}");
        }
        // A loss of four thousand millions does not flatten the others.
        assert!(picture.svg.contains("held out"), "the dots are explained");
        assert!(picture.svg.contains("far too large: 4.0e9") && !picture.svg.contains(">4000000000<"));
        assert!(!picture.svg.contains("<lost>"));
        let none: [(&str, &History); 0] = [];
        assert!(LossCurve::compare(&none).draw().is_err());
    }

    #[test]
    fn learning_by_heart_is_marked_where_the_held_out_loss_was_lowest() {
        let history = |end: f64| History {
            points: vec![point(1, 5.5, None), point(50, 3.0, Some(3.1)), point(100, 1.0, Some(end))],
            ..History::default()
        };
        let picture = history(4.2).curve().draw().unwrap();
        assert!(picture.svg.contains("lowest held out: 3.100 at step 50") && picture.alt.contains("by heart"));
        assert!(!history(3.0).curve().draw().unwrap().svg.contains("lowest"));
    }

    #[test]
    fn odd_histories_are_drawn_or_refused_in_words() {
        let message = History::default().curve().draw().unwrap_err().to_string();
        assert!(message.contains("train first"), "{message}");
        for train in [2.0, f64::NAN, f64::INFINITY] {
            assert!(History { points: vec![point(1, train, None)], ..History::default() }.curve().draw().is_ok());
        }
    }
}
