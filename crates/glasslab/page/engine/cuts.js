// What happens if one cuts: a part of the model is taken out, and everything after it is computed anew.

// The cuts of a pass: a probe that looks through `inner` at what comes of them, and finish(), to be called after the pass.
export function cutting(cuts, inner) {
  if (cuts.length > 0) throw new Error("cuts are still to come");
  return { probe: inner, finish() {} };
}
