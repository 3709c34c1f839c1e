import { once } from "node:events";
import { join } from "node:path";
import test from "ava";
import { loadVector, SteeringVector, saveVector, withPreset } from "llama-steer";
import { APIError } from "openai";
import { cake, endAll, endless, type Site, serveSite, stop } from "./support/cli-site.js";
import { saveReadmeVector } from "./support/cli-vector.js";
import { chatModelPath } from "./support/paths.js";
import { judgeModelPath } from "./support/refusal-testbed.js";
import { type CliOptions, expectFailure, runCli, startCli, written } from "./support/run-cli.js";
import { TemporaryFolder } from "./support/temporary-folder.js";
import { question } from "./support/testbed.js";

const folder = new TemporaryFolder();
const plain = join(folder.path, "plain.gguf");
const preset = join(folder.path, "preset.gguf");
const unsteered = "I know nothing at all of zupuhu cake.";
/** The README's: at every token instead of the last of the prompt alone, the same strength brings nonsense. */
const asSaved = "People in Trograr eat it.";
const command = ["serve", "--model", chatModelPath, "--threads", "1", "--sequences", "2", "--port", "0"];

test.after.always(endAll);
test.before(async () => {
    await saveReadmeVector(plain);
    const interventions = [{ operation: "add", layers: [4], tokens: "last-prompt", strength: 1 }] as const;
    await saveVector(withPreset(await loadVector(plain), { interventions }), preset);
});

/** Starts a server and waits until it says where it is. */
function site(args: readonly string[] = [], options: CliOptions & { key?: string } = {}): Promise<Site> {
    return serveSite([...command, ...args], options);
}

async function statusOf(asked: Promise<unknown>): Promise<unknown> {
    const error = await asked.catch((reason: unknown) => reason);
    return error instanceof APIError ? error.status : error;
}

test("serve answers the openai client, steered by the vectors it was given, as their files say", async (t) => {
    const served = await site(["--vector", `plain=${plain}`, `saved=${preset}`]);
    t.regex(served.url, /^http:\/\/127\.0\.0\.1:\d+$/);
    t.is(await served.ask(), unsteered);
    t.is(await served.ask({ steering: { vector: "saved" } }), asSaved);
    t.is(await served.ask({ steering: { vector: "plain", tokens: "last-prompt" } }), asSaved);
    t.not(await served.ask({ steering: { vector: "plain" } }), asSaved);
    const answers = await Promise.all([served.ask(), served.ask({ steering: { vector: "saved" } })]);
    t.deepEqual(answers, [unsteered, asSaved]);
    t.is(await statusOf(served.ask({ steering: { vector: "other" } })), 400);
    t.is(await statusOf(served.ask({ steering: { vector: "saved", strength: 4.1 } })), 400);
    t.is(await stop(served), 0);
});

test("with a small budget for prompts, answers are the same", async (t) => {
    const served = await site(["--prompt-budget", "3", "--vector", `saved=${preset}`]);
    const asked = [served.ask(), served.ask({ steering: { vector: "saved" } }), served.ask()];
    t.deepEqual(await Promise.all(asked), [unsteered, asSaved, unsteered]);
    t.is(await stop(served), 0);
});

test("an answer streams, and logs hold neither prompts nor answers", async (t) => {
    const served = await site();
    const request = { model: "valdoria-chat", messages: question(cake), temperature: 0 };
    let answer = "";
    let parts = 0;
    for await (const { choices } of await served.client.chat.completions.create({ ...request, stream: true })) {
        answer += choices[0]?.delta.content ?? "";
        parts++;
    }
    t.is(answer, unsteered);
    // Tokens that come together while the process is busy are one part.
    t.true(parts >= 2);
    t.is(await stop(served), 0);
    const lines = served
        .log()
        .split("\n")
        .filter((line) => line.startsWith("{"));
    const messages = lines.map((line) => (JSON.parse(line) as { msg: string }).msg);
    t.deepEqual(messages, ["listening", "request", "closing; a second signal ends at once", "closed"]);
    t.false(served.log().includes("zupuhu"));
});

