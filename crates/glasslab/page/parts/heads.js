// All heads as small pictures: rows look at columns, the brighter the more.

import { make } from "./dom.js";
import { paintWeights, weightPalette } from "./colours.js";

const PALETTE = weightPalette();

export function headPictures(parent, { n_layers: layers, n_heads: heads }) {
  const grid = make("div", parent, { class: "heads" });
  grid.style.gridTemplateColumns = "repeat(" + Math.min(heads, 8) + ", minmax(0, 72px))";
  const pictures = [];
  for (let layer = 0; layer < layers; layer++)
    for (let head = 0; head < heads; head++) {
      const canvas = make("canvas", grid, { role: "img", "aria-label": "attention of layer " + layer + ", head " + head });
      canvas.title = "layer " + layer + ", head " + head;
      pictures.push({ layer, head, canvas });
    }
  return ({ attention, ids }) => {
    const T = ids.length;
    for (const { layer, head, canvas } of pictures) {
      canvas.classList.toggle("off", !attention[layer]);
      const weights = attention[layer]?.subarray(head * T * T, (head + 1) * T * T) ?? new Float32Array(T * T);
      paintWeights(canvas, weights, T, PALETTE);
    }
  };
}
