//! The MLP language model: the next character from the current one alone.
//!
//! ```text
//! x      = embedding[id]                          C numbers for a character
//! hidden = ReLU(x · W₁ᵀ + b₁)                     H numbers
//! x      = hidden · W₂ᵀ + b₂                      C numbers
//! logits = x · embeddingᵀ                         V scores, one for each character
//! ```
//! The output head is the embedding table itself ("tied weights", Press and Wolf 2017): a
//! character scores high when its embedding points the same way as the MLP's output. Every place
//! of a text is computed by itself, so the model can't know any context: at best it learns how
//! often each character follows another, which one could also count.

mod config;

pub use config::MlpConfig;

use super::start::Start;
use super::{
    LanguageModel, ModelConfig, NoProbe, Parameter, Probe, Trainable, Trained, cross_entropy, fitting, ids_on,
};
use crate::error::{Error, Result};
use crate::rng::Rng;
use crate::tokenizer::{AnyTokenizer, CharTokenizer};
use tch::{Device, Kind, Tensor};

/// The MLP language model. All its tensors are visible.
#[derive(Debug)]
pub struct MlpLm {
    /// Its sizes.
    pub config: MlpConfig,
    /// What its ids stand for.
    pub tokenizer: AnyTokenizer,
    /// What it has learnt from, if anything.
    pub trained: Option<Trained>,
    /// (V, C): a row for each character; also the output head
    pub embedding: Tensor,
    /// W₁: (H, C)
    pub hidden_weight: Tensor,
    /// b₁: (H)
    pub hidden_bias: Tensor,
    /// W₂: (C, H)
    pub output_weight: Tensor,
    /// b₂: (C)
    pub output_bias: Tensor,
}

impl MlpLm {
    /// A model with random weights, small enough that its first loss is that of guessing, ln V.
    ///
    /// # Errors
    /// If a size is below 1, or the device has no memory for it.
    pub fn new(config: MlpConfig, device: Device) -> Result<MlpLm> {
        MlpLm::with(config, &mut Start::drawn(&mut Rng::new(config.seed as u64), device))
    }

    /// A model whose parameters have no numbers yet, and take no memory until [`Parameter::fill`] gives them theirs.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn unfilled(config: MlpConfig, device: Device) -> Result<MlpLm> {
        MlpLm::with(config, &mut Start::unfilled(device))
    }

    fn with(config: MlpConfig, start: &mut Start<'_>) -> Result<MlpLm> {
        let MlpConfig { n_vocab, emb_dim, n_hidden, seed: _ } = config;
        if n_vocab < 1 || emb_dim < 1 || n_hidden < 1 {
            return Err(Error::Config(format!(
                "n_vocab, emb_dim and n_hidden must be at least 1, got {n_vocab}, {emb_dim}, {n_hidden}"
            )));
        }
        let output_deviation = (2.0 / n_hidden as f64).sqrt() / (emb_dim as f64).sqrt();
        Ok(MlpLm {
            config,
            tokenizer: CharTokenizer { n_vocab }.into(),
            trained: None,
            embedding: start.weight([n_vocab, emb_dim], emb_dim)?,
            hidden_weight: start.random(&[n_hidden, emb_dim], (2.0 / emb_dim as f64).sqrt())?, // He et al. 2015
            hidden_bias: start.zeros(&[n_hidden])?,
            output_weight: start.random(&[emb_dim, n_hidden], output_deviation)?,
            output_bias: start.zeros(&[emb_dim])?,
        })
    }

    /// The model, with another tokenizer than that of characters.
    ///
    /// # Errors
    /// If the tokenizer has not `n_vocab` ids.
    pub fn with_tokenizer(self, tokenizer: impl Into<AnyTokenizer>) -> Result<MlpLm> {
        Ok(MlpLm { tokenizer: fitting(self.config.n_vocab, tokenizer.into())?, ..self })
    }

    /// The forward pass, seen by a probe.
    ///
    /// # Shapes
    /// `ids`: (B, T) → logits (B, T, V)
    ///
    /// # Errors
    /// If `ids` is not of that shape, or an id is not in `0..n_vocab`.
    pub fn forward(&self, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
        let ids = ids_on(self.device(), ids, self.config.n_vocab)?;
        self.pass(ids, probe)
    }

    fn pass(&self, ids: Tensor, probe: &mut impl Probe) -> Result<Tensor> {
        let ids = probe.at("ids", ids); // (B, T)
        let embedded = Tensor::f_embedding(&self.embedding, &ids, -1, false, false)?;
        let embedded = probe.at("embedded", embedded); // (B, T, C)
        let hidden = embedded.f_linear(&self.hidden_weight, Some(&self.hidden_bias))?;
        let hidden = probe.at("hidden", hidden); // (B, T, H)
        let activated = probe.at("activated", hidden.f_relu()?); // (B, T, H)
        let output = activated.f_linear(&self.output_weight, Some(&self.output_bias))?;
        let output = probe.at("output", output); // (B, T, C)
        let logits = output.f_linear(&self.embedding, None::<&Tensor>)?;
        Ok(probe.at("logits", logits)) // (B, T, V)
    }
}

