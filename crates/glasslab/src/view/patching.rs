//! Which layer and place carries an answer, as a picture.

use super::{Heatmap, Html, Quantity, paragraph, shown};
use crate::error::Result;
use crate::intervene::Patching;
use tch::Tensor;

impl Patching {
    /// A row for each layer, a column for each place: how much of the answer comes back when the clean stream is put in
    /// there; 1 is all of it.
    ///
    /// # Errors
    /// What libtorch fails with.
    pub fn heatmap(&self) -> Result<Heatmap> {
        let places = self.corrupted_labels.len();
        let shares: Vec<f64> =
            (0..self.steps.len()).flat_map(|step| (0..places).map(move |place| self.share(step, place))).collect();
        let short = |step: &str| step.trim_end_matches(".after_mlp").to_owned();
        let rows: Vec<String> = self.steps.iter().map(|step| short(&step.step)).collect();
        let matrix = Tensor::f_from_slice(&shares)?.f_view([rows.len() as i64, places as i64])?;
        let [answer, other] = &self.answers;
        Ok(Heatmap::new(&matrix)?
            .title(&format!("what carries “{answer}” and not “{other}” (share)"))
            .quantity(Quantity::Scores)
            .row_labels("stream after", &rows)
            .column_labels("put in at", &self.labels()))
    }

    /// The heatmap, and beside it in words where the answer comes from.
    ///
    /// # Errors
    /// If it can't be drawn.
    pub fn html(&self) -> Result<Html> {
        let picture = self.heatmap()?.draw()?;
        let [answer, other] = &self.answers;
        let mut words = format!(
            "logit(“{answer}”) − logit(“{other}”) is {:.2} after the clean prompt and {:.2} after the corrupted one.",
            self.clean, self.corrupted
        );
        if let Some((step, place)) = self.strongest() {
            let (name, label) = (&self.steps[step].step, &self.labels()[place]);
            words.push_str(&format!(
                " Put in at “{label}” after {name}, the clean stream leads {:.0} % of the way back.",
                100.0 * self.share(step, place)
            ));
        }
        let html = format!("<div>{}{}</div>", paragraph(&words), picture.html());
        Ok(Html { html, alt: format!("{words} {}", picture.alt) })
    }
}

shown!(Patching, html? or words);
