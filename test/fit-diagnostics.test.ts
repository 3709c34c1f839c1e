import test from "ava";
import { fitDirection } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { fitLayers, fitProblem } from "./support/fit-problem.js";

const { preserve, ...options } = fitProblem({ width: 24, rows: 60, preserved: 12 });
const diagnostics = { crossValidation: 3, bootstrap: 4, seed: 9 };

test("cheap diagnostics always come along, and are those of the direction", async (t) => {
    const { vector, layers } = await fitDirection(options);
    for (const facts of layers) {
        const squares = [...vector.layer(facts.layer)].map((each) => each ** 2).sort((a, b) => b - a);
        const sum = (count: number): number => squares.slice(0, count).reduce((total, each) => total + each, 0);
        const fourth = squares.reduce((total, each) => total + each ** 2, 0);
        // The largest 1, 2 and 3 of 24: 1 %, 5 % and 10 %, rounded up.
        facts.topShares.forEach((share, i) => {
            t.true(Math.abs(share - sum(i + 1) / sum(24)) < 1e-6);
        });
        t.true(Math.abs(facts.participation / (sum(24) ** 2 / fourth) - 1) < 1e-5);
        t.true(facts.rankCorrelation > 0.5 && facts.rankCorrelation <= 1);
        t.is(facts.heldOut, undefined);
        t.is(facts.stability, undefined);
    }
});

test("costly diagnostics come on request, repeat with their seed, and count in the progress", async (t) => {
    const fractions: number[] = [];
    const fit = await fitDirection({ ...options, diagnostics, onProgress: (fraction) => fractions.push(fraction) });
    const all = fitLayers.length * (1 + 3 + 4);
    t.deepEqual(
        fractions.map((each) => Math.round(each * all)),
        Array.from({ length: all }, (_, i) => i + 1),
    );
    for (const { heldOut, stability, auc } of fit.layers) {
        t.true((heldOut?.auc ?? 0) > 0.6 && (heldOut?.auc ?? 2) <= auc);
        t.true((heldOut?.correlation ?? 0) > 0 && (heldOut?.rankCorrelation ?? 0) > 0);
        t.true((stability ?? 0) > 0.3 && (stability ?? 2) < 1);
    }
    t.deepEqual((await fitDirection({ ...options, diagnostics })).layers, fit.layers);
    const other = await fitDirection({ ...options, diagnostics: { ...diagnostics, seed: 10 } });
    t.notDeepEqual(other.layers, fit.layers);
    t.deepEqual(other.vector.data, fit.vector.data);
});

test("diagnostics that the rows do not allow are refused", async (t) => {
    const call =
        (more: object, rest: object = {}) =>
        () =>
            fitDirection({ ...options, ...rest, diagnostics: more });
    await expectCode(t, "INVALID_ARGUMENT", call({ crossValidation: 1 }), /2 or more/);
    await expectCode(t, "INVALID_ARGUMENT", call({ bootstrap: 1 }), /2 or more/);
    await expectCode(t, "INVALID_ARGUMENT", call({ bootstrap: 1e9 }), /bootstrap/);
    await expectCode(t, "EMPTY_CLASS", call({ crossValidation: 60 }), /^layer 2: .*60 folds/);
    await expectCode(t, "EMPTY_CLASS", call({ crossValidation: 13 }, { preserve }), /preserved/);
    await expectCode(t, "INVALID_ARGUMENT", call({ seed: -1 }), /seed/);
    // 24 rows determine 16 dimensions, the fewer different ones of a resample do not.
    const { preserve: _, ...narrow } = fitProblem({ width: 16, rows: 60, preserved: 1 });
    const exact = { ...narrow, lambda: 0 };
    t.is((await fitDirection(exact)).layers.length, 3);
    await expectCode(t, "SINGULAR_MATRIX", call({ bootstrap: 20 }, exact), /^layer \d: resample \d+: /);
});

test("a fit beyond its memory budget is refused with what it needs, before it starts", async (t) => {
    let progress = 0;
    const onProgress = (): void => {
        progress++;
    };
    const error = await expectCode(t, "OUT_OF_MEMORY", () =>
        fitDirection({ ...options, memoryBudget: 1000, onProgress }),
    );
    t.is(progress, 0);
    const needed = Number(/need (\d+) bytes/.exec(error?.message ?? "")?.[1]);
    await expectCode(t, "OUT_OF_MEMORY", () => fitDirection({ ...options, memoryBudget: needed - 1 }));
    t.is((await fitDirection({ ...options, memoryBudget: needed })).layers.length, 3);
});

test("an abort ends the diagnostics, and the next fit runs", async (t) => {
    const controller = new AbortController();
    const fitting = fitDirection({
        ...options,
        diagnostics: { bootstrap: 100000 },
        signal: controller.signal,
        onProgress: () => controller.abort(),
    });
    await expectCode(t, "ABORTED", () => fitting);
    t.is((await fitDirection(options)).layers.length, 3);
});
