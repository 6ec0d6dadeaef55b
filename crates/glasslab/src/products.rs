//! Products of matrices by loops: small ones, whose numbers stay in the processor's caches and registers.
//!
//! Sixteen rows of the second matrix lie beside each other (a panel), and meet six of the first: so 96 sums stay in registers while
//! the numbers that they are made of go by once.

/// So many rows of the second matrix lie beside each other, ...
pub(crate) const WIDE: usize = 16;
/// ... and are multiplied with so many of the first at a time.
pub(crate) const HIGH: usize = 6;

/// Rows of the first matrix, where they lie, by rows of the second: their sums of products, the same to the last bit on every processor.
///
/// It counts its places instead of joining iterators: so it becomes vector instructions also where the crate is compiled in parts, at
/// `opt-level` 3 and without checks of overflow (cells' profile is the kernel's `quick/prepare.rs`).
#[inline(always)]
pub(crate) fn products<const X: usize>(a: [&[f32]; X], b: &[[f32; WIDE]]) -> [[f32; WIDE]; X] {
    let (mut a, depth, mut sums) = (a, b.len(), [[0.0; WIDE]; X]);
    for row in &mut a {
        *row = &row[..depth];
    }
    for place in 0..depth {
        for row in 0..X {
            for lane in 0..WIDE {
                sums[row][lane] += a[row][place] * b[place][lane];
            }
        }
    }
    sums
}

#[cfg(target_arch = "x86_64")]
pub(crate) use fused::{Causal, Panels, View, is_here, multiply};

/// For processors that fuse products and sums, eight at a time.
#[cfg(target_arch = "x86_64")]
mod fused {
    use super::{HIGH, WIDE};
    use std::arch::x86_64::{
        __m256, _MM_HINT_T0, _mm_prefetch, _mm256_add_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps,
        _mm256_setzero_ps, _mm256_storeu_ps,
    };
    use std::ops::Range;

