// The arithmetic behind one number of a trace, written out with its numbers: line by line what the library prints.

import { brackets, dotted, plainNumber, products, show, softmaxLine, sumOfProducts, tiny } from "./arithmetic.js";
import { activationLine } from "./activation.js";
import { speedOf } from "./rotary.js";
import { speedsOf, windowOf } from "./transformer.js";
import { shapeText } from "./tensor.js";
import { isStream } from "./cuts.js";
import { describeStep } from "./describe.js";
import { groupRows } from "./ngrams.js";

// Computes one number of a step again from the steps before. place: a place on each axis of the step, from 0. Gives { title:
// the step's formula, lines, value: what the arithmetic comes to, traced: the number in the trace }.
export function byHand(trace, stepName, place) {
  const step = trace.step(stepName);
  const fits = place.length === step.shape.length && place.every((at, axis) => Number.isInteger(at) && at >= 0 && at < step.shape[axis]);
  if (!fits) throw new Error(`expected one place on each axis of ${stepName} ${shapeText(step.shape)}, counted from 0, got [${place.join(", ")}]`);
  const [line, value] = new ByHand(trace, stepName, place).line();
  const traced = step.data[step.shape.reduce((at, length, axis) => at * length + place[axis], 0)];
  const apart = value === traced || Number.isNaN(value) && Number.isNaN(traced) ? 0 : Math.abs(value - traced);
  return {
    title: describeStep(trace.model, stepName).formula,
    lines: [
      `${stepName}[${[0, ...place].join(", ")}] = ${line} = ${show(value)}`, // the first place is that in a batch, as in the library
      `by hand ${show(value)}, in the trace ${show(traced)}: difference ${tiny(apart, 0)}`,
    ],
    value,
    traced,
  };
}

// A step's name without its block: block.2.attn.scores is attn.scores.
export function partName(name) {
  return name.replace(/^block\.\d+\./, "");
}

class ByHand {
  constructor(trace, name, place) {
    Object.assign(this, { trace, name, place, part: partName(name), config: trace.model.config });
    this.block = name.slice(0, name.length - this.part.length);
    this.layer = this.block ? Number(this.block.split(".")[1]) : 0;
    [this.row, this.column] = place.slice(-2);
    this.head = place.length === 3 ? place[0] : null;
  }

  // Another part of the same block.
  sibling(part) {
    return this.trace.step(this.block + part);
  }

  // A learnt tensor of the same block, or null.
  weight(name) {
    return this.trace.model.parameters.get(this.block + name) ?? null;
  }

  // A row of a step or a parameter; heads are told apart by their number.
  rowOf({ shape, data }, row, head = 0) {
    const wide = shape[shape.length - 1];
    const line = shape.length === 3 ? head * shape[1] + row : row;
    return data.subarray(line * wide, (line + 1) * wide);
  }

  // The number of a step at this very place.
  here({ shape, data }) {
    return data[shape.reduce((at, length, axis) => at * length + this.place[axis], 0)];
  }

  // Of keys or values, those of this head.
  shared({ shape }) {
    return Math.floor((this.head * shape[0]) / this.trace.step(this.name).shape[0]);
  }

  // The stream before a step.
  before() {
    const at = this.trace.steps.findIndex((step) => step.name === this.name);
    return this.trace.steps.slice(0, at).findLast((step) => isStream(step.name));
  }

