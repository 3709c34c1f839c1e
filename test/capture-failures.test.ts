import test from "ava";
import type { Activations } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { sameBits } from "./support/rows.js";
import { chatContext } from "./support/testbed.js";

const tokens = Int32Array.of(5, 6, 7);

function isEmpty(activations: Activations): boolean {
    return activations.layers.every(
        (layer) => activations.rowCount(layer) === 0 && activations.layer(layer).length === 0,
    );
}

test("an evaluation that runs out of memory on its way leaves no rows under the labels of others", async (t) => {
    const context = await chatContext({ sequences: 2, contextSize: 256, memoryTokens: 256, batchSize: 32 });
    const captures = [
        context.capture({ layers: [2, 7], capacity: 256 }),
        context.capture({ layers: 2, rows: "last-prompt", type: "f16" }),
    ];
    const [a, b] = [context.sequence(), context.sequence()];
    await b.evaluate(new Int32Array(150).fill(5));
    await a.evaluate(tokens);
    const kept = captures.map((each) => each.copy());
    await expectCode(t, "CONTEXT_FULL", () => a.evaluate(new Int32Array(200).fill(9)));
    t.true(captures.every(isEmpty));
    await a.clear();
    await a.evaluate(tokens);
    t.deepEqual(
        captures.map((each) => each.copy()),
        kept,
    );
    await context.dispose();
});

test("an evaluation that is aborted on its way leaves no rows", async (t) => {
    const context = await chatContext({ batchSize: 4 });
    const capture = context.capture({ capacity: 256 });
    const sequence = context.sequence();
    await sequence.evaluate(tokens);
    const kept = capture.copy();
    const controller = new AbortController();
    const evaluating = sequence.evaluate(new Int32Array(250).fill(9), { signal: controller.signal });
    setTimeout(() => controller.abort(), 5);
    await expectCode(t, "ABORTED", () => evaluating);
    t.is(sequence.position, 3);
    t.true(isEmpty(capture));
    t.is(kept.rowCount(2), 3, "copies stay");
    await sequence.clear();
    await sequence.evaluate(tokens);
    t.true(sameBits(capture.layer(2), kept.layer(2)));
    await context.dispose();
});

test("an evaluation that is refused leaves the rows as they are", async (t) => {
    const context = await chatContext({ contextSize: 64 });
    const capture = context.capture({ layers: 3, capacity: 4 });
    const sequence = context.sequence();
    await sequence.evaluate(tokens);
    const kept = capture.copy();
    for (const [code, wrong, options] of [
        ["BUFFER_TOO_SMALL", new Int32Array(5).fill(1), {}],
        ["PROMPT_TOO_LONG", new Int32Array(100).fill(1), {}],
        ["PROMPT_EMPTY", new Int32Array(0), {}],
        ["INVALID_ARGUMENT", Int32Array.of(-1), {}],
        ["ABORTED", tokens, { signal: AbortSignal.abort() }],
        ["BUFFER_TOO_SMALL", tokens, { logits: "last", into: new Float32Array(3) }],
    ] as const) {
        await expectCode(t, code, () => sequence.evaluate(wrong, options));
        t.deepEqual(capture.copy(), kept, code);
    }
    await context.dispose();
});
