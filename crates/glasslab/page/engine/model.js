// A model as the page's data has it, opened.

import { numbersOf } from "./numbers.js";
import { given, shapeText } from "./tensor.js";
import { tokenizerOf } from "./tokenizer.js";
import { Transformer } from "./transformer.js";
import { Mlp } from "./mlp.js";

// Opens one of the page's models, as the library writes them (view/page/model.rs): about says what the model's file says of it,
// numbers are base64 of the kind f16 or f32, of which each parameter's begin at `at`.
export function openModel({ name, about, kind, parameters: kept, numbers: base64, held_out: heldOut = null }) {
  const numbers = numbersOf(base64, kind);
  const parameters = new Map();
  for (const { name, shape, at } of kept) {
    const size = shape.reduce((product, length) => product * length, 1);
    if (at < 0 || at + size > numbers.length) throw new Error(`the numbers of ${name} are cut off: write the page anew`);
    parameters.set(name, given(shape, numbers.subarray(at, at + size)));
  }
  const wanted = shapesOf(about);
  for (const [name, shape] of wanted) {
    const found = parameters.get(name);
    if (!found) throw new Error(`the model's file has no ${name}: write the page anew`);
    if (shapeText(found.shape) !== shapeText(shape)) {
      throw new Error(`${name} has the shape ${shapeText(found.shape)}, and must have ${shapeText(shape)}: write the page anew`);
    }
  }
  const isMlp = about.model === "mlp";
  const tokenizer = tokenizerOf(about.tokenizer ?? { kind: "chars", n_vocab: about.n_vocab });
  const net = isMlp ? new Mlp(about, parameters) : new Transformer(about, parameters);
  return {
    kind: about.model, bits: kind === "f16" ? 16 : 32, name, about, config: about, heldOut, tokenizer, parameters, net,
    unit: tokenizer.unit,
    contextLen: isMlp ? Infinity : about.context_len, // an MLP sees one character, so a text can be of any length
    windowLen: isMlp ? 1 : about.context_len, // what is read of a text to write on
    count: [...wanted.values()].reduce((sum, shape) => sum + shape.reduce((product, length) => product * length, 1), 0),
  };
}

// The parameters that a model of these sizes has: name → shape.
function shapesOf(about) {
  const { n_vocab: V, emb_dim: C, n_hidden: N } = about;
  if (about.model === "mlp") {
    const mlp = { "embedding": [V, C], "hidden.weight": [N, C], "hidden.bias": [N], "output.weight": [C, N], "output.bias": [C] };
    return new Map(Object.entries(mlp));
  }
  if (about.model !== "transformer") throw new Error(`a page can run an MLP or a transformer, got ${about.model}`);
  const { context_len: T, n_heads: H, n_kv_heads: K, head_dim: D } = about;
  const shapes = new Map([["embedding", [V, C]]]);
  const norm = (name) => {
    if (about.norm !== "rms") shapes.set(`${name}.weight`, [C]);
    if (about.norm === "layer") shapes.set(`${name}.bias`, [C]);
  };
  if (about.positions === "learned") shapes.set("position", [T, C]);
  if (about.ngrams) shapes.set("ngrams", [about.ngrams.rows, C]);
  for (let layer = 0; layer < about.n_layers; layer++) {
    const block = `block.${layer}`;
    norm(`${block}.norm1`);
    shapes.set(`${block}.attn.qkv.weight`, [(H + 2 * K) * D, C]);
    if (about.qkv_bias) shapes.set(`${block}.attn.qkv.bias`, [(H + 2 * K) * D]);
    if (about.qk_norm && about.qk_scale) {
      shapes.set(`${block}.attn.queries_norm.weight`, [D]);
      shapes.set(`${block}.attn.keys_norm.weight`, [D]);
    }
    shapes.set(`${block}.attn.output.weight`, [C, H * D]);
    if (about.attention_bias) shapes.set(`${block}.attn.output.bias`, [C]);
    if (about.norms_after) norm(`${block}.attn_norm`);
    norm(`${block}.norm2`);
    shapes.set(`${block}.mlp.hidden.weight`, [N, C]);
    if (about.gated) shapes.set(`${block}.mlp.gate.weight`, [N, C]);
    shapes.set(`${block}.mlp.output.weight`, [C, N]);
    if (about.bias) {
      shapes.set(`${block}.mlp.hidden.bias`, [N]);
      shapes.set(`${block}.mlp.output.bias`, [C]);
    }
    if (about.norms_after) norm(`${block}.mlp_norm`);
  }
  if (about.final_norm) norm("final_norm");
  if (!about.tied) shapes.set("head", [V, C]);
  return shapes;
}

// Checks ids that a model is given; throws a sentence that says what to do.
export function checkIds(model, ids) {
  if (ids.length === 0) throw new Error(`the model needs a text of at least one ${model.unit} that it knows: type some`);
  const unknown = ids.find((id) => !(Number.isInteger(id) && id >= 0 && id < model.config.n_vocab));
  if (unknown !== undefined) throw new Error(`ids must be 0 to ${model.config.n_vocab - 1} (n_vocab), got ${unknown}: use the model's own tokenizer`);
  if (ids.length > model.contextLen) {
    throw new Error(`the model sees at most ${model.contextLen} ${model.unit}s (context_len), got ${ids.length}: shorten the text`);
  }
}
