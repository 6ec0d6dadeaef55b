//! What to train and how: from flags, from a TOML file, from presets, in this order.

use crate::text::Reading;
use clap::{Args, ValueEnum};
use glasslab::checkpoint::{AnyModel, ModelConfig};
use glasslab::model::{MlpConfig, TransformerConfig};
use glasslab::train::{Length, OptimiserKind, SavedTraining, TrainConfig};
use glasslab::{Error, Result, best_device};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use toml::Table;

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Model {
    /// The MLP language model: knows one character.
    Mlp,
    /// The transformer: knows its context.
    Transformer,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Preset {
    /// The course's sizes.
    Original,
    /// A transformer that writes readable stories after a minute on two cores.
    Small,
    /// The same with n-gram embeddings: as good in less than half the time.
    Quick,
    /// A transformer for a GPU.
    Large,
}

#[derive(Debug, Clone, Copy, PartialEq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Optimiser {
    /// Muon for the matrices between hidden layers, AdamW for all else.
    Muon,
    /// AdamW for all.
    Adamw,
    /// Gradient descent with momentum for all; give it a larger --lr.
    Momentum,
    /// Plain gradient descent for all; give it a larger --lr.
    Sgd,
}

/// The options of `glasslab train`; the names are those of the TOML file, too.
#[derive(Debug, Clone, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// A TOML file with any of these options (`seconds = 60`), and tables `[model_config]` and `[train_config]`
    /// for every other setting; flags have the last word.
    #[arg(long)]
    #[serde(skip)]
    config: Option<PathBuf>,
    /// [default: transformer]
    #[arg(long, value_enum)]
    model: Option<Model>,
    /// The model's sizes [default: small for the transformer, original for the MLP].
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    /// A text to learn from, a file (.txt, .jsonl, .json, .csv, .parquet, …) or a folder of them [default: the stories
    /// of the lab].
    #[arg(long)]
    data: Option<PathBuf>,
    /// The text to measure on [default: NAME-valid.txt beside a NAME-train.txt, else the last tenth].
    #[arg(long)]
    held_out: Option<PathBuf>,
    /// The column of a table, or the field of JSON objects, that the stories are in [default: text].
    #[arg(long)]
    column: Option<String>,
    /// Goes on where more than half of the text is outside the vocabulary, with what is left of it.
    #[arg(long)]
    #[serde(default)]
    lossy: bool,
    /// Reads byte pairs instead of characters: so many different tokens, 257 to 65536, learnt from the text.
    #[arg(long, value_name = "N")]
    byte_pairs: Option<usize>,
    /// How long to train, by the clock [default: 60].
    #[arg(long, allow_negative_numbers = true)]
    seconds: Option<f64>,
    /// How many steps to train, instead of by the clock: the same result each time.
    #[arg(long, conflicts_with = "seconds")]
    steps: Option<usize>,
    /// Pieces of text in a batch [default: 32].
    #[arg(long)]
    batch_size: Option<usize>,
    /// How many characters the model can look at, and learns from in a piece.
    #[arg(long, allow_negative_numbers = true)]
    context_len: Option<i64>,
    /// Numbers for a character; heads and hidden layer follow, unless they are given.
    #[arg(long, allow_negative_numbers = true)]
    emb_dim: Option<i64>,
    /// Blocks.
    #[arg(long, allow_negative_numbers = true)]
    n_layers: Option<i64>,
    /// Heads in a block.
    #[arg(long, allow_negative_numbers = true)]
    n_heads: Option<i64>,
    /// The width of a head.
    #[arg(long, allow_negative_numbers = true)]
    head_dim: Option<i64>,
    /// The width of the hidden layer.
    #[arg(long, allow_negative_numbers = true)]
    n_hidden: Option<i64>,
    /// [default: muon]
    #[arg(long, value_enum)]
    optimiser: Option<Optimiser>,
    /// The learning rate of all but Muon [default: 0.004 for the transformer, 0.01 for the MLP].
    #[arg(long, allow_negative_numbers = true)]
    lr: Option<f64>,
    /// The learning rate of Muon [default: 0.02].
    #[arg(long, allow_negative_numbers = true)]
    matrix_lr: Option<f64>,
    /// Shorten the gradient to this length where it is longer.
    #[arg(long, allow_negative_numbers = true)]
    clip: Option<f64>,
    /// How much of itself a parameter loses with each step, in units of the learning rate.
    #[arg(long, allow_negative_numbers = true)]
    weight_decay: Option<f64>,
    /// One seed gives one model and one order of batches [default: 0].
    #[arg(long)]
    seed: Option<u32>,
    /// Where to keep the model; the file says what it is [default: model.safetensors].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Keep moments of the training there (a transformer's), for `glasslab page --film`: ever more steps apart, on the page's prompt.
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    film: Option<PathBuf>,
    /// Go on with the training that was stopped, with the settings that it had. Its length, learning rates, clipping and
    /// weight decay may be given anew (a length counts from its start); its text, model, batches and optimiser may not.
    #[arg(long)]
    #[serde(skip)]
    resume: bool,
    /// Begin with this model that was kept, and its sizes, instead of a new one: so a training that has ended goes on,
    /// with settings of its own. With --resume it is what the stopped training began with, and not read again.
    #[arg(long, value_name = "MODEL")]
    from: Option<PathBuf>,
    /// Any field of the model's config (only in the file).
    #[arg(skip)]
    #[serde(default)]
    model_config: Table,
    /// Any field of the training's config (only in the file).
    #[arg(skip)]
    #[serde(default)]
    train_config: Table,
}

