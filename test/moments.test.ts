import test, { type ExecutionContext } from "ava";
import { type Activations, MomentsAccumulator } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { maxDifference, randomNumbers } from "./support/numbers.js";
import { referenceMoments } from "./support/reference-moments.js";
import { runScript } from "./support/run-script.js";
import { chatContext } from "./support/testbed.js";

const width = 128;
const layers = [1, 3];

/** Captured rows of one layer with a group and a weight each, as a reference is computed of them. */
interface Folded {
    activations: Activations;
    groups: Int32Array;
    weights: Float64Array;
}

/** Real activations of random tokens; what is captured is copied to memory of its own, or left where it is shared. */
async function captured(rows: number, seed: number): Promise<Folded> {
    const context = await chatContext();
    const capture = context.capture({ layers: [1, 2, 3], capacity: rows + 3 });
    const random = randomNumbers(seed);
    await context.sequence().evaluate(Int32Array.from({ length: rows }, () => 3 + Math.floor(random() * 800)));
    const activations = seed % 2 === 0 ? capture : capture.copy();
    await context.dispose();
    return {
        activations,
        groups: Int32Array.from({ length: rows }, () => Math.floor(random() * 3) - 1),
        weights: Float64Array.from({ length: rows }, (_, i) => (i % 6 === 5 ? 0 : 0.2 + random())),
    };
}

