//! Fetching one file by HTTP: resumed where it broke off, checked, and named only when it is whole.
//!
//! ```text
//! NAME.part         what has arrived
//! NAME.part.etag    which version of the file that is of, as the server names it
//! NAME              the whole file, checked
//! NAME.sha256       its checksum, as `sha256sum -c` reads it; a later download must equal it
//! ```

use crate::error::{Error, Result};
use crate::progress::Meter;
use reqwest::blocking::{Client, Response};
use reqwest::header::{CONTENT_RANGE, ETAG, IF_RANGE, RANGE, RETRY_AFTER};
use reqwest::{StatusCode, header::HeaderMap};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How patient to be.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How many tries may fail one after the other; a try that brings bytes counts anew.
    pub tries: u32,
    /// How many, as long as the server has never been reached: without a network, nobody wants to wait.
    pub first_tries: u32,
    /// The wait after the first failure; it doubles with each.
    pub wait: Duration,
    /// The longest wait, also where the server asks for a longer one.
    pub longest: Duration,
    /// How long to wait for a connection, and for each further piece of data.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            tries: 6,
            first_tries: 3,
            wait: Duration::from_millis(500),
            longest: Duration::from_secs(30),
            silence: Duration::from_secs(30),
        }
    }
}

/// A file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is.
    pub address: String,
    /// Its size, where it is known.
    pub bytes: Option<u64>,
    /// Its SHA-256, where it is known.
    pub sha256: Option<String>,
}

/// Fetches files.
#[derive(Debug)]
pub struct Downloader {
    client: Client,
    patience: Patience,
    /// Who asks, told to the address that is asked for and not to where it leads on.
    token: Option<String>,
}

/// What one try came to.
enum Try {
    Whole,
    /// Again, from where it is; after this wait, if the server asks for one.
    Again(String, Option<Duration>),
}

impl Downloader {
    /// A client with TLS by rustls, the system's certificates, and the proxy that the environment names.
    ///
    /// # Errors
    /// If the system has no certificates, or the proxy's address is none.
    pub fn new(patience: Patience) -> Result<Downloader> {
        // A second installation is refused, and the first one is the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("glasslab/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(patience.silence.min(Duration::from_secs(10)))
            .timeout(patience.silence) // of each read, not of the whole
            .build()
            .map_err(|error| {
                Error::Wrong(format!(
                    "no HTTP client can be made ({}): are the system's certificates there (Debian: `apt install \
                     ca-certificates`), and is the proxy's address right?",
                    reasons(&error)
                ))
            })?;
        Ok(Downloader { client, patience, token: None })
    }

    /// Tells the server who asks.
    pub fn with_token(self, token: Option<String>) -> Downloader {
        Downloader { token, ..self }
    }

    /// Fetches a file to `target`; returns its SHA-256.
    ///
    /// # Errors
    /// If the server can't be reached or has no such file, if what arrives is not what is known of the file, or if
    /// the disk is full.
    pub fn fetch(&self, wanted: &Wanted, target: &Path, progress: &mut Meter) -> Result<String> {
        let mut part = Part::open(target, wanted)?;
        let (mut failures, mut reached) = (0, false);
        loop {
            let before = part.length;
            let (why, asked) = match self.attempt(wanted, &mut part, &mut reached, progress)? {
                Try::Whole => match part.finish(wanted, target) {
                    // Perhaps the pieces were not of one file: once, all of it is fetched anew.
                    Err(Error::Wrong(_)) if part.resumed => {
                        part.restart()?;
                        continue;
                    }
                    done => return done,
                },
                Try::Again(why, asked) => (why, asked),
            };
            failures = if part.length > before { 1 } else { failures + 1 };
            if failures >= if reached { self.patience.tries } else { self.patience.first_tries } {
                part.flush()?;
                return Err(Error::Unreachable { address: host(&wanted.address), why });
            }
            let wait = self.patience.wait * 2_u32.pow((failures - 1).min(16));
            let wait = asked.unwrap_or(wait).min(self.patience.longest);
            if reached && wait >= Duration::from_secs(1) {
                progress.note(&format!("{why}; trying again in {:.0} s", wait.as_secs_f64()));
            }
            std::thread::sleep(wait);
        }
    }

