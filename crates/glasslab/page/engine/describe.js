// What each step of a forward pass is: its formula, its axes, and what one number of it means, in the library's words.

import { windowOf } from "./transformer.js";

const STREAM = ["time", "emb_dim"];
const WIDE = ["time", "n_hidden"];
const HEADS = ["heads", "time", "head_dim"];
const LOOKS = ["heads", "time (looks)", "time (is looked at)"];
const SCORES = ["time", "n_vocab"];

// A step of a model in words: { formula, axes, meaning }.
export function describeStep(model, name) {
  const [, number, part] = name.match(/^block\.(\d+)\.(.*)$/) ?? [null, "0", name];
  const described = (model.kind === "mlp" ? mlpSteps() : transformerSteps(model.config, Number(number)))[part];
  const [formula, axes, meaning] = described ?? ["", [], "a step of the model's own"];
  const inUnits = (text) => text.replaceAll("character", model.unit);
  return { formula: inUnits(formula), axes, meaning: inUnits(meaning) };
}

const commonSteps = () => ({
  ids: ["ids[t] = the number of character t", ["time"], "which character stands here, as its place in the vocabulary"],
  embedded: ["embedded[t] = embedding[ids[t]]", STREAM, "one of the learnt numbers that stand for this character, wherever it stands"],
  probabilities: ["probabilities = exp(logits) / Σ exp(logits)", SCORES, "the probability of this character of the vocabulary to come next"],
  loss: ["loss[t] = −ln probabilities[t, id of the character that came]", ["time"], "how much this prediction cost, in nats: 0 if it was sure and right"],
});

const mlpSteps = () => ({
  ...commonSteps(),
  hidden: ["hidden = embedded · W₁ᵀ + b₁", WIDE, "how strongly this hidden unit is stirred by this character, negative: against"],
  activated: ["activated = max(0, hidden)", WIDE, "the same, once what is negative has been set to nothing"],
  output: ["output = activated · W₂ᵀ + b₂", STREAM, "one of the numbers that point to the next character"],
  logits: ["logits = output · embeddingᵀ", SCORES, "the score of this character of the vocabulary to come next"],
});

