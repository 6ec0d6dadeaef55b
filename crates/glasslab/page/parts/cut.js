// Cut: a part of the model is taken out, and text, loss and attention stand beside those of the whole one.

import { trace } from "../engine/trace.js";
import { meanLoss, surprises } from "../engine/surprise.js";
import { cutsOf, cutName } from "../engine/cuts.js";
import { write } from "../engine/write.js";
import { button, make, notice, spoken } from "./dom.js";
import { field } from "./controls.js";
import { pieceList } from "./pieces.js";
import { headPictures } from "./heads.js";
import { cutKey, machine } from "./machine.js";
import { changeTint } from "./colours.js";
import { latest } from "./pace.js";
import { writeBeside } from "./story.js";
import { natsWords } from "./words.js";

const CUT_CHARS = 200;

export function cutPart(root, page, given) {
  const model = page.models.find(({ kind }) => kind === "transformer");
  const all = cutsOf(model), wanted = given.text("cuts", "").split(",").filter(Boolean);
  let cuts = [], text = given.text("prompt", page.prompt);
  const drawing = machine(root, model, all, (now) => {
    cuts = now;
    update();
  });
  const tries = make("div", root, { class: "bar-of-buttons" });
  make("span", tries, { class: "faint" }, "Try:");
  // What a person would not find by pressing here and there.
  const ideas = [
    ["first block’s heads", all.filter(({ kind, layer }) => kind === "head" && layer === 0)],
    ["every head", all.filter(({ kind }) => kind === "head")],
    ["the positions", all.filter(({ kind }) => kind === "positions")],
    ["the last block", all.filter(({ kind, layer }) => kind === "block" && layer === model.config.n_layers - 1)],
  ].filter(([, parts]) => parts.length);
  for (const [name, parts] of ideas) button(tries, name, () => {
    drawing.clear();
    for (const part of parts) drawing.set(cutKey(part), true);
  });
  button(tries, "Make it whole", () => drawing.clear(), { class: "quiet" });
  const now = make("p", root, { class: "figure-line cut-line", "aria-live": "polite" });
  const problem = notice(root);
  const say = spoken(root);

  const columns = make("div", root, { class: "columns versus" });
  const sides = ["the whole model", "with the cut"].map((name, place) => {
    const box = make("section", columns, { class: place ? "side is-cut" : "side" });
    make("h3", box, {}, name);
    const loss = make("p", box, { class: "big" });
    const gauge = make("div", box, { class: "gauge", "aria-hidden": "true" }), filled = make("i", gauge);
    make("h4", box, {}, "writes");
    const wrote = make("p", box, { class: "wrote" });
    make("h4", box, {}, "looks");
    const paint = headPictures(box, model.config);
    return { loss, filled, wrote, paint };
  });
  make("h3", root, {}, "Which " + model.unit + "s it costs");
  const costs = pieceList(root, { name: "The text, orange where the cut costs most", chosen: (place) => tell(place) });
  const cost = make("p", root, { class: "caption", "aria-live": "polite" });
  field(root, { name: "The text that is read", value: text, maxlength: 400, spellcheck: "false", autocomplete: "off" }, (value) => {
    text = value;
    whole = null;
    update();
  });

  let whole = null, stopWriting = () => {}, changes = [], labels = [];
  const update = latest(() => {
    stopWriting();
    const ids = model.tokenizer.encode(text).ids.slice(-Math.min(model.contextLen, 128));
    if (ids.length < 2) return problem("Give it a text of at least two " + model.unit + "s that the model knows.");
    let altered;
    try {
      whole ??= trace(model, ids);
      altered = cuts.length ? trace(model, ids, { cuts }) : whole;
      problem("");
    } catch (error) {
      return problem(error.message);
    }
    const losses = [whole, altered].map(meanLoss), guessing = Math.log(model.config.n_vocab);
    [whole, altered].forEach((seen, place) => {
      sides[place].loss.textContent = natsWords(losses[place]);
      make("small", sides[place].loss, {}, " nats a " + model.unit);
      sides[place].filled.style.width = Math.min(100, (100 * losses[place]) / guessing).toFixed(1) + "%";
      sides[place].paint(seen);
    });
    const words = cuts.length ? (cuts.length > 3 ? cuts.length + " parts cut" : cutName(cuts)) : "nothing is cut: press a part of the drawing";
    now.textContent = words[0].toUpperCase() + words.slice(1) + (cuts.length ? ": the loss goes from " + natsWords(losses[0]) + " to " + natsWords(losses[1]) + "." : ".");
    const [before, after] = [surprises(whole), surprises(altered)];
    labels = whole.labels;
    changes = before.map((nats, place) => (nats === null ? 0 : after[place] - nats));
    costs.show(labels.map((label, place) => ({ label, tint: cuts.length ? changeTint(changes[place], 3) : "", words: costWords(place) })), null);
    cost.textContent = cuts.length ? "Orange: it costs; blue: it helps. Choose one for its number." : "Once something is cut, the colours tell where it is missed.";
    writeBoth();
  });
  function costWords(place) {
    return place === 0 ? "the first" : (changes[place] < 0 ? "−" : "+") + natsWords(Math.abs(changes[place])) + " nats";
  }
  function tell(place) {
    cost.textContent = "“" + labels[place] + "” at " + place + ": " + costWords(place);
  }
  // From one seed, and side by side.
  function writeBoth() {
    const settings = { chars: CUT_CHARS, temperature: 0.5, seed: given.number("seed", 0) };
    const writers = [write(model, text, settings), write(model, text, { ...settings, cuts })];
    stopWriting = writeBeside(writers, sides.map(({ wrote }) => wrote), () => {
      if (cuts.length) say("With the cut it writes: " + sides[1].wrote.textContent);
    });
  }
  for (const key of wanted) drawing.set(key, true);
  update();
}
