//! Taking apart what the cells' process writes to its standard output.
//!
//! The stream holds text, the library's messages (see `glasslab_wire`), and lines that evcxr's own
//! generated code prints: blocks of content, requests for input, and notes that evcxr itself must see.
//! Text is handed on as it comes, also without a newline at its end.

use glasslab_wire::FromCell;

const EVCXR: &[u8] = b"EVCXR_";
/// Longer than any header or line of evcxr's: what has not ended by then is text.
const LONGEST_LINE: usize = 4096;

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
        let line = if self.content.is_some() { Some(0) } else { find(&self.pending, EVCXR) };
        match (message, line) {
            (Some(0), _) => self.message(pieces),
            (Some(at), None) => self.text(at, pieces),
            (Some(at), Some(line)) if at < line => self.text(at, pieces),
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
        let tail = &self.pending[self.pending.len().saturating_sub(3)..];
        let character = match std::str::from_utf8(&self.pending[..]) {
            Err(error) if error.error_len().is_none() && self.pending.len() - error.valid_up_to() <= tail.len() => {
                self.pending.len() - error.valid_up_to()
            }
            _ => 0,
        };
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
                "EVCXR_PANIC_NOTIFICATION" => pieces.push(Piece::ForEvcxr(line)),
                _ => self.content = Some((mime_type, content + &line + "\n")),
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

    /// What is left when the process has ended: text.
    pub fn finish(&mut self) -> Vec<Piece> {
        self.content = None;
        let rest = std::mem::take(&mut self.pending);
        if rest.is_empty() { Vec::new() } else { vec![Piece::Text(String::from_utf8_lossy(&rest).into_owned())] }
    }
}

fn find(bytes: &[u8], sign: &[u8]) -> Option<usize> {
    bytes.windows(sign.len()).position(|window| window == sign)
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
        let mut joined: Vec<Piece> = Vec::new();
        for piece in pieces {
            match (joined.last_mut(), piece) {
                (Some(Piece::Text(before)), Piece::Text(more)) => before.push_str(&more),
                (_, piece) => joined.push(piece),
            }
        }
        joined
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
    fn what_only_looks_like_a_message_is_text() {
        assert_eq!(all(b"\0m x\nmore", 4), [text("\0m x\nmore")]);
    }
}
