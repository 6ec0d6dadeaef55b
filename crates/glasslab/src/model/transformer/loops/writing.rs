//! The next characters of texts: the forward pass of [`TransformerLm`] for writing, the same steps in the same order.
//!
//! Many texts are shared out to threads. The scores are those of libtorch within 1e-5.

mod layers;

use super::{Activation, Ngrams, Tables, TransformerConfig, TransformerLm, is_for_loops, numbers, optional};
use crate::error::Result;
use crate::model::attention::AttentionConfig;
use crate::model::cache::{Cache, KvCache};
use crate::model::norm::Norm;
use crate::slices::{add, dot, is_walkable, walk_mut};
use layers::{Linear, Scaled, activate, bring_to_size, mean, normed, softmax};
use std::borrow::Cow;
use tch::{Kind, Tensor};

/// More characters of a text at once are worth calls of libtorch.
const MOST_AT_ONCE: i64 = 128;
/// So many characters are worth a thread.
const WORTH_A_THREAD: usize = 16;

/// The scores after the last of `ids`, which continue what the cache has seen; `None` if they are too many, the model is none for
/// loops, or something is wrong with them: then the forward pass computes them, or says what.
///
/// # Shapes
/// `ids`: (B, T) → (B, V)
pub(in super::super) fn read(model: &TransformerLm, ids: &Tensor, cache: &mut Cache) -> Result<Option<Tensor>> {
    let [texts @ 1..=i64::MAX, time @ 1..=MOST_AT_ONCE] = ids.size()[..] else { return Ok(None) };
    let (first, config) = (cache.len, &model.config);
    let keeps = |block: &KvCache| {
        let (keys, values) = (&block.keys, &block.values);
        keys.size()[..2] == [texts, config.n_kv_heads]
            && keys.size() == values.size()
            && is_walkable(keys)
            && is_walkable(values)
    };
    let before = config.ngrams.map_or(0, Ngrams::before);
    let has_room = first + time <= config.context_len
        && cache.blocks.len() == model.blocks.len()
        && cache.recent.as_ref().is_none_or(|recent| recent.size() == [texts, before as i64]);
    if !(has_room && ids.kind() == Kind::Int64 && cache.blocks.iter().all(keeps)) {
        return Ok(None);
    }
    let ids = Vec::<i64>::try_from(ids.f_flatten(0, -1)?)?;
    let is_known = ids.iter().all(|id| (0..config.n_vocab).contains(id));
    if cache.prepared.is_none() && is_known && is_for_loops(model) {
        cache.prepared = Loops::of(model).map(|loops| Box::new(loops) as Box<_>);
    }
    let prepared = cache.prepared.as_ref().filter(|_| is_known);
    let Some(loops) = prepared.and_then(|prepared| prepared.downcast_ref::<Loops>()) else { return Ok(None) };
    let (first, time, each) = (first as usize, time as usize, texts as usize);
    let known = match &cache.recent {
        Some(recent) if before > 0 => Vec::<i64>::try_from(recent.f_flatten(0, -1)?)?,
        _ => vec![-1; each * before],
    };
    let known: Vec<i64> =
        (0..each).flat_map(|text| [&known[text * before..][..before], &ids[text * time..][..time]].concat()).collect();
    if before > 0 {
        let recent: Vec<i64> = known.chunks(before + time).flat_map(|text| &text[time..]).copied().collect();
        cache.recent = Some(Tensor::f_from_slice(&recent)?.f_view([texts, before as i64])?);
    }
    let most = each.min(tch::get_num_threads().max(1) as usize);
    let threads = (ids.len() / WORTH_A_THREAD).clamp(1, most);
    let share = each.div_ceil(threads); // texts of a thread
    let mut shares: Vec<Vec<[&mut [f32]; 2]>> = Vec::new();
    shares.resize_with(threads, Vec::new);
    for block in &mut cache.blocks {
        block.make_room(time as i64)?;
        block.len += time as i64;
        let size = share * block.keys.numel() / each;
        // SAFETY: the cache is borrowed, and nobody else has a handle to its numbers.
        let (keys, values) = unsafe { (walk_mut(&mut block.keys), walk_mut(&mut block.values)) };
        let parts = keys.chunks_mut(size).zip(values.chunks_mut(size));
        shares.iter_mut().zip(parts).for_each(|(share, (keys, values))| share.push([keys, values]));
    }
    cache.len += time as i64;
    let mut parts = known.chunks(share * (before + time)).zip(shares);
    let logits: Vec<f32> = std::thread::scope(|scope| {
        let own = parts.next();
        let others: Vec<_> =
            parts.map(|(known, kept)| scope.spawn(|| loops.scores(known, first, time, kept))).collect();
        let mut logits = own.map_or_else(Vec::new, |(known, kept)| loops.scores(known, first, time, kept));
        others
            .into_iter()
            .for_each(|other| logits.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))));
        logits
    });
    Ok(Some(Tensor::f_from_slice(&logits)?.f_view([texts, config.n_vocab])?))
}

