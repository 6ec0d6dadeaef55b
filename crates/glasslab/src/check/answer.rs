//! What inputs and answers look like in words, and when two answers are the same.

use super::kept::Kept;
use crate::model::attention::Head;
use crate::model::{MlpLm, TransformerConfig, TransformerLm};
use std::fmt;
use tch::{Kind, Tensor};

/// Answers may differ by the rounding of 32-bit floats, in whatever order they were added up.
const TOLERANCE: f64 = 1e-4;
/// As many numbers or characters of a thing as are shown.
const SHOWN: usize = 12;

/// Something that can be shown in a sentence.
pub trait InWords {
    /// In words.
    fn shown(&self) -> String;
}

/// An answer that can be compared with the expected one.
pub trait Answer: InWords + Kept {
    /// The first place where it differs; `None` if it doesn't.
    fn difference(&self, expected: &Self) -> Option<Place>;

    /// Whether no number in it is infinite or none at all.
    fn is_finite(&self) -> bool {
        true
    }
}

/// A place in an answer, and what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    place: String,
    expected: String,
    got: String,
}

impl Place {
    pub(super) fn whole(expected: String, got: String) -> Place {
        Place { place: String::new(), expected, got }
    }

    pub(super) fn within(self, part: &str) -> Place {
        let place = if self.place.is_empty() { part.to_owned() } else { format!("{part}, {}", self.place) };
        Place { place, ..self }
    }
}

/// The first difference between a learner's function and the library's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The input that shows it.
    pub input: String,
    /// Where in the answer, and what stands there.
    pub place: Place,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { place, expected, got } = self;
        let at = if place.is_empty() { String::new() } else { format!(" ({place})") };
        write!(out, "expected: {expected}{at}\ngot:      {got}")
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "input:    {}\n{}", self.input, self.place)
    }
}

impl InWords for str {
    fn shown(&self) -> String {
        format!("{self:?}")
    }
}

impl InWords for String {
    fn shown(&self) -> String {
        format!("{self:?}")
    }
}

impl Answer for String {
    fn difference(&self, expected: &String) -> Option<Place> {
        (self != expected).then(|| Place::whole(expected.shown(), self.shown()))
    }
}

/// Whole numbers are the same or not.
macro_rules! whole_numbers {
    ($($number:ty),*) => { $(
        impl InWords for $number {
            fn shown(&self) -> String {
                self.to_string()
            }
        }

        impl Answer for $number {
            fn difference(&self, expected: &$number) -> Option<Place> {
                (self != expected).then(|| Place::whole(expected.shown(), self.shown()))
            }
        }

        impl InWords for Vec<$number> {
            fn shown(&self) -> String {
                let more = if self.len() > SHOWN { format!(", … {} in all", self.len()) } else { String::new() };
                let first: Vec<String> = self.iter().take(SHOWN).map(<$number>::to_string).collect();
                format!("[{}{more}]", first.join(", "))
            }
        }

        impl Answer for Vec<$number> {
            fn difference(&self, expected: &Vec<$number>) -> Option<Place> {
                (self != expected).then(|| Place::whole(expected.shown(), self.shown()))
            }
        }
    )* };
}

whole_numbers!(i32, i64, u64, u8, usize);

impl InWords for f64 {
    fn shown(&self) -> String {
        match *self {
            number if number.is_nan() => "NaN (not a number)".to_owned(),
            number if number <= -1e9 => "−∞".to_owned(),
            f64::INFINITY => "∞".to_owned(),
            0.0 => "0.0000".to_owned(), // and no −0
            number if number.abs() < 1e-3 => format!("{number:.2e}"),
            number => format!("{number:.4}"),
        }
    }
}

impl Answer for f64 {
    fn difference(&self, expected: &f64) -> Option<Place> {
        (!close(*self, *expected)).then(|| Place::whole(expected.shown(), self.shown()))
    }

    fn is_finite(&self) -> bool {
        f64::is_finite(*self)
    }
}

fn close(got: f64, expected: f64) -> bool {
    let rounded = (got - expected).abs() <= TOLERANCE * (1.0 + expected.abs());
    got == expected || got.is_nan() && expected.is_nan() || expected.is_finite() && rounded
}

impl InWords for Vec<f64> {
    fn shown(&self) -> String {
        let first: Vec<String> = self.iter().take(SHOWN).map(f64::shown).collect();
        format!("[{}{}]", first.join(", "), if self.len() > SHOWN { ", …" } else { "" })
    }
}

/// A number of a tensor: ids are whole.
fn number(tensor: &Tensor, number: f64) -> String {
    if tensor.is_floating_point() { number.shown() } else { format!("{number}") }
}

/// The numbers of a tensor, one row after the other.
fn numbers(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.detach().to_device(tch::Device::Cpu).to_kind(Kind::Double).contiguous().view([-1]);
    Vec::try_from(&flat).unwrap_or_default()
}

pub(super) fn shape(tensor: &Tensor) -> String {
    let axes: Vec<String> = tensor.size().iter().map(i64::to_string).collect();
    format!("({})", axes.join(", "))
}

impl InWords for Tensor {
    fn shown(&self) -> String {
        match self.size()[..] {
            [] => number(self, self.double_value(&[])),
            _ => {
                let numbers = numbers(self);
                let first: Vec<String> = numbers.iter().take(SHOWN).map(|one| number(self, *one)).collect();
                let more = if numbers.len() > SHOWN { ", …" } else { "" };
                format!("a tensor of shape {} with [{}{more}]", shape(self), first.join(", "))
            }
        }
    }
}

