//! Which layer and place carries an answer: causal tracing between two prompts (Meng et al. 2022).
//!
//! ```text
//! clean:     The capital of France is    → Paris
//! corrupted: The capital of Italy is     → Rome
//! for every layer and place: run the corrupted prompt with the clean stream put in there,
//! and read  logit(Paris) − logit(Rome)  at its end
//! ```
//! Where that moves from the corrupted prompt's difference to the clean one's, the stream carries what makes the answer.
//!
//! All places of a layer go through one forward pass, a row of the batch for each.

use crate::error::{Error, Result};
use crate::live::Progress;
use crate::model::{ModelConfig, NoProbe, Probe, Recording};
use crate::stopping::Listening;
use crate::tokenizer::{AnyTokenizer, Tokenizer, visible};
use crate::trace::{Traceable, is_stream};
use std::fmt::{self, Display};
use tch::Tensor;

/// So many places in one pass, at most.
const ROWS: i64 = 32;

/// One layer's stream put in, place by place.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchedStep {
    /// The step, e.g. `block.3.after_mlp`.
    pub step: String,
    /// For each place, the difference of the two answers' logits when only this place's stream was put in.
    pub differences: Vec<f64>,
}

/// What becomes of an answer when the stream of another prompt is put in, at every layer and place.
#[derive(Debug, Clone, PartialEq)]
pub struct Patching {
    /// The pieces of the prompt whose stream was put in.
    pub clean_labels: Vec<String>,
    /// Those of the prompt that it was put into.
    pub corrupted_labels: Vec<String>,
    /// The answer to the clean prompt, and the other one.
    pub answers: [String; 2],
    /// logit(answer) − logit(other) after the clean prompt.
    pub clean: f64,
    /// The same after the corrupted prompt.
    pub corrupted: f64,
    /// The layers, from what enters the first block on.
    pub steps: Vec<PatchedStep>,
}

impl Patching {
    /// How far the difference moved from the corrupted prompt's to the clean one's: 0 not at all, 1 all the way.
    pub fn share(&self, step: usize, place: usize) -> f64 {
        (self.steps[step].differences[place] - self.corrupted) / (self.clean - self.corrupted)
    }

    /// The step and the place where it moves farthest, beside the last place, where every later layer has the answer.
    pub fn strongest(&self) -> Option<(usize, usize)> {
        let before_last = self.corrupted_labels.len().saturating_sub(1);
        let all = (0..self.steps.len()).flat_map(|step| (0..before_last).map(move |place| (step, place)));
        all.max_by(|&(step, place), &(other, at)| self.share(step, place).total_cmp(&self.share(other, at)))
    }

    /// The pieces at the sides: of both prompts, where they differ.
    pub fn labels(&self) -> Vec<String> {
        let both = self.corrupted_labels.iter().zip(&self.clean_labels);
        both.map(|(own, other)| if own == other { own.clone() } else { format!("{own}←{other}") }).collect()
    }

    /// Computes it; see [`Intervene::patching`](super::Intervene::patching).
    pub(super) fn of(
        model: &impl Traceable,
        clean: &str,
        corrupted: &str,
        answer: &str,
        other: &str,
    ) -> Result<Patching> {
        let _guard = tch::no_grad_guard();
        let tokenizer = model.tokenizer();
        let (clean_pieces, corrupted_pieces) = (tokenizer.cut(clean)?, tokenizer.cut(corrupted)?);
        let time = corrupted_pieces.ids.len();
        if clean_pieces.ids.len() != time || time == 0 {
            let told = |labels: &[String]| format!("{} ({})", labels.len(), labels.join("|"));
            let many = tokenizer.unit().many;
            return Err(Error::Data(format!(
                "two prompts of equally many {many} are needed, so that each place has its equal, got {} and {}: take other \
                 words, of as many {many}",
                told(&clean_pieces.labels),
                told(&corrupted_pieces.labels)
            )));
        }
        if let Some(longest) = model.max_len().filter(|&longest| longest < time as i64) {
            let many = tokenizer.unit().many;
            return Err(Error::Data(format!(
                "the model takes {longest} {many}, the prompts have {time}: shorten them"
            )));
        }
        let answers = [after(&tokenizer, clean, answer)?, after(&tokenizer, clean, other)?];
        if answers[0] == answers[1] {
            return Err(Error::Data(format!("the two answers are one: {answer:?} and {other:?} have the same id")));
        }
        let tensor = |ids: &[i64]| -> Result<Tensor> {
            Ok(Tensor::f_from_slice(ids)?.f_unsqueeze(0)?.f_to_device(model.device())?) // (1, T)
        };
        let (clean_ids, corrupted_ids) = (tensor(&clean_pieces.ids)?, tensor(&corrupted_pieces.ids)?);
        let mut recording = Recording::default();
        let clean_logits = model.forward_with(&clean_ids, &mut recording)?; // (1, T, V)
        let corrupted_logits = model.forward_with(&corrupted_ids, &mut NoProbe)?;
        let streams = streams(&recording)?;
        let one = |logits: &Tensor| Ok::<f64, Error>(difference(logits, answers)?[0]);
        let (of_clean, of_corrupted) = (one(&clean_logits)?, one(&corrupted_logits)?);
        if of_clean == of_corrupted || !(of_clean - of_corrupted).is_finite() {
            return Err(Error::Data(format!(
                "the model holds {answer:?} over {other:?} by {of_clean:.3} after either prompt, so there is nothing to look for: \
                 take prompts whose answers differ, or train the model first"
            )));
        }
        // Our own models need no batch before the step that is changed; of another's nothing is known.
        let grows = matches!(model.model_config(), Some(ModelConfig::Transformer(_)));
        let mut progress = Progress::new("patching");
        let mut listening = Listening::new("a prompt was patched: do it again, or with shorter prompts");
        let mut steps = Vec::new();
        for (number, (name, stream)) in streams.iter().enumerate() {
            let mut differences = Vec::new();
            for first in (0..time as i64).step_by(ROWS as usize) {
                listening.go_on()?;
                let rows = ROWS.min(time as i64 - first);
                let ids = if grows { corrupted_ids.shallow_clone() } else { corrupted_ids.f_repeat([rows, 1])? };
                let mut places = Places { step: name, stream, first, rows, grows, error: None };
                let logits = model.forward_with(&ids, &mut places)?; // (rows, T or 1, V)
                places.error.map_or(Ok(()), Err)?;
                differences.extend(difference(&logits, answers)?);
            }
            steps.push(PatchedStep { step: (*name).to_owned(), differences });
            progress.update((number + 1) as f64 / streams.len() as f64, || (*name).to_owned());
        }
        progress.finish(&format!("{} layers, {time} places each", streams.len()));
        Ok(Patching {
            clean_labels: clean_pieces.labels,
            corrupted_labels: corrupted_pieces.labels,
            answers: [tokenizer.label(answers[0])?, tokenizer.label(answers[1])?],
            clean: of_clean,
            corrupted: of_corrupted,
            steps,
        })
    }
}

