//! What happens if one cuts: a part of the model is taken out, or another tensor put in, and everything after it
//! is computed anew.
//!
//! | what | with |
//! |---|---|
//! | take a part out | [`Cut`], [`Intervene::ablate`] |
//! | put in what another text had there | [`Patch`], [`Intervene::patch`] |
//! | add a direction, more or less of it | [`Patch::direction`], [`Patch::add`], [`Patch::scale`] |
//! | find which layer and place carries an answer | [`Intervene::patching`] |
//!
//! A cut is a [`Probe`] that gives another tensor back than the one it saw ([`Surgery`]). The model's own `forward`
//! does the rest, so the altered model is the model, but for the cut: it can be traced, measured and made to write.
//!
//! ```
//! # use glasslab::prelude::*;
//! # fn main() -> Result<()> {
//! let model = TransformerLm::new(TransformerConfig::original(), Device::Cpu)?;
//! let effect = model.ablate(Cut::Head { layer: 0, head: 0 }, "Once upon a time")?;
//! println!("{effect}");
//! # Ok(())
//! # }
//! ```

mod effect;
mod patch;
mod patching;

pub use effect::{Behaviour, Effect, Intervene};
pub use patch::{How, Patch};
pub use patching::{PatchedStep, Patching};

use crate::error::{Error, Result};
use crate::model::cache::Cache;
use crate::model::{LanguageModel, ModelConfig, NoProbe, Parameter, Probe, Recording};
use crate::tokenizer::AnyTokenizer;
use crate::trace::{Traceable, is_stream, step_named};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::fmt::{self, Display};
use tch::{Device, Kind, Tensor};

/// A part to take out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// One head: its mix becomes 0.
    Head {
        /// The layer, from 0.
        layer: usize,
        /// The head, from 0.
        head: i64,
    },
    /// A whole block: the stream passes it by.
    Block(usize),
    /// The places: no character knows where it stands, but for what the mask gives away, and the groups of characters, if they have
    /// rows.
    Positions,
    /// The causal mask: each character sees those that come after it.
    Mask,
    /// The residual stream around both parts of a block: what was there before is lost, only what the part adds stays.
    Residual(usize),
}

impl Display for Cut {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cut::Head { layer, head } => write!(out, "head {head} of layer {layer} cut"),
            Cut::Block(layer) => write!(out, "block {layer} cut"),
            Cut::Positions => write!(out, "the positions cut"),
            Cut::Mask => write!(out, "the mask cut"),
            Cut::Residual(layer) => write!(out, "the residual of block {layer} cut"),
        }
    }
}

/// Cuts and patches together.
#[derive(Debug, Default)]
pub struct Changes {
    /// What is taken out.
    pub cuts: Vec<Cut>,
    /// What is put in.
    pub patches: Vec<Patch>,
}

impl Changes {
    /// Whether they are the same wherever a text begins: then the model may see only the end of a long one.
    fn are_of_any_place(&self) -> bool {
        self.patches.iter().all(Patch::is_of_any_place)
    }

    /// Whether a text may be read piece by piece: each character is changed by itself, and no cut looks at a whole text.
    fn can_be_read_piecewise(&self) -> bool {
        self.are_of_any_place() && self.cuts.iter().all(|cut| matches!(cut, Cut::Head { .. }))
    }
}

impl From<Cut> for Changes {
    fn from(cut: Cut) -> Changes {
        Changes { cuts: vec![cut], patches: Vec::new() }
    }
}

impl From<Patch> for Changes {
    fn from(patch: Patch) -> Changes {
        Changes { cuts: Vec::new(), patches: vec![patch] }
    }
}

impl Display for Changes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patches = self.patches.iter().map(Patch::to_string);
        let all: Vec<String> = self.cuts.iter().map(Cut::to_string).chain(patches).collect();
        out.write_str(&if all.is_empty() { "nothing changed".to_owned() } else { all.join(", ") })
    }
}

/// A model with a part taken out or put in. It is a model itself: it can be traced, measured and made to write.
#[derive(Debug)]
pub struct Altered<'a, M> {
    model: &'a M,
    changes: &'a Changes,
    /// The steps of the patches, by our names; found when they are first needed.
    steps: OnceCell<Vec<String>>,
}

