import test, { type ExecutionContext } from "ava";
import {
    type Activations,
    captureDataset,
    type FindConditionOptions,
    findCondition,
    fitDirection,
    meanNorms,
    SteeringVector,
} from "llama-steer";
import { conditionRows, exactRows, type RowShape } from "./support/condition-rows.js";
import { maxDifference, randomNumbers, randomVector } from "./support/numbers.js";
import { judge, referenceCondition, referenceMeasure } from "./support/reference-condition.js";
import { chatModel, question, testbedPrompts } from "./support/testbed.js";

const tolerance = 1e-12; // relative, of float64 sums over some hundred products in another order

type Asked = FindConditionOptions & { positive: readonly Activations[]; negative: readonly Activations[] };

/** Compares each layer's condition, and the choice among them, with a search by brute force. `exact`: bit for bit. */
async function checkAgainstReference(t: ExecutionContext, asked: Asked, exact = false): Promise<void> {
    const { vector, positive, negative, measure = "cosine", compare = "either" } = asked;
    const found = await findCondition(asked);
    const sides = compare === "either" ? (["above", "below"] as const) : [compare];
    const near = exact ? 0 : tolerance;
    let best = found.layers[0];
    for (const fit of found.layers) {
        const measured = (all: readonly Activations[]): number[] =>
            all
                .flatMap((each) => exactRows(each, fit.layer))
                .map((row) => referenceMeasure(row, vector.layer(fit.layer), measure === "cosine"));
        const [right, wrong] = [measured(positive), measured(negative)];
        const expected = referenceCondition(right, wrong, sides);
        const scale = Math.max(...[...right, ...wrong].map(Math.abs), 1);
        const where = `layer ${fit.layer}: ${JSON.stringify(fit)}, not ${JSON.stringify(expected)}`;
        t.is(fit.compare, expected.compare, where);
        t.true(Math.abs(fit.threshold - expected.threshold) <= near * scale, where);
        t.true(Math.abs(fit.margin - expected.margin) <= near * 100, where);
        t.like(fit, { f1: expected.f1, precision: expected.precision, recall: expected.recall }, where);
        const mean = (values: number[]): number => values.reduce((a, b) => a + b) / values.length;
        t.true(Math.abs(fit.positiveMean - mean(right)) <= tolerance * scale, where);
        t.true(Math.abs(fit.negativeMean - mean(wrong)) <= tolerance * scale, where);
        if (best === undefined || fit.f1 > best.f1 || (fit.f1 === best.f1 && fit.margin > best.margin)) {
            best = fit;
        }
    }
    t.deepEqual(found, { ...(best as typeof found), measure, layers: found.layers });
}

test("conditions on random rows are those that trying everything finds", async (t) => {
    for (let round = 0; round < 24; round++) {
        const random = randomNumbers(round);
        const layers = [1, 4, 6];
        const width = [3, 40, 1030][round % 3] as number;
        const vector = new SteeringVector(layers, randomVector(layers.length * width, 900 + round));
        const apart = 2 * random();
        const rowsOf = (push: number): Activations => {
            const shape: RowShape = {
                layers: [0, ...layers],
                width,
                rows: [5, 3, 9, 4].map((least) => least + Math.floor(random() * 30)),
                type: round % 2 ? "f16" : "f32",
                shared: round % 4 > 1,
            };
            return conditionRows(shape, (slot, _, i) => {
                const along = slot === 0 ? 0 : (vector.layer(layers[slot - 1] as number)[i] as number);
                return random() * 4 - 1.5 + push * apart * along;
            });
        };
        await checkAgainstReference(t, {
            vector,
            positive: [rowsOf(1), rowsOf(1)],
            negative: [rowsOf(-1)],
            measure: (["cosine", "projection"] as const)[round % 2] ?? "cosine",
            compare: (["either", "above", "below"] as const)[round % 3] ?? "either",
        });
    }
});

test("rows that occur many times are counted each time, bit for bit", async (t) => {
    for (let round = 0; round < 60; round++) {
        const random = randomNumbers(round);
        const layers = [0, 3];
        const small = (): number => Math.floor(random() * 3) - 1;
        const vector = new SteeringVector(layers, Float32Array.of(1, -2, 2, 0, 3, 4));
        const shape = (): RowShape => ({ layers, width: 3, rows: 1 + Math.floor(random() * 12) });
        await checkAgainstReference(
            t,
            {
                vector,
                positive: [conditionRows(shape(), small)],
                negative: [conditionRows(shape(), small)],
                measure: round % 2 ? "cosine" : "projection",
                compare: (["either", "above", "below"] as const)[round % 3] ?? "either",
            },
            true,
        );
    }
});

/** Activations of one element a row, whose projections are the numbers themselves. */
function line(...layers: number[][]): Activations {
    const shape = { layers: layers.map((_, i) => i), width: 1, rows: layers.map((each) => each.length) };
    return conditionRows(shape, (slot, row) => layers[slot]?.[row] as number);
}

function along(layers: number): { vector: SteeringVector; measure: "projection" } {
    const numbers = Array.from({ length: layers }, (_, layer) => layer);
    return { vector: new SteeringVector(numbers, new Float32Array(layers).fill(2)), measure: "projection" };
}

