//! The exercises on laws of scale: a power law in logs, models compared at equal compute, seeds that a difference needs.

use super::answer::InWords;
use super::table::exercise;
use super::{reference, verdict::Verdict};
use crate::experiment::Scaled;

exercise! {
    POWER_LAW: (Vec<f64>, Vec<f64>) => (f64, f64) = power_law(x, y),
    task: "Write a function of two lists, x and y, all numbers above 0, that fits y = a / x^α by a straight line through the logarithms, \
           ln y = ln a − α · ln x, with least squares. Gives the pair (a, α).",
    hints: [
        "Take the logarithm of every x and every y. A straight line through these points has a slope, which is −α, and a height at \
         ln x = 0, which is ln a.",
        "The slope of the least-squares line is Σ (u − ū)(v − v̄) / Σ (u − ū)², with u = ln x, v = ln y and their means ū, v̄. The line goes \
         through (ū, v̄), so its height at 0 is v̄ − slope · ū.",
        "let u: Vec<f64> = x.iter().map(|x| x.ln()).collect(); … let slope = above / below; ((mean_v - slope * mean_u).exp(), …)",
    ],
    input: |number, rng| {
        let x: Vec<f64> = (0..[4, 3, 5, 6, 4, 8][number]).map(|place| 10.0 * 2.5_f64.powi(place) * (1.0 + 0.2 * rng.unit())).collect();
        let (a, alpha) = (2.0 + 6.0 * rng.unit(), 0.1 + 0.5 * rng.unit());
        let y = x.iter().map(|x| a / x.powf(alpha) * (1.0 + 0.05 * rng.normal())).collect();
        (x, y)
    },
    given: (x, y),
    reference: reference::power_law(x, y),
    mistakes: {
        "you kept the sign of the slope: the line falls, its slope is −α" => {
            let (height, slope) = line(x, y, f64::ln, f64::ln);
            (height.exp(), slope)
        },
        "you gave ln a: take exp of the line's height" => {
            let (height, slope) = line(x, y, f64::ln, f64::ln);
            (height, -slope)
        },
        "you gave ln a, and kept the sign of the slope: it is −α" => line(x, y, f64::ln, f64::ln),
        "you took the logarithm of the y only: that is the line of an exponential, a · e^(−αx)" => {
            let (height, slope) = line(x, y, |x| x, f64::ln);
            (height.exp(), -slope)
        },
        "you took no logarithm: the points of a power law lie on a curve, and a straight line through them is another law" => {
            let (height, slope) = line(x, y, |x| x, |y| y);
            (height, -slope)
        },
        "you took the logarithm of the x only" => {
            let (height, slope) = line(x, y, f64::ln, |y| y);
            (height, -slope)
        },
        "you took log10 and then exp: with log10 it is 10^height (the slope is the same in either)" => {
            let (height, slope) = line(x, y, f64::log10, f64::log10);
            (height.exp(), -slope)
        },
        "you drew the line through the first point and the last one only: all of them count" => {
            let (first, last) = ((x[0].ln(), y[0].ln()), (x[x.len() - 1].ln(), y[y.len() - 1].ln()));
            let slope = (last.1 - first.1) / (last.0 - first.0);
            ((first.1 - slope * first.0).exp(), -slope)
        },
        "you drew the line through 0: it has a height, too, which is ln a" => {
            let (above, below): (f64, f64) = (
                x.iter().zip(y).map(|(x, y)| x.ln() * y.ln()).sum(),
                x.iter().map(|x| x.ln().powi(2)).sum(),
            );
            (1.0, -above / below)
        },
        "x and y are exchanged" => {
            let (height, slope) = line(y, x, f64::ln, f64::ln);
            (height.exp(), -slope)
        },
    },
}

/// Height at 0 and slope of the least-squares line through the points, in these measures.
fn line(x: &[f64], y: &[f64], of_x: fn(f64) -> f64, of_y: fn(f64) -> f64) -> (f64, f64) {
    let (u, v): (Vec<f64>, Vec<f64>) = (x.iter().map(|x| of_x(*x)).collect(), y.iter().map(|y| of_y(*y)).collect());
    let mean = |all: &[f64]| all.iter().sum::<f64>() / all.len() as f64;
    let (mean_u, mean_v) = (mean(&u), mean(&v));
    let above: f64 = u.iter().zip(&v).map(|(u, v)| (u - mean_u) * (v - mean_v)).sum();
    let below: f64 = u.iter().map(|u| (u - mean_u).powi(2)).sum();
    (mean_v - above / below * mean_u, above / below)
}