/// The options put together.
#[derive(Debug)]
pub struct Settings {
    pub model: ModelConfig,
    pub training: TrainConfig,
    pub data: Option<PathBuf>,
    pub held_out: Option<PathBuf>,
    pub reading: Reading,
    /// How many byte pairs a new model reads; `None`: characters.
    pub byte_pairs: Option<usize>,
    pub out: PathBuf,
    /// Where moments of the training are kept.
    pub film: Option<PathBuf>,
    pub begin: Begin,
}

/// What a training begins with.
#[derive(Debug)]
pub enum Begin {
    /// Random numbers.
    Anew,
    /// Those of a model that was kept.
    From(Box<AnyModel>),
    /// Where a training was stopped.
    Stopped(Box<SavedTraining>),
}

impl Settings {
    pub fn of(flags: &Train) -> Result<Settings> {
        let mut options = match &flags.config {
            Some(path) => flags.clone().or(read(path)?),
            None => flags.clone(),
        };
        options.settle(flags)?;
        let out = options.out.clone().unwrap_or_else(|| PathBuf::from("model.safetensors"));
        if out.extension().is_none_or(|name| name != "safetensors") {
            return Err(Error::Config(format!("--out must end in .safetensors, got {}", out.display())));
        }
        let state = out.with_extension("training");
        check_state(&state, options.resume)?;
        let mut begin = match &options.from {
            _ if options.resume => Begin::Stopped(Box::new(SavedTraining::read(&state)?)),
            Some(path) => Begin::From(Box::new(AnyModel::load(path, best_device())?)),
            None => Begin::Anew,
        };
        if options.byte_pairs.is_some() && matches!(begin, Begin::From(_)) {
            return Err(Error::Config(
                "--byte-pairs is for a new model; this one has its tokenizer already".to_owned(),
            ));
        }
        let model = match &begin {
            Begin::Anew => options.model()?,
            Begin::From(model) => options.model_or(model.config(), "--from begins with a model")?,
            Begin::Stopped(saved) => match saved.model() {
                Some(kept) => options.model_or(kept, "--resume goes on with a model")?,
                None => options.model()?,
            },
        };
        let mut training = options.training(usual(&model))?;
        if let Begin::Stopped(saved) = begin {
            training = options.training(saved.config().clone())?;
            let changes = saved.changes(&training);
            if !changes.is_empty() {
                eprintln!("going on with other settings: {changes}");
            }
            begin = Begin::Stopped(Box::new(saved.with(&training)?));
        }
        training.autosave = Some(state);
        let reading = Reading { column: options.column, lossy: options.lossy };
        let Train { data, held_out, byte_pairs, film, .. } = options;
        match (&film, &model, &begin) {
            (Some(_), ModelConfig::Mlp(_), _) => {
                return Err(Error::Config("--film shows attention, which an MLP has none of: leave it out".to_owned()));
            }
            // Also one that a TOML file names.
            (Some(_), _, Begin::Stopped(_)) => {
                return Err(Error::Config(
                    "--film begins with a training's first step: leave it out to resume this one".to_owned(),
                ));
            }
            (Some(film), ..) if *film == out || Some(film) == training.autosave.as_ref() => {
                return Err(Error::Config(format!(
                    "--film {} is the file of the model, or of its training: give it another name",
                    film.display()
                )));
            }
            _ => {}
        }
        Ok(Settings { model, training, data, held_out, reading, byte_pairs, out, film, begin })
    }
}

