//! A text, so far as it tells whether two are the same.

use super::{Checksum, Tokens};
use serde::{Deserialize, Serialize};

/// As many ids of a text's beginning and end are in its checksum: a text may be gigabytes.
const ENDS: usize = 1 << 24;

/// A text, so far as it tells whether two are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Text {
    /// Its length in characters (or tokens).
    pub chars: usize,
    /// A checksum of its first and its last 16 million ids: of all of it, if it is no longer than both.
    pub checksum: u64,
}

impl Text {
    /// Of these tokens.
    pub fn of(tokens: &Tokens) -> Text {
        let (ids, length) = (tokens.ids.all(), tokens.len());
        let first = length.min(ENDS);
        let mut checksum = Checksum::default();
        ids.part(0..first).add_to(&mut checksum);
        ids.part(first.max(length.saturating_sub(ENDS))..length).add_to(&mut checksum);
        Text { chars: tokens.len(), checksum: checksum.value() }
    }
}
