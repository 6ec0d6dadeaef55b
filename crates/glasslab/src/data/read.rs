//! Reading stories: from text, JSON lines and JSON, in UTF-8 or UTF-16.
//!
//! A story is what is left of a text without the blanks around it; a new line is `\n`, however the file writes it
//! (`\r\n` as Windows does, a lone `\r` as old Macs did). A story without a character is none.

use super::END_OF_STORY;
use super::form::{Form, check_beginning};
use crate::error::{Error, Result};
use crate::stopping::Listening;
use serde_json::Value;
use std::borrow::Cow;
use std::io::{BufRead, Cursor, Read};
use std::path::Path;

/// The column, or the field, that stories are in, unless another one is named.
pub const COLUMN: &str = "text";

/// As many bytes of a file as tell what it is.
const HEAD: usize = 64;
/// As many bytes are read between two looks at the stop button.
const CHUNK: u64 = 1 << 20;
/// What was under way when the button was pressed.
const READING: &str = "a text was read: read it again, or a shorter one";

/// A text as a story; `None` if nothing is in it.
pub fn story_of(text: &str) -> Option<Cow<'_, str>> {
    let text = text.trim();
    match text {
        "" => None,
        _ if text.contains('\r') => Some(Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))),
        _ => Some(Cow::Borrowed(text)),
    }
}

/// A file's bytes as UTF-8, without the mark that may stand at the beginning. UTF-16 is known by that mark.
///
/// # Errors
/// If the file can't be read, is UTF-32 or no whole UTF-16, or begins as no text does.
pub fn as_utf8<'a>(path: &Path, mut input: impl BufRead + 'a) -> Result<Box<dyn BufRead + 'a>> {
    let mut head = Vec::new();
    (&mut input).take(HEAD as u64).read_to_end(&mut head).map_err(crate::file::file_error(path))?;
    let wrong = |what: &str| Error::Data(format!("{} is {what}; save the file as UTF-8 text", path.display()));
    let text = match head[..] {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => return Err(wrong("UTF-32")),
        [low @ (0xfe | 0xff), high @ (0xfe | 0xff), ..] if low != high => {
            let bytes = read_to_end(path, head.split_off(2), &mut input)?;
            let (pairs, rest) = bytes.as_chunks::<2>();
            let unit = if low == 0xff { u16::from_le_bytes } else { u16::from_be_bytes };
            let units = pairs.iter().map(|pair| unit(*pair));
            let text: std::result::Result<String, _> = char::decode_utf16(units).collect();
            match text {
                Ok(text) if rest.is_empty() => text.into_bytes(),
                _ => return Err(wrong("no whole UTF-16")),
            }
        }
        [0xef, 0xbb, 0xbf, ..] => head.split_off(3),
        _ => head,
    };
    check_beginning(path, &text[..text.len().min(HEAD)])?;
    Ok(Box::new(Cursor::new(text).chain(input)))
}

/// Gives each story of a text, of JSON lines or of JSON to `take`; `column` is the field that they are in.
///
/// # Errors
/// If the file can't be read or is not of that form, if the stop button was pressed, and what `take` fails with.
pub fn each_story(
    path: &Path,
    form: Form,
    column: &str,
    input: impl BufRead,
    take: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<()> {
    let mut input = as_utf8(path, input)?;
    let mut listening = Listening::new(READING);
    let take: &mut dyn FnMut(&str) -> Result<()> = &mut |story| {
        listening.go_on()?;
        take(story)
    };
    match form {
        Form::Lines => each_line(path, column, &mut input, take),
        Form::Json => each_value(path, column, &mut input, take),
        _ => {
            let text = all(path, &mut input)?;
            text.split(END_OF_STORY).filter_map(story_of).try_for_each(|story| take(&story))
        }
    }
}

/// What is there, and all that follows, unless the stop button is pressed.
fn read_to_end(path: &Path, mut bytes: Vec<u8>, input: &mut dyn BufRead) -> Result<Vec<u8>> {
    let mut listening = Listening::new(READING);
    while input.take(CHUNK).read_to_end(&mut bytes).map_err(crate::file::file_error(path))? > 0 {
        listening.go_on()?;
    }
    Ok(bytes)
}

/// All of a text.
fn all(path: &Path, input: &mut dyn BufRead) -> Result<String> {
    let bytes = read_to_end(path, Vec::new(), input)?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::Data(format!("{}: byte {at} is not UTF-8; save the file as UTF-8 text", path.display()))
    })
}

