//! Lines over an axis: what loss curves, dead units and singular values are drawn with.

use super::{Area, Drawn, INK, draw, short, text};
use crate::display::Picture;
use crate::error::{Error, Result};
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::coord::types::RangedCoordf64;
use plotters::element::{DashedPathElement, DynElement, IntoDynElement};
use plotters::prelude::{
    ChartBuilder, Circle, Cross, DrawingBackend, IntoFont, PathElement, RGBColor, Rectangle, ShapeStyle, Text,
    TextStyle, TriangleMarker,
};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::ops::Range;

/// Okabe and Ito's colours, which the colour-blind can tell apart, the best to be seen on both light and dark pages first.
pub(crate) const COLOURS: [RGBColor; 6] = [
    RGBColor(40, 140, 210),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
];
pub(crate) const GREY: RGBColor = RGBColor(128, 128, 128);

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Line,
    /// A line with a dot at each point.
    Dotted,
    Dots,
    /// Small dots: single results behind their mean.
    Specks,
    Dashed,
    /// A thin pale line, behind others.
    Faint,
    /// A ring around each point.
    Ring,
    /// A cross at each point: something ends there.
    Cross,
}

/// Some points.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    /// Its name in the legend; without one it is not in it.
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) colour: RGBColor,
    pub(crate) mark: Mark,
}

/// An axis; a logarithmic one shows powers of 10 as the numbers they are.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    pub(crate) name: String,
    pub(crate) logarithmic: bool,
    /// Where it ends; without, where the points do.
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
}

impl Axis {
    pub(crate) fn new(name: &str) -> Axis {
        Axis { name: name.to_owned(), logarithmic: false, low: None, high: None }
    }

    pub(crate) fn logarithmic(self) -> Axis {
        Axis { logarithmic: true, ..self }
    }

    fn place(&self, number: f64) -> f64 {
        if self.logarithmic { number.log10() } else { number }
    }

    /// Where numbers stand on an axis that runs through these places, some `most` at most: on a logarithmic one 1, 2, 5, 10, …, or
    /// powers of ten, or of a thousand, ….
    fn ticks(&self, places: Range<f64>, most: usize) -> Vec<f64> {
        // A low end of 0 has no logarithm, and would have ticks without end.
        if self.logarithmic && places.end - places.start < 1e3 {
            let (first, last) = (places.start.floor() as i32, places.end.ceil() as i32);
            let within = |digits: &[f64], step: usize| -> Vec<f64> {
                let tens = (first..=last).filter(|ten| ten.rem_euclid(step as i32) == 0);
                let all = tens.flat_map(|ten| digits.iter().map(move |digit| f64::from(ten) + digit.log10()));
                all.filter(|place| (places.start - 1e-9..=places.end + 1e-9).contains(place)).collect()
            };
            let all_digits: Vec<f64> = (1..=9).map(f64::from).collect();
            let choices = [(&all_digits[..], 1), (&[1.0, 2.0, 5.0], 1), (&[1.0], 1), (&[1.0], 3), (&[1.0], 9)];
            let fits = choices.into_iter().map(|(digits, step)| within(digits, step)).find(|ticks| ticks.len() <= most);
            if let Some(ticks) = fits.filter(|ticks| ticks.len() > 1) {
                return ticks;
            }
        }
        RangedCoordf64::from(places).key_points(most)
    }

    fn label(&self, place: f64, span: f64) -> String {
        if self.logarithmic {
            return round(10_f64.powf(place));
        }
        match span {
            ..2.0 => format!("{place:.2}"),
            2.0..20.0 => format!("{place:.1}"),
            _ => format!("{place:.0}"),
        }
        .replace('-', "−")
    }
}

/// Places of an axis, with numbers at some of them.
struct Ticked {
    places: RangedCoordf64,
    ticks: Vec<f64>,
}

impl Ticked {
    fn new(places: Range<f64>, ticks: Vec<f64>) -> Ticked {
        Ticked { places: places.into(), ticks }
    }
}

impl Ranged for Ticked {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, pixels: (i32, i32)) -> i32 {
        self.places.map(place, pixels)
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.places.range()
    }
}

/// A number of an axis, as short as it can be: 0.02, 500, 20k, 1M.
fn round(number: f64) -> String {
    let (number, unit) = match number {
        1e9..1e12 => (number / 1e9, "G"),
        1e6..1e9 => (number / 1e6, "M"),
        1e4..1e6 => (number / 1e3, "k"),
        _ => (number, ""),
    };
    let rounded = format!("{number:.1}");
    match rounded.strip_suffix(".0") {
        Some(whole) if number >= 1.0 => format!("{whole}{unit}"),
        _ => format!("{}{unit}", short(number, 0.0)),
    }
}