/// A model's numbers, laid out for loops: those that it had when a cache first read a text.
#[derive(Debug)]
struct Loops {
    config: TransformerConfig,
    tables: Tables<'static>,
    blocks: Vec<Block>,
    last: Option<Scaled>,
    head: Linear,
}

#[derive(Debug)]
struct Block {
    attention: AttentionConfig,
    /// Before and after the attention, before and after the MLP.
    norms: [Option<Scaled>; 4],
    qkv: Linear,
    scales: Option<[Vec<f32>; 2]>,
    turns: Option<Vec<f32>>,
    output: Linear,
    up: Linear,
    gate: Option<Linear>,
    down: Linear,
}

impl Loops {
    /// `None` if a tensor is not what the config says.
    fn of(model: &TransformerLm) -> Option<Loops> {
        let TransformerConfig { n_vocab, emb_dim, n_hidden, n_heads, n_kv_heads, head_dim, context_len, .. } =
            model.config;
        let scaled = |norm: &Norm| {
            let learnt = |tensor: &Option<Tensor>| optional(tensor.as_ref(), |tensor| numbers(tensor, &[emb_dim]));
            Some(Scaled { scale: learnt(&norm.scale)?, shift: learnt(&norm.shift)?, epsilon: norm.epsilon })
        };
        let block = |block: &super::super::Block| {
            let (attention, mlp, extras) = (&block.attention, &block.mlp, &block.attention.extras);
            let (joined, biases) = (n_heads * head_dim, mlp.biases.as_ref());
            let turns = model.rotary_of(block).map(|rotary| rotary.turns.view_as_real()); // (T, D/2, 2)
            Some(Block {
                attention: attention.config,
                norms: [
                    Some(scaled(&block.norm1)?),
                    optional(block.attention_norm.as_ref(), scaled)?,
                    Some(scaled(&block.norm2)?),
                    optional(block.mlp_norm.as_ref(), scaled)?,
                ],
                qkv: Linear::of(
                    &attention.qkv_weight,
                    [joined + 2 * n_kv_heads * head_dim, emb_dim],
                    extras.qkv_bias.as_ref(),
                )?,
                scales: optional(extras.qk_scales.as_ref(), |[queries, keys]| {
                    Some([numbers(queries, &[head_dim])?, numbers(keys, &[head_dim])?])
                })?,
                turns: optional(turns.as_ref(), |turns| numbers(turns, &[context_len, head_dim / 2, 2]))?,
                output: Linear::of(&attention.output_weight, [emb_dim, joined], extras.output_bias.as_ref())?,
                up: Linear::of(&mlp.hidden_weight, [n_hidden, emb_dim], biases.map(|biases| &biases.0))?,
                gate: optional(mlp.gate_weight.as_ref(), |gate| Linear::of(gate, [n_hidden, emb_dim], None))?,
                down: Linear::of(&mlp.output_weight, [emb_dim, n_hidden], biases.map(|biases| &biases.1))?,
            })
        };
        Some(Loops {
            config: model.config,
            tables: Tables::of(model, |tensor, size| numbers(tensor, size).map(Cow::Owned))?,
            blocks: model.blocks.iter().map(block).collect::<Option<_>>()?,
            last: optional(model.final_norm.as_ref(), scaled)?,
            head: Linear::of(model.head.as_ref().unwrap_or(&model.embedding), [n_vocab, emb_dim], None)?,
        })
    }