impl Settings {
    /// The settings of one run of a sweep, which has a text, a seed and a place for its model from elsewhere.
    ///
    /// # Errors
    /// If a setting is not known, or out of its range.
    pub fn of_run(table: &Table) -> Result<Settings> {
        let options: Train = table.clone().try_into().map_err(|error: toml::de::Error| {
            // Serde's sentence, which names all that are known, and no line of a file that nobody has written.
            Error::Config(error.message().to_owned())
        })?;
        // No state of a training lies in a folder that is not there.
        Settings::of(&Train { out: Some(PathBuf::from("no-such-folder/model.safetensors")), ..options })
    }
}

/// A stopped training is neither forgotten nor mistaken for another one.
fn check_state(state: &Path, resume: bool) -> Result<()> {
    match (state.exists(), resume) {
        (true, false) => Err(Error::Config(format!(
            "{} holds a training that was stopped: add --resume to go on with it, or remove the file to begin anew",
            state.display()
        ))),
        (false, true) => Err(Error::Config(format!(
            "there is nothing to resume: no {}; leave --resume out to begin a training, or go on from a kept model with \
             --from MODEL",
            state.display()
        ))),
        _ => Ok(()),
    }
}

/// How a model is trained unless a person says otherwise.
fn usual(model: &ModelConfig) -> TrainConfig {
    let usual = TrainConfig { length: Length::Seconds(60.0), ..TrainConfig::default() };
    match model {
        ModelConfig::Mlp(_) => TrainConfig { lr: 0.01, ..usual },
        ModelConfig::Transformer(config) => {
            TrainConfig { lr: 0.004, context_len: config.context_len.max(0) as usize, ..usual }
        }
    }
}

/// Reads the options of a TOML file; paths in it are meant from where the file lies.
fn read(path: &Path) -> Result<Train> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_path_buf(), source })?;
    let mut options: Train =
        toml::from_str(&text).map_err(|error| Error::Config(format!("{}: {error}", path.display())))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    for file in [&mut options.data, &mut options.held_out, &mut options.out, &mut options.film, &mut options.from]
        .into_iter()
        .flatten()
    {
        *file = folder.join(&*file);
    }
    if options.seconds.is_some() && options.steps.is_some() {
        return Err(Error::Config(format!("{}: give seconds or steps, not both", path.display())));
    }
    Ok(options)
}

impl Train {
    /// These options, and where one is not given, that of `other`.
    fn or(self, other: Train) -> Train {
        let timed = self.seconds.is_some() || self.steps.is_some();
        Train {
            config: self.config,
            model: self.model.or(other.model),
            preset: self.preset.or(other.preset),
            data: self.data.or(other.data),
            held_out: self.held_out.or(other.held_out),
            column: self.column.or(other.column),
            lossy: self.lossy || other.lossy,
            byte_pairs: self.byte_pairs.or(other.byte_pairs),
            seconds: if timed { self.seconds } else { other.seconds },
            steps: if timed { self.steps } else { other.steps },
            batch_size: self.batch_size.or(other.batch_size),
            context_len: self.context_len.or(other.context_len),
            emb_dim: self.emb_dim.or(other.emb_dim),
            n_layers: self.n_layers.or(other.n_layers),
            n_heads: self.n_heads.or(other.n_heads),
            head_dim: self.head_dim.or(other.head_dim),
            n_hidden: self.n_hidden.or(other.n_hidden),
            optimiser: self.optimiser.or(other.optimiser),
            lr: self.lr.or(other.lr),
            matrix_lr: self.matrix_lr.or(other.matrix_lr),
            clip: self.clip.or(other.clip),
            weight_decay: self.weight_decay.or(other.weight_decay),
            seed: self.seed.or(other.seed),
            out: self.out.or(other.out),
            resume: self.resume,
            film: self.film.or(other.film),
            from: self.from.or(other.from),
            model_config: other.model_config,
            train_config: other.train_config,
        }
    }

