"""Makes the golden values beside this file, with PyTorch 2.13: `python make.py`.

The library's tests compare with them; PyTorch is not needed to run those.
"""

import json
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
        "loss": float(loss),
    }


if __name__ == "__main__":
    for make in (adam, mlp):
        (HERE / f"{make.__name__}.json").write_text(json.dumps(make(), indent=1) + "\n")
