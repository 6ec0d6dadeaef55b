//! The library's own answer to each exercise, with the signature of the function that is asked for.
//!
//! Who is stuck goes on with it, so that the cells after the exercise work: `check::reference::relu(x)` in the body of
//! `my_relu`. The checks compare with these, too.
//!
//! ```
//! use glasslab::prelude::*;
//!
//! fn my_relu(x: &Tensor) -> Tensor {
//!     check::reference::relu(x)
//! }
//! assert!(check::relu(my_relu).is_right());
//! ```
//! A function of an exercise has no room for an error in what it returns. So, as tch's own methods do, these panic at
//! shapes that don't belong together, with a sentence.

use super::inputs::plain;
use super::whole;
use crate::error::Result;
use crate::evaluate::Evaluation;
use crate::experiment::{self, Scaled};
use crate::model::attention::{self, Head, mask_future};
use crate::model::cache::KvCache;
use crate::model::norm::{self, Norm, NormKind};
use crate::model::{
    self, LanguageModel, MlpConfig, MlpLm, Model, NoProbe, Probe, TransformerConfig, TransformerLm, count_parameters,
};
use crate::rng::Rng;
use crate::tokenizer::CharTokenizer;
use tch::{Device, Kind, Tensor};

/// A text → the ids of its characters below 256.
pub fn encode(text: &str) -> Vec<i64> {
    CharTokenizer::default().encode(text)
}

/// Ids → the text.
pub fn decode(ids: &[i64]) -> String {
    plain(CharTokenizer::default().decode(ids))
}

/// T ids → T − 1 inputs and T − 1 targets.
pub fn targets(ids: &[i64]) -> (Vec<i64>, Vec<i64>) {
    let without_last = ids.split_last().map_or(ids, |(_, others)| others);
    let without_first = ids.split_first().map_or(ids, |(_, others)| others);
    (without_last.to_vec(), without_first.to_vec())
}

/// Ids of a text and a pair → how often it can be merged, from the left.
pub fn count_pair(ids: &[i64], pair: (i64, i64)) -> usize {
    ids.len() - merge_pair(ids, pair, -1).len()
}

/// Ids of a text, a pair and a new id → the ids with the new one in the place of each pair, from the left.
pub fn merge_pair(ids: &[i64], pair: (i64, i64), new: i64) -> Vec<i64> {
    let (mut merged, mut rest) = (Vec::new(), ids);
    while let Some((&first, others)) = rest.split_first() {
        let is_pair = first == pair.0 && others.first() == Some(&pair.1);
        merged.push(if is_pair { new } else { first });
        rest = if is_pair { &others[1..] } else { others };
    }
    merged
}

/// A text and merges, the first of which made the id 256 → its ids.
pub fn encode_pairs(text: &str, merges: &[(i64, i64)]) -> Vec<i64> {
    let bytes = text.bytes().map(i64::from).collect();
    merges.iter().zip(256..).fold(bytes, |ids: Vec<i64>, (&pair, new)| merge_pair(&ids, pair, new))
}

