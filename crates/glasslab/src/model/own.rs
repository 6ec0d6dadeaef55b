//! A model of your own: a struct, its forward pass and its parameters. All else follows.
//!
//! ```
//! # use glasslab::prelude::*;
//! struct Bigrams { table: Tensor } // (V, V): a row of scores for each character
//!
//! impl Model for Bigrams {
//!     fn forward(&self, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
//!         let logits = Tensor::f_embedding(&self.table, ids, -1, false, false)?;
//!         Ok(probe.at("logits", logits)) // (B, T, V)
//!     }
//!
//!     fn parameters(&self) -> Vec<Parameter> {
//!         vec![Parameter::new("table", &self.table)]
//!     }
//! }
//!
//! # fn main() -> Result<()> {
//! let mut mine = Bigrams { table: Tensor::zeros([256, 256], (Kind::Float, Device::Cpu)).set_requires_grad(true) };
//! let dataset = Dataset::embedded()?;
//! let tokens = Tokens::encode(&dataset.held_out, &CharTokenizer::default())?;
//! train(&mut mine, &tokens, &tokens, &TrainConfig { length: Length::Steps(20), ..TrainConfig::default() })?;
//! println!("{}", mine.trace("Once")?);
//! # Ok(())
//! # }
//! ```

use super::file;
use super::{LanguageModel, NoProbe, Parameter, Probe, Trainable, ids_on};
use crate::error::{Error, Result};
use crate::numbers::shape;
use crate::tokenizer::{AnyTokenizer, CharTokenizer};
use std::path::Path;
use tch::{Device, Tensor};

/// What the library must know of a model of your own besides its forward pass and its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// V: the number of different ids.
    pub n_vocab: i64,
    /// How many characters, the current one included, a prediction can depend on.
    pub context_len: i64,
    /// How many characters it can take at once; `None` if any number.
    pub max_len: Option<i64>,
    /// Where its tensors are.
    pub device: Device,
}

impl Default for Sizes {
    /// 256 characters of vocabulary, 64 of context, no more than these at once, on the processor.
    fn default() -> Sizes {
        Sizes::context(64)
    }
}

impl Sizes {
    /// A model on the processor that takes at most so many characters, of a vocabulary of 256.
    pub fn context(context_len: i64) -> Sizes {
        Sizes { n_vocab: 256, context_len, max_len: Some(context_len), device: Device::Cpu }
    }

    /// A model on the processor that takes texts of any length, in which a prediction depends on so many characters.
    pub fn window(context_len: i64) -> Sizes {
        Sizes { max_len: None, ..Sizes::context(context_len) }
    }
}

/// A model of your own. Whatever the library does with its own models it does with this: training, measuring, writing,
/// traces, the explorer, cuts, the lens.
pub trait Model {
    /// The forward pass. Whatever a trace should show goes through the probe: `let hidden = probe.at("hidden", hidden);`.
    /// Names of the library's own steps (`block.0.attn.weights`, `block.0.after_mlp`, …) make that step what it is there.
    ///
    /// # Shapes
    /// `ids`: (B, T), checked → logits (B, T, V)
    ///
    /// # Errors
    /// What it fails with.
    fn forward(&self, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor>;

    /// The learnt tensors with their names, always in the same order.
    fn parameters(&self) -> Vec<Parameter>;

    /// Its sizes: [`Sizes::default`], if it does not say otherwise.
    fn sizes(&self) -> Sizes {
        Sizes::default()
    }

    /// What its ids stand for; `None`: characters.
    fn pieces(&self) -> Option<AnyTokenizer> {
        None
    }

    /// Writes the parameters by their names, as a safetensors file.
    ///
    /// # Errors
    /// If the file can't be written.
    fn save(&self, path: impl AsRef<Path>) -> Result<()>
    where
        Self: Sized,
    {
        file::write_parameters(path.as_ref(), self.parameters())
    }

    /// Reads back what [`save`](Self::save) has written; where it does not fit, the model stays as it is.
    ///
    /// # Errors
    /// If the file is missing or damaged, or is not of a model with these parameters.
    fn load(&mut self, path: impl AsRef<Path>) -> Result<()>
    where
        Self: Sized,
    {
        let owner = format!("this {}", short_name::<Self>());
        file::read_parameters(path.as_ref(), self.parameters(), &owner)
    }
}

/// A type's name without the modules that it is in.
fn short_name<T>() -> &'static str {
    let name = std::any::type_name::<T>();
    name.rsplit("::").next().unwrap_or(name)
}

impl<M: Model> LanguageModel for M {
    fn logits(&self, ids: &Tensor) -> Result<Tensor> {
        checked(self, ids, &mut NoProbe)
    }

