//! The numbers of a model of ours by the names of a family, as they lie there.

use super::super::names::Names;
use super::plan::Plan;
use crate::error::Result;
use glasslab::model::{TransformerConfig, TransformerLm};
use std::collections::HashMap;
use tch::{Device, Kind, TchError, Tensor};

/// All of them, in the order of the forward pass.
pub(super) fn weights(model: &TransformerLm, plan: &Plan) -> Result<Vec<(String, Tensor)>> {
    let own = model.parameters().into_iter().map(|parameter| (parameter.name, parameter.tensor.detach())).collect();
    Writing { plan, own, all: Vec::new() }.all().map_err(|error| glasslab::Error::from(error).into())
}

struct Writing<'a> {
    plan: &'a Plan,
    /// Ours, by our names.
    own: HashMap<String, Tensor>,
    all: Vec<(String, Tensor)>,
}

impl Writing<'_> {
    fn all(mut self) -> Result<Vec<(String, Tensor)>, TchError> {
        let Plan { config, names, .. } = self.plan;
        self.put(names.embedding, "weight", self.own["embedding"].shallow_clone());
        if let Some(position) = self.own.get("position") {
            self.put(names.position, "weight", position.shallow_clone());
        }
        for number in 0..config.n_layers {
            self.block(number)?;
        }
        self.norm(names.final_norm.to_owned(), "final_norm")?;
        if let Some(head) = self.own.get("head") {
            self.put(names.head, "weight", head.shallow_clone());
        }
        Ok(self.all)
    }

    fn block(&mut self, number: i64) -> Result<(), TchError> {
        let Plan { config, names, query_scale, .. } = self.plan;
        let TransformerConfig { emb_dim, n_heads, n_kv_heads, head_dim, n_hidden, .. } = *config;
        let theirs = |part: &str| names.in_block(number, part);
        let ours = |part: &str| format!("block.{number}.{part}");
        self.norm(theirs(names.norm1), &ours("norm1"))?;
        let (queries, keys) = (n_heads * head_dim, n_kv_heads * head_dim);
        let biases = config.qkv_bias.then_some("bias");
        for end in ["weight"].into_iter().chain(biases) {
            let qkv = self.one_of(&ours("attn.qkv"), end, &[queries + 2 * keys], 0.0)?;
            let parts = qkv.f_split_with_sizes([queries, keys, keys], 0)?;
            let asked = self.by_their_order(&parts[0].f_div_scalar(*query_scale)?)?;
            let parts = [asked, self.by_their_order(&parts[1])?, parts[2].shallow_clone()];
            match names.qkv {
                [one] => self.matrix(theirs(one), end, Tensor::f_cat(&parts, 0)?)?,
                several => {
                    for (name, part) in several.iter().zip(parts) {
                        self.matrix(theirs(name), end, part)?;
                    }
                }
            }
        }
        if config.qk_norm {
            for (name, own) in [(names.queries_norm, "attn.queries_norm"), (names.keys_norm, "attn.keys_norm")] {
                let scale = self.one_of(&ours(own), "weight", &[head_dim], 1.0)?;
                let scale = self.by_their_order(&scale)?;
                self.put(&theirs(name), "weight", self.as_norm(scale)?);
            }
        }
        self.linear(theirs(names.output), &ours("attn.output"), emb_dim, config.attention_bias)?;
        if config.norms_after {
            self.norm(theirs(names.attn_norm), &ours("attn_norm"))?;
        }
        self.norm(theirs(names.norm2), &ours("norm2"))?;
        if config.gated {
            // A gate that the model has not is the hidden matrix itself: see the plan.
            let gate = self.own.get(&ours("mlp.gate.weight")).or_else(|| self.own.get(&ours("mlp.hidden.weight")));
            let gate = gate.map_or_else(|| Tensor::f_zeros([n_hidden, emb_dim], FLOAT), Tensor::f_detach)?;
            self.matrix(theirs(names.gate), "weight", gate)?;
        }
        self.linear(theirs(names.hidden), &ours("mlp.hidden"), n_hidden, config.bias)?;
        self.linear(theirs(names.mlp_output), &ours("mlp.output"), emb_dim, config.bias)?;
        if config.norms_after {
            self.norm(theirs(names.mlp_norm), &ours("mlp_norm"))?;
        }
        Ok(())
    }

    /// A parameter of ours; where the model has none, one that changes nothing.
    fn one_of(&self, name: &str, end: &str, size: &[i64], neutral: f64) -> Result<Tensor, TchError> {
        match self.own.get(&format!("{name}.{end}")) {
            Some(tensor) => Ok(tensor.shallow_clone()),
            None => Tensor::f_full(size, neutral, FLOAT),
        }
    }

    fn linear(&mut self, theirs: String, ours: &str, rows: i64, has_bias: bool) -> Result<(), TchError> {
        let weight = self.own[&format!("{ours}.weight")].shallow_clone();
        self.matrix(theirs.clone(), "weight", weight)?;
        if has_bias {
            let bias = self.one_of(ours, "bias", &[rows], 0.0)?;
            self.put(&theirs, "bias", bias);
        }
        Ok(())
    }

    /// (out, in), or a bias.
    fn matrix(&mut self, name: String, end: &str, tensor: Tensor) -> Result<(), TchError> {
        let is_turned = self.plan.layout.transposed && tensor.dim() == 2;
        let tensor = if is_turned { tensor.f_transpose(0, 1)?.f_contiguous()? } else { tensor };
        self.put(&name, end, tensor);
        Ok(())
    }

    fn norm(&mut self, theirs: String, ours: &str) -> Result<(), TchError> {
        let scale = self.one_of(ours, "weight", &[self.plan.config.emb_dim], 1.0)?;
        self.put(&theirs, "weight", self.as_norm(scale)?);
        if let Some(shift) = self.own.get(&format!("{ours}.bias")) {
            self.put(&theirs, "bias", shift.shallow_clone());
        }
        Ok(())
    }

    fn as_norm(&self, scale: Tensor) -> Result<Tensor, TchError> {
        if self.plan.layout.plus_one { scale.f_sub_scalar(1.0) } else { Ok(scale) }
    }

    /// In each head, rows 0, 2, 4, …, then 1, 3, 5, …, where pairs are turned by halves.
    ///
    /// # Shapes
    /// (H·D, C) or (H·D) → the same
    fn by_their_order(&self, rows: &Tensor) -> Result<Tensor, TchError> {
        let (head_dim, size) = (self.plan.config.head_dim, rows.size());
        if !self.plan.layout.by_halves {
            return Ok(rows.shallow_clone());
        }
        let pairs = rows.f_reshape([size[0] / head_dim, head_dim / 2, 2, -1])?; // (H, D/2, 2, C)
        pairs.f_transpose(1, 2)?.f_reshape(&size[..])
    }

    fn put(&mut self, name: &str, end: &str, tensor: Tensor) {
        self.all.push((format!("{name}.{end}"), tensor));
    }
}

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

/// A weight by its name in [`Names`].
pub(super) fn by_name<'a>(weights: &'a [(String, Tensor)], name: &str) -> Option<&'a Tensor> {
    let is_it = |(other, _): &&(String, Tensor)| other.strip_suffix(".weight") == Some(name);
    weights.iter().find(is_it).map(|(_, tensor)| tensor)
}

/// The names of a block's parts in the order of llama2.c's file.
pub(super) fn in_order(names: &Names) -> Vec<&'static str> {
    let [queries, keys, values] = [0, 1, 2].map(|part| names.qkv[part]);
    vec![names.norm1, queries, keys, values, names.output, names.norm2, names.gate, names.mlp_output, names.hidden]
}
