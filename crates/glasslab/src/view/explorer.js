for (const root of document.querySelectorAll(".glasslab-explorer:not([data-alive])")) {
  // Where a notebook is not trusted, a block stands without its numbers, and stays a picture.
  const numbers = root.querySelector("script[type='application/json']");
  if (!numbers) continue;
  root.setAttribute("data-alive", "");
  root.querySelector(".g-still").remove();
  attentionExplorer(root, JSON.parse(numbers.textContent));
}
