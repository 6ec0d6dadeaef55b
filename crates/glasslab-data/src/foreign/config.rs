//! What a file says of its model, by its own keys.

use super::file::wrong;
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// Key-values of a model's file, each asked for by its kind.
///
/// A key is looked for as it is (`llama.rope.freq_base`), then part by part (`rope_scaling.factor`), then both in the part that
/// tells of text in a model that does more (`text_config`).
#[derive(Debug, Clone)]
pub struct Config {
    path: PathBuf,
    /// All of it.
    pub values: Map<String, Value>,
}

impl Config {
    pub(super) fn new(path: &Path, values: Map<String, Value>) -> Config {
        Config { path: path.to_path_buf(), values }
    }

    /// A value of any kind; one that is `null` is not there.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let text = self.values.get("text_config").and_then(Value::as_object);
        let found = [Some(&self.values), text].into_iter().flatten().find_map(|values| {
            values.get(key).or_else(|| {
                let (first, rest) = key.split_once('.')?;
                rest.split('.').try_fold(values.get(first)?, |value, part| value.get(part))
            })
        });
        found.filter(|value| !value.is_null())
    }

    /// A whole number.
    ///
    /// # Errors
    /// If it is something else.
    pub fn whole(&self, key: &str) -> Result<Option<i64>> {
        let whole =
            |value: &Value| value.as_i64().or_else(|| value.as_f64().filter(|x| x.fract() == 0.0).map(|x| x as i64));
        self.of_kind(key, "a whole number", whole)
    }

    /// A number.
    ///
    /// # Errors
    /// If it is something else.
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        self.of_kind(key, "a number", Value::as_f64)
    }

    /// Yes or no.
    ///
    /// # Errors
    /// If it is something else.
    pub fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.of_kind(key, "true or false", Value::as_bool)
    }

    /// A text.
    ///
    /// # Errors
    /// If it is something else.
    pub fn text(&self, key: &str) -> Result<Option<&str>> {
        self.of_kind(key, "a text", Value::as_str)
    }

    /// A list.
    ///
    /// # Errors
    /// If it is something else.
    pub fn list(&self, key: &str) -> Result<Option<&[Value]>> {
        self.of_kind(key, "a list", |value| value.as_array().map(Vec::as_slice))
    }

    /// What must be there: `config.must("n_layers", config.whole("n_layers")?)?`.
    ///
    /// # Errors
    /// If it is not there.
    pub fn must<T>(&self, key: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.wrong(format!("does not say `{key}`: is it the file of a language model?")))
    }

    fn of_kind<'a, T>(&'a self, key: &str, kind: &str, read: impl Fn(&'a Value) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => {
                let value: String = value.to_string().chars().take(60).collect();
                Err(self.wrong(format!("says `{key}` = {value}, where {kind} is expected: fetch it again")))
            }
        }
    }

    fn wrong(&self, why: String) -> Error {
        wrong(&self.path, &why)
    }
}
