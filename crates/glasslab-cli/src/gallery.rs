//! A page with every picture that glasslab draws, from one trained model.

use crate::text::Reading;
use clap::Args;
use glasslab::checkpoint::{AnyModel, ModelConfig};
use glasslab::data::{END_OF_STORY, Stories, Tokens};
use glasslab::display::escape;
use glasslab::evaluate::{Ladder, evaluate_some};
use glasslab::intervene::{Altered, Cut, Effect, Intervene};
use glasslab::measure::{HeadPatterns, Lens};
use glasslab::model::{LanguageModel, MlpConfig, MlpLm, TransformerLm};
use glasslab::tokenizer::{AnyTokenizer, Tokenizer};
use glasslab::trace::Traceable;
use glasslab::train::{
    Course, Downhill, History, Landscape, LandscapeConfig, Learning, Length, Moment, OptimiserKind, StepByStep,
    TrainConfig, train_with,
};
use glasslab::view::{EmbeddingMap, Film, LossCurve, Surprise, Written};
use glasslab::{Error, Result, best_device};
use serde_json::json;
use std::fmt::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;

const STYLE: &str = include_str!("gallery.css");
/// Held-out characters that the ladder is measured on, about.
const HELD_OUT: usize = 30_000;
/// Held-out characters that each cut is measured on.
const MEASURED: usize = 5_000;

#[derive(Debug, Args)]
pub struct Gallery {
    /// A transformer: one that `glasslab train` kept, a GGUF file, a Hugging Face folder, or a fetched one by its name.
    model: PathBuf,
    /// The text that the model is shown.
    #[arg(long, default_value = "Once upon a time, there was a little girl named Lily.")]
    text: String,
    /// A text, a file or a folder, for the film of a training and the held-out losses [default: the stories that come with
    /// glasslab].
    #[arg(long)]
    data: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    /// Steps of the training that is filmed.
    #[arg(long, default_value_t = 300)]
    film_steps: usize,
    /// The page.
    #[arg(long, default_value = "gallery.html")]
    out: PathBuf,
}

impl Gallery {
    pub fn run(&self, as_json: bool) -> Result<()> {
        let AnyModel::Transformer(model) = AnyModel::open(&self.model)? else {
            return Err(Error::Config(format!(
                "{} is an MLP, which has no attention to show: give a transformer",
                self.model.display()
            )));
        };
        let data = self.reading.dataset(self.data.as_deref(), None)?;
        let tokenizer = model.tokenizer();
        let train_tokens = self.reading.encode(&data.train, &tokenizer)?;
        let held_out = self.reading.encode(&beginning(&data.held_out)?, &tokenizer)?;
        let story = data.held_out.get(0).unwrap_or("Once upon a time");
        let mut page = Page::default();
        self.trace(&model, &mut page)?;
        self.way_back(&model, &mut page)?;
        self.attention(&model, &mut page)?;
        self.predictions(&model, story, &mut page)?;
        self.embeddings(&model, &mut page)?;
        self.training(&model, &train_tokens, &held_out, &mut page)?;
        self.learning(&tokenizer, &train_tokens, &held_out, &mut page)?;
        self.ladder(&model, &train_tokens, &held_out, &mut page)?;
        self.cuts(&model, &held_out, &mut page)?;
        let name = self.model.file_name().unwrap_or_default().to_string_lossy();
        let live = self.live(&model, &mut page)?;
        let html = page.finish(&format!("What glasslab sees in {name}"));
        std::fs::write(&self.out, &html).map_err(|source| Error::File { path: self.out.clone(), source })?;
        match as_json {
            true => println!(
                "{}",
                json!({ "out": self.out, "pictures": page.pictures, "bytes": html.len(), "live": live.path })
            ),
            false => println!(
                "{} pictures in {}; the model itself, live, in {}",
                page.pictures,
                self.out.display(),
                live.path.display()
            ),
        }
        Ok(())
    }

    /// The model itself, in a page of its own beside this one.
    fn live(&self, model: &TransformerLm, page: &mut Page) -> Result<Written> {
        let path = self.out.with_extension("live.html");
        let title = self.model.file_stem().unwrap_or_default().to_string_lossy();
        let written = glasslab::view::Page::new(model)?.title(&title).write(&path)?;
        let name = escape(&path.file_name().unwrap_or_default().to_string_lossy());
        page.section("Live", "The model in a page that computes: type, let it write, cut it, walk through it.");
        page.add("model.page(\"mine.html\")?", &format!("<p><a href=\"{name}\">{name}</a></p>"));
        Ok(written)
    }