    /// Flags have the last word, also over the tables of the file; what stands in the file twice is refused.
    fn settle(&mut self, flags: &Train) -> Result<()> {
        let given = |options: &Train| {
            [
                ("length", options.steps.is_some() || options.seconds.is_some()),
                ("batch_size", options.batch_size.is_some()),
                ("context_len", options.context_len.is_some()),
                ("emb_dim", options.emb_dim.is_some()),
                ("n_layers", options.n_layers.is_some()),
                ("n_heads", options.n_heads.is_some()),
                ("head_dim", options.head_dim.is_some()),
                ("n_hidden", options.n_hidden.is_some()),
                ("optimiser", options.optimiser.is_some()),
                ("lr", options.lr.is_some()),
                ("matrix_lr", options.matrix_lr.is_some()),
                ("clip", options.clip.is_some()),
                ("weight_decay", options.weight_decay.is_some()),
                ("seed", options.seed.is_some()),
            ]
        };
        for ((name, by_flag), (_, is_given)) in given(flags).into_iter().zip(given(self)) {
            for (table, fields) in [("model_config", &mut self.model_config), ("train_config", &mut self.train_config)]
            {
                // Of a run of a sweep, which has no file, all is from one.
                if by_flag && flags.config.is_some() {
                    fields.remove(name);
                } else if is_given && fields.contains_key(name) {
                    let twice = format!("{name} is given twice, by itself and in [{table}]: leave one out");
                    return Err(Error::Config(twice));
                }
            }
        }
        Ok(())
    }

    fn model(&self) -> Result<ModelConfig> {
        let seed = i64::from(self.seed.unwrap_or(0));
        let preset = match (self.model.unwrap_or(Model::Transformer), self.preset) {
            (Model::Mlp, None | Some(Preset::Original)) => {
                ModelConfig::Mlp(MlpConfig { seed, ..MlpConfig::original() })
            }
            (Model::Mlp, Some(_)) => {
                return Err(Error::Config("the MLP has one preset, original: leave --preset out".to_owned()));
            }
            (Model::Transformer, preset) => {
                let preset = match preset.unwrap_or(Preset::Small) {
                    Preset::Original => TransformerConfig::original(),
                    Preset::Small => TransformerConfig::small(),
                    Preset::Quick => TransformerConfig::quick(),
                    Preset::Large => TransformerConfig::large(),
                };
                ModelConfig::Transformer(TransformerConfig { seed, ..preset })
            }
        };
        self.with_sizes(preset)
    }

    /// A model with the sizes that were given in the place of its own.
    fn with_sizes(&self, preset: ModelConfig) -> Result<ModelConfig> {
        match preset {
            ModelConfig::Mlp(preset) => {
                let emb_dim = self.emb_dim.unwrap_or(preset.emb_dim);
                let n_hidden = self.n_hidden.or(self.emb_dim.map(|emb_dim| 4 * emb_dim)).unwrap_or(preset.n_hidden);
                if self.n_layers.or(self.n_heads).or(self.head_dim).is_some() {
                    return Err(Error::Config("the MLP has no layers or heads to choose: leave them out".to_owned()));
                }
                let config = MlpConfig { emb_dim, n_hidden, ..preset };
                Ok(ModelConfig::Mlp(changed(config, &self.model_config, "model_config")?))
            }
            ModelConfig::Transformer(preset) => {
                Ok(ModelConfig::Transformer(changed(self.sized(preset), &self.model_config, "model_config")?))
            }
        }
    }

