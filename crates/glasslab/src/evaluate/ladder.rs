//! The ladder: every model on the same held-out characters, from guessing to knowing.

use super::{Evaluation, evaluate};
use crate::data::Tokens;
use crate::error::{Error, Result};
use crate::model::{LanguageModel, NGram};

const NAMES: [&str; 7] = ["uniform", "unigram", "bigram", "trigram", "4-gram", "5-gram", "6-gram"];

/// A model's place on the ladder.
#[derive(Debug, Clone, PartialEq)]
pub struct Rung {
    /// The model's name.
    pub name: String,
    /// What it reached.
    pub loss: Evaluation,
    /// Whether it only counted.
    pub counted: bool,
}

/// Models by their held-out loss, the worst first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ladder {
    /// The models in order.
    pub rungs: Vec<Rung>,
}

impl Ladder {
    /// The ladder of models that only count: uniform guessing, then characters, pairs, …, up to six in a row.
    ///
    /// # Errors
    /// If no held-out story has two characters.
    pub fn counted(train: &Tokens, held_out: &Tokens, n_vocab: i64) -> Result<Ladder> {
        let mut ladder = Ladder::default();
        for (n, name) in NAMES.iter().enumerate() {
            ladder.add(name, &NGram::count(train, n, n_vocab)?, held_out)?;
        }
        ladder.rungs.iter_mut().for_each(|rung| rung.counted = true);
        Ok(ladder)
    }

    /// Measures a model and puts it in its place.
    ///
    /// # Errors
    /// If the model can't take the ids, or `held_out` is not the text that the others were measured on.
    pub fn add(&mut self, name: &str, model: &(impl LanguageModel + ?Sized), held_out: &Tokens) -> Result<()> {
        let loss = evaluate(model, held_out)?;
        // A story's first token is not predicted, and tokenizers cut it differently.
        let most = if loss.tokens == loss.chars { 0 } else { loss.chars / 20 };
        let is_other = |rung: &&Rung| rung.loss.chars.abs_diff(loss.chars) > most;
        if let Some(other) = self.rungs.iter().find(is_other) {
            return Err(Error::Config(format!(
                "{name} was measured on {} characters and {} on {}: compare all on the same held-out text",
                loss.chars, other.name, other.loss.chars
            )));
        }
        let place = self.rungs.partition_point(|rung| rung.loss.nats_per_char > loss.nats_per_char);
        self.rungs.insert(place, Rung { name: name.to_owned(), loss, counted: false });
        Ok(())
    }

    /// The ladder as text: nats, bits and perplexity per character.
    pub fn table(&self) -> String {
        let chars = self.rungs.first().map_or(0, |rung| rung.loss.chars);
        let width = self.rungs.iter().map(|rung| rung.name.chars().count()).max().unwrap_or(0).max(12);
        let mut table = format!(
            "{:<width$} {:>9} {:>9} {:>10}   on {chars} held-out characters\n",
            "model", "nats/char", "bits/char", "perplexity"
        );
        for Rung { name, loss, .. } in &self.rungs {
            let (nats, bits, perplexity) = (loss.nats_per_char, loss.bits_per_char(), loss.perplexity());
            table.push_str(&format!("{name:<width$} {nats:>9.3} {bits:>9.3} {perplexity:>10.2}\n"));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stories;
    use crate::model::{MlpConfig, MlpLm};
    use crate::tokenizer::CharTokenizer;
    use tch::Device;

    fn tokens(text: &str) -> Tokens {
        Tokens::encode(&Stories::parse(text).unwrap(), &CharTokenizer::default()).unwrap()
    }

    #[test]
    fn counting_longer_contexts_climbs_where_the_text_repeats_itself() {
        let text = tokens(&"the cat sat on the mat and the dog sat on the log. ".repeat(20));
        let mut ladder = Ladder::counted(&text, &text, 256).unwrap();
        let names: Vec<&str> = ladder.rungs.iter().map(|rung| rung.name.as_str()).collect();
        assert_eq!(names, NAMES);
        assert!((ladder.rungs[0].loss.nats_per_char - 256_f64.ln()).abs() < 1e-6);
        ladder.add("untrained MLP", &MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap(), &text).unwrap();
        assert!(ladder.rungs.is_sorted_by(|a, b| a.loss.nats_per_char >= b.loss.nats_per_char));
        let table = ladder.table();
        assert!(table.contains("untrained MLP") && table.contains("bits/char"), "{table}");
        assert_eq!(table.lines().count(), 9);
    }

    #[test]
    fn models_on_other_text_have_no_place_on_it() {
        let (one, other) = (tokens("abcabc"), tokens("abcabcabc"));
        let mut ladder = Ladder::counted(&one, &one, 256).unwrap();
        let message = ladder.add("more", &NGram::count(&one, 2, 256).unwrap(), &other).unwrap_err().to_string();
        assert!(message.contains("same held-out text"), "{message}");
    }
}