/// A chart of lines.
#[derive(Debug, Clone)]
pub(crate) struct Lines {
    pub(crate) title: String,
    pub(crate) across: Axis,
    pub(crate) up: Axis,
    pub(crate) series: Vec<Series>,
    /// Words at places of the horizontal axis, at the top.
    pub(crate) words: Vec<(f64, String)>,
}

impl Lines {
    pub(crate) fn new(across: Axis, up: Axis) -> Lines {
        Lines { title: String::new(), across, up, series: Vec::new(), words: Vec::new() }
    }

    pub(crate) fn add(&mut self, name: impl Into<String>, points: Vec<(f64, f64)>, colour: RGBColor, mark: Mark) {
        self.series.push(Series { name: name.into(), points, colour, mark });
    }

    /// Draws them. What lies above the upper end of the vertical axis is cut off, with a triangle where a line leaves.
    pub(crate) fn draw(&self, alt: String) -> Result<Picture> {
        let Lines { title, across, up, .. } = self;
        let place = |&(x, y): &(f64, f64)| (across.place(x), up.place(y));
        let placed: Vec<Vec<(f64, f64)>> =
            self.series.iter().map(|series| series.points.iter().map(place).collect()).collect();
        let finite = || placed.iter().flatten().filter(|(x, y)| x.is_finite() && y.is_finite());
        if self.series.is_empty() {
            return Err(Error::Drawing("there is no line to draw".to_owned()));
        }
        let end = |axis: &Axis, given: Option<f64>, all: &dyn Fn(fn(f64, f64) -> f64) -> f64, which| {
            // An axis without an end would make the drawing library search for ticks for ever.
            given.map_or_else(|| all(which), |end| axis.place(end)).clamp(-1e30, 1e30)
        };
        let xs = |which: fn(f64, f64) -> f64| finite().map(|point| point.0).reduce(which).unwrap_or(0.0);
        let ys = |which: fn(f64, f64) -> f64| finite().map(|point| point.1).reduce(which).unwrap_or(0.0);
        let (left, right) = (end(across, across.low, &xs, f64::min), end(across, across.high, &xs, f64::max));
        let right = if right > left { right } else { left + 1.0 };
        let (low, high) = (end(up, up.low, &ys, f64::min), end(up, up.high, &ys, f64::max));
        let high = high.max(low);
        let margin = 0.05 * (high - low).max(0.1);
        // A given end stays where it is: 0 % is the floor.
        let (low, high) = (if up.low.is_some() { low } else { low - margin }, high + margin);
        let span = (right - left, high - low);
        draw((700, 380), alt, |area| {
            let words = |size: i32| TextStyle::from(("sans-serif", size).into_font()).color(&INK);
            let mut builder = ChartBuilder::on(area);
            builder.margin(10).margin_right(24).x_label_area_size(44).y_label_area_size(64);
            if !title.is_empty() {
                area.draw(&Text::new(title.clone(), (12, 8), text(16, Pos::new(HPos::Left, VPos::Top))))?;
                builder.margin_top(36);
            }
            let ticks = (across.ticks(left..right, 8), up.ticks(low..high, if up.logarithmic { 7 } else { 10 }));
            let (xs, ys) = (Ticked::new(left..right, ticks.0), Ticked::new(low..high, ticks.1));
            let mut chart = builder.build_cartesian_2d(xs, ys)?;
            chart
                .configure_mesh()
                .disable_x_mesh()
                .light_line_style(GREY.mix(0.0))
                .bold_line_style(GREY.mix(0.2))
                .axis_style(INK)
                .x_desc(&across.name)
                .y_desc(&up.name)
                .x_label_formatter(&|&at| across.label(at, span.0))
                .y_label_formatter(&|&at| up.label(at, span.1))
                .label_style(words(15))
                .axis_desc_style(words(16))
                .draw()?;
            for (series, points) in self.series.iter().zip(&placed) {
                chart.draw_series(elements(points, high, series.colour, series.mark))?;
            }
            for (at, words) in &self.words {
                let (x, y) = chart.backend_coord(&(across.place(*at).clamp(left, right), high));
                area.draw(&Text::new(words.clone(), (x, y + 4), text(15, Pos::new(HPos::Center, VPos::Top))))?;
            }
            let mut drawn = Vec::new();
            for (series, points) in self.series.iter().zip(&placed) {
                if matches!(series.mark, Mark::Dots | Mark::Specks | Mark::Ring | Mark::Cross) {
                    continue;
                }
                for two in points.windows(2).filter(|two| two.iter().all(|point| point.0.is_finite())) {
                    let between = |at: i32, from: f64, to: f64| from + (to - from) * f64::from(at) / 8.0;
                    drawn.extend((0..=8).map(|at| (between(at, two[0].0, two[1].0), between(at, two[0].1, two[1].1))));
                }
            }
            drawn.extend(self.words.iter().map(|(at, _)| (across.place(*at), high)));
            let drawn: Vec<(i32, i32)> = drawn.iter().map(|point| chart.backend_coord(point)).collect();
            let (across, down) = chart.plotting_area().get_pixel_range();
            self.draw_legend(area, across, down, &drawn)
        })
    }

