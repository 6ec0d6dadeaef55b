// Look: type, and at every key see the tokens, the surprise, what comes next, every head, and the lens.

import { trace, likely } from "../engine/trace.js";
import { meanLoss, surprises } from "../engine/surprise.js";
import { make, notice } from "./dom.js";
import { choice, textBox } from "./controls.js";
import { pieceList } from "./pieces.js";
import { bars } from "./bars.js";
import { lensTable } from "./lens_table.js";
import { attentionExplorer } from "./explorer.js";
import { surpriseTint, weightPalette } from "./colours.js";
import { latest } from "./pace.js";
import { counted, natsWords, percentWords, proseOf, quoted, textsOf } from "./words.js";

export function lookPart(root, page, given) {
  const { models } = page;
  let model = models[Math.min(given.number("model", 0), models.length - 1)], place = null, seen = null;

  const { area, behind } = textBox(root, { name: "Type here", value: given.text("prompt", page.prompt), limit: 1000 }, latest(() => read(null)));
  const problem = notice(root);
  const mean = make("p", root, { class: "figure-line" });
  if (models.length > 1) choice(root, "Who reads", models.map(({ name }) => name), models.indexOf(model), (at) => {
    model = models[at];
    read(place);
  });
  const figure = make("div", root);
  make("h3", figure, {}, "How it is cut, and what surprised it");
  const tokens = pieceList(figure, { name: "The pieces of the text; arrows walk", isProse: false, chosen: choose });
  make("p", figure, { class: "caption" }, "Orange: it came unexpected, the stronger the more. Choose one: all below tells what the model knew there.");
  const first = make("div", figure, { class: "narrow" }), second = make("div", figure);
  const nextTitle = make("h3", first, {}, "What it expects next");
  const paintNext = bars(first, { name: "the likeliest next ones" });
  const told = make("p", first, { class: "caption", "aria-live": "polite" });
  make("h3", second, {}, "When it knew: the lens");
  const lens = lensTable(second, choose);
  make("p", second, { class: "caption" }, "What it would say if it stopped there: the likeliest next one, the bluer the surer.");

  const heads = make("div", figure);
  make("h3", heads, {}, "Where each head looks");
  const block = make("div", heads, { class: "glasslab-explorer" });
  let explorer = null;

  function frame() {
    const { config, unit } = model;
    return {
      characters: seen.labels, layers: config.n_layers, heads: config.n_heads, causal: true, layer: Math.min(given.number("layer", 0), config.n_layers - 1),
      head: Math.min(given.number("head", 0), config.n_heads - 1), unit, palette: weightPalette(), frames: [{ label: "", maps: seen.attention, next: [] }],
    };
  }
  // `at` is the chosen place; null is the last.
  function read(at) {
    const begun = performance.now();
    const { ids, dropped } = model.tokenizer.encode(area.value);
    // Of a large model, fewer: each key is one more pass.
    const most = Math.min(model.contextLen, 256, Math.max(32, Math.round(1e8 / model.count))), used = ids.slice(-most);
    const told = [];
    if (dropped.length) told.push("The model does not know " + [...new Set(dropped)].slice(0, 8).join(" ") + ": left out.");
    if (ids.length > most) told.push((most < model.contextLen ? "Read here are the last " : "It sees the last ") + counted(most, model.unit) + "; what stands before is left out.");
    if (!used.length) told.push("Type at least one " + model.unit + " that the model knows.");
    problem(told.join(" "));
    figure.hidden = used.length === 0;
    mean.textContent = "";
    behind.textContent = area.value;
    if (!used.length) return;
    seen = trace(model, used);
    const nats = surprises(seen);
    // Under the letters that a person types, in the same place.
    const texts = textsOf(model.tokenizer, ids), unseen = ids.length - used.length;
    if (texts.join("") === area.value) {
      behind.replaceChildren();
      texts.forEach((text, at) => {
        const part = make("span", behind, {}, text);
        if (at < unseen) part.className = "faint";
        else part.style.backgroundColor = surpriseTint(nats[at - unseen]);
      });
    }
    const loss = meanLoss(seen);
    mean.textContent = loss === null ? "" : natsWords(loss) + " nats a " + model.unit + " of surprise on average. 0 would be certainty, " + natsWords(Math.log(model.config.n_vocab)) + " guessing among all " + model.config.n_vocab + ".";
    tokens.show(used.map((_, at) => ({
      label: seen.labels[at], tint: surpriseTint(nats[at]), words: nats[at] === null ? "the first" : natsWords(nats[at]) + " nats",
    })), null);
    heads.hidden = second.hidden = !model.config.n_layers;
    if (!heads.hidden) {
      lens.read(seen);
      if (explorer) explorer.update(frame());
      else explorer = attentionExplorer(block, frame());
    }
    choose(at !== null && at < used.length ? at : null);
    root.dataset.milliseconds = (performance.now() - begun).toFixed(1);
  }
  function choose(at) {
    place = at;
    const now = at ?? seen.ids.length - 1;
    tokens.select(now);
    const probabilities = seen.probabilitiesAt(now);
    const came = seen.ids[now + 1];
    const rows = likely(probabilities, 8, model.tokenizer);
    if (came !== undefined && !rows.some(({ id }) => id === came)) rows.push({ id: came, p: probabilities[came] });
    paintNext(rows.map(({ id, p }) => ({ label: model.tokenizer.label(id), p, isChosen: id === came })));
    const before = proseOf(seen.labels.slice(Math.max(0, now - 11), now + 1).join("")).trimStart();
    nextTitle.textContent = "What it expects after " + quoted((now > 11 ? "…" : "") + before);
    told.textContent = came === undefined ? "" : "There came " + quoted(seen.labels[now + 1]) + ": " + percentWords(probabilities[came]) + ".";
    lens.select(now);
    explorer?.pin(at);
  }
  read(null);
  return { read: (text) => { area.value = text; read(null); }, repaint: () => explorer?.repaint() };
}
