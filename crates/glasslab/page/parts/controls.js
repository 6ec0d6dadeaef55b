// Sliders, fields and choices, each with its name.

import { make, newId } from "./dom.js";

// A slider with its value in words; `changed(value)` at every move.
export function slider(parent, { name, min, max, step, value, words = String, hint = "" }, changed) {
  const box = make("div", parent, { class: "control" }), id = newId("slider");
  const label = make("label", box, { for: id }, name + " ");
  const said = make("output", label, { for: id }), range = make("input", box, { type: "range", id, min, max, step });
  const show = () => {
    said.textContent = words(Number(range.value));
    range.setAttribute("aria-valuetext", said.textContent);
  };
  range.value = value;
  if (hint) make("small", box, {}, hint);
  range.addEventListener("input", () => {
    show();
    changed(Number(range.value));
  });
  show();
  return range;
}

// A field for a whole number or a text; empty means none.
export function field(parent, { name, type = "text", value = "", hint = "", ...more }, changed) {
  const box = make("div", parent, { class: "control" }), id = newId("field");
  make("label", box, { for: id }, name);
  const input = make("input", box, { id, type, ...more });
  input.value = value ?? "";
  if (hint) {
    const told = make("small", box, { id: id + "-hint" }, hint);
    input.setAttribute("aria-describedby", told.id);
  }
  input.addEventListener("input", () => changed(input.value));
  return input;
}

// One of a few: buttons in a row of which one is pressed; native radios, so that arrows walk.
export function choice(parent, name, options, chosen, changed) {
  const box = make("fieldset", parent, { class: "choice" }), group = newId("choice");
  make("legend", box, {}, name);
  options.forEach((option, place) => {
    const id = newId("option"), input = make("input", box, { type: "radio", name: group, id, value: place });
    make("label", box, { for: id }, option);
    input.checked = place === chosen;
    input.addEventListener("change", () => changed(place));
  });
  return box;
}

// A text to type in that grows with what stands in it.
export function textBox(parent, { name, value, rows = 2, limit = 4000 }, changed) {
  const box = make("div", parent, { class: "textbox" }), id = newId("text");
  make("label", box, { for: id }, name);
  const paper = make("div", box, { class: "textbox-paper" });
  const behind = make("div", paper, { class: "textbox-behind", "aria-hidden": "true" });
  const area = make("textarea", paper, { id, rows, maxlength: limit, spellcheck: "false", autocapitalize: "off", autocomplete: "off" });
  // What lies behind has the same letters, unseen: so the paper is as high as the text.
  const grow = () => { behind.textContent = area.value; };
  area.value = value;
  grow();
  area.addEventListener("input", () => {
    grow();
    changed(area.value);
  });
  return { area, behind };
}
