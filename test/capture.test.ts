import { Worker } from "node:worker_threads";
import test from "ava";
import type { Activations } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { readGguf, tensorValues } from "./support/gguf.js";
import { maxDifference } from "./support/numbers.js";
import { chatModelPath } from "./support/paths.js";
import { chatContext, chatModel, exactContext, question, questions } from "./support/testbed.js";

const layers = [0, 1, 2, 3, 4, 5, 6, 7];
const lastLayer = 7;
const hiddenSize = 128;

/** Prompts of different lengths. */
async function prompts(): Promise<Int32Array[]> {
    const model = await chatModel();
    const texts = ["Where?", questions[0], "What colour is the groso fish, and which food does it like?"];
    return texts.map((text) => model.encodePrompt(question(text)));
}

interface Label {
    sequence: number;
    position: number;
    token: number;
}

function labelsOf(capture: Activations, layer: number): Label[] {
    const { sequence, position, token } = capture.labels(layer);
    return Array.from(token, (id, i) => ({
        sequence: sequence[i] as number,
        position: position[i] as number,
        token: id,
    }));
}

test("every row is labelled with its sequence, position and token", async (t) => {
    const context = await chatContext({ sequences: 3 });
    const capture = context.capture();
    t.deepEqual(capture.layers, layers);
    t.is(capture.width, hiddenSize);
    const all = await prompts();
    const sequences = all.map(() => context.sequence());
    await context.evaluate(sequences.map((sequence, i) => ({ sequence, tokens: all[i] as Int32Array })));

    const expected = all.flatMap((tokens, sequence) =>
        Array.from(tokens, (token, position) => ({ sequence, position, token })),
    );
    const order = (a: Label, b: Label): number => a.sequence - b.sequence || a.position - b.position;
    for (const layer of layers.slice(0, lastLayer)) {
        t.is(capture.rowCount(layer), expected.length);
        t.deepEqual(labelsOf(capture, layer).sort(order), expected);
    }

    await context.evaluate([
        { sequence: sequences[2] as never, tokens: Int32Array.of(11), kind: "generated" },
        { sequence: sequences[0] as never, tokens: Int32Array.of(12), kind: "generated" },
    ]);
    t.deepEqual(labelsOf(capture, 0).sort(order), [
        { sequence: 0, position: all[0]?.length, token: 12 },
        { sequence: 2, position: all[2]?.length, token: 11 },
    ]);
    await context.dispose();
});

test("labelled rows of a batch are those of each sequence alone", async (t) => {
    const context = await chatContext({ sequences: 3 });
    const capture = context.capture();
    const all = await prompts();
    const alone: Activations[] = [];
    for (const tokens of all) {
        const sequence = context.sequence();
        await sequence.evaluate(tokens);
        alone.push(capture.copy());
        await sequence.dispose();
    }
    const sequences = all.map(() => context.sequence());
    await context.evaluate(sequences.map((sequence, i) => ({ sequence, tokens: all[i] as Int32Array })));
    for (const layer of layers.slice(0, lastLayer)) {
        labelsOf(capture, layer).forEach(({ sequence, position }, row) => {
            const own = alone[sequence]?.row(layer, position) ?? new Float32Array();
            const scale = own.reduce((largest, each) => Math.max(largest, Math.abs(each)), 0);
            t.true(maxDifference(capture.row(layer, row), own) < 2e-2 * scale, `layer ${layer} row ${row}`);
        });
    }
    await context.dispose();
});

test("the last layer holds the rows whose logits were asked for", async (t) => {
    const context = await chatContext({ sequences: 2 });
    const capture = context.capture();
    const [a, b] = [context.sequence(), context.sequence()];
    await context.evaluate([
        { sequence: a, tokens: Int32Array.of(5, 6, 7), logits: "last" },
        { sequence: b, tokens: Int32Array.of(8, 9) },
    ]);
    t.is(capture.rowCount(lastLayer - 1), 5);
    t.deepEqual(labelsOf(capture, lastLayer), [{ sequence: 0, position: 2, token: 7 }]);
    await context.evaluate([{ sequence: b, tokens: Int32Array.of(3, 4), logits: "all" }]);
    t.deepEqual(
        labelsOf(capture, lastLayer).map((each) => each.position),
        [2, 3],
    );
    await context.evaluate([{ sequence: b, tokens: Int32Array.of(3, 4) }]);
    t.is(capture.rowCount(lastLayer), 0);
    t.is(capture.rowCount(0), 2);
    await context.dispose();
});

