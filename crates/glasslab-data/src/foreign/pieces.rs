//! How files write the pieces of a tokenizer as text, and what bytes those stand for.

use glasslab::tokenizer::Piece;
use std::collections::HashMap;

/// The alphabet of GPT-2: each byte as a character that can be seen, its own where it has one, else one from U+0100 on.
///
/// Source: `bytes_to_unicode` in GPT-2's `encoder.py`.
pub(super) struct SeenBytes {
    bytes: HashMap<char, u8>,
    seen: HashMap<u8, char>,
}

impl SeenBytes {
    pub(super) fn new() -> SeenBytes {
        let is_seen = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
        let seen = (0..=255).filter(is_seen).map(|byte| (char::from(byte), byte));
        let unseen = (0x100_u32..).filter_map(char::from_u32).zip((0..=255).filter(|byte| !is_seen(byte)));
        let bytes: HashMap<char, u8> = seen.chain(unseen).collect();
        SeenBytes { seen: bytes.iter().map(|(seen, byte)| (*byte, *seen)).collect(), bytes }
    }

    /// How the bytes of a piece are written.
    pub(super) fn text(&self, bytes: &[u8]) -> String {
        bytes.iter().filter_map(|byte| self.seen.get(byte)).collect()
    }

    /// The bytes of a piece; what is written in other characters stands for itself.
    pub(super) fn piece(&self, text: &str) -> Piece {
        let bytes: Option<Vec<u8>> = text.chars().map(|character| self.bytes.get(&character).copied()).collect();
        bytes.map_or_else(|| Piece::from(text), Piece)
    }
}

/// The byte of a piece as `<0x0A>`.
pub(super) fn byte_of(text: &str) -> Option<u8> {
    let hex = text.strip_prefix("<0x")?.strip_suffix('>')?;
    u8::from_str_radix(hex, 16).ok().filter(|_| hex.len() == 2)
}

/// The ids of all 256 bytes, if each has one.
pub(super) fn byte_ids(ids: &HashMap<u8, u32>) -> Vec<u32> {
    (0..=255).map(|byte| ids.get(&byte).copied()).collect::<Option<_>>().unwrap_or_default()
}

/// A piece whose spaces are written as SentencePiece does.
pub(super) fn spaced(text: &str) -> Piece {
    Piece(text.replace('▁', " ").into_bytes())
}
