//! Random inputs for readers: how many, where they lie, and how a file is damaged.

use glasslab::rng::Rng;
use std::path::Path;

/// How many random inputs a test takes; `GLASSLAB_INPUTS` asks for more of them, as a nightly run does.
pub fn inputs() -> usize {
    std::env::var("GLASSLAB_INPUTS").ok().and_then(|count| count.parse().ok()).unwrap_or(20_000)
}

/// A folder in memory where the system has one: a million files are not the disk's affair.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(if Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { std::env::temp_dir() }).unwrap()
}

/// Damages bytes: some changed, some left out, some cut off, some put in twice.
pub fn damaged(rng: &mut Rng, mut bytes: Vec<u8>) -> Vec<u8> {
    for _ in 0..1 + rng.below(3) {
        if bytes.is_empty() {
            break;
        }
        let place = rng.below(bytes.len());
        match rng.below(5) {
            0 | 1 => bytes[place] = rng.bits() as u8,
            2 => bytes[place] ^= 1 << rng.below(8),
            3 => bytes.truncate(place),
            _ => {
                let piece = bytes[place..].to_vec();
                bytes.extend(&piece[..piece.len().min(40)]);
            }
        }
    }
    bytes
}
