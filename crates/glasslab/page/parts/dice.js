// What a character is drawn from: the model's probabilities, sharpened or flattened by the temperature, and cut off.

import { likeliestOf } from "../engine/sampling.js";

// At temperature 0 the likeliest is certain, of equal ones the first. Otherwise p^(1/temperature), of which the likeliest `topK`
// are left, and of those the fewest that hold a share of `topP`.
export function diceOf(probabilities, { temperature, topK = null, topP = null }) {
  const largest = probabilities.reduce((most, p) => Math.max(most, p), 0);
  if (temperature === 0) {
    const best = probabilities.indexOf(largest);
    return probabilities.map((_, id) => (id === best ? 1 : 0));
  }
  const weights = probabilities.map((p) => (p / largest) ** (1 / temperature));
  const kept = likeliestOf(weights, topK ?? Infinity, topP), whole = kept.reduce((sum, id) => sum + weights[id], 0);
  const dice = weights.map(() => 0);
  for (const id of kept) dice[id] = weights[id] / whole;
  return dice;
}

// How far two predictions are apart, from 0 (the same) to 1 (nothing in common): half the sum of all differences.
export function distance(one, other) {
  let sum = 0;
  for (let id = 0; id < one.length; id++) sum += Math.abs(one[id] - other[id]);
  return sum / 2;
}

// The mean of the attention that the last place pays, over all heads of all layers, or of one head: T weights.
export function lastLook(attention, heads, time, only = null) {
  const look = new Float64Array(time);
  let count = 0;
  attention.forEach((weights, layer) => {
    for (let head = 0; head < heads; head++) {
      if (only && (only.layer !== layer || only.head !== head)) continue;
      const from = (head * time + time - 1) * time;
      for (let place = 0; place < time; place++) look[place] += weights[from + place];
      count++;
    }
  });
  return look.map((weight) => weight / Math.max(1, count));
}
