// The pieces of a text in a row, of which one is chosen: by a click, or by arrow keys.

import { make, newId } from "./dom.js";
import { proseOf } from "./words.js";

// `chosen(place)` is told when a person chooses. show(items, place): items are { label, tint, words }, `words` being what a
// pointer and a screen reader are told.
export function pieceList(parent, { name, isProse = true, chosen }) {
  const list = make(isProse ? "span" : "div", parent, { class: isProse ? "pieces prose" : "pieces tokens", role: "listbox", tabindex: 0, "aria-label": name, "aria-orientation": "horizontal" });
  const prefix = newId("piece");
  let parts = [], now = null;
  list.hidden = true;

  function select(place, byHand = false) {
    if (now !== null && parts[now]) parts[now].setAttribute("aria-selected", "false");
    now = place === null || place >= parts.length ? null : place;
    if (now === null) return list.removeAttribute("aria-activedescendant");
    parts[now].setAttribute("aria-selected", "true");
    list.setAttribute("aria-activedescendant", parts[now].id);
    if (byHand) {
      parts[now].scrollIntoView({ block: "nearest", inline: "nearest" });
      chosen(now);
    }
  }
  function dress(part, { label, tint = "", words = "", isOff = false }) {
    const text = isProse ? proseOf(label) : label;
    if (part.textContent !== text) part.textContent = text;
    part.style.backgroundColor = tint;
    part.title = words;
    part.classList.toggle("off", isOff);
    part.setAttribute("aria-label", words ? label + ": " + words : label);
  }
  function add(item) {
    const part = make("bdi", list, { role: "option", id: prefix + "-" + parts.length, "data-place": parts.length, "aria-selected": "false" });
    dress(part, item);
    parts.push(part);
    list.hidden = false;
  }
  list.addEventListener("click", (event) => {
    const part = event.target.closest("[data-place]");
    if (part) select(Number(part.dataset.place), true);
  });
  list.addEventListener("keydown", (event) => {
    const last = parts.length - 1, from = now ?? last;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, ArrowUp: from - 10, ArrowDown: from + 10, Home: 0, End: last, Enter: from, " ": from }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    select(Math.max(0, Math.min(last, to)), true);
    event.preventDefault();
  });
  return {
    list, select, add,
    get place() { return now; },
    // Takes the pieces behind a place away.
    cut(count) {
      while (parts.length > count) parts.pop().remove();
      if (now !== null && now >= count) select(null);
      list.hidden = parts.length === 0;
    },
    show(items, place = now) {
      while (parts.length > items.length) parts.pop().remove();
      items.forEach((item, at) => (parts[at] ? dress(parts[at], item) : add(item)));
      list.hidden = parts.length === 0;
      select(place);
    },
  };
}
