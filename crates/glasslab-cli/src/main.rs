//! The command `glasslab`: the library without a notebook.

use clap::{Parser, Subcommand};
use glasslab::data::Dataset;
use glasslab_data::{TRAIN, VALIDATION};
use std::process::ExitCode;
use tch::{Cuda, Kind, Tensor};

/// A glass-box laboratory for language models.
#[derive(Parser)]
#[command(version)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Says what this machine computes on, and which text the lab learns from.
    Doctor,
    /// Lists the files of the real TinyStories with their sizes and checksums.
    Sources,
}

fn main() -> ExitCode {
    let result = match Options::parse().command {
        Command::Doctor => doctor(),
        Command::Sources => {
            sources();
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("glasslab: {error}");
            ExitCode::FAILURE
        }
    }
}

fn doctor() -> glasslab::Result<()> {
    let device = glasslab::best_device();
    let sum = Tensor::f_ones([1000, 1000], (Kind::Float, device))?.f_sum(Kind::Double)?.f_double_value(&[])?;
    println!("libtorch   computes on {device:?} (a million ones sum to {sum})");
    println!("threads    {}", tch::get_num_threads());
    println!("GPUs       {}", Cuda::device_count());
    let data = Dataset::load()?;
    println!("text       {}", data.source);
    println!("           {} stories to learn from, {} held out", data.train.len(), data.held_out.len());
    Ok(())
}

fn sources() {
    for file in TRAIN.iter().chain([&VALIDATION]) {
        println!("{:>12}  {}  {}", file.bytes, file.sha256.unwrap_or("hash not known"), file.resolve_path());
    }
}
