"""Makes the golden values beside this file, with PyTorch 2.13: `python make.py`.

The library's tests compare with them; PyTorch is not needed to run those. The models are those of
scripts/pytorch/glasslab_model.py; that of `steps` is torch.nn's own.
"""

import json
import math
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[3] / "scripts" / "pytorch"))
import glasslab_model as reference

ORIGINAL = {"n_layers": 2, "n_heads": 2, "n_kv_heads": 2, "head_dim": 4, "positions": "learned", "weighting": "softmax",
            "previous_head": False, "norm": "layer", "final_norm": False, "qk_norm": False, "activation": "relu", "tied": True}
MODERN = ORIGINAL | {"positions": "rotary", "norm": "rms", "final_norm": True, "qk_norm": True, "activation": "relu_squared",
                     "tied": False}
# Every option that the two don't have.
OTHER = ORIGINAL | {"positions": "none", "weighting": "sigmoid", "n_kv_heads": 1, "previous_head": True, "final_norm": True,
                    "activation": "gelu"}
BIAS = {"relu", "gelu"}
VOCAB, EMB, HIDDEN, CONTEXT = 7, 6, 10, 5


def flat(tensor):
    # Seven digits are what a float has; fewer characters, the same number.
    return [float(f"{number:.9g}") for number in tensor.detach().flatten().tolist()]


def optimisers():
    """Five steps on (a - 3)^2 + sum b^4, and three of Muon on a tall and a wide matrix."""

    def five(make, clip=None, shrink=1):
        a = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
        b = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
        optimiser = make([a, b])
        for _ in range(5):
            optimiser.zero_grad()
            (((a - 3) ** 2).sum() + (b**4).sum()).backward()
            if clip:
                torch.nn.utils.clip_grad_norm_([a, b], clip)
            with torch.no_grad():  # decoupled weight decay, which PyTorch's SGD has not
                a *= shrink
                b *= shrink
            optimiser.step()
        return flat(a) + flat(b)

    def muon(rows, columns):
        torch.manual_seed(3)
        start, target = torch.randn(rows, columns), torch.randn(rows, columns)
        w = start.clone()
        momentum = torch.zeros_like(w)
        for _ in range(3):
            g = 2 * (w - target)
            momentum = 0.95 * momentum + g
            x = g + 0.95 * momentum
            x = x.T if rows > columns else x
            x = x / (x.norm() + 1e-7)
            for _ in range(5):
                gram = x @ x.T
                x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
            x = x.T if rows > columns else x
            w = w * (1 - 0.1 * 0.2) - 0.1 * max(1, rows / columns) ** 0.5 * x
        return {"start": flat(start), "target": flat(target), "end": flat(w)}

    return {
        "adam": five(lambda p: torch.optim.Adam(p, lr=0.1)),
        "adamw": five(lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.3)),
        "clipped": five(lambda p: torch.optim.Adam(p, lr=0.1), clip=0.5),
        # Without momentum, decay beside the gradient and decay within it are the same.
        "sgd": five(lambda p: torch.optim.SGD(p, lr=0.01, weight_decay=0.3)),
        "momentum": five(lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9)),
        "momentum_decayed": five(lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9), shrink=1 - 0.01 * 0.3),
        "muon_tall": muon(4, 3),
        "muon_wide": muon(2, 5),
    }


def with_gradients(shapes, compute):
    """Random inputs, the output, and the gradients of its sum weighted by 1, 2, 3, …"""
    torch.manual_seed(1)
    inputs = {name: torch.randn(shape, requires_grad=True) for name, shape in shapes.items()}
    output = compute(inputs)
    (output.flatten() * torch.arange(1, output.numel() + 1)).sum().backward()
    return {"inputs": {name: flat(x) for name, x in inputs.items()}, "output": flat(output),
            "gradients": {name: flat(x.grad) for name, x in inputs.items()}}


