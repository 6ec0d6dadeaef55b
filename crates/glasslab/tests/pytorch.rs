//! What glasslab keeps, PyTorch reads: the script that comes with the project gives the same logits.
//!
//! Needs a Python with PyTorch, the one that `GLASSLAB_TORCH_PYTHON` names (else `python3`), and is ignored where none is:
//! `scripts/test` runs it where one is, or `cargo test -p glasslab --test pytorch -- --ignored`. The golden values
//! (`golden.rs`), made by the same script, are tested everywhere.

use glasslab::checkpoint::{AnyModel, ModelConfig};
use glasslab::model::attention::Weighting;
use glasslab::model::rotary::{Slowed, Speeds};
use glasslab::model::{Activation, Family, LanguageModel, MlpConfig, Ngrams, Positions, TransformerConfig, Window};
use std::path::Path;
use std::process::Command;
use tch::{Device, Kind, Tensor};

#[test]
#[ignore = "needs PyTorch"]
fn pytorch_gives_a_kept_model_the_same_logits() {
    let python = std::env::var("GLASSLAB_TORCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/pytorch/glasslab_model.py");
    let small = TransformerConfig::small();
    let other = TransformerConfig {
        positions: Positions::Learned,
        weighting: Weighting::Sigmoid,
        n_kv_heads: 2,
        previous_head: true,
        activation: Activation::Gelu,
        bias: true,
        ..small
    };
    let families = Family::ALL.map(|family| {
        let slowed = Some(Slowed::SlowOnes { factor: 4.0, low: 1.0, high: 4.0, context_len: 32.0 });
        let config = family.config();
        let window = config.window.map(|window| Window { len: 5, ..window });
        ModelConfig::Transformer(TransformerConfig { window, speeds: Speeds { slowed, ..config.speeds }, ..config })
    });
    let ours = [
        ModelConfig::Mlp(MlpConfig::original()),
        ModelConfig::Transformer(TransformerConfig::original()),
        ModelConfig::Transformer(small),
        ModelConfig::Transformer(other),
        ModelConfig::Transformer(TransformerConfig { ngrams: Some(Ngrams { longest: 5, rows: 99 }), ..small }),
    ];
    for config in ours.into_iter().chain(families) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let model = AnyModel::new(config, Device::Cpu).unwrap();
        let guard = tch::no_grad_guard();
        for mut parameter in model.parameters() {
            let noise = parameter.tensor.randn_like() * 0.1;
            let _ = parameter.tensor.f_add_(&noise).unwrap();
        }
        drop(guard);
        model.save(&path).unwrap();
        let mut command = Command::new(&python);
        command.arg(&script).arg(&path).args(["--json", "--text", "Once upon a time"]);
        let output = command.output().unwrap_or_else(|error| panic!("{python}: {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let ids: Vec<i64> = serde_json::from_value(answer["ids"].clone()).unwrap();
        let theirs: Vec<Vec<f64>> = serde_json::from_value(answer["logits"].clone()).unwrap();
        let theirs = Tensor::from_slice(&theirs.concat()).view([ids.len() as i64, -1]);
        let ours = model.logits(&Tensor::from_slice(&ids).unsqueeze(0)).unwrap().get(0).to_kind(Kind::Double);
        let off = (ours - theirs).abs().max().double_value(&[]);
        assert!(off < 1e-5, "{config:?} is off by {off}");
    }
}
