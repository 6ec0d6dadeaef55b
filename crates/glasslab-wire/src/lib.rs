//! What the library and the kernel of glasslab say to each other.
//!
//! A cell runs in a child process of the kernel, and its standard output is the wire: a block
//! between two marker lines is a piece of rich content, everything else is text. The markers are
//! evcxr's, so that plain evcxr_jupyter shows the same pictures.

use std::io::{self, Write};

/// The environment variable that the kernel sets for the process that runs the cells.
pub const IN_NOTEBOOK: &str = "GLASSLAB_NOTEBOOK";

const BEGIN: &str = "EVCXR_BEGIN_CONTENT ";
const END: &str = "EVCXR_END_CONTENT";

/// Writes one piece of rich content, e.g. `text/html`, and flushes it.
///
/// A line of `content` that equals the end marker would end the block early: it gets a space more.
///
/// # Errors
/// What writing to `out` fails with.
pub fn write_content(mut out: impl Write, mime_type: &str, content: &str) -> io::Result<()> {
    let mut block = format!("{BEGIN}{mime_type}\n");
    for line in content.lines() {
        block.push_str(line);
        block.push_str(if line == END { " \n" } else { "\n" });
    }
    block.push_str(END);
    block.push('\n');
    out.write_all(block.as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_cannot_end_its_own_block() {
        let mut out = Vec::new();
        write_content(&mut out, "text/plain", "a\nEVCXR_END_CONTENT\nb").unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().filter(|line| *line == END).count(), 1);
        assert!(text.ends_with("b\nEVCXR_END_CONTENT\n"));
    }
}
