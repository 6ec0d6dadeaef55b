//! A matrix as colours.

use super::{INK, draw};
use crate::display::Picture;
use crate::error::{Error, Result};
use crate::tokenizer::visible;
use plotters::prelude::{ColorMap, IntoFont, Rectangle, ShapeStyle, Text, TextStyle, ViridisRGB};
use plotters::style::Color;
use plotters::style::RGBColor;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use tch::{Kind, Tensor};

/// A matrix to be drawn: each number a coloured cell, from dark (low) to yellow (high); NaN and
/// infinities are grey.
#[derive(Debug)]
pub struct Heatmap {
    cells: Vec<f64>,
    rows: usize,
    columns: usize,
    title: String,
    row_labels: Vec<String>,
    column_labels: Vec<String>,
    row_axis: String,
    column_axis: String,
}

const GREY: RGBColor = RGBColor(128, 128, 128);

impl Heatmap {
    /// A heatmap of a matrix.
    ///
    /// # Shapes
    /// `matrix`: (R, K), each at least 1
    ///
    /// # Errors
    /// If it has another shape.
    pub fn new(matrix: &Tensor) -> Result<Heatmap> {
        let size = matrix.size();
        let [rows @ 1..=i64::MAX, columns @ 1..=i64::MAX] = size[..] else {
            return Err(Error::Shape {
                expected: "a matrix (R, K) with at least one row and one column".to_owned(),
                got: format!("shape {size:?}"),
                hint: "take one matrix of it, e.g. with .get(0) or .squeeze()".to_owned(),
            });
        };
        let cells = Vec::<f64>::try_from(matrix.f_detach()?.f_to_kind(Kind::Double)?.f_reshape([-1])?)?;
        Ok(Heatmap {
            cells,
            rows: rows as usize,
            columns: columns as usize,
            title: String::new(),
            row_labels: Vec::new(),
            column_labels: Vec::new(),
            row_axis: String::new(),
            column_axis: String::new(),
        })
    }

    /// The title, with the unit of the numbers.
    pub fn title(mut self, title: &str) -> Heatmap {
        title.clone_into(&mut self.title);
        self
    }

    /// What the rows are, and a character for each; missing ones are numbered.
    pub fn rows(mut self, axis: &str, characters: &str) -> Heatmap {
        axis.clone_into(&mut self.row_axis);
        self.row_labels = characters.chars().map(visible).collect();
        self
    }

    /// What the columns are, and a character for each; missing ones are numbered.
    pub fn columns(mut self, axis: &str, characters: &str) -> Heatmap {
        axis.clone_into(&mut self.column_axis);
        self.column_labels = characters.chars().map(visible).collect();
        self
    }

    /// Draws it.
    ///
    /// # Errors
    /// If the drawing library fails.
    pub fn draw(&self) -> Result<Picture> {
        let cell = (560 / self.rows.max(self.columns) as i32).clamp(2, 28);
        let (left, top, right, bottom) = (64, 64, 84, 16);
        let width = left + cell * self.columns as i32 + right;
        let height = top + (cell * self.rows as i32).max(80) + bottom;
        let finite = || self.cells.iter().copied().filter(|number| number.is_finite());
        let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        let scale = low.abs().max(high.abs());
        let colour = |number: f64| match number.is_finite() {
            true => ViridisRGB.get_color_normalized(number, low, if high > low { high } else { low + 1.0 }),
            false => GREY,
        };
        let alt = self.describe(low, high);
        draw((width.max(360) as u32, height as u32), alt, |area| {
            let font = |size: i32, pos: Pos| TextStyle::from(("sans-serif", size).into_font()).color(&INK).pos(pos);
            let middle = Pos::new(HPos::Center, VPos::Center);
            area.draw(&Text::new(self.title.clone(), (left, 8), font(19, Pos::new(HPos::Left, VPos::Top))))?;
            let axes = Pos::new(HPos::Left, VPos::Bottom);
            area.draw(&Text::new(format!("{} →", self.column_axis), (left, top - 20), font(15, axes)))?;
            area.draw(&Text::new(format!("↓ {}", self.row_axis), (4, top - 20), font(15, axes)))?;
            for (place, &number) in self.cells.iter().enumerate() {
                let (row, column) = ((place / self.columns) as i32, (place % self.columns) as i32);
                let (x, y) = (left + column * cell, top + row * cell);
                area.draw(&Rectangle::new([(x, y), (x + cell, y + cell)], ShapeStyle::from(&colour(number)).filled()))?;
            }
            let every = (14 / cell).max(0) as usize + 1;
            for row in (0..self.rows).step_by(every) {
                let at = (left - 12, top + row as i32 * cell + cell / 2);
                area.draw(&Text::new(label(&self.row_labels, row), at, font(15, middle)))?;
            }
            for column in (0..self.columns).step_by(every) {
                let at = (left + column as i32 * cell + cell / 2, top - 10);
                area.draw(&Text::new(label(&self.column_labels, column), at, font(15, middle)))?;
            }
            // The scale: what a colour means.
            let x = left + cell * self.columns as i32 + 16;
            let length = (cell * self.rows as i32).clamp(80, 200);
            for step in 0..length {
                let number = low + (high - low) * f64::from(length - step) / f64::from(length);
                area.draw(&Rectangle::new([(x, top + step), (x + 12, top + step + 1)], colour(number).filled()))?;
            }
            for (text, y) in [(short(high, scale), top + 5), (short(low, scale), top + length - 5)] {
                area.draw(&Text::new(text, (x + 16, y), font(15, Pos::new(HPos::Left, VPos::Center))))?;
            }
            Ok(())
        })
    }

