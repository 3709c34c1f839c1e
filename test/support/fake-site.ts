import test, { type ExecutionContext } from "ava";
import { FakeReplica } from "./fake-replica.js";
import { findNginx, Nginx } from "./nginx.js";

/** The documented site in front of two fake replicas. */
export interface FakeSite {
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
export function siteTest(title: string, run: (t: ExecutionContext, site: FakeSite) => Promise<void>): void {
    test(title, async (t) => {
        if (nginxProgram === undefined) {
            t.log("skipped: nginx is not installed");
            t.pass();
            return;
        }
        t.timeout(180_000);
        const replicas: FakeSite["replicas"] = [await FakeReplica.start("one"), await FakeReplica.start("two")];
        const nginx = await Nginx.start([replicas[0].address, replicas[1].address]);
        try {
            await run(t, siteOf(nginx, replicas));
        } finally {
            await nginx.stop();
            await Promise.allSettled(replicas.map((each) => each.stop()));
        }
    });
}

function siteOf(nginx: Nginx, replicas: FakeSite["replicas"]): FakeSite {
    const ask: FakeSite["ask"] = (body, headers = {}) =>
        fetch(`${nginx.url}/v1/chat/completions`, {
            method: "POST",
            body: typeof body === "string" ? body : JSON.stringify(body),
            headers: { "content-type": "application/json", ...headers },
        });
    const pinOf: FakeSite["pinOf"] = async (body, headers) => {
        const response = await ask(body, headers);
        await response.text();
        return (await nginx.logged(response.headers.get("x-request-id") as string)).pin;
    };
    const bodyFor: FakeSite["bodyFor"] = async (replica) => {
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

export function user(content: unknown): object {
    return { role: "user", content };
}
