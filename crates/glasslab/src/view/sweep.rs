//! An experiment's results: a point for each variant, with its standard error.

use super::{INK, draw};
use crate::display::Picture;
use crate::error::{Error, Result};
use crate::experiment::Sweep;
use plotters::prelude::{
    ChartBuilder, Circle, IntoFont, LineSeries, PathElement, RGBColor, ShapeStyle, Text, TextStyle,
};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const MEAN: RGBColor = RGBColor(40, 140, 210);
const SEED: RGBColor = RGBColor(128, 128, 128);

impl Sweep {
    /// Draws the mean of each variant with its standard error, and each seed as a small grey dot.
    ///
    /// # Errors
    /// If nothing was measured yet.
    pub fn draw(&self) -> Result<Picture> {
        let all = || self.variants.iter().flat_map(|variant| &variant.losses).copied().filter(|loss| loss.is_finite());
        let (Some(low), Some(high)) = (all().reduce(f64::min), all().reduce(f64::max)) else {
            return Err(Error::Drawing("nothing was measured yet: call measure first".to_owned()));
        };
        let margin = (0.15 * (high - low)).max(0.02);
        let results: Vec<String> = self
            .variants
            .iter()
            .map(|variant| {
                let error = variant.standard_error().map_or(String::new(), |error| format!(" ± {error:.3}"));
                format!("{} {:.3}{error}", variant.name, variant.mean())
            })
            .collect();
        let alt = format!("Held-out loss in nats per character by {}: {}", self.what, results.join(", "));
        draw((620, 340), alt, |area| {
            let text = |size: i32| TextStyle::from(("sans-serif", size).into_font()).color(&INK);
            let count = self.variants.len();
            let mut chart = ChartBuilder::on(area)
                .margin(12)
                .x_label_area_size(48)
                .y_label_area_size(64)
                .build_cartesian_2d(-0.5..count as f64 - 0.5, low - margin..high + margin)?;
            chart
                .configure_mesh()
                .disable_x_mesh()
                .light_line_style(SEED.mix(0.0))
                .bold_line_style(SEED.mix(0.2))
                .axis_style(INK)
                .x_labels(0)
                .x_desc(&self.what)
                .y_desc("held-out loss (nats per character)")
                .y_label_formatter(&|loss| format!("{loss:.2}"))
                .label_style(text(15))
                .axis_desc_style(text(16))
                .draw()?;
            let place = |number: usize| number as f64;
            let means = self.variants.iter().enumerate().map(|(number, variant)| (place(number), variant.mean()));
            chart.draw_series(LineSeries::new(means.clone(), ShapeStyle::from(&MEAN.mix(0.4)).stroke_width(1)))?;
            for (number, variant) in self.variants.iter().enumerate() {
                let dots =
                    variant.losses.iter().map(|&loss| Circle::new((place(number) + 0.08, loss), 2, SEED.filled()));
                chart.draw_series(dots)?;
                let (mean, error) = (variant.mean(), variant.standard_error().unwrap_or(0.0));
                let style = ShapeStyle::from(&MEAN).stroke_width(2);
                let at = place(number);
                for line in [
                    vec![(at, mean - error), (at, mean + error)],
                    vec![(at - 0.04, mean - error), (at + 0.04, mean - error)],
                    vec![(at - 0.04, mean + error), (at + 0.04, mean + error)],
                ] {
                    chart.draw_series([PathElement::new(line, style)])?;
                }
                let below = text(15).pos(Pos::new(HPos::Center, VPos::Top));
                let at = chart.backend_coord(&(place(number), low - margin));
                area.draw(&Text::new(variant.name.clone(), (at.0, at.1 + 6), below))?;
            }
            chart.draw_series(means.map(|point| Circle::new(point, 5, MEAN.filled())))?;
            Ok(())
        })
    }
}
