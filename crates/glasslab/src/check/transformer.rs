//! The exercises of notebook 5: norm, positions, a whole block, and choosing among the likeliest.

use super::Exercise;
use super::judge::{Given, Judge, Mistake};
use super::{inputs, verdict::Verdict};
use crate::error::Result;
use crate::model::norm::Norm;
use crate::model::transformer::Block;
use crate::model::{NoProbe, Probe, TransformerConfig, TransformerLm};
use tch::{Device, Kind, Tensor};

pub(super) const LAYER_NORM: Exercise = Exercise {
    name: "layer_norm",
    task: "Write layer norm without its learnt scale and shift: x (T, C) → (T, C), each row with mean 0 and variance 1.",
    hints: [
        "Two steps for each row: subtract its mean, then divide by its standard deviation, the root of the variance.",
        "x.mean_dim(-1, true, Kind::Float) is the mean of each row; the variance is the mean of the squares of what is left \
         after subtracting it: divide by C, not by C − 1.",
        "let centred = x - x.mean_dim(-1, true, Kind::Float); then \
         &centred / (centred.square().mean_dim(-1, true, Kind::Float) + 1e-5).…()",
    ],
};

/// Checks `layer_norm`: (T, C) → (T, C).
pub fn layer_norm(f: impl Fn(&Tensor) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, Tensor, Tensor>) -> Verdict {
        fn mean(x: &Tensor, axis: i64) -> Result<Tensor> {
            Ok(x.f_mean_dim(axis, true, Kind::Float)?)
        }
        fn centred(x: &Tensor, axis: i64) -> Result<Tensor> {
            Ok(x.f_sub(&mean(x, axis)?)?)
        }
        /// Divides by the root of the mean square.
        fn sized(x: &Tensor, by: &Tensor, axis: i64) -> Result<Tensor> {
            Ok(x.f_div(&mean(&by.f_square()?, axis)?.f_add_scalar(1e-5)?.f_sqrt()?)?)
        }
        let judge = Judge {
            exercise: LAYER_NORM,
            input: |number, rng| inputs::tensor(rng, &[4 + number as i64, 6], 1.5) + 0.7,
            reference: |x| {
                let options = (Kind::Float, Device::Cpu);
                let channels = x.size()[1];
                let norm = Norm {
                    learnt: Some((Tensor::f_ones([channels], options)?, Tensor::f_zeros([channels], options)?)),
                };
                norm.forward(x)
            },
            mistakes: vec![
                Mistake {
                    named: "you normalised over the wrong axis: each character's C numbers by themselves, not the characters together",
                    done: |x| sized(&centred(x, 0)?, &centred(x, 0)?, 0),
                },
                Mistake {
                    named: "you divided by n − 1 in the variance: here all C numbers are there, so it is n",
                    done: |x| {
                        let variance = x.f_var_dim(-1, true, true)?;
                        Ok(centred(x, -1)?.f_div(&variance.f_add_scalar(1e-5)?.f_sqrt()?)?)
                    },
                },
                Mistake {
                    named: "you did not subtract the mean, and divided by the root of the mean square (that is RMS norm)",
                    done: |x| sized(x, x, -1),
                },
                Mistake {
                    named: "you divided by the standard deviation, but did not subtract the mean",
                    done: |x| sized(x, &centred(x, -1)?, -1),
                },
                Mistake {
                    named: "you subtracted the mean, but did not divide by the standard deviation",
                    done: |x| centred(x, -1),
                },
                Mistake {
                    named: "you divided by the variance: take its root first",
                    done: |x| {
                        let left = centred(x, -1)?;
                        Ok(left.f_div(&mean(&left.f_square()?, -1)?.f_add_scalar(1e-5)?)?)
                    },
                },
                Mistake {
                    named: "you normalised all numbers together: each character must stay by itself",
                    done: |x| {
                        let left = x.f_sub(&x.f_mean(Kind::Float)?)?;
                        Ok(left.f_div(&left.f_square()?.f_mean(Kind::Float)?.f_add_scalar(1e-5)?.f_sqrt()?)?)
                    },
                },
            ],
        };
        judge.judge(f)
    }
    judged(&f)
}

