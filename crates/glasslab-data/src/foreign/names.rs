//! What the files of others call the parts of a transformer.

use super::Form;
use glasslab::model::Family;

/// What a kind of files calls a family; nothing, where it has no such.
pub(super) fn architecture(form: Form, family: Family) -> Option<&'static str> {
    Some(match (form, family) {
        (Form::HuggingFace | Form::Gguf, Family::Gpt2) => "gpt2",
        (Form::HuggingFace, Family::GptNeo) => "gpt_neo",
        (_, Family::Llama) => "llama",
        (Form::HuggingFace, Family::Mistral) => "mistral",
        (Form::HuggingFace | Form::Gguf, Family::Qwen2) => "qwen2",
        (Form::HuggingFace | Form::Gguf, Family::Qwen3) => "qwen3",
        (Form::HuggingFace, Family::Gemma3) => "gemma3_text",
        (Form::Gguf, Family::Gemma3) => "gemma3",
        _ => return None,
    })
}

/// How the weights of a family lie in a kind of files.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Queries and keys turn number i with number i + D/2, as Hugging Face's code does, and not with its neighbour.
    pub(super) by_halves: bool,
    /// Matrices are (in, out).
    pub(super) transposed: bool,
    /// Norms keep what is added to 1.
    pub(super) plus_one: bool,
}

pub(super) fn layout(form: Form, family: Family) -> Layout {
    let (is_hf, is_rotary) = (form == Form::HuggingFace, !matches!(family, Family::Gpt2 | Family::GptNeo));
    Layout {
        by_halves: match form {
            Form::HuggingFace => is_rotary,
            // llama.cpp turns Llama's rows when it converts them, and no other family's.
            Form::Gguf => is_rotary && family != Family::Llama,
            Form::Llama2c => false,
        },
        transposed: is_hf && family == Family::Gpt2,
        plus_one: is_hf && family == Family::Gemma3,
    }
}

/// The keys of a model's sizes.
pub(super) struct Keys {
    pub(super) context_len: &'static str,
    pub(super) emb_dim: &'static str,
    pub(super) n_layers: &'static str,
    pub(super) n_heads: &'static str,
    /// As many as heads, where nothing is said.
    pub(super) n_kv_heads: &'static str,
    /// C / H, where nothing is said.
    pub(super) head_dim: &'static str,
    /// 4 · C, where nothing is said.
    pub(super) n_hidden: &'static str,
    pub(super) epsilon: &'static str,
}

const HUGGING_FACE: Keys = Keys {
    context_len: "max_position_embeddings",
    emb_dim: "hidden_size",
    n_layers: "num_hidden_layers",
    n_heads: "num_attention_heads",
    n_kv_heads: "num_key_value_heads",
    head_dim: "head_dim",
    n_hidden: "intermediate_size",
    epsilon: "rms_norm_eps",
};

const GPT_NEO: Keys =
    Keys { n_layers: "num_layers", n_heads: "num_heads", epsilon: "layer_norm_epsilon", ..HUGGING_FACE };

const GPT_2: Keys = Keys {
    context_len: "n_positions",
    emb_dim: "n_embd",
    n_layers: "n_layer",
    n_heads: "n_head",
    n_hidden: "n_inner",
    epsilon: "layer_norm_epsilon",
    ..HUGGING_FACE
};

/// `*` stands for the name of the architecture.
const GGUF: Keys = Keys {
    context_len: "*.context_length",
    emb_dim: "*.embedding_length",
    n_layers: "*.block_count",
    n_heads: "*.attention.head_count",
    n_kv_heads: "*.attention.head_count_kv",
    head_dim: "*.attention.key_length",
    n_hidden: "*.feed_forward_length",
    epsilon: "*.attention.layer_norm_rms_epsilon",
};

const GGUF_GPT: Keys = Keys { epsilon: "*.attention.layer_norm_epsilon", ..GGUF };

const LLAMA2C: Keys = Keys {
    context_len: "max_seq_len",
    emb_dim: "dim",
    n_layers: "n_layers",
    n_heads: "n_heads",
    n_kv_heads: "n_kv_heads",
    head_dim: "head_dim",
    n_hidden: "hidden_dim",
    epsilon: "norm_eps",
};

/// The keys of a family in a kind of files.
pub(super) fn keys(form: Form, family: Family) -> &'static Keys {
    match (form, family) {
        (Form::HuggingFace, Family::Gpt2) => &GPT_2,
        (Form::HuggingFace, Family::GptNeo) => &GPT_NEO,
        (Form::HuggingFace, _) => &HUGGING_FACE,
        (Form::Gguf, Family::Gpt2) => &GGUF_GPT,
        (Form::Gguf, _) => &GGUF,
        (Form::Llama2c, _) => &LLAMA2C,
    }
}

