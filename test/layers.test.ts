import test from "ava";
import { type LayerSelection, SteeringVector } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { randomVector } from "./support/numbers.js";
import { sameBits } from "./support/rows.js";
import { chatContext } from "./support/testbed.js";

const all = [0, 1, 2, 3, 4, 5, 6, 7];
const width = 128;
const tokens = Int32Array.of(5, 6, 7);

/** What each selection is of 8 layers. */
const selections: readonly [selection: LayerSelection, layers: readonly number[]][] = [
    ["all", all],
    [0, [0]],
    [
        [5, 2],
        [2, 5],
    ],
    [{ from: 2, to: 5 }, [2, 3, 4, 5]],
    [{ from: 6 }, [6, 7]],
    [{ to: 1 }, [0, 1]],
    [{ from: 0 }, all],
    [{ to: 7 }, all],
    [{ from: 3, to: 3 }, [3]],
    [{ from: 0, to: 7 }, all],
    [{ depth: 0 }, [0]],
    [{ depth: 1 }, [7]],
    [{ depth: 0.5 }, [4]],
    [{ depth: 0.07 }, [0]],
    [{ depth: 0.08 }, [1]],
    [{ depth: [1, 0] }, [0, 7]],
    [{ depth: [0.25, 0.75] }, [2, 5]],
    [{ depth: [0.5, 0.51, 0.49] }, [3, 4]],
    [{ depth: { from: 0.3, to: 0.7 } }, [3, 4]],
    [{ depth: { from: 0.3 } }, [3, 4, 5, 6, 7]],
    [{ depth: { to: 0.3 } }, [0, 1, 2]],
    [{ depth: { from: 0, to: 1 } }, all],
    [{ depth: { from: 1 } }, [7]],
    [{ depth: { to: 0 } }, [0]],
    [{ depth: { from: 3 / 7, to: 3 / 7 } }, [3]],
    [{ depth: { from: 1 / 7, to: 6 / 7 } }, [1, 2, 3, 4, 5, 6]],
];

test("captures take layers by number, by range and by depth", async (t) => {
    const context = await chatContext();
    const every = context.capture();
    const captures = selections.map(([layers]) => context.capture({ layers, capacity: 3 }));
    await context.sequence().evaluate(tokens, { logits: "all" });
    for (const [i, capture] of captures.entries()) {
        const [selection, expected] = selections[i] as (typeof selections)[number];
        t.deepEqual(capture.layers, expected, JSON.stringify(selection));
        t.is(capture.data.length, expected.length * 3 * width);
        for (const layer of expected) {
            t.true(sameBits(capture.layer(layer), every.layer(layer)), JSON.stringify(selection));
        }
    }
    await context.dispose();
});

test("answers are captured at layers by range and by depth", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    for (const [layers, expected] of selections) {
        await sequence.clear();
        const capture = { layers, rows: "last-prompt" } as const;
        const { activations } = await sequence.generate(tokens, { maxTokens: 1, capture }).result();
        t.deepEqual(activations?.layers, expected, JSON.stringify(layers));
        t.deepEqual(activations?.rowCount(expected[0] as number), 1);
    }
    await context.dispose();
});

test("steering takes layers by number, by range and by depth", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const capture = context.capture();
    const vector = new SteeringVector(all, randomVector(all.length * width, 1));
    for (const [layers, expected] of selections) {
        const selected = vector.select(layers);
        t.deepEqual(selected.layers, expected, JSON.stringify(layers));
        const run = async (): Promise<Float32Array> => {
            await sequence.clear();
            await sequence.evaluate(tokens, { logits: "all" });
            return capture.copy().packed();
        };
        sequence.unsteer();
        const plain = await run();
        const steering = sequence.steer(vector, { layers });
        t.deepEqual(steering.vector.layers, expected);
        const ranged = await run();
        steering.remove();
        sequence.steer(vector, { layers: [...expected] });
        t.true(sameBits(ranged, await run()), `${JSON.stringify(layers)} is ${expected}`);
        const first = (expected[0] as number) * 3 * width;
        t.true(sameBits(ranged.subarray(0, first), plain.subarray(0, first)), "below nothing changes");
        t.false(sameBits(ranged.subarray(first, first + 3 * width), plain.subarray(first, first + 3 * width)));
    }
    await context.dispose();
});

