// Light or dark: as the reader's machine says, until the reader chooses. In a frame, the machine is the page around it.

import { button } from "./dom.js";

// `changed()` is told when the colours are others.
export function themeButton(parent, changed) {
  const isDark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const part = parent && button(parent, "", () => choose(isDark() ? "light" : "dark"), { class: "quiet theme" });
  const show = () => { if (part) part.textContent = isDark() ? "Light" : "Dark"; };
  function choose(theme) {
    if (theme !== "light" && theme !== "dark") return;
    document.documentElement.dataset.theme = theme;
    show();
    changed();
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    show();
    changed();
  });
  show();
  return choose;
}
