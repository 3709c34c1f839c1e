import test from "ava";
import { type Asked, answersAlone, exactScheduler, requestOf } from "./support/serving.js";
import { testbedPrompts } from "./support/testbed.js";

const clients = 64;
const requestsEach = 6;
const prompts = testbedPrompts();

/** What client `c` asks, each with a steering of its own. */
const asked: Asked[][] = Array.from({ length: clients }, (_, client) =>
    Array.from({ length: requestsEach }, (_, i) => ({
        text: prompts[(client * 7 + i * 131) % prompts.length]?.prompt as string,
        steering: client + 1,
        maxTokens: 3 + ((client + i) % 10),
    })),
);

test("64 clients with 64 steerings: every answer equals that of the request alone, none lost, none mixed", async (t) => {
    t.timeout(150_000);
    const alone = await answersAlone(asked.flat());
    const plain = await answersAlone(asked.flat().map((each) => ({ ...each, steering: 0 })));
    const changed = alone.filter(({ text }, i) => text !== plain[i]?.text).length;
    t.true(changed > asked.flat().length / 2, `steering changed ${changed} answers`);
    t.true(new Set(alone.map(({ text }) => text)).size > asked.flat().length / 2, "the answers differ");
    const scheduler = await exactScheduler({ sequences: 72, contextSize: 128, promptBudget: 64 }, { concurrency: 64 });
    const memory: number[] = [];
    let most = 0;
    await Promise.all(
        asked.map(async (own, client) => {
            for (const [i, each] of own.entries()) {
                const request = { ...requestOf(each), client: `client ${client}` };
                const result = await scheduler.submit(request).result();
                most = Math.max(most, scheduler.statistics.running);
                t.deepEqual(result.tokens, alone[client * requestsEach + i]?.tokens, `client ${client}, request ${i}`);
            }
        }),
    );
    const { submitted, finished, failed, aborted, refused, running, queued } = scheduler.statistics;
    t.deepEqual(
        { submitted, finished, failed, aborted, refused, running, queued },
        { submitted: 384, finished: 384, failed: 0, aborted: 0, refused: 0, running: 0, queued: 0 },
    );
    t.true(most > 48, `${most} of 64 ran at once`);
    const { tokens, decodes } = scheduler.context.statistics;
    t.true(tokens / decodes > 16, `${tokens / decodes} tokens per pass`);

    // Memory: rounds of the same work again, after those above have made all that is made once.
    for (let round = 0; round < 4; round++) {
        const results = await Promise.all(asked.map(([each]) => scheduler.submit(requestOf(each as Asked)).result()));
        t.is(results.length, clients);
        globalThis.gc?.();
        memory.push(process.memoryUsage.rss() / 2 ** 20);
    }
    const [before = 0, , , after = 0] = memory;
    t.true(after - before < 16, `resident MiB after each round: ${memory.map(Math.round)}`);
    t.log(`resident MiB after each round: ${memory.map(Math.round)}; up to ${most} at once`);
    t.log(`${(tokens / decodes).toFixed(1)} tokens per pass`);
    await scheduler.close();
    const { heldTokens, promisedTokens } = scheduler.context.statistics;
    t.deepEqual([heldTokens, promisedTokens], [0, 0]);
    await scheduler.context.dispose();
});
