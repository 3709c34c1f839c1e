import test from "ava";
import { type EvaluateEntry, SteeringVector, type SteerOptions, type TokenSelection } from "llama-steer";
import { maxDifference, randomVector } from "./support/numbers.js";
import { rowAt, sameBits } from "./support/rows.js";
import { chatContext, chatModel, question, questions } from "./support/testbed.js";

const width = 128;
const middle = new SteeringVector([2], randomVector(width, 1));
const last = new SteeringVector([7], randomVector(width, 2));
const strength = -1.25;

const ids = (...tokens: number[]): Int32Array => Int32Array.from(tokens);
const conversation = async (): Promise<Int32Array> => (await chatModel()).encodePrompt(question(questions[0]));

type Part = readonly [tokens: Int32Array, kind: NonNullable<EvaluateEntry["kind"]>];

/** 17 tokens of a prompt in two parts, then an answer. */
async function parts(): Promise<Part[]> {
    const tokens = await conversation();
    return [
        [tokens.subarray(0, 8), "prompt-part"],
        [tokens.subarray(8), "prompt"],
        [ids(411, 736, 898), "generated"],
        [ids(10), "generated"],
    ];
}

/** Rows of the steered layer by position, of the parts evaluated one by one. */
async function rowsOf(
    vector: SteeringVector,
    options: SteerOptions | undefined,
    logits: NonNullable<EvaluateEntry["logits"]>,
    batchSize: number,
): Promise<Map<number, Float32Array>> {
    const [layer] = vector.layers as readonly [number];
    const context = await chatContext({ batchSize });
    const capture = context.capture({ layers: layer, capacity: 64 });
    const sequence = context.sequence();
    if (options !== undefined) {
        sequence.steer(vector, options);
    }
    const rows = new Map<number, Float32Array>();
    for (const [tokens, kind] of await parts()) {
        await sequence.evaluate(tokens, { kind, logits });
        for (const position of capture.labels(layer).position) {
            rows.set(position, rowAt(capture, layer, position).slice());
        }
    }
    await context.dispose();
    return rows;
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** What each selection takes of the 21 tokens, with the logits of all of them. */
const cases: readonly [selection: TokenSelection, positions: readonly number[]][] = [
    ["all", range(0, 20)],
    ["prompt", range(0, 16)],
    ["last-prompt", [16]],
    ["generated", range(17, 20)],
    ["last-prompt-and-generated", range(16, 20)],
    ["outputs", range(0, 20)],
    [{ positions: 5 }, [5]],
    // Where a prompt ends is known with its last part only, and an answer has no end.
    [{ positions: [0, -1, -4, -16, 19] }, [0, 13, 16, 19]],
    [{ positions: [100] }, []],
    [{ between: ["<|im_start|>", "<|im_end|>"] }, [...range(1, 11), ...range(15, 18)]],
    [{ between: [ids(897), ids(898)], withMarkers: true }, [...range(0, 12), ...range(14, 19)]],
    [{ between: [ids(492, 270), ids(582, 684)] }, range(6, 9)],
    [{ between: ["<|im_end|>", "<|im_end|>"] }, [...range(13, 18)]],
];

for (const vector of [middle, last]) {
    const [layer] = vector.layers as readonly [number];
    for (const batchSize of [512, 5]) {
        test(`layer ${layer} is steered at exactly the selected tokens, in passes of ${batchSize}`, async (t) => {
            const plain = await rowsOf(vector, undefined, "all", batchSize);
            t.is(plain.size, 21);
            for (const [tokens, selected] of cases) {
                const steered = await rowsOf(vector, { tokens, strength }, "all", batchSize);
                for (const [position, row] of plain) {
                    const name = `${JSON.stringify(tokens)} at ${position}`;
                    const now = steered.get(position) ?? new Float32Array();
                    if (selected.includes(position)) {
                        const expected = row.map((each, i) => each + strength * (vector.data[i] as number));
                        t.true(maxDifference(now, expected) < 1e-5, name);
                    } else {
                        t.true(sameBits(now, row), name);
                    }
                }
            }
        });
    }
}

test('"outputs" steers the tokens whose logits are computed', async (t) => {
    const plain = await rowsOf(middle, undefined, "last", 512);
    const steered = await rowsOf(middle, { tokens: "outputs" }, "last", 512);
    const changed = [...plain].filter(([position, row]) => !sameBits(steered.get(position) as Float32Array, row));
    t.deepEqual(
        changed.map(([position]) => position),
        [7, 16, 19, 20],
    );
});

test("two selections on one sequence add up where both take a token", async (t) => {
    const context = await chatContext();
    const capture = context.capture({ layers: 2 });
    const sequence = context.sequence();
    const tokens = await conversation();
    await sequence.evaluate(tokens);
    const plain = capture.copy();
    await sequence.clear();
    sequence.steer(middle, { tokens: { positions: [3, -1] }, strength: 2 });
    sequence.steer(middle, { tokens: { between: ["<|im_start|>", "<|im_end|>"] }, strength: -0.5 });
    await sequence.evaluate(tokens);
    for (let position = 0; position < tokens.length; position++) {
        const first = position === 3 || position === 16 ? 2 : 0;
        const second = (position >= 1 && position <= 11) || position >= 15 ? -0.5 : 0;
        const expected = plain.row(2, position).map((each, i) => each + (first + second) * (middle.data[i] as number));
        t.true(maxDifference(capture.row(2, position), expected) < 2e-5, `position ${position}`);
    }
    await context.dispose();
});

test("selections of another sequence in the same batch do not matter", async (t) => {
    const context = await chatContext({ sequences: 2 });
    const capture = context.capture({ layers: 2 });
    const [a, b] = [context.sequence(), context.sequence()];
    const tokens = await conversation();
    const evaluate = (): Promise<unknown> =>
        context.evaluate([
            { sequence: a, tokens },
            { sequence: b, tokens: tokens.subarray(0, 10) },
        ]);
    await evaluate();
    const plain = capture.copy();
    await Promise.all([a.clear(), b.clear()]);
    a.steer(middle, { tokens: { positions: [-2, 1] } });
    b.steer(middle, { tokens: { positions: -1 } });
    await evaluate();
    for (const [id, length, selected] of [
        [0, 17, [1, 15]],
        [1, 10, [9]],
    ] as const) {
        const changed = range(0, length - 1).filter(
            (position) => !sameBits(rowAt(capture, 2, position, id), rowAt(plain, 2, position, id)),
        );
        t.deepEqual(changed, [...selected]);
    }
    await context.dispose();
});
