import { join } from "node:path";
import test from "ava";
import { type AddFileMomentsOptions, CaptureFile, CaptureFileWriter, MomentsAccumulator } from "llama-steer";
import { captured } from "./support/captured-rows.js";
import { expectCode } from "./support/expect-code.js";
import { maxDifference } from "./support/numbers.js";
import { runScript } from "./support/run-script.js";
import { folder, same, shardRows, width, written } from "./support/written-capture.js";

const layers = [1, 3];
const two = { layers, width, groups: 2 };

/** Moments of rows [from, to) of the file, read to memory a shard at a time. */
async function byReading(file: CaptureFile, options: AddFileMomentsOptions): Promise<MomentsAccumulator> {
    const { from = 0, to = file.rows, groups, weights } = options;
    const sum = new MomentsAccumulator(two);
    for (let begin = from; begin < to; ) {
        const end = Math.min(to, (Math.floor(begin / shardRows) + 1) * shardRows);
        const classes = {
            ...(groups instanceof Int32Array ? { groups: groups.subarray(begin - from, end - from) } : {}),
            ...(weights === undefined ? {} : { weights: weights.subarray(begin - from, end - from) }),
        };
        await sum.add(await file.read({ from: begin, to: end }), classes);
        begin = end;
    }
    return sum;
}

for (const type of ["f32", "f16"] as const) {
    test(`rows of a ${type} file count as the same rows read to memory, bit for bit`, async (t) => {
        const { file, groups, weights } = await written(150, 1, type);
        for (const [from, to] of [
            [0, 150],
            [3, 17],
            [20, 40],
            [13, 47],
            [39, 41],
            [149, 150],
        ] as const) {
            const options = { from, to, groups: groups.slice(from, to), weights: weights.slice(from, to) };
            const sum = await byReading(file, options);
            const [moments, expected] = [new MomentsAccumulator(two), new MomentsAccumulator(two)];
            for (let round = 0; round < 2; round++) {
                await moments.add(file, options);
                expected.merge(sum);
            }
            t.true(same(moments.toBytes(), expected.toBytes()), `rows ${from} to ${to}`);
        }
        const [moments, expected] = [new MomentsAccumulator(two), new MomentsAccumulator(two)];
        await moments.add(file);
        expected.merge(await byReading(file, {}));
        t.true(same(moments.toBytes(), expected.toBytes()), "without groups and weights");
        const before = moments.toBytes();
        await moments.add(file, { from: 40, to: 40 });
        await moments.add(file, { groups: new Int32Array(150).fill(-1) });
        t.true(same(moments.toBytes(), before), "no rows");
        file.dispose();
    });
}

test("groups may be computed from the file's labels", async (t) => {
    const { file } = await written(50, 3);
    const moments = new MomentsAccumulator(two);
    await moments.add(file, { groups: file.labels.position.map((position) => position % 2) });
    t.deepEqual([moments.count(3, 0), moments.count(3, 1)], [25, 25]);
    await moments.add(file, { groups: 1, weights: new Float32Array(50).fill(0.5) });
    t.deepEqual([moments.count(3, 1), moments.weight(3, 1)], [75, 50]);
});

test("rows of one shard are folded as an addition from memory", async (t) => {
    const { activations, file, ...options } = await written(60, 1, "f32", 100);
    const [moments, expected] = [new MomentsAccumulator(two), new MomentsAccumulator(two)];
    for (let round = 0; round < 2; round++) {
        await moments.add(file, { groups: options.groups, weights: options.weights });
        await expected.add(activations, { groups: options.groups, weights: options.weights });
    }
    t.true(same(moments.toBytes(), expected.toBytes()));
});

test("a file of more rows than a piece", async (t) => {
    const { activations, groups, weights } = await captured(250, 2);
    const directory = join(folder.path, "large");
    const writer = await CaptureFileWriter.open(directory, { site: "residual", layers: activations.layers, width });
    const times = 160;
    for (let i = 0; i < times; i++) {
        await writer.append(activations);
    }
    await writer.close();
    const file = await CaptureFile.open(directory);
    const [moments, once] = [new MomentsAccumulator(two), new MomentsAccumulator(two)];
    await once.add(activations, { groups, weights });
    await moments.add(file, {
        groups: Int32Array.from({ length: file.rows }, (_, row) => groups[row % 250] as number),
        weights: Float64Array.from({ length: file.rows }, (_, row) => weights[row % 250] as number),
    });
    for (const layer of layers) {
        for (const group of [0, 1]) {
            t.is(moments.count(layer, group), times * once.count(layer, group));
            t.true(maxDifference(moments.mean(layer, group), once.mean(layer, group)) < 1e-11);
            const [got, expected] = [moments.covariance(layer, group), once.covariance(layer, group)];
            const scale = expected.reduce((a, b) => Math.max(a, Math.abs(b)));
            t.true(maxDifference(got, expected) < 1e-11 * scale);
        }
    }
});

