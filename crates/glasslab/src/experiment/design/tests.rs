//! Designs of every kind, good and spoilt.

use super::*;
use crate::model::{MlpConfig, MlpLm, TransformerConfig, TransformerLm};
use crate::train::{Length, TrainConfig};
use tch::Device;

const TEXTS: [Text; 2] = [Text { chars: 1000, checksum: 1 }, Text { chars: 100, checksum: 2 }];

fn base() -> TransformerConfig {
    let sizes =
        TransformerConfig { n_layers: 1, emb_dim: 48, head_dim: 12, n_hidden: 192, ..TransformerConfig::small() };
    TransformerConfig { n_heads: 4, n_kv_heads: 4, ..sizes }
}

fn training() -> TrainConfig {
    TrainConfig { length: Length::Steps(300), batch_size: 16, ..TrainConfig::default() }
}

fn chars(training: &TrainConfig) -> usize {
    let steps = if let Length::Steps(steps) = training.length { steps } else { 250 };
    steps * training.batch_size * training.context_len
}

fn variant(name: &str, config: TransformerConfig, training: TrainConfig, losses: &[f64]) -> Variant {
    let model = TransformerLm::new(config, Device::Cpu).unwrap();
    let seeds = (0..losses.len() as i64).collect();
    let setup = Setup { chars: chars(&training), ..Setup::new(&model, &training, seeds, TEXTS) };
    let parameters = crate::model::count_parameters(&model);
    let (name, varied, losses) = (name.to_owned(), Default::default(), losses.to_vec());
    Variant { name, varied, losses, parameters, chars_per_second: 1.0, setup }
}

fn design(variants: Vec<Variant>) -> Design {
    Sweep { variants, ..Sweep::new("it") }.design()
}

fn says(design: &Design, kept: Kept, words: &str) {
    assert!(design.rules.iter().any(|rule| rule.kept == kept && rule.said.contains(words)), "{words}\n{design}");
}

#[test]
fn a_good_design_is_told_as_one() {
    let heads = |n_heads: i64, losses: &[f64]| {
        let config = TransformerConfig { n_heads, n_kv_heads: n_heads, head_dim: 48 / n_heads, ..base() };
        variant(&n_heads.to_string(), config, training(), losses)
    };
    let it = design(vec![heads(1, &[1.67, 1.68, 1.69]), heads(4, &[1.66, 1.695, 1.7]), heads(12, &[2.1, 2.11, 2.09])]);
    assert!(it.rules.iter().all(|rule| rule.kept == Kept::Yes), "{it}");
    says(&it, Kept::Yes, "one thing was varied: n_heads (1, 4, 12)");
    says(&it, Kept::Yes, "n_kv_heads (the same)");
    says(&it, Kept::Yes, "n_heads · head_dim stays 48");
    says(&it, Kept::Yes, "3 variants");
    says(&it, Kept::Yes, "3 seeds");
    says(&it, Kept::Yes, "1,000 characters learnt from, 100 measured on");
    says(&it, Kept::Yes, "the same number of characters learnt from: 307,200");
    let said = it.to_string();
    assert!(said.contains("1 is better than 12 by 0.420: 51.4 standard errors, believe it"), "{said}");
    assert!(said.contains("1 is better than 4 by 0.005: 0.4 standard errors, it may be chance"), "{said}");
    assert_eq!(it.pairs.len(), 3);
}

#[test]
fn a_context_and_what_follows_from_it_is_one_thing() {
    let context = |context_len: i64| {
        let training =
            TrainConfig { context_len: context_len as usize, batch_size: 1024 / context_len as usize, ..training() };
        variant(&context_len.to_string(), TransformerConfig { context_len, ..base() }, training, &[1.0, 1.1])
    };
    let it = design([4, 16, 64].map(context).into());
    says(&it, Kept::Yes, "one thing was varied: context_len (4, 16, 64)");
    says(&it, Kept::Yes, "training.context_len (the same)");
    says(&it, Kept::Yes, "context_len · training.batch_size stays 1024");
    says(&it, Kept::Mind, "a rough guess");
}

