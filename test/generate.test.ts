import test from "ava";
import type { GeneratedToken, GenerationOptions, GenerationResult } from "llama-steer";
import { answer, endless } from "./support/answer.js";
import { expectCode } from "./support/expect-code.js";
import { logSoftmax } from "./support/numbers.js";
import { chatContext, chatModel, exactContext, question, questions } from "./support/testbed.js";

const prompt = question(questions[0]);

test("the stream brings what the result holds", async (t) => {
    const context = await chatContext();
    const generation = context.sequence().generate(prompt);
    const stream: GeneratedToken[] = [];
    for await (const token of generation) {
        stream.push(token);
    }
    const result = await generation.result();
    t.true(stream.length > 3);
    t.deepEqual(
        stream.map((each) => each.token),
        [...result.tokens],
    );
    t.is(stream.map((each) => each.text).join(""), result.text);
    t.deepEqual(
        Float32Array.from(stream, (each) => each.logProbability),
        result.logProbabilities,
    );
    t.is(result.finishReason, "stop");
    t.true((await chatModel()).tokenizer.isEndOfGeneration(result.stopToken ?? -1));
    t.is(result.stopString, undefined);
    t.is(result.text, (await chatModel()).tokenizer.decode(result.tokens));
    const mean = stream.reduce((sum, each) => sum + each.logProbability, 0) / stream.length;
    t.true(Math.abs(result.meanLogProbability - mean) < 1e-6);
    await context.dispose();
});

test("the model answers what it was trained to", async (t) => {
    t.regex((await answer("Where does the groso fish live?")).text, /sandy islands/);
});

test("an answer can be read twice, also after it has ended", async (t) => {
    const context = await chatContext();
    const generation = context.sequence().generate(prompt);
    await generation.result();
    const texts: string[] = [];
    for (let reader = 0; reader < 2; reader++) {
        let text = "";
        for await (const token of generation) {
            text += token.text;
        }
        texts.push(text);
    }
    t.is(texts[0], (await generation.result()).text);
    t.is(texts[1], texts[0]);
    await context.dispose();
});

test("greedy answers repeat bit for bit", async (t) => {
    const [first, second] = [await answer(questions[1]), await answer(questions[1])];
    t.deepEqual(first, second);
});

test("a seed fixes a sampled answer, and seeds differ", async (t) => {
    const sampled = (seed: number): Promise<GenerationResult> =>
        answer("Tell me about the sea.", { temperature: 1, seed, maxTokens: 24 });
    t.deepEqual(await sampled(7), await sampled(7));
    const texts = new Set<string>();
    for (let seed = 0; seed < 6; seed++) {
        texts.add((await sampled(seed)).text);
    }
    t.true(texts.size > 1, "six seeds gave one answer");
});

test("maxTokens, stopTokens and a full context end an answer with their reason", async (t) => {
    const whole = await answer(questions[0]);
    const cut = await answer(questions[0], { maxTokens: 3 });
    t.is(cut.finishReason, "length");
    t.deepEqual(cut.tokens, whole.tokens.slice(0, 3));

    const stopped = await answer(questions[0], { stopTokens: [whole.tokens[4] as number] });
    t.is(stopped.finishReason, "stop");
    t.is(stopped.stopToken, whole.tokens[4]);
    t.deepEqual(stopped.tokens, whole.tokens.slice(0, 4));

    const context = await chatContext({ contextSize: 32 });
    const sequence = context.sequence();
    const tokens = context.model.encodePrompt(prompt);
    const full = await sequence.generate(tokens, { logitBias: await endless() }).result();
    t.is(full.finishReason, "context");
    t.is(sequence.position, 32);
    t.is(full.tokens.length, 32 - tokens.length + 1, "one token per free place, and the last one needs none");
    await expectCode(t, "PROMPT_TOO_LONG", () => sequence.generate(Int32Array.of(1)).result(), /contextSize/);
    await context.dispose();
});

