import test from "ava";
import type { GenerationResult } from "llama-steer";
import { answer, endless } from "./support/answer.js";
import { maxDifference } from "./support/numbers.js";
import { exactContext, exactModel, question, questions } from "./support/testbed.js";

/** The same tokens, chosen with the same probabilities within what another batch shape changes. */
function sameAnswer(a: GenerationResult | undefined, b: GenerationResult | undefined): boolean {
    return (
        a !== undefined &&
        b !== undefined &&
        maxDifference(a.tokens, b.tokens) === 0 &&
        maxDifference(a.logProbabilities, b.logProbabilities) < 1e-4
    );
}

test("sequences that answer together answer as each does alone", async (t) => {
    const alone: GenerationResult[] = [];
    for (const text of questions) {
        alone.push(await answer(text, {}, exactContext));
    }
    t.is(new Set(alone.map((each) => each.text)).size, questions.length, "the answers differ");
    for (const unifiedMemory of [true, false]) {
        const context = await exactContext({ sequences: questions.length, unifiedMemory });
        const generations = questions.map((text) => context.sequence().generate(question(text)));
        const together = await Promise.all(generations.map((each) => each.result()));
        together.forEach((result, i) => {
            t.true(sameAnswer(result, alone[i]), `${questions[i]}: ${result.text}`);
        });
        await context.dispose();
    }
});

test("sequences share the passes: together takes fewer than one after the other", async (t) => {
    const context = await exactContext({ sequences: 4 });
    const options = { logitBias: await endless(), maxTokens: 20 };
    await Promise.all(questions.map((text) => context.sequence().generate(question(text), options).result()));
    t.true(context.statistics.decodes < 2 * 20, `${context.statistics.decodes} passes for 4 answers of 20 tokens`);
    await context.dispose();
});

test("a long prompt beside a running answer changes neither, nor does the answer wait for it", async (t) => {
    const options = { logitBias: await endless(), maxTokens: 40 };
    const long = (await exactModel()).encodePrompt(question(`${"Please. ".repeat(60)}${questions[1]}`));
    t.true(long.length > 7 * 16, "the prompt takes several passes");

    const alone: GenerationResult[] = [];
    for (const text of [(await exactModel()).encodePrompt(question(questions[0])), long]) {
        const context = await exactContext({ batchSize: 16 });
        alone.push(await context.sequence().generate(text, options).result());
        await context.dispose();
    }

    const context = await exactContext({ sequences: 2, batchSize: 16 });
    const first = context.sequence().generate(question(questions[0]), options);
    const reader = first[Symbol.asyncIterator]();
    await reader.next();
    const before = context.statistics.decodes;
    const second = context.sequence().generate(long, options);
    const results = await Promise.all([first.result(), second.result()]);
    t.true(sameAnswer(results[0], alone[0]));
    t.true(sameAnswer(results[1], alone[1]));
    const apart = 40 + Math.ceil(long.length / 16) + 40;
    t.true(context.statistics.decodes - before < apart, "prompt pieces and answer tokens share passes");
    await context.dispose();
});

test("a second turn continues the conversation as if it were evaluated whole", async (t) => {
    const model = await exactModel();
    const context = await exactContext({ sequences: 2 });
    const first = model.encodePrompt(question(questions[0]));
    const turn = `\n<|im_start|>user\n${questions[1]}<|im_end|>\n<|im_start|>assistant\n`;
    const second = model.tokenizer.encode(turn, { parseSpecial: true });

    // Ended by the model: its end token belongs to the conversation. Cut short: the last token does.
    for (const options of [{}, { maxTokens: 2 }]) {
        const sequence = context.sequence();
        const earlier = await sequence.generate(first, options).result();
        const end = earlier.finishReason === "stop" ? [model.tokenizer.endToken] : [];
        const later = await sequence.generate(second, { maxTokens: 8 }).result();

        const fresh = context.sequence();
        const whole = Int32Array.from([...first, ...earlier.tokens, ...end, ...second]);
        const expected = await fresh.generate(whole, { maxTokens: 8 }).result();
        t.true(sameAnswer(later, expected), `${later.text} | ${expected.text}`);
        t.is(sequence.position, fresh.position);
        await Promise.all([sequence.dispose(), fresh.dispose()]);
    }
    await context.dispose();
});

test("evaluating after an answer gives one row of logits per token given", async (t) => {
    const context = await exactContext({ sequences: 2 });
    const model = await exactModel();
    const prompt = model.encodePrompt(question(questions[0]));
    const sequence = context.sequence();
    const { tokens } = await sequence.generate(prompt, { maxTokens: 3 }).result();
    const more = model.tokenizer.encode(" and then some");
    const continued = await sequence.evaluate(more, { logits: "all" });

    const whole = Int32Array.from([...prompt, ...tokens, ...more]);
    const fresh = await context.sequence().evaluate(whole, { logits: "all" });
    const width = model.info.vocabularySize;
    t.is(continued.logitsRows, more.length);
    t.true(maxDifference(continued.logits, fresh.logits.subarray(-more.length * width)) < 1e-4);
    await context.dispose();
});

test("truncating goes back: the same continuation gives the same logits", async (t) => {
    const context = await exactContext();
    const sequence = context.sequence();
    await sequence.evaluate(context.model.encodePrompt(question(questions[0])));
    const position = sequence.position;
    const tokens = Int32Array.of(10, 20, 30);
    const first = await sequence.evaluate(tokens, { logits: "last" });
    t.is(sequence.position, position + 3);
    await sequence.truncate(position);
    t.is(sequence.position, position);
    const second = await sequence.evaluate(tokens, { logits: "last" });
    t.deepEqual(second.logits, first.logits);
    await context.dispose();
});
