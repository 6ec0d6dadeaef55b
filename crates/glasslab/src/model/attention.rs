//! Self-attention: each character looks back at earlier ones and takes what it needs from them.
//!
//! ```text
//! queries = x · Wqᵀ    what do I want to know?
//! keys    = x · Wkᵀ    what can be found here?
//! values  = x · Wvᵀ    what is told to those who look?
//! scores  = queries · keysᵀ / √D
//! weights = softmax(scores), after the future has been set to −∞
//! output  = weights · values
//! ```
//! Source: Vaswani et al., "Attention is all you need", 2017, eq. 1 and section 3.2.2.
//!
//! Three depths: [`Head`] is one head from three projections, to be read first. [`MultiHeadAttention`] does all
//! heads in one product; where nobody looks, the fused [`attend_unseen`] spares it the weights. With a [`KvCache`] it takes
//! a text piece by piece and computes nothing twice.

use super::cache::KvCache;
use super::norm::{EPSILON, rms_norm_with};
use super::rotary::Rotary;
use super::start::Start;
use super::{NoProbe, Parameter, Probe, linear, to_precision};
use crate::error::{Error, Result};
use crate::rng::Rng;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use tch::{Device, Kind, Tensor};

/// How scores become weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    /// The characters compete: each row of weights sums to 1.
    Softmax,
    /// Each weight by itself, σ(score − ln n) where n characters can be seen; rows sum to what they like
    /// (Ramapuram et al. 2024).
    Sigmoid,
}

/// What attention gives: the outputs, and the weights that they were mixed with.
#[derive(Debug)]
pub struct Attended {
    /// (…, T, D)
    pub output: Tensor,
    /// (…, T, T): row t says where character t looks; with softmax, each row sums to 1
    pub weights: Tensor,
}

/// Causal scaled dot-product attention.
///
/// # Shapes
/// `queries`, `keys`, `values`: (…, T, D) → `output` (…, T, D), `weights` (…, T, T)
///
/// # Errors
/// If the shapes don't belong together.
pub fn attend(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    name: impl Display,
    probe: &mut impl Probe,
) -> Result<Attended> {
    let weights = weigh(queries, keys, Weighting::Softmax, &name, probe)?;
    mix(weights, values, &name, probe)
}

/// The output of [`attend`] without its weights, which are never there as a whole: the memory needed grows with T, not
/// with T². Libtorch's fused kernel (Dao et al. 2022, "FlashAttention").
///
/// # Shapes
/// `queries`: (B, H, Q, D) · `keys`, `values`: (B, K, T, D) → (B, H, Q, D), where Q is T or 1, and H heads share K keys and
/// values
///
/// # Errors
/// If the shapes don't belong together.
pub fn attend_unseen(queries: &Tensor, keys: &Tensor, values: &Tensor) -> Result<Tensor> {
    let ((batch, n_heads, rows, head_dim), n_kv_heads) = (queries.size4()?, keys.size4()?.1);
    if n_kv_heads == n_heads {
        return fused(queries, keys, values, None, rows > 1); // a single query is the last character's: it sees all
    }
    if rows == 1 {
        // Heads that share keys are so many queries of them.
        let queries = queries.f_reshape([batch, n_kv_heads, n_heads / n_kv_heads, head_dim])?; // (B, K, H/K, D)
        return Ok(fused(&queries, keys, values, None, false)?.f_reshape([batch, n_heads, 1, head_dim])?);
    }
    fused(queries, &shared(keys, n_heads)?, &shared(values, n_heads)?, None, true)
}

/// [`attend_unseen`] where each query sees the `window` keys up to its own, and nothing before them.
///
/// # Shapes
/// As [`attend_unseen`], with any Q ≤ T.
fn attend_near_unseen(queries: &Tensor, keys: &Tensor, values: &Tensor, window: i64) -> Result<Tensor> {
    let ((_, n_heads, rows, _), columns) = (queries.size4()?, keys.size4()?.2);
    if rows == 1 {
        let near = |x: &Tensor| x.f_narrow(2, columns - window, window);
        return attend_unseen(queries, &near(keys)?, &near(values)?);
    }
    let nothing = Tensor::f_zeros([rows, columns], (Kind::Float, keys.device()))?;
    let mask = to_precision(mask_far(&mask_future(&nothing)?, window)?, queries.kind())?; // (Q, T)
    fused(queries, &shared(keys, n_heads)?, &shared(values, n_heads)?, Some(&mask), false)
}

