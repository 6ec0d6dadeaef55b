//! Muon: what moves the matrices between hidden layers, those of each shape together.

#[cfg(target_arch = "x86_64")]
mod loops;
mod rule;

pub(crate) use rule::{MOMENTUM, size};

use super::memory::{Memory, decay};
use crate::error::Result;
use crate::model::Parameter;
#[cfg(target_arch = "x86_64")]
use crate::{
    products,
    slices::{is_walkable, walk, walk_mut},
};
use rule::{A, B, C, STEPS, is_long};
use tch::{Kind, Tensor};

#[cfg(target_arch = "x86_64")]
const LARGEST_BY_LOOPS: i64 = 512;

/// Muon on the matrices of each shape together.
#[derive(Debug)]
pub(super) struct Muon {
    stacks: Vec<Stack>,
}

/// Matrices of one shape (R, K), and their gradients, smoothed: (N, R, K) each.
#[derive(Debug)]
struct Stack {
    /// Which of Muon's matrices they are.
    places: Vec<usize>,
    parameters: Tensor,
    momentum: Tensor,
}

impl Muon {
    /// From now on the matrices are views of their stack.
    pub(super) fn new(matrices: &mut [Parameter]) -> Result<Muon> {
        let mut sizes: Vec<Vec<i64>> = matrices.iter().map(|matrix| matrix.tensor.size()).collect();
        let all = sizes.clone();
        sizes.sort_unstable();
        sizes.dedup();
        let mut stacks = Vec::new();
        for size in sizes {
            let places: Vec<usize> = (0..all.len()).filter(|&place| all[place] == size).collect();
            let tensors: Vec<Tensor> = places.iter().map(|&place| matrices[place].tensor.detach()).collect();
            let parameters = Tensor::f_stack(&tensors, 0)?; // (N, R, K)
            for (row, &place) in places.iter().enumerate() {
                matrices[place].tensor.f_set_data(&parameters.f_get(row as i64)?)?;
            }
            stacks.push(Stack { places, momentum: parameters.zeros_like(), parameters });
        }
        Ok(Muon { stacks })
    }

    /// Moves them along their gradients times `by`.
    pub(super) fn step(&mut self, gradients: &[Tensor], by: f32, lr: f64, weight_decay: f64) -> Result<()> {
        #[cfg(target_arch = "x86_64")]
        self.step_by_loops(gradients, by, lr, lr * weight_decay)?;
        for Stack { places, parameters, momentum } in &mut self.stacks {
            if is_for_loops(parameters) {
                continue;
            }
            let own: Vec<&Tensor> = places.iter().map(|&place| &gradients[place]).collect();
            let mut gradient = Tensor::f_stack(&own, 0)?; // (N, R, K)
            if by != 1.0 {
                let _ = gradient.f_mul_scalar_(f64::from(by))?;
            }
            let _ = momentum.f_mul_scalar_(MOMENTUM)?.f_add_(&gradient)?;
            decay(parameters, lr * weight_decay)?;
            let change = orthogonalised(&look_ahead(&gradient, momentum)?)?;
            let (_, rows, columns) = parameters.size3()?;
            let _ = parameters.f_sub_(&change.f_mul_scalar(lr * size(rows, columns))?)?;
        }
        Ok(())
    }

    #[cfg(target_arch = "x86_64")]
    fn step_by_loops(&mut self, gradients: &[Tensor], by: f32, lr: f64, decay: f64) -> Result<()> {
        let lying: Vec<Tensor> = gradients.iter().map(|one| Ok(one.f_contiguous()?)).collect::<Result<_>>()?;
        let mut matrices = Vec::new();
        for Stack { places, parameters, momentum } in &mut self.stacks {
            if !is_for_loops(parameters) {
                continue;
            }
            let (_, rows, columns) = parameters.size3()?;
            let (size, each) = ([rows as usize, columns as usize], (rows * columns) as usize);
            // SAFETY: these numbers are the optimiser's own, and no model computes while it is moved.
            let (parameters, momentum) = unsafe { (walk_mut(parameters), walk_mut(momentum)) };
            let own = parameters.chunks_mut(each).zip(momentum.chunks_mut(each)).zip(&*places);
            matrices.extend(own.map(|((parameters, momentum), &place)| loops::Matrix {
                size,
                parameters,
                momentum,
                gradient: walk(&lying[place]),
            }));
        }
        if !matrices.is_empty() {
            // SAFETY: the processor is one for them, as was asked of each.
            unsafe { loops::step(matrices, by, lr, decay) };
        }
        Ok(())
    }

    /// What it remembers of one of its matrices: a copy of the whole stack, because the stack is made orthogonal together.
    /// `matrices` are Muon's among all parameters.
    pub(super) fn memory_of(&self, place: usize, matrices: &[usize]) -> Memory {
        for Stack { places, momentum, .. } in &self.stacks {
            if let Some(row) = places.iter().position(|&other| other == place) {
                let together = places.iter().map(|&place| matrices[place]).collect();
                return Memory::Muon { momentum: momentum.copy(), row: row as i64, together };
            }
        }
        Memory::Nothing
    }

