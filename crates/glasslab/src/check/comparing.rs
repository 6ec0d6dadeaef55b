//! The exercises on why the transformer is so much better: what its numbers are spent on, a model with a fixed window, and
//! what each one would write next.

use super::table::exercise;
use super::{inputs, inputs::plain, reference, verdict::Verdict};
use crate::model::TransformerConfig;
use tch::Tensor;

exercise! {
    TRANSFORMER_PARAMETERS: TransformerConfig => i64 = transformer_parameters(config),
    task: "Write a function of a TransformerConfig (its fields are the sizes) like original() (learnt positions, layer norm, biases in the MLP, tied head, no \
           final norm) that gives the number of parameters.",
    hints: [
        "The embedding and the positions come once, everything else once for each layer. In a layer: two norms, attention, MLP.",
        "A norm has a scale and a shift of emb_dim each. Attention has three projections from emb_dim to n_heads · head_dim and \
         one back, all without bias. The MLP has two linear layers with biases. original() must give 21,920.",
        "(n_vocab + context_len) * emb_dim + n_layers * (2 * 2 * emb_dim + 4 * emb_dim * n_heads * head_dim + …)",
    ],
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
    given: config,
    reference: reference::transformer_parameters(config),
    mistakes: {
        "you forgot the positions: a row of emb_dim numbers for each of context_len places"
            => Parts::of(config).total() - config.context_len * config.emb_dim,
        "you counted the output head, too: it is the embedding table itself (weight tying)"
            => Parts::of(config).total() + config.n_vocab * config.emb_dim,
        "you forgot the norms: two in each layer, each with a scale and a shift"
            => Parts { norms: 0, ..Parts::of(config) }.total(),
        "you counted only one of the two norms of a layer (or only the scales)"
            => Parts { norms: 2 * config.emb_dim, ..Parts::of(config) }.total(),
        "you forgot the biases of the MLP"
            => {
                let parts = Parts::of(config);
                Parts { mlp: parts.mlp - config.n_hidden - config.emb_dim, ..parts }.total()
            },
        "you forgot the output projection of attention: the heads' results are brought back to emb_dim"
            => {
                let parts = Parts::of(config);
                Parts { attention: parts.attention / 4 * 3, ..parts }.total()
            },
        "you counted one head only: each has its own queries, keys and values"
            => {
                let parts = Parts::of(config);
                Parts { attention: parts.attention / config.n_heads, ..parts }.total()
            },
        "you took head_dim to be emb_dim / n_heads: here it is a size of its own"
            => Parts { attention: 4 * config.emb_dim * config.emb_dim, ..Parts::of(config) }.total(),
        "you gave the projections of attention a bias: these have none"
            => {
                let parts = Parts::of(config);
                let biases = 3 * config.n_heads * config.head_dim + config.emb_dim;
                Parts { attention: parts.attention + biases, ..parts }.total()
            },
        "you counted one layer only: there are n_layers" => Parts { layers: 1, ..Parts::of(config) }.total(),
        "you counted a final norm: original() has none" => Parts::of(config).total() + 2 * config.emb_dim,
    },
}

