// Difference: two models read and write the same; one character is changed, and it is seen who notices.

import { trace } from "../engine/trace.js";
import { meanLoss, surprises } from "../engine/surprise.js";
import { write } from "../engine/write.js";
import { button, make, notice } from "./dom.js";
import { textBox } from "./controls.js";
import { pieceList } from "./pieces.js";
import { distance } from "./dice.js";
import { changeTint, surpriseTint } from "./colours.js";
import { latest } from "./pace.js";
import { writeBeside } from "./story.js";
import { natsWords, percentWords, quoted, textsOf } from "./words.js";

const BOTH_CHARS = 200;
const BOTH_LONGEST = 64;

export function differencePart(root, page, given) {
  const models = page.models.slice(0, 2);
  let text = given.text("prompt", page.prompt), seed = given.number("seed", 0), seen = [], place = 2, swap = null;

  make("h3", root, {}, "The same beginning, and each goes on");
  const { area } = textBox(root, { name: "The beginning", value: text, rows: 2 }, latest(() => {
    text = area.value;
    swap = null;
    update();
  }));
  const problem = notice(root);
  const figure = make("div", root);
  const columns = make("div", figure, { class: "columns versus" });
  const sides = models.map((model, number) => {
    const box = make("section", columns, { class: number ? "side second" : "side" });
    make("h4", box, {}, model.name);
    const wrote = make("p", box, { class: "wrote" });
    const loss = make("p", box, { class: "big" });
    const list = pieceList(box, { name: "what surprised " + model.name + "; arrows walk", chosen: (at) => tell(number, at) });
    const told = make("p", box, { class: "caption", "aria-live": "polite" });
    return { wrote, loss, list, told };
  });
  button(make("div", figure, { class: "bar-of-buttons" }), "Both write another", () => {
    seed += 1;
    writeBoth();
  });

  make("h3", figure, {}, "Change one " + models[0].unit + ": who notices?");
  make("p", figure, {}, "Choose a " + models[0].unit + " early in the text. It is changed for both; below, each model’s text is coloured where its prediction moves. One that sees only the last " + models[1].unit + " forgets at once.");
  const chooser = pieceList(figure, { name: "The character to change; arrows walk", isProse: false, chosen: (at) => {
    place = at;
    swap = null;
    change();
  } });
  const row = make("p", figure, { class: "bar-of-buttons" });
  const input = make("input", make("label", row, { class: "inline" }, "becomes "), { size: 3, maxlength: 2, class: "letter", autocomplete: "off", autocapitalize: "off" });
  input.addEventListener("input", (event) => {
    if (input.value) change((swap = [...(event.data ?? input.value)].pop()));
  });
  input.addEventListener("focus", () => input.select());
  const becomes = make("span", row, { class: "faint", "aria-live": "polite" });
  const moved = models.map((model, number) => {
    const box = make("section", figure, { class: number ? "side second moved" : "side moved" });
    make("h4", box, {}, model.name);
    const list = pieceList(box, { name: "where the prediction of " + model.name + " moves; arrows walk", chosen: (at) => tellMove(number, at) });
    return { list, told: make("p", box, { class: "caption", "aria-live": "polite" }), shifts: [] };
  });

  function ids(model, words) {
    const all = model.tokenizer.encode(words).ids;
    return all.slice(0, Math.min(BOTH_LONGEST * 2, ...models.map(({ contextLen }) => contextLen)));
  }
  let stopWriting = () => {};
  function writeBoth() {
    stopWriting();
    const writers = models.map((model) => write(model, text, { chars: BOTH_CHARS, temperature: 0.5, seed }));
    stopWriting = writeBeside(writers, sides.map(({ wrote }) => wrote));
    sides.forEach(({ wrote }) => make("b", wrote, {}, text));
  }
  function update() {
    const all = models.map((model) => ids(model, text));
    const isShort = all.some(({ length }) => length < 3);
    problem(isShort ? "Type at least three characters that both models know." : "");
    figure.hidden = isShort;
    if (isShort) return;
    seen = models.map((model, number) => trace(model, all[number]));
    seen.forEach((one, number) => {
      const nats = surprises(one), side = sides[number];
      side.loss.textContent = natsWords(meanLoss(one));
      make("small", side.loss, {}, " nats a " + models[number].unit + " of surprise");
      side.list.show(one.labels.map((label, at) => ({ label, tint: surpriseTint(nats[at]), words: nats[at] === null ? "the first" : natsWords(nats[at]) + " nats" })), null);
      side.told.textContent = "Orange: it came unexpected.";
    });
    place = Math.min(place, seen[0].labels.length - 2);
    chooser.show(seen[0].labels.map((label) => ({ label })), place);
    change();
    writeBoth();
  }
  function tell(number, at) {
    const nats = surprises(seen[number])[at];
    sides[number].told.textContent = quoted(seen[number].labels[at]) + ": " + (nats === null ? "the first, which nothing foretells" : natsWords(nats) + " nats: it gave it " + percentWords(Math.exp(-nats)));
  }
  // The text with another character in the place that was chosen, for both. A piece of several characters is changed whole.
  function change() {
    const { tokenizer } = models[0], parts = textsOf(tokenizer, seen[0].ids);
    const old = parts[place], next = (swap ??= old === "x" ? "o" : "x");
    parts[place] = next;
    const words = parts.join("");
    input.value = next;
    if (next === old) return moved.forEach((part) => {
      part.list.show([], null);
      part.told.textContent = "That is the text as it was: type another character.";
    });
    input.setAttribute("aria-label", quoted(old) + " at " + place + " becomes");
    becomes.textContent = quoted(seen[0].labels[place]) + " at " + place + " → " + quoted(next);
    moved.forEach((part, number) => {
      const model = models[number], other = ids(model, words), one = seen[number];
      if (other.length !== one.ids.length) {
        part.list.show([], null);
        part.told.textContent = "With it the text is cut into other pieces, or the model does not know it: try another character.";
        return;
      }
      const altered = trace(model, other);
      part.shifts = one.ids.map((_, at) => distance(one.probabilitiesAt(at), altered.probabilitiesAt(at)));
      const at = one.ids.findIndex((id, at) => id !== other[at]); // the models may cut the text each in its own way
      part.list.show(altered.labels.map((label, now) => ({
        label, tint: now === at ? "rgba(0,158,115,0.45)" : changeTint(part.shifts[now], 0.6),
        words: now === at ? "changed" : percentWords(part.shifts[now]) + " moved",
      })), null);
      const behind = part.shifts.slice(at + 1), touched = behind.filter((shift) => shift > 0.01).length;
      part.told.textContent = touched === 0
        ? "Behind it nothing moves: not one of " + behind.length + " predictions. It knows only the " + model.unit + " that it stands on."
        : "Behind it " + touched + " of " + behind.length + " predictions move, by " + percentWords(Math.max(...behind)) + " at most: it still knows.";
    });
  }
  function tellMove(number, at) {
    const part = moved[number];
    part.told.textContent = "The prediction behind " + quoted(seen[number].labels[at]) + " at " + at + " moves by " + percentWords(part.shifts[at]) + ".";
  }
  update();
}
