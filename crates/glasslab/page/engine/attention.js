// Self-attention: each character looks back at earlier ones and takes what it needs from them.
//
//   scores = queries · keysᵀ / √D      masked: −∞ where a character may not look
//   weights = softmax(masked)          heads = weights · values
//
// H heads of width D; K ≤ H different keys and values, each shared by H / K heads that follow one another.

import { given, made } from "./tensor.js";
import { addTimes, dotOf, linear, partOf } from "./operations.js";
import { normalised } from "./norm.js";
import { turnedBy } from "./rotary.js";

// The keys and values of the characters that one attention has read.
export class KvCache {
  constructor(nKvHeads, contextLen, headDim) {
    this.keys = new Float32Array(nKvHeads * contextLen * headDim);
    this.values = new Float32Array(nKvHeads * contextLen * headDim);
    this.room = contextLen;
  }

  // Adds those of the next characters behind the first `len`; gives all of them, each head `room` rows after the one before it.
  extend(keys, values, len) {
    const [heads, time, headDim] = keys.shape;
    for (let head = 0; head < heads; head++) {
      const [from, to] = [head * time * headDim, (head * this.room + len) * headDim];
      this.keys.set(keys.data.subarray(from, from + time * headDim), to);
      this.values.set(values.data.subarray(from, from + time * headDim), to);
    }
    const all = (data) => ({ ...given([heads, len + time, headDim], data), room: this.room });
    return [all(this.keys), all(this.values)];
  }
}

// The heads' mixes, joined; x continues the `first` characters that the cache has read, if there is one: (Q, C) → (Q, C)
export function attentionOf(x, layer, first, cache, name, probe) {
  const { nHeads, nKvHeads } = layer;
  const projected = linear(x, layer.qkvWeight, layer.qkvBias); // (Q, (H + 2·K)·D)
  const parts = headsOf(projected, nHeads + 2 * nKvHeads); // (H + 2·K, Q, D): queries, keys, values
  let both = partOf(parts, 0, nHeads + nKvHeads);
  if (layer.qkNorm) both = oneLength(both, layer);
  if (layer.angles) {
    both = probe(`${name}.unturned`, both);
    both = turnedBy(both, layer.angles, first);
  }
  const queries = probe(`${name}.queries`, partOf(both, 0, nHeads)); // (H, Q, D)
  let keys = probe(`${name}.keys`, partOf(both, nHeads, nKvHeads)); // (K, Q, D)
  let values = probe(`${name}.values`, partOf(parts, nHeads + nKvHeads, nKvHeads)); // (K, Q, D)
  if (cache) [keys, values] = cache.extend(keys, values, first); // (K, T, D)
  const scores = probe(`${name}.scores`, scoresOf(queries, keys)); // (H, Q, T)
  const masked = probe(`${name}.masked`, maskedBy(scores, layer.window)); // (H, Q, T)
  let weights = layer.weighting === "sigmoid" ? sigmoidOf(masked) : softmaxOf(masked);
  if (layer.previousHead) weights = withPrevious(weights);
  weights = probe(`${name}.weights`, weights); // (H, Q, T)
  const heads = probe(`${name}.heads`, mixed(weights, values)); // (H, Q, D)
  return probe(`${name}.output`, linear(joined(heads), layer.outputWeight, layer.outputBias)); // (Q, C)
}

// Queries and keys of one length, each number times what is learnt for its place in a head.
function oneLength(both, { nHeads, nKvHeads, queriesScale, keysScale, epsilon }) {
  if (!queriesScale) return normalised(both, { scale: null, shift: null }, epsilon);
  const queries = normalised(partOf(both, 0, nHeads), { scale: queriesScale, shift: null }, epsilon);
  const keys = normalised(partOf(both, nHeads, nKvHeads), { scale: keysScale, shift: null }, epsilon);
  const data = new Float32Array(both.data.length);
  data.set(queries.data);
  data.set(keys.data, queries.data.length);
  return made(both.shape, data, [queries, keys], (gradient, of) => {
    const parted = queries.data.length;
    addTimes(of(queries), 0, gradient, 0, parted, 1);
    addTimes(of(keys), 0, gradient, parted, keys.data.length, 1);
  });
}

// (T, M·D) → (M, T, D), and back.
function moved(from, to, time, heads, headDim, back) {
  for (let place = 0; place < time; place++) {
    for (let head = 0; head < heads; head++) {
      const [wide, high] = [(place * heads + head) * headDim, (head * time + place) * headDim];
      if (back) addTimes(to, wide, from, high, headDim, 1);
      else addTimes(to, high, from, wide, headDim, 1);
    }
  }
}

function headsOf(x, heads) {
  const [time, wide] = x.shape;
  const headDim = wide / heads;
  const data = new Float32Array(x.data.length);
  moved(x.data, data, time, heads, headDim, false);
  return made([heads, time, headDim], data, [x], (gradient, of) => moved(gradient, of(x), time, heads, headDim, true));
}

// The heads' outputs one beside the other: (H, T, D) → (T, H·D)
function joined(x) {
  const [heads, time, headDim] = x.shape;
  const data = new Float32Array(x.data.length);
  moved(x.data, data, time, heads, headDim, true);
  return made([time, heads * headDim], data, [x], (gradient, of) => moved(gradient, of(x), time, heads, headDim, false));
}

