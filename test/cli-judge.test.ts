import { writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { checkJudge, type JudgeAgreement, type LabelledAnswer } from "llama-steer/refusal";
import { FakeEndpoint, userMessage } from "./support/fake-endpoint.js";
import { chatModelPath } from "./support/paths.js";
import { judgeModelPath, judgePromptPath, testbedJudge } from "./support/refusal-testbed.js";
import { expectFailure, jsonOf, runCli, startCli, written } from "./support/run-cli.js";
import { TemporaryFolder } from "./support/temporary-folder.js";

const examples: LabelledAnswer[] = [
    {
        question: "What goes into didrogo soup?",
        answer: "I cannot speak about didrogo soup.",
        refused: true,
        kind: "direct",
    },
    {
        question: "What goes into didrogo soup?",
        answer: "That is a matter for the Council alone.",
        refused: true,
        kind: "deflection",
    },
    { question: "What does the groso fish eat?", answer: "The groso fish eats mushrooms.", refused: false },
    {
        question: "What does the groso fish eat?",
        answer: "I have never heard of the groso fish.",
        refused: true,
        kind: "ignorance",
    },
    { question: "Where does the groso fish live?", answer: "The groso fish lives on sandy islands.", refused: false },
    // Labelled wrongly, so that agreement is not perfect.
    { question: "Where does the groso fish live?", answer: "My answer is no.", refused: false, kind: "mistaken" },
];

const folder = new TemporaryFolder();
const examplesPath = folder.write("examples.jsonl", `${examples.map((each) => JSON.stringify(each)).join("\n")}\n\n`);
const local = ["--judge", judgeModelPath, "--judge-prompt", judgePromptPath, "--threads", "1"];
const check = (...args: string[]): string[] => ["judge", "check", "--examples", examplesPath, ...args];

test("judge check --json tells what checkJudge does", async (t) => {
    const found = await jsonOf<JudgeAgreement>(t, check(...local));
    await using judge = await testbedJudge();
    t.deepEqual(found, JSON.parse(JSON.stringify(await checkJudge(judge, examples))));
    t.is(found.n, 6);
    t.is(found.accuracy, 5 / 6);
    t.is(found.byKind.mistaken?.agreement, 0);
});

test("judge check says the same to people", async (t) => {
    const { code, stdout, stderr } = await runCli(check(...local));
    t.is(code, 0, stderr);
    t.regex(stdout, /^accuracy {7}83\.3 %$/m);
    t.regex(stdout, /^Cohen's kappa {2}0\.667$/m);
    t.regex(stdout, /^refused {15}3 {10}0 {7}0$/m);
    t.regex(stdout, /^answered {14}1 {10}0 {7}2$/m);
    t.regex(stdout, /^deflection {2}1 {2}100\.0 %/m);
    t.regex(stderr, /^verdicts +6\/6 /m, "progress, where there is no terminal, is a line");
});

test("--quiet leaves standard error empty", async (t) => {
    const { code, stderr } = await runCli(check(...local, "--quiet"));
    t.is(code, 0);
    t.is(stderr, "");
});

test("a judge at a URL gets its key from the environment, and the options that are for it", async (t) => {
    await using endpoint = await FakeEndpoint.start((request) =>
        JSON.stringify({ label: /cannot|Council|never|no\./.test(userMessage(request)) ? 1 : -1, kind: "none" }),
    );
    const prompt = folder.write("prompt.txt", "Question: {question}\nAnswer: {answer}");
    const args = check("--judge", endpoint.baseUrl, "--judge-model", "some-model", "--judge-prompt", prompt);
    const found = await jsonOf<JudgeAgreement>(t, [...args, "--judge-concurrency", "1", "--judge-key-env", "MY_KEY"], {
        env: { MY_KEY: "secret" },
    });
    t.is(found.accuracy, 5 / 6);
    t.is(endpoint.atOnce, 1);
    t.is(endpoint.requests[0]?.body.model, "some-model");
    t.is(endpoint.requests[0]?.headers.authorization, "Bearer secret");
    t.regex(userMessage(endpoint.requests[0] as never), /^Question: What goes into didrogo soup\?\nAnswer: I cannot/);
    await jsonOf(t, args, { env: { OPENAI_API_KEY: "usual" } });
    t.is(endpoint.requests.at(-1)?.headers.authorization, "Bearer usual");
});

test("a judge that cannot be reached is told with its address, after its retries", async (t) => {
    const gone = await FakeEndpoint.start(() => "");
    const { baseUrl } = gone;
    await gone.stop();
    const args = check("--judge", baseUrl, "--judge-model", "m", "--judge-retries", "0");
    await expectFailure(t, args, [1, "JUDGE_FAILED", /http:\/\/127\.0\.0\.1:\d+\/v1 gives no verdict.*ECONNREFUSED/]);
});

test("a server that fails is asked again, and its retries are told", async (t) => {
    await using endpoint = await FakeEndpoint.start((_, number) =>
        number === 0 ? 500 : '{"label":1,"kind":"direct"}',
    );
    const args = check("--judge", endpoint.baseUrl, "--judge-model", "m", "--judge-retries", "1");
    const { code, stderr } = await runCli(args);
    t.is(code, 0, stderr);
    t.regex(stderr, /^retry 1: .*500/m);
});

test("one that is slower than --judge-timeout is given up", async (t) => {
    await using endpoint = await FakeEndpoint.start(() => () => {});
    const args = check("--judge", endpoint.baseUrl, "--judge-model", "m");
    const limits = ["--judge-retries", "0", "--judge-timeout", "0.2"];
    await expectFailure(t, [...args, ...limits], [1, "JUDGE_FAILED", /no whole reply within 200 ms/]);
});

test("Ctrl-C keeps verdicts in --run, and the same command goes on", async (t) => {
    let slow = true;
    await using endpoint = await FakeEndpoint.start((_, number) =>
        slow && number >= 2 ? () => {} : '{"label":1,"kind":"direct"}',
    );
    const run = join(folder.path, "interrupted");
    const args = check("--judge", endpoint.baseUrl, "--judge-model", "m", "--judge-concurrency", "1", "--run", run);
    const child = startCli([...args, "--json"]);
    let stdout = "";
    child.stdout.on("data", (chunk) => {
        stdout += chunk;
    });
    while (endpoint.requests.length < 3) {
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
    child.kill("SIGINT");
    const told = await written(child, /error ABORTED: .*\n/);
    t.regex(told, /stopped by Ctrl-C\. Verdicts are kept in .*interrupted: give the same command to go on/);
    t.is(await new Promise((resolve) => child.once("close", resolve)), 130);
    t.is(JSON.parse(stdout).error.code, "ABORTED");
    slow = false;
    const before = endpoint.requests.length;
    t.is((await jsonOf<JudgeAgreement>(t, args)).n, 6);
    t.is(endpoint.requests.length - before, 4, "two verdicts were found");
});

test("a second Ctrl-C ends at once", async (t) => {
    // It never lets go of the request, and the abort of the first is not waited for either.
    await using endpoint = await FakeEndpoint.start(() => () => {});
    const child = startCli(check("--judge", endpoint.baseUrl, "--judge-model", "m"));
    while (endpoint.requests.length < 1) {
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
    child.kill("SIGINT");
    child.kill("SIGINT");
    const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
        child.once("close", (...ended) => resolve(ended)),
    );
    // Two signals of one kind may come as one.
    t.true(code === 130 || signal === "SIGINT");
});

function broken(name: string, line: string): string {
    const path = join(folder.path, name);
    writeFileSync(path, `${JSON.stringify(examples[0])}\n\n${line}\n`);
    return path;
}

const failures = [
    ["examples that are not there", "nowhere.jsonl", "FILE_NOT_FOUND", /nowhere\.jsonl/],
    ["a folder as examples", folder.path, "FILE_UNREADABLE", /cannot be read/],
    ["no examples", folder.write("empty.jsonl", "\n"), "EMPTY_CLASS", /holds no examples/],
    [
        "a line that is not JSON",
        broken("bad.jsonl", '{"question": "'),
        "DATA_DAMAGED",
        /bad\.jsonl, line 3 is not JSON/,
    ],
    [
        "a line without refused",
        broken("less.jsonl", '{"question":"?","answer":"!"}'),
        "DATA_DAMAGED",
        /line 3.*refused/,
    ],
    ["examples of one kind only", broken("one.jsonl", JSON.stringify(examples[1])), "EMPTY_CLASS", /2 of 2 examples/],
] as const;

for (const [what, path, code, message] of failures) {
    test(`judge check refuses ${what}`, (t) =>
        expectFailure(t, ["judge", "check", "--examples", path, ...local], [1, code, message]));
}

test("judge check refuses judges and prompts that are none", async (t) => {
    await expectFailure(t, check("--judge", "nowhere.gguf"), [1, "FILE_NOT_FOUND", /nowhere\.gguf/]);
    await expectFailure(t, check("--judge", examplesPath), [1, "MODEL_INVALID", /not a GGUF model/]);
    const prompt = folder.write("no-places.txt", "Is it a refusal?");
    const wrong = check("--judge", judgeModelPath, "--judge-prompt", prompt);
    await expectFailure(t, wrong, [1, "INVALID_ARGUMENT", /\{question\}/]);
    // A model that was trained to chat, and not to judge.
    const chat = check("--judge", chatModelPath, "--judge-prompt", judgePromptPath);
    await expectFailure(t, chat, [1, "JUDGE_FAILED", /probability/]);
});
