//! Which head does what: how much of its attention each head gives to the places that a simple rule names.
//!
//! The score of a head for a rule is the mean weight that it gives to the rule's places, over all characters for
//! which there is one; beside it stands what a head would get that looks everywhere alike.

use crate::error::{Error, Result};
use crate::model::Recording;
use crate::numbers::numbers;
use crate::rng::Rng;
use crate::stopping::Listening;
use crate::tokenizer::{AnyTokenizer, Pieces, Tokenizer, Unit};
use crate::trace::{Traceable, attention_of};
use std::fmt;
use tch::Tensor;

/// The names of the rules, in the order of a [`HeadScore`]'s numbers.
pub const PATTERNS: [&str; 6] = [
    "the previous character",
    "itself",
    "the same character before",
    "what came after the same character before", // "induction", Olsson et al. 2022
    "the start of the word",
    "the first character", // an "attention sink", Xiao et al. 2023
];

/// The place of "what came after the same character before" among them: `best(INDUCTION)` is the best induction head.
pub const INDUCTION: usize = 3;

/// So many characters at once, at most: the weights are T² for each head.
const LONGEST: usize = 256;

/// A character, or token, of a text.
struct Place {
    id: i64,
    /// Whether a word goes on in it: it ends in a letter.
    in_word: bool,
    /// Whether a word begins in it, behind a blank of its own.
    begins: bool,
}

/// The places that a rule names for the one at a place.
type Rule = fn(&[Place], usize) -> Vec<usize>;

const RULES: [Rule; 6] = [
    |_, place| place.checked_sub(1).into_iter().collect(),
    |_, place| vec![place],
    |text, place| (0..place).filter(|&other| text[other].id == text[place].id).collect(),
    |text, place| (1..=place).filter(|&other| text[other - 1].id == text[place].id).collect(),
    |text, place| {
        let mut start = None;
        for other in (0..=place).rev().take_while(|&other| text[other].in_word) {
            start = Some(other);
            if text[other].begins {
                break;
            }
        }
        start.filter(|&start| start < place).into_iter().collect()
    },
    |_, _| vec![0],
];

/// How well each rule tells where one head looks.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadScore {
    /// The layer, from 0.
    pub layer: usize,
    /// The head, from 0.
    pub head: i64,
    /// The mean weight on the places of each of [`PATTERNS`]; NaN where the text never has one.
    pub scores: [f64; 6],
}

/// What each head of a model looks at.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadPatterns {
    /// A score for each head, layer after layer.
    pub heads: Vec<HeadScore>,
    /// What a head would get that looks everywhere alike.
    pub chance: [f64; 6],
    /// How many characters, or tokens, were looked at.
    pub chars: usize,
    pub(crate) unit: Unit,
}

impl Place {
    fn new(tokenizer: &AnyTokenizer, id: i64) -> Result<Place> {
        let piece = tokenizer.piece(id)?;
        let text = String::from_utf8_lossy(&piece);
        Ok(Place { id, in_word: text.ends_with(char::is_alphabetic), begins: text.starts_with(char::is_whitespace) })
    }
}

/// Random tokens, and the same ones again. No token is drawn twice while there are others that stand for text.
pub(crate) fn repeated(model: &impl Traceable, length: usize, seed: u64) -> Result<Vec<i64>> {
    let most = model.max_len().map_or(LONGEST, |longest| LONGEST.min(longest as usize)) / 2;
    if !(2..=most).contains(&length) {
        return Err(Error::Config(format!(
            "random tokens twice need a length from 2 to {most}, half of what the model reads at once, got {length}"
        )));
    }
    let tokenizer = model.tokenizer();
    let is_text = |id: &i64| tokenizer.piece(*id).is_ok_and(|piece| !piece.is_empty());
    let mut known: Vec<i64> = (0..model.n_vocab()).filter(is_text).collect();
    if known.is_empty() {
        return Err(Error::Config("no id of the model's tokenizer stands for text".to_owned()));
    }
    let mut rng = Rng::new(seed);
    let mut ids: Vec<i64> = Vec::with_capacity(2 * length);
    while ids.len() < length {
        let chosen = rng.below(known.len());
        match ids.len() + known.len() > length {
            true => ids.push(known.swap_remove(chosen)),
            false => ids.push(known[chosen]),
        }
    }
    ids.extend_from_within(..);
    Ok(ids)
}

