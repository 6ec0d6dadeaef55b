//! Every form that a person's text comes in: what is valid comes back whole, and nothing else is a panic or a hang.
//!
//! The random inputs are seeded; `GLASSLAB_INPUTS` asks for more of them, as a nightly run does (`damage`).

mod damage;
mod server;

use damage::{damaged, folder, inputs};
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use glasslab::data::{COLUMN, Kind, Origin, Stories, TokenFile, TokenWriter, story_of};
use glasslab::rng::Rng;
use glasslab_data::prepare::prepare_own;
use glasslab_data::read::each_story_of;
use glasslab_data::{Progress, Result};
use parquet::basic::{BrotliLevel, Compression};
use server::{compressions, parquet_of};
use std::io::Write;
use std::path::{Path, PathBuf};

fn read_column(path: &Path, column: &str) -> Result<Vec<String>> {
    let mut stories = Vec::new();
    each_story_of(path, Kind::of(path)?, column, &mut Progress::silent(), &mut |story| {
        stories.push(story.to_owned());
        Ok(())
    })?;
    Ok(stories)
}

fn read(path: &Path) -> Result<Vec<String>> {
    read_column(path, COLUMN)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Level::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn zstandard(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

fn utf16(bytes: &[u8]) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(std::str::from_utf8(bytes).unwrap().encode_utf16().collect::<Vec<_>>());
    units.flat_map(u16::to_le_bytes).collect()
}

fn table(stories: &[String], delimiter: u8) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
    writer.write_record(["id", "text", "note"]).unwrap();
    for (number, story) in stories.iter().enumerate() {
        writer.write_record([&number.to_string(), story, "x"]).unwrap();
    }
    writer.into_inner().unwrap()
}

fn lines(stories: &[String]) -> Vec<u8> {
    let row = |story: &String| serde_json::json!({ "text": story }).to_string() + "\n";
    stories.iter().map(row).collect::<String>().into_bytes()
}

fn json(stories: &[String]) -> Vec<u8> {
    serde_json::json!(stories.iter().map(|story| serde_json::json!({ "text": story })).collect::<Vec<_>>())
        .to_string()
        .into_bytes()
}

fn parquet(stories: &[String], compression: Compression) -> Vec<u8> {
    parquet_of("text", &stories.iter().map(|story| Some(story.as_str())).collect::<Vec<_>>(), compression)
}

/// Texts of what readers stumble over.
fn random_stories(rng: &mut Rng) -> Vec<String> {
    const POOL: [&str; 20] = [
        "a", "é", "日本", "🦀", " ", "\n", "\r", "\r\n", "\"", "\"\"", ";", "{", "[", ",", "\t", "\u{0}", "\u{feff}",
        "text", "=1+1", "\u{2028}",
    ];
    let story = |rng: &mut Rng| (0..rng.below(15)).map(|_| POOL[rng.below(POOL.len())]).collect();
    (0..1 + rng.below(4)).map(|_| story(rng)).collect()
}

fn expected(stories: &[String]) -> Vec<String> {
    stories.iter().filter_map(|story| story_of(story)).map(|story| story.into_owned()).collect()
}

#[test]
fn what_was_written_in_any_form_and_packing_comes_back_whole() {
    let folder = folder();
    let mut rng = Rng::new(1);
    let all = compressions();
    for round in 0..inputs() {
        let stories = random_stories(&mut rng);
        let (ending, bytes) = match round % 8 {
            0 | 1 => ("csv", table(&stories, b",;"[rng.below(2)])),
            2 => ("tsv", table(&stories, b'\t')),
            3 | 4 => ("jsonl", lines(&stories)),
            5 | 6 => ("json", json(&stories)),
            _ => ("parquet", parquet(&stories, all[rng.below(all.len())])),
        };
        let (ending, bytes) = match rng.below(4) {
            _ if ending == "parquet" => (ending.to_owned(), bytes),
            0 => (format!("{ending}.gz"), gzip(&bytes)),
            1 => (format!("{}.zst", ending.to_uppercase()), zstandard(&bytes)),
            2 => (ending.to_owned(), utf16(&bytes)),
            _ => (ending.to_owned(), bytes),
        };
        let path = folder.path().join(format!("mine.{ending}"));
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(read(&path).unwrap(), expected(&stories), "{round}: {ending}, {stories:?}");
    }
}

#[test]
fn damaged_files_are_errors_that_name_them_or_text_and_never_a_panic() {
    let folder = folder();
    let mut rng = Rng::new(2);
    let all = compressions();
    let mut refused = 0;
    for round in 0..inputs() {
        let stories = random_stories(&mut rng);
        let (ending, bytes) = match round % 7 {
            0 => ("csv", table(&stories, b',')),
            1 => ("jsonl.gz", gzip(&lines(&stories))),
            2 => ("csv.zst", zstandard(&table(&stories, b';'))),
            3 => ("json", utf16(&json(&stories))),
            4 => ("parquet", parquet(&stories, all[rng.below(all.len())])),
            5 => ("tsv", utf16(&table(&stories, b'\t'))),
            _ => ("txt", (0..rng.below(80)).map(|_| rng.bits() as u8).collect()),
        };
        let path = folder.path().join(format!("mine.{ending}"));
        std::fs::write(&path, damaged(&mut rng, bytes)).unwrap();
        if let Err(error) = read(&path) {
            assert!(error.to_string().contains("mine."), "{error}");
            refused += 1;
        }
    }
    assert!(refused > inputs() / 3, "{refused}");
}

