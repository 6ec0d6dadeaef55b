//! How far it is: a bar on a terminal, a line every two seconds elsewhere (in a notebook's cell), both on standard error.
//!
//! By hand: without a terminal indicatif says nothing, and a cell wants its line.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Tells how far a piece of work is.
#[derive(Debug)]
pub struct Meter {
    show: Show,
    label: String,
    unit: Unit,
    total: Option<u64>,
    first: u64,
    began: Instant,
    shown: Instant,
    on_screen: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    Nothing,
    Lines,
    Bar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Bytes,
    Rows,
}

impl Meter {
    /// For standard error, as it is.
    pub fn new() -> Meter {
        Meter::with(if std::io::stderr().is_terminal() { Show::Bar } else { Show::Lines })
    }

    /// Tells nothing.
    pub fn silent() -> Meter {
        Meter::with(Show::Nothing)
    }

    fn with(show: Show) -> Meter {
        let now = Instant::now();
        let label = String::new();
        Meter { show, label, unit: Unit::Bytes, total: None, first: 0, began: now, shown: now, on_screen: false }
    }

    /// Begins a download, of which some may be there already.
    pub fn begin(&mut self, label: &str, have: u64, total: Option<u64>) {
        self.start(label, Unit::Bytes, have, total);
    }

    /// Begins to read rows.
    pub fn begin_rows(&mut self, label: &str, total: u64) {
        self.start(label, Unit::Rows, 0, Some(total));
    }

    fn start(&mut self, label: &str, unit: Unit, first: u64, total: Option<u64>) {
        self.end();
        let now = Instant::now();
        (self.label, self.unit, self.first, self.total) = (label.to_owned(), unit, first, total);
        (self.began, self.shown) = (now, now);
    }

    /// So much is done.
    pub fn set(&mut self, count: u64) {
        let every = if self.show == Show::Bar { Duration::from_millis(100) } else { Duration::from_secs(2) };
        if self.show != Show::Nothing && self.shown.elapsed() >= every {
            self.shown = Instant::now();
            let line = self.line(count, self.began.elapsed());
            self.write(&if self.show == Show::Bar { format!("\r{line:<78}") } else { format!("{line}\n") });
            self.on_screen = self.show == Show::Bar;
        }
    }

    fn line(&self, count: u64, elapsed: Duration) -> String {
        let speed = (count - self.first.min(count)) as f64 / elapsed.as_secs_f64().max(1e-3);
        let (count_told, speed_told) = match self.unit {
            Unit::Bytes => (format!("{:.1}", count as f64 / 1e6), format!("{:.1} MB/s", speed / 1e6)),
            Unit::Rows => (count.to_string(), format!("{speed:.0} stories/s")),
        };
        let Some(total) = self.total else { return format!("  {}: {count_told}, {speed_told}", self.label) };
        let left = total.saturating_sub(count) as f64 / speed.max(1.0);
        let total_told = match self.unit {
            Unit::Bytes => format!("{:.1} MB", total as f64 / 1e6),
            Unit::Rows => format!("{total} stories"),
        };
        let share = if total == 0 { 1.0 } else { count as f64 / total as f64 };
        let filled = (share.min(1.0) * 16.0) as usize;
        let bar = format!("[{}{}]", "#".repeat(filled), "-".repeat(16 - filled));
        // A shard's whole name is longer than a line; its number is in front.
        let label: String = self.label.chars().take(24).collect();
        format!("  {bar} {label}: {count_told} of {total_told}, {speed_told}, {left:.0} s left")
    }

    /// What was begun is over.
    pub fn end(&mut self) {
        if std::mem::take(&mut self.on_screen) {
            self.write(&format!("\r{:<78}\r", ""));
        }
    }

    /// Tells a sentence.
    pub fn note(&mut self, sentence: &str) {
        self.end();
        if self.show != Show::Nothing {
            self.write(&format!("{sentence}\n"));
        }
    }

    /// Whoever listened may be gone: that is no reason to end.
    fn write(&self, text: &str) {
        let mut out = std::io::stderr().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

impl Default for Meter {
    fn default() -> Meter {
        Meter::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_share_speed_and_time_left() {
        let mut progress = Meter::silent();
        progress.begin("train-00000-of-00004-2d5a1467fff1081b.parquet", 50_000_000, Some(250_000_000));
        let line = progress.line(150_000_000, Duration::from_secs(10));
        assert_eq!(line, "  [#########-------] train-00000-of-00004-2d5: 150.0 of 250.0 MB, 10.0 MB/s, 10 s left");
        progress.begin_rows("train", 1000);
        assert!(progress.line(250, Duration::from_secs(1)).ends_with("250 of 1000 stories, 250 stories/s, 3 s left"));
        progress.begin("x", 0, None);
        assert_eq!(progress.line(1_500_000, Duration::from_secs(1)), "  x: 1.5, 1.5 MB/s");
    }
}
