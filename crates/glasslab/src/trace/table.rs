//! A trace as a table of text. A model's blocks are alike: the first is told whole, each that is like it in a line.

use super::arithmetic::tiny;
use super::{Trace, TraceStep};
use std::fmt::{self, Write};

/// A row of a table of steps or parameters.
#[derive(Debug)]
pub(crate) enum Row<'a> {
    /// A step told whole.
    Step(&'a TraceStep),
    /// A block that is like one told before.
    Block(Block<'a>),
}

/// The steps, or the parameters, of one block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block<'a> {
    /// Its number, e.g. `1`.
    number: &'a str,
    /// `steps` or `parameters`.
    what: &'static str,
    pub(crate) steps: &'a [TraceStep],
    /// The one told whole, which it is like.
    like: Option<(&'a str, &'a [TraceStep])>,
}

/// Steps in rows. A block's are folded into one if they have the names, shapes and formulas of the block last told whole.
fn rows<'a>(steps: &'a [TraceStep], what: &'static str) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    let mut whole = None;
    for steps in steps.chunk_by(|one, next| of_block(one).is_some() && of_block(one) == of_block(next)) {
        match (of_block(&steps[0]), whole) {
            (Some(number), Some(first)) if alike(first, steps) => {
                let like = of_block(&first[0]).map(|number| (number, first));
                rows.push(Row::Block(Block { number, what, steps, like }));
            }
            (number, _) => {
                whole = number.map(|_| steps).or(whole);
                rows.extend(steps.iter().map(Row::Step));
            }
        }
    }
    rows
}

/// The number of the block that a step or a parameter is of: `2` of `block.2.attn.scores`.
fn of_block(step: &TraceStep) -> Option<&str> {
    inside(&step.name).map(|(number, _)| number)
}

fn inside(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("block.")?.split_once('.')
}

fn alike(one: &[TraceStep], other: &[TraceStep]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).all(|(one, other)| {
            inside(&one.name).map(|(_, part)| part) == inside(&other.name).map(|(_, part)| part)
                && one.tensor.size() == other.tensor.size()
                && one.formula == other.formula
        })
}

impl Block<'_> {
    /// Its name and what is in it, e.g. `block.1 (16 steps like block.0's)`.
    pub(crate) fn title(&self) -> String {
        let like = self.like.map_or(String::new(), |(number, _)| format!(" like block.{number}'s"));
        format!("block.{} ({} {}{like})", self.number, self.steps.len(), self.what)
    }

    /// How large its numbers are, whether the stream has grown, and how much of the blame it bears; beside the block that it
    /// is like.
    pub(crate) fn summary(&self) -> String {
        let mut parts = Vec::new();
        let part = |step: &TraceStep| inside(&step.name).map_or(step.name.clone(), |(_, part)| part.to_owned());
        let than = |text: String| match self.like {
            Some((number, _)) => format!("block.{number}: {text}"),
            None => text,
        };
        match self.steps.last().filter(|step| step.axes.get(1).is_some_and(|axis| axis == "time")) {
            Some(last) => {
                let length = |steps: &[TraceStep]| steps.last().and_then(|step| step.row_length().ok());
                let mut text = format!("{} {}", part(last), last.range());
                if let (Some(length), Some(before)) = (length(self.steps), self.like.and_then(|(_, like)| length(like)))
                {
                    text.push_str(&format!(", a row {} long ({})", tiny(length, 2), than(tiny(before, 2))));
                }
                parts.push(text);
            }
            None => {
                let all = |number: fn(&TraceStep) -> f64| self.steps.iter().map(number);
                let (min, max) =
                    (all(|step| step.min).fold(f64::NAN, f64::min), all(|step| step.max).fold(f64::NAN, f64::max));
                parts.push(format!("numbers {} to {}", tiny(min, 2), tiny(max, 2)));
            }
        }
        let worst = |steps: &[TraceStep]| -> Option<String> {
            let lengths = steps.iter().filter_map(|step| Some((part(step), step.blame_length()?)));
            let (name, length) = lengths.max_by(|one, other| one.1.total_cmp(&other.1))?;
            Some(format!("{name} {}", tiny(length, 1)))
        };
        if let Some(worst_here) = worst(self.steps) {
            let before = self.like.and_then(|(_, like)| worst(like));
            let before = before.map_or(String::new(), |before| format!(" ({})", than(before)));
            parts.push(format!("longest gradient: {worst_here}{before}"));
        }
        parts.join("; ")
    }
}

impl Trace {
    /// The steps as a table of text: name, shape with its axes, smallest, mean and largest number, formula. Of blocks that
    /// are alike, the first is told whole and each other in a line.
    pub fn table(&self) -> String {
        self.told(false)
    }

    /// The same with every step of every block; also `println!("{trace:#}")`.
    pub fn whole_table(&self) -> String {
        self.told(true)
    }

