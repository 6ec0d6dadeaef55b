//! A text, coloured by how much each character surprised a model.
//!
//! ```text
//! bits = −log₂ p(the character that came)
//! ```
//! 0 bits: the model was sure; 1 bit: it would have tossed a coin; 8 bits: as good as guessing among 256 characters.
//! The mean is what a compressor with this model would need for a character (Shannon 1951).

use super::bars::percent;
use super::colour::{Quantity, Scale, css, ink_on};
use super::{Html, paragraph, short};
use crate::display::escape;
use crate::error::{Error, Result};
use crate::model::LanguageModel;
use crate::stopping::Listening;
use crate::tokenizer::{CharTokenizer, visible};
use std::fmt::Write;
use tch::{Kind, Tensor};

/// A character, and what the model thought of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SurprisingCharacter {
    /// The character.
    pub character: char,
    /// How surprising it was; `None` for the first one, which nothing stands before.
    pub bits: Option<f64>,
    /// What the model held likeliest in its place, with probabilities.
    pub alternatives: Vec<(char, f64)>,
}

/// A text and how surprising each of its characters is.
#[derive(Debug, Clone, PartialEq)]
pub struct Surprise {
    /// The characters, in order.
    pub characters: Vec<SurprisingCharacter>,
    /// What was left out.
    pub notes: Vec<String>,
}

/// Characters in one pass, for a model that can take any number.
const ROW: usize = 256;
/// How many alternatives are told for each character.
const ALTERNATIVES: i64 = 3;
/// Characters of a text that are measured, at most, and those that are shown in colour: 150 bytes each in a notebook.
const MEASURED: usize = 50_000;
const SHOWN: usize = 2_000;
/// Rows of the table below the text.
const MOST_SURPRISING: usize = 8;

impl Surprise {
    /// Measures every character of a text, the first 50,000 of a longer one. A text longer than the model's context is read in
    /// overlapping pieces.
    ///
    /// # Errors
    /// If no character of the text is in the vocabulary, or the stop button is pressed.
    pub fn new(model: &impl LanguageModel, text: &str) -> Result<Surprise> {
        let _guard = tch::no_grad_guard();
        let tokenizer = CharTokenizer { n_vocab: model.n_vocab() };
        let encoded = tokenizer.encode_all(text);
        let mut ids = encoded.ids;
        let Some(&first) = ids.first() else {
            return Err(Error::Data(format!("give a text with a character that the model knows, got {text:?}")));
        };
        let mut notes = Vec::new();
        if !encoded.dropped.is_empty() {
            let dropped: String = encoded.dropped.iter().take(20).collect();
            let count = encoded.dropped.len();
            notes.push(format!("{count} characters are outside the vocabulary and were left out: {dropped:?}"));
        }
        if ids.len() > MEASURED {
            notes.push(format!("the first {MEASURED} of {} characters were measured", ids.len()));
            ids.truncate(MEASURED);
        }
        let none = SurprisingCharacter { character: tokenizer.character(first)?, bits: None, alternatives: Vec::new() };
        let mut characters = vec![none];
        let length = model.max_len().map_or(ROW, |length| ROW.min(length as usize));
        let overlap = (model.context_len() as usize - 1).min(length / 2);
        let mut listening = Listening::new("a text was measured: measure it again, or a shorter one");
        while characters.len() < ids.len() {
            listening.go_on()?;
            let start = (characters.len() - 1).saturating_sub(overlap);
            let end = ids.len().min(start + length + 1);
            let input = Tensor::f_from_slice(&ids[start..end - 1])?.f_unsqueeze(0)?.f_to_device(model.device())?;
            let known = (characters.len() - 1 - start) as i64;
            let new = end as i64 - 1 - start as i64 - known;
            let log_p = model.logits(&input)?.f_get(0)?.f_narrow(0, known, new)?.f_log_softmax(-1, Kind::Double)?; // (new, V)
            let (top, top_ids) = log_p.f_topk(ALTERNATIVES.min(model.n_vocab()), -1, true, true)?;
            for row in 0..new {
                let id = ids[characters.len()];
                let bits = -log_p.f_double_value(&[row, id])? / std::f64::consts::LN_2;
                let alternatives = (0..top.size()[1]).map(|place| {
                    let character = tokenizer.character(top_ids.f_int64_value(&[row, place])?)?;
                    Ok((character, top.f_double_value(&[row, place])?.exp()))
                });
                let alternatives = alternatives.collect::<Result<_>>()?;
                characters.push(SurprisingCharacter {
                    character: tokenizer.character(id)?,
                    bits: Some(bits),
                    alternatives,
                });
            }
        }
        Ok(Surprise { characters, notes })
    }

