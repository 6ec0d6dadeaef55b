//! Embeddings as a map: which characters, or places, have become alike.
//!
//! ```text
//! similarity(a, b) = a · b / (|a| |b|)            1: the same direction, 0: nothing in common, −1: opposite
//! projection       = (rows − mean) · V₂           V₂: the two directions in which the rows differ most
//! ```
//! Source: Pearson 1901 (principal components).

use super::colour::Quantity;
use super::{Heatmap, INK, draw, text};
use crate::display::Picture;
use crate::error::{Error, Result};
use crate::numbers::numbers;
use crate::tokenizer::{Tokenizer, visible};
use plotters::prelude::{PathElement, RGBColor, Rectangle, Text, TextStyle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont};
use tch::{Kind, Tensor};

/// Some rows of an embedding table, with a name each.
#[derive(Debug)]
pub struct EmbeddingMap {
    /// (N, C)
    pub rows: Tensor,
    /// N names
    pub labels: Vec<String>,
    kinds: Vec<usize>,
    what: &'static str,
}

/// Okabe and Ito's colours, which the colour-blind can tell apart, the blue light enough for dark pages.
const KINDS: [(&str, RGBColor); 5] = [
    ("vowel", RGBColor(213, 94, 0)),
    ("consonant", RGBColor(40, 140, 210)),
    ("capital", RGBColor(0, 158, 115)),
    ("digit", RGBColor(204, 121, 167)),
    ("other", RGBColor(140, 140, 140)),
];

impl EmbeddingMap {
    /// The embeddings of some characters.
    ///
    /// # Shapes
    /// `embedding`: (V, C)
    ///
    /// # Errors
    /// If a character has no row, or there is none.
    pub fn characters(embedding: &Tensor, characters: &str) -> Result<EmbeddingMap> {
        let mut all: Vec<char> = Vec::new();
        characters.chars().for_each(|character| {
            if !all.contains(&character) {
                all.push(character)
            }
        });
        let ids: Vec<i64> = all.iter().map(|&character| i64::from(u32::from(character))).collect();
        let n_vocab = embedding.size().first().copied().unwrap_or(0);
        if let Some(outside) = all.iter().find(|&&character| i64::from(u32::from(character)) >= n_vocab) {
            return Err(Error::Data(format!("{outside:?} has no row in an embedding of {n_vocab} characters")));
        }
        let kind = |&character: &char| match character {
            'a' | 'e' | 'i' | 'o' | 'u' | 'y' => 0,
            other if other.is_lowercase() => 1,
            other if other.is_uppercase() => 2,
            other if other.is_ascii_digit() => 3,
            _ => 4,
        };
        let rows =
            embedding.f_detach()?.f_index_select(0, &Tensor::f_from_slice(&ids)?.f_to_device(embedding.device())?)?;
        let labels = all.iter().map(|&character| visible(character)).collect();
        EmbeddingMap { rows, labels, kinds: all.iter().map(kind).collect(), what: "characters" }.checked()
    }

    /// The embeddings of some tokens.
    ///
    /// # Shapes
    /// `embedding`: (V, C)
    ///
    /// # Errors
    /// If the tokenizer or the table has no such id, or there is none.
    pub fn tokens(embedding: &Tensor, tokenizer: &impl Tokenizer, ids: &[i64]) -> Result<EmbeddingMap> {
        let n_vocab = embedding.size().first().copied().unwrap_or(0);
        if let Some(outside) = ids.iter().find(|&id| !(0..n_vocab).contains(id)) {
            return Err(Error::Data(format!("{outside} has no row in an embedding of {n_vocab} tokens")));
        }
        let rows =
            embedding.f_detach()?.f_index_select(0, &Tensor::f_from_slice(ids)?.f_to_device(embedding.device())?)?;
        let labels = ids.iter().map(|&id| tokenizer.label(id)).collect::<Result<Vec<_>>>()?;
        let kinds = labels.iter().map(|label| if label.starts_with('␣') { 1 } else { 4 }).collect();
        EmbeddingMap { rows, labels, kinds, what: "tokens" }.checked()
    }

    /// The learnt embeddings of the places of a text.
    ///
    /// # Shapes
    /// `position`: (T, C)
    ///
    /// # Errors
    /// If there are none.
    pub fn positions(position: &Tensor) -> Result<EmbeddingMap> {
        let count = position.size().first().copied().unwrap_or(0);
        let labels = (0..count).map(|place| place.to_string()).collect();
        EmbeddingMap { rows: position.f_detach()?, labels, kinds: vec![4; count as usize], what: "places" }.checked()
    }

    fn checked(self) -> Result<EmbeddingMap> {
        match self.rows.size()[..] {
            [count, _] if count > 0 => Ok(self),
            _ => Err(Error::Shape {
                expected: "a table (N, C) and at least one row of it".to_owned(),
                got: format!("{:?}", self.rows.size()),
                hint: "give model.embedding and some characters, or model.position".to_owned(),
            }),
        }
    }

