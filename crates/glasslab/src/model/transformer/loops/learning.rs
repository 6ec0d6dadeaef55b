//! A training step's loss and gradients in plain loops: what the forward pass and libtorch's backward pass compute, sooner where a model
//! is small and lies on a processor.
//!
//! libtorch goes through memory once for each operation, and its threads wait for each other after each. Here a thread takes some of
//! the texts, a few at a time, so that what the blocks make of them stays in its caches; it goes through all blocks and back, and meets
//! the other threads once, where the gradients are summed. What is computed backwards:
//!
//! ```text
//! y = x Wᵀ                           dx = dy W,  dW = dyᵀ x
//! y = x r,  r = 1/√(mean(x²) + ε)    dx = r (dy − y · mean(dy y))
//! w = softmax(s)                     ds = w (dw − Σ dw w)
//! loss = −ln softmax(z)[t]           dz = softmax(z) − (1 at t, else 0)
//! ```

mod block;
mod functions;
mod layers;

use super::{Activation, Ngrams, Tables, TransformerLm, add, is_for_loops, numbers, optional};
use crate::error::Result;
use crate::model::norm::Norm;
use crate::products::{self, Panels, View};
use crate::slices::{is_walkable, walk, walk_mut};
use block::{Block, Kept};
use functions::cross_entropy;
use layers::{Learnt, Linear, Normed, Room, Scaled};
use std::borrow::Cow;
use std::collections::HashMap;
use tch::{Kind, Tensor};

/// So many characters, in whole texts, go through the blocks at a time.
const AT_ONCE: usize = 256;
/// Of longer texts, the weights of all characters for all would fill the memory: libtorch's fused attention keeps none.
const LONGEST: i64 = 256;
/// Each thread has gradients of its own, which are then summed: of more threads, that would take longer than what they do.
const MOST_THREADS: usize = 8;

/// The loss of the next characters, and its gradient for each parameter; `None` if the model, the texts or this processor are none for
/// loops, or something is wrong: then libtorch computes them, or says what.
///
/// # Shapes
/// `ids`, `targets`: (B, T)
pub(in super::super) fn loss_and_gradients(
    model: &TransformerLm,
    ids: &Tensor,
    targets: &Tensor,
) -> Result<Option<(Tensor, Vec<Tensor>)>> {
    let [texts @ 1..=i64::MAX, time @ 1..=i64::MAX] = ids.size()[..] else { return Ok(None) };
    let parameters = model.parameters();
    let is_right = ids.size() == targets.size()
        && time <= model.config.context_len.min(LONGEST)
        && [ids, targets].iter().all(|ids| ids.kind() == Kind::Int64)
        && is_for_loops(model)
        && products::is_here()
        && parameters.iter().all(|parameter| is_own(&parameter.tensor) && is_walkable(&parameter.tensor));
    if !is_right {
        return Ok(None);
    }
    let mut starts: Vec<_> = parameters.iter().map(|parameter| parameter.tensor.data_ptr()).collect();
    starts.sort_unstable();
    // Where two parameters are one tensor, each has the gradient of both.
    if starts.windows(2).any(|two| two[0] == two[1]) {
        return Ok(None);
    }
    let [ids, targets] = [ids, targets].map(|ids| ids.f_flatten(0, -1).and_then(Vec::<i64>::try_from));
    let (ids, targets) = (ids?, targets?);
    let is_known = |id: &i64| (0..model.config.n_vocab).contains(id);
    let places = parameters.iter().enumerate().map(|(place, parameter)| (parameter.name.as_str(), place)).collect();
    if !ids.iter().chain(&targets).all(is_known) {
        return Ok(None);
    }
    // SAFETY: the processor has these instructions, as was asked above.
    let Some(lesson) = (unsafe { Lesson::of(model, &places) }) else { return Ok(None) };
    let _guard = tch::no_grad_guard();
    let mut gradients: Vec<Tensor> =
        parameters.iter().map(|parameter| Ok(parameter.tensor.f_empty_like()?)).collect::<Result<_>>()?;
    // SAFETY: these tensors are new, and nobody else has a handle to them.
    let mut slopes: Vec<&mut [f32]> = gradients.iter_mut().map(|gradient| unsafe { walk_mut(gradient) }).collect();
    // Not by libtorch, whose threads wait for more to do for a while, and hold up those here.
    slopes.iter_mut().for_each(|slopes| slopes.fill(0.0));
    let (time, before) = (time as usize, model.config.ngrams.map_or(0, Ngrams::before));
    let known: Vec<i64> = ids.chunks(time).flat_map(|text| [&vec![-1; before], text].concat()).collect();
    let threads = (tch::get_num_threads().max(1) as usize).min(MOST_THREADS);
    let share = (texts as usize).div_ceil(threads); // texts of a thread
    let mut parts = known.chunks(share * (before + time)).zip(targets.chunks(share * time));
    let (loss, dx) = std::thread::scope(|scope| {
        let (lesson, all) = (&lesson, ids.len());
        let own = parts.next();
        let others: Vec<_> = parts
            .map(|(known, targets)| {
                let mut slopes: Vec<Vec<f32>> =
                    slopes.iter().enumerate().map(|(place, all)| lesson.room(place, all.len())).collect();
                scope.spawn(move || {
                    let mut views: Vec<&mut [f32]> = slopes.iter_mut().map(Vec::as_mut_slice).collect();
                    // SAFETY: as above.
                    let learnt = unsafe { lesson.learn(known, targets, time, all, &mut views) };
                    (learnt, slopes)
                })
            })
            .collect();
        // SAFETY: as above.
        let learn =
            |(known, targets): (&[i64], &[i64])| unsafe { lesson.learn(known, targets, time, all, &mut slopes) };
        let (mut loss, mut dx) = own.map_or_else(Default::default, learn);
        for other in others {
            let ((more, more_dx), own) = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            loss += more;
            dx.extend(more_dx);
            slopes.iter_mut().zip(&own).for_each(|(slopes, own)| add(slopes, own));
        }
        (loss, dx)
    });
    lesson.learn_tables(&known, time, dx, &mut slopes);
    Ok(Some((Tensor::from((loss / ids.len() as f64) as f32), gradients)))
}

