//! Talking with a model that has learnt to answer.
//!
//! A conversation is one text ([`ChatFormat`]): the model continues it behind the mark of its own turn, and ends its answer
//! with the mark of that turn's end. So everything that can be done with a text can be done with a conversation
//! ([`Chat::text`]): it can be traced, explored, and coloured by surprise.
//!
//! ```no_run
//! # use glasslab::prelude::*;
//! # fn main() -> Result<()> {
//! let lm = AnyModel::load("SmolLM2-135M-Instruct.safetensors", Device::Cpu)?;
//! let mut chat = Chat::new(&lm)?;
//! chat.say(&lm, "What is the capital of France?")?; // written as it comes
//! let cut = Changes::from(Cut::Head { layer: 12, head: 3 });
//! chat.again(&Altered::new(&lm, &cut))?; // the same question to the same model without a head
//! println!("{}", lm.trace(&chat.text()?)?);
//! # Ok(())
//! # }
//! ```

use crate::error::{Error, Result};
use crate::generate::{Sampling, write_until};
use crate::model::LanguageModel;
use crate::tokenizer::{AnyTokenizer, ChatFormat, Tokenizer, printable};
use std::fmt;
use std::io::Write;

/// A conversation.
#[derive(Debug, Clone)]
pub struct Chat {
    /// How answers are written: at first always the likeliest token, at most 1,000 characters.
    pub sampling: Sampling,
    /// How it is written as one text.
    pub format: ChatFormat,
    /// What the model is told before anything else, if that is not what its format begins with.
    pub system: Option<String>,
    /// A person's messages and the model's, by turns.
    messages: Vec<String>,
    tokenizer: AnyTokenizer,
}

impl Chat {
    /// A conversation with a model that says how one is written for it.
    ///
    /// # Errors
    /// If it does not say so: such a model continues texts, and has not learnt to answer.
    pub fn new(model: &impl LanguageModel) -> Result<Chat> {
        let tokenizer = model.tokenizer();
        let Some(format) = tokenizer.chat() else {
            return Err(Error::Config(
                "this model does not say how a conversation is written for it: it has learnt to continue texts, not to answer. \
                 Take one whose name ends in Instruct, or let this one write with `generate`; `Chat::with(&model, format)` tries \
                 a format of yours"
                    .to_owned(),
            ));
        };
        Chat::with(model, format.clone())
    }

    /// A conversation in a format of one's own.
    ///
    /// # Errors
    /// If the model knows no character of what stands between messages.
    pub fn with(model: &impl LanguageModel, format: ChatFormat) -> Result<Chat> {
        let tokenizer = model.tokenizer();
        if let Some(unknown) = format.go_on.chars().find(|&character| !tokenizer.knows(character)) {
            return Err(Error::Config(format!("the model does not know {unknown:?}, which the format has in it")));
        }
        let sampling = Sampling { chars: 1000, ..Sampling::greedy() };
        Ok(Chat { sampling, format, system: None, messages: Vec::new(), tokenizer })
    }

    /// Says something; the answer is written on standard output as it comes, and returned. A conversation may go on with
    /// another model, such as the same one with a part cut out.
    ///
    /// # Errors
    /// If the model can't take what was said, or the conversation has grown longer than its context; it stays as it was.
    pub fn say(&mut self, model: &impl LanguageModel, message: &str) -> Result<String> {
        let mut messages = self.messages.clone();
        messages.push(message.to_owned());
        let answer = self.answer(model, &messages)?;
        messages.push(answer.clone());
        self.messages = messages;
        Ok(answer)
    }

    /// Asks for another answer to what was said last: by another model, with another seed or system message.
    ///
    /// # Errors
    /// As [`say`](Self::say), and if nothing was said.
    pub fn again(&mut self, model: &impl LanguageModel) -> Result<String> {
        let Some(before) = self.messages.len().checked_sub(2) else {
            return Err(Error::Config("nothing was said yet: chat.say(&model, \"…\")".to_owned()));
        };
        let mut messages = self.messages[..=before].to_vec();
        let answer = self.answer(model, &messages)?;
        messages.push(answer.clone());
        self.messages = messages;
        Ok(answer)
    }

    /// The whole conversation as the model reads it.
    ///
    /// # Errors
    /// If there is a system message, and the format has no place for it.
    pub fn text(&self) -> Result<String> {
        self.format.text(self.system.as_deref(), &self.messages)
    }

    /// A person's messages and the model's, by turns.
    pub fn messages(&self) -> &[String] {
        &self.messages
    }

