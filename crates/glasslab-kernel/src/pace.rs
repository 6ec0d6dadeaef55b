//! What pours out of a cell, throttled to what a notebook can take: text joined to twenty messages a second, and so much
//! of it and so many pictures as a page can hold; the rest is counted.

use std::time::{Duration, Instant};

/// The time between two messages with text.
pub const PACE: Duration = Duration::from_millis(50);
/// Bytes of text that one cell shows.
const MOST_TEXT: usize = 2_000_000;
/// Pictures, tables and the like that one cell shows.
const MOST_PICTURES: usize = 1_000;

/// The text of one cell, waiting for its turn.
#[derive(Default)]
pub struct Pacer {
    waiting: Vec<(&'static str, String)>,
    last: Option<Instant>,
    text: usize,
    text_left_out: usize,
    lines_left_out: usize,
    pictures: usize,
}

impl Pacer {
    /// Takes text of a stream; true if it should go on at once.
    pub fn take(&mut self, name: &'static str, text: &str) -> bool {
        let room = MOST_TEXT.saturating_sub(self.text);
        let cut = (0..=room.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let (shown, rest) = text.split_at(cut);
        self.text += shown.len();
        self.text_left_out += rest.len();
        self.lines_left_out += rest.matches('\n').count();
        match self.waiting.last_mut() {
            Some((last, waiting)) if *last == name => waiting.push_str(shown),
            _ if shown.is_empty() => {}
            _ => self.waiting.push((name, shown.to_owned())),
        }
        self.last.is_none_or(|last| last.elapsed() >= PACE)
    }

    /// Whether one picture more is shown.
    pub fn takes_picture(&mut self) -> bool {
        self.pictures += 1;
        self.pictures <= MOST_PICTURES
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What waits goes on.
    pub fn flush(&mut self) -> Vec<(&'static str, String)> {
        if !self.waiting.is_empty() {
            self.last = Some(Instant::now());
        }
        std::mem::take(&mut self.waiting)
    }

    /// At the end of a cell, a sentence about what is not shown, for which there is room again; empty if all is.
    pub fn left_out(&mut self) -> String {
        let mut parts = Vec::new();
        if self.text_left_out > 0 {
            parts.push(format!("{} bytes of text in {} lines", self.text_left_out, self.lines_left_out));
        }
        if self.pictures > MOST_PICTURES {
            parts.push(format!("{} pictures", self.pictures - MOST_PICTURES));
        }
        *self = Pacer { waiting: std::mem::take(&mut self.waiting), last: self.last, ..Pacer::default() };
        if parts.is_empty() {
            return String::new();
        }
        format!(
            "\n… and {} more, which are not shown: a cell shows {MOST_TEXT} bytes of text and {MOST_PICTURES} pictures.\n",
            parts.join(" and ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_follows_at_once_is_joined_and_keeps_its_order() {
        let mut pacer = Pacer::default();
        assert!(pacer.take("stdout", "a"), "the first goes at once");
        assert_eq!(pacer.flush(), [("stdout", "a".to_owned())]);
        pacer.last = Some(Instant::now() + Duration::from_secs(60));
        assert!(!pacer.take("stdout", "b"));
        assert!(!pacer.take("stdout", "c"));
        assert!(!pacer.take("stderr", "d"));
        assert_eq!(pacer.flush(), [("stdout", "bc".to_owned()), ("stderr", "d".to_owned())]);
        assert!(pacer.is_empty() && pacer.left_out().is_empty());
    }

    #[test]
    fn what_is_too_much_is_counted_and_told() {
        let mut pacer = Pacer::default();
        pacer.take("stdout", &"ä\n".repeat(MOST_TEXT / 3 - 1));
        pacer.take("stdout", "ä\nä\nä\n");
        pacer.take("stdout", "more");
        let shown: usize = pacer.flush().iter().map(|(_, text)| text.len()).sum();
        assert!(shown <= MOST_TEXT && shown > MOST_TEXT - 3);
        (0..MOST_PICTURES).for_each(|_| assert!(pacer.takes_picture()));
        assert!(!pacer.takes_picture());
        let told = pacer.left_out();
        assert!(told.contains("lines") && told.contains("1 pictures"), "{told}");
        assert!(pacer.take("stderr", &told) || !pacer.is_empty(), "there is room to say so");
    }
}
