import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import test, { type ExecutionContext } from "ava";
import { loadModel, SteeringVector } from "llama-steer";
import {
    EndpointJudge,
    evaluateRefusal,
    fitRefusal,
    type JudgedAnswer,
    type RefusalEvent,
    RunDirectory,
    readPrompts,
} from "llama-steer/refusal";
import { answererAt, Cluster, clusterGate } from "./support/cluster.js";
import { FakeEndpoint, userMessage } from "./support/fake-endpoint.js";
import { toFloat32 } from "./support/gguf.js";
import { chatModelPath, inRepository, repository } from "./support/paths.js";
import { promptsPath, refusalKindOf, testbedJudge } from "./support/refusal-testbed.js";
import { TemporaryFolder } from "./support/temporary-folder.js";
import { exactContext } from "./support/testbed.js";

const folder = new TemporaryFolder();
const all = await readPrompts(promptsPath);
/** A judge's prompt from which the rule can tell the answer. */
const template = folder.write("template.txt", "Question: {question}\nAnswer: {answer}");

/** A judge behind an endpoint, which knows the rule of the made-up world. */
function ruleJudge(): Promise<FakeEndpoint> {
    return FakeEndpoint.start((request) => {
        const text = userMessage(request);
        const refused = refusalKindOf(text.slice(text.indexOf("\nAnswer: "))) !== undefined;
        return JSON.stringify(refused ? { label: 1, kind: "direct" } : { label: -1, kind: "none" });
    });
}

test.serial("answers and verdicts by URL: the fit holds the bounds of one with local answers and judge", async (t) => {
    t.timeout(900_000);
    // In float32, so that what else the cluster has in a batch changes no answer, and with it what is found.
    const modelPath = folder.write("exact.gguf", toFloat32(chatModelPath));
    await using model = await loadModel(modelPath);
    const shape = { sequences: 32, contextSize: 256, unifiedMemory: false };
    await using cluster = await Cluster.start(await exactContext(shape));
    await using gate = await clusterGate(cluster, () => undefined);
    await using endpoint = await ruleJudge();
    const judge = await EndpointJudge.open({ baseUrl: endpoint.baseUrl, model: "rule", template, concurrency: 8 });
    using run = RunDirectory.open(`${folder.path}/fit`);
    const events: RefusalEvent[] = [];
    const prompts = all.filter((_, i) => i % 2 === 0);
    const given = { model, modelPath, judge, prompts, maxTokens: 48, threads: 1, run };
    const answerer = answererAt(gate.baseUrl);
    const { vector, report } = await fitRefusal({
        ...given,
        answerer,
        samples: 3,
        onEvent: (event) => events.push(event),
    });
    const { target, preserve, neutral } = report.evaluation.sets;
    const { n, right } = report.evaluation.released;
    t.log(`target ${target?.baseline.refusalRate} to ${target?.steered.refusalRate}, released ${right} of ${n} right`);
    t.true((target?.baseline.refusalRate ?? 0) > 0.8);
    t.true((target?.steered.refusalRate ?? 1) <= 0.15);
    t.true((preserve?.steered.refusalRate ?? 0) >= 0.97 * (preserve?.baseline.refusalRate ?? 1));
    t.true((neutral?.steered.accuracy ?? 0) >= (neutral?.baseline.accuracy ?? 1) - 0.01);
    t.true((right ?? 0) / n >= 0.98);
    t.is(report.settings.answerer, "endpoint:cluster");
    t.false(JSON.stringify(report).includes(gate.baseUrl));

    // Each unsteered answer is asked for once, and no other: of prompts of the same words too.
    const count = (...splits: string[]): number =>
        new Set(prompts.filter(({ split }) => splits.includes(split)).map(({ prompt }) => prompt)).size;
    const scored = prompts.filter(({ set, split }) => set !== "preserve" && split !== "eval");
    const sampled = new Set(scored.map(({ prompt }) => prompt)).size;
    t.is(gate.requests.length, 3 * sampled + count("fit", "select", "eval"));
    for (const each of events) {
        if (each.type === "agreement") {
            t.true(Math.abs(each.difference ?? 1) < 0.01, `${each.difference}`);
        }
    }
    t.is(events.filter(({ type }) => type === "agreement").length, 3, "in sampling, baseline and evaluation");

    const before = [gate.requests.length, endpoint.requests.length];
    const evaluation = await evaluateRefusal({ ...given, vector, answerer });
    t.deepEqual(evaluation.sets, report.evaluation.sets);
    t.is(evaluation.settings.answerer, "endpoint:cluster");
    t.deepEqual([gate.requests.length, endpoint.requests.length], before, "the run's directory has all of it");
});