    /// The mean over all characters but the first.
    pub fn bits_per_char(&self) -> Option<f64> {
        let bits: Vec<f64> = self.characters.iter().filter_map(|character| character.bits).collect();
        (!bits.is_empty()).then(|| bits.iter().sum::<f64>() / bits.len() as f64)
    }

    /// The text with a colour behind each character, of a longer one the first 2,000, and the most surprising ones as a table.
    pub fn html(&self) -> Html {
        let scale = Scale::new(Quantity::Bits, &[]);
        let mut html = String::from("<div>");
        let mean = self.bits_per_char().map_or("one character: nothing to predict".to_owned(), |bits| {
            format!("{bits:.2} bits per character on average")
        });
        html.push_str(&paragraph(&format!(
            "Surprise: {mean}. Dark: unexpected. Point at a character for its alternatives."
        )));
        self.all_notes().iter().for_each(|note| html.push_str(&paragraph(&format!("Note: {note}."))));
        // A <bdi> is a cell of its own in an order from left to right, whatever way its script is written.
        html.push_str("<p dir=\"ltr\" style=\"font:15px/1.9 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere;margin:4px 0\">");
        for character in self.characters.iter().take(SHOWN) {
            let shown = match character.character {
                ' ' => " ".to_owned(),
                '\n' => "⏎\n".to_owned(),
                other => escape(&visible(other)),
            };
            let _ = match character.bits {
                None => write!(html, "<bdi title=\"the first character\">{shown}</bdi>"),
                Some(bits) => {
                    let colour = scale.colour(bits);
                    let (background, ink, title) = (css(colour), ink_on(colour), escape(&character.words()));
                    write!(html, "<bdi title=\"{title}\" style=\"background:{background};color:{ink}\">{shown}</bdi>")
                }
            };
        }
        html.push_str("</p><p style=\"margin:4px 0;font-size:13px\">bits: ");
        for bits in [0.0, 1.0, 2.0, 4.0, 6.0, 8.0] {
            let colour = scale.colour(bits);
            let _ = write!(
                html,
                "<span style=\"background:{};color:{};padding:1px 8px\">{bits}</span>",
                css(colour),
                ink_on(colour)
            );
        }
        html.push_str("</p>");
        html.push_str(&self.table());
        html.push_str("</div>");
        Html { html, alt: self.alt() }
    }

    /// What was left out, also of the picture.
    fn all_notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        if self.characters.len() > SHOWN {
            let all = self.characters.len();
            notes.push(format!(
                "the first {SHOWN} characters are shown in colour; the mean and the table are of all {all}"
            ));
        }
        notes
    }

    /// Shows it in the notebook; elsewhere prints the most surprising characters.
    pub fn show(&self) {
        self.html().show();
    }

    /// Called by the kernel on the value of a cell.
    pub fn evcxr_display(&self) {
        self.html().evcxr_display();
    }

    /// The most surprising characters with their places, the most surprising first.
    pub fn most_surprising(&self, count: usize) -> Vec<(usize, &SurprisingCharacter)> {
        let mut all: Vec<(usize, &SurprisingCharacter)> =
            self.characters.iter().enumerate().filter(|(_, character)| character.bits.is_some()).collect();
        all.sort_by(|a, b| b.1.bits.unwrap_or(0.0).total_cmp(&a.1.bits.unwrap_or(0.0)));
        all.truncate(count);
        all
    }

    fn before(&self, place: usize) -> String {
        let start = place.saturating_sub(12);
        let text =
            self.characters[start..place].iter().map(|character| visible(character.character)).collect::<String>();
        if start > 0 { format!("…{text}") } else { text }
    }

    fn table(&self) -> String {
        let mut rows = String::new();
        for (place, character) in self.most_surprising(MOST_SURPRISING) {
            let told = character.alternatives.iter().map(|(other, p)| format!("“{}” {}", visible(*other), percent(*p)));
            let _ = write!(
                rows,
                "<tr><td style=\"padding:1px 10px 1px 0;text-align:right\"><code>{}</code></td><td style=\"padding:1px 10px\">\
                 <code>{}</code></td><td style=\"padding:1px 10px;text-align:right\">{}</td><td style=\"padding:1px 10px;text-align:left\">{}</td></tr>",
                escape(&self.before(place)),
                escape(&visible(character.character)),
                short(character.bits.unwrap_or(f64::NAN), 0.0),
                escape(&told.collect::<Vec<_>>().join(", "))
            );
        }
        let head = ["after", "came", "bits", "expected"]
            .map(|name| format!("<th scope=\"col\" style=\"padding:1px 10px\">{name}</th>"));
        format!(
            "<details><summary>the most surprising characters</summary><table style=\"table-layout:auto;border-collapse:collapse;font-size:13px\">\
             <tr>{}</tr>{rows}</table></details>",
            head.concat()
        )
    }

    fn alt(&self) -> String {
        let text: String = self.characters.iter().take(60).map(|character| visible(character.character)).collect();
        let mean = self.bits_per_char().map_or(String::new(), |bits| format!(", {bits:.2} bits per character"));
        let told = self
            .most_surprising(MOST_SURPRISING)
            .into_iter()
            .map(|(place, character)| format!("\n  after “{}” {}", self.before(place), character.words()));
        let notes: String = self.all_notes().iter().map(|note| format!("; {note}")).collect();
        format!("Surprise over “{text}”{mean}{notes}; the most surprising characters:{}", told.collect::<String>())
    }
}

