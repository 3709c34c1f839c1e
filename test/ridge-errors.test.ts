import test from "ava";
import {
    RidgeAccumulator,
    type RidgeLambda,
    ridgeBytes,
    ridgePath,
    type SolveRidgeOptions,
    solveRidge,
} from "llama-steer/ridge";
import { expectCode } from "./support/expect-code.js";
import { ridgeData } from "./support/ridge-cases.js";

const shape = {
    rows: 30,
    width: 6,
    targets: 2,
    weighted: true,
    intercept: true,
    scale: 1,
    collinear: false,
    lambda: 1,
    seed: 5,
};
const data = { ...ridgeData(shape), lambda: 1 };
const weights = data.weights as Float64Array;
const wrong = <Value>(value: unknown): Value => value as Value;

function changed<Numbers extends Float32Array | Float64Array>(source: Numbers, at: number, value: number): Numbers {
    const copy = source.slice() as Numbers;
    copy[at] = value;
    return copy;
}

test("values that are not finite are named", async (t) => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        const features = changed(data.features, 4 * 6 + 5, bad);
        await expectCode(t, "NOT_FINITE", () => solveRidge({ ...data, features }), /features\[row 4, column 5\]/);
        const targets = changed(data.targets, 7 * 2 + 1, bad);
        await expectCode(t, "NOT_FINITE", () => solveRidge({ ...data, targets }), /targets\[row 7, column 1\]/);
        const heavy = changed(weights, 2, bad);
        await expectCode(t, "NOT_FINITE", () => solveRidge({ ...data, weights: heavy }), /weights\[2\]/);
        await expectCode(t, "INVALID_ARGUMENT", () => solveRidge({ ...data, lambda: bad }), /lambda/);
    }
    const halves = new Uint16Array(12).fill(0x3c00);
    halves[7] = 0x7c00;
    const rows = { features: halves, rows: 2, width: 6, targets: Float64Array.of(1, 2), lambda: 1 };
    await expectCode(t, "NOT_FINITE", () => solveRidge(rows), /row 1, column 1/);
});

test("shapes that do not fit each other are refused with both numbers", async (t) => {
    await expectCode(t, "WIDTH_MISMATCH", () => solveRidge({ ...data, rows: 31 }), /180 numbers.*186/);
    await expectCode(t, "WIDTH_MISMATCH", () => solveRidge({ ...data, rows: 29 }), /60 numbers.*29 rows/);
    await expectCode(t, "WIDTH_MISMATCH", () => solveRidge({ ...data, weights: weights.subarray(1) }), /29 numbers/);
    await expectCode(t, "INVALID_ARGUMENT", () => solveRidge({ ...data, stride: 5 }), /stride 5 is shorter/);
    await expectCode(t, "WIDTH_MISMATCH", () => solveRidge({ ...data, stride: 7 }), /stride of 7/);
    await expectCode(t, "INVALID_ARGUMENT", () => solveRidge({ ...data, rows: 0 }), /no rows/);
    await expectCode(t, "INVALID_ARGUMENT", () => solveRidge({ ...data, width: 0 }), /no columns|stride/);
    await expectCode(t, "INVALID_ARGUMENT", () => solveRidge({ ...data, targets: new Float64Array(0) }), /targets/);
});

test("weights must be 0 or more, and not all 0", async (t) => {
    await expectCode(t, "INVALID_ARGUMENT", () => solveRidge({ ...data, weights: changed(weights, 3, -1) }), /\[3\]/);
    await expectCode(
        t,
        "EMPTY_CLASS",
        () => solveRidge({ ...data, weights: new Float64Array(30) }),
        /all weights are 0/,
    );
});

test("lambda must make the system solvable", async (t) => {
    await expectCode(t, "INVALID_ARGUMENT", () => solveRidge({ ...data, lambda: -1e-9 }), /lambda/);
    const few = { ...data, weights: weights.map((each, i) => (i < 6 ? each : 0)) };
    await expectCode(t, "SINGULAR_MATRIX", () => solveRidge({ ...few, lambda: 0 }), /lambda above 0/);
    await expectCode(t, "SINGULAR_MATRIX", () => ridgePath({ ...few, lambdas: [1, 0] }), /lambda above 0/);
    const flat = data.features.map(() => 3);
    await expectCode(t, "SINGULAR_MATRIX", () => solveRidge({ ...data, features: flat }), /singular/);
    t.is((await solveRidge({ ...few, lambda: 1e-6 })).coefficients.length, 12);
});

test("options of the wrong type are refused by name", async (t) => {
    const cases: [Partial<Record<keyof SolveRidgeOptions, unknown>>, RegExp][] = [
        [{ features: [1, 2] }, /features/],
        [{ features: new Float64Array(180) }, /features/],
        [{ targets: [1] }, /targets/],
        [{ weights: 1 }, /weights/],
        [{ rows: 1.5 }, /rows/],
        [{ width: -1 }, /width/],
        [{ lambda: "aic" }, /lambda/],
        [{ lambda: undefined }, /lambda/],
        [{ lambda: [1, 2] }, /ridgePath/],
        [{ lambdaUnit: "percent" }, /lambdaUnit/],
        [{ intercept: 1 }, /intercept/],
        [{ precision: "f16" }, /precision/],
        [{ method: "lanczos" }, /method/],
        [{ residuals: "yes" }, /residuals/],
        [{ diagnostics: 0 }, /diagnostics/],
        [{ memoryLimit: -5 }, /memoryLimit/],
        [{ onProgress: 3 }, /onProgress/],
        [{ signal: {} }, /signal/],
    ];
    for (const [change, message] of cases) {
        await expectCode(t, "INVALID_ARGUMENT", () => solveRidge(wrong({ ...data, ...change })), message);
    }
    await expectCode(t, "INVALID_ARGUMENT", () => solveRidge(wrong(undefined)), /options/);
    for (const lambdas of [[], "loo", 1, ["1"], undefined]) {
        await expectCode(t, "INVALID_ARGUMENT", () => ridgePath(wrong({ ...data, lambdas })), /lambdas/);
    }
});