#[test]
fn a_damaged_token_file_is_noticed_and_never_a_panic() {
    let folder = folder();
    let path = folder.path().join("mine.tokens");
    let mut writer = TokenWriter::create(&path).unwrap();
    let stories = ["naïve 🦀 日本", "two", "three é"];
    stories.iter().for_each(|story| writer.push(story).unwrap());
    writer.finish(Origin::default()).unwrap();
    let whole = std::fs::read(&path).unwrap();
    let header = whole.iter().position(|&byte| byte == b'}').unwrap();
    let mut rng = Rng::new(3);
    for _ in 0..inputs() {
        // The header is mostly blanks: damage where something stands.
        let (first, length) = if rng.below(2) == 0 { (0, header) } else { (4096, whole.len() - 4096) };
        let mut bytes = whole.clone();
        for _ in 0..1 + rng.below(3) {
            bytes[first + rng.below(length)] = rng.bits() as u8;
        }
        if rng.below(4) == 0 {
            bytes.truncate(rng.below(bytes.len()));
        }
        if let Ok(file) = TokenFile::from_bytes(bytes.clone()) {
            let read: Vec<&str> = (0..file.len()).map(|story| file.text(story)).collect();
            // What fills up the space between the parts may be anything.
            assert!(file.verify().is_err() || read == stories, "{read:?}");
        }
    }
}

fn write(folder: &tempfile::TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn another_column_is_read_by_its_name_and_a_missing_one_names_those_that_are_there() {
    let folder = folder();
    let csv = write(&folder, "mine.csv", "id; story;text\n1;\"one;\r\nmore\";x\n2;two;y\n");
    assert_eq!(read_column(&csv, "story").unwrap(), ["one;\nmore", "two"]);
    let parquet = write(&folder, "mine.parquet", parquet_of("story", &[Some("one"), None], Compression::SNAPPY));
    assert_eq!(read_column(&parquet, "story").unwrap(), ["one"]);
    for path in [csv, parquet] {
        let message = read_column(&path, "tale").unwrap_err().to_string();
        assert!(message.contains("no column `tale`") && message.contains("id, story"), "{message}");
        assert!(message.contains("--column NAME") && message.contains("from_column"), "{message}");
    }
    for (text, why) in [
        ("text\na,b\n", "line 2 has 2 columns, the first line 1"),
        ("text\n\u{e9}\nok\n", ""),
        ("", "no column `text`"),
    ] {
        let path = write(&folder, "other.csv", text);
        match read(&path) {
            Ok(stories) => assert_eq!((stories.len(), why), (2, "")),
            Err(error) => assert!(!why.is_empty() && error.to_string().contains(why), "{error}"),
        }
    }
    let path = write(&folder, "other.csv", b"text\nok\n\xe9\n");
    assert!(read(&path).unwrap_err().to_string().contains("line 3 is not UTF-8"));
}

#[test]
fn a_packed_file_that_was_cut_off_says_so() {
    let folder = folder();
    let bytes = "Once upon a time. ".repeat(100);
    for (name, packed) in [("a.txt.gz", gzip(bytes.as_bytes())), ("a.txt.zst", zstandard(bytes.as_bytes()))] {
        let path = write(&folder, name, &packed[..packed.len() - 6]);
        let message = read(&path).unwrap_err().to_string();
        assert!(message.contains(name) && message.contains("cut off"), "{message}");
        let path = write(&folder, name, [packed.clone(), packed].concat());
        assert_eq!(read(&path).unwrap(), [bytes.repeat(2).trim()], "packed pieces one behind the other are one file");
    }
}

/// No program here writes LZO, so a footer is made to say so: codec 3 (6 in Thrift's zigzag) instead of gzip's 2.
#[test]
fn a_parquet_file_that_is_whole_but_not_readable_is_not_called_damaged() {
    let folder = folder();
    let whole = parquet(&["one".repeat(50)], Compression::GZIP(Default::default()));
    let places = whole.windows(2).enumerate().filter(|(_, pair)| *pair == [0x15, 4]).map(|(place, _)| place + 1);
    let messages: Vec<String> = places
        .filter_map(|place| {
            let mut bytes = whole.clone();
            bytes[place] = 6;
            read(&write(&folder, "mine.parquet", bytes)).err().map(|error| error.to_string())
        })
        .collect();
    let told = messages.iter().find(|message| message.contains("LZO")).unwrap();
    assert!(told.contains("write it again with zstd") && !told.contains("no whole"), "{told}");
}

#[test]
fn a_folder_of_shards_is_read_in_order_told_and_prepared_once() {
    let folder = folder();
    let brotli = Compression::BROTLI(BrotliLevel::default());
    for (number, compression) in [(0, brotli), (1, Compression::LZ4_RAW), (2, Compression::LZ4)] {
        let stories = [format!("story {number}"), "x".repeat(200)];
        write(&folder, &format!("data/{number}.parquet"), parquet(&stories, compression));
    }
    write(&folder, "data/._0.parquet", [0; 4000]);
    write(&folder, "README.md", "not a story");
    let cache = self::folder();
    let target = cache.path().join("mine.tokens");
    let prepare = || prepare_own(folder.path(), COLUMN, &target, false, &mut Progress::silent()).unwrap();
    assert!(prepare().1);
    let stories = Stories::from_path(&target).unwrap();
    assert_eq!(stories.len(), 6);
    assert_eq!([0, 2, 4].map(|place| stories.get(place).unwrap()), ["story 0", "story 1", "story 2"]);
    assert!(!prepare().1, "it is there");
    write(&folder, "data/1.parquet", parquet(&["changed".to_owned()], Compression::SNAPPY));
    assert!(prepare().1, "one of its files has changed");
    assert_eq!(Stories::from_path(&target).unwrap().get(2), Some("changed"));
}
