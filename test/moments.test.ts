import { pathToFileURL } from "node:url";
import test, { type ExecutionContext } from "ava";
import { type Activations, MomentsAccumulator } from "llama-steer";
import { type CapturedRows, captured } from "./support/captured-rows.js";
import { expectCode } from "./support/expect-code.js";
import { maxDifference } from "./support/numbers.js";
import { inRepository } from "./support/paths.js";
import { referenceMoments } from "./support/reference-moments.js";
import { runScript } from "./support/run-script.js";
import { chatContext } from "./support/testbed.js";

const width = 128;
const layers = [1, 3];

/** Checks an accumulator of two groups against all that was folded into it. */
function checkAgainst(
    t: ExecutionContext,
    moments: MomentsAccumulator,
    all: readonly CapturedRows[],
    what: string,
): void {
    const groups = all.flatMap((each) => [...each.groups]);
    const weights = all.flatMap((each) => [...each.weights]);
    for (const layer of moments.layers) {
        const rows = all.flatMap((each) => [...each.activations.layer(layer)]);
        for (const group of [0, 1]) {
            const expected = referenceMoments(rows, width, weights, (row) => groups[row] === group);
            const scale = expected.covariance.reduce((a, b) => Math.max(a, Math.abs(b)));
            const close = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-12 * Math.abs(b);
            t.is(moments.count(layer, group), expected.count, what);
            t.true(close(moments.weight(layer, group), expected.weight), what);
            t.true(close(moments.effectiveSamples(layer, group), expected.weight ** 2 / expected.squares), what);
            t.true(maxDifference(moments.mean(layer, group), expected.mean) < 1e-11, what);
            t.true(maxDifference(moments.covariance(layer, group), expected.covariance) < 1e-11 * scale, what);
            const unbiased = expected.covariance.map(
                (each) => each / (1 - expected.squares / expected.weight / expected.weight),
            );
            const options = { unbiased: true };
            t.true(maxDifference(moments.covariance(layer, group, options), unbiased) < 2e-11 * scale, what);
            const diagonal = unbiased.filter((_, i) => i % (width + 1) === 0);
            t.true(maxDifference(moments.variance(layer, group, options), diagonal) < 2e-11 * scale, what);
        }
    }
}

const two = { layers, width, groups: 2 };

test("moments of real captures are those of the definition, over several additions", async (t) => {
    const all = await Promise.all([captured(40, 1), captured(1, 2), captured(150, 4)]);
    const moments = new MomentsAccumulator(two);
    for (const { activations, ...options } of all) {
        await moments.add(activations, options);
    }
    checkAgainst(t, moments, all, "in turn");
    t.deepEqual([moments.layers, moments.width, moments.groups, moments.secondMoment], [layers, width, 2, "full"]);

    const merged = new MomentsAccumulator(two);
    for (const { activations, ...options } of all.toReversed()) {
        const part = new MomentsAccumulator(two);
        await part.add(activations, options);
        merged.merge(part);
        part.dispose();
    }
    checkAgainst(t, merged, all, "merged in reverse order");
});

test("a live capture is folded where it is, and float32 weights and one group for all do as well", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const capture = context.capture({ layers: [0, 1, 2, 3], rows: "last-prompt" });
    const moments = new MomentsAccumulator({ ...two, layers: [0, 3], secondMoment: "diagonal" });
    const rows: number[] = [];
    for (let i = 0; i < 20; i++) {
        await sequence.clear();
        await sequence.evaluate(Int32Array.of(5, 6, 7 + i));
        rows.push(...capture.layer(3));
        await moments.add(capture, { groups: 1, weights: Float32Array.of(0.5) });
    }
    const expected = referenceMoments(rows, width, new Float64Array(20).fill(0.5));
    t.is(moments.count(3, 1), 20);
    t.is(moments.count(3), 0);
    t.is(moments.weight(3, 1), 10);
    t.true(maxDifference(moments.mean(3, 1), expected.mean) < 1e-12);
    const diagonal = expected.covariance.filter((_, i) => i % (width + 1) === 0);
    t.true(maxDifference(moments.variance(3, 1), diagonal) < 1e-11);
    await context.dispose();
});