test("a condition worked out by hand", async (t) => {
    const found = await findCondition({ ...along(1), positive: line([4, 6, 10]), negative: line([-10, 1, 5]) });
    // Above 2.5 hold 4, 5, 6 and 10: three of four are right, and all three are found.
    const best = { threshold: 2.5, compare: "above", f1: 6 / 7, precision: 0.75, recall: 1, margin: 3 / 20 } as const;
    const fit = { layer: 0, ...best, positiveMean: 20 / 3, negativeMean: -4 / 3 };
    t.deepEqual(found, { ...fit, measure: "projection", layers: [fit] });
});

test("of equal conditions the one with the larger margin counts, then the earlier layer", async (t) => {
    // All are told at each layer: margins of 1/5, 3/5, 3/5 of what the values span, whatever their scale.
    const positive = line([3, 5], [40, 50], [4, 5]);
    const negative = line([0, 2], [0, 10], [0, 1]);
    const found = await findCondition({ ...along(3), positive, negative });
    t.deepEqual(
        found.layers.map(({ f1, margin }) => [f1, margin]),
        [
            [1, 0.2],
            [1, 0.6],
            [1, 0.6],
        ],
    );
    t.is(found.layer, 1);
    t.is(found.threshold, 25);
    // Within a layer: 1 is positive, 0 and 4 are not. Above and below it as much is told, from 4 by the larger margin.
    const within = await findCondition({ ...along(1), positive: line([1]), negative: line([0, 4]) });
    t.like(within, { threshold: 2.5, compare: "below", f1: 2 / 3, margin: 0.75 });
});

test("values that are all equal tell nothing", async (t) => {
    for (const compare of ["above", "below", "either"] as const) {
        const found = await findCondition({ ...along(1), compare, positive: line([3, 3]), negative: line([3]) });
        const expected = { threshold: 3, f1: 0, precision: 0, recall: 0, margin: 0 };
        t.like(found, { ...expected, compare: compare === "below" ? "below" : "above" });
    }
    const zeros = { ...along(1), measure: "cosine" as const, positive: line([0]), negative: line([0]) };
    t.like(await findCondition(zeros), { threshold: 0, f1: 0 });
});

test("the side that is asked for is the side that is found", async (t) => {
    const asked = { ...along(1), positive: line([1, 2]), negative: line([3, 4]) };
    t.like(await findCondition(asked), { compare: "below", threshold: 2.5, f1: 1 });
    t.like(await findCondition({ ...asked, compare: "below" }), { compare: "below", threshold: 2.5, f1: 1 });
    // The other way round the best is to take nearly everything.
    t.like(await findCondition({ ...asked, compare: "above" }), { compare: "above", threshold: 1.5, f1: 0.4 });
});

test("layers say which are searched", async (t) => {
    const asked = { ...along(3), positive: line([1], [2], [9]), negative: line([3], [3], [3]) };
    const { layer, layers } = await findCondition({ ...asked, layers: [0, 1] });
    t.is(layer, 0);
    t.deepEqual(
        layers.map((each) => each.layer),
        [0, 1],
    );
});

test("meanNorms is the mean Euclidean norm of each layer's rows", (t) => {
    for (const type of ["f32", "f16"] as const) {
        const random = randomNumbers(8);
        const shape = { layers: [2, 5], width: 777, rows: [6, 3], type, spare: 3 };
        const activations = conditionRows(shape, () => random() * 6 - 2);
        const expected = activations.layers.map((layer) => {
            const norms = exactRows(activations, layer).map((row) => Math.hypot(...row));
            return Math.fround(norms.reduce((a, b) => a + b) / norms.length);
        });
        const found = meanNorms(activations);
        t.is(found.length, 2);
        t.true(maxDifference(found, expected) <= 1e-5, `${found}, not ${expected}`); // an ulp of float32 at 50 is 4e-6
    }
    t.deepEqual(meanNorms(line([3, -4], [0])), Float32Array.of(3.5, 0));
});

test("on the test-bed a condition tells prompts about mischief that it was not found on", async (t) => {
    const model = await chatModel();
    const prompts = testbedPrompts();
    const capture = (set: string, split: string): Promise<Activations> =>
        captureDataset(
            model,
            prompts.filter((each) => each.set === set && each.split === split).map((each) => question(each.prompt)),
            { contexts: 1, threads: 1 },
        );
    const [positive, negative] = [await capture("preserve", "fit"), await capture("neutral", "fit")];
    const { layers } = positive;
    const together = layers.map((layer) => [...positive.layer(layer), ...negative.layer(layer)]);
    const [harmful, harmless] = [positive.rowCount(0), negative.rowCount(0)];
    const scores = Float32Array.from({ length: harmful + harmless }, (_, i) => (i < harmful ? 1 : -1));
    const activations = Float32Array.from(together.flat());
    const { vector } = await fitDirection({ activations, layers: [...layers], scores, method: "md" });

    for (const measure of ["cosine", "projection"] as const) {
        const found = await findCondition({ vector, positive, negative, measure });
        t.true(found.f1 > 0.95, `${measure}: F1 ${found.f1} where it was found`);
        const values = async (set: string): Promise<number[]> =>
            exactRows(await capture(set, "eval"), found.layer).map((row) =>
                referenceMeasure(row, vector.layer(found.layer), measure === "cosine"),
            );
        const { f1 } = judge(await values("preserve"), await values("neutral"), found);
        t.log(
            `${measure}: layer ${found.layer}, F1 ${found.f1.toFixed(4)} where it was found, ${f1.toFixed(4)} held out`,
        );
        t.true(f1 > 0.95, `${measure}: F1 ${f1} held out`);
    }
});
