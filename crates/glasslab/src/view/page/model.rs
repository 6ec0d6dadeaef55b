//! A model as a page has it: what its file says of it, and its numbers, in 16 bits each where all of them fit.

use super::super::bitmap::base64;
use crate::checkpoint::unfilled;
use crate::error::{Error, Result};
use crate::model::{AnyModel, Parameter, Trainable};
use serde_json::{Value, json};
use std::collections::HashMap;
use tch::{Device, Kind, Tensor};

/// The largest number that has 16 bits.
const LARGEST: f64 = 65504.0;

/// A model of the library's kind with what `change` makes of each parameter's numbers.
pub(super) fn copied(model: &impl Trainable, change: impl Fn(Tensor) -> Result<Tensor>) -> Result<AnyModel> {
    let Some(config) = model.settings() else {
        return Err(Error::Config(
            "a page computes the library's MLP and transformer; of a struct of your own, trace(…)? and explore()? show in the \
             notebook what there is to see"
                .to_owned(),
        ));
    };
    let mut copy = unfilled(config, Device::Cpu)?.with_tokenizer(model.tokenizer())?;
    model.trained().cloned().into_iter().for_each(|trained| copy.learnt_from(trained));
    let _guard = tch::no_grad_guard();
    let mut numbers = HashMap::new();
    for Parameter { name, tensor, .. } in model.parameters() {
        let tensor = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
        numbers.insert(name, change(tensor)?);
    }
    for mut parameter in copy.parameters() {
        let tensor = numbers.get(&parameter.name).ok_or_else(|| {
            Error::Data(format!("the model has no {}, which one of its kind and sizes has", parameter.name))
        })?;
        parameter.fill(tensor)?;
    }
    Ok(copy)
}

/// Numbers as a page has them.
pub(super) fn narrowed(numbers: Tensor) -> Result<Tensor> {
    Ok(numbers.f_to_kind(kind(&numbers)?)?.f_to_kind(Kind::Float)?)
}

/// Float16, unless a number is too large for it.
fn kind(numbers: &Tensor) -> Result<Kind> {
    let is_small = numbers.numel() == 0 || numbers.f_abs()?.f_max()?.f_double_value(&[])? <= LARGEST;
    Ok(if is_small { Kind::Half } else { Kind::Float })
}

/// How many bits the numbers of a model have in a page.
pub(super) fn bits(model: &AnyModel) -> Result<u32> {
    let kinds = model.parameters().iter().map(|parameter| kind(&parameter.tensor)).collect::<Result<Vec<Kind>>>()?;
    Ok(if kinds.contains(&Kind::Float) { 32 } else { 16 })
}

/// What the page's scripts are given of a model whose numbers are [`narrowed`].
pub(super) fn data(model: &AnyModel) -> Result<Value> {
    let about: Value = serde_json::from_str(&model.about()?).map_err(|error| Error::Data(error.to_string()))?;
    let parameters = model.parameters();
    let kind = if bits(model)? == 32 { Kind::Float } else { Kind::Half };
    let (mut bytes, mut named, mut at) = (Vec::new(), Vec::new(), 0);
    for Parameter { name, tensor, .. } in &parameters {
        named.push(json!({ "name": name, "shape": tensor.size(), "at": at }));
        at += tensor.numel();
        let tensor = tensor.f_detach()?.f_to_kind(kind)?.f_contiguous()?;
        let start = bytes.len();
        bytes.resize(start + tensor.numel() * kind.elt_size_in_bytes(), 0);
        tensor.f_copy_data_u8(&mut bytes[start..], tensor.numel())?;
    }
    let name = match model {
        AnyModel::Transformer(_) => "transformer",
        AnyModel::Mlp(_) => "MLP",
    };
    Ok(json!({
        "name": name, "about": about, "held_out": model.trained().and_then(|trained| trained.nats_per_char),
        "kind": if kind == Kind::Half { "f16" } else { "f32" }, "parameters": named, "numbers": base64(&bytes),
    }))
}