  // The line's arithmetic, and what it comes to.
  line() {
    const { part, row, column, config, trace } = this;
    switch (part) {
      case "embedded": {
        const [id, value] = [trace.ids[row], this.rowOf(trace.model.parameters.get("embedding"), trace.ids[row])[column]];
        return [`embedding[${id} (“${trace.labels[row]}”), ${column}] = ${show(value)}`, value];
      }
      case "scaled": {
        const [embedded, root] = [this.here(trace.step("embedded")), Math.sqrt(config.emb_dim)];
        return [`embedded · √emb_dim = ${show(embedded)} · ${show(root)}`, embedded * root];
      }
      case "positioned": {
        const before = this.before();
        const position = this.rowOf(this.weight("position"), row)[column];
        const line = `${before.name} + position[${row}, ${column}] = ${show(this.here(before))} + ${brackets(position)}`;
        return [line, this.here(before) + position];
      }
      case "with_ngrams": {
        const before = this.before();
        let [names, value] = [before.name, this.here(before)];
        let numbers = show(value);
        groupRows(config.ngrams, trace.ids.slice(0, row + 1)).forEach((at, back) => {
          const number = this.rowOf(this.weight("ngrams"), at)[column];
          // ∅ stands for each character that a text's beginning lacks.
          const lacks = "∅".repeat(Math.max(0, back + 1 - row));
          names += ` + ngrams[${at} (“${lacks}${trace.labels.slice(Math.max(0, row - back - 1), row + 1).join("")}”), ${column}]`;
          numbers += ` + ${brackets(number)}`;
          value += number;
        });
        return [`${names} = ${numbers}`, value];
      }
      case "norm1": case "norm2": case "final_norm": return this.norm(this.before());
      case "attn_norm": return this.norm(this.sibling("attn.output"));
      case "mlp_norm": return this.norm(this.sibling("mlp.output"));
      case "attn.unturned": case "attn.values": return this.projected();
      case "attn.queries": case "attn.keys": return config.positions === "rotary" ? this.turned() : this.projected();
      case "attn.scores": return this.score();
      case "attn.masked": return this.masked();
      case "attn.weights": return this.attentionWeight();
      case "attn.heads": {
        const values = this.sibling("attn.values");
        const weights = this.rowOf(this.sibling("attn.weights"), row, this.head);
        const told = Array.from(weights, (_, other) => this.rowOf(values, other, this.shared(values))[column]);
        return [`Σₛ weights[${row}, s] · values[s, ${column}] = ${products(weights, told)}`, dotted(weights, told)];
      }
      case "attn.output": {
        const heads = this.sibling("attn.heads");
        const joined = Array.from({ length: heads.shape[0] }, (_, head) => [...this.rowOf(heads, row, head)]).flat();
        return this.product(`all heads of ${row}, joined`, joined, "attn.output.weight", "attn.output.bias");
      }
      case "after_attn": return this.added("attn_norm", "attn.output");
      case "after_mlp": return this.added("mlp_norm", "mlp.output");
      case "mlp.hidden": return this.linear(this.block + "norm2", "mlp.hidden.weight", "mlp.hidden.bias");
      case "mlp.gate": return this.linear(this.block + "norm2", "mlp.gate.weight", null);
      case "mlp.output": return this.linear(this.block + "mlp.activated", "mlp.output.weight", "mlp.output.bias");
      case "mlp.activated": {
        const [line, value] = activationLine(config.activation, this.here(this.sibling(config.gated ? "mlp.gate" : "mlp.hidden")));
        if (!config.gated) return [line, value];
        const hidden = this.here(this.sibling("mlp.hidden"));
        return [`(${line}) · ${brackets(hidden)}`, value * hidden];
      }
      case "hidden": return this.linear("embedded", "hidden.weight", "hidden.bias");
      case "activated": return activationLine("relu", this.here(trace.step("hidden")));
      case "output": return this.linear("activated", "output.weight", "output.bias");
      case "logits": {
        const stream = trace.has("final_norm") ? "final_norm" : trace.has("output") ? "output" : this.before().name;
        return this.linear(stream, this.weight("head") ? "head" : "embedding", null);
      }
      case "probabilities": return softmaxLine(this.rowOf(trace.step("logits"), row), column, "logits", row);
      case "loss": {
        const [at] = this.place;
        const id = trace.ids[at + 1];
        const p = this.rowOf(trace.step("probabilities"), at)[id];
        return [`−ln probabilities[${at}, ${id} (“${trace.labels[at + 1]}”)] = −ln ${show(p)}`, -Math.log(p)];
      }
      default: throw new Error(`there is no line of arithmetic for ${this.name}: it is given`);
    }
  }

  // A row of a step times a row of a weight, plus a bias if there is one.
  linear(input, weight, bias) {
    return this.product(input, this.rowOf(this.trace.step(input), this.row), weight, bias);
  }

  product(name, x, weight, bias) {
    const [sum, value] = sumOfProducts(x, this.rowOf(this.weight(weight), this.column));
    const [text, result, told] = this.withBias(sum, value, bias, this.column);
    return [`${name} · ${weight}[${this.column}]${told} = ${text}`, result];
  }

  withBias(sum, value, name, at) {
    const bias = name && this.weight(name)?.data[at];
    return bias === null || bias === undefined ? [sum, value, ""] : [`${sum} + ${brackets(bias)}`, value + bias, " + bias"];
  }

  norm({ name: before, shape, data }) {
    const { row, column } = this;
    const epsilon = this.config.epsilon;
    const x = this.rowOf({ shape, data }, row);
    const mean = x.reduce((sum, number) => sum + number, 0) / x.length;
    const square = dotted(x, x) / x.length;
    const [scale, shift] = ["weight", "bias"].map((end) => this.weight(`${this.part}.${end}`)?.data[column]);
    const whole = show(x[column]);
    if (scale === undefined) {
      return [`x / √(mean(x²) + ε) = ${whole} / √(${show(square)} + ${plainNumber(epsilon)})`, x[column] / Math.sqrt(square + epsilon)];
    }
    if (shift === undefined) {
      const numbers = `${whole} / √(${show(square)} + ${plainNumber(epsilon)}) · ${brackets(scale)}`;
      return [`${before} / √(mean of squares + ε) · scale = ${numbers}`, (x[column] / Math.sqrt(square + epsilon)) * scale];
    }
    const variance = x.reduce((sum, number) => sum + (number - mean) ** 2, 0) / x.length;
    const numbers = `(${whole} − ${brackets(mean)}) / √(${show(variance)} + ${plainNumber(epsilon)}) · ${brackets(scale)} + ${brackets(shift)}`;
    const value = ((x[column] - mean) / Math.sqrt(variance + epsilon)) * scale + shift;
    return [`(${before} − mean) / √(variance + ε) · scale + shift = ${numbers}`, value];
  }

