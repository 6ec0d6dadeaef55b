//! The exercises on experiments: what a few measurements say, and how sure one can be of it.

use super::table::exercise;
use super::{reference, verdict::Verdict};

exercise! {
    MEAN_AND_ERROR: Vec<f64> => (f64, f64) = mean_and_error(results),
    task: "Write a function of n ≥ 2 measurements (a list of numbers) that gives a pair: their mean, and its standard error: the standard deviation (with n − 1) \
           divided by √n.",
    hints: [
        "Three steps: the mean; the variance, that is the sum of the squared distances from it divided by n − 1; then the root.",
        "The standard deviation says how far one measurement lies from the mean. The mean of n of them is surer by √n, so \
         divide once more.",
        "let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0); and then \
         (mean, (variance / …).sqrt())",
    ],
    input: |number, rng| (0..[3, 2, 5, 10, 4, 7][number]).map(|_| 2.0 + rng.normal()).collect::<Vec<f64>>(),
    given: values,
    reference: reference::mean_and_error(values),
    mistakes: {
        "you divided by n instead of n − 1: a few measurements lie closer to their own mean than to the true one"
            => spread(values, |n| n * n),
        "you gave the standard deviation: the error of the mean is smaller, by √n" => spread(values, |n| n - 1.0),
        "you gave the standard deviation, with n instead of n − 1: the error of the mean is smaller, by √n"
            => spread(values, |n| n),
        "you divided by n where √n belongs" => spread(values, |n| (n - 1.0) * n * n),
        "you gave the variance: take its root and divide by √n"
            => {
                let (mean, deviation) = spread(values, |n| n - 1.0);
                (mean, deviation.powi(2))
            },
        "you forgot the root"
            => {
                let (mean, error) = spread(values, |n| (n - 1.0) * n);
                (mean, error.powi(2))
            },
    },
}

/// The mean, and √(sum of squares / by).
fn spread(values: &[f64], by: fn(f64) -> f64) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / by(n)).sqrt())
}

/// Checks `mean_and_error`: n measurements → their mean and its standard error.
pub fn mean_and_error(f: impl Fn(&[f64]) -> (f64, f64)) -> Verdict {
    MEAN_AND_ERROR.judge(&|values| f(values))
}

exercise! {
    ERRORS_APART: Result2 => f64 = errors_apart(one, other),
    task: "Write how far apart two results are, in units of their common standard error: two pairs (mean, standard error) → one number, \
           |m₁ − m₂| / √(e₁² + e₂²). Below 2 or so, the difference may be chance; from 3 on, believe it.",
    hints: [
        "Two steps: the distance of the two means, without its sign, and the error of that distance.",
        "Errors of two measurements don't simply add up, since they seldom go the same way: their squares do. A pair has the parts \
         one.0 and one.1.",
        "(one.0 - other.0).abs() / (one.1.powi(2) + …).sqrt()",
    ],
    input: |number, rng| -> Result2 {
        let mut result = || (1.0 + rng.unit(), 0.01 + 0.1 * rng.unit());
        let (one, other) = (result(), result());
        // Both the better and the worse one come first.
        if (one.0 < other.0) == (number % 2 == 0) { (one, other) } else { (other, one) }
    },
    given: both @ (one, other),
    reference: reference::errors_apart(*one, *other),
    mistakes: {
        "you added the errors: they seldom go the same way, so it is their squares that add up, √(e₁² + e₂²)"
            => apart(both) / (both.0.1 + both.1.1),
        "you used one of the two errors only: both means are uncertain" => apart(both) / both.0.1,
        "you used one of the two errors only: both means are uncertain" => apart(both) / both.1.1,
        "you used the longer of the two errors only: both means are uncertain" => apart(both) / both.0.1.max(both.1.1),
        "you forgot the root: e₁² + e₂² is the square of the common error" => apart(both) / common(both).powi(2),
        "you kept the sign: how far two results are apart does not depend on which comes first"
            => (both.0.0 - both.1.0) / common(both),
        "you kept the sign: how far two results are apart does not depend on which comes first"
            => (both.1.0 - both.0.0) / common(both),
        "you divided by the mean of the results: it is their error that says what a difference is worth"
            => apart(both) / ((both.0.0 + both.1.0) / 2.0),
        "you divided by the mean of the two errors: the error of a difference is √(e₁² + e₂²)"
            => apart(both) / ((both.0.1 + both.1.1) / 2.0),
        "you gave the difference alone: divide it by the common error" => apart(both),
    },
}

