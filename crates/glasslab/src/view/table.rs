//! A trace as a table with small pictures, and one step of it opened in full.

use super::bitmap::image;
use super::colour::Scale;
use super::{Heatmap, Html, beside, paragraph, short, shown};
use crate::display::escape;
use crate::error::Result;
use crate::numbers::numbers;
use crate::tokenizer::visible;
use crate::trace::{Row, Trace, TraceStep, tiny};
use tch::Tensor;

/// The longer side of a small picture, in points.
const SMALL: usize = 48;
/// Heads that have a small picture in the table, at most.
const HEADS: usize = 4;
/// The pixels that the small pictures of a step may take together.
const ROOM: usize = 210;
/// Blocks that are alike and have small pictures, at most; of more, the first one and the last do.
const PICTURED: usize = 8;
/// Rows and columns whose numbers are written out when a step is opened.
const WRITTEN: usize = 12;

const TABLE: &str = "<table style=\"table-layout:auto;border-collapse:collapse;font-size:13px\">";
const CELL: &str = "padding:3px 8px;text-align:left;vertical-align:top;border-top:1px solid rgba(128,128,128,.35)";
const NUMBER: &str = "padding:3px 8px;text-align:right;vertical-align:top;border-top:1px solid rgba(128,128,128,.35);font-variant-numeric:tabular-nums";

impl Trace {
    /// The steps as a table with small pictures. Of blocks that are alike, the first stands there whole, each other in a line
    /// that opens.
    ///
    /// # Errors
    /// If a picture can't be drawn.
    pub fn html(&self) -> Result<Html> {
        let mut html = String::from("<div style=\"overflow-x:auto\">");
        html.push_str(&paragraph(&format!("What the model does with “{}”, step by step.", self.visible_text())));
        let backward = self.has_gradients();
        if backward {
            html.push_str(&paragraph(
                "Beside each number its gradient, in nats per unit: green, where the loss would rise with the number, purple, where it \
                 would fall. Read from the loss up, it tells who is to blame.",
            ));
        }
        self.notes.iter().for_each(|note| html.push_str(&paragraph(&format!("Note: {note}."))));
        html.push_str(&format!("{TABLE}{}<tbody>", head(backward)));
        let rows = self.rows();
        let folded = rows.iter().filter(|row| matches!(row, Row::Block(_))).count();
        for (place, row) in rows.iter().enumerate() {
            let block = match row {
                Row::Step(step) => {
                    html.push_str(&step_row(step, backward)?);
                    continue;
                }
                Row::Block(block) => block,
            };
            let is_last = !matches!(rows.get(place + 1), Some(Row::Block(_)));
            let steps = match folded <= PICTURED || is_last {
                true => block.steps.iter().map(|step| step_row(step, backward)).collect::<Result<String>>()?,
                false => block.steps.iter().map(plain_row).collect(),
            };
            html.push_str(&format!(
                "<tr><td colspan=\"{}\" style=\"{CELL}\"><details><summary style=\"cursor:pointer\"><b>{}</b>: {}</summary>\
                 {TABLE}{}<tbody>{steps}</tbody></table></details></td></tr>",
                if backward { 7 } else { 6 },
                escape(&block.title()),
                escape(&block.summary()),
                head(backward)
            ));
        }
        html.push_str(&format!("</tbody></table>{}</div>", paragraph(&self.check())));
        Ok(Html { html, alt: self.table() })
    }

    /// One step, or parameter, in full: its formula, its meaning, a picture with characters at its sides, and its numbers. A
    /// parameter that has a step's name is `parameter:NAME`.
    ///
    /// # Errors
    /// If there is no step of that name.
    pub fn open(&self, name: &str) -> Result<Html> {
        let (step, _) = self.step_or_parameter(name)?;
        let mut words = format!(
            "{}: {} · {}. Each number: {}. From {} over {} (mean) to {}.",
            step.name,
            step.axes_and_sizes(),
            step.formula,
            step.meaning,
            short(step.min, 0.0),
            short(step.mean, 0.0),
            short(step.max, 0.0)
        );
        let mut picture = self.picture_of(step)?;
        if let Some(gradient) = &step.gradient {
            let (least, most) = (tiny(gradient.min, 1), tiny(gradient.max, 1));
            words.push_str(&format!(" Its gradient: {}, from {least} to {most}.", gradient.meaning));
            picture = beside(400, [picture, self.picture_of(gradient)?]);
        }
        let html = format!("<div>{}{picture}{}</div>", paragraph(&words), self.written(step)?);
        Ok(Html { html, alt: words })
    }

