//! A training step's loss and gradients in plain loops: what [`TransformerLm::loss`](LanguageModel::loss) and libtorch's backward pass
//! compute, sooner where a model is small and lies on a processor.
//!
//! libtorch goes through memory once for each operation, and its threads wait for each other after each. Here a thread takes some of
//! the texts, a few at a time, so that what the blocks make of them stays in its caches; it goes through all blocks and back, and meets
//! the other threads once, where the gradients are summed. What is computed backwards:
//!
//! ```text
//! y = x Wᵀ                    dx = dy W,  dW = dyᵀ x
//! y = x r,  r = 1/√(mean(x²) + ε)    dx = r (dy − y · mean(dy y))
//! w = softmax(s)              ds = w (dw − Σ dw w)
//! loss = −ln softmax(z)[t]    dz = softmax(z) − (1 at t, else 0)
//! ```

use super::{Activation, Ngrams, Tables, TransformerLm, add, dot, is_for_loops, numbers, optional};
use crate::error::Result;
use crate::model::norm::Norm;
use crate::products::{self, Causal, Panels, View, multiply};
use crate::slices::{is_walkable, walk, walk_mut};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tch::{Kind, Tensor};

/// So many characters, in whole texts, go through the blocks at a time.
const AT_ONCE: usize = 256;
/// So many sizes of tensors a step needs at most.
const SHAPES: usize = 40;

/// The loss of [`TransformerLm::loss`](LanguageModel::loss), and its gradient for each parameter; `None` if the model or this processor
/// is none for loops, or something is wrong: then libtorch computes them, or says what.
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
        && time <= model.config.context_len
        && [ids, targets].iter().all(|ids| ids.kind() == Kind::Int64)
        && is_for_loops(model)
        && products::is_here()
        && parameters.iter().all(|parameter| parameter.tensor.requires_grad() && is_walkable(&parameter.tensor));
    if !is_right {
        return Ok(None);
    }
    let [ids, targets] = [ids, targets].map(|ids| ids.f_flatten(0, -1).and_then(Vec::<i64>::try_from));
    let (ids, targets) = (ids?, targets?);
    let is_known = |id: &i64| (0..model.config.n_vocab).contains(id);
    let places = parameters.iter().enumerate().map(|(place, parameter)| (parameter.name.as_str(), place)).collect();
    // SAFETY: the processor has these instructions, as was asked above.
    let lesson = match ids.iter().chain(&targets).all(is_known) {
        true => unsafe { Lesson::of(model, &places) },
        false => None,
    };
    let Some(lesson) = lesson else { return Ok(None) };
    let _guard = tch::no_grad_guard();
    let mut gradients: Vec<Tensor> =
        parameters.iter().map(|parameter| Ok(parameter.tensor.f_empty_like()?)).collect::<Result<_>>()?;
    // SAFETY: these tensors are new, and nobody else has a handle to them.
    let mut slopes: Vec<&mut [f32]> = gradients.iter_mut().map(|gradient| unsafe { walk_mut(gradient) }).collect();
    // Not by libtorch, whose threads wait for more to do for a while, and hold up those here.
    slopes.iter_mut().for_each(|slopes| slopes.fill(0.0));
    let (time, before) = (time as usize, model.config.ngrams.map_or(0, Ngrams::before));
    let known: Vec<i64> = ids.chunks(time).flat_map(|text| [&vec![-1; before], text].concat()).collect();
    let share = (texts as usize).div_ceil(tch::get_num_threads().max(1) as usize); // texts of a thread
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

struct Block<'a> {
    width: usize,
    heads: usize,
    kv_heads: usize,
    dim: usize,
    window: Option<usize>,
    /// Queries and keys are brought to one length, with this ε.
    one_length: Option<f64>,
    turns: Option<Vec<f32>>,
    norm1: Scaled<'a>,
    qkv: Linear<'a>,
    output: Linear<'a>,
    attention_norm: Option<Scaled<'a>>,
    norm2: Scaled<'a>,
    up: Linear<'a>,
    gate: Option<Linear<'a>>,
    down: Linear<'a>,
    mlp_norm: Option<Scaled<'a>>,
}

/// Numbers that are learnt, and their place among the parameters.
type Learnt<'a> = (&'a [f32], usize);

