// A text as it is written: pieces come one by one, at a reader's pace or as fast as the model can.

import { write } from "../engine/write.js";
import { eachFrame, inSlices, likesStillness } from "./pace.js";
import { textsOf } from "./words.js";

const PACE = 45; // characters a second
const MOST = 20000; // a writer's own end; the story's is `length`

// `came(piece)` is told of each; `rests()` when it is at its end. A piece is what the writer gave, and
// `before`, the ids that it was foretold from, of which the first stands at `first`.
export class Story {
  constructor({ came, rests }) {
    Object.assign(this, { came, rests, pieces: [], writer: null, stopFrames: null, length: 0, isDone: false });
  }

  // Begins to write behind a prompt; throws a sentence where the settings can't be.
  begin(model, prompt, { length, ...settings }) {
    this.halt();
    this.pieces = [];
    this.writer = write(model, prompt, { ...settings, chars: MOST });
    Object.assign(this, { model, settings, length, written: 0, isDone: false });
  }

  // Another piece in the place of one that was written, and what follows from it.
  instead(place, id) {
    this.halt();
    const { model, writer } = this;
    const kept = this.pieces.slice(0, place), at = this.pieces[place].place;
    const ids = [...writer.ids.slice(0, at), id];
    const text = textsOf(model.tokenizer, ids)[ids.length - 1];
    const piece = { ...this.pieces[place], id, text, isForced: true };
    this.pieces = [...kept, piece];
    this.written = this.pieces.reduce((sum, { text }) => sum + [...text].length, 0);
    this.length = Math.max(this.length, this.written + 60);
    this.goOnFrom(ids);
  }

  // The ids as they are: read as a text once more, they might be cut into others.
  goOnFrom(ids) {
    this.writer = write(this.model, ids, { ...this.settings, chars: MOST });
    this.isDone = false;
  }

  // One more; false at the end.
  step() {
    if (!this.writer || this.isDone || this.written >= this.length) return this.end();
    const piece = this.writer.next();
    if (!piece) return this.end();
    this.written += [...piece.text].length;
    const { first = 0, ids } = this.writer;
    this.pieces.push({ ...piece, first, before: ids.slice(first, piece.place) });
    this.came(this.pieces[this.pieces.length - 1]);
    return true;
  }

  // So much more than there is.
  lengthen(more) {
    this.length = this.written + more;
    // Behind its stop text, or the id with which a model ends, a writer has ended.
    if (this.writer?.missing === 0) this.goOnFrom(this.writer.ids);
    this.isDone = false;
  }

  // Nothing is written, and nothing can be.
  empty() {
    this.halt();
    Object.assign(this, { writer: null, pieces: [], written: 0, length: 0, isDone: true });
  }

  end() {
    this.isDone = true;
    this.stopFrames = null;
    this.rests();
    return false;
  }

  get isRunning() { return this.stopFrames !== null; }

  // Writes on, frame by frame.
  run(isAtOnce = likesStillness()) {
    this.halt();
    let due = 0;
    this.stopFrames = eachFrame((seconds) => {
      const end = performance.now() + 14;
      due += isAtOnce ? Infinity : Math.min(6, seconds * PACE);
      while (due >= 1 && performance.now() < end) {
        if (!this.step()) return false;
        due -= 1;
      }
      return true;
    });
  }

  halt() {
    this.stopFrames?.();
    this.stopFrames = null;
  }

  get text() { return this.pieces.map(({ text }) => text).join(""); }
}

// Lets several writers write to their ends, each into an element of its own, and then calls done(). What it gives back stops them.
export function writeBeside(writers, elements, done = () => {}) {
  elements.forEach((element) => element.replaceChildren());
  const open = new Set(writers.keys());
  return inSlices(() => {
    for (const place of [...open]) {
      const piece = writers[place].next();
      if (piece) elements[place].append(piece.text);
      else open.delete(place);
    }
    if (open.size === 0) done();
    return open.size > 0;
  }, 8);
}
