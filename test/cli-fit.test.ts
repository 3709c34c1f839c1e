import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test, { type ExecutionContext } from "ava";
import { loadVector, presetOf, SteeringVector, saveVector } from "llama-steer";
import { type RefusalEvaluation, type RunReport, readPrompts, readReport } from "llama-steer/refusal";
import { FakeEndpoint } from "./support/fake-endpoint.js";
import { chatModelPath, inRepository } from "./support/paths.js";
import { judgeModelPath, judgePromptPath, promptsPath } from "./support/refusal-testbed.js";
import { expectFailure, jsonOf, runCli, startCli } from "./support/run-cli.js";
import { TemporaryFolder } from "./support/temporary-folder.js";

const folder = new TemporaryFolder();
const all = readFileSync(promptsPath, "utf8").trim().split("\n");
/** Enough for the constraints to be met, few enough for a test. */
const some = folder.write("some.jsonl", all.filter((_, i) => i % 3 === 0).join("\n"));

const local = [
    "--model",
    chatModelPath,
    "--judge",
    judgeModelPath,
    "--judge-prompt",
    judgePromptPath,
    "--threads",
    "1",
];
const fit = ["fit", ...local, "--prompts", some, "--samples", "2", "--max-tokens", "32"];
const out = join(folder.path, "open.gguf");
const limit = { limitMilliseconds: 600_000 };

const lineCount = (path: string): number => (existsSync(path) ? readFileSync(path, "utf8").split("\n").length - 1 : 0);

test.serial("fit goes from prompts to a vector and a report, and says what it found", async (t) => {
    t.timeout(600_000);
    const { code, stdout, stderr } = await runCli([...fit, "--out", out], limit);
    t.is(code, 0, stderr);
    t.regex(stdout, /^acts {9}\w+ at layers [\d, ]+, strength -?[\d.]+, /m);
    t.regex(stdout, /^target {4}baseline +\d+ +[89]\d\.\d %/m);
    t.regex(stdout, /^ {10}steered/m);
    t.regex(stdout, /^released: \d+, of them answered right: \d+$/m);
    t.regex(stdout, /^searching +[\d.]+ +\d+/m);
    t.true(stdout.includes(out));
    t.regex(stderr, /^1\/6 sampling: answers +(\d+)\/\1 /m);
    t.regex(stderr, /^5\/6 searching: search +\d+\/\d+ /m);
    const report = await readReport(join(folder.path, "open.run"));
    t.is(report.goal, "reduce");
    t.is(report.settings.samples, 2);
    t.is(report.settings.maxTokens, 32);
    t.regex(readFileSync(join(folder.path, "open.run/report.html"), "utf8"), /<svg/);
    t.true((presetOf(await loadVector(out, { as: "any" }))?.interventions.length ?? 0) > 0);
});

test.serial(
    "the same command goes on where it was: it computes nothing again, and ends with the same vector",
    async (t) => {
        t.timeout(600_000);
        const before = readFileSync(out);
        const answers = lineCount(join(folder.path, "open.run/answers.jsonl"));
        const report = await jsonOf<RunReport>(t, [...fit, "--out", out], limit);
        t.deepEqual(readFileSync(out), before);
        t.is(lineCount(join(folder.path, "open.run/answers.jsonl")), answers);
        t.deepEqual(report, JSON.parse(JSON.stringify(await readReport(join(folder.path, "open.run")))));
        t.is(report.stages[0]?.found, report.stages[0]?.items);
    },
);

test.serial("eval prints sets and settings, and measures what the fit's report says", async (t) => {
    t.timeout(600_000);
    const args = ["eval", ...local, "--prompts", some, "--max-tokens", "32", "--vector", out];
    const found = await jsonOf<RefusalEvaluation>(t, args, limit);
    t.deepEqual(Object.keys(found), ["sets", "settings"]);
    const report = await readReport(join(folder.path, "open.run"));
    t.deepEqual(found.sets, report.evaluation.sets);
    const { baseline, steered } = found.sets.target as NonNullable<RefusalEvaluation["sets"]["target"]>;
    t.deepEqual(Object.keys(baseline), ["n", "refusalRate", "meanScore", "accuracy"]);
    t.true(steered.refusalRate < 0.5 * baseline.refusalRate);
    const plain = await runCli(args, limit);
    t.is(plain.code, 0);
    t.regex(
        plain.stdout,
        new RegExp(`^target +baseline +${baseline.n} +${(100 * baseline.refusalRate).toFixed(1)} %`, "m"),
    );
});

test.serial("eval --strength 0 changes nothing, and keys it has none of are null", async (t) => {
    t.timeout(600_000);
    const keyless = all.filter((_, i) => i % 40 === 0).map((line) => ({ ...JSON.parse(line), key: undefined }));
    const path = folder.write("keyless.jsonl", keyless.map((each) => JSON.stringify(each)).join("\n"));
    const args = ["eval", ...local, "--prompts", path, "--max-tokens", "32", "--vector", out, "--strength", "0"];
    const { sets } = await jsonOf<RefusalEvaluation>(t, args, limit);
    t.true(Object.keys(sets).length > 1);
    for (const { baseline, steered } of Object.values(sets)) {
        t.deepEqual(steered, baseline);
        t.is(baseline.accuracy, null);
    }
});

