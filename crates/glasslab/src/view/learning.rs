//! A watched training in pictures.

use super::embedding::{farthest, points};
use super::flipbook::{Flip, flipbook};
use super::lines::{Axis, COLOURS, Lines, Mark};
use super::{Bars, EmbeddingMap, Heatmap, Html, shown};
use crate::display::Picture;
use crate::error::{Error, Result};
use crate::tokenizer::visible;
use crate::train::{Glance, Learning, Lengths};
use tch::Tensor;

/// The characters of the film's map.
const ON_THE_MAP: &str = "abcdefghijklmnopqrstuvwxyzTSHLMOB .,!?\"'\n";
/// The bars of the film.
const BARS: usize = 12;
/// The most frames of a film: of more moments, evenly spaced ones are taken.
const MOST_FRAMES: usize = 30;

impl Learning {
    /// The length of each parameter's gradient over the training: a row for each parameter, a column for each moment; colours
    /// are logarithmic. Rows that fade have little to learn, or learn nothing because nothing reaches them.
    ///
    /// # Errors
    /// If nothing was watched yet.
    pub fn gradients(&self) -> Result<Heatmap> {
        self.heatmap("length of the gradient (logarithmic colours)", |row| row.gradient)
    }

    /// The length of each step as a share of its parameter's: about a thousandth is usual; near 1 all is overturned.
    ///
    /// # Errors
    /// If nothing was watched yet.
    pub fn updates(&self) -> Result<Heatmap> {
        self.heatmap("length of the step / length of the parameter (logarithmic colours)", Lengths::ratio)
    }

    fn heatmap(&self, title: &str, number: impl Fn(&Lengths) -> f64) -> Result<Heatmap> {
        let glances = self.some()?;
        let rows = glances[0].lengths.len();
        let numbers: Vec<f64> = (0..rows)
            .flat_map(|row| glances.iter().map(move |glance| (row, glance)))
            .map(|(row, glance)| glance.lengths.get(row).map_or(f64::NAN, &number).log10())
            .collect();
        let matrix = Tensor::f_from_slice(&numbers)?.f_view([rows as i64, glances.len() as i64])?;
        let names: Vec<String> = glances[0].lengths.iter().map(|row| row.name.clone()).collect();
        let steps: Vec<String> = glances.iter().map(|glance| glance.done.to_string()).collect();
        Ok(Heatmap::new(&matrix)?.powers().title(title).row_labels("parameter", &names).column_labels("step", &steps))
    }

    /// The share of dead units over the training, a line for each step of the forward pass named `activated`: units that are 0
    /// at every place of the text.
    ///
    /// # Errors
    /// If nothing was watched yet, or the model has no such step.
    pub fn dead_units(&self) -> Result<Picture> {
        let glances = self.some()?;
        let names: Vec<&String> = glances[0].dead.iter().map(|(name, _)| name).collect();
        if names.is_empty() {
            return Err(Error::Drawing(
                "this model has no step named `activated`: let its forward pass tell, \
                 `let activated = probe.at(\"activated\", activated);`"
                    .to_owned(),
            ));
        }
        let highest =
            glances.iter().flat_map(|glance| &glance.dead).map(|(_, share)| 100.0 * share).fold(10.0, f64::max);
        let percent = Axis { low: Some(0.0), high: Some(highest), ..Axis::new("units that are 0 everywhere (%)") };
        let mut lines = Lines::new(Axis::new("step"), percent);
        lines.title = format!("dead units on “{}”", shortened(&self.text));
        let mut told = Vec::new();
        for (place, name) in names.into_iter().enumerate() {
            let share = |glance: &Glance| Some((glance.done as f64, 100.0 * glance.dead.get(place)?.1));
            let points: Vec<(f64, f64)> = glances.iter().filter_map(share).collect();
            if let (Some(first), Some(last)) = (points.first(), points.last()) {
                told.push(format!("{name} from {:.0} % to {:.0} %", first.1, last.1));
            }
            lines.add(name, points, COLOURS[place % COLOURS.len()], Mark::Line);
        }
        lines.draw(format!("Share of dead units over the training: {}", told.join(", ")))
    }

    /// A film with a slider: the map of the embedding and what the model expects after the text, as they move. The map shows
    /// the two directions in which the last embedding differs most.
    ///
    /// # Errors
    /// If nothing was watched yet.
    pub fn film(&self) -> Result<Html> {
        let glances = self.some()?;
        let count = glances.len().min(MOST_FRAMES);
        let chosen: Vec<&Glance> =
            (0..count).map(|place| &glances[place * (glances.len() - 1) / (count - 1).max(1)]).collect();
        let maps = self.maps(&chosen)?;
        let title = format!("after “{}”", shortened(&self.text));
        let likeliest = likeliest(chosen.last().map_or(&[], |glance| &glance.next));
        let flips = chosen.iter().zip(maps).map(|(glance, map)| {
            let bars = likeliest
                .iter()
                .map(|&id| (glance.tokenizer.named(id as f64), glance.next.get(id).copied().unwrap_or(0.0)))
                .collect();
            let bars = Bars::new(&title, bars).draw()?;
            let pictures = map.into_iter().chain([bars]).collect();
            let caption =
                format!("step {} · {:.3} {} on its batch", glance.done, glance.loss, glance.tokenizer.unit().nats);
            Ok(Flip { caption, pictures })
        });
        flipbook("A model while it learns", &flips.collect::<Result<Vec<Flip>>>()?, &self.to_string())
    }

