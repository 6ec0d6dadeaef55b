//! Two steps beside each other: what has changed on the way from one to the other.

use super::{Html, beside, paragraph, shown};
use crate::error::{Error, Result};
use crate::numbers::numbers;
use crate::trace::{ByHand, Trace, TraceStep};

/// Two steps, and how they differ.
#[derive(Debug)]
pub struct Comparison {
    /// The two steps in words.
    pub alt: String,
    /// How many numbers differ; `None` if the shapes do.
    pub changed: Option<usize>,
    /// The largest difference between two finite numbers.
    pub max_abs_difference: Option<f64>,
    html: String,
}

impl Comparison {
    /// Two steps, of one trace or of two.
    ///
    /// # Errors
    /// If one has no numbers to draw.
    pub fn new(left: (&Trace, &TraceStep), right: (&Trace, &TraceStep)) -> Result<Comparison> {
        let ((left_trace, a), (right_trace, b)) = (left, right);
        let mut words = format!("{} {} beside {} {}", a.name, a.shape(), b.name, b.shape());
        let (mut changed, mut largest) = (None, None);
        if a.tensor.size() == b.tensor.size() {
            let (one, other) = (numbers(&a.tensor)?, numbers(&b.tensor)?);
            let differ = |(a, b): &(&f64, &f64)| a != b && !(a.is_nan() && b.is_nan());
            let count = one.iter().zip(&other).filter(differ).count();
            let finite = one.iter().zip(&other).map(|(a, b)| (a - b).abs()).filter(|difference| difference.is_finite());
            let difference = finite.fold(0.0, f64::max);
            words.push_str(&format!(
                ": {count} of {} numbers differ, where both are finite by at most {difference:.4}",
                one.len()
            ));
            (changed, largest) = (Some(count), Some(difference));
        } else {
            words.push_str(": their shapes differ, so no number belongs to another");
        }
        let pictures = [left_trace.picture_of(a)?, right_trace.picture_of(b)?];
        let html = format!("<div>{}{}</div>", paragraph(&words), beside(400, pictures));
        Ok(Comparison { alt: words, changed, max_abs_difference: largest, html })
    }

    /// As a block of HTML.
    pub fn html(&self) -> Html {
        Html { html: self.html.clone(), alt: self.alt.clone() }
    }
}

impl ByHand {
    /// As a block of HTML.
    pub fn html(&self) -> Html {
        let alt = self.to_string();
        Html { html: format!("<div>{}</div>", alt.lines().map(paragraph).collect::<String>()), alt }
    }
}

shown!(Comparison, html);
shown!(ByHand, html);

impl Trace {
    /// Two of its steps beside each other.
    ///
    /// # Errors
    /// If there is no step of one of the names.
    pub fn compare(&self, one: &str, other: &str) -> Result<Comparison> {
        Comparison::new((self, self.step(one)?), (self, self.step(other)?))
    }

    /// One step of this trace beside the same one of another, e.g. of another text or of a model that was cut.
    ///
    /// # Errors
    /// If one has no step of that name.
    pub fn compare_with(&self, other: &Trace, step: &str) -> Result<Comparison> {
        let missing = |error: Error| Error::Config(format!("the other trace: {error}"));
        Comparison::new((self, self.step(step)?), (other, other.step(step).map_err(missing)?))
    }
}

#[cfg(test)]
mod tests {
    use crate::model::TransformerConfig;
    use crate::trace::Traceable;
    use crate::trace::tests::awake;

    #[test]
    fn masking_changes_what_lies_in_the_future_and_nothing_else() {
        let trace = awake(TransformerConfig::original()).trace("Once").unwrap();
        let comparison = trace.compare("block.0.attn.scores", "block.0.attn.masked").unwrap();
        assert_eq!((comparison.changed, comparison.max_abs_difference), (Some(6), Some(0.0)));
        assert!(comparison.alt.contains("6 of 16"), "{}", comparison.alt);
    }

    #[test]
    fn steps_of_other_shapes_and_other_texts_stand_beside_each_other() {
        let model = awake(TransformerConfig::original());
        let (once, upon) = (model.trace("Once").unwrap(), model.trace("upon").unwrap());
        assert!(once.compare("embedded", "logits").unwrap().alt.contains("shapes differ"));
        assert!(once.compare_with(&upon, "embedded").unwrap().changed.unwrap() > 0);
        assert_eq!(once.compare_with(&once, "logits").unwrap().changed, Some(0));
    }
}
