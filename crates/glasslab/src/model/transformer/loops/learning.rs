//! A training step's loss and gradients in plain loops: what the forward pass and libtorch's backward pass compute, sooner where a model
//! is small and lies on a processor.
//!
//! libtorch goes through memory once for each operation, and its threads wait for each other after each. Here a thread takes some of
//! the texts, a few at a time, so that what the blocks make of them stays in its caches; it goes through all blocks and back, and meets
//! the other threads where the gradients are summed. What is computed backwards:
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
mod scoring;

pub(in super::super) use scoring::logits_from;

use super::{Activation, Ngrams, Tables, TransformerLm, is_for_loops, numbers, optional};
use crate::error::Result;
use crate::model::Parameter;
use crate::model::norm::Norm;
use crate::products::{self, Panels, View};
use crate::slices::{add, is_walkable, walk, walk_mut};
use crate::threads::share;
use block::{Block, Kept};
use functions::cross_entropy;
use layers::{Learnt, Linear, Normed, Room, Scaled, Slopes};
use std::borrow::Cow;
use std::collections::HashMap;
use tch::{Device, Kind, Tensor};

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
    let parameters = model.parameters();
    let is_own = |parameter: &Parameter| parameter.tensor.requires_grad() && parameter.tensor.is_leaf();
    let mut starts: Vec<_> = parameters.iter().map(|parameter| parameter.tensor.data_ptr()).collect();
    starts.sort_unstable();
    // Where two parameters are one tensor, each has the gradient of both.
    let is_one = starts.windows(2).any(|two| two[0] == two[1]);
    if ids.size() != targets.size() || is_one || !parameters.iter().all(is_own) {
        return Ok(None);
    }
    let (Some(ids), Some(Ids { flat: targets, .. })) = (Ids::of(model, ids)?, Ids::of(model, targets)?) else {
        return Ok(None);
    };
    let Some(mut lesson) = Lesson::of(model) else { return Ok(None) };
    lesson.lay(true);
    let _guard = tch::no_grad_guard();
    let mut gradients: Vec<Tensor> =
        parameters.iter().map(|parameter| Ok(parameter.tensor.f_empty_like()?)).collect::<Result<_>>()?;
    // SAFETY: these tensors are new, and nobody else has a handle to them.
    let slopes = gradients.iter_mut().map(|gradient| Slopes::of(unsafe { walk_mut(gradient) }));
    let mut slopes: Vec<Slopes<'_>> = slopes.collect();
    let lengths = parameters.iter().map(|one| one.tensor.numel()).enumerate();
    let lengths: Vec<usize> = lengths.map(|(place, all)| lesson.own_room(place, all)).collect();
    let (Ids { known, time, reach, .. }, all) = (ids, targets.len());
    let each = texts_of_a_thread(all / time, MOST_THREADS);
    let mut parts = known.chunks(each * reach).zip(targets.chunks(each * time));
    let (mut loss, mut dx, mut others) = (0.0, Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        let (lesson, lengths) = (&lesson, &lengths);
        let own = parts.next();
        let spawned: Vec<_> = parts
            .map(|(known, targets)| {
                scope.spawn(move || {
                    let mut room = Room::open();
                    let mut own: Vec<Vec<f32>> = lengths.iter().map(|&length| room.take(length)).collect();
                    let mut slopes: Vec<Slopes<'_>> = own.iter_mut().map(|own| Slopes::of(own)).collect();
                    // SAFETY: a lesson is made where the processor has these instructions.
                    let learnt = unsafe { lesson.learn(known, targets, time, all, &mut slopes, &mut room) };
                    slopes.iter_mut().for_each(Slopes::finish);
                    (learnt, own, room)
                })
            })
            .collect();
        if let Some((known, targets)) = own {
            let mut room = Room::open();
            // SAFETY: likewise.
            (loss, dx) = unsafe { lesson.learn(known, targets, time, all, &mut slopes, &mut room) };
            room.close();
        }
        for other in spawned {
            let ((more, more_dx), own, room) = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            loss += more;
            dx.extend(more_dx);
            others.push((own, room));
        }
    });
    let numbers = others.len() * lengths.iter().sum::<usize>();
    share(slopes.iter_mut().enumerate().collect(), numbers, |(place, slopes)| {
        slopes.finish();
        others.iter().for_each(|(own, _)| slopes.add(&own[place]));
    });
    for (own, mut room) in others {
        own.into_iter().for_each(|numbers| room.free(numbers));
        room.close();
    }
    lesson.learn_tables(&known, time, dx, &mut slopes);
    Ok(Some((Tensor::from((loss / all as f64) as f32), gradients)))
}

/// Texts of one length.
struct Ids {
    flat: Vec<i64>,
    /// The same, before each text what stands for those that n-grams reach and that are not there.
    known: Vec<i64>,
    time: usize,
    /// Of one text in `known`.
    reach: usize,
}

