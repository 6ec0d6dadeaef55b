//! Pictures of what is inside a model, drawn from the numbers of its own forward pass.
//!
//! A [`Picture`] is SVG, drawn by plotters; an [`Html`] block is a table, coloured text, or something to click. Both
//! are shown below the cell that ends in one.

mod attention;
mod bars;
mod bitmap;
pub(crate) mod colour;
mod compare;
mod curve;
mod effect;
mod embedding;
mod explorer;
mod film;
mod flipbook;
mod growth;
mod heads;
mod heatmap;
mod html;
mod ladder;
mod landscape;
mod law;
mod learning;
mod lens;
mod lines;
mod page;
mod patching;
mod step;
mod surprise;
mod sweep;
mod table;

pub use attention::Attention;
pub use bars::Bars;
pub use colour::Quantity;
pub use compare::Comparison;
pub use curve::LossCurve;
pub use embedding::EmbeddingMap;
pub use explorer::Explorer;
pub use film::Film;
pub use growth::Growth;
pub use heatmap::Heatmap;
pub use html::Html;
pub use page::{MOST_NUMBERS, PROMPT, Page, Reel, ToPage, Written};
pub use surprise::{Surprise, SurprisingPiece};

pub(crate) use html::{beside, paragraph, shown};

use crate::display::Picture;
use crate::error::{Error, Result};
pub(crate) use crate::numbers::short;
use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, IntoDrawingArea, IntoFont, RGBColor, SVGBackend, TextStyle};
use plotters::style::text_anchor::Pos;

/// Drawn in place of the page's own text colour, which plotters can't name.
pub(crate) const INK: RGBColor = RGBColor(1, 2, 3);

/// What is drawn on.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// How drawing ends.
pub(crate) type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

/// The look of a picture that is a page of its own: paper and ink for light and dark screens. Where the picture is part of
/// another page, its root is another, and the ink is that page's.
const ALONE: &str = "<style>svg:root{color:#222;background:#fff}\
    @media(prefers-color-scheme:dark){svg:root{color:#ddd;background:#181818}}</style>";

/// Draws an SVG of a size in pixels, a whole document in one line; text and axes take the page's colour.
pub(crate) fn draw(
    (width, height): (u32, u32),
    alt: String,
    paint: impl FnOnce(&Area<'_>) -> Drawn,
) -> Result<Picture> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (width, height)).into_drawing_area();
        paint(&area).map_err(|error| Error::Drawing(error.to_string()))?;
        area.present().map_err(|error| Error::Drawing(error.to_string()))?;
    }
    // A third of plotters' text are its line ends and what is so anyway; it has escaped all quotes in what it was given.
    let mut svg = svg.replace('\n', "").replace("#010203", "currentColor");
    for needless in [" opacity=\"1\"", " stroke=\"none\"", " stroke-width=\"1\"", " font-family=\"sans-serif\""] {
        svg = svg.replace(needless, "");
    }
    let svg = svg.replacen("<svg ", "<svg style=\"max-width:100%;height:auto\" font-family=\"sans-serif\" ", 1);
    // XML has no place for these, not even escaped.
    let mut svg = svg
        .replace(|one: char| one.is_control() || matches!(one, '\u{fffe}' | '\u{ffff}'), "\u{fffd}")
        .replace('"', "'");
    let begin = svg.find('>').map_or(0, |end| end + 1);
    svg.insert_str(begin, ALONE);
    Ok(Picture { svg, alt })
}

/// Text in the page's colour.
pub(crate) fn text(size: i32, position: Pos) -> TextStyle<'static> {
    TextStyle::from(("sans-serif", size).into_font()).color(&INK).pos(position)
}

/// A bitmap to be laid over a drawing, at a place and size in pixels.
pub(crate) struct Overlay {
    pub(crate) place: (i32, i32),
    pub(crate) size: (i32, i32),
    pub(crate) address: String,
}

/// Lays bitmaps over a drawing; each point stays a sharp square. The picture stays free of `"`.
pub(crate) fn overlay(picture: &mut Picture, bitmaps: &[Overlay]) {
    if let Some(end) = picture.svg.rfind("</svg>") {
        picture.svg.insert_str(end, &images(bitmaps));
    }
}

/// Lays bitmaps under a drawing.
pub(crate) fn underlay(picture: &mut Picture, bitmaps: &[Overlay]) {
    if let Some(begin) = picture.svg.find("<svg").and_then(|tag| Some(tag + picture.svg[tag..].find('>')? + 1)) {
        picture.svg.insert_str(begin, &images(bitmaps));
    }
}

fn images(bitmaps: &[Overlay]) -> String {
    let mut images = String::new();
    for Overlay { place: (x, y), size: (width, height), address } in bitmaps {
        images.push_str(&format!(
            "<image x='{x}' y='{y}' width='{width}' height='{height}' preserveAspectRatio='none' \
             style='image-rendering:pixelated' href='{address}'/>"
        ));
    }
    images
}
