//! The numbers of tensors where they lie, for loops that do in one pass what would be many operations of libtorch.

use tch::{Device, Kind, Tensor};

/// Whether a tensor's numbers can be walked through: float32, in a row, in the processor's memory.
pub(crate) fn is_walkable(tensor: &Tensor) -> bool {
    tensor.device() == Device::Cpu && tensor.kind() == Kind::Float && tensor.is_contiguous()
}

/// The numbers of a tensor that [`is_walkable`].
///
/// # Panics
/// If it is not.
pub(crate) fn walk(tensor: &Tensor) -> &[f32] {
    assert!(is_walkable(tensor), "these numbers don't lie in a row in the processor's memory");
    // SAFETY: they do, and are of this kind.
    unsafe { numbers_of(tensor) }
}

/// The same, to be changed.
///
/// # Safety
/// As long as they are borrowed, nothing may read or change them through another handle to the same numbers.
///
/// # Panics
/// If the tensor is not [walkable](is_walkable).
pub(crate) unsafe fn walk_mut(tensor: &mut Tensor) -> &mut [f32] {
    assert!(is_walkable(tensor), "these numbers don't lie in a row in the processor's memory");
    match tensor.numel() {
        0 => &mut [],
        // SAFETY: they do, are of this kind, and nobody else uses them meanwhile.
        count => unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<f32>(), count) },
    }
}

/// A tensor's numbers where they are.
///
/// # Safety
/// The tensor must be contiguous, on the processor, and of the kind that `T` is.
pub(crate) unsafe fn numbers_of<T>(tensor: &Tensor) -> &[T] {
    match tensor.numel() {
        0 => &[],
        // SAFETY: as above.
        count => unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<T>(), count) },
    }
}

// By places instead of joined iterators: so they become vector instructions in whatever way the crate is compiled.

/// The sum of the products, in eight sums that don't wait for each other.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let length = a.len().min(b.len());
    let ((a, a_rest), (b, b_rest)) = (a[..length].as_chunks::<8>(), b[..length].as_chunks::<8>());
    let mut sums = [0.0; 8];
    for eight in 0..a.len().min(b.len()) {
        for lane in 0..8 {
            sums[lane] += a[eight][lane] * b[eight][lane];
        }
    }
    for place in 0..a_rest.len().min(b_rest.len()) {
        sums[place] += a_rest[place] * b_rest[place];
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (b + f)) + ((c + g) + (d + h))
}

#[inline(always)]
pub(crate) fn add(x: &mut [f32], more: &[f32]) {
    let length = x.len().min(more.len());
    let (x, more) = (&mut x[..length], &more[..length]);
    for place in 0..length {
        x[place] += more[place];
    }
}
