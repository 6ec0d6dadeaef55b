//! The token file: stories as ids on disk, ready to be mapped into memory.
//!
//! ```text
//! 0      4096 bytes of text   "glasslab-tokens VERSION CHECKSUM", and one line of JSON: the [`Header`]
//! 4096   ids                  one byte each, all stories one after the other
//!        padding              zeros up to a multiple of 8
//!        starts               where each story begins in the ids, and the end: u64, one more than stories
//!        wide                 of each story that is not all ASCII: its number, and where its text ends: 2 × u64
//!        texts                those stories once more, as UTF-8
//! ```
//! Numbers are little-endian. An id is a character's code point ([`CharTokenizer`](crate::tokenizer::CharTokenizer)), so
//! the ids of an ASCII story are its text; the others' texts stand at the end, and no character is lost that has no id.
//!
//! Opening reads the header and the two tables (17 MB for all of TinyStories) and checks them and the file's length;
//! [`TokenFile::verify`] reads the whole. A file is written under another name, flushed to the disk, and only then
//! named: half a file never has the name of a whole one.

mod writer;

pub use writer::TokenWriter;

use super::bytes::Bytes;
use super::checksum::Checksum;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Goes up when the format, or the clean-up of TinyStories, changes: older files are then prepared anew.
pub const VERSION: u32 = 2;
/// What a token file begins with.
const MAGIC: &str = "glasslab-tokens";
/// The bytes of the header.
const HEADER: usize = 4096;
/// The tokenizer whose ids a token file holds.
const TOKENIZER: &str = "characters, 256";

/// What a token file was made of, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The data's name for people.
    pub source: String,
    /// The files that were read, in order.
    pub files: Vec<SourceFile>,
    /// How: the name of the clean-up.
    pub recipe: String,
    /// What was counted on the way, e.g. how many stories were dropped as duplicates.
    pub counts: BTreeMap<String, u64>,
}

/// One file that a token file was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// What tells whether it has changed: its SHA-256, or its time of change.
    pub stamp: String,
}

/// What stands in the header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Whose ids these are.
    pub tokenizer: String,
    /// The number of stories.
    pub stories: u64,
    /// The number of ids.
    pub tokens: u64,
    /// How many characters have no id.
    pub dropped: u64,
    /// How many stories are not all ASCII.
    pub wide: u64,
    /// The bytes of their texts.
    pub texts: u64,
    /// The checksums of the ids, of the two tables, and of the texts.
    pub checksums: [u64; 3],
    /// What the file was made of.
    #[serde(flatten)]
    pub origin: Origin,
}

/// Where each part of a file begins; all of it is checked against the file's length.
#[derive(Debug, Clone, Copy)]
struct Layout {
    ids_end: usize,
    starts: usize,
    wide: usize,
    texts: usize,
    end: usize,
}

impl Layout {
    fn of(header: &Header) -> Option<Layout> {
        let ids_end = (HEADER as u64).checked_add(header.tokens)?;
        let starts = ids_end.checked_next_multiple_of(8)?;
        let wide = header.stories.checked_add(1)?.checked_mul(8)?.checked_add(starts)?;
        let texts = header.wide.checked_mul(16)?.checked_add(wide)?;
        let end = texts.checked_add(header.texts)?;
        let place = |place: u64| usize::try_from(place).ok();
        Some(Layout {
            ids_end: place(ids_end)?,
            starts: place(starts)?,
            wide: place(wide)?,
            texts: place(texts)?,
            end: place(end)?,
        })
    }
}

/// An open token file.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    header: Header,
    layout: Layout,
    bytes: Bytes,
}

impl TokenFile {
    /// Opens a token file; what it costs does not depend on how much text is in it, but for 8 bytes a story.
    ///
    /// # Errors
    /// If it can't be read, is none, is of another version, or is damaged in its header, its tables or its length.
    pub fn open(path: impl AsRef<Path>) -> Result<TokenFile> {
        let path = path.as_ref();
        let failed = |source| Error::File { path: path.to_path_buf(), source };
        let mut file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let (header, layout) = check(&mut file, length).map_err(|wrong| wrong.of(path))?;
        Ok(TokenFile { bytes: Bytes::map(&file, path)?, path: path.to_path_buf(), header, layout })
    }