/// A norm's scale and shift, and its ε.
struct Scaled<'a> {
    scale: Option<Learnt<'a>>,
    shift: Option<Learnt<'a>>,
    epsilon: f64,
}

/// A weight of N rows and K columns for the way there and the way back.
struct Linear<'a> {
    there: Panels,
    back: Panels,
    size: [usize; 2],
    place: usize,
    bias: Option<Learnt<'a>>,
}

/// What a norm has made of rows.
struct Normed {
    /// Each row brought to size, before scale and shift.
    sized: Vec<f32>,
    /// By what each row was multiplied.
    by: Vec<f32>,
    /// After them, if it has any.
    scaled: Option<Vec<f32>>,
}

/// What the way back needs of a block.
struct Kept {
    normed1: Normed,
    qkv: Vec<f32>,
    /// By what each query and key was multiplied.
    by: Vec<f32>,
    weights: Vec<f32>,
    mixed: Vec<f32>,
    attended: Option<Normed>,
    normed2: Normed,
    hidden: Vec<f32>,
    gate: Option<Vec<f32>>,
    activated: Vec<f32>,
    thought: Option<Normed>,
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

/// Memory that is used again: what lies in it is of no meaning.
#[derive(Default)]
struct Room(HashMap<usize, Vec<Vec<f32>>>);

/// The threads' memory between steps: the system would have to clear it anew each time.
static ROOMS: Mutex<Vec<Room>> = Mutex::new(Vec::new());

impl Room {
    fn open() -> Room {
        ROOMS.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Keeps it for the next step, unless it holds what other shapes have needed.
    fn close(self) {
        if self.0.len() <= SHAPES {
            ROOMS.lock().unwrap_or_else(PoisonError::into_inner).push(self);
        }
    }

    fn take(&mut self, numbers: usize) -> Vec<f32> {
        self.0.get_mut(&numbers).and_then(Vec::pop).unwrap_or_else(|| vec![0.0; numbers])
    }

    fn zeros(&mut self, numbers: usize) -> Vec<f32> {
        let mut zeros = self.take(numbers);
        zeros.fill(0.0);
        zeros
    }

    fn back(&mut self, numbers: Vec<f32>) {
        self.0.entry(numbers.len()).or_default().push(numbers);
    }
}

impl Linear<'_> {
    /// x Wᵀ + b
    #[target_feature(enable = "avx2,fma")]
    fn forward(&self, x: &[f32], room: &mut Room) -> Vec<f32> {
        let [wide, width] = self.size;
        let rows = x.len() / width;
        let mut out = room.take(rows * wide);
        multiply::<false>(View::of(x, width, [rows, width]), &self.there, Causal::No, &mut out, wide);
        self.bias.iter().for_each(|(bias, _)| out.chunks_exact_mut(wide).for_each(|row| add(row, bias)));
        out
    }

    /// The gradient of x; those of W and b are added.
    #[target_feature(enable = "avx2,fma")]
    fn backward(&self, x: &[f32], dy: &[f32], slopes: &mut [&mut [f32]], room: &mut Room) -> Vec<f32> {
        let [wide, width] = self.size;
        let rows = x.len() / width;
        let dy_rows = View::of(dy, wide, [rows, wide]);
        let x_columns = Panels::of(View::of(x, width, [rows, width]).turned());
        multiply::<true>(dy_rows.turned(), &x_columns, Causal::No, slopes[self.place], width);
        if let Some((_, place)) = self.bias {
            dy.chunks_exact(wide).for_each(|row| add(slopes[place], row));
        }
        let mut dx = room.take(rows * width);
        multiply::<false>(dy_rows, &self.back, Causal::No, &mut dx, width);
        dx
    }
}

impl Normed {
    fn out(&self) -> &[f32] {
        self.scaled.as_ref().unwrap_or(&self.sized)
    }