    fn n_vocab(&self) -> i64 {
        self.sizes().n_vocab
    }

    fn tokenizer(&self) -> AnyTokenizer {
        self.pieces().unwrap_or_else(|| CharTokenizer { n_vocab: self.sizes().n_vocab }.into())
    }

    fn context_len(&self) -> i64 {
        self.sizes().context_len.max(1)
    }

    fn max_len(&self) -> Option<i64> {
        self.sizes().max_len
    }

    fn device(&self) -> Device {
        self.sizes().device
    }
}

impl<M: Model> Trainable for M {
    fn parameters(&self) -> Vec<Parameter> {
        Model::parameters(self)
    }
}

/// A model's own forward pass, with its ids and its logits checked.
pub(crate) fn checked<M: Model>(model: &M, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
    let Sizes { n_vocab, max_len, device, .. } = model.sizes();
    let ids = ids_on(device, ids, n_vocab)?; // (B, T)
    let (batch, time) = (ids.size()[0], ids.size()[1]);
    if let Some(longest) = max_len.filter(|&longest| time > longest) {
        return Err(Error::Shape {
            expected: format!("ids of shape (B, T) with T ≤ {longest}"),
            got: shape(&ids),
            hint: format!("take the last {longest} characters, or let `sizes` of {} say more", short_name::<M>()),
        });
    }
    let logits = model.forward(&ids, probe)?;
    match logits.size()[..] == [batch, time, n_vocab] {
        true => Ok(logits),
        false => Err(Error::Shape {
            expected: format!(
                "logits of shape ({batch}, {time}, {n_vocab}): a score for each character of the vocabulary at each place"
            ),
            got: shape(&logits),
            hint: format!("`forward` of {} gives (B, T, V) for ids (B, T); `sizes` says V", short_name::<M>()),
        }),
    }
}

#[cfg(test)]
pub(crate) mod mine;

#[cfg(test)]
mod tests {
    use super::mine::Mine;
    use super::*;
    use crate::data::{Dataset, Tokens};
    use crate::evaluate::{Ladder, evaluate_some};
    use crate::generate::{Sampling, generate};
    use crate::intervene::{Cut, Intervene};
    use crate::measure::{HeadPatterns, Lens};
    use crate::model::{TransformerConfig, TransformerLm, count_parameters, random_tensor, wake};
    use crate::rng::Rng;
    use crate::tokenizer::CharTokenizer;
    use crate::trace::Traceable;
    use crate::train::{Length, TrainConfig, train};
    use tch::Kind;

    #[test]
    fn everything_that_works_on_the_librarys_models_works_on_ones_own() {
        let held_out = Dataset::embedded().unwrap().held_out;
        let tokens = Tokens::encode(&held_out, &CharTokenizer::default()).unwrap();
        let mut mine = Mine::new();
        let measure = |mine: &Mine| evaluate_some(mine, &tokens, 4000).unwrap().nats_per_char;
        let before = measure(&mine);
        let config = TrainConfig {
            length: Length::Steps(60),
            batch_size: 8,
            context_len: 32,
            reports: 1,
            ..TrainConfig::default()
        };
        train(&mut mine, &tokens, &tokens, &config).unwrap();
        assert!(measure(&mine) < before - 1.0, "{before} → {}", measure(&mine));
        let written =
            generate(&mine, &CharTokenizer::default(), "Once upon", &Sampling { chars: 20, ..Sampling::default() });
        assert!(written.unwrap().chars().count() >= 20);

        let trace = mine.trace("Once upon").unwrap();
        assert_eq!(trace.max_abs_error, 0.0);
        assert!(trace.explore().unwrap().html().unwrap().html.contains("glasslab-explorer"));
        assert!(trace.html().is_ok() && trace.attention().unwrap().stages(0, 0).is_ok());
        let effect = mine.ablate(Cut::Head { layer: 0, head: 0 }, "Once upon").unwrap();
        assert_ne!(effect.before.trace.loss(), effect.after.trace.loss());
        let lens = Lens::new(&mine, "Once upon").unwrap();
        assert!((lens.rows.last().unwrap().nats.unwrap() - trace.loss().unwrap()).abs() < 1e-4);
        assert_eq!(HeadPatterns::find(&mine, "Once upon a time").unwrap().heads.len(), 1);
        let mut ladder = Ladder::default();
        ladder.add("mine", &mine, &tokens).unwrap();
        assert!(ladder.table().contains("mine"));
    }

