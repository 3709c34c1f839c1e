import test from "ava";
import { SteeringVector } from "llama-steer";
import { createHandler, type HandlerOptions, Scheduler } from "llama-steer/server";
import OpenAI, { APIError } from "openai";
import { expectCode, failureOf } from "./support/expect-code.js";
import { randomVector } from "./support/numbers.js";
import { answersAlone, vectorOf } from "./support/serving.js";
import { exactContext, question, questions } from "./support/testbed.js";

const scheduler = new Scheduler(await exactContext({ sequences: 8 }));
const errors: unknown[] = [];
const base = {
    scheduler,
    model: "valdoria",
    vectors: { one: vectorOf(1), two: vectorOf(2), wide: new SteeringVector([1], randomVector(64, 1)) },
    onError: (error: unknown) => errors.push(error),
};
const handler = createHandler(base);

/** The official client, on a handler instead of a network. */
function clientOf(options: Partial<HandlerOptions> = {}, apiKey = "none"): OpenAI {
    const answer = createHandler({ ...base, ...options });
    const fetch = (url: string | URL | Request, init?: RequestInit) => answer(new Request(url as string, init));
    return new OpenAI({ baseURL: "http://localhost/v1", apiKey, maxRetries: 0, fetch });
}
const client = clientOf();
const model = "valdoria";
const messages = question(questions[0]);
const chat = { model, messages, temperature: 0, max_tokens: 12 };

test.after.always(async () => {
    await scheduler.close();
    await scheduler.context.dispose();
});

// biome-ignore lint/suspicious/noExplicitAny: bodies are looked into as a client would
function bodyOf(response: Response): Promise<any> {
    return response.json();
}

function textOf({ choices }: Pick<OpenAI.ChatCompletion, "choices">): string {
    return choices[0]?.message.content ?? "";
}

function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return handler(
        new Request(`http://localhost${path}`, {
            method: "POST",
            headers: { "content-type": "application/json", ...headers },
            body: typeof body === "string" ? body : JSON.stringify(body),
        }),
    );
}

test("a chat through the official client equals the model's own answer", async (t) => {
    const [alone] = await answersAlone([{ text: questions[0], steering: 0 }]);
    const { choices, usage, ...rest } = await client.chat.completions.create(chat);
    t.is(choices[0]?.message.content, alone?.text);
    t.is(choices[0]?.message.role, "assistant");
    t.is<string | undefined, string | undefined>(choices[0]?.finish_reason, alone?.finishReason);
    t.is(usage?.completion_tokens, alone?.tokens.length);
    t.is(usage?.total_tokens, (usage?.prompt_tokens ?? 0) + (usage?.completion_tokens ?? 0));
    t.is(rest.object, "chat.completion");
    t.is(rest.model, model);
});

test("a stream has the same text in parts, and says what it took", async (t) => {
    const whole = await client.chat.completions.create({ ...chat, logprobs: true });
    const stream = await client.chat.completions.create({
        ...chat,
        logprobs: true,
        stream: true,
        stream_options: { include_usage: true },
    });
    const parts = [];
    for await (const part of stream) parts.push(part);
    t.is(parts.map((each) => each.choices[0]?.delta.content ?? "").join(""), textOf(whole));
    const sent = parts.flatMap((each) => each.choices[0]?.logprobs?.content ?? []);
    const expected = whole.choices[0]?.logprobs?.content ?? [];
    t.deepEqual(
        sent.map(({ token }) => token),
        expected.map(({ token }) => token),
    );
    t.true(sent.every(({ logprob }, i) => Math.abs(logprob - (expected[i]?.logprob ?? 1)) < 1e-4));
    t.is(parts[0]?.choices[0]?.delta.role, "assistant");
    t.is(parts.at(-2)?.choices[0]?.finish_reason, whole.choices[0]?.finish_reason);
    t.is(parts.at(-1)?.usage?.total_tokens, whole.usage?.total_tokens);
    t.is(new Set(parts.map(({ id }) => id)).size, 1);
});

test("log-probabilities are those of the tokens, whose bytes spell the text", async (t) => {
    const [alone] = await answersAlone([{ text: questions[0], steering: 0 }]);
    const { choices } = await client.chat.completions.create({ ...chat, logprobs: true });
    const content = choices[0]?.logprobs?.content ?? [];
    t.is(Buffer.from(content.flatMap(({ bytes }) => bytes ?? [])).toString(), textOf({ choices }));
    t.is(content.length, alone?.tokens.length as number);
    content.forEach(({ logprob }, i) => {
        t.true(Math.abs(logprob - (alone?.logProbabilities[i] ?? 0)) < 1e-4);
    });
});

