import test from "ava";
import { type ScheduleStep, SteeringVector } from "llama-steer";
import { expectCode, failureOf } from "./support/expect-code.js";
import { maxDifference, randomVector } from "./support/numbers.js";
import { chatContext, chatModel, question, questions } from "./support/testbed.js";

const vector = new SteeringVector([2, 3], randomVector(256, 1, 0.3));
const prompt = question(questions[0]);
const tokens = async (): Promise<Int32Array> => (await chatModel()).encodePrompt(prompt);

test("a function is asked once per pass, where the answer is", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const asked: ScheduleStep[] = [];
    sequence.steer(vector, { strength: (step) => asked.push(step) * 0.01 });
    const answer = await sequence.generate(prompt, { maxTokens: 5, temperature: 1, seed: 3 }).result();
    const encoded = await tokens();
    const last = encoded.length - 1;
    t.is(asked.length, answer.finishReason === "length" ? 5 : answer.tokens.length + 1);
    asked.forEach(({ step, position, phase, token }, i) => {
        t.is(step, i);
        t.is(position, last + i);
        t.is(phase, i === 0 ? "prompt" : "generation");
        t.is(token, i === 0 ? encoded[last] : answer.tokens[i - 1]);
    });
    await context.dispose();
});

test("strengths told by a function are those of a schedule with the same values", async (t) => {
    const context = await chatContext();
    const told = context.sequence();
    const values = [0.5, -1, 2, 0.25, 0, 1.5];
    const steering = told.steer(vector, { strength: ({ step }) => values[Math.max(step, 0)] ?? 0 });
    const options = { maxTokens: 6 };
    const byFunction = await told.generate(prompt, options).result();
    await told.clear();
    const points = values.map((value, step): [number, number] => [step, value]);
    const before = context.statistics.graphsBuilt;
    steering.strength = { kind: "piecewise", points };
    const bySchedule = await told.generate(prompt, options).result();
    t.deepEqual(byFunction.tokens, bySchedule.tokens);
    t.true(maxDifference(byFunction.logProbabilities, bySchedule.logProbabilities) < 1e-5);
    await told.clear();
    steering.strength = 0;
    const plain = await told.generate(prompt, options).result();
    t.true(maxDifference(byFunction.logProbabilities, plain.logProbabilities) > 1e-2);
    t.true(context.statistics.graphsBuilt - before <= 12, "graphs are built for other shapes of batches only");
    await context.dispose();
});

for (const [what, fail] of [
    [
        "throws",
        (): number => {
            throw new Error("out of ideas");
        },
    ],
    ["returns NaN", (): number => Number.NaN],
    ["returns text", (): number => "1" as never],
] as const) {
    test(`a function that ${what} ends its own answer alone, with that cause`, async (t) => {
        const context = await chatContext({ sequences: 2 });
        const [bad, good] = [context.sequence(), context.sequence()];
        const steering = bad.steer(vector, { strength: ({ step }) => (step < 2 ? 0.1 : fail()) });
        good.steer(vector, { strength: 0.1 });
        const [failing, going] = [bad.generate(prompt, { maxTokens: 6 }), good.generate(prompt, { maxTokens: 6 })];
        const seen: number[] = [];
        const error = await expectCode(t, "SCHEDULE_FAILED", async () => {
            for await (const { token } of failing) seen.push(token);
        });
        const cause = error?.cause as Error;
        t.regex(cause.message, what === "throws" ? /out of ideas/ : /returned (NaN|1)/);
        const other = await going.result();
        t.deepEqual(seen, [...other.tokens.slice(0, 2)], "what was answered before has been delivered");
        t.true(other.tokens.length > 2);

        // The context goes on, and so does the sequence, from before the step that failed.
        steering.strength = 0.1;
        const { tokens } = await bad.generate(Int32Array.of(5), { maxTokens: 1 }).result();
        t.is(tokens.length, 1);
        await bad.clear();
        t.deepEqual((await bad.generate(prompt, { maxTokens: 6 }).result()).tokens, other.tokens);
        await context.dispose();
    });
}

test("an evaluation whose function fails is rejected with that cause and leaves the sequence as it was", async (t) => {
    const context = await chatContext({ sequences: 2 });
    const [steered, other] = [context.sequence(), context.sequence()];
    await steered.evaluate(Int32Array.of(4, 5));
    const steering = steered.steer(vector, {
        strength: () => {
            throw new RangeError("no");
        },
    });
    const entries = [steered, other].map((sequence) => ({ sequence, tokens: Int32Array.of(6, 7) }));
    const error = await expectCode(t, "SCHEDULE_FAILED", () => context.evaluate(entries));
    t.true(error?.cause instanceof RangeError);
    t.deepEqual([steered.position, other.position], [2, 0]);
    steering.remove();
    await context.evaluate(entries);
    t.deepEqual([steered.position, other.position], [4, 2]);
    await context.dispose();
});

test("a function may change steering, and abort or dispose what asks it", async (t) => {
    const context = await chatContext({ sequences: 2 });
    const sequence = context.sequence();
    const constant = sequence.steer(vector, { strength: 0 });
    const stop = new AbortController();
    sequence.steer(vector, {
        strength: ({ step }) => {
            constant.strength = step / 10;
            if (step === 3) stop.abort();
            return 0.1;
        },
    });
    await expectCode(t, "ABORTED", () => sequence.generate(prompt, { maxTokens: 50, signal: stop.signal }).result());
    const other = context.sequence();
    let disposing: Promise<void> | undefined;
    other.steer(vector, {
        strength: ({ step }) => {
            if (step === 2) disposing = context.dispose();
            return 0.1;
        },
    });
    const error = await failureOf(() => other.generate(prompt, { maxTokens: 50 }).result());
    t.is((error as { code?: string }).code, "DISPOSED");
    await disposing;
});
