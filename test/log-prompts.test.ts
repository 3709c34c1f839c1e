import { once } from "node:events";
import test from "ava";
import { createHandler, type Handler, type HandlerOptions, Scheduler, type ServeResult } from "llama-steer/server";
import { pino } from "pino";
import { endless } from "./support/answer.js";
import { expectCode } from "./support/expect-code.js";
import { answersAlone } from "./support/serving.js";
import { exactContext, question, questions } from "./support/testbed.js";

const scheduler = new Scheduler(await exactContext({ sequences: 4, contextSize: 2048, memoryTokens: 4096 }));
const { tokenizer } = scheduler.context.model;
const chat = { model: "m", messages: question(questions[0]), temperature: 0, max_tokens: 12 };
const ban = Object.fromEntries([...(await endless()).keys()].map((token) => [token, -100]));
const [alone] = await answersAlone([{ text: questions[0], steering: 0 }]);

test.after.always(async () => {
    await scheduler.close();
    await scheduler.context.dispose();
});

interface Line {
    route: string;
    status: number;
    msg: string;
    prompts?: { text: string; cut?: number }[];
    answers?: { text: string; cut?: number }[];
}

/** A handler and the lines that its log has had. */
function logged(options: Partial<HandlerOptions>): { lines: Line[]; handler: Handler; line(): Promise<Line> } {
    const lines: Line[] = [];
    const written = new EventTarget();
    const write = (line: string): void => {
        lines.push(JSON.parse(line));
        written.dispatchEvent(new Event("line"));
    };
    const handler = createHandler({ scheduler, model: "m", log: pino({}, { write }), ...options });
    const line = async (): Promise<Line> => {
        while (lines.length === 0) await once(written, "line");
        return lines.shift() as Line;
    };
    return { lines, handler, line };
}

const post = (handler: Handler, body: object, path = "chat/completions", signal?: AbortSignal): Promise<Response> =>
    handler(
        new Request(`http://localhost/v1/${path}`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify(body),
            ...(signal === undefined ? {} : { signal }),
        }),
    );

test("without logPrompts, and with it false, no line has a word of prompts or answers", async (t) => {
    for (const options of [{}, { logPrompts: false }]) {
        const { handler, line } = logged(options);
        for (const stream of [false, true]) {
            t.regex(await (await post(handler, { ...chat, stream })).text(), /chatcmpl/);
            const found = await line();
            t.deepEqual([found.status, found.prompts, found.answers], [200, undefined, undefined]);
            t.notRegex(JSON.stringify(found), /groso/);
        }
    }
    await expectCode(t, "INVALID_ARGUMENT", () => logged({ logPrompts: "yes" as never }), /logPrompts/);
});

test("a log that fails is told to onError, and takes nothing from the answer", async (t) => {
    const log = {
        info: () => {
            throw new Error("the disk is full");
        },
        error: () => {},
    };
    for (const logPrompts of [false, true]) {
        const told = await new Promise((resolve, reject) => {
            const { handler } = logged({ log, logPrompts, onError: resolve });
            post(handler, chat)
                .then(async (response) => (await response.json()) as { choices: { message: { content: string } }[] })
                .then(({ choices }) => t.is(choices[0]?.message.content, alone?.text))
                .catch(reject);
        });
        t.regex(String(told), /the disk is full/);
    }
});

test("the line of a request holds what was asked and answered, whole or streamed", async (t) => {
    const { handler, line, lines } = logged({ logPrompts: true });
    for (const stream of [false, true]) {
        await (await post(handler, { ...chat, stream })).text();
        const { route, status, msg, prompts, answers } = await line();
        t.deepEqual([route, status, msg], ["/v1/chat/completions", 200, "request"]);
        t.deepEqual(prompts, [{ text: `user: ${questions[0]}` }]);
        t.deepEqual(answers, [{ text: alone?.text as string }]);
    }
    t.is(lines.length, 0, "one line each");
    const conversation = [{ role: "system", content: "Be brief." }, ...chat.messages];
    await post(handler, { ...chat, messages: conversation });
    t.is((await line()).prompts?.[0]?.text, `system: Be brief.\nuser: ${questions[0]}`);
});

