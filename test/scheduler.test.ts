import test from "ava";
import { SteerError } from "llama-steer";
import type { ServeRequest } from "llama-steer/server";
import { endless } from "./support/answer.js";
import { expectCode, failureOf } from "./support/expect-code.js";
import { type Asked, answersAlone, closeAll, exactScheduler, requestOf, steeringOf } from "./support/serving.js";
import { question, questions } from "./support/testbed.js";

const logitBias = await endless();
const prompt = question(questions[0]);
/** An answer that goes on until it is ended, or for so many tokens. */
const going = (maxTokens = 200): ServeRequest => ({ prompt, maxTokens, logitBias });

test("answers of more requests than sequences equal those of each alone", async (t) => {
    const asked: Asked[] = Array.from({ length: 24 }, (_, i) => ({
        text: questions[i % 4] as string,
        steering: i % 6,
        maxTokens: 4 + (i % 9),
    }));
    const alone = await answersAlone(asked);
    t.true(new Set(alone.map(({ text }) => text)).size > 12, "the answers differ");
    for (const prefixCache of [true, false]) {
        const scheduler = await exactScheduler({ sequences: 5, promptBudget: 16 }, { prefixCache, concurrency: 4 });
        const answers = asked.map((each) => scheduler.submit(requestOf(each)));
        const results = await Promise.all(answers.map((each) => each.result()));
        results.forEach((result, i) => {
            t.deepEqual(result.tokens, alone[i]?.tokens, `request ${i}, prefix cache: ${prefixCache}`);
        });
        const { finished, running, queued, sharedTokens, promptTokens, cached } = scheduler.statistics;
        t.deepEqual([finished, running, queued], [24, 0, 0]);
        t.is(
            promptTokens,
            answers.reduce((sum, each) => sum + each.promptTokens, 0),
        );
        t.is(sharedTokens > 0, prefixCache);
        t.is(cached > 0, prefixCache);
        await closeAll(scheduler);
    }
});

test("tokens come in lists, the same that the result has, while others run", async (t) => {
    const scheduler = await exactScheduler({ sequences: 2 });
    const other = scheduler.submit(going(60));
    const answer = scheduler.submit({ prompt, maxTokens: 20 });
    const tokens: number[] = [];
    for await (const batch of answer) {
        t.true(batch.length > 0);
        tokens.push(...batch.map(({ token }) => token));
    }
    const result = await answer.result();
    t.deepEqual(tokens, [...result.tokens]);
    t.true(result.queuedMilliseconds <= result.firstTokenMilliseconds);
    t.true(result.firstTokenMilliseconds <= result.totalMilliseconds);
    t.is((await other.result()).tokens.length, 60);
    t.is(scheduler.statistics.firstToken?.count, 2);
    await closeAll(scheduler);
});

test("answers under way and waiting ones never come to more tokens than the memory has", async (t) => {
    const memoryTokens = 256;
    const scheduler = await exactScheduler({ sequences: 8, contextSize: 200, memoryTokens }, { prefixCache: false });
    const most = { held: 0, running: 0 };
    const watch = setInterval(() => {
        const { heldTokens, promisedTokens, running } = scheduler.statistics;
        most.held = Math.max(most.held, heldTokens + promisedTokens);
        most.running = Math.max(most.running, running);
    }, 1);
    const answers = Array.from({ length: 12 }, () => scheduler.submit(going(60)));
    const results = await Promise.all(answers.map((each) => each.result()));
    clearInterval(watch);
    t.true(results.every(({ tokens }) => tokens.length === 60));
    t.true(most.held <= memoryTokens, `${most.held} tokens held and promised`);
    const each = (answers[0]?.promptTokens ?? 0) + 60;
    t.is(most.running, Math.floor(memoryTokens / each));
    await closeAll(scheduler);
});

test("a budget of tokens holds requests back that the memory has room for", async (t) => {
    const scheduler = await exactScheduler({ sequences: 4 }, { tokenBudget: 200, prefixCache: false });
    const answers = [going(60), going(60), going(60)].map((each) => scheduler.submit(each));
    t.deepEqual([scheduler.statistics.running, scheduler.statistics.queued], [2, 1]);
    await Promise.all(answers.map((each) => each.result()));
    await expectCode(t, "PROMPT_TOO_LONG", () => scheduler.submit(going(190)), /200/);
    await closeAll(scheduler);
});

/** Runs requests one at a time, and tells in which order they ended. */
async function order(policy: "fair" | "priority", requests: [string, Partial<ServeRequest>][]): Promise<string> {
    const ended: string[] = [];
    const scheduler = await exactScheduler({ sequences: 1 }, { policy });
    const answers = requests.map(async ([name, request]) => {
        await scheduler.submit({ prompt, maxTokens: 3, ...request }).result();
        ended.push(name);
    });
    await Promise.all(answers);
    await closeAll(scheduler);
    return ended.join(" ");
}