    fn describe(&self, low: f64, high: f64) -> String {
        let scale = low.abs().max(high.abs());
        format!(
            "Heatmap \"{}\": {} rows ({}) × {} columns ({}), numbers from {} to {}",
            self.title,
            self.rows,
            self.row_axis,
            self.columns,
            self.column_axis,
            short(low, scale),
            short(high, scale)
        )
    }
}

fn label(labels: &[String], index: usize) -> String {
    labels.get(index).cloned().unwrap_or_else(|| index.to_string())
}

/// A number with the digits that matter beside numbers of the size `scale`.
fn short(number: f64, scale: f64) -> String {
    if number.abs() < 1e-3 * scale {
        return "0".to_owned();
    }
    match number.abs() {
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 1.0 => format!("{number:.1}"),
        size if size >= 0.01 => format!("{number:.2}"),
        _ => format!("{number:.0e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_a_cell_and_every_label_is_escaped() {
        let picture = Heatmap::new(&Tensor::from_slice(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]).view([2, 3]))
            .unwrap()
            .title("<script>")
            .rows("from", "a\n")
            .columns("to", "x <")
            .draw()
            .unwrap();
        assert!(!picture.svg.contains("<script>"));
        assert!(picture.svg.contains('⏎') && picture.svg.contains('␣') && picture.svg.contains("currentColor"));
        assert!(picture.svg.matches("<rect").count() >= 6);
        assert!(picture.alt.contains("2 rows") && picture.alt.contains("from 0 to 5"), "{}", picture.alt);
    }

    #[test]
    fn numbers_that_are_none_are_grey_and_don_t_spoil_the_scale() {
        let matrix = Tensor::from_slice(&[f64::NAN, f64::INFINITY, 1.0, 2.0]).view([2, 2]);
        let picture = Heatmap::new(&matrix).unwrap().draw().unwrap();
        assert!(picture.svg.contains("#808080") && picture.alt.contains("from 1.0 to 2.0"), "{}", picture.alt);
        assert!(Heatmap::new(&Tensor::from_slice(&[f64::NAN]).view([1, 1])).unwrap().draw().is_ok());
        assert!(Heatmap::new(&Tensor::from_slice(&[1.0_f64]).view([1, 1])).unwrap().draw().is_ok());
    }

    #[test]
    fn what_is_no_matrix_is_an_error_that_says_what_to_do() {
        for size in [vec![3], vec![2, 2, 2], vec![0, 3]] {
            let message =
                Heatmap::new(&Tensor::zeros(&size[..], (Kind::Float, tch::Device::Cpu))).unwrap_err().to_string();
            assert!(message.contains("(R, K)"), "{message}");
        }
    }
}