/// Checks `power_law`: x and y → a and α of y = a / x^α.
pub fn power_law(f: impl Fn(&[f64], &[f64]) -> (f64, f64)) -> Verdict {
    POWER_LAW.judge(&|(x, y)| f(x, y))
}

exercise! {
    BEST_WITHIN: (Vec<Scaled>, f64) => f64 = best_within(runs, budget),
    task: "Write a function of a list of trainings, each with its `parameters` N, its `chars` D and its `loss`, and of a budget of \
           multiplications and additions, that gives the lowest loss among those that keep within the budget, 6 · N · D ≤ budget; infinity, \
           f64::INFINITY, if none does.",
    hints: [
        "Go through the trainings, leave out those that cost more than the budget, and keep the lowest loss of the others.",
        "A training costs 6 · run.parameters * run.chars: 2 for each parameter and character on the way there (a product and a sum), \
         4 on the way back.",
        "runs.iter().filter(|run| 6.0 * run.parameters * … <= budget).map(|run| run.loss).fold(f64::INFINITY, f64::min)",
    ],
    input: |number, rng| {
        let mut runs = Vec::new();
        for size in 0..4 {
            for text in 0..4 {
                let (parameters, chars) = (6e3 * 4_f64.powi(size), 5e5 * 2_f64.powi(text));
                let loss = 0.8 + 30.0 / parameters.powf(0.4) + 200.0 / chars.powf(0.45) + 0.02 * rng.unit();
                runs.push(Scaled { parameters, chars, loss });
            }
        }
        // The last budget but one buys everything, the last one nothing.
        let budget = [4e11, 8e10, 1.5e11, 3e10, 1e13, 1e9][number];
        (runs, budget)
    },
    given: (runs, budget),
    reference: reference::best_within(runs, *budget),
    mistakes: {
        "you did not ask for the budget: the largest model with the most text wins always, and costs most"
            => lowest(runs, |_| true),
        "you compared N · D with the budget: each parameter costs 6 for each character, not 1"
            => lowest(runs, |run| run.parameters * run.chars <= *budget),
        "you counted the way there only, 2 · N · D: the way back costs twice as much again"
            => lowest(runs, |run| 2.0 * run.parameters * run.chars <= *budget),
        "you gave the highest loss within the budget: the best one is the lowest" => {
            let within = runs.iter().filter(|run| 6.0 * run.parameters * run.chars <= *budget);
            within.map(|run| run.loss).fold(f64::NEG_INFINITY, f64::max)
        },
        "you took those that cost more than the budget" => lowest(runs, |run| 6.0 * run.parameters * run.chars > *budget),
        "you took the largest model that the budget has room for: a smaller one with more text may be better" => {
            let within: Vec<&Scaled> = runs.iter().filter(|run| 6.0 * run.parameters * run.chars <= *budget).collect();
            let largest = within.iter().map(|run| run.parameters).fold(0.0, f64::max);
            within.iter().filter(|run| run.parameters == largest).map(|run| run.loss).fold(f64::INFINITY, f64::min)
        },
        "you gave 0 where no training is cheap enough: a loss of 0 would be the best of all; none is infinity" => {
            let best = reference::best_within(runs, *budget);
            if best.is_finite() { best } else { 0.0 }
        },
    },
}

fn lowest(runs: &[Scaled], counts: impl Fn(&Scaled) -> bool) -> f64 {
    runs.iter().filter(|run| counts(run)).map(|run| run.loss).fold(f64::INFINITY, f64::min)
}

impl InWords for Vec<Scaled> {
    fn shown(&self) -> String {
        let one = |run: &Scaled| format!("N {:.0} D {:.0}: {:.3}", run.parameters, run.chars, run.loss);
        let first: Vec<String> = self.iter().take(4).map(one).collect();
        format!("{} trainings ({}{})", self.len(), first.join("; "), if self.len() > 4 { "; …" } else { "" })
    }
}

/// Checks `best_within`: trainings and a budget → the lowest loss that it buys.
pub fn best_within(f: impl Fn(&[Scaled], f64) -> f64) -> Verdict {
    BEST_WITHIN.judge(&|(runs, budget)| f(runs, *budget))
}

