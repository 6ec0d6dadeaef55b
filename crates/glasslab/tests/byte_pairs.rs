//! Our byte pairs beside those of the `tokenizers` library: the same pieces, in the same order, and the same cuts.
//!
//! Its results are in a golden file, made by `tests/golden/byte_pairs.py`: the library itself would have all that the tests
//! share with the lab built a second time.

use glasslab::data::Dataset;
use glasslab::tokenizer::BytePair;
use serde_json::Value;

#[test]
fn the_stories_give_the_vocabulary_and_the_cuts_of_the_tokenizers_library() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/byte_pairs.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let stories = Dataset::embedded().unwrap().train;
    assert_eq!(golden["stories"].as_u64().unwrap() as usize, stories.len());
    let pairs = BytePair::train(&stories, 1024).unwrap();
    let hex = |piece: &Vec<u8>| Value::from(piece.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let ours: Vec<Value> = pairs.pieces[256..].iter().map(hex).collect();
    assert_eq!(Value::from(ours), golden["pieces"]);
    for cut in golden["cuts"].as_array().unwrap() {
        let text = cut["text"].as_str().unwrap();
        assert_eq!(Value::from(pairs.encode(text)), cut["ids"], "{text:?}");
    }
}