    /// The model that there is. If another one, or other sizes, are asked for, that is told.
    fn model_or(&self, kept: ModelConfig, what: &str) -> Result<ModelConfig> {
        let asked = match self.model.is_some() || self.preset.is_some() {
            true => self.model()?,
            false => self.with_sizes(kept)?,
        };
        let fields = |config: &ModelConfig| Table::try_from(config).unwrap_or_default();
        let (asked, own) = (fields(&asked), fields(&kept));
        let value = |value: Option<&toml::Value>| value.map_or("not there".to_owned(), toml::Value::to_string);
        // Its numbers are there already, so no seed makes them.
        // How many byte pairs there are, its tokenizer knows.
        let is_free = |name: &str| name == "seed" || name == "n_vocab" && self.byte_pairs.is_some();
        let other = asked.iter().filter(|(name, asked)| !is_free(name) && own.get(*name) != Some(asked));
        let other: Vec<String> =
            other.map(|(name, asked)| format!("{name} is {} and not {asked}", value(own.get(name)))).collect();
        match other.is_empty() {
            true => Ok(kept),
            false => Err(Error::Config(format!(
                "{what} whose {}: leave its sizes out, or give those that it has",
                other.join(", ")
            ))),
        }
    }

    /// A preset with the sizes that were given; those that hang together with them follow.
    fn sized(&self, preset: TransformerConfig) -> TransformerConfig {
        let emb_dim = self.emb_dim.unwrap_or(preset.emb_dim);
        let n_heads = self.n_heads.unwrap_or(preset.n_heads);
        let head_dim = match self.emb_dim.or(self.n_heads) {
            // Even, for rotary positions.
            Some(_) if n_heads > 0 => (emb_dim / n_heads / 2 * 2).max(2),
            _ => preset.head_dim,
        };
        TransformerConfig {
            context_len: self.context_len.unwrap_or(preset.context_len),
            emb_dim,
            n_layers: self.n_layers.unwrap_or(preset.n_layers),
            n_heads,
            n_kv_heads: if self.n_heads.is_some() { n_heads } else { preset.n_kv_heads },
            head_dim: self.head_dim.unwrap_or(head_dim),
            n_hidden: self.n_hidden.or(self.emb_dim.map(|emb_dim| 4 * emb_dim)).unwrap_or(preset.n_hidden),
            ..preset
        }
    }

    /// The settings that are given, and those of `base` for all others.
    fn training(&self, base: TrainConfig) -> Result<TrainConfig> {
        let config = TrainConfig {
            length: match (self.steps, self.seconds) {
                (Some(steps), _) => Length::Steps(steps),
                (None, Some(seconds)) => Length::Seconds(seconds),
                (None, None) => base.length,
            },
            batch_size: self.batch_size.unwrap_or(base.batch_size),
            context_len: self.context_len.map_or(base.context_len, |length| length.max(0) as usize),
            optimiser: match self.optimiser {
                Some(Optimiser::Adamw) => OptimiserKind::Adamw,
                Some(Optimiser::Momentum) => OptimiserKind::Momentum,
                Some(Optimiser::Sgd) => OptimiserKind::Sgd,
                Some(Optimiser::Muon) => OptimiserKind::Muon,
                None => base.optimiser,
            },
            lr: self.lr.unwrap_or(base.lr),
            matrix_lr: self.matrix_lr.unwrap_or(base.matrix_lr),
            clip: self.clip.or(base.clip),
            weight_decay: self.weight_decay.unwrap_or(base.weight_decay),
            seed: self.seed.map_or(base.seed, u64::from),
            ..base
        };
        changed(config, &self.train_config, "train_config")
    }
}

/// A config with the fields that a table of the TOML file names.
fn changed<T: Serialize + DeserializeOwned>(config: T, fields: &Table, name: &str) -> Result<T> {
    let wrong = |error: toml::de::Error| Error::Config(format!("[{name}]: {}", error.message()));
    let known = serde_json::to_value(&config).unwrap_or_default();
    if let Some(other) = fields.keys().find(|field| known.get(field).is_none() || *field == "autosave") {
        let known: Vec<&str> = known.as_object().into_iter().flatten().map(|(field, _)| field.as_str()).collect();
        let known = known.into_iter().filter(|field| *field != "autosave").collect::<Vec<_>>().join(", ");
        return Err(Error::Config(format!("[{name}]: unknown field {other}, expected one of {known}")));
    }
    let mut all = Table::try_from(config).map_err(|error| Error::Config(format!("[{name}]: {error}")))?;
    all.extend(fields.clone());
    all.try_into().map_err(wrong)
}

#[cfg(test)]
mod tests;
