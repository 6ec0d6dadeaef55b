//! What each layer would predict, as a table.

use super::colour::{Quantity, Scale, css, ink_on};
use super::{Html, paragraph, shown};
use crate::display::escape;
use crate::measure::Lens;

impl Lens {
    /// A table: a row for each layer, a column for each character, in it the likeliest next one.
    pub fn html(&self) -> Html {
        let scale = Scale::new(Quantity::Probabilities, &[]);
        let cell = "padding:2px 5px;text-align:center;font-family:ui-monospace,monospace";
        let name_cell = "text-align:right;padding:2px 8px";
        let mut html = String::from(
            "<div style=\"overflow-x:auto\"><p style=\"margin:4px 0\">Logit lens: what each layer would predict to come \
             next. The brighter, the surer; framed, where it came so; point at a cell for the number.</p>\
             <table dir=\"ltr\" style=\"table-layout:auto;border-collapse:separate;border-spacing:1px;font-size:13px\">",
        );
        // Of the last place nothing has come yet, and an empty head says nothing.
        let head = |style: &str, text: &str| match text {
            "" => format!("<td style=\"{style}\"></td>"),
            _ => format!("<th scope=\"col\" style=\"{style}\">{}</th>", escape(text)),
        };
        let heading = |html: &mut String, name: &str, labels: &[String], end: &str| {
            html.push_str(&format!("<tr><th scope=\"row\" style=\"{name_cell}\">{name}</th>"));
            for label in labels {
                html.push_str(&head(cell, label));
            }
            html.push_str(&format!("{}</tr>", head("padding:2px 8px", end)));
        };
        heading(&mut html, "after", &self.labels, self.unit);
        for row in self.shown() {
            let step = escape(&row.step);
            html.push_str(&format!("<tr><th scope=\"row\" style=\"{name_cell}\"><code>{step}</code></th>"));
            for (place, (name, p)) in row.predictions.iter().enumerate() {
                let colour = scale.colour(*p);
                let came = self.labels.get(place + 1) == Some(name);
                let mark =
                    if came { ";font-weight:700;outline:2px solid currentColor;outline-offset:-2px" } else { "" };
                html.push_str(&format!(
                    "<td title=\"after “{}”: “{}” {:.1} %{}\" style=\"{cell};background:{};color:{}{mark}\">{}</td>",
                    escape(&self.labels[place]),
                    escape(name),
                    p * 100.0,
                    if came { ", which came" } else { "" },
                    css(colour),
                    ink_on(colour),
                    escape(name)
                ));
            }
            let loss = row.nats.map_or(String::new(), |nats| format!("{nats:.3}"));
            html.push_str(&format!("<td style=\"padding:2px 8px;font-variant-numeric:tabular-nums\">{loss}</td></tr>"));
        }
        let mut came: Vec<String> = self.labels.iter().skip(1).cloned().collect();
        came.push(String::new());
        heading(&mut html, "what came", &came, "");
        html.push_str("</table>");
        let hidden = self.rows.len() - self.shown().len();
        if hidden > 0 {
            let rest = format!("One row for each block; .by_block(false) shows {hidden} more, behind the attentions.");
            html.push_str(&paragraph(&rest));
        }
        html.push_str("</div>");
        Html { html, alt: self.to_string() }
    }
}

shown!(Lens, html);
