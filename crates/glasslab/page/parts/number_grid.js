// Rows of numbers as coloured cells, of which one is chosen: by a click, or by arrow keys.

import { make, newId } from "./dom.js";
import { lookTint, signTint } from "./colours.js";
import { numberWords } from "./words.js";

// show({ rows: [{ name, values }], labels, chosen: [row, column], isShare, tint }); `chosen(row, column)` is told.
export function numberGrid(parent, name, chosen) {
  const grid = make("div", parent, { class: "grid", role: "listbox", tabindex: 0, "aria-label": name });
  const prefix = newId("number");
  let rows = [], at = [0, 0], cells = [];
  function select(row, column) {
    cells[at[0]]?.[at[1]]?.setAttribute("aria-selected", "false");
    at = [row, column];
    const cell = cells[row]?.[column];
    if (!cell) return;
    cell.setAttribute("aria-selected", "true");
    grid.setAttribute("aria-activedescendant", cell.id);
    if (grid.contains(document.activeElement)) cell.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  grid.addEventListener("click", (event) => {
    const cell = event.target.closest("[data-at]");
    if (cell) chosen(...cell.dataset.at.split(" ").map(Number));
  });
  grid.addEventListener("keydown", (event) => {
    const [row, column] = at, width = rows[row]?.values.length ?? 0;
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -column], End: [0, width - 1 - column] }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = [row + step[0], column + step[1]];
    event.preventDefault();
    if (rows[to[0]]?.values[to[1]] !== undefined) chosen(...to);
  });
  return {
    select,
    show({ rows: given, labels = null, isShare = false, tint = signTint }) {
      rows = given;
      grid.replaceChildren();
      grid.classList.toggle("lettered", labels !== null);
      const finite = rows.flatMap(({ values }) => values).filter(Number.isFinite);
      const largest = Math.max(1e-12, ...finite.map(Math.abs));
      cells = rows.map(({ name, values }, row) => {
        const line = make("div", grid, { class: "grid-row", role: "group", "aria-label": name || "numbers" });
        if (name) make("span", line, { class: "grid-name", "aria-hidden": "true" }, name);
        const box = make("div", line, { class: "grid-cells", role: "presentation" });
        return values.map((value, column) => {
          const words = (labels ? "“" + labels[column] + "” " : column + ": ") + numberWords(value);
          const background = isShare ? lookTint(value, largest) : tint(value, largest);
          return make("bdi", box, {
            role: "option", id: prefix + "-" + row + "-" + column, "data-at": row + " " + column, "aria-selected": "false",
            "aria-label": words, title: words, style: "background:" + background,
          }, labels ? labels[column] : "");
        });
      });
    },
  };
}
