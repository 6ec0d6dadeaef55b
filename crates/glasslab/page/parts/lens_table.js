// The lens as a table: a row for each block, a column for each place, in each cell what the model would say there.

import { lens } from "../engine/lens.js";
import { make } from "./dom.js";
import { lookTint } from "./colours.js";
import { percentWords, quoted } from "./words.js";

// "block.1.after_mlp" is "after block 1".
export function stageWords(step) {
  const block = /^block\.(\d+)\./.exec(step);
  return block ? "after block " + block[1] : step === "logits" || step === "final_norm" ? "in the end" : "before block 0";
}

export function lensTable(parent, chosen) {
  const frame = make("div", parent, { class: "lens", tabindex: 0, role: "group", "aria-label": "the lens, to scroll" });
  const table = make("table", frame);
  make("caption", table, { class: "unseen" }, "What the model would say next behind each block, at each place of the text");
  const head = make("thead", table), body = make("tbody", table);
  let cells = [], now = null;
  table.addEventListener("click", (event) => {
    const cell = event.target.closest("[data-place]");
    if (cell) chosen(Number(cell.dataset.place));
  });
  function select(place) {
    for (const row of cells) {
      row[now]?.classList.remove("now");
      row[place]?.classList.add("now");
    }
    now = place;
    const cell = cells[0]?.[place];
    if (!cell) return;
    const left = cell.offsetLeft, room = frame.clientWidth;
    if (left < frame.scrollLeft + 130 || left > frame.scrollLeft + room - 30) frame.scrollLeft = left - room / 2;
  }
  return {
    select,
    read(trace) {
      head.replaceChildren();
      body.replaceChildren();
      const top = make("tr", head);
      make("th", top, { scope: "col" }, "behind");
      const columns = trace.labels.map((label, place) => make("th", top, { scope: "col", "data-place": place }, label));
      cells = [columns];
      for (const { step, predictions } of lens(trace)) {
        const row = make("tr", body);
        make("th", row, { scope: "row" }, stageWords(step));
        cells.push(predictions.map(({ label, p }, place) =>
          make("td", row, { "data-place": place, style: "background:" + lookTint(p, 1), title: quoted(label) + " " + percentWords(p) }, label)));
      }
      now = null;
    },
  };
}
