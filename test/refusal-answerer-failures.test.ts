import test from "ava";
import type { RetryEvent } from "llama-steer/refusal";
import { answererAt, clusterGate, type Spoil, spoiled } from "./support/cluster.js";
import {
    asked,
    closeCluster,
    cluster,
    few,
    lineCount,
    local,
    openRun,
    sameAnswers,
} from "./support/cluster-answers.js";
import { expectCode } from "./support/expect-code.js";
import { type Behaviour, FakeEndpoint, userMessage } from "./support/fake-endpoint.js";

test.after.always(closeCluster);

const raw = (text: string, type = "application/json"): Behaviour => {
    return (response, _) => response.writeHead(200, { "content-type": type }).end(text);
};

const troubles: [name: string, trouble: Behaviour | Spoil, reason: RetryEvent["reason"], message: RegExp][] = [
    ["429", 429, "failed", /429/],
    ["500", 500, "failed", /500/],
    ["a closed connection", (response, _) => response.destroy(), "failed", /Connection error/],
    ["truncated JSON", raw('{"choices": [{"message": {"cont'), "failed", /JSON/],
    ["a page instead of an API", raw("<html>", "text/html"), "malformed", /no answer.*choices/],
    ["no choices", spoiled((_, body) => Object.assign(body, { choices: [] })), "malformed", /choices/],
    [
        "no log-probabilities",
        spoiled((choice) => Object.assign(choice, { logprobs: null })),
        "malformed",
        /log-probabilities.*logprobs/,
    ],
    [
        "log-probabilities of fewer tokens",
        spoiled(({ logprobs }) => logprobs?.content.splice(2)),
        "malformed",
        /has \d+ tokens and the log-probabilities of 2/,
    ],
    [
        "a log-probability that is none",
        spoiled(({ logprobs }) => Object.assign(logprobs?.content[0] ?? {}, { logprob: null })),
        "malformed",
        /logprob/,
    ],
    [
        "a probability above 1",
        spoiled(({ logprobs }) => Object.assign(logprobs?.content[0] ?? {}, { logprob: 0.5 })),
        "malformed",
        /logprob/,
    ],
    [
        "an empty text",
        spoiled(({ message }) => Object.assign(message, { content: "" })),
        "malformed",
        /content is empty/,
    ],
    ["no text", spoiled(({ message }) => Object.assign(message, { content: null })), "malformed", /content is empty/],
    [
        "an empty text without log-probabilities",
        spoiled((choice, body) => {
            choice.message.content = "";
            choice.logprobs = { content: [] };
            delete body.usage;
        }),
        "malformed",
        /content is empty/,
    ],
    [
        "another end",
        spoiled((choice) => Object.assign(choice, { finish_reason: "content_filter" })),
        "malformed",
        /finish_reason/,
    ],
    ["no end", spoiled((choice) => Object.assign(choice, { finish_reason: null })), "malformed", /finish_reason/],
];
for (const [name, trouble, reason, message] of troubles) {
    test.serial(`asked again and never guessed: ${name}`, async (t) => {
        const seen = new Map<string, number>();
        await using gate = await clusterGate(cluster, ({ body }) => {
            const key = JSON.stringify(body);
            const count = (seen.get(key) ?? 0) + 1;
            seen.set(key, count);
            return count <= 2 ? trouble : undefined;
        });
        const answerer = answererAt(gate.baseUrl);
        const { answers, retries } = await asked({ answerer });
        sameAnswers(t, answers, local);
        t.is(retries.length, 48);
        t.true(
            retries.every((each) => each.reason === reason && message.test(each.message)),
            JSON.stringify(retries[0]),
        );
        const spoils = { malformed: 0, failed: 0, [reason]: 48 };
        t.deepEqual(answerer.counts, { requests: 72, ...spoils });
    });

    test.serial(`nothing finished is lost when the retries are spent, and a later run goes on: ${name}`, async (t) => {
        let broken = true;
        await using gate = await clusterGate(cluster, (request) =>
            broken && userMessage(request) === few[9]?.prompt ? trouble : undefined,
        );
        const answerer = answererAt(gate.baseUrl, { retries: 2, concurrency: 3 });
        using run = openRun();
        const error = await expectCode(t, "ANSWERS_FAILED", () => asked({ answerer, run }), message);
        t.regex(error?.message ?? "", /model cluster at http.*no answer after 3 attempts.*Answers that were finished/);
        const kept = lineCount(run);
        const before = gate.requests.length;
        t.true(kept > 0 && kept < 24);
        broken = false;
        sameAnswers(t, (await asked({ answerer, run })).answers, local);
        t.is(gate.requests.length - before, 24 - kept, "what was kept is not asked for again");
    });
}

