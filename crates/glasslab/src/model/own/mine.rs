//! The course's transformer as a learner writes it: one block with one head, learnt places, layer norm, ReLU.

use super::{Model, Sizes};
use crate::error::Result;
use crate::model::{Parameter, Probe, random_tensor};
use crate::rng::Rng;
use tch::{Device, Kind, Tensor};

pub(crate) struct Mine {
    pub(crate) embedding: Tensor,
    position: Tensor,
    norms: [(Tensor, Tensor); 2],
    pub(crate) qkv: Tensor,
    joined: Tensor,
    hidden: (Tensor, Tensor),
    output: (Tensor, Tensor),
}

impl Mine {
    pub(crate) fn new() -> Mine {
        let mut rng = Rng::new(1);
        let mut learnt = |size: &[i64]| random_tensor(&mut rng, size, 0.1).unwrap().set_requires_grad(true);
        let norm = |_| {
            let ones = Tensor::ones([32], (Kind::Float, Device::Cpu));
            (ones.copy().set_requires_grad(true), ones.zeros_like().set_requires_grad(true))
        };
        Mine {
            embedding: learnt(&[256, 32]),
            position: learnt(&[100, 32]),
            norms: [0, 1].map(norm),
            qkv: learnt(&[48, 32]),
            joined: learnt(&[32, 16]),
            hidden: (learnt(&[128, 32]), learnt(&[128])),
            output: (learnt(&[32, 128]), learnt(&[32])),
        }
    }
}

impl Model for Mine {
    fn forward(&self, ids: &Tensor, probe: &mut impl Probe) -> Result<Tensor> {
        let ids = probe.at("ids", ids.shallow_clone());
        let x = probe.at("embedded", Tensor::f_embedding(&self.embedding, &ids, -1, false, false)?); // (B, T, C)
        let x = probe.at("positioned", x + self.position.narrow(0, 0, ids.size()[1]));
        let norm =
            |x: &Tensor, (scale, shift): &(Tensor, Tensor)| x.layer_norm([32], Some(scale), Some(shift), 1e-5, false);
        let normed = probe.at("block.0.norm1", norm(&x, &self.norms[0]));
        let parts = normed.linear(&self.qkv, None::<&Tensor>).unsqueeze(1).chunk(3, -1); // (B, 1, T, D) each
        let queries = probe.at("block.0.attn.queries", parts[0].shallow_clone());
        let keys = probe.at("block.0.attn.keys", parts[1].shallow_clone());
        let values = probe.at("block.0.attn.values", parts[2].shallow_clone());
        let scores = probe.at("block.0.attn.scores", queries.matmul(&keys.transpose(-2, -1)) / 4.0); // (B, 1, T, T)
        let future = Tensor::ones_like(&scores).triu(1).to_kind(Kind::Bool);
        let masked = probe.at("block.0.attn.masked", scores.masked_fill(&future, f64::NEG_INFINITY));
        let weights = probe.at("block.0.attn.weights", masked.softmax(-1, Kind::Float));
        let heads = probe.at("block.0.attn.heads", weights.matmul(&values)); // (B, 1, T, D)
        let output = heads.squeeze_dim(1).linear(&self.joined, None::<&Tensor>);
        let x = &x + probe.at("block.0.attn.output", output);
        let x = probe.at("block.0.after_attn", x);
        let normed = probe.at("block.0.norm2", norm(&x, &self.norms[1]));
        let hidden = probe.at("block.0.mlp.hidden", normed.linear(&self.hidden.0, Some(&self.hidden.1)));
        let active = probe.at("block.0.mlp.activated", hidden.relu());
        let output = probe.at("block.0.mlp.output", active.linear(&self.output.0, Some(&self.output.1)));
        let x = probe.at("block.0.after_mlp", x + output);
        Ok(probe.at("logits", x.linear(&self.embedding, None::<&Tensor>)))
    }

    fn parameters(&self) -> Vec<Parameter> {
        let [(scale1, shift1), (scale2, shift2)] = &self.norms;
        vec![
            Parameter::new("embedding", &self.embedding),
            Parameter::new("position", &self.position),
            Parameter::new("block.0.norm1.weight", scale1),
            Parameter::new("block.0.norm1.bias", shift1),
            Parameter::matrix("block.0.attn.qkv.weight", &self.qkv),
            Parameter::matrix("block.0.attn.output.weight", &self.joined),
            Parameter::new("block.0.norm2.weight", scale2),
            Parameter::new("block.0.norm2.bias", shift2),
            Parameter::matrix("block.0.mlp.hidden.weight", &self.hidden.0),
            Parameter::new("block.0.mlp.hidden.bias", &self.hidden.1),
            Parameter::matrix("block.0.mlp.output.weight", &self.output.0),
            Parameter::new("block.0.mlp.output.bias", &self.output.1),
        ]
    }

    fn sizes(&self) -> Sizes {
        Sizes::context(100)
    }
}
