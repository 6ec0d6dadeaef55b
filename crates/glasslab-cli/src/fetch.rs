//! Fetching the real TinyStories and models of others, preparing a person's own text, and looking into what was prepared.

use clap::{Args, ValueEnum};
use glasslab::data::command::UNREACHABLE;
use glasslab::data::{COLUMN, Checksum, Epoch, Header, Split, Stories, TokenFile, Tokens, cache_folder};
use glasslab::tokenizer::CharTokenizer;
use glasslab_data::clean::Report;
use glasslab_data::models::{FetchedModel, ModelFile};
use glasslab_data::prepare::prepare_own;
use glasslab_data::{Error, Fetched, HubModel, MODELS, Meter, Models, Result, Store};
use serde_json::{Value, json};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Instant;
use tch::{Device, Kind};

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Data {
    /// TinyStories (Eldan and Li 2023; CDLA-Sharing-1.0).
    #[value(name = "tinystories")]
    TinyStories,
    /// A model of others, by its name.
    Model,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Part {
    /// 10 MB, 22 thousand stories.
    Validation,
    /// Up to 990 MB in four shards, 2.1 million stories.
    Train,
    /// Both.
    All,
}

#[derive(Debug, Args)]
pub struct Fetch {
    #[arg(value_enum, default_value = "tinystories")]
    data: Data,
    /// Which model: stories260K, SmolLM2-135M-Instruct, …
    #[arg(conflicts_with_all = ["split", "shards", "keep_faults"])]
    name: Option<String>,
    /// Lists the models that there are.
    #[arg(long)]
    list: bool,
    /// What of it.
    #[arg(long, value_enum, default_value = "validation")]
    split: Part,
    /// Which shards of the train split, e.g. 2 or 1..4 [default: those fetched before, else 1].
    #[arg(long, value_parser = shards)]
    shards: Option<RangeInclusive<usize>>,
    /// Leaves the data's faults in: mojibake, control characters, duplicates.
    #[arg(long)]
    keep_faults: bool,
}

fn shards(text: &str) -> std::result::Result<RangeInclusive<usize>, String> {
    let (first, last) = text.split_once("..").or_else(|| text.split_once('-')).unwrap_or((text, text));
    match (first.trim().parse(), last.trim_start_matches('=').trim().parse()) {
        (Ok(first), Ok(last)) if 0 < first && first <= last => Ok(first..=last),
        _ => Err("give one number from 1 on, such as 2, or two, such as 1..4".to_owned()),
    }
}

impl Fetch {
    /// Ends with status 3 if the hub can't be reached, with 1 if something else is wrong.
    pub fn run(&self, as_json: bool) -> ExitCode {
        end(match (self.data, self.list) {
            (Data::TinyStories, false) if self.name.is_none() => self.fetch(as_json),
            (Data::Model, false) => self.model(as_json),
            (Data::Model, true) => {
                list(as_json);
                Ok(())
            }
            (Data::TinyStories, _) => Err(Error::Wrong(
                "TinyStories have no names to choose from: `glasslab fetch model NAME` fetches a model, `glasslab fetch model \
                 --list` lists them"
                    .to_owned(),
            )),
        })
    }

    fn model(&self, as_json: bool) -> Result<()> {
        let model = HubModel::named(self.name.as_deref().unwrap_or_default())?;
        let mut progress = Meter::new();
        let models = Models::from_environment()?;
        if model.is_gated {
            progress.note(&format!("{} is under {}", model.name, model.licence));
        }
        let FetchedModel { path, is_new } = models.fetch(&model, &mut progress)?;
        match as_json {
            true => println!("{}", json!({ "name": model.name, "path": path, "is_new": is_new })),
            false => {
                println!("{}: {} ({}), in {}", model.name, model.repository, model.licence, path.display());
                println!("  in a notebook: Lm::open({:?})?", model.name);
            }
        }
        Ok(())
    }

    fn fetch(&self, as_json: bool) -> Result<()> {
        let (store, mut progress) = (Store::from_environment()?, Meter::new());
        let splits: &[Split] = match self.split {
            Part::Validation => &[Split::Validation],
            Part::Train => &[Split::Train],
            Part::All => &[Split::Train, Split::Validation],
        };
        let mut reports = Vec::new();
        for &split in splits {
            let shards = self.shards.clone().filter(|_| split == Split::Train);
            let Fetched { path, header, is_new } = store.fetch(split, shards, !self.keep_faults, &mut progress)?;
            if as_json {
                reports.push(report(&path, &header, is_new));
            } else {
                tell(split.name(), &path, &header, is_new);
            }
        }
        if as_json {
            println!("{}", json!(reports));
        }
        Ok(())
    }
}

fn list(as_json: bool) {
    if as_json {
        let file = |file: &ModelFile| json!({ "path": file.path, "bytes": file.bytes, "sha256": file.sha256 });
        let all = MODELS.iter().map(|model| {
            json!({
                "name": model.name, "repository": model.repository, "revision": model.revision, "licence": model.licence,
                "gated": model.is_gated, "files": model.files.iter().map(file).collect::<Vec<_>>(),
            })
        });
        println!("{}", all.collect::<Value>());
        return;
    }
    for model in MODELS {
        let size = match model.bytes() {
            0 => "size not known".to_owned(),
            bytes => format!("{:.0} MB", (bytes as f64 / 1e6).max(1.0)),
        };
        let hashes = if model.is_known() { "" } else { "; no checksum is known before the first download" };
        println!(
            "{:<22} {size:>14}  {} at {:.7}, {}{hashes}",
            model.name, model.repository, model.revision, model.licence
        );
    }
}

#[derive(Debug, Args)]
pub struct Prepare {
    /// A file, .gz or .zst around it or not: .parquet, .csv or .tsv with a column `text`; .jsonl or .json with a field
    /// `text`; text (stories between `<|endoftext|>` lines). Or a folder of them.
    file: PathBuf,
    /// The column, or the field, that the stories are in.
    #[arg(long, default_value = COLUMN)]
    column: String,
    /// Where the token file goes: it ends in .tokens [default: a name of its own in the cache folder].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Mends mojibake and control characters, and leaves out duplicates and very short stories.
    #[arg(long)]
    clean_up: bool,
}

impl Prepare {
    pub fn run(&self, as_json: bool) -> ExitCode {
        end(self.prepare(as_json))
    }

    fn prepare(&self, as_json: bool) -> Result<()> {
        if let Some(out) = self.out.as_ref().filter(|out| out.extension().is_none_or(|ending| ending != "tokens")) {
            let (out, named) = (out.display(), out.with_extension("tokens"));
            return Err(Error::Wrong(format!("a token file ends in .tokens, got {out}: name it {}", named.display())));
        }
        let (store, mut progress) = (Store::from_environment()?, Meter::new());
        let _lock = store.lock(&mut progress)?;
        let file = |source| Error::File { path: self.file.clone(), source };
        let target = match &self.out {
            Some(out) => out.clone(),
            None => own_name(&self.file.canonicalize().map_err(file)?, &self.column)?,
        };
        let (header, is_new) = prepare_own(&self.file, &self.column, &target, self.clean_up, &mut progress)?;
        if as_json {
            println!("{}", report(&target, &header, is_new));
        } else {
            tell(&header.origin.source, &target, &header, is_new);
        }
        Ok(())
    }
}

/// Two files of one name in two folders must not share a token file, nor two columns of one.
fn own_name(path: &Path, column: &str) -> Result<PathBuf> {
    let folder = cache_folder()?.join("own");
    std::fs::create_dir_all(&folder).map_err(|source| Error::File { path: folder.clone(), source })?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let stem: String = stem.chars().filter(|character| character.is_alphanumeric()).take(40).collect();
    let mut sum = Checksum::default();
    sum.add(path.as_os_str().as_encoded_bytes());
    if column != COLUMN {
        sum.add(b"\0");
        sum.add(column.as_bytes());
    }
    Ok(folder.join(format!("{stem}-{:016x}.tokens", sum.value())))
}

#[derive(Debug, Args)]
pub struct Inspect {
    /// A token file, as `glasslab fetch` and `glasslab prepare` make them.
    file: PathBuf,
    /// Reads all of it, and checks it against its checksums.
    #[arg(long)]
    verify: bool,
    /// Passes once over all of it in batches, in the order that this seed gives, and tells the order's checksum.
    #[arg(long, value_name = "SEED")]
    epoch: Option<u64>,
}

impl Inspect {
    pub fn run(&self, as_json: bool) -> ExitCode {
        end(self.inspect(as_json))
    }

    fn inspect(&self, as_json: bool) -> Result<()> {
        let before = resident_bytes();
        let started = Instant::now();
        let stories = Stories::from_token_file(&self.file)?;
        let tokens = Tokens::encode_lossy(&stories, &CharTokenizer::default())?;
        let opened_ms = started.elapsed().as_secs_f64() * 1e3;
        let grown = resident_bytes().zip(before).map(|(after, before)| after.saturating_sub(before));
        let file = TokenFile::open(&self.file)?;
        if self.verify {
            file.verify()?;
        }
        let epoch = self.epoch.map(|seed| pass(&tokens, seed)).transpose()?;
        if as_json {
            let mut report = report(&self.file, file.header(), false);
            report["epoch"] = json!(epoch);
            report["opened_ms"] = json!(opened_ms);
            report["resident_bytes"] = json!(grown);
            report["verified"] = json!(self.verify);
            println!("{report}");
            return Ok(());
        }
        tell(&file.header().origin.source, &self.file, file.header(), false);
        let megabytes = grown.map_or_else(String::new, |grown| format!(", {:.1} MB more memory", grown as f64 / 1e6));
        println!("  opened in {opened_ms:.1} ms{megabytes}: {} tokens to train on", tokens.len());
        if self.verify {
            println!("  verified: all of it is as it was written");
        }
        if let (Some(seed), Some(epoch)) = (self.epoch, epoch) {
            println!(
                "  an epoch with seed {seed}: {} batches of {BATCH} × {CONTEXT} in {:.1} s; the order's checksum: {}",
                epoch.batches, epoch.seconds, epoch.checksum
            );
        }
        Ok(())
    }
}

const BATCH: usize = 32;
const CONTEXT: usize = 64;

#[derive(Debug, serde::Serialize)]
struct Pass {
    batches: usize,
    seconds: f64,
    checksum: String,
}

fn pass(tokens: &Tokens, seed: u64) -> Result<Pass> {
    let started = Instant::now();
    let mut epoch = Epoch::new(tokens, BATCH, CONTEXT, seed)?;
    let mut sum = Checksum::default();
    while let Some(batch) = epoch.next_batch(Device::Cpu)? {
        let ids =
            Vec::<u8>::try_from(batch.inputs.to_kind(Kind::Uint8).flatten(0, 1)).map_err(glasslab::Error::from)?;
        sum.add(&ids);
    }
    let seconds = started.elapsed().as_secs_f64();
    Ok(Pass { batches: epoch.batches(), seconds, checksum: format!("{:016x}", sum.value()) })
}

/// The memory that this process has in use. Linux tells in a file, other systems through `ps`.
fn resident_bytes() -> Option<u64> {
    let kib = match std::fs::read_to_string("/proc/self/status") {
        Ok(status) => status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.replace("kB", ""),
        Err(_) => {
            let ps = Command::new("ps").args(["-o", "rss=", "-p", &std::process::id().to_string()]).output().ok()?;
            String::from_utf8(ps.stdout).ok()?
        }
    };
    Some(kib.trim().parse::<u64>().ok()? * 1024)
}

fn report(path: &Path, header: &Header, is_new: bool) -> Value {
    json!({
        "source": header.origin.source, "tokens": path, "stories": header.stories, "chars": header.tokens + header.dropped,
        "dropped": header.dropped, "recipe": header.origin.recipe, "counts": header.origin.counts,
        "files": header.origin.files, "is_new": is_new,
    })
}

fn tell(name: &str, path: &Path, header: &Header, is_new: bool) {
    let chars = header.tokens + header.dropped;
    println!("{name}: {} stories, {chars} characters, in {}", header.stories, path.display());
    if header.origin.recipe == "cleaned" {
        println!("  {}", Report::sentence(&header.origin.counts));
    } else {
        println!("  as it came: no clean-up");
    }
    if header.dropped > 0 {
        println!("  {} characters are beyond the first 256 and have no id; the texts keep them", header.dropped);
    }
    if is_new {
        println!("  in a notebook: Dataset::from_path({:?}, None)?", path.display().to_string());
    }
}

/// What is wrong is told; the status says whether it was the network.
pub fn end(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("glasslab: {error}");
            if matches!(error, Error::Unreachable { .. }) { ExitCode::from(UNREACHABLE) } else { ExitCode::FAILURE }
        }
    }
}

#[cfg(test)]
mod tests {
    use glasslab_data::{TRAIN, VALIDATION};

    #[test]
    fn the_page_on_data_says_which_files_have_no_pinned_hash() {
        let known: Vec<bool> = TRAIN.iter().chain([&VALIDATION]).map(|file| file.sha256.is_some()).collect();
        assert_eq!(known, [true, false, false, false, true], "say it in docs/data.md, too");
        let page = include_str!("../../../docs/data.md");
        assert!(page.contains("Shards 2 to 4 have no pinned SHA-256 yet"), "docs/data.md names other files");
    }
}