/// Ids and the bytes of each id → the text.
pub fn decode_pairs(ids: &[i64], pieces: &[Vec<u8>]) -> String {
    let bytes: Vec<u8> = ids.iter().flat_map(|&id| &pieces[id as usize]).copied().collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The loss of each token in nats and its characters → nats per character.
pub fn nats_per_char(nats: &[f64], widths: &[usize]) -> f64 {
    nats.iter().sum::<f64>() / widths.iter().sum::<usize>() as f64
}

/// n_vocab, emb_dim, n_hidden → the number of parameters of the MLP.
pub fn mlp_parameters(n_vocab: i64, emb_dim: i64, n_hidden: i64) -> i64 {
    count_parameters(&plain(MlpLm::new(MlpConfig { n_vocab, emb_dim, n_hidden, seed: 0 }, Device::Cpu)))
}

/// Any shape → the same shape.
pub fn relu(x: &Tensor) -> Tensor {
    x.relu()
}

/// A model and ids (B, T) → logits (B, T, V).
pub fn mlp_forward(model: &MlpLm, ids: &Tensor) -> Tensor {
    plain(model.logits(ids))
}

/// Logits (T, V) and targets (T) → nats per character, a tensor of one number.
pub fn cross_entropy(logits: &Tensor, targets: &Tensor) -> Tensor {
    plain(model::cross_entropy(logits, targets))
}

/// Ids of a text, B starts, and T → inputs (B, T) and targets (B, T).
pub fn batch(ids: &[i64], starts: &[usize], context_len: usize) -> (Tensor, Tensor) {
    let pieces = |shift: usize| {
        let piece = |start: &usize| Tensor::from_slice(&ids[start + shift..start + shift + context_len]); // (T)
        Tensor::stack(&starts.iter().map(piece).collect::<Vec<Tensor>>(), 0) // (B, T)
    };
    (pieces(0), pieces(1))
}

/// One step downhill: parameters, a loss that hangs on them, and the learning rate. The parameters change in place.
pub fn sgd_step(parameters: &mut [Tensor], loss: &Tensor, lr: f64) {
    parameters.iter_mut().for_each(Tensor::zero_grad);
    loss.backward();
    let _guard = tch::no_grad_guard();
    for parameter in parameters {
        *parameter -= parameter.grad() * lr;
    }
}

/// Logits (V) and a temperature → probabilities (V).
pub fn temperature(logits: &Tensor, temperature: f64) -> Tensor {
    (logits / temperature).softmax(-1, Kind::Float)
}

/// A model, the ids of a prompt, how many characters to write, and the temperature → the prompt's ids and those written.
pub fn write(model: &dyn LanguageModel, prompt: &[i64], chars: usize, temperature: f64, rng: &mut Rng) -> Vec<i64> {
    let _guard = tch::no_grad_guard();
    let mut ids = prompt.to_vec();
    for _ in 0..chars {
        let seen = &ids[ids.len().saturating_sub(model.context_len() as usize)..];
        let logits = plain(model.logits(&Tensor::from_slice(seen).unsqueeze(0))); // (1, T, V)
        let probabilities = (logits.select(1, -1) / temperature).softmax(-1, Kind::Double); // (1, V)
        ids.push(rng.draw(&probabilities));
    }
    ids
}

/// A table (V, C) and T ids → (T, C).
pub fn embed(table: &Tensor, ids: &[i64]) -> Tensor {
    Tensor::embedding(table, &Tensor::from_slice(ids), -1, false, false)
}

/// Ids → how often each pair came (256, 256).
pub fn bigram_counts(ids: &[i64]) -> Tensor {
    let mut counts = vec![0.0_f32; 256 * 256];
    for pair in ids.windows(2) {
        counts[pair[0] as usize * 256 + pair[1] as usize] += 1.0;
    }
    Tensor::from_slice(&counts).view([256, 256])
}

/// (R, K) → (R, K), each row divided by its sum.
pub fn normalise_rows(counts: &Tensor) -> Tensor {
    counts / counts.sum_dim_intlist(-1, true, Kind::Float)
}

/// Nats per character → bits per character, and perplexity.
pub fn bits_and_perplexity(nats: f64) -> (f64, f64) {
    let loss = Evaluation::of_chars(nats, 1);
    (loss.bits_per_char(), loss.perplexity())
}

/// Logits (T, V) and targets (T) → ∂loss/∂logits (T, V).
pub fn logits_gradient(logits: &Tensor, targets: &Tensor) -> Tensor {
    let (time, n_vocab) = plain(logits.size2().map_err(Into::into));
    (logits.softmax(-1, Kind::Float) - targets.one_hot(n_vocab)) / time as f64
}

/// x before ReLU, and the gradient after it → the gradient before it, all of one shape.
pub fn relu_gradient(x: &Tensor, gradient: &Tensor) -> Tensor {
    gradient * x.gt(0.0)
}

/// x (T, I), weight (O, I), the output's gradient (T, O) → the gradients of x (T, I), weight (O, I) and bias (O).
pub fn linear_gradients(x: &Tensor, weight: &Tensor, gradient: &Tensor) -> (Tensor, Tensor, Tensor) {
    (gradient.matmul(weight), gradient.tr().matmul(x), gradient.sum_dim_intlist(0, false, Kind::Float))
}

/// T ids, V, and the gradient of their rows (T, C) → the gradient of the table (V, C).
pub fn embedding_gradient(ids: &[i64], n_vocab: i64, gradient: &Tensor) -> Tensor {
    let none = Tensor::zeros([n_vocab, gradient.size()[1]], (Kind::Float, gradient.device()));
    none.index_add(0, &Tensor::from_slice(ids).to_device(gradient.device()), gradient)
}

/// A parameter, its gradient, its velocity, and the learning rate → the new parameter and the new velocity.
pub fn momentum_step(parameter: &Tensor, gradient: &Tensor, velocity: &Tensor, lr: f64) -> (Tensor, Tensor) {
    let velocity = velocity * 0.9 + gradient;
    (parameter - &velocity * lr, velocity)
}

/// A parameter, its gradient, the mean and the mean square of those before, the number of this step (the first is 1) and the
/// learning rate → the new parameter, mean and mean square (Kingma and Ba 2015).
pub fn adam_step(
    parameter: &Tensor,
    gradient: &Tensor,
    mean: &Tensor,
    square: &Tensor,
    t: i32,
    lr: f64,
) -> (Tensor, Tensor, Tensor) {
    let mean = mean * 0.9 + gradient * (1.0 - 0.9);
    let square = square * 0.999 + gradient.square() * (1.0 - 0.999);
    let (unbiased_mean, unbiased_square) = (&mean / (1.0 - 0.9_f64.powi(t)), &square / (1.0 - 0.999_f64.powi(t)));
    (parameter - unbiased_mean / (unbiased_square.sqrt() + 1e-8) * lr, mean, square)
}

/// A query (D) and a key (D) → one number.
pub fn one_score(query: &Tensor, key: &Tensor) -> f64 {
    scores(&query.unsqueeze(0), &key.unsqueeze(0)).double_value(&[0, 0])
}

/// Queries and keys (…, T, D) → (…, T, T).
pub fn scores(queries: &Tensor, keys: &Tensor) -> Tensor {
    let head_dim = queries.size().last().copied().unwrap_or(1) as f64;
    queries.matmul(&keys.transpose(-2, -1)) / head_dim.sqrt()
}

/// A head and x (B, T, C) → its scores (B, T, T).
pub fn head_scores(head: &Head, x: &Tensor) -> Tensor {
    scores(&x.matmul(&head.query_weight.tr()), &x.matmul(&head.key_weight.tr()))
}

/// (…, K) → (…, K), each row summing to 1.
pub fn softmax_rows(scores: &Tensor) -> Tensor {
    scores.softmax(-1, Kind::Float)
}

/// Scores (…, T, T) → the same, −∞ for the future.
pub fn causal_mask(scores: &Tensor) -> Tensor {
    plain(mask_future(scores))
}

/// Queries, keys, values (…, T, D) → (…, T, D).
pub fn attend(queries: &Tensor, keys: &Tensor, values: &Tensor) -> Tensor {
    plain(attention::attend(queries, keys, values, "head", &mut NoProbe)).output
}

/// (T, H·D) and H → (H, T, D).
pub fn split_heads(x: &Tensor, n_heads: i64) -> Tensor {
    x.view([x.size()[0], n_heads, -1]).transpose(0, 1)
}

/// Weights (T, T) and their gradient (T, T) → the gradient of the scores (T, T).
pub fn softmax_gradient(weights: &Tensor, gradient: &Tensor) -> Tensor {
    weights * (gradient - (weights * gradient).sum_dim_intlist(-1, true, Kind::Float))
}

/// x (…, C) → (…, C), each row with mean 0 and variance 1.
pub fn layer_norm(x: &Tensor) -> Tensor {
    let channels = x.size().last().copied().unwrap_or(1);
    plain(Norm::new(NormKind::Layer, channels, x.device()).and_then(|norm| norm.forward(x)))
}

/// x (…, C) → (…, C), each row with root mean square 1.
pub fn rms_norm(x: &Tensor) -> Tensor {
    plain(norm::rms_norm(x))
}

/// x (T, C) and a table (L, C) → (T, C).
pub fn add_positions(embedded: &Tensor, positions: &Tensor) -> Tensor {
    embedded + positions.narrow(0, 0, embedded.size()[embedded.dim() - 2])
}

/// x (B, T, C) and the parts of a block → (B, T, C).
pub fn block(
    x: &Tensor,
    norm1: &dyn Fn(&Tensor) -> Tensor,
    attention: &dyn Fn(&Tensor) -> Tensor,
    norm2: &dyn Fn(&Tensor) -> Tensor,
    mlp: &dyn Fn(&Tensor) -> Tensor,
) -> Tensor {
    let x = x + attention(&norm1(x));
    &x + mlp(&norm2(&x))
}

/// The gradient of y = x + part(x), and what carries a gradient back through the part → the gradient of x.
pub fn block_gradient(gradient: &Tensor, back: &dyn Fn(&Tensor) -> Tensor) -> Tensor {
    gradient + back(gradient)
}

/// The forward pass of [`TransformerConfig::original`], with a model's own parameters.
///
/// # Shapes
/// `ids`: (B, T) → logits (B, T, V)
///
/// # Errors
/// If the model's parameters are others than those of [`TransformerConfig::original`], or the ids don't fit.
pub fn transformer(model: &impl Model, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
    whole::with_parameters(&model.parameters())?.forward(ids, probe)
}

/// Logits (V) and k → probabilities (V).
pub fn top_k(logits: &Tensor, k: usize) -> Tensor {
    let limit = logits.topk(k as i64, -1, true, true).0.min();
    logits.masked_fill(&logits.lt_tensor(&limit), f64::NEG_INFINITY).softmax(-1, Kind::Float)
}

/// Weights (T, T) → the mean weight of the character before.
pub fn previous_score(weights: &Tensor) -> f64 {
    weights.diagonal(-1, 0, 1).mean(Kind::Double).double_value(&[])
}

/// Probabilities (V) and an id → bits.
pub fn surprise(probabilities: &Tensor, id: i64) -> f64 {
    Evaluation::of_chars(-probabilities.double_value(&[id]).ln(), 1).bits_per_char()
}

/// A config → the number of parameters.
pub fn transformer_parameters(config: &TransformerConfig) -> i64 {
    count_parameters(&plain(TransformerLm::new(*config, Device::Cpu)))
}

/// Ids (B, T) and W → the last W ids at each place (B, T, W), 0 where there is none.
pub fn windows(ids: &Tensor, width: i64) -> Tensor {
    let before = Tensor::zeros([ids.size()[0], width - 1], (ids.kind(), ids.device()));
    Tensor::cat(&[&before, ids], 1).unfold(1, width, 1)
}

/// Logits (T, V) → T ids, the likeliest ones.
pub fn best_next(logits: &Tensor) -> Vec<i64> {
    plain(Vec::try_from(logits.argmax(-1, false)).map_err(crate::Error::from))
}

/// n results → their mean, and its standard error (NaN for one).
pub fn mean_and_error(results: &[f64]) -> (f64, f64) {
    (experiment::mean(results), experiment::standard_error(results).unwrap_or(f64::NAN))
}

/// Two results, each a mean and its standard error → how many of their common standard errors they lie apart.
pub fn errors_apart(one: (f64, f64), other: (f64, f64)) -> f64 {
    experiment::errors_apart(one, other)
}

/// Layers, key-value heads, head_dim, characters → bytes.
pub fn kv_cache_bytes(n_layers: i64, n_kv_heads: i64, head_dim: i64, characters: i64) -> i64 {
    let options = (Kind::Float, Device::Cpu);
    let mut cache = plain(KvCache::new(1, n_kv_heads, characters, head_dim, options));
    let text = Tensor::zeros([1, n_kv_heads, characters, head_dim], options);
    let _ = plain(cache.extend(&text, &text));
    let bytes = |x: &Tensor| x.numel() as i64 * x.kind().elt_size_in_bytes() as i64;
    n_layers * (bytes(&cache.keys) + bytes(&cache.values))
}

/// n characters → products without and with a cache.
pub fn generation_cost(n: u64) -> (u64, u64) {
    ((1..=n).map(|t| t * t).sum(), (1..=n).sum())
}

/// x (…, C) and a scale (C) → (…, C), each row with root mean square 1, then each column multiplied by its number.
pub fn scaled_rms_norm(x: &Tensor, scale: &Tensor) -> Tensor {
    plain(Norm { scale: Some(scale.shallow_clone()), shift: None, epsilon: 1e-5 }.forward(x))
}

/// x (T, C), gate and up (N, C), down (C, N) → (T, C).
pub fn swiglu(x: &Tensor, gate: &Tensor, up: &Tensor, down: &Tensor) -> Tensor {
    (x.matmul(&gate.tr()).silu() * x.matmul(&up.tr())).matmul(&down.tr())
}

/// A query head, n_heads and n_kv_heads → the key-value head that it uses.
pub fn key_head(head: i64, n_heads: i64, n_kv_heads: i64) -> i64 {
    head / (n_heads / n_kv_heads)
}

/// x (T, D), cos and sin (T, D/2) → (T, D), number i turned with number i + D/2.
pub fn turn_by_halves(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Tensor {
    let half = x.size()[1] / 2;
    let (a, b) = (x.narrow(1, 0, half), x.narrow(1, half, half));
    Tensor::cat(&[&a * cos - &b * sin, &a * sin + &b * cos], 1)
}

/// Roles and what they say → one text in ChatML, behind which the model answers.
pub fn chat_text(messages: &[(String, String)]) -> String {
    let message = |(role, says): &(String, String)| format!("<|im_start|>{role}\n{says}<|im_end|>\n");
    messages.iter().map(message).collect::<String>() + "<|im_start|>assistant\n"
}

/// A head's weights (2n, 2n) on n tokens that stand there twice, and n → the mean weight on what came next the first time.
pub fn induction_score(weights: &Tensor, n: i64) -> f64 {
    weights.diagonal(-(n - 1), 0, 1).narrow(0, 1, n).mean(Kind::Double).double_value(&[])
}

/// x and y → a and α of y = a / x^α, by the least-squares line through their logarithms.
pub fn power_law(x: &[f64], y: &[f64]) -> (f64, f64) {
    let logs = |all: &[f64]| -> Vec<f64> { all.iter().map(|one| one.ln()).collect() };
    let (u, v) = (logs(x), logs(y));
    let (mean_u, mean_v) = (experiment::mean(&u), experiment::mean(&v));
    let above: f64 = u.iter().zip(&v).map(|(u, v)| (u - mean_u) * (v - mean_v)).sum();
    let below: f64 = u.iter().map(|u| (u - mean_u).powi(2)).sum();
    let slope = above / below;
    ((mean_v - slope * mean_u).exp(), -slope)
}

/// Trainings and a budget → the lowest loss among those with 6 · N · D ≤ budget (infinity if there is none).
pub fn best_within(runs: &[Scaled], budget: f64) -> f64 {
    let within = runs.iter().filter(|run| 6.0 * run.parameters * run.chars <= budget);
    within.map(|run| run.loss).fold(f64::INFINITY, f64::min)
}

/// The spread of single trainings and a difference → the seeds that make it 3 standard errors long, 2 at the least.
pub fn seeds_needed(spread: f64, difference: f64) -> i64 {
    ((18.0 * (spread / difference).powi(2)).ceil() as i64).max(2)
}
