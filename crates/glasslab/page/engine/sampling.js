// Choosing the next character from a model's scores, exactly as the library does.

// Checks settings; throws a sentence that says what is wrong.
export function checkSampling(tokenizer, { chars, temperature, topK, topP, stop, seed }) {
  if (!/^\d+$/.test(String(seed))) throw new Error(`the seed must be a whole number from 0 on, got ${seed}`);
  if (!(Number.isInteger(chars) && chars >= 0)) throw new Error(`chars must be a whole number from 0 on, got ${chars}`);
  if (!(Number.isFinite(temperature) && temperature >= 0)) {
    throw new Error(`temperature must be 0 or above, got ${temperature}`);
  }
  if (topK !== null && !(Number.isInteger(topK) && topK >= 1)) {
    throw new Error(`top-k must be a whole number, at least 1, got ${topK}; without it, all characters are drawn among`);
  }
  if (topP !== null && !(topP > 0 && topP <= 1)) throw new Error(`top-p is a probability above 0, at most 1, got ${topP}`);
  if (stop !== null && (stop === "" || [...stop].some((character) => !tokenizer.knows(character)))) {
    throw new Error(`the stop text must be one or more characters that the model knows, got “${stop}”`);
  }
}

// Draws an id by its logit.
export function drawn(logits, { temperature, topK, topP }, random) {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best] || Number.isNaN(logits[id])) best = id;
  if (!Number.isFinite(logits[best])) {
    throw new Error(`the model's highest score is ${logits[best]}: it is not a trained model any more; train it again`);
  }
  if (temperature === 0) return best;
  const weights = Float64Array.from(logits, (logit) => Math.exp((logit - logits[best]) / temperature));
  const kept = topK === null && topP === null ? null : likeliestOf(weights, topK ?? Infinity, topP);
  const count = kept ? kept.length : weights.length;
  let sum = 0;
  for (let at = 0; at < count; at++) sum += weights[kept ? kept[at] : at];
  let left = random.unit() * sum;
  for (let at = 0; at < count; at++) {
    const id = kept ? kept[at] : at;
    left -= weights[id];
    if (left < 0) return id;
  }
  return best; // rounding has left nothing of the last one
}

// The ids among which top-k and top-p let one draw, the likeliest first; of equal ones the smaller id.
export function likeliestOf(weights, topK, topP) {
  let ids = Array.from(weights, (_, id) => id);
  ids.sort((one, other) => weights[other] - weights[one] || one - other);
  ids = ids.slice(0, topK);
  if (topP === null) return ids;
  const enough = topP * ids.reduce((sum, id) => sum + weights[id], 0);
  let sum = 0;
  let count = 0;
  while (count < ids.length && sum < enough) sum += weights[ids[count++]];
  return ids.slice(0, Math.max(1, count));
}
