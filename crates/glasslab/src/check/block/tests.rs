//! Every mistake of the exercises on a block, written as a learner would.

use super::*;
use crate::check::judge::named;
use crate::check::verdict::Outcome;
use crate::model::Probe;
use crate::rng::Rng;
use tch::{Device, Kind};

type Function<'a> = &'a dyn Fn(&Tensor) -> Tensor;

fn my_block(x: &Tensor, norm1: Function, attention: Function, norm2: Function, mlp: Function) -> Tensor {
    let x = x + attention(&norm1(x));
    &x + mlp(&norm2(&x))
}

#[test]
fn the_right_ones_are_right() {
    for verdict in [block(my_block), block_gradient(|gradient, back| gradient + back(gradient))] {
        assert!(verdict.is_right(), "{verdict}");
    }
}

#[test]
fn the_two_lines_are_the_librarys_block() {
    /// Puts x into the stream, and takes out what the block made of it.
    struct Around<'a> {
        x: &'a Tensor,
        after: Option<Tensor>,
    }
    impl Probe for Around<'_> {
        fn at(&mut self, name: impl std::fmt::Display, tensor: Tensor) -> Tensor {
            match name.to_string().as_str() {
                "positioned" => self.x.shallow_clone(),
                "block.0.after_mlp" => self.after.insert(tensor).shallow_clone(),
                _ => tensor,
            }
        }
    }
    let rng = &mut Rng::new(3);
    let model =
        inputs::one_block(rng, TransformerConfig { n_heads: 2, n_kv_heads: 2, ..TransformerConfig::original() });
    let x = inputs::tensor(rng, &[2, 5, 32], 1.0);
    let mut around = Around { x: &x, after: None };
    let _ = model.forward(&Tensor::zeros([2, 5], (Kind::Int64, Device::Cpu)), &mut around).unwrap();
    let input = (model, x.shallow_clone());
    let own = with_parts(&input, |p| reference::block(p.x, p.norm1, p.attention, p.norm2, p.mlp));
    assert_eq!(own, around.after.unwrap());
}

#[test]
fn each_mistake_of_block_is_named() {
    let no_first = |x: &Tensor, norm1: Function, attention: Function, norm2: Function, mlp: Function| {
        let x = attention(&norm1(x));
        &x + mlp(&norm2(&x))
    };
    named(block(no_first), "residual around the attention");
    let no_second = |x: &Tensor, norm1: Function, attention: Function, norm2: Function, mlp: Function| {
        let x = x + attention(&norm1(x));
        mlp(&norm2(&x))
    };
    named(block(no_second), "residual around the MLP");
    named(block(|x, norm1, attention, norm2, mlp| mlp(&norm2(&attention(&norm1(x))))), "both residuals");
    let after = |x: &Tensor, norm1: Function, attention: Function, norm2: Function, mlp: Function| {
        let x = norm1(&(x + attention(x)));
        norm2(&(&x + mlp(&x)))
    };
    named(block(after), "post-norm");
    let on_result = |x: &Tensor, norm1: Function, attention: Function, norm2: Function, mlp: Function| {
        let x = x + norm1(&attention(x));
        &x + norm2(&mlp(&x))
    };
    named(block(on_result), "on the result");
    let stream_normed = |x: &Tensor, norm1: Function, attention: Function, norm2: Function, mlp: Function| {
        let x = norm1(x);
        let x = &x + attention(&x);
        let x = norm2(&x);
        &x + mlp(&x)
    };
    named(block(stream_normed), "added to the normalised x");
    let no_norm = |x: &Tensor, _: Function, attention: Function, _: Function, mlp: Function| {
        let x = x + attention(x);
        &x + mlp(&x)
    };
    named(block(no_norm), "norms are missing");
    named(block(|x, norm1, attention, _, mlp| my_block(x, norm1, attention, norm1, mlp)), "same norm twice");
    named(block(|x, norm1, attention, norm2, mlp| my_block(x, norm2, attention, norm1, mlp)), "norms are exchanged");
    named(block(|x, norm1, attention, norm2, mlp| my_block(x, norm2, mlp, norm1, attention)), "order is exchanged");
    named(block(|x, norm1, attention, norm2, mlp| my_block(x, norm1, mlp, norm2, attention)), "order is exchanged");
    let beside = |x: &Tensor, norm1: Function, attention: Function, norm2: Function, mlp: Function| {
        x + attention(&norm1(x)) + mlp(&norm2(x))
    };
    named(block(beside), "from before the attention");
    let again = |x: &Tensor, norm1: Function, attention: Function, norm2: Function, mlp: Function| {
        let looked = x + attention(&norm1(x));
        x + mlp(&norm2(&looked))
    };
    named(block(again), "begins again");
}

#[test]
fn each_mistake_of_block_gradient_is_named() {
    named(block_gradient(|g, back| back(g)), "residual's gradient is lost");
    named(block_gradient(|g, _| g.copy()), "only the residual's");
    named(block_gradient(|g, back| (g + back(g)) / 2.0), "the mean");
    named(block_gradient(|g, back| g + back(&back(g))), "not at all");
    named(block_gradient(|g, back| back(g) + back(&back(g))), "on both ways");
    named(block_gradient(|g, back| g * back(g)), "multiplied");
    named(block_gradient(|g, back| g - back(g)), "subtracted");
}

#[test]
fn unwritten_and_misshapen_ones_get_a_verdict() {
    assert_eq!(block(|_, _, _, _, _| todo!()).outcome, Outcome::NotWritten);
    assert_eq!(block_gradient(|_, _| todo!()).outcome, Outcome::NotWritten);
    assert!(block(|x, _, attention, _, _| attention(&x.get(0))).to_string().contains("stopped with"));
    assert!(block_gradient(|g, _| g.get(0)).to_string().contains("shape (1, 2, 4)"));
}