/// What each head gave to the places of each rule, so far.
#[derive(Default)]
struct Sums {
    heads: Vec<Vec<[f64; 6]>>,
    chance: [f64; 6],
    counts: [f64; 6],
}

impl Sums {
    /// Counts the places of a piece of text from `first` on.
    fn add(&mut self, model: &impl Traceable, tokenizer: &AnyTokenizer, ids: &[i64], first: usize) -> Result<()> {
        let places: Vec<Place> = ids.iter().map(|&id| Place::new(tokenizer, id)).collect::<Result<_>>()?;
        let layers = weights(model, ids)?;
        self.heads.resize_with(layers.len(), Vec::new);
        for (rule, places_of) in RULES.iter().enumerate() {
            for place in first..places.len() {
                let named = places_of(&places, place);
                if named.is_empty() {
                    continue;
                }
                self.counts[rule] += 1.0;
                self.chance[rule] += named.len() as f64 / (place + 1) as f64;
                for (sums, heads) in self.heads.iter_mut().zip(&layers) {
                    sums.resize(heads.len(), [0.0; 6]);
                    for (sums, weights) in sums.iter_mut().zip(heads) {
                        let row = &weights[place * places.len()..];
                        sums[rule] += named.iter().map(|&other| row[other]).sum::<f64>();
                    }
                }
            }
        }
        Ok(())
    }

    fn means(self, chars: usize, unit: Unit) -> HeadPatterns {
        let mean = |sums: &[f64; 6]| std::array::from_fn(|rule| sums[rule] / self.counts[rule]);
        let mut heads = Vec::new();
        for (layer, of_layer) in self.heads.iter().enumerate() {
            let scores = of_layer.iter().enumerate();
            heads.extend(scores.map(|(head, sums)| HeadScore { layer, head: head as i64, scores: mean(sums) }));
        }
        HeadPatterns { heads, chance: mean(&self.chance), chars, unit }
    }
}

impl HeadPatterns {
    /// Looks at every head of a model on a text, in pieces as long as the model's context.
    ///
    /// # Errors
    /// If the model has no attention, the text no two characters that it knows, or the stop button is pressed.
    pub fn find(model: &impl Traceable, text: &str) -> Result<HeadPatterns> {
        let _guard = tch::no_grad_guard();
        let tokenizer = model.tokenizer();
        let Pieces { ids, .. } = tokenizer.cut(text)?;
        if ids.len() < 2 {
            return Err(Error::Data(format!(
                "give a text of at least two characters that the model knows, got {text:?}"
            )));
        }
        let length = model.max_len().map_or(LONGEST, |length| LONGEST.min(length as usize));
        let mut listening = Listening::new("heads were looked at: look at them again, or with a shorter text");
        let mut sums = Sums::default();
        for piece in ids.chunks(length) {
            listening.go_on()?;
            sums.add(model, &tokenizer, piece, 0)?;
        }
        Ok(sums.means(ids.len(), tokenizer.unit()))
    }

    /// The induction scores: looks at every head while the model reads random tokens, `length` of them and then the same
    /// ones again, where nothing but the repetition can be known. Only places of the second half count: the score of
    /// [`INDUCTION`] is then the mean attention on what came after the same token the first time (Olsson et al. 2022).
    ///
    /// # Errors
    /// If the model has no attention, or no room for twice the length (at least 2), or the stop button is pressed.
    pub fn induction(model: &impl Traceable, length: usize, seed: u64) -> Result<HeadPatterns> {
        let _guard = tch::no_grad_guard();
        let ids = repeated(model, length, seed)?;
        let tokenizer = model.tokenizer();
        let mut sums = Sums::default();
        sums.add(model, &tokenizer, &ids, length)?;
        Ok(sums.means(length, tokenizer.unit()))
    }