impl LanguageModel for MlpLm {
    fn logits(&self, ids: &Tensor) -> Result<Tensor> {
        self.forward(ids, &mut NoProbe)
    }

    /// No prediction depends on anything but its own character: so the whole model is a table of V × V
    /// log-probabilities, in which each pair of characters of a batch is looked up; unless it has more rows than the batch.
    fn loss(&self, ids: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let (n_vocab, device) = (self.config.n_vocab, self.device());
        if n_vocab as usize > ids.numel() {
            return cross_entropy(&self.logits(ids)?, &ids_on(device, targets, n_vocab)?);
        }
        let (ids, targets) = (ids_on(device, ids, n_vocab)?, ids_on(device, targets, n_vocab)?);
        let all = Tensor::f_arange(n_vocab, (Kind::Int64, device))?.f_unsqueeze(0)?; // (1, V)
        let logits = self.pass(all, &mut NoProbe)?.f_squeeze_dim(0)?; // (V, V)
        let log_probs = logits.f_log_softmax(-1, logits.kind())?; // (V, V)
        Ok(log_probs.f_index(&[Some(ids), Some(targets)])?.f_mean(logits.kind())?.f_neg()?) // (B, T) → one number
    }

    fn n_vocab(&self) -> i64 {
        self.config.n_vocab
    }

    fn tokenizer(&self) -> AnyTokenizer {
        self.tokenizer.clone()
    }

    fn context_len(&self) -> i64 {
        1
    }

    fn device(&self) -> Device {
        self.embedding.device()
    }
}

impl MlpLm {
    /// The parameters with their names, always in the same order.
    pub fn parameters(&self) -> Vec<Parameter> {
        vec![
            Parameter::new("embedding", &self.embedding),
            Parameter::new("hidden.weight", &self.hidden_weight),
            Parameter::new("hidden.bias", &self.hidden_bias),
            Parameter::new("output.weight", &self.output_weight),
            Parameter::new("output.bias", &self.output_bias),
        ]
    }
}

impl Trainable for MlpLm {
    fn parameters(&self) -> Vec<Parameter> {
        MlpLm::parameters(self)
    }

    fn settings(&self) -> Option<ModelConfig> {
        Some(ModelConfig::Mlp(self.config))
    }

    fn learnt_from(&mut self, trained: Trained) {
        self.trained = Some(trained);
    }

    fn trained(&self) -> Option<&Trained> {
        self.trained.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Recording, count_parameters};
    use super::*;

    fn model() -> MlpLm {
        MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap()
    }

    fn ids(values: &[i64]) -> Tensor {
        Tensor::from_slice(values).unsqueeze(0)
    }

    #[test]
    fn the_original_has_16544_parameters() {
        assert_eq!(count_parameters(&model()), 16_544);
    }

    #[test]
    fn first_loss_is_ln_vocab() {
        let ids = Tensor::randint(256, [8, 64], (Kind::Int64, Device::Cpu));
        let loss = cross_entropy(&model().logits(&ids).unwrap(), &ids.roll([1], [1])).unwrap().double_value(&[]);
        assert!((loss - 256_f64.ln()).abs() < 0.05, "{loss}");
    }