test("the most probable tokens come beside each that was chosen", async (t) => {
    const chosen = await client.chat.completions.create({ ...chat, logprobs: true, top_logprobs: 3 });
    const content = chosen.choices[0]?.logprobs?.content ?? [];
    t.true(content.length > 3);
    for (const { token, logprob, top_logprobs } of content) {
        t.is(top_logprobs.length, 3);
        // A greedy answer is made of the most probable.
        t.is(top_logprobs[0]?.token, token);
        t.is(top_logprobs[0]?.logprob, logprob);
        const sorted = top_logprobs.map((each) => each.logprob);
        t.deepEqual(
            sorted,
            [...sorted].sort((a, b) => b - a),
        );
        t.true(sorted.reduce((sum, each) => sum + Math.exp(each), 0) < 1 + 1e-6);
    }
    const streamed = [];
    const stream = await client.chat.completions.create({ ...chat, logprobs: true, top_logprobs: 3, stream: true });
    for await (const { choices } of stream) streamed.push(...(choices[0]?.logprobs?.content ?? []));
    t.deepEqual(
        streamed.map(({ top_logprobs }) => top_logprobs.map(({ token }) => token)),
        content.map(({ top_logprobs }) => top_logprobs.map(({ token }) => token)),
    );
    const text = await client.completions.create({
        model,
        prompt: "The groso",
        max_tokens: 4,
        temperature: 0,
        logprobs: 2,
    });
    const { tokens = [], top_logprobs = [] } = text.choices[0]?.logprobs ?? {};
    t.is(top_logprobs?.length, 4);
    top_logprobs?.forEach((table, i) => {
        t.is(Object.keys(table)[0], tokens[i]);
    });
});

test("several answers to one prompt differ by their seeds, and repeat with them", async (t) => {
    const request = { ...chat, temperature: 1.5, n: 4, seed: 7 };
    const first = await client.chat.completions.create(request);
    const again = await client.chat.completions.create(request);
    const texts = first.choices.map(({ message }) => message.content);
    t.deepEqual(
        again.choices.map(({ message }) => message.content),
        texts,
    );
    t.true(new Set(texts).size > 1);
    t.deepEqual(
        first.choices.map(({ index }) => index),
        [0, 1, 2, 3],
    );
    const one = await client.chat.completions.create({ ...request, n: 1, seed: 9 });
    t.is(one.choices[0]?.message.content, texts[2]);
    const streamed = ["", "", "", ""];
    for await (const { choices } of await client.chat.completions.create({ ...request, stream: true })) {
        for (const { index, delta } of choices) streamed[index] += delta.content ?? "";
    }
    t.deepEqual(streamed, texts);
    t.is(first.usage?.prompt_tokens, one.usage?.prompt_tokens);
});

test("each request is steered as it says, and the others are not", async (t) => {
    const asked = [0, 1, 2].map((steering) => ({ text: questions[0], steering }));
    const alone = await answersAlone(asked);
    t.is(new Set(alone.map(({ text }) => text)).size, 3, "steering changes the answers");
    const fields = [undefined, { vector: "one" }, [{ vector: "two", strength: 1, tokens: "all", layers: [2, 5] }]];
    const answers = await Promise.all(
        fields.map((steering) => client.chat.completions.create({ ...chat, ...({ steering } as object) })),
    );
    answers.forEach(({ choices }, i) => {
        t.is(choices[0]?.message.content, alone[i]?.text);
    });
    const none = await client.chat.completions.create({ ...chat, ...({ steering: [] } as object) });
    t.is(none.choices[0]?.message.content, alone[0]?.text);
});

test("a schedule and a condition in the steering field act as they do in the library", async (t) => {
    const strength = { kind: "decay", value: 2, halfLife: 3 } as const;
    const when = { layer: 2, threshold: -1e6, measure: "projection", decide: "last-prompt" } as const;
    const context = await exactContext({ sequences: 1 });
    const sequence = context.sequence();
    sequence.steer(vectorOf(1), { strength, layers: 5, when: { ...when, vector: vectorOf(2) } });
    const own = await sequence.generate(messages, { maxTokens: 12 }).result();
    await context.dispose();
    const steering = { vector: "one", strength, layers: 5, when: { ...when, vector: "two" } };
    const { choices } = await client.chat.completions.create({ ...chat, ...({ steering } as object) });
    t.is(choices[0]?.message.content, own.text);
});

