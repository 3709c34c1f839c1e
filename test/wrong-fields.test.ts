import test from "ava";
import { createHandler, Scheduler } from "llama-steer/server";
import OpenAI, { APIError } from "openai";
import { failureOf } from "./support/expect-code.js";
import { answersAlone, vectorOf } from "./support/serving.js";
import { exactContext, question, questions } from "./support/testbed.js";

const scheduler = new Scheduler(await exactContext({ sequences: 4 }));
const errors: unknown[] = [];
const handler = createHandler({
    scheduler,
    model: "m",
    vectors: { one: vectorOf(1) },
    onError: (error) => errors.push(error),
});
const client = new OpenAI({
    baseURL: "http://localhost/v1",
    apiKey: "none",
    maxRetries: 0,
    fetch: (url: string | URL | Request, init?: RequestInit) => handler(new Request(url as string, init)),
});
const chat = { model: "m", messages: question(questions[0]), temperature: 0, max_tokens: 2 };

test.after.always(async () => {
    await scheduler.close();
    await scheduler.context.dispose();
});

async function post(path: string, body: object): Promise<{ status: number; error?: { param: string; type: string } }> {
    const response = await handler(
        new Request(`http://localhost/v1/${path}`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify(body),
        }),
    );
    const text = await response.text();
    return { status: response.status, ...(response.status === 200 ? {} : JSON.parse(text)) };
}

/** One value of every kind that JSON has, and some that are nearly right. */
const values: unknown[] = [
    null,
    true,
    false,
    0,
    -1,
    1,
    1.5,
    1e300,
    "",
    "x",
    "\0",
    "\ud800",
    [],
    [null],
    [0],
    ["x"],
    [{}],
    [[[]]],
    {},
    { x: 1 },
    { type: "x" },
    { length: 1 },
];

type Fits = (value: unknown) => boolean;
const isNull: Fits = (value) => value === null;
const isText: Fits = (value) => typeof value === "string";
const isFlag: Fits = (value) => typeof value === "boolean";
const isNumber =
    (least: number, most: number): Fits =>
    (value) =>
        typeof value === "number" && value >= least && value <= most;
const isWhole =
    (least: number, most: number): Fits =>
    (value) =>
        Number.isInteger(value) && isNumber(least, most)(value);
const isEmptyObject: Fits = (value) => JSON.stringify(value) === "{}";
const isList =
    (fits: Fits): Fits =>
    (value) =>
        Array.isArray(value) && value.length > 0 && value.every(fits);
const never: Fits = () => false;
const either =
    (...all: Fits[]): Fits =>
    (value) =>
        all.some((fits) => fits(value));

/** Every field of completions, and which of the values above it takes. */
const common: Record<string, Fits> = {
    model: isText,
    max_tokens: either(isNull, isWhole(1, 4096)),
    temperature: either(isNull, isNumber(0, 2)),
    top_p: either(isNull, isNumber(0.001, 1)),
    top_k: isWhole(0, Number.MAX_SAFE_INTEGER),
    min_p: isNumber(0, 1),
    repeat_penalty: isNumber(1, 2),
    presence_penalty: either(isNull, isNumber(0, 0)),
    frequency_penalty: either(isNull, isNumber(0, 0)),
    logit_bias: either(isNull, isEmptyObject),
    n: either(isNull, isWhole(1, 8)),
    stop: either(
        isNull,
        (value) => isText(value) && value !== "",
        (value) => JSON.stringify(value) === "[]",
        isList(isText),
    ),
    seed: either(isNull, isWhole(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)),
    stream: either(isNull, isFlag),
    // Without a stream it is refused as a whole.
    stream_options: isNull,
    response_format: isNull,
    steering: either(isNull, (value) => JSON.stringify(value) === "[]"),
    user: either(isNull, isText),
    safety_identifier: either(isNull, isText),
    prompt_cache_key: either(isNull, isText),
    metadata: either(isNull, isEmptyObject, (value) => JSON.stringify(value) === '{"type":"x"}'),
    store: either(isNull, (value) => value === false),
    service_tier: isNull,
    surprise: never,
};
/** Asked for, they are not there; null is as good as none. */
const unsupported = [
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "parallel_tool_calls",
    "audio",
    "modalities",
];

