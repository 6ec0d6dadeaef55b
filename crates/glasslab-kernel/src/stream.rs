//! Taking apart what the cells' process writes to its standard output.
//!
//! The stream holds text, the library's messages (see `glasslab_wire`), and lines that evcxr's own
//! generated code prints: blocks of content, requests for input, and notes that evcxr itself must see.
//! Text is handed on as it comes, also without a newline at its end.

use glasslab_wire::FromCell;

const EVCXR: &[u8] = b"EVCXR_";
/// Longer than any header or line of evcxr's: what has not ended by then is text.
const LONGEST_LINE: usize = 4096;
/// Larger than any picture: a block of content that has not ended by then is text.
const LARGEST_CONTENT: usize = 1 << 26;

/// A piece of the stream.
#[derive(Debug, PartialEq)]
pub enum Piece {
    /// Text of the cell's.
    Text(String),
    /// A message of the library's.
    Message(FromCell),
    /// Content to show: its MIME type and itself.
    Content(String, String),
    /// A line that evcxr must see.
    ForEvcxr(String),
}

/// Takes the stream apart, in whatever bites it comes.
pub struct Splitter {
    mark: Vec<u8>,
    pending: Vec<u8>,
    content: Option<(String, String)>,
}

impl Splitter {
    /// For the messages of this mark.
    pub fn new(mark: &str) -> Splitter {
        Splitter { mark: format!("\0{mark} ").into_bytes(), pending: Vec::new(), content: None }
    }

