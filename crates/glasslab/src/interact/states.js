// Sliders over states that were computed beforehand: starts every block on the page that has not been started. No globals,
// nothing fetched.
(() => {
  for (const root of document.querySelectorAll(".glasslab-states:not([data-alive])")) {
    // Where a notebook is not trusted, a block stands without its states, and stays the first one.
    const states = root.querySelector(":scope > script[type='application/json']");
    if (!states) continue;
    root.setAttribute("data-alive", "");
    start(root, JSON.parse(states.textContent));
  }

  function start(root, { controls, states }) {
    // A notebook's shortcuts must not take the keys that are meant for this block.
    root.setAttribute("data-lm-suppress-shortcuts", "true");
    root.querySelector(".g-still").remove();
    const prefix = "g" + Math.random().toString(36).slice(2);
    function make(tag, parent, attributes = {}, text = "") {
      const part = document.createElement(tag);
      for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
      part.textContent = text;
      parent.append(part);
      return part;
    }
    const bar = make("div", root, { class: "g-bar", role: "group", "aria-label": controls.map(({ name }) => name).join(", ") });
    const told = make("div", root, { class: "g-told", role: "status" });
    const picture = make("div", root, { class: "g-picture" });
    const begun = controls.map(({ start }) => start);
    let at = [...begun];
    const inputs = controls.map(({ name, menu, places }, number) => {
      const id = prefix + number;
      make("label", bar, { for: id }, name);
      const input = menu ? make("select", bar, { id })
        : make("input", bar, { id, type: "range", min: 0, max: places.length - 1, step: 1 });
      if (menu) places.forEach((place, value) => make("option", input, { value }, place));
      input.disabled = places.length < 2;
      const words = make(menu ? "span" : "b", bar, {}, "");
      input.addEventListener(menu ? "change" : "input", () => {
        at[number] = Number(input.value);
        show(number);
      });
      return { input, words, menu };
    });

    function show(moved) {
      inputs.forEach(({ input, words, menu }, number) => {
        const place = controls[number].places[at[number]];
        input.value = at[number];
        if (menu) return;
        words.textContent = place;
        input.setAttribute("aria-valuetext", place);
      });
      told.textContent = "";
      let shown = states[at];
      if (shown === undefined) {
        // The nearest: only what was moved last differs from the start. If a computation was stopped, that may lack too.
        const nearest = begun.map((start, number) => (number === moved ? at[number] : start));
        const there = nearest in states ? nearest : begun;
        shown = states[there];
        const words = controls.map(({ name, places }, number) => name + " " + places[there[number]]).join(", ");
        told.append("This combination was not computed beforehand: each control was moved alone. Shown is " + words + ". ");
        make("button", told, { type: "button" }, "Set the others back").addEventListener("click", () => {
          at = there;
          show(moved);
          inputs[moved].input.focus();
        });
      }
      // What is shown is the library's own, its texts escaped. A script of it runs as in a cell's output.
      picture.innerHTML = shown;
      for (const still of picture.querySelectorAll("script:not([type])")) {
        const alive = document.createElement("script");
        alive.textContent = still.textContent;
        still.replaceWith(alive);
      }
    }
    show(0);
  }
})();
