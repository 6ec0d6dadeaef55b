"""A GPT in PyTorch: glasslab's `small` and `large` (rotary positions, RMS norms, squared ReLU), or nanoGPT's (learnt
positions, GELU)."""

import math

import torch
from torch import nn
from torch.nn import functional as F

SMALL = {"n_vocab": 256, "context": 64, "width": 96, "layers": 3, "heads": 4, "modern": True}
LARGE = {"n_vocab": 256, "context": 256, "width": 512, "layers": 8, "heads": 8, "modern": True}
NANOGPT = {"n_vocab": 256, "context": 64, "width": 128, "layers": 4, "heads": 4, "modern": False}

MODELS = {"small": SMALL, "large": LARGE, "nanogpt": NANOGPT}


def precision(model, device):
    """As glasslab: `large` computes in bfloat16 on a GPU, all else in float32."""
    return torch.autocast("cuda", torch.bfloat16, enabled=model == "large" and device == "cuda")


class Attention(nn.Module):
    def __init__(self, width, heads, context, modern):
        super().__init__()
        self.heads, self.modern = heads, modern
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        dim = width // heads
        angles = torch.outer(torch.arange(context).float(), torch.exp(torch.arange(dim // 2) * (-2 / dim * math.log(10000))))
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def turn(self, x, first):
        cos, sin = self.cos[first:first + x.shape[-2]], self.sin[first:first + x.shape[-2]]
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)

    def forward(self, x, cache=None):
        B, T, C = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        first = 0 if cache is None else cache["len"]
        if self.modern:
            q, k = (self.turn(F.rms_norm(part, (part.shape[-1],)), first) for part in (q, k))
        if cache is None:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            cache["k"][:, :, first:first + T], cache["v"][:, :, first:first + T] = k, v
            cache["len"] = first + T
            k, v = cache["k"][:, :, :first + T], cache["v"][:, :, :first + T]
            y = F.scaled_dot_product_attention(q, k, v, is_causal=first == 0)
        return self.out(y.transpose(1, 2).reshape(B, T, C))


class Block(nn.Module):
    def __init__(self, width, heads, context, modern):
        super().__init__()
        self.modern = modern
        self.attention = Attention(width, heads, context, modern)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        if not modern:
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x, cache=None):
        norm1, norm2 = (lambda x: F.rms_norm(x, (x.shape[-1],)),) * 2 if self.modern else (self.norm1, self.norm2)
        x = x + self.attention(norm1(x), cache)
        hidden = self.up(norm2(x))
        return x + self.down(F.relu(hidden).square() if self.modern else F.gelu(hidden))


class GPT(nn.Module):
    def __init__(self, n_vocab, context, width, layers, heads, modern):
        super().__init__()
        self.context, self.modern = context, modern
        self.embedding = nn.Embedding(n_vocab, width)
        if not modern:
            self.position = nn.Embedding(context, width)
            self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(Block(width, heads, context, modern) for _ in range(layers))
        self.head = nn.Linear(width, n_vocab, bias=False)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)
        if not modern:
            self.head.weight = self.embedding.weight

    def forward(self, ids, caches=None):
        x = self.embedding(ids)
        if not self.modern:
            first = 0 if caches is None else caches[0]["len"]
            x = x + self.position.weight[first:first + ids.shape[1]]
        for place, block in enumerate(self.blocks):
            x = block(x, None if caches is None else caches[place])
        return self.head(F.rms_norm(x, (x.shape[-1],)) if self.modern else self.norm(x))

    def caches(self, batch):
        block = self.blocks[0].attention
        dim = self.embedding.embedding_dim // block.heads
        kind = torch.get_autocast_dtype("cuda") if torch.is_autocast_enabled("cuda") else torch.float32
        room = lambda: torch.zeros(batch, block.heads, self.context, dim, device=self.embedding.weight.device, dtype=kind)
        return [{"k": room(), "v": room(), "len": 0} for _ in self.blocks]
