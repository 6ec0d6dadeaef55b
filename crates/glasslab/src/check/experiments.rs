//! The exercise of notebook 8: what a few measurements say, and how sure one can be of it.

use super::Exercise;
use super::judge::{Given, Judge, Mistake};
use super::verdict::Verdict;
use crate::experiment::Variant;

pub(super) const MEAN_AND_ERROR: Exercise = Exercise {
    name: "mean_and_error",
    task: "Write a function that gives the mean of n ≥ 2 measurements, and its standard error: the standard deviation (with n − 1) \
           divided by √n.",
    hints: [
        "Three steps: the mean; the variance, that is the sum of the squared distances from it divided by n − 1; then the root.",
        "The standard deviation says how far one measurement lies from the mean. The mean of n of them is surer by √n, so \
         divide once more.",
        "let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0); and then \
         (mean, (variance / …).sqrt())",
    ],
};

/// Checks `mean_and_error`: n measurements → their mean and its standard error.
pub fn mean_and_error(f: impl Fn(&[f64]) -> (f64, f64)) -> Verdict {
    fn judged(f: Given<'_, Vec<f64>, (f64, f64)>) -> Verdict {
        /// The mean, and √(sum of squares / by).
        fn spread(values: &[f64], by: fn(f64) -> f64) -> (f64, f64) {
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            (mean, (squares / by(n)).sqrt())
        }
        let judge = Judge {
            exercise: MEAN_AND_ERROR,
            input: |number, rng| (0..[3, 2, 5, 10, 4, 7][number]).map(|_| 2.0 + rng.normal()).collect::<Vec<f64>>(),
            reference: |values| {
                let losses = values.clone();
                let variant = Variant { name: String::new(), losses, parameters: 0, chars_per_second: 0.0 };
                Ok((variant.mean(), variant.standard_error().unwrap_or(f64::NAN)))
            },
            mistakes: vec![
                Mistake {
                    named: "you divided by n instead of n − 1: a few measurements lie closer to their own mean than to the true one",
                    done: |values| Ok(spread(values, |n| n * n)),
                },
                Mistake {
                    named: "you gave the standard deviation: the error of the mean is smaller, by √n",
                    done: |values| Ok(spread(values, |n| n - 1.0)),
                },
                Mistake {
                    named: "you gave the standard deviation, with n instead of n − 1: the error of the mean is smaller, by √n",
                    done: |values| Ok(spread(values, |n| n)),
                },
                Mistake {
                    named: "you divided by n where √n belongs",
                    done: |values| Ok(spread(values, |n| (n - 1.0) * n * n)),
                },
                Mistake {
                    named: "you gave the variance: take its root and divide by √n",
                    done: |values| {
                        let (mean, deviation) = spread(values, |n| n - 1.0);
                        Ok((mean, deviation.powi(2)))
                    },
                },
                Mistake {
                    named: "you forgot the root",
                    done: |values| {
                        let (mean, error) = spread(values, |n| (n - 1.0) * n);
                        Ok((mean, error.powi(2)))
                    },
                },
            ],
        };
        judge.judge(f)
    }
    judged(&|values| f(values))
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
    fn unwritten_and_wrong_ones_get_a_verdict() {
        assert!(mean_and_error(|_| todo!()).to_string().contains("not written yet"));
        assert!(mean_and_error(|values| (0.0, values[99])).to_string().contains("stopped with"));
        assert!(mean_and_error(|_| (0.0, f64::NAN)).to_string().contains("first of the two"));
        assert!(mean_and_error(|values| (mean(values), f64::NAN)).to_string().contains("NaN (not a number)"));
    }
}
