import test from "ava";
import { fitDirection, ridgeBackend } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { type FitSample, fitLayers, fitProblem, rowsOfLayer } from "./support/fit-problem.js";
import { dot, type ReferenceProblem, type Row, referenceFit } from "./support/reference-fit.js";

const layers = fitLayers;

/** |a - b| / |b|. */
function relativeDistance(a: Row, b: Row): number {
    const difference = Array.from(b, (each, i) => (a[i] as number) - each);
    return Math.sqrt(dot(difference, difference) / dot(b, b));
}

const samples: FitSample[] = [
    { width: 24, rows: 200, preserved: 40 },
    { width: 48, rows: 30, preserved: 12 },
];
const settings: Pick<ReferenceProblem, "method" | "lambda" | "preserveMode" | "threshold">[] = [
    { method: "md", lambda: 1, preserveMode: "none", threshold: 0.1 },
    { method: "md", lambda: 1, preserveMode: "project-out", threshold: 0.1 },
    { method: "rmd", lambda: 1, preserveMode: "none", threshold: 0.1 },
    { method: "wrmd", lambda: 0.02, preserveMode: "none", threshold: 0.1 },
    { method: "wrmd", lambda: 1, preserveMode: "none", threshold: 0.4 },
    { method: "wrmd", lambda: 1, preserveMode: "covariance-within", threshold: 0.1 },
    { method: "wrmd", lambda: 1, preserveMode: "covariance-pooled", threshold: 0.1 },
    { method: "wrmd", lambda: 1, preserveMode: "project-out", threshold: 0.1 },
    { method: "wrmd", lambda: 100, preserveMode: "covariance-pooled", threshold: 0 },
];

for (const setting of settings) {
    const { method, lambda, preserveMode, threshold } = setting;
    test(`${method}, lambda ${lambda}, preserve ${preserveMode}, threshold ${threshold}: as by the book to 1e-6`, async (t) => {
        for (const sample of samples) {
            const { preserve, ...options } = fitProblem(sample);
            const withPreserve = preserveMode === "none" ? {} : { preserve };
            const fit = await fitDirection({ ...options, ...withPreserve, ...setting });
            t.deepEqual(fit.vector.layers, layers);
            t.is(fit.vector.hiddenSize, sample.width);
            layers.forEach((layer, slot) => {
                const expected = referenceFit({
                    ...setting,
                    rows: rowsOfLayer(options.activations, slot, sample.width),
                    scores: [...options.scores],
                    ...(preserveMode === "none" ? {} : { preserve: rowsOfLayer(preserve, slot, sample.width) }),
                });
                const distance = relativeDistance(fit.vector.layer(layer), expected.direction);
                t.true(distance < 1e-6, `layer ${layer}: ${distance}`);
                const facts = fit.layers[slot];
                t.is(facts?.layer, layer);
                t.true(Math.abs((facts?.gap ?? 0) / expected.gap - 1) < 1e-6);
                t.true(Math.abs((facts?.lambda ?? -1) - expected.lambda) <= 1e-9 * expected.lambda);
                const counted = [...options.scores].filter((each) => each > threshold).length;
                t.is(facts?.refusing, counted);
                t.is((facts?.refusing ?? 0) + (facts?.complying ?? 0) + (facts?.neutral ?? 0), sample.rows);
                t.is(facts?.preserved, preserveMode === "none" ? 0 : sample.preserved);
            });
        }
    });
}

test("the vector is as long as the gap: strength 1 carries one class mean onto the other along it", async (t) => {
    const { preserve: _, ...options } = fitProblem(samples[0] as FitSample);
    const { vector, layers: facts } = await fitDirection({
        ...options,
        preserveMode: "none",
        preserve: undefined as never,
    });
    layers.forEach((layer, slot) => {
        const direction = vector.layer(layer);
        const length = Math.sqrt(dot(direction, direction));
        t.true(Math.abs(length / (facts[slot]?.gap ?? 0) - 1) < 1e-6);
        const mean = (belongs: (score: number) => boolean): number => {
            const rows = rowsOfLayer(options.activations, slot, 24);
            const weights = rows.map((_, i) =>
                belongs(options.scores[i] as number) ? Math.abs(options.scores[i] as number) : 0,
            );
            const sum = rows.reduce((total, row, i) => total + (weights[i] as number) * dot(row, direction), 0);
            return sum / weights.reduce((total, each) => total + each, 0) / length;
        };
        const gap = mean((score) => score > 0.1) - mean((score) => score < -0.1);
        t.true(Math.abs(gap / length - 1) < 1e-5);
        t.true((facts[slot]?.auc ?? 0) > 0.9);
        t.true((facts[slot]?.cohensD ?? 0) > 1);
        t.true((facts[slot]?.correlation ?? 0) > 0.5);
    });
});

