//! Our byte pairs beside those of the `tokenizers` library: the same vocabulary, merges and ids.

use glasslab::data::{Dataset, Stories};
use glasslab::rng::Rng;
use glasslab::tokenizer::BytePair;
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::Path;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer};

/// What theirs learns of the same stories.
fn theirs(stories: &Stories, n_vocab: usize) -> Tokenizer {
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, false, true)));
    let trainer = BpeTrainer::builder()
        .vocab_size(n_vocab)
        .min_frequency(2)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(Vec::<AddedToken>::new())
        .build();
    let texts: Vec<String> = stories.iter().map(str::to_owned).collect();
    tokenizer.train(&mut TrainerWrapper::BpeTrainer(trainer), texts.into_iter()).unwrap();
    tokenizer
}

/// Theirs, as ours says it: the bytes of each id, and the merges.
struct Translated {
    tokenizer: Tokenizer,
    bytes: HashMap<char, u8>,
    /// Our id for each of theirs.
    ids: Vec<i64>,
    pieces: Vec<Vec<u8>>,
    merges: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Translated {
    fn of(tokenizer: Tokenizer) -> Translated {
        // A byte that can be seen is written as itself, the others as the characters from 256 on.
        let is_seen = |byte: u8| matches!(byte, 33..=126 | 161..=172 | 174..);
        let unseen = (0..=255).filter(|&byte| !is_seen(byte)).zip(256..);
        let seen = (0..=255).filter(|&byte| is_seen(byte)).map(|byte| (byte, u32::from(byte)));
        let bytes: HashMap<char, u8> =
            unseen.chain(seen).map(|(byte, code)| (char::from_u32(code).unwrap(), byte)).collect();
        let piece = |token: &str| -> Vec<u8> { token.chars().map(|one| bytes[&one]).collect() };
        let json: serde_json::Value = serde_json::from_str(&tokenizer.to_string(false).unwrap()).unwrap();
        let vocabulary = json["model"]["vocab"].as_object().unwrap();
        let (mut ids, mut pieces) = (vec![0; vocabulary.len()], vec![Vec::new(); vocabulary.len()]);
        for (token, id) in vocabulary {
            let (id, piece) = (id.as_u64().unwrap() as usize, piece(token));
            ids[id] = if id < 256 { i64::from(piece[0]) } else { id as i64 };
            pieces[ids[id] as usize] = piece;
        }
        let merges = json["model"]["merges"].as_array().unwrap().iter();
        let merges = merges.map(|pair| (piece(pair[0].as_str().unwrap()), piece(pair[1].as_str().unwrap()))).collect();
        Translated { tokenizer, bytes, ids, pieces, merges }
    }

    fn encode(&self, text: &str) -> Vec<i64> {
        let encoded = self.tokenizer.encode(text, false).unwrap();
        encoded.get_ids().iter().map(|&id| self.ids[id as usize]).collect()
    }
}

fn assert_equal(stories: &Stories, n_vocab: usize) -> (BytePair, Translated) {
    let ours = BytePair::train(stories, n_vocab).unwrap();
    let theirs = Translated::of(theirs(stories, n_vocab));
    assert_eq!(ours.pieces, theirs.pieces);
    let piece = |id: u16| ours.pieces[usize::from(id)].clone();
    let merges: Vec<_> = ours.merges.iter().map(|&(first, second)| (piece(first), piece(second))).collect();
    assert_eq!(merges, theirs.merges);
    (ours, theirs)
}

/// A text of characters from everywhere, of some that decide where a word ends, and of pieces of English.
fn random(rng: &mut Rng) -> String {
    let few: Vec<&str> = " |\n|\t|  |'s|'re|'LL|'|the| and|1|²|½|ⅷ|é|e\u{301}|Ⓐ|ª|\u{a0}|\u{2009}|\u{85}|日|한|\u{64e}|\u{93f}|🦀|👩\u{200d}🌾|.|…|“|_|\u{feff}"
        .split('|')
        .collect();
    let part = |rng: &mut Rng| match rng.below(4) {
        0 => known(rng.below(0x11_0000) as u32).map_or(String::new(), String::from),
        1 => known(rng.below(0x3000) as u32).map_or(String::new(), String::from),
        _ => few[rng.below(few.len())].to_owned(),
    };
    (0..rng.below(30)).map(|_| part(rng)).collect()
}

/// The letters and numbers of Unicode 17, which ours knows; in Unicode 16, which theirs knows, they are none yet.
const NEW: [RangeInclusive<u32>; 24] = [
    0x88f..=0x88f,
    0xc5c..=0xc5c,
    0xcdc..=0xcdc,
    0xa7ce..=0xa7cf,
    0xa7d2..=0xa7d4,
    0xa7f1..=0xa7f1,
    0x10940..=0x10959,
    0x10ec5..=0x10ec7,
    0x11db0..=0x11ddb,
    0x11de0..=0x11de9,
    0x16ea0..=0x16eb8,
    0x16ebb..=0x16ed3,
    0x16ff2..=0x16ff6,
    0x187f8..=0x187ff,
    0x18d09..=0x18d1e,
    0x18d80..=0x18df2,
    0x1e6c0..=0x1e6de,
    0x1e6e0..=0x1e6e5,
    0x1e6e7..=0x1e6ed,
    0x1e6f0..=0x1e6f4,
    0x1e6fe..=0x1e6ff,
    0x2b73a..=0x2b73f,
    0x2cea2..=0x2cead,
    0x323b0..=0x33479,
];

/// A character that both know, if there is one of this code point.
fn known(code: u32) -> Option<char> {
    char::from_u32(code).filter(|_| !NEW.iter().any(|range| range.contains(&code)))
}

#[test]
fn the_stories_give_the_same_vocabulary_and_the_same_ids() {
    let data = Dataset::embedded().unwrap();
    let (ours, theirs) = assert_equal(&data.train, 1024);
    assert_eq!(ours.pieces.len(), 1024);
    for story in data.held_out.iter() {
        assert_eq!(ours.encode(story), theirs.encode(story));
    }
    assert_eq!(theirs.bytes.len(), 256);
}

#[test]
fn any_text_gives_the_same_ids() {
    let mut rng = Rng::new(1);
    let texts: Vec<String> = (0..3000).map(|_| random(&mut rng)).collect();
    // What is learnt of such texts merges the bytes of many languages.
    let (ours, theirs) = assert_equal(&Stories::parse(&texts[..1000].join("<|endoftext|>")).unwrap(), 600);
    for text in &texts {
        assert_eq!(ours.encode(text), theirs.encode(text), "{text:?}");
    }
}

#[test]
fn equally_frequent_pairs_are_merged_in_the_same_order() {
    let mut rng = Rng::new(2);
    for _ in 0..200 {
        let few = ["a", "b", "c", " ", "é", "\n", "1"];
        let letters = 2 + rng.below(few.len() - 1);
        let text: String = (0..rng.below(400) + 20).map(|_| few[rng.below(letters)]).collect();
        let stories = Stories::parse(&format!("x{text}")).unwrap();
        let (ours, theirs) = assert_equal(&stories, 257 + rng.below(200));
        assert_eq!(ours.encode(&text), theirs.encode(&text), "{text:?}");
    }
}

/// 6 MB of the real TinyStories, where they lie beside the project.
#[test]
fn a_large_text_gives_the_same_vocabulary() {
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/tinystories-train.txt");
    if !text.exists() {
        println!("there is no {}: the stories that come with glasslab are compared in another test", text.display());
        return;
    }
    let stories = Stories::from_path(text).unwrap();
    let (ours, theirs) = assert_equal(&stories, 1024);
    for story in stories.iter().take(1000) {
        assert_eq!(ours.encode(story), theirs.encode(story));
    }
}

#[test]
fn each_character_is_of_the_same_kind() {
    let cut = ByteLevel::new(false, false, true);
    // All of the many small scripts; of the large blocks of Chinese characters and of private use, a part.
    for character in (0..0x2_0000).chain((0x2_0000..0x11_0000).step_by(61)).filter_map(known) {
        let text = format!("a{character}a{character}1");
        let mut theirs = PreTokenizedString::from(text.as_str());
        cut.pre_tokenize(&mut theirs).unwrap();
        let ends = theirs.get_splits(OffsetReferential::Original, OffsetType::Byte).into_iter().map(|(_, at, _)| at.1);
        let mut end = 0;
        let ours = BytePair::words(&text).into_iter().map(|word| {
            end += word.len();
            end
        });
        assert!(ours.eq(ends), "{text:?}, U+{:04X}", u32::from(character));
    }
}
