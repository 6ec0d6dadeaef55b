//! The exercises on tokenization: text to ids and back, and where the targets come from.

use super::table::exercise;
use super::{inputs, reference, verdict::Verdict};
use crate::rng::Rng;

exercise! {
    ENCODE: String => Vec<i64> = encode(text),
    task: "Write a function that turns a text into its ids, a list: the code point of each character, without those that are 256 or above.",
    hints: [
        "text.chars() gives the characters one by one. What number does `character as i64` give?",
        "Two steps: map each character to its number, then filter out the numbers that are not below 256.",
        "text.chars().map(|character| character as i64).filter(|id| …).collect(), with a condition for the dots.",
    ],
    input: text,
    given: text,
    reference: reference::encode(text),
    mistakes: {
        "you kept the characters outside of the vocabulary: only ids below 256 have a row in the model"
            => kept(text, Some),
        "you took the bytes of the text instead of its code points: é is two bytes, but one character"
            => text.bytes().map(i64::from).collect(),
        "you kept 256 too: with n_vocab = 256 the ids are 0 to 255"
            => kept(text, |code| Some(code).filter(|code| *code <= 256)),
        "you cut large code points down to one byte (`as u8`): 🦀 then becomes some other character"
            => kept(text, |code| Some(code % 256)),
        "you dropped everything above ASCII: é is 233, and has a place below 256"
            => kept(text, |code| Some(code).filter(|code| *code < 128)),
    },
}

fn kept(text: &str, change: fn(i64) -> Option<i64>) -> Vec<i64> {
    text.chars().filter_map(|character| change(i64::from(u32::from(character)))).collect()
}

/// Checks `encode`: a text → the ids of its characters below 256.
pub fn encode(f: impl Fn(&str) -> Vec<i64>) -> Verdict {
    ENCODE.judge(&|text| f(text))
}

/// Ordinary text first, then more and more that falls out.
fn text(number: usize, rng: &mut Rng) -> String {
    let length = inputs::between(rng, 4, 9);
    let mut pick = |from: &str| from.chars().nth(rng.below(from.chars().count())).unwrap_or('a');
    let known: String = (0..length).map(|_| pick("abc xyzABC.,\n")).collect();
    match number {
        0 => known,
        1 => String::new(),
        2 => format!("{known}é{}", pick("üñçÿ")),
        3 => format!("{}{known}\u{100}", pick("éàß")),
        _ => format!("“{known}{}”{}é", pick("🦀€…"), pick("🦀日")),
    }
}

exercise! {
    DECODE: Vec<i64> => String = decode(ids),
    task: "Write a function that turns ids (each in 0..256) back into a text.",
    hints: [
        "Each id is the code point of one character. What is the way back from a number to a character?",
        "`*id as u8 as char` is the character of an id below 256 that a list lends you.",
        "ids.iter().map(|id| …).collect(): collecting characters gives a String.",
    ],
    input: |number, rng| match number {
        0 => vec![79, 110, 99, 101],
        1 => Vec::new(),
        _ => [inputs::ids(rng, 5, 128), inputs::ids(rng, 2, 256), vec![233]].concat(),
    },
    given: ids,
    reference: reference::decode(ids),
    mistakes: {
        "you took the ids for the bytes of UTF-8: above 127 these are no longer the code points"
            => {
                let bytes: Vec<u8> = ids.iter().map(|id| *id as u8).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            },
        "you wrote the numbers themselves: 79 should become O" => ids.iter().map(i64::to_string).collect(),
        "you put a space between the characters: the spaces of the text are ids of their own (32)"
            => {
                let known: Vec<String> = ids.iter().map(|id| char::from(*id as u8).to_string()).collect();
                known.join(" ")
            },
        "your text runs backwards" => ids.iter().rev().map(|id| char::from(*id as u8)).collect(),
    },
}

/// Checks `decode`: ids → the text.
pub fn decode(f: impl Fn(&[i64]) -> String) -> Verdict {
    DECODE.judge(&|ids| f(ids))
}

