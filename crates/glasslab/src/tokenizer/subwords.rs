//! The tokenizer of another model: GPT-2, Llama, Qwen, Gemma.
//!
//! ```text
//! text → special pieces taken out → NFC, or a space before it → words → bytes or characters → merged → ids
//! ```
//! All of them merge pairs. What differs is in the [`Vocabulary`]: what a text is cut into before, whether it is bytes or
//! characters that are merged, and what says which pair comes first. How a text is cut equals what the `tokenizers` and
//! `sentencepiece` libraries give (`glasslab-data`'s `tests/tokenizers.rs`).
//!
//! Sources: as [`BytePair`](super::BytePair), which learns one; Kudo and Richardson, "SentencePiece: A simple and language
//! independent subword tokenizer and detokenizer for Neural Text Processing", 2018.

use super::merge::{Merge, Merger, Part};
use super::special::Specials;
use super::vocabulary::{Alphabet, Merging, Prefix, SPACE, Vocabulary};
use super::{Tokenizer, shown};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// A tokenizer of another model.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Vocabulary", into = "Vocabulary")]
pub struct Subwords {
    vocabulary: Vocabulary,
    /// The ids of pieces, without the bytes that are written for characters.
    ids: HashMap<Vec<u8>, u32>,
    /// The ids of single bytes, for those that have one.
    bytes: Vec<Option<u32>>,
    order: Order,
    specials: Specials,
}

/// Which pair is merged when; what comes first has the lowest number.
#[derive(Clone)]
enum Order {
    /// By its two ids: when, and the id that it makes.
    Pairs(HashMap<(u32, u32), Merge>),
    /// By the id that it makes.
    Pieces(Vec<u32>),
}

impl Subwords {
    /// The tokenizer of a vocabulary.
    ///
    /// # Errors
    /// If an id is named that there is not, a pair makes no piece, or scores are missing or no numbers.
    pub fn new(vocabulary: Vocabulary) -> Result<Subwords> {
        Subwords::try_from(vocabulary).map_err(|why| Error::Data(format!("this vocabulary can't be used: {why}")))
    }

    /// What is known of it.
    pub fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// The ids of a text as a model is given it, with what is put before every text.
    ///
    /// # Shapes
    /// a text of N bytes → at most N + 2 ids
    pub fn encode(&self, text: &str) -> Vec<i64> {
        let mut ids = Vec::new();
        self.encode_into(text, &mut |id| ids.push(id));
        ids
    }

    /// As [`encode_into`](Tokenizer::encode_into), without the id that is put before every text.
    pub fn encode_bare_into(&self, text: &str, take: &mut dyn FnMut(i64)) -> usize {
        let (mut merger, mut dropped) = (Merger::default(), 0);
        // SentencePiece looks for special pieces in what it has made of a text, Hugging Face's library in the text itself.
        let text = if self.specials.have_sign { Cow::Borrowed(text) } else { self.spaced(text) };
        self.specials.parts(&text, |place, part, special| {
            let part = self.prepared(place, part);
            for word in self.vocabulary.split.words(&part) {
                dropped += self.encode_word(word, &mut merger, take);
            }
            special.into_iter().for_each(|id| take(i64::from(id)));
        });
        dropped
    }

    /// The special pieces in a text, with their ids.
    pub(super) fn special_in(&self, text: &str) -> Vec<(String, i64)> {
        let mut found = Vec::new();
        self.specials.parts(text, |_, _, special| {
            let piece = special.and_then(|id| self.vocabulary.special.iter().find(|special| special.id == id));
            found.extend(piece.map(|piece| (piece.text.clone(), i64::from(piece.id))));
        });
        found
    }

