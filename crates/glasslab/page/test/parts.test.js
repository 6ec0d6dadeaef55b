// What the page's parts compute by themselves.

import { test } from "node:test";
import assert from "node:assert/strict";
import { diceOf, distance, lastLook } from "../parts/dice.js";
import { numbersOfPlace, station } from "../parts/stations.js";
import { numberWords, percentWords, proseOf, secondsWords, textsOf } from "../parts/words.js";
import { readAddress } from "../parts/address.js";
import { surpriseTint, weightPalette } from "../parts/colours.js";
import { cutKey } from "../parts/machine.js";

const near = (one, other) => assert.ok(Math.abs(one - other) < 1e-9, one + " beside " + other);

test("dice are the probabilities to the power of one by the temperature", () => {
  const p = [0.5, 0.25, 0.25];
  diceOf(p, { temperature: 1 }).forEach((share, id) => near(share, p[id]));
  diceOf(p, { temperature: 0.5 }).forEach((share, id) => near(share, [4 / 6, 1 / 6, 1 / 6][id]));
  assert.deepEqual(diceOf(p, { temperature: 0 }), [1, 0, 0]);
});

test("top-k and top-p leave the likeliest, of equal ones the first", () => {
  const p = [0.2, 0.4, 0.2, 0.2];
  diceOf(p, { temperature: 1, topK: 2 }).forEach((share, id) => near(share, [1 / 3, 2 / 3, 0, 0][id]));
  diceOf(p, { temperature: 1, topP: 0.5 }).forEach((share, id) => near(share, [1 / 3, 2 / 3, 0, 0][id]));
  assert.deepEqual(diceOf(p, { temperature: 1, topP: 0.01 }), [0, 1, 0, 0]);
});

test("the same predictions are 0 apart, those with nothing in common 1", () => {
  assert.equal(distance([0.3, 0.7], [0.3, 0.7]), 0);
  assert.equal(distance([1, 0], [0, 1]), 1);
});

test("the last look is the mean of the last rows, or that of one head", () => {
  // two heads over two places
  const layer = Float32Array.from([1, 0, 0.5, 0.5, 1, 0, 0, 1]);
  assert.deepEqual([...lastLook([layer], 2, 2)], [0.25, 0.75]);
  assert.deepEqual([...lastLook([layer], 2, 2, { layer: 0, head: 1 })], [0, 1]);
});

test("a station is known by its part and block, also one that nobody has described", () => {
  assert.equal(station("block.12.attn.scores").block, 12);
  assert.equal(station("logits").block, null);
  assert.equal(station("block.0.dance").name, "dance");
});

test("the numbers of a place are its row in every step's shape", () => {
  const data = Float32Array.from({ length: 24 }, (_, at) => at);
  const values = (step, place, time) => numbersOfPlace(step, place, time).rows.map((row) => [row.axes, row.values]);
  assert.deepEqual(values({ name: "ids", shape: [3], data }, 2, 3), [[[], [2]]]);
  assert.deepEqual(values({ name: "loss", shape: [2], data }, 2, 3), []);
  assert.deepEqual(values({ name: "embedded", shape: [3, 2], data }, 1, 3), [[[1], [2, 3]]]);
  const scores = { name: "block.0.attn.scores", shape: [2, 3, 3], data };
  assert.deepEqual(values(scores, 1, 3), [[[0, 1], [3, 4, 5]], [[1, 1], [12, 13, 14]]]);
  assert.equal(numbersOfPlace(scores, 1, 3).columns, "text");
  const names = numbersOfPlace({ name: "block.0.attn.unturned", shape: [3, 2, 4], data }, 1, 2, 2).rows.map(({ name }) => name);
  assert.deepEqual(names, ["query 0", "query 1", "key 0"]);
  assert.equal(numbersOfPlace({ name: "logits", shape: [3, 8], data }, 1, 3).columns, "vocabulary");
});

test("numbers in words", () => {
  assert.deepEqual([44, -0.5, 0.0001234, Infinity, NaN, 1234.56].map(numberWords), ["44", "−0.500", "1.2e-4", "∞", "NaN", "1235"]);
  assert.deepEqual([0, 0.0004, 0.024, 0.5, 1].map(percentWords), ["0 %", "< 0.1 %", "2.4 %", "50 %", "100 %"]);
  assert.deepEqual([60.02, 600, 7200].map(secondsWords), ["60 seconds", "10 minutes", "2.0 hours"]);
  assert.equal(proseOf("a␣⏎"), "a ⏎\n");
});

test("each piece of a text is what it adds to those before it", () => {
  const bytes = (text) => [...new TextEncoder().encode(text)], [one, two] = [[0xc3], [0xaf]]; // ï, in two
  const pieces = [bytes(" Once"), bytes(" upon"), one, two, []];
  const tokenizer = { unit: "token", prefix: { every: false }, piece: (id) => pieces[id] };
  assert.deepEqual(textsOf(tokenizer, [4, 0, 1, 1]), ["", "Once", " upon", " upon"]);
  assert.deepEqual(textsOf({ ...tokenizer, prefix: null }, [0, 2, 3, 1]), [" Once", "", "ï", " upon"]);
  assert.deepEqual(textsOf(tokenizer, [0, 2]), ["Once", "\ufffd"], "what is left open is shown at the end");
});

test("an address gives what it has, and else what it is asked for", () => {
  const given = readAddress("#only=write&prompt=Once%20upon&temperature=0.8&seed=-1&chars=x&topk=");
  assert.equal(given.only, "write");
  assert.equal(given.text("prompt", ""), "Once upon");
  assert.equal(given.number("temperature", 0.5), 0.8);
  assert.deepEqual(["seed", "chars", "topk", "missing"].map((name) => given.number(name, 7)), [7, 7, 7, 7]);
  assert.equal(readAddress("").only, null);
});

test("more surprise is more orange, and weights have 65 colours", () => {
  assert.equal(surpriseTint(null), "transparent");
  assert.equal(surpriseTint(5), "rgba(230,120,0,0.700)");
  assert.equal(surpriseTint(NaN), "rgba(230,120,0,0.000)");
  const palette = weightPalette();
  assert.deepEqual([palette.length, palette[0], palette[64]], [65, "#00224e", "#fee838"]);
});

test("a cut's key tells it from every other", () => {
  assert.equal(cutKey({ kind: "head", layer: 1, head: 2 }), "head.1.2");
  assert.equal(cutKey({ kind: "block", layer: 0 }), "block.0");
  assert.equal(cutKey({ kind: "mask" }), "mask");
});