test("rows of float16 count as the numbers that their bits stand for", async (t) => {
    const path = pathToFileURL(inRepository("dist/native.js")).href;
    interface NativeMoments {
        add(data: Uint16Array, options: object): { promise: Promise<string> };
        mean(layer: number, group: number, into: Float64Array): Float64Array;
        variance(layer: number, group: number, into: Float64Array, unbiased: boolean): Float64Array;
    }
    const { native } = (await import(path)) as { native: { createMoments(options: object): NativeMoments } };
    const moments = native.createMoments({ layers: Int32Array.of(0, 1), width: 2, groups: 1, secondMoment: 2 });
    // Blocks of two rows of room; layer 0 reads the second block, layer 1 the first.
    const data = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7bff, 0x3800, 0x3400, 0x4200, 0xb400);
    const options = { slots: Int32Array.of(1, 0), capacity: 2, rows: 2, groups: 0 };
    for (const each of [data, new Uint16Array(new SharedArrayBuffer(16))]) {
        each.set(data);
        await moments.add(each, options).promise;
    }
    const pair = new Float64Array(2);
    t.deepEqual(moments.mean(0, 0, pair), Float64Array.of((0.5 + 3) / 2, 0));
    t.deepEqual(moments.variance(0, 0, pair, false), Float64Array.of(1.25 ** 2, 0.25 ** 2));
    t.deepEqual(moments.mean(1, 0, pair), Float64Array.of((1 + 2 ** -24) / 2, (65504 - 2) / 2));
});

test("additions without await are all done, in call order, and what is read meanwhile is refused", async (t) => {
    const parts = await Promise.all([captured(30, 1), captured(60, 2), captured(20, 3)]);
    const add = (moments: MomentsAccumulator, part: CapturedRows): Promise<void> =>
        moments.add(part.activations, { groups: part.groups, weights: part.weights });
    const [together, inTurn] = [new MomentsAccumulator(two), new MomentsAccumulator(two)];
    const order: number[] = [];
    const work = parts.map((part, i) => add(together, part).then(() => order.push(i)));
    const other = new MomentsAccumulator(two);
    const reads = [
        () => together.count(1),
        () => together.mean(1),
        () => together.variance(1),
        () => together.covariance(1),
        () => together.toBytes(),
        () => together.merge(other),
        () => other.merge(together),
    ];
    for (const read of reads) {
        await expectCode(t, "INVALID_ARGUMENT", read, /await/);
    }
    await Promise.all(work);
    t.deepEqual(order, [0, 1, 2]);
    for (const part of parts) {
        await add(inTurn, part);
    }
    t.deepEqual(together.toBytes(), inTurn.toBytes());
});

test("rows, groups and weights may be transferred away once they are given", async (t) => {
    const { activations, groups, weights } = await captured(50, 1);
    const [expected, moments] = [new MomentsAccumulator(two), new MomentsAccumulator(two)];
    await expected.add(activations, { groups, weights });
    const work = moments.add(activations, { groups, weights });
    const buffers = [activations.data.buffer, groups.buffer, weights.buffer] as ArrayBuffer[];
    structuredClone(buffers, { transfer: buffers });
    await work;
    t.deepEqual(moments.toBytes(), expected.toBytes());
    await expectCode(t, "BUFFER_DETACHED", () => moments.add(activations, {}), /transferred/);
});