    /// The text, spaces and newlines visible.
    pub(crate) fn visible_text(&self) -> String {
        self.text.chars().map(visible).collect()
    }

    /// The heatmaps of a step: one, or one for each head.
    pub(crate) fn picture_of(&self, step: &TraceStep) -> Result<String> {
        let matrices = matrices(&step.tensor)?;
        let many = matrices.len() > 1;
        let pictures = matrices.iter().enumerate().map(|(number, matrix)| {
            let title = if many { format!("{} of head {number}", step.name) } else { step.name.clone() };
            let largest = if many { 20 } else { 28 };
            Ok(self
                .labelled(step, Heatmap::new(matrix)?.title(&title).quantity(step.quantity).largest_cell(largest))?
                .draw()?
                .html())
        });
        Ok(beside(400, pictures.collect::<Result<Vec<String>>>()?))
    }

    /// Characters on the axes that are time, numbers on the others.
    fn labelled(&self, step: &TraceStep, heatmap: Heatmap) -> Result<Heatmap> {
        let [.., row_axis, column_axis] = &step.axes[..] else { return Ok(heatmap) };
        let size = step.tensor.size();
        let labels = |axis: &str, length: i64| match axis {
            axis if axis.starts_with("time") && length as usize <= self.labels.len() => {
                self.labels[..length as usize].to_vec()
            }
            "n_vocab" => (0..length).map(|id| self.tokenizer.named(id as f64)).collect(),
            _ => Vec::new(),
        };
        let [.., rows, columns] = size[..] else { return Ok(heatmap) };
        let heatmap = if row_axis == "batch" { heatmap } else { heatmap.row_labels(row_axis, &labels(row_axis, rows)) };
        Ok(heatmap.column_labels(column_axis, &labels(column_axis, columns)))
    }

    /// The first numbers of a step, folded away.
    fn written(&self, step: &TraceStep) -> Result<String> {
        let matrices = matrices(&step.tensor)?;
        let Some(first) = matrices.first() else { return Ok(String::new()) };
        let [rows, columns] = first.size()[..] else { return Ok(String::new()) };
        let (shown_rows, shown_columns) = ((rows as usize).min(WRITTEN), (columns as usize).min(WRITTEN));
        let all = numbers(first)?;
        let mut table = String::new();
        for row in 0..shown_rows {
            let label =
                if step.tensor.dim() > 2 { self.labels.get(row).cloned().unwrap_or_default() } else { String::new() };
            table.push_str(&format!("<tr><th scope=\"row\" style=\"padding:1px 6px\">{}</th>", escape(&label)));
            for column in 0..shown_columns {
                let number = all[row * columns as usize + column];
                let text =
                    if number.is_finite() { format!("{number:.3}").replace('-', "−") } else { short(number, 1.0) };
                table.push_str(&format!("<td style=\"{NUMBER};padding:1px 6px\">{text}</td>"));
            }
            table.push_str("</tr>");
        }
        let head = if matrices.len() > 1 { " of head 0" } else { "" };
        Ok(format!(
            "<details><summary>the first {shown_rows} × {shown_columns} of {rows} × {columns} numbers{head}</summary>\
             <table style=\"table-layout:auto;border-collapse:collapse;font-size:12px\">{table}</table></details>"
        ))
    }
}

fn head(backward: bool) -> String {
    let slopes: &[&str] = if backward { &["∂loss/∂number"] } else { &[] };
    let names = ["step and shape", "numbers", "min", "mean", "max"].iter().chain(slopes);
    let cell = |name: &&str| format!("<th scope=\"col\" style=\"padding:3px 8px;text-align:left\">{name}</th>");
    let cells: String = names.chain(&["formula, and what one number means"]).map(cell).collect();
    format!("<thead><tr>{cells}</tr></thead>")
}