test("shared and plain memory give the same fit, bit for bit, and progress goes up to 1", async (t) => {
    const { preserve: _, ...options } = fitProblem(samples[0] as FitSample);
    const shared = new Float32Array(new SharedArrayBuffer(options.activations.byteLength));
    shared.set(options.activations);
    const fractions: number[] = [];
    const plain = await fitDirection({ ...options, onProgress: (fraction) => fractions.push(fraction) });
    const same = await fitDirection({ ...options, activations: shared });
    t.deepEqual(same.vector.data, plain.vector.data);
    t.deepEqual(same.layers, plain.layers);
    t.deepEqual(
        fractions.map((each) => Math.round(each * 3)),
        [1, 2, 3],
    );
});

test("changing or transferring the activations during a fit changes nothing", async (t) => {
    const { preserve: _, ...options } = fitProblem(samples[0] as FitSample);
    const expected = await fitDirection(options);
    const own = options.activations.slice();
    const fitting = fitDirection({ ...options, activations: own });
    structuredClone(own.buffer, { transfer: [own.buffer] });
    t.deepEqual((await fitting).vector.data, expected.vector.data);
});

test("data that cannot be fitted is refused with its code", async (t) => {
    const { preserve, ...options } = fitProblem(samples[1] as FitSample);
    const { activations, scores } = options;
    const changed = (data: Float32Array, index: number, value: number): Float32Array => {
        const copy = data.slice();
        copy[index] = value;
        return copy;
    };
    const all = (value: number): Float32Array => new Float32Array(scores.length).fill(value);

    await expectCode(t, "EMPTY_CLASS", () => fitDirection({ ...options, scores: all(1) }));
    const numbered = { ...options, layers: options.layers.map((_, i) => 5 + 2 * i) };
    await expectCode(t, "EMPTY_CLASS", () => fitDirection({ ...numbered, scores: all(1) }), /^layer 5: /);
    await expectCode(t, "EMPTY_CLASS", () => fitDirection({ ...options, scores: all(-1) }));
    await expectCode(t, "EMPTY_CLASS", () => fitDirection({ ...options, scores: all(0) }));
    await expectCode(t, "EMPTY_CLASS", () => fitDirection({ ...options, threshold: 0.99 }));
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
        await expectCode(t, "NOT_FINITE", () =>
            fitDirection({ ...options, activations: changed(activations, 77, bad) }),
        );
        await expectCode(t, "NOT_FINITE", () => fitDirection({ ...options, preserve: changed(preserve, 5, bad) }));
        await expectCode(t, "NOT_FINITE", () => fitDirection({ ...options, lambda: bad }));
        await expectCode(t, "NOT_FINITE", () => fitDirection({ ...options, threshold: bad }));
        await expectCode(t, "NOT_FINITE", () => fitDirection({ ...options, scores: changed(scores, 3, bad) }));
    }
    await expectCode(t, "WIDTH_MISMATCH", () => fitDirection({ ...options, activations: activations.subarray(1) }));
    await expectCode(t, "WIDTH_MISMATCH", () => fitDirection({ ...options, activations: new Float32Array(0) }));
    await expectCode(t, "WIDTH_MISMATCH", () => fitDirection({ ...options, scores: scores.subarray(1) }));
    await expectCode(t, "WIDTH_MISMATCH", () => fitDirection({ ...options, preserve: preserve.subarray(1) }));
    await expectCode(t, "WIDTH_MISMATCH", () => fitDirection({ ...options, preserve: new Float32Array(0) }));
    await expectCode(
        t,
        "INVALID_ARGUMENT",
        () => fitDirection({ ...options, scores: changed(scores, 3, 1.5) }),
        /\[-1, 1\]/,
    );
    await expectCode(t, "INVALID_ARGUMENT", () => fitDirection({ ...options, lambda: -1 }), /lambda/);
    await expectCode(t, "INVALID_ARGUMENT", () => fitDirection({ ...options, threshold: 1 }), /threshold/);
    await expectCode(t, "EMPTY_CLASS", () => fitDirection({ ...options, preserveMode: "project-out" }), /preserve/);
    await expectCode(
        t,
        "INVALID_ARGUMENT",
        () => fitDirection({ ...options, preserve, preserveMode: "none" }),
        /preserve/,
    );
    await expectCode(t, "INVALID_ARGUMENT", () => fitDirection({ ...options, layers: [3, 2, 1] }), /ascending/);
    await expectCode(t, "SINGULAR_MATRIX", () => fitDirection({ ...options, lambda: 0 }), /lambda/);
    const same = new Float32Array(activations.length).fill(1);
    await expectCode(t, "INVALID_ARGUMENT", () => fitDirection({ ...options, activations: same }), /coincide/);
    t.is((await fitDirection(options)).layers.length, 3);
});

test("fits side by side give what each gives alone", async (t) => {
    const { preserve: _, ...options } = fitProblem(samples[0] as FitSample);
    const alone = await fitDirection(options);
    const together = await Promise.all(Array.from({ length: 6 }, () => fitDirection(options)));
    for (const fit of together) {
        t.true(relativeDistance(fit.vector.data, alone.vector.data) < 1e-6);
    }
});

test("the linear algebra in use has a name", (t) => {
    t.regex(ridgeBackend(), /^\w/);
});