test("an operator's own steering is in every answer, whatever the request says", async (t) => {
    const fixed = {
        key: "fixed",
        apply: (sequence: { steer(v: SteeringVector): unknown }) => void sequence.steer(vectorOf(1)),
    };
    const held = clientOf({ fixed });
    const [alone] = await answersAlone([{ text: questions[0], steering: 1 }]);
    for (const steering of [undefined, []]) {
        const { choices } = await held.chat.completions.create({ ...chat, ...({ steering } as object) });
        t.is(choices[0]?.message.content, alone?.text);
    }
});

test("text completions take text, tokens, and lists of them", async (t) => {
    const { tokenizer } = scheduler.context.model;
    const text = "<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\n";
    const tokens = [...tokenizer.encode("The groso fish lives")];
    const ask = { model, temperature: 0, max_tokens: 6, logprobs: 0 };
    const one = await client.completions.create({ ...ask, prompt: "The groso fish lives" });
    const same = await client.completions.create({ ...ask, prompt: tokens });
    t.is(one.choices[0]?.text, same.choices[0]?.text);
    t.is(one.object, "text_completion");
    const { tokens: texts = [], text_offset = [], token_logprobs = [] } = one.choices[0]?.logprobs ?? {};
    t.is(texts.join(""), one.choices[0]?.text as string);
    t.deepEqual(text_offset.slice(0, 2), [0, texts[0]?.length]);
    t.true(token_logprobs.every((each) => each <= 0));
    const many = await client.completions.create({ ...ask, prompt: ["The groso fish lives", text], n: 2 });
    t.is(many.choices.length, 4);
    t.deepEqual(
        many.choices.slice(0, 2).map((each) => each.text),
        [one.choices[0]?.text, one.choices[0]?.text],
    );
    t.is(
        many.usage?.prompt_tokens,
        (one.usage?.prompt_tokens ?? 0) + tokenizer.encode(text, { addSpecial: true }).length,
    );
    let streamed = "";
    for await (const part of await client.completions.create({ ...ask, prompt: tokens, stream: true })) {
        streamed += part.choices[0]?.text ?? "";
    }
    t.is(streamed, one.choices[0]?.text as string);
});

test("stop strings and bounds of length end an answer", async (t) => {
    const { choices } = await client.chat.completions.create({ ...chat, max_tokens: 30, stop: [" on", "\n\n"] });
    t.is(choices[0]?.finish_reason, "stop");
    t.false(choices[0]?.message.content?.includes(" on"));
    const brief = await client.chat.completions.create({
        ...chat,
        max_tokens: undefined,
        max_completion_tokens: 2,
    } as never);
    t.is((brief as OpenAI.ChatCompletion).choices[0]?.finish_reason, "length");
});

/** As logit_bias: no answer ends before its longest. */
function withoutEnd(): Record<number, number> {
    const { tokenizer } = scheduler.context.model;
    const all = Array.from({ length: tokenizer.vocabularySize }, (_, token) => token);
    return Object.fromEntries(all.filter((token) => tokenizer.isEndOfGeneration(token)).map((token) => [token, -100]));
}

test("a client that goes away ends its answer", async (t) => {
    const ban = withoutEnd();
    const stream = await client.chat.completions.create({ ...chat, max_tokens: 200, logit_bias: ban, stream: true });
    const before = scheduler.statistics.aborted;
    for await (const _ of stream) break;
    while (scheduler.statistics.aborted === before) await new Promise((resolve) => setTimeout(resolve, 5));
    const stop = new AbortController();
    const asking = client.chat.completions.create(
        { ...chat, max_tokens: 200, logit_bias: ban },
        { signal: stop.signal },
    );
    setTimeout(() => stop.abort(), 20);
    t.true((await failureOf(() => asking)) instanceof APIError);
    while (scheduler.statistics.aborted === before + 1) await new Promise((resolve) => setTimeout(resolve, 5));
});

test("models, vectors and health are told", async (t) => {
    t.deepEqual(
        (await client.models.list()).data.map(({ id }) => id),
        [model],
    );
    t.is((await client.models.retrieve(model)).owned_by, "llama-steer");
    t.is(((await failureOf(() => client.models.retrieve("gpt"))) as APIError).status, 404);
    const vectors = await bodyOf(await handler(new Request("http://localhost/v1/steering/vectors")));
    t.deepEqual(vectors.data[0], { name: "one", layers: [2, 5], hidden_size: 128, operation: "add", site: "residual" });
    const health = await handler(new Request("http://localhost/health"));
    t.deepEqual([health.status, await health.json()], [200, { status: "ok" }]);
});

