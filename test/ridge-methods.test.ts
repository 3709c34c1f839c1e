import test from "ava";
import { backend, ridgePath, setThreads, solveRidge, threads } from "llama-steer/ridge";
import { expectCode } from "./support/expect-code.js";
import { maxDifference, randomNumbers } from "./support/numbers.js";

// Large enough that products with the rows are worth their while.
const rows = 1700;
const width = 1500;
const features = new Float32Array(new SharedArrayBuffer(4 * rows * width));
const targets = new Float64Array(2 * rows);
const random = randomNumbers(11);
for (let i = 0; i < rows; i++) {
    const common = 6 * random() - 3;
    for (let j = 0; j < width; j++) {
        features[i * width + j] = 2 * random() - 1 + common * ((j % 5) - 2) + 1;
    }
    targets[2 * i] = common + random();
    targets[2 * i + 1] = (features[i * width] as number) - 2 * (features[i * width + 7] as number);
}
const first = targets.filter((_, i) => i % 2 === 0);
const data = { features, rows, width, targets: first };
const quick = { diagnostics: false } as const;
const largest = (values: Float64Array): number => values.reduce((most, each) => Math.max(most, Math.abs(each)), 0);

test("without diagnostics one target is solved by products with the rows, to the same solution", async (t) => {
    const weights = Float64Array.from({ length: rows }, (_, i) => (i % 9 === 4 ? 0 : 0.5 + (i % 3)));
    for (const intercept of [true, false]) {
        const given = { ...data, ...quick, weights, intercept, lambda: 1, residuals: true };
        const fast = await solveRidge(given);
        const exact = await solveRidge({ ...given, method: "matrix", precision: "f64" });
        t.is(fast.solver, "lanczos");
        t.is(exact.solver, "cholesky");
        t.is(fast.form, "primal");
        t.true(maxDifference(fast.coefficients, exact.coefficients) < 1e-9 * largest(exact.coefficients));
        t.true(maxDifference(fast.intercept, exact.intercept) < 1e-8);
        t.true(maxDifference(fast.residuals ?? [], exact.residuals ?? []) < 1e-8);
        t.true(Math.abs(fast.alpha / exact.alpha - 1) < 1e-12);
        t.true(Math.abs(fast.lambda - 1) < 1e-12);
        t.true(Math.abs(fast.condition - (width + 1)) < 1e-6, "(tr(G) + alpha) / alpha");
        t.is(fast.degreesOfFreedom, undefined);
        t.is(fast.looError, undefined);
    }
});

test("a path comes from one space, and equals its lambdas one by one", async (t) => {
    const lambdas = Array.from({ length: 12 }, (_, i) => 10 ** (2 - i / 4));
    const path = await ridgePath({ ...data, ...quick, lambdas });
    const exact = await ridgePath({ ...data, ...quick, lambdas: [100, 10 ** (2 - 11 / 4)], method: "matrix" });
    t.deepEqual([...new Set(path.map((each) => each.solver))], ["lanczos"]);
    for (const [at, i] of [
        [0, 0],
        [11, 1],
    ] as const) {
        const expected = exact[i]?.coefficients as Float64Array;
        t.true(maxDifference(path[at]?.coefficients ?? [], expected) < 1e-9 * largest(expected));
    }
});

test("what is expected to take longer than a factor, or asks for diagnostics, gets a factor", async (t) => {
    const single = backend() === "builtin" ? "f64" : "f32";
    const small = { features: features.subarray(0, 90 * 40), rows: 90, width: 40, targets: first.subarray(0, 90) };
    const few = await solveRidge({ ...small, ...quick, lambda: 1 });
    t.deepEqual([few.solver, few.precision], ["cholesky", single]);
    const told = await solveRidge({ ...small, lambda: 1 });
    t.deepEqual([told.solver, told.precision], ["cholesky", "f64"]);
    t.true((told.degreesOfFreedom as number) > 1 && told.looError?.length === 1);
    t.true(maxDifference(few.coefficients, told.coefficients) < 1e-12 * largest(told.coefficients));
    const tiny = await solveRidge({ ...small, ...quick, lambda: 1e-9 });
    t.deepEqual([tiny.solver, tiny.precision], ["cholesky", "f64"], "float32 would not be bound to converge");
});

test.serial("threads can be set, and change no more than rounding", async (t) => {
    const before = threads();
    t.true(before >= 1);
    const fits = [];
    for (const count of [1, 3]) {
        setThreads(count);
        t.is(threads(), count);
        fits.push(await solveRidge({ ...data, ...quick, lambda: 1 }));
    }
    const [one, three] = fits.map((each) => each.coefficients) as [Float64Array, Float64Array];
    t.true(maxDifference(one, three) < 1e-11 * largest(one));
    for (const wrong of [-1, 1.5, 1025, "2", undefined]) {
        await expectCode(t, "INVALID_ARGUMENT", () => setThreads(wrong as never), /count/);
    }
    setThreads(0);
    t.is(threads(), before);
});
