//! A model in one file that its reader's browser runs: to type, to let it write, to cut, to walk through, without a network.
//!
//! ```
//! # use glasslab::prelude::*;
//! # fn main() -> Result<()> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("mine.html");
//! let model = TransformerLm::new(TransformerConfig::original(), Device::Cpu)?;
//! println!("{}", model.page(&path)?); // how large it is, and what 16 bits change
//! let mlp = MlpLm::new(MlpConfig::original(), Device::Cpu)?;
//! Page::new(&model)?.beside(&mlp)?.title("Both of mine").write(&path)?; // why the difference?
//! # Ok(())
//! # }
//! ```
//! | in the file | |
//! |---|---|
//! | the numbers | 16 bits each (f16); 32 where one is too large for that |
//! | what computes with them | JavaScript of this library, in `page/` of the crate: an engine, tested against this one, and what a person sees |
//! | a film, if there is one | for each moment of a training the loss, what the model wrote, and its attention |
//! | still pictures and words | for readers without scripts |
//!
//! Nothing in it comes from elsewhere, and a Content-Security-Policy forbids that it does. All text in it is data, never code.

mod film;
mod model;
mod source;
mod still;

pub use film::Reel;

use super::html::json_in_script;
use super::{Html, shown};
use crate::data::{Checksum, Dataset, Tokens};
use crate::display::escape;
use crate::error::{Error, Result};
use crate::evaluate::evaluate_some;
use crate::file::{file_error, write_whole};
use crate::model::{AnyModel, LanguageModel, Trainable, count_parameters};
use serde_json::{Value, json};
use std::fmt;
use std::path::{Path, PathBuf};

/// A model with more numbers than these gets a page of still pictures: in a browser it would take 13 MB, and more than a fifth of
/// a second for each character that is typed.
pub const MOST_NUMBERS: usize = 5_000_000;
/// Held-out tokens on which it is measured what 16 bits change.
const MEASURED: usize = 4_000;
/// What a page's models are shown at first, unless another prompt is given.
pub const PROMPT: &str = "Once upon a time, there was a little girl named Lily. She";

/// What a page is made of.
#[derive(Debug)]
pub struct Page {
    title: Option<String>,
    prompt: String,
    /// As a page has them: with numbers of 16 bits.
    models: Vec<AnyModel>,
    film: Option<Reel>,
    /// The most that 16 bits change of a model's held-out loss, in nats per character.
    loss_change: Option<f64>,
}

/// Every model of the library can go into a page.
pub trait ToPage: Trainable + Sized {
    /// Writes the model as one file that a browser opens and that computes there: `page("mine.html")?`. [`Page`] can do more.
    ///
    /// # Errors
    /// If the model is a `struct` of one's own or no trained one any more, or the file can't be written; one that was there
    /// before is left as it was.
    fn page(&self, path: impl AsRef<Path>) -> Result<Written> {
        Page::new(self)?.write(path)
    }
}

impl<M: Trainable> ToPage for M {}

impl Page {
    /// A page with a model.
    ///
    /// # Errors
    /// If the model is a `struct` of one's own, which only Rust can compute, or its scores are NaN.
    pub fn new(model: &impl Trainable) -> Result<Page> {
        let (rounded, loss_change) = rounded(model)?;
        Ok(Page { title: None, prompt: PROMPT.to_owned(), models: vec![rounded], film: None, loss_change })
    }

    /// Another model beside it: an MLP beside a transformer shows what a context is good for.
    ///
    /// # Errors
    /// As [`new`](Self::new), and if there are two already, or one of the same kind.
    pub fn beside(mut self, model: &impl Trainable) -> Result<Page> {
        if self.models.len() > 1 {
            return Err(Error::Config("a page shows two models at most: write another page for the third".to_owned()));
        }
        let (rounded, change) = rounded(model)?;
        let is_mlp = |model: &AnyModel| matches!(model, AnyModel::Mlp(_));
        if self.models.iter().any(|other| is_mlp(other) == is_mlp(&rounded)) {
            return Err(Error::Config(
                "beside a transformer stands an MLP, and beside an MLP a transformer: write two pages for two of one kind"
                    .to_owned(),
            ));
        }
        // What is told is the larger change.
        if change.map(f64::abs) > self.loss_change.map(f64::abs) {
            self.loss_change = change;
        }
        self.models.push(rounded);
        // What has a context comes first.
        self.models.sort_by_key(|model| matches!(model, AnyModel::Mlp(_)));
        Ok(self)
    }

    /// What stands above it; if nothing is said, the name of the file.
    pub fn title(self, title: &str) -> Page {
        Page { title: Some(title.to_owned()), ..self }
    }

    /// What the models are shown at first.
    pub fn prompt(self, prompt: &str) -> Page {
        Page { prompt: prompt.to_owned(), ..self }
    }

    /// A film of the training: at each of its moments the loss, what the model wrote, and its attention; see [`Film::reel`](crate::view::Film::reel).
    pub fn film(self, reel: Reel) -> Page {
        Page { film: Some(reel), ..self }
    }

    /// How many numbers its models have.
    fn numbers(&self) -> usize {
        self.models.iter().flat_map(AnyModel::parameters).map(|parameter| parameter.tensor.numel()).sum()
    }

