//! What the transformer does as a language model: it scores, learns, and reads on with a cache, by loops where they can.

use super::{TransformerConfig, TransformerLm, is_long, loops};
use crate::error::Result;
use crate::model::cache::{Cache, KvCache};
use crate::model::{
    LanguageModel, ModelConfig, NoProbe, Parameter, Trainable, Trained, cross_entropy, gradients, ids_on,
};
use crate::tokenizer::AnyTokenizer;
use tch::{Device, Tensor};

impl LanguageModel for TransformerLm {
    fn logits(&self, ids: &Tensor) -> Result<Tensor> {
        self.forward(ids, &mut NoProbe)
    }

    fn logits_from(&self, ids: &Tensor, first: i64) -> Result<Tensor> {
        #[cfg(target_arch = "x86_64")]
        if let Some(scores) = loops::learning::logits_from(self, ids, first)? {
            return Ok(scores);
        }
        self.run(ids, is_long(ids), first, None, &mut NoProbe)
    }

    fn new_cache(&self, batch: i64) -> Result<Option<Cache>> {
        let TransformerConfig { context_len, n_kv_heads, head_dim, .. } = self.config;
        let block = |_| KvCache::new(batch, n_kv_heads, context_len, head_dim, (self.precision(), self.device()));
        Ok(Some(Cache { blocks: (0..self.config.n_layers).map(block).collect::<Result<_>>()?, ..Cache::default() }))
    }

    fn loss(&self, ids: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let targets = ids_on(self.device(), targets, self.config.n_vocab)?;
        cross_entropy(&self.run(ids, true, 0, None, &mut NoProbe)?, &targets)
    }

    fn read(&self, ids: &Tensor, cache: &mut Cache) -> Result<Tensor> {
        match loops::read(self, ids, cache)? {
            Some(scores) => Ok(scores),
            None => self.read_seen(ids, cache, &mut NoProbe),
        }
    }

    fn n_vocab(&self) -> i64 {
        self.config.n_vocab
    }

    fn tokenizer(&self) -> AnyTokenizer {
        self.tokenizer.clone()
    }

    fn context_len(&self) -> i64 {
        self.config.context_len
    }

    fn max_len(&self) -> Option<i64> {
        Some(self.config.context_len)
    }

    fn device(&self) -> Device {
        self.embedding.device()
    }
}

impl Trainable for TransformerLm {
    fn parameters(&self) -> Vec<Parameter> {
        TransformerLm::parameters(self)
    }

    fn loss_and_gradients(&self, ids: &Tensor, targets: &Tensor) -> Result<(Tensor, Vec<Tensor>)> {
        #[cfg(target_arch = "x86_64")]
        if let Some(found) = loops::learning::loss_and_gradients(self, ids, targets)? {
            return Ok(found);
        }
        let loss = self.loss(ids, targets)?;
        let gradients = gradients(&self.parameters(), &loss)?;
        Ok((loss.detach(), gradients))
    }

    fn settings(&self) -> Option<ModelConfig> {
        Some(ModelConfig::Transformer(self.config))
    }

    fn learnt_from(&mut self, trained: Trained) {
        self.trained = Some(trained);
    }

    fn trained(&self) -> Option<&Trained> {
        self.trained.as_ref()
    }
}
