// The attention explorer: every layer and head over one text, to walk through by mouse and by keyboard.
//
// A notebook's block starts it once, on numbers that stand beside it (view/explorer.rs); the page feeds it at every
// keystroke (`update`), with weights as they come from the engine (`maps`). No globals, nothing fetched.

// `data`: characters, layers, heads, frames, palette, unit, causal, bits, layer and head to begin with. A frame holds its
// weights packed (`weights`) or as they are (`maps`: a layer each, heads × T × T), and what is expected next.
// `hears.place(place)` and `hears.frame(number)` are told what a person chooses.
export function attentionExplorer(root, data, hears = {}) {
  const { layers, heads, palette, unit } = data;
  // With hundreds of heads, the overview stands beside all else, small, and is one stop of the Tab key.
  const isMany = layers * heads > 48;
  // A notebook's shortcuts must not take the keys that are meant for this block.
  root.setAttribute("data-lm-suppress-shortcuts", "true");
  const state = { frame: data.frames.length - 1, layer: data.layer, head: data.head, view: "lines", hover: null, pin: null };
  if (isMany && data.characters.length > 48) state.view = "matrix";

  // ---- numbers -------------------------------------------------------------------------------------------
  // Weights of a few heads are 12 bits each, two in three bytes: 0 to 4000 is 0 to 1, 4095 is no number. Of many heads
  // they are 8 bits each, and those are of the root, so that small ones can be told apart: 255 is no number.
  let characters, frames, T, last, cells, isWide, packed;
  const bytesOf = (frame) => (packed[frame] ??= Uint8Array.from(atob(frames[frame].weights), (letter) => letter.charCodeAt(0)));
  const roots = Float32Array.from({ length: 256 }, (_, level) => (level === 255 ? NaN : (level / 254) ** 2));
  function unpack(frame, head, into) {
    const { maps } = frames[frame];
    if (maps) {
      const layer = Math.floor(head / heads), from = (head % heads) * T * T;
      into.set(maps[layer].subarray(from, from + T * T));
      return into;
    }
    const bytes = bytesOf(frame);
    let place = head * cells;
    for (let row = 0; row < T; row++)
      for (let column = 0; column < (data.causal ? row + 1 : T); column++, place++) {
        if (data.bits === 8) {
          into[row * T + column] = roots[bytes[place]];
          continue;
        }
        const at = (place >> 1) * 3;
        const bits = place & 1 ? ((bytes[at + 1] & 15) << 8) | bytes[at + 2] : (bytes[at] << 4) | (bytes[at + 1] >> 4);
        into[row * T + column] = bits === 4095 ? NaN : bits / 4000;
      }
    return into;
  }
  // Only the open head is kept as numbers.
  let open = { key: "", weights: null };
  function map(layer, head) {
    const key = state.frame + " " + layer + " " + head;
    if (open.key !== key) open = { key, weights: unpack(state.frame, layer * heads + head, new Float32Array(T * T)) };
    return open.weights;
  }
  const shade = (weight) => Math.round(Math.sqrt(Math.min(weight, 1)) * (palette.length - 1));
  const colour = (weight) => (Number.isNaN(weight) ? "#d81ba0" : palette[shade(weight)]);
  const rgb = [...palette, "#d81ba0"].map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  const digits = (weight) => (data.bits === 8 && weight >= 0.1 ? 0 : 1); // what 8 bits can tell
  const percent = (weight) => (Number.isNaN(weight) ? "NaN" : (weight * 100).toFixed(digits(weight)) + " %");
  const nats = (length) => (Number.isNaN(length) ? "NaN" : length ? Number(length.toPrecision(2)).toString() : "0");
  const name = (place) => "“" + characters[place] + "” at " + place;
  const current = () => state.pin ?? state.hover ?? last;

  // ---- parts ---------------------------------------------------------------------------------------------
  function make(tag, parent, attributes = {}, text = "") {
    const part = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
    part.textContent = text;
    parent.append(part);
    return part;
  }
  function choice(label, count, key, parent) {
    const select = make("select", make("label", parent, {}, label + " "), { "data-part": key });
    for (let number = 0; number < count; number++) make("option", select, { value: number }, String(number));
    select.addEventListener("change", () => choose({ [key]: Number(select.value) }));
    return select;
  }
  const bar = make("div", root, { class: "g-bar" });
  const layerSelect = choice("Layer", layers, "layer", bar), headSelect = choice("Head", heads, "head", bar);
  const views = make("span", bar, { role: "group", "aria-label": "view" });
  const viewButtons = ["lines", "matrix"].map((view) => {
    const button = make("button", views, { type: "button", "data-view": view }, view === "lines" ? "Lines" : "Matrix");
    button.addEventListener("click", () => choose({ view }));
    return button;
  });
  // A film's frames are there from the beginning.
  let slider = null, frameWords = null, play = null, timer = 0;
  if (data.frames.length > 1) {
    const time = make("div", root, { class: "g-bar" });
    play = make("button", time, { type: "button", "data-part": "play" }, "Play");
    const label = make("label", time, {}, "Training ");
    slider = make("input", label, { type: "range", min: 0, max: data.frames.length - 1, step: 1, "data-part": "frame" });
    frameWords = make("b", time, { "data-part": "frame-words" });
    slider.addEventListener("input", () => choose({ frame: Number(slider.value) }));
    const stop = () => { clearInterval(timer); timer = 0; play.textContent = "Play"; };
    play.addEventListener("click", () => {
      if (timer) return stop();
      if (state.frame === frames.length - 1) choose({ frame: 0 });
      play.textContent = "Stop";
      timer = setInterval(() => {
        if (!root.isConnected) return stop();
        choose({ frame: state.frame + 1 });
        if (state.frame === frames.length - 1) stop();
      }, 600);
    });
  }
  const top = make("div", root, { class: "g-top" });
  const overview = make("div", top, {
    class: "g-overview", role: "group", "aria-label": "all layers and heads" + (isMany ? "; arrows move from one to the next" : ""),
  });
  const beside = isMany ? make("div", top, { class: "g-side" }) : null;
  if (isMany) root.classList.add("g-many");
  overview.style.gridTemplateColumns = "repeat(" + (heads + 1) + ", max-content)";
  make("span", overview, {}, isMany ? "layer↓ head→" : "");
  for (let head = 0; head < heads; head++) make("span", overview, {}, (isMany ? "" : "head ") + head);
  const thumbs = [];
  const side = isMany ? Math.max(18, Math.min(26, Math.floor(330 / heads))) : Math.max(40, Math.min(72, Math.floor(560 / heads)));
  for (let layer = 0; layer < layers; layer++) {
    make("span", overview, {}, (isMany ? "" : "layer ") + layer);
    for (let head = 0; head < heads; head++) {
      const words = "layer " + layer + ", head " + head;
      const button = make("button", overview, { type: "button", "aria-label": words, title: words, "data-layer": layer, "data-head": head });
      const canvas = make("canvas", button);
      canvas.style.width = canvas.style.height = side + "px";
      button.addEventListener("click", () => choose({ layer, head }));
      thumbs.push({ layer, head, button, canvas });
    }
  }
  const lists = make("div", beside ?? top, { class: "g-lists" });
  const listed = (title) => {
    const section = make("section", lists);
    return { title, heading: make("h4", section), list: make("ol", section, { "data-list": title }) };
  };
  const [looks, seen] = ["looks at", "is looked at by"].map(listed);
  const next = data.frames.some((frame) => frame.next.length) ? listed("expects next") : null;
  // Of a backward pass: how long the gradient of what stands for each character is.
  const blamed = data.frames.some((frame) => frame.blame && frame.blame.length) ? listed("the loss hangs on (nats a unit)") : null;
  const blame = (place) => (blamed && frames[state.frame].blame[place]) ?? (blamed ? NaN : 0);
  const prefix = "g" + Math.random().toString(36).slice(2);
  const text = make("div", beside ?? root, { class: "g-text", dir: "ltr", role: "listbox", tabindex: 0, "aria-label": unit + "s; arrows move, Enter pins, Escape frees" });
  const letters = [];
  const key = make("p", beside ?? root, { class: "g-key" });
  make("span", key, { style: "background:rgba(0,114,178,.6);padding:0 6px" }, "blue behind: it looks there (darkest: most)");
  key.append("  ");
  make("span", key, { style: "border-bottom:5px solid rgba(230,120,0,.9)" }, "orange below: it is looked at from there");
  if (blamed) {
    root.classList.add("g-blames");
    key.append("  ");
    make("span", key, { style: "border-top:5px solid rgba(0,158,115,.95)" }, "green above: the loss hangs on it (strongest: most)");
  }
  key.append("  ·  point at a " + unit + ", click or Enter to pin it, Escape to free it, arrow keys to walk");
  const live = make("div", beside ?? root, { class: "g-live", "aria-live": "polite" });
  const scroller = make("div", beside ?? root, { class: "g-view", role: "group", "aria-label": "the drawing" });
  const view = make("canvas", scroller, { "aria-hidden": "true" });
  if (beside) beside.append(lists);

  // ---- drawing -------------------------------------------------------------------------------------------
  const still = document.createElement("canvas"); // all lines, or the matrix: drawn once for each head
  const ruler = still.getContext("2d");
  const measure = (size) => {
    ruler.font = "bold " + size + "px ui-monospace, monospace";
    return characters.map((character) => ruler.measureText(character).width);
  };
  const longest = (length, size) => Math.max(2, Math.floor(length / (size * 0.61))); // letters of one width
  function short(label, length, size) {
    const most = longest(length, size), all = [...label];
    return all.length <= most ? label : all.slice(0, most - 1).join("") + "…";
  }
  function upright(pen, label, x, y, length, size) {
    pen.save();
    pen.translate(x, y);
    pen.rotate(-Math.PI / 2);
    pen.fillText(short(label, length, size), 0, 0);
    pen.restore();
  }
  const ink = () => getComputedStyle(root).color;

  // Where everything stands, for a text and the room that there is.
  let room, cell, fitting, letterSize, cellSize, isUpright, widths, starts, uprightSize, lane, deep, edge;
  function measureRoom() {
    const before = room;
    room = ((beside ?? root).clientWidth || 940) - 64;
    return room !== before;
  }
  function measureAll() {
    cell = Math.max(3, Math.min(24, Math.floor(Math.min(520, beside ? room - 100 : room - 60) / T)));
    fitting = Math.max(10, Math.min(24, Math.floor(room / T)));
    letterSize = Math.min(16, Math.max(fitting, isWide ? 11 : 0) + 3);
    cellSize = Math.max(10, Math.min(14, cell));
    // Tokens are of different widths: a place among the lines is as wide as what stands there. Where that would be much
    // wider than the page, they stand upright, all as wide as a letter is high.
    const flat = measure(letterSize).map((width) => (isWide ? Math.max(fitting, width + 8) : fitting));
    isUpright = isWide && flat.reduce((sum, width) => sum + width, 0) > (isMany ? 1.1 : 1.5) * room;
    const step = Math.max(14, fitting);
    widths = isUpright ? flat.map(() => step) : flat;
    starts = [0];
    widths.forEach((width) => starts.push(starts[starts.length - 1] + width));
    uprightSize = Math.min(13, step - 1);
    lane = isUpright ? Math.min(96, Math.max(...measure(uprightSize)) + 8) : 20; // how high what stands there is
    deep = 150 + 2 * lane;
    // Beside the matrix, names of several letters are written towards it, and from below.
    edge = isWide ? Math.max(30, Math.min(120, Math.max(...measure(cellSize)) + 14)) : 30;
  }

  // Each point is the largest weight of those that it stands for.
  function paintMap(canvas, weights) {
    const side = canvas.width, pen = canvas.getContext("2d"), pixels = pen.createImageData(side, side);
    const largest = side === T ? weights : new Float32Array(side * side);
    if (side !== T)
      for (let row = 0; row < T; row++)
        for (let column = 0; column < T; column++) {
          const at = Math.floor((row * side) / T) * side + Math.floor((column * side) / T), weight = weights[row * T + column];
          if (weight > largest[at] || weight !== weight) largest[at] = weight;
        }
    for (let place = 0; place < side * side; place++) {
      const weight = largest[place], [red, green, blue] = rgb[weight !== weight ? palette.length : shade(weight)];
      const at = place * 4;
      pixels.data[at] = red;
      pixels.data[at + 1] = green;
      pixels.data[at + 2] = blue;
      pixels.data[at + 3] = 255;
    }
    pen.putImageData(pixels, 0, 0);
  }
  function size(canvas, width, height) {
    const sharp = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * sharp);
    canvas.height = Math.round(height * sharp);
    canvas.style.width = width + "px";
    canvas.style.height = height + "px";
    const pen = canvas.getContext("2d");
    pen.setTransform(sharp, 0, 0, sharp, 0, 0);
    return pen;
  }
  const across = (place) => 30 + starts[place] + widths[place] / 2;
  function line(pen, from, to, weight, tint, strength) {
    if (!(weight > 0.004)) return;
    pen.strokeStyle = tint;
    pen.globalAlpha = Math.min(1, strength * Math.pow(weight, 0.6));
    pen.lineWidth = 0.6 + 3.4 * weight;
    pen.beginPath();
    pen.moveTo(across(from), 16 + lane);
    pen.bezierCurveTo(across(from), deep * 0.5, across(to), deep * 0.5, across(to), deep - 2 - lane);
    pen.stroke();
    pen.globalAlpha = 1;
  }
  function paintStill() {
    const weights = map(state.layer, state.head);
    if (state.view === "lines") {
      const pen = size(still, 60 + starts[T], deep), grey = ink();
      for (let from = 0; from < T; from++)
        for (let to = 0; to < T; to++) if (weights[from * T + to] > 0.02) line(pen, from, to, weights[from * T + to], grey, 0.22);
    } else {
      const pen = size(still, edge + T * cell + 90, edge + T * cell + 4);
      const small = document.createElement("canvas");
      small.width = small.height = T;
      paintMap(small, weights);
      pen.imageSmoothingEnabled = false;
      pen.drawImage(small, edge, edge, T * cell, T * cell);
      pen.fillStyle = ink();
      pen.font = "12px system-ui, sans-serif";
      pen.textAlign = "left";
      for (let part = 0; part < 120; part++) {
        pen.fillStyle = colour(((119 - part) / 119) ** 2);
        pen.fillRect(edge + T * cell + 16, edge + part, 12, 1);
      }
      pen.fillStyle = ink();
      for (const weight of [1, 0.25, 0]) pen.fillText(String(weight), edge + T * cell + 34, edge + 6 + (1 - Math.sqrt(weight)) * 114);
    }
  }
  function paintView() {
    const weights = map(state.layer, state.head), now = current();
    const wide = parseFloat(still.style.width), high = parseFloat(still.style.height);
    const pen = size(view, wide, high);
    pen.drawImage(still, 0, 0, wide, high);
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillStyle = ink();
    if (state.view === "lines") {
      for (let place = 0; place < T; place++) {
        line(pen, now, place, weights[now * T + place], "#2b8fd6", 1.6);
        if (place !== now) line(pen, place, now, weights[place * T + now], "#e67800", 1.3);
      }
      for (let place = 0; place < T; place++) {
        const label = characters[place], bold = place === now ? "bold " : "";
        pen.font = bold + (isUpright ? uprightSize : letterSize) + "px ui-monospace, monospace";
        if (isUpright) {
          pen.textAlign = "left";
          upright(pen, label, across(place), 13 + lane, lane - 4, uprightSize);
          pen.textAlign = "right";
          upright(pen, label, across(place), deep + 1 - lane, lane - 4, uprightSize);
        } else {
          pen.fillText(label, across(place), 26);
          pen.fillText(label, across(place), deep - 11);
        }
      }
      pen.strokeStyle = ink();
      pen.strokeRect(across(now) - widths[now] / 2, 16, widths[now], lane);
      pen.strokeRect(across(now) - widths[now] / 2, deep - 1 - lane, widths[now], lane);
      if (wide > room + 64) {
        const at = across(now), { scrollLeft, clientWidth } = scroller;
        if (at < scrollLeft + 40 || at > scrollLeft + clientWidth - 40) scroller.scrollLeft = at - clientWidth / 2;
      }
      pen.font = "12px system-ui, sans-serif";
      pen.textAlign = "left";
      pen.fillText("looks (above) at (below)", 2, 7);
    } else {
      const every = Math.ceil(11 / cell);
      pen.font = cellSize + "px ui-monospace, monospace";
      for (let place = 0; place < T; place++) {
        // The current one stands in any case, and those whose room it takes don't.
        if (place !== now && (place % every || Math.abs(place - now) < every)) continue;
        const at = edge + (place + 0.5) * cell;
        if (!isWide) {
          pen.fillText(characters[place], at, edge - 9);
          pen.fillText(characters[place], edge - 9, at);
          continue;
        }
        pen.textAlign = "right";
        pen.fillText(short(characters[place], edge - 8, cellSize), edge - 5, at);
        pen.textAlign = "left";
        upright(pen, characters[place], at, edge - 5, edge - 8, cellSize);
      }
      pen.lineWidth = 1.5;
      pen.strokeStyle = "#2b8fd6";
      pen.strokeRect(edge, edge + now * cell, T * cell, cell);
      pen.strokeStyle = "#e67800";
      pen.strokeRect(edge + now * cell, edge, cell, T * cell);
    }
  }
  function fill(part, rows, tint, words = percent, whole = 1) {
    part.list.replaceChildren();
    for (const [label, where, weight] of rows) {
      const item = make("li", part.list);
      make("b", item, {}, label);
      make("span", item, {}, where);
      make("span", item, {}, words(weight));
      make("i", item, { style: "background:" + tint + ";width:" + (Math.min(weight / whole, 1) * 98 || 0) + "%" });
    }
  }
  // Those with the largest weight first; what is no number at all before them, so that it is seen.
  function strongest(pick, least = 0.0005) {
    const all = characters.map((character, place) => [character, "at " + place, pick(place)]);
    const order = (weight) => (Number.isNaN(weight) ? 2 : weight);
    return all.filter((row) => !(row[2] < least)).sort((a, b) => order(b[2]) - order(a[2])).slice(0, 6);
  }
  function paintCurrent() {
    const weights = map(state.layer, state.head), now = current();
    // Beside the largest one: a share of 5 % is much where 64 characters share the attention.
    const largest = (pick) => Math.max(1e-9, ...characters.map((_, place) => pick(place) || 0));
    const mostSeen = largest((place) => (place === now ? 0 : weights[place * T + now])), mostLooked = largest((place) => weights[now * T + place]);
    const mostBlamed = largest(blame);
    const strength = (weight, whole) => Math.sqrt(Math.max(weight || 0, 0) / whole);
    letters.forEach((letter, place) => {
      letter.style.backgroundColor = "rgba(0,114,178," + (0.72 * strength(weights[now * T + place], mostLooked)).toFixed(3) + ")";
      letter.style.borderBottomColor = "rgba(230,120,0," + (place === now ? 0 : strength(weights[place * T + now], mostSeen)).toFixed(3) + ")";
      if (blamed) letter.style.borderTopColor = "rgba(0,158,115," + Math.min((blame(place) || 0) / mostBlamed, 1).toFixed(3) + ")";
      letter.className = place === now ? (state.pin === null ? "g-now" : "g-now g-pin") : "";
      letter.setAttribute("aria-selected", String(place === now));
    });
    text.setAttribute("aria-activedescendant", prefix + now);
    for (const part of [looks, seen]) part.heading.textContent = name(now) + " " + part.title;
    const looked = strongest((place) => weights[now * T + place]);
    fill(looks, looked, "#0072b2");
    fill(seen, strongest((place) => (place === now ? 0 : weights[place * T + now])), "#e67800");
    if (next) {
      const expected = (frames[state.frame].next[now] || []).filter(([, p]) => p >= 0.001);
      next.heading.textContent = "after it, the model " + next.title;
      fill(next, expected.map(([character, p]) => [character, "", p]), "#7a7a7a");
    }
    if (blamed) {
      blamed.heading.textContent = blamed.title;
      fill(blamed, strongest(blame, mostBlamed / 1e6), "#009e73", nats, mostBlamed);
    }
    const other = state.pin !== null && state.hover !== null && state.hover !== state.pin ? state.hover : null;
    if (other !== null) {
      live.textContent = name(now) + " gives " + percent(weights[now * T + other]) + " to " + name(other) + "; "
        + name(other) + " gives " + percent(weights[other * T + now]) + " to it";
    } else {
      const most = looked.length ? " looks most at “" + looked[0][0] + "” " + looked[0][1] + ", " + percent(looked[0][2]) : "";
      const hangs = !blamed ? "" : blame(now) === 0 ? "; the loss does not hang on it" : "; the loss hangs on it: " + nats(blame(now)) + " nats a unit";
      live.textContent = (state.pin === null ? "" : "pinned: ") + name(now) + most + hangs;
    }
    paintView();
    hears.place?.(now);
  }
  function paintHead() {
    layerSelect.value = state.layer;
    headSelect.value = state.head;
    viewButtons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.view === state.view)));
    thumbs.forEach(({ layer, head, button }) => {
      const isOpen = layer === state.layer && head === state.head;
      button.setAttribute("aria-pressed", String(isOpen));
      if (isMany) button.tabIndex = isOpen ? 0 : -1;
    });
    paintStill();
    paintCurrent();
    // What is wider than the page can be scrolled by the keyboard.
    if (parseFloat(still.style.width) > room + 64) scroller.tabIndex = 0;
    else scroller.removeAttribute("tabindex");
  }
  function paintAll() {
    const weights = new Float32Array(T * T);
    thumbs.forEach(({ layer, head, canvas }) => paintMap(canvas, unpack(state.frame, layer * heads + head, weights)));
    if (slider) {
      slider.value = state.frame;
      frameWords.textContent = frames[state.frame].label;
      slider.setAttribute("aria-valuetext", frames[state.frame].label);
    }
    paintHead();
    hears.frame?.(state.frame);
  }

  // ---- a text ----------------------------------------------------------------------------------------------
  function take(given) {
    ({ characters, frames } = given);
    T = characters.length;
    last = T - 1;
    cells = given.causal ? (T * (T + 1)) / 2 : T * T;
    isWide = characters.some((character) => [...character].length > 1);
    packed = [];
    open = { key: "", weights: null };
    state.frame = Math.min(state.frame, frames.length - 1);
    state.hover = null;
    if (state.pin !== null && state.pin > last) state.pin = null;
    root.classList.toggle("g-tokens", isWide);
    const points = Math.min(T, isMany ? side * 2 : T); // of a thumbnail's side
    for (const { canvas } of thumbs) canvas.width = canvas.height = points;
    while (letters.length > T) letters.pop().remove();
    characters.forEach((character, place) => {
      letters[place] ??= make("bdi", text, { role: "option", id: prefix + place, "data-place": place });
      if (letters[place].textContent !== character) letters[place].textContent = character;
    });
    measureAll();
    paintAll();
  }

  // ---- what a person does --------------------------------------------------------------------------------
  function choose(change) {
    live.setAttribute("aria-live", "polite");
    Object.assign(state, change);
    if ("frame" in change) paintAll();
    else if ("layer" in change || "head" in change || "view" in change) paintHead();
    else paintCurrent();
  }
  const pin = (place) => choose({ pin: state.pin === place ? null : place, hover: place });
  const placeOf = (event) => {
    const letter = event.target.closest("[data-place]");
    return letter ? Number(letter.dataset.place) : null;
  };
  text.addEventListener("pointerover", (event) => { const place = placeOf(event); if (place !== null) choose({ hover: place }); });
  text.addEventListener("click", (event) => { const place = placeOf(event); if (place !== null) pin(place); });
  text.addEventListener("keydown", (event) => {
    const now = current();
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: last }[event.key];
    if (to !== undefined) {
      const place = Math.max(0, Math.min(last, to));
      choose(state.pin === null ? { hover: place } : { pin: place, hover: place });
      letters[place].scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter" || event.key === " ") pin(now);
    else if (event.key === "Escape") choose({ pin: null });
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  overview.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!to) return;
    const layer = Math.max(0, Math.min(layers - 1, state.layer + to[0])), head = Math.max(0, Math.min(heads - 1, state.head + to[1]));
    choose({ layer, head });
    thumbs[layer * heads + head].button.focus();
    event.preventDefault();
    event.stopPropagation();
  });
  const under = (event) => {
    const box = view.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    if (state.view === "lines") {
      const place = starts.findIndex((start) => start > x - 30) - 1;
      return place >= 0 ? place : null;
    }
    const place = Math.floor((y - edge) / cell);
    return place >= 0 && place < T && x >= edge && x < edge + T * cell ? place : null;
  };
  view.addEventListener("pointermove", (event) => { const place = under(event); if (place !== null && place !== state.hover) choose({ hover: place }); });
  view.addEventListener("click", (event) => { const place = under(event); if (place !== null) pin(place); });
  root.addEventListener("pointerleave", () => choose({ hover: null }));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => root.isConnected && paintHead());
  measureRoom();
  take(data);
  new ResizeObserver(() => {
    if (!measureRoom()) return;
    measureAll();
    paintHead();
  }).observe(beside ?? root);
  return {
    // What a person types elsewhere is not told here at every key.
    update: (given) => { live.setAttribute("aria-live", "off"); take(given); },
    pin: (place) => {
      if (place === state.pin && state.hover === null) return;
      Object.assign(state, { pin: place, hover: null });
      paintCurrent();
    },
    repaint: paintHead,
  };
}
