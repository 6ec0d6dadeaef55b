// Characters as bytes, and as a plot shows them.



// The bytes of a text; half a character, as a text box may hold, becomes the sign for what is none.
export function utf8(text) {
  return new TextEncoder().encode(text);
}

// Reads bytes piece by piece: what is no character becomes U+FFFD, and what later bytes may complete waits.
export function byteReader() {
  return new TextDecoder("utf-8", { ignoreBOM: true });
}

// The text of bytes.
export function textOf(bytes) {
  return byteReader().decode(Uint8Array.from(bytes));
}

const SIGNS = new Map([[" ", "␣"], ["\n", "⏎"], ["\t", "⇥"]]);
const UNSEEN =
  /[\p{Cc}\p{White_Space}\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb\u{e0000}-\u{e0fff}]/u;
const MARK = /\p{Grapheme_Extend}/u;

// A character as a plot shows it: a space as ␣, a newline as ⏎, an accent that joins the letter before it on a circle, and
// what could not be seen by its number: \x1b, \u{200b}.
export function visible(character) {
  const sign = SIGNS.get(character);
  if (sign) return sign;
  if (UNSEEN.test(character)) {
    const code = character.codePointAt(0);
    return code <= 0xff ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`;
  }
  return MARK.test(character) ? `◌${character}` : character;
}

// The bytes of a piece as a plot shows them: ␣the, and \xf0 for a byte that is no character alone.
export function shownBytes(bytes) {
  let label = "";
  for (let at = 0; at < bytes.length; ) {
    const long = bytes[at] < 0x80 ? 1 : bytes[at] < 0xc2 ? 0 : bytes[at] < 0xe0 ? 2 : bytes[at] < 0xf0 ? 3 : bytes[at] < 0xf5 ? 4 : 0;
    const character = long && at + long <= bytes.length ? textOf(bytes.subarray(at, at + long)) : "";
    const isWhole = character !== "" && (character !== "\ufffd" || bytes[at] === 0xef && bytes[at + 1] === 0xbf && bytes[at + 2] === 0xbd);
    if (isWhole && [...character].length === 1) {
      label += visible(character);
      at += long;
    } else {
      label += `\\x${bytes[at].toString(16).padStart(2, "0")}`;
      at += 1;
    }
  }
  return label;
}
