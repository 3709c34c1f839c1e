import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import test from "ava";
import { cake, endAll, endless, type Site, serveSite, stop } from "./support/cli-site.js";
import { saveReadmeVector } from "./support/cli-vector.js";
import { freePort } from "./support/free-port.js";
import { chatModelPath } from "./support/paths.js";
import { startCli } from "./support/run-cli.js";
import { TemporaryFolder } from "./support/temporary-folder.js";
import { question } from "./support/testbed.js";
import { until } from "./support/until.js";

const folder = new TemporaryFolder();
const vector = join(folder.path, "open.gguf");
const steering = { vector: "open", tokens: "last-prompt" };
const going = { ...(await endless(230)), n: 8 };
/** As `TMPDIR`, where uploads are for a moment: what is left there is to disturb nobody. */
const env = { TMPDIR: folder.folder("uploads") };

test.before(() => saveReadmeVector(vector));
test.after.always(endAll);

async function command(): Promise<string[]> {
    const model = ["--model", chatModelPath, "--threads", "1", "--sequences", "2"];
    return ["serve", ...model, "--vector", `open=${vector}`, "--uploads", "--port", String(await freePort())];
}

const answersOf = (site: Site) => Promise.all([site.ask(), site.ask({ steering })]);

/** Asks for long answers, one of them streaming. Once its first token is there, brings the failures that they end with. */
async function broken(site: Site): Promise<{ failures: Promise<unknown[]> }> {
    const request = { model: "valdoria-chat", messages: question(cake), ...going };
    const stream = await site.client.chat.completions.create({ ...request, stream: true });
    const parts = stream[Symbol.asyncIterator]();
    await parts.next();
    const rest = async (): Promise<void> => {
        while (!(await parts.next()).done) {
            // It is read to wherever it ends.
        }
    };
    const asked = [rest(), ...[1, 2, 3].map(() => site.client.chat.completions.create(request).then())];
    const failureOf = (each: Promise<unknown>): Promise<unknown> => each.then(() => undefined).catch((error) => error);
    return { failures: Promise.all(asked.map(failureOf)) };
}

/** Begins an upload, and leaves it in its middle. */
async function half(site: Site, name: string): Promise<{ failure: Promise<unknown> }> {
    const bytes = readFileSync(vector);
    const headers = { "content-length": bytes.length };
    const request = httpRequest(`${site.url}/v1/steering/vectors/${name}`, { method: "PUT", headers });
    const failure = once(request, "error").then(([error]) => error as unknown);
    await new Promise((resolve) => request.write(bytes.subarray(0, bytes.length / 2), resolve));
    return { failure };
}

/** Uploads vectors one after another until one fails, and counts those that were taken. */
async function uploads(site: Site, counted: { taken: number }): Promise<unknown> {
    try {
        for (let i = 0; ; i++) {
            const body = readFileSync(vector);
            const { status } = await fetch(`${site.url}/v1/steering/vectors/u${i % 8}`, { method: "PUT", body });
            counted.taken += status === 201 ? 1 : 0;
        }
    } catch (error) {
        return error;
    }
}

async function vectorNames(site: Site): Promise<string[]> {
    const { data } = (await (await fetch(`${site.url}/v1/steering/vectors`)).json()) as { data: { name: string }[] };
    return data.map(({ name }) => name);
}

test("killed in the middle of answers and uploads, it serves again by the same command, without repair", async (t) => {
    t.timeout(180_000);
    const args = await command();
    let site = await serveSite(args, { env });
    const before = await answersOf(site);
    t.not(before[0], before[1]);
    const { url } = site;
    for (let round = 0; round < 3; round++) {
        const counted = { taken: 0 };
        const answers = await broken(site);
        const upload = await half(site, "half");
        const uploading = uploads(site, counted);
        await until("some vectors are taken", () => counted.taken > 2);
        site.child.kill("SIGKILL");
        t.deepEqual(await site.ended, [null, "SIGKILL"]);
        const [failures, ...others] = await Promise.all([answers.failures, upload.failure, uploading]);
        // Those before the last may have been finished by then.
        for (const failure of [failures.at(-1), ...others]) {
            t.true(failure instanceof Error, `a client hears of it: ${failure}`);
        }
        site = await serveSite(args, { env });
        t.is(site.url, url);
        t.deepEqual(await (await fetch(`${url}/health`)).json(), { status: "ok" });
        t.deepEqual(await answersOf(site), before);
        t.deepEqual(await vectorNames(site), ["open"], "uploads are in memory alone");
        const body = readFileSync(vector);
        t.is((await fetch(`${url}/v1/steering/vectors/half`, { method: "PUT", body })).status, 201);
        t.is(await site.ask({ steering: { ...steering, vector: "half" } }), before[1]);
    }
    t.is(await stop(site), 0);
});

test("killed while it starts, it starts again", async (t) => {
    t.timeout(180_000);
    const args = await command();
    for (const milliseconds of [50, 150, 300, 600]) {
        const child = startCli([...args, "--json"], { env });
        const ended = once(child, "close");
        setTimeout(() => child.kill("SIGKILL"), milliseconds);
        await ended;
    }
    const site = await serveSite(args, { env });
    t.is(await site.ask(), "I know nothing at all of zupuhu cake.");
    t.is(await stop(site, "SIGTERM"), 0);
});