exercise! {
    TARGETS: Vec<i64> => (Vec<i64>, Vec<i64>) = targets(ids),
    task: "Write a function that gives, for the T ids of a text, a pair: T − 1 inputs and T − 1 targets. The target of each input is \
           the id that comes next. The last id has no target, so it is no input.",
    hints: [
        "A text of 5 characters holds 4 exercises. Which of its characters are never an input, and which are never a target?",
        "Both are slices of ids, one shorter than it: inputs without the last, targets without the first.",
        "(ids[..ids.len() - 1].to_vec(), ids[…].to_vec())",
    ],
    input: |number, rng| inputs::ids(rng, 4 + number as i64, 256),
    given: ids,
    reference: reference::targets(ids),
    mistakes: {
        SAME => (ids[..ids.len() - 1].to_vec(), ids[..ids.len() - 1].to_vec()),
        SAME => (ids.clone(), ids.clone()),
        "each target is two places on: off by one" => (ids[..ids.len() - 2].to_vec(), ids[2..].to_vec()),
        "the targets are the characters before instead of the next ones: the two are exchanged"
            => (ids[1..].to_vec(), ids[..ids.len() - 1].to_vec()),
        "you kept the last character as an input, but nothing comes after it" => (ids.clone(), ids[1..].to_vec()),
    },
}

const SAME: &str = "each target is its own input: a model would learn to repeat what it sees, with a loss of 0";

/// Checks `targets`: T ids → T − 1 inputs and T − 1 targets.
pub fn targets(f: impl Fn(&[i64]) -> (Vec<i64>, Vec<i64>)) -> Verdict {
    TARGETS.judge(&|ids| f(ids))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::judge::named;

    #[test]
    fn the_right_ones_are_right() {
        let encoded = encode(|text| text.chars().map(|character| character as i64).filter(|id| *id < 256).collect());
        assert!(encoded.is_right(), "{encoded}");
        let decoded = decode(|ids| ids.iter().map(|id| *id as u8 as char).collect());
        assert!(decoded.is_right(), "{decoded}");
        let targets = targets(|ids| (ids[..ids.len() - 1].to_vec(), ids[1..].to_vec()));
        assert!(targets.is_right(), "{targets}");
    }

    #[test]
    fn each_mistake_of_encode_is_named() {
        named(encode(|text| text.chars().map(|character| character as i64).collect()), "kept the characters outside");
        named(encode(|text| text.bytes().map(|byte| byte as i64).collect()), "bytes of the text");
        named(encode(|text| text.chars().map(|c| c as i64).filter(|id| *id <= 256).collect()), "kept 256 too");
        named(encode(|text| text.chars().map(|c| c as u8 as i64).collect()), "down to one byte");
        named(encode(|text| text.chars().filter(char::is_ascii).map(|c| c as i64).collect()), "above ASCII");
    }

    #[test]
    fn each_mistake_of_decode_is_named() {
        let bytes = |ids: &[i64]| ids.iter().map(|id| *id as u8).collect::<Vec<u8>>();
        named(decode(|ids| String::from_utf8_lossy(&bytes(ids)).to_string()), "bytes of UTF-8");
        named(decode(|ids| ids.iter().map(|id| format!("{id}")).collect()), "numbers themselves");
        named(decode(|ids| bytes(ids).iter().rev().map(|byte| *byte as char).collect()), "backwards");
        let spaced = |ids: &[i64]| {
            let mut text = String::new();
            for id in ids {
                text.push(*id as u8 as char);
                text.push(' ');
            }
            text.pop();
            text
        };
        named(decode(spaced), "space between");
    }

    #[test]
    fn each_mistake_of_targets_is_named() {
        named(targets(|ids| (ids.to_vec(), ids.to_vec())), "its own input");
        named(targets(|ids| (ids[..ids.len() - 1].to_vec(), ids[..ids.len() - 1].to_vec())), "its own input");
        named(targets(|ids| (ids[..ids.len() - 2].to_vec(), ids[2..].to_vec())), "two places on");
        named(targets(|ids| (ids[1..].to_vec(), ids[..ids.len() - 1].to_vec())), "exchanged");
        named(targets(|ids| (ids.to_vec(), ids[1..].to_vec())), "nothing comes after");
    }

    #[test]
    fn what_is_wrong_in_no_known_way_shows_the_first_difference() {
        let said = encode(|_| vec![1]).to_string();
        assert!(
            said.contains("expected: [") && said.contains("got:      [1]") && said.contains("check::hint"),
            "{said}"
        );
        assert!(targets(|_| todo!()).to_string().contains("not written yet"));
        assert!(decode(|ids| (ids[99] as u8 as char).to_string()).to_string().contains("index out of bounds"));
    }
}
