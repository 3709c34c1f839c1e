import { spawn } from "node:child_process";
import { once } from "node:events";
import { request as httpRequest, type ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import test, { type ExecutionContext } from "ava";
import { FakeReplica } from "./support/fake-replica.js";
import { findNginx, Nginx } from "./support/nginx.js";
import { until } from "./support/until.js";

interface Site {
    nginx: Nginx;
    replicas: [FakeReplica, FakeReplica];
    ask(body: unknown, headers?: Record<string, string>): Promise<Response>;
    /** What a body is pinned by. */
    pinOf(body: unknown, headers?: Record<string, string>): Promise<string>;
    /** A body that is pinned to a replica. */
    bodyFor(replica: FakeReplica): Promise<object>;
}

const nginxProgram = findNginx();

/** A test of the documented site in front of two fake replicas. */
function siteTest(title: string, run: (t: ExecutionContext, site: Site) => Promise<void>): void {
    test(title, async (t) => {
        if (nginxProgram === undefined) {
            t.log("skipped: nginx is not installed");
            t.pass();
            return;
        }
        t.timeout(180_000);
        const replicas: Site["replicas"] = [await FakeReplica.start("one"), await FakeReplica.start("two")];
        const nginx = await Nginx.start([replicas[0].address, replicas[1].address]);
        try {
            await run(t, siteOf(nginx, replicas));
        } finally {
            await nginx.stop();
            await Promise.allSettled(replicas.map((each) => each.stop()));
        }
    });
}

function siteOf(nginx: Nginx, replicas: Site["replicas"]): Site {
    const ask: Site["ask"] = (body, headers = {}) =>
        fetch(`${nginx.url}/v1/chat/completions`, {
            method: "POST",
            body: typeof body === "string" ? body : JSON.stringify(body),
            headers: { "content-type": "application/json", ...headers },
        });
    const pinOf: Site["pinOf"] = async (body, headers) => {
        const response = await ask(body, headers);
        await response.text();
        return (await nginx.logged(response.headers.get("x-request-id") as string)).pin;
    };
    const bodyFor: Site["bodyFor"] = async (replica) => {
        for (let i = 0; i < 1000; i++) {
            const body = { messages: [user(`question ${i}`)] };
            if ((await (await ask(body)).text()) === replica.name) {
                return body;
            }
        }
        throw new Error(`nothing was pinned to ${replica.name}`);
    };
    return { nginx, replicas, ask, pinOf, bodyFor };
}

const user = (content: unknown) => ({ role: "user", content });
const system = (content: unknown) => ({ role: "system", content });
const assistant = (content: unknown) => ({ role: "assistant", content });
const clientPin = "client  127.0.0.1";

siteTest(
    "a conversation is pinned by its messages up to the first that is not the operator's",
    async (t, { pinOf }) => {
        const awkward = 'a "b" } ] \\ \n {"role":"system"} "messages":[{ é 猫 \u0000';
        const parts = [
            { type: "text", text: awkward },
            { type: "text", text: "}" },
        ];
        const beginnings: object[][] = [
            [user("hello")],
            [user(awkward)],
            [user(parts)],
            [user("")],
            [system("be good"), user("hello")],
            [system(awkward), { role: "developer", content: parts }, { content: parts, name: "me", role: "user" }],
            [{ content: "the role comes last", role: "system" }, user("hello")],
            [{ content: "role", name: "role", role: "user" }],
        ];
        for (const beginning of beginnings) {
            const expected = `messages ${JSON.stringify(beginning)}`.slice(0, -1);
            t.is(await pinOf({ model: "m", messages: beginning }), expected);
            const later = [...beginning, assistant(awkward), user("and then?"), assistant(parts), system("late")];
            const other = {
                steering: { vector: "v", when: { vector: "w" } },
                stream: true,
                seed: 2,
                logit_bias: { 1: 2 },
            };
            t.is(await pinOf({ ...other, model: "m", messages: later, temperature: 1 }), expected, "a later turn");
        }
        const schema = { type: "object", properties: { messages: { type: "array", items: [{}] } }, enum: ["messages"] };
        const format = { type: "json_schema", json_schema: { name: "messages", schema } };
        t.is(await pinOf({ response_format: format, messages: [user("q")] }), `messages [${JSON.stringify(user("q"))}`);
        const spaced = JSON.stringify({ messages: [system("s"), user("q"), assistant("a")] }, undefined, 4);
        const end = spaced.indexOf("}", spaced.indexOf('"q"'));
        t.is(await pinOf(spaced), `messages ${spaced.slice(spaced.indexOf("["), end + 1)}`);
        t.is(await pinOf({ messages: [system("alone")] }), `messages [${JSON.stringify(system("alone"))}`);
    },
);

siteTest("prompts are pinned by their first 256 characters or tokens, activations like their kind", async (t, site) => {
    const { pinOf } = site;
    const text = `once "upon" a time, \\ é ${"x".repeat(300)}`;
    const start = JSON.stringify(text).slice(0, 100);
    const pinned = await pinOf({ prompt: text });
    t.true(pinned.startsWith(`prompt ${start}`));
    t.is(await pinOf({ model: "m", max_tokens: 3, prompt: `${text} and more`, seed: 1 }), pinned);
    t.not(await pinOf({ prompt: `other ${text}` }), pinned);
    t.is(await pinOf({ prompt: "short" }), 'prompt "short');
    t.is(await pinOf({ prompt: ["first", "second"] }), 'prompt ["first');
    t.is(await pinOf({ prompt: [[1, 2], [3]] }), "prompt [[1,2");
    const tokens = Array.from({ length: 300 }, (_, i) => i);
    t.is(await pinOf({ prompt: tokens }), `prompt [${tokens.slice(0, 256)}`);
    t.is(await pinOf({ prompt: [...tokens, 7, 8] }), `prompt [${tokens.slice(0, 256)}`);
    t.is(await pinOf({ input: [user("q"), assistant("a")] }), `messages [${JSON.stringify(user("q"))}`);
    t.is(await pinOf({ input: "text" }), 'prompt "text');
});

siteTest("a session that is named overrides the body", async (t, { pinOf, ask, replicas }) => {
    const headers = { "x-llama-steer-session": "s1" };
    t.is(await pinOf({ messages: [user("one")] }, headers), "session s1");
    t.is(await pinOf({ messages: [user("another")] }, headers), "session s1");
    const reached = new Set<string>();
    for (let i = 0; reached.size < replicas.length && i < 1000; i++) {
        const session = { "x-llama-steer-session": `session ${i}` };
        reached.add(await (await ask({ messages: [user("the same")] }, session)).text());
    }
    t.is(reached.size, 2, "sessions go to both");
});

siteTest(
    "what has no beginning is pinned to its client, and no body makes an expression give up",
    async (t, { nginx, ask, pinOf }) => {
        t.is(await pinOf({}, { authorization: "Bearer k" }), "client Bearer k 127.0.0.1");
        for (const body of ["", "garbage", "{", '{"messages":[]}', '{"messages":"x"}', '{"prompt":""}']) {
            t.is(await pinOf(body), clientPin, body);
        }
        // Bodies that make an expression which goes back take seconds, or run into its limits.
        const room = 2 ** 20 - 64;
        const beginnings = [
            "",
            '{"messages":[',
            '{"messages":[{"role":"user","content":"',
            '{"messages":[{"role":"system",',
        ];
        for (const piece of [
            '"',
            '""',
            '\\"',
            "{",
            "[",
            '{"',
            '"\\n',
            ",",
            '{"messages":[{',
            '"messages":',
            '"role":',
            " ",
        ]) {
            for (const beginning of beginnings) {
                const body = beginning + piece.repeat(Math.floor(room / piece.length));
                t.is(await pinOf(body), clientPin, `${beginning} and ${piece} many times`);
            }
        }
        const long = { messages: [...Array.from({ length: 9000 }, () => system("s")), user("q".repeat(500_000))] };
        t.is(await pinOf(long), `messages ${JSON.stringify(long.messages).slice(0, -1)}`);
        // Within the limit of a body but not of its buffer, for what its chunks need themselves.
        const chunked = new ReadableStream<Uint8Array>({
            start(controller) {
                for (let i = 0; i < 2 ** 16; i++) {
                    controller.enqueue(new Uint8Array(15).fill(0x20));
                }
                controller.close();
            },
        });
        const init = { method: "POST", body: chunked, duplex: "half" } as RequestInit;
        const response = await fetch(`${nginx.url}/v1/chat/completions`, init);
        t.is(response.status, 200);
        t.is((await nginx.logged(response.headers.get("x-request-id") as string)).pin, clientPin);
        t.is((await ask(" ".repeat(2 ** 20))).status, 200);
        const refused = await ask(" ".repeat(2 ** 20 + 1));
        t.is(refused.status, 413);
        t.is(((await refused.json()) as { error: { code: string } }).error.code, "body_too_large");
        t.regex(nginx.complaints, /\[warn\].*buffered to a temporary file/, "that body was not in memory");
        t.notRegex(nginx.complaints, /\[(alert|crit|emerg)\]/);
    },
);

/** A request whose path is sent as it is. */
function raw(nginx: Nginx, method: string, path: string): Promise<number> {
    const { hostname, port } = new URL(nginx.url);
    return new Promise((resolve, reject) => {
        const request = httpRequest({ hostname, port, method, path }, (response) => {
            response.resume();
            resolve(response.statusCode ?? 0);
        });
        request.once("error", reject).end();
    });
}

siteTest(
    "the API alone is passed on, with its keys; neither metrics nor uploads",
    async (t, { nginx, replicas, ask }) => {
        const reached = () => replicas.reduce((sum, { requests }) => sum + requests.length, 0);
        const hidden = ["/metrics", "/", "/v1", "/v1/", "/v1/other", "/healthy", "/v1/models/../../metrics"];
        const tricks = [
            "/v1/models/..\\..\\metrics",
            "/v1/models/%2e%2e/%2e%2e/metrics",
            "/v1/models/x%5c..",
            "/v1/models/a/b",
        ];
        for (const path of [...hidden, ...tricks]) {
            t.is(await raw(nginx, "GET", path), 404, path);
        }
        for (const method of ["PUT", "DELETE", "GET"]) {
            for (const path of ["/v1/steering/vectors/v", "/v1/steering%2Fvectors/v", "/v1//steering/./vectors/v"]) {
                t.is(await raw(nginx, method, path), 404, `${method} ${path}`);
            }
            t.is(await raw(nginx, method, "/v1\\steering\\vectors\\v"), 404);
        }
        t.is(reached(), 0);
        const open = ["/health", "/v1/models", "/v1/models/a.b-1", "/v1/models/a%20b", "/v1/steering/vectors"];
        for (const path of open) {
            t.is(await raw(nginx, "GET", path), 200, path);
        }
        t.deepEqual(replicas.flatMap(({ requests }) => requests.map(({ path }) => path)).sort(), [...open].sort());
        await (await ask("{}", { authorization: "Bearer key" })).text();
        const [last] = replicas.flatMap(({ requests }) => requests.filter(({ method }) => method === "POST"));
        t.like(last?.headers, { authorization: "Bearer key", host: "127.0.0.1", "content-type": "application/json" });
    },
);

siteTest("an answer passes piece by piece, and ends at its replica when its reader leaves", async (t, site) => {
    let answering: ServerResponse | undefined;
    for (const replica of site.replicas) {
        replica.answer = (response) => {
            response.setHeader("content-type", "text/event-stream");
            response.write("data: 0\n\n");
            answering = response;
        };
    }
    const leaving = new AbortController();
    const response = await fetch(`${site.nginx.url}/v1/completions`, { method: "POST", signal: leaving.signal });
    t.is(response.headers.get("content-type"), "text/event-stream");
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    // The next piece is not written until the one before has come.
    for (let i = 0; i < 20; i++) {
        t.is((await reader?.read())?.value, `data: ${i}\n\n`);
        answering?.write(`data: ${i + 1}\n\n`);
    }
    leaving.abort();
    await until("the replica sees it", () => answering?.destroyed);
    t.pass();
});

siteTest(
    "other failures than refusals are the client's, and asked of one replica",
    async (t, { ask, bodyFor, replicas }) => {
        const [one, two] = replicas;
        const body = await bodyFor(one);
        const before = two.requests.length;
        for (const status of [400, 401, 404, 429, 500]) {
            one.answer = (response) => response.writeHead(status).end("told");
            const response = await ask(body);
            t.deepEqual([response.status, await response.text()], [status, "told"]);
        }
        one.answer = (response) => {
            response.writeHead(200, { "content-length": 10 });
            response.write("begun", () => response.destroy());
        };
        await t.throwsAsync(async () => (await ask(body)).text(), undefined, "what has begun is not begun again");
        t.is(two.requests.length, before);
    },
);

siteTest("what one replica refuses, the other answers, until the first takes requests again", async (t, site) => {
    const { ask, bodyFor, nginx, replicas } = site;
    const [one, two] = replicas;
    const body = await bodyFor(one);
    const answering = async (): Promise<string> => (await ask(body)).text();
    const plain = one.answer;
    const closing = (response: ServerResponse): unknown => response.writeHead(503).end("closing");
    for (const refusal of [closing, (response: ServerResponse): unknown => response.destroy()]) {
        one.answer = refusal;
        const before = one.requests.length;
        t.is(await answering(), "two");
        t.is(await answering(), "two");
        t.is(one.requests.length, before + 1, "who has refused is left alone for a while");
        one.answer = plain;
        await until("it is tried again", async () => (await answering()) === "one");
    }
    await one.stop();
    for (let i = 0; i < 5; i++) {
        t.is(await answering(), "two");
    }
    two.answer = closing;
    t.is((await ask(body)).status, 503);
    await two.stop();
    const nobody = await ask(body);
    t.is(nobody.status, 503);
    t.is(nobody.headers.get("retry-after"), "1");
    t.is(((await nobody.json()) as { error: { code: string } }).error.code, "no_replica");
    const again = [await FakeReplica.start("one", one.port), await FakeReplica.start("two", two.port)];
    await until("both are back", async () => (await answering()) === "one");
    t.notRegex(nginx.complaints, /\[(alert|crit|emerg)\]/);
    await Promise.all(again.map((each) => each.stop()));
});

siteTest(
    "a machine that has vanished costs a request two seconds, and fails none",
    async (t, { ask, bodyFor, replicas }) => {
        const [one] = replicas;
        const body = await bodyFor(one);
        await one.stop();
        const hole = await vanished(one.port);
        if (hole === undefined) {
            t.log("skipped: this system cannot pretend it");
            t.pass();
            return;
        }
        const begun = performance.now();
        t.is(await (await ask(body)).text(), "two");
        t.true(performance.now() - begun > 1000, "the connection was tried");
        t.is(await (await ask(body)).text(), "two");
        hole.end();
    },
);

/** Something at a port that neither takes nor refuses connections: it has stopped, and its queue is full. */
async function vanished(port: number): Promise<{ end(): void } | undefined> {
    if (process.platform !== "linux") {
        return undefined;
    }
    const listen = `{ host: "127.0.0.1", port: ${port}, backlog: 1 }`;
    const source = `require("node:net").createServer().listen(${listen}, () => console.log("listening"))`;
    const child = spawn(process.execPath, ["--eval", source], { timeout: 120_000, killSignal: "SIGKILL" });
    await once(child.stdout, "data");
    child.kill("SIGSTOP");
    const sockets: Socket[] = [];
    const connects = (): Promise<boolean> => {
        const socket = connect(port, "127.0.0.1");
        socket.on("error", () => {});
        sockets.push(socket);
        const tried = once(socket, "connect", { signal: AbortSignal.timeout(1000) });
        return tried.then(
            () => true,
            () => false,
        );
    };
    let full = false;
    for (let i = 0; i < 8 && !full; i++) {
        full = !(await connects());
    }
    const end = (): void => {
        for (const socket of sockets) {
            socket.destroy();
        }
        child.kill("SIGKILL");
    };
    if (!full) {
        end();
    }
    return full ? { end } : undefined;
}