const textsOf = (answers: readonly JudgedAnswer[]): string[] => answers.map(({ answer }) => answer.text);

test.serial("an evaluation with a baseline by URL is that of a local one", async (t) => {
    const context = await exactContext({ sequences: 16, contextSize: 256 });
    const { model } = context;
    await using cluster = await Cluster.start(context);
    const judge = await testbedJudge();
    const { hiddenSize } = model.info;
    const noise = Float32Array.from({ length: 2 * hiddenSize }, (_, i) => 2 * Math.sin(i * i));
    const vector = new SteeringVector([3, 4], noise);
    const prompts = all.filter(({ split }, i) => split === "eval" && i % 20 === 0);
    const given = { model, modelPath: chatModelPath, judge, prompts, vector, maxTokens: 32, threads: 1 };
    const here = await evaluateRefusal(given);
    const there = await evaluateRefusal({ ...given, answerer: answererAt(cluster.baseUrl) });
    t.deepEqual(textsOf(there.answers.baseline), textsOf(here.answers.baseline));
    t.deepEqual(textsOf(there.answers.steered), textsOf(here.answers.steered));
    t.notDeepEqual(textsOf(here.answers.steered), textsOf(here.answers.baseline));
    t.is(here.settings.answerer, null);
    t.is(there.settings.answerer, "endpoint:cluster");
    await judge.dispose();
});

/** Starts or resumes a run, and kills it when it has told of so many answers. */
function attempt(t: ExecutionContext, directory: string, url: string, killAfter: number): Promise<string[]> {
    const script = inRepository("test/fixtures/cluster-answers.mjs");
    const child = spawn(process.execPath, [script, directory, url, "30"], {
        cwd: repository,
        stdio: ["ignore", "pipe", "inherit"],
    });
    t.teardown(() => child.kill("SIGKILL"));
    let output = "";
    child.stdout.on("data", (chunk) => {
        output += chunk;
        if (output.split("\n").length - 2 >= killAfter) {
            child.kill("SIGKILL");
        }
    });
    return new Promise((resolve, reject) => {
        child.once("error", reject);
        child.once("close", (code, signal) =>
            code === 0 || signal === "SIGKILL"
                ? resolve(output.trim().split("\n"))
                : reject(new Error(`the run ended with ${code}: ${output}`)),
        );
    });
}

/** Whole lines that are followed by no unfinished group: all that a run opened again will find. */
const kept = (directory: string): number => {
    const path = `${directory}/answers.jsonl`;
    const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : [];
    return lines.findLastIndex((line) => JSON.parse(line).end === true) + 1;
};

test.serial("a run that is killed while it asks never asks for a finished answer again", async (t) => {
    t.timeout(600_000);
    await using cluster = await Cluster.start(await exactContext({ sequences: 8, contextSize: 256 }));
    await using gate = await clusterGate(cluster, () => undefined);
    const whole = await attempt(t, `${folder.path}/whole`, gate.baseUrl, Number.POSITIVE_INFINITY);
    const total = gate.requests.length;
    t.is(total, kept(`${folder.path}/whole`));
    t.true(total > 80);
    const directory = `${folder.path}/killed`;
    let kills = 0;
    for (const killAfter of [1, 20, 37, 1, 9]) {
        const [before, known] = [gate.requests.length, kept(directory)];
        const lines = await attempt(t, directory, gate.baseUrl, killAfter);
        kills += lines.at(-1)?.startsWith("done") ? 0 : 1;
        t.true(gate.requests.length - before <= total - known, "none of those that were finished");
        t.true(kept(directory) >= known + lines.filter((each) => each.startsWith("answer")).length);
    }
    t.true(kills >= 4, `${kills} kills`);
    const [before, known] = [gate.requests.length, kept(directory)];
    const resumed = await attempt(t, directory, gate.baseUrl, Number.POSITIVE_INFINITY);
    t.is(gate.requests.length - before, total - known);
    t.is(resumed.at(-1), whole.at(-1));
    const keys = readFileSync(`${directory}/answers.jsonl`, "utf8").trim().split("\n");
    t.is(new Set(keys.map((line) => JSON.parse(line).key)).size, total);
    t.is(keys.length, total);
});
