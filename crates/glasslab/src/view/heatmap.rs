//! A matrix as colours.

use super::bitmap::{image, ramp};
use super::colour::{INFINITY, MINUS_INFINITY, NOT_A_NUMBER, Quantity, Scale, ink_on};
use super::{INK, Overlay, draw, short, text, underlay};
use crate::display::Picture;
use crate::error::{Error, Result};
use crate::tokenizer::visible;
use plotters::prelude::{IntoFont, Rectangle, Text, TextStyle};
use plotters::style::FontTransform::Rotate270;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, RGBColor};
use std::borrow::Cow;
use tch::{Kind, Tensor};

/// A matrix to be drawn: each number a coloured cell, by the scale of its [`Quantity`]. NaN and infinities have
/// colours of their own and are counted below the picture. Of a matrix with more than 560 rows or columns, or 65,536 numbers,
/// each cell is the number farthest from 0 of a few neighbours; the picture says so.
#[derive(Debug, Clone)]
pub struct Heatmap {
    cells: Vec<f64>,
    rows: usize,
    columns: usize,
    quantity: Quantity,
    title: String,
    row_labels: Vec<String>,
    column_labels: Vec<String>,
    row_axis: String,
    column_axis: String,
    largest_cell: i32,
    powers: bool,
}

/// The longer side of a large picture's matrix, in pixels; more rows or columns could not be told apart.
const SIDE: i32 = 560;
/// A picture has at most so many cells, a byte each.
const MOST_CELLS: usize = 1 << 16;

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
            quantity: Quantity::Range,
            title: String::new(),
            row_labels: Vec::new(),
            column_labels: Vec::new(),
            row_axis: String::new(),
            column_axis: String::new(),
            largest_cell: 28,
            powers: false,
        })
    }

    /// The title, with the unit of the numbers.
    pub fn title(mut self, title: &str) -> Heatmap {
        title.clone_into(&mut self.title);
        self
    }

    /// What the numbers are, which decides their colours.
    pub fn quantity(mut self, quantity: Quantity) -> Heatmap {
        self.quantity = quantity;
        self
    }

    /// What the rows are, and a character for each; missing ones are numbered.
    pub fn rows(self, axis: &str, characters: &str) -> Heatmap {
        let labels: Vec<String> = characters.chars().map(visible).collect();
        self.row_labels(axis, &labels)
    }

    /// What the columns are, and a character for each; missing ones are numbered.
    pub fn columns(self, axis: &str, characters: &str) -> Heatmap {
        let labels: Vec<String> = characters.chars().map(visible).collect();
        self.column_labels(axis, &labels)
    }

    /// What the rows are, and a word for each.
    pub fn row_labels(mut self, axis: &str, labels: &[String]) -> Heatmap {
        axis.clone_into(&mut self.row_axis);
        self.row_labels = labels.to_vec();
        self
    }

    /// What the columns are, and a word for each.
    pub fn column_labels(mut self, axis: &str, labels: &[String]) -> Heatmap {
        axis.clone_into(&mut self.column_axis);
        self.column_labels = labels.to_vec();
        self
    }

    /// The side of a cell in pixels at most: smaller pictures fit beside each other.
    pub(crate) fn largest_cell(mut self, pixels: i32) -> Heatmap {
        self.largest_cell = pixels;
        self
    }

    /// The numbers of the matrix are powers of 10, and are told as the numbers that they are powers of.
    pub(crate) fn powers(mut self) -> Heatmap {
        self.powers = true;
        self
    }

    /// A number as it is told beside numbers of the size `scale`.
    fn told(&self, number: f64, scale: f64) -> String {
        if self.powers { short(10_f64.powf(number), 0.0) } else { short(number, scale) }
    }

    /// Draws it.
    ///
    /// # Errors
    /// If the drawing library fails.
    pub fn draw(&self) -> Result<Picture> {
        let scale = Scale::new(self.quantity, &self.cells);
        let (rows, columns) = self.drawn_size();
        let widest = |labels: &[String]| labels.iter().map(|label| label.chars().count()).max().unwrap_or(1);
        let side = SIDE * self.largest_cell / 28;
        let cell = (side / rows.max(columns) as i32).clamp(1, self.largest_cell);
        // A wide matrix of few rows gets taller cells, so that its rows can be told apart.
        let cell_height = if cell < 10 && rows <= 48 { (side / 2 / rows as i32).clamp(cell, 16) } else { cell };
        let row_names = widest(&self.row_labels).max(self.rows.to_string().len());
        let letters = match self.column_labels.is_empty() {
            true => self.columns.to_string().len(),
            false => widest(&self.column_labels),
        } as i32;
        // Words that have no room beside each other stand upright; of numbers some are enough.
        let is_word =
            |label: &String| label.chars().count() > 1 && label.chars().any(|letter| !letter.is_ascii_digit());
        let upright = cell >= 10 && 4 + 8 * letters > cell && self.column_labels.iter().any(is_word);
        let (left, right) = (28 + 8 * row_names as i32, 74);
        let top = if upright { 54 + 8 * letters } else { 64 };
        let (wide, high) = (cell * columns as i32, cell_height * rows as i32);
        let odd = self.not_finite();
        let coarse = self.coarse(rows, columns);
        let bottom = 14 + if odd.is_empty() { 0 } else { 22 } + if coarse.is_empty() { 0 } else { 22 };
        let title_width = self.title.chars().count() as i32 * 9 + 16;
        let axes_width = left + (self.column_axis.chars().count() + self.row_axis.chars().count()) as i32 * 8;
        let coarse_width = left + 8 * coarse.chars().count() as i32;
        let width = (left + wide + right).max(title_width).max(axes_width).max(coarse_width);
        let height = top + high.max(90) + bottom;
        let (scale_x, scale_length) = (left + wide + 14, high.clamp(90, 200));
        let mut picture = draw((width as u32, height as u32), self.describe(scale, &odd) + &coarse, |area| {
            let middle = Pos::new(HPos::Center, VPos::Center);
            area.draw(&Text::new(self.title.clone(), (4, 8), text(17, Pos::new(HPos::Left, VPos::Top))))?;
            let axes = Pos::new(HPos::Left, VPos::Bottom);
            let row_axis = if self.row_axis.is_empty() { String::new() } else { format!("↓ {}", self.row_axis) };
            let column_axis =
                if self.column_axis.is_empty() { String::new() } else { format!("→ {}", self.column_axis) };
            let between =
                if self.row_axis.is_empty() { left } else { left.max(20 + 8 * row_axis.chars().count() as i32) };
            area.draw(&Text::new(row_axis, (4, 44), text(14, axes)))?;
            area.draw(&Text::new(column_axis, (between, 44), text(14, axes)))?;
            if cell >= 18 && cell_height >= 14 {
                for (place, number) in self.cells.iter().enumerate().filter(|(_, number)| !number.is_finite()) {
                    let (row, column) = ((place / columns) as i32, (place % columns) as i32);
                    let at = (left + column * cell + cell / 2, top + row * cell_height + cell_height / 2);
                    let light = if ink_on(scale.colour(*number)) == "#fff" { 255 } else { 0 };
                    let ink = RGBColor(light, light, light);
                    let style = TextStyle::from(("sans-serif", (cell / 2).clamp(9, 13)).into_font()).color(&ink);
                    area.draw(&Text::new(self.told(*number, 1.0), at, style.pos(middle)))?;
                }
            }
            // Single characters may stand close; numbers and words need room.
            let row_font = (cell_height + 3).clamp(9, 14);
            for row in (0..rows).step_by(every(cell_height, 9)) {
                let at = (left - 6, top + row as i32 * cell_height + cell_height / 2);
                let style = text(row_font, Pos::new(HPos::Right, VPos::Center));
                area.draw(&Text::new(label(&self.row_labels, row * self.rows / rows), at, style))?;
            }
            let (room, column_font) = match letters {
                _ if upright => (10, (cell + 1).clamp(10, 14)),
                1 => (9, (cell + 3).clamp(9, 14)),
                _ => (4 + 8 * letters, 14),
            };
            for column in (0..columns).step_by(every(cell, room)) {
                let x = left + column as i32 * cell + cell / 2;
                let name = label(&self.column_labels, column * self.columns / columns);
                let (at, style) = match upright {
                    true => ((x, top - 6), text(column_font, Pos::new(HPos::Left, VPos::Center)).transform(Rotate270)),
                    false => ((x, top - 10), text(column_font, middle)),
                };
                area.draw(&Text::new(name, at, style))?;
            }
            // The scale's ticks: what a colour means.
            let middle_tick = self.powers.then_some((scale.low + scale.high) / 2.0);
            for number in scale.ticks().into_iter().chain(middle_tick) {
                let y = top + ((1.0 - scale.place(number)) * f64::from(scale_length - 10)) as i32 + 5;
                let name = self.told(number, scale.low.abs().max(scale.high.abs()));
                area.draw(&Text::new(name, (scale_x + 16, y), text(13, Pos::new(HPos::Left, VPos::Center))))?;
            }
            let mut x = left;
            for (name, count, colour) in &odd {
                let y = top + high.max(90) + 14;
                area.draw(&Rectangle::new([(x, y), (x + 11, y + 11)], colour.filled()))?;
                let words = format!("{name}: {count} of {}", self.cells.len());
                let wide = 24 + 8 * words.chars().count() as i32;
                area.draw(&Text::new(words, (x + 16, y + 6), text(13, Pos::new(HPos::Left, VPos::Center))))?;
                x += wide;
            }
            let at = (left, height - 14);
            area.draw(&Text::new(
                coarse.trim_start_matches(", ").to_owned(),
                at,
                text(13, Pos::new(HPos::Left, VPos::Center)),
            ))?;
            area.draw(&Rectangle::new([(left - 1, top - 1), (left + wide, top + high)], INK.mix(0.35)))?;
            Ok(())
        })?;
        // Where a page scales the picture down, smoothed edges would draw a grid between the cells.
        picture.svg = picture.svg.replacen("<svg ", "<svg shape-rendering=\"crispEdges\" ", 1);
        let address = image(&self.drawn(rows, columns), columns, scale);
        let map = Overlay { place: (left, top), size: (wide, high), address };
        let scale = Overlay { place: (scale_x, top), size: (12, scale_length), address: ramp(scale) };
        underlay(&mut picture, &[map, scale]);
        Ok(picture)
    }

    /// How many rows and columns are drawn.
    fn drawn_size(&self) -> (usize, usize) {
        let (rows, columns) = (self.rows.min(SIDE as usize), self.columns.min(SIDE as usize));
        let share = (MOST_CELLS as f64 / (rows * columns) as f64).sqrt().min(1.0);
        let less = |count: usize| ((count as f64 * share) as usize).max(1);
        (less(rows), less(columns))
    }

    /// What is drawn: of the numbers that share a cell the one farthest from 0, or what is none.
    fn drawn(&self, rows: usize, columns: usize) -> Cow<'_, [f64]> {
        if (rows, columns) == (self.rows, self.columns) {
            return Cow::Borrowed(&self.cells);
        }
        let mut drawn = vec![0.0; rows * columns];
        for (place, &number) in self.cells.iter().enumerate() {
            let (row, column) =
                (place / self.columns * rows / self.rows, place % self.columns * columns / self.columns);
            let cell: &mut f64 = &mut drawn[row * columns + column];
            if !cell.is_nan() && (number.is_nan() || number.abs() > cell.abs()) {
                *cell = number;
            }
        }
        Cow::Owned(drawn)
    }

    /// Says that fewer cells are drawn than there are numbers; nothing if each has its own.
    fn coarse(&self, rows: usize, columns: usize) -> String {
        if (rows, columns) == (self.rows, self.columns) {
            return String::new();
        }
        let (high, wide) = (self.rows.div_ceil(rows), self.columns.div_ceil(columns));
        format!(", drawn as {rows} × {columns}: each cell is the number farthest from 0 of up to {high} × {wide}")
    }

    /// What is no finite number: its name, how many cells, its colour.
    fn not_finite(&self) -> Vec<(&'static str, usize, RGBColor)> {
        let count = |is: fn(f64) -> bool| self.cells.iter().filter(|&&number| is(number)).count();
        let all = [
            (if self.powers { "0" } else { "−∞" }, count(|number| number == f64::NEG_INFINITY), MINUS_INFINITY),
            ("∞", count(|number| number == f64::INFINITY), INFINITY),
            ("NaN", count(f64::is_nan), NOT_A_NUMBER),
        ];
        all.into_iter().filter(|(_, count, _)| *count > 0).collect()
    }

    fn describe(&self, scale: Scale, odd: &[(&str, usize, RGBColor)]) -> String {
        let finite = || self.cells.iter().copied().filter(|number| number.is_finite());
        let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        let size = scale.low.abs().max(scale.high.abs());
        let numbers = match low <= high {
            true => format!("numbers from {} to {}", self.told(low, size), self.told(high, size)),
            false => "no finite number".to_owned(),
        };
        let axis = |name: &str| if name.is_empty() { String::new() } else { format!(" ({name})") };
        format!(
            "Heatmap \"{}\": {} rows{} × {} columns{}, {numbers}{}",
            self.title,
            self.rows,
            axis(&self.row_axis),
            self.columns,
            axis(&self.column_axis),
            odd.iter().map(|(name, count, _)| format!(", {count} cells {name}")).collect::<String>()
        )
    }
}