exercise! {
    SEEDS_NEEDED: (f64, f64) => i64 = seeds_needed(spread, difference),
    task: "Write how many seeds each of two variants needs, so that a difference of their means is 3 standard errors long. `spread` is the \
           standard deviation of single trainings, the same for both; each mean has the error spread / √n, and their difference \
           √2 · spread / √n. Gives the smallest whole n, and never less than 2.",
    hints: [
        "Ask for difference ≥ 3 · √2 · spread / √n, and bring n to one side.",
        "√n ≥ 3 · √2 · spread / difference, so n ≥ 18 · (spread / difference)². A part of a seed can't be trained: round up.",
        "((18.0 * (spread / difference).powi(2)).ceil() as i64).max(…)",
    ],
    input: |number, rng| {
        // So many seeds, and the part of one, which is rounded up; the third is so large a difference that two are enough.
        let (whole, more, part) =
            [(4.0, 6.0, 0.6), (79.0, 40.0, 0.38), (0.0, 0.0, 0.5), (11.0, 12.0, 0.88), (120.0, 60.0, 0.13), (5.0, 8.0, 0.87)][number];
        let seeds = whole + (more * rng.unit()).floor() + part;
        let difference = 0.01 + 0.02 * rng.unit();
        (difference * f64::sqrt(seeds / 18.0), difference)
    },
    given: &(spread, difference),
    reference: reference::seeds_needed(spread, difference),
    mistakes: {
        "you counted the error of one mean only: both are unsure, so the difference has √2 times that error"
            => rounded(9.0 * (spread / difference).powi(2)),
        "you forgot the square: the error falls with √n, so half of it needs four times the seeds"
            => rounded(18_f64.sqrt() * spread / difference),
        "you asked for 1 standard error: that far apart two means are by chance in every third case"
            => rounded(2.0 * (spread / difference).powi(2)),
        "you multiplied by 3 behind the square: it is (3 · √2 · spread / difference)²"
            => rounded(6.0 * (spread / difference).powi(2)),
        "you rounded down: then the difference is a little less than 3 errors long"
            => ((18.0 * (spread / difference).powi(2)).floor() as i64).max(2),
        "you rounded to the nearest: then the difference may be less than 3 errors long"
            => ((18.0 * (spread / difference).powi(2)).round() as i64).max(2),
        "you gave 1 where the difference is large: one seed has no error bar, so 2 at the least"
            => ((18.0 * (spread / difference).powi(2)).ceil() as i64).max(1),
        "spread and difference are exchanged: a small difference needs many seeds"
            => rounded(18.0 * (difference / spread).powi(2)),
    },
}

fn rounded(seeds: f64) -> i64 {
    (seeds.ceil() as i64).max(2)
}

