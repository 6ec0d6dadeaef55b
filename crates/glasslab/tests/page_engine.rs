//! The page's engine (`page/engine`, in JavaScript) beside the library: the same numbers, the same texts, the same arithmetic.
//!
//! Needs node 18 or later, and is ignored where there is none: `scripts/test` runs it where one is, or `cargo test -p glasslab
//! --test page_engine -- --ignored`.

use glasslab::checkpoint::{AnyModel, ModelConfig};
use glasslab::generate::{Sampling, generate};
use glasslab::intervene::{Altered, Changes, Cut};
use glasslab::measure::Lens;
use glasslab::model::attention::Weighting;
use glasslab::model::norm::NormKind;
use glasslab::model::rotary::{Slowed, Speeds};
use glasslab::model::{
    Activation, Every, Family, LanguageModel, MlpConfig, Ngrams, Positions, TransformerConfig, Window,
};
use glasslab::rng::Rng;
use glasslab::tokenizer::{AnyTokenizer, BytePair, CharTokenizer, Subwords, Tokenizer, Vocabulary};
use glasslab::trace::{Trace, Traceable};
use glasslab::view::Page;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use tch::{Device, Kind, Tensor};

const TEXT: &str = "Once up, é o";

/// Models of every switch, as small as they can be without hiding one.
fn configs() -> Vec<ModelConfig> {
    let small = TransformerConfig {
        context_len: 20,
        emb_dim: 24,
        n_layers: 3,
        n_heads: 4,
        n_kv_heads: 4,
        head_dim: 6,
        n_hidden: 40,
        ..TransformerConfig::small()
    };
    let sized = |config: TransformerConfig| TransformerConfig {
        context_len: small.context_len,
        emb_dim: small.emb_dim,
        n_layers: small.n_layers,
        n_heads: small.n_heads,
        n_kv_heads: 2,
        head_dim: small.head_dim,
        n_hidden: small.n_hidden,
        n_vocab: small.n_vocab,
        window: config.window.map(|window| Window { len: 4, ..window }),
        ..config
    };
    let slow_ones = Some(Slowed::SlowOnes { factor: 4.0, low: 1.0, high: 4.0, context_len: 32.0 });
    let every_second = Some(Window { len: 3, except: Some(Every { step: 2, first: 0 }) });
    let original = TransformerConfig { n_vocab: 300, ..TransformerConfig::original() };
    let mut all = vec![
        original,
        small,
        TransformerConfig { positions: Positions::None, activation: Activation::Gelu, n_layers: 2, ..original },
        TransformerConfig { tied: true, norm: NormKind::Layer, bias: true, n_kv_heads: 2, ..small },
        TransformerConfig { weighting: Weighting::Sigmoid, n_kv_heads: 1, ..small },
        TransformerConfig { previous_head: true, positions: Positions::Learned, final_norm: false, ..small },
        TransformerConfig {
            positions: Positions::Learned,
            norm: NormKind::Layer,
            qkv_bias: true,
            attention_bias: true,
            bias: true,
            qk_norm: false,
            activation: Activation::GeluTanh,
            scaled_embedding: true,
            window: every_second,
            ..small
        },
        TransformerConfig {
            norm: NormKind::ScaledRms,
            qk_scale: true,
            epsilon: 1e-3,
            gated: true,
            norms_after: true,
            n_kv_heads: 2,
            activation: Activation::Silu,
            window: every_second,
            window_speeds: Some(Speeds { base: 100.0, slowed: Some(Slowed::Evenly { factor: 2.0 }) }),
            speeds: Speeds { base: 500_000.0, slowed: slow_ones },
            ..small
        },
        TransformerConfig { ngrams: Some(Ngrams { longest: 2, rows: 9 }), ..original },
        TransformerConfig { ngrams: Some(Ngrams { longest: 5, rows: 200 }), ..small },
    ];
    all.extend(Family::ALL.map(|family| sized(family.config())));
    let mut all: Vec<ModelConfig> = all.into_iter().map(ModelConfig::Transformer).collect();
    all.push(ModelConfig::Mlp(MlpConfig { n_vocab: 300, ..MlpConfig::original() }));
    all
}

