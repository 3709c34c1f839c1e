import test from "ava";
import type { Sequence } from "llama-steer";
import { expectCode } from "./support/expect-code.js";
import { chatContext, question, questions } from "./support/testbed.js";
import { wrongValues } from "./support/wrong-values.js";

test("an evaluation can wait for a promise, and what is called after it waits too", async (t) => {
    const context = await chatContext({ sequences: 4, unifiedMemory: false });
    const { model } = context;
    let begin = () => {};
    const after = new Promise<void>((resolve) => {
        begin = resolve;
    });
    const prompts = questions.map((text) => model.encodePrompt(question(text)));
    const sequences = prompts.map(() => context.sequence());
    const order: string[] = [];
    const entries = prompts.map((tokens, i) => ({
        sequence: sequences[i] as Sequence,
        tokens: tokens.subarray(0, -1),
        kind: "prompt-part" as const,
    }));
    const evaluated = context.evaluate(entries, { after }).then(() => order.push("evaluated"));
    const answers = prompts.map((tokens, i) =>
        (sequences[i] as Sequence).generate(tokens.subarray(-1), { maxTokens: 6 }).result(),
    );
    await new Promise((resolve) => setTimeout(resolve, 100));
    t.is(context.statistics.decodes, 0, "nothing has begun");
    t.deepEqual(order, []);
    begin();
    await evaluated;
    const results = await Promise.all(answers);
    // One pass over the prompts, and as many steps as the longest answer takes, not one more for a late beginner.
    const longest = Math.max(...results.map((each) => each.tokens.length));
    t.true(context.statistics.decodes - 1 <= longest + 1, `${context.statistics.decodes} for ${longest} tokens`);
    await context.dispose();
});

test("an evaluation that waits for what fails goes on; one that waits can be aborted; wrong promises are refused", async (t) => {
    const context = await chatContext({ sequences: 1 });
    const sequence = context.sequence();
    await sequence.evaluate("one", { after: Promise.reject(new Error("not this one's concern")) });
    const { position } = sequence;
    t.true(position > 0);
    const controller = new AbortController();
    const never = new Promise<void>(() => {});
    const waiting = sequence.evaluate("two", { after: never, signal: controller.signal });
    controller.abort();
    await expectCode(t, "ABORTED", () => waiting);
    t.is(sequence.position, position);
    for (const [, wrong] of wrongValues((value) => value === undefined || value instanceof Promise)) {
        await expectCode(t, "INVALID_ARGUMENT", () => sequence.evaluate("x", { after: wrong as never }), /after/);
    }
    const left = t.throwsAsync(sequence.evaluate("three", { after: never }), { code: "DISPOSED" });
    await context.dispose();
    await left;
});
