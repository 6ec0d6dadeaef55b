//! Controlled experiments: one thing is varied, all else stays, and each variant is trained from several seeds.
//!
//! Two trainings of the same model from two seeds never end at the same loss. So a difference between two variants
//! means something only if it is larger than the difference between two seeds: each variant gets a mean and its
//! standard error, s / √n with s² = Σ(x − mean)² / (n − 1). Whether an experiment is a controlled one, its [`Design`] says.

mod design;
mod folder;
mod law;
mod setup;

pub use crate::data::Text;
pub use design::{Design, Kept, Pair, Rule};
pub use folder::{Trouble, in_words};
pub use law::{Law, Scaled};
pub use setup::Setup;

use crate::data::Tokens;
use crate::error::{Error, Result};
use crate::evaluate::evaluate;
use crate::model::{Trainable, count_parameters};
use crate::train::{TrainConfig, train_with};
use serde_json::{Map, Value};
use std::fmt;
use std::ops::{ControlFlow, Range};

/// The mean of some numbers.
pub fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

/// The standard error of their mean; `None` for a single one, which says nothing about others.
pub fn standard_error(numbers: &[f64]) -> Option<f64> {
    let (n, mean) = (numbers.len() as f64, mean(numbers));
    let squares: f64 = numbers.iter().map(|number| (number - mean).powi(2)).sum();
    (numbers.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt())
}

/// How far two results, each a mean and its standard error, lie apart: in units of the error of their difference,
/// √(e₁² + e₂²).
pub fn errors_apart((one, its_error): (f64, f64), (other, other_error): (f64, f64)) -> f64 {
    (one - other).abs() / its_error.hypot(other_error)
}

/// One variant, measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Its name, e.g. `4 heads`.
    pub name: String,
    /// Of one that [`Sweep::open`] has found: the settings in which it differs from others.
    pub varied: Map<String, Value>,
    /// The held-out loss of each seed, in nats per character.
    pub losses: Vec<f64>,
    /// The number of learnt numbers.
    pub parameters: i64,
    /// Characters learnt from in a second, the mean of all seeds.
    pub chars_per_second: f64,
    /// What was trained, how, and on what.
    pub setup: Setup,
}

impl Variant {
    /// The mean loss.
    pub fn mean(&self) -> f64 {
        mean(&self.losses)
    }

    /// The standard error of the mean; `None` for a single seed, which says nothing about others.
    pub fn standard_error(&self) -> Option<f64> {
        standard_error(&self.losses)
    }
}

/// One training of a model that the library knows, and what came of it.
#[derive(Debug, Clone, PartialEq)]
struct Run {
    /// All that decides its result.
    key: String,
    loss: f64,
    chars: usize,
    chars_per_second: f64,
}

/// An experiment with its results so far.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// What is varied, e.g. `heads`.
    pub what: String,
    /// The variants in the order in which they were measured.
    pub variants: Vec<Variant>,
    /// Of one that was opened: how many runs are to be done.
    pub planned: usize,
    /// How many of them are, with a result or with trouble.
    pub done: usize,
    /// What has gone wrong.
    pub troubles: Vec<Trouble>,
    /// Trainings that need not be done again.
    known: Vec<Run>,
}

impl Sweep {
    /// An experiment without a result yet; `what` names the thing that is varied.
    pub fn new(what: &str) -> Sweep {
        let (variants, troubles, known) = (Vec::new(), Vec::new(), Vec::new());
        Sweep { what: what.to_owned(), variants, planned: 0, done: 0, troubles, known }
    }

    /// The same, knowing what another experiment has measured: a training of the same model, settings, text and seed (a
    /// baseline, say) is taken over instead of being done again. What the other one knows from a third, this one knows, too.
    ///
    /// A model of one's own is always trained: what its `forward` does can't be compared.
    pub fn knowing(mut self, other: &Sweep) -> Sweep {
        self.known.extend(other.known.iter().cloned());
        self
    }

