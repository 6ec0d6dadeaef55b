//! The logit lens: what each layer would predict if it were the last.
//!
//! The stream after a layer is put in place of the stream after the last one; the model's own final norm and output
//! head read it. Early layers know little, late ones more: one sees where a prediction is made.
//! Source: nostalgebraist, "interpreting GPT: the logit lens", 2020.

use crate::error::{Error, Result};
use crate::intervene::{Altered, Changes, Patch};
use crate::model::LanguageModel;
use crate::model::Probe;
use crate::numbers::numbers;
use crate::stopping::Listening;
use crate::tokenizer::AnyTokenizer;
use crate::trace::{Traceable, is_stream};
use std::fmt::{self, Display};
use tch::{Kind, Tensor};

/// So many logits at once, at most: 256 MB.
const LOGITS: usize = 1 << 26;
/// Of more rows, one for each block is shown.
const ROWS: usize = 24;

/// What one layer would predict.
#[derive(Debug, Clone, PartialEq)]
pub struct LensRow {
    /// The step whose stream is read, e.g. `block.0.after_mlp`.
    pub step: String,
    /// For each character, or token, the likeliest next one and its probability.
    pub predictions: Vec<(String, f64)>,
    /// The mean loss of the text's predictions in nats for each of them; `None` for a single one.
    pub nats: Option<f64>,
}

/// What each layer would predict.
#[derive(Debug, Clone, PartialEq)]
pub struct Lens {
    /// The characters, or tokens, of the text.
    pub labels: Vec<String>,
    /// The layers, from the embedding on; the last is the model's own prediction.
    pub rows: Vec<LensRow>,
    /// Whether one row is shown for each block, and not one for each of its halves.
    pub by_block: bool,
    /// What a mean loss is counted in.
    pub(crate) unit: &'static str,
}

impl Lens {
    /// Reads every layer of a model on a text.
    ///
    /// # Errors
    /// If the model has no layers to read, can't take the text, or the stop button is pressed.
    pub fn new(model: &impl Traceable, text: &str) -> Result<Lens> {
        let trace = model.trace(text)?;
        let steps: Vec<&str> =
            trace.steps.iter().map(|step| step.name.as_str()).filter(|name| is_stream(name)).collect();
        let Some(&last) = steps.last().filter(|name| name.ends_with(".after_mlp")) else {
            return Err(Error::Config("this model has no layers to read: take a transformer with a block".to_owned()));
        };
        // The stream begins with what enters the first block: places are added before, if they are learnt.
        let first = steps.iter().position(|step| step.starts_with("block.")).unwrap_or(1).saturating_sub(1);
        let _guard = tch::no_grad_guard();
        let ids = trace.step("ids")?.tensor.shallow_clone(); // (1, T)
        let mut listening = Listening::new("layers were read: read them again, or with a shorter text");
        let at_once = (LOGITS / (trace.labels.len() * model.n_vocab() as usize).max(1)).max(1);
        let mut rows = Vec::new();
        for some in steps[first..].chunks(at_once) {
            listening.go_on()?;
            let streams: Vec<Tensor> =
                some.iter().map(|step| Ok(trace.step(step)?.tensor.shallow_clone())).collect::<Result<_>>()?;
            for (step, logits) in some.iter().zip(read(model, &ids, last, &streams)?) {
                listening.go_on()?;
                rows.push(LensRow::new(step, &logits, &ids, &trace.tokenizer)?);
            }
        }
        let by_block = rows.len() > ROWS;
        Ok(Lens { labels: trace.labels.clone(), rows, by_block, unit: trace.tokenizer.unit().nats })
    }

    /// The same with one row for each block, or with one for each of its halves: behind the attention, and behind the MLP.
    pub fn by_block(self, by_block: bool) -> Lens {
        Lens { by_block, ..self }
    }

    /// The rows that are shown.
    pub fn shown(&self) -> Vec<&LensRow> {
        self.rows.iter().filter(|row| !(self.by_block && row.step.ends_with(".after_attn"))).collect()
    }
}

/// What the final norm and the output head make of each stream: the model's own forward pass, whose last stream becomes
/// these, as the rows of a batch.
///
/// # Shapes
/// `streams`: (1, T, C) each → (1, T, V) each
fn read(model: &impl Traceable, ids: &Tensor, last: &str, streams: &[Tensor]) -> Result<Vec<Tensor>> {
    let rows = streams.len() as i64;
    let mut instead = Instead { step: last, streams: Tensor::f_cat(streams, 0)? };
    match model.forward_with(ids, &mut instead) {
        Ok(logits) if matches!(logits.size()[..], [batch, _, _] if batch == rows) => Ok(logits.f_split(1, 0)?),
        // A model that can't take more rows than it was given gets them one by one.
        _ => streams
            .iter()
            .map(|stream| Altered::new(model, &Changes::from(Patch::put(last, stream.shallow_clone()))).logits(ids))
            .collect(),
    }
}

/// Gives the model other numbers in the place of a step's.
struct Instead<'a> {
    step: &'a str,
    streams: Tensor,
}

impl Probe for Instead<'_> {
    fn at(&mut self, name: impl Display, tensor: Tensor) -> Tensor {
        if name.to_string() == self.step { self.streams.shallow_clone() } else { tensor }
    }
}

