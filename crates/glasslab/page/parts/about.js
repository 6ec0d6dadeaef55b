// About: what the models of this page are, what they learnt from, and what 16 bits have changed.

import { make } from "./dom.js";
import { counted, natsWords, secondsWords } from "./words.js";

const POSITIONS = { rotary: "turned by the place (rotary)", learned: "learnt for each place", none: "none" };

export function aboutPart(root, page) {
  const columns = make("div", root, { class: "columns" });
  for (const model of page.models) {
    const box = make("section", columns, { class: "side" });
    make("h3", box, {}, model.name);
    const list = make("dl", box);
    for (const [name, words] of facts(model)) {
      make("dt", list, {}, name);
      make("dd", list, {}, words);
    }
  }
  const change = page.lossChange;
  make("p", root, {}, (page.models.some(({ bits }) => bits === 32) ? "The numbers are kept in 32 bits: one of them is too large for 16." : change === null || change === undefined ? "The numbers are kept in 16 bits." : "The numbers are kept in 16 bits instead of 32. That changes the loss on texts it never saw by "
    + (Math.abs(change) < 0.0001 ? "less than 0.0001" : Math.abs(change).toFixed(4)) + " nats a character.")
    + " The file needs no network, and sends nothing anywhere: all that you see is computed by your browser, from the numbers in this file.");
  make("p", root, {}, "It was made with glasslab, a laboratory in which one builds such a model, trains it in a minute, and sees every number on its way.");
}

function facts(model) {
  const { config } = model, { trained } = config, isMlp = model.kind === "mlp";
  const rows = [
    ["What it is", isMlp ? "an MLP: the next " + model.unit + " from the last one alone" : "a transformer: each " + model.unit + " may look at all before it"],
    ["Numbers", model.count.toLocaleString("en")],
    ["It knows", counted(config.n_vocab, model.unit)],
    ["It sees", isMlp ? "one " + model.unit : counted(config.context_len, model.unit)],
  ];
  if (!isMlp) {
    rows.push(["Built of", counted(config.n_layers, "block") + " with " + counted(config.n_heads, "head") + " each, " + config.emb_dim + " numbers for each " + model.unit]);
    rows.push(["Positions", POSITIONS[config.positions] ?? String(config.positions)]);
  } else rows.push(["Built of", counted(config.n_hidden, "hidden unit") + ", " + config.emb_dim + " numbers for each " + model.unit]);
  if (trained) {
    rows.push(["Learnt from", (trained.text ?? "a text") + (trained.stories ? ", " + counted(trained.stories, "story").replace(/storys$/, "stories") : "")]);
    if (trained.steps) rows.push(["Learnt for", counted(trained.steps, "step") + (trained.seconds ? " in " + secondsWords(trained.seconds) : "")]);
  } else rows.push(["Learnt from", "nothing yet: its numbers are random"]);
  if (model.heldOut !== null && model.heldOut !== undefined) rows.push(["Held-out loss", natsWords(model.heldOut) + " nats a character on stories that it never saw"]);
  return rows;
}