    fn attempt(&self, wanted: &Wanted, part: &mut Part, reached: &mut bool, progress: &mut Meter) -> Result<Try> {
        let mut request = self.client.get(&wanted.address);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token); // reqwest leaves it out where another host is led to
        }
        if part.length > 0 {
            request = request.header(RANGE, format!("bytes={}-", part.length));
            if let Some(etag) = &part.etag {
                request = request.header(IF_RANGE, etag);
            }
        }
        let response = match request.send() {
            Ok(response) => response,
            Err(error) if error.is_builder() => {
                return Err(Error::Wrong(format!("{} is no address: {}", wanted.address, reasons(&error))));
            }
            Err(error) if error.is_redirect() => {
                return Err(Error::Wrong(format!("{}: {}", wanted.address, reasons(&error))));
            }
            Err(error) => return Ok(Try::Again(reasons(&error), None)),
        };
        *reached = true;
        let status = response.status();
        match status {
            StatusCode::OK => {
                part.restart()?;
                part.remember(response.headers())?;
            }
            StatusCode::PARTIAL_CONTENT if range_start(response.headers()) == Some(part.length) => part.resumed = true,
            StatusCode::PARTIAL_CONTENT => {
                part.restart()?;
                return Ok(Try::Again(
                    "the server sent another part of the file than it was asked for".to_owned(),
                    None,
                ));
            }
            StatusCode::RANGE_NOT_SATISFIABLE if part.length > 0 => {
                // Either all of it is here already, or what is here is of another file.
                if wanted.bytes == Some(part.length) && wanted.sha256.is_some() {
                    return Ok(Try::Whole);
                }
                part.restart()?;
                return Ok(Try::Again("the file has changed on the server".to_owned(), None));
            }
            _ if retries(status) => return Ok(Try::Again(format!("HTTP {status}"), retry_after(response.headers()))),
            _ => return Err(Error::Missing { address: wanted.address.clone(), status: status.as_u16() }),
        }
        let total = response.content_length().map(|rest| part.length + rest);
        if let (Some(total), Some(bytes)) = (total, wanted.bytes)
            && total != bytes
        {
            return Err(Error::Wrong(format!(
                "{} has {total} bytes instead of {bytes}: it is not the file that glasslab knows. Is the mirror's copy \
                 whole, and of the same revision?",
                wanted.address
            )));
        }
        self.receive(response, part, total.or(wanted.bytes), progress)
    }

    fn receive(
        &self,
        mut response: Response,
        part: &mut Part,
        total: Option<u64>,
        progress: &mut Meter,
    ) -> Result<Try> {
        progress.begin(&part.label, part.length, total);
        let mut buffer = vec![0; 1 << 16];
        let outcome = loop {
            match response.read(&mut buffer) {
                Ok(0) => break None,
                Ok(count) => {
                    part.add(&buffer[..count])?;
                    progress.set(part.length);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => break Some(format!("the connection broke off ({})", reasons(&error))),
            }
        };
        progress.end();
        Ok(match (outcome, total) {
            (Some(why), _) => Try::Again(why, None),
            (None, Some(total)) if part.length < total => Try::Again("the connection ended early".to_owned(), None),
            (None, _) => Try::Whole,
        })
    }
}

/// A file that has arrived in part.
struct Part {
    path: PathBuf,
    note: PathBuf,
    label: String,
    file: File,
    length: u64,
    etag: Option<String>,
    digest: Sha256,
    /// Whether it came in several pieces.
    resumed: bool,
}