    /// How alike each is to each: the cosine of the angle between them.
    ///
    /// # Errors
    /// What libtorch fails with.
    pub fn similarity(&self) -> Result<Heatmap> {
        let rows = self.rows.f_to_kind(Kind::Double)?;
        let lengths = rows.f_square()?.f_sum_dim_intlist(-1, true, Kind::Double)?.f_sqrt()?; // (N, 1)
        let directions = rows.f_div(&lengths)?; // (N, C)
        let similarity = directions.f_matmul(&directions.f_transpose(0, 1)?)?; // (N, N)
        let heatmap = Heatmap::new(&similarity)?.quantity(Quantity::Scores);
        let heatmap = heatmap.title(&format!("similarity of {} (cosine)", self.what));
        Ok(heatmap.row_labels("", &self.labels).column_labels("", &self.labels))
    }

    /// The two directions in which the rows differ most, and the share of the variance that they show.
    ///
    /// # Shapes
    /// (N, 2), 0 to 1
    ///
    /// # Errors
    /// If a number is infinite or NaN.
    pub fn coordinates(&self) -> Result<(Tensor, f64)> {
        let (directions, share) = self.directions()?;
        Ok((self.along(&directions)?, share))
    }

    /// # Shapes
    /// (N, C), the mean of each column 0
    fn centred(&self) -> Result<Tensor> {
        let rows = self.rows.f_to_kind(Kind::Double)?.f_to_device(tch::Device::Cpu)?;
        if !numbers(&rows)?.iter().all(|number| number.is_finite()) {
            return Err(Error::Drawing(
                "an embedding has numbers that are infinite or NaN: no map of it can be drawn".to_owned(),
            ));
        }
        Ok(rows.f_sub(&rows.f_mean_dim(&[0_i64][..], true, Kind::Double)?)?)
    }

    /// # Shapes
    /// (C, 2), or (C, 1) where there is only one, and the share of the variance
    pub(super) fn directions(&self) -> Result<(Tensor, f64)> {
        let (_, sizes, directions) = self.centred()?.f_svd(true, true)?; // (K), (C, K)
        let two = directions.f_narrow(1, 0, 2.min(directions.size()[1]))?; // (C, 2)
        let variances = numbers(&sizes.f_square()?)?;
        let all: f64 = variances.iter().sum();
        let share = if all > 0.0 { variances.iter().take(2).sum::<f64>() / all } else { 1.0 };
        Ok((two, share))
    }

    /// Where the rows are along directions, from their middle.
    ///
    /// # Shapes
    /// (C, 2) → (N, 2)
    pub(super) fn along(&self, directions: &Tensor) -> Result<Tensor> {
        let places = self.centred()?.f_matmul(directions)?; // (N, 2)
        match places.size()[1] {
            1 => Ok(Tensor::f_cat(&[&places, &places.f_zeros_like()?], 1)?),
            _ => Ok(places),
        }
    }

    /// A map of the rows: those that are alike lie near each other.
    ///
    /// # Errors
    /// If a number is infinite or NaN.
    pub fn projection(&self) -> Result<Picture> {
        let (places, share) = self.coordinates()?;
        let title = format!(
            "map of {} (2 of {} directions, {:.0} % of the variance)",
            self.what,
            self.rows.size()[1],
            share * 100.0
        );
        let points = points(&places)?;
        self.drawn(&points, farthest(&points), &title)
    }

    /// The map of rows that are at some points; `far` is how far those at the edge are, across and up.
    pub(super) fn drawn(&self, points: &[(f64, f64)], (far_x, far_y): (f64, f64), title: &str) -> Result<Picture> {
        let (width, height, top) = (560, 420, 40);
        let pixel = |&(x, y): &(f64, f64)| {
            let across = 280.0 + x / far_x * 250.0;
            let down = f64::from(top) + 180.0 - y / far_y * 160.0;
            (across.round() as i32, down.round() as i32)
        };
        let alt = format!("Map of {}: {}. {}", self.labels.len(), title, self.nearest(points));
        draw((width, height), alt, |area| {
            area.draw(&Text::new(title.to_owned(), (4, 6), text(16, Pos::new(HPos::Left, VPos::Top))))?;
            let (across, down) = (top + 180, 280);
            area.draw(&PathElement::new(vec![(20, across), (540, across)], INK.mix(0.2)))?;
            area.draw(&PathElement::new(vec![(down, top + 6), (down, top + 354)], INK.mix(0.2)))?;
            if self.what == "places" {
                area.draw(&PathElement::new(points.iter().map(pixel).collect::<Vec<_>>(), INK.mix(0.4)))?;
            }
            let middle = Pos::new(HPos::Center, VPos::Center);
            let every = if self.what == "places" { self.labels.len() / 40 + 1 } else { 1 };
            for (number, point) in points.iter().enumerate().step_by(every) {
                let (_, colour) = KINDS[self.kinds[number]];
                let size = if self.what == "places" { 13 } else { 19 };
                let font = ("sans-serif", size).into_font();
                let style = if self.kinds[number] == 4 {
                    TextStyle::from(font).color(&INK)
                } else {
                    TextStyle::from(font).color(&colour)
                };
                area.draw(&Text::new(self.labels[number].clone(), pixel(point), style.pos(middle)))?;
            }
            let mut x = 20;
            for (number, (name, colour)) in KINDS.iter().enumerate() {
                if self.what == "characters" && self.kinds.contains(&number) {
                    let colour = if number == 4 { INK.filled() } else { colour.filled() };
                    area.draw(&Rectangle::new([(x, 402), (x + 11, 413)], colour))?;
                    area.draw(&Text::new(*name, (x + 16, 408), text(13, Pos::new(HPos::Left, VPos::Center))))?;
                    x += 30 + 9 * name.len() as i32;
                }
            }
            Ok(())
        })
    }

