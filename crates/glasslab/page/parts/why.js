// Why a character was written: where the model looked, and what else was likely.

import { trace, likely } from "../engine/trace.js";
import { button, make } from "./dom.js";
import { bars } from "./bars.js";
import { diceOf, lastLook } from "./dice.js";
import { lookTint } from "./colours.js";
import { percentWords, proseOf, quoted } from "./words.js";

const SHOWN = 6;

// `instead(id)` is told when a person wants another one in its place.
export function whyPanel(parent, instead) {
  const panel = make("section", parent, { class: "why", "aria-label": "Why this one?" });
  panel.hidden = true;
  let asked = null;
  const head = make("div", panel, { class: "why-head" });
  const title = make("h3", head, {});
  button(head, "Close", close, { class: "quiet" });
  const columns = make("div", panel, { class: "columns" });
  const looked = make("div", columns), else_ = make("div", columns);
  make("h4", looked, {}, "Where it looked");
  const only = make("select", make("label", looked, { class: "inline" }, "Heads: "));
  only.addEventListener("change", paintLook);
  const look = make("p", looked, { class: "shaded" });
  const most = make("p", looked, { class: "caption", "aria-live": "polite" });
  make("h4", else_, {}, "What else was likely");
  const paintBars = bars(else_, { name: "what else was likely", pick: ({ id }) => instead(id), verb: "write instead:" });
  const drawn = make("p", else_, { class: "caption" });

  function close() {
    panel.hidden = true;
    asked = null;
  }
  function show(model, story, place) {
    const piece = story.pieces[place];
    if (!piece) return close();
    const isOther = asked?.model !== model;
    asked = { model, piece, before: piece.before };
    panel.hidden = false;
    title.textContent = "Why " + quoted(model.tokenizer.label(piece.id)) + "?";
    if (isOther) heads(model);
    paintLook();
    paintElse(story.settings);
  }
  function heads(model) {
    only.replaceChildren();
    const { n_layers: layers = 0, n_heads: count = 0 } = model.config;
    make("option", only, { value: "" }, "all, their mean");
    for (let layer = 0; layer < layers; layer++)
      for (let head = 0; head < count; head++) make("option", only, { value: layer + " " + head }, "layer " + layer + ", head " + head);
    only.parentElement.hidden = layers === 0;
  }
  // Under the text that it read, blue where it looked.
  function paintLook() {
    const { model, before } = asked;
    const labels = before.map((id) => model.tokenizer.label(id));
    let weights = labels.map((_, place) => (place === labels.length - 1 ? 1 : 0));
    if (model.kind === "transformer") {
      const [layer, head] = only.value.split(" ").map(Number);
      const { attention } = trace(model, before);
      weights = [...lastLook(attention, model.config.n_heads, labels.length, only.value ? { layer, head } : null)];
    }
    const largest = Math.max(...weights, 1e-9);
    look.replaceChildren();
    if (asked.piece.first > 0) make("span", look, { class: "faint" }, "… ");
    labels.forEach((label, place) => {
      make("bdi", look, { style: "background:" + lookTint(weights[place], largest), title: percentWords(weights[place]) }, proseOf(label));
    });
    const order = weights.map((weight, place) => [weight, place]).sort((one, other) => other[0] - one[0]).slice(0, 3);
    most.textContent = model.kind === "transformer"
      ? "Most at " + order.map(([weight, place]) => quoted(labels[place]) + " (" + percentWords(weight) + ", " + (labels.length - place) + " back)").join(", ") + "."
      : "An MLP sees one " + model.unit + ": the last. Whatever stood before it is unknown to it.";
  }
  function paintElse(settings) {
    const { model, piece } = asked;
    const dice = diceOf(piece.probabilities, settings);
    const rows = likely(piece.probabilities, SHOWN, model.tokenizer);
    if (!rows.some(({ id }) => id === piece.id)) rows.push({ id: piece.id, p: piece.probabilities[piece.id] });
    paintBars(rows.map(({ id, p }) => ({ id, p, other: dice[id], label: model.tokenizer.label(id), isChosen: id === piece.id })));
    drawn.textContent = (piece.isForced ? "You chose it. " : "")
      + (settings.temperature === 0 ? "At temperature 0 the likeliest is taken." : "Thick: what the model held likely. Thin: what it was drawn from, after temperature and top-k, top-p.")
      + " Press one to have it written instead.";
  }
  return { show, close };
}
