use super::*;
use crate::rng::Rng;

fn origin() -> Origin {
    Origin {
        source: "a test".to_owned(),
        files: vec![SourceFile { name: "a.parquet".to_owned(), bytes: 5, stamp: "abc".to_owned() }],
        recipe: "as it is".to_owned(),
        counts: BTreeMap::from([("rows".to_owned(), 3)]),
    }
}

fn written(stories: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stories.tokens");
    let mut writer = TokenWriter::create(&path).unwrap();
    stories.iter().for_each(|story| writer.push(story).unwrap());
    writer.finish(origin()).unwrap();
    (folder, path)
}

const STORIES: [&str; 5] = ["Once upon a time", "", "a café 🦀 日本", "x", "naïve\n"];

#[test]
fn what_was_written_is_read() {
    let (folder, path) = written(&STORIES);
    let file = TokenFile::open(&path).unwrap();
    file.verify().unwrap();
    assert_eq!((0..file.len()).map(|story| file.text(story)).collect::<Vec<_>>(), STORIES);
    assert_eq!(file.story(0), b"Once upon a time");
    assert_eq!(file.story(2), b"a caf\xe9  ", "characters without an id are left out of the ids");
    assert_eq!((file.header().dropped, file.header().wide), (3, 2));
    assert_eq!(file.header().origin, origin());
    assert_eq!(file.ids().len(), STORIES.iter().map(|story| story.chars().count()).sum::<usize>() - 3);
    for range in [0..5, 0..2, 1..4, 2..3, 4..5, 3..3] {
        assert_eq!(file.chars(range.clone()), STORIES[range].iter().map(|story| story.chars().count()).sum::<usize>());
    }
    assert_eq!(file.text(99), "");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no part is left");
}

#[test]
fn a_file_cut_off_anywhere_or_grown_is_refused() {
    let (_folder, path) = written(&STORIES);
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        assert!(TokenFile::from_bytes(whole[..length].to_vec()).is_err(), "{length}");
    }
    assert!(std::fs::metadata(&path).unwrap().permissions().readonly(), "who would cut it while it is mapped is told");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let message = TokenFile::open(&path).unwrap_err().to_string();
    assert!(message.contains("stories.tokens is damaged") && message.contains("prepare it again"), "{message}");
    assert!(TokenFile::from_bytes([&whole[..], b"x"].concat()).is_err());
}

#[test]
fn every_damaged_byte_is_noticed() {
    let (_folder, path) = written(&STORIES);
    let whole = std::fs::read(&path).unwrap();
    let header = whole.iter().rposition(|&byte| byte == b'\n' || byte == b' ').unwrap();
    assert!(header > 300);
    let padding = HEADER + whole_len(&whole)..(HEADER + whole_len(&whole)).next_multiple_of(8);
    let json_end = whole[..HEADER].iter().rposition(|&byte| byte == b'\n').unwrap();
    for place in (0..whole.len()).filter(|place| !(json_end..HEADER).contains(place) && !padding.contains(place)) {
        let mut damaged = whole.clone();
        damaged[place] ^= 1 << (place % 8);
        let noticed = TokenFile::from_bytes(damaged).and_then(|file| file.verify());
        assert!(noticed.is_err(), "byte {place}");
    }
}

fn whole_len(whole: &[u8]) -> usize {
    TokenFile::from_bytes(whole.to_vec()).unwrap().ids().len()
}

#[test]
fn a_writer_that_stops_leaves_nothing_and_an_older_file_stands() {
    let (folder, path) = written(&STORIES);
    let mut writer = TokenWriter::create(&path).unwrap();
    writer.push("another 🦀").unwrap();
    drop(writer);
    TokenFile::open(&path).unwrap().verify().unwrap();
    assert!(TokenWriter::create(&path).unwrap().finish(origin()).is_err(), "no story");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(TokenFile::open(&path).unwrap().len(), 5);
}