pub(super) const ADD_POSITIONS: Exercise = Exercise {
    name: "add_positions",
    task: "Write the positions: x (T, C) and a table (L, C) with L ≥ T → (T, C), row t of the table added to row t of x.",
    hints: [
        "The table has a row for each place that a text can have; this text has only T of them.",
        "table.narrow(axis, first, count) takes a part of an axis.",
        "x + table.narrow(0, …, x.size()[0])",
    ],
};

/// Checks `add_positions`: x (T, C), a table (L, C) → (T, C).
pub fn add_positions(f: impl Fn(&Tensor, &Tensor) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, (Tensor, Tensor), Tensor>) -> Verdict {
        fn added(x: &Tensor, table: &Tensor, first: i64) -> Result<Tensor> {
            Ok(x.f_add(&table.f_narrow(0, first, x.size()[0])?)?)
        }
        let judge = Judge {
            exercise: ADD_POSITIONS,
            input: |number, rng| (inputs::tensor(rng, &[2 + number as i64, 5], 1.0), inputs::tensor(rng, &[9, 5], 1.0)),
            reference: |(x, table)| added(x, table, 0),
            mistakes: vec![
                Mistake {
                    named: "you are one place off: the first character has place 0",
                    done: |(x, table)| added(x, table, 1),
                },
                Mistake {
                    named: "you took the last rows of the table: the text begins at place 0",
                    done: |(x, table)| added(x, table, table.size()[0] - x.size()[0]),
                },
                Mistake {
                    named: "you added the same row to every character: then the model still can't tell their order",
                    done: |(x, table)| Ok(x.f_add(&table.f_narrow(0, 0, 1)?)?),
                },
                Mistake {
                    named: "you multiplied by the positions: they are added",
                    done: |(x, table)| Ok(x.f_mul(&table.f_narrow(0, 0, x.size()[0])?)?),
                },
                Mistake {
                    named: "you gave the positions alone: add them to x",
                    done: |(x, table)| Ok(table.f_narrow(0, 0, x.size()[0])?),
                },
                Mistake { named: "you changed nothing", done: |(x, _)| Ok(x.shallow_clone()) },
            ],
        };
        judge.judge(f)
    }
    judged(&|(x, table)| f(x, table))
}

pub(super) const BLOCK: Exercise = Exercise {
    name: "block",
    task: "Write a transformer block: x (B, T, C) → (B, T, C), x plus attention of its norm, and then plus the MLP of the norm of \
           that.",
    hints: [
        "Two lines: x = x + attention(norm1(x)), then x = x + mlp(norm2(x)). What goes into the second line is what the first \
         one gave.",
        "block.norm1.forward(&x).unwrap() is the norm; block.attention.forward(&normed, None, None, \"attn\", &mut \
         NoProbe).unwrap().output looks back. The MLP is linear, ReLU, linear with block.mlp.hidden_weight, \
         block.mlp.output_weight and the two block.mlp.biases.",
        "let (hidden_bias, output_bias) = block.mlp.biases.as_ref().unwrap(); let hidden = \
         normed.linear(&block.mlp.hidden_weight, Some(hidden_bias)).relu(); and x + hidden.linear(…)",
    ],
};

