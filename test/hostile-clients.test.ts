import { subscribe } from "node:diagnostics_channel";
import type { Server } from "node:http";
import test, { type ExecutionContext } from "ava";
import { createHandler, type RunningServer, Scheduler, serve } from "llama-steer/server";
import { endless } from "./support/answer.js";
import { head, RawClient, request } from "./support/raw-http.js";
import { answersAlone, vectorOf } from "./support/serving.js";
import { exactContext, question, questions } from "./support/testbed.js";

// Beside hostile clients of every kind, ordinary ones ask on and compare every answer with that of the request alone.
// Their load is a loop over `fetch`: it has to read streams and to know each answer, which a load generator does not.

const path = "/v1/chat/completions";
const rounds = 3;
const bigBytes = 100_000_000;
const chat = { model: "m", messages: question(questions[0]), temperature: 0, max_tokens: 12 };
const ban = Object.fromEntries([...(await endless()).keys()].map((token) => [token, -100]));
/** An answer that goes on for a while, whatever is sampled. */
const going = { ...chat, temperature: 2, max_tokens: 150, logit_bias: ban };
const asked = questions.flatMap((text) => [0, 1, 2].map((steering) => ({ text, steering })));
const alone = await answersAlone(asked);

/** Node's own server below ours. */
let listening: Server | undefined;
subscribe("http.server.request.start", (message) => {
    listening = (message as { server: Server }).server;
});

/** Waits for what must come, however slow the machine. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
    const last = Date.now() + 240_000;
    while (!(await condition())) {
        if (Date.now() > last) throw new Error(`it did not come: ${condition}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
    }
}

const connections = (): Promise<number> =>
    new Promise((resolve, reject) => {
        listening?.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
    });

/** What a hostile client does. */
type Deed = (server: RunningServer, t: ExecutionContext, scheduler: Scheduler) => Promise<void>;

/** Sends bytes, and is to get an error of this status with OpenAI's object. */
function refusedWith(status: number, code: string | RegExp, ...parts: (string | Uint8Array)[]): Deed {
    return async (server, t) => {
        const client = await RawClient.open(server.url);
        const [answer] = await Promise.all([client.answer(), client.write(...parts)]);
        const shown = `${String(parts[0]).slice(0, 80)}: ${JSON.stringify(answer)?.slice(0, 300)}`;
        t.is(answer?.status, status, shown);
        const { error } = JSON.parse(answer?.body ?? "{}");
        t.deepEqual(Object.keys(error).sort(), ["code", "message", "param", "type"], shown);
        t.regex(error.code, typeof code === "string" ? new RegExp(`^${code}$`) : code, shown);
        client.leave();
    };
}

const json = "Content-Type: application/json";
const length = (bytes: number): string => `Content-Length: ${bytes}`;
const body = (text: string | Uint8Array): [string, string | Uint8Array] => [
    head(path, [json, length(text.length)]),
    text,
];
const text = (more: string): string => `{"model":"m","max_tokens":2,"messages":[{"role":"user","content":"x"}]${more}}`;
const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
const megabytes = (): Buffer[] => Array(bigBytes / 1_000_000).fill(Buffer.alloc(1_000_000, 0x20));
const chunks = (): Buffer[] =>
    megabytes().map((part) =>
        Buffer.concat([Buffer.from(`${part.length.toString(16)}\r\n`), part, Buffer.from("\r\n")]),
    );