test("without a key nobody enters, but for a look at its health", async (t) => {
    const keys = ["first-key", "second-key"];
    for (const key of keys) {
        t.is((await clientOf({ keys }, key).models.list()).data.length, 1);
    }
    for (const wrong of ["first-ke", "first-keyy", "first-key second-key", "x"]) {
        const failure = await failureOf(() => clientOf({ keys }, wrong).chat.completions.create(chat));
        t.true(failure instanceof OpenAI.AuthenticationError, wrong);
    }
    const locked = createHandler({ ...base, keys });
    const bare = await locked(new Request("http://localhost/v1/models"));
    t.deepEqual([bare.status, bare.headers.get("www-authenticate")], [401, "Bearer"]);
    t.is((await locked(new Request("http://localhost/nowhere"))).status, 401);
    t.is((await locked(new Request("http://localhost/health"))).status, 200);
});

/** What is wrong with a chat, and the field that the error names. */
const wrongChats: [body: object, param: string | null, message?: RegExp][] = [
    [{ messages: undefined }, "messages"],
    [{ messages: [] }, "messages"],
    [{ messages: "hello" }, "messages"],
    [{ messages: [{ role: "tool", content: "x" }] }, "messages.0.role"],
    [{ messages: [{ role: "user" }] }, "messages.0.content"],
    [
        { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }] },
        "messages.0.content.0.type",
        /text/,
    ],
    [{ model: 5 }, "model"],
    [{ temperature: "hot" }, "temperature"],
    [{ temperature: -1 }, "temperature"],
    [{ temperature: 3 }, "temperature"],
    [{ top_p: 0 }, "top_p"],
    [{ max_tokens: 0 }, "max_tokens"],
    [{ max_tokens: 1.5 }, "max_tokens"],
    [{ max_tokens: 1e9 }, "max_tokens"],
    [{ n: 0 }, "n"],
    [{ n: 9 }, "n"],
    [{ stop: "" }, "stop"],
    [{ stop: [1] }, "stop.0"],
    [{ seed: "x" }, "seed"],
    [{ stream: "yes" }, "stream"],
    [{ logprobs: 1 }, "logprobs"],
    [{ logprobs: true, top_logprobs: 21 }, "top_logprobs"],
    [{ top_logprobs: 3 }, "top_logprobs", /logprobs to be true/],
    [{ presence_penalty: 1 }, "presence_penalty", /repeat_penalty/],
    [{ repetition_penalty: 1.1 }, "repetition_penalty", /repeat_penalty/],
    [{ logit_bias: { a: 1 } }, "logit_bias.a"],
    [{ logit_bias: { 5: 1000 } }, "logit_bias.5"],
    [{ response_format: { type: "xml" } }, "response_format.type"],
    [{ tools: [] }, "tools", /no tools/],
    [{ tool_choice: "auto" }, "tool_choice", /no tools/],
    [{ functions: [] }, "functions", /no tools/],
    [{ surprise: 1 }, "surprise"],
    [{ steering: 5 }, "steering"],
    [{ steering: { strength: 1 } }, "steering.vector"],
    [{ steering: { vector: "none" } }, "steering", /no vector "none"/],
    [{ steering: { vector: "../../etc/passwd" } }, "steering", /no vector/],
    [{ steering: { vector: "one", strength: 5 } }, "steering.strength"],
    [{ steering: { vector: "one", strength: { kind: "decay", value: 9, halfLife: 1 } } }, "steering.strength.value"],
    [{ steering: { vector: "one", layers: -1 } }, "steering.layers"],
    [{ steering: { vector: "one", path: "x" } }, "steering.path"],
    [{ steering: Array(9).fill({ vector: "one" }) }, "steering"],
    [{ steering: { vector: "one", when: { vector: "two", layer: 2 } } }, "steering.when.threshold"],
    [{ steering: { vector: "one", layers: 3 } }, null, /layer 3/],
    [{ steering: { vector: "wide" } }, null, /64/],
    [{ max_tokens: 250 }, null, /shorten the prompt or lower/],
    [{ logit_bias: { 123456789: 1 } }, null],
];

