//! The loss over the course of a training.

use super::{INK, draw};
use crate::data::Tokens;
use crate::display::Picture;
use crate::error::{Error, Result};
use crate::evaluate::evaluate;
use crate::model::NGram;
use crate::train::History;
use plotters::prelude::{
    ChartBuilder, Circle, DashedLineSeries, IntoFont, LineSeries, PathElement, RGBColor, SeriesLabelPosition,
    ShapeStyle, TextStyle,
};
use plotters::style::Color;

const TRAIN: RGBColor = RGBColor(230, 159, 0);
const HELD_OUT: RGBColor = RGBColor(40, 140, 210);
const LEVEL: RGBColor = RGBColor(128, 128, 128);

/// A loss curve, with horizontal lines to compare with.
#[derive(Debug)]
pub struct LossCurve<'a> {
    history: &'a History,
    levels: Vec<(String, f64)>,
    smoothing: usize,
}

impl<'a> LossCurve<'a> {
    /// The curve of a training: thin the training loss, with dots the held-out loss.
    pub fn new(history: &'a History) -> LossCurve<'a> {
        LossCurve { history, levels: Vec::new(), smoothing: 0 }
    }

    /// Draws the training loss as the mean over `points` points at each side, the loss itself thin behind it.
    pub fn smooth(mut self, points: usize) -> LossCurve<'a> {
        self.smoothing = points;
        self
    }

    /// Adds the loss of guessing among `n_vocab` characters: ln `n_vocab`.
    pub fn uniform(self, n_vocab: i64) -> LossCurve<'a> {
        self.level("guessing", (n_vocab as f64).ln())
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
        let points = &self.history.points;
        let (Some(first), Some(last)) = (points.first(), points.last()) else {
            return Err(Error::Drawing("the history is empty: train first".to_owned()));
        };
        let losses = points.iter().map(|point| point.train).chain(self.levels.iter().map(|level| level.1));
        let held_out: Vec<(f64, f64)> =
            points.iter().filter_map(|point| Some((point.step as f64, point.held_out?))).collect();
        let all: Vec<f64> =
            losses.chain(held_out.iter().map(|point| point.1)).filter(|loss| loss.is_finite()).collect();
        // An axis without an end would make the drawing library search for ticks for ever.
        let low = all.iter().copied().fold(f64::INFINITY, f64::min).min(f64::MAX);
        let (low, high) = if all.is_empty() { (0.0, 1.0) } else { (low, all.iter().copied().fold(low, f64::max)) };
        let margin = 0.05 * (high - low).max(0.1);
        let end = last.step as f64;
        let alt = format!(
            "Loss curve over {} steps: training loss from {:.2} to {:.2} nats per character{}{}",
            last.step,
            first.train,
            last.train,
            held_out.last().map_or(String::new(), |point| format!(", held-out loss {:.3} at the end", point.1)),
            self.levels.iter().map(|(name, nats)| format!(", {name} {nats:.3}")).collect::<String>(),
        );
        draw((700, 380), alt, |area| {
            let text = |size: i32| TextStyle::from(("sans-serif", size).into_font()).color(&INK);
            let mut chart = ChartBuilder::on(area)
                .margin(10)
                .margin_right(24)
                .x_label_area_size(44)
                .y_label_area_size(60)
                .build_cartesian_2d(0.0..end.max(1.0), low - margin..high + margin)?;
            chart
                .configure_mesh()
                .disable_x_mesh()
                .light_line_style(LEVEL.mix(0.0))
                .bold_line_style(LEVEL.mix(0.2))
                .axis_style(INK)
                .x_desc("step")
                .y_desc("loss (nats per character)")
                .x_label_formatter(&|step| format!("{step:.0}"))
                .y_label_formatter(&|loss| format!("{loss:.1}"))
                .label_style(text(15))
                .axis_desc_style(text(16))
                .draw()?;
            for (name, nats) in &self.levels {
                let line =
                    DashedLineSeries::new([(0.0, *nats), (end, *nats)], 6, 4, ShapeStyle::from(&LEVEL).stroke_width(2));
                chart.draw_series(line)?.label(format!("{name}: {nats:.3}")).legend(|(x, y)| {
                    PathElement::new(vec![(x, y), (x + 8, y)], ShapeStyle::from(&LEVEL).stroke_width(2))
                });
            }
            let train: Vec<(f64, f64)> = points
                .iter()
                .filter(|point| point.train.is_finite())
                .map(|point| (point.step as f64, point.train))
                .collect();
            let smoothed = smoothed(&train, self.smoothing);
            let name = match self.smoothing {
                0 => "training".to_owned(),
                points => format!("training (mean of {})", 2 * points + 1),
            };
            if self.smoothing > 0 {
                chart.draw_series(LineSeries::new(train, TRAIN.mix(0.35).stroke_width(1)))?;
            }
            chart
                .draw_series(LineSeries::new(smoothed, ShapeStyle::from(&TRAIN).stroke_width(2)))?
                .label(name)
                .legend(|(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], ShapeStyle::from(&TRAIN).stroke_width(2)));
            chart.draw_series(LineSeries::new(held_out.clone(), ShapeStyle::from(&HELD_OUT).stroke_width(2)))?;
            chart
                .draw_series(held_out.iter().map(|&point| Circle::new(point, 4, HELD_OUT.filled())))?
                .label("held out")
                .legend(|(x, y)| Circle::new((x + 9, y), 4, HELD_OUT.filled()));
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::MiddleRight)
                .label_font(text(16))
                .border_style(LEVEL.mix(0.3))
                .draw()?;
            Ok(())
        })
    }
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
