//! What may come next: probabilities as bars.

use super::colour::{Quantity, Scale};
use super::{draw, text};
use crate::display::Picture;
use crate::error::{Error, Result};
use crate::numbers::numbers;
use crate::trace::Trace;
use plotters::prelude::{Rectangle, Text};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Bars with a name and a probability each; a bar of the whole width is 100 %, so that pictures can be compared.
#[derive(Debug, Clone)]
pub struct Bars {
    /// Name and probability, from the first bar down.
    pub bars: Vec<(String, f64)>,
    title: String,
    marked: Option<String>,
}

impl Trace {
    /// The likeliest characters after the whole text.
    ///
    /// # Errors
    /// If the trace has no probabilities: a single head makes none.
    pub fn next_characters(&self, count: usize) -> Result<Bars> {
        self.next_characters_at(self.labels.len() - 1, count)
    }

    /// The likeliest characters after the one at a place; the one that really came is marked.
    ///
    /// # Errors
    /// If the trace has no probabilities or no such place.
    pub fn next_characters_at(&self, place: usize, count: usize) -> Result<Bars> {
        let probabilities = self.step("probabilities")?;
        if place >= self.labels.len() {
            return Err(Error::Config(format!("places are 0 to {}, got {place}", self.labels.len() - 1)));
        }
        let numbers = numbers(&probabilities.tensor.f_get(0)?.f_get(place as i64)?)?;
        let named = |(id, &p): (usize, &f64)| (self.tokenizer.named(id as f64), p);
        let mut bars: Vec<(String, f64)> = numbers.iter().enumerate().map(named).collect();
        bars.sort_by(|a, b| b.1.total_cmp(&a.1));
        bars.truncate(count.max(1));
        let before: String = self.labels[place.saturating_sub(23)..=place].concat();
        let dots = if place > 23 { "…" } else { "" };
        let title = format!("next {} after “{dots}{before}”", self.tokenizer.unit().one);
        Ok(Bars { bars, title, marked: self.labels.get(place + 1).cloned() })
    }
}

impl Bars {
    /// Bars of one's own.
    pub fn new(title: &str, bars: Vec<(String, f64)>) -> Bars {
        Bars { bars, title: title.to_owned(), marked: None }
    }

    /// Draws them.
    ///
    /// # Errors
    /// If there is none.
    pub fn draw(&self) -> Result<Picture> {
        if self.bars.is_empty() {
            return Err(Error::Drawing("there is no bar to draw".to_owned()));
        }
        let row = 22;
        let names = self.bars.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(1) as i32;
        let (left, top, length) = (24 + 9 * names, 36, 300);
        let width = (left + length + 150).max(self.title.chars().count() as i32 * 9 + 16);
        let height = top + row * self.bars.len() as i32 + 8;
        let scale = Scale::new(Quantity::Probabilities, &[]);
        let told: Vec<String> =
            self.bars.iter().take(10).map(|(name, p)| format!("“{name}” {}", percent(*p))).collect();
        let came = self.marked.as_ref().map_or(String::new(), |name| format!("; what came: “{name}”"));
        let alt = format!("Probabilities, {}: {}{came}", self.title, told.join(", "));
        draw((width as u32, height as u32), alt, |area| {
            area.draw(&Text::new(self.title.clone(), (4, 6), text(16, Pos::new(HPos::Left, VPos::Top))))?;
            for (number, (name, p)) in self.bars.iter().enumerate() {
                let y = top + number as i32 * row;
                area.draw(&Text::new(name.clone(), (left - 8, y + 9), text(16, Pos::new(HPos::Right, VPos::Center))))?;
                let end =
                    if p.is_finite() { left + (p.clamp(0.0, 1.0) * f64::from(length)).round() as i32 } else { left };
                area.draw(&Rectangle::new([(left, y), (end.max(left + 1), y + 18)], scale.colour(*p).filled()))?;
                let came = if self.marked.as_ref() == Some(name) { "  ← came" } else { "" };
                let number = format!("{}{came}", percent(*p));
                area.draw(&Text::new(number, (end + 6, y + 9), text(14, Pos::new(HPos::Left, VPos::Center))))?;
            }
            Ok(())
        })
    }
}

/// A probability with the digits that matter.
pub(crate) fn percent(p: f64) -> String {
    match p {
        p if !p.is_finite() => "NaN".to_owned(),
        p if p >= 0.0995 => format!("{:.0} %", p * 100.0),
        p if p >= 0.001 => format!("{:.1} %", p * 100.0),
        p if p > 0.0 => "< 0.1 %".to_owned(),
        _ => "0 %".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TransformerConfig;
    use crate::trace::Traceable;
    use crate::trace::tests::awake;

    #[test]
    fn the_bars_are_the_likeliest_and_what_came_is_marked() {
        let trace = awake(TransformerConfig::original()).trace("Once").unwrap();
        let bars = trace.next_characters_at(0, 256).unwrap();
        assert!(bars.bars.is_sorted_by(|a, b| a.1 >= b.1));
        assert!((bars.bars.iter().map(|bar| bar.1).sum::<f64>() - 1.0).abs() < 1e-5);
        assert!(bars.draw().unwrap().svg.contains("← came"));
        assert!(!trace.next_characters(5).unwrap().draw().unwrap().svg.contains("← came"));
        assert!(trace.next_characters_at(4, 5).is_err());
    }

    #[test]
    fn odd_probabilities_are_drawn() {
        let bars = Bars::new("<script>", vec![("<".to_owned(), f64::NAN), ("b".to_owned(), 0.0)]);
        let picture = bars.draw().unwrap();
        assert!(picture.svg.contains("NaN") && !picture.svg.contains("<script>"));
        assert!(Bars::new("none", Vec::new()).draw().is_err());
    }
}
