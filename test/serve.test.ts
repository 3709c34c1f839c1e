import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import test from "ava";
import type { ContextOptions } from "llama-steer";
import { type RunningServer, Scheduler, type SchedulerOptions, type ServeOptions, serve } from "llama-steer/server";
import OpenAI, { APIError } from "openai";
import { expectCode, failureOf } from "./support/expect-code.js";
import { answersAlone, vectorOf } from "./support/serving.js";
import { exactContext, question, questions } from "./support/testbed.js";

interface Site {
    server: RunningServer;
    scheduler: Scheduler;
    client: OpenAI;
    close(): Promise<void>;
}

async function siteOf(
    context: number | ContextOptions,
    options: Partial<ServeOptions> = {},
    scheduling: SchedulerOptions = {},
): Promise<Site> {
    const scheduler = new Scheduler(
        await exactContext(typeof context === "number" ? { sequences: context } : context),
        scheduling,
    );
    const server = await serve({ scheduler, model: "m", port: 0, vectors: { one: vectorOf(1) }, ...options });
    const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: options.keys?.[0] ?? "none", maxRetries: 0 });
    const close = async (): Promise<void> => {
        await server.close();
        await scheduler.context.dispose();
    };
    return { server, scheduler, client, close };
}

const messages = question(questions[0]);
const chat = { model: "m", messages, temperature: 0, max_tokens: 12 };
/** Whatever is sampled at this temperature, it goes on for a while. */
const going = { ...chat, temperature: 2, max_tokens: 200, logit_bias: {} as Record<string, number> };

const bans = await exactContext();
for (let token = 0; token < bans.model.tokenizer.vocabularySize; token++) {
    if (bans.model.tokenizer.isEndOfGeneration(token)) going.logit_bias[token] = -100;
}
await bans.dispose();

async function until(condition: () => boolean): Promise<void> {
    while (!condition()) await delay(5);
}

/** Sends bytes as they are, and returns all that comes back until the connection ends. */
async function raw(server: RunningServer, ...parts: (string | Buffer)[]): Promise<string> {
    const socket = await open(server);
    for (const part of parts) socket.write(part);
    return readAll(socket);
}

async function open(server: RunningServer): Promise<Socket> {
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    socket.on("error", () => {});
    await once(socket, "connect");
    return socket;
}

async function readAll(socket: Socket): Promise<string> {
    let text = "";
    socket.on("data", (data) => {
        text += data;
    });
    await new Promise((resolve) => socket.once("close", resolve));
    return text;
}

const head = (length: number | string, more = ""): string =>
    `POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${more}${
        typeof length === "number" ? `Content-Length: ${length}` : length
    }\r\n\r\n`;

test("the official client speaks to it over the network, whole and streamed", async (t) => {
    const site = await siteOf(4);
    t.regex(site.server.url, /^http:\/\/127\.0\.0\.1:\d+$/);
    const [plain, steered] = await answersAlone([
        { text: questions[0], steering: 0 },
        { text: questions[0], steering: 1 },
    ]);
    const whole = await site.client.chat.completions.create(chat);
    t.is(whole.choices[0]?.message.content, plain?.text);
    let text = "";
    const steering = { vector: "one" };
    const stream = await site.client.chat.completions.create({ ...chat, stream: true, ...({ steering } as object) });
    for await (const part of stream) text += part.choices[0]?.delta.content ?? "";
    t.is(text, steered?.text as string);
    const refused = await failureOf(() => site.client.chat.completions.create({ ...chat, tools: [] }));
    t.is((refused as APIError).status, 400);
    await site.close();
});

test("tokens arrive while the answer is still being made", async (t) => {
    // So long that no machine has made it before its first parts are read, whatever else keeps this process busy.
    const site = await siteOf({ sequences: 1, contextSize: 4096 });
    t.teardown(site.close);
    const stream = await site.client.chat.completions.create({ ...going, max_tokens: 4000, stream: true });
    let parts = 0;
    for await (const _ of stream) {
        if (++parts === 5) {
            t.is(site.scheduler.statistics.running, 1, "it is still running");
            break;
        }
    }
    await until(() => site.scheduler.statistics.running === 0);
    t.is(site.scheduler.statistics.aborted, 1);
});

test("clients that send garbage, too much, or too slowly get a 4xx, and others are not disturbed", async (t) => {
    const site = await siteOf(2, { headersMilliseconds: 2000, limits: { bodyMilliseconds: 1000 } });
    const { server } = site;
    const other = site.client.chat.completions.create({ ...going, seed: 1 });
    const status = (text: string): string => /^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? text;
    t.is(status(await raw(server, "\x00\x01\x02 garbage\r\n\r\n")), "400");
    t.is(status(await raw(server, "GET http://[ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")), "400");
    t.is(status(await raw(server, head("Content-Length: 5, 6"), "hello")), "400");
    t.is(status(await raw(server, head(4, "Connection: close\r\n"), Buffer.of(0x22, 0xff, 0xfe, 0x22))), "400");
    t.is(status(await raw(server, head(5, `X-Long: ${"x".repeat(20_000)}\r\n`), "hello")), "431");
    t.is(status(await raw(server, head(100_000_000), "x".repeat(1000))), "413");
    t.is(status(await raw(server, head(100), "x".repeat(50))), "408", "a body that does not go on");
    t.is(status(await raw(server, "POST /v1/chat")), "408", "headers that do not go on");
    const gone = await open(server);
    gone.write(head(100));
    gone.destroy();
    const bystander = await site.client.chat.completions.create(chat);
    const [alone] = await answersAlone([{ text: questions[0], steering: 0 }]);
    t.is(bystander.choices[0]?.message.content, alone?.text);
    t.is((await other).usage?.completion_tokens, 200);
    await site.close();
});