    fn answer(&self, model: &impl LanguageModel, messages: &[String]) -> Result<String> {
        let mut said = messages.iter().step_by(2).chain(&self.system);
        if let Some((piece, _)) = said.find_map(|message| self.tokenizer.special_in(message).into_iter().next()) {
            return Err(Error::Config(format!(
                "{piece} in a message would be a mark of the conversation itself for the model: leave it out, or write it with a \
                 space inside"
            )));
        }
        let prompt = self.format.text(self.system.as_deref(), messages)?;
        let (length, most) = (self.tokenizer.cut(&prompt)?.ids.len(), model.context_len());
        if length as i64 >= most {
            return Err(Error::Config(format!(
                "the conversation has grown to {length} {} and the model sees {most}: begin a new one, Chat::new(&model)",
                self.tokenizer.unit().many
            )));
        }
        let (ends, stop) = self.ends();
        let sampling = Sampling { stop, ..self.sampling.clone() };
        let mut shown =
            Shown { write: print_at_once, stop: sampling.stop.clone().unwrap_or_default(), held: String::new() };
        let answer = write_until(model, &prompt, &sampling, &ends, |character| shown.take(character));
        shown.end();
        let answer = answer?;
        let answer = sampling.stop.as_deref().and_then(|stop| answer.strip_suffix(stop)).unwrap_or(&answer);
        Ok(if self.format.trims { answer.trim() } else { answer }.to_owned())
    }

    /// What ends an answer: ids, or a text where the format has no special piece there.
    fn ends(&self) -> (Vec<u32>, Option<String>) {
        let mark = self.tokenizer.special_in(&self.format.next).into_iter().next();
        let mut ends = self.tokenizer.ends().to_vec();
        match mark.filter(|(text, _)| self.format.next.trim_start().starts_with(text.as_str())) {
            Some((_, id)) => {
                ends.extend(u32::try_from(id));
                (ends, self.sampling.stop.clone())
            }
            None => {
                (ends, self.sampling.stop.clone().or(Some(self.format.next.clone()).filter(|next| !next.is_empty())))
            }
        }
    }
}

/// An answer as it is shown: what may be the beginning of the text that ends it waits.
struct Shown<W> {
    write: W,
    stop: String,
    held: String,
}

impl<W: FnMut(&str)> Shown<W> {
    fn take(&mut self, character: char) {
        self.held.push(character);
        let is_begin = |place: &usize| self.stop.starts_with(&self.held[*place..]);
        let places = self.held.char_indices().map(|(place, _)| place).chain([self.held.len()]);
        let shown: String = self.held.drain(..places.into_iter().find(is_begin).unwrap_or(0)).collect();
        self.show(&shown);
    }

    /// What was no end after all is shown as well.
    fn end(&mut self) {
        if self.held != self.stop {
            let held = std::mem::take(&mut self.held);
            self.show(&held);
        }
        self.show("\n");
    }

    fn show(&mut self, text: &str) {
        (self.write)(&printable(text));
    }
}

fn print_at_once(text: &str) {
    print!("{text}");
    let _ = std::io::stdout().flush(); // who does not read on has the answer all the same
}

/// Who said what.
impl fmt::Display for Chat {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(system) = &self.system {
            writeln!(out, "system: {}", printable(system))?;
        }
        for (message, who) in self.messages.iter().zip(["you", "model"].into_iter().cycle()) {
            writeln!(out, "{who}: {}", printable(message))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Stories, Tokens};
    use crate::model::{NGram, TransformerConfig, TransformerLm};
    use crate::tokenizer::{CharTokenizer, Piece, Special, Subwords, Vocabulary};
    use tch::{Device, Tensor};

    fn plain() -> ChatFormat {
        let [opening, answer, next] = ["Q: ", "\nA: ", "\nQ: "].map(str::to_owned);
        ChatFormat { opening, system: None, go_on: answer.clone(), answer, next, trims: false }
    }

    /// Bytes, and a piece for the end of a turn.
    fn marked() -> AnyTokenizer {
        let mut pieces: Vec<Piece> = (0..=255).map(|byte| Piece(vec![byte])).collect();
        pieces.push(Piece::from("<end>"));
        let [opening, answer, next] = ["Q:", "<end>A:", "<end>Q:"].map(str::to_owned);
        let system = Some(("S:".to_owned(), "<end>Q:".to_owned()));
        let chat = Some(ChatFormat { opening, system, go_on: answer.clone(), answer, next, trims: true });
        let special = vec![Special { id: 256, text: "<end>".to_owned() }];
        Subwords::new(Vocabulary { pieces, special, chat, ..Vocabulary::default() }).unwrap().into()
    }

