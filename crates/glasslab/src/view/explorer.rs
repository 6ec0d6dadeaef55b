//! The attention explorer: one block of HTML in which a learner walks through layers, heads and characters.
//!
//! The block holds everything itself: the weights (12 bits each, so that 4 layers × 4 heads × 128 characters are
//! 264 KB; of more, 8 bits each: 30 layers × 9 heads × 128 tokens are 3 MB), a style, a script and, where scripts don't
//! run, all heads as small images. Frames stand one behind the other in training; then the block has a slider.

use super::bitmap::base64;
use super::colour::{Quantity, Scale, css};
use super::html::json_in_script;
use super::{Attention, Html, paragraph, shown};
use crate::display::escape;
use crate::error::Result;
use crate::numbers::numbers;
use crate::tokenizer::Unit;
use crate::trace::Trace;
use serde_json::{Value, json};
use tch::Tensor;

/// The page's explorer, and what starts every block that has not been started.
const EXPLORER: &str = include_str!("../../page/parts/explorer.js");
const START: &str = include_str!("explorer.js");
const STYLE: &str = include_str!("../../page/explorer.css");

/// What the weights and predictions of a block may take in 12 bits each.
const MOST_BYTES: usize = 272_000;
/// What they may take in 8 bits each, of a single text; more characters than fit are left out, and that is said.
const MOST_BYTES_ROUGH: usize = 3_050_000;
/// Points of the picture that stands where scripts don't run.
const STILL_POINTS: usize = 36_000;
/// Characters of the text that stand in the title.
const TITLE: usize = 100;
/// The likeliest next characters that are kept for each place.
const EXPECTED: i64 = 4;

/// An interactive view of the attention on one text.
#[derive(Debug)]
pub struct Explorer {
    labels: Vec<String>,
    frames: Vec<Frame>,
    notes: Vec<String>,
    title: String,
    shown: (usize, i64),
    /// Whether weights have 8 bits.
    rough: bool,
}

/// The attention and the predictions of one moment.
#[derive(Debug)]
pub(super) struct Frame {
    label: String,
    attention: Attention,
    expected: Vec<Vec<(String, f64)>>,
    /// How long the gradient of what stands for each character is, in a trace of a backward pass: how much the loss hangs on
    /// it.
    blame: Vec<f64>,
    still: Option<String>,
    unit: Unit,
}

impl Frame {
    pub(super) fn new(label: String, trace: &Trace) -> Result<Frame> {
        let attention = trace.attention()?;
        let mut expected = Vec::new();
        // A single head expects nothing.
        if let Ok(step) = trace.step("probabilities") {
            let (top, ids) = step.tensor.f_get(0)?.f_topk(EXPECTED.min(step.tensor.size()[2]), -1, true, true)?; // (T, K)
            let (p, ids) = (numbers(&top)?, numbers(&ids)?);
            let named = |(p, id): (&f64, &f64)| (trace.tokenizer.named(*id), *p);
            let all: Vec<(String, f64)> = p.iter().zip(&ids).map(named).collect();
            expected = all.chunks(top.size()[1].max(1) as usize).map(<[_]>::to_vec).collect();
        }
        let blame = trace
            .step("blocks.0.hook_resid_pre")
            .and_then(|step| step.blame_by_character())
            .ok()
            .flatten()
            .unwrap_or_default();
        Ok(Frame { label, attention, expected, blame, still: None, unit: trace.tokenizer.unit() })
    }
}

impl Frame {
    fn most_blamed(&self) -> Option<(usize, &str)> {
        let (place, _) = self.blame.iter().enumerate().max_by(|one, other| one.1.total_cmp(other.1))?;
        Some((place, self.attention.labels.get(place)?))
    }
}

fn rounded(number: f64) -> f64 {
    format!("{number:.2e}").parse().unwrap_or(number)
}

impl Trace {
    /// The attention of this trace, to walk through. Of a backward pass it also shows on which characters the loss hangs: how
    /// long the gradient of what stands for each is.
    ///
    /// # Errors
    /// If the model has no attention.
    pub fn explore(&self) -> Result<Explorer> {
        let text = self.visible_text();
        let begin: String = text.chars().take(TITLE).collect();
        let title = format!("Attention on “{begin}{}”", if text.chars().count() > TITLE { "…" } else { "" });
        let mut explorer = Explorer::of(vec![Frame::new(String::new(), self)?], title)?;
        explorer.notes.splice(0..0, self.notes.iter().cloned());
        Ok(explorer)
    }
}

