"""Makes the golden values beside this file, with PyTorch 2.13: `python make.py`.

The library's tests compare with them; PyTorch is not needed to run those.
"""

import json
import math
from pathlib import Path

import torch
from torch.nn import functional as F

HERE = Path(__file__).parent


def flat(tensor):
    return [float(number) for number in tensor.detach().flatten()]


def adam():
    """Five steps of Adam on (a - 3)^2 + sum b^4."""
    a = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
    b = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([a, b], lr=0.1)
    for _ in range(5):
        optimiser.zero_grad()
        (((a - 3) ** 2).sum() + (b**4).sum()).backward()
        optimiser.step()
    return {"parameters": flat(a) + flat(b)}


def mlp():
    """Logits, loss and gradients of a small MLP language model with tied head."""
    torch.manual_seed(0)
    shapes = {"embedding": (7, 3), "hidden.weight": (5, 3), "hidden.bias": (5,), "output.weight": (3, 5), "output.bias": (3,)}
    p = {name: torch.randn(shape, requires_grad=True) for name, shape in shapes.items()}
    ids = torch.tensor([[0, 3, 6, 1], [2, 2, 5, 4]])
    targets = torch.tensor([[3, 6, 1, 0], [2, 5, 4, 6]])
    hidden = F.relu(F.linear(F.embedding(ids, p["embedding"]), p["hidden.weight"], p["hidden.bias"]))
    logits = F.linear(F.linear(hidden, p["output.weight"], p["output.bias"]), p["embedding"])
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    return {
        "parameters": {name: flat(tensor) for name, tensor in p.items()},
        "gradients": {name: flat(tensor.grad) for name, tensor in p.items()},
        "ids": ids.tolist(),
        "targets": targets.tolist(),
        "logits": flat(logits),
        "loss": float(loss.detach()),
    }


def rotary(x):
    """Turns pairs (x[i], x[i + D/2]) by position * 10000^(-2i/D)."""
    time, dim = x.shape[-2:]
    speeds = torch.exp(torch.arange(dim // 2) * (-2 / dim * math.log(10000)))
    angles = torch.outer(torch.arange(time).float(), speeds)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()], dim=-1)


def transformer(modern):
    """Two blocks with two heads; `modern`: rotary positions, RMS norms, ReLU squared, QK norm, own head."""
    torch.manual_seed(2)
    n_vocab, emb_dim, heads, dim, hidden_dim, layers, context = 7, 6, 2, 4, 10, 2, 5
    p = {"embedding": (n_vocab, emb_dim)}
    if not modern:
        p["position"] = (context, emb_dim)
    for i in range(layers):
        norms = [] if modern else [f"block.{i}.norm1", f"block.{i}.norm2"]
        for norm in norms:
            p |= {f"{norm}.weight": (emb_dim,), f"{norm}.bias": (emb_dim,)}
        p |= {f"block.{i}.attn.qkv.weight": (3 * heads * dim, emb_dim), f"block.{i}.attn.output.weight": (emb_dim, heads * dim),
              f"block.{i}.mlp.hidden.weight": (hidden_dim, emb_dim), f"block.{i}.mlp.output.weight": (emb_dim, hidden_dim)}
        if not modern:
            p |= {f"block.{i}.mlp.hidden.bias": (hidden_dim,), f"block.{i}.mlp.output.bias": (emb_dim,)}
    if modern:
        p["head"] = (n_vocab, emb_dim)
    p = {name: torch.randn(shape, requires_grad=True) for name, shape in p.items()}

    def norm(x, name):
        if modern:
            return F.rms_norm(x, x.shape[-1:], eps=1e-5)
        return F.layer_norm(x, x.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"])

    ids = torch.tensor([[0, 3, 6, 1, 5], [2, 2, 5, 4, 0]])
    targets = torch.tensor([[3, 6, 1, 5, 1], [2, 5, 4, 0, 6]])
    batch, time = ids.shape
    x = F.embedding(ids, p["embedding"])
    if not modern:
        x = x + p["position"]
    for i in range(layers):
        qkv = F.linear(norm(x, f"block.{i}.norm1"), p[f"block.{i}.attn.qkv.weight"])
        q, k, v = (part.view(batch, time, heads, dim).transpose(1, 2) for part in qkv.chunk(3, dim=-1))
        if modern:
            q, k = (rotary(F.rms_norm(part, (dim,), eps=1e-5)) for part in (q, k))
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(batch, time, -1)
        x = x + F.linear(attended, p[f"block.{i}.attn.output.weight"])
        hidden = F.linear(norm(x, f"block.{i}.norm2"), p[f"block.{i}.mlp.hidden.weight"], p.get(f"block.{i}.mlp.hidden.bias"))
        hidden = F.relu(hidden) ** 2 if modern else F.relu(hidden)
        x = x + F.linear(hidden, p[f"block.{i}.mlp.output.weight"], p.get(f"block.{i}.mlp.output.bias"))
    logits = F.linear(norm(x, "final_norm") if modern else x, p["head"] if modern else p["embedding"])
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    return {
        "parameters": {name: flat(tensor) for name, tensor in p.items()},
        "gradients": {name: flat(tensor.grad) for name, tensor in p.items()},
        "ids": ids.tolist(),
        "targets": targets.tolist(),
        "logits": flat(logits),
        "loss": float(loss.detach()),
    }


def transformer_original():
    return transformer(modern=False)


def transformer_modern():
    return transformer(modern=True)


if __name__ == "__main__":
    for make in (adam, mlp, transformer_original, transformer_modern):
        (HERE / f"{make.__name__}.json").write_text(json.dumps(make(), indent=1) + "\n")