    /// Trains a variant from each seed and measures it on all held-out characters; prints a line. A variant that was
    /// measured before is replaced.
    ///
    /// `make` gives the model and its training for a seed: both should use it.
    ///
    /// # Errors
    /// If there is no seed, or a training fails.
    pub fn measure<M: Trainable>(
        &mut self,
        name: impl ToString,
        seeds: Range<i64>,
        train: &Tokens,
        held_out: &Tokens,
        make: impl Fn(i64) -> Result<(M, TrainConfig)>,
    ) -> Result<()> {
        let texts = [train, held_out].map(Text::of);
        let (mut setup, mut parameters) = (None, 0);
        let (mut runs, mut taken) = (Vec::new(), 0);
        for seed in seeds.clone() {
            let (mut model, config) = make(seed)?;
            parameters = count_parameters(&model);
            setup = setup.or_else(|| Some(Setup::new(&model, &config, seeds.clone().collect(), texts)));
            let key = setup::key(&model, &config, texts);
            let known = self.known.iter().find(|run| key.as_ref() == Some(&run.key)).cloned();
            taken += usize::from(known.is_some());
            let run = match known {
                Some(run) => run,
                None => {
                    let run = trained(&mut model, &config, train, held_out, name.to_string(), key)?;
                    if !run.key.is_empty() {
                        self.known.push(run.clone());
                    }
                    run
                }
            };
            runs.push(run);
        }
        let (Some(mut setup), Some(last)) = (setup, runs.last()) else {
            return Err(Error::Config("give at least one seed, e.g. 0..2".to_owned()));
        };
        setup.chars = last.chars;
        let variant = Variant {
            name: name.to_string(),
            varied: Map::new(),
            losses: runs.iter().map(|run| run.loss).collect(),
            parameters,
            chars_per_second: mean(&runs.iter().map(|run| run.chars_per_second).collect::<Vec<f64>>()),
            setup,
        };
        let before = match taken {
            0 => String::new(),
            all if all == runs.len() => "  (measured before)".to_owned(),
            some => format!("  ({some} measured before)"),
        };
        println!("{}{before}", line(&variant, NAME));
        match self.variants.iter_mut().find(|known| known.name == variant.name) {
            Some(known) => *known = variant,
            None => self.variants.push(variant),
        }
        Ok(())
    }

    /// The losses of a variant, one for each seed, in nats per character.
    ///
    /// # Errors
    /// If no variant of that name was measured.
    pub fn results(&self, name: impl ToString) -> Result<&[f64]> {
        let name = name.to_string();
        let found = self.variants.iter().find(|variant| variant.name == name);
        found.map(|variant| &variant.losses[..]).ok_or_else(|| {
            let names: Vec<&str> = self.variants.iter().map(|variant| variant.name.as_str()).collect();
            let known = if names.is_empty() { "nothing yet".to_owned() } else { names.join(", ") };
            Error::Config(format!("no variant {name:?} was measured; measured were: {known}"))
        })
    }

    /// Whether this is a controlled experiment, and which of its differences mean something.
    pub fn design(&self) -> Design {
        Design::of(self)
    }

    /// The results as text.
    pub fn table(&self) -> String {
        let longest = self.variants.iter().map(|variant| variant.name.chars().count()).max().unwrap_or(0).max(NAME);
        let lines = self.variants.iter().map(|variant| line(variant, longest) + "\n");
        format!("{}: held-out loss in nats/char, mean ± standard error\n{}", self.what, lines.collect::<String>())
    }
}

impl fmt::Display for Sweep {
    /// The table; of one that was opened also how far it is, and what has gone wrong.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.done < self.planned {
            writeln!(out, "{} of {} runs are done", self.done, self.planned)?;
        }
        out.write_str(&self.table())?;
        self.troubles.iter().try_for_each(|trouble| writeln!(out, "! {trouble}"))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}, seed {}: {}", self.name, self.seed, self.said)
    }
}

