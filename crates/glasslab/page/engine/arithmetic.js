// What lines of arithmetic are made of, and how their numbers are written: as the library writes them.

const TERMS = 24; // of a sum are written out; of a longer one, the middle is left out
const LARGEST = 6; // terms of a long sum of products are written out; the rest is told as one number

// A number with so many digits behind the point, of two equally near the even one.
function fixed(number, digits) {
  const isTie = Math.abs((number * 2 ** (digits + 1)) % 2) === 1; // only then a number ends in a 5 behind these digits
  const text = (Object.is(number, -0) ? "-" : "") + number.toFixed(digits);
  if (!isTie || Number(text[text.length - 1]) % 2 === 0) return text;
  return (number - Math.sign(number) * 10 ** -digits / 2).toFixed(digits);
}

// A number as it stands in a line.
export function show(number) {
  if (Number.isNaN(number)) return "NaN";
  if (!Number.isFinite(number)) return number > 0 ? "∞" : "−∞";
  const text = number !== 0 && Math.abs(number) < 1e-3 ? number.toExponential(2) : fixed(number, 4);
  return text.replaceAll("-", "−");
}

// A number as it stands after a sign.
export function brackets(number) {
  const text = show(number);
  return text.startsWith("−") ? `(${text})` : text;
}

// A number that is often small, with so many digits after its first; 0 is told as 0.
export function tiny(number, digits) {
  const size = Math.abs(number);
  if (size === 0) return "0";
  if (!Number.isFinite(number)) return show(number);
  const isPlain = size >= 1e-3 && size < 1e4;
  const text = isPlain ? number.toFixed(Math.max(0, digits - Math.floor(Math.log10(size)))) : number.toExponential(digits);
  return text.replaceAll("-", "−");
}

// A setting, such as 0.00001.
export function plainNumber(number) {
  return number >= 1e-6 ? String(number) : number.toFixed(20).replace(/0+$/, "");
}

export function dotted(a, b) {
  let sum = 0;
  for (let at = 0; at < a.length; at++) sum += a[at] * b[at];
  return sum;
}

const product = (a, b) => `${brackets(a)}·${brackets(b)}`;

// All products of a sum, as they stand.
export function products(a, b) {
  return joinedTerms(Array.from(a, (number, at) => product(number, b[at])), " + ");
}

// A sum of products, the largest written out, and what it comes to: [text, number]
export function sumOfProducts(a, b) {
  const terms = Array.from(a, (number, at) => [number, b[at]]);
  terms.sort((one, other) => Math.abs(other[0] * other[1]) - Math.abs(one[0] * one[1]));
  const shown = terms.length <= LARGEST + 1 ? terms.length : LARGEST;
  const written = terms.slice(0, shown).map(([x, y]) => product(x, y));
  if (shown < terms.length) {
    const rest = terms.slice(shown).reduce((sum, [x, y]) => sum + x * y, 0);
    written.push(`${brackets(rest)} (the ${terms.length - shown} smaller terms)`);
  }
  return [written.join(" + "), dotted(a, b)];
}

function joinedTerms(terms, between) {
  if (terms.length <= TERMS) return terms.join(between);
  const [first, last] = [terms.slice(0, TERMS - 4).join(between), terms.slice(-2).join(between)];
  return `${first}${between}… ${terms.length - (TERMS - 4) - 2} more …${between}${last}`;
}

// One number of the softmax of a row.
export function softmaxLine(scores, column, name, row) {
  const highest = scores.reduce((most, score) => Math.max(most, score), -Infinity);
  const sum = scores.reduce((sum, score) => sum + Math.exp(score - highest), 0);
  const terms = Array.from(scores).filter(Number.isFinite).map((score) => `e^${brackets(score)}`);
  const masked = scores.length > terms.length ? ` + ${scores.length - terms.length} × e^(−∞)` : "";
  const line = `exp(${name}[${row}, ${column}]) / Σ exp(${name}[${row}, ·]) = e^${brackets(scores[column])} / (${joinedTerms(terms, " + ")}${masked})`;
  return [line, Math.exp(scores[column] - highest) / sum];
}
