#!/usr/bin/env python3
"""A model that glasslab trained, in PyTorch: reads model.safetensors, computes the same logits.

    python scripts/pytorch/glasslab_model.py model.safetensors --text "Once upon a time"

prints the likeliest next characters; with --json all logits. From Python:

    model = load("model.safetensors")
    logits = model(torch.tensor([[79, 110, 99, 101]]))      # (B, T) ids, here code points → (B, T, V)

Needs PyTorch only. The tests of the Rust library compare with these functions.
"""

import argparse
import json
import math
import struct
import sys
from pathlib import Path

import torch
from torch.nn import functional as F

DTYPES = {"F32": torch.float32, "F64": torch.float64, "I64": torch.int64, "U8": torch.uint8}


def read_safetensors(path):
    """The tensors of a file by name, and its metadata: 8 bytes with the length of a JSON header, the header, the numbers."""
    data = bytearray(Path(path).read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = torch.frombuffer(data[start:end], dtype=DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata


def mlp_logits(p, ids):
    """The MLP language model with a tied head: (B, T) → (B, T, V)."""
    hidden = F.relu(F.linear(F.embedding(ids, p["embedding"]), p["hidden.weight"], p["hidden.bias"]))
    return F.linear(F.linear(hidden, p["output.weight"], p["output.bias"]), p["embedding"])


def norm(config, p, name, x):
    """Layer norm with its learnt scale and shift, or RMS norm with a scale or without any."""
    eps = config.get("epsilon", 1e-5)
    if config["norm"] == "layer":
        return F.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"], eps=eps)
    return F.rms_norm(x, x.shape[-1:], p.get(f"{name}.weight"), eps=eps)


def turning(speeds, dim):
    """How fast each pair turns: base^(−2i/D), slowed down where the model was made for longer texts later."""
    all_ = torch.exp(torch.arange(dim // 2) * (-2 / dim * math.log(speeds["base"])))
    slowed = speeds.get("slowed") or {}
    if "evenly" in slowed:
        return all_ / slowed["evenly"]["factor"]
    if "slow_ones" in slowed:
        how = slowed["slow_ones"]
        kept = ((how["context_len"] * all_ / (2 * math.pi) - how["low"]) / (how["high"] - how["low"])).clamp(0, 1)
        return all_ * (kept + (1 - kept) / how["factor"])
    return all_


def window_of(config, number):
    """How many characters a block sees, if not all."""
    window = config.get("window")
    if window is None:
        return None
    every = window.get("except")
    return None if every and number % every["step"] == every["first"] else window["len"]


def rotary(x, speeds=None):
    """Turns neighbours (x[2i], x[2i + 1]) by position · 10000^(−2i/D), or at other speeds."""
    time, dim = x.shape[-2:]
    speeds = turning(speeds or {"base": 10000}, dim)
    angles = torch.outer(torch.arange(time).float(), speeds)
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()], dim=-1).flatten(-2)


def attention(config, p, name, x, number):
    """Causal multi-head attention, in block `number` of a model: (B, T, C) → (B, T, C)."""
    window = window_of(config, number)
    heads, kv_heads, dim = config["n_heads"], config["n_kv_heads"], config["head_dim"]
    batch, time, _ = x.shape
    qkv = F.linear(x, p[f"{name}.qkv.weight"], p.get(f"{name}.qkv.bias")).view(batch, time, -1, dim).transpose(1, 2)
    q, k, v = qkv.split([heads, kv_heads, kv_heads], dim=1)
    if config["qk_norm"]:
        eps = config.get("epsilon", 1e-5)
        q, k = (F.rms_norm(part, (dim,), p.get(f"{name}.{of}_norm.weight"), eps=eps) for part, of in ((q, "queries"), (k, "keys")))
    if config["positions"] == "rotary":
        near = config.get("window_speeds") if window is not None else None
        speeds = near or config.get("speeds")
        q, k = rotary(q, speeds), rotary(k, speeds)
    k, v = (part.repeat_interleave(heads // kv_heads, dim=1) for part in (k, v))
    scores = q @ k.transpose(-2, -1) / math.sqrt(dim)
    scores = scores.masked_fill(torch.ones(time, time).triu(1).bool(), -math.inf)
    if window is not None:
        scores = scores.masked_fill(torch.ones(time, time).tril(-window).bool(), -math.inf)
    if config["weighting"] == "sigmoid":
        weights = torch.sigmoid(scores - torch.arange(1, time + 1).log()[:, None])
    else:
        weights = scores.softmax(dim=-1)
    if config["previous_head"] and number == 0:
        before = F.one_hot((torch.arange(time) - 1).clamp(min=0), time).float()
        weights = torch.cat([before.expand(batch, 1, time, time), weights[:, 1:]], dim=1)
    return F.linear((weights @ v).transpose(1, 2).reshape(batch, time, -1), p[f"{name}.output.weight"], p.get(f"{name}.output.bias"))


ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu, "relu_squared": lambda x: F.relu(x) ** 2, "silu": F.silu,
               "gelu_tanh": lambda x: F.gelu(x, approximate="tanh")}


def block_mlp(config, p, name, x):
    """A block's MLP: (B, T, C) → (B, T, C)."""
    hidden = F.linear(x, p[f"{name}.hidden.weight"], p.get(f"{name}.hidden.bias"))
    activation = ACTIVATIONS[config["activation"]]
    gated = config.get("gated", False)
    activated = activation(F.linear(x, p[f"{name}.gate.weight"])) * hidden if gated else activation(hidden)
    return F.linear(activated, p[f"{name}.output.weight"], p.get(f"{name}.output.bias"))


def ngram_rows(ngrams, ids, table):
    """What is added for a character with those before it: (B, T) → (B, T, C). Each group's row is a number computed from its ids."""
    number, added = ids + 1, 0
    for back in range(1, ngrams["longest"]):
        before = F.pad(ids + 1, (back, 0))[:, : ids.shape[1]]  # 0 before the text
        number = (number * 1_000_003 + before) % (2**31 - 1)
        added = added + F.embedding(number % ngrams["rows"], table)
    return added


def transformer_logits(config, p, ids):
    """The transformer language model: (B, T) → (B, T, V)."""
    x = F.embedding(ids, p["embedding"])
    if config.get("scaled_embedding"):
        x = x * math.sqrt(config["emb_dim"])
    if config["positions"] == "learned":
        x = x + p["position"][: ids.shape[1]]
    if config.get("ngrams"):
        x = x + ngram_rows(config["ngrams"], ids, p["ngrams"])
    for i in range(config["n_layers"]):
        name = f"block.{i}"
        attended = attention(config, p, f"{name}.attn", norm(config, p, f"{name}.norm1", x), i)
        x = x + (norm(config, p, f"{name}.attn_norm", attended) if config.get("norms_after") else attended)
        thought = block_mlp(config, p, f"{name}.mlp", norm(config, p, f"{name}.norm2", x))
        x = x + (norm(config, p, f"{name}.mlp_norm", thought) if config.get("norms_after") else thought)
    if config["final_norm"]:
        x = norm(config, p, "final_norm", x)
    return F.linear(x, p["embedding"] if config["tied"] else p["head"])


def read(path):
    """The parameters, and what the file says of them; of version 2, that was a JSON file beside it."""
    parameters, metadata = read_safetensors(path)
    text = metadata.get("glasslab") or Path(path).with_suffix(".json").read_text(encoding="utf-8")
    config = json.loads(text)
    if config["version"] not in (2, 3):
        sys.exit(f"{path} is of version {config['version']}, and this script reads versions 2 and 3: take the one beside the "
                 "glasslab that wrote it")
    return parameters, config


def load(path):
    """A function from ids (B, T) to logits (B, T, V)."""
    parameters, config = read(path)
    if config["model"] == "mlp":
        return lambda ids: mlp_logits(parameters, ids)
    return lambda ids: transformer_logits(config, parameters, ids)


def main():
    parser = argparse.ArgumentParser(description="Computes the logits of a glasslab model in PyTorch.")
    parser.add_argument("model", help="model.safetensors")
    parser.add_argument("--text", default="Once upon a time")
    parser.add_argument("--json", action="store_true", help="print ids and all logits")
    options = parser.parse_args()
    if (read(options.model)[1].get("tokenizer") or {}).get("kind") == "pairs":
        sys.exit(f"{options.model} reads byte pairs: give load(…) their ids, from Python")
    ids = [ord(character) for character in options.text if ord(character) < 256]
    with torch.no_grad():
        logits = load(options.model)(torch.tensor([ids]))[0]
    if options.json:
        print(json.dumps({"ids": ids, "logits": logits.tolist()}))
        return
    probabilities = logits[-1].softmax(dim=-1)
    for id_ in probabilities.argsort(descending=True)[:5].tolist():
        print(f"{chr(id_)!r:>6}  {probabilities[id_]:.3f}")


if __name__ == "__main__":
    main()