    fn back(self, room: &mut Room) {
        [Some(self.sized), Some(self.by), self.scaled].into_iter().flatten().for_each(|numbers| room.back(numbers));
    }
}

impl Scaled<'_> {
    #[target_feature(enable = "avx2,fma")]
    fn forward(&self, x: &[f32], width: usize, room: &mut Room) -> Normed {
        let (mut sized, mut by) = (room.take(x.len()), room.take(x.len() / width));
        sized.copy_from_slice(x);
        for (row, by) in sized.chunks_exact_mut(width).zip(&mut by) {
            if self.shift.is_some() {
                let mean = sum(row) / width as f32;
                scale_and_shift(row, 1.0, -mean);
            }
            *by = bring_to_size(row, self.epsilon);
        }
        let scaled = self.scale.map(|(scale, _)| {
            let mut scaled = room.take(x.len());
            for (row, out) in sized.chunks_exact(width).zip(scaled.chunks_exact_mut(width)) {
                for place in 0..width {
                    out[place] = row[place] * scale[place];
                }
                self.shift.iter().for_each(|(shift, _)| add(out, shift));
            }
            scaled
        });
        Normed { sized, by, scaled }
    }

    /// Makes the gradient of x of that of the norm's output; those of scale and shift are added.
    #[target_feature(enable = "avx2,fma")]
    fn backward(&self, normed: Normed, dy: &mut [f32], width: usize, slopes: &mut [&mut [f32]], room: &mut Room) {
        let rows = dy.chunks_exact_mut(width).zip(normed.sized.chunks_exact(width)).zip(&normed.by);
        for ((dy, sized), by) in rows {
            self.shift.iter().for_each(|&(_, place)| add(slopes[place], dy));
            if let Some((scale, place)) = self.scale {
                let slopes = &mut slopes[place][..width];
                for number in 0..width {
                    slopes[number] += dy[number] * sized[number];
                    dy[number] *= scale[number];
                }
            }
            if self.shift.is_some() {
                let mean = sum(dy) / width as f32;
                scale_and_shift(dy, 1.0, -mean);
            }
            back_to_size(dy, sized, *by);
        }
        normed.back(room);
    }
}

/// x / √(mean(x²) + ε); gives by what x was multiplied.
#[target_feature(enable = "avx2,fma")]
fn bring_to_size(x: &mut [f32], epsilon: f64) -> f32 {
    let by = (f64::from(dot(x, x)) / x.len() as f64 + epsilon).sqrt().recip() as f32;
    scale_and_shift(x, by, 0.0);
    by
}

/// Its way back.
#[target_feature(enable = "avx2,fma")]
fn back_to_size(dy: &mut [f32], sized: &[f32], by: f32) {
    let (width, along) = (dy.len(), dot(dy, sized) / dy.len() as f32);
    let sized = &sized[..width];
    for place in 0..width {
        dy[place] = by * (dy[place] - sized[place] * along);
    }
}

