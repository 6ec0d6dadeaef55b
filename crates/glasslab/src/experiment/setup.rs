//! What a variant of an experiment was: its model, its training, its text. Two of them are compared setting by setting.

use crate::data::{Checksum, Text};
use crate::model::Trainable;
use crate::train::TrainConfig;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tch::{Device, Kind};

/// Settings of a training that don't decide how it ends.
const NO_MATTER: [&str; 2] = ["seed", "autosave"];

/// What was trained, how, and on what.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Setup {
    /// The seeds, one for each loss.
    pub seeds: Vec<i64>,
    /// The model's settings and those of its training, `training.…`, by name, without the seed. A model of one's own has its
    /// type's name, and the shapes of its parameters.
    pub settings: Vec<(String, String)>,
    /// Characters learnt from by each seed.
    pub chars: usize,
    /// What was learnt from, and what was measured on.
    pub texts: [Text; 2],
}

impl Setup {
    /// Of a model, its training, and the texts that it learns from and is measured on. `chars` is not known yet.
    pub fn new<M: Trainable>(model: &M, training: &TrainConfig, seeds: Vec<i64>, texts: [Text; 2]) -> Setup {
        let mut settings = Vec::new();
        match model_settings(model) {
            Some(config) => add(&mut settings, "", &config),
            None => {
                let name = std::any::type_name::<M>();
                settings.push(("model".to_owned(), name.rsplit("::").next().unwrap_or(name).to_owned()));
                let shape = |size: Vec<i64>| size.iter().map(i64::to_string).collect::<Vec<String>>().join(" × ");
                let shapes = model
                    .parameters()
                    .into_iter()
                    .map(|one| (format!("shape of {}", one.name), shape(one.tensor.size())));
                settings.extend(shapes);
            }
        }
        add(&mut settings, "training.", &object(training));
        Setup { seeds, settings, chars: 0, texts }
    }

    /// The value of a setting.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// All that decides what comes of a training; `None` for a model whose forward pass the library does not know.
///
/// The model's numbers count as well: it may have learnt something before.
pub(super) fn key(model: &impl Trainable, training: &TrainConfig, texts: [Text; 2]) -> Option<String> {
    let settings = model_settings(model)?;
    let mut training = object(training);
    training.remove("autosave");
    let mut numbers = Checksum::default();
    for parameter in model.parameters() {
        let tensor = parameter.tensor.f_detach().ok()?.f_to_device(Device::Cpu).ok()?.f_to_kind(Kind::Float).ok()?;
        let flat: Vec<f32> = Vec::try_from(tensor.f_contiguous().ok()?.f_view([-1]).ok()?).ok()?;
        numbers.add(&flat.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>());
    }
    Some(format!("{settings:?} {:x} {training:?} {texts:?}", numbers.value()))
}

fn model_settings(model: &impl Trainable) -> Option<Map<String, Value>> {
    model.settings().map(|config| object(&config))
}

fn object(config: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(config) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn add(settings: &mut Vec<(String, String)>, prefix: &str, fields: &Map<String, Value>) {
    let counts = fields.iter().filter(|(name, _)| !NO_MATTER.contains(&name.as_str()));
    settings.extend(counts.map(|(name, value)| (format!("{prefix}{name}"), said(value))));
}

/// A value in words: `4`, `rotary`, `300 steps`.
fn said(value: &Value) -> String {
    match value {
        Value::String(text) => text.replace('_', " "),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Null => "none".to_owned(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| format!("{} {name}", said(value))).collect::<Vec<String>>().join(", ")
        }
        other => other.to_string(),
    }
}