fn fused(queries: &Tensor, keys: &Tensor, values: &Tensor, mask: Option<&Tensor>, causal: bool) -> Result<Tensor> {
    Ok(Tensor::f_scaled_dot_product_attention(queries, keys, values, mask, 0.0, causal, None, false)?)
}

/// The keys or values of each head, of those that heads share: each serves H / K heads that follow one another.
///
/// # Shapes
/// (B, K, T, D) → (B, H, T, D)
fn shared(x: &Tensor, n_heads: i64) -> Result<Tensor> {
    match x.size4()?.1 {
        n_kv_heads if n_kv_heads < n_heads => Ok(x.f_repeat_interleave_self_int(n_heads / n_kv_heads, 1, None)?),
        _ => Ok(x.shallow_clone()),
    }
}

/// From so many characters on, a model's logits are computed by [`attend_unseen`] where nobody looks. Those of a shorter
/// text, which is traced, are the trace's to the last bit.
pub const UNSEEN_FROM: i64 = 128;

/// Where each query looks.
///
/// # Shapes
/// `queries`: (…, Q, D) · `keys`: (…, T, D) → (…, Q, T). With Q < T, the queries are those of the last characters.
///
/// # Errors
/// If the shapes don't belong together.
pub fn weigh(
    queries: &Tensor,
    keys: &Tensor,
    weighting: Weighting,
    name: impl Display,
    probe: &mut impl Probe,
) -> Result<Tensor> {
    weigh_near(queries, keys, weighting, None, name, probe)
}

/// [`weigh`], where each query sees no more than the `window` keys up to its own.
fn weigh_near(
    queries: &Tensor,
    keys: &Tensor,
    weighting: Weighting,
    window: Option<i64>,
    name: impl Display,
    probe: &mut impl Probe,
) -> Result<Tensor> {
    let head_dim = queries.size().last().copied().unwrap_or(1);
    // The queries are divided instead of the scores, which are many more: T² of them, not T·D.
    let scores = queries.f_div_scalar((head_dim as f64).sqrt())?.f_matmul(&keys.f_transpose(-2, -1)?)?;
    let scores = probe.at(format_args!("{name}.scores"), scores); // (…, Q, T)
    let mut masked = mask_future(&scores)?;
    if let Some(window) = window {
        masked = mask_far(&masked, window)?;
    }
    let masked = probe.at(format_args!("{name}.masked"), masked); // (…, Q, T)
    match weighting {
        Weighting::Softmax => Ok(masked.f_softmax(-1, masked.kind())?), // (…, Q, T)
        Weighting::Sigmoid => {
            let [.., rows, columns] = masked.size()[..] else { unreachable!("mask_future has checked the shape") };
            let options = (masked.kind(), masked.device());
            let seen = Tensor::f_arange_start(columns - rows + 1, columns + 1, options)?; // (Q)
            Ok(masked.f_sub(&seen.f_log()?.f_unsqueeze(-1)?)?.f_sigmoid()?)
        }
    }
}

fn mix(weights: Tensor, values: &Tensor, name: impl Display, probe: &mut impl Probe) -> Result<Attended> {
    let weights = probe.at(format_args!("{name}.weights"), weights); // (…, Q, T)
    let output = to_precision(weights.shallow_clone(), values.kind())?.f_matmul(values)?;
    let output = probe.at(format_args!("{name}.heads"), output); // (…, Q, D)
    Ok(Attended { output, weights })
}

