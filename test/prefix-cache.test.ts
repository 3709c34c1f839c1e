import test from "ava";
import type { ChatMessage } from "llama-steer";
import type { Scheduler, ServeRequest, ServeResult } from "llama-steer/server";
import { endless } from "./support/answer.js";
import {
    type Asked,
    answersAlone,
    closeAll,
    exactScheduler,
    requestOf,
    steeringOf,
    vectorOf,
} from "./support/serving.js";
import { exactContext, question, questions } from "./support/testbed.js";

const [first, second, third] = questions;

async function ask(scheduler: Scheduler, asked: Asked): Promise<ServeResult> {
    return scheduler.submit(requestOf(asked)).result();
}

/** How many tokens two questions begin with alike, as prompts. */
async function commonTokens(a: string, b: string): Promise<number> {
    const context = await exactContext();
    const [one, other] = [a, b].map((text) => context.model.encodePrompt(question(text))) as [Int32Array, Int32Array];
    await context.dispose();
    return one.findIndex((token, i) => token !== other[i]);
}

test("a prompt takes the beginning of a finished one over, under the same steering and no other", async (t) => {
    const scheduler = await exactScheduler({ sequences: 6 });
    const common = await commonTokens(first, second);
    const plan: [asked: Asked, shared: number][] = [
        [{ text: first, steering: 1 }, 0],
        [{ text: second, steering: 1 }, common],
        [{ text: second, steering: 2 }, 0],
        [{ text: second, steering: 0 }, 0],
        [{ text: first, steering: 0 }, common],
        [{ text: first, steering: 2 }, common],
    ];
    const alone = await answersAlone(plan.map(([asked]) => asked));
    for (const [i, [asked, shared]] of plan.entries()) {
        const result = await ask(scheduler, asked);
        t.is(result.sharedTokens, shared, `request ${i}`);
        t.deepEqual(result.tokens, alone[i]?.tokens, `request ${i}`);
    }
    const { cacheHits, sharedTokens } = scheduler.statistics;
    t.deepEqual([cacheHits, sharedTokens], [3, 3 * common]);
    await closeAll(scheduler);
});

test("equal keys for different steering share nothing that the steering made different", async (t) => {
    const scheduler = await exactScheduler({ sequences: 4 });
    const lying = (number: number): ServeRequest => ({
        ...requestOf({ text: first, steering: 0 }),
        steering: { key: "the same", apply: (sequence) => void sequence.steer(vectorOf(number)) },
    });
    const [one, two] = await answersAlone([
        { text: first, steering: 1 },
        { text: first, steering: 2 },
    ]);
    t.deepEqual((await scheduler.submit(lying(1)).result()).tokens, one?.tokens);
    const other = await scheduler.submit(lying(2)).result();
    t.deepEqual([other.tokens, other.sharedTokens], [two?.tokens, 0]);
    await closeAll(scheduler);
});

test("a conversation that goes on computes only what is new", async (t) => {
    const scheduler = await exactScheduler({ sequences: 3, contextSize: 256 });
    for (const steering of [0, 3]) {
        const messages: ChatMessage[] = [];
        let held = 0;
        for (const text of [first, second, third]) {
            messages.push(...question(text));
            const request: ServeRequest = { prompt: [...messages], maxTokens: 24, ...steeringOf(steering) };
            const result = await scheduler.submit(request).result();
            const context = await exactContext({ sequences: 1 });
            const sequence = context.sequence();
            request.steering?.apply(sequence);
            const alone = await sequence.generate(messages, { maxTokens: 24 }).result();
            await context.dispose();
            t.deepEqual(result.tokens, alone.tokens);
            t.true(result.sharedTokens >= held, `${result.sharedTokens} tokens of ${held} are taken over`);
            // All but the last token of the answer, which is chosen and not computed.
            held = result.promptTokens + result.tokens.length - 1;
            messages.push({ role: "assistant", content: result.text });
        }
    }
    await closeAll(scheduler);
});

