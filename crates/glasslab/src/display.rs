//! How a picture reaches the notebook.

use glasslab_wire::{Bundle, FromCell, IN_NOTEBOOK, is_connected, send, write_content};
use std::fmt::Debug;

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
        show_bundle(&bundle(self));
    }

    /// Called by the kernel on the value of a cell.
    pub fn evcxr_display(&self) {
        show_value(&bundle(self));
    }
}

/// How the value of a cell is shown if its type has no `evcxr_display` of its own.
///
/// evcxr tries that method first, and compiles the cell a second time where it is missing; with this trait in the
/// prelude every value that can be debugged has one, and each cell is compiled once.
pub trait ShowValue {
    /// Called by the kernel on the value of a cell.
    fn evcxr_display(&self);
}

impl<T: Debug + ?Sized> ShowValue for T {
    fn evcxr_display(&self) {
        // A unit is no news.
        if std::any::type_name::<T>() != "()" {
            show_debugged(&self);
        }
    }
}

/// Not generic, so that it is compiled here and not in each cell.
fn show_debugged(value: &dyn Debug) {
    let mut data = Bundle::new();
    data.insert("text/plain".to_owned(), format!("{value:?}").into());
    show_value(&data);
}

/// Shows the value that a cell ends in.
pub(crate) fn show_value(bundle: &Bundle) {
    if !send(&FromCell::Value { data: bundle.clone() }) {
        write_blocks(bundle);
    }
}

/// A picture in its two forms.
pub(crate) fn bundle(picture: &Picture) -> Bundle {
    html_bundle(picture.html(), picture.alt.clone())
}

/// HTML, and the text for those who can't see it.
pub(crate) fn html_bundle(html: String, text: String) -> Bundle {
    let mut bundle = Bundle::new();
    bundle.insert("text/html".to_owned(), html.into());
    bundle.insert("text/plain".to_owned(), text.into());
    bundle
}

/// Shows it in the notebook; elsewhere prints its text.
pub(crate) fn show_bundle(bundle: &Bundle) {
    if is_connected() {
        send(&FromCell::Display { data: bundle.clone(), id: None });
    } else if std::env::var_os(IN_NOTEBOOK).is_some() {
        write_blocks(bundle);
    } else if let Some(text) = bundle.get("text/plain").and_then(|text| text.as_str()) {
        println!("{text}");
    }
}

/// Tells a sentence: below the cell in a notebook, on standard error elsewhere, where standard output is a command's
/// answer.
pub(crate) fn say(line: &str) {
    if is_connected() || std::env::var_os(IN_NOTEBOOK).is_some() {
        println!("{line}");
    } else {
        eprintln!("{line}");
    }
}

/// The way plain evcxr_jupyter understands.
fn write_blocks(bundle: &Bundle) {
    for (mime_type, content) in bundle {
        // A closed wire means that the kernel is gone, and this process with it.
        let _ = write_content(std::io::stdout().lock(), mime_type, content.as_str().unwrap_or_default());
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
