// Normalisation: each character's numbers brought to one size.

import { made, rowsOf } from "./tensor.js";

// What a norm has learnt, if anything: { scale, shift }.
export function normOf(parameters, name) {
  return { scale: parameters.get(`${name}.weight`) ?? null, shift: parameters.get(`${name}.bias`) ?? null };
}

// A layer norm where there is a shift, else a root mean square of 1, times the scale if there is one: (…, C) → (…, C)
export function normalised(x, { scale, shift }, epsilon) {
  const deep = x.shape[x.shape.length - 1];
  const rows = rowsOf(x);
  const plain = new Float32Array(x.data.length); // before scale and shift
  const sizes = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    const from = row * deep;
    let sum = 0, squares = 0;
    if (shift) {
      for (let at = 0; at < deep; at++) sum += x.data[from + at];
    }
    const mean = sum / deep;
    for (let at = 0; at < deep; at++) squares += (x.data[from + at] - mean) ** 2;
    const size = Math.sqrt(squares / deep + epsilon);
    sizes[row] = size;
    for (let at = 0; at < deep; at++) plain[from + at] = (x.data[from + at] - mean) / size;
  }
  let data = plain;
  if (scale) {
    data = new Float32Array(plain.length);
    for (let at = 0; at < data.length; at++) data[at] = plain[at] * scale.data[at % deep] + (shift ? shift.data[at % deep] : 0);
  }
  return made(x.shape, data, [x, scale, shift].filter(Boolean), (gradient, of) => {
    const target = of(x);
    const toScale = scale && of(scale);
    const toShift = shift && of(shift);
    for (let row = 0; row < rows; row++) {
      const from = row * deep;
      let sum = 0, along = 0; // of the gradient behind the scale, and of it along the row
      for (let at = 0; at < deep; at++) {
        const g = gradient[from + at];
        if (toScale) toScale[at] += g * plain[from + at];
        if (toShift) toShift[at] += g;
        const here = scale ? g * scale.data[at] : g;
        sum += here;
        along += here * plain[from + at];
      }
      const mean = shift ? sum / deep : 0;
      for (let at = 0; at < deep; at++) {
        const here = scale ? gradient[from + at] * scale.data[at] : gradient[from + at];
        target[from + at] += (here - mean - (plain[from + at] * along) / deep) / sizes[row];
      }
    }
  });
}