function transformerSteps(config, layer) {
  const turned = config.positions === "rotary";
  const qkv = (letter) => `norm1 · W${letter}ᵀ${config.qkv_bias ? ` + b${letter}` : ""}`;
  const asked = (letter) => (config.qk_norm ? `one_length(${qkv(letter)})${config.qk_scale ? " · scale" : ""}` : qkv(letter));
  const norm = (name, input) => ({
    layer: `${name} = (${input} − mean) / √(variance + ε) · scale + shift`,
    scaled_rms: `${name} = ${input} / √(mean(${input}²) + ε) · scale`,
    rms: `${name} = ${input} / √(mean(${input}²) + ε)`,
  }[config.norm]);
  const unit = config.gated ? "gate" : "hidden";
  const activation = {
    relu: `max(0, ${unit})`,
    relu_squared: `max(0, ${unit})²`,
    gelu: `${unit} · Φ(${unit})`,
    gelu_tanh: `${unit} · ½ · (1 + tanh(√(2/π) · (${unit} + 0.044715 · ${unit}³)))`,
    silu: `${unit} · σ(${unit})`,
  }[config.activation];
  const added = (part) => (config.norms_after ? `x = x + ${part}_norm` : "x = x + output");
  const bias = (name) => (config.bias ? ` + ${name}` : "");
  const window = windowOf(config, layer);
  const weighing = config.weighting === "sigmoid"
    ? "weights[t, s] = σ(masked[t, s] − ln(t + 1))"
    : "weights[t, s] = exp(masked[t, s]) / Σ exp(masked[t, ·])";
  const fixedHead = config.previous_head && layer === 0 ? "; head 0 is not learnt: 1 for the character before" : "";
  return {
    ...commonSteps(),
    "scaled": ["scaled = embedded · √emb_dim", STREAM, "the same, as large as the model wants it where the blocks begin to add to it"],
    "positioned": [`positioned[t] = ${config.scaled_embedding ? "scaled" : "embedded"}[t] + position[t]`, STREAM, "the same, with a number learnt for this place added: now the same character differs from place to place"],
    "with_ngrams": [`with_ngrams[t] = ${intoNgrams(config)}[t] + ${groups(config.ngrams)}`, STREAM, "the same, with the rows of the groups added that this character ends: what is known by heart of “ce”, “nce”, …"],
    "norm1": [norm("norm1", "x"), STREAM, "the stream brought to one size, so that no character drowns the others"],
    "attn.unturned": [`queries = ${asked("q")}, keys = ${asked("k")}`, ["heads (queries, then keys)", "time", "head_dim"], "one number of what this character wants to know, or of what can be found at it, before its place turns it"],
    "attn.queries": turned
      ? ["queries[t] = turn(queries[t], by the angles of place t)", HEADS, "one number of what this character wants to know, turned by its place"]
      : [`queries = ${asked("q")}`, HEADS, "one number of what this character wants to know"],
    "attn.keys": turned
      ? ["keys[s] = turn(keys[s], by the angles of place s)", HEADS, "one number of what can be found at this character, turned by its place"]
      : [`keys = ${asked("k")}`, HEADS, "one number of what can be found at this character"],
    "attn.values": [`values = ${qkv("v")}`, HEADS, "one number of what this character tells those who look at it"],
    "attn.scores": ["scores[t, s] = queries[t] · keys[s] / √head_dim", LOOKS, "how well what can be found at s fits what t wants to know"],
    "attn.masked": window === null
      ? ["masked[t, s] = scores[t, s] where s ≤ t, else −∞", LOOKS, "the same, but nobody looks at what comes later"]
      : [`masked[t, s] = scores[t, s] where t − ${window} < s ≤ t, else −∞`, LOOKS, "the same, but nobody looks at what comes later, nor at what is too far back"],
    "attn.weights": [weighing + fixedHead, LOOKS, "the share of its attention that t gives to s"],
    "attn.heads": ["heads[t] = Σₛ weights[t, s] · values[s]", HEADS, "one number of the mix that this head has made for this character"],
    "attn.output": [`output = all heads of t, joined · Woᵀ${config.attention_bias ? " + bo" : ""}`, STREAM, "what the heads together want to add to this number of the stream"],
    "attn_norm": [norm("attn_norm", "output"), STREAM, "what the heads want to add, brought to one size, so that no block shouts"],
    "after_attn": [added("attn"), STREAM, "the stream after the attention: what was there, and what was found by looking back"],
    "norm2": [norm("norm2", "x"), STREAM, "the stream brought to one size again"],
    "mlp.hidden": [`hidden = norm2 · W₁ᵀ${bias("b₁")}`, WIDE, "how strongly this hidden unit is stirred by this character, negative: against"],
    "mlp.gate": ["gate = norm2 · Wgᵀ", WIDE, "how far the gate of this hidden unit is open for this character, negative: closed"],
    "mlp.activated": [`activated = ${activation}${config.gated ? " · hidden" : ""}`, WIDE, config.gated ? "what the gate lets through of this hidden unit" : "the same, once what is negative has been set to (about) nothing"],
    "mlp.output": [`output = activated · W₂ᵀ${bias("b₂")}`, STREAM, "what the MLP wants to add to this number of the stream"],
    "mlp_norm": [norm("mlp_norm", "output"), STREAM, "what the MLP wants to add, brought to one size, so that no block shouts"],
    "after_mlp": [added("mlp"), STREAM, "the stream after this block"],
    "final_norm": [norm("final_norm", "x"), STREAM, "the stream brought to one size, for the output head"],
    "logits": [`logits = ${config.final_norm ? "final_norm" : "x"} · ${config.tied ? "embedding" : "head"}ᵀ`, SCORES, "the score of this character of the vocabulary to come next"],
  };
}

function intoNgrams(config) {
  if (config.positions === "learned") return "positioned";
  return config.scaled_embedding ? "scaled" : "embedded";
}

function groups(ngrams) {
  if (!ngrams || ngrams.longest === 2) return "ngrams[row of this character and the one before]";
  return `Σₙ ngrams[row of the last n characters], n = 2 to ${ngrams.longest}`;
}