/// Scores with −∞ wherever a character would look at a later one: softmax makes 0 of it.
///
/// # Shapes
/// (…, Q, T) → (…, Q, T), the Q rows being those of the last characters; in float32 at least
///
/// # Errors
/// If there are more rows than columns.
pub fn mask_future(scores: &Tensor) -> Result<Tensor> {
    let size = scores.size();
    match size[..] {
        [.., rows, columns] if rows <= columns => {
            let everywhere = Tensor::f_full([rows, columns], f64::NEG_INFINITY, (Kind::Float, scores.device()))?;
            let future = everywhere.f_triu(1 + columns - rows)?; // (Q, T): −∞ above the diagonal, else 0
            Ok(scores.f_add(&future)?)
        }
        _ => Err(Error::Shape {
            expected: "scores of shape (…, T, T), or (…, Q, T) for the last Q characters".to_owned(),
            got: format!("{size:?}"),
            hint: "multiply the queries by the transposed keys first".to_owned(),
        }),
    }
}

/// Scores with −∞ wherever a character would look at one that is `window` or more places before it: a sliding window
/// (Beltagy et al. 2020).
///
/// # Shapes
/// (…, Q, T) → (…, Q, T), the Q rows being those of the last characters; in float32 at least
///
/// # Errors
/// If they are no scores of that shape.
pub fn mask_far(scores: &Tensor, window: i64) -> Result<Tensor> {
    let [.., rows, columns] = scores.size()[..] else { return mask_future(scores) };
    let everywhere = Tensor::f_full([rows, columns], f64::NEG_INFINITY, (Kind::Float, scores.device()))?;
    let far = everywhere.f_tril(columns - rows - window)?; // (Q, T): −∞ where it is too far, else 0
    Ok(scores.f_add(&far)?)
}

/// So many heads, and the rest.
///
/// # Shapes
/// (B, H, T, D) → (B, `sizes[0]`, T, D), (B, `sizes[1]`, T, D)
fn parted(heads: &Tensor, sizes: [i64; 2]) -> Result<[Tensor; 2]> {
    let parts = heads.f_split_with_sizes(sizes, 1)?;
    Ok(<[Tensor; 2]>::try_from(parts).unwrap_or_else(|_| unreachable!("one part for each size")))
}

/// The weights of a head that is not learnt: each character looks at the one before it, the first at itself.
///
/// # Shapes
/// → (Q, T), for the last Q of T characters
///
/// # Errors
/// If there are more rows than columns.
pub fn previous_character(rows: i64, columns: i64, device: Device) -> Result<Tensor> {
    let place = Tensor::f_arange_start(columns - rows, columns, (Kind::Int64, device))?; // (Q)
    let before = place.f_sub_scalar(1)?.f_clamp_min(0)?; // (Q)
    Ok(before.f_one_hot(columns)?.f_to_kind(Kind::Float)?)
}

/// One attention head, from three projections without bias.
#[derive(Debug)]
pub struct Head {
    /// Wq: (D, C)
    pub query_weight: Tensor,
    /// Wk: (D, C)
    pub key_weight: Tensor,
    /// Wv: (D, C)
    pub value_weight: Tensor,
}

impl Head {
    /// A head with random weights, drawn from `rng`.
    ///
    /// # Errors
    /// If a size is below 1.
    pub fn new(emb_dim: i64, head_dim: i64, rng: &mut Rng, device: Device) -> Result<Head> {
        let mut start = Start::drawn(rng, device);
        let mut weight = || start.weight([head_dim, emb_dim], emb_dim);
        Ok(Head { query_weight: weight()?, key_weight: weight()?, value_weight: weight()? })
    }

    /// Each character's mix of what the characters up to it tell.
    ///
    /// # Shapes
    /// `x`: (B, T, C) → `output` (B, T, D), `weights` (B, T, T)
    ///
    /// # Errors
    /// If `x` is not of that shape.
    pub fn forward(&self, x: &Tensor, probe: &mut impl Probe) -> Result<Attended> {
        let queries = probe.at("head.queries", x.f_linear(&self.query_weight, None::<&Tensor>)?); // (B, T, D)
        let keys = probe.at("head.keys", x.f_linear(&self.key_weight, None::<&Tensor>)?); // (B, T, D)
        let values = probe.at("head.values", x.f_linear(&self.value_weight, None::<&Tensor>)?); // (B, T, D)
        attend(&queries, &keys, &values, "head", probe)
    }
}

