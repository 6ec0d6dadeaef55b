//! Writing: predict the next character, draw one, append it, and again.
//!
//! A model sees at most `context_len` characters. When a text has grown longer, the oldest quarter of the context
//! is forgotten at once and the rest is read anew: so the window slides, and between two slides each character
//! costs one step through the KV cache ([`crate::model::cache`]).

mod sampling;

pub use sampling::Sampling;

use crate::error::Result;
use crate::memory::keep_freed;
use crate::model::LanguageModel;
use crate::model::cache::Cache;
use crate::rng::Rng;
use crate::stopping::{Listening, should_stop};
use crate::tokenizer::Tokenizer;
use crate::waiting::Waiting;
use tch::{Device, Tensor};

/// Continues a prompt; returns the prompt and what was written: `sampling.chars` characters, also where a token is
/// several.
///
/// Characters of the prompt that the model doesn't know are left out, which is said on standard error. Without
/// any left, the model is given a newline. A prompt may be longer than the context. A model of others that ends its text
/// ([`AnyTokenizer::ends`](crate::tokenizer::AnyTokenizer::ends)) has ended it. A notebook's stop button ends the writing, too;
/// what was written is returned.
///
/// # Errors
/// If a setting is out of range, or the model's scores are no numbers.
pub fn generate(
    model: &impl LanguageModel,
    tokenizer: &impl Tokenizer,
    prompt: &str,
    sampling: &Sampling,
) -> Result<String> {
    generate_with(model, tokenizer, prompt, sampling, |_| ())
}

/// As [`generate`], giving each character as soon as it is written:
/// `|character| print!("{}", printable(&character.to_string()))`.
///
/// # Errors
/// As [`generate`].
pub fn generate_with(
    model: &impl LanguageModel,
    tokenizer: &impl Tokenizer,
    prompt: &str,
    sampling: &Sampling,
    mut each: impl FnMut(char),
) -> Result<String> {
    Ok(write(model, tokenizer, &[prompt], sampling, model.tokenizer().ends(), &mut each)?.remove(0).text)
}

/// What is written behind a prompt up to an id that ends it, or as [`Sampling`] says.
pub(crate) fn write_until(
    model: &impl LanguageModel,
    prompt: &str,
    sampling: &Sampling,
    ends: &[u32],
    mut each: impl FnMut(char),
) -> Result<String> {
    let row = write(model, &model.tokenizer(), &[prompt], sampling, ends, &mut each)?.remove(0);
    Ok(row.text[row.start..].to_owned())
}

/// Continues many prompts at once, which costs little more than one. The text of the prompt at place i is the one
/// that [`generate`] writes with the seed `sampling.seed` + i.
///
/// # Errors
/// As [`generate`].
pub fn generate_batch(
    model: &impl LanguageModel,
    tokenizer: &impl Tokenizer,
    prompts: &[&str],
    sampling: &Sampling,
) -> Result<Vec<String>> {
    let rows = write(model, tokenizer, prompts, sampling, model.tokenizer().ends(), &mut |_| ())?;
    Ok(rows.into_iter().map(|row| row.text).collect())
}

/// One text as it grows.
struct Row {
    /// The prompt, what was written, and after its end zeros, so that the other rows can go on.
    ids: Vec<i64>,
    prompt_len: usize,
    /// The prompt without what the model does not know, and what was written.
    text: String,
    /// Where in the text begins what was written.
    start: usize,
    /// The bytes of a character that later tokens complete.
    begun: Vec<u8>,
    /// How many characters are still to be written.
    missing: usize,
    rng: Rng,
}

