import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import test, { type ExecutionContext } from "ava";
import { type Handler, type NodeListenerOptions, nodeListener } from "llama-steer/server";
import { expectCode } from "./support/expect-code.js";
import { head, RawClient } from "./support/raw-http.js";

interface Site {
    url: string;
    server: Server;
}

async function siteOf(t: ExecutionContext, handler: Handler, options: NodeListenerOptions = {}): Promise<Site> {
    const server = createServer(nodeListener(handler, options));
    server.on("checkContinue", nodeListener(handler, { ...options, continues: true }));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.teardown(() => {
        server.closeAllConnections();
        server.close();
    });
    return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const piece = new Uint8Array(2 ** 16);

/** A response without an end, how many pieces of it were taken, and when its reader is known to have gone. */
function endlessResponse(): { response: Response; taken: () => number; cancelled: Promise<void> } {
    let taken = 0;
    let cancel = (): void => {};
    const cancelled = new Promise<void>((resolve) => {
        cancel = resolve;
    });
    const body = new ReadableStream<Uint8Array>({
        // One piece per turn of the event loop, so that others are served as well.
        async pull(controller) {
            await new Promise((resolve) => setImmediate(resolve));
            taken++;
            controller.enqueue(piece);
        },
        cancel,
    });
    return { response: new Response(body), taken: () => taken, cancelled };
}

test("who reads nothing is waited for no longer than said, and little is held for them", async (t) => {
    const { response, taken, cancelled } = endlessResponse();
    const { url } = await siteOf(t, async () => response, { responseMilliseconds: 1000 });
    const client = await RawClient.open(url);
    client.socket.pause();
    await client.write(head("/", [], "GET"));
    await cancelled;
    // What the system's own buffers take is its affair: some megabytes.
    t.true(taken() < 500, `${(taken() * piece.length) / 2 ** 20} MiB were taken`);
    client.socket.resume();
    await client.closed();
    t.true(client.ended);
});

test("who reads a little now and then has no longer", async (t) => {
    const { response, cancelled } = endlessResponse();
    const { url } = await siteOf(t, async () => response, { responseMilliseconds: 1000 });
    const client = await RawClient.open(url);
    await client.write(head("/", [], "GET"));
    const trickle = setInterval(() => {
        client.socket.resume();
        client.socket.once("data", () => client.socket.pause());
    }, 50);
    await cancelled;
    clearInterval(trickle);
    client.socket.resume();
    await client.closed();
    t.true(client.ended);
});

test("an answer that is taken in time is not cut off, and the connection serves on", async (t) => {
    const { url } = await siteOf(t, async () => new Response("x".repeat(100)), { responseMilliseconds: 300 });
    const client = await RawClient.open(url);
    for (let i = 0; i < 3; i++) {
        await client.write(head("/", [], "GET"));
        t.is((await client.answer())?.body.length, 100);
        await new Promise((resolve) => setTimeout(resolve, 200));
    }
    t.false(client.ended, "the time is that of each answer, not of the connection");
    client.leave();
});

test("a body is not read ahead of the handler, and what is not wanted of it does not keep the answer away", async (t) => {
    let go = (): void => {};
    const asked = new Promise<void>((resolve) => {
        go = resolve;
    });
    const { url } = await siteOf(t, async () => {
        await asked;
        return new Response("no", { status: 400 });
    });
    const client = await RawClient.open(url);
    let written = 0;
    await client.write(head("/", ["Content-Length: 200000000"], "POST"));
    const sending = (async () => {
        for (let i = 0; i < 200; i++) written += await client.write(Buffer.alloc(1_000_000));
    })();
    // It is at rest when a second brings nothing.
    for (let before = -1; before !== written; ) {
        before = written;
        await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    t.true(written < 50_000_000, `${written} bytes were taken`);
    go();
    const answer = await client.answer();
    t.deepEqual([answer?.status, answer?.body, answer?.headers.connection], [400, "no", "close"]);
    await sending;
    t.true(written < 100_000_000, `${written} bytes were taken in the end`);
});

test("a body that is read comes whole, in one piece or in many", async (t) => {
    const { url } = await siteOf(t, async (request) => new Response(String((await request.arrayBuffer()).byteLength)));
    for (const bytes of [0, 1, 65_536, 3_000_000]) {
        const client = await RawClient.open(url);
        const [answer] = await Promise.all([
            client.answer(),
            client.write(head("/", [`Content-Length: ${bytes}`], "PUT"), Buffer.alloc(bytes)),
        ]);
        t.is(answer?.body, String(bytes));
        client.leave();
    }
});

test("a body that breaks off is an error to its reader", async (t) => {
    let failed = (_: unknown): void => {};
    const failure = new Promise((resolve) => {
        failed = resolve;
    });
    const { url } = await siteOf(t, async (request) => {
        await request.text().then(() => failed(undefined), failed);
        t.true(request.signal.aborted);
        return new Response();
    });
    const client = await RawClient.open(url);
    await client.write(head("/", ["Content-Length: 100"], "POST"), "half");
    client.leave();
    t.true((await failure) instanceof Error);
});

test("a client that asks is told to go on once its body is read, and not before", async (t) => {
    const { url } = await siteOf(
        t,
        async (request) => new Response(request.url.endsWith("read") ? await request.text() : "no"),
    );
    const expect = ["Content-Length: 4", "Expect: 100-continue"];
    const refused = await RawClient.open(url);
    await refused.write(head("/", expect, "POST"));
    await refused.until(/no$/);
    t.regex(refused.received, /^HTTP\/1\.1 200/);
    refused.leave();
    const read = await RawClient.open(url);
    await read.write(head("/read", expect, "POST"));
    await read.until(/\r\n\r\n/);
    t.regex(read.received, /^HTTP\/1\.1 100 Continue\r\n\r\n$/);
    await read.write("body");
    t.is((await read.answer())?.body, "body");
    read.leave();
});

test("a handler's stream that fails cuts its connection and nothing else", async (t) => {
    const { url } = await siteOf(t, async () => {
        const body = new ReadableStream({ pull: (controller) => controller.error(new Error("broken")) });
        return new Response(body);
    });
    const client = await RawClient.open(url);
    await client.write(head("/", [], "GET"));
    await client.closed();
    t.true(client.ended);
    const other = await RawClient.open(url);
    t.false(other.ended);
    other.leave();
});

test("options are checked", async (t) => {
    const handler: Handler = async () => new Response();
    for (const wrong of [{ responseMilliseconds: 0 }, { responseMilliseconds: "1" }, { surprise: 1 }]) {
        await expectCode(t, "INVALID_ARGUMENT", () => nodeListener(handler, wrong as NodeListenerOptions));
    }
});
