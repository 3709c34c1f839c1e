import test from "ava";
import { type Context, type Sequence, SteeringVector } from "llama-steer";
import { maxDifference, randomVector } from "./support/numbers.js";
import { chatContext, chatModel, exactContext, question, questions } from "./support/testbed.js";

const hiddenSize = 128;
const layers = [2, 3, 5];
const vector = new SteeringVector(layers, randomVector(layers.length * hiddenSize, 1, 0.5));
const other = new SteeringVector([3, 4], randomVector(2 * hiddenSize, 2, 0.5));

const prompt = async (): Promise<Int32Array> => (await chatModel()).encodePrompt(question(questions[0]));

async function lastLogits(sequence: Sequence): Promise<Float32Array> {
    await sequence.clear();
    const { logits } = await sequence.evaluate(await prompt(), { logits: "last" });
    return logits;
}

test("a steered row is the unsteered row plus strength times vector, at the first steered layer", async (t) => {
    for (const site of ["residual", "l_out"]) {
        const context = await chatContext();
        const capture = context.capture({ site });
        const sequence = context.sequence();
        await lastLogits(sequence);
        const plain = capture.copy();
        sequence.steer(vector, { strength: -1.5 });
        await lastLogits(sequence);
        for (let row = 0; row < plain.rowCount(2); row++) {
            t.deepEqual(capture.row(1, row), plain.row(1, row), "below it nothing changes");
            const expected = plain.row(2, row).map((each, i) => each - 1.5 * (vector.layer(2)[i] as number));
            t.true(maxDifference(capture.row(2, row), expected) < 1e-5);
            t.true(maxDifference(capture.row(3, row), plain.row(3, row)) > 0.1);
        }
        await context.dispose();
    }
});

test('rows "last-prompt" and a copy at another site see the steering as well', async (t) => {
    const context = await chatContext();
    const every = context.capture({ layers: [2, 7] });
    const last = context.capture({ layers: [2, 7], rows: "last-prompt" });
    const sequence = context.sequence();
    sequence.steer(new SteeringVector([2, 7], randomVector(2 * hiddenSize, 3)), { strength: 2 });
    await lastLogits(sequence);
    const count = every.rowCount(2);
    t.deepEqual(last.row(2, 0), every.row(2, count - 1));
    t.deepEqual(last.row(7, 0), every.row(7, 0));
    await context.dispose();
});

test("steering the last layer reaches the logits", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const plain = await lastLogits(sequence);
    sequence.steer(new SteeringVector([7], randomVector(hiddenSize, 4)), { strength: 3 });
    t.true(maxDifference(await lastLogits(sequence), plain) > 0.1);
    await context.dispose();
});

test("removing interventions restores the logits bit for bit", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const plain = await lastLogits(sequence);

    const first = sequence.steer(vector);
    const withFirst = await lastLogits(sequence);
    t.notDeepEqual(withFirst, plain);
    const second = sequence.steer(other);
    t.deepEqual(sequence.steering, [first, second]);
    t.notDeepEqual(await lastLogits(sequence), withFirst);
    second.remove();
    t.deepEqual(sequence.steering, [first]);
    t.deepEqual(await lastLogits(sequence), withFirst);
    first.remove();
    t.deepEqual(await lastLogits(sequence), plain);
    first.remove();
    first.strength = 5;
    t.deepEqual(await lastLogits(sequence), plain, "a removed intervention stays removed");

    sequence.steer(vector);
    sequence.steer(other);
    sequence.unsteer();
    t.deepEqual(sequence.steering, []);
    t.deepEqual(await lastLogits(sequence), plain);

    const zero = sequence.steer(vector, { strength: 0 });
    t.deepEqual(await lastLogits(sequence), plain);
    zero.strength = 1;
    t.deepEqual(await lastLogits(sequence), withFirst);
    await context.dispose();
});

test("a disposed sequence leaves no steering to the next that takes its place", async (t) => {
    const context = await chatContext();
    const first = context.sequence();
    const plain = await lastLogits(first);
    first.steer(vector, { strength: 3 });
    await first.dispose();
    const second = context.sequence();
    t.is(second.id, first.id);
    t.deepEqual(second.steering, []);
    t.deepEqual(await lastLogits(second), plain);
    await context.dispose();
});

test("several vectors add up", async (t) => {
    const context = await exactContext();
    const sequence = context.sequence();
    sequence.steer(vector, { strength: 2 });
    sequence.steer(other, { strength: -1 });
    sequence.steer(vector, { strength: -0.5 });
    const apart = await lastLogits(sequence);

    sequence.unsteer();
    const sum = new Float32Array(4 * hiddenSize);
    for (const [factor, each] of [
        [1.5, vector],
        [-1, other],
    ] as const) {
        for (const layer of each.layers) {
            const slot = [2, 3, 4, 5].indexOf(layer) * hiddenSize;
            each.layer(layer).forEach((value, i) => {
                sum[slot + i] = (sum[slot + i] as number) + factor * value;
            });
        }
    }
    sequence.steer(new SteeringVector([2, 3, 4, 5], sum));
    t.true(maxDifference(await lastLogits(sequence), apart) < 1e-3);
    await context.dispose();
});