test("several prompts and answers come in the order of their indices", async (t) => {
    const { handler, line } = logged({ logPrompts: true });
    const second = [...tokenizer.encode("Who are you?")];
    const body = {
        model: "m",
        prompt: ["The groso fish", "Who are you?"],
        n: 2,
        temperature: 1.5,
        max_tokens: 6,
        seed: 3,
    };
    for (const stream of [false, true]) {
        const response = await post(handler, { ...body, stream }, "completions");
        const texts = ["", "", "", ""];
        const sent = await response.text();
        const parts = stream ? sent.split("\n\n").filter((each) => each.startsWith("data: {")) : [`data: ${sent}`];
        for (const part of parts) {
            for (const { index, text } of JSON.parse(part.slice(6)).choices) texts[index] += text;
        }
        const { prompts, answers } = await line();
        t.deepEqual(prompts, [{ text: "The groso fish" }, { text: "Who are you?" }]);
        t.deepEqual(
            answers?.map(({ text }) => text),
            texts,
        );
        t.true(new Set(texts).size > 1);
    }
    await post(handler, { ...body, prompt: second, n: 1 }, "completions");
    t.deepEqual((await line()).prompts, [{ text: "Who are you?" }], "tokens are logged as their text");
});

test("an answer that is broken off is logged as far as it came", async (t) => {
    const { handler, line } = logged({ logPrompts: true });
    const response = await post(handler, { ...chat, stream: true, max_tokens: 1500, logit_bias: ban });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    let text = "";
    for (let i = 0; i < 4; i++) {
        const event = new TextDecoder().decode((await reader.read()).value).slice(6);
        text += JSON.parse(event).choices[0].delta.content ?? "";
    }
    await reader.cancel();
    const { answers } = await line();
    t.true(text.length > 0);
    t.true(answers?.[0]?.text.startsWith(text), `${answers?.[0]?.text} begins with ${text}`);

    const stop = new AbortController();
    const asked = post(handler, { ...chat, max_tokens: 1500, logit_bias: ban }, "chat/completions", stop.signal);
    while (scheduler.statistics.running === 0) await new Promise((resolve) => setImmediate(resolve));
    stop.abort();
    await asked;
    t.is((await line()).answers?.length, 1);
});

test("long texts are cut in the middle, and told so", async (t) => {
    const { handler, line } = logged({ logPrompts: true });
    const cutOf = (whole: string): object => ({
        text: `${whole.slice(0, 2048)}[...]${whole.slice(-2048)}`,
        cut: whole.length - 4096,
    });
    const long = `${"first ".repeat(350)}middle ${"last ".repeat(420)}`;
    await post(handler, { ...chat, messages: question(long), max_tokens: 1 });
    t.deepEqual((await line()).prompts, [cutOf(`user: ${long}`)]);
    // The longest token of the vocabulary, over and over.
    const texts = Array.from({ length: tokenizer.vocabularySize }, (_, token) => tokenizer.decode([token]));
    const longest = texts.reduce(
        (best, text, token) => (text.length > (texts[best] as string).length ? token : best),
        0,
    );
    const max_tokens = Math.ceil(4200 / (texts[longest] as string).length);
    const response = await post(handler, { ...chat, max_tokens, logit_bias: { ...ban, [longest]: 100 } });
    // biome-ignore lint/suspicious/noExplicitAny: looked into as a client would
    const whole = ((await response.json()) as any).choices[0].message.content as string;
    t.true(whole.length > 4096, `${whole.length} characters`);
    t.deepEqual((await line()).answers, [cutOf(whole)]);
});

test("requests that are refused are logged with what they asked, others without", async (t) => {
    const { handler, line } = logged({ logPrompts: true });
    await post(handler, { ...chat, model: "other" });
    const refused = await line();
    t.deepEqual([refused.status, refused.prompts?.length, refused.answers], [404, 1, []]);
    await post(handler, { ...chat, surprise: 1 });
    t.is((await line()).prompts, undefined, "what does not read as a request has no prompt");
    await post(handler, { model: "m", prompt: [123_456_789] }, "completions");
    t.deepEqual((await line()).prompts, [{ text: "" }]);
    await post(handler, { model: "m", input: "The groso fish", layers: 1 }, "activations");
    t.deepEqual((await line()).prompts, [{ text: "The groso fish" }]);
    await handler(new Request("http://localhost/health"));
    t.is((await line()).prompts, undefined);
});

test("what a log is told is what the scheduler answered", async (t) => {
    const ended: ServeResult[] = [];
    const own = new Scheduler(await exactContext({ sequences: 2 }), {
        onEnd: (_, outcome) => ended.push(outcome as ServeResult),
    });
    const { handler, line } = logged({ logPrompts: true, scheduler: own });
    await post(handler, { ...chat, stop: [" lives"], n: 2 });
    t.deepEqual(
        (await line()).answers?.map(({ text }) => text),
        ended.map(({ text }) => text),
    );
    await own.close();
    await own.context.dispose();
});
