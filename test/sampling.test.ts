import test from "ava";
import type { GenerationOptions, GenerationResult } from "llama-steer";
import { answer, endless } from "./support/answer.js";
import { expectCode } from "./support/expect-code.js";
import { argMax, logSoftmax } from "./support/numbers.js";
import { replayLogits } from "./support/replay.js";
import { exactContext, exactModel, question, questions } from "./support/testbed.js";

const text = "Tell me about the sea and the hills.";

/** An answer of up to 12 tokens, and the raw logits that each of them was chosen from. */
async function sampled(options: GenerationOptions): Promise<{ result: GenerationResult; logits: Float32Array[] }> {
    const context = await exactContext();
    const sequence = context.sequence();
    const prompt = context.model.encodePrompt(question(text));
    const result = await sequence.generate(prompt, { maxTokens: 12, ...options }).result();
    await sequence.dispose();
    const logits = await replayLogits(context, prompt, result.tokens);
    await context.dispose();
    return { result, logits };
}

test("logProbability is the log-softmax of the raw logits, whatever the sampling", async (t) => {
    for (const options of [{}, { temperature: 1.5, topK: 20, seed: 3 }, { repeatPenalty: 3, temperature: 0.5 }]) {
        const { result, logits } = await sampled({ ...options, logitBias: await endless() });
        t.is(result.tokens.length, 12);
        result.tokens.forEach((token, i) => {
            const expected = logSoftmax(logits[i] as Float32Array)[token] as number;
            const difference = Math.abs((result.logProbabilities[i] as number) - expected);
            t.true(difference < 1e-4, `token ${i}: ${difference}`);
        });
    }
});

test("topK 1, minP 1 and a tiny topP choose as greedy does", async (t) => {
    const greedy = await answer(questions[0]);
    for (const filter of [{ topK: 1 }, { minP: 1 }, { topP: 1e-6 }]) {
        for (const seed of [1, 2]) {
            const result = await answer(questions[0], { temperature: 2, seed, ...filter });
            t.deepEqual(result.tokens, greedy.tokens, JSON.stringify(filter));
        }
    }
});

test("a topK of all tokens or more chooses as none does, with the same seed", async (t) => {
    const { vocabularySize } = (await exactModel()).tokenizer;
    const texts = new Set<string>();
    for (let seed = 0; seed < 4; seed++) {
        const none = await answer(text, { temperature: 1, seed });
        texts.add(none.text);
        for (const topK of [vocabularySize, 2 ** 30]) {
            t.deepEqual((await answer(text, { temperature: 1, seed, topK })).tokens, none.tokens);
        }
    }
    t.true(texts.size > 1);
});

test("topK, topP and minP keep every token within their set", async (t) => {
    let outside = 0;
    for (let seed = 0; seed < 4; seed++) {
        const free = await sampled({ temperature: 1, seed });
        const byTopK = await sampled({ temperature: 1, seed, topK: 3 });
        const byTopP = await sampled({ temperature: 1, seed, topP: 0.5 });
        const byMinP = await sampled({ temperature: 1, seed, minP: 0.3 });
        const rank = (logits: Float32Array, token: number): number =>
            logits.filter((each) => each > (logits[token] as number)).length;
        const above = (logits: Float32Array, token: number): number => {
            const own = logits[token] as number;
            return logSoftmax(logits).reduce(
                (sum, each, i) => ((logits[i] as number) > own ? sum + Math.exp(each) : sum),
                0,
            );
        };
        byTopK.result.tokens.forEach((token, i) => {
            t.true(rank(byTopK.logits[i] as Float32Array, token) < 3);
        });
        byTopP.result.tokens.forEach((token, i) => {
            t.true(above(byTopP.logits[i] as Float32Array, token) <= 0.5 + 1e-4);
        });
        byMinP.result.tokens.forEach((token, i) => {
            const logits = byMinP.logits[i] as Float32Array;
            t.true((logits[token] as number) - Math.max(...logits) >= Math.log(0.3) - 1e-4);
        });
        free.result.tokens.forEach((token, i) => {
            outside += rank(free.logits[i] as Float32Array, token) >= 3 ? 1 : 0;
        });
    }
    t.true(outside > 0, "without a filter some tokens lie outside, so the filters had something to do");
});

test("repeatPenalty divides positive and multiplies negative logits of recent tokens", async (t) => {
    const repeatPenalty = 4;
    const { result, logits } = await sampled({ repeatPenalty, repeatLast: 24 });
    const prompt = (await exactModel()).encodePrompt(question(text));
    const whole = [...prompt, ...result.tokens];
    let changed = 0;
    result.tokens.forEach((token, i) => {
        const recent = new Set(whole.slice(Math.max(0, prompt.length + i - 24), prompt.length + i));
        const row = logits[i] as Float32Array;
        const penalized = row.map((each, id) =>
            recent.has(id) ? (each <= 0 ? each * repeatPenalty : each / repeatPenalty) : each,
        );
        t.is(token, argMax(penalized), `token ${i}`);
        changed += token === argMax(row) ? 0 : 1;
    });
    t.true(changed > 0, "the penalty changed something");
});

