//! Which head does what, as a table.

use super::colour::{Quantity, Scale, css, ink_on};
use super::{Html, shown};
use crate::display::escape;
use crate::measure::{HeadPatterns, share};

impl HeadPatterns {
    /// A table: a row for each head, a column for each rule.
    pub fn html(&self) -> Html {
        let scale = Scale::new(Quantity::Weights, &[]);
        let cell = "padding:2px 10px;text-align:center;font-variant-numeric:tabular-nums";
        let name_cell = "padding:2px 8px;text-align:left";
        let mut html = format!(
            "<div style=\"overflow-x:auto\"><p style=\"margin:4px 0\">Where each head looks: the mean share of its \
             attention, over {} {}. Framed: the head that follows the rule most.</p>\
             <table style=\"table-layout:auto;border-collapse:separate;border-spacing:1px;font-size:13px\"><tr><td></td>",
            self.chars, self.unit.many
        );
        for name in self.rules() {
            let style = "padding:2px 8px;max-width:9em;text-align:center;vertical-align:bottom";
            html.push_str(&format!("<th scope=\"col\" style=\"{style}\">{}</th>", escape(&name)));
        }
        html.push_str("</tr>");
        for head in &self.heads {
            let name = format!("layer {} head {}", head.layer, head.head);
            html.push_str(&format!("<tr><th scope=\"row\" style=\"{name_cell}\">{name}</th>"));
            for (pattern, &score) in head.scores.iter().enumerate() {
                let colour = scale.colour(score);
                let best = self.best(pattern).is_some_and(|best| std::ptr::eq(best, head));
                let mark = if best { ";font-weight:700;outline:3px solid #e69f00;outline-offset:-3px" } else { "" };
                let (background, ink) = (css(colour), ink_on(colour));
                html.push_str(&format!(
                    "<td style=\"{cell};background:{background};color:{ink}{mark}\">{}</td>",
                    share(score)
                ));
            }
            html.push_str("</tr>");
        }
        html.push_str(&format!("<tr><th scope=\"row\" style=\"{name_cell}\">looking everywhere alike</th>"));
        for &score in &self.chance {
            html.push_str(&format!("<td style=\"{cell};opacity:.8\">{}</td>", share(score)));
        }
        html.push_str("</tr></table></div>");
        Html { html, alt: self.to_string() }
    }
}

shown!(HeadPatterns, html);