/// The streams between the blocks, from what enters the first one on.
fn streams(recording: &Recording) -> Result<Vec<(&str, &Tensor)>> {
    let all: Vec<_> = recording.steps.iter().filter(|step| is_stream(&step.name)).collect();
    let first_block = all.iter().position(|step| step.name.starts_with("block.")).unwrap_or(0);
    if first_block == 0 {
        return Err(Error::Config("this model has no stream to put in: take a transformer with a block".to_owned()));
    }
    let kept = all[first_block - 1..].iter().filter(|step| !step.name.ends_with(".after_attn"));
    Ok(kept.map(|step| (step.name.as_str(), &step.tensor)).collect())
}

/// The id of an answer, as it is read behind a prompt.
fn after(tokenizer: &AnyTokenizer, prompt: &str, answer: &str) -> Result<i64> {
    let (begun, whole) = (tokenizer.cut(prompt)?, tokenizer.cut(&format!("{prompt}{answer}"))?);
    match whole.ids.strip_prefix(&begun.ids[..]) {
        Some(&[id]) => Ok(id),
        rest => {
            let count = rest.map_or(begun.ids.len().saturating_sub(1), |_| begun.ids.len());
            let labels = &whole.labels[count.min(whole.labels.len())..];
            let unit = tokenizer.unit();
            let shown: String = answer.chars().map(visible).collect();
            Err(Error::Data(format!(
                "an answer is a single {}, and “{shown}” behind the prompt is {}: take another, or begin it with a blank, as \
                 the first {} of a word does",
                unit.one,
                if labels.is_empty() { "none".to_owned() } else { labels.join("|") },
                unit.one
            )))
        }
    }
}

/// logit(answer) − logit(other) at the end of each row.
///
/// # Shapes
/// `logits`: (B, T, V) → B numbers
fn difference(logits: &Tensor, [answer, other]: [i64; 2]) -> Result<Vec<f64>> {
    let last = logits.f_select(1, -1)?; // (B, V)
    crate::numbers::numbers(&last.f_select(1, answer)?.f_sub(&last.f_select(1, other)?)?)
}

/// Without the sign of what is as good as 0.
fn plain(share: f64) -> f64 {
    if share.abs() < 0.005 { 0.0 } else { share }
}

/// Puts a stream in: in row i of the batch at the place `first` + i.
struct Places<'a> {
    step: &'a str,
    /// (1, T, C)
    stream: &'a Tensor,
    first: i64,
    rows: i64,
    /// Whether the batch is a single row up to this step.
    grows: bool,
    error: Option<Error>,
}

impl Places<'_> {
    fn put(&self, tensor: &Tensor) -> Result<Tensor> {
        let all = if self.grows { tensor.f_expand([self.rows, -1, -1], false)? } else { tensor.shallow_clone() };
        let all = all.copy(); // (rows, T, C)
        for row in 0..self.rows {
            let place = self.first + row;
            all.f_get(row)?.f_get(place)?.f_copy_(&self.stream.f_get(0)?.f_get(place)?)?;
        }
        Ok(all)
    }
}

