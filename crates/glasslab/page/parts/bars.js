// Probabilities as bars, the likeliest first.

import { make } from "./dom.js";
import { percentWords } from "./words.js";

// Rows are { label, p, other, isChosen }: `other`, where it is given, is a second, thinner bar. With `pick(row)` each label is
// a button.
export function bars(parent, { name, pick = null, verb = "" }) {
  const list = make("ol", parent, { class: "bars", "aria-label": name });
  return (rows) => {
    const hadFocus = list.contains(document.activeElement) ? [...list.querySelectorAll("button")].indexOf(document.activeElement) : -1;
    list.replaceChildren();
    list.hidden = rows.length === 0;
    for (const row of rows) {
      const item = make("li", list, row.isChosen ? { class: "chosen" } : {});
      if (pick) {
        const part = make("button", item, { type: "button", "aria-label": verb + " “" + row.label + "”" }, row.label);
        part.addEventListener("click", () => pick(row));
      } else make("b", item, {}, row.label);
      const bar = make("span", item, { class: "bar" });
      make("i", bar, { style: "width:" + (100 * row.p || 0).toFixed(1) + "%" });
      if (row.other !== undefined) make("i", bar, { class: "thin", style: "width:" + (100 * row.other || 0).toFixed(1) + "%" });
      const both = row.other === undefined ? percentWords(row.p) : percentWords(row.p) + " → " + percentWords(row.other);
      make("span", item, { class: "share" }, both);
    }
    if (hadFocus >= 0) list.querySelectorAll("button")[hadFocus]?.focus();
  };
}
