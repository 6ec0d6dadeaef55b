//! The exercises on a block: what stands around its two parts, forward and back.

use super::exercise::Exercise;
use super::judge::{Given, Judge, Mistake};
use super::{inputs, inputs::plain, reference, verdict::Verdict};
use crate::model::{NoProbe, TransformerConfig, TransformerLm};
use tch::Tensor;

pub(super) const BLOCK: Exercise = Exercise {
    name: "block",
    task: "Write a transformer block: x (B, T, C) and four functions, norm1, attention, norm2 and mlp, each of which makes (B, T, C) of \
           (B, T, C) → (B, T, C): x plus attention of its norm1, and then that plus the mlp of its norm2.",
    hints: [
        "Two lines: x = x + attention(norm1(x)), then x = x + mlp(norm2(x)). What goes into the second line is what the first \
         one gave.",
        "Functions take and give tensors like your own: attention(&norm1(x)). A new `let x = …` hides the old x from then on.",
        "let x = x + attention(&norm1(x)); &x + mlp(&norm2(…))",
    ],
    reference: "block(x, norm1, attention, norm2, mlp)",
};

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
    fn judged(f: Given<'_, (TransformerLm, Tensor), Tensor>) -> Verdict {
        let judge = Judge {
            exercise: BLOCK,
            input: |number, rng| {
                let n_heads = 1 + number as i64 % 2;
                let sizes =
                    TransformerConfig { n_vocab: 2, context_len: 8, emb_dim: 6, ..TransformerConfig::original() };
                let config = TransformerConfig { n_heads, n_kv_heads: n_heads, head_dim: 3, n_hidden: 7, ..sizes };
                let model = inputs::one_block(rng, config);
                (model, inputs::tensor(rng, &[1 + number as i64 % 3, 4, 6], 1.0))
            },
            reference: |input| Ok(with_parts(input, |p| reference::block(p.x, p.norm1, p.attention, p.norm2, p.mlp))),
            mistakes: vec![
                Mistake {
                    named: "the residual around the attention is missing: x = x + attention(…), else what x held is lost",
                    done: |input| {
                        Ok(with_parts(input, |p| {
                            let x = (p.attention)(&(p.norm1)(p.x));
                            &x + (p.mlp)(&(p.norm2)(&x))
                        }))
                    },
                },
                Mistake {
                    named: "the residual around the MLP is missing: x = x + mlp(…), else what x held is lost",
                    done: |input| {
                        Ok(with_parts(input, |p| {
                            let x = p.x + (p.attention)(&(p.norm1)(p.x));
                            (p.mlp)(&(p.norm2)(&x))
                        }))
                    },
                },
                Mistake {
                    named: "both residuals are missing: each part is added to x, it does not replace it",
                    done: |input| Ok(with_parts(input, |p| (p.mlp)(&(p.norm2)(&(p.attention)(&(p.norm1)(p.x)))))),
                },
                Mistake {
                    named: "the norm stands after each part instead of before it: norm(x + part(x)) is the older post-norm",
                    done: |input| {
                        Ok(with_parts(input, |p| {
                            let x = (p.norm1)(&(p.x + (p.attention)(p.x)));
                            (p.norm2)(&(&x + (p.mlp)(&x)))
                        }))
                    },
                },
                Mistake {
                    named: "the norm is on the result of each part instead of what goes into it: x + norm(part(x))",
                    done: |input| {
                        Ok(with_parts(input, |p| {
                            let x = p.x + (p.norm1)(&(p.attention)(p.x));
                            &x + (p.norm2)(&(p.mlp)(&x))
                        }))
                    },
                },
                Mistake {
                    named: "you added to the normalised x instead of to x: the residual stream must pass untouched",
                    done: |input| {
                        Ok(with_parts(input, |p| {
                            let x = (p.norm1)(p.x);
                            let x = &x + (p.attention)(&x);
                            let x = (p.norm2)(&x);
                            &x + (p.mlp)(&x)
                        }))
                    },
                },
                Mistake {
                    named: "the norms are missing: each part gets norm(x)",
                    done: |input| {
                        Ok(with_parts(input, |p| {
                            let x = p.x + (p.attention)(p.x);
                            &x + (p.mlp)(&x)
                        }))
                    },
                },
                Mistake {
                    named: "you used the same norm twice: norm2, before the MLP, has a scale and shift of its own",
                    done: |input| {
                        Ok(with_parts(input, |p| reference::block(p.x, p.norm1, p.attention, p.norm1, p.mlp)))
                    },
                },
                Mistake {
                    named: "the two norms are exchanged: norm1 stands before the attention, norm2 before the MLP",
                    done: |input| {
                        Ok(with_parts(input, |p| reference::block(p.x, p.norm2, p.attention, p.norm1, p.mlp)))
                    },
                },
                Mistake {
                    named: "the order is exchanged: first look back (attention), then think about it (MLP)",
                    done: |input| {
                        Ok(with_parts(input, |p| reference::block(p.x, p.norm2, p.mlp, p.norm1, p.attention)))
                    },
                },
                Mistake {
                    named: "the order is exchanged: first look back (attention), then think about it (MLP)",
                    done: |input| {
                        Ok(with_parts(input, |p| reference::block(p.x, p.norm1, p.mlp, p.norm2, p.attention)))
                    },
                },
                Mistake {
                    named: "the MLP got the x from before the attention: it should think about what attention has brought",
                    done: |input| {
                        Ok(with_parts(input, |p| p.x + (p.attention)(&(p.norm1)(p.x)) + (p.mlp)(&(p.norm2)(p.x))))
                    },
                },
                Mistake {
                    named: "the second line begins again with the first x, so what attention has brought is lost from the stream",
                    done: |input| {
                        Ok(with_parts(input, |p| {
                            let x = p.x + (p.attention)(&(p.norm1)(p.x));
                            p.x + (p.mlp)(&(p.norm2)(&x))
                        }))
                    },
                },
            ],
        };
        judge.judge(f)
    }
    judged(&|input| with_parts(input, |p| f(p.x, p.norm1, p.attention, p.norm2, p.mlp)))
}

