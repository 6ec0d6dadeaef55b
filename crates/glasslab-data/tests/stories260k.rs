//! A real model of llama2.c: karpathy's stories260K, a Llama trained on TinyStories, with its tokenizer of 512 ids.
//!
//! Needs `stories260K.bin` and `tok512.bin` in one folder, which `GLASSLAB_MODELS` names (else `../shared/data/models` beside the
//! project), and is ignored where they are not: `cargo test -p glasslab-data --test stories260k -- --ignored`.

use glasslab::tokenizer::Tokenizer;
use glasslab_data::foreign::{Foreign, Form};
use std::path::PathBuf;

#[test]
#[ignore = "needs stories260K"]
fn its_sizes_its_weights_and_its_tokenizer_are_read() {
    let beside = || concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/models").into();
    let folder = std::env::var_os("GLASSLAB_MODELS").map_or_else(beside, PathBuf::from);
    let foreign = Foreign::open(&folder.join("stories260K.bin")).unwrap();
    let sizes = ["dim", "hidden_dim", "n_layers", "n_heads", "n_kv_heads", "vocab_size", "max_seq_len"]
        .map(|key| foreign.config.whole(key).unwrap().unwrap());
    assert_eq!((foreign.form, &foreign.family[..], sizes), (Form::Llama2c, "llama", [64, 172, 5, 8, 4, 512, 512]));
    assert_eq!(foreign.weights.len(), 2 + 5 * 9);
    let parameters: usize = foreign.weights.iter().map(|weight| weight.read().unwrap().numel()).sum();
    assert_eq!(parameters, 260_032);
    // What run.c's `encode` gives.
    let tokenizer = foreign.tokenizer(512).unwrap();
    for (text, ids) in [
        (
            "Once upon a time, there was a little girl named Lily.",
            &[1, 403, 407, 261, 378, 432, 383, 286, 261, 376, 298, 315, 421, 395, 317, 426][..],
        ),
        ("été 🦀", &[1, 410, 485, 413, 485, 410, 243, 162, 169, 131]),
    ] {
        let pieces = tokenizer.cut(text).unwrap();
        assert_eq!((&pieces.ids[..], pieces.text.as_str()), (ids, text));
    }
    assert_eq!((tokenizer.label(1).unwrap().as_str(), tokenizer.ends()), ("<s>", &[1, 2][..]));
}
