//! Where each character looks: attention as pictures.

use super::bitmap::{image, ramp};
use super::colour::{Quantity, Scale};
use super::{Heatmap, Html, Overlay, beside, draw, overlay, paragraph, text};
use crate::display::Picture;
use crate::error::{Error, Result};
use crate::numbers::numbers;
use crate::tokenizer::Unit;
use crate::trace::{Trace, attention_of};
use plotters::prelude::Text;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use tch::Tensor;

/// The attention of every layer and head on one text.
#[derive(Debug)]
pub struct Attention {
    /// The weights of each layer: (H, T, T); row t says where character t looks.
    pub layers: Vec<Tensor>,
    /// The characters, as a plot shows them.
    pub labels: Vec<String>,
    /// For each layer the name of its attention, and its scores and masked scores, (H, T, T) each, if they were seen.
    stages: Vec<(String, Option<[Tensor; 2]>)>,
    unit: Unit,
}

/// The side of one head's picture in the grid.
const SMALL: i32 = 112;
/// Points at its side, at most: a page shows no more.
const FINEST: usize = 224;
/// With more heads than this, each is a small tile of one picture, of so many pixels and points a side.
pub(super) const MANY: usize = 48;
const TILE: i32 = 26;
const TILE_POINTS: usize = 12;
/// Of so many heads it is told in words where they look.
const TOLD: usize = 16;

impl Trace {
    /// The attention of every layer and head.
    ///
    /// # Errors
    /// If the model has none: an MLP looks at one character only.
    pub fn attention(&self) -> Result<Attention> {
        let mut attention = Attention {
            layers: Vec::new(),
            labels: self.labels.clone(),
            stages: Vec::new(),
            unit: self.tokenizer.unit(),
        };
        let heads = |name: &str| -> Result<Tensor> {
            let tensor = self.step(name)?.tensor.f_get(0)?; // without the batch
            Ok(if tensor.dim() == 2 { tensor.f_unsqueeze(0)? } else { tensor }) // (H, T, T)
        };
        for step in &self.steps {
            let Some(layer) = attention_of(&step.name, &step.tensor) else { continue };
            attention.layers.push(heads(&step.name)?);
            let stages = [heads(&format!("{layer}.scores")), heads(&format!("{layer}.masked"))];
            let stages = if let [Ok(scores), Ok(masked)] = stages { Some([scores, masked]) } else { None };
            attention.stages.push((layer.to_owned(), stages));
        }
        match attention.layers.is_empty() {
            true => Err(Error::Config(
                "this model has no attention: it computes each character by itself; take a transformer".to_owned(),
            )),
            false => Ok(attention),
        }
    }
}

impl Attention {
    /// How many heads the layers have; the largest number, if they differ.
    pub fn n_heads(&self) -> i64 {
        self.layers.iter().map(|layer| layer.size()[0]).max().unwrap_or(0)
    }

    /// The weights of one head.
    ///
    /// # Shapes
    /// (T, T): row t says where character t looks, and sums to 1
    ///
    /// # Errors
    /// If there is no such layer or head.
    pub fn weights(&self, layer: usize, head: i64) -> Result<Tensor> {
        match self.layers.get(layer) {
            Some(heads) if (0..heads.size()[0]).contains(&head) => Ok(heads.f_get(head)?),
            _ => Err(Error::Config(format!(
                "there is no head {head} in layer {layer}: layers are 0 to {}, heads 0 to {}",
                self.layers.len() as i64 - 1,
                self.n_heads() - 1
            ))),
        }
    }

    /// A heatmap of one head's weights, to be drawn.
    ///
    /// # Errors
    /// If there is no such layer or head.
    pub fn head(&self, layer: usize, head: i64) -> Result<Heatmap> {
        let title = format!("attention of layer {layer}, head {head} (weights)");
        Ok(self.labelled(&self.weights(layer, head)?)?.title(&title).quantity(Quantity::Weights))
    }

