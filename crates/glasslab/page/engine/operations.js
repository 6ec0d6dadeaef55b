// The operations that models are made of; each knows its way back.

import { made, rowsOf } from "./tensor.js";

// x · weightᵀ + bias: (…, C), (N, C), (N) or null → (…, N)
export function linear(x, weight, bias) {
  const [wide, deep] = weight.shape;
  const rows = rowsOf(x);
  const data = new Float32Array(rows * wide);
  multiply(x.data, weight.data, data, rows, wide, deep);
  if (bias) {
    for (let row = 0; row < rows; row++) {
      for (let at = 0; at < wide; at++) data[row * wide + at] += bias.data[at];
    }
  }
  const inputs = bias ? [x, weight, bias] : [x, weight];
  return made([...x.shape.slice(0, -1), wide], data, inputs, (gradient, of) => {
    multiplyBack(gradient, weight.data, of(x), rows, wide, deep);
    multiplyWeight(gradient, x.data, of(weight), rows, wide, deep);
    if (bias) {
      const target = of(bias);
      for (let at = 0; at < gradient.length; at++) target[at % wide] += gradient[at];
    }
  });
}

// out (rows, wide) = x (rows, deep) · weightᵀ (wide, deep). Two rows by four, as far as they go: each number that is loaded
// is used more than once, and no sum waits for another.
function multiply(x, weight, out, rows, wide, deep) {
  let row = 0;
  for (; row + 1 < rows; row += 2) {
    const a = row * deep;
    const b = a + deep;
    let column = 0;
    for (; column + 3 < wide; column += 4) {
      const w = column * deep;
      let a0 = 0, a1 = 0, a2 = 0, a3 = 0, b0 = 0, b1 = 0, b2 = 0, b3 = 0;
      for (let at = 0; at < deep; at++) {
        const xa = x[a + at], xb = x[b + at];
        const w0 = weight[w + at], w1 = weight[w + deep + at], w2 = weight[w + 2 * deep + at], w3 = weight[w + 3 * deep + at];
        a0 += xa * w0; a1 += xa * w1; a2 += xa * w2; a3 += xa * w3;
        b0 += xb * w0; b1 += xb * w1; b2 += xb * w2; b3 += xb * w3;
      }
      const to = row * wide + column;
      out[to] = a0; out[to + 1] = a1; out[to + 2] = a2; out[to + 3] = a3;
      out[to + wide] = b0; out[to + wide + 1] = b1; out[to + wide + 2] = b2; out[to + wide + 3] = b3;
    }
    for (; column < wide; column++) {
      out[row * wide + column] = dotOf(x, a, weight, column * deep, deep);
      out[(row + 1) * wide + column] = dotOf(x, b, weight, column * deep, deep);
    }
  }
  for (; row < rows; row++) {
    const a = row * deep;
    let column = 0;
    for (; column + 3 < wide; column += 4) {
      const w = column * deep;
      let a0 = 0, a1 = 0, a2 = 0, a3 = 0;
      for (let at = 0; at < deep; at++) {
        const xa = x[a + at];
        a0 += xa * weight[w + at]; a1 += xa * weight[w + deep + at];
        a2 += xa * weight[w + 2 * deep + at]; a3 += xa * weight[w + 3 * deep + at];
      }
      const to = row * wide + column;
      out[to] = a0; out[to + 1] = a1; out[to + 2] = a2; out[to + 3] = a3;
    }
    for (; column < wide; column++) out[row * wide + column] = dotOf(x, a, weight, column * deep, deep);
  }
}

// The sum of the products of two rows, which begin at these places.
export function dotOf(x, a, y, b, length) {
  let one = 0, two = 0, three = 0, four = 0, at = 0;
  for (; at + 3 < length; at += 4) {
    one += x[a + at] * y[b + at];
    two += x[a + at + 1] * y[b + at + 1];
    three += x[a + at + 2] * y[b + at + 2];
    four += x[a + at + 3] * y[b + at + 3];
  }
  for (; at < length; at++) one += x[a + at] * y[b + at];
  return one + two + three + four;
}

// out (rows, deep) += gradient (rows, wide) · weight (wide, deep)
function multiplyBack(gradient, weight, out, rows, wide, deep) {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < wide; column++) {
      const g = gradient[row * wide + column];
      if (g !== 0) addTimes(out, row * deep, weight, column * deep, deep, g);
    }
  }
}

// out (wide, deep) += gradientᵀ (wide, rows) · x (rows, deep)
function multiplyWeight(gradient, x, out, rows, wide, deep) {
  for (let column = 0; column < wide; column++) {
    for (let row = 0; row < rows; row++) {
      const g = gradient[row * wide + column];
      if (g !== 0) addTimes(out, column * deep, x, row * deep, deep, g);
    }
  }
}

// A row += another one · factor
export function addTimes(out, to, x, from, length, factor) {
  for (let at = 0; at < length; at++) out[to + at] += factor * x[from + at];
}

// A sum of two tensors of one shape.
export function plus(x, y) {
  const data = new Float32Array(x.data.length);
  for (let at = 0; at < data.length; at++) data[at] = x.data[at] + y.data[at];
  return made(x.shape, data, [x, y], (gradient, of) => {
    addTimes(of(x), 0, gradient, 0, gradient.length, 1);
    addTimes(of(y), 0, gradient, 0, gradient.length, 1);
  });
}

// The product of two tensors, number by number.
export function timesEach(x, y) {
  const data = new Float32Array(x.data.length);
  for (let at = 0; at < data.length; at++) data[at] = x.data[at] * y.data[at];
  return made(x.shape, data, [x, y], (gradient, of) => {
    const [toX, toY] = [of(x), of(y)];
    for (let at = 0; at < data.length; at++) {
      toX[at] += gradient[at] * y.data[at];
      toY[at] += gradient[at] * x.data[at];
    }
  });
}

// A tensor times one number that is not learnt.
export function timesNumber(x, factor) {
  const data = x.data.map((number) => number * factor);
  return made(x.shape, data, [x], (gradient, of) => addTimes(of(x), 0, gradient, 0, gradient.length, factor));
}

// The rows of a table: (V, C) at T ids → (T, C)
export function rowsAt(table, ids) {
  const wide = table.shape[1];
  const data = new Float32Array(ids.length * wide);
  ids.forEach((id, row) => data.set(table.data.subarray(id * wide, (id + 1) * wide), row * wide));
  return made([ids.length, wide], data, [table], (gradient, of) => {
    ids.forEach((id, row) => addTimes(of(table), id * wide, gradient, row * wide, wide, 1));
  });
}

// Some neighbours on the first axis; they share their numbers with the whole.
export function partOf(x, first, count) {
  const size = x.data.length / x.shape[0];
  const data = x.data.subarray(first * size, (first + count) * size);
  return made([count, ...x.shape.slice(1)], data, [x], (gradient, of) => {
    addTimes(of(x), first * size, gradient, 0, gradient.length, 1);
  });
}

// Each number passed through a function, whose slope is slopeOf(number).
export function eachBy(x, valueOf, slopeOf) {
  const data = new Float32Array(x.data.length);
  for (let at = 0; at < data.length; at++) data[at] = valueOf(x.data[at]);
  return made(x.shape, data, [x], (gradient, of) => {
    const target = of(x);
    for (let at = 0; at < data.length; at++) target[at] += gradient[at] * slopeOf(x.data[at]);
  });
}
