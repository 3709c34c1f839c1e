import { readFileSync } from "node:fs";
import test from "ava";
import { type Sequence, type SteeringVector, saveVector, SteeringVector as Vector } from "llama-steer";
import { createHandler, type Handler, type HandlerOptions, Scheduler } from "llama-steer/server";
import { pino } from "pino";
import { endless } from "./support/answer.js";
import { maxDifference, randomVector } from "./support/numbers.js";
import { answersAlone, vectorOf } from "./support/serving.js";
import { TemporaryFolder } from "./support/temporary-folder.js";
import { exactContext, question, questions } from "./support/testbed.js";

const scheduler = new Scheduler(await exactContext({ sequences: 4, promptBudget: 8 }));
const base: HandlerOptions = { scheduler, model: "m", vectors: { one: vectorOf(1) } };
const handler = createHandler(base);
const messages = question(questions[0]);
const chat = { model: "m", messages, temperature: 0, max_tokens: 12 };
const prompt = scheduler.context.model.encodePrompt(messages);

test.after.always(async () => {
    await scheduler.close();
    await scheduler.context.dispose();
});

interface Answer {
    status: number;
    // biome-ignore lint/suspicious/noExplicitAny: looked into as a client would
    body: any;
}

async function send(to: Handler, method: string, path: string, body?: unknown): Promise<Answer> {
    const isJson = body !== undefined && !(body instanceof Uint8Array);
    const response = await to(
        new Request(`http://localhost${path}`, {
            method,
            ...(isJson ? { headers: { "content-type": "application/json" } } : {}),
            ...(body === undefined ? {} : { body: isJson ? JSON.stringify(body) : (body as Uint8Array<ArrayBuffer>) }),
        }),
    );
    return { status: response.status, body: await response.json() };
}

/** What the library itself captures of the prompt. */
async function captured(layers: number[], rows: "prompt" | "last-prompt", steer?: (sequence: Sequence) => void) {
    const context = await exactContext({ sequences: 1 });
    const sequence = context.sequence();
    steer?.(sequence);
    const capture = context.capture({ layers, rows });
    await sequence.evaluate(prompt);
    const found = layers.map((layer) => capture.layer(layer).slice());
    await context.dispose();
    return found;
}

function floats(base64: string): Float32Array {
    const bytes = Buffer.from(base64, "base64");
    return Float32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
}

test("activations are those that the library captures, steered or not", async (t) => {
    for (const steering of [undefined, { vector: "one" }]) {
        for (const rows of ["last-prompt", "prompt"] as const) {
            const steer = steering && ((sequence: Sequence) => void sequence.steer(vectorOf(1)));
            const expected = await captured([3, 7], rows, steer);
            const ask = { model: "m", input: messages, layers: [3, 7], rows, steering };
            const { status, body } = await send(handler, "POST", "/v1/activations", ask);
            t.is(status, 200, JSON.stringify(body));
            t.deepEqual([body.site, body.width, body.usage.prompt_tokens], ["residual", 128, prompt.length]);
            body.data.forEach(
                (each: { layer: number; values: string; positions: number[]; tokens: number[] }, i: number) => {
                    t.is(each.layer, [3, 7][i] as number);
                    const first = rows === "prompt" ? 0 : prompt.length - 1;
                    t.deepEqual(each.tokens, [...prompt.subarray(first)] as number[]);
                    t.deepEqual(each.positions, [...prompt.keys()].slice(first));
                    t.true(maxDifference(floats(each.values), expected[i] as Float32Array) < 1e-4);
                },
            );
        }
    }
});

test("activations come as safetensors too", async (t) => {
    const response = await handler(
        new Request("http://localhost/v1/activations", {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify({
                model: "m",
                input: [...prompt],
                layers: 4,
                rows: "prompt",
                encoding_format: "safetensors",
            }),
        }),
    );
    t.is(response.headers.get("content-type"), "application/octet-stream");
    const bytes = Buffer.from(await response.arrayBuffer());
    const length = Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.toString("utf8", 8, 8 + length));
    t.deepEqual(header["layer.4"].shape, [prompt.length, 128]);
    const [begin, end] = header["layer.4"].data_offsets;
    const values = floats(bytes.subarray(8 + length + begin, 8 + length + end).toString("base64"));
    t.true(maxDifference(values, (await captured([4], "prompt"))[0] as Float32Array) < 1e-4);
    t.is(header["token.4"].dtype, "I32");
});

