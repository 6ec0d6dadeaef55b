// Tokenizers whose tokens are pieces of words: byte pairs, and those of other models.
//
//   text → special pieces taken out → NFC, or a space before it → words → bytes or characters → merged → ids
//
// Bytes are kept as texts of as many characters, of the codes 0 to 255: as such they can be looked up.

import { byteReader, shownBytes, utf8 } from "./characters.js";
import { mergedParts } from "./merging.js";
import { wordsOf } from "./words.js";

// What SentencePiece writes for a space.
const SPACE_SIGN = "▁";

function binary(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

const bytesIn = (text) => Uint8Array.from(text, (character) => character.charCodeAt(0));

// Byte pairs as the library learns them: the 256 bytes, then what was merged, pair by pair.
export function bytePairs({ merges }) {
  const pieces = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));
  const known = new Set(pieces);
  for (const [first, second] of merges) {
    const piece = pieces[first] + pieces[second];
    if (!known.has(piece)) pieces.push(piece); // two pairs may make one
    known.add(piece);
  }
  return new Subwords({ pieces: pieces.map(bytesIn), alphabet: "bytes", merging: { pairs: merges }, split: "gpt2" });
}

export class Subwords {
  constructor(vocabulary) {
    const { pieces, alphabet, merging, split = "whole", nfc = false, whole_words: wholeWords = false } = vocabulary;
    const { prefix = null, special = [], begin = null, ends = [] } = vocabulary;
    Object.assign(this, { split, nfc, wholeWords, prefix, begin, ends, unit: "token", nVocab: pieces.length });
    this.pieces = pieces.map((piece) => binary(typeof piece === "string" ? utf8(piece) : piece));
    this.ofBytes = alphabet === "bytes";
    const standIns = this.ofBytes ? [] : alphabet.characters.bytes;
    const isStandIn = new Set(standIns);
    this.ids = new Map();
    this.pieces.forEach((piece, id) => {
      if (piece !== "" && !isStandIn.has(id) && !this.ids.has(piece)) this.ids.set(piece, id);
    });
    this.byteIds = Array.from({ length: 256 }, (_, byte) => (this.ofBytes ? this.ids.get(String.fromCharCode(byte)) : standIns[byte]));
    this.pairs = merging.pairs && this.pairsOf(merging.pairs);
    this.whens = merging.scores && whensOf(merging.scores);
    this.special = new Map(special.filter(({ text }) => text !== "").map(({ id, text }) => [text, id]));
    this.lengths = [...new Set([...this.special.keys()].map((text) => text.length))].sort((one, other) => other - one);
    this.haveSign = special.some(({ text }) => text.includes(SPACE_SIGN));
  }

  // By its two ids: when a pair is merged, and what it makes.
  pairsOf(pairs) {
    const made = new Map();
    pairs.forEach(([first, second], when) => {
      const id = this.ids.get(this.pieces[first] + this.pieces[second]);
      if (id === undefined) throw new Error(`the pair of the ids ${first} and ${second} makes no piece: write the page anew`);
      made.set(first * this.nVocab + second, { when, id });
    });
    return made;
  }

  encode(text) {
    text = byteReader().decode(utf8(text)); // half a character, as a text box may hold, is none
    const ids = [];
    if (this.begin !== null && this.specialAt(text, 0)?.id !== this.begin) ids.push(this.begin);
    // SentencePiece looks for special pieces in what it has made of a text, Hugging Face's library in the text itself.
    const seen = this.haveSign ? text : this.spaced(text);
    let [start, place] = [0, 0];
    const take = (end, special) => {
      for (const word of wordsOf(this.split, this.prepared(start, seen.slice(start, end)))) this.encodeWord(word, ids);
      if (special) ids.push(special.id);
    };
    while (place < seen.length) {
      const special = this.specialAt(seen, place);
      if (special) {
        take(place, special);
        place += special.length;
        start = place;
      } else {
        place += 1;
      }
    }
    take(seen.length, null);
    return { ids, dropped: Array.from(text).filter((character) => !this.knows(character)) };
  }

