// Answers questions about models with the engine, so that the library's tests can compare: node answer.js FILE, where FILE is
// { models: [as in a page], questions: [{ model, ask, … }] }; prints a list of answers. What is no finite number is null.

import { readFileSync } from "node:fs";
import { openModel } from "../engine/model.js";
import { trace } from "../engine/trace.js";
import { meanLoss } from "../engine/surprise.js";
import { lens } from "../engine/lens.js";
import { cutName, cutsOf } from "../engine/cuts.js";
import { write } from "../engine/write.js";
import { byHand } from "../engine/by_hand.js";
import { backward } from "../engine/backward.js";
import { describeStep } from "../engine/describe.js";
import { tokenizerOf } from "../engine/tokenizer.js";

const numbers = (data) => Array.from(data, (number) => (Number.isFinite(number) ? number : null));

const ANSWERS = {
  steps: (model, { ids, cuts }) => {
    const traced = trace(model, ids, { cuts });
    const steps = traced.steps.map(({ name, shape, data }) => ({ name, shape, data: numbers(data), ...describeStep(model, name) }));
    return { steps, labels: traced.labels, loss: meanLoss(traced) };
  },
  logits: (model, { ids, cuts }) => numbers(trace(model, ids, { cuts }).logits),
  gradients: (model, { ids, cuts }) => {
    const traced = backward(model, ids, { cuts });
    const steps = traced.steps.filter(({ name }) => name !== "ids").map(({ name }) => [name, numbers(traced.grad(name))]);
    const parameters = [...model.parameters.keys()].map((name) => [`parameter:${name}`, numbers(traced.parameterGrad(name))]);
    return { loss: traced.loss, gradients: Object.fromEntries([...steps, ...parameters]) };
  },
  cuts: (model) => cutsOf(model).map((cut) => ({ cut, name: cutName(cut) })),
  lens: (model, { ids }) => lens(trace(model, ids)),
  write: (model, { prompt, settings }) => write(model, prompt, settings).toEnd(),
  by_hand: (model, { ids, places }) => {
    const traced = trace(model, ids);
    return places.map(([step, place]) => byHand(traced, step, place).lines);
  },
};

const { models, tokenizers = [], questions } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const opened = models.map(openModel);
const readers = tokenizers.map(tokenizerOf);
const answers = questions.map((question) => {
  if (question.ask !== "encode") return ANSWERS[question.ask](opened[question.model], question);
  const tokenizer = readers[question.tokenizer];
  const { ids, dropped } = tokenizer.encode(question.text);
  return { ids, dropped: dropped.join(""), text: tokenizer.decode(ids), labels: ids.map((id) => tokenizer.label(id)) };
});
process.stdout.write(JSON.stringify(answers));