fn step_row(step: &TraceStep, backward: bool) -> Result<String> {
    let size = step.min.abs().max(step.max.abs());
    let odd = match step.not_finite {
        0 => String::new(),
        count => format!(" · {count} of {} not finite", step.tensor.numel()),
    };
    let mut html = format!(
        "<tr><th scope=\"row\" style=\"{CELL};font-weight:600\"><code>{}</code><br><span \
         style=\"font-weight:400;opacity:.75;font-size:12px\">{}</span></th><td style=\"{CELL}\">{}</td>",
        escape(&step.name),
        escape(&step.axes_and_sizes()),
        small_pictures(step)?
    );
    for number in [step.min, step.mean, step.max] {
        html.push_str(&format!("<td style=\"{NUMBER}\">{}</td>", short(number, size)));
    }
    if let Some(gradient) = &step.gradient {
        let (least, most) = (tiny(gradient.min, 1), tiny(gradient.max, 1));
        html.push_str(&format!("<td style=\"{CELL}\">{}<br>", small_pictures(gradient)?));
        html.push_str(&format!("<span style=\"opacity:.8;font-size:12px\">{least} to {most}</span></td>"));
    } else if backward {
        html.push_str(&format!("<td style=\"{CELL}\">–</td>"));
    }
    let formula = match step.formula.as_str() {
        "" => String::new(),
        formula => format!("<code>{}</code><br>", escape(formula)),
    };
    html.push_str(&format!(
        "<td style=\"{CELL};min-width:17em\">{formula}<span style=\"opacity:.8\">{}{odd}</span></td></tr>",
        escape(&step.meaning)
    ));
    Ok(html)
}

/// A step in numbers, without pictures.
fn plain_row(step: &TraceStep) -> String {
    let size = step.min.abs().max(step.max.abs());
    let numbers =
        [step.min, step.mean, step.max].map(|number| format!("<td style=\"{NUMBER}\">{}</td>", short(number, size)));
    let slopes = step.gradient.as_ref().map_or(String::new(), |gradient| {
        format!("<td style=\"{CELL}\">{} to {}</td>", tiny(gradient.min, 1), tiny(gradient.max, 1))
    });
    format!(
        "<tr><th scope=\"row\" style=\"{CELL}\"><code>{}</code></th><td style=\"{CELL}\">.open(…) shows it</td>{}{slopes}\
         <td style=\"{CELL}\">{}</td></tr>",
        escape(&step.name),
        numbers.concat(),
        escape(&step.axes_and_sizes())
    )
}

/// A step's matrices: one for each head, of the first text of the batch.
fn matrices(tensor: &Tensor) -> Result<Vec<Tensor>> {
    Ok(match tensor.dim() {
        0 => vec![tensor.f_reshape([1, 1])?],
        1 => vec![tensor.f_unsqueeze(0)?],
        2 => vec![tensor.shallow_clone()],
        3 => vec![tensor.f_get(0)?],
        _ => {
            let heads = tensor.f_get(0)?;
            (0..heads.size()[0]).map(|head| Ok(heads.f_get(head)?)).collect::<Result<_>>()?
        }
    })
}

fn small_pictures(step: &TraceStep) -> Result<String> {
    if step.name == "ids" {
        let ids = numbers(&step.tensor)?;
        let first: Vec<String> = ids.iter().take(8).map(|id| format!("{id:.0}")).collect();
        return Ok(first.join(" ") + if ids.len() > 8 { " …" } else { "" });
    }
    let all = matrices(&step.tensor)?;
    let scale = Scale::new(step.quantity, &numbers(&step.tensor)?);
    let shown = all.len().min(HEADS);
    let mut html = String::from("<span style=\"white-space:nowrap\">");
    for matrix in all.iter().take(shown) {
        html.push_str(&small_picture(matrix, scale, ROOM / shown.max(1))?);
    }
    if all.len() > shown {
        html.push_str(&format!(" +{}", all.len() - shown));
    }
    Ok(html + "</span>")
}

