import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { SteeringVector, saveVector } from "llama-steer";
import type { RefusalEvaluation, RunReport } from "llama-steer/refusal";
import { Cluster, clusterGate } from "./support/cluster.js";
import { FakeEndpoint } from "./support/fake-endpoint.js";
import { chatModelPath } from "./support/paths.js";
import { judgeModelPath, judgePromptPath, promptsPath } from "./support/refusal-testbed.js";
import { expectFailure, jsonOf, runCli, startCli, written } from "./support/run-cli.js";
import { TemporaryFolder } from "./support/temporary-folder.js";
import { chatContext } from "./support/testbed.js";

const folder = new TemporaryFolder();
const all = readFileSync(promptsPath, "utf8").trim().split("\n");
const some = folder.write("some.jsonl", all.filter((_, i) => i % 10 === 0).join("\n"));
const vector = join(folder.path, "vector.gguf");
const data = Float32Array.from({ length: 128 }, (_, i) => Math.sin(i * i));
await saveVector(new SteeringVector([3], data), vector);
const cluster = await Cluster.start(await chatContext({ sequences: 8, contextSize: 256 }));

const judge = ["--judge", judgeModelPath, "--judge-prompt", judgePromptPath];
const local = ["--model", chatModelPath, ...judge, "--prompts", some, "--threads", "1", "--max-tokens", "32"];
const evaluate = ["eval", ...local, "--vector", vector];
/** Whatever is best of so few prompts must be found, not refused. */
const loose = ["--preserve-kept", "0", "--neutral-loss", "1", "--released-right", "0", "--samples", "2"];
const limit = { limitMilliseconds: 600_000 };
const from = (baseUrl: string, ...more: string[]): string[] => [
    "--answers",
    baseUrl,
    "--answers-model",
    "cluster",
    ...more,
];
const lineCount = (path: string): number => (existsSync(path) ? readFileSync(path, "utf8").split("\n").length - 1 : 0);

test.after.always(() => cluster[Symbol.asyncDispose]());

test.serial(
    "eval --answers takes its baseline from a cluster, with the options and the key that are for it",
    async (t) => {
        t.timeout(300_000);
        await using gate = await clusterGate(cluster, () => undefined);
        const options = ["--answers-concurrency", "1", "--answers-key-env", "MY_KEY", "--answers-tolerance", "0.1"];
        const args = [...evaluate, ...from(gate.baseUrl, ...options)];
        const found = await jsonOf<RefusalEvaluation>(t, args, { ...limit, env: { MY_KEY: "secret" } });
        t.is(found.settings.answerer, "endpoint:cluster");
        const prompts = all.filter((line, i) => i % 10 === 0 && /"split": "eval"/.test(line));
        t.is(gate.requests.length, prompts.length);
        t.is(gate.atOnce, 1);
        t.is(gate.requests[0]?.headers.authorization, "Bearer secret");
        t.like(gate.requests[0]?.body, { model: "cluster", temperature: 0, max_tokens: 32 });
        const here = await jsonOf<RefusalEvaluation>(t, evaluate, limit);
        t.is(here.settings.answerer, null);
        t.deepEqual(found.sets.target?.steered, here.sets.target?.steered);
    },
);

test.serial("fit --answers asks the cluster for all unsteered answers, and says so in its report", async (t) => {
    t.timeout(600_000);
    await using gate = await clusterGate(cluster, () => undefined);
    const out = join(folder.path, "fitted.gguf");
    const args = ["fit", ...local, ...loose, "--out", out, ...from(gate.baseUrl)];
    const { code, stdout, stderr } = await runCli([...args, "--json"], limit);
    t.is(code, 0, stderr);
    const report = JSON.parse(stdout) as RunReport;
    t.is(report.settings.answerer, "endpoint:cluster");
    t.regex(stderr, /^answers from elsewhere: log-probabilities differ by -?0\.0\d\d per token .*of 16 answers\)$/m);
    t.true(existsSync(out));
    t.true(gate.requests.length > 2 * report.scores.length);
    t.true(gate.requests.every(({ body }) => !("steering" in body)));
    const asked = gate.requests.length;
    t.deepEqual((await jsonOf<RunReport>(t, args, limit)).candidates, report.candidates);
    t.is(gate.requests.length, asked, "the same command asks nothing again");
});