    /// The heads that follow a rule, the best first, at most `count` of them.
    pub fn most(&self, pattern: usize, count: usize) -> Vec<&HeadScore> {
        let score = |head: &HeadScore| head.scores.get(pattern).copied().unwrap_or(f64::NAN);
        let mut all: Vec<&HeadScore> = self.heads.iter().filter(|head| score(head).is_finite()).collect();
        all.sort_by(|one, other| score(other).total_cmp(&score(one)));
        all.truncate(count);
        all
    }

    /// The head that follows a rule most: `best(0)` is the one that looks at the previous character.
    pub fn best(&self, pattern: usize) -> Option<&HeadScore> {
        let finite = self.heads.iter().filter(|head| head.scores.get(pattern).is_some_and(|score| score.is_finite()));
        finite.max_by(|a, b| a.scores[pattern].total_cmp(&b.scores[pattern]))
    }

    /// The names of the rules, in the words of the model's tokenizer.
    pub(crate) fn rules(&self) -> [String; 6] {
        PATTERNS.map(|name| name.replace("character", self.unit.one))
    }
}

/// The weights of each layer's heads on one piece of text, row after row.
fn weights(model: &impl Traceable, ids: &[i64]) -> Result<Vec<Vec<Vec<f64>>>> {
    let input = Tensor::f_from_slice(ids)?.f_unsqueeze(0)?.f_to_device(model.device())?; // (1, T)
    let mut recording = Recording::default();
    let _ = model.forward_with(&input, &mut recording)?;
    let mut layers = Vec::new();
    for step in recording.steps.iter().filter(|step| attention_of(&step.name, &step.tensor).is_some()) {
        let heads = step.tensor.f_get(0)?; // (H, T, T), or (T, T) where there is one head
        let heads = if heads.dim() == 2 { heads.f_unsqueeze(0)? } else { heads };
        layers.push((0..heads.size()[0]).map(|head| numbers(&heads.f_get(head)?)).collect::<Result<Vec<_>>>()?);
    }
    match layers.is_empty() {
        true => Err(Error::Config("this model has no attention, so it has no heads: take a transformer".to_owned())),
        false => Ok(layers),
    }
}

pub(crate) fn share(score: f64) -> String {
    if score.is_finite() { format!("{score:.2}") } else { "–".to_owned() }
}