impl fmt::Display for Lens {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.shown();
        let wide = rows.iter().map(|row| row.step.len()).max().unwrap_or(0);
        // Below each other also where a token is several letters.
        let letters = |place: usize| {
            let names = rows.iter().map(|row| &row.predictions[place].0).chain([&self.labels[place]]);
            names.map(|name| name.chars().count()).max().unwrap_or(1)
        };
        let letters: Vec<usize> = (0..self.labels.len()).map(letters).collect();
        let line = |names: Vec<&str>| {
            let cells: Vec<String> = names.iter().zip(&letters).map(|(name, wide)| format!("{name:<wide$}")).collect();
            cells.join(" ")
        };
        let labels = line(self.labels.iter().map(String::as_str).collect());
        writeln!(out, "{:>wide$}  {labels}   {}", "after", self.unit)?;
        for row in rows {
            let names = line(row.predictions.iter().map(|(name, _)| name.as_str()).collect());
            let loss = row.nats.map_or(String::new(), |nats| format!("{nats:.3}"));
            writeln!(out, "{:>wide$}  {names}   {loss}", row.step)?;
        }
        match self.rows.len() - self.shown().len() {
            0 => Ok(()),
            hidden => {
                writeln!(out, "one row for each block; {hidden} more behind the attentions with .by_block(false)")
            }
        }
    }
}

impl LensRow {
    fn new(step: &str, logits: &Tensor, ids: &Tensor, tokenizer: &AnyTokenizer) -> Result<LensRow> {
        let log_p = logits.f_get(0)?.f_log_softmax(-1, Kind::Double)?; // (T, V)
        let (best, best_ids) = log_p.f_max_dim(-1, false)?; // (T) each
        let named = |(p, id): (&f64, &f64)| (tokenizer.named(*id), p.exp());
        let predictions = numbers(&best)?.iter().zip(&numbers(&best_ids)?).map(named).collect();
        let time = ids.size()[1];
        let nats = match time {
            ..2 => None,
            _ => {
                let next = ids.f_get(0)?.f_narrow(0, 1, time - 1)?.f_unsqueeze(-1)?; // (T − 1, 1)
                let chosen = log_p.f_narrow(0, 0, time - 1)?.f_gather(-1, &next, false)?; // (T − 1, 1)
                Some(-chosen.f_mean(Kind::Double)?.f_double_value(&[])?)
            }
        };
        Ok(LensRow { step: step.to_owned(), predictions, nats })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Mine, MlpConfig, MlpLm, TransformerConfig};
    use crate::tokenizer::visible;
    use crate::trace::tests::{awake, variants};
    use tch::Device;

    #[test]
    fn the_last_layer_predicts_what_the_model_does() {
        for config in variants() {
            let model = awake(config);
            let (lens, trace) = (Lens::new(&model, "Once upon").unwrap(), model.trace("Once upon").unwrap());
            assert_eq!(lens.rows.len() as i64, 1 + 2 * config.n_layers);
            let own = lens.rows.last().unwrap();
            assert!((own.nats.unwrap() - trace.loss().unwrap()).abs() < 1e-4, "{lens}");
            let logits = &trace.step("logits").unwrap().tensor;
            for (place, (name, _)) in own.predictions.iter().enumerate() {
                let id = logits.get(0).get(place as i64).argmax(-1, false).int64_value(&[]);
                assert_eq!(*name, visible(char::from_u32(id as u32).unwrap()));
            }
        }
    }

    #[test]
    fn all_layers_at_once_are_what_each_by_itself_is() {
        fn is_so(model: &impl Traceable) {
            let (lens, trace) = (Lens::new(model, "Once upon").unwrap(), model.trace("Once upon").unwrap());
            let last = &lens.rows.last().unwrap().step;
            let ids = &trace.step("ids").unwrap().tensor;
            for row in &lens.rows {
                let changes = Changes::from(Patch::put(last, trace.step(&row.step).unwrap().tensor.copy()));
                let logits = Altered::new(model, &changes).logits(ids).unwrap();
                let alone = LensRow::new(&row.step, &logits, ids, &trace.tokenizer).unwrap();
                let off = (alone.nats.unwrap() - row.nats.unwrap()).abs();
                assert!(off < 1e-5 && alone.predictions.len() == row.predictions.len(), "{}: {off}", row.step);
            }
        }
        for config in variants() {
            is_so(&awake(config));
        }
        is_so(&Mine::new());
    }

    #[test]
    fn of_many_layers_one_row_a_block_is_shown_unless_all_are_asked_for() {
        let lens = Lens::new(&awake(TransformerConfig { n_layers: 14, ..TransformerConfig::small() }), "Once").unwrap();
        let rows = |lens: &Lens| lens.html().html.matches("<code>").count();
        assert_eq!((lens.rows.len(), lens.shown().len(), rows(&lens)), (29, 15, 15));
        assert!(lens.to_string().contains("14 more"), "{lens}");
        let all = lens.by_block(false);
        assert_eq!((all.shown().len(), rows(&all)), (29, 29));
        assert!(!Lens::new(&awake(TransformerConfig::small()), "Once").unwrap().by_block);
    }

    #[test]
    fn before_the_first_layer_a_character_knows_of_no_other() {
        let model = awake(TransformerConfig::small());
        let first = |text: &str| Lens::new(&model, text).unwrap().rows[0].predictions.last().cloned().unwrap();
        let (one, other) = (first("Once upon"), first("xyz n"));
        assert!(one.0 == other.0 && (one.1 - other.1).abs() < 1e-6, "{one:?} {other:?}");
    }

    #[test]
    fn odd_texts_and_models_without_layers_are_handled() {
        let model = awake(TransformerConfig::original());
        assert!(Lens::new(&model, "O").unwrap().html().html.contains("Logit lens"));
        assert!(!Lens::new(&model, "Once").unwrap().html().html.contains("\"></th>"), "no head of a table is empty");
        assert!(!Lens::new(&model, "<script>").unwrap().html().html.contains("<script"));
        let mlp = MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap();
        assert!(Lens::new(&mlp, "Once").unwrap_err().to_string().contains("no layers"));
    }
}