test("select and the layers option leave other layers alone", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const capture = context.capture();
    await lastLogits(sequence);
    const plain = capture.copy();

    const only = vector.select(3);
    t.deepEqual(only.layers, [3]);
    t.deepEqual(only.data.slice(), vector.layer(3).slice());
    t.is(vector.select(3), only, "the same selection is the same object, so it is sent to native memory once");
    t.is(vector.select("all"), vector);
    t.deepEqual(vector.select([5, 2]).layers, [2, 5]);

    const steering = sequence.steer(only);
    const selected = await lastLogits(sequence);
    t.deepEqual(capture.row(2, 0), plain.row(2, 0));
    t.notDeepEqual(capture.row(3, 0), plain.row(3, 0));
    steering.remove();
    sequence.steer(vector, { layers: [3] });
    t.deepEqual(await lastLogits(sequence), selected);
    await context.dispose();
});

test("steering one sequence does not touch another in the same batch", async (t) => {
    const context = await chatContext({ sequences: 2 });
    const [a, b] = [context.sequence(), context.sequence()];
    const tokens = await prompt();
    const both = async (): Promise<Float32Array[]> => {
        await Promise.all([a.clear(), b.clear()]);
        const entries = [a, b].map((sequence) => ({ sequence, tokens, logits: "last" as const }));
        const { logits } = await context.evaluate(entries);
        return [logits.slice(0, logits.length / 2), logits.slice(logits.length / 2)];
    };
    const plain = await both();
    a.steer(vector, { strength: 4 });
    const steered = await both();
    t.true(maxDifference(steered[0] ?? [], plain[0] ?? []) > 1);
    t.deepEqual(steered[1], plain[1]);
    await context.dispose();
});

test("eight sequences with eight strengths in one batch: each as alone within 1e-4", async (t) => {
    const count = 8;
    const tokens = await prompt();
    const strength = (i: number): number => 0.75 * i - 2;
    const step = Int32Array.of(411);
    const run = async (context: Context, which: readonly number[]): Promise<Float32Array> => {
        const sequences = which.map(() => context.sequence());
        sequences.forEach((sequence, i) => {
            sequence.steer(vector, { strength: strength(which[i] as number) });
        });
        const prefill = await context.evaluate(sequences.map((sequence) => ({ sequence, tokens, logits: "last" })));
        const decode = await context.evaluate(
            sequences.map((sequence) => ({ sequence, tokens: step, logits: "last", kind: "generated" })),
        );
        await Promise.all(sequences.map((sequence) => sequence.dispose()));
        return Float32Array.from([...prefill.logits, ...decode.logits]);
    };
    const context = await exactContext({ sequences: count });
    const together = await run(
        context,
        Array.from({ length: count }, (_, i) => i),
    );
    const width = context.model.info.vocabularySize;
    const alone: Float32Array[] = [];
    for (let i = 0; i < count; i++) {
        const own = await run(context, [i]);
        alone.push(own);
        t.true(maxDifference(own.subarray(0, width), together.subarray(i * width, (i + 1) * width)) < 1e-4);
        const at = (count + i) * width;
        t.true(maxDifference(own.subarray(width), together.subarray(at, at + width)) < 1e-4);
    }
    t.true(maxDifference(alone[0] ?? [], alone[7] ?? []) > 1, "the strengths make a difference");
    await context.dispose();
});

test("changing strengths between steps rebuilds no graph", async (t) => {
    const context = await chatContext({ sequences: 2 });
    const sequences = [context.sequence(), context.sequence()];
    const tokens = await prompt();
    await context.evaluate(sequences.map((sequence) => ({ sequence, tokens })));
    const steerings = sequences.map((sequence, i) => sequence.steer(vector, { strength: i + 1 }));
    const step = async (): Promise<Float32Array> => {
        const entries = sequences.map((sequence) => ({
            sequence,
            tokens: Int32Array.of(20),
            kind: "generated" as const,
            logits: "last" as const,
        }));
        return (await context.evaluate(entries)).logits;
    };
    const first = await step();
    await step();
    const before = context.statistics;
    const steps = 12;
    let last = first;
    for (let i = 0; i < steps; i++) {
        for (const steering of steerings) {
            steering.strength = Math.sin(i + (steering.strength as number));
        }
        last = await step();
    }
    const after = context.statistics;
    t.is(after.graphsBuilt, before.graphsBuilt);
    t.is(after.graphsReused - before.graphsReused, steps);
    t.is(after.decodes - before.decodes, steps);
    t.notDeepEqual(last, first);
    sequences[0]?.steer(other);
    await step();
    t.true(context.statistics.graphsBuilt > after.graphsBuilt, "another layer steered does, so the count counts");
    await context.dispose();
});
