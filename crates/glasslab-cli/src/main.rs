//! The command `glasslab`: the library without a notebook.

mod check;
mod evaluate;
mod export;
mod fetch;
mod gallery;
mod generate;
mod import;
mod page;
mod stop;
mod sweep;
mod text;
mod trace;
mod train;

use clap::{Parser, Subcommand};
use glasslab::data::Dataset;
use glasslab_data::{TRAIN, VALIDATION};
use serde_json::json;
use std::process::ExitCode;
use tch::{Cuda, Device, Kind, Tensor};

/// A glass-box laboratory for language models.
#[derive(Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Options {
    #[command(subcommand)]
    command: Command,
    /// Prints the result as one line of JSON; progress goes to standard error.
    #[arg(long, global = true)]
    json: bool,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 an error (told on standard error), 2 wrong usage, 4 trained, but worse than guessing (a model that was there before is kept), 130 stopped by Ctrl-C (what was learnt is kept)";

#[derive(Subcommand)]
enum Command {
    /// Trains a model and keeps it.
    Train(Box<train::Train>),
    /// Trains many models, over lists of settings and seeds, and keeps what came of each.
    Sweep(sweep::Sweep),
    /// Measures a model on a text.
    Evaluate(evaluate::Evaluate),
    /// Lets a model continue a prompt.
    Generate(generate::Generate),
    /// Measures counted models and trained ones on the same characters.
    Compare(evaluate::Compare),
    /// Follows a text through a model, step by step.
    Trace(trace::Look),
    /// Draws every picture there is of a trained transformer into one page.
    Gallery(gallery::Gallery),
    /// Writes a model as one file that a browser opens and that computes there.
    Page(page::OnePage),
    /// Makes a model of ours from one of others: GPT-2, GPT-Neo, Llama, Mistral, Qwen, Gemma.
    Import(import::Import),
    /// Writes a model of ours for others: transformers, llama.cpp, llama2.c.
    Export(export::Export),
    /// Fetches the real TinyStories and prepares them for notebooks, or a model of others.
    Fetch(fetch::Fetch),
    /// Prepares a person's own text: a file (.parquet, .csv, .jsonl, .json, text) or a folder.
    Prepare(fetch::Prepare),
    /// Says what is in a prepared file, and whether it is whole.
    Inspect(fetch::Inspect),
    /// Judges answers to an exercise that its check has kept.
    Check(check::Check),
    /// Says what this machine computes on, and which text the lab learns from.
    Doctor,
    /// Lists the files of the real TinyStories with their sizes and checksums.
    Sources,
}

fn main() -> ExitCode {
    // Libtorch puts large tensors into large pages then: a step of training takes about a tenth less time.
    // SAFETY: this process has one thread so far.
    unsafe { std::env::set_var("THP_MEM_ALLOC_ENABLE", "1") };
    let options = Options::parse();
    let done = |()| ExitCode::SUCCESS;
    let result = match &options.command {
        Command::Train(train) => train.run(options.json),
        Command::Sweep(sweep) => sweep.run(options.json),
        Command::Evaluate(evaluate) => evaluate.run(options.json).map(done),
        Command::Generate(generate) => generate.run(options.json).map(done),
        Command::Compare(compare) => compare.run(options.json).map(done),
        Command::Trace(look) => look.run(options.json).map(done),
        Command::Gallery(gallery) => gallery.run(options.json).map(done),
        Command::Page(page) => page.run(options.json).map(done),
        Command::Import(import) => return import.run(options.json),
        Command::Export(export) => return export.run(options.json),
        Command::Fetch(fetch) => return fetch.run(options.json),
        Command::Prepare(prepare) => return prepare.run(options.json),
        Command::Inspect(inspect) => return inspect.run(options.json),
        Command::Check(check) => check.run(options.json).map(done),
        Command::Doctor => doctor(options.json).map(done),
        Command::Sources => {
            sources(options.json);
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("glasslab: {error}");
        ExitCode::FAILURE
    })
}

fn doctor(as_json: bool) -> glasslab::Result<()> {
    let device = glasslab::best_device();
    let sum = Tensor::f_ones([1000, 1000], (Kind::Float, device))?.f_sum(Kind::Double)?.f_double_value(&[])?;
    let data = Dataset::load()?;
    let (threads, gpus) = (tch::get_num_threads(), Cuda::device_count());
    if as_json {
        // Libtorch's own words: a driver that is missing is another trouble than a libtorch for processors only.
        let no_gpu = Tensor::f_zeros([1], (Kind::Float, Device::Cuda(0))).err();
        let no_gpu = no_gpu.map(|error| glasslab::Error::from(error).to_string());
        let report = json!({
            "device": format!("{device:?}"), "threads": threads, "gpus": gpus, "no_gpu": no_gpu, "computes": sum == 1e6,
            "text": data.source, "stories": data.train.len(), "held_out": data.held_out.len(),
        });
        println!("{report}");
        return Ok(());
    }
    println!("libtorch   computes on {device:?} (a million ones sum to {sum})");
    println!("threads    {threads}");
    println!("GPUs       {gpus}");
    println!("text       {}", data.source);
    println!("           {} stories to learn from, {} held out", data.train.len(), data.held_out.len());
    Ok(())
}

fn sources(as_json: bool) {
    for file in TRAIN.iter().chain([&VALIDATION]) {
        if as_json {
            println!("{}", json!({ "path": file.resolve_path(), "bytes": file.bytes, "sha256": file.sha256 }));
        } else {
            println!("{:>12}  {}  {}", file.bytes, file.sha256.unwrap_or("hash not known"), file.resolve_path());
        }
    }
}
