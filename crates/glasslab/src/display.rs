//! How a picture reaches the notebook.

use glasslab_wire::{IN_NOTEBOOK, write_content};

/// A picture: SVG with a text alternative.
///
/// As the last expression of a cell it is shown below the cell. Its text takes the colour of the
/// page around it, so it can be read on light and dark ones.
#[derive(Debug, Clone)]
pub struct Picture {
    /// The picture.
    pub svg: String,
    /// What it shows, for those who can't see it.
    pub alt: String,
}

impl Picture {
    /// As a block of HTML.
    pub fn html(&self) -> String {
        format!("<div role=\"img\" aria-label=\"{}\">{}</div>", escape(&self.alt), self.svg)
    }

    /// Shows the picture in the notebook; elsewhere prints its text alternative.
    pub fn show(&self) {
        if std::env::var_os(IN_NOTEBOOK).is_some() {
            self.evcxr_display();
        } else {
            println!("{}", self.alt);
        }
    }

    /// Called by the kernel on the value of a cell.
    pub fn evcxr_display(&self) {
        let out = std::io::stdout();
        // A closed wire means that the kernel is gone, and this process with it.
        let _ = write_content(out.lock(), "text/html", &self.html());
        let _ = write_content(out.lock(), "text/plain", &self.alt);
    }
}

/// Text made safe inside HTML and SVG.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // XML 1.0 has no place for these, not even escaped.
            control if control.is_control() && !matches!(control, '\n' | '\t') => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<script>'\"&\u{1}"), "&lt;script&gt;&#39;&quot;&amp;\u{fffd}");
        let picture = Picture { svg: String::new(), alt: "\"><script>".to_owned() };
        assert!(!picture.html().contains("<script>"));
    }
}
