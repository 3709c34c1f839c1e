import test from "ava";
import type { GeneratedToken, Generation, GenerationOptions, GenerationResult } from "llama-steer";
import { answer, endless } from "./support/answer.js";
import { expectCode } from "./support/expect-code.js";
import { chatContext, chatModel, exactContext, question, questions } from "./support/testbed.js";

/** The first stop string that is complete in the text, and where it begins: every beginning of the text in turn. */
function naiveStop(text: string, stops: readonly string[]): { stop: string; begin: number } | undefined {
    for (let end = 1; end <= text.length; end++) {
        const complete = stops.filter((each) => text.slice(0, end).endsWith(each));
        if (complete.length > 0) {
            const stop = complete.reduce((longest, each) => (each.length > longest.length ? each : longest));
            return { stop, begin: end - stop.length };
        }
    }
    return undefined;
}

/** The tokens of a text's beginning: those of which at least one character lies in it. */
async function tokensBefore(tokens: Int32Array, begin: number): Promise<number[]> {
    const { tokenizer } = await chatModel();
    let place = 0;
    return Array.from(tokens).filter((token) => {
        const start = place;
        place += tokenizer.decode([token]).length;
        return start < begin;
    });
}

async function read(generation: Generation): Promise<GeneratedToken[]> {
    const stream: GeneratedToken[] = [];
    for await (const token of generation) {
        // As it is now: a reader that prints it does not come back later.
        stream.push({ ...token });
    }
    return stream;
}

/** The same question with and without stop strings; the stream must say what the result says. */
async function streamed(text: string, options: GenerationOptions): Promise<GenerationResult> {
    const context = await chatContext();
    const generation = context.sequence().generate(question(text), options);
    const stream = await read(generation);
    const result = await generation.result();
    await context.dispose();
    return {
        ...result,
        text: stream.map((each) => each.text).join(""),
        tokens: Int32Array.from(stream, (e) => e.token),
    };
}

test("every piece of an answer ends it there, wherever its tokens begin and end", async (t) => {
    for (const text of questions) {
        const whole = await answer(text);
        t.true(whole.text.length > 10);
        const pieces = new Set<string>();
        for (let begin = 0; begin < whole.text.length; begin += 2) {
            for (const length of [1, 2, 3, 7, whole.text.length]) {
                pieces.add(whole.text.slice(begin, begin + length));
            }
        }
        const context = await chatContext();
        const sequence = context.sequence();
        for (const stop of pieces) {
            const { begin } = naiveStop(whole.text, [stop]) ?? { begin: Number.NaN };
            const generation = sequence.generate(question(text), { stop });
            const stream = await read(generation);
            const result = await generation.result();
            t.is(result.text, whole.text.slice(0, begin), JSON.stringify(stop));
            t.is(stream.map((each) => each.text).join(""), result.text, "the stream brings the same text");
            t.is(result.finishReason, "stop");
            t.is(result.stopString, stop);
            t.is(result.stopToken, undefined);
            const tokens = await tokensBefore(whole.tokens, begin);
            t.deepEqual([...result.tokens], tokens);
            t.deepEqual(
                stream.map((each) => each.token),
                tokens,
            );
            t.deepEqual(result.logProbabilities, whole.logProbabilities.slice(0, tokens.length));
            await sequence.clear();
        }
        await context.dispose();
    }
});

test("of several stop strings the first to be complete ends the answer, of those the longest", async (t) => {
    const whole = await answer(questions[0]);
    const lists = [
        ["islands", "sandy"],
        ["y", "sandy", "andy"],
        ["sandy islands.", "islands"],
        ["nowhere", "sandy islands!", "lives"],
        ["on", " on sandy"],
        ["It", "t"],
    ];
    for (const stop of lists) {
        const result = await streamed(questions[0], { stop });
        const expected = naiveStop(whole.text, stop);
        t.is(result.stopString, expected?.stop);
        t.is(result.text, whole.text.slice(0, expected?.begin), stop.join());
    }
});