impl Row {
    fn new(tokenizer: &dyn Tokenizer, prompt: &str, seed: u64, chars: usize) -> Result<Row> {
        let unknown: Vec<char> = prompt.chars().filter(|character| !tokenizer.knows(*character)).collect();
        if !unknown.is_empty() {
            eprintln!("left out of the prompt, because the model does not know them: {unknown:?}");
        }
        let mut ids = Vec::new();
        tokenizer.encode_into(prompt, &mut |id| ids.push(id));
        let text = tokenizer.decode(&ids)?;
        if ids.is_empty() {
            tokenizer.encode_into("\n", &mut |id| ids.push(id));
        }
        if ids.is_empty() {
            ids.push(0);
        }
        let (prompt_len, start, rng) = (ids.len(), text.len(), Rng::new(seed));
        Ok(Row { ids, prompt_len, text, start, begun: Vec::new(), missing: chars, rng })
    }

    /// Appends a token's characters, up to the last one that was asked for.
    fn take(&mut self, piece: &[u8], stop: Option<&str>, each: &mut dyn FnMut(char)) {
        self.begun.extend_from_slice(piece);
        for character in whole_characters(&mut self.begun).chars().take(self.missing) {
            self.text.push(character);
            self.missing -= 1;
            each(character);
            if stop.is_some_and(|stop| self.text[self.start..].ends_with(stop)) {
                self.missing = 0;
                break;
            }
        }
    }
}

/// Takes what is whole of these bytes: what is no character becomes `\u{fffd}`, and what may still become one stays.
fn whole_characters(bytes: &mut Vec<u8>) -> String {
    let (mut text, mut done) = (String::new(), 0);
    for part in bytes.utf8_chunks() {
        text += part.valid();
        done += part.valid().len();
        let end = done + part.invalid().len();
        let is_begun = || std::str::from_utf8(part.invalid()).is_err_and(|error| error.error_len().is_none());
        if part.invalid().is_empty() || end == bytes.len() && is_begun() {
            break;
        }
        text.push(char::REPLACEMENT_CHARACTER);
        done = end;
    }
    bytes.drain(..done);
    text
}

/// Not generic, so that it is compiled with the library, once and well, and not with each cell.
fn write(
    model: &dyn LanguageModel,
    tokenizer: &dyn Tokenizer,
    prompts: &[&str],
    sampling: &Sampling,
    ends: &[u32],
    each: &mut dyn FnMut(char),
) -> Result<Vec<Row>> {
    sampling.check(tokenizer)?;
    let _guard = tch::no_grad_guard();
    keep_freed();
    let _waiting = Waiting::by_load();
    let _listening = Listening::new("a text was written");
    let seeds = (0..).map(|place| sampling.seed.wrapping_add(place));
    let row = |(prompt, seed): (&&str, u64)| Row::new(tokenizer, prompt, seed, sampling.chars);
    let mut rows = prompts.iter().zip(seeds).map(row).collect::<Result<Vec<Row>>>()?;
    let mut window = Window::new(model, rows.len(), sampling.cached)?;
    // All rows go on token by token together; those with a longer prompt take its tokens first.
    let mut place = rows.iter().map(|row| row.prompt_len).min().unwrap_or(0);
    while rows.iter().any(|row| row.missing > 0) {
        let weights = sampling.weigh(&window.next_logits(&rows, place)?)?; // B · V
        for (row, weights) in rows.iter_mut().zip(weights.chunks(model.n_vocab() as usize)) {
            if place < row.prompt_len {
                continue;
            }
            if row.missing == 0 {
                row.ids.push(0);
                continue;
            }
            let id = sampling.draw(weights, &mut row.rng)?;
            row.ids.push(id);
            let piece = tokenizer.piece(id)?;
            // What stands for nothing can come for ever: the id that is put before texts, or a row that no text leads to.
            if piece.is_empty() || ends.iter().any(|&end| i64::from(end) == id) {
                row.missing = 0;
                continue;
            }
            row.take(&piece, sampling.stop.as_deref(), each);
        }
        place += 1;
        if should_stop() {
            break;
        }
    }
    Ok(rows)
}

/// The last characters of the rows, as the model sees them.
struct Window<'a> {
    model: &'a dyn LanguageModel,
    cache: Option<Cache>,
    /// The cache holds the characters of these places.
    first: usize,
    read: usize,
}

