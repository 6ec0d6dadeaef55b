// The logit lens: what each layer would predict if it were the last (nostalgebraist 2020). The stream behind each layer is
// read by the model's own final norm and output head.

import { given } from "./tensor.js";
import { softmaxRow } from "./attention.js";
import { isStream } from "./cuts.js";

// What each layer of a trace's model would predict, from what enters the first block on: [{ step, predictions: the likeliest
// { id, label, p } behind each character, nats: the mean loss, null for a single character }].
export function lens(trace) {
  const { model, ids } = trace;
  const steps = trace.steps.filter((step) => isStream(step.name));
  if (model.kind === "mlp" || model.config.n_layers === 0) {
    throw new Error("this model has no layers to read: take a transformer with a block");
  }
  const first = steps.findIndex((step) => step.name.startsWith("block.")) - 1;
  const nVocab = model.config.n_vocab;
  const probabilities = new Float64Array(nVocab);
  return steps.slice(first).map(({ name, shape, data }) => {
    const logits = model.net.read(given(shape, data)).data; // (T, V)
    let sum = 0;
    const predictions = ids.map((_, place) => {
      softmaxRow(logits, place * nVocab, nVocab, probabilities, 0);
      if (place + 1 < ids.length) sum -= Math.log(probabilities[ids[place + 1]]);
      const id = probabilities.reduce((best, p, id) => (p > probabilities[best] ? id : best), 0);
      return { id, label: model.tokenizer.label(id), p: probabilities[id] };
    });
    return { step: name, predictions, nats: ids.length > 1 ? sum / (ids.length - 1) : null };
  });
}