/// Whether a tensor is to be learnt, and not computed from another one.
fn is_own(tensor: &Tensor) -> bool {
    tensor.requires_grad() && tensor.is_leaf()
}

/// A model's numbers for a step, and in which place among the parameters each gradient belongs.
struct Lesson<'a> {
    tables: Tables<'a>,
    /// Of the embedding, the positions and the n-grams.
    table_places: [Option<usize>; 3],
    width: usize,
    activation: Activation,
    blocks: Vec<Block<'a>>,
    last: Option<Scaled<'a>>,
    head: Linear<'a>,
}

impl<'a> Lesson<'a> {
    /// `None` if a tensor is not what the config says, or this way back is not written here.
    #[target_feature(enable = "avx2,fma")]
    fn of(model: &'a TransformerLm, places: &HashMap<&str, usize>) -> Option<Lesson<'a>> {
        let config = &model.config;
        let [width, hidden, heads, kv_heads, dim, vocab] =
            [config.emb_dim, config.n_hidden, config.n_heads, config.n_kv_heads, config.head_dim, config.n_vocab]
                .map(|size| size as usize);
        let learnt = |tensor: Option<&'a Tensor>, name: &str, size: usize| -> Option<Option<Learnt<'a>>> {
            optional(tensor, |tensor| {
                let place = *places.get(name)?;
                (tensor.numel() == size).then(|| (walk(tensor), place))
            })
        };
        let scaled = |norm: &'a Norm, name: &str| {
            Some(Scaled {
                scale: learnt(norm.scale.as_ref(), &format!("{name}.weight"), width)?,
                shift: learnt(norm.shift.as_ref(), &format!("{name}.bias"), width)?,
                epsilon: norm.epsilon,
            })
        };
        let linear = |weight: &'a Tensor, name: &str, size: [usize; 2], bias: Option<&'a Tensor>| {
            let place = *places.get(name)?;
            (weight.size() == size.map(|length| length as i64)).then_some(())?;
            let view = View::of(walk(weight), size[1], size);
            let bias = learnt(bias, &format!("{}.bias", name.trim_end_matches(".weight")), size[0])?;
            Some(Linear { there: Panels::of(view), back: Panels::of(view.turned()), size, place, bias })
        };
        let block = |(number, block): (usize, &'a super::super::Block)| {
            let name = |part: &str| format!("block.{number}.{part}");
            let (attention, mlp) = (&block.attention, &block.mlp);
            if attention.extras.qk_scales.is_some() {
                return None;
            }
            let turns = model.rotary_of(block).map(|rotary| rotary.turns.view_as_real()); // (T, D/2, 2)
            let biases = mlp.biases.as_ref();
            Some(Block {
                width,
                heads,
                kv_heads,
                dim,
                window: attention.config.window.map(|window| window as usize),
                one_length: attention.config.qk_norm.then_some(attention.config.epsilon),
                turns: optional(turns.as_ref(), |turns| numbers(turns, &[config.context_len, config.head_dim / 2, 2]))?,
                norm1: scaled(&block.norm1, &name("norm1"))?,
                qkv: linear(
                    &attention.qkv_weight,
                    &name("attn.qkv.weight"),
                    [(heads + 2 * kv_heads) * dim, width],
                    attention.extras.qkv_bias.as_ref(),
                )?,
                output: linear(
                    &attention.output_weight,
                    &name("attn.output.weight"),
                    [width, heads * dim],
                    attention.extras.output_bias.as_ref(),
                )?,
                attention_norm: optional(block.attention_norm.as_ref(), |norm| scaled(norm, &name("attn_norm")))?,
                norm2: scaled(&block.norm2, &name("norm2"))?,
                up: linear(
                    &mlp.hidden_weight,
                    &name("mlp.hidden.weight"),
                    [hidden, width],
                    biases.map(|biases| &biases.0),
                )?,
                gate: optional(mlp.gate_weight.as_ref(), |gate| {
                    linear(gate, &name("mlp.gate.weight"), [hidden, width], None)
                })?,
                down: linear(
                    &mlp.output_weight,
                    &name("mlp.output.weight"),
                    [width, hidden],
                    biases.map(|biases| &biases.1),
                )?,
                mlp_norm: optional(block.mlp_norm.as_ref(), |norm| scaled(norm, &name("mlp_norm")))?,
            })
        };
        Some(Lesson {
            tables: Tables::of(model, |tensor, size| (tensor.size() == size).then(|| Cow::Borrowed(walk(tensor))))?,
            table_places: ["embedding", "position", "ngrams"].map(|name| places.get(name).copied()),
            width,
            activation: config.activation,
            blocks: model.blocks.iter().enumerate().map(block).collect::<Option<_>>()?,
            last: optional(model.final_norm.as_ref(), |norm| scaled(norm, "final_norm"))?,
            head: match &model.head {
                Some(head) => linear(head, "head", [vocab, width], None)?,
                None => linear(&model.embedding, "embedding", [vocab, width], None)?,
            },
        })
    }

