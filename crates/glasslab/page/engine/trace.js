// A forward pass, step by step: what a model does with a text, with every number on the way.

import { given } from "./tensor.js";
import { softmaxRow } from "./attention.js";
import { checkIds } from "./model.js";
import { cutting } from "./cuts.js";

// What a model does with ids, under cuts: the steps in the library's names and order, without the axis of the batch.
export function trace(model, ids, { cuts = [] } = {}) {
  checkIds(model, ids);
  const steps = [];
  const record = (name, tensor) => {
    steps.push({ name, shape: tensor.shape, data: tensor.data, tensor });
    return tensor;
  };
  record("ids", given([ids.length], Float32Array.from(ids)));
  const { probe, finish } = cutting(cuts, record);
  const logits = model.net.forward(ids, probe); // (T, V)
  finish();
  return new Trace(model, ids, steps, logits, cuts);
}

export class Trace {
  constructor(model, ids, steps, logits, cuts) {
    Object.assign(this, { model, ids, steps, cuts, logits: logits.data });
    this.labels = ids.map((id) => model.tokenizer.label(id));
    this.byName = new Map(steps.map((step) => [step.name, step]));
    this.addProbabilities(logits);
    this.attention = steps.filter((step) => step.name.endsWith(".attn.weights")).map((step) => step.data);
  }

  // What comes of the logits: the probabilities, and the loss of each prediction, −ln of that of the character that came.
  addProbabilities({ data, shape: [time, nVocab] }) {
    const probabilities = new Float64Array(data.length);
    for (let row = 0; row < data.length; row += nVocab) softmaxRow(data, row, nVocab, probabilities, row);
    this.add("probabilities", [time, nVocab], probabilities);
    if (time < 2) return;
    const losses = new Float64Array(time - 1).map((_, row) => -Math.log(probabilities[row * nVocab + this.ids[row + 1]]));
    this.add("loss", [time - 1], losses);
  }

  add(name, shape, data) {
    const step = { name, shape, data };
    this.steps.push(step);
    this.byName.set(name, step);
  }

  has(name) {
    return this.byName.has(name);
  }

  // A step by its name.
  step(name) {
    const step = this.byName.get(name);
    if (!step) throw new Error(`this trace has no step “${name}”; it has ${this.steps.map((step) => step.name).join(", ")}`);
    return step;
  }

  // What the model holds likely behind the character at a place, from 0: V probabilities.
  probabilitiesAt(place) {
    const { data, shape: [time, nVocab] } = this.step("probabilities");
    if (!(Number.isInteger(place) && place >= 0 && place < time)) {
      throw new Error(`places count from 0 to ${time - 1}, got ${place}`);
    }
    return data.slice(place * nVocab, (place + 1) * nVocab);
  }
}

// The k likeliest of probabilities, of equal ones the smaller id first: [{ id, label, p }], labelled by the model's tokenizer.
export function likely(probabilities, k, tokenizer) {
  if (!tokenizer) throw new Error("likely(probabilities, k, model.tokenizer) needs the tokenizer: it names the ids");
  const ids = Array.from(probabilities, (_, id) => id);
  ids.sort((one, other) => probabilities[other] - probabilities[one] || one - other);
  return ids.slice(0, k).map((id) => ({ id, label: tokenizer.label(id), p: probabilities[id] }));
}