/** Prompts without splits: 1 to 4 of every fifth entity, so that the size of a split tells which entities it has. */
function unsplitPrompts(): string[] {
    const seen = new Map<string, { entity: number; prompts: number }>();
    return all.flatMap((line) => {
        const { split: _, ...prompt } = JSON.parse(line) as { split: string; entity: string };
        const found = seen.get(prompt.entity) ?? { entity: seen.size, prompts: 0 };
        seen.set(prompt.entity, { ...found, prompts: found.prompts + 1 });
        return found.entity % 5 === 0 && found.prompts <= (found.entity / 5) % 4 ? [JSON.stringify(prompt)] : [];
    });
}
const unsplit = folder.write("unsplit.jsonl", unsplitPrompts().join("\n"));

/** Prompts of each set in the eval split. */
async function countsOfEval(seed: number): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { set, split } of await readPrompts(unsplit, { seed })) {
        if (split === "eval") {
            counts[set] = (counts[set] ?? 0) + 1;
        }
    }
    return counts;
}

test("eval splits prompts without splits by the seed of the vector's fit, unless another is given", async (t) => {
    t.timeout(600_000);
    const path = join(folder.path, "seeded.gguf");
    await saveVector(new SteeringVector([4], new Float32Array(128).fill(1e-6), { metadata: { seed: 3 } }), path);
    t.notDeepEqual(await countsOfEval(3), await countsOfEval(0), "the two can be told apart");
    const args = ["eval", ...local, "--prompts", unsplit, "--max-tokens", "4", "--vector", path];
    const counts = ({ sets }: RefusalEvaluation) =>
        Object.fromEntries(Object.entries(sets).map(([set, { baseline }]) => [set, baseline.n]));
    t.deepEqual(counts(await jsonOf<RefusalEvaluation>(t, args, limit)), await countsOfEval(3));
    t.deepEqual(counts(await jsonOf<RefusalEvaluation>(t, [...args, "--seed", "0"], limit)), await countsOfEval(0));
});

/** Waits until a file has some lines. */
async function linesIn(path: string, least: number): Promise<void> {
    while (lineCount(path) < least) {
        await new Promise((resolve) => setTimeout(resolve, 10));
    }
}

test.serial("Ctrl-C leaves a run that the same command goes on with, to the same vector", async (t) => {
    t.timeout(900_000);
    const run = join(folder.path, "interrupted");
    const again = join(folder.path, "again.gguf");
    const args = [...fit, "--run", run, "--out", again];
    const child = startCli([...args, "--json"], limit);
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (chunk) => {
        stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
        stderr += chunk;
    });
    const closed = new Promise((resolve) => child.once("close", resolve));
    await linesIn(join(run, "answers.jsonl"), 64);
    child.kill("SIGINT");
    t.is(await closed, 130, stderr);
    t.is(JSON.parse(stdout).error.code, "ABORTED");
    t.regex(stderr, /^stopping; Ctrl-C once more ends at once$/m);
    t.regex(stderr, /^error ABORTED: stopped by Ctrl-C\. What is finished is kept in .*interrupted, and this goes on/m);
    t.regex(stderr, /^ {2}llama-steer fit --model .*--run .*interrupted/m);
    t.false(existsSync(again));
    const kept = lineCount(join(run, "answers.jsonl"));
    t.true(kept >= 64);
    const report = await jsonOf<RunReport>(t, args, limit);
    t.true((report.stages[0]?.found ?? 0) >= kept);
    t.deepEqual(readFileSync(again), readFileSync(out));
});

const write = (name: string, ...lines: string[]): string => folder.write(name, lines.join("\n"));
const good = all[0] as string;

const badPrompts = [
    ["prompts that are not there", "nowhere.jsonl", "FILE_NOT_FOUND", /nowhere\.jsonl/],
    ["a line that is not JSON", write("bad.jsonl", good, "{"), "DATA_DAMAGED", /bad\.jsonl, line 2/],
    ["an unknown set", write("set.jsonl", good.replace('"neutral"', '"other"')), "DATA_DAMAGED", /line 1.*"other"/],
    ["an id that comes twice", write("twice.jsonl", good, good), "DATA_DAMAGED", /line 2/],
    ["a file without prompts", write("empty.jsonl", ""), "EMPTY_CLASS", /empty\.jsonl/],
    ["a file that does not say its set", write("plain.csv", "prompt", "Why?"), "INVALID_ARGUMENT", /"set"/],
] as const;