    fn labelled(&self, matrix: &Tensor) -> Result<Heatmap> {
        let heatmap = Heatmap::new(matrix)?.row_labels("looks", &self.labels);
        Ok(heatmap.column_labels("is looked at", &self.labels))
    }

    /// Scores, masked scores and weights of one head beside each other.
    ///
    /// # Errors
    /// If there is no such layer or head.
    pub fn stages(&self, layer: usize, head: i64) -> Result<Html> {
        let weights = self.weights(layer, head)?;
        let (name, stages) = &self.stages[layer];
        let Some([scores, masked]) = stages else {
            return Err(Error::Config(format!(
                "only the weights of {name} are in this trace: let its scores go through the probe as {name}.scores, and \
                 without the future as {name}.masked"
            )));
        };
        let pictures = [
            (scores.f_get(head)?, "1 · scores", Quantity::Scores),
            (masked.f_get(head)?, "2 · masked: no future", Quantity::Scores),
            (weights, "3 · softmax: weights", Quantity::Weights),
        ];
        let pictures = pictures.into_iter().map(|(matrix, title, quantity)| {
            self.labelled(&matrix)?.title(title).quantity(quantity).largest_cell(20).draw()
        });
        let pictures = pictures.collect::<Result<Vec<Picture>>>()?;
        let alt = format!(
            "Layer {layer}, head {head}, from scores to weights. {}",
            pictures.iter().map(|picture| picture.alt.as_str()).collect::<Vec<_>>().join(". ")
        );
        let html = beside(280, pictures.iter().map(Picture::html));
        let title = paragraph(&format!("Layer {layer}, head {head}: scores → masked → weights"));
        Ok(Html { html: format!("<div>{title}{html}</div>"), alt })
    }

    /// The weights of all layers and heads as one picture: a row for each layer.
    ///
    /// # Errors
    /// If the drawing library fails.
    pub fn grid(&self) -> Result<Picture> {
        let (rows, columns) = (self.layers.len() as i32, self.n_heads() as i32);
        let (left, top) = (56, 44);
        let (side, gap) = if self.is_many() { (TILE, 0) } else { (SMALL, 14) };
        let scale = Scale::new(Quantity::Weights, &[]);
        let place = |row: i32, column: i32| (left + column * (side + gap), top + row * (side + gap));
        let scale_x = left + columns * (side + gap) + if self.is_many() { 14 } else { 0 };
        let size = ((scale_x + 50).max(220) as u32, (top + rows * (side + gap)).max(top + SMALL + 14) as u32);
        let text_length = self.labels.len();
        let alt = format!(
            "Attention weights of {rows} layers with {columns} heads each over {text_length} {}. {}",
            self.unit.many,
            self.strongest()?
        );
        let mut picture = draw(size, alt, |area| {
            let middle = Pos::new(HPos::Center, VPos::Center);
            let title = "weights: rows look at columns";
            area.draw(&Text::new(title, (4, 4), text(14, Pos::new(HPos::Left, VPos::Top))))?;
            for column in 0..columns {
                let at = (place(0, column).0 + side / 2, top - 10);
                let name = if self.is_many() { format!("h{column}") } else { format!("head {column}") };
                area.draw(&Text::new(name, at, text(13, middle)))?;
            }
            for row in 0..rows {
                let at = (left - 6, place(row, 0).1 + side / 2);
                area.draw(&Text::new(format!("layer {row}"), at, text(13, Pos::new(HPos::Right, VPos::Center))))?;
            }
            for number in [1.0, 0.25, 0.0] {
                let y = top + ((1.0 - scale.place(number)) * f64::from(SMALL - 10)) as i32 + 5;
                area.draw(&Text::new(
                    format!("{number}"),
                    (scale_x + 16, y),
                    text(13, Pos::new(HPos::Left, VPos::Center)),
                ))?;
            }
            Ok(())
        })?;
        let mut bitmaps = vec![Overlay { place: (scale_x, top), size: (12, SMALL), address: ramp(scale) }];
        if self.is_many() {
            let (points, wide) = self.mosaic(2 * TILE_POINTS)?;
            let (place, size) = (place(0, 0), (columns * side, rows * side));
            bitmaps.push(Overlay { place, size, address: image(&points, wide, scale) });
            overlay(&mut picture, &bitmaps);
            return Ok(picture);
        }
        for (row, layer) in self.layers.iter().enumerate() {
            for head in 0..layer.size()[0] {
                let (weights, points) = pooled(&numbers(&layer.f_get(head)?)?, text_length, FINEST);
                let address = image(&weights, points, scale);
                bitmaps.push(Overlay { place: place(row as i32, head as i32), size: (SMALL, SMALL), address });
            }
        }
        overlay(&mut picture, &bitmaps);
        Ok(picture)
    }

