import test from "ava";
import { MomentsAccumulator, ridgeBackend } from "llama-steer";
import { backend, RidgeAccumulator, ridgeBytes, ridgePath, solveRidge } from "llama-steer/ridge";
import { toHalf } from "./support/half.js";
import { activationsOf } from "./support/numbered-activations.js";
import { maxDifference } from "./support/numbers.js";
import { ridgeData } from "./support/ridge-cases.js";

const shape = {
    rows: 90,
    width: 8,
    targets: 2,
    weighted: true,
    intercept: true,
    scale: 1,
    collinear: false,
    lambda: 0.3,
    seed: 77,
};
const data = ridgeData(shape);

/** Predictions x·b + a of row `i` for target `t`. */
function predicted(solution: { coefficients: Float64Array; intercept: Float64Array }, i: number, t: number): number {
    let sum = solution.intercept[t] as number;
    for (let j = 0; j < data.width; j++) {
        sum += (data.features[i * data.width + j] as number) * (solution.coefficients[t * data.width + j] as number);
    }
    return sum;
}

test("a solution tells all that was asked for, and its gradient is 0", async (t) => {
    const solution = await solveRidge({ ...data, lambda: 0.3, residuals: true });
    t.is(solution.coefficients.length, 16);
    t.is(solution.form, "primal");
    t.is(solution.precision, "f64");
    t.true(Math.abs(solution.lambda - 0.3) < 1e-12 && solution.condition > 1);
    t.true((solution.degreesOfFreedom as number) > 1 && (solution.degreesOfFreedom as number) < 9);
    t.is(solution.looError?.length, 2);
    t.is(solution.shrinkage, undefined);
    const weights = data.weights as Float64Array;
    for (const target of [0, 1]) {
        let intercept = 0;
        const gradient = new Float64Array(data.width);
        for (let i = 0; i < data.rows; i++) {
            const residual = (data.targets[i * 2 + target] as number) - predicted(solution, i, target);
            t.true(Math.abs(residual - (solution.residuals?.[i * 2 + target] as number)) < 1e-12);
            intercept += (weights[i] as number) * residual;
            for (let j = 0; j < data.width; j++) {
                const x = data.features[i * data.width + j] as number;
                gradient[j] = (gradient[j] as number) + (weights[i] as number) * residual * x;
            }
        }
        t.true(Math.abs(intercept) < 1e-10);
        gradient.forEach((each, j) => {
            const penalty = solution.alpha * (solution.coefficients[target * data.width + j] as number);
            t.true(Math.abs(each - penalty) < 1e-9);
        });
    }
});

test("what is not asked for is not there", async (t) => {
    const solution = await solveRidge({ ...data, lambda: 0.3, diagnostics: false, intercept: false });
    t.deepEqual([solution.looError, solution.degreesOfFreedom, solution.residuals], [undefined, undefined, undefined]);
    t.deepEqual([...solution.intercept], [0, 0]);
});

test("a path equals its lambdas one by one, few or many", async (t) => {
    for (const count of [3, 15]) {
        const lambdas = Array.from({ length: count }, (_, i) => 10 ** (3 - (6 * i) / count));
        const path = await ridgePath({ ...data, lambdas });
        t.is(path.length, count);
        for (const [i, lambda] of lambdas.entries()) {
            const alone = await solveRidge({ ...data, lambda });
            t.true(maxDifference(path[i]?.coefficients ?? [], alone.coefficients) < 1e-11);
            t.true(maxDifference(path[i]?.looError ?? [], alone.looError ?? []) < 1e-10);
        }
    }
});

test("loo is at least as good as any lambda of a path", async (t) => {
    const total = (errors: Float64Array | undefined): number =>
        (errors ?? new Float64Array(0)).reduce((a, b) => a + b, 0);
    const chosen = await solveRidge({ ...data, lambda: "loo" });
    const path = await ridgePath({ ...data, lambdas: Array.from({ length: 60 }, (_, i) => 10 ** (i / 5 - 6)) });
    for (const each of path) {
        t.true(total(each.looError) >= total(chosen.looError) * (1 - 1e-6));
    }
});

test("rows in shared memory, strided or in half precision give the same", async (t) => {
    const expected = (await solveRidge({ ...data, lambda: 1 })).coefficients;
    const shared = new Float32Array(new SharedArrayBuffer(data.features.byteLength));
    shared.set(data.features);
    t.deepEqual((await solveRidge({ ...data, features: shared, lambda: 1 })).coefficients, expected);
    const stride = data.width + 3;
    const padded = new Float32Array((data.rows - 1) * stride + data.width).fill(Number.NaN);
    for (let i = 0; i < data.rows; i++) {
        padded.set(data.features.subarray(i * data.width, (i + 1) * data.width), i * stride);
    }
    t.deepEqual((await solveRidge({ ...data, features: padded, stride, lambda: 1 })).coefficients, expected);
    const halves = Uint16Array.from(data.features, toHalf);
    const half = await solveRidge({ ...data, features: halves, lambda: 1 });
    t.true(maxDifference(half.coefficients, expected) < 1e-2);
    t.false(maxDifference(half.coefficients, expected) === 0);
});

