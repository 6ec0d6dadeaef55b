//! A text, coloured by how much each character surprised a model.
//!
//! ```text
//! bits = −log₂ p(the character that came)
//! ```
//! 0 bits: the model was sure; 1 bit: it would have tossed a coin; 8 bits: as good as guessing among 256 characters.
//! The mean is what a compressor with this model would need for a character (Shannon 1951).

use super::bars::percent;
use super::colour::{Quantity, Scale, css, ink_on};
use super::{Html, paragraph, short, shown};
use crate::display::escape;
use crate::error::{Error, Result};
use crate::model::LanguageModel;
use crate::stopping::Listening;
use crate::tokenizer::{AnyTokenizer, Pieces, Tokenizer, Unit, visible};
use std::fmt::Write;
use std::ops::Range;
use tch::{Kind, Tensor};

/// A character, or token, and what the model thought of it.
#[derive(Debug, Clone, PartialEq)]
pub struct SurprisingPiece {
    /// It, as a table shows it.
    pub label: String,
    /// It, as a text shows it.
    shown: String,
    /// How many characters begin in it.
    chars: usize,
    /// How surprising it was; `None` for the first one, which nothing stands before.
    pub bits: Option<f64>,
    /// What the model held likeliest in its place, with probabilities.
    pub alternatives: Vec<(String, f64)>,
}

