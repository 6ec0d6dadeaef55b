// The page: opens its models, and puts its parts one below the other.

import { openModel } from "../engine/model.js";
import { make } from "./dom.js";
import { readAddress, tellHeight } from "./address.js";
import { themeButton } from "./theme.js";
import { idle } from "./pace.js";
import { counted, secondsWords } from "./words.js";
import { writePart } from "./write.js";
import { lookPart } from "./look.js";
import { cutPart } from "./cut.js";
import { walkPart } from "./walk.js";
import { differencePart } from "./difference.js";
import { filmPart } from "./film.js";
import { aboutPart } from "./about.js";

const hasAttention = ({ models }) => models.some(({ kind, config }) => kind === "transformer" && config.n_layers > 0);
const PARTS = [
  { id: "write", tab: "Write", title: "It writes", start: writePart },
  { id: "look", tab: "Look", title: "Type, and see what it sees", start: lookPart,
    lead: (page) => "Every key you press runs the whole model once. Nothing is hidden: which pieces it reads, how much each surprised it"
      + (hasAttention(page) ? ", what it expects, and where each head looks for it." : ", and what it expects.") },
  { id: "cut", tab: "Cut", title: "Take a part out", start: cutPart, isThere: hasAttention,
    lead: "This drawing is the model. Press a head, a block, the positions or the mask: it is taken out, and you see what the model loses with it." },
  { id: "walk", tab: "Walk", title: ({ models: [{ unit }] }) => "From a " + unit + " to a prediction", start: walkPart,
    lead: ({ models: [{ unit }] }) => "A language model is arithmetic, and little else. Follow one " + unit + " through it, step by step; every number can be asked how it came about." },
  { id: "difference", tab: "Difference", title: "Why the dramatic difference?", start: differencePart, isThere: ({ models }) => models.length > 1,
    lead: "Two models, one task: foretell what comes next. One sees only the last of it, the other all that stands before. That is the whole secret." },
  { id: "film", tab: "Film", title: "How it learnt", start: filmPart, isThere: ({ film }) => film?.frames?.length > 0,
    lead: "It began with random numbers. Pull the slider, or press Play: each moment shows what it could do then." },
  { id: "about", tab: "About", title: "What this is", start: aboutPart },
];

function openPage() {
  const data = JSON.parse(document.getElementById("glasslab-data").textContent);
  if (!data) return null; // a page of still pictures
  return { title: data.title, prompt: data.prompt, film: data.film, lossChange: data.loss_change, models: data.models.map(openModel) };
}

function leadOf({ models: [model] }) {
  const { trained } = model.config;
  const learnt = trained?.seconds ? " that learnt for " + secondsWords(trained.seconds) + (trained.text ? " from " + trained.text : "") : "";
  return "This file holds a language model: " + counted(model.count, "number") + learnt
    + ". It foretells one " + model.unit + " after the other, here in your browser. There is no server behind it.";
}

async function startPage() {
  const still = document.getElementById("still"), main = document.querySelector("main");
  const address = readAddress(location.hash);
  let page;
  try {
    page = openPage();
  } catch (error) {
    main.prepend(make("p", null, { class: "notice", role: "alert" }, "The model could not be opened, so these are still pictures: " + error.message));
    return;
  }
  if (!page) return;
  const there = PARTS.filter(({ isThere }) => !isThere || isThere(page));
  const only = there.find(({ id }) => id === address.only);
  if (address.only && !only) {
    main.prepend(make("p", null, { class: "notice", role: "alert" }, "This page has no part “" + address.only + "”; it has " + there.map(({ id }) => id).join(", ") + "."));
  }
  const alive = new Map();
  const repaint = () => alive.forEach((part) => part?.repaint?.());
  const goTo = (id) => document.getElementById(id)?.scrollIntoView();
  if (!only) page.lookAt = (text) => {
    alive.get("look")?.read(text);
    goTo("look");
  };
  window.addEventListener("hashchange", () => { if (only || readAddress(location.hash).only) location.reload(); });
  still.remove();
  document.documentElement.classList.add("alive");
  document.documentElement.classList.toggle("only", only !== undefined);
  let choose;
  if (only) choose = themeButton(null, repaint);
  else {
    const header = document.querySelector("header");
    const nav = make("nav", header, { "aria-label": "parts of this page" });
    for (const { id, tab } of there) make("a", nav, { href: "#" + id }, tab);
    choose = themeButton(header, repaint);
    main.querySelector(".opening").append(make("p", null, { class: "lead" }, leadOf(page)));
  }
  choose(address.text("theme", ""));
  tellHeight();
  const shown = (only ? [only] : there).map((part) => {
    const section = make("section", main, { id: part.id, class: "part", "aria-labelledby": part.id + "-title" });
    const words = (text) => (typeof text === "function" ? text(page) : text);
    make("h2", section, { id: part.id + "-title" }, words(part.title));
    if (part.lead) make("p", section, { class: "lead" }, words(part.lead));
    return { ...part, body: make("div", section, { class: "figure" }) };
  });
  for (const { id, body, start } of shown) {
    try {
      alive.set(id, start(body, page, only ? address : readAddress("")));
    } catch (error) {
      body.append(make("p", null, { class: "notice", role: "alert" }, "This part could not be shown: " + error.message));
      console.error(error);
    }
    await idle();
  }
  // What an address points at is there only now.
  if (!only && location.hash) goTo(location.hash.slice(1));
  document.documentElement.dataset.ready = "true";
}

startPage();