    pub(super) fn memory(&self) -> impl Iterator<Item = (String, Tensor)> {
        let stacks = self.stacks.iter().enumerate();
        stacks.map(|(place, stack)| (format!("muon.{place}"), stack.momentum.shallow_clone()))
    }
}

/// g + μ m: where the momentum will have gone after the next step.
pub(crate) fn look_ahead(gradient: &Tensor, momentum: &Tensor) -> Result<Tensor> {
    Ok(gradient.f_add(&momentum.f_mul_scalar(MOMENTUM)?)?)
}

/// [`orthogonal`] in the precision that its author chose: on a GPU bfloat16, which the iteration forgives.
pub(crate) fn orthogonalised(matrices: &Tensor) -> Result<Tensor> {
    #[cfg(target_arch = "x86_64")]
    if is_for_loops(matrices) {
        let (_, rows, columns) = matrices.size3()?;
        let size = [rows as usize, columns as usize];
        // SAFETY: the processor is one for them.
        let orthogonal = |matrix: &[f32]| unsafe { loops::orthogonal(matrix, size) };
        let all: Vec<f32> = walk(matrices).chunks(size[0] * size[1]).flat_map(orthogonal).collect();
        return Ok(Tensor::f_from_slice(&all)?.f_view(&matrices.size()[..])?);
    }
    let precision = if matrices.device().is_cuda() { Kind::BFloat16 } else { matrices.kind() };
    orthogonal(&matrices.f_to_kind(precision)?)
}

/// Whether a stack (N, R, K) is computed by loops, here, a matrix at a time on each thread: larger ones are worth all threads.
#[cfg_attr(not(target_arch = "x86_64"), allow(unused_variables))]
fn is_for_loops(stack: &Tensor) -> bool {
    #[cfg(target_arch = "x86_64")]
    if let [_, rows, columns] = stack.size()[..] {
        return (1..=LARGEST_BY_LOOPS).contains(&rows.min(columns)) && products::is_here() && is_walkable(stack);
    }
    false
}

/// Almost the nearest matrices whose rows (or columns) are orthogonal and of length 1, by five steps of a
/// Newton–Schulz iteration, which needs products only.
///
/// # Shapes
/// (N, R, K) → (N, R, K), singular values between about 0.7 and 1.2
fn orthogonal(matrices: &Tensor) -> Result<Tensor> {
    let (_, rows, columns) = matrices.size3()?;
    let tall = rows > columns;
    let mut x = if tall { matrices.f_transpose(1, 2)? } else { matrices.shallow_clone() };
    let lengths = x.f_square()?.f_sum_dim_intlist([1, 2].as_slice(), true, matrices.kind())?.f_sqrt()?; // (N, 1, 1)
    x = x.f_div(&lengths.f_add_scalar(1e-7)?)?;
    let mut gram = x.f_bmm(&x.f_transpose(1, 2)?)?; // (N, R, R)
    // Eight bits (bfloat16) are too few for the product of the steps.
    let at_the_end = is_long(rows, columns) && matrices.kind() != Kind::BFloat16;
    let mut all: Option<Tensor> = None; // (N, R, R)
    for step in 1..=STEPS {
        let is_last = step == STEPS;
        let mix = gram.f_baddbmm(&gram, &gram, B, C)?; // b x xᵀ + c (x xᵀ)²
        if !at_the_end {
            x = x.f_baddbmm(&mix, &x, A, 1.0)?;
            gram = if is_last { gram } else { x.f_bmm(&x.f_transpose(1, 2)?)? };
            continue;
        }
        let _ = mix.f_diagonal(0, 1, 2)?.f_add_scalar_(A)?;
        gram = if is_last { gram } else { mix.f_bmm(&gram)?.f_bmm(&mix)? };
        all = Some(all.map_or(Ok(mix.shallow_clone()), |all| mix.f_bmm(&all))?);
    }
    if let Some(all) = all {
        x = all.f_bmm(&x)?;
    }
    Ok(if tall { x.f_transpose(1, 2)? } else { x })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::random_tensor;
    use crate::rng::Rng;

    #[test]
    fn muons_step_changes_all_directions_alike() {
        let mut rng = Rng::new(1);
        for (size, precision) in
            [[8, 20], [20, 8], [8, 8]].iter().flat_map(|size| [(size, Kind::Float), (size, Kind::BFloat16)])
        {
            let matrix = random_tensor(&mut rng, size, 1.0).unwrap().unsqueeze(0);
            let by_loops = orthogonalised(&matrix).unwrap();
            let matrix = orthogonal(&matrix.to_kind(precision)).unwrap();
            let off = (&by_loops - matrix.to_kind(Kind::Float)).abs().max().double_value(&[]);
            assert!(off < if precision == Kind::Float { 1e-5 } else { 0.05 }, "{size:?}: by loops {off} off");
            let matrix = matrix.squeeze().to_kind(Kind::Float);
            let (_, singular, _) = matrix.svd(true, true);
            let (least, most) = (singular.min().double_value(&[]), singular.max().double_value(&[]));
            assert!(least > 0.5 && most < 1.3, "{size:?}: {least} to {most}");
        }
    }
}
