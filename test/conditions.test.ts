import test from "ava";
import { type Comparison, type Condition, type Context, type Sequence, SteeringVector } from "llama-steer";
import { maxDifference, randomVector } from "./support/numbers.js";
import { chatContext, chatModel, question, questions } from "./support/testbed.js";

// A condition measured at layer 2 decides about layer 5: which rows of layer 5 are moved says what was decided.

const width = 128;
const vector = new SteeringVector([5], randomVector(width, 1));
const conditionVector = new SteeringVector([2], randomVector(width, 2));
const compare = (threshold: number, rest: Partial<Comparison> = {}): Comparison => ({
    vector: conditionVector,
    layer: 2,
    threshold,
    ...rest,
});
const encode = async (text: string): Promise<Int32Array> => (await chatModel()).encodePrompt(question(text));

/** Rows of layers 2 and 5 of a prompt and, one by one, of tokens of an answer. */
async function rowsOf(
    sequence: Sequence,
    text: string,
    answer: readonly number[],
): Promise<Record<2 | 5, Float32Array[]>> {
    const capture = sequence.context.capture({ layers: [2, 5], capacity: 64 });
    const found: Record<2 | 5, Float32Array[]> = { 2: [], 5: [] };
    const keep = (): void => {
        for (const layer of [2, 5] as const) {
            for (let row = 0; row < capture.rowCount(layer); row++) found[layer].push(capture.row(layer, row).slice());
        }
    };
    await sequence.clear();
    await sequence.evaluate(await encode(text));
    keep();
    for (const token of answer) {
        await sequence.evaluate(Int32Array.of(token), { kind: "generated" });
        keep();
    }
    await capture.dispose();
    return found;
}

/** Which rows of layer 5 a condition let the vector move. */
async function movedRows(
    context: Context,
    when: Condition,
    text: string,
    answer: readonly number[] = [],
): Promise<boolean[]> {
    const sequence = context.sequence();
    const plain = await rowsOf(sequence, text, answer);
    const steering = sequence.steer(vector, { strength: 2, when });
    const steered = await rowsOf(sequence, text, answer);
    steering.remove();
    await sequence.dispose();
    return plain[5].map((row, i) => maxDifference(row, steered[5][i] as Float32Array) > 0.5);
}

function cosine(row: Float32Array): number {
    const direction = conditionVector.data;
    const sum = (f: (i: number) => number): number => row.reduce((total, _, i) => total + f(i), 0);
    const product = sum((i) => (row[i] as number) * (direction[i] as number));
    const lengths = sum((i) => (row[i] as number) ** 2) * sum((i) => (direction[i] as number) ** 2);
    return product / Math.sqrt(lengths);
}

async function cosines(context: Context, text: string, answer: readonly number[] = []): Promise<number[]> {
    const sequence = context.sequence();
    const rows = await rowsOf(sequence, text, answer);
    await sequence.dispose();
    return rows[2].map(cosine);
}

const middle = (values: readonly number[]): number => {
    const sorted = [...values].sort((a, b) => a - b);
    const at = Math.floor(sorted.length / 2);
    return ((sorted[at - 1] as number) + (sorted[at] as number)) / 2;
};

test("decided for every token by its own row, alone and combined", async (t) => {
    const context = await chatContext();
    const answer = [7, 8, 9, 10];
    const measured = await cosines(context, questions[0], answer);
    const threshold = middle(measured);
    const [third, second] = [...measured].sort((a, b) => a - b).slice(-3, -1) as [number, number];
    const high = (third + second) / 2;
    const above = measured.map((each) => each > threshold);
    t.true(above.includes(true) && above.includes(false));
    const moved = (when: Condition): Promise<boolean[]> => movedRows(context, when, questions[0], answer);
    t.deepEqual(await moved(compare(threshold)), above);
    t.deepEqual(
        await moved(compare(threshold, { compare: "below" })),
        above.map((each) => !each),
    );
    t.deepEqual(
        await moved({ not: compare(threshold) }),
        above.map((each) => !each),
    );
    const beyond = measured.map((each) => each > high);
    t.deepEqual(
        await moved({ all: [compare(threshold), { not: compare(high) }] }),
        above.map((each, i) => each && !beyond[i]),
    );
    t.deepEqual(
        await moved({ any: [compare(high), { not: compare(threshold) }] }),
        above.map((each, i) => !each || (beyond[i] as boolean)),
    );
    await context.dispose();
});

