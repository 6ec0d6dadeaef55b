//! What blocks are made of, there and back: products with weights, and norms.

use super::functions::{back_to_size, bring_to_size, scale_and_shift, sum};
use crate::products::{Causal, Panels, View, multiply};
use crate::slices::add;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// So much is kept between steps, in numbers (32 MB); `small` needs 8 MB of it.
const KEPT: usize = 1 << 23;

/// Memory that is used again: what lies in it is of no meaning.
#[derive(Default)]
pub(super) struct Room {
    /// By how many numbers have room.
    free: BTreeMap<usize, Vec<Vec<f32>>>,
    /// Which of these have been asked for since it was opened.
    asked: BTreeSet<usize>,
}

/// The threads' memory between steps: the system would have to clear it anew each time.
static ROOMS: Mutex<Vec<Room>> = Mutex::new(Vec::new());

impl Room {
    pub(super) fn open() -> Room {
        ROOMS.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Keeps it for the next step, but for what this one had no use for, and what is largest where it is much.
    pub(super) fn close(mut self) {
        let asked = std::mem::take(&mut self.asked);
        self.free.retain(|numbers, _| asked.contains(numbers));
        while self.free.iter().map(|(numbers, all)| numbers * all.len()).sum::<usize>() > KEPT {
            self.free.pop_last();
        }
        ROOMS.lock().unwrap_or_else(PoisonError::into_inner).push(self);
    }

    pub(super) fn take(&mut self, numbers: usize) -> Vec<f32> {
        self.asked.insert(numbers);
        self.free.get_mut(&numbers).and_then(Vec::pop).unwrap_or_else(|| vec![0.0; numbers])
    }

    pub(super) fn free(&mut self, numbers: Vec<f32>) {
        self.free.entry(numbers.len()).or_default().push(numbers);
    }
}

/// A parameter's gradient, of which parts are added: what lies in its memory before the first one is of no meaning.
pub(super) struct Slopes<'a> {
    numbers: &'a mut [f32],
    is_begun: bool,
}

impl<'a> Slopes<'a> {
    pub(super) fn of(numbers: &'a mut [f32]) -> Slopes<'a> {
        Slopes { numbers, is_begun: false }
    }

    /// Zeros at first.
    pub(super) fn numbers(&mut self) -> &mut [f32] {
        if !std::mem::replace(&mut self.is_begun, true) {
            self.numbers.fill(0.0);
        }
        self.numbers
    }

    pub(super) fn add(&mut self, more: &[f32]) {
        add(self.numbers(), more);
    }

    /// Zeros, if nothing was added.
    pub(super) fn finish(&mut self) {
        self.numbers();
    }

    /// Adds A · Bᵀ, or begins with it.
    #[target_feature(enable = "avx2,fma")]
    fn add_product(&mut self, a: View<'_>, b: &Panels, stride: usize) {
        match std::mem::replace(&mut self.is_begun, true) {
            true => multiply::<true>(a, b, Causal::No, self.numbers, stride),
            false => multiply::<false>(a, b, Causal::No, self.numbers, stride),
        }
    }
}

/// Numbers that are learnt, and their place among the parameters.
pub(super) type Learnt<'a> = (&'a [f32], usize);

/// A norm's scale and shift, and its ε.
pub(super) struct Scaled<'a> {
    pub(super) scale: Option<Learnt<'a>>,
    pub(super) shift: Option<Learnt<'a>>,
    pub(super) epsilon: f64,
}

/// A weight of N rows and K columns, and its place among the parameters.
pub(super) struct Linear<'a> {
    pub(super) view: View<'a>,
    pub(super) size: [usize; 2],
    pub(super) place: usize,
    pub(super) bias: Option<Learnt<'a>>,
    /// Laid out for the way there, and for the way back, where that is gone.
    pub(super) panels: [Option<Panels>; 2],
}

/// What a norm has made of rows.
pub(super) struct Normed {
    /// Each row brought to size, before scale and shift.
    pub(super) sized: Vec<f32>,
    /// By what each row was multiplied.
    pub(super) by: Vec<f32>,
    /// After them, if it has any.
    pub(super) scaled: Option<Vec<f32>>,
}