test("a detached buffer is refused", async (t) => {
    const features = data.features.slice();
    structuredClone(features.buffer, { transfer: [features.buffer] });
    await expectCode(t, "BUFFER_DETACHED", () => solveRidge({ ...data, features }));
});

test("more memory than the limit is refused before the work, with both figures; copies count", async (t) => {
    const options = { rows: 30, width: 6 };
    await expectCode(t, "OUT_OF_MEMORY", () => solveRidge({ ...data, memoryLimit: 1000 }), /\d+ bytes.*1000 bytes/);
    const needed = ridgeBytes({ ...options, lambda: 1, targetCount: 2 });
    const limited = { ...data, weights: wrong<Float64Array>(undefined) };
    await solveRidge({ ...limited, memoryLimit: needed + data.features.byteLength });
    await expectCode(
        t,
        "OUT_OF_MEMORY",
        () => solveRidge({ ...limited, memoryLimit: needed + data.features.byteLength - 1 }),
        /bytes/,
    );
    const features = new Float32Array(new SharedArrayBuffer(data.features.byteLength));
    features.set(data.features);
    await solveRidge({ ...limited, features, memoryLimit: needed });
    t.is(ridgeBytes({ ...options, lambda: 1, targetCount: 2, copiedBytes: 720 }), needed + 720);
    for (const copiedBytes of [-1, 0.5, "1"]) {
        await expectCode(t, "INVALID_ARGUMENT", () => ridgeBytes(wrong({ ...options, lambda: 1, copiedBytes })));
    }
    await expectCode(t, "OUT_OF_MEMORY", () => new RidgeAccumulator({ width: 1000, memoryLimit: 5000 }), /5000 bytes/);
});

test("a signal ends a fit before and in the middle of it", async (t) => {
    const reason = new Error("enough");
    const before = await expectCode(t, "ABORTED", () => solveRidge({ ...data, signal: AbortSignal.abort(reason) }));
    t.is(before?.cause, reason);
    const rows = 3000;
    const width = 400;
    const features = new Float32Array(rows * width).map((_, i) => Math.sin(i * i));
    const targets = new Float64Array(rows).map((_, i) => i % 7);
    const stop = new AbortController();
    const fitting = solveRidge({
        features,
        rows,
        width,
        targets,
        lambda: "loo",
        signal: stop.signal,
        onProgress: () => stop.abort(reason),
    });
    const middle = await expectCode(t, "ABORTED", () => fitting);
    t.is(middle?.cause, reason);
});

test("an accumulator refuses what does not fit it and stays as it was", async (t) => {
    using rows = new RidgeAccumulator({ width: 6, targetCount: 2 });
    await rows.add(data);
    const before = await rows.solve({ lambda: 1 });
    await expectCode(t, "WIDTH_MISMATCH", () => rows.add({ ...data, width: 5 }), /5 columns/);
    const targets = data.targets.subarray(30);
    await expectCode(t, "WIDTH_MISMATCH", () => rows.add({ ...data, targets }), /1 targets/);
    await expectCode(t, "NOT_FINITE", () => rows.add({ ...data, features: changed(data.features, 0, Number.NaN) }));
    await expectCode(t, "ABORTED", () => rows.add({ ...data, signal: AbortSignal.abort() }));
    await expectCode(t, "INVALID_ARGUMENT", () => rows.merge(rows), /itself/);
    await expectCode(t, "INVALID_ARGUMENT", () => rows.merge(wrong({})), /RidgeAccumulator/);
    await expectCode(t, "WIDTH_MISMATCH", () => rows.merge(new RidgeAccumulator({ width: 7, targetCount: 2 })));
    for (const lambda of ["loo", "ledoit-wolf"] as RidgeLambda[]) {
        await expectCode(t, "INVALID_ARGUMENT", () => rows.solve({ lambda: wrong(lambda) }), /need the rows/);
    }
    t.deepEqual((await rows.solve({ lambda: 1 })).coefficients, before.coefficients);
    for (const options of [{ width: 0 }, { width: 2.5 }, { width: 3, targetCount: 0 }, undefined]) {
        await expectCode(t, "INVALID_ARGUMENT", () => new RidgeAccumulator(wrong(options)));
    }
});

test("an accumulator at work is left alone, and a disposed one refuses all", async (t) => {
    const rows = new RidgeAccumulator({ width: 6, targetCount: 2 });
    const adding = rows.add(data);
    await expectCode(t, "INVALID_ARGUMENT", () => rows.count, /at work/);
    await adding;
    t.is(rows.count, 23);
    rows.dispose();
    rows.dispose();
    await expectCode(t, "DISPOSED", () => rows.count);
    await expectCode(t, "DISPOSED", () => rows.add(data));
    await expectCode(t, "DISPOSED", () => rows.solve({ lambda: 1 }));
});
