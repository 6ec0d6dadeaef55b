//! Self-attention: each character looks back at earlier ones and takes what it needs from them.
//!
//! ```text
//! queries = x · Wqᵀ    what do I want to know?
//! keys    = x · Wkᵀ    what can be found here?
//! values  = x · Wvᵀ    what is told to those who look?
//! scores  = queries · keysᵀ / √D
//! weights = softmax(scores), after the future has been set to −∞
//! output  = weights · values
//! ```
//! Source: Vaswani et al., "Attention is all you need", 2017, eq. 1 and section 3.2.2.
//!
//! Two depths: [`Head`] is one head from three projections, to be read first. [`MultiHeadAttention`] does all
//! heads in one product.

use super::norm::rms_norm;
use super::{Probe, random_weight};
use crate::error::{Error, Result};
use std::fmt::Display;
use tch::{Device, Kind, Tensor};

/// What attention gives: the outputs, and the weights that they were mixed with.
#[derive(Debug)]
pub struct Attended {
    /// (…, T, D)
    pub output: Tensor,
    /// (…, T, T): row t says where character t looks; each row sums to 1
    pub weights: Tensor,
}

/// Causal scaled dot-product attention.
///
/// # Shapes
/// `queries`, `keys`, `values`: (…, T, D) → `output` (…, T, D), `weights` (…, T, T)
///
/// # Errors
/// If the shapes don't belong together.
pub fn attend(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    name: impl Display,
    probe: &mut impl Probe,
) -> Result<Attended> {
    let head_dim = queries.size().last().copied().unwrap_or(1);
    let scores = queries.f_matmul(&keys.f_transpose(-2, -1)?)?.f_div_scalar((head_dim as f64).sqrt())?;
    let scores = probe.at(format_args!("{name}.scores"), scores); // (…, T, T)
    let masked = probe.at(format_args!("{name}.masked"), mask_future(&scores)?); // (…, T, T)
    let weights = probe.at(format_args!("{name}.weights"), masked.f_softmax(-1, Kind::Float)?); // (…, T, T)
    let output = probe.at(format_args!("{name}.heads"), weights.f_matmul(values)?); // (…, T, D)
    Ok(Attended { output, weights })
}

/// Scores with −∞ wherever a character would look at a later one: softmax makes 0 of it.
///
/// # Shapes
/// (…, T, T) → (…, T, T)
///
/// # Errors
/// If the scores are not square.
pub fn mask_future(scores: &Tensor) -> Result<Tensor> {
    let size = scores.size();
    match size[..] {
        [.., rows, columns] if rows == columns => {
            let future = Tensor::f_ones([rows, columns], (Kind::Bool, scores.device()))?.f_triu(1)?; // (T, T)
            Ok(scores.f_masked_fill(&future, f64::NEG_INFINITY)?)
        }
        _ => Err(Error::Shape {
            expected: "scores of shape (…, T, T)".to_owned(),
            got: format!("{size:?}"),
            hint: "multiply the queries by the transposed keys first".to_owned(),
        }),
    }
}

/// One attention head, from three projections without bias.
#[derive(Debug)]
pub struct Head {
    /// Wq: (D, C)
    pub query_weight: Tensor,
    /// Wk: (D, C)
    pub key_weight: Tensor,
    /// Wv: (D, C)
    pub value_weight: Tensor,
}

impl Head {
    /// A head with random weights.
    ///
    /// # Errors
    /// If a size is below 1.
    pub fn new(emb_dim: i64, head_dim: i64, device: Device) -> Result<Head> {
        let weight = || random_weight([head_dim, emb_dim], emb_dim, device);
        Ok(Head { query_weight: weight()?, key_weight: weight()?, value_weight: weight()? })
    }

    /// Each character's mix of what the characters up to it tell.
    ///
    /// # Shapes
    /// `x`: (B, T, C) → `output` (B, T, D), `weights` (B, T, T)
    ///
    /// # Errors
    /// If `x` is not of that shape.
    pub fn forward(&self, x: &Tensor, probe: &mut impl Probe) -> Result<Attended> {
        let queries = probe.at("head.queries", x.f_linear(&self.query_weight, None::<&Tensor>)?); // (B, T, D)
        let keys = probe.at("head.keys", x.f_linear(&self.key_weight, None::<&Tensor>)?); // (B, T, D)
        let values = probe.at("head.values", x.f_linear(&self.value_weight, None::<&Tensor>)?); // (B, T, D)
        attend(&queries, &keys, &values, "head", probe)
    }
}