    /// What is what, inside of the chart, whose pixels are given, where it hides least of what is drawn.
    fn draw_legend(&self, area: &Area<'_>, across: Range<i32>, down: Range<i32>, drawn: &[(i32, i32)]) -> Drawn {
        let named: Vec<&Series> = self.series.iter().filter(|series| !series.name.is_empty()).collect();
        let longest = named.iter().map(|series| series.name.chars().count()).max().unwrap_or(0) as i32;
        if named.is_empty() {
            return Ok(());
        }
        let (wide, tall) = (44 + 8 * longest, 10 + 20 * named.len() as i32);
        // To the right and half-way up, where a loss that falls leaves room; or where there is more of it.
        let (room, height) = (across.end - across.start - wide - 14, down.end - down.start - tall - 12);
        let lefts = (0..=6).map(|sixths| across.end - wide - 6 - room * sixths / 6);
        let ups = [3, 2, 4, 1, 5, 0, 6];
        let hidden = |&(left, top): &(i32, i32)| {
            let inside =
                |&&(x, y): &&(i32, i32)| (left..left + wide).contains(&x) && (top - 6..top + tall).contains(&y);
            drawn.iter().filter(inside).count()
        };
        // Of those that hide as little, the first.
        let places = lefts.flat_map(|left| ups.iter().map(move |sixths| (left, down.start + 6 + height * sixths / 6)));
        let Some((left, top)) = places.min_by_key(hidden) else { return Ok(()) };
        area.draw(&Rectangle::new([(left, top), (left + wide, top + tall)], GREY.mix(0.3)))?;
        for (row, Series { name, colour, mark, .. }) in named.into_iter().enumerate() {
            let (x, y, style) = (left + 8, top + 15 + 20 * row as i32, style(*colour, *mark));
            match mark {
                Mark::Dots => area.draw(&Circle::new((x + 9, y), 4, colour.filled()))?,
                Mark::Specks => area.draw(&Circle::new((x + 9, y), 2, colour.filled()))?,
                Mark::Ring => area.draw(&Circle::new((x + 9, y), 6, style))?,
                Mark::Cross => area.draw(&Cross::new((x + 9, y), 6, style))?,
                Mark::Dashed => {
                    area.draw(&PathElement::new(vec![(x, y), (x + 7, y)], style))?;
                    area.draw(&PathElement::new(vec![(x + 11, y), (x + 18, y)], style))?;
                }
                Mark::Line | Mark::Dotted | Mark::Faint => {
                    area.draw(&PathElement::new(vec![(x, y), (x + 18, y)], style))?;
                }
            }
            if *mark == Mark::Dotted {
                area.draw(&Circle::new((x + 9, y), 4, colour.filled()))?;
            }
            area.draw(&Text::new(name.clone(), (x + 26, y), text(15, Pos::new(HPos::Left, VPos::Center))))?;
        }
        Ok(())
    }
}

fn style(colour: RGBColor, mark: Mark) -> ShapeStyle {
    match mark {
        Mark::Faint => colour.mix(0.35).stroke_width(1),
        _ => ShapeStyle::from(&colour).stroke_width(2),
    }
}

/// What a series consists of; a triangle stands where it leaves the chart.
fn elements<Backend: DrawingBackend>(
    points: &[(f64, f64)],
    high: f64,
    colour: RGBColor,
    mark: Mark,
) -> Vec<DynElement<'static, Backend, (f64, f64)>> {
    let style = style(colour, mark);
    let (pieces, leaves) = pieces(points, high);
    let mut elements = Vec::new();
    for piece in &pieces {
        match mark {
            Mark::Dots | Mark::Specks | Mark::Ring | Mark::Cross => {}
            Mark::Dashed => elements.push(DashedPathElement::new(piece.clone(), 6, 4, style).into_dyn()),
            // A line of one point would not be seen.
            _ if piece.len() == 1 => elements.push(Circle::new(piece[0], 3, colour.filled()).into_dyn()),
            _ => elements.push(PathElement::new(piece.clone(), style).into_dyn()),
        }
    }
    for point in pieces.into_iter().flatten() {
        match mark {
            Mark::Dots | Mark::Dotted => elements.push(Circle::new(point, 4, colour.filled()).into_dyn()),
            Mark::Specks => elements.push(Circle::new(point, 2, colour.filled()).into_dyn()),
            Mark::Ring => elements.push(Circle::new(point, 9, style).into_dyn()),
            Mark::Cross => elements.push(Cross::new(point, 7, style).into_dyn()),
            _ => {}
        }
    }
    elements.extend(leaves.into_iter().map(|point| TriangleMarker::new(point, 9, colour.filled()).into_dyn()));
    elements
}