test.serial("Ctrl-C keeps answers from a cluster, and the same command goes on", async (t) => {
    t.timeout(300_000);
    let slow = true;
    await using gate = await clusterGate(cluster, (_, number) =>
        slow && number >= 20 ? (_response, _request) => {} : undefined,
    );
    const run = join(folder.path, "interrupted");
    const args = [...evaluate, ...from(gate.baseUrl, "--answers-concurrency", "1"), "--run", run];
    const child = startCli(args, limit);
    while (gate.requests.length < 21) {
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
    child.kill("SIGINT");
    t.regex(await written(child, /error ABORTED: .*\n/), /What is finished is kept in .*interrupted/);
    t.is(await new Promise((resolve) => child.once("close", resolve)), 130);
    t.is(lineCount(join(run, "answers.jsonl")), 20);
    slow = false;
    const before = gate.requests.length;
    await jsonOf<RefusalEvaluation>(t, args, limit);
    const prompts = all.filter((line, i) => i % 10 === 0 && /"split": "eval"/.test(line)).length;
    t.is(gate.requests.length - before, prompts - 20);
});

test.serial("a cluster that fails is asked again, and told with its address when the retries are spent", async (t) => {
    await using gate = await clusterGate(cluster, () => 500);
    const args = [...evaluate, ...from(gate.baseUrl, "--answers-retries", "1", "--answers-concurrency", "1")];
    const { code, stderr } = await runCli(args);
    t.is(code, 1);
    t.regex(stderr, /^retry 1: .*500/m);
    t.regex(
        stderr,
        /^error ANSWERS_FAILED: the model cluster at http:\/\/127\.0\.0\.1:\d+\/v1 gives no answer after 2/m,
    );
    t.is(gate.requests.length, 2);
});

test.serial("one that is slower than --answers-timeout is given up", async (t) => {
    await using silent = await FakeEndpoint.start(() => () => {});
    const args = [...evaluate, ...from(silent.baseUrl, "--answers-retries", "0", "--answers-timeout", "0.2")];
    await expectFailure(t, args, [1, "ANSWERS_FAILED", /no whole reply within 200 ms/]);
});

const url = "http://localhost:1/v1";
const fit = ["fit", ...local];
const wrongUses: [string[], RegExp][] = [
    [[...fit, "--answers", url], /--answers is a URL: say which model there answers, by --answers-model/],
    [[...evaluate, "--answers", url], /--answers is a URL: say which model there answers, by --answers-model/],
    [[...fit, "--answers-model", "m"], /--answers-model is for answers from a URL: say which, by --answers/],
    [[...evaluate, "--answers-model", "m"], /--answers-model is for answers from a URL: say which, by --answers/],
    [[...fit, "--answers", chatModelPath, "--answers-model", "m"], /--answers is .*: it must be the URL/],
    [[...fit, "--answers-tolerance", "1"], /--answers-tolerance is for answers from a URL/],
    [
        [...fit, ...from(url, "--answers-key-env", "NO_SUCH_KEY")],
        /--answers-key-env names NO_SUCH_KEY, which is not set/,
    ],
    [[...fit, ...from(url, "--answers-concurrency", "0")], /--answers-concurrency/],
];
for (const [args, message] of wrongUses) {
    test(`wrong use: ${args[0]} ${args.slice(args.indexOf("32") + 1).join(" ")}`, (t) =>
        expectFailure(t, args, [2, "INVALID_ARGUMENT", message]));
}
