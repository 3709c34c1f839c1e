import test from "ava";
import { SteerError, type SteeringVector } from "llama-steer";
import { type Scheduler, serve } from "llama-steer/server";
import OpenAI from "openai";
import { randomNumbers } from "./support/numbers.js";
import { type Asked, answersAlone, exactScheduler, requestOf, vectorOf } from "./support/serving.js";
import { question, testbedPrompts } from "./support/testbed.js";

// 64 clients with 64 steerings make 2,048 requests; all of this file takes about 75 s on one quiet core.
// `LLAMA_STEER_LOAD=6` makes 6 requests of each client instead of 32, for a look while working. That memory stays flat under
// such a load, memory.test.ts measures in a process of its own.

const clients = 64;
const requestsEach = Number(process.env.LLAMA_STEER_LOAD ?? 32);
const prompts = testbedPrompts();

/** What client `c` asks, each with a steering of its own. */
const asked: Asked[][] = Array.from({ length: clients }, (_, client) =>
    Array.from({ length: requestsEach }, (_, i) => ({
        text: prompts[(client * 7 + i * 131) % prompts.length]?.prompt as string,
        steering: client + 1,
        maxTokens: 3 + ((client + i) % 10),
    })),
);
const alone = await answersAlone(asked.flat());

const crowded = (): Promise<Scheduler> =>
    exactScheduler({ sequences: 72, contextSize: 128, promptBudget: 64 }, { concurrency: 64 });

test.serial("the steerings tell the answers apart", async (t) => {
    const some = asked.flatMap((own) => own.slice(0, 4));
    const plain = await answersAlone(some.map((each) => ({ ...each, steering: 0 })));
    const steered = asked.flatMap((_, client) => alone.slice(client * requestsEach, client * requestsEach + 4));
    const changed = steered.filter(({ text }, i) => text !== plain[i]?.text).length;
    t.true(changed > some.length / 2, `steering changed ${changed} answers of ${some.length}`);
    t.log(`steering changed ${changed} answers of ${some.length}`);
});

test.serial(
    "64 clients with 64 steerings: every answer equals that of the request alone, none lost, none mixed",
    async (t) => {
        t.timeout(600_000);
        const scheduler = await crowded();
        let most = 0;
        await Promise.all(
            asked.map(async (own, client) => {
                for (const [i, each] of own.entries()) {
                    const request = { ...requestOf(each), client: `client ${client}` };
                    const result = await scheduler.submit(request).result();
                    most = Math.max(most, scheduler.statistics.running);
                    t.deepEqual(
                        result.tokens,
                        alone[client * requestsEach + i]?.tokens,
                        `client ${client}, request ${i}`,
                    );
                }
            }),
        );
        const { submitted, finished, failed, aborted, refused, running, queued } = scheduler.statistics;
        t.deepEqual(
            { submitted, finished, failed, aborted, refused, running, queued },
            {
                submitted: alone.length,
                finished: alone.length,
                failed: 0,
                aborted: 0,
                refused: 0,
                running: 0,
                queued: 0,
            },
        );
        t.true(most > 48, `${most} of 64 ran at once`);
        const { tokens, decodes } = scheduler.context.statistics;
        t.true(tokens / decodes > 16, `${tokens / decodes} tokens per pass`);
        t.log(`up to ${most} at once, ${(tokens / decodes).toFixed(1)} tokens per pass`);

        await scheduler.close();
        const { heldTokens, promisedTokens } = scheduler.context.statistics;
        t.deepEqual([heldTokens, promisedTokens], [0, 0]);
        await scheduler.context.dispose();
    },
);

test.serial("the same while every third request is broken off: neighbours stay right", async (t) => {
    t.timeout(600_000);
    const scheduler = await crowded();
    const random = randomNumbers(7);
    let [finished, broken] = [0, 0];
    await Promise.all(
        asked.map(async (own, client) => {
            for (const [i, each] of own.slice(0, 12).entries()) {
                const stop = new AbortController();
                const answer = scheduler.submit({
                    ...requestOf(each),
                    client: `client ${client}`,
                    signal: stop.signal,
                });
                if (random() < 1 / 3) {
                    // At once, while it waits, or after some of its tokens.
                    const when = Math.floor(random() * 4);
                    const batches = answer[Symbol.asyncIterator]();
                    for (let batch = 0; batch < when; batch++) await batches.next();
                    stop.abort();
                }
                const expected = alone[client * requestsEach + i]?.tokens as Int32Array;
                const result = await answer.result().catch((error: SteerError) => error);
                if (result instanceof SteerError) {
                    broken++;
                    t.is(result.code, "ABORTED");
                    const soFar = answer.tokens.map(({ token }) => token);
                    t.deepEqual(soFar, [...expected.slice(0, soFar.length)], "what it had by then was right");
                } else {
                    finished++;
                    t.deepEqual(result.tokens, expected, `client ${client}, request ${i}`);
                }
            }
        }),
    );
    t.log(`${finished} finished, ${broken} broken off`);
    t.true(broken > 0 && finished > broken);
    const { submitted, aborted, failed, running, queued } = scheduler.statistics;
    t.deepEqual([submitted, aborted, failed, running, queued], [finished + broken, broken, 0, 0, 0]);
    await scheduler.close();
    const { heldTokens, promisedTokens } = scheduler.context.statistics;
    t.deepEqual([heldTokens, promisedTokens], [0, 0]);
    await scheduler.context.dispose();
});

test.serial(
    "the same over HTTP through the official client, half of it streamed, while others break off",
    async (t) => {
        const scheduler = await crowded();
        const names = Array.from({ length: clients }, (_, i): [string, SteeringVector] => [
            `v${i + 1}`,
            vectorOf(i + 1),
        ]);
        const server = await serve({ scheduler, model: "m", port: 0, vectors: Object.fromEntries(names) });
        const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
        const body = ({ text, steering, maxTokens = 12 }: Asked) => ({
            model: "m",
            messages: question(text),
            temperature: 0,
            max_tokens: maxTokens,
            ...({ steering: { vector: `v${steering}` } } as object),
        });
        const answerTo = async (each: Asked, streamed: boolean): Promise<string> => {
            if (!streamed) {
                return (await client.chat.completions.create(body(each))).choices[0]?.message.content ?? "";
            }
            let text = "";
            for await (const part of await client.chat.completions.create({ ...body(each), stream: true })) {
                text += part.choices[0]?.delta.content ?? "";
            }
            return text;
        };
        let broken = 0;
        await Promise.all(
            asked.map(async (own, index) => {
                for (const [i, each] of own.slice(0, 3).entries()) {
                    if (index % 8 === 0) {
                        for await (const _ of await client.chat.completions.create({ ...body(each), stream: true }))
                            break;
                        broken++;
                    }
                    const text = await answerTo(each, (index + i) % 2 === 0);
                    t.is(text, alone[index * requestsEach + i]?.text as string, `client ${index}, request ${i}`);
                }
            }),
        );
        t.is(broken, 24);
        const { failed, refused } = scheduler.statistics;
        t.deepEqual([failed, refused], [0, 0]);
        t.deepEqual(await server.close({ graceMilliseconds: 10_000 }), []);
        await scheduler.context.dispose();
    },
);