    /// The grid as a table of images: what is left where scripts and SVG are stripped, in a notebook that is not
    /// trusted. At most so many points a side; of more characters, each point shows the largest weight that falls
    /// into it.
    pub(crate) fn still(&self, points: usize) -> Result<String> {
        let scale = Scale::new(Quantity::Weights, &[]);
        if self.is_many() {
            let (layers, heads) = (self.layers.len(), self.n_heads());
            let (weights, wide) = self.mosaic(TILE_POINTS)?;
            return Ok(format!(
                "<p style=\"margin:4px 0\">Rows: layers 0 to {}. Columns: heads 0 to {}.</p><img alt=\"{layers} layers with \
                 {heads} heads each\" width=\"{}\" height=\"{}\" style=\"image-rendering:pixelated;max-width:none\" src=\"{}\">",
                layers - 1,
                heads - 1,
                heads * i64::from(TILE),
                layers * TILE as usize,
                image(&weights, wide, scale)
            ));
        }
        let mut html = String::from(
            "<table style=\"table-layout:auto;border-collapse:separate;border-spacing:4px;font-size:12px\"><tr><td></td>",
        );
        (0..self.n_heads()).for_each(|head| html.push_str(&format!("<td>head {head}</td>")));
        html.push_str("</tr>");
        for (row, layer) in self.layers.iter().enumerate() {
            html.push_str(&format!("<tr><td>layer {row}</td>"));
            for head in 0..layer.size()[0] {
                let (weights, side) = pooled(&numbers(&layer.f_get(head)?)?, self.labels.len(), points);
                html.push_str(&format!(
                    "<td><img alt=\"layer {row}, head {head}\" width=\"{SMALL}\" height=\"{SMALL}\" \
                     style=\"image-rendering:pixelated;max-width:none\" src=\"{}\"></td>",
                    image(&weights, side, scale)
                ));
            }
            html.push_str("</tr>");
        }
        Ok(html + "</table>")
    }

    pub(super) fn is_many(&self) -> bool {
        self.layers.len() * self.n_heads() as usize > MANY
    }

    /// All heads side by side, a row for each layer, with grey lines between them; and how many points a row has.
    fn mosaic(&self, points: usize) -> Result<(Vec<f64>, usize)> {
        let (rows, columns) = (self.layers.len(), self.n_heads() as usize);
        let side = self.labels.len().min(points) + 1;
        let wide = columns * side;
        let mut all = vec![f64::INFINITY; rows * side * wide];
        for (row, layer) in self.layers.iter().enumerate() {
            for head in 0..layer.size()[0] {
                let (weights, small) = pooled(&numbers(&layer.f_get(head)?)?, self.labels.len(), points);
                for (line, weights) in weights.chunks(small).enumerate() {
                    let from = (row * side + line) * wide + head as usize * side;
                    all[from..from + small].copy_from_slice(weights);
                }
            }
        }
        Ok((all, wide))
    }