impl Explorer {
    pub(super) fn of(mut frames: Vec<Frame>, title: String) -> Result<Explorer> {
        let labels = frames.first().map(|frame| frame.attention.labels.clone()).unwrap_or_default();
        if let Some(last) = frames.last_mut() {
            let heads = last.attention.layers.len() * last.attention.n_heads() as usize;
            last.still = Some(last.attention.still((STILL_POINTS / heads.max(1)).isqrt().clamp(8, 64))?);
        }
        let mut explorer = Explorer { labels, frames, notes: Vec::new(), title, shown: (0, 0), rough: false };
        let all = explorer.labels.len();
        let mut fit = all;
        explorer.rough = explorer.frames.len() == 1 && explorer.bytes(all) > MOST_BYTES;
        let most = if explorer.rough { MOST_BYTES_ROUGH } else { MOST_BYTES };
        while fit > 1 && explorer.bytes(fit) > most {
            fit -= 1;
        }
        if fit < all {
            let many = explorer.frames.first().map_or("characters", |frame| frame.unit.many);
            explorer
                .notes
                .push(format!("the block shows the first {fit} of {all} {many}: more would make the notebook heavy"));
            explorer.labels.truncate(fit);
        }
        Ok(explorer)
    }

    /// The layer and head that are open at first.
    pub fn at(mut self, layer: usize, head: i64) -> Explorer {
        self.shown = (layer, head);
        self
    }

    fn layers(&self) -> usize {
        self.frames.first().map_or(0, |frame| frame.attention.layers.len())
    }

    fn heads(&self) -> i64 {
        self.frames.first().map_or(0, |frame| frame.attention.n_heads())
    }

    /// What weights and predictions take for so many characters.
    fn bytes(&self, characters: usize) -> usize {
        let cells = characters * (characters + 1) / 2 * self.layers() * self.heads() as usize;
        let expected = characters * EXPECTED as usize * 12 + characters * 8;
        // 12 or 8 bits a weight, and four letters for three bytes.
        self.frames.len() * (if self.rough { (cells * 4).div_ceil(3) } else { cells * 2 } + expected)
    }

    /// The block.
    ///
    /// # Errors
    /// What libtorch fails with.
    pub fn html(&self) -> Result<Html> {
        let count = self.labels.len();
        let causal = self.is_causal()?;
        let mut frames = Vec::new();
        for frame in &self.frames {
            let expected: Vec<Vec<Value>> = frame
                .expected
                .iter()
                .take(count)
                .map(|row| row.iter().map(|(name, p)| json!([name, (p * 1000.0).round() / 1000.0])).collect())
                .collect();
            // Three digits; what is no number is none in JSON.
            let blame: Vec<Value> = frame.blame.iter().take(count).map(|length| json!(rounded(*length))).collect();
            let weights = self.pack(frame, causal)?;
            frames.push(json!({ "label": frame.label, "weights": weights, "next": expected, "blame": blame }));
        }
        let scale = Scale::new(Quantity::Weights, &[]);
        let palette: Vec<String> = (0..=64).map(|step| css(scale.at(f64::from(step) / 64.0))).collect();
        let (layer, head) = self.shown;
        let data = json!({
            "characters": self.labels, "layers": self.layers(), "heads": self.heads(), "causal": causal,
            "bits": if self.rough { 8 } else { 12 },
            "layer": layer.min(self.layers() - 1), "head": head.clamp(0, self.heads() - 1),
            "frames": frames, "palette": palette, "unit": self.frames.first().map(|frame| frame.unit.one),
        });
        let notes: String = self.notes.iter().map(|note| paragraph(&format!("Note: {note}."))).collect();
        let still = self.frames.last().and_then(|frame| frame.still.clone()).unwrap_or_default();
        let hint = paragraph(
            "All heads at once: rows look at columns, the brighter the more. Run the cell, or trust the notebook, to walk through them.",
        );
        let html = format!(
            "<div class=\"glasslab-explorer\"><style>{STYLE}</style><div style=\"font-weight:600;overflow-wrap:anywhere\">{}</div>{notes}\
             <div class=\"g-still\">{still}{hint}</div><script type=\"application/json\">{}</script>\
             <script>(() => {{\n{}{START}}})();\n</script></div>",
            escape(&self.title),
            json_in_script(&data.to_string()),
            EXPLORER.replacen("export ", "", 1)
        );
        let mut words = self.frames.last().map(|frame| frame.attention.strongest()).transpose()?.unwrap_or_default();
        if let Some((place, label)) = self.frames.last().and_then(|frame| frame.most_blamed()) {
            words.push_str(&format!(" The loss hangs most on “{label}” at {place}."));
        }
        Ok(Html {
            html,
            alt: format!(
                "{}: an interactive view of {} layers with {} heads. {words}",
                self.title,
                self.layers(),
                self.heads()
            ),
        })
    }

