//! One step of a training in pictures, and what other steps would have done.

use super::lines::{Axis, COLOURS, GREY, Lines, Mark};
use super::{Html, paragraph, shown};
use crate::display::{Picture, escape};
use crate::error::Result;
use crate::numbers::digits;
use crate::train::{Downhill, Lengths, Norms, SingularValues, StepByHand, TrainStep};

impl Norms {
    /// A table with a bar for each length; bars are logarithmic, each unit a power of 10.
    pub fn html(&self) -> Html {
        const CELL: &str = "padding:2px 10px;text-align:right;font-variant-numeric:tabular-nums";
        let bar = |number: f64, numbers: &[f64], colour: &str| {
            let largest = numbers.iter().copied().filter(|number| number.is_finite()).fold(0.0, f64::max);
            let share = if number > 0.0 { 1.0 + (number / largest).log10() / 4.0 } else { 0.0 };
            format!(
                "<td style=\"width:110px;padding:2px 6px\"><div style=\"height:.8em;width:{:.0}px;background:{colour};\
                 border-radius:2px\"></div></td>",
                100.0 * share.clamp(0.0, 1.0)
            )
        };
        let column = |which: fn(&Lengths) -> f64| self.rows.iter().map(which).collect::<Vec<f64>>();
        let (gradients, ratios) = (column(|row| row.gradient), column(Lengths::ratio));
        let mut html = format!(
            "<div style=\"overflow-x:auto\">{}<table style=\"table-layout:auto;border-collapse:collapse;font-size:13px\"><tr>",
            paragraph(&format!(
                "Step {}: how long each parameter's gradient and step are. A bar is shorter by a quarter for each power of 10.",
                self.step
            ))
        );
        for (place, head) in ["parameter", "numbers", "gradient", "", "step", "step / parameter", ""].iter().enumerate()
        {
            let align = if place == 0 { ";text-align:left" } else { "" };
            html.push_str(&format!("<th scope=\"col\" style=\"{CELL}{align}\">{head}</th>"));
        }
        html.push_str("</tr>");
        for (place, row) in self.rows.iter().enumerate() {
            let name = escape(&row.name);
            html.push_str(&format!(
                "<tr><th scope=\"row\" style=\"padding:2px 10px;text-align:left;font-weight:400\"><code>{name}</code></th>\
                 <td style=\"{CELL}\">{}</td><td style=\"{CELL}\">{}</td>{}<td style=\"{CELL}\">{}</td>\
                 <td style=\"{CELL}\">{}</td>{}</tr>",
                row.numbers,
                digits(row.gradient, 3),
                bar(gradients[place], &gradients, "#288cd2"),
                digits(row.update, 3),
                digits(row.ratio(), 3),
                bar(ratios[place], &ratios, "#e69f00"),
            ));
        }
        Html { html: html + "</table></div>", alt: self.to_string() }
    }
}

impl SingularValues {
    /// Draws both, the largest first, each as a share of its largest: a flat line is a matrix that is moved in all directions
    /// alike.
    ///
    /// # Errors
    /// If the drawing library fails.
    pub fn draw(&self) -> Result<Picture> {
        let shares = |values: &[f64]| {
            let largest = values.first().copied().unwrap_or(1.0);
            // Below this is rounding.
            let share = |(place, value): (usize, &f64)| (place as f64 + 1.0, (value / largest).max(1e-6));
            values.iter().enumerate().map(share).collect::<Vec<_>>()
        };
        let across = Axis::new("singular value, the largest first");
        let mut lines = Lines::new(across, Axis::new("share of the largest").logarithmic());
        lines.title = format!("{}, step {}: moved by {}", self.name, self.step, self.optimiser);
        lines.add("the smoothed gradient", shares(&self.before), COLOURS[1], Mark::Line);
        lines.add("the step", shares(&self.after), COLOURS[0], Mark::Dotted);
        lines.draw(self.to_string())
    }
}