fn each_line(
    path: &Path,
    column: &str,
    input: &mut dyn BufRead,
    take: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<()> {
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        if input.read_until(b'\n', &mut bytes).map_err(crate::file::file_error(path))? == 0 {
            break;
        }
        let wrong = |what: &str| Error::Data(format!("{}: line {number} {what}", path.display()));
        let line = std::str::from_utf8(&bytes).map_err(|_| wrong("is not UTF-8; save the file as UTF-8 text"))?;
        // In JSON, a `\r` is written as two characters; so one that is there ends a line, as old Macs wrote it.
        for line in line.split('\r').filter(|line| !line.trim().is_empty()) {
            let value: Value = serde_json::from_str(line).map_err(|error| {
                wrong(&format!("is no JSON ({error}): each line must be an object like {{\"{column}\": \"…\"}}"))
            })?;
            let text = field(&value, column).map_err(|what| wrong(&what))?;
            story_of(text).map_or(Ok(()), |story| take(&story))?;
        }
    }
    Ok(())
}

fn each_value(
    path: &Path,
    column: &str,
    input: &mut dyn BufRead,
    take: &mut dyn FnMut(&str) -> Result<()>,
) -> Result<()> {
    let text = all(path, input)?;
    let mut number = 0;
    for value in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
        let value = value.map_err(|error| {
            Error::Data(format!(
                "{} is no whole JSON ({error}): give a list of objects like {{\"{column}\": \"…\"}}",
                path.display()
            ))
        })?;
        let entries = match value {
            Value::Array(entries) => entries,
            other => vec![other],
        };
        for entry in &entries {
            number += 1;
            let text = field(entry, column)
                .map_err(|what| Error::Data(format!("{}: entry {number} {what}", path.display())))?;
            story_of(text).map_or(Ok(()), |story| take(&story))?;
        }
    }
    Ok(())
}

/// The text of an entry: its field, or itself.
fn field<'a>(entry: &'a Value, column: &str) -> std::result::Result<&'a str, String> {
    match (entry, entry.get(column)) {
        (Value::String(text), _) | (_, Some(Value::String(text))) => Ok(text),
        (_, Some(Value::Null)) => Ok(""),
        (Value::Object(fields), None) => {
            Err(format!("has no field `{column}` with a string{}", others(fields.keys().map(String::as_str))))
        }
        _ => Err(format!("has no field `{column}` with a string: it must be an object like {{\"{column}\": \"…\"}}")),
    }
}