impl Part {
    /// Opens what an earlier run has left. Without a checksum to come, or the server's name of the version, nothing
    /// tells whether the rest will be of the same file: then it is fetched anew.
    fn open(target: &Path, wanted: &Wanted) -> Result<Part> {
        let (path, note) = (with_suffix(target, ".part"), with_suffix(target, ".part.etag"));
        let etag = std::fs::read_to_string(&note).ok().map(|text| text.trim().to_owned());
        let etag = etag.filter(|etag| is_strong(etag));
        let file = File::options().read(true).append(true).create(true).open(&path).map_err(Error::file(&path))?;
        let label = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut part = Part { path, note, label, file, length: 0, etag, digest: Sha256::new(), resumed: false };
        if part.etag.is_none() && wanted.sha256.is_none() {
            part.restart()?;
            return Ok(part);
        }
        let mut buffer = vec![0; 1 << 16];
        loop {
            match part.file.read(&mut buffer).map_err(Error::file(&part.path))? {
                0 => break,
                count => {
                    part.digest.update(&buffer[..count]);
                    part.length += count as u64;
                }
            }
        }
        part.resumed = part.length > 0;
        if wanted.bytes.is_some_and(|bytes| part.length > bytes) {
            part.restart()?;
        }
        Ok(part)
    }

    fn add(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(Error::file(&self.path))?;
        self.digest.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(Error::file(&self.path))?;
        let _ = std::fs::remove_file(&self.note);
        (self.length, self.etag, self.digest, self.resumed) = (0, None, Sha256::new(), false);
        Ok(())
    }

    fn remember(&mut self, headers: &HeaderMap) -> Result<()> {
        self.etag =
            headers.get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned).filter(|etag| is_strong(etag));
        match &self.etag {
            Some(etag) => std::fs::write(&self.note, etag).map_err(Error::file(&self.note)),
            None => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.file.sync_all().map_err(Error::file(&self.path))
    }

    /// Checks the whole, and gives it its name.
    fn finish(&mut self, wanted: &Wanted, target: &Path) -> Result<String> {
        self.flush()?;
        let found = hex(&self.digest.clone().finalize());
        let wrong = match (wanted.bytes, &wanted.sha256) {
            (Some(bytes), _) if bytes != self.length => format!("it came to {} bytes instead of {bytes}", self.length),
            (_, Some(known)) if *known != found => format!("its SHA-256 is {found} instead of {known}"),
            _ => String::new(),
        };
        if !wrong.is_empty() {
            let resumed = self.resumed;
            self.restart()?;
            self.resumed = resumed;
            return Err(Error::Wrong(format!(
                "{} is not the known file: {wrong}. It was thrown away; run the same command again, and if it happens \
                 again, use another mirror",
                wanted.address
            )));
        }
        record(target, &found)?;
        std::fs::rename(&self.path, target).map_err(Error::file(target))?;
        let _ = std::fs::remove_file(&self.note);
        Ok(found)
    }
}

/// Keeps a checksum beside its file, in the form of `sha256sum`.
fn record(target: &Path, sha256: &str) -> Result<()> {
    let path = with_suffix(target, ".sha256");
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    std::fs::write(&path, format!("{sha256}  {name}\n")).map_err(Error::file(&path))
}

/// The checksum that an earlier download has kept beside a file.
pub fn recorded(target: &Path) -> Option<String> {
    let text = std::fs::read_to_string(with_suffix(target, ".sha256")).ok()?;
    let sha256 = text.split_whitespace().next()?;
    (sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| sha256.to_owned())
}

/// The SHA-256 of a file.
///
/// # Errors
/// If it can't be read.
pub fn sha256_of(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::file(path))?;
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer).map_err(Error::file(path))? {
            0 => return Ok(hex(&digest.finalize())),
            count => digest.update(&buffer[..count]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A weak one (`W/…`) promises the same meaning and not the same bytes.
fn is_strong(etag: &str) -> bool {
    etag.starts_with('"') && etag.len() > 2
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

/// What may be better the next time.
fn retries(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT
}

/// Seconds; a date is not worth a calendar here.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The first byte of `Content-Range: bytes 5-9/10`.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_RANGE)?.to_str().ok()?.trim().strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

/// What the system, or the other side, said: the first cause of an error.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut first = error;
    while let Some(cause) = first.source() {
        first = cause;
    }
    first.to_string()
}

/// The server's part of an address.
fn host(address: &str) -> String {
    address.splitn(4, '/').take(3).collect::<Vec<_>>().join("/")
}