/// The sizes and choices of a [`MultiHeadAttention`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionConfig {
    /// C: how many numbers stand for a character.
    pub emb_dim: i64,
    /// H: the number of heads.
    pub n_heads: i64,
    /// K: how many different keys and values they share; H: each head has its own, 1: multi-query attention
    /// (Shazeer 2019), between: grouped (Ainslie et al. 2023).
    pub n_kv_heads: i64,
    /// D: the width of a head.
    pub head_dim: i64,
    /// Whether queries and keys are brought to one length (Henry et al. 2020), so that no score can run away.
    pub qk_norm: bool,
    /// How scores become weights.
    pub weighting: Weighting,
    /// Whether the first head is not learnt, but always looks at the character before.
    pub previous_head: bool,
    /// Whether queries and keys, brought to one length, have a learnt scale.
    pub qk_scale: bool,
    /// What keeps that from dividing by 0.
    pub epsilon: f64,
    /// Whether the projections to queries, keys and values have a bias.
    pub qkv_bias: bool,
    /// Whether the projection of the joined heads has one.
    pub output_bias: bool,
    /// How many characters it sees, the current one included; `None`: all up to it.
    pub window: Option<i64>,
}

impl AttentionConfig {
    /// Attention as it was first written down: each head has its own keys and values, and there is nothing beside the matrices.
    pub fn plain(emb_dim: i64, n_heads: i64, head_dim: i64) -> AttentionConfig {
        AttentionConfig {
            emb_dim,
            n_heads,
            n_kv_heads: n_heads,
            head_dim,
            qk_norm: false,
            weighting: Weighting::Softmax,
            previous_head: false,
            qk_scale: false,
            epsilon: EPSILON,
            qkv_bias: false,
            output_bias: false,
            window: None,
        }
    }
}

/// Many heads at once: one product makes all queries, keys and values, one joins all outputs.
#[derive(Debug)]
pub struct MultiHeadAttention {
    /// Its sizes and choices.
    pub config: AttentionConfig,
    /// Wq of all heads, then Wk, then Wv, one below the other: ((H + 2·K)·D, C)
    pub qkv_weight: Tensor,
    /// Wo: (C, H·D)
    pub output_weight: Tensor,
    /// What else is learnt in the attention of some families.
    pub extras: AttentionExtras,
}

/// What stands beside the matrices of a [`MultiHeadAttention`], if anything does.
#[derive(Debug, Default)]
pub struct AttentionExtras {
    /// Added to queries, keys and values: ((H + 2·K)·D)
    pub qkv_bias: Option<Tensor>,
    /// Added to the output: (C)
    pub output_bias: Option<Tensor>,
    /// By what each number of a query, and of a key, is multiplied once they have one length: (D) each, the same for all heads.
    pub qk_scales: Option<[Tensor; 2]>,
}

impl AttentionExtras {
    /// Biases of 0 and scales of 1.
    fn with(config: AttentionConfig, start: &Start<'_>) -> Result<AttentionExtras> {
        let AttentionConfig { emb_dim, n_heads, n_kv_heads, head_dim, .. } = config;
        let learnt = |is: bool, size: i64, value: f64| -> Result<Option<Tensor>> {
            if is { start.full(&[size], value).map(Some) } else { Ok(None) }
        };
        let scale = || learnt(config.qk_norm && config.qk_scale, head_dim, 1.0);
        Ok(AttentionExtras {
            qkv_bias: learnt(config.qkv_bias, (n_heads + 2 * n_kv_heads) * head_dim, 0.0)?,
            output_bias: learnt(config.output_bias, emb_dim, 0.0)?,
            qk_scales: scale()?.zip(scale()?).map(|(queries, keys)| [queries, keys]),
        })
    }
}

impl MultiHeadAttention {
    /// Attention with random projections, drawn from `rng`, and an output of zero: a new block leaves its input as
    /// it is.
    ///
    /// # Errors
    /// If a size is below 1, or `n_kv_heads` does not divide `n_heads`.
    pub fn new(config: AttentionConfig, rng: &mut Rng, device: Device) -> Result<MultiHeadAttention> {
        MultiHeadAttention::with(config, &mut Start::drawn(rng, device))
    }

