// The engine by itself: what holds of every model, and what is refused. That its numbers are the library's is tested beside it
// (tests/page_engine.rs).

import { test } from "node:test";
import assert from "node:assert/strict";
import { openModel } from "../engine/model.js";
import { likely, trace } from "../engine/trace.js";
import { meanLoss, surprises } from "../engine/surprise.js";
import { lens } from "../engine/lens.js";
import { cutName, cutsOf } from "../engine/cuts.js";
import { write } from "../engine/write.js";
import { byHand } from "../engine/by_hand.js";
import { backward } from "../engine/backward.js";
import { SplitMix64 } from "../engine/random.js";
import { halfNumber, numbersOf } from "../engine/numbers.js";
import { show, tiny } from "../engine/arithmetic.js";
import { normalShare } from "../engine/activation.js";
import { shownBytes, utf8, visible } from "../engine/characters.js";

const SIZES = { n_vocab: 128, context_len: 16, emb_dim: 8, n_layers: 2, n_heads: 2, n_kv_heads: 1, head_dim: 4, n_hidden: 12 };
const CHOICES = {
  positions: "rotary", weighting: "softmax", previous_head: false, norm: "layer", final_norm: true, qk_norm: true,
  activation: "gelu", bias: true, tied: true, epsilon: 1e-5, speeds: { base: 10000, slowed: null }, window: null,
  window_speeds: null, qkv_bias: true, attention_bias: true, qk_scale: true, gated: false, norms_after: true, scaled_embedding: true,
};
const TOKENIZER = { kind: "chars", n_vocab: 128 };

function shapes() {
  const { n_vocab: V, emb_dim: C, n_layers: L, n_heads: H, n_kv_heads: K, head_dim: D, n_hidden: N } = SIZES;
  const norm = (name) => [[`${name}.weight`, [C]], [`${name}.bias`, [C]]];
  const block = (name) => [
    ...["norm1", "norm2", "attn_norm", "mlp_norm"].flatMap((part) => norm(`${name}.${part}`)),
    [`${name}.attn.qkv.weight`, [(H + 2 * K) * D, C]], [`${name}.attn.qkv.bias`, [(H + 2 * K) * D]],
    [`${name}.attn.queries_norm.weight`, [D]], [`${name}.attn.keys_norm.weight`, [D]],
    [`${name}.attn.output.weight`, [C, H * D]], [`${name}.attn.output.bias`, [C]],
    [`${name}.mlp.hidden.weight`, [N, C]], [`${name}.mlp.hidden.bias`, [N]],
    [`${name}.mlp.output.weight`, [C, N]], [`${name}.mlp.output.bias`, [C]],
  ];
  return [["embedding", [V, C]], ...Array.from({ length: L }, (_, layer) => block(`block.${layer}`)).flat(), ...norm("final_norm")];
}

const kept = (numbers) => Buffer.from(numbers.buffer).toString("base64");

// A model of random numbers, as a page has it.
function pageModel(changes = {}, leaveOut = null) {
  const random = new SplitMix64(1);
  let at = 0;
  const parameters = shapes().filter(([name]) => name !== leaveOut).map(([name, shape]) => {
    const parameter = { name, shape, at };
    at += shape.reduce((product, length) => product * length, 1);
    return parameter;
  });
  const numbers = Float32Array.from({ length: at }, () => random.unit() - 0.5);
  const about = { model: "transformer", ...SIZES, ...CHOICES, tokenizer: TOKENIZER, ...changes };
  return { name: "a model", about, kind: "f32", parameters, numbers: kept(numbers) };
}

const model = openModel(pageModel());
const idsOf = (text) => model.tokenizer.encode(text).ids;

test("SplitMix64 gives the published numbers", () => {
  const random = new SplitMix64(1234567);
  const bits = () => { const [high, low] = random.bits(); return (BigInt(high) << 32n) | BigInt(low); };
  assert.deepEqual([bits(), bits(), bits()], [6457827717110365317n, 3203168211198807973n, 9817491932198370423n]);
});

test("numbers of 16 bits are read, small ones and infinite ones, too", () => {
  const bits = [0x3c00, 0xc000, 0x0001, 0x03ff, 0x7bff, 0x7c00, 0xfc00, 0x8000, 0x3555];
  assert.deepEqual(bits.map(halfNumber), [1, -2, 2 ** -24, 1023 * 2 ** -24, 65504, Infinity, -Infinity, -0, 0.333251953125]);
  assert.ok(Number.isNaN(halfNumber(0x7e00)));
  assert.deepEqual([...numbersOf(kept(new Uint16Array([0x3c00, 0xc000])), "f16")], [1, -2]);
  assert.throws(() => numbersOf("AAA=", "f32"), /write the page anew/);
});