/// Checks `block`: a block with layer norm, ReLU and biases, and x (B, T, C) → (B, T, C).
pub fn block(f: impl Fn(&Block, &Tensor) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, (TransformerLm, Tensor), Tensor>) -> Verdict {
        type Input = (TransformerLm, Tensor);
        fn attended(block: &Block, x: &Tensor) -> Result<Tensor> {
            Ok(block.attention.forward(x, None, None, "attn", &mut NoProbe)?.output)
        }
        fn thought(block: &Block, x: &Tensor) -> Result<Tensor> {
            let (hidden, output) = block.mlp.biases.as_ref().map_or((None, None), |(a, b)| (Some(a), Some(b)));
            Ok(x.f_linear(&block.mlp.hidden_weight, hidden)?.f_relu()?.f_linear(&block.mlp.output_weight, output)?)
        }
        /// The two lines, each with its own idea of what is added to what.
        fn two(
            x: &Tensor,
            first: impl Fn(&Tensor) -> Result<Tensor>,
            second: impl Fn(&Tensor) -> Result<Tensor>,
        ) -> Result<Tensor> {
            second(&first(x)?)
        }
        let judge = Judge {
            exercise: BLOCK,
            input: |number, rng| -> Input {
                let config = TransformerConfig {
                    n_vocab: 2,
                    context_len: 8,
                    emb_dim: 6,
                    n_heads: 1 + number as i64 % 2,
                    n_kv_heads: 1 + number as i64 % 2,
                    head_dim: 3,
                    n_hidden: 7,
                    ..TransformerConfig::original()
                };
                let model = inputs::one_block(rng, config);
                (model, inputs::tensor(rng, &[1 + number as i64 % 3, 4, 6], 1.0))
            },
            reference: |(model, x)| library_block(model, x),
            mistakes: vec![
                Mistake {
                    named: "the residual around the attention is missing: x = x + attention(…), else what x held is lost",
                    done: |(model, x)| {
                        let block = &model.blocks[0];
                        two(
                            x,
                            |x| attended(block, &block.norm1.forward(x)?),
                            |x| Ok(x + thought(block, &block.norm2.forward(x)?)?),
                        )
                    },
                },
                Mistake {
                    named: "the residual around the MLP is missing: x = x + mlp(…), else what x held is lost",
                    done: |(model, x)| {
                        let block = &model.blocks[0];
                        two(
                            x,
                            |x| Ok(x + attended(block, &block.norm1.forward(x)?)?),
                            |x| thought(block, &block.norm2.forward(x)?),
                        )
                    },
                },
                Mistake {
                    named: "both residuals are missing: each part is added to x, it does not replace it",
                    done: |(model, x)| {
                        let block = &model.blocks[0];
                        two(
                            x,
                            |x| attended(block, &block.norm1.forward(x)?),
                            |x| thought(block, &block.norm2.forward(x)?),
                        )
                    },
                },
                Mistake {
                    named: "the norm stands after each part instead of before it: norm(x + part(x)) is the older post-norm",
                    done: |(model, x)| {
                        let block = &model.blocks[0];
                        two(
                            x,
                            |x| block.norm1.forward(&(x + attended(block, x)?)),
                            |x| block.norm2.forward(&(x + thought(block, x)?)),
                        )
                    },
                },
                Mistake {
                    named: "the norm is on the result of each part instead of what goes into it: x + norm(part(x))",
                    done: |(model, x)| {
                        let block = &model.blocks[0];
                        two(
                            x,
                            |x| Ok(x + block.norm1.forward(&attended(block, x)?)?),
                            |x| Ok(x + block.norm2.forward(&thought(block, x)?)?),
                        )
                    },
                },
                Mistake {
                    named: "you added to the normalised x instead of to x: the residual stream must pass untouched",
                    done: |(model, x)| {
                        let block = &model.blocks[0];
                        let (first, second) = (&block.norm1, &block.norm2);
                        two(
                            x,
                            |x| Ok(first.forward(x)? + attended(block, &first.forward(x)?)?),
                            |x| Ok(second.forward(x)? + thought(block, &second.forward(x)?)?),
                        )
                    },
                },
                Mistake {
                    named: "the norms are missing: each part gets norm(x)",
                    done: |(model, x)| {
                        let block = &model.blocks[0];
                        two(x, |x| Ok(x + attended(block, x)?), |x| Ok(x + thought(block, x)?))
                    },
                },
                Mistake {
                    named: "the MLP got the x from before the attention: it should think about what attention has brought",
                    done: |(model, x)| {
                        let block = &model.blocks[0];
                        Ok(x + attended(block, &block.norm1.forward(x)?)? + thought(block, &block.norm2.forward(x)?)?)
                    },
                },
            ],
        };
        judge.judge(f)
    }
    judged(&|(model, x)| f(&model.blocks[0], x))
}

