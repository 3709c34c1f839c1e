import { closeSync, openSync, readSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import type { Activations, SteerError, SteerErrorCode } from "llama-steer";
import { type AddRidgeFileOptions, RidgeAccumulator, type RidgeSolution } from "llama-steer/ridge";
import { captured } from "./support/captured-rows.js";
import { expectCode } from "./support/expect-code.js";
import { maxDifference, randomNumbers } from "./support/numbers.js";
import { width, written } from "./support/written-capture.js";

const layer = 2;
const targetsOf = (rows: number): Float64Array => {
    const random = randomNumbers(rows);
    return Float64Array.from({ length: 2 * rows }, () => 2 * random() - 1);
};
const solved = (rows: RidgeAccumulator): Promise<RidgeSolution> => rows.solve({ lambda: 0.5 });
const accumulator = (): RidgeAccumulator => new RidgeAccumulator({ width, targetCount: 2 });

/** What the same rows come to where JavaScript hands them over. */
async function byHand(
    activations: Activations,
    targets: Float64Array,
    weights: Float64Array,
    [from, to]: readonly [number, number],
): Promise<RidgeSolution> {
    using rows = accumulator();
    const features = activations.layer(layer).slice(from * width, to * width);
    await rows.add({
        features,
        rows: to - from,
        width,
        targets: targets.slice(2 * from, 2 * to),
        weights: weights.slice(from, to),
    });
    return await solved(rows);
}

function sameFit(a: RidgeSolution, b: RidgeSolution, tolerance: number): boolean {
    return (
        maxDifference(a.coefficients, b.coefficients) < tolerance && maxDifference(a.intercept, b.intercept) < tolerance
    );
}

for (const seed of [1, 2]) {
    test(`rows of captures are fitted as they lie (${seed % 2 ? "copied" : "in shared memory"})`, async (t) => {
        const { activations, weights } = await captured(90, seed);
        const targets = targetsOf(90);
        using rows = accumulator();
        const fractions: number[] = [];
        await rows.add(activations, { layer, targets, weights, onProgress: (each) => fractions.push(each) });
        t.is(rows.count, weights.filter((each) => each > 0).length);
        t.is(fractions.at(-1), 1);
        const expected = await byHand(activations, targets, weights, [0, 90]);
        t.true(sameFit(await solved(rows), expected, 1e-15));
    });
}

for (const type of ["f32", "f16"] as const) {
    test(`rows of a ${type} file are fitted from the disk, over the bounds of shards`, async (t) => {
        const { file, weights } = await written(150, 1, type);
        const targets = targetsOf(150);
        const read = await file.read();
        for (const range of [
            [0, 150],
            [3, 17],
            [13, 47],
            [149, 150],
        ] as const) {
            const [from, to] = range;
            using rows = accumulator();
            const fractions: number[] = [];
            await rows.add(file, {
                layer,
                from,
                to,
                targets: targets.slice(2 * from, 2 * to),
                weights: weights.slice(from, to),
                onProgress: (each) => fractions.push(each),
            });
            t.is(rows.count, weights.slice(from, to).filter((each) => each > 0).length);
            t.is(fractions.at(-1), 1);
            t.deepEqual(
                fractions,
                fractions.toSorted((a, b) => a - b),
            );
            if (rows.count > 0) {
                t.true(sameFit(await solved(rows), await byHand(read, targets, weights, range), 1e-9));
            }
        }
        using whole = accumulator();
        const adding = whole.add(file, { layer, targets });
        file.dispose();
        await adding;
        t.is(whole.count, 150, "the file stays open until the rows are in");
    });
}

test("no rows change nothing", async (t) => {
    const { file, activations, weights } = await written(40, 1);
    using rows = accumulator();
    await rows.add(activations, { layer, targets: targetsOf(40), weights });
    const before = await solved(rows);
    await rows.add(file, { layer, from: 20, to: 20, targets: new Float64Array(0) });
    await rows.add(file, { layer, targets: targetsOf(40), weights: new Float64Array(40) });
    t.deepEqual((await solved(rows)).coefficients, before.coefficients);
});

test("damage, aborts and what does not fit leave an accumulator as it was", async (t) => {
    const { directory, file, activations } = await written(110, 1);
    const targets = targetsOf(110);
    using rows = accumulator();
    await rows.add(activations, { layer, targets });
    const before = await solved(rows);
    const refused = async (code: SteerErrorCode, options: object, what?: RegExp): Promise<void> => {
        await expectCode(t, code, () => rows.add(file, { layer, targets, ...options } as AddRidgeFileOptions), what);
        t.deepEqual((await solved(rows)).coefficients, before.coefficients);
    };
    await refused("WIDTH_MISMATCH", { targets: targets.subarray(2) }, /218 numbers.*110 rows/);
    await refused("WIDTH_MISMATCH", { targets: targets.subarray(110) }, /1 targets/);
    await refused("WIDTH_MISMATCH", { weights: new Float64Array(9) }, /9 numbers for 110 rows/);
    await refused("LAYER_OUT_OF_RANGE", { layer: 7 });
    await refused("INVALID_ARGUMENT", { layer: "2" }, /layer/);
    await refused("INVALID_ARGUMENT", { from: 5, to: 4 }, /from and to/);
    await refused("INVALID_ARGUMENT", { targets: [1] }, /targets/);
    await refused("INVALID_ARGUMENT", { onProgress: 1 }, /onProgress/);
    await refused("INVALID_ARGUMENT", { weights: new Float64Array(110).fill(-1) }, /weights\[0\]/);
    const spoilt = targets.slice();
    spoilt[2 * 93 + 1] = Number.NaN;
    await refused("NOT_FINITE", { targets: spoilt }, /row 93, column 1/);
    await refused("ABORTED", { signal: AbortSignal.abort() });
    // On a busy machine the rows may all be there before the abort arrives: then they count, once, and it is tried again.
    let aborted = false;
    for (let attempt = 0; attempt < 50 && !aborted; attempt++) {
        using others = accumulator();
        await others.add(activations, { layer, targets });
        const stop = new AbortController();
        const options = { layer, targets, signal: stop.signal, onProgress: () => stop.abort() };
        const error = await others.add(file, options).then(
            () => undefined,
            (reason: unknown) => reason as SteerError,
        );
        aborted = error !== undefined;
        if (aborted) {
            t.is(error?.code, "ABORTED");
            t.deepEqual((await solved(others)).coefficients, before.coefficients);
        }
    }
    t.true(aborted);
    await expectCode(t, "INVALID_ARGUMENT", () => rows.add(file, undefined as never), /options/);
    await expectCode(
        t,
        "INVALID_ARGUMENT",
        () => rows.add(activations, { layer, targets, from: 1 } as never),
        /weight 0/,
    );
    using narrow = new RidgeAccumulator({ width: width - 1, targetCount: 2 });
    await expectCode(t, "WIDTH_MISMATCH", () => narrow.add(file, { layer, targets }), /width/);

    // One bit of the last row of the last shard but one, in the middle of its rows of all layers.
    const path = join(directory, "activations-00003.safetensors");
    const handle = openSync(path, "r+");
    const at = statSync(path).size - 20 * 4 * width * 2 + 5;
    const byte = new Uint8Array(1);
    readSync(handle, byte, 0, 1, at);
    writeSync(handle, Uint8Array.of((byte[0] as number) ^ 4), 0, 1, at);
    closeSync(handle);
    let damaged = 0;
    for (const each of [1, 2, 3]) {
        using other = accumulator();
        await other.add(file, { layer: each, targets }).catch((error) => {
            t.is(error.code, "DATA_DAMAGED");
            t.is(other.count, 0);
            damaged++;
        });
    }
    t.is(damaged, 1, "one layer has the damage");
});
