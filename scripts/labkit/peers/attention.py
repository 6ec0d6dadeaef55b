"""The cost of PyTorch's attention over the length of the context: milliseconds of one causal pass, the best of several."""

import argparse
import json
import time

import torch
from torch.nn import functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--lengths", required=True)
options = parser.parse_args()

figures = {}
with torch.inference_mode():
    for length in map(int, options.lengths.split(",")):
        q, k, v = (torch.randn(1, 4, length, 24) for _ in range(3))
        best = float("inf")
        for _ in range(7):
            started = time.perf_counter()
            F.scaled_dot_product_attention(q, k, v, is_causal=True)
            best = min(best, time.perf_counter() - started)
        figures[str(length)] = best * 1e3
print(json.dumps(figures))