for (const [wrong, param, message] of wrongChats) {
    test(`a chat with ${JSON.stringify(wrong).slice(0, 90)} gets a 400 that names ${param}`, async (t) => {
        for (const stream of [false, true]) {
            const response = await post("/v1/chat/completions", { ...chat, stream, ...wrong });
            const { error } = await bodyOf(response);
            t.is(response.status, 400, JSON.stringify(error));
            t.is(error.type, "invalid_request_error");
            t.is(error.param, param, error.message);
            t.regex(error.message, message ?? /./);
        }
    });
}

test("what is no request gets its 4xx", async (t) => {
    const json = { "content-type": "application/json" };
    const raw = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = json) =>
        handler(new Request("http://localhost/v1/chat/completions", { method: "POST", headers, body }));
    const status = async (answer: Promise<Response>): Promise<number> => {
        const response = await answer;
        t.is(typeof (await bodyOf(response)).error.message, "string");
        return response.status;
    };
    t.is(await status(raw("{")), 400);
    t.is(await status(raw("")), 400);
    t.is(await status(raw("[".repeat(100_000))), 400);
    t.is(await status(raw("null")), 400);
    t.is(await status(raw("[]")), 400);
    t.is(await status(raw(Uint8Array.of(0x22, 0xff, 0xfe, 0x22))), 400);
    t.is(await status(raw(JSON.stringify(chat), { "content-type": "text/plain" })), 415);
    t.is(await status(raw(`"${"x".repeat(2 ** 20)}"`)), 413);
    t.is(await status(post("/v1/chat/completions", { ...chat, model: "gpt-5" })), 404);
    t.is(await status(post("/v1/embeddings", chat)), 404);
    t.is(await status(handler(new Request("http://localhost/v1/chat/completions"))), 405);
    t.is(await status(post("/v1/models", {})), 405);
    t.is((await post("/v1/chat/completions", chat)).status, 200);
});

test("an endless body is read no further than allowed, and a slow one not for ever", async (t) => {
    let sent = 0;
    const endless = new ReadableStream<Uint8Array>({
        pull(controller) {
            sent += 65536;
            controller.enqueue(new Uint8Array(65536));
        },
    });
    const silent = new ReadableStream<Uint8Array>({ pull: () => new Promise(() => {}) });
    const patient = createHandler({ ...base, limits: { bodyMilliseconds: 50 } });
    const send = (body: ReadableStream) =>
        patient(
            new Request("http://localhost/v1/completions", {
                method: "POST",
                headers: { "content-type": "application/json" },
                body,
                ...{ duplex: "half" },
            }),
        );
    t.is((await send(endless)).status, 413);
    t.true(sent < 2 ** 21, `${sent} bytes were read`);
    t.is((await send(silent)).status, 408);
});

test("a full queue is a 429 that says when to come again", async (t) => {
    const narrow = new Scheduler(await exactContext({ sequences: 1 }), { queueLimit: 0 });
    const answer = clientOf({ scheduler: narrow });
    const running = answer.chat.completions.create({ ...chat, max_tokens: 200, logit_bias: withoutEnd() });
    while (narrow.statistics.running === 0) await new Promise((resolve) => setImmediate(resolve));
    const failure = await failureOf(() => answer.chat.completions.create(chat));
    t.true(failure instanceof OpenAI.RateLimitError, String(failure));
    t.is((failure as APIError).headers?.get("retry-after"), "1");
    await running;
    await narrow.close();
    t.is(((await failureOf(() => answer.chat.completions.create(chat))) as APIError).status, 503);
    await narrow.context.dispose();
});

test("a failure of the server's own tells the client nothing, and the operator everything", async (t) => {
    const cause = new Error("secret detail");
    const fixed = {
        key: "bad",
        apply: () => {
            throw cause;
        },
    };
    const failure = (await failureOf(() => clientOf({ fixed }).chat.completions.create(chat))) as APIError;
    t.is(failure.status, 500);
    t.notRegex(failure.message, /secret/);
    t.is(errors.at(-1), cause);
});

test("options of a handler are checked", async (t) => {
    const wrong: object[] = [
        { scheduler: {} },
        { model: "" },
        { keys: ["a b"] },
        { keys: [""] },
        { keys: "key" },
        { vectors: { "../x": vectorOf(1) } },
        { vectors: { x: 5 } },
        { limits: { bodyBytes: 0 } },
        { limits: { bodySize: 1 } },
        { fixed: { key: "x" } },
        { surprise: 1 },
    ];
    for (const options of wrong) {
        await expectCode(t, "INVALID_ARGUMENT", () => createHandler({ ...base, ...options } as HandlerOptions));
    }
});
