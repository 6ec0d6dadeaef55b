//! The exercises on tracing the transformer: measuring what a head does, and how surprised a model is.

use super::table::exercise;
use super::{inputs, reference, verdict::Verdict};
use tch::{Kind, Tensor};

exercise! {
    PREVIOUS_SCORE: Tensor => f64 = previous_score(weights),
    task: "Write a measure of how much a head looks at the character before: weights (T, T) → the mean weight in column t − 1 of \
           row t, over the rows 1, 2, … (row 0 has no character before it).",
    hints: [
        "Which cells of the table are these? They stand in a line right below the diagonal.",
        "weights.diagonal(offset, 0, 1) is such a line: offset 0 the diagonal itself, 1 the one above it, −1 …",
        "weights.diagonal(-1, 0, 1).mean(Kind::…).double_value(&[])",
    ],
    // Full tables: a mask would hide who reads above the diagonal.
    input: |number, rng| {
        let size = 4 + number as i64;
        inputs::tensor(rng, &[size, size], 1.0).softmax(-1, Kind::Float)
    },
    given: weights,
    reference: reference::previous_score(weights),
    mistakes: {
        "you took the weights on the diagonal: there each character looks at itself" => mean(weights, 0),
        "you took the weights above the diagonal: rows are who looks, columns who is looked at" => mean(weights, 1),
        "you took the sum instead of the mean" => line(weights, -1).sum(None).double_value(&[]),
        "you divided by T: only T − 1 characters have one before them"
            => line(weights, -1).sum(None).double_value(&[]) / weights.size()[0] as f64,
        "you looked two characters back" => mean(weights, -2),
    },
}

fn line(weights: &Tensor, offset: i64) -> Tensor {
    weights.diagonal(offset, 0, 1).to_kind(Kind::Double)
}

fn mean(weights: &Tensor, offset: i64) -> f64 {
    line(weights, offset).mean(None).double_value(&[])
}

/// Checks `previous_score`: weights (T, T) → one number from 0 to 1.
pub fn previous_score(f: impl Fn(&Tensor) -> f64) -> Verdict {
    PREVIOUS_SCORE.judge(&f)
}

exercise! {
    SURPRISE: (Tensor, i64) => f64 = surprise(probabilities, id),
    task: "Write the surprise: probabilities (V) and the id that really came → −log₂ of its probability, in bits.",
    hints: [
        "What was expected with probability ½ is one bit of surprise, ¼ is two bits, and a certainty is none.",
        "probabilities.double_value(&[id]) is the probability of that id; a number has the methods ln() and log2().",
        "-probabilities.double_value(&[id]).…()",
    ],
    input: |_, rng| -> Input {
        let probabilities = inputs::tensor(rng, &[8], 2.0).softmax(-1, Kind::Double);
        // Not the first or last: an id that is one off must still be one.
        (probabilities, inputs::between(rng, 1, 6))
    },
    given: input @ (probabilities, id),
    reference: reference::surprise(probabilities, *id),
    mistakes: {
        "you took ln: that is the surprise in nats, bits need log2" => -of(input).ln(),
        "you forgot the minus: the logarithm of a probability is negative, a surprise is not" => of(input).log2(),
        "you gave the probability itself" => of(input),
        "you gave 1 minus the probability: then an impossible character would surprise only a little more than a \
            rare one"
            => 1.0 - of(input),
        "you measured the likeliest character instead of the one that came"
            => -probabilities.max().double_value(&[]).log2(),
        "you gave the mean surprise over all characters (the entropy): only one of them came"
            => -(probabilities * probabilities.log2()).sum(Kind::Double).double_value(&[]),
    },
}

type Input = (Tensor, i64);
fn of((probabilities, id): &Input) -> f64 {
    probabilities.double_value(&[*id])
}

/// Checks `surprise`: probabilities (V) and an id → bits.
pub fn surprise(f: impl Fn(&Tensor, i64) -> f64) -> Verdict {
    SURPRISE.judge(&|(probabilities, id)| f(probabilities, *id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::judge::named;

    fn by_hand(weights: &Tensor, row: i64, column: i64, count: f64) -> f64 {
        let time = weights.size()[0];
        (0..time - row.max(column)).map(|t| weights.double_value(&[t + row, t + column])).sum::<f64>() / count
    }

    #[test]
    fn the_right_ones_are_right() {
        let verdict = previous_score(|w| by_hand(w, 1, 0, w.size()[0] as f64 - 1.0));
        assert!(verdict.is_right(), "{verdict}");
        let verdict = surprise(|p, id| -p.double_value(&[id]).log2());
        assert!(verdict.is_right(), "{verdict}");
    }

    #[test]
    fn each_mistake_of_previous_score_is_named() {
        let time = |w: &Tensor| w.size()[0] as f64;
        named(previous_score(|w| by_hand(w, 0, 0, time(w))), "at itself");
        named(previous_score(|w| by_hand(w, 0, 1, time(w) - 1.0)), "above the diagonal");
        named(previous_score(|w| by_hand(w, 1, 0, 1.0)), "sum instead");
        named(previous_score(|w| by_hand(w, 1, 0, time(w))), "divided by T");
        named(previous_score(|w| by_hand(w, 2, 0, time(w) - 2.0)), "two characters back");
    }

    #[test]
    fn each_mistake_of_surprise_is_named() {
        named(surprise(|p, id| -p.double_value(&[id]).ln()), "took ln");
        named(surprise(|p, id| p.double_value(&[id]).log2()), "forgot the minus");
        named(surprise(|p, id| p.double_value(&[id])), "probability itself");
        named(surprise(|p, id| 1.0 - p.double_value(&[id])), "1 minus");
        named(surprise(|p, _| -p.max().double_value(&[]).log2()), "likeliest");
        named(surprise(|p, _| -(p * p.log2()).sum(Kind::Double).double_value(&[])), "entropy");
    }

    #[test]
    fn unwritten_and_misshapen_ones_get_a_verdict() {
        assert!(previous_score(|_| todo!()).to_string().contains("not written yet"));
        assert!(surprise(|_, _| todo!()).to_string().contains("not written yet"));
        assert!(
            previous_score(|w| w.matmul(&w.get(0).view([1, -1])).double_value(&[])).to_string().contains("stopped")
        );
        assert!(surprise(|p, _| p.double_value(&[99])).to_string().contains("stopped with"));
    }
}
