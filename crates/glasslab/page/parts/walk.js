// Walk: one character's way from its number to the next one's probability, each number with its arithmetic.

import { trace, likely } from "../engine/trace.js";
import { byHand } from "../engine/by_hand.js";
import { backward } from "../engine/backward.js";
import { button, make, newId, notice } from "./dom.js";
import { field } from "./controls.js";
import { pieceList } from "./pieces.js";
import { bars } from "./bars.js";
import { numberGrid } from "./number_grid.js";
import { numbersOfPlace, station } from "./stations.js";
import { changeTint } from "./colours.js";
import { numberWords, quoted } from "./words.js";

const LONGEST = 24; // pieces: more would not be seen at once
const FIRST = 18;

export function walkPart(root, page, given) {
  const model = page.models[Math.min(given.number("model", 0), page.models.length - 1)];
  let seen = null, back = null, place = 0, way = [], now = 0, number = [0, 0], shown = null;
  const first = [...given.text("prompt", page.prompt)].slice(0, FIRST).join("").trimEnd();

  const input = field(root, { name: "A short text", value: first, maxlength: 120, spellcheck: "false", autocomplete: "off" }, () => read());
  const problem = notice(root);
  make("p", root, { class: "hint" }, "Pick the " + model.unit + " whose way you want to follow:");
  const text = pieceList(root, { name: "The pieces of the text; arrows walk", isProse: false, chosen: (at) => { place = at; number[1] = 0; show(); } });

  const walk = make("div", root, { class: "walk" });
  const map = make("nav", walk, { class: "stations", "aria-label": "the steps" });
  const here = make("section", walk, { class: "station", "aria-live": "off" });
  const buttons = make("div", here, { class: "bar-of-buttons" });
  const goBack = button(buttons, "← Back", () => go(now - 1)), goOn = button(buttons, "Next step →", () => go(now + 1), { class: "first" });
  const count = make("span", buttons, { class: "faint" });
  const title = make("h3", here, { "aria-live": "polite" }), words = make("p", here), formula = make("p", here, { class: "formula" }), shape = make("p", here, { class: "caption" });
  const grid = numberGrid(here, "the numbers of this step; arrows walk", (row, column) => pick(row, column));
  const paintBars = bars(here, { name: "the likeliest entries", pick: ({ id }) => pick(0, id), verb: "the arithmetic of" });
  const hand = make("div", here, { class: "by-hand", "aria-live": "polite" });
  const handTitle = make("h4", hand), lines = make("pre", hand, { tabindex: 0, "aria-label": "the arithmetic" });
  const gradient = make("div", here, { class: "gradient" });
  const isOn = make("input", gradient, { type: "checkbox", id: newId("gradient") });
  make("label", gradient, { for: isOn.id }, "and backward: the gradient of each number");
  const gradientBox = make("div", gradient);
  const gradientGrid = numberGrid(gradientBox, "the gradients of these numbers; arrows walk", (row, column) => pick(row, column));
  const gradientWords = make("p", gradientBox, { class: "caption", "aria-live": "polite" });
  isOn.addEventListener("change", showGradient);

  function read() {
    const { ids } = model.tokenizer.encode(input.value);
    const used = ids.slice(0, Math.min(LONGEST, model.contextLen));
    walk.hidden = text.list.hidden = used.length === 0;
    problem(used.length === 0 ? "Type at least one " + model.unit + " that the model knows." : ids.length > used.length ? "The first " + used.length + " are followed." : "");
    if (!used.length) return;
    seen = trace(model, used);
    back = null;
    place = Math.max(0, used.length - 2); // the last one is judged by nothing
    text.show(seen.labels.map((label) => ({ label })), place);
    const steps = seen.steps.map(({ name }) => name);
    if (steps.join() !== way.map(({ step }) => step).join()) {
      way = steps.map(station);
      drawMap();
    }
    show();
  }
  // The stations, block by block.
  const stops = [];
  function drawMap() {
    map.replaceChildren();
    stops.length = 0;
    let block, list;
    way.forEach((stop, at) => {
      if (at === 0 || stop.block !== block) {
        block = stop.block;
        make("p", map, { class: "stations-of" }, block === null ? (at === 0 ? "in" : "out") : "block " + block);
        list = make("ol", map);
      }
      const part = button(make("li", list), stop.name, () => go(at));
      stops.push(part);
    });
  }
  function go(to) {
    now = Math.max(0, Math.min(way.length - 1, to));
    number = [0, 0];
    show();
  }
  function show() {
    now = Math.max(0, Math.min(now, way.length - 1));
    const stop = way[now], step = seen.step(stop.step);
    stops.forEach((part, at) => (at === now ? part.setAttribute("aria-current", "step") : part.removeAttribute("aria-current")));
    const current = stops[now];
    if (current && map.scrollWidth > map.clientWidth) map.scrollLeft = current.offsetLeft - map.clientWidth / 2;
    else if (current) map.scrollTop = current.offsetTop - map.clientHeight / 2;
    goBack.disabled = now === 0;
    goOn.disabled = now === way.length - 1;
    count.textContent = "step " + (now + 1) + " of " + way.length;
    title.textContent = (stop.block === null ? "" : "Block " + stop.block + ": ") + stop.name;
    words.textContent = stop.words;
    shown = numbersOfPlace(step, place, seen.ids.length, model.config.n_heads);
    const { rows, columns } = shown, width = rows[0]?.values.length ?? 0;
    shape.textContent = quoted(seen.labels[place]) + " at " + place + ", " + stop.step + ": "
      + (rows.length > 1 ? rows.length + " × " + width : width === 1 ? "one number" : width + " numbers") + (rows.length ? "" : "; the last one has none");
    const isVocabulary = columns === "vocabulary";
    if (isVocabulary && number[1] === 0) number = [0, likely(seen.probabilitiesAt(place), 1, model.tokenizer)[0].id];
    grid.show({ rows: isVocabulary && width > 600 ? [] : rows, labels: width === 1 ? [numberWords(rows[0].values[0])] : labelsOf(columns), isShare: ["attn.weights", "probabilities"].includes(stop.part) });
    paintBars(isVocabulary ? likely(seen.probabilitiesAt(place), 6, model.tokenizer).map((row) => ({ ...row, label: model.tokenizer.label(row.id), isChosen: row.id === number[1] })) : []);
    pick(...number);
    showGradient();
  }
  function labelsOf(columns) {
    if (columns === "text") return seen.labels;
    if (columns !== "vocabulary") return null;
    return Array.from({ length: model.config.n_vocab }, (_, id) => { try { return model.tokenizer.label(id); } catch { return "·"; } });
  }
  function axesOf(row, column) {
    return shown.rows[row].axes.length ? [...shown.rows[row].axes, column] : [place];
  }
  function pick(row, column) {
    row = Math.min(row, shown.rows.length - 1);
    const value = shown.rows[row]?.values[column];
    hand.hidden = value === undefined;
    if (value === undefined) return;
    number = [row, column];
    grid.select(row, column);
    const stop = way[now], at = axesOf(row, column);
    formula.textContent = "";
    try {
      const made = byHand(seen, stop.step, at);
      formula.textContent = made.title;
      handTitle.textContent = "this number: " + numberWords(value);
      lines.textContent = made.lines.join("\n");
    } catch (error) {
      handTitle.textContent = numberWords(value);
      lines.textContent = error.message;
    }
    if (isOn.checked && back) pickGradient();
  }
  function showGradient() {
    gradientBox.hidden = !isOn.checked;
    if (!isOn.checked || !seen) return;
    if (seen.ids.length < 2) return gradientGrid.show({ rows: [] }), void (gradientWords.textContent = "A gradient needs a prediction that was right or wrong: type a second " + model.unit + ".");
    back ??= backward(model, seen.ids);
    const stop = way[now];
    let data = null;
    try { data = back.grad(stop.step); } catch { /* a step behind the loss, or one that is no number of the model */ }
    if (!data) {
      gradientGrid.show({ rows: [] });
      return void (gradientWords.textContent = "This step has no gradient.");
    }
    const { rows, columns } = numbersOfPlace({ ...seen.step(stop.step), data }, place, seen.ids.length, model.config.n_heads);
    gradientGrid.show({ rows: columns === "vocabulary" && rows[0].values.length > 600 ? [] : rows, labels: labelsOf(columns), tint: changeTint });
    pickGradient(rows);
  }
  let gradients = [];
  function pickGradient(rows = gradients) {
    gradients = rows;
    const value = rows[number[0]]?.values[number[1]];
    gradientWords.textContent = "";
    if (value === undefined) return;
    gradientGrid.select(...number);
    gradientWords.textContent = value === 0
      ? "0: the loss does not depend on this number" + (place === seen.ids.length - 1 ? "; nothing came after it, so that nothing judges it." : ".")
      : numberWords(value) + ": were this number larger by a little, the loss would " + (value > 0 ? "rise" : "fall") + " by " + numberWords(Math.abs(value)) + " times as much.";
  }
  here.addEventListener("keydown", (event) => {
    if (event.key === "PageDown" || event.key === "PageUp") {
      go(now + (event.key === "PageDown" ? 1 : -1));
      event.preventDefault();
    }
  });
  read();
  const wanted = way.findIndex(({ step }) => step === given.text("step", ""));
  if (wanted >= 0) go(wanted);
}