impl Block<'_> {
    /// Adds what the block has to say to the stream x.
    ///
    /// # Shapes
    /// `x`: B · T · C
    #[target_feature(enable = "avx2,fma")]
    fn forward(&self, activation: Activation, x: &mut [f32], time: usize, room: &mut Room) -> Kept {
        let normed1 = self.norm1.forward(x, self.width, room);
        let mut qkv = self.qkv.forward(normed1.out(), room); // B · T · (H + 2·K) · D
        let by = self.turn(&mut qkv, time, room);
        let (weights, mixed) = self.look_back(&qkv, time, room);
        let attended = self.output.forward(&mixed, room);
        let attended = add_normed(self.attention_norm.as_ref(), attended, x, self.width, room);
        let normed2 = self.norm2.forward(x, self.width, room);
        let hidden = self.up.forward(normed2.out(), room); // B · T · N
        let gate = self.gate.as_ref().map(|gate| gate.forward(normed2.out(), room));
        let mut activated = room.take(hidden.len());
        activate(activation, gate.as_ref().unwrap_or(&hidden), &mut activated);
        if gate.is_some() {
            times(&mut activated, &hidden);
        }
        let thought = self.down.forward(&activated, room);
        let thought = add_normed(self.mlp_norm.as_ref(), thought, x, self.width, room);
        Kept { normed1, qkv, by, weights, mixed, attended, normed2, hidden, gate, activated, thought }
    }

    /// Makes the gradient of the stream before the block of that after it; those of the parameters are added.
    #[target_feature(enable = "avx2,fma")]
    fn backward(
        &self,
        activation: Activation,
        kept: Kept,
        dx: &mut [f32],
        time: usize,
        slopes: &mut [&mut [f32]],
        room: &mut Room,
    ) {
        let Kept { normed1, qkv, by, weights, mixed, attended, normed2, hidden, gate, activated, thought } = kept;
        let dy = back_normed(self.mlp_norm.as_ref(), thought, dx, self.width, slopes, room);
        let mut dhidden = self.down.backward(&activated, dy.as_deref().unwrap_or(dx), slopes, room);
        let mut dnormed = match (&self.gate, &gate) {
            (Some(linear), Some(gate)) => {
                // Of up(x) · f(gate(x)): f(gate(x)) where up(x) is moved, up(x) · f′(gate(x)) where gate(x) is.
                let mut dgate = room.take(dhidden.len());
                dgate.copy_from_slice(&dhidden);
                times(&mut dgate, &hidden);
                activate_back(activation, gate, &mut dgate);
                let mut opened = room.take(dhidden.len());
                activate(activation, gate, &mut opened);
                times(&mut dhidden, &opened);
                let mut dnormed = linear.backward(normed2.out(), &dgate, slopes, room);
                let more = self.up.backward(normed2.out(), &dhidden, slopes, room);
                add(&mut dnormed, &more);
                [dgate, opened, more].into_iter().for_each(|numbers| room.back(numbers));
                dnormed
            }
            _ => {
                activate_back(activation, &hidden, &mut dhidden);
                self.up.backward(normed2.out(), &dhidden, slopes, room)
            }
        };
        self.norm2.backward(normed2, &mut dnormed, self.width, slopes, room);
        add(dx, &dnormed);
        let dy2 = back_normed(self.attention_norm.as_ref(), attended, dx, self.width, slopes, room);
        let dmixed = self.output.backward(&mixed, dy2.as_deref().unwrap_or(dx), slopes, room);
        let mut dqkv = self.look_back_back(&qkv, &weights, &dmixed, time, room);
        self.turn_back(&qkv, &by, &mut dqkv, time);
        let mut dnormed1 = self.qkv.backward(normed1.out(), &dqkv, slopes, room);
        self.norm1.backward(normed1, &mut dnormed1, self.width, slopes, room);
        add(dx, &dnormed1);
        let used = [qkv, by, weights, mixed, hidden, activated, dhidden, dnormed, dmixed, dqkv, dnormed1];
        used.into_iter().chain(gate).chain(dy).chain(dy2).for_each(|numbers| room.back(numbers));
    }

    /// Numbers of a character's queries, keys and values.
    fn all(&self) -> usize {
        (self.heads + 2 * self.kv_heads) * self.dim
    }

    /// Brings queries and keys to one length, if that is asked, and turns them by their place; gives by what each was multiplied.
    #[target_feature(enable = "avx2,fma")]
    fn turn(&self, qkv: &mut [f32], time: usize, room: &mut Room) -> Vec<f32> {
        let turned = self.heads + self.kv_heads;
        let mut by = room.take(qkv.len() / self.all() * turned);
        for (row, (numbers, by)) in qkv.chunks_exact_mut(self.all()).zip(by.chunks_exact_mut(turned)).enumerate() {
            for (head, by) in numbers.chunks_exact_mut(self.dim).zip(by) {
                if let Some(epsilon) = self.one_length {
                    *by = bring_to_size(head, epsilon);
                }
                if let Some(turns) = &self.turns {
                    turn(head, &turns[row % time * self.dim..][..self.dim], 1.0);
                }
            }
        }
        by
    }

    /// Its way back. One length and turning change places: what is turned by an angle keeps its length.
    #[target_feature(enable = "avx2,fma")]
    fn turn_back(&self, qkv: &[f32], by: &[f32], dqkv: &mut [f32], time: usize) {
        let turned = self.heads + self.kv_heads;
        let rows = qkv.chunks_exact(self.all()).zip(dqkv.chunks_exact_mut(self.all())).zip(by.chunks_exact(turned));
        for (row, ((numbers, slopes), by)) in rows.enumerate() {
            let heads = numbers.chunks_exact(self.dim).zip(slopes.chunks_exact_mut(self.dim)).zip(by);
            for ((head, slopes), by) in heads {
                if self.one_length.is_some() {
                    back_to_size(slopes, head, *by);
                }
                if let Some(turns) = &self.turns {
                    turn(slopes, &turns[row % time * self.dim..][..self.dim], -1.0);
                }
            }
        }
    }

    /// Where the queries, keys and values of a text's head begin.
    fn starts(&self, text: usize, head: usize, time: usize) -> [usize; 3] {
        let (start, shared) = (text * time * self.all(), head * self.kv_heads / self.heads);
        [head, self.heads + shared, self.heads + self.kv_heads + shared].map(|number| start + number * self.dim)
    }

    /// The weights of all texts' heads, and what they mix.
    ///
    /// # Shapes
    /// `qkv`: B · T · (H + 2·K) · D → B · H · T · T, B · T · H · D
    #[target_feature(enable = "avx2,fma")]
    fn look_back(&self, qkv: &[f32], time: usize, room: &mut Room) -> (Vec<f32>, Vec<f32>) {
        let Block { heads, dim, .. } = *self;
        let (texts, joined) = (qkv.len() / (time * self.all()), heads * dim);
        let mut all_weights = room.take(texts * heads * time * time);
        let mut mixed = room.take(texts * time * joined);
        let scale = (dim as f32).sqrt().recip();
        for (number, weights) in all_weights.chunks_exact_mut(time * time).enumerate() {
            let (text, head) = (number / heads, number % heads);
            let [queries, keys, values] =
                self.starts(text, head, time).map(|start| View::of(&qkv[start..], self.all(), [time, dim]));
            multiply::<false>(queries, &Panels::of(keys), Causal::Scores, weights, time);
            for (place, row) in weights.chunks_exact_mut(time).enumerate() {
                let from = self.window.map_or(0, |window| (place + 1).saturating_sub(window));
                row[..from].fill(0.0);
                row[place + 1..].fill(0.0);
                softmax(&mut row[from..=place], scale);
            }
            let mixed = &mut mixed[text * time * joined + head * dim..];
            let weights = View::of(weights, time, [time, time]);
            multiply::<false>(weights, &Panels::of(values.turned()), Causal::Mix, mixed, joined);
        }
        (all_weights, mixed)
    }

    /// Its way back.
    ///
    /// # Shapes
    /// `dmixed`: B · T · H · D → B · T · (H + 2·K) · D
    #[target_feature(enable = "avx2,fma")]
    fn look_back_back(&self, qkv: &[f32], weights: &[f32], dmixed: &[f32], time: usize, room: &mut Room) -> Vec<f32> {
        let Block { heads, dim, .. } = *self;
        let (all, joined, scale) = (self.all(), heads * dim, (dim as f32).sqrt().recip());
        let mut dqkv = room.zeros(qkv.len());
        let mut dscores = room.zeros(time * time);
        for (number, weights) in weights.chunks_exact(time * time).enumerate() {
            let (text, head) = (number / heads, number % heads);
            let starts = self.starts(text, head, time);
            let [queries, keys, values] = starts.map(|start| View::of(&qkv[start..], all, [time, dim]));
            let dmixed = View::of(&dmixed[text * time * joined + head * dim..], joined, [time, dim]);
            let looked = View::of(weights, time, [time, time]);
            multiply::<true>(looked.turned(), &Panels::of(dmixed.turned()), Causal::Back, &mut dqkv[starts[2]..], all);
            multiply::<false>(dmixed, &Panels::of(values), Causal::Scores, &mut dscores, time);
            for (place, (row, weights)) in dscores.chunks_exact_mut(time).zip(weights.chunks_exact(time)).enumerate() {
                row[place + 1..].fill(0.0);
                let (row, weights) = (&mut row[..=place], &weights[..=place]);
                let along = dot(row, weights);
                for seen in 0..row.len() {
                    row[seen] = (row[seen] - along) * weights[seen] * scale;
                }
            }
            let slopes = View::of(&dscores, time, [time, time]);
            multiply::<false>(slopes, &Panels::of(keys.turned()), Causal::Mix, &mut dqkv[starts[0]..], all);
            multiply::<true>(slopes.turned(), &Panels::of(queries.turned()), Causal::Back, &mut dqkv[starts[1]..], all);
        }
        room.back(dscores);
        dqkv
    }
}