test("a logit bias of -Infinity forbids a token, +100 forces one", async (t) => {
    const { result, logits } = await sampled({});
    const favourite = result.tokens[0] as number;
    const without = (logits[0] as Float32Array).slice();
    without[favourite] = Number.NEGATIVE_INFINITY;
    const forbidden = await sampled({ logitBias: new Map([[favourite, Number.NEGATIVE_INFINITY]]) });
    t.is(forbidden.result.tokens[0], argMax(without));
    t.false(forbidden.result.tokens.includes(favourite));

    for (const temperature of [0, 1]) {
        const forced = await answer(text, { logitBias: new Map([[65, 100]]), maxTokens: 6, temperature });
        t.deepEqual([...forced.tokens], [65, 65, 65, 65, 65, 65]);
    }
});

test("a vocabulary forbidden entirely leaves nothing to choose, and the context stays usable", async (t) => {
    const context = await exactContext();
    const sequence = context.sequence();
    const { vocabularySize } = context.model.info;
    const nothing = new Map(Array.from({ length: vocabularySize }, (_, token) => [token, Number.NEGATIVE_INFINITY]));
    for (const options of [{}, { temperature: 1 }, { temperature: 1, topK: 5, topP: 0.5, minP: 0.1 }]) {
        const call = (): unknown => sequence.generate(question(text), { ...options, logitBias: nothing }).result();
        await expectCode(t, "NO_TOKEN_LEFT", call, /logitBias/);
        await sequence.clear();
    }
    nothing.delete(65);
    const only = await sequence.generate(question(text), { logitBias: nothing, maxTokens: 3 }).result();
    t.deepEqual([...only.tokens], [65, 65, 65]);
    await context.dispose();
});

test("extreme settings choose tokens of the vocabulary", async (t) => {
    const { vocabularySize } = (await exactModel()).info;
    const extremes: GenerationOptions[] = [
        { temperature: 1e30 },
        { temperature: 1e-30 },
        { temperature: 1e-45 },
        { temperature: 1, topP: 1e-30 },
        { temperature: 1, topK: 0x7fffffff },
        { temperature: 1, minP: 1, topK: 1, topP: 1e-9 },
        { repeatPenalty: 1e30, temperature: 1 },
        { repeatPenalty: 1e-30, temperature: 1 },
        { repeatPenalty: 2, repeatLast: 1_000_000 },
        { seed: 0xffffffff, temperature: 1 },
        { logitBias: new Map([[3, 3e38]]), temperature: 1 },
        { logitBias: new Map([[3, -3e38]]), temperature: 1 },
        { maxTokens: 0x7fffffff, temperature: 1 },
    ];
    for (const options of extremes) {
        const result = await answer(text, { maxTokens: 4, ...options });
        t.true(
            result.tokens.every((token) => token >= 0 && token < vocabularySize),
            JSON.stringify(options),
        );
    }
});

/** Biases that make a greedy answer repeat `bytes` (all different): each outranks the next, and rests after its turn. */
function cycle(tokens: Int32Array): GenerationOptions {
    const bias = new Map(Array.from(tokens, (token, i) => [token, 300 * (tokens.length - i)]));
    return { logitBias: bias, repeatPenalty: 1e6, repeatLast: tokens.length - 1 };
}

test("a character that several tokens spell comes whole, with its last token", async (t) => {
    const { tokenizer } = await exactModel();
    for (const character of ["🙂", "é", "€", "\ufeff"]) {
        const tokens = tokenizer.encode(character);
        const size = tokens.length;
        t.true(size > 1, "the vocabulary spells it in bytes");
        const context = await exactContext();
        const generation = context.sequence().generate(question(text), { ...cycle(tokens), maxTokens: 2 * size });
        const pieces: string[] = [];
        for await (const { text: piece } of generation) {
            pieces.push(piece);
        }
        const expected = Array.from({ length: 2 * size }, (_, i) => (i % size === size - 1 ? character : ""));
        t.deepEqual(pieces, expected);
        await context.dispose();
    }
});

test("an answer cut inside a character ends in U+FFFD", async (t) => {
    const tokens = (await exactModel()).tokenizer.encode("🙂");
    const result = await answer(text, { ...cycle(tokens), maxTokens: 6 });
    t.is(result.text, "🙂\ufffd");
    t.is(result.text, (await exactModel()).tokenizer.decode(result.tokens));
});
