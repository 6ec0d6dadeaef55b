//! N-gram hash embeddings: rows of a table not for a character alone, but for it with those before it.
//!
//! The embedding knows which character stands here. What a word needs is known by two, three, four in a row, and a transformer first has
//! to learn to look for them. Here each such group has a row of its own to learn: there are too many groups for a table with a row for
//! each, so a number is computed from a group's characters (a hash), and groups that happen to get the same number share a row.
//! Source: Roy et al. 2022 (N-Grammer); Huang et al. 2025 (Over-Tokenized Transformer).

use crate::error::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// A prime: what is left after dividing by it looks like chance.
const PRIME: i64 = (1 << 31) - 1;
/// What a number is multiplied by before the next character is added: the products stay below 2⁵³, so that JavaScript counts alike.
const FACTOR: i64 = 1_000_003;

/// Which groups of characters have rows, and how many rows there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ngrams {
    /// The longest group: with 5, each character has a row for itself with the one before, the two, the three and the four before.
    pub longest: i64,
    /// R: the rows of the table, which all lengths share.
    pub rows: i64,
}

impl Ngrams {
    /// The rows of the groups that end with the last of `ids`, the shortest first; where a text begins, a character that is not there
    /// counts as one of its own, −1.
    pub(crate) fn rows_of(self, ids: &[i64]) -> Vec<i64> {
        let mut before = ids.iter().rev().map(|id| id + 1).chain(std::iter::repeat(0));
        let last = before.next().unwrap_or(0);
        let next = |number: &mut i64, before: i64| {
            *number = (*number * FACTOR + before) % PRIME;
            Some(*number % self.rows)
        };
        before.take(self.before()).scan(last, next).collect()
    }

    /// How many characters before the last one a group has at most.
    pub(super) fn before(self) -> usize {
        (self.longest - 1) as usize
    }

    /// The same rows for every character of texts.
    ///
    /// # Shapes
    /// `known`: (B, `longest` − 1 + T) → (B, T, `longest` − 1)
    pub(super) fn rows(self, known: &Tensor) -> Result<Tensor> {
        let before = self.before() as i64;
        let time = known.size2()?.1 - before;
        let known = known.f_add_scalar(1)?;
        let mut number = known.f_narrow(1, before, time)?;
        let mut rows = Vec::new();
        for back in 1..=before {
            number = number.f_mul_scalar(FACTOR)?.f_add(&known.f_narrow(1, before - back, time)?)?;
            number = number.f_remainder_(PRIME)?;
            rows.push(number.f_remainder(self.rows)?);
        }
        Ok(Tensor::f_stack(&rows, -1)?)
    }

    /// Ids after those read before them, −1 where there are none.
    ///
    /// # Shapes
    /// `ids`: (B, T), `before`: (B, `longest` − 1) → (B, `longest` − 1 + T)
    pub(super) fn known(self, ids: &Tensor, before: Option<&Tensor>) -> Result<Tensor> {
        let none = || Tensor::f_full([ids.size()[0], self.before() as i64], -1, (Kind::Int64, ids.device()));
        let before = before.map_or_else(none, |before| Ok(before.shallow_clone()))?;
        Ok(Tensor::f_cat(&[&before, ids], 1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_texts_rows_are_those_of_each_of_its_groups_and_those_of_its_parts_too() {
        let ngrams = Ngrams { longest: 4, rows: 1000 };
        let texts: [[i64; 6]; 2] = [[3, 1, 4, 1, 5, 255], [0, 0, 0, 50_000, 2, 0]];
        let ids = Tensor::from_slice(&texts.concat()).view([2, 6]);
        let known = ngrams.known(&ids, None).unwrap();
        let expected: Vec<i64> =
            texts.iter().flat_map(|text| (1..=6).flat_map(move |end| ngrams.rows_of(&text[..end]))).collect();
        assert_eq!(Vec::<i64>::try_from(ngrams.rows(&known).unwrap().flatten(0, -1)).unwrap(), expected);
        let later = ngrams.known(&ids.narrow(1, 4, 2), Some(&known.narrow(1, 4, 3))).unwrap();
        assert_eq!(ngrams.rows(&later).unwrap(), ngrams.rows(&known).unwrap().narrow(1, 4, 2));
    }

    #[test]
    fn groups_are_told_apart_by_order_length_and_where_the_text_begins() {
        let ngrams = Ngrams { longest: 3, rows: 1 << 20 };
        let rows = |text: &str| ngrams.rows_of(&text.bytes().map(i64::from).collect::<Vec<_>>());
        assert_eq!(rows("the")[0], rows("he")[0]);
        assert_ne!(rows("the")[1], rows("he")[1]);
        assert_ne!(rows("eh"), rows("he"));
        assert_ne!(rows("the")[0], rows("the")[1]);
        let mut all: Vec<i64> = (0..128).flat_map(|a| (0..128).map(move |b| ngrams.rows_of(&[a, b])[0])).collect();
        all.sort_unstable();
        all.dedup();
        assert!(all.len() > 16_000, "{} rows for 16,384 pairs", all.len());
    }
}