def modules():
    """Each building block by itself."""
    made = {
        "layer_norm": with_gradients({"x": (2, 3, 6), "n.weight": (6,), "n.bias": (6,)},
                                     lambda p: reference.norm({"norm": "layer"}, p, "n", p["x"])),
        "rms_norm": with_gradients({"x": (2, 3, 6)}, lambda p: reference.norm({"norm": "rms"}, p, "n", p["x"])),
        "rotary": with_gradients({"x": (2, 5, 4)}, lambda p: reference.rotary(p["x"])),
        "head": with_gradients(
            {"x": (2, 5, 6), "query": (4, 6), "key": (4, 6), "value": (4, 6)},
            lambda p: F.scaled_dot_product_attention(*(F.linear(p["x"], p[name]) for name in ("query", "key", "value")),
                                                     is_causal=True)),
    }
    for name, config in (("original", ORIGINAL), ("modern", MODERN), ("other", OTHER)):
        rows = (config["n_heads"] + 2 * config["n_kv_heads"]) * config["head_dim"]
        shapes = {"x": (2, 5, 6), "a.qkv.weight": (rows, 6), "a.output.weight": (6, 8)}
        made[f"attention_{name}"] = with_gradients(
            shapes, lambda p, config=config: reference.attention(config, p, "a", p["x"], 0))
    return made


def language_model(shapes, logits):
    """Logits, loss and gradients of a language model with random parameters."""
    torch.manual_seed(2)
    p = {name: torch.randn(shape, requires_grad=True) for name, shape in shapes.items()}
    ids = torch.tensor([[0, 3, 6, 1, 5], [2, 2, 5, 4, 0]])
    targets = torch.tensor([[3, 6, 1, 5, 1], [2, 5, 4, 0, 6]])
    output = logits(p, ids)
    loss = F.cross_entropy(output.flatten(0, 1), targets.flatten())
    loss.backward()
    return {"parameters": {name: flat(x) for name, x in p.items()}, "gradients": {name: flat(x.grad) for name, x in p.items()},
            "ids": ids.tolist(), "targets": targets.tolist(), "logits": flat(output), "loss": float(loss.detach())}


def mlp():
    shapes = {"embedding": (VOCAB, 3), "hidden.weight": (5, 3), "hidden.bias": (5,), "output.weight": (3, 5), "output.bias": (3,)}
    return language_model(shapes, reference.mlp_logits)


def transformer(config):
    shapes = {"embedding": (VOCAB, EMB)}
    if config["positions"] == "learned":
        shapes["position"] = (CONTEXT, EMB)
    norms = [f"block.{i}.{name}" for i in range(config["n_layers"]) for name in ("norm1", "norm2")]
    norms += ["final_norm"] if config["final_norm"] else []
    for name in norms if config["norm"] == "layer" else []:
        shapes |= {f"{name}.weight": (EMB,), f"{name}.bias": (EMB,)}
    for i in range(config["n_layers"]):
        width = config["n_heads"] * config["head_dim"]
        rows = width + 2 * config["n_kv_heads"] * config["head_dim"]
        shapes |= {f"block.{i}.attn.qkv.weight": (rows, EMB), f"block.{i}.attn.output.weight": (EMB, width),
                   f"block.{i}.mlp.hidden.weight": (HIDDEN, EMB), f"block.{i}.mlp.output.weight": (EMB, HIDDEN)}
        if config["activation"] in BIAS:
            shapes |= {f"block.{i}.mlp.hidden.bias": (HIDDEN,), f"block.{i}.mlp.output.bias": (EMB,)}
    if not config["tied"]:
        shapes["head"] = (VOCAB, EMB)
    return language_model(shapes, lambda p, ids: reference.transformer_logits(config, p, ids))


