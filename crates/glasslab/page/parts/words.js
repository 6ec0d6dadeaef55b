// Numbers, and pieces of a text, as a reader sees them.

import { byteReader } from "../engine/characters.js";

export function counted(count, one) {
  return count.toLocaleString("en") + " " + (count === 1 ? one : one + "s");
}

export function percentWords(share) {
  if (!Number.isFinite(share)) return "–";
  const percent = share * 100;
  if (percent > 0 && percent < 0.1) return "< 0.1 %";
  return (percent < 9.95 ? percent.toFixed(1).replace(/\.0$/, "") : percent.toFixed(0)) + " %";
}

// Three digits, a real minus, and no number where there is none.
export function numberWords(number) {
  if (number === null || number === undefined || Number.isNaN(number)) return "NaN";
  if (!Number.isFinite(number)) return number > 0 ? "∞" : "−∞";
  const size = Math.abs(number);
  const words = Number.isInteger(size) && size < 1e6 ? String(size) : size >= 1000 ? size.toFixed(0) : size < 0.001 ? size.toExponential(1) : size.toPrecision(3);
  return (number < 0 ? "−" : "") + words;
}

export function natsWords(nats) {
  return nats === null || !Number.isFinite(nats) ? "–" : nats.toFixed(2);
}

export function secondsWords(seconds) {
  if (seconds < 90) return counted(Math.round(seconds), "second");
  return seconds < 5400 ? counted(Math.round(seconds / 60), "minute") : (seconds / 3600).toFixed(1) + " hours";
}

// A label in a sentence.
export function quoted(label) {
  return "“" + label + "”";
}

// A label as prose has it: ␣ is a space, and a line ends where ⏎ stands.
export function proseOf(label) {
  return label.replaceAll("␣", " ").replaceAll("⏎", "⏎\n");
}

// What each piece adds to the text: together they are the text. A character that is cut into several belongs to the last of them.
export function textsOf(tokenizer, ids) {
  const reader = byteReader();
  const texts = ids.map((id) => reader.decode(Uint8Array.from(tokenizer.piece(id)), { stream: true }));
  if (texts.length) texts[texts.length - 1] += reader.decode();
  const first = texts.findIndex((text) => text !== "");
  if (tokenizer.prefix && texts[first]?.startsWith(" ")) texts[first] = texts[first].slice(1);
  return texts;
}