test("clients take turns, whoever has asked for more", async (t) => {
    const a = { client: "a" };
    const b = { client: "b" };
    t.is(
        await order("fair", [
            ["a1", a],
            ["a2", a],
            ["a3", a],
            ["b1", b],
            ["b2", b],
        ]),
        "a1 b1 a2 b2 a3",
    );
    t.is(
        await order("fair", [
            ["a1", a],
            ["a2", { ...a, priority: 9 }],
            ["b1", b],
        ]),
        "a1 b1 a2",
    );
});

test("the higher priority goes first, and equals take turns", async (t) => {
    const [a, b] = [{ client: "a" }, { client: "b" }];
    const high = { client: "a", priority: 2 };
    const requests: [string, object][] = [
        ["a1", a],
        ["a2", a],
        ["b1", b],
        ["high1", high],
        ["high2", high],
    ];
    t.is(await order("priority", requests), "a1 high1 high2 b1 a2");
});

test("a full queue refuses, and takes again when there is room", async (t) => {
    const scheduler = await exactScheduler({ sequences: 1 }, { queueLimit: 2 });
    const taken = [going(), going(20), going(20)].map((each) => scheduler.submit(each));
    await expectCode(t, "QUEUE_FULL", () => scheduler.submit(going()), /2 requests wait/);
    t.is(scheduler.statistics.refused, 1);
    await taken[1]?.abort();
    const late = scheduler.submit(going(5));
    await taken[0]?.abort();
    t.is((await late.result()).tokens.length, 5);
    t.is((await taken[2]?.result())?.tokens.length, 20);
    await closeAll(scheduler);
});

test("an aborted request frees its place at once, waiting or running, by method, signal or leaving its loop", async (t) => {
    const scheduler = await exactScheduler({ sequences: 1, contextSize: 500 });
    const [stopRunning, stopWaiting] = [new AbortController(), new AbortController()];
    const running = scheduler.submit({ ...going(), signal: stopRunning.signal });
    const waiting = scheduler.submit({ ...going(), signal: stopWaiting.signal });
    const last = scheduler.submit(going(4));
    stopWaiting.abort(new Error("changed my mind"));
    const waited = await expectCode(t, "ABORTED", () => waiting.result());
    t.is((waited?.cause as Error | undefined)?.message, "changed my mind");
    for await (const _ of running) {
        stopRunning.abort(new Error("enough"));
        break;
    }
    const ended = await expectCode(t, "ABORTED", () => running.result());
    t.is((ended?.cause as Error | undefined)?.message, "enough");
    t.is((await last.result()).tokens.length, 4);
    const left = scheduler.submit(going());
    for await (const _ of left) break;
    await expectCode(t, "ABORTED", () => left.result());
    await expectCode(t, "ABORTED", () => scheduler.submit({ ...going(), signal: AbortSignal.abort() }).result());
    const { aborted, finished, running: now } = scheduler.statistics;
    t.deepEqual([aborted, finished, now], [4, 1, 0]);
    t.is((await scheduler.submit(going(4)).result()).tokens.length, 4);
    await closeAll(scheduler);
});

test("closing finishes what was taken within its grace, and takes no more", async (t) => {
    const scheduler = await exactScheduler({ sequences: 2 });
    const answers = Array.from({ length: 7 }, (_, i) => scheduler.submit(going(10 + i)));
    const closing = scheduler.close({ graceMilliseconds: 60_000 });
    await expectCode(t, "DISPOSED", () => scheduler.submit(going()), /closed/);
    t.deepEqual(await closing, []);
    t.deepEqual(
        (await Promise.all(answers.map((each) => each.result()))).map(({ tokens }) => tokens.length),
        [10, 11, 12, 13, 14, 15, 16],
    );
    const { heldTokens, promisedTokens } = scheduler.context.statistics;
    t.deepEqual([heldTokens, promisedTokens], [0, 0]);
    await scheduler.context.dispose();
});

test("closing hands back what it does not finish", async (t) => {
    const scheduler = await exactScheduler({ sequences: 1, contextSize: 500 });
    const [first, second] = [going(400), going(30)];
    const answers = [first, second].map((each) => scheduler.submit(each));
    for await (const _ of answers[0]?.[Symbol.asyncIterator]() ?? []) {
        const unfinished = await scheduler.close();
        t.deepEqual(
            unfinished.map(({ request }) => request),
            [second, first],
        );
        const [waiting, running] = unfinished;
        t.is(waiting?.tokens.length, 0);
        t.true((running?.tokens.length ?? 0) > 0 && running?.text !== "");
        break;
    }
    for (const each of answers) {
        await expectCode(t, "ABORTED", () => each.result());
    }
    t.is(await scheduler.close(), await scheduler.close());
    await scheduler.context.dispose();
});