    /// Whether this processor is one.
    pub(crate) fn is_here() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }

    /// So many times [`HIGH`] rows meet a panel while it is in the first cache, ...
    const TALL: usize = 16;
    /// ... where no more than so many of its columns fit beside the rows.
    const DEEP: usize = 256;
    /// So many of its columns go by before the loop asks whether there are more.
    const UNROLLED: usize = 4;

    /// A matrix where it lies.
    #[derive(Clone, Copy)]
    pub(crate) struct View<'a> {
        numbers: &'a [f32],
        /// From one row in memory to the next.
        stride: usize,
        rows: usize,
        columns: usize,
        turned: bool,
    }

    impl<'a> View<'a> {
        /// The first numbers of `rows` rows, which begin `stride` numbers apart.
        ///
        /// # Panics
        /// If they are not there.
        pub(crate) fn of(numbers: &'a [f32], stride: usize, [rows, columns]: [usize; 2]) -> View<'a> {
            let end = rows.saturating_sub(1).checked_mul(stride).and_then(|last| last.checked_add(columns));
            assert!(rows == 0 || end.is_some_and(|end| end <= numbers.len()), "the rows are there");
            View { numbers, stride, rows, columns, turned: false }
        }

        pub(crate) fn len(self) -> usize {
            self.rows * self.columns
        }

        /// Its rows as columns.
        pub(crate) fn turned(self) -> View<'a> {
            View { rows: self.columns, columns: self.rows, turned: !self.turned, ..self }
        }

        /// Its numbers, row by row.
        pub(crate) fn numbers(self) -> impl Iterator<Item = f32> {
            let [down, along] = if self.turned { [1, self.stride] } else { [self.stride, 1] };
            let row = move |row| (0..self.columns).map(move |column| self.numbers[row * down + column * along]);
            (0..self.rows).flat_map(row)
        }

        /// Where `N` rows begin; of a row that is not there, the last one once more.
        #[inline(always)]
        fn starts<const N: usize>(&self, first: usize) -> [usize; N] {
            let (mut starts, last) = ([0; N], self.rows - 1);
            for (lane, start) in starts.iter_mut().enumerate() {
                *start = (first + lane).min(last) * self.stride;
            }
            starts
        }

        /// Lays rows beside each other, `N` at a time; what stands for rows that are not there is of no meaning.
        #[target_feature(enable = "avx2,fma")]
        fn lay<const N: usize, L: From<[f32; N]>>(&self, rows: Range<usize>, out: &mut Vec<L>) {
            let all = rows.len().div_ceil(N) * self.columns;
            out.clear();
            out.reserve(all);
            let room = &mut out.spare_capacity_mut()[..all];
            // Loops and no closures, which a function of the standard library, compiled for any processor, could not take in.
            if self.turned {
                // Through memory in its order, whatever the order of what is written.
                for column in 0..self.columns {
                    let (whole, rest) = self.numbers[column * self.stride..][rows.clone()].as_chunks::<N>();
                    for group in 0..whole.len() {
                        room[group * self.columns + column].write(whole[group].into());
                    }
                    if !rest.is_empty() {
                        let mut lanes = [0.0; N];
                        lanes[..rest.len()].copy_from_slice(rest);
                        room[whole.len() * self.columns + column].write(lanes.into());
                    }
                }
            } else {
                for (group, room) in room.chunks_exact_mut(self.columns).enumerate() {
                    let mut lying = [&self.numbers[..0]; N];
                    for (lane, start) in self.starts::<N>(rows.start + group * N).into_iter().enumerate() {
                        lying[lane] = &self.numbers[start..][..self.columns];
                    }
                    for column in 0..self.columns {
                        let mut lanes = [0.0; N];
                        for lane in 0..N {
                            lanes[lane] = lying[lane][column];
                        }
                        room[column].write(lanes.into());
                    }
                }
            }
            // SAFETY: so many have just been written.
            unsafe { out.set_len(all) };
        }
    }

    /// A column of a panel: a line of the cache, which two loads of eight numbers don't have to fetch twice.
    #[repr(align(64))]
    struct Line([f32; WIDE]);

    impl From<[f32; WIDE]> for Line {
        #[inline(always)]
        fn from(numbers: [f32; WIDE]) -> Line {
            Line(numbers)
        }
    }

    /// A matrix whose rows lie beside each other, [`WIDE`] at a time.
    pub(crate) struct Panels {
        numbers: Vec<Line>,
        rows: usize,
    }

    impl Panels {
        #[target_feature(enable = "avx2,fma")]
        pub(crate) fn of(view: View<'_>) -> Panels {
            let mut numbers = Vec::new();
            view.lay(0..view.rows, &mut numbers);
            Panels { numbers, rows: view.rows }
        }
    }

    /// What of a product is not needed, because a character sees none after itself.
    #[derive(Clone, Copy, PartialEq)]
    pub(crate) enum Causal {
        /// Nothing.
        No,
        /// Columns after the row.
        Scores,
        /// Sums beyond the row's place: the first matrix has zeros there.
        Mix,
        /// Sums before the row's place: likewise.
        Back,
    }

    /// A · Bᵀ into `out`, whose rows begin `stride` numbers apart; `ADD`, to what is there.
    #[target_feature(enable = "avx2,fma")]
    pub(crate) fn multiply<const ADD: bool>(a: View<'_>, b: &Panels, causal: Causal, out: &mut [f32], stride: usize) {
        let depth = a.columns;
        assert_eq!(b.numbers.len(), b.rows.div_ceil(WIDE) * depth, "rows of one length");
        // Rows are read where they lie; of columns, the numbers would lie too far apart.
        let (mut across, mut starts) = (Vec::<[f32; HIGH]>::new(), [0; HIGH * TALL]);
        for group in (0..a.rows).step_by(HIGH * TALL) {
            let rows = group..a.rows.min(group + HIGH * TALL);
            if a.turned {
                a.lay(rows.clone(), &mut across);
            } else {
                starts = a.starts(group);
            }
            for (column, panel) in (0..b.rows).step_by(WIDE).zip(b.numbers.chunks_exact(depth)) {
                let columns = WIDE.min(b.rows - column);
                for place in (0..depth).step_by(DEEP) {
                    for (number, first) in rows.clone().step_by(HIGH).enumerate() {
                        let end = (first + HIGH).min(a.rows);
                        let needed = match causal {
                            Causal::Scores if column >= end => continue,
                            Causal::No | Causal::Scores => 0..depth,
                            Causal::Mix => 0..end,
                            Causal::Back => first..depth,
                        };
                        let from = needed.start.max(place);
                        let needed = from..needed.end.min(place + DEEP).max(from);
                        let panel = &panel[needed.clone()];
                        // The first line of what each row's sums are put to is asked for before they are made.
                        for row in first..end {
                            _mm_prefetch::<_MM_HINT_T0>(out.as_ptr().wrapping_add(row * stride + column).cast());
                        }
                        let sums = if a.turned {
                            let across = &across[number * depth..][needed];
                            // SAFETY: a tile's places are its panel's, and of these there are as many.
                            tile(panel, |row, place| unsafe { across.get_unchecked(place)[row] })
                        } else {
                            let (starts, numbers) = (&starts[number * HIGH..][..HIGH], &a.numbers[from..]);
                            // SAFETY: likewise; a view's rows are there.
                            tile(panel, |row, place| unsafe { *numbers.get_unchecked(starts[row] + place) })
                        };
                        let out = &mut out[first * stride + column..];
                        put(sums, ADD || place > 0, out, stride, [end - first, columns]);
                    }
                }
            }
        }
    }

    /// Six rows, whose number at a place is `a(row, place)`, by those of a panel: their sums of products, each product and its sum by
    /// one instruction, which rounds once.
    ///
    /// By the names of instructions, and some places at a time: other instructions between them cost as much, where something else
    /// computes on the same core (docs/performance.md).
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn tile(panel: &[Line], a: impl Fn(usize, usize) -> f32) -> [[__m256; 2]; HIGH] {
        let (mut sums, mut place) = ([[_mm256_setzero_ps(); 2]; HIGH], 0);
        let mut take = |Line(b): &Line| {
            // SAFETY: they are twice eight numbers.
            let (left, right) = unsafe { (_mm256_loadu_ps(b.as_ptr()), _mm256_loadu_ps(b[8..].as_ptr())) };
            for (row, sums) in sums.iter_mut().enumerate() {
                let number = _mm256_set1_ps(a(row, place));
                *sums = [_mm256_fmadd_ps(number, left, sums[0]), _mm256_fmadd_ps(number, right, sums[1])];
            }
            place += 1;
        };
        let (groups, rest) = panel.as_chunks::<UNROLLED>();
        for group in groups {
            for b in group {
                take(b);
            }
        }
        for b in rest {
            take(b);
        }
        sums
    }

    /// Puts a tile's sums, or as many rows and columns of it as are needed, where they belong, or adds them there.
    #[target_feature(enable = "avx2,fma")]
    #[inline]
    fn put(sums: [[__m256; 2]; HIGH], is_added: bool, out: &mut [f32], stride: usize, [rows, columns]: [usize; 2]) {
        if [rows, columns] == [HIGH, WIDE] {
            assert!(stride <= out.len() && (HIGH - 1) * stride + WIDE <= out.len(), "there is room for a tile");
            for (row, both) in sums.iter().enumerate() {
                for (half, &sum) in both.iter().enumerate() {
                    // SAFETY: there is.
                    unsafe {
                        let out = out.as_mut_ptr().add(row * stride + half * 8);
                        let sum = if is_added { _mm256_add_ps(_mm256_loadu_ps(out), sum) } else { sum };
                        _mm256_storeu_ps(out, sum);
                    }
                }
            }
        } else {
            // SAFETY: two registers of eight numbers are sixteen numbers.
            let sums: [[f32; WIDE]; HIGH] = unsafe { std::mem::transmute(sums) };
            for (row, sums) in sums[..rows].iter().enumerate() {
                let out = &mut out[row * stride..][..columns];
                for lane in 0..out.len().min(WIDE) {
                    out[lane] = if is_added { out[lane] + sums[lane] } else { sums[lane] };
                }
            }
        }
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn products_of_any_depth_are_sums_of_products_and_causal_ones_leave_out_what_is_zero() {
        if !is_here() {
            return;
        }
        let number = |place: usize| ((place * 37 + 11) % 23) as f32 - 11.0;
        for (rows, depth, columns) in
            [(7, 5, 3), (100, 256, 17), (13, 257, 32), (13, 600, 16), (300, 300, 40), (600, 600, 600)]
        {
            let a: Vec<f32> = (0..rows * depth).map(number).collect();
            let b: Vec<f32> = (0..columns * depth).map(|place| number(place + 5)).collect();
            let across: Vec<f32> = (0..depth * rows).map(|place| a[place % rows * depth + place / rows]).collect();
            // SAFETY: this processor has these instructions.
            let panels = unsafe { Panels::of(View::of(&b, depth, [columns, depth])) };
            // Causal ones where each row has a place.
            let causal = [Causal::Mix, Causal::Back].into_iter().filter(|_| rows == depth);
            for causal in [Causal::No].into_iter().chain(causal) {
                let is_there = |row: usize, place: usize| match causal {
                    Causal::Mix => place <= row,
                    Causal::Back => place >= row,
                    _ => true,
                };
                let zeroed = |numbers: &[f32], place_of: &dyn Fn(usize) -> (usize, usize)| -> Vec<f32> {
                    let keep = |place| is_there(place_of(place).0, place_of(place).1);
                    numbers.iter().enumerate().map(|(place, number)| if keep(place) { *number } else { 0.0 }).collect()
                };
                let lying = zeroed(&a, &|place| (place / depth, place % depth));
                let across = zeroed(&across, &|place| (place % rows, place / rows));
                // Whole numbers: exact in any order.
                let sums: Vec<f32> = (0..rows * columns)
                    .map(|place| {
                        let (row, column) = (place / columns, place % columns);
                        (0..depth).map(|place| lying[row * depth + place] * b[column * depth + place]).sum()
                    })
                    .collect();
                let views = [View::of(&lying, depth, [rows, depth]), View::of(&across, rows, [depth, rows]).turned()];
                for view in views {
                    let mut out = vec![f32::NAN; rows * columns];
                    // SAFETY: likewise.
                    unsafe { multiply::<false>(view, &panels, causal, &mut out, columns) };
                    assert_eq!(out, sums, "{rows} × {depth} by {columns}");
                    // SAFETY: likewise.
                    unsafe { multiply::<true>(view, &panels, causal, &mut out, columns) };
                    assert!(out.iter().zip(&sums).all(|(twice, once)| *twice == 2.0 * once), "added to what is there");
                }
            }
        }
    }
}