const endpoints: [path: string, body: object, fields: Record<string, Fits>][] = [
    [
        "chat/completions",
        chat,
        {
            ...common,
            ...Object.fromEntries(unsupported.map((name) => [name, never])),
            messages: never,
            max_completion_tokens: either(isNull, isWhole(1, 4096)),
            logprobs: either(isNull, isFlag),
            top_logprobs: either(isNull, isNumber(0, 0)),
        },
    ],
    [
        "completions",
        { model: "m", prompt: "The groso", max_tokens: 2 },
        {
            ...common,
            prompt: either(isText, isList(isWhole(0, 2 ** 31 - 1)), isList(isText)),
            logprobs: either(isNull, isWhole(0, 5)),
            echo: either(isNull, (value) => value === false),
            suffix: isNull,
            best_of: either(isNull, isWhole(1, 1)),
        },
    ],
    [
        "activations",
        { model: "m", input: "The groso", layers: 1 },
        {
            model: isText,
            input: either(isText, isList(isWhole(0, 2 ** 31 - 1))),
            site: never,
            layers: either(isWhole(0, 1e6), isList(isWhole(0, 1e6))),
            rows: never,
            encoding_format: never,
            steering: common.steering as Fits,
            user: common.user as Fits,
            surprise: never,
        },
    ],
];

for (const [path, body, fields] of endpoints) {
    test(`${path}: every field with values of every kind is taken, or refused by its name`, async (t) => {
        let refused = 0;
        for (const [name, fits] of Object.entries(fields)) {
            for (const value of values) {
                const shown = `${name}: ${JSON.stringify(value)}`;
                const { status, error } = await post(path, { ...body, [name]: value });
                t.true(status < 500, shown);
                if (fits(value)) {
                    // Some are wrong all the same: an unknown model, a prompt without a token, or what another field says otherwise.
                    t.true(status === 200 || error?.type !== undefined, shown);
                    t.true(
                        status !== 400 ||
                            error?.param == null ||
                            ["top_logprobs", "max_completion_tokens"].includes(name),
                        `${shown} ${error?.param}`,
                    );
                } else if (value !== null || !unsupported.includes(name)) {
                    refused++;
                    t.is(status, 400, shown);
                    t.is(error?.type, "invalid_request_error", shown);
                    t.is(error?.param?.split(".")[0], name, `${shown}: ${JSON.stringify(error)}`);
                }
            }
        }
        t.log(`${Object.keys(fields).length} fields, ${refused} values refused`);
        t.deepEqual(errors, []);
    });
}

test("what lies within fields is held to its kind as well", async (t) => {
    const within: [name: string, inside: (value: unknown) => unknown, fits: Fits][] = [
        ["messages", (value) => [value], never],
        ["messages", (value) => [{ role: value, content: "x" }], never],
        [
            "messages",
            (value) => [{ role: "user", content: value }],
            either(isText, (value) => JSON.stringify(value) === "[]"),
        ],
        ["messages", (value) => [{ role: "user", content: [{ type: "text", text: value }] }], isText],
        ["messages", (value) => [{ role: "user", content: "x", name: value }], either(isNull, isText)],
        ...["refusal", "annotations", "audio", "function_call", "tool_calls"].map((name): (typeof within)[number] => [
            "messages",
            (value) => [{ role: "user", content: "x", [name]: value }],
            either(isNull, (value) => JSON.stringify(value) === "[]"),
        ]),
        ["logit_bias", (value) => ({ 5: value }), isNumber(-100, 100)],
        ["response_format", (value) => ({ type: value }), never],
        ["response_format", (value) => ({ type: "json_schema", json_schema: value }), never],
        ["steering", (value) => ({ vector: value }), never],
        ["steering", (value) => ({ vector: "one", strength: value }), isNumber(-4, 4)],
        ["steering", (value) => ({ vector: "one", operation: value }), never],
        ["steering", (value) => ({ vector: "one", tokens: value }), never],
        ["steering", (value) => ({ vector: "one", unit: value }), never],
        ["steering", (value) => ({ vector: "one", preserveNorm: value }), isFlag],
        ["steering", (value) => ({ vector: "one", when: value }), never],
    ];
    for (const [name, inside, fits] of within) {
        for (const value of values) {
            const { status, error } = await post("chat/completions", { ...chat, [name]: inside(value) });
            const shown = JSON.stringify(inside(value));
            t.is(status, fits(value) ? 200 : 400, `${shown}: ${JSON.stringify(error)}`);
            t.true(status === 200 || error?.param?.split(".")[0] === name, `${shown}: ${JSON.stringify(error)}`);
        }
    }
});

