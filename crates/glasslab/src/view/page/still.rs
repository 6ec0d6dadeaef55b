//! What a page shows where no scripts run: the models' words, their surprise, and their attention.

use super::super::{Surprise, paragraph};
use crate::display::escape;
use crate::error::Result;
use crate::generate::{Sampling, generate};
use crate::model::{AnyModel, LanguageModel, count_parameters};
use crate::tokenizer::printable;
use crate::trace::Traceable;

/// Points at the side of a head's picture.
const POINTS: usize = 40;
/// Characters that each model writes.
const CHARS: usize = 300;

/// Pictures and words of each model on a prompt.
pub(super) fn html(models: &[AnyModel], prompt: &str) -> Result<String> {
    models.iter().map(|model| of_model(model, prompt)).collect()
}

fn of_model(model: &AnyModel, prompt: &str) -> Result<String> {
    let (kind, tokenizer) = (if matches!(model, AnyModel::Mlp(_)) { "MLP" } else { "transformer" }, model.tokenizer());
    let count = count_parameters(model);
    let mut html = format!("<section><h2>What the {kind} writes</h2>");
    html.push_str(&paragraph(&format!("The {kind} has {count} numbers. At temperature 0.5 it writes:")));
    let written = generate(model, &tokenizer, prompt, &Sampling { chars: CHARS, ..Sampling::default() })?;
    html.push_str(&format!("<blockquote>{}</blockquote>", escape(&printable(&written)).replace('\n', "<br>")));
    html.push_str("<h2>What surprised it</h2>");
    html.push_str(&Surprise::new(model, prompt)?.html().html);
    let trace = model.trace(prompt)?;
    if let Ok(attention) = trace.attention() {
        html.push_str("<h2>Where it looks</h2>");
        html.push_str(&attention.still(POINTS)?);
        html.push_str(&paragraph(&attention.strongest()?));
    }
    Ok(html + "</section>")
}
