//! Products of matrices by loops: small ones, whose numbers stay in the processor's caches and registers.
//!
//! Sixteen rows of the second matrix lie beside each other (a panel), and six of the first: so 96 sums stay in registers while the
//! numbers that they are made of go by once.

/// So many rows of the second matrix lie beside each other, ...
pub(crate) const WIDE: usize = 16;
/// ... and are multiplied with so many of the first at a time.
pub(crate) const HIGH: usize = 6;

/// Rows of the first matrix, lying across, by rows of the second: their sums of products; `FUSED`, each product and its sum are one
/// instruction, which rounds once.
///
/// It counts its places instead of joining iterators: so it becomes vector instructions in whatever way the crate is compiled.
#[inline(always)]
pub(crate) fn products<const X: usize, const FUSED: bool>(a: &[[f32; X]], b: &[[f32; WIDE]]) -> [[f32; WIDE]; X] {
    let depth = a.len().min(b.len());
    let (a, b, mut sums) = (&a[..depth], &b[..depth], [[0.0; WIDE]; X]);
    for place in 0..depth {
        for row in 0..X {
            for lane in 0..WIDE {
                sums[row][lane] = match FUSED {
                    true => a[place][row].mul_add(b[place][lane], sums[row][lane]),
                    false => sums[row][lane] + a[place][row] * b[place][lane],
                };
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
    use super::{HIGH, WIDE, products};

    /// Whether this processor is one.
    pub(crate) fn is_here() -> bool {
        is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")
    }

    /// So many times [`HIGH`] rows meet a panel while it is in the first cache.
    const TALL: usize = 16;

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
        pub(crate) fn of(numbers: &'a [f32], stride: usize, [rows, columns]: [usize; 2]) -> View<'a> {
            View { numbers, stride, rows, columns, turned: false }
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

        /// Adds `N` rows from `first` on, lying beside each other; what stands for rows that are not there is of no meaning.
        #[target_feature(enable = "avx2,fma")]
        fn lay<const N: usize>(&self, first: usize, out: &mut Vec<[f32; N]>) {
            let there = N.min(self.rows - first);
            out.reserve(self.columns);
            let room = &mut out.spare_capacity_mut()[..self.columns];
            // Loops and no closures, which a function of the standard library, compiled for any processor, could not take in.
            if self.turned {
                for (column, room) in room.iter_mut().enumerate() {
                    let numbers = &self.numbers[column * self.stride + first..];
                    match numbers.first_chunk() {
                        Some(all) if there == N => _ = room.write(*all),
                        _ => room.write([0.0; N])[..there].copy_from_slice(&numbers[..there]),
                    }
                }
            } else {
                // For a row that is not there, the last one once more.
                let mut rows = [&self.numbers[..0]; N];
                for (lane, row) in rows.iter_mut().enumerate() {
                    *row = &self.numbers[(first + lane.min(there - 1)) * self.stride..][..self.columns];
                }
                for column in 0..self.columns {
                    let lanes = room[column].write([0.0; N]);
                    for lane in 0..N {
                        lanes[lane] = rows[lane][column];
                    }
                }
            }
            // SAFETY: so many have just been written.
            unsafe { out.set_len(out.len() + self.columns) };
        }
    }

    /// A matrix whose rows lie beside each other, [`WIDE`] at a time.
    pub(crate) struct Panels {
        numbers: Vec<[f32; WIDE]>,
        rows: usize,
    }

    impl Panels {
        #[target_feature(enable = "avx2,fma")]
        pub(crate) fn of(view: View<'_>) -> Panels {
            let View { rows, columns, .. } = view;
            let mut numbers = Vec::with_capacity(rows.div_ceil(WIDE) * columns);
            for first in (0..rows).step_by(WIDE) {
                view.lay(first, &mut numbers);
            }
            Panels { numbers, rows }
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
        let mut across = Vec::with_capacity(TALL * depth);
        for group in (0..a.rows).step_by(HIGH * TALL) {
            across.clear();
            for first in (group..a.rows.min(group + HIGH * TALL)).step_by(HIGH) {
                a.lay::<HIGH>(first, &mut across);
            }
            for (column, panel) in (0..b.rows).step_by(WIDE).zip(b.numbers.chunks_exact(depth)) {
                let there = WIDE.min(b.rows - column);
                for (first, across) in (group..).step_by(HIGH).zip(across.chunks_exact(depth)) {
                    let end = (first + HIGH).min(a.rows);
                    let needed = match causal {
                        Causal::Scores if column >= end => continue,
                        Causal::No | Causal::Scores => 0..depth,
                        Causal::Mix => 0..end,
                        Causal::Back => first..depth,
                    };
                    let sums = products::<HIGH, true>(&across[needed.clone()], &panel[needed]);
                    for row in first..end {
                        let (out, sums) = (&mut out[row * stride + column..], &sums[row - first]);
                        match out.first_chunk_mut::<WIDE>() {
                            Some(out) if there == WIDE => put::<ADD>(out, sums),
                            _ => put::<ADD>(&mut out[..there], sums),
                        }
                    }
                }
            }
        }
    }

    #[inline(always)]
    fn put<const ADD: bool>(out: &mut [f32], sums: &[f32; WIDE]) {
        for lane in 0..out.len().min(WIDE) {
            out[lane] = if ADD { out[lane] + sums[lane] } else { sums[lane] };
        }
    }
}