    #[test]
    fn a_step_has_the_formula_that_its_numbers_obey_and_no_other() {
        let trace = wake(Mine::new(), 0.1).trace("Once upon").unwrap();
        let formula = |step: &str| trace.step(step).unwrap().formula.clone();
        assert!(formula("block.0.attn.scores").contains("√head_dim"));
        assert!(formula("block.0.mlp.activated").contains("max(0, hidden)"));
        assert!(formula("loss").contains("ln"));
        // The library's norm of this name has no learnt scale; this one has: by default, it would be told wrongly.
        assert_eq!(formula("block.0.norm1"), "");
        assert!(trace.table().contains("block.0.norm1"));
    }

    #[test]
    fn steps_of_ones_own_are_shown_without_a_formula_and_attention_is_found_by_name_and_shape() {
        struct Looks(Tensor);
        impl Model for Looks {
            fn forward(&self, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
                let x = probe.at("mood", Tensor::f_embedding(&self.0, ids, -1, false, false)?); // (B, T, V)
                let weights = x.f_matmul(&x.transpose(1, 2))?.f_tril(0)?.f_softmax(-1, Kind::Float)?; // (B, T, T)
                let weights = probe.at("my.weights", weights);
                let _ = probe.at("edge.weights", x.f_mean(Kind::Float)?);
                Ok(weights.f_matmul(&x)?)
            }

            fn parameters(&self) -> Vec<Parameter> {
                vec![Parameter::new("table", &self.0)]
            }
        }
        let mine = Looks(random_tensor(&mut Rng::new(1), &[256, 256], 0.1).unwrap().set_requires_grad(true));
        let trace = mine.trace("Once").unwrap();
        let mood = trace.step("mood").unwrap();
        assert_eq!((mood.formula.as_str(), mood.axes_and_sizes().as_str()), ("", "batch 1 × time 4 × axis 2 256"));
        let attention = trace.attention().unwrap();
        assert_eq!((attention.layers.len(), attention.layers[0].size()), (1, vec![1, 4, 4]));
        assert!(attention.grid().is_ok() && trace.html().is_ok() && trace.explore().unwrap().html().is_ok());
        let message = attention.stages(0, 0).unwrap_err().to_string();
        assert!(message.contains("my.scores"), "{message}");
        assert_eq!(HeadPatterns::find(&mine, "Once upon").unwrap().heads.len(), 1);
        assert!(Lens::new(&mine, "Once").unwrap_err().to_string().contains("no layers"));
    }

    #[test]
    fn what_forward_gives_and_gets_is_checked() {
        struct Flat(Tensor, Sizes);
        impl Model for Flat {
            fn forward(&self, ids: &Tensor, _probe: &mut impl Probe) -> Result<Tensor> {
                Ok(Tensor::f_embedding(&self.0, ids, -1, false, false)?.f_flatten(0, 1)?)
            }

            fn parameters(&self) -> Vec<Parameter> {
                vec![Parameter::new("table", &self.0)]
            }

            fn sizes(&self) -> Sizes {
                self.1
            }
        }
        let flat = Flat(Tensor::zeros([256, 256], (Kind::Float, Device::Cpu)), Sizes::context(8));
        let message = flat.trace("Once").unwrap_err().to_string();
        assert!(message.contains("(1, 4, 256)") && message.contains("Flat"), "{message}");
        let long = flat.logits(&Tensor::zeros([1, 9], (Kind::Int64, Device::Cpu))).unwrap_err().to_string();
        assert!(long.contains("T ≤ 8"), "{long}");
        assert!(
            flat.logits(&Tensor::from_slice(&[256_i64]).unsqueeze(0)).unwrap_err().to_string().contains("0 to 255")
        );
    }

    #[test]
    fn it_is_kept_and_read_back_and_another_models_file_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.safetensors");
        let mine = wake(Mine::new(), 0.1);
        mine.save(&path).unwrap();
        let mut other = Mine::new();
        let ids = Tensor::from_slice(&[1_i64, 2, 3]).unsqueeze(0);
        assert_ne!(other.logits(&ids).unwrap(), mine.logits(&ids).unwrap());
        other.load(&path).unwrap();
        assert_eq!(other.logits(&ids).unwrap(), mine.logits(&ids).unwrap());
        assert!(other.qkv.requires_grad());

        let original = TransformerLm::new(TransformerConfig::original(), Device::Cpu).unwrap();
        assert_eq!(count_parameters(&mine), count_parameters(&original));
        let original = TransformerLm::new(TransformerConfig::small(), Device::Cpu).unwrap();
        let foreign = folder.path().join("foreign.safetensors");
        file::write_parameters(&foreign, original.parameters()).unwrap();
        let kept = other.logits(&ids).unwrap();
        let message = other.load(&foreign).unwrap_err().to_string();
        assert!(message.contains("this Mine asks for"), "{message}");
        assert_eq!(other.logits(&ids).unwrap(), kept);
        assert!(other.load(folder.path().join("none.safetensors")).is_err());
    }
}
