use super::*;

fn ended(status: i32, stdout: &str, stderr: &str) -> Ended {
    Ended { status, stdout: stdout.to_owned(), stderr: stderr.to_owned(), host: String::new() }
}

fn run(steps: i64) -> Run {
    let settings = json!({ "steps": steps, "optimiser": "=cmd,\"x\"\n" }).as_object().unwrap().clone();
    Run { file: format!("run-{steps}"), settings, seed: 0, config: String::new(), parameters: 1 }
}

fn plan(runs: &[i64]) -> Plan {
    let runs = runs.iter().map(|steps| run(*steps)).collect();
    Plan { what: "steps".to_owned(), threads: 1, texts: Vec::new(), out: PathBuf::new(), runs }
}

#[test]
fn a_folder_is_gone_on_with_takes_more_runs_and_refuses_another_sweep() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("results");
    let folder = Folder::open(&path, &plan(&[1, 2])).unwrap();
    assert!(Folder::open(&path, &plan(&[1])).unwrap_err().to_string().contains("another process"));
    folder.keep(&run(1), &ended(0, "{\"nats_per_char\": 1.5, \"setup\": {\"chars\": 9}}", "")).unwrap();
    drop(folder);
    let folder = Folder::open(&path, &plan(&[3, 1])).unwrap();
    assert!(folder.has(&run(1), false) && !folder.has(&run(2), false) && !folder.has(&run(3), false));
    let planned: Vec<Value> = folder.rows().unwrap().iter().map(|row| row["settings"]["steps"].clone()).collect();
    assert_eq!(planned, [3, 1, 2], "a sweep's own runs, and those that others have planned");
    drop(folder);
    let other = Plan { threads: 2, ..plan(&[1]) };
    let said = Folder::open(&path, &other).unwrap_err().to_string();
    assert!(said.contains("another sweep") && said.contains("threads 1 and not 2"), "{said}");
    std::fs::write(place.path().join("letter.txt"), "Dear …").unwrap();
    assert!(Folder::open(place.path(), &plan(&[1])).unwrap_err().to_string().contains("other files"));
    assert!(!place.path().join("runs").exists(), "nothing is put among other files");
}

#[test]
fn a_training_that_fails_is_a_result_with_its_words_and_one_that_was_stopped_is_none() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::open(&place.path().join("results"), &plan(&[1, 2, 3, 4])).unwrap();
    let said = folder.keep(&run(1), &ended(1, "", "step 1\nglasslab: the loss became NaN\n")).unwrap();
    assert_eq!(said.unwrap(), "the loss became NaN");
    let bad = ended(4, "{\"nats_per_char\": 9.5}", "worse than guessing: 9.500 nats/char\nglasslab: it is not kept");
    assert_eq!(folder.keep(&run(2), &bad).unwrap().unwrap(), "9.5000 nats/char, worse than guessing: 9.500 nats/char");
    assert!(folder.keep(&run(3), &ended(0, "no JSON", "")).unwrap().unwrap().contains("saying: nothing"));
    assert_eq!(folder.keep(&run(4), &ended(130, "{\"nats_per_char\": 5.5}", "")).unwrap(), None);
    assert!(!folder.has(&run(4), false));
    assert!(folder.has(&run(1), false) && !folder.has(&run(1), true), "who asks for it, does a failed run again");
    assert!(folder.has(&run(2), true), "a loss is a loss");
    let sweep = glasslab::experiment::Sweep::open(&folder.path).unwrap();
    assert_eq!((sweep.done, sweep.troubles.len(), sweep.variants.len()), (3, 3, 1));
}

#[test]
fn the_table_has_a_row_for_each_run_and_its_texts_stay_in_their_fields() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::open(&place.path().join("results"), &plan(&[1, 2])).unwrap();
    folder.keep(&run(1), &ended(1, "", "glasslab: a \"quoted\", word")).unwrap();
    let table = folder.csv().unwrap();
    let mut read = csv::Reader::from_reader(table.as_bytes());
    assert_eq!(read.headers().unwrap().iter().take(4).collect::<Vec<_>>(), ["optimiser", "steps", "seed", "loss"]);
    let rows: Vec<csv::StringRecord> = read.records().collect::<std::result::Result<_, _>>().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0][0], &rows[0][9]), ("=cmd,\"x\"\n", "a \"quoted\", word"));
}