/// Checks `transformer_parameters`: sizes → the number of parameters.
pub fn transformer_parameters(f: impl Fn(&TransformerConfig) -> i64) -> Verdict {
    TRANSFORMER_PARAMETERS.judge(&f)
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

exercise! {
    WINDOWS: (Tensor, i64) => Tensor = windows(ids, width),
    task: "Write what a model with a fixed window sees: ids (B, T) and a width W → (B, T, W), whole numbers: at place t the ids of the \
           places t − W + 1 to t, the current one last, and 0 where there is none before the text.",
    hints: [
        "What does the first character see? W − 1 zeros, and itself. So begin by putting W − 1 zeros before each text.",
        "Tensor::cat(&[&zeros, ids], 1) puts (B, W − 1) and (B, T) beside each other, (B, T + W − 1), with zeros = Tensor::zeros([B, \
         width - 1], (Kind::Int64, ids.device())). x.unfold(1, size, 1) takes all pieces of a size, each one place further on.",
        "Tensor::cat(&[&zeros, ids], 1).unfold(1, …, 1)",
    ],
    input: |number, rng| {
        let (batch, time) = (1 + number as i64 % 2, 5 + number as i64);
        // No id is 0: that stands for none.
        let ids: Vec<i64> = inputs::ids(rng, batch * time, 9).iter().map(|id| id + 1).collect();
        (Tensor::from_slice(&ids).view([batch, time]), [3, 2, 4, 3, 5, 8][number])
    },
    given: input @ (ids, width),
    reference: reference::windows(ids, *width),
    mistakes: {
        "each window is one place ahead: it sees the next character, which is its own target, so the model would only copy"
            => padded(input, input.1 - 2, 1),
        "your windows run backwards: the current character stands last" => padded(input, input.1 - 1, 0).flip([-1]),
        "the current character is missing: a window ends with the one that it stands on, t, not with the one before"
            => padded(input, input.1, 0).narrow(1, 0, input.0.size()[1]),
        "you filled up at the end: a window looks back, so the zeros stand before the text. Yours sees its targets"
            => padded(input, 0, input.1 - 1),
        "you left out the places that have no whole window before them: zeros fill it up, so that each place has one"
            => padded(input, 0, 0),
        "you filled up with the first character: 0 stands for none"
            => {
                let (ids, width) = input;
                let before = ids.narrow(1, 0, 1).repeat([1, width - 1]);
                Tensor::cat(&[&before, ids], 1).unfold(1, *width, 1)
            },
    },
}

/// Windows over a text with so many zeros before it, and so many behind.
fn padded((ids, width): &(Tensor, i64), before: i64, behind: i64) -> Tensor {
    ids.constant_pad_nd([before, behind]).unfold(1, *width, 1)
}

/// Checks `windows`: ids (B, T) and W → (B, T, W).
pub fn windows(f: impl Fn(&Tensor, i64) -> Tensor) -> Verdict {
    WINDOWS.judge(&|(ids, width)| f(ids, *width))
}

exercise! {
    BEST_NEXT: Tensor => Vec<i64> = best_next(logits),
    task: "Write what a model thinks comes next at each place of a text: logits (T, V) → a list of T ids, the likeliest one at each place.",
    hints: [
        "The likeliest character has the highest score. Which axis holds the scores of one place?",
        "x.argmax(axis, false) says where along an axis the largest number stands; the last axis is -1. It gives (T) whole numbers.",
        "Vec::try_from(logits.argmax(…, false)).unwrap() makes a list of them.",
    ],
    input: |number, rng| inputs::tensor(rng, &[3 + number as i64, 6], 1.5),
    given: logits,
    reference: reference::best_next(logits),
    mistakes: {
        "you looked for the place where each character is likeliest: it is the characters of one place that compete (axis −1)"
            => list(&logits.argmax(0, false)),
        "you took the least likely one: argmax, not argmin" => list(&logits.argmin(-1, false)),
        "you answered for the last place only: one id for each place"
            => list(&logits.narrow(0, -1, 1).argmax(-1, false)),
        "the first place is missing: one id for each place"
            => list(&logits.narrow(0, 1, logits.size()[0] - 1).argmax(-1, false)),
        "the last place is missing: one id for each place, also where nothing follows any more"
            => list(&logits.narrow(0, 0, logits.size()[0] - 1).argmax(-1, false)),
        "you looked at the sizes of the scores without their sign: the highest one counts"
            => list(&logits.abs().argmax(-1, false)),
    },
}

fn list(ids: &Tensor) -> Vec<i64> {
    plain(Vec::try_from(ids).map_err(Into::into))
}

/// Checks `best_next`: logits (T, V) → T ids.
pub fn best_next(f: impl Fn(&Tensor) -> Vec<i64>) -> Verdict {
    BEST_NEXT.judge(&f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::judge::named;
    use tch::Kind;

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

    /// Windows over a text with so many zeros before and behind it.
    fn seen(ids: &Tensor, width: i64, before: i64, behind: i64) -> Tensor {
        let zeros = |count: i64| Tensor::zeros([ids.size()[0], count], (Kind::Int64, ids.device()));
        Tensor::cat(&[zeros(before), ids.shallow_clone(), zeros(behind)], 1).unfold(1, width, 1)
    }

    #[test]
    fn windows_are_right_or_named() {
        let by_shifts = |ids: &Tensor, width: i64| {
            let time = ids.size()[1];
            let shifted: Vec<Tensor> =
                (0..width).rev().map(|back| ids.constant_pad_nd([back, 0]).narrow(1, 0, time)).collect();
            Tensor::stack(&shifted, -1)
        };
        for verdict in [windows(|ids, w| seen(ids, w, w - 1, 0)), windows(by_shifts)] {
            assert!(verdict.is_right(), "{verdict}");
        }
        named(windows(|ids, w| seen(ids, w, w - 2, 1)), "its own target");
        named(windows(|ids, w| seen(ids, w, w - 1, 0).flip([2])), "backwards");
        named(windows(|ids, w| seen(ids, w, w, 0).narrow(1, 0, ids.size()[1])), "current character is missing");
        named(windows(|ids, w| seen(ids, w, 0, w - 1)), "filled up at the end");
        named(windows(|ids, w| ids.unfold(1, w, 1)), "no whole window");
        let first =
            |ids: &Tensor, w: i64| Tensor::cat(&[&ids.narrow(1, 0, 1).repeat([1, w - 1]), ids], 1).unfold(1, w, 1);
        named(windows(first), "first character");
    }

    #[test]
    fn the_best_next_are_right_or_named() {
        let list = |ids: Tensor| Vec::<i64>::try_from(ids).unwrap();
        let one_by_one = |logits: &Tensor| {
            (0..logits.size()[0]).map(|t| logits.get(t).argmax(None, false).int64_value(&[])).collect::<Vec<i64>>()
        };
        for verdict in [best_next(|x| list(x.argmax(-1, false))), best_next(one_by_one)] {
            assert!(verdict.is_right(), "{verdict}");
        }
        named(best_next(|x| list(x.argmax(0, false))), "the place where");
        named(best_next(|x| list(x.argmin(1, false))), "least likely");
        named(best_next(|x| vec![x.get(-1).argmax(-1, false).int64_value(&[])]), "last place only");
        named(best_next(|x| one_by_one(x)[1..].to_vec()), "first place is missing");
        named(best_next(|x| one_by_one(&x.narrow(0, 0, x.size()[0] - 1))), "last place is missing");
        named(best_next(|x| one_by_one(&x.abs())), "without their sign");
    }

    #[test]
    fn unwritten_and_wrong_ones_get_a_verdict() {
        for verdict in [transformer_parameters(|_| todo!()), windows(|_, _| todo!()), best_next(|_| todo!())] {
            assert!(verdict.to_string().contains("not written yet"), "{verdict}");
        }
        assert!(windows(|ids, w| ids.unfold(1, w + 99, 1)).to_string().contains("stopped with"));
        let said = transformer_parameters(|_| 7).to_string();
        assert!(said.contains("expected: 21920") && said.contains("got:      7"), "{said}");
        assert!(transformer_parameters(|c| c.n_layers / (c.n_layers - 1)).to_string().contains("divide by zero"));
    }
}
