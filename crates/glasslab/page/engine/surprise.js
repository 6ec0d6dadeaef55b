// How surprised a model was by each character: −ln of the probability that it gave it, in nats.

// One number for each character of a trace; null for the first, which nothing foretells.
export function surprises(trace) {
  return [null, ...(trace.has("loss") ? trace.step("loss").data : [])];
}

// The mean of a trace's predictions in nats for each; null for a single character.
export function meanLoss(trace) {
  if (!trace.has("loss")) return null;
  const { data } = trace.step("loss");
  return data.reduce((sum, nats) => sum + nats, 0) / data.length;
}
