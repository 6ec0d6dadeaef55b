// The backward pass: how much the loss would change with each number on the way, and with each parameter, in nats per unit.
// The loss is the mean of the text's predictions (Rumelhart, Hinton and Williams 1986).

import { trace } from "./trace.js";
import { meanLoss } from "./surprise.js";

// A trace that has gradients, too: loss, grad(stepName), parameterGrad(name).
export function backward(model, ids, { cuts = [] } = {}) {
  if (ids.length === 1) {
    throw new Error(`a backward pass begins at a loss, and a single ${model.unit} has none: give at least two that the model knows`);
  }
  const traced = trace(model, ids, { cuts });
  const gradients = new Map(); // tensor → as many numbers
  const of = (tensor) => {
    if (!gradients.has(tensor)) gradients.set(tensor, new Float32Array(tensor.data.length));
    return gradients.get(tensor);
  };
  const logits = traced.step("logits").tensor;
  const [ofLoss, ofProbabilities] = lossBack(traced, of(logits));
  for (const tensor of madeBefore(logits).reverse()) {
    if (tensor.back && gradients.has(tensor)) tensor.back(gradients.get(tensor), of);
  }
  // What the loss does not depend on has a gradient of 0.
  const grad = (name) => {
    const { tensor, data } = traced.step(name);
    if (name === "ids") throw new Error("ids have no gradient: the loss can't change with them a little");
    if (name === "loss") return ofLoss;
    if (name === "probabilities") return ofProbabilities;
    return gradients.get(tensor) ?? new Float32Array(data.length);
  };
  const parameterGrad = (name) => {
    const parameter = model.parameters.get(name);
    if (!parameter) throw new Error(`this model has no parameter “${name}”; it has ${[...model.parameters.keys()].join(", ")}`);
    return gradients.get(parameter) ?? new Float32Array(parameter.data.length);
  };
  return Object.assign(traced, { loss: meanLoss(traced), grad, parameterGrad });
}

// The gradients of the mean loss: of each prediction's, of the probabilities, and of the logits, which are written to `target`.
function lossBack(traced, target) {
  const { data, shape: [time, nVocab] } = traced.step("probabilities");
  const share = 1 / (time - 1);
  const ofProbabilities = new Float32Array(data.length);
  for (let row = 0; row < time - 1; row++) {
    const came = row * nVocab + traced.ids[row + 1];
    for (let at = row * nVocab; at < (row + 1) * nVocab; at++) target[at] = (data[at] - (at === came ? 1 : 0)) * share;
    ofProbabilities[came] = -share / data[came];
  }
  return [new Float32Array(time - 1).fill(share), ofProbabilities];
}

// A tensor and all that it was made from, each behind its own inputs.
function madeBefore(last) {
  const [order, seen, waiting] = [[], new Set(), [[last, 0]]];
  seen.add(last);
  while (waiting.length > 0) {
    const [tensor, next] = waiting[waiting.length - 1];
    const input = tensor.inputs?.[next];
    if (!input) {
      order.push(tensor);
      waiting.pop();
      continue;
    }
    waiting[waiting.length - 1][1] = next + 1;
    if (seen.has(input)) continue;
    seen.add(input);
    waiting.push([input, 0]);
  }
  return order;
}
