//! Pictures of numbers, drawn by plotters as SVG.

mod curve;
mod heatmap;
mod ladder;
mod sweep;

pub use curve::LossCurve;
pub use heatmap::Heatmap;

use crate::display::Picture;
use crate::error::{Error, Result};
use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, IntoDrawingArea, RGBColor, SVGBackend};

/// Drawn in place of the page's own text colour, which plotters can't name.
pub(crate) const INK: RGBColor = RGBColor(1, 2, 3);

/// Draws on an SVG of a size in pixels; text and axes take the page's colour.
pub(crate) fn draw(
    (width, height): (u32, u32),
    alt: String,
    paint: impl FnOnce(&DrawingArea<SVGBackend<'_>, Shift>) -> std::result::Result<(), Box<dyn std::error::Error>>,
) -> Result<Picture> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        paint(&area).map_err(|error| Error::Drawing(error.to_string()))?;
        area.present().map_err(|error| Error::Drawing(error.to_string()))?;
    }
    let svg = svg.replace("#010203", "currentColor").replacen(
        "<svg ",
        "<svg style=\"max-width:100%;height:auto\" font-family=\"system-ui,sans-serif\" ",
        1,
    );
    Ok(Picture { svg, alt })
}
