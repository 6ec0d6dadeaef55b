//! Writing a token file: story after story, with little memory.

use super::{HEADER, Header, Layout, MAGIC, Origin, TOKENIZER, VERSION, id_of};
use crate::data::checksum::Checksum;
use crate::error::{Error, Result};
use crate::file::file_error as failed;
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Writes a token file. It has its name only when [`finish`](Self::finish) is done.
///
/// In memory are 8 bytes a story, and 16 more for one that is not all ASCII.
#[derive(Debug)]
pub struct TokenWriter {
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
    /// The texts that are not all ASCII wait in a file of their own: they come last.
    texts_part: PathBuf,
    texts: Option<BufWriter<File>>,
    texts_bytes: u64,
    starts: Vec<u64>,
    wide: Vec<[u64; 2]>,
    dropped: u64,
    sums: [Checksum; 3],
    ids: Vec<u8>,
}

impl TokenWriter {
    /// Begins a token file. What an interrupted writer left of it is overwritten; two at once are the caller's to avoid.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn create(path: impl AsRef<Path>) -> Result<TokenWriter> {
        let path = path.as_ref();
        let (part, texts_part) = (beside(path, ".part"), beside(path, ".texts.part"));
        let _ = std::fs::remove_file(&texts_part);
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&part).map_err(failed(&part))?);
        file.write_all(&[b' '; HEADER]).map_err(failed(&part))?;
        Ok(TokenWriter {
            path: path.to_path_buf(),
            part,
            file,
            texts_part,
            texts: None,
            texts_bytes: 0,
            starts: vec![0],
            wide: Vec::new(),
            dropped: 0,
            sums: Default::default(),
            ids: Vec::new(),
        })
    }

    /// Adds a story.
    ///
    /// # Errors
    /// If the disk is full.
    pub fn push(&mut self, story: &str) -> Result<()> {
        let ids = if story.is_ascii() {
            story.as_bytes()
        } else {
            self.push_wide(story)?;
            &self.ids
        };
        self.sums[0].add(ids);
        let end = self.starts[self.starts.len() - 1] + ids.len() as u64;
        self.starts.push(end);
        self.file.write_all(ids).map_err(failed(&self.part))
    }

    fn push_wide(&mut self, story: &str) -> Result<()> {
        self.ids.clear();
        self.ids.extend(story.chars().filter_map(id_of));
        self.dropped += (story.chars().count() - self.ids.len()) as u64;
        if self.texts.is_none() {
            let file = File::options().read(true).write(true).create(true).truncate(true).open(&self.texts_part);
            self.texts = Some(BufWriter::new(file.map_err(failed(&self.texts_part))?));
        }
        if let Some(texts) = &mut self.texts {
            texts.write_all(story.as_bytes()).map_err(failed(&self.texts_part))?;
        }
        self.texts_bytes += story.len() as u64;
        self.wide.push([self.starts.len() as u64 - 1, self.texts_bytes]);
        self.sums[2].add(story.as_bytes());
        Ok(())
    }

    /// The number of stories so far.
    pub fn stories(&self) -> usize {
        self.starts.len() - 1
    }

    /// Ends the file, sees it on the disk, and gives it its name.
    ///
    /// # Errors
    /// If there is no character with an id in it, or the disk is full.
    pub fn finish(mut self, origin: Origin) -> Result<Header> {
        let tokens = self.starts[self.starts.len() - 1];
        if tokens == 0 {
            return Err(Error::Data(format!("{}: no story with a character that has an id came", self.path.display())));
        }
        let mut header = Header {
            tokenizer: TOKENIZER.to_owned(),
            stories: self.stories() as u64,
            tokens,
            dropped: self.dropped,
            wide: self.wide.len() as u64,
            texts: self.texts_bytes,
            checksums: [0; 3],
            origin,
        };
        let layout = Layout::of(&header).ok_or_else(|| Error::Data("too much text for one file".to_owned()))?;
        self.write_tables(layout).map_err(failed(&self.part))?;
        header.checksums = [self.sums[0].value(), self.sums[1].value(), self.sums[2].value()];
        let page = page(&header)?;
        let sealed = self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.write_all(&page));
        let flushed = sealed.and_then(|()| self.file.flush()).and_then(|()| self.file.get_ref().sync_all());
        flushed.map_err(failed(&self.part))?;
        // It will be mapped: who would write into it is told, instead of breaking the process that reads it.
        let mut permissions = self.file.get_ref().metadata().map_err(failed(&self.part))?.permissions();
        permissions.set_readonly(true);
        self.file.get_ref().set_permissions(permissions).map_err(failed(&self.part))?;
        std::fs::rename(&self.part, &self.path).map_err(failed(&self.path))?;
        // The name, too, must outlive a power cut; where a folder can't be flushed, the system sees to it.
        let _ = self.path.parent().map(|folder| File::open(folder).and_then(|folder| folder.sync_all()));
        Ok(header)
    }

    fn write_tables(&mut self, layout: Layout) -> std::io::Result<()> {
        self.file.write_all(&[0; 8][..layout.starts - layout.ids_end])?;
        for number in self.starts.iter().chain(self.wide.as_flattened()) {
            let bytes = number.to_le_bytes();
            self.sums[1].add(&bytes);
            self.file.write_all(&bytes)?;
        }
        let Some(texts) = &mut self.texts else { return Ok(()) };
        texts.flush()?;
        let texts = texts.get_mut();
        texts.seek(SeekFrom::Start(0))?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match texts.read(&mut buffer)? {
                0 => return Ok(()),
                count => self.file.write_all(&buffer[..count])?,
            }
        }
    }
}

impl Drop for TokenWriter {
    fn drop(&mut self) {
        // After `finish` the first is gone already.
        let _ = std::fs::remove_file(&self.part);
        let _ = self.texts.take().map(|_| std::fs::remove_file(&self.texts_part));
    }
}

/// The header as it stands in the file: two lines of text, filled up with spaces.
fn page(header: &Header) -> Result<Vec<u8>> {
    let json = serde_json::to_string(header).map_err(|error| Error::Data(error.to_string()))?;
    let mut page = format!("{MAGIC} {VERSION} {:016x}\n{json}\n", Checksum::of(json.as_bytes())).into_bytes();
    if page.len() > HEADER {
        return Err(Error::Data(format!(
            "the names of the {} files that the stories come from don't fit into the header: put the text into fewer files",
            header.origin.files.len()
        )));
    }
    page.resize(HEADER, b' ');
    Ok(page)
}

fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(more);
    path.with_file_name(name)
}
