//! The exercises on a block: what stands around its two parts, forward and back.

use super::table::exercise;
use super::{inputs, inputs::plain, reference, verdict::Verdict};
use crate::model::{NoProbe, TransformerConfig, TransformerLm};
use tch::Tensor;

exercise! {
    BLOCK: (TransformerLm, Tensor) => Tensor = block(x, norm1, attention, norm2, mlp),
    task: "Write a transformer block: x (B, T, C) and four functions, norm1, attention, norm2 and mlp, each of which makes (B, T, C) of \
           (B, T, C) → (B, T, C): x plus attention of its norm1, and then that plus the mlp of its norm2.",
    hints: [
        "Two lines: x = x + attention(norm1(x)), then x = x + mlp(norm2(x)). What goes into the second line is what the first \
         one gave.",
        "Functions take and give tensors like your own: attention(&norm1(x)). A new `let x = …` hides the old x from then on.",
        "let x = x + attention(&norm1(x)); &x + mlp(&norm2(…))",
    ],
    input: |number, rng| {
        let n_heads = 1 + number as i64 % 2;
        let sizes =
            TransformerConfig { n_vocab: 2, context_len: 8, emb_dim: 6, ..TransformerConfig::original() };
        let config = TransformerConfig { n_heads, n_kv_heads: n_heads, head_dim: 3, n_hidden: 7, ..sizes };
        let model = inputs::one_block(rng, config);
        (model, inputs::tensor(rng, &[1 + number as i64 % 3, 4, 6], 1.0))
    },
    given: input,
    reference: with_parts(input, |p| reference::block(p.x, p.norm1, p.attention, p.norm2, p.mlp)),
    mistakes: {
        "the residual around the attention is missing: x = x + attention(…), else what x held is lost"
            => with_parts(input, |p| {
                let x = (p.attention)(&(p.norm1)(p.x));
                &x + (p.mlp)(&(p.norm2)(&x))
            }),
        "the residual around the MLP is missing: x = x + mlp(…), else what x held is lost"
            => with_parts(input, |p| {
                let x = p.x + (p.attention)(&(p.norm1)(p.x));
                (p.mlp)(&(p.norm2)(&x))
            }),
        "both residuals are missing: each part is added to x, it does not replace it"
            => with_parts(input, |p| (p.mlp)(&(p.norm2)(&(p.attention)(&(p.norm1)(p.x))))),
        "the norm stands after each part instead of before it: norm(x + part(x)) is the older post-norm"
            => with_parts(input, |p| {
                let x = (p.norm1)(&(p.x + (p.attention)(p.x)));
                (p.norm2)(&(&x + (p.mlp)(&x)))
            }),
        "the norm is on the result of each part instead of what goes into it: x + norm(part(x))"
            => with_parts(input, |p| {
                let x = p.x + (p.norm1)(&(p.attention)(p.x));
                &x + (p.norm2)(&(p.mlp)(&x))
            }),
        "you added to the normalised x instead of to x: the residual stream must pass untouched"
            => with_parts(input, |p| {
                let x = (p.norm1)(p.x);
                let x = &x + (p.attention)(&x);
                let x = (p.norm2)(&x);
                &x + (p.mlp)(&x)
            }),
        "the norms are missing: each part gets norm(x)"
            => with_parts(input, |p| {
                let x = p.x + (p.attention)(p.x);
                &x + (p.mlp)(&x)
            }),
        "you used the same norm twice: norm2, before the MLP, has a scale and shift of its own"
            => with_parts(input, |p| reference::block(p.x, p.norm1, p.attention, p.norm1, p.mlp)),
        "the two norms are exchanged: norm1 stands before the attention, norm2 before the MLP"
            => with_parts(input, |p| reference::block(p.x, p.norm2, p.attention, p.norm1, p.mlp)),
        "the order is exchanged: first look back (attention), then think about it (MLP)"
            => with_parts(input, |p| reference::block(p.x, p.norm2, p.mlp, p.norm1, p.attention)),
        "the order is exchanged: first look back (attention), then think about it (MLP)"
            => with_parts(input, |p| reference::block(p.x, p.norm1, p.mlp, p.norm2, p.attention)),
        "the MLP got the x from before the attention: it should think about what attention has brought"
            => with_parts(input, |p| p.x + (p.attention)(&(p.norm1)(p.x)) + (p.mlp)(&(p.norm2)(p.x))),
        "the second line begins again with the first x, so what attention has brought is lost from the stream"
            => with_parts(input, |p| {
                let x = p.x + (p.attention)(&(p.norm1)(p.x));
                p.x + (p.mlp)(&(p.norm2)(&x))
            }),
    },
}