test("activations that cannot be had are refused", async (t) => {
    const ask = { model: "m", input: messages };
    const wrong: [object, number, RegExp][] = [
        [{ site: "everything" }, 400, /site/],
        [{ layers: 8 }, 400, /layer 8/],
        [{ layers: [] }, 400, /layers/],
        [{ rows: "all" }, 400, /rows/],
        [{ encoding_format: "csv" }, 400, /encoding_format/],
        [{ input: [] }, 400, /input/],
        [{ input: 5 }, 400, /input/],
        [{ input: [1e6] }, 400, /vocabulary/],
        [{ model: "other" }, 404, /no model/],
        [{ steering: { vector: "none" } }, 400, /no vector/],
        [{ path: "/etc/passwd" }, 400, /path/],
    ];
    for (const [more, status, message] of wrong) {
        const answer = await send(handler, "POST", "/v1/activations", { ...ask, ...more });
        t.is(answer.status, status, JSON.stringify(more));
        t.regex(answer.body.error.message, message);
    }
    const narrow = createHandler({ ...base, limits: { activationBytes: 8 * 128 * 4 } });
    t.is((await send(narrow, "POST", "/v1/activations", ask)).status, 200);
    t.is((await send(narrow, "POST", "/v1/activations", { ...ask, rows: "prompt" })).status, 400);
});

async function bytesOf(vector: SteeringVector, name: string): Promise<Uint8Array> {
    const path = `${new TemporaryFolder().path}/${name}`;
    await saveVector(vector, path);
    return new Uint8Array(readFileSync(path));
}

test("a vector that is uploaded steers, until it is deleted", async (t) => {
    const open = createHandler({ ...base, uploads: true });
    const [alone, plain] = await answersAlone([
        { text: questions[0], steering: 1 },
        { text: questions[0], steering: 0 },
    ]);
    t.not(alone?.text, plain?.text);
    const text = async (vector: string): Promise<string> => {
        const { body } = await send(open, "POST", "/v1/chat/completions", { ...chat, steering: { vector } });
        return body.choices?.[0].message.content ?? body.error.code;
    };
    for (const name of ["mine.gguf", "mine.safetensors"]) {
        const put = await send(open, "PUT", `/v1/steering/vectors/${name}`, await bytesOf(vectorOf(1), name));
        t.is(put.status, 201, JSON.stringify(put.body));
        t.is(await text(name), alone?.text as string);
    }
    const names = (await send(open, "GET", "/v1/steering/vectors")).body.data.map(
        (each: { name: string }) => each.name,
    );
    t.deepEqual(names, ["one", "mine.gguf", "mine.safetensors"]);
    // Another of that name: what the cache holds of the first is not mistaken for it.
    const other = await bytesOf(vectorOf(2), "mine.gguf");
    t.is((await send(open, "PUT", "/v1/steering/vectors/mine.gguf", other)).status, 201);
    t.is(await text("mine.gguf"), (await answersAlone([{ text: questions[0], steering: 2 }]))[0]?.text as string);
    t.is((await send(open, "DELETE", "/v1/steering/vectors/mine.gguf")).status, 200);
    t.is(await text("mine.gguf"), "unknown_vector");
    t.is((await send(open, "DELETE", "/v1/steering/vectors/mine.gguf")).status, 404);
});

