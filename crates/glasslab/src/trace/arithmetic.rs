//! What lines of arithmetic are made of: the numbers of a row, how they are written, and the functions that several steps,
//! or a step and its gradient, have in common.

use crate::error::{Error, Result};
use crate::model::rotary::Speeds;
use crate::numbers::numbers;
use tch::Tensor;

/// A line of arithmetic, or a part of one, and what it comes to.
pub(super) type Share = (String, f64);

/// The terms of a sum that are written out; of longer ones, the middle is left out.
const TERMS: usize = 24;
/// The terms of a long sum of products that are written out, the largest; the rest is told as one number.
const LARGEST: usize = 6;

/// A place as what stands before the last two axes, and these.
pub(super) fn split(place: &[i64]) -> Result<(&[i64], [i64; 2])> {
    match place {
        [lead @ .., row, column] => Ok((lead, [*row, *column])),
        _ => Err(Error::Shape {
            expected: "a place with a row and a column".to_owned(),
            got: format!("{place:?}"),
            hint: "give one place for each axis".to_owned(),
        }),
    }
}

/// The numbers of one row.
pub(super) fn vector(tensor: &Tensor, lead: &[i64], row: i64) -> Result<Vec<f64>> {
    let mut part = tensor.shallow_clone();
    for &place in lead {
        part = part.f_get(place)?;
    }
    numbers(&part.f_get(row)?)
}

/// The place of a head's keys and values, which several heads may share.
pub(super) fn shared(lead: &[i64], heads: &Tensor, keys: &Tensor) -> Vec<i64> {
    match (lead, &heads.size()[..], &keys.size()[..]) {
        ([text, head], [_, heads, ..], [_, keys, ..]) => vec![*text, head * keys / heads],
        _ => lead.to_vec(),
    }
}

/// One number of a row, or of a place.
///
/// # Errors
/// If there is none: steps of a model's own may have other shapes than the library's of their names.
pub(super) fn pick<T: Copy>(row: &[T], place: i64) -> Result<T> {
    usize::try_from(place).ok().and_then(|place| row.get(place)).copied().ok_or_else(|| {
        Error::Config("its shape, or that of a step before it, is another than in the library's models".to_owned())
    })
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(super) fn softmax(scores: &[f64], column: i64, name: &str, row: i64) -> Result<Share> {
    let score = pick(scores, column)?;
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = scores.iter().map(|score| (score - highest).exp()).collect();
    let result = (score - highest).exp() / powers.iter().sum::<f64>();
    let terms: Vec<String> =
        scores.iter().filter(|score| score.is_finite()).map(|&score| format!("e^{}", brackets(score))).collect();
    let masked = match scores.len() - terms.len() {
        0 => String::new(),
        count => format!(" + {count} × e^(−∞)"),
    };
    let (score, sum) = (brackets(score), joined(terms.into_iter(), " + ") + &masked);
    Ok((format!("exp({name}[{row}, {column}]) / Σ exp({name}[{row}, ·]) = e^{score} / ({sum})"), result))
}

/// All products of a sum, as they stand.
pub(super) fn products(a: &[f64], b: &[f64]) -> String {
    joined(a.iter().zip(b).map(|(&a, &b)| format!("{}·{}", brackets(a), brackets(b))), " + ")
}

/// A sum of products, the largest written out, and what it comes to.
pub(super) fn sum_of_products(a: &[f64], b: &[f64]) -> Share {
    let mut terms: Vec<(f64, f64)> = a.iter().copied().zip(b.iter().copied()).collect();
    let result = terms.iter().map(|(a, b)| a * b).sum();
    terms.sort_by(|one, other| (other.0 * other.1).abs().total_cmp(&(one.0 * one.1).abs()));
    let shown = if terms.len() <= LARGEST + 1 { terms.len() } else { LARGEST };
    let mut written: Vec<String> =
        terms[..shown].iter().map(|&(a, b)| format!("{}·{}", brackets(a), brackets(b))).collect();
    if shown < terms.len() {
        let rest: f64 = terms[shown..].iter().map(|(a, b)| a * b).sum();
        written.push(format!("{} (the {} smaller terms)", brackets(rest), terms.len() - shown));
    }
    (written.join(" + "), result)
}

/// The terms of a sum; of a long one the first, how many are left out, and the last.
fn joined(terms: impl ExactSizeIterator<Item = String>, between: &str) -> String {
    let count = terms.len();
    let terms: Vec<String> = terms.collect();
    if count <= TERMS {
        return terms.join(between);
    }
    let (first, last) = (terms[..TERMS - 4].join(between), terms[count - 2..].join(between));
    format!("{first}{between}… {} more …{between}{last}", count - (TERMS - 4) - 2)
}

/// A row brought to one size, around its mean or around 0, and the size that it had.
pub(super) fn normed(x: &[f64], centred: bool, epsilon: f64) -> (Vec<f64>, f64) {
    let mean = if centred { x.iter().sum::<f64>() / x.len() as f64 } else { 0.0 };
    let size = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64 + epsilon).sqrt();
    (x.iter().map(|x| (x - mean) / size).collect(), size)
}

/// What an activation makes of a number, and how much that changes with it.
pub(super) struct Activated {
    /// The arithmetic of what it makes of it.
    pub(super) line: String,
    pub(super) value: f64,
    /// The arithmetic of its slope.
    pub(super) how: String,
    pub(super) slope: f64,
}

