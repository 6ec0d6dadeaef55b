//! From a mirror on loopback to a token file: what is fetched, prepared, kept, noticed and rebuilt.

mod server;

use glasslab::data::{COLUMN, Split, Stories, TokenFile};
use glasslab_data::download::Patience;
use glasslab_data::hub::{Hub, VALIDATION};
use glasslab_data::prepare::prepare_own;
use glasslab_data::{Error, Fetched, Meter, Store};
use parquet::basic::Compression;
use server::{Answer, Request, Server, compressions, names, parquet, parquet_of, stories};
use std::path::Path;
use std::time::Duration;

const VALID: &str = "/data/validation-00000-of-00001.parquet";

fn store(folder: &Path, server: &Server) -> Store {
    let patience = Patience { tries: 3, first_tries: 2, wait: Duration::ZERO, ..Patience::default() };
    Store { folder: folder.to_path_buf(), hub: Hub::mirror(&server.address).unwrap(), patience }
}

fn fetch(store: &Store, split: Split) -> Result<Fetched, Error> {
    store.fetch(split, None, true, &mut Meter::silent())
}

fn texts(fetched: &Fetched) -> Vec<String> {
    Stories::from_token_file(&fetched.path).unwrap().iter().map(str::to_owned).collect()
}

fn mirror(split_stories: Vec<(&str, &[String])>) -> Server {
    Server::of_files(split_stories.into_iter().map(|(path, texts)| (path.to_owned(), parquet(texts))).collect())
}

