// Parts of a page. All text goes in as text, never as HTML: a story or a model's name can do nothing.

// A new element at the end of another.
export function make(tag, parent, attributes = {}, text = "") {
  const part = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
  part.textContent = text;
  parent?.append(part);
  return part;
}

let ids = 0;
// An id that no other element has.
export function newId(word) {
  return "glasslab-" + word + "-" + ids++;
}

export function button(parent, text, pressed, attributes = {}) {
  const part = make("button", parent, { type: "button", ...attributes }, text);
  part.addEventListener("click", pressed);
  return part;
}

// Words that a screen reader says when they change, where the eye has a picture.
export function spoken(parent) {
  const part = make("p", parent, { class: "unseen", role: "status", "aria-live": "polite" });
  return (words) => { if (part.textContent !== words) part.textContent = words; };
}

// A sentence in place of what can't be shown: `tell("")` takes it away.
export function notice(parent) {
  const part = make("p", parent, { class: "notice", role: "status" });
  part.hidden = true;
  return (words) => {
    part.hidden = !words;
    part.textContent = words;
  };
}