    pub(super) fn with(config: AttentionConfig, start: &mut Start<'_>) -> Result<MultiHeadAttention> {
        let AttentionConfig { emb_dim, n_heads, n_kv_heads, head_dim, .. } = config;
        if [emb_dim, n_heads, n_kv_heads, head_dim].iter().any(|&size| size < 1) || n_heads % n_kv_heads != 0 {
            return Err(Error::Config(format!(
                "sizes must be at least 1 and n_kv_heads must divide n_heads (1, or n_heads itself, always does), \
                 got emb_dim {emb_dim}, n_heads {n_heads}, n_kv_heads {n_kv_heads}, head_dim {head_dim}"
            )));
        }
        Ok(MultiHeadAttention {
            config,
            qkv_weight: start.weight([(n_heads + 2 * n_kv_heads) * head_dim, emb_dim], emb_dim)?,
            output_weight: start.zeros(&[emb_dim, n_heads * head_dim])?,
            extras: AttentionExtras::with(config, start)?,
        })
    }

    /// The heads' mixes, joined. With `rotary`, queries and keys are turned by their position first; with a
    /// `cache`, `x` continues the characters whose keys and values are in there.
    ///
    /// # Shapes
    /// `x`: (B, Q, C) → `output` (B, Q, C), `weights` (B, H, Q, T); Q = T without a cache
    ///
    /// # Errors
    /// If `x` is not of that shape, or the cache has no room.
    pub fn forward(
        &self,
        x: &Tensor,
        rotary: Option<&Rotary>,
        cache: Option<&mut KvCache>,
        name: impl Display,
        probe: &mut impl Probe,
    ) -> Result<Attended> {
        let (queries, keys, values) = self.project(x, rotary, cache, &name, probe)?;
        let AttentionConfig { n_heads, weighting, window, .. } = self.config;
        let (keys, values) = (shared(&keys, n_heads)?, shared(&values, n_heads)?); // (B, H, T, D) each
        let mut weights = weigh_near(&queries, &keys, weighting, window, &name, probe)?; // (B, H, Q, T)
        if self.config.previous_head {
            let (batch, n_heads, rows, columns) = weights.size4()?;
            let fixed = previous_character(rows, columns, weights.device())?;
            let fixed = to_precision(fixed, weights.kind())?.f_expand([batch, 1, rows, columns], false)?;
            weights = Tensor::f_cat(&[fixed, weights.f_narrow(1, 1, n_heads - 1)?], 1)?;
        }
        let Attended { output, weights } = mix(weights, &values, &name, probe)?;
        Ok(Attended { output: self.join(&output, &name, probe)?, weights })
    }

    /// The output of [`forward`](Self::forward), by the fused kernel where it can: it knows no weights but softmax's, no
    /// hard-coded head, and no piece of a text that begins in its middle.
    ///
    /// # Shapes
    /// `x`: (B, Q, C) → (B, Q, C)
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub(super) fn output_unseen(
        &self,
        x: &Tensor,
        rotary: Option<&Rotary>,
        cache: Option<&mut KvCache>,
    ) -> Result<Tensor> {
        let AttentionConfig { weighting, previous_head, window, .. } = self.config;
        let is_usual = weighting == Weighting::Softmax && !previous_head;
        // A single query sees all keys; several see those up to their own only if there are as many keys.
        let is_causal = x.size3()?.1 == 1 || cache.as_ref().is_none_or(|cache| cache.len == 0);
        if !(is_usual && is_causal) {
            return Ok(self.forward(x, rotary, cache, "", &mut NoProbe)?.output);
        }
        let (queries, keys, values) = self.project(x, rotary, cache, "", &mut NoProbe)?;
        let output = match window {
            Some(window) if window < keys.size4()?.2 => attend_near_unseen(&queries, &keys, &values, window)?,
            _ => attend_unseen(&queries, &keys, &values)?,
        };
        self.join(&output, "", &mut NoProbe)
    }