test("prompts that begin alike and come at once are computed once", async (t) => {
    const system = {
        role: "system",
        content: "You are asked about the animals of the country. Answer in one sentence, and say only what you know.",
    };
    const requests = questions.map((text): ServeRequest => ({ prompt: [system, ...question(text)], maxTokens: 8 }));
    const scheduler = await exactScheduler({ sequences: 6 });
    const answers = requests.map((each) => scheduler.submit(each));
    const results = await Promise.all(answers.map((each) => each.result()));
    t.deepEqual(
        results.map(({ sharedTokens }) => sharedTokens > 20),
        [false, true, true, true],
    );
    const uncached = await exactScheduler({ sequences: 6 }, { prefixCache: false });
    const computed = await Promise.all(requests.map((each) => uncached.submit(each).result()));
    results.forEach((result, i) => {
        t.deepEqual(result.tokens, computed[i]?.tokens);
    });
    const saved = uncached.context.statistics.tokens - scheduler.context.statistics.tokens;
    t.is(
        saved,
        results.reduce((sum, { sharedTokens }) => sum + sharedTokens, 0),
    );
    await closeAll(scheduler);
    await closeAll(uncached);
});

test("where sequences or memory run out, the prefix used longest ago goes first", async (t) => {
    const scheduler = await exactScheduler({ sequences: 3 }, { concurrency: 1 });
    const shared = async (text: string, steering: number): Promise<boolean> =>
        (await ask(scheduler, { text, steering })).sharedTokens > 0;
    await ask(scheduler, { text: first, steering: 1 });
    await ask(scheduler, { text: first, steering: 2 });
    t.true(await shared(second, 1), "both are kept");
    await ask(scheduler, { text: first, steering: 3 });
    t.is(scheduler.statistics.cacheEvictions, 1);
    t.false(await shared(second, 2), "that of steering 2 went");
    await closeAll(scheduler);
});

test("a prefix that had to go for its request's place is no sign that nothing can be shared", async (t) => {
    const scheduler = await exactScheduler({ sequences: 2, contextSize: 256 });
    const about = (subject: string, text: string): ServeRequest => ({
        prompt: [
            {
                role: "system",
                content: `You are asked about ${subject} of the country. Answer in one sentence, not in two.`,
            },
            ...question(text),
        ],
        maxTokens: 4,
    });
    await scheduler.submit(about("the animals", first)).result();
    const going = scheduler.submit({ prompt: Int32Array.of(50, 51), maxTokens: 100, logitBias: await endless() });
    t.is(
        (await scheduler.submit(about("the animals", first)).result()).sharedTokens,
        0,
        "its own place was all there was",
    );
    await going.abort();
    const together = [first, second].map((text) => scheduler.submit(about("the rivers and lakes", text)).result());
    t.deepEqual(
        (await Promise.all(together)).map(({ sharedTokens }) => sharedTokens > 32),
        [false, true],
    );
    await closeAll(scheduler);
});

test("what fits only with what it shares begins, and its memory is there", async (t) => {
    const scheduler = await exactScheduler({ sequences: 8, contextSize: 256, memoryTokens: 512 });
    const messages = question(Array(20).fill(first).join(" "));
    const length = scheduler.context.model.encodePrompt(messages).length;
    await scheduler.submit({ prompt: messages, maxTokens: 1 }).result();
    let most = 0;
    const answers = Array.from({ length: 6 }, async () => {
        const answer = scheduler.submit({ prompt: messages, maxTokens: 256 - length, logitBias: await endless() });
        for await (const _ of answer) most = Math.max(most, scheduler.statistics.running);
        return answer.result();
    });
    const results = await Promise.all(answers);
    t.true(results.every(({ sharedTokens }) => sharedTokens === length - 1));
    t.true(results.every(({ tokens }) => tokens.length === 256 - length));
    t.is(new Set(results.map(({ text }) => text)).size, 1);
    // Computed by each for itself, two would fill the memory.
    t.true(most > 2, `${most} at once`);
    t.deepEqual([scheduler.statistics.failed, scheduler.statistics.finished], [0, 7]);
    await closeAll(scheduler);
});

test("a function as strength keeps a prompt from being shared, and nobody waits for it", async (t) => {
    const scheduler = await exactScheduler({ sequences: 4 });
    const request = (): ServeRequest => ({
        ...requestOf({ text: first, steering: 0 }),
        steering: { key: "live", apply: (sequence) => void sequence.steer(vectorOf(1), { strength: () => 1 }) },
    });
    const [alone] = await answersAlone([{ text: first, steering: 1 }]);
    for (const _ of [1, 2]) {
        const results = await Promise.all([request(), request()].map((each) => scheduler.submit(each).result()));
        for (const result of results) {
            t.deepEqual([result.tokens, result.sharedTokens], [alone?.tokens, 0]);
        }
    }
    await closeAll(scheduler);
});