type Result2 = ((f64, f64), (f64, f64));
fn apart((one, other): &Result2) -> f64 {
    (one.0 - other.0).abs()
}

fn common((one, other): &Result2) -> f64 {
    one.1.hypot(other.1)
}

/// Checks `errors_apart`: two results, each a mean and its standard error → one number.
pub fn errors_apart(f: impl Fn((f64, f64), (f64, f64)) -> f64) -> Verdict {
    ERRORS_APART.judge(&|(one, other)| f(*one, *other))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::judge::named;

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    fn variance(values: &[f64], less: f64) -> f64 {
        let mean = mean(values);
        values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / (values.len() as f64 - less)
    }

    fn root(values: &[f64]) -> f64 {
        (values.len() as f64).sqrt()
    }

    #[test]
    fn the_right_one_is_right() {
        let verdict = mean_and_error(|values| (mean(values), variance(values, 1.0).sqrt() / root(values)));
        assert!(verdict.is_right(), "{verdict}");
    }

    #[test]
    fn each_mistake_is_named() {
        named(mean_and_error(|v| (mean(v), variance(v, 0.0).sqrt() / root(v))), "instead of n − 1: a few");
        named(mean_and_error(|v| (mean(v), variance(v, 1.0).sqrt())), "gave the standard deviation:");
        named(mean_and_error(|v| (mean(v), variance(v, 0.0).sqrt())), "gave the standard deviation, with n");
        named(mean_and_error(|v| (mean(v), variance(v, 1.0).sqrt() / v.len() as f64)), "where √n belongs");
        named(mean_and_error(|v| (mean(v), variance(v, 1.0))), "gave the variance");
        named(mean_and_error(|v| (mean(v), variance(v, 1.0) / v.len() as f64)), "forgot the root");
    }

    #[test]
    fn errors_apart_are_right_or_named() {
        let verdict = errors_apart(|a, b| (a.0 - b.0).abs() / (a.1 * a.1 + b.1 * b.1).sqrt());
        assert!(verdict.is_right(), "{verdict}");
        let apart = |a: (f64, f64), b: (f64, f64)| (a.0 - b.0).abs();
        named(errors_apart(|a, b| apart(a, b) / (a.1 + b.1)), "added the errors");
        named(errors_apart(|a, b| apart(a, b) / a.1), "one of the two errors");
        named(errors_apart(|a, b| apart(a, b) / b.1), "one of the two errors");
        named(errors_apart(|a, b| apart(a, b) / a.1.max(b.1)), "longer of the two");
        named(errors_apart(|a, b| apart(a, b) / (a.1.powi(2) + b.1.powi(2))), "forgot the root");
        named(errors_apart(|a, b| (a.0 - b.0) / a.1.hypot(b.1)), "kept the sign");
        named(errors_apart(|a, b| (b.0 - a.0) / a.1.hypot(b.1)), "kept the sign");
        named(errors_apart(|a, b| apart(a, b) / (a.0 + b.0) * 2.0), "mean of the results");
        named(errors_apart(|a, b| apart(a, b) / (a.1 + b.1) * 2.0), "mean of the two errors");
        named(errors_apart(apart), "difference alone");
    }

    #[test]
    fn unwritten_and_wrong_ones_get_a_verdict() {
        assert!(mean_and_error(|_| todo!()).to_string().contains("not written yet"));
        assert!(errors_apart(|_, _| todo!()).to_string().contains("not written yet"));
        assert!(mean_and_error(|values| (0.0, values[99])).to_string().contains("stopped with"));
        assert!(mean_and_error(|_| (0.0, f64::NAN)).to_string().contains("first of the two"));
        assert!(mean_and_error(|values| (mean(values), f64::NAN)).to_string().contains("NaN (not a number)"));
    }
}
