#!/usr/bin/env python3
"""Checks what `glasslab export` has written: `transformers` opens the folders, llama.cpp (its binding `xllamacpp`, where it is
there) the GGUF files, and each gives the scores, cuts the text and writes what glasslab says in the `.json` beside it. Needs
`pip install torch transformers` (2.13.0 and 5.24.0), and `xllamacpp` for the second half. `tests/export.rs` runs it:

    GLASSLAB_TRANSFORMERS_PYTHON=python3 cargo test --release -p glasslab-data --test export -- --ignored
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

try:
    import xllamacpp
except ImportError:
    xllamacpp = None


def of_transformers(folder, expected):
    """Scores at every place, the ids of the text, and what is written greedily."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    ids = torch.tensor([expected["ids"]])
    with torch.no_grad():
        logits = model(ids).logits[0]
        written = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=len(expected["written"]), do_sample=False,
                                 eos_token_id=None, pad_token_id=0, suppress_tokens=expected["silent"])
    off = (logits.double() - torch.tensor(expected["logits"]).double().view(logits.shape)).abs().max().item()
    return off, tokenizer(expected["text"]).input_ids, written[0, ids.shape[1]:].tolist(), model.__class__.__name__


def of_llama_cpp(file, expected):
    """The same; scores are compared as logarithms of probabilities, of the last place only. Of a token that is a part of a character
    it tells nothing, so none such is written (`silent`)."""
    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.n_ctx, params.n_parallel, params.n_gpu_layers, params.warmup, params.verbosity = 0, 1, 0, False, 0
    params.cpuparams.n_threads = 2
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    server = xllamacpp.Server(params)
    ask = {"temperature": 0.0, "ignore_eos": True, "cache_prompt": False}
    ask["logit_bias"] = [[token, False] for token in expected["silent"]]
    count = len(expected["logits"]) // len(expected["ids"])
    first = server.handle_completions({**ask, "prompt": expected["ids"], "n_predict": 1, "n_probs": count})
    content = lambda answer: answer["choices"][0]["logprobs"]["content"]
    told = content(first)[0]["top_logprobs"]
    own = torch.tensor(expected["logits"][-count:]).double().log_softmax(-1)
    off = max(abs(own[one["id"]].item() - one["logprob"]) for one in told if one["logprob"] > -30)
    written = server.handle_completions({**ask, "prompt": expected["ids"], "n_predict": len(expected["written"]), "n_probs": 1})
    cut = server.handle_completions({**ask, "prompt": expected["text"], "n_predict": 1})
    return off, cut["usage"]["prompt_tokens"], [one["id"] for one in content(written)], len(told)


def main():
    parser = argparse.ArgumentParser(description="Checks what `glasslab export` has written.")
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    wrong = []
    for path in sorted(options.folder.glob("*.json")):
        expected = json.loads(path.read_text(encoding="utf-8"))
        folder, file = path.with_suffix(""), path.with_suffix(".gguf")
        if folder.is_dir():
            off, ids, written, name = of_transformers(folder, expected)
            right = off <= 1e-4, ids == expected["ids"], written == expected["written"]
            print(f"{folder.name:24} transformers  {name:22} logits off by {off:.1e}; ids, writing equal: {right[1]}, {right[2]}")
            wrong += [] if all(right) else [folder.name]
        if file.is_file() and xllamacpp is not None:
            off, count, written, told = of_llama_cpp(file, expected)
            right = off <= 1e-3, count == len(expected["ids"]), written == expected["written"]
            print(f"{file.name:24} llama.cpp     {told:5} scores           logits off by {off:.1e}; ids, writing equal: {right[1]}, {right[2]}")
            wrong += [] if all(right) else [file.name]
    if wrong:
        sys.exit(f"differ: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
