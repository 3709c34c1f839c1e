import { request as httpRequest, type ServerResponse } from "node:http";
import { FakeReplica } from "./support/fake-replica.js";
import { siteTest } from "./support/fake-site.js";
import type { Nginx } from "./support/nginx.js";
import { until } from "./support/until.js";
import { vanished } from "./support/vanished.js";

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
