//! Downloads from a server on loopback that does what servers, networks and mirrors do.

mod server;

use glasslab_data::download::{Downloader, Patience, Wanted, recorded, sha256_of};
use glasslab_data::{Error, Meter};
use server::{Answer, Request, Server, names};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const QUICK: Patience = Patience {
    tries: 4,
    first_tries: 3,
    wait: Duration::ZERO,
    longest: Duration::from_millis(20),
    silence: Duration::from_millis(500),
};

fn content() -> Vec<u8> {
    (0..2000_u32).map(|number| ((number * number) >> 3) as u8).collect()
}

struct Place {
    folder: tempfile::TempDir,
    target: PathBuf,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    Place { target: folder.path().join("file.bin"), folder }
}

fn sha256(bytes: &[u8]) -> String {
    let place = place();
    std::fs::write(&place.target, bytes).unwrap();
    sha256_of(&place.target).unwrap()
}

fn known(server: &Server, bytes: &[u8]) -> Wanted {
    let address = format!("{}/file.bin", server.address);
    Wanted { address, bytes: Some(bytes.len() as u64), sha256: Some(sha256(bytes)) }
}

fn unknown(server: &Server) -> Wanted {
    Wanted { address: format!("{}/file.bin", server.address), bytes: None, sha256: None }
}

fn fetch(wanted: &Wanted, place: &Place) -> Result<String, Error> {
    Downloader::new(QUICK).unwrap().fetch(wanted, &place.target, &mut Meter::silent())
}

fn holds(place: &Place, bytes: &[u8]) {
    assert_eq!(std::fs::read(&place.target).unwrap(), bytes);
    assert_eq!(names(place.folder.path()), ["file.bin", "file.bin.sha256"], "no part is left");
    assert_eq!(recorded(&place.target), Some(sha256(bytes)));
}

#[test]
fn a_connection_cut_at_any_byte_is_resumed() {
    let bytes = &content()[..300];
    let (whole, body) = (bytes.to_vec(), bytes.to_vec());
    static CUT: AtomicUsize = AtomicUsize::new(0);
    let server = Server::start(move |request: &Request| {
        let answer = Answer::file(request, &body, Some("\"v1\""));
        // The first request of each download is cut, in its head or in its body.
        if request.from.is_none() && request.number.is_multiple_of(2) {
            answer.cut(CUT.load(Ordering::SeqCst))
        } else {
            answer
        }
    });
    let (with_hash, without) = (known(&server, bytes), unknown(&server));
    let first = Request { path: String::new(), from: None, if_range: None, authorization: None, number: 0 };
    let length = Answer::file(&first, bytes, Some("\"v1\"")).bytes().len();
    assert!(length > bytes.len() + 50);
    let downloader = Downloader::new(QUICK).unwrap();
    for cut in 0..length {
        CUT.store(cut, Ordering::SeqCst);
        let place = place();
        let before = server.requests().len();
        let wanted = if cut % 2 == 0 { &with_hash } else { &without };
        let found = downloader.fetch(wanted, &place.target, &mut Meter::silent()).unwrap();
        assert_eq!(found, sha256(&whole), "cut after {cut} bytes");
        holds(&place, &whole);
        let requests = server.requests().split_off(before);
        assert_eq!(requests.len(), 2, "cut after {cut} bytes");
        if cut > 200 {
            assert!(requests[1].from.is_some_and(|from| from > 0), "what had arrived is kept: {requests:?}");
        }
    }
}

#[test]
fn a_later_run_goes_on_where_an_earlier_one_stopped() {
    let bytes = content();
    for with_hash in [true, false] {
        let body = bytes.clone();
        // The first run's server dies after 700 bytes.
        let dying = Server::start(move |request: &Request| match request.number {
            0 => Answer::file(request, &body, Some("\"v1\"")).cut(700),
            _ => Answer::status(503),
        });
        let place = place();
        let wanted = if with_hash { known(&dying, &bytes) } else { unknown(&dying) };
        let error = fetch(&wanted, &place).unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error}");
        assert!(!place.target.exists() && place.folder.path().join("file.bin.part").exists());

        let body = bytes.clone();
        let server = Server::start(move |request: &Request| Answer::file(request, &body, Some("\"v1\"")));
        let wanted = if with_hash { known(&server, &bytes) } else { unknown(&server) };
        fetch(&wanted, &place).unwrap();
        holds(&place, &bytes);
        assert!(server.requests()[0].from.is_some_and(|from| from > 500), "{:?}", server.requests());
    }
}

#[test]
fn a_file_that_changed_meanwhile_is_fetched_anew() {
    let (old, new) = (content(), content().into_iter().rev().collect::<Vec<u8>>());
    let (first, second) = (old.clone(), new.clone());
    let server = Server::start(move |request: &Request| match request.number {
        0 => Answer::file(request, &first, Some("\"old\"")).cut(900),
        _ => Answer::file(request, &second, Some("\"new\"")),
    });
    let place = place();
    fetch(&unknown(&server), &place).unwrap();
    holds(&place, &new);
}

#[test]
fn without_a_version_or_a_checksum_nothing_old_is_resumed() {
    let bytes = content();
    let place = place();
    std::fs::write(place.folder.path().join("file.bin.part"), b"of another file").unwrap();
    let body = bytes.clone();
    let server = Server::start(move |request: &Request| Answer::file(request, &body, None));
    fetch(&unknown(&server), &place).unwrap();
    holds(&place, &bytes);
    assert_eq!(server.requests()[0].from, None);
}

