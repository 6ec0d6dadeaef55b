// Film: the training from its snapshots; what the model wrote, where it looked, and its loss.

import { make } from "./dom.js";
import { attentionExplorer } from "./explorer.js";
import { weightPalette } from "./colours.js";
import { natsWords } from "./words.js";

const WIDTH = 640, HEIGHT = 220, LEFT = 44, BOTTOM = 30;

export function filmPart(root, page) {
  const { film } = page;
  const top = make("div", root, { class: "columns" });
  const left = make("div", top), right = make("div", top);
  make("h3", left, {}, "Its loss");
  const mark = lossCurve(left, film);
  make("h3", right, {}, "What it wrote then");
  const wrote = make("p", right, { class: "wrote" }), told = make("p", right, { class: "caption" });
  make("h3", root, {}, "Where it looked then");
  const frames = film.frames.map(({ step, loss, weights }) => ({ label: "step " + step + (loss === null ? "" : ", loss " + natsWords(loss)), weights, next: [] }));
  const { labels: characters, layers, heads, unit } = film;
  const block = make("div", root, { class: "glasslab-explorer" });
  const explorer = attentionExplorer(block, {
    characters, layers, heads, unit, frames, causal: true, bits: 8, layer: 0, head: 0, palette: weightPalette(),
  }, { frame: show });
  // What is chosen stands above what it changes.
  const slider = block.querySelector("[data-part=play]")?.parentElement; // none, of a single moment
  if (slider) root.insertBefore(make("div", null, { class: "glasslab-explorer film-bar" }), top).append(slider);
  function show(number) {
    const { step, loss, text } = film.frames[number];
    wrote.textContent = text;
    told.textContent = "after " + step + " steps" + (loss === null || loss === undefined ? "" : "; " + natsWords(loss) + " nats a " + unit + " on “" + film.prompt + "”");
    mark(step);
  }
  return { repaint: () => explorer.repaint() };
}

// The curve as SVG; mark(step) moves a line to a step.
function lossCurve(parent, { curve, frames }) {
  const draw = (tag, attributes, into, text = "") => {
    const part = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
    part.textContent = text;
    into?.append(part);
    return part;
  };
  const losses = curve.flatMap(([, train, held]) => [train, held]).filter((loss) => loss !== null);
  const most = Math.max(...losses, 1), last = Math.max(1, ...curve.map(([step]) => step), ...frames.map(({ step }) => step));
  const x = (step) => LEFT + (step / last) * (WIDTH - LEFT - 10), y = (loss) => 10 + (1 - loss / most) * (HEIGHT - BOTTOM - 10);
  const end = curve[curve.length - 1];
  const words = "The loss over " + last + " steps" + (losses.length ? ", from " + natsWords(losses[0]) + " to " + natsWords(losses[losses.length - 1]) + " nats" : "");
  const svg = draw("svg", { viewBox: "0 0 " + WIDTH + " " + HEIGHT, role: "img", "aria-label": words, class: "curve" }, parent);
  const rule = 10 ** Math.max(0, Math.ceil(Math.log10(most / 8))); // a training that ran away has huge ones
  for (let nats = 0; nats <= most; nats += rule) {
    draw("line", { x1: LEFT, x2: WIDTH - 10, y1: y(nats), y2: y(nats), class: "rule" }, svg);
    draw("text", { x: LEFT - 8, y: y(nats) + 4, "text-anchor": "end" }, svg, String(nats));
  }
  draw("text", { x: LEFT, y: HEIGHT - 8 }, svg, "0");
  draw("text", { x: WIDTH - 10, y: HEIGHT - 8, "text-anchor": "end" }, svg, last + " steps");
  for (const [at, kind] of [[1, "train"], [2, "held"]]) {
    const points = curve.filter((point) => point[at] !== null).map((point) => x(point[0]).toFixed(1) + "," + y(point[at]).toFixed(1));
    if (points.length) draw("polyline", { points: points.join(" "), class: kind }, svg);
    if (points.length === 1) draw("circle", { cx: points[0].split(",")[0], cy: points[0].split(",")[1], r: 3, class: kind }, svg);
  }
  const now = draw("line", { y1: 6, y2: HEIGHT - BOTTOM, class: "now" }, svg);
  const key = make("p", parent, { class: "caption" });
  make("span", key, { class: "key-train" }, "on what it learns from");
  if (end && curve.some((point) => point[2] !== null)) make("span", key, { class: "key-held" }, "held out");
  key.append(" · nats a character");
  return (step) => {
    now.setAttribute("x1", x(step));
    now.setAttribute("x2", x(step));
  };
}