#[test]
fn what_spoils_an_experiment_is_named() {
    let multi = TransformerConfig { n_kv_heads: 1, ..base() };
    let it = design(vec![
        variant("base", base(), training(), &[1.7]),
        variant("multi", multi, TrainConfig { lr: 0.02, ..training() }, &[1.8]),
    ]);
    says(&it, Kept::No, "2 things were varied at once");
    says(&it, Kept::No, "n_kv_heads (4, 1); training.lr (0.01, 0.02)");
    says(&it, Kept::Mind, "also the number of parameters differs: 52,224, 48,768");
    says(&it, Kept::No, "2 variants");
    says(&it, Kept::No, "one seed has no error bar");
    assert!(it.to_string().contains("no error bar, so nothing can be said"), "{it}");

    let longer = TrainConfig { length: Length::Steps(600), ..training() };
    let it = design(vec![variant("a", base(), training(), &[1.7, 1.7]), variant("b", base(), longer, &[1.6, 1.5])]);
    says(&it, Kept::Yes, "one thing was varied: training.length (300 steps, 600 steps)");
    says(&it, Kept::No, "307,200 to 614,400");
    says(&it, Kept::No, "all seeds of a gave the very same loss");
    let clock = |seconds| TrainConfig { length: Length::Seconds(seconds), ..training() };
    let mut slow = variant("b", multi, clock(9.0), &[1.6, 1.5]);
    slow.setup.chars /= 2;
    says(&design(vec![variant("a", base(), clock(9.0), &[1.7, 1.8]), slow]), Kept::Mind, "by the clock");

    let mut other = variant("b", base(), training(), &[1.6, 1.5, 1.7]);
    says(
        &design(vec![variant("a", base(), training(), &[1.7, 1.8]), other.clone()]),
        Kept::No,
        "nothing that can be seen",
    );
    says(&design(vec![variant("a", base(), training(), &[1.7, 1.8]), other.clone()]), Kept::Mind, "same seeds");
    other.setup.texts[0].chars = 2000;
    says(
        &design(vec![variant("a", base(), training(), &[1.7, 1.8]), other.clone()]),
        Kept::Yes,
        "the text learnt from (1,000",
    );
    other.setup.texts = [TEXTS[0], TEXTS[0]];
    says(&design(vec![variant("a", base(), training(), &[1.7, 1.8]), other]), Kept::No, "can't be compared");
    says(&design(Vec::new()), Kept::No, "nothing was measured yet");
}

#[test]
fn variants_that_each_change_one_thing_of_a_base_are_compared_with_it() {
    let it = design(vec![
        variant("base", base(), training(), &[1.70, 1.71]),
        variant("multi", TransformerConfig { n_kv_heads: 1, ..base() }, training(), &[1.75, 1.76]),
        variant("deep", TransformerConfig { n_layers: 2, ..base() }, training(), &[1.60, 1.61]),
    ]);
    says(&it, Kept::Yes, "each differs from base in one thing: multi in n_kv_heads (4, 1); deep in n_layers (1, 2)");
    assert_eq!(it.pairs.len(), 2);
    assert!(it.pairs.iter().all(|pair| [&pair.better, &pair.worse].contains(&&"base".to_owned())), "{it}");
    // What is equal by chance does not follow: both were varied.
    let grown = |number: i64| {
        variant(
            &number.to_string(),
            TransformerConfig { n_layers: number, seed: 1, ..base() },
            TrainConfig { reports: number as usize, ..training() },
            &[1.0, 1.1],
        )
    };
    says(&design([1, 2, 4].map(grown).into()), Kept::No, "2 things were varied at once");
}

#[test]
fn what_follows_from_a_width_is_one_thing_with_it() {
    let width = |n_heads: i64| {
        let emb_dim = 12 * n_heads;
        let config = TransformerConfig { n_heads, n_kv_heads: n_heads, emb_dim, n_hidden: 4 * emb_dim, ..base() };
        variant(&emb_dim.to_string(), config, training(), &[1.0, 1.1])
    };
    let it = design([1, 2, 4].map(width).into());
    says(&it, Kept::Yes, "one thing was varied: emb_dim (12, 24, 48), and with it n_heads (emb_dim / 12)");
    says(&it, Kept::Yes, "n_hidden (4 · emb_dim)");
}

#[test]
fn kinds_of_models_and_models_of_ones_own_are_told_apart() {
    let of = |name: &str, setup: Setup| Variant {
        name: name.to_owned(),
        varied: Default::default(),
        losses: vec![1.0, 1.1],
        parameters: 1,
        chars_per_second: 1.0,
        setup,
    };
    let mlp = MlpLm::new(MlpConfig::original(), Device::Cpu).unwrap();
    let mine = crate::model::Mine::new();
    let all = vec![
        of("mlp", Setup::new(&mlp, &training(), vec![0, 1], TEXTS)),
        of("transformer", variant("", base(), training(), &[]).setup),
        of("mine", Setup::new(&mine, &training(), vec![0, 1], TEXTS)),
    ];
    says(&design(all), Kept::Yes, "one thing was varied: model (mlp, transformer, Mine), and with it its sizes");
    let mut wider = Setup::new(&mine, &training(), vec![0, 1], TEXTS);
    for (name, value) in &mut wider.settings {
        if ["shape of embedding", "shape of position"].contains(&name.as_str()) {
            *value = value.replace("32", "64");
        }
    }
    let all = vec![of("32", Setup::new(&mine, &training(), vec![0, 1], TEXTS)), of("64", wider)];
    says(&design(all), Kept::Yes, "shape of embedding (256 × 32, 256 × 64), and with it shape of position");
}

#[test]
fn of_many_variants_each_is_compared_with_the_best() {
    let many = (0..7).map(|number| {
        let loss = 2.0 - 0.1 * f64::from(number % 6);
        variant(&number.to_string(), base(), training(), &[loss, loss + 0.01])
    });
    let it = design(many.collect());
    assert_eq!(it.pairs.len(), 6);
    assert!(it.pairs.iter().all(|pair| pair.better == "5" && pair.difference > 0.0), "{it}");
}