/// Checks `seeds_needed`: the spread of single trainings and a difference → seeds.
pub fn seeds_needed(f: impl Fn(f64, f64) -> i64) -> Verdict {
    SEEDS_NEEDED.judge(&|&(spread, difference)| f(spread, difference))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::judge::named;

    fn logs(all: &[f64]) -> Vec<f64> {
        all.iter().map(|one| one.ln()).collect()
    }

    /// As a learner writes it: by sums.
    fn fit(u: &[f64], v: &[f64]) -> (f64, f64) {
        let n = u.len() as f64;
        let (su, sv) = (u.iter().sum::<f64>(), v.iter().sum::<f64>());
        let suv: f64 = u.iter().zip(v).map(|(u, v)| u * v).sum();
        let suu: f64 = u.iter().map(|u| u * u).sum();
        let slope = (n * suv - su * sv) / (n * suu - su * su);
        ((sv - slope * su) / n, slope)
    }

    #[test]
    fn the_right_ones_are_right() {
        let verdict = power_law(|x, y| {
            let (height, slope) = fit(&logs(x), &logs(y));
            (height.exp(), -slope)
        });
        assert!(verdict.is_right(), "{verdict}");
        let verdict = best_within(|runs, budget| {
            let mut best = f64::INFINITY;
            for run in runs {
                if 6.0 * run.parameters * run.chars <= budget && run.loss < best {
                    best = run.loss;
                }
            }
            best
        });
        assert!(verdict.is_right(), "{verdict}");
        let verdict = seeds_needed(|spread, difference| {
            (2..).find(|&n| 3.0 * (2.0_f64 / n as f64).sqrt() * spread <= difference).unwrap()
        });
        assert!(verdict.is_right(), "{verdict}");
    }

    #[test]
    fn each_mistake_of_a_power_law_is_named() {
        let in_logs = |x: &[f64], y: &[f64]| fit(&logs(x), &logs(y));
        named(power_law(|x, y| (in_logs(x, y).0.exp(), in_logs(x, y).1)), "kept the sign of the slope: the line");
        named(power_law(|x, y| (in_logs(x, y).0, -in_logs(x, y).1)), "gave ln a: take exp");
        named(power_law(in_logs), "gave ln a, and kept");
        named(power_law(|x, y| (fit(x, &logs(y)).0.exp(), -fit(x, &logs(y)).1)), "exponential");
        named(power_law(|x, y| (fit(x, y).0, -fit(x, y).1)), "no logarithm");
        named(power_law(|x, y| (fit(&logs(x), y).0, -fit(&logs(x), y).1)), "of the x only");
        named(power_law(|x, y| ((in_logs(x, y).0 / 10_f64.ln()).exp(), -in_logs(x, y).1)), "log10");
        named(
            power_law(|x, y| {
                let alpha = (y[0] / y[y.len() - 1]).ln() / (x[x.len() - 1] / x[0]).ln();
                (y[0] * x[0].powf(alpha), alpha)
            }),
            "first point and the last",
        );
        named(
            power_law(|x, y| {
                let (u, v) = (logs(x), logs(y));
                let slope = u.iter().zip(&v).map(|(u, v)| u * v).sum::<f64>() / u.iter().map(|u| u * u).sum::<f64>();
                (1.0, -slope)
            }),
            "through 0",
        );
        named(power_law(|x, y| (in_logs(y, x).0.exp(), -in_logs(y, x).1)), "exchanged");
    }

    #[test]
    fn each_mistake_of_best_within_is_named() {
        let best = |runs: &[Scaled], counts: &dyn Fn(&Scaled) -> bool| {
            let losses = runs.iter().filter(|run| counts(run)).map(|run| run.loss);
            losses.min_by(f64::total_cmp).unwrap_or(f64::INFINITY)
        };
        let cost = |run: &Scaled| 6.0 * run.parameters * run.chars;
        named(best_within(|runs, _| best(runs, &|_| true)), "did not ask for the budget");
        named(best_within(|runs, budget| best(runs, &|run| run.parameters * run.chars <= budget)), "not 1");
        named(best_within(|runs, budget| best(runs, &|run| cost(run) / 3.0 <= budget)), "way there only");
        named(best_within(|runs, budget| best(runs, &|run| cost(run) > budget)), "cost more than the budget");
        let highest = |runs: &[Scaled], budget: f64| {
            runs.iter().filter(|run| cost(run) <= budget).map(|run| run.loss).fold(f64::NEG_INFINITY, f64::max)
        };
        named(best_within(highest), "highest loss");
        let largest = |runs: &[Scaled], budget: f64| {
            let within = || runs.iter().filter(|run| cost(run) <= budget);
            let size = within().map(|run| run.parameters).fold(0.0, f64::max);
            best(runs, &|run| cost(run) <= budget && run.parameters == size)
        };
        named(best_within(largest), "largest model");
        let zero = |runs: &[Scaled], budget: f64| {
            Some(best(runs, &|run| cost(run) <= budget)).filter(|x| x.is_finite()).unwrap_or(0.0)
        };
        named(best_within(zero), "gave 0 where");
    }

    #[test]
    fn each_mistake_of_seeds_needed_is_named() {
        let exact = |spread: f64, difference: f64| 18.0 * spread * spread / difference / difference;
        let up = |seeds: f64| (seeds.ceil() as i64).max(2);
        named(seeds_needed(|s, d| up(exact(s, d) / 2.0)), "one mean only");
        named(seeds_needed(|s, d| up(exact(s, d).sqrt())), "forgot the square");
        named(seeds_needed(|s, d| up(exact(s, d) / 9.0)), "1 standard error");
        named(seeds_needed(|s, d| up(exact(s, d) / 3.0)), "behind the square");
        named(seeds_needed(|s, d| (exact(s, d) as i64).max(2)), "rounded down");
        named(seeds_needed(|s, d| (exact(s, d).round() as i64).max(2)), "nearest");
        named(seeds_needed(|s, d| exact(s, d).ceil() as i64), "2 at the least");
        named(seeds_needed(|s, d| up(exact(d, s))), "exchanged");
    }

    #[test]
    fn unwritten_and_wrong_ones_get_a_verdict() {
        assert!(power_law(|_, _| todo!()).to_string().contains("not written yet"));
        assert!(best_within(|_, _| todo!()).to_string().contains("not written yet"));
        assert!(seeds_needed(|_, _| todo!()).to_string().contains("not written yet"));
        assert!(best_within(|runs, _| runs[99].loss).to_string().contains("stopped with"));
        assert!(seeds_needed(|_, _| 7).to_string().contains("got:      7"));
        assert!(power_law(|_, _| (f64::NAN, 0.0)).to_string().contains("first of the two"));
    }
}
