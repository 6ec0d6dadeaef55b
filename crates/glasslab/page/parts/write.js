// Write: the model goes on from a person's words, at once; each character can be asked why.

import { button, make, notice, spoken } from "./dom.js";
import { choice, field, slider } from "./controls.js";
import { pieceList } from "./pieces.js";
import { Story } from "./story.js";
import { whyPanel } from "./why.js";
import { latest } from "./pace.js";

const wild = (temperature) => temperature.toFixed(2).replace(/0$/, "")
  + (temperature === 0 ? " · always the likeliest" : temperature < 0.45 ? " · careful" : temperature < 0.85 ? " · free" : temperature < 1.15 ? " · as it learnt" : " · wild");
const numberOr = (text, none) => (text.trim() === "" ? none : Number(text));

export function writePart(root, page, given) {
  const { models } = page;
  const settings = {
    temperature: given.number("temperature", 0.5), topK: given.number("topk", null), topP: given.number("topp", null),
    stop: given.text("stop", null), seed: given.number("seed", 0), length: given.number("chars", 300),
  };
  let model = models[Math.min(given.number("model", 0), models.length - 1)];

  // ---- the paper ---------------------------------------------------------------------------------------------
  const paper = make("div", root, { class: "paper" });
  const text = make("div", paper, { class: "story" });
  const prompt = make("span", text, { class: "prompt", role: "textbox", "aria-multiline": "true", "aria-label": "The beginning of the story: change it", spellcheck: "false", tabindex: 0 }, given.text("prompt", page.prompt));
  // Older browsers know only the other one, and one of them says so with an error.
  try { prompt.contentEditable = "plaintext-only"; } catch { prompt.contentEditable = "true"; }
  const written = pieceList(text, { name: "What the model wrote: arrows walk from one to the next, and tell why", chosen: ask });
  make("span", text, { class: "pen", "aria-hidden": "true" });
  const problem = notice(paper);
  const say = spoken(root);
  make("p", paper, { class: "hint" }, "Change the underlined beginning: it writes anew. Click any " + model.unit + " that it wrote to ask why.");

  const why = whyPanel(root, (id) => {
    const { place } = written;
    try { story.instead(place, id); } catch (error) { return problem(error.message); }
    written.cut(place);
    written.add(item(story.pieces[place]));
    written.select(place);
    ask(place);
    run();
  });

  // ---- what a person can do --------------------------------------------------------------------------------
  const bar = make("div", root, { class: "bar-of-buttons" });
  const go = button(bar, "Pause", () => (story.isRunning ? pause() : writeOn()), { class: "first" });
  button(bar, "Another story", another);
  const one = button(bar, "One " + model.unit, step);
  const atOnce = button(bar, "All at once", () => run(true));
  if (page.lookAt) button(bar, "Look into it ↓", () => {
    pause();
    page.lookAt((prompt.textContent + story.text).slice(-200));
  }, { class: "quiet" });
  const controls = make("div", root, { class: "controls" });
  const anew = latest(() => begin());
  const set = (key, value) => {
    settings[key] = value;
    anew();
  };
  if (models.length > 1) {
    choice(controls, "Who writes", models.map(({ name }) => name), models.indexOf(model), (place) => {
      model = models[place];
      one.textContent = "One " + model.unit;
      begin();
    });
  }
  slider(controls, { name: "Temperature", min: 0, max: 1.5, step: 0.05, value: settings.temperature, words: wild }, (value) => set("temperature", value));
  const more = make("details", root, { class: "more" });
  make("summary", more, {}, "More settings");
  const fields = make("div", more, { class: "controls" });
  field(fields, { name: "Top-k", type: "number", min: 1, step: 1, value: settings.topK, hint: "only the k likeliest" }, (text) => set("topK", numberOr(text, null)));
  field(fields, { name: "Top-p", type: "number", min: 0, max: 1, step: 0.05, value: settings.topP, hint: "only the likeliest that together have this share" }, (text) => set("topP", numberOr(text, null)));
  const seed = field(fields, { name: "Seed", type: "number", min: 0, value: settings.seed, hint: "the same seed, the same story" }, (text) => set("seed", numberOr(text, 0)));
  field(fields, { name: "Length", type: "number", min: 1, max: 5000, value: settings.length, hint: "characters" }, (text) => set("length", numberOr(text, 300)));
  field(fields, { name: "Stop at", value: settings.stop, hint: "a text that ends the story" }, (text) => set("stop", text === "" ? null : text));
  // ---- writing -----------------------------------------------------------------------------------------------
  const story = new Story({
    came: (piece) => written.add(item(piece)),
    rests: () => {
      show();
      say("The model wrote: " + story.text);
    },
  });
  function item({ id, isForced }) {
    return { label: model.tokenizer.label(id), tint: isForced ? "rgba(0,158,115,0.3)" : "" };
  }
  function show() {
    go.textContent = story.isRunning ? "Pause" : "Write on";
    atOnce.disabled = story.isDone;
    go.disabled = one.disabled = !story.writer;
    paper.classList.toggle("writes", story.isRunning);
  }
  function begin(isRunning = true) {
    why.close();
    written.cut(0);
    try {
      if (!Number.isInteger(settings.seed) || settings.seed < 0) throw new Error("the seed is a whole number from 0 on");
      if (!(settings.length >= 1 && settings.length <= 5000)) throw new Error("the length is 1 to 5000 characters");
      story.begin(model, prompt.textContent, settings);
      const { dropped } = story.writer;
      problem(dropped?.length ? "The model does not know " + [...new Set(dropped)].slice(0, 8).join(" ") + ": left out." : "");
    } catch (error) {
      problem(error.message);
      story.empty();
      return show();
    }
    if (isRunning) run();
  }
  function run(isAtOnce) {
    story.run(isAtOnce);
    show();
  }
  // At its end, the story gets longer.
  function writeOn() {
    if (story.isDone) story.lengthen(200);
    run();
  }
  function pause() {
    story.halt();
    show();
  }
  function another() {
    settings.seed += 1;
    seed.value = settings.seed;
    begin();
  }
  function step() {
    story.halt();
    if (story.isDone) story.lengthen(1);
    if (story.step()) {
      written.select(story.pieces.length - 1);
      ask(story.pieces.length - 1);
    }
    show();
  }
  function ask(place) {
    if (story.isRunning) pause();
    why.show(model, story, place);
  }
  prompt.addEventListener("input", anew);
  prompt.addEventListener("paste", (event) => {
    event.preventDefault();
    document.execCommand("insertText", false, event.clipboardData.getData("text/plain").slice(0, 2000));
  });
  begin();
}