test("an abort leaves no trace of a file, whenever it comes", async (t) => {
    const { file, groups, weights } = await written(250, 2);
    const moments = new MomentsAccumulator(two);
    await moments.add(file, { groups, weights });
    const before = moments.toBytes();
    const once = moments.count(1);
    const reason = new Error("enough");
    await expectCode(t, "ABORTED", () => moments.add(file, { signal: AbortSignal.abort(reason) }));
    let aborted = 0;
    for (let i = 0; i < 12; i++) {
        const controller = new AbortController();
        const fresh = MomentsAccumulator.fromBytes(before);
        const options = { groups, weights, signal: controller.signal };
        const work = [fresh.add(file, options), fresh.add(file, options)];
        for (let turn = 0; turn < i; turn++) {
            await new Promise((resolve) => setImmediate(resolve));
        }
        controller.abort(reason);
        const outcomes = await Promise.allSettled(work);
        const done = outcomes.filter((each) => each.status === "fulfilled").length;
        aborted += 2 - done;
        t.is(fresh.count(1), once * (1 + done));
        if (done === 0) {
            t.true(same(fresh.toBytes(), before));
        }
        for (const outcome of outcomes) {
            if (outcome.status === "rejected") {
                t.deepEqual([outcome.reason.code, outcome.reason.cause], ["ABORTED", reason]);
            }
        }
    }
    t.true(aborted > 0);
});

test("additions from memory and from a file keep their order without await", async (t) => {
    const { activations, file, groups, weights } = await written(150, 1);
    const [together, inTurn] = [new MomentsAccumulator(two), new MomentsAccumulator(two)];
    const order: number[] = [];
    const classes = { groups, weights };
    const sources = [activations, file, file, activations];
    const work = sources.map((source, i) => together.add(source, classes).then(() => order.push(i)));
    await expectCode(t, "INVALID_ARGUMENT", () => together.count(1), /await/);
    await Promise.all(work);
    t.deepEqual(order, [0, 1, 2, 3]);
    for (const source of sources) {
        await inTurn.add(source, classes);
    }
    t.true(same(together.toBytes(), inTurn.toBytes()));
});

test("a file may be disposed of while it is folded, and moments as well", async (t) => {
    const { directory, file, groups, weights } = await written(250, 1);
    const [moments, expected] = [new MomentsAccumulator(two), new MomentsAccumulator(two)];
    const options = { groups: groups.slice(), weights: weights.slice() };
    const work = [moments.add(file, options), moments.add(file, options)];
    file.dispose();
    options.groups.fill(7);
    options.weights.fill(Number.NaN);
    await expectCode(t, "DISPOSED", () => moments.add(file));
    await Promise.all(work);
    const again = await CaptureFile.open(directory);
    await expected.add(again, { groups, weights });
    await expected.add(again, { groups, weights });
    t.true(same(moments.toBytes(), expected.toBytes()));

    const cut = [moments.add(again), moments.add(again)];
    moments.dispose();
    await cut[0]?.catch((error: { code: string }) => t.is(error.code, "DISPOSED"));
    await expectCode(t, "DISPOSED", () => cut[1]);
    await expectCode(t, "DISPOSED", () => moments.add(again));
});

test("the rows of a file that is still written count, and a worker may end while they are folded", async (t) => {
    const directory = join(folder.path, "open");
    const { activations } = await captured(200, 1);
    const { site, layers } = activations;
    const writer = await CaptureFileWriter.open(directory, { site, layers, width });
    await writer.append(activations);
    const file = await CaptureFile.open(directory);
    await writer.append(activations);
    const moments = new MomentsAccumulator(two);
    await moments.add(file);
    t.is(moments.count(3), 200);
    await writer.close();
    await moments.add(file);
    t.is(moments.count(3), 400);
    const inWorker = `
        import { parentPort } from "node:worker_threads";
        import { CaptureFile, MomentsAccumulator } from "llama-steer";
        const file = await CaptureFile.open(${JSON.stringify(directory)});
        const moments = new MomentsAccumulator({ layers: [1, 3], width: 128 });
        const work = Array.from({ length: 300 }, () => moments.add(file));
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