impl<'a, M: Traceable> Altered<'a, M> {
    /// The model with changes.
    pub fn new(model: &'a M, changes: &'a Changes) -> Altered<'a, M> {
        Altered { model, changes, steps: OnceCell::new() }
    }

    /// Of one forward pass.
    fn surgery<'p, P: Probe>(&self, probe: &'p mut P) -> Result<Surgery<'p, P>>
    where
        'a: 'p,
    {
        let steps = match self.steps.get() {
            Some(steps) => steps,
            None => {
                let steps = own_names(self.model, self.changes)?;
                self.steps.get_or_init(|| steps)
            }
        };
        Ok(Surgery { steps: steps.clone(), ..Surgery::new(self.changes, probe) })
    }
}

/// The steps of patches, where a name of TransformerLens is told by ours: by those that the model has.
fn own_names(model: &impl Traceable, changes: &Changes) -> Result<Vec<String>> {
    let mut all = Vec::new();
    if changes.patches.iter().any(|patch| patch.step.contains("hook_")) {
        let _guard = tch::no_grad_guard();
        let mut recording = Recording::default();
        let _ = model.forward_with(&Tensor::f_zeros([1, 1], (Kind::Int64, model.device()))?, &mut recording)?;
        all = recording.steps;
    }
    let own = |patch: &Patch| Ok(step_named(&patch.step, |own| all.iter().any(|step| step.name == own))?.into_owned());
    changes.patches.iter().map(own).collect()
}

impl<M: Traceable> LanguageModel for Altered<'_, M> {
    fn logits(&self, ids: &Tensor) -> Result<Tensor> {
        self.forward_with(ids, &mut NoProbe)
    }

    fn new_cache(&self, batch: i64) -> Result<Option<Cache>> {
        match self.changes.can_be_read_piecewise() && self.model.can_read_with() {
            true => self.model.new_cache(batch),
            false => Ok(None),
        }
    }

    fn read(&self, ids: &Tensor, cache: &mut Cache) -> Result<Tensor> {
        let mut nobody = NoProbe;
        let mut surgery = self.surgery(&mut nobody)?;
        let Some(logits) = self.model.read_with(ids, cache, &mut surgery) else {
            return Ok(self.logits(ids)?.f_select(1, -1)?);
        };
        let logits = logits?; // why a pass has ended early comes before what it did not reach
        surgery.finish()?;
        Ok(logits)
    }

    fn n_vocab(&self) -> i64 {
        self.model.n_vocab()
    }

    fn tokenizer(&self) -> AnyTokenizer {
        self.model.tokenizer()
    }

    fn context_len(&self) -> i64 {
        // What is put in belongs to the places of one text, so the model must always see it from its start.
        match self.changes.are_of_any_place() {
            true => self.model.context_len(),
            false => self.model.max_len().unwrap_or(1 << 30),
        }
    }

    fn max_len(&self) -> Option<i64> {
        self.model.max_len()
    }

    fn device(&self) -> Device {
        self.model.device()
    }
}

impl<M: Traceable> Traceable for Altered<'_, M> {
    fn forward_with(&self, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
        let mut surgery = self.surgery(probe)?;
        let logits = self.model.forward_with(ids, &mut surgery)?;
        surgery.finish()?;
        Ok(logits)
    }

    fn model_config(&self) -> Option<ModelConfig> {
        self.model.model_config()
    }

    fn learnt(&self) -> Vec<Parameter> {
        self.model.learnt()
    }
}

/// The probe that cuts and puts in, and shows another probe what comes of it.
pub struct Surgery<'a, P> {
    changes: &'a Changes,
    /// The step of each patch.
    steps: Vec<String>,
    inner: &'a mut P,
    /// Tensors that a later step is replaced by.
    kept: HashMap<String, Tensor>,
    /// The stream as it was last seen.
    stream: Option<Tensor>,
    done_cuts: Vec<bool>,
    done_patches: Vec<bool>,
    names: Vec<String>,
    error: Option<Error>,
}

