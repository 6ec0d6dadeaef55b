//! The exercises on tracing the MLP: looking ids up, counting pairs, and reading a loss.

use super::table::exercise;
use super::{inputs, reference, verdict::Verdict};
use tch::{Kind, Tensor};

exercise! {
    EMBED: (Tensor, Vec<i64>) => Tensor = embed(table, ids),
    task: "Write the look-up: a table (V, C) and T ids → the row of each id, (T, C).",
    hints: [
        "No arithmetic at all: row number id of the table, for each id, one below the other.",
        "table.index_select(axis, &numbers) picks rows or columns; Tensor::from_slice(ids) makes a tensor of the ids.",
        "table.index_select(0, &Tensor::from_slice(…)): axis 0 are the rows.",
    ],
    input: |number, rng| {
        let ids = [vec![3, 3], inputs::ids(rng, 1 + number as i64, 7)].concat();
        (inputs::tensor(rng, &[9, 7], 1.0), ids)
    },
    given: (table, ids),
    reference: reference::embed(table, ids),
    mistakes: {
        "you picked columns of the table: each character has a row" => pick(table, 1, ids),
        "you picked columns of the table, and turned them into rows: each character has a row"
            => pick(table, 1, ids).tr(),
        "your answer is turned around, (C, T): one row for each character of the text, please"
            => pick(table, 0, ids).tr(),
        "you are one row off: ids count from 0" => pick(table, 0, &ids.iter().map(|id| id + 1).collect::<Vec<_>>()),
    },
}

fn pick(table: &Tensor, axis: i64, ids: &[i64]) -> Tensor {
    table.index_select(axis, &Tensor::from_slice(ids))
}

/// Checks `embed`: a table (V, C) and T ids → (T, C).
pub fn embed(f: impl Fn(&Tensor, &[i64]) -> Tensor) -> Verdict {
    EMBED.judge(&|(table, ids)| f(table, ids))
}

exercise! {
    BIGRAM_COUNTS: Vec<i64> => Tensor = bigram_counts(ids),
    task: "Write a function that counts pairs: ids of a text → a table (256, 256) whose number in row a, column b says how often \
           b came right after a.",
    hints: [
        "ids.windows(2) gives every pair of neighbours: pair[0] and, right after it, pair[1].",
        "Count in a plain list first, let mut counts = vec![0_i64; 256 * 256]: row a, column b is place a * 256 + b.",
        "for pair in ids.windows(2) { counts[pair[0] as usize * 256 + …] += 1; } and then \
         Tensor::from_slice(&counts).view([256, 256])",
    ],
    input: |number, rng| {
        // Few different characters, so that pairs come again; the highest id, so that nothing is cut off.
        let ids = inputs::ids(rng, 30 + 10 * number as i64, 4);
        ids.iter().map(|&id| [97, 98, 32, 255][id as usize]).collect::<Vec<i64>>()
    },
    given: ids,
    reference: reference::bigram_counts(ids),
    mistakes: {
        "your table is transposed: the row is the first character of a pair, the column the one after it"
            => count(pairs(ids)).tr(),
        "you counted pairs that are two places apart: off by one"
            => count(ids.windows(3).map(|three| (three[0], three[2]))),
        "you counted each character with itself" => count(ids.iter().map(|&id| (id, id))),
        "you noted that a pair came, but not how often: add 1 each time" => count(pairs(ids)).clamp_max(1.0),
        "you counted every second pair only: each character but the last begins a pair (windows, not chunks)"
            => count(ids.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
        "you counted a pair more: nothing comes after the last character, not the first one either"
            => count(pairs(ids).chain(ids.last().copied().zip(ids.first().copied()))),
    },
}

fn count(pairs: impl Iterator<Item = (i64, i64)>) -> Tensor {
    let mut counts = vec![0.0_f32; 256 * 256];
    pairs.for_each(|(before, after)| counts[before as usize * 256 + after as usize] += 1.0);
    Tensor::from_slice(&counts).view([256, 256])
}

fn pairs(ids: &[i64]) -> impl Iterator<Item = (i64, i64)> + '_ {
    ids.windows(2).map(|pair| (pair[0], pair[1]))
}