test("text held back for a stop string that does not come is not lost", async (t) => {
    const whole = await answer(questions[0]);
    const { tokenizer } = await chatModel();
    // The whole answer begins this string, so that all of it is held until the end.
    const stop = `${whole.text} And more.`;
    const result = await streamed(questions[0], { stop: [stop, "another"] });
    t.is(result.text, whole.text);
    t.deepEqual(result.tokens, whole.tokens);
    t.is(result.finishReason, "stop");
    t.is(result.stopString, undefined);
    t.true(tokenizer.isEndOfGeneration(result.stopToken ?? -1));
    for (let maxTokens = 1; maxTokens < whole.tokens.length; maxTokens++) {
        const cut = await streamed(questions[0], { stop, maxTokens });
        t.is(cut.finishReason, "length");
        t.is(cut.stopToken, undefined);
        t.deepEqual(cut.tokens, whole.tokens.slice(0, maxTokens));
        t.is(cut.text, tokenizer.decode(cut.tokens));
    }
});

test("a full context and a stop token bring what is held back", async (t) => {
    const context = await chatContext({ contextSize: 32 });
    const sequence = context.sequence();
    const tokens = context.model.encodePrompt(question(questions[0]));
    const free = await sequence.generate(tokens, { logitBias: await endless() }).result();
    await sequence.clear();
    const held = await sequence.generate(tokens, { logitBias: await endless(), stop: `${free.text}!` }).result();
    t.is(held.finishReason, "context");
    t.deepEqual(held.tokens, free.tokens);
    t.is(held.text, free.text);

    const stopToken = free.tokens[4] as number;
    const stopped = await streamed(questions[0], { stopTokens: [stopToken], stop: `${free.text}!` });
    t.is(stopped.stopToken, stopToken);
    t.deepEqual(stopped.tokens, free.tokens.slice(0, 4));
    t.is(stopped.text, context.model.tokenizer.decode(stopped.tokens));
    await context.dispose();
});

test("tokens that cannot be part of a stop string come at once, others when it is decided", async (t) => {
    const whole = await answer(questions[0]);
    const { tokenizer } = await chatModel();
    const context = await chatContext();
    const stop = "sandy beaches";
    const generation = context.sequence().generate(question(questions[0]), { stop, logitBias: await endless() });
    let text = "";
    for await (const token of generation) {
        text += token.text;
        if (text.length >= whole.text.length) {
            break;
        }
    }
    t.is(text.slice(0, whole.text.length), whole.text);
    // Only the tokens of "sandy " are held: nothing but them can be part of the stop string.
    const free = await answer(questions[0], { maxTokens: 4 });
    t.is(tokenizer.decode(free.tokens), "It lives on s");
    const early = await streamed(questions[0], { stop, maxTokens: 4 });
    t.is(early.text, "It lives on s");
    await context.dispose();
});

test("an engine that finds a stop string stops stepping", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const prompt = context.model.encodePrompt(question(questions[0]));
    const whole = await sequence.generate(prompt).result();
    await sequence.clear();
    const before = context.statistics.decodes;
    const result = await sequence.generate(prompt, { stop: "sandy" }).result();
    const upTo = (count: number): string => context.model.tokenizer.decode(whole.tokens.slice(0, count));
    const chosen = 1 + Array.from(whole.tokens).findIndex((_, i) => upTo(i + 1).includes("sandy"));
    t.is(result.text, "It lives on ");
    t.is(context.statistics.decodes - before, chosen, "one for the prompt, one for each token chosen but the last");
    t.is(sequence.position, prompt.length + chosen - 1, "the memory holds the tokens of the stop string as well");
    await context.dispose();
});

/** Biases that make a greedy answer repeat `bytes` (all different): each outranks the next, and rests after its turn. */
function cycle(tokens: ArrayLike<number>): GenerationOptions {
    const bias = new Map(Array.from(tokens, (token, i) => [token, 300 * (tokens.length - i)]));
    return { logitBias: bias, repeatPenalty: 1e6, repeatLast: tokens.length - 1 };
}

