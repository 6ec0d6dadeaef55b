// What happens if one cuts: a part of the model is taken out, and everything after it is computed anew.
//
// A cut is a probe that gives another tensor back than the one it saw; the model's own forward pass does the rest.
//
//   { kind: "head", layer, head }  its mix becomes 0        { kind: "positions" }  no character knows where it stands
//   { kind: "block", layer }       the stream passes it by  { kind: "mask" }       each sees those that come after it, too
//   { kind: "residual", layer }    what was there before a part of the block is lost, only what the part adds stays

import { made } from "./tensor.js";
import { addTimes, partOf } from "./operations.js";

// All that can be cut of a model.
export function cutsOf({ kind, config }) {
  if (kind === "mlp") return [];
  const layers = Array.from({ length: config.n_layers }, (_, layer) => layer);
  const heads = (layer) => Array.from({ length: config.n_heads }, (_, head) => ({ kind: "head", layer, head }));
  return [
    ...layers.flatMap(heads),
    ...layers.map((layer) => ({ kind: "block", layer })),
    ...(config.positions === "none" || config.positions === "rotary" && layers.length === 0 ? [] : [{ kind: "positions" }]),
    ...(layers.length > 0 ? [{ kind: "mask" }] : []),
    ...layers.map((layer) => ({ kind: "residual", layer })),
  ];
}

// One cut, or several together, in words.
export function cutName(cut) {
  if (Array.isArray(cut)) return cut.length ? cut.map(cutName).join(", ") : "nothing changed";
  const { kind, layer, head } = cut;
  switch (kind) {
    case "head": return `head ${head} of layer ${layer} cut`;
    case "block": return `block ${layer} cut`;
    case "residual": return `the residual of block ${layer} cut`;
    case "positions": case "mask": return `the ${kind} cut`;
    default: throw new Error(`there is no cut of the kind ${kind}: there are head, block, positions, mask and residual`);
  }
}

// Whether a text may be read piece by piece under these cuts: without the mask a character depends on those after it.
export function canReadPiecewise(cuts) {
  return !cuts.some((cut) => cut.kind === "mask");
}

// The cuts of one pass: a probe, through which `inner` sees what comes of them, and finish(), to be called after the pass.
export function cutting(cuts, inner) {
  if (cuts.length === 0) return { probe: inner, finish() {} };
  const kept = new Map(); // what a later step is replaced by
  const done = cuts.map(() => false);
  const names = [];
  let stream = null;
  const probe = (name, tensor) => {
    cuts.forEach((cut, number) => {
      const other = replacement(cut, name, tensor, kept, stream);
      if (!other) return;
      tensor = other;
      done[number] = true;
    });
    tensor = inner(name, tensor);
    if (isStream(name)) stream = tensor;
    names.push(name);
    return tensor;
  };
  const finish = () => {
    const idle = done.indexOf(false);
    if (idle >= 0) throw new Error(`${cutName(cuts[idle])}: this model has no such part; its steps are ${names.join(", ")}`);
  };
  return { probe, finish };
}

// Whether a step is the stream, to which each part of a block only adds.
export function isStream(name) {
  return /^(embedded|scaled|positioned|with_ngrams)$|\.after_(attn|mlp)$/.test(name);
}

// The tensor that a cut puts in place of a step's, if it has to do with it.
function replacement(cut, name, tensor, kept, stream) {
  const [, number, part] = name.match(/^block\.(\d+)\.(.*)$/) ?? [null, null, name];
  const isHere = number !== null && Number(number) === cut.layer;
  switch (cut.kind) {
    case "head":
      return isHere && part === "attn.heads" ? withoutHead(tensor, cut) : null;
    case "block":
      if (isHere && part === "norm1") kept.set(`into ${number}`, stream);
      return isHere && part === "after_mlp" ? kept.get(`into ${number}`) : null;
    case "positions":
      if (part === "embedded" || part === "scaled") kept.set("embedded", tensor);
      if (part === "attn.unturned") kept.set(part, tensor);
      if (part === "positioned") return kept.get("embedded");
      if (part !== "attn.queries" && part !== "attn.keys") return null;
      return unturned(kept.get("attn.unturned"), tensor.shape[0], part === "attn.queries");
    case "mask":
      if (part === "attn.scores") kept.set("scores", tensor);
      return part === "attn.masked" ? kept.get("scores") : null;
    case "residual":
      if (isHere && (part === "attn.output" || part === "mlp.output")) kept.set("added", tensor);
      return isHere && (part === "after_attn" || part === "after_mlp") ? kept.get("added") : null;
    default:
      throw new Error(cutName(cut));
  }
}

// The heads' mixes with one of 0s: (H, T, D) → (H, T, D)
function withoutHead(heads, { layer, head }) {
  const count = heads.shape[0];
  if (!(Number.isInteger(head) && head >= 0 && head < count)) {
    throw new Error(`layer ${layer} has heads 0 to ${count - 1}, got ${head}`);
  }
  const size = heads.data.length / count;
  const data = heads.data.slice().fill(0, head * size, (head + 1) * size);
  return made(heads.shape, data, [heads], (gradient, of) => {
    const target = of(heads);
    addTimes(target, 0, gradient, 0, head * size, 1);
    addTimes(target, (head + 1) * size, gradient, (head + 1) * size, gradient.length - (head + 1) * size, 1);
  });
}

// Queries or keys before they were turned; both lie in one tensor, (H + K, T, D), queries first.
function unturned(both, count, areQueries) {
  return both ? partOf(both, areQueries ? 0 : both.shape[0] - count, count) : null;
}