test("transferring the features during a fit changes nothing", async (t) => {
    const expected = await solveRidge({ ...data, lambda: 1 });
    const own = data.features.slice();
    const fitting = solveRidge({ ...data, features: own, lambda: 1 });
    structuredClone(own.buffer, { transfer: [own.buffer] });
    t.deepEqual((await fitting).coefficients, expected.coefficients);
});

test("progress goes up to 1", async (t) => {
    const fractions: number[] = [];
    await solveRidge({ ...data, lambda: 1, onProgress: (fraction) => fractions.push(fraction) });
    t.is(fractions.at(-1), 1);
    t.deepEqual(
        fractions,
        fractions.toSorted((a, b) => a - b),
    );
});

test("an accumulator fed in parts, in any order and merged, equals the whole", async (t) => {
    const whole = await solveRidge({ ...data, lambda: 0.3 });
    const { weights, ...plain } = data;
    const part = (from: number, to: number) => ({
        ...plain,
        features: data.features.subarray(from * data.width, to * data.width),
        targets: data.targets.subarray(from * 2, to * 2),
        weights: (weights as Float64Array).subarray(from, to),
        rows: to - from,
    });
    using first = new RidgeAccumulator({ width: 8, targetCount: 2 });
    using second = new RidgeAccumulator({ width: 8, targetCount: 2 });
    await Promise.all([first.add(part(50, 90)), second.add(part(20, 50)), second.add(part(0, 20))]);
    first.merge(second);
    t.is(first.count, 90 - 22);
    t.true(Math.abs(first.weight - (weights as Float64Array).reduce((a, b) => a + b, 0)) < 1e-12);
    const solution = await first.solve({ lambda: 0.3 });
    t.true(maxDifference(solution.coefficients, whole.coefficients) < 1e-11);
    t.true(maxDifference(solution.intercept, whole.intercept) < 1e-11);
    t.true(Math.abs((solution.degreesOfFreedom as number) - (whole.degreesOfFreedom as number)) < 1e-9);
    t.is(solution.looError, undefined);
    const path = await first.path({ lambdas: [0.3, 3] });
    t.deepEqual(path[0]?.coefficients, solution.coefficients);
});

test("moments of classes are fitted as their rows are", async (t) => {
    using moments = new MomentsAccumulator({ layers: [5], width: 8, groups: 2 });
    using rows = new RidgeAccumulator({ width: 8 });
    const zeros = new Int32Array(90);
    const labels = [{ sequence: zeros, position: zeros, token: zeros }];
    const groups = Int32Array.from({ length: 90 }, (_, i) => (i % 5 < 2 ? 1 : 0));
    t.throws(() => rows.addMoments(moments, 5, 0, 1), { code: "EMPTY_CLASS" });
    t.throws(() => rows.addMoments(moments, 4, 0, 1), { code: "LAYER_OUT_OF_RANGE" });
    t.throws(() => rows.addMoments(moments, 5, 2, 1), { code: "INVALID_ARGUMENT" });
    t.throws(() => rows.addMoments(moments, 5, 0, Float64Array.of(1, 2)), { code: "WIDTH_MISMATCH" });
    t.throws(() => rows.addMoments({} as MomentsAccumulator, 5, 0, 1), { code: "INVALID_ARGUMENT" });
    await t.throwsAsync(rows.solve({ lambda: 1 }), { code: "EMPTY_CLASS" });
    await moments.add(activationsOf("residual", [5], 8, 90, data.features, labels), { groups });
    rows.addMoments(moments, 5, 0, -1);
    rows.addMoments(moments, 5, 1, Float64Array.of(1));
    const targets = Float64Array.from(groups, (group) => (group ? 1 : -1));
    const { features, width } = data;
    const whole = await solveRidge({ features, rows: 90, width, targets, lambda: 1 });
    const solution = await rows.solve({ lambda: 1 });
    t.true(maxDifference(solution.coefficients, whole.coefficients) < 1e-11);
    t.true(maxDifference(solution.intercept, whole.intercept) < 1e-11);
});

test("the memory of a fit is known before it starts", (t) => {
    const bytes = ridgeBytes({ rows: 20000, width: 4096, lambda: 1 });
    t.true(bytes > 8 * 4096 ** 2 && bytes < 1.2 * 2 * 8 * 4096 ** 2);
    t.true(ridgeBytes({ rows: 300, width: 4096, lambda: 1 }) < bytes / 2, "the dual takes less");
    t.true(ridgeBytes({ rows: 20000, width: 4096, lambda: 1, precision: "f32" }) < bytes);
});

test("the linear algebra in use has a name", (t) => {
    t.is(backend(), ridgeBackend());
});