test("uploads that are wrong, too large or too many are refused, and the operator's vectors stay", async (t) => {
    const limits = { uploads: 1, uploadBytes: 10_000 };
    const open = createHandler({ ...base, uploads: true, limits });
    const good = await bytesOf(vectorOf(3), "v.gguf");
    const put = (name: string, bytes: Uint8Array) => send(open, "PUT", `/v1/steering/vectors/${name}`, bytes);
    const damaged = good.slice();
    damaged.fill(0xff, 8, 24);
    const deep = new Vector([9], randomVector(128, 1));
    const withPresetText = (preset: object) =>
        bytesOf(vectorOf(3).withMetadata({ preset: JSON.stringify(preset) }), "p.safetensors");
    const wave = await withPresetText({
        interventions: [{ operation: "add", layers: [3], strength: { kind: "wave" } }],
    });
    const elsewhere = await withPresetText({ interventions: [{ operation: "add", layers: [90] }] });
    const wrong: [string, Uint8Array, number][] = [
        ["x", new Uint8Array(0), 400],
        ["x", new TextEncoder().encode("hello"), 400],
        ["x", good.subarray(0, good.length - 1), 400],
        ["x", damaged, 400],
        ["x", await bytesOf(new Vector([1], randomVector(64, 1)), "w.safetensors"), 400],
        ["x", await bytesOf(deep, "d.safetensors"), 400],
        ["x", wave, 400],
        ["x", elsewhere, 400],
        ["x", new Uint8Array(10_001), 413],
        ["one", good, 409],
        ["..%2F..%2Fetc", good, 400],
        ["%00", good, 400],
        [`${"x".repeat(65)}`, good, 400],
    ];
    for (const [name, bytes, status] of wrong) {
        const answer = await put(name, bytes);
        t.is(answer.status, status, `${name}: ${JSON.stringify(answer.body)}`);
        t.notRegex(answer.body.error.message, /tmp/, "no path of the server is told");
    }
    t.is((await put("first", good)).status, 201);
    t.is((await put("first", good)).status, 201, "it may be replaced");
    t.is((await put("second", good)).status, 409);
    t.is((await send(open, "DELETE", "/v1/steering/vectors/one")).status, 409);
    t.is((await send(handler, "PUT", "/v1/steering/vectors/x", good)).status, 404, "off unless enabled");
});

test("metrics tell what was asked and answered", async (t) => {
    const own = new Scheduler(await exactContext({ sequences: 2 }));
    const counted = createHandler({ ...base, scheduler: own });
    for (const steering of [undefined, { vector: "one" }, { vector: "one" }]) {
        await send(counted, "POST", "/v1/chat/completions", { ...chat, steering });
    }
    await send(counted, "POST", "/v1/chat/completions", { ...chat, n: 0 });
    await send(counted, "GET", "/nowhere");
    const running = own.submit({ prompt: messages, maxTokens: 200, logitBias: await endless() });
    await running[Symbol.asyncIterator]().next();
    const response = await counted(new Request("http://localhost/metrics"));
    const figures = new Map(
        (await response.text())
            .split("\n")
            .filter((line) => !line.startsWith("#"))
            .map((line): [string, number] => {
                const at = line.lastIndexOf(" ");
                return [line.slice(0, at).replace("llama_steer_", ""), Number(line.slice(at))];
            }),
    );
    t.regex(response.headers.get("content-type") ?? "", /^text\/plain; version=/);
    const { finished, promptTokens, sharedTokens, generatedTokens } = own.statistics;
    t.is(figures.get("finished_answers_total"), finished);
    t.is(finished, 3);
    t.is(figures.get("running_answers"), 1);
    t.is(figures.get("prompt_tokens_total"), promptTokens);
    t.is(figures.get("shared_tokens_total"), sharedTokens);
    t.is(figures.get("generated_tokens_total"), generatedTokens);
    t.is(figures.get("cache_hits_total"), 1);
    t.is(figures.get("first_token_seconds_count"), 3);
    t.is(figures.get("concurrency"), 2);
    t.is(figures.get('requests_total{route="/v1/chat/completions",status="200"}'), 3);
    t.is(figures.get('requests_total{route="/v1/chat/completions",status="400"}'), 1);
    t.is(figures.get('requests_total{route="other",status="404"}'), 1);
    t.true((figures.get("passes_total") ?? 0) > 3);
    await running.abort();
    await own.close();
    await own.context.dispose();
});

test("a line is logged for every request, and no word of what was asked or answered", async (t) => {
    const lines: string[] = [];
    const log = pino({}, { write: (line: string) => void lines.push(line) });
    const logged = createHandler({ ...base, log, keys: ["secret-key"] });
    const ask = (authorization: string) =>
        logged(
            new Request("http://localhost/v1/chat/completions?q=asked", {
                method: "POST",
                headers: { "content-type": "application/json", authorization },
                body: JSON.stringify(chat),
            }),
        );
    const answered = await (await ask("Bearer secret-key")).text();
    t.regex(answered, /chatcmpl/);
    await ask("Bearer wrong-key");
    const [first, second] = lines.map((line) => JSON.parse(line));
    t.like(first, { route: "/v1/chat/completions", status: 200, client: "key 0", method: "POST", msg: "request" });
    t.like(second, { route: "/v1/chat/completions", status: 401, client: "" });
    t.regex(first.id, /^req_/);
    t.notRegex(lines.join(""), /groso|sandy|secret|wrong|asked/);
});