test("a hundred megabytes without a length are not taken in", async (t) => {
    const site = await siteOf(1);
    const socket = await open(site.server);
    const answer = readAll(socket);
    const piece = Buffer.concat([Buffer.from("100000\r\n"), Buffer.alloc(2 ** 20, 0x20), Buffer.from("\r\n")]);
    const before = process.memoryUsage.rss();
    let sent = 0;
    socket.write(head("Transfer-Encoding: chunked"));
    for (let i = 0; i < 100 && !socket.destroyed && socket.writable; i++) {
        sent += piece.length;
        if (!socket.write(piece)) {
            const over = new AbortController();
            const { signal } = over;
            await Promise.race([once(socket, "drain", { signal }), once(socket, "close", { signal })]).catch(() => {});
            over.abort();
        }
    }
    t.regex(await answer, /^HTTP\/1\.1 413/);
    t.true(sent < 50 * 2 ** 20, `${sent} bytes were sent`);
    t.is((await site.client.chat.completions.create(chat)).choices.length, 1);
    t.true(process.memoryUsage.rss() - before < 64 * 2 ** 20);
    await site.close();
});

test("a reader who stops reading keeps nobody else waiting", async (t) => {
    const site = await siteOf(2);
    const socket = await open(site.server);
    const body = JSON.stringify({ ...going, stream: true });
    socket.write(head(Buffer.byteLength(body)) + body);
    socket.pause();
    await until(() => site.scheduler.statistics.running === 1);
    for (let i = 0; i < 5; i++) {
        const answer = await site.client.chat.completions.create(chat);
        t.is(answer.choices.length, 1);
    }
    socket.destroy();
    await until(() => site.scheduler.statistics.running === 0);
    await site.close();
});

test("only those with a key may ask from elsewhere, and only by the names of loopback without one", async (t) => {
    const scheduler = new Scheduler(await exactContext());
    for (const host of ["0.0.0.0", "::", "192.0.2.1"]) {
        await expectCode(t, "INVALID_ARGUMENT", () => serve({ scheduler, model: "m", port: 0, host }), /keys/);
    }
    for (const wrong of [{ port: -1 }, { port: 70000 }, { port: "80" }, { host: "" }, { headersMilliseconds: 0 }]) {
        await expectCode(t, "INVALID_ARGUMENT", () => serve({ scheduler, model: "m", ...wrong } as ServeOptions));
    }
    const local = await serve({ scheduler, model: "m", port: 0 });
    const get = (name: string): Promise<string> =>
        raw(local, `GET /v1/models HTTP/1.1\r\nHost: ${name}\r\nConnection: close\r\n\r\n`);
    for (const name of ["localhost", "localhost:80", "127.0.0.1:8080", "[::1]:1"]) {
        t.regex(await get(name), /^HTTP\/1\.1 200/, name);
    }
    for (const name of ["attacker.example", "127.0.0.1.attacker.example", "localhost.", ""]) {
        t.regex(await get(name), /^HTTP\/1\.1 403/, name);
    }
    await local.close();
    const second = new Scheduler(scheduler.context);
    const open = await serve({ scheduler: second, model: "m", port: 0, host: "0.0.0.0", keys: ["k"] });
    const url = open.url.replace("0.0.0.0", "127.0.0.1");
    t.is((await fetch(`${url}/v1/models`)).status, 401);
    t.is((await fetch(`${url}/v1/models`, { headers: { authorization: "Bearer k" } })).status, 200);
    await open.close();
    await scheduler.context.dispose();
});

test("closing under load answers every request that was taken, within its grace", async (t) => {
    const site = await siteOf(4);
    const asked = Array.from({ length: 24 }, (_, i) =>
        site.client.chat.completions.create({ ...going, max_tokens: 10 + i, seed: i }),
    );
    await until(() => site.scheduler.statistics.submitted === 24);
    const closing = site.server.close({ graceMilliseconds: 60_000 });
    t.true((await failureOf(() => site.client.chat.completions.create(chat))) instanceof APIError);
    t.deepEqual(await closing, []);
    const answers = await Promise.all(asked);
    t.deepEqual(
        answers.map(({ usage }) => usage?.completion_tokens),
        answers.map((_, i) => 10 + i),
    );
    await site.scheduler.context.dispose();
});

test("closing without grace hands back what it was asked, and tells the clients", async (t) => {
    const site = await siteOf(1);
    const asked = [1, 2, 3].map((seed) => failureOf(() => site.client.chat.completions.create({ ...going, seed })));
    await until(() => site.scheduler.statistics.submitted === 3);
    const unfinished = await site.server.close();
    t.deepEqual(unfinished.map(({ request }) => request.seed).sort(), [1, 2, 3]);
    for (const failure of await Promise.all(asked)) {
        t.is((failure as APIError).status, 503);
    }
    await site.scheduler.context.dispose();
});

test("a port that is taken is an error, not a crash", async (t) => {
    const site = await siteOf(1);
    const { port } = new URL(site.server.url);
    const { scheduler } = site;
    const failure = await failureOf(() => serve({ scheduler, model: "m", port: Number(port) }));
    t.is((failure as NodeJS.ErrnoException).code, "EADDRINUSE");
    await site.close();
});
