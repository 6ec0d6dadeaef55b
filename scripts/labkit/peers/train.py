"""Trains a GPT in PyTorch: characters a second, held-out loss, and when it reached a given one."""

import argparse
import json
import time

import numpy
import torch
from gpt import GPT, MODELS, precision
from torch.nn import functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True)
parser.add_argument("--held-out", required=True)
parser.add_argument("--model", choices=list(MODELS), required=True)
parser.add_argument("--optimiser", choices=["adamw", "muon"], default="adamw")
parser.add_argument("--mode", choices=["eager", "compile"], default="eager")
parser.add_argument("--batch", type=int, required=True)
parser.add_argument("--steps", type=int, required=True)
parser.add_argument("--until", type=float, help="stop as soon as the held-out loss is this low")
parser.add_argument("--device", default="cpu")
parser.add_argument("--seed", type=int, default=0)
options = parser.parse_args()

torch.manual_seed(options.seed)
device = options.device


def tokens(path):
    text = open(path, encoding="utf-8").read().replace("<|endoftext|>\n", "")
    return torch.from_numpy(numpy.frombuffer(text.encode("latin-1", "ignore"), dtype=numpy.uint8).astype(numpy.int64))


train, held_out = tokens(options.data), tokens(options.held_out)
config = MODELS[options.model]
model = GPT(**config).to(device)
context = config["context"]
forward = torch.compile(model) if options.mode == "compile" else model

class Muon(torch.optim.Optimizer):
    """PyTorch's own Muon computes in bfloat16, which takes ten times as long on a CPU without instructions for it."""

    def __init__(self, matrices, lr):
        super().__init__(matrices, {"lr": lr})
        shapes = {matrix.shape for matrix in matrices}
        self.stacks = [[matrix for matrix in matrices if matrix.shape == shape] for shape in sorted(shapes)]
        self.momenta = [torch.zeros(len(stack), *stack[0].shape) for stack in self.stacks]

    @torch.no_grad()
    def step(self):
        for stack, momentum in zip(self.stacks, self.momenta):
            gradient = torch.stack([matrix.grad for matrix in stack])
            momentum.mul_(0.95).add_(gradient)
            x = gradient.add_(momentum, alpha=0.95)
            rows, columns = x.shape[1:]
            x = x.mT if rows > columns else x
            x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
            for _ in range(5):
                gram = x @ x.mT
                x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
            x = x.mT if rows > columns else x
            scale = -self.param_groups[0]["lr"] * max(1.0, rows / columns) ** 0.5
            torch._foreach_add_(stack, list(x), alpha=scale)


# nanoGPT's recipe: AdamW with β₂ = 0.99, warm-up of 100 steps, cosine to a tenth.
matrices = [p for name, p in model.named_parameters() if name.startswith("blocks") and p.ndim == 2]
others = [p for name, p in model.named_parameters() if not (name.startswith("blocks") and p.ndim == 2)]
if options.optimiser == "muon":
    muon = Muon(matrices, lr=0.02) if device == "cpu" else torch.optim.Muon(matrices, lr=0.02, weight_decay=0.0)
    optimisers = [muon, torch.optim.AdamW(others, lr=0.004, weight_decay=0.0, fused=True)]
else:
    optimisers = [torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1, fused=True)]
bases = [group["lr"] for optimiser in optimisers for group in optimiser.param_groups]
offsets = torch.arange(context)


def batch():
    starts = torch.randint(len(train) - context - 1, (options.batch,))
    places = starts[:, None] + offsets
    return train[places].to(device), train[places + 1].to(device)


@torch.no_grad()
def held_out_loss():
    count = min(300, len(held_out) // (context + 1))
    rows = held_out[: count * (context + 1)].view(count, context + 1).to(device)
    with precision(options.model, device):
        logits = model(rows[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten()).item()


def wait():
    if device != "cpu":
        torch.cuda.synchronize()


warm = 10
seconds, reached = 0.0, None
for step in range(options.steps + warm):
    if step == warm:
        wait()
        started = time.perf_counter()
    progress = step / (options.steps + warm)
    scale = min(1.0, (step + 1) / 100) * (0.1 + 0.45 * (1 + numpy.cos(numpy.pi * progress)))
    for optimiser in optimisers:
        for group, base in zip(optimiser.param_groups, bases):
            group["lr"] = base * scale
    x, y = batch()
    with precision(options.model, device):
        loss = F.cross_entropy(forward(x).flatten(0, 1), y.flatten())
    loss.backward()
    for optimiser in optimisers:
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    if options.until and step % 100 == 99:
        now = time.perf_counter()
        if held_out_loss() <= options.until:
            reached = now - started
            break
        started += time.perf_counter() - now  # measuring is not counted
wait()
seconds = time.perf_counter() - started
print(json.dumps({"chars_per_s": options.steps * options.batch * context / seconds, "seconds": seconds, "reached_s": reached,
                  "nats_per_char": held_out_loss(), "threads": torch.get_num_threads()}))
