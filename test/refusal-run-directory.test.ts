import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "ava";
import { type Judge, type JudgedText, judgeAnswers, RunDirectory } from "llama-steer/refusal";
import { repository } from "./support/paths.js";
import { TemporaryFolder } from "./support/temporary-folder.js";

const folder = new TemporaryFolder();
let places = 0;
const place = (): string => join(folder.path, `run-${places++}`);

/** Counts what it is asked; labels by length, several in one report. */
class CountingJudge implements Judge {
    readonly id = "counting";
    asked: string[] = [];

    async judge(texts: readonly JudgedText[], { onVerdicts }: Parameters<Judge["judge"]>[1] = {}) {
        this.asked.push(...texts.map((each) => each.answer));
        const verdicts = texts.map(({ answer }) => ({ label: answer.length / 100 }));
        for (let i = 0; i < verdicts.length; i += 2) {
            onVerdicts?.(verdicts.slice(i, i + 2).map((verdict, j) => ({ index: i + j, verdict })));
        }
        return verdicts;
    }
}

const texts = ["a", "bb", "ccc", "dddd", "bb"].map((answer) => ({ question: "Why?", answer }));
const journalOf = (path: string): string => join(path, "verdicts.jsonl");

async function filled(): Promise<string> {
    const path = place();
    using run = RunDirectory.open(path);
    await judgeAnswers(new CountingJudge(), texts, { run });
    return path;
}

test("what is finished is found again, and not asked again", async (t) => {
    const path = await filled();
    using run = RunDirectory.open(path);
    const judge = new CountingJudge();
    const verdicts = await judgeAnswers(judge, [...texts, { question: "Why?", answer: "eeeee" }], { run });
    t.deepEqual(judge.asked, ["eeeee"]);
    t.deepEqual(
        verdicts.map((each) => each.label),
        [0.01, 0.02, 0.03, 0.04, 0.02, 0.05],
    );
});

test("the same answer to another question, or by another judge, is asked", async (t) => {
    const path = await filled();
    using run = RunDirectory.open(path);
    const judge = new CountingJudge();
    await judgeAnswers(judge, [{ question: "Who?", answer: "a" }], { run });
    const other = Object.assign(new CountingJudge(), { id: "other" });
    await judgeAnswers(other, [{ question: "Why?", answer: "a" }], { run });
    t.deepEqual([judge.asked, other.asked], [["a"], ["a"]]);
});

test("cut anywhere, a journal keeps what was finished together and the rest is made again", async (t) => {
    const whole = readFileSync(journalOf(await filled()));
    const text = whole.toString();
    // Entries that were appended together end with a line that says so.
    const ends = [...text.matchAll(/"end":true\}\n/g)].map((match) => (match.index as number) + match[0].length);
    t.is(ends.length, 2);
    for (let length = 0; length <= whole.length; length++) {
        const path = place();
        RunDirectory.open(path).close();
        writeFileSync(journalOf(path), whole.subarray(0, length));
        using run = RunDirectory.open(path);
        const judge = new CountingJudge();
        const verdicts = await judgeAnswers(judge, texts, { run });
        t.is(
            judge.asked.length,
            length === whole.length ? 0 : length >= (ends[0] as number) ? 2 : 4,
            `cut at ${length}`,
        );
        t.deepEqual(
            verdicts.map((each) => each.label),
            [0.01, 0.02, 0.03, 0.04, 0.02],
        );
        t.is(readFileSync(journalOf(path), "utf8"), text, `cut at ${length}`);
    }
});

