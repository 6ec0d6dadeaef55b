//! Training, measuring and using a model from the command line.

use clap::{Args, ValueEnum};
use glasslab::checkpoint::{AnyModel, ModelConfig};
use glasslab::data::{Dataset, Stories, Tokens};
use glasslab::evaluate::{Evaluation, evaluate};
use glasslab::generate::{Sampling, generate};
use glasslab::model::{MlpConfig, NGram, TransformerConfig, count_parameters};
use glasslab::tokenizer::CharTokenizer;
use glasslab::train::{Length, TrainConfig, train_with};
use glasslab::{Error, Result, best_device};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Model {
    /// The MLP language model: knows one character.
    Mlp,
    /// The transformer: knows its context.
    Transformer,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Preset {
    /// The course's sizes.
    Original,
    /// A transformer that writes readable stories after a minute on two cores.
    Small,
}

#[derive(Debug, Args)]
pub struct Train {
    #[arg(long, value_enum, default_value = "transformer")]
    model: Model,
    /// The model's sizes [default: small for the transformer, original for the MLP].
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    /// A text file, or a folder of .txt and .md files [default: the stories that come with glasslab].
    #[arg(long)]
    data: Option<PathBuf>,
    /// The text to measure on [default: NAME-valid.txt beside a NAME-train.txt, else the last tenth].
    #[arg(long, requires = "data")]
    held_out: Option<PathBuf>,
    /// How long to train, by the clock.
    #[arg(long, default_value_t = 60.0, allow_negative_numbers = true)]
    seconds: f64,
    /// How many steps to train, instead of by the clock: the same result each time.
    #[arg(long, conflicts_with = "seconds")]
    steps: Option<usize>,
    /// Pieces of text in a batch.
    #[arg(long, default_value_t = 32)]
    batch_size: usize,
    /// The learning rate of tables, biases and scales [default: 0.004 for the transformer, 0.01 for the MLP].
    #[arg(long)]
    lr: Option<f64>,
    /// The learning rate of the matrices between hidden layers.
    #[arg(long, default_value_t = 0.02)]
    matrix_lr: f64,
    /// One seed gives one model and one order of batches.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where to keep the model; its config goes into a .json file beside it.
    #[arg(long, default_value = "model.safetensors")]
    out: PathBuf,
}

impl Train {
    pub fn run(&self, as_json: bool) -> Result<()> {
        if self.out.extension().is_none_or(|name| name != "safetensors") {
            return Err(Error::Config(format!("--out must end in .safetensors, got {}", self.out.display())));
        }
        let tokenizer = CharTokenizer::default();
        let data = dataset(self.data.as_deref(), self.held_out.as_deref())?;
        let (train_tokens, held_out) = (encode(&data.train, &tokenizer)?, encode(&data.held_out, &tokenizer)?);
        let mut model = AnyModel::new(self.config()?, best_device())?;
        let parameters = count_parameters(&mut model);
        eprintln!("{}: {} characters to learn from; {parameters} parameters", data.source, train_tokens.len());
        let config = TrainConfig {
            length: self.steps.map_or(Length::Seconds(self.seconds), Length::Steps),
            batch_size: self.batch_size,
            context_len: 64,
            lr: self.lr.unwrap_or(if matches!(self.model, Model::Mlp) { 0.01 } else { 0.004 }),
            matrix_lr: self.matrix_lr,
            seed: self.seed,
            ..TrainConfig::default()
        };
        let history = train_with(&mut model, &train_tokens, &held_out, &config, |line| eprintln!("{line}"))?;
        model.save(&self.out)?;
        let loss = evaluate(&model, &held_out)?;
        let last = history.points.last().map_or((0, 0.0), |point| (point.step, point.seconds));
        if as_json {
            let result = json!({
                "nats_per_char": loss.nats_per_char, "bits_per_char": loss.bits_per_char(), "chars": loss.chars,
                "steps": last.0, "seconds": last.1, "parameters": parameters, "out": self.out,
            });
            println!("{result}");
        } else {
            println!("{:.4} nats/char over {} held-out characters", loss.nats_per_char, loss.chars);
            println!("kept in {}; try: glasslab generate {0} --prompt Once", self.out.display());
        }
        Ok(())
    }

    fn config(&self) -> Result<ModelConfig> {
        let seed = i64::try_from(self.seed).map_err(|_| Error::Config("--seed is too large".to_owned()))?;
        match (self.model, self.preset) {
            (Model::Mlp, None | Some(Preset::Original)) => {
                Ok(ModelConfig::Mlp(MlpConfig { seed, ..MlpConfig::original() }))
            }
            (Model::Mlp, Some(Preset::Small)) => {
                Err(Error::Config("the MLP has one preset, original: leave --preset out".to_owned()))
            }
            (Model::Transformer, Some(Preset::Original)) => {
                Ok(ModelConfig::Transformer(TransformerConfig { seed, ..TransformerConfig::original() }))
            }
            (Model::Transformer, None | Some(Preset::Small)) => {
                Ok(ModelConfig::Transformer(TransformerConfig { seed, ..TransformerConfig::small() }))
            }
        }
    }
}

#[derive(Debug, Args)]
pub struct Evaluate {
    /// The model that `glasslab train` kept.
    model: PathBuf,
    /// The text to measure on, a file or a folder [default: the held-out stories that come with glasslab].
    #[arg(long)]
    data: Option<PathBuf>,
}

impl Evaluate {
    pub fn run(&self, as_json: bool) -> Result<()> {
        let model = AnyModel::load(&self.model, best_device())?;
        let stories = match &self.data {
            Some(path) => Stories::from_path(path)?,
            None => Dataset::embedded()?.held_out,
        };
        let loss = evaluate(&model, &encode(&stories, &CharTokenizer::default())?)?;
        if as_json {
            let result = json!({
                "nats_per_char": loss.nats_per_char, "bits_per_char": loss.bits_per_char(),
                "perplexity": loss.perplexity(), "chars": loss.chars,
            });
            println!("{result}");
        } else {
            println!(
                "{:.4} nats/char = {:.4} bits/char (perplexity {:.2}) over {} characters",
                loss.nats_per_char,
                loss.bits_per_char(),
                loss.perplexity(),
                loss.chars
            );
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
pub struct Generate {
    /// The model that `glasslab train` kept.
    model: PathBuf,
    /// The text to continue.
    #[arg(long, default_value = "Once")]
    prompt: String,
    /// How many characters to write.
    #[arg(long, default_value_t = 200)]
    chars: usize,
    /// Below 1 the likely gets likelier, above 1 all get more alike; 0 always takes the likeliest.
    #[arg(long, default_value_t = 0.5, allow_negative_numbers = true)]
    temperature: f64,
    /// One seed gives one text.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl Generate {
    pub fn run(&self, as_json: bool) -> Result<()> {
        let tokenizer = CharTokenizer::default();
        let model = AnyModel::load(&self.model, best_device())?;
        let dropped = tokenizer.encode_all(&self.prompt).dropped;
        if !dropped.is_empty() {
            eprintln!("glasslab: left out of the prompt, because the model does not know them: {dropped:?}");
        }
        let sampling = Sampling { chars: self.chars, temperature: self.temperature, seed: self.seed };
        let text = generate(&model, &tokenizer, &self.prompt, &sampling)?;
        if as_json {
            println!("{}", json!({ "text": text, "dropped": dropped }));
        } else {
            println!("{text}");
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
pub struct Compare {
    /// Models that `glasslab train` kept, to stand beside the counted ones.
    models: Vec<PathBuf>,
    /// The text to count on [default: the stories that come with glasslab].
    #[arg(long)]
    data: Option<PathBuf>,
    /// The text to measure on [default: NAME-valid.txt beside a NAME-train.txt, else the last tenth].
    #[arg(long, requires = "data")]
    held_out: Option<PathBuf>,
}

impl Compare {
    pub fn run(&self, as_json: bool) -> Result<()> {
        let tokenizer = CharTokenizer::default();
        let data = dataset(self.data.as_deref(), self.held_out.as_deref())?;
        let (counted, held_out) = (encode(&data.train, &tokenizer)?, encode(&data.held_out, &tokenizer)?);
        let mut ladder = Vec::new();
        for n in 1..=6 {
            let name = format!("{n}-gram, counted");
            ladder.push((name, evaluate(&NGram::count(&counted, n, tokenizer.n_vocab)?, &held_out)?));
        }
        let uniform = Evaluation { nats_per_char: (tokenizer.n_vocab as f64).ln(), chars: ladder[0].1.chars };
        ladder.push(("uniform guessing".to_owned(), uniform));
        for path in &self.models {
            ladder.push((path.display().to_string(), evaluate(&AnyModel::load(path, best_device())?, &held_out)?));
        }
        ladder.sort_by(|a, b| b.1.nats_per_char.total_cmp(&a.1.nats_per_char));
        if as_json {
            let rows: Vec<_> = ladder
                .iter()
                .map(|(name, loss)| json!({ "model": name, "nats_per_char": loss.nats_per_char, "chars": loss.chars }))
                .collect();
            println!("{}", json!(rows));
            return Ok(());
        }
        println!(
            "{:<32} {:>9} {:>9} {:>10}   on {} held-out characters",
            "model", "nats/char", "bits/char", "perplexity", uniform.chars
        );
        for (name, loss) in ladder {
            let (nats, bits, perplexity) = (loss.nats_per_char, loss.bits_per_char(), loss.perplexity());
            println!("{name:<32} {nats:>9.3} {bits:>9.3} {perplexity:>10.2}");
        }
        Ok(())
    }
}

fn dataset(data: Option<&Path>, held_out: Option<&Path>) -> Result<Dataset> {
    data.map_or_else(Dataset::load, |path| Dataset::from_path(path, held_out))
}

fn encode(stories: &Stories, tokenizer: &CharTokenizer) -> Result<Tokens> {
    let tokens = Tokens::encode(stories, tokenizer)?;
    if tokens.dropped > 0 {
        eprintln!("glasslab: {} characters are outside the vocabulary and were left out", tokens.dropped);
    }
    Ok(tokens)
}
