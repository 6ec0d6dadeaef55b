//! The exercises on scaling: what a longer text costs, in memory and in products.

use super::table::exercise;
use super::{inputs, reference, verdict::Verdict};

exercise! {
    KV_CACHE_BYTES: (i64, i64, i64, i64) => i64 = kv_cache_bytes(n_layers, n_kv_heads, head_dim, characters),
    task: "Write a function of layers, key-value heads, head_dim and characters that gives the bytes of a KV cache of 32-bit floats.",
    hints: [
        "For one character: each layer keeps, for each of its key-value heads, a key and a value of head_dim numbers.",
        "A 32-bit float takes 4 bytes. The queries are not kept: nobody will ask them again.",
        "layers * kv_heads * head_dim * characters * … * 4",
    ],
    input: |number, rng| match number {
        0 => (3, 4, 24, 64), // TransformerConfig::small()
        _ => {
            let mut size = |low| inputs::between(rng, low, low + 4);
            (size(2), size(3), size(6), size(11))
        }
    },
    given: &(l, k, d, t),
    reference: reference::kv_cache_bytes(l, k, d, t),
    mistakes: {
        "you forgot the values: keys say where to look, and the values are what is found there" => 4 * l * k * d * t,
        "you counted numbers, not bytes: a 32-bit float takes 4" => 2 * l * k * d * t,
        "you counted the queries, too: nobody asks them again, so they are not kept" => 3 * 4 * l * k * d * t,
        "you counted 8 bytes for a number: 32-bit floats have 4" => 2 * 8 * l * k * d * t,
        "you counted one layer: each has keys and values of its own" => 2 * 4 * k * d * t,
        "you counted one head only" => 2 * 4 * l * d * t,
        "you counted a number for each pair of characters: those are the scores, which are not kept"
            => 2 * 4 * l * k * d * t * t,
    },
}

/// Checks `kv_cache_bytes`: layers, key-value heads, head_dim, characters → bytes.
pub fn kv_cache_bytes(f: impl Fn(i64, i64, i64, i64) -> i64) -> Verdict {
    KV_CACHE_BYTES.judge(&|&(layers, heads, head_dim, characters)| f(layers, heads, head_dim, characters))
}

exercise! {
    GENERATION_COST: u64 => (u64, u64) = generation_cost(n),
    task: "Write a function that counts query·key products while a text grows from 1 to n characters, one forward pass at each \
           length: without a cache all t queries meet all t keys, with one only the newest query does. Gives both sums, as a pair.",
    hints: [
        "At length t: t · t products without a cache, t with one. And the text passes through every length from 1 to n.",
        "(1..=n) are the lengths; .map(|t| …).sum() adds up.",
        "((1..=n).map(|t| t * t).sum(), (1..=n).…())",
    ],
    // The shortest texts, at which formulas part, and some of any length.
    input: |number, rng| match number {
        1 | 2 => number as u64,
        _ => inputs::between(rng, 5, [9, 0, 0, 20, 90, 140][number]) as u64,
    },
    given: &n,
    reference: reference::generation_cost(n),
    mistakes: {
        "you counted the last pass only: the text passes through every length from 1 to n" => (n * n, n),
        "you left the masked products out: they are computed, too, and then set to −∞"
            => sums(1..=n, |t| t * (t + 1) / 2),
        "the two are exchanged: without a cache comes first, and costs more"
            => {
                let (without, with) = sums(1..=n, |t| t * t);
                (with, without)
            },
        "you stopped at n − 1: off by one (1..=n has n in it, 1..n has not)" => sums(1..n, |t| t * t),
        "with a cache you counted one product for each new character: its query still meets all t keys"
            => (sums(1..=n, |t| t * t).0, n),
        "you counted n² products in each of the n passes: a text of t characters has only t²" => (n * n * n, n * n),
    },
}

/// The sums over all lengths.
fn sums(lengths: impl Iterator<Item = u64> + Clone, without: fn(u64) -> u64) -> (u64, u64) {
    (lengths.clone().map(without).sum(), lengths.sum())
}

/// Checks `generation_cost`: n characters → products without and with a cache.
pub fn generation_cost(f: impl Fn(u64) -> (u64, u64)) -> Verdict {
    GENERATION_COST.judge(&|n| f(*n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::judge::named;

    #[test]
    fn the_right_ones_are_right() {
        let verdict =
            kv_cache_bytes(|layers, heads, head_dim, characters| layers * heads * head_dim * characters * 2 * 4);
        assert!(verdict.is_right(), "{verdict}");
        let verdict = generation_cost(|n| (n * (n + 1) * (2 * n + 1) / 6, n * (n + 1) / 2));
        assert!(verdict.is_right(), "{verdict}");
    }

    #[test]
    fn each_mistake_of_kv_cache_bytes_is_named() {
        named(kv_cache_bytes(|l, k, d, t| l * k * d * t * 4), "forgot the values");
        named(kv_cache_bytes(|l, k, d, t| l * k * d * t * 2), "not bytes");
        named(kv_cache_bytes(|l, k, d, t| l * k * d * t * 12), "queries, too");
        named(kv_cache_bytes(|l, k, d, t| l * k * d * t * 16), "8 bytes");
        named(kv_cache_bytes(|_, k, d, t| k * d * t * 8), "one layer");
        named(kv_cache_bytes(|l, _, d, t| l * d * t * 8), "one head");
        named(kv_cache_bytes(|l, k, d, t| l * k * d * t * t * 8), "pair of characters");
    }

    #[test]
    fn each_mistake_of_generation_cost_is_named() {
        let squares = |n: u64| (1..=n).map(|t| t * t).sum::<u64>();
        named(generation_cost(|n| (n * n, n)), "last pass only");
        named(generation_cost(|n| ((1..=n).map(|t| (1..=t).sum::<u64>()).sum(), (1..=n).sum())), "masked products");
        named(generation_cost(|n| ((1..=n).sum(), squares(n))), "exchanged");
        named(generation_cost(|n| (squares(n - 1), (1..n).sum())), "off by one");
        named(generation_cost(|n| (squares(n), n)), "still meets all t keys");
        named(generation_cost(|n| (n * n * n, n * n)), "each of the n passes");
    }

    #[test]
    fn unwritten_and_wrong_ones_get_a_verdict() {
        assert!(kv_cache_bytes(|_, _, _, _| todo!()).to_string().contains("not written yet"));
        assert!(generation_cost(|_| todo!()).to_string().contains("not written yet"));
        assert!(generation_cost(|n| (10 / (n - 1), 0)).to_string().contains("divide by zero"));
        assert!(kv_cache_bytes(|_, _, _, _| 1).to_string().contains("got:      1"));
    }
}