test("damage that no killed process leaves is refused, with its line", async (t) => {
    for (const [change, message] of [
        [(text: string) => text.replace('"label"', '"label'), /line 1 is damaged/],
        [(text: string) => text.replace("0.02", "2.5"), /line 2 is damaged \(label/],
        [(text: string) => text.replace(/\{"key":"[^"]*",/, "{"), /line 1 is damaged \(key/],
    ] as const) {
        const path = await filled();
        const before = change(readFileSync(journalOf(path), "utf8"));
        writeFileSync(journalOf(path), before);
        using run = RunDirectory.open(path);
        await t.throwsAsync(judgeAnswers(new CountingJudge(), texts, { run }), { code: "DATA_DAMAGED", message });
        t.is(readFileSync(journalOf(path), "utf8"), before, "it is left as it was");
    }
});

test("a torn last line is repaired also where it ends in a line break of its own", async (t) => {
    const path = await filled();
    const before = readFileSync(journalOf(path), "utf8");
    appendFileSync(journalOf(path), '{"key":"x","va\n');
    using run = RunDirectory.open(path);
    await judgeAnswers(new CountingJudge(), texts, { run });
    t.is(readFileSync(journalOf(path), "utf8"), before);
});

test("two runs do not share a directory, in one process or in two", async (t) => {
    const path = place();
    const run = RunDirectory.open(path);
    t.throws(() => RunDirectory.open(path), { code: "FILE_IN_USE", message: /another run holds/ });
    const open = `import { RunDirectory } from "llama-steer/refusal";
        try { RunDirectory.open(process.argv.at(-1)); console.log("open"); setInterval(() => {}, 1000); }
        catch (error) { console.log(error.code); }`;
    const start = () =>
        spawn(process.execPath, ["--input-type=module", "--eval", open, "--", path], { cwd: repository });
    const refused = start();
    t.is(String((await once(refused.stdout, "data"))[0]).trim(), "FILE_IN_USE");
    run.close();
    run.close();
    const other = start();
    t.is(String((await once(other.stdout, "data"))[0]).trim(), "open");
    t.throws(() => RunDirectory.open(path), { code: "FILE_IN_USE" });
    other.kill("SIGKILL");
    await once(other, "exit");
    t.notThrows(() => RunDirectory.open(path).close(), "what a killed process left is no lock");
    t.deepEqual(readdirSync(path), ["run.json"]);
});

test("a lock of a process id that was used again is none, one of another machine is", (t) => {
    const path = place();
    const run = RunDirectory.open(path);
    const lock = readdirSync(path).find((each) => each.startsWith("lock.")) as string;
    run.close();
    const [, host, pid, start, id] = lock.split(".");
    if (start !== "0") {
        writeFileSync(join(path, `lock.${host}.${pid}.${Number(start) - 1}.${id}`), "");
        t.notThrows(() => RunDirectory.open(path).close());
    }
    writeFileSync(join(path, `lock.00000000.${pid}.${start}.${id}`), "");
    t.throws(() => RunDirectory.open(path), { code: "FILE_IN_USE", message: /remove lock\.00000000/ });
});

test("a directory of something else is left alone", (t) => {
    const path = place();
    mkdirSync(path);
    writeFileSync(join(path, "thesis.txt"), "x");
    t.throws(() => RunDirectory.open(path), { code: "INVALID_ARGUMENT", message: /thesis\.txt/ });
    t.deepEqual(readdirSync(path), ["thesis.txt"]);
    const newer = place();
    RunDirectory.open(newer).close();
    writeFileSync(join(newer, "run.json"), '{"format":"llama-steer-run","version":2}');
    t.throws(() => RunDirectory.open(newer), { code: "DATA_DAMAGED" });
    t.deepEqual(readdirSync(newer), ["run.json"], "no lock is left");
    const file = folder.write("a-file", "x");
    t.throws(() => RunDirectory.open(file), { code: "FILE_WRITE_FAILED" });
    for (const wrong of [undefined, 3, ""]) {
        t.throws(() => RunDirectory.open(wrong as never), { code: "INVALID_ARGUMENT" });
    }
});

test("a closed directory takes nothing", async (t) => {
    const path = await filled();
    const run = RunDirectory.open(path);
    run.close();
    const { size } = statSync(journalOf(path));
    await t.throwsAsync(judgeAnswers(new CountingJudge(), texts, { run }), { code: "DISPOSED" });
    t.is(statSync(journalOf(path)).size, size);
});

test("a judge that fails half-way has what it reported kept", async (t) => {
    const path = place();
    using run = RunDirectory.open(path);
    const failing: Judge = {
        id: "counting",
        async judge(_, options) {
            options?.onVerdicts?.([{ index: 1, verdict: { label: 0.02 } }]);
            throw new Error("gone");
        },
    };
    await t.throwsAsync(judgeAnswers(failing, texts, { run }), { message: "gone" });
    const judge = new CountingJudge();
    await judgeAnswers(judge, texts, { run });
    t.deepEqual(judge.asked, ["a", "ccc", "dddd"]);
});

test("verdicts that are none are refused, and not kept", async (t) => {
    for (const label of [1.5, Number.NaN, undefined, "1"]) {
        const path = place();
        using run = RunDirectory.open(path);
        const judge: Judge = { id: "odd", judge: async (list) => list.map(() => ({ label: label as number })) };
        await t.throwsAsync(judgeAnswers(judge, texts, { run }), { code: "JUDGE_FAILED", message: /no label/ });
        t.is(statSync(journalOf(path)).size, 0);
    }
    const silent: Judge = { id: "silent", judge: async () => [] };
    await t.throwsAsync(judgeAnswers(silent, texts), { code: "JUDGE_FAILED", message: /fewer verdicts/ });
});

test("what does not fit on the disk is not half there, and the rest is kept", async (t) => {
    const path = place();
    const script = `import { RunDirectory, judgeAnswers } from "llama-steer/refusal";
        const run = RunDirectory.open(process.argv.at(-1));
        let kept = 0;
        const judge = { id: "counting", judge: async (texts, { onVerdicts }) => {
            for (let index = 0; index < texts.length; index += 2) {
                onVerdicts([index, index + 1].map((each) => ({ index: each, verdict: { label: 0 } })));
                kept += 2;
            }
        } };
        const texts = Array.from({ length: 1000 }, (_, i) => ({ question: "Why?", answer: String(i) }));
        await judgeAnswers(judge, texts, { run }).catch((error) => console.log(error.code, kept));`;
    const command = "trap '' XFSZ; ulimit -f 8; exec \"$@\"";
    const args = ["-c", command, "sh", process.execPath, "--input-type=module", "--eval", script, "--", path];
    const { stdout, stderr } = spawnSync("sh", args, { cwd: repository, encoding: "utf8" });
    const [code, kept] = stdout.trim().split(" ");
    t.is(code, "FILE_WRITE_FAILED", stderr);
    t.true(Number(kept) > 10 && Number(kept) < 1000, kept);
    t.is(readFileSync(journalOf(path), "utf8").trim().split("\n").length, Number(kept));
    using run = RunDirectory.open(path);
    const judge = new CountingJudge();
    await judgeAnswers(
        judge,
        Array.from({ length: 1000 }, (_, i) => ({ question: "Why?", answer: String(i) })),
        { run },
    );
    t.is(judge.asked.length, 1000 - Number(kept));
});