/// Adds a part's output to the stream, through its norm, if it has one.
#[target_feature(enable = "avx2,fma")]
fn add_normed(
    norm: Option<&Scaled<'_>>,
    output: Vec<f32>,
    x: &mut [f32],
    width: usize,
    room: &mut Room,
) -> Option<Normed> {
    let normed = norm.map(|norm| norm.forward(&output, width, room));
    add(x, normed.as_ref().map_or(&output, Normed::out));
    room.back(output);
    normed
}

/// The gradient of a part's output, if that of the stream has to come through a norm.
#[target_feature(enable = "avx2,fma")]
fn back_normed(
    norm: Option<&Scaled<'_>>,
    normed: Option<Normed>,
    dx: &[f32],
    width: usize,
    slopes: &mut [&mut [f32]],
    room: &mut Room,
) -> Option<Vec<f32>> {
    let (norm, normed) = norm.zip(normed)?;
    let mut dy = room.take(dx.len());
    dy.copy_from_slice(dx);
    norm.backward(normed, &mut dy, width, slopes, room);
    Some(dy)
}

/// Pairs turned by the angles of a place; with `way` −1 back.
#[target_feature(enable = "avx2,fma")]
fn turn(numbers: &mut [f32], turns: &[f32], way: f32) {
    let (pairs, turns) = (numbers.as_chunks_mut::<2>().0, turns.as_chunks::<2>().0);
    let turns = &turns[..pairs.len()];
    for place in 0..pairs.len() {
        let ([a, b], [cos, sin]) = (pairs[place], [turns[place][0], turns[place][1] * way]);
        pairs[place] = [a * cos - b * sin, a * sin + b * cos];
    }
}

