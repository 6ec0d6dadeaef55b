//! What numbers are of, and how one is written that is read beside others.

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
