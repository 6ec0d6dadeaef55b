//! The exercise of notebook 7: what a transformer's numbers are spent on.

use super::Exercise;
use super::judge::{Given, Judge, Mistake};
use super::{inputs, verdict::Verdict};
use crate::model::{TransformerConfig, TransformerLm, count_parameters};
use tch::Device;

pub(super) const TRANSFORMER_PARAMETERS: Exercise = Exercise {
    name: "transformer_parameters",
    task: "Write a function of a TransformerConfig like original() (learnt positions, layer norm, biases in the MLP, tied head, no \
           final norm) that gives the number of parameters.",
    hints: [
        "The embedding and the positions come once, everything else once for each layer. In a layer: two norms, attention, MLP.",
        "A norm has a scale and a shift of emb_dim each. Attention has three projections from emb_dim to n_heads · head_dim and \
         one back, all without bias. The MLP has two linear layers with biases. original() must give 21,920.",
        "(n_vocab + context_len) * emb_dim + n_layers * (2 * 2 * emb_dim + 4 * emb_dim * n_heads * head_dim + …)",
    ],
};

/// Checks `transformer_parameters`: sizes → the number of parameters.
pub fn transformer_parameters(f: impl Fn(&TransformerConfig) -> i64) -> Verdict {
    fn judged(f: Given<'_, TransformerConfig, i64>) -> Verdict {
        let judge = Judge {
            exercise: TRANSFORMER_PARAMETERS,
            input: |number, rng| {
                let original = TransformerConfig::original();
                let n_heads = inputs::between(rng, 2, 4);
                match number {
                    0 => original,
                    _ => TransformerConfig {
                        n_vocab: inputs::between(rng, 20, 40),
                        context_len: inputs::between(rng, 41, 50),
                        emb_dim: inputs::between(rng, 5, 9),
                        n_layers: inputs::between(rng, 2, 4),
                        n_heads,
                        n_kv_heads: n_heads,
                        head_dim: inputs::between(rng, 3, 6),
                        n_hidden: inputs::between(rng, 10, 18),
                        ..original
                    },
                }
            },
            reference: |config| Ok(count_parameters(&TransformerLm::new(*config, Device::Cpu)?)),
            mistakes: vec![
                Mistake {
                    named: "you forgot the positions: a row of emb_dim numbers for each of context_len places",
                    done: |config| Ok(Parts::of(config).total() - config.context_len * config.emb_dim),
                },
                Mistake {
                    named: "you counted the output head, too: it is the embedding table itself (weight tying)",
                    done: |config| Ok(Parts::of(config).total() + config.n_vocab * config.emb_dim),
                },
                Mistake {
                    named: "you forgot the norms: two in each layer, each with a scale and a shift",
                    done: |config| Ok(Parts { norms: 0, ..Parts::of(config) }.total()),
                },
                Mistake {
                    named: "you counted only one of the two norms of a layer (or only the scales)",
                    done: |config| Ok(Parts { norms: 2 * config.emb_dim, ..Parts::of(config) }.total()),
                },
                Mistake {
                    named: "you forgot the biases of the MLP",
                    done: |config| {
                        let parts = Parts::of(config);
                        Ok(Parts { mlp: parts.mlp - config.n_hidden - config.emb_dim, ..parts }.total())
                    },
                },
                Mistake {
                    named: "you forgot the output projection of attention: the heads' results are brought back to emb_dim",
                    done: |config| {
                        let parts = Parts::of(config);
                        Ok(Parts { attention: parts.attention / 4 * 3, ..parts }.total())
                    },
                },
                Mistake {
                    named: "you counted one head only: each has its own queries, keys and values",
                    done: |config| {
                        let parts = Parts::of(config);
                        Ok(Parts { attention: parts.attention / config.n_heads, ..parts }.total())
                    },
                },
                Mistake {
                    named: "you took head_dim to be emb_dim / n_heads: here it is a size of its own",
                    done: |config| {
                        Ok(Parts { attention: 4 * config.emb_dim * config.emb_dim, ..Parts::of(config) }.total())
                    },
                },
                Mistake {
                    named: "you gave the projections of attention a bias: these have none",
                    done: |config| {
                        let parts = Parts::of(config);
                        let biases = 3 * config.n_heads * config.head_dim + config.emb_dim;
                        Ok(Parts { attention: parts.attention + biases, ..parts }.total())
                    },
                },
                Mistake {
                    named: "you counted one layer only: there are n_layers",
                    done: |config| Ok(Parts { layers: 1, ..Parts::of(config) }.total()),
                },
                Mistake {
                    named: "you counted a final norm: original() has none",
                    done: |config| Ok(Parts::of(config).total() + 2 * config.emb_dim),
                },
            ],
        };
        judge.judge(f)
    }
    judged(&f)
}

