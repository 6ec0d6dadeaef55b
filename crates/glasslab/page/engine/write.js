// Writing: predict the next character, draw one, append it, and again.
//
// A model sees at most so many characters as its context is long. When a text has grown longer, the oldest quarter of the
// context is forgotten at once and the rest is read anew: so the window slides, and between two slides each character costs
// one step through the cache.

import { SplitMix64 } from "./random.js";
import { checkSampling, drawn } from "./sampling.js";
import { byteReader } from "./characters.js";
import { softmaxRow } from "./attention.js";
import { noProbe } from "./transformer.js";
import { canReadPiecewise, cutting } from "./cuts.js";

// Begins to write on, behind a text or the ids of one: next() gives { id, text, probabilities, place }, or null at the end. For
// one seed, the text is the one that the library writes.
export function write(model, prompt, settings = {}) {
  const { chars = 100, temperature = 0.5, topK = null, topP = null, stop = null, seed = 0, cuts = [] } = settings;
  checkSampling(model.tokenizer, { chars, temperature, topK, topP, stop, seed });
  return new Writer(model, prompt, { chars, temperature, topK, topP, stop, seed, cuts });
}

export class Writer {
  constructor(model, prompt, settings) {
    const { tokenizer } = model;
    const { ids, dropped } = typeof prompt === "string" ? tokenizer.encode(prompt) : { ids: [...prompt], dropped: [] };
    Object.assign(this, { model, settings, ids, dropped });
    this.text = tokenizer.decode(ids);
    this.written = ""; // behind the prompt
    if (ids.length === 0) ids.push(...tokenizer.encode("\n").ids);
    if (ids.length === 0) ids.push(0);
    this.missing = settings.chars;
    this.random = new SplitMix64(settings.seed);
    this.reader = byteReader();
    this.cache = canReadPiecewise(settings.cuts) ? model.net.newCache() : null;
    this.first = 0;
    this.read = 0;
  }

  // Writes one more; its text may be empty, where a token is a part of a character.
  next() {
    if (this.missing <= 0) return null;
    const { model: { tokenizer }, settings } = this;
    const logits = this.nextLogits();
    const id = drawn(logits, settings, this.random);
    const place = this.ids.length;
    this.ids.push(id);
    const piece = tokenizer.piece(id);
    // What stands for nothing can come for ever.
    if (piece.length === 0 || tokenizer.ends.includes(id)) {
      this.missing = 0;
      return null;
    }
    const text = this.take(piece);
    const probabilities = new Float64Array(logits.length);
    softmaxRow(logits, 0, logits.length, probabilities, 0);
    return { id, text, probabilities, place };
  }

  // Writes all that is missing; gives the whole text.
  toEnd() {
    while (this.next());
    return this.text;
  }

  // Appends a token's characters, up to the last one that was asked for.
  take(piece) {
    const before = this.written.length;
    for (const character of this.reader.decode(piece, { stream: true })) {
      if (this.missing <= 0) break;
      this.written += character;
      this.text += character;
      this.missing -= 1;
      if (this.settings.stop !== null && this.written.endsWith(this.settings.stop)) this.missing = 0;
    }
    return this.written.slice(before);
  }

  // The scores of the next one, from those before it: V numbers.
  nextLogits() {
    const { model, ids, cache } = this;
    const first = windowStart(ids.length, model.windowLen);
    const { probe, finish } = cutting(this.settings.cuts, noProbe);
    if (cache && this.first !== first) cache.len = 0;
    if (!cache || this.first !== first) this.read = first;
    this.first = first;
    const logits = model.net.forward(ids.slice(this.read), probe, cache, true).data;
    finish();
    this.read = ids.length;
    return logits;
  }
}

// Where the window begins that predicts the character at `place`: at 0 while there is room, then further on by a quarter of
// the context at a time.
function windowStart(place, contextLen) {
  const hop = Math.max(1, Math.floor(contextLen / 4));
  return Math.ceil(Math.max(0, place - contextLen) / hop) * hop;
}
