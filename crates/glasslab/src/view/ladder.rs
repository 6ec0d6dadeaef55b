//! The ladder of models as bars.

use super::{INK, draw};
use crate::display::Picture;
use crate::error::{Error, Result};
use crate::evaluate::{Ladder, Rung};
use plotters::prelude::{IntoFont, Rectangle, Text, TextStyle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, RGBColor};

const COUNTED: RGBColor = RGBColor(150, 150, 150);
const TRAINED: RGBColor = RGBColor(40, 140, 210);

impl Ladder {
    /// A bar for each model, as long as its held-out loss: the shorter, the better. Those that only count are grey
    /// and say so.
    ///
    /// # Errors
    /// If there is no model on it.
    pub fn draw(&self) -> Result<Picture> {
        let Some(worst) = self.rungs.iter().map(|rung| rung.loss.nats_per_char).reduce(f64::max) else {
            return Err(Error::Drawing("the ladder is empty: add models first".to_owned()));
        };
        let name = |rung: &Rung| format!("{}{}", rung.name, if rung.counted { " (counted)" } else { "" });
        let longest = self.rungs.iter().map(|rung| name(rung).chars().count()).max().unwrap_or(0) as i32;
        let (left, row, top, room) = (16 + 8 * longest.min(40), 28, 48, 420);
        let losses: String =
            self.rungs.iter().map(|rung| format!("; {} {:.3}", name(rung), rung.loss.nats_per_char)).collect();
        let alt = format!("Held-out loss in nats per character, the worst model first{losses}");
        let size = ((left + room + 90) as u32, (top + row * self.rungs.len() as i32 + 12) as u32);
        draw(size, alt, |area| {
            let text = |size: i32, pos: HPos| {
                let style = TextStyle::from(("sans-serif", size).into_font()).color(&INK);
                style.pos(Pos::new(pos, VPos::Center))
            };
            let title = "held-out loss (nats per character; less is better)";
            area.draw(&Text::new(title, (16, 22), text(18, HPos::Left)))?;
            for (place, rung) in self.rungs.iter().enumerate() {
                let (nats, y) = (rung.loss.nats_per_char, top + row * place as i32);
                let end = left + (f64::from(room) * nats / worst.max(f64::MIN_POSITIVE)).round() as i32;
                let colour = if rung.counted { COUNTED } else { TRAINED };
                area.draw(&Text::new(name(rung), (left - 8, y + row / 2), text(15, HPos::Right)))?;
                area.draw(&Rectangle::new([(left, y + 4), (end.max(left + 1), y + row - 4)], colour.filled()))?;
                area.draw(&Text::new(format!("{nats:.3}"), (end + 6, y + row / 2), text(15, HPos::Left)))?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Evaluation;

    #[test]
    fn every_model_has_a_bar_a_name_and_a_number() {
        let rung = |name: &str, nats_per_char, counted| Rung {
            name: name.to_owned(),
            loss: Evaluation::of_chars(nats_per_char, 9),
            counted,
        };
        let ladder = Ladder { rungs: vec![rung("bigram", 2.29, true), rung("<mine>", 0.95, false)] };
        let picture = ladder.draw().unwrap();
        assert!(picture.svg.contains("bigram (counted)") && picture.svg.contains("0.950"));
        assert!(!picture.svg.contains("<mine>") && picture.alt.contains("<mine> 0.950"));
        assert!(Ladder::default().draw().is_err());
    }
}
