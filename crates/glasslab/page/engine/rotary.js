// Rotary positions: each pair of neighbouring numbers of a query or key is turned by an angle that grows with its place.

import { made } from "./tensor.js";

// The angle of one character, in radians, of a pair of a head of `headDim` numbers.
export function speedOf({ base, slowed }, pair, headDim) {
  const speed = base ** ((-2 * pair) / headDim);
  if (!slowed) return speed;
  if (slowed.evenly) return speed / slowed.evenly.factor;
  const { factor, low, high, context_len: contextLen } = slowed.slow_ones;
  const turns = (contextLen * speed) / (2 * Math.PI);
  const kept = Math.min(1, Math.max(0, (turns - low) / (high - low))); // 0: slow, 1: fast
  return speed * (kept + (1 - kept) / factor);
}

// The angles of all places, { cos, sin }: (T, D/2) each, rounded as the library's are.
export function anglesOf(speeds, contextLen, headDim) {
  const pairs = headDim / 2;
  const [cos, sin] = [new Float32Array(contextLen * pairs), new Float32Array(contextLen * pairs)];
  for (let pair = 0; pair < pairs; pair++) {
    const speed = Math.fround(speedOf(speeds, pair, headDim));
    for (let place = 0; place < contextLen; place++) {
      const angle = Math.fround(place * speed);
      cos[place * pairs + pair] = Math.cos(angle);
      sin[place * pairs + pair] = Math.sin(angle);
    }
  }
  return { cos, sin };
}

// Each vector turned by its place, the first of them standing at `first`: (H, T, D) → (H, T, D)
export function turnedBy(x, { cos, sin }, first) {
  const [heads, time, headDim] = x.shape;
  const turn = (from, to, sign) => {
    const pairs = headDim / 2;
    for (let head = 0; head < heads; head++) {
      for (let place = 0; place < time; place++) {
        const row = (head * time + place) * headDim;
        const angle = (first + place) * pairs;
        for (let pair = 0; pair < pairs; pair++) {
          const c = cos[angle + pair], s = sign * sin[angle + pair];
          const a = from[row + 2 * pair], b = from[row + 2 * pair + 1];
          to[row + 2 * pair] += a * c - b * s;
          to[row + 2 * pair + 1] += a * s + b * c;
        }
      }
    }
  };
  const data = new Float32Array(x.data.length);
  turn(x.data, data, 1);
  return made(x.shape, data, [x], (gradient, of) => turn(gradient, of(x), -1));
}