    /// A part of a text, between special pieces, as it is cut.
    fn prepared<'a>(&self, place: usize, part: &'a str) -> Cow<'a, str> {
        let part = match self.vocabulary.nfc && !is_nfc(part) {
            // The composed form: `e` and a combining acute are `é`.
            true => Cow::Owned(part.nfc().collect()),
            false => self.spaced(part),
        };
        let takes_space = |Prefix { every, unless_there }: Prefix| {
            !part.is_empty() && (every || place == 0) && !(unless_there && part.starts_with(' '))
        };
        match self.vocabulary.prefix.is_some_and(takes_space) {
            true => Cow::Owned(format!(" {part}")),
            false => part,
        }
    }

    /// A space is kept as a space here, so its sign is one as well.
    fn spaced<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.vocabulary.alphabet != Alphabet::Bytes && text.contains(SPACE) {
            true => Cow::Owned(text.replace(SPACE, " ")),
            false => Cow::Borrowed(text),
        }
    }

    /// Gives the ids of a word; returns how many characters have none.
    fn encode_word(&self, word: &str, merger: &mut Merger, take: &mut dyn FnMut(i64)) -> usize {
        if let Some(&id) = self.ids.get(word.as_bytes()).filter(|_| self.vocabulary.whole_words) {
            take(i64::from(id));
            return 0;
        }
        let merge = |first: &Part, second: &Part| match &self.order {
            Order::Pairs(pairs) => pairs.get(&(first.id?, second.id?)).copied(),
            Order::Pieces(order) => {
                let id = *self.ids.get(&word.as_bytes()[first.bytes.start..second.bytes.end])?;
                Some((order[id as usize], id))
            }
        };
        let mut dropped = 0;
        let emit = |part: &Part| match part.id {
            Some(id) => take(i64::from(id)),
            None => {
                let bytes = &word.as_bytes()[part.bytes.clone()];
                match bytes.iter().map(|&byte| self.bytes[usize::from(byte)]).collect::<Option<Vec<u32>>>() {
                    Some(ids) => ids.into_iter().for_each(|id| take(i64::from(id))),
                    None => dropped += characters(bytes),
                }
            }
        };
        if self.vocabulary.alphabet == Alphabet::Bytes {
            // A byte that has no piece is left out before anything is merged.
            let bytes = word.bytes().filter_map(|byte| self.bytes[usize::from(byte)]);
            merger.merged(bytes.map(|id| (Some(id), 1)), merge).for_each(emit);
            dropped = word.chars().filter(|character| !self.knows(*character)).count();
        } else {
            let id = |letter: &str| self.ids.get(letter.as_bytes()).copied();
            let letters = word.char_indices().map(|(place, letter)| &word[place..place + letter.len_utf8()]);
            merger.merged(letters.map(|letter| (id(letter), letter.len())), merge).for_each(emit);
        }
        dropped
    }

    /// The bytes of an id, also of the one that is put before every text.
    fn bytes_of(&self, id: i64) -> Result<&[u8]> {
        let pieces = &self.vocabulary.pieces;
        let piece = usize::try_from(id).ok().and_then(|id| pieces.get(id));
        piece.map(|piece| &piece.0[..]).ok_or_else(|| Error::Shape {
            expected: format!("an id in 0..{}", pieces.len()),
            got: id.to_string(),
            hint: "was the text encoded with this tokenizer?".to_owned(),
        })
    }

    fn is_begin(&self, id: i64) -> bool {
        self.vocabulary.begin.is_some_and(|begin| i64::from(begin) == id)
    }
}

/// How many characters begin in these bytes.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte & 0xc0 != 0x80).count()
}

impl Tokenizer for Subwords {
    fn n_vocab(&self) -> i64 {
        self.vocabulary.pieces.len() as i64
    }

    /// A text that has at its beginning what is put before every text is not given it twice.
    fn encode_into(&self, text: &str, take: &mut dyn FnMut(i64)) -> usize {
        if let Some(begin) = self.vocabulary.begin
            && self.specials.at(text.as_bytes()).is_none_or(|(_, id)| id != begin)
        {
            take(i64::from(begin));
        }
        self.encode_bare_into(text, take)
    }