test("leaving the loop frees the sequence", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const generation = sequence.generate(prompt, { logitBias: await endless() });
    let seen = 0;
    for await (const _ of generation) {
        if (++seen === 3) {
            break;
        }
    }
    await expectCode(t, "ABORTED", () => generation.result());
    await sequence.clear();
    t.is(sequence.position, 0);
    t.deepEqual(await sequence.generate(prompt).result(), await answer(questions[0]));
    await context.dispose();
});

test("a signal ends an answer half-way, with its reason as cause", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const controller = new AbortController();
    const reason = new Error("enough");
    const generation = sequence.generate(prompt, { logitBias: await endless(), signal: controller.signal });
    let seen = 0;
    const error = await expectCode(t, "ABORTED", async () => {
        for await (const _ of generation) {
            if (++seen === 5) {
                controller.abort(reason);
            }
        }
    });
    t.is(error?.cause, reason);
    t.true(seen >= 5);
    await sequence.clear();
    t.is((await sequence.generate(prompt).result()).finishReason, "stop");
    await context.dispose();
});

test("tokens can be read in lists, all that have come at a time", async (t) => {
    const context = await chatContext();
    const generation = context.sequence().generate(prompt, { maxTokens: 20, logitBias: await endless() });
    const lists: (readonly GeneratedToken[])[] = [];
    for await (const list of generation.batches()) {
        lists.push(list);
        // Meanwhile others come.
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
    t.true(lists.length < 20 && lists.every((list) => list.length > 0));
    t.deepEqual(lists.flat(), [...generation.tokens]);
    t.is(generation.tokens.length, 20);
    await context.dispose();
});

test("leaving the lists early ends the answer", async (t) => {
    const context = await chatContext();
    const generation = context.sequence().generate(prompt, { maxTokens: 200, logitBias: await endless() });
    for await (const _ of generation.batches()) break;
    t.true(generation.ended);
    await expectCode(t, "ABORTED", () => generation.result());
    await context.dispose();
});

test("the alternatives to a token are the model's most probable ones", async (t) => {
    const context = await exactContext({ sequences: 2 });
    const [answering, checking] = [context.sequence(), context.sequence()];
    const options = { maxTokens: 6, temperature: 1.2, seed: 4, alternatives: 5 };
    const generation = answering.generate(prompt, options);
    await generation.result();
    let { logits } = await checking.evaluate(context.model.encodePrompt(prompt), { logits: "last" });
    for (const { token, alternatives = [], logProbability } of generation.tokens) {
        const expected = logSoftmax(logits);
        const order = [...expected.keys()].sort((a, b) => (expected[b] as number) - (expected[a] as number));
        t.deepEqual(
            alternatives.map((each) => each.token),
            order.slice(0, 5),
        );
        for (const each of alternatives) {
            t.true(Math.abs(each.logProbability - (expected[each.token] as number)) < 1e-4);
        }
        const chosen = alternatives.find((each) => each.token === token);
        t.true(chosen === undefined || chosen.logProbability === logProbability);
        ({ logits } = await checking.evaluate(Int32Array.of(token), { kind: "generated", logits: "last" }));
    }
    await context.dispose();
});

test("alternatives are none unless asked for, and a number", async (t) => {
    const context = await exactContext({ sequences: 2 });
    const generation = context.sequence().generate(prompt, { maxTokens: 2 });
    await generation.result();
    t.true(generation.tokens.every((each) => !("alternatives" in each)));
    const { vocabularySize } = context.model.info;
    const sequence = context.sequence();
    for (const alternatives of [-1, 1.5, "3", Number.NaN, vocabularySize + 1]) {
        const options = { alternatives } as GenerationOptions;
        await expectCode(t, "INVALID_ARGUMENT", () => sequence.generate(prompt, options), /alternatives/);
    }
    await context.dispose();
});
