//! How a cost grows with a size, beside what theory says.

use super::lines::{Axis, COLOURS, Lines, Mark};
use super::shown;
use crate::display::Picture;
use crate::error::{Error, Result};

/// The vertical axis goes up by this factor at least.
const LEAST: f64 = 4.0;
/// At so many last points a course's slope is taken.
const LAST: usize = 3;

/// How costs grow with a size: both axes are logarithmic, so that a power is a straight line and its exponent the slope.
///
/// ```
/// # use glasslab::prelude::*;
/// # fn main() -> Result<()> {
/// let (characters, ms) = ([64.0, 128.0, 256.0], [1.0, 2.1, 4.5]);
/// let squares = characters.map(|characters| characters * characters);
/// let growth = Growth::new("characters", "ms").add("attention", &characters, &ms, &squares)?;
/// assert_eq!(growth.to_string(), "attention: slope 1.08, by theory 2.00");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Growth {
    across: String,
    up: String,
    courses: Vec<Course>,
}

#[derive(Debug, Clone)]
struct Course {
    name: String,
    measured: Vec<(f64, f64)>,
    theory: Vec<(f64, f64)>,
}

impl Growth {
    /// Nothing yet: the size's name, and the cost's with its unit.
    pub fn new(across: &str, up: &str) -> Growth {
        Growth { across: across.to_owned(), up: up.to_owned(), courses: Vec::new() }
    }

    /// Adds a course: sizes, from small to large, what each costs, and what it would cost by theory, in whatever unit.
    ///
    /// # Errors
    /// If there are fewer than two sizes, or not as many costs, they do not grow, or a number is not above 0.
    pub fn add(mut self, name: &str, sizes: &[f64], costs: &[f64], theory: &[f64]) -> Result<Growth> {
        let above_zero = |number: &f64| *number > 0.0 && number.is_finite();
        let grow = sizes.windows(2).all(|two| two[0] < two[1]);
        let as_many = sizes.len() >= 2 && costs.len() == sizes.len() && theory.len() == sizes.len();
        if !(as_many && grow && sizes.iter().chain(costs).chain(theory).all(above_zero)) {
            return Err(Error::Config(format!(
                "{name}: a course has at least two sizes, from small to large, with a cost above 0 for each, measured and by theory"
            )));
        }
        let course = |costs: &[f64]| -> Vec<(f64, f64)> { sizes.iter().copied().zip(costs.iter().copied()).collect() };
        let (measured, theory) = (course(costs), course(theory));
        // In the measured unit: so that both have the same mean of logarithms.
        let mean = |course: &[(f64, f64)]| course.iter().map(|(_, cost)| cost.ln()).sum::<f64>() / course.len() as f64;
        let unit = (mean(&measured) - mean(&theory)).exp();
        let theory = theory.into_iter().map(|(size, cost)| (size, cost * unit)).collect();
        self.courses.push(Course { name: name.to_owned(), measured, theory });
        Ok(self)
    }

    /// Of each course its name, its slope at the large end, and the theory's: a cost that doubles with the size has slope 1, one that
    /// does not change 0.
    pub fn slopes(&self) -> Vec<(&str, f64, f64)> {
        self.courses.iter().map(|course| (&course.name[..], slope(&course.measured), slope(&course.theory))).collect()
    }

    /// Dots are measured, dashed lines theory.
    ///
    /// # Errors
    /// If there is nothing to draw.
    pub fn draw(&self) -> Result<Picture> {
        let mut lines = Lines::new(Axis::new(&self.across).logarithmic(), Axis::new(&self.up).logarithmic());
        let all =
            || self.courses.iter().flat_map(|course| course.measured.iter().chain(&course.theory)).map(|point| point.1);
        let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
        if high < LEAST * low {
            // What hardly grows should look so.
            let margin = (LEAST * low / high).sqrt();
            (lines.up.low, lines.up.high) = (Some(low / margin), Some(high * margin));
        }
        for (place, (course, (_, measured, theory))) in self.courses.iter().zip(self.slopes()).enumerate() {
            let colour = COLOURS[place % COLOURS.len()];
            let name = told(&course.name, measured, theory);
            lines.add(name, course.measured.clone(), colour, Mark::Dotted);
            lines.add("", course.theory.clone(), colour, Mark::Dashed);
        }
        lines.draw(format!("{} over {}; {self}", self.up, self.across))
    }
}

/// The exponent of the power that the last points lie on: least squares of logarithms.
fn slope(course: &[(f64, f64)]) -> f64 {
    let last: Vec<(f64, f64)> = course.iter().rev().take(LAST).map(|(size, cost)| (size.ln(), cost.ln())).collect();
    let count = last.len() as f64;
    let (x, y) = last.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let products: f64 = last.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let slope = products / last.iter().map(|point| (point.0 - x).powi(2)).sum::<f64>();
    if slope.abs() < 1e-9 { 0.0 } else { slope } // what does not grow has no slope of −0
}

fn told(name: &str, measured: f64, theory: f64) -> String {
    format!("{name}: slope {measured:.2}, by theory {theory:.2}").replace(" -", " −")
}

impl std::fmt::Display for Growth {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = self.slopes().into_iter().map(|(name, measured, theory)| told(name, measured, theory));
        write!(out, "{}", all.collect::<Vec<_>>().join("; "))
    }
}

shown!(Growth, draw? or words);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_has_its_exponent_as_slope_whatever_the_unit() {
        let sizes = [1.0, 2.0, 4.0, 8.0, 16.0_f64];
        let (costs, theory) = (sizes.map(|size| 7.0 * size.powf(1.5)), sizes.map(|size| 1e9 * size * size));
        let growth = Growth::new("size", "ms").add("it", &sizes, &costs, &theory).unwrap();
        let (name, slope, theory) = growth.slopes()[0];
        assert!(name == "it" && (slope - 1.5).abs() < 1e-9 && (theory - 2.0).abs() < 1e-9, "{slope} {theory}");
        assert_eq!(growth.to_string(), "it: slope 1.50, by theory 2.00");
        let picture = growth.draw().unwrap();
        assert!(picture.alt.contains("ms over size") && picture.svg.contains("slope 1.50"), "{}", picture.alt);
    }

    #[test]
    fn what_is_no_course_is_told() {
        for (sizes, costs) in [
            (&[1.0][..], &[1.0][..]),
            (&[2.0, 1.0], &[1.0, 1.0]),
            (&[1.0, 2.0], &[1.0]),
            (&[1.0, 2.0], &[0.0, 1.0]),
            (&[1.0, 2.0], &[1.0, f64::NAN]),
        ] {
            let message = Growth::new("size", "ms").add("it", sizes, costs, costs).unwrap_err().to_string();
            assert!(message.contains("from small to large"), "{message}");
        }
        assert!(Growth::new("size", "ms").draw().is_err());
    }
}