/** Checks an accumulator of two groups against all that was folded into it. */
function checkAgainst(t: ExecutionContext, moments: MomentsAccumulator, all: readonly Folded[], what: string): void {
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
    const capture = context.capture({ layers: [0, 1, 2, 3], rows: "last" });
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

test("additions without await are all done, in call order, and what is read meanwhile is refused", async (t) => {
    const parts = await Promise.all([captured(30, 1), captured(60, 2), captured(20, 3)]);
    const add = (moments: MomentsAccumulator, part: Folded): Promise<void> =>
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

test("what does not fit is refused, and nothing of it is added", async (t) => {
    const { activations, groups, weights } = await captured(30, 1);
    const moments = new MomentsAccumulator(two);
    await moments.add(activations, { groups, weights });
    const before = moments.toBytes();
    const changed = <Numbers extends Int32Array | Float64Array>(numbers: Numbers, value: number): Numbers => {
        const copy = numbers.slice() as Numbers;
        copy[4] = value;
        return copy;
    };
    const add = (options: object, from = activations): (() => unknown) => {
        return () => moments.add(from, options);
    };
    await expectCode(t, "INVALID_ARGUMENT", add({ groups: 2 }), /groups .* 0 to 1/);
    await expectCode(t, "INVALID_ARGUMENT", add({ groups: changed(groups, 2) }), /groups\[4\] is 2/);
    await expectCode(t, "INVALID_ARGUMENT", add({ groups: changed(groups, -2) }), /leaves a row out/);
    await expectCode(t, "INVALID_ARGUMENT", add({ weights: changed(weights, -1) }), /weights\[4\] is -1/);
    await expectCode(t, "NOT_FINITE", add({ weights: changed(weights, Number.NaN) }), /weights\[4\]/);
    await expectCode(t, "WIDTH_MISMATCH", add({ groups: groups.subarray(1) }), /29 values for 30 rows/);
    await expectCode(t, "WIDTH_MISMATCH", add({ weights: weights.subarray(1) }), /29 values for 30 rows/);
    const broken = activations.copy();
    broken.layer(3)[5 * width + 7] = Number.POSITIVE_INFINITY;
    await expectCode(t, "NOT_FINITE", add({}, broken), /layer 3: rows\[row 5, column 7\] is infinity/);
    t.deepEqual(moments.toBytes(), before);

    await expectCode(
        t,
        "LAYER_OUT_OF_RANGE",
        () => new MomentsAccumulator({ layers: [1, 9], width }).add(activations),
        /no layer 9/,
    );
    await expectCode(
        t,
        "WIDTH_MISMATCH",
        () => new MomentsAccumulator({ layers, width: 64 }).add(activations),
        /128 .* 64/,
    );
    const context = await chatContext();
    const uneven = context.capture();
    await context.sequence().evaluate(Int32Array.of(5, 6, 7), { logits: "last" });
    const all = new MomentsAccumulator({ layers: uneven.layers, width });
    await expectCode(t, "INVALID_ARGUMENT", () => all.add(uneven), /different numbers of rows \(3 and 1\)/);
    const last = new MomentsAccumulator({ layers: uneven.layers.slice(-1), width });
    await last.add(uneven);
    t.is(last.count(uneven.layers.at(-1) as number), 1);
    await context.dispose();
});

test("what cannot be read or merged is refused", async (t) => {
    const { activations } = await captured(3, 1);
    const moments = new MomentsAccumulator(two);
    await moments.add(activations, { groups: Int32Array.of(0, -1, -1) });
    await expectCode(t, "EMPTY_CLASS", () => moments.mean(1, 1), /layer 1, group 1/);
    await expectCode(t, "LAYER_OUT_OF_RANGE", () => moments.mean(2), /no layer 2/);
    await expectCode(t, "INVALID_ARGUMENT", () => moments.mean(1, 2), /group/);
    await expectCode(t, "INVALID_ARGUMENT", () => moments.covariance(1, 0, { unbiased: true }), /two rows/);
    t.true(moments.covariance(1).every((each) => each === 0));
    const means = new MomentsAccumulator({ ...two, secondMoment: "none" });
    await means.add(activations);
    await expectCode(t, "INVALID_ARGUMENT", () => means.covariance(1), /no covariance/);
    await expectCode(t, "INVALID_ARGUMENT", () => means.variance(1), /no variance/);

    await expectCode(t, "INVALID_ARGUMENT", () => moments.merge(means), /second moment/);
    await expectCode(t, "INVALID_ARGUMENT", () => moments.merge(moments), /itself/);
    await expectCode(t, "INVALID_ARGUMENT", () => moments.merge(new MomentsAccumulator({ layers, width })), /groups/);
    await expectCode(t, "WIDTH_MISMATCH", () => moments.merge(new MomentsAccumulator({ ...two, width: 64 })), /64/);
    await expectCode(t, "INVALID_ARGUMENT", () => new MomentsAccumulator({ layers: [3, 1], width }), /ascending/);
});

test("bytes give the same accumulator back, and any damage is noticed", async (t) => {
    const { activations, ...options } = await captured(25, 1);
    for (const secondMoment of ["none", "diagonal", "full"] as const) {
        const moments = new MomentsAccumulator({ ...two, secondMoment });
        await moments.add(activations, options);
        const bytes = moments.toBytes();
        const back = MomentsAccumulator.fromBytes(bytes);
        t.deepEqual([back.layers, back.width, back.groups], [layers, width, 2]);
        t.is(back.secondMoment, secondMoment);
        t.deepEqual(back.mean(3, 1), moments.mean(3, 1));
        await back.add(activations, options);
        await moments.add(activations, options);
        t.deepEqual(back.toBytes(), moments.toBytes());

        const random = randomNumbers(9);
        const places = [...Array(60).keys(), ...Array.from({ length: 200 }, () => Math.floor(random() * bytes.length))];
        for (const place of [...places, bytes.length - 8, bytes.length - 1]) {
            const damaged = bytes.slice();
            damaged[place] = (damaged[place] as number) ^ (1 << Math.floor(random() * 8));
            await expectCode(t, "DATA_DAMAGED", () => MomentsAccumulator.fromBytes(damaged));
            await expectCode(t, "DATA_DAMAGED", () => MomentsAccumulator.fromBytes(bytes.subarray(0, place)));
        }
        await expectCode(t, "DATA_DAMAGED", () =>
            MomentsAccumulator.fromBytes(Uint8Array.of(...bytes.slice(0, 999), 0)),
        );
    }
});

test("memory is known before it is taken, and what cannot be had is refused with its size", async (t) => {
    const moments = new MomentsAccumulator(two);
    t.is(moments.bytes, MomentsAccumulator.bytesNeeded(two));
    t.true(moments.bytes > 4 * width ** 2 * 4 && moments.bytes < 4 * (width ** 2 + 2 * width) * 8);
    const diagonal = { ...two, secondMoment: "diagonal" } as const;
    t.is(MomentsAccumulator.bytesNeeded(diagonal), 4 * (2 * width * 8 + 24));
    const large = { layers, width: 2 ** 26 };
    t.true(MomentsAccumulator.bytesNeeded(large) > 2 ** 55);
    await expectCode(t, "OUT_OF_MEMORY", () => new MomentsAccumulator(large), /36\d+\.\d\d GB.*fewer layers/);
    await expectCode(t, "OUT_OF_MEMORY", () =>
        MomentsAccumulator.bytesNeeded({ layers, width: 2 ** 30, groups: 2 ** 30 }),
    );
});

test("after dispose everything is refused, and what was under way is rejected", async (t) => {
    const { activations, ...options } = await captured(250, 2);
    const moments = new MomentsAccumulator(two);
    const work = [1, 2, 3].map(() => moments.add(activations, options));
    moments.dispose();
    moments.dispose();
    for (const each of work.slice(1)) {
        await expectCode(t, "DISPOSED", () => each);
    }
    await work[0]?.catch((error: { code: string }) => t.is(error.code, "DISPOSED"));
    await expectCode(t, "DISPOSED", () => moments.add(activations));
    await expectCode(t, "DISPOSED", () => moments.count(1));
    await expectCode(t, "DISPOSED", () => moments.covariance(1));
    await expectCode(t, "DISPOSED", () => moments.toBytes());
    await expectCode(t, "DISPOSED", () => new MomentsAccumulator(two).merge(moments));
    {
        using short = new MomentsAccumulator(two);
        t.is(short.count(1), 0);
    }
});

test("memory does not grow with the rows, and a worker ends in the midst of an addition", async (t) => {
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