  // The special piece that stands at a place, the longest of several.
  specialAt(text, place) {
    for (const length of this.lengths) {
      const id = this.special.get(text.slice(place, place + length));
      if (id !== undefined) return { id, length };
    }
    return null;
  }

  // A part of a text, between special pieces, as it is cut.
  prepared(place, part) {
    const composed = this.nfc ? part.normalize("NFC") : part; // `e` and a combining acute are `é`
    const text = composed === part ? this.spaced(part) : composed;
    const { prefix } = this;
    const takesSpace = prefix && text !== "" && (prefix.every || place === 0) && !(prefix.unless_there && text.startsWith(" "));
    return takesSpace ? ` ${text}` : text;
  }

  // A space is kept as a space here, so its sign is one as well.
  spaced(text) {
    return this.ofBytes ? text : text.replaceAll(SPACE_SIGN, " ");
  }

  encodeWord(word, ids) {
    const bytes = binary(utf8(word));
    const whole = this.wholeWords ? this.ids.get(bytes) : undefined;
    if (whole !== undefined) {
      ids.push(whole);
      return;
    }
    const merge = (first, second) => {
      if (this.pairs) return first.id === undefined || second.id === undefined ? undefined : this.pairs.get(first.id * this.nVocab + second.id);
      const id = this.ids.get(bytes.slice(first.from, second.to));
      return id === undefined ? undefined : { when: this.whens[id], id };
    };
    for (const { id, from, to } of mergedParts(this.ofBytes ? this.byteParts(bytes) : this.letterParts(word), merge)) {
      if (id !== undefined) {
        ids.push(id);
        continue;
      }
      const standIns = Array.from(bytes.slice(from, to), (byte) => this.byteIds[byte.charCodeAt(0)]);
      if (!standIns.includes(undefined)) ids.push(...standIns);
    }
  }

  // A byte that has no piece is left out before anything is merged.
  byteParts(bytes) {
    const known = Array.from(bytes, (byte) => this.byteIds[byte.charCodeAt(0)]).filter((id) => id !== undefined);
    return known.map((id, from) => ({ id, from, to: from + 1 }));
  }

  letterParts(word) {
    let to = 0;
    return Array.from(word, (letter) => {
      const bytes = binary(utf8(letter));
      const from = to;
      to += bytes.length;
      return { id: this.ids.get(bytes), from, to };
    });
  }

  knows(character) {
    const sign = character === SPACE_SIGN ? " " : character;
    if (!this.ofBytes && this.ids.has(binary(utf8(sign)))) return true;
    return utf8(character).every((byte) => this.byteIds[byte] !== undefined);
  }

  bytesAt(id) {
    const piece = this.pieces[id];
    if (piece === undefined) throw new Error(`expected an id in 0..${this.nVocab}, got ${id}: was the text encoded with this tokenizer?`);
    return piece;
  }

  // What is put before every text stands for nothing.
  piece(id) {
    const piece = bytesIn(this.bytesAt(id));
    return id === this.begin ? new Uint8Array(0) : piece;
  }

  // The text of ids from a text's beginning on: without the space that was put before it.
  decode(ids) {
    let bytes = "";
    for (const id of ids) bytes += id === this.begin ? "" : this.bytesAt(id);
    if (this.prefix && bytes.startsWith(" ")) bytes = bytes.slice(1);
    return byteReader().decode(bytesIn(bytes));
  }

  // An id that no text has by its number: [32007].
  label(id) {
    const piece = this.bytesAt(id);
    return piece === "" ? `[${id}]` : shownBytes(bytesIn(piece));
  }
}

// For each id: when a pair that makes it is merged; equal scores come at one time.
function whensOf(scores) {
  const byScore = Array.from(scores, (_, id) => id).sort((one, other) => scores[other] - scores[one]);
  const whens = new Array(scores.length);
  byScore.forEach((id, place) => {
    const before = byScore[place - 1];
    whens[id] = place === 0 ? 0 : whens[before] + (scores[before] === scores[id] ? 0 : 1);
  });
  return whens;
}