test("the normal distribution's share is right to 1e-12", () => {
  const known = [[0, 0.5], [1, 0.841344746068543], [-1, 0.158655253931457], [3, 0.998650101968370], [-5, 2.866515718791939e-7], [9, 1]];
  for (const [x, share] of known) assert.ok(Math.abs(normalShare(x) - share) < 1e-12, `${x}: ${normalShare(x)}`);
  for (let x = 3.3; x < 3.8; x += 0.01) assert.ok(Math.abs(normalShare(x) + normalShare(-x) - 1) < 1e-14, "where the two ways meet");
});

test("the whole trace: attention sums to 1, probabilities too, and no character sees a later one", () => {
  const whole = trace(model, idsOf("Once upon a"));
  assert.equal(whole.attention.length, 2);
  const time = whole.ids.length;
  for (const weights of whole.attention) {
    assert.equal(weights.length, 2 * time * time);
    for (let row = 0; row < 2 * time; row++) {
      const sum = weights.subarray(row * time, (row + 1) * time).reduce((sum, weight) => sum + weight, 0);
      assert.ok(Math.abs(sum - 1) < 1e-6);
    }
  }
  const sum = whole.probabilitiesAt(3).reduce((sum, p) => sum + p, 0);
  assert.ok(Math.abs(sum - 1) < 1e-12);
  const other = trace(model, [...whole.ids.slice(0, 6), 65, ...whole.ids.slice(7)]);
  assert.deepEqual(whole.logits.subarray(0, 6 * 128), other.logits.subarray(0, 6 * 128));
  assert.notDeepEqual(whole.logits.subarray(6 * 128, 7 * 128), other.logits.subarray(6 * 128, 7 * 128));
});

test("surprises are −ln of the probability of what came, and their mean is the loss", () => {
  const whole = trace(model, idsOf("Once"));
  const nats = surprises(whole);
  assert.equal(nats[0], null);
  assert.ok(Math.abs(nats[2] + Math.log(whole.probabilitiesAt(1)[whole.ids[2]])) < 1e-12);
  assert.ok(Math.abs(meanLoss(whole) - (nats[1] + nats[2] + nats[3]) / 3) < 1e-12);
  assert.equal(meanLoss(trace(model, idsOf("O"))), null);
});

test("the likeliest come first, of equal ones the smaller id", () => {
  const found = likely(Float64Array.of(0.1, 0.3, 0.2, 0.3, 0.1), 3, model.tokenizer);
  assert.deepEqual(found.map(({ id }) => id), [1, 3, 2]);
  assert.equal(likely(Float64Array.of(0, 1), 1, model.tokenizer)[0].label, "\\x01");
});

test("what is written is what a whole pass foretells, also when the window slides", () => {
  for (const cuts of [[], [{ kind: "positions" }], [{ kind: "block", layer: 1 }, { kind: "head", layer: 0, head: 1 }], [{ kind: "residual", layer: 1 }], [{ kind: "mask" }]]) {
    const writer = write(model, "Once", { chars: 40, temperature: 1, seed: 3, cuts });
    for (let step = writer.next(); step; step = writer.next()) {
      const start = Math.ceil(Math.max(0, step.place - 16) / 4) * 4;
      const whole = trace(model, writer.ids.slice(start, step.place), { cuts });
      const expected = whole.probabilitiesAt(step.place - start - 1);
      const apart = expected.reduce((most, p, id) => Math.max(most, Math.abs(p - step.probabilities[id])), 0);
      assert.ok(apart < 1e-6, `${cutName(cuts)} at ${step.place}: ${apart}`);
    }
    assert.equal(writer.text.length, 44);
  }
});

test("writing ends at the stop text, after so many characters, and leaves out what the model does not know", () => {
  const writer = write(model, "a日b", { chars: 500, temperature: 1, stop: "e", seed: 1 });
  assert.ok(writer.toEnd().endsWith("e"));
  assert.deepEqual(writer.dropped, ["日"]);
  assert.ok(writer.text.startsWith("ab"));
  assert.equal(writer.next(), null);
  assert.equal(write(model, "", { chars: 5, temperature: 0 }).toEnd().length, 5);
});

test("every cut changes the logits, and the last layer of the lens predicts what the model does", () => {
  const ids = idsOf("Once upon a");
  const whole = trace(model, ids);
  for (const cut of cutsOf(model)) {
    assert.notDeepEqual(trace(model, ids, { cuts: [cut] }).logits, whole.logits, cutName(cut));
  }
  const rows = lens(whole);
  assert.equal(rows.length, 5);
  assert.equal(rows[0].step, "scaled");
  assert.ok(Math.abs(rows.at(-1).nats - meanLoss(whole)) < 1e-6);
  assert.deepEqual(rows.at(-1).predictions[4].id, likely(whole.probabilitiesAt(4), 1, model.tokenizer)[0].id);
});