/// The parameters of each part, to leave one out.
struct Parts {
    tables: i64,
    layers: i64,
    norms: i64,
    attention: i64,
    mlp: i64,
}

impl Parts {
    fn of(config: &TransformerConfig) -> Parts {
        let TransformerConfig { n_vocab, context_len, emb_dim, n_layers, n_heads, head_dim, n_hidden, .. } = *config;
        Parts {
            tables: (n_vocab + context_len) * emb_dim,
            layers: n_layers,
            norms: 2 * 2 * emb_dim,
            attention: 4 * emb_dim * n_heads * head_dim,
            mlp: 2 * emb_dim * n_hidden + n_hidden + emb_dim,
        }
    }

    fn total(&self) -> i64 {
        self.tables + self.layers * (self.norms + self.attention + self.mlp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::judge::named;

    /// As a learner would write it, with a factor or a term for each part.
    fn count(c: &TransformerConfig, norms: i64, projections: i64, biases: bool) -> i64 {
        let attention = projections * c.emb_dim * c.n_heads * c.head_dim;
        let mlp = c.emb_dim * c.n_hidden + c.n_hidden * c.emb_dim + if biases { c.n_hidden + c.emb_dim } else { 0 };
        c.n_vocab * c.emb_dim + c.context_len * c.emb_dim + c.n_layers * (norms * c.emb_dim + attention + mlp)
    }

    fn right(c: &TransformerConfig) -> i64 {
        count(c, 4, 4, true)
    }

    #[test]
    fn the_right_one_is_right() {
        let verdict = transformer_parameters(right);
        assert!(verdict.is_right(), "{verdict}");
        assert_eq!(right(&TransformerConfig::original()), 21_920);
    }

    #[test]
    fn each_mistake_is_named() {
        named(transformer_parameters(|c| right(c) - c.context_len * c.emb_dim), "forgot the positions");
        named(transformer_parameters(|c| right(c) + c.n_vocab * c.emb_dim), "output head");
        named(transformer_parameters(|c| count(c, 0, 4, true)), "forgot the norms");
        named(transformer_parameters(|c| count(c, 2, 4, true)), "only one of the two norms");
        named(transformer_parameters(|c| count(c, 4, 4, false)), "biases of the MLP");
        named(transformer_parameters(|c| count(c, 4, 3, true)), "output projection");
        named(transformer_parameters(|c| right(&TransformerConfig { n_heads: 1, ..*c })), "one head only");
        let square = |c: &TransformerConfig| count(c, 4, 0, true) + c.n_layers * 4 * c.emb_dim * c.emb_dim;
        named(transformer_parameters(square), "emb_dim / n_heads");
        let biased = |c: &TransformerConfig| right(c) + c.n_layers * (3 * c.n_heads * c.head_dim + c.emb_dim);
        named(transformer_parameters(biased), "have none");
        named(transformer_parameters(|c| right(&TransformerConfig { n_layers: 1, ..*c })), "one layer only");
        named(transformer_parameters(|c| right(c) + 2 * c.emb_dim), "final norm");
    }

    #[test]
    fn unwritten_and_wrong_ones_get_a_verdict() {
        assert!(transformer_parameters(|_| todo!()).to_string().contains("not written yet"));
        let said = transformer_parameters(|_| 7).to_string();
        assert!(said.contains("expected: 21920") && said.contains("got:      7"), "{said}");
        assert!(transformer_parameters(|c| c.n_layers / (c.n_layers - 1)).to_string().contains("divide by zero"));
    }
}
