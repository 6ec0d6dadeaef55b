//! What only a GPU can prove: that it computes what the processor computes, and that nothing is left behind on the wrong
//! one of the two.
//!
//! `cargo test -p glasslab --test gpu -- --ignored` where there is a GPU; `scripts/gpu-check` takes these tests to a machine
//! that has one but no Rust. Each tells its figures in lines `figure: NAME = NUMBER`.
//!
//! libtorch multiplies float32 in float32 unless it is told otherwise: a GPU is then off by about 1e-6 of the largest number,
//! in TF32, whose products keep 10 bits, by about 5e-4. So 1e-4 tells the two apart. In bfloat16, which keeps 8 bits, eight
//! blocks are off by 1e-2.

use glasslab::model::Trainable;
use glasslab::prelude::*;
use std::ops::ControlFlow;
use std::path::PathBuf;

const FLOAT32: f64 = 1e-4;
const BFLOAT16: f64 = 0.05;
const TEXT: &str = "Once upon a time, there was a little girl named Lily. She had a red ball.";

/// To try the tests themselves where there is no GPU; they compare the processor with itself then.
fn on_processor() -> bool {
    std::env::var_os("GLASSLAB_GPU_TESTS_ON_CPU").is_some()
}

fn gpu() -> Device {
    if on_processor() {
        return Device::Cpu;
    }
    // libtorch's own words say what is missing: a driver, a GPU, or the half of libtorch that knows one.
    if let Err(error) = Tensor::f_zeros([1], (Kind::Float, Device::Cuda(0))) {
        panic!("there is no GPU here: {}", error.to_string().lines().next().unwrap_or_default());
    }
    assert!(best_device().is_cuda(), "libtorch has a GPU, but best_device() is {:?}", best_device());
    best_device()
}

fn tell(what: &str, number: f64) {
    println!("\nfigure: {what} = {number:.3e}");
}

/// The preset for a GPU, in float32; for the processor alone, its like in a small size.
fn large() -> TransformerConfig {
    match on_processor() {
        true => TransformerConfig { bfloat16: false, n_layers: 1, ..TransformerConfig::small() },
        false => TransformerConfig { bfloat16: false, ..TransformerConfig::large() },
    }
}

fn presets() -> Vec<(&'static str, ModelConfig)> {
    vec![
        ("mlp original", ModelConfig::Mlp(MlpConfig::original())),
        ("original", ModelConfig::Transformer(TransformerConfig::original())),
        ("small", ModelConfig::Transformer(TransformerConfig::small())),
        ("quick", ModelConfig::Transformer(TransformerConfig::quick())),
        ("large", ModelConfig::Transformer(large())),
    ]
}

/// A model with noise on every parameter: the zeros of a new one would hide most of it.
fn awake<M: Trainable>(model: M) -> M {
    let mut rng = Rng::new(2);
    let _guard = tch::no_grad_guard();
    for mut parameter in model.parameters() {
        let noise: Vec<f32> = (0..parameter.tensor.numel()).map(|_| 0.05 * rng.normal() as f32).collect();
        let noise = Tensor::from_slice(&noise).view(&parameter.tensor.size()[..]);
        let _ = parameter.tensor.f_add_(&noise.to_device(parameter.tensor.device())).unwrap();
    }
    model
}

fn transformer(config: TransformerConfig, device: Device) -> TransformerLm {
    awake(TransformerLm::new(config, device).unwrap())
}

/// (2, `length`) random ids.
fn ids(length: i64) -> Tensor {
    let mut rng = Rng::new(1);
    let ids: Vec<i64> = (0..2 * length).map(|_| rng.below(256) as i64).collect();
    Tensor::from_slice(&ids).view([2, length])
}

/// The largest difference, as a share of the largest number.
fn off(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (a.to_device(Device::Cpu), b.to_device(Device::Cpu));
    (&a - &b).abs().max().double_value(&[]) / a.abs().max().double_value(&[])
}

/// The loss of random ids and its gradient, all parameters' in one vector.
fn loss_and_gradient(model: &mut impl Trainable, length: i64) -> (f64, Tensor) {
    let ids = ids(length + 1).to_device(model.device());
    let loss = model.loss(&ids.narrow(1, 0, length), &ids.narrow(1, 1, length)).unwrap();
    let leaves: Vec<Tensor> = model.parameters().iter().map(|one| one.tensor.shallow_clone()).collect();
    let gradients = Tensor::run_backward(&[&loss], &leaves, false, false);
    let flat: Vec<Tensor> = gradients.iter().map(|gradient| gradient.flatten(0, -1)).collect();
    (loss.double_value(&[]), Tensor::cat(&flat, 0).to_device(Device::Cpu))
}

