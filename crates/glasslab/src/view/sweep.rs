//! An experiment's results: a point for each variant, with its standard error; and what is to be said of its design.
//!
//! Where numbers were varied, they are an axis: a line for each combination of the other settings.

use super::lines::{Axis, COLOURS, GREY, Lines, Mark};
use super::{Html, INK, draw, paragraph, shown};
use crate::display::{Picture, escape};
use crate::error::{Error, Result};
use crate::experiment::{Design, Kept, Sweep, Variant, grouped, in_words};
use crate::live::{LiveFigure, should_stop};
use plotters::prelude::{
    ChartBuilder, Circle, IntoFont, LineSeries, PathElement, RGBColor, ShapeStyle, Text, TextStyle,
};
use plotters::style::Color;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

const MEAN: RGBColor = RGBColor(40, 140, 210);
const SEED: RGBColor = RGBColor(128, 128, 128);
/// Numbers whose largest is so many times the smallest stand on a logarithmic axis.
const WIDE: f64 = 8.0;
/// Between two looks at a sweep that runs.
const LOOK: Duration = Duration::from_millis(300);

impl Sweep {
    /// Draws the mean of each variant with its standard error, and each seed as a small grey dot. Of a sweep that was
    /// opened, a number that was varied is the axis.
    ///
    /// # Errors
    /// If nothing was measured yet.
    pub fn draw(&self) -> Result<Picture> {
        match self.axis() {
            Some(name) => self.draw_over(&name, self.alt()),
            None => self.draw_side_by_side(self.alt()),
        }
    }

    /// The results as a table and a picture; of a sweep that still runs, how far it is, and what has gone wrong.
    pub fn html(&self) -> Html {
        let mut html = String::from("<div>");
        if self.done < self.planned {
            html.push_str(&paragraph(&format!("{} of {} runs are done.", self.done, self.planned)));
        }
        let style = |side: &str| format!("style=\"padding:2px 10px;text-align:{side}\"");
        let head = |text: &str, side: &str| format!("<th scope=\"col\" {}>{}</th>", style(side), escape(text));
        let cell = |text: &str, side: &str| format!("<td {}>{}</td>", style(side), escape(text));
        let heads = ["loss (nats/char)", "standard error", "seeds", "parameters", "characters learnt from"];
        let heads: String = heads.iter().map(|text| head(text, "right")).collect();
        let rows = self.variants.iter().map(|variant| {
            let error = variant.standard_error().map_or("one seed: none".to_owned(), |error| format!("{error:.4}"));
            let numbers = [
                format!("{:.4}", variant.mean()),
                error,
                variant.losses.len().to_string(),
                grouped(variant.parameters),
                grouped(variant.setup.chars as i64),
            ];
            let numbers: String = numbers.iter().map(|text| cell(text, "right")).collect();
            format!("<tr>{}{numbers}</tr>", cell(&variant.name, "left"))
        });
        if !self.variants.is_empty() {
            let (what, rows) = (head(&self.what, "left"), rows.collect::<String>());
            html.push_str(&format!("<table style=\"margin:6px 0\"><tr>{what}{heads}</tr>{rows}</table>"));
        }
        self.troubles.iter().for_each(|trouble| html.push_str(&paragraph(&format!("! {trouble}"))));
        // Of nothing there is no picture.
        if let Ok(picture) = self.draw() {
            html.push_str(&picture.html());
        }
        html.push_str("</div>");
        Html { html, alt: self.to_string() }
    }

    /// Opens a sweep again and again, and shows its picture below the cell, until all its runs are done or the stop button is
    /// pressed. Gives it as it is then.
    ///
    /// # Errors
    /// As [`Sweep::open`].
    pub fn watch(folder: impl AsRef<Path>) -> Result<Sweep> {
        let (mut figure, mut done) = (LiveFigure::new(), None);
        loop {
            let sweep = Sweep::open(&folder)?;
            if done != Some(sweep.done) {
                done = Some(sweep.done);
                // Of nothing there is no picture.
                if let Ok(picture) = sweep.draw() {
                    figure.update(|| Ok::<_, Error>(picture))?;
                }
            }
            if sweep.done >= sweep.planned || should_stop() {
                return Ok(sweep);
            }
            std::thread::sleep(LOOK);
        }
    }

    fn alt(&self) -> String {
        let one = |variant: &Variant| {
            let error = variant.standard_error().map_or(String::new(), |error| format!(" ± {error:.3}"));
            format!("{} {:.3}{error}", variant.name, variant.mean())
        };
        let results: Vec<String> = self.variants.iter().map(one).collect();
        format!("Held-out loss in nats per character by {}: {}", self.what, results.join(", "))
    }

    /// The number that was varied most.
    fn axis(&self) -> Option<String> {
        let names = self.variants.first()?.varied.keys();
        let values = |name: &str| -> Option<usize> {
            let all: Option<Vec<f64>> =
                self.variants.iter().map(|variant| variant.varied.get(name)?.as_f64()).collect();
            let mut all = all?;
            all.sort_by(f64::total_cmp);
            all.dedup();
            Some(all.len())
        };
        let counted = names.filter_map(|name| Some((name, values(name)?))).filter(|(_, count)| *count > 1);
        // Of as many values, the first name.
        counted.rev().max_by_key(|(_, count)| *count).map(|(name, _)| name.clone())
    }