    /// The heads' queries, and the keys and values of all characters, those in the cache included.
    ///
    /// # Shapes
    /// `x`: (B, Q, C) → (B, H, Q, D), (B, K, T, D), (B, K, T, D)
    fn project(
        &self,
        x: &Tensor,
        rotary: Option<&Rotary>,
        cache: Option<&mut KvCache>,
        name: impl Display,
        probe: &mut impl Probe,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        let AttentionConfig { n_heads, n_kv_heads, head_dim, qk_norm, epsilon, .. } = self.config;
        let (batch, time, _) = x.size3()?;
        let qkv = linear(x, &self.qkv_weight, self.extras.qkv_bias.as_ref())?; // (B, Q, (H + 2·K)·D)
        let qkv = qkv.f_view([batch, time, n_heads + 2 * n_kv_heads, head_dim])?.f_transpose(1, 2)?;
        // Parted at once: each part taken by itself would get a gradient for the whole, mostly zeros.
        let [mut queries_keys, values] = parted(&qkv, [n_heads + n_kv_heads, n_kv_heads])?; // (B, H + K, Q, D), (B, K, Q, D)
        if qk_norm {
            queries_keys = self.scale(rms_norm_with(&queries_keys, epsilon)?)?;
        }
        if let Some(rotary) = rotary {
            let unturned = probe.at(format_args!("{name}.unturned"), queries_keys); // (B, H + K, Q, D)
            queries_keys = rotary.turn(&unturned, cache.as_ref().map_or(0, |cache| cache.len))?;
        }
        let [queries, keys] = parted(&queries_keys, [n_heads, n_kv_heads])?;
        let queries = probe.at(format_args!("{name}.queries"), queries); // (B, H, Q, D)
        let keys = probe.at(format_args!("{name}.keys"), keys); // (B, K, Q, D)
        let values = probe.at(format_args!("{name}.values"), values); // (B, K, Q, D)
        let (keys, values) = match cache {
            Some(cache) => cache.extend(&keys, &values)?, // (B, K, T, D) each
            None => (keys, values),
        };
        Ok((queries, keys, values))
    }

    /// Queries and keys of one length, each number times what is learnt for its place in a head.
    ///
    /// # Shapes
    /// (B, H + K, Q, D) → (B, H + K, Q, D)
    fn scale(&self, queries_keys: Tensor) -> Result<Tensor> {
        let Some([queries, keys]) = &self.extras.qk_scales else { return Ok(queries_keys) };
        let AttentionConfig { n_heads, n_kv_heads, head_dim, .. } = self.config;
        let of_heads = |scale: &Tensor, count| scale.f_expand([count, 1, head_dim], false);
        let scales = Tensor::f_cat(&[of_heads(queries, n_heads)?, of_heads(keys, n_kv_heads)?], 0)?; // (H + K, 1, D)
        Ok(queries_keys.f_mul(&to_precision(scales, queries_keys.kind())?)?)
    }

    /// What it has learnt.
    pub(super) fn parameters(&self, name: &str) -> Vec<Parameter> {
        let AttentionExtras { qkv_bias, output_bias, qk_scales } = &self.extras;
        let mut all = vec![Parameter::matrix(format!("{name}.qkv.weight"), &self.qkv_weight)];
        all.extend(qkv_bias.as_ref().map(|bias| Parameter::new(format!("{name}.qkv.bias"), bias)));
        if let Some([queries, keys]) = qk_scales {
            all.push(Parameter::new(format!("{name}.queries_norm.weight"), queries));
            all.push(Parameter::new(format!("{name}.keys_norm.weight"), keys));
        }
        all.push(Parameter::matrix(format!("{name}.output.weight"), &self.output_weight));
        all.extend(output_bias.as_ref().map(|bias| Parameter::new(format!("{name}.output.bias"), bias)));
        all
    }

    /// The heads' outputs one beside the other, brought to width C.
    ///
    /// # Shapes
    /// (B, H, Q, D) → (B, Q, C)
    fn join(&self, heads: &Tensor, name: impl Display, probe: &mut impl Probe) -> Result<Tensor> {
        let (batch, _, time, _) = heads.size4()?;
        let joined = heads.f_transpose(1, 2)?.f_reshape([batch, time, -1])?; // (B, Q, H·D)
        let output = linear(&joined, &self.output_weight, self.extras.output_bias.as_ref())?;
        Ok(probe.at(format_args!("{name}.output"), output))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Recording, random_tensor};
    use super::*;

    fn random(size: &[i64]) -> Tensor {
        random_tensor(&mut Rng::new(1), size, 1.0).unwrap()
    }