impl Answer for Tensor {
    fn difference(&self, right: &Tensor) -> Option<Place> {
        if self.size() != right.size() {
            return Some(Place::whole(format!("shape {}", shape(right)), format!("shape {}", shape(self))));
        }
        let (mine, theirs) = (numbers(self), numbers(right));
        let (place, (got, expected)) =
            mine.iter().zip(&theirs).enumerate().find(|(_, (got, expected))| !close(**got, **expected))?;
        let mut rest = place as i64;
        let mut index: Vec<String> = self
            .size()
            .iter()
            .rev()
            .map(|&size| {
                let along = rest % size;
                rest /= size;
                along.to_string()
            })
            .collect();
        index.reverse();
        let place = format!("at [{}] of shape {}", index.join(", "), shape(self));
        Some(Place { place, expected: number(right, *expected), got: number(self, *got) })
    }

    fn is_finite(&self) -> bool {
        numbers(self).iter().all(|number| number.is_finite())
    }
}

/// Several inputs, or several answers, one after the other.
macro_rules! several {
    ($($names:ident)* | $last:ident) => {
        impl<$($names: InWords,)* $last: InWords> InWords for ($($names,)* $last) {
            #[allow(non_snake_case)]
            fn shown(&self) -> String {
                let ($($names,)* $last) = self;
                let first = [$($names.shown()),*].join(", ");
                format!("{first} and {}", $last.shown())
            }
        }
    };
}

several!(A | B);
several!(A B | C);
several!(A B C | D);
several!(A B C D | E);
several!(A B C D E | F);

impl<A: Answer, B: Answer> Answer for (A, B) {
    fn difference(&self, expected: &(A, B)) -> Option<Place> {
        let first = self.0.difference(&expected.0).map(|place| place.within("the first of the two"));
        first.or_else(|| self.1.difference(&expected.1).map(|place| place.within("the second of the two")))
    }

    fn is_finite(&self) -> bool {
        self.0.is_finite() && self.1.is_finite()
    }
}

impl<A: Answer, B: Answer, C: Answer> Answer for (A, B, C) {
    fn difference(&self, expected: &(A, B, C)) -> Option<Place> {
        let first = self.0.difference(&expected.0).map(|place| place.within("the first of the three"));
        let second = || self.1.difference(&expected.1).map(|place| place.within("the second of the three"));
        let third = || self.2.difference(&expected.2).map(|place| place.within("the third of the three"));
        first.or_else(second).or_else(third)
    }

    fn is_finite(&self) -> bool {
        self.0.is_finite() && self.1.is_finite() && self.2.is_finite()
    }
}

impl InWords for MlpLm {
    fn shown(&self) -> String {
        format!("a random {:?}", self.config).replace("MlpConfig", "MLP")
    }
}

impl InWords for Head {
    fn shown(&self) -> String {
        let size = self.query_weight.size();
        format!("a random head with emb_dim {}, head_dim {}", size[1], size[0])
    }
}

impl InWords for TransformerLm {
    fn shown(&self) -> String {
        format!("a random transformer with emb_dim {}, {} heads", self.config.emb_dim, self.config.n_heads)
    }
}

impl InWords for TransformerConfig {
    fn shown(&self) -> String {
        let TransformerConfig { n_vocab, context_len, emb_dim, n_layers, n_heads, head_dim, n_hidden, .. } = self;
        format!(
            "n_vocab {n_vocab}, context_len {context_len}, emb_dim {emb_dim}, n_layers {n_layers}, n_heads {n_heads}, \
             head_dim {head_dim}, n_hidden {n_hidden}, all else as in TransformerConfig::original()"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference<A: Answer>(got: &A, expected: &A) -> String {
        got.difference(expected).map_or(String::new(), |place| format!("{place:?}"))
    }

    #[test]
    fn rounding_is_no_difference_and_a_nan_is_only_itself() {
        assert_eq!(difference(&1.000_01, &1.0), "");
        assert_ne!(difference(&1.001, &1.0), "");
        assert_eq!(difference(&f64::NAN, &f64::NAN), "");
        assert_ne!(difference(&f64::NAN, &1.0), "");
        assert_ne!(difference(&f64::INFINITY, &f64::NEG_INFINITY), "");
        assert_ne!(difference(&1.0, &f64::INFINITY), "");
        assert_ne!(difference(&f64::INFINITY, &1.0), "");
    }

    #[test]
    fn a_tensor_names_its_shape_or_the_place_of_the_first_other_number() {
        let a = Tensor::from_slice(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let b = Tensor::from_slice(&[1.0, 2.0, 3.0, 4.0, 9.0, 6.0]);
        let said = difference(&b.view([2, 3]), &a.view([2, 3]));
        assert!(said.contains("at [1, 1] of shape (2, 3)") && said.contains("9.0") && said.contains("5.0"), "{said}");
        let said = difference(&b.view([3, 2]), &a.view([2, 3]));
        assert!(said.contains("shape (2, 3)") && said.contains("shape (3, 2)"), "{said}");
        assert_eq!(difference(&a.to_kind(Kind::Float), &a), "", "the kind of number is no matter");
        assert!(a.to_kind(Kind::Int64).shown().ends_with("with [1, 2, 3, 4, 5, 6]") && a.shown().contains("1.0000"));
        assert_eq!((-0.0).shown(), "0.0000");
        assert_eq!(difference(&a.view([2, 3]).tr().contiguous().tr(), &a.view([2, 3])), "");
    }

    #[test]
    fn pairs_say_which_of_the_two() {
        assert!(difference(&(1_i64, 2_i64), &(1, 3)).contains("second of the two"));
        assert!(difference(&(0_i64, 3_i64), &(1, 3)).contains("first of the two"));
        assert!(difference(&(0_i64, 3_i64, 4_i64), &(0, 3, 5)).contains("third of the three"));
        assert_eq!((1_i64, 2_i64, 3_i64).shown(), "1, 2 and 3");
    }
}