impl Downhill {
    /// Draws the loss over the learning rate, the promise of the gradient dashed, and where a step is too small, right and
    /// too large.
    ///
    /// # Errors
    /// If the drawing library fails.
    pub fn draw(&self) -> Result<Picture> {
        let points = |of: &dyn Fn(usize) -> f64| (0..self.rates.len()).map(|at| (self.rates[at], of(at))).collect();
        // As high above the loss as the best step is below it, and half as much again.
        let gain = (self.loss - self.best().1).max(0.05);
        let up = Axis {
            low: Some(self.loss - 1.3 * gain),
            high: Some(self.loss + 1.5 * gain),
            ..Axis::new(&format!("loss on the batch (nats per {})", self.unit.one))
        };
        let mut lines = Lines::new(Axis::new("learning rate of one step of SGD").logarithmic(), up);
        let promised: Vec<(f64, f64)> = points(&|at| self.promised(self.rates[at]));
        let lowest = self.loss - 1.3 * gain;
        let kept = promised.into_iter().take_while(|point| point.1 > lowest).collect();
        lines.add("no step", points(&|_| self.loss), GREY, Mark::Dashed);
        lines.add("what the gradient promises", kept, COLOURS[1], Mark::Dashed);
        lines.add("after the step", points(&|at| self.losses[at]), COLOURS[0], Mark::Dotted);
        let middle = |from: f64, to: f64| (from * to).sqrt();
        let (first, last) = (self.rates.first().copied(), self.rates.last().copied());
        if let (Some((from, to)), Some(first), Some(last)) = (self.right(), first, last) {
            let zones = [(first, from, "too small"), (from, to, "right"), (to, last, "too large")];
            for (from, to, name) in zones {
                lines.words.push((middle(from, to), name.to_owned()));
            }
            let (bottom, top) = (self.loss - 1.3 * gain, self.loss + 1.5 * gain);
            for rate in [from, to] {
                lines.add("", vec![(rate, bottom), (rate, top)], GREY, Mark::Faint);
            }
        }
        lines.draw(self.to_string())
    }
}

impl TrainStep {
    /// As a block of HTML.
    pub fn html(&self) -> Html {
        Html::text(&self.to_string())
    }
}

impl StepByHand {
    /// As a block of HTML.
    pub fn html(&self) -> Html {
        Html::text(&self.to_string())
    }
}

shown!(Norms, html);
shown!(SingularValues, draw? or words);
shown!(Downhill, draw? or words);
shown!(TrainStep, html);
shown!(StepByHand, html);

#[cfg(test)]
mod tests {
    use crate::data::{Stories, Tokens};
    use crate::model::{TransformerConfig, TransformerLm};
    use crate::tokenizer::CharTokenizer;
    use crate::train::{Downhill, Length, StepByStep, TrainConfig};
    use tch::Device;

    fn tokens() -> Tokens {
        let stories = Stories::parse(&"Once upon a time there was a cat. ".repeat(8)).unwrap();
        Tokens::encode(&stories, &CharTokenizer::default()).unwrap()
    }

    fn config() -> TrainConfig {
        TrainConfig { length: Length::Steps(5), batch_size: 2, context_len: 16, reports: 1, ..TrainConfig::default() }
    }

    #[test]
    fn a_steps_lengths_and_directions_are_drawn() {
        let (mut model, tokens) = (TransformerLm::new(TransformerConfig::small(), Device::Cpu).unwrap(), tokens());
        let mut steps = StepByStep::new(&mut model, &tokens, &config()).unwrap();
        // At the first step the head starts at zero, so nothing else has a gradient.
        let html = steps.next(&mut model).unwrap().norms().unwrap().html().html;
        assert_eq!(html.matches("<tr>").count(), 1 + model.parameters().len());
        steps.skip(&mut model, 2).unwrap();
        let values = steps.next(&mut model).unwrap().singular_values("block.0.mlp.hidden.weight").unwrap();
        let picture = values.draw().unwrap();
        assert!(picture.svg.contains("the smoothed gradient") && picture.alt.contains("moved by Muon"));
    }

    #[test]
    fn the_three_kinds_of_learning_rate_are_named() {
        let model = TransformerLm::new(TransformerConfig::original(), Device::Cpu).unwrap();
        let picture = Downhill::from(&model, &tokens(), &config()).unwrap().draw().unwrap();
        for zone in ["too small", "right", "too large", "what the gradient promises"] {
            assert!(picture.svg.contains(zone), "{zone}");
        }
    }
}