    /// Room for a parameter's gradient in a thread of its own; none for rows of tables, which are moved at the end.
    fn room(&self, place: usize, numbers: usize) -> Vec<f32> {
        let is_table = self.table_places.contains(&Some(place)) && place != self.head.place;
        vec![0.0; if is_table { 0 } else { numbers }]
    }

    /// Adds the gradients of the loss of some texts, the mean of `all` characters' losses. Gives the sum of their own, and the
    /// gradient of what the first block reads.
    ///
    /// # Shapes
    /// `known`: B · (those before that n-grams reach + T) · `targets`: B · T → B · T · C
    #[target_feature(enable = "avx2,fma")]
    fn learn(
        &self,
        known: &[i64],
        targets: &[i64],
        time: usize,
        all: usize,
        slopes: &mut [&mut [f32]],
    ) -> (f64, Vec<f32>) {
        let (texts, reach) = (AT_ONCE.div_ceil(time), known.len() / (targets.len() / time));
        let (mut loss, mut all_dx, mut room) = (0.0, Vec::with_capacity(targets.len() * self.width), Room::open());
        for (known, targets) in known.chunks(texts * reach).zip(targets.chunks(texts * time)) {
            let mut x = self.tables.read(known, 0, time, self.width);
            let kept: Vec<Kept> =
                self.blocks.iter().map(|block| block.forward(self.activation, &mut x, time, &mut room)).collect();
            let last = self.last.as_ref().map(|norm| norm.forward(&x, self.width, &mut room));
            let stream = last.as_ref().map_or(x.as_slice(), Normed::out);
            let mut logits = self.head.forward(stream, &mut room);
            loss += cross_entropy(&mut logits, targets, all);
            let mut dx = self.head.backward(stream, &logits, slopes, &mut room);
            room.back(logits);
            if let (Some(norm), Some(normed)) = (&self.last, last) {
                norm.backward(normed, &mut dx, self.width, slopes, &mut room);
            }
            for (block, kept) in self.blocks.iter().zip(kept).rev() {
                block.backward(self.activation, kept, &mut dx, time, slopes, &mut room);
            }
            all_dx.extend_from_slice(&dx);
            room.back(dx);
        }
        room.close();
        (loss, all_dx)
    }

    /// Adds the gradients of the rows that texts have read.
    fn learn_tables(&self, known: &[i64], time: usize, mut dx: Vec<f32>, slopes: &mut [&mut [f32]]) {
        let (width, [embedding, position, ngrams]) = (self.width, self.table_places);
        let texts = dx.len() / (time * width);
        let before = known.len() / texts - time;
        let mut learn = |place: usize, row: usize, dx: &[f32]| add(&mut slopes[place][row * width..][..width], dx);
        for (text, dx) in known.chunks(before + time).zip(dx.chunks_exact_mut(time * width)) {
            for (number, (group, dx)) in text.windows(before + 1).zip(dx.chunks_exact_mut(width)).enumerate() {
                position.into_iter().for_each(|place| learn(place, number, dx));
                if let (Some(place), Some((rule, _))) = (ngrams, &self.tables.ngrams) {
                    rule.rows_of(group).into_iter().for_each(|row| learn(place, row as usize, dx));
                }
                self.tables.scale.iter().for_each(|scale| dx.iter_mut().for_each(|dx| *dx *= scale));
                embedding.into_iter().for_each(|place| learn(place, group[before] as usize, dx));
            }
        }
    }
}