test("the last layer's row, normed and multiplied with the (tied) output matrix, gives the logits", async (t) => {
    const context = await exactContext();
    const capture = context.capture({ layers: lastLayer });
    const { logits } = await context.sequence().evaluate(Int32Array.of(5, 6, 7), { logits: "last" });
    const row = capture.row(lastLayer, 0);

    const gguf = readGguf(chatModelPath);
    const [norm, output] = [tensorValues(gguf, "output_norm.weight"), tensorValues(gguf, "token_embd.weight")];
    const meanSquare = row.reduce((sum, each) => sum + each * each, 0) / hiddenSize;
    const normed = row.map((each, i) => (each * (norm[i] as number)) / Math.sqrt(meanSquare + 1e-6));
    const expected = logits.map((_, token) =>
        normed.reduce((sum, each, i) => sum + each * (output[token * hiddenSize + i] as number), 0),
    );
    t.true(maxDifference(logits, expected) < 1e-3);
    await context.dispose();
});

test('rows "last-prompt" are the last rows of "all"', async (t) => {
    const context = await chatContext({ sequences: 3 });
    const every = context.capture();
    const last = context.capture({ rows: "last-prompt" });
    const all = await prompts();
    const sequences = all.map(() => context.sequence());
    await context.evaluate(
        sequences.map((sequence, i) => ({ sequence, tokens: all[i] as Int32Array, logits: "last" })),
    );
    t.is(last.capacity, 3);
    for (const layer of layers) {
        t.is(last.rowCount(layer), 3);
        const labels = labelsOf(every, layer);
        labelsOf(last, layer).forEach((label, row) => {
            t.is(label.position, (all[label.sequence]?.length ?? 0) - 1);
            const same = labels.findIndex(
                (each) => each.sequence === label.sequence && each.position === label.position,
            );
            t.true(maxDifference(last.row(layer, row), every.row(layer, same)) < 1e-5);
        });
    }
    await context.dispose();
});

test('rows "last-prompt" take no row of a part that more of the prompt follows', async (t) => {
    const context = await chatContext();
    const last = context.capture({ rows: "last-prompt" });
    const sequence = context.sequence();
    await sequence.evaluate(Int32Array.of(5, 6), { kind: "prompt-part" });
    t.is(last.rowCount(0), 0);
    await sequence.evaluate(Int32Array.of(7, 8), { kind: "prompt" });
    t.deepEqual(labelsOf(last, 0), [{ sequence: 0, position: 3, token: 8 }]);
    await sequence.evaluate(Int32Array.of(9), { kind: "generated" });
    t.is(last.rowCount(0), 0, "an answer has no last prompt token");
    await context.dispose();
});

test("an evaluation of several passes captures all its rows", async (t) => {
    const tokens = (await chatModel()).encodePrompt(question(`${"Please. ".repeat(20)}${questions[0]}`));
    const whole = await chatContext({ batchSize: 512 });
    const pieces = await chatContext({ batchSize: 16 });
    const inOne = whole.capture();
    const inMany = pieces.capture({ capacity: 512 });
    const last = pieces.capture({ rows: "last-prompt" });
    const before = pieces.statistics.decodes;
    await whole.sequence().evaluate(tokens, { logits: "all" });
    await pieces.sequence().evaluate(tokens, { logits: "all" });
    t.is(pieces.statistics.decodes - before, Math.ceil(tokens.length / 16));
    for (const layer of layers) {
        t.deepEqual(labelsOf(inMany, layer), labelsOf(inOne, layer));
        t.is(inMany.rowCount(layer), tokens.length);
        const scale = inOne.layer(layer).reduce((largest, each) => Math.max(largest, Math.abs(each)), 0);
        t.true(maxDifference(inMany.layer(layer), inOne.layer(layer)) < 2e-2 * scale);
        t.deepEqual(last.row(layer, 0), inMany.row(layer, tokens.length - 1));
    }
    await Promise.all([whole.dispose(), pieces.dispose()]);
});

test("more rows than there is room for are refused, and nothing of the evaluation is kept", async (t) => {
    const context = await chatContext();
    const capture = context.capture({ capacity: 4 });
    const sequence = context.sequence();
    await sequence.evaluate(Int32Array.of(1, 2, 3));
    const kept = capture.copy();
    await expectCode(t, "BUFFER_TOO_SMALL", () => sequence.evaluate(Int32Array.of(1, 2, 3, 4, 5)), /capacity/);
    t.is(sequence.position, 3);
    t.deepEqual(capture.copy(), kept);
    await sequence.evaluate(Int32Array.of(1, 2, 3, 4));
    t.is(capture.rowCount(0), 4);
    await context.dispose();
});