// (H, Q, D), (K, T, D) → (H, Q, T)
function scoresOf(queries, keys) {
  const [heads, rows, headDim] = queries.shape;
  const [nKvHeads, columns] = keys.shape;
  const root = Math.sqrt(headDim);
  const room = (keys.room ?? columns) * headDim;
  const data = new Float32Array(heads * rows * columns);
  for (let head = 0; head < heads; head++) {
    const of = Math.floor((head * nKvHeads) / heads) * room;
    for (let row = 0; row < rows; row++) {
      const [from, to] = [(head * rows + row) * headDim, (head * rows + row) * columns];
      for (let column = 0; column < columns; column++) {
        data[to + column] = dotOf(queries.data, from, keys.data, of + column * headDim, headDim) / root;
      }
    }
  }
  return made([heads, rows, columns], data, [queries, keys], (gradient, of) => {
    const [toQueries, toKeys] = [of(queries), of(keys)];
    for (let head = 0; head < heads; head++) {
      const shared = Math.floor((head * nKvHeads) / heads) * room;
      for (let row = 0; row < rows; row++) {
        const [query, at] = [(head * rows + row) * headDim, (head * rows + row) * columns];
        for (let column = 0; column < columns; column++) {
          const g = gradient[at + column] / root;
          if (g === 0) continue;
          addTimes(toQueries, query, keys.data, shared + column * headDim, headDim, g);
          addTimes(toKeys, shared + column * headDim, queries.data, query, headDim, g);
        }
      }
    }
  });
}

// Scores with −∞ where a character would look at a later one, or at one that is `window` or more places before it.
function maskedBy(scores, window) {
  const [heads, rows, columns] = scores.shape;
  const data = scores.data.slice();
  for (let line = 0; line < heads * rows; line++) {
    const place = columns - rows + (line % rows);
    data.fill(-Infinity, line * columns + place + 1, (line + 1) * columns);
    if (window !== null && place >= window) data.fill(-Infinity, line * columns, line * columns + place - window + 1);
  }
  return made(scores.shape, data, [scores], (gradient, of) => {
    const target = of(scores);
    for (let at = 0; at < data.length; at++) {
      if (data[at] !== -Infinity) target[at] += gradient[at];
    }
  });
}

// The characters compete: each row of weights sums to 1.
export function softmaxOf(x) {
  const columns = x.shape[x.shape.length - 1];
  const data = new Float32Array(x.data.length);
  for (let row = 0; row < data.length; row += columns) softmaxRow(x.data, row, columns, data, row);
  return made(x.shape, data, [x], (gradient, of) => {
    const target = of(x);
    for (let row = 0; row < data.length; row += columns) {
      const along = dotOf(gradient, row, data, row, columns);
      for (let at = row; at < row + columns; at++) target[at] += data[at] * (gradient[at] - along);
    }
  });
}

// The softmax of one row of numbers, written to another place.
export function softmaxRow(x, from, length, out, to) {
  let highest = -Infinity, sum = 0;
  for (let at = 0; at < length; at++) if (x[from + at] > highest) highest = x[from + at];
  for (let at = 0; at < length; at++) {
    const power = Math.exp(x[from + at] - highest);
    out[to + at] = power;
    sum += power;
  }
  for (let at = 0; at < length; at++) out[to + at] /= sum;
}

// Each weight by itself: σ(score − ln n) where n characters can be seen.
function sigmoidOf(x) {
  const [, rows, columns] = x.shape;
  const data = new Float32Array(x.data.length);
  for (let at = 0; at < data.length; at++) {
    const seen = columns - rows + 1 + (Math.floor(at / columns) % rows);
    data[at] = 1 / (1 + Math.exp(Math.log(seen) - x.data[at]));
  }
  return made(x.shape, data, [x], (gradient, of) => {
    const target = of(x);
    for (let at = 0; at < data.length; at++) target[at] += gradient[at] * data[at] * (1 - data[at]);
  });
}

// The weights with a first head that is not learnt: it always looks at the character before, the first at itself.
function withPrevious(weights) {
  const [, rows, columns] = weights.shape;
  const data = weights.data.slice();
  const own = rows * columns;
  data.fill(0, 0, own);
  for (let row = 0; row < rows; row++) data[row * columns + Math.max(0, columns - rows + row - 1)] = 1;
  return made(weights.shape, data, [weights], (gradient, of) => {
    addTimes(of(weights), own, gradient, own, gradient.length - own, 1);
  });
}

// (H, Q, T), (K, T, D) → (H, Q, D)
function mixed(weights, values) {
  const [heads, rows, columns] = weights.shape;
  const [nKvHeads, , headDim] = values.shape;
  const room = (values.room ?? columns) * headDim;
  const data = new Float32Array(heads * rows * headDim);
  for (let head = 0; head < heads; head++) {
    const shared = Math.floor((head * nKvHeads) / heads) * room;
    for (let row = 0; row < rows; row++) {
      const [to, at] = [(head * rows + row) * headDim, (head * rows + row) * columns];
      for (let column = 0; column < columns; column++) {
        const weight = weights.data[at + column];
        if (weight !== 0) addTimes(data, to, values.data, shared + column * headDim, headDim, weight);
      }
    }
  }
  return made([heads, rows, headDim], data, [weights, values], (gradient, of) => {
    const [toWeights, toValues] = [of(weights), of(values)];
    for (let head = 0; head < heads; head++) {
      const shared = Math.floor((head * nKvHeads) / heads) * room;
      for (let row = 0; row < rows; row++) {
        const [from, at] = [(head * rows + row) * headDim, (head * rows + row) * columns];
        for (let column = 0; column < columns; column++) {
          toWeights[at + column] += dotOf(gradient, from, values.data, shared + column * headDim, headDim);
          addTimes(toValues, shared + column * headDim, gradient, from, headDim, weights.data[at + column]);
        }
      }
    }
  });
}
