//! `glasslab generate`: lets a model write.

use clap::Args;
use glasslab::Result;
use glasslab::checkpoint::AnyModel;
use glasslab::generate::{Sampling, generate_batch, generate_with};
use glasslab::model::LanguageModel;
use glasslab::tokenizer::{Tokenizer, printable};
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Instant;

#[derive(Debug, Args)]
pub struct Generate {
    /// The model: one that `glasslab train` kept, a GGUF file, a Hugging Face folder, or a fetched one by its name.
    model: PathBuf,
    /// The text to continue; give it several times to continue several texts at once.
    #[arg(long, default_value = "Once")]
    prompt: Vec<String>,
    /// How many texts to write for each prompt, each with the next seed.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    samples: u16,
    /// How many characters to write.
    #[arg(long, default_value_t = 200)]
    chars: usize,
    /// Below 1 the likely gets likelier, above 1 all get more alike; 0 always takes the likeliest.
    #[arg(long, default_value_t = 0.5, allow_negative_numbers = true)]
    temperature: f64,
    /// Draw among so many of the likeliest characters only.
    #[arg(long)]
    top_k: Option<usize>,
    /// Draw among the fewest of the likeliest characters that together have this probability.
    #[arg(long, allow_negative_numbers = true)]
    top_p: Option<f64>,
    /// Always take the likeliest character: the same as --temperature 0.
    #[arg(long)]
    greedy: bool,
    /// End when this has been written.
    #[arg(long)]
    stop: Option<String>,
    /// One seed gives one text.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Compute keys and values anew for each character: the same text, later.
    #[arg(long)]
    no_cache: bool,
    /// On a terminal, too, writes control characters as they are; without it, they are shown as signs there.
    #[arg(long)]
    raw: bool,
}

impl Generate {
    pub fn run(&self, as_json: bool) -> Result<()> {
        let model = AnyModel::open(&self.model)?;
        let tokenizer = model.tokenizer();
        let sampling = Sampling {
            chars: self.chars,
            temperature: if self.greedy { 0.0 } else { self.temperature },
            top_k: self.top_k,
            top_p: self.top_p,
            stop: self.stop.clone(),
            seed: self.seed,
            cached: !self.no_cache,
        };
        sampling.check(&tokenizer)?;
        // What a hardly trained model writes could move a terminal's cursor, or ring its bell.
        let mut out = std::io::stdout();
        let is_raw = self.raw || !out.is_terminal();
        let shown = |text: &str| if is_raw { text.to_owned() } else { printable(text) };
        let prompts: Vec<&str> =
            self.prompt.iter().flat_map(|prompt| std::iter::repeat_n(prompt.as_str(), self.samples.into())).collect();
        if as_json {
            let started = Instant::now();
            let texts = generate_batch(&model, &tokenizer, &prompts, &sampling)?;
            let seconds = started.elapsed().as_secs_f64();
            let dropped =
                |prompt: &str| prompt.chars().filter(|&character| !tokenizer.knows(character)).collect::<Vec<char>>();
            let texts = prompts.iter().zip(texts);
            let texts =
                texts.map(|(prompt, text)| json!({ "prompt": prompt, "text": text, "dropped": dropped(prompt) }));
            println!("{}", json!({ "texts": texts.collect::<Vec<_>>(), "seconds": seconds }));
            return Ok(());
        }
        match prompts[..] {
            [prompt] => {
                // Each character as it comes; a closed pipe ends the showing, not the command.
                let known: String = prompt.chars().filter(|&character| tokenizer.knows(character)).collect();
                let mut show = |text: &str| drop(out.write_all(shown(text).as_bytes()).and_then(|()| out.flush()));
                show(&known);
                generate_with(&model, &tokenizer, prompt, &sampling, |character| show(&character.to_string()))?;
                show("\n");
            }
            _ => {
                for text in generate_batch(&model, &tokenizer, &prompts, &sampling)? {
                    println!("{}\n---", shown(&text));
                }
            }
        }
        Ok(())
    }
}
