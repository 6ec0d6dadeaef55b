// What the book does by itself: words that explain themselves, frames of the live page, the explorers' ink.

// ---- words of the glossary: pointed at, reached by the keyboard, or tapped ------------------------------------------
(() => {
  let open = null;
  function place(word) {
    const told = word.querySelector(".word-told"), link = word.querySelector("a").getClientRects()[0];
    told.style.left = told.style.top = "0";
    const home = told.getBoundingClientRect();
    const left = Math.max(8, Math.min(link.left, document.documentElement.clientWidth - home.width - 8));
    // Below the word, or above it where there is no room.
    const below = link.bottom + home.height + 8 < innerHeight || link.top < home.height;
    told.style.left = left - home.left + "px";
    told.style.top = (below ? link.bottom + 1 : link.top - home.height - 1) - home.top + "px";
  }
  function show(word) {
    if (open && open !== word) hide();
    open = word;
    word.classList.add("open");
    place(word);
  }
  function hide() {
    open?.classList.remove("open");
    open = null;
  }
  const wordOf = (event) => event.target.closest?.(".word") ?? null;
  document.documentElement.classList.add("words-alive");
  document.addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch") return;
    const word = wordOf(event);
    if (word) show(word);
    else if (open && !open.contains(document.activeElement)) hide();
  });
  document.addEventListener("focusin", (event) => { const word = wordOf(event); if (word) show(word); else hide(); });
  document.addEventListener("focusout", (event) => { if (wordOf(event)) hide(); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  // The first tap explains, the second goes to the glossary.
  let tapped = null;
  document.addEventListener("pointerdown", (event) => {
    tapped = event.pointerType === "touch" ? { word: wordOf(event), wasOpen: open } : null;
    if (tapped && !tapped.word) hide();
  });
  document.addEventListener("click", (event) => {
    const word = wordOf(event);
    if (tapped && word && tapped.wasOpen !== word && event.target.closest("a")) {
      event.preventDefault();
      show(word);
    }
  });
  addEventListener("resize", hide);
})();

// ---- frames of the live page are as high as what stands in them -----------------------------------------------------
addEventListener("message", ({ data, source }) => {
  if (!data || data.glasslab !== "height" || !Number.isFinite(data.height)) return;
  for (const frame of document.querySelectorAll("iframe.live")) {
    if (frame.contentWindow === source) frame.style.height = Math.min(Math.max(data.height, 80), 20000) + "px";
  }
});

// ---- light and dark ---------------------------------------------------------------------------------------------------
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  function follow() {
    const chosen = document.body.dataset.theme;
    const scheme = chosen === "dark" || (chosen !== "light" && dark.matches) ? "dark" : "light";
    // Frames and images of the page take their colours from this.
    document.documentElement.style.colorScheme = scheme;
    // An explorer draws its lines in the page's ink; choosing the view that it shows makes it draw them anew.
    requestAnimationFrame(() => {
      for (const view of document.querySelectorAll(".glasslab-explorer button[data-view][aria-pressed=true]")) view.click();
    });
  }
  new MutationObserver(follow).observe(document.body, { attributes: true, attributeFilter: ["data-theme"] });
  dark.addEventListener("change", follow);
  follow();
})();

// ---- what is wider than its place can be scrolled by the keyboard -------------------------------------------------------
function reachable() {
  for (const box of document.querySelectorAll("article pre, article .table-wrapper, article .output, article .g-view, article [style*=overflow]")) {
    const scrolls = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
    if (scrolls && !box.hasAttribute("tabindex")) box.tabIndex = 0;
  }
  // An explorer's headings stand below the page's, whatever their own level.
  for (const heading of document.querySelectorAll(".glasslab-explorer h4")) heading.setAttribute("aria-level", "3");
}
addEventListener("load", reachable);
addEventListener("resize", reachable);
document.addEventListener("toggle", reachable, true);
