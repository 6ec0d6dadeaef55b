//! A slice of the loss as a map: the brighter, the higher; lines join points of equal loss.

use super::bitmap::{image, ramp};
use super::colour::{Quantity, Scale};
use super::{INK, Overlay, draw, short, shown, text, underlay};
use crate::display::Picture;
use crate::error::{Error, Result};
use crate::train::Landscape;
use plotters::prelude::{Circle, PathElement, Rectangle, ShapeStyle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, RGBColor};

/// The side of the map in pixels, and where it begins.
const SIDE: i32 = 420;
const LEFT: i32 = 78;
const TOP: i32 = 44;
/// The lines of equal loss.
const LINES: usize = 9;
const COURSE: RGBColor = RGBColor(255, 255, 255);
const EDGE: RGBColor = RGBColor(20, 20, 20);

impl Landscape {
    /// Draws it, with the course of the training if it has one.
    ///
    /// # Errors
    /// If no loss is finite.
    pub fn draw(&self) -> Result<Picture> {
        let (low, high) = self.range();
        let (columns, rows) = (self.across.len(), self.up.len());
        if low > high || columns < 2 || rows < 2 {
            return Err(Error::Drawing("no loss of this landscape is a finite number".to_owned()));
        }
        // Heights as powers: around a trained model the loss rises tenfold within one length.
        let power = |loss: f64| loss.max(1e-6).log10();
        // The picture's first row is the highest place.
        let cells: Vec<f64> = self
            .losses
            .iter()
            .rev()
            .flatten()
            .map(|&loss| if loss.is_finite() { power(loss) } else { f64::NAN })
            .collect();
        let scale = Scale::new(Quantity::Range, &cells);
        let share = |places: &[f64], place: f64| (place - places[0]) / (places[places.len() - 1] - places[0]);
        // Of a bitmap the outer points are half a cell from the edge.
        let (wide, tall) = (f64::from(SIDE) / columns as f64, f64::from(SIDE) / rows as f64);
        let pixel = |[across, up]: [f64; 2]| {
            let x = f64::from(LEFT) + wide * (0.5 + share(&self.across, across) * (columns - 1) as f64);
            let y = f64::from(TOP + SIDE) - tall * (0.5 + share(&self.up, up) * (rows - 1) as f64);
            (x.round() as i32, y.round() as i32)
        };
        let levels: Vec<f64> =
            (1..=LINES).map(|level| scale.low + (scale.high - scale.low) * level as f64 / (LINES + 1) as f64).collect();
        let title = format!(
            "loss around {} (nats per {})",
            if self.course.is_empty() { "the model" } else { "a training's course" },
            self.unit.one
        );
        let scale_x = LEFT + SIDE + 22;
        let mut picture = draw((690, 530), self.to_string(), |area| {
            let left = |vertical| Pos::new(HPos::Left, vertical);
            area.draw(&Text::new(title, (4, 8), text(17, left(VPos::Top))))?;
            for &level in &levels {
                for line in self.contour(10_f64.powf(level)) {
                    let line = line.map(&pixel).to_vec();
                    area.draw(&PathElement::new(line, ShapeStyle::from(&EDGE.mix(0.55)).stroke_width(1)))?;
                }
            }
            self.draw_course(area, &pixel)?;
            let (x, y) = pixel([0.0, 0.0]);
            area.draw(&Circle::new((x, y), 7, ShapeStyle::from(&COURSE).stroke_width(4)))?;
            area.draw(&Circle::new((x, y), 7, ShapeStyle::from(&EDGE).stroke_width(2)))?;
            let unit =
                if self.course.is_empty() { "in lengths of the parameters" } else { "distance between parameters" };
            for at in 0..5 {
                let place = |places: &[f64]| places[0] + (places[places.len() - 1] - places[0]) * f64::from(at) / 4.0;
                let (across, up) = (place(&self.across), place(&self.up));
                let name =
                    |places: &[f64], number: f64| short(number, places[0].abs().max(places[places.len() - 1].abs()));
                let (x, y) = (pixel([across, self.up[0]]).0, pixel([self.across[0], up]).1);
                let below = text(14, Pos::new(HPos::Center, VPos::Top));
                area.draw(&Text::new(name(&self.across, across), (x, TOP + SIDE + 6), below))?;
                let beside = text(14, Pos::new(HPos::Right, VPos::Center));
                area.draw(&Text::new(name(&self.up, up), (LEFT - 8, y), beside))?;
            }
            let (first, second) = match self.course.is_empty() {
                true => ("random direction 1", "↑ random direction 2"),
                false => ("the direction of its longest way", "↑ the second direction of its way"),
            };
            let centre = text(14, Pos::new(HPos::Center, VPos::Top));
            area.draw(&Text::new(format!("{first} ({unit})"), (LEFT + SIDE / 2, TOP + SIDE + 28), centre))?;
            area.draw(&Text::new(second, (LEFT, TOP - 10), text(14, left(VPos::Center))))?;
            // The scale's ticks, one for every other line.
            let ends = [scale.low, scale.high];
            for &level in levels.iter().skip(1).step_by(2).chain(&ends) {
                let share = (level - scale.low) / (scale.high - scale.low).max(1e-12);
                let y = TOP + SIDE - 4 - (share * f64::from(SIDE - 8)) as i32;
                area.draw(&Text::new(
                    format!("{:.2}", 10_f64.powf(level)),
                    (scale_x + 20, y),
                    text(14, left(VPos::Center)),
                ))?;
            }
            let words = |line: &str, at: i32| {
                Text::new(line.to_owned(), (scale_x + 62, TOP + at), text(14, left(VPos::Center)))
            };
            area.draw(&words("◯ the model", 12))?;
            if !self.course.is_empty() {
                area.draw(&words("• its course", 34))?;
            }
            area.draw(&Rectangle::new([(LEFT - 1, TOP - 1), (LEFT + SIDE, TOP + SIDE)], INK.mix(0.35)))?;
            Ok(())
        })?;
        let map = Overlay { place: (LEFT, TOP), size: (SIDE, SIDE), address: image(&cells, columns, scale) };
        underlay(&mut picture, &[map, Overlay { place: (scale_x, TOP), size: (14, SIDE), address: ramp(scale) }]);
        Ok(picture)
    }

