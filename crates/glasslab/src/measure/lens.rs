//! The logit lens: what each layer would predict if it were the last.
//!
//! The stream after a layer is put in place of the stream after the last one; the model's own final norm and output
//! head read it. Early layers know little, late ones more: one sees where a prediction is made.
//! Source: nostalgebraist, "interpreting GPT: the logit lens", 2020.

use crate::error::{Error, Result};
use crate::intervene::{Altered, Changes, Patch};
use crate::model::LanguageModel;
use crate::numbers::numbers;
use crate::stopping::Listening;
use crate::tokenizer::AnyTokenizer;
use crate::trace::Traceable;
use std::fmt;
use tch::{Kind, Tensor};

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
        let stream = |name: &str| {
            matches!(name, "embedded" | "positioned") || name.ends_with(".after_attn") || name.ends_with(".after_mlp")
        };
        let steps: Vec<&str> = trace.steps.iter().map(|step| step.name.as_str()).filter(|name| stream(name)).collect();
        let Some(&last) = steps.last().filter(|name| name.ends_with(".after_mlp")) else {
            return Err(Error::Config("this model has no layers to read: take a transformer with a block".to_owned()));
        };
        // With learnt places, the stream begins after they are added.
        let first = usize::from(steps.get(1) == Some(&"positioned"));
        let _guard = tch::no_grad_guard();
        let ids = trace.step("ids")?.tensor.shallow_clone(); // (1, T)
        let mut listening = Listening::new("layers were read: read them again, or with a shorter text");
        let rows = steps[first..].iter().map(|&step| {
            listening.go_on()?;
            let patch = Patch { step: last.to_owned(), tensor: trace.step(step)?.tensor.copy(), place: None };
            let logits = Altered::new(model, &Changes::from(patch)).logits(&ids)?; // (1, T, V)
            LensRow::new(step, &logits, &ids, &trace.tokenizer)
        });
        let rows = rows.collect::<Result<_>>()?;
        Ok(Lens { labels: trace.labels.clone(), rows, unit: trace.tokenizer.unit().nats })
    }
}

impl fmt::Display for Lens {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wide = self.rows.iter().map(|row| row.step.len()).max().unwrap_or(0);
        writeln!(out, "{:>wide$}  {}   {}", "after", self.labels.join(" "), self.unit)?;
        for row in &self.rows {
            let names: Vec<&str> = row.predictions.iter().map(|(name, _)| name.as_str()).collect();
            let loss = row.nats.map_or(String::new(), |nats| format!("{nats:.3}"));
            writeln!(out, "{:>wide$}  {}   {loss}", row.step, names.join(" "))?;
        }
        Ok(())
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
    use crate::model::{MlpConfig, MlpLm, TransformerConfig};
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
        assert!(!Lens::new(&model, "<script>").unwrap().html().html.contains("<script"));
        let mlp = MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap();
        assert!(Lens::new(&mlp, "Once").unwrap_err().to_string().contains("no layers"));
    }
}
