use super::*;
use clap::Parser;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    train: Train,
}

fn settings(flags: &str, file: &str) -> Result<Settings> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab.toml");
    std::fs::write(&path, file).unwrap();
    let arguments = ["train", "--config", path.to_str().unwrap()].into_iter().chain(flags.split_whitespace());
    Settings::of(&Command::parse_from(arguments).train)
}

fn transformer(flags: &str, file: &str) -> TransformerConfig {
    match settings(flags, file).unwrap().model {
        ModelConfig::Transformer(config) => config,
        other => panic!("{other:?} is no transformer"),
    }
}

#[test]
fn flags_have_the_last_word_then_the_file_then_the_preset() {
    let file = "preset = \"original\"\nn_layers = 2\nsteps = 7\n[model_config]\npositions = \"rotary\"\n[train_config]\nreports = 3";
    let made = settings("--n-layers 4 --seconds 5", file).unwrap();
    assert_eq!(made.training.length, Length::Seconds(5.0));
    assert_eq!((made.training.reports, made.training.context_len), (3, 100));
    let config = transformer("--n-layers 4", file);
    assert_eq!((config.n_layers, config.emb_dim), (4, 32));
    assert_eq!(config.positions, glasslab::model::Positions::Rotary);
    // Also over the file's tables.
    let tables = "[model_config]\nn_layers = 2\ncontext_len = 24\n[train_config]\nlr = 0.5\nlength = { steps = 5 }";
    let made = settings("--n-layers 1 --context-len 8 --lr 0.25 --seconds 2", tables).unwrap();
    assert_eq!((made.training.context_len, made.training.lr, made.training.length), (8, 0.25, Length::Seconds(2.0)));
    let config = transformer("--n-layers 1 --context-len 8", tables);
    assert_eq!((config.n_layers, config.context_len), (1, 8));
}

#[test]
fn every_optimiser_can_be_asked_for() {
    for (name, kind) in [
        ("muon", OptimiserKind::Muon),
        ("adamw", OptimiserKind::Adamw),
        ("momentum", OptimiserKind::Momentum),
        ("sgd", OptimiserKind::Sgd),
    ] {
        assert_eq!(settings(&format!("--optimiser {name}"), "").unwrap().training.optimiser, kind);
        assert_eq!(settings("", &format!("optimiser = \"{name}\"")).unwrap().training.optimiser, kind);
    }
    assert_eq!(settings("", "").unwrap().training.optimiser, OptimiserKind::Muon);
}

#[test]
fn sizes_that_hang_together_follow_unless_given() {
    let config = transformer("--emb-dim 64 --n-heads 8", "");
    assert_eq!((config.head_dim, config.n_hidden, config.n_kv_heads), (8, 256, 8));
    let config = transformer("--emb-dim 64 --head-dim 32 --n-hidden 99", "");
    assert_eq!((config.head_dim, config.n_hidden), (32, 99));
    assert_eq!(transformer("", ""), TransformerConfig::small());
}

#[test]
fn what_the_file_has_wrong_is_named() {
    for (file, expected) in [
        ("colour = 3", "colour"),
        ("seconds = \"long\"", "seconds"),
        ("[model_config]\nn_heds = 3", "n_heds"),
        ("[train_config]\nlr = \"high\"", "train_config"),
        ("seconds = 1\nsteps = 1", "not both"),
        ("n_layers = 1\n[model_config]\nn_layers = 2", "n_layers is given twice"),
        ("[train_config]\nwarmup = 0.5", "unknown field warmup, expected one of batch_size, clip"),
        ("[train_config]\nautosave = \"there\"", "unknown field autosave"),
        ("model = \"cnn\"", "cnn"),
    ] {
        let message = settings("", file).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn what_a_run_of_a_sweep_is_given_twice_is_refused() {
    let run: Table = toml::from_str("n_layers = 1\n[model_config]\nn_layers = 2").unwrap();
    assert!(Settings::of_run(&run).unwrap_err().to_string().contains("n_layers is given twice"));
}

#[test]
fn paths_in_the_file_are_meant_from_where_it_lies() {
    let made = settings("--held-out there.txt", "data = \"here.txt\"").unwrap();
    assert!(made.data.unwrap().is_absolute());
    assert_eq!(made.held_out.unwrap(), Path::new("there.txt"));
}
