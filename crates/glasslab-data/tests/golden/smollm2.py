#!/usr/bin/env python3
"""Makes smollm2.json: the likeliest next token at each of 1,000 places of a story, and some scores, as `transformers` computes them in
float32 of SmolLM2-135M-Instruct as a GGUF file. Needs `pip install torch transformers accelerate gguf` (transformers 5.24.0 made the file).

    python crates/glasslab-data/tests/golden/smollm2.py SmolLM2-135M-Instruct.Q4_1.gguf
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).resolve().parent
PLACES = 1000


def main():
    path = Path(sys.argv[1])
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32).eval()
    text = (HERE.parents[3] / "data" / "stories-valid.txt").read_text(encoding="utf-8").replace("<|endoftext|>", "")
    ids = tokenizer(text[:20_000], add_special_tokens=False).input_ids[:PLACES]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    best = logits.topk(2, dim=-1)
    golden = {"ids": ids, "choices": best.indices[:, 0].tolist(), "leads": [round(x, 4) for x in (best.values[:, 0] - best.values[:, 1]).tolist()],
              "last_scores": [round(x, 5) for x in logits[-1, :50].tolist()]}
    (HERE / "smollm2.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
