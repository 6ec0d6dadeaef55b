//! A tokenizer of any kind as a vocabulary, which the forms write; and what one kind of merging is in the other.

use glasslab::tokenizer::{Alphabet, AnyTokenizer, Merging, Piece, Split, Vocabulary};
use std::collections::HashMap;

/// What is to be known of a tokenizer.
pub(super) fn of(tokenizer: &AnyTokenizer) -> Vocabulary {
    match tokenizer {
        AnyTokenizer::Subwords(subwords) => subwords.vocabulary().clone(),
        AnyTokenizer::Pairs(pairs) => Vocabulary {
            pieces: pairs.pieces.iter().cloned().map(Piece).collect(),
            merging: Merging::Pairs(pairs.merges.iter().map(|pair| [u32::from(pair.0), u32::from(pair.1)]).collect()),
            split: Split::Gpt2,
            ..Vocabulary::default()
        },
        // Characters that nothing is merged of; what has no id is left out.
        AnyTokenizer::Chars(characters) => {
            let piece = |id: i64| u32::try_from(id).ok().and_then(char::from_u32);
            Vocabulary {
                pieces: (0..characters.n_vocab)
                    .map(|id| piece(id).map_or_else(Piece::default, |letter| Piece(letter.to_string().into_bytes())))
                    .collect(),
                alphabet: Alphabet::Characters { bytes: Vec::new() },
                ..Vocabulary::default()
            }
        }
    }
}

/// The pairs that are merged, the first first.
pub(super) fn pairs(vocabulary: &Vocabulary) -> Vec<[u32; 2]> {
    let scores = match &vocabulary.merging {
        Merging::Pairs(pairs) => return pairs.clone(),
        Merging::Scores(scores) => scores,
    };
    let ids = ids(vocabulary);
    let mut all: Vec<(f32, u32, [u32; 2])> = Vec::new();
    for (piece, &id) in &ids {
        let Ok(text) = std::str::from_utf8(piece) else { continue };
        for (place, _) in text.char_indices().skip(1) {
            let (first, second) = text.split_at(place);
            if let (Some(&first), Some(&second)) = (ids.get(first.as_bytes()), ids.get(second.as_bytes())) {
                all.push((scores[id as usize], id, [first, second]));
            }
        }
    }
    all.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)).then(one.2.cmp(&other.2)));
    all.into_iter().map(|(_, _, pair)| pair).collect()
}

/// A score for each id: what is merged sooner has a higher one.
pub(super) fn scores(vocabulary: &Vocabulary) -> Vec<f32> {
    let pairs = match &vocabulary.merging {
        Merging::Scores(scores) => return scores.clone(),
        Merging::Pairs(pairs) => pairs,
    };
    let (ids, piece) = (ids(vocabulary), |id: u32| &vocabulary.pieces[id as usize].0);
    let mut scores = vec![-(pairs.len() as f32) - 1.0; vocabulary.pieces.len()];
    for (when, &[first, second]) in pairs.iter().enumerate().rev() {
        if let Some(&id) = ids.get(&[&piece(first)[..], piece(second)].concat()) {
            scores[id as usize] = -(when as f32);
        }
    }
    scores
}

/// The ids of pieces, without the bytes that are written for characters.
fn ids(vocabulary: &Vocabulary) -> HashMap<Vec<u8>, u32> {
    let stand_ins = stand_ins(vocabulary);
    let mut ids = HashMap::new();
    for (id, piece) in (0..).zip(&vocabulary.pieces) {
        if !piece.0.is_empty() && !stand_ins.contains_key(&id) {
            ids.entry(piece.0.clone()).or_insert(id);
        }
    }
    ids
}

/// The bytes that ids are written for.
pub(super) fn stand_ins(vocabulary: &Vocabulary) -> HashMap<u32, u8> {
    match &vocabulary.alphabet {
        Alphabet::Characters { bytes } => bytes.iter().copied().zip(0..=255).collect(),
        Alphabet::Bytes => HashMap::new(),
    }
}

/// How SentencePiece writes a piece: spaces as `▁`, bytes as `<0x0A>`; `id`'s byte, if it stands for one.
pub(super) fn signed(piece: &Piece, byte: Option<&u8>) -> String {
    match byte {
        Some(byte) => format!("<0x{byte:02X}>"),
        None => String::from_utf8_lossy(&piece.0).replace(' ', "▁"),
    }
}