/// A function that a block is given.
type Part<'a> = &'a dyn Fn(&Tensor) -> Tensor;

/// x, and the parts of a block: its norms, attention, MLP.
struct Parts<'a> {
    x: &'a Tensor,
    norm1: Part<'a>,
    attention: Part<'a>,
    norm2: Part<'a>,
    mlp: Part<'a>,
}

/// The parts of a model's first block, given to a function.
fn with_parts<A>((model, x): &(TransformerLm, Tensor), use_them: impl FnOnce(Parts<'_>) -> A) -> A {
    let block = &model.blocks[0];
    use_them(Parts {
        x,
        norm1: &|x| plain(block.norm1.forward(x)),
        attention: &|x| plain(block.attention.forward(x, None, None, "attn", &mut NoProbe)).output,
        norm2: &|x| plain(block.norm2.forward(x)),
        mlp: &|x| {
            let (hidden, output) = block.mlp.biases.as_ref().map_or((None, None), |(a, b)| (Some(a), Some(b)));
            x.linear(&block.mlp.hidden_weight, hidden).relu().linear(&block.mlp.output_weight, output)
        },
    })
}

/// Checks `block`: x (B, T, C), and its parts norm1, attention, norm2, mlp → (B, T, C).
pub fn block(
    f: impl Fn(
        &Tensor,
        &dyn Fn(&Tensor) -> Tensor,
        &dyn Fn(&Tensor) -> Tensor,
        &dyn Fn(&Tensor) -> Tensor,
        &dyn Fn(&Tensor) -> Tensor,
    ) -> Tensor,
) -> Verdict {
    BLOCK.judge(&|input| with_parts(input, |p| f(p.x, p.norm1, p.attention, p.norm2, p.mlp)))
}

exercise! {
    BLOCK_GRADIENT: (Tensor, Tensor) => Tensor = block_gradient(gradient, through_part),
    task: "Carry a gradient back through a residual, y = x + part(x): the gradient of y (B, T, C), and a function \
           through_part, which carries a gradient back through the part, (B, T, C) → (B, T, C) → the gradient of x (B, T, C).",
    hints: [
        "x reaches y by two ways: straight, and through the part. Nudge x: by which two ways does y move?",
        "The gradients of the two ways are added. The straight way changes nothing; the other one is through_part(gradient).",
        "gradient + through_part(…)",
    ],
    input: |number, rng| {
        let (batch, time) = (1 + number as i64 % 2, 2 + number as i64);
        (inputs::tensor(rng, &[batch, time, 4], 1.0), inputs::tensor(rng, &[4, 4], 0.7))
    },
    given: (gradient, weight),
    reference: reference::block_gradient(gradient, &|x| x.matmul(weight)),
    mistakes: {
        "the residual's gradient is lost: y has x itself in it, so the gradient also passes straight by"
            => gradient.matmul(weight),
        "only the residual's gradient is there: x also reaches y through the part" => gradient.shallow_clone(),
        "you took the mean of the two ways: both move y, so their gradients are added"
            => (gradient + gradient.matmul(weight)) / 2.0,
        "you went back through the part twice: one way passes it once, the other one not at all"
            => gradient + gradient.matmul(weight).matmul(weight),
        "you went back through the part twice, on both ways: the straight one passes no part"
            => {
                let back = gradient.matmul(weight);
                &back + back.matmul(weight)
            },
        "you multiplied the two ways: their gradients are added" => gradient * gradient.matmul(weight),
        "you subtracted one way from the other: their gradients are added" => gradient - gradient.matmul(weight),
    },
}
/// Checks `block_gradient`: the gradient of y = x + part(x), and what carries one back through the part → the gradient of x.
pub fn block_gradient(f: impl Fn(&Tensor, &dyn Fn(&Tensor) -> Tensor) -> Tensor) -> Verdict {
    BLOCK_GRADIENT.judge(&|(gradient, weight)| f(gradient, &|x| x.matmul(weight)))
}

#[cfg(test)]
mod tests;