impl Probe for Places<'_> {
    fn at(&mut self, name: impl Display, tensor: Tensor) -> Tensor {
        let name = name.to_string();
        let changed = match name == self.step {
            true => self.put(&tensor),
            // Only what comes after the last place is asked for.
            false if self.grows && name == "final_norm" => tensor.f_narrow(1, -1, 1).map_err(Error::from),
            false => return tensor,
        };
        changed.unwrap_or_else(|error| {
            self.error = Some(error);
            tensor
        })
    }
}

impl Display for Patching {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [answer, other] = &self.answers;
        writeln!(
            out,
            "logit(“{answer}”) − logit(“{other}”): {:.2} after the clean prompt, {:.2} after the corrupted one",
            self.clean, self.corrupted
        )?;
        writeln!(out, "how much of that comes back when the clean stream is put in at one place (1: all of it)")?;
        let labels = self.labels();
        let wide: Vec<usize> = labels.iter().map(|label| label.chars().count().max(5)).collect();
        let first = self.steps.iter().map(|step| step.step.len()).max().unwrap_or(0);
        let heads: Vec<String> = labels.iter().zip(&wide).map(|(label, wide)| format!("{label:>wide$}")).collect();
        writeln!(out, "{:>first$}  {}", "after", heads.join(" "))?;
        for (number, step) in self.steps.iter().enumerate() {
            let cells =
                (0..labels.len()).map(|place| format!("{:>1$.2}", plain(self.share(number, place)), wide[place]));
            writeln!(out, "{:>first$}  {}", step.step, cells.collect::<Vec<_>>().join(" "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intervene::{Altered, Changes, Intervene, Patch};
    use crate::model::{LanguageModel, Mine, MlpConfig, MlpLm, TransformerConfig};
    use crate::trace::tests::{awake, variants};
    use tch::Device;

    /// The same, one forward pass for each step and place.
    fn one_by_one(model: &impl Traceable, clean: &str, corrupted: &str, step: &str, place: usize) -> f64 {
        let patch = Patch::from_trace(&model.trace(clean).unwrap(), step, Some(place)).unwrap();
        let changes = Changes::from(patch);
        let ids = Tensor::from_slice(&model.tokenizer().cut(corrupted).unwrap().ids).unsqueeze(0);
        let logits = Altered::new(model, &changes).logits(&ids).unwrap();
        difference(&logits, [i64::from(b'a'), i64::from(b'o')]).unwrap()[0]
    }

    fn is_what_one_by_one_gives(model: &impl Traceable) {
        let (clean, corrupted) = ("The cat s", "The dog s");
        let found = Patching::of(model, clean, corrupted, "a", "o").unwrap();
        for (number, step) in found.steps.iter().enumerate() {
            for (place, &got) in step.differences.iter().enumerate() {
                let expected = one_by_one(model, clean, corrupted, &step.step, place);
                assert!((got - expected).abs() < 1e-4, "{} at {place}: {got} beside {expected}", step.step);
            }
            assert!((0..4).all(|place| found.share(number, place).abs() < 1e-4), "as far as the prompts are one");
        }
        let (last, end) = (found.steps.len() - 1, found.corrupted_labels.len() - 1);
        assert!((found.share(last, end) - 1.0).abs() < 1e-3, "the last stream at the last place is the answer");
    }

    #[test]
    fn all_places_at_once_give_what_each_by_itself_does() {
        for config in variants() {
            is_what_one_by_one_gives(&awake(config));
        }
        is_what_one_by_one_gives(&Mine::new());
    }

    #[test]
    fn it_says_where_the_answer_comes_from() {
        let model = awake(TransformerConfig::small());
        let found = model.patching("The cat s", "The dog s", "a", "o").unwrap();
        assert_eq!(found.steps.len(), 1 + 3);
        assert_eq!(found.labels()[4..7], ["d←c", "o←a", "g←t"]);
        let (step, place) = found.strongest().unwrap();
        assert!((4..8).contains(&place) && found.share(step, place) > found.share(step, 0), "{found}");
        assert!(found.to_string().contains("block.2.after_mlp"), "{found}");
        assert!(found.heatmap().unwrap().draw().unwrap().svg.contains("o←a"));
    }

    #[test]
    fn prompts_and_answers_that_do_not_fit_are_told() {
        let model = awake(TransformerConfig::small());
        for (clean, corrupted, answers, said) in [
            ("The cat", "The dogs", ["a", "o"], "7 (T|h|e|␣|c|a|t) and 8 (T|h|e|␣|d|o|g|s)"),
            ("The cat", "The dog", ["ab", "o"], "“ab” behind the prompt is a|b"),
            ("The cat", "The dog", ["a", ""], "is none"),
            ("The cat", "The dog", ["a", "a"], "the two answers are one"),
            ("", "", ["a", "o"], "two prompts"),
            ("The cat", "The cat", ["a", "o"], "nothing to look for"),
        ] {
            let message = model.patching(clean, corrupted, answers[0], answers[1]).unwrap_err().to_string();
            assert!(message.contains(said), "{message}");
        }
        let mlp = MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap();
        assert!(mlp.patching("cat", "dog", "a", "o").unwrap_err().to_string().contains("no stream"));
    }
}