#[test]
fn a_mirror_s_own_files_are_fetched_prepared_and_then_only_opened() {
    let all = stories(2700);
    let server = mirror(vec![
        ("/data/train-00000-of-00002.parquet", &all[..1500]),
        ("/data/train-00001-of-00002.parquet", &all[1500..2500]),
        (VALID, &all[2500..]),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &server);
    let valid = fetch(&store, Split::Validation).unwrap();
    assert!(valid.is_new);
    assert_eq!(texts(&valid), all[2500..]);
    let train = store.fetch(Split::Train, Some(1..=2), true, &mut Meter::silent()).unwrap();
    assert_eq!(texts(&train), all[..2500]);
    assert_eq!(train.header.origin.counts["rows"], 2500);
    assert_eq!(names(folder.path()), ["downloads", "lock", "tinystories-train.tokens", "tinystories-valid.tokens"]);

    let asked = server.requests().len();
    for split in [Split::Validation, Split::Train] {
        assert!(!fetch(&store, split).unwrap().is_new, "the shards that are here are meant");
    }
    assert_eq!(server.requests().len(), asked, "what is prepared needs no network");
    let mirror_folder = folder.path().join("downloads").join(&names(&folder.path().join("downloads"))[0]);
    let shard = mirror_folder.join("train-00000-of-00002.parquet");
    let kept = std::fs::read(&shard).unwrap();
    std::fs::remove_file(&shard).unwrap();
    assert!(!fetch(&store, Split::Train).unwrap().is_new, "prepared shards are enough, the downloads may go");
    std::fs::write(&shard, kept).unwrap();
    let first = store.fetch(Split::Train, Some(1..=1), true, &mut Meter::silent()).unwrap();
    assert!(first.is_new);
    assert_eq!(texts(&first), all[..1500]);
    assert_eq!(server.requests().len(), asked, "the shard is here");
    let message = store.fetch(Split::Train, Some(2..=3), true, &mut Meter::silent()).unwrap_err().to_string();
    assert!(message.contains("shards 1..2") && message.contains("2..3"), "{message}");
}

#[test]
fn pinned_files_come_from_the_hub_s_paths_and_must_be_the_pinned_ones() {
    let server = mirror(vec![(&format!("/{}", VALIDATION.resolve_path()), &stories(30))]);
    let folder = tempfile::tempdir().unwrap();
    let message = fetch(&store(folder.path(), &server), Split::Validation).unwrap_err().to_string();
    assert!(message.contains("instead of 9989127"), "{message}");
    assert_eq!(server.requests().len(), 1, "the plain names are only for a mirror that has no pinned file");
}

#[test]
fn a_mirror_without_tiny_stories_is_told_with_both_forms() {
    let server = mirror(vec![]);
    let folder = tempfile::tempdir().unwrap();
    let message = fetch(&store(folder.path(), &server), Split::Validation).unwrap_err().to_string();
    assert!(message.contains(&VALIDATION.resolve_path()) && message.contains("validation-00000-of-00001"), "{message}");
}

#[test]
fn faults_are_mended_and_counted_or_left_alone() {
    let mut texts = stories(20);
    texts[0] = "u don't have to begin in mid-sentence, said the dog.".to_owned();
    texts[1].clear();
    texts[2] = "Tiny.".to_owned();
    texts[3] = "Tom didnâ€™t know the answer to that\u{0} question.".to_owned();
    texts[4] = texts[5].clone();
    let server = mirror(vec![(VALID, &texts)]);
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &server);
    let cleaned = fetch(&store, Split::Validation).unwrap();
    let counts = &cleaned.header.origin.counts;
    let expected = [("rows", 20), ("stories", 16), ("empty", 1), ("short", 1), ("mid_sentence", 1), ("duplicates", 1)];
    assert!(
        expected.iter().chain(&[("mojibake", 1), ("controls", 1)]).all(|(name, count)| counts[*name] == *count),
        "{counts:?}"
    );
    assert_eq!(self::texts(&cleaned)[0], "Tom didn't know the answer to that question.");

    let raw = store.fetch(Split::Validation, None, false, &mut Meter::silent()).unwrap();
    assert!(raw.is_new, "another way of preparing is another file");
    assert_eq!(self::texts(&raw), texts.iter().filter(|text| !text.is_empty()).cloned().collect::<Vec<_>>());
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_damaged_or_cut_token_file_is_noticed_and_rebuilt_without_a_network() {
    let all = stories(300);
    let folder = tempfile::tempdir().unwrap();
    let server = mirror(vec![(VALID, &all)]);
    let store = store(folder.path(), &server);
    let first = fetch(&store, Split::Validation).unwrap();
    drop(server);
    let whole = std::fs::read(&first.path).unwrap();
    let mut flipped = whole.clone();
    flipped[5000] ^= 4;
    for damaged in [&flipped[..], &whole[..whole.len() - 9], &whole[..100], b""] {
        std::fs::remove_file(&first.path).unwrap();
        std::fs::write(&first.path, damaged).unwrap();
        let again = fetch(&store, Split::Validation).unwrap();
        assert!(again.is_new);
        assert_eq!(std::fs::read(&again.path).unwrap(), whole, "one input gives one file");
    }
}

#[test]
fn a_damaged_download_is_noticed_and_fetched_again() {
    let all = stories(300);
    let folder = tempfile::tempdir().unwrap();
    let server = mirror(vec![(VALID, &all)]);
    let store = store(folder.path(), &server);
    let first = fetch(&store, Split::Validation).unwrap();
    let mirror_folder = names(&folder.path().join("downloads"))[0].clone();
    let download = folder.path().join("downloads").join(mirror_folder).join("validation-00000-of-00001.parquet");
    let whole = std::fs::read(&download).unwrap();
    std::fs::write(&download, &whole[..whole.len() / 2]).unwrap();
    std::fs::remove_file(&first.path).unwrap();
    assert_eq!(texts(&fetch(&store, Split::Validation).unwrap()), all);
    assert_eq!(std::fs::read(&download).unwrap(), whole);
}

#[test]
fn a_file_without_a_known_checksum_must_keep_the_one_of_its_first_download() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (parquet(&stories(40)), parquet(&stories(41)));
    let (old, new) = (first.clone(), second.clone());
    let changed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let switch = std::sync::Arc::clone(&changed);
    let server = Server::start(move |request: &Request| match request.path.as_str() {
        VALID if switch.load(std::sync::atomic::Ordering::SeqCst) => Answer::file(request, &new, None),
        VALID => Answer::file(request, &old, None),
        _ => Answer::status(404),
    });
    let store = store(folder.path(), &server);
    fetch(&store, Split::Validation).unwrap();
    changed.store(true, std::sync::atomic::Ordering::SeqCst);
    let mirror_folder = folder.path().join("downloads").join(&names(&folder.path().join("downloads"))[0]);
    let download = mirror_folder.join("validation-00000-of-00001.parquet");
    std::fs::remove_file(&download).unwrap();
    std::fs::remove_file(folder.path().join("tinystories-valid.tokens")).unwrap();
    let message = fetch(&store, Split::Validation).unwrap_err().to_string();
    assert!(message.contains("SHA-256") && message.contains(".sha256 first"), "{message}");
    std::fs::remove_file(mirror_folder.join("validation-00000-of-00001.parquet.sha256")).unwrap();
    assert_eq!(texts(&fetch(&store, Split::Validation).unwrap()).len(), 41);
}