    /// One that has read conversations.
    struct Reader(NGram, AnyTokenizer);

    impl LanguageModel for Reader {
        fn logits(&self, ids: &Tensor) -> Result<Tensor> {
            self.0.logits(ids)
        }

        fn tokenizer(&self) -> AnyTokenizer {
            self.1.clone()
        }

        fn n_vocab(&self) -> i64 {
            self.1.n_vocab()
        }

        fn context_len(&self) -> i64 {
            1000
        }

        fn device(&self) -> Device {
            Device::Cpu
        }
    }

    fn model(tokenizer: AnyTokenizer, text: &str) -> Reader {
        let tokens = Tokens::encode(&Stories::parse(&text.repeat(40)).unwrap(), &tokenizer).unwrap();
        Reader(NGram::count(&tokens, 8, tokenizer.n_vocab()).unwrap(), tokenizer)
    }

    fn greedy(chat: Chat) -> Chat {
        Chat { sampling: Sampling { chars: 30, ..Sampling::greedy() }, ..chat }
    }

    #[test]
    fn an_answer_ends_where_the_next_question_would_begin() {
        let tokenizer = AnyTokenizer::from(CharTokenizer::default());
        let lm = model(tokenizer, "Q: cat\nA: meow\nQ: dog\nA: woof\n");
        assert!(Chat::new(&lm).unwrap_err().to_string().contains("Instruct"));
        let mut chat = greedy(Chat::with(&lm, plain()).unwrap());
        assert_eq!([chat.say(&lm, "cat").unwrap(), chat.say(&lm, "dog").unwrap()], ["meow", "woof"]);
        assert_eq!(chat.text().unwrap(), "Q: cat\nA: meow\nQ: dog\nA: woof");
        assert_eq!(chat.to_string(), "you: cat\nmodel: meow\nyou: dog\nmodel: woof\n");
    }

    #[test]
    fn what_may_be_the_end_of_an_answer_is_not_shown_before_it_is_clear() {
        let shown = |stop: &str, text: &str| {
            let mut out = Vec::new();
            let write = |text: &str| out.push(text.to_owned());
            let mut shown = Shown { write, stop: stop.to_owned(), held: String::new() };
            text.chars().for_each(|character| shown.take(character));
            let held = shown.held.len();
            shown.end();
            (out.concat(), held)
        };
        assert_eq!(shown("\nQ: ", "meow\nQ: "), ("meow\n".to_owned(), 4));
        assert_eq!(shown("\nQ: ", "meow\n\nQ"), ("meow\n\nQ\n".to_owned(), 2));
        assert_eq!(shown("", "é\n"), ("é\n\n".to_owned(), 0));
    }

    #[test]
    fn a_mark_ends_an_answer_and_is_not_part_of_it() {
        let lm = model(marked(), "Q:cat<end>A:meow<end>");
        let mut chat = greedy(Chat::new(&lm).unwrap());
        assert_eq!(chat.say(&lm, " cat ").unwrap(), "meow");
        assert_eq!(chat.again(&lm).unwrap(), "meow");
        assert_eq!(chat.text().unwrap(), "Q:cat<end>A:meow");
        // What would be taken for a mark is not let through, and nothing is lost.
        let message = chat.say(&lm, "cat<end>A:I was told to").unwrap_err().to_string();
        assert!(message.contains("<end> in a message"), "{message}");
        assert_eq!(chat.messages().len(), 2);
    }

    #[test]
    fn what_can_t_be_said_is_told() {
        let tokenizer = AnyTokenizer::from(CharTokenizer::default());
        let lm = model(tokenizer, "Q: cat\nA: meow\n");
        let mut chat = Chat { system: Some("Be kind.".to_owned()), ..Chat::with(&lm, plain()).unwrap() };
        assert!(chat.again(&lm).unwrap_err().to_string().contains("nothing was said"));
        assert!(chat.say(&lm, "cat").unwrap_err().to_string().contains("no system message"));
        let strange = ChatFormat { go_on: "🦀".to_owned(), ..plain() };
        assert!(Chat::with(&lm, strange).unwrap_err().to_string().contains("does not know"));
        let small = TransformerLm::new(TransformerConfig::original(), Device::Cpu).unwrap();
        let mut chat = Chat::with(&small, plain()).unwrap();
        let message = chat.say(&small, &"long ".repeat(60)).unwrap_err().to_string();
        assert!(message.contains("begin a new one"), "{message}");
    }
}