/// The other columns that there are, and how one is named.
pub fn others<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.take(20).map(|name| name.chars().take(60).collect()).collect();
    format!(
        "; it has: {}. Name the one that your stories are in: --column NAME, in a notebook \
         `Dataset::from_column(path, \"NAME\", None)`",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn read(form: Form, bytes: &[u8]) -> Result<Vec<String>> {
        let mut stories = Vec::new();
        each_story(Path::new("mine"), form, COLUMN, bytes, &mut |story| {
            stories.push(story.to_owned());
            Ok(())
        })?;
        Ok(stories)
    }

    fn utf16(text: &str, big: bool) -> Vec<u8> {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(|unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    #[test]
    fn a_new_line_is_one_however_it_is_written() {
        let text = b"one\rtwo\r\nthree\n\rfour\r<|endoftext|>\r\n five ";
        assert_eq!(read(Form::Text, text).unwrap(), ["one\ntwo\nthree\n\nfour", "five"]);
        assert_eq!(read(Form::Lines, b"{\"text\": \"a\\rb\"}\r{\"text\": \"c\\r\\nd\"}").unwrap(), ["a\nb", "c\nd"]);
    }

    #[test]
    fn utf_16_is_read_where_its_mark_stands() {
        let text = "Zoë 🦀\r\n日本<|endoftext|>x";
        for big in [false, true] {
            assert_eq!(read(Form::Text, &utf16(text, big)).unwrap(), ["Zoë 🦀\n日本", "x"]);
            assert_eq!(read(Form::Json, &utf16("[\"Zoë\"]", big)).unwrap(), ["Zoë"]);
            let cut = &utf16(text, big)[..9];
            assert!(read(Form::Text, cut).unwrap_err().to_string().contains("no whole UTF-16"));
        }
        assert!(read(Form::Text, b"\xff\xfe\0\0a\0\0\0").unwrap_err().to_string().contains("UTF-32"));
        assert_eq!(read(Form::Text, b"\xef\xbb\xbfmarked").unwrap(), ["marked"]);
    }

    #[test]
    fn json_is_a_list_of_objects_or_strings_or_objects_one_after_the_other() {
        for text in [
            r#"[{"text": "one", "id": 1}, {"id": 2, "text": " two\r"}, {"text": null}, {"text": ""}]"#,
            r#"["one", "two"]"#,
            "{\"text\": \"one\"}\n{\"text\": \"two\"}",
        ] {
            assert_eq!(read(Form::Json, text.as_bytes()).unwrap(), ["one", "two"], "{text}");
        }
        for (text, why) in [
            (r#"[{"id": 1, "story": "one"}]"#, "entry 1 has no field `text` with a string; it has: id, story. Name"),
            (r#"["a", 7]"#, "entry 2 has no field"),
            (r#"{"text": ["a"]}"#, "entry 1 has no field"),
            (r#"[{"text": "one"}"#, "no whole JSON"),
            ("one", "no whole JSON"),
        ] {
            let message = read(Form::Json, text.as_bytes()).unwrap_err().to_string();
            assert!(message.contains(why), "{message}");
        }
        let deep = "[".repeat(100_000);
        assert!(read(Form::Json, deep.as_bytes()).is_err() && read(Form::Lines, deep.as_bytes()).is_err());
    }

    /// How many random inputs a test takes: `GLASSLAB_INPUTS` asks for more.
    fn inputs() -> usize {
        std::env::var("GLASSLAB_INPUTS").ok().and_then(|count| count.parse().ok()).unwrap_or(20_000)
    }

    /// A text of what readers stumble over.
    fn text(rng: &mut Rng) -> String {
        const POOL: [&str; 22] = [
            "a",
            "é",
            "日本",
            "🦀",
            " ",
            "\n",
            "\r",
            "\r\n",
            "\"",
            "\\",
            "{",
            "}",
            "[",
            "]",
            ",",
            "\t",
            "\u{0}",
            "\u{feff}",
            END_OF_STORY,
            "\\u00e9",
            "text",
            "\u{85}",
        ];
        (0..rng.below(20)).map(|_| POOL[rng.below(POOL.len())]).collect()
    }

    #[test]
    fn what_was_written_in_any_form_comes_back_whole() {
        let mut rng = Rng::new(7);
        for _ in 0..inputs() {
            let stories: Vec<String> = (0..rng.below(5)).map(|_| text(&mut rng)).collect();
            let expected: Vec<String> =
                stories.iter().filter_map(|story| story_of(story)).map(Cow::into_owned).collect();
            let row = |story: &String| serde_json::json!({"id": 7, "text": story}).to_string();
            let rows: Vec<String> = stories.iter().map(row).collect();
            let (lines, json) =
                (rows.join(["\n", "\r\n", "\r", "\n\n"][rng.below(4)]), format!("[{}]", rows.join(",")));
            let plain: Vec<String> = stories.iter().map(|story| story.replace(END_OF_STORY, "")).collect();
            let plain_expected: Vec<String> =
                plain.iter().filter_map(|story| story_of(story)).map(Cow::into_owned).collect();
            // The mark in front keeps what begins like another kind of file, or with a mark, as it is.
            let mark = |text: &str| ["\u{feff}", text].concat();
            for (form, text, expected) in [
                (Form::Lines, lines, &expected),
                (Form::Json, json, &expected),
                (Form::Text, plain.join(END_OF_STORY), &plain_expected),
            ] {
                let marked = mark(&text);
                assert_eq!(&read(form, marked.as_bytes()).unwrap(), expected, "{form:?} {text:?}");
                if !text.starts_with('\0') {
                    assert_eq!(&read(form, &utf16(&text, rng.below(2) == 0)).unwrap(), expected, "{form:?} {text:?}");
                }
            }
        }
    }

    #[test]
    fn damaged_input_is_an_error_or_text_and_never_a_panic() {
        let mut rng = Rng::new(8);
        let mut refused = 0;
        for _ in 0..inputs() {
            let story = text(&mut rng);
            let rows = [serde_json::json!({"text": story}), serde_json::json!([story]), serde_json::json!(story)];
            let mut bytes = match rng.below(3) {
                0 => rows[rng.below(3)].to_string().into_bytes(),
                1 => utf16(&story, rng.below(2) == 0),
                _ => story.into_bytes(),
            };
            for _ in 0..rng.below(4) {
                if !bytes.is_empty() {
                    let place = rng.below(bytes.len());
                    bytes[place] = rng.bits() as u8;
                    bytes.truncate(rng.below(bytes.len()).max(place));
                }
            }
            for form in [Form::Text, Form::Lines, Form::Json] {
                match read(form, &bytes) {
                    Ok(stories) => assert!(stories.iter().all(|story| story_of(story).as_deref() == Some(story))),
                    Err(error) => {
                        assert!(error.to_string().contains("mine"), "{error}");
                        refused += 1;
                    }
                }
            }
        }
        assert!(refused > inputs() / 2, "{refused}");
    }
}
