// A drawing of the model that is its own control: press a part to take it out.

import { button, make } from "./dom.js";

// The same cut has the same key: "head.1.2", "mask".
export function cutKey({ kind, layer, head }) {
  return [kind, layer, head].filter((part) => part !== undefined).join(".");
}

// `changed(cuts)` is told of all that is taken out.
export function machine(parent, model, all, changed) {
  const drawing = make("div", parent, { class: "machine", role: "group", "aria-label": "The model, from a text to what comes next. Press a part to take it out." });
  const chosen = new Map(), parts = new Map(), byKey = new Map(all.map((cut) => [cutKey(cut), cut]));
  function part(box, key, words, told, kind) {
    const cut = byKey.get(key);
    if (!cut) return;
    const pressed = button(box, "", () => set(key, !chosen.has(key)), { class: "part " + kind, "aria-pressed": "false", "aria-label": told, title: told });
    make("span", pressed, { "aria-hidden": "true" }, words);
    parts.set(key, pressed);
  }
  function set(key, isCut) {
    const cut = byKey.get(key);
    if (!cut) return;
    if (isCut) chosen.set(key, cut);
    else chosen.delete(key);
    parts.get(key)?.setAttribute("aria-pressed", String(isCut));
    // A block without its parts is drawn as what it is.
    blocks.forEach((box, layer) => box.classList.toggle("gone", chosen.has("block." + layer)));
    changed([...chosen.values()]);
  }

  const start = make("div", drawing, { class: "stage" });
  make("b", start, {}, "text");
  make("span", start, { class: "fixed" }, "embedding");
  part(start, "positions", "positions", "the positions: where each character stands", "wide");
  part(start, "mask", "mask", "the mask: nobody sees what comes later", "wide");
  const blocks = [];
  for (let layer = 0; layer < (model.config.n_layers ?? 0); layer++) {
    const box = make("div", drawing, { class: "stage block", role: "group", "aria-label": "block " + layer });
    part(box, "block." + layer, "block " + layer, "the whole block " + layer, "title");
    const heads = make("div", box, { class: "part-heads" });
    make("span", heads, { class: "fixed-words" }, "heads");
    for (let head = 0; head < model.config.n_heads; head++)
      part(heads, "head." + layer + "." + head, String(head), "head " + head + " of layer " + layer, "head");
    make("span", box, { class: "fixed" }, "MLP");
    part(box, "residual." + layer, "residual", "the residual stream around block " + layer, "wide");
    blocks.push(box);
  }
  const end = make("div", drawing, { class: "stage" });
  make("span", end, { class: "fixed" }, "logits");
  make("b", end, {}, "what next");
  return {
    set,
    clear() {
      for (const key of [...chosen.keys()]) {
        chosen.delete(key);
        parts.get(key)?.setAttribute("aria-pressed", "false");
      }
      blocks.forEach((box) => box.classList.remove("gone"));
      changed([]);
    },
  };
}