/// The names of a model's weights, without `.weight` and `.bias`; empty where the family has no such part.
pub(super) struct Names {
    pub(super) embedding: &'static str,
    pub(super) position: &'static str,
    /// What stands before the names of a block's parts, `*` being its number.
    pub(super) block: &'static str,
    pub(super) norm1: &'static str,
    /// Queries, keys and values; one name, if they are one matrix.
    pub(super) qkv: &'static [&'static str],
    pub(super) queries_norm: &'static str,
    pub(super) keys_norm: &'static str,
    pub(super) output: &'static str,
    pub(super) attn_norm: &'static str,
    pub(super) norm2: &'static str,
    pub(super) gate: &'static str,
    pub(super) hidden: &'static str,
    pub(super) mlp_output: &'static str,
    pub(super) mlp_norm: &'static str,
    pub(super) final_norm: &'static str,
    pub(super) head: &'static str,
}

const LLAMA_HF: Names = Names {
    embedding: "model.embed_tokens",
    position: "",
    block: "model.layers.*.",
    norm1: "input_layernorm",
    qkv: &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    queries_norm: "self_attn.q_norm",
    keys_norm: "self_attn.k_norm",
    output: "self_attn.o_proj",
    attn_norm: "",
    norm2: "post_attention_layernorm",
    gate: "mlp.gate_proj",
    hidden: "mlp.up_proj",
    mlp_output: "mlp.down_proj",
    mlp_norm: "",
    final_norm: "model.norm",
    head: "lm_head",
};

/// Its `post_attention_layernorm` is another norm than Llama's of that name.
const GEMMA_HF: Names = Names {
    attn_norm: "post_attention_layernorm",
    norm2: "pre_feedforward_layernorm",
    mlp_norm: "post_feedforward_layernorm",
    ..LLAMA_HF
};

const GPT_2_HF: Names = Names {
    embedding: "transformer.wte",
    position: "transformer.wpe",
    block: "transformer.h.*.",
    norm1: "ln_1",
    qkv: &["attn.c_attn"],
    queries_norm: "",
    keys_norm: "",
    output: "attn.c_proj",
    attn_norm: "",
    norm2: "ln_2",
    gate: "",
    hidden: "mlp.c_fc",
    mlp_output: "mlp.c_proj",
    mlp_norm: "",
    final_norm: "transformer.ln_f",
    head: "lm_head",
};

/// As the file of the first GPT-2 on the hub names them.
const GPT_2_BARE: Names = Names { embedding: "wte", position: "wpe", block: "h.*.", final_norm: "ln_f", ..GPT_2_HF };

const GPT_NEO_HF: Names = Names {
    qkv: &["attn.attention.q_proj", "attn.attention.k_proj", "attn.attention.v_proj"],
    output: "attn.attention.out_proj",
    ..GPT_2_HF
};

const GGUF_NAMES: Names = Names {
    embedding: "token_embd",
    position: "position_embd",
    block: "blk.*.",
    norm1: "attn_norm",
    qkv: &["attn_q", "attn_k", "attn_v"],
    queries_norm: "attn_q_norm",
    keys_norm: "attn_k_norm",
    output: "attn_output",
    attn_norm: "post_attention_norm",
    norm2: "ffn_norm",
    gate: "ffn_gate",
    hidden: "ffn_up",
    mlp_output: "ffn_down",
    mlp_norm: "post_ffw_norm",
    final_norm: "output_norm",
    head: "output",
};

const GGUF_GPT_2: Names = Names { qkv: &["attn_qkv"], ..GGUF_NAMES };

const LLAMA2C_NAMES: Names = Names {
    embedding: "tok_embeddings",
    position: "",
    block: "layers.*.",
    norm1: "attention_norm",
    qkv: &["attention.wq", "attention.wk", "attention.wv"],
    queries_norm: "",
    keys_norm: "",
    output: "attention.wo",
    attn_norm: "",
    norm2: "ffn_norm",
    gate: "feed_forward.w1",
    hidden: "feed_forward.w3",
    mlp_output: "feed_forward.w2",
    mlp_norm: "",
    final_norm: "norm",
    head: "output",
};

/// The names of a family's weights in a kind of files; `has` says whether there is a weight of some name.
pub(super) fn names(form: Form, family: Family, has: impl Fn(&str) -> bool) -> &'static Names {
    match (form, family) {
        (Form::HuggingFace, Family::Gpt2) if has("wte.weight") => &GPT_2_BARE,
        (Form::HuggingFace, Family::Gpt2) => &GPT_2_HF,
        (Form::HuggingFace, Family::GptNeo) => &GPT_NEO_HF,
        (Form::HuggingFace, Family::Gemma3) => &GEMMA_HF,
        (Form::HuggingFace, _) => &LLAMA_HF,
        (Form::Gguf, Family::Gpt2) => &GGUF_GPT_2,
        (Form::Gguf, _) => &GGUF_NAMES,
        (Form::Llama2c, _) => &LLAMA2C_NAMES,
    }
}

impl Names {
    /// The name of a block's part.
    pub(super) fn in_block(&self, number: i64, part: &str) -> String {
        format!("{}{part}", self.block.replace('*', &number.to_string()))
    }
}