fn tokens(text: &str) -> Tokens {
    Tokens::encode(&Stories::parse(text).unwrap(), &CharTokenizer::default()).unwrap()
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn logits_are_the_processors_for_every_preset() {
    for (name, config) in presets() {
        let [processor, gpu] = [Device::Cpu, gpu()].map(|device| awake(AnyModel::new(config, device).unwrap()));
        let longest = gpu.max_len().unwrap_or(64);
        // A short text goes the way of a trace, a long one through the fused kernel.
        for length in [20, longest] {
            let ids = ids(length);
            let [one, other] = [&processor, &gpu].map(|model| model.logits(&ids.to_device(model.device())).unwrap());
            let off = off(&one, &other);
            tell(&format!("logits of {name}, {length} characters, off by"), off);
            assert!(off < FLOAT32, "{name}: {off}");
        }
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn a_loss_and_its_gradient_are_the_processors_for_every_preset() {
    for (name, config) in presets() {
        let [one, other] = [Device::Cpu, gpu()].map(|device| {
            let mut model = awake(AnyModel::new(config, device).unwrap());
            let length = model.max_len().unwrap_or(64).min(128);
            loss_and_gradient(&mut model, length)
        });
        let off = off(&one.1, &other.1);
        tell(&format!("gradient of {name} off by"), off);
        assert!((one.0 - other.0).abs() < FLOAT32 * one.0, "{name}: {} {}", one.0, other.0);
        assert!(off < FLOAT32, "{name}: {off}");
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn in_bfloat16_logits_loss_gradient_and_cache_stay_near_those_of_float32() {
    let device = gpu();
    assert!(on_processor() || transformer(TransformerConfig::large(), device).precision == Kind::BFloat16);
    let mut model = transformer(large(), device);
    let length = model.config.context_len.min(128);
    let ids = ids(length).to_device(device);
    let [exact, rough] = [Kind::Float, Kind::BFloat16].map(|precision| {
        model.precision = precision;
        (model.logits(&ids).unwrap(), loss_and_gradient(&mut model, length - 1))
    });
    // In float64: the sum of 25 million products in float32 is off by more than what is looked for.
    let [one, other] = [&exact.1.1, &rough.1.1].map(|gradient| gradient.to_kind(Kind::Double));
    let cosine = one.dot(&other) / (one.norm() * other.norm());
    for (what, off, most) in [
        ("logits", off(&exact.0, &rough.0), BFLOAT16),
        ("loss", (exact.1.0 - rough.1.0).abs() / exact.1.0, 0.01),
        ("gradient's direction", 1.0 - cosine.double_value(&[]), 0.01),
    ] {
        tell(&format!("large in bfloat16 beside float32: {what} off by"), off);
        assert!(off < most && off > 0.0, "{what}: {off}");
    }
    let mut cache = model.new_cache(2).unwrap().unwrap();
    for (first, count) in [(0, 7), (7, 1), (8, 12)] {
        let part = model.read(&ids.narrow(1, first, count), &mut cache).unwrap();
        let off = off(&exact.0.select(1, first + count - 1), &part);
        assert!(off < BFLOAT16, "from {first}: {off}");
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn a_training_goes_the_processors_way_and_can_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.training");
    let text = tokens(TEXT);
    for optimiser in [OptimiserKind::Muon, OptimiserKind::Adamw, OptimiserKind::Momentum, OptimiserKind::Sgd] {
        let config = TrainConfig {
            length: Length::Steps(30),
            batch_size: 8,
            context_len: 32,
            lr: 0.004,
            clip: Some(1.0),
            weight_decay: 0.01,
            optimiser,
            autosave: Some(path.clone()),
            ..TrainConfig::default()
        };
        let new = |device| TransformerLm::new(TransformerConfig::small(), device).unwrap();
        let last = |history: &History| history.points.last().unwrap().train;
        let processor = train(&mut new(Device::Cpu), &text, &text, &config).unwrap();
        let whole = train(&mut new(gpu()), &text, &text, &config).unwrap();
        let stop = |moment: glasslab::train::Moment<'_>| match moment.step == 16 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let stopped = glasslab::train::train_with(&mut new(gpu()), &text, &text, &config, stop).unwrap();
        assert!(stopped.stopped);
        let resumed = resume(&mut new(gpu()), &text, &text, &path).unwrap();
        tell(&format!("loss after 30 steps of {optimiser:?} beside the processor's"), last(&whole) - last(&processor));
        // Muon computes in bfloat16 on a GPU, and a GPU adds up in any order.
        assert!((last(&whole) - last(&processor)).abs() < 0.05 * last(&processor), "{whole:?}\n{processor:?}");
        assert!((last(&whole) - last(&resumed)).abs() < 0.05 * last(&whole), "{whole:?}\n{resumed:?}");
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn a_checkpoint_evaluates_and_writes_on_either() {
    let folder = tempfile::tempdir().unwrap();
    for (name, config) in presets() {
        let path: PathBuf = folder.path().join("model.safetensors");
        awake(AnyModel::new(config, gpu()).unwrap()).save(&path).unwrap();
        let text = tokens(TEXT);
        let both = [Device::Cpu, gpu()].map(|device| {
            let model = AnyModel::load(&path, device).unwrap();
            let write = |cached| {
                let sampling = Sampling { chars: 90, cached, ..Sampling::greedy() };
                generate_batch(&model, &CharTokenizer::default(), &["Once", "A much longer prompt"], &sampling).unwrap()
            };
            assert_eq!(write(true), write(false), "{name} on {device:?}");
            (evaluate(&model, &text).unwrap().nats_per_char, write(true))
        });
        assert!((both[0].0 - both[1].0).abs() < FLOAT32 * both[0].0, "{name}: {both:?}");
        assert_eq!(both[0].1, both[1].1, "{name}");
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn wrong_ids_are_an_error_and_the_gpu_goes_on() {
    let device = gpu();
    for (name, config) in presets() {
        let mut model = AnyModel::new(config, device).unwrap();
        let [good, bad, negative] = [ids(8), ids(8) + 256, -ids(8) - 1].map(|ids| ids.to_device(device));
        for (inputs, targets) in [(&bad, &good), (&good, &bad), (&negative, &good)] {
            assert!(model.loss(inputs, targets).is_err(), "{name}");
        }
        let message = model.logits(&bad).unwrap_err().to_string();
        assert!(message.contains("0 to 255"), "{message}");
        if let Some(mut cache) = model.new_cache(2).unwrap() {
            assert!(model.read(&bad, &mut cache).is_err(), "{name}");
        }
        // Ids that are made on the processor are brought over.
        assert_eq!(model.logits(&ids(8)).unwrap(), model.logits(&good).unwrap(), "{name}");
        assert!(loss_and_gradient(&mut model, 8).0.is_finite(), "{name}");
    }
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn every_instrument_reads_a_model_that_lies_on_the_gpu() {
    let (device, text) = (gpu(), tokens(TEXT));
    let short = "Once upon";
    for config in [TransformerConfig::original(), large()] {
        let mut model = transformer(config, device);
        let trace = model.trace(short).unwrap();
        assert_eq!(trace.max_abs_error, 0.0, "{}", trace.check());
        trace.html().unwrap();
        trace.explore().unwrap().html().unwrap();
        trace.next_characters(5).unwrap().draw().unwrap();
        let by_hand = trace.by_hand("block.0.attn.scores", &[0, 0, 4, 2]).unwrap();
        assert!(by_hand.difference() < 1e-3, "{by_hand}");
        trace.compare("block.0.mlp.hidden", "block.0.mlp.activated").unwrap();
        let attention = trace.attention().unwrap();
        attention.grid().unwrap();
        attention.head(0, 0).unwrap().draw().unwrap();
        for cut in [Cut::Head { layer: 0, head: 0 }, Cut::Block(0), Cut::Positions, Cut::Mask, Cut::Residual(0)] {
            let effect = model.ablate(cut, short).unwrap();
            effect.html().unwrap();
            effect.held_out(&model, &text).unwrap();
        }
        // A trace of the processor is put into the GPU's pass.
        let other = transformer(config, Device::Cpu).trace("Then came").unwrap();
        model.patch(short, &other, "block.0.after_attn", Some(3)).unwrap();
        Lens::new(&model, short).unwrap();
        HeadPatterns::find(&model, TEXT).unwrap();
        Surprise::new(&model, TEXT).unwrap().html();
        assert!(proofs::other_futures(&model, &CharTokenizer::default(), short).unwrap().is_none());
        EmbeddingMap::characters(&model.embedding, "aeiou").unwrap().projection().unwrap();
        EmbeddingMap::characters(&model.embedding, "aeiou").unwrap().similarity().unwrap().draw().unwrap();
        let config = TrainConfig { length: Length::Steps(3), batch_size: 2, context_len: 16, ..TrainConfig::default() };
        let mut film = Film::new(short).at_steps(&[0, 2]);
        film.train(&mut model, &text, &text, &config).unwrap();
        film.html().unwrap();
    }
    let head = Head::new(8, 4, &mut Rng::new(1), device).unwrap();
    let mut recording = Recording::default();
    let x = recording.at("x", Tensor::ones([1, 3, 8], (Kind::Float, device)));
    head.forward(&x, &mut recording).unwrap();
    assert!(
        proofs::other_prefixes(
            &awake(MlpLm::new(MlpConfig::original(), device).unwrap()),
            &CharTokenizer::default(),
            short
        )
        .unwrap()
        .is_none()
    );
}

#[test]
#[ignore = "needs an NVIDIA GPU"]
fn a_trace_of_a_model_in_bfloat16_says_that_it_is_one_of_float32() {
    let config = TransformerConfig { bfloat16: true, ..large() };
    let trace = transformer(config, gpu()).trace("Once upon").unwrap();
    assert!(on_processor() || trace.check().contains("bfloat16"), "{}", trace.check());
    assert!(!trace.check().contains("not the model's own pass"), "{}", trace.check());
}
