//! From the weights of others to a model of ours: what differs without changing what is computed is settled here, once, so that
//! the forward pass need not know of it.
//!
//! | theirs | ours |
//! |---|---|
//! | queries and keys turned by halves (i with i + D/2) | rows put in the order of neighbouring pairs |
//! | matrices (in, out) of GPT-2 | transposed |
//! | norms that multiply by 1 + w (Gemma) | w' = 1 + w |
//! | scores that are not divided by √D (GPT-Neo), or by another root (Gemma) | queries multiplied by the ratio |
//! | three matrices for queries, keys and values | one below the other |

use super::family::Plan;
use super::file::wrong;
use super::{Foreign, Stored, Weight};
use crate::error::Result;
use glasslab::model::{AnyModel, LanguageModel, TransformerConfig, TransformerLm};
use std::cell::RefCell;
use std::collections::HashSet;
use tch::{Device, Kind, TchError, Tensor};

impl Foreign {
    /// A model of ours that computes the same, in float32, with its tokenizer.
    ///
    /// # Errors
    /// If its family is none that glasslab knows, a weight is missing, has another shape or is left over, or its tokenizer is
    /// none that glasslab can use.
    pub fn model(&self, device: Device) -> Result<AnyModel> {
        let model = self.without_tokenizer(device)?;
        let tokenizer = self.tokenizer(model.n_vocab() as usize)?;
        Ok(AnyModel::Transformer(model.with_tokenizer(tokenizer)?))
    }

    /// The same, its ids being characters.
    ///
    /// # Errors
    /// As [`model`](Self::model).
    pub fn without_tokenizer(&self, device: Device) -> Result<TransformerLm> {
        let plan = self.plan()?;
        let reading = Reading { foreign: self, plan: &plan, used: RefCell::default() };
        reading.check_sizes()?;
        let model = TransformerLm::unfilled(plan.config, device)?;
        for mut parameter in model.parameters() {
            let value = reading.parameter(&parameter.name)?;
            if value.size() != parameter.tensor.size() {
                return Err(reading.misfit(&parameter.name, &value.size(), &parameter.tensor.size()));
            }
            parameter.fill(&value)?;
        }
        reading.check_nothing_is_left()?;
        Ok(model)
    }

    /// What [`AnyModel::save_as`] keeps its numbers in: bfloat16 or float16, if most of them are kept in that, else float32.
    pub fn kind(&self) -> Kind {
        let of = |stored| self.weights.iter().filter(|weight| weight.stored == stored).map(Weight::len).sum::<usize>();
        let (brain, half) = (of(Stored::BF16), of(Stored::F16));
        let others: usize = self.weights.iter().map(Weight::len).sum::<usize>() - brain - half;
        match brain.max(half) {
            most if most <= others => Kind::Float,
            most if most == brain => Kind::BFloat16,
            _ => Kind::Half,
        }
    }

    /// The choices that its model has in glasslab.
    ///
    /// # Errors
    /// If its family is none that glasslab knows, or a switch of it.
    pub fn transformer_config(&self) -> Result<TransformerConfig> {
        Ok(self.plan()?.config)
    }
}

fn torch(error: TchError) -> crate::Error {
    crate::Error::from(glasslab::Error::from(error))
}

/// Weights on their way, and which have been read.
struct Reading<'a> {
    foreign: &'a Foreign,
    plan: &'a Plan,
    used: RefCell<HashSet<String>>,
}