    #[test]
    fn a_table_of_more_rows_than_a_batch_has_tokens_is_not_made() {
        // It would take 1.4 TB.
        let config = MlpConfig { n_vocab: 600_000, emb_dim: 2, n_hidden: 2, ..MlpConfig::original() };
        let model = MlpLm::new(config, Device::Cpu).unwrap();
        let (inputs, targets) = (ids(&[1, 599_999, 3]), ids(&[7, 8, 599_998]));
        let expected = cross_entropy(&model.logits(&inputs).unwrap(), &targets).unwrap();
        assert_eq!(model.loss(&inputs, &targets).unwrap(), expected);
    }

    #[test]
    fn the_trace_ends_in_the_models_own_logits() {
        let (model, ids) = (model(), ids(&[79, 110, 99, 101]));
        let mut recording = Recording::default();
        let logits = model.forward(&ids, &mut recording).unwrap();
        assert_eq!(recording.get("logits").unwrap(), &logits);
        assert_eq!(model.logits(&ids).unwrap(), logits);
        let shapes: Vec<_> = recording.steps.iter().map(|step| step.tensor.size()).collect();
        assert_eq!(
            shapes,
            [vec![1, 4], vec![1, 4, 32], vec![1, 4, 128], vec![1, 4, 128], vec![1, 4, 32], vec![1, 4, 256]]
        );
    }

    #[test]
    fn a_prediction_depends_on_no_other_character() {
        let model = model();
        let alone = model.logits(&ids(&[101])).unwrap();
        let after_onc = model.logits(&ids(&[79, 110, 99, 101])).unwrap();
        assert!((alone.get(0).get(0) - after_onc.get(0).get(3)).abs().max().double_value(&[]) < 1e-6);
    }

    #[test]
    fn a_probe_can_change_what_comes_after() {
        struct NoHidden;
        impl Probe for NoHidden {
            fn at(&mut self, name: impl std::fmt::Display, tensor: Tensor) -> Tensor {
                if name.to_string() == "activated" { tensor.zeros_like() } else { tensor }
            }
        }
        let logits = model().forward(&ids(&[1, 2]), &mut NoHidden).unwrap();
        assert_eq!(logits.get(0).get(0), logits.get(0).get(1));
    }

    #[test]
    fn one_seed_gives_one_model() {
        let other = MlpLm::new(MlpConfig { seed: 1, ..MlpConfig::original() }, Device::Cpu).unwrap();
        assert_eq!(model().embedding, model().embedding);
        assert_ne!(model().embedding, other.embedding);
    }

    #[test]
    fn the_loss_looked_up_in_the_table_is_the_cross_entropy_with_its_gradient() {
        let model = model();
        let ids = Tensor::randint(256, [8, 65], (Kind::Int64, Device::Cpu));
        let (inputs, targets) = (ids.narrow(1, 0, 64), ids.narrow(1, 1, 64));
        let losses =
            [model.loss(&inputs, &targets).unwrap(), cross_entropy(&model.logits(&inputs).unwrap(), &targets).unwrap()];
        assert!((losses[0].double_value(&[]) - losses[1].double_value(&[])).abs() < 1e-5);
        let leaves: Vec<Tensor> = model.parameters().iter().map(|one| one.tensor.shallow_clone()).collect();
        let [looked_up, computed] = losses.map(|loss| Tensor::run_backward(&[loss], &leaves, false, false));
        for (one, other) in looked_up.iter().zip(&computed) {
            assert!((one - other).abs().max().double_value(&[]) < 1e-6);
        }
        assert!(model.loss(&inputs, &(targets + 256)).is_err(), "a target that is no character");
    }

    #[test]
    fn wrong_ids_are_errors_that_say_what_was_expected() {
        let model = model();
        let flat = model.logits(&Tensor::from_slice(&[1_i64, 2])).unwrap_err().to_string();
        assert!(flat.contains("(B, T)") && flat.contains("unsqueeze"), "{flat}");
        for outside in [256, -1] {
            let message = model.logits(&ids(&[outside])).unwrap_err().to_string();
            assert!(message.contains("0 to 255") && message.contains(&outside.to_string()), "{message}");
            assert!(model.loss(&ids(&[outside]), &ids(&[1])).is_err());
            assert!(model.loss(&ids(&[1]), &ids(&[outside])).is_err());
        }
    }
}
