"""The course's own loop in PyTorch: one story a step, Adam, and the loss asked for at every step."""

import argparse
import json
import time

import torch
from torch import nn
from torch.nn import functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True)
parser.add_argument("--steps", type=int, required=True)
parser.add_argument("--device", default="cpu")
options = parser.parse_args()

torch.manual_seed(0)
stories = [story.strip() for story in open(options.data, encoding="utf-8").read().split("<|endoftext|>") if story.strip()][:4000]
ids = [torch.tensor([ord(c) for c in story if ord(c) < 256], device=options.device) for story in stories]


class FeedForward(nn.Module):
    def __init__(self, n_vocab=256, emb_dim=32, n_hidden=128):
        super().__init__()
        self.embedding = nn.Embedding(n_vocab, emb_dim)
        self.hidden, self.output = nn.Linear(emb_dim, n_hidden), nn.Linear(n_hidden, emb_dim)
        nn.init.normal_(self.embedding.weight, std=emb_dim**-0.5)

    def forward(self, ids):
        return F.linear(self.output(F.relu(self.hidden(self.embedding(ids)))), self.embedding.weight)


model = FeedForward().to(options.device)
optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
losses = []
started = time.perf_counter()
for step in range(options.steps):
    story = ids[step % len(ids)]
    loss = F.cross_entropy(model(story[:-1]), story[1:])
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    losses.append(loss.item())
seconds = time.perf_counter() - started
print(json.dumps({"seconds": seconds, "train_nats": sum(losses[-1000:]) / len(losses[-1000:]), "steps": options.steps}))