    /// The maps of all chosen moments, along the directions of the last and at its scale; none without an embedding.
    fn maps(&self, chosen: &[&Glance]) -> Result<Vec<Option<Picture>>> {
        let map = |glance: &Glance| match &glance.embedding {
            Some(embedding) => {
                let n_vocab = embedding.size()[0] as u32;
                let known: String = ON_THE_MAP.chars().filter(|&letter| u32::from(letter) < n_vocab).collect();
                EmbeddingMap::characters(embedding, &known).map(Some)
            }
            None => Ok(None),
        };
        let maps: Vec<Option<EmbeddingMap>> = chosen.iter().map(|glance| map(glance)).collect::<Result<_>>()?;
        let Some(Some(last)) = maps.last() else { return Ok(maps.iter().map(|_| None).collect()) };
        let (directions, _) = last.directions()?;
        let places = maps.iter().map(|map| map.as_ref().map(|map| points(&map.along(&directions)?)).transpose());
        let places: Vec<Option<Vec<(f64, f64)>>> = places.collect::<Result<_>>()?;
        let far = farthest(&places.iter().flatten().flatten().copied().collect::<Vec<_>>());
        let drawn = maps.iter().zip(&places).map(|(map, points)| match (map, points) {
            (Some(map), Some(points)) => map.drawn(points, far, "map of the embedding").map(Some),
            _ => Ok(None),
        });
        drawn.collect()
    }

    /// All pictures below each other.
    ///
    /// # Errors
    /// If nothing was watched yet.
    pub fn html(&self) -> Result<Html> {
        let mut html = String::from("<div>");
        for heatmap in [self.gradients()?, self.updates()?] {
            html.push_str(&heatmap.draw()?.html());
        }
        if let Ok(dead) = self.dead_units() {
            html.push_str(&dead.html());
        }
        Ok(Html { html: html + &self.film()?.html + "</div>", alt: self.to_string() })
    }
}

/// The likeliest of some probabilities.
fn likeliest(probabilities: &[f64]) -> Vec<usize> {
    let mut ids: Vec<usize> = (0..probabilities.len()).collect();
    ids.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    ids.truncate(BARS);
    ids
}

/// A text as a title has it: its end.
fn shortened(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let dots = if letters.len() > 32 { "…" } else { "" };
    let end = letters[letters.len().saturating_sub(32)..].iter().map(|&letter| visible(letter));
    format!("{dots}{}", end.collect::<String>())
}

shown!(Learning, html?);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Stories, Tokens};
    use crate::model::{MlpConfig, MlpLm};
    use crate::tokenizer::CharTokenizer;
    use crate::train::{Length, TrainConfig};
    use tch::Device;

    fn tokens() -> Tokens {
        let stories = Stories::parse(&"Once upon a time there was a cat. ".repeat(8)).unwrap();
        Tokens::encode(&stories, &CharTokenizer::default()).unwrap()
    }

    fn config() -> TrainConfig {
        TrainConfig { length: Length::Steps(5), batch_size: 2, context_len: 16, reports: 1, ..TrainConfig::default() }
    }

    fn watched() -> Learning {
        let mut model = MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap();
        let mut learning = Learning::new("Once</script>").every(1);
        learning.train(&mut model, &tokens(), &tokens(), &config()).unwrap();
        learning
    }

    #[test]
    fn every_parameter_is_a_row_and_every_moment_a_column() {
        let learning = watched();
        for heatmap in [learning.gradients().unwrap(), learning.updates().unwrap()] {
            let picture = heatmap.draw().unwrap();
            assert!(picture.alt.contains("5 rows (parameter) × 5 columns (step)"), "{}", picture.alt);
            assert!(picture.svg.contains("hidden.weight"));
        }
        let dead = learning.dead_units().unwrap();
        assert!(dead.alt.contains("activated from ") && !dead.svg.contains("</script>"), "{}", dead.alt);
    }

    #[test]
    fn the_film_has_a_frame_for_each_moment_with_map_and_bars() {
        let html = watched().film().unwrap().html;
        assert_eq!(html.matches("nats/char on its batch").count(), 5 + 1, "and once as a still picture");
        assert!(html.contains("map of the embedding") && html.contains("step 4 ·"));
        assert_eq!(html.matches("</script>").count(), 2 + 2, "the frames, the flipbook's own, and the still pictures'");
    }

    #[test]
    fn without_an_embedding_the_bars_are_filmed_alone() {
        let mut learning = watched();
        learning.glances.iter_mut().for_each(|glance| glance.embedding = None);
        assert!(!learning.film().unwrap().html.contains("map of the embedding"));
        learning.glances.iter_mut().for_each(|glance| glance.dead.clear());
        assert!(learning.dead_units().unwrap_err().to_string().contains("probe.at"));
        assert!(learning.html().is_ok());
    }
}