impl Ids {
    /// `None` if they are none of the model's, or too long.
    fn of(model: &TransformerLm, ids: &Tensor) -> Result<Option<Ids>> {
        let [1..=i64::MAX, time @ 1..=LONGEST] = ids.size()[..] else { return Ok(None) };
        if time > model.config.context_len || (ids.kind(), ids.device()) != (Kind::Int64, Device::Cpu) {
            return Ok(None);
        }
        let flat = Vec::<i64>::try_from(ids.f_flatten(0, -1)?)?;
        let (time, before) = (time as usize, model.config.ngrams.map_or(0, Ngrams::before));
        let known = flat.chunks(time).flat_map(|text| [&vec![-1; before], text].concat()).collect();
        let are_known = flat.iter().all(|id| (0..model.config.n_vocab).contains(id));
        Ok(are_known.then_some(Ids { flat, known, time, reach: before + time }))
    }
}

/// How many of a thread's texts go through the blocks at a time: parts of nearly one size.
fn at_once(texts: usize, time: usize) -> usize {
    texts.div_ceil((texts * time).div_ceil(AT_ONCE))
}

fn texts_of_a_thread(texts: usize, most_threads: usize) -> usize {
    texts.div_ceil((tch::get_num_threads().max(1) as usize).min(most_threads))
}

/// A model's numbers for a step or a score, and in which place among the parameters each gradient belongs.
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
    /// Without the weights laid out; `None` if model or processor are none for loops, if a tensor is not what the config says, or this way
    /// back is not written here.
    fn of(model: &'a TransformerLm) -> Option<Lesson<'a>> {
        let parameters = model.parameters();
        let is_right =
            is_for_loops(model) && products::is_here() && parameters.iter().all(|one| is_walkable(&one.tensor));
        is_right.then_some(())?;
        let places: HashMap<_, _> = parameters.into_iter().zip(0..).map(|(one, place)| (one.name, place)).collect();
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
            Some(Linear { view, size, place, bias, panels: Default::default() })
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

    /// Lays the weights out for the way there and, if it is gone, the way back.
    fn lay(&mut self, back: bool) {
        let blocks = self.blocks.iter_mut().flat_map(|block| {
            let Block { qkv, output, up, gate, down, .. } = block;
            [Some(qkv), Some(output), Some(up), gate.as_mut(), Some(down)].into_iter().flatten()
        });
        let ways = blocks.chain([&mut self.head]).flat_map(|Linear { view, panels, .. }| {
            [*view, view.turned()].into_iter().zip(panels).take(1 + usize::from(back))
        });
        let ways: Vec<_> = ways.collect();
        let numbers = ways.iter().map(|(view, _)| view.len()).sum();
        // SAFETY: a lesson is made where the processor has these instructions.
        share(ways, numbers, |(view, panels)| *panels = Some(unsafe { Panels::of(view) }));
    }

    /// How many numbers of a parameter's gradient each thread has for itself; none of tables, whose rows are moved at the end.
    fn own_room(&self, place: usize, numbers: usize) -> usize {
        let is_table = self.table_places.contains(&Some(place)) && place != self.head.place;
        if is_table { 0 } else { numbers }
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
        slopes: &mut [Slopes<'_>],
        room: &mut Room,
    ) -> (f64, Vec<f32>) {
        let texts = targets.len() / time;
        let (reach, texts) = (known.len() / texts, at_once(texts, time));
        let (mut loss, mut all_dx) = (0.0, Vec::with_capacity(targets.len() * self.width));
        for (known, targets) in known.chunks(texts * reach).zip(targets.chunks(texts * time)) {
            let mut x = self.tables.read(known, 0, time, self.width);
            let kept: Vec<Kept> =
                self.blocks.iter().map(|block| block.forward(self.activation, &mut x, time, room)).collect();
            let last = self.last.as_ref().map(|norm| norm.forward(&x, self.width, room));
            let stream = last.as_ref().map_or(x.as_slice(), Normed::out);
            let mut logits = self.head.forward(stream, room);
            loss += cross_entropy(&mut logits, targets, all);
            let mut dx = self.head.backward(stream, &logits, slopes, room);
            room.free(logits);
            if let (Some(norm), Some(normed)) = (&self.last, last) {
                norm.backward(normed, &mut dx, self.width, slopes, room);
            }
            for (block, kept) in self.blocks.iter().zip(kept).rev() {
                block.backward(kept, &mut dx, time, slopes, room);
            }
            all_dx.extend_from_slice(&dx);
            room.free(dx);
        }
        (loss, all_dx)
    }

    /// Adds the gradients of the rows that texts have read.
    fn learn_tables(&self, known: &[i64], time: usize, mut dx: Vec<f32>, slopes: &mut [Slopes<'_>]) {
        let (width, [embedding, position, ngrams]) = (self.width, self.table_places);
        let texts = dx.len() / (time * width);
        let before = known.len() / texts - time;
        let mut learn =
            |place: usize, row: usize, dx: &[f32]| add(&mut slopes[place].numbers()[row * width..][..width], dx);
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