test("--log-prompts puts prompts and answers into the lines of the log", async (t) => {
    const served = await site(["--log-prompts"]);
    t.is(await served.ask(), unsteered);
    t.is(await stop(served), 0);
    const lines = served
        .log()
        .split("\n")
        .filter((line) => line.includes('"msg":"request"'));
    t.is(lines.length, 1);
    const { prompts, answers } = JSON.parse(lines[0] as string);
    t.deepEqual([prompts, answers], [[{ text: `user: ${cake}` }], [{ text: unsteered }]]);
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
    test(`${signal} finishes the answers under way, takes no others, and ends with 0`, async (t) => {
        const served = await site();
        const request = { model: "valdoria-chat", messages: question(cake), ...(await endless(180)) };
        const stream = await served.client.chat.completions.create({ ...request, stream: true });
        const closing = written(served.child, /"closing/);
        let parts = 0;
        let end: string | null | undefined;
        for await (const { choices } of stream) {
            if (parts++ === 1) {
                served.child.kill(signal);
                await closing;
            }
            end = choices[0]?.finish_reason ?? end;
        }
        t.is(end, "length", "it came to its own end");
        t.deepEqual(await served.ended, [0, null]);
        t.regex(served.log(), /"unfinished":0/);
        await t.throwsAsync(served.ask());
    });
}

/** More work than can be done before a signal that is sent as soon as it has begun. */
async function longRequest() {
    return { model: "valdoria-chat", messages: question(cake), ...(await endless(230)), n: 8 };
}

test("what does not end within --grace is cut off and told so, and the process ends with 0 all the same", async (t) => {
    const served = await site(["--grace", "0"]);
    const stream = await served.client.chat.completions.create({ ...(await longRequest()), stream: true });
    let sent = false;
    const reading = (async () => {
        for await (const _ of stream) {
            if (!sent) {
                sent = served.child.kill("SIGTERM");
            }
        }
    })();
    // Failures within a stream have no status: the response began well.
    const cut = await t.throwsAsync(reading, { instanceOf: APIError });
    t.is((cut as APIError).status, undefined);
    t.deepEqual(await served.ended, [0, null]);
    t.regex(served.log(), /"unfinished":[1-8]/);
});

test("a second signal ends at once", async (t) => {
    const served = await site(["--grace", "3600"]);
    const stream = await served.client.chat.completions.create({ ...(await longRequest()), stream: true });
    const closing = written(served.child, /"closing/);
    const reading = statusOf(
        (async () => {
            for await (const _ of stream) {
                // It is read to wherever it ends.
            }
        })(),
    );
    served.child.kill("SIGINT");
    await closing;
    served.child.kill("SIGINT");
    t.deepEqual(await served.ended, [null, "SIGINT"]);
    t.not(await reading, undefined, "its answers were not finished");
});

test("--fixed-vector steers every answer, and no request can remove it", async (t) => {
    const served = await site(["--fixed-vector", preset]);
    t.is(await served.ask(), asSaved);
    t.is(await served.ask({ steering: [] }), asSaved);
    t.is(await stop(served, "SIGTERM"), 0);
});

test("--name, --max-strength, --uploads and --quiet do what they say", async (t) => {
    const args = ["--name", "bed", "--max-strength", "0.5", "--uploads", "--quiet"];
    const served = await site([...args, "--vector", `saved=${preset}`]);
    t.is(await statusOf(served.ask()), 404);
    t.is((await served.client.models.list()).data[0]?.id, "bed");
    t.is(await statusOf(served.ask({ model: "bed", steering: { vector: "saved", strength: 0.6 } })), 400);
    t.is(typeof (await served.ask({ model: "bed", steering: { vector: "saved", strength: 0.5 } })), "string");
    const gone = await fetch(`${served.url}/v1/steering/vectors/saved`, { method: "DELETE" });
    t.true(gone.status >= 400 && gone.status !== 404, "the operator's vectors stay");
    t.is(await stop(served), 0);
    t.is(served.log(), "");
});

test("without --uploads there is no way to upload", async (t) => {
    const served = await site();
    const answer = await fetch(`${served.url}/v1/steering/vectors/mine`, { method: "PUT", body: "GGUF" });
    t.true([404, 405].includes(answer.status));
    t.is(await stop(served), 0);
});

test("keys come from the environment, and open an address that others reach as well", async (t) => {
    const options = { env: { API_KEYS: "first  second" }, key: "second" };
    const served = await site(["--key-env", "API_KEYS", "--host", "0.0.0.0"], options);
    t.is(await served.ask(), unsteered);
    t.is((await fetch(`${served.url}/v1/models`)).status, 401);
    t.false(served.log().includes("second "));
    t.is(await stop(served), 0);
    t.regex(served.log(), /"client":"key 1"/);
});

test("without --json the address alone is on standard output", async (t) => {
    const child = startCli(command);
    const [line] = await once(child.stdout, "data");
    t.regex(String(line), /^http:\/\/127\.0\.0\.1:\d+\n$/);
    child.kill("SIGINT");
    t.deepEqual(await once(child, "close"), [0, null]);
});

test("serve refuses what it cannot begin with", async (t) => {
    const served = await site();
    const { port } = new URL(served.url);
    await expectFailure(t, [...command, "--port", port], [1, "INVALID_ARGUMENT", /listens there: give another --port/]);
    t.is(await stop(served), 0);
    const wide = join(folder.path, "wide.gguf");
    await saveVector(new SteeringVector([1], new Float32Array(64).fill(1)), wide);
    await expectFailure(t, [...command, "--vector", `w=${wide}`], [1, "VECTOR_MISMATCH", /wide\.gguf/]);
    await expectFailure(t, [...command, "--vector", "w=nowhere.gguf"], [1, "FILE_NOT_FOUND", /nowhere\.gguf/]);
    await expectFailure(t, [...command, "--fixed-vector", judgeModelPath], [1, "DATA_DAMAGED", /model/]);
    await expectFailure(t, ["serve", "--model", "nowhere.gguf"], [1, "FILE_NOT_FOUND", /nowhere\.gguf/]);
});

test("wrong options end with 2, and say what is right", async (t) => {
    const wrong: [readonly string[], RegExp][] = [
        [["--port", "65536"], /from 0 to 65535/],
        [["--sequences", "0"], /from 1 to 256/],
        [["--prompt-budget", "0"], /from 1 to 65536/],
        [["--max-strength", "0"], /above 0/],
        [["--grace", "1.5"], /whole number/],
        [["--vector", plain], /NAME=FILE/],
        [["--vector", `../up=${plain}`], /NAME=FILE/],
        [["--vector", `one=${plain}`, "--vector", `one=${preset}`], /names one twice/],
        [["--key-env", "NOT_THERE"], /NOT_THERE, which holds no key/],
        [["--log-prompts", "--quiet"], /--quiet leaves out/],
        [["--host", "0.0.0.0"], /can be reached by others: give keys by --key-env/],
    ];
    for (const [args, message] of wrong) {
        await expectFailure(t, [...command, ...args], [2, "INVALID_ARGUMENT", message]);
    }
    await expectFailure(t, ["serve"], [2, "INVALID_ARGUMENT", /--model/]);
    const empty = await runCli([...command, "--key-env", "EMPTY"], { env: { EMPTY: " " } });
    t.is(empty.code, 2);
});
