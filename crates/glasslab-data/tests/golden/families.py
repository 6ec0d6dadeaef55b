#!/usr/bin/env python3
"""Makes families/: a tiny random model of each family that glasslab knows, as `transformers` (Hugging Face) saves it and as
llama.cpp's GGUF keeps it, with the logits and the hidden states that `transformers` computes for a few ids. Needs
`pip install torch transformers gguf` (2.13.0, 5.24.0 and 0.19.0 made the files).

    python crates/glasslab-data/tests/golden/families.py
    python crates/glasslab-data/tests/golden/families.py --seed 2 --out /tmp/more
    GLASSLAB_FAMILIES=/tmp/more cargo test --release -p glasslab-data --test families
"""

import argparse
import json
from pathlib import Path

import gguf
import torch
from transformers import (AutoModelForCausalLM, Gemma3TextConfig, GPT2Config, GPTNeoConfig, LlamaConfig, MistralConfig, Qwen2Config,
                          Qwen3Config)

HERE = Path(__file__).resolve().parent
VOCABULARY, TIME = 24, 12
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 12,
         "max_position_embeddings": 32, "pad_token_id": None, "bos_token_id": None, "eos_token_id": None}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 16}
NEO = {key: value for key, value in SIZES.items() if not key.startswith("num_")}


def configs():
    """By name: a family, with the switches that models of it have."""
    gpt2 = {"vocab_size": VOCABULARY, "n_embd": 8, "n_layer": 2, "n_head": 2, "n_positions": 16, "bos_token_id": None, "eos_token_id": None}
    yield "gpt2", GPT2Config(**gpt2)
    yield "gpt_neo", GPTNeoConfig(**NEO, num_layers=4, num_heads=2, window_size=4, attention_types=[[["global", "local"], 2]])
    yield "llama2c", LlamaConfig(**SIZES, num_key_value_heads=2)
    yield "llama3", LlamaConfig(**SIZES, num_key_value_heads=1, head_dim=8, rope_parameters=LLAMA3, attention_bias=True)
    yield "smollm2", LlamaConfig(**SIZES, num_key_value_heads=1, rope_parameters={"rope_type": "default", "rope_theta": 1e5},
                                 tie_word_embeddings=True, rms_norm_eps=1e-5)
    yield "mistral", MistralConfig(**SIZES, num_key_value_heads=1, sliding_window=4)
    yield "qwen2", Qwen2Config(**SIZES, num_key_value_heads=1, use_sliding_window=True, sliding_window=5, max_window_layers=1,
                               tie_word_embeddings=True)
    yield "qwen2_whole", Qwen2Config(**SIZES, num_key_value_heads=2, rope_parameters={"rope_type": "linear", "rope_theta": 1e6, "factor": 2.0})
    yield "qwen3", Qwen3Config(**SIZES, num_key_value_heads=1, head_dim=6)
    yield "gemma3", Gemma3TextConfig(**{**SIZES, "num_hidden_layers": 7}, num_key_value_heads=1, head_dim=6, sliding_window=4,
                                     query_pre_attn_scalar=6)
    yield "gemma3_scaled", Gemma3TextConfig(**SIZES, num_key_value_heads=1, head_dim=6, sliding_window=4, query_pre_attn_scalar=9,
                                            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
                                            rope_parameters={"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                                                             "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}})


def model_of(config, seed):
    """Random numbers everywhere: norms and biases of 1 and 0 would hide what becomes of them."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            around = 1.0 if "norm" in name or ".ln_" in name else 0.0
            if "gemma3" in config.model_type or name.endswith(".bias"):
                around = 0.0
            parameter.copy_(around + 0.4 * torch.randn(parameter.shape))
    return model


def by_pairs(weight, heads):
    """llama.cpp's order of the rows of Llama's queries and keys."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1).transpose(1, 2).reshape(weight.shape)


GGUF_NAMES = {
    "transformer.wte": "token_embd", "transformer.wpe": "position_embd", "transformer.ln_f": "output_norm", "ln_1": "attn_norm",
    "ln_2": "ffn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down",
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output", "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
GEMMA_NAMES = {"post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
               "post_feedforward_layernorm": "post_ffw_norm"}


def write_gguf(path, model):
    """As llama.cpp's convert_hf_to_gguf.py does."""
    config = model.config
    family = config.model_type.removesuffix("_text")
    heads, kv_heads = config.num_attention_heads, getattr(config, "num_key_value_heads", None)
    writer = gguf.GGUFWriter(path, family)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(heads)
    if family == "gpt2":
        writer.add_feed_forward_length(4 * config.hidden_size)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
    else:
        rope = config.rope_parameters.get("full_attention", config.rope_parameters)
        writer.add_head_count_kv(kv_heads)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        writer.add_key_length(config.head_dim if hasattr(config, "head_dim") else config.hidden_size // heads)
        writer.add_rope_freq_base(rope["rope_theta"])
        if rope["rope_type"] == "linear":
            writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
            writer.add_rope_scaling_factor(rope["factor"])
    if family == "gemma3":
        writer.add_sliding_window(config.sliding_window)
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        part, end = name.rsplit(".", 1)
        block, inside = None, part
        if part.startswith(("model.layers.", "transformer.h.")):
            _, _, block, inside = part.split(".", 3)
        if family == "gpt2" and weight.dim() == 2 and block is not None:
            weight = weight.T
        if family == "llama" and inside == "self_attn.q_proj":
            weight = by_pairs(weight, heads)
        if family == "llama" and inside == "self_attn.k_proj":
            weight = by_pairs(weight, kv_heads)
        if family == "gemma3" and "norm" in inside:
            weight = weight + 1
        theirs = (GEMMA_NAMES if family == "gemma3" else {}).get(inside) or GGUF_NAMES[inside]
        writer.add_tensor(f"blk.{block}.{theirs}.{end}" if block is not None else f"{theirs}.{end}", weight.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    parser = argparse.ArgumentParser(description="Makes families/.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=HERE / "families")
    options = parser.parse_args()
    for number, (name, config) in enumerate(configs()):
        model = model_of(config, 100 * options.seed + number)
        folder = options.out / name
        model.save_pretrained(folder)
        (folder / "generation_config.json").unlink(missing_ok=True)
        ids = torch.randint(VOCABULARY, (1, TIME))
        with torch.no_grad():
            out = model(ids, output_hidden_states=True)
        rounded = lambda tensor: [round(number, 6) for number in tensor.flatten().tolist()]
        golden = {"ids": ids[0].tolist(), "logits": rounded(out.logits), "hidden_states": [rounded(state) for state in out.hidden_states]}
        (folder / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n", encoding="utf-8")
        # Windows and factors of each pair are not in a GGUF file of these.
        if name in ("gpt2", "llama2c", "smollm2", "qwen2_whole", "qwen3", "gemma3"):
            write_gguf(folder / "model.gguf", model)


if __name__ == "__main__":
    main()