test("an abort leaves no trace, whenever it comes", async (t) => {
    const { activations, ...options } = await captured(250, 2);
    const moments = new MomentsAccumulator(two);
    await moments.add(activations, options);
    const before = moments.toBytes();
    const once = await sizeOf(moments, activations, options);
    const reason = new Error("enough");
    await expectCode(t, "ABORTED", () => moments.add(activations, { ...options, signal: AbortSignal.abort(reason) }));
    let aborted = 0;
    for (let i = 0; i < 12; i++) {
        const controller = new AbortController();
        const fresh = MomentsAccumulator.fromBytes(before);
        const first = fresh.add(activations, { ...options, signal: controller.signal });
        const second = fresh.add(activations, { ...options, signal: controller.signal });
        for (let turn = 0; turn < i; turn++) {
            await new Promise((resolve) => setImmediate(resolve));
        }
        controller.abort(reason);
        const outcomes = await Promise.allSettled([first, second]);
        const done = outcomes.filter((each) => each.status === "fulfilled").length;
        aborted += 2 - done;
        t.is(fresh.count(1), once * (1 + done));
        if (done === 0) {
            t.deepEqual(fresh.toBytes(), before);
        }
        for (const outcome of outcomes) {
            if (outcome.status === "rejected") {
                t.deepEqual([outcome.reason.code, outcome.reason.cause], ["ABORTED", reason]);
            }
        }
    }
    t.true(aborted > 0);
});

/** Rows of group 0 that one addition counts. */
async function sizeOf(like: MomentsAccumulator, activations: Activations, options: object): Promise<number> {
    const once = new MomentsAccumulator({ ...two, layers: like.layers, secondMoment: "none" });
    await once.add(activations, options);
    return once.count(1);
}

test("memory does not grow with the rows, and the process may end in the midst of an addition", async (t) => {
    const folds = await runScript(
        `import { loadModel, MomentsAccumulator } from "llama-steer";
         import { setFlagsFromString } from "node:v8";
         import { runInNewContext } from "node:vm";
         setFlagsFromString("--expose-gc");
         const collect = runInNewContext("gc");
         const model = await loadModel("models/testbed/valdoria-chat.gguf");
         const context = await model.createContext({ threads: 1 });
         const capture = context.capture({ layers: [1, 2] });
         await context.sequence().evaluate(new Int32Array(200).fill(5));
         const copy = capture.copy();
         const moments = new MomentsAccumulator({ layers: [1, 2], width: 128 });
         const run = async () => {
             for (let i = 0; i < 300; i++) {
                 await moments.add(capture);
                 await moments.add(copy);
                 new MomentsAccumulator({ layers: [1, 2], width: 128 }).dispose();
             }
             for (let i = 0; i < 5; i++) {
                 collect();
                 await new Promise((done) => setTimeout(done, 10));
             }
             return process.memoryUsage().rss / 2 ** 20;
         };
         await run();
         const before = await run();
         console.log((await run()) - before, moments.count(1));
         moments.add(capture);
         process.exit(0);`,
    );
    t.deepEqual([folds.code, folds.signal, folds.stderr], [0, null, ""]);
    const [growth, rows] = folds.stdout.split(" ").map(Number);
    t.log(`${growth?.toFixed(1)} MiB`);
    t.true((growth as number) < 30);
    t.is(rows, 360_000);
});

test("a worker may be terminated in the midst of additions", async (t) => {
    const inWorker = `
        import { parentPort } from "node:worker_threads";
        import { loadModel, MomentsAccumulator } from "llama-steer";
        const model = await loadModel("models/testbed/valdoria-chat.gguf");
        const context = await model.createContext({ threads: 1 });
        const capture = context.capture({ layers: [1, 2] });
        await context.sequence().evaluate(new Int32Array(200).fill(5));
        const moments = new MomentsAccumulator({ layers: [1, 2], width: 128 });
        const work = Array.from({ length: 200 }, () => moments.add(capture));
        parentPort.postMessage("adding");
        await Promise.all(work);`;
    const outcome = await runScript(
        `import { once } from "node:events";
         import { Worker } from "node:worker_threads";
         for (let i = 0; i < 3; i++) {
             const worker = new Worker(${JSON.stringify(inWorker)}, { eval: true });
             await once(worker, "message");
             await worker.terminate();
         }
         console.log("still here");`,
    );
    t.deepEqual(outcome, { code: 0, signal: null, stdout: "still here\n", stderr: "" });
});
