//! The controls of an interaction, and their values.

use glasslab_wire::Bundle;
use serde_json::{Map, Value, json};

/// The values of the controls.
#[derive(Debug, Clone, Default)]
pub struct Values(pub(super) Vec<(String, Value)>);

impl Values {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The number that the slider of this name stands at; 0 if there is none.
    pub fn number(&self, name: &str) -> f64 {
        self.get(name).and_then(Value::as_f64).unwrap_or(0.0)
    }

    /// The same as a whole number, for sliders of [`Interact::whole`](super::Interact::whole).
    pub fn whole(&self, name: &str) -> i64 {
        self.number(name).round() as i64
    }

    /// The text of the menu or field of this name; empty if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.get(name).and_then(Value::as_str).unwrap_or_default()
    }
}

/// One control: the model that the front-end is told of, and what its value means.
#[derive(Debug, Clone)]
pub(super) struct Control {
    pub(super) name: String,
    pub(super) state: Map<String, Value>,
    /// What the front-end's `index` chooses from, for menus.
    pub(super) options: Option<Vec<String>>,
}

impl Control {
    pub(super) fn new(name: &str, model: &str, view: &str, state: Value) -> Control {
        let mut all = widget("@jupyter-widgets/controls", "2.0.0", model, view);
        all.insert("description".into(), name.into());
        all.extend(state.as_object().cloned().unwrap_or_default());
        Control { name: name.to_owned(), state: all, options: None }
    }

    pub(super) fn value(&self) -> Value {
        match &self.options {
            Some(options) => {
                let index = self.state.get("index").and_then(Value::as_u64).unwrap_or(0) as usize;
                options.get(index).cloned().unwrap_or_default().into()
            }
            None => self.state.get("value").cloned().unwrap_or(Value::Null),
        }
    }
}

/// The fields that every widget's state begins with.
pub(super) fn widget(module: &str, version: &str, model: &str, view: &str) -> Map<String, Value> {
    let state = json!({
        "_model_module": module, "_model_module_version": version, "_model_name": model,
        "_view_module": module, "_view_module_version": version, "_view_name": view,
    });
    state.as_object().cloned().unwrap_or_default()
}

/// The values that controls stand at.
pub(super) fn values(controls: &[Control]) -> Values {
    Values(controls.iter().map(|control| (control.name.clone(), control.value())).collect())
}

/// What makes something to show of the controls' values.
pub(super) type Draw = Box<dyn FnMut(&Values) -> Bundle>;
