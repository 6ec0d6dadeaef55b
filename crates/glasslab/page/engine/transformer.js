// The transformer: the next character from all characters so far.
//
//   x = embedding[id] (+ position[t]) (+ ngrams[row], for each group of characters that ends here)
//   for each block:  x += attention(norm(x));  x += mlp(norm(x))
//   logits = norm(x) · headᵀ
//
// There is one forward pass, seen by a probe, as in the library: probe(name, tensor) gives the tensor that the pass goes on
// with, the same or another. Who wants to look keeps it, who wants to cut gives another back.

import { linear, partOf, plus, rowsAt, timesEach, timesNumber } from "./operations.js";
import { activated } from "./activation.js";
import { normalised, normOf } from "./norm.js";
import { anglesOf } from "./rotary.js";
import { withGroups } from "./ngrams.js";
import { attentionOf, KvCache } from "./attention.js";

// Looks at nothing and changes nothing.
export function noProbe(name, tensor) {
  return tensor;
}

// What a block's window sees: so many characters, or all (null).
export function windowOf(config, layer) {
  if (!config.window) return null;
  const { len, except } = config.window;
  return except && layer % except.step === except.first ? null : len;
}

// How fast the pairs of a block turn.
export function speedsOf(config, layer) {
  return (windowOf(config, layer) !== null && config.window_speeds) || config.speeds;
}

export class Transformer {
  constructor(config, parameters) {
    this.config = config;
    this.embedding = parameters.get("embedding");
    this.position = parameters.get("position") ?? null;
    this.ngrams = parameters.get("ngrams") ?? null;
    this.head = parameters.get("head") ?? this.embedding;
    this.finalNorm = config.final_norm ? normOf(parameters, "final_norm") : null;
    const turns = new Map();
    const angles = (speeds) => {
      const key = JSON.stringify(speeds);
      if (!turns.has(key)) turns.set(key, anglesOf(speeds, config.context_len, config.head_dim));
      return turns.get(key);
    };
    this.blocks = Array.from({ length: config.n_layers }, (_, layer) => {
      const of = (name) => parameters.get(`block.${layer}.${name}`) ?? null;
      const norm = (name) => normOf(parameters, `block.${layer}.${name}`);
      return {
        norm1: norm("norm1"),
        attention: {
          nHeads: config.n_heads, nKvHeads: config.n_kv_heads, headDim: config.head_dim,
          qkvWeight: of("attn.qkv.weight"), qkvBias: of("attn.qkv.bias"),
          outputWeight: of("attn.output.weight"), outputBias: of("attn.output.bias"),
          qkNorm: config.qk_norm, epsilon: config.epsilon,
          queriesScale: of("attn.queries_norm.weight"), keysScale: of("attn.keys_norm.weight"),
          angles: config.positions === "rotary" ? angles(speedsOf(config, layer)) : null,
          window: windowOf(config, layer), weighting: config.weighting,
          previousHead: config.previous_head && layer === 0,
        },
        attentionNorm: config.norms_after ? norm("attn_norm") : null,
        norm2: norm("norm2"),
        hiddenWeight: of("mlp.hidden.weight"), hiddenBias: of("mlp.hidden.bias"),
        gateWeight: of("mlp.gate.weight"),
        outputWeight: of("mlp.output.weight"), outputBias: of("mlp.output.bias"),
        mlpNorm: config.norms_after ? norm("mlp_norm") : null,
      };
    });
  }

  // A cache for one text: what has been read of it need not be computed again.
  newCache() {
    const { n_layers: layers, n_kv_heads: heads, context_len: contextLen, head_dim: headDim } = this.config;
    return { len: 0, ids: [], blocks: Array.from({ length: layers }, () => new KvCache(heads, contextLen, headDim)) };
  }

  // The logits of ids, which continue what the cache has read, if there is one: T ids → (T, V). With lastOnly, of the last
  // one only: (1, V).
  forward(ids, probe = noProbe, cache = null, lastOnly = false) {
    const { config } = this;
    const first = cache ? cache.len : 0;
    const before = first > 0 ? cache.ids : [];
    let x = probe("embedded", rowsAt(this.embedding, ids)); // (T, C)
    if (config.scaled_embedding) x = probe("scaled", timesNumber(x, Math.sqrt(config.emb_dim)));
    if (this.position) x = probe("positioned", plus(x, partOf(this.position, first, ids.length)));
    if (this.ngrams) x = probe("with_ngrams", withGroups(x, this.ngrams, config.ngrams, ids, before));
    this.blocks.forEach((block, layer) => {
      x = lookBack(block, x, config.epsilon, first, cache?.blocks[layer], `block.${layer}`, probe);
      // The others were read for their keys and values only; a probe may need all of a block.
      if (lastOnly && probe === noProbe && layer + 1 === this.blocks.length) x = partOf(x, x.shape[0] - 1, 1);
      x = think(block, x, config, `block.${layer}`, probe);
    });
    if (cache) {
      cache.len += ids.length;
      if (this.ngrams) cache.ids = [...before, ...ids].slice(1 - config.ngrams.longest);
    }
    return this.read(lastOnly ? partOf(x, x.shape[0] - 1, 1) : x, probe);
  }

  // What the final norm and the output head make of a stream: (T, C) → (T, V)
  read(x, probe = noProbe) {
    if (this.finalNorm) x = probe("final_norm", normalised(x, this.finalNorm, this.config.epsilon));
    return probe("logits", linear(x, this.head, null));
  }
}

// A block's first half: (T, C) → (T, C)
function lookBack(block, x, epsilon, first, cache, name, probe) {
  const normed = probe(`${name}.norm1`, normalised(x, block.norm1, epsilon));
  let attended = attentionOf(normed, block.attention, first, cache, `${name}.attn`, probe);
  if (block.attentionNorm) attended = probe(`${name}.attn_norm`, normalised(attended, block.attentionNorm, epsilon));
  return probe(`${name}.after_attn`, plus(x, attended));
}

// A block's second half: (T, C) → (T, C)
function think(block, x, { activation, epsilon }, name, probe) {
  const normed = probe(`${name}.norm2`, normalised(x, block.norm2, epsilon));
  const hidden = probe(`${name}.mlp.hidden`, linear(normed, block.hiddenWeight, block.hiddenBias)); // (T, N)
  let units;
  if (block.gateWeight) {
    const gate = probe(`${name}.mlp.gate`, linear(normed, block.gateWeight, null)); // (T, N)
    units = timesEach(activated(activation, gate), hidden);
  } else {
    units = activated(activation, hidden);
  }
  units = probe(`${name}.mlp.activated`, units); // (T, N)
  let output = probe(`${name}.mlp.output`, linear(units, block.outputWeight, block.outputBias)); // (T, C)
  if (block.mlpNorm) output = probe(`${name}.mlp_norm`, normalised(output, block.mlpNorm, epsilon));
  return probe(`${name}.after_mlp`, plus(x, output));
}
