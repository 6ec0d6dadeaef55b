//! Pictures one behind the other, with a slider: one block of HTML that needs nothing but itself. Where scripts don't run,
//! the last picture stands.

use super::html::json_in_script;
use super::{Html, beside};
use crate::display::{Picture, escape};
use crate::error::Result;
use serde_json::json;

const SCRIPT: &str = include_str!("flipbook.js");
const STYLE: &str = ".glasslab-flipbook{font:14px/1.45 system-ui,sans-serif;max-width:1180px}\
    .glasslab-flipbook .g-bar{display:flex;flex-wrap:wrap;gap:6px 18px;align-items:center;margin:6px 0}\
    .glasslab-flipbook button{font:inherit;color:inherit;background:rgba(128,128,128,.12);border:1px solid \
    rgba(128,128,128,.5);border-radius:4px;padding:2px 8px}\
    .glasslab-flipbook :focus-visible{outline:3px solid #e69f00;outline-offset:1px}\
    .glasslab-flipbook input{width:240px;vertical-align:middle}\
    .glasslab-flipbook b{font-variant-numeric:tabular-nums}";

/// Pictures that stand beside each other, and what stands above them.
pub(crate) struct Flip {
    pub(crate) caption: String,
    pub(crate) pictures: Vec<Picture>,
}

impl Flip {
    fn html(&self, form: impl Fn(&Picture) -> String) -> String {
        beside(400, self.pictures.iter().map(form))
    }
}

/// The block.
pub(crate) fn flipbook(title: &str, flips: &[Flip], alt: &str) -> Result<Html> {
    let last = flips.last().map_or(String::new(), |flip| {
        format!("<div class=\"g-still\"><b>{}</b>{}</div>", escape(&flip.caption), flip.html(Picture::html))
    });
    let frames: Vec<_> = flips.iter().map(|flip| json!([flip.caption, flip.html(Picture::inline)])).collect();
    let html = format!(
        "<div class=\"glasslab-flipbook\"><style>{STYLE}</style><div style=\"font-weight:600\">{}</div>{last}\
         <script type=\"application/json\">{}</script><script>{SCRIPT}</script></div>",
        escape(title),
        json_in_script(&json!(frames).to_string())
    );
    Ok(Html { html, alt: alt.to_owned() })
}
