//! A block of HTML: tables, coloured text, and what one can click.
//!
//! It needs nothing but itself: no network, no other block. Where a page does not run scripts (a notebook that is not
//! trusted, or one on a website), what is left of it is still a table or a picture.

pub(crate) use crate::display::json_in_script;
use crate::display::{Picture, escape, html_bundle, show_bundle, show_value};
use glasslab_wire::Bundle;

/// A block of HTML with a text alternative. As the last expression of a cell it is shown below the cell.
#[derive(Debug, Clone)]
pub struct Html {
    /// The block.
    pub html: String,
    /// What it shows, in words: printed where no HTML can be shown.
    pub alt: String,
}

impl Html {
    /// Lines of plain text, as they stand.
    pub(crate) fn text(text: &str) -> Html {
        let html = format!("<pre style=\"white-space:pre-wrap;line-height:1.5\">{}</pre>", escape(text));
        Html { html, alt: text.to_owned() }
    }

    /// Shows the block in the notebook; elsewhere prints its text alternative.
    pub fn show(&self) {
        show_bundle(&self.bundle());
    }

    /// Called by the kernel on the value of a cell.
    pub fn evcxr_display(&self) {
        show_value(&self.bundle());
    }

    fn bundle(&self) -> Bundle {
        html_bundle(self.html.clone(), self.alt.clone())
    }
}

/// How a value is shown: `html`, by that; `html?`, by that, and if it fails by the error; `draw? or words`, then in words.
macro_rules! shown {
    ($value:ty, html) => {
        impl $value {
            /// Shows it in the notebook; elsewhere prints it in words.
            pub fn show(&self) {
                self.html().show();
            }

            /// Called by the kernel on the value of a cell.
            pub fn evcxr_display(&self) {
                self.html().evcxr_display();
            }
        }
    };
    ($value:ty, $drawn:ident ?) => {
        $crate::view::shown!($value, $drawn, |_: &Self, error: $crate::Error| error.to_string());
    };
    ($value:ty, $drawn:ident ? or words) => {
        $crate::view::shown!($value, $drawn, |value: &Self, _: $crate::Error| value.to_string());
    };
    ($value:ty, $drawn:ident, $told:expr) => {
        impl $value {
            /// Shows it in the notebook; elsewhere prints it in words.
            ///
            /// # Errors
            /// If it can't be drawn.
            pub fn show(&self) -> $crate::Result<()> {
                self.$drawn()?.show();
                Ok(())
            }

            /// Called by the kernel on the value of a cell.
            pub fn evcxr_display(&self) {
                match self.$drawn() {
                    Ok(drawn) => drawn.evcxr_display(),
                    Err(error) => println!("{}", $told(self, error)),
                }
            }
        }
    };
}
pub(crate) use shown;

impl From<Picture> for Html {
    fn from(picture: Picture) -> Html {
        Html { html: picture.html(), alt: picture.alt }
    }
}

/// Blocks beside each other, each at least so many pixels wide; on a narrow page below each other.
pub(crate) fn beside(least: u32, blocks: impl IntoIterator<Item = String>) -> String {
    let inner: String = blocks.into_iter().map(|block| format!("<div style=\"min-width:0\">{block}</div>")).collect();
    let columns = format!("repeat(auto-fit,minmax(min(100%,{least}px),1fr))");
    format!("<div style=\"display:grid;grid-template-columns:{columns};gap:8px 20px;align-items:start\">{inner}</div>")
}

/// A paragraph of plain text.
pub(crate) fn paragraph(text: &str) -> String {
    format!("<p style=\"margin:4px 0\">{}</p>", escape(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_cannot_end_its_script() {
        let json = json_in_script(&serde_json::json!({ "text": "</script><script>alert(1)" }).to_string());
        assert!(!json.contains('<'), "{json}");
        let back: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(back["text"], "</script><script>alert(1)");
    }

    #[test]
    fn paragraphs_are_escaped() {
        assert!(!paragraph("<script>").contains("<script>"));
    }
}