impl<'a> Window<'a> {
    fn new(model: &'a dyn LanguageModel, rows: usize, cached: bool) -> Result<Window<'a>> {
        let cache = if cached { model.new_cache(rows as i64)? } else { None };
        Ok(Window { model, cache, first: 0, read: 0 })
    }

    /// Scores for the character at `place`, from those before it.
    ///
    /// # Shapes
    /// → (B, V)
    fn next_logits(&mut self, rows: &[Row], place: usize) -> Result<Tensor> {
        let first = window_start(place, self.model.context_len() as usize);
        match &mut self.cache {
            None => Ok(self.model.logits(&ids(rows, first, place, self.model.device())?)?.f_select(1, -1)?),
            Some(cache) => {
                if self.first != first {
                    cache.rewind();
                    (self.first, self.read) = (first, first);
                }
                let new = ids(rows, self.read, place, self.model.device())?;
                self.read = place;
                self.model.read(&new, cache)
            }
        }
    }
}

/// The ids of all rows from one place to another.
///
/// # Shapes
/// → (B, `end` − `start`)
fn ids(rows: &[Row], start: usize, end: usize, device: Device) -> Result<Tensor> {
    let flat: Vec<i64> = rows.iter().flat_map(|row| &row.ids[start..end]).copied().collect();
    Ok(Tensor::f_from_slice(&flat)?.f_view([rows.len() as i64, -1])?.f_to_device(device)?)
}

/// Where the window begins that predicts the character at `place`: at 0 while there is room, then further on by a
/// quarter of the context at a time.
fn window_start(place: usize, context_len: usize) -> usize {
    let hop = (context_len / 4).max(1);
    place.saturating_sub(context_len).div_ceil(hop) * hop
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Stories, Tokens};
    use crate::model::{Activation, NGram, TransformerConfig, TransformerLm, wake};
    use crate::tokenizer::{AnyTokenizer, BytePair, CharTokenizer, Piece, Subwords, Vocabulary};

    fn counted() -> NGram {
        let tokens = Tokens::encode(&Stories::parse(&"abcabd".repeat(50)).unwrap(), &CharTokenizer::default()).unwrap();
        NGram::count(&tokens, 3, 256).unwrap()
    }

    /// A transformer with a context of 12 characters, whose zeros are random, so that it has opinions.
    fn transformer(preset: TransformerConfig) -> TransformerLm {
        let config = TransformerConfig { context_len: 12, n_layers: 2, n_heads: 2, n_kv_heads: 2, ..preset };
        wake(TransformerLm::new(config, Device::Cpu).unwrap(), 0.3)
    }

    fn text(prompt: &str, sampling: Sampling) -> String {
        generate(&counted(), &CharTokenizer::default(), prompt, &sampling).unwrap()
    }

    fn hot(chars: usize) -> Sampling {
        Sampling { chars, temperature: 1.0, ..Sampling::default() }
    }

    #[test]
    fn one_seed_gives_one_text() {
        let with = |seed| text("a", Sampling { seed, ..hot(60) });
        assert_eq!(with(1), with(1));
        assert_ne!(with(1), with(2));
    }

    #[test]
    fn temperature_zero_takes_the_likeliest() {
        assert_eq!(text("ab", hot(0)), "ab");
        assert!(text("a", Sampling { chars: 1, seed: 9, ..Sampling::greedy() }).ends_with('b'));
    }

    /// A model that holds one id likeliest, whatever stands before.
    struct Always(i64, AnyTokenizer);

    impl LanguageModel for Always {
        fn logits(&self, ids: &Tensor) -> Result<Tensor> {
            let (batch, time) = ids.size2()?;
            let logits = Tensor::zeros([batch, time, self.n_vocab()], (tch::Kind::Float, Device::Cpu));
            let _ = logits.narrow(-1, self.0, 1).fill_(9.0);
            Ok(logits)
        }

        fn tokenizer(&self) -> AnyTokenizer {
            self.1.clone()
        }

        fn n_vocab(&self) -> i64 {
            self.1.n_vocab()
        }