/// Trains a model and measures it; without a key, what came of it is not to be taken over.
fn trained(
    model: &mut impl Trainable,
    config: &TrainConfig,
    train: &Tokens,
    held_out: &Tokens,
    name: String,
    key: Option<String>,
) -> Result<Run> {
    let history = train_with(model, train, held_out, config, |_| ControlFlow::Continue(()))?;
    if history.stopped {
        return Err(Error::Stopped(format!("in {name}; the variants before it are kept")));
    }
    let (chars, seconds) = history.points.last().map_or((0, 0.0), |last| (last.chars, last.seconds));
    let loss = evaluate(&*model, held_out)?.nats_per_char;
    Ok(Run { key: key.unwrap_or_default(), loss, chars, chars_per_second: chars as f64 / seconds.max(1e-9) })
}

/// 52,224 instead of 52224.
pub(crate) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let parts: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|part| str::from_utf8(part).unwrap_or("")).collect();
    format!("{}{}", if number < 0 { "−" } else { "" }, parts.join(","))
}

/// The width of a name in a line that is printed by itself.
const NAME: usize = 20;

fn line(variant: &Variant, wide: usize) -> String {
    let Variant { name, losses, parameters, chars_per_second, .. } = variant;
    let error = variant
        .standard_error()
        .map_or("one seed: no error bar".to_owned(), |error| format!("± {error:.3}, {:>2} seeds", losses.len()));
    let (mean, parameters, speed) = (variant.mean(), grouped(*parameters), chars_per_second / 1e3);
    format!("{name:<wide$} {mean:.3} {error:<22}  {parameters:>9} parameters  {speed:>5.0}k chars/s")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stories;
    use crate::model::{MlpConfig, MlpLm};
    use crate::tokenizer::CharTokenizer;
    use crate::train::Length;
    use tch::Device;

    fn variant(losses: &[f64]) -> Variant {
        let setup = Setup::default();
        let (name, varied, losses) = ("v".to_owned(), Map::new(), losses.to_vec());
        Variant { name, varied, losses, parameters: 52_224, chars_per_second: 1.0, setup }
    }

    fn tokens() -> Tokens {
        Tokens::encode(&Stories::parse(&"abcabd".repeat(20)).unwrap(), &CharTokenizer::default()).unwrap()
    }

    /// An MLP, and a short training.
    fn short(steps: usize, seed: i64) -> Result<(MlpLm, TrainConfig)> {
        let training = TrainConfig {
            length: Length::Steps(steps),
            batch_size: 4,
            context_len: 8,
            seed: seed as u64,
            ..TrainConfig::default()
        };
        Ok((MlpLm::new(MlpConfig { seed, ..MlpConfig::original() }, Device::Cpu)?, training))
    }

    #[test]
    fn a_line_speaks_of_one_seed_and_of_several() {
        assert!(
            line(&variant(&[2.135]), NAME).contains("2.135 one seed: no error bar"),
            "{}",
            line(&variant(&[2.135]), NAME)
        );
        let two = line(&variant(&[1.0, 2.0]), NAME);
        assert!(two.contains("1.500 ± 0.500,  2 seeds") && two.contains(" 52,224 parameters"), "{two}");
        assert_eq!([7, 1000, -1_234_567].map(grouped), ["7", "1,000", "−1,234,567"]);
    }

    #[test]
    fn what_was_measured_before_is_taken_over_and_nothing_else() {
        use std::cell::Cell;
        let tokens = tokens();
        let mut first = Sweep::new("steps");
        first.measure("base", 0..2, &tokens, &tokens, |seed| short(4, seed)).unwrap();
        assert_eq!(first.results("base").unwrap().len(), 2);
        let message = first.results(3).unwrap_err().to_string();
        assert!(message.contains("\"3\"") && message.contains("base"), "{message}");
        // A shifted loss tells what was taken over.
        let mut second = Sweep::new("again").knowing(&first);
        second.known.iter_mut().for_each(|run| run.loss += 100.0);
        second.measure("same", 0..2, &tokens, &tokens, |seed| short(4, seed)).unwrap();
        let shifted: Vec<f64> = first.results("base").unwrap().iter().map(|loss| loss + 100.0).collect();
        assert_eq!(second.results("same").unwrap(), shifted, "taken over, not trained");
        assert_eq!(second.variants[0].setup, first.variants[0].setup);
        let other_text =
            Tokens::encode(&Stories::parse(&"abcabe".repeat(20)).unwrap(), &CharTokenizer::default()).unwrap();
        second.measure("other text", 0..1, &other_text, &tokens, |seed| short(4, seed)).unwrap();
        second.measure("other steps", 0..1, &tokens, &tokens, |seed| short(5, seed)).unwrap();
        second.measure("other seed", 2..3, &tokens, &tokens, |seed| short(4, seed)).unwrap();
        second.measure("one more", 0..3, &tokens, &tokens, |seed| short(4, seed)).unwrap();
        let above = |name: &str| second.results(name).unwrap().iter().filter(|loss| **loss > 50.0).count();
        assert_eq!(["other text", "other steps", "other seed", "one more"].map(above), [0, 0, 0, 2]);
        // The same model, after it has learnt something: it begins with other numbers.
        let learnt = |seed| {
            let (mut model, training) = short(4, seed)?;
            let _ = crate::train::train(&mut model, &tokens, &tokens, &training)?;
            Ok((model, training))
        };
        second.measure("learnt", 0..1, &tokens, &tokens, learnt).unwrap();
        assert!(second.results("learnt").unwrap()[0] < 50.0);
        // A model of one's own has no config that could be compared.
        let made = Cell::new(0);
        let own = |_| {
            made.set(made.get() + 1);
            Ok((crate::model::Mine::new(), short(1, made.get())?.1))
        };
        second.measure("mine", 0..2, &tokens, &tokens, own).unwrap();
        assert!(second.results("mine").unwrap().iter().all(|loss| *loss < 50.0) && second.known.len() == 2 + 4);
        let mut third = Sweep::new("third").knowing(&second);
        third.measure("same", 0..1, &tokens, &tokens, |seed| short(4, seed)).unwrap();
        assert!(third.results("same").unwrap()[0] > 50.0, "what another knows is known");
    }

    #[test]
    fn the_error_is_the_deviation_over_the_root_of_n() {
        // Deviation of 1, 2, 3, 4: √(5/3); over √4.
        let error = variant(&[1.0, 2.0, 3.0, 4.0]).standard_error().unwrap();
        assert!((error - (5.0_f64 / 3.0).sqrt() / 2.0).abs() < 1e-12);
        assert_eq!(variant(&[1.0]).standard_error(), None);
        assert_eq!(variant(&[1.0, 3.0]).mean(), 2.0);
    }

    #[test]
    fn longer_training_is_measured_as_better_and_drawn() {
        let tokens = tokens();
        let mut sweep = Sweep::new("steps");
        for steps in [1, 4, 16] {
            sweep.measure(steps, 0..2, &tokens, &tokens, |seed| short(steps, seed)).unwrap();
        }
        assert!(sweep.variants.is_sorted_by(|a, b| a.mean() > b.mean()), "{}", sweep.table());
        assert!(sweep.variants.iter().all(|variant| variant.losses[0] != variant.losses[1]), "seeds differ");
        let before = sweep.clone();
        sweep.measure(4, 0..1, &tokens, &tokens, |_| short(1, 0)).unwrap();
        assert_eq!(sweep.variants.iter().map(|variant| variant.losses.len()).collect::<Vec<_>>(), [2, 1, 2]);
        assert_eq!((&sweep.variants[0], &sweep.variants[2]), (&before.variants[0], &before.variants[2]));
        let picture = sweep.draw().unwrap();
        assert!(picture.svg.contains("steps") && picture.alt.contains("16"), "{}", picture.alt);
        assert!(Sweep::new("nothing").draw().is_err());
        let none = sweep.measure("none", 0..0, &tokens, &tokens, |seed| short(1, seed));
        assert!(none.unwrap_err().to_string().contains("at least one seed"));
    }
}