const deeds: Record<string, Deed> = {
    "goes in the middle of the headers": async (server) => {
        const client = await RawClient.open(server.url);
        await client.write("POST /v1/chat/compl");
        client.leave();
    },
    "goes in the middle of the body": async (server) => {
        const client = await RawClient.open(server.url);
        await client.write(head(path, [json, length(500)]), '{"model":');
        client.leave();
    },
    "goes in the middle of a stream": async (server) => {
        const client = await RawClient.open(server.url);
        await client.write(request(path, { ...going, stream: true }));
        await client.until(/data: .*data: /s);
        client.leave();
    },
    "goes while it waits for its whole answer": async (server, _, scheduler) => {
        const { submitted } = scheduler.statistics;
        const client = await RawClient.open(server.url);
        await client.write(request(path, going));
        await until(() => scheduler.statistics.submitted > submitted);
        client.leave();
    },
    "sends many requests at once, and goes": async (server, t, scheduler) => {
        const { submitted } = scheduler.statistics;
        const client = await RawClient.open(server.url);
        await client.write(request(path, { ...going, stream: true }).repeat(6));
        await until(() => scheduler.statistics.submitted >= submitted + 6);
        t.pass();
        client.leave();
    },
    "sends many requests at once, of which some are wrong": async (server, t) => {
        const client = await RawClient.open(server.url);
        const wrong = request(path, { ...chat, surprise: 1 });
        await client.write(request(path, chat) + wrong + head("/health", [], "GET") + request(path, chat));
        const answers = [];
        for (let i = 0; i < 4; i++) answers.push(await client.answer());
        t.deepEqual(
            answers.map((each) => each?.status),
            [200, 400, 200, 200],
        );
        t.is(JSON.parse(answers[3]?.body ?? "{}").choices[0].message.content, alone[0]?.text);
        client.leave();
    },
    "reads nothing of a stream": async (server, t, scheduler) => {
        const { submitted } = scheduler.statistics;
        const client = await RawClient.open(server.url);
        client.socket.pause();
        await client.write(request(path, { ...going, stream: true, logprobs: true, top_logprobs: 20 }));
        await until(() => scheduler.statistics.submitted > submitted);
        t.false(client.ended);
        // The answer comes to its end all the same, and with it what it holds.
        await until(() => scheduler.statistics.running + scheduler.statistics.queued < 12);
        client.leave();
    },
    "stalls in the middle of the headers": refusedWith(408, "headers_too_slow", "POST /v1/chat"),
    "stalls before the headers": refusedWith(408, "headers_too_slow"),
    "stalls in the middle of the body": refusedWith(408, "body_too_slow", head(path, [json, length(100)]), "{"),
    "stalls in the middle of a chunk": refusedWith(
        408,
        "body_too_slow",
        head(path, [json, "Transfer-Encoding: chunked"]),
        "ff\r\n{",
    ),
    "speaks TLS": refusedWith(400, "invalid_request", Buffer.from("16030100f4010000f00303", "hex")),
    "speaks nothing": refusedWith(
        400,
        "invalid_request",
        Buffer.from(Array.from({ length: 999 }, (_, i) => (i * 7) % 256)),
    ),
    "sends a wrong chunk": refusedWith(
        400,
        /invalid_request|body_incomplete/,
        head(path, [json, "Transfer-Encoding: chunked"]),
        "zz\r\n",
    ),
    "gives two lengths": refusedWith(
        400,
        "invalid_request",
        head(path, [json, length(2), "Transfer-Encoding: chunked"]),
    ),
    "gives no host": refusedWith(400, "invalid_request", "GET /health HTTP/1.1\r\n\r\n"),
    "sends huge headers": refusedWith(431, "headers_too_large", head(path, [`X-Long: ${"x".repeat(100_000)}`])),
    "sends many headers": refusedWith(431, "headers_too_large", head(path, Array(5000).fill("X-Name: value"))),
    "announces 100 MB": refusedWith(413, "body_too_large", head(path, [json, length(bigBytes)]), ...megabytes()),
    "sends 100 MB in chunks": refusedWith(
        413,
        "body_too_large",
        head(path, [json, "Transfer-Encoding: chunked"]),
        ...chunks(),
    ),
    "sends 100 MB and announces less": refusedWith(400, /^invalid_/, head(path, [json, length(20)]), ...megabytes()),
    "announces 100 MB and sends none": refusedWith(413, "body_too_large", head(path, [json, length(bigBytes)])),
    "sends 100 MB to no path": refusedWith(
        404,
        "unknown_url",
        head("/v1/nowhere", [json, length(bigBytes)]),
        ...megabytes(),
    ),
    "asks whether it may send 100 MB": async (server, t) => {
        const client = await RawClient.open(server.url);
        await client.write(head(path, [json, length(bigBytes), "Expect: 100-continue"]));
        await client.until(/\r\n\r\n/);
        t.regex(client.received, /^HTTP\/1\.1 413/, "it was not told to go on");
        client.leave();
    },
    "asks whether it may send, and may": async (server, t) => {
        const client = await RawClient.open(server.url);
        const [first, rest] = body(JSON.stringify(chat));
        await client.write(`${(first as string).slice(0, -2)}Expect: 100-continue\r\n\r\n`);
        await client.until(/\r\n\r\n/);
        t.regex(client.received, /^HTTP\/1\.1 100/);
        await client.write(rest);
        const answer = await client.answer();
        t.is(JSON.parse(answer?.body ?? "{}").choices?.[0].message.content, alone[0]?.text, JSON.stringify(answer));
        client.leave();
    },
    "expects something else": refusedWith(
        417,
        "expectation_failed",
        head(path, [json, length(2), "Expect: magic"]),
        "{}",
    ),
    "uses no method": refusedWith(400, "invalid_request", head(path, [], "FETCH")),
    "uses TRACE": refusedWith(400, "invalid_request", head(path, [], "TRACE")),
    "uses CONNECT": refusedWith(405, "method_not_allowed", head("elsewhere:443", [], "CONNECT")),
    "uses PROPFIND": refusedWith(405, "method_not_allowed", head(path, [length(0)], "PROPFIND")),
    "goes up": refusedWith(404, "unknown_url", head("/v1/../../../etc/passwd", [], "GET")),
    "goes up, encoded": refusedWith(
        404,
        "model_not_found",
        head("/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd", [], "GET"),
    ),
    "sends a path of bytes": refusedWith(404, "model_not_found", head("/v1/models/%00%zz%ff%C0%AF", [], "GET")),
    "sends a path that is none": refusedWith(400, "invalid_request", head("http://[", [], "GET")),
    "sends invalid UTF-8": refusedWith(
        400,
        "invalid_json",
        ...body(Buffer.of(0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d)),
    ),
    "nests 100,000 deep": refusedWith(400, "invalid_json", ...body(text(`,"metadata":${nested(100_000)}`))),
    "nests 100,000 deep and never closes": refusedWith(400, "invalid_json", ...body("[".repeat(100_000))),
    "nests a constant 100,000 deep": refusedWith(
        400,
        "invalid_json",
        ...body(
            text(`,"response_format":{"type":"json_schema","json_schema":{"schema":{"const":${nested(100_000)}}}}`),
        ),
    ),
    "names __proto__": refusedWith(400, "invalid_json", ...body(text(',"__proto__":{"n":2}'))),
    "names __proto__ in escapes": refusedWith(
        400,
        "invalid_json",
        ...body(text(',"logit_bias":{"__pr\\u006fto__":1}')),
    ),
    "names constructor": refusedWith(400, "invalid_value", ...body(text(',"constructor":{"prototype":{"n":2}}'))),
    "asks for an inherited vector": refusedWith(
        400,
        "unknown_vector",
        ...body(text(',"steering":{"vector":"constructor"}')),
    ),
    "gives a field twice": refusedWith(400, "invalid_json", ...body(text(',"model":"n"'))),
    "gives a field twice, in escapes": refusedWith(400, "invalid_json", ...body(text(',"\\u006dodel":"n"'))),
    "sends NUL as a name": refusedWith(400, "invalid_value", ...body(text(',"\\u0000":1'))),
    "sends a bare NUL": refusedWith(400, "invalid_json", ...body(`${text("")}\0`)),
    "refers to what is no URL": refusedWith(
        400,
        "unsupported_schema",
        ...body(text(',"response_format":{"type":"json_schema","json_schema":{"schema":{"$ref":"#/%zz"}}}')),
    ),
    "sends NUL in all text": async (server, t) => {
        const client = await RawClient.open(server.url);
        const messages = [{ role: "user", content: "a\0b", name: "\0" }];
        await client.write(request(path, { ...chat, messages, stop: "\0", user: "\0" }));
        t.is((await client.answer())?.status, 200);
        client.leave();
    },
};