#[test]
fn an_open_file_outlives_its_replacement() {
    let (_folder, path) = written(&["the old one"]);
    let old = TokenFile::open(&path).unwrap();
    let mut writer = TokenWriter::create(&path).unwrap();
    writer.push("a new one").unwrap();
    writer.finish(origin()).unwrap();
    assert_eq!(old.text(0), "the old one");
    assert_eq!(TokenFile::open(&path).unwrap().text(0), "a new one");
}

#[test]
fn other_files_and_other_versions_are_told() {
    let (_folder, path) = written(&STORIES);
    let whole = std::fs::read(&path).unwrap();
    let newer = [format!("{MAGIC} 9 ").as_bytes(), &whole[MAGIC.len() + 3..]].concat();
    assert!(TokenFile::from_bytes(newer).unwrap_err().to_string().contains("version 9"));
    assert!(TokenFile::from_bytes(b"PAR1".to_vec()).unwrap_err().to_string().contains("no token file"));
    assert!(TokenFile::open("/nowhere.tokens").unwrap_err().to_string().contains("/nowhere.tokens"));
    let mut crowded = origin();
    crowded.files = vec![crowded.files[0].clone(); 200];
    let mut writer = TokenWriter::create(&path).unwrap();
    writer.push("x").unwrap();
    assert!(writer.finish(crowded).unwrap_err().to_string().contains("fewer files"));
}

/// Random damage, half of it signed anew so that it gets past the checksums: never a crash, and never an endless loop.
#[test]
fn a_million_damaged_files_never_crash_the_reader() {
    let (_folder, path) = written(&STORIES);
    let whole = std::fs::read(&path).unwrap();
    let mut rng = Rng::new(7);
    let (mut opened, mut refused) = (0, 0);
    for round in 0..600_000 {
        let mut damaged = whole.clone();
        for _ in 0..1 + rng.below(4) {
            // Most of the first page is filling: damage what counts.
            let place = if rng.below(2) == 0 { rng.below(500) } else { HEADER + rng.below(whole.len() - HEADER) };
            damaged[place] = if rng.below(3) == 0 { b"0123456789\n\",:-"[rng.below(15)] } else { rng.bits() as u8 };
        }
        if rng.below(8) == 0 {
            damaged.truncate(rng.below(whole.len()));
        }
        if round % 2 == 0 {
            sign(&mut damaged);
        }
        match TokenFile::from_bytes(damaged) {
            Ok(file) => {
                opened += 1;
                read_all(&file);
            }
            Err(_) => refused += 1,
        }
    }
    assert!(opened > 20_000 && refused > 20_000, "{opened} opened, {refused} refused");
}

fn read_all(file: &TokenFile) {
    let _ = file.verify();
    for story in 0..file.len().min(10) + 2 {
        let _ = (file.text(story), file.story(story), file.chars(story..story + 1));
    }
    let _ = file.chars(0..usize::MAX);
}

/// Gives the first line and the header's table checksum the values that fit what follows.
fn sign(file: &mut [u8]) {
    let Some(page) = file.get(..HEADER).and_then(|page| std::str::from_utf8(page).ok()) else { return };
    let Some(json) = page.lines().nth(1).map(str::to_owned) else { return };
    let json = match (serde_json::from_str::<Header>(&json), page.lines().next().map(str::len)) {
        (Ok(mut header), Some(_)) => {
            if let Some(layout) = Layout::of(&header).filter(|layout| layout.end == file.len()) {
                header.checksums[1] = Checksum::of(&file[layout.starts..layout.texts]);
            }
            serde_json::to_string(&header).unwrap()
        }
        _ => json,
    };
    let text = format!("{MAGIC} {VERSION} {:016x}\n{json}\n", Checksum::of(json.as_bytes()));
    if text.len() <= HEADER {
        file[..HEADER].fill(b' ');
        file[..text.len()].copy_from_slice(text.as_bytes());
    }
}
