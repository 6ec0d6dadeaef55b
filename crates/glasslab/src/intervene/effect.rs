//! What a change does: loss, text and attention before and after, beside each other.

use super::{Altered, Changes, Cut, Patch, Patching};
use crate::data::Tokens;
use crate::error::Result;
use crate::evaluate::evaluate_some;
use crate::generate::{Sampling, generate};
use crate::trace::{Trace, Traceable};
use std::fmt::{self, Display};

/// Characters that the model writes before and after.
const WRITTEN: usize = 60;
/// Held-out characters that are measured.
const MEASURED: usize = 20_000;

/// What a model does with a text.
#[derive(Debug)]
pub struct Behaviour {
    /// The forward pass.
    pub trace: Trace,
    /// How the model goes on, always taking the likeliest character.
    pub written: String,
}

impl Behaviour {
    fn new(model: &impl Traceable, text: &str) -> Result<Behaviour> {
        let trace = model.trace(text)?;
        // Past the context, the places of what was put in would move.
        let room = model.max_len().map_or(WRITTEN, |length| WRITTEN.min(length as usize - trace.labels.len()));
        let sampling = Sampling { chars: room, temperature: 0.0, ..Sampling::default() };
        let written = generate(model, &model.tokenizer(), &trace.text, &sampling)?;
        let written = written.chars().skip(trace.text.chars().count()).collect();
        Ok(Behaviour { trace, written })
    }

    pub(crate) fn loss(&self) -> String {
        let unit = self.trace.tokenizer.unit();
        self.trace.loss().map_or(format!("no loss: a single {}", unit.one), |loss| format!("{loss:.3} {}", unit.nats))
    }
}

/// A model before and after a change.
#[derive(Debug)]
pub struct Effect {
    /// What was changed.
    pub changes: Changes,
    /// As it was.
    pub before: Behaviour,
    /// As it is.
    pub after: Behaviour,
}

/// What one can do to a model; everything [`Traceable`] has it.
pub trait Intervene: Traceable + Sized {
    /// Takes a part out, and shows what that does to a text.
    ///
    /// # Errors
    /// If the model has no such part, or can't take the text.
    fn ablate(&self, cut: Cut, text: &str) -> Result<Effect> {
        Effect::new(self, cut, text)
    }

    /// Puts a step of another trace into the forward pass of a text: all of it, or what one character had there.
    ///
    /// # Errors
    /// If there is no such step or place, or its tensor is larger than this text's.
    fn patch(&self, text: &str, other: &Trace, step: &str, character: Option<usize>) -> Result<Effect> {
        Effect::new(self, Patch::from_trace(other, step, character)?, text)
    }

    /// Which layer and place carries an answer: puts the stream of a clean prompt into the run of a corrupted one, at one
    /// layer and place after the other, and tells what becomes of the difference of two answers' logits. Both prompts must
    /// have equally many pieces, and each answer be a single one, with its blank: `" Paris"`.
    ///
    /// ```no_run
    /// # use glasslab::prelude::*;
    /// # fn main() -> Result<()> {
    /// let lm = Lm::open("SmolLM2-135M-Instruct")?;
    /// println!("{}", lm.patching("The capital of France is", "The capital of Italy is", " Paris", " Rome")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If they have not, the model says the same after both, it has no stream, or the stop button is pressed.
    fn patching(&self, clean: &str, corrupted: &str, answer: &str, other: &str) -> Result<Patching> {
        Patching::of(self, clean, corrupted, answer, other)
    }
}

impl<M: Traceable> Intervene for M {}

impl Effect {
    /// What changes do to a text.
    ///
    /// # Errors
    /// If the model has no such part, or can't take the text.
    pub fn new(model: &impl Traceable, changes: impl Into<Changes>, text: &str) -> Result<Effect> {
        let changes = changes.into();
        let before = Behaviour::new(model, text)?;
        let after = Behaviour::new(&Altered::new(model, &changes), text)?;
        Ok(Effect { changes, before, after })
    }

    /// The held-out loss of the model before and after, in nats per character, on about 20,000 characters.
    ///
    /// # Errors
    /// If the text has no pair of characters, or a patch is larger than its rows.
    pub fn held_out(&self, model: &impl Traceable, held_out: &Tokens) -> Result<(f64, f64)> {
        let before = evaluate_some(model, held_out, MEASURED)?.nats_per_char;
        let after = evaluate_some(&Altered::new(model, &self.changes), held_out, MEASURED)?.nats_per_char;
        Ok((before, after))
    }
}

impl Display for Effect {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.changes)?;
        writeln!(out, "loss on the text: {} → {}", self.before.loss(), self.after.loss())?;
        for (name, outcome) in [("before", &self.before), ("after", &self.after)] {
            writeln!(out, "{name}: {:?} + {:?}", outcome.trace.text, outcome.written)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stories;
    use crate::model::{MlpConfig, MlpLm, TransformerConfig};
    use crate::tokenizer::CharTokenizer;
    use crate::trace::tests::awake;
    use tch::Device;

    #[test]
    fn the_effect_has_loss_text_and_attention_of_both() {
        let model = awake(TransformerConfig::small());
        let effect = model.ablate(Cut::Head { layer: 0, head: 1 }, "Once upon a time").unwrap();
        assert_ne!(effect.before.trace.loss(), effect.after.trace.loss());
        assert_eq!(effect.after.trace.max_abs_error, 0.0, "the trace of the altered model is the altered model's");
        assert_eq!(effect.before.written.chars().count(), 64 - 16, "no further than the context");
        let html = effect.html().unwrap().html;
        assert_eq!(html.matches("<image").count(), 2 * (12 + 1), "a map for each head, and a scale");
        assert!(effect.to_string().contains("head 1 of layer 0 cut"));
        let mix = &effect.after.trace.step("block.0.attn.heads").unwrap().tensor;
        assert_eq!(mix.get(0).get(1).abs().max().double_value(&[]), 0.0);
    }

    #[test]
    fn the_held_out_loss_is_measured_with_the_cut_and_without() {
        let model = awake(TransformerConfig::original());
        let text = Stories::parse(&"Once upon a time there was a cat. ".repeat(4)).unwrap();
        let tokens = Tokens::encode(&text, &CharTokenizer::default()).unwrap();
        let effect = model.ablate(Cut::Residual(0), "Once").unwrap();
        let (before, after) = effect.held_out(&model, &tokens).unwrap();
        assert_eq!(before, evaluate_some(&model, &tokens, MEASURED).unwrap().nats_per_char);
        assert_ne!(before, after);
    }

    #[test]
    fn a_hidden_layer_of_another_text_can_be_put_in() {
        let mlp = MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap();
        let effect = mlp.patch("Once", &mlp.trace("Onca").unwrap(), "hidden", Some(3)).unwrap();
        let logits = |trace: &Trace| trace.step("logits").unwrap().tensor.get(0).get(3);
        let expected = logits(&mlp.trace("Onca").unwrap());
        assert!((logits(&effect.after.trace) - expected).abs().max().double_value(&[]) < 1e-6);
        assert!(mlp.ablate(Cut::Mask, "Once").unwrap_err().to_string().contains("no such part"));
    }

    #[test]
    fn a_story_with_a_script_in_it_stays_text() {
        let model = awake(TransformerConfig::original());
        let html = model.ablate(Cut::Mask, "<script>alert(1)</script>").unwrap().html().unwrap().html;
        assert!(html.contains("alert(1)") && !html.contains("<script>alert"));
    }
}