    fn draw_course(&self, area: &super::Area<'_>, pixel: &impl Fn([f64; 2]) -> (i32, i32)) -> super::Drawn {
        let points: Vec<(i32, i32)> = self.course.iter().map(|(_, place, _)| pixel(*place)).collect();
        if points.is_empty() {
            return Ok(());
        }
        for (colour, width) in [(EDGE, 5), (COURSE, 2)] {
            area.draw(&PathElement::new(points.clone(), ShapeStyle::from(&colour).stroke_width(width)))?;
        }
        for &point in &points {
            area.draw(&Circle::new(point, 4, EDGE.filled()))?;
            area.draw(&Circle::new(point, 3, COURSE.filled()))?;
        }
        Ok(())
    }

    /// The line of points with a loss, as pieces that each cross one square of four points (marching squares).
    fn contour(&self, level: f64) -> Vec<[[f64; 2]; 2]> {
        let mut pieces = Vec::new();
        for row in 1..self.up.len() {
            for column in 1..self.across.len() {
                // The corners, one after the other around the square.
                let corners = [(row - 1, column - 1), (row - 1, column), (row, column), (row, column - 1)];
                let mut crossings = Vec::new();
                for side in 0..4 {
                    let ((row0, column0), (row1, column1)) = (corners[side], corners[(side + 1) % 4]);
                    let (from, to) = (self.losses[row0][column0], self.losses[row1][column1]);
                    if (from < level) != (to < level) && from.is_finite() && to.is_finite() {
                        let share = (level - from) / (to - from);
                        let between = |a: f64, b: f64| a + share * (b - a);
                        let across = between(self.across[column0], self.across[column1]);
                        crossings.push([across, between(self.up[row0], self.up[row1])]);
                    }
                }
                // Four crossings are two pieces; which belong together is not to be known.
                pieces.extend(crossings.chunks_exact(2).map(|two| [two[0], two[1]]));
            }
        }
        pieces
    }
}

shown!(Landscape, draw? or words);

#[cfg(test)]
mod tests {
    use super::*;

    /// A bowl with its lowest point in the middle.
    fn bowl(points: usize) -> Landscape {
        let places: Vec<f64> = (0..points).map(|at| 2.0 * at as f64 / (points - 1) as f64 - 1.0).collect();
        let losses = places.iter().map(|up| places.iter().map(|across| 1.0 + across * across + up * up).collect());
        Landscape {
            losses: losses.collect(),
            across: places.clone(),
            up: places,
            course: Vec::new(),
            share: None,
            loss: 1.0,
            chars: 100,
            unit: crate::tokenizer::AnyTokenizer::default().unit(),
        }
    }

    #[test]
    fn a_line_of_equal_loss_around_a_bowl_is_a_circle() {
        let pieces = bowl(41).contour(1.25);
        assert!(pieces.len() > 40, "{}", pieces.len());
        for [across, up] in pieces.iter().flatten() {
            assert!((across.hypot(*up) - 0.5).abs() < 0.01, "{across} {up}");
        }
        assert!(bowl(41).contour(0.5).is_empty());
    }

    #[test]
    fn the_map_has_its_model_its_course_and_its_scale() {
        let mut landscape = bowl(21);
        let plain = landscape.draw().unwrap();
        assert!(plain.svg.contains("random direction 1") && !plain.svg.contains("its course"));
        assert!(plain.svg.find("<image").unwrap() < plain.svg.find("<text").unwrap(), "the map lies under its lines");
        let numbers_beside = format!("<text x='{}'", LEFT + SIDE + 22 + 20);
        assert_eq!(
            plain.svg.matches(&numbers_beside).count(),
            2 + LINES / 2,
            "the ends of the scale and every other line"
        );
        landscape.course = vec![(0, [-0.9, 0.5], 2.0), (10, [0.0, 0.0], 1.0)];
        landscape.share = Some(0.9);
        let with_course = landscape.draw().unwrap();
        assert!(with_course.svg.contains("its course") && with_course.alt.contains("90 % of its way"));
    }

    #[test]
    fn heights_that_are_no_numbers_are_left_out() {
        let mut landscape = bowl(5);
        landscape.losses[0][0] = f64::NAN;
        landscape.losses[4][4] = f64::INFINITY;
        assert!(landscape.draw().unwrap().alt.contains("from 1.000 to 3.000"));
        landscape.losses.iter_mut().flatten().for_each(|loss| *loss = f64::NAN);
        assert!(landscape.draw().is_err());
    }
}