test("a vector's layers are chosen among those it has", (t) => {
    const vector = new SteeringVector([2, 3, 5, 6], new Float32Array(4 * width));
    for (const [selection, expected] of [
        [{ from: 3 }, [3, 5, 6]],
        [{ to: 5 }, [2, 3, 5]],
        [{ from: 3, to: 5 }, [3, 5]],
        [{ depth: 0 }, [2]],
        [{ depth: 1 }, [6]],
        [{ depth: { from: 0.5 } }, [5, 6]],
    ] as const) {
        t.deepEqual(vector.select(selection).layers, expected, JSON.stringify(selection));
    }
});

test("a range of depths includes its ends, whatever division makes of them", (t) => {
    const missed: string[] = [];
    for (let last = 1; last < 130; last++) {
        const layers = Array.from({ length: last + 1 }, (_, layer) => layer);
        const vector = new SteeringVector(layers, new Float32Array(last + 1));
        for (const layer of layers) {
            const depth = { from: layer / last, to: layer / last };
            let selected: readonly number[] = [];
            try {
                selected = vector.select({ depth }).layers;
            } catch {
                // Nothing selected is refused.
            }
            if (selected.join() !== String(layer)) {
                missed.push(`${layer}/${last}: ${selected}`);
            }
        }
    }
    t.deepEqual(missed, []);
});

const wrong: readonly [selection: unknown, code: "INVALID_ARGUMENT" | "LAYER_OUT_OF_RANGE", message: RegExp][] = [
    [{}, "INVALID_ARGUMENT", /\{ from, to \}/],
    [{ begin: 1 }, "INVALID_ARGUMENT", /\{ from, to \}/],
    [{ from: 1, until: 3 }, "INVALID_ARGUMENT", /\{ from, to \}/],
    [{ from: 5, to: 2 }, "INVALID_ARGUMENT", /from 5 to 2 selects no layer/],
    [{ from: 1.5 }, "INVALID_ARGUMENT", /whole numbers/],
    [{ to: Number.NaN }, "INVALID_ARGUMENT", /whole numbers/],
    [{ from: "1" }, "INVALID_ARGUMENT", /whole numbers/],
    [{ from: null }, "INVALID_ARGUMENT", /whole numbers/],
    [{ from: -1 }, "LAYER_OUT_OF_RANGE", /0 to 7/],
    [{ to: 8 }, "LAYER_OUT_OF_RANGE", /0 to 7/],
    [{ from: 8, to: 9 }, "LAYER_OUT_OF_RANGE", /0 to 7/],
    [{ depth: -0.1 }, "INVALID_ARGUMENT", /0 to 1/],
    [{ depth: 1.01 }, "INVALID_ARGUMENT", /0 to 1/],
    [{ depth: Number.NaN }, "INVALID_ARGUMENT", /0 to 1/],
    [{ depth: "0.5" }, "INVALID_ARGUMENT", /0 to 1/],
    [{ depth: undefined }, "INVALID_ARGUMENT", /0 to 1/],
    [{ depth: null }, "INVALID_ARGUMENT", /0 to 1/],
    [{ depth: [] }, "INVALID_ARGUMENT", /no layer/],
    [{ depth: [0.5, 2] }, "INVALID_ARGUMENT", /0 to 1/],
    [{ depth: {} }, "INVALID_ARGUMENT", /depth/],
    [{ depth: { at: 0.5 } }, "INVALID_ARGUMENT", /depth/],
    [{ depth: { from: 0.8, to: 0.2 } }, "INVALID_ARGUMENT", /depth 0.8 to 0.2 selects no layer/],
    [{ depth: { from: 0.45, to: 0.55 } }, "INVALID_ARGUMENT", /selects no layer/],
    [{ depth: { from: -1 } }, "INVALID_ARGUMENT", /0 to 1/],
    [{ depth: { to: 7 } }, "INVALID_ARGUMENT", /0 to 1/],
    [{ depth: 0.5, from: 2 }, "INVALID_ARGUMENT", /depth/],
    ["last", "INVALID_ARGUMENT", /"all"/],
    [[], "INVALID_ARGUMENT", /"all"/],
    [[1, 1], "INVALID_ARGUMENT", /twice/],
];

test("wrong layers are refused by captures, answers and steering alike", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const vector = new SteeringVector(all, new Float32Array(all.length * width));
    for (const [selection, code, message] of wrong) {
        const layers = selection as LayerSelection;
        await expectCode(t, code, () => context.capture({ layers }), message);
        await expectCode(t, code, () => sequence.generate(tokens, { capture: { layers } }), message);
        await expectCode(t, code, () => sequence.steer(vector, { layers }), message);
        await expectCode(t, code, () => vector.select(layers), message);
    }
    t.deepEqual(sequence.steering, []);
    t.is(sequence.position, 0);
    await context.dispose();
});
