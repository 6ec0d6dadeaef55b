//! Which head does what, as a table.
//! Of many heads, as a map for each rule.

use super::colour::{Quantity, Scale, css, ink_on};
use super::{Heatmap, Html, beside, paragraph, shown};
use crate::display::escape;
use crate::error::Result;
use crate::measure::{HeadPatterns, share};
use tch::Tensor;

/// Of more heads, a table would be too long to be read.
const MOST_ROWS: usize = 48;

impl HeadPatterns {
    /// A table: a row for each head, a column for each rule. Of more than 48 heads, a map for each rule.
    pub fn html(&self) -> Html {
        match self.heads.len() > MOST_ROWS {
            true => self.maps().unwrap_or_else(|_| self.table()),
            false => self.table(),
        }
    }

    /// How well each head follows a rule: a row for each layer, a column for each head.
    ///
    /// # Errors
    /// What libtorch fails with.
    pub fn map(&self, pattern: usize) -> Result<Heatmap> {
        let layers = self.heads.last().map_or(0, |head| head.layer + 1);
        let heads = self.heads.iter().map(|head| head.head + 1).max().unwrap_or(0);
        let mut scores = vec![f64::NAN; layers * heads as usize];
        for head in &self.heads {
            let score = head.scores.get(pattern).copied().unwrap_or(f64::NAN);
            scores[head.layer * heads as usize + head.head as usize] = score;
        }
        let matrix = Tensor::f_from_slice(&scores)?.f_view([layers as i64, heads])?;
        let name = self.rules().get(pattern).cloned().unwrap_or_default();
        Ok(Heatmap::new(&matrix)?.title(&name).quantity(Quantity::Weights).rows("layer", "").columns("head", ""))
    }

    fn maps(&self) -> Result<Html> {
        let mut maps = Vec::new();
        for (pattern, _) in self.rules().iter().enumerate() {
            let best = self.most(pattern, 3);
            let told = |head: &&crate::measure::HeadScore| {
                format!("layer {} head {}: {}", head.layer, head.head, share(head.scores[pattern]))
            };
            let words = match best.is_empty() {
                true => "the text has no such place".to_owned(),
                false => format!(
                    "{}; everywhere alike {}",
                    best.iter().map(told).collect::<Vec<_>>().join(", "),
                    share(self.chance[pattern])
                ),
            };
            let picture = self.map(pattern)?.largest_cell(16).draw()?;
            maps.push(format!("{}{}", picture.html(), paragraph(&words)));
        }
        let head = paragraph(&format!(
            "Where each head looks: the mean share of its attention, over {} {}. Below each map, the heads that follow \
             its rule most.",
            self.chars, self.unit.many
        ));
        Ok(Html { html: format!("<div>{head}{}</div>", beside(300, maps)), alt: self.to_string() })
    }

    fn table(&self) -> Html {
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