test("raw node names of llama.cpp are captured: after attention plus feed-forward makes the block's output", async (t) => {
    const context = await chatContext();
    const captures = ["ffn_inp", "ffn_out", "residual", "l_out"].map((site) =>
        context.capture({ site, layers: [1, 4] }),
    );
    await context.sequence().evaluate(Int32Array.of(5, 6, 7));
    const [middle, feedForward, residual, sameByRawName] = captures.map((capture) => capture.row(4, 2));
    const sum = middle?.map((each, i) => each + (feedForward?.[i] as number));
    t.true(maxDifference(sum ?? [], residual ?? []) < 1e-5);
    t.deepEqual(sameByRawName, residual);
    t.true(maxDifference(middle ?? [], residual ?? []) > 1e-2);
    await context.dispose();
});

test("a capture neither changes the logits nor is disturbed by another of the same site", async (t) => {
    const tokens = (await chatModel()).encodePrompt(question(questions[0]));
    const plain = await chatContext();
    const expected = await plain.sequence().evaluate(tokens, { logits: "all" });
    const watched = await chatContext();
    const captures = [watched.capture(), watched.capture(), watched.capture({ site: "ffn_out", layers: [2] })];
    const last = watched.capture({ rows: "last-prompt", layers: [7, 0] });
    const { logits } = await watched.sequence().evaluate(tokens, { logits: "all" });
    t.deepEqual(logits, expected.logits);
    t.deepEqual(captures[0]?.copy(), captures[1]?.copy());
    t.deepEqual(last.row(0, 0), captures[0]?.row(0, tokens.length - 1));
    t.deepEqual(last.layers, [0, 7]);
    await captures[0]?.dispose();
    await Promise.all([plain.dispose(), watched.dispose()]);
});

test("the view is live, a copy is not, and generating leaves both alone", async (t) => {
    const context = await chatContext();
    const capture = context.capture({ layers: 3 });
    const sequence = context.sequence();
    await sequence.evaluate(Int32Array.of(5, 6, 7));
    const row = capture.row(3, 0);
    const copy = capture.copy();
    const before = row.slice();
    t.deepEqual(copy.row(3, 0), before);
    await sequence.clear();
    await sequence.generate(Int32Array.of(5, 6), { maxTokens: 3 }).result();
    t.deepEqual(row, before);
    await sequence.clear();
    await sequence.evaluate(Int32Array.of(200, 201));
    t.notDeepEqual(row, before);
    t.deepEqual(copy.row(3, 0), before);
    t.is(copy.rowCount(3), 3);
    t.is(capture.rowCount(3), 2);
    await context.dispose();
});

test("rows are written into the caller's memory, plain or shared", async (t) => {
    const context = await chatContext();
    const floats = 2 * 8 * hiddenSize;
    const own = context.capture({ layers: [0, 5] });
    for (const buffer of [new ArrayBuffer(64 + 4 * floats), new SharedArrayBuffer(64 + 4 * floats)]) {
        const into = new Float32Array(buffer, 64, floats);
        const capture = context.capture({ layers: [0, 5], into });
        t.is(capture.data.buffer, into.buffer);
        t.is(capture.capacity, 8);
        const sequence = context.sequence();
        await sequence.evaluate(Int32Array.of(5, 6, 7));
        t.deepEqual(into.slice(0, 3 * hiddenSize), own.layer(0).slice());
        t.deepEqual(into.slice(8 * hiddenSize, 11 * hiddenSize), own.layer(5).slice());
        t.deepEqual(new Float32Array(buffer, 0, 16), new Float32Array(16), "nothing before the view is touched");
        t.true(into.slice(3 * hiddenSize, 8 * hiddenSize).every((each) => each === 0));
        await Promise.all([sequence.dispose(), capture.dispose()]);
    }
    await context.dispose();
});

test("a worker thread reads captured rows from the same memory", async (t) => {
    const context = await chatContext();
    const capture = context.capture({ layers: 2, capacity: 4 });
    t.true(capture.data.buffer instanceof SharedArrayBuffer);
    const worker = new Worker(
        `const { parentPort, workerData } = require("node:worker_threads");
         parentPort.on("message", (count) => parentPort.postMessage(workerData.slice(0, count)));`,
        { eval: true, workerData: capture.data },
    );
    const sequence = context.sequence();
    for (const tokens of [Int32Array.of(5, 6), Int32Array.of(300, 301)]) {
        await sequence.evaluate(tokens);
        const seen = new Promise((resolve) => worker.once("message", resolve));
        worker.postMessage(2 * hiddenSize);
        t.deepEqual(await seen, capture.layer(2).slice());
    }
    await worker.terminate();
    await context.dispose();
});