test("decided by the prompt, for its last token and the answer", async (t) => {
    for (const batchSize of [512, 5]) {
        const context = await chatContext({ batchSize });
        const answer = [7, 8, 9];
        const count = (await encode(questions[1])).length;
        const measured = (await cosines(context, questions[1])).slice(0, count);
        const mean = measured.reduce((sum, each) => sum + each, 0) / count;
        const last = measured.at(-1) as number;
        const cases: [Partial<Comparison>, number][] = [
            [{ decide: "last-prompt" }, last],
            [{ decide: "prompt-mean" }, mean],
            [{ decide: "prompt-any" }, Math.max(...measured)],
        ];
        for (const [rest, value] of cases) {
            for (const [threshold, acts] of [
                [value - 1e-4, true],
                [value + 1e-4, false],
            ] as const) {
                const moved = await movedRows(context, compare(threshold, rest), questions[1], answer);
                const expected = Array.from({ length: count + 3 }, (_, i) => acts && i >= count - 1);
                t.deepEqual(moved, expected, `${rest.decide}, ${acts}, passes of ${batchSize}`);
            }
        }
        await context.dispose();
    }
});

test("every sequence of a batch decides for itself", async (t) => {
    const context = await chatContext({ sequences: 4 });
    const values: number[] = [];
    for (const text of questions) values.push((await cosines(context, text)).at(-1) as number);
    const threshold = middle(values);
    const capture = context.capture({ layers: [5], rows: "last-prompt" });
    const run = async (steered: boolean): Promise<Float32Array[]> => {
        const sequences = questions.map(() => context.sequence());
        if (steered) {
            for (const each of sequences)
                each.steer(vector, { strength: 2, when: compare(threshold, { decide: "last-prompt" }) });
        }
        const entries = await Promise.all(
            questions.map(async (text, i) => ({ sequence: sequences[i] as Sequence, tokens: await encode(text) })),
        );
        await context.evaluate(entries);
        const rows = questions.map((_, i) => capture.row(5, i).slice());
        await Promise.all(sequences.map((each) => each.dispose()));
        return rows;
    };
    const [plain, steered] = [await run(false), await run(true)];
    const moved = plain.map((row, i) => maxDifference(row, steered[i] as Float32Array) > 0.5);
    t.deepEqual(
        moved,
        values.map((value) => value > threshold),
    );
    t.true(moved.includes(true) && moved.includes(false));
    await context.dispose();
});

test("a second prompt decides anew", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const values: number[] = [];
    for (const text of [questions[0], questions[1]]) values.push(await lastCosine(context, sequence, text));
    t.true(values[0] !== values[1]);
    const between = ((values[0] as number) + (values[1] as number)) / 2;
    const first = (values[0] as number) > between;
    sequence.steer(vector, { strength: 2, when: compare(between, { decide: "last-prompt" }) });
    const capture = context.capture({ layers: [5] });
    const row = async (tokens: Int32Array, kind: "prompt" | "generated"): Promise<Float32Array> => {
        await sequence.evaluate(tokens, { kind });
        return capture.row(5, capture.rowCount(5) - 1).slice();
    };
    const decisions: boolean[] = [];
    for (const text of [questions[0], questions[1], questions[0]]) {
        await sequence.clear();
        const tokens = await encode(text);
        const moved = await row(tokens, "prompt");
        const generated = await row(Int32Array.of(9), "generated");
        const [steering] = sequence.steering;
        (steering as { strength: number }).strength = 0;
        await sequence.clear();
        decisions.push(maxDifference(await row(tokens, "prompt"), moved) > 0.5);
        t.is(maxDifference(await row(Int32Array.of(9), "generated"), generated) > 0.5, decisions.at(-1) as boolean);
        (steering as { strength: number }).strength = 2;
    }
    t.deepEqual(decisions, [first, !first, first]);
    await context.dispose();
});

test("what a prompt decided is forgotten with it", async (t) => {
    const context = await chatContext();
    const capture = context.capture({ layers: [5], capacity: 64 });
    const tokens = await encode(questions[0]);
    const answerRows = async (first: Int32Array | undefined, strength: number): Promise<Float32Array> => {
        const sequence = context.sequence();
        const when = compare(-1, { decide: "last-prompt" });
        sequence.steer(vector, { strength, when });
        if (first !== undefined) {
            await sequence.evaluate(first);
            await sequence.clear();
        }
        // Tokens of an answer without a prompt, beyond where the prompt ended.
        await sequence.evaluate(new Int32Array(tokens.length + 3).fill(9), { kind: "generated" });
        const row = capture.row(5, tokens.length + 2).slice();
        await sequence.dispose();
        return row;
    };
    const plain = await answerRows(undefined, 0);
    t.is(maxDifference(await answerRows(tokens, 2), plain), 0);
    t.is(maxDifference(await answerRows(undefined, 2), plain), 0);
    await context.dispose();
});

async function lastCosine(context: Context, sequence: Sequence, text: string): Promise<number> {
    const capture = context.capture({ layers: [2], rows: "last-prompt" });
    await sequence.clear();
    await sequence.evaluate(await encode(text));
    const value = cosine(capture.row(2, 0));
    await capture.dispose();
    return value;
}
