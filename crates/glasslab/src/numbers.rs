//! Numbers as they are read: those of a tensor, what they are of, and how one is written.

use crate::error::Result;
use tch::{Kind, Tensor};

/// What a picture's numbers are; it decides their colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quantity {
    /// Attention weights: 0 to 1, each row summing to 1.
    Weights,
    /// Probabilities, 0 to 1.
    Probabilities,
    /// Attention scores, before the softmax.
    Scores,
    /// Embeddings, hidden numbers, logits: both signs.
    Numbers,
    /// Surprise, in bits.
    Bits,
    /// Anything, from its smallest to its largest number.
    #[default]
    Range,
}

/// A number with the digits that matter beside numbers of the size `scale`.
pub(crate) fn short(number: f64, scale: f64) -> String {
    match number {
        f64::INFINITY => return "∞".to_owned(),
        f64::NEG_INFINITY => return "−∞".to_owned(),
        number if number.is_nan() => return "NaN".to_owned(),
        number if number.abs() < 1e-3 * scale || number == 0.0 => return "0".to_owned(),
        _ => {}
    }
    let text = match number.abs() {
        size if size >= 1e6 => format!("{number:.1e}"),
        size if size >= 100.0 => format!("{number:.0}"),
        size if size >= 1.0 => format!("{number:.1}"),
        size if size >= 0.01 => format!("{number:.2}"),
        _ => format!("{number:.0e}"),
    };
    text.replace('-', "−")
}

/// A tensor's shape as it is written in the docs, e.g. `(1, 4, 32)`.
pub(crate) fn shape(tensor: &Tensor) -> String {
    format!("{:?}", tensor.size()).replace('[', "(").replace(']', ")")
}

/// All numbers of a tensor, row after row.
pub(crate) fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(Vec::<f64>::try_from(tensor.f_detach()?.f_to_kind(Kind::Double)?.f_reshape([-1])?)?)
}

/// A number with so many digits that matter.
pub(crate) fn digits(number: f64, count: usize) -> String {
    let text = match number.abs() {
        _ if !number.is_finite() => return short(number, 1.0),
        0.0 => "0".to_owned(),
        size if (1e-3..1e6).contains(&size) => {
            let whole = size.log10().floor() as i32;
            let text = format!("{number:.*}", (count as i32 - 1 - whole).max(0) as usize);
            match text.contains('.') {
                true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
                false => text,
            }
        }
        _ => {
            let text = format!("{number:.*e}", count.saturating_sub(1));
            let (front, power) = text.split_once('e').unwrap_or((&text, "0"));
            let front = if front.contains('.') { front.trim_end_matches('0').trim_end_matches('.') } else { front };
            let raised = power.trim_start_matches('-').parse().map(superscript).unwrap_or_default();
            format!("{front}·10{}{raised}", if power.starts_with('-') { "⁻" } else { "" })
        }
    };
    text.replace('-', "−")
}

pub(crate) fn superscript(number: i32) -> String {
    let digit = |digit: char| "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().nth(digit as usize - '0' as usize).unwrap_or(digit);
    number.to_string().chars().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_what_is_none_is_named() {
        let texts =
            [0.0, 1e-9, 0.123, -2.55, 1234.5, 3e7, f64::NAN, f64::NEG_INFINITY].map(|number| short(number, 1.0));
        assert_eq!(texts, ["0", "0", "0.12", "−2.5", "1234", "3.0e7", "NaN", "−∞"]);
    }
}