    /// What is put before every text stands for nothing.
    fn piece(&self, id: i64) -> Result<Cow<'_, [u8]>> {
        let piece = self.bytes_of(id)?;
        Ok(Cow::Borrowed(if self.is_begin(id) { &[] } else { piece }))
    }

    fn knows(&self, character: char) -> bool {
        let mut bytes = [0; 4];
        let is_piece = self.vocabulary.alphabet != Alphabet::Bytes && {
            let sign = if character == SPACE { ' ' } else { character };
            self.ids.contains_key(sign.encode_utf8(&mut bytes).as_bytes())
        };
        is_piece || character.encode_utf8(&mut bytes).bytes().all(|byte| self.bytes[usize::from(byte)].is_some())
    }

    /// The text of ids from a text's beginning on: without the space that was put before it.
    fn decode(&self, ids: &[i64]) -> Result<String> {
        let mut bytes = Vec::new();
        for &id in ids {
            bytes.extend_from_slice(&self.piece(id)?);
        }
        if self.vocabulary.prefix.is_some() && bytes.first() == Some(&b' ') {
            bytes.remove(0);
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// An id that no text has by its number: `[32007]`.
    fn label(&self, id: i64) -> Result<String> {
        match self.bytes_of(id)? {
            [] => Ok(format!("[{id}]")),
            piece => Ok(shown(piece)),
        }
    }
}

impl TryFrom<Vocabulary> for Subwords {
    type Error = String;

    fn try_from(vocabulary: Vocabulary) -> Result<Subwords, String> {
        let n_vocab = vocabulary.pieces.len();
        let stand_ins: &[u32] = match &vocabulary.alphabet {
            Alphabet::Characters { bytes } if !matches!(bytes.len(), 0 | 256) => {
                return Err(format!("it has ids for {} of the 256 bytes", bytes.len()));
            }
            Alphabet::Characters { bytes } => bytes,
            Alphabet::Bytes => &[],
        };
        let special = vocabulary.special.iter().map(|special| &special.id);
        let named = vocabulary.ends.iter().chain(stand_ins).chain(&vocabulary.begin).chain(special);
        if let Some(id) = named.into_iter().find(|&&id| id as usize >= n_vocab) {
            return Err(format!("it names the id {id} and has only {n_vocab}"));
        }
        let mut is_stand_in = vec![false; n_vocab];
        stand_ins.iter().for_each(|&id| is_stand_in[id as usize] = true);
        let mut ids = HashMap::new();
        for ((piece, id), _) in
            vocabulary.pieces.iter().zip(0..).zip(is_stand_in).filter(|(_, is_stand_in)| !is_stand_in)
        {
            if !piece.0.is_empty() {
                ids.entry(piece.0.clone()).or_insert(id);
            }
        }
        let bytes = match &vocabulary.alphabet {
            Alphabet::Bytes => (0..=255).map(|byte: u8| ids.get(&[byte][..]).copied()).collect(),
            Alphabet::Characters { bytes } => (0..256).map(|byte| bytes.get(byte).copied()).collect(),
        };
        let order = match &vocabulary.merging {
            Merging::Pairs(pairs) => numbered(&vocabulary, pairs, &ids)?,
            Merging::Scores(scores) => ordered(scores, n_vocab)?,
        };
        let specials = Specials::of(&vocabulary);
        Ok(Subwords { vocabulary, ids, bytes, order, specials })
    }
}

/// For each pair: when it is merged, and what it makes.
fn numbered(vocabulary: &Vocabulary, pairs: &[[u32; 2]], ids: &HashMap<Vec<u8>, u32>) -> Result<Order, String> {
    let piece = |id: u32| vocabulary.pieces.get(id as usize).map(|piece| &piece.0[..]);
    let made = |(&[first, second], when): (&[u32; 2], u32)| {
        let joined = piece(first).zip(piece(second)).map(|(first, second)| [first, second].concat());
        let id = joined.and_then(|joined| ids.get(&joined));
        let id = id.ok_or_else(|| format!("the pair of the ids {first} and {second} makes no piece that it has"))?;
        Ok(((first, second), (when, *id)))
    };
    Ok(Order::Pairs(pairs.iter().zip(0..).map(made).collect::<Result<_, String>>()?))
}

/// For each id: when a pair that makes it is merged.
fn ordered(scores: &[f32], n_vocab: usize) -> Result<Order, String> {
    if scores.len() != n_vocab {
        return Err(format!("it has {} scores for {n_vocab} pieces", scores.len()));
    }
    if let Some(place) = scores.iter().position(|score| score.is_nan()) {
        return Err(format!("the score of the id {place} is no number"));
    }
    let mut by_score: Vec<usize> = (0..n_vocab).collect();
    by_score.sort_by(|&one, &other| scores[other].total_cmp(&scores[one]));
    let (mut order, mut when) = (vec![0; n_vocab], 0);
    for (place, &id) in by_score.iter().enumerate() {
        // Equal scores come at one time.
        if place > 0 && scores[by_score[place - 1]] != scores[id] {
            when += 1;
        }
        order[id] = when;
    }
    Ok(Order::Pieces(order))
}

impl From<Subwords> for Vocabulary {
    fn from(tokenizer: Subwords) -> Vocabulary {
        tokenizer.vocabulary
    }
}

impl PartialEq for Subwords {
    fn eq(&self, other: &Subwords) -> bool {
        self.vocabulary == other.vocabulary
    }
}

// No score is NaN.
impl Eq for Subwords {}

impl fmt::Debug for Subwords {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Vocabulary { pieces, split, .. } = &self.vocabulary;
        write!(out, "Subwords of {} ids, split {split:?}", pieces.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use crate::tokenizer::{AnyTokenizer, Piece, Special, Split};

    fn special(all: &[(u32, &str)]) -> Vec<Special> {
        all.iter().map(|&(id, text)| Special { id, text: text.to_owned() }).collect()
    }

    /// The 256 bytes, ` t`, `he`, ` the`, and two special ones.
    fn bytes() -> Vocabulary {
        let mut pieces: Vec<Piece> = (0..=255).map(|byte| Piece(vec![byte])).collect();
        pieces.extend([" t", "he", " the", "<s>", "<s><s>"].map(Piece::from));
        let pair = |first: &str, second: &str| {
            let id = |text: &str| pieces.iter().position(|piece| *piece == Piece::from(text)).unwrap() as u32;
            [id(first), id(second)]
        };
        let pairs = vec![pair(" ", "t"), pair("h", "e"), pair(" t", "he")];
        Vocabulary {
            merging: Merging::Pairs(pairs),
            split: Split::Gpt2,
            special: special(&[(259, "<s>"), (260, "<s><s>")]),
            pieces,
            ..Vocabulary::default()
        }
    }

    /// Three special ones, 256 bytes, some letters, `he`, ` t`, ` the`.
    fn characters() -> Vocabulary {
        let mut pieces: Vec<Piece> = ["<unk>", "<s>", "</s>"].map(Piece::from).into();
        pieces.extend((0..=255).map(|byte| Piece(vec![byte])));
        pieces.extend([" ", "t", "h", "e", "é", "he", " t", " the"].map(Piece::from));
        let mut scores = vec![0.0; 264];
        scores.extend([-1.0, -2.0, -3.0]);
        Vocabulary {
            alphabet: Alphabet::Characters { bytes: (3..259).collect() },
            merging: Merging::Scores(scores),
            prefix: Some(Prefix { every: true, unless_there: false }),
            special: special(&[(1, "<s>"), (2, "</s>")]),
            begin: Some(1),
            ends: vec![2],
            pieces,
            ..Vocabulary::default()
        }
    }

    fn cut(tokenizer: &Subwords, text: &str) -> Vec<String> {
        tokenizer.encode(text).into_iter().map(|id| tokenizer.label(id).unwrap()).collect()
    }

    #[test]
    fn bytes_are_merged_by_pairs_and_special_pieces_are_found_first() {
        let tokenizer = Subwords::new(bytes()).unwrap();
        assert_eq!(cut(&tokenizer, " the then é"), ["␣the", "␣the", "n", "␣", "\\xc3", "\\xa9"]);
        assert_eq!(cut(&tokenizer, "a<s><s><s> the"), ["a", "<s><s>", "<s>", "␣the"]);
        let whole =
            Subwords::new(Vocabulary { whole_words: true, merging: Merging::Pairs(Vec::new()), ..bytes() }).unwrap();
        assert_eq!(cut(&whole, " the then"), ["␣the", "␣", "t", "h", "e", "n"]);
    }

    #[test]
    fn characters_are_merged_by_scores_with_a_space_before_and_bytes_for_what_is_unknown() {
        let tokenizer = Subwords::new(characters()).unwrap();
        assert_eq!(cut(&tokenizer, "the the"), ["<s>", "␣the", "␣the"]);
        assert_eq!(cut(&tokenizer, "e日</s>the"), ["<s>", "␣", "e", "\\xe6", "\\x97", "\\xa5", "</s>", "␣the"]);
        assert_eq!(tokenizer.encode("<s>the"), tokenizer.encode("the"), "what is there already is not put before");
        assert_eq!(tokenizer.encode("▁the"), tokenizer.encode(" the"), "the sign of a space is a space");
        let two = |text: &str| Subwords::new(Vocabulary { special: special(&[(266, text)]), ..characters() }).unwrap();
        assert_eq!(cut(&two("  "), "e▁▁e"), cut(&two("  "), "e  e"));
        assert_ne!(cut(&two("▁▁"), "e▁▁e"), cut(&two("▁▁"), "e  e"));
        let ids = tokenizer.encode("the e");
        assert_eq!((tokenizer.decode(&ids).unwrap().as_str(), tokenizer.width(1).unwrap()), ("the e", 0));
        let once = Prefix { every: false, unless_there: true };
        let once = Subwords::new(Vocabulary { prefix: Some(once), ..characters() }).unwrap();
        assert_eq!(cut(&once, " the</s>the"), ["<s>", "␣the", "</s>", "t", "he"]);
        assert_eq!(cut(&once, "the"), ["<s>", "␣the"]);
    }

    #[test]
    fn any_text_comes_back_whole() {
        let none = Vocabulary { prefix: None, ..characters() };
        let mut rng = Rng::new(1);
        for tokenizer in [bytes(), characters(), none, Vocabulary { split: Split::Qwen2, ..bytes() }] {
            let tokenizer = AnyTokenizer::from(Subwords::new(tokenizer).unwrap());
            let few: Vec<char> = " \nthe日é🦀\u{301}1".chars().collect();
            for _ in 0..2000 {
                let text: String = (0..rng.below(12)).map(|_| few[rng.below(few.len())]).collect();
                let pieces = tokenizer.cut(&text).unwrap();
                assert_eq!((pieces.text.as_str(), pieces.dropped.len()), (text.as_str(), 0));
            }
        }
    }

    #[test]
    fn characters_without_bytes_are_dropped_and_counted() {
        let alphabet = Alphabet::Characters { bytes: Vec::new() };
        let tokenizer = AnyTokenizer::from(Subwords::new(Vocabulary { alphabet, ..characters() }).unwrap());
        let pieces = tokenizer.cut("the 日é🦀").unwrap();
        assert_eq!((pieces.text.as_str(), &pieces.dropped[..]), ("the é", &['日', '🦀'][..]));
        assert!(tokenizer.knows('é') && !tokenizer.knows('日'));
    }

    #[test]
    fn bytes_without_a_piece_are_left_out_before_anything_is_merged() {
        let mut vocabulary = Vocabulary { split: Split::Whole, ..bytes() };
        vocabulary.pieces[0x14] = Piece::default();
        let tokenizer = AnyTokenizer::from(Subwords::new(vocabulary).unwrap());
        let pieces = tokenizer.cut("h\u{14}e the").unwrap();
        assert_eq!((pieces.labels.join(" "), &pieces.dropped[..]), ("he ␣the".to_owned(), &['\u{14}'][..]));
    }

    #[test]
    fn a_kept_tokenizer_is_the_same_one() {
        for vocabulary in [bytes(), characters(), Vocabulary { nfc: true, whole_words: true, ..bytes() }] {
            let tokenizer = AnyTokenizer::from(Subwords::new(vocabulary).unwrap());
            let text = serde_json::to_string(&tokenizer).unwrap();
            assert!(text.starts_with("{\"kind\":\"subwords\",\"pieces\":["), "{text}");
            let kept: AnyTokenizer = serde_json::from_str(&text).unwrap();
            assert_eq!(kept, tokenizer);
            assert_eq!(kept.cut("e\u{301} the").unwrap().ids, tokenizer.cut("e\u{301} the").unwrap().ids);
        }
    }

    #[test]
    fn a_vocabulary_that_can_not_be_is_refused() {
        let broken = [
            (Vocabulary { special: special(&[(261, "x")]), ..bytes() }, "names the id 261 and has only 261"),
            (Vocabulary { begin: Some(999), ..bytes() }, "names the id 999"),
            (Vocabulary { merging: Merging::Pairs(vec![[0, 0]]), ..bytes() }, "0 and 0 makes no piece"),
            (Vocabulary { merging: Merging::Pairs(vec![[0, 700]]), ..bytes() }, "0 and 700 makes no piece"),
            (Vocabulary { merging: Merging::Scores(vec![0.0]), ..characters() }, "1 scores for 267 pieces"),
            (Vocabulary { merging: Merging::Scores(vec![f32::NAN; 267]), ..characters() }, "id 0 is no number"),
            (Vocabulary { alphabet: Alphabet::Characters { bytes: vec![1] }, ..characters() }, "1 of the 256 bytes"),
        ];
        for (vocabulary, why) in broken {
            let message = Subwords::new(vocabulary).unwrap_err().to_string();
            assert!(message.contains(why) && message.contains("can't be used"), "{message}");
        }
    }

    #[test]
    fn it_is_made_as_large_as_a_table_of_embeddings() {
        for vocabulary in [bytes(), characters()] {
            for n_vocab in [300, 260] {
                let mut vocabulary = vocabulary.clone();
                vocabulary.resize(n_vocab);
                let tokenizer = Subwords::new(vocabulary).unwrap();
                assert_eq!(tokenizer.n_vocab(), n_vocab as i64);
                assert_eq!(tokenizer.decode(&tokenizer.encode("the ")).unwrap(), "the ");
            }
        }
        let mut larger = bytes();
        larger.resize(262);
        let larger = Subwords::new(larger).unwrap();
        assert_eq!((larger.label(261).unwrap().as_str(), larger.decode(&[261]).unwrap().as_str()), ("[261]", ""));
        assert!(larger.decode(&[262]).unwrap_err().to_string().contains("0..262"));
    }
}