    fn trace(&self, model: &TransformerLm, page: &mut Page) -> Result<()> {
        page.section("A forward pass, step by step", "Every number that the model computes for a short text.");
        let short: String = self.text.chars().take(14).collect();
        let trace = model.trace(&short)?;
        page.add(&format!("model.trace({short:?})?"), &trace.html()?.html);
        let step = "block.0.attn.queries";
        page.add(&format!("trace.open({step:?})?"), &trace.open(step)?.html);
        let place = [0, 0, 2, 1];
        for step in ["block.0.attn.scores", "block.0.attn.weights"] {
            page.add(&format!("trace.by_hand({step:?}, &{place:?})?"), &trace.by_hand(step, &place)?.html().html);
        }
        let (hidden, activated) = ("block.0.mlp.hidden", "block.0.mlp.activated");
        page.add(&format!("trace.compare({hidden:?}, {activated:?})?"), &trace.compare(hidden, activated)?.html().html);
        Ok(())
    }

    fn way_back(&self, model: &TransformerLm, page: &mut Page) -> Result<()> {
        page.section(
            "The way back",
            "How much the loss would change with each number, and with each learnt one: who is to blame.",
        );
        let short: String = self.text.chars().take(14).collect();
        let trace = model.backward(&short)?;
        page.add(&format!("model.backward({short:?})?"), &trace.html()?.html);
        for step in ["block.0.attn.weights", "block.0.mlp.hidden.weight"] {
            page.add(&format!("trace.open({step:?})?"), &trace.open(step)?.html);
        }
        for (step, place) in
            [("logits", vec![0, 2, 101]), ("block.0.attn.scores", vec![0, 0, 2, 1]), ("embedding", vec![101, 3])]
        {
            page.add(&format!("trace.blame({step:?}, &{place:?})?"), &trace.blame(step, &place)?.html().html);
        }
        Ok(())
    }

    fn attention(&self, model: &TransformerLm, page: &mut Page) -> Result<()> {
        let trace = model.trace(&self.text)?;
        let attention = trace.attention()?;
        page.section("Attention", "Where each character looks; walk through it, or read it as pictures.");
        page.add("trace.explore()?", &trace.explore()?.html()?.html);
        page.add("model.backward(text)?.explore()?", &model.backward(&self.text)?.explore()?.html()?.html);
        let heads = HeadPatterns::find(model, &self.text)?;
        let (layer, head) = heads.best(0).map_or((0, 0), |best| (best.layer, best.head));
        page.add("HeadPatterns::find(&model, text)?", &heads.html().html);
        page.add(
            &format!("trace.attention()?.head({layer}, {head})?.draw()?"),
            &attention.head(layer, head)?.draw()?.html(),
        );
        let short = model.trace(&self.text.chars().take(14).collect::<String>())?;
        page.add(
            &format!("model.trace(\"…\")?.attention()?.stages({layer}, {head})?"),
            &short.attention()?.stages(layer, head)?.html,
        );
        page.add("trace.attention()?.grid()?", &attention.grid()?.html());
        Ok(())
    }

    fn predictions(&self, model: &TransformerLm, story: &str, page: &mut Page) -> Result<()> {
        page.section("What it expects", "Probabilities of the next character, and how much what came surprised it.");
        let trace = model.trace(&self.text)?;
        page.add("trace.next_characters(12)?.draw()?", &trace.next_characters(12)?.draw()?.html());
        let place = trace.labels.len() / 2;
        let bars = trace.next_characters_at(place, 8)?;
        page.add(&format!("trace.next_characters_at({place}, 8)?.draw()?"), &bars.draw()?.html());
        let story: String = story.chars().take(600).collect();
        page.add("Surprise::new(&model, story)?", &Surprise::new(model, &story)?.html().html);
        let short: String = self.text.chars().take(28).collect();
        page.add(&format!("Lens::new(&model, {short:?})?"), &Lens::new(model, &short)?.html().html);
        Ok(())
    }

    fn embeddings(&self, model: &TransformerLm, page: &mut Page) -> Result<()> {
        page.section("Embeddings", "Which characters, and which places, have become alike.");
        let characters = "aeiouybcdfghjklmnpqrstvwxzTSHLMOBW .,!?\"'\n";
        let map = EmbeddingMap::characters(&model.embedding, characters)?;
        page.add("EmbeddingMap::characters(&model.embedding, \"aeiou…\")?.projection()?", &map.projection()?.html());
        page.add("….similarity()?.draw()?", &map.similarity()?.draw()?.html());
        if let Some(position) = &model.position {
            let map = EmbeddingMap::positions(position)?;
            page.add("EmbeddingMap::positions(position)?.projection()?", &map.projection()?.html());
            page.add("….similarity()?.draw()?", &map.similarity()?.draw()?.html());
        }
        Ok(())
    }

