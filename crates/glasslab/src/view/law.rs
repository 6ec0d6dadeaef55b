//! A law of scale beside the runs that it was fitted to: over the size of the model, and over the text.

use super::lines::{Axis, COLOURS, Lines, Mark};
use super::{Html, beside, paragraph, shown};
use crate::display::Picture;
use crate::error::Result;
use crate::experiment::{Law, Scaled, grouped, mean};
use crate::numbers::short;

/// Points of a fitted curve.
const POINTS: i32 = 40;

impl Law {
    /// Two pictures: dots are runs (the mean of those that differ only in their seed), dashed lines what the law says.
    ///
    /// # Errors
    /// If they can't be drawn.
    pub fn html(&self) -> Result<Html> {
        self.beside(&[])
    }

    /// The same with further runs that the law has not seen, as crosses: does it hold for them?
    ///
    /// # Errors
    /// If they can't be drawn.
    pub fn beside(&self, others: &[Scaled]) -> Result<Html> {
        let (size, text) = (self.picture(true, others)?, self.picture(false, others)?);
        let words: String = self.to_string().lines().map(paragraph).collect();
        let html = format!("<div>{words}{}</div>", beside(420, [size.html(), text.html()]));
        Ok(Html { html, alt: format!("{self}{}\n{}", size.alt, text.alt) })
    }

    /// Over the parameters, or over the text, a colour for each value of the other.
    fn picture(&self, by_size: bool, others: &[Scaled]) -> Result<Picture> {
        let turned = |(one, other): (f64, f64)| if by_size { (one, other) } else { (other, one) };
        let split = |run: &Scaled| turned((run.parameters, run.chars));
        let (across, of) =
            if by_size { ("parameters", "characters") } else { ("characters learnt from", "parameters") };
        let mut lines = Lines::new(Axis::new(across).logarithmic(), Axis::new("held-out loss (nats per character)"));
        let values = |number: &dyn Fn(&Scaled) -> f64| {
            let mut all: Vec<f64> = self.runs.iter().chain(others).map(number).collect();
            all.sort_by(f64::total_cmp);
            all.dedup();
            all
        };
        let (places, colours) = (values(&|run| split(run).0), values(&|run| split(run).1));
        let ends = (places.first().copied().unwrap_or(1.0), places.last().copied().unwrap_or(1.0));
        let mut told = Vec::new();
        for (place, &value) in colours.iter().enumerate() {
            let colour = COLOURS[place % COLOURS.len()];
            let name = format!("{} {of}", grouped(value as i64));
            let means = |runs: &[Scaled]| -> Vec<(f64, f64)> {
                let of = |at: f64| runs.iter().filter(move |run| split(run) == (at, value)).map(|run| run.loss);
                let all = places.iter().map(|&at| (at, of(at).collect::<Vec<f64>>()));
                all.filter(|(_, losses)| !losses.is_empty()).map(|(at, losses)| (at, mean(&losses))).collect()
            };
            let curve = (0..=POINTS).map(|step| {
                let at = ends.0 * (ends.1 / ends.0).powf(f64::from(step) / f64::from(POINTS));
                let (parameters, chars) = turned((at, value));
                (at, self.predict(parameters, chars))
            });
            lines.add(name.clone(), curve.collect(), colour, Mark::Dashed);
            let (seen, unseen) = (means(&self.runs), means(others));
            for (at, loss) in &seen {
                told.push(format!("{name} at {}: {loss:.3}", short(*at, 0.0)));
            }
            for (at, loss) in &unseen {
                told.push(format!("{name} at {}: {loss:.3}, which the law has not seen", short(*at, 0.0)));
            }
            lines.add("", seen, colour, Mark::Dots);
            lines.add("", unseen, colour, Mark::Cross);
        }
        lines.draw(format!("Loss over {across}, beside the law: {}", told.join("; ")))
    }
}

shown!(Law, html? or words);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_law_is_drawn_over_sizes_and_over_texts_with_what_it_has_not_seen() {
        let run = |parameters: f64, chars: f64| Scaled {
            parameters,
            chars,
            loss: 0.5 + 9.0 / parameters.sqrt() + 99.0 / chars.sqrt(),
        };
        let runs: Vec<Scaled> =
            [1e3, 4e3, 16e3].iter().flat_map(|&size| [1e5, 4e5, 16e5].map(|text| run(size, text))).collect();
        let law = Law::fit(&runs).unwrap();
        let Html { html, alt } = law.beside(&[run(64e3, 16e5)]).unwrap();
        assert_eq!(alt.matches("which the law has not seen").count(), 2, "{alt}");
        assert!(
            html.matches("<img").count() == 2
                && alt.contains("16,000 parameters")
                && alt.contains("1,600,000 characters"),
            "{alt}"
        );
        assert!(law.html().unwrap().alt.contains("L(N, D) = "));
    }
}