/// The activation that stands in a step's formula, at a number.
pub(super) fn activate(formula: &str, x: f64) -> Result<Activated> {
    let here = show(x);
    Ok(if formula.contains("tanh") {
        let root = (2.0 / std::f64::consts::PI).sqrt();
        let tanh = (root * (x + 0.044715 * x.powi(3))).tanh();
        let inner = root * (1.0 + 3.0 * 0.044715 * x * x);
        Activated {
            line: format!("{here} · ½ · (1 + {})", brackets(tanh)),
            value: 0.5 * x * (1.0 + tanh),
            how: format!("½ · (1 + tanh) + ½ · x · (1 − tanh²) · {} at x = {here}, tanh = {}", show(inner), show(tanh)),
            slope: 0.5 * (1.0 + tanh) + 0.5 * x * (1.0 - tanh * tanh) * inner,
        }
    } else if formula.contains('Φ') {
        let share = 0.5 * (1.0 + Tensor::from(x / 2.0_f64.sqrt()).f_erf()?.f_double_value(&[])?);
        let density = (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
        Activated {
            line: format!("{here} · {}", show(share)),
            value: x * share,
            how: format!("Φ(x) + x·φ(x) at x = {here}"),
            slope: share + x * density,
        }
    } else if formula.contains("σ(") {
        let share = 1.0 / (1.0 + (-x).exp());
        Activated {
            line: format!("{here} · {}", show(share)),
            value: x * share,
            how: format!("σ(x) · (1 + x·(1 − σ(x))) at x = {here}"),
            slope: share * (1.0 + x * (1.0 - share)),
        }
    } else if formula.contains(")²") {
        let positive = x.max(0.0);
        Activated {
            line: format!("max(0, {here})² = {}²", show(positive)),
            value: positive * positive,
            how: format!("2 · max(0, {here})"),
            slope: 2.0 * positive,
        }
    } else {
        Activated {
            line: format!("max(0, {here})"),
            value: x.max(0.0),
            how: format!("1 if {} is above 0, else 0", brackets(x)),
            slope: f64::from(x > 0.0),
        }
    })
}

/// A number of a query or key turned by the angle of its place, together with the other number of its pair; or, as its
/// gradient is, turned back.
pub(super) fn turn(x: &[f64], speeds: Speeds, row: i64, column: i64, back: bool) -> Result<Share> {
    let odd = column % 2 == 1;
    let (own, other) = (pick(x, column)?, pick(x, column ^ 1)?);
    let angle = row as f64 * speeds.of_pair(column / 2, x.len() as i64);
    let (sign, factor) = if odd == back { ("−", -1.0) } else { ("+", 1.0) };
    let how = if back { "turned back" } else { "turned" };
    Ok((
        format!(
            "{how} by place {row}'s angle θ = {}: {} · cos θ {sign} {} · sin θ",
            show(angle),
            brackets(own),
            brackets(other)
        ),
        own * angle.cos() + factor * other * angle.sin(),
    ))
}

/// A number as it stands in a line.
pub(super) fn show(number: f64) -> String {
    match number {
        f64::NEG_INFINITY => "−∞".to_owned(),
        f64::INFINITY => "∞".to_owned(),
        number if number != 0.0 && number.abs() < 1e-3 => format!("{number:.2e}").replace('-', "−"),
        number => format!("{number:.4}").replace('-', "−"),
    }
}

/// A number as it stands after a sign.
pub(super) fn brackets(number: f64) -> String {
    let text = show(number);
    if text.starts_with('−') { format!("({text})") } else { text }
}

/// A number that is often small, with so many digits after its first; 0 is told as 0.
pub(crate) fn tiny(number: f64, digits: usize) -> String {
    let size = number.abs();
    let text = match size {
        0.0 => "0".to_owned(),
        _ if !number.is_finite() => show(number),
        _ if (1e-3..1e4).contains(&size) => {
            let decimals = digits as i32 - size.log10().floor() as i32;
            format!("{number:.0$}", decimals.max(0) as usize)
        }
        _ => format!("{number:.digits$e}"),
    };
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_turned_and_turned_back_is_the_pair() {
        let x = [0.5, -1.5, 2.0, 0.25];
        let turned: Vec<f64> = (0..4).map(|column| turn(&x, Speeds::default(), 7, column, false).unwrap().1).collect();
        assert!((turned[0] - (0.5 * 7_f64.cos() + 1.5 * 7_f64.sin())).abs() < 1e-12, "a·cos θ − b·sin θ");
        assert!((turned[1] - (0.5 * 7_f64.sin() - 1.5 * 7_f64.cos())).abs() < 1e-12, "a·sin θ + b·cos θ");
        for column in 0..4 {
            assert!((turn(&turned, Speeds::default(), 7, column, true).unwrap().1 - x[column as usize]).abs() < 1e-12);
        }
        assert!(turn(&x[..3], Speeds::default(), 7, 2, false).is_err(), "it has no partner");
    }

    #[test]
    fn zero_is_told_as_zero() {
        assert_eq!([tiny(0.0, 0), tiny(-0.0, 1), tiny(-2.5e-7, 1)], ["0", "0", "−2.5e−7"]);
        assert_eq!([tiny(-4.56, 1), tiny(0.01234, 1), tiny(226.8, 2), tiny(3e-4, 0)], ["−4.6", "0.012", "227", "3e−4"]);
        assert_eq!([tiny(f64::NAN, 1), tiny(f64::NEG_INFINITY, 1), tiny(52_000.0, 1)], ["NaN", "−∞", "5.2e4"]);
    }
}