    /// The pieces that are whole with these bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Piece> {
        self.pending.extend_from_slice(bytes);
        let mut pieces = Vec::new();
        while self.step(&mut pieces) {}
        pieces
    }

    /// One piece; false if more bytes are needed.
    fn step(&mut self, pieces: &mut Vec<Piece>) -> bool {
        let message = find(&self.pending, &self.mark);
        if message == Some(0) {
            return self.message(pieces);
        }
        if let Some((_, content)) = &mut self.content {
            // A message ends no block, but what stands before it on its line belongs to the block.
            let end = find(&self.pending, b"\n");
            if let Some(at) = message.filter(|at| end.is_none_or(|end| *at < end)) {
                let line: Vec<u8> = self.pending.drain(..at).collect();
                content.push_str(&String::from_utf8_lossy(&line));
                return true;
            }
            return self.line(pieces);
        }
        let line = find(&self.pending, EVCXR);
        match (message, line) {
            (Some(at), None) => self.text(at, pieces),
            (Some(at), Some(line)) if at < line => self.text(at, pieces),
            // A line that a message breaks off is none of evcxr's.
            (Some(at), Some(0)) if find(&self.pending, b"\n").is_none_or(|end| at < end) => self.text(at, pieces),
            (_, Some(0)) => self.line(pieces),
            (_, Some(at)) => self.text(at, pieces),
            (None, None) => {
                let kept = self.unfinished();
                let whole = self.pending.len() - kept;
                self.text(whole, pieces);
                false
            }
        }
    }

    fn text(&mut self, length: usize, pieces: &mut Vec<Piece>) -> bool {
        if length > 0 {
            let text: Vec<u8> = self.pending.drain(..length).collect();
            pieces.push(Piece::Text(String::from_utf8_lossy(&text).into_owned()));
        }
        true
    }

    /// How many bytes at the end may be the beginning of something, or of a character.
    fn unfinished(&self) -> usize {
        let begins = |sign: &[u8]| (1..sign.len()).rev().find(|length| self.pending.ends_with(&sign[..*length]));
        let sign = begins(&self.mark).max(begins(EVCXR)).unwrap_or(0);
        let is_begun = |length: &usize| {
            let tail = &self.pending[self.pending.len() - length..];
            std::str::from_utf8(tail).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
        };
        let character = (1..=self.pending.len().min(3)).find(is_begun).unwrap_or(0);
        sign.max(character)
    }

    fn message(&mut self, pieces: &mut Vec<Piece>) -> bool {
        let header = &self.pending[self.mark.len()..];
        let Some(end) = header.iter().take(LONGEST_LINE).position(|byte| *byte == b'\n') else {
            // What looks like a header and is none: its first byte is text.
            return header.len() >= LONGEST_LINE && self.text(1, pieces);
        };
        let length = std::str::from_utf8(&header[..end]).ok().and_then(|length| length.parse::<usize>().ok());
        let Some(length) = length else { return self.text(1, pieces) };
        let begin = self.mark.len() + end + 1;
        if self.pending.len() < begin + length {
            return false;
        }
        if let Ok(message) = serde_json::from_slice(&self.pending[begin..begin + length]) {
            // No block goes on past its cell: what follows is not swallowed because somebody forgot its end.
            if matches!(message, FromCell::Begun | FromCell::Ended { .. }) {
                pieces.extend(self.unended());
            }
            pieces.push(Piece::Message(message));
        }
        self.pending.drain(..begin + length);
        true
    }

    /// One line that begins with `EVCXR_`, or is inside a block of content.
    fn line(&mut self, pieces: &mut Vec<Piece>) -> bool {
        let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') else {
            return self.content.is_none() && self.pending.len() >= LONGEST_LINE && self.text(1, pieces);
        };
        let line: Vec<u8> = self.pending.drain(..=end).collect();
        let line = String::from_utf8_lossy(&line[..end]).into_owned();
        if let Some((mime_type, mut content)) = self.content.take() {
            match line.as_str() {
                "EVCXR_END_CONTENT" => {
                    content.pop();
                    pieces.push(Piece::Content(mime_type, content));
                }
                "EVCXR_PANIC_NOTIFICATION" => {
                    pieces.push(Piece::ForEvcxr(line));
                    self.content = Some((mime_type, content));
                }
                _ => {
                    self.content = Some((mime_type, content + &line + "\n"));
                    if self.content.as_ref().is_some_and(|(_, content)| content.len() > LARGEST_CONTENT) {
                        pieces.extend(self.unended());
                    }
                }
            }
        } else if let Some(mime_type) = line.strip_prefix("EVCXR_BEGIN_CONTENT ") {
            self.content = Some((mime_type.trim().to_owned(), String::new()));
        } else if let Some((kind, prompt)) =
            line.split_once(':').filter(|(kind, _)| kind.starts_with("EVCXR_INPUT_REQUEST"))
        {
            let password = kind.ends_with("PASSWORD");
            pieces.push(Piece::Message(FromCell::Input { prompt: prompt.to_owned(), password }));
        } else if line == "EVCXR_PANIC_NOTIFICATION"
            || line == "EVCXR_ERROR_OCCURRED"
            || line.starts_with("EVCXR_VARIABLE_CHANGED_TYPE:")
        {
            pieces.push(Piece::ForEvcxr(line));
        } else {
            pieces.push(Piece::Text(line + "\n"));
        }
        true
    }

    /// A block of content that has no end, as the text that it was.
    fn unended(&mut self) -> Option<Piece> {
        let (mime_type, content) = self.content.take()?;
        Some(Piece::Text(format!("EVCXR_BEGIN_CONTENT {mime_type}\n{content}")))
    }

    /// What is left when the process has ended: text, but for a message in whose middle it was.
    pub fn finish(&mut self) -> Vec<Piece> {
        let rest = std::mem::take(&mut self.pending);
        let is_message = rest.first() == Some(&0) && (rest.starts_with(&self.mark) || self.mark.starts_with(&rest));
        let text = (!is_message && !rest.is_empty()).then(|| Piece::Text(String::from_utf8_lossy(&rest).into_owned()));
        self.unended().into_iter().chain(text).collect()
    }
}

fn find(bytes: &[u8], sign: &[u8]) -> Option<usize> {
    bytes.windows(sign.len()).position(|window| window == sign)
}