for (const [what, path, code, message] of badPrompts) {
    test(`fit and eval refuse ${what}`, async (t) => {
        const args = [...local, "--prompts", path];
        const run = join(folder.path, "refused.run");
        await expectFailure(t, ["fit", ...args, "--out", join(folder.path, "refused.gguf")], [1, code, message]);
        t.false(existsSync(run), "nothing is begun");
        const vector = inRepository("test/fixtures/vectors/dialz.gguf");
        await expectFailure(t, ["eval", ...args, "--vector", vector, "--force"], [1, code, message]);
    });
}

test("SET=FILE says what set the prompts of a file are of", async (t) => {
    const path = write("topic.csv", "prompt", "Why?");
    const args = ["fit", ...local, "--prompts", `target=${path}`, `neutral=${promptsPath}`];
    const where = ["--out", join(folder.path, "x.gguf"), "--model", "nowhere.gguf"];
    // Read without a complaint, so that the model is what is missed.
    await expectFailure(t, [...args, ...where], [1, "FILE_NOT_FOUND", /nowhere\.gguf/]);
});

const to = ["--out", join(folder.path, "never.gguf")];

test("fit refuses what there is nothing to steer in", async (t) => {
    const neutral = all.filter((line) => /"set": "neutral"/.test(line)).slice(0, 60);
    const path = write("neutral.jsonl", ...neutral);
    await expectFailure(t, ["fit", ...local, "--prompts", path, ...to], [1, "EMPTY_CLASS", /target/]);
});

test("fit refuses places that it cannot write to, before it begins", async (t) => {
    const named = (...args: string[]): string[] => [...fit, ...args];
    await expectFailure(t, named("--out", "v.json"), [2, "INVALID_ARGUMENT", /--out.*\.gguf or \.safetensors/]);
    const nowhere = named("--out", "/proc/v.gguf", "--run", join(folder.path, "a.run"));
    await expectFailure(t, nowhere, [1, "FILE_WRITE_FAILED", /\/proc\/v\.gguf cannot be written/]);
    const others = join(folder.path, "others");
    mkdirSync(others);
    writeFileSync(join(others, "letter.txt"), "Dear friend");
    await expectFailure(t, named("--run", others, ...to), [1, "INVALID_ARGUMENT", /letter\.txt/]);
});

test("fit refuses models and judges that are none", async (t) => {
    const given = (args: string[]): string[] => [...fit, "--out", join(folder.path, "none.gguf"), ...args];
    await expectFailure(t, given(["--model", some]), [1, "MODEL_INVALID", /not a GGUF model/]);
    await expectFailure(t, given(["--judge", "nowhere.gguf"]), [1, "FILE_NOT_FOUND", /nowhere\.gguf/]);
    await expectFailure(t, given(["--judge-prompt", "nowhere.txt"]), [1, "FILE_NOT_FOUND", /nowhere\.txt/]);
});

test("a judge that cannot be reached ends the fit, and what was answered is kept", async (t) => {
    t.timeout(300_000);
    const gone = await FakeEndpoint.start(() => "");
    const { baseUrl } = gone;
    await gone.stop();
    const run = join(folder.path, "unjudged");
    const few = write("few.jsonl", ...all.filter((_, i) => i % 24 === 0));
    const model = ["--model", chatModelPath, "--threads", "1", "--max-tokens", "16", "--samples", "1"];
    const judge = ["--judge", baseUrl, "--judge-model", "m", "--judge-retries", "0"];
    const args = ["fit", ...model, "--prompts", few, ...judge, "--run", run];
    await expectFailure(t, args, [1, "JUDGE_FAILED", /gives no verdict/]);
    t.true(lineCount(join(run, "answers.jsonl")) > 0);
});

test("eval refuses vectors that it cannot steer with", async (t) => {
    const given = (path: string, ...more: string[]): string[] => {
        return ["eval", ...local, "--prompts", some, "--vector", path, ...more];
    };
    await expectFailure(t, given("nowhere.gguf"), [1, "FILE_NOT_FOUND", /nowhere\.gguf/]);
    await expectFailure(t, given(judgeModelPath), [1, "DATA_DAMAGED", /model/]);
    const narrow = join(folder.path, "narrow.gguf");
    await saveVector(new SteeringVector([1], new Float32Array(64).fill(1)), narrow);
    await expectFailure(t, given(narrow), [1, "VECTOR_MISMATCH", /64 and 128/]);
    await expectFailure(t, given(narrow, "--force"), [1, "WIDTH_MISMATCH", /64/]);
});

test("eval says where there are no prompts of the split", async (t: ExecutionContext) => {
    const path = write("fitted.jsonl", ...all.filter((line) => /"split": "fit"/.test(line)).slice(0, 30));
    const vector = join(folder.path, "wide.gguf");
    await saveVector(new SteeringVector([1], new Float32Array(128).fill(1)), vector);
    const args = ["eval", ...local, "--prompts", path, "--vector", vector];
    await expectFailure(t, args, [1, "EMPTY_CLASS", /split "eval"/]);
});
