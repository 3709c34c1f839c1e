import test from "ava";
import { fitDirection, loadModel } from "llama-steer";
import { endless } from "./support/answer.js";
import { expectCode } from "./support/expect-code.js";
import { randomVector } from "./support/numbers.js";
import { chatModelPath } from "./support/paths.js";
import { chatContext, question } from "./support/testbed.js";

const prompt = question("Where does the groso fish live?");
const reason = new Error("the user left");

test("a signal that is aborted already keeps everything from starting", async (t) => {
    const signal = AbortSignal.abort(reason);
    const context = await chatContext();
    const sequence = context.sequence();
    const calls = [
        () => loadModel(chatModelPath, { signal }),
        () => context.model.createContext({ signal }),
        () => sequence.evaluate(Int32Array.of(1), { signal }),
        () => sequence.generate(prompt, { signal }).result(),
        () => fitDirection({ ...problem(2, 8), signal }),
        async () => {
            for await (const _ of sequence.generate(prompt, { signal })) {
                t.fail("a token came");
            }
        },
    ];
    for (const call of calls) {
        const error = await expectCode(t, "ABORTED", call);
        t.is(error?.cause, reason);
    }
    t.is(sequence.position, 0);
    t.is(context.statistics.decodes, 0);
    await context.dispose();
});

test("a context whose signal aborts while it is made is given back", async (t) => {
    const model = await loadModel(chatModelPath);
    const controller = new AbortController();
    const making = model.createContext({ sequences: 8, signal: controller.signal });
    controller.abort(reason);
    const error = await expectCode(t, "ABORTED", () => making);
    t.is(error?.cause, reason);
    const context = await model.createContext();
    t.is((await context.sequence().generate(prompt, { maxTokens: 2 }).result()).tokens.length, 2);
    await model.dispose();
});

test("loading stops when its signal aborts", async (t) => {
    const controller = new AbortController();
    const fractions: number[] = [];
    const loading = loadModel(chatModelPath, { signal: controller.signal, onProgress: (each) => fractions.push(each) });
    controller.abort(reason);
    const error = await expectCode(t, "ABORTED", () => loading);
    t.is(error?.cause, reason);
});

test("loading reports its progress up to 1, and a late abort changes nothing", async (t) => {
    const controller = new AbortController();
    const fractions: number[] = [];
    const model = await loadModel(chatModelPath, {
        signal: controller.signal,
        onProgress: (fraction) => fractions.push(fraction),
    });
    controller.abort(reason);
    t.true(fractions.length > 1);
    t.is(fractions.at(-1), 1);
    t.deepEqual(
        [...fractions].sort((a, b) => a - b),
        fractions,
    );
    t.is((await model.createContext({ threads: 1 })).options.threads, 1);
    await model.dispose();
});

test("an aborted evaluation keeps nothing of itself, and its sequences answer as before", async (t) => {
    const context = await chatContext({ sequences: 2, batchSize: 16 });
    const [a, b] = [context.sequence(), context.sequence()];
    await a.evaluate(Int32Array.of(1, 2, 3));
    const entries = [a, b].map((sequence) => ({ sequence, tokens: new Int32Array(240).fill(5) }));
    let aborted = 0;
    for (let i = 0; i < 12; i++) {
        const controller = new AbortController();
        const work = context.evaluate(entries, { signal: controller.signal });
        const outcome = work.then(
            () => undefined,
            (error: unknown) => error as { code: string; cause: unknown },
        );
        // In its first moments, then later and later, until it is done before.
        for (let turn = 0; turn < i; turn++) {
            await new Promise((resolve) => setImmediate(resolve));
        }
        controller.abort(reason);
        const error = await outcome;
        if (error !== undefined) {
            aborted++;
            t.is(error.code, "ABORTED");
            t.is(error.cause, reason);
            t.deepEqual([a.position, b.position], [3, 0]);
        } else {
            await Promise.all([a.truncate(3), b.clear()]);
        }
    }
    t.true(aborted > 0);
    await a.clear();
    t.regex((await a.generate(prompt).result()).text, /sandy/);
    await context.dispose();
});

test("aborting a queued evaluation leaves the one before it alone", async (t) => {
    const context = await chatContext({ sequences: 2 });
    const [a, b] = [context.sequence(), context.sequence()];
    const controller = new AbortController();
    const first = a.evaluate(new Int32Array(200).fill(5), { logits: "last" });
    const second = b.evaluate(Int32Array.of(1), { signal: controller.signal });
    controller.abort(reason);
    const [before, after] = await Promise.allSettled([first, second]);
    t.is(before.status, "fulfilled");
    t.is(after.status, "rejected");
    t.deepEqual([a.position, b.position], [200, 0]);
    await context.dispose();
});

test("aborting one generation leaves those beside it alone", async (t) => {
    const context = await chatContext({ sequences: 2 });
    const controller = new AbortController();
    const doomed = context.sequence().generate(prompt, { logitBias: await endless(), signal: controller.signal });
    const other = context.sequence().generate(prompt);
    await doomed[Symbol.asyncIterator]().next();
    controller.abort(reason);
    await expectCode(t, "ABORTED", () => doomed.result());
    t.is((await other.result()).finishReason, "stop");
    await context.dispose();
});

test("a generation aborted before its prompt is done gives its sequence back as it was", async (t) => {
    const context = await chatContext({ batchSize: 16 });
    const sequence = context.sequence();
    await sequence.evaluate(Int32Array.of(1, 2, 3));
    const generation = sequence.generate(new Int32Array(200).fill(5));
    await generation.abort();
    await expectCode(t, "ABORTED", () => generation.result());
    t.is(sequence.position, 3);
    await context.dispose();
});

test("a fit stops when its signal aborts, and the next one runs", async (t) => {
    const controller = new AbortController();
    const fitting = fitDirection({ ...problem(24, 192), signal: controller.signal });
    setImmediate(() => controller.abort(reason));
    const error = await expectCode(t, "ABORTED", () => fitting);
    t.is(error?.cause, reason);
    t.is((await fitDirection(problem(2, 8))).layers.length, 2);
});

/** Activations of 400 prompts at `count` layers: large enough to take a while. */
function problem(count: number, width: number) {
    const rows = 400;
    return {
        activations: randomVector(count * rows * width, 1),
        layers: Array.from({ length: count }, (_, layer) => layer),
        scores: Float32Array.from({ length: rows }, (_, i) => (i % 2 === 0 ? 1 : -1)),
    };
}
