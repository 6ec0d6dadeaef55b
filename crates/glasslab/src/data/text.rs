//! A text, so far as it tells whether two are the same.

use super::{Checksum, Tokens};
use serde::{Deserialize, Serialize};

/// As many bytes of a text's beginning and end are in its checksum: a text may be gigabytes.
const ENDS: usize = 1 << 24;

/// A text, so far as it tells whether two are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Text {
    /// Its length in characters (or tokens).
    pub chars: usize,
    /// A checksum of its first and its last 16 MiB: of all of it, if it is no longer than both.
    pub checksum: u64,
}

impl Text {
    /// Of these tokens.
    pub fn of(tokens: &Tokens) -> Text {
        let ids: &[u8] = &tokens.ids;
        let (first, rest) = ids.split_at(ids.len().min(ENDS));
        let mut checksum = Checksum::default();
        checksum.add(first);
        checksum.add(&rest[rest.len().saturating_sub(ENDS)..]);
        Text { chars: tokens.len(), checksum: checksum.value() }
    }
}