    /// Whether no character looks at a later one; a model whose mask was cut does.
    fn is_causal(&self) -> Result<bool> {
        for layer in self.frames.iter().flat_map(|frame| &frame.attention.layers) {
            // A NaN weight in the future is not 0 either.
            if numbers(&layer.f_triu(1)?)?.iter().any(|weight| *weight != 0.0) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn pack(&self, frame: &Frame, causal: bool) -> Result<String> {
        packed(&frame.attention, self.labels.len(), self.heads(), causal, self.rough)
    }
}

/// All weights of so many characters, layer by layer and head by head, 12 bits each: 0 to 4000 is 0 to 1, 4095 is no number.
/// Or, `rough`, 8 bits each, of the root: 0 to 254 is 0 to 1, 255 is no number. Where attention is causal, the future is left out.
pub(super) fn packed(attention: &Attention, count: usize, heads: i64, causal: bool, rough: bool) -> Result<String> {
    let mut values: Vec<u16> = Vec::new();
    for layer in &attention.layers {
        for head in 0..heads {
            let weights = head_or_nothing(layer, head)?;
            let all = weights.size()[1] as usize;
            let weights = numbers(&weights)?;
            for row in 0..count {
                for column in 0..if causal { row + 1 } else { count } {
                    let weight = weights[row * all + column];
                    let share = weight.clamp(0.0, 1.0);
                    let (level, odd) = if rough { (share.sqrt() * 254.0, 255) } else { (share * 4000.0, 4095) };
                    values.push(if weight.is_finite() { level.round() as u16 } else { odd });
                }
            }
        }
    }
    if rough {
        return Ok(base64(&values.iter().map(|&level| level as u8).collect::<Vec<u8>>()));
    }
    let mut bytes = Vec::with_capacity(values.len() * 3 / 2 + 3);
    for two in values.chunks(2) {
        let (a, b) = (two[0], two.get(1).copied().unwrap_or(0));
        bytes.extend([(a >> 4) as u8, ((a & 15) << 4 | b >> 8) as u8, (b & 255) as u8]);
    }
    Ok(base64(&bytes))
}

fn head_or_nothing(layer: &Tensor, head: i64) -> Result<Tensor> {
    match head < layer.size()[0] {
        true => Ok(layer.f_get(head)?),
        false => Ok(layer.f_get(0)?.f_zeros_like()?),
    }
}

shown!(Explorer, html?);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TransformerConfig;
    use crate::trace::Traceable;
    use crate::trace::tests::awake;

    fn data(html: &str) -> Value {
        let start = html.find("application/json\">").unwrap() + "application/json\">".len();
        let end = start + html[start..].find("</script>").unwrap();
        serde_json::from_str(&html[start..end]).unwrap()
    }

    #[test]
    fn four_layers_of_four_heads_over_128_characters_take_less_than_400_kb() {
        let config = TransformerConfig { n_layers: 4, context_len: 128, ..TransformerConfig::small() };
        let trace = awake(config).trace(&"Once upon a time ".repeat(8)).unwrap();
        let html = trace.explore().unwrap().html().unwrap().html;
        assert!(html.len() <= 400_000, "{}", html.len());
        assert_eq!(data(&html)["characters"].as_array().unwrap().len(), 128);
    }

    #[test]
    fn more_than_fits_is_left_out_and_said() {
        let config = TransformerConfig { n_layers: 8, context_len: 512, ..TransformerConfig::small() };
        let trace = awake(config).trace(&"Once upon a time ".repeat(32)).unwrap();
        let html = trace.explore().unwrap().html().unwrap().html;
        assert!(html.len() <= 3_200_000 && html.contains("of 512 characters"), "{}", html.len());
    }

    #[test]
    fn thirty_layers_of_nine_heads_over_128_characters_are_all_there_in_3_mb() {
        let config = TransformerConfig {
            n_layers: 30,
            n_heads: 9,
            n_kv_heads: 3,
            context_len: 128,
            ..TransformerConfig::small()
        };
        let trace = awake(config).trace(&"Once upon a time ".repeat(8)).unwrap();
        let block = trace.explore().unwrap().html().unwrap();
        let (data, html) = (data(&block.html), block.html);
        assert!(html.len() <= 3_150_000 && html.matches("<img").count() == 1, "{}", html.len());
        assert!(block.alt.len() < 2_000 && block.alt.contains("that look hardest"), "{}", block.alt);
        assert_eq!((data["characters"].as_array().unwrap().len(), &data["bits"]), (128, &json!(8)));
        // The last bytes are the last head's last row.
        let packed = data["frames"][0]["weights"].as_str().unwrap().as_bytes();
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let six = |letter: &u8| letters.iter().position(|other| other == letter).unwrap_or(0) as u32;
        let bytes = packed.chunks(4).flat_map(|four| {
            let bits = four.iter().fold(0, |bits, letter| bits << 6 | six(letter));
            [(bits >> 16) as u8, (bits >> 8) as u8, bits as u8]
        });
        let bytes: Vec<u8> = bytes.take(270 * 128 * 129 / 2).collect();
        let weights = &trace.step("block.29.attn.weights").unwrap().tensor;
        for (column, &level) in bytes[bytes.len() - 128..].iter().enumerate() {
            let (expected, got) =
                (weights.double_value(&[0, 8, 127, column as i64]), (f64::from(level) / 254.0).powi(2));
            assert!(
                (got - expected).abs() <= 2.0 * expected.sqrt() / 508.0 + 1e-5,
                "{column}: {got} beside {expected}"
            );
        }
    }

    #[test]
    fn the_packed_weights_are_the_models() {
        let trace = awake(TransformerConfig::small()).trace("Once upon a").unwrap();
        let html = trace.explore().unwrap().html().unwrap().html;
        let packed = data(&html)["frames"][0]["weights"].as_str().unwrap().to_owned();
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let sixes: Vec<u32> = packed
            .bytes()
            .filter_map(|byte| letters.iter().position(|letter| *letter == byte))
            .map(|six| six as u32)
            .collect();
        // Two letters are one weight.
        let mut got = sixes.chunks_exact(2).map(|two| f64::from(two[0] << 6 | two[1]) / 4000.0);
        for layer in 0..3 {
            let weights = &trace.step(&format!("block.{layer}.attn.weights")).unwrap().tensor;
            for head in 0..4 {
                for row in 0..11 {
                    for column in 0..=row {
                        let expected = weights.double_value(&[0, head, row, column]);
                        assert!((got.next().unwrap() - expected).abs() < 2e-4);
                    }
                }
            }
        }
    }

    #[test]
    fn a_backward_pass_shows_on_which_characters_the_loss_hangs() {
        let model = awake(TransformerConfig::original());
        let trace = model.backward("Once upon").unwrap();
        let html = trace.explore().unwrap().html().unwrap();
        let blame: Vec<f64> = serde_json::from_value(data(&html.html)["frames"][0]["blame"].clone()).unwrap();
        let gradient = &trace.step("positioned").unwrap().gradient().unwrap().tensor;
        for (place, length) in blame.iter().enumerate() {
            let expected = gradient.get(0).get(place as i64).norm().double_value(&[]);
            assert!((length - expected).abs() <= 0.006 * expected, "{place}: {length} beside {expected}");
        }
        assert!(blame[8] == 0.0 && html.alt.contains("The loss hangs most on"), "{}", html.alt);
        let forward = model.trace("Once upon").unwrap().explore().unwrap().html().unwrap();
        assert!(data(&forward.html)["frames"][0]["blame"].as_array().unwrap().is_empty());
        assert!(!forward.alt.contains("hangs"));
    }

    #[test]
    fn weights_that_are_no_numbers_are_kept_as_such() {
        let model = awake(TransformerConfig::original());
        let guard = tch::no_grad_guard();
        let _ = model.embedding.shallow_clone().fill_(f64::NAN);
        drop(guard);
        let html = model.trace("Once").unwrap().explore().unwrap().html().unwrap().html;
        let data = data(&html);
        // 4095 is twelve ones: each letter is a slash.
        assert!(data["frames"][0]["weights"].as_str().unwrap().starts_with("////////"), "{data}");
    }

    #[test]
    fn a_story_with_a_script_in_it_stays_text() {
        let trace = awake(TransformerConfig::original()).trace("</script><script>alert('x')</script>").unwrap();
        let html = trace.explore().unwrap().html().unwrap().html;
        assert_eq!(html.matches("<script").count(), 2, "the data and the explorer's own");
        assert_eq!(data(&html)["characters"].as_array().unwrap()[0], "<");
    }

    #[test]
    fn one_character_is_enough_and_nothing_comes_from_elsewhere() {
        let html = awake(TransformerConfig::original()).trace("O").unwrap().explore().unwrap().html().unwrap().html;
        assert!(!html.contains("http:") && !html.contains("https:") && !html.contains("//cdn"));
        assert!(html.contains("g-still") && html.contains("<img"), "a picture for where scripts don't run");
    }
}
