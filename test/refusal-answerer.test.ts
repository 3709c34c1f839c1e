import { existsSync, readFileSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { loadModel } from "llama-steer";
import {
    type AgreementEvent,
    type Answer,
    EndpointAnswerer,
    type EndpointAnswererOptions,
    type Prompt,
    type RefusalEvent,
    type RetryEvent,
    RunDirectory,
    type SampleOptions,
    sampleAnswers,
} from "llama-steer/refusal";
import { answererAt, Cluster, clusterGate, type Spoil } from "./support/cluster.js";
import { expectCode } from "./support/expect-code.js";
import { type Behaviour, FakeEndpoint, type FakeRequest, userMessage } from "./support/fake-endpoint.js";
import { everyPrompt, judgeModelPath } from "./support/refusal-testbed.js";
import { TemporaryFolder } from "./support/temporary-folder.js";
import { exactContext } from "./support/testbed.js";

const folder = new TemporaryFolder();
const shape = { sequences: 8, unifiedMemory: false };
const context = await exactContext(shape);
const cluster = await Cluster.start(await exactContext({ sequences: 8, contextSize: 256 }));
const few = (await everyPrompt(100)).slice(0, 12);
const short = { maxTokens: 32, samples: 2, model: "valdoria" };
let places = 0;
const openRun = (): RunDirectory => RunDirectory.open(`${folder.path}/run-${places++}`);
const lineCount = ({ path }: RunDirectory): number => {
    const file = `${path}/answers.jsonl`;
    return existsSync(file) ? readFileSync(file, "utf8").split("\n").length - 1 : 0;
};

const local = (await asked({})).answers;

test.after.always(async () => {
    await cluster[Symbol.asyncDispose]();
    await context.dispose();
});

/** Answers with whoever gives them, and what was told meanwhile. */
async function asked(options: SampleOptions, prompts: readonly Prompt[] = few) {
    const events: RefusalEvent[] = [];
    const answers = await sampleAnswers(context, prompts, {
        ...short,
        ...options,
        onEvent: (event) => events.push(event),
    });
    return {
        answers,
        retries: events.filter((each): each is RetryEvent => each.type === "retry"),
        agreement: events.filter((each): each is AgreementEvent => each.type === "agreement"),
    };
}

/** The same answers: token for token, and log-probabilities as far as the composition of batches leaves them. */
function sameAnswers(t: ExecutionContext, found: readonly Answer[], expected: readonly Answer[]): void {
    const plain = (answers: readonly Answer[]) => answers.map(({ meanLogProbability: _, ...rest }) => rest);
    t.deepEqual(plain(found), plain(expected));
    for (const [i, { meanLogProbability }] of found.entries()) {
        t.true(Math.abs(meanLogProbability - (expected[i] as Answer).meanLogProbability) < 1e-4);
    }
}

const samplings: [string, SampleOptions][] = [
    ["as they are by default", {}],
    ["greedily", { samples: 1, temperature: 0 }],
    ["cut off", { maxTokens: 4 }],
    ["at another temperature and seed", { temperature: 0.7, seed: 3 }],
    ["with all filters", { temperature: 1.3, topK: 20, topP: 0.9, minP: 0.02 }],
    ["behind a system message", { system: "You are a helpful assistant." }],
];
for (const [name, options] of samplings) {
    test.serial(
        `a cluster of the same model and sampler gives the same answers, token for token: ${name}`,
        async (t) => {
            const here = await asked(options);
            const there = await asked({ ...options, answerer: cluster.answerer() });
            sameAnswers(t, there.answers, here.answers);
            t.is(there.retries.length, 0);
            t.is(there.agreement.length, 1);
            t.true(Math.abs(there.agreement[0]?.difference ?? 1) < 1e-3);
            t.is(here.agreement.length, 0);
        },
    );
}

test.serial("reasoning is recognised as it is here", async (t) => {
    const words = local[0]?.text.split(" ") ?? [];
    for (const thoughts of [
        [{ open: words[0] as string, close: ` ${words[1]}` }],
        [{ open: words[0] as string, close: "never" }],
    ]) {
        const here = await asked({ thoughts });
        sameAnswers(t, (await asked({ thoughts, answerer: cluster.answerer() })).answers, here.answers);
        t.true(here.answers.some(({ thought }) => thought !== undefined));
    }
});

test.serial("reasoning that the server takes off itself is no part of the answer", async (t) => {
    for (const field of ["reasoning_content", "reasoning"]) {
        await using gate = await clusterGate(cluster, (_, number) => {
            const spoil: Spoil = (body) => {
                const { message } = firstChoice(body);
                message[field] = " Let me see. ";
                if (number === 0) {
                    message.content = null;
                    firstChoice(body).finish_reason = "length";
                }
                return body;
            };
            return spoil;
        });
        const { answers } = await asked({ answerer: answererAt(gate.baseUrl, { concurrency: 1 }) });
        t.like(answers[0], { text: "", thought: "Let me see.", unfinished: true, finishReason: "length" });
        t.like(answers[1], { text: local[1]?.text as string, thought: "Let me see.", unfinished: undefined });
    }
});

test.serial("a request says all of the sampling, and has the key", async (t) => {
    await using gate = await clusterGate(cluster, () => undefined);
    const answerer = answererAt(gate.baseUrl, { apiKey: "secret" });
    await asked({ answerer, temperature: 0.5, topK: 7, topP: 0.8, minP: 0.1, system: "Be kind." });
    await asked({ answerer });
    t.is(answerer.counts.requests, 48);
    const [full, plain] = [gate.requests[0], gate.requests[24]] as [FakeRequest, FakeRequest];
    t.is(full.path, "/v1/chat/completions");
    t.is(full.headers.authorization, "Bearer secret");
    t.like(full.body, { model: "cluster", temperature: 0.5, top_k: 7, top_p: 0.8, min_p: 0.1, max_tokens: 32 });
    t.deepEqual(full.body.messages[0], { role: "system", content: "Be kind." });
    // What a model's own configuration recommends must not fill the gaps.
    t.like(plain.body, { temperature: 1, top_k: 2 ** 30, top_p: 1, min_p: 0, repetition_penalty: 1, logprobs: true });
    const seeds = gate.requests.slice(24).map(({ body }) => (body as unknown as { seed: number }).seed);
    t.is(new Set(seeds).size, 24, "each sample has a seed of its own");
});

test.serial("steered answers are made here, the others there", async (t) => {
    await using gate = await clusterGate(cluster, () => undefined);
    const steering = few.map((_, i) => (i % 3 === 0 ? { key: "nothing", apply: () => {} } : undefined));
    const { answers } = await asked({ answerer: answererAt(gate.baseUrl), steering });
    sameAnswers(t, answers, local);
    t.is(gate.requests.length, 2 * steering.filter((each) => each === undefined).length);
});

test.serial(
    "finished answers are found again wherever the cluster is; of another name, they are asked for",
    async (t) => {
        using run = openRun();
        const count = async (options: SampleOptions): Promise<number> => {
            const before = lineCount(run);
            sameAnswers(t, (await asked({ ...options, run })).answers, local);
            return lineCount(run) - before;
        };
        t.is(await count({ answerer: cluster.answerer() }), 24);
        t.is(await count({ answerer: answererAt("http://127.0.0.1:1/v1", { retries: 0 }) }), 0);
        t.is(await count({}), 24, "the model's own answers are others");
        await using gate = await clusterGate(cluster, (request) => {
            request.body.model = "cluster";
            return undefined;
        });
        t.is(await count({ answerer: answererAt(gate.baseUrl, { model: "other" }) }), 24);
    },
);

interface Choice {
    message: Record<string, unknown>;
    logprobs: { content: { logprob: number | null }[] } | null;
    finish_reason: string | null;
}
const firstChoice = (body: Record<string, unknown>): Choice => (body.choices as [Choice])[0];
const spoiled = (change: (choice: Choice, body: Record<string, unknown>) => void): Spoil => {
    return (body) => {
        change(firstChoice(body), body);
        return body;
    };
};
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

test.serial("an answer that ends at once is believed only where the reply says so itself", async (t) => {
    await using gate = await clusterGate(cluster, (_, number) =>
        number % 2 === 0
            ? spoiled((choice, body) => {
                  choice.message.content = "";
                  choice.logprobs = { content: [] };
                  body.usage = {
                      prompt_tokens: (body.usage as { prompt_tokens: number }).prompt_tokens,
                      completion_tokens: 0,
                  };
              })
            : undefined,
    );
    const { answers, retries } = await asked({ answerer: answererAt(gate.baseUrl, { concurrency: 1 }) });
    t.is(retries.length, 0);
    const empty = answers.filter(({ text }) => text === "");
    t.is(empty.length, 12);
    t.true(empty.every(({ tokens, meanLogProbability }) => tokens === 0 && meanLogProbability === 0));
});

test.serial("the token that ends an answer is no part of it, where a server tells it", async (t) => {
    const { tokenizer } = context.model;
    const end = Array.from({ length: tokenizer.vocabularySize }, (_, i) => i).find((i) =>
        tokenizer.isEndOfGeneration(i),
    ) as number;
    for (const token of [tokenizer.decode([end], { special: true }), ""]) {
        await using gate = await clusterGate(cluster, () =>
            spoiled((choice, body) => {
                if (choice.finish_reason === "stop") {
                    choice.logprobs?.content.push({ token, logprob: -3, bytes: [] } as never);
                    (body.usage as { completion_tokens: number }).completion_tokens++;
                }
            }),
        );
        const { answers, retries } = await asked({ answerer: answererAt(gate.baseUrl) });
        sameAnswers(t, answers, local);
        t.is(retries.length, 0);
    }
});

test.serial("a server without usage is taken at its word", async (t) => {
    await using gate = await clusterGate(cluster, () => spoiled((_, body) => delete body.usage));
    sameAnswers(t, (await asked({ answerer: answererAt(gate.baseUrl) })).answers, local);
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

test.serial("a prompt that is other tokens there is refused: another template or tokenizer", async (t) => {
    await using gate = await clusterGate(cluster, (request) => {
        request.body.messages.unshift({ role: "system", content: "Today is Monday." });
        return undefined;
    });
    using run = openRun();
    const error = await expectCode(t, "MODEL_MISMATCH", () => asked({ answerer: answererAt(gate.baseUrl), run }));
    t.regex(error?.message ?? "", /cluster at http.* reads prompt \S+ as \d+ tokens, the one that is steered as \d+/);
    t.is(lineCount(run), 0);
});

test.serial("another model of the same tokenizer and template is refused by its log-probabilities", async (t) => {
    await using model = await loadModel(judgeModelPath);
    await using other = await Cluster.start(await model.createContext({ sequences: 8, contextSize: 256, threads: 1 }));
    using run = openRun();
    const error = await expectCode(t, "MODEL_MISMATCH", () => asked({ answerer: other.answerer(), run }));
    t.regex(
        error?.message ?? "",
        /endpoint:cluster are not those of the model.*differ by \d+\.\d+ per token, and 0\.25/,
    );
    t.is(lineCount(run), 0, "none of its answers is kept");
    const { answers } = await asked({ answerer: other.answerer({ tolerance: 100 }), run });
    t.true(answers.every(({ text }) => text !== ""));
    t.is(lineCount(run), 24);
});

/** Two tokens in place of one, which make the same text. */
function halve(tokens: object[]): void {
    const found = tokens.findIndex((each) => (each as { bytes: number[] }).bytes.length > 1);
    const [whole] = tokens.splice(found, 1) as [{ bytes: number[] }];
    const halves = [whole.bytes.slice(0, 1), whole.bytes.slice(1)].map((bytes) => ({ ...whole, bytes }));
    tokens.splice(found, 0, ...halves);
}

test.serial("the difference is the mean of a token's, and answers of other tokens are left out", async (t) => {
    const shift = 0.2;
    await using gate = await clusterGate(cluster, (_, number) =>
        spoiled(({ logprobs }) => {
            for (const each of logprobs?.content ?? []) {
                each.logprob = (each.logprob as number) - shift;
            }
            if (number % 4 === 3) {
                halve(logprobs?.content ?? []);
            }
        }),
    );
    const { agreement } = await asked({ answerer: answererAt(gate.baseUrl, { concurrency: 1 }) });
    t.like(agreement[0], { of: 16, answers: 12 });
    t.true(Math.abs((agreement[0]?.difference ?? 0) + shift) < 1e-3, `${agreement[0]?.difference}`);
    const strict = answererAt(gate.baseUrl, { tolerance: 0.1 });
    await expectCode(t, "MODEL_MISMATCH", () => asked({ answerer: strict }), /-0\.2\d\d per token, and 0\.1/);
});

test.serial("too few answers to compare are kept, and told as such", async (t) => {
    const { agreement } = await asked({ answerer: cluster.answerer(), samples: 1 }, few.slice(0, 2));
    t.deepEqual(
        agreement.map(({ of, difference }) => [of, difference]),
        [[2, null]],
    );
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

test("wrong options are refused by name", async (t) => {
    const right = { baseUrl: "http://localhost/v1", model: "fake" };
    for (const [options, message] of [
        [undefined, /options/],
        [{ model: "fake" }, /baseUrl/],
        [{ ...right, baseUrl: "localhost" }, /baseUrl/],
        [{ ...right, model: "" }, /model/],
        [{ ...right, concurrency: 0 }, /concurrency/],
        [{ ...right, retries: 101 }, /retries/],
        [{ ...right, timeoutMilliseconds: 0 }, /timeoutMilliseconds/],
        [{ ...right, tolerance: 0 }, /tolerance/],
        [{ ...right, tolerance: Number.NaN }, /tolerance/],
    ] as const) {
        t.throws(() => new EndpointAnswerer(options as EndpointAnswererOptions), { code: "INVALID_ARGUMENT", message });
    }
    for (const answerer of [3, {}, { id: "a" }, { answer: () => {} }]) {
        await expectCode(t, "INVALID_ARGUMENT", () => asked({ answerer: answerer as never }), /answerer/);
    }
});
