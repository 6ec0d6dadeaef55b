//! A tensor of a model's file: its name, its shape, and its numbers when they are asked for.

use super::file::{damaged, wrong};
use super::quant::Block;
use crate::error::{Error, Result};
use glasslab::data::Bytes;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tch::{Device, Kind, TchError, Tensor};

/// How the numbers of a weight are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// 4 bytes each.
    F32,
    /// 2 bytes each, 11 bits of precision.
    F16,
    /// 2 bytes each, 8 bits of precision, the range of `F32`.
    BF16,
    /// 8 bytes each.
    F64,
    /// Blocks of a few bits each, with a scale.
    Blocks(Block),
    /// No weights, such as masks and places, or numbers that glasslab does not read.
    Other,
}

impl Stored {
    /// How many numbers make a block, and how many bytes it has.
    pub(super) fn block(self) -> Option<(usize, usize)> {
        match self {
            Stored::F32 => Some((1, 4)),
            Stored::F16 | Stored::BF16 => Some((1, 2)),
            Stored::F64 => Some((1, 8)),
            Stored::Blocks(block) => Some((block.numbers(), block.bytes())),
            Stored::Other => None,
        }
    }
}

/// A tensor of a model's file.
#[derive(Clone)]
pub struct Weight {
    /// Its name in the file.
    pub name: String,
    /// Its shape as PyTorch writes it, the last size being the one whose numbers lie side by side: (out, in) for a linear layer
    /// of PyTorch, (in, out) for GPT-2's.
    pub shape: Vec<i64>,
    /// How its numbers are kept.
    pub stored: Stored,
    path: Arc<PathBuf>,
    bytes: Bytes,
}

impl Weight {
    /// # Errors
    /// Why the bytes can't be so many numbers, as the end of a sentence that begins with the file.
    pub(super) fn new(
        path: &Arc<PathBuf>,
        name: String,
        shape: Vec<i64>,
        stored: Stored,
        bytes: Bytes,
    ) -> Result<Weight, String> {
        if let Some((numbers, length)) = stored.block() {
            let expected = count(&shape).filter(|count| count % numbers == 0).map(|count| count / numbers * length);
            if expected != Some(bytes.len()) {
                return Err(damaged(&format!("{name} of shape {shape:?} can't have {} bytes", bytes.len())));
            }
        }
        Ok(Weight { name, shape, stored, path: Arc::clone(path), bytes })
    }

    /// How many numbers it has.
    pub fn len(&self) -> usize {
        count(&self.shape).unwrap_or(0)
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The kind of the tensor that [`read`](Self::read) gives: as kept for `F32`, `F16` and `BF16`, else `Float`.
    pub fn kind(&self) -> Kind {
        match self.stored {
            Stored::F16 => Kind::Half,
            Stored::BF16 => Kind::BFloat16,
            _ => Kind::Float,
        }
    }

    /// Its numbers, on the processor: a copy, for which no second one is made.
    ///
    /// # Shapes
    /// → `shape`, of [`kind`](Self::kind)
    ///
    /// # Errors
    /// If they are no weights, or one of them is NaN or infinite.
    pub fn read(&self) -> Result<Tensor> {
        let is_finite = match self.stored {
            Stored::Other => return Err(self.wrong("these are no weights, or of a kind that glasslab does not read")),
            Stored::F64 | Stored::Blocks(_) => return self.unpacked(),
            Stored::F32 => self.bytes.chunks_exact(4).all(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]]).is_finite()),
            // All bits of the exponent are set where a number is none.
            Stored::F16 => self.bytes.chunks_exact(2).all(|x| x[1] & 0x7c != 0x7c),
            Stored::BF16 => self.bytes.chunks_exact(2).all(|x| x[1] & 0x7f != 0x7f || x[0] & 0x80 == 0),
        };
        if !is_finite {
            return Err(self.not_finite());
        }
        Tensor::f_from_data_size(&self.bytes, &self.shape, self.kind()).map_err(torch)
    }

    /// Unpacks a piece of the numbers at a time.
    fn unpacked(&self) -> Result<Tensor> {
        const BLOCKS: usize = 1 << 10;
        let (numbers, length) = self.stored.block().unwrap_or((1, 1));
        let all = Tensor::f_empty([self.len() as i64], (Kind::Float, Device::Cpu)).map_err(torch)?;
        let mut place = 0;
        let mut unpacked = vec![0.0; BLOCKS * numbers];
        for piece in self.bytes.chunks(BLOCKS * length) {
            let unpacked = &mut unpacked[..piece.len() / length * numbers];
            for (block, numbers) in piece.chunks_exact(length).zip(unpacked.chunks_exact_mut(numbers)) {
                match self.stored {
                    Stored::Blocks(kind) => kind.unpack(block, numbers),
                    _ => numbers[0] = f64::from_le_bytes(block.try_into().unwrap_or_default()) as f32,
                }
            }
            if !unpacked.iter().all(|number| number.is_finite()) {
                return Err(self.not_finite());
            }
            let count = unpacked.len() as i64;
            let copied =
                all.f_narrow(0, place, count).and_then(|mut part| part.f_copy_(&Tensor::f_from_slice(unpacked)?));
            copied.map_err(torch)?;
            place += count;
        }
        all.f_view(&self.shape[..]).map_err(torch)
    }

    fn not_finite(&self) -> Error {
        self.wrong("it holds numbers that are NaN or infinite: the file is damaged, fetch it again")
    }

    fn wrong(&self, why: &str) -> Error {
        wrong(&self.path, &format!("{}: {why}", self.name))
    }
}

fn torch(error: TchError) -> Error {
    glasslab::Error::from(error).into()
}

impl fmt::Debug for Weight {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {:?} {:?}", self.name, self.shape, self.stored)
    }
}

/// How many numbers a shape has; none if they can't be counted.
fn count(shape: &[i64]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |count, &size| count.checked_mul(usize::try_from(size).ok()?))
}

/// All files of a model keep their path once.
pub(super) fn shared(path: &Path) -> Arc<PathBuf> {
    Arc::new(path.to_path_buf())
}
