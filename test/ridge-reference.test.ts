import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import test from "ava";
import { RidgeAccumulator, solveRidge } from "llama-steer/ridge";
import { inRepository } from "./support/paths.js";
import { type RidgeCase, ridgeData } from "./support/ridge-cases.js";

interface Reference {
    versions: Record<string, string>;
    cases: RidgeCase[];
}

const script = inRepository("test/reference/ridge_reference.py");
const stored: Reference = JSON.parse(readFileSync(inRepository("test/reference/ridge-reference.json"), "utf8"));
const epsilon = 2 ** -52;

/** |a - b| / |b| */
function relativeDistance(a: ArrayLike<number>, b: readonly number[]): number {
    const sum = b.reduce((total, each, i) => total + ((a[i] as number) - each) ** 2, 0);
    return a.length === b.length ? Math.sqrt(sum) / Math.hypot(...b) : Number.POSITIVE_INFINITY;
}

/** 1e-8, or, beyond a condition number of 1e6, what the reference itself loses: 10 condition * 2^-52. */
const tolerance = (each: RidgeCase): number => Math.max(1e-8, 10 * each.condition * epsilon);

const name = (each: RidgeCase): string =>
    `${each.rows} x ${each.width}, ${each.targets} targets, scale ${each.scale}, lambda ${each.lambda}` +
    `${each.weighted ? ", weighted" : ""}${each.intercept ? ", intercept" : ""}${each.collinear ? ", collinear" : ""}`;

for (const each of stored.cases) {
    test(`equals scikit-learn and SciPy: ${name(each)}`, async (t) => {
        const data = ridgeData(each);
        const { intercept } = each;
        const got = await solveRidge({ ...data, lambda: each.alpha, lambdaUnit: "absolute", intercept });
        t.true(relativeDistance(got.coefficients, each.sklearn) <= tolerance(each));
        t.true(relativeDistance(got.coefficients, each.scipy) <= tolerance(each));
        each.intercepts.forEach((a, i) => {
            t.true(Math.abs((got.intercept[i] as number) - a) <= tolerance(each) * (1 + Math.abs(a)));
        });
        const relative = await solveRidge({ ...data, lambda: each.lambda, intercept });
        t.true(Math.abs(relative.alpha / each.alpha - 1) < 1e-10, "relative lambda");
        const single = await solveRidge({ ...data, lambda: each.lambda, intercept, precision: "f32" });
        t.true(relativeDistance(single.coefficients, each.sklearn) <= tolerance(each), "float32, refined");
        const quick = await solveRidge({ ...data, lambda: each.lambda, intercept, diagnostics: false });
        t.true(relativeDistance(quick.coefficients, each.sklearn) <= tolerance(each), "without diagnostics");
        if (each.loo !== undefined) {
            t.true(relativeDistance(got.looError ?? [], each.loo) < 1e-8, "leave-one-out");
        }
    });

    const { oas: oasReference, ledoitWolf } = each;
    if (oasReference !== undefined && ledoitWolf !== undefined) {
        test(`shrinkage equals scikit-learn's: ${name(each)}`, async (t) => {
            const data = ridgeData(each);
            if (each.width > 1) {
                const oas = await solveRidge({ ...data, lambda: "oas" });
                t.true(Math.abs((oas.shrinkage as number) - oasReference) < 1e-8);
                const expected = oasReference / (1 - oasReference);
                t.true(Math.abs(oas.lambda - expected) < 1e-8 * (1 + expected));
                using rows = new RidgeAccumulator({ width: each.width, targetCount: each.targets });
                await rows.add(data);
                t.true(Math.abs(((await rows.solve({ lambda: "oas" })).shrinkage as number) - oasReference) < 1e-8);
            }
            const shrunk = await solveRidge({ ...data, lambda: "ledoit-wolf" });
            t.true(Math.abs((shrunk.shrinkage as number) - ledoitWolf) < 1e-8);
        });
    }
}

test("the stored values are what scikit-learn and SciPy give today", (t) => {
    const { status, stdout, stderr } = spawnSync("python3", [script], { encoding: "utf8", maxBuffer: 1 << 26 });
    const debian =
        status === 0 ? undefined : spawnSync("/usr/bin/python3", [script], { encoding: "utf8", maxBuffer: 1 << 26 });
    const text = status === 0 ? stdout : debian?.status === 0 ? debian.stdout : undefined;
    if (text === undefined) {
        t.log(
            `skipped: install python3-sklearn and python3-scipy to compare live (${stderr.trim().split("\n").at(-1)})`,
        );
        t.pass();
        return;
    }
    const live: Reference = JSON.parse(text);
    t.is(live.cases.length, stored.cases.length);
    live.cases.forEach((each, i) => {
        const before = stored.cases[i] as RidgeCase;
        t.true(relativeDistance(each.sklearn, before.sklearn) <= tolerance(before), name(each));
        t.true(relativeDistance(each.scipy, before.scipy) <= tolerance(before), name(each));
        t.true(Math.abs((each.ledoitWolf ?? 0) - (before.ledoitWolf ?? 0)) < 1e-8);
        t.true(Math.abs((each.oas ?? 0) - (before.oas ?? 0)) < 1e-8);
    });
});
