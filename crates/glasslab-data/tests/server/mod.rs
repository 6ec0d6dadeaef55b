//! A small real HTTP server on loopback, whose connections can be cut at any byte, and parquet files to serve.

#![allow(dead_code, reason = "each test program uses a part of it")]

use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a client asked for.
#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    /// The first byte of the range.
    pub from: Option<usize>,
    pub if_range: Option<String>,
    /// Who asks, if that is told.
    pub authorization: Option<String>,
    /// The number of requests before this one.
    pub number: usize,
}

/// What it gets.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// After so many bytes of the whole answer, its head included, the connection is closed.
    pub cut: Option<usize>,
    /// After so many bytes of the body, nothing comes for so long.
    pub stall: Option<(usize, Duration)>,
}

impl Answer {
    pub fn status(status: u16) -> Answer {
        Answer { status, headers: Vec::new(), body: b"no file".to_vec(), cut: None, stall: None }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Answer {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn cut(mut self, at: usize) -> Answer {
        self.cut = Some(at);
        self
    }

    /// A file, or the part of it that is asked for.
    pub fn file(request: &Request, bytes: &[u8], etag: Option<&str>) -> Answer {
        let same = request.if_range.is_none() || request.if_range.as_deref() == etag;
        let mut answer = Answer::status(200);
        match request.from.filter(|_| same) {
            Some(from) if from >= bytes.len() => answer.status = 416,
            Some(from) => {
                answer.status = 206;
                answer.body = bytes[from..].to_vec();
                let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
                answer = answer.header("Content-Range", range);
            }
            None => answer.body = bytes.to_vec(),
        }
        match etag {
            Some(etag) => answer.header("ETag", etag),
            None => answer,
        }
    }

    /// All of it, as it goes over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head =
            format!("HTTP/1.1 {} X\r\nContent-Length: {}\r\nConnection: close\r\n", self.status, self.body.len());
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let mut bytes = (head + "\r\n").into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes.truncate(self.cut.unwrap_or(usize::MAX));
        bytes
    }
}

/// A server that lives as long as the test.
pub struct Server {
    pub address: String,
    requests: Arc<Mutex<Vec<Request>>>,
    ended: Arc<AtomicBool>,
}

impl Server {
    pub fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let (log, over, answer) = (Arc::clone(&requests), Arc::clone(&ended), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream.unwrap(), &log, &*answer));
            }
        });
        Server { address, requests, ended }
    }

    /// Serves files by their paths; every other path is not there.
    pub fn of_files(files: Vec<(String, Vec<u8>)>) -> Server {
        Server::start(move |request| match files.iter().find(|(path, _)| *path == request.path) {
            Some((_, bytes)) => Answer::file(request, bytes, Some("\"v1\"")),
            None => Answer::status(404),
        })
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // The listener waits for a connection: this one lets it see that it is over.
        let _ = TcpStream::connect(self.address.trim_start_matches("http://"));
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Request>>, answer: &dyn Fn(&Request) -> Answer) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(first)) = lines.next() else { return };
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut request = Request { path, from: None, if_range: None, authorization: None, number: 0 };
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "range" => request.from = value.trim_start_matches("bytes=").trim_end_matches('-').parse().ok(),
            "authorization" => request.authorization = Some(value.to_owned()),
            "if-range" => request.if_range = Some(value.to_owned()),
            _ => {}
        }
    }
    {
        let mut log = log.lock().unwrap();
        request.number = log.len();
        log.push(request.clone());
    }
    let answer = answer(&request);
    let bytes = answer.bytes();
    let body = bytes.len().saturating_sub(answer.body.len());
    // A client that has gone is its own business.
    let _ = match answer.stall {
        Some((after, pause)) => {
            let (before, rest) = bytes.split_at((body + after).min(bytes.len()));
            stream.write_all(before).and_then(|()| {
                std::thread::sleep(pause);
                stream.write_all(rest)
            })
        }
        None => stream.write_all(&bytes),
    };
}

/// Stories that are all different and long enough for the clean-up.
pub fn stories(count: usize) -> Vec<String> {
    let names = ["Lily", "Tom", "Ben", "Mia", "Sue"];
    (0..count)
        .map(|number| {
            let name = names[number % names.len()];
            format!("Once upon a time, {name} had {number} red balls. {name} was happy.\n\nThe end of story {number}.")
        })
        .collect()
}

/// A parquet file as the hub has it: one column `text`.
pub fn parquet(texts: &[impl AsRef<str>]) -> Vec<u8> {
    let texts: Vec<Option<&str>> = texts.iter().map(|text| Some(text.as_ref())).collect();
    parquet_of("text", &texts, Compression::SNAPPY)
}

pub fn parquet_of(column: &str, texts: &[Option<&str>], compression: Compression) -> Vec<u8> {
    let numbers = Arc::new(Int64Array::from_iter_values(0..texts.len() as i64)) as ArrayRef;
    let texts = Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
    let batch = RecordBatch::try_from_iter_with_nullable([("id", numbers, false), (column, texts, true)]).unwrap();
    let properties = WriterProperties::builder().set_compression(compression).set_max_row_group_row_count(Some(1000));
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

pub fn compressions() -> [Compression; 7] {
    let gzip = Compression::GZIP(Default::default());
    let (brotli, zstd) = (Compression::BROTLI(BrotliLevel::default()), Compression::ZSTD(ZstdLevel::default()));
    [Compression::UNCOMPRESSED, Compression::SNAPPY, gzip, zstd, brotli, Compression::LZ4, Compression::LZ4_RAW]
}

pub fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default();
    names.sort();
    names
}