/// Checks `bigram_counts`: ids → (256, 256).
pub fn bigram_counts(f: impl Fn(&[i64]) -> Tensor) -> Verdict {
    BIGRAM_COUNTS.judge(&|ids| f(ids))
}

exercise! {
    NORMALISE_ROWS: Tensor => Tensor = normalise_rows(counts),
    task: "Write a function that makes probabilities of counts: (R, K) → (R, K), every row divided by its sum.",
    hints: [
        "Each row is a question of its own (what follows this character?), so each row must sum to 1.",
        "counts.sum_dim_intlist(axis, keepdim, Kind::Float) adds up along an axis. The last axis is -1; keepdim = true keeps \
         it, with size 1, so that dividing goes row by row.",
        "counts / counts.sum_dim_intlist(-1, true, …)",
    ],
    input: |number, rng| {
        // Square, so that dividing along the wrong axis gives numbers, too, instead of an error.
        let size = 3 + number as i64;
        let counts: Vec<f32> = (0..size * size).map(|_| (1 + rng.below(9)) as f32).collect();
        Tensor::from_slice(&counts).view([size, size])
    },
    given: counts,
    reference: reference::normalise_rows(counts),
    mistakes: {
        "you made the columns sum to 1: a row says what follows one character, so the rows must"
            => divided(counts, 0, true),
        "the sums lost their axis (keepdim = false), so that each column was divided by the sum of a row"
            => divided(counts, -1, false),
        "you divided by the sum of the whole table" => counts / counts.sum(Kind::Float),
        "you took softmax: counts are not scores, e to the power of a count means nothing here"
            => counts.softmax(-1, Kind::Float),
        "you divided by the largest number of each row instead of its sum" => counts / counts.amax(-1, true),
    },
}

fn divided(counts: &Tensor, axis: i64, keep: bool) -> Tensor {
    counts / counts.sum_dim_intlist(axis, keep, Kind::Float)
}

/// Checks `normalise_rows`: (R, K) → (R, K).
pub fn normalise_rows(f: impl Fn(&Tensor) -> Tensor) -> Verdict {
    NORMALISE_ROWS.judge(&f)
}

exercise! {
    BITS_AND_PERPLEXITY: f64 => (f64, f64) = bits_and_perplexity(nats),
    task: "Write a function that turns a loss in nats per character into a pair: bits per character, and perplexity.",
    hints: [
        "One bit is ln 2 nats. Perplexity is the number of equally likely characters that would give this loss: guessing among \
         256 has ln 256 nats and perplexity 256.",
        "So bits are nats divided by ln 2, and perplexity undoes the ln.",
        "(nats / 2_f64.ln(), nats.…()) with the method that raises e to a number.",
    ],
    input: |number, rng| if number == 0 { 256_f64.ln() } else { 0.5 + 3.0 * rng.unit() },
    given: nats,
    reference: reference::bits_and_perplexity(*nats),
    mistakes: {
        "you multiplied by ln 2: a bit is smaller than a nat, so there are more bits than nats"
            => (nats * LN_2, nats.exp()),
        "you raised 2 to the power of the nats: 2 belongs to bits, e to nats" => (nats / LN_2, nats.exp2()),
        "you raised e to the power of the bits: e belongs to nats, 2 to bits" => (nats / LN_2, (nats / LN_2).exp()),
        "you took the logarithm of the nats: the loss is a logarithm already" => (nats.log2(), nats.exp()),
        "the two are exchanged: bits come first" => (nats.exp(), nats / LN_2),
    },
}

const LN_2: f64 = std::f64::consts::LN_2;

/// Checks `bits_and_perplexity`: nats per character → bits per character, perplexity.
pub fn bits_and_perplexity(f: impl Fn(f64) -> (f64, f64)) -> Verdict {
    BITS_AND_PERPLEXITY.judge(&|nats| f(*nats))
}

