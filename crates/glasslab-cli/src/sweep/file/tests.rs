use super::*;

fn plan_in(folder: &Path, text: &str) -> Result<Plan> {
    let path = folder.join("mine.toml");
    std::fs::write(&path, text).unwrap();
    Plan::read(&path, [&None, &None])
}

fn plan(text: &str) -> Result<Plan> {
    plan_in(tempfile::tempdir().unwrap().path(), text)
}

fn wrong(text: &str) -> String {
    plan(text).unwrap_err().to_string()
}

#[test]
fn every_combination_of_the_grid_is_a_run_for_each_of_the_runs_and_each_seed() {
    let made = plan(
        "seeds = [3, 4]\n[settings]\nmodel = \"mlp\"\nsteps = 2\n[grid]\nlr = [0.1, 0.01]\ntrain_config.cool_down = [0.2, 0.5]\n\
         [[runs]]\nemb_dim = 8\n[[runs]]\nemb_dim = 16\nseeds = [3]",
    )
    .unwrap();
    assert_eq!(made.runs.len(), 2 * 2 * (2 + 1));
    assert_eq!(made.what, "lr, train_config, emb_dim");
    let last = made.runs.last().unwrap();
    assert_eq!((last.seed, &last.settings["emb_dim"], &last.settings["lr"]), (3, &json!(16), &json!(0.01)));
    assert_eq!(last.settings["train_config.cool_down"], json!(0.5));
    let config: Table = last.config.parse().unwrap();
    assert_eq!(config["train_config"]["cool_down"].as_float(), Some(0.5));
    assert_eq!((config["seed"].as_integer(), config["steps"].as_integer()), (Some(3), Some(2)));
    assert!(made.runs[0].parameters < last.parameters);
    let mut files: Vec<&String> = made.runs.iter().map(|run| &run.file).collect();
    files.sort();
    files.dedup();
    assert_eq!(files.len(), made.runs.len(), "each run has a file of its own");
}

#[test]
fn the_same_run_twice_is_one_and_its_file_has_the_same_name_in_every_sweep() {
    let twice = plan("seeds = [1, 1]\n[settings]\nsteps = 1\nmodel = \"mlp\"").unwrap();
    assert_eq!(twice.runs.len(), 1);
    let other = plan("seeds = [0, 1]\nwhat = \"x\"\n[grid]\nsteps = [1, 2]\n[settings]\nmodel = \"mlp\"").unwrap();
    assert!(other.runs.iter().any(|run| run == &twice.runs[0]), "{other:?}");
}

#[test]
fn what_a_run_sets_itself_is_not_varied() {
    let made =
        plan("[settings]\nmodel = \"mlp\"\n[grid]\nsteps = [1, 2]\nlr = [0.1, 0.2]\n[[runs]]\n[[runs]]\nsteps = 9")
            .unwrap();
    let steps: Vec<&Json> = made.runs.iter().map(|run| &run.settings["steps"]).collect();
    assert_eq!(steps, [1, 2, 1, 2, 9, 9].map(|steps| json!(steps)).iter().collect::<Vec<_>>());
}

#[test]
fn characters_become_steps_of_this_batch() {
    let made = plan("[settings]\nchars = 10_000\nbatch_size = 4\ncontext_len = 16\nmodel = \"mlp\"").unwrap();
    let config: Table = made.runs[0].config.parse().unwrap();
    assert_eq!(config["steps"].as_integer(), Some(157), "10,000 / 64, rounded up");
    assert!(config.get("chars").is_none());
    assert_eq!(made.runs[0].settings["chars"], 10_000);
}

#[test]
fn what_is_wrong_is_named_before_anything_is_trained() {
    for (text, expected) in [
        ("[settings]\nsteps = 1\nn_heds = 2", "n_heds"),
        ("[settings]\nsteps = 1\nn_heds = 2", "`n_heads`"),
        ("[settings]\nsteps = 1\nn_heds = 2", "mine.toml"),
        ("[grid]\nsteps = [1]\nn_heds = [1, 2]", "n_heds"),
        ("colour = 3", "colour"),
        ("[settings]\nn_heads = 2", "one of chars, steps and seconds"),
        ("[settings]\nsteps = 1\nchars = 5", "one of chars, steps and seconds"),
        ("[settings]\nchars = -5", "above 0"),
        ("[settings]\nchars = 5\nbyte_pairs = 300", "give steps"),
        ("[settings]\nsteps = 1\nseed = 1", "seeds = [0, 1]"),
        ("[settings]\nsteps = 1\ndata = \"x\"", "top of the file"),
        ("[settings]\nsteps = 1\nfilm = \"x\"", "not filmed"),
        ("[settings]\nsteps = 1\nlr = -1.0", "lr must be above 0"),
        ("[settings]\nsteps = 0", "at least 1 step"),
        ("[settings]\nsteps = 1\nn_heads = 0", "n_heads"),
        ("[settings]\nsteps = 1\n[grid]\nlr = 0.1", "lr = [0.1]"),
        ("[settings]\nsteps = 1\n[grid]\nlr = []", "nothing to run"),
        ("seeds = []\n[settings]\nsteps = 1", "nothing to run"),
        ("threads = 0\n[settings]\nsteps = 1", "threads"),
        ("held_out = \"x.txt\"\n[settings]\nsteps = 1", "give data"),
        ("data = \"nowhere.txt\"\n[settings]\nsteps = 1\nmodel = \"mlp\"", "nowhere.txt"),
        ("[[runs]]\nsteps = 1\nseeds = \"all\"", "list of whole numbers"),
        ("this is no TOML", "mine.toml"),
    ] {
        let message = wrong(text);
        assert!(message.contains(expected), "{text}: {message}");
    }
    let many: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    let many = many.join(", ");
    assert!(
        wrong(&format!("seeds = [{many}]\n[settings]\nsteps = 1\n[grid]\nlr = [{many}]"))
            .contains("more than 10000 runs")
    );
}

#[test]
fn texts_are_known_by_their_checksums_and_what_is_held_out_beside_them_is_found() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("my-train.txt"), "abc").unwrap();
    let text = "data = \"my-train.txt\"\n[settings]\nsteps = 1\nmodel = \"mlp\"";
    let alone = plan_in(folder.path(), text).unwrap().texts;
    assert_eq!((alone.len(), alone[0].option), (1, "--data"));
    assert_eq!(alone[0].sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert!(alone[0].path.is_absolute());
    std::fs::write(folder.path().join("my-valid.txt"), "xyz").unwrap();
    let both = plan_in(folder.path(), text).unwrap();
    assert_eq!(both.texts[1].option, "--held-out");
    let kept = both.as_json().to_string();
    assert!(kept.contains("my-valid.txt") && !kept.contains(folder.path().to_str().unwrap()), "{kept}");
    assert_eq!(both.out.file_name().unwrap(), "mine");
    let whole = plan_in(folder.path(), "data = \".\"\n[settings]\nsteps = 1\nmodel = \"mlp\"");
    assert!(whole.unwrap_err().to_string().contains("glasslab prepare"));
}

#[test]
fn the_name_of_a_file_has_only_letters_that_every_system_takes() {
    let settings = json!({ "optimiser": "../../etc; rm -rf \"$HOME\"\n<é>" });
    let made = name(settings.as_object().unwrap(), 7);
    assert!(made.chars().all(|letter| letter.is_ascii_alphanumeric() || "-._".contains(letter)), "{made}");
    assert!(made.contains("-seed-7-") && !made.starts_with('.') && made.len() < 80, "{made}");
}
