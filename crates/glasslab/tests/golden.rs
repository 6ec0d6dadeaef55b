//! The library computes what PyTorch computes: values and gradients.
//!
//! The golden files are made by `tests/golden/make.py`.

use glasslab::model::{MlpConfig, MlpLm, Parameter, Trainable, TransformerConfig, TransformerLm, cross_entropy};
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
fn assert_computes(golden: &Value, mut model: impl Trainable) {
    for Parameter { name, tensor, .. } in model.parameters() {
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

#[test]
fn the_transformers_logits_loss_and_gradients_are_pytorchs() {
    for (name, preset) in
        [("transformer_original", TransformerConfig::original()), ("transformer_modern", TransformerConfig::small())]
    {
        let sizes = TransformerConfig {
            n_vocab: 7,
            context_len: 5,
            emb_dim: 6,
            n_layers: 2,
            n_heads: 2,
            head_dim: 4,
            n_hidden: 10,
            ..preset
        };
        assert_computes(&golden(name), TransformerLm::new(sizes, Device::Cpu).unwrap());
    }
}