    fn difference(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).abs().max().double_value(&[])
    }

    fn config() -> AttentionConfig {
        AttentionConfig::plain(8, 2, 4)
    }

    /// Attention that joins its heads' outputs one beside the other.
    fn attention(config: AttentionConfig) -> MultiHeadAttention {
        let mut attention = MultiHeadAttention::new(config, &mut Rng::new(2), Device::Cpu).unwrap();
        attention.output_weight = Tensor::eye(config.emb_dim, (Kind::Float, Device::Cpu));
        let AttentionExtras { qkv_bias, output_bias, qk_scales } = &mut attention.extras;
        for tensor in [qkv_bias, output_bias].into_iter().flatten().chain(qk_scales.iter_mut().flatten()) {
            *tensor = random(&tensor.size());
        }
        attention
    }

    fn variants() -> [AttentionConfig; 6] {
        [
            config(),
            AttentionConfig { qkv_bias: true, output_bias: true, window: Some(3), ..config() },
            AttentionConfig { n_kv_heads: 1, qk_norm: true, qk_scale: true, window: Some(1), ..config() },
            AttentionConfig { n_kv_heads: 1, qk_norm: true, ..config() },
            AttentionConfig { weighting: Weighting::Sigmoid, ..config() },
            AttentionConfig { previous_head: true, ..config() },
        ]
    }

    #[test]
    fn rows_of_attention_sum_to_one_and_leave_out_the_future() {
        let x = random(&[2, 5, 8]);
        let head = Head::new(8, 4, &mut Rng::new(1), Device::Cpu).unwrap();
        let weights = head.forward(&x, &mut NoProbe).unwrap().weights;
        assert!(
            difference(
                &weights.sum_dim_intlist(-1, false, Kind::Float),
                &Tensor::ones([2, 5], (Kind::Float, Device::Cpu))
            ) < 1e-6
        );
        assert_eq!(weights.triu(1).abs().max().double_value(&[]), 0.0);
    }

    #[test]
    fn no_variant_looks_into_the_future() {
        for config in variants() {
            let weights =
                attention(config).forward(&random(&[2, 5, 8]), None, None, "a", &mut NoProbe).unwrap().weights;
            assert_eq!(weights.triu(1).abs().max().double_value(&[]), 0.0, "{config:?}");
        }
    }

    #[test]
    fn where_nobody_looks_the_output_is_the_same() {
        for config in variants() {
            let attention = attention(config);
            for time in [1, 5, 200] {
                let x = random(&[2, time, 8]);
                let seen = attention.forward(&x, None, None, "a", &mut NoProbe).unwrap().output;
                let unseen = attention.output_unseen(&x, None, None).unwrap();
                assert!(difference(&seen, &unseen) < 1e-5, "{time} {config:?}");
            }
        }
    }

    #[test]
    fn a_window_leaves_nothing_before_it_and_all_in_it() {
        for window in [1, 3, 5, 9] {
            let config = AttentionConfig { window: Some(window), ..config() };
            let weights =
                attention(config).forward(&random(&[2, 6, 8]), None, None, "a", &mut NoProbe).unwrap().weights;
            let seen = weights.gt(0.0).to_kind(Kind::Float);
            let band = Tensor::ones([6, 6], (Kind::Float, Device::Cpu)).tril(0).triu(1 - window);
            assert_eq!(seen, band.expand_as(&seen), "{window}");
        }
    }

    #[test]
    fn a_cached_character_is_read_the_same_by_the_fused_kernel() {
        for (n_kv_heads, window) in
            [2, 1].into_iter().flat_map(|kv| [None, Some(2), Some(5)].map(|window| (kv, window)))
        {
            let attention = attention(AttentionConfig { n_kv_heads, window, ..config() });
            let x = random(&[2, 5, 8]);
            let whole = attention.forward(&x, None, None, "a", &mut NoProbe).unwrap().output;
            let mut cache = KvCache::new(2, n_kv_heads, 5, 4, (Kind::Float, Device::Cpu)).unwrap();
            for place in 0..5 {
                let one = attention.output_unseen(&x.narrow(1, place, 1), None, Some(&mut cache)).unwrap();
                assert!(difference(&one, &whole.narrow(1, place, 1)) < 1e-5, "{n_kv_heads} {window:?} {place}");
            }
        }
    }

    #[test]
    fn one_score_is_one_dot_product_over_the_root_of_head_dim() {
        let x = random(&[1, 4, 8]);
        let mut recording = Recording::default();
        let _ = Head::new(8, 4, &mut Rng::new(1), Device::Cpu).unwrap().forward(&x, &mut recording).unwrap();
        let get = |name: &str| recording.get(name).unwrap().get(0);
        let by_hand = get("head.queries").get(2).dot(&get("head.keys").get(1)) / 2.0;
        assert!(difference(&by_hand, &get("head.scores").get(2).get(1)) < 1e-5);
    }

    #[test]
    fn many_heads_in_one_product_are_the_heads_one_by_one() {
        for n_kv_heads in [2, 1] {
            let x = random(&[2, 5, 8]);
            let all = attention(AttentionConfig { n_kv_heads, ..config() });
            let joined = all.forward(&x, None, None, "attn", &mut NoProbe).unwrap().output;
            for number in 0..2 {
                let rows = |first: i64| all.qkv_weight.narrow(0, first * 4, 4);
                let shared = number % n_kv_heads;
                let head = Head {
                    query_weight: rows(number),
                    key_weight: rows(2 + shared),
                    value_weight: rows(2 + n_kv_heads + shared),
                };
                let alone = head.forward(&x, &mut NoProbe).unwrap().output;
                assert!(difference(&alone, &joined.narrow(2, number * 4, 4)) < 1e-5);
            }
        }
    }

    #[test]
    fn a_text_in_pieces_through_a_cache_is_the_text_in_one() {
        let rotary = Rotary::new(6, 4, Device::Cpu).unwrap();
        for config in variants() {
            let (attention, x) = (attention(config), random(&[2, 6, 8]));
            let whole = attention.forward(&x, Some(&rotary), None, "a", &mut NoProbe).unwrap().output;
            let _guard = tch::no_grad_guard();
            let mut cache = KvCache::new(2, config.n_kv_heads, 6, 4, (Kind::Float, Device::Cpu)).unwrap();
            for (first, count) in [(0, 3), (3, 1), (4, 2)] {
                let piece = x.narrow(1, first, count);
                let part = attention.forward(&piece, Some(&rotary), Some(&mut cache), "a", &mut NoProbe).unwrap();
                assert!(difference(&part.output, &whole.narrow(1, first, count)) < 1e-5, "{config:?} from {first}");
            }
        }
    }

    #[test]
    fn the_previous_character_head_takes_the_value_before() {
        let x = random(&[1, 4, 8]);
        let mut recording = Recording::default();
        let config = AttentionConfig { previous_head: true, ..config() };
        let _ = attention(config).forward(&x, None, None, "a", &mut recording).unwrap();
        let of_head = |name: &str| recording.get(name).unwrap().get(0).get(0); // (T, D)
        assert_eq!(of_head("a.heads").narrow(0, 1, 3), of_head("a.values").narrow(0, 0, 3));
        assert_eq!(of_head("a.heads").get(0), of_head("a.values").get(0));
    }

    #[test]
    fn sigmoid_weights_stand_for_themselves() {
        // With all scores 0, a character that sees n characters gives each σ(−ln n) = 1 / (1 + n).
        let zeros = Tensor::zeros([1, 3, 4], (Kind::Float, Device::Cpu));
        let weights = weigh(&zeros, &zeros, Weighting::Sigmoid, "a", &mut NoProbe).unwrap().get(0);
        for (row, expected) in [(0, 1.0 / 2.0), (1, 1.0 / 3.0), (2, 1.0 / 4.0)] {
            assert!((weights.double_value(&[row, 0]) - expected).abs() < 1e-6);
        }
    }

    #[test]
    fn heads_that_can_t_share_are_an_error() {
        let message = MultiHeadAttention::new(
            AttentionConfig { n_heads: 4, n_kv_heads: 3, ..config() },
            &mut Rng::new(1),
            Device::Cpu,
        )
        .unwrap_err()
        .to_string();
        assert!(message.contains("n_kv_heads must divide n_heads"), "{message}");
    }
}
