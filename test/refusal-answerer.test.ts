import test from "ava";
import { loadModel } from "llama-steer";
import { type Answerer, EndpointAnswerer, type EndpointAnswererOptions, type SampleOptions } from "llama-steer/refusal";
import { answererAt, Cluster, clusterGate, firstChoice, type Spoil, spoiled } from "./support/cluster.js";
import {
    asked,
    closeCluster,
    cluster,
    context,
    few,
    lineCount,
    local,
    openRun,
    sameAnswers,
} from "./support/cluster-answers.js";
import { expectCode } from "./support/expect-code.js";
import type { FakeRequest } from "./support/fake-endpoint.js";
import { judgeModelPath } from "./support/refusal-testbed.js";

test.after.always(closeCluster);

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

test.serial("an answerer of one's own answers; one that leaves answers out is told of", async (t) => {
    const own = (count: number): Answerer => ({
        id: "own",
        async answer(questions, { onAnswer }) {
            for (let i = 0; i < Math.min(count, questions.length); i++) {
                onAnswer(i, { text: "Yes.", meanLogProbability: -1, tokens: 2, finishReason: "stop" }, undefined);
            }
        },
    });
    const { answers, agreement } = await asked({ answerer: own(99) });
    t.true(answers.length === 24 && answers.every(({ text }) => text === "Yes."));
    t.is(agreement.length, 0, "without a tolerance nothing is compared");
    await expectCode(t, "ANSWERS_FAILED", () => asked({ answerer: own(3) }), /own gave 3 answers and was asked for 16/);
});