    /// A line over the numbers of a setting, for each combination of the others.
    fn draw_over(&self, axis: &str, alt: String) -> Result<Picture> {
        let at = |variant: &Variant| variant.varied.get(axis).and_then(Value::as_f64).unwrap_or(f64::NAN);
        let rest = |variant: &Variant| {
            let mut rest = variant.varied.clone();
            rest.remove(axis);
            in_words(&rest)
        };
        let mut names: Vec<String> = Vec::new();
        for name in self.variants.iter().map(rest) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let all = || self.variants.iter().map(at);
        let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
        let across = Axis::new(axis);
        let across = if low > 0.0 && high / low >= WIDE { across.logarithmic() } else { across };
        let mut lines = Lines::new(across, Axis::new("held-out loss (nats per character)"));
        for (place, name) in names.iter().enumerate() {
            let colour = COLOURS[place % COLOURS.len()];
            let mut of: Vec<&Variant> = self.variants.iter().filter(|variant| rest(variant) == *name).collect();
            of.sort_by(|one, other| at(one).total_cmp(&at(other)));
            for variant in &of {
                lines.add("", variant.losses.iter().map(|loss| (at(variant), *loss)).collect(), GREY, Mark::Specks);
                if let Some(error) = variant.standard_error() {
                    let (x, mean) = (at(variant), variant.mean());
                    lines.add("", vec![(x, mean - error), (x, mean + error)], colour, Mark::Line);
                }
            }
            let means = of.iter().map(|variant| (at(variant), variant.mean())).collect();
            lines.add(name.clone(), means, colour, Mark::Dotted);
        }
        lines.draw(alt)
    }

    fn draw_side_by_side(&self, alt: String) -> Result<Picture> {
        let all = || self.variants.iter().flat_map(|variant| &variant.losses).copied().filter(|loss| loss.is_finite());
        let (Some(low), Some(high)) = (all().reduce(f64::min), all().reduce(f64::max)) else {
            return Err(Error::Drawing("nothing was measured yet: call measure first".to_owned()));
        };
        let margin = (0.15 * (high - low)).max(0.02);
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

impl Design {
    /// The rules as a list, and the differences as a table.
    pub fn html(&self) -> Html {
        let rule = |colour: &str, sign: char, said: &str| {
            let sign = format!("<strong style=\"color:{colour};min-width:1.2em\">{sign}</strong>");
            format!("<div style=\"display:flex;gap:4px\">{sign}<span>{}</span></div>", escape(said))
        };
        let rules = self.rules.iter().map(|one| {
            let colour = match one.kept {
                Kept::Yes => "#0072b2",
                Kept::No => "#d55e00",
                Kept::Mind => "#808080",
            };
            rule(colour, one.sign(), &one.said)
        });
        let cell = "style=\"padding:2px 10px;text-align:left\"";
        let rows = self.pairs.iter().map(|pair| {
            let errors = pair.errors.map_or("no error bar".to_owned(), |errors| format!("{errors:.1}"));
            let said = match (pair.errors, pair.is_believed()) {
                (None, _) => "nothing can be said",
                (_, true) => "✓ believe it",
                _ => "it may be chance",
            };
            let cells = [&pair.better, &pair.worse, &format!("{:.3}", pair.difference), &errors, &said.to_owned()];
            let cells: String = cells.iter().map(|text| format!("<td {cell}>{}</td>", escape(text))).collect();
            format!("<tr>{cells}</tr>")
        });
        let heads = ["better", "worse", "difference (nats/char)", "in standard errors", "verdict"];
        let heads: String = heads.iter().map(|text| format!("<th scope=\"col\" {cell}>{text}</th>")).collect();
        let table = match self.pairs.is_empty() {
            true => String::new(),
            false => format!("<table style=\"margin:6px 0\"><tr>{heads}</tr>{}</table>", rows.collect::<String>()),
        };
        let title = paragraph(&format!("{}: a controlled experiment?", self.what));
        Html { html: format!("<div>{title}{}{table}</div>", rules.collect::<String>()), alt: self.to_string() }
    }
}

shown!(Design, html);
shown!(Sweep, html);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{Pair, Rule};

    #[test]
    fn a_design_is_shown_in_words_and_text_cannot_become_markup() {
        let rule = |kept, said: &str| Rule { kept, said: said.to_owned() };
        let pair = |errors| Pair { better: "<b>".to_owned(), worse: "c".to_owned(), difference: 0.5, errors };
        let design = Design {
            what: "<script>".to_owned(),
            rules: vec![rule(Kept::Yes, "3 variants"), rule(Kept::No, "<i>")],
            pairs: vec![pair(Some(4.0)), pair(Some(1.0)), pair(None)],
        };
        let Html { html, alt } = design.html();
        for words in
            ["✓", "✗", "believe it", "may be chance", "no error bar", "&lt;script&gt;", "&lt;b&gt;", "&lt;i&gt;"]
        {
            assert!(html.contains(words), "{words}: {html}");
        }
        assert!(!html.contains("<script>") && alt == design.to_string());
        assert!(html.contains("</th>") && !html.contains("\"></th>"), "no head of a table is empty: {html}");
    }
}