impl<'a, P: Probe> Surgery<'a, P> {
    /// A probe for one forward pass.
    pub fn new(changes: &'a Changes, inner: &'a mut P) -> Surgery<'a, P> {
        Surgery {
            changes,
            steps: changes.patches.iter().map(|patch| patch.step.clone()).collect(),
            inner,
            kept: HashMap::new(),
            stream: None,
            done_cuts: vec![false; changes.cuts.len()],
            done_patches: vec![false; changes.patches.len()],
            names: Vec::new(),
            error: None,
        }
    }

    /// To be called after the forward pass.
    ///
    /// # Errors
    /// If a tensor did not fit, or the model has no such part: a cut that cuts nothing is a mistake.
    pub fn finish(self) -> Result<()> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let idle_cut = self.done_cuts.iter().position(|done| !done).map(|place| self.changes.cuts[place].to_string());
        let idle_patch = self.done_patches.iter().position(|done| !done);
        let idle = idle_cut.or(idle_patch.map(|place| self.changes.patches[place].to_string()));
        match idle {
            None => Ok(()),
            Some(what) => Err(Error::Config(format!(
                "{what}: this model has no such part; its steps are {}",
                self.names.join(", ")
            ))),
        }
    }

    /// What the model goes on with after this step.
    fn changed(&mut self, name: &str, mut tensor: Tensor) -> Result<Tensor> {
        let changes = self.changes;
        for (number, cut) in changes.cuts.iter().enumerate() {
            if let Some(other) = self.cut(cut, name, &tensor)? {
                tensor = other;
                self.done_cuts[number] = true;
            }
        }
        for (number, patch) in changes.patches.iter().enumerate() {
            if self.steps[number] == name {
                tensor = patch.change(&tensor)?;
                self.done_patches[number] = true;
            }
        }
        Ok(tensor)
    }

    /// The tensor that a cut puts in place of a step's, if it has to do with it.
    fn cut(&mut self, cut: &Cut, name: &str, tensor: &Tensor) -> Result<Option<Tensor>> {
        let (layer, part) = match name.strip_prefix("block.").and_then(|rest| rest.split_once('.')) {
            Some((layer, part)) => (layer.parse::<usize>().ok(), part),
            None => (None, name),
        };
        let mut keep = |as_what: String, tensor: &Tensor| {
            self.kept.insert(as_what, tensor.shallow_clone());
        };
        match *cut {
            Cut::Head { layer: wanted, head } if layer == Some(wanted) && part == "attn.heads" => {
                let heads = tensor.size()[1]; // (B, H, T, D)
                if !(0..heads).contains(&head) {
                    return Err(Error::Config(format!("layer {wanted} has heads 0 to {}, got {head}", heads - 1)));
                }
                let without = tensor.copy();
                let _ = without.f_narrow(1, head, 1)?.f_zero_()?;
                return Ok(Some(without));
            }
            Cut::Block(wanted) if layer == Some(wanted) => match part {
                "norm1" => {
                    if let Some(stream) = &self.stream {
                        keep(format!("into {wanted}"), stream);
                    }
                }
                "after_mlp" => return Ok(self.kept.get(&format!("into {wanted}")).map(Tensor::shallow_clone)),
                _ => {}
            },
            Cut::Positions => match part {
                "embedded" | "scaled" => keep("embedded".to_owned(), tensor), // as it was before places were added
                "attn.unturned" => keep(part.to_owned(), tensor),
                "positioned" => return Ok(self.kept.get("embedded").map(Tensor::shallow_clone)),
                // Queries and keys before they were turned lie in one tensor, (B, H + K, T, D): queries first.
                "attn.queries" | "attn.keys" => {
                    let Some(both) = self.kept.get("attn.unturned") else { return Ok(None) };
                    let (count, all) = (tensor.size()[1], both.size()[1]);
                    let first = if part == "attn.queries" { 0 } else { all - count };
                    return Ok(Some(both.f_narrow(1, first, count)?));
                }
                _ => {}
            },
            Cut::Mask => match part {
                "attn.scores" => keep("scores".to_owned(), tensor),
                "attn.masked" => return Ok(self.kept.get("scores").map(Tensor::shallow_clone)),
                _ => {}
            },
            Cut::Residual(wanted) if layer == Some(wanted) => match part {
                "attn.output" | "mlp.output" => keep("added".to_owned(), tensor),
                "after_attn" | "after_mlp" => return Ok(self.kept.get("added").map(Tensor::shallow_clone)),
                _ => {}
            },
            _ => {}
        }
        Ok(None)
    }
}