/// A matrix as an image of at most 48 points down and so many pixels across; of larger ones, evenly spaced rows and
/// columns.
fn small_picture(matrix: &Tensor, scale: Scale, pixels: usize) -> Result<String> {
    let [rows, columns] = matrix.size()[..] else { return Ok(String::new()) };
    let (rows, columns) = (rows as usize, columns as usize);
    let all = numbers(matrix)?;
    let (high, wide) = (rows.clamp(1, SMALL), columns.clamp(1, 2 * SMALL));
    let mut points = Vec::with_capacity(high * wide);
    for row in 0..high {
        for column in 0..wide {
            points.push(all[row * rows / high * columns + column * columns / wide]);
        }
    }
    let zoom = (SMALL as f64 / high as f64).min((pixels - 3) as f64 / wide as f64).min(6.0);
    let size = |points: usize| ((points as f64 * zoom) as usize).max(3);
    Ok(format!(
        "<img alt=\"\" width=\"{}\" height=\"{}\" style=\"image-rendering:pixelated;max-width:none;margin:0 3px 0 0;\
         display:inline-block;vertical-align:top\" src=\"{}\">",
        size(wide),
        size(high),
        image(&points, wide, scale)
    ))
}

shown!(Trace, html? or words);

#[cfg(test)]
mod tests {
    use super::Html;
    use crate::model::TransformerConfig;
    use crate::trace::Traceable;
    use crate::trace::tests::{awake, variants};

    #[test]
    fn the_table_has_a_row_for_each_step_and_says_what_it_checked() {
        for config in variants() {
            let trace = awake(config).trace("Once upon a time").unwrap();
            let html = trace.html().unwrap().html;
            // A folded block has a line of its own, and a head; one whose formulas are others is told whole.
            let folded = html.matches("<details>").count();
            let blocks = trace.steps.iter().filter(|step| step.name.ends_with(".after_mlp")).count();
            let most = if config.window.is_some() { blocks } else { 1 + usize::from(config.previous_head) };
            assert!((1..=most).contains(&(blocks - folded)), "{folded} of {blocks}");
            assert_eq!(html.matches("<tr>").count(), trace.steps.len() + 1 + 2 * folded);
            assert!(trace.steps.iter().all(|step| html.contains(&format!("<code>{}</code>", step.name))));
            assert!(html.contains("max_abs_error 0") && html.contains("data:image/png"));
            assert!(html.len() < 700_000, "{}", html.len());
        }
    }

    #[test]
    fn of_many_blocks_the_first_and_the_last_have_pictures() {
        let model = awake(TransformerConfig { n_layers: 30, ..TransformerConfig::small() });
        for trace in [model.trace("Once upon a time").unwrap(), model.backward("Once upon a time").unwrap()] {
            let html = trace.html().unwrap().html;
            assert!(trace.steps.iter().all(|step| html.contains(&format!("<code>{}</code>", step.name))));
            let pictured = |block: usize| {
                let begin = html.find(&format!("<code>block.{block}.attn.scores</code>")).unwrap();
                html[begin..begin + 900].contains("data:image/png")
            };
            assert!(pictured(0) && pictured(29) && !pictured(1) && !pictured(28));
            assert!(html.len() < 1_500_000, "{}", html.len());
        }
    }

    #[test]
    fn every_step_can_be_opened() {
        for config in variants() {
            let trace = awake(config).trace("On ce\n").unwrap();
            for step in &trace.steps {
                let opened = trace.open(&step.name).unwrap();
                assert!(opened.html.contains("<svg") && opened.alt.starts_with(&step.name), "{}", step.name);
            }
            let single = awake(config).trace("O").unwrap();
            assert!(single.steps.iter().all(|step| single.open(&step.name).is_ok()));
        }
    }

    #[test]
    fn a_story_with_a_script_in_it_stays_text() {
        let trace = awake(TransformerConfig::original()).trace("<script>alert('x')</script>").unwrap();
        let pages = [trace.html().unwrap(), trace.open("block.0.attn.weights").unwrap(), trace.open("logits").unwrap()];
        let scripts = |page: &Html| page.html.matches("<script").count();
        assert!(pages.iter().all(|page| scripts(page) == page.html.matches("glasslab-picture").count()));
    }
}