    /// [`pass`](Self::pass) with what the processor has.
    fn scores(&self, known: &[i64], first: usize, time: usize, kept: Vec<[&mut [f32]; 2]>) -> Vec<f32> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            #[target_feature(enable = "avx2")]
            fn by_eights(
                loops: &Loops,
                known: &[i64],
                first: usize,
                time: usize,
                kept: Vec<[&mut [f32]; 2]>,
            ) -> Vec<f32> {
                loops.pass(known, first, time, kept)
            }
            // SAFETY: it has these instructions.
            return unsafe { by_eights(self, known, first, time, kept) };
        }
        self.pass(known, first, time, kept)
    }

    /// The scores after the last of each text's ids, the first of which stands at `first`.
    ///
    /// # Shapes
    /// `known`: B · (those before that n-grams reach + T) · `kept`: keys and values (B · K · room · D) of each block → B · V
    #[inline(always)]
    fn pass(&self, known: &[i64], first: usize, time: usize, kept: Vec<[&mut [f32]; 2]>) -> Vec<f32> {
        let width = self.config.emb_dim as usize;
        let mut x = self.tables.read(known, first, time, width); // B · T · C
        let last =
            |x: &[f32]| x.chunks_exact(time * width).flat_map(|text| &text[(time - 1) * width..]).copied().collect();
        for (number, (block, kept)) in self.blocks.iter().zip(kept).enumerate() {
            let [before, after, before_mlp, after_mlp] = &block.norms;
            let is_last = number + 1 == self.blocks.len();
            let attended = block.look_back(&normed(before, x.clone(), width), first, time, kept, is_last);
            if is_last {
                x = last(&x); // B · C
            }
            add(&mut x, &normed(after, attended, width));
            let thought = block.think(self.config.activation, &normed(before_mlp, x.clone(), width));
            add(&mut x, &normed(after_mlp, thought, width));
        }
        if self.blocks.is_empty() {
            x = last(&x);
        }
        self.head.forward(&normed(&self.last, x, width))
    }
}

impl Block {
    /// The attention of the next characters, in the last block of the last ones only: of the others, keys and values are kept.
    #[inline(always)]
    fn look_back(&self, x: &[f32], first: usize, time: usize, [keys, values]: [&mut [f32]; 2], last: bool) -> Vec<f32> {
        let config = &self.attention;
        let [heads, kv_heads, dim] = [config.n_heads, config.n_kv_heads, config.head_dim].map(|size| size as usize);
        let all = (heads + 2 * kv_heads) * dim;
        let mut qkv = self.qkv.forward(x); // B · T · (H + 2·K) · D
        let room = keys.len() / (qkv.len() / (all * time) * kv_heads * dim);
        for (row, numbers) in qkv.chunks_exact_mut(all).enumerate() {
            let (text, place) = (row / time, first + row % time);
            for (number, head) in numbers.chunks_exact_mut(dim).take(heads + kv_heads).enumerate() {
                if config.qk_norm {
                    bring_to_size(head, config.epsilon);
                }
                if let Some(scales) = &self.scales {
                    head.iter_mut().zip(&scales[usize::from(number >= heads)]).for_each(|(x, scale)| *x *= scale);
                }
                let turns = self.turns.iter().flat_map(|turns| turns[place * dim..].as_chunks::<2>().0);
                for ([a, b], [cos, sin]) in head.as_chunks_mut::<2>().0.iter_mut().zip(turns) {
                    (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
                }
            }
            let (own_keys, own_values) = numbers[heads * dim..].split_at(kv_heads * dim);
            for head in 0..kv_heads {
                let start = ((text * kv_heads + head) * room + place) * dim;
                keys[start..][..dim].copy_from_slice(&own_keys[head * dim..][..dim]);
                values[start..][..dim].copy_from_slice(&own_values[head * dim..][..dim]);
            }
        }
        let mut mixed = Vec::with_capacity(qkv.len()); // B · T · H · D, or B · H · D
        let (mut weights, scale) = (Vec::new(), (dim as f32).sqrt().recip());
        for (row, numbers) in qkv.chunks_exact(all).enumerate().filter(|(row, _)| !last || row % time + 1 == time) {
            let (text, seen) = (row / time, first + row % time + 1);
            let from = config.window.map_or(0, |window| seen.saturating_sub(window as usize));
            for (head, query) in numbers[..heads * dim].chunks_exact(dim).enumerate() {
                let start = (text * kv_heads + head * kv_heads / heads) * room;
                let near = (start + from) * dim..(start + seen) * dim;
                weights.clear();
                for key in keys[near.clone()].chunks_exact(dim) {
                    weights.push(dot(query, key) * scale);
                }
                softmax(&mut weights);
                let start = mixed.len();
                mixed.resize(start + dim, 0.0);
                mean(&weights, &values[near], &mut mixed[start..]);
            }
        }
        self.output.forward(&mixed)
    }

    /// The MLP.
    #[inline(always)]
    fn think(&self, activation: Activation, x: &[f32]) -> Vec<f32> {
        let mut hidden = self.up.forward(x); // B · N
        match &self.gate {
            None => activate(activation, &mut hidden),
            Some(gate) => {
                let mut gate = gate.forward(x);
                activate(activation, &mut gate);
                hidden.iter_mut().zip(gate).for_each(|(hidden, gate)| *hidden *= gate);
            }
        }
        self.down.forward(&hidden)
    }
}