/// Many heads at once: one product makes all queries, keys and values, one joins all outputs.
#[derive(Debug)]
pub struct MultiHeadAttention {
    /// H: the number of heads.
    pub n_heads: i64,
    /// Whether queries and keys are brought to one length (Henry et al. 2020), so that no score can run away.
    pub qk_norm: bool,
    /// Wq, Wk and Wv of all heads, one below the other: (3·H·D, C)
    pub qkv_weight: Tensor,
    /// Wo: (C, H·D)
    pub output_weight: Tensor,
}

impl MultiHeadAttention {
    /// Attention with random projections and an output of zero: a new block leaves its input as it is.
    ///
    /// # Errors
    /// If a size is below 1.
    pub fn new(emb_dim: i64, n_heads: i64, head_dim: i64, qk_norm: bool, device: Device) -> Result<MultiHeadAttention> {
        Ok(MultiHeadAttention {
            n_heads,
            qk_norm,
            qkv_weight: random_weight([3 * n_heads * head_dim, emb_dim], emb_dim, device)?,
            output_weight: Tensor::f_zeros([emb_dim, n_heads * head_dim], (Kind::Float, device))?
                .set_requires_grad(true),
        })
    }

    /// The heads' mixes, joined. With `rotary`, queries and keys are turned by their position first.
    ///
    /// # Shapes
    /// `x`: (B, T, C) → (B, T, C)
    ///
    /// # Errors
    /// If `x` is not of that shape.
    pub fn forward(
        &self,
        x: &Tensor,
        rotary: Option<&Rotary>,
        name: impl Display,
        probe: &mut impl Probe,
    ) -> Result<Tensor> {
        let (batch, time, _) = x.size3()?;
        let heads = self.n_heads;
        let qkv = x.f_linear(&self.qkv_weight, None::<&Tensor>)?; // (B, T, 3·H·D)
        let qkv = qkv.f_view([batch, time, 3 * heads, -1])?.f_transpose(1, 2)?; // (B, 3·H, T, D)
        let mut queries_keys = qkv.f_narrow(1, 0, 2 * heads)?; // (B, 2·H, T, D)
        if self.qk_norm {
            queries_keys = rms_norm(&queries_keys)?;
        }
        if let Some(rotary) = rotary {
            queries_keys = rotary.turn(&probe.at(format_args!("{name}.unturned"), queries_keys))?;
        }
        let queries = probe.at(format_args!("{name}.queries"), queries_keys.f_narrow(1, 0, heads)?);
        let keys = probe.at(format_args!("{name}.keys"), queries_keys.f_narrow(1, heads, heads)?);
        let values = probe.at(format_args!("{name}.values"), qkv.f_narrow(1, 2 * heads, heads)?);
        let Attended { output, .. } = attend(&queries, &keys, &values, &name, probe)?; // (B, H, T, D)
        let joined = output.f_transpose(1, 2)?.f_reshape([batch, time, -1])?; // (B, T, H·D)
        Ok(probe.at(format_args!("{name}.output"), joined.f_linear(&self.output_weight, None::<&Tensor>)?)) // (B, T, C)
    }
}

/// Rotary positions: each pair of numbers of a query or key is turned by an angle that grows with its position,
/// so that a score depends on how far apart two characters are, not on where they stand.
///
/// Source: Su et al., "RoFormer", 2021.
#[derive(Debug)]
pub struct Rotary {
    /// (T, D/2)
    cos: Tensor,
    /// (T, D/2)
    sin: Tensor,
}

impl Rotary {
    /// The angles for `context_len` positions: slow ones and fast ones, from 1 down to 1/10000 a character.
    ///
    /// # Errors
    /// If `head_dim` is odd.
    pub fn new(context_len: i64, head_dim: i64, device: Device) -> Result<Rotary> {
        if head_dim % 2 != 0 {
            return Err(Error::Config(format!(
                "rotary positions turn pairs of numbers, so head_dim must be even, got {head_dim}"
            )));
        }
        let options = (Kind::Float, device);
        let pairs = Tensor::f_arange(head_dim / 2, options)?;
        let speeds = (pairs * (-2.0 / head_dim as f64 * 10_000_f64.ln())).f_exp()?; // (D/2)
        let angles = Tensor::f_arange(context_len, options)?.f_outer(&speeds)?; // (T, D/2)
        Ok(Rotary { cos: angles.f_cos()?, sin: angles.f_sin()? })
    }

