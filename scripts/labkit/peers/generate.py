"""Writes with a GPT in PyTorch, without a KV cache and with one: characters a second."""

import argparse
import json
import time

import torch
from gpt import GPT, MODELS, precision

parser = argparse.ArgumentParser()
parser.add_argument("--batch", type=int, required=True)
parser.add_argument("--chars", type=int, required=True)
parser.add_argument("--cache", choices=["without", "with", "both"], default="both")
parser.add_argument("--model", choices=list(MODELS), default="small")
parser.add_argument("--device", default="cpu")
options = parser.parse_args()

torch.manual_seed(0)
model = GPT(**MODELS[options.model]).to(options.device).eval()
context = model.context


def draw(logits):
    return torch.multinomial((logits / 0.5).softmax(-1), 1)


@torch.inference_mode()
def write(chars, cached):
    ids = torch.tensor([[79, 110, 99, 101]] * options.batch, device=options.device)
    if not cached:
        for _ in range(chars):
            ids = torch.cat([ids, draw(model(ids[:, -context:])[:, -1])], dim=1)
        return ids
    # As glasslab: past the context, its oldest quarter is forgotten and the rest read anew.
    caches, new = model.caches(options.batch), ids
    for _ in range(chars):
        if caches[0]["len"] + new.shape[1] > context:
            for cache in caches:
                cache["len"] = 0
            new = ids[:, -(context - context // 4 + 1):]
        new = draw(model(new, caches)[:, -1])
        ids = torch.cat([ids, new], dim=1)
    return ids


def chars_per_s(cached):
    with precision(options.model, options.device):
        write(20, cached).cpu()
        started = time.perf_counter()
        length = write(options.chars, cached).cpu().shape[1]
    assert length == options.chars + 4
    return options.batch * options.chars / (time.perf_counter() - started)


print(json.dumps({name: chars_per_s(name == "with") for name in ("without", "with") if options.cache in (name, "both")}))