test.serial("what is finished before a failure among the first answers is compared, and kept", async (t) => {
    await using gate = await clusterGate(cluster, (request) =>
        userMessage(request) === few[3]?.prompt ? 500 : undefined,
    );
    using run = openRun();
    const answerer = answererAt(gate.baseUrl, { retries: 0, concurrency: 1 });
    await expectCode(t, "ANSWERS_FAILED", () => asked({ answerer, run }), /500/);
    t.is(gate.requests.length, 7, "nothing new was begun");
    t.is(lineCount(run), 6);
    sameAnswers(t, (await asked({ answerer: cluster.answerer(), run })).answers, local);
});

test.serial("a server that says how long to wait is believed", async (t) => {
    let first = true;
    await using gate = await clusterGate(cluster, () => {
        const busy: Behaviour = (response, _) => response.writeHead(429, { "retry-after": "0.05" }).end();
        const decided = first ? busy : undefined;
        first = false;
        return decided;
    });
    const answerer = answererAt(gate.baseUrl, { backoffMilliseconds: 60_000 });
    const { answers, retries } = await asked({ answerer });
    sameAnswers(t, answers, local);
    t.deepEqual(
        retries.map(({ waitMilliseconds }) => waitMilliseconds),
        [50],
    );
});

test.serial("a server that never replies is given up in time, and what others gave is kept", async (t) => {
    let silent = true;
    await using gate = await clusterGate(cluster, (request) =>
        silent && userMessage(request) === few[9]?.prompt ? (_response, _request) => {} : undefined,
    );
    using run = openRun();
    // Long enough for the others on a busy machine.
    const answerer = answererAt(gate.baseUrl, { retries: 0, timeoutMilliseconds: 5000 });
    await expectCode(t, "ANSWERS_FAILED", () => asked({ answerer, run }), /no whole reply within 5000 ms/);
    const kept = lineCount(run);
    t.true(kept > 0);
    silent = false;
    const before = gate.requests.length;
    sameAnswers(t, (await asked({ answerer: answererAt(gate.baseUrl), run })).answers, local);
    t.is(gate.requests.length - before, 24 - kept);
});

test.serial("a cluster that is not there, and a model that it does not know", async (t) => {
    const gone = await FakeEndpoint.start(() => "");
    const { baseUrl } = gone;
    await gone.stop();
    const answerer = answererAt(baseUrl, { retries: 1 });
    await expectCode(t, "ANSWERS_FAILED", () => asked({ answerer }), /after 2 attempts.*ECONNREFUSED/);
    const unknown = cluster.answerer({ model: "unknown", concurrency: 1 });
    await expectCode(t, "ANSWERS_FAILED", () => asked({ answerer: unknown }), /gives no answer: .*404.*unknown/);
    t.is(unknown.counts.requests, 1, "it is not asked again");
});

test.serial("asking can be stopped; what was finished is kept", async (t) => {
    const controller = new AbortController();
    let count = 0;
    await using gate = await clusterGate(cluster, () =>
        ++count > 20 ? (_response, _request) => controller.abort() : undefined,
    );
    using run = openRun();
    const answerer = answererAt(gate.baseUrl, { concurrency: 1 });
    await expectCode(t, "ABORTED", () => asked({ answerer, run, signal: controller.signal }));
    t.is(lineCount(run), 20);
});
