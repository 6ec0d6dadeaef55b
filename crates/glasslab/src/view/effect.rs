//! A model before and after a change, beside each other.

use super::{Html, beside, paragraph, shown};
use crate::display::escape;
use crate::error::Result;
use crate::intervene::{Behaviour, Effect};
use crate::tokenizer::printable;

impl Effect {
    /// Both beside each other: loss, text, next character, attention.
    ///
    /// # Errors
    /// If a picture can't be drawn.
    pub fn html(&self) -> Result<Html> {
        let column = |name: &str, outcome: &Behaviour| -> Result<String> {
            let shown = |text: &str| escape(&printable(text));
            let (text, written) = (shown(&outcome.trace.text), shown(&outcome.written));
            let style = "margin:4px 0;max-width:34em;font-family:ui-monospace,monospace;overflow-wrap:anywhere";
            let mut html =
                format!("<div style=\"font-weight:600\">{}</div>{}", escape(name), paragraph(&outcome.loss()));
            html.push_str(&format!("<p style=\"{style}\">{text}<b>{written}</b></p>"));
            html.push_str(&outcome.trace.next_characters(5)?.draw()?.html());
            if let Ok(attention) = outcome.trace.attention() {
                html.push_str(&attention.grid()?.html());
            }
            Ok(html)
        };
        let title = format!("What happens on “{}” with {}", self.before.trace.visible_text(), self.changes);
        let columns = [column("before", &self.before)?, column("after", &self.after)?];
        let html =
            format!("<div><div style=\"font-weight:600\">{}</div>{}</div>", escape(&title), beside(400, columns));
        Ok(Html { html, alt: self.to_string() })
    }
}

shown!(Effect, html? or words);