        fn context_len(&self) -> i64 {
            16
        }

        fn device(&self) -> Device {
            Device::Cpu
        }
    }

    #[test]
    fn an_id_that_ends_or_stands_for_nothing_ends_a_text() {
        let mut pieces: Vec<Piece> = (0..=255).map(|byte| Piece(vec![byte])).collect();
        pieces.extend(["<s>", "</s>", ""].map(Piece::from));
        let vocabulary = Vocabulary { pieces, begin: Some(256), ends: vec![257], ..Vocabulary::default() };
        let tokenizer = AnyTokenizer::from(Subwords::new(vocabulary).unwrap());
        let sampling = Sampling { chars: 5, ..Sampling::greedy() };
        for (id, written) in [(97, "Hiaaaaa"), (256, "Hi"), (257, "Hi"), (258, "Hi")] {
            let model = Always(id, tokenizer.clone());
            assert_eq!(generate(&model, &tokenizer, "Hi", &sampling).unwrap(), written);
        }
    }

    #[test]
    fn any_prompt_is_taken() {
        let tokenizer = CharTokenizer::default();
        let transformer = transformer(TransformerConfig::original());
        for prompt in ["", "🦀", "a🦀b", "abcabdabcabdabcabdabcabdabcabd", "\u{0}\u{ff}"] {
            let known: String = prompt.chars().filter(|character| tokenizer.knows(*character)).collect();
            for written in [
                text(prompt, Sampling { chars: 5, ..Sampling::default() }),
                generate(&transformer, &tokenizer, prompt, &hot(5)).unwrap(),
            ] {
                assert!(written.starts_with(&known), "{written}");
                assert_eq!(written.chars().count(), known.chars().count() + 5);
            }
        }
    }

    #[test]
    fn cached_generation_equals_uncached_also_past_the_context() {
        for preset in [TransformerConfig::original(), TransformerConfig::small()] {
            let model = transformer(preset);
            for prompt in ["", "Once", "a prompt that is longer than the context"] {
                let with = |cached| {
                    let sampling = Sampling { cached, ..hot(60) };
                    generate(&model, &CharTokenizer::default(), prompt, &sampling).unwrap()
                };
                assert_eq!(with(true), with(false), "{prompt:?}");
            }
        }
    }

    #[test]
    fn the_window_slides_by_quarters_and_always_fits() {
        assert_eq!([1, 12, 13, 15, 16].map(|place| window_start(place, 12)), [0, 0, 3, 3, 6]);
        assert_eq!([1, 2, 9].map(|place| window_start(place, 1)), [0, 1, 8]);
        for context in 1..40 {
            for place in 1..200 {
                let seen = place - window_start(place, context);
                assert!(seen <= context && seen * 4 >= place.min(context) * 3 - 3, "{place} of {context}: {seen}");
            }
        }
    }

    #[test]
    fn a_batch_writes_what_its_prompts_write_alone() {
        let (model, tokenizer) = (transformer(TransformerConfig::small()), CharTokenizer::default());
        let prompts = ["Once", "", "a much longer prompt than the others"];
        let sampling = Sampling { stop: Some("e".to_owned()), ..hot(50) };
        let together = generate_batch(&model, &tokenizer, &prompts, &sampling).unwrap();
        for (place, prompt) in prompts.iter().enumerate() {
            let sampling = Sampling { seed: place as u64, ..sampling.clone() };
            assert_eq!(together[place], generate(&model, &tokenizer, prompt, &sampling).unwrap());
        }
        assert!(generate_batch(&model, &tokenizer, &[], &sampling).unwrap().is_empty());
    }

    #[test]
    fn writing_ends_with_the_stop_text() {
        let stopped = text("a", Sampling { stop: Some("bd".to_owned()), ..hot(1000) });
        assert_eq!(stopped.find("bd"), Some(stopped.len() - 2), "{stopped}");
        let sampling = Sampling { stop: Some(String::new()), ..hot(5) };
        assert!(generate(&counted(), &CharTokenizer::default(), "a", &sampling).is_err());
    }

