// Text ↔ ids, by the tokenizer that a model travels with.
//
// All kinds have: encode(text) → { ids, dropped }, decode(ids) → text, piece(id) → its bytes, label(id) → as a plot shows it,
// knows(character), ends: the ids that end a text, unit: "character" or "token".

import { utf8, visible } from "./characters.js";
import { bytePairs, Subwords } from "./subwords.js";

// The tokenizer of a model's header.
export function tokenizerOf(kept) {
  if (kept.kind === "chars") return new Characters(kept.n_vocab);
  if (kept.kind === "pairs") return bytePairs(kept);
  if (kept.kind === "subwords") return new Subwords(kept);
  throw new Error(`there is no tokenizer of the kind ${kept.kind}: write the page anew`);
}

// Single characters: an id is a code point.
class Characters {
  constructor(nVocab) {
    this.nVocab = nVocab;
    this.unit = "character";
    this.ends = [];
  }

  knows(character) {
    const code = character.codePointAt(0);
    return code < this.nVocab && !(code >= 0xd800 && code < 0xe000);
  }

  encode(text) {
    const [ids, dropped] = [[], []];
    for (const character of text) {
      if (this.knows(character)) ids.push(character.codePointAt(0));
      else dropped.push(character);
    }
    return { ids, dropped };
  }

  character(id) {
    const is = Number.isInteger(id) && id >= 0 && id < Math.min(this.nVocab, 0x110000) && !(id >= 0xd800 && id < 0xe000);
    if (!is) throw new Error(`expected an id in 0..${this.nVocab}, got ${id}: an id is a character's code point`);
    return String.fromCodePoint(id);
  }

  piece(id) {
    return utf8(this.character(id));
  }

  decode(ids) {
    return ids.map((id) => this.character(id)).join("");
  }

  label(id) {
    return visible(this.character(id));
  }
}