test("every number of every step can be computed by hand", () => {
  const whole = trace(model, idsOf("Once u"));
  for (const { name, shape } of whole.steps.slice(1)) {
    for (const share of [0, 0.4, 1]) {
      const found = byHand(whole, name, shape.map((length) => Math.floor((length - 1) * share)));
      assert.ok(found.value === found.traced || Math.abs(found.value - found.traced) < 1e-5, `${name}: ${found.lines.join("\n")}`);
      assert.notEqual(found.title, "", name);
    }
  }
  assert.throws(() => byHand(whole, "ids", [0]), /no line of arithmetic/);
  assert.throws(() => byHand(whole, "logits", [0, 128]), /\(6, 128\)/);
});

test("a gradient tells what becomes of the loss", () => {
  const ids = idsOf("Once upon");
  const whole = backward(model, ids, { cuts: [{ kind: "head", layer: 1, head: 0 }] });
  for (const [name, { data }] of model.parameters) {
    const gradient = whole.parameterGrad(name);
    const at = gradient.reduce((best, number, at) => (Math.abs(number) > Math.abs(gradient[best]) ? at : best), 0);
    const old = data[at];
    const loss = (moved) => {
      data[at] = old + moved;
      return meanLoss(trace(model, ids, { cuts: whole.cuts }));
    };
    const slope = (loss(0.01) - loss(-0.01)) / 0.02;
    data[at] = old;
    assert.ok(Math.abs(slope - gradient[at]) < 1e-4 + 0.02 * Math.abs(slope), `${name}: ${slope} and ${gradient[at]}`);
  }
  assert.throws(() => whole.grad("ids"), /no gradient/);
  assert.throws(() => backward(model, [65]), /at least two/);
});

test("what can't be is refused with a sentence that says what to do", () => {
  assert.throws(() => trace(model, []), /type some/);
  assert.throws(() => trace(model, idsOf("Once upon a time there")), /at most 16 characters .*shorten the text/);
  assert.throws(() => trace(model, [128]), /0 to 127/);
  assert.throws(() => trace(model, idsOf("Once")).step("scores"), /no step “scores”; it has ids, embedded/);
  assert.throws(() => trace(model, [65], { cuts: [{ kind: "head", layer: 0, head: 2 }] }), /heads 0 to 1/);
  assert.throws(() => trace(model, [65], { cuts: [{ kind: "block", layer: 2 }] }), /no such part/);
  assert.throws(() => trace(model, [65], { cuts: [{ kind: "tail" }] }), /no cut of the kind tail/);
  for (const settings of [{ temperature: -1 }, { temperature: NaN }, { topK: 0 }, { topP: 0 }, { topP: 1.5 }, { stop: "" }, { stop: "日" }, { chars: -1 }, { seed: -1 }, { seed: "x" }]) {
    assert.throws(() => write(model, "Once", settings), Error, JSON.stringify(settings));
  }
  assert.throws(() => openModel(pageModel({}, "final_norm.bias")), /no final_norm.bias/);
  assert.throws(() => openModel(pageModel({ n_hidden: 13 })), /must have \(13, 8\)/);
  assert.throws(() => openModel({ ...pageModel(), numbers: "AAAA" }), /write the page anew/);
  assert.throws(() => openModel(pageModel({ model: "ngram" })), /MLP or a transformer/);
});

test("numbers are written as the library writes them", () => {
  assert.deepEqual([0, -0.5, 1e-4, -2.34567e-9, 0.03125, 0.09375, Infinity, -Infinity, NaN].map(show),
    ["0.0000", "−0.5000", "1.00e−4", "−2.35e−9", "0.0312", "0.0938", "∞", "−∞", "NaN"]);
  assert.deepEqual([tiny(0, 0), tiny(3.4e-8, 0), tiny(0.0123, 1), tiny(123.4, 1)], ["0", "3e−8", "0.012", "123"]);
});

test("what can't be seen is shown by a sign or its number", () => {
  assert.deepEqual([" ", "\n", "\t", "\u001b", "\u00a0", "\u200b", "\u0301", "é"].map(visible), ["␣", "⏎", "⇥", "\\x1b", "\\xa0", "\\u{200b}", "◌\u0301", "é"]);
  assert.equal(shownBytes(Uint8Array.of(0x20, 0xf0, 0x9f, 0x41, 0xed, 0xa0, 0x80)), "␣\\xf0\\x9fA\\xed\\xa0\\x80");
  assert.equal(shownBytes(utf8("🦀\ufffd")), "🦀\ufffd");
});

test("a text goes on from ids as they are", () => {
  const first = write(model, "abc", { chars: 5, temperature: 0 });
  first.toEnd();
  assert.equal(write(model, first.ids, { chars: 9, temperature: 0 }).toEnd(), write(model, "abc", { chars: 14, temperature: 0 }).toEnd());
  assert.deepEqual(write(model, [99, 44], { chars: 1 }).ids, [99, 44]);
});
