// Colours: the same as in the library's pictures, told apart by the colour-blind. Tints lie on light and dark pages alike.

const CIVIDIS = ["00224e", "123570", "2b446e", "48536c", "5f636e", "757575", "8c8677", "a59c74", "c2b369", "e1cc55", "fee838"];

function channels(hex) {
  return [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

// 65 colours for weights from 0 to 1, as the explorer takes them.
export function weightPalette() {
  return Array.from({ length: 65 }, (_, step) => {
    const along = (step / 64) * (CIVIDIS.length - 1), below = Math.min(CIVIDIS.length - 2, Math.floor(along));
    const [low, high] = [channels(CIVIDIS[below]), channels(CIVIDIS[below + 1])];
    const part = (at) => Math.round(low[at] + (high[at] - low[at]) * (along - below));
    return "#" + [0, 1, 2].map((at) => part(at).toString(16).padStart(2, "0")).join("");
  });
}

const strong = (share, most) => (most * Math.min(1, Math.max(0, share || 0))).toFixed(3);

// Orange: how much a character surprised, in nats; 5.5 is guessing among 256.
export function surpriseTint(nats) {
  return nats === null ? "transparent" : "rgba(230,120,0," + strong(nats / 5, 0.7) + ")";
}

// Blue: where a model looks, as a share of the strongest look.
export function lookTint(weight, largest) {
  return "rgba(0,114,178," + strong(Math.sqrt(weight / largest), 0.68) + ")";
}

// Green above 0, purple below: what flows through a model has a sign.
export function signTint(number, largest) {
  if (!Number.isFinite(number)) return "rgba(128,128,128,0.25)";
  const share = strong(Math.sqrt(Math.abs(number) / (largest || 1)), 0.85);
  return (number < 0 ? "rgba(140,80,180," : "rgba(0,158,115,") + share + ")";
}

// Orange where there is more than there was, blue where there is less.
export function changeTint(change, largest) {
  if (!Number.isFinite(change)) return "rgba(230,120,0,0.7)";
  return (change < 0 ? "rgba(0,114,178," : "rgba(230,120,0,") + strong(Math.abs(change) / (largest || 1), 0.7) + ")";
}

// Draws a map of weights, rows × columns, on a canvas of so many points.
export function paintWeights(canvas, weights, size, palette) {
  canvas.width = canvas.height = size;
  const pen = canvas.getContext("2d"), pixels = pen.createImageData(size, size);
  for (let at = 0; at < size * size; at++) {
    const weight = weights[at];
    const hex = Number.isNaN(weight) ? "#d81ba0" : palette[Math.round(Math.sqrt(Math.min(1, Math.max(0, weight))) * (palette.length - 1))];
    pixels.data.set([...channels(hex.slice(1)), 255], at * 4);
  }
  pen.putImageData(pixels, 0, 0);
}