/// A text and how surprising each of its characters, or tokens, is.
#[derive(Debug, Clone, PartialEq)]
pub struct Surprise {
    /// They, in order.
    pub pieces: Vec<SurprisingPiece>,
    unit: Unit,
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
        let tokenizer = model.tokenizer();
        let unit = tokenizer.unit();
        let cut = tokenizer.cut(text)?;
        let mut notes: Vec<String> = cut.lost().into_iter().collect();
        let Pieces { mut ids, .. } = cut;
        let Some(&first) = ids.first() else {
            return Err(Error::Data(format!("give a text with a character that the model knows, got {text:?}")));
        };
        if ids.len() > MEASURED {
            notes.push(format!("the first {MEASURED} of {} {} were measured", ids.len(), unit.many));
            ids.truncate(MEASURED);
        }
        let mut pieces = vec![SurprisingPiece::new(&tokenizer, first, None, Vec::new())?];
        let length = model.max_len().map_or(ROW, |length| ROW.min(length as usize));
        let overlap = (model.context_len() as usize - 1).min(length / 2);
        let mut listening = Listening::new("a text was measured: measure it again, or a shorter one");
        while pieces.len() < ids.len() {
            listening.go_on()?;
            let start = (pieces.len() - 1).saturating_sub(overlap);
            let end = ids.len().min(start + length + 1);
            let input = Tensor::f_from_slice(&ids[start..end - 1])?.f_unsqueeze(0)?.f_to_device(model.device())?;
            let known = (pieces.len() - 1 - start) as i64;
            let new = end as i64 - 1 - start as i64 - known;
            let log_p = model.logits(&input)?.f_get(0)?.f_narrow(0, known, new)?.f_log_softmax(-1, Kind::Double)?; // (new, V)
            let (top, top_ids) = log_p.f_topk(ALTERNATIVES.min(model.n_vocab()), -1, true, true)?;
            for row in 0..new {
                let id = ids[pieces.len()];
                let bits = -log_p.f_double_value(&[row, id])? / std::f64::consts::LN_2;
                let alternatives = (0..top.size()[1]).map(|place| {
                    let label = tokenizer.label(top_ids.f_int64_value(&[row, place])?)?;
                    Ok((label, top.f_double_value(&[row, place])?.exp()))
                });
                let alternatives = alternatives.collect::<Result<_>>()?;
                pieces.push(SurprisingPiece::new(&tokenizer, id, Some(bits), alternatives)?);
            }
        }
        Ok(Surprise { pieces, unit, notes })
    }

    /// The mean over all characters but the first, or those of the first token.
    pub fn bits_per_char(&self) -> Option<f64> {
        let measured = || self.pieces.iter().filter_map(|piece| Some((piece.bits?, piece.chars)));
        let (bits, chars) = measured().fold((0.0, 0), |(bits, chars), (more, others)| (bits + more, chars + others));
        (chars > 0).then(|| bits / chars as f64)
    }

    /// The text with a colour behind each character, of a longer one the first 2,000, and the most surprising ones as a table.
    pub fn html(&self) -> Html {
        let scale = Scale::new(Quantity::Bits, &[]);
        let mut html = String::from("<div>");
        let Unit { one, .. } = self.unit;
        let mean = self.bits_per_char().map_or(format!("one {one}: nothing to predict"), |bits| {
            format!("{bits:.2} bits per character on average")
        });
        html.push_str(&paragraph(&format!(
            "Surprise: {mean}. Dark: unexpected. Point at a {one} for its alternatives."
        )));
        self.all_notes().iter().for_each(|note| html.push_str(&paragraph(&format!("Note: {note}."))));
        // A <bdi> is a cell of its own in an order from left to right, whatever way its script is written.
        html.push_str("<p dir=\"ltr\" style=\"font:15px/1.9 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere;margin:4px 0\">");
        for piece in self.pieces.iter().take(SHOWN) {
            let shown = escape(&piece.shown);
            let _ = match piece.bits {
                None => write!(html, "<bdi title=\"the first {one}\">{shown}</bdi>"),
                Some(bits) => {
                    let colour = scale.colour(bits);
                    let (background, ink, title) = (css(colour), ink_on(colour), escape(&piece.words()));
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
        if self.pieces.len() > SHOWN {
            let (all, many) = (self.pieces.len(), self.unit.many);
            notes
                .push(format!("the first {SHOWN} {many} are shown in colour; the mean and the table are of all {all}"));
        }
        notes
    }

    /// The most surprising characters with their places, the most surprising first.
    pub fn most_surprising(&self, count: usize) -> Vec<(usize, &SurprisingPiece)> {
        let mut all: Vec<(usize, &SurprisingPiece)> =
            self.pieces.iter().enumerate().filter(|(_, piece)| piece.bits.is_some()).collect();
        all.sort_by(|a, b| b.1.bits.unwrap_or(0.0).total_cmp(&a.1.bits.unwrap_or(0.0)));
        all.truncate(count);
        all
    }

    fn before(&self, place: usize) -> String {
        let start = place.saturating_sub(12);
        let text = self.labels(start..place);
        if start > 0 { format!("…{text}") } else { text }
    }

    fn labels(&self, places: Range<usize>) -> String {
        self.pieces[places].iter().map(|piece| piece.label.as_str()).collect()
    }

    fn table(&self) -> String {
        let mut rows = String::new();
        for (place, piece) in self.most_surprising(MOST_SURPRISING) {
            let _ = write!(
                rows,
                "<tr><td style=\"padding:1px 10px 1px 0;text-align:right\"><code>{}</code></td><td style=\"padding:1px 10px\">\
                 <code>{}</code></td><td style=\"padding:1px 10px;text-align:right\">{}</td><td style=\"padding:1px 10px;text-align:left\">{}</td></tr>",
                escape(&self.before(place)),
                escape(&piece.label),
                short(piece.bits.unwrap_or(f64::NAN), 0.0),
                escape(&piece.expected())
            );
        }
        let head = ["after", "came", "bits", "expected"]
            .map(|name| format!("<th scope=\"col\" style=\"padding:1px 10px\">{name}</th>"));
        format!(
            "<details><summary>the most surprising {}</summary><table style=\"table-layout:auto;border-collapse:collapse;font-size:13px\">\
             <tr>{}</tr>{rows}</table></details>",
            self.unit.many,
            head.concat()
        )
    }

    fn alt(&self) -> String {
        let text = self.labels(0..self.pieces.len().min(60));
        let mean = self.bits_per_char().map_or(String::new(), |bits| format!(", {bits:.2} bits per character"));
        let told = self
            .most_surprising(MOST_SURPRISING)
            .into_iter()
            .map(|(place, piece)| format!("\n  after “{}” {}", self.before(place), piece.words()));
        let notes: String = self.all_notes().iter().map(|note| format!("; {note}")).collect();
        let many = self.unit.many;
        format!("Surprise over “{text}”{mean}{notes}; the most surprising {many}:{}", told.collect::<String>())
    }
}

impl SurprisingPiece {
    fn new(
        tokenizer: &AnyTokenizer,
        id: i64,
        bits: Option<f64>,
        alternatives: Vec<(String, f64)>,
    ) -> Result<SurprisingPiece> {
        let shown = tokenizer.piece(id)?.utf8_chunks().fold(String::new(), |shown, part| {
            let shown = part.valid().chars().fold(shown, |shown, character| match character {
                ' ' => shown + " ",
                '\n' => shown + "⏎\n",
                other => shown + &visible(other),
            });
            part.invalid().iter().fold(shown, |shown, byte| shown + &format!("\\x{byte:02x}"))
        });
        Ok(SurprisingPiece { label: tokenizer.label(id)?, shown, chars: tokenizer.width(id)?, bits, alternatives })
    }

    fn expected(&self) -> String {
        let told = self.alternatives.iter().map(|(other, p)| format!("“{other}” {}", percent(*p)));
        told.collect::<Vec<_>>().join(", ")
    }

    fn words(&self) -> String {
        format!("“{}”: {} bits; expected {}", self.label, short(self.bits.unwrap_or(f64::NAN), 0.0), self.expected())
    }
}

shown!(Surprise, html);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Stories, Tokens};
    use crate::evaluate::evaluate;
    use crate::model::{NGram, TransformerConfig};
    use crate::tokenizer::CharTokenizer;
    use crate::trace::tests::awake;

    #[test]
    fn the_mean_is_the_evaluations_bits_per_character_also_past_the_context() {
        let text = "The cat sat on the mat, and the dog sat on the log. ".repeat(12);
        let tokens = Tokens::encode(&Stories::parse(&text).unwrap(), &CharTokenizer::default()).unwrap();
        let model = awake(TransformerConfig::original());
        let surprise = Surprise::new(&model, text.trim()).unwrap();
        let evaluation = evaluate(&model, &tokens).unwrap();
        assert_eq!(surprise.pieces.len(), text.trim().len());
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
        assert_eq!((long.pieces.len(), long.notes.len()), (MEASURED, 1));
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