impl<P: Probe> Probe for Surgery<'_, P> {
    fn at(&mut self, name: impl Display, tensor: Tensor) -> Tensor {
        let name = name.to_string();
        let tensor = match self.error {
            Some(_) => tensor,
            None => {
                let untouched = tensor.shallow_clone();
                self.changed(&name, tensor).unwrap_or_else(|error| {
                    self.error = Some(error);
                    untouched
                })
            }
        };
        let tensor = self.inner.at(&name, tensor);
        if is_stream(&name) {
            self.stream = Some(tensor.shallow_clone());
        }
        self.names.push(name);
        tensor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Sampling, generate};
    use crate::model::Positions;
    use crate::model::TransformerConfig;
    use crate::model::attention::Weighting;
    use crate::tokenizer::CharTokenizer;
    use crate::trace::tests::{awake, variants};

    fn ids(text: &str) -> Tensor {
        Tensor::from_slice(&CharTokenizer::default().encode(text)).unsqueeze(0)
    }

    fn altered(model: &impl Traceable, changes: impl Into<Changes>, text: &str) -> Result<Tensor> {
        Altered::new(model, &changes.into()).logits(&ids(text))
    }

    fn difference(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).abs().max().double_value(&[])
    }

    #[test]
    fn without_changes_the_altered_model_is_the_model() {
        for config in variants() {
            let model = awake(config);
            assert_eq!(
                altered(&model, Changes::default(), "Once upon").unwrap(),
                model.logits(&ids("Once upon")).unwrap()
            );
        }
    }

    #[test]
    fn every_cut_changes_the_logits() {
        for config in variants() {
            let model = awake(config);
            let whole = model.logits(&ids("Once upon")).unwrap();
            for cut in [Cut::Head { layer: 0, head: 0 }, Cut::Block(0), Cut::Mask, Cut::Residual(0)] {
                assert!(difference(&altered(&model, cut, "Once upon").unwrap(), &whole) > 1e-3, "{cut} {config:?}");
            }
        }
    }

    #[test]
    fn a_cut_head_is_a_head_whose_output_columns_are_zero() {
        let model = awake(TransformerConfig::small());
        let cut = altered(&model, Cut::Head { layer: 1, head: 2 }, "Once upon").unwrap();
        let by_weight = {
            let _guard = tch::no_grad_guard();
            let columns = model.blocks[1].attention.output_weight.narrow(1, 2 * 24, 24);
            let kept = columns.copy();
            let _ = columns.shallow_clone().zero_();
            let logits = model.logits(&ids("Once upon")).unwrap();
            columns.shallow_clone().copy_(&kept);
            logits
        };
        assert!(difference(&cut, &by_weight) < 1e-4);
    }

    #[test]
    fn without_its_blocks_only_the_character_itself_counts() {
        let model = awake(TransformerConfig::original());
        let (a, b) = (altered(&model, Cut::Block(0), "Once").unwrap(), altered(&model, Cut::Block(0), "Xyze").unwrap());
        assert!(difference(&a.get(0).get(3), &b.get(0).get(3)) < 1e-6);
    }

    #[test]
    fn without_the_mask_the_future_is_seen() {
        for config in variants() {
            let model = awake(config);
            let (a, b) = (altered(&model, Cut::Mask, "Once").unwrap(), altered(&model, Cut::Mask, "Onca").unwrap());
            assert!(difference(&a.get(0).get(0), &b.get(0).get(0)) > 1e-4, "{config:?}");
        }
    }

    #[test]
    fn without_positions_and_mask_the_order_before_does_not_count() {
        // A sigmoid's ln(t + 1), a head that is not learnt and rows of groups tell the place in their own way.
        let by_content = |config: &TransformerConfig| {
            config.weighting == Weighting::Softmax && !config.previous_head && config.ngrams.is_none()
        };
        for config in variants().into_iter().filter(by_content) {
            let model = awake(config);
            let cuts = match config.positions {
                Positions::None => vec![Cut::Mask],
                _ => vec![Cut::Mask, Cut::Positions],
            };
            let changes = Changes { cuts, patches: Vec::new() };
            let last = |text: &str| Altered::new(&model, &changes).logits(&ids(text)).unwrap().get(0).get(-1);
            assert!(difference(&last("abcde"), &last("cbdae")) < 1e-4, "{config:?}");
            let whole = |text: &str| model.logits(&ids(text)).unwrap().get(0).get(-1);
            assert!(difference(&whole("abcde"), &whole("cbdae")) > 1e-3, "{config:?}");
        }
    }

    #[test]
    fn a_step_of_another_text_put_in_gives_what_the_other_text_gave() {
        let model = awake(TransformerConfig::small());
        let other = model.trace("Onca upoz").unwrap();
        let whole = Patch::from_trace(&other, "block.2.after_mlp", None).unwrap();
        assert_eq!(altered(&model, whole, "Once upon").unwrap(), other.step("logits").unwrap().tensor);
        let one = Patch::from_trace(&other, "block.2.after_mlp", Some(3)).unwrap();
        let logits = altered(&model, one, "Once upon").unwrap();
        let own = model.logits(&ids("Once upon")).unwrap();
        for place in 0..9 {
            let expected = if place == 3 { &other.step("logits").unwrap().tensor } else { &own };
            assert!(difference(&logits.get(0).get(place), &expected.get(0).get(place)) < 1e-5, "{place}");
        }
    }

    #[test]
    fn what_can_t_be_cut_or_put_in_is_told() {
        let model = awake(TransformerConfig::original());
        for (cut, expected) in [
            (Cut::Head { layer: 0, head: 1 }, "heads 0 to 0"),
            (Cut::Head { layer: 3, head: 0 }, "no such part"),
            (Cut::Block(1), "no such part"),
        ] {
            let message = altered(&model, cut, "Once").unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
        let none = awake(TransformerConfig { positions: Positions::None, ..TransformerConfig::original() });
        assert!(altered(&none, Cut::Positions, "Once").is_err());
        let trace = model.trace("Once upon").unwrap();
        let long = Patch::from_trace(&trace, "embedded", None).unwrap();
        assert!(altered(&model, long, "Once").unwrap_err().to_string().contains("(1, 4, 32) or smaller"));
        assert!(Patch::from_trace(&trace, "embedded", Some(9)).is_err());
    }

    #[test]
    fn a_direction_without_a_place_is_added_at_every_place_also_while_writing() {
        for config in variants() {
            let model = awake(TransformerConfig { context_len: 16, ..config });
            let tensor = Tensor::arange(config.emb_dim, (tch::Kind::Float, Device::Cpu)) / 10.0;
            let trace = model.trace("Once").unwrap();
            let step = "block.0.after_attn";
            let all = Patch::put(step, &trace.step(step).unwrap().tensor + &tensor);
            let added = Patch::add(step, tensor.shallow_clone());
            assert!(
                difference(&altered(&model, added, "Once").unwrap(), &altered(&model, all, "Once").unwrap()) < 1e-5
            );
            let changes = Changes {
                cuts: vec![Cut::Head { layer: 0, head: 0 }],
                patches: vec![Patch::add(step, tensor), Patch::scale("block.0.mlp.output", -2.0)],
            };
            let steered = Altered::new(&model, &changes);
            assert!(steered.new_cache(1).unwrap().is_some());
            let write = |cached: bool| {
                let sampling = Sampling { chars: 40, temperature: 0.0, cached, ..Sampling::default() };
                generate(&steered, &steered.tokenizer(), "Once upon a time", &sampling).unwrap()
            };
            assert_eq!(write(true), write(false), "{config:?}");
        }
    }

    #[test]
    fn what_belongs_to_a_place_is_written_with_from_the_start_of_the_text() {
        let model = awake(TransformerConfig::small());
        for patch in [
            Patch::scale("embedded", 2.0).at(1, 0),
            Patch::add("embedded", Tensor::ones([1, 2, 96], (tch::Kind::Float, Device::Cpu))),
        ] {
            let changes = Changes::from(patch);
            let steered = Altered::new(&model, &changes);
            assert!(steered.new_cache(1).unwrap().is_none());
            assert_eq!(steered.context_len(), 64);
        }
    }
}
