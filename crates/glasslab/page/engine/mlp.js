// The MLP: the next character from the current one alone.
//
//   x = embedding[id];  hidden = ReLU(x · W₁ᵀ + b₁);  x = hidden · W₂ᵀ + b₂;  logits = x · embeddingᵀ

import { linear, rowsAt } from "./operations.js";
import { activated } from "./activation.js";
import { noProbe } from "./transformer.js";

export class Mlp {
  constructor(config, parameters) {
    this.config = config;
    this.parameters = parameters;
  }

  // Nothing of a text needs to be kept but its last character.
  newCache() {
    return { len: 0 };
  }

  // T ids → logits (T, V); with lastOnly, of the last one only: (1, V)
  forward(ids, probe = noProbe, cache = null, lastOnly = false) {
    const of = (name) => this.parameters.get(name);
    let x = probe("embedded", rowsAt(of("embedding"), lastOnly ? ids.slice(-1) : ids)); // (T, C)
    x = probe("hidden", linear(x, of("hidden.weight"), of("hidden.bias"))); // (T, H)
    x = probe("activated", activated("relu", x));
    x = probe("output", linear(x, of("output.weight"), of("output.bias"))); // (T, C)
    return probe("logits", linear(x, of("embedding"), null));
  }
}