#[test]
fn truncated_and_foreign_files_are_told_and_not_kept_as_the_right_ones() {
    let good = parquet(&stories(200));
    let without_text = parquet_of("story", &[Some("Once upon a time, there was a cat.")], Compression::SNAPPY);
    let cases: [(&[u8], &str); 5] = [
        (&good[..good.len() - 1], "no whole parquet file"),
        (&good[..good.len() / 2], "no whole parquet file"),
        (b"<html>Sign in to the network</html>", "no whole parquet file"),
        (b"", "no whole parquet file"),
        (&without_text, "has no column `text` with strings; it has: id, story"),
    ];
    for (bytes, expected) in cases {
        let folder = tempfile::tempdir().unwrap();
        let bad = Server::of_files(vec![(VALID.to_owned(), bytes.to_vec())]);
        let mut store = store(folder.path(), &bad);
        let message = fetch(&store, Split::Validation).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert_eq!(names(folder.path()), ["downloads", "lock"], "no half token file");
        // The same mirror, mended.
        let good_server = Server::of_files(vec![(VALID.to_owned(), good.clone())]);
        store.hub = Hub::mirror(&good_server.address).unwrap();
        assert_eq!(texts(&fetch(&store, Split::Validation).unwrap()).len(), 200);
    }
}

#[test]
fn a_parquet_file_damaged_anywhere_is_an_error_and_never_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let (path, target) = (folder.path().join("mine.parquet"), folder.path().join("mine.tokens"));
    let whole = parquet(&stories(60));
    let mut refused = 0;
    let mut check = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        match prepare_own(&path, COLUMN, &target, false, &mut Meter::silent()) {
            Ok(_) => TokenFile::open(&target).unwrap().verify().unwrap(),
            Err(error) => {
                assert!(error.to_string().contains("mine"), "{error}");
                refused += 1;
            }
        }
    };
    (0..whole.len()).step_by(7).for_each(|length| check(&whole[..length]));
    for place in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x41;
        check(&damaged);
    }
    assert!(refused > 500, "{refused}");
}

#[test]
fn a_person_s_parquet_is_read_whatever_its_compression_and_prepared_once() {
    let folder = tempfile::tempdir().unwrap();
    for (number, compression) in compressions().into_iter().enumerate() {
        let path = folder.path().join(format!("mine-{number}.parquet"));
        let rows = [Some("naïve 🦀 日本"), None, Some("two"), Some("")];
        std::fs::write(&path, parquet_of("text", &rows, compression)).unwrap();
        let target = path.with_extension("tokens");
        let prepare = || prepare_own(&path, COLUMN, &target, false, &mut Meter::silent()).unwrap();
        let (header, is_new) = prepare();
        assert!(is_new);
        assert_eq!((header.stories, header.dropped), (2, 3));
        assert_eq!(Stories::from_path(&target).unwrap().get(0), Some("naïve 🦀 日本"), "the text is kept whole");
        assert!(!prepare().1, "it is there");
        std::fs::write(&path, parquet(&["changed since then"])).unwrap();
        assert!(prepare().1, "it is stale");
        assert_eq!(Stories::from_path(&target).unwrap().get(0), Some("changed since then"));
    }
}

#[test]
fn two_fetches_at_once_fetch_once() {
    let all = stories(400);
    let bytes = parquet(&all);
    let server = Server::start(move |request: &Request| {
        std::thread::sleep(Duration::from_millis(50));
        if request.path == VALID { Answer::file(request, &bytes, None) } else { Answer::status(404) }
    });
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path(), &server);
    let results: Vec<Fetched> = std::thread::scope(|threads| {
        let both = [0, 1].map(|_| threads.spawn(|| fetch(&store, Split::Validation).unwrap()));
        both.map(|thread| thread.join().unwrap()).into()
    });
    assert_eq!(results.iter().filter(|fetched| fetched.is_new).count(), 1);
    assert!(results.iter().all(|fetched| texts(fetched) == all));
    assert_eq!(server.requests().iter().filter(|request| request.path == VALID).count(), 1);
}