    /// Steps and parameters in rows, blocks folded.
    pub(crate) fn rows(&self) -> Vec<Row<'_>> {
        rows(&self.steps, "steps").into_iter().chain(rows(&self.parameters, "parameters")).collect()
    }

    fn told(&self, whole: bool) -> String {
        let mut table = format!("trace of {:?}\n", self.text);
        self.notes.iter().for_each(|note| table.push_str(&format!("note: {note}\n")));
        let rows: Vec<Row<'_>> = match whole {
            true => self.steps.iter().chain(&self.parameters).map(Row::Step).collect(),
            false => self.rows(),
        };
        let wide = |text: &dyn Fn(&TraceStep) -> usize| {
            let told = rows.iter().filter_map(|row| if let Row::Step(step) = row { Some(text(step)) } else { None });
            told.max().unwrap_or(0)
        };
        let names = wide(&|step| step.name.chars().count());
        let shapes = wide(&|step| step.axes_and_sizes().chars().count());
        let backward = self.has_gradients();
        let slopes = if backward { format!(" {:>10} {:>10}", "∂loss from", "to") } else { String::new() };
        let _ = writeln!(
            table,
            "{:<names$}  {:<shapes$}  {:>9} {:>9} {:>9}{slopes}  formula",
            "step", "shape", "min", "mean", "max"
        );
        for row in &rows {
            let step = match row {
                Row::Step(step) => step,
                Row::Block(block) => {
                    let _ = writeln!(table, "{}: {}", block.title(), block.summary());
                    continue;
                }
            };
            let TraceStep { name, min, mean, max, formula, .. } = step;
            let slopes = match &step.gradient {
                Some(gradient) => format!(" {:>10} {:>10}", tiny(gradient.min, 1), tiny(gradient.max, 1)),
                None if backward => format!(" {:>10} {:>10}", "–", "–"),
                None => String::new(),
            };
            let shape = step.axes_and_sizes();
            let odd = if step.not_finite > 0 { format!("  ({} not finite)", step.not_finite) } else { String::new() };
            let _ = writeln!(
                table,
                "{name:<names$}  {shape:<shapes$}  {min:>9.3} {mean:>9.3} {max:>9.3}{slopes}  {formula}{odd}"
            );
        }
        table + &self.check() + "\n"
    }
}

/// As [`Trace::table`]; with `{:#}` as [`Trace::whole_table`].
impl fmt::Display for Trace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.told(out.alternate()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Traceable;
    use super::super::tests::awake;
    use super::*;
    use crate::model::{Positions, TransformerConfig};

    fn folded(trace: &Trace) -> Vec<String> {
        trace
            .rows()
            .into_iter()
            .filter_map(|row| if let Row::Block(block) = row { Some(block.title()) } else { None })
            .collect()
    }

    #[test]
    fn blocks_like_the_first_are_told_in_a_line_and_whole_where_one_asks() {
        let model = awake(TransformerConfig::small());
        let trace = model.trace("Once upon").unwrap();
        assert_eq!(folded(&trace), ["block.1 (16 steps like block.0's)", "block.2 (16 steps like block.0's)"]);
        let (short, whole) = (trace.to_string(), format!("{trace:#}"));
        assert_eq!((short.lines().count(), whole.lines().count()), (27, 57), "{short}");
        assert!(short.contains("block.0.attn.scores") && !short.contains("block.1.attn.scores"), "{short}");
        assert!(whole.contains("block.2.attn.scores") && whole == trace.whole_table() && short == trace.table());
        let line = short.lines().find(|line| line.starts_with("block.2")).unwrap();
        let length = trace.step("block.2.after_mlp").unwrap().row_length().unwrap();
        assert!(
            line.contains(&format!("a row {} long (block.0: ", tiny(length, 2))) && !line.contains("gradient"),
            "{line}"
        );
        assert!(line.contains("after_mlp"), "{line}");

        let trace = model.backward("Once upon").unwrap();
        assert_eq!(
            folded(&trace)[2..],
            ["block.1 (4 parameters like block.0's)", "block.2 (4 parameters like block.0's)"]
        );
        let short = trace.to_string();
        for block in [1, 2] {
            let line = short.lines().find(|line| line.starts_with(&format!("block.{block}"))).unwrap();
            let prefix = format!("block.{block}.");
            let of_block = trace.steps.iter().filter(|step| step.name.starts_with(&prefix));
            let worst = of_block.filter_map(TraceStep::blame_length).fold(0.0, f64::max);
            assert!(line.contains("longest gradient: ") && line.contains(&tiny(worst, 1)), "{line}");
        }
        assert!(!short.contains("0e0") && short.contains("∂loss from"), "{short}");
    }

    #[test]
    fn a_block_that_is_another_is_told_whole() {
        // The first block's attention has another formula than the second's, which the third is like.
        let config = TransformerConfig { previous_head: true, n_layers: 3, ..TransformerConfig::small() };
        let trace = awake(config).trace("Once").unwrap();
        assert_eq!(folded(&trace), ["block.2 (16 steps like block.1's)"]);
        let single = TransformerConfig { positions: Positions::None, ..TransformerConfig::original() };
        let trace = awake(single).trace("Once").unwrap();
        assert!(folded(&trace).is_empty());
        assert_eq!(trace.table(), trace.whole_table());
    }
}
