import test from "ava";
import { type FitDirectionOptions, fitDirection } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { fitLayers, fitProblem, rowsOfLayer } from "./support/fit-problem.js";
import { dot, type Row } from "./support/reference-fit.js";
import {
    type Classes,
    classesOf,
    logisticGradient,
    referenceLda,
    referenceOas,
    referencePca,
} from "./support/reference-methods.js";

const shape = { width: 12, rows: 60, preserved: 12 };
const { preserve, ...options } = fitProblem(shape);

const classesOfLayer = (slot: number): Classes =>
    classesOf(rowsOfLayer(options.activations, slot, shape.width), options.scores);

function distance(a: Row, b: Row): number {
    const [one, other] = [a, b].map((each) => Math.sqrt(dot(each, each)));
    const parts = Array.from(a, (each, j) => each / (one as number) - (b[j] as number) / (other as number));
    return Math.sqrt(dot(parts, parts));
}

const references: [FitDirectionOptions["method"], number, (classes: Classes) => Float64Array][] = [
    ["lda", 0.3, (classes) => referenceLda(classes, 0.3)],
    ["pca", 1, referencePca],
];

for (const [method, lambda, reference] of references) {
    test(`${method}: as by the book to 1e-6`, async (t) => {
        const fit = await fitDirection({ ...options, method: method as "lda", lambda });
        fitLayers.forEach((layer, slot) => {
            const far = distance(fit.vector.layer(layer), reference(classesOfLayer(slot)));
            t.true(far < 1e-6, `layer ${layer}: ${far}`);
            t.true((fit.layers[slot]?.gap ?? 0) > 0);
        });
        t.is(fit.vector.metadata.method, method);
        t.is(fit.vector.metadata.lambda, method === "pca" ? undefined : lambda);
    });
}

test("logistic: the gradient vanishes along the direction, and nowhere beside it", async (t) => {
    const lambda = 0.5;
    const fit = await fitDirection({ ...options, method: "logistic", lambda, lambdaUnit: "absolute" });
    t.is(fit.vector.metadata.lambdaUnit, "absolute");
    fitLayers.forEach((layer, slot) => {
        const classes = classesOfLayer(slot);
        t.is(fit.layers[slot]?.lambda, lambda);
        const direction = fit.vector.layer(layer);
        const unit = Float64Array.from(direction, (each) => each / Math.sqrt(dot(direction, direction)));
        // Its length and the intercept are not told: found by halving steps.
        const at = ([length, b]: readonly [number, number], v: Row = unit): number =>
            logisticGradient(
                classes,
                Float64Array.from(v, (each) => length * each),
                b,
                lambda,
            );
        const lowest = (v: Row): number => {
            let best: readonly [number, number] = [0.5, 0];
            for (let step = 1; step > 1e-9; ) {
                const [length, b] = best;
                const around = [-1, 0, 1].flatMap((i) =>
                    [-1, 0, 1].map((j) => [length + i * step, b + j * step] as const),
                );
                const next = around.reduce((a, c) => (at(c, v) < at(a, v) ? c : a));
                step = next === around[4] ? step / 2 : step;
                best = next;
            }
            return at(best, v);
        };
        t.true(lowest(unit) < 1e-5, `layer ${layer}: ${lowest(unit)}`);
        t.true(lowest(unit.map((each, j) => each + 0.05 * Math.cos(j))) > 1e-3);
    });
});

test("a rule chooses lambda at every layer, and the metadata name the rule", async (t) => {
    const fit = await fitDirection({ ...options, lambda: "oas" });
    fitLayers.forEach((_, slot) => {
        const expected = referenceOas(classesOfLayer(slot));
        const facts = fit.layers[slot];
        t.true(Math.abs((facts?.lambda ?? 0) / expected - 1) < 1e-9);
    });
    t.is(fit.vector.metadata.lambdaRule, "oas");
    t.is(fit.vector.metadata.lambda, undefined);
    for (const lambda of ["ledoit-wolf", "loo"] as const) {
        const { layers } = await fitDirection({ ...options, lambda });
        for (const { lambda: used, shrinkage } of layers) {
            t.true(used > 0 && shrinkage > 0 && shrinkage < 1, lambda);
        }
    }
});

test("a list of lambdas gives what each gives alone, in its order", async (t) => {
    const list = [10, 0.01, 1];
    const fits = await fitDirection({ ...options, preserve, lambda: list });
    t.is(fits.length, 3);
    for (const [i, fit] of fits.entries()) {
        const alone = await fitDirection({ ...options, preserve, lambda: list[i] as number });
        t.true(distance(fit.vector.data, alone.vector.data) < 1e-6);
        t.is(fit.vector.metadata.lambda, list[i]);
        t.deepEqual(
            fit.layers.map((each) => each.layer),
            fitLayers,
        );
    }
    t.is((await fitDirection({ ...options, lambda: [1] })).length, 1);
});

test("absolute lambda is used as it is", async (t) => {
    const { layers } = await fitDirection({ ...options, lambda: 2.5, lambdaUnit: "absolute" });
    for (const { lambda } of layers) {
        t.is(lambda, 2.5);
    }
});

test('preserveMode "both" differs from each of its halves, and methods without covariance project by default', async (t) => {
    const of = async (preserveMode: FitDirectionOptions["preserveMode"] & string): Promise<Row> =>
        (await fitDirection({ ...options, preserve, preserveMode })).vector.data;
    const [pooled, projected] = [await of("covariance-pooled"), await of("project-out")];
    const both = await of("both");
    t.true(distance(both, pooled) > 0.01);
    t.true(distance(both, projected) > 0.01);
    for (const method of ["md", "pca", "logistic"] as const) {
        const { vector } = await fitDirection({ ...options, preserve, method });
        t.is(vector.metadata.preserveMode, "project-out");
    }
});

test("what a method cannot do is refused with the reason", async (t) => {
    for (const method of ["pca", "logistic"] as const) {
        const call = (more: object) => () => fitDirection({ ...options, method, ...more });
        await expectCode(t, "INVALID_ARGUMENT", call({ lambda: "oas" }), /rule/);
        for (const preserveMode of ["covariance-within", "covariance-pooled", "both"]) {
            await expectCode(t, "INVALID_ARGUMENT", call({ preserve, preserveMode }), /covariance/);
        }
    }
    await expectCode(t, "INVALID_ARGUMENT", () => fitDirection({ ...options, method: "pca", lambda: [1, 2] }), /list/);
    await expectCode(t, "INVALID_ARGUMENT", () => fitDirection({ ...options, lambda: [] }), /empty/);
    await expectCode(t, "INVALID_ARGUMENT", () => fitDirection({ ...options, lambda: [1, -1] }), /lambda/);
    await expectCode(t, "NOT_FINITE", () => fitDirection({ ...options, lambda: [1, Number.NaN] }), /lambda/);
    await expectCode(t, "INVALID_ARGUMENT", () => fitDirection({ ...options, lambda: "aic" as "oas" }), /ledoit-wolf/);
    await expectCode(
        t,
        "SINGULAR_MATRIX",
        () => fitDirection({ ...options, method: "logistic", lambda: 0 }),
        /above 0/,
    );
    t.is((await fitDirection(options)).layers.length, 3);
});