test("a context disposed under a scheduler ends its requests with DISPOSED", async (t) => {
    const scheduler = await exactScheduler({ sequences: 1 });
    const answers = [going(), going()].map((each) => scheduler.submit(each));
    await scheduler.context.dispose();
    for (const each of answers) {
        await expectCode(t, "DISPOSED", () => each.result());
    }
    await expectCode(t, "DISPOSED", () => scheduler.submit(going()));
    await scheduler.close();
});

test("what is wrong with one request fails that one alone", async (t) => {
    const scheduler = await exactScheduler({ sequences: 2, contextSize: 200 });
    const good = scheduler.submit(going(40));
    const thrown = new Error("no such vector");
    const apply = (): never => {
        throw thrown;
    };
    t.is(await failureOf(() => scheduler.submit({ prompt, steering: { key: "x", apply } }).result()), thrown);
    const later: [string, ServeRequest][] = [
        ["GRAMMAR_INVALID", { prompt, grammar: "root ::= (" }],
        ["INVALID_ARGUMENT", { prompt, stop: "" }],
        ["INVALID_ARGUMENT", { prompt, temperature: -1 }],
        ["INVALID_ARGUMENT", { prompt: Int32Array.of(1_000_000) }],
    ];
    for (const [code, request] of later) {
        const answer = scheduler.submit(request);
        await expectCode(t, code as SteerError["code"], () => answer.result());
        await expectCode(t, code as SteerError["code"], async () => {
            for await (const _ of answer);
        });
    }
    const wrong = (request: unknown) => () => scheduler.submit(request as ServeRequest);
    const atOnce: [string, unknown][] = [
        ["PROMPT_EMPTY", { prompt: [] }],
        ["PROMPT_EMPTY", { prompt: new Int32Array(0) }],
        ["PROMPT_TOO_LONG", { prompt: new Int32Array(200).fill(5) }],
        ["PROMPT_TOO_LONG", { prompt, maxTokens: 199 }],
        ["INVALID_ARGUMENT", { prompt: 5 }],
        ["INVALID_ARGUMENT", {}],
        ["INVALID_ARGUMENT", undefined],
        ["INVALID_ARGUMENT", { prompt, maxTokens: 0 }],
        ["INVALID_ARGUMENT", { prompt, client: 3 }],
        ["INVALID_ARGUMENT", { prompt, priority: "high" }],
        ["INVALID_ARGUMENT", { prompt, steering: { key: "x" } }],
        ["INVALID_ARGUMENT", { prompt, steering: { apply } }],
        ["INVALID_ARGUMENT", { prompt, signal: {} }],
    ];
    for (const [code, request] of atOnce) {
        await expectCode(t, code as SteerError["code"], wrong(request));
    }
    t.is((await good.result()).tokens.length, 40);
    t.is(scheduler.statistics.failed, 5);
    t.is((await scheduler.submit(going(3)).result()).tokens.length, 3);
    await closeAll(scheduler);
});

test("options of a scheduler are checked", async (t) => {
    const { Scheduler } = await import("llama-steer/server");
    const scheduler = await exactScheduler({ sequences: 1 });
    const wrong: object[] = [
        { concurrency: 0 },
        { concurrency: 1.5 },
        { queueLimit: -1 },
        { policy: "first" },
        { tokenBudget: "all" },
        { defaultMaxTokens: 0 },
        { prefixCache: 1 },
        { onEnd: true },
        { sequences: 4 },
    ];
    for (const options of wrong) {
        await expectCode(t, "INVALID_ARGUMENT", () => new Scheduler(scheduler.context, options), /options/);
    }
    await expectCode(t, "INVALID_ARGUMENT", () => new Scheduler({} as never), /Context/);
    await closeAll(scheduler);
});

test("a request's end is told, however it ends", async (t) => {
    const told: string[] = [];
    const scheduler = await exactScheduler(
        { sequences: 1 },
        {
            onEnd: (request, outcome) =>
                told.push(`${request.client}: ${outcome instanceof SteerError ? outcome.code : outcome.finishReason}`),
        },
    );
    const long = scheduler.submit({ ...going(), client: "a" });
    const waiting = scheduler.submit({ ...going(), client: "b" });
    const brief = scheduler.submit({ ...going(3), client: "c", ...steeringOf(1) });
    t.deepEqual([...scheduler.statistics.steering], [["", 1]]);
    await waiting.abort();
    await long.abort();
    await brief.result();
    t.deepEqual(told, ["b: ABORTED", "a: ABORTED", "c: length"]);
    await closeAll(scheduler);
});