def steps():
    """Every step of a transformer with its gradient, and every parameter's, in double precision.

    The blocks are nn.TransformerEncoderLayer, norm first, which is the course's: the steps inside are computed from its
    modules, and what they come to is compared with what the layer itself gives.
    """
    torch.manual_seed(4)
    seen = {}

    def at(name, tensor):
        if tensor.requires_grad:
            tensor.retain_grad()
        seen[name] = tensor
        return tensor

    embedding, position = nn.Embedding(VOCAB, EMB), nn.Embedding(CONTEXT, EMB)
    layers = nn.ModuleList(nn.TransformerEncoderLayer(EMB, 2, HIDDEN, dropout=0, norm_first=True, batch_first=True) for _ in range(2))
    named = {"embedding": embedding.weight, "position": position.weight}
    for i, layer in enumerate(layers):
        attention = layer.self_attn
        for bias in (attention.in_proj_bias, attention.out_proj.bias):  # the library's attention has none
            nn.init.zeros_(bias).requires_grad_(False)
        for name, module in (("norm1", layer.norm1), ("norm2", layer.norm2), ("mlp.hidden", layer.linear1), ("mlp.output", layer.linear2)):
            named |= {f"block.{i}.{name}.weight": module.weight, f"block.{i}.{name}.bias": module.bias}
        named |= {f"block.{i}.attn.qkv.weight": attention.in_proj_weight, f"block.{i}.attn.output.weight": attention.out_proj.weight}
    for parameter in named.values():
        nn.init.normal_(parameter, std=0.7)
    for module in (embedding, position, layers):
        module.double()

    ids = torch.tensor([[0, 3, 6, 1, 3]])
    future = torch.ones(CONTEXT, CONTEXT).triu(1).bool()
    x = at("embedded", embedding(ids))
    x = at("positioned", x + position(torch.arange(CONTEXT)))
    for i, layer in enumerate(layers):
        name, attention, whole = f"block.{i}", layer.self_attn, layer(x, src_mask=future)
        normed = at(f"{name}.norm1", layer.norm1(x))
        # (B, T, 3·H·D) → three times (B, H, T, D)
        qkv = F.linear(normed, attention.in_proj_weight).unflatten(-1, (3, 2, EMB // 2)).permute(2, 0, 3, 1, 4).unbind()
        queries, keys, values = (at(f"{name}.attn.{part}", tensor) for part, tensor in zip(("queries", "keys", "values"), qkv))
        scores = at(f"{name}.attn.scores", torch.einsum("bhtd,bhsd->bhts", queries, keys) / math.sqrt(EMB // 2))
        masked = at(f"{name}.attn.masked", scores.masked_fill(future, -math.inf))
        weights = at(f"{name}.attn.weights", masked.softmax(dim=-1))
        heads = at(f"{name}.attn.heads", torch.einsum("bhts,bhsd->bhtd", weights, values))
        output = at(f"{name}.attn.output", attention.out_proj(heads.transpose(1, 2).flatten(2)))
        x = at(f"{name}.after_attn", x + output)
        hidden = at(f"{name}.mlp.hidden", layer.linear1(at(f"{name}.norm2", layer.norm2(x))))
        output = at(f"{name}.mlp.output", layer.linear2(at(f"{name}.mlp.activated", hidden.relu())))
        x = at(f"{name}.after_mlp", x + output)
        torch.testing.assert_close(x, whole, rtol=1e-12, atol=1e-12)
    logits = at("logits", F.linear(x, embedding.weight))
    probabilities = at("probabilities", logits.softmax(dim=-1))
    loss = at("loss", -probabilities[:, :-1].gather(-1, ids[:, 1:, None]).squeeze(-1).log())
    torch.testing.assert_close(loss.mean(), F.cross_entropy(logits[0, :-1], ids[0, 1:]))
    loss.mean().backward()
    # JSON has no infinity.
    finite = lambda tensor: [number if math.isfinite(number) else None for number in flat(tensor)]
    both = lambda tensors: {name: {"numbers": finite(x), "gradient": flat(x.grad)} for name, x in tensors.items()}
    return {"ids": ids[0].tolist(), "parameters": both(named), "steps": both(seen)}


if __name__ == "__main__":
    files = {"optimisers": optimisers(), "modules": modules(), "mlp": mlp(), "transformer_original": transformer(ORIGINAL),
             "transformer_modern": transformer(MODERN), "transformer_other": transformer(OTHER), "steps": steps()}
    for name, values in files.items():
        (HERE / f"{name}.json").write_text(json.dumps(values, separators=(",", ":")).replace('],"', '],\n"') + "\n")