test("hundreds of thousands of wrong elements are refused as quickly as one", async (t) => {
    const many = 400_000;
    const wrong: [path: string, body: object][] = [
        ["completions", { model: "m", prompt: Array(many / 2).fill(null) }],
        ["completions", { model: "m", prompt: Array(300_000).fill(-1) }],
        ["completions", { model: "m", prompt: ["x", ...Array(many / 2).fill(null)] }],
        ["completions", { model: "m", prompt: [[1], ...Array(many).fill(1)] }],
        ["activations", { model: "m", input: Array(many / 2).fill(null) }],
        ["chat/completions", { ...chat, messages: Array(many / 2).fill(null) }],
        ["chat/completions", { ...chat, messages: [{ role: "user", content: Array(many / 4).fill({}) }] }],
        ["chat/completions", { ...chat, stop: Array(many).fill(1) }],
    ];
    for (const [path, body] of wrong) {
        const begun = process.cpuUsage();
        const { status } = await post(path, body);
        const { user, system } = process.cpuUsage(begun);
        t.is(status, 400);
        // Some tens of milliseconds; collecting each fault took two seconds. Parsing itself counts.
        t.true((user + system) / 1000 < 1000, `${(user + system) / 1000} ms of ${JSON.stringify(body).slice(0, 60)}`);
    }
});

test("what there is not is refused by name, through the official client", async (t) => {
    const tool = { type: "function", function: { name: "f", parameters: {} } } as const;
    const image = { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } } as const;
    const sound = { type: "input_audio", input_audio: { data: "AAAA", format: "wav" } } as const;
    const refused: [more: object, param: string, message: RegExp][] = [
        [{ tools: [tool] }, "tools", /no tools/],
        [{ tool_choice: "auto" }, "tool_choice", /no tools/],
        [{ functions: [{ name: "f" }] }, "functions", /no tools/],
        [{ function_call: "none" }, "function_call", /no tools/],
        [{ parallel_tool_calls: true }, "parallel_tool_calls", /no tools/],
        [{ modalities: ["text", "audio"] }, "modalities", /text only/],
        [{ audio: { voice: "alloy", format: "wav" } }, "audio", /text only/],
        [{ messages: [{ role: "user", content: [image] }] }, "messages.0.content.0.type", /only text/],
        [{ messages: [{ role: "user", content: [sound] }] }, "messages.0.content.0.type", /only text/],
        [{ messages: [{ role: "tool", content: "4", tool_call_id: "x" }] }, "messages.0.role", /./],
        [{ store: true }, "store", /not stored/],
        [{ service_tier: "priority" }, "service_tier", /tier/],
        [{ prediction: { type: "content", content: "x" } }, "prediction", /no such field/],
        [{ reasoning_effort: "low" }, "reasoning_effort", /no such field/],
        [{ web_search_options: {} }, "web_search_options", /no such field/],
        [{ verbosity: "low" }, "verbosity", /no such field/],
        [{ stream_options: { include_usage: true } }, "stream_options", /stream to be true/],
        [
            { stream: true, stream_options: { include_obfuscation: true } },
            "stream_options.include_obfuscation",
            /padded/,
        ],
        [{ max_completion_tokens: 3 }, "max_tokens", /one of them/],
    ];
    for (const [more, param, message] of refused) {
        const failure = await failureOf(() => client.chat.completions.create({ ...chat, ...more } as never));
        t.true(failure instanceof APIError, JSON.stringify(more));
        const { status, param: named, message: told } = failure as APIError;
        t.deepEqual([status, named], [400, param], told);
        t.regex(told, message);
    }
});

test("what clients send by themselves is taken, and changes nothing", async (t) => {
    const [alone] = await answersAlone([{ text: questions[0], steering: 0 }]);
    const ask = { ...chat, max_tokens: 12 };
    const taken: object[] = [
        {
            user: "u",
            safety_identifier: "s",
            prompt_cache_key: "k",
            metadata: { a: "b" },
            store: false,
            service_tier: "auto",
        },
        { modalities: ["text"], tools: null, tool_choice: null, response_format: null, logprobs: null, stop: null },
        {
            response_format: { type: "text" },
            presence_penalty: 0,
            frequency_penalty: 0,
            n: 1,
            max_completion_tokens: 12,
        },
        { messages: [{ ...chat.messages[0], name: "Ada" }] },
    ];
    for (const more of taken) {
        const { choices } = await client.chat.completions.create({
            ...ask,
            ...more,
        } as OpenAI.ChatCompletionCreateParamsNonStreaming);
        t.is(choices[0]?.message.content, alone?.text, JSON.stringify(more));
    }
    // An answer goes back as a message, as it came and as OpenAI's own would be.
    const first = await client.chat.completions.create(ask);
    const message = first.choices[0]?.message as OpenAI.ChatCompletionMessage;
    const again = { role: "user", content: questions[1] } as const;
    const others = { annotations: [], audio: null, function_call: null, tool_calls: null } as object;
    const next = await client.chat.completions.create({ ...ask, messages: [...ask.messages, message, again] });
    const same = await client.chat.completions.create({
        ...ask,
        messages: [...ask.messages, { ...message, ...others }, again],
    });
    t.is(next.choices[0]?.message.content, same.choices[0]?.message.content);
});