  // A query, key or value: a row of the normed stream times a row of their common matrix: those of the queries, of the keys, of
  // the values, one below the other.
  projected() {
    const { part, row, column, head, config } = this;
    const { n_heads: queries, n_kv_heads: keys, head_dim: headDim } = config;
    const before = { "attn.keys": queries, "attn.values": queries + keys }[part] ?? 0;
    const first = (before + head) * headDim;
    const x = this.rowOf(this.sibling("norm1"), row);
    const numberAt = (at) => {
      const [sum, value] = sumOfProducts(x, this.rowOf(this.weight("attn.qkv.weight"), first + at));
      return this.withBias(sum, value, "attn.qkv.bias", first + at);
    };
    const [sum, product, bias] = numberAt(column);
    const line = `${this.block}norm1 · attn.qkv.weight[${first + column}]${bias} = ${sum}`;
    if (part === "attn.values" || !config.qk_norm) return [line, product];
    let squares = 0;
    for (let at = 0; at < headDim; at++) squares += numberAt(at)[1] ** 2;
    squares /= headDim;
    let value = product / Math.sqrt(squares + config.epsilon);
    let numbers = `${show(product)} / √(${show(squares)} + ${plainNumber(config.epsilon)})`;
    const scale = this.weight(before + head >= queries ? "attn.keys_norm.weight" : "attn.queries_norm.weight");
    if (scale) {
      numbers += ` · ${brackets(scale.data[column])}`;
      value *= scale.data[column];
    }
    return [`${line} = ${show(product)}; brought to one length: x / √(mean(x²) + ε) = ${numbers}`, value];
  }

  // A query or key turned by its place, with the other number of its pair.
  turned() {
    const { row, column, config } = this;
    const head = this.part === "attn.keys" ? config.n_heads + this.head : this.head;
    const x = this.rowOf(this.sibling("attn.unturned"), row, head);
    const isOdd = column % 2 === 1;
    const [own, other] = [x[column], x[column ^ 1]];
    const angle = row * speedOf(speedsOf(config, this.layer), Math.floor(column / 2), x.length);
    const line = `turned by place ${row}'s angle θ = ${show(angle)}: ${brackets(own)} · cos θ ${isOdd ? "+" : "−"} ${brackets(other)} · sin θ`;
    return [line, own * Math.cos(angle) + (isOdd ? 1 : -1) * other * Math.sin(angle)];
  }

  score() {
    const { row, column } = this;
    const all = this.sibling("attn.keys");
    const [query, key] = [this.rowOf(this.sibling("attn.queries"), row, this.head), this.rowOf(all, column, this.shared(all))];
    const root = Math.sqrt(query.length);
    const names = `queries[${row}] · keys[${column}] / √${query.length}`;
    return [`${names} = (${products(query, key)}) / ${show(root)}`, dotted(query, key) / root];
  }

  masked() {
    const { row, column } = this;
    const score = this.here(this.sibling("attn.scores"));
    const window = windowOf(this.config, this.layer);
    if (column > row) return [`${column} > ${row}: the future, so ${show(score)} becomes −∞`, -Infinity];
    if (window !== null && column <= row - window) {
      return [`${column} ≤ ${row} − ${window}: too far back, so ${show(score)} becomes −∞`, -Infinity];
    }
    return [`${column} ≤ ${row}, so the score stays: ${show(score)}`, score];
  }

  attentionWeight() {
    const { row, column, config } = this;
    if (config.previous_head && this.layer === 0 && this.head === 0) {
      const before = Math.max(0, row - 1);
      return [`${before} is the place before ${row}, the only one that this head sees`, column === before ? 1 : 0];
    }
    const scores = this.rowOf(this.sibling("attn.masked"), row, this.head);
    if (config.weighting === "softmax") return softmaxLine(scores, column, "masked", row);
    return [`σ(${show(scores[column])} − ln ${row + 1})`, 1 / (1 + Math.exp(Math.log(row + 1) - scores[column]))];
  }

  added(norm, output) {
    const added = this.trace.has(this.block + norm) ? norm : output;
    const before = this.before();
    const [x, more] = [this.here(before), this.here(this.sibling(added))];
    return [`${before.name} + ${this.block}${added} = ${show(x)} + ${brackets(more)}`, x + more];
  }
}
