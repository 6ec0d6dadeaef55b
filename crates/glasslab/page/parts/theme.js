// Light or dark: as the reader's machine says, until the reader chooses; in a frame, as the page around it says.

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
  window.addEventListener("message", ({ data }) => { if (data?.glasslab === "theme") choose(data.theme); });
  show();
  return choose;
}