/** Asks one of the known questions over and over, whole and streamed, and compares. Returns how often. */
async function ask(t: ExecutionContext, server: RunningServer, which: number, over: AbortSignal): Promise<number> {
    let count = 0;
    for (; !over.aborted; count++) {
        const index = (which + 5 * count) % asked.length;
        const { text: content, steering } = asked[index] as (typeof asked)[number];
        const stream = count % 2 === 1;
        const more = steering === 0 ? {} : { steering: { vector: `v${steering}` } };
        const response = await fetch(server.url + path, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify({ ...chat, messages: question(content), stream, ...more }),
        });
        t.is(response.status, 200);
        t.is(textOf(await response.text(), stream), alone[index]?.text as string, `${content} ${steering} ${stream}`);
    }
    return count;
}

function textOf(sent: string, stream: boolean): string {
    if (!stream) {
        return JSON.parse(sent).choices[0].message.content;
    }
    const events = sent.split("\n\n").filter((each) => each.startsWith("data: {"));
    return events.map((each) => JSON.parse(each.slice(6)).choices[0]?.delta.content ?? "").join("");
}

test("hostile clients of every kind get their 4xx, and ordinary ones beside them their right answers", async (t) => {
    t.timeout(600_000);
    const scheduler = new Scheduler(await exactContext({ sequences: 12, promptBudget: 64 }), { concurrency: 8 });
    const errors: unknown[] = [];
    const server = await serve({
        scheduler,
        model: "m",
        port: 0,
        vectors: { v1: vectorOf(1), v2: vectorOf(2) },
        // Long enough that no ordinary client is slower, on a machine that has much else to do.
        headersMilliseconds: 5000,
        limits: { bodyMilliseconds: 5000 },
        onError: (error) => errors.push(error),
    });
    const over = new AbortController();
    t.teardown(async () => {
        over.abort();
        await server.close();
        await scheduler.context.dispose();
    });
    const load = Promise.all([0, 1, 2, 3].map((which) => ask(t, server, which, over.signal)));
    for (let round = 0; round < rounds; round++) {
        await Promise.all(Object.values(deeds).map((deed) => deed(server, t, scheduler)));
    }
    over.abort();
    const counts = await load;
    t.log(`${Object.keys(deeds).length} kinds, ${rounds} times; beside them ${counts.join(" + ")} ordinary answers`);
    t.true(counts.every((count) => count > 0));
    t.deepEqual(errors, [], "none was the server's own failure");

    await until(() => scheduler.statistics.running + scheduler.statistics.queued === 0);
    const { submitted, finished, aborted, failed, refused } = scheduler.statistics;
    t.is(finished + aborted + failed, submitted, "each has ended");
    t.is(failed + refused, 0);
    t.true(aborted > 0, `${aborted} were broken off`);
    // Idle connections of the ordinary clients end by themselves.
    await until(async () => (await connections()) === 0);
    t.deepEqual(await server.close(), []);
    const { heldTokens, promisedTokens } = scheduler.context.statistics;
    t.deepEqual([heldTokens, promisedTokens], [0, 0]);
});

