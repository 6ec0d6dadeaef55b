// What stands between the two linear layers of an MLP: each number by itself.

import { eachBy } from "./operations.js";
import { brackets, show } from "./arithmetic.js";

const ROOT = Math.sqrt(2 / Math.PI);

const ACTIVATIONS = {
  relu: [(x) => (x > 0 ? x : 0), (x) => (x > 0 ? 1 : 0)],
  relu_squared: [(x) => (x > 0 ? x * x : 0), (x) => (x > 0 ? 2 * x : 0)],
  gelu: [(x) => x * normalShare(x), (x) => normalShare(x) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI)],
  gelu_tanh: [
    (x) => 0.5 * x * (1 + Math.tanh(ROOT * (x + 0.044715 * x * x * x))),
    (x) => {
      const tanh = Math.tanh(ROOT * (x + 0.044715 * x * x * x));
      return 0.5 * (1 + tanh) + 0.5 * x * (1 - tanh * tanh) * ROOT * (1 + 3 * 0.044715 * x * x);
    },
  ],
  silu: [
    (x) => x / (1 + Math.exp(-x)),
    (x) => {
      const share = 1 / (1 + Math.exp(-x));
      return share * (1 + x * (1 - share));
    },
  ],
};

// Passes each number through the activation of this name.
export function activated(name, x) {
  const both = ACTIVATIONS[name];
  if (!both) throw new Error(`there is no activation ${name}: there are ${Object.keys(ACTIVATIONS).join(", ")}`);
  return eachBy(x, both[0], both[1]);
}

// Φ: which share of the normal distribution lies below x, by the series of the error function for small numbers and its
// continued fraction for large ones (Abramowitz and Stegun 7.1.5, 7.1.14).
export function normalShare(x) {
  const size = Math.abs(x) / Math.SQRT2;
  if (size > 2.5) {
    let fraction = size;
    for (let step = 40; step >= 1; step--) fraction = size + step / 2 / fraction;
    const beyond = Math.exp(-size * size) / Math.sqrt(Math.PI) / fraction / 2;
    return x > 0 ? 1 - beyond : beyond;
  }
  let term = size;
  let sum = size;
  for (let step = 1; Math.abs(term) > 1e-17 * sum; step++) {
    term *= (-size * size) / step;
    sum += term / (2 * step + 1);
  }
  return 0.5 + (Math.sign(x) * sum) / Math.sqrt(Math.PI);
}

// What an activation makes of a number, written out: [line, value]
export function activationLine(name, x) {
  const value = ACTIVATIONS[name][0](x);
  const here = show(x);
  switch (name) {
    case "gelu_tanh": return [`${here} · ½ · (1 + ${brackets(Math.tanh(ROOT * (x + 0.044715 * x ** 3)))})`, value];
    case "gelu": return [`${here} · ${show(normalShare(x))}`, value];
    case "silu": return [`${here} · ${show(1 / (1 + Math.exp(-x)))}`, value];
    case "relu_squared": return [`max(0, ${here})² = ${show(Math.max(0, x))}²`, value];
    default: return [`max(0, ${here})`, value];
  }
}
