// Tensors: numbers row by row, and how they were made, so that gradients find the way back.

// A tensor that is given: { shape, data }.
export function given(shape, data) {
  return { shape, data, inputs: null, back: null };
}

// A tensor that was made from others. back(gradient, of) adds, for each input, what the loss changes with its numbers to
// of(input); gradient has the tensor's own size.
export function made(shape, data, inputs, back) {
  return { shape, data, inputs, back };
}

// How many rows of the last axis' length there are.
export function rowsOf(tensor) {
  return tensor.data.length / tensor.shape[tensor.shape.length - 1];
}

// A shape as it is written: (4, 64, 24).
export function shapeText(shape) {
  return `(${shape.join(", ")}${shape.length === 1 ? "," : ""})`;
}