/// Points, one after the other.
type Piece = Vec<(f64, f64)>;

/// What is inside of the chart, in one piece or more, and the points where it leaves the chart at its upper end. What is no
/// number ends a piece.
fn pieces(points: &[(f64, f64)], high: f64) -> (Vec<Piece>, Piece) {
    let (mut pieces, mut piece, mut leaves) = (Vec::new(), Vec::new(), Vec::new());
    let mut before: Option<(f64, f64)> = None;
    for &(x, y) in points {
        if !(x.is_finite() && (y.is_finite() || y == f64::INFINITY)) {
            pieces.push(std::mem::take(&mut piece));
            before = None;
            continue;
        }
        if let Some((x0, y0)) = before
            && (y0 > high) != (y > high)
        {
            // Where the line between the two crosses the upper end.
            let share = if y0.is_finite() && y.is_finite() { (high - y0) / (y - y0) } else { 0.5 };
            let crossing = (x0 + share * (x - x0), high);
            piece.push(crossing);
            if y > high {
                leaves.push(crossing);
                pieces.push(std::mem::take(&mut piece));
            }
        }
        if y <= high {
            piece.push((x, y));
        }
        before = Some((x, y));
    }
    pieces.push(piece);
    pieces.retain(|piece: &Piece| !piece.is_empty());
    (pieces, leaves)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(points: Vec<(f64, f64)>) -> Lines {
        let mut lines = Lines::new(Axis::new("step"), Axis::new("loss"));
        lines.add("<mine>", points, COLOURS[0], Mark::Line);
        lines
    }

    #[test]
    fn a_line_ends_where_it_is_no_number_and_where_it_leaves_the_chart() {
        let points = [(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 1.0), (4.0, 9.0), (5.0, 9.0), (6.0, 1.0)];
        let (inside, leaves) = pieces(&points, 5.0);
        let expected = [vec![(0.0, 1.0), (1.0, 2.0)], vec![(3.0, 1.0), (3.5, 5.0)], vec![(5.5, 5.0), (6.0, 1.0)]];
        assert_eq!((inside, leaves), (expected.to_vec(), vec![(3.5, 5.0)]));
        let (inside, leaves) = pieces(&[(0.0, 1.0), (1.0, f64::INFINITY), (2.0, f64::NAN)], 5.0);
        assert_eq!((inside, leaves), (vec![vec![(0.0, 1.0), (0.5, 5.0)]], vec![(0.5, 5.0)]));
    }

    #[test]
    fn a_logarithmic_axis_has_round_numbers() {
        let ticks = |low: f64, high: f64| -> Vec<String> {
            let axis = Axis::new("characters").logarithmic();
            axis.ticks(low.log10()..high.log10(), 8).into_iter().map(|place| axis.label(place, 1.0)).collect()
        };
        assert_eq!(ticks(60.0, 8_500.0), ["100", "200", "500", "1000", "2000", "5000"]);
        assert_eq!(ticks(250_000.0, 4e6), ["500k", "1M", "2M"]);
        assert_eq!(ticks(0.9, 1.2e9)[..4], ["1", "1000", "1M", "1G"]);
        assert_eq!(ticks(0.011, 0.5), ["0.02", "0.05", "0.10", "0.20", "0.50"]);
        assert!(ticks(2.1, 2.9).len() > 1, "between two of them, what lies there");
    }

    #[test]
    fn odd_numbers_are_drawn() {
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, 1e308, -1e308] {
            for points in [vec![(1.0, odd)], vec![(0.0, 1.0), (1.0, odd)], vec![(odd, 1.0), (1.0, 2.0)]] {
                assert!(lines(points.clone()).draw(String::new()).is_ok(), "{odd}");
                let mut logarithmic = lines(points);
                logarithmic.up = logarithmic.up.logarithmic();
                logarithmic.across = logarithmic.across.logarithmic();
                logarithmic.up.low = Some(0.0);
                assert!(logarithmic.draw(String::new()).is_ok(), "{odd}");
            }
        }
        assert!(!lines(vec![(0.0, 1.0)]).draw(String::new()).unwrap().svg.contains("<mine>"));
        let none = Lines::new(Axis::new("step"), Axis::new("loss"));
        assert!(none.draw(String::new()).is_err());
    }
}
