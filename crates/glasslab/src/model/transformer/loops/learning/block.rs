//! A block, there and back.

use super::functions::{activate, back_to_size, bring_to_size, softmax, times, turn};
use super::layers::{Linear, Normed, Room, Scaled, Slopes, add_normed, back_normed};
use crate::model::transformer::Activation;
use crate::products::{Causal, Panels, View, multiply};
use crate::slices::{add, dot};

pub(super) struct Block<'a> {
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) dim: usize,
    pub(super) window: Option<usize>,
    /// Queries and keys are brought to one length, with this ε.
    pub(super) one_length: Option<f64>,
    pub(super) turns: Option<Vec<f32>>,
    pub(super) norm1: Scaled<'a>,
    pub(super) qkv: Linear<'a>,
    pub(super) output: Linear<'a>,
    pub(super) attention_norm: Option<Scaled<'a>>,
    pub(super) norm2: Scaled<'a>,
    pub(super) up: Linear<'a>,
    pub(super) gate: Option<Linear<'a>>,
    pub(super) down: Linear<'a>,
    pub(super) mlp_norm: Option<Scaled<'a>>,
}

/// What the way back needs of a block.
pub(super) struct Kept {
    pub(super) normed1: Normed,
    pub(super) qkv: Vec<f32>,
    /// By what each query and key was multiplied.
    pub(super) by: Vec<f32>,
    pub(super) weights: Vec<f32>,
    pub(super) mixed: Vec<f32>,
    pub(super) attended: Option<Normed>,
    pub(super) normed2: Normed,
    /// Of the activation.
    pub(super) slope: Vec<f32>,
    /// What a gate lets through, and how far it is open.
    pub(super) gated: Option<[Vec<f32>; 2]>,
    pub(super) activated: Vec<f32>,
    pub(super) thought: Option<Normed>,
}

impl Kept {
    pub(super) fn free(self, room: &mut Room) {
        let Kept { normed1, qkv, by, weights, mixed, attended, normed2, slope, gated, activated, thought } = self;
        [qkv, by, weights, mixed, slope, activated]
            .into_iter()
            .chain(gated.into_iter().flatten())
            .for_each(|numbers| room.free(numbers));
        [normed1, normed2].into_iter().chain(attended).chain(thought).for_each(|normed| normed.free(room));
    }
}

impl Block<'_> {
    /// Adds what the block has to say to the stream x.
    ///
    /// # Shapes
    /// `x`: B · T · C
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn forward(&self, activation: Activation, x: &mut [f32], time: usize, room: &mut Room) -> Kept {
        let normed1 = self.norm1.forward(x, self.width, room);
        let mut qkv = self.qkv.forward(normed1.out(), room); // B · T · (H + 2·K) · D
        let by = self.turn(&mut qkv, time, room);
        let (weights, mixed) = self.look_back(&qkv, time, room);
        let attended = self.output.forward(&mixed, room);
        let attended = add_normed(self.attention_norm.as_ref(), attended, x, self.width, room);
        let normed2 = self.norm2.forward(x, self.width, room);
        let mut slope = self.gate.as_ref().unwrap_or(&self.up).forward(normed2.out(), room); // B · T · N
        let mut activated = room.take(slope.len());
        activate(activation, &mut slope, &mut activated);
        let gated = self.gate.as_ref().map(|_| {
            let (hidden, mut opened) = (self.up.forward(normed2.out(), room), room.take(activated.len()));
            opened.copy_from_slice(&activated);
            times(&mut activated, &hidden);
            [hidden, opened]
        });
        let thought = self.down.forward(&activated, room);
        let thought = add_normed(self.mlp_norm.as_ref(), thought, x, self.width, room);
        Kept { normed1, qkv, by, weights, mixed, attended, normed2, slope, gated, activated, thought }
    }

    /// Makes the gradient of the stream before the block of that after it; those of the parameters are added.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn backward(&self, kept: Kept, dx: &mut [f32], time: usize, slopes: &mut [Slopes<'_>], room: &mut Room) {
        let Kept { normed1, qkv, by, weights, mixed, attended, normed2, slope, gated, activated, thought } = kept;
        let dy = back_normed(self.mlp_norm.as_ref(), thought, dx, self.width, slopes, room);
        let mut dhidden = self.down.backward(&activated, dy.as_deref().unwrap_or(dx), slopes, room);
        let mut dnormed = match (&self.gate, &gated) {
            (Some(gate), Some([hidden, opened])) => {
                // Of up(x) · f(gate(x)): f(gate(x)) where up(x) is moved, up(x) · f′(gate(x)) where gate(x) is.
                let mut dgate = room.take(dhidden.len());
                dgate.copy_from_slice(&dhidden);
                times(&mut dgate, hidden);
                times(&mut dgate, &slope);
                times(&mut dhidden, opened);
                let mut dnormed = gate.backward(normed2.out(), &dgate, slopes, room);
                let more = self.up.backward(normed2.out(), &dhidden, slopes, room);
                add(&mut dnormed, &more);
                [dgate, more].into_iter().for_each(|numbers| room.free(numbers));
                dnormed
            }
            _ => {
                times(&mut dhidden, &slope);
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
        let used = [qkv, by, weights, mixed, slope, activated, dhidden, dnormed, dmixed, dqkv, dnormed1];
        used.into_iter().chain(gated.into_iter().flatten()).chain(dy).chain(dy2).for_each(|numbers| room.free(numbers));
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
        let mut dqkv = room.take(qkv.len());
        let mut dscores = room.take(time * time);
        for (number, weights) in weights.chunks_exact(time * time).enumerate() {
            let (text, head) = (number / heads, number % heads);
            let starts = self.starts(text, head, time);
            let [queries, keys, values] = starts.map(|start| View::of(&qkv[start..], all, [time, dim]));
            let dmixed = View::of(&dmixed[text * time * joined + head * dim..], joined, [time, dim]);
            let looked = View::of(weights, time, [time, time]);
            // The first head of those that share keys and values writes, the others add.
            let write = match head % (heads / self.kv_heads) {
                0 => multiply::<false>,
                _ => multiply::<true>,
            };
            write(looked.turned(), &Panels::of(dmixed.turned()), Causal::Back, &mut dqkv[starts[2]..], all);
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
            write(slopes.turned(), &Panels::of(queries.turned()), Causal::Back, &mut dqkv[starts[1]..], all);
        }
        room.free(dscores);
        dqkv
    }
}