impl SurprisingCharacter {
    fn words(&self) -> String {
        let told: Vec<String> =
            self.alternatives.iter().map(|(other, p)| format!("“{}” {}", visible(*other), percent(*p))).collect();
        format!(
            "“{}”: {} bits; expected {}",
            visible(self.character),
            short(self.bits.unwrap_or(f64::NAN), 0.0),
            told.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Stories, Tokens};
    use crate::evaluate::evaluate;
    use crate::model::{NGram, TransformerConfig};
    use crate::trace::tests::awake;

    #[test]
    fn the_mean_is_the_evaluations_bits_per_character_also_past_the_context() {
        let text = "The cat sat on the mat, and the dog sat on the log. ".repeat(12);
        let tokens = Tokens::encode(&Stories::parse(&text).unwrap(), &CharTokenizer::default()).unwrap();
        let model = awake(TransformerConfig::original());
        let surprise = Surprise::new(&model, text.trim()).unwrap();
        let evaluation = evaluate(&model, &tokens).unwrap();
        assert_eq!(surprise.characters.len(), text.trim().len());
        assert!((surprise.bits_per_char().unwrap() - evaluation.bits_per_char()).abs() < 1e-4);
        let counted = NGram::count(&tokens, 3, 256).unwrap();
        let bits = Surprise::new(&counted, text.trim()).unwrap().bits_per_char().unwrap();
        assert!((bits - evaluate(&counted, &tokens).unwrap().bits_per_char()).abs() < 1e-4);
    }

    #[test]
    fn a_story_with_a_script_in_it_stays_text() {
        let surprise = Surprise::new(&awake(TransformerConfig::original()), "<script>alert(\"x\")</script>\n").unwrap();
        let html = surprise.html().html;
        assert!(!html.contains("<script") && html.contains("&lt;"));
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let counted = |length: usize| {
            let tokens = Tokens::encode(&Stories::parse("abcabc").unwrap(), &CharTokenizer::default()).unwrap();
            Surprise::new(&NGram::count(&tokens, 2, 256).unwrap(), &"abc".repeat(length / 3)).unwrap()
        };
        let long = counted(MEASURED + 30);
        assert_eq!((long.characters.len(), long.notes.len()), (MEASURED, 1));
        let html = long.html();
        assert_eq!(html.html.matches("<bdi").count(), SHOWN);
        assert!(html.html.len() < 500_000, "{} bytes", html.html.len());
        for said in
            ["the first 50000 of 50028 characters were measured", "the first 2000 characters are shown in colour"]
        {
            assert!(html.html.contains(said) && html.alt.contains(said), "{}", html.alt);
        }
        let short = counted(SHOWN - 2);
        assert!(short.notes.is_empty() && !short.html().html.contains("Note"));
    }

    #[test]
    fn each_character_is_a_cell_whatever_its_script() {
        let model = awake(TransformerConfig { n_vocab: 2000, ..TransformerConfig::original() });
        let surprise = Surprise::new(&model, "של e\u{301}").unwrap();
        let html = surprise.html().html;
        let text = html.split("<p dir=\"ltr\"").nth(1).unwrap().split("</p>").next().unwrap();
        let cells: Vec<&str> = text.split("</bdi>").map(|cell| cell.rsplit('>').next().unwrap()).collect();
        assert_eq!(cells, ["ש", "ל", " ", "e", "◌\u{301}", ""]);
    }

    #[test]
    fn odd_texts_are_handled() {
        let model = awake(TransformerConfig::original());
        assert!(Surprise::new(&model, "").is_err() && Surprise::new(&model, "日本").is_err());
        let one = Surprise::new(&model, "O").unwrap();
        assert!(one.bits_per_char().is_none() && one.html().html.contains("nothing to predict"));
        assert_eq!(Surprise::new(&model, "O日n").unwrap().notes.len(), 1);
    }
}