test("requests that were sent at once end with their connection, waiting or running", async (t) => {
    const scheduler = new Scheduler(await exactContext({ sequences: 1 }));
    const server = await serve({ scheduler, model: "m", port: 0 });
    const client = await RawClient.open(server.url);
    await client.write(request(path, going).repeat(12));
    await until(() => scheduler.statistics.submitted === 12);
    client.leave();
    await until(() => scheduler.statistics.running + scheduler.statistics.queued === 0);
    const { aborted, finished } = scheduler.statistics;
    t.is(aborted + finished, 12);
    t.true(finished < 3, `${finished} were answered for nobody`);
    await server.close();
    await scheduler.context.dispose();
});

test("streams that are broken off after any number of parts leave no failure that nobody hears", async (t) => {
    // An answer can fail while nobody waits for it, since its reader takes its time. Such a rejection ends a process by
    // default, and ava fails a file for it.
    const scheduler = new Scheduler(await exactContext({ sequences: 8, contextSize: 1024 }));
    const handler = createHandler({ scheduler, model: "m" });
    for (let i = 0; i < 120; i++) {
        const stop = new AbortController();
        const { body } = await handler(
            new Request(`http://localhost${path}`, {
                method: "POST",
                headers: { "content-type": "application/json" },
                body: JSON.stringify({ ...going, max_tokens: 60, n: 1 + (i % 3), stream: true }),
                signal: stop.signal,
            }),
        );
        const reader = (body as ReadableStream<Uint8Array>).getReader();
        for (let part = 0; part < i % 9; part++) await reader.read();
        if (i % 4 === 0) void reader.cancel();
        else stop.abort();
        await until(() => scheduler.statistics.running + scheduler.statistics.queued === 0);
        await reader.cancel();
    }
    const { aborted, failed } = scheduler.statistics;
    t.true(aborted > 0, `${aborted} were broken off`);
    t.is(failed, 0);
    await scheduler.close();
    await scheduler.context.dispose();
});

test("a request that takes longer than it may is told so", async (t) => {
    const scheduler = new Scheduler(await exactContext({ sequences: 8 }));
    const server = await serve({ scheduler, model: "m", port: 0, limits: { requestMilliseconds: 20 } });
    const client = await RawClient.open(server.url);
    await client.write(request(path, { ...going, n: 8 }));
    const answer = await client.answer();
    t.is(answer?.status, 503, JSON.stringify(answer));
    t.is(JSON.parse(answer?.body ?? "{}").error.code, "ABORTED");
    client.leave();
    await server.close();
    await scheduler.context.dispose();
});