/// Text of one piece after the other is one text.
#[cfg(test)]
pub fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut all: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (all.last_mut(), piece) {
            (Some(Piece::Text(before)), Piece::Text(more)) => before.push_str(&more),
            (_, piece) => all.push(piece),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasslab_wire::frame;

    fn text(text: &str) -> Piece {
        Piece::Text(text.to_owned())
    }

    fn all(bytes: &[u8], bite: usize) -> Vec<Piece> {
        let mut splitter = Splitter::new("m");
        let mut pieces: Vec<Piece> = bytes.chunks(bite).flat_map(|bite| splitter.feed(bite)).collect();
        pieces.extend(splitter.finish());
        joined(pieces)
    }

    #[test]
    fn pieces_do_not_depend_on_the_bites() {
        let mut stream = "before ü".as_bytes().to_vec();
        stream.extend(frame("m", &FromCell::Clear { wait: true }));
        stream.extend_from_slice(
            b"partEVCXR_PANIC_NOTIFICATION\nEVCXR_BEGIN_CONTENT text/html\n<b>\n</b>\nEVCXR_END_CONTENT\n",
        );
        stream.extend(frame("m", &FromCell::Ended { number: 1 }));
        stream.extend_from_slice("EVCXR_ is a word of mine\nrest ä".as_bytes());
        let expected = vec![
            text("before ü"),
            Piece::Message(FromCell::Clear { wait: true }),
            text("part"),
            Piece::ForEvcxr("EVCXR_PANIC_NOTIFICATION".into()),
            Piece::Content("text/html".into(), "<b>\n</b>".into()),
            Piece::Message(FromCell::Ended { number: 1 }),
            text("EVCXR_ is a word of mine\nrest ä"),
        ];
        for bite in [1, 2, 3, 7, 1000] {
            assert_eq!(all(&stream, bite), expected, "bites of {bite}");
        }
    }

    #[test]
    fn text_without_a_newline_is_not_held_back() {
        assert_eq!(Splitter::new("m").feed(b"50 %"), [text("50 %")]);
    }

    #[test]
    fn a_request_for_input_is_seen() {
        let piece = Piece::Message(FromCell::Input { prompt: "name?".into(), password: true });
        assert_eq!(all(b"EVCXR_INPUT_REQUEST_PASSWORD:name?\n", 5), [piece]);
    }

    #[test]
    fn a_block_without_an_end_ends_with_its_cell_as_text() {
        for unended in ["a\nb", "a\nb\n"] {
            let mut stream = format!("EVCXR_BEGIN_CONTENT text/html\n{unended}").into_bytes();
            stream.extend(frame("m", &FromCell::Clear { wait: true }));
            stream.extend(frame("m", &FromCell::Ended { number: 1 }));
            stream.extend_from_slice(b"next");
            let expected = [
                Piece::Message(FromCell::Clear { wait: true }),
                text(&format!("EVCXR_BEGIN_CONTENT text/html\n{unended}")),
                Piece::Message(FromCell::Ended { number: 1 }),
                text("next"),
            ];
            for bite in [1, 5, 1000] {
                assert_eq!(all(&stream, bite), expected, "bites of {bite}");
            }
        }
    }

    #[test]
    fn what_begins_like_a_line_of_evcxrs_hides_no_message() {
        let ended = FromCell::Ended { number: 1 };
        let stream = [&b"EVCXR_"[..], &frame("m", &ended)].concat();
        for bite in [1, 5, 1000] {
            assert_eq!(all(&stream, bite), [text("EVCXR_"), Piece::Message(ended.clone())], "bites of {bite}");
        }
    }

    #[test]
    fn of_a_process_that_died_no_half_message_is_left() {
        let message = frame("m", &FromCell::Clear { wait: true });
        for length in 1..message.len() {
            let stream = [b"text", &message[..length]].concat();
            assert_eq!(all(&stream, 3), [text("text")], "{length} bytes of it");
        }
        assert_eq!(all(b"text\0", 3), [text("text")]);
        assert_eq!(all(b"EVCX", 3), [text("EVCX")]);
    }

    #[test]
    fn what_only_looks_like_a_message_is_text() {
        assert_eq!(all(b"\0m x\nmore", 4), [text("\0m x\nmore")]);
    }
}