    /// In words: where the last character looks most, in each head; of many, in those that look hardest.
    pub(crate) fn strongest(&self) -> Result<String> {
        let last = self.labels.len().saturating_sub(1);
        let mut words = Vec::new();
        for (row, layer) in self.layers.iter().enumerate() {
            for head in 0..layer.size()[0] {
                let weights = numbers(&layer.f_get(head)?.f_get(last as i64)?)?;
                let most = weights.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
                let Some((at, weight)) = most else { continue };
                let (from, to) = (&self.labels[last], &self.labels[at]);
                let told =
                    format!("layer {row} head {head}: “{from}” at {last} → “{to}” at {at}, {:.0} %", weight * 100.0);
                words.push((*weight, told));
            }
        }
        let hardest =
            if words.len() > MANY { format!(", in the {TOLD} heads that look hardest") } else { String::new() };
        if words.len() > MANY {
            words.sort_by(|(one, _), (other, _)| other.total_cmp(one));
            words.truncate(TOLD);
        }
        let words: Vec<String> = words.into_iter().map(|(_, told)| told).collect();
        Ok(format!("Where the last {} looks most{hardest}: {}.", self.unit.one, words.join("; ")))
    }
}

/// A square matrix with at most `points` rows, each number the largest of a square of the given ones.
fn pooled(numbers: &[f64], side: usize, points: usize) -> (Vec<f64>, usize) {
    let small = side.min(points);
    let part = |number: usize| number * side / small..(number + 1) * side / small;
    let largest = |(row, column): (usize, usize)| {
        let cells = part(row).flat_map(|row| part(column).map(move |column| numbers[row * side + column]));
        cells.fold(f64::NEG_INFINITY, |largest, number| if number.is_nan() { number } else { largest.max(number) })
    };
    ((0..small * small).map(|place| largest((place / small, place % small))).collect(), small)
}

#[cfg(test)]
mod tests {
    use crate::model::{MlpConfig, MlpLm, TransformerConfig};
    use crate::trace::Traceable;
    use crate::trace::tests::awake;
    use tch::Device;

    #[test]
    fn every_head_of_every_layer_is_in_the_grid() {
        let trace = awake(TransformerConfig::small()).trace("Once upon a time").unwrap();
        let attention = trace.attention().unwrap();
        let picture = attention.grid().unwrap();
        assert_eq!(picture.svg.matches("<image").count(), 3 * 4 + 1, "and the scale");
        assert!(picture.alt.contains("layer 2 head 3: “e” at 15"), "{}", picture.alt);
        let weights = trace.step("block.1.attn.weights").unwrap().tensor.get(0).get(2);
        assert_eq!(attention.weights(1, 2).unwrap(), weights);
    }

    #[test]
    fn the_stages_show_what_the_mask_takes_away() {
        let trace = awake(TransformerConfig::original()).trace("Once").unwrap();
        let stages = trace.attention().unwrap().stages(0, 0).unwrap();
        assert_eq!(stages.html.matches("<svg").count(), 3);
        assert!(stages.html.contains("−∞: 6 of 16"));
    }

    #[test]
    fn a_single_strong_weight_survives_a_coarser_picture() {
        let mut numbers = vec![0.0; 100 * 100];
        numbers[37 * 100 + 36] = 0.9;
        let (small, side) = super::pooled(&numbers, 100, 30);
        assert_eq!((small.len(), side), (900, 30));
        assert_eq!(small.iter().filter(|&&weight| weight == 0.9).count(), 1);
        assert_eq!(super::pooled(&numbers, 100, 224).0, numbers);
    }

    #[test]
    fn heads_and_models_that_are_not_there_are_told() {
        let trace = awake(TransformerConfig::original()).trace("Once").unwrap();
        let attention = trace.attention().unwrap();
        for (layer, head) in [(0, 1), (1, 0), (0, -1)] {
            let message = attention.head(layer, head).unwrap_err().to_string();
            assert!(message.contains("layers are 0 to 0"), "{message}");
        }
        let mlp = MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap().trace("Once").unwrap();
        assert!(mlp.attention().unwrap_err().to_string().contains("no attention"));
    }
}
