// Sphinx's search fetches each page that it has found, to show some words of it. From file:// nothing can be fetched; the words of
// all pages are in texts.js, which answers in the pages' place.
window.fetch = (address) => {
  const name = decodeURI(new URL(address, location.href).href).slice(new URL(document.documentElement.dataset.content_root || "./", location.href).href.length);
  const text = pageTexts[name.replace(/\.html$/, "")] ?? "";
  return Promise.resolve({ text: () => Promise.resolve('<div role="main">' + text + "</div>") });
};