    #[test]
    fn tokens_of_several_characters_are_written_to_the_character() {
        let stories = Stories::parse(&"The cat sat. The dog ran. ".repeat(20)).unwrap();
        let tokenizer = BytePair::train(&stories, 280).unwrap();
        assert!((0..tokenizer.n_vocab()).any(|id| tokenizer.width(id).unwrap() > 2));
        let model = NGram::count(&Tokens::encode(&stories, &tokenizer).unwrap(), 3, tokenizer.n_vocab()).unwrap();
        for chars in 0..12 {
            let mut streamed = String::new();
            let each = |character| streamed.push(character);
            let whole = generate_with(&model, &tokenizer, "The c", &hot(chars), each).unwrap();
            assert_eq!(whole, format!("The c{streamed}"));
            assert_eq!(streamed.chars().count(), chars);
        }
        // The stop text is found inside of a token, and over the border of two.
        let sampling = Sampling { stop: Some("at".to_owned()), ..hot(1000) };
        let stopped = generate(&model, &tokenizer, "The c", &sampling).unwrap();
        assert_eq!(stopped.find("at"), Some(stopped.len() - 2), "{stopped}");
    }

    #[test]
    fn characters_that_tokens_share_are_written_whole() {
        let stories = Stories::parse(&"🦀é日".repeat(40)).unwrap();
        let tokenizer = BytePair::train(&stories, 258).unwrap();
        assert!(tokenizer.cut("🦀é").len() > 3, "there are tokens that are no characters");
        let model = NGram::count(&Tokens::encode(&stories, &tokenizer).unwrap(), 6, tokenizer.n_vocab()).unwrap();
        let mut streamed = String::new();
        let cold = Sampling { temperature: 0.01, ..hot(6) };
        let whole = generate_with(&model, &tokenizer, "🦀é日", &cold, |one| streamed.push(one)).unwrap();
        assert_eq!((whole.as_str(), streamed.as_str()), ("🦀é日🦀é日🦀é日", "🦀é日🦀é日"));
    }

    #[test]
    fn bytes_that_are_no_characters_are_marked_and_a_begun_one_waits() {
        let taken = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            (whole_characters(&mut bytes), bytes)
        };
        assert_eq!(taken(b"ab\xf0\x9f"), ("ab".to_owned(), b"\xf0\x9f".to_vec()));
        assert_eq!(taken(b"\xa6a\xf0b\xc3"), ("\u{fffd}a\u{fffd}b".to_owned(), b"\xc3".to_vec()));
        assert_eq!(taken("é🦀".as_bytes()), ("é🦀".to_owned(), Vec::new()));
        assert_eq!(taken(b""), (String::new(), Vec::new()));
    }

    #[test]
    fn every_character_is_given_as_it_comes() {
        let mut streamed = String::new();
        let each = |character| streamed.push(character);
        let whole = generate_with(&counted(), &CharTokenizer::default(), "ab", &hot(20), each).unwrap();
        assert_eq!(whole, format!("ab{streamed}"));
    }

    #[test]
    fn a_model_that_is_none_any_more_is_an_error() {
        let original = TransformerConfig { activation: Activation::Relu, ..TransformerConfig::small() };
        let _guard = tch::no_grad_guard();
        for config in [TransformerConfig::small(), original] {
            for name in ["embedding", "block.0.mlp.hidden.weight"] {
                let model = transformer(config);
                let mut spoilt =
                    model.parameters().into_iter().find(|parameter| parameter.name == name).unwrap().tensor;
                let _ = spoilt.f_fill_(f64::NAN).unwrap();
                for cached in [true, false] {
                    let sampling = Sampling { cached, ..hot(5) };
                    let message = generate(&model, &CharTokenizer::default(), "a", &sampling).unwrap_err().to_string();
                    assert!(message.contains("train it again"), "{name}, {cached}: {message}");
                }
            }
        }
    }
}