/// What the model's own forward pass makes of `x` in its first block.
fn library_block(model: &TransformerLm, x: &Tensor) -> Result<Tensor> {
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
    let ids = Tensor::f_zeros(&x.size()[..2], (Kind::Int64, Device::Cpu))?; // (B, T)
    let mut around = Around { x, after: None };
    let logits = model.forward(&ids, &mut around)?;
    Ok(around.after.unwrap_or(logits))
}

pub(super) const TOP_K: Exercise = Exercise {
    name: "top_k",
    task: "Write top-k: logits (V) and k → probabilities (V): softmax among the k highest scores, 0 for all others.",
    hints: [
        "As with the causal mask: what must not be drawn gets −∞ before softmax.",
        "logits.topk(k as i64, -1, true, true).0 are the k highest scores in order; the last of them is the limit.",
        "let limit = logits.topk(k as i64, -1, true, true).0.min(); then \
         logits.masked_fill(&logits.lt_tensor(&limit), f64::…).softmax(-1, Kind::Float)",
    ],
};

/// Checks `top_k`: logits (V) and k → probabilities (V).
pub fn top_k(f: impl Fn(&Tensor, usize) -> Tensor) -> Verdict {
    fn judged(f: Given<'_, (Tensor, usize), Tensor>) -> Verdict {
        /// What is not among the k highest (or lowest).
        fn others(logits: &Tensor, k: usize, highest: bool) -> Result<Tensor> {
            let (scores, _) = logits.f_topk(k as i64, -1, highest, true)?;
            Ok(if highest { logits.f_lt_tensor(&scores.f_min()?)? } else { logits.f_gt_tensor(&scores.f_max()?)? })
        }
        let judge = Judge {
            exercise: TOP_K,
            input: |number, rng| (inputs::tensor(rng, &[9], 2.0), [3, 1, 2, 5, 4, 3][number]),
            reference: |(logits, k)| {
                Ok(logits.f_masked_fill(&others(logits, *k, true)?, f64::NEG_INFINITY)?.f_softmax(-1, Kind::Float)?)
            },
            mistakes: vec![
                Mistake {
                    named: "you took softmax first and then put zeros: what is left no longer sums to 1",
                    done: |(logits, k)| {
                        Ok(logits.f_softmax(-1, Kind::Float)?.f_masked_fill(&others(logits, *k, true)?, 0.0)?)
                    },
                },
                Mistake {
                    named: "you gave the others the score 0 instead of −∞: e⁰ is 1, so they can still be drawn",
                    done: |(logits, k)| {
                        Ok(logits.f_masked_fill(&others(logits, *k, true)?, 0.0)?.f_softmax(-1, Kind::Float)?)
                    },
                },
                Mistake {
                    named: "you kept the k lowest scores",
                    done: |(logits, k)| {
                        let others = others(logits, *k, false)?;
                        Ok(logits.f_masked_fill(&others, f64::NEG_INFINITY)?.f_softmax(-1, Kind::Float)?)
                    },
                },
                Mistake {
                    named: "you kept one too few: the k-th highest score itself may be drawn, too",
                    done: |(logits, k)| {
                        let limit = logits.f_topk(*k as i64, -1, true, true)?.0.f_min()?;
                        let hidden = logits.f_le_tensor(&limit)?;
                        Ok(logits.f_masked_fill(&hidden, f64::NEG_INFINITY)?.f_softmax(-1, Kind::Float)?)
                    },
                },
                Mistake {
                    named: "you gave k probabilities: give V of them, with 0 for the others, so that each keeps its place",
                    done: |(logits, k)| Ok(logits.f_topk(*k as i64, -1, true, true)?.0.f_softmax(-1, Kind::Float)?),
                },
                Mistake { named: "you did not use k", done: |(logits, _)| Ok(logits.f_softmax(-1, Kind::Float)?) },
            ],
        };
        judge.judge(f)
    }
    judged(&|(logits, k)| f(logits, *k))
}

#[cfg(test)]
mod tests;
