// The lens as a table: a row for each part of each block, a column for each place, in each cell what the model would say there.

import { lens } from "../engine/lens.js";
import { make } from "./dom.js";
import { lookTint } from "./colours.js";
import { percentWords, quoted } from "./words.js";

// "block.1.after_mlp" is "block 1".
export function stageWords(step) {
  const [, block, part] = /^block\.(\d+)\.(.+)$/.exec(step) ?? [];
  if (block === undefined) return "before block 0";
  return (part === "after_attn" ? "heads of block " : "block ") + block;
}

// As many children as numbers are asked for; those that are there stay, as this is done at every key.
function fitted(parent, count, add) {
  while (parent.children.length > count) parent.lastChild.remove();
  while (parent.children.length < count) add(parent.children.length);
  return [...parent.children];
}

export function lensTable(parent, chosen) {
  const frame = make("div", parent, { class: "lens", tabindex: 0, role: "group", "aria-label": "the lens, to scroll" });
  const table = make("table", frame);
  make("caption", table, { class: "unseen" }, "What the model would say next after each part of each block, at each place of the text");
  const head = make("tr", make("thead", table)), body = make("tbody", table);
  let rows = [], now = null, said = [];
  table.addEventListener("click", (event) => {
    const cell = event.target.closest("[data-place]");
    if (cell) chosen(Number(cell.dataset.place));
  });
  table.addEventListener("pointerover", (event) => {
    const cell = event.target.closest("td"), word = said[rows.indexOf(cell?.parentElement) - 1]?.[cell.dataset.place];
    if (word) cell.title = quoted(word.label) + " " + percentWords(word.p);
  });
  function select(place) {
    for (const row of rows) {
      row.children[now + 1]?.classList.remove("now");
      row.children[place + 1]?.classList.add("now");
    }
    now = place;
    requestAnimationFrame(show);
  }
  function show() {
    const cell = head.children[now + 1];
    if (!cell) return;
    const left = cell.offsetLeft, room = frame.clientWidth;
    if (left < frame.scrollLeft + 130 || left > frame.scrollLeft + room - 30) frame.scrollLeft = left - room / 2;
  }
  function fill(row, words, tag, name) {
    const scope = tag === "th" ? { scope: "col" } : {};
    const cells = fitted(row, words.length + 1, (at) => make(at ? tag : "th", row, at ? { ...scope, "data-place": at - 1 } : { scope: tag === "th" ? "col" : "row" }));
    if (cells[0].textContent !== name) cells[0].textContent = name;
    words.forEach(({ label, p }, place) => {
      const cell = cells[place + 1];
      if (cell.textContent !== label) cell.textContent = label;
      if (p !== undefined) cell.style.backgroundColor = lookTint(p, 1);
    });
  }
  return {
    select,
    read(trace) {
      const all = lens(trace);
      said = all.map(({ predictions }) => predictions);
      fill(head, trace.labels.map((label) => ({ label })), "th", "after");
      rows = [head, ...fitted(body, all.length, () => make("tr", body))];
      all.forEach(({ step, predictions }, at) => fill(rows[at + 1], predictions, "td", stageWords(step)));
    },
  };
}
