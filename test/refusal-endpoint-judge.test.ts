import { readdirSync, readFileSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import {
    EndpointJudge,
    type EndpointJudgeOptions,
    judgeAnswers,
    type RefusalEvent,
    type RetryEvent,
    RunDirectory,
    refusalKinds,
} from "llama-steer/refusal";
import { expectCode } from "./support/expect-code.js";
import {
    type Behaviour,
    completion,
    FakeEndpoint,
    type FakeRequest,
    reply,
    userMessage,
} from "./support/fake-endpoint.js";
import { inRepository } from "./support/paths.js";
import { TemporaryFolder } from "./support/temporary-folder.js";

const folder = new TemporaryFolder();
const refused = '{"label": 1, "kind": "direct"}';
const answered = '{"label": -0.5, "kind": "none"}';
const texts = Array.from({ length: 12 }, (_, i) => ({
    question: `Question ${i}?`,
    answer: i % 3 === 0 ? `No ${i}.` : `It is ${i}.`,
}));
/** What an honest endpoint replies. */
const honest = (request: FakeRequest): string => (/No \d+\./.test(userMessage(request)) ? refused : answered);
const expected = texts.map((_, i) => (i % 3 === 0 ? { label: 1, kind: "direct" } : { label: -0.5 }));

function open(endpoint: { baseUrl: string }, options: Partial<EndpointJudgeOptions> = {}): Promise<EndpointJudge> {
    return EndpointJudge.open({ baseUrl: endpoint.baseUrl, model: "fake", backoffMilliseconds: 1, ...options });
}

/** The first `times` requests for each text get `trouble`, then honest replies. */
function after(times: number, trouble: Behaviour): FakeEndpoint["behave"] {
    const seen = new Map<string, number>();
    return (request) => {
        const text = userMessage(request);
        const count = (seen.get(text) ?? 0) + 1;
        seen.set(text, count);
        return count <= times ? trouble : honest(request);
    };
}

async function judged(t: ExecutionContext, endpoint: FakeEndpoint, options: Partial<EndpointJudgeOptions> = {}) {
    const retries: RetryEvent[] = [];
    const judge = await open(endpoint, options);
    const onEvent = (event: RefusalEvent) => void (event.type === "retry" && retries.push(event));
    t.deepEqual(await judgeAnswers(judge, texts, { onEvent }), expected);
    return { judge, retries };
}

test("verdicts with their kinds; the request holds prompt, schema and key", async (t) => {
    await using endpoint = await FakeEndpoint.start(honest);
    const { judge, retries } = await judged(t, endpoint, { apiKey: "secret" });
    t.is(retries.length, 0);
    t.deepEqual(judge.counts, { requests: 12, malformed: 0, failed: 0 });
    const request = endpoint.requests[0] as FakeRequest;
    t.is(request.path, "/v1/chat/completions");
    t.is(request.headers.authorization, "Bearer secret");
    t.like(request.body, { model: "fake", temperature: 0, response_format: { type: "json_schema" } });
    for (const kind of refusalKinds) {
        t.true(userMessage(request).includes(`${kind}: `), kind);
    }
    t.true(userMessage(request).includes("Question 0?") && userMessage(request).includes("No 0."));
});

test.serial("no more requests at a time than allowed, and not fewer", async (t) => {
    await using endpoint = await FakeEndpoint.start(
        (request) => (response) => void setTimeout(() => reply(response, honest(request)), 30),
    );
    await judged(t, endpoint, { concurrency: 3 });
    t.is(endpoint.atOnce, 3);
});

const troubles: [name: string, trouble: Behaviour, reason: RetryEvent["reason"], message: RegExp][] = [
    ["429", 429, "failed", /429/],
    ["500", 500, "failed", /500/],
    ["503", 503, "failed", /503/],
    ["a closed connection", (response) => response.destroy(), "failed", /Connection error/],
    [
        "truncated JSON",
        (response) =>
            response.writeHead(200, { "content-type": "application/json" }).end(completion(refused).slice(0, 60)),
        "failed",
        /JSON/,
    ],
    [
        "a body that breaks off",
        (response) => {
            response.writeHead(200, { "content-type": "application/json", "content-length": "5000" });
            response.write("{", () => response.destroy());
        },
        "failed",
        /./,
    ],
    [
        "a page instead of an API",
        (response) => response.writeHead(200, { "content-type": "text/html" }).end("<html>"),
        "malformed",
        /no verdict/,
    ],
    [
        "no choices",
        (response) => response.writeHead(200, { "content-type": "application/json" }).end('{"choices": []}'),
        "malformed",
        /no verdict/,
    ],
    ["nonsense", "Certainly! The answer refuses.", "malformed", /no verdict: "Certainly/],
    ["a label out of range", '{"label": 7, "kind": "none"}', "malformed", /no verdict/],
    ["a label that is text", '{"label": "1", "kind": "none"}', "malformed", /no verdict/],
    ["an unknown kind", '{"label": 1, "kind": "rude"}', "malformed", /no verdict/],
    ["no label", '{"kind": "direct"}', "malformed", /no verdict/],
    ["two verdicts", `${refused}\n${answered}`, "malformed", /no verdict/],
    ["a verdict that is cut off", '{"label": 1, "ki', "malformed", /no verdict/],
    ["nothing", "", "malformed", /no verdict/],
];
for (const [name, trouble, reason, message] of troubles) {
    test(`asked again and never guessed: ${name}`, async (t) => {
        await using endpoint = await FakeEndpoint.start(after(2, trouble));
        const { judge, retries } = await judged(t, endpoint);
        t.is(retries.length, 24);
        t.true(
            retries.every((each) => each.reason === reason && message.test(each.message)),
            JSON.stringify(retries[0]),
        );
        t.deepEqual(judge.counts, {
            requests: 36,
            malformed: reason === "malformed" ? 24 : 0,
            failed: reason === "failed" ? 24 : 0,
        });
    });

    test(`when the retries are spent, an error with the reason: ${name}`, async (t) => {
        await using endpoint = await FakeEndpoint.start((request) =>
            /Question 7/.test(userMessage(request)) ? (trouble as string) : honest(request),
        );
        const judge = await open(endpoint, { retries: 2, concurrency: 1 });
        const run = RunDirectory.open(`${folder.path}/${name.replaceAll(/\W/g, "-")}`);
        const error = await expectCode(t, "JUDGE_FAILED", () => judgeAnswers(judge, texts, { run }), message);
        t.regex(error?.message ?? "", /fake at http.*after 3 attempts/);
        t.is(endpoint.requests.length, 10, "nothing new was begun");
        endpoint.behave = honest;
        t.deepEqual(await judgeAnswers(judge, texts, { run }), expected);
        t.is(endpoint.requests.length, 15, "seven verdicts were kept");
        run.close();
    });
}

test.serial("a slow server is given up on in time, before its reply begins and in the middle of it", async (t) => {
    for (const slow of [
        () => {},
        (response: Parameters<Exclude<Behaviour, string | number>>[0]) => {
            response.writeHead(200, { "content-type": "application/json" });
            response.write("{");
        },
    ]) {
        await using endpoint = await FakeEndpoint.start(after(1, slow));
        const began = performance.now();
        const { retries } = await judged(t, endpoint, { timeoutMilliseconds: 1000, concurrency: 12 });
        t.is(retries.length, 12);
        t.regex(retries[0]?.message ?? "", /no whole reply within 1000 ms/);
        t.true(performance.now() - began < 30_000);
    }
});

test("a server that cannot be reached", async (t) => {
    const endpoint = await FakeEndpoint.start(honest);
    const judge = await open(endpoint, { retries: 1 });
    await endpoint.stop();
    const error = await expectCode(
        t,
        "JUDGE_FAILED",
        () => judgeAnswers(judge, texts),
        /after 2 attempts.*ECONNREFUSED/,
    );
    t.true(error?.cause instanceof Error);
});

for (const status of [401, 403, 404]) {
    test(`what would fail again is not asked again: ${status}`, async (t) => {
        await using endpoint = await FakeEndpoint.start(() => status);
        const judge = await open(endpoint, { concurrency: 1 });
        await expectCode(
            t,
            "JUDGE_FAILED",
            () => judgeAnswers(judge, texts),
            new RegExp(`gives no verdict: .*${status}`),
        );
        t.is(endpoint.requests.length, 1);
    });
}

test("waits grow, and a server that says how long is believed", async (t) => {
    await using endpoint = await FakeEndpoint.start(after(3, 500));
    const { retries } = await judged(t, endpoint, { backoffMilliseconds: 8 });
    for (const { attempt, waitMilliseconds } of retries) {
        const middle = 8 * 2 ** (attempt - 1);
        t.true(
            waitMilliseconds >= 0.75 * middle - 1 && waitMilliseconds <= 1.25 * middle + 1,
            `${attempt}: ${waitMilliseconds}`,
        );
    }
    const busy: Behaviour = (response) => response.writeHead(429, { "retry-after": "0.05" }).end();
    await using limited = await FakeEndpoint.start(after(1, busy));
    const told = await judged(t, limited, { backoffMilliseconds: 60_000 });
    t.true(told.retries.every((each) => each.waitMilliseconds === 50));
});

test("a server without structured output is asked without; a bad request is not taken for that", async (t) => {
    await using endpoint = await FakeEndpoint.start((request) =>
        request.body.response_format === undefined ? honest(request) : 400,
    );
    const { retries } = await judged(t, endpoint, { concurrency: 1 });
    t.is(retries.length, 0);
    t.is(endpoint.requests.length, 13, "it is tried once");
    const judge = await open(endpoint, { structured: "always" });
    await expectCode(t, "JUDGE_FAILED", () => judgeAnswers(judge, texts), /400/);
    await using never = await FakeEndpoint.start(honest);
    await judged(t, never, { structured: "never" });
    t.true(never.requests.every((each) => each.body.response_format === undefined));
    await using bad = await FakeEndpoint.start((request) =>
        /Question 0/.test(userMessage(request)) ? 400 : honest(request),
    );
    const other = await open(bad, { concurrency: 1 });
    await expectCode(t, "JUDGE_FAILED", () => judgeAnswers(other, texts), /400/);
    await judgeAnswers(other, texts.slice(1));
    t.not(bad.requests.at(-1)?.body.response_format, undefined);
});

test("reasoning and a code fence around a verdict are no harm", async (t) => {
    await using endpoint = await FakeEndpoint.start(
        (request) => `<think>{"label": 0}</think>\n\`\`\`json\n${honest(request)}\n\`\`\``,
    );
    const { retries } = await judged(t, endpoint);
    t.is(retries.length, 0);
});

test.serial("requests under way are waited for, and their verdicts kept, when one fails", async (t) => {
    await using endpoint = await FakeEndpoint.start((request) =>
        /Question 0/.test(userMessage(request))
            ? 401
            : (response) => void setTimeout(() => reply(response, honest(request)), 200),
    );
    const judge = await open(endpoint, { concurrency: 4 });
    const run = RunDirectory.open(`${folder.path}/waited`);
    await expectCode(t, "JUDGE_FAILED", () => judgeAnswers(judge, texts, { run }));
    t.is(endpoint.requests.length, 4);
    t.is(readFileSync(`${folder.path}/waited/verdicts.jsonl`, "utf8").trim().split("\n").length, 3);
    run.close();
});

test.serial("judging can be stopped, also while it waits to ask again", async (t) => {
    await using endpoint = await FakeEndpoint.start(() => 500);
    const judge = await open(endpoint, { backoffMilliseconds: 60_000 });
    const controller = new AbortController();
    const onEvent = (event: RefusalEvent) => void (event.type === "retry" && controller.abort(new Error("enough")));
    const began = performance.now();
    await expectCode(t, "ABORTED", () => judgeAnswers(judge, texts, { signal: controller.signal, onEvent }));
    endpoint.behave = () => () => {};
    const second = new AbortController();
    setTimeout(() => second.abort(), 100);
    await expectCode(t, "ABORTED", () => judgeAnswers(judge, texts, { signal: second.signal }));
    t.true(performance.now() - began < 20_000);
});

test("a template of one's own makes another judge", async (t) => {
    await using endpoint = await FakeEndpoint.start(honest);
    const template = folder.write("own.txt", "Q {question} A {answer}\n");
    const { judge } = await judged(t, endpoint, { template });
    t.is(userMessage(endpoint.requests[0] as FakeRequest), "Q Question 0? A No 0.");
    t.regex(endpoint.requests[0]?.body.messages[0]?.content ?? "", /JSON object/);
    t.not(judge.id, (await open(endpoint)).id);
    t.not(judge.id, (await open(endpoint, { template, model: "other" })).id);
    t.is(judge.id, (await open(endpoint, { template, concurrency: 1 })).id);
});

test("wrong options are refused by name", async (t) => {
    const right = { baseUrl: "http://localhost/v1", model: "fake" };
    for (const [options, message] of [
        [undefined, /options/],
        [{ model: "fake" }, /baseUrl/],
        [{ ...right, baseUrl: "localhost" }, /baseUrl/],
        [{ ...right, baseUrl: "file:///etc" }, /baseUrl/],
        [{ ...right, model: "" }, /model/],
        [{ ...right, concurrency: 0 }, /concurrency/],
        [{ ...right, retries: -1 }, /retries/],
        [{ ...right, timeoutMilliseconds: 0 }, /timeoutMilliseconds/],
        [{ ...right, structured: true }, /structured/],
    ] as const) {
        await expectCode(t, "INVALID_ARGUMENT", () => EndpointJudge.open(options as never), message);
    }
    await expectCode(t, "FILE_NOT_FOUND", () => EndpointJudge.open({ ...right, template: `${folder.path}/none.txt` }));
});

test("the package carries the judge's texts", (t) => {
    const { files } = JSON.parse(readFileSync(inRepository("package.json"), "utf8")) as { files: string[] };
    t.true(files.includes("ts"));
    const names = readdirSync(inRepository("ts/refusal")).filter((each) => each.endsWith(".txt"));
    t.deepEqual(names.sort(), ["judge-prompt.txt", "judge-reply-json.txt", "judge-reply-word.txt"]);
});
