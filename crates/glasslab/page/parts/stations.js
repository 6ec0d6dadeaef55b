// The steps of a forward pass as stations of a way: their names and what they are, in words.

const STATIONS = {
  "ids": ["its number", "A text comes in as numbers: which entry of the vocabulary each character is."],
  "embedded": ["embedding", "The numbers that the model has learnt for this character, wherever it stands."],
  "scaled": ["scaled", "The same, brought to the size that the blocks want."],
  "positioned": ["+ position", "A number for each place is added: now the same character differs from place to place."],
  "with_ngrams": ["+ n-grams", "What is known by heart of this character with those before it is added: a row for each group."],
  "norm1": ["norm", "Brought to one size, so that none drowns the others."],
  "attn.unturned": ["before turning", "Queries and keys before their place turns them. Queries come first, then keys."],
  "attn.queries": ["queries", "What this character wants to know: a row for each head."],
  "attn.keys": ["keys", "What can be found at this character: a row for each head."],
  "attn.values": ["values", "What this character tells those who look at it."],
  "attn.scores": ["scores", "How well each character fits what this one wants to know: its query times their keys."],
  "attn.masked": ["mask", "What comes later is hidden: −∞, so that nobody can look into the future."],
  "attn.weights": ["attention", "The scores as shares of 1: where each head looks."],
  "attn.heads": ["what heads bring", "The values of those it looks at, mixed by the attention."],
  "attn.output": ["joined", "What all heads bring, joined to one answer."],
  "attn_norm": ["norm", "The answer, brought to one size before it is added."],
  "after_attn": ["+ attention", "The answer is added to what was there: the stream goes on."],
  "norm2": ["norm", "Brought to one size again."],
  "mlp.gate": ["gate", "How far each hidden unit is opened."],
  "mlp.hidden": ["hidden units", "Each hidden unit asks a question about this character."],
  "mlp.activated": ["what fires", "What is negative is silent; the others speak."],
  "mlp.output": ["their answer", "What the units that fired want to add."],
  "mlp_norm": ["norm", "The answer, brought to one size before it is added."],
  "after_mlp": ["+ MLP", "It is added to the stream: this is what the block hands on."],
  "hidden": ["hidden units", "Each hidden unit asks a question about this character."],
  "activated": ["what fires", "What is negative is silent; the others speak."],
  "output": ["output", "The numbers that point to the next character."],
  "final_norm": ["last norm", "The stream brought to one size for the last question."],
  "logits": ["scores of all", "A score for every entry of the vocabulary: how well would it go on?"],
  "probabilities": ["probabilities", "The scores as shares of 1. The die is thrown with these."],
  "loss": ["loss", "How much the character that really came surprised the model, in nats."],
};

// Of "block.1.attn.scores": { part: "attn.scores", block: 1, name, words }.
export function station(step) {
  const [, number, rest] = /^block\.(\d+)\.(.+)$/.exec(step) ?? [null, null, step];
  const [name, words] = STATIONS[rest] ?? [rest, ""];
  return { step, part: rest, block: number === null ? null : Number(number), name, words };
}

// What of a step belongs to the character at a place: rows of numbers, each with its name, its place on the step's axes without
// the last one (of so many queries, where keys follow them), and what its columns are: "" for units, "text" for the text's characters, "vocabulary" for its entries.
export function numbersOfPlace(step, place, time, queries = 0) {
  const { name, shape, data } = step, { part } = station(name);
  const row = (name, from, length, axes) => ({ name, values: Array.from(data.subarray(from, from + length)), axes });
  if (shape.length === 1) return { columns: "", rows: place < shape[0] ? [row("", place, 1, [])] : [] };
  if (shape.length === 2) {
    const columns = part === "logits" || part === "probabilities" ? "vocabulary" : "";
    return { columns, rows: [row("", place * shape[1], shape[1], [place])] };
  }
  const [heads, , width] = shape, isText = ["attn.scores", "attn.masked", "attn.weights"].includes(part);
  const nameOf = (head) => {
    if (part === "attn.unturned") return head < queries ? "query " + head : "key " + (head - queries);
    return ({ "attn.queries": "query ", "attn.keys": "key ", "attn.values": "value " }[part] ?? "head ") + head;
  };
  const rows = Array.from({ length: heads }, (_, head) => row(nameOf(head), (head * time + place) * width, width, [head, place]));
  return { columns: isText ? "text" : "", rows };
}