    /// In words: the nearest neighbour of the first rows.
    fn nearest(&self, points: &[(f64, f64)]) -> String {
        let far = |a: &(f64, f64), b: &(f64, f64)| (a.0 - b.0).powi(2) + (a.1 - b.1).powi(2);
        let told = points.iter().enumerate().take(12).filter_map(|(number, point)| {
            let others = points.iter().enumerate().filter(|(other, _)| *other != number);
            let (nearest, _) = others.min_by(|a, b| far(point, a.1).total_cmp(&far(point, b.1)))?;
            Some(format!("“{}” is nearest to “{}”", self.labels[number], self.labels[nearest]))
        });
        told.collect::<Vec<_>>().join(", ")
    }
}

/// # Shapes
/// (N, 2) → N points
pub(super) fn points(places: &Tensor) -> Result<Vec<(f64, f64)>> {
    Ok(numbers(places)?.chunks_exact(2).map(|point| (point[0], point[1])).collect())
}

/// How far points are from the middle at most, across and up.
pub(super) fn farthest(points: &[(f64, f64)]) -> (f64, f64) {
    let far = |pick: fn(&(f64, f64)) -> f64| points.iter().map(|point| pick(point).abs()).fold(1e-9, f64::max);
    (far(|point| point.0), far(|point| point.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::random_tensor;
    use crate::rng::Rng;
    use tch::Device;

    fn random(size: &[i64]) -> Tensor {
        random_tensor(&mut Rng::new(1), size, 1.0).unwrap()
    }

    fn table() -> Tensor {
        random(&[256, 16])
    }

    #[test]
    fn a_row_is_wholly_like_itself_and_like_its_multiple() {
        let table = table();
        let doubled = &table.get(97) * 2.0;
        table.get(98).copy_(&doubled);
        let map = EmbeddingMap::characters(&table, "abz").unwrap();
        let picture = map.similarity().unwrap().draw().unwrap();
        assert!(picture.alt.contains("3 rows") && picture.alt.contains("to 1.0"), "{}", picture.alt);
        let points = map.projection().unwrap();
        assert!(points.svg.contains("vowel") && points.alt.contains("is nearest to"), "{}", points.alt);
    }

    #[test]
    fn two_directions_show_all_of_what_lies_in_a_plane() {
        let plane = random(&[20, 2]).matmul(&random(&[2, 8]));
        let (places, share) = EmbeddingMap::positions(&plane).unwrap().coordinates().unwrap();
        assert_eq!(places.size(), [20, 2]);
        assert!((share - 1.0).abs() < 1e-6, "{share}");
        // Distances in the plane are kept.
        let far = |rows: &Tensor| (rows.get(3) - rows.get(7)).square().sum(Kind::Double).sqrt().double_value(&[]);
        assert!((far(&plane.to_kind(Kind::Double)) - far(&places)).abs() < 1e-4);
    }

    #[test]
    fn one_row_odd_rows_and_unknown_characters_are_handled() {
        let table = table();
        assert!(EmbeddingMap::characters(&table, "a").unwrap().projection().is_ok());
        assert!(EmbeddingMap::characters(&table, "a").unwrap().similarity().unwrap().draw().is_ok());
        assert!(EmbeddingMap::characters(&table, "").is_err());
        assert!(EmbeddingMap::characters(&table, "🦀").unwrap_err().to_string().contains("no row"));
        let _ = table.get(97).fill_(f64::NAN);
        assert!(EmbeddingMap::characters(&table, "ab").unwrap().projection().unwrap_err().to_string().contains("NaN"));
        assert!(
            EmbeddingMap::positions(&Tensor::zeros([1, 4], (Kind::Float, Device::Cpu))).unwrap().projection().is_ok()
        );
    }
}
