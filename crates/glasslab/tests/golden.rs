//! The library computes what PyTorch computes: values and gradients.
//!
//! The golden files are made by `tests/golden/make.py`.

use glasslab::model::attention::{AttentionConfig, Head, MultiHeadAttention, Weighting};
use glasslab::model::norm::{Norm, NormKind};
use glasslab::model::rotary::Rotary;
use glasslab::model::{
    Activation, MlpConfig, MlpLm, NoProbe, Parameter, Positions, Trainable, TransformerConfig, TransformerLm,
    cross_entropy,
};
use glasslab::rng::Rng;
use glasslab::trace::{TraceStep, Traceable};
use serde_json::Value;
use tch::{Device, Kind, Tensor};

fn golden(name: &str) -> Value {
    let path = format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn ids(value: &Value) -> Tensor {
    let rows = value.as_array().unwrap();
    let flat: Vec<i64> = rows.iter().flat_map(|row| row.as_array().unwrap()).map(|id| id.as_i64().unwrap()).collect();
    Tensor::from_slice(&flat).view([rows.len() as i64, -1])
}

fn assert_close(what: &str, got: &Tensor, expected: &Value) {
    let got = Vec::<f64>::try_from(got.detach().to_kind(Kind::Double).flatten(0, -1)).unwrap();
    let expected = numbers(expected);
    assert_eq!(got.len(), expected.len(), "{what}");
    let error = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let scale = expected.iter().map(|number| number.abs()).fold(1.0, f64::max);
    assert!(error < 1e-5 * scale, "{what}: off by {error}");
}

/// Gives a model the golden parameters, and compares its logits, loss and every gradient.
fn assert_computes(golden: &Value, model: impl Trainable) {
    for Parameter { name, mut tensor, .. } in model.parameters() {
        let values = Tensor::from_slice(&numbers(&golden["parameters"][&name])).to_kind(Kind::Float);
        tensor.set_data(&values.view(&tensor.size()[..]));
    }
    assert_eq!(model.parameters().len(), golden["parameters"].as_object().unwrap().len());
    let logits = model.logits(&ids(&golden["ids"])).unwrap();
    assert_close("logits", &logits, &golden["logits"]);
    let loss = cross_entropy(&logits, &ids(&golden["targets"])).unwrap();
    assert!((loss.double_value(&[]) - golden["loss"].as_f64().unwrap()).abs() < 1e-5);
    loss.backward();
    for Parameter { name, tensor, .. } in model.parameters() {
        assert_close(&name, &tensor.grad(), &golden["gradients"][&name]);
    }
}

#[test]
fn the_mlps_logits_loss_and_gradients_are_pytorchs() {
    let config = MlpConfig { n_vocab: 7, emb_dim: 3, n_hidden: 5, seed: 0 };
    assert_computes(&golden("mlp"), MlpLm::new(config, Device::Cpu).unwrap());
}

/// The sizes of the golden transformers.
fn sized(preset: TransformerConfig) -> TransformerConfig {
    TransformerConfig {
        n_vocab: 7,
        context_len: 5,
        emb_dim: 6,
        n_layers: 2,
        n_heads: 2,
        n_kv_heads: 2,
        head_dim: 4,
        n_hidden: 10,
        ..preset
    }
}

/// Every option that the two presets don't have.
fn other() -> TransformerConfig {
    TransformerConfig {
        positions: Positions::None,
        weighting: Weighting::Sigmoid,
        n_kv_heads: 1,
        previous_head: true,
        final_norm: true,
        activation: Activation::Gelu,
        ..sized(TransformerConfig::original())
    }
}

#[test]
fn the_transformers_logits_loss_and_gradients_are_pytorchs() {
    for (name, config) in [
        ("transformer_original", sized(TransformerConfig::original())),
        ("transformer_modern", sized(TransformerConfig::small())),
        ("transformer_other", other()),
    ] {
        assert_computes(&golden(name), TransformerLm::new(config, Device::Cpu).unwrap());
    }
}

/// Compares numbers that are given as null where they are not finite.
fn assert_near(what: &str, got: &Tensor, expected: &Value, within: f64) {
    let got = Vec::<f64>::try_from(got.to_kind(Kind::Double).flatten(0, -1)).unwrap();
    let expected: Vec<Option<f64>> = expected.as_array().unwrap().iter().map(Value::as_f64).collect();
    assert_eq!(got.len(), expected.len(), "{what}");
    let scale = expected.iter().flatten().map(|number| number.abs()).fold(0.0, f64::max);
    for (place, (got, expected)) in got.iter().zip(expected).enumerate() {
        match expected {
            Some(expected) => {
                assert!((got - expected).abs() <= within * scale, "{what}, number {place}: {got} beside {expected}")
            }
            None => assert!(!got.is_finite(), "{what}, number {place}: {got} is finite"),
        }
    }
}

#[test]
fn every_step_and_every_gradient_of_a_transformer_is_pytorchs() {
    let golden = golden("steps");
    let ids: Vec<u8> = golden["ids"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u8).collect();
    let text: String = ids.into_iter().map(char::from).collect();
    let config = TransformerConfig { head_dim: 3, ..sized(TransformerConfig::original()) };
    // In double precision down to the digits that the file has, and as it is.
    for (kind, within) in [(Kind::Double, 1e-7), (Kind::Float, 2e-5)] {
        let model = TransformerLm::new(config, Device::Cpu).unwrap();
        for Parameter { name, mut tensor, .. } in model.parameters() {
            let values = Tensor::from_slice(&numbers(&golden["parameters"][&name]["numbers"])).to_kind(kind);
            tensor.set_data(&values.view(&tensor.size()[..]));
        }
        let trace = model.backward(&text).unwrap();
        assert_eq!(trace.max_abs_error, 0.0);
        let compare = |steps: &[TraceStep], golden: &Value| {
            assert_eq!(steps.len(), golden.as_object().unwrap().len());
            for step in steps {
                assert_near(&step.name, &step.tensor, &golden[&step.name]["numbers"], within);
                let gradient = &step.gradient().unwrap().tensor;
                assert_near(&format!("∂loss/∂{}", step.name), gradient, &golden[&step.name]["gradient"], within);
            }
        };
        assert_eq!(trace.steps[0].name, "ids");
        compare(&trace.steps[1..], &golden["steps"]);
        compare(&trace.parameters, &golden["parameters"]);
    }
}

/// Computes a module on its golden inputs, and compares its output and the gradient of every input.
fn assert_module(name: &str, shapes: &[(&str, &[i64])], compute: impl Fn(&[Tensor]) -> Tensor) {
    let golden = &golden("modules")[name];
    let input = |(name, shape): &(&str, &[i64])| {
        let values = Tensor::from_slice(&numbers(&golden["inputs"][name])).to_kind(Kind::Float);
        values.view(*shape).set_requires_grad(true)
    };
    let inputs: Vec<Tensor> = shapes.iter().map(input).collect();
    let output = compute(&inputs);
    assert_close(name, &output, &golden["output"]);
    let weights = Tensor::arange_start(1, output.numel() as i64 + 1, (Kind::Float, Device::Cpu));
    (output.flatten(0, -1) * weights).sum(Kind::Float).backward();
    for ((input, _), tensor) in shapes.iter().zip(&inputs) {
        assert_close(&format!("{name}: gradient of {input}"), &tensor.grad(), &golden["gradients"][*input]);
    }
}

#[test]
fn every_modules_values_and_gradients_are_pytorchs() {
    let x: (&str, &[i64]) = ("x", &[2, 5, 6]);
    assert_module("layer_norm", &[("x", &[2, 3, 6]), ("n.weight", &[6]), ("n.bias", &[6])], |inputs| {
        let [scale, shift] = [1, 2].map(|number| Some(inputs[number].shallow_clone()));
        Norm { scale, shift, epsilon: 1e-5 }.forward(&inputs[0]).unwrap()
    });
    assert_module("rms_norm", &[("x", &[2, 3, 6])], |inputs| {
        Norm::new(NormKind::Rms, 6, Device::Cpu).unwrap().forward(&inputs[0]).unwrap()
    });
    assert_module("rotary", &[("x", &[2, 5, 4])], |inputs| {
        Rotary::new(5, 4, Device::Cpu).unwrap().turn(&inputs[0], 0).unwrap()
    });
    assert_module("head", &[x, ("query", &[4, 6]), ("key", &[4, 6]), ("value", &[4, 6])], |inputs| {
        let weight = |place: usize| inputs[place].shallow_clone();
        let head = Head { query_weight: weight(1), key_weight: weight(2), value_weight: weight(3) };
        head.forward(&inputs[0], &mut NoProbe).unwrap().output
    });
    for (name, config, rows) in [
        ("attention_original", sized(TransformerConfig::original()), 24),
        ("attention_modern", sized(TransformerConfig::small()), 24),
        ("attention_other", other(), 16),
    ] {
        assert_module(name, &[x, ("a.qkv.weight", &[rows, 6]), ("a.output.weight", &[6, 8])], |inputs| {
            let config = AttentionConfig {
                n_kv_heads: config.n_kv_heads,
                qk_norm: config.qk_norm,
                weighting: config.weighting,
                previous_head: config.previous_head,
                ..AttentionConfig::plain(6, 2, 4)
            };
            let mut attention = MultiHeadAttention::new(config, &mut Rng::new(1), Device::Cpu).unwrap();
            (attention.qkv_weight, attention.output_weight) = (inputs[1].shallow_clone(), inputs[2].shallow_clone());
            let rotary = (name == "attention_modern").then(|| Rotary::new(5, 4, Device::Cpu).unwrap());
            attention.forward(&inputs[0], rotary.as_ref(), None, "a", &mut NoProbe).unwrap().output
        });
    }
}