    /// Takes the bytes of a token file.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(bytes: Vec<u8>) -> Result<TokenFile> {
        let path = Path::new("a token file in memory");
        let (header, layout) =
            check(&mut std::io::Cursor::new(&bytes), bytes.len() as u64).map_err(|wrong| wrong.of(path))?;
        Ok(TokenFile { bytes: Bytes::from(bytes), path: path.to_path_buf(), header, layout })
    }

    /// Reads all of it, and checks it against its checksums.
    ///
    /// # Errors
    /// If anything is not what was written.
    pub fn verify(&self) -> Result<()> {
        let wrong = |what: &str| Err(Wrong::Damaged(what.to_owned()).of(&self.path));
        if Checksum::of(&self.ids()) != self.header.checksums[0] {
            return wrong("its ids have another checksum");
        }
        if Checksum::of(self.texts()) != self.header.checksums[2] {
            return wrong("its texts have another checksum");
        }
        match (0..self.len()).find(|&story| {
            let (ids, text) = (self.story(story), self.text(story));
            // The short way first: most stories are ASCII, and their ids are their text.
            let is_same = text.is_ascii() && text.as_bytes() == ids;
            !is_same && text.chars().filter_map(id_of).ne(ids.iter().copied())
        }) {
            Some(story) => wrong(&format!("the ids of story {story} are not those of its text")),
            None => Ok(()),
        }
    }

    /// What stands in the header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The number of stories.
    pub fn len(&self) -> usize {
        self.header.stories as usize
    }

    /// Never true: a token file has at least one story.
    pub fn is_empty(&self) -> bool {
        self.header.stories == 0
    }

    /// The ids of all stories, which share the map.
    pub fn ids(&self) -> Bytes {
        self.bytes.part(HEADER..self.layout.ids_end)
    }

    /// Where a story begins in the ids; the end of the last one for `len()` and beyond.
    pub fn start(&self, story: usize) -> usize {
        let table = &self.bytes[self.layout.starts..self.layout.wide];
        // A whole file's numbers are in range. One that is damaged later gives wrong stories, never a crash.
        (number(table, story.min(self.len())) as usize).min(self.header.tokens as usize)
    }

    /// The ids of a story.
    pub fn story(&self, story: usize) -> &[u8] {
        let ids = &self.bytes[HEADER..self.layout.ids_end];
        ids.get(self.start(story)..self.start(story.saturating_add(1))).unwrap_or_default()
    }

    /// The text of a story.
    pub fn text(&self, story: usize) -> &str {
        let bytes = match self.wide(story) {
            Some(place) => {
                let start = if place == 0 { 0 } else { self.wide_entry(place - 1).1 };
                self.texts().get(start..self.wide_entry(place).1).unwrap_or_default()
            }
            None => self.story(story),
        };
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// The number of characters in some stories, those without an id included.
    pub fn chars(&self, stories: std::ops::Range<usize>) -> usize {
        if stories.start == 0 && stories.end >= self.len() {
            // Known without touching the file.
            return self.header.tokens.saturating_add(self.header.dropped) as usize;
        }
        let ids = self.start(stories.end).saturating_sub(self.start(stories.start));
        let more = |place| {
            let story = self.wide_entry(place).0;
            self.text(story).chars().count().saturating_sub(self.story(story).len())
        };
        let wide = self.first_wide(stories.start)..self.first_wide(stories.end);
        ids + wide.map(more).sum::<usize>()
    }

    fn texts(&self) -> &[u8] {
        &self.bytes[self.layout.texts..self.layout.end]
    }

    /// Where a story stands among those that are not all ASCII.
    fn wide(&self, story: usize) -> Option<usize> {
        let place = self.first_wide(story);
        (place < self.header.wide as usize && self.wide_entry(place).0 == story).then_some(place)
    }

    /// The first place in the table of a story with this number or a higher one.
    fn first_wide(&self, story: usize) -> usize {
        let (mut low, mut high) = (0, self.header.wide as usize);
        while low < high {
            let middle = (low + high) / 2;
            if self.wide_entry(middle).0 < story { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn wide_entry(&self, place: usize) -> (usize, usize) {
        let table = &self.bytes[self.layout.wide..self.layout.texts];
        (number(table, 2 * place) as usize, number(table, 2 * place + 1) as usize)
    }
}

/// The id of a character, if it has one.
fn id_of(character: char) -> Option<u8> {
    u8::try_from(u32::from(character)).ok()
}

fn number(table: &[u8], place: usize) -> u64 {
    table.as_chunks::<8>().0.get(place).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Why a file can't be used.
enum Wrong {
    Foreign,
    Version(String),
    Damaged(String),
    System(std::io::Error),
}

impl Wrong {
    fn of(self, path: &Path) -> Error {
        let name = path.display();
        match self {
            Wrong::Foreign => {
                Error::Data(format!("{name} is no token file: `glasslab prepare FILE` makes one of a text"))
            }
            Wrong::Version(version) => Error::Data(format!(
                "{name} is a token file of version {version}, this glasslab reads version {VERSION}: prepare it again"
            )),
            Wrong::Damaged(why) => Error::Data(format!("{name} is damaged ({why}): remove it and prepare it again")),
            Wrong::System(source) => Error::File { path: path.to_path_buf(), source },
        }
    }
}

impl From<std::io::Error> for Wrong {
    fn from(error: std::io::Error) -> Wrong {
        match error.kind() {
            std::io::ErrorKind::UnexpectedEof => Wrong::Damaged("it ends too early".to_owned()),
            _ => Wrong::System(error),
        }
    }
}

/// Checks header, tables and length. The tables are read and not mapped, so that they take no memory.
fn check(file: &mut (impl Read + Seek), length: u64) -> Result<(Header, Layout), Wrong> {
    let damaged = |what: &str| Wrong::Damaged(what.to_owned());
    let mut page = [0; HEADER];
    let mut filled = 0;
    while filled < HEADER {
        match file.read(&mut page[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    if !page[..filled].starts_with(MAGIC.as_bytes()) {
        return Err(Wrong::Foreign);
    }
    if filled < HEADER {
        return Err(damaged("it ends within its header"));
    }
    let text = std::str::from_utf8(&page).map_err(|_| damaged("its header is not text"))?;
    let mut lines = text.lines();
    let (first, json) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let [_, version, checksum] = first.split(' ').collect::<Vec<_>>()[..] else {
        return Err(damaged("its first line is not that of a token file"));
    };
    if version != VERSION.to_string() {
        return Err(Wrong::Version(version.chars().take(20).collect()));
    }
    if checksum != format!("{:016x}", Checksum::of(json.as_bytes())) {
        return Err(damaged("its header has another checksum"));
    }
    let header: Header = serde_json::from_str(json).map_err(|error| Wrong::Damaged(error.to_string()))?;
    let layout = Layout::of(&header).ok_or_else(|| damaged("its header's numbers are too large"))?;
    if layout.end as u64 != length {
        return Err(Wrong::Damaged(format!("it has {length} bytes instead of {}", layout.end)));
    }
    if header.tokenizer != TOKENIZER || header.stories == 0 {
        return Err(damaged("its header does not describe stories"));
    }
    file.seek(SeekFrom::Start(layout.starts as u64))?;
    let mut sum = Checksum::default();
    let mut last = 0;
    let mut rising = true;
    each_number(file, layout.wide - layout.starts, &mut sum, |place, number| {
        rising &= number >= last && (place > 0 || number == 0);
        last = number;
    })?;
    if !rising || last != header.tokens {
        return Err(damaged("its stories don't follow one another"));
    }
    let (mut story, mut end) = (None, 0);
    each_number(file, layout.texts - layout.wide, &mut sum, |place, number| {
        if place % 2 == 0 {
            rising &= story.is_none_or(|before| number > before) && number < header.stories;
            story = Some(number);
        } else {
            rising &= number >= end;
            end = number;
        }
    })?;
    if !rising || end != header.texts {
        return Err(damaged("its texts don't follow one another"));
    }
    match sum.value() == header.checksums[1] {
        true => Ok((header, layout)),
        false => Err(damaged("its tables have another checksum")),
    }
}

/// Reads a table of `bytes` bytes through a small buffer.
fn each_number(
    file: &mut impl Read,
    bytes: usize,
    sum: &mut Checksum,
    mut take: impl FnMut(usize, u64),
) -> Result<(), Wrong> {
    let mut buffer = [0; 1 << 16];
    let (mut left, mut place) = (bytes, 0);
    while left > 0 {
        let piece = &mut buffer[..left.min(1 << 16)];
        file.read_exact(piece)?;
        sum.add(piece);
        for number in piece.as_chunks::<8>().0 {
            take(place, u64::from_le_bytes(*number));
            place += 1;
        }
        left -= piece.len();
    }
    Ok(())
}

#[cfg(test)]
mod tests;