/// Sizes of a table for a test.
#[cfg(test)]
fn zeros() -> Tensor {
    Tensor::zeros([256, 256], (Kind::Float, tch::Device::Cpu))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::judge::named;

    fn counted(ids: &[i64], step: usize, apart: usize) -> Tensor {
        let table = zeros();
        for place in (0..ids.len().saturating_sub(apart)).step_by(step) {
            let cell = table.get(ids[place]).get(ids[place + apart]);
            let _ = cell.shallow_clone().fill_(cell.double_value(&[]) + 1.0);
        }
        table
    }

    fn sum(x: &Tensor, axis: i64, keep: bool) -> Tensor {
        x.sum_dim_intlist(axis, keep, Kind::Float)
    }

    #[test]
    fn the_right_ones_are_right() {
        for verdict in [
            embed(|table, ids| table.index_select(0, &Tensor::from_slice(ids))),
            bigram_counts(|ids| counted(ids, 1, 1)),
            normalise_rows(|x| x / sum(x, 1, true)),
            bits_and_perplexity(|nats| (nats / 2_f64.ln(), nats.exp())),
        ] {
            assert!(verdict.is_right(), "{verdict}");
        }
    }

    #[test]
    fn each_mistake_of_embed_is_named() {
        let ids_of = |ids: &[i64]| Tensor::from_slice(ids);
        named(embed(|table, ids| table.index_select(1, &ids_of(ids))), "columns of the table:");
        named(embed(|table, ids| table.tr().index_select(0, &ids_of(ids))), "turned them into rows");
        named(embed(|table, ids| table.index_select(0, &ids_of(ids)).tr()), "turned around");
        named(embed(|table, ids| table.index_select(0, &(ids_of(ids) + 1))), "one row off");
    }

    #[test]
    fn each_mistake_of_bigram_counts_is_named() {
        named(bigram_counts(|ids| counted(ids, 1, 1).tr()), "transposed");
        named(bigram_counts(|ids| counted(ids, 1, 2)), "two places apart");
        named(bigram_counts(|ids| counted(ids, 1, 0)), "with itself");
        named(bigram_counts(|ids| counted(ids, 1, 1).sign()), "not how often");
        named(bigram_counts(|ids| counted(ids, 2, 1)), "every second pair");
        named(bigram_counts(|ids| counted(&[ids, &ids[..1]].concat(), 1, 1)), "a pair more");
    }

    #[test]
    fn each_mistake_of_normalise_rows_is_named() {
        named(normalise_rows(|x| x / sum(x, 0, true)), "columns sum to 1");
        named(normalise_rows(|x| x / sum(x, 1, false)), "lost their axis");
        named(normalise_rows(|x| x / x.sum(Kind::Float)), "whole table");
        named(normalise_rows(|x| x.softmax(-1, Kind::Float)), "took softmax");
        named(normalise_rows(|x| x / x.amax(-1, true)), "largest number");
    }

    #[test]
    fn each_mistake_of_bits_and_perplexity_is_named() {
        named(bits_and_perplexity(|nats| (nats * 2_f64.ln(), nats.exp())), "multiplied by ln 2");
        named(bits_and_perplexity(|nats| (nats / 2_f64.ln(), 2_f64.powf(nats))), "raised 2");
        named(bits_and_perplexity(|nats| (nats / 2_f64.ln(), (nats / 2_f64.ln()).exp())), "power of the bits");
        named(bits_and_perplexity(|nats| (nats.log2(), nats.exp())), "logarithm already");
        named(bits_and_perplexity(|nats| (nats.exp(), nats / 2_f64.ln())), "exchanged");
    }

    #[test]
    fn unwritten_and_misshapen_ones_get_a_verdict() {
        for verdict in [
            embed(|_, _| todo!()),
            bigram_counts(|_| todo!()),
            normalise_rows(|_| todo!()),
            bits_and_perplexity(|_| todo!()),
        ] {
            assert!(verdict.to_string().contains("not written yet"), "{verdict}");
        }
        let said = bigram_counts(|_| zeros().view([-1])).to_string();
        assert!(said.contains("expected: shape (256, 256)") && said.contains("got:      shape (65536)"), "{said}");
        assert!(embed(|table, _| table.get(99)).to_string().contains("stopped with"));
        assert!(normalise_rows(|x| x.view([5, 7])).to_string().contains("stopped with"));
    }
}
