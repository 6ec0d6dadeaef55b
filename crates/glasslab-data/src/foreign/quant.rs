//! The numbers of GGUF files that are kept in blocks: a few bits each, with a scale that they share.
//!
//! | kind | numbers | bytes | a number is |
//! |---|---|---|---|
//! | `Q8_0` | 32 | 34 | d · q, q of 8 bits |
//! | `Q4_0`, `Q5_0` | 32 | 18, 22 | d · (q − 8), d · (q − 16) |
//! | `Q4_1`, `Q5_1` | 32 | 20, 24 | d · q + m |
//! | `Q4_K`, `Q5_K` | 256 | 144, 176 | (d · s) · q − (e · m), s and m of 6 bits for each 32 numbers |
//! | `Q6_K` | 256 | 210 | (d · s) · (q − 32), s of 8 bits for each 16 numbers |
//!
//! d, e and m are 16-bit floats. What is unpacked equals the Python package `gguf` bit for bit (`tests/golden/quants.json`).
//!
//! Source: ggml's `ggml-common.h` and `dequantize_row_*` in `ggml-quants.c`.

/// The kinds of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(non_camel_case_types, reason = "these are their names")]
#[allow(missing_docs, reason = "the table above tells them")]
pub enum Block {
    Q8_0,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q4_K,
    Q5_K,
    Q6_K,
}

impl Block {
    /// How many numbers it holds.
    pub fn numbers(self) -> usize {
        match self {
            Block::Q8_0 | Block::Q4_0 | Block::Q4_1 | Block::Q5_0 | Block::Q5_1 => 32,
            Block::Q4_K | Block::Q5_K | Block::Q6_K => 256,
        }
    }

    /// How many bytes it has.
    pub fn bytes(self) -> usize {
        match self {
            Block::Q8_0 => 34,
            Block::Q4_0 => 18,
            Block::Q4_1 => 20,
            Block::Q5_0 => 22,
            Block::Q5_1 => 24,
            Block::Q4_K => 144,
            Block::Q5_K => 176,
            Block::Q6_K => 210,
        }
    }

    /// Unpacks one block.
    ///
    /// # Shapes
    /// `block`: [`bytes`](Self::bytes) → `out`: [`numbers`](Self::numbers)
    pub(super) fn unpack(self, block: &[u8], out: &mut [f32]) {
        match self {
            Block::Q8_0 => q8_0(block, out),
            Block::Q4_0 => fours(block, 2, out, |d, _, q| d * (q - 8.0)),
            Block::Q4_1 => fours(block, 4, out, |d, m, q| d * q + m),
            Block::Q5_0 => fives(block, 2, out, |d, _, q| d * (q - 16.0)),
            Block::Q5_1 => fives(block, 4, out, |d, m, q| d * q + m),
            Block::Q4_K => q4_k(block, out),
            Block::Q5_K => q5_k(block, out),
            Block::Q6_K => q6_k(block, out),
        }
    }
}

/// A number of 16 bits: a sign, 5 bits of exponent, 10 of fraction.
pub(super) fn half(bytes: [u8; 2]) -> f32 {
    let bits = u16::from_le_bytes(bytes);
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2.0_f32.powi(-24),
        31 if bits & 1023 == 0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2.0_f32.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

fn half_at(block: &[u8], place: usize) -> f32 {
    half([block[place], block[place + 1]])
}

fn q8_0(block: &[u8], out: &mut [f32]) {
    let d = half_at(block, 0);
    for (out, &q) in out.iter_mut().zip(&block[2..]) {
        *out = d * f32::from(q as i8);
    }
}

/// The scale, the least number if the head has 4 bytes, and 32 numbers of 4 bits: the first 16 in the low halves of the bytes.
fn fours(block: &[u8], head: usize, out: &mut [f32], number: impl Fn(f32, f32, f32) -> f32) {
    let (d, m) = (half_at(block, 0), half_at(block, head - 2));
    let (low, high) = out.split_at_mut(16);
    for ((low, high), &q) in low.iter_mut().zip(high).zip(&block[head..]) {
        *low = number(d, m, f32::from(q & 15));
        *high = number(d, m, f32::from(q >> 4));
    }
}

/// As [`fours`], with the fifth bits of all 32 numbers in 4 bytes behind the head.
fn fives(block: &[u8], head: usize, out: &mut [f32], number: impl Fn(f32, f32, f32) -> f32) {
    let (d, m) = (half_at(block, 0), half_at(block, head - 2));
    let fifth = |place: usize| (block[head + place / 8] >> (place % 8) & 1) << 4;
    for (place, &q) in block[head + 4..].iter().enumerate() {
        out[place] = number(d, m, f32::from(q & 15 | fifth(place)));
        out[place + 16] = number(d, m, f32::from(q >> 4 | fifth(place + 16)));
    }
}

/// The scale and the least number of each 32 of 256 numbers, 6 bits each: of the last four, the upper 2 bits are those that the
/// first four don't need.
fn scales(packed: &[u8], part: usize) -> (f32, f32) {
    let (scale, least) = match part {
        0..4 => (packed[part] & 63, packed[part + 4] & 63),
        _ => (packed[part + 4] & 15 | packed[part - 4] >> 6 << 4, packed[part + 4] >> 4 | packed[part] >> 6 << 4),
    };
    (f32::from(scale), f32::from(least))
}

fn q4_k(block: &[u8], out: &mut [f32]) {
    let (d, e) = (half_at(block, 0), half_at(block, 2));
    for (part, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, least) = scales(&block[4..16], part);
        let (scale, least) = (d * scale, e * least);
        // Two parts share 32 bytes: low halves, high halves.
        let quants = &block[16 + part / 2 * 32..][..32];
        for (out, &q) in out.iter_mut().zip(quants) {
            *out = scale * f32::from(q >> (part % 2 * 4) & 15) - least;
        }
    }
}

fn q5_k(block: &[u8], out: &mut [f32]) {
    let (d, e) = (half_at(block, 0), half_at(block, 2));
    let fifths = &block[16..48];
    for (part, out) in out.chunks_exact_mut(32).enumerate() {
        let (scale, least) = scales(&block[4..16], part);
        let (scale, least) = (d * scale, e * least);
        let quants = &block[48 + part / 2 * 32..][..32];
        for ((out, &q), &fifth) in out.iter_mut().zip(quants).zip(fifths) {
            *out = scale * f32::from(q >> (part % 2 * 4) & 15 | (fifth >> part & 1) << 4) - least;
        }
    }
}

fn q6_k(block: &[u8], out: &mut [f32]) {
    let d = half_at(block, 208);
    for (part, out) in out.chunks_exact_mut(32).enumerate() {
        // Four parts share 64 bytes of 4 bits each, and 32 bytes of 2 bits each.
        let (group, row) = (part / 4, part % 4);
        let low = &block[group * 64 + row % 2 * 32..][..32];
        let high = &block[128 + group * 32..][..32];
        for (place, out) in out.iter_mut().enumerate() {
            let q = low[place] >> (row / 2 * 4) & 15 | (high[place] >> (row * 2) & 3) << 4;
            let scale = block[192 + part * 2 + place / 16] as i8;
            *out = d * f32::from(scale) * (f32::from(q) - 32.0);
        }
    }
}
