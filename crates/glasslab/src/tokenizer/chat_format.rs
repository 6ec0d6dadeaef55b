//! How a conversation is written as one text: what stands between its messages.
//!
//! ```text
//! opening  How are you?  answer  I am fine.  next  And what is a Llama?  answer …
//! ```
//! A model that answers is still one that continues a text; it has learnt to continue this one. Others keep it as a program (a
//! Jinja template), of which these pieces are what it writes.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// What stands between the messages of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatFormat {
    /// Before the first message of a person, where no system message stands before it.
    pub opening: String,
    /// Before a system message, and between it and the first message of a person; `None` if the model knows no such message.
    pub system: Option<(String, String)>,
    /// Between a person's message and an answer that was given.
    pub answer: String,
    /// Behind a person's last message: here the model goes on. As `answer`, but for blanks, or a thought that is left out.
    pub go_on: String,
    /// Between an answer and the next message of a person. What it begins with ends an answer.
    pub next: String,
    /// Whether blanks around a message are left out.
    pub trims: bool,
}

impl ChatFormat {
    /// ChatML, which SmolLM2, Qwen and many others have learnt, without a system message of its own.
    pub fn chat_ml() -> ChatFormat {
        let between = |role: &str| format!("<|im_end|>\n<|im_start|>{role}\n");
        ChatFormat {
            opening: "<|im_start|>user\n".to_owned(),
            system: Some(("<|im_start|>system\n".to_owned(), between("user"))),
            answer: between("assistant"),
            go_on: between("assistant"),
            next: between("user"),
            trims: false,
        }
    }

    /// A conversation as one text. `messages` are a person's and the model's by turns, a person's first: behind one of a person
    /// stands what the model goes on from.
    ///
    /// # Errors
    /// If there is a system message, and the model knows none.
    pub fn text(&self, system: Option<&str>, messages: &[impl AsRef<str>]) -> Result<String> {
        let mut text = match (system, &self.system) {
            (None, _) => self.opening.clone(),
            (Some(system), Some((before, after))) => format!("{before}{}{after}", self.message(system)),
            (Some(_), None) => {
                return Err(Error::Config(
                    "this model knows no system message: say it at the beginning of your first message".to_owned(),
                ));
            }
        };
        for (place, message) in messages.iter().enumerate() {
            if place > 0 && place % 2 == 0 {
                text += &self.next;
            }
            text += self.message(message.as_ref());
            if place % 2 == 0 {
                text += if place + 1 == messages.len() { &self.go_on } else { &self.answer };
            }
        }
        Ok(text)
    }

    fn message<'a>(&self, text: &'a str) -> &'a str {
        if self.trims { text.trim() } else { text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_its_messages_and_what_stands_between() {
        let format = ChatFormat { trims: true, ..ChatFormat::chat_ml() };
        let text = format.text(Some("Be kind."), &["Hello ", "Hi!", "Bye"]).unwrap();
        assert_eq!(
            text,
            "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nHi!<|im_end|>\n\
             <|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n"
        );
        assert!(format.text(None, &["Hello", "Hi!"]).unwrap().ends_with("assistant\nHi!"));
        let without = ChatFormat { system: None, ..format };
        assert!(without.text(Some("x"), &["y"]).unwrap_err().to_string().contains("first message"));
    }
}