/// Each how manyth label fits, if a cell and a label take so many pixels.
fn every(cell: i32, label: i32) -> usize {
    ((label + cell - 1) / cell.max(1)).max(1) as usize
}

fn label(labels: &[String], index: usize) -> String {
    labels.get(index).cloned().unwrap_or_else(|| index.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

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
        let numbers = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        assert!(picture.svg.contains(&image(&numbers, 3, Scale::new(Quantity::Range, &numbers))));
        assert!(picture.alt.contains("2 rows") && picture.alt.contains("from 0 to 5"), "{}", picture.alt);
    }

    #[test]
    fn numbers_that_are_none_are_named_and_don_t_spoil_the_scale() {
        let matrix = Tensor::from_slice(&[f64::NAN, f64::NEG_INFINITY, 1.0, 2.0]).view([2, 2]);
        let picture = Heatmap::new(&matrix).unwrap().draw().unwrap();
        assert!(picture.alt.contains("from 1.0 to 2.0") && picture.alt.contains("1 cells NaN"), "{}", picture.alt);
        assert!(picture.svg.contains("NaN: 1 of 4") && picture.svg.contains("−∞: 1 of 4"));
        for odd in [f64::NAN, f64::INFINITY, 1.0] {
            for count in [1, 2000] {
                assert!(Heatmap::new(&Tensor::from_slice(&vec![odd; count]).view([1, -1])).unwrap().draw().is_ok());
            }
        }
    }

    #[test]
    fn powers_of_ten_are_told_as_numbers() {
        let matrix = Tensor::from_slice(&[-2.0, 0.0, f64::NEG_INFINITY, 1.0]).view([2, 2]);
        let picture = Heatmap::new(&matrix).unwrap().powers().draw().unwrap();
        assert!(picture.alt.contains("from 0.01 to 10.0") && picture.svg.contains("0: 1 of 4"), "{}", picture.alt);
    }

    #[test]
    fn what_is_no_matrix_is_an_error_that_says_what_to_do() {
        for size in [vec![3], vec![2, 2, 2], vec![0, 3]] {
            let message =
                Heatmap::new(&Tensor::zeros(&size[..], (Kind::Float, tch::Device::Cpu))).unwrap_err().to_string();
            assert!(message.contains("(R, K)"), "{message}");
        }
    }

    #[test]
    fn a_large_matrix_is_drawn_coarser_and_says_so() {
        let matrix = Tensor::zeros([700, 1500], (Kind::Float, tch::Device::Cpu));
        let _ = matrix.get(301).narrow(0, 777, 1).fill_(-3.0);
        let _ = matrix.get(5).narrow(0, 6, 1).fill_(f64::NAN);
        let heatmap = Heatmap::new(&matrix).unwrap().quantity(Quantity::Numbers);
        let picture = heatmap.draw().unwrap();
        assert!(picture.html().len() < 150_000, "{} bytes", picture.html().len());
        let said = "drawn as 256 × 256: each cell is the number farthest from 0 of up to 3 × 6";
        assert!(picture.alt.contains("700 rows × 1500 columns, numbers from −3.0 to 0"), "{}", picture.alt);
        assert!(picture.alt.contains(said) && picture.svg.contains(said) && picture.svg.contains("NaN: 1 of 1050000"));
        let drawn = heatmap.drawn(256, 256);
        let odd: Vec<(usize, &f64)> = drawn.iter().enumerate().filter(|(_, number)| **number != 0.0).collect();
        assert!(matches!(odd[..], [(257, nan), (place, -3.0)] if nan.is_nan() && place == 110 * 256 + 132), "{odd:?}");
        let small = Heatmap::new(&matrix.narrow(0, 0, 100).narrow(1, 0, 560)).unwrap();
        assert!(!small.draw().unwrap().svg.contains("drawn as"));
    }

    #[test]
    fn a_heatmap_of_128_by_128_is_quick_and_small() {
        let matrix = Tensor::rand([128, 128], (Kind::Float, tch::Device::Cpu));
        let text = "Once upon a time ".repeat(8);
        let started = Instant::now();
        let heatmap = Heatmap::new(&matrix).unwrap().quantity(Quantity::Weights).rows("from", &text[..128]);
        let picture = heatmap.columns("to", &text[..128]).draw().unwrap();
        let seconds = started.elapsed().as_secs_f64();
        assert!(picture.html().len() < 200_000, "{} bytes", picture.html().len());
        // Ten times the promise, for a busy machine and a debug build; the bench measures the promise itself.
        assert!(seconds < 0.5, "{seconds} s");
    }
}
