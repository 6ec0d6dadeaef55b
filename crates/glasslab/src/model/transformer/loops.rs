//! Small models in plain loops over their numbers, on a processor: `writing`, and `learning` there and back.
//!
//! Of a small model, a character is some 25 operations of libtorch a block on a few hundred numbers each, and calling them takes
//! longer than computing them. Here is which models these loops are for, and what both ways begin with. Who looks (a probe) is shown the
//! forward pass itself.

#[cfg(target_arch = "x86_64")]
pub(super) mod learning;
mod writing;

pub(super) use writing::read;

use super::{Activation, Ngrams, TransformerConfig, TransformerLm};
use crate::model::attention::{AttentionConfig, Weighting};
use crate::slices::{add, is_walkable};
use std::borrow::Cow;
use tch::{Kind, Tensor};

/// Of a model with more numbers, a product is worth a call of libtorch.
const MOST_NUMBERS: i64 = 8_000_000;

/// Whether a model does what is written here, with few numbers of single precision, on a processor.
fn is_for_loops(model: &TransformerLm) -> bool {
    let TransformerConfig { n_vocab, emb_dim, n_layers, n_heads, n_kv_heads, head_dim, n_hidden, .. } = model.config;
    let rows = n_vocab + model.config.ngrams.map_or(0, |ngrams| ngrams.rows);
    n_layers * emb_dim * (3 * n_hidden + 4 * n_heads * head_dim) + rows * emb_dim <= MOST_NUMBERS
        && model.config.weighting == Weighting::Softmax
        && !model.config.previous_head
        && n_kv_heads > 0
        && n_heads % n_kv_heads == 0
        && is_walkable(&model.embedding)
        && model.precision == Kind::Float
        && is_as_made(model)
}

/// Whether the parts are still what the config says: they are public, and the forward pass asks them and not the config.
fn is_as_made(model: &TransformerLm) -> bool {
    let norms = model.blocks.iter().flat_map(|block| {
        let after = [&block.attention_norm, &block.mlp_norm].into_iter().flatten();
        [&block.norm1, &block.norm2].into_iter().chain(after)
    });
    let is_as_in_config = |(number, block): (usize, &super::Block)| {
        let AttentionConfig { qk_norm, window, epsilon, .. } = block.attention.config;
        let as_in_config = AttentionConfig { qk_norm, window, epsilon, ..model.config.attention(number as i64) };
        block.attention.config == as_in_config
    };
    model.ngrams.is_some() == model.config.ngrams.is_some()
        && norms.chain(&model.final_norm).all(|norm| norm.shift.is_none() || norm.scale.is_some())
        && model.blocks.iter().enumerate().all(is_as_in_config)
}

/// What the first block reads.
#[derive(Debug)]
struct Tables<'a> {
    embedding: Cow<'a, [f32]>,
    /// What its rows are multiplied by, if they are.
    scale: Option<f32>,
    position: Option<Cow<'a, [f32]>>,
    ngrams: Option<(Ngrams, Cow<'a, [f32]>)>,
}

impl<'a> Tables<'a> {
    /// `None` if a tensor is not what the config says; `numbers` of that size.
    fn of<'m>(
        model: &'m TransformerLm,
        numbers: impl Fn(&'m Tensor, &[i64]) -> Option<Cow<'a, [f32]>>,
    ) -> Option<Tables<'a>> {
        let TransformerConfig { n_vocab, emb_dim, context_len, ngrams, scaled_embedding, .. } = model.config;
        Some(Tables {
            embedding: numbers(&model.embedding, &[n_vocab, emb_dim])?,
            scale: scaled_embedding.then(|| (emb_dim as f32).sqrt()),
            position: optional(model.position.as_ref(), |position| numbers(position, &[context_len, emb_dim]))?,
            ngrams: optional(ngrams.as_ref(), |&ngrams| {
                Some((ngrams, numbers(model.ngrams.as_ref()?, &[ngrams.rows, emb_dim])?))
            })?,
        })
    }

    /// The rows of each text's ids, the first of which stands at `first`.
    ///
    /// # Shapes
    /// `known`: B · (those before that n-grams reach + T) → B · T · `width`
    #[inline(always)]
    fn read(&self, known: &[i64], first: usize, time: usize, width: usize) -> Vec<f32> {
        let before = self.ngrams.as_ref().map_or(0, |(ngrams, _)| ngrams.before());
        let mut x = Vec::with_capacity(known.len() * width);
        for text in known.chunks(before + time) {
            text[before..].iter().for_each(|&id| x.extend_from_slice(&self.embedding[id as usize * width..][..width]));
        }
        if let Some(scale) = self.scale {
            x.iter_mut().for_each(|x| *x *= scale);
        }
        if let Some(position) = &self.position {
            let place = |number| &position[(first + number % time) * width..][..width];
            x.chunks_exact_mut(width).enumerate().for_each(|(number, x)| add(x, place(number)));
        }
        if let Some((ngrams, table)) = &self.ngrams {
            let groups = known.chunks(before + time).flat_map(|text| text.windows(before + 1));
            for (x, group) in x.chunks_exact_mut(width).zip(groups) {
                ngrams.rows_of(group).into_iter().for_each(|row| add(x, &table[row as usize * width..][..width]));
            }
        }
        x
    }
}

/// `None` if they are none of single precision, or of another size.
fn numbers(tensor: &Tensor, size: &[i64]) -> Option<Vec<f32>> {
    let is_right = tensor.size() == size && tensor.kind() == Kind::Float;
    is_right.then(|| Vec::try_from(tensor.f_flatten(0, -1).ok()?).ok()).flatten()
}

/// `Some(None)` if there is no such tensor.
fn optional<'a, T, U>(tensor: Option<&'a T>, make: impl FnOnce(&'a T) -> Option<U>) -> Option<Option<U>> {
    tensor.map_or(Some(None), |tensor| make(tensor).map(Some))
}
