//! How a picture reaches the notebook.

use glasslab_wire::{Bundle, FromCell, IN_NOTEBOOK, is_connected, send, write_content};
use std::cell::Cell;
use std::fmt::Debug;

/// A picture: SVG with a text alternative.
///
/// As the last expression of a cell it is shown below the cell, and it goes to the notebook in three forms: a front-end takes
/// the first that it knows.
///
/// | form | taken by | ink |
/// |---|---|---|
/// | `text/html` | JupyterLab, VS Code, pages, slides and Markdown of nbconvert | the page's own where scripts run, else as below |
/// | `image/svg+xml` | what takes no HTML, such as nbconvert's LaTeX | dark on white, on a dark screen light on black |
/// | `text/plain` | terminals, screen readers | |
#[derive(Debug, Clone)]
pub struct Picture {
    /// The picture: a whole document in one line, without `"`.
    pub svg: String,
    /// What it shows, for those who can't see it.
    pub alt: String,
}

impl Picture {
    /// As a block of HTML: an image, which is kept where HTML is cleaned (a notebook that is not trusted), and a script that
    /// makes it part of the page, so that its text takes the page's colour.
    pub fn html(&self) -> String {
        // In one line: an empty one would end the HTML of a Markdown file.
        let (address, alt) = (in_address(&self.svg), escape(&self.alt.replace('\n', " ")));
        format!(
            "<div><img class=\"glasslab-picture\" alt=\"{alt}\" style=\"max-width:100%;height:auto\" \
             src=\"{ADDRESS}{address}\"><script>{INLINE}</script></div>"
        )
    }

    /// As a part of a page, where it stays as it is: a script of the library puts it there.
    pub(crate) fn inline(&self) -> String {
        format!("<div role='img' aria-label='{}'>{}</div>", escape(&self.alt), self.svg)
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

const ADDRESS: &str = "data:image/svg+xml,";
/// Puts the SVG in the place of its image, which stands before the script.
const INLINE: &str = "{const i=document.currentScript.previousSibling,p=i.parentNode;\
    p.setAttribute('role','img');p.setAttribute('aria-label',i.alt);i.outerHTML=decodeURIComponent(i.src.slice(19))}";

/// Text of an SVG as a `data:` address inside of an HTML attribute has it.
fn in_address(svg: &str) -> String {
    let mut address = String::with_capacity(svg.len() * 11 / 10);
    for character in svg.chars() {
        match character {
            '%' => address.push_str("%25"),
            '#' => address.push_str("%23"),
            '"' => address.push_str("%22"),
            '\n' => address.push_str("%0A"),
            '&' => address.push_str("&amp;"),
            other => address.push(other),
        }
    }
    address
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

/// A picture in its three forms.
pub(crate) fn bundle(picture: &Picture) -> Bundle {
    let mut bundle = html_bundle(picture.html(), picture.alt.clone());
    bundle.insert("image/svg+xml".to_owned(), picture.svg.clone().into());
    bundle
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

/// Text inside a `<script>` that holds JSON: nothing in it can end the script.
pub(crate) fn json_in_script(json: &str) -> String {
    json.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// A name for something shown that nothing else has.
pub(crate) fn unique_id(what: &str) -> String {
    thread_local!(static COUNT: Cell<u64> = const { Cell::new(0) });
    let count = COUNT.replace(COUNT.get() + 1);
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |age| age.as_nanos());
    format!("glasslab-{what}-{}-{time:x}-{count}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<script>'\"&\u{1}"), "&lt;script&gt;&#39;&quot;&amp;\u{fffd}");
        let picture = Picture { svg: String::new(), alt: "\"><script>x".to_owned() };
        assert!(!picture.html().contains("<script>x"));
    }

    #[test]
    fn a_picture_comes_as_html_as_svg_and_in_words() {
        let svg = "<svg xmlns='http://www.w3.org/2000/svg' fill='#123456'><text>“50 %” &amp; &lt;more&gt;</text></svg>";
        let picture = Picture { svg: svg.to_owned(), alt: "one\n\nhalf".to_owned() };
        let bundle = bundle(&picture);
        assert_eq!((bundle["image/svg+xml"].as_str(), bundle["text/plain"].as_str()), (Some(svg), Some("one\n\nhalf")));
        // As a browser reads the attribute, and the script the address.
        let html = bundle["text/html"].as_str().unwrap();
        let source = html.split(&format!("src=\"{ADDRESS}")).nth(1).unwrap().split('"').next().unwrap();
        let address = source.replace("&amp;", "&");
        assert!(!address.contains(['#', '\n']));
        assert_eq!(address.replace("%23", "#").replace("%25", "%"), svg);
        assert!(
            html.contains("alt=\"one  half\"")
                && !html.contains('\n')
                && html.contains(&format!("slice({})", ADDRESS.len())),
            "{html}"
        );
    }
}