#[test]
fn a_damaged_beginning_from_an_earlier_run_is_noticed_and_fetched_anew() {
    let bytes = content();
    let body = bytes.clone();
    let server = Server::start(move |request: &Request| Answer::file(request, &body, Some("\"v1\"")));
    for left in [b"damaged".to_vec(), bytes.iter().map(|byte| byte ^ 1).collect(), vec![0; 5000], bytes.clone()] {
        let place = place();
        std::fs::write(place.folder.path().join("file.bin.part"), left).unwrap();
        fetch(&known(&server, &bytes), &place).unwrap();
        holds(&place, &bytes);
    }
}

#[test]
fn a_server_that_ignores_ranges_is_borne() {
    let bytes = content();
    let body = bytes.clone();
    let server = Server::start(move |request: &Request| {
        let whole = Request { from: None, ..request.clone() };
        let answer = Answer::file(&whole, &body, None);
        if request.number == 0 { answer.cut(800) } else { answer }
    });
    let place = place();
    fetch(&known(&server, &bytes), &place).unwrap();
    holds(&place, &bytes);
}

#[test]
fn a_server_that_sends_another_range_is_not_believed() {
    let bytes = content();
    let body = bytes.clone();
    let server = Server::start(move |request: &Request| match request.number {
        0 => Answer::file(request, &body, None).cut(800),
        1 => Answer::file(&Request { from: Some(3), ..request.clone() }, &body, None),
        _ => Answer::file(request, &body, None),
    });
    let place = place();
    fetch(&known(&server, &bytes), &place).unwrap();
    holds(&place, &bytes);
}

#[test]
fn a_silent_connection_is_given_up_and_resumed() {
    let bytes = content();
    let body = bytes.clone();
    let server = Server::start(move |request: &Request| {
        let mut answer = Answer::file(request, &body, Some("\"v1\""));
        answer.stall = (request.number == 0).then_some((1000, Duration::from_secs(30)));
        answer
    });
    let place = place();
    let started = Instant::now();
    fetch(&known(&server, &bytes), &place).unwrap();
    holds(&place, &bytes);
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(server.requests()[1].from, Some(1000));
}

#[test]
fn another_file_than_the_known_one_is_thrown_away() {
    let server = Server::start(|request: &Request| Answer::file(request, &content(), None));
    let mut other = content();
    other[7] ^= 1;
    let place = place();
    let message = fetch(&known(&server, &other), &place).unwrap_err().to_string();
    assert!(message.contains("SHA-256") && message.contains("run the same command again"), "{message}");
    assert!(!place.target.exists());
    assert_eq!(std::fs::metadata(place.folder.path().join("file.bin.part")).unwrap().len(), 0);
    let message = fetch(&known(&server, &other[1..]), &place).unwrap_err().to_string();
    assert!(message.contains("2000 bytes instead of 1999"), "{message}");
    assert_eq!(server.requests().len(), 2, "the size is noticed before anything is fetched");
}

#[test]
fn answers_that_may_get_better_are_asked_for_again() {
    let bytes = content();
    for status in [429, 500, 502, 503, 504, 408] {
        let body = bytes.clone();
        let server = Server::start(move |request: &Request| match request.number {
            0..=2 => Answer::status(status).header("Retry-After", "3600"),
            _ => Answer::file(request, &body, None),
        });
        let place = place();
        fetch(&known(&server, &bytes), &place).unwrap();
        holds(&place, &bytes);
    }
    let server = Server::start(|_: &Request| Answer::status(429));
    let error = fetch(&unknown(&server), &place()).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && error.to_string().contains("429"), "{error}");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn answers_that_stay_are_told_at_once() {
    for status in [400, 401, 403, 404, 410] {
        let server = Server::start(move |_: &Request| Answer::status(status));
        let error = fetch(&unknown(&server), &place()).unwrap_err();
        assert!(matches!(error, Error::Missing { .. }) && error.to_string().contains(&status.to_string()), "{error}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn redirects_are_followed_with_the_range_and_circles_are_not() {
    let bytes = content();
    let body = bytes.clone();
    let store = Server::start(move |request: &Request| {
        let answer = Answer::file(request, &body, Some("\"v1\""));
        if request.number == 0 { answer.cut(900) } else { answer }
    });
    let there = format!("{}/blob", store.address);
    let hub = Server::start(move |_: &Request| Answer::status(302).header("Location", there.clone()));
    let place = place();
    fetch(&known(&hub, &bytes), &place).unwrap();
    holds(&place, &bytes);
    assert!(store.requests()[1].from.is_some() && store.requests()[1].path == "/blob");

    let circle = Server::start(|_: &Request| Answer::status(302).header("Location", "/file.bin"));
    let message = fetch(&unknown(&circle), &place).unwrap_err().to_string();
    assert!(message.contains("redirect"), "{message}");
}

#[test]
fn nobody_waits_long_without_a_network() {
    let started = Instant::now();
    let wanted = Wanted { address: "http://127.0.0.1:9/file.bin".to_owned(), bytes: None, sha256: None };
    let downloader = Downloader::new(Patience::default()).unwrap();
    let error = downloader.fetch(&wanted, &place().target, &mut Meter::silent()).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("check the connection"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[test]
fn no_address_is_told_at_once() {
    for address in ["", "mirror", "ftp://x/y", "http://"] {
        let wanted = Wanted { address: address.to_owned(), bytes: None, sha256: None };
        let message = fetch(&wanted, &place()).unwrap_err().to_string();
        assert!(message.contains("no address"), "{message}");
    }
}
