// The flipbook: starts every block on the page that has not been started. No globals, nothing fetched.
(() => {
  for (const root of document.querySelectorAll(".glasslab-flipbook:not([data-alive])")) {
    // Where a notebook is not trusted, a block stands without its pictures, and stays the last one.
    const pictures = root.querySelector("script[type='application/json']");
    if (!pictures) continue;
    root.setAttribute("data-alive", "");
    start(root, JSON.parse(pictures.textContent));
  }

  function start(root, frames) {
    // A notebook's shortcuts must not take the keys that are meant for this block.
    root.setAttribute("data-lm-suppress-shortcuts", "true");
    root.querySelector(".g-still").remove();
    function make(tag, parent, attributes = {}, text = "") {
      const part = document.createElement(tag);
      for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
      part.textContent = text;
      parent.append(part);
      return part;
    }
    const last = frames.length - 1;
    const bar = make("div", root, { class: "g-bar" });
    const play = make("button", bar, { type: "button" }, "Play");
    const slider = make("input", make("label", bar, {}, "Training "), { type: "range", min: 0, max: last, step: 1 });
    const words = make("b", bar, { "aria-live": "polite" });
    const picture = make("div", root);
    let timer = 0;
    function show(place) {
      const [caption, html] = frames[place];
      slider.value = place;
      slider.setAttribute("aria-valuetext", caption);
      words.textContent = caption;
      // The pictures are the library's own, their texts escaped; no script in them would run.
      picture.innerHTML = html;
    }
    function stop() {
      clearInterval(timer);
      timer = 0;
      play.textContent = "Play";
    }
    slider.addEventListener("input", () => show(Number(slider.value)));
    play.addEventListener("click", () => {
      if (timer) return stop();
      if (Number(slider.value) === last) show(0);
      play.textContent = "Stop";
      timer = setInterval(() => {
        if (!root.isConnected) return stop();
        const next = Number(slider.value) + 1;
        if (next <= last) show(next);
        if (next >= last) stop();
      }, 300);
    });
    show(last);
  }
})();
