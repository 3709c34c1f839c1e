import test from "ava";
import { type Sequence, SteeringVector } from "llama-steer";
import { endless } from "./support/answer.js";
import { expectCode } from "./support/expect-code.js";
import { maxDifference, randomVector } from "./support/numbers.js";
import { chatContext, chatModel, question, questions } from "./support/testbed.js";

// llama.cpp rounds memories up to 256 cells: two sequences of 256 tokens share one of 256 here.
const [sequences, contextSize, memoryTokens] = [2, 256, 256];
const filling = new Int32Array(150).fill(5);
const prompt = async (): Promise<Int32Array> => (await chatModel()).encodePrompt(question(questions[0]));

const lastLogits = async (sequence: Sequence, token: number): Promise<Float32Array> => {
    const { logits } = await sequence.evaluate(Int32Array.of(token), { kind: "generated", logits: "last" });
    return logits;
};

test("the memory is contextSize for each sequence, less where asked, and never more", async (t) => {
    for (const [given, expected] of [
        [undefined, 512],
        [256, 256],
        [512, 512],
        [513, 512],
        [2 ** 31 - 1, 512],
    ] as const) {
        const context = await chatContext({
            sequences,
            contextSize,
            ...(given === undefined ? {} : { memoryTokens: given }),
        });
        t.is(context.options.memoryTokens, expected);
        t.is(context.options.contextSize, contextSize);
        await context.dispose();
    }
});

test("values that are no memory are refused, and so is one beside separate memories", async (t) => {
    for (const wrong of [0, -1, 1.5, Number.NaN, 2 ** 31]) {
        await expectCode(t, "INVALID_ARGUMENT", () => chatContext({ memoryTokens: wrong }), /memoryTokens/);
    }
    for (const few of [1, 3]) {
        const options = { sequences: 4, memoryTokens: few };
        await expectCode(t, "INVALID_ARGUMENT", () => chatContext(options), /each sequence at least: 4/);
    }
    await (await chatContext({ sequences: 4, memoryTokens: 4 })).dispose();
    const separate = { sequences, contextSize, unifiedMemory: false };
    await expectCode(t, "INVALID_ARGUMENT", () => chatContext({ ...separate, memoryTokens }), /unified/);
    const context = await chatContext(separate);
    t.is(context.options.memoryTokens, 512);
    await context.dispose();
});

test("one sequence can hold contextSize tokens, whatever the others leave", async (t) => {
    const context = await chatContext({ sequences, contextSize, memoryTokens });
    const sequence = context.sequence();
    await sequence.evaluate(new Int32Array(256).fill(5));
    t.is(sequence.position, 256);
    await expectCode(t, "PROMPT_TOO_LONG", () => sequence.evaluate(Int32Array.of(1)), /contextSize/);
    await context.dispose();
});

test("an evaluation that finds the memory full says what to do, and changes nothing", async (t) => {
    for (const batchSize of [512, 32]) {
        const context = await chatContext({ sequences, contextSize, memoryTokens, batchSize });
        const capture = context.capture({ layers: 2, capacity: 256 });
        const [a, b] = [context.sequence(), context.sequence()];
        await a.evaluate(filling);
        await b.evaluate(filling.subarray(0, 50));
        const full = await expectCode(
            t,
            "CONTEXT_FULL",
            () => b.evaluate(filling, { logits: "last" }),
            /clear|dispose/,
        );
        t.regex(full?.message ?? "", /memoryTokens/, "it names the option that limits it");
        t.deepEqual([a.position, b.position], [150, 50]);
        await expectCode(t, "CONTEXT_FULL", () =>
            context.evaluate([
                { sequence: a, tokens: filling.subarray(0, 30) },
                { sequence: b, tokens: filling.subarray(0, 100) },
            ]),
        );
        t.deepEqual([a.position, b.position], [150, 50]);

        const other = await chatContext({ sequences, contextSize, batchSize });
        const [c, d] = [other.sequence(), other.sequence()];
        await c.evaluate(filling);
        await d.evaluate(filling.subarray(0, 50));
        const scale = 3e-2;
        t.true(maxDifference(await lastLogits(a, 7), await lastLogits(c, 7)) < scale, "what it held is as it was");
        t.true(maxDifference(await lastLogits(b, 8), await lastLogits(d, 8)) < scale);
        t.is(capture.rowCount(2), 1);

        await a.clear();
        await b.evaluate(filling);
        t.is(b.position, 201);
        await Promise.all([context.dispose(), other.dispose()]);
    }
});

test("answers that find the memory full end with the same advice, and their sequences go on", async (t) => {
    const context = await chatContext({ sequences, contextSize, memoryTokens });
    const [a, b] = [context.sequence(), context.sequence()];
    await a.evaluate(new Int32Array(220).fill(5));
    a.steer(new SteeringVector([1], randomVector(128, 1, 0.1)));
    const capture = { rows: "generated", layers: [1], into: new Float32Array(250 * 128) } as const;
    const options = { maxTokens: 200, logitBias: await endless(), capture };
    const generation = b.generate(await prompt(), options);
    let seen = 0;
    const full = await expectCode(t, "CONTEXT_FULL", async () => {
        for await (const _ of generation) {
            seen++;
        }
    });
    t.regex(full?.message ?? "", /memoryTokens/);
    t.regex(full?.message ?? "", /clear|dispose/);
    t.is(seen, 256 - 220 - 17 + 1, "one token for each free place, and the last one needs none");
    t.is(b.position, 256 - 220);
    await expectCode(t, "CONTEXT_FULL", () => b.generate("more", { maxTokens: 1 }).result(), /memoryTokens/);
    t.is(b.position, 256 - 220);

    await a.clear();
    const { tokens, activations } = await b.generate(Int32Array.of(10), { ...options, maxTokens: 4 }).result();
    t.is(tokens.length, 4);
    t.is(activations?.rowCount(1), 4, "the token that was left behind, and three of this answer");
    await context.dispose();
});

test("a memory of 256 tokens serves 32 sequences that are short, and all at once", async (t) => {
    const context = await chatContext({ sequences: 32, memoryTokens });
    t.is(context.options.contextSize, 256);
    const all = Array.from({ length: 32 }, () => context.sequence());
    await context.evaluate(all.map((sequence) => ({ sequence, tokens: Int32Array.of(5, 6, 7) })));
    const answers = await Promise.all(all.map((each) => each.generate(Int32Array.of(8), { maxTokens: 3 }).result()));
    t.true(answers.every((each) => each.tokens.join() === answers[0]?.tokens.join()));
    t.true(all.every((each) => each.position === all[0]?.position));
    await context.dispose();
});