impl Linear<'_> {
    fn panels(&self, way: usize) -> &Panels {
        self.panels[way].as_ref().expect("weights are laid out before they are used")
    }

    /// x Wᵀ + b
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn forward(&self, x: &[f32], room: &mut Room) -> Vec<f32> {
        let [wide, width] = self.size;
        let rows = x.len() / width;
        let mut out = room.take(rows * wide);
        multiply::<false>(View::of(x, width, [rows, width]), self.panels(0), Causal::No, &mut out, wide);
        self.bias.iter().for_each(|(bias, _)| out.chunks_exact_mut(wide).for_each(|row| add(row, bias)));
        out
    }

    /// The gradient of x; those of W and b are added.
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn backward(&self, x: &[f32], dy: &[f32], slopes: &mut [Slopes<'_>], room: &mut Room) -> Vec<f32> {
        let [wide, width] = self.size;
        let rows = x.len() / width;
        let dy_rows = View::of(dy, wide, [rows, wide]);
        let x_columns = Panels::of(View::of(x, width, [rows, width]).turned());
        slopes[self.place].add_product(dy_rows.turned(), &x_columns, width);
        if let Some((_, place)) = self.bias {
            dy.chunks_exact(wide).for_each(|row| slopes[place].add(row));
        }
        let mut dx = room.take(rows * width);
        multiply::<false>(dy_rows, self.panels(1), Causal::No, &mut dx, width);
        dx
    }
}

impl Normed {
    pub(super) fn out(&self) -> &[f32] {
        self.scaled.as_ref().unwrap_or(&self.sized)
    }

    pub(super) fn free(self, room: &mut Room) {
        [Some(self.sized), Some(self.by), self.scaled].into_iter().flatten().for_each(|numbers| room.free(numbers));
    }
}

impl Scaled<'_> {
    #[target_feature(enable = "avx2,fma")]
    pub(super) fn forward(&self, x: &[f32], width: usize, room: &mut Room) -> Normed {
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
    pub(super) fn backward(
        &self,
        normed: Normed,
        dy: &mut [f32],
        width: usize,
        slopes: &mut [Slopes<'_>],
        room: &mut Room,
    ) {
        let rows = dy.chunks_exact_mut(width).zip(normed.sized.chunks_exact(width)).zip(&normed.by);
        for ((dy, sized), by) in rows {
            self.shift.iter().for_each(|&(_, place)| slopes[place].add(dy));
            if let Some((scale, place)) = self.scale {
                let slopes = &mut slopes[place].numbers()[..width];
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
        normed.free(room);
    }
}

/// Adds a part's output to the stream, through its norm, if it has one.
#[target_feature(enable = "avx2,fma")]
pub(super) fn add_normed(
    norm: Option<&Scaled<'_>>,
    output: Vec<f32>,
    x: &mut [f32],
    width: usize,
    room: &mut Room,
) -> Option<Normed> {
    let normed = norm.map(|norm| norm.forward(&output, width, room));
    add(x, normed.as_ref().map_or(&output, Normed::out));
    room.free(output);
    normed
}

/// The gradient of a part's output, if that of the stream has to come through a norm.
#[target_feature(enable = "avx2,fma")]
pub(super) fn back_normed(
    norm: Option<&Scaled<'_>>,
    normed: Option<Normed>,
    dx: &[f32],
    width: usize,
    slopes: &mut [Slopes<'_>],
    room: &mut Room,
) -> Option<Vec<f32>> {
    let (norm, normed) = norm.zip(normed)?;
    let mut dy = room.take(dx.len());
    dy.copy_from_slice(dx);
    norm.backward(normed, &mut dy, width, slopes, room);
    Some(dy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lay_in_a_gradients_memory_is_of_no_meaning_whatever_comes_first() {
        if !crate::products::is_here() {
            return;
        }
        let (ones, twos) = ([1.0; 6], [2.0; 6]); // 2 × 3 and 2 × 3: their product is 2 × 2, of sixes
        let product = |slopes: &mut Slopes<'_>| {
            // SAFETY: this processor has these instructions.
            unsafe {
                let panels = Panels::of(View::of(&twos, 3, [2, 3]));
                slopes.add_product(View::of(&ones, 3, [2, 3]), &panels, 2);
            }
        };
        let after = |steps: &[&dyn Fn(&mut Slopes<'_>)]| {
            let mut memory = [f32::NAN; 4];
            let mut slopes = Slopes::of(&mut memory);
            steps.iter().for_each(|step| step(&mut slopes));
            slopes.finish();
            memory
        };
        let row = |slopes: &mut Slopes<'_>| slopes.add(&[1.0, 2.0]);
        assert_eq!(after(&[]), [0.0; 4]);
        assert_eq!(after(&[&product]), [6.0; 4]);
        assert_eq!(after(&[&product, &product]), [12.0; 4]);
        assert_eq!(after(&[&row, &product]), [7.0, 8.0, 6.0, 6.0]);
        assert_eq!(after(&[&product, &row]), [7.0, 8.0, 6.0, 6.0]);
    }
}