/// A model with noise on every parameter, each rounded to the 16 bits that a page keeps of it.
fn awake(config: ModelConfig) -> AnyModel {
    let (model, mut rng) = (AnyModel::new(config, Device::Cpu).unwrap(), Rng::new(2));
    let _guard = tch::no_grad_guard();
    for mut parameter in model.parameters() {
        let noisy = &parameter.tensor + rng.normal_tensor(&parameter.tensor.size(), 0.2);
        parameter.tensor.copy_(&noisy.to_kind(Kind::Half));
    }
    model
}

/// A model as a page has it.
fn page(model: &AnyModel) -> Value {
    Page::new(model).unwrap().data("a page").unwrap()["models"][0].take()
}

/// The engine's answers.
fn answers(models: &[Value], tokenizers: &[AnyTokenizer], questions: &[Value]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("questions.json");
    let asked = json!({"models": models, "tokenizers": tokenizers, "questions": questions});
    std::fs::write(&path, asked.to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page_engine.mjs");
    let output = Command::new("node").arg(script).arg(path).output().unwrap_or_else(|error| panic!("node: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let answers: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answers.len(), questions.len());
    answers
}

fn answer(model: &AnyModel, question: Value) -> Value {
    answers(&[page(model)], &[], &[question]).remove(0)
}

fn ids(model: &AnyModel) -> Vec<i64> {
    model.tokenizer().cut(TEXT).unwrap().ids
}

/// A tensor's numbers; what is not finite is `None`, as in an answer.
fn numbers(tensor: &Tensor) -> Vec<Option<f64>> {
    let flat = Vec::<f64>::try_from(tensor.to_kind(Kind::Double).contiguous().view([-1])).unwrap();
    flat.into_iter().map(|number| Some(number).filter(|number| number.is_finite())).collect()
}

/// Fails unless the engine's numbers are the library's up to `off`, and up to a share of the largest.
#[track_caller]
fn same(what: &str, theirs: &Value, ours: &Tensor, off: f64, share: f64) {
    let theirs: Vec<Option<f64>> = serde_json::from_value(theirs.clone()).unwrap();
    let ours = numbers(ours);
    assert_eq!(theirs.len(), ours.len(), "{what}");
    let largest = ours.iter().flatten().fold(0.0, |largest: f64, number| largest.max(number.abs()));
    for (place, (theirs, ours)) in theirs.iter().zip(&ours).enumerate() {
        let apart = theirs.zip(*ours).map(|(theirs, ours)| (theirs - ours).abs());
        let is_same = apart.map_or(theirs.is_none() && ours.is_none(), |apart| apart <= off + share * largest);
        assert!(is_same, "{what} at {place}: {theirs:?} in the page, {ours:?} in the library, of {largest}");
    }
}

fn shape_without_batch(tensor: &Tensor) -> Vec<i64> {
    tensor.size()[1..].to_vec()
}

#[test]
#[ignore = "needs node"]
fn every_step_of_every_switch_is_the_librarys_in_name_shape_numbers_and_words() {
    for config in configs() {
        let model = awake(config);
        let trace = model.trace(TEXT).unwrap();
        let theirs = answer(&model, json!({"model": 0, "ask": "steps", "ids": ids(&model)}));
        let steps = theirs["steps"].as_array().unwrap();
        let names = |step: &Value| step["name"].as_str().unwrap().to_owned();
        let own: Vec<&str> = trace.steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(steps.iter().map(names).collect::<Vec<_>>(), own, "{config:?}");
        assert_eq!(theirs["labels"], json!(trace.labels));
        assert!((theirs["loss"].as_f64().unwrap() - trace.loss().unwrap()).abs() < 1e-4, "{config:?}");
        for (theirs, ours) in steps.iter().zip(&trace.steps) {
            let what = format!("{} of {config:?}", ours.name);
            assert_eq!(theirs["shape"], json!(shape_without_batch(&ours.tensor)), "{what}");
            assert_eq!(
                (&theirs["formula"], &theirs["meaning"]),
                (&json!(ours.formula), &json!(ours.meaning)),
                "{what}"
            );
            assert_eq!(theirs["axes"], json!(ours.axes[1..]), "{what}");
            same(&what, &theirs["data"], &ours.tensor, 1e-4, 1e-5);
        }
    }
}

/// Texts that both have written. Where a random number falls between two roundings of a probability, about once in a million
/// characters, they go different ways: one in 200 texts may, and a fault in the engine shows in many.
#[derive(Default)]
struct Texts {
    count: usize,
    different: Vec<String>,
}

impl Texts {
    fn tell(&mut self, theirs: &Value, ours: &str, what: impl Fn() -> String) {
        self.count += 1;
        if theirs.as_str() != Some(ours) {
            self.different.push(format!("{}\npage:    {theirs}\nlibrary: {ours:?}", what()));
        }
    }

    fn check(self) {
        assert!(self.count > 100, "only {} texts were compared", self.count);
        assert!(200 * self.different.len() <= self.count, "of {}: {}", self.count, self.different.join("\n\n"));
    }
}

#[test]
#[ignore = "needs node"]
fn the_same_texts_are_written_for_a_seed_and_settings() {
    let mut told = Texts::default();
    let plain = || Sampling { chars: 60, temperature: 1.0, ..Sampling::default() };
    for config in configs() {
        let model = awake(config);
        let some = [
            Sampling { chars: 60, ..Sampling::greedy() },
            Sampling { chars: 0, ..plain() },
            Sampling { seed: 3, ..plain() },
            Sampling { temperature: 0.3, seed: u64::MAX, ..plain() },
            Sampling { top_k: Some(5), temperature: 2.0, seed: 1 << 40, ..plain() },
            Sampling { top_p: Some(0.7), seed: 4, ..plain() },
            Sampling { top_k: Some(200), top_p: Some(0.5), seed: 5, ..plain() },
            Sampling { stop: Some("e".to_owned()), chars: 200, seed: 6, ..plain() },
        ];
        let (mut questions, mut texts) = (Vec::new(), Vec::new());
        for (prompt, sampling) in some.iter().flat_map(|sampling| {
            ["Once", "", "a日b", &"Once upon ".repeat(5)].map(|prompt| (prompt.to_owned(), sampling))
        }) {
            let Sampling { chars, temperature, top_k, top_p, stop, seed, .. } = sampling;
            // A number of JavaScript's holds 53 bits; a text of digits, all of them.
            let settings = json!({
                "chars": chars, "temperature": temperature, "topK": top_k, "topP": top_p, "stop": stop, "seed": seed.to_string()
            });
            questions.push(json!({"model": 0, "ask": "write", "prompt": prompt, "settings": settings}));
            texts.push(generate(&model, &model.tokenizer(), &prompt, sampling).unwrap());
        }
        for ((theirs, ours), question) in answers(&[page(&model)], &[], &questions).iter().zip(&texts).zip(&questions) {
            told.tell(theirs, ours, || format!("{question} {config:?}"));
        }
    }
    told.check();
}

fn cut(said: &Value) -> Cut {
    let number = |key: &str| said[key].as_i64().unwrap();
    match said["kind"].as_str().unwrap() {
        "head" => Cut::Head { layer: number("layer") as usize, head: number("head") },
        "block" => Cut::Block(number("layer") as usize),
        "positions" => Cut::Positions,
        "mask" => Cut::Mask,
        "residual" => Cut::Residual(number("layer") as usize),
        other => panic!("no cut is a {other}"),
    }
}

#[test]
#[ignore = "needs node"]
fn every_cut_alone_and_some_together_give_the_logits_texts_and_gradients_of_the_altered_model() {
    let mut told = Texts::default();
    for config in configs() {
        let model = awake(config);
        let all = answer(&model, json!({"model": 0, "ask": "cuts"}));
        let mut sets: Vec<Vec<Value>> = Vec::new();
        for said in all.as_array().unwrap() {
            assert_eq!(said["name"], json!(cut(&said["cut"]).to_string()));
            sets.push(vec![said["cut"].clone()]);
        }
        assert_eq!(sets.is_empty(), matches!(config, ModelConfig::Mlp(_)));
        let heads = sets.iter().flatten().filter(|said| said["kind"] == "head").count();
        if let ModelConfig::Transformer(config) = config {
            assert_eq!(heads as i64, config.n_layers * config.n_heads);
            sets.push(
                sets.iter()
                    .flatten()
                    .filter(|said| ["positions", "mask", "head"].contains(&said["kind"].as_str().unwrap()))
                    .cloned()
                    .collect(),
            );
            sets.push(vec![
                json!({"kind": "block", "layer": 0}),
                json!({"kind": "residual", "layer": config.n_layers - 1}),
            ]);
        }
        let settings = |cuts| json!({"chars": 24, "temperature": 1.0, "seed": 2, "cuts": cuts});
        let questions: Vec<Value> = sets
            .iter()
            .flat_map(|cuts| {
                [
                    json!({"model": 0, "ask": "logits", "ids": ids(&model), "cuts": cuts}),
                    json!({"model": 0, "ask": "write", "prompt": "Once", "settings": settings(cuts)}),
                    json!({"model": 0, "ask": "gradients", "ids": ids(&model), "cuts": cuts}),
                ]
            })
            .collect();
        let answered = answers(&[page(&model)], &[], &questions);
        for (cuts, answered) in sets.iter().zip(answered.chunks(3)) {
            let changes = Changes { cuts: cuts.iter().map(cut).collect(), patches: Vec::new() };
            let altered = Altered::new(&model, &changes);
            let what = format!("{changes} of {config:?}");
            let logits = altered.logits(&Tensor::from_slice(&ids(&model)).unsqueeze(0)).unwrap();
            same(&what, &answered[0], &logits, 1e-4, 1e-5);
            let sampling = Sampling { chars: 24, temperature: 1.0, seed: 2, ..Sampling::default() };
            let written = generate(&altered, &model.tokenizer(), "Once", &sampling).unwrap();
            told.tell(&answered[1], &written, || what.clone());
            same_gradients(&what, &answered[2], &altered.backward(TEXT).unwrap());
        }
    }
    told.check();
}

/// Fails unless all gradients are the library's: each tensor's within 1e-3 of its largest number.
#[track_caller]
fn same_gradients(what: &str, theirs: &Value, trace: &Trace) {
    assert!((theirs["loss"].as_f64().unwrap() - trace.loss().unwrap()).abs() < 1e-4, "{what}");
    let named = |name: &str| if name.starts_with("parameter:") { name.to_owned() } else { format!("parameter:{name}") };
    let steps = trace.steps.iter().filter(|step| step.name != "ids").map(|step| (step.name.clone(), step));
    let all: Vec<_> = steps.chain(trace.parameters.iter().map(|one| (named(&one.name), one))).collect();
    assert_eq!(theirs["gradients"].as_object().unwrap().len(), all.len(), "{what}");
    for (name, step) in all {
        let gradient = &step.gradient().unwrap().tensor;
        same(&format!("∂loss/∂{name} of {what}"), &theirs["gradients"][&name], gradient, 1e-7, 1e-3);
    }
}

#[test]
#[ignore = "needs node"]
fn the_gradients_of_every_step_and_parameter_are_the_librarys() {
    for config in configs() {
        let model = awake(config);
        let theirs = answer(&model, json!({"model": 0, "ask": "gradients", "ids": ids(&model)}));
        same_gradients(&format!("{config:?}"), &theirs, &model.backward(TEXT).unwrap());
    }
}

#[test]
#[ignore = "needs node"]
fn the_lens_reads_every_layer_as_the_librarys_does() {
    for config in configs().into_iter().filter(|config| matches!(config, ModelConfig::Transformer(_))) {
        let model = awake(config);
        let theirs = answer(&model, json!({"model": 0, "ask": "lens", "ids": ids(&model)}));
        let ours = Lens::new(&model, TEXT).unwrap();
        assert_eq!(theirs.as_array().unwrap().len(), ours.rows.len());
        for (theirs, ours) in theirs.as_array().unwrap().iter().zip(&ours.rows) {
            assert_eq!(theirs["step"], json!(ours.step));
            assert!((theirs["nats"].as_f64().unwrap() - ours.nats.unwrap()).abs() < 1e-4, "{config:?}");
            for (theirs, (label, p)) in theirs["predictions"].as_array().unwrap().iter().zip(&ours.predictions) {
                assert_eq!(theirs["label"], json!(label), "{} of {config:?}", ours.step);
                assert!((theirs["p"].as_f64().unwrap() - p).abs() < 1e-4, "{config:?}");
            }
        }
    }
}

/// A line's numbers, and what stands around them.
fn parted(line: &str) -> (String, Vec<f64>) {
    let (mut words, mut numbers) = (String::new(), Vec::new());
    let mut rest = line;
    while let Some(digit) = rest.find(|sign: char| sign.is_ascii_digit()) {
        words += &rest[..digit];
        words.push('#');
        let end = |text: &str| text.find(|sign: char| !sign.is_ascii_digit() && sign != '.').unwrap_or(text.len());
        let mut length = digit + end(&rest[digit..]);
        // 1.23e−4
        if let Some(power) =
            rest[length..].strip_prefix("e−").filter(|power| power.starts_with(|sign: char| sign.is_ascii_digit()))
        {
            length = rest.len() - power.len() + end(power);
        }
        numbers.push(rest[digit..length].trim_end_matches('.').replace('−', "-").parse().unwrap());
        rest = &rest[length..];
    }
    (words + rest, numbers)
}

#[test]
#[ignore = "needs node"]
fn the_arithmetic_by_hand_is_the_librarys_line_for_line() {
    for config in configs() {
        let model = awake(config);
        let trace = model.trace(TEXT).unwrap();
        let mut places = Vec::new();
        for step in trace.steps.iter().filter(|step| step.name != "ids") {
            let size = shape_without_batch(&step.tensor);
            let at =
                |share: f64| -> Vec<i64> { size.iter().map(|&length| ((length - 1) as f64 * share) as i64).collect() };
            places.extend([0.0, 0.35, 0.6, 1.0].map(|share| (step.name.clone(), at(share))));
            // Where nobody looks ahead.
            if let [head, row, column] = at(0.5)[..] {
                places.extend([
                    (step.name.clone(), vec![head, row + 1, column / 2]),
                    (step.name.clone(), vec![head, row, 0]),
                ]);
            }
        }
        let theirs = answer(&model, json!({"model": 0, "ask": "by_hand", "ids": ids(&model), "places": places}));
        for ((step, place), theirs) in places.iter().zip(theirs.as_array().unwrap()) {
            let ours = trace.by_hand(step, &[&[0], &place[..]].concat()).unwrap().to_string();
            let theirs: Vec<&str> = theirs.as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
            let what = format!("{step} {place:?} of {config:?}\npage:    {}\nlibrary: {ours}", theirs.join("\n"));
            let (first, second) = ours.split_once('\n').unwrap();
            let [(words, numbers), (own_words, own_numbers)] = [theirs[0], first].map(parted);
            assert_eq!(words, own_words, "{what}");
            for (theirs, ours) in numbers.iter().zip(&own_numbers) {
                assert!((theirs - ours).abs() <= 2e-4 + 1e-4 * ours.abs(), "{what}");
            }
            let small =
                |line: &str| line.split_once("difference ").map(|(words, apart)| (parted(words).0, parted(apart).1[0]));
            let ((words, apart), (own_words, _)) = (small(theirs[1]).unwrap(), small(second).unwrap());
            assert_eq!(words, own_words, "{what}");
            assert!(apart < 1e-4, "{what}");
        }
    }
}

/// Texts that tokenizers stumble on, and random ones of such parts.
fn hostile() -> Vec<String> {
    let few = [
        "the",
        " the",
        "  ",
        "\n",
        "\r\n",
        "\t",
        "é",
        "e\u{301}",
        "\u{301}",
        "日本",
        "한",
        "🦀",
        "👩\u{200d}🌾",
        "\u{feff}",
        "\u{85}",
        "\u{a0}",
        "1234",
        "Ⅷ",
        "²",
        "'s",
        "'LL",
        "'ſ",
        "’",
        "<s>",
        "<s><s>",
        "</s>",
        "▁",
        "\u{0}",
        "ﬁ",
        "!?.",
        "_",
        "hhe",
        "\u{202e}",
        "\u{2028}",
        "Å",
    ];
    let mut rng = Rng::new(1);
    let mut made = || (0..rng.below(9)).map(|_| few[rng.below(few.len())]).collect::<String>();
    few.iter()
        .map(|text| (*text).to_owned())
        .chain((0..300).map(|_| made()))
        .chain([few.concat(), "the ".repeat(700)])
        .collect()
}

fn tokenizers() -> Vec<AnyTokenizer> {
    let pairs = json!({"kind": "pairs", "merges": [[104, 101], [32, 116], [257, 256], [104, 104], [116, 256], [32, 260], [13, 10], [195, 169]]});
    let byte = |byte: u8| if byte.is_ascii() { json!((byte as char).to_string()) } else { json!([byte]) };
    let bytes: Vec<Value> = (0..=255).map(byte).collect();
    let special = json!([{"id": 259, "text": "<s>"}, {"id": 260, "text": "<s><s>"}]);
    let of_bytes = |changes: Value| {
        let pieces: Vec<Value> =
            bytes.iter().cloned().chain([" t", "he", " the", "<s>", "<s><s>", ""].map(|piece| json!(piece))).collect();
        let pairs = json!({"pairs": [[32, 116], [104, 101], [256, 257]]});
        let mut all =
            json!({"pieces": pieces, "alphabet": "bytes", "merging": pairs, "split": "gpt2", "special": special});
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        all
    };
    let of_letters = |changes: Value| {
        let letters = [" ", "t", "h", "e", "é", "he", " t", " the", "  "].map(|piece| json!(piece));
        let pieces: Vec<Value> = ["<unk>", "<s>", "</s>"]
            .map(|piece| json!(piece))
            .into_iter()
            .chain(bytes.clone())
            .chain(letters)
            .collect();
        let scores: Vec<f64> = std::iter::repeat_n(0.0, 264).chain([-1.0, -2.0, -3.0, -2.0]).collect();
        let mut all = json!({
            "pieces": pieces, "alphabet": {"characters": {"bytes": (3..259).collect::<Vec<_>>()}}, "merging": {"scores": scores},
            "prefix": {"every": true, "unless_there": false}, "begin": 1, "ends": [2],
            "special": [{"id": 1, "text": "<s>"}, {"id": 2, "text": "</s>"}],
        });
        all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        all
    };
    let vocabularies = [
        of_bytes(json!({})),
        of_bytes(json!({"split": "whole"})),
        of_bytes(json!({"split": "smollm", "begin": 259})),
        of_bytes(json!({"split": "llama3", "whole_words": true})),
        of_bytes(json!({"split": "qwen2", "nfc": true})),
        of_letters(json!({})),
        of_letters(json!({"prefix": {"every": false, "unless_there": true}})),
        of_letters(json!({"prefix": null, "special": [{"id": 266, "text": "▁▁"}]})),
        of_letters(json!({"alphabet": {"characters": {"bytes": []}}})),
    ];
    let subwords = vocabularies
        .into_iter()
        .map(|vocabulary| Subwords::new(serde_json::from_value::<Vocabulary>(vocabulary).unwrap()).unwrap().into());
    let pairs: AnyTokenizer = serde_json::from_value(pairs).unwrap();
    assert!(matches!(&pairs, AnyTokenizer::Pairs(pairs) if BytePair::clone(pairs).pieces.len() > 260));
    let chars = [256, 300, 0x11_0000].map(|n_vocab| CharTokenizer { n_vocab }.into());
    chars.into_iter().chain([pairs]).chain(subwords).collect()
}

#[test]
#[ignore = "needs node"]
fn every_kind_of_tokenizer_cuts_hostile_texts_as_the_librarys_does() {
    let (tokenizers, texts) = (tokenizers(), hostile());
    let questions: Vec<Value> = (0..tokenizers.len())
        .flat_map(|number| texts.iter().map(move |text| json!({"ask": "encode", "tokenizer": number, "text": text})))
        .collect();
    let mut answered = answers(&[], &tokenizers, &questions).into_iter();
    for tokenizer in &tokenizers {
        for text in &texts {
            let (theirs, ours) = (answered.next().unwrap(), tokenizer.cut(text).unwrap());
            let dropped: String = ours.dropped.iter().collect();
            let all = json!({"ids": ours.ids, "dropped": dropped, "text": ours.text, "labels": ours.labels});
            assert_eq!(theirs, all, "{text:?} {tokenizer:?}");
        }
    }
}

#[test]
#[ignore = "needs node"]
fn a_model_of_tokens_writes_and_is_seen_as_the_librarys() {
    for tokenizer in tokenizers().into_iter().skip(3) {
        let config = TransformerConfig {
            n_vocab: tokenizer.n_vocab(),
            context_len: 16,
            emb_dim: 24,
            n_heads: 2,
            n_kv_heads: 1,
            head_dim: 12,
            n_hidden: 30,
            ..TransformerConfig::small()
        };
        let model = awake(ModelConfig::Transformer(config)).transformer().unwrap();
        let model = AnyModel::Transformer(model.with_tokenizer(tokenizer.clone()).unwrap());
        let ids = tokenizer.cut("the he é🦀\n").unwrap().ids;
        let text = tokenizer.decode(&ids).unwrap();
        let settings = json!({"chars": 100, "temperature": 1.0, "seed": 1});
        let questions = [
            json!({"model": 0, "ask": "steps", "ids": ids}),
            json!({"model": 0, "ask": "write", "prompt": "the 🦀", "settings": settings}),
        ];
        let answered = answers(&[page(&model)], &[], &questions);
        let sampling = Sampling { chars: 100, temperature: 1.0, seed: 1, ..Sampling::default() };
        let ours = generate(&model, &tokenizer, "the 🦀", &sampling).unwrap();
        assert_eq!(answered[1].as_str(), Some(ours.as_str()), "{tokenizer:?}");
        let trace = model.trace(&text).unwrap();
        for (theirs, ours) in answered[0]["steps"].as_array().unwrap().iter().zip(&trace.steps) {
            assert_eq!((&theirs["formula"], &theirs["meaning"]), (&json!(ours.formula), &json!(ours.meaning)));
        }
        assert!((answered[0]["loss"].as_f64().unwrap() - trace.loss().unwrap()).abs() < 1e-4, "{tokenizer:?}");
    }
}