    /// Writes the page.
    ///
    /// # Errors
    /// If the models can't take the prompt, or the file can't be written; one that was there before is left as it was.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<Written> {
        let path = path.as_ref();
        if path.extension().is_none_or(|ending| !ending.eq_ignore_ascii_case("html")) {
            return Err(Error::Config(format!(
                "a page is a file that ends in .html, got {}: name it {}",
                path.display(),
                path.with_extension("html").display()
            )));
        }
        if let Some(film) = self.film.as_ref().filter(|film| !self.models.iter().any(|model| film.may_show(model))) {
            return Err(Error::Config(format!("{film} is of another training: leave it out, or take its own model")));
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let html = self.html(self.title.as_deref().unwrap_or(&name))?;
        write_whole(path, |part| std::fs::write(part, &html).map_err(file_error(part)))?;
        let (numbers, computes, loss_change) = (self.numbers(), self.computes(), self.loss_change);
        let bits = self.models.iter().map(model::bits).collect::<Result<Vec<u32>>>()?.into_iter().max().unwrap_or(16);
        Ok(Written { path: path.to_path_buf(), bytes: html.len(), numbers, computes, bits, loss_change })
    }

    /// Whether a browser computes the models.
    fn computes(&self) -> bool {
        self.numbers() <= MOST_NUMBERS
    }

    /// The page.
    fn html(&self, title: &str) -> Result<String> {
        let mut still = still::html(&self.models, &self.prompt)?;
        let (mut data, mut script) = ("null".to_owned(), String::new());
        if self.computes() {
            data = json_in_script(&self.data(title)?.to_string());
            script = source::script();
        } else {
            still.insert_str(0, &super::paragraph(&too_large(self.numbers())));
        }
        // Only what knows the number may run; nobody who wrote a text in the page knew it.
        let nonce = format!("{:016x}", Checksum::of(data.as_bytes()));
        let policy = format!(
            "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
             form-action 'none'"
        );
        Ok(source::filled(&[
            ("title", &escape(title)),
            ("csp", &policy),
            ("nonce", &nonce),
            ("style", source::STYLE),
            ("still", &still),
            ("data", &data),
            ("script", &script),
        ]))
    }

    /// What the page's scripts are given: of each model what its file says of it, its parameters and their numbers in base64.
    ///
    /// # Errors
    /// What libtorch fails with.
    pub fn data(&self, title: &str) -> Result<Value> {
        let models = self.models.iter().map(model::data).collect::<Result<Vec<Value>>>()?;
        Ok(json!({
            "title": title, "prompt": self.prompt, "models": models, "film": self.film, "loss_change": self.loss_change,
        }))
    }
}

fn too_large(numbers: usize) -> String {
    format!(
        "These are still pictures: {numbers} numbers are more than the {MOST_NUMBERS} that a page computes with. A larger file \
         would take a browser more than 13 MB, and more than a fifth of a second for each character."
    )
}

/// A model as a page has it, and what its rounding changes. One that is too large to be computed is neither rounded nor measured.
fn rounded(model: &impl Trainable) -> Result<(AnyModel, Option<f64>)> {
    if count_parameters(model) as usize > MOST_NUMBERS {
        return Ok((model::copied(model, Ok)?, None));
    }
    let rounded = model::copied(model, model::narrowed)?;
    let change = loss_change(model, &rounded)?;
    Ok((rounded, change))
}

/// What the rounding of a model's numbers changes of its loss on stories that come with the library, in nats per character;
/// `None` where it knows none of their characters.
fn loss_change(model: &impl LanguageModel, rounded: &AnyModel) -> Result<Option<f64>> {
    // An error is that it knows too few of them.
    let Ok(held_out) = Tokens::encode(&Dataset::embedded()?.held_out, &model.tokenizer()) else { return Ok(None) };
    if held_out.is_empty() {
        return Ok(None);
    }
    let loss = |nats: crate::evaluate::Evaluation| nats.nats_per_char;
    let exact = loss(evaluate_some(model, &held_out, MEASURED)?);
    Ok(Some(loss(evaluate_some(rounded, &held_out, MEASURED)?) - exact))
}

/// A page that has been written.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The file.
    pub path: PathBuf,
    /// How long it is.
    pub bytes: usize,
    /// How many numbers its models have.
    pub numbers: usize,
    /// Whether a browser computes with them; of a larger model the page has still pictures.
    pub computes: bool,
    /// How many bits each has: 32, if one is too large for 16.
    pub bits: u32,
    /// What that changes of the loss on held-out stories, in nats per character.
    pub loss_change: Option<f64>,
}

impl fmt::Display for Written {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Written { path, bytes, numbers, computes, bits, loss_change } = self;
        write!(out, "{}: {:.2} MB, ", path.display(), *bytes as f64 / 1e6)?;
        if !computes {
            return write!(out, "still pictures only, since {numbers} numbers are more than {MOST_NUMBERS}");
        }
        write!(out, "{numbers} numbers of {bits} bits")?;
        if let Some(change) = loss_change {
            write!(out, ", which change the held-out loss by {change:+.5} nats/char")?;
        }
        write!(out, ". Open it in a browser, or give it to somebody: it needs nothing else")
    }
}

impl Written {
    fn html(&self) -> Html {
        Html::text(&self.to_string())
    }
}

shown!(Written, html);

#[cfg(test)]
mod tests;