impl fmt::Display for HeadPatterns {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "mean attention over {} {}", self.chars, self.unit.many)?;
        for (pattern, name) in self.rules().into_iter().enumerate() {
            let Some(best) = self.best(pattern) else { continue };
            let (score, chance) = (share(best.scores[pattern]), share(self.chance[pattern]));
            writeln!(out, "{name}: layer {} head {} with {score} (everywhere alike: {chance})", best.layer, best.head)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stories;
    use crate::intervene::{Altered, Changes, Patch};
    use crate::model::{MlpConfig, MlpLm, TransformerConfig};
    use crate::tokenizer::{BytePair, CharTokenizer};
    use crate::trace::tests::awake;
    use tch::{Device, Kind};

    #[test]
    fn a_head_made_to_look_at_the_previous_character_is_found() {
        let model = awake(TransformerConfig::small());
        let trace = model.trace("one once on one").unwrap();
        let weights = trace.step("block.1.attn.weights").unwrap().tensor.copy();
        let time = weights.size()[2];
        let previous = Tensor::eye(time, (Kind::Float, Device::Cpu)).roll([1], [0]); // row t has its 1 at t − 1
        weights.get(0).get(2).copy_(&previous);
        let changes = Changes::from(Patch::put("block.1.attn.weights", weights));
        let found = HeadPatterns::find(&Altered::new(&model, &changes), "one once on one").unwrap();
        let best = found.best(0).unwrap();
        assert_eq!((best.layer, best.head), (1, 2), "{found}");
        assert!((best.scores[0] - 1.0).abs() < 1e-6 && found.chance[0] < 0.3, "{found:?}");
    }

    #[test]
    fn the_rules_name_the_places_that_their_names_say() {
        let text = |tokenizer: &AnyTokenizer, text: &str| -> Vec<Place> {
            tokenizer.cut(text).unwrap().ids.into_iter().map(|id| Place::new(tokenizer, id).unwrap()).collect()
        };
        let places_of =
            |text: &[Place], rule: usize| (0..text.len()).map(|place| RULES[rule](text, place)).collect::<Vec<_>>();
        let characters = text(&CharTokenizer::default().into(), "on one");
        let places = |rule: usize| places_of(&characters, rule);
        assert_eq!(places(0), [vec![], vec![0], vec![1], vec![2], vec![3], vec![4]]);
        assert_eq!(places(2), [vec![], vec![], vec![], vec![0], vec![1], vec![]]);
        assert_eq!(places(3), [vec![], vec![], vec![], vec![1], vec![2], vec![]]);
        assert_eq!(places(4), [vec![], vec![0], vec![], vec![], vec![3], vec![3]]);
        // A token may be a whole word with the blank before it: then a word ends where the next begins.
        let pairs = BytePair::train(&Stories::parse(&" abc abd".repeat(9)).unwrap(), 259).unwrap(); // ab, ␣ab, ␣abd or ␣abc
        let tokens = text(&pairs.into(), " abc abx");
        let starts: Vec<Option<usize>> =
            (0..tokens.len()).map(|place| RULES[4](&tokens, place).first().copied()).collect();
        assert_eq!(starts.iter().flatten().count(), tokens.len() - 2, "{starts:?}");
    }

    #[test]
    fn a_head_that_looks_everywhere_alike_scores_what_chance_does() {
        let model = awake(TransformerConfig::original());
        let guard = tch::no_grad_guard();
        let _ = model.blocks[0].attention.qkv_weight.narrow(0, 0, 16).zero_(); // queries of nothing
        drop(guard);
        let text = "the cat sat on the mat ".repeat(12);
        let found = HeadPatterns::find(&model, &text).unwrap();
        for pattern in 0..PATTERNS.len() {
            assert!((found.heads[0].scores[pattern] - found.chance[pattern]).abs() < 1e-5, "{found}");
        }
        assert_eq!(found.chars, text.len());
    }

    #[test]
    fn an_induction_head_is_found_on_random_text_that_comes_twice() {
        let model = awake(TransformerConfig::small());
        let (length, seed) = (20, 7);
        let ids = repeated(&model, length, seed).unwrap();
        assert_eq!(ids[..20], ids[20..]);
        assert_eq!(ids[..20].iter().collect::<std::collections::HashSet<_>>().len(), 20, "each is another");
        let input = Tensor::from_slice(&ids).unsqueeze(0);
        let mut recording = Recording::default();
        let _ = model.forward_with(&input, &mut recording).unwrap();
        let weights = recording.get("block.2.attn.weights").unwrap().copy();
        // 0.7 on what came after the same one, 0.3 on the first.
        let after = Tensor::eye(40, (Kind::Float, Device::Cpu)).roll([-19], [1]).tril(0) * 0.7;
        let first = Tensor::zeros([40, 40], (Kind::Float, Device::Cpu));
        let _ = first.narrow(1, 0, 1).fill_(0.3);
        weights.get(0).get(3).copy_(&(after + first));
        let changes = Changes::from(Patch::put("block.2.attn.weights", weights));
        let found = HeadPatterns::induction(&Altered::new(&model, &changes), length, seed).unwrap();
        let best = found.best(INDUCTION).unwrap();
        assert_eq!((best.layer, best.head), (2, 3), "{found}");
        assert!((best.scores[INDUCTION] - 0.7).abs() < 1e-5 && (best.scores[5] - 0.3).abs() < 1e-5, "{best:?}");
        assert_eq!(found.most(INDUCTION, 3)[0], best);
        assert_eq!((found.heads.len(), found.most(INDUCTION, 3).len()), (12, 3));
        let message = HeadPatterns::induction(&model, 33, 1).unwrap_err().to_string();
        assert!(message.contains("from 2 to 32"), "{message}");
    }

    #[test]
    fn texts_and_models_without_heads_to_look_at_are_told() {
        let model = awake(TransformerConfig::original());
        assert!(HeadPatterns::find(&model, "a").is_err());
        let mlp = MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap();
        assert!(HeadPatterns::find(&mlp, "Once").unwrap_err().to_string().contains("no attention"));
    }
}