test("characters spelled by several tokens are matched, held and cut as characters", async (t) => {
    const { tokenizer } = await chatModel();
    const text = "🙂éж";
    const tokens = tokenizer.encode(text);
    t.is(new Set(tokens).size, tokens.length, "the cycle needs different tokens");
    const cases: [stop: string | string[], expected: string][] = [
        ["é", "🙂"],
        ["ж", "🙂é"],
        ["ж🙂", "🙂é"],
        [["🙂éж🙂éж🙂?", "éж🙂é"], "🙂"],
        [["🙂éж🙂éж?"], `${text}${text}`],
    ];
    for (const [stop, expected] of cases) {
        const context = await exactContext();
        const options = { ...cycle(tokens), maxTokens: 2 * tokens.length, stop };
        const generation = context.sequence().generate(question(questions[0]), options);
        const stream = await read(generation);
        const result = await generation.result();
        t.is(result.text, expected, String(stop));
        t.is(stream.map((each) => each.text).join(""), expected);
        t.is(tokenizer.decode(result.tokens), expected);
        await context.dispose();
    }
});

test("sequences of one batch end each by its own stop strings", async (t) => {
    const stops = ["sandy", "is", "fish", "an", "zzz", "."];
    const context = await chatContext({ sequences: stops.length });
    const running = stops.map((stop, i) => {
        const text = questions[i % questions.length] as string;
        return context.sequence().generate(question(text), { stop });
    });
    const together = await Promise.all(running.map((each) => each.result()));
    for (const [i, stop] of stops.entries()) {
        const alone = await answer(questions[i % questions.length] as string, { stop });
        t.deepEqual(together[i]?.tokens, alone.tokens);
        t.is(together[i]?.text, alone.text);
        t.is(together[i]?.stopString, alone.stopString);
    }
    await context.dispose();
});

test("aborting brings what was held, then throws, and the sequence goes on", async (t) => {
    const context = await chatContext({ sequences: 2 });
    const sequence = context.sequence();
    const other = context.sequence();
    const free = await sequence.generate(question(questions[0]), { logitBias: await endless() }).result();
    await sequence.clear();
    const controller = new AbortController();
    const reason = new Error("enough");
    const generation = sequence.generate(question(questions[0]), {
        logitBias: await endless(),
        signal: controller.signal,
        maxTokens: 1_000_000,
        stop: `${free.text}?`,
    });
    // The other answer takes its steps in the same batches: when it is done, some tokens are held.
    await other.generate(question(questions[1]), { maxTokens: 5 }).result();
    controller.abort(reason);
    const stream: GeneratedToken[] = [];
    const error = await expectCode(t, "ABORTED", async () => {
        for await (const token of generation) {
            stream.push(token);
        }
    });
    t.is(error?.cause, reason);
    t.true(stream.length >= 4);
    t.deepEqual(
        stream.map((each) => each.token),
        [...free.tokens.slice(0, stream.length)],
    );
    await sequence.clear();
    t.is((await sequence.generate(question(questions[0]), { stop: "sandy" }).result()).text, "It lives on ");
    await context.dispose();
});

test("wrong stop strings are refused before the sequence is touched", async (t) => {
    const context = await chatContext();
    const sequence = context.sequence();
    const wrong: unknown[] = ["", [""], ["a", ""], 7, null, [7], [["a"]], {}, new Set(["a"]), "\ud83d", ["a\udc00"]];
    for (const stop of wrong) {
        const call = (): unknown => sequence.generate(question(questions[0]), { stop: stop as string });
        await expectCode(t, "INVALID_ARGUMENT", call, /stop/);
    }
    await expectCode(
        t,
        "INVALID_ARGUMENT",
        () => sequence.generate(question(questions[0]), { stopTokens: [context.model.info.vocabularySize] }),
        /vocabulary/,
    );
    t.is(sequence.position, 0);
    t.is(context.statistics.decodes, 0);
    t.is((await sequence.generate(question(questions[0]), { stop: [] }).result()).finishReason, "stop");
    await context.dispose();
});
