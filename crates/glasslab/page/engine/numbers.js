// The numbers of a model, as they stand in a page: base64 of 16 or 32 bits each, the low byte first.

// The bytes of a base64 text.
export function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

// The numbers of a base64 text; kind: "f16" or "f32".
export function numbersOf(base64, kind) {
  const bytes = bytesOf(base64);
  const view = new DataView(bytes.buffer);
  const size = kind === "f16" ? 2 : 4;
  if (kind !== "f16" && kind !== "f32") throw new Error(`numbers are kept as f16 or f32, got ${kind}: write the page anew`);
  if (bytes.length % size !== 0) throw new Error("the page's numbers are cut off: write the page anew");
  const numbers = new Float32Array(bytes.length / size);
  if (kind === "f32") {
    for (let at = 0; at < numbers.length; at++) numbers[at] = view.getFloat32(4 * at, true);
  } else {
    for (let at = 0; at < numbers.length; at++) numbers[at] = halfNumber(view.getUint16(2 * at, true));
  }
  return numbers;
}

// A number of 16 bits: a sign, 5 bits for its power of 2, 10 for its digits.
export function halfNumber(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const power = (bits >> 10) & 31;
  const digits = bits & 1023;
  if (power === 31) return digits ? NaN : sign * Infinity;
  return sign * (power ? 2 ** (power - 25) * (1024 + digits) : 2 ** -24 * digits);
}