    /// Turns each vector by its position.
    ///
    /// # Shapes
    /// `x`: (…, T, D) → (…, T, D)
    ///
    /// # Errors
    /// If T is larger than the angles' or D another.
    pub fn turn(&self, x: &Tensor) -> Result<Tensor> {
        let [.., time, _] = x.size()[..] else {
            return Err(Error::Shape {
                expected: "vectors of shape (…, T, D)".to_owned(),
                got: format!("{:?}", x.size()),
                hint: "one vector a position".to_owned(),
            });
        };
        let (cos, sin) = (self.cos.f_narrow(0, 0, time)?, self.sin.f_narrow(0, 0, time)?); // (T, D/2)
        let halves = x.f_chunk(2, -1)?;
        let (a, b) = (&halves[0], &halves[1]); // (…, T, D/2) each
        let turned = [a.f_mul(&cos)?.f_sub(&b.f_mul(&sin)?)?, a.f_mul(&sin)?.f_add(&b.f_mul(&cos)?)?];
        Ok(Tensor::f_cat(&turned, -1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NoProbe, Recording};
    use super::*;

    fn random(size: &[i64]) -> Tensor {
        tch::manual_seed(1);
        Tensor::randn(size, (Kind::Float, Device::Cpu))
    }

    fn difference(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).abs().max().double_value(&[])
    }

    #[test]
    fn rows_of_attention_sum_to_one_and_leave_out_the_future() {
        let x = random(&[2, 5, 8]);
        let head = Head::new(8, 4, Device::Cpu).unwrap();
        let weights = head.forward(&x, &mut NoProbe).unwrap().weights;
        assert!(
            difference(
                &weights.sum_dim_intlist(-1, false, Kind::Float),
                &Tensor::ones([2, 5], (Kind::Float, Device::Cpu))
            ) < 1e-6
        );
        assert_eq!(weights.triu(1).abs().max().double_value(&[]), 0.0);
    }

    #[test]
    fn one_score_is_one_dot_product_over_the_root_of_head_dim() {
        let x = random(&[1, 4, 8]);
        let mut recording = Recording::default();
        let _ = Head::new(8, 4, Device::Cpu).unwrap().forward(&x, &mut recording).unwrap();
        let get = |name: &str| recording.get(name).unwrap().get(0);
        let by_hand = get("head.queries").get(2).dot(&get("head.keys").get(1)) / 2.0;
        assert!(difference(&by_hand, &get("head.scores").get(2).get(1)) < 1e-5);
    }

    #[test]
    fn many_heads_in_one_product_are_the_heads_one_by_one() {
        let (emb_dim, n_heads, head_dim) = (8, 2, 4);
        let x = random(&[2, 5, emb_dim]);
        let mut all = MultiHeadAttention::new(emb_dim, n_heads, head_dim, false, Device::Cpu).unwrap();
        all.output_weight = Tensor::eye(emb_dim, (Kind::Float, Device::Cpu));
        let joined = all.forward(&x, None, "attn", &mut NoProbe).unwrap();
        for number in 0..n_heads {
            let part = |which: i64| all.qkv_weight.narrow(0, (which * n_heads + number) * head_dim, head_dim);
            let head = Head { query_weight: part(0), key_weight: part(1), value_weight: part(2) };
            let alone = head.forward(&x, &mut NoProbe).unwrap().output;
            assert!(difference(&alone, &joined.narrow(2, number * head_dim, head_dim)) < 1e-5);
        }
    }

    #[test]
    fn rotary_scores_depend_on_the_distance_only() {
        let rotary = Rotary::new(16, 8, Device::Cpu).unwrap();
        let (query, key) = (random(&[8]), random(&[8]).roll([3], [0]));
        let turned = |vector: &Tensor| rotary.turn(&vector.expand([16, 8], false)).unwrap();
        let scores = turned(&query).matmul(&turned(&key).transpose(0, 1)); // (16, 16)
        assert!((scores.double_value(&[5, 2]) - scores.double_value(&[12, 9])).abs() < 1e-4);
        assert!((scores.double_value(&[5, 2]) - scores.double_value(&[5, 3])).abs() > 1e-3);
        assert!(Rotary::new(16, 7, Device::Cpu).is_err());
    }
}