impl Reading<'_> {
    /// Before room is made for a model, that its sizes are those of the weights that are there.
    fn check_sizes(&self) -> Result<()> {
        let Plan { config, names, layout, .. } = self.plan;
        let TransformerConfig { n_vocab, emb_dim, n_heads, n_kv_heads, head_dim, n_hidden, context_len, .. } = *config;
        let check = |name: String, expected: [i64; 2]| {
            let shape = &self.foreign.weight(&name)?.shape;
            if shape[..] == expected { Ok(()) } else { Err(self.misfit(&name, shape, &expected)) }
        };
        let turned = |[rows, columns]: [i64; 2]| if layout.transposed { [columns, rows] } else { [rows, columns] };
        check(format!("{}.weight", names.embedding), [n_vocab, emb_dim])?;
        if config.positions == glasslab::model::Positions::Learned {
            check(format!("{}.weight", names.position), [context_len, emb_dim])?;
        }
        for block in 0..config.n_layers {
            let name = |part: &str| names.in_block(block, &format!("{part}.weight"));
            let rows = match names.qkv.len() {
                1 => (n_heads + 2 * n_kv_heads) * head_dim,
                _ => n_heads * head_dim,
            };
            check(name(names.qkv[0]), turned([rows, emb_dim]))?;
            check(name(names.hidden), turned([n_hidden, emb_dim]))?;
        }
        Ok(())
    }

    fn misfit(&self, name: &str, got: &[i64], expected: &[i64]) -> crate::Error {
        let why = format!(
            "has {name} of shape {got:?}, and its settings ask for {expected:?}: the two don't belong together"
        );
        wrong(&self.foreign.path, &why)
    }

    /// A weight of the file, in float32.
    fn weight(&self, name: String) -> Result<Tensor> {
        let read = self.foreign.weight(&name)?.read()?.f_to_kind(Kind::Float).map_err(torch)?;
        self.used.borrow_mut().insert(name);
        Ok(read)
    }

    /// The numbers of a parameter of ours.
    fn parameter(&self, name: &str) -> Result<Tensor> {
        let names = self.plan.names;
        let inside = name.strip_prefix("block.").and_then(|rest| rest.split_once('.'));
        let Some((number, part)) = inside else {
            return match name {
                "embedding" => self.weight(format!("{}.weight", names.embedding)),
                "position" => self.weight(format!("{}.weight", names.position)),
                "head" => self.weight(format!("{}.weight", names.head)),
                _ => self.norm(name.replace("final_norm", names.final_norm)),
            };
        };
        let number = number.parse().unwrap_or(0);
        let (of, end) = part.rsplit_once('.').unwrap_or((part, ""));
        let named = |theirs: &str| names.in_block(number, &format!("{theirs}.{end}"));
        match of {
            "norm1" => self.norm(named(names.norm1)),
            "attn.qkv" => self.projections(number, end),
            "attn.queries_norm" => {
                let scale = self.by_pairs(self.norm(named(names.queries_norm))?)?;
                self.times(scale, self.plan.query_scale)
            }
            "attn.keys_norm" => self.by_pairs(self.norm(named(names.keys_norm))?),
            "attn.output" => self.matrix(named(names.output)),
            "attn_norm" => self.norm(named(names.attn_norm)),
            "norm2" => self.norm(named(names.norm2)),
            "mlp.gate" => self.matrix(named(names.gate)),
            "mlp.hidden" => self.matrix(named(names.hidden)),
            "mlp.output" => self.matrix(named(names.mlp_output)),
            "mlp_norm" => self.norm(named(names.mlp_norm)),
            _ => Err(wrong(&self.foreign.path, &format!("has nothing for {name}"))),
        }
    }

    /// (out, in), or a bias.
    fn matrix(&self, name: String) -> Result<Tensor> {
        let weight = self.weight(name)?;
        match self.plan.layout.transposed && weight.dim() == 2 {
            true => weight.f_transpose(0, 1).map_err(torch),
            false => Ok(weight),
        }
    }

    fn norm(&self, name: String) -> Result<Tensor> {
        let weight = self.weight(name)?;
        if self.plan.layout.plus_one { weight.f_add_scalar(1.0).map_err(torch) } else { Ok(weight) }
    }

    /// Those of queries, keys and values, or their biases, one below the other.
    fn projections(&self, block: i64, end: &str) -> Result<Tensor> {
        let Plan { names, config, query_scale, .. } = self.plan;
        let read = |part: &&str| self.matrix(names.in_block(block, &format!("{part}.{end}")));
        let parts = names.qkv.iter().map(read).collect::<Result<Vec<_>>>()?;
        let Ok([queries, keys, values]) = <[Tensor; 3]>::try_from(parts) else {
            return self.matrix(names.in_block(block, &format!("{}.{end}", names.qkv[0])));
        };
        let scale = if config.qk_norm { 1.0 } else { *query_scale }; // else it is the norm's
        let queries = self.times(self.by_pairs(queries)?, scale)?;
        Tensor::f_cat(&[queries, self.by_pairs(keys)?, values], 0).map_err(torch)
    }

    fn times(&self, x: Tensor, factor: f64) -> Result<Tensor> {
        if factor == 1.0 { Ok(x) } else { x.f_mul_scalar(factor).map_err(torch) }
    }

    /// In each head, rows 0, D/2, 1, D/2 + 1, … of queries or keys that are turned by halves.
    ///
    /// # Shapes
    /// (H·D, C) or (H·D) → the same
    fn by_pairs(&self, rows: Tensor) -> Result<Tensor> {
        let (head_dim, size) = (self.plan.config.head_dim, rows.size());
        if !self.plan.layout.by_halves || head_dim % 2 != 0 || size[0] % head_dim != 0 {
            return Ok(rows);
        }
        let halves = rows.f_reshape([size[0] / head_dim, 2, head_dim / 2, -1]).map_err(torch)?; // (H, 2, D/2, C)
        halves.f_transpose(1, 2).and_then(|pairs| pairs.f_reshape(&size[..])).map_err(torch)
    }

    /// That each weight of the file has found its place: one that is left over would be computed with elsewhere.
    fn check_nothing_is_left(&self) -> Result<()> {
        let Plan { family, names, .. } = self.plan;
        let used = self.used.borrow();
        // Tables that are computed, masks, and a head that is the embedding once more.
        let is_needless = |name: &str| {
            let ends = [".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", ".inv_freq"];
            ends.iter().any(|end| name.ends_with(end))
                || name == "rope_freqs.weight"
                || name == format!("{}.weight", names.head)
        };
        let left =
            self.foreign.weights.iter().find(|weight| !used.contains(&weight.name) && !is_needless(&weight.name));
        match left {
            None => Ok(()),
            Some(weight) => Err(wrong(
                &self.foreign.path,
                &format!("has a weight {} that glasslab's {} has no place for", weight.name, family.name()),
            )),
        }
    }
}