    fn training(&self, model: &TransformerLm, train: &Tokens, held_out: &Tokens, page: &mut Page) -> Result<()> {
        page.section(
            "Attention over training",
            "The same text through a new model of the same sizes, while it learns. Move the slider.",
        );
        let Some(ModelConfig::Transformer(sizes)) = model.model_config() else {
            return Err(Error::Config("a transformer has a transformer's config".to_owned()));
        };
        let mut young = TransformerLm::new(sizes, best_device())?.with_tokenizer(model.tokenizer())?;
        let steps = self.film_steps.max(1);
        let chosen: Vec<usize> =
            [0.0, 0.03, 0.07, 0.13, 0.2, 0.33, 0.5, 0.75].iter().map(|part| (part * steps as f64) as usize).collect();
        let short: String = self.text.chars().take(32).collect();
        let mut film = Film::new(&short).at_steps(&chosen);
        let config = TrainConfig {
            length: Length::Steps(steps),
            context_len: 64.min(sizes.context_len as usize),
            lr: 0.004,
            reports: 5,
            ..TrainConfig::default()
        };
        eprintln!("glasslab: filming a training of {steps} steps");
        let history = film.train_with(&mut young, train, held_out, &config, |moment| {
            if moment.report {
                eprintln!("{}", moment.line());
            }
            ControlFlow::Continue(())
        })?;
        page.add(&format!("Film::new({short:?}).at_steps(&{chosen:?}).train(…)?"), &film.html()?.html);
        let curve = history.curve().smooth(3).uniform(sizes.n_vocab).bigram(train, held_out, sizes.n_vocab)?;
        page.add(
            "history.curve().smooth(3).uniform(256).bigram(&train, &held_out, 256)?.draw()?",
            &curve.draw()?.html(),
        );
        Ok(())
    }

    /// How a small model learns, from within.
    fn learning(&self, tokenizer: &AnyTokenizer, train: &Tokens, held_out: &Tokens, page: &mut Page) -> Result<()> {
        page.section("Learning, watched", "An MLP language model while it learns, and one of its steps in numbers.");
        let steps = self.film_steps.max(2);
        let config =
            TrainConfig { length: Length::Steps(steps), reports: 5, keep_best: false, ..TrainConfig::default() };
        let sizes = MlpConfig { n_vocab: tokenizer.n_vocab(), ..MlpConfig::original() };
        let new = || MlpLm::new(sizes, best_device())?.with_tokenizer(tokenizer.clone());
        let silent = |_: Moment<'_>| ControlFlow::Continue(());
        eprintln!("glasslab: watching a training of {steps} steps");
        let mut learning = Learning::new(&self.text).every(steps.div_ceil(30));
        learning.train_with(&mut new()?, train, held_out, &config, silent)?;
        page.add("learning.gradients()?.draw()?", &learning.gradients()?.draw()?.html());
        page.add("learning.updates()?.draw()?", &learning.updates()?.draw()?.html());
        page.add("learning.dead_units()?", &learning.dead_units()?.html());
        page.add("learning.film()?", &learning.film()?.html);
        let mut histories = Vec::new();
        for (optimiser, lr) in [(OptimiserKind::Sgd, 1.0), (OptimiserKind::Momentum, 0.1), (OptimiserKind::Adamw, 0.01)]
        {
            let config = TrainConfig { optimiser, lr, ..config.clone() };
            histories.push((optimiser.name(), train_with(&mut new()?, train, held_out, &config, silent)?));
        }
        let named: Vec<(&str, &History)> = histories.iter().map(|(name, history)| (*name, history)).collect();
        page.add(
            "LossCurve::compare(&[(\"SGD\", &sgd), …]).draw()?",
            &LossCurve::compare(&named).smooth(2).draw()?.html(),
        );
        page.add("Downhill::from(&model, &train, &config)?", &Downhill::from(&new()?, train, &config)?.draw()?.html());
        let (mut mlp, mut course) = (new()?, Course::every(1));
        let mut one_by_one = StepByStep::new(&mut mlp, train, &config)?;
        let first = one_by_one.next(&mut mlp)?;
        let by_hand = first.by_hand("output.weight", &[4, 5])?;
        page.add("steps.next(&mut model)?.by_hand(\"output.weight\", &[4, 5])?", &by_hand.html().html);
        page.add("step.norms()?", &first.norms()?.html().html);
        page.add("step.singular_values(\"embedding\")?", &first.singular_values("embedding")?.draw()?.html());
        course.take(&mlp, 1)?;
        while !one_by_one.is_over() {
            one_by_one.skip(&mut mlp, steps.div_ceil(30))?;
            course.take(&mlp, one_by_one.done())?;
        }
        let slice = LandscapeConfig::default();
        if course.steps().len() > 2 {
            let landscape = Landscape::of_course(&mlp, &course, held_out, &slice)?;
            page.add("Landscape::of_course(&model, &course, &held_out, &slice)?", &landscape.draw()?.html());
        }
        let landscape = Landscape::around(&mlp, held_out, &slice)?;
        page.add("Landscape::around(&model, &held_out, &slice)?", &landscape.draw()?.html());
        Ok(())
    }

