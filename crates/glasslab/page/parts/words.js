// Numbers as a reader sees them.

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

// What each piece is of the text, where its own text depends on those before it: a space at the beginning, half a character.
export function textsOf(tokenizer, ids) {
  if (tokenizer.unit === "character") return ids.map((id) => tokenizer.decode([id]));
  let before = "";
  return ids.map((_, at) => {
    const all = tokenizer.decode(ids.slice(0, at + 1)), text = all.startsWith(before) ? all.slice(before.length) : "";
    before = all;
    return text;
  });
}