// Loops and no closures: a function of the standard library, compiled for any processor, could not take them in.

#[target_feature(enable = "avx2,fma")]
fn scale_and_shift(x: &mut [f32], scale: f32, shift: f32) {
    for place in 0..x.len() {
        x[place] = x[place] * scale + shift;
    }
}

#[target_feature(enable = "avx2,fma")]
fn times(x: &mut [f32], by: &[f32]) {
    let by = &by[..x.len()];
    for place in 0..x.len() {
        x[place] *= by[place];
    }
}

/// In eight sums that don't wait for each other.
#[target_feature(enable = "avx2,fma")]
fn sum(numbers: &[f32]) -> f32 {
    let (eights, rest) = numbers.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for eight in eights {
        for lane in 0..8 {
            sums[lane] += eight[lane];
        }
    }
    sums.iter().chain(rest).sum()
}

/// The highest number; none, if one is none.
#[target_feature(enable = "avx2,fma")]
fn highest(numbers: &[f32]) -> f32 {
    let (eights, rest) = numbers.as_chunks::<8>();
    let mut highest = [f32::NEG_INFINITY; 8];
    for eight in eights {
        for lane in 0..8 {
            highest[lane] = if eight[lane] > highest[lane] { eight[lane] } else { highest[lane] };
        }
    }
    highest.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// e to the power of each number times `scale` less the highest; gives their sum.
#[target_feature(enable = "avx2,fma")]
fn powers(numbers: &mut [f32], scale: f32) -> f32 {
    let highest = highest(numbers);
    let mut sums = [0.0; 8];
    let (eights, rest) = numbers.as_chunks_mut::<8>();
    for eight in eights {
        for lane in 0..8 {
            eight[lane] = exp((eight[lane] - highest) * scale);
            sums[lane] += eight[lane];
        }
    }
    let mut sum: f32 = sums.iter().sum();
    for number in rest {
        *number = exp((*number - highest) * scale);
        sum += *number;
    }
    sum
}

#[target_feature(enable = "avx2,fma")]
fn softmax(scores: &mut [f32], scale: f32) {
    let share = powers(scores, scale).recip();
    scale_and_shift(scores, share, 0.0);
}

/// Makes the gradient of the mean of `all` losses of logits; gives the sum of those that are here.
#[target_feature(enable = "avx2,fma")]
fn cross_entropy(logits: &mut [f32], targets: &[i64], all: usize) -> f64 {
    let (vocab, mut loss) = (logits.len() / targets.len(), 0.0);
    for (row, &target) in logits.chunks_exact_mut(vocab).zip(targets) {
        let (target, own) = (target as usize, row[target as usize] - highest(row));
        let sum = powers(row, 1.0);
        loss += f64::from(sum.ln() - own);
        let share = (sum * all as f32).recip();
        scale_and_shift(row, share, 0.0);
        row[target] -= (all as f32).recip();
    }
    loss
}

/// eˣ to a few units in the last place: 2 to a whole number, times a polynomial for what is left of x. What is no number stays none.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const WHOLE: f32 = 12_582_912.0; // 1.5 · 2²³: what is added to it is rounded to whole numbers
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, WHOLE);
    let whole = shifted - WHOLE;
    // ln 2 in two parts, so that the product with the first is exact.
    let rest = whole.mul_add(-1.428_606_8e-6, whole.mul_add(-0.693_145_75, x));
    let series = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];
    let power = series.into_iter().fold(0.0, |sum: f32, factor: f32| sum.mul_add(rest, factor));
    power * f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23))
}