pub(super) const BLOCK_GRADIENT: Exercise = Exercise {
    name: "block_gradient",
    task: "Carry a gradient back through a residual, y = x + part(x): the gradient of y (B, T, C), and a function \
           through_part, which carries a gradient back through the part, (B, T, C) → (B, T, C) → the gradient of x (B, T, C).",
    hints: [
        "x reaches y by two ways: straight, and through the part. Nudge x: by which two ways does y move?",
        "The gradients of the two ways are added. The straight way changes nothing; the other one is through_part(gradient).",
        "gradient + through_part(…)",
    ],
    reference: "block_gradient(gradient, through_part)",
};

/// Checks `block_gradient`: the gradient of y = x + part(x), and what carries one back through the part → the gradient of x.
pub fn block_gradient(f: impl Fn(&Tensor, &dyn Fn(&Tensor) -> Tensor) -> Tensor) -> Verdict {
    /// Of a gradient, and the weight (C, C) of a linear part.
    fn judged(f: Given<'_, (Tensor, Tensor), Tensor>) -> Verdict {
        let judge = Judge {
            exercise: BLOCK_GRADIENT,
            input: |number, rng| {
                let (batch, time) = (1 + number as i64 % 2, 2 + number as i64);
                (inputs::tensor(rng, &[batch, time, 4], 1.0), inputs::tensor(rng, &[4, 4], 0.7))
            },
            reference: |(gradient, weight)| Ok(reference::block_gradient(gradient, &|x| x.matmul(weight))),
            mistakes: vec![
                Mistake {
                    named: "the residual's gradient is lost: y has x itself in it, so the gradient also passes straight by",
                    done: |(gradient, weight)| Ok(gradient.matmul(weight)),
                },
                Mistake {
                    named: "only the residual's gradient is there: x also reaches y through the part",
                    done: |(gradient, _)| Ok(gradient.shallow_clone()),
                },
                Mistake {
                    named: "you took the mean of the two ways: both move y, so their gradients are added",
                    done: |(gradient, weight)| Ok((gradient + gradient.matmul(weight)) / 2.0),
                },
                Mistake {
                    named: "you went back through the part twice: one way passes it once, the other one not at all",
                    done: |(gradient, weight)| Ok(gradient + gradient.matmul(weight).matmul(weight)),
                },
                Mistake {
                    named: "you went back through the part twice, on both ways: the straight one passes no part",
                    done: |(gradient, weight)| {
                        let back = gradient.matmul(weight);
                        Ok(&back + back.matmul(weight))
                    },
                },
                Mistake {
                    named: "you multiplied the two ways: their gradients are added",
                    done: |(gradient, weight)| Ok(gradient * gradient.matmul(weight)),
                },
                Mistake {
                    named: "you subtracted one way from the other: their gradients are added",
                    done: |(gradient, weight)| Ok(gradient - gradient.matmul(weight)),
                },
            ],
        };
        judge.judge(f)
    }
    judged(&|(gradient, weight)| f(gradient, &|x| x.matmul(weight)))
}

#[cfg(test)]
mod tests;