    fn ladder(&self, model: &TransformerLm, train: &Tokens, held_out: &Tokens, page: &mut Page) -> Result<()> {
        let words = "Held-out loss of guessing, of counting, and of this model, on the same characters.";
        page.section("The ladder", words);
        let mut ladder = Ladder::counted(train, held_out, model.config.n_vocab)?;
        ladder.add("this model", model, held_out)?;
        page.add("Ladder::counted(&train, &held_out, 256)?.draw()?", &ladder.draw()?.html());
        Ok(())
    }

    fn cuts(&self, model: &TransformerLm, held_out: &Tokens, page: &mut Page) -> Result<()> {
        page.section(
            "What happens if one cuts",
            "A part is taken out, or another text's numbers put in; the rest is the model.",
        );
        let best = HeadPatterns::find(model, &self.text)?;
        let (layer, head) = best.best(0).map_or((0, 0), |best| (best.layer, best.head));
        let short: String = self.text.chars().take(28).collect();
        let mut effects: Vec<(String, Effect)> = Vec::new();
        let mut all = vec![Cut::Head { layer, head }, Cut::Block(0), Cut::Mask, Cut::Residual(0)];
        if model.position.is_some() || model.rotary.is_some() {
            all.insert(2, Cut::Positions);
        }
        for cut in all {
            effects.push((format!("model.ablate(Cut::{cut:?}, {short:?})?"), model.ablate(cut, &short)?));
        }
        // The stream of the word's last character, as another text had made it after the first block.
        let (step, middle) = ("block.0.after_mlp", short.chars().count() / 2);
        let other: String =
            short.chars().enumerate().map(|(at, character)| if at == middle { 'x' } else { character }).collect();
        // With tokens the other text may be the longer one, and only from the shorter one all can be taken.
        let is_longer = model.trace(&other)?.labels.len() > model.trace(&short)?.labels.len();
        let (text, source) = if is_longer { (&other, &short) } else { (&short, &other) };
        let place = model.trace(source)?.labels.len() / 2;
        let patched = model.patch(text, &model.trace(source)?, step, Some(place))?;
        effects.push((format!("model.patch({text:?}, &model.trace({source:?})?, {step:?}, Some({place}))?"), patched));
        let mut table = String::from("<table><tr><th>change</th><th>on the text</th><th>held out</th></tr>");
        let before = evaluate_some(model, held_out, MEASURED)?.nats_per_char;
        for (_, effect) in &effects {
            let after = evaluate_some(&Altered::new(model, &effect.changes), held_out, MEASURED)?.nats_per_char;
            let loss = |loss: Option<f64>| loss.map_or("–".to_owned(), |loss| format!("{loss:.3}"));
            let text = format!("{} → {}", loss(effect.before.trace.loss()), loss(effect.after.trace.loss()));
            let _ = write!(
                table,
                "<tr><td>{}</td><td>{text}</td><td>{before:.3} → {after:.3} nats/char</td></tr>",
                escape(&effect.changes.to_string())
            );
        }
        page.add("evaluate(&Altered::new(&model, &cut.into()), &held_out)?", &(table + "</table>"));
        for (code, effect) in effects {
            page.add(&code, &effect.html()?.html);
        }
        Ok(())
    }
}

/// The first stories, enough to measure on.
fn beginning(stories: &Stories) -> Result<Stories> {
    let mut text = String::new();
    for story in stories.iter() {
        text.push_str(story);
        text.push_str(END_OF_STORY);
        if text.len() > HELD_OUT {
            break;
        }
    }
    Stories::parse(&text)
}

/// A page that grows.
#[derive(Default)]
struct Page {
    body: String,
    contents: String,
    pictures: usize,
    sections: usize,
}

impl Page {
    fn section(&mut self, title: &str, words: &str) {
        self.sections += 1;
        let (number, title, words) = (self.sections, escape(title), escape(words));
        let _ = write!(self.contents, "<li><a href=\"#s{number}\">{title}</a></li>");
        let _ = write!(self.body, "<h2 id=\"s{number}\">{title}</h2><p>{words}</p>");
    }

    /// A block, and the line of a cell that makes it.
    fn add(&mut self, code: &str, block: &str) {
        self.pictures += 1;
        let code = escape(code);
        let _ = write!(self.body, "<figure><figcaption><code>{code}</code></figcaption>{block}</figure>");
    }

    fn finish(&self, title: &str) -> String {
        let (title, contents, body) = (escape(title), &self.contents, &self.body);
        format!(
            "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>\
             <nav><ol>{contents}</ol></nav>{body}</body></html>\n"
        )
    }
}