/// Φ(x), the share of a normal distribution below x, and its density φ(x). Source: Abramowitz and Stegun 1964, 7.1.26 (to 1.5e-7).
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    let t = (x.abs() * std::f32::consts::FRAC_1_SQRT_2).mul_add(0.327_591_1, 1.0).recip();
    let series = [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6, 0.0];
    let bell = exp(-0.5 * x * x);
    let above = 0.5 * bell * series.into_iter().fold(0.0, |sum: f32, factor: f32| sum.mul_add(t, factor));
    (if x < 0.0 { above } else { 1.0 - above }, bell * 0.398_942_3)
}

/// tanh(√(2/π) · (x + 0.044715 x³)) as ½ + ½ tanh, GPT-2's Φ, and its slope.
#[inline(always)]
fn nearly_normal(x: f32) -> (f32, f32) {
    const SCALE: f32 = 0.797_884_6; // √(2/π)
    let share = sigmoid(2.0 * SCALE * x * (0.044_715 * x).mul_add(x, 1.0));
    (share, 2.0 * SCALE * share * (1.0 - share) * (3.0 * 0.044_715 * x).mul_add(x, 1.0))
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    (1.0 + exp(-x)).recip()
}

#[target_feature(enable = "avx2,fma")]
fn activate(activation: Activation, x: &[f32], out: &mut [f32]) {
    #[inline(always)]
    fn each(x: &[f32], out: &mut [f32], of: impl Fn(f32) -> f32) {
        let out = &mut out[..x.len()];
        for place in 0..x.len() {
            out[place] = of(x[place]);
        }
    }
    match activation {
        // What is no number stays none.
        Activation::Relu => each(x, out, |x| if x < 0.0 { 0.0 } else { x }),
        Activation::ReluSquared => each(x, out, |x| if x < 0.0 { 0.0 } else { x * x }),
        Activation::Gelu => each(x, out, |x| x * normal(x).0),
        Activation::GeluTanh => each(x, out, |x| x * nearly_normal(x).0),
        Activation::Silu => each(x, out, |x| x * sigmoid(x)),
    }
}

/// Makes the gradient of x of that of the activation of x.
#[target_feature(enable = "avx2,fma")]
fn activate_back(activation: Activation, x: &[f32], dy: &mut [f32]) {
    #[inline(always)]
    fn each(x: &[f32], dy: &mut [f32], slope: impl Fn(f32) -> f32) {
        let dy = &mut dy[..x.len()];
        for place in 0..x.len() {
            dy[place] *= slope(x[place]);
        }
    }
    match activation {
        Activation::Relu => each(x, dy, |x| if x <= 0.0 { 0.0 } else { 1.0 }),
        Activation::ReluSquared => each(x, dy, |x| if x < 0.0 { 0.0 } else { 2.0 * x }),
        Activation::Gelu => each(x, dy, |x| {
            let (share, density) = normal(x);
            density.mul_add(x, share)
        }),
        Activation::GeluTanh => each(x, dy, |x| {
            let (share, slope) = nearly_normal(x);
            slope.mul_add(x, share)
        }),
        Activation::Silu => each(x, dy, |x| {
            let share = sigmoid(x);
            share * (1.0 - share).mul_add(x, 1.0)
        }),
    }
}
